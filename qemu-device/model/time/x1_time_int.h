/* SPDX-License-Identifier: MIT */
/* Inside of the event model: x1_time.c runs it, x1_time_save.c saves and loads it. */
#ifndef X1_TIME_INT_H
#define X1_TIME_INT_H

#include "x1/x1_limits.h"
#include "x1_energy.h"
#include "x1_replay.h"

#define NO_WG        UINT32_MAX
#define HEALTH_WORDS ((X1_MAX_MCUS + 63) / 64)

/* A value written for other work-groups of the grid, in the order of time. */
struct release {
	uint64_t dva, value, time;
};

struct x1_time_launch {
	struct x1_time *t;
	struct x1_time_cmd *cmd;
	uint64_t ready; /* first instruction at the earliest */
	uint64_t last_dispatch;
	uint64_t last_end;
	uint32_t next_wg; /* to dispatch */
	uint32_t running;
	uint32_t at_barrier;
	uint64_t barrier_time;
	struct release *releases;
	uint32_t num_releases, cap_releases;
	struct x1_replay *waiting; /* linked by list_next of the slot */
	struct x1_time_launch *next_free;
};

struct event {
	uint64_t time;
	uint32_t queue;
	uint32_t wg;              /* NO_WG for a command: after work-groups of the same cycle */
	struct x1_replay *replay; /* NULL: the command at the head of the queue */
};

/* A replay and its place in the free list or in a launch's lists. */
struct slot {
	struct x1_replay replay; /* first */
	struct slot *next;
};

struct stream {
	struct x1_time_cmd *head, *tail;
	bool started; /* head has begun */
	uint64_t now; /* end of the last command */
	uint64_t expect_at;
	uint64_t piece_row, piece_off; /* COPY, FILL */
	uint64_t overlap_from;         /* last dispatch of the previous LAUNCH */
	struct x1_perf perf;           /* of the command at the head */
	struct x1_perf total;          /* of those that ended */
};

struct x1_time {
	struct x1_time_params p;
	struct x1_memtime mem;
	struct x1_energy energy;
	struct x1_tracer tracer;
	uint64_t now;
	struct stream stream[X1_NUM_QUEUES];
	struct event *heap;
	uint32_t heap_len, heap_cap;
	uint64_t free_mcu[HEALTH_WORDS];
	uint64_t healthy[HEALTH_WORDS];
	struct slot *free_slots;
	struct x1_time_launch *free_launches;
	struct slot **slot_of_mcu; /* running replay per MCU */
	struct x1_mcu_perf *mcu_perf;
	struct x1_time_launch *launches[X1_NUM_QUEUES];
	uint64_t pending;             /* queues whose launch has work-groups to dispatch */
	uint64_t expecting;           /* queues with work to come */
	uint32_t next_queue;          /* round robin inside a priority */
	struct x1_time_cmd *finished; /* completed, not yet handed back */
	/* power: sums of the current and of the last whole window */
	uint64_t window_start, window_core_pj, window_pkg_pj, window_mcu_cycles;
	struct x1_power_now power;
	const _Atomic uint32_t *interrupt; /* not zero: x1_time_next() returns soon */
};

/* Does a come before b? */
bool x1_time_before(const struct event *a, const struct event *b);
/* Room for an event per MCU and per queue. */
int x1_time_reserve(struct x1_time *t);
struct slot *x1_time_slot_get(struct x1_time *t);
struct x1_time_launch *x1_time_launch_get(struct x1_time *t);

#endif /* X1_TIME_INT_H */
