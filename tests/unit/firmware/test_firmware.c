// SPDX-License-Identifier: MIT
/*
 * The firmware on a register file of the test's: what it writes where, what it
 * says to hardware that does not do what it should, and its policies tick by tick.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fw.h"

#define MCUS 8

/* ---- hardware ---- */

static uint32_t reg[X1_REGS_BYTES / 4];
static uint8_t healthy[MCUS];
static uint64_t now_us, us_per_read;
static uint32_t bist, broken_mcu;
static uint32_t stuck_reg; /* keeps nothing */
static bool enable_fails, disable_fails, detach_busy, health_fails;
static uint32_t req_reads[X1_MBOX_WORDS];
static uint32_t answers;

static void power_on(void)
{
	memset(reg, 0, sizeof(reg));
	memset(healthy, 1, sizeof(healthy));
	reg[X1_REG_MAGIC / 4] = X1_MAGIC;
	reg[X1_REG_NUM_MCUS / 4] = MCUS;
	reg[X1_REG_NUM_QUEUES / 4] = X1_NUM_QUEUES;
	reg[X1_REG_NUM_VMS / 4] = X1_NUM_VMS;
	reg[X1_REG_CLOCK_NOW_LO / 4] = 1526000000;
	reg[X1_REG_TEMP_MC / 4] = 40000;
	reg[X1_REG_POWER_MW / 4] = 60000;
	now_us = 1000;
	us_per_read = 1;
	broken_mcu = UINT32_MAX;
	stuck_reg = 0;
	enable_fails = disable_fails = detach_busy = health_fails = false;
	memset(req_reads, 0, sizeof(req_reads));
	answers = 0;
	queue_adopt();
}

uint32_t hw_read(uint32_t off)
{
	if (off >= X1_REG_MBOX_REQ && off < X1_REG_MBOX_REQ + 4 * X1_MBOX_WORDS)
		req_reads[(off - X1_REG_MBOX_REQ) / 4]++;
	if (off == X1_REG_MCU_HEALTH)
		return healthy[reg[X1_REG_MCU_INDEX / 4] % MCUS];
	if (off == X1_REG_MCU_HEALTHY) {
		uint32_t n = 0;

		for (uint32_t m = 0; m < MCUS; m++)
			n += healthy[m];
		return n;
	}
	return reg[off / 4];
}

void hw_write(uint32_t off, uint32_t val)
{
	uint32_t q = (off - X1_REG_QUEUE(0)) / X1_Q_STRIDE;

	assert_true(off % 4 == 0 && off < X1_REGS_BYTES);
	if (off == stuck_reg && off)
		return;
	if (off == X1_REG_MCU_HEALTH) {
		if (!health_fails)
			healthy[reg[X1_REG_MCU_INDEX / 4] % MCUS] = (uint8_t)val;
		return;
	}
	if (off == X1_REG_VM_CTRL)
		val = detach_busy ? X1_VM_CTRL_EBUSY : X1_VM_CTRL_OK;
	if (off == X1_REG_MBOX_STATUS)
		answers++;
	reg[off / 4] = val;
	if (off < X1_REG_QUEUE(0) || (off - X1_REG_QUEUE(0)) % X1_Q_STRIDE != X1_Q_CTRL)
		return;
	if (val == X1_Q_OP_ENABLE && !enable_fails)
		reg[(X1_REG_QUEUE(q) + X1_Q_STATE) / 4] = X1_Q_STATE_READY;
	if (val == X1_Q_OP_DISABLE && !disable_fails)
		reg[(X1_REG_QUEUE(q) + X1_Q_STATE) / 4] = X1_Q_STATE_DISABLED;
}

uint32_t mc_read(uint32_t addr)
{
	return addr == X1_MC_BIST ? bist == broken_mcu : 0;
}

void mc_write(uint32_t addr, uint32_t val)
{
	if (addr == X1_MC_BIST)
		bist = val;
}

