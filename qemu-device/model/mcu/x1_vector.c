// SPDX-License-Identifier: MIT
/* VECTOR: operands checked at issue, rows and chunks of columns through ../num. */
#include <string.h>

#include "x1_wg_int.h"

/* ---- operations ---- */

enum {
	VALID = 1 << 0,
	SLOW = 1 << 1,      /* on the transcendental lanes */
	REDUCE = 1 << 2,    /* one result per row */
	WHOLE_ROW = 1 << 3, /* a row is held as a whole */
	INDEXED = 1 << 4,   /* s1 is a column of row numbers, PARAM their bound */
	SCALED = 1 << 5,    /* PARAM is a scale mode */
	TWO_PASS = 1 << 6,  /* over the source */
	PLAIN_S0 = 1 << 7,  /* no broadcast of s0 */
};

struct vec_op {
	uint8_t sources, flags;
};

static const struct vec_op ops[X1_VEC_OP_COUNT] = {
	[X1_VEC_MOV... X1_VEC_RELU] = {1, VALID},
	[X1_VEC_RECIP... X1_VEC_COS] = {1, VALID | SLOW},
	[X1_VEC_ADD... X1_VEC_MUL] = {2, VALID},
	[X1_VEC_DIV] = {2, VALID | SLOW},
	[X1_VEC_MIN... X1_VEC_CMPEQ] = {2, VALID},
	[X1_VEC_FMA... X1_VEC_SELECT] = {3, VALID},
	[X1_VEC_RSUM... X1_VEC_RARGMAX] = {1, VALID | REDUCE | WHOLE_ROW},
	[X1_VEC_RSUMSQD] = {2, VALID | REDUCE | WHOLE_ROW | TWO_PASS},
	[X1_VEC_RMIN] = {1, VALID | REDUCE | WHOLE_ROW},
	[X1_VEC_TRANSPOSE] = {1, VALID | PLAIN_S0},
	[X1_VEC_IOTA] = {0, VALID},
	[X1_VEC_GATHER... X1_VEC_SCATTER_ADD] = {2, VALID | INDEXED | PLAIN_S0},
	[X1_VEC_TOPK] = {1, VALID | SLOW | WHOLE_ROW | PLAIN_S0},
	[X1_VEC_MASK] = {1, VALID},
	[X1_VEC_EXPSUM] = {2, VALID | SLOW | WHOLE_ROW},
	[X1_VEC_QUANT] = {1, VALID | SCALED | TWO_PASS | PLAIN_S0},
	[X1_VEC_DEQUANT] = {1, VALID | SCALED | PLAIN_S0},
};

struct vec {
	unsigned int op;
	uint8_t sources, flags;
	uint32_t rows, cols, ctrl;
	enum x1_format fmt[4]; /* dst, s0, s1, s2 */
	int64_t addr[4], stride[4];
	unsigned int bcast[4]; /* [0] unused */
	uint32_t imm[4];
	int64_t param, param2;
	uint32_t out_cols; /* of the destination */
	bool ints;
};

static bool in_range(int64_t v, int64_t lo, int64_t hi)
{
	return v >= lo && v <= hi;
}

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

/* ---- checks ---- */

static bool bad(struct x1_wg *wg, const struct x1_issue *is, uint64_t value)
{
	return x1_wg_raise(wg, X1_FAULT_OPERAND, X1_UNIT_VECTOR, is->pc, value);
}

static bool bad_format(struct x1_wg *wg, const struct x1_issue *is)
{
	return x1_wg_raise(wg, X1_FAULT_FORMAT, X1_UNIT_VECTOR, is->pc,
			   (uint64_t)is->f[X1_VEC_FMT]);
}

/* Local [addr, addr + rows of `bytes`, a stride apart). */
static bool area(struct x1_wg *wg, const struct x1_issue *is, int64_t addr, int64_t stride,
		 uint32_t rows, uint64_t bytes, bool write)
{
	if (!in_range(stride, 0, X1_SPAD_BYTES))
		return bad(wg, is, (uint64_t)stride);
	if (!x1_wg_local(wg, addr, (uint64_t)(rows - 1) * (uint64_t)stride + bytes, write))
		return bad(wg, is, (uint64_t)addr);
	return true;
}

