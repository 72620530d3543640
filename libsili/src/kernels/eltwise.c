// SPDX-License-Identifier: MIT
/*
 * Element-wise operations and row reductions: one work-group per block of
 * rows and columns, LOAD, VECTOR, STORE in turn.
 */
#include "emit.h"

#define BLOCK_ELEMS   16384u
#define MAX_REDUCTION 16384u /* columns: a reduced row is held as a whole */

enum {
	R_X = 2,
	R_Y = 3,
	R_DST = X1_REG_ARG0,
	R_SRC_A,
	R_SRC_B,
	R_ROW,
	R_COL,
	R_ROWS,
	R_COLS,
	R_TMP,
	R_SPAD_A,
	R_SPAD_B,
	R_SPAD_D,
};

enum {
	SEM_A = 0,
	SEM_B = 1,
	SEM_DONE = 2,
};

struct shape {
	struct sili_eltwise op;
	bool binary, reduce;
	uint32_t block_rows, block_cols;
};

static bool is_reduction(enum x1_vec_op op)
{
	return op >= X1_VEC_RSUM && op <= X1_VEC_RAMAX;
}

static bool is_binary(enum x1_vec_op op)
{
	return op >= X1_VEC_ADD && op <= X1_VEC_CMPEQ;
}

static bool whole_bytes(enum x1_format fmt, uint32_t cols)
{
	return (unsigned int)fmt < X1_FMT_COUNT && fmt != X1_FMT_E8M0 &&
	       (uint64_t)cols * x1_format_bits(fmt) % 8 == 0;
}

static int normalise(const struct sili_eltwise *in, struct shape *s)
{
	if (in->size != sizeof(*in) || !in->rows || !in->cols)
		return -EINVAL;
	s->op = *in;
	s->reduce = is_reduction(in->op);
	s->binary = is_binary(in->op);
	if ((!s->reduce && !s->binary && in->op > X1_VEC_COS) || (in->b_row && !s->binary))
		return -EINVAL;
	if (!whole_bytes(in->a_fmt, in->cols) || (s->binary && !whole_bytes(in->b_fmt, in->cols)) ||
	    !whole_bytes(in->dst_fmt, s->reduce ? 1 : in->cols))
		return -EINVAL;
	if (s->reduce && in->cols > MAX_REDUCTION)
		return -E2BIG;
	/* Blocks of columns start at whole bytes in every format. */
	s->block_cols = in->cols < BLOCK_ELEMS ? in->cols : BLOCK_ELEMS;
	s->block_rows = BLOCK_ELEMS / s->block_cols;
	return 0;
}

/* rd = ra elements in bytes; whole bytes are promised. */
static void emit_bytes(struct sili_prog *p, enum x1_format fmt, uint8_t rd, uint8_t ra)
{
	sili_prog_alui(p, X1_OP_MUL, rd, ra, x1_format_bits(fmt));
	sili_prog_alui(p, X1_OP_SHR, rd, rd, 3);
}

/* Advance base to the block's first element. */
static void emit_base(struct sili_prog *p, enum x1_format fmt, uint8_t base, uint32_t cols,
		      bool rows)
{
	if (rows) {
		sili_prog_alui(p, X1_OP_MUL, R_TMP, R_ROW, (int64_t)sili_fmt_bytes(fmt, cols));
		sili_prog_alu(p, X1_OP_ADD, base, base, R_TMP);
	}
	emit_bytes(p, fmt, R_TMP, R_COL);
	sili_prog_alu(p, X1_OP_ADD, base, base, R_TMP);
}

static void emit_source(struct sili_prog *p, const struct shape *s, enum x1_format fmt,
			uint8_t spad, uint8_t base, bool one_row, uint8_t sem)
{
	struct sili_block b = {
		.bytes = sili_reg(R_TMP),
		.rows = one_row ? sili_imm(1) : sili_reg(R_ROWS),
		.mem_stride = sili_imm((int64_t)sili_fmt_bytes(fmt, s->op.cols)),
		.local_stride = sili_imm((int64_t)sili_fmt_bytes(fmt, s->block_cols)),
	};

	emit_base(p, fmt, base, s->op.cols, !one_row);
	emit_bytes(p, fmt, R_TMP, R_COLS);
	sili_prog_sems(p, 0, 0, X1_SEM(sem), 0);
	sili_emit_load(p, spad, base, &b);
}

