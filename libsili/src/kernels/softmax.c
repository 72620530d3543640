// SPDX-License-Identifier: MIT
/*
 * Softmax of rows: a pass for the maximum, one for exponentials and their sum,
 * one to divide. Rows that the scratchpad holds pass by once; longer ones go
 * through memory in parts, three times, and give the same bits.
 */
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
	ALL,   /* sums of whole rows, when they come from memory */
};

enum {
	P_SCALE,
	P_PHASE,
};

enum phase {
	WHOLE = 0,
	TOPS, /* maximum of each part of a row */
	SUMS, /* sum of each part's exponentials */
	DIVIDE,
};

/* Scratchpad for a whole row: the rest is for sums and alignment. */
#define ROW_BYTES (X1_SPAD_BYTES - (64u << 10))

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

/* What exponentials are taken of, and what it is still to be multiplied with. */
static uint8_t emit_scaled(struct tiles *t, float *scale)
{
	*scale = tile_float(t->param[P_SCALE]);
	if (t->op[MASK].use)
		tile_step(
			t,
			&(struct tile_step){
				.op = X1_VEC_FMA, .dst = X, .s0 = SRC, .s2 = MASK, .imm1 = *scale});
	else if (*scale < 0)
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = X, .s0 = SRC, .imm1 = *scale});
	else
		return SRC;
	*scale = 1;
	return X;
}

static void body(struct tiles *t)
{
	float scale;
	uint8_t from = emit_scaled(t, &scale);

	tile_reduce(t, X1_VEC_RMAX, TOP, from, 0, PARTS);
	if (scale != 1)
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_MUL, .dst = TOP, .s0 = TOP, .imm1 = scale});
	emit_exp(t, from, scale);
	tile_step(t, &(struct tile_step){.op = X1_VEC_RECIP, .dst = TOP, .s0 = SUM});
	tile_step(t, &(struct tile_step){.op = X1_VEC_MUL, .dst = DST, .s0 = X, .s1 = TOP});
}

static void part_body(struct tiles *t)
{
	enum phase phase = (enum phase)t->param[P_PHASE];
	float scale;
	uint8_t from = emit_scaled(t, &scale);

	if (phase == TOPS) {
		tile_step(t, &(struct tile_step){
				     .op = X1_VEC_RMAX, .dst = scale == 1 ? DST : TOP, .s0 = from});
		if (scale != 1)
			tile_step(t,
				  &(struct tile_step){
					  .op = X1_VEC_MUL, .dst = DST, .s0 = TOP, .imm1 = scale});
		return;
	}
	tile_step(t, &(struct tile_step){.op = X1_VEC_EXPSUM,
					 .dst = X,
					 .s0 = from,
					 .s1 = TOP,
					 .s2 = phase == SUMS ? DST : SUM,
					 .imm2 = scale});
	if (phase == SUMS)
		return;
	tile_step(t, &(struct tile_step){.op = X1_VEC_RECIP, .dst = SUM, .s0 = ALL});
	tile_step(t, &(struct tile_step){.op = X1_VEC_MUL, .dst = DST, .s0 = X, .s1 = SUM});
}

/* ---- interface ---- */

static bool request_ok(struct sili_softmax *s)
{
	if (!s->mask_rows)
		s->mask_rows = s->rows;
	if (!s->scale)
		s->scale = 1;
	return s->rows && s->cols && s->rows % s->mask_rows == 0 && s->scale == s->scale &&
	       tile_format_ok(s->src_fmt, s->cols) && tile_format_ok(s->dst_fmt, s->cols) &&
	       tile_stride_ok(&s->src_stride, s->src_fmt, s->cols) &&
	       tile_stride_ok(&s->dst_stride, s->dst_fmt, s->cols) &&
	       (!s->mask || (tile_format_ok(s->mask_fmt, s->cols) &&
			     tile_stride_ok(&s->mask_stride, s->mask_fmt, s->cols)));
}

static bool is_long(const struct sili_softmax *s)
{
	uint64_t bytes = sili_fmt_bytes(s->src_fmt, s->cols) + sili_fmt_bytes(s->dst_fmt, s->cols) +
			 s->cols * 4ull + (s->mask ? sili_fmt_bytes(s->mask_fmt, s->cols) : 0);

	return s->cols > TILE_ROW && bytes > ROW_BYTES;
}

