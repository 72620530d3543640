/* SPDX-License-Identifier: MIT */
/*
 * Matrix product for x86 vectors of VL floats; the including file defines the
 * vector operations. A tile is MR rows of two vectors; the sums of even and odd
 * k stay in registers for a block, the accumulator is touched once per block.
 * Flush-to-zero mode is on (x1_fp_enter), tininess after rounding: the rule.
 */
#include <time.h>

#include "x1_mm_path.h"

#define NR (2 * VL)

static void blocks(const struct x1_mm_tile *t)
{
	const float *b = t->b;

	for (uint32_t k0 = 0; k0 < t->k; k0 += t->block) {
		vec e[MR][2], o[MR][2];

		for (unsigned int i = 0; i < MR; i++)
			e[i][0] = e[i][1] = o[i][0] = o[i][1] = V_ZERO();
		for (uint32_t k = k0; k < k0 + t->block; k += 2, b += 2 * NR) {
			vec b0 = V_LOAD(b), b1 = V_LOAD(b + VL);

			for (unsigned int i = 0; i < MR; i++) {
				vec a = V_SET1(t->a[i][k]);

				e[i][0] = V_FMA(a, b0, e[i][0]);
				e[i][1] = V_FMA(a, b1, e[i][1]);
			}
			b0 = V_LOAD(b + NR);
			b1 = V_LOAD(b + NR + VL);
			for (unsigned int i = 0; i < MR; i++) {
				vec a = V_SET1(t->a[i][k + 1]);

				o[i][0] = V_FMA(a, b0, o[i][0]);
				o[i][1] = V_FMA(a, b1, o[i][1]);
			}
		}
		for (unsigned int i = 0; i < MR; i++) {
			float *acc = t->acc + i * t->acc_stride;

			V_STORE(acc, V_ADD(V_LOAD(acc), V_ADD(e[i][0], o[i][0])));
			V_STORE(acc + VL, V_ADD(V_LOAD(acc + VL), V_ADD(e[i][1], o[i][1])));
		}
	}
}

static void fma_rule(const struct x1_mm_tile *t)
{
	vec acc[MR][2];

	for (unsigned int i = 0; i < MR; i++) {
		acc[i][0] = V_LOAD(t->acc + i * t->acc_stride);
		acc[i][1] = V_LOAD(t->acc + i * t->acc_stride + VL);
	}
	for (uint32_t k = 0; k < t->k; k++) {
		vec b0 = V_LOAD(t->b + (size_t)k * NR), b1 = V_LOAD(t->b + (size_t)k * NR + VL);

		for (unsigned int i = 0; i < MR; i++) {
			vec a = V_SET1(t->a[i][k]);

			acc[i][0] = V_FMA(a, b0, acc[i][0]);
			acc[i][1] = V_FMA(a, b1, acc[i][1]);
		}
	}
	for (unsigned int i = 0; i < MR; i++) {
		V_STORE(t->acc + i * t->acc_stride, acc[i][0]);
		V_STORE(t->acc + i * t->acc_stride + VL, acc[i][1]);
	}
}

static void ints(const struct x1_mm_itile *t)
{
	ivec acc[MR][2];

	for (unsigned int i = 0; i < MR; i++) {
		acc[i][0] = VI_LOAD(t->acc + i * t->acc_stride);
		acc[i][1] = VI_LOAD(t->acc + i * t->acc_stride + VL);
	}
	for (uint32_t k = 0; k < t->k; k += 2) {
		const int16_t *b = t->b + (size_t)k * NR;
		ivec b0 = VI_LOAD(b), b1 = VI_LOAD(b + 2 * VL);

		for (unsigned int i = 0; i < MR; i++) {
			int32_t pair;
			ivec a;

			__builtin_memcpy(&pair, t->a[i] + k, 4);
			a = VI_SET1(pair);
			acc[i][0] = VI_ADD(acc[i][0], VI_MADD(a, b0));
			acc[i][1] = VI_ADD(acc[i][1], VI_MADD(a, b1));
		}
	}
	for (unsigned int i = 0; i < MR; i++) {
		VI_STORE(t->acc + i * t->acc_stride, acc[i][0]);
		VI_STORE(t->acc + i * t->acc_stride + VL, acc[i][1]);
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

static void canonical(float *acc, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acc[i] = acc[i] == acc[i] ? acc[i] : x1_bits_f32(X1_CANONICAL_NAN);
}

/* 8- and 16-bit floats: all pass through the host's FP16 or BF16 conversion. */
static bool unpack(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	size_t i = 0;

	switch (fmt) {
	case X1_FMT_FP16:
		for (; i + VL <= n; i += VL)
			V_STORE(dst + i, V_FROM_HALF(VH_LOAD(src + 2 * i)));
		break;
	case X1_FMT_E5M2:
		for (; i + VL <= n; i += VL)
			V_STORE(dst + i, V_FROM_HALF(VH_SHL(VH_FROM_BYTES(src + i), 8)));
		break;
	case X1_FMT_E4M3:
		/* S.EEEE.MMM as a half with 8 too small an exponent; only 0x7f is special. */
		for (; i + VL <= n; i += VL) {
			vhalf x = VH_FROM_BYTES(src + i);
			vhalf h = VH_OR(VH_SHL(VH_AND(x, 0x80), 8), VH_SHL(VH_AND(x, 0x7f), 7));
			vec v = V_MUL(V_FROM_HALF(h), V_SET1(256.0f));

			V_STORE(dst + i, V_NAN_WHERE(v, x, 0x7f));
		}
		break;
	default:
		return false;
	}
	if (fmt == X1_FMT_FP16)
		x1_unpack_f32(fmt, src + 2 * i, 0, dst + i, n - i);
	else
		x1_unpack_f32(fmt, src + i, 0, dst + i, n - i);
	return true;
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
