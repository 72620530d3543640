// SPDX-License-Identifier: MIT
/*
 * The operators on the host, in double precision and in the plainest way:
 * what constants are folded with and results are compared with.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define LANES 8u /* sums that a dot product keeps apart, for the host's vectors */

/* A node with the values of all its inputs; in[i] NULL: absent. */
struct eval {
	const struct sili_graph *g;
	const struct graph_node *node;
	const double *in[SILI_NODE_INPUTS];
	double *out[GRAPH_OUTPUTS];
};

static const struct graph_tensor *in_tensor(const struct eval *e, uint32_t i)
{
	return graph_in(e->g, e->node, i);
}

static const struct graph_tensor *out_tensor(const struct eval *e, uint32_t i)
{
	return &e->g->tensor[e->node->out[i]];
}

static double scale_of(const struct eval *e)
{
	return e->node->n.scale == 0.0f ? 1.0 : (double)e->node->n.scale;
}

/* ---- functions of one and two numbers ---- */

static double unary(enum x1_vec_op op, double x)
{
	switch (op) {
	case X1_VEC_NEG:
		return -x;
	case X1_VEC_ABS:
		return fabs(x);
	case X1_VEC_RELU:
		return x > 0 ? x : 0;
	case X1_VEC_RECIP:
		return 1 / x;
	case X1_VEC_SQRT:
		return sqrt(x);
	case X1_VEC_RSQRT:
		return 1 / sqrt(x);
	case X1_VEC_EXP:
		return exp(x);
	case X1_VEC_LOG:
		return log(x);
	case X1_VEC_SIGMOID:
		return 1 / (1 + exp(-x));
	case X1_VEC_TANH:
		return tanh(x);
	case X1_VEC_GELU:
		return x * 0.5 * erfc(-x * M_SQRT1_2);
	case X1_VEC_SILU:
		return x / (1 + exp(-x));
	case X1_VEC_SIN:
		return sin(x);
	case X1_VEC_COS:
		return cos(x);
	default:
		return x;
	}
}

static double binary(enum x1_vec_op op, double x, double y)
{
	switch (op) {
	case X1_VEC_ADD:
		return x + y;
	case X1_VEC_SUB:
		return x - y;
	case X1_VEC_MUL:
		return x * y;
	case X1_VEC_DIV:
		return x / y;
	case X1_VEC_MIN:
		return fmin(x, y);
	case X1_VEC_MAX:
		return fmax(x, y);
	case X1_VEC_CMPLT:
		return x < y;
	case X1_VEC_CMPLE:
		return x <= y;
	default:
		return x == y;
	}
}

static double activate(uint32_t act, double x)
{
	static const enum x1_vec_op ops[] = {
		[SILI_ACT_NONE] = X1_VEC_MOV,        [SILI_ACT_RELU] = X1_VEC_RELU,
		[SILI_ACT_GELU] = X1_VEC_GELU,       [SILI_ACT_SILU] = X1_VEC_SILU,
		[SILI_ACT_SIGMOID] = X1_VEC_SIGMOID, [SILI_ACT_TANH] = X1_VEC_TANH,
	};

	return unary(ops[act], x);
}

static double dot(const double *a, const double *b, size_t n)
{
	double sum[LANES] = {0}, all = 0;
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (uint32_t l = 0; l < LANES; l++)
			sum[l] += a[i + l] * b[i + l];
	for (uint32_t l = 0; l < LANES; l++)
		all += sum[l];
	for (; i < n; i++)
		all += a[i] * b[i];
	return all;
}

/* act(scale * sum + bias + residual) for count sums from `first` on, in rows of n. */
static void epilogue(struct eval *e, size_t first, size_t count, size_t n)
{
	double scale = scale_of(e);

	for (size_t i = first; i < first + count; i++) {
		double v = e->out[0][i] * scale;

		v += e->in[2] ? e->in[2][i % n] : 0;
		v += e->in[3] ? e->in[3][i] : 0;
		e->out[0][i] = activate(e->node->n.act, v);
	}
}

/* ---- operators ---- */

