// SPDX-License-Identifier: MIT
/*
 * VEC as an instruction: every operation with formats, strides and broadcasts,
 * fused ones against exact arithmetic, and what faults. Element-wise functions
 * have their own tests (tests/unit/num); here they are taken one element at a
 * time. Once per host path.
 */
#include <stdlib.h>

#include "mcu.h"
#include "oracle.h"
#include "path.h"

static struct t_mcu *mcu;
static uint32_t rng_state = 69069;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

/* Where operands lie: 128 KiB each. */
enum {
	D = 0,
	S0 = 1,
	S1 = 2,
	S2 = 3
};
static const uint32_t place[4] = {0x60000, 0, 0x20000, 0x40000};

/* Values around 1, and some that are special. */
static float any(void)
{
	static const uint32_t special[] = {
		0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x80800001, 0x7f7fffff,
		0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3f800000, 0xbf800000};
	uint32_t u = rnd();

	switch (rnd() % 8) {
	case 0:
		return f32(special[u % (sizeof(special) / 4)]);
	case 1:
		return f32(u);
	default:
		return f32((u & 0x81ffffff) | 0x3e000000);
	}
}

static void fill(enum x1_format fmt, uint32_t at, uint32_t rows, uint32_t cols, uint32_t stride)
{
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0; c < cols; c++)
			oracle_put(fmt, t_local(mcu, at) + (size_t)r * stride, c,
				   x1_format_is_int(fmt) ? rnd()
							 : x1_encode(fmt, any(), rnd() % 2));
}

static uint32_t code_at(enum x1_format fmt, uint32_t at, uint32_t stride, uint32_t r, uint32_t c)
{
	return oracle_get(fmt, t_local(mcu, at) + (size_t)r * stride, c);
}

static float value_at(enum x1_format fmt, uint32_t at, uint32_t stride, uint32_t r, uint32_t c)
{
	return flush(oracle_decode(fmt, code_at(fmt, at, stride, r, c)));
}

static int32_t int_at(enum x1_format fmt, uint32_t at, uint32_t stride, uint32_t r, uint32_t c)
{
	uint32_t bits = x1_format_bits(fmt);

	return (int32_t)(code_at(fmt, at, stride, r, c) << (32 - bits)) >> (32 - bits);
}

static uint32_t row_bytes(enum x1_format fmt, uint32_t cols)
{
	return cols * x1_format_bits(fmt) / 8;
}

struct shape {
	uint32_t op, rows, cols;
	enum x1_format fmt[4];
	uint32_t bcast[4], stride[4], imm[4];
	bool nosat;
	int32_t param, param2;
};

static struct x1_desc describe(const struct shape *s)
{
	struct x1_desc d = {0};

	d.f[X1_VEC_OP] = s->op;
	d.f[X1_VEC_ROWS] = s->rows;
	d.f[X1_VEC_COLS] = s->cols;
	d.f[X1_VEC_FMT] = (uint32_t)s->fmt[0] | (uint32_t)s->fmt[1] << 8 |
			  (uint32_t)s->fmt[2] << 16 | (uint32_t)s->fmt[3] << 24;
	d.f[X1_VEC_CTRL] = X1_VEC_CTRL_BCAST0(s->bcast[1]) | X1_VEC_CTRL_BCAST1(s->bcast[2]) |
			   X1_VEC_CTRL_BCAST2(s->bcast[3]) | (s->nosat ? X1_VEC_CTRL_NOSAT : 0);
	for (unsigned int i = 0; i < 4; i++)
		d.f[X1_VEC_D_STRIDE + i] = s->stride[i];
	d.f[X1_VEC_S2_ADDR] = place[S2];
	d.f[X1_VEC_IMM1] = s->imm[2];
	d.f[X1_VEC_IMM2] = s->imm[3];
	d.f[X1_VEC_PARAM] = (uint32_t)s->param;
	d.f[X1_VEC_PARAM2] = (uint32_t)s->param2;
	return d;
}

static void run(const struct shape *s)
{
	struct x1_desc d = describe(s);

	t_begin(mcu);
	t_engine(mcu, X1_OP_VEC, place[D], place[S0], place[S1], &d);
	t_ok(mcu);
}

static void faults(const struct shape *s, enum x1_fault code)
{
	struct x1_desc d = describe(s);

	t_begin(mcu);
	t_engine(mcu, X1_OP_VEC, place[D], place[S0], place[S1], &d);
	t_bad(mcu, code, X1_UNIT_VECTOR);
}

/* Fresh operands of a shape, rows a little apart; cols so that rows are whole bytes. */
static void operands(struct shape *s, unsigned int sources)
{
	for (unsigned int i = 0; i <= sources; i++) {
		s->stride[i] = row_bytes(s->fmt[i], s->cols) + rnd() % 3;
		fill(s->fmt[i], place[i], s->rows, s->cols, s->stride[i]);
	}
}

static float source(const struct shape *s, unsigned int i, uint32_t r, uint32_t c)
{
	switch (s->bcast[i]) {
	case X1_VEC_BCAST_ROW:
		return value_at(s->fmt[i], place[i], s->stride[i], 0, c);
	case X1_VEC_BCAST_COL:
		return value_at(s->fmt[i], place[i], s->stride[i], r, 0);
	case X1_VEC_BCAST_SCALAR:
		return flush(f32(s->imm[i]));
	default:
		return value_at(s->fmt[i], place[i], s->stride[i], r, c);
	}
}

