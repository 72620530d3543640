// SPDX-License-Identifier: MIT
/* Conversions on AVX2 with F16C. */
#include "x1_cvt.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VL 8
#define WIDEN_U8(codes, part) \
	((vi)_mm256_cvtepu8_epi32((part) ? _mm_srli_si128(codes, 8) : (codes)))
#define WIDEN_U16(p) ((vi)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))))
/* Values of 16 bits: unsigned saturation keeps them. */
#define HALVES(v)                                              \
	_mm_packus_epi32(_mm256_castsi256_si128((__m256i)(v)), \
			 _mm256_extracti128_si256((__m256i)(v), 1))
#define FROM_HALVES(h) _mm256_cvtph_ps(HALVES(h))
#define NARROW_8(c)    _mm_packus_epi16(HALVES((c)[0]), HALVES((c)[1]))
#define NARROW_16(p, c)                                    \
	(_mm_storeu_si128((__m128i *)(p), HALVES((c)[0])), \
	 _mm_storeu_si128((__m128i *)(p) + 1, HALVES((c)[1])))
#define ROUND_TO_INT(v) ((vi)_mm256_cvtps_epi32((__m256)(v)))

#include "x1_cvt_simd.h"

const struct x1_cvt_path x1_cvt_path_avx2 = {.unpack = unpack, .pack = pack};
#endif
