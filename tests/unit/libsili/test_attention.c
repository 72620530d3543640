// SPDX-License-Identifier: MIT
/*
 * Attention over formats, shapes, masks, grouped queries, biases and a latent
 * cache, on two machines whose tiles differ. The bits are those that
 * sili_kernels.h states (REQ-NUM-001, 020 to 028), computed row by row; the
 * values are near softmax in double precision.
 *
 * `test_attention perf` prints cycles, what the plan expected and the roofline.
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
#define BLOCK    128u

static bool perf_mode;

/* ---- data: [batch][token][head][dim] ---- */

struct data {
	enum x1_format fmt;
	uint32_t batch, tokens, heads, dim;
	size_t head, token, per_batch, bytes;
	uint8_t *p;
};

static void make_data(struct data *d, uint32_t seed, uint32_t apart, bool fill)
{
	float *v = malloc(d->dim * sizeof(*v));

	d->head = sili_format_bytes(d->fmt, d->dim) + apart;
	d->token = d->head * d->heads + 2 * apart;
	d->per_batch = d->token * d->tokens + 6 * apart;
	d->bytes = d->per_batch * d->batch;
	d->p = malloc(d->bytes);
	memset(d->p, 0x5a, d->bytes);
	for (uint32_t b = 0; fill && b < d->batch; b++)
		for (uint32_t t = 0; t < d->tokens; t++)
			for (uint32_t h = 0; h < d->heads; h++) {
				t_random(v, d->dim, seed++ * 7919, 40);
				for (uint32_t i = 0; i < d->dim; i++)
					v[i] *= 0.0625f;
				sili_from_f32(d->fmt, v,
					      d->p + b * d->per_batch + t * d->token + h * d->head,
					      d->dim);
			}
	free(v);
}

static uint8_t *row(const struct data *d, uint32_t b, uint32_t t, uint32_t h)
{
	return d->p + b * d->per_batch + t * d->token + h * d->head;
}

struct test {
	uint32_t batch, q_len, kv_len, heads, kv_heads, dim, v_dim;
	enum x1_format q, k, v, o;
	bool causal, latent, bias, bias_head, bias_batch;
	uint32_t window, apart;
	float scale, out_scale;
	bool split;
};

struct bias {
	float *v;
	size_t per_head, per_batch; /* values */
};

static bool sees(const struct test *t, uint32_t tok, uint32_t key)
{
	int64_t place = (int64_t)t->kv_len - t->q_len + tok;

	return !t->causal ||
	       (key <= place && (!t->window || (int64_t)key > place - (int64_t)t->window));
}

static float one(unsigned int op, float a, float b)
{
	x1_vec_binary(op, &a, &a, &b, 1);
	return a;
}

static float exp_of(float v)
{
	x1_vec_unary(X1_VEC_EXP, &v, &v, 1);
	return v;
}

