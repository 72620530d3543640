// SPDX-License-Identifier: MIT
/* Nodes to commands: each operator's request to the kernel that does it. */
#include <stdlib.h>
#include <string.h>

#include "../kernels/emit.h"
#include "exec.h"

#define NODE_CMDS   64u          /* most commands of a node */
#define AHEAD_BYTES (4ull << 20) /* of weights that are fetched into L2 before they are needed */
#define AHEAD_SHARE 4u           /* and at most one part in so many of L2 */

/* What a lowering function works on. */
struct lower {
	struct sili_exec *x;
	const struct graph_node *node;
	struct exec_node *en;
	union x1_cmd *cmds;
	uint32_t max;
};

static const struct graph_tensor *in_of(const struct lower *l, uint32_t i)
{
	return graph_in(l->x->g, l->node, i);
}

static const struct graph_tensor *out_of(const struct lower *l)
{
	return &l->x->g->tensor[l->node->out[0]];
}

static const struct exec_weight *weight_of(const struct lower *l, uint32_t i)
{
	return l->en->weight[i] ? &l->x->weight[l->en->weight[i] - 1] : NULL;
}

/* Address and format of an input as the node reads it; 0 = absent. */
static uint64_t in_dva(const struct lower *l, uint32_t i)
{
	const struct exec_weight *w = weight_of(l, i);

	if (!l->node->n.in[i])
		return 0;
	return w ? w->dva : exec_dva(l->x, l->node->n.in[i]);
}

static enum x1_format in_fmt(const struct lower *l, uint32_t i)
{
	const struct exec_weight *w = weight_of(l, i);

	if (!l->node->n.in[i])
		return X1_FMT_FP32;
	return w ? w->fmt : in_of(l, i)->fmt;
}

/* Bytes from row to row of an input. */
static uint64_t in_row(const struct lower *l, uint32_t i)
{
	const struct exec_weight *w = weight_of(l, i);

	return w ? sili_format_bytes(w->fmt, w->cols) : exec_row(l->x, l->node->n.in[i]);
}

static uint64_t out_dva(const struct lower *l)
{
	return exec_dva(l->x, l->node->out[0]);
}

/* ---- weights ahead ---- */

/* Weights behind those of this node that are not on their way to L2 yet. */
static uint64_t ahead(struct lower *l, uint64_t *bytes)
{
	struct sili_exec *x = l->x;
	uint64_t reach = sili_min64(AHEAD_BYTES, x->dev->info.l2_bytes / AHEAD_SHARE), from, to;

	*bytes = 0;
	if (x->attr.prefetch != SILI_PREFETCH_GRAPH)
		return 0;
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		const struct exec_weight *w = weight_of(l, i);
		uint64_t end;

		if (!w || w->streamed || w->gathered)
			continue;
		end = w->offset + w->bytes + w->scale_bytes;
		if (end > x->ahead_at)
			x->ahead_at = end;
		if (end > l->en->weights_end)
			l->en->weights_end = end;
	}
	from = x->ahead_at;
	to = sili_min64(l->en->weights_end + reach, x->stream_end);
	if (!l->en->weights_end || to <= from)
		return 0;
	x->ahead_at = to;
	*bytes = to - from;
	return sili_bo_dva(x->weights) + from;
}

/* ---- operators ---- */

