// SPDX-License-Identifier: MIT
/* Names of opcodes, descriptor fields and their values; the codes are include/x1's. */
#include "asm.h"

#define OP(code, text, how)    [X1_OP_##code] = {text, ASM_##how, 0}
#define ENGINE(code, text, of) [X1_OP_##code] = {text, ASM_ENGINE, ASM_KIND_##of}

const struct asm_op asm_ops[256] = {
	OP(NOP, "nop", NONE),        OP(END, "end", NONE),      OP(TRAP, "trap", IMM),
	OP(SYNC, "sync", NONE),      OP(ADD, "add", ALU),       OP(SUB, "sub", ALU),
	OP(MUL, "mul", ALU),         OP(DIVU, "divu", ALU),     OP(REMU, "remu", ALU),
	OP(AND, "and", ALU),         OP(OR, "or", ALU),         OP(XOR, "xor", ALU),
	OP(SHL, "shl", ALU),         OP(SHR, "shr", ALU),       OP(SAR, "sar", ALU),
	OP(MIN, "min", ALU),         OP(MAX, "max", ALU),       OP(SLT, "slt", ALU),
	OP(SLTU, "sltu", ALU),       OP(SEQ, "seq", ALU),       OP(SEL, "sel", ALU),
	OP(JMP, "jmp", JUMP),        OP(BEQ, "beq", BRANCH),    OP(BNE, "bne", BRANCH),
	OP(BLT, "blt", BRANCH),      OP(BGE, "bge", BRANCH),    OP(BLTU, "bltu", BRANCH),
	OP(BGEU, "bgeu", BRANCH),    OP(LOOP, "loop", LOOP),    OP(LOOPI, "loopi", LOOPI),
	OP(LDM, "ldm", MEM),         OP(STM, "stm", MEM),       OP(LDS, "lds", MEM),
	OP(STS, "sts", MEM),         OP(STREL, "strel", MEM),   OP(WAITGE, "waitge", MEM),
	OP(ATADD, "atadd", MEM),     OP(ATMAX, "atmax", MEM),   OP(ATMIN, "atmin", MEM),
	OP(ATAND, "atand", MEM),     OP(ATOR, "ator", MEM),     OP(GRIDBAR, "gridbar", NONE),
	OP(RDCLK, "rdclk", RD),      ENGINE(LOAD, "load", DMA), ENGINE(PREFETCH, "prefetch", DMA),
	ENGINE(STORE, "store", DMA), ENGINE(MM, "mm", MM),      ENGINE(VEC, "vec", VEC),
};

static const struct asm_name formats[] = {
	{"fp32", X1_FMT_FP32}, {"tf32", X1_FMT_TF32},
	{"bf16", X1_FMT_BF16}, {"fp16", X1_FMT_FP16},
	{"e4m3", X1_FMT_E4M3}, {"e5m2", X1_FMT_E5M2},
	{"e3m2", X1_FMT_E3M2}, {"e2m3", X1_FMT_E2M3},
	{"e2m1", X1_FMT_E2M1}, {"int8", X1_FMT_INT8},
	{"int4", X1_FMT_INT4}, {"int32", X1_FMT_INT32},
	{"e8m0", X1_FMT_E8M0}, {NULL, 0},
};

static const struct asm_name scales[] = {
	{"none", X1_SCALE_NONE},
	{"f32_1x128", X1_SCALE_F32_1X128},
	{"f32_128x128", X1_SCALE_F32_128X128},
	{"mx32", X1_SCALE_MX32},
	{"nv16", X1_SCALE_NV16},
	{NULL, 0},
};

static const struct asm_name sparsities[] = {
	{"none", X1_SPARSE_NONE},
	{"s2_4", X1_SPARSE_2_4},
	{"s1_4", X1_SPARSE_1_4},
	{"s2_8", X1_SPARSE_2_8},
	{"s1_8", X1_SPARSE_1_8},
	{"s2_16", X1_SPARSE_2_16},
	{NULL, 0},
};

static const struct asm_name broadcasts[] = {
	{"none", X1_VEC_BCAST_NONE},
	{"row", X1_VEC_BCAST_ROW},
	{"col", X1_VEC_BCAST_COL},
	{"scalar", X1_VEC_BCAST_SCALAR},
	{NULL, 0},
};

