// SPDX-License-Identifier: MIT
/*
 * Faults on purpose, by QEMU's properties, as software above sees them. The
 * core's side of each is in unit/core/test_inject.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_card.h"

static struct x1_insn end_insn[] = {{.op = X1_OP_END}};

static struct qt *card(const char *props)
{
	struct qt *qt = qt_start(props);

	qc_prepare(qt);
	qc_program(qt, 0, end_insn, 1);
	return qt;
}

/* REQ-FAULT-001: nothing before the device runs, nothing out of range. */
static void properties(void **state)
{
	struct qt *qt = card("");

	(void)state;
	assert_true(qt_refuses(",fault-dma=1", "fault-dma"));
	assert_true(qt_refuses(",link-down=on", "link-down"));
	assert_int_equal(qt_prop_get(qt, "fault-mcu-stuck"), -1);
	assert_int_equal(qt_prop_get(qt, "fault-dma"), 0);
	assert_false(qt_prop(qt, "fault-mcu-stuck", "384"));
	assert_false(qt_prop(qt, "fault-mcu-wrong", "-2"));
	assert_false(qt_prop(qt, "fault-queue-hung", "64"));
	assert_false(qt_prop(qt, "fault-ecc-uncorrected", "67108864"));
	assert_false(qt_prop(qt, "fault-dma", "-1"));
	assert_false(qt_prop(qt, "fault-firmware", "\"sleep\""));
	assert_false(qt_prop(qt, "fault-aer", "\"NONSENSE\""));
	assert_true(qt_prop(qt, "fault-mcu-stuck", "3"));
	assert_int_equal(qt_prop_get(qt, "fault-mcu-stuck"), 3);
	qc_works(qt);
	qt_stop(qt);
}

/* REQ-FAULT-010: the MCU in the record; quarantined, it harms no longer. */
static void mcu_stuck(void **state)
{
	struct qt *qt = card(",mcus=4");
	struct queue q;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	assert_true(qt_prop(qt, "fault-mcu-stuck", "2"));
	qc_launch(qt, &q, 0, 1, 4);
	assert_int_equal(X1_FAULT_INFO_MCU(qc_faulted(qt, &q, X1_FAULT_INJECTED)), 2);
	qc_request(qt, &(struct x1_mbox_msg){.op = X1_MBOX_MCU_QUARANTINE, .arg = {2, 1}});
	qc_reset_queue(qt, &q);
	qc_launch(qt, &q, 0, 1, 16);
	qc_fence(qt, &q, FENCE_DVA, 1);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 1);
	qt_stop(qt);
}

/* REQ-FAULT-021 */
static void ecc(void **state)
{
	struct qt *qt = card("");
	struct queue q;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	qt_write(qt, QT_BAR2 + BIG_DVA + 0x5008, 0x1234, 8);
	assert_true(qt_prop(qt, "fault-ecc-uncorrected", "8409096")); /* BIG_DVA + 0x5008 */
	qc_copy(qt, &q, DATA_DVA, BIG_DVA + 0x4000, 0x1000);
	qc_copy(qt, &q, DATA_DVA, BIG_DVA + 0x4800, 0x1000);
	qc_faulted(qt, &q, X1_FAULT_ECC);
	assert_int_equal(qt_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_FAULT_ADDR_LO), BIG_DVA + 0x5000);
	assert_int_equal(qt_reg(qt, X1_REG_ECC_ADDR_LO), BIG_DVA + 0x5000);
	assert_int_not_equal(qt_reg(qt, X1_REG_ECC_UNCORRECTED), 0);
	qc_works(qt);
	assert_true(qt_prop(qt, "fault-ecc-uncorrected", "-1"));
	qc_reset_queue(qt, &q);
	qc_copy(qt, &q, DATA_DVA, BIG_DVA + 0x5008, 8);
	qc_fence(qt, &q, FENCE_DVA, 1);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 1);
	assert_int_equal(qt_read(qt, QT_BAR2 + DATA_DVA, 8), 0x1234);
	qt_stop(qt);
}

/* REQ-FAULT-030 */
static void dma(void **state)
{
	struct qt *qt = card("");
	struct queue q;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	assert_true(qt_prop(qt, "fault-dma", "1"));
	qc_copy(qt, &q, DATA_DVA, RAM_DVA, 4096);
	qc_faulted(qt, &q, X1_FAULT_DMA);
	assert_int_equal(qt_prop_get(qt, "fault-dma"), 0);
	qc_reset_queue(qt, &q);
	qc_copy(qt, &q, DATA_DVA, RAM_DVA, 4096);
	qc_fence(qt, &q, FENCE_DVA, 1);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 1);
	qt_stop(qt);
}

