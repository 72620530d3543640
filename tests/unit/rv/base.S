/* SPDX-License-Identifier: MIT */
/* RV32I: what depends on the program counter or memory. Arithmetic: ops.S. */
#include "rv.inc"

	begin
	.option	norvc

	/* LUI, AUIPC, x0 */
	lui	a0, 0xfffff
	expect	a0, 0xfffff000
	lui	a0, 1
	expect	a0, 0x1000
	lui	zero, 0x12345
	expect	zero, 0
	addi	zero, zero, 5
	expect	zero, 0
1:	auipc	a0, 0
	la	a1, 1b
	sub	a0, a0, a1
	expect	a0, 0
2:	auipc	a0, 0xfffff
	la	a1, 2b
	sub	a0, a1, a0
	expect	a0, 0x1000

	/* JAL, JALR: link, forwards and backwards, low bit dropped, rd = rs1 */
1:	jal	ra, 3f
	j	fail
2:	jal	a0, 4f
	j	fail
3:	la	a1, 1b + 4
	sub	a1, ra, a1
	expect	a1, 0
	j	2b
4:	la	a1, 2b + 4
	sub	a1, a0, a1
	expect	a1, 0
	la	a0, 6f + 1
5:	jalr	a0, a0, 0
	j	fail
6:	la	a1, 5b + 4
	sub	a1, a0, a1
	expect	a1, 0
	la	a0, 7f + 2000
	jalr	zero, a0, -2000
	j	fail
7:
	/* Branches: each condition taken and not, forwards; one backwards. */
	.macro	taken op, x, y
	addi	s11, s11, 1
	li	a0, \x
	li	a1, \y
	\op	a0, a1, 1f
	j	fail
1:
	.endm
	.macro	passed op, x, y
	addi	s11, s11, 1
	li	a0, \x
	li	a1, \y
	\op	a0, a1, 1f
	j	2f
1:	j	fail
2:
	.endm
	taken	beq, 5, 5
	taken	beq, -1, -1
	passed	beq, 5, 6
	passed	beq, 0, 0x80000000
	taken	bne, 5, 6
	passed	bne, -7, -7
	taken	blt, -1, 0
	taken	blt, 0x80000000, 0x7fffffff
	passed	blt, 0, 0
	passed	blt, 1, -1
	taken	bge, 0, 0
	taken	bge, 1, -1
	taken	bge, 0x7fffffff, 0x80000000
	passed	bge, -1, 0
	taken	bltu, 0, -1
	taken	bltu, 0x7fffffff, 0x80000000
	passed	bltu, -1, 0
	passed	bltu, 3, 3
	taken	bgeu, -1, 0
	taken	bgeu, 3, 3
	taken	bgeu, 0x80000000, 0x7fffffff
	passed	bgeu, 0, -1
	li	a0, 0
	li	a1, 10
1:	addi	a0, a0, 3
	addi	a1, a1, -1
	bnez	a1, 1b
	expect	a0, 30

	/* Loads and stores: widths, extension, offsets of both signs. */
	la	a0, data
	lw	a1, 0(a0)
	expect	a1, 0x80fe7f81
	lb	a1, 0(a0)
	expect	a1, 0xffffff81
	lb	a1, 1(a0)
	expect	a1, 0x7f
	lbu	a1, 0(a0)
	expect	a1, 0x81
	lbu	a1, 3(a0)
	expect	a1, 0x80
	lh	a1, 0(a0)
	expect	a1, 0x7f81
	lh	a1, 2(a0)
	expect	a1, 0xffff80fe
	lhu	a1, 2(a0)
	expect	a1, 0x80fe
	lw	a1, -4(a0)
	expect	a1, 0x01234567
	addi	a2, a0, 2040
	lw	a1, -2040(a2)
	expect	a1, 0x80fe7f81
	addi	a2, a0, -2047
	lb	a1, 2047(a2)
	expect	a1, 0xffffff81
	li	a3, 0xaabbccdd
	sw	a3, 4(a0)
	lw	a1, 4(a0)
	expect	a1, 0xaabbccdd
	li	a3, 0x11223344
	sh	a3, 4(a0)
	lw	a1, 4(a0)
	expect	a1, 0xaabb3344
	sh	a3, 6(a0)
	lw	a1, 4(a0)
	expect	a1, 0x33443344
	sb	a3, 5(a0)
	lw	a1, 4(a0)
	expect	a1, 0x33444444
	sb	zero, 7(a0)
	lw	a1, 4(a0)
	expect	a1, 0x00444444
	lw	zero, 0(a0)
	expect	zero, 0

	/* FENCE does nothing; FENCE.I makes written code visible. */
	fence
	fence	r, w
	la	a0, patch
	la	a1, patch_with
	lw	a1, 0(a1)
	jal	ra, patch
	expect	a2, 1
	sw	a1, 0(a0)
	fence.i
	jal	ra, patch
	expect	a2, 2
	finish

	.text
	.option	norvc
patch:	li	a2, 1
	ret
patch_with:
	li	a2, 2
	.balign	4
	.word	0x01234567
data:	.word	0x80fe7f81, 0
	.space	4096
