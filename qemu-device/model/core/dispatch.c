// SPDX-License-Identifier: MIT
/*
 * Workers: take work from the queues, highest priority first and in turn
 * inside a priority, and give the work-groups of a LAUNCH out in rising order.
 *
 * A work-group that waits (WAITGE, grid barrier) leaves its worker and keeps
 * its storage. It may wait for lower indices only, and those were given out
 * before it, so MAX_PARKED bounds the storage of an ordinary grid without any
 * danger of deadlock. A cooperative grid needs all of its work-groups at once
 * and gets as many MCUs as it has work-groups, or waits for them.
 */
#include <stdlib.h>
#include <string.h>

#include "x1_int.h"

#define MAX_PARKED 16
#define MAX_POOL   16
#define SPIN_NS    20000ull /* before an idle worker sleeps */
#define POLL_FIRST 2000ull  /* ns between two looks at parked work-groups */
#define POLL_MAX   200000ull

/* ---- storage ---- */

static void unit_free(struct x1_unit_run *u)
{
	if (!u)
		return;
	x1_wg_free(u->wg);
	x1_trace_free(&u->trace);
	free(u);
}

/* Lock held. */
static void unit_put(struct x1_core *core, struct x1_unit_run *u)
{
	u->next = core->unit_pool;
	core->unit_pool = u;
	core->num_pool++;
}

/* Without the lock, as storage is large: a unit that nobody's data is left in. */
static struct x1_unit_run *unit_get(struct x1_worker *w)
{
	struct x1_core *core = w->core;
	struct x1_unit_run *u = w->unit, *extra = NULL;
	uint64_t vm_gen;

	w->unit = NULL;
	x1_lock(core);
	vm_gen = core->vm_gen;
	if (!u && core->unit_pool) {
		u = core->unit_pool;
		core->unit_pool = u->next;
		core->num_pool--;
	}
	if (core->num_pool > MAX_POOL) {
		extra = core->unit_pool;
		core->unit_pool = extra->next;
		core->num_pool--;
	}
	x1_unlock(core);
	unit_free(extra);
	if (u && u->vm_gen != vm_gen) {
		/* A VM's number may have a new owner. */
		x1_wg_free(u->wg);
		u->wg = NULL;
	}
	if (!u)
		u = calloc(1, sizeof(*u));
	if (u && !u->wg)
		u->wg = x1_wg_new();
	if (u && !u->wg) {
		unit_free(u);
		return NULL;
	}
	if (u)
		u->vm_gen = vm_gen;
	return u;
}

/* The worker's own storage, where it can be taken as it is. Lock held. */
static struct x1_unit_run *unit_own(struct x1_worker *w)
{
	struct x1_unit_run *u = w->unit;

	if (!u || u->vm_gen != w->core->vm_gen || w->core->num_pool > MAX_POOL)
		return NULL;
	w->unit = NULL;
	return u;
}

void x1_units_free(struct x1_core *core)
{
	while (core->unit_pool) {
		struct x1_unit_run *u = core->unit_pool;

		core->unit_pool = u->next;
		unit_free(u);
	}
	core->num_pool = 0;
}

/* ---- launches ---- */

struct x1_launch *x1_launch_new(struct x1_core *core)
{
	struct x1_launch *l = core->launch_pool;

	if (l)
		core->launch_pool = l->free_next;
	else
		l = malloc(sizeof(*l));
	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->refs = 1;
	return l;
}

void x1_launch_put(struct x1_core *core, struct x1_launch *l)
{
	if (--l->refs)
		return;
	if (l->tc)
		x1_tcmd_put(core, l->tc);
	x1_prog_put(l->prog);
	l->free_next = core->launch_pool;
	core->launch_pool = l;
}

void x1_coop_release(struct x1_core *core, struct x1_launch *l)
{
	if (!l->coop_reserved)
		return;
	core->coop_free += l->coop_reserved;
	l->coop_reserved = 0;
	for (uint64_t left = core->active; left; left &= left - 1) {
		struct x1_queue *q = &core->queue[__builtin_ctzll(left)];

		if (q->front == X1_FRONT_COOP)
			q->next_poll = 0;
	}
	x1_wake(core, 1);
}

static void list_put(struct x1_core *core, struct x1_unit_run *u)
{
	while (u) {
		struct x1_unit_run *next = u->next;

		unit_put(core, u);
		u = next;
	}
}

