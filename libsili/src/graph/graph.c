// SPDX-License-Identifier: MIT
/* Graphs: tensors and nodes are appended, checked as they come. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

void graph_fail(struct sili_graph *g, int code, const struct graph_node *node, const char *field,
		const char *fmt, ...)
{
	size_t at = 0;
	va_list ap;

	if (g->code)
		return;
	g->code = code;
	if (node)
		at = (size_t)snprintf(g->error, sizeof(g->error), "node '%s' (%s): ", node->name,
				      graph_op(node->n.op) ? graph_op(node->n.op)->name : "?");
	if (field && at < sizeof(g->error))
		at += (size_t)snprintf(g->error + at, sizeof(g->error) - at, "%s: ", field);
	if (at >= sizeof(g->error))
		return;
	va_start(ap, fmt);
	vsnprintf(g->error + at, sizeof(g->error) - at, fmt, ap);
	va_end(ap);
}

bool graph_grow(struct sili_graph *g, void **array, uint32_t n, uint32_t *room, size_t size)
{
	uint32_t bigger = *room ? 2 * *room : 16;
	void *mem;

	if (n < *room)
		return true;
	mem = realloc(*array, bigger * size);
	if (!mem) {
		graph_fail(g, -ENOMEM, NULL, NULL, "out of memory");
		return false;
	}
	*array = mem;
	*room = bigger;
	return true;
}

SILI_EXPORT struct sili_graph *sili_graph_new(void)
{
	struct sili_graph *g = calloc(1, sizeof(*g));

	if (!g || !graph_grow(g, (void **)&g->tensor, 0, &g->tensor_room, sizeof(*g->tensor))) {
		free(g);
		return NULL;
	}
	g->tensor[0] = (struct graph_tensor){0};
	g->num_tensors = 1;
	return g;
}

SILI_EXPORT void sili_graph_free(struct sili_graph *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->num_tensors; i++)
		if (g->tensor[i].owned)
			free(g->tensor[i].data);
	free(g->tensor);
	free(g->node);
	free(g->input);
	free(g->output);
	free(g->image);
	free(g);
}

SILI_EXPORT const char *sili_graph_error(const struct sili_graph *g)
{
	return g->code ? g->error : NULL;
}

/* ---- tensors ---- */

static bool set_name(struct sili_graph *g, char *dst, const char *name, const char *what)
{
	if (strlen(name) >= SILI_NAME_LEN) {
		graph_fail(g, -EINVAL, NULL, NULL, "%s '%.32s...': name is longer than %u bytes",
			   what, name, SILI_NAME_LEN - 1);
		return false;
	}
	strcpy(dst, name);
	return true;
}

static bool shape_ok(struct sili_graph *g, const char *name, enum x1_format fmt, uint32_t rank,
		     const uint32_t *dim)
{
	uint64_t n = 1;

	if (!x1_format_bits(fmt)) {
		graph_fail(g, -EINVAL, NULL, NULL, "tensor '%s': format %u is unknown", name,
			   (unsigned int)fmt);
		return false;
	}
	if (!rank || rank > SILI_MAX_RANK) {
		graph_fail(g, -EINVAL, NULL, NULL, "tensor '%s': rank %u is not in 1..%u", name,
			   rank, SILI_MAX_RANK);
		return false;
	}
	for (uint32_t i = 0; i < rank; i++) {
		if (!dim[i] || dim[i] > INT32_MAX || n > SILI_MAX_ELEMENTS / dim[i]) {
			graph_fail(
				g, -EINVAL, NULL, NULL,
				"tensor '%s': dimension %u is %u; 1..2^31-1, 2^40 elements in all",
				name, i, dim[i]);
			return false;
		}
		n *= dim[i];
	}
	return true;
}

uint32_t graph_new_tensor(struct sili_graph *g, const char *name, enum graph_role role,
			  enum x1_format fmt, uint32_t rank, const uint32_t *dim)
{
	struct graph_tensor t = {.role = role, .fmt = fmt, .rank = rank};

