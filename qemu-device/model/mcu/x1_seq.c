// SPDX-License-Identifier: MIT
/*
 * Sequencer (manual: ISA, "Order of execution"). Function runs ahead of time:
 * an engine instruction executes as soon as its waits are satisfied, engines
 * being looked at in the order LOAD, MATRIX, VECTOR, STORE after each issue.
 * When neither sequencer nor any engine can go on, that is a deadlock.
 */
#include <string.h>

#include "x1_wg_int.h"

#define QUIESCE_EVERY 1024 /* plain instructions between looks at pending requests */

static bool sems_ready(const struct x1_wg *wg, const uint8_t wait[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t need = i && wait[1] == wait[0] ? 2 : 1;

		if (wait[i] && wg->sem[X1_SEM_INDEX(wait[i])] < need)
			return false;
	}
	return true;
}

static void sems_take(struct x1_wg *wg, const uint8_t wait[2])
{
	for (unsigned int i = 0; i < 2; i++)
		if (wait[i])
			wg->sem[X1_SEM_INDEX(wait[i])]--;
}

static bool sems_signal(struct x1_wg *wg, const struct x1_insn *in, uint32_t unit, uint32_t pc)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t s = X1_SEM_INDEX(in->sig[i]);

		if (!in->sig[i])
			continue;
		if (wg->sem[s] == X1_SEM_MAX)
			return x1_wg_raise(wg, X1_FAULT_SEMAPHORE, unit, pc, s);
		wg->sem[s]++;
	}
	return true;
}

/* ---- engines ---- */

static const struct {
	enum x1_engine engine;
	enum x1_unit unit;
} engine_of[] = {
	[X1_OP_LOAD - X1_OP_LOAD] = {X1_ENGINE_LOAD, X1_UNIT_LOAD},
	[X1_OP_PREFETCH - X1_OP_LOAD] = {X1_ENGINE_LOAD, X1_UNIT_LOAD},
	[X1_OP_STORE - X1_OP_LOAD] = {X1_ENGINE_STORE, X1_UNIT_STORE},
	[X1_OP_MM - X1_OP_LOAD] = {X1_ENGINE_MATRIX, X1_UNIT_MATRIX},
	[X1_OP_VEC - X1_OP_LOAD] = {X1_ENGINE_VECTOR, X1_UNIT_VECTOR},
};

/* Descriptor fields that are signed where they are immediate. */
static bool field_is_signed(unsigned int op, uint32_t i)
{
	if (op == X1_OP_VEC)
		return i == X1_VEC_PARAM || i == X1_VEC_PARAM2;
	if (op == X1_OP_MM)
		return false;
	return (i >= X1_DMA_DIL0 && i < X1_DMA_BOUND0) ||
	       (i >= X1_DMA_MSTRIDE1 && i < X1_DMA_LSTRIDE1);
}

static void read_operands(const struct x1_wg *wg, const struct x1_insn *in, struct x1_issue *is)
{
	struct x1_desc d;

	memcpy(&d, wg->prog->image + in->imm, sizeof(d));
	is->insn = in;
	is->pc = wg->pc;
	is->rd = (int64_t)wg->reg[in->rd];
	is->ra = (int64_t)wg->reg[in->ra];
	is->rb = (int64_t)wg->reg[in->rb];
	for (uint32_t i = 0; i < X1_DESC_FIELDS; i++) {
		if (d.regs >> i & 1)
			is->f[i] = (int64_t)wg->reg[d.f[i]];
		else
			is->f[i] = field_is_signed(in->op, i) ? (int32_t)d.f[i] : (int64_t)d.f[i];
	}
}

static bool is_dma(const struct x1_insn *in)
{
	return in->op == X1_OP_LOAD || in->op == X1_OP_PREFETCH || in->op == X1_OP_STORE;
}

