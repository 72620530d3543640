// SPDX-License-Identifier: MIT
/* BAR0 as the host meets it: access rules, privilege, reset, interrupts. */
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"

static const struct x1_insn end_insn[] = {{.op = X1_OP_END}};

/* REQ-DEV-010: 32-bit registers, LO/HI pairs, everything else reads ones and writes nothing. */
static void test_access(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t hz;

	(void)state;
	assert_int_equal(t_rd(t, X1_REG_MAGIC), X1_MAGIC);
	assert_int_equal(t_rd(t, X1_REG_VERSION), X1_VERSION);
	assert_int_equal(t_rd(t, X1_REG_NUM_MCUS), X1_DEF_MCUS);
	assert_int_equal(t_rd(t, X1_REG_DB_STRIDE), X1_DB_STRIDE_DEFAULT);
	hz = t_rd64(t, X1_REG_CLOCK_HZ_LO);
	assert_int_equal(hz, X1_DEF_CLOCK_HZ);
	assert_int_equal(x1_core_bar_read(t->core, X1_REG_CLOCK_HZ_LO, 8), hz);
	assert_int_equal(x1_core_bar_read(t->core, X1_REG_MAGIC, 1), 0xff);
	assert_int_equal(x1_core_bar_read(t->core, X1_REG_MAGIC, 2), 0xffff);
	assert_int_equal(x1_core_bar_read(t->core, X1_REG_MAGIC + 2, 4), 0xffffffff);
	assert_int_equal(x1_core_bar_read(t->core, X1_REG_MAGIC + 4, 8), UINT64_MAX);
	assert_int_equal(t_rd(t, 0x0ffc), 0);
	assert_int_equal(t_rd(t, X1_BAR0_BYTES - 4), 0);
	/* A pair by one write is the same as two. */
	x1_core_bar_write(t->core, X1_REG_INV_ADDR_LO, 0x123456789000ull, 4);
	assert_int_equal(t_rd64(t, X1_REG_INV_ADDR_LO), 0x56789000);
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO, 0x1234567890ull, 8);
	assert_int_equal(t_rd64(t, X1_REG_FW_ADDR_LO), 0x1234567890ull);
	/* Of the wrong size or place: nothing. */
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO, 0, 1);
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO, 0, 2);
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO + 1, 0, 4);
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO + 4, 0, 8);
	x1_core_bar_write(t->core, X1_REG_FW_ADDR_LO, 0, 3);
	assert_int_equal(t_rd64(t, X1_REG_FW_ADDR_LO), 0x1234567890ull);
	/* Identification is read-only. */
	for (uint32_t off = 0; off < X1_REG_CLOCK_LO; off += 4) {
		uint32_t was = t_rd(t, off);

		t_wr(t, off, ~was);
		assert_int_equal(t_rd(t, off), was);
	}
	t_free(t);
}

