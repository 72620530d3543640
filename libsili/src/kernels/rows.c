// SPDX-License-Identifier: MIT
/* Rows by number: gather (embedding lookup), scatter, scatter-add. */
#include "sili_kernels.h"
#include "tiles.h"

static bool request_ok(struct sili_rows *r)
{
	return r->rows && r->cols && r->limit && r->limit <= INT32_MAX && r->index &&
	       tile_format_ok(r->src_fmt, r->cols) && tile_format_ok(r->dst_fmt, r->cols) &&
	       tile_stride_ok(&r->src_stride, r->src_fmt, r->cols) &&
	       tile_stride_ok(&r->dst_stride, r->dst_fmt, r->cols);
}

enum {
	SRC = 1,
	INDEX,
	DST,
};

static struct tile_operand numbers(enum tile_use use, uint64_t dva)
{
	return (struct tile_operand){.use = use, .fmt = X1_FMT_INT32, .dva = dva, .stride = {0, 4}};
}

static int gather_of(struct sili_device *dev, struct sili_rows r, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_ROWS,
			  .dim = {r.cols, r.rows},
			  .prefetch = r.prefetch,
			  .param = {0, r.limit}};

	if (!request_ok(&r))
		return -EINVAL;
	t.op[SRC] = tile_matrix(TILE_IN, r.src_fmt, r.src, r.src_stride);
	t.op[SRC].index = INDEX;
	t.op[SRC].bound[1] = r.limit;
	t.op[INDEX] = numbers(TILE_INDEX, r.index);
	t.op[DST] = tile_matrix(TILE_OUT, r.dst_fmt, r.dst, r.dst_stride);
	t.op[DST].from = SRC;
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_gather(struct sili_device *dev, const struct sili_rows *op, union x1_cmd *cmds,
			    uint32_t max)
{
	return op->size == sizeof(*op) ? gather_of(dev, *op, cmds, max) : -EINVAL;
}

static int scatter_of(struct sili_device *dev, struct sili_rows r, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_ROWS,
			  .dim = {r.cols, r.rows},
			  .prefetch = r.prefetch,
			  .param = {1, r.limit}};

	if (!request_ok(&r))
		return -EINVAL;
	t.op[SRC] = tile_matrix(TILE_IN, r.src_fmt, r.src, r.src_stride);
	t.op[INDEX] = numbers(TILE_IN, r.index);
	t.op[DST] = tile_matrix(TILE_OUT, r.dst_fmt, r.dst, r.dst_stride);
	t.op[DST].from = SRC;
	t.op[DST].index = INDEX;
	t.op[DST].bound[1] = r.limit;
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_scatter(struct sili_device *dev, const struct sili_rows *op,
			     union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? scatter_of(dev, *op, cmds, max) : -EINVAL;
}

/* ---- scatter-add ---- */

/*
 * A tile is a block of the destination. It stays in the scratchpad while all
 * of the source's rows pass by; each block takes those that name its rows.
 */
#define ADD_COLS  64u
#define ADD_ROWS  512u /* of a block */
#define PASS_ROWS 128u /* of the source at a time */
#define PASSES    4u   /* of them under way */

enum {
	ADD_DST = 1, /* as it was */
	ADD_OUT,
	ADD_ACC,
	ADD_STAGE, /* PASSES stages of source rows, then as many of their numbers */
};

enum {
	SEM_STAGE_FREE = TILE_SEM_BODY,
	SEM_STAGE_FULL,
	SEM_INDEX,
};

enum {
	A_SRC,
	A_INDEX,
};

enum {
	P_KIND,
	P_LIMIT,
	P_ROWS,
	P_FMT,
	P_STRIDE,
};

static void alui(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(t->p, op, rd, ra, imm);
}

static void alu(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb)
{
	sili_prog_alu(t->p, op, rd, ra, rb);
}

/* bytes bytes in a register from `from` on. */
static void load_run(struct tiles *t, uint8_t to, uint8_t from, uint8_t bytes)
{
	sili_emit_load(t->p, to, from,
		       &(struct sili_block){.bytes = sili_reg(bytes),
					    .rows = sili_imm(1),
					    .mem_stride = sili_imm(0),
					    .local_stride = sili_imm(0)});
}

static void add_begin(struct tiles *t)
{
	sili_emit_tokens(t->p, SEM_STAGE_FREE, PASSES);
}

