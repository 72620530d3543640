// SPDX-License-Identifier: MIT
/*
 * Convolution: the request checked, and given to who computes it. MATRIX takes
 * it as a GEMM over boxes of pixels, a transposed one as one such GEMM per
 * phase of the stride; a filter of one tap over dense pixels is a plain GEMM.
 * Depthwise goes to VECTOR: a tap of 64 channels costs it a cycle per pixel,
 * and MATRIX at least two, whose products of 32 x 32 channels would be
 * diagonal.
 */
#include <string.h>

#include "sili_kernels.h"
#include "window.h"

#define MAX_SIDE      (1u << 20)
#define MAX_STEP      (1u << 16) /* strides and dilations */
#define ROW_CHANNELS  16u        /* up to which rows of taps are runs */
#define ROW_FILTER    (64u << 10)
#define RUN_STEP      32u
#define CHUNK_STEP    128u
#define FIRST_BOX_KEY 27 /* word behind gemm_key()'s */

X1_STATIC_ASSERT(FIRST_BOX_KEY + sizeof(struct gemm_box) / 8 <= SILI_KEY_WORDS);
X1_STATIC_ASSERT(sizeof(struct gemm_box) % 8 == 0);

/* ---- the request ---- */

static bool side_ok(uint32_t v)
{
	return v && v <= MAX_SIDE;
}

static int64_t out_side(const struct sili_conv *c, bool y)
{
	int64_t in = y ? c->h : c->w, taps = y ? c->r : c->s;
	int64_t stride = y ? c->stride_h : c->stride_w, dil = y ? c->dil_h : c->dil_w;
	int64_t pad = y ? (int64_t)c->pad_top + c->pad_bottom : (int64_t)c->pad_left + c->pad_right;
	int64_t window = dil * (taps - 1) + 1;

	if (c->transposed)
		return (in - 1) * stride + window - pad + (y ? c->out_pad_h : c->out_pad_w);
	return in + pad < window ? 0 : (in + pad - window) / stride + 1;
}

static uint32_t or_one(uint32_t v)
{
	return v ? v : 1;
}

/* Shapes alone. */
static int check_shape(struct sili_conv *c)
{
	c->stride_h = or_one(c->stride_h);
	c->stride_w = or_one(c->stride_w);
	c->dil_h = or_one(c->dil_h);
	c->dil_w = or_one(c->dil_w);
	c->groups = or_one(c->groups);
	if (c->size != sizeof(*c) || !side_ok(c->n) || !side_ok(c->h) || !side_ok(c->w) ||
	    !side_ok(c->c) || !side_ok(c->k) || !side_ok(c->r) || !side_ok(c->s) ||
	    c->stride_h > MAX_STEP || c->stride_w > MAX_STEP || c->dil_h > MAX_STEP ||
	    c->dil_w > MAX_STEP || c->pad_top > MAX_SIDE || c->pad_left > MAX_SIDE ||
	    c->pad_bottom > MAX_SIDE || c->pad_right > MAX_SIDE)
		return -EINVAL;
	if (c->c % c->groups || c->k % c->groups)
		return -EINVAL;
	if (c->transposed ? c->out_pad_h >= c->stride_h + c->dil_h ||
				    c->out_pad_w >= c->stride_w + c->dil_w
			  : c->out_pad_h || c->out_pad_w)
		return -EINVAL;
	if (out_side(c, true) < 1 || out_side(c, false) < 1 || out_side(c, true) > MAX_SIDE ||
	    out_side(c, false) > MAX_SIDE)
		return -EINVAL;
	return 0;
}

SILI_EXPORT int sili_conv_shape(const struct sili_conv *conv, uint32_t *oh, uint32_t *ow)
{
	struct sili_conv c = *conv;
	int ret = check_shape(&c);

	if (ret)
		return ret;
	*oh = (uint32_t)out_side(&c, true);
	*ow = (uint32_t)out_side(&c, false);
	return 0;
}

