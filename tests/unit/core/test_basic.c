// SPDX-License-Identifier: MIT
/* Queues from doorbell to fence, in-order effects, the whole command set. */
#include <string.h>

#include "host.h"

static const struct x1_insn end_insn[] = {{.op = X1_OP_END}};

static void no_timing(struct x1_core_config *cfg)
{
	cfg->timing = false;
}

static void run_basic(struct t_host *t)
{
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd c;

	t_queue(t, 0, &(struct t_qopt){.rptr_addr = T_KDATA + 8});
	t_fence(t, 0, T_KDATA, 1, 0);
	/* REQ-DEV-022, REQ-DEV-032: FILL, COPY in all directions */
	c = t_cmd_fill(T_UDATA, 1 << 20, 0x1122334455667788ull, 8);
	t_push(t, 0, &c);
	c = t_cmd_copy(T_UDATA, T_USYS + 12, (1 << 20) - 13);
	t_push(t, 0, &c);
	c = t_cmd_copy(T_USYS + 12, T_UHUGE + 4099, (1 << 20) - 13);
	t_push(t, 0, &c);
	c = t_cmd_launch(prog, 1, 1);
	t_push(t, 0, &c);
	c = t_cmd_launch(prog, 1, 1000);
	t_push(t, 0, &c);
	c = t_cmd_plain(X1_CMD_NOP, 0);
	t_push(t, 0, &c);
	c = t_cmd_plain(X1_CMD_BARRIER, 0);
	t_push(t, 0, &c);
	c = t_cmd_plain(X1_CMD_FLUSH, X1_FLUSH_L2 | X1_FLUSH_TLB);
	t_push(t, 0, &c);
	t_fence(t, 0, T_KDATA, 2, 0);
	assert_memory_equal(t->hbm + t->uhuge + 4099, t->hbm + t->udata, (1 << 20) - 13);
	assert_int_equal(t->hbm[t->udata + 9], 0x77);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_INFO), 0);
	t_sync(t, 0);
	assert_int_equal(t_q(t, 0, X1_Q_RPTR), t->wptr[0]);
	t_until_word(t, 1, t->wptr[0]);
	assert_true(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO) >= 1001 + 10);
	assert_true(atomic_load(&t->dirty_bytes) > 2 << 20);
}

static void test_commands(void **state)
{
	struct t_host *t = t_new(NULL);

	(void)state;
	run_basic(t);
	/* an empty launch costs 400 + 200 cycles with its fence */
	assert_true(t_rd64(t, X1_REG_CLOCK_LO) > 1000);
	t_free(t);
}

static void test_commands_untimed(void **state)
{
	struct t_host *t = t_new(no_timing);

	(void)state;
	run_basic(t);
	assert_int_equal(t_rd64(t, X1_REG_CLOCK_LO), 0);
	t_free(t);
}

static void test_sys_unmapped(void **state)
{
	struct t_host *t = t_new(NULL);

	(void)state;
	atomic_store(&t->no_map, true);
	run_basic(t);
	t_free(t);
}

static void test_wrap(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd c = t_cmd_launch(prog, 1, 1);

	(void)state;
	t_queue(t, 5, &(struct t_qopt){.log2 = 4});
	for (uint32_t i = 1; i <= 200; i++) {
		/* 15 commands and a fence fill the ring exactly, each time shifted by three */
		for (uint32_t n = 0; n < (i % 2 ? 15u : 2u); n++)
			t_push(t, 5, &c);
		t_fence(t, 5, T_KDATA + 64, i, 0);
		while (t_q(t, 5, X1_Q_RPTR) != t->wptr[5])
			;
	}
	assert_int_equal(T_FAULT_CODE(t, 5), 0);
	t_free(t);
}

static void test_fence_irq_vector(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t end = t_now_ms() + T_WAIT_MS;

	(void)state;
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
	t_queue(t, 1, &(struct t_qopt){.vector = 9});
	t_queue(t, 2, NULL);
	t_fence(t, 1, T_KDATA, 1, X1_FENCE_IRQ);
	t_fence(t, 2, T_KDATA + 8, 1, X1_FENCE_IRQ);
	while ((!atomic_load(&t->raised[9]) || !atomic_load(&t->raised[0])) && t_now_ms() < end)
		;
	assert_int_equal(atomic_load(&t->raised[9]), 1);
	assert_int_equal(atomic_load(&t->raised[0]), 1);
	assert_int_equal(t_rd(t, X1_REG_QFENCE_LO), 6);
	assert_int_equal(t_rd(t, X1_REG_IRQ_PENDING), X1_IRQ_QFENCE);
	t_wr(t, X1_REG_QFENCE_LO, 2);
	assert_int_equal(t_rd(t, X1_REG_QFENCE_LO), 4);
	t_wr(t, X1_REG_IRQ_PENDING, X1_IRQ_ALL);
	assert_int_equal(t_rd(t, X1_REG_IRQ_PENDING), 0);
	t_free(t);
}