static void emit_left(struct sili_prog *p, uint8_t rd, int64_t limit, uint8_t ra, int64_t most)
{
	sili_prog_li(p, rd, limit);
	sili_prog_alu(p, X1_OP_SUB, rd, rd, ra);
	sili_prog_alui(p, X1_OP_MIN, rd, rd, most);
}

static struct sili_prog *generate(const struct shape *s)
{
	const struct sili_eltwise *op = &s->op;
	uint32_t out_cols = s->reduce ? 1 : s->block_cols;
	uint64_t room = BLOCK_ELEMS * 4ull;
	struct sili_prog *p = sili_prog_new();
	struct sili_vec v = {
		.op = op->op,
		.rows = sili_reg(R_ROWS),
		.cols = sili_reg(R_COLS),
		.dst_fmt = op->dst_fmt,
		.s0_fmt = op->a_fmt,
		.s1_fmt = s->binary ? op->b_fmt : 0,
		.bcast1 = op->b_row ? X1_VEC_BCAST_ROW : X1_VEC_BCAST_NONE,
		.dst_stride = sili_imm((int64_t)sili_fmt_bytes(op->dst_fmt, out_cols)),
		.s0_stride = sili_imm((int64_t)sili_fmt_bytes(op->a_fmt, s->block_cols)),
	};
	struct sili_out out = {
		.elems = s->reduce ? sili_imm(1) : sili_reg(R_COLS),
		.rows = sili_reg(R_ROWS),
		.mem_stride =
			sili_imm((int64_t)sili_fmt_bytes(op->dst_fmt, s->reduce ? 1 : op->cols)),
		.local_stride = v.dst_stride,
		.lfmt = op->dst_fmt,
		.mfmt = op->dst_fmt,
	};

	if (!p)
		return NULL;
	if (s->binary)
		v.s1_stride = sili_imm((int64_t)sili_fmt_bytes(op->b_fmt, s->block_cols));
	sili_prog_alui(p, X1_OP_MUL, R_ROW, R_Y, s->block_rows);
	sili_prog_alui(p, X1_OP_MUL, R_COL, R_X, s->block_cols);
	emit_left(p, R_ROWS, op->rows, R_ROW, s->block_rows);
	emit_left(p, R_COLS, op->cols, R_COL, s->block_cols);
	sili_prog_li(p, R_SPAD_A, 0);
	sili_prog_li(p, R_SPAD_B, (int64_t)room);
	sili_prog_li(p, R_SPAD_D, (int64_t)(2 * room));
	emit_source(p, s, op->a_fmt, R_SPAD_A, R_SRC_A, false, SEM_A);
	if (s->binary)
		emit_source(p, s, op->b_fmt, R_SPAD_B, R_SRC_B, op->b_row, SEM_B);
	sili_prog_sems(p, X1_SEM(SEM_A), s->binary ? X1_SEM(SEM_B) : 0, X1_SEM(SEM_DONE), 0);
	sili_emit_vec(p, R_SPAD_D, R_SPAD_A, R_SPAD_B, &v);
	emit_base(p, op->dst_fmt, R_DST, s->reduce ? 1 : op->cols, true);
	sili_prog_sems(p, X1_SEM(SEM_DONE), 0, 0, 0);
	sili_emit_store(p, R_SPAD_D, R_DST, &out);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}

SILI_EXPORT int sili_eltwise(struct sili_device *dev, const struct sili_eltwise *op,
			     union x1_cmd *cmds, uint32_t max)
{
	const struct sili_kernel *k;
	struct shape s = {0};
	struct sili_key key;
	uint64_t args;
	int ret = normalise(op, &s);

	if (ret)
		return ret;
	if (!max)
		return -ENOSPC;
	key = (struct sili_key){.word = {SILI_KEY_ELTWISE, (uint64_t)op->rows << 32 | op->cols,
					 op->op,
					 (uint64_t)op->dst_fmt << 16 | (uint64_t)op->a_fmt << 8 |
						 (s.binary ? op->b_fmt : 0),
					 op->b_row}};
	k = sili_cache_find(dev, &key);
	if (!k) {
		struct sili_prog *p = generate(&s);

		ret = p ? sili_keep(dev, &key, p, &k) : -ENOMEM;
		if (ret)
			return ret;
	}
	ret = sili_args(dev, (uint64_t[]){op->dst, op->a, s.binary ? op->b : 0}, 3, &args);
	if (ret)
		return ret;
	sili_cmd_launch(cmds, k, (uint32_t)sili_div_up(op->cols, s.block_cols),
			(uint32_t)sili_div_up(op->rows, s.block_rows), 1, args, 3);
	return 1;
}
