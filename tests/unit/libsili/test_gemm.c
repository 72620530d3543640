// SPDX-License-Identifier: MIT
/*
 * GEMM over a grid of formats, scale modes, sparsities, transposes, shapes,
 * epilogues, batches and groups. Each case runs in all prefetch modes, one of them on
 * another machine; all give the bits that the accumulate rule of
 * docs/manual/numerics.md says (REQ-NUM-001 to 007, 010, 014), and values near
 * those of a double-precision product written from the definition.
 *
 * `test_gemm perf` prints cycles, what the plan expected and the roofline.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/x1_num.h"
#include "util.h"

static bool perf_mode;

/* What is asked for; zero is the default of each field but the sizes. */
struct test {
	uint32_t m, n, k;
	enum x1_format a, b, c;
	bool ta, tb;
	enum x1_scale_mode sa, sb;
	enum x1_sparsity sparsity;
	bool bias, row, col, residual;
	enum sili_act act;
	float scale, out_scale;
	uint32_t batch;
	enum sili_group group;
	const uint32_t *table; /* of the group */
	uint32_t pad;          /* bytes between rows beyond the dense ones */
};

/* One operand on the host, as it is copied to each device. */
struct data {
	enum x1_format fmt;
	bool trans;
	enum x1_scale_mode mode;
	enum x1_sparsity sparsity;
	uint32_t rows, k, stored;
	size_t stride, bytes, scale_stride, scale_bytes, meta_stride, meta_bytes;
	uint8_t *elems, *scales, *meta;
};

static void random_scales(struct data *d, uint32_t seed)
{
	for (size_t i = 0; i < d->scale_bytes; i++) {
		seed = seed * 1664525u + 1013904223u;
		if (d->mode == X1_SCALE_MX32)
			d->scales[i] = (uint8_t)(124 + (seed >> 24) % 7);
		else if (d->mode == X1_SCALE_NV16)
			d->scales[i] = (uint8_t)(0x2c + (seed >> 24) % 32);
		else if (i % 4 == 0) {
			float f = 0.25f + (float)(seed >> 8) * 0x1p-24f;

			memcpy(d->scales + i, &f, 4);
		}
	}
}

/* `copies` operands behind each other. */
static void make_data(struct data *d, uint32_t copies, uint32_t seed, size_t pad)
{
	size_t lines, line, n = (size_t)copies * d->rows * d->k;
	float *v = malloc(n * sizeof(*v));
	bool ints = x1_format_is_int(d->fmt);

	t_random(v, n, seed, ints ? 7 : 40);
	for (size_t i = 0; i < n && !ints; i++)
		v[i] *= 0.0625f;
	d->stored = d->sparsity ? sili_sparse_k(d->sparsity, d->k) : d->k;
	d->meta_stride = d->sparsity ? sili_sparse_meta_bytes(d->sparsity, d->k) : 0;
	d->meta_bytes = copies * d->rows * d->meta_stride;
	d->meta = calloc(1, d->meta_bytes + 1);
	if (d->sparsity) {
		float *kept = malloc((size_t)copies * d->rows * d->stored * sizeof(*kept));

		assert_int_equal(
			sili_sparse_compress(d->sparsity, v, copies * d->rows, d->k, kept, d->meta),
			0);
		free(v);
		v = kept;
	}
	lines = d->trans ? d->stored : d->rows;
	line = d->trans ? d->rows : d->stored;
	d->stride = sili_format_bytes(d->fmt, line) + pad;
	d->bytes = copies * lines * d->stride;
	d->elems = calloc(1, d->bytes);
	for (size_t l = 0; l < copies * lines; l++) {
		float *row = malloc(line * sizeof(*row));

		/* Indices go with rows of B, so a transposed one is turned over here. */
		for (size_t i = 0; i < line; i++) {
			size_t copy = l / lines, r = d->trans ? i : l % lines,
			       k = d->trans ? l % lines : i;

			row[i] = v[(copy * d->rows + r) * d->stored + k];
		}
		sili_from_f32(d->fmt, row, d->elems + l * d->stride, line);
		free(row);
	}
	d->scale_stride = sili_scale_row_bytes(d->mode, d->k);
	d->scale_bytes = copies * sili_scale_rows(d->mode, d->rows) * d->scale_stride;
	/* The host's product reads a row as if it began inside a block. */
	d->scales = calloc(1, d->scale_bytes + 64);
	random_scales(d, seed);
	free(v);
}

static void free_data(struct data *d)
{
	free(d->elems);
	free(d->scales);
	free(d->meta);
}

static size_t copy_bytes(const struct data *d)
{
	return (d->trans ? d->stored : d->rows) * d->stride;
}

