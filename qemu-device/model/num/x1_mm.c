// SPDX-License-Identifier: MIT
/*
 * Matrix product: choice of the host path, operands to panels, tiles to the path.
 *
 * A becomes m rows of k values, B panels of nr columns, both padded with +0 to
 * whole blocks; a tile of mr x nr accumulators then runs through the path's
 * kernel. Panels of KC values of k keep B's part in the L1 cache.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "x1_mm_operand.h"
#include "x1_mm_path.h"

#define KC 256

/* Buffers of a workspace. */
enum {
	WS_A,
	WS_B,
	WS_ROWS,
	WS_TMP,
	WS_PAIRS,
	WS_COUNT
};

struct x1_mm_ws {
	void *buf[WS_COUNT];
	size_t size[WS_COUNT];
};

/* ---- host path ---- */

static const struct x1_mm_path *const paths[] = {
#if defined(__x86_64__)
	&x1_mm_path_avx512,
	&x1_mm_path_avx2,
#endif
	&x1_mm_path_portable,
};

static const struct x1_mm_path *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	const size_t n = sizeof(paths) / sizeof(paths[0]);
	const char *want = getenv("X1_HOST_PATH");

	for (size_t i = 0; i < n; i++) {
		if (!paths[i]->usable())
			continue;
		if (!chosen)
			chosen = paths[i];
		if (want && !strcmp(want, paths[i]->name)) {
			chosen = paths[i];
			return;
		}
	}
	if (want && *want)
		fprintf(stderr, "X1_HOST_PATH=%s: unknown, or not on this CPU; using %s\n", want,
			chosen->name);
}

const struct x1_mm_path *x1_mm_path(void)
{
	pthread_once(&once, choose);
	return chosen;
}

const char *x1_num_path_name(void)
{
	return x1_mm_path()->name;
}

