/* SPDX-License-Identifier: MIT */
/*
 * Graphs of tensors and operators: built in C or read from a .sili file,
 * compiled for a device, run as often as wanted.
 *
 * A struct sili_graph is the network alone: shapes, operators, weights. It
 * belongs to no device and is not changed by what is made of it. A struct
 * sili_exec is a graph on a device: constants folded, epilogues fused, a format
 * chosen for every tensor, memory planned, commands written.
 *
 * Tensors are dense, the last dimension contiguous. They are named by numbers
 * from 1; 0 is no tensor. Errors of building stick: functions return 0 then,
 * and sili_graph_error() names node, field and limit of the first one.
 */
#ifndef SILI_GRAPH_H
#define SILI_GRAPH_H

#include <stdio.h>

#include <sili.h>
#include <sili_kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SILI_MAX_RANK     6u
#define SILI_NODE_INPUTS  8u
#define SILI_NAME_LEN     64u /* with the final 0 */
#define SILI_MAX_NODES    65536u
#define SILI_MAX_TENSORS  262144u
#define SILI_MAX_ELEMENTS (1ull << 40) /* of a tensor */

struct sili_graph;
struct sili_exec;

/* ---- building --------------------------------------------------------- */

/*
 * Operators. x, y, ... are the node's inputs in order; [] are optional. r is
 * the product of all dimensions but the last.
 */
enum sili_op {
	/*
	 * act(scale * x·Wᵀ + bias + residual): x (..., k), W (n, k), [bias (n)],
	 * [residual like the result], result (..., n). trans_b: W is (k, n). W of
	 * rank 3 and more: a product for each of its leading indices, which x has
	 * too. Fields: act, scale, trans_b.
	 */
	SILI_OP_MATMUL = 1,
	/* vec_op of x, element by element. Field: vec_op (X1_VEC_MOV .. X1_VEC_COS). */
	SILI_OP_UNARY = 2,
	/*
	 * vec_op of x and y; y like x, or one row (c) for all, or like x with a last
	 * dimension of 1, a value for each row. Field: vec_op (X1_VEC_ADD ..
	 * X1_VEC_CMPEQ).
	 */
	SILI_OP_BINARY = 3,
	/* Row reduction over the last dimension, which becomes 1. vec_op (X1_VEC_RSUM .. RAMAX). */
	SILI_OP_REDUCE = 4,
	/* The same values in another format; the compiler puts these in as well. */
	SILI_OP_CONVERT = 5,
	/* The same elements in the shape `rank`, `dim`; costs nothing. */
	SILI_OP_RESHAPE = 6,
	/*
	 * 2-D convolution as MATMUL's: x (n, h, w, c), W (k, r, s, c / groups),
	 * [bias (k)], [residual like the result], result (n, oh, ow, k). Fields:
	 * act, scale, stride, pad, dilation, groups.
	 */
	SILI_OP_CONV = 7,
	/*
	 * Windows of x (n, h, w, c): pool is an enum sili_pool_op. window 0, 0: the
	 * whole image. Fields: pool, window, stride, pad.
	 */
	SILI_OP_POOL = 8,
	/*
	 * softmax(scale * x + mask) along rows, [mask (m, c)]: row i takes mask row
	 * i % m. Field: scale.
	 */
	SILI_OP_SOFTMAX = 9,
	/*
	 * Rows normalised by mean and variance, or with rms by their root mean
	 * square: x, [gamma (c)], [beta (c)]. Fields: rms, eps.
	 */
	SILI_OP_NORM = 10,
	/*
	 * softmax(scale * q·kᵀ + bias) · v by heads: q (b, s, heads * d), k (b, t,
	 * kv_heads * d), v (b, t, kv_heads * e), [bias (s, t)], result (b, s, heads *
	 * e). Query i stands at t - s + i; causal: it sees keys up to there, window_len:
	 * the last so many of them. Fields: heads, kv_heads (0 = heads), causal,
	 * window_len, scale (0 = 1 / sqrt(d)).
	 */
	SILI_OP_ATTENTION = 11,
	/*
	 * Rotary embedding of the first `rotate` (0 = all) elements of each head: x
	 * (b, s, heads * d), cos and sin (s, rotate / 2) FP32 weights. interleaved:
	 * pairs are neighbours, else halves. Fields: heads, rotate, interleaved.
	 */
	SILI_OP_ROPE = 12,
	/* Rows of a table by number: ids (...) INT32, table (n, c), result (..., c). */
	SILI_OP_EMBEDDING = 13,
	/*
	 * length elements from start on of dimension axis. Of the last dimension it
	 * costs nothing where the reader takes rows with gaps. Fields: axis, start,
	 * length.
	 */
	SILI_OP_SLICE = 14,
	/* All inputs side by side along axis. Field: axis. */
	SILI_OP_CONCAT = 15,
	/* Dimension i of the result is dimension perm[i] of x, rank 4 at most. Field: perm. */
	SILI_OP_TRANSPOSE = 16,
	/*
	 * Mixture of experts: each token's rows through the experts that its logits
	 * choose, added up by their weights. x (..., c), logits (..., e), bias (e) of
	 * the choice, gate and up (e, i, c), down (e, c, i): down · (silu(gate · x) *
	 * (up · x)). Choice and weights as sili_route() has them. Fields: top_k,
	 * groups, top_groups, gate, normalise, scale.
	 */
	SILI_OP_MOE = 17,
	SILI_OP_COUNT,
};

