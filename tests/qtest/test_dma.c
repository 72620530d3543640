// SPDX-License-Identifier: MIT
/*
 * System memory as the device reaches it: RAM, what is not RAM, nothing at
 * all, without bus mastering, and behind an IOMMU that maps or refuses it. A
 * refused access faults its queue alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1/x1_cmd.h"
#include "x1/x1_fault.h"
#include "x1/x1_mmu.h"
#include "x1_qtest.h"

/* The address space: one huge page of HBM, and pages of system addresses. */
#define HBM_DVA		0x200000ull		/* at the same offset in HBM */
#define RAM_DVA		0x400000ull		/* QT_RAM */
#define RAM_PAGES	32u
#define ODD_DVA		0x600000ull		/* one page, the test chooses */
#define TABLES		0x10000ull
#define RING_LOG2	X1_RING_MIN_LOG2
#define FENCE_DVA	(HBM_DVA + 0x10000)
#define DATA_DVA	(HBM_DVA + 0x100000)
#define MSI_WORD	(QT_RAM + 0x100000)

#define IOMMU		0xfed90000ull		/* Intel IOMMU: its registers */
#define IOMMU_GCMD	0x18
#define IOMMU_GSTS	0x1c
#define IOMMU_RTADDR	0x20
#define IOMMU_TE	(1u << 31)
#define IOMMU_SRTP	(1u << 30)
#define ROOT_TABLE	(QT_RAM + 0x200000)
#define CONTEXT_TABLE	(QT_RAM + 0x201000)

struct queue {
	uint32_t id;
	uint64_t ring;
	uint32_t wptr;
};

static void request(struct qt *qt, struct x1_mbox_msg *msg)
{
	qt_mbox(qt, msg);
	assert_int_equal(msg->status, X1_MBOX_OK);
}

static void table(struct qt *qt, unsigned int which, unsigned int index, uint64_t entry)
{
	qt_write(qt, QT_BAR2 + TABLES + which * X1_PT_BYTES + index * 8, entry, 8);
}

static void map_odd(struct qt *qt, uint64_t bus)
{
	table(qt, 4, x1_pt_index(ODD_DVA, 0),
	      bus | X1_PTE_SYSTEM | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
}

/* Firmware, MSI-X vector 1 to a word of RAM, and VM 1. */
static void prepare(struct qt *qt)
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

	table(qt, 0, 0, (TABLES + 1 * X1_PT_BYTES) | X1_PTE_VALID);
	table(qt, 1, 0, (TABLES + 2 * X1_PT_BYTES) | X1_PTE_VALID);
	table(qt, 2, x1_pt_index(HBM_DVA, 1),
	      HBM_DVA | X1_PTE_HUGE | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
	table(qt, 2, x1_pt_index(RAM_DVA, 1), (TABLES + 3 * X1_PT_BYTES) | X1_PTE_VALID);
	table(qt, 2, x1_pt_index(ODD_DVA, 1), (TABLES + 4 * X1_PT_BYTES) | X1_PTE_VALID);
	for (unsigned int i = 0; i < RAM_PAGES; i++)
		table(qt, 3, i, (QT_RAM + i * X1_PAGE_SIZE) | X1_PTE_SYSTEM | X1_PTE_READ |
			       X1_PTE_WRITE | X1_PTE_VALID);
	request(qt, &attach);
}

static struct queue create(struct qt *qt, uint64_t ring)
{
	struct x1_mbox_msg msg = {.op = X1_MBOX_QUEUE_CREATE};
	struct x1_mbox_queue_create args = {
		.ring_lo = (uint32_t)ring, .ring_log2 = RING_LOG2, .ring_vm = 1, .user_vm = 1,
		.vector = 1, .queue = X1_MBOX_QUEUE_ANY,
	};

	memcpy(msg.arg, &args, sizeof(args));
	request(qt, &msg);
	return (struct queue){.id = msg.arg[0], .ring = ring};
}

static void submit(struct qt *qt, struct queue *q, const union x1_cmd *cmd)
{
	uint64_t slot = q->wptr & ((1u << RING_LOG2) - 1);

	qt_mem_write(qt, QT_BAR2 + q->ring + slot * X1_CMD_BYTES, cmd, sizeof(*cmd));
	q->wptr++;
	qt_set(qt, X1_REGS_BYTES + q->id * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, q->wptr);
}

static void copy(struct qt *qt, struct queue *q, uint64_t dst, uint64_t src, uint64_t bytes)
{
	union x1_cmd cmd = {.copy = {
		.hdr = {.op = X1_CMD_COPY, .tag = 0x77}, .src = src, .dst = dst, .bytes = bytes,
		.rows = 1,
	}};

	submit(qt, q, &cmd);
}

static void fence(struct qt *qt, struct queue *q, uint64_t dva, uint64_t value)
{
	union x1_cmd cmd = {.sync = {
		.hdr = {.op = X1_CMD_FENCE, .flags = X1_FENCE_IRQ}, .addr = dva, .value = value,
	}};

	submit(qt, q, &cmd);
}

static void wait_word(struct qt *qt, uint64_t addr, uint64_t value)
{
	for (int tries = 0; qt_read(qt, addr, 8) != value; tries++) {
		assert_true(tries < 20000);
		usleep(1000);
	}
}

/* The queue has faulted with this code at this DVA, for the copy. */
static void faulted(struct qt *qt, struct queue *q, enum x1_fault code, uint64_t dva)
{
	uint32_t regs = X1_REG_QUEUE(q->id), info;

	qt_wait_reg(qt, regs + X1_Q_STATE, ~0u, X1_Q_STATE_FAULTED);
	info = qt_reg(qt, regs + X1_Q_FAULT_INFO);
	assert_int_equal(X1_FAULT_INFO_CODE(info), code);
	assert_int_equal(X1_FAULT_INFO_UNIT(info), X1_UNIT_COPY);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_ADDR_LO) & ~(X1_PAGE_SIZE - 1), dva);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_VM), 1);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_TAG), 0x77);
}

