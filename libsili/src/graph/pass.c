// SPDX-License-Identifier: MIT
/*
 * Passes over the nodes of an executable graph: constants are folded, epilogues
 * fused, every tensor gets a format.
 *
 * A node that is gone has op 0 until compact() takes it out.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"

/* Who reads each tensor. Outputs of the graph are readers too. */
struct readers {
	uint32_t *count, *last; /* last: a node, or NO_NODE for an output */
};

#define NO_NODE UINT32_MAX

static void compact(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->num_nodes; i++)
		if (g->node[i].n.op)
			g->node[n++] = g->node[i];
	g->num_nodes = n;
}

static void readers_free(struct readers *r)
{
	free(r->count);
	free(r->last);
}

static int readers_of(const struct sili_graph *g, struct readers *r)
{
	r->count = calloc(g->num_tensors, sizeof(*r->count));
	r->last = calloc(g->num_tensors, sizeof(*r->last));
	if (!r->count || !r->last) {
		readers_free(r);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++) {
			uint32_t id = g->node[i].n.in[j];

			if (!id)
				continue;
			r->count[id]++;
			r->last[id] = i;
		}
	}
	for (uint32_t i = 0; i < g->num_outputs; i++) {
		r->count[g->output[i].tensor]++;
		r->last[g->output[i].tensor] = NO_NODE;
	}
	return 0;
}

/* ---- constants ---- */

/* The tensor becomes a weight in FP32 with these values; they are freed. */
static int become_weight(struct graph_tensor *t, double *value)
{
	size_t n = graph_elements(t);
	float *f = malloc(n * sizeof(*f));

	for (size_t i = 0; f && i < n; i++)
		f[i] = (float)value[i];
	free(value);
	if (!f)
		return -ENOMEM;
	t->role = GRAPH_WEIGHT;
	t->fmt = X1_FMT_FP32;
	t->data = f;
	t->owned = true;
	return 0;
}

static bool is_constant(const struct sili_graph *g, const struct graph_node *node)
{
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++)
		if (node->n.in[i] && g->tensor[node->n.in[i]].role != GRAPH_WEIGHT)
			return false;
	return g->tensor[node->out[0]].fmt != X1_FMT_INT32;
}

static int fold_node(struct sili_graph *g, struct graph_node *node)
{
	struct graph_tensor *out = &g->tensor[node->out[0]], *in = &g->tensor[node->n.in[0]];
	double *value[GRAPH_OUTPUTS];
	int ret;

	if (node->n.op == SILI_OP_RESHAPE) {
		/* The same bytes, whatever their format. */
		out->role = GRAPH_WEIGHT;
		out->fmt = in->fmt;
		out->data = in->data;
		return 0;
	}
	ret = graph_eval_constant(g, node, value);
	for (uint32_t i = 0; i < GRAPH_OUTPUTS && !ret; i++)
		if (value[i])
			ret = become_weight(&g->tensor[node->out[i]], value[i]);
	return ret;
}

/* Nodes whose results nobody reads, last ones first. */
static int prune(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct readers r;

	if (readers_of(g, &r))
		return -ENOMEM;
	for (uint32_t i = g->num_nodes; i-- > 0;) {
		struct graph_node *node = &g->node[i];
		bool read = false;

		for (uint32_t j = 0; j < GRAPH_OUTPUTS; j++)
			read |= node->out[j] && r.count[node->out[j]];
		if (read)
			continue;
		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++)
			if (node->n.in[j])
				r.count[node->n.in[j]]--;
		node->n.op = 0;
		x->info.folded++;
	}
	readers_free(&r);
	compact(x);
	return 0;
}

static int fold(struct sili_exec *x)
{
	struct sili_graph *g = x->g;

	for (uint32_t i = 0; i < g->num_nodes; i++) {
		struct graph_node *node = &g->node[i];
		int ret;

		/* There is no view of a weight: it is one itself. */
		if (!is_constant(g, node) ||
		    (x->attr.flags & SILI_EXEC_NO_FOLD && node->n.op != SILI_OP_RESHAPE))
			continue;
		ret = fold_node(g, node);
		if (ret) {
			graph_fail(g, ret, node, NULL, "out of memory");
			return ret;
		}
		node->n.op = 0;
		x->info.folded++;
	}
	compact(x);
	return prune(x);
}

/* ---- epilogues ---- */

static bool has_epilogue(const struct graph_node *node)
{
	return graph_op(node->n.op)->flags & GRAPH_EPILOGUE;
}

static bool is_row_weight(const struct sili_graph *g, uint32_t id)
{
	return g->tensor[id].role == GRAPH_WEIGHT && g->tensor[id].rank == 1;
}

