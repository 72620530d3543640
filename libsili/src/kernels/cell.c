// SPDX-License-Identifier: MIT
/*
 * LSTM and GRU cells: two products, then gates and state in one pass. The
 * LSTM's second product takes the first as its residual; the GRU's candidate
 * needs both apart.
 */
#include "sili_kernels.h"
#include "tiles.h"

static void unary(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0});
}

static void binary(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, uint8_t s1)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0, .s1 = s1});
}

static void fused(struct tiles *t, uint8_t dst, uint8_t s0, uint8_t s1, uint8_t s2)
{
	tile_step(t,
		  &(struct tile_step){.op = X1_VEC_FMA, .dst = dst, .s0 = s0, .s1 = s1, .s2 = s2});
}

enum {
	L_I = 1,
	L_F,
	L_G,
	L_O,
	L_C,
	L_H_OUT,
	L_C_OUT,
	L_T0,
	L_T1,
};

static void lstm_body(struct tiles *t)
{
	unary(t, X1_VEC_SIGMOID, L_T0, L_I);
	unary(t, X1_VEC_TANH, L_T1, L_G);
	binary(t, X1_VEC_MUL, L_T0, L_T0, L_T1);
	unary(t, X1_VEC_SIGMOID, L_T1, L_F);
	fused(t, L_C_OUT, L_T1, L_C, L_T0);
	unary(t, X1_VEC_TANH, L_T0, L_C_OUT);
	unary(t, X1_VEC_SIGMOID, L_T1, L_O);
	binary(t, X1_VEC_MUL, L_H_OUT, L_T0, L_T1);
}

enum {
	G_XR = 1,
	G_XZ,
	G_XN,
	G_HR,
	G_HZ,
	G_HN,
	G_H,
	G_OUT,
	G_T0,
	G_T1,
};

static void gru_body(struct tiles *t)
{
	binary(t, X1_VEC_ADD, G_T0, G_XR, G_HR);
	unary(t, X1_VEC_SIGMOID, G_T0, G_T0);
	fused(t, G_T0, G_T0, G_HN, G_XN);
	unary(t, X1_VEC_TANH, G_T0, G_T0);
	binary(t, X1_VEC_ADD, G_T1, G_XZ, G_HZ);
	unary(t, X1_VEC_SIGMOID, G_T1, G_T1);
	/* n + z * (h - n) = (1 - z) * n + z * h; h - n takes the place of XR. */
	binary(t, X1_VEC_SUB, G_XR, G_H, G_T0);
	fused(t, G_OUT, G_T1, G_XR, G_T0);
}

static bool request_ok(const struct sili_cell *c)
{
	return c->size == sizeof(*c) && c->batch && c->inputs && c->hidden &&
	       (unsigned int)c->kind <= SILI_CELL_GRU && c->hidden <= INT32_MAX / 16 &&
	       tile_format_ok(c->x_fmt, c->inputs) && tile_format_ok(c->h_fmt, c->hidden) &&
	       (c->kind == SILI_CELL_GRU || (c->c && c->c_out));
}

static uint32_t gates(const struct sili_cell *c)
{
	return c->kind == SILI_CELL_GRU ? 3 : 4;
}

/* One of the two products. */
static uint64_t product_bytes(const struct sili_cell *c)
{
	return sili_align((uint64_t)c->batch * gates(c) * c->hidden * 4, 64);
}

SILI_EXPORT int64_t sili_cell_work_bytes(const struct sili_cell *op)
{
	return request_ok(op) ? (int64_t)(2 * product_bytes(op)) : -EINVAL;
}

static int product(struct sili_device *dev, const struct sili_cell *c, bool hidden,
		   union x1_cmd *cmds, uint32_t max)
{
	enum x1_format fmt = hidden ? c->h_fmt : c->x_fmt;
	struct sili_gemm g = {.size = sizeof(g),
			      .m = c->batch,
			      .n = gates(c) * c->hidden,
			      .k = hidden ? c->hidden : c->inputs,
			      .a_fmt = fmt,
			      .b_fmt = fmt,
			      .c_fmt = X1_FMT_FP32,
			      .a = hidden ? c->h : c->x,
			      .b = hidden ? c->h_weights : c->x_weights,
			      .c = c->work + (hidden ? product_bytes(c) : 0),
			      .bias = hidden ? c->h_bias : c->x_bias,
			      .prefetch = c->prefetch};

	if (hidden && c->kind == SILI_CELL_LSTM) {
		g.residual = c->work;
		g.residual_fmt = X1_FMT_FP32;
	}
	return sili_gemm(dev, &g, cmds, max, NULL);
}

/* Gate i of the products: a column block of `hidden`. */
static struct tile_operand gate(const struct sili_cell *c, bool hidden, uint32_t i)
{
	uint64_t row = (uint64_t)c->hidden * 4;

	return tile_matrix(TILE_IN, X1_FMT_FP32,
			   c->work + (hidden ? product_bytes(c) : 0) + i * row, row * gates(c));
}

static int state(struct sili_device *dev, const struct sili_cell *c, union x1_cmd *cmds,
		 uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_CELL,
			  .dim = {c->hidden, c->batch},
			  .prefetch = c->prefetch,
			  .param = {c->kind},
			  .body = c->kind == SILI_CELL_GRU ? gru_body : lstm_body};
	uint64_t row = (uint64_t)c->hidden * 4, h_row = sili_fmt_bytes(c->h_fmt, c->hidden);

	if (c->kind == SILI_CELL_GRU) {
		for (uint32_t i = 0; i < 3; i++) {
			t.op[G_XR + i] = gate(c, false, i);
			t.op[G_HR + i] = gate(c, true, i);
		}
		t.op[G_H] = tile_matrix(TILE_IN, c->h_fmt, c->h, h_row);
		t.op[G_OUT] = tile_matrix(TILE_OUT, c->h_fmt, c->h_out, h_row);
		t.op[G_T0] = t.op[G_T1] = tile_temp(X1_FMT_FP32);
	} else {
		for (uint32_t i = 0; i < 4; i++)
			t.op[L_I + i] = gate(c, true, i);
		t.op[L_C] = tile_matrix(TILE_IN, X1_FMT_FP32, c->c, row);
		t.op[L_H_OUT] = tile_matrix(TILE_OUT, c->h_fmt, c->h_out, h_row);
		t.op[L_C_OUT] = tile_matrix(TILE_OUT, X1_FMT_FP32, c->c_out, row);
		t.op[L_T0] = t.op[L_T1] = tile_temp(X1_FMT_FP32);
	}
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_cell(struct sili_device *dev, const struct sili_cell *op, union x1_cmd *cmds,
			  uint32_t max)
{
	int n, ret;

	if (!request_ok(op) || !op->work)
		return -EINVAL;
	n = product(dev, op, false, cmds, max);
	if (n < 0)
		return n;
	ret = product(dev, op, true, cmds + n, max - (uint32_t)n);
	if (ret < 0)
		return ret;
	n += ret;
	ret = state(dev, op, cmds + n, max - (uint32_t)n);
	return ret < 0 ? ret : n + ret;
}