/* Element (row, k) times its scale. */
static double value(const struct data *d, uint32_t copy, uint32_t row, uint32_t k)
{
	const uint8_t *base = d->elems + copy * copy_bytes(d);
	const uint8_t *s = d->scales + copy * sili_scale_rows(d->mode, d->rows) * d->scale_stride;
	uint32_t at = k, b = d->mode == X1_SCALE_NV16 ? 16 : d->mode == X1_SCALE_MX32 ? 32 : 128;
	float v, f = 1;

	if (d->sparsity) {
		uint32_t group = d->sparsity == X1_SPARSE_2_16                                  ? 16
				 : d->sparsity == X1_SPARSE_1_8 || d->sparsity == X1_SPARSE_2_8 ? 8
												: 4;
		uint32_t kept = sili_sparse_k(d->sparsity, group);
		uint32_t bits = group == 16 ? 4 : group == 8 ? 3 : 2, i;
		const uint8_t *meta = d->meta + ((size_t)copy * d->rows + row) * d->meta_stride;

		for (i = 0; i < kept; i++) {
			uint32_t bit = (k / group * kept + i) * bits;
			uint32_t word = meta[bit / 8] |
					(bit / 8 + 1 < d->meta_stride ? meta[bit / 8 + 1] << 8 : 0);

			if ((word >> bit % 8 & ((1u << bits) - 1)) == k % group)
				break;
		}
		if (i == kept)
			return 0;
		at = k / group * kept + i;
	}
	if (d->trans)
		x1_unpack_f32(d->fmt, base + at * d->stride, row, &v, 1);
	else
		x1_unpack_f32(d->fmt, base + row * d->stride, at, &v, 1);
	if (d->mode) {
		s += (d->mode == X1_SCALE_F32_128X128 ? row / 128 : row) * d->scale_stride;
		if (b == 128)
			memcpy(&f, s + k / b * 4, 4);
		else
			f = x1_decode(b == 16 ? X1_FMT_E4M3 : X1_FMT_E8M0, s[k / b]);
	}
	return (double)v * f;
}

/* All of them, for the product in double precision. */
static double *values(const struct data *d, uint32_t copies)
{
	double *v = malloc((size_t)copies * d->rows * d->k * sizeof(*v)), *to = v;

	for (uint32_t c = 0; c < copies; c++)
		for (uint32_t r = 0; r < d->rows; r++)
			for (uint32_t k = 0; k < d->k; k++)
				*to++ = value(d, c, r, k);
	return v;
}

static struct x1_mm_operand mm_operand(const struct data *d, uint32_t copy, uint32_t row,
				       uint32_t k)
{
	uint32_t at = k && d->sparsity ? sili_sparse_k(d->sparsity, k) : k;
	uint32_t block = d->mode == X1_SCALE_NV16 ? 16 : d->mode == X1_SCALE_MX32 ? 32 : 128;
	const uint8_t *base = d->elems + copy * copy_bytes(d);

	return (struct x1_mm_operand){
		.base = d->trans ? base + at * d->stride + sili_format_bytes(d->fmt, row)
				 : base + row * d->stride + sili_format_bytes(d->fmt, at),
		.fmt = d->fmt,
		.trans = d->trans,
		.stride = (int64_t)d->stride,
		.scale = d->mode,
		.scales = d->scales +
			  (copy * sili_scale_rows(d->mode, d->rows) + row) * d->scale_stride +
			  k / block * (block == 128 ? 4 : 1),
		.scale_stride = (int64_t)d->scale_stride,
	};
}

/* Rows [row, row + m) of A's copy times B's copy, the parts of K from left to right. */
static void product(const struct test *t, const struct data *a, const struct data *b,
		    uint32_t a_copy, uint32_t row, uint32_t m, uint32_t b_copy,
		    const struct sili_gemm_plan *pl, bool ints, float *acc)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();
	size_t n = (size_t)m * t->n;
	float *part = malloc(n * sizeof(*part));

	for (uint32_t s = 0; s < pl->split_k; s++) {
		uint32_t k0 = s * pl->split_k_step;
		struct x1_mm_args args = {
			.m = m,
			.n = t->n,
			.k = s + 1 == pl->split_k ? t->k - k0 : pl->split_k_step,
			.k0 = k0,
			.a = mm_operand(a, a_copy, row, k0),
			.b = mm_operand(b, b_copy, 0, k0),
			.sparsity = t->sparsity,
			.meta_stride = (int64_t)b->meta_stride,
			.acc = s ? part : acc,
			.acc_stride = 4 * (int64_t)t->n,
		};

		if (t->sparsity)
			args.meta = b->meta + b_copy * b->rows * b->meta_stride +
				    (k0 ? sili_sparse_meta_bytes(t->sparsity, k0) : 0);
		assert_int_equal(x1_mm(&args, ws), 0);
		if (s && ints)
			x1_vec_int(X1_VEC_ADD, (int32_t *)acc, (int32_t *)acc, (int32_t *)part,
				   NULL, n);
		else if (s)
			x1_vec_binary(X1_VEC_ADD, acc, acc, part, n);
	}
	free(part);
	x1_mm_ws_free(ws);
}

