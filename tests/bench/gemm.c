// SPDX-License-Identifier: MIT
/* GEMM 4096 x 4096 x 4096 in-process, format by format: wall time and cycles. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "num/x1_num.h"

#define DIM      4096u
#define ROUNDS   3
#define MAX_CMDS 64
#define PATTERN  (1u << 20)
#define PEAK_MS  60

static const struct {
	const char *name;
	enum x1_format fmt, out;
} formats[] = {
	/* First the one of which more is measured. */
	{"fp8_e4m3", X1_FMT_E4M3, X1_FMT_FP16}, {"fp8_e5m2", X1_FMT_E5M2, X1_FMT_FP16},
	{"fp6_e3m2", X1_FMT_E3M2, X1_FMT_FP16}, {"fp6_e2m3", X1_FMT_E2M3, X1_FMT_FP16},
	{"fp4_e2m1", X1_FMT_E2M1, X1_FMT_FP16}, {"fp16", X1_FMT_FP16, X1_FMT_FP16},
	{"bf16", X1_FMT_BF16, X1_FMT_FP16},     {"tf32", X1_FMT_TF32, X1_FMT_FP16},
	{"fp32", X1_FMT_FP32, X1_FMT_FP32},     {"int8", X1_FMT_INT8, X1_FMT_INT32},
	{"int4", X1_FMT_INT4, X1_FMT_INT32},
};

#define NUM_FORMATS (sizeof(formats) / sizeof(formats[0]))

struct gemm {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_info info;
	struct sili_bo *a, *b, *c;
	union x1_cmd cmds[MAX_CMDS];
	int num_cmds;
};

static int dev_open(struct gemm *g, const char *spec)
{
	char err[160] = "";
	int ret = sili_open(&g->dev, spec, err, sizeof(err));

	if (ret) {
		fprintf(stderr, "x1-bench: %s: %s\n", spec, err);
		return ret;
	}
	g->info.size = sizeof(g->info);
	ret = sili_get_info(g->dev, &g->info);
	if (!ret)
		ret = sili_queue_new(g->dev, NULL, &g->queue);
	return ret ? bench_fail(spec, ret) : 0;
}

static void drop_operands(struct gemm *g)
{
	sili_bo_free(g->a);
	sili_bo_free(g->b);
	sili_bo_free(g->c);
	g->a = g->b = g->c = NULL;
}

static void dev_close(struct gemm *g)
{
	drop_operands(g);
	if (g->queue)
		sili_queue_free(g->queue);
	if (g->dev)
		sili_close(g->dev);
	*g = (struct gemm){0};
}

/* Values of [-4, 4), a million of them over and over. */
static int fill(struct sili_bo *bo, enum x1_format fmt, uint32_t seed)
{
	float *values = malloc(PATTERN * sizeof(*values));
	size_t step = sili_format_bytes(fmt, PATTERN);
	uint8_t *p = sili_bo_map(bo);
	int ret = -ENOMEM;

	if (!values || !p)
		goto out;
	for (size_t i = 0; i < PATTERN; i++) {
		seed = seed * 1664525 + 1013904223;
		values[i] = (float)(int32_t)seed * 0x1p-29f;
	}
	ret = sili_from_f32(fmt, values, p, PATTERN);
	for (size_t at = step; !ret && at < sili_bo_size(bo); at += step)
		memcpy(p + at, p, sili_bo_size(bo) - at < step ? sili_bo_size(bo) - at : step);
out:
	free(values);
	return ret;
}

/* Operands and commands; inputs come from HBM, L2 is cold. */
static int prepare(struct gemm *g, size_t f)
{
	enum x1_format fmt = formats[f].fmt;
	const size_t in = sili_format_bytes(fmt, (size_t)DIM * DIM);
	const size_t out = sili_format_bytes(formats[f].out, (size_t)DIM * DIM);
	struct sili_gemm gemm = {
		.size = sizeof(gemm),
		.m = DIM,
		.n = DIM,
		.k = DIM,
		.a_fmt = fmt,
		.b_fmt = fmt,
		.c_fmt = formats[f].out,
	};
	int ret;

	drop_operands(g);
	if ((ret = sili_bo_new(g->dev, in, SILI_HBM, 0, &g->a)) ||
	    (ret = sili_bo_new(g->dev, in, SILI_HBM, 0, &g->b)) ||
	    (ret = sili_bo_new(g->dev, out, SILI_HBM, 0, &g->c)) || (ret = fill(g->a, fmt, 1)) ||
	    (ret = fill(g->b, fmt, 2)))
		return bench_fail(formats[f].name, ret);
	gemm.a = sili_bo_dva(g->a);
	gemm.b = sili_bo_dva(g->b);
	gemm.c = sili_bo_dva(g->c);
	sili_cmd_flush(&g->cmds[0], X1_FLUSH_L2);
	ret = sili_gemm(g->dev, &gemm, g->cmds + 1, MAX_CMDS - 1, NULL);
	if (ret < 0)
		return bench_fail(formats[f].name, ret);
	g->num_cmds = 1 + ret;
	return 0;
}

/* One product, L2 dropped before it; its seconds, or < 0. */
static double once(struct gemm *g, struct x1_perf *perf)
{
	int ret = sili_run(g->queue, g->cmds, 1);
	double start = bench_now();

	if (!ret)
		ret = perf ? sili_run_perf(g->queue, g->cmds + 1, (uint32_t)g->num_cmds - 1, perf)
			   : sili_run(g->queue, g->cmds + 1, (uint32_t)g->num_cmds - 1);
	return ret ? bench_fail("gemm", ret) : bench_now() - start;
}