/* The record is made in issue order; extents are filled in at execution. */
static bool trace_issue(struct x1_wg *wg, struct x1_issue *is, const struct x1_cost *cost)
{
	uint32_t n = is_dma(is->insn) ? x1_dma_num_extents(is) : 0;
	struct x1_tr_engine *rec;

	is->trace_off = SIZE_MAX;
	if (!wg->trace)
		return true;
	is->trace_off = wg->trace->len;
	rec = x1_trace_put(wg->trace, sizeof(*rec) + n * sizeof(struct x1_tr_extent));
	if (!rec)
		return x1_wg_raise(wg, X1_FAULT_INJECTED, X1_UNIT_SEQ, is->pc, 0);
	rec->hdr.kind = X1_TR_ENGINE;
	rec->hdr.engine = engine_of[is->insn->op - X1_OP_LOAD].engine;
	rec->hdr.num_extents = (uint16_t)n;
	memcpy(rec->wait, is->insn->wait, 2);
	memcpy(rec->sig, is->insn->sig, 2);
	rec->cycles = cost->cycles;
	rec->local_bytes = cost->local_bytes;
	rec->fmt = cost->fmt;
	rec->flags = cost->flags;
	rec->macs = cost->macs;
	return true;
}

static void trace_extents(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is)
{
	struct x1_tr_engine *rec;

	if (is->trace_off == SIZE_MAX || !is_dma(is->insn))
		return;
	rec = (void *)(wg->trace->buf + is->trace_off);
	x1_dma_extents(wg, mem, is, (void *)(rec + 1), rec->hdr.num_extents);
}

static bool execute(struct x1_wg *wg, struct x1_mem *mem, struct x1_issue *is)
{
	bool ok;

	sems_take(wg, is->insn->wait);
	switch (is->insn->op) {
	case X1_OP_MM:
		ok = x1_mm_run(wg, is);
		break;
	case X1_OP_VEC:
		ok = x1_vec_run(wg, is);
		break;
	default:
		ok = x1_dma_run(wg, mem, is);
		if (ok)
			trace_extents(wg, mem, is);
		break;
	}
	return ok && sems_signal(wg, is->insn, engine_of[is->insn->op - X1_OP_LOAD].unit, is->pc);
}

/* Run whatever can run. false on a fault. */
static bool drain(struct x1_wg *wg, struct x1_mem *mem)
{
	bool progress = true;

	while (progress) {
		progress = false;
		for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
			struct x1_equeue *q = &wg->queue[e];

			while (q->count && sems_ready(wg, q->slot[q->head].insn->wait)) {
				struct x1_issue *is = &q->slot[q->head];

				q->head = (q->head + 1) % X1_ENGINE_QUEUE;
				q->count--;
				if (!execute(wg, mem, is))
					return false;
				progress = true;
			}
		}
	}
	return true;
}

static bool engines_idle(const struct x1_wg *wg)
{
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++)
		if (wg->queue[e].count)
			return false;
	return true;
}

static bool issue(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in)
{
	unsigned int e = engine_of[in->op - X1_OP_LOAD].engine;
	struct x1_equeue *q = &wg->queue[e];
	struct x1_cost cost = {0};
	struct x1_issue *is;
	bool ok;

	if (q->count == X1_ENGINE_QUEUE)
		return x1_wg_raise(wg, X1_FAULT_DEADLOCK, X1_UNIT_SEQ, wg->pc, 0);
	is = &q->slot[(q->head + q->count) % X1_ENGINE_QUEUE];
	read_operands(wg, in, is);
	switch (in->op) {
	case X1_OP_MM:
		ok = x1_mm_check(wg, is, &cost);
		break;
	case X1_OP_VEC:
		ok = x1_vec_check(wg, is, &cost);
		break;
	default:
		ok = x1_dma_check(wg, is, &cost);
		break;
	}
	if (!ok || !trace_issue(wg, is, &cost))
		return false;
	q->count++;
	return drain(wg, mem);
}

/* ---- scalar instructions ---- */

static struct x1_tr_seq *trace_seq(struct x1_wg *wg, uint8_t kind, const struct x1_insn *in,
				   bool extent)
{
	struct x1_tr_seq *rec;

	if (!wg->trace)
		return NULL;
	rec = x1_trace_put(wg->trace, sizeof(*rec) + (extent ? sizeof(struct x1_tr_extent) : 0));
	if (!rec)
		return NULL;
	rec->hdr.kind = kind;
	rec->hdr.engine = X1_ENGINE_SEQ;
	rec->hdr.num_extents = extent;
	rec->count = 1;
	memcpy(rec->wait, in->wait, 2);
	memcpy(rec->sig, in->sig, 2);
	return rec;
}

