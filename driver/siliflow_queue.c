// SPDX-License-Identifier: GPL-2.0-only
/* Users' queues: a hardware slot, an address space, an entity of the scheduler. */
#include <linux/capability.h>
#include <linux/module.h>

#include "siliflow.h"

static unsigned long long max_budget;
module_param(max_budget, ullong, 0644);
MODULE_PARM_DESC(max_budget,
		 "Most device cycles per LAUNCH that a queue may have, also the default; 0 = no limit");

u64 sili_max_budget(void)
{
	return READ_ONCE(max_budget);
}

static void sili_queue_release(struct kref *ref)
{
	struct sili_queue *queue = container_of(ref, struct sili_queue, ref);
	struct drm_device *drm = &queue->sdev->drm;

	sili_vm_put(queue->vm);
	if (queue->dummy)
		__free_page(queue->dummy);
	mutex_destroy(&queue->doorbell_lock);
	mutex_destroy(&queue->submit_lock);
	kfree(queue);
	drm_dev_put(drm);
	sili_live_put();
}

void sili_queue_put(struct sili_queue *queue)
{
	kref_put(&queue->ref, sili_queue_release);
}

/*
 * sili_queue_lookup() - queue of a handle, with a reference, or NULL
 */
struct sili_queue *sili_queue_lookup(struct sili_file *sfile, u32 handle)
{
	struct sili_queue *queue;

	xa_lock(&sfile->queues);
	queue = xa_load(&sfile->queues, handle);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&sfile->queues);
	return queue;
}

/* ---- counters ---- */

static u64 sili_queue_cycles_locked(struct sili_queue *queue)
{
	u64 cycles = queue->cycles, now;
	int idx;

	if (!queue->counting || !drm_dev_enter(&queue->sdev->drm, &idx))
		return cycles;
	now = sili_read_counter(queue->sdev, X1_REG_QUEUE(queue->hwq->index) + X1_Q_CYCLES_LO);
	drm_dev_exit(idx);
	/* All ones: the device has gone. */
	return now == U64_MAX ? cycles : cycles + now;
}

/*
 * sili_queue_cycles() - device cycles that a queue's commands took so far
 */
u64 sili_queue_cycles(struct sili_queue *queue)
{
	u64 cycles;

	spin_lock_irq(&queue->hwq->lock);
	cycles = sili_queue_cycles_locked(queue);
	spin_unlock_irq(&queue->hwq->lock);
	return cycles;
}

/*
 * sili_queue_fold_cycles() - keep a queue's cycles: its slot is about to lose them
 */
void sili_queue_fold_cycles(struct sili_queue *queue)
{
	spin_lock_irq(&queue->hwq->lock);
	queue->cycles = sili_queue_cycles_locked(queue);
	queue->counting = false;
	spin_unlock_irq(&queue->hwq->lock);
}

/* ---- hardware ---- */

union sili_queue_words {
	struct x1_mbox_queue_create create;
	u32 word[X1_MBOX_ARGS];
};

/* What firmware needs to know to start the slot of a queue. */
static union sili_queue_words sili_queue_request(struct sili_queue *queue)
{
	const struct drm_siliflow_queue_create *args = &queue->args;
	struct sili_hwq *hwq = queue->hwq;
	u64 ring = queue->user ? args->ring_addr :
				 SILI_KERNEL_DVA + (u64)hwq->index * SILI_RING_BYTES;

	return (union sili_queue_words){ .create = {
		.ring_lo = lower_32_bits(ring),
		.ring_hi = upper_32_bits(ring),
		.rptr_lo = lower_32_bits(args->rptr_addr),
		.rptr_hi = upper_32_bits(args->rptr_addr),
		.ring_log2 = queue->user ? args->ring_log2 : SILI_RING_LOG2,
		.priority = args->priority,
		.ring_vm = queue->user ? queue->vm->id : SILI_VM_KERNEL,
		.user_vm = queue->vm->id,
		.mcu_first = args->mcu_first,
		.mcu_count = args->mcu_count,
		.budget_lo = lower_32_bits(args->budget),
		.budget_hi = upper_32_bits(args->budget),
		.vector = hwq->vector,
		.queue = hwq->index,
	} };
}

static void sili_queue_started(struct sili_queue *queue)
{
	struct sili_hwq *hwq = queue->hwq;

	spin_lock_irq(&hwq->lock);
	hwq->wptr = 0;
	hwq->last_progress = 0;
	queue->counting = true;
	spin_unlock_irq(&hwq->lock);
}

/*
 * sili_queue_restore() - start a queue's slot again after a reset
 *
 * The caller holds hwq_lock and mbox_lock, and the scheduler is stopped.
 *
 * Return: 0 or a negative errno.
 */
