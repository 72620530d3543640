// SPDX-License-Identifier: MIT
/*
 * The submit path and COPY, on either back end: an empty LAUNCH from submit to
 * fence seen, launches per second with 64 in flight, host to HBM copies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS     5
#define VM_ROUNDS  2
#define LATENCIES  400
#define DEPTH      64u
#define SECONDS    0.7
#define COPY_BYTES (16u << 20)
#define COPIES     8
#define BATCH      64u
#define FLIGHTS    8u

struct bench_dev {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_kernel *empty;
	union x1_cmd launch, batch[BATCH];
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

static int dev_open(struct bench_dev *d, const char *spec, uint32_t flags)
{
	struct sili_queue_attr attr = {.size = sizeof(attr), .flags = flags};
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
	if ((ret = sili_queue_new(d->dev, &attr, &d->queue)) ||
	    (ret = sili_prog_finish(prog, d->dev, &d->empty)))
		bench_fail(spec, ret);
	else
		sili_cmd_launch(&d->launch, d->empty, 1, 1, 1, 0, 0);
	for (unsigned int i = 0; i < BATCH; i++)
		d->batch[i] = d->launch;
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

/*
 * Launches per second, `batch` of them per submit with a fence, so many
 * submits in flight; < 0 = error.
 */
static double rate(struct bench_dev *d, unsigned int batch, unsigned int flights)
{
	struct sili_fence *fences[DEPTH] = {0};
	double begin = bench_now(), now = begin;
	uint64_t count = 0;
	int ret = 0;

	for (uint64_t i = 0; !ret && now - begin < SECONDS; i++) {
		struct sili_fence **slot = &fences[i % flights];

		if (*slot) {
			ret = sili_fence_wait(*slot, -1);
			sili_fence_free(*slot);
			*slot = NULL;
			count += batch;
			now = bench_now();
		}
		if (!ret)
			ret = sili_submit(d->queue, d->batch, batch, slot);
	}
	for (unsigned int i = 0; i < flights; i++) {
		if (!fences[i])
			continue;
		if (!ret)
			ret = sili_fence_wait(fences[i], -1);
		sili_fence_free(fences[i]);
	}
	return ret ? bench_fail("launches", ret) : (double)count / (now - begin);
}

/*
 * COPY from host memory to HBM, GB/s, warm. The ratio is to the host's memcpy:
 * in-process measured in turn, for a guest the host's just before.
 */
static int copies(json_t *root, struct bench_dev *d, const char *prefix, bool in_process)
{
	struct sili_bo *src = NULL, *dst = NULL;
	double host = bench_last(root, "host.memcpy_16m");
	char name[64], ratio[64];
	union x1_cmd cmd;
	int ret;

	snprintf(name, sizeof(name), "%s.h2d_16m", prefix);
	snprintf(ratio, sizeof(ratio), "%s.h2d_16m_ratio_memcpy", prefix);
	if ((ret = sili_bo_new(d->dev, COPY_BYTES, SILI_SYSTEM, 0, &src)) ||
	    (ret = sili_bo_new(d->dev, COPY_BYTES, SILI_HBM, 0, &dst)))
		goto out;
	ret = -ENOMEM;
	if (!sili_bo_map(src))
		goto out;
	memset(sili_bo_map(src), 0x5a, COPY_BYTES);
	sili_cmd_copy(&cmd, sili_bo_dva(dst), sili_bo_dva(src), COPY_BYTES);
	for (int round = 0; round <= ROUNDS; round++) {
		double v[COPIES], s;

		if (in_process)
			host = bench_memcpy();
		for (int i = 0; i < COPIES; i++) {
			double start = bench_now();

			ret = sili_run(d->queue, &cmd, 1);
			if (ret)
				goto out;
			v[i] = COPY_BYTES / (bench_now() - start) * 1e-9;
		}
		/* The first round touches the memory. */
		if (!round)
			continue;
		s = bench_median(v, COPIES);
		if (in_process && host > 0)
			bench_add(root, "host.memcpy_16m", "GB/s", "", host);
		bench_add(root, name, "GB/s", "", s);
		if (host > 0)
			bench_add(root, ratio, "ratio", "host.memcpy_16m of the same round",
				  s / host);
	}
out:
	sili_bo_free(src);
	sili_bo_free(dst);
	return ret ? bench_fail("copy", ret) : 0;
}

