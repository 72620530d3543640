// SPDX-License-Identifier: MIT
/* What moves data: permute, pad, concatenate, split. */
#include "ops.h"

static uint32_t random_bits(struct ops_case *c, enum x1_format fmt, size_t n)
{
	uint32_t i = ops_random(c, fmt, n, 4);

	/* Any bits at all. */
	for (size_t k = 0; k < c->buf[i].bytes; k++)
		c->buf[i].host[k] = (uint8_t)ops_rand();
	return i;
}

/* Element i of a packed array, and back. */
static uint32_t get(const uint8_t *p, unsigned int bits, size_t i)
{
	uint32_t v = 0;

	for (unsigned int b = 0; b < bits; b++) {
		size_t at = i * bits + b;

		v |= (uint32_t)(p[at / 8] >> at % 8 & 1) << b;
	}
	return v;
}

static void set(uint8_t *p, unsigned int bits, size_t i, uint32_t v)
{
	for (unsigned int b = 0; b < bits; b++) {
		size_t at = i * bits + b;

		p[at / 8] = (uint8_t)((p[at / 8] & ~(1u << at % 8)) | (v >> b & 1) << at % 8);
	}
}

static int emit_permute(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
			enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_permute p = *(const struct sili_permute *)c->request;

	p.src = dva[0];
	p.dst = dva[1];
	p.prefetch = prefetch;
	return sili_permute(dev, &p, cmds, OPS_CMDS);
}

static void permute(enum x1_format fmt, const uint32_t dim[4], const char *order)
{
	struct sili_permute p = {.size = sizeof(p), .fmt = fmt};
	unsigned int bits = x1_format_bits(fmt);
	size_t n = 1, step[4], i = 0;
	struct ops_case c;
	uint8_t *want;
	uint32_t at[4];

	for (uint32_t k = 0; k < 4; k++) {
		p.dim[k] = dim[k];
		p.axis[k] = (uint32_t)(order[k] - '0');
		step[k] = n;
		n *= dim[k];
	}
	ops_case(&c, "permute", &p, emit_permute);
	random_bits(&c, fmt, n);
	ops_output(&c, fmt, n);
	ops_what(&c, "%s, axes %s", sili_format_name(fmt), order);
	ops_shape(&c, "%u × %u × %u × %u", dim[3], dim[2], dim[1], dim[0]);
	ops_run(&c);
	want = calloc(1, c.buf[1].bytes);
	for (at[3] = 0; at[3] < dim[p.axis[3]]; at[3]++)
		for (at[2] = 0; at[2] < dim[p.axis[2]]; at[2]++)
			for (at[1] = 0; at[1] < dim[p.axis[1]]; at[1]++)
				for (at[0] = 0; at[0] < dim[p.axis[0]]; at[0]++, i++) {
					size_t from = 0;

					for (uint32_t k = 0; k < 4; k++)
						from += at[k] * step[p.axis[k]];
					set(want, bits, i, get(c.buf[0].host, bits, from));
				}
	ops_expect_bytes(&c, 1, want);
	ops_end(&c);
	free(want);
}

static int emit_pad(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		    enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_pad p = *(const struct sili_pad *)c->request;

	p.src = dva[0];
	p.dst = dva[1];
	p.prefetch = prefetch;
	return sili_pad(dev, &p, cmds, OPS_CMDS);
}

