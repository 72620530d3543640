// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a file has used, in the keys of drm-usage-stats.rst. One engine: the
 * MCUs and COPY run the commands of a queue in turn.
 */
#include <linux/math64.h>

#include <drm/drm_file.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"

#define SILI_ENGINE	"compute"

/* ---- time ---- */

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

/* ---- memory ---- */

/* A file's buffers, by where they are. */
struct sili_usage {
	struct drm_memory_stats hbm;
	struct drm_memory_stats system;
};

/* What user queues do has no fence: their buffers do not count. */
static bool sili_bo_active(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;

	drm_gem_for_each_gpuvm_bo(vm_bo, gem)
		if (!to_sili_vm(vm_bo->vm)->long_running &&
		    !dma_resv_test_signaled(drm_gpuvm_resv(vm_bo->vm), DMA_RESV_USAGE_BOOKKEEP))
			return true;
	return !dma_resv_test_signaled(gem->resv, DMA_RESV_USAGE_BOOKKEEP);
}

/* Reserved. */
static void sili_usage_add(struct sili_usage *usage, struct drm_gem_object *gem)
{
	struct sili_bo *bo = gem_to_sili_bo(gem);
	bool hbm = sili_bo_in_hbm(bo);
	struct drm_memory_stats *stats = hbm ? &usage->hbm : &usage->system;

	if (drm_gem_object_is_shared_for_memory_stats(gem))
		stats->shared += gem->size;
	else
		stats->private += gem->size;
	if (hbm || (bo->base.ttm && ttm_tt_is_populated(bo->base.ttm)))
		stats->resident += gem->size;
	if (sili_bo_active(gem))
		stats->active += gem->size;
}

static void sili_file_usage(struct drm_file *file, struct sili_usage *usage)
{
	struct drm_gem_object *gem;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, gem, id) {
		if (dma_resv_trylock(gem->resv)) {
			sili_usage_add(usage, gem);
			dma_resv_unlock(gem->resv);
			continue;
		}
		drm_gem_object_get(gem);
		spin_unlock(&file->table_lock);
		dma_resv_lock(gem->resv, NULL);
		sili_usage_add(usage, gem);
		dma_resv_unlock(gem->resv);
		drm_gem_object_put(gem);
		spin_lock(&file->table_lock);
	}
	spin_unlock(&file->table_lock);
}

/*
 * sili_show_fdinfo() - driver's part of a file's fdinfo
 */
void sili_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct sili_device *sdev = to_sili(file->minor->dev);
	u64 cycles = sili_file_cycles(file->driver_priv);
	struct sili_usage usage = {};
	int idx;

	drm_printf(p, "drm-engine-" SILI_ENGINE ":\t%llu ns\n",
		   mul_u64_u64_div_u64(cycles, NSEC_PER_SEC, sdev->clock_hz));
	drm_printf(p, "drm-cycles-" SILI_ENGINE ":\t%llu\n", cycles);
	drm_printf(p, "drm-maxfreq-" SILI_ENGINE ":\t%llu Hz\n", sdev->clock_hz);
	if (drm_dev_enter(&sdev->drm, &idx)) {
		drm_printf(p, "drm-total-cycles-" SILI_ENGINE ":\t%llu\n", sili_clock(sdev, NULL));
		drm_dev_exit(idx);
	}
	sili_file_usage(file, &usage);
	drm_print_memory_stats(p, &usage.hbm, DRM_GEM_OBJECT_RESIDENT, "hbm");
	drm_print_memory_stats(p, &usage.system, DRM_GEM_OBJECT_RESIDENT, "system");
}
