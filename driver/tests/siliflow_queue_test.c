// SPDX-License-Identifier: GPL-2.0-only
/* What QUEUE_CREATE refuses before it takes anything. Included by siliflow_queue.c. */
#include <kunit/test.h>

#define SILI_T_MCUS 16

static int sili_test_queue(struct kunit *test, struct drm_siliflow_queue_create args)
{
	struct sili_device *sdev = kunit_kzalloc(test, sizeof(*sdev), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, sdev);
	sdev->num_mcus = SILI_T_MCUS;
	ret = sili_queue_check(sdev, &args);
	kunit_kfree(test, sdev);
	return ret;
}

static void sili_queue_test_partition(struct kunit *test)
{
	static const struct {
		u32 first, count;
		int ret;
	} cases[] = {
		{ 0, 0, 0 },
		{ 0, SILI_T_MCUS, 0 },
		{ SILI_T_MCUS - 1, 1, 0 },
		{ 0, SILI_T_MCUS + 1, -EINVAL },
		{ 1, SILI_T_MCUS, -EINVAL },
		{ SILI_T_MCUS, 0, -EINVAL },
		{ SILI_T_MCUS, 1, -EINVAL },
		{ 1, 0, -EINVAL },
		{ 1, ~0u, -EINVAL },
		{ ~0u, 1, -EINVAL },
	};
	struct drm_siliflow_queue_create args = {};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		args.mcu_first = cases[i].first;
		args.mcu_count = cases[i].count;
		KUNIT_EXPECT_EQ_MSG(test, sili_test_queue(test, args), cases[i].ret, "case %u", i);
	}
}

static void sili_queue_test_fields(struct kunit *test)
{
	struct drm_siliflow_queue_create args;

#define SILI_FIELD(field, value, error)					\
	do {								\
		args = (struct drm_siliflow_queue_create){ .field = (value) };	\
		KUNIT_EXPECT_EQ(test, sili_test_queue(test, args), error);	\
	} while (0)
	SILI_FIELD(priority, X1_NUM_PRIORITIES - 2, 0);
	SILI_FIELD(priority, X1_NUM_PRIORITIES, -EINVAL);
	SILI_FIELD(flags, SILIFLOW_QUEUE_FLAGS + 1, -EINVAL);
	SILI_FIELD(pad, 1, -EINVAL);
	SILI_FIELD(timeout_ms, 99, -EINVAL);
	SILI_FIELD(timeout_ms, 100, 0);
	SILI_FIELD(timeout_ms, sili_max_timeout_ms(), 0);
	SILI_FIELD(timeout_ms, sili_max_timeout_ms() + 1, -EPERM);
	SILI_FIELD(timeout_ms, ~0u, -EPERM);
#undef SILI_FIELD
}

/* The ring of a user queue. */
static void sili_queue_test_ring(struct kunit *test)
{
	static const struct {
		u64 ring, rptr;
		u32 log2;
		int ret;
	} cases[] = {
		{ SILI_VA_START, 0, X1_RING_MIN_LOG2, 0 },
		{ SILI_VA_START, SILI_VA_END - 8, X1_RING_MAX_LOG2, 0 },
		{ SILI_VA_END - (64 << X1_RING_MIN_LOG2), SILI_VA_START, X1_RING_MIN_LOG2, 0 },
		{ SILI_VA_END - (64 << X1_RING_MIN_LOG2), 0, X1_RING_MIN_LOG2 + 1, -EINVAL },
		{ SILI_VA_START - 64, 0, X1_RING_MIN_LOG2, -EINVAL },
		{ SILI_VA_START + 32, 0, X1_RING_MIN_LOG2, -EINVAL },
		{ -64ull, 0, X1_RING_MIN_LOG2, -EINVAL },
		{ SILI_VA_START, SILI_VA_START - 8, X1_RING_MIN_LOG2, -EINVAL },
		{ SILI_VA_START, SILI_VA_START + 4, X1_RING_MIN_LOG2, -EINVAL },
		{ SILI_VA_START, SILI_VA_END, X1_RING_MIN_LOG2, -EINVAL },
		{ SILI_VA_START, 0, X1_RING_MIN_LOG2 - 1, -EINVAL },
		{ SILI_VA_START, 0, X1_RING_MAX_LOG2 + 1, -EINVAL },
		{ SILI_VA_START, 0, 64, -EINVAL },
		{ SILI_VA_START, 0, ~0u, -EINVAL },
	};
	struct sili_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, vm);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct drm_siliflow_queue_create args = {
			.flags = SILIFLOW_QUEUE_USER, .ring_addr = cases[i].ring,
			.rptr_addr = cases[i].rptr, .ring_log2 = cases[i].log2 };

		vm->long_running = true;
		KUNIT_EXPECT_EQ_MSG(test, sili_userq_check(vm, &args), cases[i].ret, "case %u", i);
		/* Neither there, nor without the flag, nor with a watchdog. */
		vm->long_running = false;
		KUNIT_EXPECT_EQ(test, sili_userq_check(vm, &args), -EINVAL);
		args.flags = 0;
		KUNIT_EXPECT_EQ(test, sili_userq_check(vm, &args), -EINVAL);
		vm->long_running = true;
		args.flags = SILIFLOW_QUEUE_USER;
		args.timeout_ms = 1000;
		KUNIT_EXPECT_EQ(test, sili_userq_check(vm, &args), -EINVAL);
	}
}

static struct kunit_case sili_queue_cases[] = {
	KUNIT_CASE(sili_queue_test_partition),
	KUNIT_CASE(sili_queue_test_fields),
	KUNIT_CASE(sili_queue_test_ring),
	{}
};

static struct kunit_suite sili_queue_suite = {
	.name = "siliflow_queue",
	.test_cases = sili_queue_cases,
};

kunit_test_suite(sili_queue_suite);
