// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs that have to wait, for fences or for room in the ring: each slot has a
 * scheduler that brings them to the ring when their time has come. Jobs that
 * wait for nothing are written to the ring where they are submitted.
 */
#include <drm/drm_managed.h>

#include "siliflow.h"
#include "siliflow_job.h"

static struct dma_fence *sili_run_job(struct drm_sched_job *base)
{
	struct sili_job *job = to_sili_job(base);
	struct sili_queue *queue = job->queue;
	int ret;

	atomic_inc(&queue->hwq->running);
	job->started = true;
	ret = sili_hwq_run(queue, &job, 1);
	atomic_dec(&queue->waiting);
	if (ret)
		return ERR_PTR(ret);
	/* The first reference becomes the scheduler's, the slot has the other. */
	return &no_free_ptr(job->fence)->base;
}

static void sili_free_job(struct drm_sched_job *base)
{
	struct sili_job *job = to_sili_job(base);
	struct sili_hwq *hwq = job->queue->hwq;
	bool started = job->started;

	/*
	 * Who ends the queue waits for the started ones, so the device does not
	 * go with this job's reference: it could not be freed from here.
	 */
	sili_job_free(job);
	if (started && atomic_dec_and_test(&hwq->running))
		wake_up_all(&hwq->wait);
}

static const struct drm_sched_backend_ops sili_sched_ops = {
	.run_job = sili_run_job,
	.free_job = sili_free_job,
};

static void sili_sched_release(struct drm_device *drm, void *arg)
{
	struct sili_device *sdev = arg;
	u32 i;

	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].sched.ready)
			drm_sched_fini(&sdev->hwq[i].sched);
	destroy_workqueue(sdev->submit_wq);
}

/*
 * sili_sched_init() - schedulers of all slots
 *
 * Return: 0 or a negative errno.
 */
int sili_sched_init(struct sili_device *sdev)
{
	u32 i;
	int ret;

	sdev->submit_wq = alloc_workqueue(SILI_NAME "-submit",
					  WQ_PERCPU | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!sdev->submit_wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(&sdev->drm, sili_sched_release, sdev);
	for (i = 0; i < sdev->num_hwqs && !ret; i++) {
		struct sili_hwq *hwq = &sdev->hwq[i];
		/* Hangs are the watchdog's. */
		const struct drm_sched_init_args args = {
			.ops = &sili_sched_ops,
			.submit_wq = sdev->submit_wq,
			.num_rqs = 1,
			.credit_limit = SILI_MAX_SCHED,
			.timeout = MAX_SCHEDULE_TIMEOUT,
			.name = hwq->name,
			.dev = sdev->drm.dev,
		};

		init_waitqueue_head(&hwq->wait);
		snprintf(hwq->name, sizeof(hwq->name), SILI_NAME "-q%u", i);
		ret = drm_sched_init(&hwq->sched, &args);
	}
	return ret;
}
