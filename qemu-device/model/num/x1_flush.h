/* SPDX-License-Identifier: MIT */
/*
 * FP32 operations with the X1's flush in portable C: the result is rounded to
 * 24 bits with unbounded exponent and becomes a zero of its sign below 2^-126.
 *
 * The host's own rounding differs in one case: a result just below 2^-126
 * that subnormal rounding brings up to 2^-126. There the exact result decides;
 * it is recovered in double, where products of FP32 values are exact.
 */
#ifndef X1_FLUSH_H
#define X1_FLUSH_H

#include <math.h>

#include "x1_num.h"

/* Exact a * b + c as an unevaluated sum hi + lo, far from double's limits. */
static inline bool x1_rounds_below_min(double p, double c, float r)
{
	/* Halfway between 2^-126 and its lower neighbour of 24 bits; ties go up. */
	const double half = 0x1p-126 - 0x1p-151;
	double s = p + c;
	double t = s - p;
	double err = (p - (s - t)) + (c - t);

	if (r < 0) {
		s = -s;
		err = -err;
	}
	return s < half || (s == half && err < 0);
}

static inline float x1_flush_result(float r, double p, double c)
{
	uint32_t mag = x1_f32_bits(r) & 0x7fffffffu;

	if (mag > 0x00800000u)
		return r;
	if (mag == 0x00800000u && !x1_rounds_below_min(p, c, r))
		return r;
	return x1_bits_f32(x1_f32_bits(r) & 0x80000000u);
}

/* Operands are flushed already (they come from unpacking or earlier results). */
static inline float x1_fma(float a, float b, float c)
{
	return x1_flush_result(fmaf(a, b, c), (double)a * b, c);
}

static inline float x1_add(float a, float b)
{
	return x1_flush_result(a + b, a, b);
}

static inline float x1_mul(float a, float b)
{
	return x1_flush_result(a * b, (double)a * b, 0);
}

#endif /* X1_FLUSH_H */