void x1_launch_drop(struct x1_queue *q)
{
	struct x1_launch *l = q->launch;

	if (!l)
		return;
	q->launch = NULL;
	atomic_store(&l->stop, 1);
	list_put(q->core, l->parked_list);
	list_put(q->core, l->stopped_list);
	l->parked_list = l->stopped_list = NULL;
	x1_coop_release(q->core, l);
	x1_launch_put(q->core, l);
}

uint32_t x1_healthy_in(const struct x1_core *core, uint32_t first, uint32_t count)
{
	uint32_t n = 0, end = count ? first + count : core->cfg.mcus;

	if (core->num_healthy == core->cfg.mcus)
		return end - first;
	for (uint32_t m = first; m < end; m++)
		n += core->healthy[m / 64] >> m % 64 & 1;
	return n;
}

/* The MCU of a work-group: healthy ones of the partition in turn. Lock held. */
static uint32_t mcu_of(const struct x1_core *core, const struct x1_launch *l, uint32_t index)
{
	uint32_t n, end = l->first_mcu + l->num_mcus;

	if (core->num_healthy == core->cfg.mcus)
		return l->first_mcu + index % l->num_mcus;
	n = x1_healthy_in(core, l->first_mcu, l->num_mcus);
	if (!n)
		return l->first_mcu; /* quarantined meanwhile; the LAUNCH had started */
	n = index % n;
	for (uint32_t m = l->first_mcu; m < end; m++)
		if (core->healthy[m / 64] >> m % 64 & 1 && !n--)
			return m;
	return l->first_mcu;
}

/* Into a list by rising index. */
static void list_add(struct x1_unit_run **p, struct x1_unit_run *u)
{
	while (*p && (*p)->index < u->index)
		p = &(*p)->next;
	u->next = *p;
	*p = u;
}

static struct x1_unit_run *poll_due(struct x1_launch *l, bool take)
{
	struct x1_unit_run **p = &l->parked_list, *u;

	while (*p && (*p)->round == l->round)
		p = &(*p)->next;
	u = *p;
	if (u && take) {
		*p = u->next;
		l->parked--;
	}
	return u;
}

static bool fresh_ok(const struct x1_launch *l)
{
	return l->next < l->total && (l->grid.cooperative || l->parked < MAX_PARKED);
}

/* Something a worker could do for the launch now, or *poll = when to look again. */
static bool launch_has_work(const struct x1_launch *l, uint64_t now, uint64_t *poll)
{
	if (atomic_load(&l->stop))
		return false;
	if (l->stopped_list || fresh_ok(l) || poll_due((struct x1_launch *)l, false))
		return true;
	if (!l->parked_list)
		return false;
	if (now >= l->next_poll)
		return true;
	*poll = x1_min64(*poll, l->next_poll);
	return false;
}

/*
 * The next work-group to run. NULL with *fresh: a new one, number l->next - 1,
 * to be started in storage of the worker. Lock held.
 */
static struct x1_unit_run *take(struct x1_queue *q, struct x1_launch *l, uint64_t now, bool *fresh)
{
	struct x1_unit_run *u = l->stopped_list;

	*fresh = false;
	if (u) {
		l->stopped_list = u->next;
		return u;
	}
	if (!l->grid.cooperative) {
		u = poll_due(l, true);
		if (u)
			return u;
	}
	if (fresh_ok(l)) {
		l->next++;
		*fresh = true;
		return NULL;
	}
	u = poll_due(l, true);
	if (u || !l->parked_list || now < l->next_poll)
		return u;
	/* A new round over those that wait. */
	if (l->round_progress)
		l->backoff = POLL_FIRST;
	else
		l->backoff = x1_min64(l->backoff ? l->backoff * 2 : POLL_FIRST, POLL_MAX);
	if (!l->round_progress && !l->running && !l->stalled && l->backoff > POLL_FIRST) {
		l->stalled = true;
		x1_queue_expect(q);
	}
	l->round_progress = false;
	l->round++;
	l->next_poll = now + l->backoff;
	return poll_due(l, true);
}

/* A worker keeps one unit for its next work-group. */
static void give_back(struct x1_worker *w, struct x1_unit_run *u)
{
	if (w->unit)
		unit_put(w->core, u);
	else
		w->unit = u;
}

static void progressed(struct x1_queue *q, struct x1_launch *l)
{
	l->round_progress = true;
	l->backoff = 0;
	if (l->stalled) {
		l->stalled = false;
		x1_queue_expect(q);
	}
}

/* A work-group came back from its MCU. Lock held. */
static void came_back(struct x1_worker *w, struct x1_queue *q, struct x1_launch *l,
		      struct x1_unit_run *u, enum x1_wg_status status, struct x1_trace *trace)
{
	struct x1_core *core = q->core;
	struct x1_fault_rec rec;

