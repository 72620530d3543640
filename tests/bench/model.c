// SPDX-License-Identifier: MIT
/*
 * Whole networks (examples/models) in process: a run with nothing in L2, at
 * each level of prefetch, and the distance of the results to the host's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "run.h"

struct entry {
	const char *name;
	uint32_t batch; /* 0 = the model's own */
	bool compare;
};

static const struct entry entries[] = {
	{"bert_base", 0, true}, {"gpt2", 0, true},           {"resnet50", 0, true},
	{"resnet50", 8, false}, {"resnet50", 16, false},     {"vit_b16", 0, true},
	{"dlrm", 0, true},      {"deepseek_block", 0, true},
};

static void add(json_t *root, const struct entry *e, const struct model *m, const char *what,
		const char *unit, const char *against, double value)
{
	char name[96];

	snprintf(name, sizeof(name), "model.%s_b%u.%s", e->name,
		 e->batch ? e->batch : m->size.batch, what);
	bench_add(root, name, unit, against, value);
}

static int run_entry(json_t *root, struct sili_device *dev, const struct entry *e)
{
	static const char *const ratios[] = {"", "floor_ratio_noprefetch", "floor_ratio_kernel",
					     "floor_ratio"};
	struct sili_exec_attr attr = {.size = sizeof(attr), .prefetch = SILI_PREFETCH_OFF};
	const struct model *m = model_named(e->name);
	struct sili_info info = {.size = sizeof(info)};
	struct model_size size = {.batch = e->batch};
	struct model_result r = {0};
	double each[MODEL_OUTPUTS], distance = 0;
	struct model_run run;
	char err[256] = "";
	int ret = sili_get_info(dev, &info);

	if (!ret)
		ret = model_open(&run, dev, m, &size, &attr, err, sizeof(err));
	if (ret) {
		fprintf(stderr, "x1-bench: %s: %s\n", e->name, err);
		return ret;
	}
	for (int l = SILI_PREFETCH_OFF; l <= SILI_PREFETCH_GRAPH && !ret; l++) {
		attr.prefetch = (enum sili_prefetch)l;
		if (l != SILI_PREFETCH_OFF)
			ret = model_compile(&run, m, &attr, err, sizeof(err));
		if (!ret)
			ret = model_measure(&run, &r);
		if (!ret)
			add(root, e, m, ratios[l], "ratio", "weights and inputs through HBM once",
			    (double)r.cycles / (double)r.info.floor_cycles);
	}
	if (!ret && e->compare)
		ret = model_compare(&run, each);
	/* The worst. */
	for (int i = 0; i < ret; i++)
		distance = each[i] > distance ? each[i] : distance;
	model_close(&run);
	if (ret < 0)
		return ret;
	add(root, e, m, "device_ms", "ms", "", (double)r.cycles * 1e3 / (double)info.clock_hz);
	add(root, e, m, "utilisation", "ratio", "MATRIX's peak", r.utilisation);
	add(root, e, m, "energy_mj", "mJ", "", r.energy_mj);
	add(root, e, m, "peak_mib", "MiB", "", (double)r.info.peak / 1048576);
	add(root, e, m, "lower_bound_mib", "MiB", "", (double)r.info.lower_bound / 1048576);
	add(root, e, m, "naive_mib", "MiB", "", (double)r.info.naive_peak / 1048576);
	add(root, e, m, "host_seconds", "s", "", r.host_seconds);
	if (e->compare)
		add(root, e, m, "distance", "1 - cos", "double precision", distance);
	return 0;
}

int bench_model(json_t *root)
{
	const char *only = getenv("BENCH_MODEL"), *spec = getenv("BENCH_MODEL_DEVICE");
	struct sili_device *dev;
	char err[160] = "";
	int ret = sili_open(&dev, spec ? spec : "sim", err, sizeof(err));

	if (ret) {
		fprintf(stderr, "x1-bench: model: %s\n", err);
		return ret;
	}
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]) && !ret; i++)
		if (!only || !strcmp(only, entries[i].name))
			ret = run_entry(root, dev, &entries[i]);
	sili_close(dev);
	return ret ? bench_fail("model", ret) : 0;
}
