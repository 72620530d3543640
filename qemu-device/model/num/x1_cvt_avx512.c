// SPDX-License-Identifier: MIT
/* Conversions on AVX-512 (F, BW, VL, DQ). */
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

const struct x1_cvt_path x1_cvt_path_avx512 = {.unpack = unpack, .pack = pack};
#endif
