// SPDX-License-Identifier: MIT
/*
 * The disassembler. What has no text of its own, an unknown opcode or a field
 * that an instruction does not use, is written as .insn; data that is not one
 * descriptor after another as .quad. So every image comes back bit for bit.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "asm.h"

struct dis {
	const struct asm_image *image;
	FILE *out;
	uint32_t code, data_len;
	uint32_t num_descs; /* 0: the data is quads */
	uint8_t *kind;      /* per descriptor: enum asm_kind, 0 = nobody uses it */
	uint8_t *label;     /* per instruction and their end: is it a target? */
};

static struct x1_insn insn_at(const struct dis *d, uint32_t pc)
{
	struct x1_insn in;

	memcpy(&in, d->image->bytes + (size_t)pc * X1_INSN_BYTES, sizeof(in));
	return in;
}

static struct x1_desc desc_at(const struct dis *d, uint32_t i)
{
	struct x1_desc desc;

	memcpy(&desc, d->image->bytes + d->code + (size_t)i * sizeof(desc), sizeof(desc));
	return desc;
}

/* ---- what can be written by name ---- */

static bool has_target(const struct dis *d, uint32_t pc, const struct x1_insn *in)
{
	switch (asm_ops[in->op].shape) {
	case ASM_JUMP:
	case ASM_BRANCH:
		return in->imm < d->image->num_insns;
	case ASM_LOOP:
	case ASM_LOOPI:
		return in->imm > pc + 1 && in->imm <= d->image->num_insns;
	default:
		return false;
	}
}

static bool has_desc(const struct dis *d, const struct x1_insn *in)
{
	return asm_ops[in->op].shape == ASM_ENGINE && in->imm % 8 == 0 && in->imm >= d->code &&
	       in->imm <= d->image->len && d->image->len - in->imm >= sizeof(struct x1_desc);
}

static bool good_sem(uint8_t v)
{
	return !v || (v >= 0x80 && X1_SEM_INDEX(v) < X1_NUM_SEMS);
}

/* Every field that the text does not show is zero, every one that it shows in range. */
static bool is_plain(const struct dis *d, uint32_t pc, const struct x1_insn *in)
{
	bool rd = in->rd < X1_NUM_REGS, ra = in->ra < X1_NUM_REGS, rb = in->rb < X1_NUM_REGS;

	if (!good_sem(in->wait[0]) || !good_sem(in->wait[1]) || !good_sem(in->sig[0]) ||
	    !good_sem(in->sig[1]))
		return false;
	switch (asm_ops[in->op].shape) {
	case ASM_NONE:
		return !in->rd && !in->ra && !in->rb && !in->imm;
	case ASM_IMM:
		return !in->rd && !in->ra && !in->rb;
	case ASM_RD:
		return rd && !in->ra && !in->rb && !in->imm;
	case ASM_ALU:
		return rd && ra && (in->rb == X1_REG_IMM || (rb && !in->imm));
	case ASM_JUMP:
		return !in->rd && !in->ra && !in->rb && has_target(d, pc, in);
	case ASM_BRANCH:
		return !in->rd && ra && rb && has_target(d, pc, in);
	case ASM_LOOP:
		return !in->rd && ra && !in->rb && has_target(d, pc, in);
	case ASM_LOOPI:
		return has_target(d, pc, in);
	case ASM_MEM:
		return rd && ra && in->rb <= 3 && (in->op < X1_OP_STREL || in->rb >= 2);
	case ASM_ENGINE:
		return rd && ra && rb && has_desc(d, in);
	default:
		return false;
	}
}

/* Fields that the kind has no name for, and numbers that are no registers. */
static bool desc_is_plain(const struct x1_desc *desc, unsigned int kind)
{
	uint32_t n = asm_kinds[kind].num_fields;

	if (desc->regs >> n)
		return false;
	for (uint32_t i = 0; i < X1_DESC_FIELDS; i++)
		if ((i >= n && desc->f[i]) || (desc->regs >> i & 1 && desc->f[i] >= X1_NUM_REGS))
			return false;
	return true;
}

