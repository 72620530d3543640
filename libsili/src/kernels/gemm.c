// SPDX-License-Identifier: MIT
/*
 * GEMM: C = act(scale * A·Bᵀ + bias).
 *
 * One work-group per tile of C. The tile's sums stay in the accumulators for
 * all of K; A and B come in chunks of K through a ring of stages in the
 * scratchpad. Engines are in order, so two counting semaphores run the ring:
 * FULL (a chunk is there) and FREE (a stage is). The last chunk is multiplied
 * strip by strip, so that the epilogue and the store of one strip overlap the
 * product of the next. Ragged edges need no padding: counts are registers.
 */
#include <string.h>

#include "emit.h"

enum {
	SEM_FULL = 0,
	SEM_FREE = 1,
	SEM_STRIP = 2,
	SEM_READY = 3,
	SEM_BIAS = 4,
};

/* Registers. */
enum {
	R_X = 2,
	R_Y = 3,
	R_A = X1_REG_ARG0,
	R_B,
	R_C,
	R_BIAS,
	R_M0,
	R_N0,
	R_ROWS,
	R_COLS,
	R_K,
	R_KC,
	R_BYTES_A,
	R_BYTES_B,
	R_OFF,
	R_OFF_A,
	R_OFF_B,
	R_ACC_ON,
	R_TMP,
	R_TMP2,
	R_CHUNKS,
	R_ACC,
	R_STRIPS,
	R_STRIP_ROWS,
	R_LEFT,
	R_BIAS_AT,
	R_AHEAD,
	R_PF_A,
	R_PF_B,
	R_COLS_A,
	R_COLS_B,
};

#define STRIP_ROWS  64u
#define MAX_STAGES  4u
#define ROUND_CHUNK 32u
#define FILL_BYTES  512u /* of a row, before the first product starts */

struct plan {
	struct sili_gemm g;
	uint32_t tm, tn, kc, stages, distance;
	uint32_t tiles_m, tiles_n;
	uint64_t a_bytes, stage_bytes; /* of a stage */
	uint64_t cycles;
};

static uint32_t min_rate(const struct sili_gemm *g)
{
	uint32_t a = x1_format_rate(g->a_fmt), b = x1_format_rate(g->b_fmt);

	return a < b ? a : b;
}

/* ---- cost model ---- */

/* Cycles of the whole product with tiles of tm x tn, by the machine's own numbers. */
static uint64_t estimate(const struct sili_info *info, const struct sili_gemm *g, uint64_t tm,
			 uint64_t tn)
{
	uint64_t tiles_m = sili_div_up(g->m, tm), tiles_n = sili_div_up(g->n, tn);
	uint64_t tiles = tiles_m * tiles_n, waves = sili_div_up(tiles, info->mcus_healthy);
	uint64_t busy = sili_min64(tiles, info->mcus_healthy);
	uint64_t mm = sili_div_up(tn, X1_MM_LANES) * sili_div_up(g->k, min_rate(g)) *
		      (tm > X1_MM_LANES ? tm : X1_MM_LANES);
	uint64_t in = sili_fmt_bytes(g->a_fmt, tm * g->k) + sili_fmt_bytes(g->b_fmt, tn * g->k);
	uint64_t out = sili_fmt_bytes(g->c_fmt, tm * tn);
	uint64_t tail = sili_fmt_bytes(g->c_fmt, STRIP_ROWS * tn) / X1_STORE_PORT;
	uint64_t load = in / X1_LOAD_PORT, l2 = (in + out) * busy / info->l2_bw;
	uint64_t hbm = (sili_fmt_bytes(g->a_fmt, (uint64_t)g->m * g->k) +
			sili_fmt_bytes(g->b_fmt, (uint64_t)g->n * g->k)) /
		       info->hbm_bw;
	uint64_t port = sili_min64(X1_LOAD_PORT, info->l2_bw / busy ? info->l2_bw / busy : 1);
	uint64_t fill = (tm + tn) * FILL_BYTES / port;
	uint64_t wave = mm;

	if (load > wave)
		wave = load;
	if (l2 > wave)
		wave = l2;
	/* Nothing overlaps the first chunk and the last strip. */
	wave += fill + tail + info->hbm_latency + X1_MM_LATENCY + X1_LAUNCH_CYCLES;
	return waves * wave > hbm ? waves * wave : hbm;
}

