// SPDX-License-Identifier: GPL-2.0-only
/*
 * The manager of HBM: a buddy allocator, so that buffers of 2 MiB and more lie
 * in 2 MiB blocks wherever these are. Addresses are relative to
 * sdev->vram_base. The first part, up to the aperture's end, is visible to the
 * CPU; what need not be is placed beyond it while there is room.
 */
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>

#include "siliflow.h"
#include "siliflow_vram.h"

static struct sili_vram *to_sili_vram(struct ttm_resource_manager *man)
{
	return container_of(man, struct sili_vram, man);
}

static u64 sili_vram_end(struct sili_vram *vram, const struct ttm_place *place)
{
	return place->lpfn ? min((u64)place->lpfn << PAGE_SHIFT, vram->size) : vram->size;
}

static u64 sili_block_end(struct sili_vram *vram, struct gpu_buddy_block *block)
{
	return gpu_buddy_block_offset(block) + gpu_buddy_block_size(&vram->mm, block);
}

/* Where the pages of a new resource lie, in their order. */
static int sili_vram_segments(struct sili_vram *vram, struct sili_vram_res *res)
{
	struct gpu_buddy_block *block;
	u32 page = 0, i = 0;

	list_for_each_entry(block, &res->blocks, link)
		res->num_segs++;
	res->segs = kvmalloc_array(res->num_segs, sizeof(*res->segs), GFP_KERNEL);
	if (!res->segs)
		return -ENOMEM;
	list_for_each_entry(block, &res->blocks, link) {
		u64 start = gpu_buddy_block_offset(block);

		res->segs[i++] = (struct sili_seg){ .page = page, .hbm_page = start >> PAGE_SHIFT };
		page += gpu_buddy_block_size(&vram->mm, block) >> PAGE_SHIFT;
		if (start < vram->visible)
			res->visible += min(sili_block_end(vram, block), vram->visible) - start;
	}
	return 0;
}

static int sili_vram_take(struct sili_vram *vram, struct sili_vram_res *res,
			  const struct ttm_place *place, u64 align)
{
	u64 end = sili_vram_end(vram, place);
	unsigned long flags = 0;
	int ret;

	if (res->base.size > end)
		return -ENOSPC;
	lockdep_assert_held(&vram->lock);
	if (place->flags & TTM_PL_FLAG_TOPDOWN)
		flags |= GPU_BUDDY_TOPDOWN_ALLOCATION;
	if (place->fpfn || end != vram->size)
		flags |= GPU_BUDDY_RANGE_ALLOCATION;
	ret = gpu_buddy_alloc_blocks(&vram->mm, (u64)place->fpfn << PAGE_SHIFT, end,
				     res->base.size, align, &res->blocks, flags);
	if (ret)
		return ret;
	ret = sili_vram_segments(vram, res);
	if (ret)
		gpu_buddy_free_list(&vram->mm, &res->blocks, 0);
	else
		vram->visible_used += res->visible;
	return ret;
}

static int sili_vram_alloc(struct ttm_resource_manager *man, struct ttm_buffer_object *bo,
			   const struct ttm_place *place, struct ttm_resource **out)
{
	struct sili_vram *vram = to_sili_vram(man);
	u64 align = (u64)bo->page_alignment << PAGE_SHIFT;
	struct sili_vram_res *res;
	int ret;

	res = kzalloc(sizeof(*res), GFP_KERNEL);
	if (!res)
		return -ENOMEM;
	INIT_LIST_HEAD(&res->blocks);
	ttm_resource_init(bo, place, &res->base);
	mutex_lock(&vram->lock);
	ret = sili_vram_take(vram, res, place, max_t(u64, align, PAGE_SIZE));
	mutex_unlock(&vram->lock);
	if (ret) {
		ttm_resource_fini(man, &res->base);
		kfree(res);
		return ret;
	}
	*out = &res->base;
	return 0;
}

