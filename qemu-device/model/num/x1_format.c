// SPDX-License-Identifier: MIT
/* Conversions between number formats (manual: Numerics, "Formats"). */
#include <string.h>

#include "x1_cvt.h"
#include "x1_mm_path.h"

/* Small floating formats: 1 sign, `exp` exponent and `man` significand bits. */
struct float_format {
	uint8_t exp, man;
	int8_t bias;
	uint8_t has_inf; /* exponent all ones: infinity and NaN as in IEEE 754 */
	uint32_t max;    /* largest finite code, no sign */
	uint32_t nan;    /* code of a NaN, 0 = the format has none */
};

static const struct float_format formats[X1_FMT_COUNT] = {
	[X1_FMT_BF16] = {8, 7, 127, 1, 0x7f7f, 0x7fc0},
	[X1_FMT_FP16] = {5, 10, 15, 1, 0x7bff, 0x7e00},
	[X1_FMT_E4M3] = {4, 3, 7, 0, 0x7e, 0x7f},
	[X1_FMT_E5M2] = {5, 2, 15, 1, 0x7b, 0x7e},
	[X1_FMT_E3M2] = {3, 2, 3, 0, 0x1f, 0},
	[X1_FMT_E2M3] = {2, 3, 1, 0, 0x1f, 0},
	[X1_FMT_E2M1] = {2, 1, 1, 0, 0x7, 0},
};

static float decode_small(const struct float_format *f, uint32_t code)
{
	uint32_t sign = code >> (f->exp + f->man) & 1;
	uint32_t e = code >> f->man & ((1u << f->exp) - 1);
	uint32_t m = code & ((1u << f->man) - 1);
	uint32_t mag = code & ((1u << (f->exp + f->man)) - 1);
	float value;

	if (f->has_inf && e == (1u << f->exp) - 1)
		return x1_bits_f32(m ? X1_CANONICAL_NAN : sign << 31 | 0x7f800000u);
	if (f->nan && !f->has_inf && mag == f->nan)
		return x1_bits_f32(X1_CANONICAL_NAN);
	if (e)
		return x1_bits_f32(sign << 31 | (uint32_t)((int)e + 127 - f->bias) << 23 |
				   m << (23 - f->man));
	/* Subnormal: m * 2^(1 - bias - man), exact in FP32 (BF16's are flushed). */
	if (f->bias == 127)
		return x1_bits_f32(sign << 31);
	value = (float)m * x1_bits_f32((uint32_t)(1 - f->bias - f->man + 127) << 23);
	return sign ? -value : value;
}

float x1_decode(enum x1_format fmt, uint32_t code)
{
	switch (fmt) {
	case X1_FMT_FP32:
	case X1_FMT_TF32:
		return x1_flush(x1_bits_f32(code));
	case X1_FMT_E8M0:
		if (code == 0xff)
			return x1_bits_f32(X1_CANONICAL_NAN);
		/* 2^-127 is below the smallest normal and flushes. */
		return x1_bits_f32(code << 23);
	case X1_FMT_INT8:
		return (float)(int8_t)code;
	case X1_FMT_INT4:
		return (float)((int32_t)(code << 28) >> 28);
	case X1_FMT_INT32:
		return (float)(int32_t)code;
	default:
		return decode_small(&formats[fmt], code);
	}
}

