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

/* ---- crash dump, hang, update ---- */

static void read_dump(struct t_host *t, struct x1_fw_dump *d)
{
	uint32_t words[sizeof(*d) / 4];

	for (uint32_t i = 0; i < sizeof(*d) / 4; i++) {
		t_wr(t, X1_REG_FW_DUMP_INDEX, i);
		words[i] = t_rd(t, X1_REG_FW_DUMP_DATA);
	}
	memcpy(d, words, sizeof(*d));
	t_wr(t, X1_REG_FW_DUMP_INDEX, sizeof(*d) / 4);
	assert_int_equal(t_rd(t, X1_REG_FW_DUMP_DATA), 0);
}

/* An image that runs `code` at its entry. */
static uint8_t *image_of(const uint32_t *code, size_t words, size_t *len)
{
	uint8_t *image = t_fw_image(len);

	memset(image + sizeof(struct x1_fw_header), 0, *len - sizeof(struct x1_fw_header));
	memcpy(image + sizeof(struct x1_fw_header), code, words * 4);
	t_fw_sign(image, *len);
	return image;
}

/* REQ-MGMT-006: registers and stack where it happened, until the next boot. */
static void test_dump(void **state)
{
	static const uint32_t code[] = {
		0x80040137, /* lui  sp, 0x80040 */
		0x00012503, /* lw   a0, 0(sp) */
		0x12345537, /* lui  a0, 0x12345 */
		0xfea12c23, /* sw   a0, -8(sp) */
		0xff810113, /* addi sp, sp, -8 */
		0xfff00593, /* li   a1, -1 */
		0x0005a603, /* lw   a2, 0(a1): misaligned, and no handler */
	};
	struct t_host *t = t_new(NULL);
	struct x1_fw_dump d;
	size_t len;
	uint8_t *image = image_of(code, sizeof(code) / 4, &len);

	(void)state;
	read_dump(t, &d);
	assert_int_equal(d.magic, 0);
	assert_int_equal(t_fw_boot(t, image, len), X1_FW_STATE_CRASHED);
	read_dump(t, &d);
	assert_int_equal(d.magic, X1_FW_DUMP_MAGIC);
	assert_int_equal(d.pc, X1_MC_SRAM_BASE + 24);
	assert_int_equal(d.cause, 4);
	assert_int_equal(d.tval, 0xffffffff);
	assert_int_equal(d.x[10], 0x12345000);
	assert_int_equal(d.x[11], 0xffffffff);
	assert_int_equal(d.stack_addr, 0x8003fff8);
	assert_int_equal(d.stack_words, X1_FW_DUMP_STACK);
	assert_int_equal(d.stack[0], 0x12345000);
	assert_int_equal(d.pc, t_rd(t, X1_REG_FW_CRASH_PC));
	assert_int_equal(d.cause, t_rd(t, X1_REG_FW_CRASH_CAUSE));
	t_fw_start(t);
	read_dump(t, &d);
	assert_int_equal(d.magic, 0);
	free(image);
	t_free(t);
}

/* REQ-MGMT-007: firmware that hangs is stopped where it is. */
static void test_hang(void **state)
{
	static const uint32_t code[] = {
		0x00500513, /* li a0, 5 */
		0x0000006f, /* j . */
	};
	struct t_host *t = t_new(NULL);
	struct x1_fw_dump d;
	size_t len;
	uint8_t *image = image_of(code, 2, &len);

	(void)state;
	memcpy(t->hbm + T_FW_OFF, image, len);
	t_wr(t, X1_REG_FW_ADDR_LO, (uint32_t)T_FW_OFF);
	t_wr(t, X1_REG_FW_SIZE, (uint32_t)len);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_STARTED);
	t_wr(t, X1_REG_MBOX_REQ, X1_MBOX_PING);
	t_wr(t, X1_REG_MBOX_SEND, 1);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_STOP);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_CRASHED);
	read_dump(t, &d);
	assert_int_equal(d.cause, X1_FW_CAUSE_STOPPED);
	assert_in_range(d.pc, X1_MC_SRAM_BASE, X1_MC_SRAM_BASE + 4);
	assert_int_equal(d.request, X1_MBOX_PING);
	assert_int_equal(d.stack_words, 0);
	/* One that sleeps as well. */
	t_fw_start(t);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_STOP);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_CRASHED);
	read_dump(t, &d);
	assert_true(d.stack_words > 0);
	assert_int_equal(d.fw_version, t_rd(t, X1_REG_FW_VERSION));
	t_fw_start(t);
	free(image);
	t_free(t);
}

static void update(struct t_host *t, const void *image, size_t len)
{
	memcpy(t->hbm + T_FW_OFF, image, len);
	t_wr(t, X1_REG_FW_SIZE, (uint32_t)len);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_UPDATE);
	t_until_reg(t, X1_REG_FW_CTRL, ~0u, 0);
}

