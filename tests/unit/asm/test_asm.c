// SPDX-License-Identifier: MIT
/* Assembler and disassembler: all names, text to bytes and back, errors where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "asm/asm.h"
#include "x1_mcu.h"

static uint32_t rng_state = 2654435769u;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

/* Errors of a text; the messages in *messages, to be freed. */
static unsigned int assemble(const char *text, size_t len, struct asm_image *image, char **messages)
{
	size_t n;
	FILE *f = open_memstream(messages, &n);
	unsigned int errors = asm_assemble("t", text, len, f, image);

	fclose(f);
	return errors;
}

static struct asm_image good(const char *text)
{
	struct asm_image image;
	char *messages;

	if (assemble(text, strlen(text), &image, &messages))
		fail_msg("%s", messages);
	free(messages);
	return image;
}

static char *disassemble(const struct asm_image *image)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(asm_disassemble(image, f), 0);
	fclose(f);
	return text;
}

/* The text of an image gives its bytes, and those the text. */
static void round_trip(const struct asm_image *image)
{
	char *text = disassemble(image), *again;
	struct asm_image back = good(text);

	if (back.len != image->len || back.num_insns != image->num_insns ||
	    memcmp(back.bytes, image->bytes, image->len))
		fail_msg("not the same bytes:\n%s", text);
	again = disassemble(&back);
	assert_string_equal(text, again);
	asm_image_free(&back);
	free(again);
	free(text);
}

/* ---- names ---- */

static bool decodes(const void *image, uint32_t bytes, uint32_t insns)
{
	struct x1_fault_rec rec;
	struct x1_program *p = x1_program_decode(image, bytes, insns, &rec);

	x1_program_free(p);
	return p;
}

/* Each opcode of the device has a name, and no other. */
static void test_all_opcodes(void **state)
{
	(void)state;
	for (unsigned int op = 0; op < 256; op++) {
		struct {
			struct x1_insn insn[3];
			struct x1_desc desc;
			uint64_t pad[2];
		} image = {.insn = {{.op = (uint8_t)op, .rb = 3, .imm = 48},
				    {.op = X1_OP_NOP},
				    {.op = X1_OP_END}}};

		if (op >= X1_OP_JMP && op <= X1_OP_LOOPI)
			image.insn[0].imm = 2;
		assert_int_equal(decodes(&image, sizeof(image), 3), asm_ops[op].name != NULL);
		for (unsigned int other = 0; other < op && asm_ops[op].name; other++)
			if (asm_ops[other].name)
				assert_string_not_equal(asm_ops[op].name, asm_ops[other].name);
	}
}

static const struct asm_name *names_of(const struct asm_part *parts, const char *name)
{
	for (; parts->name; parts++)
		if (!strcmp(parts->name, name))
			return parts->names;
	fail_msg("no part %s", name);
	return NULL;
}

static void all_named(const struct asm_name *names, uint32_t count)
{
	uint64_t seen = 0;

	for (; names->name; names++) {
		assert_true(names->value < count);
		assert_false(seen >> names->value & 1);
		seen |= 1ull << names->value;
	}
	assert_int_equal(seen, (1ull << count) - 1);
}

/* Each field, format, scale mode and sparsity has one; parts cover what is not reserved. */
static void test_all_fields(void **state)
{
	static const struct {
		unsigned int kind, field;
		uint32_t reserved;
	} parts[] = {{ASM_KIND_DMA, X1_DMA_CTRL, X1_DMA_CTRL_RESERVED},
		     {ASM_KIND_MM, X1_MM_FMT, X1_MM_FMT_RESERVED},
		     {ASM_KIND_MM, X1_MM_SCALE, 0xff000000},
		     {ASM_KIND_VEC, X1_VEC_CTRL, X1_VEC_CTRL_RESERVED},
		     {ASM_KIND_VEC, X1_VEC_FMT, 0}};
	const struct asm_field *mm = asm_kinds[ASM_KIND_MM].fields;

	(void)state;
	for (unsigned int k = 1; k < ASM_KIND_COUNT; k++)
		for (uint32_t i = 0; i < asm_kinds[k].num_fields; i++)
			assert_non_null(asm_kinds[k].fields[i].name);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct asm_part *p = asm_kinds[parts[i].kind].fields[parts[i].field].parts;
		uint32_t bits = 0;

		for (; p->name; p++)
			bits |= (uint32_t)((1ull << p->width) - 1) << p->shift;
		assert_int_equal(bits, ~parts[i].reserved);
	}
	all_named(names_of(mm[X1_MM_FMT].parts, "a"), X1_FMT_COUNT);
	all_named(names_of(mm[X1_MM_SCALE].parts, "b"), X1_SCALE_COUNT);
	all_named(names_of(mm[X1_MM_SCALE].parts, "sparse"), X1_SPARSE_COUNT);
}

