// SPDX-License-Identifier: MIT
/* Softmax, layer, RMS and batch normalisation. */
#include "ops.h"

/* ---- softmax ---- */

static int emit_softmax(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
			enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_softmax s = *(const struct sili_softmax *)c->request;

	s.src = dva[0];
	s.dst = dva[1];
	s.mask = c->num > 2 ? dva[2] : 0;
	s.work = dva[c->num];
	s.prefetch = prefetch;
	return sili_softmax(dev, &s, cmds, OPS_CMDS);
}

static void softmax(uint32_t rows, uint32_t cols, enum x1_format src, enum x1_format dst,
		    float scale, uint32_t mask_rows)
{
	struct sili_softmax s = {.size = sizeof(s),
				 .rows = rows,
				 .cols = cols,
				 .scale = scale,
				 .src_fmt = src,
				 .dst_fmt = dst,
				 .mask_fmt = X1_FMT_FP32,
				 .mask_rows = mask_rows};
	size_t n = (size_t)rows * cols;
	double *want = malloc(n * sizeof(*want)), *tol = malloc(n * sizeof(*tol));
	struct ops_case c;

	ops_case(&c, "softmax", &s, emit_softmax);
	ops_random(&c, src, n, 6);
	ops_output(&c, dst, n);
	if (mask_rows)
		ops_random(&c, X1_FMT_FP32, (size_t)mask_rows * cols, 3);
	ops_what(&c, "%s → %s%s", sili_format_name(src), sili_format_name(dst),
		 mask_rows ? ", mask" : "");
	ops_shape(&c, "%u × %u", rows, cols);
	s.mask = mask_rows;
	c.work_bytes = (uint64_t)sili_softmax_work_bytes(&s);
	ops_run(&c);
	for (uint32_t r = 0; r < rows; r++) {
		double top = -INFINITY, sum = 0, *x = want + (size_t)r * cols;

		for (uint32_t i = 0; i < cols; i++) {
			x[i] = ops_get(&c, 0, (size_t)r * cols + i) * (scale ? scale : 1);
			if (mask_rows)
				x[i] += ops_get(&c, 2, (size_t)(r % mask_rows) * cols + i);
			top = x[i] > top ? x[i] : top;
		}
		for (uint32_t i = 0; i < cols; i++)
			sum += exp(x[i] - top);
		for (uint32_t i = 0; i < cols; i++) {
			/* x is rounded once where there is a mask. */
			double far = fabs(x[i] - top) + (mask_rows ? fabs(x[i]) + fabs(top) : 0);

			x[i] = exp(x[i] - top) / sum;
			tol[(size_t)r * cols + i] = (4 + far / 2) * 0x1p-23 * x[i];
		}
	}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- layer and RMS ---- */

struct norm_case {
	struct sili_norm n;
	int residual, sum, gamma, beta, scales, copy; /* buffers, or -1 */
};

static int emit_norm(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		     enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	const struct norm_case *k = c->request;
	struct sili_norm n = k->n;

	n.src = dva[0];
	n.dst = dva[1];
	n.residual = k->residual < 0 ? 0 : dva[k->residual];
	n.sum = k->sum < 0 ? 0 : dva[k->sum];
	n.gamma = k->gamma < 0 ? 0 : dva[k->gamma];
	n.beta = k->beta < 0 ? 0 : dva[k->beta];
	n.dst_scales = k->scales < 0 ? 0 : dva[k->scales];
	n.copy = k->copy < 0 ? 0 : dva[k->copy];
	n.prefetch = prefetch;
	return sili_norm(dev, &n, cmds, OPS_CMDS);
}

/* The element's scale, as the device left it. */
static double scale_of(const struct ops_case *c, int buf, enum x1_scale_mode mode, uint32_t cols,
		       size_t r, uint32_t i)
{
	const uint8_t *row = c->buf[buf].host + r * sili_scale_row_bytes(mode, cols);
	float f;

	switch (mode) {
	case X1_SCALE_MX32:
		return x1_decode(X1_FMT_E8M0, row[i / 32]);
	case X1_SCALE_NV16:
		return x1_decode(X1_FMT_E4M3, row[i / 16]);
	default:
		memcpy(&f, row + i / 128 * 4, 4);
		return f;
	}
}

static void norm(enum sili_norm_kind kind, uint32_t rows, uint32_t cols, enum x1_format src,
		 enum x1_format dst, enum x1_scale_mode mode, bool residual, bool params)
{
	struct norm_case k = {.n = {.size = sizeof(k.n),
				    .kind = kind,
				    .rows = rows,
				    .cols = cols,
				    .eps = 1e-5f,
				    .src_fmt = src,
				    .dst_fmt = dst,
				    .residual_fmt = src,
				    .sum_fmt = X1_FMT_FP32,
				    .copy_fmt = X1_FMT_FP32,
				    .param_fmt = X1_FMT_FP32,
				    .dst_scale_mode = mode},
			      -1,
			      -1,
			      -1,
			      -1,
			      -1,
			      -1};
	bool layer = kind == SILI_NORM_LAYER, copy = residual && params && !ops_measure;
	size_t n = (size_t)rows * cols;
	double *want = malloc(n * sizeof(*want)), *tol = malloc(n * sizeof(*tol));
	struct ops_case c;

	ops_case(&c, layer ? "layer norm" : "RMS norm", &k, emit_norm);
	ops_random(&c, src, n, 4);
	ops_output(&c, dst, n);
	if (residual) {
		k.residual = (int)ops_random(&c, src, n, 2);
		k.sum = (int)ops_output(&c, X1_FMT_FP32, n);
	}
	if (params) {
		k.gamma = (int)ops_random(&c, X1_FMT_FP32, cols, 2);
		k.beta = layer ? (int)ops_random(&c, X1_FMT_FP32, cols, 1) : -1;
	}
	if (mode)
		k.scales = (int)ops_output(&c, X1_FMT_INT8,
					   rows * sili_scale_row_bytes(mode, cols));
	if (copy)
		k.copy = (int)ops_output(&c, X1_FMT_FP32, n);
	ops_what(&c, "%s → %s%s%s", sili_format_name(src), sili_format_name(dst),
		 mode == X1_SCALE_F32_1X128 ? " 1×128"
		 : mode == X1_SCALE_MX32    ? " MX"
		 : mode                     ? " NVFP4"
					    : "",
		 residual ? ", residual" : "");
	ops_shape(&c, "%u × %u", rows, cols);
	ops_run(&c);
	for (uint32_t r = 0; r < rows; r++) {
		double *x = want + (size_t)r * cols, mean = 0, var = 0, top = 0, most = 0;

		for (uint32_t i = 0; i < cols; i++) {
			x[i] = ops_get(&c, 0, (size_t)r * cols + i);
			if (residual)
				x[i] += ops_get(&c, (uint32_t)k.residual, (size_t)r * cols + i);
			tol[(size_t)r * cols + i] = fabs(x[i]) * 0x1p-24;
		}
		if (residual)
			for (uint32_t i = 0; i < cols; i++)
				assert_true(
					fabs(ops_get(&c, (uint32_t)k.sum, (size_t)r * cols + i) -
					     x[i]) <= tol[(size_t)r * cols + i]);
		for (uint32_t i = 0; i < cols && layer; i++)
			mean += x[i] / cols;
		for (uint32_t i = 0; i < cols; i++) {
			var += (x[i] - mean) * (x[i] - mean) / cols;
			top = fabs(x[i]) > top ? fabs(x[i]) : top;
		}
		var = 1 / sqrt(var + k.n.eps);
		for (uint32_t i = 0; i < cols; i++) {
			x[i] = (x[i] - mean) * var;
			if (k.gamma >= 0)
				x[i] *= ops_get(&c, (uint32_t)k.gamma, i);
			if (k.beta >= 0)
				x[i] += ops_get(&c, (uint32_t)k.beta, i);
			most = fabs(x[i]) > most ? fabs(x[i]) : most;
		}
		for (uint32_t i = 0; i < cols; i++)
			tol[(size_t)r * cols + i] = 0x1p-21 * (1 + top * var) * most;
		for (uint32_t i = 0; i < cols && copy; i++)
			assert_true(fabs(ops_get(&c, (uint32_t)k.copy, (size_t)r * cols + i) -
					 x[i]) <= tol[(size_t)r * cols + i]);
		if (!mode)
			continue;
		/* Block scales: in units of the scale, which has to fit the block. */
		for (uint32_t i = 0; i < cols; i++) {
			double s = scale_of(&c, k.scales, mode, cols, r, i);

			x[i] /= s;
			tol[(size_t)r * cols + i] = tol[(size_t)r * cols + i] / s +
						    fabs(x[i]) * 0x1p-21;
		}
	}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- batch ---- */

static int emit_batch(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		      enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_batch_norm n = *(const struct sili_batch_norm *)c->request;

	n.src = dva[0];
	n.dst = dva[1];
	n.mean = dva[2];
	n.var = dva[3];
	n.gamma = dva[4];
	n.beta = dva[5];
	n.residual = c->num > 6 ? dva[6] : 0;
	n.prefetch = prefetch;
	return sili_batch_norm(dev, &n, cmds, OPS_CMDS);
}

static void batch(uint32_t images, uint32_t channels, uint32_t pixels, bool last,
		  enum x1_format fmt, bool residual)
{
	struct sili_batch_norm b = {.size = sizeof(b),
				    .batch = images,
				    .channels = channels,
				    .pixels = pixels,
				    .channels_last = last,
				    .act = SILI_ACT_RELU,
				    .eps = 1e-5f,
				    .src_fmt = fmt,
				    .dst_fmt = fmt,
				    .residual_fmt = fmt};
	size_t n = (size_t)images * channels * pixels;
	double *want = malloc(n * sizeof(*want)), *tol = malloc(n * sizeof(*tol));
	struct ops_case c;

	ops_case(&c, "batch norm", &b, emit_batch);
	ops_random(&c, fmt, n, 4);
	ops_output(&c, fmt, n);
	ops_random(&c, X1_FMT_FP32, channels, 1);
	for (uint32_t i = 0; i < channels; i++)
		want[i % n] = 0.25 + (ops_rand() % 100) * 0.05;
	ops_values(&c, X1_FMT_FP32, channels, want);
	ops_random(&c, X1_FMT_FP32, channels, 2);
	ops_random(&c, X1_FMT_FP32, channels, 1);
	if (residual)
		ops_random(&c, fmt, n, 2);
	ops_what(&c, "%s, channels %s%s", sili_format_name(fmt), last ? "last" : "first",
		 residual ? ", residual" : "");
	ops_shape(&c, "%u × %u × %u", images, channels, pixels);
	ops_run(&c);
	for (size_t i = 0; i < n; i++) {
		uint32_t ch = (uint32_t)(last ? i % channels : i / pixels % channels);
		double f = ops_get(&c, 4, ch) / sqrt(ops_get(&c, 3, ch) + b.eps);
		double x = ops_get(&c, 0, i) * f, m = ops_get(&c, 2, ch) * f,
		       r = residual ? ops_get(&c, 6, i) : 0;

		want[i] = fmax(x + (ops_get(&c, 5, ch) - m) + r, 0);
		tol[i] = 0x1p-22 * (fabs(x) + fabs(m) + fabs(ops_get(&c, 5, ch)) + fabs(r));
	}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- what is refused ---- */

static void bad_requests(void)
{
	struct sili_softmax s = {.size = sizeof(s),
				 .rows = 4,
				 .cols = 8,
				 .src_fmt = X1_FMT_FP16,
				 .dst_fmt = X1_FMT_FP16,
				 .src = 1 << 20,
				 .dst = 2 << 20};
	struct sili_norm n = {.size = sizeof(n), .rows = 4, .cols = 32, .src = 4096, .dst = 8192};
	struct sili_batch_norm b = {.size = sizeof(b), .batch = 1, .channels = 2, .pixels = 2};
	struct sili_device *dev = ops_device();
	union x1_cmd cmd[4];

	OPS_REFUSED(sili_softmax, s, size, 4, -EINVAL);
	OPS_REFUSED(sili_softmax, s, rows, 0, -EINVAL);
	OPS_REFUSED(sili_softmax, s, cols, 0, -EINVAL);
	OPS_REFUSED(sili_softmax, s, src_fmt, X1_FMT_E8M0, -EINVAL);
	OPS_REFUSED(sili_softmax, s, dst_fmt, (enum x1_format)99, -EINVAL);
	OPS_REFUSED(sili_softmax, s, src_stride, 15, -EINVAL);
	OPS_REFUSED(sili_softmax, s, mask_rows, 3, -EINVAL);
	OPS_REFUSED(sili_softmax, s, scale, NAN, -EINVAL);
	OPS_REFUSED(sili_softmax, s, cols, 1 << 20, -EINVAL);
	s.work = 3 << 20;
	OPS_REFUSED(sili_softmax, s, cols, 1 << 29, -E2BIG);
	OPS_REFUSED(sili_softmax, s, cols, 1 << 20, -ENOSPC);
	s.work = 0;
	assert_int_equal(sili_softmax(dev, &s, cmd, 0), -ENOSPC);
	s.src_fmt = X1_FMT_E3M2;
	OPS_REFUSED(sili_softmax, s, cols, 7, -EINVAL);
	OPS_REFUSED(sili_norm, n, size, 0, -EINVAL);
	OPS_REFUSED(sili_norm, n, kind, (enum sili_norm_kind)2, -EINVAL);
	OPS_REFUSED(sili_norm, n, eps, -1, -EINVAL);
	OPS_REFUSED(sili_norm, n, eps, NAN, -EINVAL);
	OPS_REFUSED(sili_norm, n, sum, 4096, -EINVAL);
	OPS_REFUSED(sili_norm, n, dst_scale_mode, X1_SCALE_MX32, -EINVAL);
	n.dst_fmt = X1_FMT_E4M3;
	OPS_REFUSED(sili_norm, n, dst_scale_mode, X1_SCALE_MX32, -EINVAL);
	n.dst_scales = 4096;
	OPS_REFUSED(sili_norm, n, dst_scale_mode, X1_SCALE_F32_128X128, -EINVAL);
	OPS_REFUSED(sili_norm, n, dst_scale_mode, X1_SCALE_NV16, -EINVAL);
	OPS_REFUSED(sili_batch_norm, b, mean, 4096, -EINVAL);
	b.mean = b.var = 4096;
	OPS_REFUSED(sili_batch_norm, b, channels, 0, -EINVAL);
	OPS_REFUSED(sili_batch_norm, b, act, (enum sili_act)77, -EINVAL);
}

void ops_norm(void **state)
{
	static const enum x1_format fmts[] = {X1_FMT_FP32, X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3};
	static const uint32_t shapes[][2] = {{1, 1},    {1, 7},    {77, 1},
					     {300, 64}, {37, 501}, {3, 4096}};

	(void)state;
	if (ops_measure) {
		softmax(4096, 1024, X1_FMT_FP16, X1_FMT_FP16, 0.125f, 0);
		softmax(4096, 1024, X1_FMT_FP32, X1_FMT_E4M3, 1, 0);
		softmax(64, 129280, X1_FMT_FP16, X1_FMT_FP16, 1, 0);
		norm(SILI_NORM_LAYER, 4096, 1024, X1_FMT_BF16, X1_FMT_BF16, X1_SCALE_NONE, true,
		     true);
		norm(SILI_NORM_RMS, 4096, 2048, X1_FMT_BF16, X1_FMT_E4M3, X1_SCALE_F32_1X128, true,
		     true);
		batch(8, 256, 56 * 56, true, X1_FMT_FP16, true);
		batch(8, 256, 56 * 56, false, X1_FMT_FP16, true);
		return;
	}
	bad_requests();
	for (size_t f = 0; f < 4; f++) {
		for (size_t s = 0; s < 6; s++) {
			uint32_t rows = shapes[s][0], cols = shapes[s][1];

			softmax(rows, cols, fmts[f], fmts[(f + 1) % 4], 0.5f, 0);
			norm(SILI_NORM_LAYER, rows, cols, fmts[f], fmts[f], X1_SCALE_NONE, f & 1,
			     true);
			norm(SILI_NORM_RMS, rows, cols, fmts[f], fmts[f], X1_SCALE_NONE, !(f & 1),
			     f & 2);
		}
		batch(3, 5, 40, true, fmts[f], f & 1);
		batch(3, 5, 40, false, fmts[f], !(f & 1));
		batch(1, 300, 1, true, fmts[f], true);
		batch(2, 1, 3000, false, fmts[f], false);
	}
	softmax(6, 40, X1_FMT_FP32, X1_FMT_FP32, 0, 6);
	softmax(60, 129, X1_FMT_FP16, X1_FMT_FP16, 2, 20);
	softmax(60, 129, X1_FMT_FP16, X1_FMT_FP32, -1.5f, 1);
	softmax(20, 33, X1_FMT_FP32, X1_FMT_FP32, -1, 0);
	softmax(2, 40000, X1_FMT_FP16, X1_FMT_FP16, 1, 0);
	softmax(3, 70000, X1_FMT_FP16, X1_FMT_BF16, 0.3f, 0);
	softmax(6, 50000, X1_FMT_FP32, X1_FMT_FP32, -0.5f, 3);
	softmax(2, 50000, X1_FMT_FP32, X1_FMT_FP32, 1, 1);
	softmax(2, 65540, X1_FMT_FP32, X1_FMT_FP16, -1, 0);
	softmax(12, 64, X1_FMT_E3M2, X1_FMT_FP16, 1, 0);
	norm(SILI_NORM_LAYER, 2, 20000, X1_FMT_FP16, X1_FMT_FP16, X1_SCALE_NONE, false, true);
	norm(SILI_NORM_RMS, 3, 20000, X1_FMT_FP16, X1_FMT_FP16, X1_SCALE_NONE, true, false);
	norm(SILI_NORM_LAYER, 9, 300, X1_FMT_FP16, X1_FMT_E4M3, X1_SCALE_F32_1X128, true, true);
	norm(SILI_NORM_RMS, 70, 96, X1_FMT_BF16, X1_FMT_E5M2, X1_SCALE_MX32, false, true);
	norm(SILI_NORM_RMS, 5, 200, X1_FMT_BF16, X1_FMT_E2M1, X1_SCALE_NV16, false, true);
}
