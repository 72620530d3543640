// SPDX-License-Identifier: MIT
/*
 * Saved state of the event model. The heap is not in it: each running replay
 * and each queue has at most one event, and an event's place is decided by
 * (cycle, queue, work-group) alone. Positions in traces are offsets, and only
 * starts of records are taken back.
 */
#include <stdlib.h>
#include <string.h>

#include "../x1_stream.h"
#include "x1_time_int.h"

#define TAG_TIME     X1_TAG('T', 'I', 'M', 'E')
#define TAG_MEM      X1_TAG('T', 'M', 'E', 'M')
#define TAG_LAUNCH   X1_TAG('T', 'L', 'A', 'U')
#define NO_EVENT     UINT64_MAX
#define NO_MCU       UINT32_MAX
#define MAX_TOKENS   (1u << 20)
#define MAX_RELEASES (1u << 24)

struct x1_time_cmd *x1_time_queue_head(const struct x1_time *t, uint32_t queue)
{
	return t->stream[queue].head;
}

/* ---- memory system ---- */

static void mem_save(const struct x1_memtime *m, struct x1_out *o)
{
	size_t tags = (size_t)m->sets * X1_L2_WAYS, tlb = (size_t)X1_TLB_SETS * X1_TLB_WAYS;
	uint32_t used = 0;

	x1_put_u32(o, TAG_MEM);
	x1_put_u64(o, m->l2.free);
	x1_put_u64(o, m->hbm.free);
	x1_put_u64(o, m->pcie.free);
	x1_put_u64(o, m->stamp);
	for (size_t i = 0; i < tags; i++)
		used += m->tags[i].key != 0;
	x1_put_u32(o, used);
	for (size_t i = 0; i < tags; i++) {
		if (!m->tags[i].key)
			continue;
		x1_put_u32(o, (uint32_t)i);
		x1_put(o, &m->tags[i], sizeof(m->tags[i]));
	}
	used = 0;
	for (size_t i = 0; i < tlb; i++)
		used += m->tlb[i].key != 0;
	x1_put_u32(o, used);
	for (size_t i = 0; i < tlb; i++) {
		if (!m->tlb[i].key)
			continue;
		x1_put_u32(o, (uint32_t)i);
		x1_put(o, &m->tlb[i], sizeof(m->tlb[i]));
	}
}

static void mem_load(struct x1_memtime *m, struct x1_in *in)
{
	uint32_t tags = m->sets * X1_L2_WAYS, tlb = X1_TLB_SETS * X1_TLB_WAYS, n;

	x1_get_tag(in, TAG_MEM, "memory model");
	m->l2.free = x1_get_u64(in);
	m->hbm.free = x1_get_u64(in);
	m->pcie.free = x1_get_u64(in);
	m->stamp = x1_get_u64(in);
	n = x1_get_max(in, tags, "L2 tags");
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		uint32_t at = x1_get_max(in, tags - 1, "L2 tag");

		x1_get(in, &m->tags[at], sizeof(m->tags[at]));
	}
	n = x1_get_max(in, tlb, "TLB");
	for (uint32_t i = 0; i < n && !in->bad; i++) {
		uint32_t at = x1_get_max(in, tlb - 1, "TLB entry");

		x1_get(in, &m->tlb[at], sizeof(m->tlb[at]));
	}
}

/* ---- replays ---- */

static void replay_save(const struct x1_replay *r, const struct x1_trace *tr, struct x1_out *o)
{
	x1_put_u32(o, r->wg);
	x1_put_u32(o, r->state);
	x1_put_u64(o, r->time);
	x1_put_u64(o, r->start);
	x1_put_u64(o, (uint64_t)(r->pos - tr->buf));
	x1_put_u64(o, r->seq);
	x1_put(o, r->busy, sizeof(r->busy));
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
		const struct x1_rengine *en = &r->engine[e];

		x1_put_u32(o, en->count);
		for (uint32_t i = 0; i < en->count; i++) {
			const struct x1_issued *is = &en->queue[(en->head + i) % X1_ENGINE_QUEUE];

			x1_put_u64(o, (uint64_t)((const uint8_t *)is->rec - tr->buf));
			x1_put_u64(o, is->time);
		}
		x1_put_u64(o, en->free);
		x1_put_u64(o, en->done);
		x1_put_u32(o, en->fmt);
		x1_put_u32(o, en->used);
	}
	for (unsigned int s = 0; s < X1_NUM_SEMS; s++) {
		const struct x1_tokens *tk = &r->sem[s];

		x1_put_u32(o, tk->count);
		for (uint32_t i = 0; i < tk->count; i++)
			x1_put_u64(o, tk->time[(tk->head + i) % tk->cap]);
	}
}

