// SPDX-License-Identifier: MIT
/*
 * Graphs: what the builder refuses, what the passes do, results against double
 * precision, files whole and broken, runs that fail.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <sili_graph.h>

#include "graph/exec.h"
#include "util.h"

static struct sili_device *dev;

static int setup(void **state)
{
	(void)state;
	dev = t_open("sim:hbm=256M,mcus=16");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sili_close(dev);
	return 0;
}

/* ---- small graphs ---- */

static uint32_t weight(struct sili_graph *g, const char *name, uint32_t rows, uint32_t cols,
		       uint32_t seed)
{
	const uint32_t dim[] = {rows, cols};
	uint32_t id = rows ? sili_graph_weight(g, name, X1_FMT_FP32, 2, dim, NULL)
			   : sili_graph_weight(g, name, X1_FMT_FP32, 1, &cols, NULL);
	size_t n = (size_t)(rows ? rows : 1) * cols;
	float *data = sili_graph_data(g, id);

	assert_non_null(data);
	t_random(data, n, seed, 100);
	for (size_t i = 0; i < n; i++)
		data[i] *= 0.01f;
	return id;
}

static uint32_t matmul(struct sili_graph *g, const char *name, uint32_t x, uint32_t w)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_MATMUL,
						     .name = name,
						     .in = {x, w}});
}

static uint32_t vec(struct sili_graph *g, enum sili_op op, enum x1_vec_op vec_op, uint32_t a,
		    uint32_t b)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = op,
						     .vec_op = vec_op,
						     .in = {a, b}});
}

#define ROWS 24u
#define WIDE 96u
#define DEEP 64u

/* Two layers with everything that fuses, a reshape, constants, a residual. */
static struct sili_graph *block(void)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t dim[] = {2, ROWS / 2, DEEP}, flat[] = {ROWS, DEEP};
	uint32_t x, t, c;

	assert_non_null(g);
	x = sili_graph_input(g, "x", X1_FMT_FP32, 3, dim);
	c = vec(g, SILI_OP_BINARY, X1_VEC_ADD, weight(g, "b0", 0, WIDE, 2),
		weight(g, "b1", 0, WIDE, 3));
	t = matmul(g, "up", x, weight(g, "w0", WIDE, DEEP, 1));
	t = vec(g, SILI_OP_BINARY, X1_VEC_MUL, t, weight(g, "gain", 0, WIDE, 4));
	t = vec(g, SILI_OP_BINARY, X1_VEC_ADD, t, c);
	t = vec(g, SILI_OP_UNARY, X1_VEC_GELU, t, 0);
	t = matmul(g, "down", t, weight(g, "w1", DEEP, WIDE, 5));
	t = vec(g, SILI_OP_BINARY, X1_VEC_ADD, x, t);
	sili_graph_output(g, t, "sum", X1_FMT_FP32);
	t = sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						  .op = SILI_OP_RESHAPE,
						  .in = {t},
						  .rank = 2,
						  .dim = {flat[0], flat[1]}});
	t = vec(g, SILI_OP_UNARY, X1_VEC_SIGMOID, t, 0);
	t = vec(g, SILI_OP_UNARY, X1_VEC_NEG, t, 0);
	t = vec(g, SILI_OP_REDUCE, X1_VEC_RSUM, t, 0);
	sili_graph_output(g, t, "rows", X1_FMT_FP32);
	assert_null(sili_graph_error(g));
	return g;
}

/* 1 - cosine of two vectors, and the largest difference over the largest value. */
static double distance(const float *got, const double *want, size_t n, double *relative)
{
	double aa = 0, bb = 0, ab = 0, most = 0, diff = 0;

	for (size_t i = 0; i < n; i++) {
		aa += (double)got[i] * (double)got[i];
		bb += want[i] * want[i];
		ab += (double)got[i] * want[i];
		most = fmax(most, fabs(want[i]));
		diff = fmax(diff, fabs((double)got[i] - want[i]));
	}
	*relative = diff / most;
	return 1 - ab / sqrt(aa * bb);
}

