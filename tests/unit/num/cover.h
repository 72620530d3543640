/* SPDX-License-Identifier: MIT */
/*
 * What a test has checked, for the coverage tables of the manual: with
 * X1_COVERAGE=FILE each call appends one line to FILE, the host path first.
 */
#ifndef COVER_H
#define COVER_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "num/x1_num.h"

static const char *const format_names[X1_FMT_COUNT] = {
	"FP32", "TF32", "BF16", "FP16", "E4M3",  "E5M2", "E3M2",
	"E2M3", "E2M1", "INT8", "INT4", "INT32", "E8M0",
};

__attribute__((format(printf, 1, 2), unused)) static void covered(const char *fmt, ...)
{
	const char *name = getenv("X1_COVERAGE");
	FILE *f = name && *name ? fopen(name, "a") : NULL;
	va_list ap;

	if (!f)
		return;
	va_start(ap, fmt);
	fprintf(f, "%s ", x1_num_path_name());
	vfprintf(f, fmt, ap);
	fputc('\n', f);
	va_end(ap);
	fclose(f);
}

#endif /* COVER_H */
