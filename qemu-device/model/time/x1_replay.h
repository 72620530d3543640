/* SPDX-License-Identifier: MIT */
/*
 * Replay of one work-group's trace: sequencer and engines in time. Runs ahead
 * on its own between memory requests, which have to be made in global order.
 */
#ifndef X1_REPLAY_H
#define X1_REPLAY_H

#include "x1_memtime.h"

/* Issued to an engine, not started. */
struct x1_issued {
	const struct x1_tr_engine *rec;
	uint64_t time;
};

struct x1_rengine {
	struct x1_issued queue[X1_ENGINE_QUEUE];
	uint32_t head, count;
	uint64_t free; /* cycle at which the next may start */
	uint64_t done; /* last completion */
	uint64_t room; /* cycle at which a full queue last got room */
	uint16_t fmt;  /* MATRIX: of the last product */
	bool used;
};

/* Signals of a semaphore not yet consumed, ascending times. */
struct x1_tokens {
	uint64_t *time;
	uint32_t head, count, cap;
};

enum x1_replay_state {
	X1_REPLAY_REQUEST, /* next: memory request at ->time */
	X1_REPLAY_WAITGE,  /* next: waits for a release */
	X1_REPLAY_GRIDBAR, /* next: waits for the grid */
	X1_REPLAY_DONE,    /* work-group ends at ->time */
};

struct x1_time_launch;

struct x1_replay {
	enum x1_replay_state state;
	uint64_t time;
	uint64_t start;
	struct x1_time_launch *launch;
	uint32_t wg, mcu;
	const uint8_t *pos, *end;
	uint64_t seq; /* sequencer's clock */
	uint64_t busy[X1_ENGINE_COUNT];
	struct x1_rengine engine[X1_ENGINE_COUNT]; /* [X1_ENGINE_SEQ] unused */
	struct x1_tokens sem[X1_NUM_SEMS];
};

/* What a replay needs of its launch. */
struct x1_replay_env {
	struct x1_memtime *mem;
	struct x1_perf *perf;
	uint32_t vm;
	/* A release of the work-group took place; others may go on. */
	void (*release)(struct x1_time_launch *l, uint64_t dva, uint64_t value, bool add,
			uint64_t time);
	/*
	 * When does `*dva >= value` hold? false = not yet known, the
	 * work-group stays in X1_REPLAY_WAITGE.
	 */
	bool (*reached)(struct x1_time_launch *l, uint64_t dva, uint64_t value, uint64_t *time);
	struct x1_tracer *tracer;
	uint32_t queue;
};

int x1_replay_init(struct x1_replay *r);
void x1_replay_fini(struct x1_replay *r);
void x1_replay_begin(struct x1_replay *r, const struct x1_trace *trace, uint64_t start);

/* Run to the next state. Time ->time never decreases. */
void x1_replay_run(struct x1_replay *r, const struct x1_replay_env *env);
/* From X1_REPLAY_GRIDBAR: the last work-group arrived at `time`. */
void x1_replay_barrier_done(struct x1_replay *r, const struct x1_replay_env *env, uint64_t time);

#endif /* X1_REPLAY_H */
