/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Timeline: a ring of events in HBM that the event model fills. Set up by
 * X1_REG_TL_* (x1_regs.h).
 */
#ifndef X1_TIMELINE_H
#define X1_TIMELINE_H

#include "x1_types.h"

enum x1_tl_kind {
	X1_TL_LAUNCH = 0,	/* a LAUNCH, from its start; arg = low bits of its tag */
	X1_TL_WG = 1,		/* a work-group on an MCU; arg = low bits of its index */
	X1_TL_BUSY = 2,		/* an engine's instruction; arg = enum x1_engine */
	X1_TL_STALL = 3,	/* arg = enum x1_engine | enum x1_stall << 8; not EMPTY */
	X1_TL_COPY = 4,		/* COPY or FILL; arg = low bits of its tag */
	X1_TL_CMD = 5,		/* any other command that takes time; arg = enum x1_cmd_op */
	X1_TL_FAULT = 6,	/* a queue faulted; arg = enum x1_fault, cycles = 0 */
	X1_TL_SWITCH = 7,	/* MATRIX drains for other formats; arg = A's | B's << 8 */
	X1_TL_KINDS = 8,
};

#define X1_TL_MASK(kind)	(1u << (kind))
#define X1_TL_MASK_ALL		((1u << X1_TL_KINDS) - 1)
#define X1_TL_MCU_NONE		0xffffu
#define X1_TL_MIN_LOG2		8	/* events of a ring */
#define X1_TL_MAX_LOG2		24

struct x1_tl_event {
	uint64_t when;		/* start in device cycles (48 bits) | MCU << 48 */
	uint32_t cycles;	/* duration, 0xffffffff = that or more */
	uint16_t arg;
	uint8_t queue;
	uint8_t kind;		/* enum x1_tl_kind */
};

X1_STATIC_ASSERT(sizeof(struct x1_tl_event) == 16);

#define X1_TL_START(e)		((e)->when & 0xffffffffffffull)
#define X1_TL_MCU(e)		((uint32_t)((e)->when >> 48))

#endif /* X1_TIMELINE_H */
