// SPDX-License-Identifier: MIT
/*
 * Formats and the matrix product against an oracle of its own: sums are exact
 * in binary128 with an error term and rounded once by hand (REQ-NUM-001..009).
 * Run once per host path (X1_HOST_PATH).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "num/x1_num.h"
#include "oracle.h"
#include "path.h"

static uint32_t rng_state = 1;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

static float operand(enum x1_format fmt, uint32_t code)
{
	float f = x1_decode(fmt, code);

	return fmt == X1_FMT_TF32 ? f32(u32(f) & ~0x1fffu) : f;
}

static uint32_t get(enum x1_format fmt, const uint8_t *p, size_t i)
{
	unsigned int bits = x1_format_bits(fmt);
	uint32_t v = 0;

	for (unsigned int b = 0; b < bits; b++)
		v |= (uint32_t)(p[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b;
	return v;
}

/* Row-major operands, no scales: the rule as the manual writes it. */
static float oracle_dot(enum x1_format fa, const uint8_t *a, enum x1_format fb, const uint8_t *b,
			uint32_t k, float acc)
{
	int wide = fa <= X1_FMT_TF32 || fb <= X1_FMT_TF32;

	if (wide) {
		for (uint32_t i = 0; i < k; i++)
			acc = oracle_fma(operand(fa, get(fa, a, i)), operand(fb, get(fb, b, i)),
					 acc);
		/* The tail of a block is padded with +0 products. */
		for (uint32_t i = k; i % 32; i++)
			acc = oracle_fma(0, 0, acc);
		return canonical(acc);
	}
	for (uint32_t k0 = 0; k0 < k; k0 += 32) {
		float e = 0, o = 0;

		for (uint32_t i = k0; i < k0 + 32; i++) {
			float x = i < k ? operand(fa, get(fa, a, i)) : 0;
			float y = i < k ? operand(fb, get(fb, b, i)) : 0;

			if (i % 2)
				o = oracle_fma(x, y, o);
			else
				e = oracle_fma(x, y, e);
		}
		acc = oracle_fma(oracle_fma(e, 1, o), 1, acc);
	}
	return canonical(acc);
}

static const enum x1_format floats[] = {
	X1_FMT_FP32, X1_FMT_TF32, X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3,
	X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3, X1_FMT_E2M1,
};
#define NUM_FLOATS (sizeof(floats) / sizeof(floats[0]))

/*
 * Random codes. Wild: all of them, infinities and NaNs included. Small:
 * exponents that make sums of products meet the flush threshold.
 */
static void fill(enum x1_format fmt, uint8_t *p, size_t bytes, int mode)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)rnd();
	if (mode == 0 || x1_format_bits(fmt) < 16)
		return;
	for (size_t i = 0; i + 3 < bytes; i += 4) {
		uint32_t v = rnd();

		if (fmt == X1_FMT_FP16) {
			v = (v & 0x83ff83ff) | (mode == 1 ? 0x3c003800 : 0x00000400);
		} else {
			/* Exponents 62..65 of 127: products just around 2^-126. */
			uint32_t exp = mode == 1 ? 126 + rnd() % 4 : 62 + rnd() % 4;

			v = fmt == X1_FMT_BF16 ? (v & 0x807f807f) | exp << 23 | exp << 7
					       : (v & 0x807fffff) | exp << 23;
		}
		memcpy(p + i, &v, 4);
	}
}

static void check_product(enum x1_format fa, enum x1_format fb, uint32_t m, uint32_t n, uint32_t k,
			  int mode, bool accumulate)
{
	size_t sa = (size_t)(k * x1_format_bits(fa) + 31) / 32 * 4;
	size_t sb = (size_t)(k * x1_format_bits(fb) + 31) / 32 * 4;
	uint8_t *a = malloc(m * sa), *b = malloc(n * sb);
	float *acc = malloc((size_t)m * n * 4), *want = malloc((size_t)m * n * 4);
	struct x1_mm_ws *ws = x1_mm_ws_new();
	struct x1_mm_args args = {
		.m = m,
		.n = n,
		.k = k,
		.a = {.base = a, .fmt = fa, .stride = (int64_t)sa},
		.b = {.base = b, .fmt = fb, .stride = (int64_t)sb},
		.accumulate = accumulate,
		.acc = acc,
		.acc_stride = (int64_t)n * 4,
	};

	fill(fa, a, m * sa, mode);
	fill(fb, b, n * sb, mode);
	for (uint32_t i = 0; i < m * n; i++) {
		acc[i] = flush(f32(mode == 2 ? (rnd() & 0x80ffffff) : (rnd() & 0xc0ffffff)));
		want[i] = oracle_dot(fa, a + i / n * sa, fb, b + i % n * sb, k,
				     accumulate ? acc[i] : 0);
	}
	assert_int_equal(x1_mm_legal(fa, fb, 0, 0, 0), X1_FAULT_NONE);
	assert_int_equal(x1_mm(&args, ws), 0);
	for (uint32_t i = 0; i < m * n; i++)
		if (u32(acc[i]) != u32(want[i]))
			fail_msg(
				"formats %d x %d, %ux%ux%u mode %d: [%u,%u] is %08x, rule says %08x",
				fa, fb, m, n, k, mode, i / n, i % n, u32(acc[i]), u32(want[i]));
	x1_mm_ws_free(ws);
	free(a);
	free(b);
	free(acc);
	free(want);
}

