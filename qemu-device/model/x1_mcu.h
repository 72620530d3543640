/* SPDX-License-Identifier: MIT */
/*
 * MCU: runs one work-group of a program functionally and records what it did
 * for the timing model. Seam between the dispatcher (core), the executor
 * (mcu/) and the event model (time/).
 */
#ifndef X1_MCU_H
#define X1_MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x1/x1_fault.h"
#include "x1/x1_isa.h"

/* What a faulting unit reports. */
struct x1_fault_rec {
	uint32_t code;   /* enum x1_fault; 0 = none */
	uint32_t access; /* enum x1_access */
	uint32_t unit;   /* enum x1_unit */
	uint32_t mcu;
	uint64_t addr;
	uint32_t vm;
	uint32_t pc;
	uint32_t tag;
	uint32_t wg;
};

/*
 * A program checked and decoded once per LAUNCH: shared read-only by all
 * work-groups of the grid.
 */
struct x1_program;

/*
 * Decode image (a private copy of program_bytes from the guest, num_insns
 * instructions). Returns NULL with *rec filled (BAD_PROGRAM or ILLEGAL with
 * the instruction index in pc) for a bad one.
 */
struct x1_program *x1_program_decode(const void *image, uint32_t bytes, uint32_t num_insns,
				     struct x1_fault_rec *rec);
void x1_program_free(struct x1_program *prog);

/*
 * Memory as an MCU sees it: one VM through the device MMU. Implemented by the
 * core (mmu). A span is a run of bytes inside one page with a host pointer;
 * it is valid until the next x1_mem_quiesce() of the same context.
 */
struct x1_mem;

/*
 * Translate [dva, dva + len). On success returns a host pointer and sets *run
 * to the number of bytes (1..len) reachable from it without another call:
 * whole 2 MiB pages and neighbouring pages that are contiguous on the host may
 * merge. NULL with *rec (code, access, addr, vm) on a fault. For system memory
 * that cannot be mapped it returns NULL with rec->code == 0: use
 * x1_mem_read/write.
 */
void *x1_mem_span(struct x1_mem *mem, uint64_t dva, uint64_t len, enum x1_access access,
		  uint64_t *run, struct x1_fault_rec *rec);
/* Copy through the MMU; any length. 0, or -1 with *rec; nothing of a faulting page is written. */
int x1_mem_read(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len,
		struct x1_fault_rec *rec);
int x1_mem_write(struct x1_mem *mem, uint64_t dva, const void *buf, uint64_t len,
		 struct x1_fault_rec *rec);
/* The bytes at a writable span were stored to (dirty tracking). */
void x1_mem_dirty(struct x1_mem *mem, uint64_t dva, const void *ptr, uint64_t len);
/* True where the page is HBM, false for system memory (after a span of it). */
bool x1_mem_is_system(struct x1_mem *mem, uint64_t dva);
/*
 * Between instructions: drops spans and lets a pending INVALIDATE, SUSPEND or
 * pause proceed. Returns true when the work-group has to stop here
 * (x1_wg_run() then returns X1_WG_STOPPED with its state kept).
 */
bool x1_mem_quiesce(struct x1_mem *mem);

/*
 * Trace of a work-group, written by the executor in issue order, replayed by
 * time/. Records of variable length, each a multiple of 8 bytes, in an
 * append-only buffer that grows by doubling.
 */
enum x1_tr_kind {
	X1_TR_ENGINE = 1,  /* struct x1_tr_engine, then its extents */
	X1_TR_SCALAR = 2,  /* struct x1_tr_seq: `count` plain instructions in a row */
	X1_TR_SEQ_MEM = 3, /* struct x1_tr_seq, then one extent: scalar access to a DVA */
	X1_TR_SYNC = 4,    /* struct x1_tr_seq: SYNC and END, wait for all engines */
	X1_TR_WAITGE = 5,  /* struct x1_tr_seq: dva, value */
	X1_TR_RELEASE = 6, /* struct x1_tr_seq: STREL (value) or atomic add (value added) */
	X1_TR_GRIDBAR = 7, /* struct x1_tr_seq */
};

struct x1_tr_hdr {
	uint8_t kind;
	uint8_t engine;       /* enum x1_engine */
	uint16_t num_extents; /* struct x1_tr_extent after the record */
};

