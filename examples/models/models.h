/* SPDX-License-Identifier: MIT */
/*
 * Well-known networks as graphs, at their true shapes, with weights from a
 * seed: what they compute means nothing, what it costs does.
 */
#ifndef MODELS_H
#define MODELS_H

#include <sili_graph.h>

/* 0 = the model's own. */
struct model_size {
	uint32_t batch, layers, tokens;
};

struct model {
	const char *name, *what;
	struct model_size size; /* the model's own; 0 where it has none */
	uint32_t ids;           /* rows of its tables */
	enum sili_scaling scaling;
	uint32_t values; /* SILI_PRECISION() between nodes, 0 = the library's choice */
	struct sili_graph *(*build)(const struct model_size *size);
};

extern const struct model models[];
extern const unsigned int num_models;

/* ---- building ---- */

/* A weight, uniform within +-range. */
uint32_t m_weight(struct sili_graph *g, const char *name, uint32_t rank, const uint32_t *dim,
		  float range);
/* x·Wᵀ + b for n columns, their variance that of x; name.w and name.b. */
uint32_t m_linear(struct sili_graph *g, const char *name, uint32_t x, uint32_t n,
		  enum sili_act act);
/* The same, residual added before the activation. */
uint32_t m_linear_add(struct sili_graph *g, const char *name, uint32_t x, uint32_t n,
		      uint32_t residual);
uint32_t m_layer_norm(struct sili_graph *g, const char *name, uint32_t x, float eps);
uint32_t m_binary(struct sili_graph *g, const char *name, enum x1_vec_op op, uint32_t a,
		  uint32_t b);
uint32_t m_unary(struct sili_graph *g, const char *name, enum x1_vec_op op, uint32_t x);
uint32_t m_slice(struct sili_graph *g, uint32_t x, uint32_t axis, uint32_t start, uint32_t length);
uint32_t m_reshape(struct sili_graph *g, uint32_t x, uint32_t rank, const uint32_t *dim);
/* Multi-head attention of a row of q, k and v beside each other. */
uint32_t m_self_attention(struct sili_graph *g, const char *name, uint32_t qkv, uint32_t heads,
			  bool causal);
/* Rows of a table of n by number. */
uint32_t m_embedding(struct sili_graph *g, const char *name, uint32_t ids, uint32_t n, uint32_t c);
/* Dimension d of a tensor. */
uint32_t m_dim(const struct sili_graph *g, uint32_t tensor, uint32_t d);

struct sili_graph *bert_base(const struct model_size *size);
struct sili_graph *gpt2(const struct model_size *size);
struct sili_graph *resnet50(const struct model_size *size);
struct sili_graph *vit_b16(const struct model_size *size);
struct sili_graph *dlrm(const struct model_size *size);
struct sili_graph *deepseek_block(const struct model_size *size);

#endif /* MODELS_H */