static uint32_t act_of(uint32_t vec_op)
{
	switch (vec_op) {
	case X1_VEC_RELU:
		return SILI_ACT_RELU;
	case X1_VEC_GELU:
		return SILI_ACT_GELU;
	case X1_VEC_SILU:
		return SILI_ACT_SILU;
	case X1_VEC_SIGMOID:
		return SILI_ACT_SIGMOID;
	case X1_VEC_TANH:
		return SILI_ACT_TANH;
	default:
		return SILI_ACT_NONE;
	}
}

/* A weight of FP32 with its leading indices scaled: a copy takes its place. */
static uint32_t scaled_weight(struct sili_graph *g, uint32_t id, const float *by)
{
	uint32_t dim[SILI_MAX_RANK], copy, rank = g->tensor[id].rank;
	size_t n = g->tensor[id].dim[0], row = graph_elements(&g->tensor[id]) / n;
	float *data;

	memcpy(dim, g->tensor[id].dim, sizeof(dim));
	copy = sili_graph_weight(g, g->tensor[id].name, X1_FMT_FP32, rank, dim, g->tensor[id].data);
	data = sili_graph_data(g, copy);
	for (size_t i = 0; data && i < n * row; i++)
		data[i] *= by[i / row];
	return copy;
}

/* act(m) * row = weights and bias times row, where that is exact in FP32 weights. */
static bool fuse_scale(struct sili_graph *g, struct graph_node *m, const struct graph_node *r)
{
	uint32_t w = m->n.in[1], bias = m->n.in[2], row = r->n.in[1];

	if (r->n.vec_op != X1_VEC_MUL || !is_row_weight(g, row) || m->n.in[3] || m->n.act ||
	    m->n.trans_b || g->tensor[row].fmt != X1_FMT_FP32 ||
	    g->tensor[w].role != GRAPH_WEIGHT || g->tensor[w].fmt != X1_FMT_FP32 ||
	    g->tensor[w].dim[0] != g->tensor[row].dim[0])
		return false;
	if (bias && (g->tensor[bias].role != GRAPH_WEIGHT || g->tensor[bias].fmt != X1_FMT_FP32))
		return false;
	m->n.in[1] = scaled_weight(g, w, g->tensor[row].data);
	if (bias)
		m->n.in[2] = scaled_weight(g, bias, g->tensor[row].data);
	return true;
}

/* m's result is read by r alone: can r's work be m's epilogue? Then it is. */
static bool fuse_pair(struct sili_graph *g, struct graph_node *m, const struct graph_node *r)
{
	uint32_t o = m->out[0], other;

	if (r->n.op == SILI_OP_UNARY) {
		uint32_t act = act_of(r->n.vec_op);

		if (!act || m->n.act || r->n.precision)
			return false;
		m->n.act = act;
		return true;
	}
	if (r->n.op != SILI_OP_BINARY || r->n.precision)
		return false;
	if (r->n.in[0] == o && fuse_scale(g, m, r))
		return true;
	if (r->n.vec_op != X1_VEC_ADD || m->n.act)
		return false;
	other = r->n.in[0] == o ? r->n.in[1] : r->n.in[0];
	if (is_row_weight(g, other) && r->n.in[0] == o && !m->n.in[2] && !m->n.in[3] &&
	    g->tensor[other].dim[0] == graph_cols(&g->tensor[o])) {
		m->n.in[2] = other;
		return true;
	}
	if (!graph_same_shape(&g->tensor[other], &g->tensor[o]) || m->n.in[3])
		return false;
	m->n.in[3] = other;
	return true;
}

static int fuse(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct readers r;

	if (x->attr.flags & SILI_EXEC_NO_FUSE)
		return 0;
	if (readers_of(g, &r))
		return -ENOMEM;
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		struct graph_node *m = &g->node[i], *reader;
		uint32_t at;

		if (!m->n.op || !has_epilogue(m) || r.count[m->out[0]] != 1 ||
		    r.last[m->out[0]] == NO_NODE)
			continue;
		at = r.last[m->out[0]];
		reader = &g->node[at];
		/* A weight that is scaled is a new tensor with this one reader. */
		if (!fuse_pair(g, m, reader) || g->code)
			continue;
		/*
		 * The whole runs where the reader did: all inputs are there then. Who
		 * read m's inputs is a product still, which is nobody's epilogue.
		 */
		m->out[0] = reader->out[0];
		*reader = *m;
		m->n.op = 0;
		x->info.fused++;
	}
	readers_free(&r);
	compact(x);
	return g->code;
}