static void test_coalesce(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t end = t_now_ms() + T_WAIT_MS;
	union x1_cmd c;

	(void)state;
	t_queue(t, 1, &(struct t_qopt){.vector = 9});
	/* REQ-DEV-061: by count: eight fences, two interrupts */
	t_wr(t, X1_REG_COALESCE, 4 | 0xffff << 8);
	for (uint32_t i = 1; i <= 8; i++) {
		c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, i, X1_FENCE_IRQ);
		t_push(t, 1, &c);
	}
	t_sync(t, 1);
	assert_int_equal(atomic_load(&t->raised[9]), 2);
	/* by time: one fence, alone */
	t_wr(t, X1_REG_COALESCE, 4 | 200 << 8);
	t_fence(t, 1, T_KDATA, 9, X1_FENCE_IRQ);
	while (atomic_load(&t->raised[9]) < 3 && t_now_ms() < end)
		;
	assert_int_equal(atomic_load(&t->raised[9]), 3);
	t_free(t);
}

static void test_wait_between_queues(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c;

	(void)state;
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	for (uint32_t i = 1; i <= 100; i++) {
		c = t_cmd_sync(X1_CMD_WAIT, T_KDATA + 8, i, 0);
		t_push(t, 0, &c);
		c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, i, 0);
		t_push(t, 0, &c);
		c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + 8, i, 0);
		t_push(t, 1, &c);
		c = t_cmd_sync(X1_CMD_WAIT, T_KDATA, i, 0);
		t_push(t, 1, &c);
		if (i % 2)
			t_ring(t, 0);
		t_ring(t, 1);
		t_ring(t, 0);
	}
	t_until_word(t, 0, 100);
	/* a value that the host writes */
	c = t_cmd_sync(X1_CMD_WAIT, T_KDATA + 16, 77, 0);
	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 101, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_set_kword(t, 2, 77);
	t_until_word(t, 0, 101);
	t_free(t);
}

static void test_call(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd *u = (union x1_cmd *)(t->hbm + t->udata + (1 << 20)), c;

	(void)state;
	t_queue(t, 0, NULL);
	for (unsigned int i = 0; i < 100; i++)
		u[i] = t_cmd_fill(T_UDATA + i * 16, 16, i, 1);
	u[99] = t_cmd_sync(X1_CMD_FENCE, T_UDATA + 4096, 5, 0);
	c = t_cmd_call(T_UDATA + (1 << 20), 100);
	t_push(t, 0, &c);
	t_fence(t, 0, T_KDATA, 1, 0);
	assert_int_equal(t->hbm[t->udata + 98 * 16], 98);
	assert_int_equal(*(uint64_t *)(t->hbm + t->udata + 4096), 5);
	t_sync(t, 0);
	/* REQ-DEV-031: privilege drops: the ring VM's memory is out of reach */
	u[0] = t_cmd_sync(X1_CMD_FENCE, T_KDATA + 8, 0x666, 0);
	c = t_cmd_call(T_UDATA + (1 << 20), 1);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_UNMAPPED);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_UVM);
	assert_int_equal(t_kword(t, 1), 0);
	t_op(t, 0, X1_Q_OP_RESET);
	t_until_state(t, 0, X1_Q_STATE_READY);
	/* no nesting */
	u[0] = t_cmd_call(T_UDATA, 1);
	t->wptr[0] = t_q(t, 0, X1_Q_RPTR);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_BAD_COMMAND);
	t_free(t);
}

static void test_perf(void **state)
{
	struct t_host *t = t_new(NULL);
	const struct x1_perf *p = (void *)(t->hbm + t->kdata + 4096);
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd c = {.perf = {.hdr = {.op = X1_CMD_PERF_BEGIN}}};

	(void)state;
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	c = t_cmd_launch(prog, 1, 10);
	t_push(t, 0, &c);
	c = (union x1_cmd){.perf = {.hdr = {.op = X1_CMD_PERF_END}, .addr = T_KDATA + 4096}};
	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + 16, 0, 0);
	t_push(t, 0, &c);
	t_fence(t, 0, T_KDATA, 1, 0);
	assert_int_equal(p->launches, 1);
	assert_int_equal(p->work_groups, 10);
	assert_true(p->cycles >= X1_LAUNCH_CYCLES);
	assert_true(t_kword(t, 2) >= p->cycles);
	t_free(t);
}

