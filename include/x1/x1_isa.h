/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The MCU's instruction set. Decoupled access/execute: a sequencer with 64
 * scalar registers issues to four in-order engines, which synchronise by
 * counting semaphores.
 *
 * A program image is num_insns 16-byte instructions followed by descriptors.
 * Scalar registers are read at issue. Every instruction may wait for two
 * semaphores before it starts (each is decremented by one) and signal two when
 * it has completed: sequencer instructions in the sequencer, engine
 * instructions in their engine.
 *
 * At the start of a work-group:
 *   r0 = 0 (writes are ignored)      r1 = linear work-group index
 *   r2, r3, r4 = x, y, z             r5 = work-groups in the grid
 *   r6 = MCU number                  r7 = DVA of the arguments
 *   r8, r9, r10 = grid x, y, z       r16.. = arguments 0..31
 *   all others 0.
 */
#ifndef X1_ISA_H
#define X1_ISA_H

#include "x1_types.h"
#include "x1_limits.h"
#include "x1_formats.h"

#define X1_INSN_BYTES	16
#define X1_REG_IMM	0xff	/* rb: take imm instead of a register */
#define X1_REG_ARG0	16

/* wait[]/sig[] bytes: 0 = none, else X1_SEM(n). */
#define X1_SEM(n)		(0x80u | (n))
#define X1_SEM_INDEX(v)		((v) & 0x7fu)

struct x1_insn {
	uint8_t op;		/* enum x1_op */
	uint8_t rd;
	uint8_t ra;
	uint8_t rb;
	uint8_t wait[2];
	uint8_t sig[2];
	uint64_t imm;		/* immediate, branch target, or descriptor offset in bytes */
};

X1_STATIC_ASSERT(sizeof(struct x1_insn) == X1_INSN_BYTES);

enum x1_op {
	X1_OP_ILLEGAL = 0,	/* zeroed memory is no program */
	X1_OP_NOP = 1,		/* carries waits and signals */
	X1_OP_END = 2,		/* work-group completes when all engines are idle */
	X1_OP_TRAP = 3,		/* fault X1_FAULT_TRAP with code imm */
	X1_OP_SYNC = 4,		/* sequencer waits until all engines are idle */
	/* rd = ra OP (rb or imm), 64-bit */
	X1_OP_ADD = 8,
	X1_OP_SUB = 9,
	X1_OP_MUL = 10,
	X1_OP_DIVU = 11,	/* x / 0 = all ones */
	X1_OP_REMU = 12,	/* x % 0 = x */
	X1_OP_AND = 13,
	X1_OP_OR = 14,
	X1_OP_XOR = 15,
	X1_OP_SHL = 16,		/* shift counts modulo 64 */
	X1_OP_SHR = 17,
	X1_OP_SAR = 18,
	X1_OP_MIN = 19,		/* signed */
	X1_OP_MAX = 20,
	X1_OP_SLT = 21,		/* rd = ra < rb ? 1 : 0 */
	X1_OP_SLTU = 22,
	X1_OP_SEQ = 23,
	X1_OP_SEL = 24,		/* rd = rd != 0 ? ra : (rb or imm) */
	/* control flow: imm = instruction index; compares ra with rb (a register) */
	X1_OP_JMP = 32,
	X1_OP_BEQ = 33,
	X1_OP_BNE = 34,
	X1_OP_BLT = 35,
	X1_OP_BGE = 36,
	X1_OP_BLTU = 37,
	X1_OP_BGEU = 38,
	X1_OP_LOOP = 39,	/* run [next, imm) ra times; 0 skips; nests X1_LOOP_DEPTH deep */
	X1_OP_LOOPI = 40,	/* same, count = rd | ra << 8 | rb << 16 */
	/* scalar memory; rd = value, ra = address, imm = signed offset, rb = log2 bytes (0..3) */
	X1_OP_LDM = 48,		/* DVA, zero-extended */
	X1_OP_STM = 49,		/* DVA, plain store */
	X1_OP_LDS = 50,		/* scratchpad or accumulator */
	X1_OP_STS = 51,
	X1_OP_STREL = 52,	/* release-store to a DVA: after all earlier STOREs of the work-group */
	X1_OP_WAITGE = 53,	/* acquire-wait: until the value at DVA >= rd (unsigned); parks */
	X1_OP_ATADD = 54,	/* atomic add of rd to a DVA, 4 or 8 bytes, returns nothing */
	X1_OP_ATMAX = 55,	/* unsigned */
	X1_OP_ATMIN = 56,
	X1_OP_ATAND = 57,
	X1_OP_ATOR = 58,
	X1_OP_GRIDBAR = 59,	/* cooperative grids: all work-groups arrive */
	X1_OP_RDCLK = 60,	/* rd = device clock estimate; outside the cycle promise */
	/* engines; imm = byte offset of a descriptor, 8-byte aligned, after the code */
	X1_OP_LOAD = 64,	/* scratchpad[rd] <- DVA[ra]; rb: index table in scratchpad */
	X1_OP_PREFETCH = 65,	/* LOAD's addresses into L2; rd unused */
	X1_OP_STORE = 66,	/* DVA[ra] <- scratchpad or accumulator[rd]; rb: index table */
	X1_OP_MM = 67,		/* accumulator[rd] (+)= scratchpad A[ra] x B[rb] */
	X1_OP_VEC = 68,		/* [rd] = op([ra], [rb], [desc]) */
};