struct edge {
	float *bias, *row, *col, *residual;
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
	case SILI_ACT_SIGMOID:
		return 1 / (1 + exp(-v));
	case SILI_ACT_TANH:
		return tanh(v);
	default:
		return v;
	}
}

static const enum x1_vec_op act_ops[] = {X1_VEC_MOV,  X1_VEC_RELU,    X1_VEC_GELU,
					 X1_VEC_SILU, X1_VEC_SIGMOID, X1_VEC_TANH};

/* The epilogue in FP32, in the order that sili.h states; i, j: rows and columns of C. */
static float finish(const struct test *t, const struct edge *e, float v, size_t i, size_t j,
		    size_t copy, size_t bias_copy)
{
	float s = 1;
	bool any = t->row || t->col || t->scale != 0;

	if (t->row)
		s = e->row[copy * t->m + i];
	if (t->col && t->row)
		x1_vec_binary(X1_VEC_MUL, &s, &s, &e->col[j], 1);
	else if (t->col)
		s = e->col[j];
	if (t->scale != 0 && (t->row || t->col))
		x1_vec_binary(X1_VEC_MUL, &s, &s, &t->scale, 1);
	else if (t->scale != 0)
		s = t->scale;
	if (any)
		x1_vec_binary(X1_VEC_MUL, &v, &v, &s, 1);
	if (t->bias)
		x1_vec_binary(X1_VEC_ADD, &v, &v, &e->bias[bias_copy * t->n + j], 1);
	if (t->residual)
		x1_vec_binary(X1_VEC_ADD, &v, &v, &e->residual[(copy * t->m + i) * t->n + j], 1);
	if (t->act)
		x1_vec_unary(act_ops[t->act], &v, &v, 1);
	if (t->out_scale != 0)
		x1_vec_binary(X1_VEC_MUL, &v, &v, &t->out_scale, 1);
	return v;
}

static double dot_f64(const double *a, const double *b, uint32_t k)
{
	double sum = 0;

	for (uint32_t i = 0; i < k; i++)
		sum += a[i] * b[i];
	return sum;
}

static double finish_f64(const struct test *t, const struct edge *e, double v, size_t i, size_t j,
			 size_t copy, size_t bias_copy)
{
	v *= (t->row ? e->row[copy * t->m + i] : 1) * (double)(t->col ? e->col[j] : 1) *
	     (t->scale != 0 ? t->scale : 1);
	v += t->bias ? e->bias[bias_copy * t->n + j] : 0;
	v += t->residual ? e->residual[(copy * t->m + i) * t->n + j] : 0;
	return act_f64(t->act, v) * (t->out_scale != 0 ? t->out_scale : 1);
}

/* Rows of C's copy that have a result, and which rows of A and copy of B they come from. */
struct slice {
	uint32_t a_copy, b_copy, row, m;
};

static uint32_t slices(const struct test *t, struct slice *s)
{
	uint32_t n = t->batch ? t->batch : 1;

	for (uint32_t i = 0; i < n; i++) {
		s[i] = (struct slice){i, i, 0, t->m};
		if (t->group == SILI_GROUP_MASKED)
			s[i].m = t->table[i];
		if (t->group == SILI_GROUP_CONTIGUOUS)
			s[i] = (struct slice){0, i, t->table[i], t->table[i + 1] - t->table[i]};
	}
	return n;
}

static void describe(const struct test *t, char *buf, size_t n)
{
	snprintf(buf, n,
		 "%ux%ux%u%s%s %s*%s>%s scales %d,%d sparse %d act %d%s%s%s%s batch %u group %d",
		 t->m, t->n, t->k, t->ta ? " ta" : "", t->tb ? " tb" : "", sili_format_name(t->a),
		 sili_format_name(t->b), sili_format_name(t->c), t->sa, t->sb, t->sparsity, t->act,
		 t->bias ? " bias" : "", t->row ? " row" : "", t->col ? " col" : "",
		 t->residual ? " res" : "", t->batch, t->group);
}

static struct sili_bo *upload(struct sili_device *dev, const void *src, size_t bytes)
{
	struct sili_bo *bo = t_bo(dev, bytes ? bytes : 1, SILI_HBM);

	memcpy(sili_bo_map(bo), src, bytes);
	return bo;
}

static struct sili_gemm request(const struct test *t, const struct data *a, const struct data *b)
{
	uint32_t a_copies = t->group == SILI_GROUP_CONTIGUOUS ? 0 : 1;