static void tokens_load(struct x1_tokens *tk, struct x1_in *in)
{
	uint32_t n = x1_get_max(in, MAX_TOKENS, "tokens of a semaphore");

	if (n > in->left / sizeof(uint64_t))
		x1_in_bad(in, "tokens of a semaphore");
	if (in->bad)
		return;
	if (n > tk->cap) {
		uint64_t *bigger = realloc(tk->time, n * sizeof(*bigger));

		if (!bigger) {
			x1_in_bad(in, "out of memory");
			return;
		}
		tk->time = bigger;
		tk->cap = n;
	}
	tk->head = 0;
	tk->count = n;
	x1_get(in, tk->time, n * sizeof(uint64_t));
}

static void replay_load(struct x1_replay *r, const struct x1_trace *tr, struct x1_in *in)
{
	struct x1_trace_marks *marks;
	uint64_t pos;

	r->state = x1_get_max(in, X1_REPLAY_DONE, "state of a replay");
	r->time = x1_get_u64(in);
	r->start = x1_get_u64(in);
	pos = x1_get_u64(in);
	r->seq = x1_get_u64(in);
	x1_get(in, r->busy, sizeof(r->busy));
	marks = x1_trace_marks_new(tr);
	if (!marks) {
		x1_in_bad(in, "out of memory");
		return;
	}
	if (pos != tr->len && !x1_trace_at(marks, pos))
		x1_in_bad(in, "position of a replay");
	r->end = tr->buf + tr->len;
	r->pos = in->bad ? r->end : tr->buf + pos;
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
		struct x1_rengine *en = &r->engine[e];
		uint32_t n = x1_get_max(in, X1_ENGINE_QUEUE, "engine of a replay");

		*en = (struct x1_rengine){0};
		while (en->count < n && !in->bad) {
			const struct x1_tr_hdr *rec = x1_trace_at(marks, x1_get_u64(in));

			if (!rec || rec->kind != X1_TR_ENGINE) {
				x1_in_bad(in, "engine of a replay");
				break;
			}
			en->queue[en->count++] = (struct x1_issued){(const void *)rec,
								    x1_get_u64(in)};
		}
		en->free = x1_get_u64(in);
		en->done = x1_get_u64(in);
		en->fmt = (uint16_t)x1_get_max(in, UINT16_MAX, "format");
		en->used = x1_get_bool(in);
	}
	x1_trace_marks_free(marks);
	for (unsigned int s = 0; s < X1_NUM_SEMS; s++)
		tokens_load(&r->sem[s], in);
	if (!in->bad && r->state == X1_REPLAY_WAITGE &&
	    (r->pos == r->end || ((const struct x1_tr_hdr *)r->pos)->kind != X1_TR_WAITGE))
		x1_in_bad(in, "position of a replay");
}

/* ---- launches ---- */

static uint64_t event_of(const struct x1_time *t, uint32_t queue, const struct x1_replay *r)
{
	for (uint32_t i = 0; i < t->heap_len; i++)
		if (t->heap[i].queue == queue && t->heap[i].replay == r)
			return t->heap[i].time;
	return NO_EVENT;
}

static void launch_save(const struct x1_time *t, const struct x1_time_launch *l, struct x1_out *o)
{
	x1_put_u32(o, TAG_LAUNCH);
	x1_put_u64(o, l->ready);
	x1_put_u64(o, l->last_dispatch);
	x1_put_u64(o, l->last_end);
	x1_put_u64(o, l->barrier_time);
	x1_put_u32(o, l->next_wg);
	x1_put_u32(o, l->at_barrier);
	x1_put_u32(o, l->num_releases);
	for (uint32_t i = 0; i < l->num_releases; i++)
		x1_put(o, &l->releases[i], sizeof(l->releases[i]));
	x1_put_u32(o, l->running);
	for (uint32_t m = 0; m < t->p.mcus; m++) {
		const struct slot *s = t->slot_of_mcu[m];

		if (!s || s->replay.launch != l)
			continue;
		x1_put_u32(o, m);
		x1_put_u64(o, event_of(t, l->cmd->queue, &s->replay));
		replay_save(&s->replay, &l->cmd->wg[s->replay.wg], o);
	}
	for (const struct slot *s = (const struct slot *)l->waiting; s; s = s->next)
		x1_put_u32(o, s->replay.mcu);
	x1_put_u32(o, NO_MCU);
}

static void add_event(struct x1_time *t, uint64_t time, uint32_t queue, uint32_t wg,
		      struct x1_replay *r)
{
	/* There is room: an event per MCU and per queue. */
	t->heap[t->heap_len++] =
		(struct event){.time = time, .queue = queue, .wg = wg, .replay = r};
}

