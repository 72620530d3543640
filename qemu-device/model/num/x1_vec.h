/* SPDX-License-Identifier: MIT */
/* VECTOR's loops of one host path: the same source, compiled per instruction set. */
#ifndef X1_VEC_H
#define X1_VEC_H

#include "x1_num.h"

/* Elements per step, and lanes of a reduction. */
#define X1_VEC_STEP 64

struct x1_vec_path {
	/* X1_VEC_STEP elements; y overlaps no source. */
	void (*unary)(unsigned int op, float *restrict y, const float *restrict a);
	void (*binary)(unsigned int op, float *restrict y, const float *restrict a,
		       const float *restrict b);
	void (*ternary)(unsigned int op, float *restrict y, const float *restrict a,
			const float *restrict b, const float *restrict c);
	/* Lane by lane: y = y + a, max(y, a), min(y, a), y + a * a, max(y, |a|). */
	void (*reduce)(unsigned int op, float *restrict y, const float *restrict a);
};

extern const struct x1_vec_path x1_vec_path_portable, x1_vec_path_avx2, x1_vec_path_avx512;

#endif /* X1_VEC_H */
