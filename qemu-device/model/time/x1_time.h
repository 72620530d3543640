/* SPDX-License-Identifier: MIT */
/*
 * Event model: turns the traces of functionally executed commands into device
 * cycles, counters and energy. Deterministic: equal commands, arrivals and
 * initial L2/TLB state give equal cycles, whatever the host did meanwhile.
 *
 * The model runs behind function. Each queue is a stream of commands; the
 * caller says with x1_time_expect() that a queue has work whose trace is not
 * there yet, and the model then does not run past the time at which that work
 * could start. Not thread-safe: one caller at a time.
 */
#ifndef X1_TIME_H
#define X1_TIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "x1/x1_cmd.h"
#include "x1/x1_limits.h"
#include "x1/x1_perf.h"
#include "../x1_mcu.h"
#include "x1_tracer.h"

struct x1_time;

struct x1_time_params {
	uint32_t mcus;
	uint64_t clock_hz;
	uint32_t l2_bytes;
	uint32_t hbm_bw, l2_bw, pcie_bw;                /* bytes per cycle */
	uint32_t hbm_latency, l2_latency, pcie_latency; /* cycles */
};

/*
 * One command whose function is done. The caller fills the upper part, keeps
 * the struct and its traces alive until x1_time_next() hands it back.
 */
struct x1_time_cmd {
	uint32_t queue;
	uint32_t op;    /* enum x1_cmd_op */
	uint32_t flags; /* command flags */
	uint32_t tag;
	uint32_t vm; /* of the memory it touches */
	uint32_t priority;
	uint32_t mcu_first, mcu_count; /* partition, count 0 = all */
	uint64_t arrival;              /* earliest start in device cycles, 0 = at once */
	uint64_t after;                /* WAIT: when what it waited for was there */
	uint64_t budget;               /* LAUNCH: cycles, 0 = no limit */
	struct x1_trace *wg;           /* LAUNCH: num_wgs traces in index order */
	uint32_t num_wgs;
	struct x1_tr_extent read, write; /* COPY, FILL; bytes 0 = none */
	void *owner;                     /* the caller's */

	/* results */
	uint64_t start, end;          /* device cycles */
	bool over_budget;             /* LAUNCH: ended by its budget; end = start + budget */
	bool late;                    /* arrival was before the model's clock and was clamped */
	uint64_t core_pj, package_pj; /* energy of this command */

	/* the model's own */
	struct x1_time_cmd *next;
	void *state;
};

struct x1_time *x1_time_new(const struct x1_time_params *params);
void x1_time_free(struct x1_time *t);
/* Drop all commands (the caller frees them), L2, TLB; the clock goes on. */
void x1_time_reset(struct x1_time *t);

/* Queue has work from time `earliest` on whose command was not submitted yet. */
void x1_time_expect(struct x1_time *t, uint32_t queue, uint64_t earliest);
/* Queue has nothing more to submit for now. */
void x1_time_unexpect(struct x1_time *t, uint32_t queue);

/* Append a command to its queue's stream; it replaces the queue's expectation. */
int x1_time_submit(struct x1_time *t, struct x1_time_cmd *cmd);

/*
 * Run until a command completes; returns it, or NULL when the model is empty
 * or has to wait for an expected command. Commands come in order of their end.
 */
struct x1_time_cmd *x1_time_next(struct x1_time *t);

/* While *flag is not zero, x1_time_next() returns NULL after the event at hand. */
void x1_time_interrupt(struct x1_time *t, const _Atomic uint32_t *flag);

/* Drop a queue's commands, also running ones: returns them as a list by ->next. */
struct x1_time_cmd *x1_time_drop_queue(struct x1_time *t, uint32_t queue);

/* Modelled time of the last completed event, and a queue's own last end. */
uint64_t x1_time_now(const struct x1_time *t);
uint64_t x1_time_queue_now(const struct x1_time *t, uint32_t queue);

/* Forget modelled translations of [dva, dva + len); len 0 = the whole VM. */
void x1_time_invalidate(struct x1_time *t, uint32_t vm, uint64_t dva, uint64_t len);

/* MCU joins or leaves the pool; takes effect at the next dispatch. */
void x1_time_set_healthy(struct x1_time *t, uint32_t mcu, bool healthy);

/* A queue's counters since the last reset. */
void x1_time_perf(const struct x1_time *t, uint32_t queue, struct x1_perf *perf);

/* Average power over the last window of modelled time, for telemetry. */
struct x1_power_now {
	uint32_t core_mw;
	uint32_t package_mw;
	uint32_t util_permille;
};
/* Of one MCU, at the end of each work-group. Any thread. */
struct x1_mcu_perf {
	uint64_t work_groups;
	uint64_t cycles;
	uint64_t busy[X1_ENGINE_COUNT];
};
void x1_time_mcu_perf(const struct x1_time *t, uint32_t mcu, struct x1_mcu_perf *perf);

/* Timeline events; the owner sets mask, flush and arg, and flushes after x1_time_next(). */
struct x1_tracer *x1_time_tracer(struct x1_time *t);

void x1_time_power(const struct x1_time *t, struct x1_power_now *now);

bool x1_time_expects(const struct x1_time *t, uint32_t queue);

/*
 * Saved state. The commands are the caller's to save: those of a queue are the
 * list that begins at x1_time_queue_head(). Loading wants a model that was
 * reset and takes the lists over, also where the stream is bad; then false,
 * and the caller drops all queues and resets the model.
 */
struct x1_out;
struct x1_in;
struct x1_time_cmd *x1_time_queue_head(const struct x1_time *t, uint32_t queue);
void x1_time_save(const struct x1_time *t, struct x1_out *o);
bool x1_time_load(struct x1_time *t, struct x1_time_cmd *const heads[X1_NUM_QUEUES],
		  struct x1_in *in);

#endif /* X1_TIME_H */
