// SPDX-License-Identifier: MIT
/*
 * What host libraries take for the same product, where they are installed
 * (scripts/setup bench): OpenBLAS and oneDNN, opened at run time. They compute
 * in formats of the host's, which are named beside each number, and have no
 * order of summation to keep.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define CBLAS_ROW_MAJOR 101
#define CBLAS_NO_TRANS  111
#define CBLAS_TRANS     112

typedef void (*sgemm_fn)(int order, int ta, int tb, int m, int n, int k, float alpha,
			 const float *a, int lda, const float *b, int ldb, float beta, float *c,
			 int ldc);
/* Of dnnl.h, row major; sizes are 64 bits. */
typedef int (*dnnl_sgemm_fn)(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha,
			     const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
			     float *c, int64_t ldc);
typedef int (*dnnl_bf16_fn)(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha,
			    const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb,
			    float beta, float *c, int64_t ldc);
typedef int (*dnnl_int8_fn)(char ta, char tb, char offset, int64_t m, int64_t n, int64_t k,
			    float alpha, const int8_t *a, int64_t lda, int8_t a0, const int8_t *b,
			    int64_t ldb, int8_t b0, float beta, int32_t *c, int64_t ldc,
			    const int32_t *c0);

/* C = A B^T, as sili_gemm() takes its operands. */
static int openblas_sgemm(void *fn, int dim, const void *a, const void *b, void *c)
{
	((sgemm_fn)fn)(CBLAS_ROW_MAJOR, CBLAS_NO_TRANS, CBLAS_TRANS, dim, dim, dim, 1, a, dim, b,
		       dim, 0, c, dim);
	return 0;
}

static int dnnl_sgemm(void *fn, int dim, const void *a, const void *b, void *c)
{
	return ((dnnl_sgemm_fn)fn)('N', 'T', dim, dim, dim, 1, a, dim, b, dim, 0, c, dim);
}

static int dnnl_bf16(void *fn, int dim, const void *a, const void *b, void *c)
{
	return ((dnnl_bf16_fn)fn)('N', 'T', dim, dim, dim, 1, a, dim, b, dim, 0, c, dim);
}

static int dnnl_int8(void *fn, int dim, const void *a, const void *b, void *c)
{
	static const int32_t zero;

	return ((dnnl_int8_fn)fn)('N', 'T', 'F', dim, dim, dim, 1, a, dim, 0, b, dim, 0, 0, c, dim,
				  &zero);
}

struct bench_rival {
	const char *name, *what; /* of its results; what it computes with */
	const char *libs[3];
	const char *symbol;
	enum x1_format fmt; /* of its operands */
	int (*run)(void *fn, int dim, const void *a, const void *b, void *c);
	const char *against[3]; /* formats of the X1 that it is put beside */
};

static const struct bench_rival rivals[] = {
	{"openblas_sgemm",
	 "FP32 by FP32",
	 {"libopenblas.so.0"},
	 "cblas_sgemm",
	 X1_FMT_FP32,
	 openblas_sgemm,
	 {"fp32", "fp8_e4m3"}},
	{"onednn_sgemm",
	 "FP32 by FP32",
	 {"libdnnl.so.3", "libdnnl.so.2"},
	 "dnnl_sgemm",
	 X1_FMT_FP32,
	 dnnl_sgemm,
	 {"fp32"}},
	{"onednn_bf16",
	 "BF16 by BF16 to FP32",
	 {"libdnnl.so.3", "libdnnl.so.2"},
	 "dnnl_gemm_bf16bf16f32",
	 X1_FMT_BF16,
	 dnnl_bf16,
	 {"bf16", "fp8_e4m3"}},
	{"onednn_int8",
	 "INT8 by INT8 to INT32",
	 {"libdnnl.so.3", "libdnnl.so.2"},
	 "dnnl_gemm_s8s8s32",
	 X1_FMT_INT8,
	 dnnl_int8,
	 {"int8"}},
};

#define NUM_RIVALS (sizeof(rivals) / sizeof(rivals[0]))

const struct bench_rival *bench_rival(const char *format, unsigned int i)
{
	for (size_t r = 0; r < NUM_RIVALS; r++)
		for (unsigned int f = 0; f < 3 && rivals[r].against[f]; f++)
			if (!strcmp(rivals[r].against[f], format) && !i--)
				return &rivals[r];
	return NULL;
}

const char *bench_rival_name(const struct bench_rival *r)
{
	return r->name;
}

const char *bench_rival_what(const struct bench_rival *r)
{
	return r->what;
}

static void *find(const struct bench_rival *r)
{
	for (unsigned int i = 0; i < 3 && r->libs[i]; i++) {
		void *lib = dlopen(r->libs[i], RTLD_NOW | RTLD_LOCAL);
		void *fn = lib ? dlsym(lib, r->symbol) : NULL;

		if (fn)
			return fn;
	}
	return NULL;
}

double bench_rival_seconds(const struct bench_rival *r, unsigned int dim)
{
	const size_t num = (size_t)dim * dim, bytes = sili_format_bytes(r->fmt, num);
	float *values = malloc(num * sizeof(*values));
	void *a = malloc(bytes), *b = malloc(bytes), *c = malloc(num * 4), *fn = find(r);
	double start, s = -1;
	uint32_t seed = 1;

	if (!fn || !values || !a || !b || !c)
		goto out;
	for (size_t i = 0; i < num; i++) {
		seed = seed * 1664525 + 1013904223;
		values[i] = (float)(int32_t)seed * 0x1p-29f;
	}
	if (sili_from_f32(r->fmt, values, a, num) || sili_from_f32(r->fmt, values, b, num))
		goto out;
	/* Warm, then measured. */
	if (r->run(fn, (int)dim, a, b, c))
		goto out;
	start = bench_now();
	if (!r->run(fn, (int)dim, a, b, c))
		s = bench_now() - start;
out:
	free(values);
	free(a);
	free(b);
	free(c);
	return s;
}
