// SPDX-License-Identifier: MIT
/* Top-k and routing to experts. */
#include "ops.h"

static int emit_topk(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		     enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_topk t = *(const struct sili_topk *)c->request;

	t.src = dva[0];
	t.values = dva[1];
	t.numbers = dva[2];
	t.prefetch = prefetch;
	return sili_topk(dev, &t, cmds, OPS_CMDS);
}

static void topk(uint32_t rows, uint32_t cols, uint32_t k, bool smallest, enum x1_format src,
		 enum x1_format dst)
{
	struct sili_topk t = {.size = sizeof(t),
			      .rows = rows,
			      .cols = cols,
			      .k = k,
			      .smallest = smallest,
			      .src_fmt = src,
			      .dst_fmt = dst};
	double *want = malloc((size_t)rows * k * sizeof(*want));
	int32_t *number = malloc((size_t)rows * k * sizeof(*number));
	struct ops_case c;

	ops_case(&c, "top-k", &t, emit_topk);
	ops_random(&c, src, (size_t)rows * cols, 4);
	ops_output(&c, dst, (size_t)rows * k);
	ops_output(&c, X1_FMT_INT32, (size_t)rows * k);
	ops_what(&c, "%s → %s%s", sili_format_name(src), sili_format_name(dst),
		 smallest ? ", smallest" : "");
	ops_shape(&c, "%u of %u × %u", k, rows, cols);
	ops_run(&c);
	for (uint32_t r = 0; r < rows; r++) {
		const double *x = c.buf[0].v + (size_t)r * cols;

		/* Each is the best of those that come after the one before. */
		for (uint32_t i = 0; i < k; i++) {
			int32_t last = i ? number[(size_t)r * k + i - 1] : -1, best = -1;

			for (int32_t j = 0; j < (int32_t)cols; j++) {
				double v = smallest ? -x[j] : x[j];
				double before = last < 0 ? INFINITY : smallest ? -x[last] : x[last];

				if (v > before || (v == before && j <= last))
					continue;
				if (best < 0 || v > (smallest ? -x[best] : x[best]))
					best = j;
			}
			number[(size_t)r * k + i] = best;
			want[(size_t)r * k + i] = x[best];
		}
	}
	ops_expect(&c, 1, want, NULL);
	ops_expect_bytes(&c, 2, number);
	ops_end(&c);
	free(want);
	free(number);
}

/* ---- routing ---- */

enum {
	LOGITS,
	CHOSEN,
	WEIGHTS,
	ROW_OF,
	TOKEN_OF,
	COUNTS,
	OFFSETS,
	BIAS,
};

static int emit_route(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		      enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_route r = *(const struct sili_route *)c->request;

	r.logits = dva[LOGITS];
	r.chosen = dva[CHOSEN];
	r.weights = dva[WEIGHTS];
	r.row_of = dva[ROW_OF];
	r.token_of = dva[TOKEN_OF];
	r.counts = dva[COUNTS];
	r.offsets = dva[OFFSETS];
	r.bias = c->num > BIAS ? dva[BIAS] : 0;
	r.work = dva[c->num];
	r.prefetch = prefetch;
	return sili_route(dev, &r, cmds, OPS_CMDS);
}

/* Scores of a token, and what is chosen by; groups that lose are -inf. */
static void score(const struct sili_route *r, const struct ops_case *c, uint32_t token, double *s,
		  double *by)
{
	uint32_t each = r->experts / r->groups;
	double top = -INFINITY, sum = 0, best[64];
	bool out[64] = {false};

	for (uint32_t e = 0; e < r->experts; e++)
		top = fmax(top, ops_get(c, LOGITS, (size_t)token * r->experts + e));
	for (uint32_t e = 0; e < r->experts; e++) {
		double x = ops_get(c, LOGITS, (size_t)token * r->experts + e);

		s[e] = r->gate == SILI_GATE_SIGMOID ? 1 / (1 + exp(-x)) : exp(x - top);
		sum += s[e];
	}
	for (uint32_t e = 0; e < r->experts; e++) {
		if (r->gate == SILI_GATE_SOFTMAX)
			s[e] /= sum;
		by[e] = s[e] + (c->num > BIAS ? ops_get(c, BIAS, e) : 0);
	}
	for (uint32_t g = 0; g < r->groups; g++) {
		double one = -INFINITY, two = -INFINITY;

		for (uint32_t e = g * each; e < (g + 1) * each; e++) {
			if (by[e] > one) {
				two = one;
				one = by[e];
			} else if (by[e] > two) {
				two = by[e];
			}
		}
		best[g] = one + (r->group_best == 2 && each > 1 ? two : 0);
	}
	for (uint32_t i = 0; i < r->groups - r->top_groups; i++) {
		uint32_t worst = r->groups;

		for (uint32_t g = 0; g < r->groups; g++)
			if (!out[g] && (worst == r->groups || best[g] <= best[worst]))
				worst = g;
		out[worst] = true;
	}
	for (uint32_t e = 0; e < r->experts; e++)
		if (out[e / each])
			by[e] = -INFINITY;
}

