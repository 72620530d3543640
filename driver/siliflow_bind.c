// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM_BIND. A bind checks all its operations and takes everything that they
 * need; from then on nothing can fail, so it is all or nothing. The reservations
 * of all buffers that it maps or unmaps are held meanwhile, so that none moves.
 *
 * What drm_gpuvm keeps changes at once. The page tables follow at once, too, or,
 * of an asynchronous bind, when a scheduler brings it: in the order of the calls,
 * for each VM is an entity. The fence of such a bind is in the VM's reservation,
 * so who wants to move one of its buffers waits for it; and none of them is
 * evicted when it is queued. So whatever has to write the entries of a buffer
 * again never sees one that is still to come or to go.
 *
 * Writing the tables is part of signalling a fence: nothing there allocates, or
 * takes a lock under which somebody does.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include <drm/drm_managed.h>

#include "siliflow.h"
#include "siliflow_sync.h"
#include "siliflow_trace.h"
#include "siliflow_user.h"

/* Mappings that an operation can make: the new one and what is left of old ones. */
#define SILI_VAS_PER_OP		3
/* Binds take effect one after another, and at once. */
#define SILI_BIND_CREDITS	64

/* Frees asynchronous binds, of all devices: it may end a device, and outlast its own. */
static struct workqueue_struct *sili_bind_free_wq;

/* One operation of a bind. */
struct sili_bind_op {
	struct drm_siliflow_bind_op args;
	struct drm_gem_object *gem;
	u64 offset;			/* into @gem */
	struct drm_gpuvm_bo *vm_bo;
	struct sili_user_pages pages;	/* of a process's memory */
};

/* A bind on its way. */
struct sili_bind {
	struct drm_sched_job base;	/* asynchronous ones */
	struct work_struct free_work;	/* likewise */
	struct sili_syncs syncs;	/* likewise */
	struct sili_vm *vm;
	struct sili_bind_op *ops;
	u32 num_ops;
	bool async;
	bool job_ready;			/* @base is to be cleaned up */
	struct sili_pt_update up;
	struct list_head spare;		/* sili_va */
	u32 num_spare;
	struct list_head dead;		/* sili_va, freed after INVALIDATE */
	struct drm_gpuvm_bo *vm_bo;	/* of the operation that is being done */
	u64 flags;			/* likewise */
};

#define to_sili_bind(j) container_of(j, struct sili_bind, base)

/* ---- mappings ---- */

static struct drm_gpuva *sili_va_take(struct sili_bind *bind, u64 flags)
{
	struct sili_va *va = list_first_entry(&bind->spare, struct sili_va, link);

	list_del(&va->link);
	va->flags = flags;
	return &va->base;
}

/* The buffer stays in the VM until nothing uses the mapping any more. */
static void sili_va_kill(struct sili_bind *bind, struct drm_gpuva *base)
{
	struct sili_va *va = to_sili_va(base);

	va->vm_bo = drm_gpuvm_bo_get(base->vm_bo);
	drm_gpuva_unlink(base);
	list_add_tail(&va->link, &bind->dead);
}

int sili_bind_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct sili_bind *bind = priv;
	struct drm_gpuva *va = sili_va_take(bind, bind->flags);

	drm_gpuva_map(&bind->vm->base, va, &op->map);
	drm_gpuva_link(va, bind->vm_bo);
	return 0;
}

int sili_bind_step_remap(struct drm_gpuva_op *op, void *priv)
{
	struct sili_bind *bind = priv;
	struct drm_gpuva *old = op->remap.unmap->va;
	u64 flags = to_sili_va(old)->flags;
	struct drm_gpuva *prev = op->remap.prev ? sili_va_take(bind, flags) : NULL;
	struct drm_gpuva *next = op->remap.next ? sili_va_take(bind, flags) : NULL;

	drm_gpuva_remap(prev, next, &op->remap);
	if (prev)
		drm_gpuva_link(prev, old->vm_bo);
	if (next)
		drm_gpuva_link(next, old->vm_bo);
	sili_va_kill(bind, old);
	return 0;
}

int sili_bind_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	drm_gpuva_unmap(&op->unmap);
	sili_va_kill(priv, op->unmap.va);
	return 0;
}

/* ---- what the user asks for ---- */

