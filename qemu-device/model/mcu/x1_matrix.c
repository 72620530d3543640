// SPDX-License-Identifier: MIT
/* MATRIX: operands checked at issue, arithmetic by ../num. */
#include <string.h>

#include "x1_wg_int.h"

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static bool mm_bad(struct x1_wg *wg, const struct x1_issue *is, uint32_t field)
{
	return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_MATRIX, is->pc, (uint64_t)is->f[field]);
}

static bool in_range(int64_t v, int64_t lo, int64_t hi)
{
	return v >= lo && v <= hi;
}

/* Scratchpad [addr, addr + bytes): MATRIX reads no accumulators as operands. */
static const uint8_t *spad(struct x1_wg *wg, int64_t addr, uint64_t bytes)
{
	return addr >= (int64_t)X1_SPAD_BYTES ? NULL : x1_wg_local(wg, addr, bytes, false);
}

/* Last byte + 1 of `rows` rows of `bytes`, relative to the base. */
static uint64_t two_level_span(uint64_t rows, uint64_t bytes, int64_t stride, int64_t group,
			       int64_t gstride)
{
	uint64_t in_group = group && (uint64_t)group < rows ? (uint64_t)group : rows;
	uint64_t groups = group ? (rows - 1) / (uint64_t)group : 0;

	return (in_group - 1) * (uint64_t)stride + groups * (uint64_t)gstride + bytes;
}

static bool strides_ok(const struct x1_issue *is, uint32_t field)
{
	/* stride, group, gstride */
	return in_range(is->f[field], 0, X1_SPAD_BYTES) &&
	       in_range(is->f[field + 1], 0, UINT32_MAX) &&
	       in_range(is->f[field + 2], 0, X1_SPAD_BYTES);
}

static bool operand(struct x1_wg *wg, const struct x1_issue *is, int64_t base,
		    uint32_t stride_field, enum x1_format fmt, bool trans, uint64_t rows,
		    uint64_t k, struct x1_mm_operand *op)
{
	uint64_t lines = trans ? k : rows;
	uint64_t bytes = div_up((trans ? rows : k) * x1_format_bits(fmt), 8);

	if (!strides_ok(is, stride_field))
		return mm_bad(wg, is, stride_field);
	op->fmt = fmt;
	op->trans = trans;
	op->stride = is->f[stride_field];
	op->group = (uint32_t)is->f[stride_field + 1];
	op->gstride = is->f[stride_field + 2];
	op->base = spad(wg, base, two_level_span(lines, bytes, op->stride, op->group, op->gstride));
	return op->base ? true
			: x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_MATRIX, is->pc, (uint64_t)base);
}

static bool scales(struct x1_wg *wg, const struct x1_issue *is, uint32_t addr_field, uint64_t rows,
		   uint32_t k, struct x1_mm_operand *op)
{
	uint64_t lines = op->scale == X1_SCALE_F32_128X128 ? div_up(rows, 128) : rows;

	if (!op->scale)
		return true;
	op->scale_stride = is->f[addr_field + 1];
	if (!in_range(op->scale_stride, 0, X1_SPAD_BYTES))
		return mm_bad(wg, is, addr_field + 1);
	op->scales =
		spad(wg, is->f[addr_field],
		     (lines - 1) * (uint64_t)op->scale_stride + x1_scale_row_bytes(op->scale, k));
	return op->scales ? true : mm_bad(wg, is, addr_field);
}