/* Plain instructions in a row share one record. */
static void trace_scalar(struct x1_wg *wg, const struct x1_insn *in, size_t *run)
{
	struct x1_tr_seq *rec;
	bool sems = in->wait[0] || in->wait[1] || in->sig[0] || in->sig[1];

	if (!wg->trace)
		return;
	if (!sems && *run == wg->trace->len && *run) {
		rec = (void *)(wg->trace->buf + *run - sizeof(*rec));
		rec->count++;
		return;
	}
	rec = trace_seq(wg, X1_TR_SCALAR, in, false);
	if (rec && !sems)
		*run = wg->trace->len;
}

static uint64_t alu(unsigned int op, uint64_t a, uint64_t b, uint64_t d)
{
	switch (op) {
	case X1_OP_ADD:
		return a + b;
	case X1_OP_SUB:
		return a - b;
	case X1_OP_MUL:
		return a * b;
	case X1_OP_DIVU:
		return b ? a / b : UINT64_MAX;
	case X1_OP_REMU:
		return b ? a % b : a;
	case X1_OP_AND:
		return a & b;
	case X1_OP_OR:
		return a | b;
	case X1_OP_XOR:
		return a ^ b;
	case X1_OP_SHL:
		return a << (b & 63);
	case X1_OP_SHR:
		return a >> (b & 63);
	case X1_OP_SAR:
		return (uint64_t)((int64_t)a >> (b & 63));
	case X1_OP_MIN:
		return (int64_t)a < (int64_t)b ? a : b;
	case X1_OP_MAX:
		return (int64_t)a > (int64_t)b ? a : b;
	case X1_OP_SLT:
		return (int64_t)a < (int64_t)b;
	case X1_OP_SLTU:
		return a < b;
	case X1_OP_SEQ:
		return a == b;
	default:
		return d ? a : b; /* SEL */
	}
}

static bool branch_taken(unsigned int op, uint64_t a, uint64_t b)
{
	switch (op) {
	case X1_OP_BEQ:
		return a == b;
	case X1_OP_BNE:
		return a != b;
	case X1_OP_BLT:
		return (int64_t)a < (int64_t)b;
	case X1_OP_BGE:
		return (int64_t)a >= (int64_t)b;
	case X1_OP_BLTU:
		return a < b;
	case X1_OP_BGEU:
		return a >= b;
	default:
		return true; /* JMP */
	}
}

/* A branch out of a loop's body ends the loop. */
static void jump(struct x1_wg *wg, uint32_t target)
{
	while (wg->num_loops && (target < wg->loop[wg->num_loops - 1].start ||
				 target >= wg->loop[wg->num_loops - 1].end))
		wg->num_loops--;
	wg->pc = target;
}

/* After the last instruction of a body: back, or out of it (and of outer ones). */
static void loop_end(struct x1_wg *wg)
{
	while (wg->num_loops && wg->pc == wg->loop[wg->num_loops - 1].end) {
		struct x1_loop *l = &wg->loop[wg->num_loops - 1];

		if (--l->left) {
			wg->pc = l->start;
			return;
		}
		wg->num_loops--;
	}
}

static bool loop_begin(struct x1_wg *wg, const struct x1_insn *in)
{
	uint64_t count = in->op == X1_OP_LOOP
				 ? wg->reg[in->ra]
				 : in->rd | (uint32_t)in->ra << 8 | (uint32_t)in->rb << 16;
	uint32_t end = (uint32_t)in->imm;

	/* A body ends inside the body around it. */
	if (wg->num_loops && end > wg->loop[wg->num_loops - 1].end)
		return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_SEQ, wg->pc, end);
	if (!count) {
		wg->pc = end;
		loop_end(wg);
		return true;
	}
	if (wg->num_loops == X1_LOOP_DEPTH)
		return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_SEQ, wg->pc, count);
	wg->loop[wg->num_loops++] = (struct x1_loop){wg->pc + 1, end, count};
	wg->pc++;
	return true;
}

