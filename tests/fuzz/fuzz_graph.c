// SPDX-License-Identifier: MIT
/*
 * Graphs from any bytes: as a file; by the functions that build; as a file of
 * what was built with some bytes changed and the checksums right again. What
 * is taken comes back from a file the same, goes through the passes, and can be
 * computed on the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "graph/exec.h"
#include "graph/file.h"
#include "graph/plan.h"
#include "rv/x1_sha256.h"

#define MAX_NODES 24u
#define MAX_WORK  (1u << 16) /* elements and multiplications that are worth computing */

static uint32_t tensor_of(struct fz_in *in, const struct sili_graph *g)
{
	uint8_t v = fz_u8(in);

	/* Most of them exist. */
	return v < 8 ? v * 1000u : v % g->num_tensors;
}

static void shape_of(struct fz_in *in, uint32_t *rank, uint32_t dim[SILI_MAX_RANK])
{
	*rank = fz_below(in, SILI_MAX_RANK + 2);
	for (uint32_t i = 0; i < SILI_MAX_RANK; i++)
		dim[i] = fz_u8(in) < 250 ? 1 + fz_below(in, 8) : (uint32_t)fz_number(in);
}

static void add_node(struct fz_in *in, struct sili_graph *g)
{
	struct sili_node n = {.size = sizeof(n)};
	const struct graph_op *op;

	n.op = (enum sili_op)fz_below(in, SILI_OP_COUNT + 1);
	op = graph_op(n.op);
	for (uint32_t i = 0; op && i < op->max_in; i++)
		if (i < op->min_in || fz_u8(in) & 1)
			n.in[i] = tensor_of(in, g);
	if (fz_u8(in) < 64)
		n.precision = fz_below(in, X1_FMT_COUNT + 2);
	for (uint32_t f = 0; op && f < GRAPH_FIELDS; f++) {
		uint32_t *v = (uint32_t *)((char *)&n + graph_fields[f].offset);

		for (uint32_t i = 0; op->fields >> f & 1 && i < graph_fields[f].count; i++)
			v[i] = fz_u8(in) < 250 ? fz_below(in, 24) : (uint32_t)fz_number(in);
	}
	sili_graph_add(g, &n);
}

static struct sili_graph *build(struct fz_in *in)
{
	struct sili_graph *g = sili_graph_new();
	uint32_t rank, dim[SILI_MAX_RANK];

	FZ_CHECK(g, "no memory");
	for (uint32_t i = 0; i < MAX_NODES && in->n && !sili_graph_error(g); i++) {
		switch (fz_below(in, 6)) {
		case 0:
			shape_of(in, &rank, dim);
			sili_graph_input(g, "in", (enum x1_format)fz_below(in, X1_FMT_COUNT + 1),
					 rank, dim);
			break;
		case 1:
			shape_of(in, &rank, dim);
			if (rank && dim[0] < 9 && dim[1] < 9 && dim[2] < 9 && dim[3] < 9)
				sili_graph_weight(g, "weight",
						  (enum x1_format)fz_below(in, X1_FMT_COUNT),
						  rank < 4 ? rank : 4, dim, NULL);
			break;
		case 2:
			sili_graph_output(g, tensor_of(in, g), "out",
					  (enum x1_format)fz_below(in, X1_FMT_COUNT + 1));
			break;
		default:
			add_node(in, g);
			break;
		}
	}
	return g;
}

/* ---- what is done with a graph ---- */

static bool is_small(const struct sili_graph *g)
{
	uint64_t work = 0;

	for (uint32_t i = 1; i < g->num_tensors; i++)
		if (graph_elements(&g->tensor[i]) > MAX_WORK)
			return false;
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		const struct graph_op *op = graph_op(g->node[i].n.op);

		work += graph_elements(&g->tensor[g->node[i].out[0]]);
		work += op->macs ? op->macs(g, &g->node[i]) : 0;
	}
	return work <= MAX_WORK;
}

