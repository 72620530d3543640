// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: drm_gpuvm keeps what is mapped where, siliflow_mmu.c the
 * page tables. A bind checks all its operations and takes everything that
 * they need; from then on nothing can fail, so it is all or nothing.
 *
 * The reservations of all buffers that a bind maps or unmaps are held while it
 * works, so that none of them moves.
 */
#include <linux/uaccess.h>

#include <drm/drm_exec.h>

#include "siliflow.h"
#include "siliflow_trace.h"

/* One operation of a bind. */
struct sili_bind_op {
	struct drm_siliflow_bind_op args;
	struct drm_gem_object *gem;
	struct drm_gpuvm_bo *vm_bo;
};

/* A bind on its way. */
struct sili_bind {
	struct sili_vm *vm;
	struct sili_bind_op *ops;
	u32 num_ops;
	struct drm_exec exec;
	struct sili_pt_update up;
	struct list_head spare;		/* sili_va */
	struct list_head dead;		/* sili_va, unlinked after INVALIDATE */
	struct drm_gpuvm_bo *vm_bo;	/* of the operation that is being done */
	u64 flags;			/* likewise */
};

/* ---- mappings ---- */

static struct drm_gpuva *sili_va_take(struct sili_bind *bind, u64 flags)
{
	struct sili_va *va = list_first_entry(&bind->spare, struct sili_va, link);

	list_del(&va->link);
	va->flags = flags;
	return &va->base;
}

static void sili_va_kill(struct sili_bind *bind, struct drm_gpuva *va)
{
	list_add_tail(&to_sili_va(va)->link, &bind->dead);
}

static int sili_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct sili_bind *bind = priv;
	struct drm_gpuva *va = sili_va_take(bind, bind->flags);

	drm_gpuva_map(&bind->vm->base, va, &op->map);
	drm_gpuva_link(va, bind->vm_bo);
	return 0;
}

static int sili_step_remap(struct drm_gpuva_op *op, void *priv)
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

static int sili_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	drm_gpuva_unmap(&op->unmap);
	sili_va_kill(priv, op->unmap.va);
	return 0;
}

static struct drm_gpuvm_bo *sili_vm_bo_alloc(void)
{
	struct sili_vm_bo *vm_bo = kzalloc(sizeof(*vm_bo), GFP_KERNEL);

	if (!vm_bo)
		return NULL;
	INIT_LIST_HEAD(&vm_bo->evict_link);
	return &vm_bo->base;
}

static void sili_vm_bo_free(struct drm_gpuvm_bo *vm_bo)
{
	struct sili_vm *vm = to_sili_vm(vm_bo->vm);

	mutex_lock(&vm->table_lock);
	list_del(&to_sili_vm_bo(vm_bo)->evict_link);
	mutex_unlock(&vm->table_lock);
	kfree(to_sili_vm_bo(vm_bo));
}

static void sili_vm_free(struct drm_gpuvm *gpuvm)
{
	struct sili_vm *vm = to_sili_vm(gpuvm);

	mutex_destroy(&vm->table_lock);
	mutex_destroy(&vm->lock);
	kfree(vm);
}

static const struct drm_gpuvm_ops sili_gpuvm_ops = {
	.vm_free = sili_vm_free,
	.vm_bo_alloc = sili_vm_bo_alloc,
	.vm_bo_free = sili_vm_bo_free,
	.sm_step_map = sili_step_map,
	.sm_step_remap = sili_step_remap,
	.sm_step_unmap = sili_step_unmap,
};

/* ---- bind ---- */

static int sili_bind_check(struct drm_file *file, struct sili_bind_op *op)
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
		break;
	default:
		return -EINVAL;
	}
	if (a->flags & ~SILIFLOW_BIND_FLAGS)
		return -EINVAL;
	op->gem = drm_gem_object_lookup(file, a->handle);
	if (!op->gem)
		return -ENOENT;
	if (check_add_overflow(a->bo_offset, a->range, &end) || end > op->gem->size)
		return -EINVAL;
	return 0;
}

/* Copy the operations from the user and check them. */
static int sili_bind_copy(struct drm_file *file, struct sili_bind *bind,
			  const struct drm_siliflow_vm_bind *args)
{
	u32 i;
	int ret = 0;

	bind->ops = kvcalloc(args->num_ops, sizeof(*bind->ops), GFP_KERNEL);
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
			ret = sili_bind_check(file, &bind->ops[i]);
	}
	return ret;
}

/* Lock the buffers that an operation maps, and those whose mappings it replaces. */
static int sili_bind_lock_op(struct sili_bind *bind, struct sili_bind_op *op)
{
	u64 addr = op->args.addr;
	struct drm_gpuva *va;
	int ret = 0;

	if (op->gem)
		ret = drm_exec_prepare_obj(&bind->exec, op->gem, 1);
	drm_gpuvm_for_each_va_range(va, &bind->vm->base, addr, addr + op->args.range) {
		if (ret)
			break;
		ret = drm_exec_lock_obj(&bind->exec, va->gem.obj);
	}
	return ret;
}

