// SPDX-License-Identifier: MIT
/*
 * Routing of tokens to experts, without a sort.
 *
 * Two launches. The first scores a token's experts, chooses, and counts how
 * often each block of tokens chose each expert. The second adds up those
 * counts: what lies before a block's tokens of an expert is the sum of earlier
 * blocks and of lower experts, so each block can place its own rows.
 */
#include <math.h>

#include "sili_kernels.h"
#include "tiles.h"

#define MAX_EXPERTS 2048u

/* ---- routing: choice ---- */

#define BLOCKS     256u   /* of tokens, aimed at */
#define BLOCK_MAX  128u   /* tokens of one */
#define BLOCK_ELEM 32768u /* tokens times experts */

enum {
	R_LOGITS = 1,
	R_BIAS,
	R_CHOSEN, /* experts of each token */
	R_WEIGHTS,
	R_COUNTS, /* of the block, per expert */
	R_SCORE,
	R_CHOICE, /* what is chosen by: scores with bias, groups masked */
	R_BEST,   /* the largest of each group, or its sum */
	R_GROUP,  /* groups chosen, then places among all scores */
	R_MASK,
	R_ROW, /* token's number in the block; columns of a token */
	R_ONES,
};

enum {
	RP_EXPERTS,
	RP_TOP_K,
	RP_GROUPS,
	RP_TOP_GROUPS,
	RP_GATE,
	RP_BEST,
	RP_NORM,
	RP_SCALE,
	RP_BLOCK,
};

/* VECTOR on a shape that is not the tile's: rows in a register. */
static struct sili_vec shape(enum x1_vec_op op, uint8_t rows, uint32_t cols, enum x1_format fmt)
{
	return (struct sili_vec){.op = op,
				 .rows = sili_reg(rows),
				 .cols = sili_imm(cols),
				 .dst_fmt = fmt,
				 .s0_fmt = fmt,
				 .s1_fmt = fmt,
				 .dst_stride = sili_imm(cols * 4ll),
				 .s0_stride = sili_imm(cols * 4ll)};
}

static void zero(struct tiles *t, uint8_t operand, uint8_t rows, uint32_t cols, enum x1_format fmt)
{
	struct sili_vec v = shape(X1_VEC_MASK, rows, cols, fmt);

	v.param = sili_imm(INT32_MIN / 2);
	tile_vec(t, tile_at(operand), tile_at(operand), 0, &v);
}

static void route_begin(struct tiles *t)
{
	struct sili_vec v = {.op = X1_VEC_IOTA,
			     .rows = sili_imm(1),
			     .cols = sili_imm((int64_t)t->param[RP_BLOCK]),
			     .dst_fmt = X1_FMT_INT32};
	uint64_t ones = t->param[RP_BLOCK] * t->param[RP_TOP_K];

	tile_vec(t, tile_at(R_ROW), 0, 0, &v);
	if (ones < t->param[RP_BLOCK] * t->param[RP_TOP_GROUPS])
		ones = t->param[RP_BLOCK] * t->param[RP_TOP_GROUPS];
	v = (struct sili_vec){.op = X1_VEC_MASK,
			      .rows = sili_imm(1),
			      .cols = sili_imm((int64_t)ones),
			      .scalar1 = 1,
			      .param = sili_imm(INT32_MIN / 2)};
	tile_vec(t, tile_at(R_ONES), tile_at(R_ONES), 0, &v);
}

/* Numbers in rows of `cols` become places in all rows of `of`: R_GROUP = from + row * of. */
static void emit_places(struct tiles *t, uint8_t from, uint32_t cols, uint32_t of)
{
	uint8_t factor = TILE_R_BODY + 4;
	struct sili_vec v = shape(X1_VEC_FMA, tile_rows(), cols, X1_FMT_INT32);

	/* Integers: row * of + from, the row in a column. */
	v.s1_fmt = v.s2_fmt = X1_FMT_INT32;
	v.bcast0 = X1_VEC_BCAST_COL;
	v.s0_stride = sili_imm(4);
	v.bcast1 = X1_VEC_BCAST_SCALAR;
	v.scalar1_reg = factor;
	v.s2 = sili_reg(tile_at(from));
	v.s2_stride = sili_imm(cols * 4ll);
	sili_prog_li(t->p, factor, of);
	tile_vec(t, tile_at(R_GROUP), tile_at(R_ROW), 0, &v);
}