double x1_num_peak_fma(unsigned int ms)
{
	return x1_mm_path()->peak(ms);
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

/* ---- workspace ---- */

struct x1_mm_ws *x1_mm_ws_new(void)
{
	return calloc(1, sizeof(struct x1_mm_ws));
}

void x1_mm_ws_free(struct x1_mm_ws *ws)
{
	if (!ws)
		return;
	for (unsigned int i = 0; i < WS_COUNT; i++)
		free(ws->buf[i]);
	free(ws);
}

static void *ws_get(struct x1_mm_ws *ws, unsigned int which, size_t bytes)
{
	if (ws->size[which] < bytes) {
		size_t size = (bytes + 4095) / 4096 * 4096;

		free(ws->buf[which]);
		ws->buf[which] = aligned_alloc(64, size);
		ws->size[which] = ws->buf[which] ? size : 0;
	}
	return ws->buf[which];
}

/* ---- tiles ---- */

struct job {
	const struct x1_mm_args *m;
	const struct x1_mm_path *path;
	uint32_t block, kpad;
	uint32_t sblock; /* 0 = no scales, or folded ones */
	bool wide, fold;
};

/* Number of the operand's scale block that k of the instruction lies in. */
static uint32_t scale_index(const struct job *j, const struct x1_mm_operand *op, uint32_t k)
{
	uint32_t block = x1_mm_scale_block(op->scale);

	return block ? (j->m->k0 + k) / block - j->m->k0 / block : 0;
}

/* A block's scales of the columns of a tile. */
struct column_scales {
	double s[X1_MM_MAX_NR];
	float f[X1_MM_MAX_NR];
};

static void get_column_scales(const struct job *j, uint32_t j0, uint32_t k,
			      struct column_scales *sb)
{
	const struct x1_mm_args *m = j->m;
	uint32_t idx = scale_index(j, &m->b, k);

	for (uint32_t c = 0; c < j->path->nr; c++) {
		sb->s[c] = x1_mm_scale_at(&m->b, j0 + c < m->n ? j0 + c : m->n - 1, idx);
		sb->f[c] = (float)sb->s[c];
	}
}

/* s of every element of a tile for the scale block of k. */
static void tile_scales(const struct job *j, uint32_t i0, uint32_t k,
			const struct column_scales *sb, float *s)
{
	const struct x1_mm_args *m = j->m;
	uint32_t idx = scale_index(j, &m->a, k), nr = j->path->nr;

	for (uint32_t r = 0; r < j->path->mr; r++, s += nr) {
		double sa = x1_mm_scale_at(&m->a, i0 + r < m->m ? i0 + r : m->m - 1, idx);

		/* E8M0's 2^-127 is no FP32 number without subnormals. */
		if (m->a.scale == X1_SCALE_MX32 || m->b.scale == X1_SCALE_MX32)
			for (uint32_t c = 0; c < nr; c++)
				s[c] = x1_mm_scale_product(sa, sb->s[c]);
		else
			j->path->mul(s, (float)sa, sb->f);
	}
}

/* One scale block of a tile: p over the block from +0, then acc = fma(p, s, acc). */
static void scaled_block(const struct job *j, struct x1_mm_tile *t, uint32_t i0, uint32_t k,
			 const struct column_scales *sb)
{
	float p[X1_MM_MAX_MR * X1_MM_MAX_NR] = {0}, s[X1_MM_MAX_MR * X1_MM_MAX_NR];
	float *acc = t->acc;

	t->acc = p;
	j->path->blocks(t);
	t->acc = acc;
	tile_scales(j, i0, k, sb, s);
	j->path->scale(acc, p, s, (size_t)j->path->mr * j->path->nr);
}

/* Run a tile over [k, k + len) of its panels. */
static void run_tile(const struct job *j, const float *a, const float *b, float *acc, uint32_t i0,
		     uint32_t k, uint32_t len, const struct column_scales *sb)
{
	struct x1_mm_tile t = {.b = b + (size_t)k * j->path->nr,
			       .acc = acc,
			       .acc_stride = j->path->nr,
			       .k = len,
			       .block = j->block};

	for (uint32_t r = 0; r < j->path->mr; r++)
		t.a[r] = a + (size_t)(i0 + r) * j->kpad + k;
	if (j->wide)
		j->path->fma(&t);
	else if (j->sblock)
		scaled_block(j, &t, i0, k, sb);
	else
		j->path->blocks(&t);
}

static void load_tile(const struct job *j, uint32_t i0, uint32_t j0, void *tile, bool from_acc)
{
	const struct x1_mm_args *m = j->m;
	uint32_t nr = j->path->nr, cols = m->n - j0 < nr ? m->n - j0 : nr;

	memset(tile, 0, (size_t)j->path->mr * nr * 4);
	for (uint32_t r = 0; from_acc && r < j->path->mr && i0 + r < m->m; r++)
		memcpy((uint8_t *)tile + (size_t)r * nr * 4,
		       (const uint8_t *)m->acc + (int64_t)(i0 + r) * m->acc_stride + j0 * 4,
		       cols * 4);
}

static void store_tile(const struct job *j, uint32_t i0, uint32_t j0, const void *tile)
{
	const struct x1_mm_args *m = j->m;
	uint32_t nr = j->path->nr, cols = m->n - j0 < nr ? m->n - j0 : nr;

	for (uint32_t r = 0; r < j->path->mr && i0 + r < m->m; r++)
		memcpy((uint8_t *)m->acc + (int64_t)(i0 + r) * m->acc_stride + j0 * 4,
		       (const uint8_t *)tile + (size_t)r * nr * 4, cols * 4);
}

/* End of the stretch of k that starts at k: a panel, or a scale block. */
static uint32_t stretch_end(const struct job *j, uint32_t k)
{
	uint32_t end = k + KC - k % KC;

	if (j->sblock)
		end = k + j->sblock - (j->m->k0 + k) % j->sblock;
	return end < j->kpad ? end : j->kpad;
}

static int mm_float(const struct job *j, struct x1_mm_ws *ws)
{
	const struct x1_mm_args *m = j->m;
	uint32_t mr = j->path->mr, nr = j->path->nr;
	uint32_t mpad = (m->m + mr - 1) / mr * mr;
	float *a, *b, *rows, *tmp, tile[X1_MM_MAX_MR * X1_MM_MAX_NR];
	struct column_scales sb;
	const void *row[X1_MM_MAX_NR];

	a = ws_get(ws, WS_A, (size_t)mpad * j->kpad * 4);
	b = ws_get(ws, WS_B, (size_t)nr * j->kpad * 4);
	rows = ws_get(ws, WS_ROWS, (size_t)nr * j->kpad * 4);
	tmp = ws_get(ws, WS_TMP, x1_mm_tmp_floats(m, mpad > nr ? mpad : nr) * 4);
	if (!a || !b || !rows || !tmp)
		return -1;
	x1_mm_unpack_rows(m, false, 0, mpad, a, j->kpad, j->fold, tmp);
	for (uint32_t c = 0; c < nr; c++)
		row[c] = rows + (size_t)c * j->kpad;
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		x1_mm_unpack_rows(m, true, j0, nr, rows, j->kpad, j->fold, tmp);
		j->path->transpose(row, b, j->kpad);
		for (uint32_t k = 0, end; k < j->kpad; k = end) {
			end = stretch_end(j, k);
			if (j->sblock)
				get_column_scales(j, j0, k, &sb);
			for (uint32_t i0 = 0; i0 < m->m; i0 += mr) {
				load_tile(j, i0, j0, tile, k || m->accumulate);
				run_tile(j, a, b, tile, i0, k, end - k, &sb);
				if (end == j->kpad)
					j->path->canonical(tile, (size_t)mr * nr);
				store_tile(j, i0, j0, tile);
			}
		}
	}
	return 0;
}

