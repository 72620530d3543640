// SPDX-License-Identifier: MIT
/*
 * Command processor: fetches, checks and executes the commands of one queue.
 *
 * A command is copied out of guest memory once; only the copy is looked at.
 * What comes from the ring acts on the ring VM (except LAUNCH, COPY, FILL);
 * what comes through CALL acts on the user VM alone.
 */
#include <stdlib.h>
#include <string.h>

#include "x1_int.h"

#define BATCH      64           /* commands before other queues get a turn */
#define PIECE      (1ull << 20) /* bytes of COPY and FILL between looks */
#define WAIT_FIRST 2000ull      /* ns between two looks at a WAIT's value */
#define WAIT_MAX   200000ull
#define EXTENT_MAX (1ull << 30)

enum outcome {
	DONE, /* functionally complete */
	FAULT,
	LEAVE,  /* told to stop: the command goes on later */
	WAIT,   /* not satisfied */
	LAUNCH, /* checked; then q->launch executes */
	COOP,   /* cooperative LAUNCH: not enough MCUs free */
	SYNC,   /* takes effect when the event model is there too */
};

static uint32_t sync_vm(const struct x1_queue *q)
{
	return q->cur_call ? q->act.user_vm : q->act.ring_vm;
}

/* A fault of the command itself. */
static enum outcome bad(struct x1_queue *q, struct x1_fault_rec *rec, uint32_t code, uint64_t value)
{
	*rec = (struct x1_fault_rec){
		.code = code,
		.unit = X1_UNIT_CMD,
		.mcu = X1_FAULT_MCU_NONE,
		.addr = value,
		.vm = sync_vm(q),
		.pc = UINT32_MAX,
	};
	return FAULT;
}

static bool any(const uint64_t *words, unsigned int n)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum |= words[i];
	return sum;
}

/* ---- fetch ---- */

/*
 * Read the next commands into fbuf. Returns 0, or -1 with *rec. Called without
 * the lock: `avail` commands were there when it was held.
 */
static int fetch(struct x1_worker *w, struct x1_queue *q, uint32_t avail, struct x1_fault_rec *rec)
{
	uint32_t mask = (1u << q->act.ring_log2) - 1;
	uint32_t pos = q->fetched & mask, n = avail < X1_FETCH_BATCH ? avail : X1_FETCH_BATCH;
	uint64_t dva;

	if (q->call_left) {
		dva = q->call_dva;
		x1_mem_set(&w->mem, q->act.user_vm, X1_UNIT_FETCH, &q->stop);
	} else {
		if (n > mask + 1 - pos)
			n = mask + 1 - pos;
		dva = q->act.ring + (uint64_t)pos * X1_CMD_BYTES;
		x1_mem_set(&w->mem, q->act.ring_vm, X1_UNIT_FETCH, &q->stop);
	}
	/* Not over a page: what follows may be unmapped and never executed. */
	if (n > (X1_PAGE_SIZE - dva % X1_PAGE_SIZE) / X1_CMD_BYTES)
		n = (X1_PAGE_SIZE - dva % X1_PAGE_SIZE) / X1_CMD_BYTES;
	q->fb_pos = q->fb_len = 0;
	if (x1_mem_read(&w->mem, dva, q->fbuf, (uint64_t)n * X1_CMD_BYTES, rec))
		return -1;
	q->fb_len = n;
	return 0;
}

/* ---- LAUNCH ---- */

void x1_prog_put(struct x1_prog *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	x1_program_free(p->code);
	free(p);
}

/* Compare the guest's bytes with a cached image: 1 equal, 0 not, -1 fault. */
static int prog_same(struct x1_worker *w, const struct x1_prog *p, struct x1_fault_rec *rec)
{
	uint64_t run;

	for (uint64_t off = 0; off < p->bytes; off += run) {
		const void *ptr = x1_mem_span(&w->mem, p->dva + off, p->bytes - off, X1_ACCESS_EXEC,
					      &run, rec);

		if (!ptr && rec->code)
			return -1;
		if (!ptr) {
			run = x1_min64(run, sizeof(w->bounce));
			if (x1_mem_fetch(&w->mem, p->dva + off, w->bounce, run, rec))
				return -1;
			ptr = w->bounce;
		}
		if (memcmp(ptr, p->image + off, run))
			return 0;
	}
	return 1;
}

