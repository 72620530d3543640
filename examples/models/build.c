// SPDX-License-Identifier: MIT
/* What the models are built from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models.h"

const struct model models[] = {
	{.name = "bert_base",
	 .what = "BERT-base, encoder of 12 layers",
	 .size = {1, 12, 128},
	 .ids = 30522,
	 .build = bert_base},
	{.name = "gpt2",
	 .what = "GPT-2 (124 M), prefill, logits of the last token",
	 .size = {1, 12, 128},
	 .ids = 50257,
	 .build = gpt2},
	{.name = "resnet50",
	 .what = "ResNet-50 v1.5, 224 x 224, in FP8 throughout",
	 .size = {1, 16, 0},
	 .values = SILI_PRECISION(X1_FMT_E4M3),
	 .build = resnet50},
	{.name = "vit_b16", .what = "ViT-B/16, 224 x 224", .size = {1, 12, 0}, .build = vit_b16},
	{.name = "dlrm",
	 .what = "DLRM, 26 tables, dot interaction",
	 .size = {128, 0, 0},
	 .ids = 26 * 8192,
	 .build = dlrm},
	{.name = "deepseek_block",
	 .what = "a block of DeepSeek-V3 (MLA, experts) with 8 of its experts",
	 .size = {1, 0, 32},
	 .scaling = SILI_SCALING_BLOCKS,
	 .build = deepseek_block},
};

const unsigned int num_models = sizeof(models) / sizeof(models[0]);

uint32_t m_dim(const struct sili_graph *g, uint32_t tensor, uint32_t d)
{
	struct sili_tensor_info info = {.size = sizeof(info)};

	return sili_graph_tensor(g, tensor, &info) ? 0 : info.dim[d];
}

static uint32_t last_dim(const struct sili_graph *g, uint32_t tensor)
{
	struct sili_tensor_info info = {.size = sizeof(info)};

	return sili_graph_tensor(g, tensor, &info) ? 1 : info.dim[info.rank - 1];
}

/* The seed is the name, so a model's weights do not depend on what was built before. */
static uint64_t seed_of(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	return h | 1;
}

uint32_t m_weight(struct sili_graph *g, const char *name, uint32_t rank, const uint32_t *dim,
		  float range)
{
	uint32_t id = sili_graph_weight(g, name, X1_FMT_FP32, rank, dim, NULL);
	float *data = sili_graph_data(g, id);
	uint64_t s = seed_of(name), n = 1;

	for (uint32_t i = 0; i < rank; i++)
		n *= dim[i];
	for (uint64_t i = 0; data && i < n; i++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		data[i] = (float)(int32_t)(s >> 32) * 0x1p-31f * range;
	}
	return id;
}

static uint32_t vector(struct sili_graph *g, const char *name, const char *part, uint32_t n,
		       float middle, float range)
{
	char full[SILI_NAME_LEN];
	uint32_t id;
	float *data;

	snprintf(full, sizeof(full), "%.56s.%s", name, part);
	id = m_weight(g, full, 1, &n, range);
	data = sili_graph_data(g, id);
	for (uint32_t i = 0; data && i < n; i++)
		data[i] += middle;
	return id;
}

static uint32_t linear(struct sili_graph *g, const char *name, uint32_t x, uint32_t n,
		       enum sili_act act, uint32_t residual)
{
	const uint32_t k = last_dim(g, x);
	char full[SILI_NAME_LEN];
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_MATMUL, .name = name, .act = act};

	snprintf(full, sizeof(full), "%.56s.w", name);
	node.in[0] = x;
	node.in[1] = m_weight(g, full, 2, (uint32_t[]){n, k}, sqrtf(3.0f / (float)k));
	node.in[2] = vector(g, name, "b", n, 0, 0.1f);
	node.in[3] = residual;
	return sili_graph_add(g, &node);
}

uint32_t m_linear(struct sili_graph *g, const char *name, uint32_t x, uint32_t n, enum sili_act act)
{
	return linear(g, name, x, n, act, 0);
}

uint32_t m_linear_add(struct sili_graph *g, const char *name, uint32_t x, uint32_t n,
		      uint32_t residual)
{
	return linear(g, name, x, n, SILI_ACT_NONE, residual);
}

uint32_t m_layer_norm(struct sili_graph *g, const char *name, uint32_t x, float eps)
{
	uint32_t c = last_dim(g, x);
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_NORM, .name = name, .in = {x}, .eps = eps};

	node.in[1] = vector(g, name, "gamma", c, 1, 0.1f);
	node.in[2] = vector(g, name, "beta", c, 0, 0.1f);
	return sili_graph_add(g, &node);
}

uint32_t m_binary(struct sili_graph *g, const char *name, enum x1_vec_op op, uint32_t a, uint32_t b)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_BINARY,
						     .name = name,
						     .vec_op = op,
						     .in = {a, b}});
}

uint32_t m_unary(struct sili_graph *g, const char *name, enum x1_vec_op op, uint32_t x)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_UNARY,
						     .name = name,
						     .vec_op = op,
						     .in = {x}});
}

uint32_t m_slice(struct sili_graph *g, uint32_t x, uint32_t axis, uint32_t start, uint32_t length)
{
	return sili_graph_add(g, &(struct sili_node){.size = sizeof(struct sili_node),
						     .op = SILI_OP_SLICE,
						     .in = {x},
						     .axis = axis,
						     .start = start,
						     .length = length});
}

uint32_t m_reshape(struct sili_graph *g, uint32_t x, uint32_t rank, const uint32_t *dim)
{
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_RESHAPE, .in = {x}, .rank = rank};

	memcpy(node.dim, dim, rank * sizeof(*dim));
	return sili_graph_add(g, &node);
}

uint32_t m_self_attention(struct sili_graph *g, const char *name, uint32_t qkv, uint32_t heads,
			  bool causal)
{
	uint32_t c = last_dim(g, qkv) / 3;
	struct sili_node node = {.size = sizeof(node),
				 .op = SILI_OP_ATTENTION,
				 .name = name,
				 .heads = heads,
				 .causal = causal};

	for (uint32_t i = 0; i < 3; i++)
		node.in[i] = m_slice(g, qkv, 2, i * c, c);
	return sili_graph_add(g, &node);
}

uint32_t m_embedding(struct sili_graph *g, const char *name, uint32_t ids, uint32_t n, uint32_t c)
{
	char full[SILI_NAME_LEN];
	struct sili_node node = {
		.size = sizeof(node), .op = SILI_OP_EMBEDDING, .name = name, .in = {ids}};

	snprintf(full, sizeof(full), "%.56s.table", name);
	node.in[1] = m_weight(g, full, 2, (uint32_t[]){n, c}, 1.0f);
	return sili_graph_add(g, &node);
}
