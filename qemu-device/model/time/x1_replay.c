// SPDX-License-Identifier: MIT
/*
 * Replay of a work-group (see x1_replay.h).
 *
 * The sequencer and the four engines are five clocks. At each step the one
 * that can start first goes on (ties: sequencer, then engines in their order),
 * so tokens appear in the order of their cause and a semaphore's waiters get
 * them earliest first.
 */
#include "x1_replay.h"

#include <stdlib.h>
#include <string.h>

#include "x1/x1_limits.h"

#define NEVER        UINT64_MAX
#define FIRST_TOKENS 16

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static const struct x1_tr_extent *extents(const void *rec, size_t size)
{
	return (const struct x1_tr_extent *)((const uint8_t *)rec + size);
}

int x1_replay_init(struct x1_replay *r)
{
	memset(r, 0, sizeof(*r));
	for (unsigned int s = 0; s < X1_NUM_SEMS; s++) {
		r->sem[s].time = malloc(FIRST_TOKENS * sizeof(uint64_t));
		if (!r->sem[s].time) {
			x1_replay_fini(r);
			return -1;
		}
		r->sem[s].cap = FIRST_TOKENS;
	}
	return 0;
}

void x1_replay_fini(struct x1_replay *r)
{
	for (unsigned int s = 0; s < X1_NUM_SEMS; s++)
		free(r->sem[s].time);
	memset(r->sem, 0, sizeof(r->sem));
}

void x1_replay_begin(struct x1_replay *r, const struct x1_trace *trace, uint64_t start)
{
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++) {
		struct x1_rengine *en = &r->engine[e];

		/* What its queue holds beyond count is never read. */
		en->head = en->count = 0;
		en->free = en->done = start;
		en->room = 0;
		en->fmt = 0;
		en->used = false;
	}
	for (unsigned int s = 0; s < X1_NUM_SEMS; s++)
		r->sem[s].head = r->sem[s].count = 0;
	r->pos = trace->buf;
	r->end = trace->buf + trace->len;
	r->seq = r->start = r->time = start;
	r->state = X1_REPLAY_REQUEST;
	memset(r->busy, 0, sizeof(r->busy));
}

static uint64_t token_at(const struct x1_tokens *s, uint32_t i)
{
	return s->time[(s->head + i) % s->cap];
}

static void token_put(struct x1_tokens *s, uint64_t time)
{
	uint32_t i;

	if (s->count == s->cap) {
		uint64_t *bigger = malloc((size_t)s->cap * 2 * sizeof(*bigger));

		/* Out of memory: the oldest token stands for the new one as well. */
		if (!bigger)
			return;
		for (i = 0; i < s->count; i++)
			bigger[i] = token_at(s, i);
		free(s->time);
		s->time = bigger;
		s->cap *= 2;
		s->head = 0;
	}
	for (i = s->count++; i && token_at(s, i - 1) > time; i--)
		s->time[(s->head + i) % s->cap] = token_at(s, i - 1);
	s->time[(s->head + i) % s->cap] = time;
}

/* Cycle at which both waits are satisfied, NEVER if a token is missing. */
static uint64_t tokens_ready(const struct x1_replay *r, const uint8_t wait[2])
{
	uint64_t ready = 0;

	for (unsigned int i = 0; i < 2; i++) {
		const struct x1_tokens *s;
		uint32_t nth = 0;

		if (!wait[i])
			continue;
		s = &r->sem[X1_SEM_INDEX(wait[i]) % X1_NUM_SEMS];
		if (i == 1 && wait[1] == wait[0])
			nth = 1;
		if (s->count <= nth)
			return NEVER;
		ready = max64(ready, token_at(s, nth));
	}
	return ready;
}

static void tokens_take(struct x1_replay *r, const uint8_t wait[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		struct x1_tokens *s = &r->sem[X1_SEM_INDEX(wait[i]) % X1_NUM_SEMS];

		if (!wait[i] || !s->count)
			continue;
		s->head = (s->head + 1) % s->cap;
		s->count--;
	}
}

