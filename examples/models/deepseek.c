// SPDX-License-Identifier: MIT
/*
 * A block of DeepSeek-V3 at its widths with few of its experts: attention over
 * a compressed cache (MLA), then a mixture of experts beside a shared one. The
 * up-projections of keys and values are absorbed: queries are taken to the
 * latent space, and attention reads the cache as it is, one head for all.
 */
#include <math.h>
#include <stdio.h>

#include "models.h"

#define WIDTH   7168u
#define HEADS   128u
#define Q_RANK  1536u
#define LATENT  512u
#define NOPE    128u /* of a head, without position */
#define ROPE    64u
#define VALUE   128u
#define INNER   2048u
#define EXPERTS 8u
#define TOP_K   4u

static uint32_t linear(struct sili_graph *g, const char *name, uint32_t x, uint32_t n, uint32_t k,
		       enum sili_act act)
{
	const uint32_t dim[] = {n, k};
	char full[SILI_NAME_LEN];
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_MATMUL, .name = name, .act = act, .in = {x}};

	snprintf(full, sizeof(full), "%.56s.w", name);
	node.in[1] = m_weight(g, full, 2, dim, sqrtf(3.0f / (float)k));
	return sili_graph_add(g, &node);
}

/* A product for each head, x (heads, tokens, k). */
static uint32_t by_head(struct sili_graph *g, const char *name, uint32_t x, uint32_t n, uint32_t k)
{
	const uint32_t dim[] = {HEADS, n, k};
	char full[SILI_NAME_LEN];
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_MATMUL, .name = name, .in = {x}};

	snprintf(full, sizeof(full), "%.56s.w", name);
	node.in[1] = m_weight(g, full, 3, dim, sqrtf(3.0f / (float)k));
	return sili_graph_add(g, &node);
}

static uint32_t rms_norm(struct sili_graph *g, const char *name, uint32_t x, uint32_t n)
{
	char full[SILI_NAME_LEN];
	struct sili_node node = {.size = sizeof(node),
				 .op = SILI_OP_NORM,
				 .name = name,
				 .in = {x},
				 .rms = 1,
				 .eps = 1e-6f};
	float *gain;

	snprintf(full, sizeof(full), "%.56s.gain", name);
	node.in[1] = m_weight(g, full, 1, &n, 0.1f);
	gain = sili_graph_data(g, node.in[1]);
	for (uint32_t i = 0; gain && i < n; i++)
		gain[i] += 1;
	return sili_graph_add(g, &node);
}

/* Cosines and sines of tokens' places; base 10,000. */
static uint32_t table(struct sili_graph *g, const char *name, uint32_t tokens, double (*f)(double))
{
	const uint32_t dim[] = {tokens, ROPE / 2};
	uint32_t id = m_weight(g, name, 2, dim, 0);
	float *v = sili_graph_data(g, id);

	for (uint32_t t = 0; v && t < tokens; t++)
		for (uint32_t i = 0; i < ROPE / 2; i++)
			v[t * ROPE / 2 + i] = (float)f(t * pow(10000, -2.0 * i / ROPE));
	return id;
}

static uint32_t transpose(struct sili_graph *g, uint32_t x)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_TRANSPOSE,
						     .in = {x},
						     .perm = {1, 0, 2}});
}

static uint32_t concat(struct sili_graph *g, const char *name, uint32_t a, uint32_t b)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_CONCAT,
						     .name = name,
						     .in = {a, b},
						     .axis = 2});
}

static uint32_t rope(struct sili_graph *g, const char *name, uint32_t x, uint32_t heads,
		     uint32_t cosines, uint32_t sines)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_ROPE,
						     .name = name,
						     .in = {x, cosines, sines},
						     .heads = heads,
						     .rotate = ROPE,
						     .interleaved = 1});
}

