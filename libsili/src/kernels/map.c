// SPDX-License-Identifier: MIT
/*
 * Element-wise operations with broadcasting and conversion. Dimensions that
 * lie one behind the other in every operand are one; what is left and is
 * largest becomes the tile's rows.
 */
#include <string.h>

#include "sili_kernels.h"
#include "tiles.h"

enum {
	A = 1,
	B,
	C,
	DST,
	NUM,
};

enum {
	P_OP,
	P_B,
	P_C,
};

struct map {
	uint64_t dim[TILE_DIMS];
	struct sili_tensor x[NUM]; /* unused ones have no fmt of their own: dva 0 */
	bool used[NUM];
	uint32_t sources;
};

static uint32_t sources_of(enum x1_vec_op op)
{
	if ((int)op >= X1_VEC_MOV && op <= X1_VEC_COS)
		return 1;
	if (op >= X1_VEC_ADD && op <= X1_VEC_CMPEQ)
		return 2;
	return op == X1_VEC_FMA || op == X1_VEC_SELECT ? 3 : 0;
}

/* ---- dimensions ---- */

static bool tensor_ok(const struct map *m, const struct sili_tensor *x, bool out)
{
	uint32_t bits = x1_format_bits(x->fmt);
	bool spread = m->dim[0] > 1 && x->stride[0] != 1;

	if ((unsigned int)x->fmt >= X1_FMT_COUNT || x->fmt == X1_FMT_E8M0 || !x->dva)
		return false;
	/* Elements below a byte lie in dense rows of whole bytes. */
	if (bits < 8 && (spread || m->dim[0] * bits % 8))
		return false;
	for (uint32_t i = 0; i < TILE_DIMS; i++)
		if (x->stride[i] < 0 || x->stride[i] > INT32_MAX ||
		    (out && m->dim[i] > 1 && !x->stride[i]))
			return false;
	return true;
}

/* Does dimension i + 1 go on where dimension i ends? */
static bool joins(const struct map *m, uint32_t i)
{
	for (uint32_t k = A; k < NUM; k++) {
		const struct sili_tensor *x = &m->x[k];
		int64_t end;

		if (!m->used[k])
			continue;
		if (i)
			end = x->stride[i] * (int64_t)m->dim[i];
		else if (m->dim[0] * x1_format_bits(x->fmt) % 8)
			return false;
		else
			end = x->stride[0] * (int64_t)sili_fmt_bytes(x->fmt, m->dim[0]);
		if (x->stride[i + 1] != end)
			return false;
	}
	return m->dim[i] * m->dim[i + 1] <= UINT32_MAX;
}

static void drop(struct map *m, uint32_t i)
{
	for (; i + 1 < TILE_DIMS; i++) {
		m->dim[i] = m->dim[i + 1];
		for (uint32_t k = A; k < NUM; k++)
			m->x[k].stride[i] = m->x[k].stride[i + 1];
	}
	m->dim[TILE_DIMS - 1] = 1;
	for (uint32_t k = A; k < NUM; k++)
		m->x[k].stride[TILE_DIMS - 1] = 0;
}

static void swap_dims(struct map *m, uint32_t i, uint32_t j)
{
	uint64_t dim = m->dim[i];

	m->dim[i] = m->dim[j];
	m->dim[j] = dim;
	for (uint32_t k = A; k < NUM; k++) {
		int64_t stride = m->x[k].stride[i];

		m->x[k].stride[i] = m->x[k].stride[j];
		m->x[k].stride[j] = stride;
	}
}

static void fold(struct map *m)
{
	/* Strides of single elements say nothing. */
	for (uint32_t i = 0; i < TILE_DIMS; i++)
		if (m->dim[i] == 1)
			for (uint32_t k = A; k < NUM; k++)
				m->x[k].stride[i] = i ? 0 : 1;
	for (uint32_t n = TILE_DIMS; n > 1; n--)
		if (m->dim[n - 1] == 1)
			drop(m, n - 1);
	for (uint32_t i = 0; i + 1 < TILE_DIMS;) {
		if (m->dim[i + 1] > 1 && joins(m, i)) {
			m->dim[i] *= m->dim[i + 1];
			drop(m, i + 1);
		} else {
			i++;
		}
	}
	for (uint32_t i = 2; i < TILE_DIMS; i++)
		if (m->dim[i] > m->dim[1])
			swap_dims(m, 1, i);
}

/* ---- kernel ---- */

static void body(struct tiles *t)
{
	tile_step(t, &(struct tile_step){.op = (enum x1_vec_op)t->param[P_OP],
					 .dst = DST,
					 .s0 = A,
					 .s1 = t->op[B].use ? B : 0,
					 .s2 = t->op[C].use ? C : 0,
					 .imm1 = tile_float(t->param[P_B]),
					 .imm2 = tile_float(t->param[P_C])});
}

