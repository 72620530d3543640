// SPDX-License-Identifier: MIT
/*
 * The assembler. Lines are statements; what refers to a label or a descriptor
 * is filled in when the text has ended. Grammar: sili-as(1).
 */
#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "asm.h"

#define MAX_ERRORS 20
#define MAX_INSNS  (X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES)

enum token_type {
	T_END,
	T_NAME,
	T_NUMBER,
	T_PUNCT, /* one character */
	T_BAD,
};

struct token {
	enum token_type type;
	const char *at;
	size_t len;
	uint64_t value;
};

enum symbol_type {
	SYM_LABEL,
	SYM_DESC,
	SYM_CONST,
};

struct symbol {
	char *name;
	enum symbol_type type;
	uint64_t value; /* instruction, byte offset in the data, constant */
	uint8_t kind;   /* of a descriptor */
};

enum fix_type {
	FIX_NONE,
	FIX_TARGET, /* imm: a label, before the last instruction */
	FIX_LOOP,   /* the end of a loop */
	FIX_DESC,   /* imm: a descriptor, or an offset in the data */
};

struct fix {
	enum fix_type type;
	char *name; /* NULL: the offset is in imm already */
	unsigned int line, column;
};

struct as {
	const char *file;
	FILE *errors;
	unsigned int num_errors, line;
	const char *text, *end; /* of the line */
	const char *next;       /* after the current token */
	struct token tok;
	struct x1_insn *insn;
	struct fix *fix;
	uint32_t num_insns, room;
	uint8_t *data;
	uint32_t data_len, data_room;
	void *symbols;                    /* tsearch() tree, by type and name */
	struct x1_desc desc;              /* being written */
	const struct asm_kind_info *kind; /* NULL outside .desc */
	uint64_t seen;                    /* fields of it that were set */
};

/* ---- messages ---- */

__attribute__((format(printf, 4, 5))) static void
error_at(struct as *as, unsigned int line, unsigned int column, const char *fmt, ...)
{
	va_list ap;

	if (as->num_errors++ >= MAX_ERRORS)
		return;
	fprintf(as->errors, "%s:%u:%u: error: ", as->file, line, column);
	va_start(ap, fmt);
	vfprintf(as->errors, fmt, ap);
	va_end(ap);
	fputc('\n', as->errors);
}

static unsigned int column_of(const struct as *as, const char *at)
{
	return (unsigned int)(at - as->text) + 1;
}

/* At the current token; always false, so that parsers can return it. */
#define ERROR(as, ...) (error_at(as, (as)->line, column_of(as, (as)->tok.at), __VA_ARGS__), false)

/* For "%.*s", and for what a line ends with. */
#define TEXT(t) \
	(int)((t)->type == T_END ? 11 : (t)->len), (t)->type == T_END ? "end of line" : (t)->at

/* ---- tokens ---- */

static bool name_char(char c, bool first)
{
	return isalpha((unsigned char)c) || c == '_' || c == '.' ||
	       (!first && isdigit((unsigned char)c));
}

static void number(struct as *as, struct token *t)
{
	char buf[32], *end;
	const char *p = t->at;

	while (p < as->end && isalnum((unsigned char)*p))
		p++;
	t->len = (size_t)(p - t->at);
	t->type = T_BAD;
	if (t->len >= sizeof(buf))
		return;
	memcpy(buf, t->at, t->len);
	buf[t->len] = 0;
	errno = 0;
	/* Decimal or 0x: a leading zero is no octal. */
	t->value = strtoull(buf, &end, buf[0] == '0' && (buf[1] | 0x20) == 'x' ? 16 : 10);
	if (!*end && !errno)
		t->type = T_NUMBER;
}

static void advance(struct as *as)
{
	const char *p = as->next;
	struct token *t = &as->tok;

	while (p < as->end && isspace((unsigned char)*p))
		p++;
	*t = (struct token){.at = p, .len = 1, .type = T_PUNCT};
	if (p == as->end || *p == ';' || *p == '#') {
		*t = (struct token){.at = p, .type = T_END};
		p = as->end;
	} else if (name_char(*p, true)) {
		t->type = T_NAME;
		while (p < as->end && name_char(*p, false))
			p++;
		t->len = (size_t)(p - t->at);
	} else if (isdigit((unsigned char)*p)) {
		number(as, t);
		p += t->len;
	} else {
		t->type = strchr(",()[]=+-|:@", *p) && *p ? T_PUNCT : T_BAD;
		p++;
	}
	as->next = p;
}

