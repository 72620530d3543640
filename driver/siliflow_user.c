// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a process, mapped in a VM: a buffer without a handle, of this one VM,
 * over whatever pages the process has at an address. They are not pinned. Before
 * the process loses one (it unmaps or remaps it, forks, or memory is short), the
 * notifier has the VM's jobs end, the entries cleared and INVALIDATE completed;
 * the VM's next job gets what is there then.
 *
 * The notifier runs wherever memory is reclaimed. So under vm->user_lock, and
 * table_lock inside it, nothing allocates or takes mmap_lock or a reservation.
 * user_lock is held from the look whether pages are still the process's until
 * entries or a fence, which the notifier clears or waits for, stand for their use.
 */
#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"
#include "siliflow_user.h"

/* Who waits for jobs that long looks whether the device is about to go. */
#define SILI_USER_WAIT		(5 * HZ)

/** struct sili_user - what makes a buffer one over a process's pages */
struct sili_user {
	struct mmu_interval_notifier notifier;
	struct sili_bo *bo;
	/** @vm: that maps it; alive while @listening */
	struct sili_vm *vm;
	bool write;
	/** @listening: there is a notifier; under the buffer's reservation */
	bool listening;
	/** @vm_bo: its place in @vm; under vm->user_lock */
	struct sili_vm_bo *vm_bo;
	/** @valid: its pages are the process's, and mapped for the device; likewise */
	bool valid;
	/** @stale: there are entries for pages that it has no more; likewise */
	bool stale;
};

