// SPDX-License-Identifier: MIT
/* Tensors to and from other libraries. */
#include <errno.h>
#include <string.h>

#include "dlpack.h"
#include "util.h"

static struct sili_device *dev;
static uint32_t deleted;

static int setup(void **state)
{
	(void)state;
	dev = t_open("sim:hbm=64M,mcus=1,timing=off");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sili_close(dev);
	return 0;
}

static void test_export(void **state)
{
	const int64_t shape[] = {3, 5};
	struct sili_bo *bo = t_bo(dev, 64 + 3 * 5 * 2, SILI_HBM);
	struct DLManagedTensor *t;

	(void)state;
	assert_int_equal(sili_dlpack_export(bo, 64, X1_FMT_BF16, 2, shape, &t), 0);
	assert_ptr_equal(t->tensor.data, sili_bo_map(bo));
	assert_int_equal(t->tensor.byte_offset, 64);
	assert_int_equal(t->tensor.device_type, DL_CPU);
	assert_int_equal(t->tensor.ndim, 2);
	assert_int_equal(t->tensor.shape[0], 3);
	assert_int_equal(t->tensor.shape[1], 5);
	assert_null(t->tensor.strides);
	assert_int_equal(t->tensor.code, DL_BFLOAT);
	assert_int_equal(t->tensor.bits, 16);
	assert_int_equal(t->tensor.lanes, 1);
	t->deleter(t);
	assert_int_equal(sili_dlpack_export(bo, 66, X1_FMT_BF16, 2, shape, &t), -EINVAL);
	assert_int_equal(sili_dlpack_export(bo, 63, X1_FMT_BF16, 2, shape, &t), -EINVAL);
	assert_int_equal(sili_dlpack_export(bo, 0, X1_FMT_E2M1, 2, shape, &t), -EINVAL);
	assert_int_equal(sili_dlpack_export(bo, 0, X1_FMT_BF16, 0, shape, &t), -EINVAL);
	assert_int_equal(sili_dlpack_export(bo, 0, X1_FMT_BF16, 9, shape, &t), -EINVAL);
	assert_int_equal(sili_dlpack_export(bo, 0, X1_FMT_BF16, 2, (const int64_t[]){3, -5}, &t),
			 -EINVAL);
	assert_null(t);
	sili_bo_free(bo);
}

static void count_deleted(struct DLManagedTensor *self)
{
	(void)self;
	deleted++;
}

static void test_import(void **state)
{
	float data[6] = {0, 1, 2, 3, 4, 5};
	const float turned[] = {1, 4, 2, 5};
	int64_t shape[] = {2, 2}, strides[] = {1, 3};
	/* Columns 1 and 2 of two rows of three, by column. */
	const struct DLManagedTensor good = {.tensor = {.data = data,
							.device_type = DL_CPU,
							.ndim = 2,
							.code = DL_FLOAT,
							.bits = 32,
							.lanes = 1,
							.shape = shape,
							.strides = strides,
							.byte_offset = 4},
					     .deleter = count_deleted};
	struct DLManagedTensor t = good;
	enum x1_format fmt;
	struct sili_bo *bo;

	(void)state;
	deleted = 0;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), 0);
	assert_int_equal(fmt, X1_FMT_FP32);
	assert_int_equal(sili_bo_size(bo), sizeof(turned));
	assert_memory_equal(sili_bo_map(bo), turned, sizeof(turned));
	assert_int_equal(deleted, 1);
	sili_bo_free(bo);

	t.tensor.strides = NULL;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_SYSTEM, &bo, &fmt), 0);
	assert_memory_equal(sili_bo_map(bo), data + 1, sizeof(turned));
	assert_int_equal(deleted, 2);
	sili_bo_free(bo);

	t = good;
	t.tensor.device_type = 2;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), -ENOTSUP);
	t = good;
	t.tensor.lanes = 4;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), -EINVAL);
	t = good;
	t.tensor.bits = 64;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), -EINVAL);
	t = good;
	t.tensor.ndim = -1;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), -EINVAL);
	t = good;
	shape[0] = INT64_MAX;
	assert_int_equal(sili_dlpack_import(dev, &t, SILI_HBM, &bo, &fmt), -EINVAL);
	assert_null(bo);
	assert_int_equal(deleted, 2);
}

/* Out of one buffer, into another one. */
static void test_round_trip(void **state)
{
	const int64_t shape[] = {4, 4, 4};
	struct sili_bo *bo = t_bo(dev, 64, SILI_HBM), *back;
	struct DLManagedTensor *t;
	enum x1_format fmt;

	(void)state;
	for (uint32_t i = 0; i < 64; i++)
		((uint8_t *)sili_bo_map(bo))[i] = (uint8_t)i;
	assert_int_equal(sili_dlpack_export(bo, 0, X1_FMT_E4M3, 3, shape, &t), 0);
	assert_int_equal(sili_dlpack_import(dev, t, SILI_HBM, &back, &fmt), 0);
	assert_int_equal(fmt, X1_FMT_E4M3);
	assert_memory_equal(sili_bo_map(back), sili_bo_map(bo), 64);
	sili_bo_free(back);
	sili_bo_free(bo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