static struct sili_exec *compile_with(const struct sili_graph *g, const struct sili_exec_attr *attr)
{
	struct sili_exec *x;
	char err[256] = "";

	if (sili_exec_new(dev, g, attr, &x, err, sizeof(err)))
		fail_msg("%s", err);
	return x;
}

struct result {
	float sum[ROWS * DEEP], rows[ROWS];
};

static void run(struct sili_exec *x, struct result *r)
{
	float in[ROWS * DEEP];

	t_random(in, ROWS * DEEP, 9, 8);
	for (size_t i = 0; i < ROWS * DEEP; i++)
		in[i] *= 0.125f;
	assert_int_equal(sili_exec_set_input(x, 0, in, ROWS * DEEP), 0);
	if (sili_exec_run(x))
		fail_msg("%s", sili_exec_error(x));
	assert_int_equal(sili_exec_get_output(x, 0, r->sum, ROWS * DEEP), 0);
	assert_int_equal(sili_exec_get_output(x, 1, r->rows, ROWS), 0);
}

static void expect(const struct sili_graph *g, double *sum, double *rows)
{
	double in[ROWS * DEEP];
	float f[ROWS * DEEP];

	t_random(f, ROWS * DEEP, 9, 8);
	for (size_t i = 0; i < ROWS * DEEP; i++)
		in[i] = (double)(f[i] * 0.125f);
	assert_int_equal(
		sili_graph_eval(g, (const double *const[]){in}, (double *const[]){sum, rows}), 0);
}

/* ---- building ---- */

static void check_error(struct sili_graph *g, const char *want)
{
	const char *error = sili_graph_error(g);

	if (!error || !strstr(error, want))
		fail_msg("'%s' is not in '%s'", want, error ? error : "(no error)");
	sili_graph_free(g);
}

static void test_refused(void **state)
{
	const uint32_t dim[] = {4, 8}, zero[] = {4, 0}, huge[] = {1u << 30, 1u << 30};
	struct sili_graph *g;
	uint32_t x, w;

	(void)state;
	g = sili_graph_new();
	sili_graph_input(g, "x", X1_FMT_COUNT, 2, dim);
	check_error(g, "tensor 'x': format 13");
	g = sili_graph_new();
	sili_graph_input(g, "x", X1_FMT_FP32, 7, dim);
	check_error(g, "rank 7 is not in 1..6");
	g = sili_graph_new();
	sili_graph_input(g, "x", X1_FMT_FP32, 2, zero);
	check_error(g, "dimension 1 is 0");
	g = sili_graph_new();
	sili_graph_input(g, "x", X1_FMT_FP32, 2, huge);
	check_error(g, "2^40 elements");

	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	w = weight(g, "w", 3, 9, 1);
	matmul(g, "m", x, w);
	/* The first error stays. */
	matmul(g, "n", x, 77);
	check_error(g, "node 'm' (matmul): in[1]: dimension 1 of 'w' is 9, not 8");

	g = sili_graph_new();
	matmul(g, "m", 0, 0);
	check_error(g, "in[0]: missing");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	vec(g, SILI_OP_UNARY, X1_VEC_ADD, x, 0);
	check_error(g, "vec_op: 16 is not in 0..14");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	vec(g, SILI_OP_UNARY, X1_VEC_NEG, x, x);
	check_error(g, "in[1]: one too many");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
					      .op = SILI_OP_UNARY,
					      .in = {x},
					      .trans_b = 1});
	check_error(g, "trans_b: unary has no such field");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
					      .op = SILI_OP_MATMUL,
					      .in = {x, x},
					      .scale = NAN});
	check_error(g, "scale: not a finite number");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
					      .op = SILI_OP_RESHAPE,
					      .in = {x},
					      .rank = 1,
					      .dim = {33}});
	check_error(g, "33 elements, 'x' has 32");
	g = sili_graph_new();
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	sili_graph_output(g, x, "y", X1_FMT_FP32);
	check_error(g, "'x' is no node's result");
	g = sili_graph_new();
	assert_int_equal(sili_graph_check(g), -EINVAL);
	check_error(g, "no input");
}