/* REQ-FAULT-031: the message is lost, the bits are not. */
static void irq_lost(void **state)
{
	struct qt *qt = card("");
	struct queue q;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	assert_true(qt_prop(qt, "fault-irq-lost", "1"));
	qc_fence(qt, &q, FENCE_DVA, 1);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 1);
	qt_wait_reg(qt, X1_REG_QFENCE_LO, 1u << q.id, 1u << q.id);
	assert_int_equal(qt_read(qt, MSI_WORD, 4), 0);
	assert_int_equal(qt_prop_get(qt, "fault-irq-lost"), 0);
	qc_fence(qt, &q, FENCE_DVA, 2);
	qc_wait_word(qt, MSI_WORD, 0xfe7ce);
	qt_stop(qt);
}

/* REQ-FAULT-040: a hung queue answers to nothing but its reset. */
static void queue_hung(void **state)
{
	struct qt *qt = card("");
	struct queue q;
	char id[8];
	uint32_t regs;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	regs = X1_REG_QUEUE(q.id);
	snprintf(id, sizeof(id), "%u", q.id);
	assert_true(qt_prop(qt, "fault-queue-hung", id));
	qc_fence(qt, &q, FENCE_DVA, 1);
	qt_set(qt, regs + X1_Q_CTRL, X1_Q_OP_SUSPEND);
	qc_works(qt);
	assert_int_equal(qt_reg(qt, regs + X1_Q_STATE), X1_Q_STATE_SUSPENDING);
	assert_int_equal(qt_reg(qt, regs + X1_Q_PROGRESS_LO), 0);
	assert_int_equal(qt_read(qt, QT_BAR2 + FENCE_DVA, 8), 0);
	qc_reset_queue(qt, &q);
	assert_int_equal(qt_prop_get(qt, "fault-queue-hung"), -1);
	qc_fence(qt, &q, FENCE_DVA, 2);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 2);
	qt_stop(qt);
}

/* REQ-FAULT-050, -051: crashed and silent firmware; work goes on, a boot mends it. */
static void firmware(void **state)
{
	struct qt *qt = card("");
	struct queue q;
	size_t len;
	void *image = qt_firmware(&len);
	uint32_t beat;

	(void)state;
	q = qc_create(qt, HBM_DVA);
	assert_true(qt_prop(qt, "fault-firmware", "\"crash\""));
	qt_wait_reg(qt, X1_REG_FW_STATE, ~0u, X1_FW_STATE_CRASHED);
	assert_int_equal(qt_reg(qt, X1_REG_FW_CRASH_CAUSE), X1_FW_CAUSE_INJECTED);
	assert_true(qt_reg(qt, X1_REG_IRQ_PENDING) & X1_IRQ_FW);
	qc_fence(qt, &q, FENCE_DVA, 1);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 1);
	assert_int_equal(qt_boot(qt, image, len), X1_FW_STATE_READY);
	assert_true(qt_prop(qt, "fault-firmware", "\"hang\""));
	usleep(20000); /* its present slice */
	beat = qt_reg(qt, X1_REG_FW_HEARTBEAT);
	qt_set(qt, X1_REG_MBOX_REQ, X1_MBOX_PING);
	qt_set(qt, X1_REG_MBOX_SEND, 1);
	qc_fence(qt, &q, FENCE_DVA, 2);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, 2);
	assert_int_equal(qt_reg(qt, X1_REG_MBOX_STATUS), X1_MBOX_BUSY);
	assert_int_equal(qt_reg(qt, X1_REG_FW_HEARTBEAT), beat);
	assert_int_equal(qt_reg(qt, X1_REG_FW_STATE), X1_FW_STATE_READY);
	/* It can be stopped for its dump. */
	qt_set(qt, X1_REG_FW_CTRL, X1_FW_CTRL_STOP);
	qt_wait_reg(qt, X1_REG_FW_STATE, ~0u, X1_FW_STATE_CRASHED);
	assert_int_equal(qt_boot(qt, image, len), X1_FW_STATE_READY);
	qc_request(qt, &(struct x1_mbox_msg){.op = X1_MBOX_PING});
	free(image);
	qt_stop(qt);
}

/* REQ-FAULT-060 */
static void temperature(void **state)
{
	struct qt *qt = card("");

	(void)state;
	assert_true(qt_reg(qt, X1_REG_TEMP_MC) < 60000);
	assert_true(qt_prop(qt, "fault-temperature", "105000"));
	assert_int_equal(qt_reg(qt, X1_REG_TEMP_MC), 105000);
	assert_true(qt_prop(qt, "fault-temperature", "-1"));
	assert_int_not_equal(qt_reg(qt, X1_REG_TEMP_MC), 0);
	qt_stop(qt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties), cmocka_unit_test(mcu_stuck),
		cmocka_unit_test(ecc),        cmocka_unit_test(dma),
		cmocka_unit_test(irq_lost),   cmocka_unit_test(queue_hung),
		cmocka_unit_test(firmware),   cmocka_unit_test(temperature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
