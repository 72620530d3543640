// SPDX-License-Identifier: MIT
/* Queues: life, doorbells, suspend and reset, checks of commands, whose memory they use. */
#include <string.h>
#include <time.h>

#include "host.h"

static const struct x1_insn end_insn[] = {{.op = X1_OP_END}};

/* Where the user VM's word i lies. */
static uint64_t *uword(struct t_host *t, uint32_t i)
{
	return (uint64_t *)(t->hbm + t->udata) + i;
}

#define UWORD(i) (T_UDATA + (i)*8ull)

/* A program that runs until the user word `i` is not zero; its LAUNCH. */
static union x1_cmd spin_until(struct t_host *t, uint32_t i, uint32_t grid)
{
	struct x1_insn prog[] = {
		{.op = X1_OP_ADD, .rd = 16, .ra = 0, .rb = X1_REG_IMM, .imm = UWORD(i)},
		{.op = X1_OP_LDM, .rd = 17, .ra = 16, .rb = 3},
		{.op = X1_OP_BEQ, .ra = 17, .rb = 0, .imm = 1},
		{.op = X1_OP_END},
	};

	return t_cmd_launch(t_prog(t, 0x8000 + i * 64, prog, 4), 4, grid);
}

static void reset_queue(struct t_host *t, uint32_t q)
{
	t_op(t, q, X1_Q_OP_RESET);
	t_until_state(t, q, X1_Q_STATE_READY);
	t->wptr[q] = t_q(t, q, X1_Q_WPTR);
}

static void push_faults(struct t_host *t, uint32_t q, const union x1_cmd *c, uint32_t code)
{
	t_push(t, q, c);
	t_ring(t, q);
	t_until_state(t, q, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, q), code);
}

/* REQ-DEV-020: what ENABLE takes stays until DISABLE. */
static void test_configuration(void **state)
{
	struct t_host *t = t_new(NULL);
	uint32_t base = X1_REG_QUEUE(3);

	(void)state;
	assert_int_equal(t_rd(t, X1_REG_NUM_QUEUES), X1_NUM_QUEUES);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		assert_int_equal(t_q(t, q, X1_Q_STATE), X1_Q_STATE_DISABLED);
	t_queue(t, 3, NULL);
	t_mc(t, base + X1_Q_RING_LO, 0x1000);
	t_mc(t, base + X1_Q_RING_LOG2, 4);
	t_mc(t, base + X1_Q_USER_VM, 5);
	assert_int_equal(t_q(t, 3, X1_Q_RING_LO), (uint32_t)T_RING(3));
	assert_int_equal(t_q(t, 3, X1_Q_RING_LOG2), 8);
	assert_int_equal(t_q(t, 3, X1_Q_USER_VM), T_UVM);
	t_sync(t, 3);
	t_mcop(t, 3, X1_Q_OP_DISABLE);
	t_until_state(t, 3, X1_Q_STATE_DISABLED);
	/* A doorbell of nobody's queue is nothing. */
	t_ring(t, 3);
	assert_int_equal(t_q(t, 3, X1_Q_STATE), X1_Q_STATE_DISABLED);
	/* Bad configurations are not taken. */
	for (unsigned int i = 0; i < 7; i++) {
		static const struct {
			uint32_t reg, val;
		} bad[] = {
			{X1_Q_RING_LO, 32},     {X1_Q_RING_LOG2, X1_RING_MIN_LOG2 - 1},
			{X1_Q_RING_LOG2, 17},   {X1_Q_PRIORITY, X1_NUM_PRIORITIES},
			{X1_Q_MCU_COUNT, 385},  {X1_Q_VECTOR, X1_MSIX_VECTORS},
			{X1_Q_RPTR_ADDR_LO, 4},
		};
		uint32_t was = t_rd(t, base + bad[i].reg);

		t_mc(t, base + bad[i].reg, bad[i].val);
		t_mcop(t, 3, X1_Q_OP_ENABLE);
		assert_int_equal(t_q(t, 3, X1_Q_STATE), X1_Q_STATE_DISABLED);
		t_mc(t, base + bad[i].reg, was);
	}
	t_queue(t, 3, NULL);
	t_sync(t, 3);
	/* All of them at once. */
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		if (q != 3)
			t_queue(t, q, NULL);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		t_sync(t, q);
	t_free(t);
}

static void doorbell(struct t_host *t, uint32_t q, uint32_t wptr)
{
	t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, wptr);
}

