// SPDX-License-Identifier: MIT
/*
 * The operators: names, fields, shapes. What they compute is in eval.c, how the
 * device does it in lower.c.
 */
#include <stddef.h>
#include <string.h>

#include "graph.h"

#define FIELD(id) (1u << GRAPH_F_##id)
#define ENTRY(f, n, fl)                                  \
	{                                                \
#f, offsetof(struct sili_node, f), n, fl \
	}

const struct graph_field graph_fields[GRAPH_FIELDS] = {
	[GRAPH_F_ACT] = ENTRY(act, 1, false),
	[GRAPH_F_VEC_OP] = ENTRY(vec_op, 1, false),
	[GRAPH_F_TRANS_B] = ENTRY(trans_b, 1, false),
	[GRAPH_F_RANK] = ENTRY(rank, 1, false),
	[GRAPH_F_DIM] = ENTRY(dim, SILI_MAX_RANK, false),
	[GRAPH_F_SCALE] = ENTRY(scale, 1, true),
	[GRAPH_F_WINDOW] = ENTRY(window, 2, false),
	[GRAPH_F_STRIDE] = ENTRY(stride, 2, false),
	[GRAPH_F_PAD] = ENTRY(pad, 4, false),
	[GRAPH_F_DILATION] = ENTRY(dilation, 2, false),
	[GRAPH_F_GROUPS] = ENTRY(groups, 1, false),
	[GRAPH_F_POOL] = ENTRY(pool, 1, false),
	[GRAPH_F_HEADS] = ENTRY(heads, 1, false),
	[GRAPH_F_KV_HEADS] = ENTRY(kv_heads, 1, false),
	[GRAPH_F_CAUSAL] = ENTRY(causal, 1, false),
	[GRAPH_F_WINDOW_LEN] = ENTRY(window_len, 1, false),
	[GRAPH_F_ROTATE] = ENTRY(rotate, 1, false),
	[GRAPH_F_INTERLEAVED] = ENTRY(interleaved, 1, false),
	[GRAPH_F_RMS] = ENTRY(rms, 1, false),
	[GRAPH_F_EPS] = ENTRY(eps, 1, true),
	[GRAPH_F_AXIS] = ENTRY(axis, 1, false),
	[GRAPH_F_START] = ENTRY(start, 1, false),
	[GRAPH_F_LENGTH] = ENTRY(length, 1, false),
	[GRAPH_F_PERM] = ENTRY(perm, 4, false),
	[GRAPH_F_TOP_K] = ENTRY(top_k, 1, false),
	[GRAPH_F_TOP_GROUPS] = ENTRY(top_groups, 1, false),
	[GRAPH_F_GATE] = ENTRY(gate, 1, false),
	[GRAPH_F_NORMALISE] = ENTRY(normalise, 1, false),
};

static const char *in_name(uint32_t i)
{
	static const char *const names[SILI_NODE_INPUTS] = {"in[0]", "in[1]", "in[2]", "in[3]",
							    "in[4]", "in[5]", "in[6]", "in[7]"};

	return names[i];
}

/* A field's value has to be in lo..hi. */
static bool in_range(struct sili_graph *g, const struct graph_node *node, enum graph_field_id f,
		     uint32_t value, uint32_t lo, uint32_t hi)
{
	if (value >= lo && value <= hi)
		return true;
	graph_fail(g, -EINVAL, node, graph_fields[f].name, "%u is not in %u..%u", value, lo, hi);
	return false;
}

/* A dimension of an input has to be `want`. */
static bool dim_is(struct sili_graph *g, const struct graph_node *node, uint32_t in, uint32_t d,
		   uint64_t want)
{
	const struct graph_tensor *t = graph_in(g, node, in);

	if (t->dim[d] == want)
		return true;
	graph_fail(g, -EINVAL, node, in_name(in), "dimension %u of '%s' is %u, not %llu", d,
		   t->name, t->dim[d], (unsigned long long)want);
	return false;
}

static bool rank_is(struct sili_graph *g, const struct graph_node *node, uint32_t in, uint32_t lo,
		    uint32_t hi)
{
	const struct graph_tensor *t = graph_in(g, node, in);

	if (t->rank >= lo && t->rank <= hi)
		return true;
	graph_fail(g, -EINVAL, node, in_name(in), "'%s' has rank %u, not %u..%u", t->name, t->rank,
		   lo, hi);
	return false;
}

