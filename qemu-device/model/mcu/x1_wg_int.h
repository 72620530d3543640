/* SPDX-License-Identifier: MIT */
/* Inside the executor: program, work-group state, engines. */
#ifndef X1_WG_INT_H
#define X1_WG_INT_H

#include "../num/x1_num.h"
#include "../x1_mcu.h"
#include "x1/x1_limits.h"
#include "x1/x1_perf.h"

struct x1_program {
	uint32_t num_insns, bytes;
	struct x1_insn *insn; /* num_insns */
	uint8_t *image;       /* whole image: descriptors */
};

/* An engine instruction with its registers read. */
struct x1_issue {
	const struct x1_insn *insn;
	uint32_t pc;
	int64_t rd, ra, rb;
	int64_t f[X1_DESC_FIELDS];
	size_t trace_off; /* of its record, SIZE_MAX without trace */
};

struct x1_equeue {
	struct x1_issue slot[X1_ENGINE_QUEUE];
	uint32_t head, count;
};

struct x1_loop {
	uint32_t start, end;
	uint64_t left;
};

struct x1_wg {
	struct x1_grid *grid;
	const struct x1_program *prog;
	struct x1_trace *trace; /* NULL: timing off */
	struct x1_fault_rec fault;
	uint32_t index, mcu, last_vm;
	uint32_t pc;
	uint64_t insns;
	uint64_t reg[X1_NUM_REGS];
	uint32_t sem[X1_NUM_SEMS];
	struct x1_loop loop[X1_LOOP_DEPTH];
	uint32_t num_loops;
	bool at_barrier;
	uint32_t barrier_phase;
	uint32_t spad_used; /* bytes from 0 that may be non-zero */
	bool acc_used;
	struct x1_equeue queue[X1_ENGINE_COUNT]; /* [X1_ENGINE_SEQ] unused */
	struct x1_mm_ws *ws;
	float *tmp; /* X1_WG_TMP_FLOATS */
	uint8_t *acc_storage;
	uint8_t *spad; /* X1_SPAD_BYTES */
	uint8_t *acc;  /* X1_ACC_BYTES */
};

#define X1_VEC_CHUNK     4096u /* elements converted at a time */
#define X1_WG_TMP_FLOATS (2 * X1_VEC_MAX_ROW)

/*
 * Host pointer of local [addr, addr + len), scratchpad or accumulators; NULL
 * when it is outside. `write` marks it used.
 */
uint8_t *x1_wg_local(struct x1_wg *wg, int64_t addr, uint64_t len, bool write);

/* Fill wg->fault; always returns false, so that checks can return it. */
bool x1_wg_raise(struct x1_wg *wg, uint32_t code, uint32_t unit, uint32_t pc, uint64_t addr);
bool x1_wg_mem_fault(struct x1_wg *wg, const struct x1_fault_rec *rec, uint32_t unit, uint32_t pc);

/* Engines: check at issue and describe to the trace, then execute. */
struct x1_cost {
	uint32_t cycles, local_bytes;
	uint16_t fmt, flags;
	uint64_t macs;
};

bool x1_dma_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost);
/* Extents of a checked LOAD, PREFETCH or STORE, at most `max`; returns how many. */
uint32_t x1_dma_extents(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
			struct x1_tr_extent *ext, uint32_t max);
uint32_t x1_dma_num_extents(const struct x1_issue *is);
bool x1_dma_run(struct x1_wg *wg, struct x1_mem *mem, struct x1_issue *is);

bool x1_mm_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost);
bool x1_mm_run(struct x1_wg *wg, struct x1_issue *is);
bool x1_vec_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost);
bool x1_vec_run(struct x1_wg *wg, struct x1_issue *is);

/* Trace records; false = out of host memory (the trace is then incomplete). */
void *x1_trace_put(struct x1_trace *tr, size_t bytes);

#endif /* X1_WG_INT_H */
