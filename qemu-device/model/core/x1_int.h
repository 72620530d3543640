/* SPDX-License-Identifier: MIT */
/*
 * Inside of the core. One lock (x1_lock) guards all state that threads share,
 * except what is marked atomic or has an owner named beside it. No callback
 * that may block, no execution of a program and no run of the event model
 * happens under it.
 */
#ifndef X1_INT_H
#define X1_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "x1/x1_cmd.h"
#include "x1/x1_fault.h"
#include "x1/x1_fw.h"
#include "x1/x1_limits.h"
#include "x1/x1_mmu.h"
#include "x1/x1_perf.h"
#include "x1/x1_regs.h"
#include "time/x1_time.h"
#include "x1_core.h"
#include "x1_mcu.h"

#define X1_NS_PER_US 1000ull
#define X1_NS_PER_MS 1000000ull
#define X1_NEVER     UINT64_MAX

/*
 * Where a thread of the core is. In CALLBACK it may hold spans but runs
 * nothing; in NOSPAN it holds no translation at all (idle, parked, or inside
 * the event model).
 */
enum x1_where {
	X1_WHERE_RUNNING = 0,
	X1_WHERE_CALLBACK = 1,
	X1_WHERE_NOSPAN = 2,
};

struct x1_tlb {
	uint64_t key;   /* vm and page number, plus 1; 0 = empty */
	uint8_t *ptr;   /* of the page; NULL: system memory without mapping */
	uint64_t bus;   /* bus address of a system page */
	uint32_t flags; /* X1_PTE_* of the leaf */
};

#define X1_TLB_SMALL 1024
#define X1_TLB_HUGE  256

struct x1_mem {
	struct x1_core *core;
	struct x1_worker *w;
	uint32_t vm;
	uint32_t unit; /* enum x1_unit of fault records */
	uint32_t mcu;
	const _Atomic uint32_t *stop; /* of the launch or queue that runs */
	const struct x1_trace *trace;
	bool trace_full;
	bool wrong; /* on purpose: stores a wrong bit */
	uint64_t attn_seen;
	uint64_t dirty_lo, dirty_hi; /* HBM range not yet reported */
	struct x1_tlb small[X1_TLB_SMALL];
	struct x1_tlb huge[X1_TLB_HUGE];
};

/* A work-group's storage and its place in the lists of a launch. */
struct x1_unit_run {
	struct x1_wg *wg;
	uint64_t vm_gen; /* of core->vm_gen when the storage was last used */
	uint32_t index;
	uint32_t round; /* of the launch's poll rounds */
	uint32_t mcu;
	size_t trace_len;      /* when it parked */
	struct x1_trace trace; /* timing=off: counts only */
	struct x1_unit_run *next;
};

struct x1_worker {
	struct x1_core *core;
	pthread_t thread;
	unsigned int id;
	_Atomic int where;       /* enum x1_where */
	bool busy;               /* in the midst of a task; under the lock */
	struct x1_queue *queue;  /* whose task it is; under the lock */
	struct x1_queue *kicked; /* got work while this worker had its front end */
	clockid_t cpu_clock;     /* the thread's own */
	uint64_t cpu_seen;       /* of it at the last look, and whose task it was then */
	struct x1_queue *cpu_queue;
	_Atomic uint64_t seen;    /* invalidation generation acknowledged */
	uint64_t epoch;           /* of the device when the running task was picked */
	struct x1_unit_run *unit; /* spare storage */
	struct x1_mem mem;
	uint8_t bounce[64 << 10];
};

/* A decoded program, valid while the guest's bytes equal the image. */
struct x1_prog {
	_Atomic uint32_t refs;
	uint32_t bytes, num_insns, vm;
	uint64_t dva;
	uint64_t used; /* LRU stamp */
	struct x1_program *code;
	uint8_t image[];
};

#define X1_PROG_CACHE 8

/* A command on its way through the event model, with what retiring it does. */
struct x1_tcmd {
	struct x1_time_cmd t; /* first */
	struct x1_tcmd *next;
	uint32_t gen;      /* of the queue */
	bool ring;         /* retires a ring entry */
	bool sync;         /* the queue's front end waits for it */
	uint32_t ring_idx; /* RPTR after it */
	uint32_t op, flags, tag, vm;
	uint64_t addr, value;
	struct x1_trace one; /* LAUNCH of a single work-group */
	struct x1_trace *many;
	uint32_t num_many;
};