/* The decoded program of a LAUNCH, with a reference; NULL with *rec. */
static struct x1_prog *prog_get(struct x1_worker *w, struct x1_queue *q,
				const struct x1_cmd_launch *c, struct x1_fault_rec *rec)
{
	unsigned int victim = 0;
	struct x1_prog *p;

	x1_mem_set(&w->mem, q->act.user_vm, X1_UNIT_SEQ, &q->stop);
	for (unsigned int i = 0; i < X1_PROG_CACHE; i++) {
		int same;

		p = q->progs[i];
		if (!p || p->dva != c->program || p->bytes != c->program_bytes ||
		    p->num_insns != c->num_insns) {
			if (q->progs[victim] && (!p || p->used < q->progs[victim]->used))
				victim = i;
			continue;
		}
		same = prog_same(w, p, rec);
		if (same < 0)
			return NULL;
		if (same) {
			p->used = ++q->prog_stamp;
			atomic_fetch_add(&p->refs, 1);
			return p;
		}
		victim = i;
		break;
	}
	p = calloc(1, sizeof(*p) + c->program_bytes);
	if (!p) {
		bad(q, rec, X1_FAULT_BAD_PROGRAM, c->program);
		return NULL;
	}
	p->dva = c->program;
	p->bytes = c->program_bytes;
	p->num_insns = c->num_insns;
	if (x1_mem_fetch(&w->mem, p->dva, p->image, p->bytes, rec)) {
		free(p);
		return NULL;
	}
	memset(rec, 0, sizeof(*rec));
	p->code = x1_program_decode(p->image, p->bytes, p->num_insns, rec);
	if (!p->code) {
		uint32_t code = rec->code ? rec->code : X1_FAULT_BAD_PROGRAM, pc = rec->pc;
		uint64_t addr = rec->addr ? rec->addr : c->program;

		bad(q, rec, code, addr);
		rec->unit = X1_UNIT_SEQ;
		rec->vm = q->act.user_vm;
		rec->pc = pc;
		free(p);
		return NULL;
	}
	p->used = ++q->prog_stamp;
	atomic_store(&p->refs, 2);
	x1_prog_put(q->progs[victim]);
	q->progs[victim] = p;
	return p;
}

static enum outcome check_launch(struct x1_queue *q, const struct x1_cmd_launch *c,
				 struct x1_fault_rec *rec)
{
	bool indirect = c->hdr.flags & X1_LAUNCH_GRID_INDIRECT;

	if (c->hdr.flags & ~X1_LAUNCH_FLAGS)
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.flags);
	if (c->reserved || (!indirect && c->grid_dva))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->reserved ? c->reserved : c->grid_dva);
	if (c->program % 64 || !c->program_bytes || c->program_bytes > X1_MAX_PROGRAM_BYTES ||
	    c->program_bytes % X1_INSN_BYTES)
		return bad(q, rec, X1_FAULT_BAD_PROGRAM,
			   c->program % 64 ? c->program : c->program_bytes);
	if (!c->num_insns || c->num_insns > c->program_bytes / X1_INSN_BYTES)
		return bad(q, rec, X1_FAULT_BAD_PROGRAM, c->num_insns);
	if (c->num_args > X1_MAX_ARGS)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->num_args);
	if (c->num_args && c->args % 8)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->args);
	if (indirect && c->grid_dva % 4)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->grid_dva);
	return DONE;
}

/* A LAUNCH that was read and checked, about to start. */
struct start {
	struct x1_prog *prog;
	uint32_t grid[3], total;
	uint64_t args[X1_MAX_ARGS];
};

static enum outcome exec_launch(struct x1_worker *w, struct x1_queue *q, struct start *st,
				struct x1_fault_rec *rec)
{
	const struct x1_cmd_launch *c = &q->cur.launch;
	uint64_t total = 1;

