/* SPDX-License-Identifier: MIT */
/* Runs a group on the host path that X1_HOST_PATH names, or skips it. */
#ifndef PATH_H
#define PATH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/x1_num.h"

/*
 * Skipped (exit status 77) where this CPU has no such path; a path that it has and
 * that was not taken computes otherwise than the manual says: a failure.
 */
static inline int run_on_path(const char *group, const struct CMUnitTest *tests, size_t num)
{
	const char *want = getenv("X1_HOST_PATH");
	char name[64];

	if (want && strcmp(want, x1_num_path_name()) != 0) {
		if (!x1_num_cpu_has_path(want))
			return 77;
		print_error("ERROR: path %s does not compute as portable code does\n", want);
		return 1;
	}
	snprintf(name, sizeof(name), "%s (%s)", group, x1_num_path_name());
	print_message("# %s\n", name);
	return _cmocka_run_group_tests(name, tests, num, NULL, NULL);
}

#endif /* PATH_H */
