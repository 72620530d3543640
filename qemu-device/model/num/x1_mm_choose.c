// SPDX-License-Identifier: MIT
/*
 * Choice of the host path. One that the CPU has must also compute as the manual
 * says: an emulated CPU may round, or flush, in ways of its own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "x1_mm_path.h"

static const struct x1_mm_path *const paths[] = {
#if defined(__x86_64__)
	&x1_mm_path_amx,      &x1_mm_path_avx512vnni, &x1_mm_path_avx512,
	&x1_mm_path_avxvnni,  &x1_mm_path_avx2,
#endif
	&x1_mm_path_portable,
};

static const struct x1_mm_path *_Atomic chosen;
/* While the choice is made, in the thread that makes it. */
static _Thread_local const struct x1_mm_path *trial;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- proof ---- */

/* Ragged on every path, over more than a block. */
#define M 7
#define N 35
#define K 96

struct proof {
	uint8_t a[M * K * 4], b[N * K * 4];
	uint32_t acc[2][M * N];
};

/* Finite codes; those of wide exponents have products about the smallest normal number. */
static void fill(enum x1_format fmt, uint8_t *codes, uint32_t num, uint32_t seed)
{
	const uint32_t bytes = x1_format_bits(fmt) / 8;

	for (uint32_t i = 0; i < num; i++) {
		uint32_t v;

		seed = seed * 1664525 + 1013904223;
		v = seed;
		switch (fmt) {
		case X1_FMT_FP32:
			v = (v & 0x80ffffff) | 0x1f000000;
			break;
		case X1_FMT_BF16:
			v = (v >> 16 & 0x80ff) | 0x1f00;
			break;
		case X1_FMT_FP16:
			v = v >> 16 & 0xbfff;
			break;
		default:
			v = v >> 24 & 0xbf;
			break;
		}
		memcpy(codes + (size_t)i * bytes, &v, bytes);
	}
}

static int product(const struct x1_mm_path *path, struct proof *p, const enum x1_format fmt[2],
		   bool trans, uint32_t *acc, struct x1_mm_ws *ws)
{
	const uint32_t a = x1_format_bits(fmt[0]) / 8, b = x1_format_bits(fmt[1]) / 8;
	const struct x1_mm_args args = {
		.m = M,
		.n = N,
		.k = K,
		.a = {.base = p->a, .fmt = fmt[0], .trans = trans, .stride = (trans ? M : K) * a},
		.b = {.base = p->b, .fmt = fmt[1], .trans = trans, .stride = (trans ? N : K) * b},
		.acc = acc,
		.acc_stride = N * 4,
	};
	int ret;

	trial = path;
	ret = x1_mm(&args, ws);
	trial = NULL;
	return ret;
}

/* The bits that portable code has, in each kind of arithmetic. */
static bool keeps_rule(const struct x1_mm_path *path)
{
	static const enum x1_format pairs[][2] = {
		{X1_FMT_FP32, X1_FMT_FP32}, {X1_FMT_BF16, X1_FMT_BF16}, {X1_FMT_FP16, X1_FMT_E4M3},
		{X1_FMT_E5M2, X1_FMT_E4M3}, {X1_FMT_INT8, X1_FMT_INT8},
	};
	struct x1_mm_ws *ws = x1_mm_ws_new();
	struct proof *p = malloc(sizeof(*p));
	bool same = ws && p;

	for (size_t i = 0; i < 2 * sizeof(pairs) / sizeof(pairs[0]) && same; i++) {
		const enum x1_format *fmt = pairs[i / 2];

		fill(fmt[0], p->a, M * K, (uint32_t)i);
		fill(fmt[1], p->b, N * K, (uint32_t)~i);
		same = !product(path, p, fmt, i % 2, p->acc[0], ws) &&
		       !product(&x1_mm_path_portable, p, fmt, i % 2, p->acc[1], ws) &&
		       !memcmp(p->acc[0], p->acc[1], sizeof(p->acc[0]));
	}
	free(p);
	x1_mm_ws_free(ws);
	return same;
}

/* ---- choice ---- */

static const struct x1_mm_path *find(const char *name)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if ((!name || !strcmp(name, paths[i]->name)) && paths[i]->usable() &&
		    (paths[i] == &x1_mm_path_portable || keeps_rule(paths[i])))
			return paths[i];
	return NULL;
}

static void choose(void)
{
	const char *want = getenv("X1_HOST_PATH");
	const struct x1_mm_path *path = want && *want ? find(want) : NULL;

	if (!path) {
		path = find(NULL);
		if (want && *want)
			fprintf(stderr,
				"X1_HOST_PATH=%s: unknown, or not as it should be on this CPU; "
				"using %s\n",
				want, path->name);
	}
	atomic_store_explicit(&chosen, path, memory_order_release);
}

const struct x1_mm_path *x1_mm_path(void)
{
	const struct x1_mm_path *path = atomic_load_explicit(&chosen, memory_order_acquire);

	if (path)
		return path;
	if (trial)
		return trial;
	pthread_once(&once, choose);
	return atomic_load_explicit(&chosen, memory_order_acquire);
}

bool x1_num_cpu_has_path(const char *name)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(name, paths[i]->name))
			return paths[i]->usable();
	return false;
}

const char *x1_num_path_name(void)
{
	return x1_mm_path()->name;
}

uint32_t x1_fp_enter(void)
{
#if defined(__x86_64__)
	uint32_t saved = _mm_getcsr();

	/* Portable code flushes by itself and needs the host's subnormals for that. */
	_mm_setcsr(x1_mm_path() == &x1_mm_path_portable ? 0x1f80 : 0x1f80 | 0x8040);
	return saved;
#else
	return 0;
#endif
}

void x1_fp_leave(uint32_t saved)
{
#if defined(__x86_64__)
	_mm_setcsr(saved);
#else
	(void)saved;
#endif
}
