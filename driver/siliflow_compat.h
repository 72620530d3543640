/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels from 6.12 to 7.3. The driver is written for the newest; what older
 * ones call otherwise stands here, and nowhere else. SILI_HAS_ comes from
 * Kbuild. A comment names the version that brought the new form.
 */
#ifndef _SILIFLOW_COMPAT_H_
#define _SILIFLOW_COMPAT_H_

#include <linux/version.h>
#include <linux/workqueue.h>

#include <drm/drm_buddy.h>
#include <drm/drm_drv.h>
#include <drm/drm_exec.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>

/* 7.3: an address space needs no feature bit. */
#ifdef SILI_HAS_DRIVER_GEM_GPUVA
#define SILI_DRIVER_GPUVA DRIVER_GEM_GPUVA
#else
#define SILI_DRIVER_GPUVA 0
#endif

/* 7.3: the iterator has its own index. */
#ifndef SILI_HAS_EXEC_OWN_INDEX
#undef drm_exec_for_each_locked_object
#define drm_exec_for_each_locked_object(exec, obj) \
	for (unsigned long i__ = 0; ((obj) = drm_exec_obj(exec, i__)); ++i__)
#endif

/* 7.0: the buddy allocator is not DRM's alone. */
#ifdef SILI_HAS_GPU_BUDDY
#include <linux/gpu_buddy.h>
#else
#define gpu_buddy			drm_buddy
#define gpu_buddy_block			drm_buddy_block
#define gpu_buddy_block_offset		drm_buddy_block_offset
#define gpu_buddy_block_size		drm_buddy_block_size
#define gpu_buddy_init			drm_buddy_init
#define gpu_buddy_fini			drm_buddy_fini
#define gpu_buddy_alloc_blocks		drm_buddy_alloc_blocks
#define gpu_buddy_free_list		drm_buddy_free_list
#define GPU_BUDDY_RANGE_ALLOCATION	DRM_BUDDY_RANGE_ALLOCATION
#define GPU_BUDDY_TOPDOWN_ALLOCATION	DRM_BUDDY_TOPDOWN_ALLOCATION
#endif

/* 7.0 */
#ifndef SILI_HAS_GPUVM_OBTAIN_LOCKED
#define drm_gpuvm_bo_obtain_locked drm_gpuvm_bo_obtain
#endif

/* 6.19: flags instead of bools; who ends a buffer has its last reference. */
#ifndef SILI_HAS_TTM_FLAGS
static inline int sili_ttm_device_init(struct ttm_device *bdev,
				       const struct ttm_device_funcs *funcs, struct device *dev,
				       struct address_space *mapping,
				       struct drm_vma_offset_manager *vma_manager,
				       unsigned int alloc_flags)
{
	return ttm_device_init(bdev, funcs, dev, mapping, vma_manager, false, false);
}

#define ttm_device_init sili_ttm_device_init
#endif
#ifndef SILI_HAS_TTM_BO_FINI
#define ttm_bo_fini ttm_bo_put
#endif

/* 6.18: a work queue says that it is per CPU; a request instead of its parts. */
#ifndef SILI_HAS_WQ_PERCPU
#define WQ_PERCPU 0
#endif
#ifndef SILI_HAS_GPUVM_MAP_REQ
struct drm_gpuvm_map_req {
	struct drm_gpuva_op_map map;
};

static inline int sili_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv,
				    const struct drm_gpuvm_map_req *req)
{
	return drm_gpuvm_sm_map(gpuvm, priv, req->map.va.addr, req->map.va.range,
				req->map.gem.obj, req->map.gem.offset);
}

#define drm_gpuvm_sm_map sili_gpuvm_sm_map
#endif

/* 6.17: a job knows its client. */
#ifndef SILI_HAS_SCHED_CLIENT_ID
static inline int sili_sched_job_init(struct drm_sched_job *job, struct drm_sched_entity *entity,
				      u32 credits, void *owner, u64 client_id)
{
	return drm_sched_job_init(job, entity, credits, owner);
}

#define drm_sched_job_init sili_sched_job_init
#endif

/* 6.15: arguments in a structure. */
#ifndef SILI_HAS_SCHED_INIT_ARGS
struct drm_sched_init_args {
	const struct drm_sched_backend_ops *ops;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *timeout_wq;
	u32 num_rqs;
	u32 credit_limit;
	unsigned int hang_limit;
	long timeout;
	atomic_t *score;
	const char *name;
	struct device *dev;
};

static inline int sili_sched_start(struct drm_gpu_scheduler *sched,
				   const struct drm_sched_init_args *args)
{
	return drm_sched_init(sched, args->ops, args->submit_wq, args->num_rqs, args->credit_limit,
			      args->hang_limit, args->timeout, args->timeout_wq, args->score,
			      args->name, args->dev);
}

#define drm_sched_init sili_sched_start
#endif

/* 6.13: the name is a string. */
#if KERNEL_VERSION(6, 13, 0) > LINUX_VERSION_CODE
#define SILI_IMPORT_NS(ns) MODULE_IMPORT_NS(ns)
#else
#define SILI_IMPORT_NS(ns) MODULE_IMPORT_NS(#ns)
#endif

#endif /* _SILIFLOW_COMPAT_H_ */
