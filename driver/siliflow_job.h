/* SPDX-License-Identifier: GPL-2.0-only */
/* A job: the scheduler's part and ours. */
#ifndef _SILIFLOW_JOB_H_
#define _SILIFLOW_JOB_H_

#include "siliflow.h"

/**
 * struct sili_fence - the device has ended a job
 *
 * The lock is inside, so that the fence may outlive its queue.
 */
struct sili_fence {
	struct dma_fence base;
	/** @lock: the fence's own */
	spinlock_t lock;
	struct list_head link;
};

/** struct sili_job - one CALL */
struct sili_job {
	/** @base: only of jobs that go through the scheduler */
	struct drm_sched_job base;
	struct sili_queue *queue;
	/** @fence: until the job is in the ring */
	struct sili_fence *fence;
	bool started;
	u64 addr;
	u32 num_cmds;
};

#define to_sili_job(j) container_of(j, struct sili_job, base)

/* siliflow_hwq.c */
int sili_hwq_run(struct sili_queue *queue, struct sili_job *const *jobs, u32 num);

/* siliflow_submit.c */
void sili_job_free(struct sili_job *job);

#endif /* _SILIFLOW_JOB_H_ */
