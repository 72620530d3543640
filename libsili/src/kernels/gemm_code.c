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

#define MOST_SLICES 8u /* of what is fetched ahead */

/* rd = ra / of, rounded up */
static void emit_div_up(struct sili_prog *p, uint8_t rd, uint8_t ra, int64_t of)
{
	alui(p, X1_OP_ADD, rd, ra, of - 1);
	alui(p, X1_OP_DIVU, rd, rd, of);
}

/* rd = min(of - ra, tile), where ra is a multiple of tile */
static void emit_left(struct sili_prog *p, uint8_t rd, uint32_t of, uint8_t ra, uint32_t tile)
{
	sili_prog_li(p, rd, of % tile ? of : tile);
	if (!(of % tile) || of < tile)
		return;
	sili_prog_alu(p, X1_OP_SUB, rd, rd, ra);
	alui(p, X1_OP_MIN, rd, rd, tile);
}

/* rd = ra + off, or ra itself where that is the same */
static uint8_t emit_at(struct sili_prog *p, uint8_t rd, uint8_t ra, uint64_t off)
{
	if (!off)
		return ra;
	alui(p, X1_OP_ADD, rd, ra, (int64_t)off);
	return rd;
}

/* ---- chunks ---- */

/* Bytes from an element to that kc later; kc is a multiple of k_step. */
static uint64_t step_bytes(const struct gemm_operand *op, uint32_t kc)
{
	uint32_t stored = gemm_stored(op->sparsity, kc);

	return op->trans ? stored * op->stride : sili_fmt_bytes(op->fmt, stored);
}

static void load(struct sili_prog *p, uint8_t to, uint8_t from, struct sili_val bytes,
		 struct sili_val rows, uint64_t stride, uint64_t pitch)
{
	sili_emit_load(p, to, from,
		       &(struct sili_block){.bytes = bytes,
					    .rows = rows,
					    .mem_stride = sili_imm((int64_t)stride),
					    .local_stride = sili_imm((int64_t)pitch)});
}

/*
 * Rows of an operand. Those of the parts of a fold are `part` bytes apart in
 * memory, and follow each other here.
 */
static struct sili_block lines_of(struct sili_prog *p, const struct gemm_plan *pl, uint64_t bytes,
				  uint8_t rows, uint64_t stride, uint64_t pitch, uint64_t part)
{
	struct sili_block b = {
		.bytes = sili_imm((int64_t)bytes),
		.rows = sili_reg(rows),
		.mem_stride = sili_imm((int64_t)stride),
		.local_stride = sili_imm((int64_t)pitch),
	};

	if (pl->parts.fold > 1) {
		alui(p, X1_OP_MUL, R_TMP1, rows, (int64_t)pitch);
		b.planes = pl->parts.fold;
		b.mem_plane = sili_imm((int64_t)part);
		b.local_plane = sili_reg(R_TMP1);
	}
	return b;
}

/* Scales and indices of kc elements of k of an operand's rows. */
static void emit_scales(struct sili_prog *p, const struct gemm_plan *pl,
			const struct gemm_operand *op, uint8_t from, uint8_t rows, uint32_t kc)
{
	struct sili_block b;

	if (!op->scale)
		return;
	if (op->scale == X1_SCALE_F32_128X128) {
		emit_div_up(p, R_TMP0, rows, 128);
		rows = R_TMP0;
	}
	b = lines_of(p, pl, sili_scale_row_bytes(op->scale, kc), rows, op->scale_stride,
		     op->s_pitch, sili_scale_row_bytes(op->scale, pl->parts.k));
	sili_emit_load(p, emit_at(p, R_ADDR, R_STAGE, op->s_off), from, &b);
}

static void emit_meta(struct sili_prog *p, const struct gemm_plan *pl,
		      const struct gemm_operand *op, uint8_t from, uint8_t rows, uint32_t kc)
{
	struct sili_block b;

	if (!op->sparsity)
		return;
	b = lines_of(p, pl, sili_sparse_meta_bytes(op->sparsity, kc), rows, op->meta_stride,
		     op->m_pitch, sili_sparse_meta_bytes(op->sparsity, pl->parts.k));
	sili_emit_load(p, emit_at(p, R_ADDR, R_STAGE, op->meta_off), from, &b);
}

