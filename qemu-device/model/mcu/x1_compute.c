// SPDX-License-Identifier: MIT
/* MATRIX and VECTOR: operands checked at issue, arithmetic by ../num. */
#include <string.h>

#include "x1_wg_int.h"

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

/* ---- MATRIX ---- */

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

/* ---- VECTOR ---- */

struct vec {
	unsigned int op, sources;
	uint32_t rows, cols, ctrl;
	enum x1_format fmt[4]; /* dst, s0, s1, s2 */
	int64_t addr[4], stride[4];
	unsigned int bcast[4]; /* [0] unused */
	uint32_t imm[4];
	uint32_t out_cols; /* of the destination */
};

static bool vec_bad(struct x1_wg *wg, const struct x1_issue *is, uint64_t value)
{
	return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_VECTOR, is->pc, value);
}

static unsigned int vec_sources(unsigned int op)
{
	if (op <= X1_VEC_COS || (op >= X1_VEC_RSUM && op <= X1_VEC_RARGMAX) ||
	    op == X1_VEC_TRANSPOSE)
		return 1;
	if (op >= X1_VEC_ADD && op <= X1_VEC_CMPEQ)
		return 2;
	if (op == X1_VEC_FMA || op == X1_VEC_SELECT)
		return 3;
	return 0; /* IOTA, and what is no operation */
}

static bool vec_is_reduction(unsigned int op)
{
	return op >= X1_VEC_RSUM && op <= X1_VEC_RARGMAX;
}

static bool vec_is_slow(unsigned int op)
{
	return (op >= X1_VEC_RECIP && op <= X1_VEC_COS) || op == X1_VEC_DIV;
}

/* INT32 arithmetic where every format is an integer and the operation allows it. */
static bool vec_is_int(const struct vec *v)
{
	switch (v->op) {
	case X1_VEC_MOV:
	case X1_VEC_ADD:
	case X1_VEC_SUB:
	case X1_VEC_MUL:
	case X1_VEC_MIN:
	case X1_VEC_MAX:
		break;
	default:
		return false;
	}
	for (unsigned int i = 0; i <= v->sources; i++)
		if (!x1_format_is_int(v->fmt[i]))
			return false;
	return true;
}

static bool whole_bytes(const struct vec *v, unsigned int i, uint32_t cols)
{
	return cols * x1_format_bits(v->fmt[i]) % 8 == 0;
}

/* Check the region that operand i covers. */
static bool vec_region(struct x1_wg *wg, const struct x1_issue *is, const struct vec *v,
		       unsigned int i, uint32_t rows, uint32_t cols)
{
	uint64_t bytes = (uint64_t)cols * x1_format_bits(v->fmt[i]) / 8;

	if (v->fmt[i] >= X1_FMT_COUNT || !whole_bytes(v, i, cols))
		return vec_bad(wg, is, v->fmt[i]);
	if (!in_range(v->stride[i], 0, X1_SPAD_BYTES))
		return vec_bad(wg, is, (uint64_t)v->stride[i]);
	if (!x1_wg_local(wg, v->addr[i], (uint64_t)(rows - 1) * (uint64_t)v->stride[i] + bytes,
			 i == 0))
		return vec_bad(wg, is, (uint64_t)v->addr[i]);
	return true;
}