	return (struct sili_gemm){
		.size = sizeof(struct sili_gemm),
		.m = t->m,
		.n = t->n,
		.k = t->k,
		.a_fmt = t->a,
		.b_fmt = t->b,
		.c_fmt = t->c,
		.a_trans = t->ta,
		.b_trans = t->tb,
		.act = t->act,
		.scale = t->scale,
		.out_scale = t->out_scale,
		.a_stride = a->stride,
		.b_stride = b->stride,
		.c_stride = sili_format_bytes(t->c, t->n) + t->pad,
		.a_scale_mode = t->sa,
		.b_scale_mode = t->sb,
		.sparsity = t->sparsity,
		.residual_fmt = X1_FMT_FP32,
		.batch = t->batch,
		.group = t->group,
		.a_batch = a_copies * copy_bytes(a),
		.b_batch = copy_bytes(b),
		.c_batch = t->m * (sili_format_bytes(t->c, t->n) + t->pad),
		.bias_batch = t->n * 4,
		.a_scale_batch = sili_scale_rows(t->sa, t->m) * a->scale_stride,
		.b_scale_batch = sili_scale_rows(t->sb, t->n) * b->scale_stride,
		.b_meta_batch = t->n * b->meta_stride,
		.row_scale_batch = t->m * 4,
		.residual_batch = (uint64_t)t->m * t->n * 4,
	};
}

/* Returns how K was cut. */
static struct sili_gemm_plan run_case(const struct test *t)
{
	uint32_t copies = t->batch ? t->batch : 1;
	uint32_t a_copies = t->group == SILI_GROUP_CONTIGUOUS ? 1 : copies;
	struct data a = {.fmt = t->a, .trans = t->ta, .mode = t->sa, .rows = t->m, .k = t->k};
	struct data b = {.fmt = t->b,
			 .trans = t->tb,
			 .mode = t->sb,
			 .rows = t->n,
			 .k = t->k,
			 .sparsity = t->sparsity};
	size_t c_row = sili_format_bytes(t->c, t->n), c_stride = c_row + t->pad;
	size_t c_bytes = a_copies * t->m * c_stride, per = (size_t)t->m * t->n;
	bool ints = x1_format_is_int(t->a) && !t->sa && !t->sb;
	bool vec = t->bias || t->row || t->col || t->residual || t->act || t->scale != 0 ||
		   t->out_scale != 0;
	struct edge e = {malloc(copies * t->n * 4), malloc(a_copies * t->m * 4), malloc(t->n * 4),
			 malloc(a_copies * per * 4)};
	uint8_t *want = malloc(c_bytes);
	struct slice part[64];
	uint32_t num = slices(t, part);
	struct sili_gemm_plan pl;
	struct sili_gemm g;
	double *da, *db;
	char name[256];

