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
	const struct graph_tensor *x = in_tensor(e, 0), *y = in_tensor(e, 1);
	size_t n = graph_elements(x), m = graph_elements(y), cols = graph_cols(x);
	bool column = m < n && y->rank == x->rank;

	for (size_t i = 0; i < n; i++)
		e->out[0][i] = binary((enum x1_vec_op)e->node->n.vec_op, e->in[0][i],
				      e->in[1][column ? i / cols : i % m]);
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

/* ---- rows ---- */

static void softmax_row(double *x, size_t n)
{
	double most = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, x[i]);
	for (size_t i = 0; i < n; i++)
		sum += x[i] = exp(x[i] - most);
	for (size_t i = 0; i < n; i++)
		x[i] /= sum;
}

static int eval_softmax(struct eval *e)
{
	size_t rows = graph_rows(in_tensor(e, 0)), cols = graph_cols(in_tensor(e, 0));
	size_t masks = e->in[1] ? in_tensor(e, 1)->dim[0] : 1;

	for (size_t r = 0; r < rows; r++) {
		double *y = e->out[0] + r * cols;

		for (size_t c = 0; c < cols; c++)
			y[c] = scale_of(e) * e->in[0][r * cols + c] +
			       (e->in[1] ? e->in[1][r % masks * cols + c] : 0);
		softmax_row(y, cols);
	}
	return 0;
}

static int eval_norm(struct eval *e)
{
	size_t rows = graph_rows(in_tensor(e, 0)), cols = graph_cols(in_tensor(e, 0));

	for (size_t r = 0; r < rows; r++) {
		const double *x = e->in[0] + r * cols;
		double mean = 0, var = 0, f;

		for (size_t c = 0; c < cols && !e->node->n.rms; c++)
			mean += x[c] / (double)cols;
		for (size_t c = 0; c < cols; c++)
			var += (x[c] - mean) * (x[c] - mean) / (double)cols;
		f = 1 / sqrt(var + (double)e->node->n.eps);
		for (size_t c = 0; c < cols; c++)
			e->out[0][r * cols + c] = (x[c] - mean) * f * (e->in[1] ? e->in[1][c] : 1) +
						  (e->in[2] ? e->in[2][c] : 0);
	}
	return 0;
}

/* Scores of one query and head, hidden keys -infinity; then their average of v. */
static void attend(const struct eval *e, size_t b, size_t i, size_t head, double *score, double *y)
{
	const struct sili_node *n = &e->node->n;
	size_t s = in_tensor(e, 0)->dim[1], t = in_tensor(e, 1)->dim[1];
	size_t kv = n->kv_heads ? n->kv_heads : n->heads, group = head / (n->heads / kv);
	size_t d = graph_cols(in_tensor(e, 0)) / n->heads, dv = graph_cols(in_tensor(e, 2)) / kv;
	size_t place = t - s + i;
	double scale = n->scale == 0.0f ? 1 / sqrt((double)d) : (double)n->scale;

	for (size_t j = 0; j < t; j++) {
		bool seen = !n->causal ||
			    (j <= place && (!n->window_len || j + n->window_len > place));

		score[j] = -INFINITY;
		if (seen)
			score[j] = scale * dot(e->in[0] + ((b * s + i) * n->heads + head) * d,
					       e->in[1] + ((b * t + j) * kv + group) * d, d) +
				   (e->in[3] ? e->in[3][i * t + j] : 0);
	}
	softmax_row(score, t);
	memset(y, 0, dv * sizeof(*y));
	for (size_t j = 0; j < t; j++) {
		const double *v = e->in[2] + ((b * t + j) * kv + group) * dv;

		for (size_t c = 0; c < dv && score[j] != 0; c++)
			y[c] += score[j] * v[c];
	}
}

static int eval_attention(struct eval *e)
{
	const struct graph_tensor *q = in_tensor(e, 0);
	size_t heads = e->node->n.heads, dv = graph_cols(out_tensor(e, 0)) / heads;
	double *score = malloc(in_tensor(e, 1)->dim[1] * sizeof(*score));

	if (!score)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)q->dim[0] * q->dim[1] * heads; i++)
		attend(e, i / heads / q->dim[1], i / heads % q->dim[1], i % heads, score,
		       e->out[0] + i * dv);
	free(score);
	return 0;
}