/* REQ-NUM-001, -002: every pair of floating formats follows the accumulate rule. */
static void test_products(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_FLOATS; i++) {
		for (size_t j = 0; j < NUM_FLOATS; j++) {
			for (int mode = 0; mode < 3; mode++) {
				check_product(floats[i], floats[j], 7, 35, 96, mode, mode & 1);
				check_product(floats[i], floats[j], 3, 5, 1 + rnd() % 70, mode,
					      !(mode & 1));
			}
		}
	}
}

/* A long k crosses the panels of the host paths. */
static void test_long_k(void **state)
{
	(void)state;
	check_product(X1_FMT_E4M3, X1_FMT_E4M3, 13, 33, 777, 1, true);
	check_product(X1_FMT_FP16, X1_FMT_FP16, 9, 40, 601, 1, false);
	check_product(X1_FMT_FP32, X1_FMT_FP32, 9, 40, 531, 1, false);
}

/* Whole tiles of every host path and what is left beside them. */
static void test_whole_tiles(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_FLOATS; i++)
		for (int mode = 0; mode < 3; mode++)
			check_product(floats[i], floats[(i + (size_t)mode) % NUM_FLOATS], 67, 70,
				      mode ? 96 + rnd() % 40 : 96, mode, mode & 1);
}

/* REQ-NUM-003: integer products are exact and wrap. */
static void test_integers(void **state)
{
	static const enum x1_format ints[] = {X1_FMT_INT8, X1_FMT_INT4};
	struct x1_mm_ws *ws = x1_mm_ws_new();

	(void)state;
	for (int t = 0; t < 40; t++) {
		enum x1_format fa = ints[t & 1], fb = ints[t >> 1 & 1];
		uint32_t m = 1 + rnd() % 70, n = 1 + rnd() % 70, k = 2 * (1 + rnd() % 150);
		static uint8_t a[70 * 304], b[70 * 304];
		static int32_t acc[70 * 70], want[70 * 70];
		int64_t sa = k * x1_format_bits(fa) / 8, sb = k * x1_format_bits(fb) / 8;
		struct x1_mm_args args = {
			.m = m,
			.n = n,
			.k = k,
			.a = {.base = a, .fmt = fa, .stride = sa},
			.b = {.base = b, .fmt = fb, .stride = sb},
			.accumulate = true,
			.acc = acc,
			.acc_stride = n * 4,
		};

		fill(fa, a, sizeof(a), 0);
		fill(fb, b, sizeof(b), 0);
		for (uint32_t i = 0; i < m * n; i++) {
			uint32_t sum = rnd();

			acc[i] = (int32_t)sum;
			for (uint32_t x = 0; x < k; x++)
				sum += (uint32_t)((int32_t)x1_decode(fa,
								     get(fa, a + i / n * sa, x)) *
						  (int32_t)x1_decode(fb,
								     get(fb, b + i % n * sb, x)));
			want[i] = (int32_t)sum;
		}
		assert_int_equal(x1_mm(&args, ws), 0);
		assert_memory_equal(acc, want, m * n * 4);
	}
	x1_mm_ws_free(ws);
}

