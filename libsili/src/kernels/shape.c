// SPDX-License-Identifier: MIT
/*
 * What moves data and computes nothing: permute, concatenate, split, pad. Where
 * the same dimension is dense in source and destination, LOAD and STORE do it
 * with strides; else VECTOR transposes tiles between them.
 */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	SRC = 1,
	DST,
};

static uint64_t bits_of(enum x1_format fmt)
{
	return (unsigned int)fmt < X1_FMT_COUNT ? x1_format_bits(fmt) : 0;
}

/* ---- permute ---- */

/* Tiles that are turned: lines of L2 are whole on both sides. */
#define TURN_BYTES 128u
#define TURN_ROWS  128u

/* Dimensions of the destination, and the source's stride along each, in elements. */
struct permute {
	uint64_t dim[TILE_DIMS], src[TILE_DIMS], dst[TILE_DIMS];
};

static void swap(struct permute *p, uint32_t i, uint32_t j)
{
	uint64_t *all[] = {p->dim, p->src, p->dst};

	for (uint32_t k = 0; k < 3; k++) {
		uint64_t v = all[k][i];

		all[k][i] = all[k][j];
		all[k][j] = v;
	}
}

/* Leave out dimensions of one element; join those that stay together. */
static void join(struct permute *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (p->dim[i] == 1)
			continue;
		if (n && p->src[i] == p->src[n - 1] * p->dim[n - 1] &&
		    p->dim[i] * p->dim[n - 1] <= UINT32_MAX) {
			p->dim[n - 1] *= p->dim[i];
			continue;
		}
		p->dim[n] = p->dim[i];
		p->src[n] = p->src[i];
		p->dst[n++] = p->dst[i];
	}
	for (; n < TILE_DIMS; n++) {
		p->dim[n] = 1;
		p->src[n] = p->dst[n] = 0;
	}
}

static void transpose(struct tiles *t)
{
	tile_step(t, &(struct tile_step){.op = X1_VEC_TRANSPOSE, .dst = DST, .s0 = SRC});
}

SILI_EXPORT int sili_permute(struct sili_device *dev, const struct sili_permute *op,
			     union x1_cmd *cmds, uint32_t max)
{
	uint64_t bits = bits_of(op->fmt), stride[TILE_DIMS], n = 1;
	struct permute p = {0};
	struct tiles t = {.family = SILI_KEY_PERMUTE, .prefetch = op->prefetch};
	uint32_t seen = 0, along = 0;

	if (op->size != sizeof(*op) || !bits || op->fmt == X1_FMT_E8M0)
		return -EINVAL;
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (!op->dim[i] || op->axis[i] >= TILE_DIMS)
			return -EINVAL;
		seen |= 1u << op->axis[i];
		stride[i] = n;
		n *= op->dim[i];
		if (n > UINT32_MAX)
			return -E2BIG;
	}
	if (seen != 0xf)
		return -EINVAL;
	n = 1;
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		p.dim[i] = op->dim[op->axis[i]];
		p.src[i] = stride[op->axis[i]];
		p.dst[i] = n;
		n *= p.dim[i];
	}
	join(&p);
	/* The dimension along which the source is dense. */
	for (uint32_t i = 0; i < TILE_DIMS; i++)
		if (p.dim[i] > 1 && p.src[i] == 1)
			along = i;
	if (p.dim[0] * bits % 8 || p.dim[along] * bits % 8)
		return -EINVAL;
	t.op[SRC] = (struct tile_operand){.use = TILE_IN, .fmt = op->fmt, .dva = op->src};
	t.op[DST] = (struct tile_operand){.use = TILE_OUT, .fmt = op->fmt, .dva = op->dst};
	if (along) {
		/* Tiles of the source: columns along its rows, rows along the destination's. */
		swap(&p, 0, along);
		swap(&p, 1, along);
		t.row_step = bits < 8 ? 8 : 1;
		t.max_rows = TURN_ROWS;
		/* A power of two: whole bytes in 6 bits too. */
		t.fixed_cols = bits == 6 ? TURN_BYTES : (uint32_t)(TURN_BYTES * 8 / bits);
		t.tile_bytes = TURN_ROWS * TURN_BYTES;
		t.op[DST].turned = true;
		t.body = transpose;
	} else {
		for (uint32_t i = 2; i < TILE_DIMS; i++)
			if (p.dim[i] > p.dim[1])
				swap(&p, 1, i);
		t.op[DST].from = SRC;
	}
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		t.dim[i] = p.dim[i];
		t.op[SRC].stride[i] = (int64_t)(i ? p.src[i] * bits / 8 : 1);
		t.op[DST].stride[i] = (int64_t)(i || along ? p.dst[i] * bits / 8 : 1);
		/* Rows that lie on, not rows that are repeated. */
		if (i == 1 && p.dim[1] == 1)
			t.op[SRC].stride[1] = t.op[DST].stride[1] =
				(int64_t)sili_fmt_bytes(op->fmt, p.dim[0]);
	}
	if (along)
		t.op[DST].stride[1] = 1;
	return tiles_launch(dev, &t, cmds, max);
}

