/* SPDX-License-Identifier: GPL-2.0-only */
/* The manager of HBM. */
#ifndef _SILIFLOW_VRAM_H_
#define _SILIFLOW_VRAM_H_

#include <drm/ttm/ttm_resource.h>

#include "siliflow_compat.h"

/** struct sili_vram - manager */
struct sili_vram {
	struct ttm_resource_manager man;
	/** @size: bytes */
	u64 size;
	/** @visible: bytes at the start that the CPU can map */
	u64 visible;
	/** @lock: protects what follows */
	struct mutex lock;
	struct gpu_buddy mm;
	u64 visible_used;
};

/** struct sili_seg - pages side by side */
struct sili_seg {
	/** @page: first page of the buffer */
	u32 page;
	/** @hbm_page: where it is */
	u32 hbm_page;
};

/** struct sili_vram_res - HBM of a buffer */
struct sili_vram_res {
	struct ttm_resource base;
	struct list_head blocks;
	struct sili_seg *segs;
	u32 num_segs;
	/** @visible: bytes that the CPU can map */
	u64 visible;
};

static inline struct sili_vram_res *to_sili_vram_res(struct ttm_resource *base)
{
	return container_of(base, struct sili_vram_res, base);
}

int sili_vram_init(struct ttm_device *ttm, u64 size, u64 visible);
void sili_vram_fini(struct ttm_device *ttm);
u64 sili_vram_run(struct ttm_resource *base, u32 page, u32 *run);

#endif /* _SILIFLOW_VRAM_H_ */