static void test_compile_refused(void **state)
{
	struct sili_exec_attr attr = {.size = sizeof(attr),
				      .precision = SILI_PRECISION(X1_FMT_INT8)};
	struct sili_graph *g = block();
	struct sili_exec *x;
	char err[256];

	(void)state;
	assert_int_equal(sili_exec_new(dev, g, &attr, &x, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "attr.precision: int8"));
	attr = (struct sili_exec_attr){.size = sizeof(attr), .flags = 1u << 31};
	assert_int_equal(sili_exec_new(dev, g, &attr, &x, err, sizeof(err)), -EINVAL);
	/* Two windows and less than a weight. */
	attr = (struct sili_exec_attr){.size = sizeof(attr), .weight_limit = 1000};
	assert_int_equal(sili_exec_new(dev, g, &attr, &x, err, sizeof(err)), -ENOMEM);
	assert_non_null(strstr(err, "two windows"));
	assert_int_equal(sili_graph_set_precision(g, "nobody", 1), -ENOENT);
	assert_int_equal(sili_graph_set_precision(g, "up", 99), -EINVAL);
	assert_int_equal(sili_graph_set_precision(g, "up", SILI_PRECISION(X1_FMT_INT32)), 0);
	assert_int_equal(sili_exec_new(dev, g, NULL, &x, err, sizeof(err)), -ENOTSUP);
	assert_non_null(strstr(err, "node 'up' (matmul): precision: int32"));
	sili_graph_free(g);
}

/* ---- results ---- */

static void test_results(void **state)
{
	static const struct {
		enum x1_format precision, act;
		double distance;
	} cases[] = {
		{X1_FMT_FP32, X1_FMT_FP32, 1e-10}, {X1_FMT_BF16, X1_FMT_FP32, 1e-4},
		{X1_FMT_FP16, X1_FMT_FP16, 1e-5},  {X1_FMT_E4M3, X1_FMT_BF16, 5e-3},
		{X1_FMT_E2M1, X1_FMT_BF16, 4e-2},
	};
	double sum[ROWS * DEEP], rows[ROWS], relative;
	struct sili_graph *g = block();

	(void)state;
	expect(g, sum, rows);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sili_exec_attr attr = {.size = sizeof(attr),
					      .precision = SILI_PRECISION(cases[i].precision),
					      .act_fmt = SILI_PRECISION(cases[i].act)};
		struct sili_exec *x = compile_with(g, &attr);
		struct result r;
		double d;

		run(x, &r);
		d = distance(r.sum, sum, ROWS * DEEP, &relative);
		if (d > cases[i].distance)
			fail_msg("%s: distance %g", sili_format_name(cases[i].precision), d);
		d = distance(r.rows, rows, ROWS, &relative);
		if (d > cases[i].distance)
			fail_msg("%s: distance %g of rows", sili_format_name(cases[i].precision),
				 d);
		sili_exec_free(x);
	}
	sili_graph_free(g);
}

#define CLASSES 10u

static uint32_t filters(struct sili_graph *g, const char *name, uint32_t k, uint32_t side,
			uint32_t c)
{
	const uint32_t dim[] = {k, side, side, c};
	uint32_t id = sili_graph_weight(g, name, X1_FMT_FP32, 4, dim, NULL);
	float *data = sili_graph_data(g, id);

	t_random(data, (size_t)k * side * side * c, k + c, 100);
	for (size_t i = 0; i < (size_t)k * side * side * c; i++)
		data[i] *= 0.003f;
	return id;
}

