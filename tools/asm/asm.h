/* SPDX-License-Identifier: MIT */
/* Assembler and disassembler of MCU programs, shared by sili-as and sili-dis. */
#ifndef X1_ASM_H
#define X1_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "x1/x1_isa.h"

/* ---- names of the instruction set ---- */

/* What an instruction is written like. */
enum asm_shape {
	ASM_NONE = 1, /* op */
	ASM_IMM,      /* op imm */
	ASM_RD,       /* op rd */
	ASM_ALU,      /* op rd, ra, rb|imm */
	ASM_JUMP,     /* op label */
	ASM_BRANCH,   /* op ra, rb, label */
	ASM_LOOP,     /* op ra, label */
	ASM_LOOPI,    /* op count, label */
	ASM_MEM,      /* op.bytes rd, [ra + imm] */
	ASM_ENGINE,   /* op rd, ra, rb, @descriptor */
};

struct asm_op {
	const char *name;
	uint8_t shape;
	uint8_t kind; /* of the descriptor: enum asm_kind */
};

/* By opcode; name NULL where there is none. */
extern const struct asm_op asm_ops[256];

struct asm_name {
	const char *name;
	uint32_t value;
};

/* Bits of a field: name(value), or name alone where width is 1 and no names. */
struct asm_part {
	const char *name;
	uint8_t shift, width;
	const struct asm_name *names; /* of the values, ends with NULL; NULL: numbers */
};

struct asm_field {
	const char *name;
	const struct asm_part *parts; /* ends with a NULL name, or NULL */
	const struct asm_name *names; /* of the whole field, or NULL */
};

enum asm_kind {
	ASM_KIND_DMA = 1,
	ASM_KIND_MM,
	ASM_KIND_VEC,
	ASM_KIND_COUNT,
};

struct asm_kind_info {
	const char *name;
	uint32_t num_fields;
	const struct asm_field *fields;
};

extern const struct asm_kind_info asm_kinds[ASM_KIND_COUNT]; /* [0] unused */

/* ---- images ---- */

struct asm_image {
	uint8_t *bytes; /* instructions, then descriptors */
	uint32_t len, num_insns;
};

void asm_image_free(struct asm_image *image);

/*
 * A program file is a header of four little-endian words, then the image:
 * ASM_MAGIC, ASM_VERSION, num_insns, bytes of the image.
 */
#define ASM_MAGIC        0x47503158u /* "X1PG" */
#define ASM_VERSION      1u
#define ASM_HEADER_BYTES 16u

/* 0, or -1 with a message in err. */
int asm_image_write(const struct asm_image *image, FILE *f, char *err, size_t len);
int asm_image_parse(struct asm_image *image, const uint8_t *file, size_t len, char *err,
		    size_t err_len);
/* All of a file; NULL with errno. */
uint8_t *asm_read_file(FILE *f, size_t *len);

/*
 * Text to an image. Messages "name:line:column: error: …" go to errors; returns
 * how many there were, and the image only where it is 0.
 */
unsigned int asm_assemble(const char *name, const char *text, size_t len, FILE *errors,
			  struct asm_image *image);
/* An image to text that assembles to the same bytes, whatever they are. -1 on a write error. */
int asm_disassemble(const struct asm_image *image, FILE *out);

#endif /* X1_ASM_H */
