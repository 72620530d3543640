// SPDX-License-Identifier: MIT
/* Operands of the matrix product: legality, rows to FP32, sparsity, block scales. */
#include <string.h>

#include "x1_mm_operand.h"
#include "x1_mm_path.h"
#include "x1_vecfn.h"

/* ---- legality ---- */

static bool is_wide(enum x1_format f)
{
	return f == X1_FMT_FP32 || f == X1_FMT_TF32;
}

static bool scale_takes(enum x1_scale_mode s, enum x1_format f)
{
	switch (s) {
	case X1_SCALE_NONE:
		return true;
	case X1_SCALE_F32_1X128:
	case X1_SCALE_F32_128X128:
		return !is_wide(f);
	case X1_SCALE_MX32:
		return x1_format_bits(f) <= 8 && f != X1_FMT_INT4;
	case X1_SCALE_NV16:
		return f == X1_FMT_E2M1;
	default:
		return false;
	}
}

enum x1_fault x1_mm_legal(enum x1_format a, enum x1_format b, enum x1_scale_mode sa,
			  enum x1_scale_mode sb, enum x1_sparsity sparsity)
{
	if (!x1_format_rate(a) || !x1_format_rate(b) || sa >= X1_SCALE_COUNT ||
	    sb >= X1_SCALE_COUNT || sparsity >= X1_SPARSE_COUNT)
		return X1_FAULT_FORMAT;
	if (x1_format_is_int(a) != x1_format_is_int(b))
		return X1_FAULT_FORMAT;
	if (!scale_takes(sa, a) || !scale_takes(sb, b))
		return X1_FAULT_FORMAT;
	if ((sa || sb) && (is_wide(a) || is_wide(b)))
		return X1_FAULT_FORMAT;
	return X1_FAULT_NONE;
}

uint32_t x1_mm_k0_step(enum x1_scale_mode sa, enum x1_scale_mode sb)
{
	bool nv = sa == X1_SCALE_NV16 || sb == X1_SCALE_NV16;

	/* Blocks of another size may not begin in their middle. */
	return nv && (!sa || !sb || sa == sb) ? 16 : 32;
}

uint32_t x1_sparse_group(enum x1_sparsity s)
{
	static const uint8_t group[X1_SPARSE_COUNT] = {1, 4, 4, 8, 8, 16};

	return group[s];
}

static uint32_t sparse_kept(enum x1_sparsity s)
{
	static const uint8_t kept[X1_SPARSE_COUNT] = {1, 2, 1, 2, 1, 2};

	return kept[s];
}

uint32_t x1_sparse_stored(enum x1_sparsity s, uint32_t k)
{
	uint32_t group = x1_sparse_group(s);

	return (k + group - 1) / group * sparse_kept(s);
}

uint32_t x1_sparse_index_bits(enum x1_sparsity s)
{
	static const uint8_t bits[X1_SPARSE_COUNT] = {0, 2, 2, 3, 3, 4};

	return bits[s];
}

uint32_t x1_mm_scale_block(enum x1_scale_mode s)
{
	static const uint8_t block[X1_SCALE_COUNT] = {0, 128, 128, 32, 16};

	return block[s];
}

uint32_t x1_mm_joint_block(const struct x1_mm_args *m)
{
	uint32_t a = x1_mm_scale_block(m->a.scale), b = x1_mm_scale_block(m->b.scale);

	/* Each divides the larger ones: the union of boundaries is the smaller block's. */
	return !a || (b && b < a) ? b : a;
}

bool x1_mm_is_wide(const struct x1_mm_args *m)
{
	return is_wide(m->a.fmt) || is_wide(m->b.fmt);
}

uint32_t x1_scale_row_bytes(enum x1_scale_mode s, uint32_t k)
{
	uint32_t block = x1_mm_scale_block(s);

	if (!s)
		return 0;
	/* k0 is a multiple of a block of 16 or 32, but up to 96 into one of 128. */
	if (block == 128)
		return (k + 96 + block - 1) / block * 4;
	return (k + block - 1) / block;
}

/* ---- operands ---- */

static const uint8_t *row_at(const struct x1_mm_operand *op, uint32_t r)
{
	if (!op->group)
		return op->base + (int64_t)r * op->stride;
	return op->base + (int64_t)(r % op->group) * op->stride +
	       (int64_t)(r / op->group) * op->gstride;
}

