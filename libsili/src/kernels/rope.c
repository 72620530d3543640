// SPDX-License-Identifier: MIT
/*
 * Rotary embedding: pairs of a head's elements turned by an angle that goes
 * with position and pair. The halves of a pair are operands of their own, so
 * that interleaved pairs and halves of a head are the same program with other
 * strides.
 */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	X0 = 1,
	X1,
	COS, /* tables, or computed */
	SIN,
	POSITION,
	FREQ,
	PASS, /* what is not turned */
	Y0,
	Y1,
	PASS_OUT,
	T0,
	T1,
};

static void binary(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, uint8_t s1)
{
	tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0, .s1 = s1});
}

static void body(struct tiles *t)
{
	if (t->op[FREQ].use) {
		binary(t, X1_VEC_MUL, SIN, FREQ, POSITION);
		binary(t, X1_VEC_COS, COS, SIN, 0);
		binary(t, X1_VEC_SIN, SIN, SIN, 0);
	}
	binary(t, X1_VEC_MUL, T0, X0, COS);
	binary(t, X1_VEC_MUL, T1, X1, SIN);
	binary(t, X1_VEC_SUB, Y0, T0, T1);
	binary(t, X1_VEC_MUL, T1, X1, COS);
	tile_step(t,
		  &(struct tile_step){.op = X1_VEC_FMA, .dst = Y1, .s0 = X0, .s1 = SIN, .s2 = T1});
	if (t->op[PASS].use)
		binary(t, X1_VEC_MOV, PASS_OUT, PASS, 0);
}

/* Strides of a dimension of heads and one of tokens, in the order that the tiles have. */
static void outer(struct tile_operand *o, bool by_head, uint64_t head, uint64_t token)
{
	o->stride[1] = (int64_t)(by_head ? head : token);
	o->stride[2] = (int64_t)(by_head ? token : head);
}

/* Element `first` of a head and every step-th after it. */
static struct tile_operand part(enum tile_use use, enum x1_format fmt, uint64_t dva, uint32_t first,
				uint32_t step)
{
	return (struct tile_operand){
		.use = use, .fmt = fmt, .dva = dva + sili_fmt_bytes(fmt, first), .stride = {step}};
}

static bool strides_ok(struct sili_rope *r)
{
	if (!r->head_stride)
		r->head_stride = sili_fmt_bytes(r->fmt, r->dim);
	if (!r->token_stride)
		r->token_stride = r->head_stride * r->heads;
	if (!r->dst_head_stride)
		r->dst_head_stride = sili_fmt_bytes(r->fmt, r->dim);
	if (!r->dst_token_stride)
		r->dst_token_stride = r->dst_head_stride * r->heads;
	if (!r->table_stride)
		r->table_stride = r->rotate * 2ull;
	return r->head_stride <= INT32_MAX && r->token_stride <= INT32_MAX &&
	       r->dst_head_stride <= INT32_MAX && r->dst_token_stride <= INT32_MAX &&
	       r->table_stride <= INT32_MAX;
}

static int rope_of(struct sili_device *dev, struct sili_rope r, union x1_cmd *cmds, uint32_t max)
{
	bool by_head = r.heads > 1 && r.heads * 4 >= r.tokens / (dev->info.mcus_healthy + 1);
	uint32_t half, step, second;
	struct tiles t = {
		.family = SILI_KEY_ROPE, .whole_rows = true, .prefetch = r.prefetch, .body = body};

	if (!r.rotate)
		r.rotate = r.dim;
	if (!r.tokens || !r.heads || !r.dim || r.rotate > r.dim || r.rotate % 2 ||
	    (unsigned int)r.fmt >= X1_FMT_COUNT || x1_format_bits(r.fmt) < 8 ||
	    x1_format_is_int(r.fmt) || r.fmt == X1_FMT_E8M0)
		return -EINVAL;
	if ((uint64_t)r.heads * r.dim > INT32_MAX / 4)
		return -E2BIG;
	if (!strides_ok(&r))
		return -EINVAL;
	if (r.freq ? !r.positions || r.cos || r.sin : !r.cos || !r.sin || r.positions)
		return -EINVAL;
	half = r.rotate / 2;
	step = r.interleaved ? 2 : 1;
	second = r.interleaved ? 1 : half;
	t.dim[0] = half;
	t.dim[1] = by_head ? r.heads : r.tokens;
	t.dim[2] = by_head ? r.tokens : r.heads;
	t.op[X0] = part(TILE_IN, r.fmt, r.src, 0, step);
	t.op[X1] = part(TILE_IN, r.fmt, r.src, second, step);
	t.op[Y0] = part(TILE_OUT, r.fmt, r.dst, 0, step);
	t.op[Y1] = part(TILE_OUT, r.fmt, r.dst, second, step);
	if (r.rotate < r.dim && r.src != r.dst) {
		t.op[PASS] = part(TILE_IN, r.fmt, r.src, r.rotate, 1);
		t.op[PASS_OUT] = part(TILE_OUT, r.fmt, r.dst, r.rotate, 1);
		t.op[PASS].cols = t.op[PASS_OUT].cols = r.dim - r.rotate;
	}
	for (uint8_t i = X0; i <= PASS_OUT; i++)
		if (t.op[i].use)
			outer(&t.op[i], by_head,
			      t.op[i].use == TILE_IN ? r.head_stride : r.dst_head_stride,
			      t.op[i].use == TILE_IN ? r.token_stride : r.dst_token_stride);
	if (r.freq) {
		t.op[FREQ] = tile_vector(X1_FMT_FP32, r.freq);
		t.op[POSITION] = (struct tile_operand){
			.use = TILE_IN, .fmt = X1_FMT_INT32, .dva = r.positions};
		outer(&t.op[POSITION], by_head, 0, 4);
		t.op[COS] = t.op[SIN] = tile_temp(X1_FMT_FP32);
		/* One row of angles for all heads of a token. */
		outer(&t.op[COS], by_head, 0, 1);
		outer(&t.op[SIN], by_head, 0, 1);
	} else {
		t.op[COS] = part(TILE_IN, X1_FMT_FP32, r.cos, 0, 1);
		t.op[SIN] = part(TILE_IN, X1_FMT_FP32, r.sin, 0, 1);
		outer(&t.op[COS], by_head, 0, r.table_stride);
		outer(&t.op[SIN], by_head, 0, r.table_stride);
	}
	t.op[T0] = t.op[T1] = tile_temp(X1_FMT_FP32);
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_rope(struct sili_device *dev, const struct sili_rope *op, union x1_cmd *cmds,
			  uint32_t max)
{
	return op->size == sizeof(*op) ? rope_of(dev, *op, cmds, max) : -EINVAL;
}
