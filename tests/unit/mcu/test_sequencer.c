// SPDX-License-Identifier: MIT
/* The sequencer: programs that are refused, every instruction, semaphores, loops, ends. */
#include <stdlib.h>

#include "mcu.h"

static struct t_mcu *mcu;

/* Stores register r at T_MEM + 8 * i when the program has come here. */
static void keep(unsigned int r, unsigned int i)
{
	t_insn(mcu, (struct x1_insn){
			    .op = X1_OP_STM, .rd = (uint8_t)r, .ra = 59, .rb = 3, .imm = i * 8});
}

static uint64_t kept(unsigned int i)
{
	uint64_t v;

	memcpy(&v, mcu->mem + (size_t)i * 8, 8);
	return v;
}

static void set_kept(unsigned int i, uint64_t v)
{
	memcpy(mcu->mem + (size_t)i * 8, &v, 8);
}

static void begin(void)
{
	t_begin(mcu);
	t_li(mcu, 59, T_MEM);
}

static struct x1_insn *mem_op(unsigned int op, unsigned int rd, uint64_t addr, unsigned int log2)
{
	t_li(mcu, 58, addr);
	return t_insn(mcu,
		      (struct x1_insn){
			      .op = (uint8_t)op, .rd = (uint8_t)rd, .ra = 58, .rb = (uint8_t)log2});
}

/* A LOAD of 8 bytes to scratchpad 0, as an engine instruction that does something. */
static const struct x1_desc load8 = {
	.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1), [X1_DMA_COUNT0] = 8}};

/* ---- programs ---- */

static uint32_t decode(const void *image, uint32_t bytes, uint32_t insns)
{
	struct x1_fault_rec rec;
	struct x1_program *p = x1_program_decode(image, bytes, insns, &rec);

	if (p) {
		x1_program_free(p);
		return X1_FAULT_NONE;
	}
	assert_int_equal(rec.unit, X1_UNIT_SEQ);
	return rec.code;
}

static uint32_t decode_one(struct x1_insn insn)
{
	struct {
		struct x1_insn insn[2];
		struct x1_desc desc[2];
	} image = {.insn = {insn, {.op = X1_OP_END}}};

	return decode(&image, sizeof(image), 2);
}

static uint32_t decode_desc(unsigned int op, struct x1_desc desc)
{
	struct {
		struct x1_insn insn[2];
		struct x1_desc desc;
	} image = {.insn = {{.op = (uint8_t)op, .imm = 32}, {.op = X1_OP_END}}, .desc = desc};

	return decode(&image, sizeof(image), 2);
}

