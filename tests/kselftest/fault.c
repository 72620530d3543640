// SPDX-License-Identifier: GPL-2.0
/* What the device refuses: the stated fault, for the queue that caused it alone. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(fault) {
	struct util_ctx c, other;
	int fd, other_fd;
};

FIXTURE_SETUP(fault)
{
	self->fd = util_open();
	self->other_fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_GE(self->other_fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	ASSERT_EQ(0, util_setup(&self->other, self->other_fd));
	/* In flight while the fault happens. */
	util_cmd_wait(&self->other, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->other_fd, self->other.queue, UTIL_CMDS, 1, 0,
				 self->other.syncobj));
}

FIXTURE_TEARDOWN(fault)
{
	struct drm_siliflow_queue_state s;

	/* The other file's work is unharmed. */
	self->other.data[0] = 1;
	EXPECT_EQ(0, util_syncobj_wait(self->other_fd, self->other.syncobj, 60000));
	EXPECT_EQ(0, util_syncobj_error(self->other_fd, self->other.syncobj));
	EXPECT_EQ(0, util_queue_state(self->other_fd, self->other.queue, &s));
	EXPECT_EQ(X1_FAULT_NONE, s.fault_code);
	close(self->other_fd);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

#define EXPECT_FAULT(num_cmds, code, addr)                                                 \
	do {                                                                               \
		struct drm_siliflow_queue_state s_;                                        \
		EXPECT_EQ(-EIO, util_run(&self->c, num_cmds));                             \
		ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s_));              \
		EXPECT_STREQ(x1_fault_name(code), x1_fault_name(s_.fault_code));           \
		EXPECT_EQ(SILIFLOW_QUEUE_FAULTED, s_.state);                               \
		EXPECT_EQ(addr, s_.fault_addr);                                            \
		/* Only destroying the queue is left. */                                   \
		EXPECT_EQ(-EIO, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, 0)); \
	} while (0)

TEST_F(fault, unmapped_copy)
{
	self->c.cmds[0] = (union x1_cmd){ .copy = {
		.hdr.op = X1_CMD_COPY, .hdr.tag = 0x1234, .src = 0x7000000000, .dst = UTIL_DATA,
		.bytes = 64, .rows = 1 } };
	struct drm_siliflow_queue_state s;

	EXPECT_FAULT(1, X1_FAULT_UNMAPPED, 0x7000000000);
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(0x1234, s.fault_tag);
	EXPECT_EQ(X1_ACCESS_READ, s.fault_access);
	EXPECT_EQ(X1_UNIT_COPY, s.fault_unit);
}

/* Commands before the bad one have taken effect, those after it have not. */
TEST_F(fault, in_the_middle)
{
	util_cmd_fill(&self->c, 0, 1, 1);
	util_cmd_fill(&self->c, 1, 2, 1);
	self->c.cmds[1].fill.dst = 0x7000000000;
	util_cmd_fill(&self->c, 2, 3, 1);
	EXPECT_FAULT(3, X1_FAULT_UNMAPPED, 0x7000000000);
	EXPECT_EQ(1, self->c.data[0]);
}

TEST_F(fault, unmapped_commands)
{
	EXPECT_EQ(0, util_submit(self->fd, self->c.queue, 0x7000000000, 1, 0, self->c.syncobj));
	EXPECT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 60000));
	EXPECT_EQ(-EIO, util_syncobj_error(self->fd, self->c.syncobj));
}

TEST_F(fault, readonly)
{
	ASSERT_EQ(0, util_bind(self->fd, self->c.vm, self->c.data_bo, UTIL_DATA, UTIL_BYTES,
			       SILIFLOW_BIND_READONLY));
	util_cmd_fill(&self->c, 0, 1, 1);
	EXPECT_FAULT(1, X1_FAULT_PERMISSION, UTIL_DATA);
	EXPECT_EQ(0, self->c.data[0]);
}