uint64_t hw_time_us(void)
{
	return now_us += us_per_read;
}

volatile uint32_t *hw_free_sram(uint32_t *words)
{
	static uint32_t sram[1024];

	*words = 1024;
	return sram;
}

/* ---- helpers ---- */

static uint32_t ask(struct x1_mbox_msg *m)
{
	uint32_t words[X1_MBOX_WORDS], before = answers;

	memcpy(words, m, sizeof(words));
	memcpy(&reg[X1_REG_MBOX_REQ / 4], words, sizeof(words));
	memset(req_reads, 0, sizeof(req_reads));
	mailbox_serve();
	assert_int_equal(answers, before + 1);
	/* Read once: the host may change the words meanwhile. */
	for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
		assert_int_equal(req_reads[i], 1);
	memcpy(words, &reg[X1_REG_MBOX_RSP / 4], sizeof(words));
	assert_int_equal(((struct x1_mbox_msg *)words)->op, m->op);
	assert_int_equal(((struct x1_mbox_msg *)words)->seq, m->seq);
	memcpy(m, words, sizeof(*m));
	return m->status;
}

static uint32_t ask3(uint16_t op, uint32_t a, uint32_t b, uint32_t c)
{
	struct x1_mbox_msg m = {.op = op, .seq = 9, .arg = {a, b, c}};

	return ask(&m);
}

static struct x1_mbox_msg create(uint32_t queue)
{
	struct x1_mbox_msg m = {.op = X1_MBOX_QUEUE_CREATE, .seq = 3};
	struct x1_mbox_queue_create c = {
		.ring_lo = 0x40,
		.ring_hi = 0x12,
		.rptr_lo = 0x88,
		.ring_log2 = 10,
		.priority = 2,
		.ring_vm = 1,
		.user_vm = 2,
		.mcu_first = 2,
		.mcu_count = 4,
		.budget_lo = 77,
		.vector = 5,
		.queue = queue,
	};

	memcpy(m.arg, &c, sizeof(c));
	return m;
}

static uint32_t qreg(uint32_t q, uint32_t r)
{
	return reg[(X1_REG_QUEUE(q) + r) / 4];
}

/* The last log entry. */
static struct x1_mbox_log last(void)
{
	struct x1_mbox_log e = {0};

	assert_true(log_read(reg[X1_REG_FW_LOG_HEAD / 4] - 1, &e));
	return e;
}

/* ---- tests ---- */

/* REQ-MGMT-010, REQ-MGMT-011: configuration lands in the registers, all of it. */
static void test_queues(void **state)
{
	struct x1_mbox_msg m;

	(void)state;
	power_on();
	m = create(X1_MBOX_QUEUE_ANY);
	assert_int_equal(ask(&m), X1_MBOX_OK);
	assert_int_equal(m.arg[0], 0);
	assert_int_equal(qreg(0, X1_Q_RING_LO), 0x40);
	assert_int_equal(qreg(0, X1_Q_RING_HI), 0x12);
	assert_int_equal(qreg(0, X1_Q_RING_LOG2), 10);
	assert_int_equal(qreg(0, X1_Q_RPTR_ADDR_LO), 0x88);
	assert_int_equal(qreg(0, X1_Q_RING_VM), 1);
	assert_int_equal(qreg(0, X1_Q_USER_VM), 2);
	assert_int_equal(qreg(0, X1_Q_PRIORITY), 2);
	assert_int_equal(qreg(0, X1_Q_MCU_FIRST), 2);
	assert_int_equal(qreg(0, X1_Q_MCU_COUNT), 4);
	assert_int_equal(qreg(0, X1_Q_BUDGET_LO), 77);
	assert_int_equal(qreg(0, X1_Q_VECTOR), 5);
	assert_int_equal(last().event, X1_LOG_QUEUE_CREATED);
	/* All of them, and one more. */
	for (uint32_t q = 1; q < X1_NUM_QUEUES; q++) {
		m = create(X1_MBOX_QUEUE_ANY);
		assert_int_equal(ask(&m), X1_MBOX_OK);
		assert_int_equal(m.arg[0], q);
	}
	assert_int_equal(queue_count(), X1_NUM_QUEUES);
	m = create(X1_MBOX_QUEUE_ANY);
	assert_int_equal(ask(&m), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask3(X1_MBOX_QUEUE_DESTROY, 9, 0, 0), X1_MBOX_OK);
	m = create(X1_MBOX_QUEUE_ANY);
	assert_int_equal(ask(&m), X1_MBOX_OK);
	assert_int_equal(m.arg[0], 9);
	/* A budget changes while nothing is in the ring. */
	assert_int_equal(ask3(X1_MBOX_QUEUE_BUDGET, 9, 5, 6), X1_MBOX_OK);
	assert_int_equal(qreg(9, X1_Q_BUDGET_HI), 6);
	reg[(X1_REG_QUEUE(9) + X1_Q_WPTR) / 4] = 1;
	assert_int_equal(ask3(X1_MBOX_QUEUE_BUDGET, 9, 7, 8), X1_MBOX_ERR_BUSY);
	assert_int_equal(qreg(9, X1_Q_BUDGET_HI), 6);
}