/* An optional vector of n. */
static bool vector_ok(struct sili_graph *g, const struct graph_node *node, uint32_t in, uint32_t n)
{
	return !graph_in(g, node, in) || (rank_is(g, node, in, 1, 1) && dim_is(g, node, in, 0, n));
}

static bool like(struct sili_graph *g, const struct graph_node *node, uint32_t in,
		 const struct graph_tensor *want)
{
	const struct graph_tensor *t = graph_in(g, node, in);

	if (!t || graph_same_shape(t, want))
		return true;
	graph_fail(g, -EINVAL, node, in_name(in), "'%s' has not the shape of the result", t->name);
	return false;
}

/* Results are numbers unless an operator says otherwise. */
static void result(struct graph_tensor *out, const struct graph_tensor *like)
{
	out->fmt = like->fmt == X1_FMT_INT32 ? X1_FMT_INT32 : X1_FMT_FP32;
	out->rank = like->rank;
	memcpy(out->dim, like->dim, sizeof(out->dim));
}

/* ---- MATMUL ---- */

static void infer_matmul(struct sili_graph *g, const struct graph_node *node,
			 struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0), *w = graph_in(g, node, 1);
	uint32_t n, lead;

	if (!rank_is(g, node, 1, 2, SILI_MAX_RANK) ||
	    !in_range(g, node, GRAPH_F_ACT, node->n.act, SILI_ACT_NONE, SILI_ACT_TANH) ||
	    !in_range(g, node, GRAPH_F_TRANS_B, node->n.trans_b, 0, 1))
		return;
	lead = w->rank - 2;
	n = w->dim[lead + (node->n.trans_b ? 1 : 0)];
	if (!dim_is(g, node, 1, lead + (node->n.trans_b ? 0 : 1), graph_cols(x)))
		return;
	if (graph_cols(x) > X1_MM_MAX_K) {
		graph_fail(g, -EINVAL, node, "k", "%u is more than %u", graph_cols(x), X1_MM_MAX_K);
		return;
	}
	if (lead && !rank_is(g, node, 0, w->rank, w->rank))
		return;
	for (uint32_t i = 0; i < lead; i++)
		if (!dim_is(g, node, 1, i, x->dim[i]))
			return;
	result(out, x);
	out->fmt = X1_FMT_FP32;
	out->dim[out->rank - 1] = n;
	if (vector_ok(g, node, 2, n))
		like(g, node, 3, out);
}

static uint64_t macs_matmul(const struct sili_graph *g, const struct graph_node *node)
{
	const struct graph_tensor *x = graph_in(g, node, 0);

	return graph_elements(x) * graph_cols(&g->tensor[node->out[0]]);
}

/* ---- element-wise ---- */

static void infer_unary(struct sili_graph *g, const struct graph_node *node,
			struct graph_tensor *out)
{
	if (in_range(g, node, GRAPH_F_VEC_OP, node->n.vec_op, X1_VEC_MOV, X1_VEC_COS))
		result(out, graph_in(g, node, 0));
}

static void infer_binary(struct sili_graph *g, const struct graph_node *node,
			 struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0), *y = graph_in(g, node, 1);

	if (!in_range(g, node, GRAPH_F_VEC_OP, node->n.vec_op, X1_VEC_ADD, X1_VEC_CMPEQ))
		return;
	result(out, x);
	if (y->rank == 1) {
		dim_is(g, node, 1, 0, graph_cols(x));
	} else if (y->rank == x->rank && graph_cols(y) == 1) {
		for (uint32_t i = 0; i + 1 < x->rank; i++)
			if (!dim_is(g, node, 1, i, x->dim[i]))
				return;
	} else {
		like(g, node, 1, out);
	}
}

static void infer_reduce(struct sili_graph *g, const struct graph_node *node,
			 struct graph_tensor *out)
{
	if (!in_range(g, node, GRAPH_F_VEC_OP, node->n.vec_op, X1_VEC_RSUM, X1_VEC_RAMAX))
		return;
	result(out, graph_in(g, node, 0));
	out->dim[out->rank - 1] = 1;
}

static void infer_convert(struct sili_graph *g, const struct graph_node *node,
			  struct graph_tensor *out)
{
	result(out, graph_in(g, node, 0));
}

