/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Number formats, block scales and structured sparsity of the X1.
 *
 * The codes are part of the instruction encoding (x1_isa.h) and of the
 * capability registers; they are append-only.
 */
#ifndef X1_FORMATS_H
#define X1_FORMATS_H

/* Element formats. Bits per element in parentheses. */
enum x1_format {
	X1_FMT_FP32 = 0,	/* (32) IEEE binary32 */
	X1_FMT_TF32 = 1,	/* (32) binary32 container, low 13 bits ignored */
	X1_FMT_BF16 = 2,	/* (16) */
	X1_FMT_FP16 = 3,	/* (16) IEEE binary16 */
	X1_FMT_E4M3 = 4,	/* (8) OCP OFP8 E4M3: no infinity, NaN = S.1111.111 */
	X1_FMT_E5M2 = 5,	/* (8) OCP OFP8 E5M2 */
	X1_FMT_E3M2 = 6,	/* (6) OCP MX FP6, packed four in three bytes */
	X1_FMT_E2M3 = 7,	/* (6) OCP MX FP6, packed four in three bytes */
	X1_FMT_E2M1 = 8,	/* (4) OCP MX FP4, low nibble first */
	X1_FMT_INT8 = 9,	/* (8) two's complement */
	X1_FMT_INT4 = 10,	/* (4) two's complement, low nibble first */
	X1_FMT_INT32 = 11,	/* (32) accumulators, indices */
	X1_FMT_E8M0 = 12,	/* (8) power-of-two scale, 0xff = NaN */
	X1_FMT_COUNT = 13,
};

/* Block scale modes of a MATRIX operand. */
enum x1_scale_mode {
	X1_SCALE_NONE = 0,
	X1_SCALE_F32_1X128 = 1,		/* FP32 per row and 128 k */
	X1_SCALE_F32_128X128 = 2,	/* FP32 per 128 rows and 128 k */
	X1_SCALE_MX32 = 3,		/* E8M0 per row and 32 k */
	X1_SCALE_NV16 = 4,		/* E4M3 per row and 16 k; FP32 per tensor at output */
	X1_SCALE_COUNT = 5,
};

/* Structured sparsity of B: stored elements : logical elements. */
enum x1_sparsity {
	X1_SPARSE_NONE = 0,
	X1_SPARSE_2_4 = 1,
	X1_SPARSE_1_4 = 2,
	X1_SPARSE_2_8 = 3,
	X1_SPARSE_1_8 = 4,
	X1_SPARSE_2_16 = 5,
	X1_SPARSE_COUNT = 6,
};

/* Width of one element in bits; 0 for an unknown code. */
static inline unsigned int x1_format_bits(unsigned int fmt)
{
	switch (fmt) {
	case X1_FMT_FP32:
	case X1_FMT_TF32:
	case X1_FMT_INT32:
		return 32;
	case X1_FMT_BF16:
	case X1_FMT_FP16:
		return 16;
	case X1_FMT_E4M3:
	case X1_FMT_E5M2:
	case X1_FMT_INT8:
	case X1_FMT_E8M0:
		return 8;
	case X1_FMT_E3M2:
	case X1_FMT_E2M3:
		return 6;
	case X1_FMT_E2M1:
	case X1_FMT_INT4:
		return 4;
	default:
		return 0;
	}
}

/* MATRIX k elements per cycle and lane; 0 where MATRIX does not take it. */
static inline unsigned int x1_format_rate(unsigned int fmt)
{
	switch (fmt) {
	case X1_FMT_E2M1:
	case X1_FMT_INT4:
		return 64;
	case X1_FMT_E4M3:
	case X1_FMT_E5M2:
	case X1_FMT_E3M2:
	case X1_FMT_E2M3:
	case X1_FMT_INT8:
		return 32;
	case X1_FMT_BF16:
	case X1_FMT_FP16:
		return 16;
	case X1_FMT_TF32:
		return 8;
	case X1_FMT_FP32:
		return 2;
	default:
		return 0;
	}
}

static inline int x1_format_is_int(unsigned int fmt)
{
	return fmt == X1_FMT_INT8 || fmt == X1_FMT_INT4 || fmt == X1_FMT_INT32;
}

#endif /* X1_FORMATS_H */
