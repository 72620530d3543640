// SPDX-License-Identifier: MIT
/*
 * The event model and what hangs on it: commands retire, fences become
 * visible and waits are released in the order and at the times that it says.
 *
 * One worker at a time owns the model (tm_busy); everybody else posts to a
 * list that the owner works off before each step. Which queues are expected to
 * bring more work is part of that list, so the model never runs ahead of it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "x1_int.h"

#define MAX_TCMD_POOL 1024
#define LAPSE_NS      2000000000ull /* of workers' time for a queue that makes no progress */
#define LAPSE_LOOK_NS 100000000ull
#define LAPSE_LOOKS   3u /* at a model that has nothing to do */
#define MAX_DONE      32 /* commands that the model completes at once */
#define LONG_TRACE    (64u << 10)
#define POWER_IDLE_NS 200000000ull
#define TEMP_AMBIENT  35000.0 /* millidegrees */
#define TEMP_PER_MW   0.12    /* millidegrees per milliwatt */
#define TEMP_TAU_NS   4e9

uint64_t x1_clock(void *core)
{
	return atomic_load_explicit(&((struct x1_core *)core)->clock, memory_order_relaxed);
}

/* ---- commands ---- */

struct x1_tcmd *x1_tcmd_get(struct x1_core *core)
{
	struct x1_tcmd *tc = core->tcmd_pool;

	if (!tc)
		return calloc(1, sizeof(*tc));
	core->tcmd_pool = tc->next;
	core->num_tcmd_pool--;
	tc->next = NULL;
	tc->t.read.bytes = tc->t.read.count = 0;
	tc->t.write.bytes = tc->t.write.count = 0;
	tc->t.wg = NULL;
	tc->t.num_wgs = 0;
	tc->t.after = 0;
	tc->t.budget = 0;
	tc->t.over_budget = tc->t.late = false;
	tc->ring = tc->sync = false;
	return tc;
}

void x1_tcmd_put(struct x1_core *core, struct x1_tcmd *tc)
{
	if (tc->many) {
		/* num_wgs is set at submission; a dropped launch knows its grid. */
		for (uint32_t i = 0; i < tc->num_many; i++)
			x1_trace_free(&tc->many[i]);
		free(tc->many);
		tc->many = NULL;
		tc->num_many = 0;
	}
	if (core->num_tcmd_pool >= MAX_TCMD_POOL || tc->one.cap > 1u << 20) {
		x1_trace_free(&tc->one);
		free(tc);
		return;
	}
	tc->one.len = 0;
	tc->one.instructions = 0;
	tc->next = core->tcmd_pool;
	core->tcmd_pool = tc;
	core->num_tcmd_pool++;
}

/* ---- the owner's list ---- */

void x1_tm_post(struct x1_core *core, struct x1_tm_op op)
{
	if (core->tm_len == core->tm_cap) {
		size_t cap = core->tm_cap ? core->tm_cap * 2 : 256;
		struct x1_tm_op *bigger = realloc(core->tm_ops, cap * sizeof(*bigger));

		if (!bigger) {
			/* Without its model the device has no time: say so and go on. */
			x1_log(core, X1_LOGL_WARN, "out of memory for the event model");
			return;
		}
		core->tm_ops = bigger;
		core->tm_cap = cap;
	}
	core->tm_ops[core->tm_len++] = op;
	if (op.kind == X1_TM_EXPECT)
		return;
	core->tm_needed = true;
	/* Others may have waited for this queue. Workers run the model before they rest. */
	if (op.kind != X1_TM_SUBMIT && core->tm_inflight && !x1_is_worker)
		x1_wake(core, 1);
}

void x1_tm_submit(struct x1_queue *q, struct x1_tcmd *tc)
{
	tc->t.queue = q->id;
	tc->t.op = tc->op;
	tc->t.flags = tc->flags;
	tc->t.tag = tc->tag;
	tc->t.vm = q->act.user_vm;
	tc->t.priority = q->act.priority;
	tc->t.mcu_first = q->act.mcu_first;
	tc->t.mcu_count = q->act.mcu_count;
	tc->t.arrival = q->arrival;
	tc->t.budget = q->act.budget;
	tc->t.owner = q;
	q->in_model++;
	q->expected = false;
	q->lapse_ns = 0;
	q->core->tm_inflight++;
	x1_tm_post(q->core, (struct x1_tm_op){.kind = X1_TM_SUBMIT, .tc = tc});
}

