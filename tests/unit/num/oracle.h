/* SPDX-License-Identifier: MIT */
/*
 * Exact arithmetic for the tests, apart from the model's own: sums of products
 * are exact in binary128 with an error term and are rounded once by hand.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdint.h>
#include <string.h>

__extension__ typedef __float128 quad;

static inline float f32(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static inline uint32_t u32(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

static inline int finite32(float f)
{
	return (u32(f) & 0x7f800000) != 0x7f800000;
}

/* A subnormal reads as a zero of its sign. */
static inline float flush(float f)
{
	return u32(f) & 0x7f800000 ? f : f32(u32(f) & 0x80000000);
}

static inline float canonical(float f)
{
	return f != f ? f32(0x7fc00000) : f;
}

/* Round hi + lo (lo far below hi) to 24 bits, ties to even, flush, overflow. */
static inline float round24(quad hi, quad lo)
{
	int sign = hi < 0, e = 0;
	quad x = sign ? -hi : hi, l = sign ? -lo : lo, frac;
	uint32_t n;

	while (x >= 16777216) {
		x /= 2;
		l /= 2;
		e++;
	}
	while (x < 8388608) {
		x *= 2;
		l *= 2;
		e--;
	}
	n = (uint32_t)x;
	frac = x - n;
	/* frac = 0, l < 0: just below n, above n - 1/4 even where n is a power of two. */
	if (frac > 0.5 || (frac == 0.5 && (l > 0 || (l == 0 && n & 1))))
		n++;
	if (n == 16777216) {
		n /= 2;
		e++;
	}
	if (e + 23 > 127)
		return sign ? -__builtin_inff() : __builtin_inff();
	if (e + 23 < -126)
		return sign ? -0.0f : 0.0f;
	return f32((uint32_t)sign << 31 | (uint32_t)(e + 23 + 127) << 23 | (n & 0x7fffff));
}

static inline float oracle_fma(float a, float b, float c)
{
	quad p = (quad)a * b, s, t, err;

	if (!finite32(a) || !finite32(b))
		return a * b + c;
	if (!finite32(c))
		return c; /* a * b could overflow here, but not in the sum */
	s = p + c;
	t = s - p;
	err = (p - (s - t)) + ((quad)c - t);
	if (s == 0)
		return a * b + c; /* the host's signs of zero are IEEE 754's */
	return round24(s, err);
}

#endif /* ORACLE_H */
