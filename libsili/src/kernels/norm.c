// SPDX-License-Identifier: MIT
/*
 * Layer, RMS and batch normalisation with what surrounds them in a network:
 * the residual sum before, and conversion or block quantisation after.
 */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	SRC = 1,
	RESIDUAL,
	GAMMA,
	BETA,
	SUM, /* of source and residual, stored */
	DST,
	SCALES,
	COPY, /* of the result in another format */
	X,    /* FP32 values under way */
	MEAN,
	RSTD,
	PARTS,
};

enum {
	P_KIND,
	P_EPS,
	P_MODE,
	P_TENSOR,
};

static void unary(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0});
}

static void binary(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, uint8_t s1)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0, .s1 = s1});
}

static void scalar(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, float imm)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0, .imm1 = imm});
}

/* X * GAMMA + BETA, as far as they are there, to `to`. */
static void affine(struct tiles *t, uint8_t to)
{
	if (t->op[GAMMA].use && t->op[BETA].use)
		tile_step(t,
			  &(struct tile_step){
				  .op = X1_VEC_FMA, .dst = to, .s0 = X, .s1 = GAMMA, .s2 = BETA});
	else if (t->op[GAMMA].use)
		binary(t, X1_VEC_MUL, to, X, GAMMA);
	else
		binary(t, X1_VEC_ADD, to, X, BETA);
}

static void norm_body(struct tiles *t)
{
	float n = 1.0f / (float)t->dim[0], eps = tile_float(t->param[P_EPS]);
	bool layer = t->param[P_KIND] == SILI_NORM_LAYER, quant = t->param[P_MODE];
	bool params = t->op[GAMMA].use || t->op[BETA].use;
	bool copy = t->op[COPY].use;
	uint8_t from = SRC, to = quant || copy ? X : DST;

	if (t->op[RESIDUAL].use) {
		binary(t, X1_VEC_ADD, X, SRC, RESIDUAL);
		from = X;
		if (t->op[SUM].use)
			unary(t, X1_VEC_MOV, SUM, X);
	}
	if (layer) {
		tile_reduce(t, X1_VEC_RSUM, MEAN, from, 0, PARTS);
		scalar(t, X1_VEC_MUL, MEAN, MEAN, n);
		tile_reduce(t, X1_VEC_RSUMSQD, RSTD, from, MEAN, PARTS);
	} else {
		tile_reduce(t, X1_VEC_RSUMSQ, RSTD, from, 0, PARTS);
	}
	scalar(t, X1_VEC_MUL, RSTD, RSTD, n);
	scalar(t, X1_VEC_ADD, RSTD, RSTD, eps);
	unary(t, X1_VEC_RSQRT, RSTD, RSTD);
	if (layer) {
		binary(t, X1_VEC_SUB, X, from, MEAN);
		from = X;
	}
	binary(t, X1_VEC_MUL, params ? X : to, from, RSTD);
	if (params)
		affine(t, to);
	if (copy)
		unary(t, X1_VEC_MOV, COPY, X);
	if (copy && !quant)
		unary(t, X1_VEC_MOV, DST, X);
	if (quant)
		tile_step(t, &(struct tile_step){.op = X1_VEC_QUANT,
						 .dst = DST,
						 .s0 = X,
						 .s2 = SCALES,
						 .imm1 = tile_float(t->param[P_TENSOR]),
						 .param = sili_imm((int64_t)t->param[P_MODE])});
}

/* Elements under one scale of the modes that go row by row; 0 = not one of them. */
static uint32_t scale_block(enum x1_scale_mode mode)
{
	switch (mode) {
	case X1_SCALE_F32_1X128:
		return 128;
	case X1_SCALE_MX32:
		return 32;
	case X1_SCALE_NV16:
		return 16;
	default:
		return 0;
	}
}

