// SPDX-License-Identifier: MIT
/* ResNet-50 v1.5: the stride is on the 3 x 3 convolution. */
#include <math.h>
#include <stdio.h>

#include "models.h"

/* Convolution and batch norm, as inference has it: a gain and an offset per filter. */
static uint32_t conv(struct sili_graph *g, const char *name, uint32_t x, uint32_t filters,
		     uint32_t side, uint32_t stride)
{
	const uint32_t c = m_dim(g, x, 3), dim[] = {filters, side, side, c};
	struct sili_node n = {.size = sizeof(n),
			      .op = SILI_OP_CONV,
			      .name = name,
			      .stride = {stride, stride},
			      .pad = {side / 2, side / 2, side / 2, side / 2}};
	char full[SILI_NAME_LEN];
	uint32_t gain, y;
	float *data;

	snprintf(full, sizeof(full), "%.56s.w", name);
	n.in[0] = x;
	n.in[1] = m_weight(g, full, 4, dim, sqrtf(3.0f / (float)(side * side * c)));
	y = sili_graph_add(g, &n);
	snprintf(full, sizeof(full), "%.50s.gain", name);
	gain = m_weight(g, full, 1, &filters, 0.2f);
	data = sili_graph_data(g, gain);
	for (uint32_t i = 0; data && i < filters; i++)
		data[i] += 1;
	y = m_binary(g, full, X1_VEC_MUL, y, gain);
	snprintf(full, sizeof(full), "%.50s.offset", name);
	return m_binary(g, full, X1_VEC_ADD, y, m_weight(g, full, 1, &filters, 0.1f));
}

static uint32_t relu(struct sili_graph *g, const char *name, uint32_t x)
{
	char full[SILI_NAME_LEN];

	snprintf(full, sizeof(full), "%.56s.relu", name);
	return m_unary(g, full, X1_VEC_RELU, x);
}

static uint32_t bottleneck(struct sili_graph *g, uint32_t i, uint32_t x, uint32_t width,
			   uint32_t stride)
{
	char n[SILI_NAME_LEN];
	uint32_t y, across = x;

	if (m_dim(g, x, 3) != 4 * width) {
		snprintf(n, sizeof(n), "block%u.across", i);
		across = conv(g, n, x, 4 * width, 1, stride);
	}
	snprintf(n, sizeof(n), "block%u.conv1", i);
	y = relu(g, n, conv(g, n, x, width, 1, 1));
	snprintf(n, sizeof(n), "block%u.conv2", i);
	y = relu(g, n, conv(g, n, y, width, 3, stride));
	snprintf(n, sizeof(n), "block%u.conv3", i);
	y = conv(g, n, y, 4 * width, 1, 1);
	snprintf(n, sizeof(n), "block%u.sum", i);
	return relu(g, n, m_binary(g, n, X1_VEC_ADD, y, across));
}

struct sili_graph *resnet50(const struct model_size *size)
{
	static const uint32_t blocks[] = {3, 4, 6, 3};
	struct sili_graph *g = sili_graph_new();
	const uint32_t image[] = {size->batch, 224, 224, 3};
	struct sili_node n;
	uint32_t x, done = 0;

	if (!g)
		return NULL;
	x = sili_graph_input(g, "image", X1_FMT_E4M3, 4, image);
	x = relu(g, "stem", conv(g, "stem", x, 64, 7, 2));
	n = (struct sili_node){.size = sizeof(n),
			       .op = SILI_OP_POOL,
			       .name = "stem.pool",
			       .in = {x},
			       .pool = SILI_POOL_MAX,
			       .window = {3, 3},
			       .stride = {2, 2},
			       .pad = {1, 1, 1, 1}};
	x = sili_graph_add(g, &n);
	for (uint32_t stage = 0; stage < 4; stage++)
		for (uint32_t i = 0; i < blocks[stage] && done < size->layers; i++)
			x = bottleneck(g, done++, x, 64u << stage, stage && !i ? 2 : 1);
	n = (struct sili_node){.size = sizeof(n),
			       .op = SILI_OP_POOL,
			       .name = "mean",
			       .in = {x},
			       .pool = SILI_POOL_AVG};
	x = sili_graph_add(g, &n);
	x = m_reshape(g, x, 2, (uint32_t[]){size->batch, m_dim(g, x, 3)});
	x = m_linear(g, "classes", x, 1000, SILI_ACT_NONE);
	sili_graph_output(g, x, "classes", X1_FMT_FP32);
	return g;
}
