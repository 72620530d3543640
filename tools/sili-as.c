// SPDX-License-Identifier: MIT
/* sili-as: MCU programs from text. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "asm/asm.h"

static void usage(FILE *f)
{
	fputs("Usage: sili-as [-r] [-o OUTPUT] [FILE]\n"
	      "\n"
	      "Assembles a program for the SiliFlow X1's compute units. Without FILE, or with -,\n"
	      "standard input is read.\n"
	      "\n"
	      "  -o, --output=FILE   write there (default: FILE with the suffix .x1; - is standard\n"
	      "                      output)\n"
	      "  -r, --raw           write the program's bytes alone, without a header\n"
	      "  -h, --help          this text\n"
	      "\n"
	      "The language is described in sili-as(1), instructions in the reference manual.\n",
	      f);
}

/* in.s -> in.x1; a name without a suffix gets one. */
static void default_output(const char *in, char *out, size_t len)
{
	const char *slash = strrchr(in, '/'), *dot = strrchr(in, '.');
	size_t n = dot && dot > (slash ? slash + 1 : in) ? (size_t)(dot - in) : strlen(in);

	snprintf(out, len, "%.*s.x1", (int)n, in);
}

static int write_image(const struct asm_image *image, const char *name, int raw)
{
	char err[128] = "";
	FILE *f = strcmp(name, "-") ? fopen(name, "wb") : stdout;
	int ret = -1;

	if (!f)
		snprintf(err, sizeof(err), "%s", strerror(errno));
	else if (!raw)
		ret = asm_image_write(image, f, err, sizeof(err));
	else if (fwrite(image->bytes, 1, image->len, f) == image->len && !fflush(f))
		ret = 0;
	else
		snprintf(err, sizeof(err), "%s", strerror(errno));
	if (f && f != stdout && fclose(f) && !ret) {
		snprintf(err, sizeof(err), "%s", strerror(errno));
		ret = -1;
	}
	if (ret) {
		fprintf(stderr, "sili-as: %s: %s\n", name, err);
		if (f && f != stdout)
			remove(name);
	}
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"raw", no_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *in = "-", *out = NULL;
	struct asm_image image;
	char name[PATH_MAX];
	uint8_t *text;
	size_t len;
	int raw = 0, c;
	FILE *f;

	while ((c = getopt_long(argc, argv, "o:rh", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			out = optarg;
			break;
		case 'r':
			raw = 1;
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
		fputs("sili-as: one FILE at a time\n", stderr);
		return 2;
	}
	if (optind < argc)
		in = argv[optind];
	if (!out && !strcmp(in, "-")) {
		fputs("sili-as: standard input needs an --output\n", stderr);
		return 2;
	}
	if (!out) {
		default_output(in, name, sizeof(name));
		out = name;
	}
	f = strcmp(in, "-") ? fopen(in, "rb") : stdin;
	text = f ? asm_read_file(f, &len) : NULL;
	if (!text) {
		fprintf(stderr, "sili-as: %s: %s\n", in, strerror(errno));
		return 1;
	}
	if (f != stdin)
		fclose(f);
	c = asm_assemble(f == stdin ? "<stdin>" : in, (char *)text, len, stderr, &image) ? 1 : 0;
	free(text);
	if (c)
		return 1;
	c = write_image(&image, out, raw) ? 1 : 0;
	asm_image_free(&image);
	return c;
}