static int lower_matmul(struct lower *l)
{
	const struct graph_tensor *a = in_of(l, 0), *b = in_of(l, 1), *c = out_of(l);
	const struct exec_weight *w = weight_of(l, 1);
	uint32_t k = graph_cols(a), n = graph_cols(c);
	uint64_t batch = graph_elements(b) / ((uint64_t)n * k), m = graph_rows(a) / batch;
	struct sili_gemm_plan plan;
	struct sili_gemm g = {
		.size = sizeof(g),
		.m = (uint32_t)m,
		.n = n,
		.k = k,
		.a_fmt = in_fmt(l, 0),
		.b_fmt = in_fmt(l, 1),
		.c_fmt = c->fmt,
		.b_trans = !w && l->node->n.trans_b,
		.a = in_dva(l, 0),
		.b = in_dva(l, 1),
		.c = out_dva(l),
		.bias = in_dva(l, 2),
		.residual = in_dva(l, 3),
		.residual_fmt = in_fmt(l, 3),
		.a_stride = in_row(l, 0),
		.b_stride = in_row(l, 1),
		.residual_stride = l->node->n.in[3] ? in_row(l, 3) : 0,
		.act = (enum sili_act)l->node->n.act,
		.scale = l->node->n.scale,
		.prefetch = l->x->attr.prefetch,
		.batch = (uint32_t)batch,
	};
	int ret;

	if (m > INT32_MAX || batch > INT32_MAX)
		return -E2BIG;
	if (batch > 1) {
		g.a_batch = g.a_stride * m;
		g.b_batch = g.b_stride * (g.b_trans ? k : n);
		g.c_batch = sili_format_bytes(g.c_fmt, m * n);
		g.residual_batch = g.residual_stride * m;
	}
	if (w && w->row_scales) {
		g.col_scale = w->scale_dva;
		g.col_scale_batch = n * 4ull;
	} else if (w && w->mode) {
		g.b_scale_mode = w->mode;
		g.b_scales = w->scale_dva;
		g.b_scale_batch = sili_scale_row_bytes(w->mode, k) * sili_scale_rows(w->mode, n);
	}
	if (a->mode) {
		g.a_scale_mode = a->mode;
		g.a_scales = g.a + graph_scales_at(a);
		g.a_scale_batch = sili_scale_row_bytes(a->mode, k) * m;
	}
	g.ahead[0].dva = ahead(l, &g.ahead[0].bytes);
	ret = sili_gemm(l->x->dev, &g, l->cmds, l->max, &plan);
	if (ret > 0) {
		l->en->cycles = plan.cycles;
		l->en->roofline = plan.roofline;
	}
	return ret;
}

static int lower_conv(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0), *f = in_of(l, 1), *y = out_of(l);
	const struct exec_weight *w = weight_of(l, 1);
	const struct sili_node *n = &l->node->n;
	struct sili_conv_plan plan;
	struct sili_conv c = {
		.size = sizeof(c),
		.n = x->dim[0],
		.h = x->dim[1],
		.w = x->dim[2],
		.c = x->dim[3],
		.k = f->dim[0],
		.r = f->dim[1],
		.s = f->dim[2],
		.stride_h = n->stride[0],
		.stride_w = n->stride[1],
		.dil_h = n->dilation[0],
		.dil_w = n->dilation[1],
		.pad_top = n->pad[0],
		.pad_left = n->pad[1],
		.pad_bottom = n->pad[2],
		.pad_right = n->pad[3],
		.groups = n->groups,
		.x_fmt = in_fmt(l, 0),
		.w_fmt = in_fmt(l, 1),
		.y_fmt = y->fmt,
		.x = in_dva(l, 0),
		.weights = in_dva(l, 1),
		.y = out_dva(l),
		.bias = in_dva(l, 2),
		.col_scale = w && w->row_scales ? w->scale_dva : 0,
		.residual = in_dva(l, 3),
		.residual_fmt = in_fmt(l, 3),
		.act = (enum sili_act)n->act,
		.scale = n->scale,
		.prefetch = l->x->attr.prefetch,
	};
	int ret;

	c.ahead[0].dva = ahead(l, &c.ahead[0].bytes);
	ret = sili_conv(l->x->dev, &c, l->cmds, l->max, &plan);
	if (ret > 0) {
		l->en->cycles = plan.cycles;
		l->en->roofline = plan.roofline;
	}
	return ret;
}

static int lower_pool(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0);
	const struct sili_node *n = &l->node->n;
	struct sili_pool p = {
		.size = sizeof(p),
		.op = (enum sili_pool_op)n->pool,
		.n = x->dim[0],
		.h = x->dim[1],
		.w = x->dim[2],
		.c = x->dim[3],
		.r = n->window[0],
		.s = n->window[1],
		.stride_h = n->stride[0],
		.stride_w = n->stride[1],
		.pad_top = n->pad[0],
		.pad_left = n->pad[1],
		.pad_bottom = n->pad[2],
		.pad_right = n->pad[3],
		.x_fmt = in_fmt(l, 0),
		.y_fmt = out_of(l)->fmt,
		.x = in_dva(l, 0),
		.y = out_dva(l),
	};

	return sili_pool(l->x->dev, &p, l->cmds, l->max);
}

