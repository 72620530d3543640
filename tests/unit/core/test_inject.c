// SPDX-License-Identifier: MIT
/* Faults on purpose inside the core: see the manual, "Faults on purpose". */
#include <errno.h>
#include <string.h>

#include "host.h"

static const struct x1_insn end_insn[] = {{.op = X1_OP_END}};

static void four(struct x1_core_config *cfg)
{
	cfg->mcus = 4;
}

static void heal(struct t_host *t, uint32_t q)
{
	t_op(t, q, X1_Q_OP_RESET);
	t_until_state(t, q, X1_Q_STATE_READY);
	t->wptr[q] = t_q(t, q, X1_Q_RPTR);
}

/* REQ-FAULT-001 */
static void test_arguments(void **state)
{
	static const struct {
		enum x1_inject kind;
		int64_t bad, good;
	} c[] = {
		{X1_INJECT_MCU_STUCK, 4, 3},      {X1_INJECT_MCU_WRONG, -2, -1},
		{X1_INJECT_ECC_CORRECTED, -1, 0}, {X1_INJECT_ECC_UNCORRECTED, T_HBM, T_HBM - 1},
		{X1_INJECT_DMA, -1, 5},           {X1_INJECT_IRQ_LOST, 1ll << 32, 5},
		{X1_INJECT_QUEUE_HUNG, 0, 1},     {X1_INJECT_TEMPERATURE, 1ll << 31, 90000},
	};
	struct t_host *t = t_new(four);

	(void)state;
	t_queue(t, 1, NULL);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		assert_int_equal(x1_core_inject(t->core, c[i].kind, c[i].bad), -EINVAL);
		assert_int_equal(x1_core_inject(t->core, c[i].kind, c[i].good), 0);
	}
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_COUNT, 0), -EINVAL);
	/* REQ-FAULT-002: an FLR leaves them, a machine reset mends */
	x1_core_reset(t->core, X1_RESET_FLR);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_MCU_STUCK), 3);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_DMA), 5);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_QUEUE_HUNG), -1);
	x1_core_reset(t->core, X1_RESET_COLD);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_MCU_STUCK), -1);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_ECC_UNCORRECTED), -1);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_DMA), 0);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_TEMPERATURE), -1);
	t_free(t);
}

/* REQ-FAULT-010 */
static void test_mcu_stuck(void **state)
{
	struct t_host *t = t_new(four);
	union x1_cmd c = t_cmd_launch(t_prog(t, 0, end_insn, 1), 1, 100);

	(void)state;
	t_queue(t, 0, NULL);
	t_queue(t, 1, &(struct t_qopt){.mcu_first = 2, .mcu_count = 2});
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_MCU_STUCK, 1), 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_INJECTED);
	assert_int_equal(X1_FAULT_INFO_MCU(t_q(t, 0, X1_Q_FAULT_INFO)), 1);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_WG) % 4, 1);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_TAG), 9);
	/* a partition without it does not notice */
	t_push(t, 1, &c);
	t_sync(t, 1);
	/* nor does anybody once it is in quarantine */
	t_mc(t, X1_REG_MCU_INDEX, 1);
	t_mc(t, X1_REG_MCU_HEALTH, 0);
	heal(t, 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	t_free(t);
}

/* REQ-FAULT-011: the lowest bit of each store's first byte */
static void test_mcu_wrong(void **state)
{
	const struct x1_insn store[] = {
		{.op = X1_OP_MUL, .rd = 17, .ra = 1, .rb = X1_REG_IMM, .imm = 8},
		{.op = X1_OP_ADD, .rd = 17, .ra = 17, .rb = X1_REG_IMM, .imm = T_UDATA},
		{.op = X1_OP_STM, .rd = 5, .ra = 17, .rb = 3},
		{.op = X1_OP_END},
	};
	struct t_host *t = t_new(four);
	const uint64_t *out = (void *)(t->hbm + t->udata);
	union x1_cmd c = t_cmd_launch(t_prog(t, 0, store, 4), 4, 64);

	(void)state;
	t_queue(t, 0, NULL);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_MCU_WRONG, 3), 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(out[i], i % 4 == 3 ? 65 : 64);
	t_free(t);
}

