// SPDX-License-Identifier: MIT
/*
 * Event model: command streams, dispatch of work-groups to MCUs, and the
 * global order of memory requests (see x1_time.h).
 *
 * One heap holds what happens next, ordered by (cycle, queue, work-group):
 * a command's start or next piece, a work-group's next memory request or end.
 */
#include "x1_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "x1_time_int.h"

#define COPY_PIECE (64u << 10) /* bytes served at once, so that others get between */

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- event heap ---- */

bool x1_time_before(const struct event *a, const struct event *b)
{
	if (a->time != b->time)
		return a->time < b->time;
	if (a->queue != b->queue)
		return a->queue < b->queue;
	return a->wg < b->wg;
}

static int heap_reserve(struct x1_time *t, uint32_t n)
{
	struct event *bigger;

	if (t->heap_len + n <= t->heap_cap)
		return 0;
	bigger = realloc(t->heap, (size_t)(t->heap_cap * 2 + n) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	t->heap = bigger;
	t->heap_cap = t->heap_cap * 2 + n;
	return 0;
}

/* An event per MCU and per queue is all that can be pending. */
int x1_time_reserve(struct x1_time *t)
{
	return heap_reserve(t, t->p.mcus + X1_NUM_QUEUES);
}

/* Room was reserved when the command was submitted. */
static void push(struct x1_time *t, struct event ev)
{
	uint32_t i = t->heap_len++;

	while (i && x1_time_before(&ev, &t->heap[(i - 1) / 2])) {
		t->heap[i] = t->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	t->heap[i] = ev;
}

static void sift_down(struct x1_time *t, uint32_t i, struct event ev)
{
	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= t->heap_len)
			break;
		if (c + 1 < t->heap_len && x1_time_before(&t->heap[c + 1], &t->heap[c]))
			c++;
		if (!x1_time_before(&t->heap[c], &ev))
			break;
		t->heap[i] = t->heap[c];
		i = c;
	}
	t->heap[i] = ev;
}

static struct event pop(struct x1_time *t)
{
	struct event top = t->heap[0];
	struct event last = t->heap[--t->heap_len];

	if (t->heap_len)
		sift_down(t, 0, last);
	return top;
}

/* Drop a queue's events and restore the heap. */
static void heap_drop_queue(struct x1_time *t, uint32_t queue)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->heap_len; i++)
		if (t->heap[i].queue != queue)
			t->heap[n++] = t->heap[i];
	t->heap_len = n;
	for (uint32_t i = n / 2; i-- > 0;)
		sift_down(t, i, t->heap[i]);
}

static void push_cmd(struct x1_time *t, uint32_t queue, uint64_t time)
{
	push(t, (struct event){.time = time, .queue = queue, .wg = NO_WG});
}

static void push_wg(struct x1_time *t, struct x1_replay *r)
{
	push(t, (struct event){
			.time = max64(r->time, t->now),
			.queue = r->launch->cmd->queue,
			.wg = r->wg,
			.replay = r,
		});
}

/* ---- MCUs ---- */

/* Lowest free healthy MCU of a partition, or -1. */
static int find_mcu(const struct x1_time *t, uint32_t first, uint32_t count)
{
	uint32_t end = count ? first + count : t->p.mcus;

	for (uint32_t w = first / 64; w < HEALTH_WORDS && w * 64 < end; w++) {
		uint64_t bits = t->free_mcu[w] & t->healthy[w];

		if (w == first / 64)
			bits &= ~0ull << first % 64;
		if (bits) {
			uint32_t mcu = w * 64 + (uint32_t)__builtin_ctzll(bits);

			return mcu < end ? (int)mcu : -1;
		}
	}
	return -1;
}

struct slot *x1_time_slot_get(struct x1_time *t)
{
	struct slot *s = t->free_slots;

	if (s) {
		t->free_slots = s->next;
	} else {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		if (x1_replay_init(&s->replay)) {
			free(s);
			return NULL;
		}
	}
	return s;
}

