// SPDX-License-Identifier: MIT
/*
 * Conversions: every code of every format, every FP16 value, and FP32 values
 * around every boundary between two codes, saturating and not, against a search
 * in the table of the format's values. X1_SWEEP_STEP=1 converts all 2^32 values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cover.h"
#include "num/x1_num.h"
#include "oracle.h"
#include "path.h"

#define SWEEP_STEP 50021u
#define BULK       4096u

static const enum x1_format floats[] = {
	X1_FMT_FP32, X1_FMT_TF32, X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3,
	X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3, X1_FMT_E2M1,
};
#define NUM_FLOATS (sizeof(floats) / sizeof(floats[0]))

/* Finite non-negative values of a format in rising order; codes are value << shift. */
struct table {
	double *value;
	uint32_t count, shift;
	enum x1_format fmt;
};

static struct table make_table(enum x1_format fmt)
{
	struct oracle_format f = oracle_format(fmt);
	struct table t = {.fmt = fmt, .shift = fmt == X1_FMT_TF32 ? 13 : 0};
	uint32_t codes = 1u << (f.exp + f.man - t.shift);

	t.value = malloc(codes * sizeof(*t.value));
	assert_non_null(t.value);
	while (t.count < codes) {
		float v = oracle_decode(fmt, t.count << t.shift);

		if (!finite32(v))
			break;
		t.value[t.count++] = v;
	}
	return t;
}

/* The code that the manual asks for; FP32 itself has no table. */
static uint32_t oracle_encode(const struct table *t, float x, bool saturate)
{
	struct oracle_format f = oracle_format(t->fmt);
	uint32_t sign = u32(x) >> 31 << (f.exp + f.man), lo = 0, hi = t->count - 1, over;
	double v = fabs((double)flush(x)), top = t->value[hi], half;

	if (x != x) {
		switch (t->fmt) {
		case X1_FMT_TF32:
			return 0x7fc00000;
		case X1_FMT_BF16:
			return 0x7fc0;
		case X1_FMT_FP16:
			return 0x7e00;
		case X1_FMT_E4M3:
			return 0x7f;
		case X1_FMT_E5M2:
			return 0x7e;
		default:
			return hi;
		}
	}
	/* One more value where the exponent has no end: half way there, even wins. */
	half = top + (top - t->value[hi - 1]) / 2;
	if (v > half || (v == half && hi & 1)) {
		if (saturate || !f.specials)
			return sign | hi << t->shift;
		over = f.specials == 1 ? (1u << f.exp) - 1 : 0;
		return f.specials == 1 ? sign | over << f.man : 0x7f;
	}
	while (lo < hi) {
		uint32_t mid = (lo + hi + 1) / 2;

		if (t->value[mid] <= v)
			lo = mid;
		else
			hi = mid - 1;
	}
	if (lo + 1 < t->count) {
		half = t->value[lo] + (t->value[lo + 1] - t->value[lo]) / 2;
		if (v > half || (v == half && lo & 1))
			lo++;
	}
	/* BF16's and TF32's subnormal codes are zeros; the search finds the last. */
	if (t->value[lo] == 0)
		lo = 0;
	return sign | lo << t->shift;
}

static float *pending;
static uint32_t *wanted[2];
static uint8_t *packed;
static uint32_t num_pending;

/* Convert what is pending in one go, at an odd place of the stream, and compare. */
static void flush_pending(const struct table *t)
{
	enum x1_format fmt = t->fmt;

	for (int sat = 0; sat < 2; sat++) {
		size_t first = num_pending % 5;

		memset(packed, 0xff, (size_t)(BULK + 8) * 4);
		x1_pack_f32(fmt, sat, pending, packed, first, num_pending);
		for (uint32_t i = 0; i < num_pending; i++) {
			uint32_t got = oracle_get(fmt, packed, first + i);

			if (got != wanted[sat][i] ||
			    x1_encode(fmt, pending[i], sat) != wanted[sat][i])
				fail_msg("%s of %08x%s is %x, alone %x, nearest is %x",
					 format_names[fmt], u32(pending[i]),
					 sat ? " saturating" : "", got,
					 x1_encode(fmt, pending[i], sat), wanted[sat][i]);
		}
		/* Neighbours in a shared byte stay. */
		for (size_t i = 0; i < first; i++)
			assert_int_equal(oracle_get(fmt, packed, i),
					 0xffffffffu >> (32 - x1_format_bits(fmt)));
		assert_int_equal(oracle_get(fmt, packed, first + num_pending),
				 0xffffffffu >> (32 - x1_format_bits(fmt)));
	}
	num_pending = 0;
}

static void convert(const struct table *t, float x)
{
	pending[num_pending] = x;
	for (int sat = 0; sat < 2; sat++)
		wanted[sat][num_pending] = oracle_encode(t, x, sat);
	if (++num_pending == BULK)
		flush_pending(t);
}