/* The GEMM of a group's filters; all but rows, k and addresses of a phase. */
static int describe(const struct sili_info *info, const struct sili_conv *c, struct sili_gemm *g)
{
	uint32_t channels = c->c / c->groups, filters = c->k / c->groups;

	*g = (struct sili_gemm){
		.size = sizeof(*g),
		.n = filters,
		.k = 1,
		.a_fmt = c->x_fmt,
		.b_fmt = c->w_fmt,
		.c_fmt = c->y_fmt,
		.a = c->x,
		.b = c->weights,
		.c = c->y,
		.bias = c->bias,
		.col_scale = c->col_scale,
		.residual = c->residual,
		.residual_fmt = c->residual_fmt,
		.act = c->act,
		.scale = c->scale,
		.out_scale = c->out_scale,
		.prefetch = c->prefetch,
		.batch = c->groups,
		.a_stride = c->x_pixel,
		.c_stride = c->y_pixel,
		.residual_stride = c->residual ? c->residual_pixel : 0,
		.bias_batch = filters * 4ull,
		.col_scale_batch = filters * 4ull,
	};
	memcpy(g->ahead, c->ahead, sizeof(g->ahead));
	if (!gemm_formats_ok(info, g) || !gemm_out_format_ok(g->c_fmt) ||
	    (g->residual && !gemm_out_format_ok(g->residual_fmt)) || sili_act_op(g->act) < 0)
		return -EINVAL;
	if (!g->residual)
		g->residual_fmt = X1_FMT_FP32;
	/* Parts of a pixel are whole bytes. */
	if ((uint64_t)channels * x1_format_bits(c->x_fmt) % 8 ||
	    (uint64_t)channels * x1_format_bits(c->w_fmt) % 8 ||
	    (uint64_t)filters * x1_format_bits(c->y_fmt) % 8 ||
	    (uint64_t)filters * x1_format_bits(g->residual_fmt) % 8)
		return -EINVAL;
	g->a_batch = sili_fmt_bytes(c->x_fmt, channels);
	g->b_stride = sili_fmt_bytes(c->w_fmt, (uint64_t)c->r * c->s * channels);
	g->b_batch = g->b_stride * filters;
	g->c_batch = sili_fmt_bytes(c->y_fmt, filters);
	g->residual_batch = sili_fmt_bytes(g->residual_fmt, filters);
	gemm_defaults(g);
	return g->b_stride > INT32_MAX ? -EINVAL : 0;
}

/* ---- axes ---- */

static struct gemm_axis axis(const struct sili_conv *c, bool y)
{
	return (struct gemm_axis){
		.out = (uint32_t)out_side(c, y),
		.in = y ? c->h : c->w,
		.taps = y ? c->r : c->s,
		.stride = (int32_t)(y ? c->stride_h : c->stride_w),
		.origin = -(int32_t)(y ? c->pad_top : c->pad_left),
		.dil = (int32_t)(y ? c->dil_h : c->dil_w),
		.w_step = 1,
		.x_stride = y ? c->x_row : c->x_pixel,
		.y_stride = y ? c->y_row : c->y_pixel,
		.res_stride = y ? c->residual_row : c->residual_pixel,
	};
}

/*
 * Every stride-th output of a transposed axis from `phase` on: a convolution
 * of stride 1 with every step-th tap, which goes down in x as the tap goes up.
 * False: no tap reaches these outputs.
 */
static bool phase_axis(const struct gemm_axis *whole, uint32_t phase, struct gemm_axis *a)
{
	int64_t stride = whole->stride, dil = whole->dil, pad = -(int64_t)whole->origin;
	int64_t first = 0, step = 1;

	while (step * dil % stride)
		step++;
	while (first < step && (phase + pad - first * dil) % stride)
		first++;
	if (first == step || first >= whole->taps)
		return false;
	*a = *whole;
	a->out = (uint32_t)sili_div_up(whole->out - phase, (uint64_t)stride);
	a->taps = (uint32_t)((whole->taps - 1 - first) / step + 1);
	a->stride = 1;
	a->origin = (int32_t)((phase + pad - first * dil) / stride);
	a->dil = (int32_t) - (step * dil / stride);
	a->w_first = (uint32_t)first;
	a->w_step = (uint32_t)step;
	a->y_stride *= (uint64_t)stride;
	a->res_stride *= (uint64_t)stride;
	return true;
}

/* ---- on MATRIX ---- */

/* Pixels lie one after another: rows of a matrix. */
static bool flat(const struct sili_conv *c, uint64_t pixel, uint64_t row, uint64_t image)
{
	return (c->h == 1 || row == c->w * pixel) && (c->n == 1 || image == c->h * c->w * pixel);
}

static bool is_plain(const struct sili_conv *c)
{
	return c->r == 1 && c->s == 1 && c->stride_h == 1 && c->stride_w == 1 && !c->pad_top &&
	       !c->pad_left && !c->pad_bottom && !c->pad_right && !c->out_pad_h && !c->out_pad_w &&
	       flat(c, c->x_pixel, c->x_row, c->x_image) &&
	       flat(c, c->y_pixel, c->y_row, c->y_image) &&
	       (!c->residual || flat(c, c->residual_pixel, c->residual_row, c->residual_image)) &&
	       (uint64_t)c->n * c->h * c->w <= INT32_MAX;
}

