/* SPDX-License-Identifier: MIT */
/*
 * Conversions for x86 vectors of VL 32-bit lanes; the including file defines
 * VL and the operations that differ. Independent of the host's flush modes:
 * subnormals of FP32 take part in integer operations only, and half-precision
 * conversion keeps its own.
 */
#include <immintrin.h>
#include <string.h>

#include "x1_cvt.h"

typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef float vf __attribute__((vector_size(4 * VL)));

static inline vi splat(uint32_t u)
{
	return (vi){0} + (int32_t)u;
}

/* Where the mask's lanes are all ones a, else b. */
static inline vi choose(vi mask, vi a, vi b)
{
	return (mask & a) | (~mask & b);
}

static inline vi shl(vi v, unsigned int n)
{
	return (vi)((vu)v << n);
}

static inline vi load(const void *p)
{
	vi v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void store(void *p, vi v)
{
	memcpy(p, &v, sizeof(v));
}

/* ---- packed codes of 16 elements, a byte each ---- */

static inline __m128i get_nibbles(const uint8_t *src)
{
	__m128i x = _mm_loadl_epi64((const __m128i *)src), low = _mm_set1_epi8(0xf);

	return _mm_unpacklo_epi8(_mm_and_si128(x, low), _mm_and_si128(_mm_srli_epi16(x, 4), low));
}

static inline void put_nibbles(uint8_t *dst, __m128i codes)
{
	__m128i x = _mm_maddubs_epi16(codes, _mm_set1_epi16(0x1001));

	_mm_storel_epi64((__m128i *)dst, _mm_packus_epi16(x, x));
}

/* Four codes of six bits are three bytes. */
static inline __m128i get_sixes(const uint8_t *src)
{
	const __m128i spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
	int32_t tail;
	__m128i x;

	memcpy(&tail, src + 8, 4);
	x = _mm_insert_epi32(_mm_loadl_epi64((const __m128i *)src), tail, 2);
	x = _mm_shuffle_epi8(x, spread);
	return _mm_or_si128(
		_mm_or_si128(_mm_and_si128(x, _mm_set1_epi32(0x3f)),
			     _mm_and_si128(_mm_slli_epi32(x, 2), _mm_set1_epi32(0x3f00))),
		_mm_or_si128(_mm_and_si128(_mm_slli_epi32(x, 4), _mm_set1_epi32(0x3f0000)),
			     _mm_and_si128(_mm_slli_epi32(x, 6), _mm_set1_epi32(0x3f000000))));
}

static inline void put_sixes(uint8_t *dst, __m128i codes)
{
	const __m128i gather = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1,
					     -1);
	__m128i x = _mm_maddubs_epi16(codes, _mm_set1_epi16(0x4001));
	int32_t tail;

	x = _mm_madd_epi16(x, _mm_set1_epi32(0x10000001));
	x = _mm_shuffle_epi8(x, gather);
	tail = _mm_extract_epi32(x, 2);
	_mm_storel_epi64((__m128i *)dst, x);
	memcpy(dst + 8, &tail, 4);
}

static inline __m128i get_codes(unsigned int bits, const uint8_t *src)
{
	switch (bits) {
	case 4:
		return get_nibbles(src);
	case 6:
		return get_sixes(src);
	default:
		return _mm_loadu_si128((const __m128i *)src);
	}
}

static inline void put_codes(unsigned int bits, uint8_t *dst, __m128i codes)
{
	switch (bits) {
	case 4:
		put_nibbles(dst, codes);
		break;
	case 6:
		put_sixes(dst, codes);
		break;
	default:
		_mm_storeu_si128((__m128i *)dst, codes);
		break;
	}
}

/* ---- to FP32 ---- */

static inline vi nan_to_canonical(vi v)
{
	return choose((v & 0x7fffffff) > splat(0x7f800000), splat(X1_CANONICAL_NAN), v);
}

static inline vi flush(vi v)
{
	return choose((v & 0x7f800000) == splat(0), v & splat(0x80000000u), v);
}

/*
 * Floats of up to 8 bits through half precision, whose exponent is at least as
 * wide: the bias is made up for by a power of two.
 */