/* An input as rows and columns. */
static struct sili_tensor rows_of(const struct lower *l, uint32_t i)
{
	return (struct sili_tensor){
		.fmt = in_fmt(l, i), .dva = in_dva(l, i), .stride = {1, (int64_t)in_row(l, i)}};
}

/* Element by element over rows and columns; b may be one row or one column. */
static int map(struct lower *l, enum x1_vec_op op)
{
	const struct graph_tensor *x = in_of(l, 0), *y = in_of(l, 1), *d = out_of(l);
	struct sili_map m = {
		.size = sizeof(m),
		.op = op,
		.dim = {graph_cols(x), (uint32_t)graph_rows(x), 1, 1},
		.dst = {.fmt = d->fmt,
			.dva = out_dva(l),
			.stride = {1, (int64_t)sili_format_bytes(d->fmt, graph_cols(d))}},
		.a = rows_of(l, 0),
		.prefetch = l->x->attr.prefetch,
	};

	if (graph_rows(x) > INT32_MAX)
		return -E2BIG;
	if (y) {
		m.b = rows_of(l, 1);
		if (y->rank == 1)
			m.b.stride[1] = 0;
		else if (graph_cols(y) < graph_cols(x))
			m.b.stride[0] = 0;
	}
	return sili_map(l->x->dev, &m, l->cmds, l->max);
}

static int lower_unary(struct lower *l)
{
	return map(l, (enum x1_vec_op)l->node->n.vec_op);
}

/* Rows in blocks, their scales behind them. */
static int quantise(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0), *y = out_of(l);
	struct sili_quant q = {
		.size = sizeof(q),
		.mode = y->mode,
		.rows = (uint32_t)graph_rows(x),
		.k = graph_cols(x),
		.plain_fmt = in_fmt(l, 0),
		.coded_fmt = y->fmt,
		.plain = in_dva(l, 0),
		.coded = out_dva(l),
		.scales = out_dva(l) + graph_scales_at(y),
		.plain_stride = in_row(l, 0),
		.prefetch = l->x->attr.prefetch,
	};

	return graph_rows(x) > INT32_MAX ? -E2BIG : sili_quant(l->x->dev, &q, l->cmds, l->max);
}

static int lower_convert(struct lower *l)
{
	if (out_of(l)->mode)
		return quantise(l);
	return map(l, X1_VEC_MOV);
}

static int lower_reduce(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0);
	struct sili_eltwise e = {
		.size = sizeof(e),
		.op = (enum x1_vec_op)l->node->n.vec_op,
		.rows = (uint32_t)graph_rows(x),
		.cols = graph_cols(x),
		.dst_fmt = out_of(l)->fmt,
		.a_fmt = in_fmt(l, 0),
		.dst = out_dva(l),
		.a = in_dva(l, 0),
	};

	if (graph_rows(x) > UINT32_MAX)
		return -E2BIG;
	return sili_eltwise(l->x->dev, &e, l->cmds, l->max);
}

/* ---- rows ---- */

static int lower_softmax(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0), *mask = in_of(l, 1);
	struct sili_softmax s = {
		.size = sizeof(s),
		.rows = (uint32_t)graph_rows(x),
		.cols = graph_cols(x),
		.scale = l->node->n.scale,
		.src_fmt = in_fmt(l, 0),
		.dst_fmt = out_of(l)->fmt,
		.mask_fmt = in_fmt(l, 1),
		.src = in_dva(l, 0),
		.dst = out_dva(l),
		.mask = in_dva(l, 1),
		.mask_rows = mask ? mask->dim[0] : 0,
		.prefetch = l->x->attr.prefetch,
	};

	return graph_rows(x) > INT32_MAX ? -E2BIG : sili_softmax(l->x->dev, &s, l->cmds, l->max);
}