/* Descriptors by name where the data is nothing else and each has one kind. */
static void find_descs(struct dis *d)
{
	uint32_t n = d->data_len / sizeof(struct x1_desc);

	if (d->data_len % sizeof(struct x1_desc))
		return;
	for (uint32_t pc = 0; pc < d->image->num_insns; pc++) {
		struct x1_insn in = insn_at(d, pc);
		uint8_t kind = asm_ops[in.op].kind, *k;

		if (!is_plain(d, pc, &in) || !kind)
			continue;
		if ((in.imm - d->code) % sizeof(struct x1_desc))
			return;
		k = &d->kind[(in.imm - d->code) / sizeof(struct x1_desc)];
		if (*k && *k != kind)
			return;
		*k = kind;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct x1_desc desc = desc_at(d, i);

		if (!desc_is_plain(&desc, d->kind[i] ? d->kind[i] : ASM_KIND_DMA))
			return;
	}
	d->num_descs = n;
}

/* ---- text ---- */

/* A value as people write it: small ones in decimal, with their sign. */
static void put_number(FILE *out, uint64_t v)
{
	if ((int64_t)v > -1000000 && (int64_t)v < 10000000)
		fprintf(out, "%" PRId64, (int64_t)v);
	else
		fprintf(out, "0x%" PRIx64, v);
}

static const char *name_of(const struct asm_name *names, uint32_t value)
{
	for (; names && names->name; names++)
		if (names->value == value)
			return names->name;
	return NULL;
}

static void put_named(FILE *out, const struct asm_name *names, uint32_t value)
{
	const char *name = name_of(names, value);

	if (name)
		fputs(name, out);
	else
		put_number(out, value);
}

static void put_parts(FILE *out, const struct asm_part *part, uint32_t value)
{
	const char *sep = "";

	for (; part->name; part++) {
		uint32_t mask = (uint32_t)((1ull << part->width) - 1),
			 v = value >> part->shift & mask;

		value &= ~(mask << part->shift);
		if (!v)
			continue;
		fprintf(out, "%s%s", sep, part->name);
		sep = " | ";
		if (part->width == 1)
			continue;
		fputc('(', out);
		put_named(out, part->names, v);
		fputc(')', out);
	}
	if (value || !*sep)
		fprintf(out, "%s0x%x", sep, value);
}

static bool takes_scale(const struct x1_desc *desc)
{
	return !(desc->regs >> X1_VEC_OP & 1) &&
	       (desc->f[X1_VEC_OP] == X1_VEC_QUANT || desc->f[X1_VEC_OP] == X1_VEC_DEQUANT);
}

static void put_field(struct dis *d, const struct x1_desc *desc, unsigned int kind, uint32_t i)
{
	const struct asm_field *f = &asm_kinds[kind].fields[i];
	uint32_t v = desc->f[i];

	fprintf(d->out, "\t%s = ", f->name);
	if (desc->regs >> i & 1)
		fprintf(d->out, "r%u", v);
	else if (f->parts)
		put_parts(d->out, f->parts, v);
	else if (f->names && (kind != ASM_KIND_VEC || i != X1_VEC_PARAM || takes_scale(desc)))
		put_named(d->out, f->names, v);
	else if (v > (uint32_t)-1000000)
		put_number(d->out, (uint64_t)(int32_t)v);
	else
		put_number(d->out, v);
	fputc('\n', d->out);
}

static void put_desc(struct dis *d, uint32_t index)
{
	unsigned int kind = d->kind[index] ? d->kind[index] : ASM_KIND_DMA;
	struct x1_desc desc = desc_at(d, index);

	fprintf(d->out, "\n.desc d%u, %s\n", index, asm_kinds[kind].name);
	for (uint32_t i = 0; i < asm_kinds[kind].num_fields; i++)
		if (desc.f[i] || desc.regs >> i & 1 || (kind == ASM_KIND_VEC && i == X1_VEC_OP))
			put_field(d, &desc, kind, i);
	fputs(".end\n", d->out);
}

static void put_sem(FILE *out, uint8_t v)
{
	if (v >= 0x80)
		fprintf(out, "s%u", X1_SEM_INDEX(v));
	else if (v)
		fprintf(out, "%u", v);
	else
		fputc('-', out);
}

static void put_sems(FILE *out, const char *name, const uint8_t sem[2])
{
	if (!sem[0] && !sem[1])
		return;
	fprintf(out, " %s(", name);
	put_sem(out, sem[0]);
	if (sem[1]) {
		fputs(", ", out);
		put_sem(out, sem[1]);
	}
	fputc(')', out);
}