/* The region that operand i covers: whole bytes per row, or the first element of each. */
static bool region(struct x1_wg *wg, const struct x1_issue *is, const struct vec *v, unsigned int i,
		   uint32_t rows, uint32_t cols)
{
	bool column = v->bcast[i] == X1_VEC_BCAST_COL;
	uint64_t bits = (uint64_t)(column ? 1 : cols) * x1_format_bits(v->fmt[i]);

	if (v->fmt[i] >= X1_FMT_COUNT || (bits % 8 && !column))
		return bad(wg, is, v->fmt[i]);
	return area(wg, is, v->addr[i], v->stride[i], rows, div_up(bits, 8), i == 0);
}

static uint32_t scale_block(const struct vec *v)
{
	return v->param == X1_SCALE_MX32 ? 32 : v->param == X1_SCALE_NV16 ? 16 : 128;
}

/* Rows under one scale. */
static uint32_t scale_rows(const struct vec *v)
{
	return v->param == X1_SCALE_F32_128X128 ? 128 : 1;
}

static uint32_t scale_bytes(const struct vec *v)
{
	return v->param <= X1_SCALE_F32_128X128 ? 4 : 1;
}

/* PARAM, PARAM2, and what they say of formats and of the second result. */
static bool params(struct x1_wg *wg, const struct x1_issue *is, const struct vec *v)
{
	enum x1_format coded = v->op == X1_VEC_QUANT ? v->fmt[0] : v->fmt[1];

	if (v->param2 && v->op != X1_VEC_MASK)
		return bad(wg, is, (uint64_t)v->param2);
	if (v->flags & INDEXED) {
		if (v->fmt[2] != X1_FMT_INT32)
			return bad_format(wg, is);
		if (v->bcast[2] != X1_VEC_BCAST_COL)
			return bad(wg, is, v->ctrl);
		return in_range(v->param, 1, X1_VEC_MAX_ELEMS) || bad(wg, is, (uint64_t)v->param);
	}
	if (v->flags & SCALED) {
		/* What MATRIX takes with these scales. */
		if (!in_range(v->param, 1, X1_SCALE_COUNT - 1))
			return bad(wg, is, (uint64_t)v->param);
		if (x1_mm_legal(coded, coded, (enum x1_scale_mode)v->param,
				(enum x1_scale_mode)v->param, X1_SPARSE_NONE))
			return bad_format(wg, is);
		return area(
			wg, is, v->addr[3], v->stride[3], (uint32_t)div_up(v->rows, scale_rows(v)),
			div_up(v->cols, scale_block(v)) * scale_bytes(v), v->op == X1_VEC_QUANT);
	}
	switch (v->op) {
	case X1_VEC_TOPK:
		if (!in_range(v->param, 1, X1_VEC_MAX_TOPK) || v->param > v->cols)
			return bad(wg, is, (uint64_t)v->param);
		return area(wg, is, v->addr[3], v->stride[3], v->rows, (uint64_t)v->param * 4,
			    true);
	case X1_VEC_MASK:
		return (in_range(v->param, INT32_MIN, INT32_MAX) &&
			in_range(v->param2, 0, INT32_MAX)) ||
		       bad(wg, is, (uint64_t)v->param);
	case X1_VEC_EXPSUM:
		return area(wg, is, v->addr[3], v->stride[3], v->rows, 4, true);
	default:
		return !v->param || bad(wg, is, (uint64_t)v->param);
	}
}

/* Every format is an integer, and the operation has INT32. */
static bool is_int(const struct vec *v)
{
	if (!x1_vec_has_int(v->op))
		return false;
	for (unsigned int i = 0; i <= v->sources; i++)
		if (!x1_format_is_int(v->fmt[i]))
			return false;
	return true;
}

