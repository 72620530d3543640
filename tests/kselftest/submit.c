// SPDX-License-Identifier: GPL-2.0
/* SUBMIT and syncobjs. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(submit) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(submit)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(submit)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

TEST_F(submit, empty_launch)
{
	struct util_ctx *c = &self->c;

	c->prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(c, 0, 1);
	EXPECT_EQ(0, util_run(c, 1));
}

/* A program computes: data[i] = 3 * i for every work-group. */
TEST_F(submit, program)
{
	struct util_ctx *c = &self->c;

	c->prog[0] = (struct x1_insn){ .op = X1_OP_MUL, .rd = 40, .ra = 1, .rb = X1_REG_IMM,
				       .imm = 3 };
	c->prog[1] = (struct x1_insn){ .op = X1_OP_SHL, .rd = 41, .ra = 1, .rb = X1_REG_IMM,
				       .imm = 2 };
	c->prog[2] = (struct x1_insn){ .op = X1_OP_STM, .rd = 40, .ra = 41, .rb = 2,
				       .imm = UTIL_DATA };
	c->prog[3] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(c, 0, 4);
	c->cmds[0].launch.grid[0] = 5000;
	ASSERT_EQ(0, util_run(c, 1));
	for (uint32_t i = 0; i < 5000; i++)
		ASSERT_EQ(3 * i, c->data[i]);
}

/* Far more jobs than the ring holds, in order. */
TEST_F(submit, many_jobs)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_job jobs[SILIFLOW_MAX_JOBS] = {};
	struct drm_siliflow_submit s = {
		.queue = c->queue, .num_jobs = SILIFLOW_MAX_JOBS, .job_stride = sizeof(jobs[0]),
		.jobs = (uintptr_t)jobs };

	for (unsigned int i = 0; i < SILIFLOW_MAX_JOBS; i++) {
		util_cmd_fill(c, i, i, 1);
		jobs[i] = (struct drm_siliflow_job){
			.addr = UTIL_CMDS + i * X1_CMD_BYTES, .num_cmds = 1 };
	}
	for (int round = 0; round < 30; round++)
		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s));
	EXPECT_EQ(0, util_bo_wait(self->fd, c->data_bo, -1));
	EXPECT_EQ(SILIFLOW_MAX_JOBS - 1, c->data[0]);
}

/* One queue waits for another through a syncobj. */
TEST_F(submit, in_and_out)
{
	struct util_ctx *c = &self->c;
	uint32_t other, first;

	ASSERT_EQ(0, util_queue(self->fd, c->vm, &other));
	ASSERT_EQ(0, util_syncobj(self->fd, &first));
	util_cmd_wait(c, 0, 100, 1);
	util_cmd_fill(c, 1, 1, 1);
	util_cmd_fill(c, 2, 2, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 2, 0, first));
	ASSERT_EQ(0, util_submit(self->fd, other, UTIL_CMDS + 2 * X1_CMD_BYTES, 1, first,
				 c->syncobj));
	EXPECT_EQ(-ETIME, util_syncobj_wait(self->fd, c->syncobj, 100));
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(0, c->data[0]);
	c->data[100] = 1;
	ASSERT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(2, c->data[0]);
}

TEST_F(submit, timeline)
{
	struct util_ctx *c = &self->c;
	uint64_t points[2] = { 5, 9 };
	struct drm_siliflow_sync sync = {
		.handle = c->syncobj, .flags = SILIFLOW_SYNC_TIMELINE };
	struct drm_siliflow_job job = {
		.addr = UTIL_CMDS, .num_cmds = 1, .num_out_syncs = 1,
		.out_syncs = (uintptr_t)&sync };
	struct drm_siliflow_submit s = { .queue = c->queue, .num_jobs = 1,
		.job_stride = sizeof(job), .jobs = (uintptr_t)&job };
	struct drm_syncobj_timeline_wait w = {
		.handles = (uintptr_t)&c->syncobj, .points = (uintptr_t)&points[1],
		.timeout_nsec = INT64_MAX, .count_handles = 1 };

	for (int i = 0; i < 2; i++) {
		util_cmd_fill(c, 0, 1 + i, 1);
		sync.point = points[i];
		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s));
		w.points = (uintptr_t)&points[i];
		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &w));
		EXPECT_EQ(1 + i, c->data[0]);
	}
	/* Point 9 as an input of the next job. */
	job.num_out_syncs = 0;
	job.num_in_syncs = 1;
	job.in_syncs = (uintptr_t)&sync;
	EXPECT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s));
	EXPECT_EQ(0, util_bo_wait(self->fd, c->data_bo, -1));
}

