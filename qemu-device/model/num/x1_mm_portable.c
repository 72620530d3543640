// SPDX-License-Identifier: MIT
/* Matrix product in portable C: slow, and the yardstick of exactness. */
#include <string.h>
#include <time.h>

#include "x1_flush.h"
#include "x1_mm_path.h"

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

static void scale(float *acc, const float *p, const float *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acc[i] = x1_fma(p[i], s[i], acc[i]);
}

static void mul(float *s, float a, const float *b)
{
	for (unsigned int i = 0; i < NR; i++)
		s[i] = x1_mul(a, b[i]);
}

static void transpose(const void *const *rows, void *dst, uint32_t k)
{
	for (unsigned int j = 0; j < NR; j++)
		for (uint32_t i = 0; i < k; i++)
			memcpy((uint8_t *)dst + ((size_t)i * NR + j) * 4,
			       (const uint8_t *)rows[j] + (size_t)i * 4, 4);
}

static void canonical(float *acc)
{
	for (unsigned int i = 0; i < NR; i++)
		if (acc[i] != acc[i])
			acc[i] = x1_bits_f32(X1_CANONICAL_NAN);
}

static double peak(unsigned int ms)
{
	struct timespec a, b;
	double ops = 0, s;
	float acc[16] = {0}, x = x1_bits_f32(0x3f800001u);

	clock_gettime(CLOCK_MONOTONIC, &a);
	do {
		for (unsigned int r = 0; r < 1000; r++)
			for (unsigned int i = 0; i < 16; i++)
				acc[i] = acc[i] * x + x;
		ops += 1000.0 * 16 * 2;
		clock_gettime(CLOCK_MONOTONIC, &b);
		s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	} while (s * 1000 < ms);
	for (unsigned int i = 1; i < 16; i++)
		acc[0] += acc[i];
	/* The sum keeps the loop alive: it is never negative. */
	return acc[0] < 0 ? 0 : ops / s;
}

const struct x1_mm_path x1_mm_path_portable = {
	.name = "portable",
	.nr = NR,
	.usable = usable,
	.blocks = {X1_MM_F32, MR, false, blocks},
	.fma = {X1_MM_F32, MR, false, fma_rule},
	.ints = {X1_MM_I16, MR, false, ints},
	.scale = scale,
	.mul = mul,
	.transpose = transpose,
	.canonical = canonical,
	.peak = peak,
	.vec = &x1_vec_path_portable,
};
