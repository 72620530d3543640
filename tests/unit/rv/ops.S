/* SPDX-License-Identifier: MIT */
/* One instruction each, in the order of the table in test_rv.c: a2 = a0 op a1. */
	.option	norvc
	.irp	op, add, sub, sll, slt, sltu, xor, srl, sra, or, and, mul, mulh, mulhsu, mulhu, div, divu, rem, remu
	\op	a2, a0, a1
	.endr
	.irp	imm, -2048, -1, 0, 1, 1365, 2047
	.irp	op, addi, slti, sltiu, xori, ori, andi
	\op	a2, a0, \imm
	.endr
	.endr
	.irp	imm, 0, 1, 15, 31
	.irp	op, slli, srli, srai
	\op	a2, a0, \imm
	.endr
	.endr
