// SPDX-License-Identifier: MIT
/*
 * Bags of rows: each is the sum, the mean or the maximum of some rows of a
 * table. A tile is some bags; their rows are gathered in pieces, which go
 * through stages, and are added to FP32 sums in the order of their numbers.
 */
#include <math.h>

#include "sili_kernels.h"
#include "tiles.h"

#define BAGS   16u   /* of a tile */
#define COLS   512u  /* of a block */
#define PIECE  32u   /* rows of a bag at a time */
#define STAGES 4u    /* pieces under way */
#define RUN    4096u /* row numbers at a time */

enum {
	DST = 1,
	ACC,
	OFFSETS, /* of the tile's bags, and the last one's end */
	COUNT,   /* rows of each bag, at least 1; then what a mean is multiplied with */
	NUMBERS,
	STAGE,
	WEIGHTS, /* of the stages */
	X,       /* rows that were weighted, or are folded */
	ZERO,
};

enum {
	ARG_TABLE,
	ARG_INDEX,
	ARG_OFFSETS,
	ARG_WEIGHTS,
};

enum {
	P_OP,
	P_SIZE,
	P_STRIDE,
	P_LIMIT,
};

enum {
	SEM_FREE = TILE_SEM_BODY,
	SEM_FULL,
	SEM_OFFSETS,
	SEM_OFFSETS_FREE,
	SEM_NUMBERS,
};

enum {
	R_POS = TILE_R_BODY, /* among the row numbers of all bags */
	R_END,               /* of the bag */
	R_RUN,               /* end of the row numbers that are here */
	R_BASE,              /* local address that number 0 would have */
	R_N,
	R_TURN,
	R_OFF, /* local address of the bag's end */
	R_SUM, /* local address of the bag's sums */
	R_MEM,
	R_TO,
	R_TMP,
	R_W,
};

X1_STATIC_ASSERT(R_W < TILE_R_HALVES);

static void alui(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(t->p, op, rd, ra, imm);
}

static void alu(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb)
{
	sili_prog_alu(t->p, op, rd, ra, rb);
}

static void lds(struct tiles *t, uint8_t rd, uint8_t ra, int64_t offset)
{
	sili_prog_emit(
		t->p,
		(struct x1_insn){
			.op = X1_OP_LDS, .rd = rd, .ra = ra, .rb = 2, .imm = (uint64_t)offset});
}

/* 32-bit words, `words` of them (a register), from element `first` of an argument on. */
static void load_words(struct tiles *t, uint8_t to, uint32_t arg, uint8_t first, uint8_t words,
		       uint8_t wait, uint8_t sig)
{
	alui(t, X1_OP_SHL, R_MEM, first, 2);
	alu(t, X1_OP_ADD, R_MEM, R_MEM, tile_extra(arg));
	alui(t, X1_OP_SHL, R_TMP, words, 2);
	sili_prog_sems(t->p, wait, 0, sig, 0);
	sili_emit_load(t->p, to, R_MEM,
		       &(struct sili_block){.bytes = sili_reg(R_TMP),
					    .rows = sili_imm(1),
					    .mem_stride = sili_imm(0),
					    .local_stride = sili_imm(0)});
}

/* The sequencer waits for data. */
static void await(struct tiles *t, uint8_t sem)
{
	sili_prog_sems(t->p, X1_SEM(sem), 0, 0, 0);
	sili_prog_emit(t->p, (struct x1_insn){.op = X1_OP_NOP});
}

static void begin(struct tiles *t)
{
	sili_emit_tokens(t->p, SEM_FREE, STAGES);
	sili_emit_tokens(t->p, SEM_OFFSETS_FREE, 1);
	/* All rows of a piece are added to row 0. */
	tile_step(t, &(struct tile_step){.op = X1_VEC_MASK,
					 .dst = ZERO,
					 .s0 = ZERO,
					 .param = sili_imm(INT32_MIN / 2)});
}

