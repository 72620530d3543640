// SPDX-License-Identifier: MIT
/* Queues of the in-process driver: per batch a CALL and a FENCE in the ring. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sim.h"

#define RING_SLOTS (1u << SIM_RING_LOG2)
#define RING_BYTES (RING_SLOTS * X1_CMD_BYTES)
/* Two entries a batch; a fence is written a moment before its entry is given back. */
#define RING_BATCHES (RING_SLOTS / 2 - 1)
#define RING_SPAN    (RING_BYTES + X1_PAGE_SIZE)
#define VECTOR       1 /* fences; events, faults among them, have vector 0 */

static struct sim *sim_of(const struct sili_queue *q)
{
	return q->dev->priv;
}

static uint64_t ring_va(const struct sim_queue *sq)
{
	return sq->q->ring ? sq->q->ring->dva : SIM_RING_VA + sq->mem;
}

static uint32_t q_reg(struct sim *s, const struct sim_queue *sq, uint32_t reg)
{
	return sim_read(s, X1_REG_QUEUE(sq->hw) + reg);
}

static uint64_t left(const struct sim_queue *sq)
{
	return __atomic_load_n(sq->fence, __ATOMIC_ACQUIRE);
}

/* Memory of the driver's own for a ring and its fence. */
static int take_ring(struct sim *s, struct sim_queue *sq)
{
	int ret;

	sq->mem = sim_hbm_take(s, RING_SPAN, X1_PAGE_SIZE);
	if (!sq->mem)
		return -ENOMEM;
	sq->ring = (union x1_cmd *)(s->hbm + sq->mem);
	sq->fence = (uint64_t *)(s->hbm + sq->mem + RING_BYTES);
	ret = sim_map(s, SIM_VM_KERNEL, ring_va(sq), sq->mem, RING_SPAN,
		      X1_PTE_VALID | X1_PTE_READ | X1_PTE_WRITE);
	if (ret)
		sili_ranges_give(&s->hbm_free, sq->mem, RING_SPAN);
	return ret;
}

static void give_ring(struct sim *s, struct sim_queue *sq)
{
	if (!sq->mem)
		return;
	sim_unmap(s, SIM_VM_KERNEL, ring_va(sq), RING_SPAN);
	sili_ranges_give(&s->hbm_free, sq->mem, RING_SPAN);
}

static int create(struct sim *s, struct sim_queue *sq, const struct sili_queue_attr *attr)
{
	union {
		struct x1_mbox_queue_create create;
		uint32_t word[X1_MBOX_ARGS];
	} args = {.create = {
			  .ring_lo = (uint32_t)ring_va(sq),
			  .ring_hi = (uint32_t)(ring_va(sq) >> 32),
			  .ring_log2 = SIM_RING_LOG2,
			  .priority = (uint16_t)attr->priority,
			  .ring_vm = sq->q->ring ? SIM_VM_USER : SIM_VM_KERNEL,
			  .user_vm = SIM_VM_USER,
			  .mcu_first = (uint16_t)attr->mcu_first,
			  .mcu_count = (uint16_t)attr->mcu_count,
			  .budget_lo = (uint32_t)attr->budget,
			  .budget_hi = (uint32_t)(attr->budget >> 32),
			  .vector = VECTOR,
			  .queue = X1_MBOX_QUEUE_ANY,
		  }};
	struct x1_mbox_msg reply;
	int ret = sim_mbox(s, X1_MBOX_QUEUE_CREATE, args.word, X1_MBOX_ARGS, &reply);

	if (ret)
		return ret;
	sq->hw = reply.arg[0];
	sq->doorbell = sim_read(s, X1_REG_DB_OFFSET) + sq->hw * sim_read(s, X1_REG_DB_STRIDE) +
		       X1_DB_WPTR;
	return 0;
}

int sim_queue_new(struct sili_queue *q, const struct sili_queue_attr *attr)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = calloc(1, sizeof(*sq));
	int ret = -ENOMEM;

	if (!sq)
		return ret;
	sq->q = q;
	pthread_mutex_lock(&s->lock);
	if (q->ring) {
		sq->ring = q->ring_slots;
		sq->fence = q->status;
		/* Waits sleep at once. */
		q->irq_left = SILI_IRQ_ALWAYS;
		ret = 0;
	} else {
		ret = take_ring(s, sq);
	}
	if (ret)
		goto fail;
	ret = create(s, sq, attr);
	if (ret) {
		give_ring(s, sq);
		goto fail;
	}
	pthread_mutex_lock(&s->irq_lock);
	s->queue[sq->hw] = sq;
	__atomic_and_fetch(&s->faulted, ~(1ull << sq->hw), __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->irq_lock);
	pthread_mutex_unlock(&s->lock);
	q->priv = sq;
	q->id = sq->hw;
	return 0;
fail:
	pthread_mutex_unlock(&s->lock);
	free(sq);
	return ret;
}

static void signal_waiters(struct sim_queue *sq, uint64_t upto)
{
	struct sim_waiter **at = &sq->waiters;

	while (*at) {
		struct sim_waiter *w = *at;

		if (w->seq > upto) {
			at = &w->next;
			continue;
		}
		eventfd_write(w->fd, 1);
		close(w->fd);
		*at = w->next;
		free(w);
	}
}

