// SPDX-License-Identifier: MIT
/* Block quantisation, recurrent cells. */
#include "ops.h"

/* ---- quantisation ---- */

static int emit_quant(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		      enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_quant q = *(const struct sili_quant *)c->request;

	q.plain = dva[0];
	q.coded = dva[1];
	q.scales = dva[2];
	q.tensor = c->num > 3 ? dva[3] : 0;
	q.work = dva[c->num];
	q.prefetch = prefetch;
	return c->buf[0].out ? sili_dequant(dev, &q, cmds, OPS_CMDS)
			     : sili_quant(dev, &q, cmds, OPS_CMDS);
}

static const char *const mode_names[] = {"none", "1×128", "128×128", "MX", "NVFP4"};

/* To codes and back, both the bits of the host's functions. */
static void quant(enum x1_scale_mode mode, enum x1_format fmt, enum x1_format plain, uint32_t rows,
		  uint32_t k, bool given)
{
	struct sili_quant q = {.size = sizeof(q),
			       .mode = mode,
			       .rows = rows,
			       .k = k,
			       .plain_fmt = plain,
			       .coded_fmt = fmt};
	bool nv = mode == X1_SCALE_NV16;
	size_t n = (size_t)rows * k,
	       scales = sili_scale_rows(mode, rows) * sili_scale_row_bytes(mode, k);
	float *x = malloc(n * sizeof(*x)), tensor = 0;
	uint8_t *coded = calloc(1, sili_format_bytes(fmt, n)), *scale = calloc(1, scales + 4);
	struct ops_case c;

	ops_case(&c, "quantise", &q, emit_quant);
	ops_random(&c, plain, n, 50);
	ops_output(&c, fmt, n);
	ops_output(&c, X1_FMT_INT8, scales);
	if (nv && !given) {
		q.tensor = 1;
		ops_output(&c, X1_FMT_FP32, 1);
	}
	/* Blocks of zeros, and what is far from the rest. */
	for (size_t i = 0; i < n; i++)
		if (i % 700 < 40)
			c.buf[0].v[i] = 0;
		else if (i % 97 == 0)
			c.buf[0].v[i] *= 60;
	for (size_t i = 0; i < n; i++)
		x[i] = (float)c.buf[0].v[i];
	sili_from_f32(plain, x, c.buf[0].host, n);
	sili_to_f32(plain, c.buf[0].host, x, n);
	assert_int_equal(sili_quantise(mode, fmt, x, rows, k, coded, scale, &tensor), 0);
	q.tensor_value = nv && given ? tensor : 0;
	q.work = 1;
	c.work_bytes = (uint64_t)sili_quant_work_bytes(&q);
	ops_what(&c, "%s → %s %s%s", sili_format_name(plain), sili_format_name(fmt),
		 mode_names[mode], nv && !given ? ", scale of the tensor" : "");
	ops_shape(&c, "%u × %u", rows, k);
	ops_run(&c);
	ops_expect_bytes(&c, 1, coded);
	ops_expect_bytes(&c, 2, scale);
	if (c.num > 3)
		ops_expect_bytes(&c, 3, &tensor);
	ops_end(&c);

	ops_case(&c, "dequantise", &q, emit_quant);
	ops_output(&c, X1_FMT_FP32, n);
	ops_bytes(&c, coded, sili_format_bytes(fmt, n));
	ops_bytes(&c, scale, scales);
	if (nv && !given)
		ops_bytes(&c, &tensor, 4);
	q.plain_fmt = X1_FMT_FP32;
	ops_what(&c, "%s %s → fp32%s", sili_format_name(fmt), mode_names[mode],
		 nv && !given ? ", scale of the tensor" : "");
	ops_shape(&c, "%u × %u", rows, k);
	ops_run(&c);
	assert_int_equal(sili_dequantise(mode, fmt, coded, scale, tensor, rows, k, x), 0);
	ops_expect_bytes(&c, 0, x);
	ops_end(&c);
	free(x);
	free(coded);
	free(scale);
}

/* ---- sparsity ---- */

static int emit_compress(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
			 enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_compress q = *(const struct sili_compress *)c->request;

	q.src = dva[0];
	q.stored = dva[1];
	q.meta = dva[2];
	q.prefetch = prefetch;
	return sili_compress(dev, &q, cmds, OPS_CMDS);
}