static int32_t int_source(const struct shape *s, unsigned int i, uint32_t r, uint32_t c)
{
	switch (s->bcast[i]) {
	case X1_VEC_BCAST_ROW:
		return int_at(s->fmt[i], place[i], s->stride[i], 0, c);
	case X1_VEC_BCAST_COL:
		return int_at(s->fmt[i], place[i], s->stride[i], r, 0);
	case X1_VEC_BCAST_SCALAR:
		return (int32_t)s->imm[i];
	default:
		return int_at(s->fmt[i], place[i], s->stride[i], r, c);
	}
}

static void expect(const struct shape *s, uint32_t r, uint32_t c, float want)
{
	uint32_t bits = x1_format_bits(s->fmt[0]);
	uint32_t code = x1_encode(s->fmt[0], canonical(want), !s->nosat) &
			(uint32_t)((1ull << bits) - 1);
	uint32_t got = code_at(s->fmt[0], place[D], s->stride[0], r, c);

	if (got != code)
		fail_msg("op %u formats %d <- %d %d %d [%u,%u]: %#x, want %#x (%a)", s->op,
			 s->fmt[0], s->fmt[1], s->fmt[2], s->fmt[3], r, c, got, code, (double)want);
}

static void expect_int(const struct shape *s, uint32_t r, uint32_t c, int32_t want)
{
	uint32_t bits = x1_format_bits(s->fmt[0]), mask = (uint32_t)((1ull << bits) - 1);
	int32_t hi = (int32_t)(mask >> 1), lo = -hi - 1;
	uint32_t got = code_at(s->fmt[0], place[D], s->stride[0], r, c);

	if (!s->nosat)
		want = want < lo ? lo : want > hi ? hi : want;
	if (got != ((uint32_t)want & mask))
		fail_msg("op %u formats %d <- %d %d [%u,%u]: %#x, want %#x", s->op, s->fmt[0],
			 s->fmt[1], s->fmt[2], r, c, got, (uint32_t)want & mask);
}

static float div24(float a, float b)
{
	if (!finite32(a) || !finite32(b) || a == 0 || b == 0)
		return canonical(a / b);
	return round24((quad)a / b);
}

static float mul24(float a, float b)
{
	return canonical(oracle_fma(a, b, f32((u32(a) ^ u32(b)) & 0x80000000)));
}

static unsigned int sources_of(unsigned int op)
{
	return op <= X1_VEC_COS ? 1 : op <= X1_VEC_CMPEQ ? 2 : 3;
}

/* What x1_vec_* says of one element. */
static float element(unsigned int op, float a, float b, float c)
{
	switch (sources_of(op)) {
	case 1:
		x1_vec_unary(op, &a, &a, 1);
		break;
	case 2:
		x1_vec_binary(op, &a, &a, &b, 1);
		break;
	default:
		x1_vec_ternary(op, &a, &a, &b, &c, 1);
		break;
	}
	return a;
}

static bool elementwise(unsigned int op)
{
	return op <= X1_VEC_COS || (op >= X1_VEC_ADD && op <= X1_VEC_CMPEQ) || op == X1_VEC_FMA ||
	       op == X1_VEC_SELECT;
}

static void check_elements(struct shape *s)
{
	bool ints = x1_vec_has_int(s->op);
	unsigned int n = sources_of(s->op);

	for (unsigned int i = 0; i <= n; i++)
		ints &= x1_format_is_int(s->fmt[i]);
	operands(s, n);
	run(s);
	for (uint32_t r = 0; r < s->rows; r++) {
		for (uint32_t c = 0; c < s->cols; c++) {
			if (ints) {
				int32_t y = int_source(s, 1, r, c), a = y;
				int32_t b = n > 1 ? int_source(s, 2, r, c) : 0;
				int32_t d = n > 2 ? int_source(s, 3, r, c) : 0;

				x1_vec_int(s->op, &y, &a, n > 1 ? &b : NULL, n > 2 ? &d : NULL, 1);
				expect_int(s, r, c, y);
			} else {
				expect(s, r, c,
				       element(s->op, source(s, 1, r, c),
					       n > 1 ? source(s, 2, r, c) : 0,
					       n > 2 ? source(s, 3, r, c) : 0));
			}
		}
	}
}

/* REQ-ISA-050, REQ-NUM-026: operations, formats, strides, broadcasts. */
static void test_elements(void **state)
{
	(void)state;
	for (unsigned int op = 0; op <= X1_VEC_SELECT; op++) {
		for (unsigned int round = 0; elementwise(op) && round < 40; round++) {
			struct shape s = {
				.op = op, .rows = 1 + rnd() % 5, .cols = 8 * (1 + rnd() % 11)};

			for (unsigned int i = 0; i < 4; i++) {
				s.fmt[i] = round % 4 == 0   ? X1_FMT_FP32
					   : round % 4 == 1 ? X1_FMT_INT8 + rnd() % 3
							    : rnd() % X1_FMT_COUNT;
				s.bcast[i] = i > 1 ? rnd() % 4 : i ? rnd() % 3 : 0;
				s.imm[i] = round % 4 == 1 ? rnd() : u32(any());
			}
			s.nosat = rnd() % 2;
			check_elements(&s);
		}
	}
}

