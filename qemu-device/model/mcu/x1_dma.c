// SPDX-License-Identifier: MIT
/*
 * LOAD, PREFETCH, STORE (manual: ISA, "Memory engines"). A transfer is a box
 * of up to five dimensions; dimension 0 is a row, moved as a whole where it is
 * contiguous, element by element where it is dilated.
 */
#include <math.h>
#include <string.h>

#include "x1_wg_int.h"

/* Fields by name, after the check. */
struct dma {
	uint32_t ctrl, ndim;
	uint32_t count[X1_DMA_MAX_DIMS];
	int64_t dil[X1_DMA_MAX_DIMS], origin[X1_DMA_MAX_DIMS], bound[X1_DMA_MAX_DIMS];
	int64_t mstride[X1_DMA_MAX_DIMS], lstride[X1_DMA_MAX_DIMS];
	unsigned int lbits, mbits; /* per element */
	enum x1_format lfmt, mfmt;
	bool convert;
};

static void unpack_fields(const struct x1_issue *is, struct dma *d)
{
	bool store = is->insn->op == X1_OP_STORE;

	d->ctrl = (uint32_t)is->f[X1_DMA_CTRL];
	d->ndim = X1_DMA_CTRL_GET_NDIM(d->ctrl);
	d->mstride[0] = d->lstride[0] = 0;
	for (uint32_t i = 0; i < X1_DMA_MAX_DIMS; i++) {
		d->count[i] = i < d->ndim ? (uint32_t)is->f[X1_DMA_COUNT0 + i] : 1;
		d->dil[i] = is->f[X1_DMA_DIL0 + i] ? is->f[X1_DMA_DIL0 + i] : 1;
		d->origin[i] = is->f[X1_DMA_ORIGIN0 + i];
		d->bound[i] = is->f[X1_DMA_BOUND0 + i];
		if (i) {
			d->mstride[i] = is->f[X1_DMA_MSTRIDE1 + i - 1];
			d->lstride[i] = is->f[X1_DMA_LSTRIDE1 + i - 1];
		}
	}
	d->lfmt = (enum x1_format)X1_DMA_CTRL_GET_LFMT(d->ctrl);
	d->mfmt = (enum x1_format)X1_DMA_CTRL_GET_MFMT(d->ctrl);
	d->convert = store && d->lfmt != d->mfmt;
	if (store) {
		d->lbits = x1_format_bits(d->lfmt);
		d->mbits = x1_format_bits(d->mfmt);
	} else {
		d->lbits = d->mbits = 8u << X1_DMA_CTRL_GET_ESIZE(d->ctrl);
	}
}

static bool in_bounds(const struct dma *d, uint32_t dim, int64_t c)
{
	return !d->bound[dim] || (c >= 0 && c < d->bound[dim]);
}

/* Values that keep every address computation far from overflow. */
static bool small(int64_t v)
{
	return v > -(1ll << 47) && v < 1ll << 47;
}

static bool bad(struct x1_wg *wg, const struct x1_issue *is, uint64_t value)
{
	uint32_t unit = is->insn->op == X1_OP_STORE ? X1_UNIT_STORE : X1_UNIT_LOAD;

	return x1_wg_raise(wg, X1_FAULT_OPERAND, unit, is->pc, value);
}

static uint64_t row_bits_ok(const struct dma *d, unsigned int bits)
{
	return (uint64_t)d->count[0] * bits % 8 == 0 && d->origin[0] * (int64_t)bits % 8 == 0 &&
	       d->bound[0] * (int64_t)bits % 8 == 0;
}

