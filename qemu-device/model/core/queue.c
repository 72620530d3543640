// SPDX-License-Identifier: MIT
/*
 * Hardware queues: configuration, state machine, doorbells, fault record.
 *
 * Threads that work for a queue pin it. A change of state that has to wait for
 * them (suspend, reset, disable, fault) only sets what is wanted and tells
 * them to stop; the last pin to go makes the change.
 */
#include <stdlib.h>
#include <string.h>

#include "x1_int.h"

#define LO(v) ((uint32_t)(v))
#define HI(v) ((uint32_t)((uint64_t)(v) >> 32))

void x1_queue_init(struct x1_core *core, uint32_t id)
{
	core->queue[id].core = core;
	core->queue[id].id = id;
}

static void progs_drop(struct x1_queue *q)
{
	for (unsigned int i = 0; i < X1_PROG_CACHE; i++) {
		x1_prog_put(q->progs[i]);
		q->progs[i] = NULL;
	}
}

/* Forget everything in flight. No thread works on the queue's behalf any more. */
static void drop_work(struct x1_queue *q)
{
	q->gen++;
	x1_launch_drop(q);
	if (q->held)
		x1_tcmd_put(q->core, q->held);
	q->held = NULL;
	if (q->core->cfg.timing) {
		x1_tm_post(q->core, (struct x1_tm_op){.kind = X1_TM_DROP, .queue = q->id});
		q->expected = false;
	}
	q->front = X1_FRONT_NONE;
	q->cur_call = false;
	q->call_left = 0;
	q->copy_row = q->copy_off = 0;
	q->fb_pos = q->fb_len = 0;
	q->backoff = q->next_poll = 0;
	q->wait_hit = false;
	q->in_model = 0;
	q->lapsed = false;
	q->coal_count = 0;
	q->coal_deadline = 0;
	q->fault_pending = false;
	q->hung = false;
	memset(&q->fault, 0, sizeof(q->fault));
	q->fault_info = 0;
	progs_drop(q);
	if (q->stamps)
		memset(q->stamps, 0, sizeof(*q->stamps) << q->act.ring_log2);
}

static void detach(struct x1_queue *q)
{
	struct x1_core *core = q->core;

	if (q->state == X1_Q_STATE_DISABLED)
		return;
	if (core->vm_users[q->act.ring_vm])
		core->vm_users[q->act.ring_vm]--;
	if (core->vm_users[q->act.user_vm])
		core->vm_users[q->act.user_vm]--;
	free(q->stamps);
	q->stamps = NULL;
	q->state = X1_Q_STATE_DISABLED;
}

void x1_queue_fini(struct x1_queue *q)
{
	drop_work(q);
	detach(q);
}

void x1_queue_hard_reset(struct x1_queue *q)
{
	drop_work(q);
	detach(q);
	q->pins = 0;
	q->front_busy = q->rptr_busy = q->kicked = false;
	q->disabling = false;
	atomic_store(&q->stop, 0);
	q->rptr = q->wptr = q->fetched = q->rptr_written = 0;
	memset(&q->cfg, 0, sizeof(q->cfg));
	memset(&q->act, 0, sizeof(q->act));
	q->cycles = 0;
	q->late = 0;
	q->db_arrival = q->last_fence = q->arrival = 0;
	atomic_store(&q->progress, 0);
}

static void finish_reset(struct x1_queue *q)
{
	bool disable = q->disabling;

	drop_work(q);
	atomic_store(&q->stop, 0);
	q->rptr = q->fetched = q->rptr_written = q->wptr;
	q->disabling = false;
	if (disable) {
		detach(q);
		return;
	}
	q->state = X1_Q_STATE_READY;
	x1_irq_qevent(q->core, q);
}