static int norm_scales(struct tiles *t, struct sili_norm *n)
{
	enum x1_scale_mode mode = n->dst_scale_mode;
	enum x1_format fmt = mode <= X1_SCALE_F32_128X128 ? X1_FMT_FP32
			     : mode == X1_SCALE_MX32      ? X1_FMT_E8M0
							  : X1_FMT_E4M3;
	uint64_t row = sili_scale_row_bytes(mode, n->cols);

	if (!mode)
		return 0;
	if (!scale_block(mode) || !sili_scale_takes(mode, n->dst_fmt) || !n->dst_scales)
		return -EINVAL;
	if (!n->dst_scale_stride)
		n->dst_scale_stride = row;
	if (n->dst_scale_stride < row || n->dst_scale_stride > INT32_MAX)
		return -EINVAL;
	if (!n->dst_tensor)
		n->dst_tensor = 1;
	t->op[SCALES] = tile_matrix(TILE_OUT, fmt, n->dst_scales, n->dst_scale_stride);
	t->op[SCALES].div = scale_block(mode);
	t->param[P_MODE] = mode;
	t->param[P_TENSOR] = tile_bits(mode == X1_SCALE_NV16 ? n->dst_tensor : 0);
	return 0;
}

static int norm_of(struct sili_device *dev, struct sili_norm n, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_NORM,
			  .whole_rows = true,
			  .dim = {n.cols, n.rows},
			  .prefetch = n.prefetch,
			  .body = norm_body};
	int ret;

	if (!n.rows || !n.cols || (unsigned int)n.kind > SILI_NORM_RMS ||
	    !tile_format_ok(n.src_fmt, n.cols) || !tile_format_ok(n.dst_fmt, n.cols) ||
	    !tile_stride_ok(&n.src_stride, n.src_fmt, n.cols) ||
	    !tile_stride_ok(&n.dst_stride, n.dst_fmt, n.cols) || !(n.eps >= 0) ||
	    (n.sum && !n.residual))
		return -EINVAL;
	if (n.residual && (!tile_format_ok(n.residual_fmt, n.cols) ||
			   !tile_stride_ok(&n.residual_stride, n.residual_fmt, n.cols)))
		return -EINVAL;
	if (n.sum && (!tile_format_ok(n.sum_fmt, n.cols) ||
		      !tile_stride_ok(&n.sum_stride, n.sum_fmt, n.cols)))
		return -EINVAL;
	if (n.copy && (!tile_format_ok(n.copy_fmt, n.cols) ||
		       !tile_stride_ok(&n.copy_stride, n.copy_fmt, n.cols)))
		return -EINVAL;
	if ((n.gamma || n.beta) && !tile_format_ok(n.param_fmt, n.cols))
		return -EINVAL;
	t.param[P_KIND] = n.kind;
	t.param[P_EPS] = tile_bits(n.eps);
	ret = norm_scales(&t, &n);
	if (ret)
		return ret;
	t.op[SRC] = tile_matrix(TILE_IN, n.src_fmt, n.src, n.src_stride);
	t.op[DST] = tile_matrix(TILE_OUT, n.dst_fmt, n.dst, n.dst_stride);
	if (n.residual)
		t.op[RESIDUAL] = tile_matrix(TILE_IN, n.residual_fmt, n.residual,
					     n.residual_stride);
	if (n.sum)
		t.op[SUM] = tile_matrix(TILE_OUT, n.sum_fmt, n.sum, n.sum_stride);
	if (n.copy)
		t.op[COPY] = tile_matrix(TILE_OUT, n.copy_fmt, n.copy, n.copy_stride);
	if (n.gamma)
		t.op[GAMMA] = tile_vector(n.param_fmt, n.gamma);
	if (n.beta)
		t.op[BETA] = tile_vector(n.param_fmt, n.beta);
	t.op[X] = tile_temp(X1_FMT_FP32);
	t.op[MEAN] = t.op[RSTD] = tile_column();
	t.op[PARTS] = tile_parts(n.cols);
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_norm(struct sili_device *dev, const struct sili_norm *op, union x1_cmd *cmds,
			  uint32_t max)
{
	return op->size == sizeof(*op) ? norm_of(dev, *op, cmds, max) : -EINVAL;
}

/* ---- batch ---- */

enum {
	B_SRC = 1,
	B_RESIDUAL,
	B_MEAN,
	B_VAR,
	B_GAMMA,
	B_BETA,
	B_DST,
	B_X,
	B_FACTOR,
	B_SHIFT,
};