static void tokens_signal(struct x1_replay *r, const uint8_t sig[2], uint64_t time)
{
	for (unsigned int i = 0; i < 2; i++)
		if (sig[i])
			token_put(&r->sem[X1_SEM_INDEX(sig[i]) % X1_NUM_SEMS], time);
}

/* When the engine's head could start, or NEVER. */
static uint64_t engine_ready(const struct x1_replay *r, unsigned int e)
{
	const struct x1_rengine *en = &r->engine[e];
	const struct x1_issued *head = &en->queue[en->head];
	uint64_t ready;

	if (!en->count)
		return NEVER;
	ready = tokens_ready(r, head->rec->wait);
	if (ready == NEVER)
		return NEVER;
	return max64(ready, max64(head->time, en->free));
}

/* Engine e stood still from cycle `from` on. */
static void engine_stall(const struct x1_replay *r, const struct x1_replay_env *env, unsigned int e,
			 enum x1_stall why, uint64_t from, uint64_t cycles)
{
	env->perf->stall[e][why] += cycles;
	if (cycles && why != X1_STALL_EMPTY && x1_tracing(env->tracer, X1_TL_STALL))
		x1_tracer_put(env->tracer, x1_tl_event(X1_TL_STALL, env->queue, r->mcu, from,
						       cycles, e | (uint32_t)why << 8));
}

static void seq_stall(const struct x1_replay *r, const struct x1_replay_env *env, enum x1_stall why,
		      uint64_t from, uint64_t cycles)
{
	engine_stall(r, env, X1_ENGINE_SEQ, why, from, cycles);
}

/* Start the head of engine e at cycle t. */
static void engine_start(struct x1_replay *r, const struct x1_replay_env *env, unsigned int e,
			 uint64_t t)
{
	struct x1_rengine *en = &r->engine[e];
	struct x1_issued head = en->queue[en->head];
	const struct x1_tr_engine *rec = head.rec;
	struct x1_perf *perf = env->perf;
	uint64_t latency = 0;

	if (t > en->free) {
		uint64_t idle_till = head.time > en->free ? head.time : en->free;

		engine_stall(r, env, e, X1_STALL_EMPTY, en->free, idle_till - en->free);
		engine_stall(r, env, e, X1_STALL_SEM, idle_till, t - idle_till);
	}
	if (en->count == X1_ENGINE_QUEUE)
		en->room = t;
	en->head = (en->head + 1) % X1_ENGINE_QUEUE;
	en->count--;
	tokens_take(r, rec->wait);

	if (e == X1_ENGINE_MATRIX) {
		if (en->used && en->fmt != rec->fmt) {
			engine_stall(r, env, e, X1_STALL_SWITCH, t, X1_MM_SWITCH_CYCLES);
			if (x1_tracing(env->tracer, X1_TL_SWITCH))
				x1_tracer_put(env->tracer,
					      x1_tl_event(X1_TL_SWITCH, env->queue, r->mcu, t,
							  X1_MM_SWITCH_CYCLES, rec->fmt));
			perf->format_switches++;
			t += X1_MM_SWITCH_CYCLES;
		}
		en->used = true;
		en->fmt = rec->fmt;
		latency = X1_MM_LATENCY;
		/* A product of two formats runs, and is paid, as the slower one. */
		perf->macs[x1_format_rate(rec->fmt & 0xff) <= x1_format_rate(rec->fmt >> 8)
				   ? rec->fmt & 0xff
				   : rec->fmt >> 8] += rec->macs;
	} else if (e == X1_ENGINE_VECTOR) {
		latency = X1_VEC_LATENCY;
	}
	perf->busy[e] += rec->cycles;
	r->busy[e] += rec->cycles;
	if (x1_tracing(env->tracer, X1_TL_BUSY))
		x1_tracer_put(env->tracer,
			      x1_tl_event(X1_TL_BUSY, env->queue, r->mcu, t, rec->cycles, e));
	en->free = t + rec->cycles;
	if (rec->hdr.num_extents) {
		enum x1_mem_use use = rec->flags & X1_TR_F_PREFETCH ? X1_USE_PREFETCH
				      : rec->flags & X1_TR_F_WRITE  ? X1_USE_WRITE
								    : X1_USE_READ;
		struct x1_mem_time mt = x1_memtime_access(env->mem, t, env->vm,
							  extents(rec, sizeof(*rec)),
							  rec->hdr.num_extents, use, perf);

		if (use != X1_USE_PREFETCH) {
			if (mt.bandwidth_done > en->free) {
				engine_stall(r, env, e, mt.cause, en->free,
					     mt.bandwidth_done - en->free);
				en->free = mt.bandwidth_done;
			}
			latency = mt.latency;
		}
	}
	if (rec->flags & X1_TR_F_PREFETCH)
		perf->prefetch_bytes += rec->local_bytes;
	else if (e == X1_ENGINE_LOAD)
		perf->bytes_load += rec->local_bytes;
	else if (e == X1_ENGINE_STORE)
		perf->bytes_store += rec->local_bytes;
	en->done = max64(en->done, en->free + latency);
	/* In order to the end: no signal overtakes an earlier one of its engine. */
	tokens_signal(r, rec->sig, en->done);
}

