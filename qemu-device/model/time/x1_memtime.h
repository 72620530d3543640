/* SPDX-License-Identifier: MIT */
/*
 * The shared memory system in time: L2 tags, TLB, and one bandwidth server
 * each for L2, HBM and PCIe.
 */
#ifndef X1_MEMTIME_H
#define X1_MEMTIME_H

#include "x1_time.h"

/* 4 KiB extents of 32 sectors (128 bytes, one L2 line). */
#define X1_L2_EXTENT_SHIFT 12
#define X1_L2_LINE_SHIFT   7
#define X1_L2_WAYS         16
#define X1_TLB_REACH_SHIFT 21
#define X1_TLB_SETS        512
#define X1_TLB_WAYS        8

struct x1_l2_tag {
	uint64_t key;          /* vm << 36 | dva >> 12, plus 1; 0 = empty */
	uint64_t ready;        /* cycle at which the last fill arrives */
	uint64_t stamp;        /* LRU */
	uint32_t valid, dirty; /* sectors */
};

struct x1_tlb_tag {
	uint64_t key;
	uint64_t stamp;
};

/* First-come first-served bandwidth: `free` counts bytes, so no rounding adds up. */
struct x1_server {
	uint64_t bw;
	uint64_t free;
};

struct x1_memtime {
	struct x1_server l2, hbm, pcie;
	uint32_t l2_latency, hbm_latency, pcie_latency;
	uint32_t sets;
	uint64_t stamp;
	struct x1_l2_tag *tags; /* sets x ways */
	uint32_t *guess;        /* where the tag of an extent was found last, by its number */
	struct x1_tlb_tag *tlb;
	struct x1_l2_tag **filled; /* scratch: tags that the current request fills */
	uint32_t filled_cap;
};

enum x1_mem_use {
	X1_USE_READ,
	X1_USE_WRITE,
	X1_USE_PREFETCH,
};

/* Outcome of one request. */
struct x1_mem_time {
	uint64_t bandwidth_done; /* last byte has left the slowest server */
	uint32_t latency;        /* from there to the data's arrival */
	enum x1_stall cause;     /* what bounded bandwidth_done */
	bool tlb_miss;
};

int x1_memtime_init(struct x1_memtime *m, const struct x1_time_params *p);
void x1_memtime_fini(struct x1_memtime *m);
void x1_memtime_reset(struct x1_memtime *m);

/* A request at time t; counts bytes, hits and misses into *perf. */
struct x1_mem_time x1_memtime_access(struct x1_memtime *m, uint64_t t, uint32_t vm,
				     const struct x1_tr_extent *ext, uint32_t num_ext,
				     enum x1_mem_use use, struct x1_perf *perf);

/* Write back and drop all of L2; returns the cycle at which HBM has it. */
uint64_t x1_memtime_flush(struct x1_memtime *m, uint64_t t, struct x1_perf *perf);
void x1_memtime_flush_tlb(struct x1_memtime *m);
void x1_memtime_invalidate(struct x1_memtime *m, uint32_t vm, uint64_t dva, uint64_t len);

#endif /* X1_MEMTIME_H */