/* REQ-DEV-012: registers marked (mc) do not take the host's writes. */
static void test_privilege(void **state)
{
	static const uint32_t regs[] = {
		X1_REG_FW_STATE,       X1_REG_FW_VERSION,  X1_REG_FW_ABI,
		X1_REG_FW_HEARTBEAT,   X1_REG_FW_LOG_HEAD, X1_REG_FW_CRASH_PC,
		X1_REG_FW_CRASH_CAUSE, X1_REG_MBOX_RSP,    X1_REG_MBOX_RSP + 60,
		X1_REG_VM_INDEX,       X1_REG_VM_ROOT_LO,  X1_REG_VM_ROOT_HI,
	};
	static const uint32_t qregs[] = {
		X1_Q_RING_LO,      X1_Q_RING_HI,   X1_Q_RING_LOG2, X1_Q_RPTR_ADDR_LO,
		X1_Q_RPTR_ADDR_HI, X1_Q_RING_VM,   X1_Q_USER_VM,   X1_Q_PRIORITY,
		X1_Q_MCU_FIRST,    X1_Q_MCU_COUNT, X1_Q_BUDGET_LO, X1_Q_BUDGET_HI,
		X1_Q_VECTOR,
	};
	struct t_host *t = t_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint32_t was = t_rd(t, regs[i]);

		t_wr(t, regs[i], was + 3);
		assert_int_equal(t_rd(t, regs[i]), was);
		t_mc(t, regs[i], was + 3);
		assert_int_equal(t_rd(t, regs[i]), was + 3);
	}
	for (size_t i = 0; i < sizeof(qregs) / sizeof(qregs[0]); i++) {
		uint32_t off = X1_REG_QUEUE(7) + qregs[i];

		t_wr(t, off, 5);
		assert_int_equal(t_rd(t, off), 0);
		t_mc(t, off, 5);
		assert_int_equal(t_rd(t, off), 5);
	}
	/* Not with an operation either. */
	t_wr(t, X1_REG_VM_CTRL, X1_VM_CTRL_DETACH);
	t_wr(t, X1_REG_MCU_INDEX, 3);
	t_wr(t, X1_REG_MCU_HEALTH, 0);
	assert_int_equal(t_rd(t, X1_REG_MCU_HEALTHY), X1_DEF_MCUS);
	t_queue(t, 0, NULL);
	t_op(t, 0, X1_Q_OP_DISABLE);
	assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_READY);
	t_op(t, 1, X1_Q_OP_ENABLE);
	assert_int_equal(t_q(t, 1, X1_Q_STATE), X1_Q_STATE_DISABLED);
	t_mc(t, X1_REG_MCU_HEALTH, 0);
	assert_int_equal(t_rd(t, X1_REG_MCU_HEALTHY), X1_DEF_MCUS - 1);
	t_free(t);
}

/* A queue works: everything from configuration to a fence. */
static void works(struct t_host *t)
{
	assert_int_equal(t_attach(t, T_KVM, t->root[T_KVM]), X1_VM_CTRL_OK);
	assert_int_equal(t_attach(t, T_UVM, t->root[T_UVM]), X1_VM_CTRL_OK);
	t_queue(t, 2, NULL);
	t_sync(t, 2);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33);
}

/* REQ-DEV-011: after any writes a reset brings a device that works. */
static void test_any_write(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t seed = 1;

	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 4000; i++) {
			uint32_t r = next_random(&seed), val = next_random(&seed);
			uint32_t off = r % 4 == 0   ? X1_REG_QUEUE(r / 4 % 64) + (r / 256 % 64) * 4
				       : r % 4 == 1 ? X1_REGS_BYTES +
							      (r / 4 % 64) * X1_DB_STRIDE_DEFAULT +
							      (r / 256 % 4) * 4
						    : r / 4 % 0x300 * 4 % 0x280;

			/* Half of the values are small: operations and bits. */
			x1_core_bar_write(t->core, off & ~7u, val & 1 ? val >> 28 : val,
					  r & 0x1000 ? 8 : 4);
			if (r % 16 == 0)
				t_rd(t, off);
		}
		t_wr(t, X1_REG_RESET, X1_RESET_KEY);
		works(t);
		assert_int_equal(t_rd(t, X1_REG_IRQ_ENABLE), 0);
		assert_int_equal(t_rd64(t, X1_REG_GATE_LO), 0);
	}
	t_fw_start(t);
	t_free(t);
}