/* All checks; fills *a for the run. Registers were read at issue, memory is read at execution. */
static bool mm_args(struct x1_wg *wg, const struct x1_issue *is, struct x1_mm_args *a)
{
	const int64_t *f = is->f;
	uint32_t fmt = (uint32_t)f[X1_MM_FMT], scale = (uint32_t)f[X1_MM_SCALE];
	enum x1_format fa = (enum x1_format)(fmt & 0xff), fb = (enum x1_format)(fmt >> 8 & 0xff);
	uint64_t stored;

	memset(a, 0, sizeof(*a));
	if (!in_range(f[X1_MM_M], 1, X1_ACC_BYTES / 4))
		return mm_bad(wg, is, X1_MM_M);
	if (!in_range(f[X1_MM_N], 1, X1_ACC_BYTES / 4 / f[X1_MM_M]))
		return mm_bad(wg, is, X1_MM_N);
	if (!in_range(f[X1_MM_K], 1, X1_MM_MAX_K))
		return mm_bad(wg, is, X1_MM_K);
	a->m = (uint32_t)f[X1_MM_M];
	a->n = (uint32_t)f[X1_MM_N];
	a->k = (uint32_t)f[X1_MM_K];
	if (f[X1_MM_FMT] >> 32 || fmt & X1_MM_FMT_RESERVED)
		return mm_bad(wg, is, X1_MM_FMT);
	if (f[X1_MM_SCALE] >> 24)
		return mm_bad(wg, is, X1_MM_SCALE);
	a->a.scale = (enum x1_scale_mode)(scale & 0xff);
	a->b.scale = (enum x1_scale_mode)(scale >> 8 & 0xff);
	a->sparsity = (enum x1_sparsity)(scale >> 16);
	if (x1_mm_legal(fa, fb, a->a.scale, a->b.scale, a->sparsity))
		return x1_wg_raise(wg, X1_FAULT_FORMAT, X1_UNIT_MATRIX, is->pc,
				   (uint64_t)f[X1_MM_FMT] | (uint64_t)scale << 32);
	if (!in_range(f[X1_MM_K0], 0, INT32_MAX) ||
	    f[X1_MM_K0] % x1_mm_k0_step(a->a.scale, a->b.scale))
		return mm_bad(wg, is, X1_MM_K0);
	if (a->k % x1_sparse_group(a->sparsity))
		return mm_bad(wg, is, X1_MM_K);
	if (!in_range(f[X1_MM_ACCUMULATE], 0, 1))
		return mm_bad(wg, is, X1_MM_ACCUMULATE);
	a->k0 = (uint32_t)f[X1_MM_K0];
	a->accumulate = f[X1_MM_ACCUMULATE];
	stored = x1_sparse_stored(a->sparsity, a->k);
	if (!operand(wg, is, is->ra, X1_MM_A_STRIDE, fa, fmt & X1_MM_FMT_TRANS_A, a->m, a->k,
		     &a->a) ||
	    !operand(wg, is, is->rb, X1_MM_B_STRIDE, fb, fmt & X1_MM_FMT_TRANS_B, a->n, stored,
		     &a->b) ||
	    !scales(wg, is, X1_MM_SA_ADDR, a->m, a->k, &a->a) ||
	    !scales(wg, is, X1_MM_SB_ADDR, a->n, a->k, &a->b))
		return false;
	if (a->sparsity) {
		a->meta_stride = f[X1_MM_META_STRIDE];
		if (!in_range(a->meta_stride, 0, X1_SPAD_BYTES))
			return mm_bad(wg, is, X1_MM_META_STRIDE);
		a->meta = spad(wg, f[X1_MM_META_ADDR],
			       (uint64_t)(a->n - 1) * (uint64_t)a->meta_stride +
				       div_up(stored * x1_sparse_index_bits(a->sparsity), 8));
		if (!a->meta)
			return mm_bad(wg, is, X1_MM_META_ADDR);
	}
	a->acc_stride = f[X1_MM_ACC_STRIDE];
	if (!in_range(a->acc_stride, 0, X1_ACC_BYTES) || a->acc_stride % 4 ||
	    (a->m > 1 && a->acc_stride < 4 * (int64_t)a->n))
		return mm_bad(wg, is, X1_MM_ACC_STRIDE);
	if (is->rd < (int64_t)X1_ACC_ADDR || is->rd % 4)
		return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_MATRIX, is->pc, (uint64_t)is->rd);
	a->acc = x1_wg_local(wg, is->rd,
			     (uint64_t)(a->m - 1) * (uint64_t)a->acc_stride + 4ull * a->n, true);
	return a->acc ? true
		      : x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_MATRIX, is->pc, (uint64_t)is->rd);
}

bool x1_mm_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost)
{
	struct x1_mm_args a;
	uint64_t rate, stored;

	if (!mm_args(wg, is, &a))
		return false;
	rate = x1_format_rate(a.a.fmt);
	if (x1_format_rate(a.b.fmt) < rate)
		rate = x1_format_rate(a.b.fmt);
	stored = x1_sparse_stored(a.sparsity, a.k);
	cost->cycles = (uint32_t)(div_up(a.n, X1_MM_LANES) * div_up(stored, rate) *
				  (a.m > X1_MM_LANES ? a.m : X1_MM_LANES));
	cost->fmt = (uint16_t)(a.a.fmt | a.b.fmt << 8);
	cost->macs = (uint64_t)a.m * a.n * stored;
	return true;
}

bool x1_mm_run(struct x1_wg *wg, struct x1_issue *is)
{
	struct x1_mm_args a;

	if (!mm_args(wg, is, &a))
		return false;
	/* Out of host memory is the host's fault, but the guest has to see an end. */
	return !x1_mm(&a, wg->ws) || x1_wg_raise(wg, X1_FAULT_INJECTED, X1_UNIT_MATRIX, is->pc, 0);
}
