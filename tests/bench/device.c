// SPDX-License-Identifier: MIT
/*
 * The submit path and COPY, on either back end: an empty LAUNCH from submit to
 * fence seen, launches per second with 64 in flight, host to HBM copies.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ROUNDS	   5
#define LATENCIES  400
#define DEPTH	   64u
#define SECONDS	   1.0
#define COPY_BYTES (16u << 20)
#define COPIES	   8

struct bench_dev {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_kernel *empty;
	union x1_cmd launch;
};

static void dev_close(struct bench_dev *d)
{
	if (d->empty)
		sili_kernel_free(d->empty);
	if (d->queue)
		sili_queue_free(d->queue);
	if (d->dev)
		sili_close(d->dev);
}

static int dev_open(struct bench_dev *d, const char *spec)
{
	struct sili_prog *prog = sili_prog_new();
	char err[160] = "";
	int ret;

	if (!prog)
		return bench_fail("program", -ENOMEM);
	ret = sili_open(&d->dev, spec, err, sizeof(err));
	if (ret) {
		fprintf(stderr, "x1-bench: %s: %s\n", spec, err);
		sili_prog_free(prog);
		return ret;
	}
	sili_prog_emit(prog, (struct x1_insn){.op = X1_OP_END});
	if ((ret = sili_queue_new(d->dev, NULL, &d->queue)) ||
	    (ret = sili_prog_finish(prog, d->dev, &d->empty)))
		bench_fail(spec, ret);
	else
		sili_cmd_launch(&d->launch, d->empty, 1, 1, 1, 0, 0);
	sili_prog_free(prog);
	return ret;
}

static int one_launch(struct bench_dev *d)
{
	struct sili_fence *fence;
	int ret = sili_submit(d->queue, &d->launch, 1, &fence);

	if (ret)
		return ret;
	ret = sili_fence_wait(fence, -1);
	sili_fence_free(fence);
	return ret;
}

/* The middle one of many latencies, microseconds; < 0 = error. */
static double latency(struct bench_dev *d)
{
	double v[LATENCIES];

	for (int i = 0; i < LATENCIES; i++) {
		double start = bench_now();
		int ret = one_launch(d);

		if (ret)
			return bench_fail("launch", ret);
		v[i] = (bench_now() - start) * 1e6;
	}
	return bench_median(v, LATENCIES);
}

static double nvme_latency(struct bench_nvme *nvme)
{
	double v[LATENCIES];

	for (int i = 0; i < LATENCIES; i++) {
		double start = bench_now();
		int ret = bench_nvme_read(nvme);

		if (ret)
			return bench_fail("nvme", ret);
		v[i] = (bench_now() - start) * 1e6;
	}
	return bench_median(v, LATENCIES);
}

/* Launches per second, each with a submit and a fence of its own; < 0 = error. */
static double rate(struct bench_dev *d)
{
	struct sili_fence *fences[DEPTH] = {0};
	double begin = bench_now(), now = begin;
	uint64_t count = 0;
	int ret = 0;

	for (uint64_t i = 0; !ret && now - begin < SECONDS; i++) {
		struct sili_fence **slot = &fences[i % DEPTH];

		if (*slot) {
			ret = sili_fence_wait(*slot, -1);
			sili_fence_free(*slot);
			*slot = NULL;
			count++;
			now = bench_now();
		}
		if (!ret)
			ret = sili_submit(d->queue, &d->launch, 1, slot);
	}
	for (unsigned int i = 0; i < DEPTH; i++) {
		if (!fences[i])
			continue;
		if (!ret)
			ret = sili_fence_wait(fences[i], -1);
		sili_fence_free(fences[i]);
	}
	return ret ? bench_fail("launches", ret) : (double)count / (now - begin);
}

