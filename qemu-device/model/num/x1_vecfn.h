/* SPDX-License-Identifier: MIT */
/*
 * VECTOR's functions to the bit (manual: Numerics, "VECTOR functions").
 *
 * Everything is IEEE binary64 addition, subtraction, multiplication, division
 * and square root in the order written here, without fused operations, then
 * one rounding to FP32 with flush: the same bits on every host. Branch-free, so
 * that loops over them vectorise. Arguments are flushed FP32 values.
 */
#ifndef X1_VECFN_H
#define X1_VECFN_H

#include <math.h>

#include "x1_num.h"

static inline uint64_t fn_f64_bits(double d)
{
	union {
		double d;
		uint64_t u;
	} v = {.d = d};

	return v.u;
}

static inline double fn_bits_f64(uint64_t u)
{
	union {
		uint64_t u;
		double d;
	} v = {.u = u};

	return v.d;
}

/* Adding it leaves the nearest integer in the low bits of the sum. */
#define FN_ROUND 0x1.8p52

/* Halfway between 2^-126 and its lower neighbour of 24 bits: the tie goes up. */
#define FN_FLUSH (0x1p-126 - 0x1p-151)

/* To FP32 with flush; any NaN is made canonical by the caller. */
static inline float fn_f32(double d)
{
	uint32_t u = x1_f32_bits((float)d);

	return x1_bits_f32(fabs(d) < FN_FLUSH ? u & 0x80000000u : u);
}

/* which (0 or 1) ? a : b */
static inline double fn_select(uint64_t which, double a, double b)
{
	return fn_bits_f64((fn_f64_bits(a) & -which) | (fn_f64_bits(b) & (which - 1)));
}

static inline float fn_copysign(float mag, float sign)
{
	return x1_bits_f32((x1_f32_bits(mag) & 0x7fffffffu) | (x1_f32_bits(sign) & 0x80000000u));
}

/*
 * e^x = 2^n * (1 + p): returns p and stores 2^n, |x| <= 700. p keeps its
 * relative accuracy near x = 0. The coefficients are 1/k! rounded to binary64.
 */
static inline double fn_exp(double x, double *pow2)
{
	double t = x * 0x1.71547652b82fep+0 + FN_ROUND; /* log2(e) */
	double n = t - FN_ROUND;
	double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33; /* ln 2 in two parts */
	double p = 1.0 / 39916800;

	p = p * r + 1.0 / 3628800;
	p = p * r + 1.0 / 362880;
	p = p * r + 1.0 / 40320;
	p = p * r + 1.0 / 5040;
	p = p * r + 1.0 / 720;
	p = p * r + 1.0 / 120;
	p = p * r + 1.0 / 24;
	p = p * r + 1.0 / 6;
	p = p * r + 0.5;
	p = p * r + 1.0;
	*pow2 = fn_bits_f64((fn_f64_bits(t) << 52) + 0x3ff0000000000000u);
	return p * r;
}

/*
 * Functions whose argument is clamped to +-limit take it so: beyond the limit
 * the FP32 result no longer changes. Callers clamp in a loop of its own, which
 * keeps compilers from splitting these into branches. NaN stays NaN.
 */
#define FN_EXP_LIMIT  104.0f
#define FN_TANH_LIMIT 52.0f
#define FN_GELU_LIMIT 15.0f

static inline float x1_fn_exp(float x)
{
	double s, p = fn_exp(x, &s);

	return fn_f32(s * p + s);
}

/* x = 2^e * m, m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)). */
static inline float x1_fn_log(float x)
{
	uint32_t u = x1_f32_bits(x);
	int32_t e = (int32_t)(u - 0x3f3504f3u) >> 23;
	double m = x1_bits_f32(u - ((uint32_t)e << 23));
	double s = (m - 1.0) / (m + 1.0);
	double z = s * s, p = 1.0 / 19;
	float r, special;

	p = p * z + 1.0 / 17;
	p = p * z + 1.0 / 15;
	p = p * z + 1.0 / 13;
	p = p * z + 1.0 / 11;
	p = p * z + 1.0 / 9;
	p = p * z + 1.0 / 7;
	p = p * z + 1.0 / 5;
	p = p * z + 1.0 / 3;
	p = p * z + 1.0;
	r = fn_f32((double)e * 0x1.62e42fefa39efp-1 + (s + s) * p);
	/* 0: -inf; negative: NaN; +inf and NaN: themselves. */
	special = x1_bits_f32(u & 0x7fffffffu ? (u >> 31 ? X1_CANONICAL_NAN : u) : 0xff800000u);
	return u - 1 < 0x7f7fffffu ? r : special;
}

/* 1 / (1 + e^-x) */
static inline float x1_fn_sigmoid(float x)
{
	double s, p = fn_exp(-(double)x, &s);

	return fn_f32(1.0 / (1.0 + (s * p + s)));
}

/* low / (1 + e^-x), low = max(x, -limit); so -inf gives -0. */
static inline float x1_fn_silu(float low, float x)
{
	double s, p = fn_exp(-(double)x, &s);

	return fn_f32(low / (1.0 + (s * p + s)));
}

/* With q = e^(-2|x|) - 1: -q / (q + 2), sign of x. */
static inline float x1_fn_tanh(float x)
{
	double s, p = fn_exp(-2.0 * fabs((double)x), &s);
	double q = s * p + (s - 1.0);

	return fn_copysign(fn_f32(-q / (q + 2.0)), x);
}

