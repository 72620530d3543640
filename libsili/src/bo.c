// SPDX-License-Identifier: MIT
/* Buffers: a DVA each, memory and mapping by the back end. */
#include <stdlib.h>

#include "sili_int.h"

SILI_EXPORT int sili_bo_new(struct sili_device *dev, size_t bytes, enum sili_mem where,
			    uint32_t flags, struct sili_bo **out)
{
	struct sili_bo *bo;
	int ret;

	*out = NULL;
	if (!bytes || bytes > X1_MAX_COPY_BYTES * 64 || flags & ~SILI_BO_EXEC ||
	    (where != SILI_HBM && where != SILI_SYSTEM))
		return -EINVAL;
	bo = calloc(1, sizeof(*bo));
	if (!bo)
		return -ENOMEM;
	bo->dev = dev;
	bo->bytes = bytes;
	bo->where = where;
	bo->flags = flags;
	/* As the driver rounds: 2 MiB pages from 2 MiB on. */
	bo->mapped = sili_align(bytes, bytes >= X1_HUGE_SIZE ? X1_HUGE_SIZE : X1_PAGE_SIZE);
	bo->dva = sili_ranges_take(&dev->va, bo->mapped, X1_HUGE_SIZE);
	ret = bo->dva ? dev->be->bo_new(bo) : -ENOMEM;
	if (ret) {
		if (bo->dva)
			sili_ranges_give(&dev->va, bo->dva, bo->mapped);
		free(bo);
		return ret;
	}
	dev->num_bos++;
	*out = bo;
	return 0;
}

SILI_EXPORT void sili_bo_free(struct sili_bo *bo)
{
	if (!bo)
		return;
	bo->dev->be->bo_free(bo);
	sili_ranges_give(&bo->dev->va, bo->dva, bo->mapped);
	bo->dev->num_bos--;
	free(bo);
}

SILI_EXPORT size_t sili_bo_size(const struct sili_bo *bo)
{
	return bo->bytes;
}

SILI_EXPORT uint64_t sili_bo_dva(const struct sili_bo *bo)
{
	return bo->dva;
}

SILI_EXPORT void *sili_bo_map(struct sili_bo *bo)
{
	if (!bo->cpu)
		bo->cpu = bo->dev->be->bo_map(bo);
	return bo->cpu;
}