static void threads1(struct x1_core_config *cfg)
{
	cfg->threads = 1;
}

static void threads4(struct x1_core_config *cfg)
{
	cfg->threads = 4;
}

/* Times at which four queues that compete for the machine finish. */
static void run_cycles(void (*tweak)(struct x1_core_config *), uint64_t out[4])
{
	struct x1_insn prog[] = {
		{.op = X1_OP_MUL, .rd = 17, .ra = 1, .rb = X1_REG_IMM, .imm = 64},
		{.op = X1_OP_ADD, .rd = 17, .ra = 17, .rb = X1_REG_IMM, .imm = T_UDATA},
		{.op = X1_OP_LOOPI, .rd = 50, .imm = 5},
		{.op = X1_OP_LDM, .rd = 18, .ra = 17, .rb = 3, .imm = 8},
		{.op = X1_OP_STM, .rd = 1, .ra = 17, .rb = 3},
		{.op = X1_OP_END},
	};
	struct t_host *t = t_new(tweak);
	uint64_t dva[4];
	union x1_cmd c;

	for (uint32_t q = 0; q < 4; q++) {
		prog[1].imm = T_UDATA + (q << 20);
		dva[q] = t_prog(t, q << 12, prog, 6);
	}
	for (uint32_t q = 0; q < 4; q++)
		t_queue(t, q, &(struct t_qopt){.priority = q % 2});
	t_wr(t, X1_REG_GATE_LO, 0xf);
	for (uint32_t q = 0; q < 4; q++) {
		for (uint32_t i = 0; i < 5; i++) {
			c = t_cmd_launch(dva[q], 6, 300 + 37 * q);
			t_push(t, q, &c);
			if (q == 3) {
				c = t_cmd_sync(X1_CMD_WAIT, T_KDATA, i + 1, 0);
				t_push(t, q, &c);
			}
			c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + q * 8, i + 1, 0);
			t_push(t, q, &c);
		}
		c = t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + (q + 8) * 8, 0, 0);
		t_push(t, q, &c);
		c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + q * 8, 10, 0);
		t_push(t, q, &c);
		t_ring(t, q);
	}
	t_wr(t, X1_REG_GATE_LO, 0);
	for (uint32_t q = 0; q < 4; q++) {
		t_until_word(t, q, 10);
		out[q] = t_kword(t, q + 8);
	}
	t_free(t);
}

static void test_equal_cycles(void **state)
{
	uint64_t first[4], again[4];

	(void)state;
	run_cycles(threads1, first);
	assert_true(first[0] > 2000);
	for (unsigned int i = 0; i < 6; i++) {
		run_cycles(i % 2 ? threads1 : threads4, again);
		assert_memory_equal(first, again, sizeof(first));
	}
}

/*
 * A word that has counted before and starts again: the WAIT is for the new
 * FENCE, keeps nobody from it, and goes on at its time.
 */
static void test_wait_again(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c[] = {
		t_cmd_sync(X1_CMD_WAIT, T_KDATA, 3, 0),
		t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + 8, 0, 0),
		t_cmd_sync(X1_CMD_FENCE, T_KDATA + 16, 1, 0),
		t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + 24, 0, 0),
		t_cmd_sync(X1_CMD_FENCE, T_KDATA, 3, 0),
	};

	(void)state;
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	for (unsigned int i = 1; i <= 20; i++) {
		t_fence(t, 0, T_KDATA, 5, 0);
		t_set_kword(t, 0, 0);
		c[2].sync.value = i;
		for (unsigned int k = 0; k < 3; k++)
			t_push(t, 1, &c[k]);
		t_ring(t, 1);
		t_push(t, 0, &c[3]);
		t_push(t, 0, &c[4]);
		t_ring(t, 0);
		t_until_word(t, 2, i);
		assert_true(t_kword(t, 1) >= t_kword(t, 3) + 2 * X1_FENCE_CYCLES);
	}
	/* Not because the model gave up. */
	assert_true(!t->core->queue[1].lapsed && !t->core->queue[0].lapsed);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_commands_untimed),
		cmocka_unit_test(test_sys_unmapped),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_fence_irq_vector),
		cmocka_unit_test(test_coalesce),
		cmocka_unit_test(test_wait_between_queues),
		cmocka_unit_test(test_wait_again),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_perf),
		cmocka_unit_test(test_equal_cycles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