/* Two convolutions with a shortcut, both kinds of pooling, a classifier. */
static struct sili_graph *images(void)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t dim[] = {2, 17, 15, 4};
	struct sili_node n = {.size = sizeof(n)};
	uint32_t x, y;

	x = sili_graph_input(g, "image", X1_FMT_FP32, 4, dim);
	n = (struct sili_node){.size = sizeof(n),
			       .op = SILI_OP_CONV,
			       .in = {x, filters(g, "f0", 32, 3, 4), weight(g, "b", 0, 32, 7)},
			       .act = SILI_ACT_RELU,
			       .stride = {2, 1},
			       .pad = {1, 1, 1, 1}};
	x = sili_graph_add(g, &n);
	n = (struct sili_node){.size = sizeof(n),
			       .op = SILI_OP_POOL,
			       .in = {x},
			       .pool = SILI_POOL_MAX,
			       .window = {3, 3},
			       .stride = {2, 2},
			       .pad = {1, 1, 1, 1}};
	x = sili_graph_add(g, &n);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_CONV, .in = {x, filters(g, "f1", 32, 1, 32)}};
	y = sili_graph_add(g, &n);
	y = vec(g, SILI_OP_BINARY, X1_VEC_ADD, y, x);
	y = vec(g, SILI_OP_UNARY, X1_VEC_RELU, y, 0);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_POOL, .in = {y}, .pool = SILI_POOL_AVG};
	y = sili_graph_add(g, &n);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_RESHAPE, .in = {y}, .rank = 2, .dim = {2, 32}};
	y = matmul(g, "classes", sili_graph_add(g, &n), weight(g, "w", CLASSES, 32, 8));
	sili_graph_output(g, y, "y", X1_FMT_FP32);
	if (sili_graph_error(g))
		fail_msg("%s", sili_graph_error(g));
	return g;
}

static void test_images(void **state)
{
	enum {
		PIXELS = 2 * 17 * 15 * 4
	};
	static const enum x1_format formats[] = {X1_FMT_FP32, X1_FMT_FP16, X1_FMT_E4M3};
	static const double limits[] = {1e-10, 1e-5, 3e-3};
	double want[2 * CLASSES], in[PIXELS], relative, d;
	float f[PIXELS], got[2 * CLASSES];
	struct sili_graph *g = images();

	(void)state;
	t_random(f, PIXELS, 3, 16);
	for (size_t i = 0; i < PIXELS; i++)
		in[i] = (double)f[i];
	assert_int_equal(sili_graph_eval(g, (const double *const[]){in}, (double *const[]){want}),
			 0);
	for (size_t i = 0; i < 3; i++) {
		struct sili_exec_attr attr = {
			.size = sizeof(attr),
			.precision = SILI_PRECISION(formats[i]),
			.act_fmt = SILI_PRECISION(i ? X1_FMT_BF16 : X1_FMT_FP32)};
		struct sili_exec *x = compile_with(g, &attr);

		assert_int_equal(x->info.fused, 2);
		assert_int_equal(sili_exec_set_input(x, 0, f, PIXELS), 0);
		assert_int_equal(sili_exec_run(x), 0);
		assert_int_equal(sili_exec_get_output(x, 0, got, 2 * CLASSES), 0);
		d = distance(got, want, 2 * CLASSES, &relative);
		if (d > limits[i])
			fail_msg("%s: distance %g", sili_format_name(formats[i]), d);
		sili_exec_free(x);
	}
	sili_graph_free(g);
}