/* Chunks of k begin at multiples of it: a divisor of the run. */
static uint32_t chunk_step(uint32_t run_padded)
{
	uint32_t step = CHUNK_STEP;

	while (run_padded % step)
		step -= RUN_STEP;
	return step;
}

static int make_box(const struct sili_conv *c, const struct gemm_axis *y, const struct gemm_axis *x,
		    struct gemm_box *b, struct sili_gemm *g)
{
	uint64_t taps, m;

	/* It is a key: no bytes that nobody has written. */
	memset(b, 0, sizeof(*b));
	b->y = *y;
	b->x = *x;
	b->images = c->n;
	b->x_image = c->x_image;
	b->y_image = c->y_image;
	b->res_image = c->residual_image;
	b->channels = c->c / c->groups;
	b->filter_s = c->s;
	b->by_row = !c->transposed && c->s > 1 && c->dil_w == 1 && b->channels <= ROW_CHANNELS &&
		    sili_fmt_bytes(c->x_fmt, (uint64_t)c->r * c->s * b->channels) <= ROW_FILTER;
	b->one_of_many = c->transposed;
	b->run = b->by_row ? x->taps * b->channels : b->channels;
	b->run_padded = (uint32_t)sili_align(b->run, RUN_STEP);
	taps = b->by_row ? y->taps : (uint64_t)y->taps * x->taps;
	m = (uint64_t)c->n * y->out * x->out;
	if (m > INT32_MAX || taps * b->run_padded > X1_MM_MAX_K || y->y_stride > INT32_MAX ||
	    x->y_stride > INT32_MAX || y->res_stride > INT32_MAX || x->res_stride > INT32_MAX)
		return -E2BIG;
	g->m = (uint32_t)m;
	g->k = (uint32_t)(taps * b->run_padded);
	return 0;
}

static struct sili_key box_key(const struct sili_gemm *g, const struct gemm_box *b)
{
	struct sili_key key = gemm_key(g);

	key.word[0] = SILI_KEY_CONV;
	memcpy(key.word + FIRST_BOX_KEY, b, sizeof(*b));
	return key;
}

static void report(struct sili_conv_plan *out, const struct sili_info *info,
		   const struct gemm_plan *pl)
{
	out->launches++;
	out->window = pl->is_box && pl->box.window;
	out->tile_n = pl->is_box ? pl->box.tile_images : 1;
	out->tile_h = pl->is_box ? pl->box.y.tile : 1;
	out->tile_w = pl->is_box ? pl->box.x.tile : pl->tm;
	out->tile_k = pl->tn;
	out->chunk = pl->kc;
	out->stages = pl->stages;
	out->work_groups = pl->grid;
	out->cycles += pl->cycles + X1_LAUNCH_CYCLES;
	out->roofline += gemm_roofline(info, pl);
	out->split_k = pl->parts.splits * pl->parts.fold;
	out->split_k_step = pl->parts.k;
}

/* One launch: all of y, or a phase of it whose first pixel is at these bytes. */
static int launch(struct sili_device *dev, const struct sili_conv *c, struct sili_gemm *g,
		  const struct gemm_axis *y, const struct gemm_axis *x, uint64_t y_off,
		  uint64_t res_off, union x1_cmd *cmd, struct sili_conv_plan *plan)
{
	const struct sili_kernel *k;
	struct gemm_plan pl;
	struct sili_key key;
	int ret;

	if (is_plain(c)) {
		g->m = c->n * c->h * c->w;
		g->k = c->c / c->groups;
		if (g->k > X1_MM_MAX_K)
			return -E2BIG;
		gemm_describe(&pl, g);
		key = gemm_key(g);
	} else {
		struct gemm_box box;

		ret = make_box(c, y, x, &box, g);
		if (ret)
			return ret;
		gemm_describe(&pl, g);
		pl.is_box = true;
		pl.box = box;
		pl.k_step = chunk_step(box.run_padded);
		key = box_key(g, &box);
	}
	ret = gemm_make(dev, &pl, &key, &k);
	if (ret)
		return ret;
	g->c = c->y + y_off;
	g->residual = c->residual ? c->residual + res_off : 0;
	ret = gemm_launch(dev, k, g, cmd);
	if (!ret)
		report(plan, &dev->info, k->note);
	return ret;
}

