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

		if (!w || w->streamed)
			continue;
		end = w->offset + w->bytes + w->scale_bytes;
		if (end > x->ahead_at)
			x->ahead_at = end;
		if (end > l->en->weights_end)
			l->en->weights_end = end;
	}
	from = x->ahead_at;
	to = sili_min64(l->en->weights_end + reach, x->window_offset);
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
		.act = (enum sili_act)l->node->n.act,
		.scale = l->node->n.scale,
		.prefetch = l->x->attr.prefetch,
		.batch = (uint32_t)batch,
	};
	int ret;

	if (m > INT32_MAX || batch > INT32_MAX)
		return -E2BIG;
	if (batch > 1) {
		g.a_batch = sili_format_bytes(g.a_fmt, m * k);
		g.b_batch = sili_format_bytes(g.b_fmt, (uint64_t)n * k);
		g.c_batch = sili_format_bytes(g.c_fmt, m * n);
		g.residual_batch = sili_format_bytes(g.residual_fmt, m * n);
	}
	if (w && w->row_scales) {
		g.col_scale = w->scale_dva;
		g.col_scale_batch = n * 4ull;
	} else if (w && w->mode) {
		g.b_scale_mode = w->mode;
		g.b_scales = w->scale_dva;
		g.b_scale_batch = sili_scale_row_bytes(w->mode, k) * n;
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

/* Rows and columns of the element-wise kernel: any split of a dense tensor is right. */
static int eltwise(struct lower *l, enum x1_vec_op op, uint64_t rows, uint64_t cols, bool row)
{
	struct sili_eltwise e = {
		.size = sizeof(e),
		.op = op,
		.rows = (uint32_t)rows,
		.cols = (uint32_t)cols,
		.dst_fmt = out_of(l)->fmt,
		.a_fmt = in_fmt(l, 0),
		.b_fmt = in_fmt(l, 1),
		.dst = out_dva(l),
		.a = in_dva(l, 0),
		.b = in_dva(l, 1),
		.b_row = row,
	};

	if (rows > UINT32_MAX || cols > UINT32_MAX)
		return -E2BIG;
	return sili_eltwise(l->x->dev, &e, l->cmds, l->max);
}

static int lower_unary(struct lower *l)
{
	return eltwise(l, (enum x1_vec_op)l->node->n.vec_op, graph_rows(in_of(l, 0)),
		       graph_cols(in_of(l, 0)), false);
}

static int lower_binary(struct lower *l)
{
	const struct graph_tensor *x = in_of(l, 0), *y = in_of(l, 1);

	return eltwise(l, (enum x1_vec_op)l->node->n.vec_op, graph_rows(x), graph_cols(x),
		       graph_elements(y) != graph_elements(x));
}

static int lower_convert(struct lower *l)
{
	return eltwise(l, X1_VEC_MOV, graph_rows(in_of(l, 0)), graph_cols(in_of(l, 0)), false);
}

static int (*const lowers[SILI_OP_COUNT])(struct lower *l) = {
	[SILI_OP_MATMUL] = lower_matmul,   [SILI_OP_UNARY] = lower_unary,
	[SILI_OP_BINARY] = lower_binary,   [SILI_OP_REDUCE] = lower_unary,
	[SILI_OP_CONVERT] = lower_convert, [SILI_OP_CONV] = lower_conv,
	[SILI_OP_POOL] = lower_pool,
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

		if (l->node->n.in[i])
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
	int n = op->flags & GRAPH_VIEW ? 0 : lowers[node->n.op](&l);

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