	if (check_launch(q, c, rec) == FAULT)
		return FAULT;
	x1_mem_set(&w->mem, q->act.user_vm, X1_UNIT_CMD, &q->stop);
	memcpy(st->grid, c->grid, sizeof(st->grid));
	if (c->hdr.flags & X1_LAUNCH_GRID_INDIRECT &&
	    x1_mem_read(&w->mem, c->grid_dva, st->grid, sizeof(st->grid), rec))
		return FAULT;
	for (unsigned int i = 0; i < 3; i++) {
		total *= st->grid[i];
		if (!total || total > X1_MAX_GRID)
			return bad(q, rec, X1_FAULT_BAD_FIELD, st->grid[i]);
	}
	st->total = (uint32_t)total;
	if (c->num_args && x1_mem_read(&w->mem, c->args, st->args, c->num_args * 8ull, rec))
		return FAULT;
	st->prog = prog_get(w, q, c, rec);
	return st->prog ? LAUNCH : FAULT;
}

/* Room for the traces of all work-groups; false without memory. */
static bool take_traces(struct x1_tcmd *tc, uint32_t total)
{
	if (total == 1)
		return true;
	tc->many = calloc(total, sizeof(*tc->many));
	if (!tc->many)
		return false;
	tc->num_many = total;
	for (uint32_t i = 0; i < total; i++)
		x1_trace_init(&tc->many[i]);
	return true;
}

/* The device's part of a LAUNCH, which takes over the program. NULL without memory. */
static struct x1_launch *new_launch(struct x1_queue *q, const struct start *st)
{
	const struct x1_cmd_launch *c = &q->cur.launch;
	struct x1_core *core = q->core;
	struct x1_launch *l = x1_launch_new(core);

	if (!l)
		return NULL;
	l->q = q;
	l->tag = c->hdr.tag;
	l->total = st->total;
	l->num_mcus = q->act.mcu_count ? q->act.mcu_count : core->cfg.mcus;
	l->first_mcu = q->act.mcu_first;
	memcpy(l->grid.size, st->grid, sizeof(l->grid.size));
	l->grid.total = st->total;
	l->grid.args_dva = c->num_args ? c->args : 0;
	l->grid.num_args = c->num_args;
	memcpy(l->grid.args, st->args, c->num_args * sizeof(st->args[0]));
	l->grid.vm = q->act.user_vm;
	l->grid.cooperative = c->hdr.flags & X1_LAUNCH_COOPERATIVE;
	l->grid.trace = core->cfg.timing;
	l->grid.budget = q->act.budget;
	l->grid.clock = x1_clock;
	l->grid.clock_arg = core;
	if (core->cfg.timing) {
		l->tc = x1_tcmd_get(core);
		if (l->tc) {
			l->tc->op = X1_CMD_LAUNCH;
			l->tc->vm = q->act.user_vm;
		}
		if (!l->tc || !take_traces(l->tc, st->total))
			goto fail;
	}
	l->grid.prog = st->prog->code;
	l->prog = st->prog;
	return l;
fail:
	x1_launch_put(core, l);
	return NULL;
}

/* Lock held. */
static enum outcome start_launch(struct x1_worker *w, struct x1_queue *q, const struct start *st,
				 struct x1_fault_rec *rec)
{
	struct x1_core *core = q->core;
	bool coop = q->cur.hdr.flags & X1_LAUNCH_COOPERATIVE;
	uint32_t healthy = x1_healthy_in(core, q->act.mcu_first, q->act.mcu_count);
	enum outcome out = LAUNCH;
	struct x1_launch *l = NULL;

	if (w->epoch != core->epoch)
		out = LEAVE;
	else if (!healthy)
		out = bad(q, rec, X1_FAULT_NO_MCU, 0);
	else if (coop && st->total > healthy)
		out = bad(q, rec, X1_FAULT_GRID, st->total);
	else if (coop && st->total > core->coop_free)
		out = COOP;
	else if (!(l = new_launch(q, st)))
		out = bad(q, rec, X1_FAULT_NO_MCU, 0);
	if (!l) {
		x1_prog_put(st->prog);
		return out;
	}
	if (coop) {
		l->coop_reserved = st->total;
		core->coop_free -= st->total;
	}
	if (atomic_load(&q->stop))
		atomic_store(&l->stop, 1);
	q->launch = l;
	q->front = X1_FRONT_LAUNCH;
	x1_queue_expect(q);
	if (st->total > 1)
		x1_wake(core, (unsigned int)x1_min64(st->total - 1, core->num_workers));
	return out;
}

/* ---- COPY, FILL ---- */

