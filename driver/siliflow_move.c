// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving and clearing buffers: by the device's engines, by the CPU what is
 * small, and what the device does not do and the CPU can see.
 */
#include <linux/highmem.h>
#include <linux/iosys-map.h>
#include <linux/sizes.h>

#include <drm/drm_cache.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"

/* Below it the CPU is faster than asking the device. */
#define SILI_CPU_BYTES	SZ_64K

static void *sili_hbm_page(struct sili_device *sdev, struct ttm_resource *res, u32 page)
{
	return (void __force *)sdev->hbm + sili_res_addr(sdev, res, page, NULL);
}

static void sili_cpu_clear(struct sili_device *sdev, struct ttm_resource *res)
{
	u32 page;

	for (page = 0; page < PFN_UP(res->size); page++) {
		memset64(sili_hbm_page(sdev, res, page), 0, PAGE_SIZE / sizeof(u64));
		cond_resched();
	}
	wmb(); /* out of the write-combining buffers */
}

/* Nobody may read what somebody else left in HBM. */
static int sili_move_clear(struct sili_device *sdev, struct ttm_resource *res)
{
	bool visible = sili_res_visible(res);
	int ret = -EIO;

	if (!visible || res->size > SILI_CPU_BYTES)
		ret = sili_copy_clear(sdev, res);
	if (ret && visible) {
		sili_cpu_clear(sdev, res);
		ret = 0;
	}
	return ret;
}

static void *sili_cpu_page(struct sili_bo *bo, struct ttm_resource *res, u32 page)
{
	if (res->mem_type == TTM_PL_VRAM)
		return sili_hbm_page(to_sili(bo->base.base.dev), res, page);
	return kmap_local_page(bo->base.ttm->pages[page]);
}

static void sili_cpu_move(struct sili_bo *bo, struct ttm_resource *dst)
{
	struct ttm_resource *src = bo->base.resource;
	u32 page;

	for (page = 0; page < PFN_UP(dst->size); page++) {
		void *to = sili_cpu_page(bo, dst, page), *from = sili_cpu_page(bo, src, page);
		struct iosys_map to_map = IOSYS_MAP_INIT_VADDR(to);
		struct iosys_map from_map = IOSYS_MAP_INIT_VADDR(from);

		/* Also right where the source is ordinary memory. */
		drm_memcpy_from_wc(&to_map, &from_map, PAGE_SIZE);
		if (src->mem_type != TTM_PL_VRAM)
			kunmap_local(from);
		if (dst->mem_type != TTM_PL_VRAM)
			kunmap_local(to);
		cond_resched();
	}
	wmb(); /* out of the write-combining buffers */
}

static int sili_move_copy(struct sili_bo *bo, struct ttm_resource *dst)
{
	bool visible = sili_res_visible(bo->base.resource) && sili_res_visible(dst);
	int ret = -EIO;

	if (!visible || dst->size > SILI_CPU_BYTES)
		ret = sili_copy_move(bo, dst);
	if (ret && visible) {
		sili_cpu_move(bo, dst);
		ret = 0;
	}
	return ret;
}

/* Fill the new place: zeroes, or what was in the old one. */
static int sili_move_fill(struct sili_bo *bo, struct ttm_resource *dst)
{
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	struct ttm_tt *tt = bo->base.ttm;
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	/* Pages that were never used have no contents. */
	if (!bo->base.resource ||
	    (bo->base.resource->mem_type != TTM_PL_VRAM && (!tt || !ttm_tt_is_populated(tt))))
		ret = sili_move_clear(sdev, dst);
	else
		ret = sili_move_copy(bo, dst);
	drm_dev_exit(idx);
	return ret;
}

/**
 * sili_move() - TTM moves a buffer
 * @tbo: reserved buffer
 * @evict: the reason, unused
 * @ctx: how to wait
 * @dst: new place
 * @hop: set when the move needs a stop
 *
 * When it returns the old place is free, and nothing in the device uses it.
 *
 * Return: 0, -EMULTIHOP or another negative errno.
 */
int sili_move(struct ttm_buffer_object *tbo, bool evict, struct ttm_operation_ctx *ctx,
	      struct ttm_resource *dst, struct ttm_place *hop)
{
	struct sili_bo *bo = ttm_to_sili_bo(tbo);
	struct ttm_resource *src = tbo->resource;
	bool hbm = dst->mem_type == TTM_PL_VRAM || (src && src->mem_type == TTM_PL_VRAM);
	int ret;

	/* Pages without bus addresses are out of the device's reach. */
	if (hbm && src && (src->mem_type == TTM_PL_SYSTEM || dst->mem_type == TTM_PL_SYSTEM)) {
		*hop = (struct ttm_place){ .mem_type = TTM_PL_TT };
		return -EMULTIHOP;
	}
	ret = sili_evict_mappings(bo, ctx);
	if (!ret && src)
		ret = ttm_bo_wait_ctx(tbo, ctx);
	if (!ret && hbm)
		ret = sili_move_fill(bo, dst);
	if (ret)
		return ret;
	if (hbm && src)
		ttm_bo_move_sync_cleanup(tbo, dst);
	else
		ttm_bo_move_null(tbo, dst);
	return 0;
}
