// SPDX-License-Identifier: MIT
/*
 * MATRIX: every combination of formats, block scales and sparsity against the
 * accumulate rule in exact arithmetic; and which combinations there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cover.h"
#include "num/x1_num.h"
#include "oracle.h"
#include "path.h"

static uint32_t rng_state = 2463534242;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

enum {
	MAX_ROWS = 40,
	MAX_K = 336,
	SCALE_STRIDE = 96,
	META_STRIDE = 96,
	CHECKS = 6, /* elements of a product that meet the oracle */
};

static bool wide(enum x1_format f)
{
	return f == X1_FMT_FP32 || f == X1_FMT_TF32;
}

static bool is_int(enum x1_format f)
{
	return f == X1_FMT_INT8 || f == X1_FMT_INT4;
}

/* REQ-NUM-010: the combinations that the manual allows, as it says them. */
static bool allowed(enum x1_format a, enum x1_format b, enum x1_scale_mode sa,
		    enum x1_scale_mode sb)
{
	enum x1_format fmt[2] = {a, b};
	enum x1_scale_mode scale[2] = {sa, sb};

	if (a > X1_FMT_INT4 || b > X1_FMT_INT4 || is_int(a) != is_int(b))
		return false;
	if ((wide(a) || wide(b)) && (sa || sb))
		return false;
	for (int i = 0; i < 2; i++) {
		if (scale[i] == X1_SCALE_MX32 &&
		    (x1_format_bits(fmt[i]) > 8 || fmt[i] == X1_FMT_INT4))
			return false;
		if (scale[i] == X1_SCALE_NV16 && fmt[i] != X1_FMT_E2M1)
			return false;
	}
	return true;
}

static uint32_t scale_block(enum x1_scale_mode s)
{
	return s == X1_SCALE_NV16 ? 16 : s == X1_SCALE_MX32 ? 32 : 128;
}

/* Codes where something special happens: zeros, subnormals, 1, the ends, infinity, NaN. */
static uint32_t special_code(enum x1_format fmt)
{
	uint32_t bits = x1_format_bits(fmt), sign = (rnd() & 1) << (bits - 1), one, c;
	struct oracle_format f = oracle_format(fmt);

	if (is_int(fmt))
		return (rnd() & 1 ? 1u << (bits - 1) : (1u << (bits - 1)) - 1) + rnd() % 2;
	one = (uint32_t)f.bias << f.man;
	switch (rnd() % 10) {
	case 0:
		return sign;
	case 1:
		return sign | 1;
	case 2:
		return sign | ((1u << f.man) - 1);
	case 3:
		return sign | 1u << f.man;
	case 4:
		c = ((1u << (f.exp + f.man)) - 1); /* all ones: NaN where there is one */
		return rnd() % 8 ? sign | (f.specials == 1 ? c - (1u << f.man) : c - 1) : sign | c;
	case 5:
		c = ((1u << f.exp) - 1) << f.man; /* infinity where there is one */
		return sign | (f.specials == 1 && rnd() % 4 ? c - 1 : c);
	case 6:
		return sign | one | (rnd() & ((1u << f.man) - 1));
	default:
		return sign | one;
	}
}

/* Mode 0: all codes. 1: near 1. 2: products near the flush threshold. 3: special codes. */
static uint32_t random_code(enum x1_format fmt, int mode)
{
	uint32_t bits = x1_format_bits(fmt), u = rnd() >> (32 - bits);
	struct oracle_format f = oracle_format(fmt);
	uint32_t low = (1u << f.man) - 1, sign = u >> (bits - 1) << (bits - 1), e;

	if (mode == 3)
		return special_code(fmt);
	if (mode == 0 || is_int(fmt) || bits < 16)
		return u;
	e = mode == 1 ? (uint32_t)f.bias - 2 + rnd() % 4 : (uint32_t)f.bias / 2 - 1 + rnd() % 4;
	return sign | e << f.man | (u & low);
}

static void random_scales(enum x1_scale_mode s, uint8_t *p, size_t bytes, int mode)
{
	for (size_t i = 0; i < bytes; i += 4) {
		uint32_t v = rnd();

		if (s == X1_SCALE_MX32 && mode != 0)
			/* Around 1, with a rare NaN; mode 1 stays foldable. */
			v = rnd() % 40 || mode == 1 ? (v & 0x1f1f1f1f) + 0x70707070 : v | 0xff00;
		else if (s == X1_SCALE_NV16 && mode == 1)
			v &= 0x7e7e7e7e;
		else if (s <= X1_SCALE_F32_128X128 && mode != 0)
			v = (v & 0x80ffffff) | 0x3f000000;
		memcpy(p + i, &v, 4);
	}
}

