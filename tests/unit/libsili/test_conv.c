// SPDX-License-Identifier: MIT
/*
 * Convolution and pooling over a grid of formats, shapes, strides, padding,
 * dilations, groups and epilogues, dense and inside of larger images, on two
 * machines. All results have the bits of the accumulate rule (REQ-NUM-001 to
 * 003, 020 to 026) over the runs that sili_kernels.h states, and values near
 * those of a double-precision sum written from the definition.
 *
 * `test_conv perf` prints cycles, what the plan expected and the roofline.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sili_kernels.h>

#include "num/x1_num.h"
#include "util.h"

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

static bool perf_mode;
static uint32_t windows[2]; /* cases with and without, where the plan could choose */

/* ---- data ---- */

/* An NHWC image whose pixels and rows may lie apart. */
struct image {
	enum x1_format fmt;
	uint32_t n, h, w, c;
	size_t pixel, row, image, bytes;
	uint8_t *data;
	float *v; /* dense values */
};

static size_t at(const struct image *m, uint32_t n, uint32_t y, uint32_t x)
{
	return ((size_t)(n * m->h + y) * m->w + x) * m->c;
}

static uint8_t *pixel(const struct image *m, uint32_t n, uint32_t y, uint32_t x)
{
	return m->data + n * m->image + y * m->row + x * m->pixel;
}

static void make_image(struct image *m, uint32_t seed, uint32_t apart)
{
	size_t n = (size_t)m->n * m->h * m->w * m->c;
	bool ints = x1_format_is_int(m->fmt);

	m->pixel = sili_format_bytes(m->fmt, m->c) + apart;
	m->row = m->pixel * m->w + 3 * apart;
	m->image = m->row * m->h + 7 * apart;
	m->bytes = m->image * m->n;
	m->data = malloc(m->bytes);
	memset(m->data, 0x5a, m->bytes);
	m->v = malloc(n * sizeof(float));
	t_random(m->v, n, seed, ints ? 7 : 40);
	for (size_t i = 0; i < n && !ints; i++)
		m->v[i] *= 0.0625f;
	for (uint32_t i = 0; i < m->n; i++)
		for (uint32_t y = 0; y < m->h; y++)
			for (uint32_t x = 0; x < m->w; x++) {
				sili_from_f32(m->fmt, m->v + at(m, i, y, x), pixel(m, i, y, x),
					      m->c);
				sili_to_f32(m->fmt, pixel(m, i, y, x), m->v + at(m, i, y, x), m->c);
			}
}

static void free_image(struct image *m)
{
	free(m->data);
	free(m->v);
}

static struct sili_bo *upload(struct sili_device *dev, const void *src, size_t bytes)
{
	struct sili_bo *bo = t_bo(dev, bytes ? bytes : 1, SILI_HBM);

	memcpy(sili_bo_map(bo), src, bytes);
	return bo;
}

/* ---- convolution from the definition ---- */

/* Does x's pixel of tap t make output o? Its coordinate in x; may be outside. */
static bool source(const struct sili_conv *c, bool y, int64_t o, int64_t t, int64_t *in)
{
	int64_t stride = y ? c->stride_h : c->stride_w, dil = y ? c->dil_h : c->dil_w;
	int64_t pad = y ? c->pad_top : c->pad_left;

	*in = o * stride + t * dil - pad;
	if (!c->transposed)
		return true;
	*in = o + pad - t * dil;
	if (*in % stride)
		return false;
	*in /= stride;
	return true;
}

static double conv_f64(const struct sili_conv *c, const struct image *x, const float *w, uint32_t n,
		       uint32_t oy, uint32_t ox, uint32_t k)
{
	uint32_t cg = c->c / c->groups, g = k / (c->k / c->groups);
	double sum = 0;

	for (uint32_t r = 0; r < c->r; r++)
		for (uint32_t s = 0; s < c->s; s++) {
			int64_t iy, ix;

			if (!source(c, true, oy, r, &iy) || !source(c, false, ox, s, &ix) ||
			    iy < 0 || ix < 0 || iy >= c->h || ix >= c->w)
				continue;
			for (uint32_t i = 0; i < cg; i++)
				sum += (double)x->v[at(x, n, (uint32_t)iy, (uint32_t)ix) + g * cg +
						    i] *
				       w[(((size_t)k * c->r + r) * c->s + s) * cg + i];
		}
	return sum;
}

/* Runs of k as sili_kernels.h states them: does a row of taps make one? */
static bool by_row(const struct sili_conv *c)
{
	uint32_t cg = c->c / c->groups;

	return !c->transposed && c->s > 1 && c->dil_w == 1 && cg <= 16 &&
	       sili_format_bytes(c->x_fmt, (size_t)c->r * c->s * cg) <= 65536;
}

static size_t align32(size_t v)
{
	return (v + 31) / 32 * 32;
}

/*
 * The taps of an output pixel in rows of patches (of x) or of filters: k
 * elements with each run padded to 32. Returns how many.
 */
