// SPDX-License-Identifier: MIT
/*
 * VECTOR: basic operations and reductions bit for bit against the exact oracle,
 * functions against long double with their error in ulp, and one hash of the
 * bits per function that every host path must give. Run once per X1_HOST_PATH;
 * X1_SWEEP_STEP=1 visits all 2^32 arguments (minutes per function).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "num/x1_num.h"
#include "oracle.h"
#include "path.h"
#include "x1/x1_isa.h"

static const uint32_t special[] = {
	0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x80800000, 0x00800001,
	0x00ffffff, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x40000000, 0x40490fdb,
	0x42b17218, 0x42b17217, 0xc2aeac50, 0xc2aeac4f, 0x41500000, 0xc1500000, 0x4b800000,
	0x5f000000, 0x1f800000, 0x20000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
	0x7fc00000, 0xffc00001, 0x7f800001, 0x7e800000, 0xfe800000, 0x4c000000, 0x4bffffff,
};
#define NUM_SPECIAL (sizeof(special) / sizeof(special[0]))

static uint32_t rng_state = 88172645;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

/* Any bits, near 1, or with an exponent that makes results meet the flush threshold. */
static float any(unsigned int i)
{
	uint32_t u = rnd();

	switch (i % 4) {
	case 0:
		return f32(rnd() % 3 ? u : special[u % NUM_SPECIAL]);
	case 1:
		return f32((u & 0x80ffffff) | 0x3f000000);
	case 2:
		return f32((u & 0x807fffff) | (62 + rnd() % 4) << 23);
	default:
		return f32((u & 0x807fffff) | (rnd() % 6) << 23);
	}
}

static float oracle_div(float a, float b)
{
	if (!finite32(a) || !finite32(b) || a == 0 || b == 0)
		return a / b;
	/* binary128 holds more than twice the bits: rounding twice is harmless. */
	return round24((quad)a / b);
}

static float oracle_max(float a, float b)
{
	if (a != a || b != b)
		return NAN;
	if (a == 0 && b == 0)
		return u32(a) >> 31 ? b : a;
	return a > b ? a : b;
}

static float oracle_binary(unsigned int op, float a, float b)
{
	a = flush(a);
	b = flush(b);
	switch (op) {
	case X1_VEC_ADD:
		return oracle_fma(a, 1, b);
	case X1_VEC_SUB:
		return oracle_fma(b, -1, a);
	case X1_VEC_MUL:
		/* The addend has the product's sign, so a zero keeps it. */
		return oracle_fma(a, b, f32((u32(a) ^ u32(b)) & 0x80000000));
	case X1_VEC_DIV:
		return oracle_div(a, b);
	case X1_VEC_MIN:
		return -oracle_max(-a, -b);
	case X1_VEC_MAX:
		return oracle_max(a, b);
	case X1_VEC_CMPLT:
		return a < b;
	case X1_VEC_CMPLE:
		return a <= b;
	default:
		return a == b;
	}
}

#define N 4001

/* REQ-NUM-020, -021: two and three operands, exact, flushed, canonical NaN. */
static void test_exact(void **state)
{
	static float a[N], b[N], c[N], y[N];
	float want;

	(void)state;
	for (unsigned int op = X1_VEC_ADD; op <= X1_VEC_CMPEQ; op++) {
		for (unsigned int round = 0; round < 40; round++) {
			for (unsigned int i = 0; i < N; i++) {
				a[i] = any(rnd());
				b[i] = rnd() % 8 ? any(rnd()) : f32(u32(a[i]) ^ rnd() << 31);
			}
			x1_vec_binary(op, y, a, b, N);
			for (unsigned int i = 0; i < N; i++) {
				want = canonical(oracle_binary(op, a[i], b[i]));
				if (u32(y[i]) != u32(want))
					fail_msg("op %u (%08x, %08x) = %08x, rule says %08x", op,
						 u32(a[i]), u32(b[i]), u32(y[i]), u32(want));
			}
		}
	}
	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < N; i++) {
			a[i] = any(rnd());
			b[i] = any(rnd());
			/* Often the negated product, so that sums cancel. */
			c[i] = i % 3 ? any(rnd()) : -a[i] * b[i];
		}
		x1_vec_ternary(X1_VEC_FMA, y, a, b, c, N);
		for (unsigned int i = 0; i < N; i++) {
			want = canonical(oracle_fma(flush(a[i]), flush(b[i]), flush(c[i])));
			if (u32(y[i]) != u32(want))
				fail_msg("fma (%08x, %08x, %08x) = %08x, rule says %08x", u32(a[i]),
					 u32(b[i]), u32(c[i]), u32(y[i]), u32(want));
		}
		x1_vec_ternary(X1_VEC_SELECT, y, a, b, c, N);
		for (unsigned int i = 0; i < N; i++)
			assert_int_equal(u32(y[i]),
					 u32(canonical(flush(flush(a[i]) != 0 ? b[i] : c[i]))));
	}
}