/* Another queue does its work while and after one has faulted. */
static void others_work(struct qt *qt)
{
	struct queue q = create(qt, HBM_DVA + 0x8000);
	struct x1_mbox_msg destroy = {.op = X1_MBOX_QUEUE_DESTROY, .arg = {q.id}};

	qt_write(qt, QT_BAR2 + FENCE_DVA + 64, 0, 8);
	copy(qt, &q, DATA_DVA + 0x80000, DATA_DVA, 0x10000);
	fence(qt, &q, FENCE_DVA + 64, 99);
	wait_word(qt, QT_BAR2 + FENCE_DVA + 64, 99);
	request(qt, &destroy);
}

static void pattern(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
}

/* RAM to HBM and back to another place in RAM, odd sizes over odd pages. */
static void round_trip(struct qt *qt, struct queue *q)
{
	const size_t len = 5 * X1_PAGE_SIZE + 123, from = 77, to = 16 * X1_PAGE_SIZE + 9;
	uint8_t *data = malloc(len), *back = malloc(len);

	pattern(data, len);
	qt_mem_write(qt, QT_RAM + from, data, len);
	qt_write(qt, QT_BAR2 + FENCE_DVA, 0, 8);
	copy(qt, q, DATA_DVA + 3, RAM_DVA + from, len);
	copy(qt, q, RAM_DVA + to, DATA_DVA + 3, len);
	fence(qt, q, FENCE_DVA, q->wptr);
	wait_word(qt, QT_BAR2 + FENCE_DVA, q->wptr - 1);
	qt_mem_read(qt, QT_BAR2 + DATA_DVA + 3, back, len);
	assert_memory_equal(back, data, len);
	qt_mem_read(qt, QT_RAM + to, back, len);
	assert_memory_equal(back, data, len);
	free(data);
	free(back);
}

static void ram(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;

	(void)state;
	prepare(qt);
	q = create(qt, HBM_DVA);
	round_trip(qt, &q);
	wait_word(qt, MSI_WORD, 0xfe7ce);
	/* A fence into system memory. */
	fence(qt, &q, RAM_DVA + 8 * X1_PAGE_SIZE, 0x1122334455667788ull);
	wait_word(qt, QT_RAM + 8 * X1_PAGE_SIZE, 0x1122334455667788ull);
	qt_stop(qt);
}

static void nothing_there(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;

	(void)state;
	prepare(qt);
	q = create(qt, HBM_DVA);
	map_odd(qt, 0x4000000000ull);
	copy(qt, &q, DATA_DVA, ODD_DVA, 4096);
	faulted(qt, &q, X1_FAULT_DMA, ODD_DVA);
	others_work(qt);
	/* Reset clears the fault, and the queue works again. */
	qt_set(qt, X1_REG_QUEUE(q.id) + X1_Q_CTRL, X1_Q_OP_RESET);
	qt_wait_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_STATE, ~0u, X1_Q_STATE_READY);
	round_trip(qt, &q);
	qt_stop(qt);
}

