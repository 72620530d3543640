// SPDX-License-Identifier: GPL-2.0-only
/* SUBMIT: check all jobs, then queue them. */
#include <linux/uaccess.h>

#include "siliflow.h"
#include "siliflow_job.h"
#include "siliflow_sync.h"
#include "siliflow_trace.h"

/* A job on its way in. */
struct sili_entry {
	struct sili_job *job;
	struct sili_syncs syncs;
};

/*
 * sili_job_free() - free a job that the scheduler has known
 */
void sili_job_free(struct sili_job *job)
{
	drm_sched_job_cleanup(&job->base);
	kfree(job->fence);
	sili_queue_put(job->queue);
	kfree(job);
}

static int sili_job_check(const struct drm_siliflow_job *args)
{
	u64 end;

	if (args->pad || args->addr % X1_CMD_BYTES || !args->num_cmds ||
	    args->num_cmds > X1_MAX_CALL ||
	    check_add_overflow(args->addr, (u64)args->num_cmds * X1_CMD_BYTES, &end) ||
	    args->addr < SILI_VA_START || end > SILI_VA_END)
		return -EINVAL;
	return 0;
}

/* One job: from the user's struct to all that it needs. */
static int sili_entry_init(struct drm_file *file, struct sili_entry *entry,
			   const struct drm_siliflow_job *args)
{
	struct sili_job *job;
	int ret;

	ret = sili_job_check(args);
	if (ret)
		return ret;
	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return -ENOMEM;
	entry->job = job;
	job->fence = kzalloc(sizeof(*job->fence), GFP_KERNEL_ACCOUNT);
	if (!job->fence)
		return -ENOMEM;
	spin_lock_init(&job->fence->lock);
	job->addr = args->addr;
	job->num_cmds = args->num_cmds;
	return sili_syncs_init(file, &entry->syncs, args->in_syncs, args->num_in_syncs,
			       args->out_syncs, args->num_out_syncs);
}

static void sili_entry_free(struct sili_entry *entry)
{
	sili_syncs_free(&entry->syncs);
	if (!entry->job)
		return;
	/* With a queue the scheduler knows it, though it was not pushed. */
	if (entry->job->queue) {
		sili_job_free(entry->job);
	} else {
		kfree(entry->job->fence);
		kfree(entry->job);
	}
}

/* The fence of a job goes to its syncobjs and to the VM. */
static void sili_entry_signal(struct sili_queue *queue, struct sili_vm_jobs *vm_jobs,
			      struct sili_entry *entry, const struct sili_job *job,
			      struct dma_fence *fence)
{
	trace_siliflow_submit(queue->sdev->index, queue->hwq->index, fence->context, fence->seqno,
			      job->addr, job->num_cmds);
	sili_vm_add_fence(queue->vm, vm_jobs, fence);
	sili_syncs_signal(&entry->syncs, fence);
}

/* Does nothing keep the jobs from the ring? submit_lock held. */
static bool sili_direct(struct sili_queue *queue, struct sili_entry *entries, u32 num)
{
	u32 i;

	if (atomic_read(&queue->waiting) ||
	    READ_ONCE(queue->hwq->num_inflight) + num > SILI_MAX_DIRECT)
		return false;
	for (i = 0; i < num; i++)
		if (entries[i].syncs.num_in)
			return false;
	return true;
}

static int sili_push_direct(struct sili_queue *queue, struct sili_vm_jobs *vm_jobs,
			    struct sili_entry *entries, u32 num)
{
	struct sili_job *jobs[SILIFLOW_MAX_JOBS];
	u32 i;
	int ret;

	for (i = 0; i < num; i++)
		jobs[i] = entries[i].job;
	ret = sili_hwq_run(queue, jobs, num);
	for (i = 0; i < num && !ret; i++) {
		struct dma_fence *fence = &no_free_ptr(jobs[i]->fence)->base;

		sili_entry_signal(queue, vm_jobs, &entries[i], jobs[i], fence);
		dma_fence_put(fence);
	}
	return ret;
}