/* REQ-NUM-022: one operand, exact. */
static void test_unary(void **state)
{
	static float a[N], y[N];

	(void)state;
	for (unsigned int op = X1_VEC_MOV; op <= X1_VEC_SQRT; op++) {
		for (unsigned int round = 0; round < 40; round++) {
			for (unsigned int i = 0; i < N; i++)
				a[i] = any(rnd());
			x1_vec_unary(op, y, a, N);
			for (unsigned int i = 0; i < N; i++) {
				float x = flush(a[i]), want;

				switch (op) {
				case X1_VEC_NEG:
					want = -x;
					break;
				case X1_VEC_ABS:
					want = fabsf(x);
					break;
				case X1_VEC_RELU:
					want = x > 0 || x != x ? x : 0;
					break;
				case X1_VEC_RECIP:
					want = oracle_div(1, x);
					break;
				case X1_VEC_SQRT:
					want = sqrtf(x);
					break;
				default:
					want = x;
					break;
				}
				if (u32(y[i]) != u32(canonical(want)))
					fail_msg("op %u (%08x) = %08x, rule says %08x", op,
						 u32(a[i]), u32(y[i]), u32(canonical(want)));
			}
		}
	}
}

/* ---- functions ---- */

static long double ref_rsqrt(long double x)
{
	return 1 / sqrtl(x);
}

static long double ref_sigmoid(long double x)
{
	return 1 / (1 + expl(-x));
}

static long double ref_gelu(long double x)
{
	return isinf(x) ? (x < 0 ? -0.0L : x) : 0.5L * x * erfcl(-x * 0.70710678118654752440L);
}

static long double ref_silu(long double x)
{
	return isinf(x) ? (x < 0 ? -0.0L : x) : x / (1 + expl(-x));
}

static const struct function {
	const char *name;
	unsigned int op;
	long double (*ref)(long double x);
	uint64_t hash; /* FNV-1a over the results of the default sweep */
} functions[] = {
	{"rsqrt", X1_VEC_RSQRT, ref_rsqrt, 0x86ad5298ec48b963},
	{"exp", X1_VEC_EXP, expl, 0x8b0c89f056bc5732},
	{"log", X1_VEC_LOG, logl, 0x2201cd70862ae3be},
	{"sigmoid", X1_VEC_SIGMOID, ref_sigmoid, 0xe1ebb4cbba0ba8c7},
	{"tanh", X1_VEC_TANH, tanhl, 0x087ced6abd8bb666},
	{"gelu", X1_VEC_GELU, ref_gelu, 0x09e1a5dcb6f8f695},
	{"silu", X1_VEC_SILU, ref_silu, 0xa02e2cb6ae47bd78},
	{"sin", X1_VEC_SIN, sinl, 0xaa8ada0f98326cba},
	{"cos", X1_VEC_COS, cosl, 0x1a449e9d75b2bd98},
};
#define NUM_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

/* Stated in the manual for all functions: units in the last place. */
#define MAX_ULP 0.501

#define SWEEP_STEP 4093

/* Error of got against the real value r; -1 = wrong in kind. */
static double ulp_error(float got, long double r)
{
	int e;

	if (isnan(r))
		return u32(got) == 0x7fc00000 ? 0 : -1;
	if (fabsl(r) < 0x1p-126L - 0x1p-151L)
		return u32(got) == (signbit(r) ? 0x80000000 : 0) ? 0 : -1;
	if (fabsl(r) >= 0x1p128L - 0x1p103L)
		return isinf(got) && (got > 0) == (r > 0) ? 0 : -1;
	if (!finite32(got))
		return -1;
	frexpl(r, &e);
	return (double)(fabsl(got - r) / ldexpl(1, e - 24));
}

