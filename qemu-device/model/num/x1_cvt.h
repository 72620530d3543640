/* SPDX-License-Identifier: MIT */
/* Conversions between formats on one host path: the same bits as x1_format.c's own. */
#ifndef X1_CVT_H
#define X1_CVT_H

#include "x1_num.h"

/*
 * Both start at a byte boundary and return how many elements they did, rising
 * from 0: a multiple of 16, or none where the path has nothing for the format.
 */
struct x1_cvt_path {
	size_t (*unpack)(enum x1_format fmt, const uint8_t *src, float *dst, size_t n);
	size_t (*pack)(enum x1_format fmt, bool saturate, const float *src, uint8_t *dst, size_t n);
};

extern const struct x1_cvt_path x1_cvt_path_avx2, x1_cvt_path_avx512;

#endif /* X1_CVT_H */
