// SPDX-License-Identifier: MIT
/* Tensors to and from other libraries, by DLPack. */
#include <stdlib.h>
#include <string.h>

#include "dlpack.h"
#include "sili_int.h"

#define MAX_DIMS 8

static const struct {
	uint8_t code, bits;
	enum x1_format fmt;
} types[] = {
	{DL_FLOAT, 32, X1_FMT_FP32}, {DL_FLOAT, 16, X1_FMT_FP16}, {DL_BFLOAT, 16, X1_FMT_BF16},
	{DL_E4M3FN, 8, X1_FMT_E4M3}, {DL_E5M2, 8, X1_FMT_E5M2},   {DL_INT, 8, X1_FMT_INT8},
	{DL_INT, 32, X1_FMT_INT32},
};

#define NUM_TYPES (sizeof(types) / sizeof(types[0]))

/* Elements, 0 with dimensions that are none or too many. */
static uint64_t count(uint32_t rank, const int64_t *shape)
{
	uint64_t n = 1;

	if (!rank || rank > MAX_DIMS)
		return 0;
	for (uint32_t i = 0; i < rank; i++) {
		if (shape[i] <= 0 || n > (1ull << 40) / (uint64_t)shape[i])
			return 0;
		n *= (uint64_t)shape[i];
	}
	return n;
}

/* ---- out ---- */

/* One allocation: what the other library sees, then its shape. */
struct exported {
	struct DLManagedTensor managed;
	int64_t shape[MAX_DIMS];
};

static void delete_exported(struct DLManagedTensor *self)
{
	free(self->manager_ctx);
}

SILI_EXPORT int sili_dlpack_export(struct sili_bo *bo, uint64_t offset, enum x1_format fmt,
				   uint32_t rank, const int64_t *shape,
				   struct DLManagedTensor **out)
{
	uint64_t n = count(rank, shape), bytes;
	struct exported *e;
	size_t t = 0;
	void *data;

	*out = NULL;
	while (t < NUM_TYPES && types[t].fmt != fmt)
		t++;
	if (!n || t == NUM_TYPES)
		return -EINVAL;
	bytes = n * types[t].bits / 8;
	if (offset > bo->bytes || bytes > bo->bytes - offset || offset % (types[t].bits / 8))
		return -EINVAL;
	data = sili_bo_map(bo);
	e = data ? calloc(1, sizeof(*e)) : NULL;
	if (!e)
		return -ENOMEM;
	memcpy(e->shape, shape, rank * sizeof(*shape));
	e->managed = (struct DLManagedTensor){
		.tensor = {.data = data,
			   .device_type = DL_CPU,
			   .ndim = (int32_t)rank,
			   .code = types[t].code,
			   .bits = types[t].bits,
			   .lanes = 1,
			   .shape = e->shape,
			   .byte_offset = offset},
		.manager_ctx = e,
		.deleter = delete_exported,
	};
	*out = &e->managed;
	return 0;
}

/* ---- in ---- */

static void copy_dense(const struct dl_tensor *t, uint64_t n, uint8_t *dst)
{
	const uint8_t *src = (const uint8_t *)t->data + t->byte_offset;
	size_t size = t->bits / 8;
	int64_t at[MAX_DIMS] = {0};

	if (!t->strides) {
		memcpy(dst, src, n * size);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		int64_t from = 0;

		for (int32_t d = 0; d < t->ndim; d++)
			from += at[d] * t->strides[d];
		memcpy(dst + i * size, src + from * (int64_t)size, size);
		for (int32_t d = t->ndim - 1; d >= 0 && ++at[d] == t->shape[d]; d--)
			at[d] = 0;
	}
}

SILI_EXPORT int sili_dlpack_import(struct sili_device *dev, struct DLManagedTensor *managed,
				   enum sili_mem where, struct sili_bo **bo, enum x1_format *fmt)
{
	const struct dl_tensor *t = &managed->tensor;
	uint64_t n = t->ndim > 0 ? count((uint32_t)t->ndim, t->shape) : 0;
	size_t i = 0;
	int ret;

	*bo = NULL;
	while (i < NUM_TYPES && (types[i].code != t->code || types[i].bits != t->bits))
		i++;
	if (!n || !t->data || t->lanes != 1 || i == NUM_TYPES)
		return -EINVAL;
	if (t->device_type != DL_CPU)
		return -ENOTSUP;
	ret = sili_bo_new(dev, n * t->bits / 8, where, 0, bo);
	if (!ret && !sili_bo_map(*bo)) {
		sili_bo_free(*bo);
		*bo = NULL;
		ret = -ENOMEM;
	}
	if (ret)
		return ret;
	copy_dense(t, n, sili_bo_map(*bo));
	*fmt = types[i].fmt;
	if (managed->deleter)
		managed->deleter(managed);
	return 0;
}