static bool is_punct(const struct as *as, char c)
{
	return as->tok.type == T_PUNCT && *as->tok.at == c;
}

static bool is_name(const struct token *t, const char *name)
{
	return t->type == T_NAME && strlen(name) == t->len && !memcmp(t->at, name, t->len);
}

static bool accept(struct as *as, char c)
{
	if (!is_punct(as, c))
		return false;
	advance(as);
	return true;
}

static bool expect(struct as *as, char c)
{
	return accept(as, c) || ERROR(as, "'%c' expected before '%.*s'", c, TEXT(&as->tok));
}

/* ---- symbols ---- */

static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct symbol *find(struct as *as, enum symbol_type type, const char *name)
{
	struct symbol key = {.name = (char *)(uintptr_t)name, .type = type};
	struct symbol **found = tfind(&key, &as->symbols, compare);

	return found ? *found : NULL;
}

static void free_symbol(void *p)
{
	struct symbol *s = p;

	free(s->name);
	free(s);
}

static bool no_memory(struct as *as)
{
	return ERROR(as, "out of memory");
}

/* Define the name at the current token. */
static bool define(struct as *as, enum symbol_type type, uint64_t value, uint8_t kind)
{
	struct symbol *s = calloc(1, sizeof(*s)), **in_tree;

	if (s)
		s->name = strndup(as->tok.at, as->tok.len);
	if (!s || !s->name) {
		free(s);
		return no_memory(as);
	}
	s->type = type;
	s->value = value;
	s->kind = kind;
	in_tree = tsearch(s, &as->symbols, compare);
	if (in_tree && *in_tree == s)
		return true;
	free_symbol(s);
	return in_tree ? ERROR(as, "'%.*s' is defined already", TEXT(&as->tok)) : no_memory(as);
}

/* ---- values ---- */

/* What names mean in an expression. */
struct context {
	const struct asm_part *parts;
	const struct asm_name *names;
};

static bool expression(struct as *as, const struct context *ctx, uint64_t *value);

static const struct asm_part *find_part(const struct context *ctx, const struct token *t)
{
	for (const struct asm_part *p = ctx ? ctx->parts : NULL; p && p->name; p++)
		if (is_name(t, p->name))
			return p;
	return NULL;
}

/* f(1.5): the bits of an FP32 number; the current token is what follows '('. */
static bool float_bits(struct as *as, uint64_t *value)
{
	const char *p = as->tok.at;
	char buf[64], *end;
	size_t n = 0;
	uint32_t bits;
	float f;

	while (p < as->end && *p != ')' && n < sizeof(buf) - 1)
		buf[n++] = *p++;
	buf[n] = 0;
	f = strtof(buf, &end);
	while (isspace((unsigned char)*end))
		end++;
	if (!n || *end || p == as->end || *p != ')')
		return ERROR(as, "a number and ')' expected after 'f('");
	as->next = p + 1;
	advance(as);
	memcpy(&bits, &f, sizeof(bits));
	*value = bits;
	return true;
}

static bool part_value(struct as *as, const struct asm_part *part, uint64_t *value)
{
	const struct context inner = {.names = part->names};

	if (!accept(as, '(')) {
		*value = 1ull << part->shift;
		return part->width == 1 || ERROR(as, "'(' expected after '%s'", part->name);
	}
	if (!expression(as, &inner, value))
		return false;
	if (*value >> part->width)
		return ERROR(as, "%s is %u bits", part->name, part->width);
	*value <<= part->shift;
	return expect(as, ')');
}