static void add_body(struct tiles *t)
{
	enum x1_format fmt = (enum x1_format)t->param[P_FMT];
	int64_t pitch = (int64_t)sili_fmt_bytes(fmt, ADD_COLS), stage = PASS_ROWS * pitch;
	int64_t table = PASSES * stage, rows = (int64_t)t->param[P_ROWS];
	int64_t stride = (int64_t)t->param[P_STRIDE];
	uint8_t row = TILE_R_BODY, n = row + 1, turn = row + 2, mem = row + 3, to = row + 4,
		idx = row + 5, tmp = row + 6, first = row + 7;
	struct sili_val cols = tile_cols(t);
	struct sili_vec shift = {.op = X1_VEC_SUB,
				 .rows = sili_imm(1),
				 .cols = sili_reg(n),
				 .dst_fmt = X1_FMT_INT32,
				 .s0_fmt = X1_FMT_INT32,
				 .s1_fmt = X1_FMT_INT32,
				 .bcast1 = X1_VEC_BCAST_SCALAR,
				 .scalar1_reg = first};
	struct sili_vec add = {.op = X1_VEC_SCATTER_ADD,
			       .rows = sili_reg(n),
			       .cols = cols,
			       .dst_fmt = X1_FMT_FP32,
			       .s0_fmt = fmt,
			       .s1_fmt = X1_FMT_INT32,
			       .bcast1 = X1_VEC_BCAST_COL,
			       .dst_stride = sili_imm((int64_t)t->op[ADD_ACC].pitch),
			       .s0_stride = sili_imm(pitch),
			       .s1_stride = sili_imm(4),
			       .param = sili_reg(tile_rows())};

	tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = ADD_ACC, .s0 = ADD_DST});
	alui(t, X1_OP_ADD, first, tile_row(), 0);
	sili_prog_li(t->p, row, 0);
	sili_prog_li(t->p, turn, 0);
	sili_prog_li(t->p, tmp, (int64_t)sili_div_up((uint64_t)rows, PASS_ROWS));
	sili_prog_loop(t->p, tmp);
	sili_prog_li(t->p, n, rows);
	alu(t, X1_OP_SUB, n, n, row);
	alui(t, X1_OP_MIN, n, n, PASS_ROWS);
	/* Numbers. */
	alui(t, X1_OP_MUL, idx, turn, PASS_ROWS * 4);
	alui(t, X1_OP_ADD, idx, idx, table);
	alu(t, X1_OP_ADD, idx, idx, tile_at(ADD_STAGE));
	alui(t, X1_OP_SHL, mem, row, 2);
	alu(t, X1_OP_ADD, mem, mem, tile_extra(A_INDEX));
	alui(t, X1_OP_SHL, to, n, 2);
	sili_prog_sems(t->p, X1_SEM(SEM_STAGE_FREE), 0, 0, 0);
	load_run(t, idx, mem, to);
	/* Rows. */
	alui(t, X1_OP_MUL, mem, row, stride);
	alu(t, X1_OP_ADD, mem, mem, tile_extra(A_SRC));
	alui(t, X1_OP_MUL, to, tile_col(), x1_format_bits(fmt));
	alui(t, X1_OP_SHR, to, to, 3);
	alu(t, X1_OP_ADD, mem, mem, to);
	alui(t, X1_OP_MUL, to, turn, stage);
	alu(t, X1_OP_ADD, to, to, tile_at(ADD_STAGE));
	if (cols.is_reg) {
		alui(t, X1_OP_MUL, TILE_R_HALVES, (uint8_t)cols.v, x1_format_bits(fmt));
		alui(t, X1_OP_SHR, TILE_R_HALVES, TILE_R_HALVES, 3);
	} else {
		sili_prog_li(t->p, TILE_R_HALVES, (int64_t)sili_fmt_bytes(fmt, (uint64_t)cols.v));
	}
	sili_prog_sems(t->p, 0, 0, X1_SEM(SEM_STAGE_FULL), 0);
	sili_emit_load(t->p, to, mem,
		       &(struct sili_block){.bytes = sili_reg(TILE_R_HALVES),
					    .rows = sili_reg(n),
					    .mem_stride = sili_imm(stride),
					    .local_stride = sili_imm(pitch)});
	/* Rows of this block count from its first one; others are out of range. */
	t->wait = X1_SEM(SEM_STAGE_FULL);
	tile_vec(t, idx, idx, 0, &shift);
	t->sig = X1_SEM(SEM_STAGE_FREE);
	tile_vec(t, tile_at(ADD_ACC), to, idx, &add);
	alui(t, X1_OP_ADD, row, row, PASS_ROWS);
	alui(t, X1_OP_ADD, turn, turn, 1);
	alui(t, X1_OP_REMU, turn, turn, PASSES);
	sili_prog_loop_end(t->p);
	tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = ADD_OUT, .s0 = ADD_ACC});
}

/*
 * Rows of a block. Every block reads the whole source: as many as L2 can feed
 * at the speed of LOAD's port, each with a work-group of its own.
 */
static uint32_t block_rows(const struct sili_info *info, const struct sili_rows *r)
{
	uint64_t groups = sili_min64(info->mcus_healthy, info->l2_bw / X1_LOAD_PORT + 1);
	uint64_t high = groups / sili_div_up(r->cols, ADD_COLS);

	return (uint32_t)sili_min64(sili_div_up(r->limit, high ? high : 1), ADD_ROWS);
}

static int scatter_add_of(struct sili_device *dev, struct sili_rows r, union x1_cmd *cmds,
			  uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_SCATTER_ADD,
			  .dim = {r.cols, r.limit},
			  .prefetch = r.prefetch,
			  .fixed_cols = ADD_COLS,
			  .tile_bytes = ADD_ROWS * ADD_COLS * 4,
			  .begin = add_begin,
			  .body = add_body,
			  .extra = {[A_SRC] = r.src, [A_INDEX] = r.index},
			  .num_extra = 2};

	if (!request_ok(&r))
		return -EINVAL;
	t.row_step = t.max_rows = block_rows(&dev->info, &r);
	t.param[P_ROWS] = r.rows;
	t.param[P_FMT] = r.src_fmt;
	t.param[P_STRIDE] = r.src_stride;
	t.op[ADD_DST] = tile_matrix(TILE_IN, r.dst_fmt, r.dst, r.dst_stride);
	t.op[ADD_OUT] = tile_matrix(TILE_OUT, r.dst_fmt, r.dst, r.dst_stride);
	t.op[ADD_ACC] = tile_temp(X1_FMT_FP32);
	t.op[ADD_STAGE] = (struct tile_operand){
		.use = TILE_TEMP,
		.fmt = X1_FMT_INT8,
		.stride = {1},
		.cols = PASSES * PASS_ROWS * ((uint32_t)sili_fmt_bytes(r.src_fmt, ADD_COLS) + 4)};
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_scatter_add(struct sili_device *dev, const struct sili_rows *op,
				 union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? scatter_add_of(dev, *op, cmds, max) : -EINVAL;
}