/* A format as a precision: 0 is the graph's default. */
#define SILI_PRECISION(fmt) ((uint32_t)(fmt) + 1)

/* Fields that an operator does not list are 0. */
struct sili_node {
	uint32_t size; /* sizeof(struct sili_node) */
	enum sili_op op;
	const char *name; /* at most SILI_NAME_LEN - 1 bytes; NULL: made up */
	uint32_t in[SILI_NODE_INPUTS];
	/* What MATRIX multiplies in, weights included; others: the result's format. */
	uint32_t precision;

	uint32_t act;    /* enum sili_act */
	uint32_t vec_op; /* enum x1_vec_op */
	uint32_t trans_b;
	uint32_t rank, dim[SILI_MAX_RANK];
	float scale; /* 0 = 1 */

	/* of images: height, width; padding top, left, bottom, right */
	uint32_t window[2], stride[2], pad[4], dilation[2]; /* stride, dilation: 0 = 1 */
	uint32_t groups;                                    /* 0 = 1 */
	uint32_t pool;

	uint32_t heads, kv_heads, causal, window_len;
	uint32_t rotate, interleaved;
	uint32_t rms;
	float eps;
	uint32_t axis, start, length;
	uint32_t perm[4];
	uint32_t top_k, top_groups, gate, normalise; /* gate: enum sili_gate */
};

struct sili_graph *sili_graph_new(void);
void sili_graph_free(struct sili_graph *graph);

/* What is wrong with the graph, one line; NULL: nothing. */
const char *sili_graph_error(const struct sili_graph *graph);

/* A tensor that the caller fills before a run. */
uint32_t sili_graph_input(struct sili_graph *graph, const char *name, enum x1_format fmt,
			  uint32_t rank, const uint32_t *dim);
/*
 * A constant, sili_format_bytes() of data. Weights in FP32 are stored on the
 * device in the precision of the node that reads them; with 8 bits and less
 * each row (of n) gets a scale. The data is copied; NULL: zeros, to be filled
 * through sili_graph_data().
 */
uint32_t sili_graph_weight(struct sili_graph *graph, const char *name, enum x1_format fmt,
			   uint32_t rank, const uint32_t *dim, const void *data);
void *sili_graph_data(struct sili_graph *graph, uint32_t weight);
/* An operator: returns its result. */
uint32_t sili_graph_add(struct sili_graph *graph, const struct sili_node *node);
/* The tensor is a result of the graph, in this format. */
void sili_graph_output(struct sili_graph *graph, uint32_t tensor, const char *name,
		       enum x1_format fmt);
