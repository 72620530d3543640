// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "mcu.h"

/* ---- memory, in the place of the device's MMU ---- */

struct x1_mem {
	struct t_mcu *t;
};

static uint8_t *area(struct x1_mem *mem, uint64_t dva, uint64_t len, enum x1_access access,
		     struct x1_fault_rec *rec)
{
	uint64_t base = dva & ~(uint64_t)(T_MEM_SIZE - 1), off = dva - base;

	*rec = (struct x1_fault_rec){.addr = dva, .access = access};
	if (base == T_RO && access == X1_ACCESS_WRITE)
		rec->code = X1_FAULT_PERMISSION;
	else if ((base != T_MEM && base != T_RO && base != T_BUS) || len > T_MEM_SIZE - off)
		rec->code = dva >> X1_DVA_BITS ? X1_FAULT_BAD_DVA : X1_FAULT_UNMAPPED;
	return rec->code ? NULL : mem->t->mem + off;
}

void *x1_mem_span(struct x1_mem *mem, uint64_t dva, uint64_t len, enum x1_access access,
		  uint64_t *run, struct x1_fault_rec *rec)
{
	uint64_t in_page = X1_PAGE_SIZE - dva % X1_PAGE_SIZE;

	*run = len < in_page ? len : in_page;
	if (x1_mem_is_system(mem, dva)) {
		rec->code = X1_FAULT_NONE;
		return NULL;
	}
	return area(mem, dva, *run, access, rec);
}

int x1_mem_read(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len, struct x1_fault_rec *rec)
{
	uint8_t *p = area(mem, dva, len, X1_ACCESS_READ, rec);

	if (!p)
		return -1;
	memcpy(buf, p, len);
	return 0;
}

int x1_mem_write(struct x1_mem *mem, uint64_t dva, const void *buf, uint64_t len,
		 struct x1_fault_rec *rec)
{
	uint8_t *p = area(mem, dva, len, X1_ACCESS_WRITE, rec);

	if (!p)
		return -1;
	memcpy(p, buf, len);
	return 0;
}

void x1_mem_dirty(struct x1_mem *mem, uint64_t dva, const void *ptr, uint64_t len)
{
	struct x1_fault_rec rec;

	/* What is called dirty was writable. */
	assert_true(area(mem, dva, len, X1_ACCESS_WRITE, &rec) == ptr);
}

bool x1_mem_is_system(struct x1_mem *mem, uint64_t dva)
{
	(void)mem;
	return dva >= T_BUS && dva < T_BUS + T_MEM_SIZE;
}

bool x1_mem_quiesce(struct x1_mem *mem)
{
	return ++mem->t->quiesces == mem->t->stop_at;
}

/* ---- programs ---- */

struct t_mcu *t_mcu_new(void)
{
	struct t_mcu *t = calloc(1, sizeof(*t));

	t->mem = calloc(1, T_MEM_SIZE);
	t->wg = x1_wg_new();
	assert_non_null(t->wg);
	x1_trace_init(&t->trace);
	t_begin(t);
	return t;
}

void t_mcu_free(struct t_mcu *t)
{
	x1_program_free(t->prog);
	x1_trace_free(&t->trace);
	x1_wg_free(t->wg);
	free(t->mem);
	free(t);
}

void t_begin(struct t_mcu *t)
{
	x1_program_free(t->prog);
	t->prog = NULL;
	t->num_insns = t->num_descs = 0;
	t->quiesces = t->stop_at = 0;
	memset(t->desc, 0, sizeof(t->desc));
	t->grid = (struct x1_grid){.size = {1, 1, 1}, .total = 1, .vm = T_VM, .trace = true};
}

struct x1_insn *t_insn(struct t_mcu *t, struct x1_insn insn)
{
	assert_true(t->num_insns < sizeof(t->insn) / sizeof(t->insn[0]) - 1);
	t->insn[t->num_insns] = insn;
	return &t->insn[t->num_insns++];
}

struct x1_insn *t_alu(struct t_mcu *t, unsigned int op, unsigned int rd, unsigned int ra,
		      uint64_t imm)
{
	return t_insn(t, (struct x1_insn){.op = (uint8_t)op,
					  .rd = (uint8_t)rd,
					  .ra = (uint8_t)ra,
					  .rb = X1_REG_IMM,
					  .imm = imm});
}