	l->running--;
	if (w->epoch != core->epoch || q->launch != l) {
		give_back(w, u);
		return;
	}
	switch (status) {
	case X1_WG_DONE:
		give_back(w, u);
		l->done++;
		l->round++;
		progressed(q, l);
		atomic_fetch_add(&q->progress, 1);
		q->lapse_ns = 0;
		if (l->done == l->total)
			x1_launch_complete(q, l);
		break;
	case X1_WG_PARKED:
		if (trace->len != u->trace_len)
			progressed(q, l);
		u->trace_len = trace->len;
		u->round = l->round;
		list_add(&l->parked_list, u);
		l->parked++;
		break;
	case X1_WG_STOPPED:
		if (w->mem.trace_full) {
			rec = (struct x1_fault_rec){
				.code = X1_FAULT_WATCHDOG,
				.unit = X1_UNIT_SEQ,
				.mcu = w->mem.mcu,
				.vm = l->grid.vm,
				.pc = UINT32_MAX,
				.tag = l->tag,
				.wg = u->index,
			};
			give_back(w, u);
			x1_queue_fault(q, &rec);
			break;
		}
		list_add(&l->stopped_list, u);
		break;
	case X1_WG_FAULT:
		rec = *x1_wg_fault(u->wg);
		rec.tag = l->tag;
		rec.wg = u->index;
		rec.mcu = w->mem.mcu;
		give_back(w, u);
		x1_queue_fault(q, &rec);
		break;
	}
}

/* A work-group that its MCU does not run. Lock held. */
static void not_run(struct x1_worker *w, struct x1_queue *q, struct x1_launch *l, uint32_t code,
		    uint32_t mcu, uint32_t index)
{
	l->running--;
	if (w->epoch != q->core->epoch || q->launch != l)
		return;
	x1_queue_fault(q, &(struct x1_fault_rec){
				  .code = code,
				  .unit = X1_UNIT_SEQ,
				  .mcu = mcu,
				  .vm = l->grid.vm,
				  .pc = UINT32_MAX,
				  .tag = l->tag,
				  .wg = index,
			  });
}

/* Should the worker look at the other queues? Lock held. */
static bool others_wait(const struct x1_core *core, const struct x1_queue *q)
{
	return core->active & ~(1ull << q->id) || core->tm_needed;
}

void x1_launch_run(struct x1_worker *w, struct x1_queue *q)
{
	struct x1_core *core = q->core;
	struct x1_launch *l = w->epoch == core->epoch ? q->launch : NULL;

	if (!l)
		return;
	l->refs++;
	while (w->epoch == core->epoch && q->launch == l && !atomic_load(&l->stop)) {
		struct x1_trace *trace;
		enum x1_wg_status status;
		uint32_t index, mcu;
		bool fresh;
		struct x1_unit_run *u = take(q, l, l->parked_list ? x1_now_ns() : 0, &fresh);

		if (!u && !fresh)
			break;
		l->running++;
		index = fresh ? l->next - 1 : u->index;
		mcu = mcu_of(core, l, index);
		if (fresh)
			u = unit_own(w);
		x1_unlock(core);
		if (fresh) {
			if (!u)
				u = unit_get(w);
			if (!u) {
				x1_lock(core);
				not_run(w, q, l, X1_FAULT_NO_MCU, mcu, index);
				break;
			}
			u->index = index;
			u->mcu = mcu;
			u->trace_len = 0;
		}
		trace = !l->tc ? &u->trace : l->tc->many ? &l->tc->many[index] : &l->tc->one;
		if (u->mcu == (uint64_t)atomic_load(&core->inject.stuck)) {
			x1_lock(core);
			not_run(w, q, l, X1_FAULT_INJECTED, u->mcu, index);
			give_back(w, u);
			break;
		}
		if (fresh)
			x1_wg_begin(u->wg, &l->grid, index, mcu, trace);
		x1_mem_set(&w->mem, l->grid.vm, X1_UNIT_SEQ, &l->stop);
		w->mem.mcu = u->mcu;
		w->mem.wrong = u->mcu == (uint64_t)atomic_load(&core->inject.wrong);
		w->mem.trace = l->grid.trace ? trace : NULL;
		status = x1_wg_run(u->wg, &w->mem);
		x1_mem_flush_dirty(&w->mem);
		x1_lock(core);
		came_back(w, q, l, u, status, trace);
		if (others_wait(core, q))
			break;
		if (atomic_load(&core->inv_gen) != atomic_load(&w->seen))
			x1_mem_ack(&w->mem);
		if (atomic_load(&core->pause))
			break;
	}
	x1_launch_put(core, l);
}