static uint32_t sparse_index(const uint8_t *meta, uint32_t bits, uint32_t i)
{
	uint32_t v = 0;

	for (uint32_t b = 0; b < bits; b++)
		v |= (uint32_t)(meta[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b;
	return v;
}

/* A MATRIX operand's FP32 value: TF32 drops its low bits. */
static void mask_tf32(enum x1_format fmt, float *v, size_t n)
{
	if (fmt != X1_FMT_TF32)
		return;
	for (size_t i = 0; i < n; i++)
		v[i] = x1_bits_f32(x1_f32_bits(v[i]) & ~0x1fffu);
}

static void unpack_row(enum x1_format fmt, const uint8_t *src, float *dst, uint32_t n)
{
	if (!x1_mm_path()->unpack(fmt, src, dst, n))
		x1_unpack_f32(fmt, src, 0, dst, n);
	mask_tf32(fmt, dst, n);
}

/* Stored elements of a sparse row to their places; dst is zeroed. */
static void scatter_row(const struct x1_mm_args *m, uint32_t row, const float *stored, float *dst)
{
	uint32_t kept = sparse_kept(m->sparsity), group = x1_sparse_group(m->sparsity);
	uint32_t bits = x1_sparse_index_bits(m->sparsity);
	const uint8_t *meta = m->meta + (int64_t)row * m->meta_stride;

	for (uint32_t i = 0; i < x1_sparse_stored(m->sparsity, m->k); i++) {
		uint32_t k = i / kept * group + sparse_index(meta, bits, i);

		if (k < m->k)
			dst[k] = stored[i];
	}
}

/* Row r times its block scales. */
static void fold_row(const struct x1_mm_operand *op, uint32_t row, float *v, uint32_t kpad)
{
	uint32_t block = x1_mm_scale_block(op->scale);

	for (uint32_t i = 0; i < kpad; i += block) {
		float f = (float)x1_mm_scale_at(op, row, i / block);

		for (uint32_t j = i; j < i + block && j < kpad; j++)
			v[j] *= f;
	}
}

static uint32_t stored_k(const struct x1_mm_args *m, bool is_b)
{
	return is_b ? x1_sparse_stored(m->sparsity, m->k) : m->k;
}

size_t x1_mm_tmp_floats(const struct x1_mm_args *m, uint32_t count)
{
	/* A line across all rows, and the stored rows of a sparse transposed operand. */
	return (size_t)count * stored_k(m, true) + m->k + count;
}

void x1_mm_unpack_rows(const struct x1_mm_args *m, bool is_b, uint32_t first, uint32_t count,
		       float *dst, uint32_t kpad, bool fold, float *tmp)
{
	const struct x1_mm_operand *op = is_b ? &m->b : &m->a;
	bool sparse = is_b && m->sparsity;
	uint32_t rows = is_b ? m->n : m->m, stored = stored_k(m, is_b);
	uint32_t live = first >= rows ? 0 : rows - first < count ? rows - first : count;
	/* Where stored elements go first. */
	float *to = sparse ? tmp : dst;
	uint32_t pitch = sparse ? stored : kpad;

	memset(dst, 0, (size_t)count * kpad * sizeof(float));
	if (op->trans) {
		float *line = tmp + (sparse ? (size_t)count * stored : 0);

		/* Line k holds element k of every row. */
		for (uint32_t k = 0; k < stored; k++) {
			x1_unpack_f32(op->fmt, row_at(op, k), first, line, live);
			mask_tf32(op->fmt, line, live);
			for (uint32_t r = 0; r < live; r++)
				to[(size_t)r * pitch + k] = line[r];
		}
	} else {
		for (uint32_t r = 0; r < live; r++)
			unpack_row(op->fmt, row_at(op, first + r), to + (size_t)r * pitch, stored);
	}
	for (uint32_t r = 0; r < live; r++) {
		if (sparse)
			scatter_row(m, first + r, tmp + (size_t)r * stored, dst + (size_t)r * kpad);
		if (fold && op->scale)
			fold_row(op, first + r, dst + (size_t)r * kpad, kpad);
	}
}

/* ---- scales ---- */

double x1_mm_scale_at(const struct x1_mm_operand *op, uint32_t row, uint32_t idx)
{
	const uint8_t *p = op->scales;
	float f;

	switch (op->scale) {
	case X1_SCALE_F32_1X128:
	case X1_SCALE_F32_128X128:
		if (op->scale == X1_SCALE_F32_128X128)
			row /= 128;
		memcpy(&f, p + (int64_t)row * op->scale_stride + idx * 4, 4);
		return x1_flush(f);
	case X1_SCALE_MX32: {
		uint8_t e = p[(int64_t)row * op->scale_stride + idx];

		return e == 0xff ? NAN : fn_bits_f64((uint64_t)(e - 127 + 1023) << 52);
	}
	case X1_SCALE_NV16:
		return x1_decode(X1_FMT_E4M3, p[(int64_t)row * op->scale_stride + idx]);
	default:
		return 1;
	}
}

float x1_mm_scale_product(double a, double b)
{
	return fn_f32(a * b); /* exact in binary64 */
}

/* All scales of an operand are ones that folding keeps exact. */
static bool scales_fold(const struct x1_mm_operand *op, uint32_t rows, uint32_t k)
{
	uint32_t n = x1_scale_row_bytes(op->scale, k);

	for (uint32_t r = 0; r < rows && op->scale; r++) {
		const uint8_t *p = op->scales + (int64_t)r * op->scale_stride;
		uint32_t bad = 0;

		for (uint32_t i = 0; i < n; i++)
			bad |= op->scale == X1_SCALE_MX32 ? (uint8_t)(p[i] - (127 - 40)) > 80
							  : p[i] >> 7;
		if (bad)
			return false;
	}
	return true;
}

/* Sums of a block of 16 products of two of these, times 4 bits of scale, fit 24 bits. */
static bool is_tiny(enum x1_format f)
{
	return f == X1_FMT_E2M1 || f == X1_FMT_E2M3 || f == X1_FMT_E3M2;
}

bool x1_mm_can_fold(const struct x1_mm_args *m)
{
	enum x1_scale_mode a = m->a.scale, b = m->b.scale;
	bool nv = a == X1_SCALE_NV16 || b == X1_SCALE_NV16;

	if ((!a && !b) || x1_mm_scale_block(a) == 128 || x1_mm_scale_block(b) == 128)
		return false;
	/* Powers of two only have to stay clear of overflow and flush: BF16 may not. */
	if (x1_format_is_int(m->a.fmt) || m->a.fmt == X1_FMT_BF16 || m->b.fmt == X1_FMT_BF16)
		return false;
	if (nv && !(is_tiny(m->a.fmt) && is_tiny(m->b.fmt)))
		return false;
	return scales_fold(&m->a, m->m, m->k) && scales_fold(&m->b, m->n, m->k);
}
