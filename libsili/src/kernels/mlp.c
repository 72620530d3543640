// SPDX-License-Identifier: MIT
/*
 * A multi-layer perceptron in one program. A work-group takes a slice of the
 * batch through all layers; its activations stay in the scratchpad in the
 * format that the next layer multiplies in, so the precision switches between
 * two MATRIX instructions. Weights stream through stages, a block of output
 * columns each.
 *
 * Tokens: every product takes one ACC token (a free accumulator half), every
 * epilogue gives one back. The last epilogue of a layer gives LAYER instead,
 * and the first product of the next layer takes it: there are always two.
 */
#include "emit.h"

enum {
	SEM_WEIGHTS = 0, /* a block is there */
	SEM_FREE = 1,    /* a stage is free */
	SEM_SUM = 2,     /* a product is done */
	SEM_ACC = 3,
	SEM_LAYER = 4,
	SEM_OUT = 5,
};

enum {
	R_WG = 2,
	R_X = X1_REG_ARG0,
	R_Y_OUT,
	R_PARAMS, /* weights, bias of layer 0, then of layer 1, … */
	R_FIRST = X1_REG_ARG0 + X1_MAX_ARGS,
	R_ROWS,
	R_TMP,
	R_MEM,
	R_STAGE,
	R_BIAS,
	R_ACC,
	R_IN,
	R_OUT,
	R_SLICE,
	R_LEFT,
};

#define MAX_LAYERS  ((X1_MAX_ARGS - 2) / 2)
#define SLICE_ROWS  X1_MM_LANES
#define MAX_STAGES  4u
#define BIAS_BYTES  2048u /* of a stage */
#define MAX_BLOCK   (BIAS_BYTES / 4)
#define FETCH_ALIGN 4096u

struct plan {
	const struct sili_mlp *m;
	enum sili_prefetch prefetch;
	uint32_t slices, stages;
	uint64_t act_bytes;         /* one of the two activation buffers */
	uint64_t stage_bytes;       /* weights, then bias */
	uint32_t block[MAX_LAYERS]; /* output columns at a time */
};

static uint64_t row_bytes(const struct sili_mlp_layer *l)
{
	return sili_fmt_bytes(l->fmt, l->n_in);
}

/* ---- plan ---- */

static int check(const struct sili_info *info, const struct sili_mlp *m)
{
	if (m->size != sizeof(*m) || !m->batch || !m->num_layers || m->num_layers > MAX_LAYERS)
		return -EINVAL;
	for (uint32_t i = 0; i < m->num_layers; i++) {
		const struct sili_mlp_layer *l = &m->layers[i];

		if (!l->n_in || !l->n_out || (unsigned int)l->fmt >= X1_FMT_COUNT ||
		    !(info->formats >> l->fmt & 1) || x1_format_is_int(l->fmt) ||
		    x1_format_bits(l->fmt) < 8 || sili_act_op(l->act) < 0 ||
		    (i && l->n_in != m->layers[i - 1].n_out))
			return -EINVAL;
	}
	return 0;
}

static int choose(const struct sili_info *info, struct plan *p)
{
	const struct sili_mlp *m = p->m;
	uint64_t room;

	p->slices = (uint32_t)sili_div_up(m->batch, SLICE_ROWS);
	for (uint32_t i = 0; i < m->num_layers; i++) {
		uint64_t bytes = sili_align(SLICE_ROWS * row_bytes(&m->layers[i]), 64);

		if (bytes > p->act_bytes)
			p->act_bytes = bytes;
	}
	if (2 * p->act_bytes >= info->spad_bytes)
		return -E2BIG;
	p->stages = p->prefetch == SILI_PREFETCH_OFF ? 2 : MAX_STAGES;
	room = info->spad_bytes - 2 * p->act_bytes;
	/* Off has the same blocks and half of the stages. */
	p->stage_bytes = room / MAX_STAGES / 64 * 64;
	if (p->stage_bytes <= BIAS_BYTES)
		return -E2BIG;
	for (uint32_t i = 0; i < m->num_layers; i++) {
		const struct sili_mlp_layer *l = &m->layers[i];
		uint64_t cols = (p->stage_bytes - BIAS_BYTES) / row_bytes(l);

		cols = sili_min64(cols, MAX_BLOCK) / X1_MM_LANES * X1_MM_LANES;
		if (!cols)
			return -E2BIG;
		p->block[i] = (uint32_t)sili_min64(cols, l->n_out);
	}
	return 0;
}

/* ---- code ---- */

static void alui(struct sili_prog *p, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(p, op, rd, ra, imm);
}