/* One product: x m rows of k, w n rows of k or k rows of n. */
static int product(const double *x, const double *w, bool trans, size_t m, size_t n, size_t k,
		   double *y)
{
	double *rows = NULL;

	if (trans) {
		rows = malloc(n * k * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		for (size_t i = 0; i < k; i++)
			for (size_t j = 0; j < n; j++)
				rows[j * k + i] = w[i * n + j];
		w = rows;
	}
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++)
			y[i * n + j] = dot(x + i * k, w + j * k, k);
	free(rows);
	return 0;
}

static int eval_matmul(struct eval *e)
{
	const struct graph_tensor *x = in_tensor(e, 0), *w = in_tensor(e, 1);
	size_t k = graph_cols(x), n = graph_cols(out_tensor(e, 0)), rows = graph_rows(x);
	size_t batches = graph_elements(w) / (n * k), m = rows / batches;
	int ret = 0;

	for (size_t b = 0; b < batches && !ret; b++)
		ret = product(e->in[0] + b * m * k, e->in[1] + b * n * k, e->node->n.trans_b, m, n,
			      k, e->out[0] + b * m * n);
	if (!ret)
		epilogue(e, 0, rows * n, n);
	return ret;
}

static int eval_unary(struct eval *e)
{
	size_t n = graph_elements(in_tensor(e, 0));

	for (size_t i = 0; i < n; i++)
		e->out[0][i] = unary((enum x1_vec_op)e->node->n.vec_op, e->in[0][i]);
	return 0;
}

static int eval_binary(struct eval *e)
{
	size_t n = graph_elements(in_tensor(e, 0)), m = graph_elements(in_tensor(e, 1));

	for (size_t i = 0; i < n; i++)
		e->out[0][i] = binary((enum x1_vec_op)e->node->n.vec_op, e->in[0][i],
				      e->in[1][i % m]);
	return 0;
}

static int eval_reduce(struct eval *e)
{
	size_t rows = graph_rows(in_tensor(e, 0)), cols = graph_cols(in_tensor(e, 0));

	for (size_t r = 0; r < rows; r++) {
		const double *x = e->in[0] + r * cols;
		double v = e->node->n.vec_op == X1_VEC_RMAX ? x[0] : 0;

		for (size_t c = 0; c < cols; c++) {
			if (e->node->n.vec_op == X1_VEC_RSUM)
				v += x[c];
			else if (e->node->n.vec_op == X1_VEC_RSUMSQ)
				v += x[c] * x[c];
			else if (e->node->n.vec_op == X1_VEC_RMAX)
				v = fmax(v, x[c]);
			else
				v = fmax(v, fabs(x[c]));
		}
		e->out[0][r] = v;
	}
	return 0;
}

/* ---- images ---- */

struct image {
	size_t n, h, w, c; /* x */
	size_t oh, ow, k;  /* result */
	size_t r, s;       /* window */
	long stride[2], dilation[2], pad[2];
};

static struct image image_of(const struct eval *e, size_t r, size_t s)
{
	const struct graph_tensor *x = in_tensor(e, 0), *y = out_tensor(e, 0);
	struct image im = {
		.n = x->dim[0],
		.h = x->dim[1],
		.w = x->dim[2],
		.c = x->dim[3],
		.oh = y->dim[1],
		.ow = y->dim[2],
		.k = y->dim[3],
		.r = r,
		.s = s,
	};

	for (int i = 0; i < 2; i++) {
		im.stride[i] = e->node->n.stride[i] ? e->node->n.stride[i] : 1;
		im.dilation[i] = e->node->n.dilation[i] ? e->node->n.dilation[i] : 1;
		im.pad[i] = e->node->n.pad[i];
	}
	return im;
}

/* The pixel under tap (r, s) of the window at (oy, ox), NULL: padding. */
static const double *pixel(const struct image *im, const double *x, size_t i, size_t oy, size_t ox,
			   size_t r, size_t s)
{
	long y = (long)oy * im->stride[0] + (long)r * im->dilation[0] - im->pad[0];
	long z = (long)ox * im->stride[1] + (long)s * im->dilation[1] - im->pad[1];

	if (y < 0 || z < 0 || y >= (long)im->h || z >= (long)im->w)
		return NULL;
	return x + ((i * im->h + (size_t)y) * im->w + (size_t)z) * im->c;
}