/* R_CHOICE without the groups whose best are not among the best. */
static void emit_groups(struct tiles *t, uint8_t from)
{
	uint32_t groups = (uint32_t)t->param[RP_GROUPS], top = (uint32_t)t->param[RP_TOP_GROUPS];
	uint32_t each = (uint32_t)t->param[RP_EXPERTS] / groups;
	uint32_t best = (uint32_t)sili_min64(t->param[RP_BEST], each);
	uint8_t rows = TILE_R_BODY, chosen = TILE_R_BODY + 1;
	struct sili_vec v;

	sili_prog_alui(t->p, X1_OP_MUL, rows, tile_rows(), groups);
	sili_prog_alui(t->p, X1_OP_MUL, chosen, tile_rows(), top);
	v = shape(X1_VEC_TOPK, rows, each, X1_FMT_FP32);
	v.dst_stride = v.s2_stride = sili_imm(best * 4ll);
	v.s2 = sili_reg(tile_at(R_GROUP));
	v.param = sili_imm(best);
	tile_vec(t, tile_at(R_BEST), tile_at(from), 0, &v);
	v = shape(X1_VEC_RSUM, rows, best, X1_FMT_FP32);
	v.dst_stride = sili_imm(4);
	tile_vec(t, tile_at(R_BEST), tile_at(R_BEST), 0, &v);
	v = shape(X1_VEC_TOPK, tile_rows(), groups, X1_FMT_FP32);
	v.dst_stride = v.s2_stride = sili_imm(top * 4ll);
	v.s2 = sili_reg(tile_at(R_GROUP));
	v.param = sili_imm(top);
	tile_vec(t, tile_at(R_MASK), tile_at(R_BEST), 0, &v);
	emit_places(t, R_GROUP, top, groups);
	zero(t, R_MASK, rows, 1, X1_FMT_FP32);
	v = shape(X1_VEC_SCATTER_ADD, chosen, 1, X1_FMT_FP32);
	v.s1_fmt = X1_FMT_INT32;
	v.bcast1 = X1_VEC_BCAST_COL;
	v.s1_stride = sili_imm(4);
	v.param = sili_reg(rows);
	tile_vec(t, tile_at(R_MASK), tile_at(R_ONES), tile_at(R_GROUP), &v);
	v = shape(X1_VEC_SELECT, rows, each, X1_FMT_FP32);
	v.bcast0 = X1_VEC_BCAST_COL;
	v.s0_stride = sili_imm(4);
	v.s1_stride = sili_imm(each * 4ll);
	v.bcast2 = X1_VEC_BCAST_SCALAR;
	v.scalar2 = -INFINITY;
	tile_vec(t, tile_at(R_CHOICE), tile_at(R_MASK), tile_at(from), &v);
}