static bool engines_empty(const struct x1_replay *r)
{
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++)
		if (r->engine[e].count)
			return false;
	return true;
}

/* When the sequencer could go on with its next record, or NEVER. */
static uint64_t seq_ready(const struct x1_replay *r)
{
	const struct x1_tr_hdr *hdr = (const void *)r->pos;
	uint64_t ready;

	if (r->pos >= r->end)
		return NEVER;
	if (hdr->kind == X1_TR_ENGINE) {
		const struct x1_rengine *en = &r->engine[hdr->engine % X1_ENGINE_COUNT];

		return en->count < X1_ENGINE_QUEUE ? max64(r->seq, en->room) : NEVER;
	}
	ready = tokens_ready(r, ((const struct x1_tr_seq *)hdr)->wait);
	if (ready == NEVER)
		return NEVER;
	if (hdr->kind == X1_TR_SYNC && !engines_empty(r))
		return NEVER;
	/* A release is ordered after the stores issued before it. */
	if (hdr->kind == X1_TR_RELEASE && r->engine[X1_ENGINE_STORE].count)
		return NEVER;
	return max64(ready, r->seq);
}

static uint64_t all_done(const struct x1_replay *r)
{
	uint64_t t = r->seq;

	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++)
		t = max64(t, r->engine[e].done);
	return t;
}

static void seq_memory(struct x1_replay *r, const struct x1_replay_env *env,
		       const struct x1_tr_seq *rec, uint64_t t)
{
	bool write = rec->flags & X1_TR_F_WRITE;
	struct x1_mem_time mt = x1_memtime_access(env->mem, t, env->vm, extents(rec, sizeof(*rec)),
						  rec->hdr.num_extents,
						  write ? X1_USE_WRITE : X1_USE_READ, env->perf);

	/* Stores are posted; a load blocks the sequencer until the value is there. */
	r->seq = t + 1;
	if (!write) {
		uint64_t done = mt.bandwidth_done + mt.latency;

		if (done > r->seq) {
			uint64_t walk = mt.tlb_miss ? X1_TLB_MISS_CYCLES : 0;

			if (walk > done - r->seq)
				walk = done - r->seq;
			seq_stall(r, env, X1_STALL_TLB, r->seq, walk);
			seq_stall(r, env, mt.cause, r->seq + walk, done - r->seq - walk);
			r->seq = done;
		}
	}
}

static void skip(struct x1_replay *r, size_t size, uint16_t num_extents)
{
	r->pos += size + num_extents * sizeof(struct x1_tr_extent);
}