/* REQ-NUM-023, -024: stated error, stated special values, the same bits on every host. */
static void test_functions(void **state)
{
	const char *env = getenv("X1_SWEEP_STEP");
	uint64_t stride = env ? strtoull(env, NULL, 0) : SWEEP_STEP;
	static float a[N], y[N];
	bool same = true;

	(void)state;
	assert_true(stride > 0);
	for (size_t f = 0; f < NUM_FUNCTIONS; f++) {
		uint64_t hash = 0xcbf29ce484222325u, u = 0;
		double worst = 0;
		uint32_t worst_at = 0;

		while (u >> 32 == 0) {
			unsigned int n = 0;

			/* The special values come first. */
			for (; u == 0 && n < NUM_SPECIAL; n++)
				a[n] = f32(special[n]);
			for (; n < N && u >> 32 == 0; u += stride)
				a[n++] = f32((uint32_t)u);
			x1_vec_unary(functions[f].op, y, a, n);
			for (unsigned int i = 0; i < n; i++) {
				double err = ulp_error(y[i], functions[f].ref(flush(a[i])));

				if (err < 0)
					fail_msg("%s(%08x) = %08x, real value %La",
						 functions[f].name, u32(a[i]), u32(y[i]),
						 functions[f].ref(flush(a[i])));
				if (err > worst) {
					worst = err;
					worst_at = u32(a[i]);
				}
				for (unsigned int s = 0; s < 32; s += 8)
					hash = (hash ^ (u32(y[i]) >> s & 0xff)) * 0x100000001b3u;
			}
		}
		print_message("# %-8s largest error %.6f ulp at %08x, hash %016llx\n",
			      functions[f].name, worst, worst_at, (unsigned long long)hash);
		assert_true(worst <= MAX_ULP);
		same &= stride != SWEEP_STEP || hash == functions[f].hash;
	}
	assert_true(same);
}

/* Tails of any length, in place, leave what lies behind alone. */
static void test_lengths(void **state)
{
	float a[200], b[200], y[200], in_place[200];

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		a[i] = any(1);
		b[i] = any(1);
	}
	for (unsigned int n = 0; n < 150; n++) {
		memset(y, 0x5a, sizeof(y));
		x1_vec_unary(X1_VEC_EXP, y, a, n);
		memcpy(in_place, a, sizeof(a));
		x1_vec_unary(X1_VEC_EXP, in_place, in_place, n);
		assert_memory_equal(y, in_place, n * 4);
		assert_memory_equal(in_place + n, a + n, (200 - n) * 4);
		assert_int_equal(u32(y[n]), 0x5a5a5a5a);
		x1_vec_binary(X1_VEC_MUL, y, a, b, n);
		memcpy(in_place, b, sizeof(b));
		x1_vec_binary(X1_VEC_MUL, in_place, a, in_place, n);
		assert_memory_equal(y, in_place, n * 4);
		assert_memory_equal(in_place + n, b + n, (200 - n) * 4);
		memcpy(in_place, b, sizeof(b));
		x1_vec_ternary(X1_VEC_FMA, y, a, a, b, n);
		x1_vec_ternary(X1_VEC_FMA, in_place, a, a, in_place, n);
		assert_memory_equal(y, in_place, n * 4);
	}
}

/* ---- reductions ---- */

static uint32_t oracle_reduce(unsigned int op, const float *a, size_t n)
{
	float lane[64];
	size_t best = 0;

	for (unsigned int l = 0; l < 64; l++) {
		lane[l] = op == X1_VEC_RMAX ? -INFINITY : op == X1_VEC_RMIN ? INFINITY : 0;
		for (size_t i = l; i < n; i += 64) {
			float x = flush(a[i]);

			if (op == X1_VEC_RSUM)
				lane[l] = oracle_fma(x, 1, lane[l]);
			else if (op == X1_VEC_RSUMSQ)
				lane[l] = oracle_fma(x, x, lane[l]);
			else if (op == X1_VEC_RMIN)
				lane[l] = -oracle_max(-lane[l], -x);
			else
				lane[l] = oracle_max(lane[l], op == X1_VEC_RMAX ? x : fabsf(x));
		}
	}
	for (unsigned int half = 32; half; half /= 2)
		for (unsigned int l = 0; l < half; l++)
			lane[l] = op == X1_VEC_RSUM || op == X1_VEC_RSUMSQ
					  ? oracle_fma(lane[l], 1, lane[l + half])
				  : op == X1_VEC_RMIN ? -oracle_max(-lane[l], -lane[l + half])
						      : oracle_max(lane[l], lane[l + half]);
	if (op != X1_VEC_RARGMAX)
		return u32(canonical(lane[0]));
	for (size_t i = n; i-- > 0;) {
		/* From the end, so that the last one found is the first. */
		if (a[best] == a[best] && (a[i] != a[i] || flush(a[i]) >= flush(a[best])))
			best = i;
		else if (a[i] != a[i])
			best = i;
	}
	return (uint32_t)best;
}