/* ---- formats ---- */

enum want_kind {
	WANT_ANY = 0,
	WANT_SOFT, /* rather this one */
	WANT_HARD,
};

struct want {
	enum want_kind kind;
	enum x1_format fmt;
	enum x1_scale_mode mode;
};

enum x1_format exec_matrix_fmt(const struct sili_exec *x, const struct graph_node *node)
{
	enum x1_format fmt = node->n.precision ? (enum x1_format)(node->n.precision - 1)
					       : x->precision;

	/* Narrow weights go with activations of 8 bits. */
	return x1_format_bits(fmt) < 8 ? X1_FMT_E4M3 : fmt;
}

enum x1_format exec_attention_fmt(const struct sili_exec *x, const struct graph_node *node)
{
	enum x1_format fmt = exec_matrix_fmt(x, node);

	return x1_format_bits(fmt) > 16 ? X1_FMT_FP16 : fmt;
}

enum x1_scale_mode exec_block_mode(const struct sili_exec *x, const struct graph_node *node)
{
	bool eight = x1_format_bits(exec_matrix_fmt(x, node)) == 8;

	return x->attr.scaling == SILI_SCALING_BLOCKS && eight ? X1_SCALE_F32_1X128 : X1_SCALE_NONE;
}

/* What node reads its input i as. */
static struct want want_of(const struct sili_exec *x, const struct graph_node *node, uint32_t i)
{
	const struct want soft = {WANT_SOFT, x->act_fmt, X1_SCALE_NONE};

	switch (node->n.op) {
	case SILI_OP_MATMUL:
		if (i == 0)
			return (struct want){WANT_HARD, exec_matrix_fmt(x, node),
					     exec_block_mode(x, node)};
		/* fallthrough */
	case SILI_OP_CONV:
		if (i < 2)
			return (struct want){WANT_HARD, exec_matrix_fmt(x, node), X1_SCALE_NONE};
		return i == 2 ? (struct want){WANT_HARD, X1_FMT_FP32, X1_SCALE_NONE} : soft;
	case SILI_OP_ATTENTION:
		return i < 3 ? (struct want){WANT_HARD, exec_attention_fmt(x, node), X1_SCALE_NONE}
			     : soft;
	case SILI_OP_MOE:
		return i == 1 ? (struct want){WANT_HARD, X1_FMT_FP32, X1_SCALE_NONE} : soft;
	case SILI_OP_CONVERT:
	case SILI_OP_RESHAPE:
	case SILI_OP_SLICE:
	case SILI_OP_CONCAT:
	case SILI_OP_TRANSPOSE:
	case SILI_OP_EMBEDDING:
		return (struct want){WANT_ANY, 0, X1_SCALE_NONE};
	default:
		return soft;
	}
}

/* All that is wanted of the memory that a tensor and its views share. */
struct wishes {
	uint32_t hard; /* bits of formats */
	bool soft;
};

static void wish(struct sili_exec *x, struct wishes *w, uint32_t id, struct want want)
{
	struct wishes *of = &w[x->t[id].root];

	/* What is block quantised is made of a tensor that is not. */
	if (want.kind == WANT_HARD && !want.mode)
		of->hard |= 1u << want.fmt;
	else if (want.kind != WANT_ANY)
		of->soft = true;
}

static enum x1_format widest(uint32_t formats)
{
	enum x1_format best = X1_FMT_E2M1;

	for (unsigned int f = 0; f < X1_FMT_COUNT; f++)
		if (formats >> f & 1 && x1_format_bits(f) > x1_format_bits(best))
			best = (enum x1_format)f;
	return best;
}

/* A result's format: the one that is wanted, with several the one that loses least. */
static enum x1_format chosen(const struct sili_exec *x, const struct wishes *w)
{
	bool single = w->hard && !(w->hard & (w->hard - 1));
	enum x1_format fmt = w->hard ? widest(w->hard) : x->act_fmt;

	if (w->hard && single && !w->soft)
		return fmt;
	return x1_format_bits(fmt) > x1_format_bits(x->act_fmt) ? fmt : x->act_fmt;
}

static void choose_formats(struct sili_exec *x, const struct wishes *w)
{
	struct sili_graph *g = x->g;

	for (uint32_t i = 0; i < g->num_nodes; i++) {
		const struct graph_node *node = &g->node[i];

		for (uint32_t j = 0; j < GRAPH_OUTPUTS; j++) {
			struct graph_tensor *t = &g->tensor[node->out[j]];
			uint32_t root = x->t[node->out[j]].root;

			if (!node->out[j] || t->fmt == X1_FMT_INT32)
				continue;
			if (root != node->out[j])
				t->fmt = g->tensor[root].fmt;
			else if (node->n.precision && !has_epilogue(node) &&
				 node->n.op != SILI_OP_ATTENTION)
				t->fmt = (enum x1_format)(node->n.precision - 1);
			else
				t->fmt = chosen(x, &w[root]);
		}
	}
}