/* One sequencer record at cycle t; false when the work-group has to wait for others. */
static bool seq_step(struct x1_replay *r, const struct x1_replay_env *env, uint64_t t)
{
	const struct x1_tr_hdr *hdr = (const void *)r->pos;
	const struct x1_tr_seq *rec = (const void *)r->pos;
	uint64_t when;

	if (hdr->kind == X1_TR_ENGINE) {
		struct x1_rengine *en = &r->engine[hdr->engine % X1_ENGINE_COUNT];

		en->queue[(en->head + en->count++) % X1_ENGINE_QUEUE] =
			(struct x1_issued){(const void *)r->pos, t + 1};
		seq_stall(r, env, X1_STALL_QUEUE, r->seq, t - r->seq);
		r->seq = t + 1;
		env->perf->busy[X1_ENGINE_SEQ]++;
		r->busy[X1_ENGINE_SEQ]++;
		skip(r, sizeof(struct x1_tr_engine), hdr->num_extents);
		return true;
	}
	if (hdr->kind == X1_TR_WAITGE && !env->reached(r->launch, rec->dva, rec->value, &when)) {
		r->state = X1_REPLAY_WAITGE;
		r->time = t;
		return false;
	}
	seq_stall(r, env, X1_STALL_SEM, r->seq, t - r->seq);
	tokens_take(r, rec->wait);
	env->perf->busy[X1_ENGINE_SEQ] += rec->count;
	r->busy[X1_ENGINE_SEQ] += rec->count;
	switch (hdr->kind) {
	case X1_TR_SEQ_MEM:
		seq_memory(r, env, rec, t);
		break;
	case X1_TR_SYNC:
		when = max64(t, all_done(r));
		seq_stall(r, env, X1_STALL_SEM, t, when - t);
		r->seq = when + 1;
		break;
	case X1_TR_WAITGE:
		when = max64(t, when);
		seq_stall(r, env, X1_STALL_SEM, t, when - t);
		seq_stall(r, env, X1_STALL_L2, when, X1_SCALAR_MEM_CYCLES - 1);
		r->seq = when + X1_SCALAR_MEM_CYCLES;
		break;
	case X1_TR_RELEASE:
		when = max64(t, r->engine[X1_ENGINE_STORE].done);
		env->release(r->launch, rec->dva, rec->value, rec->flags & X1_TR_F_ADD, when);
		r->seq = t + 1;
		break;
	case X1_TR_GRIDBAR:
		r->state = X1_REPLAY_GRIDBAR;
		r->time = t;
		r->seq = t + 1;
		skip(r, sizeof(*rec), hdr->num_extents);
		return false;
	default:
		r->seq = t + rec->count;
		break;
	}
	tokens_signal(r, rec->sig, r->seq);
	skip(r, sizeof(*rec), hdr->num_extents);
	return true;
}

/* Does the sequencer's next record go to the shared memory system? */
static bool seq_is_request(const struct x1_replay *r)
{
	return ((const struct x1_tr_hdr *)r->pos)->kind == X1_TR_SEQ_MEM;
}

static bool engine_is_request(const struct x1_replay *r, unsigned int e)
{
	const struct x1_rengine *en = &r->engine[e];

	return en->queue[en->head].rec->hdr.num_extents != 0;
}

void x1_replay_run(struct x1_replay *r, const struct x1_replay_env *env)
{
	uint64_t now = r->time;

	r->state = X1_REPLAY_REQUEST;
	for (;;) {
		unsigned int best = X1_ENGINE_SEQ;
		uint64_t t = seq_ready(r);
		bool request;

		for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
			uint64_t te = engine_ready(r, e);

			if (te < t) {
				t = te;
				best = e;
			}
		}
		if (t == NEVER) {
			/* The end: function already proved that nothing is left waiting. */
			r->state = X1_REPLAY_DONE;
			r->time = max64(now, all_done(r));
			return;
		}
		request = best == X1_ENGINE_SEQ ? seq_is_request(r) : engine_is_request(r, best);
		if (request && t > now) {
			r->time = t;
			return;
		}
		if (best != X1_ENGINE_SEQ)
			engine_start(r, env, best, t);
		else if (!seq_step(r, env, t))
			return;
	}
}

void x1_replay_barrier_done(struct x1_replay *r, const struct x1_replay_env *env, uint64_t time)
{
	time = max64(r->seq, time);
	seq_stall(r, env, X1_STALL_SEM, r->seq, time - r->seq);
	seq_stall(r, env, X1_STALL_L2, time, X1_SCALAR_MEM_CYCLES);
	r->seq = time + X1_SCALAR_MEM_CYCLES;
	r->time = max64(r->time, r->seq);
}
