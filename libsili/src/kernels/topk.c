// SPDX-License-Identifier: MIT
/* The largest, or smallest, of each row. */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	SRC = 1,
	VALUES,
	NUMBERS,
	X,     /* candidates of parts of long rows */
	XN,    /* and their columns */
	PLACE, /* of the chosen among candidates */
	FLIP,
};

enum {
	P_K,
	P_SMALLEST,
};

/* One TOPK on columns [c, c + n) of `from`: candidates at column `at` of X and XN. */
static void emit_part(struct tiles *t, uint8_t from, uint32_t c, uint32_t n, uint32_t at)
{
	const struct tile_operand *a = &t->op[from];
	uint32_t k = (uint32_t)sili_min64(t->param[P_K], n);
	uint8_t src = TILE_R_BODY, value = TILE_R_BODY + 1, number = TILE_R_BODY + 2;
	struct sili_vec v = {.op = X1_VEC_TOPK,
			     .rows = sili_reg(tile_rows()),
			     .cols = sili_imm(n),
			     .s0_fmt = a->fmt,
			     .dst_stride = sili_imm((int64_t)t->op[X].pitch),
			     .s0_stride = sili_imm((int64_t)a->pitch),
			     .s2_stride = sili_imm((int64_t)t->op[XN].pitch),
			     .s2 = sili_reg(number),
			     .param = sili_imm(k)};

	sili_prog_alui(t->p, X1_OP_ADD, src, tile_at(from), (int64_t)sili_fmt_bytes(a->fmt, c));
	sili_prog_alui(t->p, X1_OP_ADD, value, tile_at(X), at * 4ll);
	sili_prog_alui(t->p, X1_OP_ADD, number, tile_at(XN), at * 4ll);
	tile_vec(t, value, src, 0, &v);
	if (!c)
		return;
	v = (struct sili_vec){.op = X1_VEC_ADD,
			      .rows = sili_reg(tile_rows()),
			      .cols = sili_imm(k),
			      .dst_fmt = X1_FMT_INT32,
			      .s0_fmt = X1_FMT_INT32,
			      .s1_fmt = X1_FMT_INT32,
			      .bcast1 = X1_VEC_BCAST_SCALAR,
			      .scalar1_reg = src,
			      .dst_stride = sili_imm((int64_t)t->op[XN].pitch),
			      .s0_stride = sili_imm((int64_t)t->op[XN].pitch)};
	sili_prog_li(t->p, src, c);
	tile_vec(t, number, number, 0, &v);
}

static uint32_t candidates(uint32_t cols, uint32_t k)
{
	uint32_t n = cols / TILE_ROW * k;

	return n + (uint32_t)sili_min64(k, cols % TILE_ROW);
}

/* NUMBERS[r][i] = XN[r][PLACE[r][i]], row by row. */
static void emit_columns(struct tiles *t)
{
	uint8_t at = TILE_R_BODY, from = TILE_R_BODY + 1, to = TILE_R_BODY + 2;
	struct sili_vec v = {.op = X1_VEC_GATHER,
			     .rows = sili_imm((int64_t)t->param[P_K]),
			     .cols = sili_imm(1),
			     .dst_fmt = X1_FMT_INT32,
			     .s0_fmt = X1_FMT_INT32,
			     .s1_fmt = X1_FMT_INT32,
			     .bcast1 = X1_VEC_BCAST_COL,
			     .dst_stride = sili_imm(4),
			     .s0_stride = sili_imm(4),
			     .s1_stride = sili_imm(4),
			     .param = sili_imm((int64_t)t->op[XN].pitch / 4)};

	sili_prog_alui(t->p, X1_OP_ADD, at, tile_at(PLACE), 0);
	sili_prog_alui(t->p, X1_OP_ADD, from, tile_at(XN), 0);
	sili_prog_alui(t->p, X1_OP_ADD, to, tile_at(NUMBERS), 0);
	sili_prog_loop(t->p, tile_rows());
	tile_vec(t, to, from, at, &v);
	sili_prog_alui(t->p, X1_OP_ADD, at, at, (int64_t)t->op[PLACE].pitch);
	sili_prog_alui(t->p, X1_OP_ADD, from, from, (int64_t)t->op[XN].pitch);
	sili_prog_alui(t->p, X1_OP_ADD, to, to, (int64_t)t->op[NUMBERS].pitch);
	sili_prog_loop_end(t->p);
}

