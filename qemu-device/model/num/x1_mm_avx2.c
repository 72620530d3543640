// SPDX-License-Identifier: MIT
/* Matrix product on AVX2 with FMA and F16C. */
#include "x1_mm_path.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VL        8
#define MR        3
#define PEAK_ACCS 14
#define PEAK_REG  "ymm"
#define PEAK_LIST "0,1,2,3,4,5,6,7,8,9,10,11,12,13"
#define PEAK_CLOBBERS                                                                            \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm15"

typedef __m256 vec;
typedef __m256i ivec;
typedef __m128i vhalf;

#define V_ZERO()         _mm256_setzero_ps()
#define V_LOAD(p)        _mm256_loadu_ps(p)
#define V_STORE(p, v)    _mm256_storeu_ps(p, v)
#define V_SET1(f)        _mm256_set1_ps(f)
#define V_FMA(a, b, c)   _mm256_fmadd_ps(a, b, c)
#define V_ADD(a, b)      _mm256_add_ps(a, b)
#define V_MUL(a, b)      _mm256_mul_ps(a, b)
#define VI_LOAD(p)       _mm256_loadu_si256((const __m256i *)(p))
#define VI_STORE(p, v)   _mm256_storeu_si256((__m256i *)(p), v)
#define VI_SET1(i)       _mm256_set1_epi32(i)
#define VI_ADD(a, b)     _mm256_add_epi32(a, b)
#define VI_MADD(a, b)    _mm256_madd_epi16(a, b)
#define VH_LOAD(p)       _mm_loadu_si128((const __m128i *)(p))
#define VH_FROM_BYTES(p) _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(p)))
#define VH_AND(x, c)     _mm_and_si128(x, _mm_set1_epi16(c))
#define VH_OR(a, b)      _mm_or_si128(a, b)
#define VH_SHL(x, n)     _mm_slli_epi16(x, n)
#define V_FROM_HALF(h)   _mm256_cvtph_ps(h)
#define V_NAN_WHERE(v, x, code)                                                       \
	_mm256_blendv_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(X1_CANONICAL_NAN)), \
			 _mm256_castsi256_ps(_mm256_cvtepi16_epi32(                   \
				 _mm_cmpeq_epi16(VH_AND(x, code), _mm_set1_epi16(code)))))

#include "x1_mm_simd.h"

static bool usable(void)
{
	/* All CPUs with both have F16C. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* 8 rows of 8 to 8 columns, by doubling the size of what is swapped. */
static void transpose8(const void *const *rows, size_t at, float *dst)
{
	__m256 r[8], t[8];

	for (unsigned int i = 0; i < 8; i++)
		r[i] = _mm256_loadu_ps((const float *)rows[i] + at);
	for (unsigned int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
	}
	for (unsigned int i = 0; i < 8; i += 4) {
		for (unsigned int h = 0; h < 2; h++) {
			r[i + 2 * h] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0x44);
			r[i + 2 * h + 1] = _mm256_shuffle_ps(t[i + h], t[i + 2 + h], 0xee);
		}
	}
	for (unsigned int i = 0; i < 4; i++) {
		_mm256_storeu_ps(dst + i * NR, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
		_mm256_storeu_ps(dst + (i + 4) * NR, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
	}
}

static void transpose(const void *const *rows, void *dst, uint32_t k)
{
	for (uint32_t i = 0; i < k; i += 8) {
		transpose8(rows, i, (float *)dst + (size_t)i * NR);
		transpose8(rows + VL, i, (float *)dst + (size_t)i * NR + VL);
	}
}

static void to_i16(const float *src, int16_t *dst, size_t n)
{
	for (size_t i = 0; i < n; i += 16) {
		__m256i lo = _mm256_cvtps_epi32(_mm256_loadu_ps(src + i));
		__m256i hi = _mm256_cvtps_epi32(_mm256_loadu_ps(src + i + 8));
		/* packs works within 128-bit halves */
		__m256i v = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8);

		_mm256_storeu_si256((__m256i *)(dst + i), v);
	}
}

const struct x1_mm_path x1_mm_path_avx2 = {
	.name = "avx2",
	.mr = MR,
	.nr = NR,
	.usable = usable,
	.blocks = blocks,
	.fma = fma_rule,
	.ints = ints,
	.scale = scale,
	.mul = mul,
	.unpack = unpack,
	.transpose = transpose,
	.to_i16 = to_i16,
	.canonical = canonical,
	.peak = peak,
	.vec = &x1_vec_path_avx2,
};
#endif
