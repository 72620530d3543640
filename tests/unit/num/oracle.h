/* SPDX-License-Identifier: MIT */
/*
 * Exact arithmetic for the tests, apart from the model's own: sums of products
 * are exact in binary64 with an error term and are rounded once by hand.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "x1/x1_formats.h"

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

/*
 * Round hi + lo (lo at most half a unit of hi's last place) to 24 bits, ties to
 * even, flush, overflow. By integers: the host's rounding of FP32 takes no part.
 */
static inline float round24_sum(double hi, double lo)
{
	int sign = hi < 0, e;
	double x = frexp(sign ? -hi : hi, &e) * 16777216, l = sign ? -lo : lo, frac;
	uint32_t n = (uint32_t)x;

	/* hi = n.frac * 2^(e - 24), and lo only matters where frac is 0 or 1/2. */
	frac = x - n;
	if (frac > 0.5 || (frac == 0.5 && (l > 0 || (l == 0 && n & 1))))
		n++;
	if (n == 16777216) {
		n /= 2;
		e++;
	}
	if (e - 1 > 127)
		return sign ? -__builtin_inff() : __builtin_inff();
	if (e - 1 < -126)
		return sign ? -0.0f : 0.0f;
	return f32((uint32_t)sign << 31 | (uint32_t)(e - 1 + 127) << 23 | (n & 0x7fffff));
}

static inline float round24(quad v)
{
	double hi = (double)v;

	return round24_sum(hi, (double)(v - hi));
}

/* Products of FP32 values are exact in binary64, their sums with an error term. */
static inline float oracle_fma(float a, float b, float c)
{
	double p = (double)a * b, s, t, err;

	if (!finite32(a) || !finite32(b))
		return a * b + c;
	if (!finite32(c))
		return c; /* a * b could overflow here, but not in the sum */
	s = p + c;
	t = s - p;
	err = (p - (s - t)) + ((double)c - t);
	if (s == 0)
		return a * b + c; /* the host's signs of zero are IEEE 754's */
	return round24_sum(s, err);
}

/* ---- formats, from their definitions and not from the model's tables ---- */

struct oracle_format {
	int exp, man, bias;
	int specials; /* 1: exponent all ones is infinity or NaN, 2: only all ones is NaN */
};

static inline struct oracle_format oracle_format(enum x1_format fmt)
{
	switch (fmt) {
	case X1_FMT_BF16:
		return (struct oracle_format){8, 7, 127, 1};
	case X1_FMT_FP16:
		return (struct oracle_format){5, 10, 15, 1};
	case X1_FMT_E4M3:
		return (struct oracle_format){4, 3, 7, 2};
	case X1_FMT_E5M2:
		return (struct oracle_format){5, 2, 15, 1};
	case X1_FMT_E3M2:
		return (struct oracle_format){3, 2, 3, 0};
	case X1_FMT_E2M3:
		return (struct oracle_format){2, 3, 1, 0};
	case X1_FMT_E2M1:
		return (struct oracle_format){2, 1, 1, 0};
	default: /* FP32, TF32 */
		return (struct oracle_format){8, 23, 127, 1};
	}
}

static inline quad oracle_pow2(int e)
{
	quad v = 1;

	/* ldexp() has no type this wide, and no e here is beyond binary64. */
	return v * ldexp(1, e);
}

/* Value of a code, exact; FP32's and BF16's subnormals are zeros, as operands are. */
static inline float oracle_decode(enum x1_format fmt, uint32_t code)
{
	struct oracle_format f = oracle_format(fmt);
	uint32_t sign = code >> (f.exp + f.man) & 1, ones = (1u << f.exp) - 1;
	uint32_t e = code >> f.man & ones, m = code & ((1u << f.man) - 1);
	quad v;

	switch (fmt) {
	case X1_FMT_INT8:
		return code & 0x80 ? (float)code - 256 : (float)code;
	case X1_FMT_INT4:
		return code & 8 ? (float)code - 16 : (float)code;
	case X1_FMT_INT32:
		return (float)(int32_t)code;
	case X1_FMT_E8M0:
		return code == 0xff ? f32(0x7fc00000) : flush((float)oracle_pow2((int)code - 127));
	default:
		break;
	}
	if (f.specials == 1 && e == ones)
		return m ? f32(0x7fc00000) : f32(sign << 31 | 0x7f800000);
	if (f.specials == 2 && e == ones && m == (1u << f.man) - 1)
		return f32(0x7fc00000);
	if (e == 0 && f.bias == 127)
		return f32(sign << 31);
	v = e ? oracle_pow2((int)e - f.bias - f.man) * (m + (1u << f.man))
	      : oracle_pow2(1 - f.bias - f.man) * m;
	return sign ? -(float)v : (float)v;
}

/* One packed code. */
static inline uint32_t oracle_get(enum x1_format fmt, const uint8_t *p, size_t i)
{
	uint32_t bits = x1_format_bits(fmt), v = 0;

	for (uint32_t b = 0; b < bits; b++)
		v |= (uint32_t)(p[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b;
	return v;
}

static inline void oracle_put(enum x1_format fmt, uint8_t *p, size_t i, uint32_t code)
{
	uint32_t bits = x1_format_bits(fmt);

	for (uint32_t b = 0; b < bits; b++) {
		size_t at = i * bits + b;

		p[at / 8] = (uint8_t)((p[at / 8] & ~(1u << at % 8)) | (code >> b & 1) << at % 8);
	}
}

#endif /* ORACLE_H */
