// SPDX-License-Identifier: GPL-2.0-only
/*
 * User queues: ring and read pointer lie in the user's own memory, and the
 * process writes the doorbell itself, through a page that it maps.
 *
 * The kernel does not see what such a queue runs, so no fence comes out of it
 * and its VM is a long-running one. What keeps the VM's buffers in their place
 * is a preempt fence of each queue in the VM's reservation: who wants to move a
 * buffer waits for it, which has the queue suspended. Then the queue gets its
 * buffers back, a new preempt fence, and goes on.
 *
 * hwq->preempt is that fence, NULL while the queue must not run. Whoever takes
 * it away has seen that the device does nothing for the queue.
 */
#include <linux/iopoll.h>
#include <linux/mm.h>

#include <drm/drm_utils.h>
#include <drm/drm_vma_manager.h>

#include "siliflow.h"
#include "siliflow_job.h"

#define SILI_SUSPEND_US		1000000
#define SILI_RESUME_RETRY	msecs_to_jiffies(100)
/* A VM whose buffers find no place for so long loses its queues. */
#define SILI_RESUME_TRIES	50

/* ---- preempt fences ---- */

struct sili_preempt {
	struct dma_fence base;
	/** @lock: the fence's own */
	spinlock_t lock;
	struct sili_hwq *hwq;
};

static const char *sili_preempt_driver_name(struct dma_fence *fence)
{
	return SILI_NAME;
}

static const char *sili_preempt_timeline_name(struct dma_fence *fence)
{
	return "preempt";
}

static bool sili_preempt_enable(struct dma_fence *fence)
{
	struct sili_hwq *hwq = container_of(fence, struct sili_preempt, base)->hwq;

	queue_work(hwq->sdev->preempt_wq, &hwq->suspend_work);
	return true;
}

static const struct dma_fence_ops sili_preempt_ops = {
	.get_driver_name = sili_preempt_driver_name,
	.get_timeline_name = sili_preempt_timeline_name,
	.enable_signaling = sili_preempt_enable,
};

/* The slot's user queue does nothing: its memory may move. */
static void sili_userq_release(struct sili_hwq *hwq)
{
	struct dma_fence *fence;
	unsigned long irqflags;

	spin_lock_irqsave(&hwq->lock, irqflags);
	fence = hwq->preempt;
	hwq->preempt = NULL;
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	if (!fence)
		return;
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* ---- suspending ---- */

/* Until the device does nothing for the slot; false if it does not come to rest. */
static bool sili_hwq_park(struct sili_hwq *hwq)
{
	struct sili_device *sdev = hwq->sdev;
	u32 state;
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx)) {
		wait_for_completion(&sdev->halted);
		return true;
	}
	sili_write(sdev, X1_REG_QUEUE(hwq->index) + X1_Q_CTRL, X1_Q_OP_SUSPEND);
	ret = readl_poll_timeout(sdev->regs + X1_REG_QUEUE(hwq->index) + X1_Q_STATE, state,
				 state == X1_Q_STATE_SUSPENDED || state == X1_Q_STATE_FAULTED ||
				 state == X1_Q_STATE_DISABLED, 20, SILI_SUSPEND_US);
	if (ret)
		sili_reset_schedule(sdev, "queue does not suspend");
	drm_dev_exit(idx);
	return !ret;
}

/* Others wait for it, holding reservations: it takes no lock that they may hold. */
static void sili_suspend_work(struct work_struct *work)
{
	struct sili_hwq *hwq = container_of(work, struct sili_hwq, suspend_work);
	bool cookie = dma_fence_begin_signalling();

	/* Else the reset releases it. */
	if (sili_hwq_park(hwq))
		sili_userq_release(hwq);
	dma_fence_end_signalling(cookie);
	hwq->resume_tries = 0;
	queue_delayed_work(system_unbound_wq, &hwq->resume_work, 0);
}

/* ---- resuming ---- */

/*
 * sili_userq_resume() - give a queue its buffers and a preempt fence, and let it run
 *
 * Return: 0 or a negative errno.
 */
