// SPDX-License-Identifier: MIT
/*
 * Where everything between nodes lies. Inputs and outputs have memory of their
 * own, which the caller sees; all else shares one arena.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "plan.h"

/* Of each tensor that has memory: when it is needed. */
struct life {
	uint32_t first, last;
	uint32_t block; /* index + 1 of its block; 0 = none */
};

static void extend(struct life *l, uint32_t step)
{
	if (step > l->last)
		l->last = step;
}

static void lives(const struct sili_exec *x, struct life *life)
{
	const struct sili_graph *g = x->g;

	for (uint32_t i = 0; i < g->num_nodes; i++) {
		const struct graph_node *node = &g->node[i];

		for (uint32_t j = 0; j < GRAPH_OUTPUTS; j++) {
			uint32_t id = node->out[j];

			if (id && x->t[id].root == id)
				life[id] = (struct life){.first = i, .last = i};
		}
		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++)
			if (node->n.in[j])
				extend(&life[x->t[node->n.in[j]].root], i);
	}
}

static void places(struct sili_exec *x)
{
	struct sili_graph *g = x->g;

	for (uint32_t i = 1; i < g->num_tensors; i++) {
		enum graph_role role = g->tensor[x->t[i].root].role;

		x->t[i].place = role == GRAPH_INPUT    ? PLACE_INPUT
				: role == GRAPH_WEIGHT ? PLACE_WEIGHT
						       : PLACE_ARENA;
	}
	for (uint32_t i = 0; i < g->num_outputs; i++)
		x->t[x->t[g->output[i].tensor].root].place = PLACE_OUTPUT;
	for (uint32_t i = 1; i < g->num_tensors; i++)
		x->t[i].place = x->t[x->t[i].root].place;
}

/* The input whose memory an element-wise node may write its result to; 0: none. */
static uint32_t in_place(const struct sili_exec *x, uint32_t i, const struct life *life)
{
	const struct graph_node *node = &x->g->node[i];
	uint32_t out = node->out[0];
	uint64_t bytes = graph_bytes(&x->g->tensor[out]);

	if (x->attr.flags & SILI_EXEC_NO_INPLACE || x->t[out].place != PLACE_ARENA ||
	    !(graph_op(node->n.op)->flags & GRAPH_IN_PLACE))
		return 0;
	for (uint32_t j = 0; j < 2; j++) {
		uint32_t id = node->n.in[j];

		if (id && x->t[id].place == PLACE_ARENA && life[x->t[id].root].last == i &&
		    graph_bytes(&x->g->tensor[id]) == bytes &&
		    graph_bytes(&x->g->tensor[x->t[id].root]) == bytes)
			return id;
	}
	return 0;
}

/* Tensors to blocks; those that take another's memory go into its block. */
static uint32_t make_blocks(struct sili_exec *x, struct life *life, struct graph_block *blocks)
{
	struct sili_graph *g = x->g;
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->num_nodes; i++) {
		for (uint32_t j = 0; j < GRAPH_OUTPUTS; j++) {
			uint32_t id = g->node[i].out[j], from;
			struct life *l = &life[id];
			uint64_t bytes;

			if (!id || x->t[id].place != PLACE_ARENA || x->t[id].root != id)
				continue;
			bytes = graph_bytes(&g->tensor[id]);
			x->info.naive_peak += bytes;
			from = j ? 0 : in_place(x, i, life);
			if (from) {
				l->block = life[x->t[from].root].block;
				blocks[l->block - 1].last = l->last;
				continue;
			}
			blocks[n++] = (struct graph_block){
				.bytes = bytes, .first = l->first, .last = l->last};
			l->block = n;
		}
	}
	return n;
}

