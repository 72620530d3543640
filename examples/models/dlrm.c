// SPDX-License-Identifier: MIT
/*
 * DLRM as MLPerf has it: 13 numbers and 26 categories, vectors of 128, products
 * of all pairs of them. Tables have 8,192 rows each, one behind the other.
 */
#include <stdio.h>

#include "models.h"

#define VECTOR     128u
#define CATEGORIES 26u
#define ROWS       8192u
#define PAIRS      (CATEGORIES + 1)

/*
 * The first layer above the pairs reads each pair once; the graph has all of
 * the square, so the other half of it has weights of 0.
 */
static void drop_half(struct sili_graph *g, uint32_t weight, uint32_t n, uint32_t k)
{
	float *w = sili_graph_data(g, weight);

	for (uint32_t i = 0; w && i < n; i++)
		for (uint32_t a = 0; a < PAIRS; a++)
			for (uint32_t b = a; b < PAIRS; b++)
				w[(size_t)i * k + VECTOR + a * PAIRS + b] = 0;
}

static uint32_t first_layer(struct sili_graph *g, uint32_t x, uint32_t n)
{
	const uint32_t k = VECTOR + PAIRS * PAIRS, dim[] = {n, k};
	struct sili_node node = {.size = sizeof(node),
				 .op = SILI_OP_MATMUL,
				 .name = "top0",
				 .act = SILI_ACT_RELU,
				 .in = {x}};

	node.in[1] = m_weight(g, "top0.w", 2, dim, 0.08f);
	node.in[2] = m_weight(g, "top0.b", 1, &n, 0.1f);
	drop_half(g, node.in[1], n, k);
	return sili_graph_add(g, &node);
}

struct sili_graph *dlrm(const struct model_size *size)
{
	static const uint32_t bottom[] = {512, 256, VECTOR}, top[] = {1024, 512, 256};
	struct sili_graph *g = sili_graph_new();
	const uint32_t b = size->batch, numbers[] = {b, 13}, categories[] = {b, CATEGORIES};
	struct sili_node n;
	char name[SILI_NAME_LEN];
	uint32_t x, rows, all;

	if (!g)
		return NULL;
	x = sili_graph_input(g, "numbers", X1_FMT_FP32, 2, numbers);
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "bottom%u", i);
		x = m_linear(g, name, x, bottom[i], SILI_ACT_RELU);
	}
	rows = m_embedding(g, "tables",
			   sili_graph_input(g, "categories", X1_FMT_INT32, 2, categories),
			   CATEGORIES * ROWS, VECTOR);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_CONCAT, .name = "vectors", .axis = 1};
	n.in[0] = m_reshape(g, x, 3, (uint32_t[]){b, 1, VECTOR});
	n.in[1] = rows;
	all = sili_graph_add(g, &n);
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_MATMUL, .name = "pairs", .in = {all, all}};
	all = m_reshape(g, sili_graph_add(g, &n), 2, (uint32_t[]){b, PAIRS * PAIRS});
	n = (struct sili_node){
		.size = sizeof(n), .op = SILI_OP_CONCAT, .name = "features", .axis = 1};
	n.in[0] = x;
	n.in[1] = all;
	x = first_layer(g, sili_graph_add(g, &n), 1024);
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "top%u", i + 1);
		x = m_linear(g, name, x, top[i], SILI_ACT_RELU);
	}
	x = m_linear(g, "click", x, 1, SILI_ACT_SIGMOID);
	sili_graph_output(g, x, "click", X1_FMT_FP32);
	return g;
}
