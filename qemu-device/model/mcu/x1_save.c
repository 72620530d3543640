// SPDX-License-Identifier: MIT
/*
 * Saved state of traces and work-groups. What an engine trusts because it was
 * checked at issue is checked again here: an instruction in an engine's queue
 * goes through its engine's check, and offsets into a trace must be starts of
 * records of the right kind.
 */
#include <string.h>

#include "../x1_stream.h"
#include "x1_wg_int.h"

#define MAX_TOUCHED (16u << 20) /* bytes of memory that one record may name */

/* ---- traces ---- */

static size_t record_bytes(const uint8_t *p, size_t left)
{
	const struct x1_tr_hdr *hdr = (const void *)p;
	size_t fixed;

	if (left < sizeof(*hdr))
		return 0;
	fixed = hdr->kind == X1_TR_ENGINE ? sizeof(struct x1_tr_engine) : sizeof(struct x1_tr_seq);
	fixed += hdr->num_extents * sizeof(struct x1_tr_extent);
	return fixed <= left ? fixed : 0;
}

static bool record_ok(const uint8_t *p)
{
	const struct x1_tr_hdr *hdr = (const void *)p;
	const struct x1_tr_extent *ext;
	uint64_t touched = 0;

	if (hdr->kind == X1_TR_ENGINE) {
		const struct x1_tr_engine *rec = (const void *)p;

		if (hdr->engine < X1_ENGINE_LOAD || hdr->engine >= X1_ENGINE_COUNT ||
		    (rec->fmt & 0xff) >= X1_FMT_COUNT || rec->fmt >> 8 >= X1_FMT_COUNT)
			return false;
		ext = (const void *)(rec + 1);
	} else {
		if (hdr->kind < X1_TR_SCALAR || hdr->kind > X1_TR_GRIDBAR ||
		    hdr->engine != X1_ENGINE_SEQ || hdr->num_extents > 1)
			return false;
		ext = (const void *)(p + sizeof(struct x1_tr_seq));
	}
	for (uint32_t i = 0; i < hdr->num_extents; i++) {
		if (ext[i].system > 1 || ext[i].bytes > MAX_TOUCHED || ext[i].count > MAX_TOUCHED)
			return false;
		touched += ((uint64_t)ext[i].bytes + 1) * ext[i].count;
	}
	return touched <= 2 * MAX_TOUCHED;
}

void x1_trace_save(const struct x1_trace *tr, struct x1_out *o)
{
	x1_put_u64(o, tr->instructions);
	x1_put_u64(o, tr->len);
	x1_put(o, tr->buf, tr->len);
}

bool x1_trace_load(struct x1_trace *tr, struct x1_in *in)
{
	uint64_t instructions = x1_get_u64(in), len = x1_get_u64(in);

	if (len > in->left || len % 8)
		return x1_in_bad(in, "length of a trace");
	tr->instructions = instructions;
	if (!len)
		return !in->bad;
	tr->buf = malloc(len);
	if (!tr->buf)
		return x1_in_bad(in, "out of memory");
	tr->len = tr->cap = len;
	x1_get(in, tr->buf, len);
	for (size_t at = 0; at < len;) {
		size_t n = record_bytes(tr->buf + at, len - at);

		if (!n || !record_ok(tr->buf + at)) {
			tr->len = 0;
			return x1_in_bad(in, "record of a trace");
		}
		at += n;
	}
	return !in->bad;
}

struct x1_trace_marks {
	const struct x1_trace *tr;
	uint64_t *starts; /* bit per 8 bytes: a record begins */
};

struct x1_trace_marks *x1_trace_marks_new(const struct x1_trace *tr)
{
	struct x1_trace_marks *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->tr = tr;
	m->starts = calloc(tr->len / 512 + 1, sizeof(*m->starts));
	if (!m->starts) {
		free(m);
		return NULL;
	}
	for (size_t at = 0; at < tr->len; at += record_bytes(tr->buf + at, tr->len - at))
		m->starts[at / 512] |= 1ull << at / 8 % 64;
	return m;
}

void x1_trace_marks_free(struct x1_trace_marks *m)
{
	if (m)
		free(m->starts);
	free(m);
}

const struct x1_tr_hdr *x1_trace_at(const struct x1_trace_marks *m, uint64_t off)
{
	if (off % 8 || off >= m->tr->len || !(m->starts[off / 512] >> off / 8 % 64 & 1))
		return NULL;
	return (const void *)(m->tr->buf + off);
}

/* ---- work-groups ---- */

