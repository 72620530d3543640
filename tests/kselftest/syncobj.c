// SPDX-License-Identifier: GPL-2.0
/* Syncobjs in and out of SUBMIT: binary and timelines, of several jobs and queues. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(syncobj) {
	struct util_ctx c;
	uint32_t other, timeline;
	int fd;
};

FIXTURE_SETUP(syncobj)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &self->other));
	ASSERT_EQ(0, util_syncobj(self->fd, &self->timeline));
}

FIXTURE_TEARDOWN(syncobj)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

static struct drm_siliflow_sync point(uint32_t handle, uint64_t at)
{
	return (struct drm_siliflow_sync){
		.handle = handle, .flags = SILIFLOW_SYNC_TIMELINE, .point = at };
}

static int submit(int fd, uint32_t queue, struct drm_siliflow_job *jobs, uint32_t num)
{
	struct drm_siliflow_submit s = {
		.queue = queue, .num_jobs = num, .job_stride = sizeof(*jobs),
		.jobs = (uintptr_t)jobs };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s);
}

static int wait_point(int fd, uint32_t handle, uint64_t at, int timeout_ms)
{
	struct drm_syncobj_timeline_wait w = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&at, .count_handles = 1,
		.timeout_nsec = util_deadline(timeout_ms) };

	return util_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &w);
}

static uint64_t reached(int fd, uint32_t handle)
{
	uint64_t at = ~0ull;
	struct drm_syncobj_timeline_array q = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&at, .count_handles = 1 };

	return util_ioctl(fd, DRM_IOCTL_SYNCOBJ_QUERY, &q) ? ~0ull : at;
}

/* Each job of a SUBMIT has its own points; they are reached in order. */
TEST_F(syncobj, points_of_several_jobs)
{
	struct drm_siliflow_job jobs[8] = {};
	struct drm_siliflow_sync out[8];
	struct util_ctx *c = &self->c;

	for (unsigned int i = 0; i < 8; i++) {
		util_cmd_wait(c, 2 * i, 100 + 2 * i, 1);
		util_cmd_fill(c, 2 * i + 1, i + 1, 1);
		out[i] = point(self->timeline, 10 * (i + 1));
		jobs[i] = (struct drm_siliflow_job){
			.addr = UTIL_CMDS + 2 * i * X1_CMD_BYTES, .num_cmds = 2,
			.num_out_syncs = 1, .out_syncs = (uintptr_t)&out[i] };
	}
	ASSERT_EQ(0, submit(self->fd, c->queue, jobs, 8));
	for (unsigned int i = 0; i < 8; i++) {
		EXPECT_EQ(10 * i, reached(self->fd, self->timeline));
		EXPECT_EQ(-ETIME, wait_point(self->fd, self->timeline, 10 * (i + 1), 0));
		c->data[100 + 2 * i] = 1;
		ASSERT_EQ(0, wait_point(self->fd, self->timeline, 10 * (i + 1), 60000));
		EXPECT_EQ(i + 1, c->data[0]);
	}
}

/* Two queues take turns through one timeline; each job waits for the point before its own. */
TEST_F(syncobj, ping_pong)
{
	struct util_ctx *c = &self->c;

	util_cmd_wait(c, 0, 100, 1);
	for (unsigned int i = 0; i < 40; i++) {
		struct drm_siliflow_sync in = point(self->timeline, i);
		struct drm_siliflow_sync out = point(self->timeline, i + 1);
		struct drm_siliflow_job job = {
			.addr = UTIL_CMDS + (i ? 64 + i : 0) * X1_CMD_BYTES, .num_cmds = 1,
			.num_in_syncs = i ? 1 : 0, .in_syncs = (uintptr_t)&in,
			.num_out_syncs = 1, .out_syncs = (uintptr_t)&out };

		/* data[i] = data[i - 1], so a job out of turn breaks the chain. */
		c->cmds[64 + i] = (union x1_cmd){ .copy = {
			.hdr.op = X1_CMD_COPY, .src = UTIL_DATA + 4 * (i - 1),
			.dst = UTIL_DATA + 4 * i, .bytes = 4, .rows = 1 } };
		ASSERT_EQ(0, submit(self->fd, i % 2 ? self->other : c->queue, &job, 1));
	}
	EXPECT_EQ(-ETIME, wait_point(self->fd, self->timeline, 40, 100));
	EXPECT_EQ(0, reached(self->fd, self->timeline));
	c->data[0] = 0x600d;
	c->data[100] = 1;
	ASSERT_EQ(0, wait_point(self->fd, self->timeline, 40, 60000));
	EXPECT_EQ(40, reached(self->fd, self->timeline));
	EXPECT_EQ(0x600d, c->data[39]);
}

