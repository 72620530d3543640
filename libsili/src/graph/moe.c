// SPDX-License-Identifier: MIT
/*
 * Mixture of experts as one node: routing, rows ordered by expert, three grouped
 * products, and the results brought back. All between them lies in the node's
 * workspace.
 */
#include "exec.h"

/* Sizes, and offsets in the workspace. */
struct moe {
	uint32_t tokens, rows, experts, width, inner;
	enum x1_format fmt; /* of products */
	enum x1_scale_mode mode;
	uint64_t chosen, weights, row_of, token_of, counts, offsets, route;
	uint64_t x, x_coded, x_scales;    /* rows of tokens by expert */
	uint64_t gate, up;                /* products; gate becomes the product of both */
	uint64_t h_coded, h_scales, down; /* what the last product reads and makes */
	uint64_t bytes;
};

static uint64_t take(struct moe *m, uint64_t bytes)
{
	uint64_t at = m->bytes;

	m->bytes += sili_align(bytes, EXEC_ALIGN);
	return at;
}

static struct sili_route request(const struct graph_node *node, const struct moe *m)
{
	return (struct sili_route){
		.size = sizeof(struct sili_route),
		.tokens = m->tokens,
		.experts = m->experts,
		.top_k = node->n.top_k,
		.groups = node->n.groups,
		.top_groups = node->n.top_groups,
		.gate = (enum sili_gate)node->n.gate,
		.normalise = node->n.normalise,
		.scale = node->n.scale,
		.logits_fmt = X1_FMT_FP32,
	};
}

static int64_t lay_out(const struct sili_exec *x, const struct graph_node *node, struct moe *m)
{
	const struct graph_tensor *in = graph_in(x->g, node, 0), *gate = graph_in(x->g, node, 3);
	struct sili_route r;
	uint64_t rows = graph_rows(in) * node->n.top_k;
	int64_t route;

	if (rows > INT32_MAX)
		return -E2BIG;
	*m = (struct moe){
		.tokens = (uint32_t)graph_rows(in),
		.rows = (uint32_t)rows,
		.experts = gate->dim[0],
		.width = graph_cols(in),
		.inner = gate->dim[1],
		.fmt = exec_matrix_fmt(x, node),
		.mode = exec_block_mode(x, node),
	};
	r = request(node, m);
	route = sili_route_work_bytes(&r);
	if (route < 0)
		return route;
	m->chosen = take(m, rows * 4);
	m->weights = take(m, rows * 4);
	m->row_of = take(m, rows * 4);
	m->token_of = take(m, rows * 4);
	m->counts = take(m, m->experts * 4ull);
	m->offsets = take(m, (m->experts + 1) * 4ull);
	m->route = take(m, (uint64_t)route);
	m->x = take(m, sili_format_bytes(m->mode ? x->act_fmt : m->fmt, rows * m->width));
	m->x_coded = m->x;
	if (m->mode) {
		m->x_coded = take(m, sili_format_bytes(m->fmt, rows * m->width));
		m->x_scales = take(m, rows * sili_scale_row_bytes(m->mode, m->width));
	}
	m->gate = take(m, sili_format_bytes(x->act_fmt, rows * m->inner));
	m->up = take(m, sili_format_bytes(x->act_fmt, rows * m->inner));
	m->h_coded = take(m, sili_format_bytes(m->fmt, rows * m->inner));
	m->h_scales = take(m, m->mode ? rows * sili_scale_row_bytes(m->mode, m->inner) : 0);
	m->down = take(m, sili_format_bytes(x->act_fmt, rows * m->width));
	return (int64_t)m->bytes;
}

int64_t exec_moe_work(const struct sili_exec *x, const struct graph_node *node)
{
	struct moe m;

	return lay_out(x, node, &m);
}

/* ---- commands ---- */

struct steps {
	struct sili_exec *x;
	const struct graph_node *node;
	const struct exec_node *en;
	struct moe m;
	uint64_t work; /* DVA */
	union x1_cmd *cmds;
	uint32_t n, max;
	int ret;
};

/* What a kernel's call gave: commands, or the first error. */
static void done(struct steps *s, int ret)
{
	if (ret < 0 && !s->ret)
		s->ret = ret;
	else if (ret > 0)
		s->n += (uint32_t)ret;
}

static void product(struct steps *s, uint32_t in, uint64_t a, uint64_t scales, uint32_t n,
		    uint32_t k, enum sili_act act, uint64_t to)
{
	const struct exec_weight *w = &s->x->weight[s->en->weight[in] - 1];
	struct sili_gemm g = {
		.size = sizeof(g),
		.m = s->m.rows,
		.n = n,
		.k = k,
		.a_fmt = s->m.fmt,
		.b_fmt = w->fmt,
		.c_fmt = s->x->act_fmt,
		.a = s->work + a,
		.b = w->dva,
		.c = s->work + to,
		.act = act,
		.batch = s->m.experts,
		.group = SILI_GROUP_CONTIGUOUS,
		.group_table = s->work + s->m.offsets,
		.b_batch = sili_format_bytes(w->fmt, (uint64_t)n * k),
		.prefetch = s->x->attr.prefetch,
	};

	if (s->m.mode) {
		g.a_scale_mode = s->m.mode;
		g.a_scales = s->work + scales;
	}
	if (w->row_scales) {
		g.col_scale = w->scale_dva;
		g.col_scale_batch = n * 4ull;
	} else if (w->mode) {
		g.b_scale_mode = w->mode;
		g.b_scales = w->scale_dva;
		g.b_scale_batch = sili_scale_row_bytes(w->mode, k) * sili_scale_rows(w->mode, n);
	}
	done(s, sili_gemm(s->x->dev, &g, s->cmds + s->n, s->max - s->n, NULL));
}