static int sili_bind_check_map(struct drm_file *file, struct sili_bind_op *op)
{
	const struct drm_siliflow_bind_op *a = &op->args;
	u64 end;

	if (a->flags & ~SILIFLOW_BIND_FLAGS)
		return -EINVAL;
	op->gem = drm_gem_object_lookup(file, a->handle);
	if (!op->gem)
		return -ENOENT;
	op->offset = a->bo_offset;
	if (check_add_overflow(a->bo_offset, a->range, &end) || end > op->gem->size)
		return -EINVAL;
	return 0;
}

static int sili_bind_check_user(struct sili_vm *vm, struct sili_bind_op *op)
{
	const struct drm_siliflow_bind_op *a = &op->args;
	struct drm_gem_object *gem;

	if (a->flags & ~SILIFLOW_BIND_FLAGS || a->handle)
		return -EINVAL;
	gem = sili_user_create(vm, a->bo_offset, a->range, !(a->flags & SILIFLOW_BIND_READONLY));
	if (IS_ERR(gem))
		return PTR_ERR(gem);
	op->gem = gem;
	return 0;
}

static int sili_bind_check(struct drm_file *file, struct sili_vm *vm, struct sili_bind_op *op)
{
	const struct drm_siliflow_bind_op *a = &op->args;
	u64 end;

	if (a->pad || !a->range || !IS_ALIGNED(a->addr | a->range | a->bo_offset, X1_PAGE_SIZE) ||
	    check_add_overflow(a->addr, a->range, &end) || a->addr < SILI_VA_START ||
	    end > SILI_VA_END)
		return -EINVAL;
	switch (a->op) {
	case DRM_SILIFLOW_BIND_UNMAP:
		return a->flags || a->handle || a->bo_offset ? -EINVAL : 0;
	case DRM_SILIFLOW_BIND_MAP:
		return sili_bind_check_map(file, op);
	case DRM_SILIFLOW_BIND_MAP_USER:
		return sili_bind_check_user(vm, op);
	default:
		return -EINVAL;
	}
}

/* Copy the operations from the user and check them. */
static int sili_bind_copy(struct drm_file *file, struct sili_bind *bind,
			  const struct drm_siliflow_vm_bind *args)
{
	u32 i;
	int ret = 0;

	bind->ops = kvcalloc(args->num_ops, sizeof(*bind->ops), GFP_KERNEL_ACCOUNT);
	if (!bind->ops)
		return -ENOMEM;
	bind->num_ops = args->num_ops;
	for (i = 0; i < args->num_ops && !ret; i++) {
		ret = copy_struct_from_user(&bind->ops[i].args, sizeof(bind->ops[i].args),
					    u64_to_user_ptr(args->ops) + (u64)i * args->op_stride,
					    args->op_stride);
		/* Set bits of a later, longer struct. */
		if (ret == -E2BIG)
			ret = -EINVAL;
		if (!ret)
			ret = sili_bind_check(file, bind->vm, &bind->ops[i]);
	}
	if (ret)
		return ret;
	return sili_syncs_init(file, &bind->syncs, args->in_syncs, args->num_in_syncs,
			       args->out_syncs, args->num_out_syncs);
}

static struct sili_bind *sili_bind_new(struct sili_vm *vm)
{
	struct sili_bind *bind = kzalloc(sizeof(*bind), GFP_KERNEL_ACCOUNT);

	if (!bind)
		return NULL;
	bind->vm = vm;
	drm_gpuvm_get(&vm->base);
	INIT_LIST_HEAD(&bind->spare);
	INIT_LIST_HEAD(&bind->dead);
	return bind;
}

/* The last reference to the buffer must not go while it is locked. */
static void sili_vm_bo_drop(struct drm_gpuvm_bo *vm_bo)
{
	struct drm_gem_object *gem;

	if (!vm_bo)
		return;
	gem = vm_bo->obj;
	drm_gem_object_get(gem);
	dma_resv_lock(gem->resv, NULL);
	drm_gpuvm_bo_put(vm_bo);
	dma_resv_unlock(gem->resv);
	drm_gem_object_put(gem);
}