static void conv_pixel(const struct eval *e, const struct image *im, size_t i, size_t oy, size_t ox,
		       double *y)
{
	size_t groups = e->node->n.groups ? e->node->n.groups : 1;
	size_t part = im->c / groups, filters = im->k / groups;

	memset(y, 0, im->k * sizeof(*y));
	for (size_t r = 0; r < im->r; r++) {
		for (size_t s = 0; s < im->s; s++) {
			const double *x = pixel(im, e->in[0], i, oy, ox, r, s);

			for (size_t k = 0; x && k < im->k; k++)
				y[k] += dot(x + k / filters * part,
					    e->in[1] + ((k * im->r + r) * im->s + s) * part, part);
		}
	}
}

static int eval_conv(struct eval *e)
{
	const struct graph_tensor *w = in_tensor(e, 1);
	struct image im = image_of(e, w->dim[1], w->dim[2]);

	for (size_t p = 0; p < im.n * im.oh * im.ow; p++) {
		double *y = e->out[0] + p * im.k;

		conv_pixel(e, &im, p / (im.oh * im.ow), p / im.ow % im.oh, p % im.ow, y);
		epilogue(e, p * im.k, im.k, im.k);
	}
	return 0;
}

static void pool_pixel(const struct eval *e, const struct image *im, size_t i, size_t oy, size_t ox,
		       double *y)
{
	bool max = e->node->n.pool == SILI_POOL_MAX;
	size_t inside = 0;

	for (size_t c = 0; c < im->c; c++)
		y[c] = max ? -INFINITY : 0;
	for (size_t r = 0; r < im->r; r++) {
		for (size_t s = 0; s < im->s; s++) {
			const double *x = pixel(im, e->in[0], i, oy, ox, r, s);

			inside += !!x;
			for (size_t c = 0; x && c < im->c; c++)
				y[c] = max ? fmax(y[c], x[c]) : y[c] + x[c];
		}
	}
	if (e->node->n.pool == SILI_POOL_AVG_PAD)
		inside = im->r * im->s;
	for (size_t c = 0; !max && c < im->c; c++)
		y[c] /= (double)inside;
}

static int eval_pool(struct eval *e)
{
	const struct graph_tensor *x = in_tensor(e, 0);
	const uint32_t *window = e->node->n.window;
	struct image im = image_of(e, window[0] ? window[0] : x->dim[1],
				   window[1] ? window[1] : x->dim[2]);

	for (size_t p = 0; p < im.n * im.oh * im.ow; p++)
		pool_pixel(e, &im, p / (im.oh * im.ow), p / im.ow % im.oh, p % im.ow,
			   e->out[0] + p * im.k);
	return 0;
}

static int eval_same(struct eval *e)
{
	memcpy(e->out[0], e->in[0], graph_elements(in_tensor(e, 0)) * sizeof(double));
	return 0;
}

static int (*const evals[SILI_OP_COUNT])(struct eval *e) = {
	[SILI_OP_MATMUL] = eval_matmul, [SILI_OP_UNARY] = eval_unary,
	[SILI_OP_BINARY] = eval_binary, [SILI_OP_REDUCE] = eval_reduce,
	[SILI_OP_CONVERT] = eval_same,  [SILI_OP_RESHAPE] = eval_same,
	[SILI_OP_CONV] = eval_conv,     [SILI_OP_POOL] = eval_pool,
};

/* ---- a node, a graph ---- */

/* All elements of a weight. */
static int weight_values(const struct graph_tensor *t, double **out)
{
	size_t n = graph_elements(t);
	double *v = malloc(n * sizeof(*v));
	float part[1024];

	*out = v;
	if (!v)
		return -ENOMEM;
	if (t->fmt == X1_FMT_INT32) {
		for (size_t i = 0; i < n; i++)
			v[i] = ((const int32_t *)t->data)[i];
		return 0;
	}
	for (size_t i = 0; i < n; i += 1024) {
		size_t some = n - i < 1024 ? n - i : 1024;

		sili_to_f32(t->fmt, (const char *)t->data + sili_format_bytes(t->fmt, i), part,
			    some);
		for (size_t j = 0; j < some; j++)
			v[i + j] = part[j];
	}
	return 0;
}