/* REQ-NUM-014: scales per row and per column of a product, then the product times them. */
static void test_output_scales(void **state)
{
	struct shape s = {.op = X1_VEC_MUL,
			  .rows = 9,
			  .cols = 24,
			  .bcast = {0, X1_VEC_BCAST_COL, X1_VEC_BCAST_ROW, 0}};
	static float scale[9][24];

	(void)state;
	operands(&s, 2);
	for (uint32_t r = 0; r < s.rows; r++)
		for (uint32_t c = 0; c < s.cols; c++)
			scale[r][c] = mul24(source(&s, 1, r, c), source(&s, 2, r, c));
	run(&s);
	for (uint32_t r = 0; r < s.rows; r++)
		for (uint32_t c = 0; c < s.cols; c++)
			expect(&s, r, c, scale[r][c]);
	/* The scales are the second source now. */
	memcpy(t_local(mcu, place[S1]), t_local(mcu, place[D]), s.rows * s.stride[0]);
	s.bcast[1] = s.bcast[2] = 0;
	s.nosat = true;
	s.stride[2] = s.stride[0];
	fill(X1_FMT_FP32, place[S0], s.rows, s.cols, s.stride[1]);
	run(&s);
	for (uint32_t r = 0; r < s.rows; r++)
		for (uint32_t c = 0; c < s.cols; c++)
			expect(&s, r, c, mul24(source(&s, 1, r, c), source(&s, 2, r, c)));
}

/* More columns than are converted at a time, and a row of sub-bytes. */
static void test_long_rows(void **state)
{
	struct shape s = {.op = X1_VEC_ADD, .rows = 2, .cols = 3 * X1_VEC_CHUNK + 24};

	(void)state;
	check_elements(&s);
	s.fmt[0] = X1_FMT_E3M2;
	s.fmt[1] = X1_FMT_E2M1;
	s.fmt[2] = X1_FMT_BF16;
	check_elements(&s);
	s = (struct shape){.op = X1_VEC_MUL,
			   .rows = 1,
			   .cols = X1_VEC_CHUNK + 8,
			   .fmt = {X1_FMT_INT8, X1_FMT_INT4, X1_FMT_INT32}};
	check_elements(&s);
}

/* REQ-NUM-033: what overlaps is read before it is written, a chunk of a row at a time. */
static void test_in_place(void **state)
{
	struct shape s = {
		.op = X1_VEC_NEG, .rows = 4, .cols = 32, .stride = {128, 128}, .nosat = true};
	struct x1_desc d = describe(&s);

	(void)state;
	fill(X1_FMT_FP32, place[S0], 4, 32, 128);
	memcpy(t_local(mcu, place[S1]), t_local(mcu, place[S0]), 512);
	t_begin(mcu);
	t_engine(mcu, X1_OP_VEC, place[S0], place[S0], 0, &d);
	t_ok(mcu);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(
			code_at(X1_FMT_FP32, place[S0], 0, 0, i),
			u32(element(X1_VEC_NEG, value_at(X1_FMT_FP32, place[S1], 0, 0, i), 0, 0)));
}

/* REQ-ISA-051, REQ-NUM-025, -027: one element per row. */
static void test_reductions(void **state)
{
	static float a[X1_VEC_MAX_ROW], b[X1_VEC_MAX_ROW];
	static int32_t x[X1_VEC_MAX_ROW];

	(void)state;
	for (unsigned int round = 0; round < 300; round++) {
		struct shape s = {.op = X1_VEC_RSUM + round % 7, .rows = 1 + rnd() % 4};
		bool ints = round % 5 == 0, sqd;
		unsigned int base;

		sqd = s.op == X1_VEC_RSUMSQD;
		base = sqd ? X1_VEC_RSUMSQ : s.op;
		s.cols = round < 7 ? X1_VEC_MAX_ROW / 4 : 4 * (1 + rnd() % 100);
		if (round < 7)
			s.rows = 2;
		for (unsigned int i = 0; i < 3; i++)
			s.fmt[i] = ints ? (i ? X1_FMT_INT8 : X1_FMT_INT32)
				   : i  ? rnd() % X1_FMT_E3M2
					: (rnd() % 2 ? X1_FMT_FP32 : X1_FMT_BF16);
		if (s.op == X1_VEC_RARGMAX)
			s.fmt[0] = X1_FMT_INT32;
		s.bcast[2] = rnd() % 2 ? X1_VEC_BCAST_COL : rnd() % 4;
		s.imm[2] = ints ? rnd() % 100 : 0x3f000000;
		operands(&s, sqd ? 2 : 1);
		run(&s);
		for (uint32_t r = 0; r < s.rows; r++) {
			uint32_t bits;

			for (uint32_t c = 0; c < s.cols; c++) {
				a[c] = source(&s, 1, r, c);
				if (sqd && !ints) {
					b[c] = source(&s, 2, r, c);
					a[c] = oracle_fma(b[c], -1, a[c]);
				}
				if (ints)
					x[c] = int_source(&s, 1, r, c) -
					       (sqd ? int_source(&s, 2, r, c) : 0);
			}
			if (ints) {
				expect_int(&s, r, 0, x1_vec_reduce_int(base, x, s.cols));
				continue;
			}
			bits = x1_vec_reduce(base, a, s.cols);
			if (s.op == X1_VEC_RARGMAX)
				assert_int_equal(code_at(X1_FMT_INT32, place[D], s.stride[0], r, 0),
						 bits);
			else
				expect(&s, r, 0, f32(bits));
		}
	}
}