static int sili_userq_resume(struct sili_queue *queue)
{
	struct sili_hwq *hwq = queue->hwq;
	struct sili_vm_jobs jobs;
	struct sili_preempt *p;
	int idx, ret;

	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	spin_lock_init(&p->lock);
	p->hwq = hwq;
	ret = sili_vm_begin_jobs(queue->vm, &jobs);
	if (ret) {
		kfree(p);
		return ret;
	}
	dma_fence_init(&p->base, &sili_preempt_ops, &p->lock, hwq->preempt_context,
		       ++hwq->preempt_seqno);
	ret = -ENODEV;
	if (drm_dev_enter(&hwq->sdev->drm, &idx)) {
		spin_lock_irq(&hwq->lock);
		ret = queue->error;
		if (!ret) {
			hwq->preempt = dma_fence_get(&p->base);
			sili_write(hwq->sdev, X1_REG_QUEUE(hwq->index) + X1_Q_CTRL,
				   X1_Q_OP_RESUME);
		}
		spin_unlock_irq(&hwq->lock);
		drm_dev_exit(idx);
	}
	if (!ret)
		sili_vm_add_fence(queue->vm, &jobs, &p->base);
	sili_vm_end_jobs(queue->vm, &jobs);
	dma_fence_put(&p->base);
	return ret;
}

/* While it runs the slot has its owner. */
static void sili_resume_work(struct work_struct *work)
{
	struct sili_hwq *hwq = container_of(work, struct sili_hwq, resume_work.work);
	struct sili_queue *queue = hwq->queue;
	int ret;

	if (READ_ONCE(queue->error))
		return;
	ret = sili_userq_resume(queue);
	if (!ret || READ_ONCE(queue->error))
		return;
	if (++hwq->resume_tries < SILI_RESUME_TRIES) {
		queue_delayed_work(system_unbound_wq, &hwq->resume_work, SILI_RESUME_RETRY);
		return;
	}
	sili_queue_stop(queue, ret, SILIFLOW_QUEUE_LOST);
	wake_up_all(&hwq->value_wait);
}

/* ---- doorbell ---- */

static u64 sili_doorbell_offset(struct sili_hwq *hwq)
{
	/* Below all offsets of buffers, and not 0. */
	return (u64)(hwq->index + 1) << PAGE_SHIFT;
}

static vm_fault_t sili_doorbell_fault(struct vm_fault *vmf)
{
	struct sili_queue *queue = vmf->vma->vm_private_data;
	struct sili_device *sdev = queue->sdev;
	unsigned long pfn = page_to_pfn(queue->dummy);
	vm_fault_t ret;

	mutex_lock(&queue->doorbell_lock);
	if (!queue->revoked)
		pfn = (sdev->regs_phys + sdev->db_offset +
		       (u64)queue->hwq->index * sdev->db_stride) >> PAGE_SHIFT;
	ret = vmf_insert_pfn(vmf->vma, vmf->vma->vm_start, pfn);
	mutex_unlock(&queue->doorbell_lock);
	return ret;
}

static void sili_doorbell_open(struct vm_area_struct *vma)
{
	struct sili_queue *queue = vma->vm_private_data;

	kref_get(&queue->ref);
}

static void sili_doorbell_close(struct vm_area_struct *vma)
{
	sili_queue_put(vma->vm_private_data);
}

static const struct vm_operations_struct sili_doorbell_ops = {
	.fault = sili_doorbell_fault,
	.open = sili_doorbell_open,
	.close = sili_doorbell_close,
};

static struct sili_queue *sili_doorbell_find(struct sili_file *sfile, u64 offset)
{
	struct sili_queue *queue;
	unsigned long i;

	xa_lock(&sfile->queues);
	xa_for_each(&sfile->queues, i, queue) {
		if (queue->user && sili_doorbell_offset(queue->hwq) == offset) {
			kref_get(&queue->ref);
			xa_unlock(&sfile->queues);
			return queue;
		}
	}
	xa_unlock(&sfile->queues);
	return NULL;
}

/*
 * sili_mmap() - mmap of the device node: a buffer, or a doorbell of the file's own
 */
int sili_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct drm_file *file = filp->private_data;
	struct sili_queue *queue;

	if (vma->vm_pgoff >= DRM_FILE_PAGE_OFFSET_START)
		return drm_gem_mmap(filp, vma);
	if (drm_dev_is_unplugged(file->minor->dev))
		return -ENODEV;
	if (vma->vm_end - vma->vm_start != PAGE_SIZE || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	queue = sili_doorbell_find(file->driver_priv, (u64)vma->vm_pgoff << PAGE_SHIFT);
	if (!queue)
		return -EINVAL;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vm_get_page_prot(vma->vm_flags));
	vma->vm_ops = &sili_doorbell_ops;
	vma->vm_private_data = queue;
	return 0;
}

/* ---- life ---- */

/*
 * sili_userq_check() - are the arguments those of a queue on such a VM?
 *
 * Return: 0 or -EINVAL.
 */