/* REQ-DEV-002: a reset of the logic keeps HBM, a cold one zeroes it; epochs tell. */
static void test_reset(void **state)
{
	struct t_host *t = t_new(NULL);
	uint32_t boots = t_rd(t, X1_REG_BOOT_EPOCH), losses = t_rd(t, X1_REG_HBM_EPOCH);

	(void)state;
	works(t);
	t_set_kword(t, 0, 42);
	t_wr(t, X1_REG_RESET, X1_RESET_KEY + 1);
	assert_int_equal(t_q(t, 2, X1_Q_STATE), X1_Q_STATE_READY);
	t_wr(t, X1_REG_RESET, X1_RESET_KEY);
	assert_int_equal(t_q(t, 2, X1_Q_STATE), X1_Q_STATE_DISABLED);
	assert_int_equal(t_rd(t, X1_REG_BOOT_EPOCH), boots + 1);
	assert_int_equal(t_rd(t, X1_REG_HBM_EPOCH), losses);
	assert_int_equal(t_kword(t, 0), 42);
	works(t);
	x1_core_reset(t->core, X1_RESET_COLD);
	assert_int_equal(t_rd(t, X1_REG_BOOT_EPOCH), boots + 2);
	assert_int_equal(t_rd(t, X1_REG_HBM_EPOCH), losses + 1);
	assert_int_equal(t_kword(t, 0), 0);
	for (uint64_t i = 0; i < T_HBM; i++)
		if (t->hbm[i])
			fail_msg("HBM is not zero at %#llx", (unsigned long long)i);
	t_free(t);
}

/* REQ-DEV-003: without bus mastering no system memory and no interrupt. */
static void test_bus_master(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c;

	(void)state;
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
	t_queue(t, 0, &(struct t_qopt){.vector = 5});
	x1_core_set_bus_master(t->core, false);
	t_fence(t, 0, T_KDATA, 1, X1_FENCE_IRQ);
	t_sync(t, 0);
	t->sys[0] = 0x55;
	c = t_cmd_copy(T_UDATA, T_USYS, 4096);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_DMA);
	assert_int_equal(t->sys[0], 0x55);
	for (unsigned int v = 0; v < X1_MSIX_VECTORS; v++)
		assert_int_equal(atomic_load(&t->raised[v]), 0);
	x1_core_set_bus_master(t->core, true);
	t_op(t, 0, X1_Q_OP_RESET);
	t_until_state(t, 0, X1_Q_STATE_READY);
	t->wptr[0] = t_q(t, 0, X1_Q_WPTR);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t->sys[0], 0);
	t_free(t);
}

/* REQ-DEV-004: a device that stands still (D3hot) does nothing, and continues. */
static void test_pause(void **state)
{
	struct t_host *t = t_new(NULL);
	union x1_cmd c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, 0);
	struct x1_insn spin[] = {
		{.op = X1_OP_LDM, .rd = 17, .ra = 16, .rb = 3},
		{.op = X1_OP_BEQ, .ra = 17, .rb = 0, .imm = 0},
		{.op = X1_OP_END},
	};
	uint64_t prog = t_prog(t, 0, spin, 3);
	union x1_cmd l = t_cmd_launch(prog, 3, 4);
	uint64_t *word = (uint64_t *)(t->hbm + t->udata), progress;

	(void)state;
	word[8] = T_UDATA + 512;
	l.launch.args = T_UDATA + 64;
	l.launch.num_args = 1;
	t_queue(t, 0, NULL);
	t_queue(t, 1, NULL);
	t_push(t, 1, &l);
	t_ring(t, 1);
	x1_core_pause(t->core);
	assert_true(t_rd(t, X1_REG_STATUS) & X1_STATUS_HALTED);
	t_push(t, 0, &c);
	t_ring(t, 0);
	progress = t_rd64(t, X1_REG_QUEUE(1) + X1_Q_PROGRESS_LO);
	__atomic_store_n(&word[64], 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < 200; i++) {
		t_rd(t, X1_REG_CLOCK_LO);
		assert_int_equal(t_kword(t, 0), 0);
		assert_int_equal(t_rd64(t, X1_REG_QUEUE(1) + X1_Q_PROGRESS_LO), progress);
	}
	x1_core_resume(t->core);
	assert_int_equal(t_rd(t, X1_REG_STATUS) & X1_STATUS_HALTED, 0);
	t_until_word(t, 0, 1);
	t_sync(t, 1);
	t_free(t);
}