/* A LAUNCH that executes. Freed by its last user: see refs. */
struct x1_launch {
	uint32_t refs;
	_Atomic uint32_t stop; /* workers leave at the next instruction boundary */
	struct x1_queue *q;
	struct x1_prog *prog;
	struct x1_grid grid;
	struct x1_tcmd *tc; /* timing=on */
	uint32_t tag;
	uint32_t total, next, running, parked, done;
	uint32_t coop_reserved;
	uint32_t first_mcu, num_mcus;     /* partition */
	struct x1_unit_run *parked_list;  /* rising index */
	struct x1_unit_run *stopped_list; /* rising index, to run at once */
	uint32_t round;                   /* parked work-groups of an older round are polled */
	bool round_progress;
	bool stalled; /* a whole round went by and nothing moved */
	uint64_t next_poll, backoff;
	struct x1_launch *free_next;
};

enum x1_front {
	X1_FRONT_NONE = 0,   /* fetch the next command */
	X1_FRONT_EXEC = 1,   /* cur is to be executed, or goes on */
	X1_FRONT_WAIT = 2,   /* WAIT, not satisfied */
	X1_FRONT_LAUNCH = 3, /* q->launch executes */
	X1_FRONT_SYNC = 4,   /* the event model has it */
	X1_FRONT_HELD = 5,   /* completed by the model while suspended */
	X1_FRONT_COOP = 6,   /* cooperative LAUNCH waits for MCUs */
};

struct x1_qcfg {
	uint64_t ring, rptr_addr, budget;
	uint32_t ring_log2, ring_vm, user_vm, priority, mcu_first, mcu_count, vector;
};

#define X1_FETCH_BATCH 16

struct x1_queue {
	struct x1_core *core;
	uint32_t id;
	struct x1_qcfg cfg; /* registers */
	struct x1_qcfg act; /* taken by ENABLE */
	enum x1_q_state state;
	uint32_t gen;
	uint32_t rptr, wptr;
	uint32_t pins;         /* threads that work on the queue's behalf */
	_Atomic uint32_t stop; /* the front end leaves as soon as it can */
	bool fault_pending, disabling;
	bool hung; /* on purpose: stands still until its reset */
	struct x1_fault_rec fault;
	uint32_t fault_info;
	_Atomic uint64_t progress;
	uint64_t cycles;
	uint32_t late;
	/* front end: owned by the thread that set front_busy, under the lock otherwise */
	bool front_busy;
	bool kicked; /* while it was busy */
	enum x1_front front;
	uint32_t fetched; /* ring index of the command after cur */
	union x1_cmd cur;
	bool cur_call; /* cur came through CALL */
	uint64_t call_dva;
	uint32_t call_left;
	uint32_t call_tag;
	uint64_t copy_row, copy_off;
	union x1_cmd fbuf[X1_FETCH_BATCH];
	uint32_t fb_pos, fb_len;
	uint32_t rptr_written;
	bool rptr_busy;    /* a thread writes it back */
	uint64_t wait_key; /* WAIT: its memory word, see x1_mem_word() */
	bool wait_hit;     /* a fence reached it while a worker was looking */
	struct x1_launch *launch;
	struct x1_tcmd *held;
	uint64_t next_poll, backoff; /* WAIT */
	struct x1_prog *progs[X1_PROG_CACHE];
	uint64_t prog_stamp;
	/* time */
	uint64_t db_arrival;
	uint64_t *stamps; /* per ring slot; timing=on */
	uint64_t arrival; /* of cur */
	uint64_t last_fence;
	bool expected;                     /* as told to the event model */
	bool lapsed;                       /* its expectation expired */
	uint64_t lapse_progress, lapse_ns; /* workers' time since the last progress */
	uint32_t in_model;
	struct x1_perf perf_begin, perf; /* what PERF_BEGIN found, PERF_END writes */
	uint64_t perf_begin_end;
	/* interrupt coalescing */
	uint32_t coal_count;
	uint64_t coal_deadline; /* 0 = none */
};

struct x1_inval {
	uint32_t seq;
	uint64_t gen;
};

/* What other threads ask of the event model's present owner, in order. */
enum x1_tm_kind {
	X1_TM_SUBMIT,
	X1_TM_EXPECT,
	X1_TM_UNEXPECT,
	X1_TM_DROP,
	X1_TM_INVAL,
	X1_TM_HEALTH,
};