/* Nobody works for the queue: make the change that waited for it. */
static void settle(struct x1_queue *q)
{
	struct x1_core *core = q->core;

	if (q->pins)
		return;
	if (q->state == X1_Q_STATE_RESETTING) {
		finish_reset(q);
	} else if (q->fault_pending) {
		bool inside = q->front != X1_FRONT_NONE || q->call_left;

		q->fault_pending = false;
		q->state = X1_Q_STATE_FAULTED;
		/* Everything before the faulting command took effect. */
		q->rptr = q->fetched - inside;
		x1_launch_drop(q);
		q->fault_info = X1_FAULT_INFO(q->fault.code, q->fault.access, q->fault.unit,
					      q->fault.mcu);
		x1_queue_expect(q);
		x1_timeline_fault(core, q->id, q->fault.code, q->fault.mcu);
		x1_irq_qevent(core, q);
		x1_mgmt_irq(core, X1_MC_IRQ_FAULT);
	} else if (q->state == X1_Q_STATE_SUSPENDING && !q->hung) {
		q->state = X1_Q_STATE_SUSPENDED;
		x1_queue_expect(q);
		x1_irq_qevent(core, q);
	}
}

void x1_queue_pin(struct x1_queue *q)
{
	q->pins++;
}

void x1_queue_unpin(struct x1_queue *q)
{
	if (!--q->pins)
		settle(q);
}

static void stop_work(struct x1_queue *q)
{
	atomic_store(&q->stop, 1);
	if (q->launch)
		atomic_store(&q->launch->stop, 1);
}

void x1_queue_kick(struct x1_queue *q)
{
	struct x1_core *core = q->core;

	core->active |= 1ull << q->id;
	x1_workers_start(core);
	/* Who has the front end looks again before it does anything else. */
	if (q->front_busy)
		q->kicked = true;
	else
		x1_wake(core, 1);
}

void x1_queue_fault(struct x1_queue *q, const struct x1_fault_rec *rec)
{
	/* Of work-groups that fault at once, the lowest is reported. */
	if (q->fault_pending && rec->wg >= q->fault.wg)
		return;
	q->fault = *rec;
	q->fault_pending = true;
	stop_work(q);
}

static bool gated(const struct x1_queue *q)
{
	return q->core->gate >> q->id & 1;
}

void x1_queue_expect(struct x1_queue *q)
{
	struct x1_core *core = q->core;
	bool want;

	if (!core->cfg.timing)
		return;
	want = q->state == X1_Q_STATE_READY && !q->fault_pending && !q->lapsed && !q->hung;
	switch (q->front) {
	case X1_FRONT_NONE:
		want = want && !gated(q) && (q->fetched != q->wptr || q->call_left);
		break;
	case X1_FRONT_EXEC:
		break;
	case X1_FRONT_LAUNCH:
		want = want && q->launch && !q->launch->stalled;
		break;
	default:
		want = false;
		break;
	}
	if (want == q->expected)
		return;
	q->expected = want;
	if (want) {
		uint64_t at = q->arrival;

		if (q->front == X1_FRONT_NONE && q->stamps && !q->call_left)
			at = q->stamps[q->fetched & ((1u << q->act.ring_log2) - 1)];
		x1_tm_post(core, (struct x1_tm_op){.kind = X1_TM_EXPECT, .queue = q->id, .a = at});
	} else {
		x1_tm_post(core, (struct x1_tm_op){.kind = X1_TM_UNEXPECT, .queue = q->id});
	}
}

void x1_queue_doorbell(struct x1_queue *q, uint32_t wptr)
{
	uint64_t arrival = q->db_arrival ? q->db_arrival : q->last_fence;
	uint32_t old = q->wptr;

	q->db_arrival = 0;
	if (q->state == X1_Q_STATE_DISABLED || q->disabling)
		return;
	q->wptr = wptr;
	if (q->state == X1_Q_STATE_FAULTED || q->state == X1_Q_STATE_RESETTING || q->fault_pending)
		return;
	/* Neither past the ring nor backwards. */
	if (wptr - q->rptr > 1u << q->act.ring_log2 || wptr - q->rptr < old - q->rptr) {
		x1_queue_fault(q, &(struct x1_fault_rec){
					  .code = X1_FAULT_BAD_RING,
					  .unit = X1_UNIT_FETCH,
					  .mcu = X1_FAULT_MCU_NONE,
					  .addr = wptr,
					  .vm = q->act.ring_vm,
					  .pc = UINT32_MAX,
				  });
		settle(q);
		return;
	}
	if (wptr == old)
		return;
	if (q->stamps)
		q->stamps[old & ((1u << q->act.ring_log2) - 1)] = arrival;
	q->lapsed = false;
	q->lapse_ns = 0;
	x1_queue_expect(q);
	if (q->state == X1_Q_STATE_READY && !gated(q))
		x1_queue_kick(q);
}

