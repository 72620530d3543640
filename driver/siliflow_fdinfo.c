// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a file has used, in the keys of drm-usage-stats.rst. One engine: the
 * MCUs and COPY run the commands of a queue in turn.
 */
#include <linux/math64.h>

#include <drm/drm_file.h>

#include "siliflow.h"

#define SILI_ENGINE	"compute"

static u64 sili_file_cycles(struct sili_file *sfile)
{
	struct sili_queue *queue;
	unsigned long i;
	u64 cycles;

	mutex_lock(&sfile->lock);
	cycles = sfile->cycles;
	xa_for_each(&sfile->queues, i, queue)
		cycles += sili_queue_cycles(queue);
	mutex_unlock(&sfile->lock);
	return cycles;
}

/*
 * sili_show_fdinfo() - driver's part of a file's fdinfo
 */
void sili_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct sili_device *sdev = to_sili(file->minor->dev);
	u64 cycles = sili_file_cycles(file->driver_priv);
	int idx;

	drm_printf(p, "drm-engine-" SILI_ENGINE ":\t%llu ns\n",
		   mul_u64_u64_div_u64(cycles, NSEC_PER_SEC, sdev->clock_hz));
	drm_printf(p, "drm-cycles-" SILI_ENGINE ":\t%llu\n", cycles);
	drm_printf(p, "drm-maxfreq-" SILI_ENGINE ":\t%llu Hz\n", sdev->clock_hz);
	if (drm_dev_enter(&sdev->drm, &idx)) {
		drm_printf(p, "drm-total-cycles-" SILI_ENGINE ":\t%llu\n", sili_clock(sdev, NULL));
		drm_dev_exit(idx);
	}
}
