// SPDX-License-Identifier: GPL-2.0
/* QUEUE_CREATE, QUEUE_DESTROY, QUEUE_STATE. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(queue) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(queue)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(queue)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

TEST_F(queue, state)
{
	struct drm_siliflow_queue_state a, b;

	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &a));
	EXPECT_EQ(0, a.state);
	EXPECT_EQ(X1_FAULT_NONE, a.fault_code);
	EXPECT_EQ(X1_FAULT_MCU_NONE, a.fault_mcu);
	util_cmd_fill(&self->c, 0, 1, 1024);
	ASSERT_EQ(0, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &b));
	EXPECT_GT(b.progress, a.progress);
	EXPECT_GT(b.cycles, a.cycles);
	EXPECT_EQ(0, b.pad);
}

/* Slots are limited for a file, and come back. */
TEST_F(queue, limit_per_file)
{
	struct drm_siliflow_query_device d;
	uint32_t q[X1_NUM_QUEUES];
	unsigned int n;

	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d)));
	for (int round = 0; round < 3; round++) {
		int ret = 0;

		for (n = 0; n < X1_NUM_QUEUES && !ret; n += !ret)
			ret = util_queue(self->fd, self->c.vm, &q[n]);
		EXPECT_EQ(-ENOSPC, ret);
		/* One is the fixture's. */
		EXPECT_EQ(d.max_queues_per_file - 1, n);
		while (n)
			ASSERT_EQ(0, util_queue_destroy(self->fd, q[--n]));
	}
}

/* All queues of the device, by many files. */
TEST_F(queue, limit_of_device)
{
	int fds[X1_NUM_QUEUES];
	unsigned int files, total = 0;
	int ret = 0;

	for (files = 0; files < X1_NUM_QUEUES && !ret; files++) {
		uint32_t vm, q;

		fds[files] = util_open();
		ASSERT_GE(fds[files], 0);
		ASSERT_EQ(0, util_vm(fds[files], &vm));
		for (int i = 0; i < 8 && !ret; i++) {
			ret = util_queue(fds[files], vm, &q);
			total += !ret;
		}
	}
	EXPECT_EQ(-ENOSPC, ret);
	EXPECT_LE(total, X1_NUM_QUEUES - 1);
	EXPECT_GT(total, 16);
	while (files)
		close(fds[--files]);
}

/* Every priority and a partition run work. */
TEST_F(queue, priorities_and_partitions)
{
	struct util_ctx *c = &self->c;

	c->prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(c, 0, 1);
	c->cmds[0].launch.grid[0] = 1000;
	for (uint32_t p = 0; p < X1_NUM_PRIORITIES; p++) {
		struct drm_siliflow_queue_create q = {
			.vm = c->vm, .priority = p, .mcu_first = 10 * p, .mcu_count = p ? 7 : 0 };

		if (!p)
			q.mcu_first = 0;
		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
		ASSERT_EQ(0, util_submit(c->fd, q.queue, UTIL_CMDS, 1, 0, c->syncobj));
		EXPECT_EQ(0, util_syncobj_wait(c->fd, c->syncobj, 60000));
		EXPECT_EQ(0, util_syncobj_error(c->fd, c->syncobj));
		EXPECT_EQ(0, util_queue_destroy(self->fd, q.queue));
	}
}

/* Commands of a queue that is destroyed end with -ECANCELED. */
TEST_F(queue, destroy_with_work_in_flight)
{
	struct util_ctx *c = &self->c;

	for (int i = 0; i < 20; i++) {
		uint32_t q;

		ASSERT_EQ(0, util_queue(self->fd, c->vm, &q));
		util_cmd_wait(c, 0, 0, 1);
		ASSERT_EQ(0, util_submit(self->fd, q, UTIL_CMDS, 1, 0, c->syncobj));
		ASSERT_EQ(0, util_queue_destroy(self->fd, q));
		EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 10000));
		EXPECT_EQ(-ECANCELED, util_syncobj_error(self->fd, c->syncobj));
		EXPECT_EQ(-ENOENT, util_submit(self->fd, q, UTIL_CMDS, 1, 0, c->syncobj));
	}
}

/* The file goes, and its work with it. */
TEST_F(queue, close_with_work_in_flight)
{
	for (int i = 0; i < 10; i++) {
		struct util_ctx c;
		int fd = util_open();

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, util_setup(&c, fd));
		c.prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
		util_cmd_launch(&c, 0, 1);
		ASSERT_EQ(0, util_submit(fd, c.queue, UTIL_CMDS, 1, 0, c.syncobj));
		munmap(c.cmds, UTIL_BYTES);
		munmap(c.data, UTIL_BYTES);
		munmap(c.prog, UTIL_BYTES);
		close(fd);
	}
}

TEST_F(queue, bad_create)
{
	const struct drm_siliflow_queue_create good = { .vm = self->c.vm };
	struct drm_siliflow_queue_create q;

#define BAD(error, ...)                                                                    \
	do {                                                                               \
		q = (struct drm_siliflow_queue_create){ .vm = good.vm, __VA_ARGS__ };      \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q)) \
			TH_LOG(#__VA_ARGS__);                                              \
	} while (0)
	BAD(-EINVAL, .flags = SILIFLOW_QUEUE_FLAGS + 1);
	BAD(-EINVAL, .priority = X1_NUM_PRIORITIES);
	BAD(-EINVAL, .priority = ~0u);
	BAD(-EINVAL, .mcu_first = 1);
	BAD(-EINVAL, .mcu_first = X1_DEF_MCUS, .mcu_count = 1);
	BAD(-EINVAL, .mcu_count = X1_DEF_MCUS + 1);
	BAD(-EINVAL, .mcu_first = 2, .mcu_count = ~0u);
	BAD(-EINVAL, .mcu_first = ~0u, .mcu_count = 2);
	BAD(-EINVAL, .pad = 1);
#undef BAD
	q = (struct drm_siliflow_queue_create){ .vm = 0 };
	EXPECT_EQ(-ENOENT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	q.vm = ~0u;
	EXPECT_EQ(-ENOENT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
}

TEST_F(queue, bad_destroy_and_state)
{
	struct drm_siliflow_queue_destroy d = { .queue = self->c.queue, .pad = 1 };
	struct drm_siliflow_queue_state s = { .queue = self->c.queue, .pad = 1 };

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_DESTROY, &d));
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_STATE, &s));
	EXPECT_EQ(-ENOENT, util_queue_destroy(self->fd, 0));
	EXPECT_EQ(-ENOENT, util_queue_destroy(self->fd, ~0u));
	EXPECT_EQ(-ENOENT, util_queue_state(self->fd, 0, &s));
	EXPECT_EQ(-ENOENT, util_queue_state(self->fd, ~0u, &s));
}

TEST_HARNESS_MAIN
