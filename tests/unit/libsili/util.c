// SPDX-License-Identifier: MIT
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x1/x1_fault.h"

void t_firmware(void)
{
	const char *build = getenv("X1_BUILD");
	char path[4096];

	snprintf(path, sizeof(path), "%s/firmware/x1-fw.bin", build ? build : "build");
	setenv("SILI_FIRMWARE", path, 1);
}

struct sili_device *t_open(const char *spec)
{
	struct sili_device *dev;
	char err[256] = "";

	t_firmware();
	if (sili_open(&dev, spec, err, sizeof(err)))
		fail_msg("%s: %s", spec, err);
	return dev;
}

struct sili_queue *t_queue(struct sili_device *dev)
{
	struct sili_queue *q;

	assert_int_equal(sili_queue_new(dev, NULL, &q), 0);
	return q;
}

struct sili_bo *t_bo(struct sili_device *dev, size_t bytes, enum sili_mem where)
{
	struct sili_bo *bo;

	assert_int_equal(sili_bo_new(dev, bytes, where, 0, &bo), 0);
	assert_non_null(sili_bo_map(bo));
	return bo;
}

struct sili_bo *t_upload(struct sili_device *dev, enum x1_format fmt, const float *src, size_t n)
{
	struct sili_bo *bo = t_bo(dev, sili_format_bytes(fmt, n), SILI_HBM);

	assert_int_equal(sili_from_f32(fmt, src, sili_bo_map(bo), n), 0);
	return bo;
}

uint32_t t_fault(struct sili_queue *q)
{
	struct sili_fault f = {.size = sizeof(f)};

	assert_int_equal(sili_queue_fault(q, &f), 0);
	return f.code;
}

void t_run(struct sili_queue *q, const union x1_cmd *cmds, uint32_t n, int want)
{
	int ret = sili_run(q, cmds, n);

	if (ret != want)
		fail_msg("run gives %d, expected %d; fault %s", ret, want,
			 x1_fault_name(t_fault(q)));
}

void t_random(float *dst, size_t n, uint32_t seed, int range)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		dst[i] = (float)((int)(seed >> 8) % (2 * range + 1) - range);
	}
}

struct t_machine t_machines[T_MACHINES] = {{.spec = "sim:hbm=512M,mcus=24"},
					   {.spec = "sim:hbm=512M,mcus=5,hbm_bw=64"}};

int t_machines_open(void **state)
{
	(void)state;
	for (size_t i = 0; i < T_MACHINES; i++) {
		t_machines[i].dev = t_open(t_machines[i].spec);
		t_machines[i].queue = t_queue(t_machines[i].dev);
	}
	return 0;
}

int t_machines_close(void **state)
{
	(void)state;
	for (size_t i = 0; i < T_MACHINES; i++) {
		sili_queue_free(t_machines[i].queue);
		sili_close(t_machines[i].dev);
	}
	return 0;
}