/* The scalar's bits: INT32 where everything is an integer. */
static uint64_t scalar_bits(const struct map *m, float value)
{
	int32_t i = value >= 2147483648.0f ? INT32_MAX : value <= -2147483648.0f ? INT32_MIN : 0;
	uint32_t u;

	for (uint32_t k = A; k < NUM; k++) {
		if (m->used[k] && !x1_format_is_int(m->x[k].fmt)) {
			memcpy(&u, &value, 4);
			return u;
		}
	}
	return (uint32_t)(i ? i : (int32_t)value);
}

static int launch(struct sili_device *dev, struct map *m, enum x1_vec_op op, float b, float c,
		  enum sili_prefetch prefetch, union x1_cmd *cmds, uint32_t max)
{
	struct tiles t = {.family = SILI_KEY_MAP, .prefetch = prefetch};

	fold(m);
	memcpy(t.dim, m->dim, sizeof(t.dim));
	t.param[P_OP] = op;
	for (uint32_t k = A; k < NUM; k++) {
		if (!m->used[k])
			continue;
		t.op[k] = (struct tile_operand){.use = k == DST ? TILE_OUT : TILE_IN,
						.fmt = m->x[k].fmt,
						.dva = m->x[k].dva};
		memcpy(t.op[k].stride, m->x[k].stride, sizeof(t.op[k].stride));
	}
	if (m->sources > 1 && !m->used[B])
		t.param[P_B] = scalar_bits(m, b);
	if (m->sources > 2 && !m->used[C])
		t.param[P_C] = scalar_bits(m, c);
	/* STORE converts by itself what it stores as it was loaded. */
	if (op == X1_VEC_MOV && m->x[A].stride[0] && (m->x[A].stride[1] || m->dim[1] == 1))
		t.op[DST].from = A;
	else
		t.body = body;
	/* A tile's only row is a row like others, not one for all of them. */
	if (t.dim[1] == 1)
		for (uint32_t k = A; k < NUM; k++)
			t.op[k].stride[1] = (int64_t)sili_fmt_bytes(t.op[k].fmt, t.dim[0]);
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_map(struct sili_device *dev, const struct sili_map *op, union x1_cmd *cmds,
			 uint32_t max)
{
	struct map m = {.x = {[A] = op->a, [B] = op->b, [C] = op->c, [DST] = op->dst}};

	m.sources = sources_of(op->op);
	if (op->size != sizeof(*op) || !m.sources)
		return -EINVAL;
	m.used[A] = m.used[DST] = true;
	m.used[B] = m.sources > 1 && op->b.dva;
	m.used[C] = m.sources > 2 && op->c.dva;
	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (!op->dim[i])
			return -EINVAL;
		m.dim[i] = op->dim[i];
	}
	for (uint32_t k = A; k < NUM; k++)
		if (m.used[k] && !tensor_ok(&m, &m.x[k], k == DST))
			return -EINVAL;
	return launch(dev, &m, op->op, op->b_scalar, op->c_scalar, op->prefetch, cmds, max);
}

/* ---- sili_eltwise(): dense matrices ---- */

static struct sili_tensor dense(enum x1_format fmt, uint64_t dva, uint32_t cols, bool one_row)
{
	return (struct sili_tensor){
		.fmt = fmt,
		.dva = dva,
		.stride = {1, one_row ? 0 : (int64_t)sili_fmt_bytes(fmt, cols)}};
}

SILI_EXPORT int sili_eltwise(struct sili_device *dev, const struct sili_eltwise *op,
			     union x1_cmd *cmds, uint32_t max)
{
	struct sili_map m = {.size = sizeof(m),
			     .op = op->op,
			     .dim = {op->cols, op->rows, 1, 1},
			     .dst = dense(op->dst_fmt, op->dst, op->cols, false),
			     .a = dense(op->a_fmt, op->a, op->cols, false)};
	static const uint8_t reductions[] = {
		[X1_VEC_RSUM - X1_VEC_RSUM] = SILI_REDUCE_SUM,
		[X1_VEC_RMAX - X1_VEC_RSUM] = SILI_REDUCE_MAX,
		[X1_VEC_RSUMSQ - X1_VEC_RSUM] = SILI_REDUCE_SUMSQ,
		[X1_VEC_RAMAX - X1_VEC_RSUM] = SILI_REDUCE_AMAX,
	};

	if (op->size != sizeof(*op) || (op->b_row && sources_of(op->op) != 2))
		return -EINVAL;
	if (op->op >= X1_VEC_RSUM && op->op <= X1_VEC_RAMAX) {
		struct sili_reduce r = {.size = sizeof(r),
					.op = (enum sili_reduce_op)reductions[op->op - X1_VEC_RSUM],
					.rows = op->rows,
					.cols = op->cols,
					.src_fmt = op->a_fmt,
					.dst_fmt = op->dst_fmt,
					.src = op->a,
					.dst = op->dst};

		return op->cols > TILE_ROW ? -E2BIG : sili_reduce(dev, &r, cmds, max);
	}
	if (sources_of(op->op) == 3 || (sources_of(op->op) == 2 && !op->b))
		return -EINVAL;
	if (sources_of(op->op) == 2)
		m.b = dense(op->b_fmt, op->b, op->cols, op->b_row);
	return sili_map(dev, &m, cmds, max);
}