static bool name_value(struct as *as, const struct context *ctx, uint64_t *value)
{
	const struct asm_part *part = find_part(ctx, &as->tok);
	const struct symbol *s;
	char *name;

	for (const struct asm_name *n = ctx ? ctx->names : NULL; n && n->name; n++) {
		if (is_name(&as->tok, n->name)) {
			*value = n->value;
			advance(as);
			return true;
		}
	}
	if (part) {
		advance(as);
		return part_value(as, part, value);
	}
	if (is_name(&as->tok, "f") && as->next < as->end && *as->next == '(') {
		advance(as);
		advance(as);
		return float_bits(as, value);
	}
	if (is_name(&as->tok, "acc")) {
		*value = X1_ACC_ADDR;
		advance(as);
		return true;
	}
	name = strndup(as->tok.at, as->tok.len);
	if (!name)
		return no_memory(as);
	s = find(as, SYM_CONST, name);
	free(name);
	if (!s)
		return ERROR(as, "'%.*s' is not known here", TEXT(&as->tok));
	*value = s->value;
	advance(as);
	return true;
}

static bool term(struct as *as, const struct context *ctx, uint64_t *value)
{
	bool minus = accept(as, '-');

	if (as->tok.type == T_NUMBER) {
		*value = as->tok.value;
		advance(as);
	} else if (as->tok.type != T_NAME) {
		return ERROR(as, "a value expected before '%.*s'", TEXT(&as->tok));
	} else if (!name_value(as, ctx, value)) {
		return false;
	}
	if (minus)
		*value = -*value;
	return true;
}

static bool expression(struct as *as, const struct context *ctx, uint64_t *value)
{
	uint64_t v;

	if (!term(as, ctx, value))
		return false;
	for (;;) {
		char op = as->tok.type == T_PUNCT ? *as->tok.at : 0;

		if (op != '+' && op != '-' && op != '|')
			return true;
		advance(as);
		if (!term(as, ctx, &v))
			return false;
		*value = op == '+' ? *value + v : op == '-' ? *value - v : *value | v;
	}
}

/* An expression of [0, max]. */
static bool small(struct as *as, uint64_t max, uint64_t *value)
{
	struct token at = as->tok;

	if (!expression(as, NULL, value))
		return false;
	if (*value <= max)
		return true;
	as->tok = at;
	return ERROR(as, "at most %llu here", (unsigned long long)max);
}

static int reg_number(const struct token *t)
{
	unsigned int n = 0;

	if (t->type != T_NAME || t->len < 2 || t->len > 3 || *t->at != 'r')
		return -1;
	for (size_t i = 1; i < t->len; i++) {
		if (!isdigit((unsigned char)t->at[i]))
			return -1;
		n = n * 10 + (unsigned int)(t->at[i] - '0');
	}
	return n < X1_NUM_REGS && (t->len == 2 || t->at[1] != '0') ? (int)n : -1;
}

static bool reg(struct as *as, uint8_t *r)
{
	int n = reg_number(&as->tok);

	if (n < 0)
		return ERROR(as, "a register r0 to r%u expected before '%.*s'", X1_NUM_REGS - 1,
			     TEXT(&as->tok));
	*r = (uint8_t)n;
	advance(as);
	return true;
}

/* ---- instructions ---- */

static bool name_for(struct as *as, struct fix *fix, enum fix_type type)
{
	if (as->tok.type != T_NAME)
		return ERROR(as, "a name expected before '%.*s'", TEXT(&as->tok));
	*fix = (struct fix){.type = type,
			    .name = strndup(as->tok.at, as->tok.len),
			    .line = as->line,
			    .column = column_of(as, as->tok.at)};
	if (!fix->name)
		return no_memory(as);
	advance(as);
	return true;
}

static bool alu_operands(struct as *as, struct x1_insn *in)
{
	if (!reg(as, &in->rd) || !expect(as, ',') || !reg(as, &in->ra) || !expect(as, ','))
		return false;
	if (reg_number(&as->tok) >= 0)
		return reg(as, &in->rb);
	in->rb = X1_REG_IMM;
	return expression(as, NULL, &in->imm);
}

/* op.BYTES rd, [ra + imm] */
static bool mem_operands(struct as *as, struct x1_insn *in, uint8_t log2)
{
	struct x1_insn at = *in;

	at.rb = log2;
	if (!reg(as, &at.rd) || !expect(as, ',') || !expect(as, '[') || !reg(as, &at.ra))
		return false;
	if (is_punct(as, '-')) {
		if (!expression(as, NULL, &at.imm))
			return false;
	} else if (accept(as, '+') && !expression(as, NULL, &at.imm)) {
		return false;
	}
	*in = at;
	return expect(as, ']');
}