TEST_F(submit, bad_submit)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_job job = { .addr = UTIL_CMDS, .num_cmds = 1 };
	const struct drm_siliflow_submit good = {
		.queue = c->queue, .num_jobs = 1, .job_stride = sizeof(job),
		.jobs = (uintptr_t)&job };
	struct drm_siliflow_submit s;

#define BAD(error, field, value)                                                      \
	do {                                                                          \
		s = good;                                                             \
		s.field = value;                                                      \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s)) \
			TH_LOG(#field " = " #value);                                  \
	} while (0)
	BAD(-ENOENT, queue, 0);
	BAD(-ENOENT, queue, ~0u);
	BAD(-EINVAL, num_jobs, 0);
	BAD(-EINVAL, num_jobs, SILIFLOW_MAX_JOBS + 1);
	BAD(-EINVAL, num_jobs, ~0u);
	BAD(-EINVAL, job_stride, 0);
	BAD(-EINVAL, job_stride, sizeof(job) - 1);
	BAD(-EINVAL, job_stride, ~0u);
	BAD(-EINVAL, flags, 1);
	BAD(-EFAULT, jobs, BAD_POINTER);
	BAD(-EINVAL, pad, 1);
#undef BAD
}

/* A bad job, first or last of several: none of them runs. */
TEST_F(submit, bad_job)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_sync syncs[SILIFLOW_MAX_SYNCS + 1] = {};
	const struct drm_siliflow_job good = { .addr = UTIL_CMDS, .num_cmds = 1 };
	struct drm_siliflow_job jobs[2];
	struct drm_siliflow_submit s = {
		.queue = c->queue, .num_jobs = 2, .job_stride = sizeof(good),
		.jobs = (uintptr_t)jobs };

	util_cmd_fill(c, 0, 7, 1);
#define BAD(error, ...)                                                                     \
	do {                                                                                \
		for (int bad = 0; bad < 2; bad++) {                                         \
			jobs[0] = jobs[1] = good;                                           \
			jobs[bad] = (struct drm_siliflow_job){ .addr = UTIL_CMDS,           \
							       .num_cmds = 1, __VA_ARGS__ }; \
			EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s)) \
				TH_LOG("job %d: " #__VA_ARGS__, bad);                       \
		}                                                                           \
	} while (0)
#define IN(n)  .num_in_syncs = n, .in_syncs = (uintptr_t)syncs
#define OUT(n) .num_out_syncs = n, .out_syncs = (uintptr_t)syncs
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	BAD(-EINVAL, .addr = UTIL_CMDS + 32);
	BAD(-EINVAL, .addr = 0);
	BAD(-EINVAL, .addr = ~63ull);
	BAD(-EINVAL, .addr = 1ull << X1_DVA_BITS);
	BAD(-EINVAL, .num_cmds = 0);
	BAD(-EINVAL, .num_cmds = X1_MAX_CALL + 1);
	BAD(-EINVAL, .num_cmds = ~0u);
	BAD(-EINVAL, .pad = 1);
	BAD(-EINVAL, IN(SILIFLOW_MAX_SYNCS + 1));
	BAD(-EINVAL, IN(~0u));
	BAD(-EINVAL, OUT(SILIFLOW_MAX_SYNCS + 1));
	BAD(-EINVAL, OUT(~0u));
	BAD(-EFAULT, .num_in_syncs = 1, .in_syncs = BAD_POINTER);
	BAD(-EFAULT, .num_out_syncs = 1, .out_syncs = BAD_POINTER);
	/* syncs[0] is no syncobj. */
	BAD(-ENOENT, IN(1));
	BAD(-ENOENT, OUT(1));
	/* Without a fence there is nothing to wait for. */
	syncs[0].handle = c->syncobj;
	BAD(-EINVAL, IN(1));
	syncs[0].flags = SILIFLOW_SYNC_FLAGS + 1;
	BAD(-EINVAL, IN(1));
	BAD(-EINVAL, OUT(1));
	syncs[0].flags = 0;
	syncs[0].point = 1;
	BAD(-EINVAL, OUT(1));
	syncs[0].flags = SILIFLOW_SYNC_TIMELINE;
	syncs[0].point = 0;
	BAD(-EINVAL, OUT(1));
#pragma GCC diagnostic pop
#undef BAD
	EXPECT_EQ(0, util_bo_wait(self->fd, c->data_bo, -1));
	EXPECT_EQ(0, c->data[0]);
}

TEST_HARNESS_MAIN
