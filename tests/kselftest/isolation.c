// SPDX-License-Identifier: GPL-2.0
/* What a file owns is nobody else's: handles, addresses, leftovers. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(isolation) {
	struct util_ctx a, b;
	int fa, fb;
};

FIXTURE_SETUP(isolation)
{
	self->fa = util_open();
	self->fb = util_open();
	ASSERT_GE(self->fa, 0);
	ASSERT_GE(self->fb, 0);
	ASSERT_EQ(0, util_setup(&self->a, self->fa));
	ASSERT_EQ(0, util_setup(&self->b, self->fb));
}

FIXTURE_TEARDOWN(isolation)
{
	close(self->fa);
	close(self->fb);
}

/* The same addresses in two VMs are different memory. */
TEST_F(isolation, same_address)
{
	util_cmd_fill(&self->a, 0, 0xaaaaaaaa, 100);
	util_cmd_fill(&self->b, 0, 0xbbbbbbbb, 100);
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, util_run(&self->a, 1));
		ASSERT_EQ(0, util_run(&self->b, 1));
		EXPECT_EQ(0xaaaaaaaa, self->a.data[99]);
		EXPECT_EQ(0xbbbbbbbb, self->b.data[99]);
	}
}

/* Handles of another file name nothing, or one's own. */
TEST_F(isolation, handles)
{
	struct drm_siliflow_bo_info info = {};
	struct drm_siliflow_queue_state s;
	uint32_t bo = 0, vm = 0, queue = 0;

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, util_bo(self->fa, 4096, SILIFLOW_BO_HBM, &bo));
		ASSERT_EQ(0, util_vm(self->fa, &vm));
		ASSERT_EQ(0, util_queue(self->fa, vm, &queue));
	}
	info.handle = bo;
	EXPECT_EQ(-ENOENT, util_ioctl(self->fb, DRM_IOCTL_SILIFLOW_BO_INFO, &info));
	EXPECT_EQ(-ENOENT, util_vm_destroy(self->fb, vm));
	EXPECT_EQ(-ENOENT, util_queue_state(self->fb, queue, &s));
	EXPECT_EQ(-ENOENT, util_submit(self->fb, queue, UTIL_CMDS, 1, 0, 0));
	EXPECT_EQ(-ENOENT, util_bind(self->fb, vm, self->b.data_bo, UTIL_DATA, 4096, 0));
	EXPECT_EQ(-ENOENT, util_bind(self->fb, self->b.vm, bo, UTIL_DATA, 4096, 0));
}

/* No DVA leads to page tables, rings, or another VM. */
TEST_F(isolation, driver_memory)
{
	static const uint64_t addrs[] = { 0, 4096, X1_HUGE_SIZE, 2 * X1_HUGE_SIZE, 1ull << 32,
					  (1ull << X1_DVA_BITS) - 4096 };

	for (unsigned int i = 0; i < ARRAY_SIZE_T(addrs); i++) {
		uint32_t q;

		self->a.cmds[0] = (union x1_cmd){ .copy = {
			.hdr.op = X1_CMD_COPY, .src = addrs[i], .dst = UTIL_DATA, .bytes = 4096,
			.rows = 1 } };
		ASSERT_EQ(0, util_queue(self->fa, self->a.vm, &q));
		ASSERT_EQ(0, util_submit(self->fa, q, UTIL_CMDS, 1, 0, self->a.syncobj));
		ASSERT_EQ(0, util_syncobj_wait(self->fa, self->a.syncobj, 60000));
		EXPECT_EQ(-EIO, util_syncobj_error(self->fa, self->a.syncobj));
		ASSERT_EQ(0, util_queue_destroy(self->fa, q));
	}
	for (unsigned int i = 0; i < UTIL_BYTES / 4; i++)
		ASSERT_EQ(0, self->a.data[i]);
}

/* Scratchpads keep nothing of the VM before. */
TEST_F(isolation, scratchpads)
{
	struct util_ctx *a = &self->a, *b = &self->b;

	/* Every MCU: scratchpad word 8 = a value of a's. */
	a->prog[0] = (struct x1_insn){ .op = X1_OP_ADD, .rd = 40, .rb = X1_REG_IMM,
				       .imm = 0x5ec2e7 };
	a->prog[1] = (struct x1_insn){ .op = X1_OP_STS, .rd = 40, .ra = 0, .rb = 2, .imm = 8 };
	a->prog[2] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(a, 0, 3);
	a->cmds[0].launch.grid[0] = 4 * X1_DEF_MCUS;
	ASSERT_EQ(0, util_run(a, 1));
	/* b reads them: data[i] = scratchpad word 8. */
	b->prog[0] = (struct x1_insn){ .op = X1_OP_LDS, .rd = 40, .ra = 0, .rb = 2, .imm = 8 };
	b->prog[1] = (struct x1_insn){ .op = X1_OP_SHL, .rd = 41, .ra = 1, .rb = X1_REG_IMM,
				       .imm = 2 };
	b->prog[2] = (struct x1_insn){ .op = X1_OP_ADD, .rd = 40, .ra = 40, .rb = X1_REG_IMM,
				       .imm = 1 };
	b->prog[3] = (struct x1_insn){ .op = X1_OP_STM, .rd = 40, .ra = 41, .rb = 2,
				       .imm = UTIL_DATA };
	b->prog[4] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(b, 0, 5);
	b->cmds[0].launch.grid[0] = 4 * X1_DEF_MCUS;
	ASSERT_EQ(0, util_run(b, 1));
	for (unsigned int i = 0; i < 4 * X1_DEF_MCUS; i++)
		ASSERT_EQ(1, b->data[i]);
}

/* A shared buffer, by dma-buf: both sides see what either device job writes. */
TEST_F(isolation, shared_buffer)
{
	struct drm_prime_handle p = { .handle = self->a.data_bo, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = util_ioctl(self->fa, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p);

	if (ret)
		SKIP(return, "no dma-buf export: %d", ret);
	ASSERT_EQ(0, util_ioctl(self->fb, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p));
	close(p.fd);
	ASSERT_EQ(0, util_bind(self->fb, self->b.vm, p.handle, UTIL_DATA, UTIL_BYTES, 0));
	util_cmd_fill(&self->b, 0, 0x77, 4);
	ASSERT_EQ(0, util_run(&self->b, 1));
	EXPECT_EQ(0x77, self->a.data[3]);
}

TEST_HARNESS_MAIN
