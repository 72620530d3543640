// SPDX-License-Identifier: MIT
/*
 * The GEMM's program.
 *
 * A work-group takes tiles of C in turn: its index, then every grid-th after
 * it. A tile's sums stay in the accumulators for all of K; A and B come in
 * chunks of K through a ring of stages in the scratchpad. Engines are in
 * order, and the sequencer waits for none of them, so LOAD is in the next tile
 * while MATRIX is still in this one. Counting semaphores run it:
 *
 *   FREE   a stage is free          FULL   a chunk is there
 *   SLOT   accumulators are free    SUM    a strip's sums are done
 *   READY  a strip is finished      EDGE   bias, scales and residual were used
 *
 * The last chunk is multiplied in strips of columns, so that epilogue and
 * store of one strip overlap the product of the next. Bias, scales and
 * residual are loaded ahead of the last chunk: its FULL covers them.
 *
 * With K split, each work-group has one part of one tile: all but the last
 * leave their sums in memory and count; the last waits for the count and adds
 * them from left to right.
 *
 * Ragged edges need no padding: counts are registers.
 */
#include "gemm_code.h"

/* rd = ra / of, rounded up */
static void emit_div_up(struct sili_prog *p, uint8_t rd, uint8_t ra, int64_t of)
{
	alui(p, X1_OP_ADD, rd, ra, of - 1);
	alui(p, X1_OP_DIVU, rd, rd, of);
}

/* rd = min(limit - ra, most) */
static void emit_left(struct sili_prog *p, uint8_t rd, int64_t limit, uint8_t ra, int64_t most)
{
	sili_prog_li(p, rd, limit);
	sili_prog_alu(p, X1_OP_SUB, rd, rd, ra);
	alui(p, X1_OP_MIN, rd, rd, most);
}

/* rd = elements that sparse B stores for ra logical ones */
static void emit_stored(struct sili_prog *p, const struct gemm_operand *op, uint8_t rd, uint8_t ra)
{
	mov(p, rd, ra);
	if (op->sparsity) {
		alui(p, X1_OP_MUL, rd, rd, sili_sparse_k(op->sparsity, 16));
		alui(p, X1_OP_SHR, rd, rd, 4);
	}
}

/* Index of the scale of k0 in a row, as bytes. */
static int64_t scale_bytes(enum x1_scale_mode mode, uint32_t k)
{
	return mode ? (int64_t)sili_scale_row_bytes(mode, k) : 0;
}

/* ---- chunks ---- */

static void load(struct sili_prog *p, uint8_t to, uint8_t from, struct sili_val bytes,
		 struct sili_val rows, uint64_t stride, uint64_t pitch)
{
	sili_emit_load(p, to, from,
		       &(struct sili_block){.bytes = bytes,
					    .rows = rows,
					    .mem_stride = sili_imm((int64_t)stride),
					    .local_stride = sili_imm((int64_t)pitch)});
}

/* R_T1 = bytes of a row of scales, or of indices, for R_KC. */
static void emit_scale_bytes(struct sili_prog *p, enum x1_scale_mode mode)
{
	emit_div_up(p, R_T1, R_KC, mode == X1_SCALE_NV16 ? 16 : mode == X1_SCALE_MX32 ? 32 : 128);
	if (mode <= X1_SCALE_F32_128X128)
		alui(p, X1_OP_SHL, R_T1, R_T1, 2);
}

static void emit_meta_bytes(struct sili_prog *p, enum x1_sparsity sparsity)
{
	/* Whole bytes: the last chunk's row ends in the middle of one at most. */
	alui(p, X1_OP_MUL, R_T1, R_KC, (int64_t)sili_sparse_meta_bytes(sparsity, 64));
	alui(p, X1_OP_ADD, R_T1, R_T1, 63);
	alui(p, X1_OP_SHR, R_T1, R_T1, 6);
}

static void emit_scales(struct sili_prog *p, const struct gemm_operand *op, uint8_t from,
			uint8_t rows)
{
	uint8_t lines = rows;

	if (!op->scale)
		return;
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)op->s_off);
	if (op->scale == X1_SCALE_F32_128X128) {
		emit_div_up(p, R_TMP0, rows, 128);
		lines = R_TMP0;
	}
	emit_scale_bytes(p, op->scale);
	load(p, R_ADDR, from, sili_reg(R_T1), sili_reg(lines), op->scale_stride, op->s_pitch);
}

static void emit_meta(struct sili_prog *p, const struct gemm_operand *op, uint8_t from,
		      uint8_t rows)
{
	if (!op->sparsity)
		return;
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)op->meta_off);
	emit_meta_bytes(p, op->sparsity);
	load(p, R_ADDR, from, sili_reg(R_T1), sili_reg(rows), op->meta_stride, op->m_pitch);
}

/* Load the chunk at R_K into the stage at R_STAGE: FREE to FULL. */
static void emit_chunk(struct sili_prog *p, const struct gemm_plan *pl)
{
	if (pl->is_box) {
		gemm_box_chunk(p, pl);
		return;
	}
	sili_prog_alu(p, X1_OP_SUB, R_KC, R_K_END, R_K);
	sili_prog_alu(p, X1_OP_MIN, R_KC, R_KC, R_KC_NEXT);
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->a.off);
	emit_stored(p, &pl->a, R_T0, R_KC);
	emit_bytes(p, pl->a.fmt, R_T1, pl->a.trans ? R_ROWS : R_T0);
	sili_prog_sems(p, X1_SEM(SEM_FREE), 0, 0, 0);
	load(p, R_ADDR, R_PA, sili_reg(R_T1), sili_reg(pl->a.trans ? R_T0 : R_ROWS), pl->a.stride,
	     pl->a.pitch);
	emit_scales(p, &pl->a, R_PSA, R_ROWS);
	emit_scales(p, &pl->b, R_PSB, R_COLS);
	emit_meta(p, &pl->b, R_PM, R_COLS);
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->b.off);
	emit_stored(p, &pl->b, R_T0, R_KC);
	emit_bytes(p, pl->b.fmt, R_T1, pl->b.trans ? R_COLS : R_T0);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_FULL), 0);
	load(p, R_ADDR, R_PB, sili_reg(R_T1), sili_reg(pl->b.trans ? R_T0 : R_COLS), pl->b.stride,
	     pl->b.pitch);
}