static void slot_load(struct x1_time *t, struct x1_time_launch *l, struct x1_in *in)
{
	struct x1_time_cmd *cmd = l->cmd;
	uint32_t mcu = x1_get_max(in, t->p.mcus - 1, "MCU"), wg;
	uint64_t at = x1_get_u64(in);
	struct slot *s;

	wg = x1_get_u32(in);
	if (in->bad || t->slot_of_mcu[mcu] || wg >= l->next_wg) {
		x1_in_bad(in, "running work-group");
		return;
	}
	s = x1_time_slot_get(t);
	if (!s) {
		x1_in_bad(in, "out of memory");
		return;
	}
	s->next = NULL;
	s->replay.launch = l;
	s->replay.wg = wg;
	s->replay.mcu = mcu;
	t->slot_of_mcu[mcu] = s;
	t->free_mcu[mcu / 64] &= ~(1ull << mcu % 64);
	l->running++;
	replay_load(&s->replay, &cmd->wg[wg], in);
	if (at != NO_EVENT)
		add_event(t, at, cmd->queue, wg, &s->replay);
	else if (s->replay.state != X1_REPLAY_WAITGE && s->replay.state != X1_REPLAY_GRIDBAR)
		x1_in_bad(in, "event of a work-group");
}

static void waiting_load(struct x1_time *t, struct x1_time_launch *l, struct x1_in *in)
{
	struct x1_replay **tail = &l->waiting;
	uint32_t mcu, left = l->running;

	while ((mcu = x1_get_u32(in)) != NO_MCU && !in->bad) {
		struct slot *s = mcu < t->p.mcus ? t->slot_of_mcu[mcu] : NULL;

		if (!s || !left-- || s->replay.launch != l || s->replay.state != X1_REPLAY_WAITGE ||
		    event_of(t, l->cmd->queue, &s->replay) != NO_EVENT) {
			x1_in_bad(in, "waiting work-group");
			return;
		}
		/* Twice in the list it would be a ring. */
		for (struct slot *w = (struct slot *)l->waiting; w; w = w->next)
			if (w == s) {
				x1_in_bad(in, "waiting work-group");
				return;
			}
		*tail = &s->replay;
		tail = (struct x1_replay **)&s->next;
	}
}

/* Everybody who is not about to go on waits in the list, or at the barrier. */
static bool launch_whole(const struct x1_time *t, const struct x1_time_launch *l)
{
	uint32_t idle = 0, barrier = 0;

	for (uint32_t m = 0; m < t->p.mcus; m++) {
		const struct slot *s = t->slot_of_mcu[m];

		if (!s || s->replay.launch != l ||
		    event_of(t, l->cmd->queue, &s->replay) != NO_EVENT)
			continue;
		idle++;
		barrier += s->replay.state == X1_REPLAY_GRIDBAR;
	}
	for (const struct slot *s = (const struct slot *)l->waiting; s; s = s->next)
		idle--;
	return idle == barrier && barrier == l->at_barrier &&
	       (l->running || l->next_wg < l->cmd->num_wgs);
}

static void launch_load(struct x1_time *t, struct x1_time_cmd *cmd, struct x1_in *in)
{
	struct x1_time_launch *l = x1_time_launch_get(t);
	uint32_t n;

	if (!l) {
		x1_in_bad(in, "out of memory");
		return;
	}
	t->launches[cmd->queue] = l;
	l->t = t;
	l->cmd = cmd;
	x1_get_tag(in, TAG_LAUNCH, "launch in the event model");
	l->ready = x1_get_u64(in);
	l->last_dispatch = x1_get_u64(in);
	l->last_end = x1_get_u64(in);
	l->barrier_time = x1_get_u64(in);
	l->next_wg = x1_get_max(in, cmd->num_wgs, "next work-group");
	l->at_barrier = x1_get_max(in, t->p.mcus, "barrier");
	n = x1_get_max(in, MAX_RELEASES, "releases");
	if (n > in->left / sizeof(*l->releases))
		x1_in_bad(in, "releases");
	if (n && !in->bad) {
		free(l->releases);
		l->releases = malloc(n * sizeof(*l->releases));
		l->cap_releases = l->releases ? n : 0;
		if (!l->releases)
			x1_in_bad(in, "out of memory");
		else if (x1_get(in, l->releases, n * sizeof(*l->releases)))
			l->num_releases = n;
	}
	n = x1_get_max(in, t->p.mcus, "running work-groups");
	for (uint32_t i = 0; i < n && !in->bad; i++)
		slot_load(t, l, in);
	waiting_load(t, l, in);
	if (!in->bad && !launch_whole(t, l))
		x1_in_bad(in, "launch in the event model");
	if (l->next_wg < cmd->num_wgs)
		t->pending |= 1ull << cmd->queue;
}

/* ---- queues ---- */