/* ---- fences ---- */

/*
 * A FENCE's write. Its time is known before its value can be seen: a WAIT that
 * finds the value goes on at that time, whoever of the two threads is faster.
 */
static int write_fence(struct x1_worker *w, const struct x1_tcmd *tc, uint64_t end, uint64_t *key,
		       struct x1_fault_rec *rec)
{
	struct x1_core *core = w->core;
	struct x1_fence_seen *seen;
	uint64_t *ptr;
	int ret = x1_sync_word(w, tc->vm, tc->addr, &ptr, key, rec);

	if (ret)
		return ret;
	x1_lock(core);
	/* A word that counts from the start again: what it had before is history. */
	for (unsigned int i = 0; i < X1_FENCE_LOG; i++)
		if (core->fence_log[i].key == *key && core->fence_log[i].value >= tc->value)
			core->fence_log[i] = (struct x1_fence_seen){0};
	seen = &core->fence_log[core->fence_next++ % X1_FENCE_LOG];
	*seen = (struct x1_fence_seen){*key, tc->value, end};
	x1_unlock(core);
	ret = x1_sync_store(w, tc->addr, ptr, tc->value, rec);
	if (ret) {
		x1_lock(core);
		*seen = (struct x1_fence_seen){0};
		x1_unlock(core);
	}
	return ret;
}

uint64_t x1_tm_fence_time(struct x1_core *core, uint64_t key, uint64_t value)
{
	uint64_t first = X1_NEVER;

	for (unsigned int i = 0; i < X1_FENCE_LOG; i++) {
		const struct x1_fence_seen *f = &core->fence_log[i];

		if (f->key == key && f->key && f->value >= value)
			first = x1_min64(first, f->time);
	}
	return first;
}

/* Queues that wait for this word look again; the model waits for them. Lock held. */
static void release_waiters(struct x1_core *core, uint64_t key, uint64_t value)
{
	for (uint32_t i = 0; i < X1_NUM_QUEUES; i++) {
		struct x1_queue *q = &core->queue[i];
		bool looks = q->front == X1_FRONT_EXEC && q->cur.hdr.op == X1_CMD_WAIT;

		if (q->state != X1_Q_STATE_READY || (q->front != X1_FRONT_WAIT && !looks) ||
		    q->wait_key != key || value < q->cur.sync.value)
			continue;
		if (looks) {
			/* A worker is reading the word: the model waits for what it finds. */
			q->wait_hit = true;
			x1_queue_expect(q);
			continue;
		}
		q->front = X1_FRONT_EXEC;
		x1_queue_expect(q);
		x1_queue_kick(q);
	}
}

/* ---- retiring ---- */

void x1_retire(struct x1_queue *q, bool ring, uint32_t ring_idx)
{
	atomic_fetch_add(&q->progress, 1);
	if (ring && (int32_t)(ring_idx - q->rptr) > 0)
		q->rptr = ring_idx;
}

void x1_retire_sync(struct x1_worker *w, struct x1_queue *q, struct x1_tcmd *tc, uint64_t end)
{
	struct x1_core *core = q->core;
	struct x1_fault_rec rec = {0};
	bool fault = false;
	uint64_t key = 0;

	switch (tc->op) {
	case X1_CMD_FENCE:
		fault = write_fence(w, tc, end, &key, &rec);
		break;
	case X1_CMD_TIMESTAMP: {
		uint64_t *ptr;

		fault = x1_sync_word(w, tc->vm, tc->addr, &ptr, &key, &rec) ||
			x1_sync_store(w, tc->addr, ptr, end, &rec);
		break;
	}
	case X1_CMD_PERF_END:
		x1_mem_set(&w->mem, tc->vm, X1_UNIT_CMD, NULL);
		fault = x1_mem_write(&w->mem, tc->addr, &q->perf, sizeof(q->perf), &rec);
		x1_mem_flush_dirty(&w->mem);
		break;
	case X1_CMD_LAUNCH:
		fault = tc->t.over_budget;
		if (fault)
			rec = (struct x1_fault_rec){
				.code = X1_FAULT_BUDGET,
				.unit = X1_UNIT_CMD,
				.mcu = X1_FAULT_MCU_NONE,
				.addr = tc->t.budget,
				.vm = tc->vm,
				.pc = UINT32_MAX,
			};
		break;
	default:
		break;
	}
	x1_lock(core);
	if (w->epoch == core->epoch && tc->gen == q->gen) {
		if (fault) {
			rec.tag = tc->tag;
			x1_queue_fault(q, &rec);
		} else {
			if (tc->op == X1_CMD_FENCE) {
				q->last_fence = end;
				if (tc->flags & X1_FENCE_IRQ)
					x1_irq_fence(core, q);
				release_waiters(core, key, tc->value);
			}
			x1_retire(q, tc->ring, tc->ring_idx);
			if (q->front == X1_FRONT_SYNC) {
				x1_front_done(q);
				if (!q->front_busy && (q->fetched != q->wptr || q->call_left))
					x1_queue_kick(q);
			}
		}
	}
	x1_tcmd_put(core, tc);
	x1_unlock(core);
}

