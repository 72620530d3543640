// SPDX-License-Identifier: MIT
/* Check a program once per LAUNCH; what passes needs no static checks later. */
#include <stdlib.h>
#include <string.h>

#include "x1_wg_int.h"

/* Operands of an instruction: which bytes name registers, what imm is. */
enum {
	RD = 1 << 0,
	RA = 1 << 1,
	RB = 1 << 2,
	RB_OR_IMM = 1 << 3,
	TARGET = 1 << 4, /* branch */
	LOOP_END = 1 << 5,
	SIZE = 1 << 6, /* rb = log2 bytes */
	DESC = 1 << 7,
	VALID = 1 << 8,
};

static const uint16_t shape[] = {
	[X1_OP_NOP] = VALID,
	[X1_OP_END] = VALID,
	[X1_OP_TRAP] = VALID,
	[X1_OP_SYNC] = VALID,
	[X1_OP_ADD... X1_OP_SEL] = VALID | RD | RA | RB_OR_IMM,
	[X1_OP_JMP] = VALID | TARGET,
	[X1_OP_BEQ... X1_OP_BGEU] = VALID | RA | RB | TARGET,
	[X1_OP_LOOP] = VALID | RA | LOOP_END,
	[X1_OP_LOOPI] = VALID | LOOP_END,
	[X1_OP_LDM... X1_OP_STREL] = VALID | RD | RA | SIZE,
	[X1_OP_WAITGE] = VALID | RD | RA | SIZE,
	[X1_OP_ATADD... X1_OP_ATOR] = VALID | RD | RA | SIZE,
	[X1_OP_GRIDBAR] = VALID,
	[X1_OP_RDCLK] = VALID | RD,
	[X1_OP_LOAD... X1_OP_VEC] = VALID | RD | RA | RB | DESC,
};

#define NUM_OPS (sizeof(shape) / sizeof(shape[0]))

static uint32_t used_fields(unsigned int op)
{
	return op == X1_OP_MM ? X1_MM_FIELDS : op == X1_OP_VEC ? X1_VEC_FIELDS : X1_DESC_FIELDS;
}

static enum x1_fault check_desc(const struct x1_program *p, const struct x1_insn *in)
{
	struct x1_desc d;

	if (in->imm % 8 || in->imm < (uint64_t)p->num_insns * X1_INSN_BYTES || in->imm > p->bytes ||
	    p->bytes - in->imm < sizeof(d))
		return X1_FAULT_BAD_PROGRAM;
	memcpy(&d, p->image + in->imm, sizeof(d));
	if (d.regs >> used_fields(in->op))
		return X1_FAULT_ILLEGAL;
	for (uint32_t i = 0; i < X1_DESC_FIELDS; i++) {
		if (d.regs >> i & 1 && d.f[i] >= X1_NUM_REGS)
			return X1_FAULT_ILLEGAL;
		if (i >= used_fields(in->op) && d.f[i])
			return X1_FAULT_ILLEGAL;
	}
	return X1_FAULT_NONE;
}

static bool bad_sem(uint8_t v)
{
	return v && (v < 0x80 || X1_SEM_INDEX(v) >= X1_NUM_SEMS);
}

static enum x1_fault check(const struct x1_program *p, uint32_t pc)
{
	const struct x1_insn *in = &p->insn[pc];
	uint16_t s = in->op < NUM_OPS ? shape[in->op] : 0;

	if (!(s & VALID))
		return X1_FAULT_ILLEGAL;
	if ((s & RD && in->rd >= X1_NUM_REGS) || (s & RA && in->ra >= X1_NUM_REGS) ||
	    (s & RB && in->rb >= X1_NUM_REGS) ||
	    (s & RB_OR_IMM && in->rb >= X1_NUM_REGS && in->rb != X1_REG_IMM))
		return X1_FAULT_ILLEGAL;
	if (bad_sem(in->wait[0]) || bad_sem(in->wait[1]) || bad_sem(in->sig[0]) ||
	    bad_sem(in->sig[1]))
		return X1_FAULT_ILLEGAL;
	if (s & TARGET && in->imm >= p->num_insns)
		return X1_FAULT_BAD_PROGRAM;
	if (s & LOOP_END && (in->imm <= pc + 1 || in->imm > p->num_insns))
		return X1_FAULT_BAD_PROGRAM;
	/* STREL, WAITGE and atomics are 4 or 8 bytes wide. */
	if (s & SIZE && (in->rb > 3 || (in->op >= X1_OP_STREL && in->rb < 2)))
		return X1_FAULT_ILLEGAL;
	return s & DESC ? check_desc(p, in) : X1_FAULT_NONE;
}

struct x1_program *x1_program_decode(const void *image, uint32_t bytes, uint32_t num_insns,
				     struct x1_fault_rec *rec)
{
	struct x1_program *p;

	*rec = (struct x1_fault_rec){.code = X1_FAULT_BAD_PROGRAM,
				     .unit = X1_UNIT_SEQ,
				     .mcu = X1_FAULT_MCU_NONE,
				     .pc = UINT32_MAX};
	if (!num_insns || bytes % X1_INSN_BYTES || bytes > X1_MAX_PROGRAM_BYTES ||
	    num_insns > bytes / X1_INSN_BYTES)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->num_insns = num_insns;
	p->bytes = bytes;
	p->image = malloc(bytes);
	p->insn = malloc((size_t)num_insns * sizeof(*p->insn));
	if (!p->image || !p->insn)
		goto bad;
	memcpy(p->image, image, bytes);
	memcpy(p->insn, image, (size_t)num_insns * sizeof(*p->insn));
	for (uint32_t pc = 0; pc < num_insns; pc++) {
		rec->code = check(p, pc);
		if (rec->code != X1_FAULT_NONE) {
			rec->pc = pc;
			rec->addr = p->insn[pc].op;
			goto bad;
		}
	}
	return p;
bad:
	x1_program_free(p);
	return NULL;
}

void x1_program_free(struct x1_program *p)
{
	if (!p)
		return;
	free(p->image);
	free(p->insn);
	free(p);
}
