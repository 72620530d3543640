// SPDX-License-Identifier: MIT
/*
 * The program of attention. A work-group has a tile of tokens and heads of q
 * that share their keys, and goes through the keys in blocks. MATRIX makes the
 * scores of a block while VECTOR is at those of the one before:
 *
 *   MATRIX   s0 | s1      o0 | s2      o1 | s3      o2 | ...
 *   VECTOR        softmax0   | softmax1   | softmax2   |
 *
 * VECTOR rescales the output by the change of each row's maximum after o(j-1)
 * and before o(j), while MATRIX makes s(j+1).
 *
 *   K, V, B       a block is there       KFREE, VFREE, BFREE   its stage is free
 *   SCORES        scores are there       SFREE                 they were used
 *   READY         probabilities are there, the output is rescaled
 *   OUT           the output has the block
 *   DONE          a strip of the result is finished
 */
#include <math.h>

#include "attention.h"

enum {
	SEM_K,
	SEM_V,
	SEM_B,
	SEM_KFREE,
	SEM_VFREE,
	SEM_BFREE,
	SEM_SCORES,
	SEM_SFREE,
	SEM_READY,
	SEM_OUT,
	SEM_DONE,
};

enum {
	R_WG = 1,
	R_ARG = X1_REG_ARG0,
	/* the tile */
	R_T0 = R_ARG + ATT_NUM, /* first token, tokens; first head of the group, heads */
	R_NT,
	R_G0,
	R_NG,
	R_ROWS,
	R_KV, /* head of k, batch */
	R_BATCH,
	R_FIRST, /* place of the first token; of the last one */
	R_LAST,
	R_END, /* keys */
	R_PQ,
	R_PK,
	R_PV,
	R_PB,
	R_PO,
	R_PITCH, /* of heads in local memory */
	/* a block: its first key and its keys, and those of the next one */
	R_KEY,
	R_KEYS,
	R_KEY_NEXT,
	R_KEYS_NEXT,
	R_LEFT,    /* blocks behind this one */
	R_K_STAGE, /* where LOAD is; where MATRIX is with its second operand */
	R_V_LOAD,
	R_V_STAGE,
	R_B_LOAD,
	R_B_STAGE,
	R_P,
	R_S_NEXT,
	R_S,
	R_SUMS,
	/* places that do not change */
	R_OUT,
	R_Q,
	R_MAX,
	R_NEXT,
	R_FACTOR,
	R_SUM,
	/* for a moment */
	R_X,
	R_Y,
	R_BYTES,
	/* what the start leaves free */
	R_PART = 2,
	R_DIAG = 3,
	R_UNIT = 4,
	R_SPLIT = 6, /* the part of the keys */
};

X1_STATIC_ASSERT(R_BYTES < X1_NUM_REGS);

#define HIDDEN -1e30f /* score of a key that is not seen */
#define LOWEST -1e20f /* least maximum: exp(HIDDEN - LOWEST) is 0 */
#define STRIP  64u    /* columns of the result's step */

static uint8_t arg(enum att_arg a)
{
	return (uint8_t)(R_ARG + a);
}

static void alui(struct sili_prog *p, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(p, op, rd, ra, imm);
}

static void mov(struct sili_prog *p, uint8_t rd, uint8_t ra)
{
	alui(p, X1_OP_ADD, rd, ra, 0);
}

/* rd += ra * factor */
static void muladd(struct sili_prog *p, uint8_t rd, uint8_t ra, uint64_t factor)
{
	if (!factor)
		return;
	alui(p, X1_OP_MUL, R_X, ra, (int64_t)factor);
	sili_prog_alu(p, X1_OP_ADD, rd, rd, R_X);
}

/* First and count of tile R_Y of `of` in tiles of `size`. */
static void first_and_count(struct sili_prog *p, uint8_t first, uint8_t count, uint32_t size,
			    uint32_t of)
{
	alui(p, X1_OP_MUL, first, R_Y, size);
	sili_prog_li(p, count, of);
	sili_prog_alu(p, X1_OP_SUB, count, count, first);
	alui(p, X1_OP_MIN, count, count, size);
}

/* ---- transfers ---- */

/* Over (elements, tokens, heads) of q, o or the bias. */
static struct x1_desc rows_desc(uint32_t ctrl, uint64_t token, uint64_t head, uint64_t pitch)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(3) | ctrl);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_NT);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 2, R_NG);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)token);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 1, (int64_t)head);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, (int64_t)pitch);
	sili_desc_reg(&d, X1_DMA_LSTRIDE1 + 1, R_PITCH);
	return d;
}

static void emit_q(struct sili_prog *p, const struct att_plan *pl)
{
	uint64_t pitch = sili_fmt_bytes(pl->a.q_fmt, pl->a.dim);
	struct x1_desc d = rows_desc(0, pl->a.q_token, pl->a.q_head, pitch);

	alui(p, X1_OP_MUL, R_PITCH, R_NT, (int64_t)pitch);
	sili_desc_set(&d, X1_DMA_COUNT0, (int64_t)pitch);
	sili_prog_engine(p, X1_OP_LOAD, R_Q, R_PQ, 0, &d);
}

