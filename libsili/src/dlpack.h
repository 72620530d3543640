/* SPDX-License-Identifier: MIT */
/*
 * The binary interface of DLPack's unversioned tensors, as far as it is needed:
 * what a `struct DLManagedTensor` points to (https://dmlc.github.io/dlpack).
 */
#ifndef SILI_DLPACK_H
#define SILI_DLPACK_H

#include <stdint.h>

enum dl_device_type {
	DL_CPU = 1,
};

enum dl_type_code {
	DL_INT = 0,
	DL_UINT = 1,
	DL_FLOAT = 2,
	DL_BFLOAT = 4,
	DL_E4M3FN = 10,
	DL_E5M2 = 12,
};

struct dl_tensor {
	void *data;
	int32_t device_type, device_id;
	int32_t ndim;
	uint8_t code, bits;
	uint16_t lanes;
	int64_t *shape;
	int64_t *strides; /* in elements; NULL: dense, the last dimension fastest */
	uint64_t byte_offset;
};

struct DLManagedTensor {
	struct dl_tensor tensor;
	void *manager_ctx;
	void (*deleter)(struct DLManagedTensor *self);
};

#endif /* SILI_DLPACK_H */