struct operand {
	uint8_t data[MAX_ROWS * MAX_K * 4 + 64], scales[MAX_ROWS * SCALE_STRIDE];
	float dense[MAX_ROWS][MAX_K]; /* values as the rule sees them, decompressed */
};

static struct operand op_a, op_b;
static uint8_t meta[MAX_ROWS * META_STRIDE];
static uint32_t acc[MAX_ROWS * MAX_ROWS], start[MAX_ROWS * MAX_ROWS];

/* Exact value of a scale; 2^-127 is one although no FP32 number is. */
static quad scale_value(const struct x1_mm_operand *o, uint32_t row, uint32_t k0, uint32_t k,
			bool *nan)
{
	uint32_t idx, block;
	const uint8_t *p;
	float f;

	if (!o->scale)
		return 1;
	block = scale_block(o->scale);
	idx = (k0 + k) / block - k0 / block;
	if (o->scale == X1_SCALE_F32_128X128)
		row /= 128;
	p = o->scales + (size_t)row * SCALE_STRIDE;
	switch (o->scale) {
	case X1_SCALE_MX32:
		*nan |= p[idx] == 0xff;
		return oracle_pow2((int)p[idx] - 127);
	case X1_SCALE_NV16:
		f = oracle_decode(X1_FMT_E4M3, p[idx]);
		break;
	default:
		memcpy(&f, p + (size_t)idx * 4, 4);
		f = flush(f);
		break;
	}
	*nan |= f != f;
	return f;
}

static float scale_product(const struct x1_mm_args *m, uint32_t i, uint32_t j, uint32_t k)
{
	bool nan = false;
	quad a = scale_value(&m->a, i, m->k0, k, &nan), b = scale_value(&m->b, j, m->k0, k, &nan);

	if (nan)
		return f32(0x7fc00000);
	/* Only FP32 scales can be infinite, and only then is the product not finite. */
	if (!(a * b - a * b == 0) || a * b == 0)
		return (float)(a * b);
	return round24(a * b);
}

/* The rule as the manual writes it. */
static uint32_t rule(const struct x1_mm_args *m, uint32_t i, uint32_t j)
{
	const float *a = op_a.dense[i], *b = op_b.dense[j];
	bool nv = m->a.scale == X1_SCALE_NV16 || m->b.scale == X1_SCALE_NV16;
	uint32_t block = nv ? 16 : 32, from = m->accumulate ? start[i * m->n + j] : 0, k = 0;
	bool scaled = m->a.scale || m->b.scale;
	float r = f32(from);

	if (is_int(m->a.fmt) && !scaled) {
		for (; k < m->k; k++)
			from += (uint32_t)((int32_t)a[k] * (int32_t)b[k]);
		return from;
	}
	if (wide(m->a.fmt) || wide(m->b.fmt)) {
		for (; k < (m->k + 31) / 32 * 32; k++)
			r = k < m->k ? oracle_fma(a[k], b[k], r) : oracle_fma(0, 0, r);
		return u32(canonical(r));
	}
	while (k < m->k) {
		float p = 0, s = scale_product(m, i, j, k);
		int32_t sum = 0;
		bool end = false;

		while (!end) {
			float e = 0, o = 0;

			for (uint32_t x = k; x < k + block; x += 2) {
				e = oracle_fma(x < m->k ? a[x] : 0, x < m->k ? b[x] : 0, e);
				o = oracle_fma(x + 1 < m->k ? a[x + 1] : 0,
					       x + 1 < m->k ? b[x + 1] : 0, o);
				if (is_int(m->a.fmt) && x < m->k)
					sum += (int32_t)a[x] * (int32_t)b[x];
				if (is_int(m->a.fmt) && x + 1 < m->k)
					sum += (int32_t)a[x + 1] * (int32_t)b[x + 1];
			}
			k += block;
			if (scaled)
				p = oracle_fma(oracle_fma(e, 1, o), 1, p);
			else
				r = oracle_fma(oracle_fma(e, 1, o), 1, r);
			end = k >= m->k || !scaled ||
			      (m->a.scale && (m->k0 + k) % scale_block(m->a.scale) == 0) ||
			      (m->b.scale && (m->k0 + k) % scale_block(m->b.scale) == 0);
		}
		if (scaled)
			r = oracle_fma(is_int(m->a.fmt) ? (float)sum : p, s, r);
	}
	return u32(canonical(r));
}

