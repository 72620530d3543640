// SPDX-License-Identifier: GPL-2.0-only
/* QUERY: facts of the device. */
#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include <x1/x1_perf.h>

#include "siliflow.h"

static int sili_answer(struct drm_siliflow_query *args, const void *data, u32 bytes)
{
	u32 n = min(args->size, bytes);

	args->size = bytes;
	return copy_to_user(u64_to_user_ptr(args->ptr), data, n) ? -EFAULT : 0;
}

static int sili_query_device(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_device d = {
		.hw_version = sili_read(sdev, X1_REG_VERSION),
		.num_mcus = sdev->num_mcus,
		.num_queues = sdev->num_hwqs,
		.max_queues_per_file = SILI_MAX_QUEUES_FILE,
		.formats = sili_read(sdev, X1_REG_FORMATS),
		.scales = sili_read(sdev, X1_REG_SCALES),
		.sparsities = sili_read(sdev, X1_REG_SPARSITIES),
		.features = sili_read(sdev, X1_REG_FEATURES),
		.spad_bytes = sili_read(sdev, X1_REG_SPAD_BYTES),
		.acc_bytes = sili_read(sdev, X1_REG_ACC_BYTES),
		.l2_bytes = sili_read(sdev, X1_REG_L2_BYTES),
		.hbm_bw = sili_read(sdev, X1_REG_HBM_BW),
		.l2_bw = sili_read(sdev, X1_REG_L2_BW),
		.pcie_bw = sili_read(sdev, X1_REG_PCIE_BW),
		.hbm_latency = sili_read(sdev, X1_REG_HBM_LATENCY),
		.l2_latency = sili_read(sdev, X1_REG_L2_LATENCY),
		.pcie_latency = sili_read(sdev, X1_REG_PCIE_LATENCY),
		.num_mcus_healthy = sili_read(sdev, X1_REG_MCU_HEALTHY),
		.clock_hz = sdev->clock_hz,
		.serial = sdev->serial,
		.max_budget = sili_max_budget(),
		.va_start = SILI_VA_START,
		.va_end = SILI_VA_END,
		.driver_index = sdev->index,
		.max_timeout_ms = sili_max_timeout_ms(),
	};

	return sili_answer(args, &d, sizeof(d));
}

static int sili_query_memory(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_memory m = {
		.hbm_size = sili_ttm_size(sdev, SILIFLOW_BO_HBM),
		.hbm_visible = sili_ttm_visible(sdev),
		.hbm_used = sili_ttm_used(sdev, SILIFLOW_BO_HBM),
		.system_used = sili_ttm_used(sdev, SILIFLOW_BO_SYSTEM),
	};

	return sili_answer(args, &m, sizeof(m));
}

static int sili_query_firmware(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_firmware f = {
		.version = sili_read(sdev, X1_REG_FW_VERSION),
		.abi = sili_read(sdev, X1_REG_FW_ABI),
		.state = sili_read(sdev, X1_REG_FW_STATE),
		.heartbeat = sili_read(sdev, X1_REG_FW_HEARTBEAT),
	};

	return sili_answer(args, &f, sizeof(f));
}

/*
 * sili_clock() - the device's clock, and where asked the host's at that moment
 */
u64 sili_clock(struct sili_device *sdev, u64 *monotonic_ns)
{
	u64 cycles;

	/* One reader at a time: LO latches HI. */
	mutex_lock(&sdev->index_lock);
	cycles = sili_read64(sdev, X1_REG_CLOCK_LO);
	if (monotonic_ns)
		*monotonic_ns = ktime_get_ns();
	mutex_unlock(&sdev->index_lock);
	return cycles;
}

static int sili_query_clock(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_clock c;

	c.device_cycles = sili_clock(sdev, &c.monotonic_ns);
	return sili_answer(args, &c, sizeof(c));
}