static void stream_save(const struct x1_time *t, uint32_t queue, struct x1_out *o)
{
	const struct stream *st = &t->stream[queue];

	x1_put_u64(o, st->now);
	x1_put_u64(o, st->expect_at);
	x1_put_u64(o, st->overlap_from);
	x1_put(o, &st->perf, sizeof(st->perf));
	x1_put(o, &st->total, sizeof(st->total));
	x1_put_u32(o, st->started);
	x1_put_u64(o, st->piece_row);
	x1_put_u64(o, st->piece_off);
	x1_put_u64(o, event_of(t, queue, NULL));
	x1_put_u32(o, t->launches[queue] != NULL);
	if (t->launches[queue])
		launch_save(t, t->launches[queue], o);
}

static void stream_load(struct x1_time *t, uint32_t queue, struct x1_time_cmd *list,
			struct x1_in *in)
{
	struct stream *st = &t->stream[queue];
	struct x1_time_cmd *head = list;
	uint64_t at;
	bool launch, copy;

	st->head = list;
	for (st->tail = list; st->tail && st->tail->next;)
		st->tail = st->tail->next;
	st->now = x1_get_u64(in);
	st->expect_at = x1_get_u64(in);
	st->overlap_from = x1_get_u64(in);
	x1_get(in, &st->perf, sizeof(st->perf));
	x1_get(in, &st->total, sizeof(st->total));
	st->started = x1_get_bool(in);
	st->piece_row = x1_get_u64(in);
	st->piece_off = x1_get_u64(in);
	at = x1_get_u64(in);
	launch = x1_get_bool(in);
	if (in->bad)
		return;
	/* What happens next is either the command itself or something of its launch. */
	copy = head && (head->op == X1_CMD_COPY || head->op == X1_CMD_FILL);
	if ((head && !launch) != (at != NO_EVENT) || (!head && st->started) ||
	    launch != (head && st->started && head->op == X1_CMD_LAUNCH) ||
	    (head && st->started && !launch && !copy) ||
	    (copy && st->started &&
	     (st->piece_row >= head->write.count || st->piece_off >= head->write.bytes))) {
		x1_in_bad(in, "queue in the event model");
		return;
	}
	for (struct x1_time_cmd *c = list; c; c = c->next) {
		c->state = NULL;
		if (c->op != X1_CMD_LAUNCH || (c == head && launch))
			continue;
		c->state = x1_time_launch_get(t);
		if (!c->state) {
			x1_in_bad(in, "out of memory");
			return;
		}
	}
	if (at != NO_EVENT)
		add_event(t, at, queue, NO_WG, NULL);
	if (launch)
		launch_load(t, head, in);
}

void x1_time_save(const struct x1_time *t, struct x1_out *o)
{
	x1_put_u32(o, TAG_TIME);
	x1_put_u64(o, t->now);
	x1_put_u64(o, t->expecting);
	x1_put_u32(o, t->next_queue);
	x1_put(o, t->healthy, sizeof(t->healthy));
	x1_put_u64(o, t->window_start);
	x1_put_u64(o, t->window_core_pj);
	x1_put_u64(o, t->window_pkg_pj);
	x1_put_u64(o, t->window_mcu_cycles);
	x1_put(o, &t->power, sizeof(t->power));
	x1_put(o, t->mcu_perf, t->p.mcus * sizeof(*t->mcu_perf));
	mem_save(&t->mem, o);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		stream_save(t, q, o);
}

static int by_order(const void *a, const void *b)
{
	return x1_time_before(a, b) ? -1 : x1_time_before(b, a);
}

bool x1_time_load(struct x1_time *t, struct x1_time_cmd *const heads[X1_NUM_QUEUES],
		  struct x1_in *in)
{
	uint64_t was = t->now;

	if (x1_time_reserve(t)) {
		x1_in_bad(in, "out of memory");
		/* The commands are the model's all the same. */
		for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
			t->stream[q].head = heads[q];
		return false;
	}
	x1_get_tag(in, TAG_TIME, "event model");
	t->now = x1_get_u64(in);
	t->expecting = x1_get_u64(in);
	t->next_queue = x1_get_max(in, X1_NUM_QUEUES - 1, "queue's turn");
	x1_get(in, t->healthy, sizeof(t->healthy));
	t->window_start = x1_get_u64(in);
	t->window_core_pj = x1_get_u64(in);
	t->window_pkg_pj = x1_get_u64(in);
	t->window_mcu_cycles = x1_get_u64(in);
	x1_get(in, &t->power, sizeof(t->power));
	x1_get(in, t->mcu_perf, t->p.mcus * sizeof(*t->mcu_perf));
	mem_load(&t->mem, in);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		stream_load(t, q, heads[q], in);
	/* Sorted is a heap. */
	qsort(t->heap, t->heap_len, sizeof(*t->heap), by_order);
	if (!in->bad)
		return true;
	t->now = was;
	t->mem.l2.free = t->mem.hbm.free = t->mem.pcie.free = 0;
	return false;
}