static int lower_norm(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0);
	struct sili_norm n = {
		.size = sizeof(n),
		.kind = l->node->n.rms ? SILI_NORM_RMS : SILI_NORM_LAYER,
		.rows = (uint32_t)graph_rows(x),
		.cols = graph_cols(x),
		.eps = l->node->n.eps,
		.src_fmt = in_fmt(l, 0),
		.dst_fmt = out_of(l)->fmt,
		.param_fmt = in_fmt(l, 1),
		.src = in_dva(l, 0),
		.dst = out_dva(l),
		.gamma = in_dva(l, 1),
		.beta = in_dva(l, 2),
		.src_stride = in_row(l, 0),
		.dst_scale_mode = out_of(l)->mode,
		.dst_scales = out_of(l)->mode ? out_dva(l) + graph_scales_at(out_of(l)) : 0,
		.prefetch = l->x->attr.prefetch,
	};

	if (l->node->out[1]) {
		n.copy = exec_dva(l->x, l->node->out[1]);
		n.copy_fmt = l->x->g->tensor[l->node->out[1]].fmt;
	}
	return graph_rows(x) > INT32_MAX ? -E2BIG : sili_norm(l->x->dev, &n, l->cmds, l->max);
}

static int lower_attention(struct lower *l)
{
	const struct graph_tensor *q = in_of(l, 0), *k = in_of(l, 1), *v = in_of(l, 2);
	const struct sili_node *n = &l->node->n;
	uint32_t kv = n->kv_heads ? n->kv_heads : n->heads;
	struct sili_attention_plan plan;
	struct sili_attention a = {
		.size = sizeof(a),
		.batch = q->dim[0],
		.q_len = q->dim[1],
		.kv_len = k->dim[1],
		.heads = n->heads,
		.kv_heads = kv,
		.dim = graph_cols(q) / n->heads,
		.v_dim = graph_cols(v) / kv,
		.q_fmt = in_fmt(l, 0),
		.k_fmt = in_fmt(l, 1),
		.v_fmt = in_fmt(l, 2),
		.o_fmt = out_of(l)->fmt,
		.q = in_dva(l, 0),
		.k = in_dva(l, 1),
		.v = in_dva(l, 2),
		.o = out_dva(l),
		.q_token = in_row(l, 0),
		.k_token = in_row(l, 1),
		.v_token = in_row(l, 2),
		.causal = n->causal,
		.window = n->window_len,
		.bias = in_dva(l, 3),
		.bias_fmt = in_fmt(l, 3),
		.bias_row = n->in[3] ? in_row(l, 3) : 0,
		.scale = n->scale,
		.prefetch = l->x->attr.prefetch,
	};
	int ret;

	a.q_batch = a.q_token * a.q_len;
	a.k_batch = a.k_token * a.kv_len;
	a.v_batch = a.v_token * a.kv_len;
	ret = sili_attention(l->x->dev, &a, l->cmds, l->max, &plan);
	if (ret > 0) {
		l->en->cycles = plan.cycles;
		l->en->roofline = plan.roofline;
	}
	return ret;
}

static int lower_rope(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0);
	const struct sili_node *n = &l->node->n;
	uint64_t tokens = graph_rows(x), row = in_row(l, 0);
	uint32_t dim = graph_cols(x) / n->heads;
	uint32_t half = (n->rotate ? n->rotate : dim) / 2;
	struct sili_rope r = {
		.size = sizeof(r),
		.tokens = x->dim[1],
		.heads = n->heads,
		.dim = dim,
		.rotate = n->rotate,
		.interleaved = n->interleaved,
		.fmt = in_fmt(l, 0),
		.token_stride = row,
		.head_stride = sili_format_bytes(in_fmt(l, 0), dim),
		.cos = in_dva(l, 1),
		.sin = in_dva(l, 2),
		.table_stride = half * 4ull,
		.prefetch = l->x->attr.prefetch,
	};
	uint64_t out_row = sili_format_bytes(out_of(l)->fmt, graph_cols(x));
	int n_cmds = 0;

	/* The tables are the same for each sequence. */
	for (uint64_t b = 0; b < tokens / x->dim[1]; b++) {
		int ret;

		r.src = in_dva(l, 0) + b * x->dim[1] * row;
		r.dst = out_dva(l) + b * x->dim[1] * out_row;
		ret = sili_rope(l->x->dev, &r, l->cmds + n_cmds, l->max - (uint32_t)n_cmds);
		if (ret < 0)
			return ret;
		n_cmds += ret;
	}
	return n_cmds;
}