/* Hardware that does not do what it is told: an error, and the books stay right. */
static void test_bad_hardware(void **state)
{
	struct x1_mbox_msg m;

	(void)state;
	power_on();
	enable_fails = true;
	m = create(3);
	assert_int_equal(ask(&m), X1_MBOX_ERR_HW);
	assert_int_equal(queue_count(), 0);
	enable_fails = false;
	m = create(3);
	assert_int_equal(ask(&m), X1_MBOX_OK);
	disable_fails = true;
	assert_int_equal(ask3(X1_MBOX_QUEUE_DESTROY, 3, 0, 0), X1_MBOX_ERR_HW);
	assert_int_equal(queue_count(), 1);
	disable_fails = false;
	assert_int_equal(ask3(X1_MBOX_QUEUE_DESTROY, 3, 0, 0), X1_MBOX_OK);
	detach_busy = true;
	assert_int_equal(ask3(X1_MBOX_VM_DETACH, 4, 0, 0), X1_MBOX_ERR_BUSY);
	health_fails = true;
	assert_int_equal(ask3(X1_MBOX_MCU_QUARANTINE, 4, 1, 0), X1_MBOX_ERR_HW);
}

/* REQ-MGMT-008: queues that are there at the start are known. */
static void test_adopt(void **state)
{
	struct x1_mbox_msg m;

	(void)state;
	power_on();
	reg[(X1_REG_QUEUE(4) + X1_Q_STATE) / 4] = X1_Q_STATE_FAULTED;
	reg[(X1_REG_QUEUE(6) + X1_Q_STATE) / 4] = X1_Q_STATE_SUSPENDED;
	queue_adopt();
	assert_int_equal(queue_count(), 2);
	m = create(4);
	assert_int_equal(ask(&m), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask3(X1_MBOX_QUEUE_DESTROY, 4, 0, 0), X1_MBOX_OK);
	assert_int_equal(queue_count(), 1);
}