/* Keys [from, to) for a row, in the stated order: O, M and L. */
static void part_bits(const struct test *t, const uint8_t *q, const struct data *k,
		      const struct data *v, const float *bias, uint32_t b, uint32_t tok,
		      uint32_t kh, uint32_t from, uint32_t to, struct x1_mm_ws *ws, float *o,
		      float *max_out, float *sum_out)
{
	float scale = t->scale != 0 ? t->scale : 1.0f / sqrtf((float)t->dim);
	float shift = t->v == X1_FMT_E4M3 ? -(float)log(256) : 0, max = 0, sum = 0;
	float s[BLOCK], e[BLOCK];
	uint8_t p[BLOCK * 2];
	bool first = true;

	for (uint32_t key = from; key < to; key += BLOCK) {
		uint32_t n = to - key < BLOCK ? to - key : BLOCK;
		float next, ref, part, a = 1;
		bool any = false;
		struct x1_mm_args mm = {
			.m = 1,
			.n = n,
			.k = t->dim,
			.a = {.base = q, .fmt = t->q},
			.b = {.base = row(k, b, key, kh), .fmt = t->k, .stride = (int64_t)k->token},
			.acc = s,
			.acc_stride = sizeof(s),
		};

		for (uint32_t i = 0; i < n; i++)
			any |= sees(t, tok, key + i);
		if (!any)
			continue;
		assert_int_equal(x1_mm(&mm, ws), 0);
		for (uint32_t i = 0; i < n; i++) {
			if (t->bias)
				x1_vec_ternary(X1_VEC_FMA, &s[i], &s[i], &scale, &bias[key + i], 1);
			if (!sees(t, tok, key + i))
				s[i] = -1e30f;
		}
		next = x1_bits_f32(x1_vec_reduce(X1_VEC_RMAX, s, n));
		if (!t->bias)
			next = one(X1_VEC_MUL, next, scale);
		next = one(X1_VEC_MAX, next, first ? -1e20f : max);
		if (!first)
			a = exp_of(one(X1_VEC_SUB, max, next));
		max = next;
		ref = shift != 0 ? one(X1_VEC_ADD, max, shift) : max;
		for (uint32_t i = 0; i < n; i++) {
			float by = t->bias ? 1 : scale, minus = -ref;

			x1_vec_ternary(X1_VEC_FMA, &e[i], &s[i], &by, &minus, 1);
			e[i] = exp_of(e[i]);
		}
		part = x1_bits_f32(x1_vec_reduce(X1_VEC_RSUM, e, n));
		sum = first ? part : one(X1_VEC_ADD, one(X1_VEC_MUL, sum, a), part);
		for (uint32_t i = 0; !first && i < t->v_dim; i++)
			o[i] = one(X1_VEC_MUL, o[i], a);
		x1_pack_f32(t->v, true, e, p, 0, n);
		mm = (struct x1_mm_args){
			.m = 1,
			.n = t->v_dim,
			.k = n,
			.a = {.base = p, .fmt = t->v},
			.b = {.base = row(v, b, key, kh),
			      .fmt = t->v,
			      .trans = true,
			      .stride = (int64_t)v->token},
			.accumulate = !first,
			.acc = o,
			.acc_stride = 4 * (int64_t)t->v_dim,
		};
		assert_int_equal(x1_mm(&mm, ws), 0);
		first = false;
	}
	*max_out = max;
	*sum_out = sum;
}

/* A row: one part, or those of the plan added up. */
static void row_bits(const struct test *t, const uint8_t *q, const struct data *k,
		     const struct data *v, const float *bias, uint32_t b, uint32_t tok, uint32_t kh,
		     const struct sili_attention_plan *pl, struct x1_mm_ws *ws, float *o)
{
	float *part = calloc((size_t)pl->parts * t->v_dim, 4), m[64], l[64], max, sum, zero = 0;

	for (uint32_t i = 0; i < pl->parts; i++) {
		uint32_t from = i * pl->part_keys, to = from + pl->part_keys;

		part_bits(t, q, k, v, bias, b, tok, kh, from, to < t->kv_len ? to : t->kv_len, ws,
			  part + (size_t)i * t->v_dim, &m[i], &l[i]);
	}
	sum = l[0];
	memcpy(o, part, t->v_dim * 4);
	if (pl->parts > 1) {
		max = x1_bits_f32(x1_vec_reduce(X1_VEC_RMAX, m, pl->parts));
		for (uint32_t i = 0; i < pl->parts; i++) {
			m[i] = exp_of(one(X1_VEC_SUB, m[i], max));
			l[i] = one(X1_VEC_MUL, l[i], m[i]);
			for (uint32_t c = 0; c < t->v_dim; c++)
				x1_vec_ternary(X1_VEC_FMA, &o[c], &part[(size_t)i * t->v_dim + c],
					       &m[i], i ? &o[c] : &zero, 1);
		}
		sum = x1_bits_f32(x1_vec_reduce(X1_VEC_RSUM, l, pl->parts));
	}
	free(part);
	x1_vec_unary(X1_VEC_RECIP, &sum, &sum, 1);
	if (t->out_scale != 0)
		sum = one(X1_VEC_MUL, sum, t->out_scale);
	for (uint32_t i = 0; i < t->v_dim; i++)
		o[i] = one(X1_VEC_MUL, o[i], sum);
}