/* ---- pad ---- */

SILI_EXPORT int sili_pad(struct sili_device *dev, const struct sili_pad *op, union x1_cmd *cmds,
			 uint32_t max)
{
	uint64_t bytes = bits_of(op->fmt) / 8, in = bytes, out = bytes;
	struct tiles t = {.family = SILI_KEY_PAD, .prefetch = op->prefetch};

	if (op->size != sizeof(*op) || !bytes || op->fmt == X1_FMT_E8M0)
		return -EINVAL;
	t.op[SRC] = (struct tile_operand){.use = TILE_IN, .fmt = op->fmt, .dva = op->src};
	t.op[DST] =
		(struct tile_operand){.use = TILE_OUT, .fmt = op->fmt, .dva = op->dst, .from = SRC};
	sili_from_f32(op->fmt, &op->value, &t.op[SRC].pad, 1);
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		uint64_t whole = (uint64_t)op->before[i] + op->dim[i] + op->after[i];

		if (!op->dim[i])
			return -EINVAL;
		if (whole > INT32_MAX || in > INT32_MAX || out > INT32_MAX)
			return -E2BIG;
		t.dim[i] = whole;
		t.op[SRC].stride[i] = i ? (int64_t)in : 1;
		t.op[DST].stride[i] = i ? (int64_t)out : 1;
		t.op[SRC].origin[i] = -(int32_t)op->before[i];
		t.op[SRC].bound[i] = op->dim[i];
		t.param[i] = (uint64_t)op->before[i] << 32 | op->dim[i];
		in *= op->dim[i];
		out *= whole;
	}
	t.param[TILE_DIMS] = t.op[SRC].pad;
	return tiles_launch(dev, &t, cmds, max);
}

/* ---- concatenate, split ---- */

static int move_parts(const struct sili_parts *op, bool split, union x1_cmd *cmds, uint32_t max)
{
	uint64_t bits = bits_of(op->fmt), inner = 1, outer = 1, total = 0, at = 0;

	if (op->size != sizeof(*op) || !bits || !op->num || op->axis >= TILE_DIMS)
		return -EINVAL;
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (!op->dim[i] && i != op->axis)
			return -EINVAL;
		if (i < op->axis)
			inner *= op->dim[i];
		if (i > op->axis)
			outer *= op->dim[i];
		if (inner > UINT32_MAX || outer > UINT32_MAX)
			return -E2BIG;
	}
	for (uint32_t i = 0; i < op->num; i++) {
		if (!op->extent[i] || op->extent[i] * inner % 8 * bits % 8)
			return -EINVAL;
		if (op->extent[i] > X1_MAX_COPY_BYTES / inner)
			return -E2BIG;
		total += op->extent[i] * inner * bits / 8;
		if (total > X1_MAX_COPY_BYTES / outer)
			return -E2BIG;
	}
	if (op->num > max)
		return -ENOSPC;
	for (uint32_t i = 0; i < op->num; i++) {
		uint64_t bytes = op->extent[i] * inner * bits / 8;
		struct x1_cmd_copy *c = &cmds[i].copy;

		sili_cmd_copy(&cmds[i], op->whole + at, op->part[i], bytes);
		c->rows = (uint32_t)outer;
		c->src_pitch = (int64_t)bytes;
		c->dst_pitch = (int64_t)total;
		if (split) {
			c->src = op->whole + at;
			c->dst = op->part[i];
			c->src_pitch = (int64_t)total;
			c->dst_pitch = (int64_t)bytes;
		}
		at += bytes;
	}
	return (int)op->num;
}

SILI_EXPORT int sili_concat(struct sili_device *dev, const struct sili_parts *op,
			    union x1_cmd *cmds, uint32_t max)
{
	(void)dev;
	return move_parts(op, false, cmds, max);
}

SILI_EXPORT int sili_split(struct sili_device *dev, const struct sili_parts *op, union x1_cmd *cmds,
			   uint32_t max)
{
	(void)dev;
	return move_parts(op, true, cmds, max);
}
