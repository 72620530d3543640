// SPDX-License-Identifier: MIT
/* Networks on the X1: build, run, measure, compare with the host. See usage. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

struct options {
	struct model_size size;
	struct sili_exec_attr attr;
	const char *device, *trace, *roofline, *save;
	bool check, print, profile;
	double limit;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: models [OPTION...] MODEL...\n\n"
		"Builds networks with weights from a seed and runs them on the X1.\n\n"
		"  --device=SPEC     as sili_open(): /dev/sili0, sim, sim:mcus=96, ...\n"
		"  --batch=N --layers=N --tokens=N   instead of the model's own\n"
		"  --precision=FMT   of MATRIX: e4m3 (default), bf16, fp16, fp32, e2m1, ...\n"
		"  --values=FMT      of what lies between nodes: bf16, fp32, ... instead of the model's\n"
		"  --prefetch=LEVEL  off, kernel, graph (default)\n"
		"  --weights=BYTES   so many of them in HBM, the others in system memory\n"
		"  --check[=LIMIT]   compare with the host in double precision, fail beyond\n"
		"                    1 - cosine = LIMIT (default 0.05)\n"
		"  --print           nodes, formats, places, peaks of memory\n"
		"  --profile         cycles, energy, bytes, stalls of each node\n"
		"  --trace=FILE      the profile as trace events for Chrome or Perfetto\n"
		"  --roofline=FILE   the profile as a gnuplot script, which draws FILE.svg\n"
		"  --save=FILE       the graph as a .sili file\n\nModels:\n");
	for (unsigned int i = 0; i < num_models; i++)
		fprintf(to, "  %-12s %s\n", models[i].name, models[i].what);
}

static uint32_t format_named(const char *name)
{
	for (unsigned int f = 0; f < X1_FMT_COUNT; f++)
		if (!strcmp(sili_format_name((enum x1_format)f), name))
			return SILI_PRECISION(f);
	fprintf(stderr, "models: format '%s' is unknown\n", name);
	exit(2);
}

static enum sili_prefetch level_named(const char *name)
{
	static const char *const names[] = {"", "off", "kernel", "graph"};

	for (int i = 1; i < 4; i++)
		if (!strcmp(names[i], name))
			return (enum sili_prefetch)i;
	fprintf(stderr, "models: level '%s' is none of off, kernel, graph\n", name);
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 0);

	if (*text && !*end && v)
		return v;
	fprintf(stderr, "models: '%s' is no number above 0\n", text);
	exit(2);
}

enum {
	OPT_BATCH = 256,
	OPT_LAYERS,
	OPT_TOKENS,
	OPT_PRECISION,
	OPT_VALUES,
	OPT_PREFETCH,
	OPT_WEIGHTS,
	OPT_CHECK,
	OPT_PRINT,
	OPT_PROFILE,
	OPT_TRACE,
	OPT_ROOFLINE,
	OPT_SAVE,
	OPT_DEVICE,
	OPT_HELP
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, OPT_DEVICE},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"layers", required_argument, NULL, OPT_LAYERS},
	{"tokens", required_argument, NULL, OPT_TOKENS},
	{"precision", required_argument, NULL, OPT_PRECISION},
	{"values", required_argument, NULL, OPT_VALUES},
	{"prefetch", required_argument, NULL, OPT_PREFETCH},
	{"weights", required_argument, NULL, OPT_WEIGHTS},
	{"check", optional_argument, NULL, OPT_CHECK},
	{"print", no_argument, NULL, OPT_PRINT},
	{"profile", no_argument, NULL, OPT_PROFILE},
	{"trace", required_argument, NULL, OPT_TRACE},
	{"roofline", required_argument, NULL, OPT_ROOFLINE},
	{"save", required_argument, NULL, OPT_SAVE},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static void take_option(struct options *o, int c)
{
	switch (c) {
	case OPT_DEVICE:
		o->device = optarg;
		break;
	case OPT_BATCH:
		o->size.batch = (uint32_t)number(optarg);
		break;
	case OPT_LAYERS:
		o->size.layers = (uint32_t)number(optarg);
		break;
	case OPT_TOKENS:
		o->size.tokens = (uint32_t)number(optarg);
		break;
	case OPT_PRECISION:
		o->attr.precision = format_named(optarg);
		break;
	case OPT_VALUES:
		o->attr.act_fmt = format_named(optarg);
		break;
	case OPT_PREFETCH:
		o->attr.prefetch = level_named(optarg);
		break;
	case OPT_WEIGHTS:
		o->attr.weight_limit = number(optarg);
		break;
	case OPT_CHECK:
		o->check = true;
		o->limit = optarg ? atof(optarg) : o->limit;
		break;
	case OPT_PRINT:
		o->print = true;
		break;
	case OPT_PROFILE:
		o->profile = true;
		break;
	case OPT_TRACE:
		o->trace = optarg;
		break;
	case OPT_ROOFLINE:
		o->roofline = optarg;
		break;
	case OPT_SAVE:
		o->save = optarg;
		break;
	case OPT_HELP:
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

static int failed(const char *what, int ret)
{
	fprintf(stderr, "models: %s: %s\n", what, strerror(-ret));
	return -1;
}

static int profile(struct model_run *run, const struct options *o)
{
	struct sili_profile *p;
	char svg[4096];
	int ret = sili_exec_profile(run->exec, &p);

	if (ret)
		return failed("profile", ret);
	if (o->profile)
		sili_profile_print(p, stdout);
	if (o->trace)
		ret = sili_profile_trace(p, o->trace);
	if (!ret && o->roofline) {
		snprintf(svg, sizeof(svg), "%s.svg", o->roofline);
		ret = sili_profile_roofline(p, o->roofline, svg);
	}
	sili_profile_free(p);
	return ret ? failed("writing the profile", ret) : 0;
}

static int compare(struct model_run *run, const struct options *o)
{
	double distance[MODEL_OUTPUTS];
	int n = model_compare(run, distance), ret = 0;

	if (n < 0)
		return failed("comparing", n);
	for (int i = 0; i < n; i++) {
		printf("  output %d: 1 - cosine to the host's double precision %.3g, limit %g\n", i,
		       distance[i], o->limit);
		/* Written so that a NaN fails. */
		if (!(distance[i] <= o->limit))
			ret = -1;
	}
	return ret;
}

