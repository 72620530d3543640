// SPDX-License-Identifier: GPL-2.0-only
/* Buffers: GEM objects on TTM, and their ioctls. */
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_utils.h>
#include <drm/drm_vma_manager.h>

#include "siliflow.h"

static void sili_gem_free(struct drm_gem_object *gem)
{
	struct ttm_buffer_object *bo = &gem_to_sili_bo(gem)->base;

	if (bo->type == ttm_bo_type_kernel) {
		dma_resv_lock(gem->resv, NULL);
		ttm_bo_unpin(bo);
		dma_resv_unlock(gem->resv);
	}
	ttm_bo_fini(bo);
}

static const struct vm_operations_struct sili_vm_ops = {
	.fault = sili_ttm_fault,
	.open = ttm_bo_vm_open,
	.close = ttm_bo_vm_close,
};

static const struct drm_gem_object_funcs sili_gem_funcs = {
	.free = sili_gem_free,
	.print_info = drm_gem_ttm_print_info,
	.export = sili_gem_export,
	.pin = sili_gem_pin,
	.unpin = sili_gem_unpin,
	.get_sg_table = sili_gem_get_sg_table,
	.mmap = sili_gem_mmap,
	.vm_ops = &sili_vm_ops,
};

/**
 * sili_bo_create() - new buffer
 * @sdev: device
 * @size: bytes, whole pages
 * @flags: SILIFLOW_BO_*
 * @type: ttm_bo_type_device for new pages, zeroed; ttm_bo_type_sg for somebody else's;
 *	ttm_bo_type_kernel as the first, a power of two of them side by side, pinned
 * @sg: such pages, mapped for the device, or NULL
 * @resv: reservation of such pages, held, or NULL for one of its own
 *
 * Return: the buffer, or a negative errno.
 */
struct sili_bo *sili_bo_create(struct sili_device *sdev, u64 size, u32 flags,
			       enum ttm_bo_type type, struct sg_table *sg, struct dma_resv *resv)
{
	struct sili_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL);
	int ret;

	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->flags = flags;
	INIT_LIST_HEAD(&bo->pinned_link);
	bo->base.base.funcs = &sili_gem_funcs;
	bo->base.base.resv = resv;
	drm_gem_private_object_init(&sdev->drm, &bo->base.base, size);
	ret = sili_ttm_alloc(bo, size, type, sg, resv);
	return ret ? ERR_PTR(ret) : bo;
}

/* Largest buffer that one of the placements can ever hold. */
static u64 sili_bo_max(struct sili_device *sdev, u32 flags)
{
	u64 max = 0;

	if (flags & SILIFLOW_BO_HBM)
		max = flags & SILIFLOW_BO_CPU_VISIBLE ? sili_ttm_visible(sdev) :
							sili_ttm_size(sdev, SILIFLOW_BO_HBM);
	if (flags & SILIFLOW_BO_SYSTEM)
		max = max(max, sili_ttm_size(sdev, SILIFLOW_BO_SYSTEM));
	return max;
}

static int sili_bo_new(struct sili_device *sdev, struct drm_file *file,
		       struct drm_siliflow_bo_create *args)
{
	u64 max = sili_bo_max(sdev, args->flags);
	struct sili_bo *bo;
	u64 size;
	int ret;

	if (args->size > max)
		return -E2BIG;
	size = ALIGN(args->size, args->size >= X1_HUGE_SIZE ? X1_HUGE_SIZE : X1_PAGE_SIZE);
	if (size > max)
		return -E2BIG;
	bo = sili_bo_create(sdev, size, args->flags, ttm_bo_type_device, NULL, NULL);
	if (IS_ERR(bo))
		return PTR_ERR(bo);
	ret = drm_gem_handle_create(file, &bo->base.base, &args->handle);
	drm_gem_object_put(&bo->base.base);
	if (!ret)
		args->size = size;
	return ret;
}