static int lower_embedding(struct lower *l)
{
	const struct graph_tensor *ids = in_of(l, 0), *table = in_of(l, 1);
	struct sili_rows r = {
		.size = sizeof(r),
		.rows = (uint32_t)graph_elements(ids),
		.cols = graph_cols(table),
		.limit = table->dim[0],
		.src_fmt = in_fmt(l, 1),
		.dst_fmt = out_of(l)->fmt,
		.src = in_dva(l, 1),
		.dst = out_dva(l),
		.index = in_dva(l, 0),
		.prefetch = l->x->attr.prefetch,
	};

	return graph_elements(ids) > INT32_MAX ? -E2BIG
					       : sili_gather(l->x->dev, &r, l->cmds, l->max);
}

/* ---- moving ---- */

/* Elements before and behind a dimension. */
static void around(const struct graph_tensor *t, uint32_t axis, uint64_t *outer, uint64_t *inner)
{
	*outer = *inner = 1;
	for (uint32_t i = 0; i < axis; i++)
		*outer *= t->dim[i];
	for (uint32_t i = axis + 1; i < t->rank; i++)
		*inner *= t->dim[i];
}

/*
 * outer blocks of `length` elements: from blocks of src_block elements, from
 * src_at on, to blocks of dst_block elements, from dst_at on.
 */
static int move_blocks(struct lower *l, uint32_t in, uint64_t outer, uint64_t length,
		       uint64_t src_block, uint64_t src_at, uint64_t dst_block, uint64_t dst_at,
		       union x1_cmd *cmds, uint32_t max)
{
	enum x1_format from = in_fmt(l, in), to = out_of(l)->fmt;
	struct sili_map m = {
		.size = sizeof(m),
		.op = X1_VEC_MOV,
		.dim = {(uint32_t)length, (uint32_t)outer, 1, 1},
		.dst = {.fmt = to,
			.dva = out_dva(l) + sili_format_bytes(to, dst_at),
			.stride = {1, (int64_t)sili_format_bytes(to, dst_block)}},
		.a = {.fmt = from,
		      .dva = in_dva(l, in) + sili_format_bytes(from, src_at),
		      .stride = {1, (int64_t)sili_format_bytes(from, src_block)}},
		.prefetch = l->x->attr.prefetch,
	};

	if (length > INT32_MAX || outer > INT32_MAX)
		return -E2BIG;
	return sili_map(l->x->dev, &m, cmds, max);
}

static int lower_slice(struct lower *l)
{
	const struct sili_node *n = &l->node->n;
	uint64_t outer, inner, row = in_of(l, 0)->dim[n->axis];

	around(in_of(l, 0), n->axis, &outer, &inner);
	return move_blocks(l, 0, outer, n->length * inner, row * inner, n->start * inner,
			   n->length * inner, 0, l->cmds, l->max);
}

static int lower_concat(struct lower *l)
{
	uint64_t outer, inner, row = out_of(l)->dim[l->node->n.axis], at = 0;
	uint32_t n = 0;

	around(out_of(l), l->node->n.axis, &outer, &inner);
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		uint64_t part;
		int ret;

		if (!l->node->n.in[i])
			continue;
		part = in_of(l, i)->dim[l->node->n.axis] * inner;
		ret = move_blocks(l, i, outer, part, part, 0, row * inner, at, l->cmds + n,
				  l->max - n);
		if (ret < 0)
			return ret;
		n += (uint32_t)ret;
		at += part;
	}
	return (int)n;
}

static int lower_transpose(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0), *y = out_of(l);
	struct sili_map m = {
		.size = sizeof(m),
		.op = X1_VEC_MOV,
		.dim = {1, 1, 1, 1},
		.dst = {.fmt = y->fmt, .dva = out_dva(l), .stride = {1}},
		.a = {.fmt = in_fmt(l, 0), .dva = in_dva(l, 0), .stride = {1}},
		.prefetch = l->x->attr.prefetch,
	};
	uint64_t dense = 1;

	for (uint32_t i = 0; i < y->rank; i++) {
		/* Dimension i from the fastest on, and where it is in x. */
		uint32_t d = y->rank - 1 - i;
		uint64_t step = 1;

		for (uint32_t j = l->node->n.perm[d] + 1; j < x->rank; j++)
			step *= x->dim[j];
		m.dim[i] = y->dim[d];
		m.dst.stride[i] = i ? (int64_t)sili_format_bytes(y->fmt, dense) : 1;
		m.a.stride[i] = i ? (int64_t)sili_format_bytes(m.a.fmt, step) : (int64_t)step;
		dense *= y->dim[d];
	}
	return sili_map(l->x->dev, &m, l->cmds, l->max);
}