static void route_body(struct tiles *t)
{
	uint32_t experts = (uint32_t)t->param[RP_EXPERTS], k = (uint32_t)t->param[RP_TOP_K];
	float scale = tile_float(t->param[RP_SCALE]);
	uint8_t from = R_SCORE, pairs = TILE_R_BODY + 2, all = TILE_R_BODY + 3,
		number = TILE_R_BODY + 4;
	struct sili_vec v;

	sili_prog_alui(t->p, X1_OP_MUL, pairs, tile_rows(), k);
	sili_prog_alui(t->p, X1_OP_MUL, all, tile_rows(), experts);
	if (t->param[RP_GATE] == SILI_GATE_SIGMOID) {
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_SIGMOID, .dst = R_SCORE, .s0 = R_LOGITS});
	} else {
		/* R_BEST's columns: maximum, then sum. */
		v = shape(X1_VEC_RMAX, tile_rows(), experts, X1_FMT_FP32);
		v.s0_fmt = t->op[R_LOGITS].fmt;
		v.s0_stride = sili_imm((int64_t)t->op[R_LOGITS].pitch);
		v.dst_stride = sili_imm(4);
		tile_vec(t, tile_at(R_BEST), tile_at(R_LOGITS), 0, &v);
		v.op = X1_VEC_EXPSUM;
		v.bcast1 = X1_VEC_BCAST_COL;
		v.s1_stride = v.s2_stride = sili_imm(4);
		v.scalar2 = 1;
		v.s2 = sili_reg(tile_at(R_MASK));
		v.dst_stride = sili_imm(experts * 4ll);
		tile_vec(t, tile_at(R_SCORE), tile_at(R_LOGITS), tile_at(R_BEST), &v);
		v = shape(X1_VEC_RECIP, tile_rows(), 1, X1_FMT_FP32);
		tile_vec(t, tile_at(R_MASK), tile_at(R_MASK), 0, &v);
		v = shape(X1_VEC_MUL, tile_rows(), experts, X1_FMT_FP32);
		v.bcast1 = X1_VEC_BCAST_COL;
		v.s1_stride = sili_imm(4);
		tile_vec(t, tile_at(R_SCORE), tile_at(R_SCORE), tile_at(R_MASK), &v);
	}
	if (t->op[R_BIAS].use) {
		tile_step(t,
			  &(struct tile_step){
				  .op = X1_VEC_ADD, .dst = R_CHOICE, .s0 = R_SCORE, .s1 = R_BIAS});
		from = R_CHOICE;
	}
	if (t->param[RP_GROUPS] > 1) {
		emit_groups(t, from);
		from = R_CHOICE;
	}
	tile_step(t, &(struct tile_step){.op = X1_VEC_TOPK,
					 .dst = R_WEIGHTS,
					 .s0 = from,
					 .s2 = R_CHOSEN,
					 .param = sili_imm(k)});
	if (t->op[R_BIAS].use) {
		emit_places(t, R_CHOSEN, k, experts);
		v = shape(X1_VEC_GATHER, pairs, 1, X1_FMT_FP32);
		v.s1_fmt = X1_FMT_INT32;
		v.bcast1 = X1_VEC_BCAST_COL;
		v.s1_stride = sili_imm(4);
		v.param = sili_reg(all);
		tile_vec(t, tile_at(R_WEIGHTS), tile_at(R_SCORE), tile_at(R_GROUP), &v);
	}
	if (t->param[RP_NORM]) {
		v = shape(X1_VEC_RSUM, tile_rows(), k, X1_FMT_FP32);
		v.dst_stride = sili_imm(4);
		tile_vec(t, tile_at(R_BEST), tile_at(R_WEIGHTS), 0, &v);
		v = shape(X1_VEC_DIV, tile_rows(), k, X1_FMT_FP32);
		v.bcast1 = X1_VEC_BCAST_COL;
		v.s1_stride = sili_imm(4);
		tile_vec(t, tile_at(R_WEIGHTS), tile_at(R_WEIGHTS), tile_at(R_BEST), &v);
	}
	if (scale != 1)
		tile_step(t, &(struct tile_step){.op = X1_VEC_MUL,
						 .dst = R_WEIGHTS,
						 .s0 = R_WEIGHTS,
						 .imm1 = scale});
	/* Counts: integers, one by one. */
	sili_prog_li(t->p, number, experts);
	zero(t, R_COUNTS, number, 1, X1_FMT_INT32);
	v = shape(X1_VEC_SCATTER_ADD, pairs, 1, X1_FMT_INT32);
	v.s0_fmt = X1_FMT_FP32;
	v.bcast1 = X1_VEC_BCAST_COL;
	v.s1_stride = sili_imm(4);
	v.param = sili_imm(experts);
	tile_vec(t, tile_at(R_COUNTS), tile_at(R_ONES), tile_at(R_CHOSEN), &v);
}

/* ---- routing: places ---- */

enum {
	M_CHOSEN = 1,
	M_ROW_OF,
	M_BEFORE, /* per expert: chosen in earlier blocks, then the next free row */
	M_TOTAL,
	M_OFFSETS,
	M_STAGE, /* counts of some blocks */
	M_ZERO,
};

enum {
	A_COUNTS, /* of all blocks */
	A_TOTALS, /* results */
	A_OFFSETS,
	A_TOKEN_OF,
};