/* REQ-DEV-021: modulo 2^32; past the ring or backwards is a fault. */
static void test_doorbell(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_queue *q = &t->core->queue[0];
	union x1_cmd c = t_cmd_plain(X1_CMD_NOP, 0);

	(void)state;
	t_queue(t, 0, &(struct t_qopt){.log2 = 4});
	doorbell(t, 0, 17);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_BAD_RING);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_ADDR_LO), 17);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_KVM);
	reset_queue(t, 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	doorbell(t, 0, t->wptr[0] - 1);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_BAD_RING);
	reset_queue(t, 0);
	/* Near the end of the numbers. */
	x1_lock(t->core);
	q->rptr = q->wptr = q->fetched = q->rptr_written = t->wptr[0] = 0xfffffff8;
	x1_unlock(t->core);
	for (unsigned int i = 0; i < 30; i++) {
		t_push(t, 0, &c);
		t_sync(t, 0);
	}
	assert_true(t_q(t, 0, X1_Q_WPTR) < 100);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_INFO), 0);
	t_free(t);
}

/* REQ-DEV-022: in order; RPTR counts what retired and follows in memory. */
static void test_order(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c;

	(void)state;
	t_queue(t, 0, &(struct t_qopt){.rptr_addr = T_KDATA + 8});
	for (uint32_t i = 1; i <= 100; i++) {
		c = t_cmd_fill(T_UDATA, 8192, i, 8);
		t_push(t, 0, &c);
		c = t_cmd_copy(T_UDATA, T_UDATA + 0x10000, 8192);
		t_push(t, 0, &c);
	}
	t_sync(t, 0);
	assert_int_equal(*uword(t, 0x10000 / 8 + 1023), 100);
	t_until_word(t, 1, 201);
	assert_int_equal(t_q(t, 0, X1_Q_RPTR), 201);
	/* A command that waits is not counted. */
	c = t_cmd_sync(X1_CMD_WAIT, T_KDATA, 1, 0);
	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + 16, 7, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(t_q(t, 0, X1_Q_RPTR), 201);
	assert_int_equal(t_kword(t, 2), 0);
	t_set_kword(t, 0, 1);
	t_until_word(t, 2, 7);
	t_until_word(t, 1, 203);
	t_free(t);
}

/* REQ-DEV-023: SUSPEND parks inside a program, RESUME goes on, RESET drops. */
static void test_suspend(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c = spin_until(t, 0, 8);

	(void)state;
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, 0);
	t_push(t, 0, &c);
	for (unsigned int i = 0; i < 20; i++) {
		t_ring(t, 0);
		t_op(t, 0, X1_Q_OP_SUSPEND);
		t_until_state(t, 0, X1_Q_STATE_SUSPENDED);
		assert_int_equal(t_rd(t, X1_REG_QEVENT_LO), 1);
		t_wr(t, X1_REG_QEVENT_LO, 1);
		if (i == 10)
			__atomic_store_n(uword(t, 0), 1, __ATOMIC_RELEASE);
		assert_int_equal(t_kword(t, 0), i > 10 ? t_kword(t, 0) : 0);
		t_op(t, 0, X1_Q_OP_RESUME);
		assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_READY);
		t_wr(t, X1_REG_QEVENT_LO, 1);
	}
	t_until_word(t, 0, 1);
	/* While suspended nothing is fetched. */
	t_op(t, 0, X1_Q_OP_SUSPEND);
	t_until_state(t, 0, X1_Q_STATE_SUSPENDED);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 2, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(t_q(t, 0, X1_Q_RPTR), 2);
	t_op(t, 0, X1_Q_OP_RESUME);
	t_until_word(t, 0, 2);
	/* RESET of a program that never ends. */
	*uword(t, 0) = 0;
	c = spin_until(t, 0, 1000);
	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 99, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_wr(t, X1_REG_QEVENT_LO, 1);
	reset_queue(t, 0);
	assert_int_equal(t_rd(t, X1_REG_QEVENT_LO), 1);
	assert_int_equal(t_q(t, 0, X1_Q_RPTR), t->wptr[0]);
	t_sync(t, 0);
	assert_int_equal(t_kword(t, 0), 2);
	t_free(t);
}