/* ---- workers ---- */

enum task {
	TASK_NONE,
	TASK_FRONT,
	TASK_LAUNCH,
	TASK_PUMP,
};

/* What a queue has for a worker. Lock held. */
static enum task look(struct x1_core *core, struct x1_queue *q, uint64_t now, uint64_t *poll)
{
	if (q->state != X1_Q_STATE_READY || q->fault_pending || q->hung) {
		core->active &= ~(1ull << q->id);
		return TASK_NONE;
	}
	switch (q->front) {
	case X1_FRONT_LAUNCH:
		return q->launch && launch_has_work(q->launch, now, poll) ? TASK_LAUNCH : TASK_NONE;
	case X1_FRONT_WAIT:
	case X1_FRONT_COOP:
		if (q->front_busy)
			return TASK_NONE;
		if (now >= q->next_poll)
			return TASK_FRONT;
		*poll = x1_min64(*poll, q->next_poll);
		return TASK_NONE;
	case X1_FRONT_EXEC:
	case X1_FRONT_HELD:
		return q->front_busy ? TASK_NONE : TASK_FRONT;
	case X1_FRONT_NONE:
		if (q->front_busy)
			return TASK_NONE;
		if (q->call_left || (q->wptr != q->fetched && !(core->gate >> q->id & 1)))
			return TASK_FRONT;
		break;
	case X1_FRONT_SYNC:
		break;
	}
	if (!q->front_busy)
		core->active &= ~(1ull << q->id);
	return TASK_NONE;
}

/* Lock held. *poll: host time at which to look again if there is nothing now. */
static enum task pick(struct x1_core *core, struct x1_queue **out, uint64_t *poll)
{
	uint64_t left = core->active, now = left ? x1_now_ns() : 0;

	*poll = X1_NEVER;
	for (unsigned int p = X1_NUM_PRIORITIES; left && p-- > 0;) {
		uint64_t mine = 0, order;

		for (uint64_t l = left; l; l &= l - 1)
			if (core->queue[__builtin_ctzll(l)].act.priority == p)
				mine |= l & -l;
		left &= ~mine;
		order = mine & ~0ull << core->turn[p];
		for (unsigned int half = 0; half < 2;
		     half++, order = mine & ~(~0ull << core->turn[p]))
			for (; order; order &= order - 1) {
				struct x1_queue *q = &core->queue[__builtin_ctzll(order)];
				enum task t = look(core, q, now, poll);

				if (t == TASK_NONE)
					continue;
				core->turn[p] = (q->id + 1) % X1_NUM_QUEUES;
				*out = q;
				return t;
			}
	}
	return core->tm_needed && !core->tm_busy ? TASK_PUMP : TASK_NONE;
}