static void compress(enum x1_sparsity sparsity, enum x1_format fmt, uint32_t rows, uint32_t k)
{
	static const char *const names[] = {"dense", "2:4", "1:4", "2:8", "1:8", "2:16"};
	struct sili_compress q = {
		.size = sizeof(q), .sparsity = sparsity, .rows = rows, .k = k, .fmt = fmt};
	size_t n = (size_t)rows * k, kept = (size_t)rows * sili_sparse_k(sparsity, k);
	size_t bytes = rows * sili_sparse_meta_bytes(sparsity, k);
	float *x = malloc(n * sizeof(*x)), *stored = malloc(kept * sizeof(*stored));
	uint8_t *want = malloc(sili_format_bytes(fmt, kept)), *meta = malloc(bytes);
	struct ops_case c;

	ops_case(&c, "compress", &q, emit_compress);
	ops_random(&c, fmt, n, 4);
	ops_output(&c, fmt, kept);
	ops_output(&c, X1_FMT_INT8, bytes);
	/* Equal ones of both signs, and a NaN. */
	sili_to_f32(fmt, c.buf[0].host, x, n);
	for (size_t i = 0; i < n; i += 3)
		x[i] = i % 2 ? 1 : -1;
	if (n > 50)
		x[50] = NAN;
	sili_from_f32(fmt, x, c.buf[0].host, n);
	sili_to_f32(fmt, c.buf[0].host, x, n);
	ops_what(&c, "%s %s", sili_format_name(fmt), names[sparsity]);
	ops_shape(&c, "%u × %u", rows, k);
	ops_run(&c);
	assert_int_equal(sili_sparse_compress(sparsity, x, rows, k, stored, meta), 0);
	sili_from_f32(fmt, stored, want, kept);
	ops_expect_bytes(&c, 1, want);
	ops_expect_bytes(&c, 2, meta);
	ops_end(&c);
	free(x);
	free(stored);
	free(want);
	free(meta);
}

/* ---- cells ---- */

enum {
	X,
	H,
	H_OUT,
	WX,
	WH,
	BX,
	BH,
	C,
	C_OUT,
};