/* FACTOR = gamma / sqrt(var + eps), SHIFT = beta - mean * FACTOR. */
static void batch_params(struct tiles *t)
{
	scalar(t, X1_VEC_ADD, B_FACTOR, B_VAR, tile_float(t->param[P_EPS]));
	unary(t, X1_VEC_RSQRT, B_FACTOR, B_FACTOR);
	if (t->op[B_GAMMA].use)
		binary(t, X1_VEC_MUL, B_FACTOR, B_FACTOR, B_GAMMA);
	binary(t, X1_VEC_MUL, B_SHIFT, B_MEAN, B_FACTOR);
	if (t->op[B_BETA].use)
		binary(t, X1_VEC_SUB, B_SHIFT, B_BETA, B_SHIFT);
	else
		unary(t, X1_VEC_NEG, B_SHIFT, B_SHIFT);
}

static void batch_body(struct tiles *t)
{
	enum x1_vec_op act = (enum x1_vec_op)t->param[P_KIND];
	bool residual = t->op[B_RESIDUAL].use;

	/* Parameters that go with rows are a tile's own. */
	if (!t->begin)
		batch_params(t);
	tile_step(t, &(struct tile_step){.op = X1_VEC_FMA,
					 .dst = residual || act ? B_X : B_DST,
					 .s0 = B_SRC,
					 .s1 = B_FACTOR,
					 .s2 = B_SHIFT});
	if (residual)
		binary(t, X1_VEC_ADD, act ? B_X : B_DST, B_X, B_RESIDUAL);
	if (act)
		unary(t, act, B_DST, B_X);
}

/* One FP32 per channel: along the columns, or one per row. */
static struct tile_operand channel(enum tile_use use, uint64_t dva, bool last)
{
	return (struct tile_operand){
		.use = use, .fmt = X1_FMT_FP32, .dva = dva, .stride = {last ? 1 : 0, last ? 0 : 4}};
}

SILI_EXPORT int sili_batch_norm(struct sili_device *dev, const struct sili_batch_norm *op,
				union x1_cmd *cmds, uint32_t max)
{
	const struct sili_batch_norm *n = op;
	bool last = n->channels_last;
	uint64_t cols = last ? n->channels : n->pixels;
	struct tiles t = {
		.family = SILI_KEY_BATCH_NORM, .prefetch = n->prefetch, .body = batch_body};
	int act = sili_act_op(n->act);

	if (n->size != sizeof(*n) || !n->batch || !n->channels || !n->pixels || act < 0 ||
	    !n->mean || !n->var || !(n->eps >= 0) || !tile_format_ok(n->src_fmt, cols) ||
	    !tile_format_ok(n->dst_fmt, cols) ||
	    (n->residual && !tile_format_ok(n->residual_fmt, cols)))
		return -EINVAL;
	t.dim[0] = cols;
	t.dim[1] = last ? (uint64_t)n->batch * n->pixels : n->channels;
	t.dim[2] = last ? 1 : n->batch;
	/* Work on parameters is shared by all tiles where they have the same channels. */
	t.whole_rows = last;
	t.begin = last ? batch_params : NULL;
	t.param[P_KIND] = (uint64_t)act;
	t.param[P_EPS] = tile_bits(n->eps);
	t.op[B_SRC] = tile_matrix(TILE_IN, n->src_fmt, n->src, sili_fmt_bytes(n->src_fmt, cols));
	t.op[B_DST] = tile_matrix(TILE_OUT, n->dst_fmt, n->dst, sili_fmt_bytes(n->dst_fmt, cols));
	if (n->residual)
		t.op[B_RESIDUAL] = tile_matrix(TILE_IN, n->residual_fmt, n->residual,
					       sili_fmt_bytes(n->residual_fmt, cols));
	for (uint32_t i = B_SRC; i <= B_DST; i++)
		t.op[i].stride[2] = t.op[i].stride[1] * (int64_t)t.dim[1];
	t.op[B_MEAN] = channel(TILE_IN, n->mean, last);
	t.op[B_VAR] = channel(TILE_IN, n->var, last);
	if (n->gamma)
		t.op[B_GAMMA] = channel(TILE_IN, n->gamma, last);
	if (n->beta)
		t.op[B_BETA] = channel(TILE_IN, n->beta, last);
	t.op[B_FACTOR] = t.op[B_SHIFT] = channel(TILE_TEMP, 0, last);
	t.op[B_X] = tile_temp(X1_FMT_FP32);
	return tiles_launch(dev, &t, cmds, max);
}