/* Operand addresses on by R_KC, which is a multiple of k_step. */
static void emit_step(struct sili_prog *p, const struct gemm_plan *pl,
		      const struct gemm_operand *op, uint8_t elems, uint8_t scales)
{
	emit_stored(p, op, R_T1, R_KC);
	if (op->trans) {
		muladd(p, elems, R_T1, op->stride);
	} else {
		emit_bytes(p, op->fmt, R_T1, R_T1);
		sili_prog_alu(p, X1_OP_ADD, elems, elems, R_T1);
	}
	if (op->scale) {
		alui(p, X1_OP_MUL, R_T1, R_KC, scale_bytes(op->scale, pl->k_step));
		alui(p, X1_OP_DIVU, R_T1, R_T1, pl->k_step);
		sili_prog_alu(p, X1_OP_ADD, scales, scales, R_T1);
	}
	if (op->sparsity) {
		alui(p, X1_OP_MUL, R_T1, R_KC, (int64_t)sili_sparse_meta_bytes(op->sparsity, 64));
		alui(p, X1_OP_SHR, R_T1, R_T1, 6);
		sili_prog_alu(p, X1_OP_ADD, R_PM, R_PM, R_T1);
	}
}

/* On to the next chunk and stage. */
static void emit_advance(struct sili_prog *p, const struct gemm_plan *pl)
{
	if (pl->is_box) {
		/* A run's last chunk may be shorter than its share of k. */
		sili_prog_alu(p, X1_OP_ADD, R_K, R_K, R_KC_NEXT);
	} else {
		emit_step(p, pl, &pl->a, R_PA, R_PSA);
		emit_step(p, pl, &pl->b, R_PB, R_PSB);
		sili_prog_alu(p, X1_OP_ADD, R_K, R_K, R_KC);
	}
	sili_prog_li(p, R_SUMS, 1);
}

static void emit_next_stage(struct sili_prog *p, const struct gemm_plan *pl)
{
	alui(p, X1_OP_ADD, R_STAGE, R_STAGE, (int64_t)pl->stage_bytes);
	alui(p, X1_OP_REMU, R_STAGE, R_STAGE, (int64_t)(pl->stages * pl->stage_bytes));
}

/* ---- product ---- */

/* B, its scales and indices at R_B, R_SB, R_META: a strip of the stage, or all. */
static void emit_mm(struct sili_prog *p, const struct gemm_plan *pl, uint8_t cols, uint8_t acc)
{
	const struct gemm_operand *a = &pl->a, *b = &pl->b;
	struct x1_desc d = {0};

	sili_desc_reg(&d, X1_MM_M, R_ROWS);
	sili_desc_reg(&d, X1_MM_N, cols);
	sili_desc_reg(&d, X1_MM_K, R_KC);
	sili_desc_reg(&d, X1_MM_K0, R_K);
	sili_desc_set(&d, X1_MM_FMT,
		      X1_MM_FMT(a->fmt, b->fmt) | (a->trans ? X1_MM_FMT_TRANS_A : 0) |
			      (b->trans ? X1_MM_FMT_TRANS_B : 0));
	sili_desc_reg(&d, X1_MM_ACCUMULATE, R_SUMS);
	if (pl->is_box)
		gemm_box_rows(pl, &d);
	else
		sili_desc_set(&d, X1_MM_A_STRIDE, (int64_t)a->pitch);
	sili_desc_set(&d, X1_MM_B_STRIDE, (int64_t)b->pitch);
	sili_desc_set(&d, X1_MM_ACC_STRIDE, pl->tn * 4);
	sili_desc_set(&d, X1_MM_SCALE, X1_MM_SCALE(a->scale, b->scale, b->sparsity));
	if (a->scale) {
		sili_desc_reg(&d, X1_MM_SA_ADDR, R_SA);
		sili_desc_set(&d, X1_MM_SA_STRIDE, (int64_t)a->s_pitch);
	}
	if (b->scale) {
		sili_desc_reg(&d, X1_MM_SB_ADDR, R_SB);
		sili_desc_set(&d, X1_MM_SB_STRIDE, (int64_t)b->s_pitch);
	}
	if (b->sparsity) {
		sili_desc_reg(&d, X1_MM_META_ADDR, R_META);
		sili_desc_set(&d, X1_MM_META_STRIDE, (int64_t)b->m_pitch);
	}
	sili_prog_engine(p, X1_OP_MM, acc, R_ADDR, R_B, &d);
}

static void emit_operands(struct sili_prog *p, const struct gemm_plan *pl)
{
	if (pl->is_box)
		gemm_box_operand(p, pl);
	else
		alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->a.off);
	alui(p, X1_OP_ADD, R_B, R_STAGE, (int64_t)pl->b.off);
	if (pl->a.scale)
		alui(p, X1_OP_ADD, R_SA, R_STAGE, (int64_t)pl->a.s_off);
	if (pl->b.scale)
		alui(p, X1_OP_ADD, R_SB, R_STAGE, (int64_t)pl->b.s_off);
	if (pl->b.sparsity)
		alui(p, X1_OP_ADD, R_META, R_STAGE, (int64_t)pl->b.meta_off);
}