static uint64_t stage_at(const struct plan *p, uint32_t block)
{
	return 2 * p->act_bytes + block % p->stages * p->stage_bytes;
}

/* This work-group's share of all weights into L2, before anyone multiplies. */
static void emit_fetch_graph(struct sili_prog *p, const struct plan *pl)
{
	for (uint32_t i = 0; i < pl->m->num_layers; i++) {
		const struct sili_mlp_layer *l = &pl->m->layers[i];
		uint64_t bytes = row_bytes(l) * l->n_out;
		uint64_t share = sili_align(sili_div_up(bytes, pl->slices), FETCH_ALIGN);
		uint32_t past = sili_prog_label(p);

		alui(p, X1_OP_MUL, R_TMP, R_WG, (int64_t)share);
		sili_prog_li(p, R_LEFT, (int64_t)bytes);
		sili_prog_branch(p, X1_OP_BGEU, R_TMP, R_LEFT, past);
		sili_prog_alu(p, X1_OP_SUB, R_LEFT, R_LEFT, R_TMP);
		alui(p, X1_OP_MIN, R_LEFT, R_LEFT, (int64_t)share);
		sili_prog_alu(p, X1_OP_ADD, R_MEM, (uint8_t)(R_PARAMS + 2 * i), R_TMP);
		sili_emit_prefetch(p, R_MEM,
				   &(struct sili_block){.bytes = sili_reg(R_LEFT),
							.rows = sili_imm(1),
							.mem_stride = sili_imm(0),
							.local_stride = sili_imm(0)});
		sili_prog_place(p, past);
	}
}

static void emit_input(struct sili_prog *p, const struct plan *pl)
{
	int64_t row = (int64_t)row_bytes(&pl->m->layers[0]);

	alui(p, X1_OP_MUL, R_FIRST, R_WG, SLICE_ROWS);
	sili_prog_li(p, R_ROWS, pl->m->batch);
	sili_prog_alu(p, X1_OP_SUB, R_ROWS, R_ROWS, R_FIRST);
	alui(p, X1_OP_MIN, R_ROWS, R_ROWS, SLICE_ROWS);
	alui(p, X1_OP_MUL, R_TMP, R_FIRST, row);
	sili_prog_alu(p, X1_OP_ADD, R_MEM, R_X, R_TMP);
	sili_prog_li(p, R_IN, 0);
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_LAYER), 0);
	sili_emit_load(p, R_IN, R_MEM,
		       &(struct sili_block){.bytes = sili_imm(row),
					    .rows = sili_reg(R_ROWS),
					    .mem_stride = sili_imm(row),
					    .local_stride = sili_imm(row)});
}

/* Block `at` (counted over all layers): columns [col, col + n) of layer i. */
static void emit_weights(struct sili_prog *p, const struct plan *pl, uint32_t i, uint32_t col,
			 uint32_t n, uint32_t at)
{
	const struct sili_mlp_layer *l = &pl->m->layers[i];
	int64_t row = (int64_t)row_bytes(l);

	alui(p, X1_OP_ADD, R_MEM, (uint8_t)(R_PARAMS + 2 * i), row * col);
	sili_prog_li(p, R_STAGE, (int64_t)stage_at(pl, at));
	sili_prog_sems(p, X1_SEM(SEM_FREE), 0, X1_SEM(SEM_WEIGHTS), 0);
	sili_emit_load(p, R_STAGE, R_MEM,
		       &(struct sili_block){.bytes = sili_imm(row * n),
					    .rows = sili_imm(1),
					    .mem_stride = sili_imm(0),
					    .local_stride = sili_imm(0)});
	alui(p, X1_OP_ADD, R_MEM, (uint8_t)(R_PARAMS + 2 * i + 1), 4ll * col);
	alui(p, X1_OP_ADD, R_BIAS, R_STAGE, (int64_t)(pl->stage_bytes - BIAS_BYTES));
	sili_prog_sems(p, 0, 0, X1_SEM(SEM_WEIGHTS), 0);
	sili_emit_load(p, R_BIAS, R_MEM,
		       &(struct sili_block){.bytes = sili_imm(4ll * n),
					    .rows = sili_imm(1),
					    .mem_stride = sili_imm(0),
					    .local_stride = sili_imm(0)});
}