void x1_gate_write(struct x1_core *core, uint64_t gate)
{
	uint64_t changed = core->gate ^ gate;

	core->gate = gate;
	/* All that are released are expected before the model goes on. */
	for (uint64_t left = changed; left; left &= left - 1) {
		struct x1_queue *q = &core->queue[__builtin_ctzll(left)];

		x1_queue_expect(q);
		if (!gated(q) && q->state == X1_Q_STATE_READY && q->fetched != q->wptr)
			x1_queue_kick(q);
	}
}

/* ---- operations ---- */

bool x1_queue_config_ok(const struct x1_core *core, const struct x1_qcfg *c)
{
	return c->ring_log2 >= X1_RING_MIN_LOG2 && c->ring_log2 <= X1_RING_MAX_LOG2 &&
	       !(c->ring % X1_CMD_BYTES) && !(c->rptr_addr % 8) && c->ring_vm < X1_NUM_VMS &&
	       c->user_vm < X1_NUM_VMS && c->priority < X1_NUM_PRIORITIES &&
	       c->mcu_first < core->cfg.mcus && c->mcu_count <= core->cfg.mcus - c->mcu_first &&
	       c->vector < X1_MSIX_VECTORS;
}

static void enable(struct x1_queue *q)
{
	struct x1_core *core = q->core;

	if (q->state != X1_Q_STATE_DISABLED || !x1_queue_config_ok(core, &q->cfg))
		return;
	if (core->cfg.timing) {
		q->stamps = calloc(1u << q->cfg.ring_log2, sizeof(*q->stamps));
		if (!q->stamps)
			return;
	}
	q->act = q->cfg;
	/* COUNT 0 is all MCUs, whatever FIRST says. */
	if (!q->act.mcu_count)
		q->act.mcu_first = 0;
	q->gen++;
	q->rptr = q->wptr = q->fetched = q->rptr_written = 0;
	q->fault_info = 0;
	memset(&q->fault, 0, sizeof(q->fault));
	core->vm_users[q->act.ring_vm]++;
	core->vm_users[q->act.user_vm]++;
	core->qfence &= ~(1ull << q->id);
	core->qevent &= ~(1ull << q->id);
	q->cycles = 0;
	q->late = 0;
	atomic_store(&q->progress, 0);
	q->db_arrival = 0;
	q->state = X1_Q_STATE_READY;
}

static void suspend(struct x1_queue *q)
{
	if (q->state != X1_Q_STATE_READY || q->fault_pending)
		return;
	q->state = X1_Q_STATE_SUSPENDING;
	stop_work(q);
	settle(q);
}

static void resume(struct x1_queue *q)
{
	if (q->state != X1_Q_STATE_SUSPENDED)
		return;
	atomic_store(&q->stop, 0);
	if (q->launch)
		atomic_store(&q->launch->stop, 0);
	q->state = X1_Q_STATE_READY;
	q->next_poll = q->backoff = 0;
	x1_queue_expect(q);
	x1_irq_qevent(q->core, q);
	x1_queue_kick(q);
}

static void reset(struct x1_queue *q, bool disable)
{
	if (q->state == X1_Q_STATE_DISABLED)
		return;
	q->disabling |= disable;
	q->state = X1_Q_STATE_RESETTING;
	stop_work(q);
	settle(q);
}

void x1_queue_op(struct x1_queue *q, uint32_t op, bool mc)
{
	switch (op) {
	case X1_Q_OP_SUSPEND:
		suspend(q);
		break;
	case X1_Q_OP_RESUME:
		resume(q);
		break;
	case X1_Q_OP_RESET:
		reset(q, false);
		break;
	case X1_Q_OP_ENABLE:
		if (mc)
			enable(q);
		break;
	case X1_Q_OP_DISABLE:
		if (mc)
			reset(q, true);
		break;
	default:
		break;
	}
}