/* The whole tile over one chunk. */
static void emit_whole(struct sili_prog *p, const struct gemm_plan *pl, bool first)
{
	emit_operands(p, pl);
	sili_prog_sems(p, X1_SEM(SEM_FULL), first ? X1_SEM(SEM_SLOT) : 0, X1_SEM(SEM_FREE), 0);
	emit_mm(p, pl, R_COLS, R_ACC);
}

/* ---- epilogue ---- */

/* Bias, scales and residual of the tile; the last chunk's FULL is behind them. */
static void emit_edge(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct sili_gemm *g = &pl->g;
	bool first = true;
	const struct {
		uint64_t present;
		enum gemm_arg base;
		uint8_t at, count;
		uint64_t batch;
		uint64_t to;
	} vectors[] = {
		{g->bias, ARG_BIAS, R_N0, R_COLS, g->bias_batch, pl->bias_at},
		{g->col_scale, ARG_CS, R_N0, R_COLS, g->col_scale_batch, pl->cs_at},
		{g->row_scale, ARG_RS, R_ROW0, R_ROWS, g->row_scale_batch, pl->rs_at},
	};

	for (uint32_t i = 0; i < 3; i++) {
		if (!vectors[i].present)
			continue;
		alui(p, X1_OP_SHL, R_T1, vectors[i].at, 2);
		sili_prog_alu(p, X1_OP_ADD, R_T1, R_T1, arg(vectors[i].base));
		muladd(p, R_T1, R_BATCH, vectors[i].batch);
		alui(p, X1_OP_SHL, R_TMP0, vectors[i].count, 2);
		sili_prog_li(p, R_ADDR, (int64_t)vectors[i].to);
		sili_prog_sems(p, first ? X1_SEM(SEM_EDGE) : 0, 0, 0, 0);
		first = false;
		load(p, R_ADDR, R_T1, sili_reg(R_TMP0), sili_imm(1), 0, 0);
	}
	if (g->residual) {
		sili_prog_li(p, R_ADDR, (int64_t)pl->res_at);
		emit_bytes(p, g->residual_fmt, R_T1, R_N0);
		sili_prog_alu(p, X1_OP_ADD, R_T1, R_T1, arg(ARG_RES));
		muladd(p, R_T1, R_BATCH, g->residual_batch);
		emit_bytes(p, g->residual_fmt, R_TMP0, R_COLS);
		if (pl->is_box) {
			gemm_box_residual(p, pl, first ? X1_SEM(SEM_EDGE) : 0);
			return;
		}
		muladd(p, R_T1, R_ROW0, g->residual_stride);
		sili_prog_sems(p, first ? X1_SEM(SEM_EDGE) : 0, 0, 0, 0);
		load(p, R_ADDR, R_T1, sili_reg(R_TMP0), sili_reg(R_ROWS), g->residual_stride,
		     sili_fmt_bytes(g->residual_fmt, pl->tn));
	}
}

static bool has_edge(const struct gemm_plan *pl)
{
	return pl->g.bias || pl->g.col_scale || pl->g.row_scale || pl->g.residual;
}

/* All tiles have the same columns: what goes with them is loaded once. */
static bool edge_once(const struct gemm_plan *pl)
{
	return has_edge(pl) && !pl->g.row_scale && !pl->g.residual && !pl->g.group &&
	       pl->g.batch == 1 && pl->tiles_n == 1;
}

/* What each tile brings along. */
static bool edge_of_tile(const struct gemm_plan *pl)
{
	return has_edge(pl) && !edge_once(pl);
}

struct step {
	struct sili_vec v;
	uint8_t rd, ra, rb;
};

/* The factor of the strip; its place goes to R_TMP0. Returns how it is broadcast. */
static uint32_t factor_steps(struct sili_prog *p, const struct gemm_plan *pl, struct step *s,
			     uint32_t *n)
{
	const struct sili_gemm *g = &pl->g;
	bool row = g->row_scale, col = g->col_scale;
	struct sili_vec v = {
		.op = X1_VEC_MUL,
		.rows = row ? sili_reg(R_ROWS) : sili_imm(1),
		.cols = col ? sili_reg(R_STRIP_COLS) : sili_imm(1),
		.dst_stride = sili_imm(col ? pl->strip * 4 : 4),
		.s0_stride = sili_imm(4),
	};

	/* R_TMP2: rows, R_TMP1: columns of the strip, R_TMP0: the result. */
	sili_prog_li(p, R_TMP2, (int64_t)pl->rs_at);
	alui(p, X1_OP_SHL, R_TMP1, R_COL, 2);
	alui(p, X1_OP_ADD, R_TMP1, R_TMP1, (int64_t)pl->cs_at);
	sili_prog_li(p, R_TMP0, (int64_t)pl->tmp_at);
	if (row && col) {
		v.bcast0 = X1_VEC_BCAST_COL;
		v.bcast1 = X1_VEC_BCAST_ROW;
		s[(*n)++] = (struct step){v, R_TMP0, R_TMP2, R_TMP1};
		v.bcast0 = v.bcast1 = X1_VEC_BCAST_NONE;
		v.s0_stride = v.dst_stride;
	}
	if (g->scale != 1.0f) {
		v.bcast1 = X1_VEC_BCAST_SCALAR;
		v.scalar1 = g->scale;
		s[(*n)++] = (struct step){v, R_TMP0,
					  row && col ? R_TMP0
					  : row      ? R_TMP2
						     : R_TMP1,
					  0};
	} else if (!(row && col)) {
		mov(p, R_TMP0, row ? R_TMP2 : R_TMP1);
	}
	return row && col ? X1_VEC_BCAST_NONE : row ? X1_VEC_BCAST_COL : X1_VEC_BCAST_ROW;
}

