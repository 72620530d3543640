// SPDX-License-Identifier: MIT
/*
 * MM as an instruction: every combination of formats, block scales and sparsity
 * that the manual allows, from scratchpad to accumulator, against the product of
 * the same operands laid out compactly; what it does not allow, and every bad
 * field, faults.
 */
#include <stdlib.h>

#include "mcu.h"
#include "path.h"

static uint32_t rng_state = 1812433253;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

/* Scratchpad map of the tests. */
enum {
	AT_A = 0x100,
	AT_B = 0x20000,
	AT_SA = 0x50000,
	AT_SB = 0x58000,
	AT_META = 0x60000,
	MAX_DIM = 24,
	MAX_K = 160,
	ROOM = 0x10000,
};

#define AT_ACC (X1_ACC_ADDR + 64)

static struct t_mcu *mcu;
static struct x1_mm_ws *ws;

/* Codes of moderate values: results then depend on all of them. */
static void fill(enum x1_format fmt, uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		float v = (float)((int32_t)(rnd() % 513) - 256) / (x1_format_is_int(fmt) ? 3 : 64);

		x1_pack_f32(fmt, true, &v, p, i, 1);
	}
}

/* Bytes of a matrix of `lines`, each byte-aligned. */
static void fill_lines(enum x1_format fmt, uint8_t *p, uint32_t lines, uint32_t n, uint32_t bytes)
{
	for (uint32_t i = 0; i < lines; i++)
		fill(fmt, p + (size_t)i * bytes, n);
}

static void fill_scales(enum x1_scale_mode s, uint8_t *p, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		p[i] = s == X1_SCALE_MX32 ? 122 + rnd() % 10 : 0x30 + rnd() % 16;
	for (uint32_t i = 0; s <= X1_SCALE_F32_128X128 && i + 4 <= bytes; i += 4) {
		float f = (float)(1 + rnd() % 100) / 32;

		memcpy(p + i, &f, 4);
	}
}

/* Operand: compact bytes for the reference, the same in scratchpad by two-level strides. */
struct side {
	uint8_t compact[ROOM], scales[ROOM];
};
static struct side side_a, side_b;

static void make(struct side *o, struct x1_mm_operand *op, uint32_t rows, uint32_t stored,
		 uint32_t k, uint32_t at, uint32_t scales_at, struct x1_desc *d, uint32_t field,
		 uint32_t scale_field)
{
	uint32_t lines = op->trans ? stored : rows, n = op->trans ? rows : stored;
	uint32_t bytes = (n * x1_format_bits(op->fmt) + 7) / 8;
	uint32_t stride = bytes + rnd() % 5, group = rnd() % 3 ? 1 + rnd() % (lines + 2) : 0;
	uint32_t gstride = group ? group * stride + rnd() % 7 : rnd() % 100;
	uint32_t scale_rows = op->scale == X1_SCALE_F32_128X128 ? (rows + 127) / 128 : rows;
	uint32_t scale_bytes = x1_scale_row_bytes(op->scale, k), scale_stride = scale_bytes + 4;

	assert_true(lines * bytes <= ROOM && scale_rows * scale_bytes <= ROOM);
	fill_lines(op->fmt, o->compact, lines, n, bytes);
	fill_scales(op->scale, o->scales, scale_rows * scale_bytes);
	op->base = o->compact;
	op->stride = bytes;
	op->scales = o->scales;
	op->scale_stride = scale_bytes;
	for (uint32_t i = 0; i < lines; i++) {
		uint32_t off = group ? i % group * stride + i / group * gstride : i * stride;

		memcpy(t_local(mcu, at) + off, o->compact + (size_t)i * bytes, bytes);
	}
	for (uint32_t i = 0; i < scale_rows; i++)
		memcpy(t_local(mcu, scales_at) + i * scale_stride,
		       o->scales + (size_t)i * scale_bytes, scale_bytes);
	d->f[field] = stride;
	d->f[field + 1] = group;
	d->f[field + 2] = gstride;
	d->f[scale_field] = scales_at;
	d->f[scale_field + 1] = scale_stride;
}