static size_t patch(const struct sili_conv *c, const struct image *x, const float *w, uint32_t n,
		    uint32_t oy, uint32_t ox, uint32_t k, float *to)
{
	uint32_t cg = c->c / c->groups, g = k / (c->k / c->groups);
	size_t len = 0;

	for (uint32_t r = 0; r < c->r; r++) {
		for (uint32_t s = 0; s < c->s; s++) {
			int64_t iy, ix;

			if (!source(c, true, oy, r, &iy) || !source(c, false, ox, s, &ix))
				continue;
			for (uint32_t i = 0; i < cg; i++) {
				bool in = iy >= 0 && ix >= 0 && iy < c->h && ix < c->w;

				to[len++] = w    ? w[(((size_t)k * c->r + r) * c->s + s) * cg + i]
					    : in ? x->v[at(x, n, (uint32_t)iy, (uint32_t)ix) +
							g * cg + i]
						 : 0;
			}
			for (; !by_row(c) && len % 32; len++)
				to[len] = 0;
		}
		for (; len % 32; len++)
			to[len] = 0;
	}
	return len;
}

/* One row of patches times the filters of a group. */
static void product(const struct sili_conv *c, const uint8_t *a, const uint8_t *b, size_t k,
		    uint32_t filters, const struct sili_conv_plan *pl, float *acc, float *part)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();
	bool ints = x1_format_is_int(c->x_fmt);

	for (uint32_t s = 0; s < pl->split_k; s++) {
		size_t k0 = (size_t)s * pl->split_k_step;
		struct x1_mm_args args = {
			.m = 1,
			.n = filters,
			.k = s + 1 == pl->split_k ? (uint32_t)(k - k0) : pl->split_k_step,
			.k0 = (uint32_t)k0,
			.a = {.base = a + sili_format_bytes(c->x_fmt, k0), .fmt = c->x_fmt},
			.b = {.base = b + sili_format_bytes(c->w_fmt, k0),
			      .fmt = c->w_fmt,
			      .stride = (int64_t)sili_format_bytes(c->w_fmt, k)},
			.acc = s ? part : acc,
			.acc_stride = 4 * (int64_t)filters,
		};

		assert_int_equal(x1_mm(&args, ws), 0);
		if (s && ints)
			x1_vec_int(X1_VEC_ADD, (int32_t *)acc, (int32_t *)acc, (int32_t *)part,
				   NULL, filters);
		else if (s)
			x1_vec_binary(X1_VEC_ADD, acc, acc, part, filters);
	}
	x1_mm_ws_free(ws);
}

/* Depthwise: fma from +0, taps rising. */
static void depthwise(const struct sili_conv *c, const struct image *x, const float *w, uint32_t n,
		      uint32_t oy, uint32_t ox, float *acc)
{
	for (uint32_t k = 0; k < c->k; k++) {
		float sum = 0;
		int32_t isum = 0;

		for (uint32_t r = 0; r < c->r; r++)
			for (uint32_t s = 0; s < c->s; s++) {
				int64_t iy, ix;
				float v = 0, f = w[((size_t)k * c->r + r) * c->s + s];

				source(c, true, oy, r, &iy);
				source(c, false, ox, s, &ix);
				if (iy >= 0 && ix >= 0 && iy < c->h && ix < c->w)
					v = x->v[at(x, n, (uint32_t)iy, (uint32_t)ix) + k];
				x1_vec_ternary(X1_VEC_FMA, &sum, &v, &f, &sum, 1);
				isum += (int32_t)v * (int32_t)f;
			}
		acc[k] = sum;
		if (x1_format_is_int(c->x_fmt))
			memcpy(&acc[k], &isum, 4);
	}
}

struct edge {
	const float *bias, *col;
	const struct image *residual;
};

static double act_f64(enum sili_act act, double v)
{
	switch (act) {
	case SILI_ACT_RELU:
		return v > 0 ? v : 0;
	case SILI_ACT_GELU:
		return v * 0.5 * erfc(-v * M_SQRT1_2);
	case SILI_ACT_SILU:
		return v / (1 + exp(-v));
	default:
		return v;
	}
}

static float finish(const struct sili_conv *c, const struct edge *e, float v, size_t res,
		    uint32_t k)
{
	float s = 1;

	if (e->col) {
		s = e->col[k];
		if (c->scale != 0)
			x1_vec_binary(X1_VEC_MUL, &s, &s, &c->scale, 1);
	} else if (c->scale != 0) {
		s = c->scale;
	}
	if (e->col || c->scale != 0)
		x1_vec_binary(X1_VEC_MUL, &v, &v, &s, 1);
	if (e->bias)
		x1_vec_binary(X1_VEC_ADD, &v, &v, &e->bias[k], 1);
	if (e->residual)
		x1_vec_binary(X1_VEC_ADD, &v, &v, &e->residual->v[res + k], 1);
	if (c->act)
		x1_vec_unary(c->act == SILI_ACT_RELU   ? X1_VEC_RELU
			     : c->act == SILI_ACT_GELU ? X1_VEC_GELU
						       : X1_VEC_SILU,
			     &v, &v, 1);
	if (c->out_scale != 0)
		x1_vec_binary(X1_VEC_MUL, &v, &v, &c->out_scale, 1);
	return v;
}

