/* SPDX-License-Identifier: MIT */
/*
 * VECTOR's element-wise loops, written for the compiler to vectorise. The
 * including file defines V_ADD, V_MUL and V_FMA: the host's operation where
 * flush-to-zero mode is on, else the portable one of x1_flush.h.
 */
#include "x1/x1_isa.h"
#include "x1_vec.h"
#include "x1_vecfn.h"

#define EACH(expr)                                             \
	do {                                                   \
		for (unsigned int i = 0; i < X1_VEC_STEP; i++) \
			y[i] = (expr);                         \
	} while (0)

/* Sources read with flush; results with canonical NaN. */
static void take(float *restrict d, const float *restrict s)
{
	for (unsigned int i = 0; i < X1_VEC_STEP; i++)
		d[i] = x1_flush(s[i]);
}

static void finish(float *restrict y)
{
	for (unsigned int i = 0; i < X1_VEC_STEP; i++) {
		uint32_t u = x1_f32_bits(y[i]);

		y[i] = x1_bits_f32((u & 0x7fffffffu) > 0x7f800000u ? X1_CANONICAL_NAN : u);
	}
}

/*
 * Order of the numbers as integers: -inf .. -0, +0 .. +inf. NaN is handled by
 * the callers.
 */
static inline int32_t ordered(uint32_t u)
{
	return (int32_t)(u ^ ((uint32_t)((int32_t)u >> 31) >> 1));
}

static inline bool is_nan(uint32_t u)
{
	return (u & 0x7fffffffu) > 0x7f800000u;
}

/* IEEE 754-2019 minimum and maximum: NaN wins, -0 is less than +0. */
static inline float maximum(float a, float b)
{
	uint32_t ua = x1_f32_bits(a), ub = x1_f32_bits(b);
	uint32_t r = ordered(ua) > ordered(ub) ? ua : ub;

	return x1_bits_f32(is_nan(ua) || is_nan(ub) ? X1_CANONICAL_NAN : r);
}

static inline float minimum(float a, float b)
{
	uint32_t ua = x1_f32_bits(a), ub = x1_f32_bits(b);
	uint32_t r = ordered(ua) < ordered(ub) ? ua : ub;

	return x1_bits_f32(is_nan(ua) || is_nan(ub) ? X1_CANONICAL_NAN : r);
}

static inline float absolute(float a)
{
	return x1_bits_f32(x1_f32_bits(a) & 0x7fffffffu);
}

static void sin_cos(float *restrict y, const float *restrict x, uint64_t quadrant)
{
	EACH(fn_sin_small(x[i], quadrant));
	for (unsigned int i = 0; i < X1_VEC_STEP; i++)
		if (fn_is_large(x[i]))
			y[i] = x[i] - x[i] == 0 ? fn_sin_large(x[i], quadrant) : x[i] - x[i];
}

static void clamp(float *restrict d, const float *restrict s, float lo, float hi)
{
	for (unsigned int i = 0; i < X1_VEC_STEP; i++) {
		float v = s[i] < lo ? lo : s[i];

		d[i] = v > hi ? hi : v;
	}
}