/* The block that follows in this layer, into L2. */
static void emit_fetch_next(struct sili_prog *p, const struct plan *pl, uint32_t i, uint32_t col,
			    uint32_t n)
{
	const struct sili_mlp_layer *l = &pl->m->layers[i];
	int64_t row = (int64_t)row_bytes(l);
	uint32_t next = col + pl->stages * n;

	if (next >= l->n_out)
		return;
	if (next + n > l->n_out)
		n = l->n_out - next;
	alui(p, X1_OP_ADD, R_MEM, (uint8_t)(R_PARAMS + 2 * i), row * next);
	sili_emit_prefetch(p, R_MEM,
			   &(struct sili_block){.bytes = sili_imm(row * n),
						.rows = sili_imm(1),
						.mem_stride = sili_imm(0),
						.local_stride = sili_imm(0)});
}

static void emit_product(struct sili_prog *p, const struct plan *pl, uint32_t i, uint32_t n,
			 bool first)
{
	const struct sili_mlp_layer *l = &pl->m->layers[i];
	struct x1_desc d = {0};

	sili_desc_reg(&d, X1_MM_M, R_ROWS);
	sili_desc_set(&d, X1_MM_N, n);
	sili_desc_set(&d, X1_MM_K, l->n_in);
	sili_desc_set(&d, X1_MM_FMT, X1_MM_FMT(l->fmt, l->fmt));
	sili_desc_set(&d, X1_MM_A_STRIDE, (int64_t)row_bytes(l));
	sili_desc_set(&d, X1_MM_B_STRIDE, (int64_t)row_bytes(l));
	sili_desc_set(&d, X1_MM_ACC_STRIDE, 4ll * n);
	/* Weights and bias of the block, one token each. */
	sili_prog_sems(p, X1_SEM(SEM_WEIGHTS), X1_SEM(SEM_WEIGHTS), 0, 0);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	sili_prog_sems(p, X1_SEM(first ? SEM_LAYER : SEM_ACC), 0, X1_SEM(SEM_SUM), 0);
	sili_prog_engine(p, X1_OP_MM, R_ACC, R_IN, R_STAGE, &d);
}

/* Bias and activation; into the next layer's input, or FP32 and out. */
static void emit_epilogue(struct sili_prog *p, const struct plan *pl, uint32_t i, uint32_t col,
			  uint32_t n, bool last_block)
{
	const struct sili_mlp_layer *l = &pl->m->layers[i];
	bool last = i + 1 == pl->m->num_layers;
	enum x1_format fmt = last ? X1_FMT_FP32 : pl->m->layers[i + 1].fmt;
	int64_t out_stride = last ? 4ll * n : (int64_t)row_bytes(l + 1);
	uint8_t done = X1_SEM(last_block ? SEM_LAYER : SEM_ACC);
	struct sili_vec v = {
		.op = X1_VEC_ADD,
		.rows = sili_reg(R_ROWS),
		.cols = sili_imm(n),
		.dst_fmt = l->act ? X1_FMT_FP32 : fmt,
		.s0_fmt = X1_FMT_FP32,
		.s1_fmt = X1_FMT_FP32,
		.bcast1 = X1_VEC_BCAST_ROW,
		.dst_stride = sili_imm(l->act ? 4ll * n : out_stride),
		.s0_stride = sili_imm(4ll * n),
	};

	if (!last)
		alui(p, X1_OP_ADD, R_TMP, R_OUT, (int64_t)sili_fmt_bytes(fmt, col));
	else
		alui(p, X1_OP_ADD, R_TMP, R_ACC, 0);
	/* The stage is free once its bias is used as well. */
	sili_prog_sems(p, X1_SEM(SEM_SUM), 0, X1_SEM(SEM_FREE),
		       l->act ? 0
		       : last ? X1_SEM(SEM_OUT)
			      : done);
	sili_emit_vec(p, l->act ? R_ACC : R_TMP, R_ACC, R_BIAS, &v);
	if (l->act) {
		v.op = (enum x1_vec_op)sili_act_op(l->act);
		v.s1_fmt = 0;
		v.bcast1 = X1_VEC_BCAST_NONE;
		v.dst_fmt = fmt;
		v.dst_stride = sili_imm(out_stride);
		sili_prog_sems(p, 0, 0, last ? X1_SEM(SEM_OUT) : done, 0);
		sili_emit_vec(p, R_TMP, R_ACC, 0, &v);
	}
	if (!last)
		return;
	alui(p, X1_OP_MUL, R_MEM, R_FIRST, 4ll * l->n_out);
	sili_prog_alu(p, X1_OP_ADD, R_MEM, R_MEM, R_Y_OUT);
	alui(p, X1_OP_ADD, R_MEM, R_MEM, 4ll * col);
	sili_prog_sems(p, X1_SEM(SEM_OUT), 0, done, 0);
	sili_emit_store(p, R_TMP, R_MEM,
			&(struct sili_out){.elems = sili_imm(n),
					   .rows = sili_reg(R_ROWS),
					   .mem_stride = sili_imm(4ll * l->n_out),
					   .local_stride = sili_imm(4ll * n),
					   .lfmt = X1_FMT_FP32,
					   .mfmt = X1_FMT_FP32});
}