/* value[t] of inputs and results of nodes, NULL of weights. */
static int run_node(const struct sili_graph *g, const struct graph_node *node, double *const *value,
		    double *out[GRAPH_OUTPUTS])
{
	struct eval e = {.g = g, .node = node};
	double *mine[SILI_NODE_INPUTS] = {0};
	int ret = 0;

	for (uint32_t i = 0; i < SILI_NODE_INPUTS && !ret; i++) {
		uint32_t id = node->n.in[i];

		if (id && g->tensor[id].role == GRAPH_WEIGHT)
			ret = weight_values(&g->tensor[id], &mine[i]);
		e.in[i] = mine[i] ? mine[i] : id ? value[id] : NULL;
	}
	for (uint32_t i = 0; i < GRAPH_OUTPUTS; i++) {
		out[i] = NULL;
		if (!node->out[i] || ret)
			continue;
		out[i] = malloc(graph_elements(&g->tensor[node->out[i]]) * sizeof(double));
		if (!out[i])
			ret = -ENOMEM;
		e.out[i] = out[i];
	}
	if (!ret)
		ret = evals[node->n.op](&e);
	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++)
		free(mine[i]);
	for (uint32_t i = 0; i < GRAPH_OUTPUTS && ret; i++) {
		free(out[i]);
		out[i] = NULL;
	}
	return ret;
}

int graph_eval_constant(const struct sili_graph *g, const struct graph_node *node,
			double *out[GRAPH_OUTPUTS])
{
	return run_node(g, node, NULL, out);
}

/* Last node that reads a tensor; outputs are read by nobody after it. */
static void last_reads(const struct sili_graph *g, uint32_t *last)
{
	for (uint32_t i = 0; i < g->num_nodes; i++)
		for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++)
			last[g->node[i].n.in[j]] = i;
	for (uint32_t i = 0; i < g->num_outputs; i++)
		last[g->output[i].tensor] = UINT32_MAX;
}

static void free_read(const struct sili_graph *g, uint32_t node, const uint32_t *last,
		      double **value)
{
	for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++) {
		uint32_t id = g->node[node].n.in[j];

		if (id && g->tensor[id].role == GRAPH_VALUE && last[id] == node) {
			free(value[id]);
			value[id] = NULL;
		}
	}
}

static int run_graph(const struct sili_graph *g, double **value, const uint32_t *last)
{
	for (uint32_t i = 0; i < g->num_nodes; i++) {
		double *out[GRAPH_OUTPUTS];
		int ret = run_node(g, &g->node[i], value, out);

		if (ret)
			return ret;
		for (uint32_t j = 0; j < GRAPH_OUTPUTS; j++)
			if (out[j])
				value[g->node[i].out[j]] = out[j];
		free_read(g, i, last, value);
	}
	return 0;
}

SILI_EXPORT int sili_graph_eval(const struct sili_graph *g, const double *const *in,
				double *const *out)
{
	double **value = calloc(g->num_tensors, sizeof(*value));
	uint32_t *last = calloc(g->num_tensors, sizeof(*last));
	int ret = g->code ? -EINVAL : value && last ? 0 : -ENOMEM;

	if (!ret) {
		last_reads(g, last);
		/* Inputs are read, and never freed, by their role. */
		for (uint32_t i = 0; i < g->num_inputs; i++)
			value[g->input[i]] = (double *)(uintptr_t)in[i];
		ret = run_graph(g, value, last);
	}
	for (uint32_t i = 0; i < g->num_outputs && !ret; i++)
		memcpy(out[i], value[g->output[i].tensor],
		       graph_elements(&g->tensor[g->output[i].tensor]) * sizeof(double));
	for (uint32_t i = 0; value && i < g->num_tensors; i++)
		if (g->tensor[i].role == GRAPH_VALUE)
			free(value[i]);
	free(value);
	free(last);
	return ret;
}