static enum outcome check_rows(struct x1_queue *q, uint64_t bytes, uint32_t rows,
			       struct x1_fault_rec *rec)
{
	if (!rows)
		return bad(q, rec, X1_FAULT_BAD_FIELD, rows);
	if (bytes > X1_MAX_COPY_BYTES / rows)
		return bad(q, rec, X1_FAULT_BAD_FIELD, bytes);
	return DONE;
}

static void fill_pattern(uint8_t *dst, uint64_t n, uint64_t pattern, uint32_t bytes, uint64_t phase)
{
	uint8_t pat[8];

	for (unsigned int i = 0; i < 8; i++)
		pat[i] = (uint8_t)(pattern >> (i % bytes) * 8);
	if (bytes == 1) {
		memset(dst, pat[0], n);
		return;
	}
	/* Rotate to the phase, then double what is there. */
	for (uint64_t i = 0; i < n && i < 8; i++)
		dst[i] = pat[(phase + i) % bytes];
	for (uint64_t have = 8; have < n; have *= 2)
		memcpy(dst + have, dst, x1_min64(have, n - have));
}

/* One piece of a row, of at most PIECE bytes. Returns bytes done, 0 with *rec. */
static uint64_t copy_piece(struct x1_worker *w, uint64_t src, uint64_t dst, uint64_t n,
			   struct x1_fault_rec *rec)
{
	struct x1_mem *mem = &w->mem;
	uint64_t run_s, run_d;
	const void *s = x1_mem_span(mem, src, n, X1_ACCESS_READ, &run_s, rec);
	void *d;

	if (!s && rec->code)
		return 0;
	d = x1_mem_span(mem, dst, n, X1_ACCESS_WRITE, &run_d, rec);
	if (!d && rec->code)
		return 0;
	n = x1_min64(run_s, run_d);
	if (s && d) {
		memmove(d, s, n);
		x1_mem_dirty(mem, dst, d, n);
		return n;
	}
	n = x1_min64(n, sizeof(w->bounce));
	if (x1_mem_read(mem, src, w->bounce, n, rec) || x1_mem_write(mem, dst, w->bounce, n, rec))
		return 0;
	return n;
}

static uint64_t fill_piece(struct x1_worker *w, const struct x1_cmd_fill *c, uint64_t dst,
			   uint64_t phase, uint64_t n, struct x1_fault_rec *rec)
{
	struct x1_mem *mem = &w->mem;
	uint64_t run;
	void *d = x1_mem_span(mem, dst, n, X1_ACCESS_WRITE, &run, rec);

	if (!d && rec->code)
		return 0;
	if (d) {
		fill_pattern(d, run, c->pattern, c->pattern_bytes, phase);
		x1_mem_dirty(mem, dst, d, run);
		return run;
	}
	n = x1_min64(run, sizeof(w->bounce));
	fill_pattern(w->bounce, n, c->pattern, c->pattern_bytes, phase);
	return x1_mem_write(mem, dst, w->bounce, n, rec) ? 0 : n;
}

static enum outcome exec_copy(struct x1_worker *w, struct x1_queue *q, struct x1_fault_rec *rec)
{
	const struct x1_cmd_copy *c = &q->cur.copy;
	const struct x1_cmd_fill *f = &q->cur.fill;
	bool fill = q->cur.hdr.op == X1_CMD_FILL;
	uint64_t bytes = fill ? f->bytes : c->bytes;
	uint32_t rows = fill ? f->rows : c->rows;