static void put_operands(struct dis *d, const struct x1_insn *in)
{
	FILE *out = d->out;
	uint64_t off = in->imm - d->code;

	switch (asm_ops[in->op].shape) {
	case ASM_IMM:
		fputc(' ', out);
		put_number(out, in->imm);
		break;
	case ASM_RD:
		fprintf(out, " r%u", in->rd);
		break;
	case ASM_ALU:
		fprintf(out, " r%u, r%u, ", in->rd, in->ra);
		if (in->rb == X1_REG_IMM)
			put_number(out, in->imm);
		else
			fprintf(out, "r%u", in->rb);
		break;
	case ASM_JUMP:
		fprintf(out, " L%" PRIu64, in->imm);
		break;
	case ASM_BRANCH:
		fprintf(out, " r%u, r%u, L%" PRIu64, in->ra, in->rb, in->imm);
		break;
	case ASM_LOOP:
		fprintf(out, " r%u, L%" PRIu64, in->ra, in->imm);
		break;
	case ASM_LOOPI:
		fprintf(out, " %u, L%" PRIu64, in->rd | in->ra << 8 | in->rb << 16, in->imm);
		break;
	case ASM_MEM:
		fprintf(out, ".%u r%u, [r%u", 1u << in->rb, in->rd, in->ra);
		if (in->imm) {
			fputs(" + ", out);
			put_number(out, in->imm);
		}
		fputc(']', out);
		break;
	case ASM_ENGINE:
		fprintf(out, " r%u, r%u, r%u, @", in->rd, in->ra, in->rb);
		if (d->num_descs)
			fprintf(out, "d%" PRIu64, off / sizeof(struct x1_desc));
		else
			fprintf(out, "+%" PRIu64, off);
		break;
	default:
		break;
	}
}

static void put_insn(struct dis *d, uint32_t pc)
{
	struct x1_insn in = insn_at(d, pc);

	if (d->label[pc])
		fprintf(d->out, "L%u:\n", pc);
	if (is_plain(d, pc, &in)) {
		fprintf(d->out, "\t%s", asm_ops[in.op].name);
		put_operands(d, &in);
	} else {
		fprintf(d->out, "\t.insn %u, %u, %u, %u, ", in.op, in.rd, in.ra, in.rb);
		put_number(d->out, in.imm);
	}
	put_sems(d->out, "wait", in.wait);
	put_sems(d->out, "sig", in.sig);
	fputc('\n', d->out);
}

static void put_quads(struct dis *d)
{
	uint64_t v;

	for (uint32_t i = 0; i < d->data_len; i += sizeof(v)) {
		memcpy(&v, d->image->bytes + d->code + i, sizeof(v));
		fprintf(d->out, "%s0x%" PRIx64 "%s", i % 32 ? ", " : "\t.quad ", v,
			i % 32 == 24 || i + sizeof(v) == d->data_len ? "\n" : "");
	}
}

int asm_disassemble(const struct asm_image *image, FILE *out)
{
	struct dis d = {.image = image, .out = out, .code = image->num_insns * X1_INSN_BYTES};

	d.data_len = image->len - d.code;
	d.kind = calloc(d.data_len / sizeof(struct x1_desc) + 1, 1);
	d.label = calloc(image->num_insns + 1, 1);
	if (!d.kind || !d.label) {
		free(d.kind);
		free(d.label);
		return -1;
	}
	for (uint32_t pc = 0; pc < image->num_insns; pc++) {
		struct x1_insn in = insn_at(&d, pc);

		if (is_plain(&d, pc, &in) && has_target(&d, pc, &in))
			d.label[in.imm] = 1;
	}
	find_descs(&d);
	for (uint32_t pc = 0; pc < image->num_insns; pc++)
		put_insn(&d, pc);
	if (d.label[image->num_insns])
		fprintf(out, "L%u:\n", image->num_insns);
	if (!d.num_descs)
		put_quads(&d);
	for (uint32_t i = 0; i < d.num_descs; i++)
		put_desc(&d, i);
	free(d.kind);
	free(d.label);
	return fflush(out) || ferror(out) ? -1 : 0;
}
