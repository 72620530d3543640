// SPDX-License-Identifier: GPL-2.0
/* Priorities: their order, and what root bounds: the highest one, the budget of a LAUNCH. */
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "siliflow_util.h"

#define NOBODY 65534

FIXTURE(priority) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(priority)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(priority)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

static int create(struct util_ctx *c, uint32_t priority, uint64_t budget, uint32_t *queue)
{
	struct drm_siliflow_queue_create q = {
		.vm = c->vm, .priority = priority, .budget = budget };
	int ret = util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q);

	*queue = q.queue;
	return ret;
}

/* The result of creating a queue in a process of nobody's, with the same file. */
static int create_as_nobody(struct util_ctx *c, uint32_t priority)
{
	uint32_t queue;
	int status;
	pid_t child = fork();

	if (!child) {
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(255);
		_exit(-create(c, priority, 0, &queue));
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

TEST_F(priority, highest_needs_a_capability)
{
	uint32_t queue;

	EXPECT_EQ(0, create(&self->c, X1_NUM_PRIORITIES - 1, 0, &queue));
	EXPECT_EQ(-EPERM, create_as_nobody(&self->c, X1_NUM_PRIORITIES - 1));
	for (uint32_t p = 0; p + 1 < X1_NUM_PRIORITIES; p++)
		EXPECT_EQ(0, create_as_nobody(&self->c, p));
}

/* Work of all priorities at once ends, whatever its order. */
TEST_F(priority, all_at_once)
{
	struct util_ctx *c = &self->c;
	uint32_t queue[X1_NUM_PRIORITIES], sync[X1_NUM_PRIORITIES];

	c->prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(c, 0, 1);
	c->cmds[0].launch.grid[0] = 2000;
	for (uint32_t p = 0; p < X1_NUM_PRIORITIES; p++) {
		ASSERT_EQ(0, create(c, p, 0, &queue[p]));
		ASSERT_EQ(0, util_syncobj(self->fd, &sync[p]));
	}
	for (int round = 0; round < 20; round++)
		for (uint32_t p = 0; p < X1_NUM_PRIORITIES; p++)
			ASSERT_EQ(0, util_submit(self->fd, queue[p], UTIL_CMDS, 1, 0, sync[p]));
	for (uint32_t p = 0; p < X1_NUM_PRIORITIES; p++) {
		ASSERT_EQ(0, util_syncobj_wait(self->fd, sync[p], 120000));
		EXPECT_EQ(0, util_syncobj_error(self->fd, sync[p]));
	}
}

/* On one MCU: what a high queue has overtakes many work-groups of a low one. */
TEST_F(priority, order)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_create q = { .vm = c->vm, .mcu_count = 1 };
	uint32_t low, high;

	ASSERT_EQ(0, util_syncobj(self->fd, &low));
	ASSERT_EQ(0, util_syncobj(self->fd, &high));
	c->prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(c, 0, 1);
	c->cmds[0].launch.grid[0] = 500000;
	util_cmd_launch(c, 1, 1);
	q.priority = 0;
	ASSERT_EQ(0, util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	ASSERT_EQ(0, util_submit(self->fd, q.queue, UTIL_CMDS, 1, 0, low));
	q.priority = 2;
	ASSERT_EQ(0, util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	ASSERT_EQ(0, util_submit(self->fd, q.queue, UTIL_CMDS + X1_CMD_BYTES, 1, 0, high));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, high, 120000));
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, low));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, low, 120000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, low));
}

/* Root's maximum is the default of those who do not ask, and bounds those who do. */
TEST_F(priority, budget)
{
	const uint64_t max = 1000000;
	struct drm_siliflow_query_device d;
	struct drm_siliflow_queue_state s;
	struct util_ctx *c = &self->c;
	uint32_t queue, more;

	ASSERT_EQ(0, util_param("max_budget", max));
	EXPECT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d)));
	EXPECT_EQ(max, d.max_budget);
	EXPECT_EQ(-EPERM, create(c, 0, max + 1, &queue));
	EXPECT_EQ(-EPERM, create(c, 0, ~0ull, &queue));
	EXPECT_EQ(0, create(c, 0, max, &queue));
	EXPECT_EQ(0, create(c, 0, 0, &queue));
	ASSERT_EQ(0, util_param("max_budget", 0));
	EXPECT_EQ(0, create(c, 0, max + 1, &more));
	c->prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
	util_cmd_launch(c, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	EXPECT_EQ(-EIO, util_syncobj_error(self->fd, c->syncobj));
	ASSERT_EQ(0, util_queue_state(self->fd, queue, &s));
	EXPECT_EQ(X1_FAULT_BUDGET, s.fault_code);
}

TEST_HARNESS_MAIN