	if (q->cur.hdr.flags)
		return bad(q, rec, X1_FAULT_BAD_COMMAND, q->cur.hdr.flags);
	if (fill) {
		if (any(f->reserved, 2))
			return bad(q, rec, X1_FAULT_BAD_COMMAND, f->reserved[0] | f->reserved[1]);
		if (f->pattern_bytes != 1 && f->pattern_bytes != 2 && f->pattern_bytes != 4 &&
		    f->pattern_bytes != 8)
			return bad(q, rec, X1_FAULT_BAD_FIELD, f->pattern_bytes);
		if (f->bytes % f->pattern_bytes)
			return bad(q, rec, X1_FAULT_BAD_FIELD, f->bytes);
	} else if (c->reserved0 || c->reserved1) {
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->reserved0 | c->reserved1);
	}
	if (check_rows(q, bytes, rows, rec) == FAULT)
		return FAULT;
	x1_mem_set(&w->mem, q->act.user_vm, X1_UNIT_COPY, &q->stop);
	while (bytes && q->copy_row < rows) {
		uint64_t left = x1_min64(bytes - q->copy_off, PIECE), n;

		if (x1_mem_quiesce(&w->mem))
			return LEAVE;
		if (fill)
			n = fill_piece(w, f,
				       f->dst + q->copy_row * (uint64_t)f->pitch + q->copy_off,
				       q->copy_off, left, rec);
		else
			n = copy_piece(w,
				       c->src + q->copy_row * (uint64_t)c->src_pitch + q->copy_off,
				       c->dst + q->copy_row * (uint64_t)c->dst_pitch + q->copy_off,
				       left, rec);
		if (!n)
			return FAULT;
		q->copy_off += n;
		if (q->copy_off == bytes) {
			q->copy_off = 0;
			q->copy_row++;
		}
	}
	q->copy_row = q->copy_off = 0;
	return DONE;
}

/* ---- memory words ---- */

int x1_sync_word(struct x1_worker *w, uint32_t vm, uint64_t addr, uint64_t **ptr, uint64_t *key,
		 struct x1_fault_rec *rec)
{
	x1_mem_set(&w->mem, vm, X1_UNIT_CMD, NULL);
	return x1_mem_word(&w->mem, addr, X1_ACCESS_WRITE, ptr, key, rec);
}

int x1_sync_store(struct x1_worker *w, uint64_t addr, uint64_t *ptr, uint64_t value,
		  struct x1_fault_rec *rec)
{
	struct x1_mem *mem = &w->mem;

	x1_mem_flush_dirty(mem);
	if (!ptr)
		return x1_mem_write(mem, addr, &value, sizeof(value), rec);
	__atomic_store_n(ptr, value, __ATOMIC_RELEASE);
	x1_mem_dirty(mem, addr, ptr, sizeof(value));
	x1_mem_flush_dirty(mem);
	return 0;
}

static enum outcome exec_wait(struct x1_worker *w, struct x1_queue *q, struct x1_fault_rec *rec)
{
	const struct x1_cmd_sync *c = &q->cur.sync;
	uint64_t *ptr, value;

	x1_mem_set(&w->mem, sync_vm(q), X1_UNIT_CMD, &q->stop);
	if (x1_mem_word(&w->mem, c->addr, X1_ACCESS_READ, &ptr, &q->wait_key, rec))
		return FAULT;
	/* Who writes the word and then looks for those who wait sees us, or we the value. */
	atomic_thread_fence(memory_order_seq_cst);
	if (ptr)
		value = __atomic_load_n(ptr, __ATOMIC_ACQUIRE);
	else if (x1_mem_read(&w->mem, c->addr, &value, sizeof(value), rec))
		return FAULT;
	return value >= c->value ? DONE : WAIT;
}

static enum outcome check_sync(struct x1_queue *q, struct x1_fault_rec *rec)
{
	const struct x1_cmd_sync *c = &q->cur.sync;

	if (c->hdr.flags & ~(c->hdr.op == X1_CMD_FENCE ? X1_FENCE_FLAGS : 0))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.flags);
	if (any(c->reserved, 5) || (c->hdr.op == X1_CMD_TIMESTAMP && c->value))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->value);
	if (c->addr % 8)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->addr);
	return SYNC;
}

static enum outcome exec_call(struct x1_queue *q, struct x1_fault_rec *rec)
{
	const struct x1_cmd_call *c = &q->cur.call;

	if (q->cur_call || c->hdr.flags || c->reserved0 || any(c->reserved1, 5))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.op);
	if (!c->count || c->count > X1_MAX_CALL)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->count);
	if (c->addr % X1_CMD_BYTES)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->addr);
	return DONE;
}

static enum outcome exec_perf(struct x1_queue *q, struct x1_fault_rec *rec)
{
	const struct x1_cmd_perf *c = &q->cur.perf;

	if (c->hdr.flags || any(c->reserved, 6) || (c->hdr.op == X1_CMD_PERF_BEGIN && c->addr))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.flags);
	if (c->addr % 64)
		return bad(q, rec, X1_FAULT_BAD_FIELD, c->addr);
	return SYNC;
}

