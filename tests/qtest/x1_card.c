// SPDX-License-Identifier: MIT
/*
 * See x1_card.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_card.h"

void qc_request(struct qt *qt, struct x1_mbox_msg *msg)
{
	qt_mbox(qt, msg);
	assert_int_equal(msg->status, X1_MBOX_OK);
}

void qc_table(struct qt *qt, unsigned int which, unsigned int index, uint64_t entry)
{
	qt_write(qt, QT_BAR2 + TABLES + which * X1_PT_BYTES + index * 8, entry, 8);
}

void qc_prepare(struct qt *qt)
{
	struct x1_mbox_msg attach = {.op = X1_MBOX_VM_ATTACH, .arg = {1, TABLES, 0}};
	size_t len;
	void *image = qt_firmware(&len);

	assert_int_equal(qt_boot(qt, image, len), X1_FW_STATE_READY);
	free(image);
	qt_write(qt, QT_BAR4 + 16, MSI_WORD, 8);
	qt_write(qt, QT_BAR4 + 24, 0xfe7ce, 4);
	qt_write(qt, QT_BAR4 + 28, 0, 4);
	qt_cfg_set(qt, QT_X1, qt_cap(qt, 0x11) + 2, 0x8000, 2);
	qt_set(qt, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);

	qc_table(qt, 0, 0, (TABLES + 1 * X1_PT_BYTES) | X1_PTE_VALID);
	qc_table(qt, 1, 0, (TABLES + 2 * X1_PT_BYTES) | X1_PTE_VALID);
	qc_table(qt, 2, x1_pt_index(HBM_DVA, 1),
		 HBM_DVA | X1_PTE_HUGE | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
	qc_table(qt, 2, x1_pt_index(RAM_DVA, 1), (TABLES + 3 * X1_PT_BYTES) | X1_PTE_VALID);
	qc_table(qt, 2, x1_pt_index(ODD_DVA, 1), (TABLES + 4 * X1_PT_BYTES) | X1_PTE_VALID);
	qc_table(qt, 2, x1_pt_index(BIG_DVA, 1),
		 BIG_DVA | X1_PTE_HUGE | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
	qc_table(qt, 2, x1_pt_index(PROG_DVA, 1),
		 PROG_DVA | X1_PTE_HUGE | X1_PTE_READ | X1_PTE_EXEC | X1_PTE_VALID);
	for (unsigned int i = 0; i < RAM_PAGES; i++)
		qc_table(qt, 3, i,
			 (QT_RAM + i * X1_PAGE_SIZE) | X1_PTE_SYSTEM | X1_PTE_READ | X1_PTE_WRITE |
				 X1_PTE_VALID);
	qc_request(qt, &attach);
}

struct queue qc_create(struct qt *qt, uint64_t ring)
{
	struct x1_mbox_msg msg = {.op = X1_MBOX_QUEUE_CREATE};
	struct x1_mbox_queue_create args = {
		.ring_lo = (uint32_t)ring,
		.ring_log2 = RING_LOG2,
		.ring_vm = 1,
		.user_vm = 1,
		.vector = 1,
		.queue = X1_MBOX_QUEUE_ANY,
	};

	memcpy(msg.arg, &args, sizeof(args));
	qc_request(qt, &msg);
	return (struct queue){.id = msg.arg[0], .ring = ring};
}

void qc_submit(struct qt *qt, struct queue *q, const union x1_cmd *cmd)
{
	uint64_t slot = q->wptr & ((1u << RING_LOG2) - 1);

	qt_mem_write(qt, QT_BAR2 + q->ring + slot * X1_CMD_BYTES, cmd, sizeof(*cmd));
	q->wptr++;
	qt_set(qt, X1_REGS_BYTES + q->id * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, q->wptr);
}

void qc_copy(struct qt *qt, struct queue *q, uint64_t dst, uint64_t src, uint64_t bytes)
{
	union x1_cmd cmd = {.copy = {
				    .hdr = {.op = X1_CMD_COPY, .tag = 0x77},
				    .src = src,
				    .dst = dst,
				    .bytes = bytes,
				    .rows = 1,
			    }};

	qc_submit(qt, q, &cmd);
}

void qc_fence(struct qt *qt, struct queue *q, uint64_t dva, uint64_t value)
{
	union x1_cmd cmd = {.sync = {
				    .hdr = {.op = X1_CMD_FENCE, .flags = X1_FENCE_IRQ},
				    .addr = dva,
				    .value = value,
			    }};

	qc_submit(qt, q, &cmd);
}

void qc_wait_word(struct qt *qt, uint64_t addr, uint64_t value)
{
	for (int tries = 0; qt_read(qt, addr, 8) != value; tries++) {
		assert_true(tries < 20000);
		usleep(1000);
	}
}

void qc_destroy(struct qt *qt, struct queue *q)
{
	qc_request(qt, &(struct x1_mbox_msg){.op = X1_MBOX_QUEUE_DESTROY, .arg = {q->id}});
}

void qc_program(struct qt *qt, uint32_t off, const struct x1_insn *insns, uint32_t n)
{
	qt_mem_write(qt, QT_BAR2 + PROG_DVA + off, insns, n * sizeof(*insns));
}

void qc_launch(struct qt *qt, struct queue *q, uint32_t off, uint32_t n, uint32_t grid)
{
	union x1_cmd cmd = {.launch = {
				    .hdr = {.op = X1_CMD_LAUNCH, .tag = 0x78},
				    .program = PROG_DVA + off,
				    .program_bytes = n * X1_INSN_BYTES,
				    .num_insns = n,
				    .grid = {grid, 1, 1},
			    }};

	qc_submit(qt, q, &cmd);
}

uint32_t qc_faulted(struct qt *qt, struct queue *q, enum x1_fault code)
{
	uint32_t info;

	qt_wait_reg(qt, X1_REG_QUEUE(q->id) + X1_Q_STATE, ~0u, X1_Q_STATE_FAULTED);
	info = qt_reg(qt, X1_REG_QUEUE(q->id) + X1_Q_FAULT_INFO);
	assert_int_equal(X1_FAULT_INFO_CODE(info), code);
	return info;
}

void qc_reset_queue(struct qt *qt, struct queue *q)
{
	qt_set(qt, X1_REG_QUEUE(q->id) + X1_Q_CTRL, X1_Q_OP_RESET);
	qt_wait_reg(qt, X1_REG_QUEUE(q->id) + X1_Q_STATE, ~0u, X1_Q_STATE_READY);
}

void qc_works(struct qt *qt)
{
	struct queue q = qc_create(qt, HBM_DVA + 0x8000);

	qt_write(qt, QT_BAR2 + FENCE_DVA + 64, 0, 8);
	qc_copy(qt, &q, DATA_DVA + 0x80000, DATA_DVA, 0x10000);
	qc_fence(qt, &q, FENCE_DVA + 64, 99);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA + 64, 99);
	qc_destroy(qt, &q);
}