static uint32_t encode_small(const struct float_format *f, uint32_t bits, bool saturate)
{
	uint32_t sign = bits >> 31 << (f->exp + f->man);
	uint32_t mag = bits & 0x7fffffffu;
	uint32_t inf = ((1u << f->exp) - 1) << f->man;
	int e = (int)(mag >> 23) - 127 + f->bias; /* exponent field in the target */
	uint32_t sig = (mag & 0x7fffffu) | 0x800000u;
	uint32_t shift = 23u - f->man;
	uint32_t code, half, rest;

	if (mag > 0x7f800000u)
		return f->nan ? f->nan : f->max; /* the sign of a NaN is dropped */
	if (mag == 0x7f800000u)
		goto overflow;
	if (mag < 0x800000u)
		return sign;
	if (e < 1) {
		/* Subnormal target: more bits fall off. */
		shift += (uint32_t)(1 - e);
		if (shift > 25)
			return sign;
		e = 0;
		code = sig >> shift;
	} else {
		code = ((uint32_t)e << f->man) + ((sig >> shift) - (1u << f->man));
	}
	half = 1u << (shift - 1);
	rest = sig & ((1u << shift) - 1);
	if (rest > half || (rest == half && code & 1))
		code++;
	if (code <= f->max)
		return sign | code;
overflow:
	if (saturate || (!f->has_inf && !f->nan))
		return sign | f->max;
	return f->has_inf ? sign | inf : f->nan;
}

/* Round to an integer, ties to even, clamped to [lo, hi]; NaN = 0. */
static int32_t to_int(float v, int32_t lo, int32_t hi, bool saturate)
{
	double d = v, r;
	int64_t i;

	if (d != d)
		return 0;
	if (d > 4.0e18 || d < -4.0e18)
		return saturate ? (d > 0 ? hi : lo) : 0;
	i = (int64_t)d;
	r = d - (double)i;
	if (r > 0.5 || (r == 0.5 && i & 1))
		i++;
	else if (r < -0.5 || (r == -0.5 && i & 1))
		i--;
	if (saturate)
		i = i < lo ? lo : i > hi ? hi : i;
	return (int32_t)(uint32_t)(uint64_t)i;
}

uint32_t x1_encode(enum x1_format fmt, float value, bool saturate)
{
	uint32_t bits = x1_f32_bits(value);
	uint32_t mag = bits & 0x7fffffffu;

	switch (fmt) {
	case X1_FMT_FP32:
	case X1_FMT_TF32:
		if (mag > 0x7f800000u)
			return X1_CANONICAL_NAN;
		if (mag < 0x800000u)
			return bits & 0x80000000u;
		if (fmt == X1_FMT_TF32 && mag < 0x7f800000u) {
			bits += 0xfffu + (bits >> 13 & 1);
			bits &= ~0x1fffu;
		}
		if (saturate && (bits & 0x7fffffffu) == 0x7f800000u)
			bits = (bits & 0x80000000u) |
			       (fmt == X1_FMT_TF32 ? 0x7f7fe000u : 0x7f7fffffu);
		return bits;
	case X1_FMT_INT8:
		return (uint32_t)to_int(value, -128, 127, saturate) & 0xff;
	case X1_FMT_INT4:
		return (uint32_t)to_int(value, -8, 7, saturate) & 0xf;
	case X1_FMT_INT32:
		return (uint32_t)to_int(value, INT32_MIN, INT32_MAX, saturate);
	case X1_FMT_E8M0:
		/* Power of two at or below the magnitude; zero gives the smallest. */
		return mag > 0x7f800000u ? 0xff : mag == 0x7f800000u ? 0xfe : mag >> 23;
	default:
		return encode_small(&formats[fmt], bits, saturate);
	}
}

/* One packed code of any width. */
static uint32_t get_code(const uint8_t *p, unsigned int bits, size_t i)
{
	uint32_t v;

	switch (bits) {
	case 32:
		memcpy(&v, p + i * 4, 4);
		return v;
	case 16:
		return (uint32_t)p[i * 2] | (uint32_t)p[i * 2 + 1] << 8;
	case 8:
		return p[i];
	case 4:
		return p[i / 2] >> i % 2 * 4 & 0xf;
	default: { /* 6 */
		size_t bit = i * 6;
		uint32_t lo = p[bit / 8] >> bit % 8;

		if (bit % 8 > 2)
			lo |= (uint32_t)p[bit / 8 + 1] << (8 - bit % 8);
		return lo & 0x3f;
	}
	}
}

static void put_bits(uint8_t *p, uint32_t mask, unsigned int shift, uint32_t code)
{
	*p = (uint8_t)((*p & ~(mask << shift)) | (code & mask) << shift);
}