static bool engine_operands(struct as *as, struct x1_insn *in, struct fix *fix)
{
	if (!reg(as, &in->rd) || !expect(as, ',') || !reg(as, &in->ra) || !expect(as, ',') ||
	    !reg(as, &in->rb) || !expect(as, ',') || !expect(as, '@'))
		return false;
	if (as->tok.type == T_NAME)
		return name_for(as, fix, FIX_DESC);
	/* Bytes from the end of the code. */
	*fix = (struct fix){
		.type = FIX_DESC, .line = as->line, .column = column_of(as, as->tok.at)};
	return expect(as, '+') && small(as, X1_MAX_PROGRAM_BYTES, &in->imm);
}

static bool loopi_operands(struct as *as, struct x1_insn *in, struct fix *fix)
{
	uint64_t count;

	if (!small(as, 0xffffff, &count) || !expect(as, ','))
		return false;
	in->rd = (uint8_t)count;
	in->ra = (uint8_t)(count >> 8);
	in->rb = (uint8_t)(count >> 16);
	return name_for(as, fix, FIX_LOOP);
}

static bool operands(struct as *as, const struct asm_op *op, uint8_t log2, struct x1_insn *in,
		     struct fix *fix)
{
	switch (op->shape) {
	case ASM_IMM:
		return expression(as, NULL, &in->imm);
	case ASM_RD:
		return reg(as, &in->rd);
	case ASM_ALU:
		return alu_operands(as, in);
	case ASM_JUMP:
		return name_for(as, fix, FIX_TARGET);
	case ASM_BRANCH:
		return reg(as, &in->ra) && expect(as, ',') && reg(as, &in->rb) && expect(as, ',') &&
		       name_for(as, fix, FIX_TARGET);
	case ASM_LOOP:
		return reg(as, &in->ra) && expect(as, ',') && name_for(as, fix, FIX_LOOP);
	case ASM_LOOPI:
		return loopi_operands(as, in, fix);
	case ASM_MEM:
		return mem_operands(as, in, log2);
	case ASM_ENGINE:
		return engine_operands(as, in, fix);
	default:
		return true;
	}
}

/* One of wait(a, b): sN, '-', or with raw any byte. */
static bool semaphore(struct as *as, bool raw, uint8_t *sem)
{
	const struct token *t = &as->tok;
	unsigned int n = 0;

	*sem = 0;
	if (accept(as, '-'))
		return true;
	if (raw && t->type == T_NUMBER && t->value < 256) {
		*sem = (uint8_t)t->value;
		advance(as);
		return true;
	}
	if (t->type != T_NAME || *t->at != 's' || t->len < 2 || t->len > 4)
		return ERROR(as, "a semaphore s0 to s%u expected before '%.*s'", X1_NUM_SEMS - 1,
			     TEXT(t));
	for (size_t i = 1; i < t->len; i++) {
		if (!isdigit((unsigned char)t->at[i]))
			return ERROR(as, "'%.*s' is no semaphore", TEXT(t));
		n = n * 10 + (unsigned int)(t->at[i] - '0');
	}
	if (n >= (raw ? 128 : X1_NUM_SEMS))
		return ERROR(as, "there are %u semaphores", X1_NUM_SEMS);
	*sem = (uint8_t)X1_SEM(n);
	advance(as);
	return true;
}

/* wait(…) and sig(…), in any order, each once. */
static bool semaphores(struct as *as, bool raw, struct x1_insn *in)
{
	unsigned int seen = 0;

	while (as->tok.type == T_NAME) {
		unsigned int bit = is_name(&as->tok, "wait") ? 1 : is_name(&as->tok, "sig") ? 2 : 0;
		uint8_t *sem = bit == 1 ? in->wait : in->sig;

		if (!bit || seen & bit)
			return ERROR(as, "unexpected '%.*s'", TEXT(&as->tok));
		seen |= bit;
		advance(as);
		if (!expect(as, '(') || !semaphore(as, raw, &sem[0]))
			return false;
		if (accept(as, ',') && !semaphore(as, raw, &sem[1]))
			return false;
		if (!expect(as, ')'))
			return false;
	}
	return true;
}

