// SPDX-License-Identifier: MIT
/* The management core with the built firmware: boot, crash, mailbox, log, heartbeat. */
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"

static struct x1_mbox_msg request(uint16_t op, uint32_t a, uint32_t b, uint32_t c)
{
	static uint16_t seq;

	return (struct x1_mbox_msg){.op = op, .seq = ++seq, .arg = {a, b, c}};
}

static uint32_t ask(struct t_host *t, uint16_t op, uint32_t a, uint32_t b, uint32_t c)
{
	struct x1_mbox_msg m = request(op, a, b, c);

	return t_mbox(t, &m);
}

/* A QUEUE_CREATE that is good on t_new()'s address spaces. */
static struct x1_mbox_msg create(struct t_host *t, uint32_t queue)
{
	struct x1_mbox_msg m = request(X1_MBOX_QUEUE_CREATE, 0, 0, 0);
	struct x1_mbox_queue_create c = {
		.ring_lo = (uint32_t)T_RING(0),
		.ring_log2 = 8,
		.ring_vm = T_KVM,
		.user_vm = T_UVM,
		.queue = queue,
	};

	if (!t->ring[0]) {
		t->ring[0] = 32ull << 20;
		t_map(t, T_KVM, T_RING(0), t->ring[0], 128 << 10, X1_PTE_READ, false);
	}
	memcpy(m.arg, &c, sizeof(c));
	return m;
}

/* REQ-MGMT-001, REQ-MGMT-003: where an image may lie; a good one checks in. */
static void test_boot(void **state)
{
	struct t_host *t = t_new(NULL);
	size_t len;
	uint8_t *image = t_fw_image(&len);
	const struct x1_fw_header *h = (void *)image;

	(void)state;
	assert_int_equal(t_rd(t, X1_REG_FW_STATE), X1_FW_STATE_RESET);
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_FW);
	assert_int_equal(t_fw_boot(t, image, len), X1_FW_STATE_READY);
	assert_int_equal(t_rd(t, X1_REG_FW_VERSION), h->fw_version);
	assert_int_equal(t_rd(t, X1_REG_FW_ABI), X1_FW_ABI);
	assert_int_equal(t_rd(t, X1_REG_FW_ERROR), X1_FW_OK);
	assert_true(t_rd(t, X1_REG_STATUS) & X1_STATUS_READY);
	assert_true(atomic_load(&t->raised[0]) > 0);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	assert_int_equal(t_rd(t, X1_REG_FW_STATE), X1_FW_STATE_RESET);
	/* Not at a page. */
	memcpy(t->hbm + T_FW_OFF + 64, image, len);
	t_wr(t, X1_REG_FW_ADDR_LO, (uint32_t)T_FW_OFF + 64);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_REFUSED);
	assert_int_equal(t_rd(t, X1_REG_FW_ERROR), X1_FW_ERR_RANGE);
	t_fw_start(t);
	free(image);
	t_free(t);
}

/* REQ-MGMT-004: a firmware that traps without a handler is stopped; the device works on. */
static void test_crash(void **state)
{
	struct t_host *t = t_new(NULL);
	size_t len;
	uint8_t *image = t_fw_image(&len);
	struct x1_fw_header *h = (void *)image;

	(void)state;
	t_queue(t, 0, NULL);
	/* No instruction at the entry, and no handler: the second trap is the end. */
	memset(image + sizeof(*h), 0, len - sizeof(*h));
	t_fw_sign(image, len);
	assert_int_equal(t_fw_boot(t, image, len), X1_FW_STATE_CRASHED);
	assert_int_equal(t_rd(t, X1_REG_FW_CRASH_PC), h->entry);
	assert_int_equal(t_rd(t, X1_REG_FW_CRASH_CAUSE), 2);
	assert_int_equal(t_rd(t, X1_REG_STATUS) & X1_STATUS_READY, 0);
	t_sync(t, 0);
	free(image);
	t_fw_start(t);
	assert_int_equal(ask(t, X1_MBOX_PING, 1, 0, 0), X1_MBOX_OK);
	t_sync(t, 0);
	t_free(t);
}