static void unary(unsigned int op, float *restrict y, const float *restrict a)
{
	float x[X1_VEC_STEP], c[X1_VEC_STEP], low[X1_VEC_STEP];

	take(x, a);
	switch (op) {
	case X1_VEC_NEG:
		EACH(x1_bits_f32(x1_f32_bits(x[i]) ^ 0x80000000u));
		break;
	case X1_VEC_ABS:
		EACH(absolute(x[i]));
		break;
	case X1_VEC_RELU:
		/* Negative numbers and -0 give +0, NaN stays. */
		EACH(x1_bits_f32((int32_t)x1_f32_bits(x[i]) >= 0 || x[i] != x[i] ? x1_f32_bits(x[i])
										 : 0));
		break;
	case X1_VEC_RECIP:
		EACH(x1_fn_div(1.0f, x[i]));
		break;
	case X1_VEC_SQRT:
		EACH(x1_fn_sqrt(x[i]));
		break;
	case X1_VEC_RSQRT:
		EACH(x1_fn_rsqrt(x[i]));
		break;
	case X1_VEC_EXP:
		clamp(c, x, -FN_EXP_LIMIT, FN_EXP_LIMIT);
		EACH(x1_fn_exp(c[i]));
		break;
	case X1_VEC_LOG:
		EACH(x1_fn_log(x[i]));
		break;
	case X1_VEC_SIGMOID:
		clamp(c, x, -FN_EXP_LIMIT, FN_EXP_LIMIT);
		EACH(x1_fn_sigmoid(c[i]));
		break;
	case X1_VEC_TANH:
		clamp(c, x, -FN_TANH_LIMIT, FN_TANH_LIMIT);
		EACH(x1_fn_tanh(c[i]));
		break;
	case X1_VEC_GELU:
		clamp(c, x, -FN_GELU_LIMIT, FN_GELU_LIMIT);
		clamp(low, x, -FN_GELU_LIMIT, INFINITY);
		EACH(x1_fn_gelu(low[i], c[i]));
		break;
	case X1_VEC_SILU:
		clamp(c, x, -FN_EXP_LIMIT, FN_EXP_LIMIT);
		clamp(low, x, -FN_EXP_LIMIT, INFINITY);
		EACH(x1_fn_silu(low[i], c[i]));
		break;
	case X1_VEC_SIN:
		sin_cos(y, x, 0);
		break;
	case X1_VEC_COS:
		sin_cos(y, x, 1);
		break;
	default: /* MOV */
		EACH(x[i]);
		break;
	}
	finish(y);
}

static void binary(unsigned int op, float *restrict y, const float *restrict a,
		   const float *restrict b)
{
	float x[X1_VEC_STEP], z[X1_VEC_STEP];

	take(x, a);
	take(z, b);
	switch (op) {
	case X1_VEC_SUB:
		EACH(V_ADD(x[i], -z[i]));
		break;
	case X1_VEC_MUL:
		EACH(V_MUL(x[i], z[i]));
		break;
	case X1_VEC_DIV:
		EACH(x1_fn_div(x[i], z[i]));
		break;
	case X1_VEC_MIN:
		EACH(minimum(x[i], z[i]));
		break;
	case X1_VEC_MAX:
		EACH(maximum(x[i], z[i]));
		break;
	case X1_VEC_CMPLT:
		EACH(x[i] < z[i] ? 1.0f : 0.0f);
		break;
	case X1_VEC_CMPLE:
		EACH(x[i] <= z[i] ? 1.0f : 0.0f);
		break;
	case X1_VEC_CMPEQ:
		EACH(x[i] == z[i] ? 1.0f : 0.0f);
		break;
	default: /* ADD */
		EACH(V_ADD(x[i], z[i]));
		break;
	}
	finish(y);
}

static void ternary(unsigned int op, float *restrict y, const float *restrict a,
		    const float *restrict b, const float *restrict c)
{
	float x[X1_VEC_STEP], z[X1_VEC_STEP], w[X1_VEC_STEP];

	take(x, a);
	take(z, b);
	take(w, c);
	if (op == X1_VEC_SELECT)
		EACH(x1_bits_f32(x1_f32_bits(x[i]) << 1 ? x1_f32_bits(z[i]) : x1_f32_bits(w[i])));
	else
		EACH(V_FMA(x[i], z[i], w[i]));
	finish(y);
}

static void reduce(unsigned int op, float *restrict y, const float *restrict a)
{
	float x[X1_VEC_STEP];

	take(x, a);
	switch (op) {
	case X1_VEC_RMAX:
		EACH(maximum(y[i], x[i]));
		break;
	case X1_VEC_RMIN:
		EACH(minimum(y[i], x[i]));
		break;
	case X1_VEC_RSUMSQ:
		EACH(V_FMA(x[i], x[i], y[i]));
		break;
	case X1_VEC_RAMAX:
		EACH(maximum(y[i], absolute(x[i])));
		break;
	default: /* RSUM */
		EACH(V_ADD(y[i], x[i]));
		break;
	}
}