/* Largest chunk of K for which `stages` stages fit beside the bias. */
static bool fit(const struct sili_info *info, struct plan *p, uint32_t stages)
{
	uint64_t room = info->spad_bytes - p->tn * 4ull;

	for (uint32_t kc = 1024; kc >= ROUND_CHUNK; kc /= 2) {
		uint32_t k = kc;

		if (k / 2 >= p->g.k && k > ROUND_CHUNK)
			continue;
		p->a_bytes = sili_align(sili_fmt_bytes(p->g.a_fmt, (uint64_t)p->tm * k), 64);
		p->stage_bytes = p->a_bytes +
				 sili_align(sili_fmt_bytes(p->g.b_fmt, (uint64_t)p->tn * k), 64);
		if (p->stage_bytes * stages > room || p->a_bytes > X1_DMA_MAX_BYTES)
			continue;
		/* Short rows waste sectors of L2; fewer stages are the smaller evil. */
		if (stages > 2 && sili_fmt_bytes(p->g.a_fmt, k) < 128 && k < p->g.k)
			return false;
		p->kc = k;
		p->stages = stages;
		return true;
	}
	return false;
}

static int choose(const struct sili_info *info, struct plan *p)
{
	const struct sili_gemm *g = &p->g;
	uint64_t best = UINT64_MAX;
	uint32_t stages;

	for (uint32_t tn = X1_MM_LANES; tn <= 512; tn += X1_MM_LANES) {
		for (uint32_t split = 1; split <= sili_div_up(g->m, X1_MM_LANES); split++) {
			uint64_t tm = sili_div_up(g->m, split), cost;

			if (tm * tn * 4 > info->acc_bytes ||
			    (tm + tn) * ROUND_CHUNK * 4 * 2 > info->spad_bytes)
				continue;
			cost = estimate(info, g, tm, tn);
			if (cost >= best)
				continue;
			best = cost;
			p->tm = (uint32_t)tm;
			p->tn = tn;
		}
		if (tn >= g->n)
			break;
	}
	if (best == UINT64_MAX)
		return -EINVAL;
	p->cycles = best;
	p->tiles_m = (uint32_t)sili_div_up(g->m, p->tm);
	p->tiles_n = (uint32_t)sili_div_up(g->n, p->tn);
	for (stages = MAX_STAGES; stages >= 2; stages--)
		if (fit(info, p, stages))
			break;
	if (stages < 2)
		return -EINVAL;
	/* Off: the same tiles and chunks, two stages, nothing ahead of them. */
	if (g->prefetch == SILI_PREFETCH_OFF)
		p->stages = 2;
	else
		p->distance = p->stages;
	return 0;
}

/* ---- code ---- */

static void alui(struct sili_prog *p, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(p, op, rd, ra, imm);
}

/* rd = bytes of ra elements, rounded up. */
static void emit_bytes(struct sili_prog *p, enum x1_format fmt, uint8_t rd, uint8_t ra)
{
	alui(p, X1_OP_MUL, rd, ra, x1_format_bits(fmt));
	alui(p, X1_OP_ADD, rd, rd, 7);
	alui(p, X1_OP_SHR, rd, rd, 3);
}

/* rd = min(limit - ra, most): what is left of a dimension at ra. */
static void emit_left(struct sili_prog *p, uint8_t rd, int64_t limit, uint8_t ra, int64_t most)
{
	sili_prog_li(p, rd, limit);
	sili_prog_alu(p, X1_OP_SUB, rd, rd, ra);
	alui(p, X1_OP_MIN, rd, rd, most);
}

