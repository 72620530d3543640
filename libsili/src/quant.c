// SPDX-License-Identifier: MIT
/* Block scales and structured sparsity on the host, by the device's own rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/x1_num.h"
#include "sili_int.h"

/* ---- sparsity ---- */

static bool sparse_ok(enum x1_sparsity s, uint32_t k)
{
	return (unsigned int)s < X1_SPARSE_COUNT && k && k % x1_sparse_group(s) == 0;
}

SILI_EXPORT uint32_t sili_sparse_k(enum x1_sparsity sparsity, uint32_t k)
{
	return sparse_ok(sparsity, k) ? x1_sparse_stored(sparsity, k) : 0;
}

SILI_EXPORT size_t sili_sparse_meta_bytes(enum x1_sparsity sparsity, uint32_t k)
{
	if (!sparse_ok(sparsity, k))
		return 0;
	return (x1_sparse_stored(sparsity, k) * x1_sparse_index_bits(sparsity) + 7) / 8;
}

/* The `kept` largest of a group, in rising order of place. */
static void pick(const float *v, uint32_t group, uint32_t kept, uint32_t *place)
{
	for (uint32_t i = 0; i < kept; i++) {
		uint32_t best = group;

		for (uint32_t j = 0; j < group; j++) {
			bool taken = i && place[0] == j;

			/* A NaN is kept before any number. */
			if (!taken && (best == group || fabsf(v[j]) > fabsf(v[best]) ||
				       (isnan(v[j]) && !isnan(v[best]))))
				best = j;
		}
		place[i] = best;
	}
	if (kept == 2 && place[0] > place[1]) {
		uint32_t first = place[1];

		place[1] = place[0];
		place[0] = first;
	}
}

SILI_EXPORT int sili_sparse_compress(enum x1_sparsity sparsity, const float *src, uint32_t n,
				     uint32_t k, float *stored, void *meta)
{
	uint32_t group, kept, bits, row;
	size_t meta_row;

	if (!sparsity || !sparse_ok(sparsity, k) || !n)
		return -EINVAL;
	group = x1_sparse_group(sparsity);
	kept = x1_sparse_stored(sparsity, group);
	bits = x1_sparse_index_bits(sparsity);
	row = x1_sparse_stored(sparsity, k);
	meta_row = sili_sparse_meta_bytes(sparsity, k);
	memset(meta, 0, n * meta_row);
	for (uint32_t r = 0; r < n; r++) {
		const float *in = src + (size_t)r * k;
		uint8_t *index = (uint8_t *)meta + r * meta_row;

		for (uint32_t i = 0; i < row; i += kept) {
			const float *v = in + i / kept * group;
			uint32_t place[2];

			pick(v, group, kept, place);
			for (uint32_t j = 0; j < kept; j++) {
				stored[(size_t)r * row + i + j] = v[place[j]];
				for (uint32_t b = 0; b < bits; b++) {
					uint32_t at = (i + j) * bits + b;

					index[at / 8] |= (uint8_t)((place[j] >> b & 1) << at % 8);
				}
			}
		}
	}
	return 0;
}

/* ---- block scales ---- */

static uint32_t block_of(enum x1_scale_mode mode)
{
	static const uint8_t block[X1_SCALE_COUNT] = {0, 128, 128, 32, 16};

	return (unsigned int)mode < X1_SCALE_COUNT ? block[mode] : 0;
}

static uint32_t scale_size(enum x1_scale_mode mode)
{
	return mode <= X1_SCALE_F32_128X128 ? 4 : 1;
}

SILI_EXPORT size_t sili_scale_row_bytes(enum x1_scale_mode mode, uint32_t k)
{
	uint32_t block = block_of(mode);

	return block ? ((size_t)k + block - 1) / block * scale_size(mode) : 0;
}

SILI_EXPORT uint32_t sili_scale_rows(enum x1_scale_mode mode, uint32_t rows)
{
	return mode == X1_SCALE_F32_128X128 ? rows / 128 + !!(rows % 128) : rows;
}

/* Largest value, or -1. */
static float largest(enum x1_format fmt)
{
	switch (fmt) {
	case X1_FMT_BF16:
	case X1_FMT_FP16:
	case X1_FMT_E4M3:
	case X1_FMT_E5M2:
	case X1_FMT_E3M2:
	case X1_FMT_E2M3:
	case X1_FMT_E2M1:
		return x1_decode(fmt, x1_encode(fmt, INFINITY, true));
	case X1_FMT_INT8:
		return 127;
	case X1_FMT_INT4:
		return 7;
	default:
		return -1;
	}
}