	if (g->code || !set_name(g, t.name, name, "tensor") || !shape_ok(g, name, fmt, rank, dim))
		return 0;
	if (g->num_tensors > SILI_MAX_TENSORS) {
		graph_fail(g, -E2BIG, NULL, NULL, "tensor '%s': more than %u", name,
			   SILI_MAX_TENSORS);
		return 0;
	}
	if (!graph_grow(g, (void **)&g->tensor, g->num_tensors, &g->tensor_room,
			sizeof(*g->tensor)))
		return 0;
	memcpy(t.dim, dim, rank * sizeof(*dim));
	g->tensor[g->num_tensors] = t;
	return g->num_tensors++;
}

SILI_EXPORT uint32_t sili_graph_input(struct sili_graph *g, const char *name, enum x1_format fmt,
				      uint32_t rank, const uint32_t *dim)
{
	uint32_t t;

	if (!graph_grow(g, (void **)&g->input, g->num_inputs, &g->input_room, sizeof(*g->input)))
		return 0;
	t = graph_new_tensor(g, name, GRAPH_INPUT, fmt, rank, dim);
	if (t)
		g->input[g->num_inputs++] = t;
	return t;
}

SILI_EXPORT uint32_t sili_graph_weight(struct sili_graph *g, const char *name, enum x1_format fmt,
				       uint32_t rank, const uint32_t *dim, const void *data)
{
	uint32_t id = graph_new_tensor(g, name, GRAPH_WEIGHT, fmt, rank, dim);
	struct graph_tensor *t = &g->tensor[id];
	size_t bytes;

	if (!id)
		return 0;
	bytes = graph_bytes(t);
	t->data = data ? malloc(bytes) : calloc(1, bytes);
	t->owned = true;
	if (!t->data) {
		graph_fail(g, -ENOMEM, NULL, NULL, "weight '%s': out of memory for %zu bytes", name,
			   bytes);
		return 0;
	}
	if (data)
		memcpy(t->data, data, bytes);
	return id;
}

SILI_EXPORT void *sili_graph_data(struct sili_graph *g, uint32_t weight)
{
	return weight < g->num_tensors ? g->tensor[weight].data : NULL;
}

/* ---- nodes ---- */

SILI_EXPORT uint32_t sili_graph_add(struct sili_graph *g, const struct sili_node *n)
{
	struct graph_tensor out[GRAPH_OUTPUTS] = {0};
	struct graph_node node = {0};
	const struct graph_op *op;

	if (g->code)
		return 0;
	if (n->size != sizeof(*n)) {
		graph_fail(g, -EINVAL, NULL, NULL, "node %u: size: %u is not %zu", g->num_nodes,
			   n->size, sizeof(*n));
		return 0;
	}
	node.n = *n;
	node.n.name = NULL;
	op = graph_op(n->op);
	if (n->name && !set_name(g, node.name, n->name, "node"))
		return 0;
	if (!n->name)
		snprintf(node.name, sizeof(node.name), "%s.%u", op ? op->name : "?", g->num_nodes);
	if (g->num_nodes == SILI_MAX_NODES)
		graph_fail(g, -E2BIG, &node, NULL, "more than %u nodes", SILI_MAX_NODES);
	if (!g->code)
		graph_check_node(g, &node, out);
	if (g->code ||
	    !graph_grow(g, (void **)&g->node, g->num_nodes, &g->node_room, sizeof(*g->node)))
		return 0;
	for (uint32_t i = 0; i < op->outputs; i++) {
		node.out[i] = graph_new_tensor(g, node.name, GRAPH_VALUE, out[i].fmt, out[i].rank,
					       out[i].dim);
		if (!node.out[i])
			return 0;
	}
	g->node[g->num_nodes++] = node;
	return node.out[0];
}

SILI_EXPORT void sili_graph_output(struct sili_graph *g, uint32_t tensor, const char *name,
				   enum x1_format fmt)
{
	struct graph_output o = {.tensor = tensor, .fmt = fmt};