static void infer_reshape(struct sili_graph *g, const struct graph_node *node,
			  struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	uint64_t n = 1;

	if (!in_range(g, node, GRAPH_F_RANK, node->n.rank, 1, SILI_MAX_RANK))
		return;
	result(out, x);
	out->rank = node->n.rank;
	memcpy(out->dim, node->n.dim, sizeof(out->dim));
	for (uint32_t i = 0; i < out->rank; i++) {
		if (!in_range(g, node, GRAPH_F_DIM, out->dim[i], 1, INT32_MAX))
			return;
		n = n > SILI_MAX_ELEMENTS ? n : n * out->dim[i];
	}
	if (n != graph_elements(x))
		graph_fail(g, -EINVAL, node, "dim", "%llu elements, '%s' has %llu",
			   (unsigned long long)n, x->name, (unsigned long long)graph_elements(x));
}

/* ---- images ---- */

/* Places of a window along one side; 0 with an error. */
static uint32_t side(struct sili_graph *g, const struct graph_node *node, uint32_t axis,
		     uint32_t size, uint32_t window)
{
	const struct sili_node *n = &node->n;
	uint64_t stride = n->stride[axis] ? n->stride[axis] : 1;
	uint64_t dilation = n->dilation[axis] ? n->dilation[axis] : 1;
	uint64_t reach = (window - 1) * dilation + 1;
	uint64_t padded = (uint64_t)size + n->pad[axis] + n->pad[axis + 2];

	if (!in_range(g, node, GRAPH_F_STRIDE, n->stride[axis], 0, UINT16_MAX) ||
	    !in_range(g, node, GRAPH_F_DILATION, n->dilation[axis], 0, UINT16_MAX) ||
	    !in_range(g, node, GRAPH_F_PAD, n->pad[axis], 0, UINT16_MAX) ||
	    !in_range(g, node, GRAPH_F_PAD, n->pad[axis + 2], 0, UINT16_MAX))
		return 0;
	if (reach > padded) {
		graph_fail(g, -EINVAL, node, axis ? "width" : "height",
			   "the window reaches over %llu of %llu pixels, padding included",
			   (unsigned long long)reach, (unsigned long long)padded);
		return 0;
	}
	return (uint32_t)((padded - reach) / stride + 1);
}

static bool image_result(struct sili_graph *g, const struct graph_node *node,
			 struct graph_tensor *out, uint32_t r, uint32_t s, uint32_t channels)
{
	const struct graph_tensor *x = graph_in(g, node, 0);

	result(out, x);
	out->fmt = X1_FMT_FP32;
	out->dim[1] = side(g, node, 0, x->dim[1], r);
	out->dim[2] = g->code ? 0 : side(g, node, 1, x->dim[2], s);
	out->dim[3] = channels;
	return !g->code;
}

static void infer_conv(struct sili_graph *g, const struct graph_node *node,
		       struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0), *w = graph_in(g, node, 1);
	uint32_t groups = node->n.groups ? node->n.groups : 1;

	if (!rank_is(g, node, 0, 4, 4) || !rank_is(g, node, 1, 4, 4) ||
	    !in_range(g, node, GRAPH_F_ACT, node->n.act, SILI_ACT_NONE, SILI_ACT_TANH))
		return;
	if (x->dim[3] % groups || w->dim[0] % groups) {
		graph_fail(g, -EINVAL, node, "groups", "%u does not divide %u channels, %u filters",
			   groups, x->dim[3], w->dim[0]);
		return;
	}
	if (dim_is(g, node, 1, 3, x->dim[3] / groups) &&
	    image_result(g, node, out, w->dim[1], w->dim[2], w->dim[0]) &&
	    vector_ok(g, node, 2, w->dim[0]))
		like(g, node, 3, out);
}

static uint64_t macs_conv(const struct sili_graph *g, const struct graph_node *node)
{
	const struct graph_tensor *w = graph_in(g, node, 1);

	return graph_elements(&g->tensor[node->out[0]]) * (graph_elements(w) / w->dim[0]);
}

static void infer_pool(struct sili_graph *g, const struct graph_node *node,
		       struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	const uint32_t *window = node->n.window;

	if (!rank_is(g, node, 0, 4, 4) ||
	    !in_range(g, node, GRAPH_F_POOL, node->n.pool, SILI_POOL_MAX, SILI_POOL_AVG_PAD) ||
	    !in_range(g, node, GRAPH_F_WINDOW, window[0], !!window[1], INT32_MAX) ||
	    !in_range(g, node, GRAPH_F_WINDOW, window[1], !!window[0], INT32_MAX))
		return;
	for (uint32_t i = 0; i < 4; i++)
		if (!in_range(g, node, GRAPH_F_PAD, node->n.pad[i], 0,
			      window[0] ? window[i % 2] - 1 : 0))
			return;
	image_result(g, node, out, window[0] ? window[0] : x->dim[1],
		     window[1] ? window[1] : x->dim[2], x->dim[3]);
}