static void advance_ring(struct sili_prog *p, uint8_t stage, uint64_t at, uint64_t bytes,
			 uint32_t stages)
{
	alui(p, X1_OP_ADD, stage, stage, (int64_t)(bytes - at));
	alui(p, X1_OP_REMU, stage, stage, (int64_t)(bytes * stages));
	alui(p, X1_OP_ADD, stage, stage, (int64_t)at);
}

/* Keys R_KEYS_NEXT to the stage at R_K_STAGE, and their bias. */
static void emit_keys(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;

	sili_prog_sems(p, X1_SEM(SEM_KFREE), 0, X1_SEM(SEM_K), 0);
	sili_emit_load(
		p, R_K_STAGE, R_PK,
		&(struct sili_block){.bytes = sili_imm((int64_t)sili_fmt_bytes(a->k_fmt, a->dim)),
				     .rows = sili_reg(R_KEYS_NEXT),
				     .mem_stride = sili_imm((int64_t)a->k_token),
				     .local_stride = sili_imm((int64_t)pl->k_pitch)});
	alui(p, X1_OP_ADD, R_PK, R_PK, (int64_t)(a->k_token * ATT_BLOCK));
	if (a->bias) {
		struct x1_desc d = rows_desc(0, a->bias_row, a->bias_head, pl->bias_pitch);

		alui(p, X1_OP_MUL, R_PITCH, R_NT, (int64_t)pl->bias_pitch);
		alui(p, X1_OP_MUL, R_BYTES, R_KEYS_NEXT, x1_format_bits(a->bias_fmt) / 8);
		sili_desc_reg(&d, X1_DMA_COUNT0, R_BYTES);
		sili_prog_sems(p, X1_SEM(SEM_BFREE), 0, X1_SEM(SEM_B), 0);
		sili_prog_engine(p, X1_OP_LOAD, R_B_LOAD, R_PB, 0, &d);
		alui(p, X1_OP_ADD, R_PB, R_PB, (int64_t)pl->bias_pitch);
		advance_ring(p, R_B_LOAD, pl->bias_at, pl->bias_pitch * pl->rows, 2);
	}
}

/* Values of the block, where they are not in its keys. */
static void emit_values(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;

	if (pl->latent)
		return;
	sili_prog_sems(p, X1_SEM(SEM_VFREE), 0, X1_SEM(SEM_V), 0);
	sili_emit_load(
		p, R_V_LOAD, R_PV,
		&(struct sili_block){.bytes = sili_imm((int64_t)sili_fmt_bytes(a->v_fmt, a->v_dim)),
				     .rows = sili_reg(R_KEYS),
				     .mem_stride = sili_imm((int64_t)a->v_token),
				     .local_stride = sili_imm((int64_t)pl->v_pitch)});
	alui(p, X1_OP_ADD, R_PV, R_PV, (int64_t)(a->v_token * ATT_BLOCK));
	advance_ring(p, R_V_LOAD, pl->v_at, att_v_bytes(pl), pl->stages);
}

/* ---- MATRIX ---- */

static void emit_scores(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;
	struct x1_desc d = {0};

	sili_desc_reg(&d, X1_MM_M, R_ROWS);
	sili_desc_reg(&d, X1_MM_N, R_KEYS_NEXT);
	sili_desc_set(&d, X1_MM_K, a->dim);
	sili_desc_set(&d, X1_MM_FMT, X1_MM_FMT(a->q_fmt, a->k_fmt));
	sili_desc_set(&d, X1_MM_A_STRIDE, (int64_t)sili_fmt_bytes(a->q_fmt, a->dim));
	sili_desc_set(&d, X1_MM_B_STRIDE, (int64_t)pl->k_pitch);
	sili_desc_set(&d, X1_MM_ACC_STRIDE, ATT_BLOCK * 4);
	sili_prog_sems(p, X1_SEM(SEM_K), X1_SEM(SEM_SFREE), X1_SEM(SEM_SCORES),
		       pl->latent ? 0 : X1_SEM(SEM_KFREE));
	sili_prog_engine(p, X1_OP_MM, R_S_NEXT, R_Q, R_K_STAGE, &d);
	advance_ring(p, R_K_STAGE, pl->k_at, att_k_bytes(pl), pl->stages);
}

static void emit_output(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;
	struct x1_desc d = {0};

	sili_desc_reg(&d, X1_MM_M, R_ROWS);
	sili_desc_set(&d, X1_MM_N, a->v_dim);
	sili_desc_reg(&d, X1_MM_K, R_KEYS);
	sili_desc_set(&d, X1_MM_FMT, X1_MM_FMT(a->v_fmt, a->v_fmt) | X1_MM_FMT_TRANS_B);
	sili_desc_reg(&d, X1_MM_ACCUMULATE, R_SUMS);
	sili_desc_set(&d, X1_MM_A_STRIDE, (int64_t)pl->p_pitch);
	sili_desc_set(&d, X1_MM_B_STRIDE, (int64_t)(pl->latent ? pl->k_pitch : pl->v_pitch));
	sili_desc_set(&d, X1_MM_ACC_STRIDE, a->v_dim * 4);
	sili_prog_sems(p, X1_SEM(SEM_READY), pl->latent ? 0 : X1_SEM(SEM_V), X1_SEM(SEM_OUT),
		       X1_SEM(pl->latent ? SEM_KFREE : SEM_VFREE));
	sili_prog_engine(p, X1_OP_MM, R_OUT, R_P, R_V_STAGE, &d);
	advance_ring(p, R_V_STAGE, pl->latent ? pl->k_at : pl->v_at,
		     pl->latent ? att_k_bytes(pl) : att_v_bytes(pl), pl->stages);
	advance_ring(p, R_P, pl->p_at, pl->p_pitch * pl->rows, 2);
	sili_prog_li(p, R_SUMS, 1);
}

