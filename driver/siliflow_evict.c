// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that move while address spaces map them.
 *
 * Before a buffer leaves its place, every VM that maps it is told that it has
 * been evicted, the jobs that were queued until then are waited for, the
 * entries are cleared and INVALIDATE has completed. The next job of such a VM
 * first has the buffer put where it belongs and the entries written again.
 *
 * What makes this right without locking every buffer at each submission:
 * vm->table_lock is held while a VM is told, and from the look whether a VM is
 * complete until the fence of the new job is in the VM's reservation. So a job
 * is either seen by who moves the buffer, or sees that it has moved.
 *
 * A buffer that nobody has reserved and that is on the list has no entries.
 */
#include "siliflow.h"
#include "siliflow_user.h"

static int sili_vm_idle(struct sili_vm *vm, struct ttm_operation_ctx *ctx)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);
	long left;

	if (ctx->no_wait_gpu)
		return dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP) ? 0 : -EBUSY;
	left = dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, ctx->interruptible,
				     MAX_SCHEDULE_TIMEOUT);
	return left < 0 ? left : 0;
}

/*
 * sili_vm_bo_clear() - nothing translates to a buffer any more; no job uses it
 */
void sili_vm_bo_clear(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo)
{
	struct sili_pt_update none = {};
	struct drm_gpuva *va;
	int idx;

	/* Without the device nothing reads the tables. */
	if (!drm_dev_enter(&vm->sdev->drm, &idx))
		return;
	mutex_lock(&vm->table_lock);
	/* No 2 MiB page reaches beyond its mapping, so nothing has to be split. */
	drm_gpuvm_bo_for_each_va(va, vm_bo)
		sili_pt_unmap(vm, &none, va->va.addr, va->va.range);
	mutex_unlock(&vm->table_lock);
	drm_dev_exit(idx);
	drm_gpuvm_bo_for_each_va(va, vm_bo)
		sili_mmu_invalidate(vm, va->va.addr, va->va.range);
}

static int sili_vm_bo_evict(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo,
			    struct ttm_operation_ctx *ctx)
{
	struct list_head *link = &to_sili_vm_bo(vm_bo)->evict_link;
	int ret;

	/* Already out of reach. */
	if (!list_empty(link))
		return 0;
	mutex_lock(&vm->table_lock);
	list_add_tail(link, &vm->evicted);
	mutex_unlock(&vm->table_lock);
	ret = sili_vm_idle(vm, ctx);
	if (!ret) {
		sili_vm_bo_clear(vm, vm_bo);
		return 0;
	}
	/* It stays where it is. */
	mutex_lock(&vm->table_lock);
	list_del_init(link);
	mutex_unlock(&vm->table_lock);
	return ret;
}

/**
 * sili_evict_mappings() - make a reserved buffer ready to leave its place
 * @bo: buffer
 * @ctx: how to wait
 *
 * On return the device does not use the buffer, and will not before its
 * mappings have been written again.
 *
 * Return: 0; -EBUSY or -ERESTARTSYS as @ctx says.
 */