/* ---- text to bytes ---- */

static void test_encoding(void **state)
{
	static const struct {
		const char *text;
		struct x1_insn want;
	} cases[] = {
		{"nop", {.op = X1_OP_NOP}},
		{"end ; the end", {.op = X1_OP_END}},
		{"x: y: sync # both", {.op = X1_OP_SYNC}},
		{"trap 0xffffffffffffffff", {.op = X1_OP_TRAP, .imm = UINT64_MAX}},
		{"add r1, r2, r63", {.op = X1_OP_ADD, .rd = 1, .ra = 2, .rb = 63}},
		{"sel r1,r2,-5",
		 {.op = X1_OP_SEL, .rd = 1, .ra = 2, .rb = X1_REG_IMM, .imm = (uint64_t)-5}},
		{"or r9, r0, 1|2 + 3 - 1", {.op = X1_OP_OR, .rd = 9, .rb = X1_REG_IMM, .imm = 5}},
		{"add r9, r0, acc + 64",
		 {.op = X1_OP_ADD, .rd = 9, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR + 64}},
		{"add r9, r0, f(-1.5)",
		 {.op = X1_OP_ADD, .rd = 9, .rb = X1_REG_IMM, .imm = 0xbfc00000}},
		{"l: jmp l", {.op = X1_OP_JMP}},
		{"l: bgeu r3, r4, l", {.op = X1_OP_BGEU, .ra = 3, .rb = 4}},
		{"ldm.1 r5, [r6]", {.op = X1_OP_LDM, .rd = 5, .ra = 6}},
		{"sts.2 r5, [r6 + 0x10]", {.op = X1_OP_STS, .rd = 5, .ra = 6, .rb = 1, .imm = 16}},
		{"atadd.4 r5, [r6 - 8]",
		 {.op = X1_OP_ATADD, .rd = 5, .ra = 6, .rb = 2, .imm = (uint64_t)-8}},
		{"waitge.8 r5, [r6]", {.op = X1_OP_WAITGE, .rd = 5, .ra = 6, .rb = 3}},
		{"rdclk r7 wait(s1) sig(-, s31)",
		 {.op = X1_OP_RDCLK, .rd = 7, .wait = {X1_SEM(1)}, .sig = {0, X1_SEM(31)}}},
		{"gridbar sig(s0, s2) wait(s3, s3)",
		 {.op = X1_OP_GRIDBAR,
		  .wait = {X1_SEM(3), X1_SEM(3)},
		  .sig = {X1_SEM(0), X1_SEM(2)}}},
		{".insn 200, 255, 1, 2, -1 wait(3, s99)",
		 {.op = 200,
		  .rd = 255,
		  .ra = 1,
		  .rb = 2,
		  .imm = UINT64_MAX,
		  .wait = {3, 0x80 | 99}}},
		{"vec r1, r2, r3, @d\n.desc d, vec\n.end",
		 {.op = X1_OP_VEC, .rd = 1, .ra = 2, .rb = 3, .imm = 16}},
		{"mm r1, r2, r3, @+8\n.quad 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
		 {.op = X1_OP_MM, .rd = 1, .ra = 2, .rb = 3, .imm = 24}},
		{"loop r5, e\nnop\ne:", {.op = X1_OP_LOOP, .ra = 5, .imm = 2}},
		{"loopi 0x123456, e\nnop\ne:",
		 {.op = X1_OP_LOOPI, .rd = 0x56, .ra = 0x34, .rb = 0x12, .imm = 2}},
		{".equ N, 7\n.equ M, N + 1\nadd r1, r1, M",
		 {.op = X1_OP_ADD, .rd = 1, .ra = 1, .rb = X1_REG_IMM, .imm = 8}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asm_image image = good(cases[i].text);

		if (memcmp(image.bytes, &cases[i].want, X1_INSN_BYTES))
			fail_msg("%s: other bytes", cases[i].text);
		round_trip(&image);
		asm_image_free(&image);
	}
}

static void test_descriptor(void **state)
{
	static const char text[] =
		"end\n"
		".desc a, dma\n"
		"	ctrl = ndim(5) | esize(3) | gather | lfmt(bf16) | mfmt(e8m0), pad = 9\n"
		"	count0 = r5, origin4 = -3\n"
		"	mstride1 = r63\n"
		"\n"
		".end\n"
		".desc b, vec\n"
		"	op = dequant, param = mx32, imm1 = f(0.5)\n"
		"	fmt = d(bf16) | s0(e2m1) | s2(12), ctrl = bcast1(col) | nosat\n"
		".end\n"
		".desc c, mm\n"
		"	scale = a(nv16) | sparse(s2_16), fmt = a(e2m1) | b(e2m1) | trans_b\n"
		".end\n";
	struct x1_desc want[3] = {
		{.regs = 1ull << X1_DMA_COUNT0 | 1ull << X1_DMA_MSTRIDE1,
		 .f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(5) | X1_DMA_CTRL_ESIZE(3) |
				       X1_DMA_CTRL_GATHER | X1_DMA_CTRL_LFMT(X1_FMT_BF16) |
				       X1_DMA_CTRL_MFMT(X1_FMT_E8M0),
		       [X1_DMA_PAD] = 9,
		       [X1_DMA_COUNT0] = 5,
		       [X1_DMA_ORIGIN0 + 4] = (uint32_t)-3,
		       [X1_DMA_MSTRIDE1] = 63}},
		{.f = {[X1_VEC_OP] = X1_VEC_DEQUANT,
		       [X1_VEC_PARAM] = X1_SCALE_MX32,
		       [X1_VEC_IMM1] = 0x3f000000,
		       [X1_VEC_FMT] = X1_FMT_BF16 | X1_FMT_E2M1 << 8 | X1_FMT_E8M0 << 24,
		       [X1_VEC_CTRL] = X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_COL) | X1_VEC_CTRL_NOSAT}},
		{.f = {[X1_MM_SCALE] = X1_MM_SCALE(X1_SCALE_NV16, 0, X1_SPARSE_2_16),
		       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E2M1, X1_FMT_E2M1) | X1_MM_FMT_TRANS_B}},
	};
	struct asm_image image = good(text);

	(void)state;
	assert_int_equal(image.num_insns, 1);
	assert_int_equal(image.len, 16 + sizeof(want));
	assert_memory_equal(image.bytes + 16, want, sizeof(want));
	round_trip(&image);
	asm_image_free(&image);
}