/* REQ-NUM-028: e^(k x - m) with one rounding before it, and the sum of a row. */
static void test_expsum(void **state)
{
	static float e[X1_VEC_MAX_ROW];

	(void)state;
	for (unsigned int round = 0; round < 60; round++) {
		struct shape s = {.op = X1_VEC_EXPSUM,
				  .rows = round ? 1 + rnd() % 4 : 2,
				  .cols = round ? 4 * (1 + rnd() % 90) : X1_VEC_MAX_ROW / 2,
				  .fmt = {round % 3 ? X1_FMT_BF16 : X1_FMT_FP32,
					  round % 2 ? X1_FMT_FP16 : X1_FMT_FP32, X1_FMT_FP32},
				  .bcast = {0, 0, round % 4 ? X1_VEC_BCAST_COL : rnd() % 4, 0}};

		s.imm[2] = u32(any());
		s.imm[3] = round % 3 ? 0x3e000000 : u32(any());
		operands(&s, 2);
		s.stride[3] = 4 + 4 * (round % 3);
		run(&s);
		for (uint32_t r = 0; r < s.rows; r++) {
			for (uint32_t c = 0; c < s.cols; c++) {
				float t = canonical(oracle_fma(source(&s, 1, r, c),
							       flush(f32(s.imm[3])),
							       -source(&s, 2, r, c)));

				e[c] = element(X1_VEC_EXP, t, 0, 0);
				expect(&s, r, c, e[c]);
			}
			assert_int_equal(code_at(X1_FMT_FP32, place[S2], s.stride[3], r, 0),
					 x1_vec_reduce(X1_VEC_RSUM, e, s.cols));
		}
	}
}

/* ---- quantise ---- */

static bool mode_takes(uint32_t mode, enum x1_format f)
{
	switch (mode) {
	case X1_SCALE_MX32:
		return f >= X1_FMT_E4M3 && f <= X1_FMT_INT8;
	case X1_SCALE_NV16:
		return f == X1_FMT_E2M1;
	default:
		return f >= X1_FMT_BF16 && f <= X1_FMT_INT4;
	}
}

static uint32_t block_of(uint32_t mode)
{
	return mode == X1_SCALE_MX32 ? 32 : mode == X1_SCALE_NV16 ? 16 : 128;
}

static float largest(enum x1_format f)
{
	static const float max[X1_FMT_COUNT] = {
		[X1_FMT_BF16] = 0x1.fep127f, [X1_FMT_FP16] = 65504, [X1_FMT_E4M3] = 448,
		[X1_FMT_E5M2] = 57344,       [X1_FMT_E3M2] = 28,    [X1_FMT_E2M3] = 7.5,
		[X1_FMT_E2M1] = 6,           [X1_FMT_INT8] = 127,   [X1_FMT_INT4] = 7,
	};

	return max[f];
}

/* REQ-NUM-029 word for word: the scale's code and what elements are multiplied with. */
static float rule_scale(uint32_t mode, enum x1_format f, float amax, float tensor, uint32_t *code)
{
	float s;
	int e;

	if (isinf(amax))
		amax = 0x1.fffffep127f;
	if (mode == X1_SCALE_MX32) {
		if (amax != amax) {
			*code = 0xff;
			return NAN;
		}
		e = amax == 0 ? 0 : ilogbf(amax) - ilogbf(largest(f));
		if (e < -127)
			e = -127;
		*code = (uint32_t)(e + 127);
		return ldexpf(1, -e);
	}
	if (mode == X1_SCALE_NV16) {
		*code = x1_encode(X1_FMT_E4M3, div24(amax, mul24(6, tensor)), true);
		s = oracle_decode(X1_FMT_E4M3, *code);
		if (s == 0) {
			*code = 0x38;
			s = 1;
		}
		s = mul24(s, tensor);
	} else {
		s = div24(amax, largest(f));
		if (s == 0)
			s = 1;
		*code = u32(s);
	}
	return div24(1, s);
}

static void fill_ranges(const struct shape *s)
{
	/* Blocks of very different size, some of zeros, few with infinities and NaNs. */
	uint32_t block = block_of((uint32_t)s->param), salt = rnd() % 11;
	uint32_t group = s->param == X1_SCALE_F32_128X128 ? 128 : 1;

	for (uint32_t r = 0; r < s->rows; r++) {
		for (uint32_t c = 0; c < s->cols; c++) {
			uint32_t kind = (r / group * 7 + c / block * 5 + salt) % 11, u = rnd();
			float v = f32((u & 0x80ffffff) | 0x3f000000);

			if (kind == 1)
				v = f32(u & 0x807fffff); /* zeros after the flush */
			else if (kind == 2)
				v = f32((u & 0x80ffffff) | 0x01000000);
			else if (kind == 3)
				v = f32((u & 0x80ffffff) | 0x7e000000);
			else if (kind == 4 && rnd() % 40 == 0)
				v = any();
			oracle_put(s->fmt[1], t_local(mcu, place[S0]) + (size_t)r * s->stride[1], c,
				   x1_encode(s->fmt[1], v, true));
		}
	}
}