void x1_wake(struct x1_core *core, unsigned int n)
{
	atomic_fetch_add(&core->work_seq, 1);
	n = n > core->spinners ? n - core->spinners : 0;
	if (n > core->sleepers)
		n = core->sleepers;
	while (n--)
		pthread_cond_signal(&core->work_cv);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Nothing to do: look around for a moment, then sleep. Lock held. */
static void idle(struct x1_worker *w, uint64_t poll)
{
	struct x1_core *core = w->core;
	uint32_t seq = atomic_load(&core->work_seq);

	atomic_store(&w->where, X1_WHERE_NOSPAN);
	x1_inval_check(core);
	pthread_cond_broadcast(&core->state_cv);
	if (!core->spinners && !atomic_load(&core->pause)) {
		uint64_t until = x1_min64(x1_now_ns() + SPIN_NS, poll);

		core->spinners++;
		x1_unlock(core);
		while (atomic_load_explicit(&core->work_seq, memory_order_acquire) == seq &&
		       !atomic_load_explicit(&core->pause, memory_order_relaxed) &&
		       x1_now_ns() < until)
			for (unsigned int i = 0; i < 16; i++)
				cpu_relax();
		x1_lock(core);
		core->spinners--;
	}
	if (atomic_load(&core->work_seq) == seq && !atomic_load(&core->quit)) {
		core->sleepers++;
		x1_cv_wait(core, &core->work_cv, poll);
		core->sleepers--;
	}
	x1_unlock(core);
	x1_rest(core, &w->where);
	x1_lock(core);
	x1_mem_ack(&w->mem);
}

_Thread_local bool x1_is_worker;

static void launch_task(struct x1_worker *w, struct x1_queue *q)
{
	x1_lock(w->core);
	x1_launch_run(w, q);
	x1_unlock(w->core);
}

static void *worker_main(void *arg)
{
	struct x1_worker *w = arg;
	struct x1_core *core = w->core;

	x1_is_worker = true;
	if (core->ops.thread_enter)
		core->ops.thread_enter(core->host);
	x1_rest(core, &w->where);
	x1_lock(core);
	while (!atomic_load(&core->quit)) {
		struct x1_queue *q = NULL, *kicked = w->kicked;
		uint64_t poll;
		enum task task;

		if (atomic_load(&core->pause)) {
			x1_unlock(core);
			x1_away(core, &w->where, X1_WHERE_NOSPAN);
			x1_rest(core, &w->where);
			x1_lock(core);
			continue;
		}
		w->epoch = core->epoch;
		x1_mem_ack(&w->mem);
		task = pick(core, &q, &poll);
		/* Another queue's turn: somebody else is to look at this one. */
		w->kicked = NULL;
		if (kicked && kicked != q)
			x1_wake(core, 1);
		if (task == TASK_NONE) {
			idle(w, poll);
			continue;
		}
		if (q)
			x1_queue_pin(q);
		if (task == TASK_FRONT)
			q->front_busy = true;
		w->busy = true;
		w->queue = q;
		x1_unlock(core);
		if (task == TASK_FRONT)
			x1_front_run(w, q);
		else if (task == TASK_LAUNCH)
			launch_task(w, q);
		if (task != TASK_FRONT)
			x1_tm_pump(w);
		if (q)
			x1_rptr_writeback(w, q);
		x1_mem_flush_dirty(&w->mem);
		x1_lock(core);
		w->busy = false;
		w->queue = NULL;
		if (q && w->epoch == core->epoch) {
			if (task == TASK_FRONT) {
				q->front_busy = false;
				w->kicked = q->kicked ? q : NULL;
				q->kicked = false;
			}
			x1_queue_unpin(q);
		}
	}
	atomic_store(&w->where, X1_WHERE_NOSPAN);
	x1_unlock(core);
	if (core->ops.thread_exit)
		core->ops.thread_exit(core->host);
	return NULL;
}

/* Deadlines that no worker waits for: coalesced interrupts, lapsed expectations. */
static void *timer_main(void *arg)
{
	struct x1_core *core = arg;

	if (core->ops.thread_enter)
		core->ops.thread_enter(core->host);
	x1_lock(core);
	while (!atomic_load(&core->quit)) {
		uint64_t now = x1_now_ns(), next;

		if (atomic_load(&core->pause)) {
			x1_cv_wait(core, &core->park_cv, X1_NEVER);
			continue;
		}
		next = x1_min64(x1_irq_timer(core, now), x1_tm_lapse(core, now));
		x1_cv_wait(core, &core->timer_cv, next);
	}
	x1_unlock(core);
	if (core->ops.thread_exit)
		core->ops.thread_exit(core->host);
	return NULL;
}

void x1_workers_start(struct x1_core *core)
{
	if (!core->timer_started && !pthread_create(&core->timer, NULL, timer_main, core))
		core->timer_started = true;
	while (core->num_workers < core->want_workers) {
		struct x1_worker *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);

		if (!w)
			break;
		memset(w, 0, sizeof(*w));
		w->core = core;
		w->id = core->num_workers;
		atomic_store(&w->where, X1_WHERE_NOSPAN);
		x1_mem_init(&w->mem, w);
		if (pthread_create(&w->thread, NULL, worker_main, w)) {
			free(w);
			break;
		}
		pthread_getcpuclockid(w->thread, &w->cpu_clock);
		core->workers[core->num_workers++] = w;
	}
	if (!core->num_workers)
		x1_log(core, X1_LOGL_WARN, "cannot start worker threads");
}

void x1_workers_stop(struct x1_core *core)
{
	x1_lock(core);
	atomic_store(&core->quit, true);
	pthread_cond_broadcast(&core->work_cv);
	pthread_cond_broadcast(&core->park_cv);
	pthread_cond_broadcast(&core->timer_cv);
	atomic_fetch_add(&core->work_seq, 1);
	x1_unlock(core);
	for (unsigned int i = 0; i < core->num_workers; i++) {
		pthread_join(core->workers[i]->thread, NULL);
		unit_free(core->workers[i]->unit);
		free(core->workers[i]);
	}
	core->num_workers = 0;
	if (core->timer_started)
		pthread_join(core->timer, NULL);
	core->timer_started = false;
}