static int emit_cell(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		     enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_cell r = *(const struct sili_cell *)c->request;

	r.x = dva[X];
	r.h = dva[H];
	r.h_out = dva[H_OUT];
	r.x_weights = dva[WX];
	r.h_weights = dva[WH];
	r.x_bias = dva[BX];
	r.h_bias = dva[BH];
	if (r.kind == SILI_CELL_LSTM) {
		r.c = dva[C];
		r.c_out = dva[C_OUT];
	}
	r.work = dva[c->num];
	r.prefetch = prefetch;
	return sili_cell(dev, &r, cmds, OPS_CMDS);
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* Row `row` of weights times row `b` of x, and the bias; *abs: what its error goes with. */
static double product(const struct ops_case *c, uint32_t x, uint32_t w, uint32_t bias, uint32_t k,
		      uint32_t b, uint32_t row, double *abs)
{
	double sum = ops_get(c, bias, row);

	*abs += fabs(sum);
	for (uint32_t i = 0; i < k; i++) {
		double p = ops_get(c, x, (size_t)b * k + i) * ops_get(c, w, (size_t)row * k + i);

		sum += p;
		*abs += fabs(p);
	}
	return sum;
}

static void cell(enum sili_cell_kind kind, uint32_t batch, uint32_t inputs, uint32_t hidden,
		 enum x1_format fmt)
{
	struct sili_cell r = {.size = sizeof(r),
			      .kind = kind,
			      .batch = batch,
			      .inputs = inputs,
			      .hidden = hidden,
			      .x_fmt = fmt,
			      .h_fmt = fmt};
	bool lstm = kind == SILI_CELL_LSTM;
	uint32_t gates = lstm ? 4 : 3;
	size_t n = (size_t)batch * hidden;
	double *want = malloc(n * sizeof(*want)), *tol = malloc(n * sizeof(*tol)), scale = 0.5;
	double *want_c = malloc(n * sizeof(*want_c)), *tol_c = malloc(n * sizeof(*tol_c));
	struct ops_case c;

	ops_case(&c, lstm ? "LSTM cell" : "GRU cell", &r, emit_cell);
	ops_random(&c, fmt, (size_t)batch * inputs, 2);
	ops_random(&c, fmt, n, 1);
	ops_output(&c, fmt, n);
	ops_random(&c, fmt, (size_t)gates * hidden * inputs, scale);
	ops_random(&c, fmt, (size_t)gates * hidden * hidden, scale);
	ops_random(&c, X1_FMT_FP32, (size_t)gates * hidden, 1);
	ops_random(&c, X1_FMT_FP32, (size_t)gates * hidden, 1);
	if (lstm) {
		ops_random(&c, X1_FMT_FP32, n, 1);
		ops_output(&c, X1_FMT_FP32, n);
		r.c = r.c_out = 1;
	}
	c.work_bytes = (uint64_t)sili_cell_work_bytes(&r);
	ops_what(&c, "%s", sili_format_name(fmt));
	ops_shape(&c, "%u × %u, %u", batch, inputs, hidden);
	ops_run(&c);
	for (uint32_t b = 0; b < batch && !ops_measure; b++)
		for (uint32_t j = 0; j < hidden; j++) {
			double xs[4], hs[4], abs = 0, error, s,
					     old = ops_get(&c, H, (size_t)b * hidden + j);
			size_t at = (size_t)b * hidden + j;

			for (uint32_t g = 0; g < gates; g++) {
				xs[g] = product(&c, X, WX, BX, inputs, b, g * hidden + j, &abs);
				hs[g] = product(&c, H, WH, BH, hidden, b, g * hidden + j, &abs);
			}
			/* Of the products: a rounding per block of 32 and within it. */
			error = abs * 0x1p-23 * (16 + (inputs + hidden) / 32.0);
			if (lstm) {
				s = ops_get(&c, C, at);
				want_c[at] = sigmoid(xs[1] + hs[1]) * s +
					     sigmoid(xs[0] + hs[0]) * tanh(xs[2] + hs[2]);
				want[at] = sigmoid(xs[3] + hs[3]) * tanh(want_c[at]);
				tol_c[at] = (error + 0x1p-21) * (1 + fabs(s));
				tol[at] = tol_c[at] + error;
			} else {
				s = sigmoid(xs[0] + hs[0]);
				s = tanh(xs[2] + s * hs[2]);
				want[at] = s + sigmoid(xs[1] + hs[1]) * (old - s);
				tol[at] = (error + 0x1p-21) * (2 + fabs(hs[2]) + fabs(old));
			}
		}
	if (!ops_measure) {
		ops_expect(&c, H_OUT, want, tol);
		if (lstm)
			ops_expect(&c, C_OUT, want_c, tol_c);
	}
	ops_end(&c);
	free(want);
	free(tol);
	free(want_c);
	free(tol_c);
}

static void bad_requests(void)
{
	struct sili_compress s = {.size = sizeof(s), .sparsity = X1_SPARSE_2_4, .rows = 2, .k = 32};
	struct sili_quant q = {.size = sizeof(q),
			       .mode = X1_SCALE_MX32,
			       .rows = 2,
			       .k = 64,
			       .coded_fmt = X1_FMT_E4M3};
	struct sili_cell r = {
		.size = sizeof(r), .batch = 1, .inputs = 8, .hidden = 8, .work = 4096};
	struct sili_device *dev = ops_device();
	union x1_cmd cmd[4];

	OPS_REFUSED(sili_quant, q, size, 0, -EINVAL);
	OPS_REFUSED(sili_quant, q, mode, X1_SCALE_NONE, -EINVAL);
	OPS_REFUSED(sili_quant, q, mode, X1_SCALE_COUNT, -EINVAL);
	OPS_REFUSED(sili_quant, q, mode, X1_SCALE_NV16, -EINVAL);
	OPS_REFUSED(sili_quant, q, coded_fmt, X1_FMT_FP16, -EINVAL);
	OPS_REFUSED(sili_quant, q, tensor, 4096, -EINVAL);
	OPS_REFUSED(sili_quant, q, scale_stride, 1, -EINVAL);
	OPS_REFUSED(sili_dequant, q, k, 0, -EINVAL);
	q.mode = X1_SCALE_NV16;
	q.coded_fmt = X1_FMT_E2M1;
	OPS_REFUSED(sili_quant, q, rows, 2, -EINVAL);
	OPS_REFUSED(sili_quant, q, tensor, 4096, -EINVAL);
	OPS_REFUSED(sili_compress, s, size, 0, -EINVAL);
	OPS_REFUSED(sili_compress, s, sparsity, X1_SPARSE_NONE, -EINVAL);
	OPS_REFUSED(sili_compress, s, k, 30, -EINVAL);
	OPS_REFUSED(sili_compress, s, fmt, X1_FMT_E2M1, -EINVAL);
	OPS_REFUSED(sili_compress, s, k, 1 << 18, -E2BIG);
	OPS_REFUSED(sili_cell, r, c, 4096, -EINVAL);
	r.kind = SILI_CELL_GRU;
	OPS_REFUSED(sili_cell, r, work, 0, -EINVAL);
	OPS_REFUSED(sili_cell, r, hidden, 0, -EINVAL);
	OPS_REFUSED(sili_cell, r, x_fmt, X1_FMT_INT32, -EINVAL);
	assert_int_equal(sili_cell(dev, &r, cmd, 2), -ENOSPC);
}

void ops_quant(void **state)
{
	static const enum x1_format coded[] = {X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3,
					       X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3,
					       X1_FMT_E2M1, X1_FMT_INT8, X1_FMT_INT4};

	(void)state;
	if (ops_measure) {
		quant(X1_SCALE_F32_1X128, X1_FMT_E4M3, X1_FMT_BF16, 4096, 1024, false);
		quant(X1_SCALE_F32_128X128, X1_FMT_E4M3, X1_FMT_BF16, 4096, 1024, false);
		quant(X1_SCALE_MX32, X1_FMT_E4M3, X1_FMT_BF16, 4096, 1024, false);
		quant(X1_SCALE_NV16, X1_FMT_E2M1, X1_FMT_BF16, 4096, 1024, true);
		compress(X1_SPARSE_2_4, X1_FMT_E4M3, 4096, 1024);
		compress(X1_SPARSE_2_16, X1_FMT_E4M3, 4096, 1024);
		cell(SILI_CELL_LSTM, 64, 1024, 1024, X1_FMT_FP16);
		cell(SILI_CELL_GRU, 64, 1024, 1024, X1_FMT_FP16);
		return;
	}
	bad_requests();
	for (size_t f = 0; f < sizeof(coded) / sizeof(coded[0]); f++) {
		for (int mode = X1_SCALE_F32_1X128; mode <= X1_SCALE_NV16; mode++) {
			if (x1_mm_legal(coded[f], coded[f], (enum x1_scale_mode)mode, X1_SCALE_NONE,
					X1_SPARSE_NONE))
				continue;
			quant((enum x1_scale_mode)mode, coded[f], X1_FMT_FP32, 3, 4, true);
			quant((enum x1_scale_mode)mode, coded[f], X1_FMT_BF16, 150, 332, false);
			quant((enum x1_scale_mode)mode, coded[f], X1_FMT_FP32, 2, 5000, true);
			if (x1_format_bits(coded[f]) >= 8)
				quant((enum x1_scale_mode)mode, coded[f], X1_FMT_FP32, 1, 1, false);
		}
	}
	for (int s = X1_SPARSE_2_4; s <= X1_SPARSE_2_16; s++) {
		compress((enum x1_sparsity)s, X1_FMT_FP32, 1, 16);
		compress((enum x1_sparsity)s, X1_FMT_FP16, 77, 16 * 7);
		compress((enum x1_sparsity)s, X1_FMT_E4M3, 9, 16 * 65);
		compress((enum x1_sparsity)s, X1_FMT_BF16, 3, 8192);
	}
	cell(SILI_CELL_LSTM, 5, 24, 40, X1_FMT_FP16);
	cell(SILI_CELL_LSTM, 1, 8, 3, X1_FMT_FP32);
	cell(SILI_CELL_LSTM, 33, 100, 64, X1_FMT_E4M3);
	cell(SILI_CELL_GRU, 5, 24, 40, X1_FMT_BF16);
	cell(SILI_CELL_GRU, 1, 1, 1, X1_FMT_FP32);
	cell(SILI_CELL_GRU, 33, 100, 64, X1_FMT_E4M3);
}
