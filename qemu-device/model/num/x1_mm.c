// SPDX-License-Identifier: MIT
/*
 * Matrix product: choice of the host path, operands to panels, tiles to the path.
 *
 * A becomes m rows of k elements, B panels of nr columns, both padded with +0;
 * a tile of mr x nr accumulators then runs through the path's kernel. Stretches
 * of KC elements of k keep B's part in the L1 cache.
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

#define KC         256 /* elements of 4 bytes */
#define PITCH_STEP 64  /* 16 groups of four bytes */

/* Buffers of a workspace. */
enum {
	WS_A,
	WS_B,
	WS_ROWS,
	WS_TMP,
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
	const struct x1_mm_kernel *kernel;
	uint32_t block, kpad;
	uint32_t pitch;  /* elements from row to row of what is converted */
	uint32_t sblock; /* 0 = no scales, or folded ones */
	bool ints, fold;
	bool a_in_place, b_in_place, b_lines;
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

	for (uint32_t r = 0; r < j->kernel->mr; r++, s += nr) {
		double sa = x1_mm_scale_at(&m->a, i0 + r < m->m ? i0 + r : m->m - 1, idx);

		/* E8M0's 2^-127 is no FP32 number without subnormals. */
		if (m->a.scale == X1_SCALE_MX32 || m->b.scale == X1_SCALE_MX32)
			for (uint32_t c = 0; c < nr; c++)
				s[c] = x1_mm_scale_product(sa, sb->s[c]);
		else
			j->path->mul(s, (float)sa, sb->f);
	}
}

/* A tile of accumulators. */
union accs {
	int32_t i[X1_MM_MAX_MR * X1_MM_MAX_NR];
	float f[X1_MM_MAX_MR * X1_MM_MAX_NR];
};

/*
 * One scale block of a tile: p over the block from +0 (integers: exact INT32,
 * then RN to FP32), then acc = fma(p, s, acc).
 */
static void scaled_block(const struct job *j, struct x1_mm_tile *t, uint32_t i0, uint32_t k,
			 const struct column_scales *sb)
{
	const uint32_t mr = j->kernel->mr, nr = j->path->nr;
	union accs p;
	float s[X1_MM_MAX_MR * X1_MM_MAX_NR];
	uint8_t *acc = t->acc;
	size_t acc_stride = t->acc_stride;

	memset(&p, 0, (size_t)mr * nr * 4);
	t->acc = &p;
	t->acc_stride = nr * 4;
	j->kernel->run(t);
	if (j->ints)
		for (uint32_t i = 0; i < mr * nr; i++)
			p.f[i] = (float)p.i[i];
	tile_scales(j, i0, k, sb, s);
	for (uint32_t r = 0; r < mr; r++)
		j->path->scale((float *)(acc + r * acc_stride), p.f + r * nr, s + r * nr, nr);
	t->acc = acc;
	t->acc_stride = acc_stride;
}

static uint8_t *acc_at(const struct job *j, uint32_t i, uint32_t c)
{
	return (uint8_t *)j->m->acc + (int64_t)i * j->m->acc_stride + (size_t)c * 4;
}

static uint32_t live_cols(const struct job *j, uint32_t j0)
{
	return j->m->n - j0 < j->path->nr ? j->m->n - j0 : j->path->nr;
}

static void load_tile(const struct job *j, uint32_t i0, uint32_t j0, uint8_t *tile)
{
	uint32_t nr = j->path->nr;

	memset(tile, 0, (size_t)j->kernel->mr * nr * 4);
	for (uint32_t r = 0; r < j->kernel->mr && i0 + r < j->m->m; r++)
		memcpy(tile + (size_t)r * nr * 4, acc_at(j, i0 + r, j0), live_cols(j, j0) * 4);
}

static void store_tile(const struct job *j, uint32_t i0, uint32_t j0, const uint8_t *tile)
{
	uint32_t nr = j->path->nr;

	for (uint32_t r = 0; r < j->kernel->mr && i0 + r < j->m->m; r++)
		memcpy(acc_at(j, i0 + r, j0), tile + (size_t)r * nr * 4, live_cols(j, j0) * 4);
}

/* End of the stretch of k that starts at k: a panel, or a scale block. */
static uint32_t stretch_end(const struct job *j, uint32_t k)
{
	uint32_t kc = KC * 4 / x1_mm_elem_bytes(j->kernel->elem), end = k + kc - k % kc;

	if (j->sblock)
		end = k + j->sblock - (j->m->k0 + k) % j->sblock;
	return end < j->kpad ? end : j->kpad;
}

/* A tile over [k, end). Whole ones add to the accumulators themselves. */
static void run_tile(const struct job *j, const uint8_t *a, const uint8_t *b, uint32_t i0,
		     uint32_t j0, uint32_t k, uint32_t end, const struct column_scales *sb)
{
	const struct x1_mm_args *m = j->m;
	const uint32_t mr = j->kernel->mr, nr = j->path->nr;
	const uint32_t elem = x1_mm_elem_bytes(j->kernel->elem);
	const bool whole = m->m - i0 >= mr && m->n - j0 >= nr;
	_Alignas(64) union accs tile;
	struct x1_mm_tile t = {.a = a + (size_t)i0 * j->pitch * elem + (size_t)k * elem,
			       .a_stride = (size_t)j->pitch * elem,
			       .b = b + (size_t)k * nr * elem,
			       .acc = &tile,
			       .acc_stride = nr * 4,
			       .k = end - k,
			       .block = j->block};

	if (j->a_in_place && m->m - i0 >= mr) {
		t.a = m->a.base + (int64_t)i0 * m->a.stride + (size_t)k * elem;
		t.a_stride = (size_t)m->a.stride;
	}
	if (whole) {
		t.acc = acc_at(j, i0, j0);
		t.acc_stride = (size_t)m->acc_stride;
	} else {
		load_tile(j, i0, j0, (uint8_t *)&tile);
	}
	if (j->sblock)
		scaled_block(j, &t, i0, k, sb);
	else
		j->kernel->run(&t);
	if (end == j->kpad && (!j->ints || j->sblock))
		for (uint32_t r = 0; r < mr; r++)
			j->path->canonical((float *)((uint8_t *)t.acc + r * t.acc_stride));
	if (!whole)
		store_tile(j, i0, j0, (const uint8_t *)&tile);
}