static void quantise(struct steps *s, uint32_t k, uint64_t from, uint64_t to, uint64_t scales)
{
	struct sili_quant q = {
		.size = sizeof(q),
		.mode = s->m.mode,
		.rows = s->m.rows,
		.k = k,
		.plain_fmt = s->x->act_fmt,
		.coded_fmt = s->m.fmt,
		.plain = s->work + from,
		.coded = s->work + to,
		.scales = s->work + scales,
		.prefetch = s->x->attr.prefetch,
	};

	done(s, sili_quant(s->x->dev, &q, s->cmds + s->n, s->max - s->n));
}

static void route(struct steps *s)
{
	struct sili_route r = request(s->node, &s->m);

	r.logits = exec_dva(s->x, s->node->n.in[1]);
	r.logits_stride = exec_row(s->x, s->node->n.in[1]);
	r.bias = s->x->weight[s->en->weight[2] - 1].dva;
	r.chosen = s->work + s->m.chosen;
	r.weights = s->work + s->m.weights;
	r.row_of = s->work + s->m.row_of;
	r.token_of = s->work + s->m.token_of;
	r.counts = s->work + s->m.counts;
	r.offsets = s->work + s->m.offsets;
	r.work = s->work + s->m.route;
	r.prefetch = s->x->attr.prefetch;
	done(s, sili_route(s->x->dev, &r, s->cmds + s->n, s->max - s->n));
}

static void gather(struct steps *s)
{
	struct sili_rows r = {
		.size = sizeof(r),
		.rows = s->m.rows,
		.cols = s->m.width,
		.limit = s->m.tokens,
		.src_fmt = exec_tensor(s->x, s->node->n.in[0])->fmt,
		.dst_fmt = s->m.mode ? s->x->act_fmt : s->m.fmt,
		.src = exec_dva(s->x, s->node->n.in[0]),
		.dst = s->work + s->m.x,
		.index = s->work + s->m.token_of,
		.src_stride = exec_row(s->x, s->node->n.in[0]),
		.prefetch = s->x->attr.prefetch,
	};

	done(s, sili_gather(s->x->dev, &r, s->cmds + s->n, s->max - s->n));
}

/* gate * up, to what the next product or the quantisation reads. */
static void multiply(struct steps *s)
{
	enum x1_format act = s->x->act_fmt, to = s->m.mode ? act : s->m.fmt;
	struct sili_map m = {
		.size = sizeof(m),
		.op = X1_VEC_MUL,
		.dim = {s->m.inner, s->m.rows, 1, 1},
		.dst = {.fmt = to,
			.dva = s->work + (s->m.mode ? s->m.gate : s->m.h_coded),
			.stride = {1, (int64_t)sili_format_bytes(to, s->m.inner)}},
		.a = {.fmt = act,
		      .dva = s->work + s->m.gate,
		      .stride = {1, (int64_t)sili_format_bytes(act, s->m.inner)}},
		.b = {.fmt = act,
		      .dva = s->work + s->m.up,
		      .stride = {1, (int64_t)sili_format_bytes(act, s->m.inner)}},
		.prefetch = s->x->attr.prefetch,
	};

	done(s, sili_map(s->x->dev, &m, s->cmds + s->n, s->max - s->n));
}

static void collect(struct steps *s)
{
	struct sili_bag b = {
		.size = sizeof(b),
		.op = SILI_BAG_SUM,
		.bags = s->m.tokens,
		.cols = s->m.width,
		.limit = s->m.rows,
		.bag_size = s->node->n.top_k,
		.table_fmt = s->x->act_fmt,
		.dst_fmt = exec_tensor(s->x, s->node->out[0])->fmt,
		.table = s->work + s->m.down,
		.dst = exec_dva(s->x, s->node->out[0]),
		.index = s->work + s->m.row_of,
		.weights = s->work + s->m.weights,
		.prefetch = s->x->attr.prefetch,
	};

	done(s, sili_bag(s->x->dev, &b, s->cmds + s->n, s->max - s->n));
}

int exec_moe(struct sili_exec *x, uint32_t node, union x1_cmd *cmds, uint32_t max)
{
	struct steps s = {
		.x = x, .node = &x->g->node[node], .en = &x->node[node], .cmds = cmds, .max = max};
	const struct moe *m = &s.m;
	int64_t bytes = lay_out(x, s.node, &s.m);

	if (bytes < 0)
		return (int)bytes;
	s.work = sili_bo_dva(x->arena) + s.en->work;
	route(&s);
	gather(&s);
	if (m->mode)
		quantise(&s, m->width, m->x, m->x_coded, m->x_scales);
	product(&s, 3, m->x_coded, m->x_scales, m->inner, m->width, SILI_ACT_SILU, m->gate);
	product(&s, 4, m->x_coded, m->x_scales, m->inner, m->width, SILI_ACT_NONE, m->up);
	multiply(&s);
	if (m->mode)
		quantise(&s, m->inner, m->gate, m->h_coded, m->h_scales);
	product(&s, 5, m->h_coded, m->h_scales, m->width, m->inner, SILI_ACT_NONE, m->down);
	collect(&s);
	return s.ret ? s.ret : (int)s.n;
}
