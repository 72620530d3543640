// SPDX-License-Identifier: MIT
/*
 * Reductions of rows and of columns. Both go in groups that the shape alone
 * decides (16,384 columns of a row, 64 rows of a column), so that the order of
 * additions does not depend on the machine; what groups give is reduced again.
 */
#include "sili_kernels.h"
#include "tiles.h"

#define GROUP_ROWS 64u

enum {
	SRC = 1,
	DST,
	X,
};

enum {
	P_OP,
	P_FACTOR,
};

static enum x1_vec_op row_op(enum sili_reduce_op op)
{
	switch (op) {
	case SILI_REDUCE_MAX:
		return X1_VEC_RMAX;
	case SILI_REDUCE_MIN:
		return X1_VEC_RMIN;
	case SILI_REDUCE_AMAX:
		return X1_VEC_RAMAX;
	case SILI_REDUCE_SUMSQ:
		return X1_VEC_RSUMSQ;
	default:
		return X1_VEC_RSUM;
	}
}

/* What brings the results of groups together. */
static enum sili_reduce_op again(enum sili_reduce_op op)
{
	switch (op) {
	case SILI_REDUCE_SUMSQ:
		return SILI_REDUCE_SUM;
	case SILI_REDUCE_AMAX:
		return SILI_REDUCE_MAX;
	default:
		return op;
	}
}

/* ---- rows ---- */

static void row_body(struct tiles *t)
{
	enum x1_vec_op op = row_op((enum sili_reduce_op)t->param[P_OP]);
	float factor = tile_float(t->param[P_FACTOR]);

	if (factor == 1) {
		tile_step(t, &(struct tile_step){.op = op, .dst = DST, .s0 = SRC});
		return;
	}
	tile_step(t, &(struct tile_step){.op = op, .dst = X, .s0 = SRC});
	tile_step(t, &(struct tile_step){.op = X1_VEC_MUL, .dst = DST, .s0 = X, .imm1 = factor});
}

/* ---- columns ---- */

static void col_body(struct tiles *t)
{
	enum sili_reduce_op op = (enum sili_reduce_op)t->param[P_OP];
	float factor = tile_float(t->param[P_FACTOR]);
	uint8_t square = op == SILI_REDUCE_SUMSQ ? SRC : 0;

	tile_step(t, &(struct tile_step){.op = square                   ? X1_VEC_MUL
					       : op == SILI_REDUCE_AMAX ? X1_VEC_ABS
									: X1_VEC_MOV,
					 .dst = X,
					 .s0 = SRC,
					 .s1 = square});
	op = again(op);
	tile_halves(t,
		    op == SILI_REDUCE_MAX   ? X1_VEC_MAX
		    : op == SILI_REDUCE_MIN ? X1_VEC_MIN
					    : X1_VEC_ADD,
		    X, tile_rows(), GROUP_ROWS);
	if (factor == 1)
		tile_step(t, &(struct tile_step){.op = X1_VEC_MOV, .dst = DST, .s0 = X});
	else
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = DST, .s0 = X, .imm1 = factor});
}

/* ---- interface ---- */

static uint64_t groups(const struct sili_reduce *r)
{
	return r->columns ? sili_div_up(r->rows, GROUP_ROWS) : sili_div_up(r->cols, TILE_ROW);
}

/* Bytes of the results of r's groups, 0 when there is but one. */
static uint64_t part_bytes(const struct sili_reduce *r)
{
	uint64_t n = groups(r);

	return n > 1 ? sili_align(4 * n * (r->columns ? r->cols : r->rows), 64) : 0;
}

/* The reduction that is left when all groups are done; its source is at `parts`. */
static struct sili_reduce rest(const struct sili_reduce *r, uint64_t parts)
{
	struct sili_reduce left = *r;

	left.op = again(r->op);
	left.src_fmt = X1_FMT_FP32;
	left.src = parts;
	left.work = parts + part_bytes(r);
	if (r->columns)
		left.rows = (uint32_t)groups(r);
	else
		left.cols = (uint32_t)groups(r);
	left.src_stride = left.cols * 4ull;
	return left;
}

static bool request_ok(struct sili_reduce *r)
{
	uint32_t out = r->columns ? r->cols : 1;

	return r->rows && r->cols && (unsigned int)r->op <= SILI_REDUCE_SUMSQ &&
	       tile_format_ok(r->src_fmt, r->cols) && tile_format_ok(r->dst_fmt, out) &&
	       tile_stride_ok(&r->src_stride, r->src_fmt, r->cols);
}

static int64_t reduce_work_bytes_of(struct sili_reduce r)
{
	uint64_t sum = 0;

	if (!request_ok(&r))
		return -EINVAL;
	for (; groups(&r) > 1; r = rest(&r, 0))
		sum += part_bytes(&r);
	return (int64_t)sum;
}

SILI_EXPORT int64_t sili_reduce_work_bytes(const struct sili_reduce *op)
{
	return op->size == sizeof(*op) ? reduce_work_bytes_of(*op) : -EINVAL;
}

/* One launch: to parts, or to the end with the factor of the whole. */
static int launch(struct sili_device *dev, const struct sili_reduce *r, float factor,
		  union x1_cmd *cmds, uint32_t max)
{
	bool parts = groups(r) > 1;
	enum x1_format fmt = parts ? X1_FMT_FP32 : r->dst_fmt;
	uint64_t to = parts ? r->work : r->dst;
	struct tiles t = {.family = r->columns ? SILI_KEY_REDUCE_COLS : SILI_KEY_REDUCE_ROWS,
			  .dim = {r->cols, r->rows},
			  .param = {[P_OP] = r->op, [P_FACTOR] = tile_bits(parts ? 1 : factor)},
			  .body = r->columns ? col_body : row_body,
			  .prefetch = r->prefetch};

	t.op[SRC] = tile_matrix(TILE_IN, r->src_fmt, r->src, r->src_stride);
	if (r->columns) {
		t.row_step = t.max_rows = GROUP_ROWS;
		t.op[DST] = tile_matrix(TILE_OUT, fmt, to, sili_fmt_bytes(fmt, r->cols));
		t.op[DST].row_div = GROUP_ROWS;
		t.op[X] = tile_temp(X1_FMT_FP32);
	} else {
		t.fixed_cols = TILE_ROW;
		t.op[DST] = tile_matrix(TILE_OUT, fmt, to, sili_fmt_bytes(fmt, groups(r)));
		t.op[DST].div = TILE_ROW;
		t.op[X] = tile_column();
	}
	return tiles_launch(dev, &t, cmds, max);
}

static int reduce_of(struct sili_device *dev, struct sili_reduce r, union x1_cmd *cmds,
		     uint32_t max)
{
	uint32_t n = 1;
	float factor;

	if (!request_ok(&r) || (groups(&r) > 1 && !r.work))
		return -EINVAL;
	factor = r.op == SILI_REDUCE_MEAN ? 1.0f / (float)(r.columns ? r.rows : r.cols) : 1;
	if (r.op == SILI_REDUCE_MEAN)
		r.op = SILI_REDUCE_SUM;
	for (struct sili_reduce left = r; groups(&left) > 1; left = rest(&left, left.work))
		n++;
	if (n > max)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; i++) {
		int ret = launch(dev, &r, factor, cmds + i, 1);

		if (ret < 0)
			return ret;
		if (i + 1 < n)
			r = rest(&r, r.work);
	}
	return (int)n;
}

SILI_EXPORT int sili_reduce(struct sili_device *dev, const struct sili_reduce *op,
			    union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? reduce_of(dev, *op, cmds, max) : -EINVAL;
}