/* Steps of the epilogue on the strip's sums, in place. */
static uint32_t epilogue_steps(struct sili_prog *p, const struct gemm_plan *pl, struct step *s)
{
	const struct sili_gemm *g = &pl->g;
	struct sili_vec v = {
		.rows = sili_reg(R_ROWS),
		.cols = sili_reg(R_STRIP_COLS),
		.s0_fmt = pl->ints ? X1_FMT_INT32 : X1_FMT_FP32,
		.dst_stride = sili_imm(pl->tn * 4),
		.s0_stride = sili_imm(pl->tn * 4),
	};
	uint32_t n = 0;

	if (g->row_scale || g->col_scale) {
		v.bcast1 = factor_steps(p, pl, s, &n);
		v.op = X1_VEC_MUL;
		v.s1_stride = sili_imm(g->row_scale && !g->col_scale ? 4 : pl->strip * 4);
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, R_TMP0};
		v.s0_fmt = X1_FMT_FP32;
	} else if (g->scale != 1.0f) {
		v.op = X1_VEC_MUL;
		v.bcast1 = X1_VEC_BCAST_SCALAR;
		v.scalar1 = g->scale;
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, 0};
		v.s0_fmt = X1_FMT_FP32;
	}
	v.scalar1 = 0;
	if (g->bias) {
		alui(p, X1_OP_SHL, R_TMP3, R_COL, 2);
		alui(p, X1_OP_ADD, R_TMP3, R_TMP3, (int64_t)pl->bias_at);
		v.op = X1_VEC_ADD;
		v.bcast1 = X1_VEC_BCAST_ROW;
		v.s1_stride = sili_imm(0);
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, R_TMP3};
		v.s0_fmt = X1_FMT_FP32;
	}
	if (g->residual) {
		emit_bytes(p, g->residual_fmt, R_RES, R_COL);
		alui(p, X1_OP_ADD, R_RES, R_RES, (int64_t)pl->res_at);
		v.op = X1_VEC_ADD;
		v.bcast1 = X1_VEC_BCAST_NONE;
		v.s1_fmt = g->residual_fmt;
		v.s1_stride = sili_imm((int64_t)sili_fmt_bytes(g->residual_fmt, pl->tn));
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, R_RES};
		v.s0_fmt = v.s1_fmt = X1_FMT_FP32;
	}
	v.bcast1 = X1_VEC_BCAST_NONE;
	v.s1_stride = sili_imm(0);
	if (g->act) {
		v.op = (enum x1_vec_op)sili_act_op(g->act);
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, 0};
		v.s0_fmt = X1_FMT_FP32;
	}
	if (g->out_scale != 1.0f) {
		v.op = X1_VEC_MUL;
		v.bcast1 = X1_VEC_BCAST_SCALAR;
		v.scalar1 = g->out_scale;
		s[n++] = (struct step){v, R_STRIP_ACC, R_STRIP_ACC, 0};
	}
	return n;
}

#define MAX_STEPS 8

static void emit_out(struct sili_prog *p, const struct gemm_plan *pl, enum x1_format lfmt,
		     enum x1_format mfmt, uint64_t stride)
{
	sili_emit_store(p, R_STRIP_ACC, R_STRIP_C,
			&(struct sili_out){
				.elems = sili_reg(R_STRIP_COLS),
				.rows = sili_reg(R_ROWS),
				.mem_stride = sili_imm((int64_t)stride),
				.local_stride = sili_imm(pl->tn * 4),
				.lfmt = lfmt,
				.mfmt = mfmt,
			});
}

/* Sums of the strip to C; the first VECTOR step waits for `wait`. */
static void emit_finish(struct sili_prog *p, const struct gemm_plan *pl, uint8_t wait, bool last)
{
	struct step s[MAX_STEPS];
	uint32_t n = pl->vec ? epilogue_steps(p, pl, s) : 0;

	for (uint32_t i = 0; i < n; i++) {
		bool end = i + 1 == n;

		sili_prog_sems(p, i ? 0 : wait, 0, end ? X1_SEM(SEM_READY) : 0,
			       end && last && edge_of_tile(pl) ? X1_SEM(SEM_EDGE) : 0);
		sili_emit_vec(p, s[i].rd, s[i].ra, s[i].rb, &s[i].v);
	}
	if (n)
		wait = X1_SEM(SEM_READY);
	if (pl->is_box) {
		gemm_box_store(p, pl, !n && pl->ints ? X1_FMT_INT32 : X1_FMT_FP32, wait, last);
		return;
	}
	sili_prog_sems(p, wait, 0, last ? X1_SEM(SEM_SLOT) : 0, 0);
	emit_out(p, pl, !n && pl->ints ? X1_FMT_INT32 : X1_FMT_FP32, pl->g.c_fmt, pl->g.c_stride);
}

/* ---- strips of the last chunk ---- */

