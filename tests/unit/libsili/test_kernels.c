// SPDX-License-Identifier: MIT
/*
 * Kernels to the bit: the device's results against the arithmetic of
 * docs/manual/numerics.md applied to the whole matrices (GEMM: test_gemm.c);
 * and equal cycles.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "num/x1_num.h"
#include "util.h"

static struct sili_device *dev;
static struct sili_queue *queue;

static int setup(void **state)
{
	(void)state;
	dev = t_open("sim:hbm=512M,mcus=24");
	queue = t_queue(dev);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sili_queue_free(queue);
	sili_close(dev);
	return 0;
}

struct shape {
	uint32_t m, n, k;
	bool ta, tb;
	enum sili_act act;
	bool bias;
	float scale;
};

/* What the device has to give, FP32 before the last rounding. */
static float *reference(const struct shape *s, enum x1_format fmt, const void *a, const void *b,
			const float *bias)
{
	bool ints = x1_format_is_int(fmt);
	float *acc = calloc((size_t)s->m * s->n, 4);
	struct x1_mm_ws *ws = x1_mm_ws_new();
	struct x1_mm_args args = {
		.m = s->m,
		.n = s->n,
		.k = s->k,
		.a = {.base = a,
		      .fmt = fmt,
		      .trans = s->ta,
		      .stride = (int64_t)sili_format_bytes(fmt, s->ta ? s->m : s->k)},
		.b = {.base = b,
		      .fmt = fmt,
		      .trans = s->tb,
		      .stride = (int64_t)sili_format_bytes(fmt, s->tb ? s->n : s->k)},
		.acc = acc,
		.acc_stride = 4 * (int64_t)s->n,
	};

	assert_int_equal(x1_mm(&args, ws), 0);
	x1_mm_ws_free(ws);
	for (size_t i = 0; i < (size_t)s->m * s->n; i++) {
		float v = ints ? (float)((int32_t *)acc)[i] : acc[i];
		float scale = s->scale;

		if (scale != 0.0f)
			x1_vec_binary(X1_VEC_MUL, &v, &v, &scale, 1);
		if (s->bias)
			x1_vec_binary(X1_VEC_ADD, &v, &v, &bias[i % s->n], 1);
		if (s->act == SILI_ACT_RELU)
			x1_vec_unary(X1_VEC_RELU, &v, &v, 1);
		else if (s->act == SILI_ACT_GELU)
			x1_vec_unary(X1_VEC_GELU, &v, &v, 1);
		acc[i] = v;
	}
	return acc;
}

static void check_eltwise(enum x1_vec_op op, uint32_t rows, uint32_t cols, enum x1_format fmt,
			  bool b_row)
{
	bool reduce = op >= X1_VEC_RSUM, binary = op >= X1_VEC_ADD && !reduce;
	size_t n = (size_t)rows * cols, out = reduce ? rows : n, nb = b_row ? cols : n;
	float *a = malloc(n * 4), *b = malloc(nb * 4), *want = malloc(out * 4);
	struct sili_bo *ba, *bb, *bd = t_bo(dev, out * 4, SILI_HBM);
	struct sili_eltwise e = {
		.size = sizeof(e), .op = op, .rows = rows, .cols = cols, .b_row = b_row};
	union x1_cmd cmd;

	t_random(a, n, op, 40);
	t_random(b, nb, op + 1, 40);
	for (size_t i = 0; i < n; i++)
		a[i] *= 0.125f;
	ba = t_upload(dev, fmt, a, n);
	bb = t_upload(dev, fmt, b, nb);
	/* What the device reads. */
	sili_to_f32(fmt, sili_bo_map(ba), a, n);
	sili_to_f32(fmt, sili_bo_map(bb), b, nb);
	for (uint32_t r = 0; r < rows; r++) {
		const float *ra = a + (size_t)r * cols, *rb = b_row ? b : b + (size_t)r * cols;
		uint32_t bits;

		if (reduce) {
			bits = x1_vec_reduce(op, ra, cols);
			memcpy(want + r, &bits, 4);
		} else if (binary) {
			x1_vec_binary(op, want + (size_t)r * cols, ra, rb, cols);
		} else {
			x1_vec_unary(op, want + (size_t)r * cols, ra, cols);
		}
	}
	e.a_fmt = fmt;
	e.b_fmt = fmt;
	e.a = sili_bo_dva(ba);
	e.b = sili_bo_dva(bb);
	e.dst = sili_bo_dva(bd);
	assert_int_equal(sili_eltwise(dev, &e, &cmd, 1), 1);
	t_run(queue, &cmd, 1, 0);
	/* A NaN is written as the one NaN. */
	assert_int_equal(sili_from_f32(X1_FMT_FP32, want, want, out), 0);
	if (memcmp(sili_bo_map(bd), want, out * 4))
		fail_msg("op %d, %ux%u %s: bits differ", op, rows, cols, sili_format_name(fmt));
	sili_bo_free(ba);
	sili_bo_free(bb);
	sili_bo_free(bd);
	free(a);
	free(b);
	free(want);
}

static void test_eltwise(void **state)
{
	static const enum x1_vec_op ops[] = {X1_VEC_MOV,  X1_VEC_RELU, X1_VEC_EXP,   X1_VEC_GELU,
					     X1_VEC_ADD,  X1_VEC_MUL,  X1_VEC_DIV,   X1_VEC_MAX,
					     X1_VEC_RSUM, X1_VEC_RMAX, X1_VEC_RSUMSQ};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		check_eltwise(ops[i], 37, 501, X1_FMT_FP32, false);
		check_eltwise(ops[i], 300, 64, X1_FMT_FP16, false);
		check_eltwise(ops[i], 3, 10000, X1_FMT_E4M3, false);
	}
	check_eltwise(X1_VEC_ADD, 100, 300, X1_FMT_FP32, true);
	check_eltwise(X1_VEC_MOV, 2, 40000, X1_FMT_BF16, false);
}

