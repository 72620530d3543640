/* SPDX-License-Identifier: MIT */
/* Operands of the matrix product as the host paths see them. */
#ifndef X1_MM_OPERAND_H
#define X1_MM_OPERAND_H

#include "x1_mm_path.h"

/* Elements of k under one scale; 0 = no scales. */
uint32_t x1_mm_scale_block(enum x1_scale_mode s);
/* Elements of k between two boundaries of either operand's scale blocks. */
uint32_t x1_mm_joint_block(const struct x1_mm_args *m);
/* FP32 or TF32 takes part: multiply-add in rising k. */
bool x1_mm_is_wide(const struct x1_mm_args *m);

/*
 * Can the block scales be multiplied into the operands with the same result?
 * MX exponents within 40 of zero and no BF16: powers of two then change no
 * rounding. NVFP4 scales without a sign and both operands FP4 or FP6: all sums
 * of a block are exact.
 */
bool x1_mm_can_fold(const struct x1_mm_args *m);

/* What rows of an operand become. */
struct x1_mm_rows {
	enum x1_mm_elem elem;
	bool offset;    /* bytes are stored with 128 added, as unsigned ones */
	bool fold;      /* times the block scales */
	uint32_t pitch; /* elements from row to row */
};

#define X1_MM_BATCH 32u /* rows at a time */

/*
 * Rows [first, first + count) of A or B, at most X1_MM_BATCH; what lies beyond
 * the operand becomes +0. tmp has room for x1_mm_tmp_bytes().
 */
void x1_mm_unpack_rows(const struct x1_mm_args *m, bool is_b, uint32_t first, uint32_t count,
		       const struct x1_mm_rows *to, void *dst, void *tmp);
size_t x1_mm_tmp_bytes(const struct x1_mm_args *m, uint32_t pitch);

/* B transposed, dense: columns [first, first + count) as pitch lines of `width` FP32 values. */
void x1_mm_unpack_lines(const struct x1_mm_args *m, uint32_t first, uint32_t count, uint32_t width,
			uint32_t pitch, float *dst);

/* A row of an operand in memory. */
static inline const uint8_t *x1_mm_row_at(const struct x1_mm_operand *op, uint32_t r)
{
	if (!op->group)
		return op->base + (int64_t)r * op->stride;
	return op->base + (int64_t)(r % op->group) * op->stride +
	       (int64_t)(r / op->group) * op->gstride;
}

/* BF16 holds all values of A and B. */
bool x1_mm_is_bf16(const struct x1_mm_args *m);

/* One operand's scale of a row and a block, exact; 1 where it has none. */
double x1_mm_scale_at(const struct x1_mm_operand *op, uint32_t row, uint32_t idx);
/* Those of `count` rows from `first`, exact and as FP32; beyond the last of `rows`: its own. */
void x1_mm_scales_at(const struct x1_mm_operand *op, uint32_t rows, uint32_t first, uint32_t count,
		     uint32_t idx, double *exact, float *f32);

#endif /* X1_MM_OPERAND_H */