/* ---- VECTOR ---- */

static struct sili_vec on_scores(enum x1_vec_op op)
{
	return (struct sili_vec){
		.op = op,
		.rows = sili_reg(R_ROWS),
		.cols = sili_reg(R_KEYS),
		.dst_stride = sili_imm(ATT_BLOCK * 4),
		.s0_stride = sili_imm(ATT_BLOCK * 4),
	};
}

/* A value per row: one row of VECTOR. */
static void emit_values_op(struct sili_prog *p, enum x1_vec_op op, uint8_t rd, uint8_t ra,
			   uint8_t rb, bool scalar, float value)
{
	sili_emit_vec(p, rd, ra, rb,
		      &(struct sili_vec){
			      .op = op,
			      .rows = sili_imm(1),
			      .cols = sili_reg(R_ROWS),
			      .bcast1 = scalar ? X1_VEC_BCAST_SCALAR : X1_VEC_BCAST_NONE,
			      .scalar1 = value,
		      });
}

static uint32_t bits_of(float f)
{
	union {
		float f;
		uint32_t u;
	} v = {.f = f};

	return v.u;
}

/* s * scale + bias, in place. */
static void emit_bias(struct sili_prog *p, const struct att_plan *pl)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_VEC_OP, X1_VEC_FMA);
	sili_desc_reg(&d, X1_VEC_ROWS, R_ROWS);
	sili_desc_reg(&d, X1_VEC_COLS, R_KEYS);
	sili_desc_set(&d, X1_VEC_FMT, (uint32_t)pl->a.bias_fmt << 24);
	sili_desc_set(&d, X1_VEC_CTRL, X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_SCALAR));
	sili_desc_set(&d, X1_VEC_D_STRIDE, ATT_BLOCK * 4);
	sili_desc_set(&d, X1_VEC_S0_STRIDE, ATT_BLOCK * 4);
	sili_desc_reg(&d, X1_VEC_S2_ADDR, R_B_STAGE);
	sili_desc_set(&d, X1_VEC_S2_STRIDE, (int64_t)pl->bias_pitch);
	sili_desc_set(&d, X1_VEC_IMM1, bits_of(pl->a.scale));
	sili_prog_sems(p, X1_SEM(SEM_SCORES), X1_SEM(SEM_B), X1_SEM(SEM_BFREE), 0);
	sili_prog_engine(p, X1_OP_VEC, R_S, R_S, 0, &d);
	advance_ring(p, R_B_STAGE, pl->bias_at, pl->bias_pitch * pl->rows, 2);
}

/* Hide what the rows do not see, a head at a time; the first waits for `wait`. */
static void emit_masks(struct sili_prog *p, const struct att_plan *pl, uint8_t wait)
{
	struct x1_desc d = {0};

	/* Row t of the block's c: c <= t + R_DIAG. */
	sili_prog_alu(p, X1_OP_SUB, R_DIAG, R_FIRST, R_KEY);
	sili_desc_set(&d, X1_VEC_OP, X1_VEC_MASK);
	sili_desc_reg(&d, X1_VEC_ROWS, R_NT);
	sili_desc_reg(&d, X1_VEC_COLS, R_KEYS);
	sili_desc_set(&d, X1_VEC_D_STRIDE, ATT_BLOCK * 4);
	sili_desc_set(&d, X1_VEC_S0_STRIDE, ATT_BLOCK * 4);
	sili_desc_set(&d, X1_VEC_IMM1, bits_of(HIDDEN));
	sili_desc_reg(&d, X1_VEC_PARAM, R_DIAG);
	sili_desc_set(&d, X1_VEC_PARAM2, pl->a.window);
	mov(p, R_X, R_S);
	sili_prog_sems(p, wait, 0, 0, 0);
	sili_prog_engine(p, X1_OP_VEC, R_X, R_X, 0, &d);
	if (pl->group_tile == 1)
		return;
	alui(p, X1_OP_MUL, R_BYTES, R_NT, ATT_BLOCK * 4);
	alui(p, X1_OP_SUB, R_Y, R_NG, 1);
	sili_prog_loop(p, R_Y);
	sili_prog_alu(p, X1_OP_ADD, R_X, R_X, R_BYTES);
	sili_prog_engine(p, X1_OP_VEC, R_X, R_X, 0, &d);
	sili_prog_loop_end(p);
}

