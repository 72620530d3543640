// SPDX-License-Identifier: MIT
/*
 * Resize images, one direction after the other: rows of the result come from
 * one row (nearest) or two (linear) of the source, by tables that the host
 * makes once for a pair of sizes. Along the height a row is a line of the
 * image, along the width a pixel.
 */
#include <math.h>

#include "sili_kernels.h"
#include "tiles.h"

#define MAX_SIDE (1u << 20)
#define MAX_LINE (1u << 28) /* elements */

enum {
	LOW = 1, /* INT32: the row at or before the place */
	HIGH,    /* and the one after */
	PART,    /* FP32: how far it is on the way */
	A,
	B,
	DST,
	X,
};

/* ---- tables ---- */

/* Place of result i in the source. */
static double place(const struct sili_resize *r, uint32_t i, uint32_t from, uint32_t to)
{
	double at;

	if (r->align_corners)
		at = to > 1 ? (double)i * (from - 1) / (to - 1) : 0;
	else if (r->linear)
		at = (i + 0.5) * from / to - 0.5;
	else
		at = (double)i * from / to;
	if (!r->linear)
		at = r->align_corners ? floor(at + 0.5) : floor(at);
	return at < 0 ? 0 : at > from - 1 ? from - 1 : at;
}

/* DVA of LOW, HIGH and PART for `to` rows out of `from`, one behind the other. */
static int tables(struct sili_device *dev, const struct sili_resize *r, uint32_t from, uint32_t to,
		  uint64_t *dva)
{
	struct sili_key key = {.word = {SILI_KEY_RESIZE_TABLE, from, to,
					(uint64_t)r->linear << 1 | r->align_corners}};
	const struct sili_kernel *block = sili_cache_find(dev, &key);
	struct sili_kernel *fresh;
	int32_t *low, *high;
	float *part;
	int ret;

	if (!block) {
		ret = sili_kernel_room(dev, to * 12ull, 0, &fresh);
		if (ret)
			return ret;
		low = sili_bo_map(fresh->bo);
		if (!low) {
			sili_kernel_free(fresh);
			return -ENOMEM;
		}
		high = low + to;
		part = (float *)(high + to);
		for (uint32_t i = 0; i < to; i++) {
			double at = place(r, i, from, to);

			low[i] = (int32_t)at;
			high[i] = low[i] + 1 < (int32_t)from ? low[i] + 1 : low[i];
			part[i] = (float)(at - low[i]);
		}
		ret = sili_cache_add(dev, &key, fresh);
		if (ret)
			return ret;
		block = fresh;
	}
	*dva = sili_bo_dva(block->bo);
	return 0;
}

/* ---- one direction ---- */

static void body(struct tiles *t)
{
	tile_step(t, &(struct tile_step){.op = X1_VEC_SUB, .dst = X, .s0 = B, .s1 = A});
	tile_step(t,
		  &(struct tile_step){.op = X1_VEC_FMA, .dst = DST, .s0 = X, .s1 = PART, .s2 = A});
}

/* outer x from rows of cols to outer x to rows. */
static int pass(struct sili_device *dev, const struct sili_resize *r, uint64_t cols, uint32_t from,
		uint32_t to, uint64_t outer, enum x1_format src_fmt, enum x1_format dst_fmt,
		uint64_t src, uint64_t dst, union x1_cmd *cmds, uint32_t max)
{
	int64_t src_row = (int64_t)sili_fmt_bytes(src_fmt, cols);
	int64_t dst_row = (int64_t)sili_fmt_bytes(dst_fmt, cols);
	struct tiles t = {.family = SILI_KEY_RESIZE,
			  .dim = {cols, to, outer},
			  .prefetch = r->prefetch,
			  .param = {from, r->linear}};
	uint64_t table;
	int ret;

	ret = tables(dev, r, from, to, &table);
	if (ret)
		return ret;
	t.op[LOW] = (struct tile_operand){
		.use = TILE_INDEX, .fmt = X1_FMT_INT32, .dva = table, .stride = {0, 4}};
	t.op[A] = tile_matrix(TILE_IN, src_fmt, src, (uint64_t)src_row);
	t.op[A].stride[2] = src_row * from;
	t.op[A].index = LOW;
	t.op[A].bound[1] = from;
	t.op[DST] = tile_matrix(TILE_OUT, dst_fmt, dst, (uint64_t)dst_row);
	t.op[DST].stride[2] = dst_row * to;
	if (r->linear) {
		t.op[HIGH] = t.op[LOW];
		t.op[HIGH].dva += to * 4ull;
		t.op[PART] = (struct tile_operand){.use = TILE_IN,
						   .fmt = X1_FMT_FP32,
						   .dva = table + to * 8ull,
						   .stride = {0, 4}};
		t.op[B] = t.op[A];
		t.op[B].index = HIGH;
		t.op[X] = tile_temp(X1_FMT_FP32);
		t.body = body;
	} else {
		t.op[DST].from = A;
	}
	return tiles_launch(dev, &t, cmds, max);
}

/* ---- interface ---- */

static bool request_ok(const struct sili_resize *r)
{
	return r->size == sizeof(*r) && r->batch && r->height && r->width && r->channels &&
	       r->out_height && r->out_width && tile_format_ok(r->src_fmt, r->channels) &&
	       tile_format_ok(r->dst_fmt, r->channels);
}

/* Lines and images whose bytes fit strides. */
static bool fits(const struct sili_resize *r)
{
	uint64_t line = (uint64_t)r->width * r->channels,
		 out = (uint64_t)r->out_width * r->channels;

	return r->height <= MAX_SIDE && r->width <= MAX_SIDE && r->out_height <= MAX_SIDE &&
	       r->out_width <= MAX_SIDE && line <= MAX_LINE && out <= MAX_LINE;
}

/* What lies between the two directions. */
static enum x1_format between(const struct sili_resize *r)
{
	return r->linear ? X1_FMT_FP32 : r->src_fmt;
}

SILI_EXPORT int64_t sili_resize_work_bytes(const struct sili_resize *op)
{
	uint64_t rows;

	if (!request_ok(op))
		return -EINVAL;
	if (!fits(op))
		return -E2BIG;
	rows = (uint64_t)op->batch * op->out_height * op->width;
	return (int64_t)(rows * sili_fmt_bytes(between(op), op->channels));
}

SILI_EXPORT int sili_resize(struct sili_device *dev, const struct sili_resize *op,
			    union x1_cmd *cmds, uint32_t max)
{
	const struct sili_resize *r = op;
	int ret;

	if (!request_ok(r) || !r->work)
		return -EINVAL;
	if (!fits(r))
		return -E2BIG;
	if (max < 2)
		return -ENOSPC;
	ret = pass(dev, r, (uint64_t)r->width * r->channels, r->height, r->out_height, r->batch,
		   r->src_fmt, between(r), r->src, r->work, cmds, 1);
	if (ret == 1)
		ret = pass(dev, r, r->channels, r->width, r->out_width,
			   (uint64_t)r->batch * r->out_height, between(r), r->dst_fmt, r->work,
			   r->dst, cmds + 1, 1);
	return ret < 0 ? ret : 2;
}