static void emit_strip(struct sili_prog *p, const struct gemm_plan *pl, bool first, bool last,
		       bool slot)
{
	const struct gemm_operand *b = &pl->b;

	alui(p, X1_OP_MIN, R_STRIP_COLS, R_COLS_LEFT, pl->strip);
	sili_prog_sems(p, first ? X1_SEM(SEM_FULL) : 0, first && slot ? X1_SEM(SEM_SLOT) : 0,
		       X1_SEM(SEM_SUM), last ? X1_SEM(SEM_FREE) : 0);
	emit_mm(p, pl, R_STRIP_COLS, R_STRIP_ACC);
	emit_finish(p, pl, X1_SEM(SEM_SUM), last);
	if (last)
		return;
	alui(p, X1_OP_SUB, R_COLS_LEFT, R_COLS_LEFT, pl->strip);
	alui(p, X1_OP_ADD, R_COL, R_COL, pl->strip);
	alui(p, X1_OP_ADD, R_STRIP_ACC, R_STRIP_ACC, pl->strip * 4);
	alui(p, X1_OP_ADD, R_STRIP_C, R_STRIP_C, (int64_t)sili_fmt_bytes(pl->g.c_fmt, pl->strip));
	alui(p, X1_OP_ADD, R_B, R_B,
	     (int64_t)(b->trans ? sili_fmt_bytes(b->fmt, pl->strip) : pl->strip * b->pitch));
	if (b->scale == X1_SCALE_F32_128X128) {
		alui(p, X1_OP_SHR, R_T0, R_COL, 7);
		alui(p, X1_OP_MUL, R_T0, R_T0, (int64_t)b->s_pitch);
		alui(p, X1_OP_ADD, R_SB, R_STAGE, (int64_t)b->s_off);
		sili_prog_alu(p, X1_OP_ADD, R_SB, R_SB, R_T0);
	} else if (b->scale) {
		alui(p, X1_OP_ADD, R_SB, R_SB, (int64_t)(pl->strip * b->s_pitch));
	}
	if (b->sparsity)
		alui(p, X1_OP_ADD, R_META, R_META, (int64_t)(pl->strip * b->m_pitch));
}

/* slot: the tile has no chunk before this one, which waits for accumulators. */
static void emit_strips(struct sili_prog *p, const struct gemm_plan *pl, bool slot)
{
	uint32_t one = sili_prog_label(p), done = sili_prog_label(p);
	bool never = pl->tn <= pl->strip;

	emit_operands(p, pl);
	mov(p, R_STRIP_ACC, R_ACC);
	mov(p, R_STRIP_C, R_PC);
	mov(p, R_COLS_LEFT, R_COLS);
	sili_prog_li(p, R_COL, 0);
	if (!never) {
		alui(p, X1_OP_ADD, R_T1, R_COLS, pl->strip - 1);
		alui(p, X1_OP_DIVU, R_T1, R_T1, pl->strip);
		alui(p, X1_OP_SUB, R_T1, R_T1, 1);
		sili_prog_branch(p, X1_OP_BEQ, R_T1, 0, one);
		emit_strip(p, pl, true, false, slot);
		/* emit_strip() leaves R_COLS_LEFT > 0: the strips between first and last. */
		alui(p, X1_OP_ADD, R_T1, R_COLS_LEFT, pl->strip - 1);
		alui(p, X1_OP_DIVU, R_T1, R_T1, pl->strip);
		alui(p, X1_OP_SUB, R_T1, R_T1, 1);
		sili_prog_loop(p, R_T1);
		emit_strip(p, pl, false, false, false);
		sili_prog_loop_end(p);
		emit_strip(p, pl, false, true, false);
		sili_prog_branch(p, X1_OP_JMP, 0, 0, done);
		sili_prog_place(p, one);
	} else {
		sili_prog_place(p, one);
	}
	emit_strip(p, pl, true, true, slot);
	sili_prog_place(p, done);
}

/* ---- split K ---- */

static uint64_t part_bytes(const struct gemm_plan *pl)
{
	return (uint64_t)pl->tm * pl->tn * 4;
}

/* Sums to the workspace, and count; the last part adds all. */
static void emit_part(struct sili_prog *p, const struct gemm_plan *pl, bool slot)
{
	enum x1_format sum = pl->ints ? X1_FMT_INT32 : X1_FMT_FP32;
	uint64_t tiles = pl->units / pl->splits;
	uint32_t reduce = sili_prog_label(p), done = sili_prog_label(p);
	struct sili_vec v = {
		.op = X1_VEC_ADD,
		.rows = sili_reg(R_ROWS),
		.cols = sili_reg(R_COLS),
		.dst_fmt = sum,
		.s0_fmt = sum,
		.s1_fmt = sum,
		.dst_stride = sili_imm(pl->tn * 4),
		.s0_stride = sili_imm(pl->tn * 4),
		.s1_stride = sili_imm(pl->tn * 4),
	};

	emit_operands(p, pl);
	mov(p, R_STRIP_ACC, R_ACC);
	mov(p, R_STRIP_COLS, R_COLS);
	sili_prog_li(p, R_COL, 0);
	sili_prog_sems(p, X1_SEM(SEM_FULL), slot ? X1_SEM(SEM_SLOT) : 0, X1_SEM(SEM_SUM),
		       X1_SEM(SEM_FREE));
	emit_mm(p, pl, R_COLS, R_ACC);
	/* R_TMP0: the tile's part 0; R_TMP1: its counter. */
	alui(p, X1_OP_REMU, R_T1, R_UNIT, (int64_t)tiles);
	mov(p, R_TMP0, arg(ARG_WS));
	muladd(p, R_TMP0, R_T1, part_bytes(pl));
	alui(p, X1_OP_SHL, R_TMP1, R_T1, 3);
	sili_prog_alu(p, X1_OP_ADD, R_TMP1, R_TMP1, arg(ARG_COUNT));
	sili_prog_li(p, R_T1, pl->splits - 1);
	sili_prog_branch(p, X1_OP_BEQ, R_PART, R_T1, reduce);

	mov(p, R_STRIP_C, R_TMP0);
	muladd(p, R_STRIP_C, R_PART, tiles * part_bytes(pl));
	sili_prog_sems(p, X1_SEM(SEM_SUM), 0, 0, 0);
	emit_out(p, pl, sum, sum, pl->tn * 4);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_SYNC});
	sili_prog_li(p, R_T1, 1);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_ATADD, .rd = R_T1, .ra = R_TMP1, .rb = 3});
	sili_prog_branch(p, X1_OP_JMP, 0, 0, done);

	sili_prog_place(p, reduce);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_WAITGE, .rd = R_T1, .ra = R_TMP1, .rb = 3});
	/* Ready for the next time. */
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_STM, .rd = 0, .ra = R_TMP1, .rb = 3});
	alui(p, X1_OP_SHL, R_T1, R_COLS, 2);
	for (uint32_t s = 0; s + 1 < pl->splits; s++) {
		sili_prog_li(p, R_ADDR, (int64_t)(pl->part_at + s * part_bytes(pl)));
		sili_prog_sems(p, 0, 0, X1_SEM(SEM_PART), 0);
		load(p, R_ADDR, R_TMP0, sili_reg(R_T1), sili_reg(R_ROWS), pl->tn * 4, pl->tn * 4);
		alui(p, X1_OP_ADD, R_TMP0, R_TMP0, (int64_t)(tiles * part_bytes(pl)));
	}
	sili_prog_li(p, R_ADDR, (int64_t)pl->part_at);
	for (uint32_t s = 1; s + 1 < pl->splits; s++) {
		sili_prog_li(p, R_T1, (int64_t)(pl->part_at + s * part_bytes(pl)));
		sili_prog_sems(p, X1_SEM(SEM_PART), s == 1 ? X1_SEM(SEM_PART) : 0, 0, 0);
		sili_emit_vec(p, R_ADDR, R_ADDR, R_T1, &v);
	}
	sili_prog_sems(p, X1_SEM(SEM_SUM), pl->splits == 2 ? X1_SEM(SEM_PART) : 0, X1_SEM(SEM_SUM),
		       0);
	sili_emit_vec(p, R_ACC, R_ADDR, R_ACC, &v);
	mov(p, R_STRIP_C, R_PC);
	emit_finish(p, pl, X1_SEM(SEM_SUM), true);
	sili_prog_place(p, done);
}