/* Softmax as it is defined; *most: the largest |v|. */
static void row_f64(const struct test *t, const uint8_t *q, const struct data *k,
		    const struct data *v, const float *bias, uint32_t b, uint32_t tok, uint32_t kh,
		    double *o, double *most)
{
	float scale = t->scale != 0 ? t->scale : 1.0f / sqrtf((float)t->dim);
	float *qv = malloc(t->dim * 4), *kv = malloc((t->dim + t->v_dim) * 4);
	double *s = malloc(t->kv_len * sizeof(*s)), max = -INFINITY, sum = 0;

	sili_to_f32(t->q, q, qv, t->dim);
	for (uint32_t key = 0; key < t->kv_len; key++) {
		s[key] = 0;
		sili_to_f32(t->k, row(k, b, key, kh), kv, t->dim);
		for (uint32_t i = 0; i < t->dim; i++)
			s[key] += (double)qv[i] * kv[i];
		s[key] = s[key] * scale + (t->bias ? bias[key] : 0);
		if (sees(t, tok, key) && s[key] > max)
			max = s[key];
	}
	memset(o, 0, t->v_dim * sizeof(*o));
	for (uint32_t key = 0; key < t->kv_len; key++) {
		double p = sees(t, tok, key) ? exp(s[key] - max) : 0;

		sum += p;
		sili_to_f32(t->v, row(v, b, key, kh), kv, t->v_dim);
		for (uint32_t i = 0; i < t->v_dim; i++) {
			o[i] += p * kv[i];
			*most = fmax(*most, fabs(kv[i]));
		}
	}
	for (uint32_t i = 0; i < t->v_dim; i++)
		o[i] *= (t->out_scale != 0 ? t->out_scale : 1) / sum;
	free(qv);
	free(kv);
	free(s);
}

static void expect(const struct test *t, const struct data *q, const struct data *k,
		   const struct data *v, const struct bias *bias,
		   const struct sili_attention_plan *pl, struct data *o, const char *name)
{
	struct x1_mm_ws *ws = x1_mm_ws_new();
	float *bits = malloc(t->v_dim * sizeof(*bits));
	double *f64 = malloc(t->v_dim * sizeof(*f64)), most = 0;
	double limit = (t->v == X1_FMT_E4M3   ? 0x1p-4
			: t->v == X1_FMT_E5M2 ? 0x1p-3
			: t->v == X1_FMT_BF16 ? 0x1p-9
					      : 0x1p-11);

	for (uint32_t b = 0; b < t->batch; b++)
		for (uint32_t tok = 0; tok < t->q_len; tok++)
			for (uint32_t h = 0; h < t->heads; h++) {
				uint32_t kh = h / (t->heads / t->kv_heads);
				const float *bv = t->bias ? bias->v + b * bias->per_batch +
								    h * bias->per_head +
								    (size_t)tok * t->kv_len
							  : NULL;

				row_bits(t, row(q, b, tok, h), k, v, bv, b, tok, kh, pl, ws, bits);
				row_f64(t, row(q, b, tok, h), k, v, bv, b, tok, kh, f64, &most);
				for (uint32_t i = 0; i < t->v_dim; i++)
					if (fabs(bits[i] - f64[i]) >
					    limit * most * (t->out_scale != 0 ? t->out_scale : 1))
						fail_msg("%s: batch %u token %u head %u: %g is not "
							 "%g",
							 name, b, tok, h, bits[i], f64[i]);
				x1_pack_f32(t->o, true, bits, row(o, b, tok, h), 0, t->v_dim);
			}
	free(bits);
	free(f64);
	x1_mm_ws_free(ws);
}

static struct sili_bo *upload(struct sili_device *dev, const void *src, size_t bytes)
{
	struct sili_bo *bo = t_bo(dev, bytes ? bytes : 1, SILI_HBM);

	memcpy(sili_bo_map(bo), src, bytes);
	return bo;
}

/* Equal, but for the sign of zeros; what lies between rows was not touched. */
static void compare(const struct test *t, const struct data *want, const uint8_t *got,
		    const char *name)
{
	struct data g = *want;
	uint8_t *touched = calloc(1, want->bytes);

	g.p = malloc(want->bytes);
	memcpy(g.p, got, want->bytes);
	for (uint32_t b = 0; b < t->batch; b++)
		for (uint32_t tok = 0; tok < t->q_len; tok++)
			for (uint32_t h = 0; h < t->heads; h++) {
				size_t n = sili_format_bytes(t->o, t->v_dim);
				float vw, vg;

				memset(touched + (row(want, b, tok, h) - want->p), 1, n);
				if (!memcmp(row(want, b, tok, h), row(&g, b, tok, h), n))
					continue;
				for (uint32_t i = 0; i < t->v_dim; i++) {
					x1_unpack_f32(t->o, row(want, b, tok, h), i, &vw, 1);
					x1_unpack_f32(t->o, row(&g, b, tok, h), i, &vg, 1);
					if (x1_f32_bits(vw) != x1_f32_bits(vg) && vw + vg != 0)
						fail_msg("%s: batch %u token %u head %u [%u] is "
							 "%.9g, not %.9g",
							 name, b, tok, h, i, vg, vw);
				}
			}
	for (size_t i = 0; i < want->bytes; i++)
		if (!touched[i] && got[i] != 0x5a)
			fail_msg("%s: byte %zu beside the result is %02x", name, i, got[i]);
	free(touched);
	free(g.p);
}