static void until_raised(struct t_host *t, unsigned int vector, uint32_t n)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while (atomic_load(&t->raised[vector]) < n)
		if (t_now_ms() > end)
			fail_msg("vector %u: %u of %u", vector, atomic_load(&t->raised[vector]), n);
}

/* REQ-DEV-060: events are edges on vector 0, a queue has its own vector too. */
static void test_events(void **state)
{
	struct t_host *t = t_new(NULL);

	(void)state;
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_QFENCE | X1_IRQ_QEVENT);
	t_queue(t, 1, NULL);
	t_queue(t, 2, &(struct t_qopt){.vector = 9});
	for (uint32_t i = 1; i <= 5; i++) {
		/* The bit stays pending, the vector comes each time. */
		t_fence(t, 1, T_KDATA, i, X1_FENCE_IRQ);
		until_raised(t, 0, i);
		assert_int_equal(t_rd(t, X1_REG_IRQ_PENDING), X1_IRQ_QFENCE);
	}
	t_wr(t, X1_REG_IRQ_PENDING, X1_IRQ_QFENCE);
	/* Changes of state: the queue's vector and vector 0. */
	t_op(t, 2, X1_Q_OP_SUSPEND);
	t_until_state(t, 2, X1_Q_STATE_SUSPENDED);
	until_raised(t, 9, 1);
	until_raised(t, 0, 6);
	assert_int_equal(t_rd(t, X1_REG_QEVENT_LO), 1 << 2);
	assert_int_equal(t_rd(t, X1_REG_IRQ_PENDING), X1_IRQ_QEVENT);
	t_op(t, 2, X1_Q_OP_RESUME);
	until_raised(t, 9, 2);
	t_op(t, 2, X1_Q_OP_RESET);
	until_raised(t, 9, 3);
	/* A masked event is pending and silent; enabling it raises. */
	t_wr(t, X1_REG_IRQ_ENABLE, 0);
	t_wr(t, X1_REG_IRQ_PENDING, X1_IRQ_ALL);
	t_fence(t, 1, T_KDATA, 6, X1_FENCE_IRQ);
	t_sync(t, 1);
	assert_int_equal(t_rd(t, X1_REG_IRQ_PENDING), X1_IRQ_QFENCE);
	{
		uint32_t before = atomic_load(&t->raised[0]);

		t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
		until_raised(t, 0, before + 1);
	}
	t_free(t);
}

/* REQ-DEV-024: gated queues do not fetch, and are released together. */
static void test_gate(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t prog = t_prog(t, 0, end_insn, 1);
	union x1_cmd c = t_cmd_launch(prog, 1, 1);
	uint64_t at[4];

	(void)state;
	for (uint32_t q = 0; q < 4; q++)
		t_queue(t, q, NULL);
	t_wr(t, X1_REG_GATE_LO, 0xf);
	for (uint32_t q = 0; q < 4; q++) {
		union x1_cmd stamp = t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + q * 8, 0, 0);

		t_push(t, q, &c);
		t_push(t, q, &stamp);
		t_ring(t, q);
	}
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(t_q(t, i % 4, X1_Q_RPTR), 0);
	assert_int_equal(t_rd(t, X1_REG_GATE_LO), 0xf);
	t_wr(t, X1_REG_GATE_LO, 0);
	for (uint32_t q = 0; q < 4; q++) {
		t_sync(t, q);
		at[q] = t_kword(t, q);
	}
	/* All began at the same cycle. */
	for (uint32_t q = 1; q < 4; q++)
		assert_int_equal(at[q], at[0]);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access),     cmocka_unit_test(test_privilege),
		cmocka_unit_test(test_any_write),  cmocka_unit_test(test_reset),
		cmocka_unit_test(test_bus_master), cmocka_unit_test(test_pause),
		cmocka_unit_test(test_events),     cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests_name("regs", tests, NULL, NULL);
}