int sili_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_bo_create *args = data;

	if (!args->size || args->pad || args->flags & ~SILIFLOW_BO_FLAGS ||
	    !(args->flags & (SILIFLOW_BO_HBM | SILIFLOW_BO_SYSTEM)))
		return -EINVAL;
	/* It may wait for jobs, so unplugging must not wait for it. */
	return sili_bo_new(to_sili(drm), file, args);
}

int sili_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_bo_mmap_offset *args = data;
	struct drm_gem_object *gem;

	if (args->pad)
		return -EINVAL;
	gem = drm_gem_object_lookup(file, args->handle);
	if (!gem)
		return -ENOENT;
	args->offset = drm_vma_node_offset_addr(&gem->vma_node);
	drm_gem_object_put(gem);
	return 0;
}

int sili_ioctl_bo_info(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_bo_info *args = data;
	struct drm_gem_object *gem;
	struct sili_bo *bo;

	if (args->pad)
		return -EINVAL;
	gem = drm_gem_object_lookup(file, args->handle);
	if (!gem)
		return -ENOENT;
	bo = gem_to_sili_bo(gem);
	args->flags = bo->flags;
	args->size = gem->size;
	dma_resv_lock(gem->resv, NULL);
	args->placement = sili_bo_in_hbm(bo) ? SILIFLOW_BO_HBM : SILIFLOW_BO_SYSTEM;
	dma_resv_unlock(gem->resv);
	drm_gem_object_put(gem);
	return 0;
}

/*
 * Jobs leave their fences in the reservation of the VM alone: what uses a
 * buffer is what the VMs that map it run. Returns the number of fences.
 */
static int sili_bo_fences(struct sili_bo *bo, struct dma_fence ***fences)
{
	struct drm_gem_object *gem = &bo->base.base;
	struct drm_gpuvm_bo *vm_bo;
	int n = 0, ret;

	*fences = NULL;
	ret = dma_resv_lock_interruptible(gem->resv, NULL);
	if (ret)
		return ret;
	drm_gem_for_each_gpuvm_bo(vm_bo, gem)
		n++;
	if (n)
		*fences = kcalloc(n, sizeof(**fences), GFP_KERNEL);
	if (n && !*fences)
		ret = -ENOMEM;
	n = 0;
	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		/* What user queues do has no fence; a preempt fence is none of it. */
		if (to_sili_vm(vm_bo->vm)->long_running)
			continue;
		if (!ret)
			ret = dma_resv_get_singleton(drm_gpuvm_resv(vm_bo->vm),
						     DMA_RESV_USAGE_BOOKKEEP, &(*fences)[n]);
		if (!ret && (*fences)[n])
			n++;
	}
	dma_resv_unlock(gem->resv);
	if (!ret)
		return n;
	while (n--)
		dma_fence_put((*fences)[n]);
	kfree(*fences);
	return ret;
}

/* As dma_resv_wait_timeout(). */
static long sili_bo_wait(struct sili_bo *bo, long timeout)
{
	struct dma_fence **fences;
	long left = timeout;
	int i, n;

	n = sili_bo_fences(bo, &fences);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		/* A poll gets 1 for what has ended, a wait what is left. */
		if (!i || left > 0)
			left = dma_fence_wait_timeout(fences[i], true, timeout ? left : 0);
		dma_fence_put(fences[i]);
	}
	kfree(fences);
	if (!n || left > 0)
		left = dma_resv_wait_timeout(bo->base.base.resv, DMA_RESV_USAGE_BOOKKEEP, true,
					     timeout ? left : 0);
	return left;
}

int sili_ioctl_bo_wait(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_bo_wait *args = data;
	struct drm_gem_object *gem;
	long left, timeout;

	if (args->pad)
		return -EINVAL;
	timeout = args->timeout_ns < 0 ? MAX_SCHEDULE_TIMEOUT :
					 drm_timeout_abs_to_jiffies(args->timeout_ns);
	gem = drm_gem_object_lookup(file, args->handle);
	if (!gem)
		return -ENOENT;
	left = sili_bo_wait(gem_to_sili_bo(gem), timeout);
	drm_gem_object_put(gem);
	if (left < 0)
		return left;
	return left ? 0 : -ETIME;
}