bool x1_dma_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost)
{
	bool store = is->insn->op == X1_OP_STORE, prefetch = is->insn->op == X1_OP_PREFETCH;
	uint64_t rows = 1, bytes, max_bytes = prefetch ? X1_PREFETCH_MAX_BYTES : X1_DMA_MAX_BYTES;
	uint64_t local;
	struct dma d;

	unpack_fields(is, &d);
	if (d.ctrl & X1_DMA_CTRL_RESERVED || is->f[X1_DMA_CTRL] >> 32 || !d.ndim ||
	    d.ndim > X1_DMA_MAX_DIMS || !d.lbits || !d.mbits)
		return bad(wg, is, (uint64_t)is->f[X1_DMA_CTRL]);
	if (!store &&
	    (d.ctrl & (X1_DMA_CTRL_NOSAT | X1_DMA_CTRL_LFMT(0xff) | X1_DMA_CTRL_MFMT(0xff))))
		return bad(wg, is, d.ctrl);
	for (uint32_t i = 0; i < d.ndim; i++) {
		int64_t count = is->f[X1_DMA_COUNT0 + i];

		if (count < 1 || count > (int64_t)X1_PREFETCH_MAX_BYTES)
			return bad(wg, is, (uint64_t)count);
		if (d.dil[i] <= -(1 << 23) || d.dil[i] >= 1 << 23 || !small(d.origin[i]) ||
		    !small(d.bound[i]) || d.bound[i] < 0 || !small(d.mstride[i]) ||
		    d.lstride[i] < 0 || d.lstride[i] > (int64_t)X1_SPAD_BYTES)
			return bad(wg, is, i);
		if (i)
			rows *= (uint64_t)count;
		if (rows > X1_DMA_MAX_ROWS)
			return bad(wg, is, rows);
	}
	/* Elements below a byte move in whole bytes, and are never dilated. */
	if ((d.lbits < 8 || d.mbits < 8) &&
	    (d.dil[0] != 1 || !row_bits_ok(&d, d.lbits) || !row_bits_ok(&d, d.mbits)))
		return bad(wg, is, d.count[0]);
	if (d.ctrl & X1_DMA_CTRL_GATHER &&
	    (d.ndim < 2 || is->rb < 0 || is->rb % 4 ||
	     !x1_wg_local(wg, is->rb, (uint64_t)d.count[1] * 4, false)))
		return bad(wg, is, (uint64_t)is->rb);
	bytes = rows * d.count[0] * (d.mbits > d.lbits ? d.mbits : d.lbits) / 8;
	if (bytes > max_bytes)
		return bad(wg, is, bytes);
	if (!prefetch) {
		local = (uint64_t)d.count[0] * d.lbits / 8;
		for (uint32_t i = 1; i < d.ndim; i++)
			local += (uint64_t)(d.count[i] - 1) * (uint64_t)d.lstride[i];
		if (!x1_wg_local(wg, is->rd, local, !store))
			return bad(wg, is, (uint64_t)is->rd);
	}

	bytes = rows * d.count[0] * d.mbits / 8;
	cost->local_bytes = (uint32_t)bytes;
	if (prefetch) {
		cost->cycles = (uint32_t)((bytes + 4095) / 4096);
		cost->flags = X1_TR_F_PREFETCH;
	} else if (store) {
		cost->cycles = (uint32_t)((bytes + X1_STORE_PORT - 1) / X1_STORE_PORT);
		cost->flags = X1_TR_F_WRITE;
	} else {
		cost->cycles = (uint32_t)((bytes + X1_LOAD_PORT - 1) / X1_LOAD_PORT);
	}
	return true;
}

/* ---- walk ---- */

/* Position in dimensions 1..4 with its addresses. */
struct cursor {
	uint32_t i[X1_DMA_MAX_DIMS];
	bool inside;
	uint64_t mem; /* of coordinate c_0 = 0 */
	int64_t local;
};

static int64_t coordinate(struct x1_wg *wg, const struct x1_issue *is, const struct dma *d,
			  uint32_t dim, uint32_t i)
{
	if (dim == 1 && d->ctrl & X1_DMA_CTRL_GATHER) {
		int32_t idx;

		memcpy(&idx, x1_wg_local(wg, is->rb + (int64_t)i * 4, 4, false), 4);
		return idx;
	}
	return d->origin[dim] + (int64_t)i * d->dil[dim];
}

static void locate(struct x1_wg *wg, const struct x1_issue *is, const struct dma *d,
		   struct cursor *c)
{
	c->inside = true;
	c->mem = (uint64_t)is->ra;
	c->local = is->rd;
	for (uint32_t k = 1; k < d->ndim; k++) {
		int64_t at = coordinate(wg, is, d, k, c->i[k]);

		if (!in_bounds(d, k, at))
			c->inside = false;
		c->mem += (uint64_t)at * (uint64_t)d->mstride[k];
		c->local += (int64_t)c->i[k] * d->lstride[k];
	}
}

/* Next row; false after the last. */
static bool next_row(const struct dma *d, struct cursor *c, uint32_t first_dim)
{
	for (uint32_t k = first_dim; k < d->ndim; k++) {
		if (++c->i[k] < d->count[k])
			return true;
		c->i[k] = 0;
	}
	return false;
}

