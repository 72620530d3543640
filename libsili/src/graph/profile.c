// SPDX-License-Identifier: MIT
/*
 * Where a graph's time goes: counters around each node, a table, trace events,
 * a roofline.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "exec.h"

static const char *const stall_names[X1_STALL_COUNT] = {"semaphore", "L2",     "HBM",   "PCIe",
							"TLB",       "switch", "queue", "empty"};
static const char *const engine_names[X1_ENGINE_COUNT] = {"sequencer", "LOAD", "MATRIX", "VECTOR",
							  "STORE"};

/* ---- measuring ---- */

/* One run in one submission with a record per node; its copies are not overlapped. */
static int measure_nodes(struct sili_exec *x, struct sili_bo *records)
{
	uint32_t n = x->g->num_nodes;
	union x1_cmd *cmds = malloc(sizeof(*cmds) * (x->num_cmds + 3ull * n * SILI_NODE_INPUTS));
	uint32_t at = 0, done = 0;
	int ret = cmds ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && !ret; i++) {
		const struct exec_node *node = &x->node[i];

		sili_cmd_perf_begin(&cmds[at++]);
		at += exec_put_copies(x, i, cmds + at);
		memcpy(cmds + at, x->cmds + node->first_cmd, node->num_cmds * sizeof(*cmds));
		at += node->num_cmds;
		sili_cmd_perf_end(&cmds[at++], sili_bo_dva(records) + i * EXEC_PERF_STRIDE);
		if (at - done > SILI_MAX_BATCH / 2 || i + 1 == n) {
			ret = sili_run(x->queue, cmds + done, at - done);
			done = at;
		}
	}
	free(cmds);
	return ret;
}

static void fill_node(struct sili_exec *x, struct sili_profile *p, uint32_t i,
		      const uint8_t *records)
{
	struct sili_node_profile *n = &p->node[i];
	const struct graph_node *node = &x->g->node[i];

	memcpy(n->name, node->name, sizeof(n->name));
	n->op = node->n.op;
	n->fmt = exec_tensor(x, node->out[0])->fmt;
	n->macs = x->node[i].macs;
	n->roofline = x->node[i].roofline;
	memcpy(&n->perf, records + (size_t)i * EXEC_PERF_STRIDE, sizeof(n->perf));
	n->start = i ? p->node[i - 1].start + p->node[i - 1].perf.cycles : 0;
}

SILI_EXPORT int sili_exec_profile(struct sili_exec *x, struct sili_profile **out)
{
	struct sili_profile *p = calloc(1, sizeof(*p));
	struct sili_bo *records = NULL;
	const uint8_t *data;
	int ret;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	p->clock_hz = x->dev->info.clock_hz;
	p->mcus = x->dev->info.mcus_healthy;
	p->hbm_bw = x->dev->info.hbm_bw;
	p->count = x->g->num_nodes;
	p->node = calloc(p->count + 1, sizeof(*p->node));
	ret = p->node ? sili_bo_new(x->dev, (p->count + 1ull) * EXEC_PERF_STRIDE, SILI_HBM, 0,
				    &records)
		      : -ENOMEM;
	if (!ret)
		ret = sili_exec_run_perf(x, &p->perf);
	if (!ret)
		ret = measure_nodes(x, records);
	data = ret ? NULL : sili_bo_map(records);
	if (!ret && !data)
		ret = -ENOMEM;
	for (uint32_t i = 0; i < p->count && !ret; i++)
		fill_node(x, p, i, data);
	p->cycles = p->perf.cycles;
	if (records)
		sili_bo_free(records);
	if (ret) {
		sili_profile_free(p);
		return exec_explain(x, ret);
	}
	*out = p;
	return 0;
}

SILI_EXPORT void sili_profile_free(struct sili_profile *p)
{
	if (!p)
		return;
	free(p->node);
	free(p);
}

/* ---- for people ---- */

/* The stall that took most cycles, waiting for work not counted. */
static void main_stall(const struct x1_perf *perf, const char **engine, const char **why,
		       uint64_t *cycles)
{
	*engine = *why = "-";
	*cycles = 0;
	for (uint32_t e = X1_ENGINE_LOAD; e < X1_ENGINE_COUNT; e++) {
		for (uint32_t s = 0; s < X1_STALL_EMPTY; s++) {
			if (perf->stall[e][s] <= *cycles)
				continue;
			*cycles = perf->stall[e][s];
			*engine = engine_names[e];
			*why = stall_names[s];
		}
	}
}

/* Of MATRIX's time on all MCUs. */
static double utilisation(const struct sili_profile *p, const struct x1_perf *perf)
{
	double all = (double)perf->cycles * p->mcus;

	return all > 0 ? (double)perf->busy[X1_ENGINE_MATRIX] / all : 0;
}

static void print_row(const struct sili_profile *p, const char *name, const char *op,
		      uint64_t roofline, const struct x1_perf *perf, FILE *to)
{
	const char *engine, *why;
	uint64_t stalled;

	main_stall(perf, &engine, &why, &stalled);
	fprintf(to, "%-30.30s %-10s %9llu %9llu %6.1f %9.2f %9.1f %9.1f %9.1f %9.1f  %s %s %.0f\n",
		name, op, (unsigned long long)perf->cycles, (unsigned long long)roofline,
		100 * utilisation(p, perf), (double)perf->energy_package_pj * 1e-6,
		(double)(perf->bytes_load + perf->bytes_store) / 1024,
		(double)perf->bytes_l2 / 1024,
		(double)(perf->bytes_hbm_read + perf->bytes_hbm_write) / 1024,
		(double)(perf->bytes_pcie_read + perf->bytes_pcie_write) / 1024, engine, why,
		(double)stalled / p->mcus);
}

