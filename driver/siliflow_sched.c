// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware queue slots. Each has a ring in the kernel's VM and a scheduler of
 * its own; a job is two commands in the ring: CALL of the user's commands,
 * which run with the user's VM alone, and FENCE of the job's number with an
 * interrupt. A job has ended when the fence word has reached its number.
 */
#include <linux/iopoll.h>
#include <linux/module.h>

#include <drm/drm_managed.h>

#include "siliflow.h"
#include "siliflow_job.h"
#include "siliflow_trace.h"

/* One job may have ended, with its ring entries not yet given back. */
#define SILI_MAX_INFLIGHT	(SILI_RING_ENTRIES / 2 - 2)
#define SILI_Q_RESET_US		1000000

static unsigned int timeout_ms = 10000;
module_param(timeout_ms, uint, 0444);
MODULE_PARM_DESC(timeout_ms,
		 "A queue without progress for this time is reset (ms, default 10000)");

/* ---- fences of jobs ---- */

static const char *sili_fence_driver_name(struct dma_fence *fence)
{
	return SILI_NAME;
}

static const char *sili_fence_timeline_name(struct dma_fence *fence)
{
	return "hwq";
}

static const struct dma_fence_ops sili_fence_ops = {
	.get_driver_name = sili_fence_driver_name,
	.get_timeline_name = sili_fence_timeline_name,
};

/* ---- rings ---- */

static u64 sili_ring_offset(struct sili_hwq *hwq, u32 entry)
{
	return (u64)hwq->index * SILI_RING_BYTES + entry % SILI_RING_ENTRIES * X1_CMD_BYTES;
}

static u64 sili_fence_offset(struct sili_hwq *hwq)
{
	return SILI_FENCE_OFFSET + (u64)hwq->index * SILI_FENCE_STRIDE;
}

static void sili_ring_emit(struct sili_hwq *hwq, const union x1_cmd *cmd)
{
	memcpy_toio(hwq->sdev->hbm + sili_ring_offset(hwq, hwq->wptr++), cmd, sizeof(*cmd));
}

static void sili_hwq_emit(struct sili_hwq *hwq, struct sili_job *job)
{
	struct sili_device *sdev = hwq->sdev;

	sili_ring_emit(hwq, &(union x1_cmd){ .call = {
		.hdr.op = X1_CMD_CALL,
		.addr = job->addr,
		.count = job->num_cmds,
	} });
	sili_ring_emit(hwq, &(union x1_cmd){ .sync = {
		.hdr.op = X1_CMD_FENCE,
		.hdr.flags = X1_FENCE_IRQ,
		.addr = SILI_KERNEL_DVA + sili_fence_offset(hwq),
		.value = hwq->seqno,
	} });
	wmb(); /* ring before doorbell */
	sili_write(sdev, sdev->db_offset + hwq->index * sdev->db_stride + X1_DB_WPTR, hwq->wptr);
}

/* Lock held. */
static void sili_hwq_signal(struct sili_hwq *hwq, u64 last, int error)
{
	struct sili_fence *f, *next;

	lockdep_assert_held(&hwq->lock);
	list_for_each_entry_safe(f, next, &hwq->inflight, link) {
		if (f->base.seqno > last)
			break;
		list_del(&f->link);
		if (error)
			dma_fence_set_error(&f->base, error);
		trace_siliflow_fence(hwq->sdev->index, hwq->index, f->base.context, f->base.seqno,
				     error);
		dma_fence_signal(&f->base);
		dma_fence_put(&f->base);
	}
}

/*
 * sili_hwq_complete() - signal the jobs whose fence the device has written
 *
 * In interrupts, too.
 */
void sili_hwq_complete(struct sili_hwq *hwq)
{
	unsigned long irqflags;

	spin_lock_irqsave(&hwq->lock, irqflags);
	if (!list_empty(&hwq->inflight))
		sili_hwq_signal(hwq, readq(hwq->sdev->hbm + sili_fence_offset(hwq)), 0);
	spin_unlock_irqrestore(&hwq->lock, irqflags);
}

/**
 * sili_hwq_flush() - end all jobs of a slot that does nothing any more
 * @hwq: slot
 * @error: for those that the device has not completed
 */
void sili_hwq_flush(struct sili_hwq *hwq, int error)
{
	unsigned long irqflags;

	sili_hwq_complete(hwq);
	spin_lock_irqsave(&hwq->lock, irqflags);
	sili_hwq_signal(hwq, U64_MAX, error);
	spin_unlock_irqrestore(&hwq->lock, irqflags);
}