/* Row maxima to R_NEXT; a mask where rows do not see all of the block. */
static void emit_maxima(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;
	struct sili_vec v = on_scores(X1_VEC_RMAX);
	uint8_t wait = a->bias ? 0 : X1_SEM(SEM_SCORES);

	v.dst_stride = sili_imm(4);
	if (a->bias)
		emit_bias(p, pl);
	if (a->causal) {
		uint32_t mask = sili_prog_label(p), done = sili_prog_label(p);

		/* The first row sees the last key, and the last row the first key? */
		sili_prog_alu(p, X1_OP_ADD, R_X, R_KEY, R_KEYS);
		alui(p, X1_OP_SUB, R_X, R_X, 1);
		sili_prog_branch(p, X1_OP_BLT, R_FIRST, R_X, mask);
		if (a->window) {
			alui(p, X1_OP_SUB, R_X, R_LAST, a->window);
			sili_prog_branch(p, X1_OP_BGE, R_X, R_KEY, mask);
		}
		sili_prog_sems(p, wait, 0, 0, 0);
		sili_emit_vec(p, R_NEXT, R_S, 0, &v);
		sili_prog_branch(p, X1_OP_JMP, 0, 0, done);
		sili_prog_place(p, mask);
		emit_masks(p, pl, wait);
		sili_emit_vec(p, R_NEXT, R_S, 0, &v);
		sili_prog_place(p, done);
		return;
	}
	sili_prog_sems(p, wait, 0, 0, 0);
	sili_emit_vec(p, R_NEXT, R_S, 0, &v);
}

static struct x1_desc expsum_desc(const struct att_plan *pl, uint8_t sums)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_VEC_OP, X1_VEC_EXPSUM);
	sili_desc_reg(&d, X1_VEC_ROWS, R_ROWS);
	sili_desc_reg(&d, X1_VEC_COLS, R_KEYS);
	sili_desc_set(&d, X1_VEC_FMT, pl->a.v_fmt);
	sili_desc_set(&d, X1_VEC_CTRL, X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_COL));
	sili_desc_set(&d, X1_VEC_D_STRIDE, (int64_t)pl->p_pitch);
	sili_desc_set(&d, X1_VEC_S0_STRIDE, ATT_BLOCK * 4);
	sili_desc_set(&d, X1_VEC_S1_STRIDE, 4);
	sili_desc_reg(&d, X1_VEC_S2_ADDR, sums);
	sili_desc_set(&d, X1_VEC_S2_STRIDE, 4);
	sili_desc_set(&d, X1_VEC_IMM2, bits_of(pl->a.bias ? 1.0f : pl->a.scale));
	return d;
}

/* O times R_FACTOR of each row, columns `cols` at `at`. */
static void emit_rescale(struct sili_prog *p, const struct att_plan *pl, uint8_t at, uint32_t cols)
{
	sili_emit_vec(p, at, at, R_FACTOR,
		      &(struct sili_vec){
			      .op = X1_VEC_MUL,
			      .rows = sili_reg(R_ROWS),
			      .cols = sili_imm(cols),
			      .bcast1 = X1_VEC_BCAST_COL,
			      .dst_stride = sili_imm(pl->a.v_dim * 4),
			      .s0_stride = sili_imm(pl->a.v_dim * 4),
			      .s1_stride = sili_imm(4),
		      });
}

static void emit_softmax(struct sili_prog *p, const struct att_plan *pl, bool first)
{
	/* Small probabilities keep their bits where the format reaches far above 1. */
	float shift = pl->a.v_fmt == X1_FMT_E4M3 ? -(float)log(256) : 0;
	struct x1_desc d = expsum_desc(pl, first ? R_SUM : R_PART);
	uint8_t ref = shift != 0 ? R_NEXT : R_MAX;

	emit_maxima(p, pl);
	if (!pl->a.bias)
		emit_values_op(p, X1_VEC_MUL, R_NEXT, R_NEXT, 0, true, pl->a.scale);
	if (first) {
		emit_values_op(p, X1_VEC_MAX, R_MAX, R_NEXT, 0, true, LOWEST);
	} else {
		emit_values_op(p, X1_VEC_MAX, R_NEXT, R_NEXT, R_MAX, false, 0);
		emit_values_op(p, X1_VEC_SUB, R_FACTOR, R_MAX, R_NEXT, false, 0);
		emit_values_op(p, X1_VEC_EXP, R_FACTOR, R_FACTOR, 0, false, 0);
		emit_values_op(p, X1_VEC_MOV, R_MAX, R_NEXT, 0, false, 0);
	}
	if (shift != 0)
		emit_values_op(p, X1_VEC_ADD, R_NEXT, R_MAX, 0, true, shift);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_SFREE), first ? X1_SEM(SEM_READY) : 0);
	sili_prog_engine(p, X1_OP_VEC, R_P, R_S, ref, &d);
	if (first)
		return;
	emit_values_op(p, X1_VEC_MUL, R_SUM, R_SUM, R_FACTOR, false, 0);
	emit_values_op(p, X1_VEC_ADD, R_SUM, R_SUM, R_PART, false, 0);
	sili_prog_sems(p, X1_SEM(SEM_OUT), 0, X1_SEM(SEM_READY), 0);
	emit_rescale(p, pl, R_OUT, pl->a.v_dim);
}

/* ---- the tile ---- */