static void compute(const struct sili_graph *g)
{
	double *in[MAX_NODES], *out[MAX_NODES];

	if (g->num_inputs > MAX_NODES || g->num_outputs > MAX_NODES)
		return;
	for (uint32_t i = 0; i < g->num_inputs; i++)
		in[i] = calloc(graph_elements(&g->tensor[g->input[i]]), sizeof(double));
	for (uint32_t i = 0; i < g->num_outputs; i++)
		out[i] = calloc(graph_elements(&g->tensor[g->output[i].tensor]), sizeof(double));
	FZ_CHECK(!sili_graph_eval(g, (const double *const *)in, out), "a right graph");
	for (uint32_t i = 0; i < g->num_inputs; i++)
		free(in[i]);
	for (uint32_t i = 0; i < g->num_outputs; i++)
		free(out[i]);
}

static void passes(const struct sili_graph *g)
{
	struct sili_exec x = {.precision = X1_FMT_E4M3, .act_fmt = X1_FMT_BF16};

	x.g = graph_clone(g);
	FZ_CHECK(x.g, "no memory");
	FZ_CHECK(!exec_passes(&x) && !x.g->code, "%s", x.g->error);
	sili_graph_free(x.g);
	free(x.t);
}

static void *packed(const struct sili_graph *g, size_t *bytes)
{
	void *data;

	FZ_CHECK(!sili_graph_pack(g, &data, bytes), "a right graph");
	return data;
}

static void use(const struct sili_graph *g)
{
	struct sili_graph *back;
	size_t bytes, more;
	void *data = packed(g, &bytes), *again;
	char err[256] = "";

	FZ_CHECK(!sili_graph_unpack(&back, data, bytes, err, sizeof(err)), "%s", err);
	again = packed(back, &more);
	FZ_CHECK(bytes == more && !memcmp(data, again, bytes), "another file");
	free(data);
	free(again);
	sili_graph_free(back);
	if (is_small(g)) {
		compute(g);
		passes(g);
	}
}

/* ---- files ---- */

static void digest(const void *data, size_t bytes, uint8_t *to)
{
	struct x1_sha256 sha;

	x1_sha256_init(&sha);
	x1_sha256_update(&sha, data, bytes);
	x1_sha256_final(&sha, to);
}

/* Checksums as they should be, where the sections are in the file. */
static void seal(uint8_t *file, size_t bytes)
{
	struct file_head head;

	memcpy(&head, file, sizeof(head));
	for (uint32_t i = 0; i < FILE_SECTIONS; i++)
		if (head.s[i].offset <= bytes && head.s[i].bytes <= bytes - head.s[i].offset)
			digest(file + head.s[i].offset, head.s[i].bytes, head.s[i].digest);
	memset(head.h.digest, 0, sizeof(head.h.digest));
	digest(&head, sizeof(head), head.h.digest);
	memcpy(file, &head, sizeof(head));
}

static void load(const void *data, size_t bytes)
{
	struct sili_graph *g;
	char err[256] = "";
	int ret = sili_graph_unpack(&g, data, bytes, err, sizeof(err));

	FZ_CHECK(!ret == !!g && !ret == !err[0] && !strchr(err, '\n'), "%d: %s", ret, err);
	if (g)
		use(g);
	sili_graph_free(g);
}

static void changed(struct fz_in *in, const struct sili_graph *g)
{
	size_t bytes;
	uint8_t *file = packed(g, &bytes);

	for (uint32_t i = 0; i < 4 && in->n; i++) {
		size_t at = fz_u16(in) % bytes;

		file[at] = fz_u8(in);
	}
	seal(file, bytes);
	load(file, bytes);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fz_in in = {data, size};
	struct sili_graph *g;
	uint8_t mode;

	if (!size)
		return -1;
	mode = fz_u8(&in);
	if (mode == 0) {
		load(in.p, in.n);
		return 0;
	}
	g = build(&in);
	if (sili_graph_check(g))
		FZ_CHECK(sili_graph_error(g), "no word");
	else if (mode & 1)
		changed(&in, g);
	else
		use(g);
	sili_graph_free(g);
	return 0;
}