static void emit_start(struct sili_prog *p, const struct plan *pl)
{
	const struct sili_gemm *g = &pl->g;

	alui(p, X1_OP_MUL, R_M0, R_Y, pl->tm);
	alui(p, X1_OP_MUL, R_N0, R_X, pl->tn);
	emit_left(p, R_ROWS, g->m, R_M0, pl->tm);
	emit_left(p, R_COLS, g->n, R_N0, pl->tn);
	/* The tile's first element in A, B, C and the bias. */
	if (g->a_trans)
		emit_bytes(p, g->a_fmt, R_TMP, R_M0);
	else
		alui(p, X1_OP_MUL, R_TMP, R_M0, (int64_t)g->a_stride);
	sili_prog_alu(p, X1_OP_ADD, R_A, R_A, R_TMP);
	if (g->b_trans)
		emit_bytes(p, g->b_fmt, R_TMP, R_N0);
	else
		alui(p, X1_OP_MUL, R_TMP, R_N0, (int64_t)g->b_stride);
	sili_prog_alu(p, X1_OP_ADD, R_B, R_B, R_TMP);
	alui(p, X1_OP_MUL, R_TMP, R_M0, (int64_t)g->c_stride);
	sili_prog_alu(p, X1_OP_ADD, R_C, R_C, R_TMP);
	emit_bytes(p, g->c_fmt, R_TMP, R_N0);
	sili_prog_alu(p, X1_OP_ADD, R_C, R_C, R_TMP);
	emit_bytes(p, g->a_fmt, R_COLS_A, R_ROWS);
	emit_bytes(p, g->b_fmt, R_COLS_B, R_COLS);
	sili_prog_li(p, R_ACC, X1_ACC_ADDR);
	sili_prog_li(p, R_BIAS_AT, (int64_t)(pl->stages * pl->stage_bytes));
	if (g->bias) {
		alui(p, X1_OP_SHL, R_TMP, R_N0, 2);
		sili_prog_alu(p, X1_OP_ADD, R_BIAS, R_BIAS, R_TMP);
		alui(p, X1_OP_SHL, R_TMP, R_COLS, 2);
		sili_prog_sems(p, 0, 0, X1_SEM(SEM_BIAS), 0);
		sili_emit_load(p, R_BIAS_AT, R_BIAS,
			       &(struct sili_block){.bytes = sili_reg(R_TMP),
						    .rows = sili_imm(1),
						    .mem_stride = sili_imm(0),
						    .local_stride = sili_imm(0)});
	}
}

/* A chunk of one operand: K-major rows of k, or k rows. */
static struct sili_block chunk_block(const struct plan *pl, bool b, bool trans)
{
	const struct sili_gemm *g = &pl->g;
	enum x1_format fmt = b ? g->b_fmt : g->a_fmt;
	uint64_t stride = b ? g->b_stride : g->a_stride;

	if (trans)
		return (struct sili_block){
			.bytes = sili_reg(b ? R_COLS_B : R_COLS_A),
			.rows = sili_reg(R_KC),
			.mem_stride = sili_imm((int64_t)stride),
			.local_stride = sili_imm((int64_t)sili_fmt_bytes(fmt, b ? pl->tn : pl->tm)),
		};
	return (struct sili_block){
		.bytes = sili_reg(b ? R_BYTES_B : R_BYTES_A),
		.rows = sili_reg(b ? R_COLS : R_ROWS),
		.mem_stride = sili_imm((int64_t)stride),
		.local_stride = sili_imm((int64_t)sili_fmt_bytes(fmt, pl->kc)),
	};
}