/**
 * sili_queue_stop() - from now on jobs of a queue end with an error
 * @queue: queue
 * @error: the error; the first one stays
 * @state: SILIFLOW_QUEUE_* to add
 */
void sili_queue_stop(struct sili_queue *queue, int error, u32 state)
{
	unsigned long irqflags;

	spin_lock_irqsave(&queue->hwq->lock, irqflags);
	if (!queue->error) {
		queue->error = error;
		queue->state.state |= state;
	}
	spin_unlock_irqrestore(&queue->hwq->lock, irqflags);
}

/* ---- scheduler ---- */

static struct dma_fence *sili_run_job(struct drm_sched_job *base)
{
	struct sili_job *job = to_sili_job(base);
	struct sili_queue *queue = job->queue;
	struct sili_hwq *hwq = queue->hwq;
	struct sili_fence *f = job->fence;
	unsigned long irqflags;

	atomic_inc(&hwq->running);
	job->started = true;
	spin_lock_irqsave(&hwq->lock, irqflags);
	if (queue->error) {
		spin_unlock_irqrestore(&hwq->lock, irqflags);
		return ERR_PTR(queue->error);
	}
	dma_fence_init(&f->base, &sili_fence_ops, &f->lock, hwq->context, ++hwq->seqno);
	job->fence = NULL;
	dma_fence_get(&f->base);
	list_add_tail(&f->link, &hwq->inflight);
	trace_siliflow_run(hwq->sdev->index, hwq->index, hwq->context, hwq->seqno, job->addr,
			   job->num_cmds);
	sili_hwq_emit(hwq, job);
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	/* The first reference is the scheduler's, the list has the other. */
	return &f->base;
}

static void sili_free_job(struct drm_sched_job *base)
{
	struct sili_job *job = to_sili_job(base);
	struct sili_hwq *hwq = job->queue->hwq;

	if (job->started && atomic_dec_and_test(&hwq->running))
		wake_up_all(&hwq->wait);
	sili_job_free(job);
}

static void sili_hwq_hang(struct sili_hwq *hwq, struct sili_queue *queue)
{
	struct sili_device *sdev = hwq->sdev;
	u32 state;

	drm_dbg(&sdev->drm, "queue %u: no progress\n", hwq->index);
	sili_queue_stop(queue, -ETIME, SILIFLOW_QUEUE_FAULTED);
	sili_write(sdev, X1_REG_QUEUE(hwq->index) + X1_Q_CTRL, X1_Q_OP_RESET);
	if (readl_poll_timeout(sdev->regs + X1_REG_QUEUE(hwq->index) + X1_Q_STATE, state,
			       state == X1_Q_STATE_READY || state == X1_Q_STATE_DISABLED, 100,
			       SILI_Q_RESET_US)) {
		/* Its jobs end when the device has been reset. */
		sili_reset_schedule(sdev, "queue does not stop");
		return;
	}
	sili_hwq_flush(hwq, -ETIME);
}

static enum drm_gpu_sched_stat sili_timedout_job(struct drm_sched_job *base)
{
	struct sili_queue *queue = to_sili_job(base)->queue;
	struct drm_gpu_scheduler *sched = base->sched;
	struct sili_hwq *hwq = container_of(sched, struct sili_hwq, sched);
	u64 progress;
	int idx;

	kref_get(&queue->ref);
	/*
	 * The scheduler took the job off its list. It goes back at once: it is
	 * freed by the ordinary path when its fence signals.
	 */
	spin_lock(&sched->job_list_lock);
	list_add(&base->list, &sched->pending_list);
	spin_unlock(&sched->job_list_lock);
	/* In case an interrupt was lost. */
	sili_hwq_complete(hwq);
	if (drm_dev_enter(&hwq->sdev->drm, &idx)) {
		progress = sili_q_read64(hwq, X1_Q_PROGRESS_LO);
		if (progress != hwq->last_progress)
			hwq->last_progress = progress;
		else if (!list_empty(&hwq->inflight))
			sili_hwq_hang(hwq, queue);
		drm_dev_exit(idx);
	}
	sili_queue_put(queue);
	/* A fence that signalled while the job was off the list woke nobody. */
	queue_work(sched->submit_wq, &sched->work_free_job);
	return DRM_GPU_SCHED_STAT_NOMINAL;
}