static bool vec_args(struct x1_wg *wg, const struct x1_issue *is, struct vec *v)
{
	const int64_t *f = is->f;
	uint32_t fmt = (uint32_t)f[X1_VEC_FMT];

	if (!in_range(f[X1_VEC_OP], 0, X1_VEC_OP_COUNT - 1) || !ops[f[X1_VEC_OP]].flags)
		return x1_wg_raise(wg, X1_FAULT_ILLEGAL, X1_UNIT_VECTOR, is->pc,
				   (uint64_t)f[X1_VEC_OP]);
	v->op = (unsigned int)f[X1_VEC_OP];
	v->sources = ops[v->op].sources;
	v->flags = ops[v->op].flags;
	if (!in_range(f[X1_VEC_ROWS], 1, X1_VEC_MAX_ELEMS))
		return bad(wg, is, (uint64_t)f[X1_VEC_ROWS]);
	if (!in_range(f[X1_VEC_COLS], 1, X1_VEC_MAX_ELEMS / f[X1_VEC_ROWS]))
		return bad(wg, is, (uint64_t)f[X1_VEC_COLS]);
	if (f[X1_VEC_CTRL] >> 32 || f[X1_VEC_CTRL] & X1_VEC_CTRL_RESERVED || f[X1_VEC_FMT] >> 32)
		return bad(wg, is, (uint64_t)f[X1_VEC_CTRL]);
	v->rows = (uint32_t)f[X1_VEC_ROWS];
	v->cols = (uint32_t)f[X1_VEC_COLS];
	v->ctrl = (uint32_t)f[X1_VEC_CTRL];
	v->addr[0] = is->rd;
	v->addr[1] = is->ra;
	v->addr[2] = is->rb;
	v->addr[3] = f[X1_VEC_S2_ADDR];
	v->imm[0] = v->imm[1] = 0;
	v->imm[2] = (uint32_t)f[X1_VEC_IMM1];
	v->imm[3] = (uint32_t)f[X1_VEC_IMM2];
	v->param = f[X1_VEC_PARAM];
	v->param2 = f[X1_VEC_PARAM2];
	for (unsigned int i = 0; i < 4; i++) {
		v->fmt[i] = (enum x1_format)(fmt >> 8 * i & 0xff);
		v->stride[i] = f[X1_VEC_D_STRIDE + i];
		v->bcast[i] = i ? v->ctrl >> 2 * (i - 1) & 3 : X1_VEC_BCAST_NONE;
	}
	if (v->bcast[1] == X1_VEC_BCAST_SCALAR || (v->flags & PLAIN_S0 && v->bcast[1]))
		return bad(wg, is, v->ctrl);
	if (v->flags & WHOLE_ROW && v->cols > X1_VEC_MAX_ROW)
		return bad(wg, is, v->cols);
	v->ints = is_int(v);
	if (!params(wg, is, v))
		return false;
	v->out_cols = v->cols;
	if (v->op == X1_VEC_TRANSPOSE) {
		if (v->fmt[0] != v->fmt[1] || v->fmt[0] >= X1_FMT_COUNT)
			return bad_format(wg, is);
		return region(wg, is, v, 0, v->cols, v->rows) &&
		       region(wg, is, v, 1, v->rows, v->cols);
	}
	if (v->op == X1_VEC_RARGMAX && v->fmt[0] != X1_FMT_INT32)
		return bad_format(wg, is);
	if (v->flags & REDUCE)
		v->out_cols = 1;
	else if (v->op == X1_VEC_TOPK)
		v->out_cols = (uint32_t)v->param;
	if (!region(wg, is, v, 0, v->op == X1_VEC_SCATTER_ADD ? (uint32_t)v->param : v->rows,
		    v->out_cols))
		return false;
	for (unsigned int i = 1; i <= v->sources; i++) {
		uint32_t rows = v->bcast[i] == X1_VEC_BCAST_ROW ? 1 : v->rows;

		if (i == 1 && v->op == X1_VEC_GATHER)
			rows = (uint32_t)v->param;
		if (v->bcast[i] != X1_VEC_BCAST_SCALAR && !region(wg, is, v, i, rows, v->cols))
			return false;
	}
	return true;
}

