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

#include "x1_card.h"

#define IOMMU         0xfed90000ull /* Intel IOMMU: its registers */
#define IOMMU_GCMD    0x18
#define IOMMU_GSTS    0x1c
#define IOMMU_RTADDR  0x20
#define IOMMU_CCMD    0x28
#define IOMMU_FSTS    0x34
#define IOMMU_IRTA    0xb8
#define IOMMU_IOTLB   0xf8
#define IOMMU_TE      (1u << 31)
#define IOMMU_IRE     (1u << 25)
#define IOMMU_SIRTP   (1u << 24)
#define IOMMU_SRTP    (1u << 30)
#define ROOT_TABLE    (QT_RAM + 0x200000)
#define CONTEXT_TABLE (QT_RAM + 0x201000)

static void map_odd(struct qt *qt, uint64_t bus)
{
	qc_table(qt, 4, x1_pt_index(ODD_DVA, 0),
		 bus | X1_PTE_SYSTEM | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
}

/* The queue has faulted with this code at this DVA, for the copy. */
static void faulted(struct qt *qt, struct queue *q, enum x1_fault code, uint64_t dva)
{
	uint32_t regs = X1_REG_QUEUE(q->id);

	assert_int_equal(X1_FAULT_INFO_UNIT(qc_faulted(qt, q, code)), X1_UNIT_COPY);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_ADDR_LO) & ~(X1_PAGE_SIZE - 1), dva);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_VM), 1);
	assert_int_equal(qt_reg(qt, regs + X1_Q_FAULT_TAG), 0x77);
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
	qc_copy(qt, q, DATA_DVA + 3, RAM_DVA + from, len);
	qc_copy(qt, q, RAM_DVA + to, DATA_DVA + 3, len);
	qc_fence(qt, q, FENCE_DVA, q->wptr);
	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, q->wptr - 1);
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
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
	round_trip(qt, &q);
	qc_wait_word(qt, MSI_WORD, 0xfe7ce);
	/* A fence into system memory. */
	qc_fence(qt, &q, RAM_DVA + 8 * X1_PAGE_SIZE, 0x1122334455667788ull);
	qc_wait_word(qt, QT_RAM + 8 * X1_PAGE_SIZE, 0x1122334455667788ull);
	qt_stop(qt);
}

static void nothing_there(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;

	(void)state;
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
	map_odd(qt, 0x4000000000ull);
	qc_copy(qt, &q, DATA_DVA, ODD_DVA, 4096);
	faulted(qt, &q, X1_FAULT_DMA, ODD_DVA);
	qc_works(qt);
	/* Reset clears the fault, and the queue works again. */
	qc_reset_queue(qt, &q);
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
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
	map_odd(qt, QT_BAR0);
	qc_copy(qt, &q, DATA_DVA, ODD_DVA, 4096);
	qc_copy(qt, &q, ODD_DVA, DATA_DVA, 4096);
	qc_fence(qt, &q, FENCE_DVA, 5);
	/* Either answer is one: done, or a DMA fault. */
	for (int tries = 0;; tries++) {
		state_now = qt_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_STATE);
		if (state_now == X1_Q_STATE_FAULTED || qt_read(qt, QT_BAR2 + FENCE_DVA, 8) == 5)
			break;
		assert_true(tries < 20000);
		usleep(1000);
	}
	assert_int_equal(qt_reg(qt, X1_REG_MAGIC), X1_MAGIC);
	qc_works(qt);
	qt_stop(qt);
}

static void no_bus_master(void **state)
{
	struct qt *qt = qt_start("");
	struct queue q;

	(void)state;
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
	qt_cfg_set(qt, QT_X1, 0x04, 0x0002, 2);
	qc_copy(qt, &q, DATA_DVA, RAM_DVA, 4096);
	faulted(qt, &q, X1_FAULT_DMA, RAM_DVA);
	qc_works(qt);
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
	qc_prepare(qt);
	/* An HBM page behind its end. */
	qc_table(qt, 4, x1_pt_index(ODD_DVA, 0),
		 QT_HBM_BYTES | X1_PTE_READ | X1_PTE_WRITE | X1_PTE_VALID);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct queue q = qc_create(qt, HBM_DVA + i * 0x1000);

		qc_copy(qt, &q, DATA_DVA, cases[i].src, 4096);
		faulted(qt, &q, cases[i].code, cases[i].src);
		qc_works(qt);
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
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
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
	qc_prepare(qt);
	for (int i = 0; i < 20; i++) {
		q = qc_create(qt, HBM_DVA);
		qc_copy(qt, &q, i & 1 ? RAM_DVA : DATA_DVA, i & 1 ? DATA_DVA : RAM_DVA, 65536);
		faulted(qt, &q, X1_FAULT_DMA, RAM_DVA);
		qc_works(qt);
		qc_request(qt, &(struct x1_mbox_msg){.op = X1_MBOX_QUEUE_DESTROY, .arg = {q.id}});
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

		qc_prepare(qt);
		q = qc_create(qt, HBM_DVA);
		qc_copy(qt, &q, DATA_DVA, RAM_DVA, RAM_PAGES * X1_PAGE_SIZE);
		qt_set(qt, X1_REG_RESET, X1_RESET_KEY);
		assert_int_equal(qt_reg(qt, X1_REG_QUEUE(q.id) + X1_Q_STATE), X1_Q_STATE_DISABLED);
	}
	qt_stop(qt);
}