static void perf_sub(struct x1_perf *a, const struct x1_perf *b)
{
	uint64_t *x = (uint64_t *)a;
	const uint64_t *y = (const uint64_t *)b;

	for (size_t i = 0; i < sizeof(*a) / sizeof(*x); i++)
		x[i] -= y[i];
}

/* Lock held, dropped meanwhile. */
static void write_back(struct x1_worker *w, struct x1_queue *q)
{
	x1_queue_pin(q);
	x1_unlock(q->core);
	x1_rptr_writeback(w, q);
	x1_lock(q->core);
	if (w->epoch == q->core->epoch)
		x1_queue_unpin(q);
}

/* The model completed a command. Lock held, dropped meanwhile. */
static void completed(struct x1_worker *w, struct x1_tcmd *tc)
{
	struct x1_core *core = w->core;
	struct x1_queue *q = tc->t.owner;

	core->tm_inflight--;
	core->energy_core_pj += tc->t.core_pj;
	core->energy_pkg_pj += tc->t.package_pj;
	if (tc->gen != q->gen) {
		x1_tcmd_put(core, tc);
		return;
	}
	q->in_model--;
	q->cycles += tc->t.end - tc->t.start;
	q->late += tc->t.late;
	if (!tc->sync) {
		x1_retire(q, tc->ring, tc->ring_idx);
		x1_tcmd_put(core, tc);
		/* The last one: nobody else comes by to write the read pointer back. */
		if (!q->in_model && q->act.rptr_addr && q->rptr_written != q->rptr)
			write_back(w, q);
		return;
	}
	if (tc->op == X1_CMD_PERF_BEGIN) {
		x1_time_perf(core->time, q->id, &q->perf_begin);
		q->perf_begin_end = tc->t.end;
	} else if (tc->op == X1_CMD_PERF_END) {
		x1_time_perf(core->time, q->id, &q->perf);
		perf_sub(&q->perf, &q->perf_begin);
		q->perf.cycles = tc->t.end - q->perf_begin_end;
	}
	if (q->state != X1_Q_STATE_READY || q->fault_pending) {
		/* Suspended: it touches no memory now. RESUME goes on here. */
		if (q->state == X1_Q_STATE_SUSPENDING || q->state == X1_Q_STATE_SUSPENDED) {
			q->held = tc;
			q->front = X1_FRONT_HELD;
		} else {
			x1_tcmd_put(core, tc);
		}
		return;
	}
	x1_queue_pin(q);
	x1_unlock(core);
	x1_retire_sync(w, q, tc, tc->t.end);
	x1_rptr_writeback(w, q);
	x1_lock(core);
	if (w->epoch == core->epoch)
		x1_queue_unpin(q);
}

/* ---- running the model ---- */

/* Replaying it may take milliseconds. */
static bool is_long(const struct x1_tcmd *tc)
{
	return tc->many || tc->one.len > LONG_TRACE;
}

static void drop_list(struct x1_core *core, struct x1_time_cmd *c)
{
	while (c) {
		struct x1_time_cmd *next = c->next;

		core->tm_inflight--;
		core->tm_long -= is_long((struct x1_tcmd *)c);
		x1_tcmd_put(core, (struct x1_tcmd *)c);
		c = next;
	}
}