TEST_F(fault, not_executable)
{
	util_cmd_launch(&self->c, 0, 1);
	self->c.cmds[0].launch.program = UTIL_DATA;
	EXPECT_FAULT(1, X1_FAULT_PERMISSION, UTIL_DATA);
}

TEST_F(fault, bad_command)
{
	struct drm_siliflow_queue_state s;

	self->c.cmds[0] = (union x1_cmd){ .hdr.op = X1_CMD_COUNT };
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_BAD_COMMAND, s.fault_code);
}

/* Commands of a user cannot call others, so no list of commands is endless. */
TEST_F(fault, nested_call)
{
	struct drm_siliflow_queue_state s;

	self->c.cmds[0] = (union x1_cmd){ .call = {
		.hdr.op = X1_CMD_CALL, .addr = UTIL_CMDS, .count = 1 } };
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_BAD_COMMAND, s.fault_code);
}

TEST_F(fault, illegal_instruction)
{
	struct drm_siliflow_queue_state s;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_NOP };
	self->c.prog[1] = (struct x1_insn){ .op = 250 };
	util_cmd_launch(&self->c, 0, 2);
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_ILLEGAL, s.fault_code);
	EXPECT_EQ(1, s.fault_pc);
}

TEST_F(fault, program_runs_off_its_end)
{
	struct drm_siliflow_queue_state s;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_NOP };
	util_cmd_launch(&self->c, 0, 1);
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_BAD_PROGRAM, s.fault_code);
}

TEST_F(fault, trap)
{
	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_TRAP, .imm = 42 };
	util_cmd_launch(&self->c, 0, 1);
	EXPECT_FAULT(1, X1_FAULT_TRAP, 42);
}

TEST_F(fault, deadlock)
{
	struct drm_siliflow_queue_state s;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_NOP, .wait = { X1_SEM(3) } };
	self->c.prog[1] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(&self->c, 0, 2);
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_DEADLOCK, s.fault_code);
}

/* A program that never ends meets its queue's budget. */
TEST_F(fault, runaway_with_budget)
{
	struct drm_siliflow_queue_create q = { .vm = self->c.vm, .budget = 1000000 };
	struct drm_siliflow_queue_state s;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
	util_cmd_launch(&self->c, 0, 1);
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	ASSERT_EQ(0, util_submit(self->fd, q.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	EXPECT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 60000));
	EXPECT_EQ(-EIO, util_syncobj_error(self->fd, self->c.syncobj));
	ASSERT_EQ(0, util_queue_state(self->fd, q.queue, &s));
	EXPECT_EQ(X1_FAULT_BUDGET, s.fault_code);
}

/* Without a budget the watchdog of the work-group ends it. */
TEST_F(fault, runaway)
{
	struct drm_siliflow_queue_state s;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
	util_cmd_launch(&self->c, 0, 1);
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(X1_FAULT_WATCHDOG, s.fault_code);
}

/* After a fault the jobs behind it end with the error, too; a new queue works. */
TEST_F(fault, jobs_behind)
{
	struct util_ctx *c = &self->c;
	uint32_t after, queue;

	ASSERT_EQ(0, util_syncobj(self->fd, &after));
	util_cmd_wait(c, 0, 0, 1);
	c->cmds[1] = (union x1_cmd){ .hdr.op = X1_CMD_COUNT };
	util_cmd_fill(c, 2, 5, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 2, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS + 2 * X1_CMD_BYTES, 1, 0, after));
	c->data[0] = 1;
	EXPECT_EQ(0, util_syncobj_wait(self->fd, after, 60000));
	EXPECT_EQ(-EIO, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(-EIO, util_syncobj_error(self->fd, after));
	EXPECT_EQ(1, c->data[0]);
	ASSERT_EQ(0, util_queue(self->fd, c->vm, &queue));
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS + 2 * X1_CMD_BYTES, 1, 0, c->syncobj));
	EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(5, c->data[0]);
}

TEST_HARNESS_MAIN