/* Bytes from one chunk of K to the next. */
static int64_t chunk_step(const struct plan *pl, bool b)
{
	const struct sili_gemm *g = &pl->g;

	if (b ? g->b_trans : g->a_trans)
		return (int64_t)pl->kc * (int64_t)(b ? g->b_stride : g->a_stride);
	return (int64_t)sili_fmt_bytes(b ? g->b_fmt : g->a_fmt, pl->kc);
}

/*
 * Fetch the chunk `distance` ahead into L2. Work-groups of a row share A, those
 * of a column share B, so each fetches the operand whose turn it is.
 */
static void emit_ahead(struct sili_prog *p, const struct plan *pl)
{
	uint32_t past = sili_prog_label(p), take_b = sili_prog_label(p);
	struct sili_block a = chunk_block(pl, false, pl->g.a_trans);
	struct sili_block b = chunk_block(pl, true, pl->g.b_trans);

	if (!pl->distance)
		return;
	alui(p, X1_OP_ADD, R_AHEAD, R_K, (int64_t)pl->kc * (pl->distance + 1));
	sili_prog_li(p, R_TMP, pl->g.k);
	sili_prog_branch(p, X1_OP_BLTU, R_TMP, R_AHEAD, past);
	sili_prog_branch(p, X1_OP_BNE, R_X, 0, take_b);
	alui(p, X1_OP_ADD, R_PF_A, R_A, chunk_step(pl, false) * pl->distance);
	sili_emit_prefetch(p, R_PF_A, &a);
	sili_prog_place(p, take_b);
	sili_prog_branch(p, X1_OP_BNE, R_Y, 0, past);
	alui(p, X1_OP_ADD, R_PF_B, R_B, chunk_step(pl, true) * pl->distance);
	sili_emit_prefetch(p, R_PF_B, &b);
	sili_prog_place(p, past);
}

/* Load the chunk at R_K into the stage at R_OFF. */
static void emit_chunk(struct sili_prog *p, const struct plan *pl)
{
	struct sili_block a = chunk_block(pl, false, pl->g.a_trans);
	struct sili_block b = chunk_block(pl, true, pl->g.b_trans);

	emit_left(p, R_KC, pl->g.k, R_K, pl->kc);
	emit_bytes(p, pl->g.a_fmt, R_BYTES_A, R_KC);
	emit_bytes(p, pl->g.b_fmt, R_BYTES_B, R_KC);
	alui(p, X1_OP_ADD, R_OFF_A, R_OFF, 0);
	alui(p, X1_OP_ADD, R_OFF_B, R_OFF, (int64_t)pl->a_bytes);
	sili_prog_sems(p, X1_SEM(SEM_FREE), 0, X1_SEM(SEM_FULL), 0);
	sili_emit_load(p, R_OFF_A, R_A, &a);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_FULL), 0);
	sili_emit_load(p, R_OFF_B, R_B, &b);
	emit_ahead(p, pl);
}

static void emit_mm(struct sili_prog *p, const struct plan *pl, struct sili_val rows, uint8_t acc,
		    uint8_t a)
{
	const struct sili_gemm *g = &pl->g;
	struct x1_desc d = {0};
	uint32_t fmt = X1_MM_FMT(g->a_fmt, g->b_fmt) | (g->a_trans ? X1_MM_FMT_TRANS_A : 0) |
		       (g->b_trans ? X1_MM_FMT_TRANS_B : 0);

	sili_put(&d, X1_MM_M, rows);
	sili_desc_reg(&d, X1_MM_N, R_COLS);
	sili_desc_reg(&d, X1_MM_K, R_KC);
	sili_desc_reg(&d, X1_MM_K0, R_K);
	sili_desc_set(&d, X1_MM_FMT, fmt);
	sili_desc_reg(&d, X1_MM_ACCUMULATE, R_ACC_ON);
	sili_desc_set(&d, X1_MM_A_STRIDE,
		      (int64_t)sili_fmt_bytes(g->a_fmt, g->a_trans ? pl->tm : pl->kc));
	sili_desc_set(&d, X1_MM_B_STRIDE,
		      (int64_t)sili_fmt_bytes(g->b_fmt, g->b_trans ? pl->tn : pl->kc));
	sili_desc_set(&d, X1_MM_ACC_STRIDE, pl->tn * 4);
	sili_prog_engine(p, X1_OP_MM, acc, a, R_OFF_B, &d);
}