/* Metadata: rising places in each group, in the compact and the spread form. */
static void make_meta(struct x1_mm_args *args, uint8_t *compact, uint32_t stored, struct x1_desc *d)
{
	uint32_t bits = x1_sparse_index_bits(args->sparsity),
		 group = x1_sparse_group(args->sparsity);
	uint32_t kept = stored * group / args->k, bytes = (stored * bits + 7) / 8;

	memset(compact, 0, (size_t)args->n * bytes);
	for (uint32_t r = 0; r < args->n; r++) {
		for (uint32_t i = 0; i < stored; i++) {
			uint32_t v = kept == 1    ? rnd() % group
				     : i % 2 == 0 ? rnd() % (group / 2)
						  : group / 2 + rnd() % (group / 2);

			for (uint32_t b = 0; b < bits; b++)
				compact[r * bytes + (i * bits + b) / 8] |=
					(uint8_t)((v >> b & 1) << (i * bits + b) % 8);
		}
		memcpy(t_local(mcu, AT_META) + r * (bytes + 3), compact + (size_t)r * bytes, bytes);
	}
	args->meta = compact;
	args->meta_stride = bytes;
	d->f[X1_MM_META_ADDR] = AT_META;
	d->f[X1_MM_META_STRIDE] = bytes + 3;
}

static void combination(enum x1_format fa, enum x1_format fb, enum x1_scale_mode sa,
			enum x1_scale_mode sb, enum x1_sparsity s)
{
	static uint8_t meta[ROOM], start[MAX_DIM * MAX_DIM * 4], want[MAX_DIM * MAX_DIM * 4];
	uint32_t m = 1 + rnd() % MAX_DIM, n = 1 + rnd() % MAX_DIM, k = 16 * (1 + rnd() % 10);
	uint32_t step = x1_mm_k0_step(sa, sb), fmt, rate_a = x1_format_rate(fa);
	uint32_t rate = rate_a < x1_format_rate(fb) ? rate_a : x1_format_rate(fb);
	struct x1_mm_args args = {
		.m = m,
		.n = n,
		.k = s ? k : k - rnd() % 16,
		.k0 = step * (rnd() % 9),
		.a = {.fmt = fa, .scale = sa, .trans = rnd() % 4 == 0},
		.b = {.fmt = fb, .scale = sb, .trans = rnd() % 4 == 0},
		.sparsity = s,
		.accumulate = rnd() % 2,
		.acc = want,
		.acc_stride = n * 4,
	};
	uint32_t stored = x1_sparse_stored(s, args.k), stride = (n + rnd() % 3) * 4;
	const struct x1_tr_engine *rec;
	struct x1_desc d = {0};

	make(&side_a, &args.a, m, args.k, args.k, AT_A, AT_SA, &d, X1_MM_A_STRIDE, X1_MM_SA_ADDR);
	make(&side_b, &args.b, n, stored, args.k, AT_B, AT_SB, &d, X1_MM_B_STRIDE, X1_MM_SB_ADDR);
	if (s)
		make_meta(&args, meta, stored, &d);
	if (x1_format_is_int(fa) && !sa && !sb)
		fill(X1_FMT_INT32, start, m * n);
	else
		fill(X1_FMT_FP32, start, m * n);
	memcpy(want, start, m * n * 4);
	for (uint32_t i = 0; i < m; i++)
		memcpy(t_local(mcu, AT_ACC) + i * stride, start + i * n * 4, n * 4);
	assert_int_equal(x1_mm(&args, ws), 0);

