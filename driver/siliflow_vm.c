// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: their life. drm_gpuvm keeps what is mapped where,
 * siliflow_mmu.c the page tables; siliflow_bind.c changes both.
 */
#include "siliflow.h"
#include "siliflow_user.h"

static struct drm_gpuvm_bo *sili_vm_bo_alloc(void)
{
	struct sili_vm_bo *vm_bo = kzalloc(sizeof(*vm_bo), GFP_KERNEL);

	if (!vm_bo)
		return NULL;
	INIT_LIST_HEAD(&vm_bo->evict_link);
	INIT_LIST_HEAD(&vm_bo->shared_link);
	return &vm_bo->base;
}

static void sili_vm_bo_free(struct drm_gpuvm_bo *vm_bo)
{
	struct sili_vm *vm = to_sili_vm(vm_bo->vm);

	sili_user_stop(gem_to_sili_bo(vm_bo->obj));
	mutex_lock(&vm->table_lock);
	list_del(&to_sili_vm_bo(vm_bo)->evict_link);
	sili_shared_unlink(vm, to_sili_vm_bo(vm_bo));
	mutex_unlock(&vm->table_lock);
	kfree(to_sili_vm_bo(vm_bo));
}

static void sili_vm_free(struct drm_gpuvm *gpuvm)
{
	struct sili_vm *vm = to_sili_vm(gpuvm);

	dma_fence_put(vm->last_bind);
	mutex_destroy(&vm->table_lock);
	mutex_destroy(&vm->user_lock);
	mutex_destroy(&vm->lock);
	kfree(vm);
}

static const struct drm_gpuvm_ops sili_gpuvm_ops = {
	.vm_free = sili_vm_free,
	.vm_bo_alloc = sili_vm_bo_alloc,
	.vm_bo_free = sili_vm_bo_free,
	.sm_step_map = sili_bind_step_map,
	.sm_step_remap = sili_bind_step_remap,
	.sm_step_unmap = sili_bind_step_unmap,
};

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
	INIT_LIST_HEAD(&vm->revoked);
	INIT_LIST_HEAD(&vm->shared);
	mutex_init(&vm->lock);
	mutex_init(&vm->user_lock);
	mutex_init(&vm->table_lock);
	drm_gpuvm_init(&vm->base, SILI_NAME, 0, &sdev->drm, resv, 0, SILI_VA_END, 0, SILI_VA_START,
		       &sili_gpuvm_ops);
	drm_gem_object_put(resv);
	ret = sili_bind_entity_init(vm);
	if (!ret)
		ret = sili_mmu_vm_init(vm);
	if (!ret)
		return vm;
	drm_sched_entity_fini(&vm->binds);
	sili_vm_put(vm);
	return ERR_PTR(ret);
}

static void sili_va_free(struct drm_gpuva *va)
{
	struct sili_vm *vm = to_sili_vm(va->vm);
	struct drm_gem_object *gem = va->gem.obj;
	struct drm_gpuvm_bo *vm_bo;

	/* The last reference to the buffer must not go while it is locked. */
	drm_gem_object_get(gem);
	dma_resv_lock(gem->resv, NULL);
	/* Nor the last one to its place in the VM under user_lock. */
	vm_bo = drm_gpuvm_bo_get(va->vm_bo);
	mutex_lock(&vm->user_lock);
	drm_gpuva_unlink(va);
	mutex_unlock(&vm->user_lock);
	drm_gpuvm_bo_put(vm_bo);
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
 * Binds that still wait are dropped, one that is taking effect ends first.
 * Buffers that move meanwhile have their entries cleared: the tables are the
 * last to go.
 */
void sili_vm_close(struct sili_vm *vm)
{
	mutex_lock(&vm->lock);
	vm->closed = true;
	mutex_unlock(&vm->lock);
	drm_sched_entity_fini(&vm->binds);
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
	do {
		vm = sili_vm_create(to_sili(drm));
		ret = PTR_ERR_OR_ZERO(vm);
	} while (sili_reset_helps(to_sili(drm), ret));
	if (ret)
		return ret;
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