/* Resident memory of this process, MiB; < 0 = error. */
static double resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = -1;

	if (!file || fscanf(file, "%*s %ld", &pages) != 1)
		pages = -1;
	if (file)
		fclose(file);
	return pages < 0 ? bench_fail("/proc/self/statm", errno)
			 : (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* What an idle default device adds to a process that is new. */
static double idle_rss(void)
{
	double mib = -1;
	int fds[2], status;
	pid_t child;

	if (pipe(fds))
		return bench_fail("pipe", errno);
	child = fork();
	if (!child) {
		struct sili_device *dev;
		double before = resident();

		if (before >= 0 && !sili_open(&dev, "sim", NULL, 0)) {
			usleep(200000);
			mib = resident() - before;
		}
		_exit(write(fds[1], &mib, sizeof(mib)) != sizeof(mib));
	}
	close(fds[1]);
	if (child < 0 || read(fds[0], &mib, sizeof(mib)) != sizeof(mib))
		mib = bench_fail("idle device", EIO);
	close(fds[0]);
	if (child > 0)
		waitpid(child, &status, 0);
	return mib;
}

int bench_sim(json_t *root)
{
	struct bench_dev d = {0};
	int ret = 0;

	/* Before there are threads: it forks. */
	for (int i = 0; i < 3 && !ret; i++) {
		double mib = idle_rss();

		ret = mib < 0 ? -1 : 0;
		if (!ret)
			bench_add(root, "idle.rss_mib", "MiB", "", mib);
	}
	if (!ret)
		ret = dev_open(&d, "sim", 0);
	for (int i = 0; i < ROUNDS && !ret; i++) {
		double us = latency(&d), per_s = rate(&d, 1, DEPTH),
		       ring = rate(&d, BATCH, FLIGHTS);

		ret = us < 0 || per_s < 0 || ring < 0 ? -1 : 0;
		if (ret)
			break;
		bench_add(root, "submit.sim.qd1_p50", "us", "", us);
		bench_add(root, "submit.sim.rate64", "1/s", "", per_s);
		bench_add(root, "ring.sim.rate", "1/s", "64 launches per doorbell", ring);
	}
	if (!ret)
		ret = copies(root, &d, "copy.sim", true);
	dev_close(&d);
	return ret;
}

/* Device and NVMe take turns, so that a change of the machine's mood hits both. */
int bench_vm(json_t *root)
{
	struct bench_nvme *nvme = bench_nvme_open();
	struct bench_dev d = {0}, u = {0};
	int ret = nvme ? dev_open(&d, "drm", 0) : -1;

	if (!ret)
		ret = dev_open(&u, "drm", SILI_QUEUE_USER);
	if (!ret)
		ret = latency(&d) < 0 || latency(&u) < 0 || nvme_latency(nvme) < 0 ? -1
										   : 0; /* warm */
	for (int i = 0; i < VM_ROUNDS && !ret; i++) {
		double us = latency(&d), user_us = latency(&u), them_us = nvme_latency(nvme);
		double per_s = rate(&d, 1, DEPTH), user_per_s = rate(&u, 1, DEPTH), them_per_s;
		double batch = rate(&d, BATCH, FLIGHTS);

		them_per_s = bench_nvme_rate(nvme, DEPTH, SECONDS);
		if (them_per_s < 0)
			bench_fail("nvme", (int)them_per_s);
		ret = us < 0 || user_us < 0 || them_us < 0 || per_s < 0 || user_per_s < 0 ||
				      batch < 0 || them_per_s < 0
			      ? -1
			      : 0;
		if (ret)
			break;
		bench_add(root, "nvme.read4k.qd1_p50", "us", "", them_us);
		bench_add(root, "submit.ioctl.qd1_p50", "us", "", us);
		bench_add(root, "submit.ioctl.qd1_p50_ratio_nvme", "ratio",
			  "nvme.read4k.qd1_p50 of the same round", us / them_us);
		bench_add(root, "nvme.read4k.rate64", "1/s", "", them_per_s);
		bench_add(root, "submit.ioctl.rate64", "1/s", "", per_s);
		bench_add(root, "submit.ioctl.rate64_ratio_nvme", "ratio",
			  "nvme.read4k.rate64 of the same round", per_s / them_per_s);
		bench_add(root, "submit.userq.qd1_p50", "us", "", user_us);
		bench_add(root, "submit.userq.qd1_p50_ratio_nvme", "ratio",
			  "nvme.read4k.qd1_p50 of the same round", user_us / them_us);
		bench_add(root, "submit.userq.rate64", "1/s", "", user_per_s);
		bench_add(root, "submit.userq.rate64_ratio_nvme", "ratio",
			  "nvme.read4k.rate64 of the same round", user_per_s / them_per_s);
		bench_add(root, "submit.ioctl.batch64_rate", "1/s", "64 launches per job", batch);
		bench_add(root, "submit.ioctl.batch64_ratio_nvme", "ratio",
			  "nvme.read4k.rate64 of the same round", batch / them_per_s);
	}
	if (!ret)
		ret = copies(root, &d, "copy", false);
	dev_close(&u);
	dev_close(&d);
	bench_nvme_close(nvme);
	return ret;
}