/* REQ-MGMT-021: each fault once, until the queue was reset. */
static void test_faults(void **state)
{
	uint32_t state_reg = (X1_REG_QUEUE(2) + X1_Q_STATE) / 4, head;
	struct x1_mbox_msg m;

	(void)state;
	power_on();
	m = create(2);
	assert_int_equal(ask(&m), X1_MBOX_OK);
	queue_log_faults();
	assert_int_equal(last().event, X1_LOG_QUEUE_CREATED);
	reg[state_reg] = X1_Q_STATE_FAULTED;
	reg[(X1_REG_QUEUE(2) + X1_Q_FAULT_INFO) / 4] = 0xabc;
	queue_log_faults();
	assert_int_equal(last().event, X1_LOG_QUEUE_FAULT);
	assert_int_equal(last().data[0], 2);
	assert_int_equal(last().data[1], 0xabc);
	head = reg[X1_REG_FW_LOG_HEAD / 4];
	queue_log_faults();
	assert_int_equal(reg[X1_REG_FW_LOG_HEAD / 4], head);
	reg[state_reg] = X1_Q_STATE_READY;
	queue_log_faults();
	reg[state_reg] = X1_Q_STATE_FAULTED;
	queue_log_faults();
	assert_int_equal(reg[X1_REG_FW_LOG_HEAD / 4], head + 1);
}

/* The ring of entries: positions, times that rise, the oldest kept. */
static void test_log(void **state)
{
	uint32_t first = reg[X1_REG_FW_LOG_HEAD / 4];
	struct x1_mbox_log e;
	uint64_t time = 0;

	(void)state;
	power_on();
	log_event(X1_LOG_POWER, 0, 0, 0);
	first = reg[X1_REG_FW_LOG_HEAD / 4] - 1;
	for (uint32_t i = 1; i < 2000; i++)
		log_event(X1_LOG_POWER, i, i * 2, i * 3);
	assert_false(log_read(first + 2000, &e));
	assert_true(log_read(0, &e));
	assert_int_equal(e.head, first + 2000);
	assert_true(e.position > first + 1000);
	for (uint32_t pos = e.position; pos < first + 2000; pos++) {
		assert_true(log_read(pos, &e));
		assert_int_equal(e.position, pos);
		assert_int_equal(e.data[0], pos - first);
		assert_int_equal(e.data[2], (pos - first) * 3);
		assert_true(((uint64_t)e.time_us_hi << 32 | e.time_us_lo) > time);
		time = (uint64_t)e.time_us_hi << 32 | e.time_us_lo;
	}
}

static uint32_t tick(uint32_t temp, uint32_t power)
{
	reg[X1_REG_TEMP_MC / 4] = temp;
	reg[X1_REG_POWER_MW / 4] = power;
	fw_tick();
	return reg[X1_REG_THROTTLE / 4];
}

/* REQ-MGMT-032: a step a tick above a limit, back only where both limits hold. */
static void test_throttle(void **state)
{
	uint32_t beat;

	(void)state;
	power_on();
	beat = reg[X1_REG_FW_HEARTBEAT / 4];
	assert_int_equal(tick(X1_FW_THROTTLE_MC, 60000), 0);
	assert_int_not_equal(reg[X1_REG_FW_HEARTBEAT / 4], beat);
	assert_int_equal(tick(X1_FW_THROTTLE_MC + 1, 60000), 1);
	assert_int_equal(last().event, X1_LOG_THERMAL);
	assert_int_equal(last().data[1], 1);
	assert_int_equal(tick(X1_FW_THROTTLE_MC + 1, 60000), 2);
	/* Between the two limits it stays. */
	assert_int_equal(tick(X1_FW_RESUME_MC + 1, 60000), 2);
	assert_int_equal(tick(X1_FW_RESUME_MC, 60000), 1);
	assert_int_equal(last().data[1], 1);
	assert_int_equal(tick(X1_FW_RESUME_MC, 60000), 0);
	assert_int_equal(last().data[1], 0);
	for (unsigned int i = 0; i < 40; i++)
		tick(X1_FW_THROTTLE_MC + 20000, 60000);
	assert_int_equal(reg[X1_REG_THROTTLE / 4], X1_THROTTLE_MAX);
	for (unsigned int i = 0; i < 40; i++)
		tick(30000, 60000);
	assert_int_equal(reg[X1_REG_THROTTLE / 4], 0);
	/* Power: 100 W at the full clock against 80 W settles, and does not swing. */
	assert_int_equal(ask3(X1_MBOX_LIMITS, 1, 80000, X1_FW_THROTTLE_MC), X1_MBOX_OK);
	for (unsigned int i = 0; i < 40; i++)
		tick(40000, 100000 * (16 - reg[X1_REG_THROTTLE / 4]) / 16);
	assert_int_equal(reg[X1_REG_THROTTLE / 4], 4); /* 75 W; 81 W would be too much */
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(tick(40000, 75000), 4);
	assert_int_equal(ask3(X1_MBOX_LIMITS, 1, 0, X1_TEMP_LIMIT_MIN - 1), X1_MBOX_ERR_ARG);
	assert_int_equal(ask3(X1_MBOX_LIMITS, 1, 0, X1_FW_THROTTLE_MC), X1_MBOX_OK);
	for (unsigned int i = 0; i < 40; i++)
		tick(40000, 75000);
	assert_int_equal(reg[X1_REG_THROTTLE / 4], 0);
}

