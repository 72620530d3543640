/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Queue commands: 64 bytes each, in a ring or in a buffer reached by CALL.
 *
 * Commands of one queue take effect in order: each starts after the one
 * before it has completed (a LAUNCH with X1_LAUNCH_OVERLAP lets the modelled
 * start-up of the next overlap its tail; function stays in order). Reserved
 * fields and unknown flags must be zero, else X1_FAULT_BAD_COMMAND.
 *
 * Address spaces: commands in the ring itself use the queue's ring VM for
 * CALL-free accesses (FENCE, WAIT, TIMESTAMP, counters); LAUNCH, COPY and FILL
 * always use the user VM. Commands reached by CALL are fetched through the
 * user VM and use it alone, so no program can write a kernel fence.
 */
#ifndef X1_CMD_H
#define X1_CMD_H

#include "x1_types.h"

#define X1_CMD_BYTES		64

enum x1_cmd_op {
	X1_CMD_NOP = 0,
	X1_CMD_LAUNCH = 1,
	X1_CMD_COPY = 2,
	X1_CMD_FILL = 3,
	X1_CMD_FENCE = 4,
	X1_CMD_WAIT = 5,
	X1_CMD_CALL = 6,	/* ring only, no nesting */
	X1_CMD_TIMESTAMP = 7,
	X1_CMD_BARRIER = 8,
	X1_CMD_FLUSH = 9,
	X1_CMD_PERF_BEGIN = 10,
	X1_CMD_PERF_END = 11,
	X1_CMD_COUNT = 12,
};

/* LAUNCH flags */
#define X1_LAUNCH_GRID_INDIRECT	(1u << 0)	/* grid = three u32 at grid_dva */
#define X1_LAUNCH_COOPERATIVE	(1u << 1)	/* grid fits the partition, grid barrier allowed */
#define X1_LAUNCH_OVERLAP	(1u << 2)
#define X1_LAUNCH_FLAGS		0x7u
/* FENCE flags */
#define X1_FENCE_IRQ		(1u << 0)	/* raise the queue's vector after the write */
#define X1_FENCE_FLAGS		0x1u
/* FLUSH flags */
#define X1_FLUSH_L2		(1u << 0)	/* write back and drop all of L2 */
#define X1_FLUSH_TLB		(1u << 1)	/* drop the modelled TLB (translations stay coherent) */
#define X1_FLUSH_FLAGS		0x3u

struct x1_cmd_hdr {
	uint16_t op;		/* enum x1_cmd_op */
	uint16_t flags;
	uint32_t tag;		/* software's cookie: in fault records and traces */
};

struct x1_cmd_launch {
	struct x1_cmd_hdr hdr;
	uint64_t program;	/* DVA, 64-byte aligned, executable */
	uint32_t program_bytes;	/* instructions and descriptors, multiple of 16 */
	uint32_t num_insns;	/* the first num_insns * 16 bytes are code */
	uint32_t grid[3];	/* x fastest; each >= 1, product <= X1_MAX_GRID */
	uint32_t num_args;	/* 64-bit arguments, <= X1_MAX_ARGS */
	uint64_t args;		/* DVA, 8-byte aligned; ignored when num_args is 0 */
	uint64_t grid_dva;	/* with X1_LAUNCH_GRID_INDIRECT, else 0 */
	uint64_t reserved;
};

struct x1_cmd_copy {
	struct x1_cmd_hdr hdr;
	uint64_t src;
	uint64_t dst;
	uint64_t bytes;		/* per row */
	uint32_t rows;		/* >= 1 */
	uint32_t reserved0;
	int64_t src_pitch;	/* bytes between rows */
	int64_t dst_pitch;
	uint64_t reserved1;
};

struct x1_cmd_fill {
	struct x1_cmd_hdr hdr;
	uint64_t dst;
	uint64_t bytes;		/* per row, multiple of pattern_bytes */
	uint64_t pattern;	/* low pattern_bytes bytes repeat */
	uint32_t pattern_bytes;	/* 1, 2, 4 or 8 */
	uint32_t rows;		/* >= 1 */
	int64_t pitch;
	uint64_t reserved[2];
};

/* FENCE: *addr = value. WAIT: until *addr >= value. TIMESTAMP: *addr = clock. */
struct x1_cmd_sync {
	struct x1_cmd_hdr hdr;
	uint64_t addr;		/* DVA, 8-byte aligned */
	uint64_t value;		/* 0 for TIMESTAMP */
	uint64_t reserved[5];
};

struct x1_cmd_call {
	struct x1_cmd_hdr hdr;
	uint64_t addr;		/* DVA in the user VM, 64-byte aligned */
	uint32_t count;		/* commands, 1..X1_MAX_CALL */
	uint32_t reserved0;
	uint64_t reserved1[5];
};

/* NOP, BARRIER, FLUSH */
struct x1_cmd_plain {
	struct x1_cmd_hdr hdr;
	uint64_t reserved[7];
};

/* PERF_BEGIN remembers the queue's counters; PERF_END writes struct x1_perf
 * (x1_perf.h) with the difference to addr. */
struct x1_cmd_perf {
	struct x1_cmd_hdr hdr;
	uint64_t addr;		/* DVA, 64-byte aligned; 0 for PERF_BEGIN */
	uint64_t reserved[6];
};

union x1_cmd {
	struct x1_cmd_hdr hdr;
	struct x1_cmd_launch launch;
	struct x1_cmd_copy copy;
	struct x1_cmd_fill fill;
	struct x1_cmd_sync sync;
	struct x1_cmd_call call;
	struct x1_cmd_perf perf;
	struct x1_cmd_plain plain;
	uint64_t words[8];
};

X1_STATIC_ASSERT(sizeof(struct x1_cmd_launch) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(struct x1_cmd_copy) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(struct x1_cmd_fill) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(struct x1_cmd_sync) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(struct x1_cmd_call) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(struct x1_cmd_perf) == X1_CMD_BYTES);
X1_STATIC_ASSERT(sizeof(union x1_cmd) == X1_CMD_BYTES);

#endif /* X1_CMD_H */
