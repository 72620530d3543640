// SPDX-License-Identifier: MIT
/* Queues, fences, faults that stay with their owner. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "x1/x1_fault.h"
#include "x1/x1_limits.h"

static struct sili_device *dev;

static int setup(void **state)
{
	(void)state;
	dev = t_open("sim:hbm=128M,mcus=16");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sili_close(dev);
	return 0;
}

static union x1_cmd nop(void)
{
	return (union x1_cmd){.hdr.op = X1_CMD_NOP};
}

static void test_many(void **state)
{
	struct sili_queue *q = t_queue(dev);
	struct sili_bo *bo = t_bo(dev, 1 << 20, SILI_HBM);
	union x1_cmd cmds[40];
	struct sili_fence *fence = NULL;

	(void)state;
	/* Far more than arena and ring hold at a time. */
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t n = 1 + i % 40;

		for (uint32_t c = 0; c < n; c++)
			sili_cmd_fill(&cmds[c], sili_bo_dva(bo) + 4 * (i % 1000), 4, i << 8 | 1);
		sili_fence_free(fence);
		assert_int_equal(sili_submit(q, cmds, n, &fence), 0);
	}
	assert_int_equal(sili_fence_wait(fence, -1), 0);
	for (uint32_t i = 2000; i < 3000; i++)
		assert_int_equal(((uint32_t *)sili_bo_map(bo))[i % 1000], i << 8 | 1);
	sili_fence_free(fence);
	sili_queue_free(q);
	sili_bo_free(bo);
}

static void test_limits(void **state)
{
	struct sili_queue_attr attr = {.size = sizeof(attr), .priority = X1_NUM_PRIORITIES};
	struct sili_queue *q, *all[X1_NUM_QUEUES + 1];
	union x1_cmd *cmds = calloc(4097, sizeof(*cmds));
	unsigned int n = 0;

	(void)state;
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	attr = (struct sili_queue_attr){.size = sizeof(attr), .mcu_first = 10, .mcu_count = 7};
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	attr = (struct sili_queue_attr){.size = 3};
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	attr = (struct sili_queue_attr){.size = sizeof(attr) + 8};
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	attr = (struct sili_queue_attr){.size = sizeof(attr), .flags = SILI_QUEUE_USER << 1};
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	attr = (struct sili_queue_attr){.size = sizeof(attr), .reserved = 1};
	assert_int_equal(sili_queue_new(dev, &attr, &q), -EINVAL);
	/* A caller that knows less: what lies behind its struct is not looked at. */
	attr = (struct sili_queue_attr){.size = offsetof(struct sili_queue_attr, flags),
					.flags = ~0u};
	assert_int_equal(sili_queue_new(dev, &attr, &q), 0);
	sili_queue_free(q);
	q = t_queue(dev);
	assert_int_equal(sili_submit(q, cmds, 0, NULL), -EINVAL);
	assert_int_equal(sili_submit(q, cmds, 4097, NULL), -EINVAL);
	t_run(q, cmds, 4096, 0);
	sili_queue_free(q);
	while (n <= X1_NUM_QUEUES && !sili_queue_new(dev, NULL, &all[n]))
		n++;
	assert_int_equal(n, X1_NUM_QUEUES);
	while (n)
		sili_queue_free(all[--n]);
	free(cmds);
}

static union x1_cmd wait_for(uint64_t addr, uint64_t value)
{
	return (union x1_cmd){.sync = {.hdr.op = X1_CMD_WAIT, .addr = addr, .value = value}};
}

static void test_fences(void **state)
{
	struct sili_queue *a = t_queue(dev), *b = t_queue(dev);
	struct sili_bo *bo = t_bo(dev, 4096, SILI_HBM);
	union x1_cmd wait = wait_for(sili_bo_dva(bo), 7);
	union x1_cmd go = {.sync = {.hdr.op = X1_CMD_FENCE, .addr = sili_bo_dva(bo), .value = 7}};
	struct sili_fence *f;
	struct pollfd p;

	(void)state;
	assert_int_equal(sili_submit(a, &wait, 1, &f), 0);
	assert_int_equal(sili_fence_wait(f, 0), -ETIME);
	assert_int_equal(sili_fence_wait(f, 2000000), -ETIME);
	p = (struct pollfd){.fd = sili_fence_fd(f), .events = POLLIN};
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	t_run(b, &go, 1, 0);
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(sili_fence_wait(f, -1), 0);
	sili_fence_free(f);
	sili_queue_free(a);
	sili_queue_free(b);
	sili_bo_free(bo);
}

