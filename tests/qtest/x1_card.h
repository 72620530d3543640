/* SPDX-License-Identifier: MIT */
/*
 * A card that works: firmware, VM 1 with HBM, system memory and programs, one
 * MSI-X vector, queues and commands.
 */
#ifndef X1_QTEST_CARD_H
#define X1_QTEST_CARD_H

#include "x1/x1_cmd.h"
#include "x1/x1_fault.h"
#include "x1/x1_isa.h"
#include "x1/x1_mmu.h"
#include "x1_qtest.h"

/* The address space: one huge page of HBM, and pages of system addresses. */
#define HBM_DVA   0x200000ull /* at the same offset in HBM */
#define RAM_DVA   0x400000ull /* QT_RAM */
#define RAM_PAGES 32u
#define ODD_DVA   0x600000ull /* one page, the test chooses */
#define TABLES    0x10000ull
#define RING_LOG2 X1_RING_MIN_LOG2
#define FENCE_DVA (HBM_DVA + 0x10000)
#define DATA_DVA  (HBM_DVA + 0x100000)
#define MSI_WORD  (QT_RAM + 0x100000)
#define BIG_DVA   0x800000ull /* a huge page of HBM, at the same offset */
#define PROG_DVA  0xa00000ull /* one to run from, too */

struct queue {
	uint32_t id;
	uint64_t ring;
	uint32_t wptr;
};

/* A mailbox request that must be granted. */
void qc_request(struct qt *qt, struct x1_mbox_msg *msg);
/* Entry `index` of page table `which` of those at TABLES. */
void qc_table(struct qt *qt, unsigned int which, unsigned int index, uint64_t entry);
/* Firmware, MSI-X vector 1 to MSI_WORD, and VM 1. */
void qc_prepare(struct qt *qt);
/* A queue whose ring is at this DVA; its user VM is VM 1 as well. */
struct queue qc_create(struct qt *qt, uint64_t ring);
void qc_destroy(struct qt *qt, struct queue *q);
void qc_submit(struct qt *qt, struct queue *q, const union x1_cmd *cmd);
void qc_copy(struct qt *qt, struct queue *q, uint64_t dst, uint64_t src, uint64_t bytes);
/* With the queue's interrupt. */
void qc_fence(struct qt *qt, struct queue *q, uint64_t dva, uint64_t value);
/* Put a program at PROG_DVA + off and launch it. */
void qc_program(struct qt *qt, uint32_t off, const struct x1_insn *insns, uint32_t n);
void qc_launch(struct qt *qt, struct queue *q, uint32_t off, uint32_t n, uint32_t grid);
void qc_wait_word(struct qt *qt, uint64_t addr, uint64_t value);
/* The queue faulted with this code; returns X1_Q_FAULT_INFO. */
uint32_t qc_faulted(struct qt *qt, struct queue *q, enum x1_fault code);
void qc_reset_queue(struct qt *qt, struct queue *q);
/* A fresh queue copies and fences, while others have faulted. */
void qc_works(struct qt *qt);

#endif /* X1_QTEST_CARD_H */