/* COUNT = ends less beginnings, at least 1 for a mean. */
static void emit_counts(struct tiles *t, bool mean)
{
	struct sili_vec v = {.op = X1_VEC_SUB,
			     .rows = sili_imm(1),
			     .cols = sili_reg(tile_rows()),
			     .dst_fmt = X1_FMT_INT32,
			     .s0_fmt = X1_FMT_INT32,
			     .s1_fmt = X1_FMT_INT32};

	t->sig = X1_SEM(SEM_OFFSETS_FREE);
	tile_vec(t, tile_at(COUNT), R_OFF, tile_at(OFFSETS), &v);
	if (!mean)
		return;
	v.op = X1_VEC_MAX;
	v.bcast1 = X1_VEC_BCAST_SCALAR;
	v.scalar1_reg = R_N;
	sili_prog_li(t->p, R_N, 1);
	tile_vec(t, tile_at(COUNT), tile_at(COUNT), 0, &v);
	v = (struct sili_vec){.op = X1_VEC_RECIP,
			      .rows = sili_imm(1),
			      .cols = sili_reg(tile_rows()),
			      .s0_fmt = X1_FMT_INT32};
	tile_vec(t, tile_at(COUNT), tile_at(COUNT), 0, &v);
}

/* Where the tile's first bag begins. */
static void emit_first(struct tiles *t)
{
	if (t->param[P_SIZE]) {
		alui(t, X1_OP_MUL, R_POS, tile_row(), (int64_t)t->param[P_SIZE]);
		return;
	}
	alui(t, X1_OP_ADD, R_N, tile_rows(), 1);
	load_words(t, tile_at(OFFSETS), ARG_OFFSETS, tile_row(), R_N,
		   t->op[COUNT].use ? X1_SEM(SEM_OFFSETS_FREE) : 0, X1_SEM(SEM_OFFSETS));
	await(t, SEM_OFFSETS);
	lds(t, R_POS, tile_at(OFFSETS), 0);
	alui(t, X1_OP_ADD, R_OFF, tile_at(OFFSETS), 4);
	if (t->op[COUNT].use)
		/* The sequencer has seen them: VECTOR may read them too. */
		emit_counts(t, t->param[P_OP] == SILI_BAG_MEAN);
}

/* New row numbers when those that are here are used up. */
static void emit_numbers(struct tiles *t)
{
	uint32_t past = sili_prog_label(t->p);

	sili_prog_branch(t->p, X1_OP_BLTU, R_POS, R_RUN, past);
	if (t->param[P_SIZE]) {
		alu(t, X1_OP_ADD, R_N, tile_row(), tile_rows());
		alui(t, X1_OP_MUL, R_N, R_N, (int64_t)t->param[P_SIZE]);
	} else {
		alui(t, X1_OP_SHL, R_N, tile_rows(), 2);
		alu(t, X1_OP_ADD, R_N, R_N, tile_at(OFFSETS));
		lds(t, R_N, R_N, 0);
	}
	alu(t, X1_OP_SUB, R_N, R_N, R_POS);
	alui(t, X1_OP_MIN, R_N, R_N, RUN);
	alu(t, X1_OP_ADD, R_RUN, R_POS, R_N);
	alui(t, X1_OP_SHL, R_BASE, R_POS, 2);
	alu(t, X1_OP_SUB, R_BASE, tile_at(NUMBERS), R_BASE);
	load_words(t, tile_at(NUMBERS), ARG_INDEX, R_POS, R_N, 0, X1_SEM(SEM_NUMBERS));
	await(t, SEM_NUMBERS);
	sili_prog_place(t->p, past);
}

/* R_N rows from R_POS on, and their weights, to R_TO and R_W. */
static void emit_rows(struct tiles *t)
{
	enum x1_format fmt = t->op[STAGE].fmt;
	int64_t pitch = (int64_t)t->op[STAGE].pitch;
	struct sili_val cols = tile_cols(t);
	uint8_t free = X1_SEM(SEM_FREE);
	struct x1_desc d = {0};

	alui(t, X1_OP_MUL, R_TO, R_TURN, PIECE * pitch);
	alu(t, X1_OP_ADD, R_TO, R_TO, tile_at(STAGE));
	if (t->op[WEIGHTS].use) {
		alui(t, X1_OP_MUL, R_W, R_TURN, PIECE * 4);
		alu(t, X1_OP_ADD, R_W, R_W, tile_at(WEIGHTS));
		/* The rows' FULL covers them. */
		load_words(t, R_W, ARG_WEIGHTS, R_POS, R_N, free, 0);
		free = 0;
	}
	alui(t, X1_OP_MUL, R_MEM, tile_col(), x1_format_bits(fmt));
	alui(t, X1_OP_SHR, R_MEM, R_MEM, 3);
	alu(t, X1_OP_ADD, R_MEM, R_MEM, tile_extra(ARG_TABLE));
	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(2) | X1_DMA_CTRL_GATHER);
	if (cols.is_reg) {
		alui(t, X1_OP_MUL, TILE_R_HALVES, (uint8_t)cols.v, x1_format_bits(fmt));
		alui(t, X1_OP_SHR, TILE_R_HALVES, TILE_R_HALVES, 3);
		sili_desc_reg(&d, X1_DMA_COUNT0, TILE_R_HALVES);
	} else {
		sili_desc_set(&d, X1_DMA_COUNT0, (int64_t)sili_fmt_bytes(fmt, (uint64_t)cols.v));
	}
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_N);
	sili_desc_set(&d, X1_DMA_BOUND0 + 1, (int64_t)t->param[P_LIMIT]);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)t->param[P_STRIDE]);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, pitch);
	alui(t, X1_OP_SHL, R_TMP, R_POS, 2);
	alu(t, X1_OP_ADD, R_TMP, R_TMP, R_BASE);
	sili_prog_sems(t->p, free, 0, X1_SEM(SEM_FULL), 0);
	sili_prog_engine(t->p, X1_OP_LOAD, R_TO, R_MEM, R_TMP, &d);
}