/* x (1, tokens, WIDTH) to the sum of all heads. */
static uint32_t attention(struct sili_graph *g, uint32_t x, uint32_t tokens)
{
	const uint32_t head = ROPE + NOPE, cached = LATENT + ROPE;
	uint32_t cosines = table(g, "cosines", tokens, cos), sines = table(g, "sines", tokens, sin);
	struct sili_node n = {.size = sizeof(n), .op = SILI_OP_ATTENTION, .name = "attention"};
	uint32_t q, k, latent, absorbed;

	/* Queries: the part with positions comes first in a head. */
	q = rms_norm(g, "q.norm", linear(g, "q.down", x, Q_RANK, WIDTH, SILI_ACT_NONE), Q_RANK);
	q = linear(g, "q.up", q, HEADS * head, Q_RANK, SILI_ACT_NONE);
	q = rope(g, "q.rope", q, HEADS, cosines, sines);
	q = transpose(g, m_reshape(g, q, 3, (uint32_t[]){tokens, HEADS, head}));
	absorbed = by_head(g, "k.absorbed", m_slice(g, q, 2, ROPE, NOPE), LATENT, NOPE);
	q = transpose(g, concat(g, "queries", absorbed, m_slice(g, q, 2, 0, ROPE)));
	q = m_reshape(g, q, 3, (uint32_t[]){1, tokens, HEADS * cached});

	/* The cache: a latent row and a key with positions for each token. */
	k = linear(g, "kv.down", x, cached, WIDTH, SILI_ACT_NONE);
	latent = rms_norm(g, "kv.norm", m_slice(g, k, 2, 0, LATENT), LATENT);
	k = rope(g, "k.rope", m_slice(g, k, 2, LATENT, ROPE), 1, cosines, sines);
	k = concat(g, "cache", latent, k);

	n.in[0] = q;
	n.in[1] = k;
	n.in[2] = m_slice(g, k, 2, 0, LATENT);
	n.heads = HEADS;
	n.kv_heads = 1;
	n.causal = 1;
	n.scale = 1.0f / sqrtf((float)head);
	q = m_reshape(g, sili_graph_add(g, &n), 3, (uint32_t[]){tokens, HEADS, LATENT});
	q = transpose(g, by_head(g, "v.absorbed", transpose(g, q), VALUE, LATENT));
	q = m_reshape(g, q, 3, (uint32_t[]){1, tokens, HEADS * VALUE});
	return linear(g, "out", q, WIDTH, HEADS * VALUE, SILI_ACT_NONE);
}

static uint32_t experts(struct sili_graph *g, uint32_t x)
{
	const uint32_t up[] = {EXPERTS, INNER, WIDTH}, down[] = {EXPERTS, WIDTH, INNER};
	const uint32_t n = EXPERTS;
	struct sili_node node = {.size = sizeof(node),
				 .op = SILI_OP_MOE,
				 .name = "experts",
				 .top_k = TOP_K,
				 .groups = 4,
				 .top_groups = 2,
				 .gate = SILI_GATE_SIGMOID,
				 .normalise = 1,
				 .scale = 2.5f};

	node.in[0] = x;
	node.in[1] = linear(g, "router", x, EXPERTS, WIDTH, SILI_ACT_NONE);
	/* The choice is made in a precision that FP8 has not. */
	sili_graph_set_precision(g, "router", SILI_PRECISION(X1_FMT_BF16));
	node.in[2] = m_weight(g, "router.bias", 1, &n, 0.1f);
	node.in[3] = m_weight(g, "experts.gate", 3, up, sqrtf(3.0f / WIDTH));
	node.in[4] = m_weight(g, "experts.up", 3, up, sqrtf(3.0f / WIDTH));
	node.in[5] = m_weight(g, "experts.down", 3, down, sqrtf(3.0f / INNER));
	return sili_graph_add(g, &node);
}

static uint32_t shared_expert(struct sili_graph *g, uint32_t x)
{
	uint32_t gate = linear(g, "shared.gate", x, INNER, WIDTH, SILI_ACT_SILU);
	uint32_t up = linear(g, "shared.up", x, INNER, WIDTH, SILI_ACT_NONE);

	gate = m_binary(g, "shared.product", X1_VEC_MUL, gate, up);
	return linear(g, "shared.down", gate, WIDTH, INNER, SILI_ACT_NONE);
}

struct sili_graph *deepseek_block(const struct model_size *size)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t dim[] = {1, size->tokens, WIDTH};
	uint32_t x, y;

	if (!g)
		return NULL;
	x = sili_graph_input(g, "x", X1_FMT_BF16, 3, dim);
	y = attention(g, rms_norm(g, "norm1", x, WIDTH), size->tokens);
	x = m_binary(g, "sum1", X1_VEC_ADD, y, x);
	y = rms_norm(g, "norm2", x, WIDTH);
	x = m_binary(g, "sum2", X1_VEC_ADD, shared_expert(g, y), x);
	x = m_binary(g, "sum3", X1_VEC_ADD, experts(g, y), x);
	sili_graph_output(g, x, "y", X1_FMT_BF16);
	return g;
}