struct x1_insn *t_li(struct t_mcu *t, unsigned int rd, uint64_t imm)
{
	return t_alu(t, X1_OP_ADD, rd, 0, imm);
}

struct x1_insn *t_engine_regs(struct t_mcu *t, unsigned int op, unsigned int rd, unsigned int ra,
			      unsigned int rb, const struct x1_desc *desc)
{
	assert_true(t->num_descs < sizeof(t->desc) / sizeof(t->desc[0]));
	t->desc[t->num_descs] = *desc;
	return t_insn(t, (struct x1_insn){.op = (uint8_t)op,
					  .rd = (uint8_t)rd,
					  .ra = (uint8_t)ra,
					  .rb = (uint8_t)rb,
					  .imm = t->num_descs++});
}

struct x1_insn *t_engine(struct t_mcu *t, unsigned int op, uint64_t rd, uint64_t ra, uint64_t rb,
			 const struct x1_desc *desc)
{
	t_li(t, 60, rd);
	t_li(t, 61, ra);
	t_li(t, 62, rb);
	return t_engine_regs(t, op, 60, 61, 62, desc);
}

static bool decode(struct t_mcu *t)
{
	uint8_t image[sizeof(t->insn) + sizeof(t->desc)];
	uint32_t code, bytes;

	t_insn(t, (struct x1_insn){.op = X1_OP_END});
	code = t->num_insns * X1_INSN_BYTES;
	bytes = code + t->num_descs * (uint32_t)sizeof(t->desc[0]);
	memcpy(image, t->insn, code);
	for (uint32_t i = 0; i < t->num_insns; i++) {
		struct x1_insn *in = (struct x1_insn *)image + i;

		if (in->op >= X1_OP_LOAD)
			in->imm = code + in->imm * sizeof(t->desc[0]);
	}
	memcpy(image + code, t->desc, t->num_descs * sizeof(t->desc[0]));
	x1_program_free(t->prog);
	t->prog = x1_program_decode(image, bytes, t->num_insns, &t->fault);
	t->grid.prog = t->prog;
	return t->prog;
}

enum x1_wg_status t_continue(struct t_mcu *t)
{
	struct x1_mem mem = {t};
	enum x1_wg_status s = x1_wg_run(t->wg, &mem);

	t->fault = *x1_wg_fault(t->wg);
	return s;
}

enum x1_wg_status t_start(struct t_mcu *t, uint32_t index)
{
	t->trace.len = 0;
	t->trace.instructions = 0;
	x1_wg_begin(t->wg, &t->grid, index, 5, &t->trace);
	return t_continue(t);
}

enum x1_wg_status t_run(struct t_mcu *t)
{
	return decode(t) ? t_start(t, 0) : X1_WG_FAULT;
}

void t_ok(struct t_mcu *t)
{
	enum x1_wg_status s = t_run(t);

	if (s != X1_WG_DONE)
		fail_msg("status %d: %s at %u, unit %u, address %#llx", s,
			 x1_fault_name(t->fault.code), t->fault.pc, t->fault.unit,
			 (unsigned long long)t->fault.addr);
}

void t_bad(struct t_mcu *t, enum x1_fault code, enum x1_unit unit)
{
	enum x1_wg_status s = t_run(t);

	if (s != X1_WG_FAULT || t->fault.code != code || t->fault.unit != unit ||
	    t->fault.pc != t->num_insns - 2)
		fail_msg("status %d: %s in unit %u at %u, want %s in unit %u at %u", s,
			 x1_fault_name(t->fault.code), t->fault.unit, t->fault.pc,
			 x1_fault_name(code), unit, t->num_insns - 2);
}

const struct x1_tr_engine *t_record(const struct t_mcu *t, uint32_t n)
{
	for (size_t at = 0; at < t->trace.len;) {
		const struct x1_tr_hdr *h = (const void *)(t->trace.buf + at);

		if (h->kind == X1_TR_ENGINE && !n--)
			return (const void *)h;
		at += (h->kind == X1_TR_ENGINE ? sizeof(struct x1_tr_engine)
					       : sizeof(struct x1_tr_seq)) +
		      h->num_extents * sizeof(struct x1_tr_extent);
	}
	fail_msg("no such record");
	return NULL;
}
