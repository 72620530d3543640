// SPDX-License-Identifier: MIT
/* VECTOR: portable loops, reductions, integers, and the choice of the host path. */
#include <string.h>

#include "x1_flush.h"
#include "x1_mm_path.h"

#define V_ADD(a, b)    x1_add(a, b)
#define V_MUL(a, b)    x1_mul(a, b)
#define V_FMA(a, b, c) x1_fma(a, b, c)

#include "x1_vec_simd.h"

const struct x1_vec_path x1_vec_path_portable = {
	.unary = unary,
	.binary = binary,
	.ternary = ternary,
	.reduce = reduce,
};

static size_t step(size_t n)
{
	return n < X1_VEC_STEP ? n : X1_VEC_STEP;
}

/* The next `count` elements, X1_VEC_STEP readable ones: the source itself or a copy in buf. */
static const float *window(const float *src, size_t count, float *buf)
{
	if (count == X1_VEC_STEP)
		return src;
	memcpy(buf, src, count * sizeof(float));
	memset(buf + count, 0, (X1_VEC_STEP - count) * sizeof(float));
	return buf;
}

void x1_vec_unary(unsigned int op, float *dst, const float *a, size_t n)
{
	const struct x1_vec_path *path = x1_mm_path()->vec;
	uint32_t fp = x1_fp_enter();
	float y[X1_VEC_STEP], t[X1_VEC_STEP];

	for (size_t i = 0, count; i < n; i += count) {
		count = step(n - i);
		path->unary(op, y, window(a + i, count, t));
		memcpy(dst + i, y, count * sizeof(float));
	}
	x1_fp_leave(fp);
}

void x1_vec_binary(unsigned int op, float *dst, const float *a, const float *b, size_t n)
{
	const struct x1_vec_path *path = x1_mm_path()->vec;
	uint32_t fp = x1_fp_enter();
	float y[X1_VEC_STEP], t[2][X1_VEC_STEP];

	for (size_t i = 0, count; i < n; i += count) {
		count = step(n - i);
		path->binary(op, y, window(a + i, count, t[0]), window(b + i, count, t[1]));
		memcpy(dst + i, y, count * sizeof(float));
	}
	x1_fp_leave(fp);
}

void x1_vec_ternary(unsigned int op, float *dst, const float *a, const float *b, const float *c,
		    size_t n)
{
	const struct x1_vec_path *path = x1_mm_path()->vec;
	uint32_t fp = x1_fp_enter();
	float y[X1_VEC_STEP], t[3][X1_VEC_STEP];

	for (size_t i = 0, count; i < n; i += count) {
		count = step(n - i);
		path->ternary(op, y, window(a + i, count, t[0]), window(b + i, count, t[1]),
			      window(c + i, count, t[2]));
		memcpy(dst + i, y, count * sizeof(float));
	}
	x1_fp_leave(fp);
}

/* Lowest index of the maximum; a NaN is above all, -0 equals +0. */
static uint32_t argmax(const float *a, size_t n)
{
	size_t best = 0;

	for (size_t i = 0; i < n; i++) {
		if (a[i] != a[i])
			return (uint32_t)i;
		if (x1_flush(a[i]) > x1_flush(a[best]))
			best = i;
	}
	return (uint32_t)best;
}

/*
 * Lane l takes elements l, l + 64, .. in rising order; then lane l takes lane
 * l + 32, 16, .. 1. A maximum starts from -inf, a minimum from
 * +inf, the others from +0.
 */