struct x1_tm_op {
	enum x1_tm_kind kind;
	uint32_t queue; /* or VM, or MCU */
	uint64_t a, b;
	struct x1_tcmd *tc;
};

#define X1_MAX_BAD_PAGES 64

struct x1_bad_page {
	uint64_t page; /* HBM offset */
	bool fatal;
};

/* Faults on purpose, see inject.c. */
struct x1_injected {
	_Atomic int64_t stuck, wrong; /* MCU, -1 = none */
	_Atomic uint32_t dma, irq;    /* how many are still to come */
	int64_t temp_mc;              /* -1 = none */
	_Atomic uint32_t num_bad;
	struct x1_bad_page bad[X1_MAX_BAD_PAGES];
};

struct x1_fence_seen {
	uint64_t key; /* of the memory word */
	uint64_t value, time;
};

#define X1_FENCE_LOG 256

struct x1_sysmap_entry;

/* The timeline's ring, see timeline.c. */
struct x1_timeline {
	uint64_t addr, head, tail, lost;
	uint32_t log2, mask;
};

struct x1_mgmt;
struct x1_bist;

struct x1_core {
	struct x1_core_config cfg;
	struct x1_host_ops ops;
	void *host;
	uint8_t *hbm;
	pthread_mutex_t lock;
	pthread_cond_t work_cv;  /* idle workers */
	pthread_cond_t park_cv;  /* end of a pause, or quit */
	pthread_cond_t state_cv; /* somebody parked, idled or acknowledged */
	pthread_cond_t timer_cv;
	_Atomic uint32_t work_seq;
	unsigned int sleepers, spinners;
	_Atomic uint32_t pause;
	_Atomic uint32_t rest;    /* of the pauses, those in which threads give their work back */
	_Atomic uint64_t attn;    /* bumped for whatever quiesce has to look at */
	_Atomic uint64_t inv_gen; /* translations made before are stale */
	_Atomic bool bus_master;
	_Atomic bool quit;
	uint64_t epoch;
	uint32_t boot_epoch, hbm_epoch;
	uint32_t latch_clock_hi, latch_time_hi;

	struct x1_worker **workers;
	unsigned int num_workers; /* started */
	unsigned int want_workers;
	bool timer_started;
	pthread_t timer;
	uint64_t vm_gen; /* VM table changes: stored data of old VMs must go */
	struct x1_unit_run *unit_pool;
	unsigned int num_pool;
	struct x1_launch *launch_pool;
	uint32_t coop_free; /* MCUs that cooperative grids may take */

	/* registers */
	uint32_t irq_pending, irq_enable, coalesce;
	uint64_t qfence, qevent, gate;
	uint64_t raise_mask; /* vectors to raise when the lock is released */
	uint64_t fw_addr;
	uint32_t fw_size, fw_state, fw_error, fw_version, fw_abi, fw_heartbeat, fw_log_head;
	uint32_t fw_crash_pc, fw_crash_cause, fw_dump_index;
	uint32_t mbox_req[X1_MBOX_WORDS], mbox_rsp[X1_MBOX_WORDS];
	uint32_t mbox_busy;
	uint32_t inv_vm, inv_done, inv_count, inv_head;
	uint64_t inv_addr, inv_len;
	struct x1_inval inv[X1_INVAL_DEPTH];
	uint32_t vm_index, vm_ctrl, mcu_index, mcu_perf_index, num_healthy;
	uint64_t vm_root_reg;
	_Atomic uint64_t vm_root[X1_NUM_VMS]; /* root | X1_PTE_VALID; 0 = detached */
	uint16_t vm_users[X1_NUM_VMS];
	uint64_t healthy[(X1_MAX_MCUS + 63) / 64];
	uint64_t energy_core_pj, energy_pkg_pj;
	struct x1_power_now power;
	uint32_t idle_mw; /* package power with nothing running */
	uint64_t power_stamp;
	uint32_t throttle;                       /* X1_REG_THROTTLE */
	uint64_t time_base_ns, time_base_cycles; /* device time when it last changed */
	double temp_mc;
	uint64_t temp_stamp;
	uint32_t ecc_corrected, ecc_uncorrected;
	uint64_t ecc_addr;
	struct x1_injected inject;