/* REQ-ISA-001, -002: what is refused before anything runs. */
static void test_refused(void **state)
{
	static struct x1_insn big[X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES + 1];
	struct x1_insn end = {.op = X1_OP_END};
	struct x1_desc d = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); i++)
		big[i] = end;
	assert_int_equal(decode(big, X1_MAX_PROGRAM_BYTES, 1), X1_FAULT_NONE);
	assert_int_equal(decode(big, sizeof(big), 1), X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode(big, 24, 1), X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode(big, 0, 0), X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode(big, 32, 0), X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode(big, 32, 3), X1_FAULT_BAD_PROGRAM);
	for (unsigned int op = 0; op < 256; op++) {
		bool there = (op >= X1_OP_NOP && op <= X1_OP_SYNC) ||
			     (op >= X1_OP_ADD && op <= X1_OP_SEL) ||
			     (op >= X1_OP_JMP && op <= X1_OP_LOOPI) ||
			     (op >= X1_OP_LDM && op <= X1_OP_RDCLK) ||
			     (op >= X1_OP_LOAD && op <= X1_OP_VEC);
		struct x1_insn in = {.op = (uint8_t)op, .rb = 3, .imm = 32};

		if (op == X1_OP_LOOP || op == X1_OP_LOOPI)
			in.imm = 2;
		else if (op >= X1_OP_JMP && op <= X1_OP_BGEU)
			in.imm = 0;
		assert_int_equal(decode_one(in), there ? X1_FAULT_NONE : X1_FAULT_ILLEGAL);
	}
	/* Registers, semaphores, sizes. */
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_ADD, .rd = 64}), X1_FAULT_ILLEGAL);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_ADD, .ra = 64}), X1_FAULT_ILLEGAL);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_ADD, .rb = 64}), X1_FAULT_ILLEGAL);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_BEQ, .rb = X1_REG_IMM}),
			 X1_FAULT_ILLEGAL);
	assert_int_equal(
		decode_one((struct x1_insn){.op = X1_OP_LOAD, .rb = X1_REG_IMM, .imm = 32}),
		X1_FAULT_ILLEGAL);
	for (unsigned int i = 0; i < 4; i++) {
		struct x1_insn in = {.op = X1_OP_NOP};
		uint8_t *sem = i < 2 ? &in.wait[i] : &in.sig[i - 2];

		*sem = X1_SEM(X1_NUM_SEMS - 1);
		assert_int_equal(decode_one(in), X1_FAULT_NONE);
		*sem = X1_SEM(X1_NUM_SEMS);
		assert_int_equal(decode_one(in), X1_FAULT_ILLEGAL);
		*sem = 1;
		assert_int_equal(decode_one(in), X1_FAULT_ILLEGAL);
	}
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_LDM, .rb = 4}), X1_FAULT_ILLEGAL);
	for (unsigned int op = X1_OP_STREL; op <= X1_OP_ATOR; op++)
		assert_int_equal(decode_one((struct x1_insn){.op = (uint8_t)op, .rb = 1}),
				 X1_FAULT_ILLEGAL);
	/* Targets. */
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_JMP, .imm = 2}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_BNE, .imm = 1ull << 32}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_LOOP, .imm = 1}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_LOOPI, .imm = 3}),
			 X1_FAULT_BAD_PROGRAM);
	/* Descriptors: alignment, in the code, out of the image, registers, unused fields. */
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_VEC, .imm = 40}), X1_FAULT_NONE);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_VEC, .imm = 36}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_VEC, .imm = 24}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_VEC, .imm = 168}),
			 X1_FAULT_BAD_PROGRAM);
	assert_int_equal(decode_one((struct x1_insn){.op = X1_OP_VEC, .imm = UINT64_MAX - 7}),
			 X1_FAULT_BAD_PROGRAM);
	d.regs = 1;
	d.f[0] = 63;
	assert_int_equal(decode_desc(X1_OP_LOAD, d), X1_FAULT_NONE);
	d.f[0] = 64;
	assert_int_equal(decode_desc(X1_OP_LOAD, d), X1_FAULT_ILLEGAL);
	d = (struct x1_desc){.regs = 1ull << X1_DESC_FIELDS};
	assert_int_equal(decode_desc(X1_OP_LOAD, d), X1_FAULT_ILLEGAL);
	d = (struct x1_desc){.regs = 1ull << X1_MM_FIELDS};
	assert_int_equal(decode_desc(X1_OP_MM, d), X1_FAULT_ILLEGAL);
	d = (struct x1_desc){.f = {[X1_VEC_FIELDS] = 1}};
	assert_int_equal(decode_desc(X1_OP_VEC, d), X1_FAULT_ILLEGAL);
	assert_int_equal(decode_desc(X1_OP_LOAD, d), X1_FAULT_NONE);
}

/* REQ-ISA-002: past the last instruction. */
static void test_falls_off(void **state)
{
	struct x1_insn nop = {.op = X1_OP_NOP};
	struct x1_fault_rec rec;
	struct x1_mem *none = NULL;

	(void)state;
	t_begin(mcu);
	mcu->prog = x1_program_decode(&nop, sizeof(nop), 1, &rec);
	mcu->grid.prog = mcu->prog;
	x1_wg_begin(mcu->wg, &mcu->grid, 0, 0, &mcu->trace);
	assert_int_equal(x1_wg_run(mcu->wg, none), X1_WG_FAULT);
	assert_int_equal(x1_wg_fault(mcu->wg)->code, X1_FAULT_BAD_PROGRAM);
	assert_int_equal(x1_wg_fault(mcu->wg)->pc, 1);
}

