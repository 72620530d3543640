// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that are shared with other devices, as dma-bufs.
 *
 * Exported: a buffer that another device uses is pinned in system memory; there
 * is no peer-to-peer access to HBM. Imported: its pages are somebody else's, and
 * mapped for this device as long as the device is there.
 *
 * Who uses a shared buffer elsewhere knows nothing of our VMs, so the fences of
 * jobs go to its own reservation, too: as writers, since nobody looks into jobs.
 * For that each VM has a list of the shared buffers that it maps.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>

#include <drm/drm_exec.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_prime.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"

/* ---- fences ---- */

/**
 * sili_shared_link() - a VM maps a buffer that may be shared
 * @vm: address space
 * @vm_bo: buffer in it, reserved
 *
 * From now on its jobs leave their fences in the buffer's reservation.
 */
void sili_shared_link(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo)
{
	struct sili_vm_bo *entry = to_sili_vm_bo(vm_bo);

	/* No fence comes out of what user queues run. */
	if (!gem_to_sili_bo(vm_bo->obj)->shared || vm->long_running)
		return;
	mutex_lock(&vm->table_lock);
	if (list_empty(&entry->shared_link)) {
		list_add_tail(&entry->shared_link, &vm->shared);
		vm->num_shared++;
		vm->shared_gen++;
	}
	mutex_unlock(&vm->table_lock);
}

/*
 * sili_shared_unlink() - undo it; table_lock held
 */
void sili_shared_unlink(struct sili_vm *vm, struct sili_vm_bo *entry)
{
	lockdep_assert_held(&vm->table_lock);
	if (list_empty(&entry->shared_link))
		return;
	list_del_init(&entry->shared_link);
	vm->num_shared--;
	vm->shared_gen++;
}

/* The shared buffers of a VM, with references; returns the list's generation. */
static u32 sili_shared_get(struct sili_vm *vm, struct drm_gem_object **gems, u32 *num)
{
	struct sili_vm_bo *entry;
	u32 gen, room = *num;

	mutex_lock(&vm->table_lock);
	gen = vm->shared_gen;
	*num = vm->num_shared;
	if (*num <= room) {
		list_for_each_entry(entry, &vm->shared, shared_link) {
			*gems = entry->base.obj;
			drm_gem_object_get(*gems++);
		}
	}
	mutex_unlock(&vm->table_lock);
	return gen;
}

static void sili_shared_put(struct drm_gem_object **gems, u32 num)
{
	while (num)
		drm_gem_object_put(gems[--num]);
	kvfree(gems);
}

static int sili_shared_lock_all(struct sili_vm *vm, struct drm_exec *exec,
				struct drm_gem_object **gems, u32 num)
{
	int ret;
	u32 i;

	drm_exec_init(exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, num + 1);
	drm_exec_until_all_locked(exec) {
		ret = drm_exec_prepare_obj(exec, vm->base.r_obj, 1);
		for (i = 0; i < num && !ret; i++)
			ret = drm_exec_prepare_obj(exec, gems[i], 1);
		drm_exec_retry_on_contention(exec);
		if (ret)
			break;
	}
	if (ret)
		drm_exec_fini(exec);
	return ret;
}

/**
 * sili_shared_lock() - reserve a VM and its shared buffers, with room for a fence
 * @vm: address space
 * @exec: to be ended where 0 is returned
 * @gen: of the list that was reserved
 *
 * Return: 0 or a negative errno.
 */
int sili_shared_lock(struct sili_vm *vm, struct drm_exec *exec, u32 *gen)
{
	u32 num = READ_ONCE(vm->num_shared), room;
	struct drm_gem_object **gems;
	int ret;

	for (;;) {
		room = num;
		gems = kvmalloc_array(room ?: 1, sizeof(*gems), GFP_KERNEL);
		if (!gems)
			return -ENOMEM;
		*gen = sili_shared_get(vm, gems, &num);
		if (num <= room)
			break;
		kvfree(gems);
	}
	ret = sili_shared_lock_all(vm, exec, gems, num);
	/* Who is reserved is kept by that. */
	sili_shared_put(gems, num);
	return ret;
}

/*
 * sili_shared_fence() - a job's fence goes to all that sili_shared_lock() has reserved
 */
void sili_shared_fence(struct sili_vm *vm, struct drm_exec *exec, struct dma_fence *fence)
{
	struct drm_gem_object *gem;

	drm_exec_for_each_locked_object(exec, gem)
		if (gem != vm->base.r_obj)
			dma_resv_add_fence(gem->resv, fence, DMA_RESV_USAGE_WRITE);
}

/* What a VM runs already: each fence by itself, a reservation takes no array of them. */
static int sili_shared_catch_up(struct drm_gem_object *gem, struct drm_gpuvm_bo *vm_bo)
{
	struct dma_fence **fences;
	unsigned int num;
	int ret;

	if (to_sili_vm(vm_bo->vm)->long_running)
		return 0;
	ret = dma_resv_get_fences(drm_gpuvm_resv(vm_bo->vm), DMA_RESV_USAGE_BOOKKEEP, &num,
				  &fences);
	if (ret || !num)
		return ret;
	ret = dma_resv_reserve_fences(gem->resv, num);
	while (num--) {
		if (!ret)
			dma_resv_add_fence(gem->resv, fences[num], DMA_RESV_USAGE_WRITE);
		dma_fence_put(fences[num]);
	}
	kfree(fences);
	return ret;
}