uint32_t x1_vec_reduce(unsigned int op, const float *a, size_t n)
{
	const struct x1_vec_path *path = x1_mm_path()->vec;
	float lane[X1_VEC_STEP], t[X1_VEC_STEP];
	float start = op == X1_VEC_RMAX ? -INFINITY : op == X1_VEC_RMIN ? INFINITY : 0.0f;
	unsigned int tree = op == X1_VEC_RSUMSQ ? X1_VEC_RSUM : op;
	uint32_t fp, r;

	if (op == X1_VEC_RARGMAX)
		return argmax(a, n);
	fp = x1_fp_enter();
	for (unsigned int i = 0; i < X1_VEC_STEP; i++)
		lane[i] = start;
	for (size_t i = 0, count; i < n; i += count) {
		count = step(n - i);
		/* What pads a short step must not change a lane. */
		for (size_t l = 0; l < X1_VEC_STEP; l++)
			t[l] = l < count ? a[i + l] : start;
		path->reduce(op, lane, t);
	}
	for (unsigned int half = X1_VEC_STEP / 2; half; half /= 2) {
		for (unsigned int l = 0; l < X1_VEC_STEP; l++)
			t[l] = l < half ? lane[l + half] : start;
		path->reduce(tree, lane, t);
	}
	x1_fp_leave(fp);
	r = x1_f32_bits(lane[0]);
	return is_nan(r) ? X1_CANONICAL_NAN : r;
}

/* ---- INT32 ---- */

bool x1_vec_has_int(unsigned int op)
{
	switch (op) {
	case X1_VEC_MOV:
	case X1_VEC_NEG:
	case X1_VEC_ABS:
	case X1_VEC_RELU:
	case X1_VEC_ADD:
	case X1_VEC_SUB:
	case X1_VEC_MUL:
	case X1_VEC_MIN:
	case X1_VEC_MAX:
	case X1_VEC_CMPLT:
	case X1_VEC_CMPLE:
	case X1_VEC_CMPEQ:
	case X1_VEC_FMA:
	case X1_VEC_SELECT:
	case X1_VEC_RSUM:
	case X1_VEC_RMAX:
	case X1_VEC_RSUMSQ:
	case X1_VEC_RAMAX:
	case X1_VEC_RARGMAX:
	case X1_VEC_RSUMSQD:
	case X1_VEC_RMIN:
	case X1_VEC_GATHER:
	case X1_VEC_SCATTER_ADD:
	case X1_VEC_MASK:
		return true;
	default:
		return false;
	}
}

static uint32_t int_abs(uint32_t x)
{
	return x >> 31 ? -x : x;
}

static uint32_t int_op(unsigned int op, uint32_t a, uint32_t b, uint32_t c)
{
	int32_t x = (int32_t)a, z = (int32_t)b;

	switch (op) {
	case X1_VEC_NEG:
		return -a;
	case X1_VEC_ABS:
		return int_abs(a);
	case X1_VEC_RELU:
		return x > 0 ? a : 0;
	case X1_VEC_ADD:
		return a + b;
	case X1_VEC_SUB:
		return a - b;
	case X1_VEC_MUL:
		return a * b;
	case X1_VEC_MIN:
		return x < z ? a : b;
	case X1_VEC_MAX:
		return x > z ? a : b;
	case X1_VEC_CMPLT:
		return x < z;
	case X1_VEC_CMPLE:
		return x <= z;
	case X1_VEC_CMPEQ:
		return x == z;
	case X1_VEC_FMA:
		return a * b + c;
	case X1_VEC_SELECT:
		return a ? b : c;
	default: /* MOV */
		return a;
	}
}

void x1_vec_int(unsigned int op, int32_t *dst, const int32_t *a, const int32_t *b, const int32_t *c,
		size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (int32_t)int_op(op, (uint32_t)a[i], b ? (uint32_t)b[i] : 0,
					 c ? (uint32_t)c[i] : 0);
}

int32_t x1_vec_reduce_int(unsigned int op, const int32_t *a, size_t n)
{
	uint32_t r = op == X1_VEC_RMAX ? 0x80000000u : op == X1_VEC_RMIN ? 0x7fffffffu : 0;
	size_t best = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t x = (uint32_t)a[i];

		if (a[i] > a[best])
			best = i;
		if (op == X1_VEC_RSUM)
			r += x;
		else if (op == X1_VEC_RSUMSQ)
			r += x * x;
		else if (op == X1_VEC_RMAX)
			r = a[i] > (int32_t)r ? x : r;
		else if (op == X1_VEC_RMIN)
			r = a[i] < (int32_t)r ? x : r;
		else /* RAMAX: unsigned, |INT32_MIN| is the largest */
			r = int_abs(x) > r ? int_abs(x) : r;
	}
	return op == X1_VEC_RARGMAX ? (int32_t)best : (int32_t)r;
}
