// SPDX-License-Identifier: MIT
/* Pooling: the request checked; windows on VECTOR compute it. */
#include <string.h>

#include "sili_kernels.h"
#include "window.h"

#define MAX_SIDE (1u << 20)

static bool format_ok(enum x1_format fmt)
{
	return (unsigned int)fmt < X1_FMT_COUNT && fmt != X1_FMT_E8M0;
}

static uint32_t or_one(uint32_t v)
{
	return v ? v : 1;
}

/* An axis; taps 0 = all of it. False: no output, or windows of padding alone. */
static bool axis(uint32_t in, uint32_t taps, uint32_t stride, uint32_t before, uint32_t after,
		 struct gemm_axis *a)
{
	if (!in || in > MAX_SIDE || taps > MAX_SIDE || stride > MAX_SIDE || !taps ||
	    before >= taps || after >= taps || (uint64_t)in + before + after < taps)
		return false;
	*a = (struct gemm_axis){
		.out = (in + before + after - taps) / stride + 1,
		.in = in,
		.taps = taps,
		.stride = (int32_t)stride,
		.origin = -(int32_t)before,
		.dil = 1,
	};
	return true;
}

SILI_EXPORT int sili_pool(struct sili_device *dev, const struct sili_pool *pool, union x1_cmd *cmds,
			  uint32_t max)
{
	struct sili_pool q = *pool;
	struct window w;
	int ret;

	if (q.size != sizeof(q) || q.op > SILI_POOL_AVG_PAD || !q.n || q.n > MAX_SIDE || !q.c ||
	    q.c > MAX_SIDE || !q.r != !q.s || !format_ok(q.x_fmt) || !format_ok(q.y_fmt))
		return -EINVAL;
	memset(&w, 0, sizeof(w));
	if (!axis(q.h, q.r ? q.r : q.h, or_one(q.stride_h), q.pad_top, q.pad_bottom, &w.y) ||
	    !axis(q.w, q.s ? q.s : q.w, or_one(q.stride_w), q.pad_left, q.pad_right, &w.x))
		return -EINVAL;
	if (!image_strides(q.x_fmt, q.c, q.w, q.h, &q.x_pixel, &q.x_row, &q.x_image) ||
	    !image_strides(q.y_fmt, q.c, w.x.out, w.y.out, &q.y_pixel, &q.y_row, &q.y_image))
		return -EINVAL;
	if (!max)
		return -ENOSPC;
	w.op = q.op == SILI_POOL_MAX ? WINDOW_MAX
	       : q.op == SILI_POOL_AVG && (q.pad_top || q.pad_left || q.pad_bottom || q.pad_right)
		       ? WINDOW_AVG
		       : WINDOW_AVG_ALL;
	w.images = q.n;
	w.channels = q.c;
	w.x_fmt = q.x_fmt;
	w.y_fmt = q.y_fmt;
	w.y.x_stride = q.x_row;
	w.x.x_stride = q.x_pixel;
	w.x_image = q.x_image;
	w.y.y_stride = q.y_row;
	w.x.y_stride = q.y_pixel;
	w.y_image = q.y_image;
	w.scale = 1.0f;
	w.out_scale = q.out_scale == 0.0f ? 1.0f : q.out_scale;
	w.overlap = sili_prefetch_mode(SILI_PREFETCH_ENV) != SILI_PREFETCH_OFF;
	ret = window_launch(dev, &w, &(struct window_addr){.x = q.x, .y = q.y}, cmds, NULL);
	return ret ? ret : 1;
}