	describe(t, name, sizeof(name));
	make_data(&a, a_copies, 1, t->pad);
	make_data(&b, copies, 2, t->pad);
	t_random(e.bias, copies * t->n, 3, 5);
	t_random(e.row, a_copies * t->m, 4, 9);
	t_random(e.col, t->n, 5, 9);
	t_random(e.residual, a_copies * per, 6, 20);
	for (uint32_t i = 0; i < t->n; i++)
		e.col[i] *= 0.3f;
	da = t->c == X1_FMT_FP32 ? values(&a, a_copies) : NULL;
	db = t->c == X1_FMT_FP32 ? values(&b, copies) : NULL;
	g = request(t, &a, &b);
	for (size_t mach = 0; mach < T_MACHINES; mach++) {
		struct sili_device *dev = t_machines[mach].dev;
		struct sili_bo *bo[] = {
			upload(dev, a.elems, a.bytes),
			upload(dev, b.elems, b.bytes),
			upload(dev, want, c_bytes),
			upload(dev, a.scales, a.scale_bytes),
			upload(dev, b.scales, b.scale_bytes),
			upload(dev, b.meta, b.meta_bytes),
			upload(dev, e.bias, copies * t->n * 4),
			upload(dev, e.row, a_copies * t->m * 4),
			upload(dev, e.col, t->n * 4),
			upload(dev, e.residual, a_copies * per * 4),
			upload(dev, t->table ? t->table : (const uint32_t[1]){0},
			       t->table ? (copies + (t->group == SILI_GROUP_CONTIGUOUS)) * 4 : 0),
		};

		g.a = sili_bo_dva(bo[0]);
		g.b = sili_bo_dva(bo[1]);
		g.c = sili_bo_dva(bo[2]);
		g.a_scales = t->sa ? sili_bo_dva(bo[3]) : 0;
		g.b_scales = t->sb ? sili_bo_dva(bo[4]) : 0;
		g.b_meta = t->sparsity ? sili_bo_dva(bo[5]) : 0;
		g.bias = t->bias ? sili_bo_dva(bo[6]) : 0;
		g.row_scale = t->row ? sili_bo_dva(bo[7]) : 0;
		g.col_scale = t->col ? sili_bo_dva(bo[8]) : 0;
		g.residual = t->residual ? sili_bo_dva(bo[9]) : 0;
		g.group_table = t->group ? sili_bo_dva(bo[10]) : 0;
		g.ahead[0].dva = g.b;
		for (int pf = SILI_PREFETCH_OFF + (int)mach; pf <= SILI_PREFETCH_GRAPH; pf += 2) {
			uint8_t *c = sili_bo_map(bo[2]);
			struct x1_perf perf;
			union x1_cmd cmd;
			int ret;

			g.prefetch = (enum sili_prefetch)pf;
			g.ahead[0].bytes = pf == SILI_PREFETCH_GRAPH ? b.bytes : 0;
			memset(c, 0x5a, c_bytes);
			ret = sili_gemm(dev, &g, &cmd, 1, &pl);
			if (ret != 1)
				fail_msg("%s: sili_gemm gives %d", name, ret);
			if (perf_mode) {
				assert_int_equal(
					sili_run_perf(t_machines[mach].queue, &cmd, 1, &perf), 0);
				printf("%-70s %s prefetch %d: %ux%ux%u split %u, %lu cycles, "
				       "expected %lu, roofline %lu\n",
				       name, t_machines[mach].spec, pf, pl.tile_m, pl.tile_n,
				       pl.tile_k, pl.split_k, (unsigned long)perf.cycles,
				       (unsigned long)pl.cycles, (unsigned long)pl.roofline);
			} else {
				ret = sili_run(t_machines[mach].queue, &cmd, 1);
				if (ret)
					fail_msg("%s: %d, fault %s", name, ret,
						 x1_fault_name(t_fault(t_machines[mach].queue)));
			}
			/* The first run says how K was split; every other has to agree. */
			if (!mach && pf == SILI_PREFETCH_OFF) {
				double dot = 0, xx = 0, yy = 0;

				memset(want, 0x5a, c_bytes);
				for (uint32_t p = 0; p < num; p++) {
					const struct slice *s = &part[p];
					float *acc = malloc((size_t)s->m * t->n * 4 + 4);

					if (s->m)
						product(t, &a, &b, s->a_copy, s->row, s->m,
							s->b_copy, &pl, ints, acc);
					for (uint32_t i = 0; i < s->m; i++) {
						uint8_t *to = want +
							      ((size_t)s->a_copy * t->m + s->row +
							       i) * c_stride;
						float *row = acc + (size_t)i * t->n;

						if (ints && !vec && x1_format_is_int(t->c)) {
							x1_pack_i32(t->c, true, (int32_t *)row, to,
								    0, t->n);
							continue;
						}
						for (uint32_t j = 0; j < t->n; j++) {
							double sum;

							if (ints)
								row[j] = (float)*(int32_t *)&row[j];
							row[j] = finish(t, &e, row[j], s->row + i,
									j, s->a_copy, s->b_copy);
							if (t->c != X1_FMT_FP32)
								continue;
							sum = dot_f64(
								da + ((size_t)s->a_copy * t->m +
								      s->row + i) *
										t->k,
								db + ((size_t)s->b_copy * t->n +
								      j) * t->k,
								t->k);
							sum = finish_f64(t, &e, sum, s->row + i, j,
									 s->a_copy, s->b_copy);
							dot += sum * row[j];
							xx += sum * sum;
							yy += (double)row[j] * row[j];
						}
						x1_pack_f32(t->c, true, row, to, 0, t->n);
					}
					free(acc);
				}
				if (xx + yy > 0 && 1 - 2 * dot / (xx + yy) > 1e-9)
					fail_msg("%s: %g from the definition", name,
						 1 - 2 * dot / (xx + yy));
			}
			for (size_t i = 0; i < c_bytes; i++)
				if (c[i] != want[i])
					fail_msg("%s, %s, prefetch %d: byte %zu is %02x, not %02x "
						 "(tile %ux%ux%u, split %u of %u)",
						 name, t_machines[mach].spec, pf, i, c[i], want[i],
						 pl.tile_m, pl.tile_n, pl.tile_k, pl.split_k,
						 pl.split_k_step);
		}
		for (size_t i = 0; i < sizeof(bo) / sizeof(bo[0]); i++)
			sili_bo_free(bo[i]);
	}
	free_data(&a);
	free_data(&b);
	free(da);
	free(db);
	free(e.bias);
	free(e.row);
	free(e.col);
	free(e.residual);
	free(want);
	return pl;
}

static const enum x1_format formats[] = {X1_FMT_FP32, X1_FMT_TF32, X1_FMT_BF16, X1_FMT_FP16,
					 X1_FMT_E4M3, X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3,
					 X1_FMT_E2M1, X1_FMT_INT8, X1_FMT_INT4};

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

static bool legal(const struct test *t)
{
	return !x1_mm_legal(t->a, t->b, t->sa, t->sb, t->sparsity);
}

static void test_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (size_t j = 0; j < COUNT(formats); j++) {
			struct test t = {.m = 37,
					 .n = 70,
					 .k = 164,
					 .a = formats[i],
					 .b = formats[j],
					 .c = x1_format_is_int(formats[i]) ? X1_FMT_INT32
									   : X1_FMT_FP32};

			if (!legal(&t))
				continue;
			run_case(&t);
			t.c = X1_FMT_FP16;
			t.ta = t.tb = true;
			t.m = 40;
			run_case(&t);
		}
}