int sili_queue_restore(struct sili_queue *queue)
{
	union sili_queue_words req = sili_queue_request(queue);
	int ret;

	lockdep_assert_held(&queue->sdev->hwq_lock);
	ret = sili_mbox_locked(queue->sdev, X1_MBOX_QUEUE_CREATE, req.word, X1_MBOX_ARGS, NULL);
	if (!ret)
		sili_queue_started(queue);
	return ret;
}

/* Find a slot and start it. */
static int sili_queue_start(struct sili_queue *queue)
{
	struct sili_device *sdev = queue->sdev;
	union sili_queue_words req;
	struct sili_hwq *hwq;
	u32 i;
	int ret;

	mutex_lock(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs && sdev->hwq[i].queue; i++)
		;
	if (i == sdev->num_hwqs) {
		ret = -ENOSPC;
		goto unlock;
	}
	hwq = &sdev->hwq[i];
	queue->hwq = hwq;
	req = sili_queue_request(queue);
	ret = sili_mbox(sdev, X1_MBOX_QUEUE_CREATE, req.word, X1_MBOX_ARGS, NULL);
	if (!ret) {
		sili_queue_started(queue);
		hwq->queue = queue;
	} else if (ret != -ENODEV && ret != -ETIMEDOUT) {
		ret = -EIO;
	}
unlock:
	mutex_unlock(&sdev->hwq_lock);
	return ret;
}

static int sili_hwq_destroy(struct sili_hwq *hwq)
{
	int ret = sili_mbox(hwq->sdev, X1_MBOX_QUEUE_DESTROY, &hwq->index, 1, NULL);

	if (ret == -ENODEV)
		wait_for_completion(&hwq->sdev->halted);
	/* Not there after a reset; with the device gone nothing is. */
	return ret == -ENOENT || ret == -ENODEV ? 0 : ret;
}

/* Stop the slot; on return the device does nothing for the queue any more. */
static void sili_queue_halt(struct sili_queue *queue)
{
	struct sili_device *sdev = queue->sdev;
	struct sili_hwq *hwq = queue->hwq;
	int ret;

	mutex_lock(&sdev->hwq_lock);
	ret = sili_hwq_destroy(hwq);
	mutex_unlock(&sdev->hwq_lock);
	if (!ret)
		return;
	sili_reset_schedule(sdev, "queue cannot be destroyed");
	flush_work(&sdev->reset_work);
}

/* ---- life ---- */

static int sili_queue_init(struct sili_queue *queue, struct drm_siliflow_queue_create *args)
{
	struct drm_gpu_scheduler *sched = &queue->hwq->sched;

	if (queue->user)
		return sili_userq_init(queue, args);
	return drm_sched_entity_init(&queue->entity, DRM_SCHED_PRIORITY_KERNEL, &sched, 1, NULL);
}

static struct sili_queue *sili_queue_new(struct sili_device *sdev, struct sili_vm *vm,
					 struct drm_siliflow_queue_create *args)
{
	struct sili_queue *queue;
	int ret;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL);
	if (!queue)
		return ERR_PTR(-ENOMEM);
	kref_init(&queue->ref);
	mutex_init(&queue->submit_lock);
	mutex_init(&queue->doorbell_lock);
	queue->user = args->flags & SILIFLOW_QUEUE_USER;
	queue->sdev = sdev;
	queue->open = true;
	queue->pid = task_tgid_nr(current);
	get_task_comm(queue->comm, current);
	queue->state.fault_mcu = X1_FAULT_MCU_NONE;
	queue->state.fault_pc = U32_MAX;
	queue->vm = vm;
	drm_gpuvm_get(&vm->base);
	drm_dev_get(&sdev->drm);
	sili_live_get();
	queue->args = *args;
	if (!queue->args.budget)
		queue->args.budget = sili_max_budget();
	ret = sili_queue_start(queue);
	if (ret) {
		sili_queue_put(queue);
		return ERR_PTR(ret);
	}
	ret = sili_queue_init(queue, args);
	if (!ret)
		return queue;
	sili_queue_stop(queue, -ECANCELED, 0);
	sili_queue_halt(queue);
	sili_hwq_flush(queue->hwq, -ECANCELED);
	if (queue->user)
		sili_userq_fini(queue);
	mutex_lock(&sdev->hwq_lock);
	queue->hwq->queue = NULL;
	mutex_unlock(&sdev->hwq_lock);
	sili_queue_put(queue);
	return ERR_PTR(ret);
}

/*
 * sili_queue_close() - end a queue and drop the handle's reference
 *
 * Jobs on the device end with -ECANCELED. On return the device does nothing
 * for the queue any more, and its slot is free.
 */