SILI_EXPORT void sili_profile_print(const struct sili_profile *p, FILE *to)
{
	uint64_t roofline = 0;

	fprintf(to, "%-30s %-10s %9s %9s %6s %9s %9s %9s %9s %9s  %s\n", "node", "op", "cycles",
		"roofline", "MAC %", "uJ", "port KiB", "L2 KiB", "HBM KiB", "PCIe KiB",
		"main stall, cycles of an MCU");
	for (uint32_t i = 0; i < p->count; i++) {
		print_row(p, p->node[i].name, sili_op_name(p->node[i].op), p->node[i].roofline,
			  &p->node[i].perf, to);
		roofline += p->node[i].roofline;
	}
	print_row(p, "the whole, nodes not held apart", "", roofline, &p->perf, to);
}

/* ---- trace events ---- */

static double microseconds(const struct sili_profile *p, uint64_t cycles)
{
	return (double)cycles * 1e6 / (double)p->clock_hz;
}

static json_t *node_event(const struct sili_profile *p, const struct sili_node_profile *n)
{
	const char *engine, *why;
	uint64_t stalled;
	char stall[48];

	main_stall(&n->perf, &engine, &why, &stalled);
	snprintf(stall, sizeof(stall), "%s %s", engine, why);
	return json_pack(
		"{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:{s:I, s:I, s:s, s:f, s:I, s:I, s:I, s:s}}",
		"name", n->name, "cat", sili_op_name(n->op), "ph", "X", "pid", 1, "tid", 1, "ts",
		microseconds(p, n->start), "dur", microseconds(p, n->perf.cycles), "args", "cycles",
		(json_int_t)n->perf.cycles, "roofline", (json_int_t)n->roofline, "format",
		sili_format_name(n->fmt), "utilisation", utilisation(p, &n->perf), "hbm_bytes",
		(json_int_t)(n->perf.bytes_hbm_read + n->perf.bytes_hbm_write), "l2_bytes",
		(json_int_t)n->perf.bytes_l2, "energy_pj", (json_int_t)n->perf.energy_package_pj,
		"stall", stall);
}

static json_t *counter_event(const struct sili_profile *p, const struct sili_node_profile *n)
{
	double cycles = n->perf.cycles ? (double)n->perf.cycles : 1;

	return json_pack(
		"{s:s, s:s, s:i, s:f, s:{s:f, s:f}}", "name", "use", "ph", "C", "pid", 1, "ts",
		microseconds(p, n->start), "args", "MATRIX", utilisation(p, &n->perf), "HBM",
		(double)(n->perf.bytes_hbm_read + n->perf.bytes_hbm_write) / cycles / p->hbm_bw);
}

SILI_EXPORT int sili_profile_trace(const struct sili_profile *p, const char *path)
{
	json_t *events = json_array();
	json_t *root = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ns");
	FILE *f;
	int ret = root ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < p->count && !ret; i++)
		if (json_array_append_new(events, node_event(p, &p->node[i])) ||
		    json_array_append_new(events, counter_event(p, &p->node[i])))
			ret = -ENOMEM;
	f = ret ? NULL : fopen(path, "w");
	if (!ret && !f)
		ret = -errno;
	if (!ret && json_dumpf(root, f, JSON_INDENT(1)))
		ret = -EIO;
	if (f && fclose(f) && !ret)
		ret = -errno;
	json_decref(root);
	return ret;
}

/* ---- roofline ---- */

SILI_EXPORT int sili_profile_roofline(const struct sili_profile *p, const char *path,
				      const char *svg)
{
	static const enum x1_format formats[] = {X1_FMT_E2M1, X1_FMT_E4M3, X1_FMT_FP16};
	double ghz = (double)p->clock_hz * 1e-9;
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fprintf(f,
		"set terminal svg size 900,600 background 'white'\nset output '%s'\n"
		"set title 'Nodes against the roofline'\nset logscale xy\n"
		"set xlabel 'operations per byte of HBM'\nset ylabel 'TOPS'\n"
		"set key outside right\nmin(a, b) = a < b ? a : b\nplot [1:100000] ",
		svg);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		fprintf(f, "min(x * %g, %g) title '%s', ", p->hbm_bw * ghz * 1e-3,
			2.0 * p->mcus * 32 * x1_format_rate(formats[i]) * ghz * 1e-3,
			sili_format_name(formats[i]));
	fprintf(f, "'-' using 1:2:3 with labels point pt 7 offset 0,0.6 font ',7' title 'nodes'\n");
	for (uint32_t i = 0; i < p->count; i++) {
		const struct sili_node_profile *n = &p->node[i];
		double bytes = (double)(n->perf.bytes_hbm_read + n->perf.bytes_hbm_write);

		if (n->macs && n->perf.cycles)
			fprintf(f, "%g %g \"%s\"\n",
				2.0 * (double)n->macs / (bytes < 1 ? 1 : bytes),
				2.0 * (double)n->macs / (double)n->perf.cycles * ghz * 1e-3,
				n->name);
	}
	fprintf(f, "e\n");
	if (ferror(f)) {
		fclose(f);
		return -EIO;
	}
	return fclose(f) ? -errno : 0;
}