/* On to the next chunk and stage. */
static void emit_advance(struct sili_prog *p, const struct plan *pl)
{
	alui(p, X1_OP_ADD, R_K, R_K, pl->kc);
	alui(p, X1_OP_ADD, R_A, R_A, chunk_step(pl, false));
	alui(p, X1_OP_ADD, R_B, R_B, chunk_step(pl, true));
	alui(p, X1_OP_ADD, R_OFF, R_OFF, (int64_t)pl->stage_bytes);
	alui(p, X1_OP_REMU, R_OFF, R_OFF, (int64_t)(pl->stages * pl->stage_bytes));
	sili_prog_li(p, R_ACC_ON, 1);
}

static bool needs_vec(const struct sili_gemm *g)
{
	return g->bias || g->act || g->scale != 1.0f;
}

/* Epilogue of one strip in place; the first step waits for the product. */
static void emit_epilogue(struct sili_prog *p, const struct plan *pl)
{
	const struct sili_gemm *g = &pl->g;
	enum x1_format acc = x1_format_is_int(g->a_fmt) ? X1_FMT_INT32 : X1_FMT_FP32;
	struct sili_vec v = {
		.rows = sili_reg(R_STRIP_ROWS),
		.cols = sili_reg(R_COLS),
		.dst_fmt = X1_FMT_FP32,
		.s0_fmt = acc,
		.s1_fmt = X1_FMT_FP32,
		.dst_stride = sili_imm(pl->tn * 4),
		.s0_stride = sili_imm(pl->tn * 4),
	};
	struct sili_vec step[3];
	uint32_t n = 0;

	if (g->scale != 1.0f) {
		step[n] = v;
		step[n].op = X1_VEC_MUL;
		step[n].bcast1 = X1_VEC_BCAST_SCALAR;
		step[n++].scalar1 = g->scale;
		v.s0_fmt = X1_FMT_FP32;
	}
	if (g->bias) {
		step[n] = v;
		step[n].op = X1_VEC_ADD;
		step[n++].bcast1 = X1_VEC_BCAST_ROW;
		v.s0_fmt = X1_FMT_FP32;
	}
	if (g->act) {
		step[n] = v;
		step[n].s1_fmt = 0;
		step[n++].op = (enum x1_vec_op)sili_act_op(g->act);
	}
	for (uint32_t i = 0; i < n; i++) {
		sili_prog_sems(p, i ? 0 : X1_SEM(SEM_STRIP), 0, i + 1 == n ? X1_SEM(SEM_READY) : 0,
			       0);
		sili_emit_vec(p, R_ACC, R_ACC, R_BIAS_AT, &step[i]);
	}
}