/* Passes change what runs, never what comes out by more than rounding. */
static void test_passes(void **state)
{
	static const uint32_t flags[] = {0, SILI_EXEC_NO_FOLD, SILI_EXEC_NO_FUSE,
					 SILI_EXEC_NO_INPLACE, SILI_EXEC_FLAGS};
	double sum[ROWS * DEEP], rows[ROWS], relative;
	struct sili_graph *g = block();
	uint64_t peak[5];

	(void)state;
	expect(g, sum, rows);
	for (size_t i = 0; i < 5; i++) {
		struct sili_exec_attr attr = {.size = sizeof(attr),
					      .precision = SILI_PRECISION(X1_FMT_FP32),
					      .act_fmt = SILI_PRECISION(X1_FMT_FP32),
					      .flags = flags[i]};
		struct sili_exec *x = compile_with(g, &attr);
		struct sili_exec_info info = {.size = sizeof(info)};
		struct result r;

		run(x, &r);
		assert_true(distance(r.sum, sum, ROWS * DEEP, &relative) < 1e-10);
		assert_true(distance(r.rows, rows, ROWS, &relative) < 1e-10);
		assert_int_equal(sili_exec_get_info(x, &info), 0);
		peak[i] = info.peak;
		assert_int_equal(info.folded, flags[i] & SILI_EXEC_NO_FOLD ? 0 : 1);
		/* gain, bias, GELU and residual; a bias that is no constant stays a node. */
		assert_int_equal(info.fused, flags[i] & SILI_EXEC_NO_FUSE   ? 0
					     : flags[i] & SILI_EXEC_NO_FOLD ? 2
									    : 4);
		assert_true(info.peak >= info.lower_bound && info.naive_peak >= info.peak);
		assert_int_equal(info.macs, 2ull * ROWS * DEEP * WIDE);
		sili_exec_free(x);
	}
	assert_true(peak[0] < peak[3] && peak[3] < peak[4]);
	sili_graph_free(g);
}

/* A norm that a product and a sum read is written in both formats by one launch. */
static void test_two_formats(void **state)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t dim[] = {ROWS, DEEP};
	double wide[ROWS * DEEP], relative;
	float got[2][ROWS * DEEP];
	uint32_t x, y;

	(void)state;
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	x = sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						  .op = SILI_OP_NORM,
						  .in = {x},
						  .eps = 1e-6f});
	y = matmul(g, "m", x, weight(g, "w", DEEP, DEEP, 1));
	sili_graph_output(g, vec(g, SILI_OP_BINARY, X1_VEC_ADD, y, x), "y", X1_FMT_FP32);
	for (uint32_t flags = 0; flags <= SILI_EXEC_NO_FUSE; flags += SILI_EXEC_NO_FUSE) {
		struct sili_exec_attr attr = {.size = sizeof(attr), .flags = flags};
		float in[ROWS * DEEP];
		struct sili_exec *e = compile_with(g, &attr);

		t_random(in, ROWS * DEEP, 9, 8);
		assert_int_equal(e->info.converts, flags ? 1 : 0);
		assert_int_equal(e->info.launches, flags ? 4 : 2);
		assert_int_equal(sili_exec_set_input(e, 0, in, ROWS * DEEP), 0);
		assert_int_equal(sili_exec_run(e), 0);
		assert_int_equal(sili_exec_get_output(e, 0, got[!!flags], ROWS * DEEP), 0);
		sili_exec_free(e);
	}
	/* E4M3 from FP32 or from BF16: now and then another code. */
	for (size_t i = 0; i < ROWS * DEEP; i++)
		wide[i] = (double)got[1][i];
	assert_true(distance(got[0], wide, ROWS * DEEP, &relative) < 1e-3);
	sili_graph_free(g);
}

static void test_precision_per_node(void **state)
{
	struct sili_graph *g = block();
	struct sili_exec *a, *b;
	struct result ra, rb;

	(void)state;
	a = compile_with(g, NULL);
	assert_int_equal(sili_graph_set_precision(g, "down", SILI_PRECISION(X1_FMT_FP16)), 0);
	b = compile_with(g, NULL);
	run(a, &ra);
	run(b, &rb);
	assert_memory_not_equal(ra.sum, rb.sum, sizeof(ra.sum));
	assert_int_equal(b->info.weight_bytes - a->info.weight_bytes,
			 DEEP * WIDE - sili_align(DEEP * 4, EXEC_ALIGN));
	sili_exec_free(a);
	sili_exec_free(b);
	sili_graph_free(g);
}