static void route(uint32_t tokens, uint32_t experts, uint32_t top_k, uint32_t groups,
		  uint32_t top_groups, uint32_t best, enum sili_gate gate, bool bias,
		  bool normalise)
{
	struct sili_route r = {.size = sizeof(r),
			       .tokens = tokens,
			       .experts = experts,
			       .top_k = top_k,
			       .groups = groups,
			       .top_groups = top_groups,
			       .group_best = best,
			       .gate = gate,
			       .normalise = normalise,
			       .scale = normalise ? 2.5f : 0,
			       .logits_fmt = X1_FMT_FP32};
	size_t pairs = (size_t)tokens * top_k;
	double *s = malloc(experts * sizeof(*s)), *by = malloc(experts * sizeof(*by));
	double *want = malloc(pairs * sizeof(*want)), *tol = malloc(pairs * sizeof(*tol));
	int32_t *chosen = malloc(pairs * 4), *row = malloc(pairs * 4), *token = malloc(pairs * 4);
	uint32_t *count = calloc(experts + 1, 4), *offset = calloc(experts + 1, 4);
	struct ops_case c;

	ops_case(&c, "routing", &r, emit_route);
	ops_random(&c, X1_FMT_FP32, (size_t)tokens * experts, 3);
	ops_output(&c, X1_FMT_INT32, pairs);
	ops_output(&c, X1_FMT_FP32, pairs);
	ops_output(&c, X1_FMT_INT32, pairs);
	ops_output(&c, X1_FMT_INT32, pairs);
	ops_output(&c, X1_FMT_INT32, experts);
	ops_output(&c, X1_FMT_INT32, experts + 1);
	if (bias)
		ops_random(&c, X1_FMT_FP32, experts, 0.1);
	c.work_bytes = (uint64_t)sili_route_work_bytes(&r);
	ops_what(&c, "fp32, %s%s%s", gate == SILI_GATE_SIGMOID ? "sigmoid" : "softmax",
		 bias ? ", bias" : "", groups > 1 ? ", groups" : "");
	ops_shape(&c, "%u × %u, %u", tokens, experts, top_k);
	ops_run(&c);
	for (uint32_t t = 0; t < tokens; t++) {
		double sum = 0;

		score(&r, &c, t, s, by);
		for (uint32_t i = 0; i < top_k; i++) {
			uint32_t e = 0;

			for (uint32_t j = 1; j < experts; j++)
				if (by[j] > by[e])
					e = j;
			by[e] = -INFINITY;
			chosen[t * top_k + i] = (int32_t)e;
			want[t * top_k + i] = s[e];
			sum += s[e];
			count[e]++;
		}
		for (uint32_t i = 0; i < top_k; i++) {
			double *w = &want[t * top_k + i];

			*w *= normalise ? 2.5 / sum : 1;
			tol[t * top_k + i] = *w * 0x1p-20;
		}
	}
	for (uint32_t e = 0; e < experts; e++)
		offset[e + 1] = offset[e] + count[e];
	ops_expect_bytes(&c, CHOSEN, chosen);
	ops_expect(&c, WEIGHTS, want, tol);
	ops_expect_bytes(&c, COUNTS, count);
	ops_expect_bytes(&c, OFFSETS, offset);
	for (size_t i = 0; i < pairs; i++) {
		row[i] = (int32_t)offset[chosen[i]]++;
		token[row[i]] = (int32_t)(i / top_k);
	}
	ops_expect_bytes(&c, ROW_OF, row);
	ops_expect_bytes(&c, TOKEN_OF, token);
	ops_end(&c);
	free(s);
	free(by);
	free(want);
	free(tol);
	free(chosen);
	free(row);
	free(token);
	free(count);
	free(offset);
}

/* ---- a layer of experts, from tokens to tokens ---- */

