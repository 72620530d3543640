// SPDX-License-Identifier: MIT
/*
 * Attention in device cycles against the roofline
 *   T = L0 + max(products of the keys that are seen at peak, bytes / bandwidth)
 * with L0 = an empty LAUNCH and its FENCE: one launch on an idle device, L2
 * dropped before. Time does not depend on values; operands are zeros.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sili_kernels.h>
#include <x1/x1_limits.h>

#include "bench.h"

#define L0 (X1_LAUNCH_CYCLES + X1_FENCE_CYCLES)

static const struct shape {
	const char *name; /* of the result; NULL: printed alone */
	const char *what;
	enum x1_format fmt;
	uint32_t q_len, kv_len, heads, kv_heads, dim, v_dim;
	bool causal;
} shapes[] = {
	{"attention.roofline", "4096 tokens, 32 heads of 128, FP8", X1_FMT_E4M3, 4096, 4096, 32, 32,
	 128, 128, false},
	{"attention.causal_roofline", "the same, causal", X1_FMT_E4M3, 4096, 4096, 32, 32, 128, 128,
	 true},
	{NULL, "1024 tokens, 12 heads of 64, FP8, causal (GPT-2)", X1_FMT_E4M3, 1024, 1024, 12, 12,
	 64, 64, true},
	{NULL, "1024 tokens, 12 heads of 64, BF16", X1_FMT_BF16, 1024, 1024, 12, 12, 64, 64, false},
	{NULL, "512 tokens, 16 heads on a latent cache of 576, FP8, causal", X1_FMT_E4M3, 512, 512,
	 16, 1, 576, 512, true},
	{NULL, "1 token, 128 heads on a latent cache of 576, 4096 keys, FP8", X1_FMT_E4M3, 1, 4096,
	 128, 1, 576, 512, false},
	{NULL, "1 token, 32 heads of 128 on 8, 4096 keys, FP8", X1_FMT_E4M3, 1, 4096, 32, 8, 128,
	 128, false},
};

static int measure(struct sili_device *dev, struct sili_queue *queue, const struct shape *s,
		   json_t *root)
{
	struct sili_bo *bo[5] = {0};
	bool latent = s->v_dim != s->dim;
	const size_t bytes[4] = {
		sili_format_bytes(s->fmt, (size_t)s->q_len * s->heads * s->dim),
		sili_format_bytes(s->fmt, (size_t)s->kv_len * s->kv_heads * s->dim),
		sili_format_bytes(s->fmt, (size_t)s->kv_len * s->kv_heads * s->v_dim),
		sili_format_bytes(X1_FMT_FP16, (size_t)s->q_len * s->heads * s->v_dim),
	};
	struct sili_attention a = {.size = sizeof(a),
				   .q_len = s->q_len,
				   .kv_len = s->kv_len,
				   .heads = s->heads,
				   .kv_heads = s->kv_heads,
				   .dim = s->dim,
				   .v_dim = s->v_dim,
				   .q_fmt = s->fmt,
				   .k_fmt = s->fmt,
				   .v_fmt = s->fmt,
				   .o_fmt = X1_FMT_FP16,
				   .causal = s->causal};
	struct sili_attention_plan pl;
	struct x1_perf perf;
	union x1_cmd cmds[2];
	int ret = 0;

	for (int i = 0; i < 4 && !ret; i++)
		ret = sili_bo_new(dev, bytes[i], SILI_HBM, 0, &bo[i]);
	if (!ret) {
		a.q = sili_bo_dva(bo[0]);
		a.k = sili_bo_dva(bo[1]);
		a.v = sili_bo_dva(bo[latent ? 1 : 2]);
		a.v_token = latent ? sili_format_bytes(s->fmt, s->dim) : 0;
		a.v_head = latent ? sili_format_bytes(s->fmt, s->dim) : 0;
		a.o = sili_bo_dva(bo[3]);
		if (sili_attention_work_bytes(&a) > 0)
			ret = sili_bo_new(dev, (size_t)sili_attention_work_bytes(&a), SILI_HBM, 0,
					  &bo[4]);
	}
	if (!ret) {
		a.work = bo[4] ? sili_bo_dva(bo[4]) : 0;
		sili_cmd_flush(&cmds[0], X1_FLUSH_L2);
		ret = sili_run(queue, cmds, 1);
	}
	if (!ret)
		ret = sili_attention(dev, &a, cmds, 2, &pl);
	if (ret > 0)
		ret = sili_run_perf(queue, cmds, (uint32_t)ret, &perf);
	if (!ret) {
		double cycles = (double)(perf.cycles + X1_FENCE_CYCLES);
		double ratio = (L0 + (double)pl.roofline) / cycles;

		printf("  %-60s %5.3f of %7.0f cycles; MATRIX %4.1f %% busy, %4.1f %% waiting, "
		       "VECTOR %4.1f %%\n",
		       s->what, ratio, cycles,
		       100.0 * (double)perf.busy[X1_ENGINE_MATRIX] / (double)perf.mcu_cycles,
		       100.0 * (double)perf.stall[X1_ENGINE_MATRIX][X1_STALL_SEM] /
			       (double)perf.mcu_cycles,
		       100.0 * (double)perf.busy[X1_ENGINE_VECTOR] / (double)perf.mcu_cycles);
		if (s->name)
			bench_add(root, s->name, "ratio", "roofline", ratio);
	}
	for (int i = 0; i < 5; i++)
		sili_bo_free(bo[i]);
	return ret;
}

int bench_attention(json_t *root)
{
	struct sili_device *dev;
	struct sili_queue *queue = NULL;
	char err[160] = "";
	int ret = sili_open(&dev, "sim", err, sizeof(err));

	if (ret) {
		fprintf(stderr, "x1-bench: attention: %s\n", err);
		return ret;
	}
	ret = sili_queue_new(dev, NULL, &queue);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && !ret; i++)
		ret = measure(dev, queue, &shapes[i], root);
	if (queue)
		sili_queue_free(queue);
	sili_close(dev);
	return ret ? bench_fail("attention", ret) : 0;
}