static void check_quant(uint32_t mode, enum x1_format f, bool nosat)
{
	struct shape s = {.op = X1_VEC_QUANT,
			  .rows = mode == X1_SCALE_F32_128X128 ? 100 + rnd() % 60 : 1 + rnd() % 6,
			  .cols = 8 * (1 + rnd() % 25),
			  .fmt = {f, rnd() % 3 ? X1_FMT_FP32 : X1_FMT_BF16},
			  .nosat = nosat,
			  .param = (int32_t)mode};
	uint32_t block = block_of(mode), group = mode == X1_SCALE_F32_128X128 ? 128 : 1;
	uint32_t size = mode <= X1_SCALE_F32_128X128 ? 4 : 1;
	float tensor = f32(rnd() % 4 ? 0x3b000000 + (rnd() & 0xffffff) : u32(any()));

	s.imm[2] = u32(tensor);
	s.stride[0] = row_bytes(f, s.cols) + 1;
	s.stride[1] = row_bytes(s.fmt[1], s.cols);
	s.stride[3] = (s.cols + block - 1) / block * size + rnd() % 4;
	fill_ranges(&s);
	run(&s);
	for (uint32_t r0 = 0; r0 < s.rows; r0 += group) {
		for (uint32_t c0 = 0; c0 < s.cols; c0 += block) {
			uint32_t r1 = r0 + group < s.rows ? r0 + group : s.rows, code, got = 0;
			uint32_t c1 = c0 + block < s.cols ? c0 + block : s.cols;
			float amax = 0, mul;

			for (uint32_t r = r0; r < r1; r++)
				for (uint32_t c = c0; c < c1; c++) {
					float v = fabsf(source(&s, 1, r, c));

					amax = v != v || amax != amax ? NAN : v > amax ? v : amax;
				}
			mul = rule_scale(mode, f, amax, flush(tensor), &code);
			memcpy(&got,
			       t_local(mcu, place[S2]) + r0 / group * s.stride[3] +
				       c0 / block * size,
			       size);
			if (got != code)
				fail_msg("mode %u format %d: scale %#x, want %#x of %a", mode, f,
					 got, code, (double)amax);
			for (uint32_t r = r0; r < r1; r++)
				for (uint32_t c = c0; c < c1; c++)
					expect(&s, r, c, mul24(source(&s, 1, r, c), mul));
		}
	}
}

/* REQ-NUM-029, REQ-ISA-052, -056: every format with every mode that takes it. */
static void test_quant(void **state)
{
	(void)state;
	for (uint32_t mode = 1; mode < X1_SCALE_COUNT; mode++)
		for (int f = 0; f < X1_FMT_COUNT; f++)
			for (unsigned int i = 0; mode_takes(mode, f) && i < 12; i++)
				check_quant(mode, f, i % 2);
}

/* The value that a scale's code stands for, exact. */
static quad scale_value(uint32_t mode, uint32_t code, float tensor)
{
	if (mode == X1_SCALE_MX32)
		return code == 0xff ? (quad)NAN : oracle_pow2((int)code - 127);
	if (mode == X1_SCALE_NV16)
		return mul24(oracle_decode(X1_FMT_E4M3, code), tensor);
	return flush(f32(code));
}

/* REQ-NUM-030, REQ-ISA-056: any bits as scales. */
static void test_dequant(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 400; i++) {
		uint32_t mode = 1 + i % 4, block = block_of(mode), r, c;
		uint32_t group = mode == X1_SCALE_F32_128X128 ? 128 : 1;
		uint32_t size = mode <= X1_SCALE_F32_128X128 ? 4 : 1;
		float tensor = rnd() % 3 ? 0.75f : any();
		struct shape s = {.op = X1_VEC_DEQUANT,
				  .rows = group == 128 ? 120 + rnd() % 20 : 1 + rnd() % 6,
				  .cols = 8 * (1 + rnd() % 20),
				  .fmt = {rnd() % X1_FMT_E3M2},
				  .param = (int32_t)mode,
				  .nosat = rnd() % 2};

		do
			s.fmt[1] = rnd() % X1_FMT_COUNT;
		while (!mode_takes(mode, s.fmt[1]));
		s.imm[2] = u32(tensor);
		operands(&s, 1);
		s.stride[3] = (s.cols + block - 1) / block * size;
		for (uint32_t b = 0; b < 4096; b += 4) {
			uint32_t u = mode <= X1_SCALE_F32_128X128 ? u32(any()) : rnd();

			memcpy(t_local(mcu, place[S2]) + b, &u, 4);
		}
		run(&s);
		for (r = 0; r < s.rows; r++) {
			for (c = 0; c < s.cols; c++) {
				float x = source(&s, 1, r, c), want;
				uint32_t code = 0;
				quad v;

				memcpy(&code,
				       t_local(mcu, place[S2]) + r / group * s.stride[3] +
					       c / block * size,
				       size);
				v = scale_value(mode, code, flush(tensor));
				if (!finite32(x) || !isfinite((double)v) || x == 0 || v == 0)
					want = x *
					       (float)(v == 0  ? (double)v
						       : v < 0 ? -1.0
							       : 1.0) *
					       (isfinite((double)v) ? 1 : (float)fabs((double)v));
				else
					want = round24(x * v);
				expect(&s, r, c, want);
			}
		}
	}
}

/* ---- data movement ---- */

/* REQ-ISA-053: rows by number; those outside are zeros. */
static void test_gather(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 60; i++) {
		struct shape s = {.op = X1_VEC_GATHER,
				  .rows = 1 + rnd() % 20,
				  .cols = 8 * (1 + rnd() % 9),
				  .param = 1 + (int32_t)(rnd() % 12),
				  .fmt = {0, 0, X1_FMT_INT32},
				  .bcast = {0, 0, X1_VEC_BCAST_COL}};
		bool ints = i % 4 == 0;

		s.fmt[0] = ints ? X1_FMT_INT8 : rnd() % X1_FMT_COUNT;
		s.fmt[1] = ints ? X1_FMT_INT32 : rnd() % X1_FMT_COUNT;
		ints |= x1_format_is_int(s.fmt[0]) && x1_format_is_int(s.fmt[1]);
		s.stride[0] = row_bytes(s.fmt[0], s.cols);
		s.stride[1] = row_bytes(s.fmt[1], s.cols) + 2;
		s.stride[2] = 4;
		fill(s.fmt[1], place[S0], (uint32_t)s.param, s.cols, s.stride[1]);
		for (uint32_t r = 0; r < s.rows; r++) {
			int32_t idx = (int32_t)(rnd() % 14) - 1;

			idx = rnd() % 9 ? idx : (int32_t)rnd();
			memcpy(t_local(mcu, place[S1]) + r * 4, &idx, 4);
		}
		run(&s);
		for (uint32_t r = 0; r < s.rows; r++) {
			int32_t idx = int_at(X1_FMT_INT32, place[S1], 4, r, 0);
			bool in = idx >= 0 && idx < s.param;

			for (uint32_t c = 0; c < s.cols; c++) {
				if (ints)
					expect_int(&s, r, c,
						   in ? int_source(&s, 1, (uint32_t)idx, c) : 0);
				else
					expect(&s, r, c, in ? source(&s, 1, (uint32_t)idx, c) : 0);
			}
		}
	}
}

