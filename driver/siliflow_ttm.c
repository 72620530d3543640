// SPDX-License-Identifier: GPL-2.0-only
/* Memory: TTM with HBM (TTM_PL_VRAM) and system memory (TTM_PL_TT). */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include <drm/drm_managed.h>
#include <drm/drm_prime.h>
#include <drm/drm_vma_manager.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_range_manager.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"
#include "siliflow_user.h"
#include "siliflow_vram.h"

static struct sili_device *ttm_to_sili(struct ttm_device *ttm)
{
	return container_of(ttm, struct sili_device, ttm);
}

/**
 * sili_res_addr() - where a page of a resource in HBM lies
 * @sdev: device
 * @res: resource
 * @page: page of the buffer
 * @run: pages from @page on that lie side by side, or NULL
 *
 * Return: bytes from the start of HBM.
 */
u64 sili_res_addr(struct sili_device *sdev, struct ttm_resource *res, u32 page, u32 *run)
{
	return sdev->vram_base + (sili_vram_run(res, page, run) << PAGE_SHIFT);
}

/*
 * sili_res_visible() - can the CPU map all of a resource?
 */
bool sili_res_visible(struct ttm_resource *res)
{
	return res->mem_type != TTM_PL_VRAM ||
	       to_sili_vram_res(res)->visible == PAGE_ALIGN(res->size);
}

/* System pages of a buffer, mapped for the device while base.dma_address is there. */
struct sili_tt {
	struct ttm_tt base;
	struct ttm_buffer_object *bo;
	struct sg_table sgt;		/* the mapping, of pages of our own */
};

#define to_sili_tt(t) container_of(t, struct sili_tt, base)

static struct ttm_tt *sili_tt_create(struct ttm_buffer_object *bo, u32 page_flags)
{
	struct sili_tt *tt = kzalloc(sizeof(*tt), GFP_KERNEL);
	int ret;

	if (!tt)
		return NULL;
	tt->bo = bo;
	if (page_flags & TTM_TT_FLAG_EXTERNAL)
		ret = ttm_sg_tt_init(&tt->base, bo, page_flags, ttm_cached);
	else
		ret = ttm_tt_init(&tt->base, bo, page_flags, ttm_cached, 0);
	if (ret) {
		kfree(tt);
		return NULL;
	}
	return &tt->base;
}

static bool sili_tt_external(struct ttm_tt *tt)
{
	return tt->page_flags & TTM_TT_FLAG_EXTERNAL;
}