static void trace_access(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in,
			 uint64_t dva, uint32_t bytes, bool write)
{
	struct x1_tr_seq *rec = trace_seq(wg, X1_TR_SEQ_MEM, in, true);

	if (!rec)
		return;
	rec->flags = write ? X1_TR_F_WRITE : 0;
	*(struct x1_tr_extent *)(rec + 1) = (struct x1_tr_extent){
		.dva = dva, .bytes = bytes, .count = 1, .system = x1_mem_is_system(mem, dva)};
}

static bool scalar_local(struct x1_wg *wg, const struct x1_insn *in)
{
	int64_t addr = (int64_t)(wg->reg[in->ra] + in->imm);
	uint32_t bytes = 1u << in->rb;
	uint8_t *p = x1_wg_local(wg, addr, bytes, in->op == X1_OP_STS);
	uint64_t v = 0;

	if (!p)
		return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_SEQ, wg->pc, (uint64_t)addr);
	if (in->op == X1_OP_STS) {
		memcpy(p, &wg->reg[in->rd], bytes);
	} else {
		memcpy(&v, p, bytes);
		if (in->rd)
			wg->reg[in->rd] = v;
	}
	return true;
}

static bool scalar_mem(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in)
{
	uint64_t dva = wg->reg[in->ra] + in->imm, v = 0;
	uint32_t bytes = 1u << in->rb;
	struct x1_fault_rec rec = {0};
	bool write = in->op == X1_OP_STM;
	int ret;

	if (write)
		ret = x1_mem_write(mem, dva, &wg->reg[in->rd], bytes, &rec);
	else
		ret = x1_mem_read(mem, dva, &v, bytes, &rec);
	if (ret)
		return x1_wg_mem_fault(wg, &rec, X1_UNIT_SEQ, wg->pc);
	if (!write && in->rd)
		wg->reg[in->rd] = v;
	trace_access(wg, mem, in, dva, bytes, write);
	return true;
}

static uint64_t atomic_apply(unsigned int op, void *p, uint32_t bytes, uint64_t v)
{
	uint64_t old, new;

	do {
		uint32_t old32;

		if (bytes == 8) {
			old = __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED);
		} else {
			old = __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED);
			v = (uint32_t)v;
		}
		switch (op) {
		case X1_OP_ATADD:
			new = old + v;
			break;
		case X1_OP_ATMAX:
			new = old > v ? old : v;
			break;
		case X1_OP_ATMIN:
			new = old < v ? old : v;
			break;
		case X1_OP_ATAND:
			new = old &v;
			break;
		case X1_OP_ATOR:
			new = old | v;
			break;
		default: /* STREL */
			new = v;
			break;
		}
		old32 = (uint32_t)old;
		if (bytes == 8) {
			if (__atomic_compare_exchange_n((uint64_t *)p, &old, new, false,
							__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
				return new;
		} else if (__atomic_compare_exchange_n((uint32_t *)p, &old32, (uint32_t) new, false,
						       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			return (uint32_t) new;
		}
	} while (true);
}

/* A word that other work-groups see: STREL, atomics, WAITGE. NULL on a fault. */
static void *shared_word(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in,
			 uint64_t dva, enum x1_access access)
{
	uint32_t bytes = 1u << in->rb;
	struct x1_fault_rec rec = {.addr = dva, .access = access};
	uint64_t run;
	void *p;

	if (dva % bytes) {
		x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_SEQ, wg->pc, dva);
		return NULL;
	}
	p = x1_mem_span(mem, dva, bytes, access, &run, &rec);
	if (!p)
		x1_wg_mem_fault(wg, &rec, X1_UNIT_SEQ, wg->pc);
	return p;
}