/* One engine instruction. */
struct x1_tr_engine {
	struct x1_tr_hdr hdr;
	uint8_t wait[2]; /* as in the instruction */
	uint8_t sig[2];
	uint32_t cycles;      /* engine occupancy without memory stalls and drains */
	uint32_t local_bytes; /* moved to or from scratchpad and accumulators */
	uint16_t fmt;         /* MATRIX: a | b << 8, else 0 */
	uint16_t flags;       /* X1_TR_F_* */
	uint64_t macs;        /* MATRIX: m * n * stored k */
};

/* Sequencer records; a plain instruction with waits or signals is a SCALAR of count 1. */
struct x1_tr_seq {
	struct x1_tr_hdr hdr; /* engine = X1_ENGINE_SEQ */
	uint8_t wait[2];
	uint8_t sig[2];
	uint32_t count;
	uint32_t flags; /* X1_TR_F_WRITE, X1_TR_F_ADD */
	uint64_t dva;
	uint64_t value;
};

#define X1_TR_F_PREFETCH (1u << 0) /* fills L2, completes at issue */
#define X1_TR_F_WRITE    (1u << 1)
#define X1_TR_F_SLOW     (1u << 2) /* VECTOR on the transcendental lanes */
#define X1_TR_F_ADD      (1u << 3) /* RELEASE: value was added */

/*
 * Memory touched by one instruction: `count` runs of `bytes` bytes, `step`
 * apart. A tile of r rows is one extent record of count r.
 */
struct x1_tr_extent {
	uint64_t dva;    /* first byte of the first run */
	uint32_t bytes;  /* per run */
	uint32_t count;  /* runs */
	int64_t step;    /* bytes between the starts of two runs */
	uint32_t system; /* 1 = system memory (PCIe), 0 = HBM */
	uint32_t reserved;
};

struct x1_trace {
	uint8_t *buf;
	size_t len, cap;
	uint64_t instructions; /* sequencer instructions executed */
};

/*
 * Saved state (x1_stream.h). A loaded trace has whole records of known kinds
 * only. Marks tell where its records start.
 */
struct x1_out;
struct x1_in;
struct x1_trace_marks;
void x1_trace_save(const struct x1_trace *tr, struct x1_out *o);
bool x1_trace_load(struct x1_trace *tr, struct x1_in *in);
struct x1_trace_marks *x1_trace_marks_new(const struct x1_trace *tr);
void x1_trace_marks_free(struct x1_trace_marks *m);
/* The record that starts at off, or NULL. */
const struct x1_tr_hdr *x1_trace_at(const struct x1_trace_marks *m, uint64_t off);

void x1_trace_init(struct x1_trace *tr);
void x1_trace_free(struct x1_trace *tr);

/* A work-group on its way: sequencer, scratchpad, accumulators, engine queues. */
struct x1_wg;

enum x1_wg_status {
	X1_WG_DONE = 0,
	X1_WG_FAULT = 1,   /* x1_wg_fault() */
	X1_WG_STOPPED = 2, /* quiesce asked to stop: run again to go on */
	X1_WG_PARKED = 3,  /* WAITGE not satisfied or grid barrier: run again later */
};

/* What all work-groups of a grid share. */
struct x1_grid {
	const struct x1_program *prog;
	uint32_t size[3];
	uint32_t total;
	uint64_t args_dva;
	uint64_t args[X1_MAX_ARGS];
	uint32_t num_args;
	uint32_t vm;
	bool cooperative;
	bool trace;               /* timing=on */
	uint64_t budget;          /* cycles, so instructions at most as many; 0 = no limit */
	uint32_t barrier_arrived; /* atomics, in the executor's hands */
	uint32_t barrier_phase;
	uint64_t (*clock)(void *arg); /* for RDCLK */
	void *clock_arg;
};

/*
 * One x1_wg is one MCU's storage; workers keep and reuse them. NULL when out
 * of memory. last_vm decides whether storage is cleared at begin.
 */
struct x1_wg *x1_wg_new(void);
void x1_wg_free(struct x1_wg *wg);
void x1_wg_begin(struct x1_wg *wg, struct x1_grid *grid, uint32_t index, uint32_t mcu,
		 struct x1_trace *trace);
enum x1_wg_status x1_wg_run(struct x1_wg *wg, struct x1_mem *mem);
/*
 * State of a work-group between two x1_wg_run(); its index comes first. It is
 * loaded into new storage, with the trace that it went on writing.
 */
void x1_wg_save(const struct x1_wg *wg, struct x1_out *o);
bool x1_wg_load(struct x1_wg *wg, struct x1_grid *grid, struct x1_trace *trace, struct x1_in *in);
const struct x1_fault_rec *x1_wg_fault(const struct x1_wg *wg);

#endif /* X1_MCU_H */