/* Lock held. */
static void apply(struct x1_core *core, const struct x1_tm_op *op)
{
	struct x1_queue *q;

	switch (op->kind) {
	case X1_TM_SUBMIT:
		q = op->tc->t.owner;
		if (op->tc->gen != q->gen) {
			core->tm_inflight--;
			x1_tcmd_put(core, op->tc);
		} else if (x1_time_submit(core->time, &op->tc->t)) {
			x1_queue_pin(q);
			x1_queue_fault(q, &(struct x1_fault_rec){
						  .code = X1_FAULT_NO_MCU,
						  .unit = X1_UNIT_CMD,
						  .mcu = X1_FAULT_MCU_NONE,
						  .pc = UINT32_MAX,
						  .tag = op->tc->tag,
					  });
			x1_queue_unpin(q);
			core->tm_inflight--;
			x1_tcmd_put(core, op->tc);
		} else {
			core->tm_long += is_long(op->tc);
		}
		break;
	case X1_TM_EXPECT:
		x1_time_expect(core->time, op->queue, op->a);
		break;
	case X1_TM_UNEXPECT:
		x1_time_unexpect(core->time, op->queue);
		break;
	case X1_TM_DROP:
		drop_list(core, x1_time_drop_queue(core->time, op->queue));
		break;
	case X1_TM_INVAL:
		x1_time_invalidate(core->time, op->queue, op->a, op->b);
		break;
	case X1_TM_HEALTH:
		x1_time_set_healthy(core->time, op->queue, op->a);
		break;
	}
}

/* Lock held. */
static void apply_all(struct x1_core *core)
{
	if (core->tm_reset) {
		core->tm_reset = false;
		for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
			drop_list(core, x1_time_drop_queue(core->time, q));
		x1_time_reset(core->time);
	}
	core->tm_needed = false;
	/* By index: a fault or a drop may post more. */
	for (size_t i = 0; i < core->tm_len; i++) {
		struct x1_tm_op op = core->tm_ops[i];

		apply(core, &op);
	}
	core->tm_len = 0;
}

void x1_tm_settle(struct x1_core *core)
{
	if (core->cfg.timing)
		apply_all(core);
	/* What it brought the model to do is still to be done. */
	core->tm_needed = core->tm_inflight != 0;
}

void x1_tm_adopt(struct x1_queue *q, const struct x1_tcmd *tc)
{
	q->in_model++;
	q->core->tm_inflight++;
	q->core->tm_long += is_long(tc);
}

void x1_tm_pump(struct x1_worker *w)
{
	struct x1_core *core = w->core;

	if (!core->cfg.timing)
		return;
	x1_lock(core);
	if (core->tm_busy || atomic_load(&core->rest) ||
	    (!core->tm_len && !core->tm_reset && !core->tm_needed)) {
		x1_unlock(core);
		return;
	}
	core->tm_busy = true;
	while (!atomic_load(&core->quit)) {
		struct x1_time_cmd *done[MAX_DONE];
		unsigned int n = 0;
		bool away = false;

		apply_all(core);
		if (x1_time_tracer(core->time)->mask != core->timeline.mask)
			x1_tracer_set_mask(x1_time_tracer(core->time), core->timeline.mask);
		/* A step may take long and touches the model only: nobody waits for it. */
		if (core->tm_long) {
			away = true;
			/* Queues need not wait for it. */
			if (core->active)
				x1_wake(core, 1);
			atomic_store(&w->where, X1_WHERE_NOSPAN);
			x1_inval_check(core);
		}
		x1_unlock(core);
		/* What nobody sees outside of the model needs no lock one by one. */
		while (n < MAX_DONE && (done[n] = x1_time_next(core->time)))
			if (((struct x1_tcmd *)done[n++])->sync)
				break;
		x1_tracer_flush(x1_time_tracer(core->time));
		atomic_store_explicit(&core->clock, x1_time_now(core->time), memory_order_relaxed);
		if (away)
			x1_back(core, &w->where, X1_WHERE_NOSPAN);
		x1_lock(core);
		if (away)
			x1_mem_ack(&w->mem);
		for (unsigned int i = 0; i < n; i++) {
			struct x1_tcmd *tc = (struct x1_tcmd *)done[i];

			core->tm_long -= is_long(tc);
			completed(w, tc);
		}
		if (n) {
			if (w->epoch == core->epoch && !atomic_load(&core->rest))
				continue;
		}
		if (w->epoch != core->epoch) {
			/* This worker belongs to the time before a reset: let another go on. */
			core->tm_needed = true;
			x1_wake(core, 1);
			break;
		}
		if (atomic_load(&core->rest)) {
			core->tm_needed = true;
			break;
		}
		if (!core->tm_len && !core->tm_reset)
			break;
	}
	x1_time_power(core->time, &core->power);
	core->power_stamp = x1_now_ns();
	core->tm_busy = false;
	/* It waits for queues that have not brought their work yet. */
	if (core->tm_inflight && !core->tm_watched) {
		core->tm_watched = LAPSE_LOOKS;
		pthread_cond_signal(&core->timer_cv);
	}
	x1_unlock(core);
}