static double finish_f64(const struct sili_conv *c, const struct edge *e, double v, size_t res,
			 uint32_t k)
{
	v *= (e->col ? e->col[k] : 1) * (double)(c->scale != 0 ? c->scale : 1);
	v += (e->bias ? e->bias[k] : 0) + (double)(e->residual ? e->residual->v[res + k] : 0);
	return act_f64(c->act, v) * (c->out_scale != 0 ? c->out_scale : 1);
}

/* ---- cases ---- */

struct test {
	struct sili_conv c; /* without addresses */
	bool bias, col, residual;
	uint32_t apart; /* bytes between pixels beyond the dense ones */
};

static void describe(const struct sili_conv *c, char *buf, size_t n)
{
	snprintf(buf, n,
		 "%ux%ux%ux%u * %ux%ux%u /%u,%u dil %u,%u pad %u,%u,%u,%u groups %u%s %s*%s>%s",
		 c->n, c->h, c->w, c->c, c->k, c->r, c->s, c->stride_h, c->stride_w, c->dil_h,
		 c->dil_w, c->pad_top, c->pad_left, c->pad_bottom, c->pad_right, c->groups,
		 c->transposed ? " transposed" : "", sili_format_name(c->x_fmt),
		 sili_format_name(c->w_fmt), sili_format_name(c->y_fmt));
}

/* All of y into `y`, with the bits that the plan's split has. */
static void expect(const struct test *t, const struct image *x, const float *w,
		   const struct edge *e, const struct sili_conv_plan *pl, struct image *y,
		   const char *name)
{
	const struct sili_conv *c = &t->c;
	uint32_t filters = c->k / c->groups;
	size_t most = align32((size_t)c->c * c->s) * c->r + align32(c->c) * c->r * c->s;
	float *p = malloc(most * 4), *acc = malloc(c->k * 4), *part = malloc(c->k * 4);
	uint8_t *a = malloc(most * 4), *b = malloc(most * 4 * filters);
	bool ints = x1_format_is_int(c->x_fmt);
	bool vec = t->bias || t->col || t->residual || c->act || c->scale != 0 || c->out_scale != 0;
	double dot = 0, xx = 0, yy = 0;

	for (uint32_t n = 0; n < y->n; n++)
		for (uint32_t oy = 0; oy < y->h; oy++)
			for (uint32_t ox = 0; ox < y->w; ox++) {
				size_t res = at(y, n, oy, ox);

				for (uint32_t g = 0; g < c->groups && !pl->vector; g++) {
					size_t k = patch(c, x, NULL, n, oy, ox, g * filters, p);

					sili_from_f32(c->x_fmt, p, a, k);
					for (uint32_t f = 0; f < filters; f++) {
						patch(c, x, w, n, oy, ox, g * filters + f, p);
						sili_from_f32(
							c->w_fmt, p,
							b + f * sili_format_bytes(c->w_fmt, k), k);
					}
					product(c, a, b, k, filters, pl, acc + g * filters, part);
				}
				if (pl->vector)
					depthwise(c, x, w, n, oy, ox, acc);
				if (ints && !vec && x1_format_is_int(c->y_fmt)) {
					x1_pack_i32(c->y_fmt, true, (int32_t *)acc,
						    pixel(y, n, oy, ox), 0, c->k);
					continue;
				}
				for (uint32_t k = 0; k < c->k; k++) {
					double d = finish_f64(c, e, conv_f64(c, x, w, n, oy, ox, k),
							      res, k);

					if (ints)
						acc[k] = (float)*(int32_t *)&acc[k];
					acc[k] = finish(c, e, acc[k], res, k);
					dot += d * acc[k];
					xx += d * d;
					yy += (double)acc[k] * acc[k];
				}
				x1_pack_f32(c->y_fmt, true, acc, pixel(y, n, oy, ox), 0, c->k);
			}
	if (xx + yy > 0 && 1 - 2 * dot / (xx + yy) > 1e-9)
		fail_msg("%s: %g from the definition", name, 1 - 2 * dot / (xx + yy));
	free(p);
	free(acc);
	free(part);
	free(a);
	free(b);
}

static uint32_t or_one(uint32_t v)
{
	return v ? v : 1;
}