enum {
	MP_EXPERTS,
	MP_TOP_K,
	MP_BLOCK,
	MP_BLOCKS,
};

enum {
	SEM_STAGE_FREE = TILE_SEM_BODY,
	SEM_STAGE_FULL,
	SEM_SUMS,
	SEM_START,
};

#define STAGE_BYTES 65536u /* of blocks' counts */
#define STAGES      2u

/* Blocks whose counts a stage has. */
static uint32_t stage_rows(uint32_t experts)
{
	return STAGE_BYTES / (experts * 4);
}

static void alui(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(t->p, op, rd, ra, imm);
}

static void alu(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb)
{
	sili_prog_alu(t->p, op, rd, ra, rb);
}

/* A word of the scratchpad, or of memory. */
static void word(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra)
{
	sili_prog_emit(t->p, (struct x1_insn){.op = (uint8_t)op, .rd = rd, .ra = ra, .rb = 2});
}

static void await(struct tiles *t, uint8_t sem)
{
	sili_prog_sems(t->p, X1_SEM(sem), 0, 0, 0);
	sili_prog_emit(t->p, (struct x1_insn){.op = X1_OP_NOP});
}

static void map_begin(struct tiles *t)
{
	sili_emit_tokens(t->p, SEM_STAGE_FREE, STAGES);
	tile_step(t, &(struct tile_step){.op = X1_VEC_MASK,
					 .dst = M_ZERO,
					 .s0 = M_ZERO,
					 .param = sili_imm(INT32_MIN / 2)});
}

/* Add `rows` (a register) rows at `stage` to row 0 of an operand. */
static void emit_add(struct tiles *t, uint8_t to, uint8_t stage, uint8_t rows)
{
	uint32_t experts = (uint32_t)t->param[MP_EXPERTS];
	struct sili_vec v = shape(X1_VEC_SCATTER_ADD, rows, experts, X1_FMT_INT32);

	v.bcast1 = X1_VEC_BCAST_COL;
	v.param = sili_imm(1);
	tile_vec(t, tile_at(to), stage, tile_at(M_ZERO), &v);
}

/* M_BEFORE, M_TOTAL from the counts of all blocks. */
static void emit_sums(struct tiles *t)
{
	int64_t blocks = (int64_t)t->param[MP_BLOCKS], row = (int64_t)t->param[MP_EXPERTS] * 4;
	uint8_t block = TILE_R_BODY, first = block + 1, n = block + 2, mem = block + 3,
		loop = block + 4, bytes = block + 5, stage = block + 6;
	uint32_t past = sili_prog_label(t->p), rows = stage_rows((uint32_t)t->param[MP_EXPERTS]);

	alui(t, X1_OP_DIVU, block, tile_row(), (int64_t)t->param[MP_BLOCK]);
	sili_prog_li(t->p, first, 0);
	alui(t, X1_OP_ADD, stage, tile_at(M_STAGE), 0);
	sili_prog_li(t->p, loop, (int64_t)sili_div_up((uint64_t)blocks, rows));
	sili_prog_loop(t->p, loop);
	sili_prog_li(t->p, n, blocks);
	alu(t, X1_OP_SUB, n, n, first);
	alui(t, X1_OP_MIN, n, n, rows);
	alui(t, X1_OP_MUL, mem, first, row);
	alu(t, X1_OP_ADD, mem, mem, tile_extra(A_COUNTS));
	alui(t, X1_OP_MUL, bytes, n, row);
	sili_prog_sems(t->p, X1_SEM(SEM_STAGE_FREE), 0, X1_SEM(SEM_STAGE_FULL), 0);
	sili_emit_load(t->p, stage, mem,
		       &(struct sili_block){.bytes = sili_reg(bytes),
					    .rows = sili_imm(1),
					    .mem_stride = sili_imm(0),
					    .local_stride = sili_imm(0)});
	t->wait = X1_SEM(SEM_STAGE_FULL);
	emit_add(t, M_TOTAL, stage, n);
	/* Of these the ones before this block. */
	alu(t, X1_OP_SUB, mem, block, first);
	alu(t, X1_OP_MIN, mem, mem, n);
	sili_prog_branch(t->p, X1_OP_BGE, 0, mem, past);
	emit_add(t, M_BEFORE, stage, mem);
	sili_prog_place(t->p, past);
	alui(t, X1_OP_ADD, first, first, rows);
	/* The other stage: their addresses add up to the same. */
	alu(t, X1_OP_SUB, stage, tile_at(M_STAGE), stage);
	alu(t, X1_OP_ADD, stage, stage, tile_at(M_STAGE));
	alui(t, X1_OP_ADD, stage, stage, rows * row);
	t->sig = X1_SEM(SEM_STAGE_FREE);
	tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = M_ZERO, .s0 = M_ZERO});
	sili_prog_loop_end(t->p);
}

