// SPDX-License-Identifier: MIT
/*
 * Interrupts. Events are edges: each raises its vector again even while its
 * bit is still pending, so software that clears a bit and then looks at the
 * state misses nothing.
 */
#include "x1_int.h"

static void vector(struct x1_core *core, uint32_t v)
{
	core->raise_mask |= 1ull << v;
}

void x1_irq_raise(struct x1_core *core, uint32_t bits)
{
	core->irq_pending |= bits & X1_IRQ_ALL;
	if (bits & core->irq_enable)
		vector(core, 0);
}

void x1_irq_enable(struct x1_core *core, uint32_t enable)
{
	uint32_t newly = enable & ~core->irq_enable;

	core->irq_enable = enable & X1_IRQ_ALL;
	if (core->irq_pending & newly)
		vector(core, 0);
}

static void fence_now(struct x1_core *core, struct x1_queue *q)
{
	q->coal_count = 0;
	q->coal_deadline = 0;
	if (q->act.vector)
		vector(core, q->act.vector);
	else
		x1_irq_raise(core, X1_IRQ_QFENCE);
}

void x1_irq_fence(struct x1_core *core, struct x1_queue *q)
{
	uint32_t count = X1_COALESCE_COUNT(core->coalesce);
	uint32_t usec = X1_COALESCE_USEC(core->coalesce);

	core->qfence |= 1ull << q->id;
	q->coal_count++;
	if (q->coal_count >= count || !usec) {
		fence_now(core, q);
		return;
	}
	if (!q->coal_deadline) {
		q->coal_deadline = x1_now_ns() + usec * X1_NS_PER_US;
		pthread_cond_signal(&core->timer_cv);
	}
}

void x1_irq_qevent(struct x1_core *core, struct x1_queue *q)
{
	core->qevent |= 1ull << q->id;
	x1_irq_raise(core, X1_IRQ_QEVENT);
	if (q->act.vector)
		vector(core, q->act.vector);
}

uint64_t x1_irq_timer(struct x1_core *core, uint64_t now)
{
	uint64_t next = X1_NEVER;

	for (uint32_t i = 0; i < X1_NUM_QUEUES; i++) {
		struct x1_queue *q = &core->queue[i];

		if (!q->coal_deadline)
			continue;
		if (q->coal_deadline <= now)
			fence_now(core, q);
		else
			next = x1_min64(next, q->coal_deadline);
	}
	return next;
}
