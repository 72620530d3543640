/* SPDX-License-Identifier: MIT */
/* Vector operations of x1_mm_simd.h on AVX-512, for all paths that have it. */
#ifndef X1_MM_AVX512_H
#define X1_MM_AVX512_H

#include <immintrin.h>

#define VL          16
#define MR          6
#define PEAK_ACCS   24
#define PEAK_REG    "zmm"
#define PEAK_LIST   "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,16,17,18,19,20,21,22,23,24"
#define PEAK_TMP    "25"
#define VNNI_PREFIX ""
#define PEAK_CLOBBERS                                                                            \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", \
		"xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25"

typedef __m512 vec;
typedef __m512i ivec;

#define V_ZERO()       _mm512_setzero_ps()
#define V_LOAD(p)      _mm512_loadu_ps(p)
#define V_STORE(p, v)  _mm512_storeu_ps(p, v)
#define V_SET1(f)      _mm512_set1_ps(f)
#define V_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define V_ADD(a, b)    _mm512_add_ps(a, b)
#define V_MUL(a, b)    _mm512_mul_ps(a, b)
#define VI_LOAD(p)     _mm512_loadu_si512(p)
#define VI_STORE(p, v) _mm512_storeu_si512(p, v)
#define VI_SET1(i)     _mm512_set1_epi32(i)
#define VI_ADD(a, b)   _mm512_add_epi32(a, b)
#define VI_MADD(a, b)  _mm512_madd_epi16(a, b)
#define V_MUL_F64(a, b)                                                                         \
	_mm512_insertf32x8(                                                                     \
		_mm512_castps256_ps512(                                                         \
			_mm512_cvtpd_ps(_mm512_mul_pd(_mm512_set1_pd(a), _mm512_loadu_pd(b)))), \
		_mm512_cvtpd_ps(_mm512_mul_pd(_mm512_set1_pd(a), _mm512_loadu_pd((b) + 8))), 1)
#define VI_SUB(a, b)    _mm512_sub_epi32(a, b)
#define VI_DOT(s, a, b) _mm512_dpbusd_epi32(s, a, b)
#define VNNI_TARGET     __attribute__((target("avx512vnni")))
#define V_HAS_NAN(v, w) _mm512_cmp_ps_mask(v, w, _CMP_UNORD_Q)

#include "x1_mm_simd.h"

/* 16 rows of 16 to 16 columns, by doubling the size of what is swapped. */
static void transpose16(const void *const *rows, size_t at, float *dst)
{
	__m512 r[16], t[16];

	for (unsigned int i = 0; i < 16; i++)
		r[i] = _mm512_loadu_ps((const float *)rows[i] + at);
	for (unsigned int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
	for (unsigned int i = 0; i < 16; i += 4) {
		for (unsigned int h = 0; h < 2; h++) {
			__m512d x = _mm512_castps_pd(t[i + h]), y = _mm512_castps_pd(t[i + 2 + h]);

			r[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
			r[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
		}
	}
	for (unsigned int i = 0; i < 4; i++) {
		t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
		t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
		t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
		t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
	}
	for (unsigned int i = 0; i < 4; i++) {
		_mm512_storeu_ps(dst + i * NR, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
		_mm512_storeu_ps(dst + (i + 8) * NR, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
		_mm512_storeu_ps(dst + (i + 4) * NR,
				 _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
		_mm512_storeu_ps(dst + (i + 12) * NR,
				 _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd));
	}
}

static void transpose(const void *const *rows, void *dst, uint32_t k)
{
	/* k is a multiple of 16: blocks are 16 or 32. */
	for (uint32_t i = 0; i < k; i += 16) {
		transpose16(rows, i, (float *)dst + (size_t)i * NR);
		transpose16(rows + VL, i, (float *)dst + (size_t)i * NR + VL);
	}
}

static inline bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("fma");
}

#endif /* X1_MM_AVX512_H */