static void slot_put(struct x1_time *t, struct slot *s)
{
	s->next = t->free_slots;
	t->free_slots = s;
}

static void mcu_release(struct x1_time *t, uint32_t mcu)
{
	slot_put(t, t->slot_of_mcu[mcu]);
	t->slot_of_mcu[mcu] = NULL;
	t->free_mcu[mcu / 64] |= 1ull << mcu % 64;
}

/* ---- launches ---- */

static void launch_release(struct x1_time_launch *l, uint64_t dva, uint64_t value, bool add,
			   uint64_t time)
{
	if (add) {
		/* The sum so far is the latest entry's value. */
		for (uint32_t i = l->num_releases; i-- > 0;) {
			if (l->releases[i].dva == dva) {
				value += l->releases[i].value;
				time = max64(time, l->releases[i].time);
				break;
			}
		}
	}
	if (l->num_releases == l->cap_releases) {
		uint32_t cap = l->cap_releases ? l->cap_releases * 2 : 64;
		struct release *bigger = realloc(l->releases, cap * sizeof(*bigger));

		if (!bigger)
			return;
		l->releases = bigger;
		l->cap_releases = cap;
	}
	l->releases[l->num_releases++] = (struct release){dva, value, time};
	while (l->waiting) {
		struct slot *s = (struct slot *)l->waiting;

		l->waiting = s->next ? &s->next->replay : NULL;
		push_wg(l->t, &s->replay);
	}
}

/* Values from before the launch are not known here: see launch_unblock(). */
static bool launch_reached(struct x1_time_launch *l, uint64_t dva, uint64_t value, uint64_t *time)
{
	for (uint32_t i = 0; i < l->num_releases; i++) {
		if (l->releases[i].dva == dva && l->releases[i].value >= value) {
			*time = l->releases[i].time;
			return true;
		}
	}
	return false;
}

static void dispatch(struct x1_time *t);

struct x1_time_launch *x1_time_launch_get(struct x1_time *t)
{
	struct x1_time_launch *l = t->free_launches;

	if (!l)
		return calloc(1, sizeof(*l));
	t->free_launches = l->next_free;
	*l = (struct x1_time_launch){.releases = l->releases, .cap_releases = l->cap_releases};
	return l;
}

static void launch_put(struct x1_time *t, struct x1_time_launch *l)
{
	if (!l)
		return;
	l->next_free = t->free_launches;
	t->free_launches = l;
}

/* The queue's launch is over. */
static void launch_over(struct x1_time *t, uint32_t queue)
{
	launch_put(t, t->launches[queue]);
	t->launches[queue] = NULL;
	t->pending &= ~(1ull << queue);
}

/* Take the launch's work-groups off their MCUs. */
static void launch_kill(struct x1_time *t, uint32_t queue)
{
	heap_drop_queue(t, queue);
	for (uint32_t m = 0; m < t->p.mcus; m++)
		if (t->slot_of_mcu[m] && t->slot_of_mcu[m]->replay.launch == t->launches[queue])
			mcu_release(t, m);
	launch_over(t, queue);
}

static void power_account(struct x1_time *t, const struct x1_time_cmd *cmd, uint64_t mcu_cycles)
{
	const uint64_t window = t->p.clock_hz / 1000; /* one modelled millisecond */
	uint64_t span;

	t->window_core_pj += cmd->core_pj;
	t->window_pkg_pj += cmd->package_pj;
	t->window_mcu_cycles += mcu_cycles;
	span = cmd->end - t->window_start;
	if (cmd->end < t->window_start || span < window)
		return;
	/* pJ / cycles * Hz = pW; / 1e9 = mW. Doubles: reports only. */
	t->power.core_mw =
		(uint32_t)((double)t->window_core_pj / (double)span * (double)t->p.clock_hz / 1e9);
	t->power.package_mw =
		(uint32_t)((double)t->window_pkg_pj / (double)span * (double)t->p.clock_hz / 1e9 +
			   (double)t->energy.idle_mw);
	t->power.util_permille =
		(uint32_t)(t->window_mcu_cycles * 1000 / ((uint64_t)t->p.mcus * span));
	t->window_start = cmd->end;
	t->window_core_pj = t->window_pkg_pj = t->window_mcu_cycles = 0;
}