/* Another precision (SILI_PRECISION()) for a node. -ENOENT, -EINVAL. */
int sili_graph_set_precision(struct sili_graph *graph, const char *node, uint32_t precision);

/* Names of sili_op, NULL for an unknown one. */
const char *sili_op_name(enum sili_op op);

struct sili_tensor_info {
	uint32_t size; /* in: sizeof(struct sili_tensor_info) */
	enum x1_format fmt;
	uint32_t rank, dim[SILI_MAX_RANK];
	uint64_t elements, bytes;
	char name[SILI_NAME_LEN];
};
/* -EINVAL (no such tensor, size). */
int sili_graph_tensor(const struct sili_graph *graph, uint32_t tensor,
		      struct sili_tensor_info *out);
/* The i-th input or output, 0 when there are fewer. */
uint32_t sili_graph_input_at(const struct sili_graph *graph, uint32_t i);
uint32_t sili_graph_output_at(const struct sili_graph *graph, uint32_t i);
/* Whole graph: 0, or -EINVAL and sili_graph_error(). */
int sili_graph_check(struct sili_graph *graph);

/*
 * The graph on the host, in double precision, each operator as it is defined:
 * what a device's results are compared with. in[i] and out[i] have the values
 * of input and output i. -EINVAL (graph not right), -ENOMEM.
 */
int sili_graph_eval(const struct sili_graph *graph, const double *const *in, double *const *out);

/* ---- files ------------------------------------------------------------- */

/*
 * A .sili file: docs/libsili.md. Errors are one line in err (err_len bytes).
 * -errno of the system, -EINVAL (the graph has an error), -EFBIG.
 */
int sili_graph_save(const struct sili_graph *graph, const char *path, char *err, size_t err_len);
/* The file in memory, to be freed. */
int sili_graph_pack(const struct sili_graph *graph, void **data, size_t *bytes);
/*
 * Everything is checked before anything is used: -EBADMSG (no .sili file,
 * truncated, a checksum that is wrong, a field out of its limits), -ENOTSUP (a
 * newer version), -ENOMEM, -errno of the system.
 */
int sili_graph_load(struct sili_graph **graph, const char *path, char *err, size_t err_len);
int sili_graph_unpack(struct sili_graph **graph, const void *data, size_t bytes, char *err,
		      size_t err_len);

/* ---- on a device -------------------------------------------------------- */

/* Passes that can be left out, to see what each is good for. */
#define SILI_EXEC_NO_FOLD     (1u << 0)
#define SILI_EXEC_NO_FUSE     (1u << 1)
#define SILI_EXEC_NO_INPLACE  (1u << 2)
#define SILI_EXEC_NO_PARALLEL (1u << 3) /* one queue, one node after the other */
#define SILI_EXEC_FLAGS       0xfu

/* How 8-bit operands of products keep their range. */
enum sili_scaling {
	SILI_SCALING_ROWS = 0, /* weights by rows, activations not at all */
	SILI_SCALING_BLOCKS,   /* FP32 scales: weights 128 x 128, activations 1 x 128 */
};

struct sili_exec_attr {
	uint32_t size;      /* sizeof(struct sili_exec_attr) */
	uint32_t precision; /* SILI_PRECISION() of MATRIX, 0 = E4M3 */
	uint32_t act_fmt;   /* SILI_PRECISION() of values between nodes, 0 = BF16 */
	enum sili_prefetch prefetch;
	uint32_t flags; /* SILI_EXEC_* */
	enum sili_scaling scaling;
	uint32_t reserved; /* 0 */
	/*
	 * Weights may take so many bytes of HBM, 0 = what fits. What is beyond
	 * stays in system memory and is copied in ahead of its node.
	 */
	uint64_t weight_limit;
};

/*
 * Compile for a device; attr NULL = defaults. The graph may be freed after it.
 * Errors name node, field and limit, one line in err. -EINVAL, -ENOMEM, -E2BIG,
 * -ENOTSUP (an operator or format that the device has not).
 */