static void run_case(const struct test *in)
{
	struct test t = *in;
	struct sili_conv *c = &t.c;
	struct image x = {.fmt = c->x_fmt, .n = c->n, .h = c->h, .w = c->w, .c = c->c};
	struct image y = {.fmt = c->y_fmt, .n = c->n, .c = c->k};
	struct image res = {.n = c->n, .c = c->k, .fmt = X1_FMT_BF16};
	float *bias = malloc(c->k * 4), *col = malloc(c->k * 4), *w;
	struct edge e = {t.bias ? bias : NULL, t.col ? col : NULL, t.residual ? &res : NULL};
	size_t nw;
	uint8_t *wb;
	char name[256];
	bool known = false;

	c->size = sizeof(*c);
	c->stride_h = or_one(c->stride_h);
	c->stride_w = or_one(c->stride_w);
	c->dil_h = or_one(c->dil_h);
	c->dil_w = or_one(c->dil_w);
	c->groups = or_one(c->groups);
	describe(c, name, sizeof(name));
	if (sili_conv_shape(c, &y.h, &y.w))
		fail_msg("%s: no shape", name);
	res.h = y.h;
	res.w = y.w;
	make_image(&x, 1, t.apart);
	make_image(&y, 2, t.apart);
	make_image(&res, 3, t.apart);
	memset(y.data, 0x5a, y.bytes);
	nw = (size_t)c->k * c->r * c->s * (c->c / c->groups);
	w = malloc(nw * 4);
	wb = malloc(nw * 4 + 4);
	t_random(w, nw, 4, x1_format_is_int(c->w_fmt) ? 7 : 40);
	for (size_t i = 0; i < nw && !x1_format_is_int(c->w_fmt); i++)
		w[i] *= 0.0625f;
	sili_from_f32(c->w_fmt, w, wb, nw);
	sili_to_f32(c->w_fmt, wb, w, nw);
	t_random(bias, c->k, 5, 5);
	t_random(col, c->k, 6, 9);
	for (uint32_t i = 0; i < c->k; i++)
		col[i] *= 0.3f;
	c->x_pixel = x.pixel;
	c->x_row = x.row;
	c->x_image = x.image;
	c->y_pixel = y.pixel;
	c->y_row = y.row;
	c->y_image = y.image;
	c->residual_fmt = res.fmt;
	c->residual_pixel = res.pixel;
	c->residual_row = res.row;
	c->residual_image = res.image;
	for (size_t m = 0; m < T_MACHINES; m++) {
		struct sili_device *dev = t_machines[m].dev;
		struct sili_bo *bo[] = {
			upload(dev, x.data, x.bytes),
			upload(dev, wb, sili_format_bytes(c->w_fmt, nw)),
			upload(dev, y.data, y.bytes),
			upload(dev, bias, c->k * 4),
			upload(dev, col, c->k * 4),
			upload(dev, res.data, res.bytes),
		};
		uint8_t *got = sili_bo_map(bo[2]);

		c->x = sili_bo_dva(bo[0]);
		c->weights = sili_bo_dva(bo[1]);
		c->y = sili_bo_dva(bo[2]);
		c->bias = t.bias ? sili_bo_dva(bo[3]) : 0;
		c->col_scale = t.col ? sili_bo_dva(bo[4]) : 0;
		c->residual = t.residual ? sili_bo_dva(bo[5]) : 0;
		for (int pf = SILI_PREFETCH_OFF; pf <= SILI_PREFETCH_KERNEL; pf++) {
			struct sili_conv_plan pl;
			union x1_cmd cmds[64];
			struct x1_perf perf;
			int n;

			c->prefetch = (enum sili_prefetch)pf;
			memset(got, 0x5a, y.bytes);
			n = sili_conv(dev, c, cmds, COUNT(cmds), &pl);
			if (n < 1 || (uint32_t)n != pl.launches)
				fail_msg("%s: sili_conv gives %d", name, n);
			if (sili_run_perf(t_machines[m].queue, cmds, (uint32_t)n, &perf))
				fail_msg("%s: fault %s (box %ux%ux%u, %u filters, chunk %u, split "
					 "%u)",
					 name, x1_fault_name(t_fault(t_machines[m].queue)),
					 pl.tile_n, pl.tile_h, pl.tile_w, pl.tile_k, pl.chunk,
					 pl.split_k);
			if (!pl.vector && !by_row(c) && c->r * c->s > 1)
				windows[pl.window]++;
			if (perf_mode)
				printf("%-76s %s prefetch %d: box %ux%ux%u, %u filters, chunk %u, "
				       "split %u, window %d, %lu cycles, expected %lu, roofline %lu\n",
				       name, t_machines[m].spec, pf, pl.tile_n, pl.tile_h,
				       pl.tile_w, pl.tile_k, pl.chunk, pl.split_k, pl.window,
				       (unsigned long)perf.cycles, (unsigned long)pl.cycles,
				       (unsigned long)pl.roofline);
			if (!known)
				expect(&t, &x, w, &e, &pl, &y, name);
			known = true;
			for (size_t i = 0; i < y.bytes; i++)
				if (got[i] != y.data[i])
					fail_msg("%s, %s, prefetch %d: byte %zu is %02x, not %02x "
						 "(box %ux%ux%u, %u filters, chunk %u, split %u)",
						 name, t_machines[m].spec, pf, i, got[i], y.data[i],
						 pl.tile_n, pl.tile_h, pl.tile_w, pl.tile_k,
						 pl.chunk, pl.split_k);
		}
		for (size_t i = 0; i < COUNT(bo); i++)
			sili_bo_free(bo[i]);
	}
	free_image(&x);
	free_image(&y);
	free_image(&res);
	free(w);
	free(wb);
	free(bias);
	free(col);
}