/* Offsets from totals; M_BEFORE becomes the first row of this block's tokens. */
static void emit_scan(struct tiles *t)
{
	uint32_t experts = (uint32_t)t->param[MP_EXPERTS], past = sili_prog_label(t->p);
	uint8_t sum = TILE_R_BODY, total = sum + 1, before = sum + 2, offset = sum + 3, v = sum + 4,
		n = sum + 5;

	sili_prog_li(t->p, sum, 0);
	alui(t, X1_OP_ADD, total, tile_at(M_TOTAL), 0);
	alui(t, X1_OP_ADD, before, tile_at(M_BEFORE), 0);
	alui(t, X1_OP_ADD, offset, tile_at(M_OFFSETS), 0);
	sili_prog_li(t->p, n, experts);
	sili_prog_loop(t->p, n);
	word(t, X1_OP_STS, sum, offset);
	word(t, X1_OP_LDS, v, before);
	alu(t, X1_OP_ADD, v, v, sum);
	word(t, X1_OP_STS, v, before);
	word(t, X1_OP_LDS, v, total);
	alu(t, X1_OP_ADD, sum, sum, v);
	alui(t, X1_OP_ADD, total, total, 4);
	alui(t, X1_OP_ADD, before, before, 4);
	alui(t, X1_OP_ADD, offset, offset, 4);
	sili_prog_loop_end(t->p);
	word(t, X1_OP_STS, sum, offset);
	/* The first block writes them out. */
	sili_prog_branch(t->p, X1_OP_BNE, tile_row(), 0, past);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t num = experts + i;

		sili_emit_store(t->p, tile_at(i ? M_OFFSETS : M_TOTAL),
				tile_extra(i ? A_OFFSETS : A_TOTALS),
				&(struct sili_out){.elems = sili_imm(num),
						   .rows = sili_imm(1),
						   .mem_stride = sili_imm(0),
						   .local_stride = sili_imm(0),
						   .lfmt = X1_FMT_INT32,
						   .mfmt = X1_FMT_INT32});
	}
	sili_prog_emit(t->p, (struct x1_insn){.op = X1_OP_SYNC});
	sili_prog_place(t->p, past);
}

/* Each choice takes the next row of its expert. */
static void emit_rows(struct tiles *t)
{
	uint32_t k = (uint32_t)t->param[MP_TOP_K];
	uint8_t chosen = TILE_R_BODY, row_of = chosen + 1, token = chosen + 2, e = chosen + 3,
		at = chosen + 4, row = chosen + 5, n = chosen + 6;

	alui(t, X1_OP_ADD, chosen, tile_at(M_CHOSEN), 0);
	alui(t, X1_OP_ADD, row_of, tile_at(M_ROW_OF), 0);
	alui(t, X1_OP_ADD, token, tile_row(), 0);
	sili_prog_loop(t->p, tile_rows());
	sili_prog_li(t->p, n, k);
	sili_prog_loop(t->p, n);
	word(t, X1_OP_LDS, e, chosen);
	alui(t, X1_OP_SHL, at, e, 2);
	alu(t, X1_OP_ADD, at, at, tile_at(M_BEFORE));
	word(t, X1_OP_LDS, row, at);
	word(t, X1_OP_STS, row, row_of);
	alui(t, X1_OP_SHL, e, row, 2);
	alui(t, X1_OP_ADD, row, row, 1);
	word(t, X1_OP_STS, row, at);
	alu(t, X1_OP_ADD, e, e, tile_extra(A_TOKEN_OF));
	word(t, X1_OP_STM, token, e);
	alui(t, X1_OP_ADD, chosen, chosen, 4);
	alui(t, X1_OP_ADD, row_of, row_of, 4);
	sili_prog_loop_end(t->p);
	alui(t, X1_OP_ADD, token, token, 1);
	sili_prog_loop_end(t->p);
}