bool x1_vec_check(struct x1_wg *wg, struct x1_issue *is, struct x1_cost *cost)
{
	uint64_t elems, acc_bytes = 0, local = 0, cycles;
	struct vec v;

	if (!vec_args(wg, is, &v))
		return false;
	elems = (uint64_t)v.rows * v.cols;
	for (unsigned int i = 0; i <= v.sources; i++) {
		uint64_t n = i ? elems : (uint64_t)v.rows * v.out_cols;
		uint64_t bytes = n * x1_format_bits(v.fmt[i]) / 8;

		if (i && v.bcast[i] != X1_VEC_BCAST_NONE)
			continue;
		if (i == 1 && v.flags & TWO_PASS)
			bytes *= 2;
		/* Read, added to, written. */
		if (!i && v.op == X1_VEC_SCATTER_ADD)
			bytes *= 2;
		local += bytes;
		if (v.addr[i] >= (int64_t)X1_ACC_ADDR)
			acc_bytes += bytes;
	}
	/* Each row starts on fresh lanes. */
	cycles = v.rows * div_up(v.cols, v.flags & SLOW ? X1_VEC_SLOW_LANES : X1_VEC_LANES);
	if (v.flags & TWO_PASS)
		cycles *= 2;
	if (v.op == X1_VEC_TOPK)
		cycles += elems / v.cols * (uint64_t)v.param;
	if (div_up(acc_bytes, X1_ACC_PORT) > cycles)
		cycles = div_up(acc_bytes, X1_ACC_PORT);
	cost->cycles = (uint32_t)cycles;
	cost->local_bytes = (uint32_t)local;
	cost->flags = v.flags & SLOW ? X1_TR_F_SLOW : 0;
	return true;
}

/* ---- elements ---- */

static uint8_t *row_at(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row)
{
	if (v->bcast[i] == X1_VEC_BCAST_ROW)
		row = 0;
	return x1_wg_local(wg, v->addr[i] + (int64_t)row * v->stride[i], 0, false);
}

static uint8_t *second(struct x1_wg *wg, const struct vec *v, uint32_t row)
{
	return x1_wg_local(wg, v->addr[3] + (int64_t)row * v->stride[3], 0, false);
}

static bool is_wide(const struct vec *v, unsigned int i)
{
	return v->bcast[i] == X1_VEC_BCAST_NONE || v->bcast[i] == X1_VEC_BCAST_ROW;
}

/* n elements of operand i from column c, converted. */
static void fetch(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row, uint32_t c,
		  uint32_t n, float *dst)
{
	float one;

	if (is_wide(v, i)) {
		x1_unpack_f32(v->fmt[i], row_at(wg, v, i, row), c, dst, n);
		return;
	}
	if (v->bcast[i] == X1_VEC_BCAST_COL)
		x1_unpack_f32(v->fmt[i], row_at(wg, v, i, row), 0, &one, 1);
	else
		one = x1_flush(x1_bits_f32(v->imm[i]));
	for (uint32_t k = 0; k < n; k++)
		dst[k] = one;
}

static void fetch_int(struct x1_wg *wg, const struct vec *v, unsigned int i, uint32_t row,
		      uint32_t c, uint32_t n, int32_t *dst)
{
	int32_t one = (int32_t)v->imm[i];

	if (is_wide(v, i)) {
		x1_unpack_i32(v->fmt[i], row_at(wg, v, i, row), c, dst, n);
		return;
	}
	if (v->bcast[i] == X1_VEC_BCAST_COL)
		x1_unpack_i32(v->fmt[i], row_at(wg, v, i, row), 0, &one, 1);
	for (uint32_t k = 0; k < n; k++)
		dst[k] = one;
}

static bool saturates(const struct vec *v)
{
	return !(v->ctrl & X1_VEC_CTRL_NOSAT);
}

static void put(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n,
		const float *src)
{
	x1_pack_f32(v->fmt[0], saturates(v), src, row_at(wg, v, 0, row), c, n);
}

static void put_int(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n,
		    const int32_t *src)
{
	x1_pack_i32(v->fmt[0], saturates(v), src, row_at(wg, v, 0, row), c, n);
}