/* A fault later than the descriptor. */
static void test_fence_fd_of_fault(void **state)
{
	struct sili_queue *a = t_queue(dev), *b = t_queue(dev);
	struct sili_bo *bo = t_bo(dev, 4096, SILI_HBM);
	union x1_cmd cmds[] = {wait_for(sili_bo_dva(bo), 7), {.plain.hdr.op = X1_CMD_COUNT}};
	union x1_cmd go = {.sync = {.hdr.op = X1_CMD_FENCE, .addr = sili_bo_dva(bo), .value = 7}};
	struct sili_fence *f;
	struct pollfd p;

	(void)state;
	assert_int_equal(sili_submit(a, cmds, 2, &f), 0);
	p = (struct pollfd){.fd = sili_fence_fd(f), .events = POLLIN};
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	t_run(b, &go, 1, 0);
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(sili_fence_wait(f, -1), -EIO);
	sili_fence_free(f);
	sili_queue_free(a);
	sili_queue_free(b);
	sili_bo_free(bo);
}

/* A queue that waits for ever is freed; its fence says so. */
static void test_free_pending(void **state)
{
	struct sili_queue *q = t_queue(dev);
	struct sili_bo *bo = t_bo(dev, 4096, SILI_HBM);
	union x1_cmd wait = wait_for(sili_bo_dva(bo), 1);
	struct sili_fence *f;

	(void)state;
	assert_int_equal(sili_submit(q, &wait, 1, &f), 0);
	sili_queue_free(q);
	assert_int_equal(sili_fence_wait(f, -1), -ECANCELED);
	sili_fence_free(f);
	sili_bo_free(bo);
	q = t_queue(dev);
	t_run(q, (union x1_cmd[]){nop()}, 1, 0);
	sili_queue_free(q);
}