static int sili_bind_lock(struct sili_bind *bind)
{
	u32 i;
	int ret;

	drm_exec_init(&bind->exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES,
		      bind->num_ops);
	drm_exec_until_all_locked(&bind->exec) {
		ret = 0;
		for (i = 0; i < bind->num_ops && !ret; i++)
			ret = sili_bind_lock_op(bind, &bind->ops[i]);
		drm_exec_retry_on_contention(&bind->exec);
		if (ret)
			break;
	}
	return ret;
}

static int sili_bind_place(struct sili_bind *bind, struct sili_bind_op *op)
{
	struct drm_gpuvm_bo *vm_bo = drm_gpuvm_bo_obtain(&bind->vm->base, op->gem);

	if (IS_ERR(vm_bo))
		return PTR_ERR(vm_bo);
	op->vm_bo = vm_bo;
	return sili_ttm_validate(gem_to_sili_bo(op->gem));
}

/* Mappings that an operation can make: the new one and what is left of old ones. */
#define SILI_VAS_PER_OP 3

/* Take all that the operations need; vm->lock and the buffers held. */
static int sili_bind_prepare(struct sili_bind *bind)
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
		sili_pt_need(gem_to_sili_bo(op->gem), op->args.addr, op->args.range,
			     op->args.bo_offset, &spare, &dead);
	}
	for (i = 0; i < bind->num_ops * SILI_VAS_PER_OP; i++) {
		struct sili_va *va = kzalloc(sizeof(*va), GFP_KERNEL_ACCOUNT);

		if (!va)
			return -ENOMEM;
		list_add(&va->link, &bind->spare);
	}
	return sili_pt_prepare(bind->vm->sdev, &bind->up, spare, dead);
}

static u64 sili_bind_pte_flags(u32 flags)
{
	return X1_PTE_READ | (flags & SILIFLOW_BIND_READONLY ? 0 : X1_PTE_WRITE) |
	       (flags & SILIFLOW_BIND_EXEC ? X1_PTE_EXEC : 0);
}

static void sili_bind_commit(struct sili_bind *bind)
{
	struct sili_vm *vm = bind->vm;
	u64 lo = U64_MAX, hi = 0;
	u32 i;

	mutex_lock(&vm->table_lock);
	for (i = 0; i < bind->num_ops; i++) {
		struct sili_bind_op *op = &bind->ops[i];
		const struct drm_siliflow_bind_op *a = &op->args;

		trace_siliflow_bind(vm->sdev->index, vm->id, a->op, a->addr, a->range,
				    a->bo_offset);
		lo = min(lo, a->addr);
		hi = max(hi, a->addr + a->range);
		if (!op->gem) {
			drm_gpuvm_sm_unmap(&vm->base, bind, a->addr, a->range);
			sili_pt_unmap(vm, &bind->up, a->addr, a->range);
			continue;
		}
		bind->vm_bo = op->vm_bo;
		bind->flags = sili_bind_pte_flags(a->flags);
		drm_gpuvm_sm_map(&vm->base, bind, a->addr, a->range, op->gem, a->bo_offset);
		sili_pt_map(vm, &bind->up, a->addr, a->range, gem_to_sili_bo(op->gem),
			    a->bo_offset, bind->flags);
	}
	mutex_unlock(&vm->table_lock);
	/* What was not mapped before is in no TLB. */
	if (!list_empty(&bind->dead) || bind->up.num_dead)
		sili_mmu_invalidate(vm, lo, hi - lo);
}

/* The buffers are still held, so none of them ends here. */
static void sili_bind_finish(struct sili_bind *bind)
{
	struct sili_va *va, *next;
	u32 i;

	list_for_each_entry_safe(va, next, &bind->dead, link) {
		drm_gpuva_unlink(&va->base);
		kfree(va);
	}
	list_for_each_entry_safe(va, next, &bind->spare, link)
		kfree(va);
	sili_pt_finish(bind->vm->sdev, &bind->up);
	for (i = 0; i < bind->num_ops; i++)
		drm_gpuvm_bo_put(bind->ops[i].vm_bo);
}

static void sili_bind_free(struct sili_bind *bind)
{
	u32 i;

	for (i = 0; i < bind->num_ops; i++)
		drm_gem_object_put(bind->ops[i].gem);
	kvfree(bind->ops);
}

static int sili_bind_run(struct sili_bind *bind)
{
	struct sili_vm *vm = bind->vm;
	int ret;

	mutex_lock(&vm->lock);
	if (vm->closed) {
		mutex_unlock(&vm->lock);
		return -ENOENT;
	}
	ret = sili_bind_lock(bind);
	if (!ret)
		ret = sili_bind_prepare(bind);
	if (!ret)
		sili_bind_commit(bind);
	sili_bind_finish(bind);
	drm_exec_fini(&bind->exec);
	mutex_unlock(&vm->lock);
	return ret;
}