/* Add to the sum; the next command counts from zero. */
static void perf_move(struct x1_perf *restrict sum, struct x1_perf *restrict p)
{
	uint64_t *restrict s = (uint64_t *)sum;
	uint64_t *restrict a = (uint64_t *)p;

	for (size_t i = 0; i < sizeof(*p) / sizeof(*a); i++) {
		s[i] += a[i];
		a[i] = 0;
	}
}

static void trace_cmd(struct x1_time *t, uint32_t queue, const struct x1_time_cmd *cmd)
{
	enum x1_tl_kind kind = cmd->op == X1_CMD_LAUNCH                           ? X1_TL_LAUNCH
			       : cmd->op == X1_CMD_COPY || cmd->op == X1_CMD_FILL ? X1_TL_COPY
										  : X1_TL_CMD;

	if (x1_tracing(&t->tracer, kind) && (kind != X1_TL_CMD || cmd->end != cmd->start))
		x1_tracer_put(&t->tracer, x1_tl_event(kind, queue, X1_TL_MCU_NONE, cmd->start,
						      cmd->end - cmd->start,
						      kind == X1_TL_CMD ? cmd->op : cmd->tag));
}

/* When the head command of a stream can start. */
static uint64_t earliest(const struct x1_time *t, const struct stream *st)
{
	return max64(max64(st->now, t->now), max64(st->head->arrival, st->head->after));
}

/* The head command of a queue ends at `end`; start the next. */
static void finish(struct x1_time *t, uint32_t queue, uint64_t end)
{
	struct stream *st = &t->stream[queue];
	struct x1_time_cmd *cmd = st->head;

	cmd->end = end;
	st->perf.cycles = end - cmd->start;
	st->perf.late_arrivals = cmd->late;
	x1_energy_account(&t->energy, &st->perf);
	cmd->core_pj = st->perf.energy_core_pj;
	cmd->package_pj = st->perf.energy_package_pj;
	power_account(t, cmd, st->perf.mcu_cycles);
	perf_move(&st->total, &st->perf);
	trace_cmd(t, queue, cmd);
	st->now = end;
	st->started = false;
	st->head = cmd->next;
	if (!st->head)
		st->tail = NULL;
	cmd->next = NULL;
	t->finished = cmd;
	if (st->head)
		push_cmd(t, queue, earliest(t, st));
}

static void launch_end(struct x1_time *t, struct x1_time_launch *l)
{
	uint32_t queue = l->cmd->queue;
	uint64_t end = l->last_end;

	t->stream[queue].overlap_from = l->last_dispatch;
	launch_over(t, queue);
	finish(t, queue, end);
}

static void launch_over_budget(struct x1_time *t, struct x1_time_launch *l)
{
	struct x1_time_cmd *cmd = l->cmd;

	cmd->over_budget = true;
	launch_kill(t, cmd->queue);
	finish(t, cmd->queue, cmd->start + cmd->budget);
	dispatch(t);
}

static struct x1_replay_env replay_env(struct x1_time *t, struct x1_time_launch *l)
{
	return (struct x1_replay_env){
		.mem = &t->mem,
		.perf = &t->stream[l->cmd->queue].perf,
		.vm = l->cmd->vm,
		.release = launch_release,
		.reached = launch_reached,
		.tracer = &t->tracer,
		.queue = l->cmd->queue,
	};
}

/*
 * The launch's running work-groups all wait for a value: it was in memory
 * before the launch, or was written by something that leaves no release.
 */
