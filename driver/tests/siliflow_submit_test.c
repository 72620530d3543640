// SPDX-License-Identifier: GPL-2.0-only
/* What SUBMIT refuses in a job. Included by siliflow_submit.c. */
#include <kunit/test.h>

static void sili_submit_test_job(struct kunit *test)
{
	static const struct {
		u64 addr;
		u32 num_cmds, pad;
		int ret;
	} cases[] = {
		{ SILI_VA_START, 1, 0, 0 },
		{ SILI_VA_START, X1_MAX_CALL, 0, 0 },
		{ SILI_VA_END - X1_CMD_BYTES, 1, 0, 0 },
		{ SILI_VA_START, 0, 0, -EINVAL },
		{ SILI_VA_START, X1_MAX_CALL + 1, 0, -EINVAL },
		{ SILI_VA_START, ~0u, 0, -EINVAL },
		{ SILI_VA_START, 1, 1, -EINVAL },
		{ SILI_VA_START + 8, 1, 0, -EINVAL },
		{ SILI_VA_START - X1_CMD_BYTES, 2, 0, -EINVAL },
		{ SILI_VA_END - X1_CMD_BYTES, 2, 0, -EINVAL },
		{ SILI_VA_END, 1, 0, -EINVAL },
		{ -(u64)X1_CMD_BYTES, 1, 0, -EINVAL },
		{ -(u64)X1_CMD_BYTES, 2, 0, -EINVAL },
		{ 0, 1, 0, -EINVAL },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct drm_siliflow_job args = {
			.addr = cases[i].addr, .num_cmds = cases[i].num_cmds,
			.pad = cases[i].pad };

		KUNIT_EXPECT_EQ_MSG(test, sili_job_check(&args), cases[i].ret, "case %u", i);
	}
}

static struct kunit_case sili_submit_cases[] = {
	KUNIT_CASE(sili_submit_test_job),
	{}
};

static struct kunit_suite sili_submit_suite = {
	.name = "siliflow_submit",
	.test_cases = sili_submit_cases,
};

kunit_test_suite(sili_submit_suite);