int sili_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_vm_bind *args = data;
	struct sili_bind bind = {};
	int ret;

	if (args->flags || args->pad || !args->num_ops ||
	    args->num_ops > SILIFLOW_MAX_BIND_OPS ||
	    args->op_stride < sizeof(struct drm_siliflow_bind_op) || args->op_stride > PAGE_SIZE)
		return -EINVAL;
	bind.vm = sili_vm_lookup(file->driver_priv, args->vm);
	if (!bind.vm)
		return -ENOENT;
	INIT_LIST_HEAD(&bind.spare);
	INIT_LIST_HEAD(&bind.dead);
	ret = sili_bind_copy(file, &bind, args);
	if (!ret)
		ret = sili_bind_run(&bind);
	sili_bind_free(&bind);
	sili_vm_put(bind.vm);
	return ret;
}

/* ---- life ---- */

static struct sili_vm *sili_vm_create(struct sili_device *sdev)
{
	struct drm_gem_object *resv;
	struct sili_vm *vm;
	int ret;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	resv = drm_gpuvm_resv_object_alloc(&sdev->drm);
	if (!resv) {
		kfree(vm);
		return ERR_PTR(-ENOMEM);
	}
	vm->sdev = sdev;
	INIT_LIST_HEAD(&vm->link);
	INIT_LIST_HEAD(&vm->evicted);
	mutex_init(&vm->lock);
	mutex_init(&vm->table_lock);
	drm_gpuvm_init(&vm->base, SILI_NAME, 0, &sdev->drm, resv, 0, SILI_VA_END, 0, SILI_VA_START,
		       &sili_gpuvm_ops);
	drm_gem_object_put(resv);
	ret = sili_mmu_vm_init(vm);
	if (!ret)
		return vm;
	sili_vm_put(vm);
	return ERR_PTR(ret);
}

/* The last reference to the buffer must not go while it is locked. */
static void sili_va_free(struct drm_gpuva *va)
{
	struct drm_gem_object *gem = va->gem.obj;

	drm_gem_object_get(gem);
	dma_resv_lock(gem->resv, NULL);
	drm_gpuva_unlink(va);
	dma_resv_unlock(gem->resv);
	drm_gem_object_put(gem);
	kfree(to_sili_va(va));
}

/* Forget all mappings; nothing in the device uses them any more. */
static void sili_vm_clear(struct sili_vm *vm)
{
	struct drm_gpuva *va, *next;

	lockdep_assert_held(&vm->lock);
	drm_gpuvm_for_each_va_safe(va, next, &vm->base) {
		if (va == &vm->base.kernel_alloc_node)
			continue;
		drm_gpuva_remove(va);
		sili_va_free(va);
	}
}

/*
 * sili_vm_close() - end a VM that no queue uses, and drop the handle's reference
 *
 * Buffers that move meanwhile have their entries cleared: the tables are the
 * last to go.
 */
void sili_vm_close(struct sili_vm *vm)
{
	mutex_lock(&vm->lock);
	vm->closed = true;
	mutex_unlock(&vm->lock);
	sili_mmu_vm_detach(vm);
	mutex_lock(&vm->lock);
	sili_vm_clear(vm);
	mutex_unlock(&vm->lock);
	sili_mmu_vm_free(vm);
	sili_vm_put(vm);
}

/*
 * sili_vm_unplug_all() - let go of all buffers; the device does nothing any more
 */
void sili_vm_unplug_all(struct sili_device *sdev)
{
	struct sili_vm *vm;

	mutex_lock(&sdev->vm_lock);
	list_for_each_entry(vm, &sdev->vms, link) {
		mutex_lock(&vm->lock);
		vm->closed = true;
		sili_vm_clear(vm);
		mutex_unlock(&vm->lock);
	}
	mutex_unlock(&sdev->vm_lock);
}

/*
 * sili_vm_lookup() - VM of a handle, with a reference, or NULL
 */
struct sili_vm *sili_vm_lookup(struct sili_file *sfile, u32 handle)
{
	struct sili_vm *vm;

	xa_lock(&sfile->vms);
	vm = xa_load(&sfile->vms, handle);
	if (vm)
		drm_gpuvm_get(&vm->base);
	xa_unlock(&sfile->vms);
	return vm;
}

int sili_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_vm_create *args = data;
	struct sili_file *sfile = file->driver_priv;
	struct sili_vm *vm;
	int ret;

	if (args->flags & ~SILIFLOW_VM_FLAGS)
		return -EINVAL;
	vm = sili_vm_create(to_sili(drm));
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	vm->long_running = args->flags & SILIFLOW_VM_LONG_RUNNING;
	ret = xa_alloc(&sfile->vms, &args->vm, vm, xa_limit_31b, GFP_KERNEL);
	if (ret)
		sili_vm_close(vm);
	return ret;
}

int sili_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_vm_destroy *args = data;
	struct sili_file *sfile = file->driver_priv;
	struct sili_vm *vm;
	int ret = 0;

	if (args->pad)
		return -EINVAL;
	/* Against another destroy and a new queue on it. */
	mutex_lock(&sfile->lock);
	vm = xa_load(&sfile->vms, args->vm);
	if (!vm)
		ret = -ENOENT;
	else if (vm->queues)
		ret = -EBUSY;
	else
		xa_erase(&sfile->vms, args->vm);
	mutex_unlock(&sfile->lock);
	if (!ret)
		sili_vm_close(vm);
	return ret;
}