static const struct drm_sched_backend_ops sili_sched_ops = {
	.run_job = sili_run_job,
	.timedout_job = sili_timedout_job,
	.free_job = sili_free_job,
};

/* ---- faults ---- */

static void sili_hwq_read_fault(struct sili_hwq *hwq, struct drm_siliflow_queue_state *s)
{
	u32 info = sili_q_read(hwq, X1_Q_FAULT_INFO);

	s->fault_code = X1_FAULT_INFO_CODE(info);
	s->fault_access = X1_FAULT_INFO_ACCESS(info);
	s->fault_unit = X1_FAULT_INFO_UNIT(info);
	s->fault_mcu = X1_FAULT_INFO_MCU(info);
	s->fault_addr = sili_q_read(hwq, X1_Q_FAULT_ADDR_LO) |
			(u64)sili_q_read(hwq, X1_Q_FAULT_ADDR_HI) << 32;
	s->fault_pc = sili_q_read(hwq, X1_Q_FAULT_PC);
	s->fault_tag = sili_q_read(hwq, X1_Q_FAULT_TAG);
	s->fault_wg = sili_q_read(hwq, X1_Q_FAULT_WG);
}

/**
 * sili_hwq_fault() - see whether a slot has faulted, and end its jobs if so
 * @hwq: slot; hwq_lock held
 */
void sili_hwq_fault(struct sili_hwq *hwq)
{
	struct drm_siliflow_queue_state s = {};
	struct sili_queue *queue = hwq->queue;
	unsigned long irqflags;

	lockdep_assert_held(&hwq->sdev->hwq_lock);
	if (!queue || sili_q_read(hwq, X1_Q_STATE) != X1_Q_STATE_FAULTED)
		return;
	/* The jobs before the one that faulted are good. */
	sili_hwq_complete(hwq);
	sili_hwq_read_fault(hwq, &s);
	trace_siliflow_fault(hwq->sdev->index, hwq->index, s.fault_code, s.fault_addr,
			     s.fault_unit, s.fault_mcu, s.fault_pc);
	drm_dbg(&hwq->sdev->drm, "queue %u: fault %s at %#llx, pc %u\n", hwq->index,
		x1_fault_name(s.fault_code), s.fault_addr, s.fault_pc);
	spin_lock_irqsave(&hwq->lock, irqflags);
	if (!queue->error) {
		s.state = queue->state.state;
		queue->state = s;
	}
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	sili_queue_stop(queue, -EIO, SILIFLOW_QUEUE_FAULTED);
	sili_hwq_flush(hwq, -EIO);
}

/* ---- start and end ---- */

static void sili_sched_release(struct drm_device *drm, void *arg)
{
	struct sili_device *sdev = arg;
	u32 i;

	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].sched.ready)
			drm_sched_fini(&sdev->hwq[i].sched);
	destroy_workqueue(sdev->timeout_wq);
}

/*
 * sili_sched_init() - schedulers of all slots
 *
 * Return: 0 or a negative errno.
 */
int sili_sched_init(struct sili_device *sdev)
{
	u64 context;
	u32 i;
	int ret;

	sdev->hwq = drmm_kcalloc(&sdev->drm, sdev->num_hwqs, sizeof(*sdev->hwq), GFP_KERNEL);
	if (!sdev->hwq)
		return -ENOMEM;
	sdev->timeout_wq = alloc_ordered_workqueue(SILI_NAME "-timeout", 0);
	if (!sdev->timeout_wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&sdev->drm, sili_sched_release, sdev);
	if (ret)
		return ret;
	context = dma_fence_context_alloc(sdev->num_hwqs);
	for (i = 0; i < sdev->num_hwqs; i++) {
		struct sili_hwq *hwq = &sdev->hwq[i];

		hwq->sdev = sdev;
		hwq->index = i;
		hwq->context = context + i;
		spin_lock_init(&hwq->lock);
		INIT_LIST_HEAD(&hwq->inflight);
		init_waitqueue_head(&hwq->wait);
		snprintf(hwq->name, sizeof(hwq->name), SILI_NAME "-q%u", i);
		ret = drm_sched_init(&hwq->sched, &sili_sched_ops, NULL, 1, SILI_MAX_INFLIGHT, 0,
				     msecs_to_jiffies(timeout_ms), sdev->timeout_wq, NULL,
				     hwq->name, sdev->drm.dev);
		if (ret)
			return ret;
	}
	return 0;
}