/* Conversions that are there already. */
struct converted {
	uint32_t from, to;
	struct want want;
};

struct inserter {
	struct sili_exec *x;
	struct graph_node *node; /* the new order */
	uint32_t num_nodes, node_room;
	struct converted *done;
	uint32_t num_done, done_room;
};

static bool append(struct inserter *ins, const struct graph_node *node)
{
	if (!graph_grow(ins->x->g, (void **)&ins->node, ins->num_nodes, &ins->node_room,
			sizeof(*ins->node)))
		return false;
	ins->node[ins->num_nodes++] = *node;
	return true;
}

/* A tensor with id's values in fmt, made by a node that is put in here. */
static uint32_t convert(struct inserter *ins, uint32_t id, struct want want, bool shared)
{
	struct sili_graph *g = ins->x->g;
	struct graph_node node = {.n = {.size = sizeof(node.n), .op = SILI_OP_CONVERT}};
	uint32_t dim[SILI_MAX_RANK], rank = g->tensor[id].rank, to;
	bool dense = ins->x->t[id].row && g->tensor[id].fmt == want.fmt && !want.mode;
	char name[SILI_NAME_LEN];

	for (uint32_t i = 0; shared && i < ins->num_done; i++)
		if (ins->done[i].from == id && ins->done[i].want.fmt == want.fmt &&
		    ins->done[i].want.mode == want.mode)
			return ins->done[i].to;
	memcpy(dim, g->tensor[id].dim, sizeof(dim));
	snprintf(name, sizeof(name), "%.50s:%s", g->tensor[id].name,
		 dense ? "dense" : sili_format_name(want.fmt));
	to = graph_new_tensor(g, name, GRAPH_VALUE, want.fmt, rank, dim);
	g->tensor[to].mode = want.mode;
	node.n.in[0] = id;
	node.out[0] = to;
	memcpy(node.name, name, sizeof(name));
	if (!to || !append(ins, &node) ||
	    !graph_grow(g, (void **)&ins->done, ins->num_done, &ins->done_room, sizeof(*ins->done)))
		return 0;
	if (shared)
		ins->done[ins->num_done++] = (struct converted){id, to, want};
	ins->x->info.converts++;
	return to;
}

static void insert_converts(struct inserter *ins)
{
	struct sili_exec *x = ins->x;
	struct sili_graph *g = x->g;

	for (uint32_t i = 0; i < g->num_nodes; i++) {
		struct graph_node node = g->node[i];

		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++) {
			uint32_t id = node.n.in[j];
			struct want want;

			if (!id || g->tensor[id].role == GRAPH_WEIGHT)
				continue;
			want = want_of(x, &node, j);
			if (want.kind == WANT_HARD && (g->tensor[id].fmt != want.fmt || want.mode))
				node.n.in[j] = convert(ins, id, want, true);
		}
		if (g->code || !append(ins, &node))
			return;
	}
	/* An output has memory of its own in its own format, which one node writes. */
	for (uint32_t i = 0; i < g->num_outputs; i++) {
		struct graph_output *o = &g->output[i];
		uint32_t root = x->t[o->tensor].root;
		bool taken =
			g->tensor[root].role != GRAPH_VALUE || g->tensor[o->tensor].fmt != o->fmt ||
			graph_elements(&g->tensor[root]) != graph_elements(&g->tensor[o->tensor]);

		for (uint32_t j = 0; j < i; j++)
			taken |= g->output[j].tensor < x->num_roots &&
				 x->t[g->output[j].tensor].root == root;
		if (taken)
			o->tensor = convert(ins, o->tensor, (struct want){.fmt = o->fmt}, false);
	}
}

/* ---- views ---- */

/* A slice is a view where what is left has one row length, or no gaps at all. */
static bool is_view(const struct sili_exec *x, const struct graph_node *node)
{
	const struct graph_tensor *in = graph_in(x->g, node, 0);
	uint64_t outer = 1;

	if (node->n.op == SILI_OP_RESHAPE)
		return true;
	if (node->n.op != SILI_OP_SLICE)
		return false;
	if (node->n.axis + 1 == in->rank)
		return true;
	for (uint32_t i = 0; i < node->n.axis; i++)
		outer *= in->dim[i];
	return outer == 1;
}

