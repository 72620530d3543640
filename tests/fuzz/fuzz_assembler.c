// SPDX-License-Identifier: MIT
/*
 * Text for the assembler, and images for the disassembler: no text breaks it,
 * and what comes out of either goes through the other unchanged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asm/asm.h"
#include "fuzz.h"

/* Text of an image, to be freed. */
static char *text_of(const struct asm_image *image, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	FZ_CHECK(f && !asm_disassemble(image, f), "disassembler failed");
	fclose(f);
	return text;
}

static void round_trip(const struct asm_image *image, FILE *errors)
{
	struct asm_image back;
	size_t len;
	char *text = text_of(image, &len);

	FZ_CHECK(!asm_assemble("dis", text, len, errors, &back), "own text refused");
	FZ_CHECK(back.len == image->len && back.num_insns == image->num_insns &&
			 !memcmp(back.bytes, image->bytes, image->len),
		 "other bytes");
	asm_image_free(&back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *errors;
	struct asm_image image;
	char err[128];

	if (!errors)
		errors = fopen("/dev/null", "w");
	if (!size)
		return -1;
	/* A file, the header included; else text. */
	if (data[0] == 'X' && !asm_image_parse(&image, data, size, err, sizeof(err))) {
		round_trip(&image, errors);
		asm_image_free(&image);
	} else if (!asm_assemble("fuzz", (const char *)data, size, errors, &image)) {
		round_trip(&image, errors);
		asm_image_free(&image);
	}
	return 0;
}