static int sili_query_telemetry(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_telemetry t = {
		.temp_mc = sili_read(sdev, X1_REG_TEMP_MC),
		.power_mw = sili_read(sdev, X1_REG_POWER_MW),
		.core_power_mw = sili_read(sdev, X1_REG_CORE_POWER_MW),
		.util_permille = sili_read(sdev, X1_REG_UTIL_PERMILLE),
		.energy_core_uj = sili_read_counter(sdev, X1_REG_ENERGY_CORE_LO),
		.energy_package_uj = sili_read_counter(sdev, X1_REG_ENERGY_PKG_LO),
	};

	return sili_answer(args, &t, sizeof(t));
}

/*
 * sili_mcu_health() - a bit per MCU, 1 = takes work
 */
void sili_mcu_health(struct sili_device *sdev, unsigned long *map)
{
	u32 i;

	mutex_lock(&sdev->index_lock);
	for (i = 0; i < sdev->num_mcus; i++) {
		sili_write(sdev, X1_REG_MCU_INDEX, i);
		__assign_bit(i, map, sili_read(sdev, X1_REG_MCU_HEALTH));
	}
	mutex_unlock(&sdev->index_lock);
}

static int sili_query_health(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	u32 bytes = BITS_TO_LONGS(sdev->num_mcus) * sizeof(long);
	unsigned long *map;
	int ret;

	map = bitmap_zalloc(sdev->num_mcus, GFP_KERNEL);
	if (!map)
		return -ENOMEM;
	sili_mcu_health(sdev, map);
	ret = sili_answer(args, map, bytes);
	bitmap_free(map);
	return ret;
}

static void sili_mcu_counters(struct sili_device *sdev, u32 mcu,
			      struct drm_siliflow_mcu_counters *c)
{
	u32 e;

	mutex_lock(&sdev->index_lock);
	sili_write(sdev, X1_REG_MCU_PERF_INDEX, mcu);
	c->work_groups = sili_read_counter(sdev, X1_REG_MCU_PERF_WGS);
	c->cycles = sili_read_counter(sdev, X1_REG_MCU_PERF_CYCLES);
	for (e = 0; e < X1_ENGINE_COUNT; e++)
		c->busy[e] = sili_read_counter(sdev, X1_REG_MCU_PERF_BUSY(e));
	mutex_unlock(&sdev->index_lock);
}

static int sili_query_counters(struct sili_device *sdev, struct drm_siliflow_query *args)
{
	struct drm_siliflow_query_counters *c;
	struct drm_siliflow_mcu_counters *mcus;
	u32 i, bytes = sizeof(*c) + sdev->num_mcus * sizeof(*mcus);
	int ret;

	if (!args->size)
		return sili_answer(args, NULL, bytes);
	/* They show what others do. */
	if (!perfmon_capable())
		return -EPERM;
	c = kvzalloc(bytes, GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	*c = (struct drm_siliflow_query_counters){
		.device_cycles = sili_clock(sdev, NULL),
		.num_mcus = sdev->num_mcus,
		.stride = sizeof(*mcus),
	};
	mcus = (void *)(c + 1);
	for (i = 0; i < sdev->num_mcus; i++) {
		sili_mcu_counters(sdev, i, &mcus[i]);
		cond_resched();
	}
	ret = sili_answer(args, c, bytes);
	kvfree(c);
	return ret;
}

int sili_ioctl_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	static int (*const query[])(struct sili_device *sdev, struct drm_siliflow_query *args) = {
		[DRM_SILIFLOW_QUERY_DEVICE] = sili_query_device,
		[DRM_SILIFLOW_QUERY_MEMORY] = sili_query_memory,
		[DRM_SILIFLOW_QUERY_FIRMWARE] = sili_query_firmware,
		[DRM_SILIFLOW_QUERY_CLOCK] = sili_query_clock,
		[DRM_SILIFLOW_QUERY_MCU_HEALTH] = sili_query_health,
		[DRM_SILIFLOW_QUERY_TELEMETRY] = sili_query_telemetry,
		[DRM_SILIFLOW_QUERY_COUNTERS] = sili_query_counters,
	};
	struct drm_siliflow_query *args = data;
	int idx, ret;

	if (args->pad || args->type >= ARRAY_SIZE(query))
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	ret = query[array_index_nospec(args->type, ARRAY_SIZE(query))](to_sili(drm), args);
	drm_dev_exit(idx);
	return ret;
}