/* ---- rows ---- */

static void infer_softmax(struct sili_graph *g, const struct graph_node *node,
			  struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0), *mask = graph_in(g, node, 1);

	result(out, x);
	out->fmt = X1_FMT_FP32;
	if (!mask || !rank_is(g, node, 1, 2, 2) || !dim_is(g, node, 1, 1, graph_cols(x)))
		return;
	if (graph_rows(x) % mask->dim[0])
		graph_fail(g, -EINVAL, node, in_name(1), "%u rows do not divide those of '%s'",
			   mask->dim[0], x->name);
}

static void infer_norm(struct sili_graph *g, const struct graph_node *node,
		       struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);

	result(out, x);
	out->fmt = X1_FMT_FP32;
	if (node->n.eps < 0)
		graph_fail(g, -EINVAL, node, "eps", "%g is below 0", (double)node->n.eps);
	else if (in_range(g, node, GRAPH_F_RMS, node->n.rms, 0, 1) &&
		 vector_ok(g, node, 1, graph_cols(x)))
		vector_ok(g, node, 2, graph_cols(x));
}

/* Heads divide the columns of an input. */
static bool heads_ok(struct sili_graph *g, const struct graph_node *node, uint32_t in,
		     uint32_t heads)
{
	const struct graph_tensor *t = graph_in(g, node, in);

	if (!rank_is(g, node, in, 3, 3))
		return false;
	if (heads && graph_cols(t) % heads == 0)
		return true;
	graph_fail(g, -EINVAL, node, "heads", "%u do not divide the %u columns of '%s'", heads,
		   graph_cols(t), t->name);
	return false;
}

static void infer_attention(struct sili_graph *g, const struct graph_node *node,
			    struct graph_tensor *out)
{
	const struct graph_tensor *q = graph_in(g, node, 0), *k = graph_in(g, node, 1);
	const struct graph_tensor *v = graph_in(g, node, 2);
	uint32_t heads = node->n.heads, kv = node->n.kv_heads ? node->n.kv_heads : heads;

	if (!heads_ok(g, node, 0, heads) || !heads_ok(g, node, 1, kv) ||
	    !heads_ok(g, node, 2, kv) || !in_range(g, node, GRAPH_F_CAUSAL, node->n.causal, 0, 1) ||
	    !in_range(g, node, GRAPH_F_WINDOW_LEN, node->n.window_len, 0,
		      node->n.causal ? INT32_MAX : 0) ||
	    !dim_is(g, node, 1, 0, q->dim[0]) || !dim_is(g, node, 2, 0, q->dim[0]) ||
	    !dim_is(g, node, 2, 1, k->dim[1]) ||
	    !dim_is(g, node, 1, 2, (uint64_t)graph_cols(q) / heads * kv))
		return;
	if (heads % kv) {
		graph_fail(g, -EINVAL, node, "kv_heads", "%u do not divide %u heads", kv, heads);
		return;
	}
	if (node->n.causal && k->dim[1] < q->dim[1]) {
		graph_fail(g, -EINVAL, node, "causal", "%u keys are fewer than %u queries",
			   k->dim[1], q->dim[1]);
		return;
	}
	result(out, q);
	out->fmt = X1_FMT_FP32;
	out->dim[2] = graph_cols(v) / kv * heads;
	if (graph_in(g, node, 3) && rank_is(g, node, 3, 2, 2) && dim_is(g, node, 3, 0, q->dim[1]))
		dim_is(g, node, 3, 1, k->dim[1]);
}

/* Both products, over all keys. */
static uint64_t macs_attention(const struct sili_graph *g, const struct graph_node *node)
{
	const struct graph_tensor *q = graph_in(g, node, 0), *k = graph_in(g, node, 1);

	return (graph_elements(q) + graph_elements(&g->tensor[node->out[0]])) * k->dim[1];
}