static int run_model(struct sili_device *dev, const struct model *model, const struct options *o)
{
	struct sili_info info = {.size = sizeof(info)};
	struct model_result r;
	struct model_run run;
	char err[256] = "";
	int ret = model_open(&run, dev, model, &o->size, &o->attr, err, sizeof(err));

	if (ret) {
		fprintf(stderr, "models: %s: %s\n", model->name, err[0] ? err : strerror(-ret));
		return ret;
	}
	sili_get_info(dev, &info);
	if (o->save)
		ret = sili_graph_save(run.graph, o->save, err, sizeof(err));
	if (ret)
		fprintf(stderr, "models: %s\n", err);
	if (!ret && o->print)
		sili_exec_print(run.exec, stdout);
	if (!ret) {
		ret = model_measure(&run, &r);
		if (ret)
			fprintf(stderr, "models: %s: %s\n", model->name,
				sili_exec_error(run.exec) ? sili_exec_error(run.exec)
							  : strerror(-ret));
	}
	if (!ret)
		printf("%s: %llu cycles (%.3f ms) with nothing in L2, %llu in the run after; "
		       "%.2f of the HBM floor\n"
		       "  %u launches, MATRIX %.1f %% of its peak, %.2f mJ, %.3f s of the host\n"
		       "  between nodes: naive %.2f MiB, lower bound %.2f MiB, planned %.2f MiB\n",
		       model->name, (unsigned long long)r.cycles,
		       (double)r.cycles * 1e3 / (double)info.clock_hz,
		       (unsigned long long)r.warm_cycles,
		       (double)r.cycles / (double)r.info.floor_cycles, r.info.launches,
		       100 * r.utilisation, r.energy_mj, r.host_seconds,
		       (double)r.info.naive_peak / 1048576, (double)r.info.lower_bound / 1048576,
		       (double)r.info.peak / 1048576);
	if (!ret && o->check)
		ret = compare(&run, o);
	if (!ret && o->check && (double)r.info.peak > 1.05 * (double)r.info.lower_bound) {
		fprintf(stderr,
			"models: %s: planned memory is above the lower bound by more than 5 %%\n",
			model->name);
		ret = -1;
	}
	if (!ret && (o->profile || o->trace || o->roofline))
		ret = profile(&run, o);
	model_close(&run);
	return ret;
}

int main(int argc, char **argv)
{
	struct options o = {.limit = 0.05,
			    .attr = {.size = sizeof(o.attr), .prefetch = SILI_PREFETCH_GRAPH}};
	struct sili_device *dev;
	char err[256];
	int c, bad = 0;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&o, c);
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	for (int i = optind; i < argc; i++) {
		if (!model_named(argv[i])) {
			fprintf(stderr, "models: model '%s' is unknown\n", argv[i]);
			return 2;
		}
	}
	if (sili_open(&dev, o.device, err, sizeof(err))) {
		fprintf(stderr, "models: %s\n", err);
		return 1;
	}
	for (int i = optind; i < argc; i++)
		bad |= !!run_model(dev, model_named(argv[i]), &o);
	sili_close(dev);
	return bad;
}