static uint64_t cycles_of(struct sili_exec *x)
{
	struct sili_profile *p;
	uint64_t cycles;

	assert_int_equal(sili_exec_profile(x, &p), 0);
	cycles = p->cycles;
	sili_profile_free(p);
	return cycles;
}

#define LAYERS 10u

/* A chain of layers, each with weights of its own. */
static struct sili_graph *chain(void)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t dim[] = {ROWS, DEEP};
	uint32_t t = sili_graph_input(g, "x", X1_FMT_FP32, 2, dim);
	char name[8];

	for (uint32_t i = 0; i < LAYERS; i++) {
		snprintf(name, sizeof(name), "w%u", i);
		t = matmul(g, NULL, t, weight(g, name, DEEP, DEEP, i + 1));
	}
	sili_graph_output(g, t, "y", X1_FMT_FP32);
	assert_null(sili_graph_error(g));
	return g;
}

static void run_chain(struct sili_exec *x, float y[ROWS * DEEP])
{
	float in[ROWS * DEEP];

	t_random(in, ROWS * DEEP, 9, 8);
	assert_int_equal(sili_exec_set_input(x, 0, in, ROWS * DEEP), 0);
	if (sili_exec_run(x))
		fail_msg("%s", sili_exec_error(x));
	assert_int_equal(sili_exec_get_output(x, 0, y, ROWS * DEEP), 0);
}

/*
 * The same bits whatever is fetched when, and from where; the same cycles each
 * time from the second on, whose L2 is the one before's.
 */
static void test_same_bits(void **state)
{
	struct sili_graph *g = chain();
	float first[ROWS * DEEP], y[ROWS * DEEP];

	(void)state;
	for (int level = SILI_PREFETCH_OFF; level <= SILI_PREFETCH_GRAPH; level++) {
		for (int streamed = 0; streamed < 2; streamed++) {
			struct sili_exec_attr attr = {.size = sizeof(attr),
						      .prefetch = (enum sili_prefetch)level,
						      .weight_limit = streamed ? 24 << 10 : 0};
			struct sili_exec *x = compile_with(g, &attr);
			uint64_t cycles;

			assert_int_equal(!!x->info.streamed_bytes, streamed);
			for (int i = 0; i < 3; i++) {
				run_chain(x, y);
				if (level == SILI_PREFETCH_OFF && !streamed && !i)
					memcpy(first, y, sizeof(y));
				assert_memory_equal(first, y, sizeof(y));
			}
			cycles_of(x);
			cycles = cycles_of(x);
			for (int i = 0; i < 3; i++)
				assert_int_equal(cycles_of(x), cycles);
			sili_exec_free(x);
		}
	}
	sili_graph_free(g);
}

/* ---- a run that fails ---- */

static void test_fault(void **state)
{
	struct sili_graph *g = block();
	struct sili_exec *x = compile_with(g, NULL), *other = compile_with(g, NULL);
	struct result r, again;

	(void)state;
	run(other, &r);
	/* The second node's program is nowhere. */
	for (uint32_t i = 0; i < x->num_cmds; i++)
		if (x->cmds[i].hdr.tag == 2)
			x->cmds[i].launch.program = 64;
	assert_int_equal(sili_exec_run(x), -EIO);
	assert_non_null(strstr(sili_exec_error(x), x->g->node[1].name));
	assert_int_equal(sili_exec_run(x), -EIO);
	run(other, &again);
	assert_memory_equal(&r, &again, sizeof(r));
	sili_exec_free(x);
	sili_exec_free(other);
	sili_graph_free(g);
}

/* ---- profile ---- */

