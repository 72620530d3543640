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

void bench_sample(struct bench_samples *s, double value)
{
	if (s->n < BENCH_MAX_SAMPLES)
		s->v[s->n++] = value;
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

static json_t *find(const json_t *root, const char *name, size_t *at)
{
	json_t *results = json_object_get(root, "results"), *entry;
	size_t i;

	json_array_foreach(results, i, entry) {
		const char *its = json_string_value(json_object_get(entry, "name"));

		if (its && !strcmp(its, name)) {
			*at = i;
			return entry;
		}
	}
	return NULL;
}

double bench_value(const json_t *root, const char *name)
{
	size_t at;
	json_t *entry = find(root, name, &at);

	return entry ? json_number_value(json_object_get(entry, "value")) : NAN;
}

void bench_add(json_t *root, const char *name, const char *unit, const char *against,
	       const struct bench_samples *s)
{
	struct bench_samples sorted = *s;
	double value = bench_median(sorted.v, sorted.n);
	json_t *entry;
	size_t at;

	if (!s->n)
		return;
	entry = json_pack("{s:s, s:f, s:s, s:s, s:i, s:f, s:f}", "name", name, "value", value,
			  "unit", unit, "against", against, "n", (int)s->n, "min", sorted.v[0],
			  "max", sorted.v[s->n - 1]);
	if (find(root, name, &at))
		json_array_set_new(json_object_get(root, "results"), at, entry);
	else
		json_array_append_new(json_object_get(root, "results"), entry);
	printf("  %-40s %12.6g %-10s %12.6g .. %-12.6g n=%zu  %s\n", name, value, unit, sorted.v[0],
	       sorted.v[s->n - 1], s->n, against);
	fflush(stdout);
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