static void map_body(struct tiles *t)
{
	uint8_t experts = TILE_R_BODY;

	sili_prog_li(t->p, experts, (int64_t)t->param[MP_EXPERTS]);
	zero(t, M_TOTAL, experts, 1, X1_FMT_INT32);
	zero(t, M_BEFORE, experts, 1, X1_FMT_INT32);
	emit_sums(t);
	/* Sums, choices and a place for results are there for the sequencer. */
	t->sig = X1_SEM(SEM_SUMS);
	tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = M_ZERO, .s0 = M_ZERO});
	await(t, SEM_SUMS);
	emit_scan(t);
	emit_rows(t);
	tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = M_ROW_OF, .s0 = M_ROW_OF});
}

/* ---- routing: interface ---- */

static uint32_t block_of(const struct sili_route *r)
{
	uint64_t n = sili_div_up(r->tokens, BLOCKS), most = BLOCK_ELEM / r->experts;

	if (n > BLOCK_MAX)
		n = BLOCK_MAX;
	if (n > most)
		n = most;
	return (uint32_t)(n ? n : 1);
}

static bool route_ok(struct sili_route *r)
{
	if (!r->tokens || !r->experts || !r->top_k || r->top_k > r->experts ||
	    (unsigned int)r->gate > SILI_GATE_SIGMOID ||
	    !tile_format_ok(r->logits_fmt, r->experts) ||
	    !tile_stride_ok(&r->logits_stride, r->logits_fmt, r->experts) || r->scale != r->scale)
		return false;
	if (!r->groups)
		r->groups = 1;
	if (!r->top_groups)
		r->top_groups = r->groups;
	if (!r->group_best)
		r->group_best = 2;
	return r->experts % r->groups == 0 && r->top_groups <= r->groups &&
	       (uint64_t)r->top_groups * (r->experts / r->groups) >= r->top_k &&
	       r->group_best <= X1_VEC_MAX_TOPK;
}

static int64_t route_work_bytes_of(struct sili_route r)
{

	if (!route_ok(&r))
		return -EINVAL;
	return (int64_t)(sili_div_up(r.tokens, block_of(&r)) * r.experts * 4);
}

SILI_EXPORT int64_t sili_route_work_bytes(const struct sili_route *op)
{
	return op->size == sizeof(*op) ? route_work_bytes_of(*op) : -EINVAL;
}

static int choose_launch(struct sili_device *dev, const struct sili_route *r, union x1_cmd *cmds)
{
	uint32_t block = block_of(r);
	uint64_t pairs = (uint64_t)block * r->top_k, places = (uint64_t)block * r->top_groups;
	struct tiles t = {.family = SILI_KEY_ROUTE,
			  .dim = {r->experts, r->tokens},
			  .whole_rows = true,
			  .row_step = block,
			  .max_rows = block,
			  .prefetch = r->prefetch,
			  .begin = route_begin,
			  .body = route_body};

	t.param[RP_EXPERTS] = r->experts;
	t.param[RP_TOP_K] = r->top_k;
	t.param[RP_GROUPS] = r->groups;
	t.param[RP_TOP_GROUPS] = r->top_groups;
	t.param[RP_GATE] = r->gate;
	t.param[RP_BEST] = r->group_best;
	t.param[RP_NORM] = r->normalise;
	t.param[RP_SCALE] = tile_bits(r->scale ? r->scale : 1);
	t.param[RP_BLOCK] = block;
	t.op[R_LOGITS] = tile_matrix(TILE_IN, r->logits_fmt, r->logits, r->logits_stride);
	if (r->bias)
		t.op[R_BIAS] = tile_vector(X1_FMT_FP32, r->bias);
	t.op[R_CHOSEN] = tile_matrix(TILE_OUT, X1_FMT_INT32, r->chosen, r->top_k * 4ull);
	t.op[R_WEIGHTS] = tile_matrix(TILE_OUT, X1_FMT_FP32, r->weights, r->top_k * 4ull);
	t.op[R_CHOSEN].cols = t.op[R_WEIGHTS].cols = r->top_k;
	t.op[R_COUNTS] = tile_matrix(TILE_OUT, X1_FMT_INT32, r->work, r->experts * 4ull);
	t.op[R_COUNTS].row_div = block;
	t.op[R_SCORE] = t.op[R_CHOICE] = tile_temp(X1_FMT_FP32);
	t.op[R_BEST] = t.op[R_MASK] = t.op[R_GROUP] = t.op[R_ROW] = t.op[R_ONES] =
		tile_temp(X1_FMT_FP32);
	t.op[R_BEST].cols = r->groups * r->group_best;
	t.op[R_MASK].cols = r->groups;
	t.op[R_GROUP].cols = r->groups * r->group_best > r->top_k ? r->groups * r->group_best
								  : r->top_k;
	t.op[R_ROW].cols = 1;
	t.op[R_ONES].rows = 1;
	t.op[R_ONES].cols = (uint32_t)(pairs > places ? pairs : places);
	return tiles_launch(dev, &t, cmds, 1);
}