static void view(struct sili_exec *x, const struct graph_node *node)
{
	const struct graph_tensor *in = graph_in(x->g, node, 0);
	const struct exec_tensor *from = &x->t[node->n.in[0]];
	struct exec_tensor *to = &x->t[node->out[0]];
	uint64_t inner = 1;

	to->root = from->root;
	to->skip = from->skip;
	to->row = from->row;
	if (node->n.op == SILI_OP_RESHAPE)
		return;
	for (uint32_t i = node->n.axis + 1; i < in->rank; i++)
		inner *= in->dim[i];
	to->skip += node->n.start * inner;
	if (inner == 1 && graph_rows(in) > 1)
		to->row = from->row ? from->row : graph_cols(in);
}

static int roots(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct exec_tensor *t = realloc(x->t, g->num_tensors * sizeof(*t));

	if (!t)
		return -ENOMEM;
	x->t = t;
	x->num_roots = g->num_tensors;
	memset(t, 0, g->num_tensors * sizeof(*t));
	for (uint32_t i = 0; i < g->num_tensors; i++)
		t[i].root = i;
	for (uint32_t i = 0; i < g->num_nodes; i++)
		if (is_view(x, &g->node[i]))
			view(x, &g->node[i]);
	return 0;
}

static void take_nodes(struct inserter *ins)
{
	struct sili_graph *g = ins->x->g;

	free(ins->done);
	if (g->code) {
		free(ins->node);
		return;
	}
	free(g->node);
	g->node = ins->node;
	g->num_nodes = ins->num_nodes;
	g->node_room = ins->node_room;
}

/* Rows with gaps are made dense for those who cannot read them. */
static int dense(struct sili_exec *x)
{
	struct inserter ins = {.x = x};
	struct sili_graph *g = x->g;
	int ret = roots(x);

	for (uint32_t i = 0; i < g->num_nodes && !ret; i++) {
		struct graph_node node = g->node[i];

		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++) {
			uint32_t id = node.n.in[j];

			if (id && x->t[id].row && !(graph_op(node.n.op)->flags & GRAPH_ROWS) &&
			    !(node.n.op == SILI_OP_SLICE && is_view(x, &node) &&
			      node.n.axis + 1 == g->tensor[id].rank))
				node.n.in[j] = convert(
					&ins, id, (struct want){.fmt = g->tensor[id].fmt}, true);
		}
		if (g->code || !append(&ins, &node))
			ret = g->code;
	}
	take_nodes(&ins);
	return ret ? ret : roots(x);
}

static int formats(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct inserter ins = {.x = x};
	struct wishes *w;

	w = calloc(g->num_tensors, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->num_nodes; i++)
		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++)
			if (g->node[i].n.in[j])
				wish(x, w, g->node[i].n.in[j], want_of(x, &g->node[i], j));
	for (uint32_t i = 0; i < g->num_outputs; i++)
		wish(x, w, g->output[i].tensor,
		     (struct want){.kind = WANT_HARD, .fmt = g->output[i].fmt});
	choose_formats(x, w);
	free(w);
	insert_converts(&ins);
	take_nodes(&ins);
	return g->code ? g->code : roots(x);
}

/*
 * A norm writes its result in a second format by itself, or in blocks where
 * nobody reads it otherwise: the conversion behind it goes.
 */
static int fuse_norms(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	struct readers r;

	if (x->attr.flags & SILI_EXEC_NO_FUSE)
		return 0;
	if (readers_of(g, &r))
		return -ENOMEM;
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		struct graph_node *conv = &g->node[i];
		uint32_t from = conv->n.in[0], maker = i;

		if (conv->n.op != SILI_OP_CONVERT)
			continue;
		/* It is near, most often the one before. */
		while (maker && g->node[maker].out[0] != from)
			maker--;
		if (g->node[maker].out[0] != from || g->node[maker].n.op != SILI_OP_NORM ||
		    g->node[maker].out[1])
			continue;
		if (g->tensor[conv->out[0]].mode && r.count[from] == 1)
			g->node[maker].out[0] = conv->out[0];
		else if (!g->tensor[conv->out[0]].mode)
			g->node[maker].out[1] = conv->out[0];
		else
			continue;
		conv->n.op = 0;
		x->info.converts--;
		x->info.fused++;
	}
	readers_free(&r);
	compact(x);
	return roots(x);
}

int exec_passes(struct sili_exec *x)
{
	int ret = fold(x);

	if (!ret)
		ret = fuse(x);
	if (!ret)
		ret = dense(x);
	if (!ret)
		ret = formats(x);
	return ret ? ret : fuse_norms(x);
}
