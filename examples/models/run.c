// SPDX-License-Identifier: MIT
#include "run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct model *model_named(const char *name)
{
	for (unsigned int i = 0; i < num_models; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

/* ---- inputs ---- */

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Numbers within +-1; row numbers of all tables. */
static int fill_input(struct model_run *run, uint32_t i, uint32_t ids)
{
	struct sili_tensor_info t = {.size = sizeof(t)};
	uint32_t seed = 7 + i;
	float *f;
	int ret = 0;

	sili_graph_tensor(run->graph, sili_graph_input_at(run->graph, i), &t);
	f = malloc(t.elements * sizeof(*f));
	free(run->in[i]);
	run->in[i] = malloc(t.elements * sizeof(double));
	if (!f || !run->in[i] || !sili_exec_input(run->exec, i))
		ret = -ENOMEM;
	for (uint64_t e = 0; e < t.elements && !ret; e++) {
		if (t.fmt == X1_FMT_INT32)
			((int32_t *)sili_exec_input(run->exec, i))[e] =
				(int32_t)(next(&seed) % ids);
		else
			f[e] = (float)((int32_t)(next(&seed) & 0xffff) - 0x8000) / 0x8000;
	}
	if (!ret && t.fmt != X1_FMT_INT32)
		ret = sili_exec_set_input(run->exec, i, f, t.elements);
	/* What the device reads, rounded to its format. */
	if (!ret)
		ret = sili_to_f32(t.fmt, sili_exec_input(run->exec, i), f, t.elements);
	for (uint64_t e = 0; e < t.elements && !ret; e++)
		run->in[i][e] = (double)f[e];
	free(f);
	return ret;
}

int model_compile(struct model_run *run, const struct model *model,
		  const struct sili_exec_attr *attr, char *err, size_t err_len)
{
	struct sili_exec_attr a = *attr;
	int ret;

	a.scaling = model->scaling;
	if (!a.act_fmt)
		a.act_fmt = model->values;
	sili_exec_free(run->exec);
	run->exec = NULL;
	ret = sili_exec_new(run->dev, run->graph, &a, &run->exec, err, err_len);
	for (uint32_t i = 0; i < run->num_in && !ret; i++)
		ret = fill_input(run, i, model->ids);
	return ret;
}

int model_open(struct model_run *run, struct sili_device *dev, const struct model *model,
	       const struct model_size *size, const struct sili_exec_attr *attr, char *err,
	       size_t err_len)
{
	struct model_size s = model->size;
	int ret;

	*run = (struct model_run){.dev = dev};
	s.batch = size->batch ? size->batch : s.batch;
	s.layers = size->layers ? size->layers : s.layers;
	s.tokens = size->tokens ? size->tokens : s.tokens;
	run->graph = model->build(&s);
	if (!run->graph)
		return -ENOMEM;
	while (sili_graph_input_at(run->graph, run->num_in))
		run->num_in++;
	run->in = calloc(run->num_in + 1, sizeof(*run->in));
	ret = run->in ? model_compile(run, model, attr, err, err_len) : -ENOMEM;
	if (ret)
		model_close(run);
	return ret;
}

void model_close(struct model_run *run)
{
	for (uint32_t i = 0; run->in && i < run->num_in; i++)
		free(run->in[i]);
	free(run->in);
	sili_exec_free(run->exec);
	sili_graph_free(run->graph);
	*run = (struct model_run){0};
}

/* ---- time ---- */

static int drop_l2(struct sili_device *dev)
{
	struct sili_queue *q;
	union x1_cmd flush;
	int ret = sili_queue_new(dev, NULL, &q);

	if (ret)
		return ret;
	sili_cmd_flush(&flush, X1_FLUSH_L2);
	ret = sili_run(q, &flush, 1);
	sili_queue_free(q);
	return ret;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Cycles that MATRIX needs at its peak for what it multiplied. */
static double peak_cycles(const struct x1_perf *perf, uint32_t mcus)
{
	double cycles = 0;

	for (uint32_t f = 0; f < X1_FMT_COUNT; f++)
		if (perf->macs[f])
			cycles += (double)perf->macs[f] / (32.0 * x1_format_rate(f) * mcus);
	return cycles;
}

int model_measure(struct model_run *run, struct model_result *r)
{
	struct sili_info dev = {.size = sizeof(dev)};
	struct x1_perf perf;
	double begin;
	int ret = sili_get_info(run->dev, &dev);

	*r = (struct model_result){.info.size = sizeof(r->info)};
	if (!ret)
		ret = sili_exec_get_info(run->exec, &r->info);
	/* The first run warms the TLB and the caches of programs. */
	if (!ret)
		ret = sili_exec_run(run->exec);
	if (!ret)
		ret = drop_l2(run->dev);
	if (!ret)
		ret = sili_exec_run_perf(run->exec, &perf);
	if (ret)
		return ret;
	r->cycles = perf.cycles;
	r->energy_mj = (double)perf.energy_package_pj * 1e-9;
	r->utilisation = perf.cycles ? peak_cycles(&perf, dev.mcus_healthy) / (double)perf.cycles
				     : 0;
	begin = seconds();
	ret = sili_exec_run_perf(run->exec, &perf);
	r->host_seconds = seconds() - begin;
	r->warm_cycles = perf.cycles;
	return ret;
}

/* ---- the host ---- */

static double distance_of(const float *got, const double *want, uint64_t n)
{
	double aa = 0, bb = 0, ab = 0;

	for (uint64_t i = 0; i < n; i++) {
		aa += (double)got[i] * (double)got[i];
		bb += want[i] * want[i];
		ab += (double)got[i] * want[i];
	}
	return 1 - ab / sqrt(aa * bb);
}

int model_compare(struct model_run *run, double distance[MODEL_OUTPUTS])
{
	struct sili_tensor_info t[MODEL_OUTPUTS];
	double *want[MODEL_OUTPUTS] = {0};
	float *got = NULL;
	uint32_t num = 0;
	int ret;

	while (sili_graph_output_at(run->graph, num))
		num++;
	ret = num > MODEL_OUTPUTS ? -E2BIG : 0;
	for (uint32_t i = 0; i < num && !ret; i++) {
		t[i].size = sizeof(t[i]);
		ret = sili_graph_tensor(run->graph, sili_graph_output_at(run->graph, i), &t[i]);
		want[i] = ret ? NULL : malloc(t[i].elements * sizeof(double));
		if (!ret && !want[i])
			ret = -ENOMEM;
	}
	if (!ret)
		ret = sili_graph_eval(run->graph, (const double *const *)run->in, want);
	for (uint32_t i = 0; i < num && !ret; i++) {
		got = malloc(t[i].elements * sizeof(*got));
		ret = got ? sili_exec_get_output(run->exec, i, got, t[i].elements) : -ENOMEM;
		if (!ret)
			distance[i] = distance_of(got, want[i], t[i].elements);
		free(got);
	}
	for (uint32_t i = 0; i < MODEL_OUTPUTS; i++)
		free(want[i]);
	return ret ? ret : (int)num;
}