static enum dma_data_direction sili_user_dir(struct sili_user *user)
{
	return user->write ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

/* ---- pages ---- */

static void sili_user_unmap_pages(struct sili_user *user, u32 num)
{
	struct ttm_tt *tt = user->bo->base.ttm;
	struct device *dev = user->bo->base.base.dev->dev;

	while (num--)
		dma_unmap_page(dev, tt->dma_address[num], PAGE_SIZE, sili_user_dir(user));
}

static int sili_user_map_pages(struct sili_user *user, const struct sili_user_pages *pages)
{
	struct ttm_tt *tt = user->bo->base.ttm;
	struct device *dev = user->bo->base.base.dev->dev;
	u32 i;

	for (i = 0; i < tt->num_pages; i++) {
		tt->dma_address[i] = dma_map_page(dev, hmm_pfn_to_page(pages->pfns[i]), 0,
						  PAGE_SIZE, sili_user_dir(user));
		if (dma_mapping_error(dev, tt->dma_address[i])) {
			sili_user_unmap_pages(user, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/* The pages are no longer the device's, which does not use them. */
static void sili_user_drop(struct sili_user *user)
{
	if (user->valid)
		sili_user_unmap_pages(user, user->bo->base.ttm->num_pages);
	user->valid = false;
}

/**
 * sili_user_get_pages() - what the process has at the address now
 * @user: memory; nothing is held that the notifier or a page fault may need
 * @pages: filled in; sili_user_put_pages() is due
 *
 * Return: 0, -EFAULT where it has not all that is asked for, or -ENOMEM.
 */
int sili_user_get_pages(struct sili_user *user, struct sili_user_pages *pages)
{
	u64 start = user->notifier.interval_tree.start;
	u64 size = user->bo->base.base.size;
	struct mm_struct *mm = user->notifier.mm;
	struct hmm_range range = {
		.notifier = &user->notifier,
		.start = start,
		.end = start + size,
		.default_flags = HMM_PFN_REQ_FAULT | (user->write ? HMM_PFN_REQ_WRITE : 0),
	};
	int ret;

	if (!pages->pfns)
		pages->pfns = kvmalloc_array(size >> PAGE_SHIFT, sizeof(*pages->pfns), GFP_KERNEL);
	if (!pages->pfns)
		return -ENOMEM;
	if (!mmget_not_zero(mm))
		return -EFAULT;
	range.hmm_pfns = pages->pfns;
	do {
		range.notifier_seq = mmu_interval_read_begin(&user->notifier);
		mmap_read_lock(mm);
		ret = hmm_range_fault(&range);
		mmap_read_unlock(mm);
		if (ret == -EBUSY && signal_pending(current))
			ret = -ERESTARTSYS;
	} while (ret == -EBUSY);
	mmput(mm);
	pages->seq = range.notifier_seq;
	return ret == -EPERM ? -EFAULT : ret;
}

void sili_user_put_pages(struct sili_user_pages *pages)
{
	kvfree(pages->pfns);
	pages->pfns = NULL;
}

static void sili_user_unlist(struct sili_user *user)
{
	mutex_lock(&user->vm->table_lock);
	list_del_init(&user->vm_bo->evict_link);
	mutex_unlock(&user->vm->table_lock);
}

/**
 * sili_user_take() - map pages for the device, if they are still the process's
 * @user: memory, reserved; vm->user_lock held
 * @vm_bo: its place in the VM
 * @pages: from sili_user_get_pages()
 *
 * On success entries may be written until vm->user_lock is dropped, and hold
 * until the notifier clears them.
 *
 * Return: 0, -EAGAIN where others have to be got, or -ENOMEM.
 */
int sili_user_take(struct sili_user *user, struct drm_gpuvm_bo *vm_bo,
		   const struct sili_user_pages *pages)
{
	int ret;

	lockdep_assert_held(&user->vm->user_lock);
	user->vm_bo = to_sili_vm_bo(vm_bo);
	if (mmu_interval_read_retry(&user->notifier, pages->seq))
		return -EAGAIN;
	if (!user->bo->base.ttm)
		return -ENODEV;
	if (!user->valid) {
		ret = sili_user_map_pages(user, pages);
		if (ret)
			return ret;
	}
	user->valid = true;
	sili_user_unlist(user);
	return 0;
}

/* ---- notifier ---- */

/* No job of the VM uses anything. */
static void sili_user_wait_jobs(struct sili_vm *vm)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);

	while (!dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, false, SILI_USER_WAIT)) {
		/* Unplugging ends jobs that hang, but may wait for who reclaims memory here. */
		if (!drm_dev_is_unplugged(&vm->sdev->drm) || completion_done(&vm->sdev->halted))
			continue;
		sili_copy_lost(vm->sdev);
		sili_reset_halt(vm->sdev);
		return;
	}
}

/* @live: the device can be accessed. Else entries stay, which no job uses: none is begun. */
static void sili_user_revoke(struct sili_user *user, bool live)
{
	struct sili_vm *vm = user->vm;

	mutex_lock(&vm->table_lock);
	list_move_tail(&user->vm_bo->evict_link, &vm->revoked);
	mutex_unlock(&vm->table_lock);
	sili_user_wait_jobs(vm);
	if (live)
		sili_vm_bo_clear(vm, &user->vm_bo->base);
	user->stale = !live;
	sili_user_drop(user);
}

static bool sili_user_invalidate(struct mmu_interval_notifier *notifier,
				 const struct mmu_notifier_range *range, unsigned long seq)
{
	struct sili_user *user = container_of(notifier, struct sili_user, notifier);
	struct sili_device *sdev = user->vm->sdev;
	atomic_t *gate;

	if (!mmu_notifier_range_blockable(range))
		return false;
	gate = sili_gate_join(sdev);
	mutex_lock(&user->vm->user_lock);
	mmu_interval_set_seq(notifier, seq);
	if (user->valid)
		sili_user_revoke(user, gate);
	mutex_unlock(&user->vm->user_lock);
	if (gate)
		sili_gate_leave(sdev, gate);
	return true;
}

static const struct mmu_interval_notifier_ops sili_user_ops = {
	.invalidate = sili_user_invalidate,
};

/* ---- life ---- */

/**
 * sili_user_create() - a buffer over memory of the calling process
 * @vm: that is to map it
 * @addr: of the process, whole pages
 * @size: bytes, whole pages
 * @write: the device may write
 *
 * Return: the buffer, or -EFAULT for addresses that no process has, -ENOMEM.
 */
struct drm_gem_object *sili_user_create(struct sili_vm *vm, u64 addr, u64 size, bool write)
{
	struct sili_user *user;
	struct sili_bo *bo;
	int ret;

	if (!access_ok((void __user *)(uintptr_t)addr, size))
		return ERR_PTR(-EFAULT);
	if (size > sili_ttm_size(vm->sdev, SILIFLOW_BO_SYSTEM))
		return ERR_PTR(-ENOMEM);
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	bo = sili_bo_create(vm->sdev, size, SILIFLOW_BO_SYSTEM, ttm_bo_type_sg, NULL, NULL);
	if (IS_ERR(bo)) {
		kfree(user);
		return ERR_CAST(bo);
	}
	user->bo = bo;
	user->vm = vm;
	user->write = write;
	bo->user = user;
	ret = mmu_interval_notifier_insert(&user->notifier, current->mm, addr, size,
					   &sili_user_ops);
	if (ret) {
		drm_gem_object_put(&bo->base.base);
		return ERR_PTR(ret);
	}
	user->listening = true;
	return &bo->base.base;
}

/**
 * sili_user_stop() - nothing maps the memory any more, or ever did
 * @bo: any buffer, reserved
 */
void sili_user_stop(struct sili_bo *bo)
{
	struct sili_user *user = bo->user;

	if (!user || !user->listening)
		return;
	dma_resv_assert_held(bo->base.base.resv);
	mmu_interval_notifier_remove(&user->notifier);
	user->listening = false;
}

/*
 * sili_user_unpopulate() - TTM takes a buffer's pages away; reserved
 */
void sili_user_unpopulate(struct sili_bo *bo)
{
	struct sili_user *user = bo->user;

	/* Without a notifier there may be no VM any more, and nobody else. */
	if (!user->listening) {
		sili_user_drop(user);
		return;
	}
	mutex_lock(&user->vm->user_lock);
	sili_user_drop(user);
	mutex_unlock(&user->vm->user_lock);
}

/* ---- getting it back ---- */

/* Write all entries, of pages that have been got. */
static int sili_user_rebind(struct sili_user *user, struct drm_gpuvm_bo *vm_bo,
			    const struct sili_user_pages *pages)
{
	struct sili_vm *vm = user->vm;
	struct sili_pt_update up;
	u64 spare = 0, dead = 0;
	struct drm_gpuva *va;
	int ret;

	drm_gpuvm_bo_for_each_va(va, vm_bo)
		sili_pt_need(user->bo, va->va.addr, va->va.range, va->gem.offset, &spare, &dead);
	ret = sili_pt_prepare(vm->sdev, &up, spare, dead);
	if (ret)
		return ret;
	mutex_lock(&vm->user_lock);
	ret = sili_user_take(user, vm_bo, pages);
	if (!ret) {
		mutex_lock(&vm->table_lock);
		drm_gpuvm_bo_for_each_va(va, vm_bo)
			sili_pt_map(vm, &up, va->va.addr, va->va.range, user->bo, va->gem.offset,
				    to_sili_va(va)->flags);
		/* Tables that 2 MiB pages have replaced, or entries. */
		if (up.num_dead || user->stale)
			sili_mmu_invalidate_live(vm->sdev, vm->id, 0, 0);
		user->stale = false;
		mutex_unlock(&vm->table_lock);
	}
	mutex_unlock(&vm->user_lock);
	sili_pt_finish(vm->sdev, &up);
	return ret;
}

/* What the process has no more the device has no more, either. */
static void sili_user_forget(struct sili_user *user)
{
	mutex_lock(&user->vm->user_lock);
	if (!user->valid) {
		if (user->stale)
			sili_vm_bo_clear(user->vm, &user->vm_bo->base);
		user->stale = false;
		sili_user_unlist(user);
	}
	mutex_unlock(&user->vm->user_lock);
}

static int sili_user_restore_one(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo)
{
	struct drm_gem_object *gem = vm_bo->obj;
	struct sili_user *user = gem_to_sili_bo(gem)->user;
	struct sili_user_pages pages = {};
	int idx, ret;

	ret = sili_user_get_pages(user, &pages);
	dma_resv_lock(gem->resv, NULL);
	if (ret == -EFAULT) {
		sili_user_forget(user);
		ret = 0;
	} else if (!ret && drm_dev_enter(&vm->sdev->drm, &idx)) {
		ret = sili_user_rebind(user, vm_bo, &pages);
		drm_dev_exit(idx);
	} else if (!ret) {
		ret = -ENODEV;
	}
	drm_gpuvm_bo_put(vm_bo);
	dma_resv_unlock(gem->resv);
	drm_gem_object_put(gem);
	sili_user_put_pages(&pages);
	return ret;
}

/**
 * sili_user_restore() - get back what notifiers have revoked in a VM
 * @vm: address space; nothing is held that a notifier or a page fault may need
 *
 * Return: 0 or a negative errno.
 */
int sili_user_restore(struct sili_vm *vm)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret = 0;

	while (!ret && (vm_bo = sili_vm_bo_first(vm, &vm->revoked))) {
		if (IS_ERR(vm_bo))
			continue;
		ret = sili_user_restore_one(vm, vm_bo);
		if (ret == -EAGAIN)
			ret = signal_pending(current) ? -ERESTARTSYS : 0;
	}
	return ret;
}