static enum outcome exec_plain(struct x1_queue *q, uint32_t flags, struct x1_fault_rec *rec)
{
	const struct x1_cmd_plain *c = &q->cur.plain;

	if (c->hdr.flags & ~flags)
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.flags);
	if (any(c->reserved, 7))
		return bad(q, rec, X1_FAULT_BAD_COMMAND, c->hdr.op);
	return DONE;
}

static enum outcome execute(struct x1_worker *w, struct x1_queue *q, struct start *st,
			    struct x1_fault_rec *rec)
{
	switch (q->cur.hdr.op) {
	case X1_CMD_NOP:
	case X1_CMD_BARRIER:
		return exec_plain(q, 0, rec);
	case X1_CMD_FLUSH:
		return exec_plain(q, X1_FLUSH_FLAGS, rec);
	case X1_CMD_LAUNCH:
		return exec_launch(w, q, st, rec);
	case X1_CMD_COPY:
	case X1_CMD_FILL:
		return exec_copy(w, q, rec);
	case X1_CMD_WAIT:
		if (check_sync(q, rec) == FAULT)
			return FAULT;
		return exec_wait(w, q, rec);
	case X1_CMD_FENCE:
	case X1_CMD_TIMESTAMP:
		return check_sync(q, rec);
	case X1_CMD_CALL:
		return exec_call(q, rec);
	case X1_CMD_PERF_BEGIN:
	case X1_CMD_PERF_END:
		return exec_perf(q, rec);
	default:
		return bad(q, rec, X1_FAULT_BAD_COMMAND, q->cur.hdr.op);
	}
}

/* ---- retiring ---- */

void x1_rptr_writeback(struct x1_worker *w, struct x1_queue *q)
{
	struct x1_core *core = q->core;
	struct x1_fault_rec rec;

	x1_lock(core);
	while (w->epoch == core->epoch && q->act.rptr_addr && !q->rptr_busy &&
	       q->rptr_written != q->rptr && q->state == X1_Q_STATE_READY && !q->fault_pending) {
		uint64_t value = q->rptr;
		int err;

		q->rptr_busy = true;
		q->rptr_written = (uint32_t)value;
		x1_unlock(core);
		x1_mem_set(&w->mem, q->act.ring_vm, X1_UNIT_FETCH, NULL);
		err = x1_mem_write(&w->mem, q->act.rptr_addr, &value, sizeof(value), &rec);
		x1_mem_flush_dirty(&w->mem);
		x1_lock(core);
		if (w->epoch != core->epoch)
			break;
		q->rptr_busy = false;
		if (err)
			x1_queue_fault(q, &rec);
	}
	x1_unlock(core);
}

/* Extents of a COPY or FILL for the event model, in pieces that fit its counters. */
static void set_extents(struct x1_worker *w, struct x1_queue *q, struct x1_tcmd *tc)
{
	const struct x1_cmd_copy *c = &q->cur.copy;
	const struct x1_cmd_fill *f = &q->cur.fill;
	bool fill = q->cur.hdr.op == X1_CMD_FILL;
	uint64_t bytes = fill ? f->bytes : c->bytes;
	uint32_t rows = fill ? f->rows : c->rows;
	int64_t step_w = fill ? f->pitch : c->dst_pitch, step_r = fill ? 0 : c->src_pitch;

	/* A row too long for one extent stands alone or nearly so: cut evenly. */
	while (bytes > EXTENT_MAX) {
		bytes /= 2;
		rows *= 2;
		step_w = step_r = (int64_t)bytes;
	}
	x1_mem_set(&w->mem, q->act.user_vm, X1_UNIT_COPY, NULL);
	tc->t.write = (struct x1_tr_extent){
		.dva = fill ? f->dst : c->dst,
		.bytes = (uint32_t)bytes,
		.count = rows,
		.step = step_w,
		.system = x1_mem_is_system(&w->mem, fill ? f->dst : c->dst),
	};
	if (!fill)
		tc->t.read = (struct x1_tr_extent){
			.dva = c->src,
			.bytes = (uint32_t)bytes,
			.count = rows,
			.step = step_r,
			.system = x1_mem_is_system(&w->mem, c->src),
		};
}