void x1_wg_save(const struct x1_wg *wg, struct x1_out *o)
{
	x1_put_u32(o, wg->index);
	x1_put_u32(o, wg->mcu);
	x1_put_u32(o, wg->pc);
	x1_put_u64(o, wg->insns);
	x1_put(o, wg->reg, sizeof(wg->reg));
	x1_put(o, wg->sem, sizeof(wg->sem));
	x1_put_u32(o, wg->num_loops);
	for (uint32_t i = 0; i < wg->num_loops; i++) {
		x1_put_u32(o, wg->loop[i].start);
		x1_put_u32(o, wg->loop[i].end);
		x1_put_u64(o, wg->loop[i].left);
	}
	x1_put_u32(o, wg->at_barrier);
	x1_put_u32(o, wg->barrier_phase);
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
		const struct x1_equeue *q = &wg->queue[e];

		x1_put_u32(o, q->count);
		for (uint32_t i = 0; i < q->count; i++) {
			const struct x1_issue *is = &q->slot[(q->head + i) % X1_ENGINE_QUEUE];

			x1_put_u32(o, is->pc);
			x1_put(o, &is->rd, sizeof(is->rd));
			x1_put(o, &is->ra, sizeof(is->ra));
			x1_put(o, &is->rb, sizeof(is->rb));
			x1_put(o, is->f, sizeof(is->f));
			x1_put_u64(o, is->trace_off == SIZE_MAX ? UINT64_MAX : is->trace_off);
		}
	}
	x1_put_u32(o, wg->spad_used);
	x1_put_u32(o, wg->acc_used);
	x1_put_sparse(o, wg->spad, wg->spad_used);
	if (wg->acc_used)
		x1_put_sparse(o, wg->acc, X1_ACC_BYTES);
}

static unsigned int engine_of_op(unsigned int op)
{
	switch (op) {
	case X1_OP_LOAD:
	case X1_OP_PREFETCH:
		return X1_ENGINE_LOAD;
	case X1_OP_MM:
		return X1_ENGINE_MATRIX;
	case X1_OP_VEC:
		return X1_ENGINE_VECTOR;
	case X1_OP_STORE:
		return X1_ENGINE_STORE;
	default:
		return X1_ENGINE_SEQ;
	}
}

static bool issue_load(struct x1_wg *wg, struct x1_issue *is, unsigned int e,
		       const struct x1_trace_marks *marks, struct x1_in *in)
{
	struct x1_cost cost = {0};
	const struct x1_tr_hdr *rec;
	uint64_t off;
	bool ok;

	is->pc = x1_get_u32(in);
	x1_get(in, &is->rd, sizeof(is->rd));
	x1_get(in, &is->ra, sizeof(is->ra));
	x1_get(in, &is->rb, sizeof(is->rb));
	x1_get(in, is->f, sizeof(is->f));
	off = x1_get_u64(in);
	if (in->bad || is->pc >= wg->prog->num_insns)
		return x1_in_bad(in, "instruction in an engine's queue");
	is->insn = &wg->prog->insn[is->pc];
	if (engine_of_op(is->insn->op) != e)
		return x1_in_bad(in, "instruction in an engine's queue");
	switch (e) {
	case X1_ENGINE_MATRIX:
		ok = x1_mm_check(wg, is, &cost);
		break;
	case X1_ENGINE_VECTOR:
		ok = x1_vec_check(wg, is, &cost);
		break;
	default:
		ok = x1_dma_check(wg, is, &cost);
		break;
	}
	if (!ok)
		return x1_in_bad(in, "operands of an instruction");
	is->trace_off = SIZE_MAX;
	if (!marks)
		return off == UINT64_MAX || x1_in_bad(in, "trace of an instruction");
	rec = x1_trace_at(marks, off);
	if (!rec || rec->kind != X1_TR_ENGINE || rec->engine != e)
		return x1_in_bad(in, "trace of an instruction");
	is->trace_off = (size_t)off;
	return true;
}

bool x1_wg_load(struct x1_wg *wg, struct x1_grid *grid, struct x1_trace *trace, struct x1_in *in)
{
	struct x1_trace_marks *marks = NULL;
	uint32_t index = x1_get_max(in, grid->total - 1, "work-group"), mcu = x1_get_u32(in);

	x1_wg_begin(wg, grid, index, mcu, trace);
	wg->pc = x1_get_max(in, grid->prog->num_insns, "program counter");
	wg->insns = x1_get_u64(in);
	x1_get(in, wg->reg, sizeof(wg->reg));
	wg->reg[0] = 0;
	x1_get(in, wg->sem, sizeof(wg->sem));
	for (unsigned int i = 0; i < X1_NUM_SEMS; i++)
		if (wg->sem[i] > X1_SEM_MAX)
			return x1_in_bad(in, "semaphore");
	wg->num_loops = x1_get_max(in, X1_LOOP_DEPTH, "loops");
	for (uint32_t i = 0; i < wg->num_loops; i++) {
		wg->loop[i].start = x1_get_max(in, grid->prog->num_insns, "loop");
		wg->loop[i].end = x1_get_max(in, grid->prog->num_insns, "loop");
		wg->loop[i].left = x1_get_u64(in);
	}
	wg->at_barrier = x1_get_bool(in);
	wg->barrier_phase = x1_get_u32(in);
	if (wg->trace) {
		marks = x1_trace_marks_new(trace);
		if (!marks)
			return x1_in_bad(in, "out of memory");
	}
	for (unsigned int e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
		uint32_t n = x1_get_max(in, X1_ENGINE_QUEUE, "engine's queue");

		while (wg->queue[e].count < n &&
		       issue_load(wg, &wg->queue[e].slot[wg->queue[e].count], e, marks, in))
			wg->queue[e].count++;
	}
	x1_trace_marks_free(marks);
	wg->spad_used = x1_get_max(in, X1_SPAD_BYTES, "scratchpad");
	wg->acc_used = x1_get_bool(in);
	x1_get_sparse(in, wg->spad, wg->spad_used);
	if (wg->acc_used)
		x1_get_sparse(in, wg->acc, X1_ACC_BYTES);
	memset(&wg->fault, 0, sizeof(wg->fault));
	return !in->bad;
}