/* REQ-NUM-004: a transposed operand gives the same bits. */
static void test_transposed(void **state)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();
	uint8_t a[50 * 64], at[64 * 50], b[40 * 64], bt[64 * 40];
	float c[50 * 40], ct[50 * 40];
	struct x1_mm_args args = {
		.m = 50,
		.n = 40,
		.k = 64,
		.a = {.base = a, .fmt = X1_FMT_E5M2, .stride = 64},
		.b = {.base = b, .fmt = X1_FMT_E4M3, .stride = 64},
		.acc = c,
		.acc_stride = 160,
	};

	(void)state;
	fill(X1_FMT_E5M2, a, sizeof(a), 0);
	fill(X1_FMT_E4M3, b, sizeof(b), 0);
	for (int k = 0; k < 64; k++) {
		for (int i = 0; i < 50; i++)
			at[k * 50 + i] = a[i * 64 + k];
		for (int i = 0; i < 40; i++)
			bt[k * 40 + i] = b[i * 64 + k];
	}
	assert_int_equal(x1_mm(&args, ws), 0);
	args.a =
		(struct x1_mm_operand){.base = at, .fmt = X1_FMT_E5M2, .stride = 50, .trans = true};
	args.b =
		(struct x1_mm_operand){.base = bt, .fmt = X1_FMT_E4M3, .stride = 40, .trans = true};
	args.acc = ct;
	assert_int_equal(x1_mm(&args, ws), 0);
	assert_memory_equal(c, ct, sizeof(c));
	x1_mm_ws_free(ws);
}

/* REQ-NUM-005: sparse B gives the bits of the dense product of B decompressed. */
static void test_sparse(void **state)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();

	(void)state;
	for (int s = X1_SPARSE_2_4; s < X1_SPARSE_COUNT; s++) {
		enum {
			M = 5,
			N = 37,
			K = 64
		};
		uint32_t stored = x1_sparse_stored(s, K), group = x1_sparse_group(s);
		uint32_t bits = x1_sparse_index_bits(s), kept = stored * group / K;
		uint8_t a[M * K], b[N * K] = {0}, bs[N * K], meta[N * 32] = {0};
		float c[M * N], cs[M * N];
		struct x1_mm_args args = {
			.m = M,
			.n = N,
			.k = K,
			.a = {.base = a, .fmt = X1_FMT_E4M3, .stride = K},
			.b = {.base = b, .fmt = X1_FMT_E4M3, .stride = K},
			.acc = c,
			.acc_stride = N * 4,
		};

		fill(X1_FMT_E4M3, a, sizeof(a), 0);
		fill(X1_FMT_E4M3, bs, sizeof(bs), 0);
		for (uint32_t r = 0; r < N; r++) {
			for (uint32_t i = 0; i < stored; i++) {
				/* Two places of a group differ: low and high half. */
				uint32_t at = kept == 1 ? rnd() % group
							: (i % 2) * group / 2 + rnd() % (group / 2);

				for (uint32_t x = 0; x < bits; x++)
					meta[r * 32 + (i * bits + x) / 8] |=
						(uint8_t)((at >> x & 1) << (i * bits + x) % 8);
				b[r * K + i / kept * group + at] = bs[r * stored + i];
			}
		}
		assert_int_equal(x1_mm(&args, ws), 0);
		args.b.base = bs;
		args.b.stride = stored;
		args.sparsity = (enum x1_sparsity)s;
		args.meta = meta;
		args.meta_stride = 32;
		args.acc = cs;
		assert_int_equal(x1_mm(&args, ws), 0);
		assert_memory_equal(c, cs, sizeof(c));
	}
	x1_mm_ws_free(ws);
}

static float mx_scale(uint8_t a, uint8_t b)
{
	int e = (int)a + b - 254;

	if (a == 0xff || b == 0xff)
		return f32(0x7fc00000);
	if (e > 127)
		return __builtin_inff();
	return e < -126 ? 0 : f32((uint32_t)(e + 127) << 23);
}