static void emit_tile(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;
	uint32_t pairs = a->kv_heads * a->batch * pl->tiles_g;

	/* Tiles of tokens slowest, and the last of them, which see most keys, first. */
	alui(p, X1_OP_DIVU, R_Y, R_UNIT, pairs);
	if (a->causal) {
		sili_prog_li(p, R_X, pl->tiles_t - 1);
		sili_prog_alu(p, X1_OP_SUB, R_Y, R_X, R_Y);
	}
	first_and_count(p, R_T0, R_NT, pl->tokens, a->q_len);
	alui(p, X1_OP_REMU, R_KV, R_UNIT, pairs);
	alui(p, X1_OP_REMU, R_Y, R_KV, pl->tiles_g);
	first_and_count(p, R_G0, R_NG, pl->group_tile, pl->group);
	alui(p, X1_OP_DIVU, R_KV, R_KV, pl->tiles_g);
	alui(p, X1_OP_DIVU, R_BATCH, R_KV, a->kv_heads);
	alui(p, X1_OP_REMU, R_KV, R_KV, a->kv_heads);
	sili_prog_alu(p, X1_OP_MUL, R_ROWS, R_NT, R_NG);
	/* The head of q. */
	alui(p, X1_OP_MUL, R_X, R_KV, pl->group);
	sili_prog_alu(p, X1_OP_ADD, R_G0, R_G0, R_X);
}

/* Keys that the tile sees, from R_KEY to R_END, and where its data are. */
static void emit_places(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;

	sili_prog_alu(p, X1_OP_ADD, R_FIRST, arg(ATT_KV_LEN), R_T0);
	alui(p, X1_OP_SUB, R_FIRST, R_FIRST, a->q_len);
	sili_prog_alu(p, X1_OP_ADD, R_LAST, R_FIRST, R_NT);
	alui(p, X1_OP_SUB, R_LAST, R_LAST, 1);
	mov(p, R_END, arg(ATT_KV_LEN));
	sili_prog_li(p, R_KEY, 0);
	if (a->causal)
		alui(p, X1_OP_ADD, R_END, R_LAST, 1);
	if (a->window) {
		alui(p, X1_OP_SUB, R_KEY, R_FIRST, (int64_t)a->window - 1);
		alui(p, X1_OP_MAX, R_KEY, R_KEY, 0);
		alui(p, X1_OP_DIVU, R_KEY, R_KEY, ATT_BLOCK);
		alui(p, X1_OP_MUL, R_KEY, R_KEY, ATT_BLOCK);
	}
	if (pl->split) {
		sili_prog_alu(p, X1_OP_MUL, R_KEY, R_SPLIT, arg(ATT_PART_KEYS));
		sili_prog_alu(p, X1_OP_ADD, R_X, R_KEY, arg(ATT_PART_KEYS));
		sili_prog_alu(p, X1_OP_MIN, R_END, R_END, R_X);
	}
	sili_prog_alu(p, X1_OP_SUB, R_LEFT, R_END, R_KEY);
	alui(p, X1_OP_SUB, R_LEFT, R_LEFT, 1);
	alui(p, X1_OP_DIVU, R_LEFT, R_LEFT, ATT_BLOCK);

	mov(p, R_PQ, arg(ATT_Q));
	muladd(p, R_PQ, R_BATCH, a->q_batch);
	muladd(p, R_PQ, R_G0, a->q_head);
	muladd(p, R_PQ, R_T0, a->q_token);
	mov(p, R_PO, arg(ATT_O));
	muladd(p, R_PO, R_BATCH, a->o_batch);
	muladd(p, R_PO, R_G0, a->o_head);
	muladd(p, R_PO, R_T0, a->o_token);
	mov(p, R_PK, arg(ATT_K));
	muladd(p, R_PK, R_BATCH, a->k_batch);
	muladd(p, R_PK, R_KV, a->k_head);
	muladd(p, R_PK, R_KEY, a->k_token);
	mov(p, R_PV, arg(ATT_V));
	muladd(p, R_PV, R_BATCH, a->v_batch);
	muladd(p, R_PV, R_KV, a->v_head);
	muladd(p, R_PV, R_KEY, a->v_token);
	if (a->bias) {
		mov(p, R_PB, arg(ATT_BIAS));
		muladd(p, R_PB, R_BATCH, a->bias_batch);
		muladd(p, R_PB, R_G0, a->bias_head);
		muladd(p, R_PB, R_T0, a->bias_row);
		muladd(p, R_PB, R_KEY, x1_format_bits(a->bias_fmt) / 8);
	}
}

/* R_KEYS_NEXT of the block at R_KEY_NEXT. */
static void emit_next_count(struct sili_prog *p)
{
	sili_prog_alu(p, X1_OP_SUB, R_KEYS_NEXT, R_END, R_KEY_NEXT);
	alui(p, X1_OP_MIN, R_KEYS_NEXT, R_KEYS_NEXT, ATT_BLOCK);
}

/* The other of two buffers of scores. */
static void emit_other_scores(struct sili_prog *p, const struct att_plan *pl, uint8_t r)
{
	uint64_t first = X1_ACC_ADDR + (uint64_t)pl->rows * pl->a.v_dim * 4;

	if (pl->score_buffers == 2) {
		sili_prog_li(p, R_X, (int64_t)(2 * first + att_score_bytes(pl)));
		sili_prog_alu(p, X1_OP_SUB, r, R_X, r);
	}
}