/* x and the FP32 numbers next to it, of both signs. */
static void convert_around(const struct table *t, float x, int reach)
{
	for (int d = -reach; d <= reach; d++) {
		uint32_t u = u32(x) + (uint32_t)d;

		if (u >> 31) /* below +0 */
			continue;
		convert(t, f32(u));
		convert(t, f32(u | 0x80000000));
	}
}

static int setup(void **state)
{
	(void)state;
	pending = malloc(BULK * sizeof(*pending));
	packed = malloc((size_t)(BULK + 8) * 4);
	for (int i = 0; i < 2; i++)
		wanted[i] = malloc(BULK * sizeof(*wanted[i]));
	return pending && packed && wanted[0] && wanted[1] ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(pending);
	free(packed);
	free(wanted[0]);
	free(wanted[1]);
	return 0;
}

/* REQ-NUM-009, -011: RN at every boundary, overflow as asked, NaN, infinities. */
static void test_boundaries(void **state)
{
	(void)state;
	for (size_t i = 1; i < NUM_FLOATS; i++) {
		struct table t = make_table(floats[i]);
		double top = t.value[t.count - 1];
		int reach = t.count > 40000 ? 1 : 3;

		for (uint32_t c = 0; c < t.count; c++) {
			double next = c + 1 < t.count ? t.value[c + 1] : 2 * top - t.value[c - 1];

			convert_around(&t, (float)t.value[c], reach);
			convert_around(&t, (float)(t.value[c] + (next - t.value[c]) / 2), reach);
		}
		for (uint32_t u = 0x7f7ffff0; u <= 0x7f800010; u++)
			convert_around(&t, f32(u), 0);
		convert_around(&t, f32(0x7fffffff), 0);
		convert_around(&t, f32(0x00800000), 3);
		flush_pending(&t);
		covered("encode %s boundaries %u", format_names[floats[i]], 2 * t.count);
		free(t.value);
	}
}

/* REQ-NUM-009: every FP16 value, and a sweep through FP32. */
static void test_sweep(void **state)
{
	const char *env = getenv("X1_SWEEP_STEP");
	uint64_t stride = env ? strtoull(env, NULL, 0) : SWEEP_STEP;

	(void)state;
	assert_true(stride > 0);
	for (size_t i = 1; i < NUM_FLOATS; i++) {
		struct table t = make_table(floats[i]);

		for (uint32_t c = 0; c < 0x10000; c++)
			convert(&t, oracle_decode(X1_FMT_FP16, c));
		for (uint64_t u = 0; u >> 32 == 0; u += stride)
			convert(&t, f32((uint32_t)u));
		flush_pending(&t);
		covered("encode %s fp16 65536", format_names[floats[i]]);
		free(t.value);
	}
}

/* FP32 itself: flush, one NaN, and the largest number for infinity on request. */
static void test_fp32(void **state)
{
	(void)state;
	for (uint64_t u = 0; u >> 32 == 0; u += u < 0x01000010 ? 1023 : 65521) {
		float x = f32((uint32_t)u), y;
		uint32_t want = u32(canonical(flush(x)));

		assert_int_equal(x1_encode(X1_FMT_FP32, x, false), want);
		x1_pack_f32(X1_FMT_FP32, false, &x, &y, 0, 1);
		assert_int_equal(u32(y), want);
		x1_unpack_f32(X1_FMT_FP32, &x, 0, &y, 1);
		assert_int_equal(u32(y), u32(flush(x)));
	}
	assert_int_equal(x1_encode(X1_FMT_FP32, f32(0x7f800000), false), 0x7f800000);
	assert_int_equal(x1_encode(X1_FMT_FP32, f32(0x7f800000), true), 0x7f7fffff);
	assert_int_equal(x1_encode(X1_FMT_FP32, f32(0xff800000), true), 0xff7fffff);
	covered("encode FP32 flush 1");
}

/* REQ-NUM-008: the value of every code, one by one and in bulk at any place. */
static void test_codes(void **state)
{
	static uint8_t stream[(65536 + 8) * 2];
	static float bulk[65536];

	(void)state;
	for (int fmt = X1_FMT_BF16; fmt < X1_FMT_COUNT; fmt++) {
		uint32_t bits = x1_format_bits(fmt), codes = bits < 32 ? 1u << bits : 0;
		struct oracle_format f = oracle_format(fmt);

		for (size_t first = 0; codes && first < 5; first++) {
			for (uint32_t c = 0; c < codes; c++)
				oracle_put(fmt, stream, first + c, c);
			x1_unpack_f32(fmt, stream, first, bulk, codes);
			for (uint32_t c = 0; c < codes; c++) {
				uint32_t want = u32(oracle_decode(fmt, c));

				/* An operand's NaN may keep its payload, results do not. */
				if (u32(canonical(bulk[c])) != want ||
				    u32(x1_decode(fmt, c)) != want)
					fail_msg("%s code %x is %08x, alone %08x, not %08x",
						 format_names[fmt], c, u32(bulk[c]),
						 u32(x1_decode(fmt, c)), want);
				if (bulk[c] != bulk[c])
					continue;
				/* And back, but for the subnormals that BF16 and E8M0 flush. */
				if (fmt == X1_FMT_E8M0 || (f.bias == 127 && bulk[c] == 0))
					continue;
				assert_int_equal(x1_encode(fmt, bulk[c], false), c);
			}
		}
		if (codes)
			covered("decode %s codes %u", format_names[fmt], codes);
	}
}