/* A CALL retires with the last of its commands. */
static bool retires_ring(const struct x1_queue *q)
{
	return !q->cur_call || !q->call_left;
}

/* Lock held. */
static void set_tcmd(struct x1_queue *q, struct x1_tcmd *tc)
{
	tc->gen = q->gen;
	tc->ring = retires_ring(q);
	tc->ring_idx = q->fetched;
	tc->op = q->cur.hdr.op;
	tc->flags = q->cur.hdr.flags;
	tc->tag = q->cur.hdr.tag;
	tc->vm = sync_vm(q);
	tc->addr = tc->value = 0;
	if (tc->op == X1_CMD_FENCE || tc->op == X1_CMD_TIMESTAMP) {
		tc->addr = q->cur.sync.addr;
		tc->value = q->cur.sync.value;
	} else if (tc->op == X1_CMD_PERF_END) {
		tc->addr = q->cur.perf.addr;
	}
}

void x1_launch_complete(struct x1_queue *q, struct x1_launch *l)
{
	struct x1_core *core = q->core;
	struct x1_tcmd *tc = l->tc;

	q->launch = NULL;
	if (l->coop_reserved)
		x1_coop_release(core, l);
	l->tc = NULL;
	if (tc) {
		set_tcmd(q, tc);
		tc->vm = q->act.user_vm;
		tc->t.wg = tc->many ? tc->many : &tc->one;
		tc->t.num_wgs = l->total;
		tc->sync = q->act.budget != 0;
		x1_tm_submit(q, tc);
		if (tc->sync)
			q->front = X1_FRONT_SYNC;
		else
			x1_front_done(q);
	} else {
		x1_retire(q, retires_ring(q), q->fetched);
		x1_front_done(q);
	}
	x1_launch_put(core, l);
}

void x1_front_done(struct x1_queue *q)
{
	q->front = X1_FRONT_NONE;
	q->arrival = 0;
	x1_queue_expect(q);
}

/* When the FENCE came that ended the WAIT at the front; 0 = it was none of this device. */
static uint64_t fence_time(const struct x1_queue *q)
{
	uint64_t at = x1_tm_fence_time(q->core, q->wait_key, q->cur.sync.value);

	return at == X1_NEVER ? 0 : at;
}

/* What follows an executed command. Lock held; false = leave the queue. */
static bool after(struct x1_worker *w, struct x1_queue *q, enum outcome out,
		  struct x1_fault_rec *rec)
{
	struct x1_core *core = q->core;
	struct x1_tcmd *tc;
	bool timing = core->cfg.timing;

	switch (out) {
	case FAULT:
		rec->tag = q->cur.hdr.tag;
		x1_queue_fault(q, rec);
		return false;
	case LEAVE:
		return false;
	case WAIT:
		if (q->wait_hit) {
			q->wait_hit = false;
			return true; /* arrived while we looked: look again, once */
		}
		q->front = X1_FRONT_WAIT;
		q->backoff = q->backoff ? x1_min64(q->backoff * 2, WAIT_MAX) : WAIT_FIRST;
		q->next_poll = x1_now_ns() + q->backoff;
		x1_queue_expect(q);
		return false;
	case COOP:
		q->front = X1_FRONT_COOP;
		x1_queue_expect(q);
		return false;
	case LAUNCH:
		return true;
	case DONE:
	case SYNC:
		break;
	}
	q->backoff = 0;
	q->wait_hit = false;
	if (q->cur.hdr.op == X1_CMD_CALL) {
		q->call_dva = q->cur.call.addr;
		q->call_left = q->cur.call.count;
		q->fb_pos = q->fb_len = 0; /* what else was read of the ring is read again */
		x1_front_done(q);
		return true;
	}
	if (!timing && out == DONE) {
		x1_retire(q, retires_ring(q), q->fetched);
		x1_front_done(q);
		return true;
	}
	tc = x1_tcmd_get(core);
	if (!tc) {
		bad(q, rec, X1_FAULT_NO_MCU, 0);
		rec->tag = q->cur.hdr.tag;
		x1_queue_fault(q, rec);
		return false;
	}
	set_tcmd(q, tc);
	tc->sync = out == SYNC;
	if (timing) {
		if (tc->op == X1_CMD_COPY || tc->op == X1_CMD_FILL) {
			x1_unlock(core);
			set_extents(w, q, tc);
			x1_lock(core);
			if (w->epoch != core->epoch) {
				x1_tcmd_put(core, tc);
				return false;
			}
		}
		if (tc->sync)
			q->front = X1_FRONT_SYNC;
		if (tc->op == X1_CMD_WAIT)
			tc->t.after = fence_time(q);
		x1_tm_submit(q, tc);
		if (!tc->sync) {
			x1_front_done(q);
			return true;
		}
		x1_unlock(core);
		x1_tm_pump(w);
		x1_lock(core);
		return true;
	}
	q->front = X1_FRONT_SYNC;
	x1_unlock(core);
	x1_retire_sync(w, q, tc, 0);
	x1_lock(core);
	return true;
}