static void run_case(const struct test *in)
{
	struct test t = *in;
	struct data q, k, v, o;
	struct bias bias = {0};
	size_t bias_n;
	char name[256];

	t.batch = t.batch ? t.batch : 1;
	t.kv_heads = t.kv_heads ? t.kv_heads : t.heads;
	t.v_dim = t.v_dim ? t.v_dim : t.dim;
	q = (struct data){t.q, t.batch, t.q_len, t.heads, t.dim, 0, 0, 0, 0, NULL};
	k = (struct data){t.k, t.batch, t.kv_len, t.kv_heads, t.dim, 0, 0, 0, 0, NULL};
	v = (struct data){t.v, t.batch, t.kv_len, t.kv_heads, t.v_dim, 0, 0, 0, 0, NULL};
	o = (struct data){t.o, t.batch, t.q_len, t.heads, t.v_dim, 0, 0, 0, 0, NULL};
	snprintf(name, sizeof(name), "%ux%ux%u keys %u*%u>%u of %u %s*%s*%s>%s%s%s%s window %u",
		 t.batch, t.q_len, t.heads, t.kv_len, t.kv_heads, t.dim, t.v_dim,
		 sili_format_name(t.q), sili_format_name(t.k), sili_format_name(t.v),
		 sili_format_name(t.o), t.causal ? " causal" : "", t.latent ? " latent" : "",
		 t.bias ? " bias" : "", t.window);
	make_data(&q, 1, t.apart, true);
	make_data(&k, 100000, t.apart, true);
	make_data(&v, 200000, t.apart, true);
	make_data(&o, 0, t.apart, false);
	if (t.latent) {
		free(v.p);
		v = k;
	}
	bias.per_head = t.bias_head ? (size_t)t.q_len * t.kv_len : 0;
	bias.per_batch = t.bias_batch ? (size_t)t.q_len * t.kv_len * t.heads : 0;
	bias_n = t.bias ? (size_t)t.batch * t.heads * t.q_len * t.kv_len : 0;
	bias.v = malloc(bias_n * 4 + 4);
	t_random(bias.v, bias_n, 9, 4);
	for (size_t i = 0; i < bias_n; i += 5)
		bias.v[i] = i % 3 ? -INFINITY : bias.v[i];
	for (size_t m = 0; m < T_MACHINES; m++) {
		struct sili_device *dev = t_machines[m].dev;
		struct sili_bo *bo[] = {upload(dev, q.p, q.bytes), upload(dev, k.p, k.bytes),
					upload(dev, v.p, v.bytes), t_bo(dev, o.bytes, SILI_HBM),
					upload(dev, bias.v, bias_n * 4)};
		struct sili_attention a = {
			.size = sizeof(a),
			.batch = t.batch,
			.q_len = t.q_len,
			.kv_len = t.kv_len,
			.heads = t.heads,
			.kv_heads = t.kv_heads,
			.dim = t.dim,
			.v_dim = t.v_dim,
			.q_fmt = t.q,
			.k_fmt = t.k,
			.v_fmt = t.v,
			.o_fmt = t.o,
			.q = sili_bo_dva(bo[0]),
			.k = sili_bo_dva(bo[1]),
			.v = sili_bo_dva(bo[t.latent ? 1 : 2]),
			.o = sili_bo_dva(bo[3]),
			.causal = t.causal,
			.window = t.window,
			.scale = t.scale,
			.out_scale = t.out_scale,
			.bias = t.bias ? sili_bo_dva(bo[4]) : 0,
			.bias_head = bias.per_head * 4,
			.bias_batch = bias.per_batch * 4,
			.prefetch = m ? SILI_PREFETCH_OFF : SILI_PREFETCH_KERNEL,
		};
		struct sili_attention_plan pl;
		struct sili_bo *work = NULL;
		struct x1_perf perf;
		union x1_cmd cmd[2];
		int n;

		if (t.apart || t.latent) {
			a.q_token = q.token;
			a.q_head = q.head;
			a.q_batch = q.per_batch;
			a.k_token = k.token;
			a.k_head = k.head;
			a.k_batch = k.per_batch;
			a.v_token = v.token;
			a.v_head = v.head;
			a.v_batch = v.per_batch;
			a.o_token = o.token;
			a.o_head = o.head;
			a.o_batch = o.per_batch;
		}
		memset(sili_bo_map(bo[3]), 0x5a, o.bytes);
		if (t.split) {
			int64_t bytes = sili_attention_work_bytes(&a);

			if (bytes < 1)
				fail_msg("%s: %ld bytes of workspace", name, (long)bytes);
			work = t_bo(dev, (size_t)bytes, SILI_HBM);
			a.work = sili_bo_dva(work);
			assert_int_equal(sili_attention(dev, &a, cmd, 1, &pl), -ENOSPC);
		}
		n = sili_attention(dev, &a, cmd, 2, &pl);
		if (n != (t.split ? 2 : 1) || (pl.parts > 1) != t.split)
			fail_msg("%s: %d commands, %u parts", name, n, pl.parts);
		if (!m)
			expect(&t, &q, &k, &v, &bias, &pl, &o, name);
		if (sili_run_perf(t_machines[m].queue, cmd, (uint32_t)n, &perf))
			fail_msg("%s: fault %s (tile %ux%u)", name,
				 x1_fault_name(t_fault(t_machines[m].queue)), pl.tile_tokens,
				 pl.tile_heads);
		if (perf_mode)
			printf("%-64s %s: tile %ux%u, %u stages, %u buffers, %lu cycles, expected "
			       "%lu, roofline %lu\n",
			       name, t_machines[m].spec, pl.tile_tokens, pl.tile_heads, pl.stages,
			       pl.score_buffers, (unsigned long)perf.cycles,
			       (unsigned long)pl.cycles, (unsigned long)pl.roofline);
		compare(&t, &o, sili_bo_map(bo[3]), name);
		sili_bo_free(work);
		for (size_t i = 0; i < COUNT(bo); i++)
			sili_bo_free(bo[i]);
	}
	free(q.p);
	free(k.p);
	if (!t.latent)
		free(v.p);
	free(o.p);
	free(bias.v);
}