/* REQ-MGMT-010: BUSY until the reply is there, which carries op and number. */
static void test_mailbox(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_mbox_msg m;

	(void)state;
	t_fw_start(t);
	for (uint32_t i = 0; i < 200; i++) {
		m = request(X1_MBOX_PING, i * 77, 0, 0);
		t_wr(t, X1_REG_IRQ_PENDING, X1_IRQ_MBOX);
		assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
		assert_int_equal(m.op, X1_MBOX_PING);
		assert_int_equal(m.arg[0], i * 77);
		assert_true(t_rd(t, X1_REG_IRQ_PENDING) & X1_IRQ_MBOX);
	}
	/* With nobody there it stays busy, and the request cannot be changed. */
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	t_wr(t, X1_REG_MBOX_REQ, 1);
	t_wr(t, X1_REG_MBOX_SEND, 1);
	assert_int_equal(t_rd(t, X1_REG_MBOX_STATUS), X1_MBOX_BUSY);
	t_wr(t, X1_REG_MBOX_REQ, 2);
	assert_int_equal(t_rd(t, X1_REG_MBOX_REQ), 1);
	t_free(t);
}

/* REQ-MGMT-011: each kind of refusal, with the index of what is bad. */
static void test_refusals(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_mbox_msg m;
	const struct {
		uint32_t word, value;
	} bad[] = {
		{0, 32},  {1, 0x10000},       {2, 4},   {3, 0x10000},        {4, 3},
		{4, 17},  {4, 8 | 4 << 16},   {5, 0},   {5, X1_NUM_VMS},     {6, 0},
		{7, 384}, {7, 1 | 384 << 16}, {10, 64}, {11, X1_NUM_QUEUES}, {12, 1},
	};

	(void)state;
	t_fw_start(t);
	assert_int_equal(ask(t, 0, 0, 0, 0), X1_MBOX_ERR_OP);
	assert_int_equal(ask(t, 0xffff, 0, 0, 0), X1_MBOX_ERR_OP);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		m = create(t, X1_MBOX_QUEUE_ANY);
		m.arg[bad[i].word] = bad[i].value;
		assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_ARG);
		/* A pair is named by its first word. */
		assert_int_equal(m.arg[0], bad[i].word < 4 ? bad[i].word & ~1u : bad[i].word);
	}
	m = create(t, 5);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	assert_int_equal(m.arg[0], 5);
	m = create(t, 5);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_DESTROY, 6, 0, 0), X1_MBOX_ERR_NONE);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_DESTROY, X1_NUM_QUEUES, 0, 0), X1_MBOX_ERR_NONE);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_BUDGET, 6, 1, 0), X1_MBOX_ERR_NONE);
	assert_int_equal(ask(t, X1_MBOX_LOG_READ, 0xfffffff0, 0, 0), X1_MBOX_ERR_NONE);
	m = request(X1_MBOX_MCU_QUARANTINE, X1_DEF_MCUS, 1, 0);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_ARG);
	assert_int_equal(m.arg[0], 0);
	m = request(X1_MBOX_MCU_QUARANTINE, 0, 2, 0);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_ARG);
	assert_int_equal(m.arg[0], 1);
	assert_int_equal(ask(t, X1_MBOX_POWER, X1_POWER_IDLE + 1, 0, 0), X1_MBOX_ERR_ARG);
	assert_int_equal(ask(t, X1_MBOX_POWER, X1_POWER_IDLE, 0, 0), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_DESTROY, 5, 0, 0), X1_MBOX_OK);
	assert_int_equal(ask(t, X1_MBOX_POWER, X1_POWER_IDLE, 0, 0), X1_MBOX_OK);
	t_free(t);
}