static int lower_moe(struct lower *l)
{
	return exec_moe(l->x, (uint32_t)(l->node - l->x->g->node), l->cmds, l->max);
}

static int (*const lowers[SILI_OP_COUNT])(struct lower *l) = {
	[SILI_OP_MATMUL] = lower_matmul,       [SILI_OP_UNARY] = lower_unary,
	[SILI_OP_BINARY] = lower_unary,        [SILI_OP_REDUCE] = lower_reduce,
	[SILI_OP_CONVERT] = lower_convert,     [SILI_OP_CONV] = lower_conv,
	[SILI_OP_POOL] = lower_pool,           [SILI_OP_SOFTMAX] = lower_softmax,
	[SILI_OP_NORM] = lower_norm,           [SILI_OP_ATTENTION] = lower_attention,
	[SILI_OP_ROPE] = lower_rope,           [SILI_OP_EMBEDDING] = lower_embedding,
	[SILI_OP_SLICE] = lower_slice,         [SILI_OP_CONCAT] = lower_concat,
	[SILI_OP_TRANSPOSE] = lower_transpose, [SILI_OP_MOE] = lower_moe,
};

/* ---- all nodes ---- */

/* The kernel said no: of a request that the graph's checks let through. */
static void refused(struct sili_exec *x, const struct graph_node *node, int error)
{
	char formats[96] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < SILI_NODE_INPUTS && at < sizeof(formats) - 16; i++)
		if (node->n.in[i])
			at += (size_t)snprintf(
				formats + at, sizeof(formats) - at, "%s%s", at ? ", " : "",
				sili_format_name(exec_tensor(x, node->n.in[i])->fmt));
	graph_fail(x->g, error, node, "kernel", "%s (%s to %s)", strerror(-error), formats,
		   sili_format_name(exec_tensor(x, node->out[0])->fmt));
}

/* Bytes that cannot be spared, when all inputs lie in HBM. */
static uint64_t traffic(const struct lower *l)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		const struct exec_weight *w = weight_of(l, i);

		if (!l->node->n.in[i])
			continue;
		if (w && w->gathered)
			bytes += graph_bytes(out_of(l));
		else
			bytes += w ? w->bytes + w->scale_bytes : graph_bytes(in_of(l, i));
	}
	return bytes;
}

static int lower_node(struct sili_exec *x, uint32_t i)
{
	const struct graph_node *node = &x->g->node[i];
	const struct graph_op *op = graph_op(node->n.op);
	union x1_cmd cmds[NODE_CMDS];
	struct lower l = {.x = x, .node = node, .en = &x->node[i], .cmds = cmds, .max = NODE_CMDS};
	int n = x->t[node->out[0]].root != node->out[0] ? 0 : lowers[node->n.op](&l);

	if (n < 0) {
		refused(x, node, n);
		return n;
	}
	l.en->macs = op->macs ? op->macs(x->g, node) : 0;
	if (!l.en->roofline)
		l.en->roofline = sili_div_up(traffic(&l), x->dev->info.hbm_bw);
	x->info.macs += l.en->macs;
	l.en->first_cmd = x->num_cmds;
	l.en->num_cmds = (uint32_t)n;
	for (int c = 0; c < n; c++) {
		if (!graph_grow(x->g, (void **)&x->cmds, x->num_cmds, &x->cmd_room,
				sizeof(*x->cmds)))
			return -ENOMEM;
		cmds[c].hdr.tag = i + 1;
		if (cmds[c].hdr.op == X1_CMD_LAUNCH) {
			x->info.launches++;
			if (x->attr.prefetch != SILI_PREFETCH_OFF)
				cmds[c].hdr.flags |= X1_LAUNCH_OVERLAP;
		}
		x->cmds[x->num_cmds++] = cmds[c];
	}
	return 0;
}

int exec_lower(struct sili_exec *x)
{
	int ret = 0;

	for (uint32_t i = 0; i < x->g->num_nodes && !ret; i++)
		ret = lower_node(x, i);
	return ret;
}