/* REQ-NUM-006, -007: block scales, p over the block, acc = fma(p, s, acc). */
static void test_scales(void **state)
{
	static const struct {
		enum x1_scale_mode mode;
		enum x1_format fmt;
		uint32_t block, sum;
	} cases[] = {
		{X1_SCALE_F32_1X128, X1_FMT_E4M3, 128, 32},
		{X1_SCALE_F32_128X128, X1_FMT_E4M3, 128, 32},
		{X1_SCALE_MX32, X1_FMT_E5M2, 32, 32},
		{X1_SCALE_MX32, X1_FMT_E2M3, 32, 32},
		{X1_SCALE_NV16, X1_FMT_E2M1, 16, 16},
	};
	struct x1_mm_ws *ws = x1_mm_ws_new();

	(void)state;
	for (size_t t = 0; t < sizeof(cases) / sizeof(cases[0]); t++) {
		enum {
			M = 5,
			N = 19,
			K = 320,
			K0 = 32
		};
		enum x1_format fmt = cases[t].fmt;
		uint32_t row = K * x1_format_bits(fmt) / 8, block = cases[t].block;
		bool f = cases[t].mode <= X1_SCALE_F32_128X128;
		uint8_t a[M * K], b[N * K], sa[M * 96], sb[N * 96];
		float c[M * N];
		struct x1_mm_args args = {
			.m = M,
			.n = N,
			.k = K,
			.k0 = K0,
			.a = {a, fmt, false, row, 0, 0, cases[t].mode, sa, 96},
			.b = {b, fmt, false, row, 0, 0, cases[t].mode, sb, 96},
			.acc = c,
			.acc_stride = N * 4,
		};

		fill(fmt, a, sizeof(a), 0);
		fill(fmt, b, sizeof(b), 0);
		for (size_t i = 0; i < sizeof(sa); i += 4) {
			uint32_t v = f ? u32(1.0f + (float)(rnd() % 999) / 999) : rnd();

			memcpy(sa + i, &v, 4);
		}
		for (size_t i = 0; i < sizeof(sb); i += 4) {
			uint32_t v = f ? u32(0.1f + (float)(rnd() % 999) / 999)
				       : rnd() & 0x9f9f9f9f;

			memcpy(sb + i, &v, 4);
		}
		assert_int_equal(x1_mm_legal(fmt, fmt, args.a.scale, args.b.scale, 0), 0);
		assert_int_equal(x1_mm(&args, ws), 0);
		for (uint32_t i = 0; i < M * N; i++) {
			uint32_t ra = i / N, rb = i % N;
			float acc = 0;

			for (uint32_t k = 0; k < K;) {
				uint32_t end = k + block - (K0 + k) % block;
				uint32_t idx = (K0 + k) / block - K0 / block;
				float p = 0, s, x, y;

				for (; k < end && k < K; k += cases[t].sum) {
					float e = 0, o = 0;

					for (uint32_t q = k; q < k + cases[t].sum; q++) {
						x = operand(fmt, get(fmt, a + ra * row, q));
						y = operand(fmt, get(fmt, b + rb * row, q));
						if (q % 2)
							o = oracle_fma(x, y, o);
						else
							e = oracle_fma(x, y, e);
					}
					p = oracle_fma(oracle_fma(e, 1, o), 1, p);
				}
				if (args.a.scale == X1_SCALE_F32_128X128)
					ra = rb = 0;
				if (f) {
					memcpy(&x, sa + ra * 96 + idx * 4, 4);
					memcpy(&y, sb + rb * 96 + idx * 4, 4);
					s = oracle_fma(x, y, 0);
				} else if (args.a.scale == X1_SCALE_MX32) {
					s = mx_scale(sa[ra * 96 + idx], sb[rb * 96 + idx]);
				} else {
					s = x1_decode(X1_FMT_E4M3, sa[ra * 96 + idx]) *
					    x1_decode(X1_FMT_E4M3, sb[rb * 96 + idx]);
				}
				acc = oracle_fma(p, s, acc);
				ra = i / N;
				rb = i % N;
			}
			if (u32(canonical(acc)) != u32(c[i]))
				fail_msg("scale case %zu [%u]: %08x, rule says %08x", t, i,
					 u32(c[i]), u32(canonical(acc)));
		}
	}
	x1_mm_ws_free(ws);
}

/* Combinations that the manual forbids. */
static void test_legal(void **state)
{
	(void)state;
	assert_int_equal(x1_mm_legal(X1_FMT_INT8, X1_FMT_E4M3, 0, 0, 0), X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_E8M0, X1_FMT_E4M3, 0, 0, 0), X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_COUNT, X1_FMT_E4M3, 0, 0, 0), X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_FP32, X1_FMT_FP32, X1_SCALE_MX32, 0, 0),
			 X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_E4M3, X1_FMT_E4M3, X1_SCALE_NV16, 0, 0),
			 X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_E4M3, X1_FMT_E2M1, 0, 0, X1_SPARSE_COUNT),
			 X1_FAULT_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_products),    cmocka_unit_test(test_long_k),
		cmocka_unit_test(test_whole_tiles), cmocka_unit_test(test_integers),
		cmocka_unit_test(test_transposed),  cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_scales),      cmocka_unit_test(test_legal),
	};

	return run_on_path("numerics", tests, sizeof(tests) / sizeof(tests[0]));
}