int sili_evict_mappings(struct sili_bo *bo, struct ttm_operation_ctx *ctx)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret;

	dma_resv_assert_held(bo->base.base.resv);
	drm_gem_for_each_gpuvm_bo(vm_bo, &bo->base.base) {
		ret = sili_vm_bo_evict(to_sili_vm(vm_bo->vm), vm_bo, ctx);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * sili_evict_spared() - is a reserved buffer one that the caller needs itself?
 *
 * Who gets a VM's buffers back must not evict others of the same VM for them.
 */
bool sili_evict_spared(struct sili_bo *bo)
{
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	struct drm_gpuvm_bo *vm_bo;

	/* Only one's own write of it can be equal. */
	if (READ_ONCE(sdev->rebind_task) != current)
		return false;
	drm_gem_for_each_gpuvm_bo(vm_bo, &bo->base.base)
		if (vm_bo->vm == sdev->rebind_vm)
			return true;
	return false;
}

/* Write the entries of one mapping. */
static int sili_rebind_va(struct sili_vm *vm, struct sili_bo *bo, struct sili_va *va)
{
	u64 addr = va->base.va.addr, range = va->base.va.range, spare = 0, dead = 0;
	struct sili_pt_update up;
	int ret;

	sili_pt_need(bo, addr, range, va->base.gem.offset, &spare, &dead);
	ret = sili_pt_prepare(vm->sdev, &up, spare, dead);
	if (ret)
		return ret;
	mutex_lock(&vm->table_lock);
	sili_pt_map(vm, &up, addr, range, bo, va->base.gem.offset, va->flags);
	/* Tables that 2 MiB pages have replaced. */
	if (up.num_dead)
		sili_mmu_invalidate_live(vm->sdev, vm->id, addr, range);
	mutex_unlock(&vm->table_lock);
	sili_pt_finish(vm->sdev, &up);
	return 0;
}

/* Put a reserved buffer where it belongs and write all its entries. */
static int sili_rebind_bo(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo)
{
	struct sili_bo *bo = gem_to_sili_bo(vm_bo->obj);
	struct drm_gpuva *va;
	int idx, ret;

	ret = sili_ttm_validate(bo);
	if (ret)
		return ret;
	if (!drm_dev_enter(&vm->sdev->drm, &idx))
		return -ENODEV;
	drm_gpuvm_bo_for_each_va(va, vm_bo) {
		ret = sili_rebind_va(vm, bo, to_sili_va(va));
		if (ret)
			break;
	}
	drm_dev_exit(idx);
	if (ret) {
		/* What is on the list has no entries; no job has used them. */
		sili_vm_bo_clear(vm, vm_bo);
		return ret;
	}
	mutex_lock(&vm->table_lock);
	list_del_init(&to_sili_vm_bo(vm_bo)->evict_link);
	mutex_unlock(&vm->table_lock);
	return 0;
}

/**
 * sili_vm_restore() - have a reserved buffer's mappings complete
 * @vm: address space, lock held
 * @gem: buffer, mapped or not
 *
 * Return: 0 or a negative errno; -EAGAIN where sili_user_restore() is due first.
 */
int sili_vm_restore(struct sili_vm *vm, struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo = drm_gpuvm_bo_find(&vm->base, gem);
	int ret = 0;

	if (!vm_bo)
		return 0;
	if (!list_empty(&to_sili_vm_bo(vm_bo)->evict_link))
		ret = gem_to_sili_bo(gem)->user ? -EAGAIN : sili_rebind_bo(vm, vm_bo);
	drm_gpuvm_bo_put(vm_bo);
	return ret;
}

/**
 * sili_vm_bo_first() - the first of vm->evicted or vm->revoked
 * @vm: address space
 * @list: which
 *
 * Return: it, with references to it and to its buffer; NULL when there is none;
 * an error: try again.
 */
struct drm_gpuvm_bo *sili_vm_bo_first(struct sili_vm *vm, struct list_head *list)
{
	struct drm_gpuvm_bo *ret = NULL;
	struct sili_vm_bo *vm_bo;

	mutex_lock(&vm->table_lock);
	vm_bo = list_first_entry_or_null(list, struct sili_vm_bo, evict_link);
	if (vm_bo && kref_get_unless_zero(&vm_bo->base.kref)) {
		drm_gem_object_get(vm_bo->base.obj);
		ret = &vm_bo->base;
	} else if (vm_bo) {
		/* Its last user is about to take it off the list. */
		list_del_init(&vm_bo->evict_link);
		ret = ERR_PTR(-EAGAIN);
	}
	mutex_unlock(&vm->table_lock);
	return ret;
}

static int sili_vm_rebind(struct sili_vm *vm)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret = 0;

	lockdep_assert_held(&vm->sdev->rebind_lock);
	vm->sdev->rebind_vm = &vm->base;
	WRITE_ONCE(vm->sdev->rebind_task, current);
	while (!ret && (vm_bo = sili_vm_bo_first(vm, &vm->evicted))) {
		struct drm_gem_object *gem;

		if (IS_ERR(vm_bo))
			continue;
		gem = vm_bo->obj;
		dma_resv_lock(gem->resv, NULL);
		/* Whoever had it reserved may have left it where it was. */
		if (!list_empty(&to_sili_vm_bo(vm_bo)->evict_link))
			ret = sili_rebind_bo(vm, vm_bo);
		drm_gpuvm_bo_put(vm_bo);
		ttm_bo_unreserve(&gem_to_sili_bo(gem)->base);
		drm_gem_object_put(gem);
	}
	WRITE_ONCE(vm->sdev->rebind_task, NULL);
	return ret;
}

