// SPDX-License-Identifier: MIT
/* The dispatcher in time: fairness, priorities, partitions, waits across queues. */
#include <string.h>

#include "host.h"

#define MCUS   16
#define CYCLES 4000 /* of a work-group, nearly */

static void few_mcus(struct x1_core_config *cfg)
{
	cfg->mcus = MCUS;
}

/* Work-groups of CYCLES that count themselves per MCU at T_UDATA. */
static union x1_cmd work(struct t_host *t, uint32_t groups)
{
	const struct x1_insn prog[] = {
		{.op = X1_OP_SHL, .rd = 17, .ra = 6, .rb = X1_REG_IMM, .imm = 3},
		{.op = X1_OP_ADD, .rd = 17, .ra = 17, .rb = X1_REG_IMM, .imm = T_UDATA},
		{.op = X1_OP_ADD, .rd = 18, .rb = X1_REG_IMM, .imm = 1},
		{.op = X1_OP_ATADD, .rd = 18, .ra = 17, .rb = 3},
		{.op = X1_OP_LOOPI, .rd = CYCLES & 0xff, .ra = CYCLES >> 8, .imm = 6},
		{.op = X1_OP_ADD, .rd = 19, .ra = 19, .rb = 18},
		{.op = X1_OP_END},
	};

	return t_cmd_launch(t_prog(t, 0, prog, 7), 7, groups);
}

static void push_stamp(struct t_host *t, uint32_t q)
{
	union x1_cmd c = t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + q * 8, 0, 0);

	t_push(t, q, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + (32 + q) * 8, 1, 0);
	t_push(t, q, &c);
}

static void arrive(struct t_host *t, uint32_t q, uint64_t at)
{
	x1_core_bar_write(t->core, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_ARRIVAL_LO, at,
			  8);
	t_ring(t, q);
}

/* Open the gate; when each of n queues was done. */
static void run(struct t_host *t, uint32_t n, uint64_t *at)
{
	t_wr(t, X1_REG_GATE_LO, 0);
	for (uint32_t q = 0; q < n; q++) {
		t_until_word(t, 32 + q, 1);
		at[q] = t_kword(t, q);
	}
}

/* REQ-TIME-009: queues of one priority share the MCUs; nobody waits for another to end. */
static void test_fairness(void **state)
{
	struct t_host *t = t_new(few_mcus);
	union x1_cmd c = work(t, 8 * MCUS);
	uint64_t at[4], total = 4 * 8ull * CYCLES;

	(void)state;
	t_wr(t, X1_REG_GATE_LO, 0xf);
	for (uint32_t q = 0; q < 4; q++) {
		t_queue(t, q, &(struct t_qopt){.priority = 1});
		t_push(t, q, &c);
		push_stamp(t, q);
		t_ring(t, q);
	}
	run(t, 4, at);
	for (uint32_t q = 0; q < 4; q++)
		assert_in_range(at[q], total * 9 / 10, total * 12 / 10);
	t_free(t);
}

/* REQ-TIME-009: a higher priority has the next MCU that becomes free. */
static void test_priority(void **state)
{
	struct t_host *t = t_new(few_mcus);
	union x1_cmd low = work(t, 20 * MCUS), high = work(t, MCUS);
	uint64_t at[3], arrival = 5 * CYCLES + CYCLES / 2;

	(void)state;
	t_wr(t, X1_REG_GATE_LO, 7);
	for (uint32_t q = 0; q < 3; q++)
		t_queue(t, q, &(struct t_qopt){.priority = q});
	t_push(t, 0, &low);
	push_stamp(t, 0);
	arrive(t, 0, 1);
	for (uint32_t q = 1; q < 3; q++) {
		t_push(t, q, &high);
		push_stamp(t, q);
		arrive(t, q, arrival);
	}
	run(t, 3, at);
	/* The highest: at most the rest of a work-group, and its own. */
	assert_in_range(at[2] - arrival, CYCLES, 2 * CYCLES + 1500);
	/* Then the middle one; it runs while the low one's work-groups still wait. */
	assert_in_range(at[1] - arrival, 2 * CYCLES, 3 * CYCLES + 1500);
	assert_in_range(at[0], 22 * CYCLES, 22 * CYCLES + 3000);
	t_free(t);
}