	fmt = X1_MM_FMT(fa, fb) | (args.a.trans ? X1_MM_FMT_TRANS_A : 0) |
	      (args.b.trans ? X1_MM_FMT_TRANS_B : 0);
	d.f[X1_MM_M] = m;
	d.f[X1_MM_N] = n;
	d.f[X1_MM_K] = args.k;
	d.f[X1_MM_K0] = args.k0;
	d.f[X1_MM_FMT] = fmt;
	d.f[X1_MM_SCALE] = X1_MM_SCALE(sa, sb, s);
	d.f[X1_MM_ACCUMULATE] = args.accumulate;
	d.f[X1_MM_ACC_STRIDE] = stride;
	t_begin(mcu);
	/* REQ-ISA-041: precision from registers. */
	if (rnd() % 2) {
		t_li(mcu, 40, fmt);
		t_li(mcu, 41, d.f[X1_MM_SCALE]);
		d.regs = 1ull << X1_MM_FMT | 1ull << X1_MM_SCALE;
		d.f[X1_MM_FMT] = 40;
		d.f[X1_MM_SCALE] = 41;
	}
	t_engine(mcu, X1_OP_MM, AT_ACC, AT_A, AT_B, &d);
	t_ok(mcu);
	for (uint32_t i = 0; i < m; i++)
		if (memcmp(t_local(mcu, AT_ACC) + i * stride, want + i * n * 4, n * 4))
			fail_msg("formats %d x %d, scales %d, %d, sparsity %d, %ux%ux%u k0 %u: "
				 "row %u differs",
				 fa, fb, sa, sb, s, m, n, args.k, args.k0, i);
	rec = t_record(mcu, 0);
	assert_int_equal(rec->cycles, (n + 31) / 32 * ((stored + rate - 1) / rate) * 32);
	assert_int_equal(rec->macs, (uint64_t)m * n * stored);
	assert_int_equal(rec->fmt, fa | fb << 8);
}

static bool wide(enum x1_format f)
{
	return f == X1_FMT_FP32 || f == X1_FMT_TF32;
}

/* REQ-NUM-010, as the manual says it. */
static bool takes(enum x1_format f, enum x1_scale_mode s)
{
	switch (s) {
	case X1_SCALE_NONE:
		return true;
	case X1_SCALE_MX32:
		return x1_format_bits(f) <= 8 && f != X1_FMT_INT4;
	case X1_SCALE_NV16:
		return f == X1_FMT_E2M1;
	default:
		return !wide(f);
	}
}

static struct x1_desc small_desc(uint32_t fmt, uint32_t scale)
{
	struct x1_desc d = {0};

	d.f[X1_MM_M] = d.f[X1_MM_N] = 4;
	d.f[X1_MM_K] = 32;
	d.f[X1_MM_FMT] = fmt;
	d.f[X1_MM_SCALE] = scale;
	d.f[X1_MM_A_STRIDE] = d.f[X1_MM_B_STRIDE] = 128;
	d.f[X1_MM_ACC_STRIDE] = 16;
	d.f[X1_MM_SA_ADDR] = AT_SA;
	d.f[X1_MM_SB_ADDR] = AT_SB;
	d.f[X1_MM_META_ADDR] = AT_META;
	d.f[X1_MM_SA_STRIDE] = d.f[X1_MM_SB_STRIDE] = d.f[X1_MM_META_STRIDE] = 16;
	return d;
}

/* REQ-ISA-040, -041, REQ-NUM-010: all combinations; those that are not legal fault. */
static void test_combinations(void **state)
{
	uint32_t legal = 0;

	(void)state;
	for (unsigned int fa = 0; fa <= X1_FMT_INT4; fa++) {
		for (unsigned int fb = 0; fb <= X1_FMT_INT4; fb++) {
			for (unsigned int c = 0; c < 25; c++) {
				unsigned int sa = c / 5, sb = c % 5;
				bool ok = x1_format_is_int(fa) == x1_format_is_int(fb) &&
					  takes(fa, sa) && takes(fb, sb) &&
					  !((wide(fa) || wide(fb)) && (sa || sb));

				for (unsigned int s = 0; s < X1_SPARSE_COUNT; s++) {
					struct x1_desc d;

					if (ok) {
						combination(fa, fb, sa, sb, s);
						legal++;
						continue;
					}
					d = small_desc(X1_MM_FMT(fa, fb), X1_MM_SCALE(sa, sb, s));
					t_begin(mcu);
					t_engine(mcu, X1_OP_MM, X1_ACC_ADDR, 0, 0, &d);
					t_bad(mcu, X1_FAULT_FORMAT, X1_UNIT_MATRIX);
				}
			}
		}
	}
	print_message("# %u legal combinations\n", legal);
}