/* REQ-NUM-025, -027: the order of a sum, and what NaN and zeros do in maxima. */
static void test_reductions(void **state)
{
	static float a[700];

	(void)state;
	for (unsigned int op = X1_VEC_RSUM; op <= X1_VEC_RMIN; op++) {
		for (unsigned int round = 0; op != X1_VEC_RSUMSQD && round < 700; round++) {
			size_t n = 1 + (round < 200 ? round : rnd() % 700);
			uint32_t got, want;

			for (size_t i = 0; i < n; i++)
				do
					a[i] = any(round % 3 ? 1 : i & ~2u);
				while (round % 5 && a[i] != a[i]);
			if (op == X1_VEC_RARGMAX && round % 2)
				a[rnd() % n] = a[rnd() % n];
			got = x1_vec_reduce(op, a, n);
			want = oracle_reduce(op, a, n);
			if (got != want)
				fail_msg("reduction %u of %zu: %08x, rule says %08x", op, n, got,
					 want);
		}
	}
}

/* REQ-NUM-026: INT32 wraps. */
static void test_integers(void **state)
{
	static const int32_t a[] = {INT32_MAX, INT32_MIN, -5, 70000, 0, 3};
	static const int32_t b[] = {1, -1, 7, 70000, 0, -3};
	static const int32_t c[] = {10, 20, 30, 40, 50, 60};
	static const struct {
		unsigned int op;
		int32_t want[6];
	} cases[] = {
		{X1_VEC_MOV, {INT32_MAX, INT32_MIN, -5, 70000, 0, 3}},
		{X1_VEC_NEG, {-INT32_MAX, INT32_MIN, 5, -70000, 0, -3}},
		{X1_VEC_ABS, {INT32_MAX, INT32_MIN, 5, 70000, 0, 3}},
		{X1_VEC_RELU, {INT32_MAX, 0, 0, 70000, 0, 3}},
		{X1_VEC_ADD, {INT32_MIN, INT32_MAX, 2, 140000, 0, 0}},
		{X1_VEC_SUB, {INT32_MAX - 1, INT32_MIN + 1, -12, 0, 0, 6}},
		{X1_VEC_MUL, {INT32_MAX, INT32_MIN, -35, 605032704, 0, -9}},
		{X1_VEC_MIN, {1, INT32_MIN, -5, 70000, 0, -3}},
		{X1_VEC_MAX, {INT32_MAX, -1, 7, 70000, 0, 3}},
		{X1_VEC_CMPLT, {0, 1, 1, 0, 0, 0}},
		{X1_VEC_CMPLE, {0, 1, 1, 1, 1, 0}},
		{X1_VEC_CMPEQ, {0, 0, 0, 1, 1, 0}},
		{X1_VEC_FMA, {INT32_MIN + 9, INT32_MIN + 20, -5, 605032744, 50, 51}},
		{X1_VEC_SELECT, {1, -1, 7, 70000, 50, -3}},
	};
	int32_t y[6];

	(void)state;
	for (size_t t = 0; t < sizeof(cases) / sizeof(cases[0]); t++) {
		assert_true(x1_vec_has_int(cases[t].op));
		x1_vec_int(cases[t].op, y, a, b, c, 6);
		assert_memory_equal(y, cases[t].want, sizeof(y));
	}
	for (unsigned int op = X1_VEC_RECIP; op <= X1_VEC_COS; op++)
		assert_false(x1_vec_has_int(op));
	assert_false(x1_vec_has_int(X1_VEC_DIV));
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RSUM, a, 6), 70000 - 3);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RSUMSQ, a, 6), 605032704 + 25 + 9 + 1);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RMAX, a + 1, 5), 70000);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RMAX, a + 1, 1), INT32_MIN);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RAMAX, a, 6), INT32_MIN);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RMIN, c, 6), 10);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RMIN, a, 6), INT32_MIN);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RAMAX, b, 3), 7);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RARGMAX, a + 1, 5), 2);
	assert_int_equal(x1_vec_reduce_int(X1_VEC_RARGMAX, c, 6), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),      cmocka_unit_test(test_unary),
		cmocka_unit_test(test_functions),  cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_reductions), cmocka_unit_test(test_integers),
	};

	return run_on_path("vector", tests, sizeof(tests) / sizeof(tests[0]));
}
