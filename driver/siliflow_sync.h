/* SPDX-License-Identifier: GPL-2.0-only */
/* Syncobjs of a job or a bind. */
#ifndef _SILIFLOW_SYNC_H_
#define _SILIFLOW_SYNC_H_

#include <linux/types.h>

struct dma_fence;
struct drm_file;
struct drm_sched_job;

/** struct sili_syncs - what something waits for, and what it signals */
struct sili_syncs {
	/** @in: fences to wait for that had not signalled yet */
	struct dma_fence **in;
	u32 num_in;
	struct sili_out *out;
	u32 num_out;
};

int sili_syncs_init(struct drm_file *file, struct sili_syncs *syncs, u64 in, u32 num_in, u64 out,
		    u32 num_out);
int sili_syncs_depend(struct sili_syncs *syncs, struct drm_sched_job *job);
void sili_syncs_signal(struct sili_syncs *syncs, struct dma_fence *fence);
void sili_syncs_free(struct sili_syncs *syncs);

#endif /* _SILIFLOW_SYNC_H_ */
