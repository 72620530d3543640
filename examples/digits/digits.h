/* SPDX-License-Identifier: MIT */
/* The digits example: files, runs, and what is printed. */
#ifndef DIGITS_H
#define DIGITS_H

#include <sili.h>
#include <stdio.h>

#define DIGITS_PIXELS     64
#define DIGITS_SIDE       8
#define DIGITS_CLASSES    10
#define DIGITS_MAX_LAYERS 8

/* A perceptron: layer i is outputs x inputs weights, row by row, and outputs biases. */
struct digits_model {
	uint32_t layers;
	uint32_t inputs[DIGITS_MAX_LAYERS], outputs[DIGITS_MAX_LAYERS];
	float *weights[DIGITS_MAX_LAYERS], *bias[DIGITS_MAX_LAYERS];
	void *file;
};

struct digits_set {
	uint32_t images;
	const uint8_t *pixels; /* images x 64, 0..16 */
	const uint8_t *labels;
	void *file;
};

/* Read and check a file; on failure one line in err, returns -1. */
int digits_load_model(struct digits_model *model, const char *path, char *err, size_t err_len);
int digits_load_set(struct digits_set *set, const char *path, char *err, size_t err_len);
void digits_free_model(struct digits_model *model);
void digits_free_set(struct digits_set *set);

/* Formats of the layers of one run. */
struct digits_mode {
	const char *name;
	enum x1_format first, middle, last;
};

extern const struct digits_mode digits_modes[];
extern const unsigned int digits_num_modes;
enum x1_format digits_layer_format(const struct digits_mode *mode, uint32_t layer, uint32_t layers);

struct digits_result {
	const struct digits_mode *mode;
	bool prefetch;
	uint32_t right;
	uint64_t cycles;
	double energy_j;
	uint64_t switches;
	uint64_t digest; /* FNV-1a of all logits' bits */
	uint8_t *reads;  /* per image; the caller frees it */
};

/* Run the whole set through the model on queue's device. 0 or -errno. */
int digits_run(struct sili_device *dev, struct sili_queue *queue, const struct digits_model *model,
	       const struct digits_set *set, const struct digits_mode *mode, bool prefetch,
	       struct digits_result *result);

void digits_print_head(FILE *out, const struct sili_info *info, const struct digits_model *model,
		       const struct digits_set *set);
void digits_print_result(FILE *out, const struct digits_result *r, uint32_t images,
			 uint64_t clock_hz);
void digits_print_confusion(FILE *out, const struct digits_set *set, const uint8_t *reads);
/* A row of n digits, misread ones first. */
void digits_print_images(FILE *out, const struct digits_set *set, const uint8_t *reads,
			 unsigned int n);

#endif
