// SPDX-License-Identifier: MIT
/* Queues: configuration registers, life cycle, faults into the log. */
#include "fw.h"

#define DISABLE_TRIES 1000000u

static uint32_t in_use[X1_NUM_QUEUES / 32];
static uint32_t logged[X1_NUM_QUEUES / 32]; /* faults already in the log */

static bool bit(const uint32_t *set, uint32_t q)
{
	return set[q / 32] >> q % 32 & 1;
}

static void set_bit(uint32_t *set, uint32_t q, bool value)
{
	if (value)
		set[q / 32] |= 1u << q % 32;
	else
		set[q / 32] &= ~(1u << q % 32);
}

static uint32_t q_read(uint32_t q, uint32_t reg)
{
	return hw_read(X1_REG_QUEUE(q) + reg);
}

static void q_write(uint32_t q, uint32_t reg, uint32_t val)
{
	hw_write(X1_REG_QUEUE(q) + reg, val);
}

/* Index of the first argument word that is out of range, or -1. */
static int bad_argument(const struct x1_mbox_queue_create *r)
{
	uint32_t mcus = hw_read(X1_REG_NUM_MCUS), vms = hw_read(X1_REG_NUM_VMS);

	if (r->ring_lo % 64 || r->ring_hi >> (X1_DVA_BITS - 32))
		return 0;
	if (r->rptr_lo % 8 || r->rptr_hi >> (X1_DVA_BITS - 32))
		return 2;
	if (r->ring_log2 < X1_RING_MIN_LOG2 || r->ring_log2 > X1_RING_MAX_LOG2 ||
	    r->priority >= X1_NUM_PRIORITIES)
		return 4;
	if (!r->ring_vm || r->ring_vm >= vms)
		return 5;
	if (!r->user_vm || r->user_vm >= vms)
		return 6;
	if (r->mcu_first >= mcus || r->mcu_count > mcus - r->mcu_first ||
	    (!r->mcu_count && r->mcu_first))
		return 7;
	if (r->vector >= X1_MSIX_VECTORS)
		return 10;
	if (r->queue != X1_MBOX_QUEUE_ANY && r->queue >= X1_NUM_QUEUES)
		return 11;
	if (r->reserved[0] || r->reserved[1])
		return 12;
	return -1;
}

static uint32_t find_free(void)
{
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		if (!bit(in_use, q))
			return q;
	return X1_MBOX_QUEUE_ANY;
}

uint32_t queue_create(const struct x1_mbox_queue_create *r, uint32_t *out)
{
	int bad = bad_argument(r);
	uint32_t q = r->queue;

	if (bad >= 0) {
		*out = (uint32_t)bad;
		return X1_MBOX_ERR_ARG;
	}
	if (q == X1_MBOX_QUEUE_ANY)
		q = find_free();
	if (q == X1_MBOX_QUEUE_ANY || bit(in_use, q))
		return X1_MBOX_ERR_BUSY;
	q_write(q, X1_Q_RING_LO, r->ring_lo);
	q_write(q, X1_Q_RING_HI, r->ring_hi);
	q_write(q, X1_Q_RING_LOG2, r->ring_log2);
	q_write(q, X1_Q_RPTR_ADDR_LO, r->rptr_lo);
	q_write(q, X1_Q_RPTR_ADDR_HI, r->rptr_hi);
	q_write(q, X1_Q_RING_VM, r->ring_vm);
	q_write(q, X1_Q_USER_VM, r->user_vm);
	q_write(q, X1_Q_PRIORITY, r->priority);
	q_write(q, X1_Q_MCU_FIRST, r->mcu_first);
	q_write(q, X1_Q_MCU_COUNT, r->mcu_count);
	q_write(q, X1_Q_BUDGET_LO, r->budget_lo);
	q_write(q, X1_Q_BUDGET_HI, r->budget_hi);
	q_write(q, X1_Q_VECTOR, r->vector);
	q_write(q, X1_Q_CTRL, X1_Q_OP_ENABLE);
	if (q_read(q, X1_Q_STATE) != X1_Q_STATE_READY)
		return X1_MBOX_ERR_HW;
	set_bit(in_use, q, true);
	set_bit(logged, q, false);
	log_event(X1_LOG_QUEUE_CREATED, q, r->user_vm, 0);
	*out = q;
	return X1_MBOX_OK;
}

void queue_adopt(void)
{
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		set_bit(in_use, q, q_read(q, X1_Q_STATE) != X1_Q_STATE_DISABLED);
}

uint32_t queue_destroy(uint32_t q)
{
	uint32_t tries = DISABLE_TRIES;

	if (q >= X1_NUM_QUEUES || !bit(in_use, q))
		return X1_MBOX_ERR_NONE;
	q_write(q, X1_Q_CTRL, X1_Q_OP_DISABLE);
	while (q_read(q, X1_Q_STATE) != X1_Q_STATE_DISABLED)
		if (!--tries)
			return X1_MBOX_ERR_HW;
	set_bit(in_use, q, false);
	log_event(X1_LOG_QUEUE_DESTROYED, q, 0, 0);
	return X1_MBOX_OK;
}

uint32_t queue_budget(uint32_t q, uint32_t lo, uint32_t hi)
{
	if (q >= X1_NUM_QUEUES || !bit(in_use, q))
		return X1_MBOX_ERR_NONE;
	if (q_read(q, X1_Q_RPTR) != q_read(q, X1_Q_WPTR))
		return X1_MBOX_ERR_BUSY;
	q_write(q, X1_Q_BUDGET_LO, lo);
	q_write(q, X1_Q_BUDGET_HI, hi);
	return X1_MBOX_OK;
}

uint32_t queue_count(void)
{
	uint32_t n = 0;

	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		n += bit(in_use, q);
	return n;
}

void queue_log_faults(void)
{
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++) {
		bool faulted = bit(in_use, q) && q_read(q, X1_Q_STATE) == X1_Q_STATE_FAULTED;

		if (faulted && !bit(logged, q))
			log_event(X1_LOG_QUEUE_FAULT, q, q_read(q, X1_Q_FAULT_INFO),
				  q_read(q, X1_Q_FAULT_ADDR_LO));
		set_bit(logged, q, faulted);
	}
}
