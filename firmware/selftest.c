// SPDX-License-Identifier: MIT
/* Self-test: management core, its memory, registers, and a program on each healthy MCU. */
#include "fw.h"

static bool clock_runs(void)
{
	uint64_t before = hw_time_us();
	uint32_t tries = 1000000;

	while (hw_time_us() == before)
		if (!--tries)
			return false;
	return true;
}

/* Read-only ones have their values, others keep what they are given. */
static bool registers_work(void)
{
	static const uint32_t keep[] = {X1_REG_VM_INDEX, X1_REG_VM_ROOT_LO, X1_REG_VM_ROOT_HI,
					X1_REG_MCU_INDEX};
	bool ok = hw_read(X1_REG_MAGIC) == X1_MAGIC && hw_read(X1_REG_NUM_QUEUES) == X1_NUM_QUEUES;

	for (uint32_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
		uint32_t was = hw_read(keep[i]);

		for (uint32_t bit = 0; bit < 32; bit++) {
			hw_write(keep[i], 1u << bit);
			ok &= hw_read(keep[i]) == 1u << bit;
		}
		hw_write(keep[i], was);
	}
	return ok;
}

static bool arithmetic_works(void)
{
	volatile uint32_t a = 0x12345678, b = 0x9abcdef0;
	volatile int32_t c = -1000003;

	return (uint64_t)a * b == 0x0b00ea4e242d2080ull && b / a == 8 && b % a == 0x091a2b30 &&
	       c / 1009 == -991 && c % 1009 == -84 && c >> 4 == -62501 && a << 5 == 0x468acf00;
}

/* Each word holds its own address, then the inverse: lines stuck or crossed show. */
static uint32_t test_sram(bool *ok)
{
	uint32_t n;
	volatile uint32_t *mem = hw_free_sram(&n);

	*ok = true;
	for (uint32_t inverse = 0; inverse < 2; inverse++) {
		for (uint32_t i = 0; i < n; i++)
			mem[i] = inverse ? ~i : i;
		for (uint32_t i = 0; i < n; i++)
			*ok &= mem[i] == (inverse ? ~i : i);
	}
	return n;
}

static void test_mcus(struct x1_mbox_self_test *out)
{
	uint32_t n = hw_read(X1_REG_NUM_MCUS);

	out->first_failed = 0xffffffffu;
	for (uint32_t m = 0; m < n; m++) {
		hw_write(X1_REG_MCU_INDEX, m);
		if (!hw_read(X1_REG_MCU_HEALTH))
			continue;
		out->mcus_tested++;
		mc_write(X1_MC_BIST, m);
		if (!mc_read(X1_MC_BIST))
			continue;
		if (!out->mcus_failed++)
			out->first_failed = m;
		mcu_set_health(m, false);
	}
}

void self_test(struct x1_mbox_self_test *out)
{
	bool sram;

	out->failed |= clock_runs() ? 0 : X1_SELF_TEST_CLOCK;
	out->failed |= registers_work() ? 0 : X1_SELF_TEST_REGS;
	out->failed |= arithmetic_works() ? 0 : X1_SELF_TEST_ALU;
	out->sram_words = test_sram(&sram);
	out->failed |= sram ? 0 : X1_SELF_TEST_SRAM;
	test_mcus(out);
	out->failed |= out->mcus_failed ? X1_SELF_TEST_MCU : 0;
	log_event(X1_LOG_SELF_TEST, out->failed, out->mcus_failed, 0);
}
