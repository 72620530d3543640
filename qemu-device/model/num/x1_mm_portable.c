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

static void blocks(const struct x1_mm_tile *t)
{
	for (uint32_t k0 = 0; k0 < t->k; k0 += t->block) {
		for (unsigned int i = 0; i < MR; i++) {
			for (unsigned int j = 0; j < NR; j++) {
				float *acc = &t->acc[i * t->acc_stride + j];
				float e = 0, o = 0;

				for (uint32_t k = k0; k < k0 + t->block; k += 2) {
					e = x1_fma(t->a[i][k], t->b[k * NR + j], e);
					o = x1_fma(t->a[i][k + 1], t->b[(k + 1) * NR + j], o);
				}
				*acc = x1_add(*acc, x1_add(e, o));
			}
		}
	}
}

static void fma_rule(const struct x1_mm_tile *t)
{
	for (unsigned int i = 0; i < MR; i++) {
		for (unsigned int j = 0; j < NR; j++) {
			float acc = t->acc[i * t->acc_stride + j];

			for (uint32_t k = 0; k < t->k; k++)
				acc = x1_fma(t->a[i][k], t->b[k * NR + j], acc);
			t->acc[i * t->acc_stride + j] = acc;
		}
	}
}

static void ints(const struct x1_mm_itile *t)
{
	for (unsigned int i = 0; i < MR; i++) {
		for (unsigned int j = 0; j < NR; j++) {
			uint32_t acc = (uint32_t)t->acc[i * t->acc_stride + j];

			for (uint32_t k = 0; k < t->k; k++)
				acc += (uint32_t)(t->a[i][k] * t->b[(k / 2 * NR + j) * 2 + k % 2]);
			t->acc[i * t->acc_stride + j] = (int32_t)acc;
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

static bool unpack(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	(void)fmt, (void)src, (void)dst, (void)n;
	return false;
}

static void transpose(const void *const *rows, void *dst, uint32_t k)
{
	for (unsigned int j = 0; j < NR; j++)
		for (uint32_t i = 0; i < k; i++)
			memcpy((uint8_t *)dst + ((size_t)i * NR + j) * 4,
			       (const uint8_t *)rows[j] + (size_t)i * 4, 4);
}

static void to_i16(const float *src, int16_t *dst, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (int16_t)src[i];
}

static void canonical(float *acc, size_t n)
{
	for (size_t i = 0; i < n; i++)
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
	.mr = MR,
	.nr = NR,
	.usable = usable,
	.blocks = blocks,
	.fma = fma_rule,
	.ints = ints,
	.scale = scale,
	.mul = mul,
	.unpack = unpack,
	.transpose = transpose,
	.to_i16 = to_i16,
	.canonical = canonical,
	.peak = peak,
	.vec = &x1_vec_path_portable,
};