/* REQ-MGMT-012: a VM that a queue uses stays. */
static void test_vm_in_use(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_mbox_msg m;

	(void)state;
	t_fw_start(t);
	assert_int_equal(ask(t, X1_MBOX_VM_ATTACH, 3, (uint32_t)t->root[3], 0), X1_MBOX_OK);
	m = create(t, X1_MBOX_QUEUE_ANY);
	m.arg[6] = 3;
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	assert_int_equal(ask(t, X1_MBOX_VM_DETACH, 3, 0, 0), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_VM_DETACH, T_KVM, 0, 0), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_VM_ATTACH, 3, (uint32_t)t->root[4], 0), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_DESTROY, m.arg[0], 0, 0), X1_MBOX_OK);
	assert_int_equal(ask(t, X1_MBOX_VM_DETACH, 3, 0, 0), X1_MBOX_OK);
	assert_int_equal(ask(t, X1_MBOX_VM_ATTACH, 0, 0, 0), X1_MBOX_ERR_ARG);
	m = request(X1_MBOX_VM_ATTACH, 3, 8, 0);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_ARG);
	assert_int_equal(m.arg[0], 1);
	t_free(t);
}

/* REQ-MGMT-020: it beats while it lives, and not when it is halted. */
static void test_heartbeat(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t end = t_now_ms() + T_WAIT_MS;
	uint32_t beat, seen = 0;

	(void)state;
	t_fw_start(t);
	beat = t_rd(t, X1_REG_FW_HEARTBEAT);
	while (seen < 3) {
		uint32_t now = t_rd(t, X1_REG_FW_HEARTBEAT);

		assert_true(t_now_ms() < end);
		seen += now != beat;
		beat = now;
	}
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	beat = t_rd(t, X1_REG_FW_HEARTBEAT);
	end = t_now_ms() + 100;
	while (t_now_ms() < end)
		assert_int_equal(t_rd(t, X1_REG_FW_HEARTBEAT), beat);
	t_free(t);
}

/* The newest entry of a kind, or false. */
static bool find_event(struct t_host *t, uint32_t event, struct x1_mbox_log *out)
{
	bool found = false;

	for (uint32_t pos = 0;;) {
		struct x1_mbox_msg m = request(X1_MBOX_LOG_READ, pos, 0, 0);
		struct x1_mbox_log e;

		if (t_mbox(t, &m) != X1_MBOX_OK)
			return found;
		memcpy(&e, m.arg, sizeof(e));
		assert_true(e.position >= pos && e.position < e.head);
		if (e.event == event) {
			*out = e;
			found = true;
		}
		pos = e.position + 1;
	}
}

/* REQ-MGMT-021: events are kept and read by position; the oldest kept where it is gone. */
static void test_log(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_mbox_msg m;
	struct x1_mbox_log e;
	uint64_t end = t_now_ms() + T_WAIT_MS;

	(void)state;
	t_fw_start(t);
	assert_true(find_event(t, X1_LOG_BOOT, &e));
	assert_int_equal(e.data[1], X1_FW_ABI);
	assert_int_equal(ask(t, 99, 0, 0, 0), X1_MBOX_ERR_OP);
	assert_true(find_event(t, X1_LOG_BAD_REQUEST, &e));
	assert_int_equal(e.data[0], 99);
	assert_int_equal(e.data[1], X1_MBOX_ERR_OP);
	/* A queue that faults. */
	m = create(t, 7);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	assert_true(find_event(t, X1_LOG_QUEUE_CREATED, &e));
	assert_int_equal(e.data[0], 7);
	t_wr(t, X1_REGS_BYTES + 7 * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, 0x10000);
	t_until_state(t, 7, X1_Q_STATE_FAULTED);
	while (!find_event(t, X1_LOG_QUEUE_FAULT, &e))
		assert_true(t_now_ms() < end);
	assert_int_equal(e.data[0], 7);
	assert_int_equal(X1_FAULT_INFO_CODE(e.data[1]), X1_FAULT_BAD_RING);
	/* More than fits: the first are gone, the order stays. */
	for (unsigned int i = 0; i < 600; i++)
		ask(t, 99, 0, 0, 0);
	m = request(X1_MBOX_LOG_READ, 0, 0, 0);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	memcpy(&e, m.arg, sizeof(e));
	assert_true(e.position > 0);
	assert_int_equal(e.head, t_rd(t, X1_REG_FW_LOG_HEAD));
	assert_true(find_event(t, X1_LOG_BAD_REQUEST, &e));
	assert_int_equal(e.position, e.head - 1);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot),      cmocka_unit_test(test_crash),
		cmocka_unit_test(test_mailbox),   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_vm_in_use), cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests_name("mgmt", tests, NULL, NULL);
}