/* The part [*lo, *hi) of a row whose elements are inside (dilation 1). */
static void row_range(const struct dma *d, uint32_t *lo, uint32_t *hi)
{
	int64_t a = 0, b = d->count[0];

	if (d->bound[0]) {
		if (d->origin[0] < 0)
			a = -d->origin[0] < b ? -d->origin[0] : b;
		if (d->bound[0] - d->origin[0] < b)
			b = d->bound[0] - d->origin[0] > a ? d->bound[0] - d->origin[0] : a;
	}
	*lo = (uint32_t)a;
	*hi = (uint32_t)b;
}

/* ---- transfer ---- */

/* A translated stretch of memory, reused while rows stay inside it. */
struct window {
	uint64_t dva, len;
	uint8_t *ptr;
	int64_t step;   /* to the next row */
	uint64_t reach; /* what to translate at once: all that the transfer spans, if it is not far
			 */
};

/* Roughly: a longer window costs a look at each page, a shorter one another translation. */
static uint64_t reach(const struct dma *d)
{
	double span = (double)d->count[0] * fabs((double)d->dil[0]) * d->mbits / 8;

	/* Gathered rows lie anywhere. */
	for (uint32_t k = d->ctrl & X1_DMA_CTRL_GATHER ? 2 : 1; k < d->ndim; k++)
		span += (double)(d->count[k] - 1) * fabs((double)d->mstride[k] * (double)d->dil[k]);
	return span < (double)X1_HUGE_SIZE ? (uint64_t)span : X1_HUGE_SIZE;
}

#define ROWS_AHEAD  8   /* that the host is told of: strided rows defeat its own prefetch */
#define AHEAD_BYTES 512 /* of each */

static void look_ahead(const struct window *w, uint64_t off, uint64_t len)
{
	uint64_t at = off + (uint64_t)(ROWS_AHEAD * w->step);

	if (at >= w->len || w->len - at < len)
		return;
	for (uint64_t i = 0; i < len && i < AHEAD_BYTES; i += 64)
		__builtin_prefetch(w->ptr + at + i);
}

static bool move(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is, struct window *w,
		 uint64_t dva, uint8_t *local, uint64_t len, bool write)
{
	struct x1_fault_rec rec = {0};
	uint32_t unit = write ? X1_UNIT_STORE : X1_UNIT_LOAD;
	uint64_t want = len > w->reach ? len : w->reach, huge = X1_HUGE_SIZE - dva % X1_HUGE_SIZE;
	int ret;

	if (w->ptr && dva >= w->dva && dva - w->dva < w->len && len <= w->len - (dva - w->dva)) {
		uint8_t *at = w->ptr + (dva - w->dva);

		if (write) {
			memcpy(at, local, len);
			x1_mem_dirty(mem, dva, at, len);
		} else {
			look_ahead(w, dva - w->dva, len);
			memcpy(local, at, len);
		}
		return true;
	}
	w->ptr = x1_mem_span(mem, dva, want < huge ? want : huge,
			     write ? X1_ACCESS_WRITE : X1_ACCESS_READ, &w->len, &rec);
	w->dva = dva;
	if (w->ptr && len <= w->len)
		return move(wg, mem, is, w, dva, local, len, write);
	w->ptr = NULL;
	ret = write ? x1_mem_write(mem, dva, local, len, &rec)
		    : x1_mem_read(mem, dva, local, len, &rec);
	return ret ? x1_wg_mem_fault(wg, &rec, unit, is->pc) : true;
}

static void pad(uint8_t *dst, uint64_t elems, unsigned int esize, uint64_t value)
{
	if (!value) {
		memset(dst, 0, elems * esize);
		return;
	}
	for (uint64_t i = 0; i < elems; i++)
		memcpy(dst + i * esize, &value, esize);
}

static uint64_t pad_value(const struct x1_issue *is, unsigned int esize)
{
	uint64_t v = (uint32_t)is->f[X1_DMA_PAD];

	return esize == 8 ? v | v << 32 : v;
}