static void pad(enum x1_format fmt, const uint32_t dim[4], const uint32_t before[4],
		const uint32_t after[4], float value)
{
	struct sili_pad p = {.size = sizeof(p), .fmt = fmt, .value = value};
	size_t bytes = sili_format_bytes(fmt, 1), n = 1, out = 1, i = 0, step[4];
	uint8_t *want, border[4];
	struct ops_case c;
	uint32_t at[4], whole[4];

	for (uint32_t k = 0; k < 4; k++) {
		p.dim[k] = dim[k];
		p.before[k] = before[k];
		p.after[k] = after[k];
		whole[k] = before[k] + dim[k] + after[k];
		step[k] = n;
		n *= dim[k];
		out *= whole[k];
	}
	ops_case(&c, "pad", &p, emit_pad);
	random_bits(&c, fmt, n);
	ops_output(&c, fmt, out);
	ops_what(&c, "%s", sili_format_name(fmt));
	ops_shape(&c, "%u × %u × %u × %u to %u × %u × %u × %u", dim[3], dim[2], dim[1], dim[0],
		  whole[3], whole[2], whole[1], whole[0]);
	ops_run(&c);
	sili_from_f32(fmt, &value, border, 1);
	want = malloc(c.buf[1].bytes);
	for (at[3] = 0; at[3] < whole[3]; at[3]++)
		for (at[2] = 0; at[2] < whole[2]; at[2]++)
			for (at[1] = 0; at[1] < whole[1]; at[1]++)
				for (at[0] = 0; at[0] < whole[0]; at[0]++, i++) {
					const uint8_t *from = c.buf[0].host;

					for (uint32_t k = 0; k < 4 && from; k++) {
						uint32_t src = at[k] - before[k];

						from = src < dim[k] ? from + src * step[k] * bytes
								    : NULL;
					}
					memcpy(want + i * bytes, from ? from : border, bytes);
				}
	ops_expect_bytes(&c, 1, want);
	ops_end(&c);
	free(want);
}

struct parts_case {
	struct sili_parts p;
	bool split;
};

static int emit_parts(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		      enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	const struct parts_case *k = c->request;
	struct sili_parts p = k->p;

	(void)prefetch;
	p.whole = dva[0];
	p.part = dva + 1;
	return k->split ? sili_split(dev, &p, cmds, OPS_CMDS)
			: sili_concat(dev, &p, cmds, OPS_CMDS);
}

/* Three parts along an axis. */
static void parts(bool split, enum x1_format fmt, const uint32_t dim[4], uint32_t axis)
{
	const uint32_t extent[3] = {4, 8, 12};
	struct parts_case k = {
		.p = {.size = sizeof(k.p), .fmt = fmt, .num = 3, .axis = axis, .extent = extent},
		.split = split};
	size_t inner = 1, outer = 1, row, at = 0;
	struct ops_case c;

	for (uint32_t i = 0; i < 4; i++) {
		k.p.dim[i] = i == axis ? 0 : dim[i];
		if (i != axis)
			*(i < axis ? &inner : &outer) *= dim[i];
	}
	row = sili_format_bytes(fmt, 24 * inner);
	ops_case(&c, split ? "split" : "concatenate", &k, emit_parts);
	if (split)
		random_bits(&c, fmt, 24 * inner * outer);
	else
		ops_output(&c, fmt, 24 * inner * outer);
	for (uint32_t i = 0; i < 3; i++) {
		if (split)
			ops_output(&c, fmt, extent[i] * inner * outer);
		else
			random_bits(&c, fmt, extent[i] * inner * outer);
	}
	ops_what(&c, "%s, axis %u", sili_format_name(fmt), axis);
	ops_shape(&c, "%zu × 24 × %zu", outer, inner);
	ops_run(&c);
	for (uint32_t i = 0; i < 3; i++) {
		size_t part = sili_format_bytes(fmt, extent[i] * inner);

		for (size_t r = 0; r < outer; r++)
			assert_memory_equal(c.buf[0].host + r * row + at,
					    c.buf[1 + i].host + r * part, part);
		at += part;
	}
	ops_end(&c);
}

/* ---- resize ---- */

static int emit_resize(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		       enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_resize r = *(const struct sili_resize *)c->request;

	r.src = dva[0];
	r.dst = dva[1];
	r.work = dva[2];
	r.prefetch = prefetch;
	return sili_resize(dev, &r, cmds, OPS_CMDS);
}

/* Where result i lies in the source. */
static double source_of(const struct sili_resize *r, uint32_t i, uint32_t from, uint32_t to)
{
	double at = r->align_corners ? to > 1 ? i * (from - 1.0) / (to - 1) : 0
		    : r->linear      ? (i + 0.5) * from / to - 0.5
				     : (double)i * from / to;

	if (!r->linear)
		at = floor(r->align_corners ? at + 0.5 : at);
	return fmin(fmax(at, 0), from - 1);
}