/* From now on others see what uses a buffer. */
static int sili_share(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret;

	ret = dma_resv_lock_interruptible(gem->resv, NULL);
	if (ret)
		return ret;
	gem_to_sili_bo(gem)->shared = true;
	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		sili_shared_link(to_sili_vm(vm_bo->vm), vm_bo);
		ret = sili_shared_catch_up(gem, vm_bo);
		if (ret)
			break;
	}
	dma_resv_unlock(gem->resv);
	return ret;
}

/* ---- export ---- */

/*
 * sili_gem_export() - a dma-buf of a buffer
 */
struct dma_buf *sili_gem_export(struct drm_gem_object *gem, int flags)
{
	int ret = sili_share(gem);

	return ret ? ERR_PTR(ret) : drm_gem_prime_export(gem, flags);
}

/*
 * sili_gem_pin() - another device is about to use a reserved buffer
 *
 * Return: 0 or a negative errno.
 */
int sili_gem_pin(struct drm_gem_object *gem)
{
	struct sili_bo *bo = gem_to_sili_bo(gem);
	struct sili_device *sdev = to_sili(gem->dev);
	int ret = sili_ttm_to_system(bo);

	if (ret)
		return ret;
	if (!bo->base.pin_count) {
		mutex_lock(&sdev->pinned_lock);
		list_add_tail(&bo->pinned_link, &sdev->pinned);
		mutex_unlock(&sdev->pinned_lock);
	}
	ttm_bo_pin(&bo->base);
	return 0;
}

/*
 * sili_gem_unpin() - undo it
 */
void sili_gem_unpin(struct drm_gem_object *gem)
{
	struct sili_bo *bo = gem_to_sili_bo(gem);
	struct sili_device *sdev = to_sili(gem->dev);

	ttm_bo_unpin(&bo->base);
	if (bo->base.pin_count)
		return;
	mutex_lock(&sdev->pinned_lock);
	list_del_init(&bo->pinned_link);
	mutex_unlock(&sdev->pinned_lock);
}

/*
 * sili_gem_get_sg_table() - the pages of a pinned buffer
 */
struct sg_table *sili_gem_get_sg_table(struct drm_gem_object *gem)
{
	struct ttm_tt *tt = gem_to_sili_bo(gem)->base.ttm;

	return drm_prime_pages_to_sg(gem->dev, tt->pages, tt->num_pages);
}

/* The first of the list, with a reference. */
static struct sili_bo *sili_pinned_next(struct sili_device *sdev)
{
	struct sili_bo *bo;

	mutex_lock(&sdev->pinned_lock);
	bo = list_first_entry_or_null(&sdev->pinned, struct sili_bo, pinned_link);
	if (bo) {
		list_del_init(&bo->pinned_link);
		/* Whoever has it pinned has one. */
		drm_gem_object_get(&bo->base.base);
	}
	mutex_unlock(&sdev->pinned_lock);
	return bo;
}

/*
 * sili_prime_unplug() - buffers that others have pinned stay theirs alone
 */
void sili_prime_unplug(struct sili_device *sdev)
{
	struct sili_bo *bo;

	while ((bo = sili_pinned_next(sdev))) {
		dma_resv_lock(bo->base.base.resv, NULL);
		if (bo->base.ttm)
			sili_tt_unmap(bo->base.ttm);
		dma_resv_unlock(bo->base.base.resv);
		drm_gem_object_put(&bo->base.base);
	}
}

/* ---- import ---- */

/*
 * sili_gem_import() - a buffer for pages of somebody else, mapped for this device
 *
 * Return: the buffer, or an error, and then the caller unmaps them.
 */
struct drm_gem_object *sili_gem_import(struct drm_device *drm, struct dma_buf_attachment *attach,
				       struct sg_table *sgt)
{
	struct sili_device *sdev = to_sili(drm);
	struct dma_buf *dmabuf = attach->dmabuf;
	struct sili_bo *bo;

	if (!dmabuf->size || !IS_ALIGNED(dmabuf->size, X1_PAGE_SIZE))
		return ERR_PTR(-EINVAL);
	if (dmabuf->size > sili_ttm_size(sdev, SILIFLOW_BO_SYSTEM))
		return ERR_PTR(-ENOMEM);
	dma_resv_lock(dmabuf->resv, NULL);
	bo = sili_bo_create(sdev, dmabuf->size, SILIFLOW_BO_SYSTEM, ttm_bo_type_sg, sgt,
			    dmabuf->resv);
	dma_resv_unlock(dmabuf->resv);
	if (IS_ERR(bo)) {
		/* TTM frees it in a work, and its reservation is the dma-buf's. */
		flush_workqueue(sdev->ttm.wq);
		return ERR_CAST(bo);
	}
	bo->shared = true;
	return &bo->base.base;
}

/*
 * sili_gem_mmap() - a process maps a buffer: an imported one as its owner says
 *
 * Return: 0 or a negative errno.
 */
int sili_gem_mmap(struct drm_gem_object *gem, struct vm_area_struct *vma)
{
	int ret;

	if (!gem->import_attach)
		return drm_gem_ttm_mmap(gem, vma);
	/* Nothing of ours stays where the owner sets nothing. */
	vma->vm_private_data = NULL;
	vma->vm_ops = NULL;
	vm_flags_set(vma, VM_DONTEXPAND);
	ret = dma_buf_mmap(gem->import_attach->dmabuf, vma, 0);
	/* The mapping holds the dma-buf's file instead. */
	if (!ret)
		drm_gem_object_put(gem);
	return ret;
}

SILI_IMPORT_NS(DMA_BUF);