	if (g->code || !set_name(g, o.name, name, "output"))
		return;
	if (!tensor || tensor >= g->num_tensors) {
		graph_fail(g, -EINVAL, NULL, NULL, "output '%s': tensor %u is not in 1..%u", name,
			   tensor, g->num_tensors - 1);
		return;
	}
	if (g->tensor[tensor].role != GRAPH_VALUE) {
		graph_fail(g, -EINVAL, NULL, NULL, "output '%s': tensor '%s' is no node's result",
			   name, g->tensor[tensor].name);
		return;
	}
	if (!x1_format_bits(fmt) || fmt == X1_FMT_E8M0 ||
	    (fmt == X1_FMT_INT32) != (g->tensor[tensor].fmt == X1_FMT_INT32)) {
		graph_fail(g, -EINVAL, NULL, NULL, "output '%s': format: %u does not suit '%s'",
			   name, (unsigned int)fmt, g->tensor[tensor].name);
		return;
	}
	if (graph_grow(g, (void **)&g->output, g->num_outputs, &g->output_room, sizeof(*g->output)))
		g->output[g->num_outputs++] = o;
}

SILI_EXPORT int sili_graph_set_precision(struct sili_graph *g, const char *name, uint32_t precision)
{
	if (precision && !x1_format_bits(precision - 1))
		return -EINVAL;
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		if (strcmp(g->node[i].name, name))
			continue;
		g->node[i].n.precision = precision;
		return 0;
	}
	return -ENOENT;
}

SILI_EXPORT const char *sili_op_name(enum sili_op op)
{
	return graph_op(op) ? graph_op(op)->name : NULL;
}

/* ---- the whole ---- */

SILI_EXPORT int sili_graph_check(struct sili_graph *g)
{
	if (!g->code && !g->num_inputs)
		graph_fail(g, -EINVAL, NULL, NULL, "the graph has no input");
	if (!g->code && !g->num_outputs)
		graph_fail(g, -EINVAL, NULL, NULL, "the graph has no output");
	return g->code;
}

SILI_EXPORT int sili_graph_tensor(const struct sili_graph *g, uint32_t tensor,
				  struct sili_tensor_info *out)
{
	const struct graph_tensor *t;

	if (out->size != sizeof(*out) || !tensor || tensor >= g->num_tensors)
		return -EINVAL;
	t = &g->tensor[tensor];
	*out = (struct sili_tensor_info){
		.size = sizeof(*out),
		.fmt = t->fmt,
		.rank = t->rank,
		.elements = graph_elements(t),
		.bytes = graph_bytes(t),
	};
	memcpy(out->dim, t->dim, sizeof(t->dim));
	memcpy(out->name, t->name, sizeof(t->name));
	return 0;
}

SILI_EXPORT uint32_t sili_graph_input_at(const struct sili_graph *g, uint32_t i)
{
	return i < g->num_inputs ? g->input[i] : 0;
}

SILI_EXPORT uint32_t sili_graph_output_at(const struct sili_graph *g, uint32_t i)
{
	return i < g->num_outputs ? g->output[i].tensor : 0;
}

static void *copy_of(const void *src, size_t bytes)
{
	void *mem = malloc(bytes ? bytes : 1);

	return mem ? memcpy(mem, src, bytes) : NULL;
}

struct sili_graph *graph_clone(const struct sili_graph *g)
{
	struct sili_graph *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = *g;
	c->image = NULL;
	c->tensor_room = c->num_tensors;
	c->node_room = c->num_nodes;
	c->input_room = c->num_inputs;
	c->output_room = c->num_outputs;
	c->tensor = copy_of(g->tensor, g->num_tensors * sizeof(*g->tensor));
	c->node = copy_of(g->node, g->num_nodes * sizeof(*g->node));
	c->input = copy_of(g->input, g->num_inputs * sizeof(*g->input));
	c->output = copy_of(g->output, g->num_outputs * sizeof(*g->output));
	for (uint32_t i = 0; c->tensor && i < c->num_tensors; i++)
		c->tensor[i].owned = false;
	if (!c->tensor)
		c->num_tensors = 0;
	if (!c->tensor || !c->node || !c->input || !c->output) {
		sili_graph_free(c);
		return NULL;
	}
	return c;
}
