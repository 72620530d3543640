// SPDX-License-Identifier: MIT
/* Decoder: RV32IM_Zicsr, and the C extension expanded to it. */
#include "x1_rv_int.h"

static uint32_t bits(uint32_t w, unsigned int lo, unsigned int n)
{
	return w >> lo & ((1u << n) - 1);
}

static int32_t sext(uint32_t v, unsigned int width)
{
	return (int32_t)(v << (32 - width)) >> (32 - width);
}

static struct x1_rv_insn make(unsigned int op, uint32_t rd, uint32_t rs1, uint32_t rs2, int32_t imm,
			      unsigned int len)
{
	return (struct x1_rv_insn){(uint8_t)op,  (uint8_t)rd,  (uint8_t)rs1,
				   (uint8_t)rs2, (uint8_t)len, imm};
}

static struct x1_rv_insn decode32(uint32_t w)
{
	static const uint8_t branch[8] = {RV_BEQ, RV_BNE, RV_ILLEGAL, RV_ILLEGAL,
					  RV_BLT, RV_BGE, RV_BLTU,    RV_BGEU};
	static const uint8_t load[8] = {RV_LB,  RV_LH,  RV_LW,      RV_ILLEGAL,
					RV_LBU, RV_LHU, RV_ILLEGAL, RV_ILLEGAL};
	static const uint8_t imm_op[8] = {RV_ADDI, RV_SLLI, RV_SLTI, RV_SLTIU,
					  RV_XORI, RV_SRLI, RV_ORI,  RV_ANDI};
	static const uint8_t reg_op[8] = {RV_ADD, RV_SLL, RV_SLT, RV_SLTU,
					  RV_XOR, RV_SRL, RV_OR,  RV_AND};
	static const uint8_t mul_op[8] = {RV_MUL, RV_MULH, RV_MULHSU, RV_MULHU,
					  RV_DIV, RV_DIVU, RV_REM,    RV_REMU};
	static const uint8_t csr_op[8] = {RV_ILLEGAL, RV_CSRRW,  RV_CSRRS,  RV_CSRRC,
					  RV_ILLEGAL, RV_CSRRWI, RV_CSRRSI, RV_CSRRCI};
	uint32_t rd = bits(w, 7, 5), rs1 = bits(w, 15, 5), rs2 = bits(w, 20, 5);
	uint32_t f3 = bits(w, 12, 3), f7 = bits(w, 25, 7);
	int32_t imm_i = (int32_t)w >> 20;
	unsigned int op = RV_ILLEGAL;

	switch (w & 0x7f) {
	case 0x37:
		return make(RV_LUI, rd, 0, 0, (int32_t)(w & 0xfffff000u), 4);
	case 0x17:
		return make(RV_AUIPC, rd, 0, 0, (int32_t)(w & 0xfffff000u), 4);
	case 0x6f:
		return make(RV_JAL, rd, 0, 0,
			    sext(bits(w, 31, 1) << 20 | bits(w, 12, 8) << 12 |
					 bits(w, 20, 1) << 11 | bits(w, 21, 10) << 1,
				 21),
			    4);
	case 0x67:
		return make(f3 ? RV_ILLEGAL : RV_JALR, rd, rs1, 0, imm_i, 4);
	case 0x63:
		return make(branch[f3], 0, rs1, rs2,
			    sext(bits(w, 31, 1) << 12 | bits(w, 7, 1) << 11 | bits(w, 25, 6) << 5 |
					 bits(w, 8, 4) << 1,
				 13),
			    4);
	case 0x03:
		return make(load[f3], rd, rs1, 0, imm_i, 4);
	case 0x23:
		return make(f3 < 3 ? RV_SB + f3 : (unsigned int)RV_ILLEGAL, 0, rs1, rs2,
			    sext(f7 << 5 | rd, 12), 4);
	case 0x13:
		op = imm_op[f3];
		if (op == RV_SLLI && f7)
			op = RV_ILLEGAL;
		if (op == RV_SRLI && f7)
			op = f7 == 0x20 ? RV_SRAI : RV_ILLEGAL;
		return make(op, rd, rs1, 0,
			    op == RV_SLLI || op == RV_SRLI || op == RV_SRAI ? (int32_t)rs2 : imm_i,
			    4);
	case 0x33:
		if (f7 == 0)
			op = reg_op[f3];
		else if (f7 == 1)
			op = mul_op[f3];
		else if (f7 == 0x20 && f3 == 0)
			op = RV_SUB;
		else if (f7 == 0x20 && f3 == 5)
			op = RV_SRA;
		return make(op, rd, rs1, rs2, 0, 4);
	case 0x0f:
		return make(f3 == 0 ? RV_FENCE : f3 == 1 ? RV_FENCE_I : RV_ILLEGAL, 0, 0, 0, 0, 4);
	case 0x73:
		if (f3)
			return make(csr_op[f3], rd, rs1, 0, (int32_t)(w >> 20), 4);
		if (w == 0x00000073)
			op = RV_ECALL;
		else if (w == 0x00100073)
			op = RV_EBREAK;
		else if (w == 0x30200073)
			op = RV_MRET;
		else if (w == 0x10500073)
			op = RV_WFI;
		return make(op, 0, 0, 0, 0, 4);
	default:
		return make(RV_ILLEGAL, 0, 0, 0, 0, 4);
	}
}

/* C.J and C.JAL */
static int32_t cj_imm(uint32_t w)
{
	return sext(bits(w, 12, 1) << 11 | bits(w, 8, 1) << 10 | bits(w, 9, 2) << 8 |
			    bits(w, 6, 1) << 7 | bits(w, 7, 1) << 6 | bits(w, 2, 1) << 5 |
			    bits(w, 11, 1) << 4 | bits(w, 3, 3) << 1,
		    12);
}