/* A partition's MCUs, and no others; two of them do not disturb each other. */
static void test_partitions(void **state)
{
	struct t_host *t;
	uint64_t alone[2], both[2];

	(void)state;
	for (uint32_t together = 0; together < 2; together++) {
		uint64_t *ran;

		t = t_new(few_mcus);
		t_wr(t, X1_REG_GATE_LO, 3);
		for (uint32_t q = 0; q < 2; q++) {
			union x1_cmd c = work(t, 40);

			t_queue(t, q,
				&(struct t_qopt){.mcu_first = 4 + 6 * q, .mcu_count = 4 + 2 * q});
			if (together || !q)
				t_push(t, q, &c);
			push_stamp(t, q);
			t_ring(t, q);
		}
		run(t, 2, together ? both : alone);
		ran = (uint64_t *)(t->hbm + t->udata);
		/* REQ-TIME-019 */
		for (uint32_t m = 0; m < MCUS; m++) {
			uint64_t cycles;

			t_wr(t, X1_REG_MCU_PERF_INDEX, m);
			cycles = t_rd64(t, X1_REG_MCU_PERF_CYCLES);
			assert_int_equal(t_rd64(t, X1_REG_MCU_PERF_WGS), ran[m]);
			assert_in_range(cycles, ran[m] * CYCLES, ran[m] * (CYCLES + 1500));
			assert_in_range(t_rd64(t, X1_REG_MCU_PERF_BUSY(X1_ENGINE_SEQ)),
					ran[m] * CYCLES, cycles);
			assert_int_equal(t_rd64(t, X1_REG_MCU_PERF_BUSY(X1_ENGINE_MATRIX)), 0);
		}
		t_wr(t, X1_REG_MCU_PERF_INDEX, MCUS);
		assert_int_equal(t_rd64(t, X1_REG_MCU_PERF_CYCLES), 0);
		for (uint32_t m = 0; m < MCUS; m++)
			assert_int_equal(ran[m] != 0, (m >= 4 && m < 8) || (together && m >= 10));
		t_free(t);
	}
	assert_int_equal(both[0], alone[0]);
	assert_in_range(both[0], 10 * CYCLES, 10 * CYCLES + 3000);
	assert_in_range(both[1], 7 * CYCLES, 7 * CYCLES + 3000);
}

/* REQ-DEV-033: a chain of queues, each waiting for the one before, in time too. */
static void test_wait_chain(void **state)
{
	struct t_host *t = t_new(few_mcus);
	union x1_cmd c = work(t, MCUS), w;
	uint64_t at[8];

	(void)state;
	t_wr(t, X1_REG_GATE_LO, 0xff);
	for (uint32_t q = 0; q < 8; q++) {
		/* Priorities against the order of the chain. */
		t_queue(t, q, &(struct t_qopt){.priority = 3 - q / 2});
		if (q) {
			w = t_cmd_sync(X1_CMD_WAIT, T_KDATA + (32 + q - 1) * 8, 1, 0);
			t_push(t, q, &w);
		}
		t_push(t, q, &c);
		push_stamp(t, q);
		t_ring(t, q);
	}
	run(t, 8, at);
	for (uint32_t q = 1; q < 8; q++)
		assert_in_range(at[q] - at[q - 1], CYCLES + X1_LAUNCH_CYCLES,
				CYCLES + X1_LAUNCH_CYCLES + 2 * X1_FENCE_CYCLES + 1500);
	t_free(t);
}

/* SUSPEND of one queue gives its MCUs to the others; RESUME ends what was begun. */
static void test_suspended_others_run(void **state)
{
	struct t_host *t = t_new(few_mcus);
	union x1_cmd c = work(t, 50 * MCUS);
	uint64_t *ran = (uint64_t *)(t->hbm + t->udata), sum = 0;

	(void)state;
	t_queue(t, 0, &(struct t_qopt){.priority = 3});
	t_queue(t, 1, NULL);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_op(t, 0, X1_Q_OP_SUSPEND);
	t_until_state(t, 0, X1_Q_STATE_SUSPENDED);
	t_push(t, 1, &c);
	t_sync(t, 1);
	t_op(t, 0, X1_Q_OP_RESUME);
	t_sync(t, 0);
	for (uint32_t m = 0; m < MCUS; m++)
		sum += ran[m];
	assert_int_equal(sum, 2 * 50 * MCUS);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_wait_chain),
		cmocka_unit_test(test_suspended_others_run),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