void sili_queue_close(struct sili_queue *queue)
{
	struct sili_device *sdev = queue->sdev;
	struct sili_hwq *hwq = queue->hwq;

	mutex_lock(&queue->submit_lock);
	queue->open = false;
	mutex_unlock(&queue->submit_lock);
	sili_queue_stop(queue, -ECANCELED, 0);
	sili_queue_halt(queue);
	sili_hwq_flush(hwq, -ECANCELED);
	if (queue->user) {
		sili_userq_fini(queue);
	} else {
		drm_sched_entity_fini(&queue->entity);
		/* All fences have signalled; the scheduler is about to free the jobs. */
		wait_event(hwq->wait, !atomic_read(&hwq->running));
	}
	sili_hwq_settle(hwq);
	mutex_lock(&sdev->hwq_lock);
	hwq->queue = NULL;
	mutex_unlock(&sdev->hwq_lock);
	sili_queue_put(queue);
}

static int sili_queue_check(struct sili_device *sdev, const struct drm_siliflow_queue_create *args)
{
	u32 mcus = sdev->num_mcus;
	u64 max = sili_max_budget();

	if (args->flags & ~SILIFLOW_QUEUE_FLAGS || args->pad ||
	    args->priority >= X1_NUM_PRIORITIES)
		return -EINVAL;
	if (args->mcu_first >= mcus || args->mcu_count > mcus - args->mcu_first ||
	    (!args->mcu_count && args->mcu_first))
		return -EINVAL;
	if (args->priority == X1_NUM_PRIORITIES - 1 && !capable(CAP_SYS_NICE))
		return -EPERM;
	if (max && args->budget > max)
		return -EPERM;
	return sili_timeout_check(args->timeout_ms);
}

int sili_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_queue_create *args = data;
	struct sili_file *sfile = file->driver_priv;
	struct sili_device *sdev = to_sili(drm);
	struct sili_queue *queue;
	struct sili_vm *vm;
	int ret;

	ret = sili_queue_check(sdev, args);
	if (ret)
		return ret;
	mutex_lock(&sfile->lock);
	vm = xa_load(&sfile->vms, args->vm);
	if (!vm)
		ret = -ENOENT;
	else
		ret = sili_userq_check(vm, args);
	if (!ret && sfile->num_queues == SILI_MAX_QUEUES_FILE)
		ret = -ENOSPC;
	if (ret)
		goto unlock;
	do {
		queue = sili_queue_new(sdev, vm, args);
		ret = PTR_ERR_OR_ZERO(queue);
	} while (sili_reset_helps(sdev, ret));
	if (ret)
		goto unlock;
	ret = xa_alloc(&sfile->queues, &args->queue, queue, xa_limit_31b, GFP_KERNEL);
	if (ret) {
		sili_queue_close(queue);
		goto unlock;
	}
	vm->queues++;
	sfile->num_queues++;
unlock:
	mutex_unlock(&sfile->lock);
	return ret;
}

int sili_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_queue_destroy *args = data;
	struct sili_file *sfile = file->driver_priv;
	struct sili_queue *queue;
	struct sili_vm *vm;

	if (args->pad)
		return -EINVAL;
	mutex_lock(&sfile->lock);
	queue = xa_erase(&sfile->queues, args->queue);
	if (queue) {
		/* The file's sum never goes backwards. */
		sili_queue_fold_cycles(queue);
		sfile->cycles += queue->cycles;
	}
	mutex_unlock(&sfile->lock);
	if (!queue)
		return -ENOENT;
	vm = queue->vm;
	drm_gpuvm_get(&vm->base);
	sili_queue_close(queue);
	mutex_lock(&sfile->lock);
	vm->queues--;
	sfile->num_queues--;
	mutex_unlock(&sfile->lock);
	sili_vm_put(vm);
	return 0;
}

int sili_ioctl_queue_state(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_siliflow_queue_state *args = data;
	u32 handle = args->queue;
	struct sili_queue *queue;
	struct sili_hwq *hwq;
	int idx;

	if (args->pad)
		return -EINVAL;
	queue = sili_queue_lookup(file->driver_priv, handle);
	if (!queue)
		return -ENOENT;
	if (!drm_dev_enter(drm, &idx)) {
		sili_queue_put(queue);
		return -ENODEV;
	}
	hwq = queue->hwq;
	spin_lock_irq(&hwq->lock);
	*args = queue->state;
	spin_unlock_irq(&hwq->lock);
	args->queue = handle;
	args->cycles = sili_queue_cycles(queue);
	args->progress = sili_q_read64(hwq, X1_Q_PROGRESS_LO);
	drm_dev_exit(idx);
	sili_queue_put(queue);
	return 0;
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_queue_test.c"
#endif
