// SPDX-License-Identifier: GPL-2.0-only
/* What VM_BIND refuses before it looks at anything. Included by siliflow_bind.c. */
#include <kunit/test.h>

static const struct drm_siliflow_bind_op sili_good_unmap = {
	.op = DRM_SILIFLOW_BIND_UNMAP, .addr = SILI_VA_START, .range = X1_PAGE_SIZE };

static int sili_test_bind(struct drm_siliflow_bind_op args)
{
	struct sili_bind_op op = { .args = args };

	return sili_bind_check(NULL, NULL, &op);
}

static void sili_bind_test_range(struct kunit *test)
{
	static const struct {
		u64 addr, range;
		int ret;
	} cases[] = {
		{ SILI_VA_START, X1_PAGE_SIZE, 0 },
		{ SILI_VA_END - X1_PAGE_SIZE, X1_PAGE_SIZE, 0 },
		{ SILI_VA_START, SILI_VA_END - SILI_VA_START, 0 },
		{ SILI_VA_START, 0, -EINVAL },
		{ SILI_VA_START + 1, X1_PAGE_SIZE, -EINVAL },
		{ SILI_VA_START, X1_PAGE_SIZE / 2, -EINVAL },
		{ SILI_VA_START - X1_PAGE_SIZE, 2 * X1_PAGE_SIZE, -EINVAL },
		{ SILI_VA_END - X1_PAGE_SIZE, 2 * X1_PAGE_SIZE, -EINVAL },
		{ SILI_VA_END, X1_PAGE_SIZE, -EINVAL },
		{ SILI_VA_START, -(u64)X1_PAGE_SIZE, -EINVAL },
		{ -(u64)X1_PAGE_SIZE, X1_PAGE_SIZE, -EINVAL },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct drm_siliflow_bind_op args = sili_good_unmap;

		args.addr = cases[i].addr;
		args.range = cases[i].range;
		KUNIT_EXPECT_EQ_MSG(test, sili_test_bind(args), cases[i].ret, "case %u", i);
	}
}

static void sili_bind_test_fields(struct kunit *test)
{
	struct drm_siliflow_bind_op args;

#define SILI_BAD(field, value)					\
	do {							\
		args = sili_good_unmap;				\
		args.field = (value);				\
		KUNIT_EXPECT_EQ(test, sili_test_bind(args), -EINVAL);	\
	} while (0)
	SILI_BAD(op, DRM_SILIFLOW_BIND_MAP_USER + 1);
	SILI_BAD(op, ~0u);
	SILI_BAD(pad, 1);
	SILI_BAD(flags, SILIFLOW_BIND_READONLY);
	SILI_BAD(handle, 1);
	SILI_BAD(bo_offset, X1_PAGE_SIZE);
#undef SILI_BAD
	args = sili_good_unmap;
	args.op = DRM_SILIFLOW_BIND_MAP;
	args.flags = SILIFLOW_BIND_FLAGS + 1;
	KUNIT_EXPECT_EQ(test, sili_test_bind(args), -EINVAL);
	args.op = DRM_SILIFLOW_BIND_MAP_USER;
	KUNIT_EXPECT_EQ(test, sili_test_bind(args), -EINVAL);
	args.flags = 0;
	args.handle = 1;
	KUNIT_EXPECT_EQ(test, sili_test_bind(args), -EINVAL);
}

static struct kunit_case sili_bind_cases[] = {
	KUNIT_CASE(sili_bind_test_range),
	KUNIT_CASE(sili_bind_test_fields),
	{}
};

static struct kunit_suite sili_bind_suite = {
	.name = "siliflow_bind",
	.test_cases = sili_bind_cases,
};

kunit_test_suite(sili_bind_suite);