static bool vec_args(struct x1_wg *wg, const struct x1_issue *is, struct vec *v)
{
	const int64_t *f = is->f;
	uint32_t fmt = (uint32_t)f[X1_VEC_FMT];

	v->op = (unsigned int)f[X1_VEC_OP];
	v->sources = vec_sources(v->op);
	if (f[X1_VEC_OP] < 0 || f[X1_VEC_OP] > X1_VEC_IOTA || (!v->sources && v->op != X1_VEC_IOTA))
		return x1_wg_raise(wg, X1_FAULT_ILLEGAL, X1_UNIT_VECTOR, is->pc,
				   (uint64_t)f[X1_VEC_OP]);
	if (!in_range(f[X1_VEC_ROWS], 1, X1_VEC_MAX_ELEMS))
		return vec_bad(wg, is, (uint64_t)f[X1_VEC_ROWS]);
	if (!in_range(f[X1_VEC_COLS], 1, X1_VEC_MAX_ELEMS / f[X1_VEC_ROWS]))
		return vec_bad(wg, is, (uint64_t)f[X1_VEC_COLS]);
	if (f[X1_VEC_CTRL] >> 32 || f[X1_VEC_CTRL] & X1_VEC_CTRL_RESERVED || f[X1_VEC_FMT] >> 32)
		return vec_bad(wg, is, (uint64_t)f[X1_VEC_CTRL]);
	v->rows = (uint32_t)f[X1_VEC_ROWS];
	v->cols = (uint32_t)f[X1_VEC_COLS];
	v->ctrl = (uint32_t)f[X1_VEC_CTRL];
	v->addr[0] = is->rd;
	v->addr[1] = is->ra;
	v->addr[2] = is->rb;
	v->addr[3] = f[X1_VEC_S2_ADDR];
	v->imm[1] = 0;
	v->imm[2] = (uint32_t)f[X1_VEC_IMM1];
	v->imm[3] = (uint32_t)f[X1_VEC_IMM2];
	for (unsigned int i = 0; i < 4; i++) {
		v->fmt[i] = (enum x1_format)(fmt >> 8 * i & 0xff);
		v->stride[i] = f[X1_VEC_D_STRIDE + i];
		v->bcast[i] = i ? v->ctrl >> 2 * (i - 1) & 3 : X1_VEC_BCAST_NONE;
	}
	if (v->bcast[1] == X1_VEC_BCAST_SCALAR)
		return vec_bad(wg, is, v->ctrl);

	if (v->op == X1_VEC_TRANSPOSE) {
		if (v->fmt[0] != v->fmt[1] || v->fmt[0] >= X1_FMT_COUNT ||
		    x1_format_bits(v->fmt[0]) % 8)
			return x1_wg_raise(wg, X1_FAULT_FORMAT, X1_UNIT_VECTOR, is->pc, fmt);
		v->out_cols = v->rows;
		return vec_region(wg, is, v, 0, v->cols, v->rows) &&
		       vec_region(wg, is, v, 1, v->rows, v->cols);
	}
	if (v->op == X1_VEC_RARGMAX && v->fmt[0] != X1_FMT_INT32)
		return x1_wg_raise(wg, X1_FAULT_FORMAT, X1_UNIT_VECTOR, is->pc, fmt);
	/* A reduced row is converted as a whole. */
	if (vec_is_reduction(v->op) && v->cols > 4 * X1_VEC_CHUNK)
		return vec_bad(wg, is, v->cols);
	v->out_cols = vec_is_reduction(v->op) ? 1 : v->cols;
	if (!vec_region(wg, is, v, 0, v->rows, v->out_cols))
		return false;
	for (unsigned int i = 1; i <= v->sources; i++) {
		bool row = v->bcast[i] == X1_VEC_BCAST_ROW, col = v->bcast[i] == X1_VEC_BCAST_COL;

		if (v->bcast[i] != X1_VEC_BCAST_SCALAR &&
		    !vec_region(wg, is, v, i, row ? 1 : v->rows, col ? 1 : v->cols))
			return false;
	}
	return true;
}

bool x1_vec_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost)
{
	uint64_t elems, acc_bytes = 0, local = 0, cycles;
	struct vec v;

	if (!vec_args(wg, is, &v))
		return false;
	elems = (uint64_t)v.rows * v.cols;
	for (unsigned int i = 0; i <= v.sources; i++) {
		uint64_t n = i ? elems : (uint64_t)v.rows * v.out_cols;
		uint64_t bytes = n * x1_format_bits(v.fmt[i]) / 8;

		if (i && v.bcast[i] != X1_VEC_BCAST_NONE)
			continue;
		local += bytes;
		if (v.addr[i] >= (int64_t)X1_ACC_ADDR)
			acc_bytes += bytes;
	}
	/* Each row starts on fresh lanes. */
	cycles = v.rows * div_up(v.cols, vec_is_slow(v.op) ? X1_VEC_SLOW_LANES : X1_VEC_LANES);
	if (div_up(acc_bytes, X1_ACC_PORT) > cycles)
		cycles = div_up(acc_bytes, X1_ACC_PORT);
	cost->cycles = (uint32_t)cycles;
	cost->local_bytes = (uint32_t)local;
	cost->flags = vec_is_slow(v.op) ? X1_TR_F_SLOW : 0;
	return true;
}

static uint8_t *vec_row(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row)
{
	if (v->bcast[i] == X1_VEC_BCAST_ROW)
		row = 0;
	return x1_wg_local(wg, v->addr[i] + (int64_t)row * v->stride[i], 0, false);
}

/* n elements of source i from column c, converted. */
static void vec_fetch(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row,
		      uint32_t c, uint32_t n, float *dst)
{
	float one;

	if (v->bcast[i] == X1_VEC_BCAST_NONE || v->bcast[i] == X1_VEC_BCAST_ROW) {
		x1_unpack_f32(v->fmt[i], vec_row(wg, v, i, row), c, dst, n);
		return;
	}
	if (v->bcast[i] == X1_VEC_BCAST_COL)
		x1_unpack_f32(v->fmt[i], vec_row(wg, v, i, row), 0, &one, 1);
	else
		one = x1_flush(x1_bits_f32(v->imm[i]));
	for (uint32_t k = 0; k < n; k++)
		dst[k] = one;
}

