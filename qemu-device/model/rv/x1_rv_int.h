/* SPDX-License-Identifier: MIT */
/* Decoded instructions of the management core. */
#ifndef X1_RV_INT_H
#define X1_RV_INT_H

#include "x1_rv.h"

enum x1_rv_op {
	RV_NONE = 0, /* not decoded yet */
	RV_ILLEGAL,
	RV_LUI,
	RV_AUIPC,
	RV_JAL,
	RV_JALR,
	RV_BEQ,
	RV_BNE,
	RV_BLT,
	RV_BGE,
	RV_BLTU,
	RV_BGEU,
	RV_LB,
	RV_LH,
	RV_LW,
	RV_LBU,
	RV_LHU,
	RV_SB,
	RV_SH,
	RV_SW,
	RV_ADDI,
	RV_SLTI,
	RV_SLTIU,
	RV_XORI,
	RV_ORI,
	RV_ANDI,
	RV_SLLI,
	RV_SRLI,
	RV_SRAI,
	RV_ADD,
	RV_SUB,
	RV_SLL,
	RV_SLT,
	RV_SLTU,
	RV_XOR,
	RV_SRL,
	RV_SRA,
	RV_OR,
	RV_AND,
	RV_MUL,
	RV_MULH,
	RV_MULHSU,
	RV_MULHU,
	RV_DIV,
	RV_DIVU,
	RV_REM,
	RV_REMU,
	RV_FENCE,
	RV_FENCE_I,
	RV_ECALL,
	RV_EBREAK,
	RV_MRET,
	RV_WFI,
	RV_CSRRW,
	RV_CSRRS,
	RV_CSRRC,
	RV_CSRRWI,
	RV_CSRRSI,
	RV_CSRRCI,
};

struct x1_rv_insn {
	uint8_t op;
	uint8_t rd, rs1, rs2;
	uint8_t len; /* 2 or 4 */
	int32_t imm; /* CSR number for Zicsr */
};

/* word: 32 bits at pc; only the low 16 count for a compressed one. */
struct x1_rv_insn x1_rv_decode(uint32_t word);

#endif /* X1_RV_INT_H */