/* REQ-MGMT-008: a good update takes over with its queues; any other changes nothing. */
static void test_update(void **state)
{
	static const uint32_t crash[] = {0};
	struct t_host *t = t_new(NULL);
	size_t len, bad_len;
	uint8_t *image = t_fw_image(&len), *bad = image_of(crash, 1, &bad_len);
	struct x1_mbox_msg m;
	struct x1_mbox_log e;

	(void)state;
	t_fw_start(t);
	m = create(t, 7);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	/* Refused by the boot ROM: the old one does not notice. */
	image[len - 1] ^= 1;
	update(t, image, len);
	image[len - 1] ^= 1;
	assert_int_equal(t_rd(t, X1_REG_FW_ERROR), X1_FW_ERR_HASH);
	assert_int_equal(t_rd(t, X1_REG_FW_STATE), X1_FW_STATE_READY);
	assert_true(find_event(t, X1_LOG_BOOT, &e));
	assert_int_equal(e.data[2], X1_BOOT_COLD);
	/* Good to the boot ROM, but it crashes before it checks in: the one before it again. */
	update(t, bad, bad_len);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_READY);
	assert_int_equal(t_rd(t, X1_REG_FW_ERROR), X1_FW_ERR_START);
	assert_true(find_event(t, X1_LOG_BOOT, &e));
	assert_int_equal(e.data[2], X1_BOOT_FALLBACK);
	/* Good. */
	((struct x1_fw_header *)image)->fw_version++;
	t_fw_sign(image, len);
	update(t, image, len);
	t_until_reg(t, X1_REG_FW_STATE, ~0u, X1_FW_STATE_READY);
	assert_int_equal(t_rd(t, X1_REG_FW_ERROR), X1_FW_OK);
	assert_true(find_event(t, X1_LOG_BOOT, &e));
	assert_int_equal(e.data[2], X1_BOOT_UPDATE);
	/* The queue lives, and the new firmware knows it. */
	assert_int_equal(t_q(t, 7, X1_Q_STATE), X1_Q_STATE_READY);
	m = create(t, 7);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_ERR_BUSY);
	assert_int_equal(ask(t, X1_MBOX_QUEUE_DESTROY, 7, 0, 0), X1_MBOX_OK);
	/* Nothing to update where nothing runs. */
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_UPDATE);
	assert_int_equal(t_rd(t, X1_REG_FW_CTRL), 0);
	free(image);
	free(bad);
	t_free(t);
}

/* ---- self-test, quarantine, limits ---- */

/* REQ-MGMT-030: every healthy MCU runs a program, all of free SRAM is written and read. */
static void test_self_test(void **state)
{
	struct t_host *t = t_new(NULL);
	struct x1_mbox_msg m = request(X1_MBOX_SELF_TEST, 0, 0, 0);
	struct x1_mbox_self_test r;
	struct x1_mbox_log e;

	(void)state;
	t_fw_start(t);
	assert_int_equal(ask(t, X1_MBOX_MCU_QUARANTINE, 5, 1, 0), X1_MBOX_OK);
	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	memcpy(&r, m.arg, sizeof(r));
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.mcus_tested, X1_DEF_MCUS - 1);
	assert_int_equal(r.mcus_failed, 0);
	assert_int_equal(r.first_failed, 0xffffffff);
	assert_true(r.sram_words * 4 > X1_MC_SRAM_BYTES / 2);
	assert_true(find_event(t, X1_LOG_SELF_TEST, &e));
	/* It broke nothing. */
	assert_int_equal(ask(t, X1_MBOX_PING, 0, 0, 0), X1_MBOX_OK);
	t_free(t);
}

/* REQ-MGMT-031: nothing is dispatched to an MCU in quarantine; it can return. */
static void test_quarantine(void **state)
{
	/* Each work-group notes its MCU. */
	const struct x1_insn prog[] = {
		{.op = X1_OP_SHL, .rd = 17, .ra = 6, .rb = X1_REG_IMM, .imm = 3},
		{.op = X1_OP_ADD, .rd = 17, .ra = 17, .rb = X1_REG_IMM, .imm = T_UDATA},
		{.op = X1_OP_ADD, .rd = 18, .ra = 0, .rb = X1_REG_IMM, .imm = 1},
		{.op = X1_OP_ATADD, .rd = 18, .ra = 17, .rb = 3},
		{.op = X1_OP_END},
	};
	struct t_host *t = t_new(NULL);
	union x1_cmd c = t_cmd_launch(t_prog(t, 0, prog, 5), 5, X1_DEF_MCUS);
	uint64_t *ran = (uint64_t *)(t->hbm + t->udata);
	struct x1_mbox_log e;

	(void)state;
	t_fw_start(t);
	t_queue(t, 0, NULL);
	assert_int_equal(ask(t, X1_MBOX_MCU_QUARANTINE, 17, 1, 0), X1_MBOX_OK);
	assert_int_equal(t_rd(t, X1_REG_MCU_HEALTHY), X1_DEF_MCUS - 1);
	assert_true(find_event(t, X1_LOG_MCU_HEALTH, &e));
	assert_int_equal(e.data[0], 17);
	assert_int_equal(e.data[1], 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(ran[17], 0);
	assert_int_equal(ran[0], 2); /* one wraps around */
	assert_int_equal(ask(t, X1_MBOX_MCU_QUARANTINE, 17, 0, 0), X1_MBOX_OK);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(ran[17], 1);
	/* A partition of which nothing is left. */
	t_queue(t, 1, &(struct t_qopt){.mcu_first = 20, .mcu_count = 1});
	assert_int_equal(ask(t, X1_MBOX_MCU_QUARANTINE, 20, 1, 0), X1_MBOX_OK);
	t_push(t, 1, &c);
	t_ring(t, 1);
	t_until_state(t, 1, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 1), X1_FAULT_NO_MCU);
	t_free(t);
}