/* REQ-DEV-030: each bad field has its fault, and the address holds what offends. */
static void test_checks(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd l = t_cmd_launch(prog, 1, 1), c = t_cmd_copy(T_UDATA, T_UHUGE, 64);
	union x1_cmd f = t_cmd_fill(T_UDATA, 64, 0, 4), s = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, 0);
	union x1_cmd w = t_cmd_sync(X1_CMD_WAIT, T_KDATA, 0, 0), n = t_cmd_plain(X1_CMD_NOP, 0);
	union x1_cmd k = t_cmd_call(T_UDATA, 1),
		     p = {.perf = {.hdr.op = X1_CMD_PERF_END, .addr = T_KDATA}};
	const struct {
		union x1_cmd *cmd;
		unsigned int word; /* 64-bit word of the command */
		uint64_t value;    /* that is put there */
		uint32_t code;
		uint64_t addr; /* expected; 0 = not looked at */
	} bad[] = {
		{&n, 0, X1_CMD_COUNT, X1_FAULT_BAD_COMMAND, X1_CMD_COUNT},
		{&n, 0, 0xffff, X1_FAULT_BAD_COMMAND, 0xffff},
		{&n, 0, X1_CMD_NOP | 1 << 16, X1_FAULT_BAD_COMMAND, 1},
		{&n, 7, 1, X1_FAULT_BAD_COMMAND, 0},
		{&l, 0, X1_CMD_LAUNCH | 8 << 16, X1_FAULT_BAD_COMMAND, 8},
		{&l, 7, 5, X1_FAULT_BAD_COMMAND, 5},
		{&l, 6, 64, X1_FAULT_BAD_COMMAND, 64},
		{&l, 1, prog + 16, X1_FAULT_BAD_PROGRAM, prog + 16},
		{&l, 2, 1ull << 32 | 17, X1_FAULT_BAD_PROGRAM, 17},
		{&l, 2, 1ull << 32 | (X1_MAX_PROGRAM_BYTES + 16), X1_FAULT_BAD_PROGRAM,
		 X1_MAX_PROGRAM_BYTES + 16},
		{&l, 2, 2ull << 32 | 16, X1_FAULT_BAD_PROGRAM, 2},
		{&l, 3, 0, X1_FAULT_BAD_FIELD, 0},
		{&l, 3, (uint64_t)X1_MAX_GRID << 32 | 2, X1_FAULT_BAD_FIELD, X1_MAX_GRID},
		{&l, 4, 1 | (X1_MAX_ARGS + 1ull) << 32, X1_FAULT_BAD_FIELD, X1_MAX_ARGS + 1},
		{&c, 0, X1_CMD_COPY | 1 << 16, X1_FAULT_BAD_COMMAND, 1},
		{&c, 3, X1_MAX_COPY_BYTES + 1, X1_FAULT_BAD_FIELD, X1_MAX_COPY_BYTES + 1},
		{&c, 4, 0, X1_FAULT_BAD_FIELD, 0},
		{&c, 4, 1 | 1ull << 32, X1_FAULT_BAD_COMMAND, 1},
		{&c, 7, 3, X1_FAULT_BAD_COMMAND, 3},
		{&f, 4, 3 | 1ull << 32, X1_FAULT_BAD_FIELD, 3},
		{&f, 2, 66, X1_FAULT_BAD_FIELD, 66},
		{&f, 6, 9, X1_FAULT_BAD_COMMAND, 9},
		{&s, 0, X1_CMD_FENCE | 2 << 16, X1_FAULT_BAD_COMMAND, 2},
		{&s, 1, T_KDATA + 4, X1_FAULT_BAD_FIELD, T_KDATA + 4},
		{&s, 5, 1, X1_FAULT_BAD_COMMAND, 0},
		{&w, 0, X1_CMD_WAIT | 1 << 16, X1_FAULT_BAD_COMMAND, 1},
		{&w, 1, T_KDATA + 1, X1_FAULT_BAD_FIELD, T_KDATA + 1},
		{&k, 1, T_UDATA + 32, X1_FAULT_BAD_FIELD, T_UDATA + 32},
		{&k, 2, 0, X1_FAULT_BAD_FIELD, 0},
		{&k, 2, X1_MAX_CALL + 1, X1_FAULT_BAD_FIELD, X1_MAX_CALL + 1},
		{&k, 3, 1, X1_FAULT_BAD_COMMAND, 0},
		{&p, 1, T_KDATA + 8, X1_FAULT_BAD_FIELD, T_KDATA + 8},
		{&p, 2, 8, X1_FAULT_BAD_COMMAND, 0},
	};

	(void)state;
	t_queue(t, 0, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		union x1_cmd cmd = *bad[i].cmd;
		uint32_t rptr = t_q(t, 0, X1_Q_RPTR);

		cmd.words[bad[i].word] = bad[i].value;
		cmd.hdr.tag = 0x700 + (uint32_t)i;
		t_push(t, 0, &cmd);
		t_ring(t, 0);
		t_until_state(t, 0, X1_Q_STATE_FAULTED);
		if (T_FAULT_CODE(t, 0) != bad[i].code)
			fail_msg("case %zu: fault %u", i, T_FAULT_CODE(t, 0));
		if (bad[i].addr && t_q(t, 0, X1_Q_FAULT_ADDR_LO) != (uint32_t)bad[i].addr)
			fail_msg("case %zu: address %#x", i, t_q(t, 0, X1_Q_FAULT_ADDR_LO));
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_TAG), 0x700 + i);
		assert_int_equal(t_q(t, 0, X1_Q_RPTR), rptr);
		reset_queue(t, 0);
		/* The command without its fault is good. */
		if (bad[i].cmd != &k) {
			t_push(t, 0, bad[i].cmd);
			t_sync(t, 0);
		}
	}
	t_free(t);
}

