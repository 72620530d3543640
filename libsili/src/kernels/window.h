/* SPDX-License-Identifier: MIT */
/* Operations over windows of an image on VECTOR: depthwise convolution, pooling. */
#ifndef SILI_WINDOW_H
#define SILI_WINDOW_H

#include "gemm.h"

enum window_op {
	WINDOW_FMA, /* depthwise: x times the tap's weight */
	WINDOW_MAX,
	WINDOW_AVG,     /* over what is inside of the image */
	WINDOW_AVG_ALL, /* over all taps */
};

/* The request, with defaults filled in, and checked; it is the kernel's key as a whole. */
struct window {
	struct gemm_axis y, x;
	uint32_t op, images, channels;
	uint32_t x_fmt, w_fmt, y_fmt, res_fmt;
	uint32_t act, overlap;
	float scale, out_scale;
	bool bias, col_scale, residual;
	uint64_t x_image, y_image, res_image;
};

struct window_addr {
	uint64_t x, y, weights, bias, col_scale, residual;
};

struct window_plan {
	uint32_t tile_y, tile_x, tile_c; /* of y */
	uint32_t grid;
	uint64_t cycles, roofline;
};

/* One LAUNCH. -E2BIG: the window of one channel does not fit the MCU. */
int window_launch(struct sili_device *dev, const struct window *w, const struct window_addr *addr,
		  union x1_cmd *cmd, struct window_plan *plan);

/* Default and check the strides of an NHWC image; 0 = dense. */
bool image_strides(enum x1_format fmt, uint32_t channels, uint32_t width, uint32_t height,
		   uint64_t *pixel, uint64_t *row, uint64_t *image);

#endif /* SILI_WINDOW_H */