static void infer_rope(struct sili_graph *g, const struct graph_node *node,
		       struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	uint32_t dim, rotate;

	if (!heads_ok(g, node, 0, node->n.heads) ||
	    !in_range(g, node, GRAPH_F_INTERLEAVED, node->n.interleaved, 0, 1))
		return;
	dim = graph_cols(x) / node->n.heads;
	rotate = node->n.rotate ? node->n.rotate : dim;
	if (!in_range(g, node, GRAPH_F_ROTATE, rotate, 2, dim))
		return;
	if (rotate % 2) {
		graph_fail(g, -EINVAL, node, "rotate", "%u is odd", rotate);
		return;
	}
	for (uint32_t i = 1; i < 3; i++) {
		const struct graph_tensor *t = graph_in(g, node, i);

		if (t->role != GRAPH_WEIGHT || t->fmt != X1_FMT_FP32) {
			graph_fail(g, -EINVAL, node, in_name(i), "'%s' is no FP32 weight", t->name);
			return;
		}
		if (!rank_is(g, node, i, 2, 2) || !dim_is(g, node, i, 0, x->dim[1]) ||
		    !dim_is(g, node, i, 1, rotate / 2))
			return;
	}
	result(out, x);
	out->fmt = X1_FMT_FP32;
}

static void infer_embedding(struct sili_graph *g, const struct graph_node *node,
			    struct graph_tensor *out)
{
	const struct graph_tensor *ids = graph_in(g, node, 0), *table = graph_in(g, node, 1);

	if (ids->fmt != X1_FMT_INT32) {
		graph_fail(g, -EINVAL, node, in_name(0), "'%s' is not INT32", ids->name);
		return;
	}
	if (!rank_is(g, node, 1, 2, 2) || !rank_is(g, node, 0, 1, SILI_MAX_RANK - 1))
		return;
	result(out, ids);
	out->fmt = X1_FMT_FP32;
	out->dim[out->rank++] = graph_cols(table);
}

/* ---- experts ---- */

/* A weight (e, rows, cols). */
static bool experts_ok(struct sili_graph *g, const struct graph_node *node, uint32_t in, uint32_t e,
		       uint32_t rows, uint32_t cols)
{
	return rank_is(g, node, in, 3, 3) && dim_is(g, node, in, 0, e) &&
	       dim_is(g, node, in, 1, rows) && dim_is(g, node, in, 2, cols);
}

static void infer_moe(struct sili_graph *g, const struct graph_node *node, struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0), *logits = graph_in(g, node, 1);
	const struct sili_node *n = &node->n;
	uint32_t e = graph_cols(logits), c = graph_cols(x), groups = n->groups ? n->groups : 1;
	uint32_t inner;

	if (!rank_is(g, node, 1, x->rank, x->rank) || !rank_is(g, node, 3, 3, 3))
		return;
	for (uint32_t i = 0; i + 1 < x->rank; i++)
		if (!dim_is(g, node, 1, i, x->dim[i]))
			return;
	inner = graph_in(g, node, 3)->dim[1];
	if (!vector_ok(g, node, 2, e) || !experts_ok(g, node, 3, e, inner, c) ||
	    !experts_ok(g, node, 4, e, inner, c) || !experts_ok(g, node, 5, e, c, inner) ||
	    !in_range(g, node, GRAPH_F_TOP_K, n->top_k, 1, e < 64 ? e : 64) ||
	    !in_range(g, node, GRAPH_F_GATE, n->gate, SILI_GATE_SOFTMAX, SILI_GATE_SIGMOID) ||
	    !in_range(g, node, GRAPH_F_NORMALISE, n->normalise, 0, 1) ||
	    !in_range(g, node, GRAPH_F_GROUPS, groups, 1, e) ||
	    !in_range(g, node, GRAPH_F_TOP_GROUPS, n->top_groups, 0, groups))
		return;
	if (e % groups || n->top_k > e / groups * (n->top_groups ? n->top_groups : groups)) {
		graph_fail(g, -EINVAL, node, "groups", "%u of %u experts, too few for top_k %u",
			   groups, e, n->top_k);
		return;
	}
	for (uint32_t i = 2; i < 6; i++) {
		if (graph_in(g, node, i)->role != GRAPH_WEIGHT) {
			graph_fail(g, -EINVAL, node, in_name(i), "'%s' is no weight",
				   graph_in(g, node, i)->name);
			return;
		}
	}
	result(out, x);
	out->fmt = X1_FMT_FP32;
}