static bool append(struct as *as, const struct x1_insn *in, const struct fix *fix)
{
	if (as->num_insns == as->room) {
		uint32_t room = as->room ? 2 * as->room : 64;
		struct x1_insn *insn = realloc(as->insn, room * sizeof(*insn));
		struct fix *f;

		as->insn = insn ? insn : as->insn;
		f = realloc(as->fix, room * sizeof(*f));
		as->fix = f ? f : as->fix;
		if (!insn || !f)
			return no_memory(as);
		as->room = room;
	}
	as->insn[as->num_insns] = *in;
	as->fix[as->num_insns++] = *fix;
	return true;
}

static bool add_insn(struct as *as, const struct x1_insn *in, struct fix *fix)
{
	if (as->num_insns < MAX_INSNS ? append(as, in, fix)
				      : ERROR(as, "more than %u instructions", MAX_INSNS))
		return true;
	free(fix->name);
	return false;
}

/* Opcode of a mnemonic, with ".8" of memory accesses; 0 = none. */
static unsigned int opcode(const struct token *t, uint8_t *log2)
{
	size_t len = t->len;

	*log2 = 0xff;
	if (len > 2 && t->at[len - 2] == '.') {
		static const char sizes[] = "1248";
		const char *p = strchr(sizes, t->at[len - 1]);

		if (!p || !*p)
			return 0;
		*log2 = (uint8_t)(p - sizes);
		len -= 2;
	}
	for (unsigned int op = 1; op < 256; op++) {
		const struct asm_op *o = &asm_ops[op];

		if (o->name && strlen(o->name) == len && !memcmp(o->name, t->at, len))
			return (o->shape == ASM_MEM) == (*log2 != 0xff) ? op : 0;
	}
	return 0;
}

static bool instruction(struct as *as)
{
	struct x1_insn in = {0};
	struct fix fix = {.type = FIX_NONE};
	uint8_t log2;

	in.op = (uint8_t)opcode(&as->tok, &log2);
	if (!in.op)
		return ERROR(as, "unknown instruction '%.*s'", TEXT(&as->tok));
	/* Words that other work-groups see have 4 or 8 bytes. */
	if (asm_ops[in.op].shape == ASM_MEM && in.op >= X1_OP_STREL && log2 < 2)
		return ERROR(as, "'%s' has 4 or 8 bytes", asm_ops[in.op].name);
	advance(as);
	if (!operands(as, &asm_ops[in.op], log2, &in, &fix) || !semaphores(as, false, &in)) {
		free(fix.name);
		return false;
	}
	return add_insn(as, &in, &fix);
}

/* .insn op, rd, ra, rb, imm: whatever the bytes are. */
static bool raw_instruction(struct as *as)
{
	uint64_t v[5] = {0};
	struct fix fix = {.type = FIX_NONE};
	struct x1_insn in = {0};

	for (unsigned int i = 0; i < 5; i++)
		if ((i && !expect(as, ',')) || !small(as, i < 4 ? 0xff : UINT64_MAX, &v[i]))
			return false;
	in = (struct x1_insn){.op = (uint8_t)v[0],
			      .rd = (uint8_t)v[1],
			      .ra = (uint8_t)v[2],
			      .rb = (uint8_t)v[3],
			      .imm = v[4]};
	return semaphores(as, true, &in) && add_insn(as, &in, &fix);
}

/* ---- descriptors and data ---- */

static bool add_data(struct as *as, const void *bytes, uint32_t len)
{
	if (len > X1_MAX_PROGRAM_BYTES - as->data_len)
		return ERROR(as, "more than %u bytes of descriptors", X1_MAX_PROGRAM_BYTES);
	if (as->data_len + len > as->data_room) {
		uint32_t room = as->data_room ? 2 * as->data_room : 4096;
		uint8_t *data = realloc(as->data, room);

		if (!data)
			return no_memory(as);
		as->data = data;
		as->data_room = room;
	}
	memcpy(as->data + as->data_len, bytes, len);
	as->data_len += len;
	return true;
}