static void test_profile(void **state)
{
	struct sili_graph *g = block();
	struct sili_exec *x = compile_with(g, NULL);
	char path[] = "/tmp/sili-graph-XXXXXX";
	struct sili_profile *p;
	uint64_t macs = 0;
	json_t *root;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sili_exec_profile(x, &p), 0);
	assert_int_equal(p->count, x->g->num_nodes);
	for (uint32_t i = 0; i < p->count; i++) {
		assert_true(p->node[i].perf.cycles > 0 || p->node[i].op == SILI_OP_RESHAPE);
		for (int f = 0; f < X1_FMT_COUNT; f++)
			macs += p->node[i].perf.macs[f];
	}
	assert_int_equal(macs, x->info.macs);
	assert_true(p->perf.cycles > 0 && p->perf.energy_package_pj > p->perf.energy_core_pj);
	assert_int_equal(sili_profile_trace(p, path), 0);
	root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_array_size(json_object_get(root, "traceEvents")), 2 * p->count);
	json_decref(root);
	assert_int_equal(sili_profile_roofline(p, path, "/dev/null"), 0);
	assert_int_equal(sili_profile_trace(p, "/nowhere/x"), -ENOENT);
	unlink(path);
	sili_profile_free(p);
	sili_exec_free(x);
	sili_graph_free(g);
}

/* ---- files ---- */

static void test_round_trip(void **state)
{
	struct sili_graph *g = block(), *back;
	struct sili_exec *a, *b;
	struct result ra, rb;
	char path[] = "/tmp/sili-graph-XXXXXX", err[256] = "";
	void *data, *again;
	size_t bytes, more;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	sili_graph_set_precision(g, "down", SILI_PRECISION(X1_FMT_FP16));
	assert_int_equal(sili_graph_pack(g, &data, &bytes), 0);
	assert_int_equal(sili_graph_unpack(&back, data, bytes, err, sizeof(err)), 0);
	assert_int_equal(sili_graph_pack(back, &again, &more), 0);
	assert_int_equal(bytes, more);
	assert_memory_equal(data, again, bytes);
	free(again);
	sili_graph_free(back);
	assert_int_equal(sili_graph_save(g, path, err, sizeof(err)), 0);
	assert_int_equal(sili_graph_load(&back, path, err, sizeof(err)), 0);
	a = compile_with(g, NULL);
	b = compile_with(back, NULL);
	run(a, &ra);
	run(b, &rb);
	assert_memory_equal(&ra, &rb, sizeof(ra));
	sili_exec_free(a);
	sili_exec_free(b);
	sili_graph_free(back);
	sili_graph_free(g);
	unlink(path);
	assert_int_equal(sili_graph_load(&back, path, err, sizeof(err)), -ENOENT);
	free(data);
}

/* Cut anywhere, or with any byte changed, a file is refused in one line. */
static void test_broken_files(void **state)
{
	struct sili_graph *g = block(), *back;
	char err[256];
	uint8_t *data;
	size_t bytes;

	(void)state;
	assert_int_equal(sili_graph_pack(g, (void **)&data, &bytes), 0);
	sili_graph_free(g);
	for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : 997) {
		err[0] = 0;
		assert_int_equal(sili_graph_unpack(&back, data, i, err, sizeof(err)), -EBADMSG);
		assert_true(err[0] && !strchr(err, '\n'));
		assert_null(back);
	}
	for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : 997) {
		int ret;

		data[i] ^= 0x10;
		ret = sili_graph_unpack(&back, data, bytes, err, sizeof(err));
		data[i] ^= 0x10;
		/* The version is looked at before the checksum of what has it. */
		assert_int_equal(ret, i >= 8 && i < 12 ? -ENOTSUP : -EBADMSG);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_compile_refused),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_two_formats),
		cmocka_unit_test(test_precision_per_node),
		cmocka_unit_test(test_same_bits),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_broken_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