int sili_userq_check(struct sili_vm *vm, const struct drm_siliflow_queue_create *args)
{
	bool user = args->flags & SILIFLOW_QUEUE_USER;
	u64 end;

	/* Nobody looks at the progress of a user queue. */
	if (user != vm->long_running || (user && args->timeout_ms))
		return -EINVAL;
	if (!user)
		return args->ring_addr || args->rptr_addr || args->ring_log2 ? -EINVAL : 0;
	if (args->ring_log2 < X1_RING_MIN_LOG2 || args->ring_log2 > X1_RING_MAX_LOG2 ||
	    args->ring_addr % X1_CMD_BYTES || args->rptr_addr % sizeof(u64) ||
	    args->ring_addr < SILI_VA_START || args->rptr_addr >= SILI_VA_END ||
	    (args->rptr_addr && args->rptr_addr < SILI_VA_START) ||
	    check_add_overflow(args->ring_addr, (u64)X1_CMD_BYTES << args->ring_log2, &end) ||
	    end > SILI_VA_END)
		return -EINVAL;
	return 0;
}

/*
 * sili_userq_init() - let a new user queue run
 *
 * Return: 0 or a negative errno.
 */
int sili_userq_init(struct sili_queue *queue, struct drm_siliflow_queue_create *args)
{
	int ret;

	queue->dummy = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!queue->dummy)
		return -ENOMEM;
	ret = sili_userq_resume(queue);
	if (!ret)
		args->doorbell_offset = sili_doorbell_offset(queue->hwq);
	return ret;
}

/*
 * sili_userq_end() - the device does nothing for a stopped queue any more
 *
 * From now on the process writes to a page of nobody's.
 */
void sili_userq_end(struct sili_queue *queue)
{
	struct sili_hwq *hwq = queue->hwq;

	mutex_lock(&queue->doorbell_lock);
	queue->revoked = true;
	mutex_unlock(&queue->doorbell_lock);
	unmap_mapping_range(queue->sdev->drm.anon_inode->i_mapping, sili_doorbell_offset(hwq),
			    PAGE_SIZE, 1);
	sili_userq_release(hwq);
	wake_up_all(&hwq->value_wait);
}

/*
 * sili_userq_fini() - on return no work for an ended queue runs
 */
void sili_userq_fini(struct sili_queue *queue)
{
	/* Suspending starts resuming, which ends at a queue with an error. */
	cancel_work_sync(&queue->hwq->suspend_work);
	cancel_delayed_work_sync(&queue->hwq->resume_work);
}

/*
 * sili_userq_setup() - a slot's part, once
 */
void sili_userq_setup(struct sili_hwq *hwq)
{
	hwq->preempt_context = dma_fence_context_alloc(1);
	INIT_WORK(&hwq->suspend_work, sili_suspend_work);
	INIT_DELAYED_WORK(&hwq->resume_work, sili_resume_work);
}

/* ---- WAIT_VALUE ---- */

static int sili_wait_look(struct sili_queue *queue, u64 __user *ptr, u64 value)
{
	/* The error first: what it wrote before it stopped counts. */
	int error = READ_ONCE(queue->error);
	u64 now;

	if (get_user(now, ptr))
		return -EFAULT;
	if (now >= value)
		return 0;
	if (!error)
		return -EAGAIN;
	return error == -ENODEV ? error : -EIO;
}

static int sili_wait_value(struct sili_queue *queue, u64 __user *ptr, u64 value, long timeout)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int ret;

	add_wait_queue(&queue->hwq->value_wait, &wait);
	for (;;) {
		ret = sili_wait_look(queue, ptr, value);
		if (ret != -EAGAIN)
			break;
		if (!timeout) {
			ret = -ETIME;
			break;
		}
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		timeout = wait_woken(&wait, TASK_INTERRUPTIBLE, timeout);
	}
	remove_wait_queue(&queue->hwq->value_wait, &wait);
	return ret;
}

int sili_ioctl_wait_value(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_wait_value *args = data;
	struct sili_queue *queue;
	long timeout;
	int ret;

	if (args->pad || args->ptr % sizeof(u64))
		return -EINVAL;
	queue = sili_queue_lookup(file->driver_priv, args->queue);
	if (!queue)
		return -ENOENT;
	timeout = args->timeout_ns < 0 ? MAX_SCHEDULE_TIMEOUT :
					 drm_timeout_abs_to_jiffies(args->timeout_ns);
	ret = queue->user ? sili_wait_value(queue, u64_to_user_ptr(args->ptr), args->value,
					    timeout) : -EINVAL;
	sili_queue_put(queue);
	return ret;
}