static void sili_bind_op_free(struct sili_bind_op *op)
{
	sili_vm_bo_drop(op->vm_bo);
	sili_user_put_pages(&op->pages);
	if (!op->gem)
		return;
	/* Where the VM has it now it goes on. */
	if (!op->vm_bo) {
		dma_resv_lock(op->gem->resv, NULL);
		sili_user_stop(gem_to_sili_bo(op->gem));
		dma_resv_unlock(op->gem->resv);
	}
	drm_gem_object_put(op->gem);
}

static void sili_bind_free(struct sili_bind *bind)
{
	struct sili_va *va, *next;
	u32 i;

	if (bind->job_ready)
		drm_sched_job_cleanup(&bind->base);
	list_for_each_entry_safe(va, next, &bind->dead, link) {
		sili_vm_bo_drop(va->vm_bo);
		kfree(va);
	}
	list_for_each_entry_safe(va, next, &bind->spare, link)
		kfree(va);
	sili_pt_finish(bind->vm->sdev, &bind->up);
	for (i = 0; i < bind->num_ops; i++)
		sili_bind_op_free(&bind->ops[i]);
	kvfree(bind->ops);
	sili_syncs_free(&bind->syncs);
	sili_vm_put(bind->vm);
	kfree(bind);
}

/* ---- taking what is needed ---- */

/* Lock the buffers that an operation maps, and those whose mappings it replaces. */
static int sili_bind_lock_op(struct sili_bind *bind, struct drm_exec *exec,
			     struct sili_bind_op *op)
{
	u64 addr = op->args.addr;
	struct drm_gpuva *va;
	int ret = 0;

	if (op->gem)
		ret = drm_exec_prepare_obj(exec, op->gem, 1);
	drm_gpuvm_for_each_va_range(va, &bind->vm->base, addr, addr + op->args.range) {
		if (ret)
			break;
		ret = drm_exec_lock_obj(exec, va->gem.obj);
	}
	return ret;
}

static int sili_bind_lock(struct sili_bind *bind, struct drm_exec *exec)
{
	u32 i;
	int ret;

	drm_exec_init(exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES,
		      bind->num_ops + 1);
	drm_exec_until_all_locked(exec) {
		ret = 0;
		/* For its fence. */
		if (bind->async)
			ret = drm_exec_prepare_obj(exec, bind->vm->base.r_obj, 1);
		for (i = 0; i < bind->num_ops && !ret; i++)
			ret = sili_bind_lock_op(bind, exec, &bind->ops[i]);
		drm_exec_retry_on_contention(exec);
		if (ret)
			break;
	}
	return ret;
}

static int sili_bind_place(struct sili_bind *bind, struct sili_bind_op *op)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret;

	if (!op->vm_bo) {
		vm_bo = drm_gpuvm_bo_obtain_locked(&bind->vm->base, op->gem);
		if (IS_ERR(vm_bo))
			return PTR_ERR(vm_bo);
		op->vm_bo = vm_bo;
	}
	sili_shared_link(bind->vm, op->vm_bo);
	ret = sili_ttm_validate(gem_to_sili_bo(op->gem));
	/* What is evicted has no entries, so this one's cannot be its first. */
	if (!ret && !gem_to_sili_bo(op->gem)->user)
		ret = sili_vm_restore(bind->vm, op->gem);
	return ret;
}

static int sili_bind_prepare_tables(struct sili_bind *bind)
{
	u64 spare = 0, dead = 0;
	u32 i;
	int ret;

	for (i = 0; i < bind->num_ops; i++) {
		struct sili_bind_op *op = &bind->ops[i];

		if (!op->gem) {
			/* Only 2 MiB pages that straddle the ends. */
			spare += 2;
			continue;
		}
		ret = sili_bind_place(bind, op);
		if (ret)
			return ret;
		sili_pt_need(gem_to_sili_bo(op->gem), op->args.addr, op->args.range, op->offset,
			     &spare, &dead);
	}
	/* Of a try before. */
	sili_pt_finish(bind->vm->sdev, &bind->up);
	return sili_pt_prepare(bind->vm->sdev, &bind->up, spare, dead);
}

static int sili_bind_prepare_vas(struct sili_bind *bind)
{
	for (; bind->num_spare < bind->num_ops * SILI_VAS_PER_OP; bind->num_spare++) {
		struct sili_va *va = kzalloc(sizeof(*va), GFP_KERNEL_ACCOUNT);

		if (!va)
			return -ENOMEM;
		list_add(&va->link, &bind->spare);
	}
	return 0;
}

