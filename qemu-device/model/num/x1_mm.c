// SPDX-License-Identifier: MIT
/*
 * Matrix product: legality, operands to host panels, tiles to the host path.
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

#include "x1_flush.h"
#include "x1_mm_path.h"

#define KC 256

/* Buffers of a workspace. */
enum {
	WS_A,
	WS_B,
	WS_ROWS,
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

/* ---- formats, scales and sparsity ---- */

static bool is_wide(enum x1_format f)
{
	return f == X1_FMT_FP32 || f == X1_FMT_TF32;
}

static bool scale_takes(enum x1_scale_mode s, enum x1_format f)
{
	switch (s) {
	case X1_SCALE_NONE:
		return true;
	case X1_SCALE_F32_1X128:
	case X1_SCALE_F32_128X128:
		return !is_wide(f);
	case X1_SCALE_MX32:
		return x1_format_bits(f) <= 8 && f != X1_FMT_INT4;
	case X1_SCALE_NV16:
		return f == X1_FMT_E2M1;
	default:
		return false;
	}
}

/* Modes of one family meet at common block boundaries. */
static unsigned int scale_family(enum x1_scale_mode s)
{
	return s == X1_SCALE_F32_128X128 ? X1_SCALE_F32_1X128 : s;
}

enum x1_fault x1_mm_legal(enum x1_format a, enum x1_format b, enum x1_scale_mode sa,
			  enum x1_scale_mode sb, enum x1_sparsity sparsity)
{
	if (!x1_format_rate(a) || !x1_format_rate(b) || sa >= X1_SCALE_COUNT ||
	    sb >= X1_SCALE_COUNT || sparsity >= X1_SPARSE_COUNT)
		return X1_FAULT_FORMAT;
	if (x1_format_is_int(a) != x1_format_is_int(b))
		return X1_FAULT_FORMAT;
	if (!scale_takes(sa, a) || !scale_takes(sb, b))
		return X1_FAULT_FORMAT;
	if ((sa || sb) && (is_wide(a) || is_wide(b)))
		return X1_FAULT_FORMAT;
	if (sa && sb && scale_family(sa) != scale_family(sb))
		return X1_FAULT_FORMAT;
	if (sparsity && (is_wide(b) || is_wide(a)))
		return X1_FAULT_FORMAT;
	return X1_FAULT_NONE;
}

uint32_t x1_sparse_group(enum x1_sparsity s)
{
	static const uint8_t group[X1_SPARSE_COUNT] = {1, 4, 4, 8, 8, 16};

	return group[s];
}

static uint32_t sparse_kept(enum x1_sparsity s)
{
	static const uint8_t kept[X1_SPARSE_COUNT] = {1, 2, 1, 2, 1, 2};

	return kept[s];
}

uint32_t x1_sparse_stored(enum x1_sparsity s, uint32_t k)
{
	uint32_t group = x1_sparse_group(s);

	return (k + group - 1) / group * sparse_kept(s);
}

uint32_t x1_sparse_index_bits(enum x1_sparsity s)
{
	static const uint8_t bits[X1_SPARSE_COUNT] = {0, 2, 2, 3, 3, 4};

	return bits[s];
}

static uint32_t scale_block(enum x1_scale_mode s)
{
	static const uint8_t block[X1_SCALE_COUNT] = {0, 128, 128, 32, 16};

	return block[s];
}

uint32_t x1_scale_row_bytes(enum x1_scale_mode s, uint32_t k)
{
	uint32_t each = s == X1_SCALE_F32_1X128 || s == X1_SCALE_F32_128X128 ? 4 : 1;

	/* One more: the first block may be entered in its middle. */
	return s ? (k / scale_block(s) + 1) * each : 0;
}

/* ---- operands ---- */

static const uint8_t *row_at(const struct x1_mm_operand *op, uint32_t r)
{
	if (!op->group)
		return op->base + (int64_t)r * op->stride;
	return op->base + (int64_t)(r % op->group) * op->stride +
	       (int64_t)(r / op->group) * op->gstride;
}

static uint32_t sparse_index(const uint8_t *meta, uint32_t bits, uint32_t i)
{
	uint32_t v = 0;

	for (uint32_t b = 0; b < bits; b++)
		v |= (uint32_t)(meta[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b;
	return v;
}

/* A MATRIX operand's FP32 value: TF32 drops its low bits. */
static void mask_tf32(enum x1_format fmt, float *v, size_t n)
{
	if (fmt != X1_FMT_TF32)
		return;
	for (size_t i = 0; i < n; i++)
		v[i] = x1_bits_f32(x1_f32_bits(v[i]) & ~0x1fffu);
}

static void unpack_row(enum x1_format fmt, const uint8_t *src, float *dst, uint32_t n)
{
	if (!x1_mm_path()->unpack(fmt, src, dst, n))
		x1_unpack_f32(fmt, src, 0, dst, n);
	mask_tf32(fmt, dst, n);
}

/* Stored elements of a sparse row to their places; dst is zeroed. */
static void scatter_row(const struct x1_mm_args *m, uint32_t row, const float *stored, float *dst)
{
	uint32_t kept = sparse_kept(m->sparsity), group = x1_sparse_group(m->sparsity);
	uint32_t bits = x1_sparse_index_bits(m->sparsity);
	const uint8_t *meta = m->meta + (int64_t)row * m->meta_stride;

	for (uint32_t i = 0; i < x1_sparse_stored(m->sparsity, m->k); i++) {
		uint32_t k = i / kept * group + sparse_index(meta, bits, i);

		if (k < m->k)
			dst[k] = stored[i];
	}
}

/*
 * Rows [first, first + count) of an operand to FP32 rows of kpad values;
 * rows beyond `rows` become zeros.
 */
static void unpack_rows(const struct x1_mm_args *m, bool is_b, uint32_t first, uint32_t count,
			uint32_t rows, float *dst, uint32_t kpad, float *tmp)
{
	const struct x1_mm_operand *op = is_b ? &m->b : &m->a;
	enum x1_sparsity sparse = is_b ? m->sparsity : X1_SPARSE_NONE;
	uint32_t stored = sparse ? x1_sparse_stored(sparse, m->k) : m->k;
	uint32_t live = first >= rows ? 0 : rows - first < count ? rows - first : count;

	memset(dst, 0, (size_t)count * kpad * sizeof(float));
	if (op->trans) {
		/* Line k holds element k of every row. */
		for (uint32_t k = 0; k < stored; k++) {
			x1_unpack_f32(op->fmt, row_at(op, k), first, tmp, live);
			mask_tf32(op->fmt, tmp, live);
			for (uint32_t r = 0; r < live; r++) {
				if (sparse)
					dst[(size_t)count * kpad + (size_t)r * stored + k] = tmp[r];
				else
					dst[(size_t)r * kpad + k] = tmp[r];
			}
		}
		for (uint32_t r = 0; sparse && r < live; r++)
			scatter_row(m, first + r, dst + (size_t)count * kpad + (size_t)r * stored,
				    dst + (size_t)r * kpad);
		return;
	}
	for (uint32_t r = 0; r < live; r++) {
		if (sparse) {
			unpack_row(op->fmt, row_at(op, first + r), tmp, stored);
			scatter_row(m, first + r, tmp, dst + (size_t)r * kpad);
		} else {
			unpack_row(op->fmt, row_at(op, first + r), dst + (size_t)r * kpad, m->k);
		}
	}
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

/* ---- scales ---- */

/* One operand's scale of a row and a block, as FP32 or as a power of two. */
struct scale_value {
	float f;
	int exp; /* MX32: unbiased sum of exponents */
	bool nan;
};

static struct scale_value scale_at(const struct x1_mm_operand *op, uint32_t row, uint32_t idx)
{
	struct scale_value v = {.f = 1.0f};
	const uint8_t *p = op->scales;
	float f;

	switch (op->scale) {
	case X1_SCALE_F32_1X128:
	case X1_SCALE_F32_128X128:
		if (op->scale == X1_SCALE_F32_128X128)
			row /= 128;
		memcpy(&f, p + (int64_t)row * op->scale_stride + idx * 4, 4);
		v.f = x1_flush(f);
		break;
	case X1_SCALE_MX32: {
		uint8_t e = p[(int64_t)row * op->scale_stride + idx];

		v.nan = e == 0xff;
		v.exp = (int)e - 127;
		break;
	}
	case X1_SCALE_NV16:
		v.f = x1_decode(X1_FMT_E4M3, p[(int64_t)row * op->scale_stride + idx]);
		break;
	default:
		break;
	}
	return v;
}

static float scale_product(struct scale_value a, struct scale_value b, bool mx)
{
	int e = a.exp + b.exp;

	if (!mx)
		return x1_mul(a.f, b.f);
	if (a.nan || b.nan)
		return x1_bits_f32(X1_CANONICAL_NAN);
	if (e > 127)
		return x1_bits_f32(0x7f800000u);
	return e < -126 ? 0.0f : x1_bits_f32((uint32_t)(e + 127) << 23);
}

/* ---- tiles ---- */

struct job {
	const struct x1_mm_args *m;
	const struct x1_mm_path *path;
	uint32_t block, kpad;
	uint32_t sblock; /* 0 = no scales */
	bool wide;
};

static void scaled_block(const struct job *j, struct x1_mm_tile *t, uint32_t i0, uint32_t j0,
			 uint32_t idx)
{
	float p[X1_MM_MAX_MR * X1_MM_MAX_NR], s[X1_MM_MAX_MR * X1_MM_MAX_NR];
	const struct x1_mm_args *m = j->m;
	bool mx = m->a.scale == X1_SCALE_MX32 || m->b.scale == X1_SCALE_MX32;
	float *acc = t->acc;
	struct scale_value sb[X1_MM_MAX_NR];

	for (uint32_t c = 0; c < j->path->nr; c++)
		sb[c] = scale_at(&m->b, j0 + c < m->n ? j0 + c : m->n - 1, idx);
	for (uint32_t r = 0; r < j->path->mr; r++) {
		struct scale_value sa = scale_at(&m->a, i0 + r < m->m ? i0 + r : m->m - 1, idx);

		for (uint32_t c = 0; c < j->path->nr; c++)
			s[r * j->path->nr + c] = scale_product(sa, sb[c], mx);
	}
	memset(p, 0, sizeof(p));
	t->acc = p;
	j->path->blocks(t);
	t->acc = acc;
	j->path->scale(acc, p, s, (size_t)j->path->mr * j->path->nr);
}

/* Run a tile over [k, k + len) of the panel, which starts at k_panel. */
static void run_tile(const struct job *j, const float *a, const float *b, float *acc, uint32_t i0,
		     uint32_t j0, uint32_t k, uint32_t len)
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
		scaled_block(j, &t, i0, j0, (j->m->k0 + k) / j->sblock - j->m->k0 / j->sblock);
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
	size_t longest = m->k > m->m ? m->k : m->m;
	float *a, *b, *rows, tile[X1_MM_MAX_MR * X1_MM_MAX_NR];
	const float *row[X1_MM_MAX_NR];

	if (longest < nr)
		longest = nr;
	a = ws_get(ws, WS_A, (size_t)mpad * j->kpad * 4);
	b = ws_get(ws, WS_B, (size_t)nr * j->kpad * 4);
	/* Rows, stored rows of a sparse transposed B, and one line. */
	rows = ws_get(ws, WS_ROWS, ((size_t)nr * 2 * (j->kpad + 32) + longest) * 4);
	if (!a || !b || !rows)
		return -1;
	unpack_rows(m, false, 0, mpad, m->m, a, j->kpad, rows + (size_t)nr * 2 * (j->kpad + 32));
	for (uint32_t c = 0; c < nr; c++)
		row[c] = rows + (size_t)c * j->kpad;
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		unpack_rows(m, true, j0, nr, m->n, rows, j->kpad,
			    rows + (size_t)nr * 2 * (j->kpad + 32));
		j->path->transpose(row, b, j->kpad);
		for (uint32_t k = 0, end; k < j->kpad; k = end) {
			end = stretch_end(j, k);
			for (uint32_t i0 = 0; i0 < m->m; i0 += mr) {
				load_tile(j, i0, j0, tile, k || m->accumulate);
				run_tile(j, a, b, tile, i0, j0, k, end - k);
				if (end == j->kpad)
					j->path->canonical(tile, (size_t)mr * nr);
				store_tile(j, i0, j0, tile);
			}
		}
	}
	return 0;
}

/* ---- integers ---- */

static void to_i16(const float *src, int16_t *dst, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (int16_t)src[i];
}

/* One scale block of integers: exact INT32, then RN to FP32 and the same fma. */
static void scaled_ints(const struct job *j, struct x1_mm_itile *t, float *acc, uint32_t i0,
			uint32_t j0, uint32_t idx)
{
	int32_t p[X1_MM_MAX_MR * X1_MM_MAX_NR] = {0};
	const struct x1_mm_args *m = j->m;
	bool mx = m->a.scale == X1_SCALE_MX32 || m->b.scale == X1_SCALE_MX32;

	t->acc = p;
	j->path->ints(t);
	for (uint32_t r = 0; r < j->path->mr; r++) {
		struct scale_value sa = scale_at(&m->a, i0 + r < m->m ? i0 + r : m->m - 1, idx);

		for (uint32_t c = 0; c < j->path->nr; c++) {
			struct scale_value sb = scale_at(&m->b, j0 + c < m->n ? j0 + c : m->n - 1,
							 idx);
			uint32_t i = r * j->path->nr + c;

			acc[i] = x1_fma((float)p[i], scale_product(sa, sb, mx), acc[i]);
		}
	}
}

static int mm_int(const struct job *j, struct x1_mm_ws *ws)
{
	const struct x1_mm_args *m = j->m;
	uint32_t mr = j->path->mr, nr = j->path->nr, kpad = j->kpad;
	uint32_t mpad = (m->m + mr - 1) / mr * mr;
	size_t longest = m->k > m->m ? m->k : m->m;
	union {
		int32_t i[X1_MM_MAX_MR * X1_MM_MAX_NR];
		float f[X1_MM_MAX_MR * X1_MM_MAX_NR];
	} tile;
	int16_t *a, *b;
	float *rows;

	if (longest < nr)
		longest = nr;
	a = ws_get(ws, WS_A, (size_t)mpad * kpad * 2);
	b = ws_get(ws, WS_B, (size_t)nr * kpad * 2);
	rows = ws_get(ws, WS_ROWS, ((size_t)nr * 2 * (kpad + 32) + longest) * 4);
	if (!a || !b || !rows)
		return -1;
	for (uint32_t i0 = 0; i0 < mpad; i0 += mr) {
		unpack_rows(m, false, i0, mr, m->m, rows, kpad,
			    rows + (size_t)nr * 2 * (kpad + 32));
		to_i16(rows, a + (size_t)i0 * kpad, (size_t)mr * kpad);
	}
	for (uint32_t j0 = 0; j0 < m->n; j0 += nr) {
		unpack_rows(m, true, j0, nr, m->n, rows, kpad, rows + (size_t)nr * 2 * (kpad + 32));
		for (uint32_t c = 0; c < nr; c++)
			for (uint32_t k = 0; k < kpad; k++)
				b[((size_t)(k / 2) * nr + c) * 2 + k % 2] =
					(int16_t)rows[(size_t)c * kpad + k];
		for (uint32_t i0 = 0; i0 < m->m; i0 += mr) {
			load_tile(j, i0, j0, &tile, m->accumulate);
			for (uint32_t k = 0, end; k < kpad; k = end) {
				struct x1_mm_itile t = {
					.b = b + (size_t)k * nr, .acc = tile.i, .acc_stride = nr};

				end = j->sblock ? stretch_end(j, k) : kpad;
				t.k = end - k;
				for (uint32_t r = 0; r < mr; r++)
					t.a[r] = a + (size_t)(i0 + r) * kpad + k;
				if (j->sblock)
					scaled_ints(j, &t, tile.f, i0, j0,
						    (m->k0 + k) / j->sblock - m->k0 / j->sblock);
				else
					j->path->ints(&t);
			}
			if (j->sblock)
				j->path->canonical(tile.f, (size_t)mr * nr);
			store_tile(j, i0, j0, &tile);
		}
	}
	return 0;
}

int x1_mm(const struct x1_mm_args *m, struct x1_mm_ws *ws)
{
	enum x1_scale_mode scale = m->a.scale ? m->a.scale : m->b.scale;
	struct job j = {.m = m, .path = x1_mm_path(), .block = scale == X1_SCALE_NV16 ? 16 : 32};
	uint32_t saved;
	int ret;

	j.kpad = (m->k + j.block - 1) / j.block * j.block;
	j.sblock = scale_block(scale);
	j.wide = is_wide(m->a.fmt) || is_wide(m->b.fmt);
	saved = x1_fp_enter();
	ret = x1_format_is_int(m->a.fmt) ? mm_int(&j, ws) : mm_float(&j, ws);
	x1_fp_leave(saved);
	return ret;
}