int sili_exec_new(struct sili_device *dev, const struct sili_graph *graph,
		  const struct sili_exec_attr *attr, struct sili_exec **exec, char *err,
		  size_t err_len);
void sili_exec_free(struct sili_exec *exec);

/* Memory of the i-th input or output, in the graph's format; NULL: no such. */
void *sili_exec_input(struct sili_exec *exec, uint32_t i);
void *sili_exec_output(struct sili_exec *exec, uint32_t i);
/* The same through FP32 values, n = elements. -EINVAL (i, n). */
int sili_exec_set_input(struct sili_exec *exec, uint32_t i, const float *src, size_t n);
int sili_exec_get_output(struct sili_exec *exec, uint32_t i, float *dst, size_t n);

/*
 * Run once and wait. -EIO: the device stopped, sili_exec_error() names the
 * node; -ENODEV: it is gone. The exec has to be freed then, others go on.
 */
int sili_exec_run(struct sili_exec *exec);
/* The same, with the counters of the run in *perf; those of copies are not in it. */
int sili_exec_run_perf(struct sili_exec *exec, struct x1_perf *perf);
/* Begin a run; wait for it before the next one and before results are read. */
int sili_exec_submit(struct sili_exec *exec, struct sili_fence **fence);
/* What stopped the last run, NULL: nothing. */
const char *sili_exec_error(struct sili_exec *exec);

struct sili_exec_info {
	uint32_t size; /* in */
	uint32_t nodes, launches, queues;
	uint32_t folded, fused, converts;      /* nodes gone, nodes gone, nodes put in */
	uint64_t macs;                         /* of MATRIX, per run */
	uint64_t weight_bytes, streamed_bytes; /* on the device; of them in system memory */
	/* Memory between nodes: each tensor its own; most that lives at once; as planned. */
	uint64_t naive_peak, lower_bound, peak;
	uint64_t io_bytes;
	uint64_t floor_cycles;    /* weights and inputs through HBM once */
	uint64_t roofline_cycles; /* the larger of that and MATRIX at full rate */
};
int sili_exec_get_info(struct sili_exec *exec, struct sili_exec_info *info);
/* The plan for people: nodes, formats, offsets, peaks. */
void sili_exec_print(struct sili_exec *exec, FILE *to);

/* ---- profile ------------------------------------------------------------- */

/* A node as it ran, alone on the device. */
struct sili_node_profile {
	char name[SILI_NAME_LEN];
	enum sili_op op;
	enum x1_format fmt;
	uint64_t start;    /* cycles from the run's begin, of a run as it is */
	uint64_t roofline; /* cycles: the larger of MATRIX and HBM traffic that cannot be spared */
	uint64_t macs;
	struct x1_perf perf;
};

struct sili_profile {
	uint64_t cycles; /* a whole run, nodes not held apart */
	struct x1_perf perf;
	uint64_t clock_hz;
	uint32_t mcus, hbm_bw;
	uint32_t count;
	struct sili_node_profile *node; /* count, in the order of execution */
};

/*
 * Run twice: as it is, for the whole, and with counters around each node. The
 * same errors as sili_exec_run(), -ENOMEM.
 */
int sili_exec_profile(struct sili_exec *exec, struct sili_profile **profile);
void sili_profile_free(struct sili_profile *profile);
/* A table: cycles, energy, bytes by level, utilisation, the main stall. */
void sili_profile_print(const struct sili_profile *profile, FILE *to);
/* Trace events (JSON) that Chrome and Perfetto open. -errno. */
int sili_profile_trace(const struct sili_profile *profile, const char *path);
/* A gnuplot script that draws the roofline and the nodes as SVG into `svg`. -errno. */
int sili_profile_roofline(const struct sili_profile *profile, const char *path, const char *svg);

#ifdef __cplusplus
}
#endif

#endif /* SILI_GRAPH_H */