static int sili_bind_prepare_job(struct sili_bind *bind, struct drm_exec *exec,
				 struct drm_file *file)
{
	struct drm_gem_object *gem;
	int ret;

	/* What this bind replaces has to be there until its turn. */
	drm_exec_for_each_locked_object(exec, gem) {
		ret = sili_vm_restore(bind->vm, gem);
		if (ret)
			return ret;
	}
	if (bind->job_ready)
		return 0;
	ret = drm_sched_job_init(&bind->base, &bind->vm->binds, 1, file, file->client_id);
	if (ret)
		return ret;
	bind->job_ready = true;
	return sili_syncs_depend(&bind->syncs, &bind->base);
}

/* Take all that the operations need; vm->lock and the buffers held. May be tried again. */
static int sili_bind_prepare(struct sili_bind *bind, struct drm_exec *exec, struct drm_file *file)
{
	int ret;

	ret = sili_bind_prepare_tables(bind);
	if (!ret)
		ret = sili_bind_prepare_vas(bind);
	if (!ret && bind->async)
		ret = sili_bind_prepare_job(bind, exec, file);
	return ret;
}

/* What processes have now, and have to get back before something of it is replaced. */
static int sili_bind_get_user(struct sili_bind *bind)
{
	int ret = 0;
	u32 i;

	if (bind->async)
		ret = sili_user_restore(bind->vm);
	for (i = 0; i < bind->num_ops && !ret; i++) {
		struct sili_bind_op *op = &bind->ops[i];
		struct sili_user *user = op->gem ? gem_to_sili_bo(op->gem)->user : NULL;

		if (user)
			ret = sili_user_get_pages(user, &op->pages);
	}
	return ret;
}

/* Is it still so? user_lock held. */
static int sili_bind_take_user(struct sili_bind *bind)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < bind->num_ops && !ret; i++) {
		struct sili_bind_op *op = &bind->ops[i];
		struct sili_user *user = op->gem ? gem_to_sili_bo(op->gem)->user : NULL;

		if (user)
			ret = sili_user_take(user, op->vm_bo, &op->pages);
	}
	return ret;
}

/* ---- doing it ---- */

static u64 sili_bind_pte_flags(u32 flags)
{
	return X1_PTE_READ | (flags & SILIFLOW_BIND_READONLY ? 0 : X1_PTE_WRITE) |
	       (flags & SILIFLOW_BIND_EXEC ? X1_PTE_EXEC : 0);
}

/* What is mapped where, as drm_gpuvm keeps it. */
static void sili_bind_commit(struct sili_bind *bind)
{
	struct sili_vm *vm = bind->vm;
	u32 i;

	for (i = 0; i < bind->num_ops; i++) {
		struct sili_bind_op *op = &bind->ops[i];
		const struct drm_siliflow_bind_op *a = &op->args;
		const struct drm_gpuvm_map_req req = {
			.map.va = { .addr = a->addr, .range = a->range },
			.map.gem = { .obj = op->gem, .offset = op->offset },
		};

		trace_siliflow_bind(vm->sdev->index, vm->id, a->op, a->addr, a->range,
				    a->bo_offset);
		if (!op->gem) {
			drm_gpuvm_sm_unmap(&vm->base, bind, a->addr, a->range);
			continue;
		}
		bind->vm_bo = op->vm_bo;
		bind->flags = sili_bind_pte_flags(a->flags);
		drm_gpuvm_sm_map(&vm->base, bind, &req);
	}
}

static void sili_bind_write_op(struct sili_bind *bind, const struct sili_bind_op *op)
{
	const struct drm_siliflow_bind_op *a = &op->args;

	if (op->gem)
		sili_pt_map(bind->vm, &bind->up, a->addr, a->range, gem_to_sili_bo(op->gem),
			    op->offset, sili_bind_pte_flags(a->flags));
	else
		sili_pt_unmap(bind->vm, &bind->up, a->addr, a->range);
}

/*
 * Page tables and TLBs. On return the device uses nothing that was replaced.
 * Returns 0, or -ENODEV without the device.
 */