static void emit_elements(struct sili_prog *p, const struct gemm_plan *pl,
			  const struct gemm_operand *op, uint8_t from, uint8_t rows, uint32_t kc,
			  uint8_t wait, uint8_t sig)
{
	uint32_t stored = gemm_stored(op->sparsity, kc);
	uint8_t to = emit_at(p, R_ADDR, R_STAGE, op->off);
	struct sili_block b = {
		.rows = sili_imm(stored),
		.mem_stride = sili_imm((int64_t)op->stride),
		.local_stride = sili_imm((int64_t)op->pitch),
	};

	if (op->trans)
		b.bytes = sili_reg(bytes_of(p, op->fmt, R_T1, rows));
	else
		b = lines_of(p, pl, sili_fmt_bytes(op->fmt, stored), rows, op->stride, op->pitch,
			     step_bytes(op, pl->parts.k));
	sili_prog_sems(p, wait, 0, sig, 0);
	sili_emit_load(p, to, from, &b);
}

/* Load kc elements of k into the stage at R_STAGE: FREE to FULL; A first, then B. */
static void emit_chunk_a(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	emit_elements(p, pl, &pl->a, R_PA, R_ROWS, kc, X1_SEM(SEM_FREE), 0);
	emit_scales(p, pl, &pl->a, R_PSA, R_ROWS, kc);
}

static void emit_chunk_b(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	emit_scales(p, pl, &pl->b, R_PSB, R_COLS, kc);
	emit_meta(p, pl, &pl->b, R_PM, R_COLS, kc);
	emit_elements(p, pl, &pl->b, R_PB, R_COLS, kc, 0, X1_SEM(SEM_FULL));
}

static void emit_chunk(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	if (pl->is_box) {
		gemm_box_chunk(p, pl, kc);
		return;
	}
	emit_chunk_a(p, pl, kc);
	emit_chunk_b(p, pl, kc);
}

/* On to the next chunk: addresses by kc. */
static void emit_advance(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	const struct gemm_operand *a = &pl->a, *b = &pl->b;

	if (pl->is_box) {
		/* A run's last chunk may be shorter than its share of k. */
		alui(p, X1_OP_ADD, R_K, R_K, kc);
		return;
	}
	alui(p, X1_OP_ADD, R_PA, R_PA, (int64_t)step_bytes(a, kc));
	alui(p, X1_OP_ADD, R_PB, R_PB, (int64_t)step_bytes(b, kc));
	if (a->scale)
		alui(p, X1_OP_ADD, R_PSA, R_PSA, (int64_t)sili_scale_row_bytes(a->scale, kc));
	if (b->scale)
		alui(p, X1_OP_ADD, R_PSB, R_PSB, (int64_t)sili_scale_row_bytes(b->scale, kc));
	if (b->sparsity)
		alui(p, X1_OP_ADD, R_PM, R_PM, (int64_t)sili_sparse_meta_bytes(b->sparsity, kc));
}

static void emit_next_stage(struct sili_prog *p, const struct gemm_plan *pl)
{
	alui(p, X1_OP_ADD, R_STAGE, R_STAGE, (int64_t)pl->stage_bytes);
	alui(p, X1_OP_REMU, R_STAGE, R_STAGE, (int64_t)(pl->stages * pl->stage_bytes));
}

/* ---- product ---- */

/* The register with the place of A: a stage begins with its elements, if it has no scales. */
static uint8_t place_of_a(const struct gemm_plan *pl)
{
	return pl->is_box || pl->a.off ? R_ADDR : R_STAGE;
}

/*
 * B, its scales and indices at R_B, R_SB, R_META: a strip of the stage, or all.
 * The first product of a tile starts its sums.
 */
