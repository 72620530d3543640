// SPDX-License-Identifier: MIT
/* Block quantisation on the device, by the same rules as sili_quantise() on the host. */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	PLAIN = 1,
	CODED,
	SCALES,
};

enum {
	P_MODE,
	P_TENSOR,
};

/* NVFP4's scale per tensor, when it comes from memory. */
#define R_TENSOR (TILE_R_HALVES - 1)

static void load_tensor(struct tiles *t)
{
	sili_prog_emit(
		t->p,
		(struct x1_insn){.op = X1_OP_LDM, .rd = R_TENSOR, .ra = tile_extra(0), .rb = 2});
}

static void body(struct tiles *t)
{
	bool quantise = t->op[CODED].use == TILE_OUT;

	tile_step(t, &(struct tile_step){.op = quantise ? X1_VEC_QUANT : X1_VEC_DEQUANT,
					 .dst = quantise ? CODED : PLAIN,
					 .s0 = quantise ? PLAIN : CODED,
					 .s2 = SCALES,
					 .imm1 = tile_float(t->param[P_TENSOR]),
					 .imm1_reg = t->begin ? R_TENSOR : 0,
					 .param = sili_imm((int64_t)t->param[P_MODE])});
}

static bool request_ok(struct sili_quant *q)
{
	uint64_t row = sili_scale_row_bytes(q->mode, q->k);

	if (!q->rows || !q->k || !row || !q->mode || !sili_scale_takes(q->mode, q->coded_fmt) ||
	    !tile_format_ok(q->coded_fmt, q->k) || !tile_format_ok(q->plain_fmt, q->k) ||
	    !tile_stride_ok(&q->coded_stride, q->coded_fmt, q->k) ||
	    !tile_stride_ok(&q->plain_stride, q->plain_fmt, q->k))
		return false;
	if (!q->scale_stride)
		q->scale_stride = row;
	/* Of the two ways to give a scale per tensor one. */
	return q->scale_stride >= row && q->scale_stride <= INT32_MAX &&
	       (q->mode == X1_SCALE_NV16 ? !q->tensor != !q->tensor_value
					 : !q->tensor && !q->tensor_value) &&
	       q->tensor_value >= 0;
}

static int launch(struct sili_device *dev, const struct sili_quant *q, bool quantise,
		  union x1_cmd *cmds, uint32_t max)
{
	static const enum x1_format scale_fmt[X1_SCALE_COUNT] = {
		[X1_SCALE_MX32] = X1_FMT_E8M0,
		[X1_SCALE_NV16] = X1_FMT_E4M3,
	};
	bool tall = q->mode == X1_SCALE_F32_128X128;
	struct tiles t = {.family = SILI_KEY_QUANTISE,
			  .dim = {q->k, q->rows},
			  .col_step = 128,
			  .row_step = tall ? 128 : 1,
			  .prefetch = q->prefetch,
			  .param = {[P_MODE] = q->mode, [P_TENSOR] = tile_bits(q->tensor_value)},
			  .begin = q->tensor ? load_tensor : NULL,
			  .body = body,
			  .extra = {q->tensor},
			  .num_extra = 1};

	t.op[PLAIN] = tile_matrix(quantise ? TILE_IN : TILE_OUT, q->plain_fmt, q->plain,
				  q->plain_stride);
	t.op[CODED] = tile_matrix(quantise ? TILE_OUT : TILE_IN, q->coded_fmt, q->coded,
				  q->coded_stride);
	t.op[SCALES] = tile_matrix(quantise ? TILE_OUT : TILE_IN, scale_fmt[q->mode], q->scales,
				   q->scale_stride);
	t.op[SCALES].div = q->mode == X1_SCALE_NV16 ? 16 : q->mode == X1_SCALE_MX32 ? 32 : 128;
	t.op[SCALES].row_div = tall ? 128 : 1;
	/* A memory operand more makes it another program. */
	t.param[P_TENSOR + 1] = q->tensor != 0;
	return tiles_launch(dev, &t, cmds, max);
}

/* ---- the scale of a tensor ---- */

enum {
	AMAX = 1,
	TENSOR,
	T,
};