static struct x1_mbox_telemetry telemetry(struct t_host *t)
{
	struct x1_mbox_msg m = request(X1_MBOX_TELEMETRY, 0, 0, 0);
	struct x1_mbox_telemetry r;

	assert_int_equal(t_mbox(t, &m), X1_MBOX_OK);
	memcpy(&r, m.arg, sizeof(r));
	return r;
}

/* REQ-MGMT-032, REQ-TIME-023: above the limit the clock goes down, and time goes slower. */
static void test_throttle(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t cycles, ns, end = t_now_ms() + T_WAIT_MS;
	struct x1_mbox_telemetry r;
	struct x1_mbox_log e;
	union x1_cmd c = t_cmd_fill(T_UDATA, 8 << 20, 0, 8);

	(void)state;
	t_fw_start(t);
	t_queue(t, 0, NULL);
	r = telemetry(t);
	assert_int_equal(r.clock_mhz, X1_DEF_CLOCK_HZ / 1000000);
	assert_int_equal(r.throttled, 0);
	assert_int_equal(r.temp_limit_mc, X1_FW_THROTTLE_MC);
	assert_int_equal(r.power_limit_mw, 0);
	assert_true(r.power_mw > 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	cycles = t_rd64(t, X1_REG_CLOCK_LO);
	ns = t_rd64(t, X1_REG_TIME_LO);
	assert_int_equal(ns, cycles * 1000000000 / X1_DEF_CLOCK_HZ);
	/* An idle package is above a limit of one milliwatt, whatever the clock. */
	assert_int_equal(ask(t, X1_MBOX_LIMITS, 1, 1, X1_TEMP_LIMIT_MAX), X1_MBOX_OK);
	t_until_reg(t, X1_REG_THROTTLE, ~0u, X1_THROTTLE_MAX);
	assert_int_equal(t_rd64(t, X1_REG_CLOCK_NOW_LO), X1_DEF_CLOCK_HZ / 16);
	r = telemetry(t);
	assert_int_equal(r.throttled, 1);
	assert_int_equal(r.clock_mhz, X1_DEF_CLOCK_HZ / 16 / 1000000);
	assert_int_equal(r.throttle_count, 1);
	assert_true(find_event(t, X1_LOG_THERMAL, &e));
	assert_int_equal(e.data[1], 1);
	/* The same work takes the same cycles, and sixteen times as long. */
	ns = t_rd64(t, X1_REG_TIME_LO);
	assert_int_equal(t_rd64(t, X1_REG_CLOCK_LO), cycles);
	t_push(t, 0, &c);
	t_sync(t, 0);
	cycles = t_rd64(t, X1_REG_CLOCK_LO) - cycles;
	assert_in_range(t_rd64(t, X1_REG_TIME_LO) - ns, cycles * 16000000000 / X1_DEF_CLOCK_HZ - 1,
			cycles * 16000000000 / X1_DEF_CLOCK_HZ + 1);
	/* No limit: up again. */
	assert_int_equal(ask(t, X1_MBOX_LIMITS, 1, 0, X1_FW_THROTTLE_MC), X1_MBOX_OK);
	t_until_reg(t, X1_REG_THROTTLE, ~0u, 0);
	while (find_event(t, X1_LOG_THERMAL, &e) && e.data[1])
		assert_true(t_now_ms() < end);
	/* Limits are checked. */
	assert_int_equal(ask(t, X1_MBOX_LIMITS, 2, 0, 0), X1_MBOX_ERR_ARG);
	assert_int_equal(ask(t, X1_MBOX_LIMITS, 1, 0, X1_TEMP_LIMIT_MAX + 1), X1_MBOX_ERR_ARG);
	/* The host cannot. */
	t_wr(t, X1_REG_THROTTLE, 3);
	assert_int_equal(t_rd(t, X1_REG_THROTTLE), 0);
	t_mc(t, X1_REG_THROTTLE, X1_THROTTLE_MAX + 1);
	assert_int_equal(t_rd(t, X1_REG_THROTTLE), 0);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot),       cmocka_unit_test(test_crash),
		cmocka_unit_test(test_mailbox),    cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_dump),       cmocka_unit_test(test_hang),
		cmocka_unit_test(test_update),     cmocka_unit_test(test_self_test),
		cmocka_unit_test(test_quarantine), cmocka_unit_test(test_throttle),
		cmocka_unit_test(test_vm_in_use),  cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests_name("mgmt", tests, NULL, NULL);
}