/* Random codes for `rows` rows of `stored` elements, laid out as `o` says. */
static void make_operand(struct operand *d, struct x1_mm_operand *o, uint32_t rows, uint32_t stored,
			 int mode)
{
	uint32_t bits = x1_format_bits(o->fmt);
	uint32_t lines = o->trans ? stored : rows, len = o->trans ? rows : stored;
	int64_t line = (len * bits + 7) / 8 + rnd() % 2;

	o->group = rnd() % 4 ? 0 : 1 + rnd() % lines;
	o->stride = line;
	o->gstride = o->group * line; /* other values only spread the rows */
	o->base = d->data;
	o->scales = d->scales;
	o->scale_stride = SCALE_STRIDE;
	for (uint32_t l = 0; l < lines; l++)
		for (uint32_t x = 0; x < len; x++)
			oracle_put(o->fmt, d->data + l * (size_t)line, x,
				   random_code(o->fmt, mode));
	if (o->scale)
		random_scales(o->scale, d->scales, sizeof(d->scales), mode);
}

static float element(const struct operand *d, const struct x1_mm_operand *o, uint32_t row,
		     uint32_t k)
{
	uint32_t line = o->trans ? k : row, x = o->trans ? row : k;
	uint32_t code = oracle_get(o->fmt, d->data + line * (size_t)o->stride, x);

	if (o->fmt == X1_FMT_TF32)
		code &= ~0x1fffu;
	return oracle_decode(o->fmt, code);
}

static const struct {
	uint32_t kept, group, bits;
} shapes[X1_SPARSE_COUNT] = {{1, 1, 0}, {2, 4, 2}, {1, 4, 2}, {2, 8, 3}, {1, 8, 3}, {2, 16, 4}};

/* Index metadata: kept places of each group, rising. */
static void make_sparse(enum x1_sparsity s, uint32_t rows, uint32_t stored)
{
	memset(meta, 0, sizeof(meta));
	for (uint32_t r = 0; r < rows; r++) {
		uint32_t at = 0;

		for (uint32_t i = 0; i < stored; i++) {
			uint32_t group = shapes[s].group, first = i % shapes[s].kept == 0;

			at = first ? rnd() % (group + 1 - shapes[s].kept)
				   : at + 1 + rnd() % (group - 1 - at);
			for (uint32_t b = 0; b < shapes[s].bits; b++) {
				uint32_t bit = i * shapes[s].bits + b;

				meta[r * META_STRIDE + bit / 8] |= (uint8_t)((at >> b & 1)
									     << bit % 8);
			}
		}
	}
}

static void fill_dense(struct operand *d, const struct x1_mm_operand *o, enum x1_sparsity s,
		       uint32_t rows, uint32_t k)
{
	memset(d->dense, 0, sizeof(d->dense));
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t i = 0; i < k / shapes[s].group * shapes[s].kept; i++) {
			uint32_t at = 0;

			for (uint32_t b = 0; b < shapes[s].bits; b++) {
				uint32_t bit = i * shapes[s].bits + b;

				at |= (uint32_t)(meta[r * META_STRIDE + bit / 8] >> bit % 8 & 1)
				      << b;
			}
			d->dense[r][i / shapes[s].kept * shapes[s].group + at] = element(d, o, r,
											 i);
		}
	}
}

static void check(struct x1_mm_ws *ws, enum x1_format fa, enum x1_format fb, enum x1_scale_mode sa,
		  enum x1_scale_mode sb, enum x1_sparsity s, int mode)
{
	uint32_t m = 1 + rnd() % 14, n = 1 + rnd() % MAX_ROWS;
	bool nv_only = (!sa || sa == X1_SCALE_NV16) && (!sb || sb == X1_SCALE_NV16) && (sa || sb);
	bool long_k = scale_block(sa) == 128 || scale_block(sb) == 128;
	uint32_t k = 16 * (1 + rnd() % (long_k && (sa || sb) ? MAX_K / 16 : 6));
	struct x1_mm_args args = {
		.m = m,
		.n = n,
		.k = k - (s || rnd() % 2 ? 0 : 2 * (rnd() % 8)),
		.k0 = nv_only ? rnd() % 9 * 16 : rnd() % 9 * 32,
		.a = {.fmt = fa, .scale = sa, .trans = rnd() % 4 == 0},
		.b = {.fmt = fb, .scale = sb, .trans = rnd() % 4 == 0},
		.sparsity = s,
		.meta = meta,
		.meta_stride = META_STRIDE,
		.accumulate = rnd() % 2,
		.acc = acc,
		.acc_stride = n * 4,
	};
	uint32_t stored = args.k / shapes[s].group * shapes[s].kept;