/* ---- units ---- */

/* The group of the unit: R_BATCH, R_GROUP_AT, R_TILES_M, R_M0's base R_ROW0, R_ROWS. */
static void emit_group(struct sili_prog *p, const struct gemm_plan *pl, uint32_t end)
{
	const struct sili_gemm *g = &pl->g;
	bool contiguous = g->group == SILI_GROUP_CONTIGUOUS;
	uint32_t scan = sili_prog_label(p), found = sili_prog_label(p);

	sili_prog_place(p, scan);
	sili_prog_li(p, R_T0, g->batch);
	sili_prog_branch(p, X1_OP_BGEU, R_BATCH, R_T0, end);
	alui(p, X1_OP_SHL, R_T0, R_BATCH, 2);
	alui(p, X1_OP_ADD, R_T0, R_T0, (int64_t)pl->table_at);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_LDS, .rd = R_ROWS, .ra = R_T0, .rb = 2});
	/* The table is data: whatever it says, rows stay inside m. */
	alui(p, X1_OP_MIN, R_ROWS, R_ROWS, g->m);
	sili_prog_li(p, R_ROW0, 0);
	if (contiguous) {
		mov(p, R_ROW0, R_ROWS);
		sili_prog_emit(
			p, (struct x1_insn){
				   .op = X1_OP_LDS, .rd = R_ROWS, .ra = R_T0, .rb = 2, .imm = 4});
		alui(p, X1_OP_MIN, R_ROWS, R_ROWS, g->m);
		sili_prog_alu(p, X1_OP_SUB, R_ROWS, R_ROWS, R_ROW0);
		alui(p, X1_OP_MAX, R_ROWS, R_ROWS, 0);
	}
	emit_div_up(p, R_TILES_M, R_ROWS, pl->tm);
	alui(p, X1_OP_MUL, R_UNITS, R_TILES_M, pl->tiles_n);
	sili_prog_alu(p, X1_OP_SUB, R_T0, R_UNIT, R_GROUP_AT);
	sili_prog_branch(p, X1_OP_BLTU, R_T0, R_UNITS, found);
	sili_prog_alu(p, X1_OP_ADD, R_GROUP_AT, R_GROUP_AT, R_UNITS);
	alui(p, X1_OP_ADD, R_BATCH, R_BATCH, 1);
	sili_prog_branch(p, X1_OP_JMP, 0, 0, scan);
	sili_prog_place(p, found);
}

/* R_MT and R_NT from the tile's number in R_T0. */
static void emit_tile_of(struct sili_prog *p, const struct gemm_plan *pl)
{
	bool fixed = !pl->g.group;

	if (pl->m_fast && fixed) {
		alui(p, X1_OP_REMU, R_MT, R_T0, pl->tiles_m);
		alui(p, X1_OP_DIVU, R_NT, R_T0, pl->tiles_m);
	} else if (pl->m_fast) {
		sili_prog_alu(p, X1_OP_REMU, R_MT, R_T0, R_TILES_M);
		sili_prog_alu(p, X1_OP_DIVU, R_NT, R_T0, R_TILES_M);
	} else {
		alui(p, X1_OP_REMU, R_NT, R_T0, pl->tiles_n);
		alui(p, X1_OP_DIVU, R_MT, R_T0, pl->tiles_n);
	}
}

/* Address of row `at` of an operand, its scales and indices, at k = R_K. */
static void emit_address(struct sili_prog *p, const struct gemm_plan *pl,
			 const struct gemm_operand *op, enum gemm_arg base, enum gemm_arg s_base,
			 uint8_t elems, uint8_t scales, uint8_t at)
{
	mov(p, elems, arg(base));
	if (op->trans) {
		emit_bytes(p, op->fmt, R_T1, at);
		sili_prog_alu(p, X1_OP_ADD, elems, elems, R_T1);
	} else {
		muladd(p, elems, at, op->stride);
	}
	muladd(p, elems, R_BATCH, op->batch);
	if (op->scale) {
		mov(p, scales, arg(s_base));
		if (op->scale == X1_SCALE_F32_128X128) {
			alui(p, X1_OP_SHR, R_T1, at, 7);
			muladd(p, scales, R_T1, op->scale_stride);
		} else {
			muladd(p, scales, at, op->scale_stride);
		}
		muladd(p, scales, R_BATCH, op->scale_batch);
	}
	if (op->sparsity) {
		mov(p, R_PM, arg(ARG_META));
		muladd(p, R_PM, at, op->meta_stride);
		muladd(p, R_PM, R_BATCH, op->meta_batch);
	}
	if (pl->splits > 1) {
		mov(p, R_KC, R_K);
		emit_step(p, pl, op, elems, scales);
	}
}