/* REQ-ISA-054, REQ-NUM-032: in rising r, each addition rounded to the destination. */
static void test_scatter_add(void **state)
{
	static uint32_t want[64][64];

	(void)state;
	for (unsigned int i = 0; i < 60; i++) {
		struct shape s = {.op = X1_VEC_SCATTER_ADD,
				  .rows = 1 + rnd() % 40,
				  .cols = 8,
				  .param = 1 + (int32_t)(rnd() % 6),
				  .fmt = {i % 3 ? X1_FMT_FP32 : X1_FMT_BF16, rnd() % X1_FMT_E3M2,
					  X1_FMT_INT32},
				  .bcast = {0, 0, X1_VEC_BCAST_COL}};
		bool ints = i % 4 == 3;

		if (ints) {
			s.fmt[0] = i % 8 == 3 ? X1_FMT_INT32 : X1_FMT_INT8;
			s.fmt[1] = X1_FMT_INT8;
		}
		for (unsigned int k = 0; k < 3; k++)
			s.stride[k] = k == 2 ? 4 : row_bytes(s.fmt[k], s.cols);
		fill(s.fmt[1], place[S0], s.rows, s.cols, s.stride[1]);
		fill(s.fmt[0], place[D], 8, s.cols, s.stride[0]);
		for (uint32_t r = 0; r < 8; r++)
			for (uint32_t c = 0; c < s.cols; c++)
				want[r][c] = code_at(s.fmt[0], place[D], s.stride[0], r, c);
		for (uint32_t r = 0; r < s.rows; r++) {
			int32_t idx = (int32_t)(rnd() % 8) - 1;

			memcpy(t_local(mcu, place[S1]) + r * 4, &idx, 4);
			for (uint32_t c = 0; c < s.cols && idx >= 0 && idx < s.param; c++) {
				uint32_t *w = &want[idx][c];
				float old = flush(oracle_decode(s.fmt[0], *w));
				int64_t sum = ints ? (int64_t)int_source(&s, 1, r, c) +
							      (s.fmt[0] == X1_FMT_INT8
								       ? (int8_t)*w
								       : (int32_t)*w)
						   : 0;

				if (!ints)
					*w = x1_encode(
						s.fmt[0],
						canonical(oracle_fma(source(&s, 1, r, c), 1, old)),
						true);
				else if (s.fmt[0] == X1_FMT_INT8)
					*w = (uint8_t)(sum > 127 ? 127 : sum < -128 ? -128 : sum);
				else
					*w = (uint32_t)sum;
			}
		}
		run(&s);
		for (uint32_t r = 0; r < 8; r++)
			for (uint32_t c = 0; c < s.cols; c++)
				assert_int_equal(code_at(s.fmt[0], place[D], s.stride[0], r, c),
						 want[r][c]);
	}
}

/* Is a before b: NaN first, then the larger value, then the lower index. */
static bool before(float a, uint32_t ia, float b, uint32_t ib)
{
	if ((a != a) != (b != b))
		return a != a;
	if (a == a && a != b)
		return a > b;
	return ia < ib;
}

/* REQ-NUM-031, REQ-ISA-052 */
static void test_topk(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		uint32_t k = 1 + rnd() % (i % 2 ? X1_VEC_MAX_TOPK : 8);
		struct shape s = {.op = X1_VEC_TOPK,
				  .rows = 1 + rnd() % 3,
				  .cols = (k + 3) / 4 * 4 + 4 * (rnd() % 60),
				  .param = (int32_t)k,
				  .fmt = {X1_FMT_FP32, rnd() % X1_FMT_COUNT}};

		if (x1_format_bits(s.fmt[1]) < 8)
			s.cols = (s.cols + 7) / 8 * 8;
		operands(&s, 1);
		s.stride[3] = 4 * k;
		run(&s);
		for (uint32_t r = 0; r < s.rows; r++) {
			uint32_t after = 0, last = 0;

			for (uint32_t j = 0; j < k; j++) {
				uint32_t at = code_at(X1_FMT_INT32, place[S2], s.stride[3], r, j);
				float v;

				assert_true(at < s.cols);
				v = source(&s, 1, r, at);
				expect(&s, r, j, v);
				if (j)
					assert_true(before(source(&s, 1, r, last), last, v, at));
				last = at;
			}
			for (uint32_t c = 0; c < s.cols; c++)
				after += before(source(&s, 1, r, last), last, source(&s, 1, r, c),
						c);
			assert_int_equal(after, s.cols - k);
		}
	}
}