/* Scores of the block after this one. */
static void emit_ahead(struct sili_prog *p, const struct att_plan *pl)
{
	alui(p, X1_OP_ADD, R_KEY_NEXT, R_KEY, ATT_BLOCK);
	emit_next_count(p);
	emit_keys(p, pl);
	emit_scores(p, pl);
	emit_other_scores(p, pl, R_S_NEXT);
}

static void emit_block(struct sili_prog *p, const struct att_plan *pl, bool first)
{
	emit_values(p, pl);
	emit_softmax(p, pl, first);
	emit_output(p, pl);
	emit_other_scores(p, pl, R_S);
}

/* 1 / sums; output times that, in strips, so that STORE overlaps. */
static void emit_result(struct sili_prog *p, const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;

	emit_values_op(p, X1_VEC_RECIP, R_FACTOR, R_SUM, 0, false, 0);
	if (a->out_scale != 1.0f)
		emit_values_op(p, X1_VEC_MUL, R_FACTOR, R_FACTOR, 0, true, a->out_scale);
	alui(p, X1_OP_MUL, R_PITCH, R_NT, a->v_dim * 4);
	for (uint32_t c = 0; c < a->v_dim; c += STRIP) {
		uint32_t cols = a->v_dim - c < STRIP ? a->v_dim - c : STRIP;
		struct x1_desc d = rows_desc(X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
						     X1_DMA_CTRL_MFMT(a->o_fmt),
					     a->o_token, a->o_head, a->v_dim * 4ull);

		sili_desc_set(&d, X1_DMA_COUNT0, cols);
		alui(p, X1_OP_ADD, R_X, R_OUT, c * 4);
		sili_prog_sems(p, c ? 0 : X1_SEM(SEM_OUT), 0, X1_SEM(SEM_DONE), 0);
		emit_rescale(p, pl, R_X, cols);
		alui(p, X1_OP_ADD, R_Y, R_PO, (int64_t)sili_fmt_bytes(a->o_fmt, c));
		sili_prog_sems(p, X1_SEM(SEM_DONE), 0, 0, 0);
		sili_prog_engine(p, X1_OP_STORE, R_X, R_Y, 0, &d);
	}
}

/* rd = the workspace's place of the tile's first row in the part, in units of a row's value. */
static void emit_part_row(struct sili_prog *p, const struct att_plan *pl, uint8_t rd)
{
	alui(p, X1_OP_MUL, rd, R_UNIT, pl->rows);
	sili_prog_alu(p, X1_OP_MUL, rd, rd, arg(ATT_PARTS));
	sili_prog_alu(p, X1_OP_ADD, rd, rd, R_SPLIT);
}

/* Rows of `elems` FP32 values, parts of a row beside each other. */
static void emit_part_store(struct sili_prog *p, uint8_t from, uint8_t to, uint32_t elems,
			    uint8_t wait)
{
	alui(p, X1_OP_MUL, R_BYTES, arg(ATT_PARTS), elems * 4);
	sili_prog_sems(p, wait, 0, 0, 0);
	sili_emit_store(p, from, to,
			&(struct sili_out){.elems = sili_imm(elems),
					   .rows = sili_reg(R_ROWS),
					   .mem_stride = sili_reg(R_BYTES),
					   .local_stride = sili_imm(elems * 4),
					   .lfmt = X1_FMT_FP32,
					   .mfmt = X1_FMT_FP32});
}

/* Maxima, sums and output of the part, as they are. */
static void emit_part(struct sili_prog *p, const struct att_plan *pl)
{
	emit_part_row(p, pl, R_X);
	alui(p, X1_OP_SHL, R_Y, R_X, 2);
	sili_prog_alu(p, X1_OP_ADD, R_Y, R_Y, arg(ATT_WORK));
	/* VECTOR's last word on maxima and sums. */
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_DONE), 0);
	emit_values_op(p, X1_VEC_MOV, R_FACTOR, R_SUM, 0, false, 0);
	emit_part_store(p, R_MAX, R_Y, 1, X1_SEM(SEM_DONE));
	alui(p, X1_OP_MUL, R_PITCH, arg(ATT_PARTS), (int64_t)(att_rows(pl) * 4));
	sili_prog_alu(p, X1_OP_ADD, R_Y, R_Y, R_PITCH);
	emit_part_store(p, R_FACTOR, R_Y, 1, 0);
	alui(p, X1_OP_MUL, R_Y, R_X, pl->a.v_dim * 4);
	sili_prog_alu(p, X1_OP_ADD, R_Y, R_Y, arg(ATT_WORK));
	sili_prog_alu(p, X1_OP_ADD, R_Y, R_Y, R_PITCH);
	sili_prog_alu(p, X1_OP_ADD, R_Y, R_Y, R_PITCH);
	emit_part_store(p, R_OUT, R_Y, pl->a.v_dim, X1_SEM(SEM_OUT));
}