/* REQ-ISA-003: registers at the start; storage of another VM is gone. */
static void test_start(void **state)
{
	(void)state;
	begin();
	for (unsigned int r = 0; r < 59; r++)
		keep(r, r);
	mcu->grid.size[0] = 3;
	mcu->grid.size[1] = 5;
	mcu->grid.size[2] = 2;
	mcu->grid.total = 30;
	mcu->grid.args_dva = 0x123456789000;
	mcu->grid.num_args = X1_MAX_ARGS;
	for (unsigned int i = 0; i < X1_MAX_ARGS; i++)
		mcu->grid.args[i] = 1000 + i;
	t_ok(mcu);
	assert_int_equal(t_start(mcu, 22), X1_WG_DONE);
	assert_int_equal(kept(0), 0);
	assert_int_equal(kept(1), 22);
	assert_int_equal(kept(2), 1);
	assert_int_equal(kept(3), 2);
	assert_int_equal(kept(4), 1);
	assert_int_equal(kept(5), 30);
	assert_int_equal(kept(6), 5);
	assert_int_equal(kept(7), 0x123456789000);
	assert_int_equal(kept(8), 3);
	assert_int_equal(kept(9), 5);
	assert_int_equal(kept(10), 2);
	for (unsigned int r = 11; r < 16; r++)
		assert_int_equal(kept(r), 0);
	for (unsigned int i = 0; i < X1_MAX_ARGS; i++)
		assert_int_equal(kept(16 + i), 1000 + i);
	for (unsigned int r = 48; r < 58; r++)
		assert_int_equal(kept(r), 0);

	begin();
	t_li(mcu, 1, 0x55);
	mem_op(X1_OP_STS, 1, 40, 0);
	mem_op(X1_OP_STS, 1, X1_ACC_ADDR + 9, 0);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {X1_SEM(3)}});
	t_ok(mcu);
	assert_int_equal(*t_local(mcu, 40), 0x55);
	mcu->grid.vm = T_VM + 1;
	begin();
	mcu->grid.vm = T_VM + 1;
	mem_op(X1_OP_LDS, 2, 40, 0);
	mem_op(X1_OP_LDS, 3, X1_ACC_ADDR + 9, 0);
	keep(2, 0);
	keep(3, 1);
	/* Semaphores begin at zero always. */
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(3)}});
	t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
	assert_int_equal(kept(0), 0);
	assert_int_equal(kept(1), 0);
}

/* ---- arithmetic ---- */

static const uint64_t values[] = {0,
				  1,
				  2,
				  63,
				  64,
				  UINT64_MAX,
				  INT64_MAX,
				  1ull << 63,
				  0x123456789abcdef,
				  7,
				  (uint64_t)-7,
				  1ull << 32,
				  0xffffffffull};

static uint64_t expected(unsigned int op, uint64_t a, uint64_t b, uint64_t d)
{
	__extension__ typedef __int128 wide;

	switch (op) {
	case X1_OP_ADD:
		return (uint64_t)((wide)a + b);
	case X1_OP_SUB:
		return a + ~b + 1;
	case X1_OP_MUL:
		return a * b;
	case X1_OP_DIVU:
		return b ? a / b : ~0ull;
	case X1_OP_REMU:
		return b ? a - a / b * b : a;
	case X1_OP_AND:
		return a & b;
	case X1_OP_OR:
		return a | b;
	case X1_OP_XOR:
		return a ^ b;
	case X1_OP_SHL:
		return a << b % 64;
	case X1_OP_SHR:
		return a >> b % 64;
	case X1_OP_SAR:
		return (uint64_t)((wide)(int64_t)a >> b % 64);
	case X1_OP_MIN:
		return (int64_t)a < (int64_t)b ? a : b;
	case X1_OP_MAX:
		return (int64_t)a < (int64_t)b ? b : a;
	case X1_OP_SLT:
		return (int64_t)a < (int64_t)b;
	case X1_OP_SLTU:
		return a < b;
	case X1_OP_SEQ:
		return a == b;
	default: /* SEL */
		return d ? a : b;
	}
}

/* REQ-ISA-020: registers and immediates; r0 stays 0. */
static void test_alu(void **state)
{
	const unsigned int n = sizeof(values) / sizeof(values[0]);

	(void)state;
	for (unsigned int op = X1_OP_ADD; op <= X1_OP_SEL; op++) {
		for (unsigned int i = 0; i < n; i++) {
			begin();
			t_li(mcu, 1, values[i]);
			for (unsigned int k = 0; k < n; k++) {
				t_li(mcu, 2, values[k]);
				t_li(mcu, 3, k % 2);
				t_alu(mcu, op, 3, 1, 0)->rb = 2;
				keep(3, 2 * k);
				t_li(mcu, 3, k % 3);
				t_alu(mcu, op, 3, 1, values[k]);
				keep(3, 2 * k + 1);
			}
			t_alu(mcu, op, 0, 1, 5);
			keep(0, 2 * n);
			t_ok(mcu);
			for (unsigned int k = 0; k < n; k++) {
				assert_int_equal(kept(2 * k),
						 expected(op, values[i], values[k], k % 2));
				assert_int_equal(kept(2 * k + 1),
						 expected(op, values[i], values[k], k % 3));
			}
			assert_int_equal(kept(2 * n), 0);
		}
	}
}