/* REQ-ISA-055: causal, with a window, and in integers. */
static void test_mask(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		struct shape s = {.op = X1_VEC_MASK,
				  .rows = 1 + rnd() % 20,
				  .cols = 8 * (1 + rnd() % 8),
				  .param = (int32_t)(rnd() % 60) - 30,
				  .param2 = i % 3 ? 0 : (int32_t)(rnd() % 20)};
		bool ints = i % 5 == 0;

		s.fmt[0] = ints ? X1_FMT_INT8 : rnd() % X1_FMT_E3M2;
		s.fmt[1] = ints ? X1_FMT_INT8 : rnd() % X1_FMT_E3M2;
		s.imm[2] = ints ? (uint32_t)-77 : i % 2 ? 0xff800000 : u32(any());
		operands(&s, 1);
		run(&s);
		for (uint32_t r = 0; r < s.rows; r++) {
			for (uint32_t c = 0; c < s.cols; c++) {
				int64_t edge = (int64_t)r + s.param;
				bool keep = c <= edge && (!s.param2 || c > edge - s.param2);

				if (ints)
					expect_int(&s, r, c, keep ? int_source(&s, 1, r, c) : -77);
				else
					expect(&s, r, c,
					       keep ? source(&s, 1, r, c) : flush(f32(s.imm[2])));
			}
		}
	}
}

/* REQ-ISA-051: codes of any width, as they are. */
static void test_transpose(void **state)
{
	(void)state;
	for (int f = 0; f < X1_FMT_COUNT; f++) {
		for (unsigned int i = 0; i < 6; i++) {
			struct shape s = {.op = X1_VEC_TRANSPOSE,
					  .rows = 4 * (1 + rnd() % 12),
					  .cols = i ? 4 * (1 + rnd() % 12) : X1_VEC_CHUNK + 8,
					  .fmt = {f, f}};

			if (!i)
				s.rows = 4;
			s.stride[0] = row_bytes(f, s.rows) + 1;
			s.stride[1] = row_bytes(f, s.cols) + 1;
			for (uint32_t b = 0; b < s.rows * s.stride[1]; b++)
				*t_local(mcu, place[S0] + b) = (uint8_t)rnd();
			run(&s);
			for (uint32_t r = 0; r < s.rows; r++)
				for (uint32_t c = 0; c < s.cols; c++)
					assert_int_equal(code_at(f, place[D], s.stride[0], c, r),
							 code_at(f, place[S0], s.stride[1], r, c));
		}
	}
}

/* REQ-ISA-051: IOTA counts columns. */
static void test_iota(void **state)
{
	struct shape s = {
		.op = X1_VEC_IOTA, .rows = 2, .cols = X1_VEC_CHUNK + 4, .stride = {20000}};

	(void)state;
	run(&s);
	for (uint32_t c = 0; c < s.cols; c++)
		expect(&s, 1, c, (float)c);
	s.imm[2] = u32(0.5f);
	run(&s);
	expect(&s, 1, s.cols - 1, (float)(s.cols - 1) + 0.5f);
	s.fmt[0] = X1_FMT_INT32;
	s.imm[2] = u32(-3);
	run(&s);
	expect_int(&s, 0, 1, -2);
	expect_int(&s, 1, s.cols - 1, (int32_t)s.cols - 4);
}

/* ---- what faults ---- */

/* REQ-ISA-050..056: each alone. */
static void test_bad(void **state)
{
	const struct shape good = {.rows = 4, .cols = 16, .stride = {64, 64, 64, 64}};
	struct shape s;
	struct x1_desc d;

	(void)state;
	for (unsigned int op = 0; op < 70; op++) {
		bool there = elementwise(op) || (op >= X1_VEC_RSUM && op <= X1_VEC_RMIN) ||
			     (op >= X1_VEC_TRANSPOSE && op <= X1_VEC_MASK) ||
			     (op >= X1_VEC_EXPSUM && op <= X1_VEC_DEQUANT);

		s = good;
		s.op = op;
		if (!there)
			faults(&s, X1_FAULT_ILLEGAL);
		/* A parameter where there is none. */
		s.param2 = 1;
		if (there && op != X1_VEC_MASK)
			faults(&s, X1_FAULT_OPERAND);
		s.param2 = 0;
		s.param = 1;
		if (there && op < X1_VEC_GATHER)
			faults(&s, X1_FAULT_OPERAND);
	}
#define BAD(code, ...)            \
	do {                      \
		s = good;         \
		__VA_ARGS__;      \
		faults(&s, code); \
	} while (0)
	BAD(X1_FAULT_OPERAND, s.rows = 0);
	BAD(X1_FAULT_OPERAND, s.rows = X1_VEC_MAX_ELEMS / 16 + 1);
	BAD(X1_FAULT_OPERAND, s.cols = 0);
	BAD(X1_FAULT_OPERAND, s.fmt[0] = X1_FMT_COUNT);
	BAD(X1_FAULT_OPERAND, s.fmt[1] = 0xff);
	BAD(X1_FAULT_OPERAND, s.cols = 5, s.fmt[1] = X1_FMT_E2M1);
	BAD(X1_FAULT_OPERAND, s.bcast[1] = X1_VEC_BCAST_SCALAR);
	for (unsigned int i = 0; i < 4; i++) {
		BAD(X1_FAULT_OPERAND, s.op = X1_VEC_FMA, s.stride[i] = X1_SPAD_BYTES + 1);
		BAD(X1_FAULT_OPERAND, s.op = X1_VEC_FMA, s.stride[i] = X1_SPAD_BYTES / 2);
	}
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_RSUM, s.rows = 1, s.cols = X1_VEC_MAX_ROW + 1);
	BAD(X1_FAULT_FORMAT, s.op = X1_VEC_RARGMAX);
	BAD(X1_FAULT_FORMAT, s.op = X1_VEC_TRANSPOSE, s.fmt[0] = X1_FMT_BF16);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_TRANSPOSE, s.rows = 5,
	    s.fmt[0] = s.fmt[1] = X1_FMT_INT4);
	for (unsigned int op = X1_VEC_GATHER; op <= X1_VEC_SCATTER_ADD; op++) {
		BAD(X1_FAULT_FORMAT, s.op = op, s.param = 4, s.bcast[2] = X1_VEC_BCAST_COL);
		s.fmt[2] = X1_FMT_INT32;
		faults((s.bcast[2] = 0, &s), X1_FAULT_OPERAND);
		s.bcast[2] = X1_VEC_BCAST_COL;
		faults((s.bcast[1] = X1_VEC_BCAST_COL, &s), X1_FAULT_OPERAND);
		s.bcast[1] = 0;
		faults((s.param = 0, &s), X1_FAULT_OPERAND);
		faults((s.param = -1, &s), X1_FAULT_OPERAND);
		faults((s.param = X1_SPAD_BYTES / 64 + 1, &s), X1_FAULT_OPERAND);
	}
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_TOPK);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_TOPK, s.param = 17);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_TOPK, s.param = X1_VEC_MAX_TOPK + 1, s.cols = 128,
	    s.stride[1] = 512);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_TOPK, s.param = 4, s.stride[3] = X1_SPAD_BYTES / 2);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_MASK, s.param2 = -1);
	BAD(X1_FAULT_OPERAND, s.op = X1_VEC_EXPSUM, s.stride[3] = X1_SPAD_BYTES / 2);
	for (unsigned int op = X1_VEC_QUANT; op <= X1_VEC_DEQUANT; op++) {
		unsigned int coded = op == X1_VEC_QUANT ? 0 : 1;

		BAD(X1_FAULT_OPERAND, s.op = op);
		BAD(X1_FAULT_OPERAND, s.op = op, s.param = X1_SCALE_COUNT);
		for (uint32_t mode = 1; mode < X1_SCALE_COUNT; mode++) {
			for (int f = 0; f < X1_FMT_COUNT; f++)
				if (!mode_takes(mode, f))
					BAD(X1_FAULT_FORMAT, s.op = op, s.param = (int32_t)mode,
					    s.fmt[coded] = f);
			BAD(X1_FAULT_OPERAND, s.op = op, s.param = (int32_t)mode,
			    s.fmt[coded] = X1_FMT_E2M1, s.rows = 300, s.stride[0] = 64,
			    s.stride[3] = X1_SPAD_BYTES / 2);
		}
	}