static void emit_mm(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool first,
		    uint8_t cols, uint8_t acc)
{
	const struct gemm_operand *a = &pl->a, *b = &pl->b;
	bool fold = pl->parts.fold > 1;
	struct x1_desc d = {0};

	sili_desc_reg(&d, X1_MM_M, fold ? R_FOLD_M : R_ROWS);
	sili_desc_reg(&d, X1_MM_N, fold ? R_FOLD_N : cols);
	if (pl->is_box) {
		sili_desc_reg(&d, X1_MM_K, R_KC);
		sili_desc_reg(&d, X1_MM_K0, R_K);
	} else {
		/* Chunks begin with a block of scales: which one it is does not matter. */
		sili_desc_set(&d, X1_MM_K, kc);
	}
	sili_desc_set(&d, X1_MM_FMT,
		      X1_MM_FMT(a->fmt, b->fmt) | (a->trans ? X1_MM_FMT_TRANS_A : 0) |
			      (b->trans ? X1_MM_FMT_TRANS_B : 0));
	sili_desc_set(&d, X1_MM_ACCUMULATE, !first);
	if (pl->is_box)
		gemm_box_rows(pl, &d);
	else
		sili_desc_set(&d, X1_MM_A_STRIDE, (int64_t)a->pitch);
	sili_desc_set(&d, X1_MM_B_STRIDE, (int64_t)b->pitch);
	sili_desc_set(&d, X1_MM_ACC_STRIDE, (int64_t)gemm_acc_pitch(pl));
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
	sili_prog_engine(p, X1_OP_MM, acc, place_of_a(pl), R_B, &d);
}

static void emit_operands(struct sili_prog *p, const struct gemm_plan *pl)
{
	if (pl->is_box)
		gemm_box_operand(p, pl);
	else
		emit_at(p, R_ADDR, R_STAGE, pl->a.off);
	alui(p, X1_OP_ADD, R_B, R_STAGE, (int64_t)pl->b.off);
	if (pl->a.scale)
		alui(p, X1_OP_ADD, R_SA, R_STAGE, (int64_t)pl->a.s_off);
	if (pl->b.scale)
		alui(p, X1_OP_ADD, R_SB, R_STAGE, (int64_t)pl->b.s_off);
	if (pl->b.sparsity)
		alui(p, X1_OP_ADD, R_META, R_STAGE, (int64_t)pl->b.meta_off);
}