/* REQ-DEV-031, REQ-DEV-032: whose memory a command uses. */
static void test_privilege(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd *u = (union x1_cmd *)uword(t, 0x20000 / 8);
	union x1_cmd call = t_cmd_call(T_UDATA + 0x20000, 1), c;
	/* In the ring: sync commands reach the ring VM, the others the user VM. */
	const union x1_cmd ring[] = {
		t_cmd_sync(X1_CMD_FENCE, T_UDATA, 1, 0),
		t_cmd_sync(X1_CMD_WAIT, T_UDATA, 0, 0),
		t_cmd_sync(X1_CMD_TIMESTAMP, T_UDATA, 0, 0),
		{.perf = {.hdr.op = X1_CMD_PERF_END, .addr = T_UDATA}},
		t_cmd_copy(T_KDATA, T_UDATA, 8),
		t_cmd_copy(T_UDATA, T_KDATA, 8),
		t_cmd_fill(T_KDATA, 8, 1, 8),
		t_cmd_launch(T_KDATA, 1, 1),
	};
	/* By CALL: none reaches the ring VM. */
	const union x1_cmd called[] = {
		t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, 0),
		t_cmd_sync(X1_CMD_WAIT, T_KDATA, 0, 0),
		t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA, 0, 0),
		{.perf = {.hdr.op = X1_CMD_PERF_END, .addr = T_KDATA}},
		t_cmd_copy(T_KDATA, T_UDATA, 8),
		t_cmd_fill(T_KDATA, 8, 1, 8),
	};

	(void)state;
	t_queue(t, 0, NULL);
	for (size_t i = 0; i < sizeof(ring) / sizeof(ring[0]); i++) {
		push_faults(t, 0, &ring[i], X1_FAULT_UNMAPPED);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), i < 4 ? T_KVM : T_UVM);
		reset_queue(t, 0);
	}
	for (size_t i = 0; i < sizeof(called) / sizeof(called[0]); i++) {
		u[0] = called[i];
		push_faults(t, 0, &call, X1_FAULT_UNMAPPED);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_UVM);
		assert_int_equal(t_kword(t, 0), 0);
		reset_queue(t, 0);
	}
	/* The same commands where they belong. */
	u[0] = t_cmd_sync(X1_CMD_FENCE, UWORD(0), 9, 0);
	u[1] = t_cmd_sync(X1_CMD_WAIT, UWORD(0), 9, 0);
	u[2] = t_cmd_sync(X1_CMD_TIMESTAMP, UWORD(1), 0, 0);
	u[3] = t_cmd_launch(prog, 1, 1);
	call = t_cmd_call(T_UDATA + 0x20000, 4);
	t_push(t, 0, &call);
	t_sync(t, 0);
	assert_int_equal(*uword(t, 0), 9);
	assert_true(*uword(t, 1) > 0);
	/* The call itself is fetched through the user VM, and does not nest. */
	c = t_cmd_call(T_KDATA, 1);
	push_faults(t, 0, &c, X1_FAULT_UNMAPPED);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_UVM);
	reset_queue(t, 0);
	u[0] = call;
	push_faults(t, 0, &call, X1_FAULT_BAD_COMMAND);
	t_free(t);
}