static void emit_strips(struct sili_prog *p, const struct plan *pl)
{
	const struct sili_gemm *g = &pl->g;
	bool vec = needs_vec(g);
	enum x1_format acc = !vec && x1_format_is_int(g->a_fmt) ? X1_FMT_INT32 : X1_FMT_FP32;
	int64_t a_step = (int64_t)STRIP_ROWS *
			 (g->a_trans ? (int64_t)x1_format_bits(g->a_fmt) / 8
				     : (int64_t)sili_fmt_bytes(g->a_fmt, pl->kc));
	struct sili_out out = {
		.elems = sili_reg(R_COLS),
		.rows = sili_reg(R_STRIP_ROWS),
		.mem_stride = sili_imm((int64_t)g->c_stride),
		.local_stride = sili_imm(pl->tn * 4),
		.lfmt = acc,
		.mfmt = g->c_fmt,
	};

	alui(p, X1_OP_ADD, R_LEFT, R_ROWS, 0);
	alui(p, X1_OP_ADD, R_STRIPS, R_ROWS, STRIP_ROWS - 1);
	alui(p, X1_OP_DIVU, R_STRIPS, R_STRIPS, STRIP_ROWS);
	/* Both halves of the last chunk, and the bias, before the first strip. */
	sili_prog_sems(p, X1_SEM(SEM_FULL), X1_SEM(SEM_FULL), 0, 0);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	if (g->bias) {
		sili_prog_sems(p, X1_SEM(SEM_BIAS), 0, 0, 0);
		sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	}
	sili_prog_loop(p, R_STRIPS);
	alui(p, X1_OP_MIN, R_STRIP_ROWS, R_LEFT, STRIP_ROWS);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_STRIP), 0);
	emit_mm(p, pl, sili_reg(R_STRIP_ROWS), R_ACC, R_OFF_A);
	if (vec)
		emit_epilogue(p, pl);
	sili_prog_sems(p, X1_SEM(vec ? SEM_READY : SEM_STRIP), 0, 0, 0);
	sili_emit_store(p, R_ACC, R_C, &out);
	alui(p, X1_OP_SUB, R_LEFT, R_LEFT, STRIP_ROWS);
	alui(p, X1_OP_ADD, R_OFF_A, R_OFF_A, a_step);
	alui(p, X1_OP_ADD, R_ACC, R_ACC, (int64_t)STRIP_ROWS * pl->tn * 4);
	alui(p, X1_OP_ADD, R_C, R_C, (int64_t)(STRIP_ROWS * g->c_stride));
	sili_prog_loop_end(p);
}

static struct sili_prog *generate(const struct plan *pl)
{
	struct sili_prog *p = sili_prog_new();
	uint32_t chunks = (uint32_t)sili_div_up(pl->g.k, pl->kc);

	if (!p)
		return NULL;
	emit_start(p, pl);
	sili_emit_tokens(p, SEM_FREE, pl->stages);
	sili_prog_li(p, R_CHUNKS, chunks - 1);
	sili_prog_loop(p, R_CHUNKS);
	emit_chunk(p, pl);
	sili_prog_sems(p, X1_SEM(SEM_FULL), X1_SEM(SEM_FULL), X1_SEM(SEM_FREE), 0);
	emit_mm(p, pl, sili_reg(R_ROWS), R_ACC, R_OFF_A);
	emit_advance(p, pl);
	sili_prog_loop_end(p);
	emit_chunk(p, pl);
	emit_strips(p, pl);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}

/* ---- interface ---- */

/* Defaults filled in, limits checked. */
static int normalise(const struct sili_info *info, const struct sili_gemm *in, struct sili_gemm *g)
{
	uint64_t a_row, b_row, c_row;

	if (in->size != sizeof(*in))
		return -EINVAL;
	*g = *in;
	if (!g->m || !g->n || !g->k || g->k > X1_MM_MAX_K || sili_act_op(g->act) < 0)
		return -EINVAL;
	if ((unsigned int)g->a_fmt >= X1_FMT_COUNT || (unsigned int)g->b_fmt >= X1_FMT_COUNT ||
	    !(info->formats >> g->a_fmt & info->formats >> g->b_fmt & 1) ||
	    !x1_format_bits(g->c_fmt) || g->c_fmt == X1_FMT_E8M0 ||
	    x1_format_is_int(g->a_fmt) != x1_format_is_int(g->b_fmt))
		return -EINVAL;
	/* Rows of k elements narrower than a byte are not transposed. */
	if ((g->a_trans && x1_format_bits(g->a_fmt) < 8) ||
	    (g->b_trans && x1_format_bits(g->b_fmt) < 8))
		return -EINVAL;
	if ((uint64_t)g->n * x1_format_bits(g->c_fmt) % 8)
		return -EINVAL;
	a_row = sili_fmt_bytes(g->a_fmt, g->a_trans ? g->m : g->k);
	b_row = sili_fmt_bytes(g->b_fmt, g->b_trans ? g->n : g->k);
	c_row = sili_fmt_bytes(g->c_fmt, g->n);
	if (!g->a_stride)
		g->a_stride = a_row;
	if (!g->b_stride)
		g->b_stride = b_row;
	if (!g->c_stride)
		g->c_stride = c_row;
	if (g->a_stride < a_row || g->b_stride < b_row || g->c_stride < c_row ||
	    g->a_stride > INT32_MAX || g->b_stride > INT32_MAX || g->c_stride > INT32_MAX)
		return -EINVAL;
	if (g->scale == 0.0f)
		g->scale = 1.0f;
	g->prefetch = sili_prefetch_mode(g->prefetch);
	return 0;
}

