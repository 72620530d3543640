// SPDX-License-Identifier: MIT
/* x1-bench: measure groups, or add numbers measured elsewhere. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const struct group {
	const char *name, *what;
	int (*run)(json_t *root);
} groups[] = {
	{"host", "host peaks, management core", bench_host},
	{"memcpy", "the host's memcpy, against which `vm` puts its copies", bench_memcpy_group},
	{"gemm", "GEMM 4096 in all formats on the in-process device", bench_gemm},
	{"suite", "products of well-known networks against the roofline, in cycles", bench_suite},
	{"model", "whole networks: time, energy, memory, in cycles", bench_model},
	{"attention", "attention against the roofline, in cycles", bench_attention},
	{"sim", "submit, copy and memory on the in-process device", bench_sim},
	{"vm", "submit and copy through siliflow.ko, against NVMe", bench_vm},
	{"bind", "VM_BIND through siliflow.ko", bench_bind},
};

#define NUM_GROUPS (sizeof(groups) / sizeof(groups[0]))

static void usage(void)
{
	printf("Usage: x1-bench [--json FILE] GROUP…\n"
	       "       x1-bench [--json FILE] add NAME UNIT AGAINST VALUE…\n"
	       "       x1-bench [--json FILE] report RESULTS REQUIRED\n\n"
	       "Measures the groups and adds the samples to FILE (default\n"
	       "build/bench/samples.json); \"add\" adds what was measured elsewhere. \"report\"\n"
	       "writes the file of results, prints it, and fails if one that the file REQUIRED\n"
	       "names is missing.\n\nGroups:\n");
	for (size_t i = 0; i < NUM_GROUPS; i++)
		printf("  %-9s %s\n", groups[i].name, groups[i].what);
}

static int add(json_t *root, int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "x1-bench: add takes NAME UNIT AGAINST VALUE…\n");
		return -1;
	}
	for (int i = 3; i < argc; i++) {
		char *end;
		double value = strtod(argv[i], &end);

		if (end == argv[i] || *end || !isfinite(value)) {
			fprintf(stderr, "x1-bench: '%s' is not a number\n", argv[i]);
			return -1;
		}
		bench_add(root, argv[0], argv[1], argv[2], value);
	}
	return 0;
}

static int run_groups(json_t *root, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		size_t g = 0;

		while (g < NUM_GROUPS && strcmp(groups[g].name, argv[i]))
			g++;
		if (g == NUM_GROUPS) {
			fprintf(stderr, "x1-bench: no group '%s' (x1-bench --help)\n", argv[i]);
			return -1;
		}
		if (groups[g].run(root))
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = "build/bench/samples.json";
	json_t *root;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 0;
		}
		if (opt != 'j')
			return 2;
		path = optarg;
	}
	if (optind == argc) {
		usage();
		return 2;
	}
	root = bench_load(path);
	if (!root)
		return 1;
	if (!strcmp(argv[optind], "report")) {
		ret = -1;
		if (argc - optind == 3)
			ret = bench_report(root, argv[optind + 1], argv[optind + 2]);
		else
			usage();
		json_decref(root);
		return ret ? 1 : 0;
	}
	if (!strcmp(argv[optind], "add"))
		ret = add(root, argc - optind - 1, argv + optind + 1);
	else
		ret = run_groups(root, argc - optind, argv + optind);
	/* What was measured before a failure stays. */
	if (bench_save(root, path))
		ret = -1;
	json_decref(root);
	return ret ? 1 : 0;
}