/* Row number r of the indices; false = outside. */
static bool index_of(struct x1_wg *wg, const struct vec *v, uint32_t r, uint32_t *row)
{
	int32_t i;

	memcpy(&i, row_at(wg, v, 2, r), 4);
	*row = (uint32_t)i;
	return in_range(i, 0, v->param - 1);
}

/* MASK: does it keep the source? */
static bool keeps(const struct vec *v, uint32_t row, uint32_t col)
{
	int64_t last = row + v->param;

	return col <= last && (!v->param2 || col > last - v->param2);
}

/* ---- n columns from c of a row ---- */

static void ints(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n)
{
	int32_t *a = (int32_t *)wg->tmp, *b = a + X1_VEC_CHUNK, *d = b + X1_VEC_CHUNK;
	uint32_t at = row;

	switch (v->op) {
	case X1_VEC_GATHER:
		if (index_of(wg, v, row, &at))
			fetch_int(wg, v, 1, at, c, n, a);
		else
			memset(a, 0, n * sizeof(*a));
		at = row;
		break;
	case X1_VEC_SCATTER_ADD:
		if (!index_of(wg, v, row, &at))
			return;
		fetch_int(wg, v, 1, row, c, n, a);
		fetch_int(wg, v, 0, at, c, n, b);
		x1_vec_int(X1_VEC_ADD, a, b, a, NULL, n);
		break;
	case X1_VEC_MASK:
		fetch_int(wg, v, 1, row, c, n, a);
		for (uint32_t i = 0; i < n; i++)
			a[i] = keeps(v, row, c + i) ? a[i] : (int32_t)v->imm[2];
		break;
	default:
		fetch_int(wg, v, 1, row, c, n, a);
		if (v->sources > 1)
			fetch_int(wg, v, 2, row, c, n, b);
		if (v->sources > 2)
			fetch_int(wg, v, 3, row, c, n, d);
		x1_vec_int(v->op, a, a, v->sources > 1 ? b : NULL, v->sources > 2 ? d : NULL, n);
		break;
	}
	put_int(wg, v, at, c, n, a);
}

static void iota(const struct vec *v, uint32_t c, uint32_t n, float *a, float *b)
{
	for (uint32_t i = 0; i < n; i++) {
		a[i] = (float)(c + i);
		b[i] = x1_bits_f32(v->imm[2]);
	}
	if (v->imm[2])
		x1_vec_binary(X1_VEC_ADD, a, a, b, n);
}

static void floats(struct x1_wg *wg, const struct vec *v, uint32_t row, uint32_t c, uint32_t n)
{
	float *a = wg->tmp, *b = a + X1_VEC_CHUNK, *s = b + X1_VEC_CHUNK;
	uint32_t at = row;

	switch (v->op) {
	case X1_VEC_IOTA:
		iota(v, c, n, a, b);
		break;
	case X1_VEC_GATHER:
		if (index_of(wg, v, row, &at))
			fetch(wg, v, 1, at, c, n, a);
		else
			memset(a, 0, n * sizeof(*a));
		at = row;
		break;
	case X1_VEC_SCATTER_ADD:
		if (!index_of(wg, v, row, &at))
			return;
		fetch(wg, v, 1, row, c, n, a);
		fetch(wg, v, 0, at, c, n, b);
		x1_vec_binary(X1_VEC_ADD, a, b, a, n);
		break;
	case X1_VEC_MASK:
		fetch(wg, v, 1, row, c, n, a);
		for (uint32_t i = 0; i < n; i++)
			a[i] = keeps(v, row, c + i) ? a[i] : x1_flush(x1_bits_f32(v->imm[2]));
		break;
	default:
		fetch(wg, v, 1, row, c, n, a);
		if (v->sources > 1)
			fetch(wg, v, 2, row, c, n, b);
		if (v->sources > 2)
			fetch(wg, v, 3, row, c, n, s);
		if (v->sources == 3)
			x1_vec_ternary(v->op, a, a, b, s, n);
		else if (v->sources == 2)
			x1_vec_binary(v->op, a, a, b, n);
		else if (v->op != X1_VEC_MOV)
			x1_vec_unary(v->op, a, a, n);
		break;
	}
	put(wg, v, at, c, n, a);
}

