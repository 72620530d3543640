// SPDX-License-Identifier: MIT
/* One run: weights and images into HBM, one launch, logits back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

const struct digits_mode digits_modes[] = {
	{"fp32", X1_FMT_FP32, X1_FMT_FP32, X1_FMT_FP32},
	{"fp16", X1_FMT_FP16, X1_FMT_FP16, X1_FMT_FP16},
	{"fp8", X1_FMT_E4M3, X1_FMT_E4M3, X1_FMT_E4M3},
	{"mixed", X1_FMT_FP16, X1_FMT_E4M3, X1_FMT_FP32},
};

const unsigned int digits_num_modes = sizeof(digits_modes) / sizeof(digits_modes[0]);

enum x1_format digits_layer_format(const struct digits_mode *mode, uint32_t layer, uint32_t layers)
{
	return layer == 0 ? mode->first : layer + 1 == layers ? mode->last : mode->middle;
}

struct buffers {
	struct sili_bo *weights[DIGITS_MAX_LAYERS], *bias[DIGITS_MAX_LAYERS], *x, *y;
};

static void free_buffers(struct buffers *b)
{
	for (unsigned int i = 0; i < DIGITS_MAX_LAYERS; i++) {
		sili_bo_free(b->weights[i]);
		sili_bo_free(b->bias[i]);
	}
	sili_bo_free(b->x);
	sili_bo_free(b->y);
}

/* n FP32 values into new device memory, in format fmt. */
static int upload(struct sili_device *dev, enum x1_format fmt, const float *src, size_t n,
		  struct sili_bo **bo)
{
	int ret = sili_bo_new(dev, sili_format_bytes(fmt, n), SILI_HBM, 0, bo);
	void *cpu = ret ? NULL : sili_bo_map(*bo);

	if (!cpu)
		return ret ? ret : -ENOMEM;
	return sili_from_f32(fmt, src, cpu, n);
}

static int upload_images(struct sili_device *dev, enum x1_format fmt, const struct digits_set *set,
			 struct sili_bo **bo)
{
	size_t n = (size_t)set->images * DIGITS_PIXELS;
	float *x = malloc(n * sizeof(*x));
	int ret;

	if (!x)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		x[i] = set->pixels[i] / 16.0f;
	ret = upload(dev, fmt, x, n, bo);
	free(x);
	return ret;
}

static int prepare(struct sili_device *dev, const struct digits_model *m,
		   const struct digits_set *set, const struct digits_mode *mode,
		   struct sili_mlp_layer *layers, struct buffers *b)
{
	int ret = 0;

	for (uint32_t i = 0; i < m->layers && !ret; i++) {
		enum x1_format fmt = digits_layer_format(mode, i, m->layers);

		ret = upload(dev, fmt, m->weights[i], (size_t)m->inputs[i] * m->outputs[i],
			     &b->weights[i]);
		if (!ret)
			ret = upload(dev, X1_FMT_FP32, m->bias[i], m->outputs[i], &b->bias[i]);
		if (ret)
			break;
		layers[i] = (struct sili_mlp_layer){
			.n_in = m->inputs[i],
			.n_out = m->outputs[i],
			.fmt = fmt,
			.act = i + 1 < m->layers ? SILI_ACT_RELU : SILI_ACT_NONE,
			.weights = sili_bo_dva(b->weights[i]),
			.bias = sili_bo_dva(b->bias[i]),
		};
	}
	if (!ret)
		ret = upload_images(dev, digits_layer_format(mode, 0, m->layers), set, &b->x);
	if (!ret)
		ret = sili_bo_new(dev, (size_t)set->images * DIGITS_CLASSES * 4, SILI_HBM, 0,
				  &b->y);
	return ret;
}

static uint64_t fnv1a(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t h = 14695981039346656037ull;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ p[i]) * 1099511628211ull;
	return h;
}

static void classify(const float *logits, const struct digits_set *set, struct digits_result *r)
{
	for (uint32_t i = 0; i < set->images; i++) {
		const float *row = logits + (size_t)i * DIGITS_CLASSES;
		uint8_t best = 0;

		for (uint8_t c = 1; c < DIGITS_CLASSES; c++)
			if (row[c] > row[best])
				best = c;
		r->reads[i] = best;
		r->right += best == set->labels[i];
	}
}

int digits_run(struct sili_device *dev, struct sili_queue *queue, const struct digits_model *model,
	       const struct digits_set *set, const struct digits_mode *mode, bool prefetch,
	       struct digits_result *result)
{
	struct sili_mlp_layer layers[DIGITS_MAX_LAYERS];
	struct buffers b = {0};
	union x1_cmd cmd, flush;
	struct x1_perf perf;
	const float *y;
	int ret;

	*result = (struct digits_result){.mode = mode, .prefetch = prefetch};
	ret = prepare(dev, model, set, mode, layers, &b);
	if (ret)
		goto out;
	ret = sili_mlp(dev,
		       &(struct sili_mlp){
			       .size = sizeof(struct sili_mlp),
			       .batch = set->images,
			       .num_layers = model->layers,
			       .layers = layers,
			       .x = sili_bo_dva(b.x),
			       .y = sili_bo_dva(b.y),
			       .prefetch = prefetch ? SILI_PREFETCH_GRAPH : SILI_PREFETCH_OFF,
		       },
		       &cmd, 1);
	if (ret < 0)
		goto out;
	/* Cold caches: what is measured does not depend on what ran before. */
	sili_cmd_flush(&flush, X1_FLUSH_L2 | X1_FLUSH_TLB);
	ret = sili_run(queue, &flush, 1);
	if (!ret)
		ret = sili_run_perf(queue, &cmd, 1, &perf);
	y = ret ? NULL : sili_bo_map(b.y);
	result->reads = malloc(set->images);
	if (!ret && (!y || !result->reads))
		ret = -ENOMEM;
	if (ret)
		goto out;
	classify(y, set, result);
	result->cycles = perf.cycles;
	result->energy_j = (double)perf.energy_package_pj * 1e-12;
	result->switches = perf.format_switches;
	result->digest = fnv1a(y, (size_t)set->images * DIGITS_CLASSES * 4);
out:
	if (ret) {
		free(result->reads);
		result->reads = NULL;
	}
	free_buffers(&b);
	return ret;
}