/* The whole tile over one chunk. */
static void emit_whole(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool first)
{
	emit_operands(p, pl);
	sili_prog_sems(p, X1_SEM(SEM_FULL), first ? X1_SEM(SEM_SLOT) : 0, X1_SEM(SEM_FREE), 0);
	emit_mm(p, pl, kc, first, R_COLS, R_ACC);
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
		.dst_stride = sili_imm((int64_t)gemm_acc_pitch(pl)),
		.s0_stride = sili_imm((int64_t)gemm_acc_pitch(pl)),
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
				.local_stride = sili_imm((int64_t)gemm_acc_pitch(pl)),
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

/* Adds sums of a tile to others. */
static struct sili_vec adder(const struct gemm_plan *pl)
{
	enum x1_format sum = pl->ints ? X1_FMT_INT32 : X1_FMT_FP32;
	struct sili_val pitch = sili_imm((int64_t)gemm_acc_pitch(pl));

	return (struct sili_vec){
		.op = X1_VEC_ADD,
		.rows = sili_reg(R_ROWS),
		.cols = sili_reg(R_COLS),
		.dst_fmt = sum,
		.s0_fmt = sum,
		.s1_fmt = sum,
		.dst_stride = pitch,
		.s0_stride = pitch,
		.s1_stride = pitch,
	};
}

/*
 * What the epilogue waits for when VECTOR has added parts: nothing, being
 * VECTOR's own next steps, or, where there are none, the last addition.
 */
static uint8_t added(const struct gemm_plan *pl)
{
	return pl->vec ? 0 : X1_SEM(SEM_READY);
}

/* The sums of the parts of a fold lie on the diagonal. */
static void emit_fold(struct sili_prog *p, const struct gemm_plan *pl)
{
	struct sili_vec v = adder(pl);

	alui(p, X1_OP_MUL, R_T1, R_ROWS, (int64_t)gemm_acc_pitch(pl));
	muladd(p, R_T1, R_COLS, 4);
	mov(p, R_TMP0, R_ACC);
	for (uint32_t f = 1; f < pl->parts.fold; f++) {
		sili_prog_alu(p, X1_OP_ADD, R_TMP0, R_TMP0, R_T1);
		sili_prog_sems(p, f == 1 ? X1_SEM(SEM_SUM) : 0, 0,
			       f + 1 == pl->parts.fold ? added(pl) : 0, 0);
		sili_emit_vec(p, R_ACC, R_ACC, R_TMP0, &v);
	}
}

/* ---- strips of the last chunk ---- */

static void emit_strip(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool first,
		       bool last, bool only)
{
	const struct gemm_operand *b = &pl->b;

	alui(p, X1_OP_MIN, R_STRIP_COLS, R_COLS_LEFT, pl->strip);
	sili_prog_sems(p, first ? X1_SEM(SEM_FULL) : 0, first && only ? X1_SEM(SEM_SLOT) : 0,
		       X1_SEM(SEM_SUM), last ? X1_SEM(SEM_FREE) : 0);
	emit_mm(p, pl, kc, only, R_STRIP_COLS, R_STRIP_ACC);
	if (pl->parts.fold > 1)
		emit_fold(p, pl);
	emit_finish(p, pl, pl->parts.fold > 1 ? added(pl) : X1_SEM(SEM_SUM), last);
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

/* only: the tile has no chunk before this one, which waits for accumulators. */
static void emit_strips(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool only)
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
		emit_strip(p, pl, kc, true, false, only);
		/* emit_strip() leaves R_COLS_LEFT > 0: the strips between first and last. */
		alui(p, X1_OP_ADD, R_T1, R_COLS_LEFT, pl->strip - 1);
		alui(p, X1_OP_DIVU, R_T1, R_T1, pl->strip);
		alui(p, X1_OP_SUB, R_T1, R_T1, 1);
		sili_prog_loop(p, R_T1);
		emit_strip(p, pl, kc, false, false, only);
		sili_prog_loop_end(p);
		emit_strip(p, pl, kc, false, true, only);
		sili_prog_branch(p, X1_OP_JMP, 0, 0, done);
		sili_prog_place(p, one);
	} else {
		sili_prog_place(p, one);
	}
	emit_strip(p, pl, kc, true, true, only);
	sili_prog_place(p, done);
}

/* ---- split K ---- */

static uint64_t part_bytes(const struct gemm_plan *pl)
{
	return (uint64_t)pl->tm * pl->tn * 4;
}