static int eval_rope(struct eval *e)
{
	const struct graph_tensor *x = in_tensor(e, 0);
	size_t heads = e->node->n.heads, d = graph_cols(x) / heads, tokens = x->dim[1];
	size_t half = (e->node->n.rotate ? e->node->n.rotate : d) / 2;
	bool next = e->node->n.interleaved;

	memcpy(e->out[0], e->in[0], graph_elements(x) * sizeof(double));
	for (size_t h = 0; h < graph_rows(x) * heads; h++) {
		const double *in = e->in[0] + h * d;
		double *out = e->out[0] + h * d;
		size_t token = h / heads % tokens;

		for (size_t i = 0; i < half; i++) {
			double c = e->in[1][token * half + i], s = e->in[2][token * half + i];
			size_t a = next ? 2 * i : i, b = next ? 2 * i + 1 : i + half;

			out[a] = in[a] * c - in[b] * s;
			out[b] = in[a] * s + in[b] * c;
		}
	}
	return 0;
}

static int eval_embedding(struct eval *e)
{
	const struct graph_tensor *table = in_tensor(e, 1);
	size_t n = graph_elements(in_tensor(e, 0)), cols = graph_cols(table);

	for (size_t i = 0; i < n; i++) {
		double id = e->in[0][i];

		if (id >= 0 && id < table->dim[0])
			memcpy(e->out[0] + i * cols, e->in[1] + (size_t)id * cols,
			       cols * sizeof(double));
		else
			memset(e->out[0] + i * cols, 0, cols * sizeof(double));
	}
	return 0;
}

/* ---- experts ---- */

/* Of a token: scores, and by how much each expert's result counts, 0 = not chosen. */
static void route(const struct eval *e, const double *logits, size_t n, double *score,
		  double *weight)
{
	const struct sili_node *node = &e->node->n;
	size_t groups = node->groups ? node->groups : 1, per = n / groups;
	size_t open = node->top_groups ? node->top_groups : groups;
	const double *bias = e->in[2];
	double sum = 0;

	memcpy(score, logits, n * sizeof(*score));
	if (node->gate == SILI_GATE_SOFTMAX)
		softmax_row(score, n);
	for (size_t i = 0; i < n; i++) {
		if (node->gate == SILI_GATE_SIGMOID)
			score[i] = 1 / (1 + exp(-logits[i]));
		weight[i] = 0;
	}
	for (size_t k = 0; k < node->top_k; k++) {
		size_t best = n;

		for (size_t i = 0; i < n; i++) {
			size_t better = 0;
			double mine = 0;

			/* Groups whose two largest have a larger sum than this one's. */
			for (size_t g = 0; g < groups && open < groups; g++) {
				size_t at = g == 0 ? i / per : g - (g <= i / per);
				double a = -INFINITY, b = -INFINITY;

				for (size_t j = at * per; j < (at + 1) * per; j++) {
					double v = score[j] + bias[j];

					b = v > a ? a : fmax(b, v);
					a = fmax(a, v);
				}
				if (g == 0)
					mine = a + (per > 1 ? b : 0);
				else if (a + (per > 1 ? b : 0) > mine ||
					 (a + (per > 1 ? b : 0) == mine && at < i / per))
					better++;
			}
			if (weight[i] == 0 && better < open &&
			    (best == n || score[i] + bias[i] > score[best] + bias[best]))
				best = i;
		}
		weight[best] = score[best];
		sum += score[best];
	}
	for (size_t i = 0; i < n; i++)
		weight[i] *= scale_of(e) / (node->normalise ? sum : 1);
}

