/* SPDX-License-Identifier: MIT */
/* A trap handler that traps: the core stops, the first trap's CSRs stay. */
#include "rv.inc"

	begin
	la	t0, handler
	csrw	mtvec, t0
	li	s2, 0x5157
	.globl	first
	.option	norvc
first:	ecall
	finish
	.text
	.balign	4
handler:
	li	s2, 0
	ebreak