static void add(json_t *root, size_t f, const char *what, const char *unit, const char *against,
		double value)
{
	char name[96];

	snprintf(name, sizeof(name), "gemm.%s_4096.%s", formats[f].name, what);
	bench_add(root, name, unit, against, value);
}

/* Host libraries beside the X1, in turn with it. */
static int compare(json_t *root, size_t f, struct gemm *g)
{
	const double ops = 2.0 * DIM * DIM * DIM;
	const struct bench_rival *r;

	for (unsigned int i = 0; (r = bench_rival(formats[f].name, i)); i++) {
		for (int round = 0; round < ROUNDS; round++) {
			double theirs = bench_rival_seconds(r, DIM), ours;
			char name[48];

			if (theirs < 0)
				break;
			ours = once(g, NULL);
			if (ours < 0)
				return -1;
			snprintf(name, sizeof(name), "host.%s_4096", bench_rival_name(r));
			bench_add(root, name, "G/s", bench_rival_what(r), ops / theirs * 1e-9);
			snprintf(name, sizeof(name), "ratio_%s", bench_rival_name(r));
			add(root, f, name, "ratio", "rate of the host's library in the same round",
			    theirs / ours);
		}
	}
	return 0;
}

/* The peak before and after each product, and the product with timing off beside it. */
static int measure(json_t *root, size_t f, struct gemm *on, struct gemm *off)
{
	const bool ints = x1_format_is_int(formats[f].fmt);
	const enum x1_format fmt = formats[f].fmt;
	char against[64];
	const double ops = 2.0 * DIM * DIM * DIM;
	const double ideal = ops / 2 /
			     ((double)on->info.mcus * X1_MM_LANES * x1_format_rate(formats[f].fmt));
	struct x1_perf perf = {0};
	double before, after, t_on, t_off;

	/* Warm: memory is touched, kernels are made. */
	if (prepare(on, f) || once(on, &perf) < 0)
		return -1;
	if (off && (prepare(off, f) || once(off, NULL) < 0))
		return -1;
	snprintf(against, sizeof(against), "%s peak of the same round", x1_num_peak_insn(fmt));
	before = bench_peak(fmt, PEAK_MS);
	for (int round = 0; round < ROUNDS; round++) {
		t_on = once(on, &perf);
		after = bench_peak(fmt, PEAK_MS);
		if (before < 0 || t_on < 0 || after < 0)
			return -1;
		add(root, f, "rate", ints ? "GOP/s" : "GFLOP/s", "", ops / t_on * 1e-9);
		add(root, f, "host_peak_ratio", "ratio", against,
		    ops / t_on / ((before + after) / 2));
		add(root, f, "cycles", "cycles", "", (double)perf.cycles);
		add(root, f, "cycle_efficiency", "ratio", "MATRIX peak of all MCUs",
		    ideal / (double)perf.cycles);
		before = after;
		if (!off)
			continue;
		t_off = once(off, NULL);
		if (t_off < 0)
			return -1;
		bench_add(root, "timing.overhead_ratio", "ratio", "wall time with timing off, - 1",
			  t_on / t_off - 1);
		before = bench_peak(fmt, PEAK_MS);
	}
	return 0;
}

/* B keeps 2 of 16: cycles of the dense product over those of the sparse one. */
static int sparse(json_t *root, struct gemm *g)
{
	struct sili_gemm gemm = {
		.size = sizeof(gemm),
		.m = DIM,
		.n = DIM,
		.k = DIM,
		.a_fmt = X1_FMT_E4M3,
		.b_fmt = X1_FMT_E4M3,
		.c_fmt = X1_FMT_FP16,
		.sparsity = X1_SPARSE_2_16,
	};
	struct x1_perf dense, thin;
	struct sili_bo *meta = NULL;
	int ret;

	/* The first format is the one asked about. */
	if (prepare(g, 0) || once(g, &dense) < 0 || once(g, &dense) < 0)
		return -1;
	ret = sili_bo_new(g->dev, DIM * sili_sparse_meta_bytes(X1_SPARSE_2_16, DIM), SILI_HBM, 0,
			  &meta);
	if (!ret && !sili_bo_map(meta))
		ret = -ENOMEM;
	if (!ret) {
		/* Places 0 and 1 of each group. */
		memset(sili_bo_map(meta), 0x10, sili_bo_size(meta));
		gemm.a = sili_bo_dva(g->a);
		gemm.b = sili_bo_dva(g->b);
		gemm.c = sili_bo_dva(g->c);
		gemm.b_meta = sili_bo_dva(meta);
		ret = sili_gemm(g->dev, &gemm, g->cmds + 1, MAX_CMDS - 1, NULL);
	}
	if (ret < 0)
		ret = bench_fail("2:16", ret);
	else
		ret = once(g, &thin) < 0 || once(g, &thin) < 0 ? -1 : 0;
	if (!ret)
		bench_add(root, "gemm.fp8_e4m3_4096_2of16.speedup", "ratio",
			  "cycles of the dense product",
			  (double)dense.cycles / (double)thin.cycles);
	sili_bo_free(meta);
	return ret;
}

int bench_gemm(json_t *root)
{
	struct gemm on = {0}, off = {0};
	int ret = dev_open(&on, "sim");

	if (!ret)
		ret = dev_open(&off, "sim:timing=off");
	for (size_t f = 0; f < NUM_FORMATS && !ret; f++) {
		/* What the device does not have, it does not announce. */
		if (!(on.info.formats >> formats[f].fmt & 1))
			continue;
		ret = measure(root, f, &on, f ? NULL : &off) || compare(root, f, &on) ? -1 : 0;
		if (!f)
			dev_close(&off);
	}
	if (!ret)
		ret = sparse(root, &on);
	dev_close(&off);
	dev_close(&on);
	return ret;
}