/* As a whole: behind an IOMMU pages from anywhere lie side by side then. */
static int sili_tt_map(struct sili_device *sdev, struct ttm_tt *tt)
{
	struct sg_table *sgt = &to_sili_tt(tt)->sgt;
	dma_addr_t *dma;
	int ret;

	dma = kvmalloc_array(tt->num_pages, sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return -ENOMEM;
	ret = sg_alloc_table_from_pages(sgt, tt->pages, tt->num_pages, 0,
					(u64)tt->num_pages << PAGE_SHIFT, GFP_KERNEL);
	if (ret)
		goto free_dma;
	ret = dma_map_sgtable(sdev->drm.dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (ret)
		goto free_sgt;
	drm_prime_sg_to_dma_addr_array(sgt, dma, tt->num_pages);
	tt->dma_address = dma;
	return 0;
free_sgt:
	sg_free_table(sgt);
free_dma:
	kvfree(dma);
	return ret;
}

/*
 * sili_tt_unmap() - take pages away from the device, which uses them no more
 *
 * Those of an imported buffer go back to their owner.
 */
void sili_tt_unmap(struct ttm_tt *tt)
{
	struct sili_tt *stt = to_sili_tt(tt);
	struct drm_gem_object *gem = &stt->bo->base;

	if (gem_to_sili_bo(gem)->user) {
		sili_user_unpopulate(gem_to_sili_bo(gem));
	} else if (sili_tt_external(tt)) {
		if (gem->import_attach && tt->sg)
			dma_buf_unmap_attachment(gem->import_attach, tt->sg, DMA_BIDIRECTIONAL);
		stt->bo->sg = NULL;
		tt->sg = NULL;
	} else if (tt->dma_address) {
		dma_unmap_sgtable(gem->dev->dev, &stt->sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(&stt->sgt);
		kvfree(tt->dma_address);
		tt->dma_address = NULL;
	}
}

/* Pages that are mapped for the device are on the list that unplugging goes through. */
static int sili_tt_populate(struct ttm_device *ttm, struct ttm_tt *tt,
			    struct ttm_operation_ctx *ctx)
{
	struct sili_device *sdev = ttm_to_sili(ttm);
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	if (sili_tt_external(tt)) {
		/* A process's come and go. */
		ret = tt->sg ? drm_prime_sg_to_dma_addr_array(tt->sg, tt->dma_address,
							      tt->num_pages) : 0;
	} else {
		ret = ttm_pool_alloc(&ttm->pool, tt, ctx);
		if (!ret) {
			ret = sili_tt_map(sdev, tt);
			if (ret)
				ttm_pool_free(&ttm->pool, tt);
		}
	}
	drm_dev_exit(idx);
	return ret;
}

static void sili_tt_unpopulate(struct ttm_device *ttm, struct ttm_tt *tt)
{
	sili_tt_unmap(tt);
	if (!sili_tt_external(tt))
		ttm_pool_free(&ttm->pool, tt);
}

static void sili_tt_destroy(struct ttm_device *ttm, struct ttm_tt *tt)
{
	ttm_tt_fini(tt);
	kfree(to_sili_tt(tt));
}

/*
 * What has to leave HBM goes to the bounded system region, and stays there: so
 * users who ask for more than both can hold get -ENOMEM, not the OOM killer.
 */
static bool sili_eviction_valuable(struct ttm_buffer_object *bo, const struct ttm_place *place)
{
	struct ttm_resource_manager *system = ttm_manager_type(bo->bdev, TTM_PL_TT);

	if (bo->resource->mem_type != TTM_PL_VRAM)
		return false;
	if (sili_evict_spared(ttm_to_sili_bo(bo)))
		return false;
	if (ttm_resource_manager_usage(system) + bo->base.size > system->size << PAGE_SHIFT)
		return false;
	return ttm_bo_eviction_valuable(bo, place);
}

static void sili_evict_flags(struct ttm_buffer_object *bo, struct ttm_placement *placement)
{
	static const struct ttm_place system = { .mem_type = TTM_PL_TT };

	/* Without the device there is nothing to save: the pages go. */
	placement->num_placement = drm_dev_is_unplugged(bo->base.dev) ? 0 : 1;
	placement->placement = &system;
}

static int sili_io_mem_reserve(struct ttm_device *ttm, struct ttm_resource *mem)
{
	struct sili_device *sdev = ttm_to_sili(ttm);

	if (mem->mem_type != TTM_PL_VRAM)
		return 0;
	if (!sili_res_visible(mem))
		return -EINVAL;
	mem->bus.offset = sdev->hbm_phys + sili_res_addr(sdev, mem, 0, NULL);
	mem->bus.is_iomem = true;
	mem->bus.caching = ttm_write_combined;
	return 0;
}

static unsigned long sili_io_mem_pfn(struct ttm_buffer_object *bo, unsigned long page)
{
	struct sili_device *sdev = ttm_to_sili(bo->bdev);

	return (sdev->hbm_phys + sili_res_addr(sdev, bo->resource, page, NULL)) >> PAGE_SHIFT;
}

static struct ttm_device_funcs sili_ttm_funcs = {
	.ttm_tt_create = sili_tt_create,
	.ttm_tt_populate = sili_tt_populate,
	.ttm_tt_unpopulate = sili_tt_unpopulate,
	.ttm_tt_destroy = sili_tt_destroy,
	.eviction_valuable = sili_eviction_valuable,
	.evict_flags = sili_evict_flags,
	.move = sili_move,
	.io_mem_reserve = sili_io_mem_reserve,
	.io_mem_pfn = sili_io_mem_pfn,
};

/* The last buffer has gone: buffers live until their files close, unplugged or not. */
static void sili_ttm_release(struct drm_device *drm, void *arg)
{
	ttm_range_man_fini(arg, TTM_PL_TT);
	sili_vram_fini(arg);
	ttm_device_fini(arg);
}

/*
 * sili_ttm_init() - memory regions, from sdev->vram_base to the end of HBM
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_init(struct sili_device *sdev)
{
	int ret;

	ret = ttm_device_init(&sdev->ttm, &sili_ttm_funcs, sdev->drm.dev,
			      sdev->drm.anon_inode->i_mapping, sdev->drm.vma_offset_manager,
			      0);
	if (ret)
		return ret;
	ret = drmm_add_action_or_reset(&sdev->drm, sili_ttm_release, &sdev->ttm);
	if (ret)
		return ret;
	ret = sili_vram_init(&sdev->ttm, sdev->hbm_bytes - sdev->vram_base,
			     sdev->hbm_visible - sdev->vram_base);
	if (ret)
		return ret;
	/* As much as TTM keeps in memory before it swaps. */
	return ttm_range_man_init(&sdev->ttm, TTM_PL_TT, true, totalram_pages() / 2);
}

/*
 * sili_ttm_unplug() - drop what lies in HBM and in mapped system memory
 *
 * Buffers stay, without contents. Nothing is mapped for the device any more.
 */
void sili_ttm_unplug(struct sili_device *sdev)
{
	static const u32 types[] = { TTM_PL_VRAM, TTM_PL_TT };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		struct ttm_resource_manager *man = ttm_manager_type(&sdev->ttm, types[i]);

		/* Probing may have failed before there was one. */
		if (man)
			ttm_resource_manager_evict_all(&sdev->ttm, man);
	}
	sili_prime_unplug(sdev);
}

/*
 * sili_ttm_show() - put a reserved buffer where the CPU can map it
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_show(struct sili_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	struct ttm_place places[2] = {
		{ .mem_type = TTM_PL_VRAM, .lpfn = sili_ttm_visible(sdev) >> PAGE_SHIFT },
		{ .mem_type = TTM_PL_TT },
	};
	struct ttm_placement placement = { .num_placement = 2, .placement = places };

	bo->cpu_used = true;
	if (!bo->base.resource || sili_res_visible(bo->base.resource))
		return 0;
	return ttm_bo_validate(&bo->base, &placement, &ctx);
}

/* Make a buffer visible to the CPU. Not 0: what the fault ends with. */
static vm_fault_t sili_ttm_fault_show(struct ttm_buffer_object *bo)
{
	switch (sili_ttm_show(ttm_to_sili_bo(bo))) {
	case 0:
	case -ENODEV:
		return 0;
	case -ERESTARTSYS:
	case -EINTR:
	case -EAGAIN:
		return VM_FAULT_NOPAGE;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return VM_FAULT_SIGBUS;
	}
}

static vm_fault_t sili_ttm_fault_live(struct vm_fault *vmf, struct ttm_buffer_object *bo)
{
	pgprot_t prot = vmf->vma->vm_page_prot;
	vm_fault_t ret = 0;
	int idx;

	/* It may wait for jobs, so unplugging must not wait for it. */
	if (!drm_dev_is_unplugged(bo->base.dev))
		ret = sili_ttm_fault_show(bo);
	if (ret)
		return ret;
	if (!drm_dev_enter(bo->base.dev, &idx))
		return VM_FAULT_SIGBUS;
	ret = ttm_bo_vm_fault_reserved(vmf, prot, TTM_BO_VM_NUM_PREFAULT);
	drm_dev_exit(idx);
	return ret;
}

/* Whatever fails because the device goes, its processes do not die of it. */
static vm_fault_t sili_ttm_fault_reserved(struct vm_fault *vmf, struct ttm_buffer_object *bo)
{
	vm_fault_t ret = sili_ttm_fault_live(vmf, bo);

	if (ret == VM_FAULT_SIGBUS && drm_dev_is_unplugged(bo->base.dev))
		return ttm_bo_vm_dummy_page(vmf, vmf->vma->vm_page_prot);
	return ret;
}

/*
 * sili_ttm_fault() - map a page of a buffer into a process
 */
vm_fault_t sili_ttm_fault(struct vm_fault *vmf)
{
	struct ttm_buffer_object *bo = vmf->vma->vm_private_data;
	struct sili_device *sdev = to_sili(bo->base.dev);
	vm_fault_t ret;

	if (!sili_fault_enter(sdev))
		return VM_FAULT_NOPAGE;
	ret = ttm_bo_vm_reserve(bo, vmf);
	if (!ret) {
		ret = sili_ttm_fault_reserved(vmf, bo);
		/* With the lock dropped already where it is to be tried again. */
		if (ret != VM_FAULT_RETRY || vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
			dma_resv_unlock(bo->base.resv);
	}
	sili_fault_exit(sdev);
	return ret;
}

/*
 * sili_ttm_evict_hbm() - move all buffers to system memory, the system goes to sleep
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_evict_hbm(struct sili_device *sdev)
{
	return ttm_resource_manager_evict_all(&sdev->ttm,
					      ttm_manager_type(&sdev->ttm, TTM_PL_VRAM));
}

/*
 * Where a buffer may be. With both, HBM while it has room: TTM looks at places
 * that are not a fallback first, and evicts for those alone that are not just
 * desired. What the CPU does not use stays out of the visible part.
 */
static void sili_bo_places(struct sili_bo *bo, struct ttm_place places[2],
			   struct ttm_placement *placement)
{
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	bool both = bo->flags & SILIFLOW_BO_HBM && bo->flags & SILIFLOW_BO_SYSTEM;
	bool shown = bo->flags & SILIFLOW_BO_CPU_VISIBLE || bo->cpu_used;
	u32 n = 0;

	memset(places, 0, 2 * sizeof(*places));
	if (bo->flags & SILIFLOW_BO_HBM) {
		places[n].mem_type = TTM_PL_VRAM;
		places[n].flags = both ? TTM_PL_FLAG_DESIRED : 0;
		if (shown && bo->base.base.size <= sili_ttm_visible(sdev))
			places[n].lpfn = sili_ttm_visible(sdev) >> PAGE_SHIFT;
		else if (sdev->hbm_visible < sdev->hbm_bytes)
			places[n].flags |= TTM_PL_FLAG_TOPDOWN;
		n++;
	}
	if (bo->flags & SILIFLOW_BO_SYSTEM) {
		places[n].mem_type = TTM_PL_TT;
		places[n].flags = both ? TTM_PL_FLAG_FALLBACK : 0;
		n++;
	}
	*placement = (struct ttm_placement){ .num_placement = n, .placement = places };
}

static void sili_bo_destroy(struct ttm_buffer_object *tbo)
{
	struct sili_bo *bo = ttm_to_sili_bo(tbo);

	if (tbo->base.import_attach)
		drm_prime_gem_destroy(&tbo->base, tbo->sg);
	drm_gem_object_release(&tbo->base);
	kfree(bo->user);
	kfree(bo);
}

/**
 * sili_ttm_alloc() - give a new buffer its memory
 * @bo: buffer with flags; freed on error
 * @size: bytes, whole pages
 * @type: as sili_bo_create()
 * @sg: likewise
 * @resv: likewise
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_alloc(struct sili_bo *bo, u64 size, enum ttm_bo_type type, struct sg_table *sg,
		   struct dma_resv *resv)
{
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	u32 align = size >= X1_HUGE_SIZE ? X1_HUGE_SIZE >> PAGE_SHIFT : 1;
	bool kernel = type == ttm_bo_type_kernel;
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct ttm_placement placement;
	struct ttm_place places[2];
	int ret;

	/* The buddy allocator gives no part of a block of such an alignment. */
	if (kernel)
		align = size >> PAGE_SHIFT;
	sili_bo_places(bo, places, &placement);
	ret = ttm_bo_init_reserved(&sdev->ttm, &bo->base, type, &placement, align, &ctx, sg, resv,
				   sili_bo_destroy);
	if (!ret && kernel)
		ttm_bo_pin(&bo->base);
	if (!ret && !resv)
		ttm_bo_unreserve(&bo->base);
	return ret == -ENOSPC ? -ENOMEM : ret;
}

/*
 * sili_ttm_validate() - put a reserved buffer where the device is to use it
 *
 * A buffer that was evicted and finds no room in HBM is used where it is: the
 * device reaches it there, only slower.
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_validate(struct sili_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct ttm_placement placement;
	struct ttm_place places[2];
	int ret;

	/* Another device uses it where it is. */
	if (bo->base.pin_count)
		return 0;
	sili_bo_places(bo, places, &placement);
	ret = ttm_bo_validate(&bo->base, &placement, &ctx);
	if ((ret == -ENOMEM || ret == -ENOSPC) && bo->base.resource &&
	    bo->base.resource->mem_type == TTM_PL_TT)
		ret = 0;
	return ret == -ENOSPC ? -ENOMEM : ret;
}

