/* SPDX-License-Identifier: MIT */
/* Registers and semaphores of the GEMM's program, and what its two files emit with. */
#ifndef SILI_GEMM_CODE_H
#define SILI_GEMM_CODE_H

#include "gemm.h"

enum {
	SEM_FULL,
	SEM_FREE,
	SEM_SLOT,
	SEM_SUM,
	SEM_READY,
	SEM_EDGE,
	SEM_TABLE,
	SEM_PART,
	SEM_HALO,
};

enum {
	/* constant in a program */
	R_WG = 1,
	R_GRID = 5,
	R_ARG = X1_REG_ARG0,
	/* a unit */
	R_UNIT = R_ARG + ARG_NUM,
	R_MT,
	R_NT,
	R_BATCH,
	R_M0,
	R_N0,
	R_ROWS,
	R_COLS,
	R_PA,
	R_PB,
	R_PSA,
	R_PSB,
	R_PM,
	R_PC,
	R_ACC,
	R_LEFT_K, /* chunks */
	/* a chunk */
	R_STAGE,
	R_META,
	R_SB,
	R_B,
	R_T0,
	R_T1,
	/* a strip */
	R_STRIP_ACC,
	R_STRIP_C,
	R_STRIP_COLS,
	R_COLS_LEFT,
	R_COL,
	/* what the start leaves free */
	R_TILES_M = 2,
	R_GROUP_AT = 3,
	R_ROW0 = 4,
	R_PART = 6,
	R_TMP0 = 8,
	R_TMP1 = 9,
	R_TMP2 = 10,
	R_TMP3 = 11,
	R_RES = 12,
	R_ADDR = 13,
	R_UNITS = 14,
	R_SA = 15,
	/* Of a fold: all its rows and columns; groups are not there then. */
	R_FOLD_M = R_TILES_M,
	R_FOLD_N = R_GROUP_AT,
	/*
	 * Of a box; scales, indices and groups are not there then. Counts of
	 * images, rows and columns, the first of y, the first of x for tap 0.
	 */
	R_NI = R_PSA,
	R_NY = R_PSB,
	R_NX = R_PM,
	R_I0 = R_META,
	R_Y0 = R_SB,
	R_X0 = R_TILES_M,
	R_IY = R_GROUP_AT,
	R_IX = R_SA,
	R_HALO = R_M0,
	R_CY = R_ROW0, /* a chunk's tap */
	R_CX = 7,
	R_CC = R_COL + 1, /* a chunk's first byte of the channels */
	R_K,
	R_KC,
};

X1_STATIC_ASSERT(R_KC < X1_NUM_REGS);

static inline uint8_t arg(enum gemm_arg a)
{
	return (uint8_t)(R_ARG + a);
}

static inline void alui(struct sili_prog *p, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(p, op, rd, ra, imm);
}

static inline void mov(struct sili_prog *p, uint8_t rd, uint8_t ra)
{
	sili_prog_alui(p, X1_OP_ADD, rd, ra, 0);
}

/* rd += ra * factor */
static inline void muladd(struct sili_prog *p, uint8_t rd, uint8_t ra, uint64_t factor)
{
	if (!factor)
		return;
	alui(p, X1_OP_MUL, R_T0, ra, (int64_t)factor);
	sili_prog_alu(p, X1_OP_ADD, rd, rd, R_T0);
}

/* rd = bytes of ra elements, rounded up. */
static inline void emit_bytes(struct sili_prog *p, enum x1_format fmt, uint8_t rd, uint8_t ra)
{
	uint32_t bits = x1_format_bits(fmt);

	alui(p, X1_OP_MUL, rd, ra, bits % 8 ? bits : bits / 8);
	if (bits % 8) {
		alui(p, X1_OP_ADD, rd, rd, 7);
		alui(p, X1_OP_SHR, rd, rd, 3);
	}
}

/* The register that has them: rd, or ra where an element is a byte. */
static inline uint8_t bytes_of(struct sili_prog *p, enum x1_format fmt, uint8_t rd, uint8_t ra)
{
	if (x1_format_bits(fmt) == 8)
		return ra;
	emit_bytes(p, fmt, rd, ra);
	return rd;
}

/*
 * What differs where rows are boxes of pixels (gemm_box.c): the tile's row R_MT
 * to its first image, row and column and their counts; its window of the
 * image; the operands of the chunk at R_K; MATRIX's view of A; transfers of
 * C and of the residual.
 */
void gemm_box_unit(struct sili_prog *p, const struct gemm_plan *pl);
void gemm_box_halo(struct sili_prog *p, const struct gemm_plan *pl);
void gemm_box_chunk(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc);
void gemm_box_operand(struct sili_prog *p, const struct gemm_plan *pl);
void gemm_box_rows(const struct gemm_plan *pl, struct x1_desc *d);
void gemm_box_store(struct sili_prog *p, const struct gemm_plan *pl, enum x1_format lfmt,
		    uint8_t wait, bool last);
void gemm_box_residual(struct sili_prog *p, const struct gemm_plan *pl, uint8_t wait);

#endif /* SILI_GEMM_CODE_H */