/* Take the next command, or see that there is none. Lock held; may drop it. */
static bool next(struct x1_worker *w, struct x1_queue *q)
{
	struct x1_core *core = q->core;
	uint32_t mask = (1u << q->act.ring_log2) - 1, avail;
	struct x1_fault_rec rec;
	int err;

	if (core->gate >> q->id & 1 && !q->call_left)
		return false;
	avail = q->call_left ? q->call_left : q->wptr - q->fetched;
	if (!avail)
		return false;
	if (q->fb_pos == q->fb_len) {
		x1_unlock(core);
		err = fetch(w, q, avail, &rec);
		x1_lock(core);
		if (w->epoch != core->epoch)
			return false;
		if (err) {
			rec.tag = 0;
			rec.wg = 0;
			x1_queue_fault(q, &rec);
			return false;
		}
	}
	q->cur = q->fbuf[q->fb_pos++];
	q->cur_call = q->call_left;
	if (q->cur_call) {
		q->call_left--;
		q->call_dva += X1_CMD_BYTES;
		if (!q->call_left)
			q->fb_pos = q->fb_len = 0;
	} else {
		if (q->stamps) {
			q->arrival = q->stamps[q->fetched & mask];
			q->stamps[q->fetched & mask] = 0;
		}
		q->fetched++;
	}
	q->front = X1_FRONT_EXEC;
	return true;
}

void x1_front_run(struct x1_worker *w, struct x1_queue *q)
{
	struct x1_core *core = q->core;

	x1_lock(core);
	for (unsigned int n = 0; n < BATCH; n++) {
		struct x1_fault_rec rec = {0};
		struct start st;
		enum outcome out;

		if (w->epoch != core->epoch || q->state != X1_Q_STATE_READY || q->fault_pending ||
		    q->hung)
			break;
		if (atomic_load(&core->rest))
			break;
		if (atomic_load(&core->pause) || core->tm_len > 4 * BATCH) {
			x1_unlock(core);
			x1_mem_quiesce(&w->mem);
			x1_tm_pump(w);
			x1_lock(core);
			if (w->epoch != core->epoch)
				break;
			continue;
		}
		if (atomic_load(&core->inv_gen) != atomic_load(&w->seen))
			x1_mem_ack(&w->mem);
		if (q->front == X1_FRONT_LAUNCH) {
			x1_launch_run(w, q);
			if (w->epoch == core->epoch && q->front == X1_FRONT_LAUNCH)
				break;
			continue;
		}
		if (q->front == X1_FRONT_HELD) {
			struct x1_tcmd *tc = q->held;

			q->held = NULL;
			q->front = X1_FRONT_SYNC;
			x1_unlock(core);
			x1_retire_sync(w, q, tc, tc->t.end);
			x1_lock(core);
			continue;
		}
		if (q->front == X1_FRONT_SYNC)
			break;
		if (q->front == X1_FRONT_NONE && !next(w, q))
			break;
		q->front = X1_FRONT_EXEC;
		x1_unlock(core);
		out = execute(w, q, &st, &rec);
		x1_lock(core);
		if (out == LAUNCH)
			out = start_launch(w, q, &st, &rec);
		if (w->epoch != core->epoch || !after(w, q, out, &rec))
			break;
	}
	x1_unlock(core);
	x1_tm_pump(w);
	x1_rptr_writeback(w, q);
}