/* REQ-DEV-033: a fence is after everything before it; a wait is no progress. */
static void test_sync_commands(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_insn prog[] = {
		{.op = X1_OP_ADD, .rd = 16, .ra = 0, .rb = X1_REG_IMM, .imm = UWORD(5)},
		{.op = X1_OP_LOOPI, .rd = 0xe8, .ra = 3, .imm = 3},
		{.op = X1_OP_ATADD, .rd = 5, .ra = 16, .rb = 3},
		{.op = X1_OP_END},
	};
	union x1_cmd l = t_cmd_launch(t_prog(t, 0, prog, 4), 4, 10), c;
	uint64_t progress;

	(void)state;
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_QFENCE);
	t_queue(t, 0, NULL);
	for (uint32_t i = 1; i <= 20; i++) {
		t_push(t, 0, &l);
		t_fence(t, 0, T_KDATA, i, X1_FENCE_IRQ);
		/* ten work-groups, a thousand times ten */
		assert_int_equal(__atomic_load_n(uword(t, 5), __ATOMIC_ACQUIRE), i * 100000);
	}
	t_sync(t, 0);
	assert_true(atomic_load(&t->raised[0]) >= 20);
	progress = t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO);
	c = t_cmd_sync(X1_CMD_WAIT, T_KDATA + 64, 1, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO), progress);
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	t_set_kword(t, 8, 1);
	t_sync(t, 0);
	assert_true(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO) > progress);
	t_free(t);
}

/* REQ-DEV-050, REQ-DEV-051: the lowest work-group is reported; doorbells wait for a reset. */
static void test_fault(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_insn prog[] = {
		{.op = X1_OP_ADD, .rd = 17, .ra = 0, .rb = X1_REG_IMM, .imm = 3},
		{.op = X1_OP_BLTU, .ra = 1, .rb = 17, .imm = 3},
		{.op = X1_OP_TRAP, .imm = 0x1234},
		{.op = X1_OP_END},
	};
	union x1_cmd c = t_cmd_launch(t_prog(t, 0, prog, 4), 4, 50);

	(void)state;
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	for (unsigned int i = 0; i < 10; i++) {
		t_fence(t, 0, T_KDATA, i + 1, 0);
		push_faults(t, 0, &c, X1_FAULT_TRAP);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_ADDR_LO), 0x1234);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_PC), 2);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_WG), 3);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_UVM);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_TAG), 9);
		assert_int_equal(X1_FAULT_INFO_UNIT(t_q(t, 0, X1_Q_FAULT_INFO)), X1_UNIT_SEQ);
		/* Everything before took effect; the other queue goes on. */
		assert_int_equal(t_q(t, 0, X1_Q_RPTR), t->wptr[0] - 1);
		t_sync(t, 1);
		/* Doorbells are ignored. */
		{
			union x1_cmd f = t_cmd_sync(X1_CMD_FENCE, T_KDATA + 8, 1, 0);

			t_push(t, 0, &f);
			t_ring(t, 0);
			t_sync(t, 1);
			assert_int_equal(t_kword(t, 1), 0);
			assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_FAULTED);
		}
		reset_queue(t, 0);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_INFO), 0);
	}
	t_free(t);
}

/* REQ-TIME-013: a queue that does not come to an end does not hold up the others for ever. */
static void test_held_up(void **state)
{
	struct t_host *t = t_new(NULL);
	const struct {
		struct x1_insn code[4];
		struct x1_desc desc;
	} p = {
		.code = {{.op = X1_OP_ADD, .rd = 16, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
			 {.op = X1_OP_LOOPI, .rd = 255, .ra = 255, .rb = 255, .imm = 3},
			 {.op = X1_OP_MM, .rd = 16, .imm = sizeof(p.code)},
			 {.op = X1_OP_END}},
		.desc = {.f = {[X1_MM_M] = 128,
			       [X1_MM_N] = 128,
			       [X1_MM_K] = 1024,
			       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3),
			       [X1_MM_A_STRIDE] = 1024,
			       [X1_MM_B_STRIDE] = 1024,
			       [X1_MM_ACC_STRIDE] = 512}},
	};
	union x1_cmd c = t_cmd_launch(T_UPROG, 4, 1);

	(void)state;
	memcpy(t->hbm + t->uprog, &p, sizeof(p));
	c.launch.program_bytes = sizeof(p);
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_fence(t, 1, T_KDATA, 1, 0);
	/* It came while the other one was still at its first work-group. */
	assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_READY);
	assert_int_equal(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO), 0);
	t_op(t, 0, X1_Q_OP_RESET);
	t_until_state(t, 0, X1_Q_STATE_READY);
	t_fence(t, 0, T_KDATA, 2, 0);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration), cmocka_unit_test(test_doorbell),
		cmocka_unit_test(test_order),         cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_checks),        cmocka_unit_test(test_privilege),
		cmocka_unit_test(test_sync_commands), cmocka_unit_test(test_fault),
		cmocka_unit_test(test_held_up),
	};

	return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
