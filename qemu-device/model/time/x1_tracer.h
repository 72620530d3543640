/* SPDX-License-Identifier: MIT */
/*
 * Events of the timeline, collected by the event model and handed on in
 * batches. Off, it costs the look at the mask.
 */
#ifndef X1_TRACER_H
#define X1_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "x1/x1_timeline.h"

#define X1_TRACER_BATCH 1024

struct x1_tracer {
	uint32_t mask; /* X1_TL_MASK() of what is wanted */
	uint32_t len;
	struct x1_tl_event *buf; /* X1_TRACER_BATCH, once there was a mask */
	/* Takes all of buf; called from inside x1_time_next(). */
	void (*flush)(void *arg, const struct x1_tl_event *ev, uint32_t n);
	void *arg;
};

static inline bool x1_tracing(const struct x1_tracer *t, enum x1_tl_kind kind)
{
	return t->mask >> kind & 1;
}

static inline struct x1_tl_event x1_tl_event(enum x1_tl_kind kind, uint32_t queue, uint32_t mcu,
					     uint64_t start, uint64_t cycles, uint32_t arg)
{
	return (struct x1_tl_event){
		.when = (start & 0xffffffffffffull) | (uint64_t)mcu << 48,
		.cycles = cycles < UINT32_MAX ? (uint32_t)cycles : UINT32_MAX,
		.arg = (uint16_t)arg,
		.queue = (uint8_t)queue,
		.kind = (uint8_t)kind,
	};
}

void x1_tracer_put(struct x1_tracer *t, struct x1_tl_event ev);
void x1_tracer_flush(struct x1_tracer *t);
/* 0, or -ENOMEM: it stays off. */
int x1_tracer_set_mask(struct x1_tracer *t, uint32_t mask);
void x1_tracer_fini(struct x1_tracer *t);

#endif /* X1_TRACER_H */