/* ---- control flow ---- */

/* REQ-ISA-020: all compares, signed and unsigned, equal and not. */
static void test_branches(void **state)
{
	const unsigned int n = sizeof(values) / sizeof(values[0]);

	(void)state;
	for (unsigned int op = X1_OP_JMP; op <= X1_OP_BGEU; op++) {
		for (unsigned int i = 0; i < n * n; i++) {
			uint64_t a = values[i / n], b = values[i % n];
			bool want = op == X1_OP_JMP    ? true
				    : op == X1_OP_BEQ  ? a == b
				    : op == X1_OP_BNE  ? a != b
				    : op == X1_OP_BLT  ? (int64_t)a < (int64_t)b
				    : op == X1_OP_BGE  ? (int64_t)a >= (int64_t)b
				    : op == X1_OP_BLTU ? a < b
						       : a >= b;

			begin();
			t_li(mcu, 1, a);
			t_li(mcu, 2, b);
			t_li(mcu, 3, 1);
			t_insn(mcu, (struct x1_insn){.op = (uint8_t)op,
						     .ra = 1,
						     .rb = 2,
						     .imm = mcu->num_insns + 2});
			t_li(mcu, 3, 0);
			keep(3, 0);
			t_ok(mcu);
			assert_int_equal(kept(0), want);
		}
	}
}

static struct x1_insn *loop(unsigned int reg, uint32_t body)
{
	return t_insn(mcu, (struct x1_insn){.op = X1_OP_LOOP,
					    .ra = (uint8_t)reg,
					    .imm = mcu->num_insns + 1 + body});
}

/* REQ-ISA-021 */
static void test_loops(void **state)
{
	(void)state;
	/* Nested, with a common end, and with inner counts of 0. */
	for (uint32_t outer = 0; outer < 4; outer++) {
		for (uint32_t inner = 0; inner < 4; inner++) {
			begin();
			t_li(mcu, 1, outer);
			t_li(mcu, 2, inner);
			loop(1, 3);
			t_alu(mcu, X1_OP_ADD, 3, 3, 1);
			loop(2, 1);
			t_alu(mcu, X1_OP_ADD, 4, 4, 1);
			keep(3, 0);
			keep(4, 1);
			t_ok(mcu);
			assert_int_equal(kept(0), outer);
			assert_int_equal(kept(1), outer * inner);
		}
	}
	/* A constant count of 24 bits. */
	begin();
	t_insn(mcu, (struct x1_insn){.op = X1_OP_LOOPI,
				     .rd = 0x34,
				     .ra = 0x12,
				     .rb = 0x01,
				     .imm = mcu->num_insns + 2});
	t_alu(mcu, X1_OP_ADD, 3, 3, 1);
	keep(3, 0);
	t_ok(mcu);
	assert_int_equal(kept(0), 0x11234);
	/* A branch to the end of a body leaves the loop, one inside it stays. */
	begin();
	t_li(mcu, 1, 10);
	loop(1, 4);
	t_alu(mcu, X1_OP_ADD, 3, 3, 1);
	t_alu(mcu, X1_OP_SLT, 4, 3, 5);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_BNE, .ra = 4, .imm = mcu->num_insns + 2 - 1});
	t_insn(mcu, (struct x1_insn){.op = X1_OP_BEQ, .ra = 4, .imm = mcu->num_insns + 1});
	keep(3, 0);
	t_ok(mcu);
	assert_int_equal(kept(0), 5);
	/* X1_LOOP_DEPTH is fine, one more is not. */
	for (uint32_t depth = X1_LOOP_DEPTH; depth <= X1_LOOP_DEPTH + 1; depth++) {
		begin();
		t_li(mcu, 1, 2);
		for (uint32_t i = 0; i < depth; i++)
			loop(1, depth - i);
		t_alu(mcu, X1_OP_ADD, 3, 3, 1);
		keep(3, 0);
		if (depth == X1_LOOP_DEPTH) {
			t_ok(mcu);
			assert_int_equal(kept(0), 1 << X1_LOOP_DEPTH);
		} else {
			assert_int_equal(t_run(mcu), X1_WG_FAULT);
			assert_int_equal(mcu->fault.code, X1_FAULT_OPERAND);
			assert_int_equal(mcu->fault.pc, 2 + X1_LOOP_DEPTH);
		}
	}
	/* A body that sticks out of the one around it. */
	begin();
	t_li(mcu, 1, 2);
	loop(1, 2);
	loop(1, 2);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP});
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP});
	assert_int_equal(t_run(mcu), X1_WG_FAULT);
	assert_int_equal(mcu->fault.code, X1_FAULT_OPERAND);
}