/*
 * low * P(X <= x) for a standard normal X ("exact" or erf GELU), low = max(x, -limit).
 * The tail P(X <= -y) is e^(-y*y/2) * Q(t) / (y + 4), t = (y - 4) / (y + 4), with
 * Q fitted on 0 <= y <= 15 to a relative error of 7e-13.
 */
static inline float x1_fn_gelu(float low, float x)
{
	double y = fabs((double)x);
	double inv = 1.0 / (y + 4.0);
	double t = (y - 4.0) * inv;
	double s, e = fn_exp(-0.5 * (y * y), &s);
	double q = -0x1.6d8cfe8b58fafp-20;

	q = q * t + -0x1.6647be659d35cp-18;
	q = q * t + 0x1.b5e80fa70c132p-20;
	q = q * t + 0x1.27339e4a3bf86p-15;
	q = q * t + -0x1.3284ec38288c8p-19;
	q = q * t + -0x1.e4dbf632915c1p-13;
	q = q * t + 0x1.17c9cc2af1393p-13;
	q = q * t + 0x1.ab843a4c58b15p-10;
	q = q * t + -0x1.c81749678b7afp-9;
	q = q * t + -0x1.ee276d591b943p-8;
	q = q * t + 0x1.eec4cc4eab860p-5;
	q = q * t + -0x1.7dff2bfb92e82p-3;
	q = q * t + 0x1.8c6dbf2d0aa04p-2;
	q = q * t + -0x1.373e3a893e6a1p-1;
	q = q * t + 0x1.82b4bb8c94c3cp-1;
	q = q * inv * (s * e + s);
	return fn_f32(low * fn_select(x1_f32_bits(x) >> 31, q, 1.0 - q));
}

/* sin of r + quadrant * pi/2, |r| <= pi/4; Taylor coefficients rounded to binary64. */
static inline float fn_sin_quadrant(double r, uint64_t quadrant)
{
	double z = r * r, s = -1.0 / 1307674368000, c = 1.0 / 20922789888000;
	double v;

	s = s * z + 1.0 / 6227020800;
	s = s * z - 1.0 / 39916800;
	s = s * z + 1.0 / 362880;
	s = s * z - 1.0 / 5040;
	s = s * z + 1.0 / 120;
	s = s * z - 1.0 / 6;
	s = r * (s * z + 1.0);
	c = c * z - 1.0 / 87178291200;
	c = c * z + 1.0 / 479001600;
	c = c * z - 1.0 / 3628800;
	c = c * z + 1.0 / 40320;
	c = c * z - 1.0 / 720;
	c = c * z + 1.0 / 24;
	c = c * z - 0.5;
	c = c * z + 1.0;
	v = fn_select(quadrant & 1, c, s);
	return fn_f32(fn_bits_f64(fn_f64_bits(v) ^ (quadrant & 2) << 62));
}

/* |x| < 2^25: x = r + n * pi/2 with pi/2 in parts of 27, 27 and 53 bits. */
static inline float fn_sin_small(double x, uint64_t quadrant)
{
	double t = x * 0x1.45f306dc9c883p-1 + FN_ROUND; /* 2/pi */
	double n = t - FN_ROUND;
	double r = ((x - n * 0x1.921fb54p+0) - n * 0x1.10b4610p-30) - n * 0x1.a62633145c06ep-58;

	return fn_sin_quadrant(r, fn_f64_bits(t) + quadrant);
}

/* |x| >= 2^25, finite: x * 2/pi modulo 4 from the bits of 2/pi that matter. */
static inline float fn_sin_large(float x, uint64_t quadrant)
{
	static const uint32_t two_over_pi[] = {0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u,
					       0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u};
	uint32_t u = x1_f32_bits(x);
	uint64_t m = (u & 0x7fffffu) | 0x800000u;
	uint32_t skip = (u >> 23 & 0xff) - 152; /* x = m * 2^(skip + 2) */
	const uint32_t *w = two_over_pi + skip / 32;
	uint64_t turn = 0, n;
	double r;

	/* Fraction of a turn in 64 bits: m * 2/pi / 4. */
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t pair = (uint64_t)w[i] << 32 | w[i + 1];
		uint64_t bits = m * (uint32_t)(pair << skip % 32 >> 32);

		turn += i == 0 ? bits << 32 : i == 1 ? bits : bits >> 32;
	}
	n = (turn + (1ull << 61)) >> 62;
	r = (double)(int64_t)(turn - (n << 62)) * 0x1.921fb54442d18p-62;
	if (u >> 31) {
		r = -r;
		n = -n;
	}
	return fn_sin_quadrant(r, n + quadrant);
}

static inline bool fn_is_large(float x)
{
	return fabsf(x) >= 0x1p25f;
}

/* Correctly rounded; rsqrt rounds the root and the quotient to binary64 first. */
static inline float x1_fn_div(float a, float b)
{
	return fn_f32((double)a / b);
}

static inline float x1_fn_sqrt(float x)
{
	return fn_f32(sqrt((double)x));
}

static inline float x1_fn_rsqrt(float x)
{
	return fn_f32(1.0 / sqrt((double)x));
}

#endif /* X1_VECFN_H */