static int eval_moe(struct eval *e)
{
	size_t tokens = graph_rows(in_tensor(e, 0)), c = graph_cols(in_tensor(e, 0));
	size_t n = graph_cols(in_tensor(e, 1)), inner = in_tensor(e, 3)->dim[1];
	double *work = malloc((2 * n + inner) * sizeof(*work));

	if (!work)
		return -ENOMEM;
	memset(e->out[0], 0, tokens * c * sizeof(double));
	for (size_t t = 0; t < tokens; t++) {
		const double *x = e->in[0] + t * c;
		double *weight = work + n, *h = work + 2 * n;

		route(e, e->in[1] + t * n, n, work, weight);
		for (size_t i = 0; i < n; i++) {
			if (weight[i] == 0)
				continue;
			for (size_t j = 0; j < inner; j++)
				h[j] = unary(X1_VEC_SILU,
					     dot(x, e->in[3] + (i * inner + j) * c, c)) *
				       dot(x, e->in[4] + (i * inner + j) * c, c);
			for (size_t j = 0; j < c; j++)
				e->out[0][t * c + j] +=
					weight[i] * dot(h, e->in[5] + (i * c + j) * inner, inner);
		}
	}
	free(work);
	return 0;
}

/* ---- moving ---- */

/* Elements before and behind a dimension. */
static void around(const struct graph_tensor *t, uint32_t axis, size_t *outer, size_t *inner)
{
	*outer = *inner = 1;
	for (uint32_t i = 0; i < axis; i++)
		*outer *= t->dim[i];
	for (uint32_t i = axis + 1; i < t->rank; i++)
		*inner *= t->dim[i];
}

static int eval_slice(struct eval *e)
{
	const struct sili_node *n = &e->node->n;
	size_t outer, inner, row = in_tensor(e, 0)->dim[n->axis];

	around(in_tensor(e, 0), n->axis, &outer, &inner);
	for (size_t i = 0; i < outer; i++)
		memcpy(e->out[0] + i * n->length * inner, e->in[0] + (i * row + n->start) * inner,
		       n->length * inner * sizeof(double));
	return 0;
}

static int eval_concat(struct eval *e)
{
	size_t outer, inner, row = out_tensor(e, 0)->dim[e->node->n.axis], at = 0;

	around(out_tensor(e, 0), e->node->n.axis, &outer, &inner);
	for (uint32_t j = 0; j < SILI_NODE_INPUTS; j++) {
		size_t part = e->in[j] ? in_tensor(e, j)->dim[e->node->n.axis] : 0;

		for (size_t i = 0; i < outer && part; i++)
			memcpy(e->out[0] + (i * row + at) * inner, e->in[j] + i * part * inner,
			       part * inner * sizeof(double));
		at += part;
	}
	return 0;
}

static int eval_transpose(struct eval *e)
{
	const struct graph_tensor *x = in_tensor(e, 0), *y = out_tensor(e, 0);
	size_t stride[4] = {0}, n = graph_elements(x);

	for (uint32_t i = 0; i < y->rank; i++) {
		stride[i] = 1;
		for (uint32_t j = e->node->n.perm[i] + 1; j < x->rank; j++)
			stride[i] *= x->dim[j];
	}
	for (size_t i = 0; i < n; i++) {
		size_t left = i, from = 0;

		for (uint32_t d = y->rank; d-- > 0; left /= y->dim[d])
			from += left % y->dim[d] * stride[d];
		e->out[0][i] = e->in[0][from];
	}
	return 0;
}

static int eval_same(struct eval *e)
{
	memcpy(e->out[0], e->in[0], graph_elements(in_tensor(e, 0)) * sizeof(double));
	return 0;
}

static int (*const evals[SILI_OP_COUNT])(struct eval *e) = {
	[SILI_OP_MATMUL] = eval_matmul,
	[SILI_OP_UNARY] = eval_unary,
	[SILI_OP_BINARY] = eval_binary,
	[SILI_OP_REDUCE] = eval_reduce,
	[SILI_OP_CONVERT] = eval_same,
	[SILI_OP_RESHAPE] = eval_same,
	[SILI_OP_CONV] = eval_conv,
	[SILI_OP_POOL] = eval_pool,
	[SILI_OP_SOFTMAX] = eval_softmax,
	[SILI_OP_NORM] = eval_norm,
	[SILI_OP_ATTENTION] = eval_attention,
	[SILI_OP_ROPE] = eval_rope,
	[SILI_OP_EMBEDDING] = eval_embedding,
	[SILI_OP_SLICE] = eval_slice,
	[SILI_OP_CONCAT] = eval_concat,
	[SILI_OP_TRANSPOSE] = eval_transpose,
	[SILI_OP_MOE] = eval_moe,
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
