/* SPDX-License-Identifier: MIT */
/* Interrupts: enables, priority, vectors, WFI. */
#include "rv.inc"

	.equ	T, 1 << 7
	.equ	E, 1 << 11
	.equ	S, 1 << 3

	begin
	la	t0, handler
	csrw	mtvec, t0
	li	s2, 0
	li	a1, 1

	/* Pending and visible, taken only with both enables. */
	li	a0, TIMER
	sw	a1, 0(a0)
	csrr	a2, mip
	expect	a2, T
	nop
	expect	s2, 0
	csrsi	mstatus, 8
	nop
	expect	s2, 0
	li	a2, T
	csrw	mie, a2
	nop
	expect	s2, 0x80000007
	csrr	a2, mip
	expect	a2, 0

	/* At the instruction behind the one that enables. */
	csrci	mstatus, 8
	li	s2, 0
	sw	a1, 0(a0)
	la	a3, 1f
	csrsi	mstatus, 8
1:	nop
	expect	s2, 0x80000007
	sub	s6, s6, a3
	expect	s6, 0

	/* External before software before timer. */
	csrci	mstatus, 8
	li	a2, T | E | S
	csrw	mie, a2
	li	s9, 0
	sw	a1, 0(a0)
	li	a2, EXT
	sw	a1, 0(a2)
	li	a2, SOFT
	sw	a1, 0(a2)
	csrsi	mstatus, 8
	nop
	nop
	nop
	expect	s9, 0x00b37	/* causes 11, 3, 7 in the order of their taking */
	csrci	mstatus, 8

	/* Vectored: cause * 4 behind the base. */
	la	t0, vectors + 1
	csrw	mtvec, t0
	li	s2, 0
	sw	a1, 0(a0)
	csrsi	mstatus, 8
	nop
	expect	s2, 107
	li	a2, EXT
	sw	a1, 0(a2)
	nop
	expect	s2, 111
	csrci	mstatus, 8

	/* WFI goes on when one is pending and enabled, taken or not. */
	li	a2, T
	csrw	mie, a2
	sw	a1, 0(a0)
	wfi
	sw	zero, 0(a0)
	addi	s11, s11, 1
	/* The runner raises the external one when the core sleeps. */
	li	a2, E
	csrw	mie, a2
	wfi
	csrr	a2, mip
	expect	a2, E
	li	a2, EXT
	sw	zero, 0(a2)
	finish

	.text
	.balign	4
	/* s2 = mcause, s6 = mepc, s9 collects causes; the source goes away. */
handler:
	csrr	s2, mcause
	csrr	s6, mepc
	andi	t0, s2, 0xf
	slli	s9, s9, 4
	or	s9, s9, t0
	li	t1, TIMER
	li	t2, 7
	beq	t0, t2, 1f
	li	t1, EXT
	li	t2, 11
	beq	t0, t2, 1f
	li	t1, SOFT
1:	sw	zero, 0(t1)
	mret

	.option	norvc
	.balign	4
vectors:
	.rept	7
	j	unexpected
	.endr
	j	on_timer
	.rept	3
	j	unexpected
	.endr
	j	on_ext
on_timer:
	li	s2, 107
	li	t1, TIMER
	sw	zero, 0(t1)
	mret
on_ext:
	li	s2, 111
	li	t1, EXT
	sw	zero, 0(t1)
	mret