void sim_queue_free(struct sili_queue *q)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = q->priv;
	struct x1_mbox_msg reply;

	pthread_mutex_lock(&s->lock);
	sim_mbox(s, X1_MBOX_QUEUE_DESTROY, &sq->hw, 1, &reply);
	pthread_mutex_lock(&s->irq_lock);
	s->queue[sq->hw] = NULL;
	signal_waiters(sq, UINT64_MAX);
	pthread_mutex_unlock(&s->irq_lock);
	give_ring(s, sq);
	pthread_mutex_unlock(&s->lock);
	free(sq);
}

/* Faulted: nothing more will leave the ring. */
static bool stopped(struct sim *s, const struct sim_queue *sq)
{
	return __atomic_load_n(&s->faulted, __ATOMIC_ACQUIRE) >> sq->hw & 1;
}

int sim_wait(struct sili_queue *q, uint64_t seq, int64_t deadline)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = q->priv;

	for (;;) {
		uint64_t seen = sim_irqs(s);
		int ret;

		if (left(sq) >= seq || stopped(s, sq))
			return 0;
		ret = sim_irq_wait(s, seen, deadline);
		if (ret)
			return ret;
	}
}

int sim_submit(struct sili_queue *q, uint64_t dva, uint32_t n, uint64_t seq)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = q->priv;
	int ret;

	if (seq > RING_BATCHES && left(sq) < seq - RING_BATCHES) {
		ret = sim_wait(q, seq - RING_BATCHES, -1);
		if (ret)
			return ret;
	}
	if (stopped(s, sq))
		return -EIO;
	sq->ring[sq->wptr++ % RING_SLOTS] =
		(union x1_cmd){.call = {.hdr.op = X1_CMD_CALL, .addr = dva, .count = n}};
	/* A user queue's batch has its fence inside. */
	if (!q->ring)
		sq->ring[sq->wptr++ % RING_SLOTS] =
			(union x1_cmd){.sync = {.hdr = {.op = X1_CMD_FENCE, .flags = X1_FENCE_IRQ},
						.addr = ring_va(sq) + RING_BYTES,
						.value = seq}};
	sq->submitted = seq;
	pthread_mutex_lock(&s->lock);
	sim_write(s, sq->doorbell, sq->wptr);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

void sim_queues_irq(struct sim *s, unsigned int vector)
{
	uint64_t events = 0;

	if (!vector) {
		/* Cleared before the states are looked at, so that none is missed. */
		events = sim_read64(s, X1_REG_QEVENT_LO);
		x1_core_bar_write(s->core, X1_REG_QEVENT_LO, events, sizeof(events));
	}
	for (uint32_t i = 0; i < X1_NUM_QUEUES; i++) {
		struct sim_queue *sq = s->queue[i];

		if (!sq)
			continue;
		if (events >> i & 1 && q_reg(s, sq, X1_Q_STATE) == X1_Q_STATE_FAULTED)
			__atomic_or_fetch(&s->faulted, 1ull << i, __ATOMIC_RELEASE);
		/* A fault ends everything that was submitted. */
		if (sq->waiters)
			signal_waiters(sq, stopped(s, sq) ? UINT64_MAX : left(sq));
	}
}

int sim_fence_fd(struct sili_queue *q, uint64_t seq)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = q->priv;
	struct sim_waiter *w = calloc(1, sizeof(*w));
	int fd = eventfd(0, EFD_CLOEXEC), ret = -errno;

	if (w)
		w->fd = fd < 0 ? -1 : dup(fd);
	if (!w || w->fd < 0) {
		ret = w ? ret : -ENOMEM;
		if (fd >= 0)
			close(fd);
		free(w);
		return ret;
	}
	w->seq = seq;
	pthread_mutex_lock(&s->irq_lock);
	w->next = sq->waiters;
	sq->waiters = w;
	pthread_mutex_unlock(&s->irq_lock);
	/* It may have ended, or faulted, before anyone looked. */
	ret = stopped(s, sq);
	pthread_mutex_lock(&s->irq_lock);
	signal_waiters(sq, ret ? UINT64_MAX : left(sq));
	pthread_mutex_unlock(&s->irq_lock);
	return fd;
}

int sim_fault(struct sili_queue *q, struct sili_fault *fault)
{
	struct sim *s = sim_of(q);
	struct sim_queue *sq = q->priv;
	uint32_t info;

	pthread_mutex_lock(&s->lock);
	info = q_reg(s, sq, X1_Q_FAULT_INFO);
	*fault = (struct sili_fault){
		.size = fault->size,
		.code = X1_FAULT_INFO_CODE(info),
		.access = X1_FAULT_INFO_ACCESS(info),
		.unit = X1_FAULT_INFO_UNIT(info),
		.mcu = X1_FAULT_INFO_MCU(info),
		.pc = q_reg(s, sq, X1_Q_FAULT_PC),
		.tag = q_reg(s, sq, X1_Q_FAULT_TAG),
		.wg = q_reg(s, sq, X1_Q_FAULT_WG),
		.addr = q_reg(s, sq, X1_Q_FAULT_ADDR_LO) |
			(uint64_t)q_reg(s, sq, X1_Q_FAULT_ADDR_HI) << 32,
	};
	pthread_mutex_unlock(&s->lock);
	return 0;
}