static const enum x1_format formats[] = {X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3, X1_FMT_E5M2};

static void test_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (size_t j = 0; j < COUNT(formats); j++)
			for (size_t k = 0; k < COUNT(formats); k++) {
				struct test t = {.q_len = 37,
						 .kv_len = 300,
						 .heads = 2,
						 .dim = 40,
						 .q = formats[i],
						 .k = formats[j],
						 .v = formats[k],
						 .o = (i + j) % 2 ? formats[k] : X1_FMT_FP32,
						 .causal = (i + j + k) % 2};

				run_case(&t);
			}
}

static void test_shapes(void **state)
{
	static const struct test shapes[] = {
		{.q_len = 1, .kv_len = 1, .heads = 1, .dim = 1},
		{.q_len = 1, .kv_len = 129, .heads = 8, .kv_heads = 2, .dim = 64},
		{.q_len = 3, .kv_len = 700, .heads = 12, .kv_heads = 1, .dim = 96, .v_dim = 32},
		{.batch = 2, .q_len = 200, .kv_len = 256, .heads = 3, .dim = 128},
		{.q_len = 300, .kv_len = 257, .heads = 1, .dim = 256},
		{.batch = 3,
		 .q_len = 70,
		 .kv_len = 64,
		 .heads = 4,
		 .kv_heads = 2,
		 .dim = 32,
		 .v_dim = 80},
		{.q_len = 9,
		 .kv_len = 400,
		 .heads = 6,
		 .kv_heads = 1,
		 .dim = 576,
		 .v_dim = 512,
		 .latent = true},
		{.batch = 2,
		 .q_len = 2,
		 .kv_len = 200,
		 .heads = 40,
		 .kv_heads = 1,
		 .dim = 576,
		 .v_dim = 512,
		 .latent = true,
		 .apart = 32},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (int mode = 0; mode < 6; mode++) {
			struct test t = shapes[i];

			t.q = t.k = t.v = mode % 2 ? X1_FMT_BF16 : X1_FMT_E4M3;
			t.o = mode % 2 ? X1_FMT_FP32 : X1_FMT_FP16;
			t.apart += mode == 3 ? 6 : 0;
			t.causal = mode >= 2 && t.kv_len >= t.q_len;
			t.window = mode >= 4 && t.causal ? 3 + (uint32_t)i * 40 : 0;
			t.scale = mode == 1 ? 0.3f : 0;
			t.out_scale = mode == 5 ? 0.7f : 0;
			run_case(&t);
		}
}

static void test_bias(void **state)
{
	(void)state;
	for (int mode = 0; mode < 8; mode++) {
		struct test t = {.batch = 2,
				 .q_len = 33,
				 .kv_len = 300,
				 .heads = 4,
				 .kv_heads = 2,
				 .dim = 48,
				 .q = X1_FMT_FP16,
				 .k = X1_FMT_FP16,
				 .v = mode % 3 ? X1_FMT_FP16 : X1_FMT_E4M3,
				 .o = X1_FMT_FP32,
				 .bias = true,
				 .bias_head = mode & 1,
				 .bias_batch = mode & 2,
				 .causal = mode & 4,
				 .window = mode == 7 ? 150 : 0};

		run_case(&t);
	}
}

static void test_split(void **state)
{
	static const struct test shapes[] = {
		{.q_len = 1, .kv_len = 1000, .heads = 8, .kv_heads = 2, .dim = 64, .causal = true},
		{.q_len = 1, .kv_len = 4097, .heads = 1, .dim = 128},
		{.q_len = 1,
		 .kv_len = 768,
		 .heads = 100,
		 .kv_heads = 1,
		 .dim = 576,
		 .v_dim = 512,
		 .latent = true},
		{.batch = 3,
		 .q_len = 5,
		 .kv_len = 900,
		 .heads = 6,
		 .kv_heads = 2,
		 .dim = 40,
		 .v_dim = 24,
		 .bias = true,
		 .bias_head = true,
		 .out_scale = 0.3f,
		 .apart = 6},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++)
		for (int wide = 0; wide < 2; wide++) {
			struct test t = shapes[i];

			t.q = t.k = t.v = wide ? X1_FMT_FP16 : X1_FMT_E4M3;
			t.o = wide ? X1_FMT_FP16 : X1_FMT_FP32;
			t.split = true;
			run_case(&t);
		}
}

static void test_errors(void **state)
{
	const struct sili_attention good = {.size = sizeof(good),
					    .q_len = 8,
					    .kv_len = 8,
					    .heads = 4,
					    .dim = 16,
					    .q_fmt = X1_FMT_FP16,
					    .k_fmt = X1_FMT_FP16,
					    .v_fmt = X1_FMT_FP16,
					    .bias_fmt = X1_FMT_E4M3};
	struct sili_attention a;
	union x1_cmd cmd;

	(void)state;
	assert_int_equal(sili_attention(t_machines[0].dev, &good, &cmd, 1, NULL), 1);
	assert_int_equal(sili_attention(t_machines[0].dev, &good, &cmd, 0, NULL), -ENOSPC);
#define BAD(field, value)                                                                        \
	do {                                                                                     \
		a = good;                                                                        \
		a.field = value;                                                                 \
		assert_int_equal(sili_attention(t_machines[0].dev, &a, &cmd, 1, NULL), -EINVAL); \
	} while (0)
	assert_int_equal(sili_attention_work_bytes(&good), 0);
	a = good;
	a.heads = 0;
	assert_int_equal(sili_attention_work_bytes(&a), -EINVAL);
	BAD(size, 8);
	BAD(q_len, 0);
	BAD(kv_len, 0);
	BAD(kv_len, 1u << 30);
	BAD(heads, 0);
	BAD(kv_heads, 3);
	BAD(kv_heads, 8);
	BAD(dim, 0);
	BAD(dim, 577);
	BAD(v_dim, 513);
	BAD(q_fmt, X1_FMT_FP32);
	BAD(k_fmt, X1_FMT_INT8);
	BAD(v_fmt, (enum x1_format)99);
	BAD(o_fmt, X1_FMT_E8M0);
	BAD(o_fmt, (enum x1_format)99);
	BAD(window, 4); /* without causal */
	BAD(scale, -1.0f);
	BAD(scale, NAN);
	BAD(scale, INFINITY);
	BAD(q_head, 31);
	BAD(k_token, 8);
	BAD(o_head, 1ull << 40);
	BAD(bias, 4096); /* of no format that it may have */
#undef BAD
	a = good;
	a.causal = true;
	a.kv_len = 7; /* the first token sees nothing */
	assert_int_equal(sili_attention(t_machines[0].dev, &a, &cmd, 1, NULL), -EINVAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats), cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_bias),    cmocka_unit_test(test_split),
		cmocka_unit_test(test_errors),
	};

	perf_mode = argc > 1 && !strcmp(argv[1], "perf");
	return cmocka_run_group_tests(tests, t_machines_open, t_machines_close);
}