/* ---- memory ---- */

/* REQ-ISA-022 */
static void test_scalar_memory(void **state)
{
	(void)state;
	for (unsigned int log2 = 0; log2 < 4; log2++) {
		uint64_t mask = log2 == 3 ? UINT64_MAX : (1ull << (8u << log2)) - 1;

		set_kept(100, 0x8877665544332211);
		set_kept(102, UINT64_MAX);
		begin();
		mem_op(X1_OP_LDM, 1, T_MEM + 800, log2);
		mem_op(X1_OP_STM, 1, T_MEM + 816, log2);
		keep(1, 0);
		/* Not aligned, negative offset, both kinds of local memory. */
		mem_op(X1_OP_LDM, 2, T_MEM + 801 + 8, log2)->imm = (uint64_t)-8;
		mem_op(X1_OP_STS, 2, 77, log2);
		mem_op(X1_OP_LDS, 3, 76, log2)->imm = 1;
		mem_op(X1_OP_STS, 3, X1_ACC_ADDR + X1_ACC_BYTES - 8, log2);
		mem_op(X1_OP_LDS, 4, X1_ACC_ADDR + X1_ACC_BYTES - 8, log2);
		keep(4, 1);
		mem_op(X1_OP_LDM, 0, T_MEM + 800, log2);
		keep(0, 2);
		/* System memory that has no pointer. */
		mem_op(X1_OP_LDM, 5, T_BUS + 800, log2);
		mem_op(X1_OP_STM, 5, T_BUS + 24, log2);
		t_ok(mcu);
		assert_int_equal(kept(0), 0x8877665544332211 & mask);
		assert_int_equal(kept(1), 0x0088776655443322 & mask);
		assert_int_equal(kept(2), 0);
		assert_int_equal(kept(3) & mask, 0x8877665544332211 & mask);
		assert_int_equal(kept(102), (0x8877665544332211 & mask) | (UINT64_MAX & ~mask));
	}
	for (unsigned int op = X1_OP_LDM; op <= X1_OP_STM; op++) {
		static const struct {
			uint64_t dva;
			uint32_t code;
		} bad[] = {{0x40000000, X1_FAULT_UNMAPPED},
			   {1ull << 50, X1_FAULT_BAD_DVA},
			   {T_MEM + T_MEM_SIZE - 4, X1_FAULT_UNMAPPED}};

		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			begin();
			mem_op(op, 1, bad[i].dva, 3);
			t_bad(mcu, bad[i].code, X1_UNIT_SEQ);
			assert_int_equal(mcu->fault.addr, bad[i].dva);
			assert_int_equal(mcu->fault.access,
					 op == X1_OP_STM ? X1_ACCESS_WRITE : X1_ACCESS_READ);
			assert_int_equal(mcu->fault.mcu, 5);
			assert_int_equal(mcu->fault.vm, T_VM);
		}
	}
	begin();
	mem_op(X1_OP_STM, 1, T_RO, 3);
	t_bad(mcu, X1_FAULT_PERMISSION, X1_UNIT_SEQ);
	for (unsigned int op = X1_OP_LDS; op <= X1_OP_STS; op++) {
		static const uint64_t bad[] = {X1_SPAD_BYTES - 7, X1_ACC_ADDR + X1_ACC_BYTES - 7,
					       X1_ACC_ADDR - 1, UINT64_MAX, 1ull << 63};

		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			begin();
			mem_op(op, 1, bad[i], 3);
			t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_SEQ);
			assert_int_equal(mcu->fault.addr, bad[i]);
		}
	}
}