static bool release(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in)
{
	uint64_t dva = wg->reg[in->ra] + in->imm;
	uint32_t bytes = 1u << in->rb;
	void *p = shared_word(wg, mem, in, dva, X1_ACCESS_WRITE);
	struct x1_tr_seq *rec;

	if (!p)
		return false;
	atomic_apply(in->op, p, bytes, wg->reg[in->rd]);
	x1_mem_dirty(mem, dva, p, bytes);
	if (in->op == X1_OP_STREL || in->op == X1_OP_ATADD) {
		rec = trace_seq(wg, X1_TR_RELEASE, in, false);
		if (rec) {
			rec->dva = dva;
			rec->value = wg->reg[in->rd];
			rec->flags = in->op == X1_OP_ATADD ? X1_TR_F_ADD : 0;
		}
	} else {
		trace_access(wg, mem, in, dva, bytes, true);
	}
	return true;
}

/* 1 = satisfied, 0 = park, -1 = fault */
static int wait_ge(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in)
{
	uint64_t dva = wg->reg[in->ra] + in->imm, v;
	void *p = shared_word(wg, mem, in, dva, X1_ACCESS_READ);
	struct x1_tr_seq *rec;

	if (!p)
		return -1;
	v = in->rb == 3 ? __atomic_load_n((uint64_t *)p, __ATOMIC_ACQUIRE)
			: __atomic_load_n((uint32_t *)p, __ATOMIC_ACQUIRE);
	if (v < wg->reg[in->rd])
		return 0;
	rec = trace_seq(wg, X1_TR_WAITGE, in, false);
	if (rec) {
		rec->dva = dva;
		rec->value = wg->reg[in->rd];
	}
	return 1;
}

/* 1 = everybody is here, 0 = park, -1 = fault */
static int grid_barrier(struct x1_wg *wg, const struct x1_insn *in)
{
	struct x1_grid *g = wg->grid;

	if (!g->cooperative) {
		x1_wg_raise(wg, X1_FAULT_GRID, X1_UNIT_SEQ, wg->pc, 0);
		return -1;
	}
	if (!wg->at_barrier) {
		wg->at_barrier = true;
		wg->barrier_phase = __atomic_load_n(&g->barrier_phase, __ATOMIC_ACQUIRE);
		if (__atomic_add_fetch(&g->barrier_arrived, 1, __ATOMIC_ACQ_REL) == g->total) {
			__atomic_store_n(&g->barrier_arrived, 0, __ATOMIC_RELAXED);
			__atomic_add_fetch(&g->barrier_phase, 1, __ATOMIC_RELEASE);
		}
	}
	if (__atomic_load_n(&g->barrier_phase, __ATOMIC_ACQUIRE) == wg->barrier_phase)
		return 0;
	wg->at_barrier = false;
	trace_seq(wg, X1_TR_GRIDBAR, in, false);
	return 1;
}

enum step {
	STEP_ON,   /* next instruction */
	STEP_LOOK, /* next, after a look at pending requests */
	STEP_DONE,
	STEP_FAULT,
	STEP_PARK,
};

static enum step step(struct x1_wg *wg, struct x1_mem *mem, const struct x1_insn *in, size_t *run)
{
	bool ok = true;
	int ready;

