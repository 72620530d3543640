/* SPDX-License-Identifier: MIT */
/* C: execution of what moves the program counter or uses memory. Encodings: pairs.S. */
#include "rv.inc"

	begin
	.option	rvc

	c.j	1f
	j	fail
1:	la	a0, 2f
	c.jr	a0
	j	fail
2:	la	a0, 3f
	c.jalr	a0
4:	j	fail
	/* The link is behind two bytes, not four. */
3:	la	a1, 4b
	sub	a1, ra, a1
	expect	a1, 0
5:	c.jal	6f
7:	j	fail
6:	la	a1, 7b
	sub	a1, ra, a1
	expect	a1, 0
	li	a0, 0
	c.beqz	a0, 1f
	j	fail
1:	c.bnez	a0, 2f
	li	a0, 5
	c.bnez	a0, 3f
2:	j	fail
3:	c.beqz	a0, 2b
	li	a5, 6
1:	c.addi	a5, -1
	c.bnez	a5, 1b
	expect	a5, 0

	la	s0, words
	c.lw	a0, 0(s0)
	expect	a0, 0x11111111
	c.lw	a1, 124(s0)
	expect	a1, 0x22222222
	li	a2, 0x33333333
	c.sw	a2, 64(s0)
	lw	a3, 64(s0)
	expect	a3, 0x33333333
	c.addi16sp sp, -512
	c.swsp	a2, 0(sp)
	c.swsp	a0, 252(sp)
	c.lwsp	a4, 0(sp)
	expect	a4, 0x33333333
	c.lwsp	a4, 252(sp)
	expect	a4, 0x11111111
	c.addi4spn a5, sp, 252
	lw	a5, 0(a5)
	expect	a5, 0x11111111
	c.addi16sp sp, 496
	c.addi	sp, 16
	la	a0, stack_top
	sub	a0, a0, sp
	expect	a0, 0
	/* A 32-bit instruction across a 4-byte boundary. */
	.balign	4
	c.nop
	.option	norvc
	addi	a0, zero, 1234
	.option	rvc
	expect	a0, 1234
	finish

	.text
	.balign	4
words:	.word	0x11111111
	.space	120
	.word	0x22222222