#define VEC_OP(code, text)          \
	{                           \
		text, X1_VEC_##code \
	}

static const struct asm_name vec_ops[] = {
	VEC_OP(MOV, "mov"),
	VEC_OP(NEG, "neg"),
	VEC_OP(ABS, "abs"),
	VEC_OP(RELU, "relu"),
	VEC_OP(RECIP, "recip"),
	VEC_OP(SQRT, "sqrt"),
	VEC_OP(RSQRT, "rsqrt"),
	VEC_OP(EXP, "exp"),
	VEC_OP(LOG, "log"),
	VEC_OP(SIGMOID, "sigmoid"),
	VEC_OP(TANH, "tanh"),
	VEC_OP(GELU, "gelu"),
	VEC_OP(SILU, "silu"),
	VEC_OP(SIN, "sin"),
	VEC_OP(COS, "cos"),
	VEC_OP(ADD, "add"),
	VEC_OP(SUB, "sub"),
	VEC_OP(MUL, "mul"),
	VEC_OP(DIV, "div"),
	VEC_OP(MIN, "min"),
	VEC_OP(MAX, "max"),
	VEC_OP(CMPLT, "cmplt"),
	VEC_OP(CMPLE, "cmple"),
	VEC_OP(CMPEQ, "cmpeq"),
	VEC_OP(FMA, "fma"),
	VEC_OP(SELECT, "select"),
	VEC_OP(RSUM, "rsum"),
	VEC_OP(RMAX, "rmax"),
	VEC_OP(RSUMSQ, "rsumsq"),
	VEC_OP(RAMAX, "ramax"),
	VEC_OP(RARGMAX, "rargmax"),
	VEC_OP(RSUMSQD, "rsumsqd"),
	VEC_OP(RMIN, "rmin"),
	VEC_OP(TRANSPOSE, "transpose"),
	VEC_OP(IOTA, "iota"),
	VEC_OP(GATHER, "gather"),
	VEC_OP(SCATTER_ADD, "scatter_add"),
	VEC_OP(TOPK, "topk"),
	VEC_OP(MASK, "mask"),
	VEC_OP(EXPSUM, "expsum"),
	VEC_OP(QUANT, "quant"),
	VEC_OP(DEQUANT, "dequant"),
	{NULL, 0},
};

static const struct asm_part dma_ctrl[] = {
	{"ndim", 0, 3, NULL},  {"esize", 3, 2, NULL},   {"gather", 5, 1, NULL},
	{"nosat", 6, 1, NULL}, {"lfmt", 8, 8, formats}, {"mfmt", 16, 8, formats},
	{NULL, 0, 0, NULL},
};

static const struct asm_part mm_fmt[] = {
	{"a", 0, 8, formats},     {"b", 8, 8, formats}, {"trans_a", 16, 1, NULL},
	{"trans_b", 17, 1, NULL}, {NULL, 0, 0, NULL},
};

static const struct asm_part mm_scale[] = {
	{"a", 0, 8, scales},
	{"b", 8, 8, scales},
	{"sparse", 16, 8, sparsities},
	{NULL, 0, 0, NULL},
};

static const struct asm_part vec_fmt[] = {
	{"d", 0, 8, formats},   {"s0", 8, 8, formats}, {"s1", 16, 8, formats},
	{"s2", 24, 8, formats}, {NULL, 0, 0, NULL},
};

static const struct asm_part vec_ctrl[] = {
	{"bcast0", 0, 2, broadcasts}, {"bcast1", 2, 2, broadcasts}, {"bcast2", 4, 2, broadcasts},
	{"nosat", 6, 1, NULL},        {NULL, 0, 0, NULL},
};

#define FIVE(base, text)                                                              \
	[base] = {text "0", NULL, NULL}, [(base) + 1] = {text "1", NULL, NULL},       \
	[(base) + 2] = {text "2", NULL, NULL}, [(base) + 3] = {text "3", NULL, NULL}, \
	[(base) + 4] = {text "4", NULL, NULL}