/* ---- errors ---- */

static void test_errors(void **state)
{
	static const struct {
		const char *text, *want; /* the first message */
	} cases[] = {
		{"", "t:1:1: error: no instructions"},
		{"\n  foo r1", "t:2:3: error: unknown instruction 'foo'"},
		{"ldm r1, [r2]", "t:1:1: error: unknown instruction 'ldm'"},
		{"ldm.3 r1, [r2]", "t:1:1: error: unknown instruction 'ldm.3'"},
		{"add.4 r1, r2, r3", "t:1:1: error: unknown instruction 'add.4'"},
		{"strel.2 r1, [r2]", "t:1:1: error: 'strel' has 4 or 8 bytes"},
		{"add r64, r1, r2", "t:1:5: error: a register r0 to r63 expected before 'r64'"},
		{"add r1, r01, r2", "t:1:9: error: a register r0 to r63 expected before 'r01'"},
		{"add r1 r2", "t:1:8: error: ',' expected before 'r2'"},
		{"add r1, r2, foo", "t:1:13: error: 'foo' is not known here"},
		{"add r1, r2,", "t:1:12: error: a value expected before 'end of line'"},
		{"add r1, r2, 12x", "t:1:13: error: a value expected before '12x'"},
		{"add r1, r2, 0x10000000000000000",
		 "t:1:13: error: a value expected before '0x10000000000000000'"},
		{"add r1, r2, f(x)", "t:1:15: error: a number and ')' expected after 'f('"},
		{"end end", "t:1:5: error: unexpected 'end'"},
		{"nop wait(s32)", "t:1:10: error: there are 32 semaphores"},
		{"nop wait(s1) wait(s2)", "t:1:14: error: unexpected 'wait'"},
		{"nop sig(3)", "t:1:9: error: a semaphore s0 to s31 expected before '3'"},
		{"jmp x", "t:1:5: error: label 'x' is not defined"},
		{"jmp x\nx:", "t:1:5: error: 'x' is after the last instruction"},
		{"x: nop\nx: end", "t:2:1: error: 'x' is defined already"},
		{"nop\nx: loop r1, x", "t:2:13: error: 'x' is not after the loop's body"},
		{"loopi 0x1000000, x", "t:1:7: error: at most 16777215 here"},
		{"mm r1, r2, r3, @d", "t:1:17: error: descriptor 'd' is not defined"},
		{"mm r1, r2, r3, @+8", "t:1:17: error: no descriptor at +8"},
		{"mm r1, r2, r3, @d\n.desc d, vec\n.end",
		 "t:1:17: error: 'd' is a descriptor of vec"},
		{"end\n.desc d, foo", "t:2:10: error: 'dma', 'mm' or 'vec' expected before 'foo'"},
		{"end\n.desc d, mm\nop = 1\n.end", "t:3:1: error: 'op' is no field of mm"},
		{"end\n.desc d, mm\nm = 1, m = 2\n.end", "t:3:8: error: 'm' is set already"},
		{"end\n.desc d, mm\nm = 0x100000000\n.end", "t:3:5: error: m is 32 bits"},
		{"end\n.desc d, mm\nfmt = a(foo)\n.end", "t:3:9: error: 'foo' is not known here"},
		{"end\n.desc d, mm\nfmt = a(256)\n.end", "t:3:12: error: a is 8 bits"},
		{"end\n.desc d, mm\nfmt = a\n.end", "t:3:8: error: '(' expected after 'a'"},
		{"end\n.desc d, mm\nm = 1",
		 "t:3:1: error: '.end' of the last descriptor is missing"},
		{"end\n.quad 1", "t:2:1: error: data is not a multiple of 16 bytes"},
		{"end\n.foo", "t:2:1: error: unknown directive '.foo'"},
		{"end\n.equ N, 1\n.equ N, 2", "t:3:6: error: 'N' is defined already"},
		{".insn 256, 0, 0, 0, 0", "t:1:7: error: at most 255 here"},
		{"\x01", "t:1:1: error: an instruction expected before '\x01'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asm_image image;
		char *messages;

		assert_true(assemble(cases[i].text, strlen(cases[i].text), &image, &messages) > 0);
		assert_null(image.bytes);
		if (strncmp(messages, cases[i].want, strlen(cases[i].want)))
			fail_msg("'%s' says %s, want %s", cases[i].text, messages, cases[i].want);
		free(messages);
	}
}

/* All errors of a text up to a limit, and the size of a program. */
static void test_limits(void **state)
{
	char *text = calloc(1, 128 << 10), *messages;
	struct asm_image image;
	size_t n = 0;

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, "foo\n");
	assert_int_equal(assemble(text, n, &image, &messages), 21);
	assert_null(strstr(messages, "t:21:"));
	free(messages);
	for (uint32_t i = 0; i <= X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES; i += 3)
		memcpy(text + i / 3 * 12, "nop\nnop\nnop\n", 12);
	n = X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES * 4;
	assert_int_equal(assemble(text, n, &image, &messages), 0);
	assert_int_equal(image.len, X1_MAX_PROGRAM_BYTES);
	asm_image_free(&image);
	free(messages);
	assert_int_equal(assemble(text, n + 4, &image, &messages), 1);
	assert_string_equal(messages, "t:16385:4: error: more than 16384 instructions\n");
	free(messages);
	free(text);
}