static const enum x1_format formats[] = {X1_FMT_FP32, X1_FMT_TF32, X1_FMT_BF16, X1_FMT_FP16,
					 X1_FMT_E4M3, X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3,
					 X1_FMT_E2M1, X1_FMT_INT8, X1_FMT_INT4};

/* Shapes that all formats can have: channels by four. */
static void test_conv_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (size_t j = 0; j < COUNT(formats); j++) {
			bool ints = x1_format_is_int(formats[i]);
			struct test t = {.c = {.n = 2,
					       .h = 6,
					       .w = 7,
					       .c = i == j ? 44 : 8,
					       .k = 20,
					       .r = 3,
					       .s = 3,
					       .stride_w = 2,
					       .pad_top = 1,
					       .pad_left = 1,
					       .pad_right = 1,
					       .x_fmt = formats[i],
					       .w_fmt = formats[j],
					       .y_fmt = ints ? X1_FMT_INT32 : X1_FMT_FP32}};

			if (ints != x1_format_is_int(formats[j]))
				continue;
			run_case(&t);
			if (i != j)
				continue;
			t.c.c = 8;
			t.c.y_fmt = formats[i];
			t.bias = !ints;
			run_case(&t);
			t.c.transposed = true;
			t.c.stride_h = 2;
			run_case(&t);
			if (x1_format_bits(formats[i]) < 8)
				continue;
			t.c.transposed = false;
			t.c.c = t.c.k = t.c.groups = 70;
			run_case(&t);
		}
}