/* The piece's rows, added or folded into the bag's. */
static void emit_piece(struct tiles *t)
{
	int64_t pitch = (int64_t)t->op[STAGE].pitch, wide = (int64_t)t->op[ACC].pitch;
	bool weights = t->op[WEIGHTS].use, max = t->param[P_OP] == SILI_BAG_MAX;
	struct sili_vec v = {.op = weights ? X1_VEC_MUL : X1_VEC_MOV,
			     .rows = sili_reg(R_N),
			     .cols = tile_cols(t),
			     .s0_fmt = t->op[STAGE].fmt,
			     .bcast1 = weights ? X1_VEC_BCAST_COL : X1_VEC_BCAST_NONE,
			     .dst_stride = sili_imm(wide),
			     .s0_stride = sili_imm(pitch),
			     .s1_stride = sili_imm(weights ? 4 : 0)};
	struct sili_vec add = {.op = X1_VEC_SCATTER_ADD,
			       .rows = sili_reg(R_N),
			       .cols = tile_cols(t),
			       .s0_fmt = weights ? X1_FMT_FP32 : t->op[STAGE].fmt,
			       .s1_fmt = X1_FMT_INT32,
			       .bcast1 = X1_VEC_BCAST_COL,
			       .dst_stride = sili_imm(wide),
			       .s0_stride = sili_imm(weights ? wide : pitch),
			       .param = sili_imm(1)};

	if (weights || max) {
		t->wait = X1_SEM(SEM_FULL);
		t->sig = X1_SEM(SEM_FREE);
		tile_vec(t, tile_at(X), R_TO, weights ? R_W : 0, &v);
	}
	if (max) {
		tile_halves(t, X1_VEC_MAX, X, R_N, PIECE);
		v = (struct sili_vec){.op = X1_VEC_MAX,
				      .rows = sili_imm(1),
				      .cols = tile_cols(t),
				      .dst_stride = sili_imm(wide),
				      .s0_stride = sili_imm(wide),
				      .s1_stride = sili_imm(wide)};
		tile_vec(t, R_SUM, R_SUM, tile_at(X), &v);
		return;
	}
	if (!weights) {
		t->wait = X1_SEM(SEM_FULL);
		t->sig = X1_SEM(SEM_FREE);
	}
	tile_vec(t, R_SUM, weights ? tile_at(X) : R_TO, tile_at(ZERO), &add);
}