/* ---- images to text and back ---- */

/* Any bytes, some of them sensible. */
static void test_any_bytes(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 800; round++) {
		uint32_t insns = 1 + rnd() % 24, data = 16 * (rnd() % 40), len;
		struct asm_image image;

		len = insns * X1_INSN_BYTES + data;
		image = (struct asm_image){.bytes = malloc(len), .len = len, .num_insns = insns};
		for (uint32_t i = 0; i < len; i++)
			image.bytes[i] = (uint8_t)(rnd() % 3 ? 0 : rnd());
		for (uint32_t i = 0; i < insns; i++) {
			struct x1_insn *in = (struct x1_insn *)image.bytes + i;

			in->op = (uint8_t)(rnd() % 80);
			if (rnd() % 2)
				in->imm = rnd() % (2 * insns);
			if (in->op >= X1_OP_LOAD && rnd() % 4)
				in->imm = insns * X1_INSN_BYTES + 8 * (rnd() % 32);
		}
		round_trip(&image);
		asm_image_free(&image);
	}
}

static uint8_t random_sem(void)
{
	return rnd() % 3 ? 0 : (uint8_t)X1_SEM(rnd() % X1_NUM_SEMS);
}

static struct x1_insn random_insn(uint32_t pc, uint32_t insns, uint32_t descs)
{
	struct x1_insn in = {.wait = {random_sem(), random_sem()},
			     .sig = {random_sem(), random_sem()}};
	uint64_t imm = rnd() % 2 ? rnd() % 100 : (uint64_t)rnd() << 32 | rnd();