enum {
	E_TOKENS,
	E_LOGITS,
	E_EXPERTS, /* weights of all experts */
	E_OUT,
};

struct layer {
	uint32_t tokens, experts, top_k, n, k;
};

static uint64_t take(uint64_t *at, uint64_t bytes)
{
	uint64_t dva = *at;

	*at += (bytes + 255) / 256 * 256;
	return dva;
}

/* Route, gather, grouped GEMM by the route's offsets, weighted bags. */
static int emit_layer(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		      enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	const struct layer *l = c->request;
	uint32_t rows = l->tokens * l->top_k;
	uint64_t at = dva[c->num];
	struct sili_route r = {.size = sizeof(r),
			       .tokens = l->tokens,
			       .experts = l->experts,
			       .top_k = l->top_k,
			       .gate = SILI_GATE_SOFTMAX,
			       .normalise = true,
			       .logits = dva[E_LOGITS],
			       .chosen = take(&at, rows * 4),
			       .weights = take(&at, rows * 4),
			       .row_of = take(&at, rows * 4),
			       .token_of = take(&at, rows * 4),
			       .counts = take(&at, l->experts * 4),
			       .offsets = take(&at, l->experts * 4 + 4),
			       .prefetch = prefetch};
	struct sili_rows g = {.size = sizeof(g),
			      .rows = rows,
			      .cols = l->k,
			      .limit = l->tokens,
			      .src_fmt = X1_FMT_FP16,
			      .dst_fmt = X1_FMT_FP16,
			      .src = dva[E_TOKENS],
			      .dst = take(&at, rows * 2ull * l->k),
			      .index = r.token_of,
			      .prefetch = prefetch};
	struct sili_gemm m = {.size = sizeof(m),
			      .m = rows,
			      .n = l->n,
			      .k = l->k,
			      .a_fmt = X1_FMT_FP16,
			      .b_fmt = X1_FMT_FP16,
			      .a = g.dst,
			      .b = dva[E_EXPERTS],
			      .c = take(&at, rows * 4ull * l->n),
			      .batch = l->experts,
			      .group = SILI_GROUP_CONTIGUOUS,
			      .group_table = r.offsets,
			      .b_batch = 2ull * l->n * l->k,
			      .prefetch = prefetch};
	struct sili_bag b = {.size = sizeof(b),
			     .bags = l->tokens,
			     .cols = l->n,
			     .limit = rows,
			     .bag_size = l->top_k,
			     .table = m.c,
			     .dst = dva[E_OUT],
			     .index = r.row_of,
			     .weights = r.weights,
			     .prefetch = prefetch};
	int n;

	r.work = take(&at, (uint64_t)sili_route_work_bytes(&r));
	assert_true(at - dva[c->num] <= c->work_bytes);
	n = sili_route(dev, &r, cmds, OPS_CMDS);
	assert_int_equal(n, 2);
	n += sili_gather(dev, &g, cmds + n, 1);
	n += sili_gemm(dev, &m, cmds + n, 4, NULL);
	return n + sili_bag(dev, &b, cmds + n, 1);
}

