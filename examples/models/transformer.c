// SPDX-License-Identifier: MIT
/* BERT-base, GPT-2 and ViT-B/16: 12 layers of 768, 12 heads, 3,072 inside. */
#include <stdio.h>

#include "models.h"

#define WIDTH 768u
#define HEADS 12u
#define INNER 3072u

static const char *part(char name[SILI_NAME_LEN], uint32_t layer, const char *what)
{
	snprintf(name, SILI_NAME_LEN, "layer%u.%s", layer, what);
	return name;
}

/* Norms after the residuals, as in BERT. */
static uint32_t post_norm_layer(struct sili_graph *g, uint32_t i, uint32_t x)
{
	char n[SILI_NAME_LEN];
	uint32_t y;

	y = m_linear(g, part(n, i, "qkv"), x, 3 * WIDTH, SILI_ACT_NONE);
	y = m_self_attention(g, part(n, i, "attention"), y, HEADS, false);
	y = m_linear_add(g, part(n, i, "out"), y, WIDTH, x);
	x = m_layer_norm(g, part(n, i, "norm1"), y, 1e-12f);
	y = m_linear(g, part(n, i, "up"), x, INNER, SILI_ACT_GELU);
	y = m_linear_add(g, part(n, i, "down"), y, WIDTH, x);
	return m_layer_norm(g, part(n, i, "norm2"), y, 1e-12f);
}

/* Norms in front of attention and feed-forward, as in GPT-2 and ViT. */
static uint32_t pre_norm_layer(struct sili_graph *g, uint32_t i, uint32_t x, bool causal, float eps)
{
	char n[SILI_NAME_LEN];
	uint32_t y;

	y = m_layer_norm(g, part(n, i, "norm1"), x, eps);
	y = m_linear(g, part(n, i, "qkv"), y, 3 * WIDTH, SILI_ACT_NONE);
	y = m_self_attention(g, part(n, i, "attention"), y, HEADS, causal);
	x = m_linear_add(g, part(n, i, "out"), y, WIDTH, x);
	y = m_layer_norm(g, part(n, i, "norm2"), x, eps);
	y = m_linear(g, part(n, i, "up"), y, INNER, SILI_ACT_GELU);
	return m_linear_add(g, part(n, i, "down"), y, WIDTH, x);
}

struct sili_graph *bert_base(const struct model_size *size)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t ids[] = {1, size->tokens}, x0[] = {1, size->tokens, WIDTH};
	uint32_t x;

	if (!g)
		return NULL;
	x = m_embedding(g, "words", sili_graph_input(g, "ids", X1_FMT_INT32, 2, ids), 30522, WIDTH);
	/* Positions and the first segment's type, which are the same for every text. */
	x = m_binary(g, "places", X1_VEC_ADD, x, m_weight(g, "position.table", 3, x0, 0.5f));
	x = m_layer_norm(g, "norm0", x, 1e-12f);
	for (uint32_t i = 0; i < size->layers; i++)
		x = post_norm_layer(g, i, x);
	sili_graph_output(g, x, "hidden", X1_FMT_BF16);
	x = m_linear(g, "pooler", m_slice(g, x, 1, 0, 1), WIDTH, SILI_ACT_TANH);
	sili_graph_output(g, x, "pooled", X1_FMT_FP32);
	return g;
}

struct sili_graph *gpt2(const struct model_size *size)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t ids[] = {1, size->tokens}, x0[] = {1, size->tokens, WIDTH};
	uint32_t x;

	if (!g)
		return NULL;
	x = m_embedding(g, "wte", sili_graph_input(g, "ids", X1_FMT_INT32, 2, ids), 50257, WIDTH);
	x = m_binary(g, "places", X1_VEC_ADD, x, m_weight(g, "wpe.table", 3, x0, 0.5f));
	for (uint32_t i = 0; i < size->layers; i++)
		x = pre_norm_layer(g, i, x, true, 1e-5f);
	x = m_layer_norm(g, "norm", m_slice(g, x, 1, size->tokens - 1, 1), 1e-5f);
	x = m_linear(g, "head", x, 50257, SILI_ACT_NONE);
	sili_graph_output(g, x, "logits", X1_FMT_FP32);
	return g;
}

struct sili_graph *vit_b16(const struct model_size *size)
{
	struct sili_graph *g = sili_graph_new();
	const uint32_t image[] = {1, 224, 224, 3}, patch[] = {WIDTH, 16, 16, 3};
	const uint32_t flat[] = {1, 196, WIDTH}, cls[] = {1, 1, WIDTH}, all[] = {1, 197, WIDTH};
	struct sili_node n = {.size = sizeof(n), .op = SILI_OP_CONV, .name = "patches"};
	uint32_t x;

	if (!g)
		return NULL;
	n.in[0] = sili_graph_input(g, "image", X1_FMT_E4M3, 4, image);
	n.in[1] = m_weight(g, "patches.w", 4, patch, 0.06f);
	n.stride[0] = n.stride[1] = 16;
	x = m_reshape(g, sili_graph_add(g, &n), 3, flat);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_CONCAT, .name = "tokens", .axis = 1};
	n.in[0] = m_weight(g, "class.token", 3, cls, 1.0f);
	n.in[1] = x;
	x = sili_graph_add(g, &n);
	x = m_binary(g, "places", X1_VEC_ADD, x, m_weight(g, "position.table", 3, all, 0.5f));
	for (uint32_t i = 0; i < size->layers; i++)
		x = pre_norm_layer(g, i, x, false, 1e-6f);
	x = m_layer_norm(g, "norm", m_slice(g, x, 1, 0, 1), 1e-6f);
	x = m_linear(g, "head", x, 1000, SILI_ACT_NONE);
	sili_graph_output(g, x, "classes", X1_FMT_FP32);
	return g;
}