/* The device's own registers, and its own HBM by the bus. */
static void not_ram(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;
	uint32_t state_now;

	(void)state;
	prepare(qt);
	q = create(qt, HBM_DVA);
	map_odd(qt, QT_BAR0);
	copy(qt, &q, DATA_DVA, ODD_DVA, 4096);
	copy(qt, &q, ODD_DVA, DATA_DVA, 4096);
	fence(qt, &q, FENCE_DVA, 5);
	/* Either answer is one: done, or a DMA fault. */
	for (int tries = 0;; tries++) {
		state_now = qt_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_STATE);
		if (state_now == X1_Q_STATE_FAULTED || qt_read(qt, QT_BAR2 + FENCE_DVA, 8) == 5)
			break;
		assert_true(tries < 20000);
		usleep(1000);
	}
	assert_int_equal(qt_reg(qt, X1_REG_MAGIC), X1_MAGIC);
	others_work(qt);
	qt_stop(qt);
}

static void no_bus_master(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;

	(void)state;
	prepare(qt);
	q = create(qt, HBM_DVA);
	qt_cfg_set(qt, QT_X1, 0x04, 0x0002, 2);
	copy(qt, &q, DATA_DVA, RAM_DVA, 4096);
	faulted(qt, &q, X1_FAULT_DMA, RAM_DVA);
	others_work(qt);
	qt_stop(qt);
}

static void isolation(void **state)
{
	static const struct {
		uint64_t src;
		enum x1_fault code;
	} cases[] = {
		{0x700000, X1_FAULT_UNMAPPED},
		{ODD_DVA, X1_FAULT_BAD_PTE},
	};
	struct qt *qt = qt_start("");

	(void)state;
	prepare(qt);
	/* An HBM page behind its end. */
	table(qt, 4, x1_pt_index(ODD_DVA, 0),
	      QT_HBM_BYTES | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct queue q = create(qt, HBM_DVA + i * 0x1000);

		copy(qt, &q, DATA_DVA, cases[i].src, 4096);
		faulted(qt, &q, cases[i].code, cases[i].src);
		others_work(qt);
	}
	qt_stop(qt);
}

/* ---- behind an IOMMU ---- */

static void iommu_on(struct qt *qt)
{
	qt_write(qt, IOMMU + IOMMU_RTADDR, ROOT_TABLE, 8);
	qt_write(qt, IOMMU + IOMMU_GCMD, IOMMU_SRTP, 4);
	qt_write(qt, IOMMU + IOMMU_GCMD, IOMMU_TE, 4);
	assert_true(qt_read(qt, IOMMU + IOMMU_GSTS, 4) & IOMMU_TE);
}

static void iommu_maps(void **state)
{
	struct qt *qt = qt_start_iommu("");
	struct queue q;

	(void)state;
	/* Bus 1: a context table whose entry 0 passes requests through. */
	qt_write(qt, ROOT_TABLE + 16, CONTEXT_TABLE | 1, 8);
	qt_write(qt, CONTEXT_TABLE, 2u << 2 | 1, 8);
	qt_write(qt, CONTEXT_TABLE + 8, 1u << 8 | 2, 8);
	iommu_on(qt);
	prepare(qt);
	q = create(qt, HBM_DVA);
	round_trip(qt, &q);
	qt_stop(qt);
}

static void iommu_refuses(void **state)
{
	struct qt *qt = qt_start_iommu("");
	struct queue q;

	(void)state;
	/* An empty root table: nothing may do anything. */
	iommu_on(qt);
	prepare(qt);
	for (int i = 0; i < 20; i++) {
		q = create(qt, HBM_DVA);
		copy(qt, &q, i & 1 ? RAM_DVA : DATA_DVA, i & 1 ? DATA_DVA : RAM_DVA, 65536);
		faulted(qt, &q, X1_FAULT_DMA, RAM_DVA);
		others_work(qt);
		request(qt, &(struct x1_mbox_msg){.op = X1_MBOX_QUEUE_DESTROY, .arg = {q.id}});
	}
	qt_stop(qt);
}

/* A reset while a copy waits for the main thread. */
static void reset_in_flight(void **state)
{
	struct qt *qt = qt_start_iommu("");

	(void)state;
	iommu_on(qt);
	for (int i = 0; i < 20; i++) {
		struct queue q;

		prepare(qt);
		q = create(qt, HBM_DVA);
		copy(qt, &q, DATA_DVA, RAM_DVA, RAM_PAGES * X1_PAGE_SIZE);
		qt_set(qt, X1_REG_RESET, X1_RESET_KEY);
		assert_int_equal(qt_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_STATE), X1_Q_STATE_DISABLED);
	}
	qt_stop(qt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(not_ram),
		cmocka_unit_test(no_bus_master),
		cmocka_unit_test(isolation),
		cmocka_unit_test(iommu_maps),
		cmocka_unit_test(iommu_refuses),
		cmocka_unit_test(reset_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
