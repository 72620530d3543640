// SPDX-License-Identifier: MIT
/* VECTOR's loops on AVX2: flush-to-zero mode is on, the host's operations are the rule. */
#if defined(__x86_64__)
#define V_ADD(a, b)    ((a) + (b))
#define V_MUL(a, b)    ((a) * (b))
#define V_FMA(a, b, c) __builtin_fmaf(a, b, c)

#include "x1_vec_simd.h"

const struct x1_vec_path x1_vec_path_avx2 = {
	.unary = unary,
	.binary = binary,
	.ternary = ternary,
	.reduce = reduce,
};
#endif
