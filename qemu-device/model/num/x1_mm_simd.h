/* SPDX-License-Identifier: MIT */
/*
 * Matrix product for x86 vectors of VL floats; the including file defines the
 * vector operations. A tile is MR rows of two vectors. By the accumulate rule
 * the sums of even and odd k stay in registers for a block and the accumulator
 * is touched once per block; by the fma rule it stays in registers, twice as
 * many rows of them. Flush-to-zero mode is on (x1_fp_enter), tininess after
 * rounding: the rule.
 */
#include <time.h>

#include "x1_mm_path.h"

#define NR (2 * VL)

static inline const uint8_t *a_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (const uint8_t *)t->a + i * t->a_stride;
}

static inline void *acc_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (uint8_t *)t->acc + i * t->acc_stride;
}

/* Element k of a row; operands used in place have no alignment. */
static inline vec a_at(const uint8_t *row, uint32_t k)
{
	float f;

	__builtin_memcpy(&f, row + 4 * (size_t)k, 4);
	return V_SET1(f);
}

static void blocks(const struct x1_mm_tile *t)
{
	const float *b = t->b;
	const uint8_t *a[MR];

	for (unsigned int i = 0; i < MR; i++)
		a[i] = a_row(t, i);
	for (uint32_t k0 = 0; k0 < t->k; k0 += t->block) {
		vec e[MR][2], o[MR][2];

		for (unsigned int i = 0; i < MR; i++)
			e[i][0] = e[i][1] = o[i][0] = o[i][1] = V_ZERO();
		for (uint32_t k = k0; k < k0 + t->block; k += 2, b += 2 * NR) {
			vec b0 = V_LOAD(b), b1 = V_LOAD(b + VL);

			for (unsigned int i = 0; i < MR; i++) {
				vec x = a_at(a[i], k);

				e[i][0] = V_FMA(x, b0, e[i][0]);
				e[i][1] = V_FMA(x, b1, e[i][1]);
			}
			b0 = V_LOAD(b + NR);
			b1 = V_LOAD(b + NR + VL);
			for (unsigned int i = 0; i < MR; i++) {
				vec x = a_at(a[i], k + 1);

				o[i][0] = V_FMA(x, b0, o[i][0]);
				o[i][1] = V_FMA(x, b1, o[i][1]);
			}
		}
		for (unsigned int i = 0; i < MR; i++) {
			float *acc = acc_row(t, i);

			V_STORE(acc, V_ADD(V_LOAD(acc), V_ADD(e[i][0], o[i][0])));
			V_STORE(acc + VL, V_ADD(V_LOAD(acc + VL), V_ADD(e[i][1], o[i][1])));
		}
	}
}

static void fma_rule(const struct x1_mm_tile *t)
{
	const float *b = t->b;
	const uint8_t *a = t->a;
	vec acc[2 * MR][2];

	for (unsigned int i = 0; i < 2 * MR; i++) {
		acc[i][0] = V_LOAD(acc_row(t, i));
		acc[i][1] = V_LOAD((float *)acc_row(t, i) + VL);
	}
	for (uint32_t k = 0; k < t->k; k++, a += 4, b += NR) {
		vec b0 = V_LOAD(b), b1 = V_LOAD(b + VL);

		for (unsigned int i = 0; i < 2 * MR; i++) {
			vec x = a_at(a + i * t->a_stride, 0);

			acc[i][0] = V_FMA(x, b0, acc[i][0]);
			acc[i][1] = V_FMA(x, b1, acc[i][1]);
		}
	}
	for (unsigned int i = 0; i < 2 * MR; i++) {
		V_STORE(acc_row(t, i), acc[i][0]);
		V_STORE((float *)acc_row(t, i) + VL, acc[i][1]);
	}
}

static void ints(const struct x1_mm_tile *t)
{
	const int16_t *b = t->b;
	const uint8_t *a = t->a;
	ivec acc[2 * MR][2];

	for (unsigned int i = 0; i < 2 * MR; i++) {
		acc[i][0] = VI_LOAD(acc_row(t, i));
		acc[i][1] = VI_LOAD((int32_t *)acc_row(t, i) + VL);
	}
	for (uint32_t k = 0; k < t->k; k += 2, a += 4, b += 2 * NR) {
		ivec b0 = VI_LOAD(b), b1 = VI_LOAD(b + 2 * VL);

		for (unsigned int i = 0; i < 2 * MR; i++) {
			int32_t pair;
			ivec x;

			__builtin_memcpy(&pair, a + i * t->a_stride, 4);
			x = VI_SET1(pair);
			acc[i][0] = VI_ADD(acc[i][0], VI_MADD(x, b0));
			acc[i][1] = VI_ADD(acc[i][1], VI_MADD(x, b1));
		}
	}
	for (unsigned int i = 0; i < 2 * MR; i++) {
		VI_STORE(acc_row(t, i), acc[i][0]);
		VI_STORE((int32_t *)acc_row(t, i) + VL, acc[i][1]);
	}
}

static void scale(float *acc, const float *p, const float *s, size_t n)
{
	/* n is a multiple of NR. */
	for (size_t i = 0; i < n; i += VL)
		V_STORE(acc + i, V_FMA(V_LOAD(p + i), V_LOAD(s + i), V_LOAD(acc + i)));
}

static void mul(float *s, float a, const float *b)
{
	for (unsigned int i = 0; i < NR; i += VL)
		V_STORE(s + i, V_MUL(V_SET1(a), V_LOAD(b + i)));
}

static void canonical(float *acc)
{
	/* Rarely anything: the row is written only then. */
	if (V_HAS_NAN(V_LOAD(acc)) | V_HAS_NAN(V_LOAD(acc + VL)))
		for (unsigned int i = 0; i < NR; i++)
			acc[i] = acc[i] == acc[i] ? acc[i] : x1_bits_f32(X1_CANONICAL_NAN);
}

/* PEAK_ACCS independent sums in registers, in assembly: nothing a compiler could spill. */
static double peak(unsigned int ms)
{
	static const float x = 0.999f;
	struct timespec t0, t1;
	double ops = 0, s;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		uint64_t rounds = 20000;

		__asm__ volatile("vbroadcastss %1, %%" PEAK_REG "15\n"
				 ".irp r," PEAK_LIST "\n"
				 "vmovaps %%" PEAK_REG "15, %%" PEAK_REG "\\r\n"
				 ".endr\n"
				 "1:\n"
				 ".irp r," PEAK_LIST "\n"
				 "vfmadd213ps %%" PEAK_REG "15, %%" PEAK_REG "15, %%" PEAK_REG
				 "\\r\n"
				 ".endr\n"
				 "dec %0\n"
				 "jnz 1b\n"
				 : "+r"(rounds)
				 : "m"(x)
				 : PEAK_CLOBBERS, "cc");
		ops += 20000.0 * PEAK_ACCS * VL * 2;
		clock_gettime(CLOCK_MONOTONIC, &t1);
		s = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
	} while (s * 1000 < ms);
	return ops / s;
}