	if (in->op >= X1_OP_LOAD) {
		if (!issue(wg, mem, in))
			return STEP_FAULT;
		wg->pc++;
		loop_end(wg);
		return STEP_LOOK;
	}
	/* Engines have run as far as they can: what is not there now never comes. */
	if (!sems_ready(wg, in->wait) ||
	    ((in->op == X1_OP_SYNC || in->op == X1_OP_END) && !engines_idle(wg)) ||
	    (in->op == X1_OP_STREL && wg->queue[X1_ENGINE_STORE].count)) {
		x1_wg_raise(wg, X1_FAULT_DEADLOCK, X1_UNIT_SEQ, wg->pc, 0);
		return STEP_FAULT;
	}
	switch (in->op) {
	case X1_OP_WAITGE:
	case X1_OP_GRIDBAR:
		ready = in->op == X1_OP_WAITGE ? wait_ge(wg, mem, in) : grid_barrier(wg, in);
		if (ready <= 0)
			return ready ? STEP_FAULT : STEP_PARK;
		break;
	case X1_OP_END:
	case X1_OP_SYNC:
		trace_seq(wg, X1_TR_SYNC, in, false);
		break;
	case X1_OP_TRAP:
		x1_wg_raise(wg, X1_FAULT_TRAP, X1_UNIT_SEQ, wg->pc, in->imm);
		return STEP_FAULT;
	case X1_OP_LDM:
	case X1_OP_STM:
		ok = scalar_mem(wg, mem, in);
		break;
	case X1_OP_LDS:
	case X1_OP_STS:
		ok = scalar_local(wg, in);
		trace_scalar(wg, in, run);
		break;
	case X1_OP_STREL:
	case X1_OP_ATADD:
	case X1_OP_ATMAX:
	case X1_OP_ATMIN:
	case X1_OP_ATAND:
	case X1_OP_ATOR:
		ok = release(wg, mem, in);
		break;
	default:
		trace_scalar(wg, in, run);
		break;
	}
	if (!ok)
		return STEP_FAULT;
	sems_take(wg, in->wait);
	if (!sems_signal(wg, in, X1_UNIT_SEQ, wg->pc))
		return STEP_FAULT;
	/* A signal may have set engines free. */
	if ((in->sig[0] || in->sig[1]) && !drain(wg, mem))
		return STEP_FAULT;
	if (in->op == X1_OP_END)
		return STEP_DONE;
	if (in->op >= X1_OP_JMP && in->op <= X1_OP_BGEU) {
		if (branch_taken(in->op, wg->reg[in->ra], wg->reg[in->rb])) {
			jump(wg, (uint32_t)in->imm);
			return STEP_ON;
		}
	} else if (in->op == X1_OP_LOOP || in->op == X1_OP_LOOPI) {
		return loop_begin(wg, in) ? STEP_ON : STEP_FAULT;
	} else if (in->op >= X1_OP_ADD && in->op <= X1_OP_SEL) {
		uint64_t b = in->rb == X1_REG_IMM ? in->imm : wg->reg[in->rb];

		if (in->rd)
			wg->reg[in->rd] = alu(in->op, wg->reg[in->ra], b, wg->reg[in->rd]);
	} else if (in->op == X1_OP_RDCLK && in->rd) {
		wg->reg[in->rd] = wg->grid->clock ? wg->grid->clock(wg->grid->clock_arg) : 0;
	}
	wg->pc++;
	loop_end(wg);
	return STEP_ON;
}

enum x1_wg_status x1_wg_run(struct x1_wg *wg, struct x1_mem *mem)
{
	const struct x1_program *p = wg->prog;
	uint64_t budget = wg->grid->budget, limit = X1_WG_MAX_INSNS;
	enum x1_fault over = X1_FAULT_WATCHDOG;
	size_t run = 0;

	/* An instruction takes a cycle or more: who runs past the budget here is beyond it. */
	if (budget && budget < limit) {
		limit = budget;
		over = X1_FAULT_BUDGET;
	}
	for (;;) {
		const struct x1_insn *in;

		if (wg->pc >= p->num_insns) {
			x1_wg_raise(wg, X1_FAULT_BAD_PROGRAM, X1_UNIT_SEQ, wg->pc, 0);
			return X1_WG_FAULT;
		}
		if (wg->insns >= limit) {
			x1_wg_raise(wg, over, X1_UNIT_SEQ, wg->pc, 0);
			return X1_WG_FAULT;
		}
		in = &p->insn[wg->pc];
		wg->insns++;
		switch (step(wg, mem, in, &run)) {
		case STEP_ON:
			if (wg->insns % QUIESCE_EVERY == 0 && x1_mem_quiesce(mem))
				return X1_WG_STOPPED;
			break;
		case STEP_LOOK:
			if (x1_mem_quiesce(mem))
				return X1_WG_STOPPED;
			break;
		case STEP_DONE:
			if (wg->trace)
				wg->trace->instructions = wg->insns;
			return X1_WG_DONE;
		case STEP_FAULT:
			return X1_WG_FAULT;
		case STEP_PARK:
			wg->insns--;
			return X1_WG_PARKED;
		}
	}
}