#undef BAD
	d = describe(&good);
	d.f[X1_VEC_CTRL] = 0x80;
	t_begin(mcu);
	t_engine(mcu, X1_OP_VEC, place[D], place[S0], place[S1], &d);
	t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_VECTOR);
	/* Addresses far away, and a register's upper half. */
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t at[3] = {place[D], place[S0], place[S1]};

		at[i] = i == 1 ? UINT64_MAX : X1_SPAD_BYTES - 255;
		s = good;
		s.op = X1_VEC_ADD;
		d = describe(&s);
		t_begin(mcu);
		t_engine(mcu, X1_OP_VEC, at[0], at[1], at[2], &d);
		t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_VECTOR);
	}
	t_begin(mcu);
	t_li(mcu, 40, 1ull << 32);
	d = describe(&good);
	d.regs = 1ull << X1_VEC_CTRL;
	d.f[X1_VEC_CTRL] = 40;
	t_engine(mcu, X1_OP_VEC, place[D], place[S0], place[S1], &d);
	t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_VECTOR);
}

/* REQ-TIME-050: closed forms. */
static void test_cycles(void **state)
{
	struct shape s = {.rows = 3, .cols = 100, .stride = {400, 400, 400, 400}};
	static const struct {
		uint32_t op, cycles;
	} want[] = {
		{X1_VEC_MOV, 3 * 2},       {X1_VEC_EXP, 3 * 7},     {X1_VEC_ADD, 3 * 2},
		{X1_VEC_DIV, 3 * 7},       {X1_VEC_RSUM, 3 * 2},    {X1_VEC_RSUMSQD, 2 * 3 * 2},
		{X1_VEC_EXPSUM, 3 * 7},    {X1_VEC_MASK, 3 * 2},    {X1_VEC_TOPK, 3 * 7 + 3 * 5},
		{X1_VEC_QUANT, 2 * 3 * 2}, {X1_VEC_DEQUANT, 3 * 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		s.op = want[i].op;
		s.param = s.op == X1_VEC_TOPK ? 5 : s.op >= X1_VEC_QUANT ? X1_SCALE_F32_1X128 : 0;
		s.fmt[0] = s.op == X1_VEC_QUANT ? X1_FMT_E4M3 : X1_FMT_FP32;
		s.fmt[1] = s.op == X1_VEC_DEQUANT ? X1_FMT_E4M3 : X1_FMT_FP32;
		run(&s);
		assert_int_equal(t_record(mcu, 0)->cycles, want[i].cycles);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements),      cmocka_unit_test(test_long_rows),
		cmocka_unit_test(test_output_scales), cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_reductions),    cmocka_unit_test(test_expsum),
		cmocka_unit_test(test_quant),         cmocka_unit_test(test_dequant),
		cmocka_unit_test(test_gather),        cmocka_unit_test(test_scatter_add),
		cmocka_unit_test(test_topk),          cmocka_unit_test(test_mask),
		cmocka_unit_test(test_transpose),     cmocka_unit_test(test_iota),
		cmocka_unit_test(test_bad),           cmocka_unit_test(test_cycles),
	};
	int ret;

	mcu = t_mcu_new();
	ret = run_on_path("vector", tests, sizeof(tests) / sizeof(tests[0]));
	t_mcu_free(mcu);
	return ret;
}