static int sili_bind_write(struct sili_bind *bind)
{
	struct sili_vm *vm = bind->vm;
	u64 lo = U64_MAX, hi = 0;
	int idx;
	u32 i;

	if (!drm_dev_enter(&vm->sdev->drm, &idx)) {
		wait_for_completion(&vm->sdev->halted);
		return -ENODEV;
	}
	mutex_lock(&vm->table_lock);
	for (i = 0; i < bind->num_ops; i++) {
		const struct drm_siliflow_bind_op *a = &bind->ops[i].args;

		lo = min(lo, a->addr);
		hi = max(hi, a->addr + a->range);
		sili_bind_write_op(bind, &bind->ops[i]);
	}
	mutex_unlock(&vm->table_lock);
	/* What was not mapped before is in no TLB. */
	if (!list_empty(&bind->dead) || bind->up.num_dead)
		sili_mmu_invalidate_live(vm->sdev, vm->id, lo, hi - lo);
	drm_dev_exit(idx);
	return 0;
}

/* ---- asynchronous ones ---- */

static void sili_bind_free_work(struct work_struct *work)
{
	sili_bind_free(container_of(work, struct sili_bind, free_work));
	sili_live_put();
}

static struct dma_fence *sili_bind_run_job(struct drm_sched_job *base)
{
	bool cookie = dma_fence_begin_signalling();
	int ret = sili_bind_write(to_sili_bind(base));

	dma_fence_end_signalling(cookie);
	/* Without a fence it has ended. */
	return ERR_PTR(ret);
}

/* Freeing takes reservations, whose holders may wait for binds. */
static void sili_bind_free_job(struct drm_sched_job *base)
{
	struct sili_bind *bind = to_sili_bind(base);

	drm_sched_job_cleanup(base);
	queue_work(sili_bind_free_wq, &bind->free_work);
}

static const struct drm_sched_backend_ops sili_bind_sched_ops = {
	.run_job = sili_bind_run_job,
	.free_job = sili_bind_free_job,
};

/* Queue a bind that is prepared and committed; it may be freed at once. */
static void sili_bind_push(struct sili_bind *bind)
{
	struct sili_vm *vm = bind->vm;
	struct dma_fence *fence;

	bind->job_ready = false;
	sili_live_get();
	INIT_WORK(&bind->free_work, sili_bind_free_work);
	drm_sched_job_arm(&bind->base);
	fence = &bind->base.s_fence->finished;
	dma_resv_add_fence(drm_gpuvm_resv(&vm->base), fence, DMA_RESV_USAGE_BOOKKEEP);
	dma_fence_put(vm->last_bind);
	vm->last_bind = dma_fence_get(fence);
	sili_syncs_signal(&bind->syncs, fence);
	drm_sched_entity_push_job(&bind->base);
}

/* ---- the ioctl ---- */

/* Take vm->lock when it is a bind's turn; an asynchronous one waits elsewhere. */
static int sili_bind_enter(struct sili_vm *vm, bool async)
{
	struct dma_fence *last;
	int ret;

	for (;;) {
		mutex_lock(&vm->lock);
		if (vm->closed) {
			mutex_unlock(&vm->lock);
			return drm_dev_is_unplugged(&vm->sdev->drm) ? -ENODEV : -ENOENT;
		}
		if (async || !vm->last_bind || dma_fence_is_signaled(vm->last_bind))
			return 0;
		last = dma_fence_get(vm->last_bind);
		mutex_unlock(&vm->lock);
		ret = dma_fence_wait(last, true);
		dma_fence_put(last);
		if (ret)
			return ret;
	}
}

/*
 * On success an asynchronous bind is the scheduler's, and may have been freed.
 * -EAGAIN: a process has other pages now.
 */
static int sili_bind_try(struct sili_bind *bind, struct drm_file *file)
{
	struct sili_vm *vm = bind->vm;
	struct drm_exec exec;
	int ret;

	ret = sili_bind_get_user(bind);
	if (!ret)
		ret = sili_bind_enter(vm, bind->async);
	if (ret)
		return ret;
	ret = sili_bind_lock(bind, &exec);
	if (!ret)
		ret = sili_bind_prepare(bind, &exec, file);
	if (!ret) {
		mutex_lock(&vm->user_lock);
		ret = sili_bind_take_user(bind);
		if (!ret) {
			sili_bind_commit(bind);
			if (bind->async)
				sili_bind_push(bind);
			else
				ret = sili_bind_write(bind);
		}
		mutex_unlock(&vm->user_lock);
	}
	drm_exec_fini(&exec);
	mutex_unlock(&vm->lock);
	return ret;
}

