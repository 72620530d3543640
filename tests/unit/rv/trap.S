/* SPDX-License-Identifier: MIT */
/* Exceptions: cause, mepc, mtval, the stack of MIE; illegal encodings, one by one. */
#include "rv.inc"

	begin
	la	t0, handler
	csrw	mtvec, t0

	/* Run `insn` (of `len` bytes), expect cause and tval; go on behind it. */
	.macro	traps cause, tval, len, insn:vararg
	addi	s11, s11, 1
	li	s2, -1
	li	s5, \len
	.option	push
	.option	norvc
	.balign 4
1:	\insn
	.option	pop
	.if	\len == 2
	.balign	4
	.endif
	la	s3, 1b
	expect	s2, \cause
	sub	s6, s6, s3
	expect	s6, 0
	la	t1, \tval
	sub	s7, s7, t1
	expect	s7, 0
	.endm

	.macro	illegal word
	traps	2, 0, 4, .word \word
	.endm

	.option	norvc
	traps	11, 0, 4, ecall
	traps	3, 1b, 4, ebreak

	/* Loads and stores: misaligned, and where nothing is. */
	la	a0, data
	traps	4, data + 1, 4, lw a1, 1(a0)
	traps	4, data + 2, 4, lw a1, 2(a0)
	traps	4, data + 1, 4, lh a1, 1(a0)
	traps	4, data + 3, 4, lhu a1, 3(a0)
	traps	6, data + 1, 4, sw a1, 1(a0)
	traps	6, data + 3, 4, sh a1, 3(a0)
	li	a0, 0x20000000
	traps	5, 0x20000000, 4, lw a1, 0(a0)
	traps	5, 0x20000001, 4, lb a1, 1(a0)
	traps	7, 0x20000004, 4, sw a1, 4(a0)
	traps	7, 0x20000003, 4, sb a1, 3(a0)
	/* A device takes words only. */
	li	a0, DONE
	traps	5, DONE, 4, lb a1, 0(a0)
	traps	7, DONE + 2, 4, sh a1, 2(a0)
	/* A load that traps leaves its register. */
	li	a1, 99
	li	a0, 0x20000000
	traps	5, 0x20000000, 4, lw a1, 0(a0)
	expect	a1, 99

	/* CSRs: read-only written, not there; reading without writing is good. */
	traps	2, 0, 4, csrw mvendorid, zero
	traps	2, 0, 4, csrrsi a0, mhartid, 1
	traps	2, 0, 4, csrw cycle, zero
	traps	2, 0, 4, csrr a0, 0x7c0
	traps	2, 0, 4, csrr a0, 0x180
	traps	2, 0, 4, csrr a0, 0x000
	traps	2, 0, 4, csrw 0x7c0, zero
	csrrs	a0, mhartid, zero
	csrrci	a0, cycle, 0

	/* Encodings that are none. */
	illegal	0xffffffff
	illegal	0x0000007f	/* opcode */
	illegal	0x0000000b	/* custom-0 */
	illegal	0x0000002f	/* A */
	illegal	0x00000007	/* F */
	illegal	0x00000053	/* F */
	illegal	0x00000057	/* V */
	illegal	0x0000001b	/* RV64 */
	illegal	0x0000003b	/* RV64 */
	illegal	0x00003003	/* LD */
	illegal	0x00006003	/* LWU */
	illegal	0x00007003
	illegal	0x00003023	/* SD */
	illegal	0x00004023
	illegal	0x00002063	/* branch 2 */
	illegal	0x00003063
	illegal	0x00001067	/* JALR, funct3 1 */
	illegal	0x02001013	/* SLLI, shamt 32 */
	illegal	0x02005013	/* SRLI, shamt 32 */
	illegal	0x42005013	/* SRAI, shamt 32 */
	illegal	0x40001013	/* SLLI, funct7 */
	illegal	0x80005013
	illegal	0x40001033	/* SLL, funct7 0x20 */
	illegal	0x40002033
	illegal	0x04000033
	illegal	0x80000033
	illegal	0x0000200f	/* MISC-MEM 2 */
	illegal	0x00200073	/* URET */
	illegal	0x10200073	/* SRET */
	illegal	0x30200f73	/* MRET with rd */
	illegal	0x7b200073	/* DRET */
	illegal	0x12000073	/* SFENCE.VMA */
	illegal	0x00004073	/* SYSTEM 4 */
	illegal	0x000000f3	/* ECALL with rd */

	/* Compressed ones. */
	.option	rvc
	.macro	illegal16 word
	traps	2, 0, 2, .half \word
	.endm
	illegal16 0x0000	/* all zeros */
	illegal16 0x0004	/* C.ADDI4SPN of 0 */
	illegal16 0x2000	/* C.FLD */
	illegal16 0x6000	/* C.FLW */
	illegal16 0x8000
	illegal16 0xa000	/* C.FSD */
	illegal16 0xe000	/* C.FSW */
	illegal16 0x6101	/* C.ADDI16SP of 0 */
	illegal16 0x6281	/* C.LUI of 0 */
	illegal16 0x9001	/* C.SRLI by 32 */
	illegal16 0x9401	/* C.SRAI by 32 */
	illegal16 0x9c01	/* C.SUBW */
	illegal16 0x9c21	/* C.ADDW */
	illegal16 0x9c41
	illegal16 0x1282	/* C.SLLI by 32 */
	illegal16 0x2002	/* C.FLDSP */
	illegal16 0x6002	/* C.FLWSP */
	illegal16 0x4002	/* C.LWSP into x0 */
	illegal16 0x8002	/* C.JR x0 */
	illegal16 0xa002	/* C.FSDSP */
	illegal16 0xe002	/* C.FSWSP */
	traps	3, 1b, 2, .half 0x9002	/* C.EBREAK */

	/* Fetch where nothing is: mepc is the target, the link is made. */
	.option	norvc
	addi	s11, s11, 1
	li	a0, 0x20000000
	la	s4, 1f
	jalr	ra, a0, 0
	j	fail
1:	expect	s2, 1
	expect	s6, 0x20000000
	expect	s7, 0x20000000
	li	s4, 0

	/* MIE goes to MPIE and comes back. */
	csrsi	mstatus, 8
	traps	11, 0, 4, ecall
	expect	s8, 0x1880
	csrr	a0, mstatus
	expect	a0, 0x1888
	csrci	mstatus, 8
	traps	11, 0, 4, ecall
	expect	s8, 0x1800
	csrr	a0, mstatus
	expect	a0, 0x1880

	/* The vectored mode is for interrupts; exceptions use the base. */
	la	t0, handler + 1
	csrw	mtvec, t0
	traps	11, 0, 4, ecall
	/* MRET may go to any halfword. */
	.option	rvc
	la	a0, 2f
	csrw	mepc, a0
	mret
	.balign	4
	c.nop
2:	c.nop
	finish

	/* s2 = mcause, s6 = mepc, s7 = mtval, s8 = mstatus; back to s4, or s5 bytes on. */
	.text
	.balign	4
handler:
	csrr	s2, mcause
	csrr	s6, mepc
	csrr	s7, mtval
	csrr	s8, mstatus
	add	t0, s6, s5
	beqz	s4, 1f
	mv	t0, s4
1:	csrw	mepc, t0
	mret
	.balign	4
data:	.word	0, 0