	/* dispatch */
	struct x1_queue queue[X1_NUM_QUEUES];
	uint64_t active; /* queues that may have something to do */
	unsigned int turn[X1_NUM_PRIORITIES];

	/* event model */
	struct x1_time *time;
	bool tm_busy, tm_needed, tm_reset;
	uint32_t tm_long; /* commands in the model that may take long to replay */
	struct x1_tm_op *tm_ops;
	size_t tm_len, tm_cap;
	struct x1_tcmd *tcmd_pool;
	unsigned int num_tcmd_pool;
	uint32_t tm_inflight;
	uint32_t tm_watched; /* looks of the timer, for queues that hold it up, still to come */
	_Atomic uint64_t clock;
	struct x1_fence_seen fence_log[X1_FENCE_LOG];
	unsigned int fence_next;

	/* mappings of system memory; its own lock, inside the other */
	pthread_mutex_t map_lock;
	struct x1_sysmap_entry **maps;
	struct x1_sysmap_entry *dying;
	struct x1_sysmap_entry *reap; /* to unmap when the lock is released */
	unsigned int num_maps;

	struct x1_mgmt *mgmt;
	struct x1_bist *bist;
	struct x1_timeline timeline;
};

/* ---- core.c ---- */
uint64_t x1_now_ns(void);
void x1_lock(struct x1_core *core);
/* Releases the lock, then raises vectors and returns mappings to the host. */
void x1_unlock(struct x1_core *core);
void x1_log(struct x1_core *core, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void x1_cv_init(pthread_cond_t *cv);
/* Wait with the lock held, until `deadline` (host ns), a signal, or for no reason. */
void x1_cv_wait(struct x1_core *core, pthread_cond_t *cv, uint64_t deadline);
/* Something changed that running threads have to look at soon. Lock held. */
void x1_attention(struct x1_core *core);
/*
 * Enter and leave a state in which pause and reset need not wait for the
 * thread. Leaving blocks while the core is paused, in state `where`.
 */
void x1_away(struct x1_core *core, _Atomic int *where, int state);
void x1_back(struct x1_core *core, _Atomic int *where, int state);
/* As x1_back(), by a thread that has nothing in hand: also while others rest. */
void x1_rest(struct x1_core *core, _Atomic int *where);
/* Drop all work, back to the state after power-on. All threads are parked. Lock held. */
void x1_reset_logic(struct x1_core *core);

/* ---- irq.c (lock held) ---- */
void x1_irq_raise(struct x1_core *core, uint32_t bits);
void x1_irq_fence(struct x1_core *core, struct x1_queue *q);
void x1_irq_qevent(struct x1_core *core, struct x1_queue *q);
void x1_irq_enable(struct x1_core *core, uint32_t enable);
/* Fires coalesced interrupts that are due; returns the next deadline. */
uint64_t x1_irq_timer(struct x1_core *core, uint64_t now);

/* ---- regs.c ---- */
uint32_t x1_reg_read(struct x1_core *core, uint32_t off);
void x1_reg_write(struct x1_core *core, uint32_t off, uint32_t val, bool mc);

/* ---- queue.c (lock held) ---- */
void x1_queue_init(struct x1_core *core, uint32_t id);
void x1_queue_fini(struct x1_queue *q);
/* Back to DISABLED at a device reset: whoever still works on it has an old epoch. */
void x1_queue_hard_reset(struct x1_queue *q);
void x1_queue_op(struct x1_queue *q, uint32_t op, bool mc);
void x1_queue_doorbell(struct x1_queue *q, uint32_t wptr);
void x1_queue_fault(struct x1_queue *q, const struct x1_fault_rec *rec);
void x1_queue_pin(struct x1_queue *q);
void x1_queue_unpin(struct x1_queue *q);
/* Tell the event model whether work is still to come. */
void x1_queue_expect(struct x1_queue *q);
void x1_queue_kick(struct x1_queue *q);
bool x1_queue_config_ok(const struct x1_core *core, const struct x1_qcfg *c);
uint32_t x1_queue_reg_read(struct x1_queue *q, uint32_t reg);
void x1_queue_reg_write(struct x1_queue *q, uint32_t reg, uint32_t val, bool mc);
void x1_gate_write(struct x1_core *core, uint64_t gate);

/* ---- cmdproc.c ---- */
/* Process commands of a pinned queue whose front end this worker owns; no lock held. */
void x1_front_run(struct x1_worker *w, struct x1_queue *q);
/* The command at the front has retired or gone to the model; take the next. Lock held. */
void x1_front_done(struct x1_queue *q);
/*
 * An aligned word to be written: its place as x1_mem_word() gives it, then the
 * store, after everything stored before. 0, or -1 with *rec.
 */
int x1_sync_word(struct x1_worker *w, uint32_t vm, uint64_t addr, uint64_t **ptr, uint64_t *key,
		 struct x1_fault_rec *rec);
int x1_sync_store(struct x1_worker *w, uint64_t addr, uint64_t *ptr, uint64_t value,
		  struct x1_fault_rec *rec);
void x1_prog_put(struct x1_prog *p);
/* Write-back of RPTR where it is behind; no lock held, queue pinned. */
void x1_rptr_writeback(struct x1_worker *w, struct x1_queue *q);

/* ---- dispatch.c ---- */
void x1_workers_start(struct x1_core *core); /* lock held */
void x1_workers_stop(struct x1_core *core);
void x1_wake(struct x1_core *core, unsigned int n); /* lock held */
extern _Thread_local bool x1_is_worker;
struct x1_launch *x1_launch_new(struct x1_core *core);
void x1_launch_put(struct x1_core *core, struct x1_launch *l); /* lock held */
/* Drop a launch that does not go on; running work-groups leave soon. Lock held. */
void x1_launch_drop(struct x1_queue *q);
uint32_t x1_healthy_in(const struct x1_core *core, uint32_t first, uint32_t count);
/* Run the work-groups of a LAUNCH as far as this worker can. Lock held, dropped meanwhile. */
void x1_launch_run(struct x1_worker *w, struct x1_queue *q);
/* All work-groups done: to the event model, or retired at once. Lock held. */
void x1_launch_complete(struct x1_queue *q, struct x1_launch *l);
/* The MCUs of a cooperative grid are free again. Lock held. */
void x1_coop_release(struct x1_core *core, struct x1_launch *l);
void x1_units_free(struct x1_core *core);

/* ---- mmu.c ---- */
void x1_mem_init(struct x1_mem *mem, struct x1_worker *w);
void x1_mem_set(struct x1_mem *mem, uint32_t vm, uint32_t unit, const _Atomic uint32_t *stop);
void x1_mem_flush_dirty(struct x1_mem *mem);
/*
 * An aligned 64-bit word: *ptr (NULL: system memory without mapping) and *key,
 * its physical identity, by which FENCE and WAIT meet. 0, or -1 with *rec.
 */
int x1_mem_word(struct x1_mem *mem, uint64_t dva, enum x1_access access, uint64_t **ptr,
		uint64_t *key, struct x1_fault_rec *rec);
/* x1_mem_read() with execute permission. */
int x1_mem_fetch(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len,
		 struct x1_fault_rec *rec);
/* Acknowledge invalidations; the caller holds no span. Lock held. */
void x1_mem_ack(struct x1_mem *mem);

/* ---- sysmap.c ---- */
/* Direct pointer to a page of system memory. 0, -ENOTSUP or -EFAULT. */
int x1_sysmap_get(struct x1_core *core, uint64_t bus, uint64_t len, bool write, uint8_t **ptr);
/* Move mappings that intersect to the dying list of generation gen. */
void x1_sysmap_drop(struct x1_core *core, uint64_t bus, uint64_t len, uint64_t gen);
/* Mappings dying since `gen` or before may go. Lock held. */
void x1_sysmap_reap(struct x1_core *core, uint64_t gen);
void x1_sysmap_unmap_list(struct x1_core *core, struct x1_sysmap_entry *list);
int x1_sysmap_init(struct x1_core *core);
void x1_sysmap_fini(struct x1_core *core);

/* ---- inject.c ---- */
/* Everything is whole again. Lock held. */
void x1_inject_clear(struct x1_core *core);
/* May [off, off + len) of HBM be used? 0 or X1_FAULT_ECC. No lock held. */
uint32_t x1_inject_hbm(struct x1_core *core, uint64_t off, uint64_t len);
/* Is one of its pages bad? */
bool x1_inject_near(struct x1_core *core, uint64_t off, uint64_t len);
/* One of the counted faults, if any is left. */
bool x1_inject_take(_Atomic uint32_t *left);

/* ---- inval.c (lock held) ---- */
void x1_inval_submit(struct x1_core *core, uint32_t seq);
/* Complete what every thread has acknowledged. */
void x1_inval_check(struct x1_core *core);
uint64_t x1_inval_bump(struct x1_core *core);
uint64_t x1_inval_acked(struct x1_core *core);

/* ---- timing.c ---- */
struct x1_tcmd *x1_tcmd_get(struct x1_core *core);          /* lock held */
void x1_tcmd_put(struct x1_core *core, struct x1_tcmd *tc); /* lock held */
/* Append to the owner's list. Lock held. */
void x1_tm_post(struct x1_core *core, struct x1_tm_op op);
/* Give a functionally finished command to the model. Lock held. */
void x1_tm_submit(struct x1_queue *q, struct x1_tcmd *tc);
/* Take over what was posted. Nobody owns the model, lock held. */
void x1_tm_settle(struct x1_core *core);
/* A command that was loaded into the model. Lock held. */
void x1_tm_adopt(struct x1_queue *q, const struct x1_tcmd *tc);
/* Run the event model if nobody else does. No lock held. */
void x1_tm_pump(struct x1_worker *w);
/* Effects of a completed sync command; no lock held, queue pinned. */
void x1_retire_sync(struct x1_worker *w, struct x1_queue *q, struct x1_tcmd *tc, uint64_t end);
/* Bookkeeping of a retired command. Lock held. */
void x1_retire(struct x1_queue *q, bool ring, uint32_t ring_idx);
uint64_t x1_tm_fence_time(struct x1_core *core, uint64_t key, uint64_t value);
uint64_t x1_tm_lapse(struct x1_core *core, uint64_t now);     /* lock held */
void x1_telemetry_sample(struct x1_core *core, uint64_t now); /* lock held */
/* The last window's power at the present clock. Lock held. */
struct x1_power_now x1_power_scaled(const struct x1_core *core);
uint64_t x1_clock_now_hz(const struct x1_core *core);       /* lock held */
uint64_t x1_device_time_ns(struct x1_core *core);           /* lock held */
void x1_set_throttle(struct x1_core *core, uint32_t steps); /* lock held */
uint64_t x1_clock(void *core);

/* ---- timeline.c (lock held) ---- */
uint32_t x1_timeline_read(struct x1_core *core, uint32_t off);
/* Does its ring lie in HBM? */
bool x1_timeline_ok(const struct x1_core *core);
void x1_timeline_write(struct x1_core *core, uint32_t off, uint32_t val);
void x1_timeline_put(struct x1_core *core, const struct x1_tl_event *ev, uint32_t n);
void x1_timeline_fault(struct x1_core *core, uint32_t queue, uint32_t code, uint32_t mcu);
/* For the event model: takes the lock itself. */
void x1_timeline_flush(void *core, const struct x1_tl_event *ev, uint32_t n);

/* ---- bist.c ---- */
/* Run the built-in test on an MCU: 0, or an enum x1_fault. Lock held. */
uint32_t x1_bist_run(struct x1_core *core, uint32_t mcu);
void x1_bist_free(struct x1_bist *b);

/* ---- mgmt.c (lock held, except fini) ---- */
int x1_mgmt_init(struct x1_core *core);
void x1_mgmt_fini(struct x1_core *core);
void x1_mgmt_boot(struct x1_core *core);
void x1_mgmt_halt(struct x1_core *core);
/* Stop firmware that hangs; take another image in its place. */
void x1_mgmt_hung(struct x1_core *core);
void x1_mgmt_update(struct x1_core *core);
bool x1_mgmt_updating(struct x1_core *core);
/* The firmware wrote X1_REG_FW_STATE. */
void x1_mgmt_state(struct x1_core *core, uint32_t state);
uint32_t x1_mgmt_dump_word(struct x1_core *core, uint32_t index);
/* It stops on purpose: with a crash record, or without a word. */
void x1_mgmt_break(struct x1_core *core, bool crash);
void x1_mgmt_irq(struct x1_core *core, uint32_t bits);
bool x1_mgmt_parked(struct x1_core *core);
void x1_mgmt_save(struct x1_core *core, struct x1_out *o);
void x1_mgmt_load(struct x1_core *core, struct x1_in *in);
/* Firmware was loaded as running, or about to boot: go on with it. */
void x1_mgmt_start(struct x1_core *core);

static inline uint64_t x1_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t x1_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif /* X1_INT_H */
