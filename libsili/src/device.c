// SPDX-License-Identifier: MIT
/* Devices: which back end, its numbers, its clock. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sili_int.h"

int64_t sili_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int sili_fail(char *err, size_t err_len, int code, const char *fmt, ...)
{
	va_list ap;

	if (err && err_len) {
		va_start(ap, fmt);
		vsnprintf(err, err_len, fmt, ap);
		va_end(ap);
	}
	return code;
}

/* "sim" and "sim:…" are the in-process device, all else names a card. */
static const struct sili_backend *choose(const char *spec, const char **arg)
{
	*arg = NULL;
	if (!spec || !*spec || !strcmp(spec, "drm"))
		return &sili_backend_drm;
	if (!strcmp(spec, "sim"))
		return &sili_backend_sim;
	if (!strncmp(spec, "sim:", 4)) {
		*arg = spec + 4;
		return &sili_backend_sim;
	}
	*arg = spec;
	return *spec == '/' ? &sili_backend_drm : NULL;
}

SILI_EXPORT int sili_open(struct sili_device **out, const char *spec, char *err, size_t err_len)
{
	const struct sili_backend *be;
	struct sili_device *dev;
	const char *arg;
	int ret;

	*out = NULL;
	if (!spec)
		spec = getenv("SILI_DEVICE");
	be = choose(spec, &arg);
	if (!be)
		return sili_fail(err, err_len, -EINVAL,
				 "device '%s': neither a node, \"drm\" nor \"sim[:key=value,...]\"",
				 spec);
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	dev->be = be;
	ret = sili_ranges_init(&dev->va, SILI_VA_START, SILI_VA_END);
	if (ret) {
		free(dev);
		return sili_fail(err, err_len, ret, "out of memory");
	}
	ret = be->open(dev, arg, err, err_len);
	if (ret) {
		sili_ranges_fini(&dev->va);
		free(dev);
		return ret;
	}
	dev->info.size = sizeof(dev->info);
	snprintf(dev->info.backend, sizeof(dev->info.backend), "%s", be->name);
	ret = sili_timeline_open(dev, err, err_len);
	if (ret) {
		sili_close(dev);
		return ret;
	}
	*out = dev;
	return 0;
}

SILI_EXPORT void sili_close(struct sili_device *dev)
{
	if (!dev)
		return;
	sili_timeline_close(dev);
	sili_cache_free(dev);
	dev->be->close(dev);
	sili_ranges_fini(&dev->va);
	free(dev);
}

/* Fill a caller's struct of `size` bytes, which may be older or newer than ours. */
static int answer(void *out, uint32_t size, const void *data, size_t bytes)
{
	if (size < sizeof(size))
		return -EINVAL;
	memset(out, 0, size);
	memcpy(out, data, size < bytes ? size : bytes);
	memcpy(out, &size, sizeof(size));
	return 0;
}

SILI_EXPORT int sili_get_info(struct sili_device *dev, struct sili_info *info)
{
	return answer(info, info->size, &dev->info, sizeof(dev->info));
}

SILI_EXPORT int sili_get_status(struct sili_device *dev, struct sili_status *status)
{
	struct sili_status now = {0};
	int ret = dev->be->status(dev, &now);

	return ret ? ret : answer(status, status->size, &now, sizeof(now));
}

SILI_EXPORT int sili_get_counters(struct sili_device *dev, struct sili_mcu_counters *mcus,
				  uint32_t max)
{
	uint32_t n = max < dev->info.mcus ? max : dev->info.mcus;
	int ret = dev->be->counters(dev, mcus, n);

	return ret ? ret : (int)n;
}

SILI_EXPORT int sili_clock(struct sili_device *dev, uint64_t *cycles)
{
	return dev->be->clock(dev, cycles);
}