/* COPY from host memory to HBM, GB/s, warm. */
static int copies(json_t *root, struct bench_dev *d, const char *name, const char *ratio_name)
{
	double host = bench_value(root, "host.memcpy_16m");
	struct bench_samples speed = {0}, ratio = {0};
	struct sili_bo *src = NULL, *dst = NULL;
	union x1_cmd cmd;
	int ret;

	if ((ret = sili_bo_new(d->dev, COPY_BYTES, SILI_SYSTEM, 0, &src)) ||
	    (ret = sili_bo_new(d->dev, COPY_BYTES, SILI_HBM, 0, &dst)))
		goto out;
	ret = -ENOMEM;
	if (!sili_bo_map(src))
		goto out;
	memset(sili_bo_map(src), 0x5a, COPY_BYTES);
	sili_cmd_copy(&cmd, sili_bo_dva(dst), sili_bo_dva(src), COPY_BYTES);
	for (int i = 0; i < ROUNDS * COPIES; i++) {
		double start = bench_now(), s;

		ret = sili_run(d->queue, &cmd, 1);
		if (ret)
			goto out;
		s = COPY_BYTES / (bench_now() - start) * 1e-9;
		/* The first round touches the memory. */
		if (i < COPIES)
			continue;
		bench_sample(&speed, s);
		bench_sample(&ratio, s / host);
	}
	bench_add(root, name, "GB/s", "", &speed);
	if (!isnan(host))
		bench_add(root, ratio_name, "ratio", "host.memcpy_16m", &ratio);
out:
	sili_bo_free(src);
	sili_bo_free(dst);
	return ret ? bench_fail("copy", ret) : 0;
}

int bench_sim(json_t *root)
{
	struct bench_samples p50 = {0}, per_second = {0};
	struct bench_dev d = {0};
	int ret = dev_open(&d, "sim");

	for (int i = 0; i < ROUNDS && !ret; i++) {
		double us = latency(&d), per_s = rate(&d);

		ret = us < 0 || per_s < 0 ? -1 : 0;
		bench_sample(&p50, us);
		bench_sample(&per_second, per_s);
	}
	if (!ret) {
		bench_add(root, "submit.sim.qd1_p50", "us", "", &p50);
		bench_add(root, "submit.sim.rate64", "1/s", "", &per_second);
		ret = copies(root, &d, "copy.sim.h2d_16m", "copy.sim.h2d_16m_ratio_memcpy");
	}
	dev_close(&d);
	return ret;
}

/* Device and NVMe take turns, so that a change of the machine's mood hits both. */
int bench_vm(json_t *root)
{
	struct bench_samples x1_us = {0}, nvme_us = {0}, us_ratio = {0};
	struct bench_samples x1_rate = {0}, nvme_rate = {0}, rate_ratio = {0};
	struct bench_nvme *nvme = bench_nvme_open();
	struct bench_dev d = {0};
	int ret = nvme ? dev_open(&d, "drm") : -1;

	if (!ret)
		ret = latency(&d) < 0 || nvme_latency(nvme) < 0 ? -1 : 0;	/* warm */
	for (int i = 0; i < ROUNDS && !ret; i++) {
		double us = latency(&d), them_us = nvme_latency(nvme);
		double per_s = rate(&d), them_per_s = bench_nvme_rate(nvme, DEPTH, SECONDS);

		if (them_per_s < 0)
			bench_fail("nvme", (int)them_per_s);
		ret = us < 0 || them_us < 0 || per_s < 0 || them_per_s < 0 ? -1 : 0;
		bench_sample(&x1_us, us);
		bench_sample(&nvme_us, them_us);
		bench_sample(&us_ratio, us / them_us);
		bench_sample(&x1_rate, per_s);
		bench_sample(&nvme_rate, them_per_s);
		bench_sample(&rate_ratio, per_s / them_per_s);
	}
	if (!ret) {
		bench_add(root, "nvme.read4k.qd1_p50", "us", "", &nvme_us);
		bench_add(root, "submit.ioctl.qd1_p50", "us", "", &x1_us);
		bench_add(root, "submit.ioctl.qd1_p50_ratio_nvme", "ratio", "nvme.read4k.qd1_p50",
			  &us_ratio);
		bench_add(root, "nvme.read4k.rate64", "1/s", "", &nvme_rate);
		bench_add(root, "submit.ioctl.rate64", "1/s", "", &x1_rate);
		bench_add(root, "submit.ioctl.rate64_ratio_nvme", "ratio", "nvme.read4k.rate64",
			  &rate_ratio);
		ret = copies(root, &d, "copy.h2d_16m", "copy.h2d_16m_ratio_memcpy");
	}
	dev_close(&d);
	bench_nvme_close(nvme);
	return ret;
}
