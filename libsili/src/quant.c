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
			float size = fabsf(x1_flush(v[j]));

			/* A NaN is kept before any number. */
			if (!taken && (best == group || size > fabsf(x1_flush(v[best])) ||
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

/* Largest value of the whole tensor in NVFP4's terms: a NaN is above all. */
static float tensor_scale(const float *src, size_t n, float max)
{
	float all = x1_bits_f32(x1_vec_amax(src, n));

	return all == 0 ? 1 : all / max / largest(X1_FMT_E4M3);
}

static uint8_t *scale_at(const struct blocks *b, void *scales, uint32_t row, uint32_t col)
{
	return (uint8_t *)scales + row / b->high * b->row_bytes +
	       col / b->block * scale_size(b->mode);
}

/* The scale of a block; returns what its elements are multiplied with. */
static float quantise_block(const struct blocks *b, enum x1_format fmt, const float *src,
			    uint32_t row, uint32_t col, float tensor, void *scales)
{
	uint32_t n = b->k - col < b->block ? b->k - col : b->block, amax = 0, code;
	float factor;

	for (uint32_t r = row; r < row + b->high && r < b->rows; r++) {
		for (uint32_t c = col; c < col + n; c++) {
			float x = x1_flush(src[(size_t)r * b->k + c]);
			uint32_t m = x1_vec_amax(&x, 1);

			amax = m > amax ? m : amax;
		}
	}
	factor = x1_quant_scale(b->mode, fmt, x1_bits_f32(amax), tensor, &code);
	memcpy(scale_at(b, scales, row, col), &code, scale_size(b->mode));
	return factor;
}

SILI_EXPORT int sili_quantise(enum x1_scale_mode mode, enum x1_format fmt, const float *src,
			      uint32_t rows, uint32_t k, void *dst, void *scales, float *tensor)
{
	struct blocks b = blocks(mode, rows, k);
	float per_tensor = 1, *row, *factor;
	uint32_t in_row;

	if (!mode_ok(mode, fmt) || !rows || !k || (mode == X1_SCALE_NV16 && !tensor) ||
	    (uint64_t)k * x1_format_bits(fmt) % 8)
		return -EINVAL;
	if (mode == X1_SCALE_NV16)
		per_tensor = tensor_scale(src, (size_t)rows * k, largest(fmt));
	in_row = (k + b.block - 1) / b.block;
	row = malloc(((size_t)k + in_row) * sizeof(*row));
	if (!row)
		return -ENOMEM;
	factor = row + k;
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t i = 0; i < in_row && r % b.high == 0; i++)
			factor[i] = quantise_block(&b, fmt, src, r, i * b.block, per_tensor,
						   scales);
		for (uint32_t c = 0; c < k; c++) {
			row[c] = x1_flush(src[(size_t)r * k + c]);
			x1_vec_scale(&row[c], factor[c / b.block], 1);
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
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t c = 0; c < k; c++) {
			uint32_t code = 0;

			memcpy(&code, scale_at(&b, (void *)scales, r, c), scale_size(mode));
			x1_vec_scale(&dst[(size_t)r * k + c], x1_dequant_scale(mode, code, tensor),
				     1);
		}
	}
	return 0;
}