#define FOUR(base, text)                                                        \
	[base] = {text "1", NULL, NULL}, [(base) + 1] = {text "2", NULL, NULL}, \
	[(base) + 2] = {text "3", NULL, NULL}, [(base) + 3] = {text "4", NULL, NULL}

static const struct asm_field dma_fields[X1_DESC_FIELDS] = {
	[X1_DMA_CTRL] = {"ctrl", dma_ctrl, NULL},
	[X1_DMA_PAD] = {"pad", NULL, NULL},
	FIVE(X1_DMA_COUNT0, "count"),
	FIVE(X1_DMA_DIL0, "dil"),
	FIVE(X1_DMA_ORIGIN0, "origin"),
	FIVE(X1_DMA_BOUND0, "bound"),
	FOUR(X1_DMA_MSTRIDE1, "mstride"),
	FOUR(X1_DMA_LSTRIDE1, "lstride"),
};

static const struct asm_field mm_fields[X1_MM_FIELDS] = {
	[X1_MM_M] = {"m", NULL, NULL},
	[X1_MM_N] = {"n", NULL, NULL},
	[X1_MM_K] = {"k", NULL, NULL},
	[X1_MM_K0] = {"k0", NULL, NULL},
	[X1_MM_FMT] = {"fmt", mm_fmt, NULL},
	[X1_MM_ACCUMULATE] = {"accumulate", NULL, NULL},
	[X1_MM_A_STRIDE] = {"a_stride", NULL, NULL},
	[X1_MM_A_GROUP] = {"a_group", NULL, NULL},
	[X1_MM_A_GSTRIDE] = {"a_gstride", NULL, NULL},
	[X1_MM_B_STRIDE] = {"b_stride", NULL, NULL},
	[X1_MM_B_GROUP] = {"b_group", NULL, NULL},
	[X1_MM_B_GSTRIDE] = {"b_gstride", NULL, NULL},
	[X1_MM_ACC_STRIDE] = {"acc_stride", NULL, NULL},
	[X1_MM_SCALE] = {"scale", mm_scale, NULL},
	[X1_MM_SA_ADDR] = {"sa_addr", NULL, NULL},
	[X1_MM_SA_STRIDE] = {"sa_stride", NULL, NULL},
	[X1_MM_SB_ADDR] = {"sb_addr", NULL, NULL},
	[X1_MM_SB_STRIDE] = {"sb_stride", NULL, NULL},
	[X1_MM_META_ADDR] = {"meta_addr", NULL, NULL},
	[X1_MM_META_STRIDE] = {"meta_stride", NULL, NULL},
};

static const struct asm_field vec_fields[X1_VEC_FIELDS] = {
	[X1_VEC_OP] = {"op", NULL, vec_ops},
	[X1_VEC_ROWS] = {"rows", NULL, NULL},
	[X1_VEC_COLS] = {"cols", NULL, NULL},
	[X1_VEC_FMT] = {"fmt", vec_fmt, NULL},
	[X1_VEC_CTRL] = {"ctrl", vec_ctrl, NULL},
	[X1_VEC_D_STRIDE] = {"d_stride", NULL, NULL},
	[X1_VEC_S0_STRIDE] = {"s0_stride", NULL, NULL},
	[X1_VEC_S1_STRIDE] = {"s1_stride", NULL, NULL},
	[X1_VEC_S2_STRIDE] = {"s2_stride", NULL, NULL},
	[X1_VEC_S2_ADDR] = {"s2_addr", NULL, NULL},
	[X1_VEC_IMM1] = {"imm1", NULL, NULL},
	[X1_VEC_IMM2] = {"imm2", NULL, NULL},
	[X1_VEC_PARAM] = {"param", NULL, scales},
	[X1_VEC_PARAM2] = {"param2", NULL, NULL},
};

const struct asm_kind_info asm_kinds[ASM_KIND_COUNT] = {
	[ASM_KIND_DMA] = {"dma", X1_DESC_FIELDS, dma_fields},
	[ASM_KIND_MM] = {"mm", X1_MM_FIELDS, mm_fields},
	[ASM_KIND_VEC] = {"vec", X1_VEC_FIELDS, vec_fields},
};