/* ---- registers ---- */

static uint64_t *cfg_pair(struct x1_queue *q, uint32_t reg)
{
	switch (reg & ~4u) {
	case X1_Q_RING_LO:
		return &q->cfg.ring;
	case X1_Q_BUDGET_LO:
		return &q->cfg.budget;
	}
	return NULL;
}

/* These pairs are two neighbouring words, the low one 8-byte aligned. */
_Static_assert(!(X1_Q_RING_LO & 4) && !(X1_Q_BUDGET_LO & 4), "aligned pairs");

static uint32_t *cfg_word(struct x1_queue *q, uint32_t reg)
{
	switch (reg) {
	case X1_Q_RING_LOG2:
		return &q->cfg.ring_log2;
	case X1_Q_RING_VM:
		return &q->cfg.ring_vm;
	case X1_Q_USER_VM:
		return &q->cfg.user_vm;
	case X1_Q_PRIORITY:
		return &q->cfg.priority;
	case X1_Q_MCU_FIRST:
		return &q->cfg.mcu_first;
	case X1_Q_MCU_COUNT:
		return &q->cfg.mcu_count;
	case X1_Q_VECTOR:
		return &q->cfg.vector;
	}
	return NULL;
}

uint32_t x1_queue_reg_read(struct x1_queue *q, uint32_t reg)
{
	uint64_t progress = atomic_load(&q->progress);
	bool faulted = q->fault_info != 0;
	uint64_t *pair;
	uint32_t *word;

	switch (reg) {
	case X1_Q_STATE:
		return q->state;
	case X1_Q_RPTR:
		return q->rptr;
	case X1_Q_WPTR:
		return q->wptr;
	case X1_Q_PROGRESS_LO:
		return LO(progress);
	case X1_Q_PROGRESS_HI:
		return HI(progress);
	case X1_Q_CYCLES_LO:
		return LO(q->cycles);
	case X1_Q_CYCLES_HI:
		return HI(q->cycles);
	case X1_Q_FAULT_INFO:
		return q->fault_info;
	case X1_Q_FAULT_ADDR_LO:
		return faulted ? LO(q->fault.addr) : 0;
	case X1_Q_FAULT_ADDR_HI:
		return faulted ? HI(q->fault.addr) : 0;
	case X1_Q_FAULT_VM:
		return faulted ? q->fault.vm : 0;
	case X1_Q_FAULT_PC:
		return faulted ? q->fault.pc : 0;
	case X1_Q_FAULT_TAG:
		return faulted ? q->fault.tag : 0;
	case X1_Q_FAULT_WG:
		return faulted ? q->fault.wg : 0;
	case X1_Q_LATE:
		return q->late;
	case X1_Q_RPTR_ADDR_LO:
		return LO(q->cfg.rptr_addr);
	case X1_Q_RPTR_ADDR_HI:
		return HI(q->cfg.rptr_addr);
	}
	pair = cfg_pair(q, reg);
	if (pair)
		return reg & 4 ? HI(*pair) : LO(*pair);
	word = cfg_word(q, reg);
	return word ? *word : 0;
}

static void set_half(uint64_t *v, bool hi, uint32_t val)
{
	*v = hi ? (*v & 0xffffffffull) | (uint64_t)val << 32 : (*v & ~0xffffffffull) | val;
}

void x1_queue_reg_write(struct x1_queue *q, uint32_t reg, uint32_t val, bool mc)
{
	uint64_t *pair = cfg_pair(q, reg);
	uint32_t *word = cfg_word(q, reg);

	if (reg == X1_Q_CTRL) {
		x1_queue_op(q, val, mc);
		return;
	}
	if (!mc || q->state != X1_Q_STATE_DISABLED)
		return;
	if (reg == X1_Q_RPTR_ADDR_LO || reg == X1_Q_RPTR_ADDR_HI)
		set_half(&q->cfg.rptr_addr, reg == X1_Q_RPTR_ADDR_HI, val);
	else if (pair)
		set_half(pair, reg & 4, val);
	else if (word)
		*word = val;
}
