// SPDX-License-Identifier: MIT
/*
 * Each operator of a graph by itself, with the fields that it has, on the device
 * against its definition in double precision; rows with gaps in front of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sili_graph.h>

#include "util.h"

#define MAX_DIMS 4u

struct input {
	enum x1_format fmt;
	bool weight;
	int range; /* of INT32: 0 .. range - 1 */
	uint32_t rank, dim[MAX_DIMS];
};

struct op_case {
	const char *name;
	struct input in[6];
	struct sili_node n;
	double limit; /* of the root of squares of differences to that of values, in FP32 */
};

#define F32(...)                                \
	{                                       \
		.fmt = X1_FMT_FP32, __VA_ARGS__ \
	}
#define DIMS(...)   .rank = sizeof((uint32_t[]){__VA_ARGS__}) / 4, .dim = {__VA_ARGS__}
#define VALUE(...)  F32(DIMS(__VA_ARGS__))
#define WEIGHT(...) F32(.weight = true, DIMS(__VA_ARGS__))
#define IDS(r, ...)                                                \
	{                                                          \
		.fmt = X1_FMT_INT32, .range = r, DIMS(__VA_ARGS__) \
	}

static const struct op_case cases[] = {
	{"matmul", {VALUE(5, 7, 48), WEIGHT(40, 48)}, {.op = SILI_OP_MATMUL}, 1e-5},
	{"matmul of everything",
	 {VALUE(70, 64), WEIGHT(32, 64), WEIGHT(32), VALUE(70, 32)},
	 {.op = SILI_OP_MATMUL, .scale = 0.25f, .act = SILI_ACT_TANH},
	 1e-5},
	{"matmul, k by n",
	 {VALUE(33, 64), WEIGHT(64, 48)},
	 {.op = SILI_OP_MATMUL, .trans_b = 1},
	 1e-5},
	{"matmul of values", {VALUE(3, 20, 32), VALUE(3, 24, 32)}, {.op = SILI_OP_MATMUL}, 1e-5},
	{"matmul of values, k by n",
	 {VALUE(3, 20, 32), VALUE(3, 32, 24)},
	 {.op = SILI_OP_MATMUL, .trans_b = 1},
	 1e-5},
	{"matmul by batch", {VALUE(3, 20, 32), WEIGHT(3, 24, 32)}, {.op = SILI_OP_MATMUL}, 1e-5},
	{"add a column",
	 {VALUE(6, 9, 40), VALUE(6, 9, 1)},
	 {.op = SILI_OP_BINARY, .vec_op = X1_VEC_ADD},
	 1e-6},
	{"multiply by a row",
	 {VALUE(6, 9, 40), VALUE(40)},
	 {.op = SILI_OP_BINARY, .vec_op = X1_VEC_MUL},
	 1e-6},
	{"softmax", {VALUE(9, 77)}, {.op = SILI_OP_SOFTMAX, .scale = 0.5f}, 1e-5},
	{"softmax with mask", {VALUE(2, 8, 64), WEIGHT(8, 64)}, {.op = SILI_OP_SOFTMAX}, 1e-5},
	{"layer norm",
	 {VALUE(3, 5, 96), WEIGHT(96), WEIGHT(96)},
	 {.op = SILI_OP_NORM, .eps = 1e-5f},
	 1e-5},
	{"RMS norm",
	 {VALUE(15, 96), WEIGHT(96)},
	 {.op = SILI_OP_NORM, .rms = 1, .eps = 1e-6f},
	 1e-5},
	{"attention",
	 {VALUE(2, 24, 64), VALUE(2, 24, 64), VALUE(2, 24, 64)},
	 {.op = SILI_OP_ATTENTION, .heads = 2},
	 4e-3},
	{"attention, causal, grouped",
	 {VALUE(2, 20, 128), VALUE(2, 33, 64), VALUE(2, 33, 64)},
	 {.op = SILI_OP_ATTENTION, .heads = 4, .kv_heads = 2, .causal = 1},
	 4e-3},
	{"attention, window, bias",
	 {VALUE(1, 40, 64), VALUE(1, 40, 64), VALUE(1, 40, 64), WEIGHT(40, 40)},
	 {.op = SILI_OP_ATTENTION, .heads = 1, .causal = 1, .window_len = 7, .scale = 0.3f},
	 4e-3},
	{"rope",
	 {VALUE(2, 10, 64), WEIGHT(10, 16), WEIGHT(10, 16)},
	 {.op = SILI_OP_ROPE, .heads = 2},
	 1e-5},
	{"rope of a part",
	 {VALUE(2, 10, 64), WEIGHT(10, 4), WEIGHT(10, 4)},
	 {.op = SILI_OP_ROPE, .heads = 2, .rotate = 8, .interleaved = 1},
	 1e-5},
	{"embedding", {IDS(17, 3, 6), WEIGHT(17, 40)}, {.op = SILI_OP_EMBEDDING}, 1e-6},
	{"slice of rows",
	 {VALUE(5, 6, 32)},
	 {.op = SILI_OP_SLICE, .axis = 1, .start = 2, .length = 3},
	 1e-6},
	{"slice in front", {VALUE(5, 6, 32)}, {.op = SILI_OP_SLICE, .start = 2, .length = 3}, 1e-6},
	{"slice of columns",
	 {VALUE(5, 6, 32)},
	 {.op = SILI_OP_SLICE, .axis = 2, .start = 8, .length = 17},
	 1e-6},
	{"concat of rows",
	 {VALUE(2, 3, 32), VALUE(2, 5, 32), VALUE(2, 1, 32)},
	 {.op = SILI_OP_CONCAT, .axis = 1},
	 1e-6},
	{"concat of columns",
	 {VALUE(7, 16), VALUE(7, 40)},
	 {.op = SILI_OP_CONCAT, .axis = 1},
	 1e-6},
	{"experts, softmax",
	 {VALUE(20, 64), VALUE(20, 4), WEIGHT(4), WEIGHT(4, 96, 64), WEIGHT(4, 96, 64),
	  WEIGHT(4, 64, 96)},
	 {.op = SILI_OP_MOE, .top_k = 2},
	 1e-5},
	{"experts in groups, sigmoid",
	 {VALUE(2, 15, 128), VALUE(2, 15, 8), WEIGHT(8), WEIGHT(8, 128, 128), WEIGHT(8, 128, 128),
	  WEIGHT(8, 128, 128)},
	 {.op = SILI_OP_MOE,
	  .top_k = 3,
	  .groups = 4,
	  .top_groups = 2,
	  .gate = SILI_GATE_SIGMOID,
	  .normalise = 1,
	  .scale = 2.5f},
	 1e-5},
	{"transpose", {VALUE(6, 40)}, {.op = SILI_OP_TRANSPOSE, .perm = {1, 0}}, 1e-6},
	{"transpose of four",
	 {VALUE(2, 3, 8, 16)},
	 {.op = SILI_OP_TRANSPOSE, .perm = {2, 0, 3, 1}},
	 1e-6},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

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

static size_t elements(const struct input *in)
{
	size_t n = 1;

	for (uint32_t i = 0; i < in->rank; i++)
		n *= in->dim[i];
	return n;
}

static void values(const struct input *in, uint32_t seed, float *f)
{
	size_t n = elements(in);

	t_random(f, n, seed, in->range ? in->range - 1 : 64);
	for (size_t i = 0; i < n; i++)
		f[i] = in->range ? fabsf(f[i]) : f[i] / 32;
}

struct built {
	struct sili_graph *g;
	float *data[6]; /* of inputs */
	double *wide[6];
	size_t n[6];
	uint32_t inputs;
};

/* gaps: rank 2 and 3 values are columns of a wider input. */
static void build(const struct op_case *c, bool gaps, struct built *b)
{
	struct sili_node n = c->n;

	*b = (struct built){.g = sili_graph_new()};
	n.size = sizeof(n);
	n.name = c->name;
	for (uint32_t i = 0; i < 6 && c->in[i].rank; i++) {
		struct input in = c->in[i];
		bool wider = gaps && !in.weight && !in.range && (in.rank == 2 || in.rank == 3);
		uint32_t cols = in.dim[in.rank - 1];
		float *f;

		if (wider)
			in.dim[in.rank - 1] += 16;
		f = malloc(elements(&in) * sizeof(*f));
		values(&in, i + 1, f);
		if (in.weight) {
			n.in[i] = sili_graph_weight(b->g, "w", in.fmt, in.rank, in.dim, f);
			free(f);
			continue;
		}
		n.in[i] = sili_graph_input(b->g, "x", in.fmt, in.rank, in.dim);
		b->n[b->inputs] = elements(&in);
		b->data[b->inputs] = f;
		b->wide[b->inputs] = malloc(elements(&in) * sizeof(double));
		for (size_t e = 0; e < elements(&in); e++)
			b->wide[b->inputs][e] = (double)f[e];
		b->inputs++;
		if (wider)
			n.in[i] = sili_graph_add(b->g, &(struct sili_node){.size = sizeof(n),
									   .op = SILI_OP_SLICE,
									   .in = {n.in[i]},
									   .axis = in.rank - 1,
									   .start = 8,
									   .length = cols});
	}
	sili_graph_output(b->g, sili_graph_add(b->g, &n), "y", X1_FMT_FP32);
	if (sili_graph_error(b->g))
		fail_msg("%s: %s", c->name, sili_graph_error(b->g));
}

static void free_built(struct built *b)
{
	for (uint32_t i = 0; i < b->inputs; i++) {
		free(b->data[i]);
		free(b->wide[i]);
	}
	sili_graph_free(b->g);
}

static void check(const struct op_case *c, bool gaps, enum x1_format fmt, enum sili_scaling scaling,
		  double limit)
{
	struct sili_exec_attr attr = {
		.size = sizeof(attr),
		.scaling = scaling,
		.precision = SILI_PRECISION(fmt),
		.act_fmt = SILI_PRECISION(fmt == X1_FMT_E4M3 ? X1_FMT_BF16 : fmt)};
	struct sili_tensor_info info = {.size = sizeof(info)};
	double most = 0, diff = 0, *want;
	struct sili_exec *x;
	struct built b;
	char err[256];
	float *got;

	build(c, gaps, &b);
	assert_int_equal(sili_graph_tensor(b.g, sili_graph_output_at(b.g, 0), &info), 0);
	want = malloc(info.elements * sizeof(*want));
	got = malloc(info.elements * sizeof(*got));
	assert_int_equal(sili_graph_eval(b.g, (const double *const *)b.wide, &want), 0);
	if (sili_exec_new(dev, b.g, &attr, &x, err, sizeof(err)))
		fail_msg("%s: %s", c->name, err);
	for (uint32_t i = 0; i < b.inputs; i++)
		assert_int_equal(sili_exec_set_input(x, i, b.data[i], b.n[i]), 0);
	if (sili_exec_run(x))
		fail_msg("%s: %s", c->name, sili_exec_error(x));
	assert_int_equal(sili_exec_get_output(x, 0, got, info.elements), 0);
	for (size_t i = 0; i < info.elements; i++) {
		most += want[i] * want[i];
		diff += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
	}
	/* Written so that a NaN fails. */
	if (!(sqrt(diff) <= limit * sqrt(most)))
		fail_msg("%s in %s%s: squares of differences %g of %g", c->name,
			 sili_format_name(fmt), gaps ? ", rows with gaps" : "", diff, most);
	sili_exec_free(x);
	free_built(&b);
	free(want);
	free(got);
}

static void test_fp32(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++)
		check(&cases[i], false, X1_FMT_FP32, SILI_SCALING_ROWS, cases[i].limit);
}

static void test_gaps(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++)
		check(&cases[i], true, X1_FMT_FP32, SILI_SCALING_ROWS, cases[i].limit);
}

static void test_fp16(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++)
		check(&cases[i], true, X1_FMT_FP16, SILI_SCALING_ROWS, 4e-3);
}

/* FP8 products, without and with scales of blocks. */
static void test_blocks(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		enum sili_op op = cases[i].n.op;

		if (op != SILI_OP_MATMUL && op != SILI_OP_MOE)
			continue;
		/* Products of the experts' rows are beyond what E4M3 holds without scales. */
		if (op == SILI_OP_MATMUL)
			check(&cases[i], false, X1_FMT_E4M3, SILI_SCALING_ROWS, 0.1);
		check(&cases[i], true, X1_FMT_E4M3, SILI_SCALING_BLOCKS, 0.1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fp32),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_fp16),
		cmocka_unit_test(test_blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