	do
		in.op = (uint8_t)rnd();
	while (!asm_ops[in.op].name);
	switch (asm_ops[in.op].shape) {
	case ASM_IMM:
		in.imm = imm;
		break;
	case ASM_RD:
		in.rd = rnd() % X1_NUM_REGS;
		break;
	case ASM_ALU:
		in.rd = rnd() % X1_NUM_REGS;
		in.ra = rnd() % X1_NUM_REGS;
		in.rb = rnd() % 2 ? X1_REG_IMM : rnd() % X1_NUM_REGS;
		in.imm = in.rb == X1_REG_IMM ? imm : 0;
		break;
	case ASM_BRANCH:
		in.ra = rnd() % X1_NUM_REGS;
		in.rb = rnd() % X1_NUM_REGS;
		in.imm = rnd() % insns;
		break;
	case ASM_JUMP:
		in.imm = rnd() % insns;
		break;
	case ASM_LOOP:
	case ASM_LOOPI:
		in.ra = rnd() % X1_NUM_REGS;
		in.imm = pc + 2 + rnd() % (insns - pc);
		if (in.imm > insns)
			in.imm = insns;
		/* No room for a body. */
		if (in.imm <= pc + 1)
			return (struct x1_insn){.op = X1_OP_END};
		break;
	case ASM_MEM:
		in.rd = rnd() % X1_NUM_REGS;
		in.ra = rnd() % X1_NUM_REGS;
		in.rb = 2 + rnd() % 2;
		in.imm = imm;
		break;
	case ASM_ENGINE:
		in.rd = rnd() % X1_NUM_REGS;
		in.ra = rnd() % X1_NUM_REGS;
		in.rb = rnd() % X1_NUM_REGS;
		in.imm = insns * X1_INSN_BYTES + rnd() % descs * sizeof(struct x1_desc);
		break;
	default:
		break;
	}
	return in;
}

/* Programs that the device takes have no .insn in their text, and come back the same. */
static void test_valid_programs(void **state)
{
	uint32_t taken = 0;

	(void)state;
	for (unsigned int round = 0; round < 1000; round++) {
		struct {
			struct x1_insn insn[32];
			struct x1_desc desc[4];
		} image;
		struct asm_image img = {
			.bytes = (uint8_t *)&image, .len = sizeof(image), .num_insns = 32};
		char *text;

		memset(&image, 0, sizeof(image));
		for (uint32_t i = 0; i < 32; i++)
			image.insn[i] = random_insn(i, 32, 4);
		for (uint32_t i = 0; i < 4; i++) {
			for (uint32_t f = 0; f < X1_VEC_FIELDS; f++) {
				if (rnd() % 3 == 0)
					continue;
				image.desc[i].f[f] = rnd() % 2 ? rnd() : rnd() % 1000;
				if (rnd() % 4 == 0) {
					image.desc[i].regs |= 1ull << f;
					image.desc[i].f[f] = rnd() % X1_NUM_REGS;
				}
			}
		}
		if (!decodes(&image, sizeof(image), 32))
			continue;
		taken++;
		text = disassemble(&img);
		if (strstr(text, ".insn"))
			fail_msg("%s", text);
		free(text);
		round_trip(&img);
	}
	assert_true(taken > 700);
}

/* ---- files ---- */

static void test_files(void **state)
{
	struct asm_image image = good("nop\nend\n.desc d, mm\n.end\n"), back;
	char err[128] = "", *file;
	size_t len, n;
	FILE *f = open_memstream(&file, &len);

	(void)state;
	assert_int_equal(asm_image_write(&image, f, err, sizeof(err)), 0);
	fclose(f);
	assert_int_equal(asm_image_parse(&back, (uint8_t *)file, len, err, sizeof(err)), 0);
	assert_int_equal(back.num_insns, 2);
	assert_memory_equal(back.bytes, image.bytes, image.len);
	asm_image_free(&back);
	/* Cut short anywhere, longer, every byte of the header wrong. */
	for (n = 0; n < len; n++)
		assert_int_equal(asm_image_parse(&back, (uint8_t *)file, n, err, sizeof(err)), -1);
	for (n = 0; n < ASM_HEADER_BYTES; n++) {
		file[n] ^= 0x40;
		assert_int_equal(asm_image_parse(&back, (uint8_t *)file, len, err, sizeof(err)),
				 -1);
		assert_string_not_equal(err, "");
		file[n] ^= 0x40;
	}
	free(file);
	asm_image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_opcodes), cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_encoding),    cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_errors),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_any_bytes),   cmocka_unit_test(test_valid_programs),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("assembler", tests, NULL, NULL);
}
