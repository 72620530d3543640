// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware queue slots. Each has a ring in the kernel's VM; a job is two
 * commands in it: CALL of the user's commands, which run with the user's VM
 * alone, and FENCE of the job's number with an interrupt. A job has ended when
 * the fence word has reached its number.
 *
 * A watchdog looks at slots that have jobs: one whose progress counter stood
 * still between two looks hangs, and is reset.
 */
#include <linux/iopoll.h>
#include <linux/module.h>

#include <drm/drm_managed.h>

#include "siliflow.h"
#include "siliflow_job.h"
#include "siliflow_trace.h"

#define SILI_Q_RESET_US		1000000
#define SILI_MIN_TIMEOUT_MS	100u

static_assert(2 * (SILI_MAX_DIRECT + SILI_MAX_SCHED) <= SILI_RING_ENTRIES - 2);

static unsigned int timeout_ms = 10000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms,
		 "A queue without progress for this time is reset, also the most that one may ask for (ms, default 10000, at least 100)");

/*
 * sili_max_timeout_ms() - the most that a queue may ask for
 */
u32 sili_max_timeout_ms(void)
{
	return max(READ_ONCE(timeout_ms), SILI_MIN_TIMEOUT_MS);
}

/**
 * sili_timeout_check() - may a queue have this timeout?
 * @ms: asked for, 0 = the default
 *
 * Return: 0, -EINVAL or -EPERM.
 */
int sili_timeout_check(u32 ms)
{
	if (ms && ms < SILI_MIN_TIMEOUT_MS)
		return -EINVAL;
	return ms > sili_max_timeout_ms() ? -EPERM : 0;
}

/* The slot has an owner. */
static unsigned long sili_timeout(struct sili_hwq *hwq)
{
	u32 max = sili_max_timeout_ms(), ms = hwq->queue->args.timeout_ms;

	return msecs_to_jiffies(ms ? min(ms, max) : max);
}

/* ---- fences of jobs ---- */

static const char *sili_fence_driver_name(struct dma_fence *fence)
{
	return SILI_NAME;
}

static const char *sili_fence_timeline_name(struct dma_fence *fence)
{
	return "hwq";
}

/* A fence in a sync file can outlast every file of ours: it keeps the module. */
static void sili_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops sili_fence_ops = {
	.get_driver_name = sili_fence_driver_name,
	.get_timeline_name = sili_fence_timeline_name,
	.release = sili_fence_release,
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
	struct sili_fence *f = job->fence;

	__module_get(THIS_MODULE);
	dma_fence_init(&f->base, &sili_fence_ops, &f->lock, hwq->context, ++hwq->seqno);
	list_add_tail(&f->link, &hwq->inflight);
	hwq->num_inflight++;
	trace_siliflow_run(hwq->sdev->index, hwq->index, hwq->context, hwq->seqno, job->addr,
			   job->num_cmds);
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
}

/**
 * sili_hwq_run() - write jobs into the ring and tell the device
 * @queue: owner of the slot
 * @jobs: jobs with fences, which the slot takes a reference of
 * @num: number of jobs, for which there is room
 *
 * Return: 0; or, with nothing done, the queue's error, or -EAGAIN in a reset.
 */
int sili_hwq_run(struct sili_queue *queue, struct sili_job *const *jobs, u32 num)
{
	struct sili_hwq *hwq = queue->hwq;
	struct sili_device *sdev = hwq->sdev;
	unsigned long irqflags;
	u32 i;
	int ret;

	spin_lock_irqsave(&hwq->lock, irqflags);
	ret = queue->error;
	if (!ret && hwq->held)
		ret = -EAGAIN;
	for (i = 0; i < num && !ret; i++) {
		sili_hwq_emit(hwq, jobs[i]);
		dma_fence_get(&jobs[i]->fence->base);
	}
	if (!ret) {
		wmb(); /* ring before doorbell */
		sili_write(sdev, sdev->db_offset + hwq->index * sdev->db_stride + X1_DB_WPTR,
			   hwq->wptr);
		queue_delayed_work(sdev->timeout_wq, &hwq->watchdog, sili_timeout(hwq));
	}
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	return ret;
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
		hwq->num_inflight--;
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
	u64 done;

	spin_lock_irqsave(&hwq->lock, irqflags);
	done = list_empty(&hwq->inflight) ? 0 : readq(hwq->sdev->hbm + sili_fence_offset(hwq));
	/* All ones: the device has gone. */
	if (done <= hwq->seqno)
		sili_hwq_signal(hwq, done, 0);
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	if (wq_has_sleeper(&hwq->value_wait))
		wake_up_all(&hwq->value_wait);
}

