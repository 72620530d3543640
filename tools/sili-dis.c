// SPDX-License-Identifier: MIT
/* sili-dis: text from MCU programs. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "asm/asm.h"

static void usage(FILE *f)
{
	fputs("Usage: sili-dis [-r COUNT] [FILE]\n"
	      "\n"
	      "Prints a program for the SiliFlow X1's compute units as text that sili-as turns\n"
	      "into the same bytes. Without FILE, or with -, standard input is read.\n"
	      "\n"
	      "  -r, --raw=COUNT     the file has no header: COUNT instructions, then descriptors\n"
	      "  -h, --help          this text\n",
	      f);
}

/* The image of a file without header. */
static int raw_image(struct asm_image *image, const uint8_t *file, size_t len, uint32_t insns,
		     char *err, size_t err_len)
{
	uint32_t head[4] = {ASM_MAGIC, ASM_VERSION, insns, (uint32_t)len};
	uint8_t *with_head;
	int ret;

	if (len > X1_MAX_PROGRAM_BYTES) {
		snprintf(err, err_len, "%zu bytes, a program has up to %u", len,
			 X1_MAX_PROGRAM_BYTES);
		return -1;
	}
	with_head = malloc(sizeof(head) + len);
	if (!with_head) {
		snprintf(err, err_len, "out of memory");
		return -1;
	}
	memcpy(with_head, head, sizeof(head));
	memcpy(with_head + sizeof(head), file, len);
	ret = asm_image_parse(image, with_head, sizeof(head) + len, err, err_len);
	free(with_head);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"raw", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	unsigned long insns = 0;
	const char *in = "-";
	struct asm_image image;
	char err[128], *end;
	uint8_t *file;
	size_t len;
	int c;
	FILE *f;

	while ((c = getopt_long(argc, argv, "r:h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			insns = strtoul(optarg, &end, 0);
			if (*end || !insns || insns > X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES) {
				fprintf(stderr, "sili-dis: --raw=%s: 1 to %u instructions\n",
					optarg, X1_MAX_PROGRAM_BYTES / X1_INSN_BYTES);
				return 2;
			}
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (argc - optind > 1) {
		fputs("sili-dis: one FILE at a time\n", stderr);
		return 2;
	}
	if (optind < argc)
		in = argv[optind];
	f = strcmp(in, "-") ? fopen(in, "rb") : stdin;
	file = f ? asm_read_file(f, &len) : NULL;
	if (!file) {
		fprintf(stderr, "sili-dis: %s: %s\n", in, strerror(errno));
		return 1;
	}
	if (f != stdin)
		fclose(f);
	c = insns ? raw_image(&image, file, len, (uint32_t)insns, err, sizeof(err))
		  : asm_image_parse(&image, file, len, err, sizeof(err));
	free(file);
	if (c) {
		fprintf(stderr, "sili-dis: %s: %s\n", in, err);
		return 1;
	}
	c = asm_disassemble(&image, stdout);
	asm_image_free(&image);
	if (c) {
		fprintf(stderr, "sili-dis: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