/* REQ-ISA-024: 4 and 8 bytes; alignment; memory that no pointer reaches. */
static void test_atomics(void **state)
{
	static const struct {
		unsigned int op;
		uint64_t want; /* of old 0xf0f0f0f0fffffff0 and 0x12345678000000ff */
	} cases[] = {
		{X1_OP_STREL, 0x12345678000000ff}, {X1_OP_ATADD, 0x03254769000000ef},
		{X1_OP_ATMAX, 0xf0f0f0f0fffffff0}, {X1_OP_ATMIN, 0x12345678000000ff},
		{X1_OP_ATAND, 0x10305070000000f0}, {X1_OP_ATOR, 0xf2f4f6f8ffffffff},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int op = cases[i].op;

		begin();
		set_kept(10, 0xf0f0f0f0fffffff0);
		set_kept(11, 0xf0f0f0f0fffffff0);
		t_li(mcu, 1, 0x12345678000000ff);
		mem_op(op, 1, T_MEM + 80, 3);
		mem_op(op, 1, T_MEM + 88, 2);
		keep(1, 0);
		t_ok(mcu);
		if (op == X1_OP_ATADD)
			assert_int_equal(kept(10), 0xf0f0f0f0fffffff0 + 0x12345678000000ff);
		else
			assert_int_equal(kept(10), cases[i].want);
		/* The half next to a 4-byte one stays. */
		assert_int_equal(kept(11) >> 32, 0xf0f0f0f0);
		assert_int_equal((uint32_t)kept(11), op == X1_OP_STREL || op == X1_OP_ATMIN ? 0xff
						     : op == X1_OP_ATADD                    ? 0xef
						     : op == X1_OP_ATMAX ? 0xfffffff0
						     : op == X1_OP_ATAND ? 0xf0
									 : 0xffffffff);
		/* Nothing returns. */
		assert_int_equal(kept(0), 0x12345678000000ff);
		begin();
		mem_op(op, 1, T_MEM + 84, 3);
		t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_SEQ);
		begin();
		mem_op(op, 1, T_RO, 3);
		t_bad(mcu, X1_FAULT_PERMISSION, X1_UNIT_SEQ);
		begin();
		mem_op(op, 1, T_BUS, 3);
		t_bad(mcu, X1_FAULT_DMA, X1_UNIT_SEQ);
	}
}

/* REQ-ISA-023, REQ-TIME-011: a wait parks until the value is there; STREL comes after STOREs. */
static void test_wait_release(void **state)
{
	static const struct x1_desc store8 = {.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) |
								    X1_DMA_CTRL_LFMT(X1_FMT_INT8) |
								    X1_DMA_CTRL_MFMT(X1_FMT_INT8),
						    [X1_DMA_COUNT0] = 8}};

	(void)state;
	for (unsigned int log2 = 2; log2 < 4; log2++) {
		begin();
		set_kept(10, log2 == 2 ? 0xff00000004 : 4);
		t_li(mcu, 1, 5);
		mem_op(X1_OP_WAITGE, 1, T_MEM + 80, log2);
		keep(1, 11);
		set_kept(11, 0);
		assert_int_equal(t_run(mcu), X1_WG_PARKED);
		assert_int_equal(t_continue(mcu), X1_WG_PARKED);
		assert_int_equal(kept(11), 0);
		set_kept(10, 6);
		assert_int_equal(t_continue(mcu), X1_WG_DONE);
		assert_int_equal(kept(11), 5);
	}
	begin();
	mem_op(X1_OP_WAITGE, 1, T_MEM + 84, 3);
	t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_SEQ);
	begin();
	mem_op(X1_OP_WAITGE, 1, 0x40000000, 3);
	t_bad(mcu, X1_FAULT_UNMAPPED, X1_UNIT_SEQ);
	/* A STORE that waits for the sequencer holds STREL back for ever. */
	begin();
	t_engine(mcu, X1_OP_STORE, 0, T_MEM, 0, &store8)->wait[0] = X1_SEM(1);
	mem_op(X1_OP_STREL, 1, T_MEM + 80, 3);
	t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
}

/* REQ-ISA-025: outside a cooperative grid; inside, everybody has to come. */
static void test_grid_barrier(void **state)
{
	struct x1_insn bar = {.op = X1_OP_GRIDBAR};

	(void)state;
	begin();
	t_insn(mcu, bar);
	t_bad(mcu, X1_FAULT_GRID, X1_UNIT_SEQ);
	begin();
	mcu->grid.cooperative = true;
	mcu->grid.total = 2;
	t_insn(mcu, bar);
	keep(1, 0);
	t_insn(mcu, bar);
	set_kept(0, 77);
	assert_int_equal(t_run(mcu), X1_WG_PARKED);
	assert_int_equal(t_continue(mcu), X1_WG_PARKED);
	/* The other one arrives. */
	__atomic_store_n(&mcu->grid.barrier_arrived, 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&mcu->grid.barrier_phase, 1, __ATOMIC_RELAXED);
	assert_int_equal(t_continue(mcu), X1_WG_PARKED);
	assert_int_equal(kept(0), 0);
	assert_int_equal(mcu->grid.barrier_arrived, 1);
}