static void sili_vram_free(struct ttm_resource_manager *man, struct ttm_resource *base)
{
	struct sili_vram_res *res = to_sili_vram_res(base);
	struct sili_vram *vram = to_sili_vram(man);

	mutex_lock(&vram->lock);
	gpu_buddy_free_list(&vram->mm, &res->blocks, 0);
	vram->visible_used -= res->visible;
	mutex_unlock(&vram->lock);
	ttm_resource_fini(man, base);
	kvfree(res->segs);
	kfree(res);
}

static bool sili_vram_intersects(struct ttm_resource_manager *man, struct ttm_resource *base,
				 const struct ttm_place *place, size_t size)
{
	struct sili_vram *vram = to_sili_vram(man);

	return sili_vram_end(vram, place) >= vram->size || to_sili_vram_res(base)->visible;
}

static bool sili_vram_compatible(struct ttm_resource_manager *man, struct ttm_resource *base,
				 const struct ttm_place *place, size_t size)
{
	struct sili_vram *vram = to_sili_vram(man);

	return sili_vram_end(vram, place) >= vram->size ||
	       to_sili_vram_res(base)->visible == PAGE_ALIGN(size);
}

static void sili_vram_debug(struct ttm_resource_manager *man, struct drm_printer *p)
{
	struct sili_vram *vram = to_sili_vram(man);

	mutex_lock(&vram->lock);
	drm_printf(p, "visible: %llu of %llu\n", vram->visible_used, vram->visible);
	drm_buddy_print(&vram->mm, p);
	mutex_unlock(&vram->lock);
}

static const struct ttm_resource_manager_func sili_vram_funcs = {
	.alloc = sili_vram_alloc,
	.free = sili_vram_free,
	.intersects = sili_vram_intersects,
	.compatible = sili_vram_compatible,
	.debug = sili_vram_debug,
};

/**
 * sili_vram_init() - install the manager as TTM_PL_VRAM
 * @ttm: memory of the device
 * @size: bytes
 * @visible: bytes at its start that the CPU can map
 *
 * Return: 0 or a negative errno.
 */
int sili_vram_init(struct ttm_device *ttm, u64 size, u64 visible)
{
	struct sili_vram *vram = kzalloc(sizeof(*vram), GFP_KERNEL);
	int ret;

	if (!vram)
		return -ENOMEM;
	ret = gpu_buddy_init(&vram->mm, size, PAGE_SIZE);
	if (ret) {
		kfree(vram);
		return ret;
	}
	mutex_init(&vram->lock);
	vram->size = size;
	vram->visible = visible;
	vram->man.func = &sili_vram_funcs;
	ttm_resource_manager_init(&vram->man, ttm, size);
	ttm_set_driver_manager(ttm, TTM_PL_VRAM, &vram->man);
	ttm_resource_manager_set_used(&vram->man, true);
	return 0;
}

/*
 * sili_vram_fini() - end the manager, if there is one; no buffer is left
 */
void sili_vram_fini(struct ttm_device *ttm)
{
	struct ttm_resource_manager *man = ttm_manager_type(ttm, TTM_PL_VRAM);
	struct sili_vram *vram;

	if (!man)
		return;
	vram = to_sili_vram(man);
	ttm_resource_manager_set_used(man, false);
	gpu_buddy_fini(&vram->mm);
	ttm_resource_manager_cleanup(man);
	ttm_set_driver_manager(ttm, TTM_PL_VRAM, NULL);
	mutex_destroy(&vram->lock);
	kfree(vram);
}

/**
 * sili_vram_run() - where a page of a resource in HBM lies
 * @base: resource
 * @page: page of the buffer
 * @run: pages from @page on that lie side by side, or NULL
 *
 * Return: page of HBM behind sdev->vram_base.
 */
u64 sili_vram_run(struct ttm_resource *base, u32 page, u32 *run)
{
	struct sili_vram_res *res = to_sili_vram_res(base);
	u32 lo = 0, hi = res->num_segs;

	/* The last segment that begins at @page or before. */
	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		if (res->segs[mid].page <= page)
			lo = mid;
		else
			hi = mid;
	}
	if (run)
		*run = (lo + 1 < res->num_segs ? res->segs[lo + 1].page : PFN_UP(base->size)) -
		       page;
	return res->segs[lo].hbm_page + (page - res->segs[lo].page);
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_vram_test.c"
#endif