/* As many as a job may have, binary and timeline mixed, in and out. */
TEST_F(syncobj, as_many_as_allowed)
{
	struct drm_siliflow_sync in[SILIFLOW_MAX_SYNCS], out[SILIFLOW_MAX_SYNCS];
	struct util_ctx *c = &self->c;
	struct drm_siliflow_job job = {
		.addr = UTIL_CMDS, .num_cmds = 1, .num_out_syncs = SILIFLOW_MAX_SYNCS,
		.out_syncs = (uintptr_t)out };

	util_cmd_fill(c, 0, 1, 1);
	for (unsigned int i = 0; i < SILIFLOW_MAX_SYNCS; i++) {
		uint32_t handle;

		ASSERT_EQ(0, util_syncobj(self->fd, &handle));
		out[i] = i % 2 ? point(handle, 1 + i) :
				 (struct drm_siliflow_sync){ .handle = handle };
		in[i] = out[i];
	}
	ASSERT_EQ(0, submit(self->fd, c->queue, &job, 1));
	job.num_in_syncs = SILIFLOW_MAX_SYNCS;
	job.in_syncs = (uintptr_t)in;
	job.num_out_syncs = 1;
	ASSERT_EQ(0, submit(self->fd, self->other, &job, 1));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, out[0].handle, 60000));
	for (unsigned int i = 1; i < SILIFLOW_MAX_SYNCS; i += 2)
		EXPECT_EQ(1 + i, reached(self->fd, out[i].handle));
}

/* A SUBMIT that fails leaves all syncobjs as they were, those of its good jobs, too. */
TEST_F(syncobj, failure_signals_nothing)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_sync out[2] = {
		{ .handle = c->syncobj }, point(self->timeline, 7) };
	struct drm_siliflow_job jobs[2] = {
		{ .addr = UTIL_CMDS, .num_cmds = 1, .num_out_syncs = 2, .out_syncs = (uintptr_t)out },
		{ .addr = UTIL_CMDS + 1, .num_cmds = 1 } };
	/* Nothing to wait for: not even for a moment. */
	struct drm_syncobj_wait w = {
		.handles = (uintptr_t)&c->syncobj, .count_handles = 1, .timeout_nsec = INT64_MAX };

	util_cmd_fill(c, 0, 1, 1);
	EXPECT_EQ(-EINVAL, submit(self->fd, c->queue, jobs, 2));
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_WAIT, &w));
	EXPECT_EQ(0, reached(self->fd, self->timeline));
	EXPECT_EQ(0, c->data[0]);
	jobs[1].addr = UTIL_CMDS;
	EXPECT_EQ(0, submit(self->fd, c->queue, jobs, 2));
	EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	EXPECT_EQ(0, wait_point(self->fd, self->timeline, 7, 60000));
}

/* A binary syncobj has the fence of the last job that was given it. */
TEST_F(syncobj, binary_is_replaced)
{
	struct util_ctx *c = &self->c;

	util_cmd_fill(c, 0, 1, 1);
	util_cmd_wait(c, 1, 100, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS + X1_CMD_BYTES, 1, 0, c->syncobj));
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, c->syncobj));
	c->data[100] = 1;
	EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
}

/* What was waited for has ended with an error: the job runs all the same. */
TEST_F(syncobj, error_is_an_end)
{
	struct util_ctx *c = &self->c;
	uint32_t after;

	ASSERT_EQ(0, util_syncobj(self->fd, &after));
	util_cmd_wait(c, 0, 100, 1);
	util_cmd_fill(c, 1, 4, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, self->other, UTIL_CMDS + X1_CMD_BYTES, 1, c->syncobj,
				 after));
	ASSERT_EQ(0, util_queue_destroy(self->fd, c->queue));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, after, 60000));
	EXPECT_EQ(-ECANCELED, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(0, util_syncobj_error(self->fd, after));
	EXPECT_EQ(4, c->data[0]);
}

TEST_HARNESS_MAIN