static void launch_unblock(struct x1_time *t, struct x1_time_launch *l)
{
	struct slot *s = (struct slot *)l->waiting;
	const struct x1_tr_seq *rec;

	if (!s)
		return;
	for (uint32_t i = 0; i < t->heap_len; i++)
		if (t->heap[i].queue == l->cmd->queue)
			return;
	rec = (const void *)s->replay.pos;
	launch_release(l, rec->dva, rec->value, false, s->replay.time);
}

/* One thread writes; readers want each number whole, not all of one moment. */
static void count(uint64_t *sum, uint64_t n)
{
	__atomic_store_n(sum, *sum + n, __ATOMIC_RELAXED);
}

static void count_mcu(struct x1_mcu_perf *p, const struct x1_replay *r)
{
	count(&p->work_groups, 1);
	count(&p->cycles, r->time - r->start);
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
		count(&p->busy[e], r->busy[e]);
}

static void replay_step(struct x1_time *t, struct x1_replay *r)
{
	struct x1_time_launch *l = r->launch;
	struct x1_replay_env env = replay_env(t, l);

	if (r->state == X1_REPLAY_DONE) {
		l->last_end = max64(l->last_end, r->time);
		env.perf->mcu_cycles += r->time - r->start;
		count_mcu(&t->mcu_perf[r->mcu], r);
		if (x1_tracing(&t->tracer, X1_TL_WG))
			x1_tracer_put(&t->tracer, x1_tl_event(X1_TL_WG, l->cmd->queue, r->mcu,
							      r->start, r->time - r->start, r->wg));
		l->running--;
		mcu_release(t, r->mcu);
		if (l->next_wg == l->cmd->num_wgs && !l->running) {
			launch_end(t, l);
			dispatch(t);
		} else {
			dispatch(t);
			launch_unblock(t, l);
		}
		return;
	}
	r->time = max64(r->time, t->now);
	x1_replay_run(r, &env);
	switch (r->state) {
	case X1_REPLAY_WAITGE: {
		struct slot *s = (struct slot *)r;

		s->next = (struct slot *)l->waiting;
		l->waiting = r;
		launch_unblock(t, l);
		break;
	}
	case X1_REPLAY_GRIDBAR:
		l->barrier_time = max64(l->barrier_time, r->time);
		if (++l->at_barrier < l->cmd->num_wgs)
			break;
		for (uint32_t m = 0; m < t->p.mcus; m++) {
			struct slot *s = t->slot_of_mcu[m];

			if (!s || s->replay.launch != l || s->replay.state != X1_REPLAY_GRIDBAR)
				continue;
			x1_replay_barrier_done(&s->replay, &env, l->barrier_time);
			push_wg(t, &s->replay);
		}
		l->at_barrier = 0;
		break;
	default:
		push_wg(t, r);
		break;
	}
}

/* Give the launch's next work-group to a free MCU; false when there is none. */
static bool dispatch_one(struct x1_time *t, struct x1_time_launch *l)
{
	struct x1_time_cmd *cmd = l->cmd;
	int mcu = find_mcu(t, cmd->mcu_first, cmd->mcu_count);
	uint32_t wg = l->next_wg;
	struct slot *s;
	uint64_t start;

	if (mcu < 0)
		return false;
	s = x1_time_slot_get(t);
	if (!s)
		return false;
	start = max64(t->now, l->ready + wg / X1_WG_PER_CYCLE);
	t->free_mcu[mcu / 64] &= ~(1ull << mcu % 64);
	t->slot_of_mcu[mcu] = s;
	s->next = NULL;
	s->replay.launch = l;
	s->replay.wg = wg;
	s->replay.mcu = (uint32_t)mcu;
	x1_replay_begin(&s->replay, &cmd->wg[wg], start);
	t->stream[cmd->queue].perf.instructions += cmd->wg[wg].instructions;
	l->last_dispatch = start;
	if (++l->next_wg == cmd->num_wgs)
		t->pending &= ~(1ull << cmd->queue);
	l->running++;
	push_wg(t, &s->replay);
	return true;
}