static uint64_t macs_moe(const struct sili_graph *g, const struct graph_node *node)
{
	const struct graph_tensor *gate = graph_in(g, node, 3);

	return graph_elements(graph_in(g, node, 0)) * node->n.top_k * gate->dim[1] * 3;
}

/* ---- moving ---- */

static void infer_slice(struct sili_graph *g, const struct graph_node *node,
			struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	const struct sili_node *n = &node->n;

	if (!in_range(g, node, GRAPH_F_AXIS, n->axis, 0, x->rank - 1) ||
	    !in_range(g, node, GRAPH_F_START, n->start, 0, x->dim[n->axis] - 1) ||
	    !in_range(g, node, GRAPH_F_LENGTH, n->length, 1, x->dim[n->axis] - n->start))
		return;
	result(out, x);
	out->dim[n->axis] = n->length;
}

static void infer_concat(struct sili_graph *g, const struct graph_node *node,
			 struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	uint32_t axis = node->n.axis;
	uint64_t sum = 0;

	if (!in_range(g, node, GRAPH_F_AXIS, axis, 0, x->rank - 1))
		return;
	result(out, x);
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		const struct graph_tensor *t = graph_in(g, node, i);

		if (!t)
			continue;
		if (!rank_is(g, node, i, x->rank, x->rank))
			return;
		for (uint32_t d = 0; d < x->rank; d++)
			if (d != axis && !dim_is(g, node, i, d, x->dim[d]))
				return;
		if ((t->fmt == X1_FMT_INT32) != (x->fmt == X1_FMT_INT32)) {
			graph_fail(g, -EINVAL, node, in_name(i),
				   "'%s' and '%s': indices or numbers", t->name, x->name);
			return;
		}
		sum += t->dim[axis];
	}
	out->dim[axis] = sum > INT32_MAX ? 0 : (uint32_t)sum;
}

static void infer_transpose(struct sili_graph *g, const struct graph_node *node,
			    struct graph_tensor *out)
{
	const struct graph_tensor *x = graph_in(g, node, 0);
	uint32_t seen = 0;

	if (!rank_is(g, node, 0, 1, 4))
		return;
	result(out, x);
	for (uint32_t i = 0; i < x->rank; i++) {
		if (!in_range(g, node, GRAPH_F_PERM, node->n.perm[i], 0, x->rank - 1))
			return;
		seen |= 1u << node->n.perm[i];
		out->dim[i] = x->dim[node->n.perm[i]];
	}
	if (seen != (1u << x->rank) - 1)
		graph_fail(g, -EINVAL, node, "perm", "names a dimension twice");
}

/* ---- the table ---- */

#define IMAGE (FIELD(STRIDE) | FIELD(PAD))