static void body(struct tiles *t)
{
	enum sili_bag_op op = (enum sili_bag_op)t->param[P_OP];
	uint32_t size = (uint32_t)t->param[P_SIZE], piece = sili_prog_label(t->p),
		 done = sili_prog_label(t->p);

	tile_step(t, &(struct tile_step){.op = X1_VEC_MASK,
					 .dst = ACC,
					 .s0 = ACC,
					 .imm1 = op == SILI_BAG_MAX ? -INFINITY : 0,
					 .param = sili_imm(INT32_MIN / 2)});
	emit_first(t);
	alui(t, X1_OP_ADD, R_RUN, R_POS, 0);
	alui(t, X1_OP_ADD, R_SUM, tile_at(ACC), 0);
	sili_prog_loop(t->p, tile_rows());
	if (size) {
		alui(t, X1_OP_ADD, R_END, R_POS, size);
	} else {
		lds(t, R_END, R_OFF, 0);
		alui(t, X1_OP_ADD, R_OFF, R_OFF, 4);
	}
	sili_prog_place(t->p, piece);
	sili_prog_branch(t->p, X1_OP_BGEU, R_POS, R_END, done);
	emit_numbers(t);
	alu(t, X1_OP_MIN, R_N, R_END, R_RUN);
	alu(t, X1_OP_SUB, R_N, R_N, R_POS);
	alui(t, X1_OP_MIN, R_N, R_N, PIECE);
	emit_rows(t);
	emit_piece(t);
	alu(t, X1_OP_ADD, R_POS, R_POS, R_N);
	alui(t, X1_OP_ADD, R_TURN, R_TURN, 1);
	alui(t, X1_OP_AND, R_TURN, R_TURN, STAGES - 1);
	sili_prog_branch(t->p, X1_OP_JMP, 0, 0, piece);
	sili_prog_place(t->p, done);
	alui(t, X1_OP_ADD, R_SUM, R_SUM, (int64_t)t->op[ACC].pitch);
	sili_prog_loop_end(t->p);
	if (op == SILI_BAG_MAX && !size)
		/* Nothing at all is 0. */
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_SELECT, .dst = DST, .s0 = COUNT, .s1 = ACC});
	else if (op == SILI_BAG_MEAN && !size)
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = DST, .s0 = ACC, .s1 = COUNT});
	else if (op == SILI_BAG_MEAN)
		tile_step(t, &(struct tile_step){.op = X1_VEC_MUL,
						 .dst = DST,
						 .s0 = ACC,
						 .imm1 = 1.0f / (float)size});
	else
		tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = DST, .s0 = ACC});
}

static int bag_of(struct sili_device *dev, struct sili_bag b, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_BAG,
			  .dim = {b.cols, b.bags},
			  .prefetch = b.prefetch,
			  .fixed_cols = COLS,
			  .max_rows = BAGS,
			  .tile_bytes = BAGS * COLS * 4,
			  .begin = begin,
			  .body = body,
			  .extra = {b.table, b.index, b.offsets, b.weights},
			  .num_extra = 4};

	if (!b.bags || !b.cols || !b.limit || b.limit > INT32_MAX || !b.index ||
	    (unsigned int)b.op > SILI_BAG_MAX || !b.offsets == !b.bag_size ||
	    (b.weights && b.op != SILI_BAG_SUM) || !tile_format_ok(b.table_fmt, b.cols) ||
	    !tile_format_ok(b.dst_fmt, b.cols) ||
	    !tile_stride_ok(&b.table_stride, b.table_fmt, b.cols) ||
	    !tile_stride_ok(&b.dst_stride, b.dst_fmt, b.cols))
		return -EINVAL;
	t.param[P_OP] = b.op;
	t.param[P_SIZE] = b.bag_size;
	t.param[P_STRIDE] = b.table_stride;
	t.param[P_LIMIT] = b.limit;
	t.op[DST] = tile_matrix(TILE_OUT, b.dst_fmt, b.dst, b.dst_stride);
	t.op[ACC] = tile_temp(X1_FMT_FP32);
	t.op[STAGE] = tile_temp(b.table_fmt);
	t.op[STAGE].rows = STAGES * PIECE;
	t.op[NUMBERS] = tile_temp(X1_FMT_INT32);
	t.op[NUMBERS].cols = RUN;
	t.op[NUMBERS].rows = 1;
	t.op[ZERO] = (struct tile_operand){
		.use = TILE_TEMP, .fmt = X1_FMT_INT32, .stride = {1}, .cols = 1};
	if (b.offsets) {
		t.op[OFFSETS] = tile_temp(X1_FMT_INT32);
		t.op[OFFSETS].cols = BAGS + 1;
		t.op[OFFSETS].rows = 1;
		if (b.op != SILI_BAG_SUM) {
			t.op[COUNT] = tile_column();
			if (b.op == SILI_BAG_MAX)
				t.op[COUNT].fmt = X1_FMT_INT32;
		}
	}
	if (b.weights) {
		t.op[WEIGHTS] = tile_temp(X1_FMT_FP32);
		t.op[WEIGHTS].cols = STAGES * PIECE;
		t.op[WEIGHTS].rows = 1;
	}
	if (b.weights || b.op == SILI_BAG_MAX) {
		t.op[X] = tile_temp(X1_FMT_FP32);
		t.op[X].rows = PIECE;
	}
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_bag(struct sili_device *dev, const struct sili_bag *op, union x1_cmd *cmds,
			 uint32_t max)
{
	return op->size == sizeof(*op) ? bag_of(dev, *op, cmds, max) : -EINVAL;
}