/* ---- a row at a time ---- */

static void reduce_row(struct x1_wg *wg, const struct vec *v, uint32_t r)
{
	float *a = wg->tmp, *b = a + X1_VEC_MAX_ROW, value;
	uint32_t bits;
	int32_t i;

	if (v->ints) {
		int32_t *x = (int32_t *)a, *y = (int32_t *)b;

		fetch_int(wg, v, 1, r, 0, v->cols, x);
		if (v->op == X1_VEC_RSUMSQD) {
			fetch_int(wg, v, 2, r, 0, v->cols, y);
			x1_vec_int(X1_VEC_SUB, x, x, y, NULL, v->cols);
		}
		i = x1_vec_reduce_int(v->op == X1_VEC_RSUMSQD ? X1_VEC_RSUMSQ : v->op, x, v->cols);
		put_int(wg, v, r, 0, 1, &i);
		return;
	}
	fetch(wg, v, 1, r, 0, v->cols, a);
	if (v->op == X1_VEC_RSUMSQD) {
		fetch(wg, v, 2, r, 0, v->cols, b);
		x1_vec_binary(X1_VEC_SUB, a, a, b, v->cols);
	}
	bits = x1_vec_reduce(v->op == X1_VEC_RSUMSQD ? X1_VEC_RSUMSQ : v->op, a, v->cols);
	value = x1_bits_f32(bits);
	if (v->op == X1_VEC_RARGMAX)
		memcpy(row_at(wg, v, 0, r), &bits, 4);
	else
		put(wg, v, r, 0, 1, &value);
}

static void exp_row(struct x1_wg *wg, const struct vec *v, uint32_t r)
{
	float *e = wg->tmp, *k = e + X1_VEC_MAX_ROW, *m = k + X1_VEC_CHUNK;
	uint32_t sum;

	fetch(wg, v, 1, r, 0, v->cols, e);
	for (uint32_t c = 0; c < v->cols; c += X1_VEC_CHUNK) {
		uint32_t n = v->cols - c < X1_VEC_CHUNK ? v->cols - c : X1_VEC_CHUNK;

		fetch(wg, v, 2, r, c, n, m);
		for (uint32_t i = 0; i < n; i++) {
			k[i] = x1_bits_f32(v->imm[3]);
			m[i] = x1_bits_f32(x1_f32_bits(m[i]) ^ 0x80000000u);
		}
		x1_vec_ternary(X1_VEC_FMA, e + c, e + c, k, m, n);
		x1_vec_unary(X1_VEC_EXP, e + c, e + c, n);
	}
	sum = x1_vec_reduce(X1_VEC_RSUM, e, v->cols);
	put(wg, v, r, 0, v->cols, e);
	memcpy(second(wg, v, r), &sum, 4);
}

static void topk_row(struct x1_wg *wg, const struct vec *v, uint32_t r)
{
	uint32_t index[X1_VEC_MAX_TOPK], k = (uint32_t)v->param;
	float best[X1_VEC_MAX_TOPK];

	fetch(wg, v, 1, r, 0, v->cols, wg->tmp);
	x1_vec_topk(wg->tmp, v->cols, k, index);
	for (uint32_t i = 0; i < k; i++)
		best[i] = wg->tmp[index[i]];
	put(wg, v, r, 0, k, best);
	memcpy(second(wg, v, r), index, k * 4);
}

/* The scale of block b of row group g, read or written. */
static uint8_t *scale_at(struct x1_wg *wg, const struct vec *v, uint32_t g, uint32_t b)
{
	return second(wg, v, g) + (size_t)b * scale_bytes(v);
}