static int on_matrix(struct sili_device *dev, const struct sili_conv *c, union x1_cmd *cmds,
		     uint32_t max, struct sili_conv_plan *plan)
{
	struct gemm_axis wy = axis(c, true), wx = axis(c, false), y = wy, x = wx;
	uint32_t phases_y = c->transposed ? c->stride_h : 1;
	uint32_t phases_x = c->transposed ? c->stride_w : 1;
	struct sili_gemm g;
	uint32_t n = 0;
	int ret = describe(&dev->info, c, &g);

	if (ret)
		return ret;
	for (uint32_t py = 0; py < phases_y && py < wy.out; py++) {
		if (c->transposed && !phase_axis(&wy, py, &y))
			return -EINVAL;
		for (uint32_t px = 0; px < phases_x && px < wx.out; px++) {
			if (c->transposed && !phase_axis(&wx, px, &x))
				return -EINVAL;
			if (n == max)
				return -ENOSPC;
			ret = launch(dev, c, &g, &y, &x, py * c->y_row + px * c->y_pixel,
				     py * c->residual_row + px * c->residual_pixel, &cmds[n++],
				     plan);
			if (ret)
				return ret;
		}
	}
	return (int)n;
}

/* ---- on VECTOR ---- */

static int on_vector(struct sili_device *dev, const struct sili_conv *c, union x1_cmd *cmd,
		     struct sili_conv_plan *plan)
{
	struct sili_gemm g;
	struct window_plan pl;
	struct window w;
	int ret = describe(&dev->info, c, &g);

	if (ret)
		return ret;
	memset(&w, 0, sizeof(w));
	w.op = WINDOW_FMA;
	w.y = axis(c, true);
	w.x = axis(c, false);
	w.images = c->n;
	w.channels = c->c;
	w.x_image = c->x_image;
	w.y_image = c->y_image;
	w.res_image = c->residual_image;
	w.x_fmt = c->x_fmt;
	w.w_fmt = c->w_fmt;
	w.y_fmt = c->y_fmt;
	w.res_fmt = g.residual_fmt;
	w.bias = c->bias;
	w.col_scale = c->col_scale;
	w.residual = c->residual;
	w.act = c->act;
	w.scale = g.scale;
	w.out_scale = g.out_scale;
	w.overlap = g.prefetch != SILI_PREFETCH_OFF;
	ret = window_launch(dev, &w,
			    &(struct window_addr){.x = c->x,
						  .y = c->y,
						  .weights = c->weights,
						  .bias = c->bias,
						  .col_scale = c->col_scale,
						  .residual = c->residual},
			    cmd, &pl);
	if (ret)
		return ret;
	*plan = (struct sili_conv_plan){
		.launches = 1,
		.vector = true,
		.tile_n = 1,
		.tile_h = pl.tile_y,
		.tile_w = pl.tile_x,
		.tile_k = pl.tile_c,
		.stages = 2,
		.work_groups = pl.grid,
		.cycles = pl.cycles + X1_LAUNCH_CYCLES,
		.roofline = pl.roofline,
		.split_k = 1,
	};
	return 1;
}

SILI_EXPORT int sili_conv(struct sili_device *dev, const struct sili_conv *conv, union x1_cmd *cmds,
			  uint32_t max, struct sili_conv_plan *plan)
{
	struct sili_conv_plan chosen = {0};
	struct sili_conv c = *conv;
	int ret = check_shape(&c);

	if (ret)
		return ret;
	if ((unsigned int)c.x_fmt >= X1_FMT_COUNT || (unsigned int)c.y_fmt >= X1_FMT_COUNT ||
	    (c.residual && (unsigned int)c.residual_fmt >= X1_FMT_COUNT))
		return -EINVAL;
	if (!image_strides(c.x_fmt, c.c, c.w, c.h, &c.x_pixel, &c.x_row, &c.x_image) ||
	    !image_strides(c.y_fmt, c.k, (uint32_t)out_side(&c, false),
			   (uint32_t)out_side(&c, true), &c.y_pixel, &c.y_row, &c.y_image))
		return -EINVAL;
	if (!c.residual)
		c.residual_pixel = c.residual_row = c.residual_image = 0;
	else if (!image_strides(c.residual_fmt, c.k, (uint32_t)out_side(&c, false),
				(uint32_t)out_side(&c, true), &c.residual_pixel, &c.residual_row,
				&c.residual_image))
		return -EINVAL;
	if (!max)
		return -ENOSPC;
	if (c.groups == c.c && c.k == c.c && c.c > 1 && !c.transposed)
		ret = on_vector(dev, &c, cmds, &chosen);
	else
		ret = on_matrix(dev, &c, cmds, max, &chosen);
	if (ret > 0 && plan)
		*plan = chosen;
	return ret;
}