static bool quads(struct as *as)
{
	uint64_t v;

	do {
		if (!expression(as, NULL, &v) || !add_data(as, &v, sizeof(v)))
			return false;
	} while (accept(as, ','));
	return true;
}

/* .desc NAME, KIND */
static bool begin_desc(struct as *as)
{
	struct token name = as->tok, kind;

	if (name.type != T_NAME)
		return ERROR(as, "a name expected before '%.*s'", TEXT(&name));
	advance(as);
	if (!expect(as, ','))
		return false;
	for (unsigned int k = 1; k < ASM_KIND_COUNT; k++) {
		if (!is_name(&as->tok, asm_kinds[k].name))
			continue;
		kind = as->tok;
		as->tok = name;
		if (!define(as, SYM_DESC, as->data_len, (uint8_t)k))
			return false;
		as->tok = kind;
		as->kind = &asm_kinds[k];
		as->desc = (struct x1_desc){0};
		as->seen = 0;
		advance(as);
		return true;
	}
	return ERROR(as, "'dma', 'mm' or 'vec' expected before '%.*s'", TEXT(&as->tok));
}

static bool field_value(struct as *as, uint32_t i)
{
	const struct asm_field *f = &as->kind->fields[i];
	const struct context ctx = {.parts = f->parts, .names = f->names};
	struct token at = as->tok;
	uint64_t v;

	if (reg_number(&as->tok) >= 0) {
		as->desc.regs |= 1ull << i;
		as->desc.f[i] = (uint32_t)reg_number(&as->tok);
		advance(as);
		return true;
	}
	if (!expression(as, &ctx, &v))
		return false;
	/* 32 bits, signed or not. */
	if (v > UINT32_MAX && v < (uint64_t)INT32_MIN) {
		as->tok = at;
		return ERROR(as, "%s is 32 bits", f->name);
	}
	as->desc.f[i] = (uint32_t)v;
	return true;
}

static bool field(struct as *as)
{
	for (uint32_t i = 0; i < as->kind->num_fields; i++) {
		if (!is_name(&as->tok, as->kind->fields[i].name))
			continue;
		if (as->seen >> i & 1)
			return ERROR(as, "'%.*s' is set already", TEXT(&as->tok));
		as->seen |= 1ull << i;
		advance(as);
		return expect(as, '=') && field_value(as, i);
	}
	return ERROR(as, "'%.*s' is no field of %s", TEXT(&as->tok), as->kind->name);
}

/* A line between .desc and .end. */
static bool desc_line(struct as *as)
{
	if (is_name(&as->tok, ".end")) {
		as->kind = NULL;
		advance(as);
		return add_data(as, &as->desc, sizeof(as->desc));
	}
	do {
		if (!field(as))
			return false;
	} while (accept(as, ','));
	return true;
}

/* ---- lines ---- */

/* .equ NAME, value */
static bool constant(struct as *as)
{
	struct token name = as->tok, at;
	uint64_t v;

	if (name.type != T_NAME)
		return ERROR(as, "a name expected before '%.*s'", TEXT(&name));
	advance(as);
	if (!expect(as, ',') || !expression(as, NULL, &v))
		return false;
	at = as->tok;
	as->tok = name;
	if (!define(as, SYM_CONST, v, 0))
		return false;
	as->tok = at;
	return true;
}

static bool directive(struct as *as)
{
	static const struct {
		const char *name;
		bool (*run)(struct as *as);
	} known[] = {
		{".desc", begin_desc},
		{".equ", constant},
		{".insn", raw_instruction},
		{".quad", quads},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (is_name(&as->tok, known[i].name)) {
			advance(as);
			return known[i].run(as);
		}
	}
	return ERROR(as, "unknown directive '%.*s'", TEXT(&as->tok));
}

static bool statement(struct as *as)
{
	if (as->kind)
		return desc_line(as);
	while (as->tok.type == T_NAME && as->next < as->end && *as->next == ':') {
		if (!define(as, SYM_LABEL, as->num_insns, 0))
			return false;
		advance(as);
		advance(as);
	}
	if (as->tok.type == T_END)
		return true;
	if (as->tok.type != T_NAME)
		return ERROR(as, "an instruction expected before '%.*s'", TEXT(&as->tok));
	return *as->tok.at == '.' ? directive(as) : instruction(as);
}