/* REQ-ISA-043: scales are counted from the block that k0 lies in. */
static void test_scale_origin(void **state)
{
	static const float s[3] = {2, 1024, 65536};
	struct x1_desc d = small_desc(X1_MM_FMT(X1_FMT_INT8, X1_FMT_INT8),
				      X1_MM_SCALE(X1_SCALE_F32_1X128, 0, 0));
	float got;

	(void)state;
	memset(t_local(mcu, 0), 1, 0x2000);
	memcpy(t_local(mcu, AT_SA), s, sizeof(s));
	d.f[X1_MM_M] = d.f[X1_MM_N] = 1;
	/* k 96..319: 32 of the first block, 128 of the next, 64 of the third. */
	d.f[X1_MM_K] = 224;
	d.f[X1_MM_K0] = 128 * 7 + 96;
	t_begin(mcu);
	t_engine(mcu, X1_OP_MM, X1_ACC_ADDR, 0, 0x1000, &d);
	t_ok(mcu);
	memcpy(&got, t_local(mcu, X1_ACC_ADDR), 4);
	assert_true(got == 32 * 2.0f + 128 * 1024.0f + 64 * 65536.0f);
}

/* REQ-ISA-044: where a group names a place twice, the later element counts. */
static void test_equal_places(void **state)
{
	struct x1_desc d = small_desc(X1_MM_FMT(X1_FMT_INT8, X1_FMT_INT8),
				      X1_MM_SCALE(0, 0, X1_SPARSE_2_4));
	int32_t got;

	(void)state;
	d.f[X1_MM_M] = d.f[X1_MM_N] = 1;
	d.f[X1_MM_K] = 4;
	for (unsigned int i = 0; i < 4; i++)
		*t_local(mcu, i) = (uint8_t)(1 + i);
	*t_local(mcu, 0x1000) = 5;
	*t_local(mcu, 0x1001) = 7;
	*t_local(mcu, AT_META) = 2 | 2 << 2;
	t_begin(mcu);
	t_engine(mcu, X1_OP_MM, X1_ACC_ADDR, 0, 0x1000, &d);
	t_ok(mcu);
	memcpy(&got, t_local(mcu, X1_ACC_ADDR), 4);
	assert_int_equal(got, 7 * 3);
}