static bool mode_ok(enum x1_scale_mode mode, enum x1_format fmt)
{
	return mode && (unsigned int)mode < X1_SCALE_COUNT && largest(fmt) > 0 &&
	       !x1_mm_legal(fmt, fmt, mode, X1_SCALE_NONE, X1_SPARSE_NONE);
}

struct blocks {
	enum x1_scale_mode mode;
	uint32_t rows, k, block, high; /* high: rows of a block */
	size_t row_bytes;
};

static struct blocks blocks(enum x1_scale_mode mode, uint32_t rows, uint32_t k)
{
	return (struct blocks){mode,
			       rows,
			       k,
			       block_of(mode),
			       mode == X1_SCALE_F32_128X128 ? 128 : 1,
			       sili_scale_row_bytes(mode, k)};
}

static float amax(const struct blocks *b, const float *src, uint32_t row, uint32_t col)
{
	float m = 0;

	for (uint32_t r = row; r < row + b->high && r < b->rows; r++)
		for (uint32_t c = col; c < col + b->block && c < b->k; c++)
			if (fabsf(src[(size_t)r * b->k + c]) > m)
				m = fabsf(src[(size_t)r * b->k + c]);
	return m;
}

static float scale_get(const struct blocks *b, const void *scales, uint32_t row, uint32_t col)
{
	const uint8_t *p = (const uint8_t *)scales + row / b->high * b->row_bytes;
	float f;

	if (scale_size(b->mode) == 1)
		return x1_decode(b->mode == X1_SCALE_MX32 ? X1_FMT_E8M0 : X1_FMT_E4M3,
				 p[col / b->block]);
	memcpy(&f, p + col / b->block * 4, 4);
	return x1_flush(f);
}

static void scale_put(const struct blocks *b, void *scales, uint32_t row, uint32_t col, float m,
		      float max, float tensor)
{
	uint8_t *p = (uint8_t *)scales + row / b->high * b->row_bytes;
	float f = m > 0 ? m / max / tensor : 1;
	int e, emax;

	switch (b->mode) {
	case X1_SCALE_MX32:
		/* The exponent of amax less that of the largest value. */
		frexpf(m > 0 ? m : 1, &e);
		frexpf(m > 0 ? max : 1, &emax);
		p[col / b->block] = (uint8_t)x1_encode(X1_FMT_E8M0, ldexpf(1, e - emax), true);
		break;
	case X1_SCALE_NV16:
		p[col / b->block] = (uint8_t)x1_encode(X1_FMT_E4M3, f, true);
		break;
	default:
		memcpy(p + col / b->block * 4, &f, 4);
		break;
	}
}

SILI_EXPORT int sili_quantise(enum x1_scale_mode mode, enum x1_format fmt, const float *src,
			      uint32_t rows, uint32_t k, void *dst, void *scales, float *tensor)
{
	struct blocks b = blocks(mode, rows, k);
	float max = largest(fmt), per_tensor = 1, *row;

	if (!mode_ok(mode, fmt) || !rows || !k || (mode == X1_SCALE_NV16 && !tensor) ||
	    (uint64_t)k * x1_format_bits(fmt) % 8)
		return -EINVAL;
	if (mode == X1_SCALE_NV16) {
		float all = 0;

		for (size_t i = 0; i < (size_t)rows * k; i++)
			all = fabsf(src[i]) > all ? fabsf(src[i]) : all;
		per_tensor = all > 0 ? all / max / largest(X1_FMT_E4M3) : 1;
	}
	row = malloc(k * sizeof(*row));
	if (!row)
		return -ENOMEM;
	for (uint32_t r = 0; r < rows; r += b.high)
		for (uint32_t c = 0; c < k; c += b.block)
			scale_put(&b, scales, r, c, amax(&b, src, r, c), max, per_tensor);
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t c = 0; c < k; c++) {
			float s = scale_get(&b, scales, r, c) * per_tensor;

			row[c] = s > 0 ? src[(size_t)r * k + c] / s : 0;
		}
		x1_pack_f32(fmt, true, row, dst, (size_t)r * k, k);
	}
	free(row);
	if (tensor)
		*tensor = per_tensor;
	return 0;
}

SILI_EXPORT int sili_dequantise(enum x1_scale_mode mode, enum x1_format fmt, const void *src,
				const void *scales, float tensor, uint32_t rows, uint32_t k,
				float *dst)
{
	struct blocks b = blocks(mode, rows, k);

	if (!mode_ok(mode, fmt) || !rows || !k)
		return -EINVAL;
	x1_unpack_f32(fmt, src, 0, dst, (size_t)rows * k);
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0; c < k; c++)
			dst[(size_t)r * k + c] *= scale_get(&b, scales, r, c) * tensor;
	return 0;
}