static int sili_sched_prepare(struct drm_file *file, struct sili_queue *queue,
			      struct sili_entry *entry)
{
	struct sili_job *job = entry->job;
	int ret;

	ret = drm_sched_job_init(&job->base, &queue->entity, 1, file, file->client_id);
	if (ret)
		return ret;
	job->queue = queue;
	kref_get(&queue->ref);
	return sili_syncs_depend(&entry->syncs, &job->base);
}

static void sili_push_sched(struct sili_queue *queue, struct sili_vm_jobs *vm_jobs,
			    struct sili_entry *entries, u32 num)
{
	u32 i;

	for (i = 0; i < num; i++) {
		struct sili_job *job = no_free_ptr(entries[i].job);

		drm_sched_job_arm(&job->base);
		sili_entry_signal(queue, vm_jobs, &entries[i], job, &job->base.s_fence->finished);
		atomic_inc(&queue->waiting);
		drm_sched_entity_push_job(&job->base);
	}
}

/* Queue all jobs or none; submit_lock held. */
static int sili_push(struct drm_file *file, struct sili_queue *queue, struct sili_entry *entries,
		     u32 num)
{
	bool direct = sili_direct(queue, entries, num);
	struct sili_vm_jobs vm_jobs;
	int ret;
	u32 i;

again:
	ret = queue->open ? READ_ONCE(queue->error) : -ENOENT;
	for (i = 0; i < num && !direct && !ret; i++)
		ret = sili_sched_prepare(file, queue, &entries[i]);
	if (ret)
		return ret;
	ret = sili_vm_begin_jobs(queue->vm, &vm_jobs);
	if (ret)
		return ret;
	if (direct)
		ret = sili_push_direct(queue, &vm_jobs, entries, num);
	else
		sili_push_sched(queue, &vm_jobs, entries, num);
	sili_vm_end_jobs(queue->vm, &vm_jobs);
	/* In a reset, after which the scheduler brings them. */
	if (ret == -EAGAIN && direct) {
		direct = false;
		goto again;
	}
	return ret;
}

int sili_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file)
{
	const struct drm_siliflow_submit *args = data;
	struct drm_siliflow_job job;
	struct sili_entry *entries;
	struct sili_queue *queue;
	u32 i;
	int ret = 0;

	if (args->flags || args->pad || !args->num_jobs || args->num_jobs > SILIFLOW_MAX_JOBS ||
	    args->job_stride < sizeof(job) || args->job_stride > PAGE_SIZE)
		return -EINVAL;
	queue = sili_queue_lookup(file->driver_priv, args->queue);
	if (!queue)
		return -ENOENT;
	if (queue->user) {
		sili_queue_put(queue);
		return -EINVAL;
	}
	entries = kcalloc(args->num_jobs, sizeof(*entries), GFP_KERNEL);
	if (!entries) {
		sili_queue_put(queue);
		return -ENOMEM;
	}
	for (i = 0; i < args->num_jobs && !ret; i++) {
		ret = copy_struct_from_user(&job, sizeof(job), u64_to_user_ptr(args->jobs) +
					    (u64)i * args->job_stride, args->job_stride);
		if (ret == -E2BIG)
			ret = -EINVAL;
		if (!ret)
			ret = sili_entry_init(file, &entries[i], &job);
	}
	if (!ret) {
		mutex_lock(&queue->submit_lock);
		ret = sili_push(file, queue, entries, args->num_jobs);
		mutex_unlock(&queue->submit_lock);
	}
	/* Any fault is -EIO here, the cause is in the queue's state. */
	if (ret == -ETIME)
		ret = -EIO;
	for (i = 0; i < args->num_jobs; i++)
		sili_entry_free(&entries[i]);
	kfree(entries);
	sili_queue_put(queue);
	return ret;
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_submit_test.c"
#endif