static bool load_row(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
		     const struct dma *d, const struct cursor *c, struct window *w)
{
	unsigned int esize = d->lbits / 8;
	uint64_t value = pad_value(is, esize);
	uint8_t *dst = x1_wg_local(wg, c->local, (uint64_t)d->count[0] * esize, true);
	uint32_t lo, hi;

	if (!c->inside) {
		pad(dst, d->count[0], esize, value);
		return true;
	}
	if (d->dil[0] != 1) {
		for (uint32_t i = 0; i < d->count[0]; i++) {
			int64_t at = d->origin[0] + (int64_t)i * d->dil[0];

			if (!in_bounds(d, 0, at))
				pad(dst + (uint64_t)i * esize, 1, esize, value);
			else if (!move(wg, mem, is, w, c->mem + (uint64_t)(at * (int64_t)esize),
				       dst + (uint64_t)i * esize, esize, false))
				return false;
		}
		return true;
	}
	row_range(d, &lo, &hi);
	pad(dst, lo, esize, value);
	pad(dst + (uint64_t)hi * esize, d->count[0] - hi, esize, value);
	return hi == lo ||
	       move(wg, mem, is, w, c->mem + (uint64_t)((d->origin[0] + lo) * (int64_t)esize),
		    dst + (uint64_t)lo * esize, (uint64_t)(hi - lo) * esize, false);
}

/* Convert n elements from local element `first` of src into tmp bytes. */
static void convert(const struct x1_wg *wg, const struct dma *d, const uint8_t *src, uint32_t first,
		    uint32_t n, uint8_t *out)
{
	bool sat = !(d->ctrl & X1_DMA_CTRL_NOSAT);

	if (x1_format_is_int(d->lfmt) && x1_format_is_int(d->mfmt)) {
		int32_t *t = (int32_t *)wg->tmp;

		x1_unpack_i32(d->lfmt, src, first, t, n);
		x1_pack_i32(d->mfmt, sat, t, out, 0, n);
	} else {
		x1_unpack_f32(d->lfmt, src, first, wg->tmp, n);
		x1_pack_f32(d->mfmt, sat, wg->tmp, out, 0, n);
	}
}

static bool store_part(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
		       const struct dma *d, struct window *w, uint64_t dva, uint8_t *src,
		       uint32_t first, uint32_t n)
{
	/* Behind the conversion buffer of x1_wg::tmp's first chunk. */
	uint8_t *out = (uint8_t *)(wg->tmp + X1_VEC_CHUNK);

	if (!d->convert)
		return move(wg, mem, is, w, dva, src + (uint64_t)first * d->lbits / 8,
			    (uint64_t)n * d->lbits / 8, true);
	while (n) {
		uint32_t part = n < X1_VEC_CHUNK ? n : X1_VEC_CHUNK;
		uint64_t bytes = (uint64_t)part * d->mbits / 8;

		convert(wg, d, src, first, part, out);
		if (!move(wg, mem, is, w, dva, out, bytes, true))
			return false;
		dva += bytes;
		first += part;
		n -= part;
	}
	return true;
}

static bool store_row(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
		      const struct dma *d, const struct cursor *c, struct window *w)
{
	uint8_t *src = x1_wg_local(wg, c->local, (uint64_t)d->count[0] * d->lbits / 8, false);
	uint32_t lo, hi;

	if (!c->inside)
		return true;
	if (d->dil[0] != 1) {
		for (uint32_t i = 0; i < d->count[0]; i++) {
			int64_t at = d->origin[0] + (int64_t)i * d->dil[0];

			if (in_bounds(d, 0, at) &&
			    !store_part(wg, mem, is, d, w,
					c->mem + (uint64_t)(at * (int64_t)(d->mbits / 8)), src, i,
					1))
				return false;
		}
		return true;
	}
	row_range(d, &lo, &hi);
	return hi == lo ||
	       store_part(wg, mem, is, d, w,
			  c->mem + (uint64_t)((d->origin[0] + lo) * (int64_t)d->mbits / 8), src, lo,
			  hi - lo);
}

/* Rows one after the other, whole, as they are: what most transfers are. */
static bool is_plain(const struct dma *d)
{
	return d->ndim <= 2 && !(d->ctrl & X1_DMA_CTRL_GATHER) && d->dil[0] == 1 && !d->bound[0] &&
	       (d->ndim < 2 || !d->bound[1]) && !d->convert;
}