static const struct graph_op ops[SILI_OP_COUNT] = {
	[SILI_OP_MATMUL] = {"matmul", 2, 4, 1, GRAPH_EPILOGUE | GRAPH_ROWS,
			    FIELD(ACT) | FIELD(TRANS_B) | FIELD(SCALE), infer_matmul, macs_matmul},
	[SILI_OP_UNARY] = {"unary", 1, 1, 1, GRAPH_IN_PLACE | GRAPH_ROWS, FIELD(VEC_OP),
			   infer_unary, NULL},
	[SILI_OP_BINARY] = {"binary", 2, 2, 1, GRAPH_IN_PLACE | GRAPH_ROWS, FIELD(VEC_OP),
			    infer_binary, NULL},
	[SILI_OP_REDUCE] = {"reduce", 1, 1, 1, 0, FIELD(VEC_OP), infer_reduce, NULL},
	[SILI_OP_CONVERT] = {"convert", 1, 1, 1, GRAPH_IN_PLACE | GRAPH_ROWS, 0, infer_convert,
			     NULL},
	[SILI_OP_RESHAPE] = {"reshape", 1, 1, 1, 0, FIELD(RANK) | FIELD(DIM), infer_reshape, NULL},
	[SILI_OP_CONV] = {"conv", 2, 4, 1, GRAPH_EPILOGUE,
			  IMAGE | FIELD(ACT) | FIELD(SCALE) | FIELD(DILATION) | FIELD(GROUPS),
			  infer_conv, macs_conv},
	[SILI_OP_POOL] = {"pool", 1, 1, 1, 0, IMAGE | FIELD(WINDOW) | FIELD(POOL), infer_pool,
			  NULL},
	[SILI_OP_SOFTMAX] = {"softmax", 1, 2, 1, 0, FIELD(SCALE), infer_softmax, NULL},
	[SILI_OP_NORM] = {"norm", 1, 3, 1, GRAPH_ROWS, FIELD(RMS) | FIELD(EPS), infer_norm, NULL},
	[SILI_OP_ATTENTION] = {"attention", 3, 4, 1, GRAPH_ROWS,
			       FIELD(HEADS) | FIELD(KV_HEADS) | FIELD(CAUSAL) | FIELD(WINDOW_LEN) |
				       FIELD(SCALE),
			       infer_attention, macs_attention},
	[SILI_OP_ROPE] = {"rope", 3, 3, 1, GRAPH_ROWS,
			  FIELD(HEADS) | FIELD(ROTATE) | FIELD(INTERLEAVED), infer_rope, NULL},
	[SILI_OP_EMBEDDING] = {"embedding", 2, 2, 1, 0, 0, infer_embedding, NULL},
	[SILI_OP_SLICE] = {"slice", 1, 1, 1, 0, FIELD(AXIS) | FIELD(START) | FIELD(LENGTH),
			   infer_slice, NULL},
	[SILI_OP_CONCAT] = {"concat", 1, SILI_NODE_INPUTS, 1, 0, FIELD(AXIS), infer_concat, NULL},
	[SILI_OP_MOE] = {"moe", 6, 6, 1, 0,
			 FIELD(TOP_K) | FIELD(GROUPS) | FIELD(TOP_GROUPS) | FIELD(GATE) |
				 FIELD(NORMALISE) | FIELD(SCALE),
			 infer_moe, macs_moe},
	[SILI_OP_TRANSPOSE] = {"transpose", 1, 1, 1, 0, FIELD(PERM), infer_transpose, NULL},
};

const struct graph_op *graph_op(enum sili_op op)
{
	return (unsigned int)op < SILI_OP_COUNT && ops[op].name ? &ops[op] : NULL;
}

static bool inputs_ok(struct sili_graph *g, const struct graph_node *node,
		      const struct graph_op *op)
{
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		uint32_t id = node->n.in[i];

		if (id >= g->num_tensors) {
			graph_fail(g, -EINVAL, node, in_name(i), "tensor %u is not in 1..%u", id,
				   g->num_tensors - 1);
			return false;
		}
		if (!id && i < op->min_in) {
			graph_fail(g, -EINVAL, node, in_name(i), "missing, %u inputs at least",
				   op->min_in);
			return false;
		}
		if (id && i >= op->max_in) {
			graph_fail(g, -EINVAL, node, in_name(i), "one too many, %u inputs at most",
				   op->max_in);
			return false;
		}
	}
	return true;
}

static bool fields_ok(struct sili_graph *g, const struct graph_node *node,
		      const struct graph_op *op)
{
	for (uint32_t f = 0; f < GRAPH_FIELDS; f++) {
		const struct graph_field *field = &graph_fields[f];
		uint32_t v[SILI_MAX_RANK];
		float x;

		memcpy(v, (const char *)&node->n + field->offset, field->count * sizeof(*v));
		memcpy(&x, v, sizeof(x));
		if (field->is_float && !(x - x == 0.0f)) {
			graph_fail(g, -EINVAL, node, field->name, "not a finite number");
			return false;
		}
		for (uint32_t i = 0; i < field->count; i++) {
			if (v[i] && !(op->fields >> f & 1)) {
				graph_fail(g, -EINVAL, node, field->name, "%s has no such field",
					   op->name);
				return false;
			}
		}
	}
	return true;
}

void graph_check_node(struct sili_graph *g, const struct graph_node *node,
		      struct graph_tensor out[GRAPH_OUTPUTS])
{
	const struct graph_op *op = graph_op(node->n.op);

	if (!op) {
		graph_fail(g, -EINVAL, node, "op", "%u is unknown", (unsigned int)node->n.op);
		return;
	}
	if (node->n.precision > X1_FMT_COUNT ||
	    (node->n.precision && node->n.precision == SILI_PRECISION(X1_FMT_E8M0))) {
		graph_fail(g, -EINVAL, node, "precision", "%u is no format's", node->n.precision);
		return;
	}
	if (inputs_ok(g, node, op) && fields_ok(g, node, op))
		op->infer(g, node, out);
}