static int32_t cb_imm(uint32_t w)
{
	return sext(bits(w, 12, 1) << 8 | bits(w, 5, 2) << 6 | bits(w, 2, 1) << 5 |
			    bits(w, 10, 2) << 3 | bits(w, 3, 2) << 1,
		    9);
}

static struct x1_rv_insn quadrant0(uint32_t w)
{
	uint32_t rd = 8 + bits(w, 2, 3), rs1 = 8 + bits(w, 7, 3);
	int32_t offset = (int32_t)(bits(w, 10, 3) << 3 | bits(w, 6, 1) << 2 | bits(w, 5, 1) << 6);
	int32_t wide = (int32_t)(bits(w, 7, 4) << 6 | bits(w, 11, 2) << 4 | bits(w, 5, 1) << 3 |
				 bits(w, 6, 1) << 2);

	switch (bits(w, 13, 3)) {
	case 0: /* C.ADDI4SPN; all zeros is illegal by definition */
		return make(wide ? RV_ADDI : RV_ILLEGAL, rd, 2, 0, wide, 2);
	case 2:
		return make(RV_LW, rd, rs1, 0, offset, 2);
	case 6:
		return make(RV_SW, 0, rs1, rd, offset, 2);
	default:
		return make(RV_ILLEGAL, 0, 0, 0, 0, 2);
	}
}

static struct x1_rv_insn arith(uint32_t w)
{
	static const uint8_t ops[4] = {RV_SUB, RV_XOR, RV_OR, RV_AND};
	uint32_t rd = 8 + bits(w, 7, 3), rs2 = 8 + bits(w, 2, 3);
	uint32_t shamt = bits(w, 12, 1) << 5 | bits(w, 2, 5);

	switch (bits(w, 10, 2)) {
	case 0:
		return make(shamt < 32 ? RV_SRLI : RV_ILLEGAL, rd, rd, 0, (int32_t)shamt, 2);
	case 1:
		return make(shamt < 32 ? RV_SRAI : RV_ILLEGAL, rd, rd, 0, (int32_t)shamt, 2);
	case 2:
		return make(RV_ANDI, rd, rd, 0, sext(shamt, 6), 2);
	default:
		if (bits(w, 12, 1))
			return make(RV_ILLEGAL, 0, 0, 0, 0, 2);
		return make(ops[bits(w, 5, 2)], rd, rd, rs2, 0, 2);
	}
}

static struct x1_rv_insn quadrant1(uint32_t w)
{
	uint32_t rd = bits(w, 7, 5);
	int32_t imm = sext(bits(w, 12, 1) << 5 | bits(w, 2, 5), 6);
	int32_t sp = sext(bits(w, 12, 1) << 9 | bits(w, 3, 2) << 7 | bits(w, 5, 1) << 6 |
				  bits(w, 2, 1) << 5 | bits(w, 6, 1) << 4,
			  10);

	switch (bits(w, 13, 3)) {
	case 0:
		return make(RV_ADDI, rd, rd, 0, imm, 2);
	case 1:
		return make(RV_JAL, 1, 0, 0, cj_imm(w), 2);
	case 2:
		return make(RV_ADDI, rd, 0, 0, imm, 2);
	case 3:
		if (rd == 2)
			return make(sp ? RV_ADDI : RV_ILLEGAL, 2, 2, 0, sp, 2);
		return make(imm ? RV_LUI : RV_ILLEGAL, rd, 0, 0, (int32_t)((uint32_t)imm << 12), 2);
	case 4:
		return arith(w);
	case 5:
		return make(RV_JAL, 0, 0, 0, cj_imm(w), 2);
	case 6:
		return make(RV_BEQ, 0, 8 + bits(w, 7, 3), 0, cb_imm(w), 2);
	default:
		return make(RV_BNE, 0, 8 + bits(w, 7, 3), 0, cb_imm(w), 2);
	}
}

static struct x1_rv_insn quadrant2(uint32_t w)
{
	uint32_t rd = bits(w, 7, 5), rs2 = bits(w, 2, 5);
	int32_t load = (int32_t)(bits(w, 2, 2) << 6 | bits(w, 12, 1) << 5 | bits(w, 4, 3) << 2);
	int32_t store = (int32_t)(bits(w, 7, 2) << 6 | bits(w, 9, 4) << 2);

	switch (bits(w, 13, 3)) {
	case 0:
		return make(bits(w, 12, 1) ? RV_ILLEGAL : RV_SLLI, rd, rd, 0, (int32_t)rs2, 2);
	case 2:
		return make(rd ? RV_LW : RV_ILLEGAL, rd, 2, 0, load, 2);
	case 4:
		if (!bits(w, 12, 1)) {
			if (!rs2)
				return make(rd ? RV_JALR : RV_ILLEGAL, 0, rd, 0, 0, 2);
			return make(RV_ADD, rd, 0, rs2, 0, 2);
		}
		if (!rs2)
			return rd ? make(RV_JALR, 1, rd, 0, 0, 2) : make(RV_EBREAK, 0, 0, 0, 0, 2);
		return make(RV_ADD, rd, rd, rs2, 0, 2);
	case 6:
		return make(RV_SW, 0, 2, rs2, store, 2);
	default:
		return make(RV_ILLEGAL, 0, 0, 0, 0, 2);
	}
}

struct x1_rv_insn x1_rv_decode(uint32_t word)
{
	switch (word & 3) {
	case 0:
		return quadrant0(word & 0xffff);
	case 1:
		return quadrant1(word & 0xffff);
	case 2:
		return quadrant2(word & 0xffff);
	default:
		return decode32(word);
	}
}