static bool run_plain(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
		      const struct dma *d, struct window *w)
{
	bool store = is->insn->op == X1_OP_STORE;
	uint64_t bytes = (uint64_t)d->count[0] * d->lbits / 8;
	uint64_t span = bytes + (uint64_t)(d->count[1] - 1) * (uint64_t)d->lstride[1];
	uint8_t *local = x1_wg_local(wg, is->rd, span, !store);
	uint64_t dva = (uint64_t)is->ra + (uint64_t)(d->origin[0] * (int64_t)d->mbits / 8);

	if (d->ndim == 2)
		dva += (uint64_t)(d->origin[1] * d->mstride[1]);
	for (uint32_t i = 0; i < d->count[1]; i++) {
		if (!move(wg, mem, is, w, dva, local, bytes, store))
			return false;
		dva += (uint64_t)w->step;
		local += d->lstride[1];
	}
	return true;
}

bool x1_dma_run(struct x1_wg *wg, struct x1_mem *mem, struct x1_issue *is)
{
	struct cursor c = {.i = {0}};
	struct window w = {0};
	struct dma d;

	/* A prefetch changes time alone. */
	if (is->insn->op == X1_OP_PREFETCH)
		return true;
	unpack_fields(is, &d);
	w.step = d.dil[0] == 1 ? d.mstride[1] * d.dil[1] : 0;
	w.reach = reach(&d);
	if (is_plain(&d))
		return run_plain(wg, mem, is, &d, &w);
	do {
		locate(wg, is, &d, &c);
		if (!(is->insn->op == X1_OP_STORE ? store_row(wg, mem, is, &d, &c, &w)
						  : load_row(wg, mem, is, &d, &c, &w)))
			return false;
	} while (next_row(&d, &c, 1));
	return true;
}

/* ---- extents for the trace ---- */

uint32_t x1_dma_num_extents(const struct x1_issue *is)
{
	struct dma d;
	uint32_t n;

	unpack_fields(is, &d);
	/* One record per run of dimension 1; gathered rows lie anywhere. */
	n = d.count[2] * d.count[3] * d.count[4];
	if (d.ctrl & X1_DMA_CTRL_GATHER)
		n *= d.count[1];
	return n < UINT16_MAX ? n : UINT16_MAX;
}

/* Bytes of a row that memory sees, from *first on. */
static uint32_t row_bytes(const struct dma *d, int64_t *first)
{
	uint32_t lo = 0, hi = d->count[0];

	if (d->dil[0] == 1)
		row_range(d, &lo, &hi);
	*first = (d->origin[0] + (int64_t)lo * d->dil[0]) * (int64_t)d->mbits / 8;
	if (d->dil[0] != 1)
		return (uint32_t)((uint64_t)hi * d->mbits / 8);
	return (uint32_t)((uint64_t)(hi - lo) * d->mbits / 8);
}

uint32_t x1_dma_extents(struct x1_wg *wg, struct x1_mem *mem, const struct x1_issue *is,
			struct x1_tr_extent *ext, uint32_t max)
{
	struct cursor c = {.i = {0}};
	struct dma d;
	bool gather;
	uint32_t n = 0, bytes;
	int64_t first;

	unpack_fields(is, &d);
	gather = d.ctrl & X1_DMA_CTRL_GATHER;
	bytes = row_bytes(&d, &first);
	do {
		struct x1_tr_extent *e = &ext[n];
		uint32_t lo = 0, hi = gather ? 1 : d.count[1];

		if (n == max)
			break;
		n++;
		/* Rows of dimension 1 outside the bounds are not accessed. */
		c.i[1] = gather ? c.i[1] : 0;
		if (!gather) {
			while (lo < hi && !in_bounds(&d, 1, coordinate(wg, is, &d, 1, lo)))
				lo++;
			while (hi > lo && !in_bounds(&d, 1, coordinate(wg, is, &d, 1, hi - 1)))
				hi--;
			c.i[1] = lo;
		}
		locate(wg, is, &d, &c);
		if (!gather)
			c.i[1] = 0;
		if (lo == hi || !c.inside || !bytes)
			continue;
		*e = (struct x1_tr_extent){
			.dva = (c.mem + (uint64_t)first) & ((1ull << X1_DVA_BITS) - 1),
			.bytes = bytes,
			.count = hi - lo,
			.step = d.mstride[1] * d.dil[1],
		};
		/* Dense rows are one long run. */
		if (e->step == (int64_t)bytes && (uint64_t)bytes * e->count <= UINT32_MAX) {
			e->bytes = bytes * e->count;
			e->count = 1;
		}
		e->system = x1_mem_is_system(mem, e->dva);
	} while (next_row(&d, &c, gather ? 1 : 2));
	return n;
}
