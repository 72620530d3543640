// SPDX-License-Identifier: MIT
/* Matrix product in portable C: slow, and the yardstick of exactness. */
#include <string.h>

#include "x1_flush.h"
#include "x1_mm_path.h"
#include "x1_vecfn.h"

#define MR 4
#define NR 16

static bool usable(void)
{
	return true;
}

static const float *a_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (const float *)((const uint8_t *)t->a + i * t->a_stride);
}

static void *acc_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (uint8_t *)t->acc + i * t->acc_stride;
}

static void blocks(const struct x1_mm_tile *t)
{
	for (unsigned int i = 0; i < MR; i++) {
		const float *a = a_row(t, i);
		float *acc = acc_row(t, i);

		for (uint32_t k0 = 0; k0 < t->k; k0 += t->block) {
			const float *b = (const float *)t->b + (size_t)k0 * NR;

			for (unsigned int j = 0; j < NR; j++) {
				float e = 0, o = 0;

				for (uint32_t k = 0; k < t->block; k += 2) {
					e = x1_fma(a[k0 + k], b[k * NR + j], e);
					o = x1_fma(a[k0 + k + 1], b[(k + 1) * NR + j], o);
				}
				acc[j] = x1_add(acc[j], x1_add(e, o));
			}
		}
	}
}

static void fma_rule(const struct x1_mm_tile *t)
{
	for (unsigned int i = 0; i < MR; i++) {
		const float *a = a_row(t, i);
		float *acc = acc_row(t, i);

		for (unsigned int j = 0; j < NR; j++)
			for (uint32_t k = 0; k < t->k; k++)
				acc[j] = x1_fma(a[k], ((const float *)t->b)[k * NR + j], acc[j]);
	}
}

static void ints(const struct x1_mm_tile *t)
{
	const int16_t *b = t->b;

	for (unsigned int i = 0; i < MR; i++) {
		const int16_t *a = (const int16_t *)a_row(t, i);
		int32_t *acc = acc_row(t, i);

		for (unsigned int j = 0; j < NR; j++) {
			uint32_t sum = (uint32_t)acc[j];

			for (uint32_t k = 0; k < t->k; k++)
				sum += (uint32_t)(a[k] * b[(k / 2 * NR + j) * 2 + k % 2]);
			acc[j] = (int32_t)sum;
		}
	}
}

static void scale(float *acc, size_t acc_stride, const float *p, uint32_t rows, const float *sa,
		  const float *sb)
{
	for (uint32_t r = 0; r < rows; r++, p += NR) {
		float *to = (float *)((uint8_t *)acc + r * acc_stride);

		for (unsigned int i = 0; i < NR; i++)
			to[i] = x1_fma(p[i], x1_mul(sa[r], sb[i]), to[i]);
	}
}

static void scale_exact(float *acc, size_t acc_stride, const float *p, uint32_t rows,
			const double *sa, const double *sb)
{
	for (uint32_t r = 0; r < rows; r++, p += NR) {
		float *to = (float *)((uint8_t *)acc + r * acc_stride);

		for (unsigned int i = 0; i < NR; i++)
			to[i] = x1_fma(p[i], fn_f32(sa[r] * sb[i]), to[i]);
	}
}

static void transpose(const void *const *rows, void *dst, uint32_t k)
{
	for (unsigned int j = 0; j < NR; j++)
		for (uint32_t i = 0; i < k; i++)
			memcpy((uint8_t *)dst + ((size_t)i * NR + j) * 4,
			       (const uint8_t *)rows[j] + (size_t)i * 4, 4);
}

static void canonical(float *acc, size_t acc_stride, uint32_t rows)
{
	for (; rows--; acc = (float *)((uint8_t *)acc + acc_stride))
		for (unsigned int i = 0; i < NR; i++)
			if (acc[i] != acc[i])
				acc[i] = x1_bits_f32(X1_CANONICAL_NAN);
}

static void peak(uint64_t rounds)
{
	static volatile float sink;
	float acc[16] = {0}, x = x1_bits_f32(0x3f7fbe77); /* 0.999 */

	for (uint64_t r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < 16; i++)
			acc[i] = acc[i] * x + x;
	for (unsigned int i = 1; i < 16; i++)
		acc[0] += acc[i];
	sink = acc[0];
	(void)sink;
}

#define PEAK                               \
	{                                  \
		"compiled C", 16 * 2, peak \
	}

const struct x1_mm_path x1_mm_path_portable = {
	.name = "portable",
	.nr = NR,
	.usable = usable,
	.blocks = {.elem = X1_MM_F32, .mr = MR, .run = blocks, .peak = PEAK},
	.fma = {.elem = X1_MM_F32, .mr = MR, .run = fma_rule, .peak = PEAK},
	.ints = {.elem = X1_MM_I16, .mr = MR, .run = ints, .peak = PEAK},
	.scale = scale,
	.scale_exact = scale_exact,
	.transpose = transpose,
	.canonical = canonical,
	.vec = &x1_vec_path_portable,
};
