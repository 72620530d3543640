// SPDX-License-Identifier: MIT
/* Softmax of rows: a pass for the maximum, one for exponentials and their sum, one to divide. */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	SRC = 1,
	MASK,
	DST,
	X,   /* scale * src + mask, then the exponentials */
	TOP, /* maximum of a row, then 1 / sum */
	SUM,
	PARTS, /* of long rows */
};

/* X = exp(from * scale - TOP), SUM its sums; rows beyond TILE_ROW in parts. */
static void emit_exp(struct tiles *t, uint8_t from, float scale)
{
	const struct tile_operand *a = &t->op[from], *x = &t->op[X], *part = &t->op[PARTS];
	uint32_t cols = (uint32_t)t->dim[0], at = 0;
	uint8_t src = TILE_R_BODY, dst = TILE_R_BODY + 1, sum = TILE_R_BODY + 2;

	if (cols <= TILE_ROW) {
		tile_step(t, &(struct tile_step){.op = X1_VEC_EXPSUM,
						 .dst = X,
						 .s0 = from,
						 .s1 = TOP,
						 .s2 = SUM,
						 .imm2 = scale});
		return;
	}
	for (uint32_t c = 0; c < cols; c += TILE_ROW, at++) {
		struct sili_vec v = {
			.op = X1_VEC_EXPSUM,
			.rows = sili_reg(tile_rows()),
			.cols = sili_imm((int64_t)sili_min64(TILE_ROW, cols - c)),
			.dst_fmt = X1_FMT_FP32,
			.s0_fmt = a->fmt,
			.s1_fmt = X1_FMT_FP32,
			.bcast1 = X1_VEC_BCAST_COL,
			.dst_stride = sili_imm((int64_t)x->pitch),
			.s0_stride = sili_imm((int64_t)a->pitch),
			.s1_stride = sili_imm(4),
			.s2_stride = sili_imm((int64_t)part->pitch),
			.s2 = sili_reg(sum),
			.scalar2 = scale,
		};

		sili_prog_alui(t->p, X1_OP_ADD, src, tile_at(from),
			       (int64_t)sili_fmt_bytes(a->fmt, c));
		sili_prog_alui(t->p, X1_OP_ADD, dst, tile_at(X), c * 4ll);
		sili_prog_alui(t->p, X1_OP_ADD, sum, tile_at(PARTS), at * 4);
		tile_vec(t, dst, src, tile_at(TOP), &v);
	}
	tile_step(t, &(struct tile_step){.op = X1_VEC_RSUM, .dst = SUM, .s0 = PARTS});
}

static void body(struct tiles *t)
{
	float scale = tile_float(t->param[0]);
	uint8_t from = SRC;

	if (t->op[MASK].use) {
		tile_step(
			t,
			&(struct tile_step){
				.op = X1_VEC_FMA, .dst = X, .s0 = SRC, .s2 = MASK, .imm1 = scale});
		from = X;
	} else if (scale < 0) {
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = X, .s0 = SRC, .imm1 = scale});
		from = X;
	}
	tile_reduce(t, X1_VEC_RMAX, TOP, from, 0, PARTS);
	if (from == X)
		scale = 1;
	else if (scale != 1)
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = TOP, .s0 = TOP, .imm1 = scale});
	emit_exp(t, from, scale);
	tile_step(t, &(struct tile_step){.op = X1_VEC_RECIP, .dst = TOP, .s0 = SUM});
	tile_step(t, &(struct tile_step){.op = X1_VEC_MUL, .dst = DST, .s0 = X, .s1 = TOP});
}

static int softmax_of(struct sili_device *dev, struct sili_softmax s, union x1_cmd *cmds,
		      uint32_t max)
{
	uint32_t repeat = s.mask_rows ? s.mask_rows : s.rows;
	struct tiles t = {.family = SILI_KEY_SOFTMAX,
			  .whole_rows = true,
			  .prefetch = s.prefetch,
			  .body = body};

	if (!s.rows || !s.cols || s.rows % repeat || !tile_format_ok(s.src_fmt, s.cols) ||
	    !tile_format_ok(s.dst_fmt, s.cols) ||
	    !tile_stride_ok(&s.src_stride, s.src_fmt, s.cols) ||
	    !tile_stride_ok(&s.dst_stride, s.dst_fmt, s.cols) || s.scale != s.scale)
		return -EINVAL;
	if (s.mask && (!tile_format_ok(s.mask_fmt, s.cols) ||
		       !tile_stride_ok(&s.mask_stride, s.mask_fmt, s.cols)))
		return -EINVAL;
	if (!s.scale)
		s.scale = 1;
	t.param[0] = tile_bits(s.scale);
	t.dim[0] = s.cols;
	t.dim[1] = s.mask ? repeat : s.rows;
	t.dim[2] = s.rows / t.dim[1];
	t.op[SRC] = tile_matrix(TILE_IN, s.src_fmt, s.src, s.src_stride);
	t.op[DST] = tile_matrix(TILE_OUT, s.dst_fmt, s.dst, s.dst_stride);
	t.op[SRC].stride[2] = (int64_t)(s.src_stride * t.dim[1]);
	t.op[DST].stride[2] = (int64_t)(s.dst_stride * t.dim[1]);
	if (s.mask) {
		t.op[MASK] = tile_matrix(TILE_IN, s.mask_fmt, s.mask, s.mask_stride);
		if (repeat == 1) {
			/* One row for all: rows are rows again. */
			t.op[MASK].stride[1] = 0;
			t.dim[1] = s.rows;
			t.dim[2] = 1;
		}
	}
	t.op[X] = tile_temp(X1_FMT_FP32);
	t.op[TOP] = t.op[SUM] = tile_column();
	t.op[PARTS] = tile_parts(s.cols);
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_softmax(struct sili_device *dev, const struct sili_softmax *op,
			     union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? softmax_of(dev, *op, cmds, max) : -EINVAL;
}
