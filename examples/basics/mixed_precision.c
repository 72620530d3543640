// SPDX-License-Identifier: MIT
/*
 * A network of two layers in several precisions: what each costs and how far
 * its results are from double precision. The last row has one layer in FP8
 * and one in FP16.
 */
#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sili_graph.h>

#define ROWS  128u
#define WIDTH 1024u
#define INNER 2048u

static const struct {
	const char *name;
	enum x1_format all, last;
	double limit;
} rows[] = {
	{"FP32", X1_FMT_FP32, X1_FMT_FP32, 1e-6},
	{"FP16", X1_FMT_FP16, X1_FMT_FP16, 1e-4},
	{"FP8", X1_FMT_E4M3, X1_FMT_E4M3, 1e-2},
	{"FP4 weights", X1_FMT_E2M1, X1_FMT_E2M1, 5e-2},
	{"FP8, then FP16", X1_FMT_E4M3, X1_FMT_FP16, 1e-2},
};

static void fill(float *values, size_t n, float range, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		values[i] = ((float)(seed >> 8) / 0x1p23f - 1) * range;
	}
}

static uint32_t layer(struct sili_graph *g, const char *name, uint32_t x, uint32_t n, uint32_t k,
		      enum sili_act act)
{
	uint32_t w = sili_graph_weight(g, name, X1_FMT_FP32, 2, (uint32_t[]){n, k}, NULL);
	float *data = sili_graph_data(g, w);

	if (data)
		fill(data, (size_t)n * k, sqrtf(3.0f / (float)k), n);
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_MATMUL,
						     .name = name,
						     .in = {x, w},
						     .act = act});
}

/* 1 - cosine. */
static double distance(const float *got, const double *want, size_t n)
{
	double aa = 0, bb = 0, ab = 0;

	for (size_t i = 0; i < n; i++) {
		aa += (double)got[i] * (double)got[i];
		bb += want[i] * want[i];
		ab += (double)got[i] * want[i];
	}
	return 1 - ab / sqrt(aa * bb);
}

int main(void)
{
	static float in[ROWS * WIDTH], got[ROWS * WIDTH];
	static double wide[ROWS * WIDTH], want[ROWS * WIDTH];
	struct sili_graph *g = sili_graph_new();
	struct sili_device *dev;
	char why[256];
	int bad = 0;
	uint32_t x;

	if (sili_open(&dev, NULL, why, sizeof(why)))
		errx(1, "%s", why);
	if (!g)
		errx(1, "out of memory");
	x = sili_graph_input(g, "x", X1_FMT_FP32, 2, (uint32_t[]){ROWS, WIDTH});
	x = layer(g, "first", x, INNER, WIDTH, SILI_ACT_GELU);
	x = layer(g, "last", x, WIDTH, INNER, SILI_ACT_NONE);
	sili_graph_output(g, x, "y", X1_FMT_FP32);
	if (sili_graph_error(g))
		errx(1, "%s", sili_graph_error(g));
	fill(in, ROWS * WIDTH, 1.0f, 1);
	for (size_t i = 0; i < ROWS * WIDTH; i++)
		wide[i] = (double)in[i];
	if (sili_graph_eval(g, (const double *const[]){wide}, (double *const[]){want}))
		errx(1, "out of memory");

	printf("%-16s %10s %12s %12s\n", "", "cycles", "uJ", "1 - cosine");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sili_exec_attr attr = {.size = sizeof(attr),
					      .precision = SILI_PRECISION(rows[i].all)};
		struct sili_exec *exec;
		struct x1_perf perf;
		double d;

		sili_graph_set_precision(g, "last", SILI_PRECISION(rows[i].last));
		if (sili_exec_new(dev, g, &attr, &exec, why, sizeof(why)))
			errx(1, "%s", why);
		if (sili_exec_set_input(exec, 0, in, ROWS * WIDTH) ||
		    sili_exec_run_perf(exec, &perf))
			errx(1, "%s", sili_exec_error(exec));
		sili_exec_get_output(exec, 0, got, ROWS * WIDTH);
		d = distance(got, want, ROWS * WIDTH);
		printf("%-16s %10" PRIu64 " %12.1f %12.2g\n", rows[i].name, perf.cycles,
		       (double)perf.energy_package_pj * 1e-6, d);
		/* Written so that a NaN fails. */
		bad |= !(d <= rows[i].limit);
		sili_exec_free(exec);
	}
	sili_graph_free(g);
	sili_close(dev);
	return bad;
}
