// SPDX-License-Identifier: MIT
/* GEMM 4096 x 4096 x 4096 in FP8, FP16 out, in-process: wall time and cycles. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define DIM    4096u
#define ROUNDS 3
#define MAX_CMDS 64

struct gemm {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_bo *a, *b, *c;
	union x1_cmd cmds[MAX_CMDS];
	int num_cmds;
};

static void done(struct gemm *g)
{
	if (g->queue)
		sili_queue_free(g->queue);
	sili_bo_free(g->a);
	sili_bo_free(g->b);
	sili_bo_free(g->c);
	if (g->dev)
		sili_close(g->dev);
}

/* Finite values of all magnitudes: E4M3 bytes without its NaNs. */
static int fill(struct sili_bo *bo, uint32_t seed)
{
	uint8_t *p = sili_bo_map(bo);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < sili_bo_size(bo); i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
		if ((p[i] & 0x7f) == 0x7f)
			p[i] ^= 1;
	}
	return 0;
}

static int prepare(struct gemm *g, const char *spec)
{
	const size_t in = sili_format_bytes(X1_FMT_E4M3, (size_t)DIM * DIM);
	const size_t out = sili_format_bytes(X1_FMT_FP16, (size_t)DIM * DIM);
	struct sili_gemm gemm = {
		.size = sizeof(gemm), .m = DIM, .n = DIM, .k = DIM, .a_fmt = X1_FMT_E4M3,
		.b_fmt = X1_FMT_E4M3, .c_fmt = X1_FMT_FP16,
	};
	char err[160] = "";
	int ret = sili_open(&g->dev, spec, err, sizeof(err));

	if (ret) {
		fprintf(stderr, "x1-bench: %s: %s\n", spec, err);
		return ret;
	}
	if ((ret = sili_queue_new(g->dev, NULL, &g->queue)) ||
	    (ret = sili_bo_new(g->dev, in, SILI_HBM, 0, &g->a)) ||
	    (ret = sili_bo_new(g->dev, in, SILI_HBM, 0, &g->b)) ||
	    (ret = sili_bo_new(g->dev, out, SILI_HBM, 0, &g->c)) || (ret = fill(g->a, 1)) ||
	    (ret = fill(g->b, 2)))
		return bench_fail("gemm", ret);
	gemm.a = sili_bo_dva(g->a);
	gemm.b = sili_bo_dva(g->b);
	gemm.c = sili_bo_dva(g->c);
	/* Inputs come from HBM, L2 is cold. */
	sili_cmd_flush(&g->cmds[0], X1_FLUSH_L2);
	ret = sili_gemm(g->dev, &gemm, g->cmds + 1, MAX_CMDS - 1, NULL);
	if (ret < 0)
		return bench_fail("gemm", ret);
	g->num_cmds = 1 + ret;
	return 0;
}

/* One product; its seconds, or < 0. */
static double once(struct gemm *g, struct x1_perf *perf)
{
	double start = bench_now();
	int ret = perf ? sili_run_perf(g->queue, g->cmds, (uint32_t)g->num_cmds, perf)
		       : sili_run(g->queue, g->cmds, (uint32_t)g->num_cmds);

	return ret ? bench_fail("gemm", ret) : bench_now() - start;
}

int bench_gemm(json_t *root)
{
	const double ops = 2.0 * DIM * DIM * DIM;
	struct gemm on = {0}, off = {0};
	struct bench_samples rate = {0}, ratio = {0}, cycles = {0}, efficiency = {0}, overhead = {0};
	double host = bench_value(root, "host.peak_fma");
	struct sili_info info = {.size = sizeof(info)};
	struct x1_perf perf = {0};
	double ideal, t_on, t_off;
	int ret = -1;

	if (prepare(&on, "sim") || prepare(&off, "sim:timing=off") ||
	    sili_get_info(on.dev, &info))
		goto out;
	ideal = ops / 2 / ((double)info.mcus * X1_MM_LANES * x1_format_rate(X1_FMT_E4M3));
	/* Warm: memory is touched, kernels are made. */
	if (once(&on, &perf) < 0 || once(&off, NULL) < 0)
		goto out;
	for (int round = 0; round < ROUNDS; round++) {
		t_on = once(&on, &perf);
		t_off = once(&off, NULL);
		if (t_on < 0 || t_off < 0)
			goto out;
		bench_sample(&rate, ops / t_on * 1e-9);
		bench_sample(&ratio, ops / t_on * 1e-9 / host);
		bench_sample(&cycles, (double)perf.cycles);
		bench_sample(&efficiency, ideal / (double)perf.cycles);
		bench_sample(&overhead, t_on / t_off - 1);
	}
	bench_add(root, "gemm.fp8_e4m3_4096.rate", "GFLOP/s", "", &rate);
	if (!isnan(host))
		bench_add(root, "gemm.fp8_e4m3_4096.host_peak_ratio", "ratio", "host.peak_fma",
			  &ratio);
	bench_add(root, "gemm.fp8_e4m3_4096.cycles", "cycles", "", &cycles);
	bench_add(root, "gemm.fp8_e4m3_4096.cycle_efficiency", "ratio",
		  "MATRIX peak of all MCUs", &efficiency);
	bench_add(root, "timing.overhead_ratio", "ratio", "wall time with timing off", &overhead);
	ret = 0;
out:
	done(&on);
	done(&off);
	return ret;
}