/* Where the unit is: tile, rows and columns, addresses, chunks. */
static void emit_unit(struct sili_prog *p, const struct gemm_plan *pl, uint32_t end)
{
	const struct sili_gemm *g = &pl->g;
	uint64_t tiles = (uint64_t)pl->tiles_m * pl->tiles_n;

	sili_prog_li(p, R_ROW0, 0);
	if (g->group) {
		emit_group(p, pl, end);
	} else {
		mov(p, R_T0, R_UNIT);
		if (pl->splits > 1) {
			alui(p, X1_OP_DIVU, R_PART, R_UNIT, (int64_t)(tiles * g->batch));
			alui(p, X1_OP_REMU, R_T0, R_UNIT, (int64_t)(tiles * g->batch));
		}
		if (g->batch > 1) {
			alui(p, X1_OP_DIVU, R_BATCH, R_T0, (int64_t)tiles);
			alui(p, X1_OP_REMU, R_T0, R_T0, (int64_t)tiles);
		}
		sili_prog_li(p, R_ROWS, g->m);
	}
	emit_tile_of(p, pl);
	alui(p, X1_OP_MUL, R_N0, R_NT, pl->tn);
	emit_left(p, R_COLS, g->n, R_N0, pl->tn);
	if (pl->is_box) {
		gemm_box_unit(p, pl);
	} else {
		alui(p, X1_OP_MUL, R_M0, R_MT, pl->tm);
		sili_prog_alu(p, X1_OP_SUB, R_ROWS, R_ROWS, R_M0);
		alui(p, X1_OP_MIN, R_ROWS, R_ROWS, pl->tm);
		sili_prog_alu(p, X1_OP_ADD, R_ROW0, R_ROW0, R_M0);
	}

	sili_prog_li(p, R_K, 0);
	sili_prog_li(p, R_K_END, g->k);
	if (pl->splits > 1) {
		alui(p, X1_OP_MUL, R_K, R_PART, pl->k_split);
		alui(p, X1_OP_ADD, R_T0, R_K, pl->k_split);
		sili_prog_alu(p, X1_OP_MIN, R_K_END, R_K_END, R_T0);
	}
	mov(p, R_PC, arg(ARG_C));
	if (pl->is_box) {
		/* Chunks add the rest: pixels are coordinates, taps follow from R_K. */
		mov(p, R_PA, arg(ARG_A));
		muladd(p, R_PA, R_BATCH, pl->a.batch);
		mov(p, R_PB, arg(ARG_B));
		muladd(p, R_PB, R_N0, pl->b.stride);
		muladd(p, R_PB, R_BATCH, pl->b.batch);
	} else {
		emit_address(p, pl, &pl->a, ARG_A, ARG_SA, R_PA, R_PSA, R_ROW0);
		emit_address(p, pl, &pl->b, ARG_B, ARG_SB, R_PB, R_PSB, R_N0);
		muladd(p, R_PC, R_ROW0, g->c_stride);
	}
	muladd(p, R_PC, R_BATCH, g->c_batch);
	emit_bytes(p, g->c_fmt, R_T1, R_N0);
	sili_prog_alu(p, X1_OP_ADD, R_PC, R_PC, R_T1);
	sili_prog_li(p, R_SUMS, 0);
}

/* This work-group's share of what the next kernel reads. */
static void emit_hint(struct sili_prog *p, const struct gemm_plan *pl, enum gemm_arg base,
		      uint64_t bytes)
{
	uint32_t past = sili_prog_label(p);
	uint64_t share = sili_align(sili_div_up(bytes, pl->grid), 4096);

	if (share > X1_PREFETCH_MAX_BYTES)
		share = X1_PREFETCH_MAX_BYTES;
	alui(p, X1_OP_MUL, R_T0, R_WG, (int64_t)share);
	sili_prog_li(p, R_T1, (int64_t)bytes);
	sili_prog_branch(p, X1_OP_BGEU, R_T0, R_T1, past);
	sili_prog_alu(p, X1_OP_SUB, R_T1, R_T1, R_T0);
	alui(p, X1_OP_MIN, R_T1, R_T1, (int64_t)share);
	sili_prog_alu(p, X1_OP_ADD, R_T0, R_T0, arg(base));
	sili_emit_prefetch(p, R_T0,
			   &(struct sili_block){.bytes = sili_reg(R_T1),
						.rows = sili_imm(1),
						.mem_stride = sili_imm(0),
						.local_stride = sili_imm(0)});
	sili_prog_place(p, past);
}

static void emit_hints(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct sili_gemm *g = &pl->g;

	for (uint32_t i = 0; i < 2; i++)
		if (g->ahead[i].bytes && g->prefetch != SILI_PREFETCH_OFF)
			emit_hint(p, pl, (enum gemm_arg)(ARG_AHEAD0 + i), gemm_ahead(pl, i));
}

/*
 * With the first tile: behind its last LOAD, where L2 has time, or in its
 * middle (ahead_early). A work-group of a grouped GEMM may have no tile.
 */
static void emit_hints_once(struct sili_prog *p, const struct gemm_plan *pl)
{
	uint32_t past = sili_prog_label(p);

	if (pl->g.group || (!pl->g.ahead[0].bytes && !pl->g.ahead[1].bytes))
		return;
	sili_prog_branch(p, X1_OP_BNE, R_UNIT, R_WG, past);
	emit_hints(p, pl);
	sili_prog_place(p, past);
}

