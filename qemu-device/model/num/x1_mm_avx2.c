// SPDX-License-Identifier: MIT
/* Matrix product on AVX2 with FMA and F16C. */
#include "x1_mm_path.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define VL          8
#define MR          3
#define PEAK_ACCS   14
#define PEAK_REG    "ymm"
#define PEAK_LIST   "0,1,2,3,4,5,6,7,8,9,10,11,12,13"
#define PEAK_TMP    "14"
#define VNNI_PREFIX "%{vex%} "
#define PEAK_CLOBBERS                                                                            \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

typedef __m256 vec;
typedef __m256i ivec;

#define V_ZERO()       _mm256_setzero_ps()
#define V_LOAD(p)      _mm256_loadu_ps(p)
#define V_STORE(p, v)  _mm256_storeu_ps(p, v)
#define V_SET1(f)      _mm256_set1_ps(f)
#define V_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define V_ADD(a, b)    _mm256_add_ps(a, b)
#define V_MUL(a, b)    _mm256_mul_ps(a, b)
#define VI_LOAD(p)     _mm256_loadu_si256((const __m256i *)(p))
#define VI_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define VI_SET1(i)     _mm256_set1_epi32(i)
#define VI_ADD(a, b)   _mm256_add_epi32(a, b)
#define VI_MADD(a, b)  _mm256_madd_epi16(a, b)
#define V_MUL_F64(a, b)                                                                         \
	_mm256_insertf128_ps(                                                                   \
		_mm256_castps128_ps256(                                                         \
			_mm256_cvtpd_ps(_mm256_mul_pd(_mm256_set1_pd(a), _mm256_loadu_pd(b)))), \
		_mm256_cvtpd_ps(_mm256_mul_pd(_mm256_set1_pd(a), _mm256_loadu_pd((b) + 4))), 1)
#define VI_SUB(a, b)    _mm256_sub_epi32(a, b)
#define VI_DOT(s, a, b) _mm256_dpbusd_avx_epi32(s, a, b)
#define VNNI_TARGET     __attribute__((target("avxvnni")))
#define V_HAS_NAN(v, w) (unsigned int)_mm256_movemask_ps(_mm256_cmp_ps(v, w, _CMP_UNORD_Q))

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

static bool usable_vnni(void)
{
	unsigned int a, b, c, d;

	/* Leaf 7, subleaf 1: the compilers know this feature by no common name. */
	return usable() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}

const struct x1_mm_path x1_mm_path_avx2 = MM_PATH("avx2", usable, PAIRS, .vec = &x1_vec_path_avx2,
						  .cvt = &x1_cvt_path_avx2);
const struct x1_mm_path x1_mm_path_avxvnni =
	MM_PATH("avxvnni", usable_vnni, BYTES, .vec = &x1_vec_path_avx2, .cvt = &x1_cvt_path_avx2);
#endif