/* RN to an integer, then the low bits, or the nearest that fits. */
static uint32_t oracle_int(enum x1_format fmt, float x, bool saturate)
{
	uint32_t bits = x1_format_bits(fmt), mask = 0xffffffffu >> (32 - bits);
	double hi = ldexp(1, (int)bits - 1) - 1, v = nearbyint(x);

	if (x != x)
		return 0;
	if (saturate)
		v = v > hi ? hi : v < -hi - 1 ? -hi - 1 : v;
	if (!finite32((float)v))
		return 0; /* infinity has no low bits */
	v = fmod(v, 4294967296.0);
	return (uint32_t)(int64_t)v & mask;
}

/* REQ-NUM-012: RN to an integer, saturating or not. */
static void test_integers(void **state)
{
	static const enum x1_format ints[] = {X1_FMT_INT8, X1_FMT_INT4, X1_FMT_INT32};
	static const uint32_t ends[] = {0x4effffff, 0x4f000000, 0x4f000001, 0x4f7fffff,
					0x4f800000, 0x5f000000, 0x5f800000, 0x7f7fffff,
					0x7f800000, 0x7fc00000, 0x00000001, 0x3effffff};

	(void)state;
	for (int f = 0; f < 3; f++) {
		enum x1_format fmt = ints[f];

		for (int sat = 0; sat < 2; sat++) {
			for (int half = -1200; half <= 1200; half++) {
				for (int d = -2; d <= 2; d++) {
					float x = f32(u32((float)half / 2) + (uint32_t)d);
					uint32_t got = 0;

					x1_pack_f32(fmt, sat, &x, &got, 0, 1);
					assert_int_equal(got, oracle_int(fmt, x, sat));
				}
			}
			for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
				for (uint32_t sign = 0; sign < 2; sign++) {
					float x = f32(ends[i] | sign << 31);

					assert_int_equal(x1_encode(fmt, x, sat),
							 oracle_int(fmt, x, sat));
				}
			}
		}
		covered("encode %s halves 2401", format_names[fmt]);
	}
}

/* Integers to integers: all INT8 and INT4, and INT32 saturated or cut. */
static void test_int_to_int(void **state)
{
	static const int32_t in[] = {0,   1,   -1,   7,    8,         -8,       -9,
				     127, 128, -128, -129, INT32_MAX, INT32_MIN};
	static const uint8_t sat8[] = {0, 1, 255, 7, 8, 248, 247, 127, 127, 128, 128, 127, 128};
	static const uint8_t cut4[] = {0, 1, 15, 7, 8, 8, 7, 15, 0, 0, 15, 15, 0};
	uint8_t out[16];
	int32_t back[13];

	(void)state;
	x1_pack_i32(X1_FMT_INT8, true, in, out, 0, 13);
	assert_memory_equal(out, sat8, 13);
	x1_pack_i32(X1_FMT_INT4, false, in, out, 1, 13);
	for (int i = 0; i < 13; i++)
		assert_int_equal(oracle_get(X1_FMT_INT4, out, 1 + (size_t)i), cut4[i]);
	x1_pack_i32(X1_FMT_INT32, true, in, out, 0, 4);
	assert_memory_equal(out, in, 16);
	for (uint32_t c = 0; c < 256; c++) {
		uint8_t code = (uint8_t)c;

		x1_unpack_i32(X1_FMT_INT8, &code, 0, back, 1);
		assert_int_equal(back[0], (int8_t)c);
		x1_unpack_i32(X1_FMT_INT4, &code, 1, back, 1);
		assert_int_equal(back[0], (int32_t)(c << 24) >> 28);
	}
}

/* REQ-NUM-013: the power of two at or below the magnitude. */
static void test_e8m0(void **state)
{
	(void)state;
	for (uint32_t e = 1; e < 255; e++) {
		for (uint32_t sign = 0; sign < 2; sign++) {
			assert_int_equal(x1_encode(X1_FMT_E8M0, f32(sign << 31 | e << 23), true),
					 e);
			assert_int_equal(
				x1_encode(X1_FMT_E8M0, f32(sign << 31 | e << 23 | 0x7fffff), true),
				e);
		}
	}
	assert_int_equal(x1_encode(X1_FMT_E8M0, 0, true), 0);
	assert_int_equal(x1_encode(X1_FMT_E8M0, f32(0x7f800000), false), 0xfe);
	assert_int_equal(x1_encode(X1_FMT_E8M0, f32(0x7fc00000), false), 0xff);
	covered("encode E8M0 powers 254");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_boundaries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test(test_fp32),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_int_to_int),
		cmocka_unit_test(test_e8m0),
	};

	return run_on_path("conversions", tests, sizeof(tests) / sizeof(tests[0]));
}
