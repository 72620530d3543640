/* SPDX-License-Identifier: MIT */
/* What the files of the graph layer share. */
#ifndef SILI_GRAPH_INT_H
#define SILI_GRAPH_INT_H

#include <string.h>

#include "../sili_int.h"
#include "sili_graph.h"

#define GRAPH_OUTPUTS   2u /* of a node */
#define GRAPH_ERROR_LEN 256u

enum graph_role {
	GRAPH_INPUT = 0,
	GRAPH_WEIGHT = 1,
	GRAPH_VALUE = 2, /* a node's result */
};

struct graph_tensor {
	char name[SILI_NAME_LEN];
	enum graph_role role;
	enum x1_format fmt;
	enum x1_scale_mode mode; /* on a device: scales of its blocks lie behind it */
	uint32_t rank, dim[SILI_MAX_RANK];
	void *data; /* of a weight */
	bool owned; /* data is freed with the graph */
};

struct graph_node {
	struct sili_node n; /* its name is NULL */
	char name[SILI_NAME_LEN];
	uint32_t out[GRAPH_OUTPUTS];
};

struct graph_output {
	char name[SILI_NAME_LEN];
	uint32_t tensor;
	enum x1_format fmt;
};

struct sili_graph {
	struct graph_tensor *tensor; /* [0] is no tensor */
	uint32_t num_tensors, tensor_room;
	struct graph_node *node; /* in an order in which they can run */
	uint32_t num_nodes, node_room;
	uint32_t *input;
	uint32_t num_inputs, input_room;
	struct graph_output *output;
	uint32_t num_outputs, output_room;
	void *image; /* a file that weights lie in */
	char error[GRAPH_ERROR_LEN];
	int code; /* of the first error */
};

static inline uint64_t graph_elements(const struct graph_tensor *t)
{
	uint64_t n = 1;

	for (uint32_t i = 0; i < t->rank; i++)
		n *= t->dim[i];
	return n;
}

/* Length of a row, and how many there are. */
static inline uint32_t graph_cols(const struct graph_tensor *t)
{
	return t->dim[t->rank - 1];
}

static inline uint64_t graph_rows(const struct graph_tensor *t)
{
	return graph_elements(t) / graph_cols(t);
}

/* Where the scales of blocks begin. */
static inline uint64_t graph_scales_at(const struct graph_tensor *t)
{
	return sili_align(sili_format_bytes(t->fmt, graph_elements(t)), 64);
}

static inline uint64_t graph_bytes(const struct graph_tensor *t)
{
	if (!t->mode)
		return sili_format_bytes(t->fmt, graph_elements(t));
	return graph_scales_at(t) + graph_rows(t) * sili_scale_row_bytes(t->mode, graph_cols(t));
}

static inline bool graph_same_shape(const struct graph_tensor *a, const struct graph_tensor *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0]));
}

/* ---- graph.c ---- */

/* The first error stays. node NULL: of the graph; field NULL: of the node. */
void graph_fail(struct sili_graph *g, int code, const struct graph_node *node, const char *field,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Room for one more element of an array; -ENOMEM sticks. */
bool graph_grow(struct sili_graph *g, void **array, uint32_t n, uint32_t *room, size_t size);
/* A tensor: checked, appended; 0 with an error. */
uint32_t graph_new_tensor(struct sili_graph *g, const char *name, enum graph_role role,
			  enum x1_format fmt, uint32_t rank, const uint32_t *dim);
/* A graph of its own with the same nodes; weights stay the first one's. */
struct sili_graph *graph_clone(const struct sili_graph *g);

/* ---- ops.c: the operators ---- */

/* A field of struct sili_node. */
struct graph_field {
	const char *name;
	uint16_t offset;
	uint8_t count;
	bool is_float;
};

enum graph_field_id {
	GRAPH_F_ACT,
	GRAPH_F_VEC_OP,
	GRAPH_F_TRANS_B,
	GRAPH_F_RANK,
	GRAPH_F_DIM,
	GRAPH_F_SCALE,
	GRAPH_F_WINDOW,
	GRAPH_F_STRIDE,
	GRAPH_F_PAD,
	GRAPH_F_DILATION,
	GRAPH_F_GROUPS,
	GRAPH_F_POOL,
	GRAPH_F_HEADS,
	GRAPH_F_KV_HEADS,
	GRAPH_F_CAUSAL,
	GRAPH_F_WINDOW_LEN,
	GRAPH_F_ROTATE,
	GRAPH_F_INTERLEAVED,
	GRAPH_F_RMS,
	GRAPH_F_EPS,
	GRAPH_F_AXIS,
	GRAPH_F_START,
	GRAPH_F_LENGTH,
	GRAPH_F_PERM,
	GRAPH_F_TOP_K,
	GRAPH_F_TOP_GROUPS,
	GRAPH_F_GATE,
	GRAPH_F_NORMALISE,
	GRAPH_FIELDS,
};

extern const struct graph_field graph_fields[GRAPH_FIELDS];

#define GRAPH_IN_PLACE (1u << 0) /* element by element: the result may replace in[0] or in[1] */
#define GRAPH_ROWS     (1u << 1) /* takes rows with gaps between them */
#define GRAPH_EPILOGUE (1u << 2) /* in[2] is a bias, in[3] a residual, act applies */

struct graph_op {
	const char *name;
	uint8_t min_in, max_in, outputs;
	uint8_t flags;   /* GRAPH_* below */
	uint32_t fields; /* bits of graph_fields */
	/* Shapes of results from inputs and fields; errors go to the graph. */
	void (*infer)(struct sili_graph *g, const struct graph_node *node,
		      struct graph_tensor *out);
	/* Multiplications of MATRIX; NULL: none. */
	uint64_t (*macs)(const struct sili_graph *g, const struct graph_node *node);
};

/* NULL for an unknown one. */
const struct graph_op *graph_op(enum sili_op op);
/* Everything about a node but its results' names. */
void graph_check_node(struct sili_graph *g, const struct graph_node *node,
		      struct graph_tensor out[GRAPH_OUTPUTS]);

static inline const struct graph_tensor *graph_in(const struct sili_graph *g,
						  const struct graph_node *node, uint32_t i)
{
	return node->n.in[i] ? &g->tensor[node->n.in[i]] : NULL;
}

/* ---- eval.c ---- */

/* Results of a node whose inputs are weights alone, to be freed. -ENOMEM. */
int graph_eval_constant(const struct sili_graph *g, const struct graph_node *node,
			double *out[GRAPH_OUTPUTS]);

#endif /* SILI_GRAPH_INT_H */