	assert_int_equal(x1_sparse_stored(s, args.k), stored);
	assert_int_equal(x1_mm_k0_step(sa, sb), nv_only ? 16 : 32);
	make_operand(&op_a, &args.a, m, args.k, mode);
	make_operand(&op_b, &args.b, n, stored, mode);
	if (s)
		make_sparse(s, n, stored);
	fill_dense(&op_a, &args.a, X1_SPARSE_NONE, m, args.k);
	fill_dense(&op_b, &args.b, s, n, args.k);
	for (uint32_t i = 0; i < m * n; i++) {
		uint32_t u = rnd();

		if (!is_int(fa) || sa || sb)
			u = u32(flush(f32(mode == 2 ? u & 0x80ffffff : u & 0xc0ffffff)));
		start[i] = acc[i] = u;
	}
	assert_int_equal(x1_mm(&args, ws), 0);
	for (uint32_t t = 0; t < CHECKS; t++) {
		uint32_t i = rnd() % m, j = rnd() % n, want = rule(&args, i, j);

		if (acc[i * n + j] != want)
			fail_msg("%s x %s scales %d, %d sparsity %d mode %d %ux%ux%u k0 %u: "
				 "[%u,%u] is %08x, rule says %08x",
				 format_names[fa], format_names[fb], sa, sb, s, mode, m, n, args.k,
				 args.k0, i, j, acc[i * n + j], want);
	}
}

/* One test per scale modes: REQ-NUM-001..007, -010 for all formats and sparsities. */
static void grid(enum x1_scale_mode sa, enum x1_scale_mode sb)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();

	for (int fa = 0; fa < X1_FMT_COUNT; fa++) {
		for (int fb = 0; fb < X1_FMT_COUNT; fb++) {
			bool ok = allowed(fa, fb, sa, sb);

			for (int s = 0; s < X1_SPARSE_COUNT; s++) {
				enum x1_fault fault = x1_mm_legal(fa, fb, sa, sb, s);

				if ((fault == X1_FAULT_NONE) != ok)
					fail_msg("%s x %s scales %d, %d: fault %d, manual says %d",
						 format_names[fa], format_names[fb], sa, sb, fault,
						 ok);
				for (int mode = 0; ok && mode < 4; mode++)
					check(ws, fa, fb, sa, sb, s, mode);
				if (ok)
					covered("mm %s %s %d %d %d", format_names[fa],
						format_names[fb], sa, sb, s);
			}
		}
	}
	x1_mm_ws_free(ws);
}

static void test_unscaled(void **state)
{
	(void)state;
	grid(X1_SCALE_NONE, X1_SCALE_NONE);
}

static void test_one_side(void **state)
{
	(void)state;
	for (int s = X1_SCALE_F32_1X128; s < X1_SCALE_COUNT; s++) {
		grid(s, X1_SCALE_NONE);
		grid(X1_SCALE_NONE, s);
	}
}

/* REQ-NUM-006: both operands, blocks of one size or of two. */
static void test_both_sides(void **state)
{
	(void)state;
	for (int sa = X1_SCALE_F32_1X128; sa < X1_SCALE_COUNT; sa++)
		for (int sb = X1_SCALE_F32_1X128; sb < X1_SCALE_COUNT; sb++)
			grid(sa, sb);
}

static void test_unknown_codes(void **state)
{
	(void)state;
	assert_int_equal(x1_mm_legal(X1_FMT_E4M3, X1_FMT_E4M3, X1_SCALE_COUNT, 0, 0),
			 X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_E4M3, X1_FMT_E4M3, 0, 0xff, 0), X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(X1_FMT_E4M3, X1_FMT_E4M3, 0, 0, X1_SPARSE_COUNT),
			 X1_FAULT_FORMAT);
	assert_int_equal(x1_mm_legal(0xff, X1_FMT_E4M3, 0, 0, 0), X1_FAULT_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unscaled),
		cmocka_unit_test(test_one_side),
		cmocka_unit_test(test_both_sides),
		cmocka_unit_test(test_unknown_codes),
	};

	return run_on_path("grid", tests, sizeof(tests) / sizeof(tests[0]));
}