/* Reserve what the fences of jobs go to. */
static int sili_vm_reserve(struct sili_vm *vm, struct sili_vm_jobs *jobs, u32 *gen)
{
	struct dma_resv *resv = drm_gpuvm_resv(&vm->base);
	int ret;

	jobs->shared = READ_ONCE(vm->num_shared);
	if (jobs->shared)
		return sili_shared_lock(vm, &jobs->exec, gen);
	*gen = READ_ONCE(vm->shared_gen);
	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		dma_resv_unlock(resv);
	return ret;
}

static void sili_vm_unreserve(struct sili_vm *vm, struct sili_vm_jobs *jobs)
{
	if (jobs->shared)
		drm_exec_fini(&jobs->exec);
	else
		dma_resv_unlock(drm_gpuvm_resv(&vm->base));
}

/* Is the VM complete, and all reserved that its jobs' fences go to? */
static bool sili_vm_complete(struct sili_vm *vm, const struct sili_vm_jobs *jobs, u32 gen)
{
	lockdep_assert_held(&vm->table_lock);
	return list_empty(&vm->evicted) && list_empty(&vm->revoked) && vm->shared_gen == gen &&
	       jobs->shared == !list_empty(&vm->shared);
}

/* @rebinding: rebind_lock is held; others evict what this one gets back only until it is. */
static int sili_vm_complete_again(struct sili_vm *vm, bool *rebinding)
{
	int ret;

	/* A process's page fault may last. */
	if (!list_empty(&vm->revoked)) {
		if (*rebinding)
			mutex_unlock(&vm->sdev->rebind_lock);
		*rebinding = false;
		ret = sili_user_restore(vm);
		if (ret)
			return ret;
	}
	if (!*rebinding) {
		ret = mutex_lock_interruptible(&vm->sdev->rebind_lock);
		if (ret)
			return ret;
		*rebinding = true;
	}
	return sili_vm_rebind(vm);
}

/**
 * sili_vm_begin_jobs() - have a VM complete, and keep it so
 * @vm: address space
 * @jobs: filled in
 *
 * On success vm's reservation and those of its shared buffers, with room for a
 * fence, and vm->table_lock are held until sili_vm_end_jobs(): a fence that is
 * added until then keeps the VM's buffers where they are.
 *
 * Return: 0 or a negative errno.
 */
int sili_vm_begin_jobs(struct sili_vm *vm, struct sili_vm_jobs *jobs)
{
	bool rebinding = false;
	u32 gen;
	int ret;

	for (;;) {
		ret = sili_vm_reserve(vm, jobs, &gen);
		if (ret)
			break;
		mutex_lock(&vm->table_lock);
		if (sili_vm_complete(vm, jobs, gen))
			break;
		sili_vm_end_jobs(vm, jobs);
		ret = sili_vm_complete_again(vm, &rebinding);
		if (ret)
			break;
	}
	if (rebinding)
		mutex_unlock(&vm->sdev->rebind_lock);
	return ret;
}

/*
 * sili_vm_add_fence() - who wants to move a buffer waits for it
 *
 * Between sili_vm_begin_jobs() and sili_vm_end_jobs(); of one context, each
 * replaces the one before it.
 */
void sili_vm_add_fence(struct sili_vm *vm, struct sili_vm_jobs *jobs, struct dma_fence *fence)
{
	dma_resv_add_fence(drm_gpuvm_resv(&vm->base), fence, DMA_RESV_USAGE_BOOKKEEP);
	if (jobs->shared)
		sili_shared_fence(vm, &jobs->exec, fence);
}

/*
 * sili_vm_end_jobs() - undo sili_vm_begin_jobs()
 */
void sili_vm_end_jobs(struct sili_vm *vm, struct sili_vm_jobs *jobs)
{
	mutex_unlock(&vm->table_lock);
	sili_vm_unreserve(vm, jobs);
}