/* What the queues' workers have spent on them since the last look. Lock held. */
static void lapse_account(struct x1_core *core)
{
	for (unsigned int i = 0; i < core->num_workers; i++) {
		struct x1_worker *w = core->workers[i];
		struct timespec ts;
		uint64_t spent;

		if (clock_gettime(w->cpu_clock, &ts))
			continue;
		spent = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
		/* Not what it did for others, nor the model's own time. */
		if (w->queue && w->queue == w->cpu_queue && !core->tm_busy)
			w->queue->lapse_ns += spent - w->cpu_seen;
		w->cpu_queue = w->queue;
		w->cpu_seen = spent;
	}
}

/*
 * The model waits for a queue that makes no progress: let it go on without.
 * Equal cycles are then no longer promised, but nobody can hold up the others.
 * What counts is the processor time of the queue's workers: on a busy host they
 * may be long in coming.
 */
uint64_t x1_tm_lapse(struct x1_core *core, uint64_t now)
{
	if (!core->tm_watched)
		return X1_NEVER;
	/* It goes on for a while, so that each batch of work need not wake it. */
	core->tm_watched = core->tm_inflight ? LAPSE_LOOKS : core->tm_watched - 1;
	lapse_account(core);
	for (uint32_t i = 0; i < X1_NUM_QUEUES; i++) {
		struct x1_queue *q = &core->queue[i];
		uint64_t progress = atomic_load(&q->progress);

		if (!q->expected || q->lapse_progress != progress) {
			q->lapse_progress = progress;
			q->lapse_ns = 0;
		}
		if (q->lapse_ns >= LAPSE_NS) {
			q->lapsed = true;
			x1_queue_expect(q);
			x1_wake(core, 1);
		}
	}
	return now + LAPSE_LOOK_NS;
}

/* ---- telemetry ---- */

/* Below the nominal clock the energy of a cycle is spent over a longer one. */
struct x1_power_now x1_power_scaled(const struct x1_core *core)
{
	struct x1_power_now p = core->power;
	uint32_t steps = X1_THROTTLE_STEPS - core->throttle;
	uint32_t active = p.package_mw > core->idle_mw ? p.package_mw - core->idle_mw : 0;

	p.core_mw = (uint32_t)((uint64_t)p.core_mw * steps / X1_THROTTLE_STEPS);
	p.package_mw -= active - (uint32_t)((uint64_t)active * steps / X1_THROTTLE_STEPS);
	return p;
}

uint64_t x1_clock_now_hz(const struct x1_core *core)
{
	return core->cfg.clock_hz * (X1_THROTTLE_STEPS - core->throttle) / X1_THROTTLE_STEPS;
}

uint64_t x1_device_time_ns(struct x1_core *core)
{
	unsigned __int128 ns = x1_clock(core) - core->time_base_cycles;

	ns = ns * (X1_THROTTLE_STEPS * 1000000000ull) /
	     (core->cfg.clock_hz * (X1_THROTTLE_STEPS - core->throttle));
	return core->time_base_ns + (uint64_t)ns;
}

void x1_set_throttle(struct x1_core *core, uint32_t steps)
{
	core->time_base_ns = x1_device_time_ns(core);
	core->time_base_cycles = x1_clock(core);
	core->throttle = steps;
}

void x1_telemetry_sample(struct x1_core *core, uint64_t now)
{
	double dt = (double)(now - core->temp_stamp), target;

	if (!core->tm_inflight && now - core->power_stamp > POWER_IDLE_NS) {
		/* Nothing ran for a while: the last window's power is history. */
		core->power.core_mw = 0;
		core->power.util_permille = 0;
		core->power.package_mw = core->idle_mw;
	}
	target = TEMP_AMBIENT + TEMP_PER_MW * x1_power_scaled(core).package_mw;
	core->temp_mc += (target - core->temp_mc) * (dt / (TEMP_TAU_NS + dt));
	core->temp_stamp = now;
	if (core->inject.temp_mc >= 0)
		core->temp_mc = (double)core->inject.temp_mc;
}
