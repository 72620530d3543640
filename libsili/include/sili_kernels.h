/* SPDX-License-Identifier: MIT */
/*
 * libsili: families of kernels beyond sili_gemm().
 *
 * All work as sili_gemm() does. A request is a struct with its own size in
 * `size`, device addresses (DVA), formats and shapes; zero is the default of
 * every field that has one. The call appends commands to cmds, which has room
 * for max, and returns how many, or -errno; nothing has been appended then.
 * Programs are generated once per shape and kept with the device; addresses
 * are arguments. A kernel that needs workspace has a field for its DVA and a
 * function that says how many bytes. Strides are bytes, 0 = dense.
 *
 * Errors of all: -EINVAL (size, shape, format, stride), -E2BIG (nothing fits
 * the MCU, or beyond a limit of the device), -ENOMEM, -ENOSPC (max).
 *
 * Unless a family says otherwise, results follow docs/manual/numerics.md to
 * the bit and depend on the request alone: not on the number of MCUs, nor on
 * the tiles that the cost model chooses.
 */
#ifndef SILI_KERNELS_H
#define SILI_KERNELS_H

#include <sili.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- convolution -------------------------------------------------------- */

/*
 * y[i][oy][ox][k] = out_scale * act(s * sum + bias[k] + residual), in y_fmt,
 * with s = col_scale[k] * scale and sum over the taps r, s and channels c of
 *   x[i][oy * stride_h + r * dil_h - pad_top][ox * stride_w + s * dil_w - pad_left][c]
 *   * w[k][r][s][c];
 * x outside of the image is 0. A 1-D convolution has h = r = 1.
 *
 * x is NHWC, w is KRSC and dense; with groups > 1, filters
 * [g * k / groups, (g + 1) * k / groups) read the g-th part of the channels,
 * and w has c / groups channels. Transposed: x's pixel (iy, ix) adds
 * x * w[k][r][s] to y's pixel (iy * stride_h + r * dil_h - pad_top,
 * ix * stride_w + s * dil_w - pad_left); each pixel of y needs a tap at least.
 *
 * Order of the sum: the accumulate rule with the taps as runs of k, in rising
 * r, then s, then c. Every run starts on a multiple of 32 of k. A run is the
 * c / groups channels of a tap; where s > 1, dil_w is 1, c / groups is 16 or
 * less and the filter has at most 64 KiB, not transposed, it is a row of taps,
 * s * c / groups long. Depthwise (groups = c = k): sum = fma(x, w, sum) from
 * +0, taps in rising order, and INT32 for integers.
 *
 * Formats: those of MATRIX without block scales and sparsity, x and w both
 * integers or neither; rows of c / groups elements are whole bytes. Addresses
 * of formats of 16 and 32 bits need no alignment.
 */
struct sili_conv {
	uint32_t size; /* sizeof(struct sili_conv) */
	uint32_t n, h, w, c;
	uint32_t k, r, s;
	uint32_t stride_h, stride_w, dil_h, dil_w; /* 0 = 1 */
	uint32_t pad_top, pad_left, pad_bottom, pad_right;
	uint32_t groups; /* 0 = 1 */
	bool transposed;
	uint32_t out_pad_h, out_pad_w; /* transposed: rows and columns added to y */
	enum x1_format x_fmt, w_fmt, y_fmt;
	uint64_t x, weights, y;                                /* DVA */
	uint64_t x_pixel, x_row, x_image;                      /* strides, 0 = dense */
	uint64_t y_pixel, y_row, y_image;                      /* strides, 0 = dense */
	uint64_t bias;                                         /* k FP32 values, or 0 */
	uint64_t col_scale;                                    /* k FP32 values, or 0 */
	uint64_t residual;                                     /* of y's shape, or 0 */
	uint64_t residual_pixel, residual_row, residual_image; /* strides, 0 = dense */
	enum x1_format residual_fmt;
	enum sili_act act;
	float scale, out_scale; /* 0 = 1 */
	enum sili_prefetch prefetch;
	struct {
		uint64_t dva, bytes;
	} ahead[2]; /* as sili_gemm's; only where MATRIX computes */
};

/* What was chosen; of the last launch where there are several. */
struct sili_conv_plan {
	uint32_t launches;
	bool vector;                         /* on VECTOR: depthwise */
	uint32_t tile_n, tile_h, tile_w;     /* images, rows, columns of y */
	uint32_t tile_k;                     /* filters */
	uint32_t chunk, stages, work_groups; /* of the sum's k; of LOAD */
	uint64_t cycles;                     /* expected, of all launches */
	uint64_t roofline;                   /* true multiplications at peak, or bytes */
	uint32_t split_k, split_k_step;      /* as sili_gemm_plan's */
};

/* Height and width of y. -EINVAL: the filter is larger than the padded image. */
int sili_conv_shape(const struct sili_conv *conv, uint32_t *oh, uint32_t *ow);

/* Transposed: stride_h * stride_w launches at most, else one. */
int sili_conv(struct sili_device *dev, const struct sili_conv *conv, union x1_cmd *cmds,
	      uint32_t max, struct sili_conv_plan *plan);

/* ---- pooling ------------------------------------------------------------ */

enum sili_pool_op {
	SILI_POOL_MAX = 0, /* NaN wins */
	SILI_POOL_AVG,     /* over the pixels inside of the image */
	SILI_POOL_AVG_PAD, /* over r * s: padding counts as zeros */
};

/*
 * y[i][oy][ox][c] over windows of r x s, in y_fmt; r = s = 0: the whole image.
 * MAX is exact. AVG adds in FP32 (the first of the window starts the sum, then
 * rising r, s; padding adds +0), divides once, and multiplies by out_scale.
 * Padding is smaller than the window. Any formats of 4 bits and more but E8M0;
 * a pixel's channels are whole bytes.
 */
struct sili_pool {
	uint32_t size; /* sizeof(struct sili_pool) */
	enum sili_pool_op op;
	uint32_t n, h, w, c;
	uint32_t r, s;
	uint32_t stride_h, stride_w; /* 0 = 1 */
	uint32_t pad_top, pad_left, pad_bottom, pad_right;
	enum x1_format x_fmt, y_fmt;
	uint64_t x, y;                    /* DVA */
	uint64_t x_pixel, x_row, x_image; /* strides, 0 = dense */
	uint64_t y_pixel, y_row, y_image; /* strides, 0 = dense */
	float out_scale;                  /* 0 = 1 */
};

int sili_pool(struct sili_device *dev, const struct sili_pool *pool, union x1_cmd *cmds,
	      uint32_t max);

#ifdef __cplusplus
}
#endif

#endif /* SILI_KERNELS_H */