static int sili_bind_run(struct sili_bind *bind, struct drm_file *file)
{
	bool async = bind->async;
	int ret;

	do {
		ret = sili_bind_try(bind, file);
		if (ret == -EAGAIN && signal_pending(current))
			ret = -ERESTARTSYS;
	} while (ret == -EAGAIN);
	if (ret || !async)
		sili_bind_free(bind);
	return ret;
}

int sili_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_vm_bind *args = data;
	struct sili_bind *bind;
	struct sili_vm *vm;
	int ret;

	if (args->flags & ~SILIFLOW_VM_BIND_FLAGS || args->pad || !args->num_ops ||
	    args->num_ops > SILIFLOW_MAX_BIND_OPS ||
	    args->op_stride < sizeof(struct drm_siliflow_bind_op) || args->op_stride > PAGE_SIZE)
		return -EINVAL;
	if (!(args->flags & SILIFLOW_VM_BIND_ASYNC) && (args->num_in_syncs || args->num_out_syncs))
		return -EINVAL;
	vm = sili_vm_lookup(file->driver_priv, args->vm);
	if (!vm)
		return -ENOENT;
	bind = sili_bind_new(vm);
	if (!bind) {
		sili_vm_put(vm);
		return -ENOMEM;
	}
	bind->async = args->flags & SILIFLOW_VM_BIND_ASYNC;
	ret = sili_bind_copy(file, bind, args);
	if (ret)
		sili_bind_free(bind);
	else
		ret = sili_bind_run(bind, file);
	sili_vm_put(vm);
	return ret;
}

/* ---- the scheduler ---- */

/*
 * sili_bind_entity_init() - the order of a VM's binds
 *
 * Return: 0 or a negative errno.
 */
int sili_bind_entity_init(struct sili_vm *vm)
{
	struct drm_gpu_scheduler *sched = &vm->sdev->bind_sched;

	return drm_sched_entity_init(&vm->binds, DRM_SCHED_PRIORITY_KERNEL, &sched, 1, NULL);
}

/*
 * sili_bind_pause() - keep asynchronous binds from the device, or let them go on
 *
 * On return none is taking effect.
 */
void sili_bind_pause(struct sili_device *sdev, bool pause)
{
	if (pause)
		drm_sched_wqueue_stop(&sdev->bind_sched);
	else
		drm_sched_wqueue_start(&sdev->bind_sched);
}

static void sili_bind_release(struct drm_device *drm, void *arg)
{
	struct sili_device *sdev = arg;

	drm_sched_fini(&sdev->bind_sched);
	destroy_workqueue(sdev->bind_wq);
}

/*
 * sili_bind_init() - the scheduler of a device's binds
 *
 * Return: 0 or a negative errno.
 */
int sili_bind_init(struct sili_device *sdev)
{
	struct drm_sched_init_args args = {
		.ops = &sili_bind_sched_ops,
		.num_rqs = 1,
		.credit_limit = SILI_BIND_CREDITS,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = SILI_NAME "-bind",
		.dev = sdev->drm.dev,
	};
	int ret;

	sdev->bind_wq = alloc_ordered_workqueue(SILI_NAME "-bind", WQ_MEM_RECLAIM);
	if (!sdev->bind_wq)
		return -ENOMEM;
	args.submit_wq = sdev->bind_wq;
	ret = drm_sched_init(&sdev->bind_sched, &args);
	if (ret) {
		destroy_workqueue(sdev->bind_wq);
		return ret;
	}
	return drmm_add_action_or_reset(&sdev->drm, sili_bind_release, sdev);
}

int sili_bind_module_init(void)
{
	sili_bind_free_wq = alloc_workqueue(SILI_NAME "-bind-free", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return sili_bind_free_wq ? 0 : -ENOMEM;
}

void sili_bind_module_exit(void)
{
	destroy_workqueue(sili_bind_free_wq);
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_bind_test.c"
#endif
