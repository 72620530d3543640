/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Counters of a queue, as PERF_END writes them and as the registers sum them.
 * Cycles are device cycles, energies are picojoules.
 */
#ifndef X1_PERF_H
#define X1_PERF_H

#include "x1_types.h"
#include "x1_formats.h"

/* Engines of an MCU, for busy and stall counters. */
enum x1_engine {
	X1_ENGINE_SEQ = 0,
	X1_ENGINE_LOAD = 1,
	X1_ENGINE_MATRIX = 2,
	X1_ENGINE_VECTOR = 3,
	X1_ENGINE_STORE = 4,
	X1_ENGINE_COUNT = 5,
};

/* Why an engine with work at its head did not run. */
enum x1_stall {
	X1_STALL_SEM = 0,	/* a semaphore */
	X1_STALL_L2 = 1,	/* L2 latency or bandwidth */
	X1_STALL_HBM = 2,	/* HBM latency or bandwidth */
	X1_STALL_PCIE = 3,	/* system memory */
	X1_STALL_TLB = 4,	/* page walk */
	X1_STALL_SWITCH = 5,	/* format switch drain */
	X1_STALL_QUEUE = 6,	/* sequencer: engine queue full */
	X1_STALL_EMPTY = 7,	/* engine: nothing issued yet */
	X1_STALL_COUNT = 8,
};

struct x1_perf {
	uint64_t cycles;			/* elapsed, begin to end */
	uint64_t mcu_cycles;			/* sum over MCUs of occupied cycles */
	uint64_t launches;
	uint64_t work_groups;
	uint64_t instructions;
	uint64_t busy[X1_ENGINE_COUNT];
	uint64_t stall[X1_ENGINE_COUNT][X1_STALL_COUNT];
	uint64_t macs[X1_FMT_COUNT];		/* by the slower operand's format */
	uint64_t bytes_load;			/* LOAD port */
	uint64_t bytes_store;			/* STORE port */
	uint64_t bytes_l2;			/* L2 to and from MCUs and COPY */
	uint64_t bytes_hbm_read;
	uint64_t bytes_hbm_write;
	uint64_t bytes_pcie_read;
	uint64_t bytes_pcie_write;
	uint64_t l2_hits;			/* 4 KiB extents */
	uint64_t l2_misses;
	uint64_t tlb_misses;
	uint64_t prefetch_bytes;
	uint64_t format_switches;
	uint64_t energy_core_pj;
	uint64_t energy_package_pj;
	uint64_t late_arrivals;
	uint64_t reserved[8];
};

#endif /* X1_PERF_H */
