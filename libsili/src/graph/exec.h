/* SPDX-License-Identifier: MIT */
/* A graph on a device: what the passes, the lowering and the executor share. */
#ifndef SILI_GRAPH_EXEC_H
#define SILI_GRAPH_EXEC_H

#include "graph.h"

#define EXEC_ALIGN 256u /* of tensors in memory */

enum exec_place {
	PLACE_NONE = 0,
	PLACE_WEIGHT,
	PLACE_ARENA,
	PLACE_INPUT,
	PLACE_OUTPUT,
};

/* Beside each tensor of the graph. */
struct exec_tensor {
	uint32_t root; /* whose memory it is: its own number, or what it is a view of */
	uint64_t skip; /* of a view: elements of the root before it */
	uint64_t row;  /* elements from row to row; 0 = dense */
	enum exec_place place;
	uint64_t offset;  /* in its place */
	uint32_t weights; /* index + 1 of the first of its copies on the device */
};

/* A weight as nodes read it from the device. */
struct exec_weight {
	uint32_t tensor;
	enum x1_format fmt;
	enum x1_scale_mode mode; /* blocks of a row */
	bool row_scales;         /* one per row */
	bool gathered;           /* some rows are read, by number */
	bool transpose;          /* rows of the device's are columns of the tensor's */
	uint64_t rows, cols;     /* as the device has them */
	uint64_t bytes, offset;  /* in the buffer of weights, of streamed ones in system memory */
	uint64_t scale_bytes;    /* behind the values */
	uint32_t next;           /* index + 1 of the tensor's next one */
	uint32_t first_node, uses;
	bool streamed;
	uint64_t dva, scale_dva;
};

struct exec_node {
	uint32_t weight[SILI_NODE_INPUTS]; /* index + 1; 0 = no weight */
	uint32_t first_cmd, num_cmds;      /* in cmds */
	uint64_t cycles;                   /* what the cost model expects, 0 = unknown */
	uint64_t macs, roofline;
	uint64_t work;        /* offset of its workspace in the arena */
	uint64_t weights_end; /* of its resident weights, in the buffer of weights */
};

struct sili_exec {
	struct sili_device *dev;
	struct sili_exec_attr attr; /* defaults resolved */
	enum x1_format precision, act_fmt;
	struct sili_graph *g; /* its own: passes change it */
	struct exec_tensor *t;
	uint32_t num_roots; /* tensors that t covers */
	struct exec_node *node;
	struct exec_weight *weight;
	uint32_t num_weights, weight_room;
	struct sili_bo *weights, *arena, *io, *host;
	uint64_t *output_offset, *input_offset; /* in io */
	uint64_t window_offset, window_bytes;   /* of streamed weights: two, in weights */
	uint64_t stream_end; /* of the weights that nodes read as a whole, in weights */

	union x1_cmd *cmds; /* of all nodes in order, without synchronisation */
	uint32_t num_cmds, cmd_room;
	uint64_t ahead_at; /* weights up to here are, or are being, fetched into L2 */

	struct sili_queue *queue, *copy_queue; /* copies of streamed weights */
	struct sili_bo *sync;                  /* words that the queues wait for */
	struct sili_bo *perf;                  /* sili_exec_run_perf()'s record */
	uint64_t runs;
	struct sili_exec_info info;
	char error[GRAPH_ERROR_LEN];
};

static inline struct graph_tensor *exec_tensor(const struct sili_exec *x, uint32_t id)
{
	return &x->g->tensor[id];
}

/* Where a tensor is; weights have an address per node: exec_weight. */
uint64_t exec_dva(const struct sili_exec *x, uint32_t tensor);
/* Bytes from one of its rows to the next. */
uint64_t exec_row(const struct sili_exec *x, uint32_t tensor);

/*
 * pass.c: constants, epilogues, rows without gaps where they have to be,
 * formats. -errno with the graph's error set.
 */
int exec_passes(struct sili_exec *x);
/* What MATRIX multiplies in for this node, of its activations. */
/* Blocks of its activations. */
enum x1_scale_mode exec_block_mode(const struct sili_exec *x, const struct graph_node *node);
enum x1_format exec_attention_fmt(const struct sili_exec *x, const struct graph_node *node);
enum x1_format exec_matrix_fmt(const struct sili_exec *x, const struct graph_node *node);

/* weights.c: which there are, where they lie, upload. */
int exec_weights(struct sili_exec *x);

/* memory.c: places and offsets of everything between nodes. */
int exec_memory(struct sili_exec *x);

/* moe.c: bytes of a mixture's workspace, -errno; its commands. */
int64_t exec_moe_work(const struct sili_exec *x, const struct graph_node *node);
int exec_moe(struct sili_exec *x, uint32_t node, union x1_cmd *cmds, uint32_t max);

/* lower.c: the commands of all nodes. */
int exec_lower(struct sili_exec *x);

/* exec.c, for profile.c */
#define EXEC_PERF_STRIDE 1024u
_Static_assert(sizeof(struct x1_perf) <= EXEC_PERF_STRIDE, "a record per node");
uint32_t exec_put_copies(struct sili_exec *x, uint32_t node, union x1_cmd *cmds);
/* Keeps ret, and what there is to say of it for sili_exec_error(). */
int exec_explain(struct sili_exec *x, int ret);

#endif /* SILI_GRAPH_EXEC_H */