static void emit_tail(struct sili_prog *p, const struct gemm_plan *pl, bool slot)
{
	if (edge_of_tile(pl))
		emit_edge(p, pl);
	emit_chunk(p, pl);
	if (!pl->ahead_early)
		emit_hints_once(p, pl);
	if (pl->splits > 1)
		emit_part(p, pl, slot);
	else
		emit_strips(p, pl, slot);
	emit_next_stage(p, pl);
}

/* All of a chunk that is not the last; the next one has `next`. */
static void emit_middle(struct sili_prog *p, const struct gemm_plan *pl, bool first, uint32_t next)
{
	emit_chunk(p, pl);
	emit_whole(p, pl, first);
	emit_advance(p, pl);
	emit_next_stage(p, pl);
	sili_prog_li(p, R_KC_NEXT, next);
}

static void emit_whole_chunks(struct sili_prog *p, const struct gemm_plan *pl, uint32_t n)
{
	if (!n)
		return;
	sili_prog_li(p, R_LEFT_K, n);
	sili_prog_loop(p, R_LEFT_K);
	emit_middle(p, pl, false, pl->kc);
	sili_prog_loop_end(p);
}

/* One tile over k from R_K on. */
static void emit_tile(struct sili_prog *p, const struct gemm_plan *pl, uint32_t k)
{
	struct gemm_cut c = gemm_cut(pl, k);

	if (pl->is_box && pl->box.window)
		gemm_box_halo(p, pl);
	sili_prog_li(p, R_KC_NEXT, c.first ? c.first : c.last);
	if (c.first)
		emit_middle(p, pl, true, c.second ? c.second : c.whole ? pl->kc : c.last);
	if (c.second)
		emit_middle(p, pl, false, c.whole ? pl->kc : c.last);
	emit_whole_chunks(p, pl, c.whole / 2);
	if (pl->ahead_early)
		emit_hints_once(p, pl);
	emit_whole_chunks(p, pl, c.whole - c.whole / 2);
	if (c.whole)
		sili_prog_li(p, R_KC_NEXT, c.last);
	emit_tail(p, pl, !c.first);
}

struct sili_prog *gemm_generate(const struct gemm_plan *pl)
{
	const struct sili_gemm *g = &pl->g;
	struct sili_prog *p = sili_prog_new();
	uint32_t again, end, last_k = g->k - (pl->splits - 1) * pl->k_split;

	if (!p)
		return NULL;
	again = sili_prog_label(p);
	end = sili_prog_label(p);
	if (g->group) {
		sili_prog_li(p, R_ADDR, (int64_t)pl->table_at);
		sili_prog_sems(p, 0, 0, X1_SEM(SEM_TABLE), 0);
		load(p, R_ADDR, arg(ARG_TABLE),
		     sili_imm((g->batch + (g->group == SILI_GROUP_CONTIGUOUS)) * 4), sili_imm(1), 0,
		     0);
		sili_prog_li(p, R_GROUP_AT, 0);
	}
	sili_prog_li(p, R_BATCH, 0);
	mov(p, R_UNIT, R_WG);
	sili_prog_li(p, R_STAGE, 0);
	sili_prog_li(p, R_ACC, X1_ACC_ADDR);
	sili_emit_tokens(p, SEM_FREE, pl->stages);
	sili_emit_tokens(p, SEM_SLOT, pl->slots);
	if (has_edge(pl))
		sili_emit_tokens(p, SEM_EDGE, 1);
	if (pl->is_box && pl->box.window) {
		sili_emit_tokens(p, SEM_HALO, 2);
		sili_prog_li(p, R_HALO, (int64_t)pl->box.halo_at);
	}
	if (g->group) {
		sili_prog_sems(p, X1_SEM(SEM_TABLE), 0, 0, 0);
		sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	}
	if (edge_once(pl)) {
		sili_prog_li(p, R_N0, 0);
		sili_prog_li(p, R_COLS, g->n);
		emit_edge(p, pl);
	}
	sili_prog_place(p, again);
	emit_unit(p, pl, end);
	if (pl->splits > 1 && sili_align(last_k, pl->k_step) != pl->k_split) {
		uint32_t other = sili_prog_label(p), join = sili_prog_label(p);

		sili_prog_li(p, R_T0, pl->splits - 1);
		sili_prog_branch(p, X1_OP_BEQ, R_PART, R_T0, other);
		emit_tile(p, pl, pl->k_split);
		sili_prog_branch(p, X1_OP_JMP, 0, 0, join);
		sili_prog_place(p, other);
		emit_tile(p, pl, last_k);
		sili_prog_place(p, join);
	} else {
		emit_tile(p, pl, pl->k_split);
	}
	if (pl->slots == 2)
		alui(p, X1_OP_XOR, R_ACC, R_ACC, X1_ACC_BANK_BYTES);
	if (pl->is_box && pl->box.window) {
		sili_prog_li(p, R_T0, (int64_t)(2 * pl->box.halo_at + gemm_halo_bytes(pl)));
		sili_prog_alu(p, X1_OP_SUB, R_HALO, R_T0, R_HALO);
	}
	sili_prog_alu(p, X1_OP_ADD, R_UNIT, R_UNIT, R_GRID);
	if (g->group) {
		sili_prog_branch(p, X1_OP_JMP, 0, 0, again);
	} else {
		sili_prog_li(p, R_T0, (int64_t)pl->units);
		sili_prog_branch(p, X1_OP_BLTU, R_UNIT, R_T0, again);
	}
	sili_prog_place(p, end);
	if (g->group)
		emit_hints(p, pl);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}