static void expect_fault_on(struct sili_queue *q, struct sili_queue *other, const union x1_cmd *cmd,
			    uint32_t code)
{
	struct sili_fence *f;
	struct pollfd p;

	assert_int_equal(sili_submit(q, cmd, 1, &f), 0);
	if (sili_fence_wait(f, -1) != -EIO)
		fail_msg("no fault, expected %s", x1_fault_name(code));
	p = (struct pollfd){.fd = sili_fence_fd(f), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_string_equal(x1_fault_name(t_fault(q)), x1_fault_name(code));
	assert_int_equal(sili_submit(q, cmd, 1, NULL), -EIO);
	/* REQ-DEV-050: nobody else notices. */
	t_run(other, (union x1_cmd[]){nop()}, 1, 0);
	assert_int_equal(t_fault(other), X1_FAULT_NONE);
	sili_fence_free(f);
	sili_queue_free(q);
	sili_queue_free(other);
}

static void expect_fault(const union x1_cmd *cmd, uint32_t code)
{
	expect_fault_on(t_queue(dev), t_queue(dev), cmd, code);
}

static struct sili_kernel *kernel(const struct x1_insn *insns, uint32_t n)
{
	struct sili_prog *p = sili_prog_new();
	struct sili_kernel *k;

	for (uint32_t i = 0; i < n; i++)
		sili_prog_emit(p, insns[i]);
	assert_int_equal(sili_prog_finish(p, dev, &k), 0);
	sili_prog_free(p);
	return k;
}

static void expect_program_fault(const struct x1_insn *insns, uint32_t n, uint32_t code)
{
	struct sili_kernel *k = kernel(insns, n);
	union x1_cmd cmd;

	sili_cmd_launch(&cmd, k, 1, 1, 1, 0, 0);
	expect_fault(&cmd, code);
	sili_kernel_free(k);
}

static void test_faults(void **state)
{
	/* The queues first: their own memory must not come where the buffer was. */
	struct sili_queue *q = t_queue(dev), *other = t_queue(dev);
	struct sili_bo *gone = t_bo(dev, 4096, SILI_HBM);
	uint64_t dva = sili_bo_dva(gone);
	union x1_cmd cmd;

	(void)state;
	sili_bo_free(gone);
	/* REQ-DEV-041, REQ-DEV-042: freed memory is out of reach at once. */
	sili_cmd_fill(&cmd, dva, 4096, 0);
	expect_fault_on(q, other, &cmd, X1_FAULT_UNMAPPED);
	cmd = (union x1_cmd){.hdr.op = X1_CMD_COUNT};
	expect_fault(&cmd, X1_FAULT_BAD_COMMAND);
	cmd = (union x1_cmd){.call = {.hdr.op = X1_CMD_CALL, .addr = dva, .count = 1}};
	expect_fault(&cmd, X1_FAULT_BAD_COMMAND);
	expect_program_fault((struct x1_insn[]){{.op = 200}}, 1, X1_FAULT_ILLEGAL);
	expect_program_fault((struct x1_insn[]){{.op = X1_OP_TRAP, .imm = 3}}, 1, X1_FAULT_TRAP);
	expect_program_fault(
		(struct x1_insn[]){{.op = X1_OP_NOP, .wait = {X1_SEM(1)}}, {.op = X1_OP_END}}, 2,
		X1_FAULT_DEADLOCK);
	/* LDM of an address that nobody mapped. */
	expect_program_fault((struct x1_insn[]){{.op = X1_OP_LDM, .rd = 20, .rb = 3, .imm = 64},
						{.op = X1_OP_END}},
			     2, X1_FAULT_UNMAPPED);
}

/* A user queue: the same results, no descriptors, faults that are its own. */
static void test_user_queue(void **state)
{
	struct sili_queue_attr attr = {.size = sizeof(attr), .flags = SILI_QUEUE_USER};
	struct sili_bo *bo = t_bo(dev, 4096, SILI_HBM);
	struct sili_queue *q, *other = t_queue(dev);
	struct sili_fence *fence;
	union x1_cmd cmds[2];

	(void)state;
	assert_int_equal(sili_queue_new(dev, &attr, &q), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		sili_cmd_fill(&cmds[0], sili_bo_dva(bo) + 4 * (i % 1000), 4, i << 8 | 1);
		assert_int_equal(sili_submit(q, cmds, 1, NULL), 0);
	}
	assert_int_equal(sili_submit(q, (union x1_cmd[]){nop()}, 1, &fence), 0);
	assert_int_equal(sili_fence_wait(fence, -1), 0);
	assert_int_equal(sili_fence_fd(fence), -ENOTSUP);
	sili_fence_free(fence);
	for (uint32_t i = 2000; i < 3000; i++)
		assert_int_equal(((uint32_t *)sili_bo_map(bo))[i % 1000], i << 8 | 1);
	cmds[0] = nop();
	cmds[1] = (union x1_cmd){.hdr.op = X1_CMD_COUNT};
	t_run(q, cmds, 2, -EIO);
	assert_int_equal(t_fault(q), X1_FAULT_BAD_COMMAND);
	assert_int_equal(sili_submit(q, cmds, 1, NULL), -EIO);
	t_run(other, cmds, 1, 0);
	sili_queue_free(q);
	sili_queue_free(other);
	sili_bo_free(bo);
}

/* A ring that never ends: the budget ends it, others go on meanwhile. */
static void test_runaway(void **state)
{
	struct sili_queue_attr attr = {.size = sizeof(attr), .budget = 1000000};
	struct x1_insn loop[] = {{.op = X1_OP_JMP, .imm = 0}};
	struct sili_kernel *k = kernel(loop, 1);
	struct sili_queue *q, *other = t_queue(dev);
	union x1_cmd cmd;

	(void)state;
	assert_int_equal(sili_queue_new(dev, &attr, &q), 0);
	sili_cmd_launch(&cmd, k, 1, 1, 1, 0, 0);
	assert_int_equal(sili_submit(q, &cmd, 1, NULL), 0);
	t_run(other, (union x1_cmd[]){nop()}, 1, 0);
	assert_int_equal(sili_run(q, (union x1_cmd[]){nop()}, 1), -EIO);
	assert_int_equal(t_fault(q), X1_FAULT_BUDGET);
	sili_queue_free(q);
	sili_queue_free(other);
	sili_kernel_free(k);
}

static void test_builder_errors(void **state)
{
	struct sili_kernel *k;
	struct sili_prog *p = sili_prog_new();

	(void)state;
	assert_int_equal(sili_prog_finish(p, dev, &k), -EINVAL);
	sili_prog_branch(p, X1_OP_JMP, 0, 0, sili_prog_label(p));
	assert_int_equal(sili_prog_finish(p, dev, &k), -EINVAL);
	sili_prog_free(p);
	p = sili_prog_new();
	sili_prog_loop_end(p);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	assert_int_equal(sili_prog_finish(p, dev, &k), -EINVAL);
	sili_prog_free(p);
	p = sili_prog_new();
	for (uint32_t i = 0; i <= X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES; i++)
		sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	assert_int_equal(sili_prog_finish(p, dev, &k), -E2BIG);
	sili_prog_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),         cmocka_unit_test(test_limits),
		cmocka_unit_test(test_fences),       cmocka_unit_test(test_fence_fd_of_fault),
		cmocka_unit_test(test_free_pending), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_runaway),      cmocka_unit_test(test_builder_errors),
		cmocka_unit_test(test_user_queue),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
