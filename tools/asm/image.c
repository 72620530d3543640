// SPDX-License-Identifier: MIT
/* Program files. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "asm.h"

void asm_image_free(struct asm_image *image)
{
	free(image->bytes);
	*image = (struct asm_image){0};
}

int asm_image_write(const struct asm_image *image, FILE *f, char *err, size_t len)
{
	const uint32_t head[4] = {htole32(ASM_MAGIC), htole32(ASM_VERSION),
				  htole32(image->num_insns), htole32(image->len)};

	if (fwrite(head, sizeof(head), 1, f) != 1 ||
	    fwrite(image->bytes, 1, image->len, f) != image->len || fflush(f)) {
		snprintf(err, len, "%s", strerror(errno));
		return -1;
	}
	return 0;
}

int asm_image_parse(struct asm_image *image, const uint8_t *file, size_t len, char *err,
		    size_t err_len)
{
	uint32_t head[4] = {0};

	snprintf(err, err_len, "out of memory");
	memcpy(head, file, len < sizeof(head) ? len : sizeof(head));
	for (unsigned int i = 0; i < 4; i++)
		head[i] = le32toh(head[i]);
	*image = (struct asm_image){.num_insns = head[2], .len = head[3]};
	if (len < ASM_HEADER_BYTES || head[0] != ASM_MAGIC)
		snprintf(err, err_len, "not a program file of sili-as");
	else if (head[1] != ASM_VERSION)
		snprintf(err, err_len, "version %u, known is %u", head[1], ASM_VERSION);
	else if (len - ASM_HEADER_BYTES != image->len)
		snprintf(err, err_len, "%zu bytes of program, header says %u",
			 len - ASM_HEADER_BYTES, image->len);
	else if (image->len > X1_MAX_PROGRAM_BYTES || image->len % X1_INSN_BYTES ||
		 !image->num_insns || image->num_insns > image->len / X1_INSN_BYTES)
		snprintf(err, err_len, "%u instructions in %u bytes", image->num_insns, image->len);
	else
		image->bytes = malloc(image->len);
	if (!image->bytes) {
		*image = (struct asm_image){0};
		return -1;
	}
	memcpy(image->bytes, file + ASM_HEADER_BYTES, image->len);
	return 0;
}

uint8_t *asm_read_file(FILE *f, size_t *len)
{
	size_t room = 1 << 16, n = 0;
	uint8_t *buf = malloc(room), *bigger;

	while (buf) {
		n += fread(buf + n, 1, room - n, f);
		if (n < room)
			break;
		bigger = realloc(buf, room *= 2);
		if (!bigger)
			free(buf);
		buf = bigger;
	}
	if (buf && ferror(f)) {
		free(buf);
		return NULL;
	}
	*len = n;
	return buf;
}
