// SPDX-License-Identifier: MIT
/*
 * Matrix product: operands to panels, tiles to the host path.
 *
 * A becomes m rows of k elements, B panels of nr columns, both padded with +0;
 * a tile of mr x nr accumulators then runs through the path's kernel. Stretches
 * of KC elements of k keep B's part in the L1 cache.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	WS_SCALES,
	WS_COUNT
};

struct x1_mm_ws {
	void *buf[WS_COUNT];
	size_t size[WS_COUNT];
};

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

/*
 * Scales: those of A's rows for all its blocks, `rows` a block, and those of a
 * panel's columns for one block. Exact ones too: E8M0's 2^-127 is no FP32
 * number without subnormals.
 */
struct scales {
	double *a, b[X1_MM_MAX_NR];
	float *a32, b32[X1_MM_MAX_NR];
	uint32_t rows;
};

/* Number of scale blocks of A that the instruction meets. */
static uint32_t a_blocks(const struct job *j)
{
	return scale_index(j, &j->m->a, j->kpad - 1) + 1;
}

static int get_row_scales(const struct job *j, struct x1_mm_ws *ws, struct scales *s)
{
	size_t num;

	s->rows = (j->m->m + j->kernel->mr - 1) / j->kernel->mr * j->kernel->mr;
	num = (size_t)a_blocks(j) * s->rows;
	s->a = ws_get(ws, WS_SCALES, num * (sizeof(double) + sizeof(float)));
	if (!s->a)
		return -1;
	s->a32 = (float *)(s->a + num);
	for (uint32_t i = 0; i < a_blocks(j); i++)
		x1_mm_scales_at(&j->m->a, j->m->m, 0, s->rows, i, s->a + (size_t)i * s->rows,
				s->a32 + (size_t)i * s->rows);
	return 0;
}

static void get_column_scales(const struct job *j, uint32_t j0, uint32_t k, struct scales *s)
{
	x1_mm_scales_at(&j->m->b, j->m->n, j0, j->path->nr, scale_index(j, &j->m->b, k), s->b,
			s->b32);
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
static void scaled_block(const struct job *j, const struct x1_mm_tile *t, uint32_t i0, uint32_t k,
			 const struct scales *s)
{
	const uint32_t mr = j->kernel->mr, nr = j->path->nr;
	const size_t a = (size_t)scale_index(j, &j->m->a, k) * s->rows + i0;
	struct x1_mm_tile part = *t;
	float *acc = t->acc;
	union accs p;

	memset(&p, 0, (size_t)mr * nr * 4);
	part.acc = &p;
	part.acc_stride = nr * 4;
	j->kernel->run(&part);
	if (j->ints)
		for (uint32_t i = 0; i < mr * nr; i++)
			p.f[i] = (float)p.i[i];
	if (j->m->a.scale == X1_SCALE_MX32 || j->m->b.scale == X1_SCALE_MX32)
		j->path->scale_exact(acc, t->acc_stride, p.f, mr, s->a + a, s->b);
	else
		j->path->scale(acc, t->acc_stride, p.f, mr, s->a32 + a, s->b32);
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
static void run_tile(const struct job *j, const uint8_t *a, const uint8_t *b, const int32_t *sums,
		     uint32_t i0, uint32_t j0, uint32_t k, uint32_t end, const struct scales *s)
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
			       .rows = m->m - i0 < mr ? m->m - i0 : mr,
			       .block = j->block,
			       .sums = sums};

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
		scaled_block(j, &t, i0, k, s);
	else
		j->kernel->run(&t);
	if (end == j->kpad && (!j->ints || j->sblock))
		j->path->canonical(t.acc, t.acc_stride, mr);
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
	const enum x1_mm_elem elem = j->kernel->elem;
	const size_t bytes = (size_t)j->pitch * x1_mm_elem_bytes(elem);
	struct x1_mm_rows to = {.elem = elem, .fold = j->fold, .pitch = j->pitch};
	int32_t sums[X1_MM_MAX_NR];
	uint8_t *a, *b, *rows, *tmp;
	struct scales s;

	a = ws_get(ws, WS_A, (m->m + mr) * bytes);
	b = ws_get(ws, WS_B, nr * bytes);
	rows = ws_get(ws, WS_ROWS, nr * bytes);
	tmp = ws_get(ws, WS_TMP, x1_mm_tmp_bytes(m, j->pitch));
	if (!a || !b || !rows || !tmp || (j->sblock && get_row_scales(j, ws, &s)))
		return -1;
	if (!m->accumulate)
		for (uint32_t i = 0; i < m->m; i++)
			memset(acc_at(j, i, 0), 0, (size_t)m->n * 4);
	to.offset = j->kernel->sums;
	unpack_a(j, &to, a, tmp);
	to.offset = false;
	if (j->path->begin && elem != X1_MM_F32)
		j->path->begin(j->block * x1_mm_elem_bytes(elem));
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		unpack_b(j, &to, j0, rows, b, tmp);
		for (uint32_t k = 0, end; k < j->kpad; k = end) {
			end = stretch_end(j, k);
			if (j->sblock)
				get_column_scales(j, j0, k, &s);
			if (j->kernel->sums)
				j->kernel->sums(b + (size_t)k * nr * x1_mm_elem_bytes(elem),
						end - k, sums);
			for (uint32_t i0 = 0; i0 < m->m; i0 += mr)
				run_tile(j, a, b, sums, i0, j0, k, end, &s);
		}
	}
	if (j->path->end && elem != X1_MM_F32)
		j->path->end();
	return 0;
}