static void test_conv_shapes(void **state)
{
	static const struct sili_conv shapes[] = {
		{.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},
		{.n = 3, .h = 5, .w = 4, .c = 40, .k = 33, .r = 1, .s = 1},
		{.n = 2,
		 .h = 9,
		 .w = 9,
		 .c = 64,
		 .k = 48,
		 .r = 1,
		 .s = 1,
		 .stride_h = 2,
		 .stride_w = 2},
		{.n = 1, .h = 3, .w = 3, .c = 1, .k = 5, .r = 3, .s = 3},
		{.n = 1,
		 .h = 20,
		 .w = 21,
		 .c = 3,
		 .k = 64,
		 .r = 7,
		 .s = 7,
		 .stride_h = 2,
		 .stride_w = 2,
		 .pad_top = 3,
		 .pad_left = 3,
		 .pad_bottom = 3,
		 .pad_right = 3},
		{.n = 2,
		 .h = 11,
		 .w = 5,
		 .c = 16,
		 .k = 7,
		 .r = 5,
		 .s = 2,
		 .dil_h = 2,
		 .pad_top = 9},
		{.n = 1,
		 .h = 12,
		 .w = 13,
		 .c = 17,
		 .k = 40,
		 .r = 3,
		 .s = 3,
		 .dil_h = 2,
		 .dil_w = 3,
		 .pad_top = 2,
		 .pad_left = 3,
		 .pad_bottom = 1,
		 .pad_right = 5},
		{.n = 2,
		 .h = 7,
		 .w = 7,
		 .c = 192,
		 .k = 64,
		 .r = 3,
		 .s = 3,
		 .pad_top = 1,
		 .pad_left = 1,
		 .pad_bottom = 1,
		 .pad_right = 1},
		{.n = 1,
		 .h = 7,
		 .w = 7,
		 .c = 512,
		 .k = 32,
		 .r = 3,
		 .s = 3,
		 .pad_top = 1,
		 .pad_left = 1,
		 .pad_bottom = 1,
		 .pad_right = 1},
		{.n = 1, .h = 4, .w = 4, .c = 1184, .k = 9, .r = 2, .s = 2},
		/* one dimension */
		{.n = 2,
		 .h = 1,
		 .w = 300,
		 .c = 24,
		 .k = 40,
		 .r = 1,
		 .s = 9,
		 .stride_w = 3,
		 .pad_left = 8},
		{.n = 1, .h = 1, .w = 101, .c = 5, .k = 6, .r = 1, .s = 4, .dil_w = 7},
		/* padding without end */
		{.n = 1,
		 .h = 2,
		 .w = 2,
		 .c = 8,
		 .k = 8,
		 .r = 2,
		 .s = 2,
		 .pad_top = 20,
		 .pad_left = 9},
		/* groups */
		{.n = 2,
		 .h = 6,
		 .w = 6,
		 .c = 64,
		 .k = 32,
		 .r = 3,
		 .s = 3,
		 .groups = 4,
		 .pad_left = 1},
		{.n = 1, .h = 6, .w = 6, .c = 12, .k = 36, .r = 3, .s = 3, .groups = 12},
		{.n = 1, .h = 9, .w = 8, .c = 96, .k = 96, .r = 1, .s = 1, .groups = 3},
		/* depthwise */
		{.n = 2,
		 .h = 9,
		 .w = 10,
		 .c = 32,
		 .k = 32,
		 .r = 3,
		 .s = 3,
		 .groups = 32,
		 .pad_top = 1,
		 .pad_left = 1,
		 .pad_bottom = 1,
		 .pad_right = 1},
		{.n = 1,
		 .h = 15,
		 .w = 15,
		 .c = 200,
		 .k = 200,
		 .r = 5,
		 .s = 4,
		 .groups = 200,
		 .stride_h = 2,
		 .stride_w = 3,
		 .dil_h = 2,
		 .pad_top = 2,
		 .pad_right = 3},
		{.n = 1, .h = 1, .w = 64, .c = 2, .k = 2, .r = 1, .s = 1, .groups = 2},
		{.n = 1, .h = 100, .w = 100, .c = 64, .k = 64, .r = 100, .s = 100, .groups = 64},
		/* transposed */
		{.n = 2,
		 .h = 4,
		 .w = 5,
		 .c = 32,
		 .k = 24,
		 .r = 4,
		 .s = 4,
		 .stride_h = 2,
		 .stride_w = 2,
		 .pad_top = 1,
		 .pad_left = 1,
		 .pad_bottom = 1,
		 .pad_right = 1,
		 .transposed = true},
		{.n = 1,
		 .h = 5,
		 .w = 4,
		 .c = 40,
		 .k = 16,
		 .r = 3,
		 .s = 5,
		 .stride_h = 3,
		 .stride_w = 2,
		 .dil_h = 2,
		 .dil_w = 3,
		 .transposed = true,
		 .out_pad_h = 2,
		 .out_pad_w = 1},
		{.n = 1,
		 .h = 1,
		 .w = 30,
		 .c = 8,
		 .k = 8,
		 .r = 1,
		 .s = 6,
		 .stride_w = 4,
		 .groups = 2,
		 .pad_left = 2,
		 .transposed = true},
		{.n = 1,
		 .h = 3,
		 .w = 3,
		 .c = 16,
		 .k = 16,
		 .r = 3,
		 .s = 3,
		 .groups = 16,
		 .transposed = true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (int apart = 0; apart < 2; apart++) {
			struct test t = {.c = shapes[i], .apart = apart ? 6 : 0};
			bool huge = shapes[i].r * shapes[i].s > 1000;

			t.c.x_fmt = t.c.w_fmt = X1_FMT_E4M3;
			if (huge && apart)
				continue;
			run_case(&t);
			t.c.x_fmt = t.c.w_fmt = t.c.y_fmt = X1_FMT_BF16;
			if (!huge)
				run_case(&t);
		}
	assert_true(windows[false] && windows[true]);
}

static void test_conv_epilogues(void **state)
{
	static const struct sili_conv shapes[] = {
		{.n = 2, .h = 6, .w = 9, .c = 24, .k = 70, .r = 3, .s = 3, .pad_left = 1},
		{.n = 1, .h = 7, .w = 7, .c = 256, .k = 32, .r = 3, .s = 3, .pad_top = 1},
		{.n = 1, .h = 9, .w = 9, .c = 3, .k = 40, .r = 3, .s = 3},
		{.n = 2, .h = 5, .w = 5, .c = 32, .k = 40, .r = 1, .s = 1},
		{.n = 2, .h = 9, .w = 6, .c = 80, .k = 80, .r = 3, .s = 3, .groups = 80},
		{.n = 1,
		 .h = 4,
		 .w = 4,
		 .c = 16,
		 .k = 16,
		 .r = 4,
		 .s = 4,
		 .stride_h = 2,
		 .stride_w = 2,
		 .transposed = true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (uint32_t mask = 0; mask < 16; mask++) {
			bool ints = mask % 3 == 0;
			struct test t = {.c = shapes[i],
					 .bias = mask & 1,
					 .col = mask & 2,
					 .residual = mask & 4,
					 .apart = mask % 5};

			t.c.scale = mask & 8 ? 0.37f : 0;
			t.c.out_scale = mask % 5 ? 0 : 0.21f;
			t.c.act = (enum sili_act)(mask % 4);
			t.c.x_fmt = t.c.w_fmt = ints ? X1_FMT_INT8 : X1_FMT_E4M3;
			t.c.y_fmt = mask % 2 ? X1_FMT_FP32 : ints ? X1_FMT_INT8 : X1_FMT_E4M3;
			run_case(&t);
		}
}

static void test_conv_errors(void **state)
{
	const struct sili_conv good = {.size = sizeof(good),
				       .n = 1,
				       .h = 8,
				       .w = 8,
				       .c = 16,
				       .k = 16,
				       .r = 3,
				       .s = 3,
				       .x_fmt = X1_FMT_FP16,
				       .w_fmt = X1_FMT_FP16};
	union x1_cmd cmds[8];
	struct sili_conv c;
	uint32_t oh, ow;

	(void)state;
	assert_int_equal(sili_conv(t_machines[0].dev, &good, cmds, 8, NULL), 1);
	assert_int_equal(sili_conv_shape(&good, &oh, &ow), 0);
	assert_int_equal(oh * 100 + ow, 606);
#define BAD(field, value)                                                                   \
	do {                                                                                \
		c = good;                                                                   \
		c.field = value;                                                            \
		assert_int_equal(sili_conv(t_machines[0].dev, &c, cmds, 8, NULL), -EINVAL); \
	} while (0)
	BAD(size, 8);
	BAD(n, 0);
	BAD(h, 2); /* smaller than the filter */
	BAD(w, 1u << 21);
	BAD(c, 0);
	BAD(k, 0);
	BAD(r, 0);
	BAD(s, 9);
	BAD(stride_h, 1u << 20);
	BAD(dil_w, 4);
	BAD(pad_top, 1u << 21);
	BAD(groups, 3);
	BAD(groups, 32);
	BAD(out_pad_h, 1); /* not transposed */
	BAD(x_fmt, X1_FMT_INT8);
	BAD(x_fmt, (enum x1_format)99);
	BAD(x_fmt, (enum x1_format) - 1);
	BAD(w_fmt, X1_FMT_E8M0);
	BAD(y_fmt, X1_FMT_E8M0);
	BAD(y_fmt, (enum x1_format)77);
	BAD(act, (enum sili_act)99);
	BAD(x_pixel, 31);
	BAD(y_row, 8);
	BAD(y_image, 1ull << 40);
#undef BAD
	c = good;
	c.residual = 4096;
	c.residual_pixel = 1;
	assert_int_equal(sili_conv(t_machines[0].dev, &c, cmds, 8, NULL), -EINVAL);
	c = good;
	c.c = c.k = 15;
	c.x_fmt = c.w_fmt = X1_FMT_E2M1; /* half a byte */
	assert_int_equal(sili_conv(t_machines[0].dev, &c, cmds, 8, NULL), -EINVAL);
	c = good;
	c.transposed = true;
	c.stride_h = 4; /* rows without a tap */
	assert_int_equal(sili_conv(t_machines[0].dev, &c, cmds, 8, NULL), -EINVAL);
	c.stride_h = 3;
	assert_int_equal(sili_conv(t_machines[0].dev, &c, cmds, 2, NULL), -ENOSPC);
	assert_int_equal(sili_conv(t_machines[0].dev, &good, cmds, 0, NULL), -ENOSPC);
}

/* ---- pooling ---- */

static void pool_expect(const struct sili_pool *q, const struct image *x, struct image *y,
			const char *name)
{
	bool ints = x1_format_is_int(q->x_fmt);
	float *out = malloc(q->c * 4);

	for (uint32_t n = 0; n < y->n; n++)
		for (uint32_t oy = 0; oy < y->h; oy++)
			for (uint32_t ox = 0; ox < y->w; ox++) {
				for (uint32_t c = 0; c < q->c; c++) {
					float v = 0, div;
					float most = -INFINITY;
					double sum = 0, want;
					uint32_t inside = 0, taps = 0;

					for (uint32_t r = 0; r < q->r; r++)
						for (uint32_t s = 0; s < q->s; s++) {
							int64_t iy = (int64_t)oy * q->stride_h + r -
								     q->pad_top;
							int64_t ix = (int64_t)ox * q->stride_w + s -
								     q->pad_left;
							bool in = iy >= 0 && ix >= 0 && iy < q->h &&
								  ix < q->w;
							float p = 0;

							if (in)
								p = x->v[at(x, n, (uint32_t)iy,
									    (uint32_t)ix) +
									 c];
							sum += p;
							if (in)
								x1_vec_binary(X1_VEC_MAX, &most,
									      &most, &p, 1);
							inside += in;
							if (!taps++)
								v = p;
							else
								x1_vec_binary(X1_VEC_ADD, &v, &v,
									      &p, 1);
						}
					div = (float)(q->op == SILI_POOL_AVG ? inside : taps);
					want = q->op == SILI_POOL_MAX ? most : sum / div;
					if (ints)
						v = (float)sum;
					if (q->op == SILI_POOL_MAX)
						v = most;
					else
						x1_vec_binary(X1_VEC_DIV, &v, &v, &div, 1);
					if (fabs(v - want) > 1e-5 * (1 + fabs(want)))
						fail_msg("%s: %g is not %g", name, v, want);
					if (q->out_scale != 0)
						x1_vec_binary(X1_VEC_MUL, &v, &v, &q->out_scale, 1);
					out[c] = v;
				}
				x1_pack_f32(q->y_fmt, true, out, pixel(y, n, oy, ox), 0, q->c);
			}
	free(out);
}

static void run_pool(const struct sili_pool *in, uint32_t apart)
{
	struct sili_pool q = *in, sent;
	struct image x = {.fmt = q.x_fmt, .n = q.n, .h = q.h, .w = q.w, .c = q.c};
	struct image y = {.fmt = q.y_fmt, .n = q.n, .c = q.c};
	char name[200];

	q.size = sizeof(q);
	q.r = q.r ? q.r : q.h;
	q.s = q.s ? q.s : q.w;
	q.stride_h = or_one(q.stride_h);
	q.stride_w = or_one(q.stride_w);
	y.h = (q.h + q.pad_top + q.pad_bottom - q.r) / q.stride_h + 1;
	y.w = (q.w + q.pad_left + q.pad_right - q.s) / q.stride_w + 1;
	snprintf(name, sizeof(name), "pool %d of %ux%ux%ux%u by %ux%u, %s>%s, apart %u", q.op, q.n,
		 q.h, q.w, q.c, q.r, q.s, sili_format_name(q.x_fmt), sili_format_name(q.y_fmt),
		 apart);
	make_image(&x, 1, apart);
	make_image(&y, 2, apart);
	memset(y.data, 0x5a, y.bytes);
	pool_expect(&q, &x, &y, name);
	sent = q;
	sent.r = in->r;
	sent.s = in->s;
	if (apart) {
		sent.x_pixel = x.pixel;
		sent.x_row = x.row;
		sent.x_image = x.image;
		sent.y_pixel = y.pixel;
		sent.y_row = y.row;
		sent.y_image = y.image;
	}
	for (size_t m = 0; m < T_MACHINES; m++) {
		struct sili_bo *bx = upload(t_machines[m].dev, x.data, x.bytes);
		struct sili_bo *by = t_bo(t_machines[m].dev, y.bytes, SILI_HBM);
		uint8_t *got = sili_bo_map(by);
		union x1_cmd cmd;

		sent.x = sili_bo_dva(bx);
		sent.y = sili_bo_dva(by);
		memset(got, 0x5a, y.bytes);
		if (sili_pool(t_machines[m].dev, &sent, &cmd, 1) != 1)
			fail_msg("%s: refused", name);
		t_run(t_machines[m].queue, &cmd, 1, 0);
		for (size_t i = 0; i < y.bytes; i++)
			if (got[i] != y.data[i])
				fail_msg("%s, %s: byte %zu is %02x, not %02x", name,
					 t_machines[m].spec, i, got[i], y.data[i]);
		sili_bo_free(bx);
		sili_bo_free(by);
	}
	free_image(&x);
	free_image(&y);
}

static void test_pool(void **state)
{
	static const struct sili_pool shapes[] = {
		{.n = 1, .h = 1, .w = 1, .c = 4},
		{.n = 2, .h = 7, .w = 7, .c = 68},
		{.n = 1,
		 .h = 17,
		 .w = 19,
		 .c = 64,
		 .r = 3,
		 .s = 3,
		 .stride_h = 2,
		 .stride_w = 2,
		 .pad_top = 1,
		 .pad_left = 1,
		 .pad_bottom = 1,
		 .pad_right = 1},
		{.n = 2, .h = 6, .w = 9, .c = 132, .r = 2, .s = 4, .stride_w = 3, .pad_left = 3},
		{.n = 1, .h = 1, .w = 40, .c = 12, .r = 1, .s = 5, .pad_right = 4},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (size_t f = 0; f < COUNT(formats); f++)
			for (int op = SILI_POOL_MAX; op <= SILI_POOL_AVG_PAD; op++) {
				struct sili_pool q = shapes[i];

				q.op = (enum sili_pool_op)op;
				q.x_fmt = formats[f];
				q.y_fmt = op % 2 ? X1_FMT_FP32 : formats[f];
				q.out_scale = f % 3 ? 0 : 0.3f;
				run_pool(&q, (uint32_t)(f % 2 ? 0 : 12));
			}
}

static void test_pool_errors(void **state)
{
	const struct sili_pool good = {
		.size = sizeof(good), .n = 1, .h = 8, .w = 8, .c = 16, .r = 2, .s = 2};
	union x1_cmd cmd;
	struct sili_pool q;

	(void)state;
	assert_int_equal(sili_pool(t_machines[0].dev, &good, &cmd, 1), 1);
#define BAD(field, value)                                                             \
	do {                                                                          \
		q = good;                                                             \
		q.field = value;                                                      \
		assert_int_equal(sili_pool(t_machines[0].dev, &q, &cmd, 1), -EINVAL); \
	} while (0)
	BAD(size, 8);
	BAD(op, (enum sili_pool_op)9);
	BAD(n, 0);
	BAD(h, 0);
	BAD(h, 1);
	BAD(c, 0);
	BAD(r, 0); /* of one axis alone */
	BAD(pad_top, 2);
	BAD(pad_right, 3);
	BAD(x_fmt, X1_FMT_E8M0);
	BAD(x_fmt, (enum x1_format)40);
	BAD(y_fmt, (enum x1_format)40);
	BAD(x_pixel, 3);
	BAD(y_row, 3);
#undef BAD
	q = good;
	q.h = q.w = 4000;
	q.c = 1;
	q.r = q.s = 0; /* a window beyond the scratchpad */
	assert_int_equal(sili_pool(t_machines[0].dev, &q, &cmd, 1), -E2BIG);
	assert_int_equal(sili_pool(t_machines[0].dev, &good, &cmd, 0), -ENOSPC);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv_formats),   cmocka_unit_test(test_conv_shapes),
		cmocka_unit_test(test_conv_epilogues), cmocka_unit_test(test_conv_errors),
		cmocka_unit_test(test_pool),           cmocka_unit_test(test_pool_errors),
	};

	perf_mode = argc > 1 && !strcmp(argv[1], "perf");
	return cmocka_run_group_tests(tests, t_machines_open, t_machines_close);
}