static void resize(bool linear, bool corners, uint32_t batch, uint32_t h, uint32_t w, uint32_t ch,
		   uint32_t oh, uint32_t ow, enum x1_format src, enum x1_format dst)
{
	struct sili_resize r = {.size = sizeof(r),
				.batch = batch,
				.height = h,
				.width = w,
				.channels = ch,
				.out_height = oh,
				.out_width = ow,
				.linear = linear,
				.align_corners = corners,
				.src_fmt = src,
				.dst_fmt = dst};
	size_t n = (size_t)batch * oh * ow * ch, i = 0;
	double *want = malloc(n * sizeof(*want)), *tol = calloc(n, sizeof(*tol));
	struct ops_case c;

	ops_case(&c, linear ? "resize, bilinear" : "resize, nearest", &r, emit_resize);
	ops_random(&c, src, (size_t)batch * h * w * ch, 4);
	ops_output(&c, dst, n);
	c.work_bytes = (uint64_t)sili_resize_work_bytes(&r);
	ops_what(&c, "%s → %s%s", sili_format_name(src), sili_format_name(dst),
		 corners ? ", corners" : "");
	ops_shape(&c, "%u × %u × %u × %u to %u × %u", batch, h, w, ch, oh, ow);
	ops_run(&c);
	for (uint32_t b = 0; b < batch; b++)
		for (uint32_t y = 0; y < oh; y++)
			for (uint32_t x = 0; x < ow; x++)
				for (uint32_t k = 0; k < ch; k++, i++) {
					double sy = source_of(&r, y, h, oh),
					       sx = source_of(&r, x, w, ow);

					want[i] = 0;
					for (uint32_t q = 0; q < 4; q++) {
						double py = floor(sy) + q / 2,
						       px = floor(sx) + q % 2, v;
						double share = (q / 2 ? sy - floor(sy)
								      : 1 - sy + floor(sy)) *
							       (q % 2 ? sx - floor(sx)
								      : 1 - sx + floor(sx));

						py = fmin(py, h - 1);
						px = fmin(px, w - 1);
						v = ops_get(&c, 0,
							    (((size_t)b * h + (size_t)py) * w +
							     (size_t)px) * ch +
								    k);
						want[i] += share * v;
						if (linear)
							tol[i] = fmax(tol[i], 0x1p-21 * fabs(v));
					}
				}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

static void bad_requests(void)
{
	struct sili_resize r = {.size = sizeof(r),
				.batch = 1,
				.height = 4,
				.width = 4,
				.channels = 1,
				.out_height = 2,
				.out_width = 2,
				.work = 4096};
	struct sili_permute p = {.size = sizeof(p), .dim = {4, 4, 1, 1}, .axis = {1, 0, 2, 3}};
	struct sili_pad d = {.size = sizeof(d), .dim = {4, 4, 1, 1}};
	const uint32_t extent[2] = {1, 2};
	const uint64_t dva[2] = {4096, 8192};
	struct sili_parts a = {.size = sizeof(a),
			       .num = 2,
			       .dim = {3, 0, 1, 1},
			       .axis = 1,
			       .extent = extent,
			       .part = dva};
	struct sili_device *dev = ops_device();
	union x1_cmd cmd[4];

	OPS_REFUSED(sili_permute, p, size, 0, -EINVAL);
	OPS_REFUSED(sili_permute, p, axis[0], 0, -EINVAL);
	OPS_REFUSED(sili_permute, p, axis[3], 4, -EINVAL);
	OPS_REFUSED(sili_permute, p, dim[3], 0, -EINVAL);
	OPS_REFUSED(sili_permute, p, dim[0], 1u << 31, -E2BIG);
	p.fmt = X1_FMT_E2M1;
	OPS_REFUSED(sili_permute, p, dim[1], 3, -EINVAL);
	OPS_REFUSED(sili_pad, d, dim[0], 0, -EINVAL);
	OPS_REFUSED(sili_pad, d, before[0], UINT32_MAX, -E2BIG);
	OPS_REFUSED(sili_pad, d, fmt, X1_FMT_E2M1, -EINVAL);
	OPS_REFUSED(sili_resize, r, size, 0, -EINVAL);
	OPS_REFUSED(sili_resize, r, out_width, 0, -EINVAL);
	OPS_REFUSED(sili_resize, r, out_width, 1u << 21, -E2BIG);
	OPS_REFUSED(sili_resize, r, channels, 1u << 31, -E2BIG);
	OPS_REFUSED(sili_resize, r, work, 0, -EINVAL);
	OPS_REFUSED(sili_resize, r, dst_fmt, X1_FMT_E2M1, -EINVAL);
	OPS_REFUSED(sili_concat, a, num, 0, -EINVAL);
	OPS_REFUSED(sili_concat, a, axis, 4, -EINVAL);
	OPS_REFUSED(sili_concat, a, dim[0], UINT32_MAX, -E2BIG);
	OPS_REFUSED(sili_split, a, dim[0], 0, -EINVAL);
	OPS_REFUSED(sili_split, a, fmt, X1_FMT_INT4, -EINVAL);
	assert_int_equal(sili_concat(dev, &a, cmd, 1), -ENOSPC);
}

void ops_shapes(void **state)
{
	static const enum x1_format fmts[] = {X1_FMT_FP32, X1_FMT_FP16, X1_FMT_E4M3, X1_FMT_E3M2,
					      X1_FMT_INT4};
	static const char *const orders[] = {"0123", "1023", "2013", "3210", "0213",
					     "1203", "2301", "0321", "0132"};
	static const uint32_t box[4] = {24, 40, 8, 16}, odd[4] = {7, 13, 3, 5},
			      flat[4] = {1, 300, 1, 129}, large[4] = {3072, 4096, 1, 1},
			      image[4] = {56, 56, 256, 8}, none[4] = {0, 0, 0, 0},
			      small[4] = {0, 1, 2, 0}, more[4] = {3, 2, 0, 1};

	(void)state;
	if (ops_measure) {
		permute(X1_FMT_FP16, large, "1023");
		permute(X1_FMT_E4M3, large, "1023");
		permute(X1_FMT_FP16, image, "2013");
		permute(X1_FMT_FP16, image, "0213");
		pad(X1_FMT_FP16, (const uint32_t[4]){64, 112, 112, 8}, small, small, 0);
		parts(false, X1_FMT_FP16, (const uint32_t[4]){512, 1, 512, 1}, 1);
		resize(true, false, 4, 56, 56, 128, 112, 112, X1_FMT_FP16, X1_FMT_FP16);
		resize(false, false, 4, 56, 56, 128, 112, 112, X1_FMT_FP16, X1_FMT_FP16);
		return;
	}
	bad_requests();
	for (int mode = 0; mode < 4; mode++) {
		bool linear = mode & 1, corners = mode & 2;

		resize(linear, corners, 2, 7, 9, 16, 14, 21, X1_FMT_FP16, X1_FMT_FP16);
		resize(linear, corners, 1, 33, 20, 3, 12, 50, X1_FMT_FP32, X1_FMT_E4M3);
		resize(linear, corners, 3, 1, 5, 8, 4, 1, X1_FMT_E2M1, X1_FMT_FP32);
		resize(linear, corners, 1, 1, 1, 1, 1, 1, X1_FMT_BF16, X1_FMT_BF16);
	}
	for (size_t f = 0; f < 5; f++) {
		bool bytes = x1_format_bits(fmts[f]) >= 8;

		for (size_t o = 0; o < 9; o++) {
			permute(fmts[f], box, orders[o]);
			if (bytes) {
				permute(fmts[f], odd, orders[o]);
				permute(fmts[f], flat, orders[o]);
			}
		}
		if (bytes) {
			pad(fmts[f], odd, small, more, -2);
			pad(fmts[f], odd, more, none, 0);
			pad(fmts[f], flat, none, small, 1);
			pad(fmts[f], (const uint32_t[4]){9000, 2, 1, 1}, more, small, 0);
		}
		for (uint32_t axis = 0; axis < 4; axis++) {
			parts(false, fmts[f], box, axis);
			parts(true, fmts[f], box, axis);
		}
	}
}