/* REQ-ISA-040, -042: each bad field, alone. */
static void test_bad_fields(void **state)
{
	const uint32_t fmt = X1_MM_FMT(X1_FMT_E2M1, X1_FMT_E2M1);
	const uint32_t all = X1_MM_SCALE(X1_SCALE_NV16, X1_SCALE_NV16, X1_SPARSE_2_4);
	static const struct {
		uint32_t field, value;
		uint32_t fault;
	} bad[] = {
		{X1_MM_M, 0, X1_FAULT_OPERAND},
		{X1_MM_M, X1_ACC_BYTES, X1_FAULT_OPERAND},
		{X1_MM_N, 0, X1_FAULT_OPERAND},
		{X1_MM_N, X1_ACC_BYTES / 16 + 1, X1_FAULT_OPERAND},
		{X1_MM_K, 0, X1_FAULT_OPERAND},
		{X1_MM_K, 34, X1_FAULT_OPERAND}, /* no whole sparse group */
		{X1_MM_K, X1_MM_MAX_K + 4, X1_FAULT_OPERAND},
		{X1_MM_K0, 8, X1_FAULT_OPERAND},
		{X1_MM_K0, 0x80000000u, X1_FAULT_OPERAND},
		{X1_MM_FMT, 1u << 18, X1_FAULT_OPERAND},
		{X1_MM_FMT, X1_FMT_COUNT, X1_FAULT_FORMAT},
		{X1_MM_FMT, X1_MM_FMT(X1_FMT_E2M1, X1_FMT_E8M0), X1_FAULT_FORMAT},
		{X1_MM_SCALE, 1u << 24, X1_FAULT_OPERAND},
		{X1_MM_SCALE, X1_SCALE_COUNT, X1_FAULT_FORMAT},
		{X1_MM_SCALE, X1_MM_SCALE(0, 0, X1_SPARSE_COUNT), X1_FAULT_FORMAT},
		{X1_MM_ACCUMULATE, 2, X1_FAULT_OPERAND},
		{X1_MM_A_STRIDE, X1_SPAD_BYTES + 1, X1_FAULT_OPERAND},
		{X1_MM_A_STRIDE, X1_SPAD_BYTES / 3 + 1, X1_FAULT_OPERAND},
		{X1_MM_B_STRIDE, X1_SPAD_BYTES / 3 + 1, X1_FAULT_OPERAND},
		{X1_MM_ACC_STRIDE, 12, X1_FAULT_OPERAND},
		{X1_MM_ACC_STRIDE, 18, X1_FAULT_OPERAND},
		{X1_MM_ACC_STRIDE, X1_ACC_BYTES / 3 + 4, X1_FAULT_OPERAND},
		{X1_MM_SA_ADDR, X1_SPAD_BYTES - 49, X1_FAULT_OPERAND},
		{X1_MM_SA_ADDR, X1_ACC_ADDR, X1_FAULT_OPERAND},
		{X1_MM_SB_ADDR, X1_SPAD_BYTES - 49, X1_FAULT_OPERAND},
		{X1_MM_SA_STRIDE, X1_SPAD_BYTES + 1, X1_FAULT_OPERAND},
		{X1_MM_SB_STRIDE, X1_SPAD_BYTES, X1_FAULT_OPERAND},
		{X1_MM_META_ADDR, X1_SPAD_BYTES - 51, X1_FAULT_OPERAND},
		{X1_MM_META_STRIDE, X1_SPAD_BYTES + 1, X1_FAULT_OPERAND},
	};
	static const struct {
		uint64_t acc, a, b;
	} place[] = {
		{0, 0, 0},
		{X1_ACC_ADDR + 2, 0, 0},
		{X1_ACC_ADDR + X1_ACC_BYTES - 63, 0, 0},
		{UINT64_MAX, 0, 0},
		{X1_ACC_ADDR, X1_SPAD_BYTES - 399, 0},
		{X1_ACC_ADDR, X1_ACC_ADDR, 0},
		{X1_ACC_ADDR, 0, X1_SPAD_BYTES - 391},
		{X1_ACC_ADDR, UINT64_MAX, 0},
		{X1_ACC_ADDR, 0, 1ull << 63},
	};
	struct x1_desc d = small_desc(fmt, all);

	(void)state;
	t_begin(mcu);
	/* The last bytes of each area are in reach. */
	d.f[X1_MM_SA_ADDR] = X1_SPAD_BYTES - 50;
	d.f[X1_MM_META_ADDR] = X1_SPAD_BYTES - 52;
	t_engine(mcu, X1_OP_MM, X1_ACC_ADDR + X1_ACC_BYTES - 64, X1_SPAD_BYTES - 400,
		 X1_SPAD_BYTES - 392, &d);
	t_ok(mcu);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int by_reg = 0; by_reg < 2; by_reg++) {
			d = small_desc(fmt, all);
			d.f[bad[i].field] = bad[i].value;
			t_begin(mcu);
			if (by_reg) {
				t_li(mcu, 40, bad[i].value);
				d.regs = 1ull << bad[i].field;
				d.f[bad[i].field] = 40;
			}
			t_engine(mcu, X1_OP_MM, X1_ACC_ADDR, 0, 0, &d);
			t_bad(mcu, bad[i].fault, X1_UNIT_MATRIX);
		}
	}
	/* A register's 64 bits count, every field of it. */
	for (uint32_t f = 0; f < X1_MM_FIELDS; f++) {
		d = small_desc(fmt, all);
		t_begin(mcu);
		t_li(mcu, 40, 1ull << 40 | d.f[f]);
		d.regs = 1ull << f;
		d.f[f] = 40;
		t_engine(mcu, X1_OP_MM, X1_ACC_ADDR, 0, 0, &d);
		t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_MATRIX);
	}
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		d = small_desc(fmt, all);
		t_begin(mcu);
		t_engine(mcu, X1_OP_MM, place[i].acc, place[i].a, place[i].b, &d);
		t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_MATRIX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_scale_origin),
		cmocka_unit_test(test_equal_places),
		cmocka_unit_test(test_bad_fields),
	};
	int ret;

	mcu = t_mcu_new();
	ws = x1_mm_ws_new();
	ret = run_on_path("matrix", tests, sizeof(tests) / sizeof(tests[0]));
	x1_mm_ws_free(ws);
	t_mcu_free(mcu);
	return ret;
}