/* REQ-FAULT-020, -021 */
static void test_ecc(void **state)
{
	struct t_host *t = t_new(four);
	union x1_cmd c = t_cmd_copy(T_UHUGE + 0x3000, T_UDATA, 0x2000);

	(void)state;
	memset(t->hbm + t->uhuge + 0x3000, 0x5a, 0x2000);
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	t_sync(t, 0);
	assert_int_equal(
		x1_core_inject(t->core, X1_INJECT_ECC_CORRECTED, (int64_t)t->uhuge + 0x4008), 0);
	assert_int_equal(t_rd(t, X1_REG_ECC_CORRECTED), 0);
	for (int i = 0; i < 3; i++) {
		t_push(t, 0, &c);
		t_sync(t, 0);
		assert_int_equal(t_rd(t, X1_REG_ECC_CORRECTED), 1);
	}
	assert_int_equal(t->hbm[t->udata + 0x1fff], 0x5a);
	assert_int_equal(
		x1_core_inject(t->core, X1_INJECT_ECC_UNCORRECTED, (int64_t)t->uhuge + 0x4008), 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_ECC);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_ADDR_LO), (uint32_t)T_UHUGE + 0x4000);
	assert_int_equal(t_rd64(t, X1_REG_ECC_ADDR_LO), t->uhuge + 0x4000);
	assert_int_not_equal(t_rd(t, X1_REG_ECC_UNCORRECTED), 0);
	/* the rest of the huge page serves */
	c = t_cmd_copy(T_UHUGE + 0x5000, T_UDATA, 0x10000);
	t_push(t, 1, &c);
	t_sync(t, 1);
	/* a page table in a bad page */
	assert_int_equal(
		x1_core_inject(t->core, X1_INJECT_ECC_UNCORRECTED, (int64_t)t->root[T_UVM]), 0);
	t_push(t, 1, &c);
	t_ring(t, 1);
	t_until_state(t, 1, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 1), X1_FAULT_ECC);
	t_free(t);
}

/* REQ-FAULT-030, with mapped and with unmapped system memory */
static void test_dma(void **state)
{
	union x1_cmd c = t_cmd_copy(T_USYS, T_UDATA, 4096);

	(void)state;
	for (int unmapped = 0; unmapped < 2; unmapped++) {
		struct t_host *t = t_new(four);

		atomic_store(&t->no_map, unmapped);
		t_queue(t, 0, NULL);
		t_push(t, 0, &c);
		t_sync(t, 0);
		assert_int_equal(x1_core_inject(t->core, X1_INJECT_DMA, 1), 0);
		t_push(t, 0, &c);
		t_ring(t, 0);
		t_until_state(t, 0, X1_Q_STATE_FAULTED);
		assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_DMA);
		heal(t, 0);
		t_push(t, 0, &c);
		t_sync(t, 0);
		t_free(t);
	}
}

/* REQ-FAULT-031 */
static void test_irq_lost(void **state)
{
	struct t_host *t = t_new(four);

	(void)state;
	t_queue(t, 1, &(struct t_qopt){.vector = 9});
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_IRQ_LOST, 2), 0);
	for (uint32_t i = 1; i <= 5; i++)
		t_fence(t, 1, T_KDATA, i, X1_FENCE_IRQ);
	t_sync(t, 1);
	assert_int_equal(atomic_load(&t->raised[9]), 3);
	assert_int_equal(t_rd(t, X1_REG_QFENCE_LO), 2);
	t_free(t);
}

/* REQ-FAULT-040: in the midst of a LAUNCH that never ends by itself */
static void test_queue_hung(void **state)
{
	const struct x1_insn spin[] = {{.op = X1_OP_JMP, .imm = 0}, {.op = X1_OP_END}};
	struct t_host *t = t_new(four);
	union x1_cmd c = t_cmd_launch(t_prog(t, 0, spin, 2), 2, 1);
	uint64_t progress;

	(void)state;
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	t_sync(t, 0);
	progress = t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO);
	t_push(t, 0, &c);
	t_ring(t, 0);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_QUEUE_HUNG, 0), 0);
	t_op(t, 0, X1_Q_OP_SUSPEND);
	/* others go on, and their time does not wait for it */
	t_sync(t, 1);
	assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_SUSPENDING);
	assert_int_equal(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_PROGRESS_LO), progress);
	heal(t, 0);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_QUEUE_HUNG), -1);
	t_sync(t, 0);
	t_free(t);
}

/* REQ-FAULT-060 */
static void test_temperature(void **state)
{
	struct t_host *t = t_new(four);

	(void)state;
	assert_true(t_rd(t, X1_REG_TEMP_MC) < 60000);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_TEMPERATURE, 110000), 0);
	assert_int_equal(t_rd(t, X1_REG_TEMP_MC), 110000);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),  cmocka_unit_test(test_mcu_stuck),
		cmocka_unit_test(test_mcu_wrong),  cmocka_unit_test(test_ecc),
		cmocka_unit_test(test_dma),        cmocka_unit_test(test_irq_lost),
		cmocka_unit_test(test_queue_hung), cmocka_unit_test(test_temperature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