/* Local addresses: scratchpad from 0, accumulators from X1_ACC_ADDR. */
#define X1_ACC_ADDR	0x80000000u

/*
 * Descriptors: 30 fields of 32 bits; bit i of regs says that field i holds a
 * register number whose 64-bit value is used instead. Signed fields are
 * sign-extended. Unused fields must be zero.
 */
#define X1_DESC_FIELDS	30
struct x1_desc {
	uint64_t regs;
	uint32_t f[X1_DESC_FIELDS];
};

X1_STATIC_ASSERT(sizeof(struct x1_desc) == 128);

/*
 * LOAD, PREFETCH, STORE. Index i_d runs over 0..count_d - 1, d = 0 fastest:
 *   c_d   = origin_d + i_d * dil_d          (d = 1 with GATHER: index table[i_1])
 *   mem   = DVA + c_0 * esize + sum_{d>=1} c_d * mstride_d
 *   local = base + i_0 * lsize + sum_{d>=1} i_d * lstride_d
 * A point with any 0 <= c_d < bound_d violated (bound_d != 0) is not accessed:
 * LOAD writes the pad value, STORE writes nothing. LOAD moves bytes: esize =
 * lsize = 1 << ESIZE. STORE converts from the local to the memory format when
 * they differ. Bulk moves need dil_0 = 1. Formats below 8 bits: count_0 and
 * origin_0 in elements, whole bytes only.
 */
enum x1_dma_field {
	X1_DMA_CTRL = 0,	/* X1_DMA_CTRL_* */
	X1_DMA_PAD = 1,		/* pad value, low esize bytes, repeated for 8 */
	X1_DMA_COUNT0 = 2,	/* ..6 */
	X1_DMA_DIL0 = 7,	/* ..11, signed, 0 = 1 */
	X1_DMA_ORIGIN0 = 12,	/* ..16, signed */
	X1_DMA_BOUND0 = 17,	/* ..21 */
	X1_DMA_MSTRIDE1 = 22,	/* ..25, signed bytes */
	X1_DMA_LSTRIDE1 = 26,	/* ..29, bytes */
};