/* Precision switches inside one program: layer by layer against the rule. */
static void test_mlp(void **state)
{
	static const uint32_t width[] = {48, 130, 96, 7};
	static const enum x1_format modes[][3] = {
		{X1_FMT_FP32, X1_FMT_FP32, X1_FMT_FP32},
		{X1_FMT_E4M3, X1_FMT_FP16, X1_FMT_FP32},
		{X1_FMT_BF16, X1_FMT_E5M2, X1_FMT_E4M3},
	};
	const uint32_t batch = 75;

	(void)state;
	for (size_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
		struct sili_bo *bo[8], *x, *y = t_bo(dev, batch * 7 * 4, SILI_HBM);
		struct sili_mlp_layer layers[3];
		float *act = malloc(batch * 48 * 4);
		uint8_t *in;

		t_random(act, batch * 48, 11, 3);
		x = t_upload(dev, modes[mode][0], act, batch * 48);
		in = malloc(batch * 130 * 4);
		memcpy(in, sili_bo_map(x), sili_format_bytes(modes[mode][0], batch * 48));
		for (uint32_t i = 0; i < 3; i++) {
			size_t n = (size_t)width[i] * width[i + 1];
			float *w = malloc(n * 4), *bias = malloc(width[i + 1] * 4);
			struct shape s = {.m = batch,
					  .n = width[i + 1],
					  .k = width[i],
					  .bias = true,
					  .act = i < 2 ? SILI_ACT_RELU : SILI_ACT_NONE};

			t_random(w, n, 20 + i, 3);
			t_random(bias, width[i + 1], 30 + i, 4);
			bo[2 * i] = t_upload(dev, modes[mode][i], w, n);
			bo[2 * i + 1] = t_upload(dev, X1_FMT_FP32, bias, width[i + 1]);
			layers[i] = (struct sili_mlp_layer){
				.n_in = width[i],
				.n_out = width[i + 1],
				.fmt = modes[mode][i],
				.act = s.act,
				.weights = sili_bo_dva(bo[2 * i]),
				.bias = sili_bo_dva(bo[2 * i + 1]),
			};
			free(act);
			act = reference(&s, modes[mode][i], in, sili_bo_map(bo[2 * i]), bias);
			if (i < 2)
				x1_pack_f32(modes[mode][i + 1], true, act, in, 0,
					    (size_t)batch * width[i + 1]);
			free(w);
			free(bias);
		}
		for (int pf = SILI_PREFETCH_OFF; pf <= SILI_PREFETCH_GRAPH; pf++) {
			struct sili_mlp m = {.size = sizeof(m),
					     .batch = batch,
					     .num_layers = 3,
					     .layers = layers,
					     .x = sili_bo_dva(x),
					     .y = sili_bo_dva(y),
					     .prefetch = (enum sili_prefetch)pf};
			union x1_cmd cmd;

			memset(sili_bo_map(y), 0x5a, batch * 7 * 4);
			assert_int_equal(sili_mlp(dev, &m, &cmd, 1), 1);
			t_run(queue, &cmd, 1, 0);
			if (memcmp(sili_bo_map(y), act, batch * 7 * 4))
				fail_msg("mode %zu, prefetch %d: bits differ", mode, pf);
		}
		for (uint32_t i = 0; i < 6; i++)
			sili_bo_free(bo[i]);
		sili_bo_free(x);
		sili_bo_free(y);
		free(act);
		free(in);
	}
}

static uint64_t gemm_cycles(const char *spec)
{
	struct sili_device *d = t_open(spec);
	struct sili_queue *q = t_queue(d);
	struct sili_bo *a = t_bo(d, 400 * 700, SILI_HBM), *b = t_bo(d, 300 * 700, SILI_HBM);
	struct sili_bo *c = t_bo(d, 400 * 300 * 4, SILI_HBM);
	struct sili_gemm g = {.size = sizeof(g),
			      .m = 400,
			      .n = 300,
			      .k = 700,
			      .a_fmt = X1_FMT_E4M3,
			      .b_fmt = X1_FMT_E4M3,
			      .a = sili_bo_dva(a),
			      .b = sili_bo_dva(b),
			      .c = sili_bo_dva(c)};
	struct x1_perf perf;
	union x1_cmd cmd;

	assert_int_equal(sili_gemm(d, &g, &cmd, 1, NULL), 1);
	assert_int_equal(sili_run_perf(q, &cmd, 1, &perf), 0);
	/* Without the event model nothing is counted. */
	if (perf.cycles)
		assert_int_equal(perf.macs[X1_FMT_E4M3], 400ull * 300 * 700);
	sili_bo_free(a);
	sili_bo_free(b);
	sili_bo_free(c);
	sili_queue_free(q);
	sili_close(d);
	return perf.cycles;
}

/* Cycles do not depend on host threads, and do on the machine. */
static void test_equal_cycles(void **state)
{
	uint64_t one = gemm_cycles("sim:hbm=64M,mcus=24,threads=1");

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(gemm_cycles("sim:hbm=64M,mcus=24,threads=4"), one);
	assert_true(gemm_cycles("sim:hbm=64M,mcus=6") > one);
	assert_int_equal(gemm_cycles("sim:hbm=64M,mcus=24,timing=off"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eltwise),
		cmocka_unit_test(test_mlp),
		cmocka_unit_test(test_equal_cycles),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