static inline __attribute__((always_inline)) size_t unpack_bytes(unsigned int bits,
								 unsigned int man, float scale,
								 uint32_t nan, const uint8_t *src,
								 float *dst, size_t n)
{
	const uint32_t sign = 1u << (bits - 1);
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		__m128i codes = get_codes(bits, src + i * bits / 8);

		for (unsigned int part = 0; part < 16 / VL; part++) {
			vi x = WIDEN_U8(codes, part);
			vi h = shl(x & (int32_t)sign, 16 - bits) |
			       shl(x & (int32_t)(sign - 1), 10 - man);
			vi v = (vi)((vf)FROM_HALVES(h) * scale);

			if (nan)
				v = choose((x & (int32_t)(sign - 1)) == splat(nan),
					   splat(X1_CANONICAL_NAN), v);
			else if (bits == 8)
				v = nan_to_canonical(v);
			store(dst + i + part * VL, v);
		}
	}
	return i;
}

static inline size_t unpack_ints(unsigned int bits, const uint8_t *src, float *dst, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		__m128i codes = get_codes(bits, src + i * bits / 8);

		for (unsigned int part = 0; part < 16 / VL; part++) {
			vi x = shl(WIDEN_U8(codes, part), 32 - bits) >> (32 - bits);

			store(dst + i + part * VL, (vi) __builtin_convertvector(x, vf));
		}
	}
	return i;
}

static size_t unpack_wide(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	size_t i = 0;

	n -= n % 16;
	switch (fmt) {
	case X1_FMT_FP16:
		for (; i < n; i += VL)
			store(dst + i, nan_to_canonical((vi)FROM_HALVES(WIDEN_U16(src + 2 * i))));
		return i;
	case X1_FMT_BF16:
		for (; i < n; i += VL)
			store(dst + i, flush(shl(WIDEN_U16(src + 2 * i), 16)));
		return i;
	case X1_FMT_INT32:
		for (; i < n; i += VL)
			store(dst + i, (vi) __builtin_convertvector(load(src + 4 * i), vf));
		return i;
	default:
		for (; i < n; i += VL)
			store(dst + i, flush(load(src + 4 * i)));
		return i;
	}
}

static size_t unpack(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	switch (fmt) {
	case X1_FMT_E4M3:
		return unpack_bytes(8, 3, 0x1p8f, 0x7f, src, dst, n);
	case X1_FMT_E5M2:
		return unpack_bytes(8, 2, 1, 0, src, dst, n);
	case X1_FMT_E3M2:
		return unpack_bytes(6, 2, 0x1p12f, 0, src, dst, n);
	case X1_FMT_E2M3:
		return unpack_bytes(6, 3, 0x1p14f, 0, src, dst, n);
	case X1_FMT_E2M1:
		return unpack_bytes(4, 1, 0x1p14f, 0, src, dst, n);
	case X1_FMT_INT8:
		return unpack_ints(8, src, dst, n);
	case X1_FMT_INT4:
		return unpack_ints(4, src, dst, n);
	case X1_FMT_E8M0:
		return 0;
	default:
		return unpack_wide(fmt, src, dst, n);
	}
}

/* ---- from FP32 ---- */

struct small {
	unsigned int bits, man;
	int bias;
	uint32_t max, over, nan; /* over: of an overflow, without saturation */
	bool over_signed, subnormals;
};

/* Codes of VL values; everything of `f` is known when this is compiled. */
static inline __attribute__((always_inline)) vi encode(const struct small f, bool saturate, vi x)
{
	const unsigned int shift = 23 - f.man;
	const int32_t least = (128 - f.bias) << 23; /* smallest normal of the target */
	vi mag = x & 0x7fffffff, sign = (x >> 31) & (1 << (f.bits - 1));
	vu up = (vu)mag + ((1u << (shift - 1)) - 1) + ((vu)mag >> shift & 1);
	vi code = (vi)(up >> shift) - ((127 - f.bias) << f.man);
	vi is_nan = mag > splat(0x7f800000), low = mag < splat((uint32_t)least), over;

	if (f.subnormals) {
		/* The sum's last bit is the target's: the host rounds. */
		float magic = x1_bits_f32((uint32_t)(151 - f.bias - (int)f.man) << 23);
		vi sub = (vi)((vf)mag + magic) - (int32_t)x1_f32_bits(magic);

		code = choose(low, sub, code);
	} else {
		code &= ~low;
	}
	over = code > splat(f.max);
	if (saturate || f.over == f.max) {
		code = choose(over, splat(f.max), code) | sign;
	} else {
		vi o = splat(f.over) | (f.over_signed ? sign : splat(0));

		code = choose(over, o, code | sign);
	}
	return choose(is_nan, splat(f.nan), code);
}