/* Sums to the workspace, and count; the last part adds all. */
static void emit_part(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool only)
{
	enum x1_format sum = pl->ints ? X1_FMT_INT32 : X1_FMT_FP32;
	uint64_t tiles = pl->units / pl->parts.splits;
	uint32_t reduce = sili_prog_label(p), done = sili_prog_label(p);
	struct sili_vec v = adder(pl);

	emit_operands(p, pl);
	mov(p, R_STRIP_ACC, R_ACC);
	mov(p, R_STRIP_COLS, R_COLS);
	sili_prog_li(p, R_COL, 0);
	sili_prog_sems(p, X1_SEM(SEM_FULL), only ? X1_SEM(SEM_SLOT) : 0, X1_SEM(SEM_SUM),
		       X1_SEM(SEM_FREE));
	emit_mm(p, pl, kc, only, R_COLS, R_ACC);
	/* R_TMP0: the tile's part 0; R_TMP1: its counter. */
	alui(p, X1_OP_REMU, R_T1, R_UNIT, (int64_t)tiles);
	mov(p, R_TMP0, arg(ARG_WS));
	muladd(p, R_TMP0, R_T1, part_bytes(pl));
	alui(p, X1_OP_SHL, R_TMP1, R_T1, 3);
	sili_prog_alu(p, X1_OP_ADD, R_TMP1, R_TMP1, arg(ARG_COUNT));
	sili_prog_li(p, R_T1, pl->parts.splits - 1);
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
	for (uint32_t s = 0; s + 1 < pl->parts.splits; s++) {
		sili_prog_li(p, R_ADDR, (int64_t)(pl->part_at + s * part_bytes(pl)));
		sili_prog_sems(p, 0, 0, X1_SEM(SEM_PART), 0);
		load(p, R_ADDR, R_TMP0, sili_reg(R_T1), sili_reg(R_ROWS), pl->tn * 4, pl->tn * 4);
		alui(p, X1_OP_ADD, R_TMP0, R_TMP0, (int64_t)(tiles * part_bytes(pl)));
	}
	sili_prog_li(p, R_ADDR, (int64_t)pl->part_at);
	for (uint32_t s = 1; s + 1 < pl->parts.splits; s++) {
		sili_prog_li(p, R_T1, (int64_t)(pl->part_at + s * part_bytes(pl)));
		sili_prog_sems(p, X1_SEM(SEM_PART), s == 1 ? X1_SEM(SEM_PART) : 0, 0, 0);
		sili_emit_vec(p, R_ADDR, R_ADDR, R_T1, &v);
	}
	sili_prog_sems(p, X1_SEM(SEM_SUM), pl->parts.splits == 2 ? X1_SEM(SEM_PART) : 0, added(pl),
		       0);
	sili_emit_vec(p, R_ACC, R_ADDR, R_ACC, &v);
	mov(p, R_STRIP_C, R_PC);
	emit_finish(p, pl, added(pl), true);
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

/* R_MT and R_NT from the tile's number. */
static void emit_tile_of(struct sili_prog *p, const struct gemm_plan *pl, uint8_t tile)
{
	bool fixed = !pl->g.group;

	if (pl->m_fast && fixed) {
		alui(p, X1_OP_REMU, R_MT, tile, pl->tiles_m);
		alui(p, X1_OP_DIVU, R_NT, tile, pl->tiles_m);
	} else if (pl->m_fast) {
		sili_prog_alu(p, X1_OP_REMU, R_MT, tile, R_TILES_M);
		sili_prog_alu(p, X1_OP_DIVU, R_NT, tile, R_TILES_M);
	} else {
		alui(p, X1_OP_REMU, R_NT, tile, pl->tiles_n);
		alui(p, X1_OP_DIVU, R_MT, tile, pl->tiles_n);
	}
}

/* rd = base + ra * factor + the batch's */
static void emit_place(struct sili_prog *p, uint8_t rd, enum gemm_arg base, uint8_t ra,
		       uint64_t factor, uint64_t batch)
{
	alui(p, X1_OP_MUL, rd, ra, (int64_t)factor);
	sili_prog_alu(p, X1_OP_ADD, rd, rd, arg(base));
	muladd(p, rd, R_BATCH, batch);
}

/* Address of row `at` of an operand, its scales and indices, at the part's first k. */
static void emit_address(struct sili_prog *p, const struct gemm_plan *pl,
			 const struct gemm_operand *op, enum gemm_arg base, enum gemm_arg s_base,
			 uint8_t elems, uint8_t scales, uint8_t at)
{
	bool part = pl->parts.splits > 1;

	if (op->trans) {
		emit_bytes(p, op->fmt, elems, at);
		sili_prog_alu(p, X1_OP_ADD, elems, elems, arg(base));
		muladd(p, elems, R_BATCH, op->batch);
	} else {
		emit_place(p, elems, base, at, op->stride, op->batch);
	}
	if (part)
		muladd(p, elems, R_PART, step_bytes(op, pl->parts.k));
	if (op->scale) {
		if (op->scale == X1_SCALE_F32_128X128) {
			alui(p, X1_OP_SHR, R_T1, at, 7);
			at = R_T1;
		}
		emit_place(p, scales, s_base, at, op->scale_stride, op->scale_batch);
		if (part)
			muladd(p, scales, R_PART, sili_scale_row_bytes(op->scale, pl->parts.k));
	}
}

/* Where the unit is: rows of C and of A. */
static void emit_unit_a(struct sili_prog *p, const struct gemm_plan *pl, uint32_t end)
{
	const struct sili_gemm *g = &pl->g;
	uint64_t tiles = (uint64_t)pl->tiles_m * pl->tiles_n;
	uint8_t tile = R_UNIT;

	if (g->group) {
		emit_group(p, pl, end);
		tile = R_T0;
	}
	if (pl->parts.splits > 1) {
		alui(p, X1_OP_DIVU, R_PART, tile, (int64_t)(tiles * g->batch));
		alui(p, X1_OP_REMU, R_T0, tile, (int64_t)(tiles * g->batch));
		tile = R_T0;
	}
	if (!g->group && g->batch > 1) {
		alui(p, X1_OP_DIVU, R_BATCH, tile, (int64_t)tiles);
		alui(p, X1_OP_REMU, R_T0, tile, (int64_t)tiles);
		tile = R_T0;
	}
	emit_tile_of(p, pl, tile);
	if (pl->is_box) {
		gemm_box_unit(p, pl);
		sili_prog_li(p, R_K, 0);
		if (pl->parts.splits > 1)
			alui(p, X1_OP_MUL, R_K, R_PART, pl->parts.k);
		/* Chunks add the rest: pixels are coordinates, taps follow from R_K. */
		mov(p, R_PA, arg(ARG_A));
		muladd(p, R_PA, R_BATCH, pl->a.batch);
		return;
	}
	if (g->group) {
		alui(p, X1_OP_MUL, R_M0, R_MT, pl->tm);
		sili_prog_alu(p, X1_OP_SUB, R_ROWS, R_ROWS, R_M0);
		alui(p, X1_OP_MIN, R_ROWS, R_ROWS, pl->tm);
		sili_prog_alu(p, X1_OP_ADD, R_ROW0, R_ROW0, R_M0);
	} else {
		alui(p, X1_OP_MUL, R_ROW0, R_MT, pl->tm);
		emit_left(p, R_ROWS, g->m, R_ROW0, pl->tm);
	}
	emit_address(p, pl, &pl->a, ARG_A, ARG_SA, R_PA, R_PSA, R_ROW0);
}

/* Columns of C, rows of B. */
static void emit_unit_b(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct gemm_operand *b = &pl->b;

	alui(p, X1_OP_MUL, R_N0, R_NT, pl->tn);
	emit_left(p, R_COLS, pl->g.n, R_N0, pl->tn);
	if (pl->is_box) {
		emit_place(p, R_PB, ARG_B, R_N0, b->stride, b->batch);
		return;
	}
	emit_address(p, pl, b, ARG_B, ARG_SB, R_PB, R_PSB, R_N0);
	if (b->sparsity) {
		emit_place(p, R_PM, ARG_META, R_N0, b->meta_stride, b->meta_batch);
		if (pl->parts.splits > 1)
			muladd(p, R_PM, R_PART, sili_sparse_meta_bytes(b->sparsity, pl->parts.k));
	}
}

/* What LOAD does not wait for: rows and columns of MATRIX, where C is. */
static void emit_unit_c(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct sili_gemm *g = &pl->g;

	if (pl->parts.fold > 1) {
		alui(p, X1_OP_MUL, R_FOLD_M, R_ROWS, pl->parts.fold);
		alui(p, X1_OP_MUL, R_FOLD_N, R_COLS, pl->parts.fold);
	}
	emit_bytes(p, g->c_fmt, R_PC, R_N0);
	sili_prog_alu(p, X1_OP_ADD, R_PC, R_PC, arg(ARG_C));
	if (!pl->is_box)
		muladd(p, R_PC, R_ROW0, g->c_stride);
	muladd(p, R_PC, R_BATCH, g->c_batch);
}

/* Does a work-group come back for another unit? */
static bool many_units(const struct gemm_plan *pl)
{
	return pl->g.group || pl->units > pl->grid;
}

/* This work-group's share of bytes [from, to) of what the next kernel reads. */
static void emit_hint(struct sili_prog *p, const struct gemm_plan *pl, enum gemm_arg base,
		      uint64_t from, uint64_t to)
{
	uint32_t past = sili_prog_label(p);
	/* Where K is split, the last parts: others would come before those' operands. */
	uint32_t fetchers = pl->grid / pl->parts.splits;
	uint64_t share = sili_align(sili_div_up(to - from, fetchers), 4096);

	if (share > X1_PREFETCH_MAX_BYTES)
		share = X1_PREFETCH_MAX_BYTES;
	alui(p, X1_OP_SUB, R_T0, R_WG, pl->grid - fetchers);
	alui(p, X1_OP_MUL, R_T0, R_T0, (int64_t)share);
	sili_prog_li(p, R_T1, (int64_t)(to - from));
	sili_prog_branch(p, X1_OP_BGEU, R_T0, R_T1, past);
	sili_prog_alu(p, X1_OP_SUB, R_T1, R_T1, R_T0);
	alui(p, X1_OP_MIN, R_T1, R_T1, (int64_t)share);
	alui(p, X1_OP_ADD, R_T0, R_T0, (int64_t)from);
	sili_prog_alu(p, X1_OP_ADD, R_T0, R_T0, arg(base));
	sili_emit_prefetch(p, R_T0,
			   &(struct sili_block){.bytes = sili_reg(R_T1),
						.rows = sili_imm(1),
						.mem_stride = sili_imm(0),
						.local_stride = sili_imm(0)});
	sili_prog_place(p, past);
}

/* The i-th of n slices. */
static void emit_hints(struct sili_prog *p, const struct gemm_plan *pl, uint32_t i, uint32_t n)
{
	const struct sili_gemm *g = &pl->g;

	for (uint32_t a = 0; a < 2; a++) {
		uint64_t bytes = gemm_ahead(pl, a), slice = sili_align(sili_div_up(bytes, n), 4096);
		uint64_t from = i * slice, to = sili_min64(bytes, from + slice);

		if (from < to && g->prefetch != SILI_PREFETCH_OFF)
			emit_hint(p, pl, (enum gemm_arg)(ARG_AHEAD0 + a), from, to);
	}
}

/*
 * With the first tile: behind its last LOAD, where L2 has time, or in slices
 * between its chunks (ahead_early), which do not wait behind all of it then.
 * A work-group of a grouped GEMM may have no tile.
 */
static void emit_hints_once(struct sili_prog *p, const struct gemm_plan *pl, uint32_t i, uint32_t n)
{
	uint32_t past = sili_prog_label(p);

	if (pl->g.group || (!pl->g.ahead[0].bytes && !pl->g.ahead[1].bytes))
		return;
	if (many_units(pl))
		sili_prog_branch(p, X1_OP_BNE, R_UNIT, R_WG, past);
	emit_hints(p, pl, i, n);
	sili_prog_place(p, past);
}

/* The other stages are free as well, once the first LOAD has been issued. */
static void emit_stages_once(struct sili_prog *p, const struct gemm_plan *pl)
{
	uint32_t past = sili_prog_label(p);

	if (pl->stages == 1)
		return;
	if (many_units(pl))
		sili_prog_branch(p, X1_OP_BNE, R_UNIT, R_WG, past);
	sili_emit_tokens(p, SEM_FREE, pl->stages - 1);
	sili_prog_place(p, past);
}

/*
 * A tile's first chunk. MATRIX waits for it, so its LOADs go out as soon as
 * their addresses are known; the rest of what a unit needs follows.
 */
static void emit_first_chunk(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc,
			     bool edge)
{
	if (!pl->is_box)
		emit_chunk_a(p, pl, kc);
	emit_unit_b(p, pl);
	if (edge)
		emit_edge(p, pl);
	if (pl->is_box)
		gemm_box_chunk(p, pl, kc);
	else
		emit_chunk_b(p, pl, kc);
	emit_stages_once(p, pl);
	emit_unit_c(p, pl);
}

/* All of a chunk that is not the last. */
static void emit_middle(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool first)
{
	if (first)
		emit_first_chunk(p, pl, kc, false);
	else
		emit_chunk(p, pl, kc);
	emit_whole(p, pl, kc, first);
	emit_advance(p, pl, kc);
	emit_next_stage(p, pl);
}

static void emit_whole_chunks(struct sili_prog *p, const struct gemm_plan *pl, uint32_t n)
{
	if (!n)
		return;
	sili_prog_li(p, R_LEFT_K, n);
	sili_prog_loop(p, R_LEFT_K);
	emit_middle(p, pl, pl->kc, false);
	sili_prog_loop_end(p);
}

/* The last chunk; only: it is the first one as well. */
static void emit_tail(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc, bool only)
{
	if (only) {
		emit_first_chunk(p, pl, kc, edge_of_tile(pl));
	} else {
		if (edge_of_tile(pl))
			emit_edge(p, pl);
		emit_chunk(p, pl, kc);
	}
	if (!pl->ahead_early)
		emit_hints_once(p, pl, 0, 1);
	if (pl->parts.splits > 1)
		emit_part(p, pl, kc, only);
	else
		emit_strips(p, pl, kc, only);
	emit_next_stage(p, pl);
}

/* One tile over k elements. */
static void emit_tile(struct sili_prog *p, const struct gemm_plan *pl, uint32_t k)
{
	struct gemm_cut c = gemm_cut(pl, k);
	uint32_t last = k - c.first - c.second - c.whole * pl->kc, slices = 1;

	if (pl->ahead_early && c.whole > 1)
		slices = c.whole < MOST_SLICES ? c.whole : MOST_SLICES;
	if (pl->is_box && pl->box.window)
		gemm_box_halo(p, pl);
	if (c.first)
		emit_middle(p, pl, c.first, true);
	if (c.second)
		emit_middle(p, pl, c.second, false);
	for (uint32_t i = 0; i < slices; i++) {
		emit_whole_chunks(p, pl, c.whole * (i + 1) / slices - c.whole * i / slices);
		if (pl->ahead_early)
			emit_hints_once(p, pl, i, slices);
	}
	emit_tail(p, pl, last, !c.first);
}

struct sili_prog *gemm_generate(const struct gemm_plan *pl)
{
	const struct sili_gemm *g = &pl->g;
	struct sili_prog *p = sili_prog_new();
	uint32_t again, end, last_k = pl->parts.k;
	bool window = pl->is_box && pl->box.window;

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
	/* What is set up brings the first tokens along. */
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_FREE), has_edge(pl) ? X1_SEM(SEM_EDGE) : 0);
	mov(p, R_UNIT, R_WG);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_SLOT), pl->slots == 2 ? X1_SEM(SEM_SLOT) : 0);
	sili_prog_li(p, R_STAGE, 0);
	if (window)
		sili_prog_sems(p, 0, 0, X1_SEM(SEM_HALO), X1_SEM(SEM_HALO));
	sili_prog_li(p, R_ACC, X1_ACC_ADDR);
	sili_prog_li(p, R_BATCH, 0);
	if (window)
		sili_prog_li(p, R_HALO, (int64_t)pl->box.halo_at);
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
	emit_unit_a(p, pl, end);
	if (pl->parts.splits > 1)
		last_k = g->k - (pl->parts.splits - 1) * pl->parts.k;
	if (last_k != pl->parts.k) {
		uint32_t other = sili_prog_label(p), join = sili_prog_label(p);

		sili_prog_li(p, R_T0, pl->parts.splits - 1);
		sili_prog_branch(p, X1_OP_BEQ, R_PART, R_T0, other);
		emit_tile(p, pl, pl->parts.k);
		sili_prog_branch(p, X1_OP_JMP, 0, 0, join);
		sili_prog_place(p, other);
		emit_tile(p, pl, last_k);
		sili_prog_place(p, join);
	} else {
		emit_tile(p, pl, last_k);
	}
	if (pl->slots == 2)
		alui(p, X1_OP_XOR, R_ACC, R_ACC, X1_ACC_BANK_BYTES);
	if (window) {
		sili_prog_li(p, R_T0, (int64_t)(2 * pl->box.halo_at + gemm_halo_bytes(pl)));
		sili_prog_alu(p, X1_OP_SUB, R_HALO, R_T0, R_HALO);
	}
	sili_prog_alu(p, X1_OP_ADD, R_UNIT, R_UNIT, R_GRID);
	if (g->group) {
		sili_prog_branch(p, X1_OP_JMP, 0, 0, again);
	} else if (many_units(pl)) {
		sili_prog_li(p, R_T0, (int64_t)pl->units);
		sili_prog_branch(p, X1_OP_BLTU, R_UNIT, R_T0, again);
	}
	sili_prog_place(p, end);
	if (g->group)
		emit_hints(p, pl, 0, 1);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}