/**
 * sili_hwq_hold() - keep jobs from the ring, or let them
 * @hwq: slot
 * @hold: true also keeps the scheduler's
 *
 * Return: true if a job is on the device, completed ones aside.
 */
bool sili_hwq_hold(struct sili_hwq *hwq, bool hold)
{
	unsigned long irqflags;
	bool busy;

	if (hold)
		drm_sched_wqueue_stop(&hwq->sched);
	sili_hwq_complete(hwq);
	spin_lock_irqsave(&hwq->lock, irqflags);
	hwq->held = hold;
	busy = !list_empty(&hwq->inflight);
	spin_unlock_irqrestore(&hwq->lock, irqflags);
	if (!hold)
		drm_sched_wqueue_start(&hwq->sched);
	return busy;
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
	if (hwq->queue && hwq->queue->user)
		sili_userq_end(hwq->queue);
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

/* ---- hangs ---- */

static void sili_hwq_hang(struct sili_hwq *hwq)
{
	struct sili_device *sdev = hwq->sdev;
	u32 state;

	drm_dbg(&sdev->drm, "queue %u: no progress\n", hwq->index);
	trace_siliflow_reset(sdev->index, "queue", "no progress");
	sili_coredump(sdev, "queue makes no progress", hwq->queue, false);
	sili_queue_stop(hwq->queue, -ETIME, SILIFLOW_QUEUE_FAULTED);
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

/* While it runs the slot has its owner, see sili_hwq_settle(). */
static void sili_hwq_watchdog(struct work_struct *work)
{
	struct sili_hwq *hwq = container_of(work, struct sili_hwq, watchdog.work);
	struct sili_device *sdev = hwq->sdev;
	u64 progress;
	int idx;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return;
	/* In case an interrupt was lost. */
	sili_hwq_complete(hwq);
	progress = sili_q_read64(hwq, X1_Q_PROGRESS_LO);
	if (progress == hwq->last_progress && READ_ONCE(hwq->num_inflight))
		sili_hwq_hang(hwq);
	hwq->last_progress = progress;
	drm_dev_exit(idx);
	if (READ_ONCE(hwq->num_inflight))
		queue_delayed_work(sdev->timeout_wq, &hwq->watchdog, sili_timeout(hwq));
}

/*
 * sili_hwq_settle() - wait until no work for a slot without jobs runs
 */
void sili_hwq_settle(struct sili_hwq *hwq)
{
	cancel_delayed_work_sync(&hwq->watchdog);
}

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

/* ---- start ---- */

static void sili_hwq_release(struct drm_device *drm, void *arg)
{
	struct sili_device *sdev = arg;

	destroy_workqueue(sdev->preempt_wq);
	destroy_workqueue(sdev->timeout_wq);
}

/*
 * sili_hwq_init() - all slots, without owners
 *
 * Return: 0 or a negative errno.
 */
int sili_hwq_init(struct sili_device *sdev)
{
	u64 context;
	u32 i;

	sdev->hwq = drmm_kcalloc(&sdev->drm, sdev->num_hwqs, sizeof(*sdev->hwq), GFP_KERNEL);
	if (!sdev->hwq)
		return -ENOMEM;
	context = dma_fence_context_alloc(sdev->num_hwqs);
	for (i = 0; i < sdev->num_hwqs; i++) {
		struct sili_hwq *hwq = &sdev->hwq[i];

		hwq->sdev = sdev;
		hwq->index = i;
		hwq->context = context + i;
		spin_lock_init(&hwq->lock);
		INIT_LIST_HEAD(&hwq->inflight);
		init_waitqueue_head(&hwq->value_wait);
		INIT_DELAYED_WORK(&hwq->watchdog, sili_hwq_watchdog);
		sili_userq_setup(hwq);
	}
	sdev->timeout_wq = alloc_ordered_workqueue(SILI_NAME "-timeout", WQ_MEM_RECLAIM);
	if (!sdev->timeout_wq)
		return -ENOMEM;
	sdev->preempt_wq = alloc_workqueue(SILI_NAME "-preempt", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!sdev->preempt_wq) {
		destroy_workqueue(sdev->timeout_wq);
		return -ENOMEM;
	}
	return drmm_add_action_or_reset(&sdev->drm, sili_hwq_release, sdev);
}