/*
 * sili_ttm_to_system() - put a reserved buffer into system memory
 *
 * Return: 0 or a negative errno.
 */
int sili_ttm_to_system(struct sili_bo *bo)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	static const struct ttm_place system = { .mem_type = TTM_PL_TT };
	struct ttm_placement placement = { .num_placement = 1, .placement = &system };

	return ttm_bo_validate(&bo->base, &placement, &ctx);
}

/*
 * sili_bo_in_hbm() - is a reserved buffer in HBM?
 */
bool sili_bo_in_hbm(struct sili_bo *bo)
{
	return bo->base.resource && bo->base.resource->mem_type == TTM_PL_VRAM;
}

static struct ttm_resource_manager *sili_manager(struct sili_device *sdev, u32 flag)
{
	return ttm_manager_type(&sdev->ttm, flag == SILIFLOW_BO_HBM ? TTM_PL_VRAM : TTM_PL_TT);
}

/*
 * sili_ttm_used() - bytes in use of a region, SILIFLOW_BO_HBM or SILIFLOW_BO_SYSTEM
 */
u64 sili_ttm_used(struct sili_device *sdev, u32 flag)
{
	return ttm_resource_manager_usage(sili_manager(sdev, flag));
}

/*
 * sili_ttm_size() - bytes of a region
 */
u64 sili_ttm_size(struct sili_device *sdev, u32 flag)
{
	struct ttm_resource_manager *man = sili_manager(sdev, flag);

	return flag == SILIFLOW_BO_HBM ? man->size : man->size << PAGE_SHIFT;
}

/*
 * sili_ttm_visible() - bytes of HBM for buffers that the CPU can map
 */
u64 sili_ttm_visible(struct sili_device *sdev)
{
	return sdev->hbm_visible - sdev->vram_base;
}