/* One block: all its rows are read before the first is written. */
static void quant_block(struct x1_wg *wg, const struct vec *v, uint32_t g, uint32_t b)
{
	uint32_t first = g * scale_rows(v), c = b * scale_block(v);
	uint32_t n = v->cols - c < scale_block(v) ? v->cols - c : scale_block(v);
	uint32_t rows = v->rows - first < scale_rows(v) ? v->rows - first : scale_rows(v);
	float *x = wg->tmp;
	uint32_t amax = 0, code = 0;
	float r;

	for (uint32_t i = 0; i < rows; i++) {
		uint32_t m;

		fetch(wg, v, 1, first + i, c, n, x + (size_t)i * n);
		m = x1_vec_amax(x + (size_t)i * n, n);
		amax = m > amax ? m : amax;
	}
	r = x1_quant_scale((enum x1_scale_mode)v->param, v->fmt[0], x1_bits_f32(amax),
			   x1_bits_f32(v->imm[2]), &code);
	x1_vec_scale(x, r, (size_t)rows * n);
	for (uint32_t i = 0; i < rows; i++)
		put(wg, v, first + i, c, n, x + (size_t)i * n);
	memcpy(scale_at(wg, v, g, b), &code, scale_bytes(v));
}

static void quantise(struct x1_wg *wg, const struct vec *v)
{
	for (uint32_t g = 0; g * scale_rows(v) < v->rows; g++)
		for (uint32_t b = 0; b * scale_block(v) < v->cols; b++)
			quant_block(wg, v, g, b);
}

static void dequant_row(struct x1_wg *wg, const struct vec *v, uint32_t r)
{
	for (uint32_t b = 0; b * scale_block(v) < v->cols; b++) {
		uint32_t c = b * scale_block(v), code = 0;
		uint32_t n = v->cols - c < scale_block(v) ? v->cols - c : scale_block(v);

		memcpy(&code, scale_at(wg, v, r / scale_rows(v), b), scale_bytes(v));
		fetch(wg, v, 1, r, c, n, wg->tmp);
		x1_vec_scale(wg->tmp,
			     x1_dequant_scale((enum x1_scale_mode)v->param, code,
					      x1_bits_f32(v->imm[2])),
			     n);
		put(wg, v, r, c, n, wg->tmp);
	}
}

/* Codes move as they are: unpacking keeps the bits, packing drops what was extended. */
static void transpose(struct x1_wg *wg, const struct vec *v)
{
	int32_t *codes = (int32_t *)wg->tmp;

	for (uint32_t r = 0; r < v->rows; r++) {
		for (uint32_t c = 0; c < v->cols; c += X1_VEC_CHUNK) {
			uint32_t n = v->cols - c < X1_VEC_CHUNK ? v->cols - c : X1_VEC_CHUNK;

			x1_unpack_i32(v->fmt[0], row_at(wg, v, 1, r), c, codes, n);
			for (uint32_t i = 0; i < n; i++)
				x1_pack_i32(v->fmt[0], false, &codes[i], row_at(wg, v, 0, c + i), r,
					    1);
		}
	}
}

static void run_row(struct x1_wg *wg, const struct vec *v, uint32_t r)
{
	if (v->flags & REDUCE) {
		reduce_row(wg, v, r);
		return;
	}
	switch (v->op) {
	case X1_VEC_TOPK:
		topk_row(wg, v, r);
		return;
	case X1_VEC_EXPSUM:
		exp_row(wg, v, r);
		return;
	case X1_VEC_DEQUANT:
		dequant_row(wg, v, r);
		return;
	}
	for (uint32_t c = 0; c < v->cols; c += X1_VEC_CHUNK) {
		uint32_t n = v->cols - c < X1_VEC_CHUNK ? v->cols - c : X1_VEC_CHUNK;

		if (v->ints)
			ints(wg, v, r, c, n);
		else
			floats(wg, v, r, c, n);
	}
}

bool x1_vec_run(struct x1_wg *wg, struct x1_issue *is)
{
	struct vec v;

	if (!vec_args(wg, is, &v))
		return false;
	if (v.op == X1_VEC_TRANSPOSE) {
		transpose(wg, &v);
	} else if (v.op == X1_VEC_QUANT) {
		quantise(wg, &v);
	} else {
		for (uint32_t r = 0; r < v.rows; r++)
			run_row(wg, &v, r);
	}
	return true;
}