static inline __attribute__((always_inline)) size_t
pack_small(const struct small f, bool saturate, const float *src, uint8_t *dst, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		vi c[16 / VL];

		for (unsigned int part = 0; part < 16 / VL; part++)
			c[part] = encode(f, saturate, load(src + i + part * VL));
		if (f.bits == 16)
			NARROW_16(dst + 2 * i, c);
		else
			put_codes(f.bits, dst + i * f.bits / 8, NARROW_8(c));
	}
	return i;
}

/* Saturating: the clamped value rounds to the nearest integer that fits. */
static inline size_t pack_ints(unsigned int bits, const float *src, uint8_t *dst, size_t n)
{
	const float hi = (float)((1 << (bits - 1)) - 1), lo = -hi - 1;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		vi c[16 / VL];

		for (unsigned int part = 0; part < 16 / VL; part++) {
			vi x = load(src + i + part * VL);
			vf v = (vf)(x & ((vf)x == (vf)x)); /* NaN gives 0 */

			v = (vf)choose(v > (vf){0} + hi, (vi)((vf){0} + hi), (vi)v);
			v = (vf)choose(v < (vf){0} + lo, (vi)((vf){0} + lo), (vi)v);
			c[part] = ROUND_TO_INT(v) & ((1 << bits) - 1);
		}
		put_codes(bits, dst + i * bits / 8, NARROW_8(c));
	}
	return i;
}

static size_t pack_f32(enum x1_format fmt, bool saturate, const float *src, uint8_t *dst, size_t n)
{
	const vi max = splat(fmt == X1_FMT_TF32 ? 0x7f7fe000 : 0x7f7fffff);
	size_t i = 0;

	for (; i + 16 <= n; i += VL) {
		vi x = load(src + i), mag = x & 0x7fffffff, sign = x & splat(0x80000000u);

		mag &= mag >= splat(0x00800000);
		if (fmt == X1_FMT_TF32)
			mag = choose(mag < splat(0x7f800000),
				     (vi)((vu)mag + 0xfff + ((vu)mag >> 13 & 1)) & ~0x1fff, mag);
		if (saturate)
			mag = choose(mag == splat(0x7f800000), max, mag);
		store(dst + 4 * i,
		      choose(mag > splat(0x7f800000), splat(X1_CANONICAL_NAN), mag | sign));
	}
	return i;
}

#define PACK(...)                                                              \
	(saturate ? pack_small((struct small){__VA_ARGS__}, true, src, dst, n) \
		  : pack_small((struct small){__VA_ARGS__}, false, src, dst, n))

static size_t pack(enum x1_format fmt, bool saturate, const float *src, uint8_t *dst, size_t n)
{
	switch (fmt) {
	case X1_FMT_FP32:
	case X1_FMT_TF32:
		return pack_f32(fmt, saturate, src, dst, n);
	case X1_FMT_BF16:
		return PACK(16, 7, 127, 0x7f7f, 0x7f80, 0x7fc0, true, false);
	case X1_FMT_FP16:
		return PACK(16, 10, 15, 0x7bff, 0x7c00, 0x7e00, true, true);
	case X1_FMT_E4M3:
		return PACK(8, 3, 7, 0x7e, 0x7f, 0x7f, false, true);
	case X1_FMT_E5M2:
		return PACK(8, 2, 15, 0x7b, 0x7c, 0x7e, true, true);
	case X1_FMT_E3M2:
		return PACK(6, 2, 3, 0x1f, 0x1f, 0x1f, true, true);
	case X1_FMT_E2M3:
		return PACK(6, 3, 1, 0x1f, 0x1f, 0x1f, true, true);
	case X1_FMT_E2M1:
		return PACK(4, 1, 1, 0x7, 0x7, 0x7, true, true);
	case X1_FMT_INT8:
		return saturate ? pack_ints(8, src, dst, n) : 0;
	case X1_FMT_INT4:
		return saturate ? pack_ints(4, src, dst, n) : 0;
	default:
		return 0;
	}
}