static struct sili_prog *generate(const struct plan *pl)
{
	struct sili_prog *p = sili_prog_new();
	uint32_t at = 0, ahead = 0, col_ahead = 0, layer_ahead = 0;
	const struct sili_mlp *m = pl->m;

	if (!p)
		return NULL;
	emit_input(p, pl);
	if (pl->prefetch == SILI_PREFETCH_GRAPH)
		emit_fetch_graph(p, pl);
	sili_emit_tokens(p, SEM_FREE, pl->stages);
	sili_emit_tokens(p, SEM_ACC, 1);
	for (uint32_t i = 0; i < m->num_layers; i++) {
		const struct sili_mlp_layer *l = &m->layers[i];

		for (uint32_t col = 0; col < l->n_out; col += pl->block[i], at++) {
			uint32_t n = (uint32_t)sili_min64(pl->block[i], l->n_out - col);

			/* Loads are issued as far ahead as there are stages, also into the next
			 * layer. */
			for (; ahead < at + pl->stages && layer_ahead < m->num_layers; ahead++) {
				const struct sili_mlp_layer *la = &m->layers[layer_ahead];
				uint32_t na = (uint32_t)sili_min64(pl->block[layer_ahead],
								   la->n_out - col_ahead);

				emit_weights(p, pl, layer_ahead, col_ahead, na, ahead);
				if (pl->prefetch == SILI_PREFETCH_KERNEL)
					emit_fetch_next(p, pl, layer_ahead, col_ahead,
							pl->block[layer_ahead]);
				col_ahead += na;
				if (col_ahead == la->n_out) {
					col_ahead = 0;
					layer_ahead++;
				}
			}
			sili_prog_li(p, R_STAGE, (int64_t)stage_at(pl, at));
			alui(p, X1_OP_ADD, R_BIAS, R_STAGE,
			     (int64_t)(pl->stage_bytes - BIAS_BYTES));
			sili_prog_li(p, R_ACC, X1_ACC_ADDR + (at % 2) * X1_ACC_BANK_BYTES);
			sili_prog_li(p, R_IN, (int64_t)(i % 2 * pl->act_bytes));
			sili_prog_li(p, R_OUT, (int64_t)((i + 1) % 2 * pl->act_bytes));
			emit_product(p, pl, i, n, !col);
			emit_epilogue(p, pl, i, col, n, col + n == l->n_out);
		}
	}
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}

/* ---- interface ---- */

static struct sili_key mlp_key(const struct plan *pl)
{
	struct sili_key key = {.word = {SILI_KEY_MLP, pl->m->batch,
					(uint64_t)pl->prefetch << 32 | pl->m->num_layers}};

	for (uint32_t i = 0; i < pl->m->num_layers; i++) {
		const struct sili_mlp_layer *l = &pl->m->layers[i];

		key.word[3 + i] = (uint64_t)l->n_in << 36 | (uint64_t)l->n_out << 8 |
				  (uint64_t)l->fmt << 4 | l->act;
	}
	return key;
}

SILI_EXPORT int sili_mlp(struct sili_device *dev, const struct sili_mlp *mlp, union x1_cmd *cmds,
			 uint32_t max)
{
	struct plan pl = {.m = mlp, .prefetch = sili_prefetch_mode(mlp->prefetch)};
	uint64_t words[2 + 2 * MAX_LAYERS], args;
	const struct sili_kernel *k;
	struct sili_key key;
	int ret = check(&dev->info, mlp);

	if (!ret)
		ret = choose(&dev->info, &pl);
	if (ret)
		return ret;
	if (!max)
		return -ENOSPC;
	key = mlp_key(&pl);
	k = sili_cache_find(dev, &key);
	if (!k) {
		ret = sili_keep(dev, &key, generate(&pl), NULL, &k);
		if (ret)
			return ret;
	}
	words[0] = mlp->x;
	words[1] = mlp->y;
	for (uint32_t i = 0; i < mlp->num_layers; i++) {
		words[2 + 2 * i] = mlp->layers[i].weights;
		words[3 + 2 * i] = mlp->layers[i].bias;
	}
	ret = sili_args(dev, words, 2 + 2 * mlp->num_layers, &args);
	if (ret)
		return ret;
	sili_cmd_launch(cmds, k, pl.slices, 1, 1, args, 2 + 2 * mlp->num_layers);
	return 1;
}