/* ---- integers ---- */

/* One scale block of integers: exact INT32, then RN to FP32 and the same fma. */
static void scaled_ints(const struct job *j, struct x1_mm_itile *t, float *acc, uint32_t i0,
			uint32_t k, const struct column_scales *sb)
{
	int32_t sum[X1_MM_MAX_MR * X1_MM_MAX_NR] = {0};
	float p[X1_MM_MAX_MR * X1_MM_MAX_NR], s[X1_MM_MAX_MR * X1_MM_MAX_NR];
	size_t n = (size_t)j->path->mr * j->path->nr;

	t->acc = sum;
	j->path->ints(t);
	for (size_t i = 0; i < n; i++)
		p[i] = (float)sum[i];
	tile_scales(j, i0, k, sb, s);
	j->path->scale(acc, p, s, n);
}

static int mm_int(const struct job *j, struct x1_mm_ws *ws)
{
	const struct x1_mm_args *m = j->m;
	uint32_t mr = j->path->mr, nr = j->path->nr, kpad = j->kpad;
	uint32_t mpad = (m->m + mr - 1) / mr * mr;
	struct column_scales sb;
	union {
		int32_t i[X1_MM_MAX_MR * X1_MM_MAX_NR];
		float f[X1_MM_MAX_MR * X1_MM_MAX_NR];
	} tile;
	int16_t *a, *b, *pairs;
	const void *row[X1_MM_MAX_NR];
	float *rows, *tmp;

	a = ws_get(ws, WS_A, (size_t)mpad * kpad * 2);
	b = ws_get(ws, WS_B, (size_t)nr * kpad * 2);
	rows = ws_get(ws, WS_ROWS, (size_t)(mr > nr ? mr : nr) * kpad * 4);
	pairs = ws_get(ws, WS_PAIRS, (size_t)nr * kpad * 2);
	tmp = ws_get(ws, WS_TMP, x1_mm_tmp_floats(m, mr > nr ? mr : nr) * 4);
	if (!a || !b || !rows || !pairs || !tmp)
		return -1;
	for (uint32_t i0 = 0; i0 < mpad; i0 += mr) {
		x1_mm_unpack_rows(m, false, i0, mr, rows, kpad, false, tmp);
		j->path->to_i16(rows, a + (size_t)i0 * kpad, (size_t)mr * kpad);
	}
	for (uint32_t c = 0; c < nr; c++)
		row[c] = pairs + (size_t)c * kpad;
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		x1_mm_unpack_rows(m, true, j0, nr, rows, kpad, false, tmp);
		j->path->to_i16(rows, pairs, (size_t)nr * kpad);
		j->path->transpose(row, b, kpad / 2);
		for (uint32_t k = 0, end; k < kpad; k = end) {
			end = stretch_end(j, k);
			if (j->sblock)
				get_column_scales(j, j0, k, &sb);
			for (uint32_t i0 = 0; i0 < m->m; i0 += mr) {
				struct x1_mm_itile t = {.b = b + (size_t)k * nr,
							.acc = tile.i,
							.acc_stride = nr,
							.k = end - k};

				for (uint32_t r = 0; r < mr; r++)
					t.a[r] = a + (size_t)(i0 + r) * kpad + k;
				load_tile(j, i0, j0, &tile, k || m->accumulate);
				if (j->sblock)
					scaled_ints(j, &t, tile.f, i0, k, &sb);
				else
					j->path->ints(&t);
				if (j->sblock && end == kpad)
					j->path->canonical(tile.f, (size_t)mr * nr);
				store_tile(j, i0, j0, &tile);
			}
		}
	}
	return 0;
}

int x1_mm(const struct x1_mm_args *m, struct x1_mm_ws *ws)
{
	struct job j = {.m = m, .path = x1_mm_path(), .wide = x1_mm_is_wide(m)};
	uint32_t saved;
	int ret;

	j.sblock = x1_mm_joint_block(m);
	j.block = m->a.scale == X1_SCALE_NV16 || m->b.scale == X1_SCALE_NV16 ? 16 : 32;
	j.kpad = (m->k + j.block - 1) / j.block * j.block;
	if (x1_mm_can_fold(m)) {
		j.fold = true;
		j.sblock = 0;
	}
	saved = x1_fp_enter();
	ret = x1_format_is_int(m->a.fmt) ? mm_int(&j, ws) : mm_float(&j, ws);
	x1_fp_leave(saved);
	return ret;
}