/* amax / 6 / 448, and 1 for nothing but zeros. */
static void tensor_body(struct tiles *t)
{
	tile_step(t, &(struct tile_step){.op = X1_VEC_DIV, .dst = T, .s0 = AMAX, .imm1 = 6});
	tile_step(t, &(struct tile_step){.op = X1_VEC_DIV, .dst = T, .s0 = T, .imm1 = 448});
	tile_step(t, &(struct tile_step){
			     .op = X1_VEC_SELECT, .dst = TENSOR, .s0 = AMAX, .s1 = T, .imm2 = 1});
}

/* The largest magnitude of each row, then of all: at work + rows values. */
static struct sili_reduce row_amax(const struct sili_quant *q)
{
	return (struct sili_reduce){.size = sizeof(struct sili_reduce),
				    .op = SILI_REDUCE_AMAX,
				    .rows = q->rows,
				    .cols = q->k,
				    .src_fmt = q->plain_fmt,
				    .src = q->plain,
				    .src_stride = q->plain_stride,
				    .dst = q->work,
				    .work = q->work + sili_align(q->rows * 4ull, 64) + 64,
				    .prefetch = q->prefetch};
}

static struct sili_reduce all_amax(const struct sili_quant *q)
{
	struct sili_reduce r = row_amax(q);

	r.rows = 1;
	r.cols = q->rows;
	r.src_fmt = X1_FMT_FP32;
	r.src = q->work;
	r.src_stride = 0;
	r.dst = r.work - 64;
	return r;
}

static int64_t quant_work_bytes_of(struct sili_quant q)
{
	struct sili_reduce row, all;
	int64_t a, b;

	if (!request_ok(&q))
		return -EINVAL;
	if (!q.tensor)
		return 0;
	row = row_amax(&q);
	all = all_amax(&q);
	a = sili_reduce_work_bytes(&row);
	b = sili_reduce_work_bytes(&all);
	return (int64_t)sili_align(q.rows * 4ull, 64) + 64 + (a > b ? a : b);
}

SILI_EXPORT int64_t sili_quant_work_bytes(const struct sili_quant *op)
{
	return op->size == sizeof(*op) ? quant_work_bytes_of(*op) : -EINVAL;
}

static int tensor_scale(struct sili_device *dev, const struct sili_quant *q, union x1_cmd *cmds,
			uint32_t max)
{
	struct sili_reduce row = row_amax(q), all = all_amax(q);
	struct tiles t = {.family = SILI_KEY_QUANTISE,
			  .param = {X1_SCALE_COUNT},
			  .prefetch = q->prefetch,
			  .body = tensor_body};
	int n, ret;

	n = sili_reduce(dev, &row, cmds, max);
	if (n < 0)
		return n;
	ret = sili_reduce(dev, &all, cmds + n, max - (uint32_t)n);
	if (ret < 0)
		return ret;
	n += ret;
	t.op[AMAX] = tile_matrix(TILE_IN, X1_FMT_FP32, all.dst, 4);
	t.op[TENSOR] = tile_matrix(TILE_OUT, X1_FMT_FP32, q->tensor, 4);
	t.op[T] = tile_temp(X1_FMT_FP32);
	ret = tiles_launch(dev, &t, cmds + n, max - (uint32_t)n);
	return ret < 0 ? ret : n + ret;
}

static int quant_of(struct sili_device *dev, struct sili_quant q, union x1_cmd *cmds, uint32_t max)
{
	int n = 0, ret;

	if (!request_ok(&q) || (q.tensor && !q.work))
		return -EINVAL;
	if (q.tensor) {
		n = tensor_scale(dev, &q, cmds, max);
		if (n < 0)
			return n;
	}
	ret = launch(dev, &q, true, cmds + n, max - (uint32_t)n);
	return ret < 0 ? ret : n + ret;
}

SILI_EXPORT int sili_quant(struct sili_device *dev, const struct sili_quant *op, union x1_cmd *cmds,
			   uint32_t max)
{
	return op->size == sizeof(*op) ? quant_of(dev, *op, cmds, max) : -EINVAL;
}

static int dequant_of(struct sili_device *dev, struct sili_quant q, union x1_cmd *cmds,
		      uint32_t max)
{

	return request_ok(&q) ? launch(dev, &q, false, cmds, max) : -EINVAL;
}

SILI_EXPORT int sili_dequant(struct sili_device *dev, const struct sili_quant *op,
			     union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? dequant_of(dev, *op, cmds, max) : -EINVAL;
}