/* Bus 1: entry 0 of its context table passes requests through, or refuses them. */
static void iommu_pass(struct qt *qt, bool pass)
{
	qt_write(qt, ROOT_TABLE + 16, CONTEXT_TABLE | 1, 8);
	qt_write(qt, CONTEXT_TABLE + 8, 1u << 8 | 2, 8);
	qt_write(qt, CONTEXT_TABLE, pass ? 2u << 2 | 1 : 0, 8);
	qt_write(qt, IOMMU + IOMMU_CCMD, 1ull << 63 | 1ull << 61, 8);
	qt_write(qt, IOMMU + IOMMU_IOTLB, 1ull << 63 | 1ull << 60, 8);
}

/*
 * Eight queues copy in a loop from all workers while the guest takes the
 * mapping away and gives it back: every queue ends with its copies done or
 * with a DMA fault, nothing else happens, and all work again afterwards.
 */
static void iommu_under_load(void **state)
{
	enum {
		QUEUES = 8
	};
	struct qt *qt = qt_start_opt(
		&(struct qt_opt){.props = ",threads=4", .iommu = "intel-iommu,intremap=on,eim=on"});
	struct queue q[QUEUES];

	(void)state;
	iommu_pass(qt, true);
	iommu_on(qt);
	qc_prepare(qt);
	for (unsigned int i = 0; i < QUEUES; i++)
		q[i] = qc_create(qt, HBM_DVA + i * 0x1000);
	for (unsigned int round = 0; round < 12; round++) {
		unsigned int faults = 0;

		for (unsigned int i = 0; i < QUEUES; i++) {
			union x1_cmd cmd = {.copy = {
						    .hdr = {.op = X1_CMD_COPY, .tag = 0x77},
						    .src = RAM_DVA,
						    .dst = DATA_DVA + i * 0x10000,
						    .bytes = 16384,
						    .rows = 20,
					    }};

			qt_write(qt, QT_BAR2 + FENCE_DVA + i * 8, 0, 8);
			qc_submit(qt, &q[i], &cmd);
			qc_fence(qt, &q[i], FENCE_DVA + i * 8, 1 + round);
		}
		usleep(round * 500);
		iommu_pass(qt, false);
		for (unsigned int i = 0; i < QUEUES; i++) {
			uint32_t regs = X1_REG_QUEUE(q[i].id);

			for (int tries = 0;; tries++) {
				if (qt_reg(qt, regs + X1_Q_STATE) == X1_Q_STATE_FAULTED) {
					faulted(qt, &q[i], X1_FAULT_DMA,
						qt_reg(qt, regs + X1_Q_FAULT_ADDR_LO) &
							~(X1_PAGE_SIZE - 1));
					qc_reset_queue(qt, &q[i]);
					faults++;
					break;
				}
				if (qt_read(qt, QT_BAR2 + FENCE_DVA + i * 8, 8) == 1 + round)
					break;
				assert_true(tries < 20000);
				usleep(1000);
			}
		}
		/* The IOMMU recorded what it refused. */
		if (faults)
			assert_true(qt_read(qt, IOMMU + IOMMU_FSTS, 4) & 3);
		iommu_pass(qt, true);
	}
	round_trip(qt, &q[0]);
	qt_stop(qt);
}

/* A message that interrupt remapping refuses is lost, and nothing else is. */
static void iommu_blocks_interrupts(void **state)
{
	struct qt *qt = qt_start_opt(&(struct qt_opt){.iommu = "intel-iommu,intremap=on,eim=on"});
	struct queue q;

	(void)state;
	iommu_pass(qt, true);
	iommu_on(qt);
	qt_write(qt, IOMMU + IOMMU_IRTA, (QT_RAM + 0x210000) | 1u << 11 | 7, 8);
	qt_write(qt, IOMMU + IOMMU_GCMD, IOMMU_TE | IOMMU_SIRTP, 4);
	qt_write(qt, IOMMU + IOMMU_GCMD, IOMMU_TE | IOMMU_IRE, 4);
	assert_true(qt_read(qt, IOMMU + IOMMU_GSTS, 4) & IOMMU_IRE);
	qc_prepare(qt);
	qt_write(qt, QT_BAR4 + 16, 0xfee00010, 8); /* remappable, index 0: not present */
	q = qc_create(qt, HBM_DVA);
	for (uint64_t i = 1; i <= 50; i++) {
		qc_fence(qt, &q, FENCE_DVA, i);
		qc_wait_word(qt, QT_BAR2 + FENCE_DVA, i);
	}
	qt_wait_reg(qt, X1_REG_QFENCE_LO, 1u << q.id, 1u << q.id);
	round_trip(qt, &q);
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
		cmocka_unit_test(iommu_under_load),
		cmocka_unit_test(iommu_blocks_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