static void emit_start(struct sili_prog *p, const struct att_plan *pl)
{
	const struct {
		uint8_t reg;
		uint64_t at;
	} places[] = {
		{R_Q, pl->q_at},
		{R_K_STAGE, pl->k_at},
		{R_V_LOAD, pl->v_at},
		{R_V_STAGE, pl->latent ? pl->k_at : pl->v_at},
		{R_B_LOAD, pl->bias_at},
		{R_B_STAGE, pl->bias_at},
		{R_P, pl->p_at},
		{R_MAX, pl->max_at},
		{R_NEXT, pl->next_at},
		{R_FACTOR, pl->factor_at},
		{R_SUM, pl->sum_at},
		{R_PART, pl->part_at},
		{R_OUT, X1_ACC_ADDR},
		{R_S, X1_ACC_ADDR + (uint64_t)pl->rows * pl->a.v_dim * 4},
		{R_SUMS, 0},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		sili_prog_li(p, places[i].reg, (int64_t)places[i].at);
	sili_emit_tokens(p, SEM_KFREE, pl->stages);
	if (!pl->latent)
		sili_emit_tokens(p, SEM_VFREE, pl->stages);
	if (pl->a.bias)
		sili_emit_tokens(p, SEM_BFREE, 2);
	sili_emit_tokens(p, SEM_SFREE, pl->score_buffers);
	mov(p, R_S_NEXT, R_S);
}

struct sili_prog *att_generate(const struct att_plan *pl)
{
	struct sili_prog *p = sili_prog_new();
	uint32_t only, none;

	if (!p)
		return NULL;
	only = sili_prog_label(p);
	emit_start(p, pl);
	mov(p, R_UNIT, R_WG);
	if (pl->split) {
		sili_prog_alu(p, X1_OP_DIVU, R_UNIT, R_WG, arg(ATT_PARTS));
		sili_prog_alu(p, X1_OP_REMU, R_SPLIT, R_WG, arg(ATT_PARTS));
	}
	emit_tile(p, pl);
	emit_places(p, pl);
	emit_q(p, pl);
	mov(p, R_KEY_NEXT, R_KEY);
	emit_next_count(p);
	emit_keys(p, pl);
	emit_scores(p, pl);
	emit_other_scores(p, pl, R_S_NEXT);
	mov(p, R_KEYS, R_KEYS_NEXT);
	sili_prog_branch(p, X1_OP_BEQ, R_LEFT, 0, only);
	emit_ahead(p, pl);
	sili_prog_place(p, only);
	emit_block(p, pl, true);
	sili_prog_loop(p, R_LEFT);
	none = sili_prog_label(p);
	mov(p, R_KEY, R_KEY_NEXT);
	mov(p, R_KEYS, R_KEYS_NEXT);
	alui(p, X1_OP_SUB, R_LEFT, R_LEFT, 1);
	sili_prog_branch(p, X1_OP_BEQ, R_LEFT, 0, none);
	emit_ahead(p, pl);
	sili_prog_place(p, none);
	emit_block(p, pl, false);
	sili_prog_loop_end(p);
	if (pl->split)
		emit_part(p, pl);
	else
		emit_result(p, pl);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}

/* ---- parts added up ---- */

/* In the scratchpad: M, L and w of each part, two values, the result, O of each part. */
enum {
	SUM_M = 0,
	SUM_L = ATT_MOST_PARTS * 4,
	SUM_W = 2 * ATT_MOST_PARTS * 4,
	SUM_ONE = 3 * ATT_MOST_PARTS * 4,
	SUM_OUT = 4 * ATT_MOST_PARTS * 4,
};

/* A row of `cols` values; rb is one of them for all, or none. */
static void emit_sum_op(struct sili_prog *p, enum x1_vec_op op, uint8_t rd, uint8_t ra, uint8_t rb,
			struct sili_val cols)
{
	sili_emit_vec(p, rd, ra, rb,
		      &(struct sili_vec){.op = op,
					 .rows = sili_imm(1),
					 .cols = cols,
					 .bcast1 = op == X1_VEC_MUL || op == X1_VEC_SUB
							   ? X1_VEC_BCAST_COL
							   : X1_VEC_BCAST_NONE});
}

static void emit_sum_load(struct sili_prog *p, uint8_t to, uint8_t from, uint64_t bytes,
			  uint8_t sem)
{
	alui(p, X1_OP_MUL, R_BYTES, arg(ATT_PARTS), (int64_t)bytes);
	sili_prog_sems(p, 0, 0, X1_SEM(sem), 0);
	sili_emit_load(p, to, from,
		       &(struct sili_block){.bytes = sili_reg(R_BYTES), .rows = sili_imm(1)});
}

/* O = fma(O of a part, w, O): O of the part at R_OUT, w at R_FACTOR. */
static void emit_add_part(struct sili_prog *p, const struct att_plan *pl, bool first)
{
	struct sili_vec v = {.op = X1_VEC_FMA,
			     .rows = sili_imm(1),
			     .cols = sili_imm(pl->a.v_dim),
			     .bcast1 = X1_VEC_BCAST_COL,
			     .bcast2 = first ? X1_VEC_BCAST_SCALAR : X1_VEC_BCAST_NONE,
			     .s2 = first ? sili_imm(0) : sili_imm(SUM_OUT)};

	sili_prog_sems(p, first ? X1_SEM(SEM_V) : 0, 0, 0, 0);
	sili_emit_vec(p, R_P, R_OUT, R_FACTOR, &v);
}

struct sili_prog *att_generate_sum(const struct att_plan *pl)
{
	const struct sili_attention *a = &pl->a;
	struct sili_prog *p = sili_prog_new();
	uint32_t end;
	struct x1_desc d = {0};

	if (!p)
		return NULL;
	end = sili_prog_label(p);
	alui(p, X1_OP_DIVU, R_UNIT, R_WG, pl->rows);
	emit_tile(p, pl);
	/* The row's head and token; a ragged tile has fewer. */
	alui(p, X1_OP_REMU, R_X, R_WG, pl->rows);
	sili_prog_branch(p, X1_OP_BGEU, R_X, R_ROWS, end);
	sili_prog_alu(p, X1_OP_DIVU, R_Y, R_X, R_NT);
	sili_prog_alu(p, X1_OP_ADD, R_G0, R_G0, R_Y);
	sili_prog_alu(p, X1_OP_REMU, R_T0, R_X, R_NT);
	mov(p, R_PO, arg(ATT_O));
	muladd(p, R_PO, R_BATCH, a->o_batch);
	muladd(p, R_PO, R_G0, a->o_head);
	muladd(p, R_PO, R_T0, a->o_token);

	sili_prog_alu(p, X1_OP_MUL, R_Y, R_WG, arg(ATT_PARTS));
	alui(p, X1_OP_SHL, R_PK, R_Y, 2);
	sili_prog_alu(p, X1_OP_ADD, R_PK, R_PK, arg(ATT_WORK));
	sili_prog_li(p, R_MAX, SUM_M);
	emit_sum_load(p, R_MAX, R_PK, 4, SEM_K);
	alui(p, X1_OP_MUL, R_PITCH, arg(ATT_PARTS), (int64_t)(att_rows(pl) * 4));
	sili_prog_alu(p, X1_OP_ADD, R_PK, R_PK, R_PITCH);
	sili_prog_li(p, R_SUM, SUM_L);
	emit_sum_load(p, R_SUM, R_PK, 4, SEM_K);
	alui(p, X1_OP_MUL, R_PV, R_Y, a->v_dim * 4);
	sili_prog_alu(p, X1_OP_ADD, R_PV, R_PV, arg(ATT_WORK));
	sili_prog_alu(p, X1_OP_ADD, R_PV, R_PV, R_PITCH);
	sili_prog_alu(p, X1_OP_ADD, R_PV, R_PV, R_PITCH);
	sili_prog_li(p, R_OUT, SUM_OUT + (int64_t)sili_align(a->v_dim * 4, 64));
	emit_sum_load(p, R_OUT, R_PV, a->v_dim * 4, SEM_V);

	sili_prog_li(p, R_FACTOR, SUM_W);
	sili_prog_li(p, R_NEXT, SUM_ONE);
	sili_prog_li(p, R_P, SUM_OUT);
	sili_prog_sems(p, X1_SEM(SEM_K), X1_SEM(SEM_K), 0, 0);
	emit_sum_op(p, X1_VEC_RMAX, R_NEXT, R_MAX, 0, sili_reg(arg(ATT_PARTS)));
	emit_sum_op(p, X1_VEC_SUB, R_FACTOR, R_MAX, R_NEXT, sili_reg(arg(ATT_PARTS)));
	emit_sum_op(p, X1_VEC_EXP, R_FACTOR, R_FACTOR, 0, sili_reg(arg(ATT_PARTS)));
	sili_emit_vec(p, R_SUM, R_SUM, R_FACTOR,
		      &(struct sili_vec){.op = X1_VEC_MUL,
					 .rows = sili_imm(1),
					 .cols = sili_reg(arg(ATT_PARTS))});
	emit_sum_op(p, X1_VEC_RSUM, R_NEXT, R_SUM, 0, sili_reg(arg(ATT_PARTS)));
	emit_sum_op(p, X1_VEC_RECIP, R_NEXT, R_NEXT, 0, sili_imm(1));
	if (a->out_scale != 1.0f)
		sili_emit_vec(p, R_NEXT, R_NEXT, 0,
			      &(struct sili_vec){.op = X1_VEC_MUL,
						 .rows = sili_imm(1),
						 .cols = sili_imm(1),
						 .bcast1 = X1_VEC_BCAST_SCALAR,
						 .scalar1 = a->out_scale});
	emit_add_part(p, pl, true);
	alui(p, X1_OP_SUB, R_LEFT, arg(ATT_PARTS), 1);
	sili_prog_loop(p, R_LEFT);
	alui(p, X1_OP_ADD, R_OUT, R_OUT, a->v_dim * 4);
	alui(p, X1_OP_ADD, R_FACTOR, R_FACTOR, 4);
	emit_add_part(p, pl, false);
	sili_prog_loop_end(p);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_DONE), 0);
	emit_sum_op(p, X1_VEC_MUL, R_P, R_P, R_NEXT, sili_imm(a->v_dim));
	sili_desc_set(&d, X1_DMA_CTRL,
		      X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
			      X1_DMA_CTRL_MFMT(a->o_fmt));
	sili_desc_set(&d, X1_DMA_COUNT0, a->v_dim);
	sili_prog_sems(p, X1_SEM(SEM_DONE), 0, 0, 0);
	sili_prog_engine(p, X1_OP_STORE, R_P, R_PO, 0, &d);
	sili_prog_place(p, end);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}