static struct sili_key gemm_key(const struct sili_gemm *g)
{
	uint32_t scale;

	memcpy(&scale, &g->scale, 4);
	return (struct sili_key){
		.word = {1, (uint64_t)g->m << 32 | g->n, g->k,
			 (uint64_t)g->a_fmt << 16 | (uint64_t)g->b_fmt << 8 | g->c_fmt,
			 (uint64_t)g->a_trans << 1 | g->b_trans, g->a_stride, g->b_stride,
			 g->c_stride, (uint64_t)g->act << 32 | scale, !!g->bias,
			 g->prefetch == SILI_PREFETCH_OFF}};
}

static uint64_t roofline(const struct sili_info *info, const struct sili_gemm *g)
{
	uint64_t macs = (uint64_t)g->m * g->n * g->k;
	uint64_t rate = (uint64_t)info->mcus_healthy * X1_MM_LANES * min_rate(g);
	uint64_t bytes = sili_fmt_bytes(g->a_fmt, (uint64_t)g->m * g->k) +
			 sili_fmt_bytes(g->b_fmt, (uint64_t)g->n * g->k) +
			 (g->bias ? g->n * 4ull : 0);
	uint64_t mm = sili_div_up(macs, rate), hbm = sili_div_up(bytes, info->hbm_bw);

	return mm > hbm ? mm : hbm;
}

SILI_EXPORT int sili_gemm(struct sili_device *dev, const struct sili_gemm *gemm, union x1_cmd *cmds,
			  uint32_t max, struct sili_gemm_plan *plan)
{
	struct plan pl = {0};
	const struct sili_kernel *k;
	struct sili_key key;
	uint64_t args;
	int ret;

	ret = normalise(&dev->info, gemm, &pl.g);
	if (!ret)
		ret = choose(&dev->info, &pl);
	if (ret)
		return ret;
	if (!max)
		return -ENOSPC;
	key = gemm_key(&pl.g);
	k = sili_cache_find(dev, &key);
	if (!k) {
		struct sili_prog *p = generate(&pl);

		ret = p ? sili_keep(dev, &key, p, &k) : -ENOMEM;
		if (ret)
			return ret;
	}
	ret = sili_args(dev, (uint64_t[]){pl.g.a, pl.g.b, pl.g.c, pl.g.bias}, 4, &args);
	if (ret)
		return ret;
	sili_cmd_launch(cmds, k, pl.tiles_n, pl.tiles_m, 1, args, 4);
	if (pl.g.prefetch != SILI_PREFETCH_OFF)
		cmds->hdr.flags = X1_LAUNCH_OVERLAP;
	if (plan)
		*plan = (struct sili_gemm_plan){
			.tile_m = pl.tm,
			.tile_n = pl.tn,
			.tile_k = pl.kc,
			.stages = pl.stages,
			.prefetch_distance = pl.distance,
			.work_groups = pl.tiles_m * pl.tiles_n,
			.cycles = pl.cycles,
			.roofline = roofline(&dev->info, &pl.g),
		};
	return 1;
}