static void layer(uint32_t tokens, uint32_t experts, uint32_t top_k, uint32_t n, uint32_t k)
{
	struct layer l = {tokens, experts, top_k, n, k};
	size_t out = (size_t)tokens * n;
	double *want = calloc(out, sizeof(*want)), *tol = calloc(out, sizeof(*tol));
	struct ops_case c;

	ops_case(&c, "layer of experts", &l, emit_layer);
	ops_random(&c, X1_FMT_FP16, (size_t)tokens * k, 2);
	ops_random(&c, X1_FMT_FP32, (size_t)tokens * experts, 3);
	ops_random(&c, X1_FMT_FP16, (size_t)experts * n * k, 1);
	ops_output(&c, X1_FMT_FP32, out);
	c.work_bytes = (uint64_t)tokens * top_k * (16 + 2 * k + 4 * n) +
		       4ull * experts * (tokens + 2) + 12 * 256;
	ops_what(&c, "fp16 → fp32");
	ops_shape(&c, "%u × %u, %u of %u, %u", tokens, k, top_k, experts, n);
	ops_run(&c);
	for (uint32_t t = 0; t < tokens && !ops_measure; t++) {
		const double *x = c.buf[E_LOGITS].v + (size_t)t * experts;
		double last = INFINITY, sum = 0;

		/* Logits differ: each pass takes the largest below the last one. */
		for (int pass = 0; pass < 2; pass++, last = INFINITY)
			for (uint32_t i = 0; i < top_k; i++) {
				uint32_t e = experts;

				for (uint32_t j = 0; j < experts; j++)
					if (x[j] < last && (e == experts || x[j] > x[e]))
						e = j;
				last = x[e];
				if (!pass)
					sum += exp(x[e]);
				for (uint32_t j = 0; j < n && pass; j++) {
					double p = 0, abs = 0, w = exp(x[e]) / sum;

					for (uint32_t q = 0; q < k; q++) {
						double v = ops_get(&c, E_TOKENS,
								   (size_t)t * k + q) *
							   ops_get(&c, E_EXPERTS,
								   ((size_t)e * n + j) * k + q);

						p += v;
						abs += fabs(v);
					}
					want[(size_t)t * n + j] += w * p;
					tol[(size_t)t * n + j] += w * abs * 0x1p-23 *
								  (24 + k / 32.0);
				}
			}
	}
	if (!ops_measure)
		ops_expect(&c, E_OUT, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

static void bad_requests(void)
{
	struct sili_topk t = {.size = sizeof(t), .rows = 2, .cols = 100, .k = 4};
	struct sili_route r = {.size = sizeof(r),
			       .tokens = 8,
			       .experts = 16,
			       .top_k = 2,
			       .chosen = 4096,
			       .weights = 4096,
			       .row_of = 4096,
			       .token_of = 4096,
			       .counts = 4096,
			       .offsets = 4096,
			       .work = 4096};
	struct sili_device *dev = ops_device();
	union x1_cmd cmd[4];

	OPS_REFUSED(sili_topk, t, size, 0, -EINVAL);
	OPS_REFUSED(sili_topk, t, k, 0, -EINVAL);
	OPS_REFUSED(sili_topk, t, k, 101, -EINVAL);
	OPS_REFUSED(sili_topk, t, k, 65, -E2BIG);
	OPS_REFUSED(sili_route, r, size, 0, -EINVAL);
	OPS_REFUSED(sili_route, r, top_k, 17, -EINVAL);
	OPS_REFUSED(sili_route, r, groups, 3, -EINVAL);
	OPS_REFUSED(sili_route, r, top_groups, 2, -EINVAL);
	OPS_REFUSED(sili_route, r, work, 0, -EINVAL);
	OPS_REFUSED(sili_route, r, gate, (enum sili_gate)2, -EINVAL);
	OPS_REFUSED(sili_route, r, experts, 4096, -E2BIG);
	assert_int_equal(sili_route(dev, &r, cmd, 1), -ENOSPC);
}

void ops_route(void **state)
{
	(void)state;
	if (ops_measure) {
		topk(4096, 1024, 8, false, X1_FMT_FP32, X1_FMT_FP32);
		route(4096, 256, 8, 8, 4, 2, SILI_GATE_SIGMOID, true, true);
		route(4096, 64, 6, 1, 1, 2, SILI_GATE_SOFTMAX, false, false);
		layer(2048, 64, 6, 512, 1024);
		return;
	}
	bad_requests();
	topk(1, 1, 1, false, X1_FMT_FP32, X1_FMT_FP32);
	topk(70, 64, 5, false, X1_FMT_FP16, X1_FMT_FP16);
	topk(70, 64, 5, true, X1_FMT_E4M3, X1_FMT_FP32);
	topk(9, 100, 64, false, X1_FMT_BF16, X1_FMT_E4M3);
	topk(3, 16384 + 5, 7, false, X1_FMT_FP16, X1_FMT_FP32);
	topk(2, 40000, 9, true, X1_FMT_FP16, X1_FMT_FP16);
	route(1, 1, 1, 1, 1, 2, SILI_GATE_SOFTMAX, false, false);
	route(100, 16, 2, 1, 1, 2, SILI_GATE_SOFTMAX, false, true);
	route(1000, 32, 4, 4, 2, 1, SILI_GATE_SOFTMAX, false, false);
	route(777, 64, 6, 8, 4, 2, SILI_GATE_SIGMOID, true, true);
	route(5, 300, 20, 1, 1, 2, SILI_GATE_SIGMOID, true, false);
	route(300, 8, 8, 2, 2, 2, SILI_GATE_SOFTMAX, true, true);
	route(70, 2048, 5, 1, 1, 2, SILI_GATE_SIGMOID, false, true);
	layer(90, 8, 2, 40, 64);
	layer(7, 16, 3, 24, 32);
}