#define X1_DMA_MAX_DIMS		5
#define X1_DMA_CTRL_NDIM(n)	((n) & 0x7u)			/* 1..5 */
#define X1_DMA_CTRL_ESIZE(l)	(((l) & 0x3u) << 3)		/* LOAD: log2 bytes */
#define X1_DMA_CTRL_GATHER	(1u << 5)			/* c_1 from an INT32 table at rb */
#define X1_DMA_CTRL_NOSAT	(1u << 6)			/* STORE: non-saturating conversion */
#define X1_DMA_CTRL_LFMT(f)	(((f) & 0xffu) << 8)		/* STORE: local format */
#define X1_DMA_CTRL_MFMT(f)	(((f) & 0xffu) << 16)		/* STORE: memory format */
#define X1_DMA_CTRL_GET_NDIM(v)	((v) & 0x7u)
#define X1_DMA_CTRL_GET_ESIZE(v) (((v) >> 3) & 0x3u)
#define X1_DMA_CTRL_GET_LFMT(v)	(((v) >> 8) & 0xffu)
#define X1_DMA_CTRL_GET_MFMT(v)	(((v) >> 16) & 0xffu)
#define X1_DMA_CTRL_RESERVED	0xff000080u

/*
 * MATRIX. A is m rows of k elements, B is n rows of k elements (both K-major;
 * TRANS_x: k rows of m or n elements). Row r starts at
 *   base + (r % group) * stride + (r / group) * gstride   (group 0: r * stride).
 * Result row i, column j at acc + i * acc_stride + 4 * j, FP32 (INT32 for
 * integer formats). k0 is the logical k of the first element, a multiple of 32
 * (16 where NV16 is the only scale mode). Sparse B stores k * density elements a row.
 */
enum x1_mm_field {
	X1_MM_M = 0,
	X1_MM_N = 1,
	X1_MM_K = 2,		/* logical elements */
	X1_MM_K0 = 3,
	X1_MM_FMT = 4,		/* X1_MM_FMT_* */
	X1_MM_ACCUMULATE = 5,	/* 0: start from +0, 1: add to the accumulator */
	X1_MM_A_STRIDE = 6,
	X1_MM_A_GROUP = 7,
	X1_MM_A_GSTRIDE = 8,
	X1_MM_B_STRIDE = 9,
	X1_MM_B_GROUP = 10,
	X1_MM_B_GSTRIDE = 11,
	X1_MM_ACC_STRIDE = 12,
	X1_MM_SCALE = 13,	/* X1_MM_SCALE_* */
	X1_MM_SA_ADDR = 14,	/* scratchpad address of A's scales */
	X1_MM_SA_STRIDE = 15,	/* bytes between rows (row blocks for 128x128) */
	X1_MM_SB_ADDR = 16,
	X1_MM_SB_STRIDE = 17,
	X1_MM_META_ADDR = 18,	/* sparsity index metadata of B */
	X1_MM_META_STRIDE = 19,
	X1_MM_FIELDS = 20,
};

#define X1_MM_FMT(a, b)		((uint32_t)(a) | (uint32_t)(b) << 8)
#define X1_MM_FMT_TRANS_A	(1u << 16)
#define X1_MM_FMT_TRANS_B	(1u << 17)
#define X1_MM_FMT_RESERVED	0xfffc0000u
#define X1_MM_SCALE(a, b, sparse) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(sparse) << 16)

/*
 * VECTOR: rows x cols elements; sources and destination are local addresses
 * with a format and a row stride in bytes; arithmetic is FP32 (INT32 where
 * every format is integer and the op allows it). A source broadcasts as
 * X1_VEC_BCAST_*: ROW = one row of cols for all rows, COL = one element per
 * row (row stride apart), SCALAR = the immediate (FP32 bits) instead.
 * Where an op has a second result it lies at S2_ADDR, rows S2_STRIDE apart.
 */
enum x1_vec_field {
	X1_VEC_OP = 0,		/* enum x1_vec_op */
	X1_VEC_ROWS = 1,
	X1_VEC_COLS = 2,
	X1_VEC_FMT = 3,		/* dst | s0 << 8 | s1 << 16 | s2 << 24 */
	X1_VEC_CTRL = 4,	/* X1_VEC_CTRL_* */
	X1_VEC_D_STRIDE = 5,
	X1_VEC_S0_STRIDE = 6,
	X1_VEC_S1_STRIDE = 7,
	X1_VEC_S2_STRIDE = 8,
	X1_VEC_S2_ADDR = 9,
	X1_VEC_IMM1 = 10,	/* FP32 bits for a SCALAR s1 */
	X1_VEC_IMM2 = 11,	/* FP32 bits for a SCALAR s2 */
	X1_VEC_PARAM = 12,	/* of the op, signed; 0 where it has none */
	X1_VEC_PARAM2 = 13,
	X1_VEC_FIELDS = 14,
};

