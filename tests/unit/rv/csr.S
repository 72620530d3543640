/* SPDX-License-Identifier: MIT */
/* Zicsr: each form, write masks, counters, what is read-only or does not exist. */
#include "rv.inc"

	begin
	/* Old value, new value, set, clear; register and immediate. */
	li	a0, 0x12345678
	csrw	mscratch, a0
	li	a1, 0xffff0000
	csrrw	a2, mscratch, a1
	expect	a2, 0x12345678
	csrrs	a2, mscratch, a0
	expect	a2, 0xffff0000
	csrr	a2, mscratch
	expect	a2, 0xffff5678
	li	a1, 0xff
	csrrc	a2, mscratch, a1
	csrr	a2, mscratch
	expect	a2, 0xffff5600
	csrrwi	a2, mscratch, 31
	expect	a2, 0xffff5600
	csrrsi	a2, mscratch, 0
	expect	a2, 31
	csrrci	a2, mscratch, 5
	expect	a2, 31
	csrrsi	a2, mscratch, 4
	expect	a2, 26
	csrr	a2, mscratch
	expect	a2, 30
	/* rd = rs1: the old value comes, the register's goes. */
	li	a0, 77
	csrrw	a0, mscratch, a0
	expect	a0, 30
	csrr	a0, mscratch
	expect	a0, 77
	csrrw	zero, mscratch, zero
	csrr	a0, mscratch
	expect	a0, 0

	/* What cannot be changed stays. */
	csrr	a0, misa
	expect	a0, 0x40001104
	csrw	misa, zero
	csrr	a0, misa
	expect	a0, 0x40001104
	li	a0, -1
	csrw	mstatus, a0
	csrr	a1, mstatus
	csrw	mstatus, zero
	expect	a1, 0x1888
	csrr	a1, mstatus
	expect	a1, 0x1800
	csrw	mie, a0
	csrr	a1, mie
	csrw	mie, zero
	expect	a1, 0x888
	csrw	mip, a0
	csrr	a1, mip
	expect	a1, 0
	csrw	mepc, a0
	csrr	a1, mepc
	expect	a1, 0xfffffffe
	csrr	s2, mtvec
	csrw	mtvec, a0
	csrr	a1, mtvec
	csrw	mtvec, s2
	expect	a1, 0xfffffffd
	csrr	a0, mvendorid
	expect	a0, 0
	csrr	a0, marchid
	expect	a0, 0
	csrr	a0, mimpid
	expect	a0, 0
	csrr	a0, mhartid
	expect	a0, 0
	csrr	a0, 0xf15
	expect	a0, 0
	csrr	a0, 0x310
	expect	a0, 0
	csrr	a0, 0x320
	expect	a0, 0
	/* Counters 3 to 31 exist, and are zero. */
	li	a1, -1
	csrw	mhpmcounter3, a1
	csrr	a0, mhpmcounter3
	expect	a0, 0
	csrw	mhpmcounter31h, a1
	csrr	a0, mhpmcounter31h
	expect	a0, 0
	csrr	a0, mhpmevent3
	expect	a0, 0

	/* Counters are exact, and hold what is written. */
	csrr	a0, minstret
	nop
	nop
	csrr	a1, minstret
	sub	a1, a1, a0
	expect	a1, 3
	csrr	a0, mcycle
	nop
	csrr	a1, mcycle
	sltu	a1, a0, a1
	expect	a1, 1
	li	a0, 0xfffffffe
	csrw	minstreth, zero
	csrw	minstret, a0
	csrr	a1, minstret
	csrr	a2, instret
	nop
	csrr	a3, minstreth
	csrr	a4, instreth
	expect	a1, 0xfffffffe
	expect	a2, 0xffffffff
	expect	a3, 1
	expect	a4, 1
	li	a0, 5
	csrw	mcycleh, a0
	csrr	a1, cycleh
	expect	a1, 5
	/* The test's clock counts in steps of one, from the high word 7 on. */
	csrr	a0, time
	csrr	a1, time
	sltu	a0, a0, a1
	expect	a0, 1
	csrr	a0, timeh
	expect	a0, 7
	finish