/* The first of `queues` at or after next_queue, in turn. */
static uint32_t next_in_turn(const struct x1_time *t, uint64_t queues)
{
	uint64_t later = queues & ~0ull << t->next_queue;

	return (uint32_t)__builtin_ctzll(later ? later : queues);
}

/* Free MCUs go to the highest priority, inside one to the queues in turn. */
static void dispatch(struct x1_time *t)
{
	uint64_t tried = 0;

	while (t->pending & ~tried) {
		uint64_t best = 0;
		uint32_t prio = 0, q;

		for (uint64_t left = t->pending & ~tried; left; left &= left - 1) {
			uint32_t p;

			q = (uint32_t)__builtin_ctzll(left);
			p = t->launches[q]->cmd->priority;
			if (!best || p > prio) {
				best = 0;
				prio = p;
			}
			if (p == prio)
				best |= 1ull << q;
		}
		q = next_in_turn(t, best);
		if (dispatch_one(t, t->launches[q]))
			t->next_queue = (q + 1) % X1_NUM_QUEUES;
		else
			tried |= 1ull << q;
	}
}

static void launch_start(struct x1_time *t, struct stream *st, uint32_t queue)
{
	struct x1_time_cmd *cmd = st->head;
	struct x1_time_launch *l = cmd->state;
	uint64_t ready = cmd->start + X1_LAUNCH_CYCLES;

	/* Overlap: the start-up ran while the previous grid's tail did. */
	if (cmd->flags & X1_LAUNCH_OVERLAP && st->overlap_from)
		ready = max64(cmd->start, st->overlap_from + X1_LAUNCH_CYCLES);
	cmd->state = NULL;
	st->perf.launches = 1;
	st->perf.work_groups = cmd->num_wgs;
	l->t = t;
	l->cmd = cmd;
	l->ready = l->last_end = l->last_dispatch = ready;
	t->launches[queue] = l;
	t->pending |= 1ull << queue;
	dispatch(t);
}

/* ---- other commands ---- */

static struct x1_tr_extent piece_of(const struct x1_tr_extent *ext, uint64_t row, uint64_t off,
				    uint32_t len)
{
	return (struct x1_tr_extent){
		.dva = ext->dva + (uint64_t)ext->step * row + off,
		.bytes = len,
		.count = 1,
		.system = ext->system,
	};
}

/* One piece of a COPY or FILL; the next follows when its bandwidth is used up. */
static void copy_step(struct x1_time *t, struct stream *st, uint32_t queue)
{
	struct x1_time_cmd *cmd = st->head;
	uint64_t row_bytes = cmd->write.bytes;
	uint64_t left = row_bytes - st->piece_off;
	uint32_t len = left < COPY_PIECE ? (uint32_t)left : COPY_PIECE;
	struct x1_tr_extent ext = piece_of(&cmd->write, st->piece_row, st->piece_off, len);
	struct x1_mem_time wr = x1_memtime_access(&t->mem, t->now, cmd->vm, &ext, 1, X1_USE_WRITE,
						  &st->perf);
	uint64_t free = wr.bandwidth_done;
	uint64_t latency = wr.latency;

	if (cmd->read.count) {
		struct x1_mem_time rd;

		ext = piece_of(&cmd->read, st->piece_row, st->piece_off, len);
		rd = x1_memtime_access(&t->mem, t->now, cmd->vm, &ext, 1, X1_USE_READ, &st->perf);
		free = max64(free, rd.bandwidth_done);
		latency += rd.latency;
	}
	st->piece_off += len;
	if (st->piece_off == row_bytes) {
		st->piece_off = 0;
		st->piece_row++;
	}
	if (st->piece_row == cmd->write.count)
		finish(t, queue, free + latency);
	else
		push_cmd(t, queue, free);
}