static void test_scales(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (int sa = 0; sa < X1_SCALE_COUNT; sa++)
			for (int sb = 0; sb < X1_SCALE_COUNT; sb++) {
				struct test t = {.m = 150,
						 .n = 200,
						 .k = 420,
						 .a = formats[i],
						 .b = formats[i],
						 .sa = (enum x1_scale_mode)sa,
						 .sb = (enum x1_scale_mode)sb};

				if (legal(&t) && (sa || sb))
					run_case(&t);
			}
}

static void test_sparsity(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (int s = X1_SPARSE_2_4; s < X1_SPARSE_COUNT; s++) {
			struct test t = {.m = 40,
					 .n = 96,
					 .k = 1136,
					 .a = formats[i],
					 .b = formats[i],
					 .sparsity = (enum x1_sparsity)s,
					 .tb = s % 2};

			run_case(&t);
			t.sb = X1_SCALE_F32_1X128;
			if (legal(&t))
				run_case(&t);
		}
}

static void test_shapes(void **state)
{
	static const uint32_t shapes[][3] = {
		{1, 1, 1},       {1, 1000, 33},    {1000, 1, 31},  {5, 7, 5000},
		{513, 257, 129}, {300, 600, 1100}, {1, 64, 4096},  {49, 64, 2304},
		{33, 32, 64},    {600, 40, 48},    {7, 1200, 320},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (int trans = 0; trans < 4; trans++) {
			struct test t = {.m = shapes[i][0],
					 .n = shapes[i][1],
					 .k = shapes[i][2],
					 .a = X1_FMT_E4M3,
					 .b = X1_FMT_E4M3,
					 .ta = trans & 1,
					 .tb = trans & 2,
					 .pad = trans == 3 ? 5 : 0};

			if (trans && shapes[i][2] > 2000)
				continue;
			run_case(&t);
			t.a = t.b = t.c = X1_FMT_BF16;
			run_case(&t);
		}
}

static void test_epilogues(void **state)
{
	static const struct {
		uint32_t m, n, k;
	} shapes[] = {{70, 130, 200}, {8, 64, 2048}};

	(void)state;
	for (size_t s = 0; s < COUNT(shapes); s++)
		for (uint32_t mask = 0; mask < 32; mask++) {
			struct test t = {.m = shapes[s].m,
					 .n = shapes[s].n,
					 .k = shapes[s].k,
					 .a = mask % 3 ? X1_FMT_E4M3 : X1_FMT_INT8,
					 .b = mask % 3 ? X1_FMT_E4M3 : X1_FMT_INT8,
					 .c = mask % 2 ? X1_FMT_FP32 : X1_FMT_E4M3,
					 .bias = mask & 1,
					 .row = mask & 2,
					 .col = mask & 4,
					 .residual = mask & 8,
					 .scale = mask & 16 ? 0.37f : 0,
					 .out_scale = mask % 5 ? 0 : 0.21f,
					 .act = (enum sili_act)(mask % 6)};

			run_case(&t);
		}
}

/* K in parts, beside each other in MATRIX or of several work-groups: the last has the rest. */
static void test_parts(void **state)
{
	static const struct test cases[] = {
		{.m = 1, .n = 101, .k = 768},
		{.m = 1, .n = 96, .k = 1536, .c = X1_FMT_E2M1, .bias = true},
		{.m = 5, .n = 70, .k = 640, .bias = true, .row = true, .col = true, .pad = 3},
		{.m = 3, .n = 64, .k = 2048, .residual = true, .act = SILI_ACT_GELU},
		{.m = 2, .n = 50, .k = 1024, .sa = X1_SCALE_F32_1X128, .sb = X1_SCALE_F32_1X128},
		{.m = 7, .n = 40, .k = 1024, .sa = X1_SCALE_MX32, .sb = X1_SCALE_MX32},
		{.m = 4, .n = 96, .k = 2048, .sparsity = X1_SPARSE_2_4, .sb = X1_SCALE_MX32},
		{.m = 4, .n = 96, .k = 2048, .sparsity = X1_SPARSE_2_16},
		{.m = 2, .n = 40, .k = 512, .batch = 3, .bias = true},
		{.m = 60, .n = 70, .k = 768},
		{.m = 37, .n = 70, .k = 5000, .ta = true, .bias = true, .pad = 8},
		{.m = 128, .n = 750, .k = 3072, .c = X1_FMT_BF16},
		{.m = 128, .n = 750, .k = 3100, .c = X1_FMT_BF16, .residual = true, .bias = true},
	};
	bool folded = false, level = false;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (int ints = 0; ints < 2; ints++) {
			struct test t = cases[i];
			struct sili_gemm_plan pl;

			t.a = t.b = ints ? X1_FMT_INT8 : X1_FMT_E4M3;
			if (!legal(&t))
				continue;
			pl = run_case(&t);
			assert_true(pl.split_k > 1);
			folded |= pl.split_k > 1 && pl.work_groups % pl.split_k;
			level |= t.k - (pl.split_k - 1) * pl.split_k_step > pl.split_k_step;
		}
	assert_true(folded && level);
}

static void test_batches(void **state)
{
	struct test t = {.m = 50,
			 .n = 70,
			 .k = 200,
			 .a = X1_FMT_E4M3,
			 .b = X1_FMT_BF16,
			 .batch = 7,
			 .bias = true,
			 .row = true};

	(void)state;
	run_case(&t);
	t = (struct test){.m = 20,
			  .n = 64,
			  .k = 2048,
			  .a = X1_FMT_E2M1,
			  .b = X1_FMT_E2M1,
			  .sa = X1_SCALE_NV16,
			  .sb = X1_SCALE_MX32,
			  .batch = 3,
			  .residual = true};
	run_case(&t);
}

static void test_groups(void **state)
{
	static const uint32_t rows[] = {40, 0, 3, 130, 1};
	static const uint32_t bounds[] = {0, 40, 40, 43, 173, 180};
	struct test t = {.m = 130,
			 .n = 96,
			 .k = 384,
			 .a = X1_FMT_E4M3,
			 .b = X1_FMT_E4M3,
			 .sa = X1_SCALE_F32_1X128,
			 .sb = X1_SCALE_F32_128X128,
			 .batch = 5,
			 .group = SILI_GROUP_MASKED,
			 .table = rows,
			 .bias = true};

	(void)state;
	run_case(&t);
	t.m = 180;
	t.group = SILI_GROUP_CONTIGUOUS;
	t.table = bounds;
	t.row = true;
	run_case(&t);
	t.act = SILI_ACT_SILU;
	t.residual = true;
	t.sparsity = X1_SPARSE_2_4;
	run_case(&t);
}

/* A table from nobody knows where: rows beyond m are not touched. */
static void test_hostile_table(void **state)
{
	static const uint32_t table[] = {0xffffffff, 5, 0x80000000, 9};
	struct sili_device *dev = t_machines[0].dev;
	struct sili_bo *a = t_bo(dev, 64 * 64, SILI_HBM), *b = t_bo(dev, 3 * 64 * 64, SILI_HBM);
	struct sili_bo *c = t_bo(dev, 4096 + 64 * 64 * 4, SILI_HBM);
	struct sili_bo *tab = upload(dev, table, sizeof(table));
	struct sili_gemm g = {.size = sizeof(g),
			      .m = 64,
			      .n = 64,
			      .k = 64,
			      .a_fmt = X1_FMT_E4M3,
			      .b_fmt = X1_FMT_E4M3,
			      .batch = 3,
			      .group = SILI_GROUP_CONTIGUOUS,
			      .a = sili_bo_dva(a),
			      .b = sili_bo_dva(b),
			      .c = sili_bo_dva(c),
			      .b_batch = 64 * 64,
			      .group_table = sili_bo_dva(tab)};
	uint8_t *p = sili_bo_map(c);
	union x1_cmd cmd;

	(void)state;
	memset(p, 0x77, sili_bo_size(c));
	assert_int_equal(sili_gemm(dev, &g, &cmd, 1, NULL), 1);
	t_run(t_machines[0].queue, &cmd, 1, 0);
	for (size_t i = 64 * 64 * 4; i < sili_bo_size(c); i++)
		assert_int_equal(p[i], 0x77);
	sili_bo_free(a);
	sili_bo_free(b);
	sili_bo_free(c);
	sili_bo_free(tab);
}

static void test_errors(void **state)
{
	const struct sili_gemm good = {.size = sizeof(good),
				       .m = 8,
				       .n = 8,
				       .k = 32,
				       .a_fmt = X1_FMT_FP16,
				       .b_fmt = X1_FMT_FP16};
	union x1_cmd cmd;
	struct sili_gemm g;

	(void)state;
#define BAD(field, value)                                                                   \
	do {                                                                                \
		g = good;                                                                   \
		g.field = value;                                                            \
		assert_int_equal(sili_gemm(t_machines[0].dev, &g, &cmd, 1, NULL), -EINVAL); \
	} while (0)
	BAD(size, 4);
	BAD(m, 0);
	BAD(n, 0);
	BAD(k, 0);
	BAD(k, (1u << 20) + 1);
	BAD(a_fmt, (enum x1_format)99);
	BAD(b_fmt, X1_FMT_INT8);
	BAD(c_fmt, X1_FMT_E8M0);
	BAD(act, (enum sili_act)99);
	BAD(a_stride, 15);
	BAD(c_stride, 1ull << 40);
	BAD(a_scale_mode, X1_SCALE_F32_1X128); /* without scales */
	BAD(a_scale_mode, X1_SCALE_COUNT);
	BAD(b_scale_mode, X1_SCALE_NV16);
	BAD(sparsity, X1_SPARSE_2_4);
	BAD(sparsity, X1_SPARSE_COUNT);
	BAD(group, SILI_GROUP_MASKED);
	BAD(batch, 2); /* results on top of each other */
#undef BAD
	g = good;
	g.sparsity = X1_SPARSE_2_16;
	g.b_meta = 4096;
	g.k = 24;
	assert_int_equal(sili_gemm(t_machines[0].dev, &g, &cmd, 1, NULL), -EINVAL);
	assert_int_equal(sili_gemm(t_machines[0].dev, &good, &cmd, 0, NULL), -ENOSPC);
}

static void test_quantise(void **state)
{
	static const struct {
		enum x1_scale_mode mode;
		enum x1_format fmt;
		double error; /* of the largest value of a block */
	} cases[] = {
		{X1_SCALE_F32_1X128, X1_FMT_E4M3, 0.04},  {X1_SCALE_F32_128X128, X1_FMT_E4M3, 0.04},
		{X1_SCALE_F32_1X128, X1_FMT_INT8, 0.005}, {X1_SCALE_MX32, X1_FMT_E4M3, 0.13},
		{X1_SCALE_MX32, X1_FMT_E2M3, 0.13},       {X1_SCALE_MX32, X1_FMT_E2M1, 0.26},
		{X1_SCALE_NV16, X1_FMT_E2M1, 0.22},
	};
	enum {
		ROWS = 150,
		K = 320
	};
	float *v = malloc(ROWS * K * 4), *back = malloc(ROWS * K * 4), tensor;
	uint8_t *q = malloc(ROWS * K * 4), *scales = malloc(ROWS * K);

	(void)state;
	t_random(v, ROWS * K, 9, 1000);
	for (size_t i = 0; i < ROWS * K; i++)
		v[i] *= i / K % 3 ? 0.001f : 17;
	memset(v, 0, 64 * 4);
	for (size_t c = 0; c < COUNT(cases); c++) {
		assert_int_equal(
			sili_quantise(cases[c].mode, cases[c].fmt, v, ROWS, K, q, scales, &tensor),
			0);
		assert_int_equal(sili_dequantise(cases[c].mode, cases[c].fmt, q, scales, tensor,
						 ROWS, K, back),
				 0);
		for (uint32_t r = 0; r < ROWS; r++)
			for (uint32_t k = 0; k < K; k++) {
				double at = v[r * K + k],
				       most = cases[c].mode == X1_SCALE_F32_128X128 ? 17000
					      : r % 3                               ? 1
										    : 17000;

				if (fabs(back[r * K + k] - at) > cases[c].error * most)
					fail_msg("case %zu: %g became %g", c, at, back[r * K + k]);
			}
	}
	assert_int_equal(sili_quantise(X1_SCALE_NV16, X1_FMT_E4M3, v, 1, 16, q, scales, &tensor),
			 -EINVAL);
	assert_int_equal(sili_quantise(X1_SCALE_NV16, X1_FMT_E2M1, v, 1, 16, q, scales, NULL),
			 -EINVAL);
	assert_int_equal(sili_quantise(X1_SCALE_NONE, X1_FMT_E4M3, v, 1, 16, q, scales, NULL),
			 -EINVAL);
	free(v);
	free(back);
	free(q);
	free(scales);
}

static void test_compress(void **state)
{
	const float in[16] = {1, -5, 2, 5, 0, 0, 0, 0, NAN, 9, 3, -9, 7, 1, 0, -8};
	float out[8];
	uint8_t meta[4];

	(void)state;
	assert_int_equal(sili_sparse_compress(X1_SPARSE_2_4, in, 1, 16, out, meta), 0);
	assert_int_equal(sili_sparse_meta_bytes(X1_SPARSE_2_4, 16), 2);
	/* -5 and 5 at 1, 3; zeros at 0, 1; NaN and 9 at 0, 1; 7 and -8 at 0, 3. */
	assert_int_equal(meta[0], 1 | 3 << 2 | 0 << 4 | 1 << 6);
	assert_int_equal(meta[1], 0 | 1 << 2 | 0 << 4 | 3 << 6);
	assert_true(out[0] == -5 && out[1] == 5 && isnan(out[4]) && out[5] == 9 && out[7] == -8);
	assert_int_equal(sili_sparse_k(X1_SPARSE_2_16, 24), 0);
	assert_int_equal(sili_sparse_k(X1_SPARSE_2_16, 4096), 512);
	assert_int_equal(sili_sparse_compress(X1_SPARSE_NONE, in, 1, 16, out, meta), -EINVAL);
	assert_int_equal(sili_sparse_compress(X1_SPARSE_1_8, in, 1, 12, out, meta), -EINVAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),       cmocka_unit_test(test_scales),
		cmocka_unit_test(test_sparsity),      cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_epilogues),     cmocka_unit_test(test_parts),
		cmocka_unit_test(test_batches),       cmocka_unit_test(test_groups),
		cmocka_unit_test(test_hostile_table), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_quantise),      cmocka_unit_test(test_compress),
	};

	perf_mode = argc > 1 && !strcmp(argv[1], "perf");
	return cmocka_run_group_tests(tests, t_machines_open, t_machines_close);
}