static struct x1_mbox_self_test self(void)
{
	struct x1_mbox_msg m = {.op = X1_MBOX_SELF_TEST};
	struct x1_mbox_self_test r;

	assert_int_equal(ask(&m), X1_MBOX_OK);
	memcpy(&r, m.arg, sizeof(r));
	return r;
}

/* REQ-MGMT-030: each part finds what is broken, and an MCU goes into quarantine. */
static void test_self_test(void **state)
{
	struct x1_mbox_self_test r;

	(void)state;
	power_on();
	reg[X1_REG_VM_INDEX / 4] = 0x123;
	r = self();
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.mcus_tested, MCUS);
	assert_int_equal(r.first_failed, UINT32_MAX);
	assert_int_equal(r.sram_words, 1024);
	/* What it borrowed it gave back. */
	assert_int_equal(reg[X1_REG_VM_INDEX / 4], 0x123);
	stuck_reg = X1_REG_VM_ROOT_HI;
	assert_int_equal(self().failed, X1_SELF_TEST_REGS);
	stuck_reg = 0;
	us_per_read = 0;
	assert_int_equal(self().failed, X1_SELF_TEST_CLOCK);
	us_per_read = 1;
	broken_mcu = 6;
	r = self();
	assert_int_equal(r.failed, X1_SELF_TEST_MCU);
	assert_int_equal(r.mcus_failed, 1);
	assert_int_equal(r.first_failed, 6);
	assert_int_equal(healthy[6], 0);
	assert_int_equal(healthy[5], 1);
	/* The next one leaves it out. */
	r = self();
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.mcus_tested, MCUS - 1);
	/* And it can come back. */
	broken_mcu = UINT32_MAX;
	assert_int_equal(ask3(X1_MBOX_MCU_QUARANTINE, 6, 0, 0), X1_MBOX_OK);
	assert_int_equal(self().mcus_tested, MCUS);
}

/* Any request: an answer with a status of the list, and nothing else happens. */
static void test_any_request(void **state)
{
	uint64_t seed = 7;

	(void)state;
	power_on();
	for (unsigned int i = 0; i < 20000; i++) {
		struct x1_mbox_msg m;
		uint32_t words[X1_MBOX_WORDS];

		for (unsigned int w = 0; w < X1_MBOX_WORDS; w++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			words[w] = (uint32_t)(seed >> 33) >> (seed >> 20 & 31);
		}
		memcpy(&m, words, sizeof(m));
		m.op %= 16;
		if (m.op == X1_MBOX_SELF_TEST)
			continue;
		assert_in_range(ask(&m), X1_MBOX_OK, X1_MBOX_ERR_HW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues),    cmocka_unit_test(test_bad_hardware),
		cmocka_unit_test(test_adopt),     cmocka_unit_test(test_faults),
		cmocka_unit_test(test_log),       cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_self_test), cmocka_unit_test(test_any_request),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