static void cmd_event(struct x1_time *t, uint32_t queue)
{
	struct stream *st = &t->stream[queue];
	struct x1_time_cmd *cmd = st->head;

	if (!cmd)
		return;
	if (!st->started) {
		st->started = true;
		cmd->start = t->now;
		st->piece_row = st->piece_off = 0;
	}
	if (cmd->op != X1_CMD_LAUNCH)
		st->overlap_from = 0;
	switch (cmd->op) {
	case X1_CMD_LAUNCH:
		launch_start(t, st, queue);
		break;
	case X1_CMD_COPY:
	case X1_CMD_FILL:
		if (cmd->write.count && cmd->write.bytes)
			copy_step(t, st, queue);
		else
			finish(t, queue, t->now);
		break;
	case X1_CMD_FENCE:
	case X1_CMD_TIMESTAMP:
		finish(t, queue, t->now + X1_FENCE_CYCLES);
		break;
	case X1_CMD_FLUSH: {
		uint64_t end = t->now;

		if (cmd->flags & X1_FLUSH_L2)
			end = x1_memtime_flush(&t->mem, t->now, &st->perf);
		if (cmd->flags & X1_FLUSH_TLB)
			x1_memtime_flush_tlb(&t->mem);
		finish(t, queue, end);
		break;
	}
	default:
		finish(t, queue, t->now);
		break;
	}
}

/* ---- public ---- */

struct x1_time *x1_time_new(const struct x1_time_params *params)
{
	struct x1_time *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->p = *params;
	t->slot_of_mcu = calloc(params->mcus, sizeof(struct slot *));
	t->mcu_perf = calloc(params->mcus, sizeof(*t->mcu_perf));
	if (!t->slot_of_mcu || !t->mcu_perf || x1_memtime_init(&t->mem, params)) {
		free(t->slot_of_mcu);
		free(t->mcu_perf);
		free(t);
		return NULL;
	}
	x1_energy_init(&t->energy, params);
	t->power.package_mw = (uint32_t)t->energy.idle_mw;
	for (uint32_t m = 0; m < params->mcus; m++) {
		t->free_mcu[m / 64] |= 1ull << m % 64;
		t->healthy[m / 64] |= 1ull << m % 64;
	}
	return t;
}

void x1_time_reset(struct x1_time *t)
{
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++) {
		x1_time_drop_queue(t, q);
		t->stream[q] = (struct stream){.now = t->now};
	}
	t->heap_len = 0;
	x1_memtime_reset(&t->mem);
}

void x1_time_free(struct x1_time *t)
{
	if (!t)
		return;
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		x1_time_drop_queue(t, q);
	while (t->free_slots) {
		struct slot *s = t->free_slots;

		t->free_slots = s->next;
		x1_replay_fini(&s->replay);
		free(s);
	}
	while (t->free_launches) {
		struct x1_time_launch *l = t->free_launches;

		t->free_launches = l->next_free;
		free(l->releases);
		free(l);
	}
	x1_memtime_fini(&t->mem);
	x1_tracer_fini(&t->tracer);
	free(t->slot_of_mcu);
	free(t->mcu_perf);
	free(t->heap);
	free(t);
}

void x1_time_expect(struct x1_time *t, uint32_t queue, uint64_t earliest)
{
	t->expecting |= 1ull << queue;
	t->stream[queue].expect_at = earliest;
}

void x1_time_unexpect(struct x1_time *t, uint32_t queue)
{
	t->expecting &= ~(1ull << queue);
}

int x1_time_submit(struct x1_time *t, struct x1_time_cmd *cmd)
{
	struct stream *st = &t->stream[cmd->queue];

	if (x1_time_reserve(t))
		return -ENOMEM;
	cmd->state = NULL;
	if (cmd->op == X1_CMD_LAUNCH) {
		cmd->state = x1_time_launch_get(t);
		if (!cmd->state)
			return -ENOMEM;
	}
	cmd->over_budget = false;
	cmd->late = cmd->arrival && max64(cmd->arrival, st->now) < t->now;
	cmd->next = NULL;
	x1_time_unexpect(t, cmd->queue);
	if (st->tail) {
		st->tail->next = cmd;
	} else {
		st->head = cmd;
		push_cmd(t, cmd->queue, earliest(t, st));
	}
	st->tail = cmd;
	return 0;
}