static void lines(struct as *as, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end && as->num_errors < MAX_ERRORS) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		as->line++;
		as->text = as->next = text;
		as->end = eol ? eol : end;
		advance(as);
		if (as->tok.type != T_END && statement(as) && as->tok.type != T_END)
			(void)ERROR(as, "unexpected '%.*s'", TEXT(&as->tok));
		text = eol ? eol + 1 : end;
	}
	as->text = as->end = as->next = end;
	advance(as);
	if (as->kind)
		(void)ERROR(as, "'.end' of the last descriptor is missing");
}

static void resolve(struct as *as, uint32_t pc)
{
	static const enum symbol_type types[] = {SYM_LABEL, SYM_LABEL, SYM_LABEL, SYM_DESC};
	struct fix *f = &as->fix[pc];
	struct x1_insn *in = &as->insn[pc];
	const struct symbol *s = f->name ? find(as, types[f->type], f->name) : NULL;

	if (f->name && !s) {
		error_at(as, f->line, f->column, "%s '%s' is not defined",
			 f->type == FIX_DESC ? "descriptor" : "label", f->name);
		return;
	}
	switch (f->type) {
	case FIX_TARGET:
		in->imm = s->value;
		if (in->imm >= as->num_insns)
			error_at(as, f->line, f->column, "'%s' is after the last instruction",
				 f->name);
		break;
	case FIX_LOOP:
		in->imm = s->value;
		if (in->imm <= pc + 1)
			error_at(as, f->line, f->column, "'%s' is not after the loop's body",
				 f->name);
		break;
	case FIX_DESC:
		if (s && s->kind != asm_ops[in->op].kind)
			error_at(as, f->line, f->column, "'%s' is a descriptor of %s", f->name,
				 asm_kinds[s->kind].name);
		in->imm = s ? s->value : in->imm;
		if (in->imm % 8 || in->imm > as->data_len ||
		    as->data_len - in->imm < sizeof(struct x1_desc))
			error_at(as, f->line, f->column, "no descriptor at +%llu",
				 (unsigned long long)in->imm);
		in->imm += as->num_insns * X1_INSN_BYTES;
		break;
	default:
		break;
	}
}

static void finish(struct as *as, struct asm_image *image)
{
	uint32_t code = as->num_insns * X1_INSN_BYTES;
	unsigned int line = as->line ? as->line : 1;

	if (!as->num_insns)
		error_at(as, line, 1, "no instructions");
	if (as->data_len % X1_INSN_BYTES)
		error_at(as, line, 1, "data is not a multiple of %u bytes", X1_INSN_BYTES);
	if (code + as->data_len > X1_MAX_PROGRAM_BYTES)
		error_at(as, line, 1, "%u bytes, at most %u fit", code + as->data_len,
			 X1_MAX_PROGRAM_BYTES);
	if (as->num_errors)
		return;
	image->bytes = malloc(code + as->data_len);
	if (!image->bytes) {
		error_at(as, line, 1, "out of memory");
		return;
	}
	memcpy(image->bytes, as->insn, code);
	if (as->data_len)
		memcpy(image->bytes + code, as->data, as->data_len);
	image->len = code + as->data_len;
	image->num_insns = as->num_insns;
}

unsigned int asm_assemble(const char *name, const char *text, size_t len, FILE *errors,
			  struct asm_image *image)
{
	struct as as = {.file = name, .errors = errors};

	*image = (struct asm_image){0};
	lines(&as, text, len);
	for (uint32_t pc = 0; pc < as.num_insns && !(as.num_errors >= MAX_ERRORS); pc++)
		resolve(&as, pc);
	finish(&as, image);
	if (as.num_errors > MAX_ERRORS)
		fprintf(errors, "%s: too many errors\n", name);
	for (uint32_t pc = 0; pc < as.num_insns; pc++)
		free(as.fix[pc].name);
	tdestroy(as.symbols, free_symbol);
	free(as.insn);
	free(as.fix);
	free(as.data);
	return as.num_errors;
}