static void put_code(uint8_t *p, unsigned int bits, size_t i, uint32_t code)
{
	switch (bits) {
	case 32:
		memcpy(p + i * 4, &code, 4);
		break;
	case 16:
		p[i * 2] = (uint8_t)code;
		p[i * 2 + 1] = (uint8_t)(code >> 8);
		break;
	case 8:
		p[i] = (uint8_t)code;
		break;
	case 4:
		put_bits(p + i / 2, 0xf, i % 2 * 4, code);
		break;
	default: { /* 6 */
		size_t bit = i * 6;
		unsigned int low = 8 - bit % 8;

		if (low >= 6) {
			put_bits(p + bit / 8, 0x3f, bit % 8, code);
		} else {
			put_bits(p + bit / 8, (1u << low) - 1, bit % 8, code);
			put_bits(p + bit / 8 + 1, (1u << (6 - low)) - 1, 0, code >> low);
		}
	}
	}
}

static const uint8_t *bytes_at(const void *p, unsigned int bits, size_t first)
{
	return (const uint8_t *)p + first * bits / 8;
}

/* Element by element. */
static void unpack_f32(enum x1_format fmt, const void *src, size_t first, float *dst, size_t n)
{
	unsigned int bits = x1_format_bits(fmt);

	switch (fmt) {
	case X1_FMT_FP32:
	case X1_FMT_TF32: {
		const uint8_t *p = bytes_at(src, 32, first);

		for (size_t i = 0; i < n; i++) {
			float f;

			memcpy(&f, p + i * 4, 4);
			dst[i] = x1_flush(f);
		}
		return;
	}
	case X1_FMT_BF16: {
		const uint8_t *p = bytes_at(src, 16, first);

		for (size_t i = 0; i < n; i++) {
			uint16_t h;

			memcpy(&h, p + i * 2, 2);
			dst[i] = x1_flush(x1_bits_f32((uint32_t)h << 16));
		}
		return;
	}
	default:
		for (size_t i = 0; i < n; i++)
			dst[i] = x1_decode(fmt, get_code(src, bits, first + i));
	}
}

void x1_unpack_f32(enum x1_format fmt, const void *src, size_t first, float *dst, size_t n)
{
	const struct x1_cvt_path *path = x1_mm_path()->cvt;
	unsigned int bits = x1_format_bits(fmt);
	size_t done = 0;

	if (path && first * bits % 8 == 0)
		done = path->unpack(fmt, bytes_at(src, bits, first), dst, n);
	unpack_f32(fmt, src, first + done, dst + done, n - done);
}

void x1_pack_f32(enum x1_format fmt, bool saturate, const float *src, void *dst, size_t first,
		 size_t n)
{
	const struct x1_cvt_path *path = x1_mm_path()->cvt;
	unsigned int bits = x1_format_bits(fmt);
	size_t done = 0;

	if (path && first * bits % 8 == 0)
		done = path->pack(fmt, saturate, src, (uint8_t *)dst + first * bits / 8, n);
	for (size_t i = done; i < n; i++)
		put_code(dst, bits, first + i, x1_encode(fmt, src[i], saturate));
}

void x1_unpack_i32(enum x1_format fmt, const void *src, size_t first, int32_t *dst, size_t n)
{
	unsigned int bits = x1_format_bits(fmt);

	for (size_t i = 0; i < n; i++) {
		uint32_t code = get_code(src, bits, first + i);

		dst[i] = (int32_t)(code << (32 - bits)) >> (32 - bits);
	}
}

void x1_pack_i32(enum x1_format fmt, bool saturate, const int32_t *src, void *dst, size_t first,
		 size_t n)
{
	unsigned int bits = x1_format_bits(fmt);
	int32_t hi = (int32_t)(0x7fffffffu >> (32 - bits));
	int32_t lo = -hi - 1;

	for (size_t i = 0; i < n; i++) {
		int32_t v = src[i];

		if (saturate)
			v = v < lo ? lo : v > hi ? hi : v;
		put_code(dst, bits, first + i, (uint32_t)v);
	}
}