/* Cycle up to which events may run: the first work that is still to come. */
static uint64_t horizon(const struct x1_time *t)
{
	uint64_t h = UINT64_MAX;

	for (uint64_t left = t->expecting; left; left &= left - 1) {
		const struct stream *st = &t->stream[__builtin_ctzll(left)];

		if (!st->head) {
			uint64_t at = max64(st->now, st->expect_at);

			h = at < h ? at : h;
		}
	}
	return h;
}

struct x1_time_cmd *x1_time_next(struct x1_time *t)
{
	uint64_t limit = horizon(t);

	while (t->heap_len && t->heap[0].time < limit &&
	       !(t->interrupt && atomic_load_explicit(t->interrupt, memory_order_relaxed))) {
		struct event ev = pop(t);
		struct x1_time_launch *l = t->launches[ev.queue];
		struct x1_time_cmd *done;

		t->now = max64(t->now, ev.time);
		if (l && l->cmd->budget && t->now > l->cmd->start + l->cmd->budget)
			launch_over_budget(t, l);
		else if (ev.replay)
			replay_step(t, ev.replay);
		else
			cmd_event(t, ev.queue);
		done = t->finished;
		t->finished = NULL;
		if (done)
			return done;
	}
	return NULL;
}

struct x1_time_cmd *x1_time_drop_queue(struct x1_time *t, uint32_t queue)
{
	struct stream *st = &t->stream[queue];
	struct x1_time_cmd *list = st->head;

	if (t->launches[queue])
		launch_kill(t, queue);
	else
		heap_drop_queue(t, queue);
	for (struct x1_time_cmd *c = list; c; c = c->next) {
		launch_put(t, c->state);
		c->state = NULL;
	}
	st->head = st->tail = NULL;
	st->started = false;
	memset(&st->perf, 0, sizeof(st->perf));
	x1_time_unexpect(t, queue);
	st->now = max64(st->now, t->now);
	dispatch(t);
	return list;
}

void x1_time_interrupt(struct x1_time *t, const _Atomic uint32_t *flag)
{
	t->interrupt = flag;
}

bool x1_time_expects(const struct x1_time *t, uint32_t queue)
{
	return t->expecting >> queue & 1;
}

uint64_t x1_time_now(const struct x1_time *t)
{
	return t->now;
}

uint64_t x1_time_queue_now(const struct x1_time *t, uint32_t queue)
{
	return t->stream[queue].now;
}

void x1_time_invalidate(struct x1_time *t, uint32_t vm, uint64_t dva, uint64_t len)
{
	x1_memtime_invalidate(&t->mem, vm, dva, len);
}

void x1_time_set_healthy(struct x1_time *t, uint32_t mcu, bool healthy)
{
	if (mcu >= t->p.mcus)
		return;
	if (healthy)
		t->healthy[mcu / 64] |= 1ull << mcu % 64;
	else
		t->healthy[mcu / 64] &= ~(1ull << mcu % 64);
	dispatch(t);
}

void x1_time_perf(const struct x1_time *t, uint32_t queue, struct x1_perf *perf)
{
	*perf = t->stream[queue].total;
}

void x1_time_mcu_perf(const struct x1_time *t, uint32_t mcu, struct x1_mcu_perf *perf)
{
	const struct x1_mcu_perf *p = &t->mcu_perf[mcu];

	perf->work_groups = __atomic_load_n(&p->work_groups, __ATOMIC_RELAXED);
	perf->cycles = __atomic_load_n(&p->cycles, __ATOMIC_RELAXED);
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
		perf->busy[e] = __atomic_load_n(&p->busy[e], __ATOMIC_RELAXED);
}

struct x1_tracer *x1_time_tracer(struct x1_time *t)
{
	return &t->tracer;
}

void x1_time_power(const struct x1_time *t, struct x1_power_now *now)
{
	*now = t->power;
}