static void vec_fetch_int(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row,
			  uint32_t c, uint32_t n, int32_t *dst)
{
	int32_t one = (int32_t)v->imm[i];

	if (v->bcast[i] == X1_VEC_BCAST_NONE || v->bcast[i] == X1_VEC_BCAST_ROW) {
		x1_unpack_i32(v->fmt[i], vec_row(wg, v, i, row), c, dst, n);
		return;
	}
	if (v->bcast[i] == X1_VEC_BCAST_COL)
		x1_unpack_i32(v->fmt[i], vec_row(wg, v, i, row), 0, &one, 1);
	for (uint32_t k = 0; k < n; k++)
		dst[k] = one;
}

static void int_op(unsigned int op, int32_t *a, const int32_t *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t x = (uint32_t)a[i], y = (uint32_t)b[i];

		switch (op) {
		case X1_VEC_ADD:
			x += y;
			break;
		case X1_VEC_SUB:
			x -= y;
			break;
		case X1_VEC_MUL:
			x *= y;
			break;
		case X1_VEC_MIN:
			x = a[i] < b[i] ? x : y;
			break;
		case X1_VEC_MAX:
			x = a[i] > b[i] ? x : y;
			break;
		}
		a[i] = (int32_t)x;
	}
}

static void vec_transpose(struct x1_wg *wg, const struct vec *v)
{
	unsigned int bytes = x1_format_bits(v->fmt[0]) / 8;

	for (uint32_t r = 0; r < v->rows; r++) {
		const uint8_t *src = vec_row(wg, v, 1, r);

		for (uint32_t c = 0; c < v->cols; c++)
			memcpy(vec_row(wg, v, 0, c) + (uint64_t)r * bytes,
			       src + (uint64_t)c * bytes, bytes);
	}
}

static void vec_reduce(struct x1_wg *wg, const struct vec *v)
{
	bool sat = !(v->ctrl & X1_VEC_CTRL_NOSAT);

	for (uint32_t r = 0; r < v->rows; r++) {
		uint8_t *dst = vec_row(wg, v, 0, r);
		uint32_t bits;
		float value;

		vec_fetch(wg, v, 1, r, 0, v->cols, wg->tmp);
		bits = x1_vec_reduce(v->op, wg->tmp, v->cols);
		value = x1_bits_f32(bits);
		if (v->op == X1_VEC_RARGMAX)
			memcpy(dst, &bits, 4);
		else
			x1_pack_f32(v->fmt[0], sat, &value, dst, 0, 1);
	}
}

static void vec_ints(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n)
{
	int32_t *a = (int32_t *)wg->tmp, *b = a + X1_VEC_CHUNK;

	vec_fetch_int(wg, v, 1, row, c, n, a);
	if (v->sources == 2) {
		vec_fetch_int(wg, v, 2, row, c, n, b);
		int_op(v->op, a, b, n);
	}
	x1_pack_i32(v->fmt[0], !(v->ctrl & X1_VEC_CTRL_NOSAT), a, vec_row(wg, v, 0, row), c, n);
}

static void vec_floats(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n)
{
	float *a = wg->tmp, *b = a + X1_VEC_CHUNK, *s = b + X1_VEC_CHUNK;

	if (v->op == X1_VEC_IOTA) {
		for (uint32_t i = 0; i < n; i++)
			a[i] = (float)(c + i);
		if (v->imm[2]) {
			for (uint32_t i = 0; i < n; i++)
				b[i] = x1_flush(x1_bits_f32(v->imm[2]));
			x1_vec_binary(X1_VEC_ADD, a, a, b, n);
		}
	} else {
		vec_fetch(wg, v, 1, row, c, n, a);
	}
	if (v->sources == 1) {
		if (v->op != X1_VEC_MOV)
			x1_vec_unary(v->op, a, a, n);
	} else if (v->sources == 2) {
		vec_fetch(wg, v, 2, row, c, n, b);
		x1_vec_binary(v->op, a, a, b, n);
	} else if (v->sources == 3) {
		vec_fetch(wg, v, 2, row, c, n, b);
		vec_fetch(wg, v, 3, row, c, n, s);
		x1_vec_ternary(v->op, a, a, b, s, n);
	}
	x1_pack_f32(v->fmt[0], !(v->ctrl & X1_VEC_CTRL_NOSAT), a, vec_row(wg, v, 0, row), c, n);
}

bool x1_vec_run(struct x1_wg *wg, struct x1_issue *is)
{
	bool ints;
	struct vec v;

	if (!vec_args(wg, is, &v))
		return false;
	if (v.op == X1_VEC_TRANSPOSE) {
		vec_transpose(wg, &v);
		return true;
	}
	if (vec_is_reduction(v.op)) {
		vec_reduce(wg, &v);
		return true;
	}
	ints = vec_is_int(&v);
	for (uint32_t r = 0; r < v.rows; r++) {
		for (uint32_t c = 0; c < v.cols; c += X1_VEC_CHUNK) {
			uint32_t n = v.cols - c < X1_VEC_CHUNK ? v.cols - c : X1_VEC_CHUNK;

			if (ints)
				vec_ints(wg, &v, r, c, n);
			else
				vec_floats(wg, &v, r, c, n);
		}
	}
	return true;
}
