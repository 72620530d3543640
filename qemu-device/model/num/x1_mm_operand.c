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

static bool fits_bf16(enum x1_format f)
{
	return f == X1_FMT_BF16 || (x1_format_bits(f) <= 8 && !x1_format_is_int(f));
}

bool x1_mm_is_bf16(const struct x1_mm_args *m)
{
	return fits_bf16(m->a.fmt) && fits_bf16(m->b.fmt);
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

/* Codes are decoded to FP32, integers to bytes; other elements are made of these. */
static uint32_t cell_bytes(enum x1_format fmt)
{
	return x1_format_is_int(fmt) ? 1 : 4;
}

/* A MATRIX operand's FP32 value: TF32 drops its low bits. */
static void decode_tf32(const uint8_t *restrict src, uint32_t *restrict dst, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t v;

		memcpy(&v, src + 4 * i, 4);
		/* Flushed as well: nobody else does it for the portable path. */
		dst[i] = v & (v & 0x7f800000 ? ~0x1fffu : 0x80000000);
	}
}

static void int4_to_bytes(const uint8_t *restrict src, int8_t *restrict dst, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		dst[2 * i] = (int8_t)((int8_t)(src[i] << 4) >> 4);
		dst[2 * i + 1] = (int8_t)((int8_t)src[i] >> 4);
	}
	if (n % 2)
		dst[n - 1] = (int8_t)((int8_t)(src[n / 2] << 4) >> 4);
}

/* n elements from element `first`, at a byte boundary. */
static void decode(enum x1_format fmt, const uint8_t *src, size_t first, void *dst, size_t n)
{
	if (fmt == X1_FMT_INT8) {
		memcpy(dst, src + first, n);
	} else if (fmt == X1_FMT_INT4) {
		int4_to_bytes(src + first / 2, dst, n);
	} else if (fmt == X1_FMT_TF32) {
		decode_tf32(src + 4 * first, dst, n);
	} else {
		x1_unpack_f32(fmt, src, first, dst, n);
	}
}

static uint32_t sparse_index(const uint8_t *meta, uint32_t bits, uint32_t i)
{
	uint32_t bit = i * bits, v = meta[bit / 8];

	if (bit % 8 + bits > 8)
		v |= (uint32_t)meta[bit / 8 + 1] << 8;
	return v >> bit % 8 & ((1u << bits) - 1);
}

/* Stored cells of a sparse row to their places; dst is zeroed. */
static void scatter_row(const struct x1_mm_args *m, uint32_t row, const void *stored, void *dst)
{
	uint32_t kept = sparse_kept(m->sparsity), group = x1_sparse_group(m->sparsity);
	uint32_t bits = x1_sparse_index_bits(m->sparsity), bytes = cell_bytes(m->b.fmt);
	const uint8_t *meta = m->meta + (int64_t)row * m->meta_stride;
	uint32_t num = x1_sparse_stored(m->sparsity, m->k);

	for (uint32_t i = 0, k0 = 0; i < num; k0 += group) {
		for (uint32_t end = i + kept; i < end; i++) {
			uint32_t k = k0 + sparse_index(meta, bits, i);

			if (k >= m->k)
				continue;
			if (bytes == 1)
				((uint8_t *)dst)[k] = ((const uint8_t *)stored)[i];
			else
				((uint32_t *)dst)[k] = ((const uint32_t *)stored)[i];
		}
	}
}

/* Row r times its block scales. */
static void fold_row(const struct x1_mm_operand *op, uint32_t row, float *v, uint32_t k)
{
	uint32_t block = x1_mm_scale_block(op->scale);

	for (uint32_t i = 0; i < k; i += block) {
		float f = (float)x1_mm_scale_at(op, row, i / block);

		for (uint32_t j = i; j < i + block && j < k; j++)
			v[j] *= f;
	}
}

static uint32_t stored_k(const struct x1_mm_args *m, bool is_b)
{
	return is_b ? x1_sparse_stored(m->sparsity, m->k) : m->k;
}

size_t x1_mm_tmp_bytes(const struct x1_mm_args *m, uint32_t pitch)
{
	/* Rows of cells, stored rows of a sparse operand, a line of a transposed one. */
	return ((size_t)X1_MM_BATCH * (pitch + stored_k(m, true)) + X1_MM_BATCH) * 4;
}

/* Line k of a transposed operand holds element k of every row. */
static void decode_lines(const struct x1_mm_operand *op, uint32_t first, uint32_t live, uint32_t k,
			 void *line, void *dst, size_t pitch)
{
	for (uint32_t i = 0; i < k; i++) {
		decode(op->fmt, x1_mm_row_at(op, i), first, line, live);
		if (cell_bytes(op->fmt) == 1)
			for (uint32_t r = 0; r < live; r++)
				((uint8_t *)dst)[r * pitch + i] = ((uint8_t *)line)[r];
		else
			for (uint32_t r = 0; r < live; r++)
				((uint32_t *)dst)[r * pitch + i] = ((uint32_t *)line)[r];
	}
}