#define X1_VEC_BCAST_NONE	0u
#define X1_VEC_BCAST_ROW	1u
#define X1_VEC_BCAST_COL	2u
#define X1_VEC_BCAST_SCALAR	3u
#define X1_VEC_CTRL_BCAST0(b)	((uint32_t)(b) << 0)	/* not SCALAR */
#define X1_VEC_CTRL_BCAST1(b)	((uint32_t)(b) << 2)
#define X1_VEC_CTRL_BCAST2(b)	((uint32_t)(b) << 4)
#define X1_VEC_CTRL_NOSAT	(1u << 6)
#define X1_VEC_CTRL_RESERVED	0xffffff80u

enum x1_vec_op {
	/* element-wise, one source */
	X1_VEC_MOV = 0,		/* with conversion */
	X1_VEC_NEG = 1,
	X1_VEC_ABS = 2,
	X1_VEC_RELU = 3,
	X1_VEC_RECIP = 4,	/* from here to X1_VEC_COS: the slow lanes */
	X1_VEC_SQRT = 5,
	X1_VEC_RSQRT = 6,
	X1_VEC_EXP = 7,
	X1_VEC_LOG = 8,
	X1_VEC_SIGMOID = 9,
	X1_VEC_TANH = 10,
	X1_VEC_GELU = 11,
	X1_VEC_SILU = 12,
	X1_VEC_SIN = 13,
	X1_VEC_COS = 14,
	/* two sources */
	X1_VEC_ADD = 16,
	X1_VEC_SUB = 17,
	X1_VEC_MUL = 18,
	X1_VEC_DIV = 19,	/* slow lanes */
	X1_VEC_MIN = 20,
	X1_VEC_MAX = 21,
	X1_VEC_CMPLT = 22,	/* 1.0 or 0.0 */
	X1_VEC_CMPLE = 23,
	X1_VEC_CMPEQ = 24,
	/* three sources */
	X1_VEC_FMA = 32,	/* s0 * s1 + s2 */
	X1_VEC_SELECT = 33,	/* s0 != 0 ? s1 : s2 */
	/* row reductions: dst is rows x 1 */
	X1_VEC_RSUM = 40,
	X1_VEC_RMAX = 41,
	X1_VEC_RSUMSQ = 42,
	X1_VEC_RAMAX = 43,
	X1_VEC_RARGMAX = 44,	/* lowest index of the maximum, INT32 */
	X1_VEC_RSUMSQD = 45,	/* sum of (s0 - s1)^2 */
	X1_VEC_RMIN = 46,
	/* data movement */
	X1_VEC_TRANSPOSE = 48,	/* dst is cols x rows, equal formats */
	X1_VEC_IOTA = 49,	/* dst[r][c] = c, INT32 or FP32, + s1 SCALAR start */
	X1_VEC_GATHER = 50,	/* dst[r] = s0[s1[r]]; s1: INT32, one per row; PARAM: rows of s0 */
	X1_VEC_SCATTER_ADD = 51, /* dst[s1[r]] += s0[r], r rising; PARAM: rows of dst */
	X1_VEC_TOPK = 52,	/* PARAM largest of each row; their INT32 indices at S2_ADDR */
	X1_VEC_MASK = 53,	/* s0 where r + PARAM - PARAM2 < c <= r + PARAM, else IMM1 */
	/* fused */
	X1_VEC_EXPSUM = 56,	/* dst = exp(s0 * IMM2 - s1), FP32 sums of rows at S2_ADDR */
	X1_VEC_QUANT = 57,	/* PARAM: enum x1_scale_mode; scales to S2_ADDR, IMM1: per tensor */
	X1_VEC_DEQUANT = 58,	/* s0 with scales from S2_ADDR, as QUANT wrote them */
	X1_VEC_OP_COUNT = 59,
};

#endif /* X1_ISA_H */