/* All rows of A, or of those used in place the ragged rest. */
static void unpack_a(const struct job *j, const struct x1_mm_rows *to, uint8_t *a, void *tmp)
{
	const uint32_t mr = j->kernel->mr, mpad = (j->m->m + mr - 1) / mr * mr;
	uint32_t i0 = j->a_in_place ? j->m->m / mr * mr : 0;

	for (uint32_t count; i0 < mpad; i0 += count) {
		count = mpad - i0 < X1_MM_BATCH ? mpad - i0 : X1_MM_BATCH;
		x1_mm_unpack_rows(j->m, false, i0, count, to,
				  a + (size_t)i0 * j->pitch * x1_mm_elem_bytes(to->elem), tmp);
	}
}

/* The panel of columns from j0. */
static void unpack_b(const struct job *j, const struct x1_mm_rows *to, uint32_t j0, uint8_t *rows,
		     void *b, void *tmp)
{
	const struct x1_mm_args *m = j->m;
	const uint32_t nr = j->path->nr, bytes = j->pitch * x1_mm_elem_bytes(to->elem);
	const void *row[X1_MM_MAX_NR];

	if (j->b_lines) {
		x1_mm_unpack_lines(m, j0, nr, nr, j->pitch, b);
		return;
	}
	if (j->b_in_place && m->n - j0 >= nr) {
		for (uint32_t c = 0; c < nr; c++)
			row[c] = x1_mm_row_at(&m->b, j0 + c);
		j->path->transpose(row, b, j->kpad);
		return;
	}
	x1_mm_unpack_rows(m, true, j0, nr, to, rows, tmp);
	for (uint32_t c = 0; c < nr; c++)
		row[c] = rows + (size_t)c * bytes;
	j->path->transpose(row, b, bytes / 4);
}

static int product(const struct job *j, struct x1_mm_ws *ws)
{
	const struct x1_mm_args *m = j->m;
	const uint32_t mr = j->kernel->mr, nr = j->path->nr;
	const size_t bytes = (size_t)j->pitch * x1_mm_elem_bytes(j->kernel->elem);
	struct x1_mm_rows to = {.elem = j->kernel->elem, .fold = j->fold, .pitch = j->pitch};
	uint8_t *a, *b, *rows, *tmp;
	struct column_scales sb;

	a = ws_get(ws, WS_A, (m->m + mr) * bytes);
	b = ws_get(ws, WS_B, nr * bytes);
	rows = ws_get(ws, WS_ROWS, nr * bytes);
	tmp = ws_get(ws, WS_TMP, x1_mm_tmp_bytes(m, j->pitch));
	if (!a || !b || !rows || !tmp)
		return -1;
	if (!m->accumulate)
		for (uint32_t i = 0; i < m->m; i++)
			memset(acc_at(j, i, 0), 0, (size_t)m->n * 4);
	to.offset = j->kernel->a_offset;
	unpack_a(j, &to, a, tmp);
	to.offset = false;
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		unpack_b(j, &to, j0, rows, b, tmp);
		for (uint32_t k = 0, end; k < j->kpad; k = end) {
			end = stretch_end(j, k);
			if (j->sblock)
				get_column_scales(j, j0, k, &sb);
			for (uint32_t i0 = 0; i0 < m->m; i0 += mr)
				run_tile(j, a, b, i0, j0, k, end, &sb);
		}
	}
	return 0;
}

/* FP32 operands whose rows are whole blocks, where the host flushes as it reads. */
static bool in_place(const struct job *j, const struct x1_mm_operand *op)
{
	return j->path->flushes && op->fmt == X1_FMT_FP32 && !op->trans && !op->group &&
	       j->kpad == j->m->k;
}

int x1_mm(const struct x1_mm_args *m, struct x1_mm_ws *ws)
{
	const struct x1_mm_path *path = x1_mm_path();
	struct job j = {.m = m, .path = path, .ints = x1_format_is_int(m->a.fmt)};
	uint32_t saved;
	int ret;

	j.kernel = j.ints ? &path->ints : x1_mm_is_wide(m) ? &path->fma : &path->blocks;
	j.sblock = x1_mm_joint_block(m);
	j.block = m->a.scale == X1_SCALE_NV16 || m->b.scale == X1_SCALE_NV16 ? 16 : 32;
	j.kpad = (m->k + j.block - 1) / j.block * j.block;
	j.pitch = (j.kpad + PITCH_STEP - 1) / PITCH_STEP * PITCH_STEP;
	if (x1_mm_can_fold(m)) {
		j.fold = true;
		j.sblock = 0;
	}
	j.a_in_place = in_place(&j, &m->a);
	j.b_in_place = in_place(&j, &m->b) && !m->sparsity;
	j.b_lines = m->b.trans && !m->sparsity && !j.fold && j.kernel->elem == X1_MM_F32;
	saved = x1_fp_enter();
	ret = product(&j, ws);
	x1_fp_leave(saved);
	return ret;
}