static void topk_body(struct tiles *t)
{
	uint32_t cols = (uint32_t)t->dim[0], at = 0;
	int64_t k = (int64_t)t->param[P_K];
	bool smallest = t->param[P_SMALLEST];
	uint8_t from = SRC, to = VALUES;

	if (smallest) {
		tile_step(t, &(struct tile_step){.op = X1_VEC_NEG, .dst = FLIP, .s0 = SRC});
		from = FLIP;
		to = X;
	}
	if (cols <= TILE_ROW) {
		tile_step(t, &(struct tile_step){.op = X1_VEC_TOPK,
						 .dst = to,
						 .s0 = from,
						 .s2 = NUMBERS,
						 .param = sili_imm(k)});
	} else {
		for (uint32_t c = 0; c < cols; c += TILE_ROW) {
			uint32_t n = (uint32_t)sili_min64(TILE_ROW, cols - c);

			emit_part(t, from, c, n, at);
			at += (uint32_t)sili_min64((uint64_t)k, n);
		}
		/* Of equal ones the first: candidates are in the order of columns. */
		tile_step(t, &(struct tile_step){.op = X1_VEC_TOPK,
						 .dst = VALUES,
						 .s0 = X,
						 .s2 = PLACE,
						 .param = sili_imm(k)});
		emit_columns(t);
		to = VALUES;
	}
	/* The last step frees what was read; it also writes values as they were. */
	tile_step(t, &(struct tile_step){
			     .op = smallest ? X1_VEC_NEG : X1_VEC_MOV, .dst = VALUES, .s0 = to});
}

static int topk_of(struct sili_device *dev, struct sili_topk r, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_TOPK,
			  .dim = {r.cols, r.rows},
			  .whole_rows = true,
			  .prefetch = r.prefetch,
			  .param = {[P_K] = r.k, [P_SMALLEST] = r.smallest},
			  .body = topk_body};

	if (!r.rows || !r.cols || !r.k || r.k > r.cols || !tile_format_ok(r.src_fmt, r.cols) ||
	    !tile_format_ok(r.dst_fmt, r.k) || !tile_stride_ok(&r.src_stride, r.src_fmt, r.cols))
		return -EINVAL;
	if (r.k > X1_VEC_MAX_TOPK || (r.cols > TILE_ROW && candidates(r.cols, r.k) > TILE_ROW))
		return -E2BIG;
	t.op[SRC] = tile_matrix(TILE_IN, r.src_fmt, r.src, r.src_stride);
	t.op[VALUES] = tile_matrix(TILE_OUT, r.dst_fmt, r.values, sili_fmt_bytes(r.dst_fmt, r.k));
	t.op[NUMBERS] = tile_matrix(TILE_OUT, X1_FMT_INT32, r.numbers, r.k * 4ull);
	t.op[VALUES].cols = t.op[NUMBERS].cols = r.k;
	if (r.smallest)
		t.op[FLIP] = tile_temp(X1_FMT_FP32);
	if (r.smallest || r.cols > TILE_ROW) {
		t.op[X] = tile_temp(X1_FMT_FP32);
		t.op[X].cols = r.cols > TILE_ROW ? candidates(r.cols, r.k) : r.k;
	}
	if (r.cols > TILE_ROW) {
		t.op[XN] = t.op[PLACE] = tile_temp(X1_FMT_INT32);
		t.op[XN].cols = t.op[X].cols;
		t.op[PLACE].cols = r.k;
	}
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_topk(struct sili_device *dev, const struct sili_topk *op, union x1_cmd *cmds,
			  uint32_t max)
{
	return op->size == sizeof(*op) ? topk_of(dev, *op, cmds, max) : -EINVAL;
}
