// SPDX-License-Identifier: MIT
/*
 * Built-in test of an MCU: a program that needs no memory. Scalar arithmetic,
 * scratchpad, one product and its accumulator; it traps at the first wrong
 * value. It ends after some dozens of instructions, so that it may run under
 * the lock.
 */
#include <stdlib.h>

#include "x1_int.h"

#define INSNS 20
#define WRONG (INSNS - 1) /* TRAP */
#define WORDS 8
#define ONES  0x0101010101010101ull

struct x1_bist {
	struct x1_program *prog;
	struct x1_wg *wg;
	struct x1_trace trace;
	struct x1_mem mem;
};

static struct x1_program *program(void)
{
	static const struct {
		struct x1_insn code[INSNS];
		struct x1_desc mm;
	} image = {
		.code =
			{
				{.op = X1_OP_ADD, .rd = 16, .rb = X1_REG_IMM, .imm = ONES},
				/* ones into the scratchpad, read back and summed up */
				{.op = X1_OP_LOOPI, .rd = WORDS, .imm = 7},
				{.op = X1_OP_STS, .rd = 16, .ra = 17, .rb = 3},
				{.op = X1_OP_LDS, .rd = 18, .ra = 17, .rb = 3},
				{.op = X1_OP_BNE, .ra = 18, .rb = 16, .imm = WRONG},
				{.op = X1_OP_ADD, .rd = 19, .ra = 19, .rb = 18},
				{.op = X1_OP_ADD, .rd = 17, .ra = 17, .rb = X1_REG_IMM, .imm = 8},
				{.op = X1_OP_ADD, .rd = 20, .rb = X1_REG_IMM, .imm = WORDS * ONES},
				{.op = X1_OP_BNE, .ra = 19, .rb = 20, .imm = WRONG},
				{.op = X1_OP_MUL, .rd = 19, .ra = 19, .rb = X1_REG_IMM, .imm = 3},
				{.op = X1_OP_DIVU, .rd = 19, .ra = 19, .rb = X1_REG_IMM, .imm = 3},
				{.op = X1_OP_BNE, .ra = 19, .rb = 20, .imm = WRONG},
				/* 32 ones by 32 ones */
				{.op = X1_OP_ADD, .rd = 21, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
				{.op = X1_OP_MM, .rd = 21, .imm = INSNS * X1_INSN_BYTES},
				{.op = X1_OP_SYNC},
				{.op = X1_OP_LDS, .rd = 22, .ra = 21, .rb = 2},
				{.op = X1_OP_ADD, .rd = 23, .rb = X1_REG_IMM, .imm = 32},
				{.op = X1_OP_BNE, .ra = 22, .rb = 23, .imm = WRONG},
				{.op = X1_OP_END},
				{.op = X1_OP_TRAP},
			},
		.mm.f =
			{
				[X1_MM_M] = 1,
				[X1_MM_N] = 1,
				[X1_MM_K] = 32,
				[X1_MM_FMT] = X1_MM_FMT(X1_FMT_INT8, X1_FMT_INT8),
				[X1_MM_A_STRIDE] = 32,
				[X1_MM_B_STRIDE] = 32,
				[X1_MM_ACC_STRIDE] = 4,
			},
	};
	struct x1_fault_rec rec = {0};

	return x1_program_decode(&image, sizeof(image), INSNS, &rec);
}

static struct x1_bist *bist_new(struct x1_core *core)
{
	struct x1_bist *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->prog = program();
	b->wg = x1_wg_new();
	x1_trace_init(&b->trace);
	b->mem.core = core;
	if (b->prog && b->wg)
		return b;
	x1_bist_free(b);
	return NULL;
}

void x1_bist_free(struct x1_bist *b)
{
	if (!b)
		return;
	if (b->prog)
		x1_program_free(b->prog);
	if (b->wg)
		x1_wg_free(b->wg);
	x1_trace_free(&b->trace);
	free(b);
}

uint32_t x1_bist_run(struct x1_core *core, uint32_t mcu)
{
	struct x1_bist *b = core->bist ? core->bist : bist_new(core);
	struct x1_grid grid = {.size = {1, 1, 1}, .total = 1};
	uint32_t code = X1_FAULT_NONE;

	core->bist = b;
	if (!b || mcu >= core->cfg.mcus)
		return X1_FAULT_NO_MCU;
	grid.prog = b->prog;
	x1_mem_set(&b->mem, 0, X1_UNIT_SEQ, NULL);
	b->mem.mcu = mcu;
	/* Nobody can ask for attention while the lock is held. */
	b->mem.attn_seen = atomic_load(&core->attn);
	x1_wg_begin(b->wg, &grid, 0, mcu, &b->trace);
	if (x1_wg_run(b->wg, &b->mem) != X1_WG_DONE)
		code = x1_wg_fault(b->wg)->code;
	return code;
}
