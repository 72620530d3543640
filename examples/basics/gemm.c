// SPDX-License-Identifier: MIT
/*
 * C = gelu(A·Bᵀ + bias) in FP8, with what the library chose for it, what it
 * took, and a look at one element.
 */
#include <err.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sili.h>

#define M 256u
#define N 512u
#define K 1024u

/* A buffer with n values from a seed, in a format; they are returned as stored. */
static struct sili_bo *operand(struct sili_device *dev, enum x1_format fmt, uint32_t n, float range,
			       uint32_t seed, float *values)
{
	struct sili_bo *bo;

	if (sili_bo_new(dev, sili_format_bytes(fmt, n), SILI_HBM, 0, &bo) || !sili_bo_map(bo))
		errx(1, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		values[i] = ((float)(seed >> 8) / 0x1p23f - 1) * range;
	}
	sili_from_f32(fmt, values, sili_bo_map(bo), n);
	sili_to_f32(fmt, sili_bo_map(bo), values, n);
	return bo;
}

int main(void)
{
	static float a[M * K], b[N * K], bias[N], c[M * N];
	struct sili_gemm g = {.size = sizeof(g), .m = M, .n = N, .k = K};
	struct sili_bo *ba, *bb, *bbias, *bc;
	struct sili_gemm_plan plan;
	struct sili_device *dev;
	struct sili_queue *queue;
	struct x1_perf perf;
	union x1_cmd cmd;
	double sum, want;
	char why[256];
	int ret;

	if (sili_open(&dev, NULL, why, sizeof(why)))
		errx(1, "%s", why);
	if (sili_queue_new(dev, NULL, &queue))
		errx(1, "no queue");
	ba = operand(dev, X1_FMT_E4M3, M * K, 1.0f, 1, a);
	bb = operand(dev, X1_FMT_E4M3, N * K, 0.05f, 2, b);
	bbias = operand(dev, X1_FMT_FP32, N, 0.5f, 3, bias);
	if (sili_bo_new(dev, sizeof(c), SILI_HBM, 0, &bc) || !sili_bo_map(bc))
		errx(1, "out of memory");

	g.a_fmt = g.b_fmt = X1_FMT_E4M3;
	g.c_fmt = X1_FMT_FP32;
	g.a = sili_bo_dva(ba);
	g.b = sili_bo_dva(bb);
	g.c = sili_bo_dva(bc);
	g.bias = sili_bo_dva(bbias);
	g.act = SILI_ACT_GELU;
	ret = sili_gemm(dev, &g, &cmd, 1, &plan);
	if (ret < 0)
		errx(1, "gemm: %s", strerror(-ret));
	ret = sili_run_perf(queue, &cmd, 1, &perf);
	if (ret)
		errx(1, "run: %s", strerror(-ret));
	memcpy(c, sili_bo_map(bc), sizeof(c));

	printf("tiles of %u x %u x %u, %u stages, %u work-groups\n", plan.tile_m, plan.tile_n,
	       plan.tile_k, plan.stages, plan.work_groups);
	printf("%" PRIu64 " cycles, expected %" PRIu64 ", roofline %" PRIu64 "\n", perf.cycles,
	       plan.cycles, plan.roofline);
	sum = (double)bias[7];
	for (uint32_t k = 0; k < K; k++)
		sum += (double)a[3 * K + k] * (double)b[7 * K + k];
	want = sum * 0.5 * erfc(-sum * M_SQRT1_2);
	printf("c[3][7] = %.6f, in double precision %.6f\n", (double)c[3 * N + 7], want);

	sili_bo_free(ba);
	sili_bo_free(bb);
	sili_bo_free(bbias);
	sili_bo_free(bc);
	sili_queue_free(queue);
	sili_close(dev);
	return fabs((double)c[3 * N + 7] - want) < 1e-4 ? 0 : 1;
}