/* Rows of source and mask; of dimension 1 the ones that a mask has. */
static void operands(struct tiles *t, const struct sili_softmax *s)
{
	bool apart = s->mask && s->mask_rows > 1;

	t->dim[0] = s->cols;
	t->dim[1] = apart ? s->mask_rows : s->rows;
	t->dim[2] = s->rows / t->dim[1];
	t->prefetch = s->prefetch;
	t->param[P_SCALE] = tile_bits(s->scale);
	t->op[SRC] = tile_matrix(TILE_IN, s->src_fmt, s->src, s->src_stride);
	if (s->mask)
		t->op[MASK] = tile_matrix(TILE_IN, s->mask_fmt, s->mask,
					  apart ? s->mask_stride : 0);
	t->op[X] = tile_temp(X1_FMT_FP32);
	t->op[TOP] = t->op[SUM] = tile_column();
}

/* Dimension 2 of what has a row for each row of the source. */
static void rows_apart(struct tiles *t)
{
	static const uint8_t by_row[] = {SRC, DST, TOP, ALL};

	for (uint32_t i = 0; i < sizeof(by_row); i++) {
		struct tile_operand *o = &t->op[by_row[i]];

		if (o->use == TILE_IN || o->use == TILE_OUT)
			o->stride[2] = o->stride[1] * (int64_t)t->dim[1];
	}
}

/* One FP32 per row, in memory. */
static struct tile_operand column(uint64_t dva)
{
	return (struct tile_operand){
		.use = TILE_IN, .fmt = X1_FMT_FP32, .dva = dva, .stride = {0, 4}};
}

static uint64_t parts_of(const struct sili_softmax *s)
{
	return sili_div_up(s->cols, TILE_ROW);
}

static uint64_t column_bytes(const struct sili_softmax *s)
{
	return sili_align(s->rows * 4ull, 64);
}

/* What a phase gives for parts of rows, then for rows. work: maxima, sums, parts. */
static int phase_launch(struct sili_device *dev, const struct sili_softmax *s, enum phase phase,
			union x1_cmd *cmds)
{
	uint64_t tops = s->work, sums = tops + column_bytes(s), parts = sums + column_bytes(s);
	struct tiles t = {.family = SILI_KEY_SOFTMAX,
			  .fixed_cols = TILE_ROW,
			  .param = {[P_PHASE] = phase},
			  .body = part_body};
	struct sili_reduce r = {.size = sizeof(r),
				.op = phase == TOPS ? SILI_REDUCE_MAX : SILI_REDUCE_SUM,
				.rows = s->rows,
				.cols = (uint32_t)parts_of(s),
				.src = parts,
				.dst = phase == TOPS ? tops : sums,
				.prefetch = s->prefetch};
	int ret;

	operands(&t, s);
	if (phase == DIVIDE) {
		t.op[DST] = tile_matrix(TILE_OUT, s->dst_fmt, s->dst, s->dst_stride);
		t.op[ALL] = column(sums);
	} else {
		t.op[DST] = tile_matrix(TILE_OUT, X1_FMT_FP32, parts, parts_of(s) * 4);
		t.op[DST].div = TILE_ROW;
	}
	if (phase != TOPS)
		t.op[TOP] = column(tops);
	rows_apart(&t);
	ret = tiles_launch(dev, &t, cmds, 1);
	if (ret < 0 || phase == DIVIDE)
		return ret;
	ret = sili_reduce(dev, &r, cmds + 1, 1);
	return ret < 0 ? ret : 2;
}

static int softmax_of(struct sili_device *dev, struct sili_softmax s, union x1_cmd *cmds,
		      uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_SOFTMAX, .whole_rows = true, .body = body};
	int n = 0;

	if (!request_ok(&s) || (is_long(&s) && !s.work))
		return -EINVAL;
	if (is_long(&s)) {
		if (parts_of(&s) > TILE_ROW)
			return -E2BIG;
		if (max < 5)
			return -ENOSPC;
		for (int phase = TOPS; phase <= DIVIDE; phase++) {
			int ret = phase_launch(dev, &s, (enum phase)phase, cmds + n);

			if (ret < 0)
				return ret;
			n += ret;
		}
		return n;
	}
	operands(&t, &s);
	t.op[DST] = tile_matrix(TILE_OUT, s.dst_fmt, s.dst, s.dst_stride);
	t.op[PARTS] = tile_parts(s.cols);
	rows_apart(&t);
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_softmax(struct sili_device *dev, const struct sili_softmax *op,
			     union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? softmax_of(dev, *op, cmds, max) : -EINVAL;
}

static int64_t work_bytes_of(struct sili_softmax s)
{
	if (!request_ok(&s))
		return -EINVAL;
	return is_long(&s) ? (int64_t)(2 * column_bytes(&s) + s.rows * parts_of(&s) * 4) : 0;
}

SILI_EXPORT int64_t sili_softmax_work_bytes(const struct sili_softmax *op)
{
	return op->size == sizeof(*op) ? work_bytes_of(*op) : -EINVAL;
}
