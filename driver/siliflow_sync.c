// SPDX-License-Identifier: GPL-2.0-only
/* Syncobjs: what a job or a bind waits for, and what it signals. */
#include <linux/dma-fence-chain.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>
#include <drm/gpu_scheduler.h>

#include <drm/siliflow_accel.h>

#include "siliflow_sync.h"

/* A syncobj to signal. */
struct sili_out {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;	/* timelines only */
	u64 point;
};

static int sili_sync_copy(struct drm_siliflow_sync *sync, u64 ptr, u32 i)
{
	bool timeline;

	if (copy_from_user(sync, u64_to_user_ptr(ptr) + (u64)i * sizeof(*sync), sizeof(*sync)))
		return -EFAULT;
	timeline = sync->flags & SILIFLOW_SYNC_TIMELINE;
	/* Point 0 of a timeline is the binary fence: nothing to wait for or signal. */
	if (sync->flags & ~SILIFLOW_SYNC_FLAGS || timeline != !!sync->point)
		return -EINVAL;
	return 0;
}

static int sili_syncs_in(struct drm_file *file, struct sili_syncs *syncs, u64 ptr, u32 count)
{
	struct drm_siliflow_sync sync;
	struct dma_fence *fence;
	u32 i;
	int ret;

	if (!count)
		return 0;
	syncs->in = kcalloc(count, sizeof(*syncs->in), GFP_KERNEL);
	if (!syncs->in)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		ret = sili_sync_copy(&sync, ptr, i);
		if (!ret)
			ret = drm_syncobj_find_fence(file, sync.handle, sync.point, 0, &fence);
		if (ret)
			return ret;
		if (dma_fence_is_signaled(fence))
			dma_fence_put(fence);
		else
			syncs->in[syncs->num_in++] = fence;
	}
	return 0;
}

static int sili_syncs_out(struct drm_file *file, struct sili_syncs *syncs, u64 ptr, u32 count)
{
	struct drm_siliflow_sync sync;
	u32 i;
	int ret;

	if (!count)
		return 0;
	syncs->out = kcalloc(count, sizeof(*syncs->out), GFP_KERNEL);
	if (!syncs->out)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		struct sili_out *out = &syncs->out[i];

		ret = sili_sync_copy(&sync, ptr, i);
		if (ret)
			return ret;
		out->syncobj = drm_syncobj_find(file, sync.handle);
		if (!out->syncobj)
			return -ENOENT;
		syncs->num_out++;
		out->point = sync.point;
		if (out->point) {
			out->chain = dma_fence_chain_alloc();
			if (!out->chain)
				return -ENOMEM;
		}
	}
	return 0;
}

/**
 * sili_syncs_init() - from the user's structs to references
 * @file: whose syncobjs
 * @syncs: zeroed; to be freed, also after an error
 * @in: user pointer to @num_in struct drm_siliflow_sync
 * @num_in: number to wait for
 * @out: user pointer to @num_out struct drm_siliflow_sync
 * @num_out: number to signal
 *
 * Return: 0, -EINVAL, -ENOENT, -EFAULT or -ENOMEM.
 */
int sili_syncs_init(struct drm_file *file, struct sili_syncs *syncs, u64 in, u32 num_in, u64 out,
		    u32 num_out)
{
	int ret;

	if (num_in > SILIFLOW_MAX_SYNCS || num_out > SILIFLOW_MAX_SYNCS)
		return -EINVAL;
	ret = sili_syncs_in(file, syncs, in, num_in);
	return ret ? ret : sili_syncs_out(file, syncs, out, num_out);
}

/*
 * sili_syncs_depend() - have a job wait for the fences
 *
 * Return: 0 or -ENOMEM.
 */
int sili_syncs_depend(struct sili_syncs *syncs, struct drm_sched_job *job)
{
	int ret = 0;

	while (syncs->num_in && !ret)
		ret = drm_sched_job_add_dependency(job, syncs->in[--syncs->num_in]);
	return ret;
}

/*
 * sili_syncs_signal() - give the syncobjs their fence; cannot fail
 */
void sili_syncs_signal(struct sili_syncs *syncs, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < syncs->num_out; i++) {
		struct sili_out *out = &syncs->out[i];

		if (out->chain)
			drm_syncobj_add_point(out->syncobj, out->chain, fence, out->point);
		else
			drm_syncobj_replace_fence(out->syncobj, fence);
		out->chain = NULL;
	}
}

void sili_syncs_free(struct sili_syncs *syncs)
{
	u32 i;

	for (i = 0; i < syncs->num_in; i++)
		dma_fence_put(syncs->in[i]);
	kfree(syncs->in);
	for (i = 0; i < syncs->num_out; i++) {
		dma_fence_chain_free(syncs->out[i].chain);
		drm_syncobj_put(syncs->out[i].syncobj);
	}
	kfree(syncs->out);
	*syncs = (struct sili_syncs){};
}