/* What nodes need while they run, behind the blocks of tensors; nodes share it. */
static int make_work(struct sili_exec *x, struct graph_block *blocks, uint32_t *n)
{
	for (uint32_t i = 0; i < x->g->num_nodes; i++) {
		int64_t bytes = x->g->node[i].n.op == SILI_OP_MOE ? exec_moe_work(x, &x->g->node[i])
								  : 0;

		if (bytes < 0)
			return (int)bytes;
		if (!bytes)
			continue;
		x->info.naive_peak += (uint64_t)bytes;
		/* The node's place in the list until it has one in memory. */
		x->node[i].work = *n;
		blocks[(*n)++] =
			(struct graph_block){.bytes = (uint64_t)bytes, .first = i, .last = i};
	}
	return 0;
}

static int plan_arena(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct life *life = calloc(g->num_tensors, sizeof(*life));
	struct graph_block *blocks = calloc(g->num_tensors + g->num_nodes, sizeof(*blocks));
	uint64_t peak = 0;
	uint32_t n;
	int ret = life && blocks ? 0 : -ENOMEM;

	if (!ret) {
		lives(x, life);
		n = make_blocks(x, life, blocks);
		ret = make_work(x, blocks, &n);
	}
	if (!ret)
		ret = graph_plan(blocks, n, EXEC_ALIGN, &peak, &x->info.lower_bound);
	for (uint32_t i = 0; i < g->num_nodes && !ret; i++)
		if (g->node[i].n.op == SILI_OP_MOE)
			x->node[i].work = blocks[x->node[i].work].offset;
	x->info.peak = peak;
	for (uint32_t i = 1; i < g->num_tensors && !ret; i++) {
		uint32_t block = life[x->t[i].root].block;

		if (block)
			x->t[i].offset = blocks[block - 1].offset;
	}
	if (!ret && peak)
		ret = sili_bo_new(x->dev, peak, SILI_HBM, 0, &x->arena);
	free(life);
	free(blocks);
	return ret;
}

static int plan_io(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	uint64_t at = 0;

	x->input_offset = calloc(g->num_inputs + 1, sizeof(*x->input_offset));
	x->output_offset = calloc(g->num_outputs + 1, sizeof(*x->output_offset));
	if (!x->input_offset || !x->output_offset)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->num_inputs; i++) {
		x->input_offset[i] = x->t[g->input[i]].offset = at;
		at += sili_align(graph_bytes(&g->tensor[g->input[i]]), EXEC_ALIGN);
	}
	for (uint32_t i = 0; i < g->num_outputs; i++) {
		uint32_t root = x->t[g->output[i].tensor].root;

		x->output_offset[i] = x->t[root].offset = at;
		at += sili_align(graph_bytes(&g->tensor[root]), EXEC_ALIGN);
	}
	for (uint32_t i = 1; i < g->num_tensors; i++)
		if (x->t[i].place == PLACE_INPUT || x->t[i].place == PLACE_OUTPUT)
			x->t[i].offset = x->t[x->t[i].root].offset;
	x->info.io_bytes = at;
	return sili_bo_new(x->dev, at, SILI_HBM, 0, &x->io);
}

int exec_memory(struct sili_exec *x)
{
	int ret;

	x->node = calloc(x->g->num_nodes + 1, sizeof(*x->node));
	if (!x->node)
		return -ENOMEM;
	places(x);
	ret = plan_arena(x);
	return ret ? ret : plan_io(x);
}

uint64_t exec_dva(const struct sili_exec *x, uint32_t tensor)
{
	const struct exec_tensor *t = &x->t[tensor];
	const struct sili_bo *bo = t->place == PLACE_ARENA ? x->arena : x->io;

	return sili_bo_dva(bo) + t->offset + sili_format_bytes(x->g->tensor[tensor].fmt, t->skip);
}

uint64_t exec_row(const struct sili_exec *x, uint32_t tensor)
{
	const struct graph_tensor *t = &x->g->tensor[tensor];

	return sili_format_bytes(t->fmt, x->t[tensor].row ? x->t[tensor].row : graph_cols(t));
}