/* FP32 operands whose rows are whole blocks, where the host flushes as it reads. */
static bool in_place(const struct job *j, const struct x1_mm_operand *op)
{
	return j->path->flushes && op->fmt == X1_FMT_FP32 && !op->trans && !op->group &&
	       j->kpad == j->m->k;
}

static const struct x1_mm_kernel *kernel_of(const struct x1_mm_path *path,
					    const struct x1_mm_args *m)
{
	if (x1_format_is_int(m->a.fmt))
		return &path->ints;
	if (x1_mm_is_wide(m))
		return &path->fma;
	return path->bf16.run && x1_mm_is_bf16(m) ? &path->bf16 : &path->blocks;
}

static const struct x1_mm_peak *peak_of(enum x1_format fmt)
{
	const struct x1_mm_args m = {.a.fmt = fmt, .b.fmt = fmt};

	return &kernel_of(x1_mm_path(), &m)->peak;
}

const char *x1_num_peak_insn(enum x1_format fmt)
{
	return peak_of(fmt)->insn;
}

double x1_num_peak(enum x1_format fmt, unsigned int ms)
{
	const struct x1_mm_peak *peak = peak_of(fmt);
	const uint64_t rounds = 20000;
	struct timespec a, b;
	double ops = 0, s;

	clock_gettime(CLOCK_MONOTONIC, &a);
	do {
		peak->run(rounds);
		ops += (double)rounds * peak->ops;
		clock_gettime(CLOCK_MONOTONIC, &b);
		s = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	} while (s * 1000 < ms);
	return ops / s;
}

int x1_mm(const struct x1_mm_args *m, struct x1_mm_ws *ws)
{
	const struct x1_mm_path *path = x1_mm_path();
	struct job j = {.m = m, .path = path, .ints = x1_format_is_int(m->a.fmt)};
	uint32_t saved;
	int ret;

	j.kernel = kernel_of(path, m);
	j.sblock = x1_mm_joint_block(m);
	j.block = m->a.scale == X1_SCALE_NV16 || m->b.scale == X1_SCALE_NV16 ? 16 : 32;
	if (j.ints && !j.sblock)
		j.block = PITCH_STEP;
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
