// SPDX-License-Identifier: MIT
/* Matrix product on AVX-512 (F, BW, VL, DQ, VBMI), without and with VNNI. */
#include "x1_mm_path.h"

#if defined(__x86_64__)
#include "x1_mm_avx512.h"

static bool usable_vnni(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

const struct x1_mm_path x1_mm_path_avx512 = MM_PATH(
	"avx512", has_avx512, PAIRS, .vec = &x1_vec_path_avx512, .cvt = &x1_cvt_path_avx512);
const struct x1_mm_path x1_mm_path_avx512vnni = MM_PATH(
	"avx512vnni", usable_vnni, BYTES, .vec = &x1_vec_path_avx512, .cvt = &x1_cvt_path_avx512);
#endif
