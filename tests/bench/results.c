// SPDX-License-Identifier: MIT
/* The file of results: schema 1. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *v, size_t n)
{
	if (!n)
		return NAN;
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int bench_fail(const char *what, int error)
{
	fprintf(stderr, "x1-bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
	return -1;
}

json_t *bench_load(const char *path)
{
	json_error_t error;
	json_t *root;

	if (access(path, F_OK))
		return json_pack("{s:i, s:{}, s:[]}", "schema", 1, "host", "results");
	root = json_load_file(path, 0, &error);
	if (!root) {
		fprintf(stderr, "x1-bench: %s:%d: %s\n", path, error.line, error.text);
		return NULL;
	}
	if (json_integer_value(json_object_get(root, "schema")) != 1 ||
	    !json_is_array(json_object_get(root, "results"))) {
		fprintf(stderr, "x1-bench: %s: not a file of results, schema 1\n", path);
		json_decref(root);
		return NULL;
	}
	return root;
}

int bench_save(json_t *root, const char *path)
{
	if (!json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		return 0;
	fprintf(stderr, "x1-bench: cannot write %s\n", path);
	return -1;
}

static json_t *find(const json_t *root, const char *name)
{
	json_t *results = json_object_get(root, "results"), *entry;
	size_t i;

	json_array_foreach(results, i, entry)
	{
		const char *its = json_string_value(json_object_get(entry, "name"));

		if (its && !strcmp(its, name))
			return entry;
	}
	return NULL;
}

double bench_last(const json_t *root, const char *name)
{
	json_t *samples = json_object_get(find(root, name), "samples");

	return json_array_size(samples)
		       ? json_number_value(json_array_get(samples, json_array_size(samples) - 1))
		       : NAN;
}

void bench_add(json_t *root, const char *name, const char *unit, const char *against, double value)
{
	json_t *entry = find(root, name);

	if (!entry) {
		entry = json_pack("{s:s, s:s, s:s, s:[]}", "name", name, "unit", unit, "against",
				  against, "samples");
		json_array_append_new(json_object_get(root, "results"), entry);
		printf("  %s\n", name);
		fflush(stdout);
	}
	json_array_append_new(json_object_get(entry, "samples"), json_real(value));
}

/* An entry's samples become its middle, number and extent. */
static json_t *summary(const json_t *entry)
{
	json_t *samples = json_object_get(entry, "samples"), *out;
	size_t n = json_array_size(samples);
	double *v = n ? malloc(n * sizeof(*v)) : NULL, value;

	if (!v)
		return NULL;
	for (size_t i = 0; i < n; i++)
		v[i] = json_number_value(json_array_get(samples, i));
	value = bench_median(v, n);
	out = json_pack(
		"{s:O, s:f, s:O, s:O, s:i, s:f, s:f}", "name", json_object_get(entry, "name"),
		"value", value, "unit", json_object_get(entry, "unit"), "against",
		json_object_get(entry, "against"), "n", (int)n, "min", v[0], "max", v[n - 1]);
	free(v);
	return out;
}

static void print_row(const json_t *e)
{
	printf("%-44s %12.6g %-8s %12.6g .. %-12.6g %3d  %s\n",
	       json_string_value(json_object_get(e, "name")),
	       json_real_value(json_object_get(e, "value")),
	       json_string_value(json_object_get(e, "unit")),
	       json_real_value(json_object_get(e, "min")),
	       json_real_value(json_object_get(e, "max")),
	       (int)json_integer_value(json_object_get(e, "n")),
	       json_string_value(json_object_get(e, "against")));
}

/* How many of the names in a file have no result; -1 = no such file. */
static int missing(const json_t *root, const char *required)
{
	FILE *file = fopen(required, "r");
	char line[128];
	int count = 0;

	if (!file)
		return bench_fail(required, errno);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\n")] = 0;
		if (!line[0] || line[0] == '#' || find(root, line))
			continue;
		fprintf(stderr, "x1-bench: not measured: %s\n", line);
		count++;
	}
	fclose(file);
	return count;
}

int bench_report(json_t *root, const char *path, const char *required)
{
	json_t *all = json_object_get(root, "results"), *out = json_array(), *entry;
	int absent = missing(root, required);
	size_t i;

	printf("%-44s %12s %-8s %12s    %-12s %3s  %s\n", "name", "value", "unit", "min", "max",
	       "n", "against");
	json_array_foreach(all, i, entry)
	{
		json_t *row = summary(entry);

		if (!row)
			continue;
		print_row(row);
		json_array_append_new(out, row);
	}
	json_object_set_new(root, "results", out);
	return bench_save(root, path) || absent ? -1 : 0;
}

static void cpu_model(char *out, size_t len)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, len, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10))
			continue;
		colon[strcspn(colon, "\n")] = 0;
		snprintf(out, len, "%s", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

void bench_describe_host(json_t *root)
{
	json_t *host = json_object_get(root, "host");
	struct utsname name;
	char cpu[256];

	cpu_model(cpu, sizeof(cpu));
	uname(&name);
	json_object_set_new(host, "cpu", json_string(cpu));
	json_object_set_new(host, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(host, "system", json_string(name.sysname));
	json_object_set_new(host, "release", json_string(name.release));
	json_object_set_new(host, "machine", json_string(name.machine));
}
