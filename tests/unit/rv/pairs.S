/* SPDX-License-Identifier: MIT */
/*
 * Each compressed instruction beside the one that it stands for, as the
 * assembler encodes them: .pairs.c has the former, .pairs.i the latter.
 */
	.altmacro
	.macro	pair c, i
	.section .pairs.c, "a"
	.option	rvc
	.option	norelax
	\c
	.section .pairs.i, "a"
	.option	norvc
	.option	norelax
	\i
	.endm

	.irp	r, 1, 2, 5, 8, 15, 16, 31
	.irp	imm, -32, -17, -1, 1, 10, 31
	pair	<c.addi x\r, \imm>, <addi x\r, x\r, \imm>
	pair	<c.li x\r, \imm>, <addi x\r, x0, \imm>
	.endr
	.irp	n, 1, 7, 16, 31
	pair	<c.slli x\r, \n>, <slli x\r, x\r, \n>
	.endr
	.irp	off, 0, 4, 8, 16, 32, 64, 128, 252
	pair	<c.lwsp x\r, \off(sp)>, <lw x\r, \off(sp)>
	pair	<c.swsp x\r, \off(sp)>, <sw x\r, \off(sp)>
	.endr
	.irp	s, 1, 4, 9, 17, 31
	pair	<c.mv x\r, x\s>, <add x\r, x0, x\s>
	pair	<c.add x\r, x\s>, <add x\r, x\r, x\s>
	.endr
	pair	<c.jr x\r>, <jalr x0, 0(x\r)>
	pair	<c.jalr x\r>, <jalr x1, 0(x\r)>
	.endr
	.irp	r, 1, 5, 8, 16, 31
	.irp	imm, 1, 2, 4, 8, 16, 31, 0xfffe0, 0xffff0, 0xfffff
	pair	<c.lui x\r, \imm>, <lui x\r, \imm>
	.endr
	.endr
	.irp	imm, 16, 32, 64, 128, 256, 496, -16, -32, -512
	pair	<c.addi16sp sp, \imm>, <addi sp, sp, \imm>
	.endr
	.irp	r, 8, 9, 10, 12, 15
	.irp	off, 4, 8, 16, 32, 64, 128, 256, 512, 1020
	pair	<c.addi4spn x\r, sp, \off>, <addi x\r, sp, \off>
	.endr
	.irp	n, 1, 2, 4, 8, 16, 31
	pair	<c.srli x\r, \n>, <srli x\r, x\r, \n>
	pair	<c.srai x\r, \n>, <srai x\r, x\r, \n>
	.endr
	.irp	imm, -32, -1, 0, 1, 21, 31
	pair	<c.andi x\r, \imm>, <andi x\r, x\r, \imm>
	.endr
	.irp	s, 8, 11, 14, 15
	.irp	off, 0, 4, 8, 16, 32, 64, 124
	pair	<c.lw x\r, \off(x\s)>, <lw x\r, \off(x\s)>
	pair	<c.sw x\r, \off(x\s)>, <sw x\r, \off(x\s)>
	.endr
	pair	<c.sub x\r, x\s>, <sub x\r, x\r, x\s>
	pair	<c.xor x\r, x\s>, <xor x\r, x\r, x\s>
	pair	<c.or x\r, x\s>, <or x\r, x\r, x\s>
	pair	<c.and x\r, x\s>, <and x\r, x\r, x\s>
	.endr
	.irp	off, 2, 4, 8, 16, 32, 64, 128, 254, -2, -4, -64, -256
	pair	<c.beqz x\r, . + \off>, <beq x\r, x0, . + \off>
	pair	<c.bnez x\r, . + \off>, <bne x\r, x0, . + \off>
	.endr
	.endr
	.irp	off, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2046, -2, -4, -128, -2048
	pair	<c.j . + \off>, <jal x0, . + \off>
	pair	<c.jal . + \off>, <jal x1, . + \off>
	.endr
	pair	<c.nop>, <addi x0, x0, 0>
	pair	<c.ebreak>, <ebreak>