static uint64_t clock_of(void *arg)
{
	return *(uint64_t *)arg;
}

static void test_clock(void **state)
{
	uint64_t now = 1234567;

	(void)state;
	begin();
	t_insn(mcu, (struct x1_insn){.op = X1_OP_RDCLK, .rd = 4});
	t_insn(mcu, (struct x1_insn){.op = X1_OP_RDCLK, .rd = 0});
	keep(4, 0);
	keep(0, 1);
	mcu->grid.clock = clock_of;
	mcu->grid.clock_arg = &now;
	t_ok(mcu);
	assert_int_equal(kept(0), now);
	assert_int_equal(kept(1), 0);
}

/* ---- semaphores and ends ---- */

/* REQ-ISA-010, -011, -012: an engine waits for the sequencer and the other way round. */
static void test_semaphores(void **state)
{
	struct x1_desc d = load8;

	(void)state;
	begin();
	set_kept(0, 0x1122334455667788);
	set_kept(1, 0);
	/* The register is read at issue, memory when the LOAD runs. */
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->wait[0] = X1_SEM(2);
	mcu->insn[mcu->num_insns - 1].sig[1] = X1_SEM(3);
	t_li(mcu, 61, 0x40000000);
	t_li(mcu, 1, 0x99);
	mem_op(X1_OP_STM, 1, T_MEM, 0);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {0, X1_SEM(2)}});
	mem_op(X1_OP_LDS, 2, 0, 3)->wait[1] = X1_SEM(3);
	keep(2, 1);
	t_ok(mcu);
	assert_int_equal(kept(1), 0x1122334455667799);
	/* A taken branch and a LOOP signal as well. */
	begin();
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->wait[0] = X1_SEM(2);
	mcu->insn[mcu->num_insns - 1].sig[0] = X1_SEM(3);
	t_insn(mcu,
	       (struct x1_insn){.op = X1_OP_JMP, .sig = {X1_SEM(2)}, .imm = mcu->num_insns + 1});
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(3)}});
	t_engine_regs(mcu, X1_OP_LOAD, 60, 61, 62, &d)->wait[0] = X1_SEM(2);
	mcu->insn[mcu->num_insns - 1].sig[0] = X1_SEM(3);
	t_insn(mcu,
	       (struct x1_insn){
		       .op = X1_OP_LOOPI, .rd = 1, .sig = {X1_SEM(2)}, .imm = mcu->num_insns + 2});
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(3)}});
	t_ok(mcu);
	/* One named twice needs two and takes two. */
	for (unsigned int tokens = 1; tokens < 4; tokens++) {
		begin();
		for (unsigned int i = 0; i < tokens; i++)
			t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {X1_SEM(4)}});
		t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(4), X1_SEM(4)}});
		if (tokens == 1) {
			t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
			continue;
		}
		t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(4)}});
		if (tokens == 2)
			t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
		else
			t_ok(mcu);
	}
	/* X1_SEM_MAX tokens fit. */
	for (uint32_t n = X1_SEM_MAX; n <= X1_SEM_MAX + 1; n++) {
		begin();
		t_li(mcu, 1, n);
		loop(1, 1);
		t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {X1_SEM(31)}});
		if (n == X1_SEM_MAX)
			t_ok(mcu);
		else
			t_bad(mcu, X1_FAULT_SEMAPHORE, X1_UNIT_SEQ);
	}
	/* An engine's signal overflows too. */
	begin();
	t_li(mcu, 1, X1_SEM_MAX);
	loop(1, 1);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {X1_SEM(31)}});
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->sig[1] = X1_SEM(31);
	t_bad(mcu, X1_FAULT_SEMAPHORE, X1_UNIT_LOAD);
}