/* Cells of a row to the elements that the kernel takes; loops that a compiler makes vectors of. */
static void convert_row(enum x1_mm_elem elem, const void *restrict cells, void *restrict dst,
			uint32_t n)
{
	const uint8_t *restrict bytes = cells;
	const uint32_t *restrict words = cells;
	uint16_t *restrict halves = dst;

	if (elem == X1_MM_BF16)
		for (uint32_t i = 0; i < n; i++)
			halves[i] = (uint16_t)(words[i] >> 16);
	else if (elem == X1_MM_I16)
		for (uint32_t i = 0; i < n; i++)
			halves[i] = (uint16_t)(int8_t)bytes[i];
	else
		for (uint32_t i = 0; i < n; i++)
			((uint8_t *restrict)dst)[i] = bytes[i] ^ 0x80;
}

/* Rows that the host path turns into BF16 by itself, the rest of their pitch 0. */
static void bf16_rows(const struct x1_mm_args *m, const struct x1_mm_operand *op, uint32_t first,
		      uint32_t live, const struct x1_mm_rows *to, uint16_t *dst, float *tmp)
{
	const struct x1_mm_path *path = x1_mm_path();

	for (uint32_t r = 0; r < live; r++, dst += to->pitch) {
		const uint8_t *src = x1_mm_row_at(op, first + r);
		size_t done = path->to_bf16(op->fmt, src, dst, m->k);

		memset(dst + done, 0, (to->pitch - done) * sizeof(*dst));
		if (done == m->k)
			continue;
		x1_unpack_f32(op->fmt, src, done, tmp, m->k - done);
		for (size_t i = done; i < m->k; i++)
			dst[i] = (uint16_t)(x1_f32_bits(tmp[i - done]) >> 16);
	}
}

void x1_mm_unpack_rows(const struct x1_mm_args *m, bool is_b, uint32_t first, uint32_t count,
		       const struct x1_mm_rows *to, void *dst, void *tmp)
{
	const struct x1_mm_operand *op = is_b ? &m->b : &m->a;
	bool sparse = is_b && m->sparsity;
	uint32_t rows = is_b ? m->n : m->m, stored = stored_k(m, is_b);
	uint32_t live = first >= rows ? 0 : rows - first < count ? rows - first : count;
	uint32_t bytes = cell_bytes(op->fmt), elem = x1_mm_elem_bytes(to->elem);
	size_t row_bytes = (size_t)to->pitch * bytes;
	bool convert = to->offset || elem != bytes;
	/* Where cells go, and before that the stored ones of a sparse operand. */
	uint8_t *cells = convert ? tmp : dst;
	uint8_t *packed = (uint8_t *)tmp + (size_t)X1_MM_BATCH * to->pitch * 4;
	uint8_t *at = sparse ? packed : cells;
	size_t at_bytes = sparse ? (size_t)stored * bytes : row_bytes;

	if (to->elem == X1_MM_BF16 && !op->trans && !sparse && !(to->fold && op->scale)) {
		bf16_rows(m, op, first, live, to, dst, tmp);
		memset((uint16_t *)dst + (size_t)live * to->pitch, 0,
		       (size_t)(count - live) * to->pitch * elem);
		return;
	}
	if (op->trans)
		decode_lines(op, first, live, stored,
			     packed + (size_t)X1_MM_BATCH * stored_k(m, true) * 4, at,
			     at_bytes / bytes);
	for (uint32_t r = 0; r < count; r++) {
		uint8_t *row = cells + r * row_bytes;

		if (r >= live) {
			memset(row, 0, row_bytes);
		} else {
			if (!op->trans)
				decode(op->fmt, x1_mm_row_at(op, first + r), 0, at + r * at_bytes,
				       stored);
			if (sparse) {
				memset(row, 0, row_bytes);
				scatter_row(m, first + r, at + r * at_bytes, row);
			} else {
				memset(row + (size_t)m->k * bytes, 0,
				       row_bytes - (size_t)m->k * bytes);
			}
			if (to->fold && op->scale)
				fold_row(op, first + r, (float *)row, m->k);
		}
		if (convert)
			convert_row(to->elem, row, (uint8_t *)dst + (size_t)r * to->pitch * elem,
				    to->pitch);
	}
}

void x1_mm_unpack_lines(const struct x1_mm_args *m, uint32_t first, uint32_t count, uint32_t width,
			uint32_t pitch, float *dst)
{
	uint32_t live = m->n - first < count ? m->n - first : count;

	for (uint32_t k = 0; k < pitch; k++, dst += width) {
		if (k < m->k)
			decode(m->b.fmt, x1_mm_row_at(&m->b, k), first, dst, live);
		memset(dst + (k < m->k ? live : 0), 0,
		       (width - (k < m->k ? live : 0)) * sizeof(*dst));
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

void x1_mm_scales_at(const struct x1_mm_operand *op, uint32_t rows, uint32_t first, uint32_t count,
		     uint32_t idx, double *exact, float *f32)
{
	for (uint32_t r = 0; r < count; r++) {
		exact[r] = x1_mm_scale_at(op, first + r < rows ? first + r : rows - 1, idx);
		f32[r] = (float)exact[r];
	}
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
