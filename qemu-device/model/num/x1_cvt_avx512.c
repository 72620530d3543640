// SPDX-License-Identifier: MIT
/* Conversions on AVX-512 (F, BW, VL, DQ, VBMI). */
#include "x1_cvt.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VL                    16
#define WIDEN_U8(codes, part) ((void)(part), (vi)_mm512_cvtepu8_epi32(codes))
#define WIDEN_U16(p)          ((vi)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))))
#define FROM_HALVES(h)        _mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)(h)))
#define NARROW_8(c)           _mm512_cvtepi32_epi8((__m512i)(c)[0])
#define NARROW_16(p, c)       _mm256_storeu_si256((__m256i *)(p), _mm512_cvtepi32_epi16((__m512i)(c)[0]))
#define ROUND_TO_INT(v)       ((vi)_mm512_cvtps_epi32((__m512)(v)))

#include "x1_cvt_simd.h"

/* Values of the codes without their sign bit. */
static const float e2m1_values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
				      -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
static const float e2m3_values[32] = {0.0f, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f, 0.75f, 0.875f,
				      1.0f, 1.125f, 1.25f, 1.375f, 1.5f, 1.625f, 1.75f, 1.875f,
				      2.0f, 2.25f,  2.5f,  2.75f,  3.0f, 3.25f,  3.5f,  3.75f,
				      4.0f, 4.5f,   5.0f,  5.5f,   6.0f, 6.5f,   7.0f,  7.5f};
static const float e3m2_values[32] = {
	0.0f,   0.0625f, 0.125f, 0.1875f, 0.25f, 0.3125f, 0.375f, 0.4375f, 0.5f,  0.625f, 0.75f,
	0.875f, 1.0f,    1.25f,  1.5f,    1.75f, 2.0f,    2.5f,   3.0f,    3.5f,  4.0f,   5.0f,
	6.0f,   7.0f,    8.0f,   10.0f,   12.0f, 14.0f,   16.0f,  20.0f,   24.0f, 28.0f};

/*
 * Floats of 8 bits, 32 at a time, by way of half precision. A vector that has
 * a NaN, which is rare, ends the run: what follows is the general loop's.
 */
static size_t unpack_e4m3(const uint8_t *src, float *dst, size_t n)
{
	const __m512 scale = _mm512_set1_ps(0x1p8f);
	const __m256i mag = _mm256_set1_epi8(0x7f);
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		__m256i codes = _mm256_loadu_si256((const __m256i *)(src + i));
		__m512i h = _mm512_slli_epi16(_mm512_cvtepi8_epi16(codes), 7);

		if (_mm256_cmpeq_epi8_mask(_mm256_and_si256(codes, mag), mag))
			break;
		/* The sign was spread over two bits. */
		h = _mm512_and_si512(h, _mm512_set1_epi16((int16_t)0xbfff));
		_mm512_storeu_ps(dst + i,
				 _mm512_mul_ps(_mm512_cvtph_ps(_mm512_castsi512_si256(h)), scale));
		_mm512_storeu_ps(
			dst + i + 16,
			_mm512_mul_ps(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1)), scale));
	}
	return i;
}

static size_t unpack_e5m2(const uint8_t *src, float *dst, size_t n)
{
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		__m256i codes = _mm256_loadu_si256((const __m256i *)(src + i));
		__m512i h = _mm512_slli_epi16(_mm512_cvtepu8_epi16(codes), 8);

		if (_mm256_cmpgt_epi8_mask(_mm256_and_si256(codes, _mm256_set1_epi8(0x7f)),
					   _mm256_set1_epi8(0x7c)))
			break;
		_mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm512_castsi512_si256(h)));
		_mm512_storeu_ps(dst + i + 16, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1)));
	}
	return i;
}

/* Bits [at, at + 8) of a quadword to its byte 0, of [at2, ...) to its byte 4. */
#define SHIFTS(at, at2) ((long long)(at) | (long long)(at2) << 32)

/* Four bits index a table by themselves; 16 of them are a quadword. */
static size_t unpack_e2m1(const uint8_t *src, float *dst, size_t n)
{
	const __m512i shifts = _mm512_setr_epi64(SHIFTS(0, 4), SHIFTS(8, 12), SHIFTS(16, 20),
						 SHIFTS(24, 28), SHIFTS(32, 36), SHIFTS(40, 44),
						 SHIFTS(48, 52), SHIFTS(56, 60));
	const __m512 values = _mm512_loadu_ps(e2m1_values);
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		long long codes;

		memcpy(&codes, src + i / 2, sizeof(codes));
		_mm512_storeu_ps(dst + i,
				 _mm512_permutexvar_ps(_mm512_multishift_epi64_epi8(
							       shifts, _mm512_set1_epi64(codes)),
						       values));
	}
	return i;
}

/* Six bits: five index a table of two vectors, the sixth is the sign. Pairs are 12 bits. */
static size_t unpack_six(const float *table, const uint8_t *src, float *dst, size_t n)
{
	const __m512i pairs = _mm512_setr_epi64(0x0100, 0x0201, 0x0403, 0x0504, 0x0706, 0x0807,
						0x0a09, 0x0b0a);
	const __m512i shifts = _mm512_setr_epi64(SHIFTS(0, 6), SHIFTS(4, 10), SHIFTS(0, 6),
						 SHIFTS(4, 10), SHIFTS(0, 6), SHIFTS(4, 10),
						 SHIFTS(0, 6), SHIFTS(4, 10));
	const __m512 low = _mm512_loadu_ps(table), high = _mm512_loadu_ps(table + 16);
	const __m512i sign = _mm512_set1_epi32(INT32_MIN);
	size_t i = 0;

	/* It reads 16 bytes for 12. */
	for (; i + 32 <= n; i += 16) {
		__m512i codes =
			_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(src + i * 6 / 8)));
		__m512i x = _mm512_multishift_epi64_epi8(shifts,
							 _mm512_permutexvar_epi8(pairs, codes));
		__m512i v = (__m512i)_mm512_permutex2var_ps(low, x, high);

		/* v | (x << 26 & sign) */
		v = _mm512_ternarylogic_epi32(v, _mm512_slli_epi32(x, 26), sign, 0xf8);
		_mm512_storeu_ps(dst + i, (__m512)v);
	}
	return i;
}

static size_t unpack_fast(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	switch (fmt) {
	case X1_FMT_E4M3:
		return unpack_e4m3(src, dst, n);
	case X1_FMT_E5M2:
		return unpack_e5m2(src, dst, n);
	case X1_FMT_E2M3:
		return unpack_six(e2m3_values, src, dst, n);
	case X1_FMT_E3M2:
		return unpack_six(e3m2_values, src, dst, n);
	case X1_FMT_E2M1:
		return unpack_e2m1(src, dst, n);
	default:
		return 0;
	}
}

static size_t unpack_all(enum x1_format fmt, const uint8_t *src, float *dst, size_t n)
{
	size_t done = unpack_fast(fmt, src, dst, n);

	return done + unpack(fmt, src + done * x1_format_bits(fmt) / 8, dst + done, n - done);
}

const struct x1_cvt_path x1_cvt_path_avx512 = {.unpack = unpack_all, .pack = pack};
#endif