/* REQ-ISA-013: nobody can give what all wait for; X1_ENGINE_QUEUE instructions fit. */
static void test_deadlock(void **state)
{
	struct x1_desc d = load8;

	(void)state;
	begin();
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->wait[0] = X1_SEM(0);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_SYNC});
	t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
	/* END waits for engines. */
	begin();
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->wait[0] = X1_SEM(0);
	assert_int_equal(t_run(mcu), X1_WG_FAULT);
	assert_int_equal(mcu->fault.code, X1_FAULT_DEADLOCK);
	/* Two engines that wait for each other. */
	begin();
	t_engine(mcu, X1_OP_LOAD, 0, T_MEM, 0, &d)->wait[0] = X1_SEM(0);
	mcu->insn[mcu->num_insns - 1].sig[0] = X1_SEM(1);
	d = (struct x1_desc){.f = {[X1_VEC_ROWS] = 1, [X1_VEC_COLS] = 1}};
	t_engine(mcu, X1_OP_VEC, 0, 0, 0, &d)->wait[0] = X1_SEM(1);
	mcu->insn[mcu->num_insns - 1].sig[0] = X1_SEM(0);
	t_insn(mcu, (struct x1_insn){.op = X1_OP_SYNC});
	t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
	for (uint32_t n = X1_ENGINE_QUEUE; n <= X1_ENGINE_QUEUE + 1; n++) {
		d = load8;
		begin();
		t_li(mcu, 1, n);
		t_li(mcu, 61, T_MEM);
		loop(1, 1);
		t_engine_regs(mcu, X1_OP_LOAD, 0, 61, 0, &d)->wait[0] = X1_SEM(0);
		if (n > X1_ENGINE_QUEUE) {
			t_bad(mcu, X1_FAULT_DEADLOCK, X1_UNIT_SEQ);
			continue;
		}
		loop(1, 1);
		t_insn(mcu, (struct x1_insn){.op = X1_OP_NOP, .sig = {X1_SEM(0)}});
		t_ok(mcu);
	}
}

/* REQ-ISA-014 */
static void test_trap(void **state)
{
	(void)state;
	begin();
	t_insn(mcu, (struct x1_insn){.op = X1_OP_TRAP, .imm = 0xabcdef0123456789});
	t_bad(mcu, X1_FAULT_TRAP, X1_UNIT_SEQ);
	assert_int_equal(mcu->fault.addr, 0xabcdef0123456789);
}

/* REQ-ISA-013, REQ-TIME-010: the watchdog, and a budget that is smaller. */
static void test_watchdog(void **state)
{
	(void)state;
	for (int budget = 0; budget < 2; budget++) {
		begin();
		t_insn(mcu, (struct x1_insn){.op = X1_OP_JMP, .imm = mcu->num_insns});
		mcu->grid.budget = budget ? 5000 : 0;
		/* On its way, and far on: 2^28 instructions take seconds. */
		mcu->stop_at = 1;
		assert_int_equal(t_run(mcu), X1_WG_STOPPED);
		if (!budget)
			mcu->wg->insns = X1_WG_MAX_INSNS - 10;
		mcu->stop_at = 0;
		assert_int_equal(t_continue(mcu), X1_WG_FAULT);
		assert_int_equal(mcu->fault.code, budget ? X1_FAULT_BUDGET : X1_FAULT_WATCHDOG);
		assert_int_equal(mcu->wg->insns, budget ? 5000 : X1_WG_MAX_INSNS);
	}
}

/* A stop between instructions loses nothing, wherever it comes. */
static void test_stop_anywhere(void **state)
{
	struct x1_desc d = load8;

	(void)state;
	for (uint32_t at = 0;; at++) {
		begin();
		t_li(mcu, 1, 3);
		t_li(mcu, 61, T_MEM + 8);
		set_kept(1, 42);
		loop(1, 4);
		t_engine_regs(mcu, X1_OP_LOAD, 0, 61, 0, &d)->sig[0] = X1_SEM(0);
		mem_op(X1_OP_LDS, 2, 0, 3)->wait[0] = X1_SEM(0);
		t_alu(mcu, X1_OP_ADD, 3, 3, 0)->rb = 2;
		keep(3, 0);
		mcu->stop_at = at;
		if (at) {
			if (t_run(mcu) == X1_WG_DONE)
				break;
			assert_int_equal(t_continue(mcu), X1_WG_DONE);
		} else {
			t_ok(mcu);
			assert_true(mcu->quiesces >= 3);
		}
		assert_int_equal(kept(0), 3 * 42);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_falls_off),
		cmocka_unit_test(test_start),         cmocka_unit_test(test_alu),
		cmocka_unit_test(test_branches),      cmocka_unit_test(test_loops),
		cmocka_unit_test(test_scalar_memory), cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_wait_release),  cmocka_unit_test(test_grid_barrier),
		cmocka_unit_test(test_clock),         cmocka_unit_test(test_semaphores),
		cmocka_unit_test(test_deadlock),      cmocka_unit_test(test_trap),
		cmocka_unit_test(test_watchdog),      cmocka_unit_test(test_stop_anywhere),
	};
	int ret;

	mcu = t_mcu_new();
	ret = cmocka_run_group_tests_name("sequencer", tests, NULL, NULL);
	t_mcu_free(mcu);
	return ret;
}