static int place_launch(struct sili_device *dev, const struct sili_route *r, union x1_cmd *cmds)
{
	uint32_t block = block_of(r);
	struct tiles t = {.family = SILI_KEY_ROUTE_MAP,
			  .dim = {r->top_k, r->tokens},
			  .whole_rows = true,
			  .row_step = block,
			  .max_rows = block,
			  .prefetch = r->prefetch,
			  .begin = map_begin,
			  .body = map_body,
			  .extra = {r->work, r->counts, r->offsets, r->token_of},
			  .num_extra = 4};

	t.param[MP_EXPERTS] = r->experts;
	t.param[MP_TOP_K] = r->top_k;
	t.param[MP_BLOCK] = block;
	t.param[MP_BLOCKS] = sili_div_up(r->tokens, block);
	t.op[M_CHOSEN] = tile_matrix(TILE_IN, X1_FMT_INT32, r->chosen, r->top_k * 4ull);
	t.op[M_ROW_OF] = tile_matrix(TILE_OUT, X1_FMT_INT32, r->row_of, r->top_k * 4ull);
	t.op[M_BEFORE] = t.op[M_TOTAL] = t.op[M_OFFSETS] = t.op[M_STAGE] = tile_temp(X1_FMT_INT32);
	t.op[M_BEFORE].cols = t.op[M_TOTAL].cols = t.op[M_STAGE].cols = r->experts;
	t.op[M_OFFSETS].cols = r->experts + 1;
	t.op[M_BEFORE].rows = t.op[M_TOTAL].rows = t.op[M_OFFSETS].rows = 1;
	t.op[M_STAGE].rows = STAGES * stage_rows(r->experts);
	t.op[M_ZERO] = (struct tile_operand){
		.use = TILE_TEMP, .fmt = X1_FMT_INT32, .stride = {1}, .cols = 1};
	return tiles_launch(dev, &t, cmds, 1);
}

static int route_of(struct sili_device *dev, struct sili_route r, union x1_cmd *cmds, uint32_t max)
{
	int ret;

	if (!route_ok(&r) || !r.work || !r.chosen || !r.weights || !r.row_of || !r.token_of ||
	    !r.counts || !r.offsets)
		return -EINVAL;
	if (r.top_k > X1_VEC_MAX_TOPK || r.top_groups > X1_VEC_MAX_TOPK || r.experts > MAX_EXPERTS)
		return -E2BIG;
	if (max < 2)
		return -ENOSPC;
	ret = choose_launch(dev, &r, cmds);
	if (ret == 1)
		ret = place_launch(dev, &r, cmds + 1);
	return ret < 0 ? ret : 2;
}

SILI_EXPORT int sili_route(struct sili_device *dev, const struct sili_route *op, union x1_cmd *cmds,
			   uint32_t max)
{
	return op->size == sizeof(*op) ? route_of(dev, *op, cmds, max) : -EINVAL;
}
