// SPDX-License-Identifier: MIT
/*
 * The skeleton of row kernels (tiles.h): plan and program.
 *
 * The sequencer walks straight through its tiles: loads, VECTOR steps, stores.
 * It waits for no engine, so LOAD runs ahead as far as stages are free, and
 * counting semaphores keep the order:
 *
 *   FULL   a tile's inputs are there     FREE   their stage is free again
 *   READY  a tile's results are done     ROOM   they are stored
 *   FIRST  what is loaded once           INDEX  row numbers of a tile
 *
 * Row numbers are loaded a tile ahead of the rows that they name, so that LOAD
 * does not stand still for them.
 */
#include <stdlib.h>
#include <string.h>

#include "tiles.h"

#define MAX_ELEMENTS (1ull << 40)
#define MAX_STAGES   4u
#define MIN_TILE     2048u  /* bytes of input; below, fixed costs of a tile show */
#define MAX_TILE     32768u /* more hides nothing */
#define MIN_COLS     512u
#define TILES_OF_WG  4u /* aim: start and end of the pipeline are a part of it */

enum {
	SEM_FULL,
	SEM_FREE,
	SEM_READY,
	SEM_ROOM,
	SEM_FIRST,
	SEM_INDEX,
};

X1_STATIC_ASSERT(SEM_INDEX < TILE_SEM_BODY);

enum {
	R_WG = 1,
	R_SLOT = 2,
	R_END = 3,
	R_C0 = 4, /* first column */
	R_I1 = 6,
	R_I2 = 8,
	R_I3 = 9,
	R_ROWS = 10,
	R_COLS = 11,
	R_IN = 12,
	R_OUT = 13,
	R_T0 = 14,
	R_T1 = 15,
	R_ARG = X1_REG_ARG0,
	R_AT = R_ARG + TILE_OPERANDS + TILE_EXTRA, /* of operand 1, 2, ... */
	R_ADDR = R_AT + TILE_OPERANDS,
	R_IDX,
	R_NEXT,
	R_LEFT,
	R_T2,
};

X1_STATIC_ASSERT(R_T2 < TILE_R_BODY);

static void alui(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(t->p, op, rd, ra, imm);
}

static void alu(struct tiles *t, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb)
{
	sili_prog_alu(t->p, op, rd, ra, rb);
}

/* ---- shapes of operands ---- */

static uint32_t one(uint32_t v)
{
	return v ? v : 1;
}

static bool is_column(const struct tile_operand *o)
{
	return !o->stride[0] && !o->cols;
}

static bool is_row(const struct tile_operand *o)
{
	return !o->stride[1];
}

/* Columns, rows of the operand for so many of the tile. */
static uint64_t cols_of(const struct tile_operand *o, uint64_t cols)
{
	return is_column(o) ? 1 : o->cols ? o->cols : sili_div_up(cols, one(o->div));
}

static uint64_t rows_of(const struct tile_operand *o, uint64_t rows)
{
	return is_row(o) ? 1 : o->rows ? o->rows : sili_div_up(rows, one(o->row_div));
}

static uint64_t tile_bytes(const struct tile_operand *o, uint64_t cols, uint64_t rows)
{
	if (o->turned)
		return sili_fmt_bytes(o->fmt, rows) * cols;
	return sili_fmt_bytes(o->fmt, cols_of(o, cols)) * rows_of(o, rows);
}

static bool has_body(const struct tiles *t)
{
	return t->body != NULL;
}

/* ---- plan ---- */

static bool operand_ok(const struct tiles *t, const struct tile_operand *o)
{
	uint32_t bits = x1_format_bits(o->fmt);

	if (o->turned)
		return t->row_step * bits % 8 == 0 && t->dim[1] * bits % 8 == 0;
	if ((unsigned int)o->fmt >= X1_FMT_COUNT || cols_of(o, t->dim[0]) * bits % 8 ||
	    (bits < 8 && o->stride[0] > 1))
		return false;
	if (o->stride[0] < 0 || o->stride[0] >= 1 << 23 || (o->bound[0] && (bits < 8 || o->index)))
		return false;
	return true;
}

/* Strides have 32 bits in descriptors and in the key. */
static bool strides_fit(const struct tile_operand *o)
{
	for (uint32_t i = 0; i < TILE_DIMS; i++)
		if (o->stride[i] > INT32_MAX || o->stride[i] < INT32_MIN)
			return false;
	return true;
}

/* The same for all tiles. */
static bool stays(const struct tiles *t, const struct tile_operand *o)
{
	return is_row(o) && !o->stride[2] && !o->stride[3] && (t->col_blocks == 1 || is_column(o));
}

/* Lay out the scratchpad for tiles of this size; returns what they need. */
static uint64_t place(struct tiles *t, uint64_t cols, uint64_t rows)
{
	uint64_t fixed = 0, index;
	bool stream = false;

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		stream |= t->op[i].use == TILE_IN && !stays(t, &t->op[i]);
	t->in_bytes = t->out_bytes = t->index_bytes = 0;
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		struct tile_operand *o = &t->op[i];
		uint64_t bytes = sili_align(tile_bytes(o, cols, rows), 64);
		uint64_t *sum = &fixed;

		if (!o->use || o->from)
			continue;
		o->pitch = sili_fmt_bytes(o->fmt, o->turned ? rows : cols_of(o, cols));
		/* Something has to tell VECTOR of each tile's data. */
		o->resident = o->use == TILE_IN && stream && stays(t, o);
		if (o->use == TILE_INDEX)
			sum = &t->index_bytes;
		else if (o->use == TILE_OUT)
			sum = &t->out_bytes;
		else if (o->use == TILE_IN && !o->resident)
			sum = &t->in_bytes;
		o->at = *sum;
		*sum += bytes;
	}
	/* Row numbers have two stages of their own. */
	index = 2 * t->index_bytes;
	t->out_at = t->stages * t->in_bytes;
	t->index_at = t->out_at + t->out_stages * t->out_bytes;
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		struct tile_operand *o = &t->op[i];

		if (o->use == TILE_TEMP || o->resident)
			o->at += t->index_at + index;
	}
	return t->index_at + index + fixed;
}

/* Bytes that a tile of one row and `cols` columns loads or stores. */
static uint64_t moved(const struct tiles *t, uint64_t cols)
{
	uint64_t in = 0, out = 0;

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		const struct tile_operand *o = &t->op[i];

		if (o->use == TILE_IN && !is_row(o))
			in += tile_bytes(o, cols, 1);
		else if (o->use == TILE_OUT)
			out += tile_bytes(o, cols, 1);
	}
	return in > out ? in : out;
}

/* Bytes that a MCU has under way when memory keeps it busy. */
static uint64_t in_flight(const struct sili_info *info)
{
	uint64_t l2 = info->l2_bw / info->mcus_healthy, hbm = info->hbm_bw / info->mcus_healthy;

	l2 = sili_min64(l2 + 1, X1_LOAD_PORT) * info->l2_latency;
	hbm = sili_min64(hbm + 1, X1_LOAD_PORT) * info->hbm_latency;
	return l2 > hbm ? l2 : hbm;
}

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static uint64_t row_slots(const struct tiles *t)
{
	return sili_div_up(t->dim[1], t->row_step) * t->dim[2] * t->dim[3];
}

static bool is_whole(const struct tiles *t)
{
	return t->whole_rows || t->fixed_cols;
}

/* Of a block. Lines of L2 are used whole; tall tiles are large as they are. */
static uint64_t min_cols(const struct tiles *t)
{
	return t->row_step > 1 ? MIN_COLS / 4 : MIN_COLS;
}

static uint32_t col_step(const struct tiles *t)
{
	return t->col_step > 64 ? t->col_step : 64;
}

static uint32_t max_rows(const struct tiles *t)
{
	return t->max_rows ? t->max_rows : X1_DMA_MAX_ROWS / 2;
}

static int choose(const struct sili_info *info, struct tiles *t)
{
	uint64_t rows = t->dim[1] * t->dim[2] * t->dim[3], row = moved(t, t->dim[0]), want, cols;

	t->stages = t->prefetch == SILI_PREFETCH_OFF ? 2 : MAX_STAGES;
	t->out_stages = 2;
	want = t->tile_bytes ? t->tile_bytes
			     : clamp(row * rows / info->mcus_healthy / TILES_OF_WG, MIN_TILE,
				     clamp(in_flight(info) / 2, 2 * MIN_TILE, MAX_TILE));
	cols = t->fixed_cols ? sili_min64(t->fixed_cols, t->dim[0]) : t->dim[0];
	if (!is_whole(t) && row * t->row_step > want) {
		cols = clamp(want * cols / (row * t->row_step), min_cols(t), cols);
		cols = sili_min64(sili_align(cols, col_step(t)), t->dim[0]);
	}
	for (t->tile_cols = (uint32_t)cols;;) {
		row = moved(t, t->tile_cols);
		t->col_blocks = (uint32_t)sili_div_up(t->dim[0], t->tile_cols);
		t->tile_rows = (uint32_t)sili_align(
			clamp(row ? want / row : 1, 1, sili_min64(t->dim[1], max_rows(t))),
			t->row_step);
		if (t->tile_rows > max_rows(t))
			t->tile_rows -= t->row_step;
		while (t->tile_rows > t->row_step &&
		       (uint64_t)t->tile_rows * t->tile_cols > X1_VEC_MAX_ELEMS)
			t->tile_rows = (uint32_t)sili_align(t->tile_rows / 2, t->row_step);
		/* Fewer rows, then fewer stages, then fewer columns. */
		while (place(t, t->tile_cols, t->tile_rows) > info->spad_bytes) {
			if (t->tile_rows > t->row_step)
				t->tile_rows = (uint32_t)sili_align(t->tile_rows / 2, t->row_step);
			else if (t->stages > 2)
				t->stages--;
			else
				break;
		}
		if (place(t, t->tile_cols, t->tile_rows) <= info->spad_bytes &&
		    (uint64_t)t->tile_rows * t->tile_cols <= X1_VEC_MAX_ELEMS)
			break;
		/* A tile after the other is what is left for rows that long. */
		if (t->out_stages > 1) {
			t->stages = t->out_stages = 1;
		} else if (!is_whole(t) && t->tile_cols > min_cols(t)) {
			t->tile_cols = (uint32_t)sili_align(t->tile_cols / 2, col_step(t));
		} else {
			return -E2BIG;
		}
	}
	t->slots = row_slots(t) * t->col_blocks;
	t->grid = (uint32_t)sili_min64(t->slots, info->mcus_healthy);
	return 0;
}

/* What is left out of a request. */
static int settle(struct tiles *t)
{
	uint64_t elements = 1;

	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (!t->dim[i])
			t->dim[i] = 1;
		if (t->dim[i] > UINT32_MAX || t->dim[i] > MAX_ELEMENTS / elements)
			return -E2BIG;
		elements *= t->dim[i];
	}
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use && !strides_fit(&t->op[i]))
			return -E2BIG;
	t->col_step = one(t->col_step);
	t->row_step = one(t->row_step);
	t->prefetch = sili_prefetch_mode(t->prefetch);
	return 0;
}

static int plan(const struct sili_info *info, struct tiles *t)
{
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use && !operand_ok(t, &t->op[i]))
			return -EINVAL;
	if (t->whole_rows && t->dim[0] > X1_VEC_MAX_ELEMS)
		return -E2BIG;
	return choose(info, t);
}

/* ---- steps ---- */

uint8_t tile_at(uint8_t operand)
{
	return (uint8_t)(R_AT + operand - 1);
}

uint8_t tile_extra(uint32_t i)
{
	return (uint8_t)(R_ARG + TILE_OPERANDS + i);
}

uint8_t tile_rows(void)
{
	return R_ROWS;
}

uint8_t tile_row(void)
{
	return R_I1;
}

uint8_t tile_col(void)
{
	return R_C0;
}

struct sili_val tile_cols(const struct tiles *t)
{
	return t->col_blocks == 1 ? sili_imm((int64_t)t->dim[0]) : sili_reg(R_COLS);
}

static bool has_use(const struct tiles *t, enum tile_use use)
{
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use == use && !t->op[i].resident)
			return true;
	return false;
}

static bool has_resident(const struct tiles *t)
{
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].resident)
			return true;
	return false;
}

/* The first step of a tile waits for its data and room, the last one says so. */
void tile_vec(struct tiles *t, uint8_t rd, uint8_t ra, uint8_t rb, const struct sili_vec *v)
{
	bool first = t->step == 0, last = ++t->step == t->steps;

	bool in = has_use(t, TILE_IN);
	uint8_t wait0 = 0, wait1 = 0, sig0 = 0, sig1 = 0;

	if (t->in_body) {
		wait0 = first && in ? X1_SEM(SEM_FULL) : 0;
		wait1 = first ? X1_SEM(SEM_ROOM) : 0;
		sig0 = last && in ? X1_SEM(SEM_FREE) : 0;
		sig1 = last ? X1_SEM(SEM_READY) : 0;
	} else if (first) {
		wait0 = X1_SEM(SEM_FIRST);
	}
	/* Bodies put their own ones on steps that have a place free. */
	sili_prog_sems(t->p, wait0 ? wait0 : t->wait, wait1, sig0 ? sig0 : t->sig, sig1);
	t->wait = t->sig = 0;
	sili_emit_vec(t->p, rd, ra, rb, v);
}

static bool reduces(enum x1_vec_op op)
{
	return op >= X1_VEC_RSUM && op <= X1_VEC_RMIN;
}

static uint32_t broadcast(const struct tile_operand *o)
{
	return is_column(o) ? X1_VEC_BCAST_COL : is_row(o) ? X1_VEC_BCAST_ROW : X1_VEC_BCAST_NONE;
}

/* Columns of an operand in this tile; R_T0 may hold them. */
static struct sili_val cols_val(struct tiles *t, const struct tile_operand *o)
{
	if (is_column(o) || o->cols || t->col_blocks == 1)
		return sili_imm((int64_t)cols_of(o, t->dim[0]));
	if (one(o->div) == 1)
		return sili_reg(R_COLS);
	alui(t, X1_OP_ADD, R_T0, R_COLS, o->div - 1);
	alui(t, X1_OP_DIVU, R_T0, R_T0, o->div);
	return sili_reg(R_T0);
}

static struct sili_val rows_val(struct tiles *t, const struct tile_operand *o)
{
	if (is_row(o) || o->rows)
		return sili_imm((int64_t)rows_of(o, 1));
	if (one(o->row_div) == 1)
		return sili_reg(R_ROWS);
	alui(t, X1_OP_ADD, R_T1, R_ROWS, o->row_div - 1);
	alui(t, X1_OP_DIVU, R_T1, R_T1, o->row_div);
	return sili_reg(R_T1);
}

static struct sili_val pitch_val(const struct tile_operand *o)
{
	/* A single row is the same one for all. */
	return sili_imm(is_row(o) ? 0 : (int64_t)o->pitch);
}

/* Columns of one element a row are worked on as a row: 64 of them a cycle. */
static bool lies_flat(const struct tiles *t, const struct tile_step *s)
{
	const uint8_t id[] = {s->dst, s->s0, s->s1, s->s2};

	if (s->op >= X1_VEC_RSUM || is_row(&t->op[s->dst]))
		return false;
	for (uint32_t i = 0; i < 4; i++)
		if (id[i] && !is_column(&t->op[id[i]]))
			return false;
	return true;
}

static uint32_t flat_broadcast(const struct tile_operand *o)
{
	return is_row(o) ? X1_VEC_BCAST_COL : X1_VEC_BCAST_NONE;
}

static bool takes_third(enum x1_vec_op op)
{
	return op == X1_VEC_FMA || op == X1_VEC_SELECT;
}

static bool takes_second(enum x1_vec_op op)
{
	return (op >= X1_VEC_ADD && op <= X1_VEC_SELECT) || op == X1_VEC_RSUMSQD ||
	       op == X1_VEC_GATHER || op == X1_VEC_SCATTER_ADD || op == X1_VEC_EXPSUM ||
	       op == X1_VEC_IOTA;
}

void tile_step(struct tiles *t, const struct tile_step *s)
{
	const struct tile_operand *d = &t->op[s->dst], *a = &t->op[s->s0], *b = &t->op[s->s1],
				  *c = &t->op[s->s2];
	bool flat = lies_flat(t, s);
	struct sili_vec v = {
		.op = s->op,
		.dst_fmt = d->fmt,
		.s0_fmt = s->s0 ? a->fmt : X1_FMT_FP32,
		.s1_fmt = s->s1                 ? b->fmt
			  : takes_second(s->op) ? d->fmt
						: X1_FMT_FP32,
		.dst_stride = pitch_val(d),
		.s0_stride = sili_imm(s->s0 ? pitch_val(a).v : 0),
		.s1_stride = sili_imm(s->s1 ? pitch_val(b).v : 0),
		.scalar1 = s->imm1,
		.scalar2 = s->imm2,
		.scalar1_reg = s->imm1_reg,
		.param = s->param,
		.param2 = s->param2,
	};

	/* The scalar has the type of the operation: an integer one with integers. */
	if (!s->s1 && takes_second(s->op) && !x1_format_is_int(v.s1_fmt))
		v.s1_fmt = X1_FMT_FP32;
	if (s->s0)
		v.bcast0 = flat ? flat_broadcast(a) : broadcast(a);
	if (s->s1)
		v.bcast1 = flat ? flat_broadcast(b) : broadcast(b);
	else if (takes_second(s->op))
		v.bcast1 = X1_VEC_BCAST_SCALAR;
	if (s->s2) {
		v.s2 = sili_reg(tile_at(s->s2));
		v.s2_stride = pitch_val(c);
	}
	if (takes_third(s->op)) {
		v.s2_fmt = s->s2 ? c->fmt : X1_FMT_FP32;
		v.bcast2 = !s->s2 ? X1_VEC_BCAST_SCALAR : flat ? flat_broadcast(c) : broadcast(c);
	}
	if (flat) {
		v.rows = sili_imm(1);
		v.cols = sili_reg(R_ROWS);
	} else {
		const struct tile_operand *wide =
			reduces(s->op) || s->op == X1_VEC_TOPK || s->op == X1_VEC_TRANSPOSE ? a : d;

		/* Where the destination has other rows, those of the source count. */
		bool other = s->op == X1_VEC_SCATTER_ADD || s->op == X1_VEC_TRANSPOSE;

		v.rows = rows_val(t, other ? a : d);
		v.cols = cols_val(t, wide);
	}
	tile_vec(t, tile_at(s->dst), s->s0 ? tile_at(s->s0) : 0, s->s1 ? tile_at(s->s1) : 0, &v);
}

struct tile_operand tile_parts(uint32_t cols)
{
	return cols <= TILE_ROW
		       ? (struct tile_operand){0}
		       : (struct tile_operand){.use = TILE_TEMP,
					       .fmt = X1_FMT_FP32,
					       .stride = {1, 1},
					       .cols = (uint32_t)sili_div_up(cols, TILE_ROW)};
}

void tile_reduce(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, uint8_t s1,
		 uint8_t parts)
{
	const struct tile_operand *a = &t->op[s0], *b = &t->op[s1], *part = &t->op[parts];
	uint32_t cols = (uint32_t)t->dim[0], at = 0;
	uint8_t src = TILE_R_BODY, sub = TILE_R_BODY + 1, to = TILE_R_BODY + 2;
	bool sum = op == X1_VEC_RSUM || op == X1_VEC_RSUMSQ || op == X1_VEC_RSUMSQD;

	if (cols <= TILE_ROW) {
		tile_step(t, &(struct tile_step){.op = op, .dst = dst, .s0 = s0, .s1 = s1});
		return;
	}
	for (uint32_t c = 0; c < cols; c += TILE_ROW, at++) {
		struct sili_vec v = {
			.op = op,
			.rows = sili_reg(R_ROWS),
			.cols = sili_imm((int64_t)sili_min64(TILE_ROW, cols - c)),
			.dst_fmt = X1_FMT_FP32,
			.s0_fmt = a->fmt,
			.s1_fmt = s1 ? b->fmt : X1_FMT_FP32,
			.bcast0 = broadcast(a),
			.bcast1 = s1 ? broadcast(b) : X1_VEC_BCAST_NONE,
			.dst_stride = sili_imm((int64_t)part->pitch),
			.s0_stride = pitch_val(a),
			.s1_stride = sili_imm(s1 ? pitch_val(b).v : 0),
		};

		alui(t, X1_OP_ADD, src, tile_at(s0), (int64_t)sili_fmt_bytes(a->fmt, c));
		if (s1)
			alui(t, X1_OP_ADD, sub, tile_at(s1),
			     is_column(b) ? 0 : (int64_t)sili_fmt_bytes(b->fmt, c));
		alui(t, X1_OP_ADD, to, tile_at(parts), at * 4);
		tile_vec(t, to, src, s1 ? sub : 0, &v);
	}
	tile_step(t, &(struct tile_step){.op = sum                  ? X1_VEC_RSUM
					       : op == X1_VEC_RAMAX ? X1_VEC_RMAX
								    : op,
					 .dst = dst,
					 .s0 = parts});
}

void tile_halves(struct tiles *t, enum x1_vec_op op, uint8_t x, uint8_t n, uint32_t most)
{
	uint8_t rows = TILE_R_HALVES, upper = TILE_R_HALVES + 1;
	int64_t pitch = (int64_t)t->op[x].pitch;

	for (uint32_t half = most / 2; half; half /= 2) {
		uint32_t past = sili_prog_label(t->p);
		struct sili_vec v = {
			.op = op,
			.rows = sili_reg(rows),
			.cols = tile_cols(t),
			.dst_stride = sili_imm(pitch),
			.s0_stride = sili_imm(pitch),
			.s1_stride = sili_imm(pitch),
		};

		alui(t, X1_OP_SUB, rows, n, half);
		alui(t, X1_OP_MIN, rows, rows, half);
		sili_prog_branch(t->p, X1_OP_BGE, 0, rows, past);
		alui(t, X1_OP_ADD, upper, tile_at(x), half * pitch);
		tile_vec(t, tile_at(x), tile_at(x), upper, &v);
		sili_prog_place(t->p, past);
	}
}

/* ---- transfers ---- */

/* R_ADDR = address of the operand's first element in this tile, without its rows. */
static void emit_address(struct tiles *t, const struct tile_operand *o, uint8_t arg, bool rows)
{
	static const uint8_t reg[TILE_DIMS] = {R_C0, R_I1, R_I2, R_I3};

	alui(t, X1_OP_ADD, R_ADDR, arg, 0);
	if (o->turned) {
		alui(t, X1_OP_MUL, R_T1, R_C0, t->col_blocks > 1 ? o->stride[0] : 0);
		alu(t, X1_OP_ADD, R_ADDR, R_ADDR, R_T1);
		alui(t, X1_OP_MUL, R_T1, R_I1, x1_format_bits(o->fmt));
		alui(t, X1_OP_SHR, R_T1, R_T1, 3);
		alu(t, X1_OP_ADD, R_ADDR, R_ADDR, R_T1);
	} else if (t->col_blocks > 1 && o->stride[0] && !o->cols) {
		/* Blocks begin at whole bytes of every operand. */
		alui(t, X1_OP_MUL, R_T1, R_C0, o->stride[0] * x1_format_bits(o->fmt));
		alui(t, X1_OP_DIVU, R_T1, R_T1, 8ll * one(o->div));
		alu(t, X1_OP_ADD, R_ADDR, R_ADDR, R_T1);
	}
	for (uint32_t i = rows && !o->turned ? 1 : 2; i < TILE_DIMS; i++) {
		if (t->dim[i] == 1 || !o->stride[i])
			continue;
		if (i == 1 && one(o->row_div) > 1) {
			alui(t, X1_OP_DIVU, R_T1, reg[i], o->row_div);
			alui(t, X1_OP_MUL, R_T1, R_T1, o->stride[i]);
		} else {
			alui(t, X1_OP_MUL, R_T1, reg[i], o->stride[i]);
		}
		alu(t, X1_OP_ADD, R_ADDR, R_ADDR, R_T1);
	}
}

/* Rows one behind the other, in memory as in the scratchpad: one run. */
static bool is_run(const struct tiles *t, const struct tile_operand *o)
{
	return !o->index && !o->bound[0] && !o->turned && o->stride[0] <= 1 &&
	       (t->col_blocks == 1 || is_column(o) || o->cols) && o->stride[1] == (int64_t)o->pitch;
}

static uint32_t log2_bytes(enum x1_format fmt)
{
	uint32_t bits = x1_format_bits(fmt);

	return bits == 32 ? 2 : bits == 16 ? 1 : 0;
}

/* Descriptor of a transfer: counts in units of `size` bits (LOAD), or elements. */
static struct x1_desc transfer(struct tiles *t, const struct tile_operand *o, bool load)
{
	struct sili_val cols = o->turned ? sili_reg(R_ROWS) : cols_val(t, o);
	struct sili_val rows = o->turned ? tile_cols(t) : rows_val(t, o);
	bool apart = o->stride[0] > 1 && !o->turned, dilated = apart || o->bound[0];
	uint32_t bits = x1_format_bits(o->fmt);
	struct x1_desc d = {0};

	if (is_run(t, o)) {
		/* Constant columns. */
		if (rows.is_reg) {
			alui(t, X1_OP_MUL, R_T1, (uint8_t)rows.v,
			     load ? (int64_t)o->pitch : cols.v);
			cols = sili_reg(R_T1);
		} else {
			cols = sili_imm(load ? (int64_t)o->pitch * rows.v : cols.v * rows.v);
		}
		rows = sili_imm(1);
	} else if (load && !dilated) {
		if (cols.is_reg) {
			alui(t, X1_OP_MUL, R_T0, (uint8_t)cols.v, bits);
			alui(t, X1_OP_SHR, R_T0, R_T0, 3);
			cols = sili_reg(R_T0);
		} else {
			cols = sili_imm(cols.v * bits / 8);
		}
	}
	sili_desc_set(&d, X1_DMA_CTRL,
		      X1_DMA_CTRL_NDIM(o->bound[0] ? 4 : 2) | (o->index ? X1_DMA_CTRL_GATHER : 0) |
			      (load ? X1_DMA_CTRL_ESIZE(dilated ? log2_bytes(o->fmt) : 0)
				    : X1_DMA_CTRL_LFMT(o->fmt) | X1_DMA_CTRL_MFMT(o->fmt)));
	sili_put(&d, X1_DMA_COUNT0, cols);
	sili_put(&d, X1_DMA_COUNT0 + 1, rows);
	if (apart)
		sili_desc_set(&d, X1_DMA_DIL0, o->stride[0]);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, o->stride[o->turned ? 0 : 1]);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, (int64_t)o->pitch);
	if (o->index)
		sili_desc_set(&d, X1_DMA_BOUND0 + 1, o->bound[1]);
	return d;
}

/* Coordinates with an origin, bounds and what is outside of them. */
static void emit_bounds(struct tiles *t, const struct tile_operand *o, struct x1_desc *d)
{
	static const uint8_t reg[TILE_DIMS] = {R_C0, R_I1, R_I2, R_I3};
	static const uint8_t at[TILE_DIMS] = {R_T0, R_T1, R_T2, R_LEFT};

	for (uint32_t i = 0; i < TILE_DIMS; i++) {
		if (i ? t->dim[i] > 1 : t->col_blocks > 1) {
			/* The column count may lie in R_T0; a block's does not. */
			alui(t, X1_OP_ADD, at[i], reg[i], o->origin[i]);
			sili_desc_reg(d, X1_DMA_ORIGIN0 + i, at[i]);
		} else {
			sili_desc_set(d, X1_DMA_ORIGIN0 + i, o->origin[i]);
		}
		sili_desc_set(d, X1_DMA_BOUND0 + i, o->bound[i]);
		if (i > 1) {
			sili_desc_set(d, X1_DMA_COUNT0 + i, 1);
			sili_desc_set(d, X1_DMA_MSTRIDE1 + i - 1, o->stride[i]);
		}
	}
	sili_desc_set(d, X1_DMA_PAD, o->pad);
}

static void emit_load(struct tiles *t, uint32_t id, uint8_t wait0, uint8_t wait1, uint8_t sig)
{
	struct tile_operand *o = &t->op[id];
	struct x1_desc d;

	if (o->bound[0] && !o->index)
		alui(t, X1_OP_ADD, R_ADDR, (uint8_t)(R_ARG + id - 1), 0);
	else
		emit_address(t, o, (uint8_t)(R_ARG + id - 1), !o->index && !o->resident);
	d = transfer(t, o, true);
	if (o->bound[0] && !o->index)
		emit_bounds(t, o, &d);
	sili_prog_sems(t->p, wait0, wait1, sig, 0);
	sili_prog_engine(t->p, X1_OP_LOAD, tile_at((uint8_t)id), R_ADDR,
			 o->index ? tile_at(o->index) : 0, &d);
}

static void emit_store(struct tiles *t, uint32_t id, uint8_t wait, uint8_t sig0, uint8_t sig1)
{
	struct tile_operand *o = &t->op[id], *from = o->from ? &t->op[o->from] : o;
	uint8_t src = tile_at(o->from ? o->from : (uint8_t)id);
	struct x1_desc d;

	if (o->from)
		o->pitch = sili_fmt_bytes(o->fmt, cols_of(o, t->tile_cols));
	emit_address(t, o, (uint8_t)(R_ARG + id - 1), !o->index);
	d = transfer(t, o, false);
	if (o->from) {
		d.f[X1_DMA_CTRL] &= ~X1_DMA_CTRL_LFMT(0xff);
		d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(from->fmt);
		sili_desc_set(&d, X1_DMA_LSTRIDE1, (int64_t)from->pitch);
	}
	sili_prog_sems(t->p, wait, 0, sig0, sig1);
	sili_prog_engine(t->p, X1_OP_STORE, src, R_ADDR, o->index ? tile_at(o->index) : 0, &d);
}

/* ---- the walk ---- */

/* Does LOAD gather by row numbers? */
static bool gathers(const struct tiles *t)
{
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use == TILE_INDEX)
			return true;
	return false;
}

static bool streams(const struct tiles *t, uint32_t id)
{
	return t->op[id].use == TILE_IN && !t->op[id].resident;
}

static void emit_range(struct tiles *t)
{
	int64_t share = (int64_t)(t->slots / t->grid), more = (int64_t)(t->slots % t->grid);

	alui(t, X1_OP_MUL, R_SLOT, R_WG, share);
	alui(t, X1_OP_MIN, R_T0, R_WG, more);
	alu(t, X1_OP_ADD, R_SLOT, R_SLOT, R_T0);
	alui(t, X1_OP_ADD, R_END, R_SLOT, share);
	alui(t, X1_OP_SLT, R_T0, R_WG, more);
	alu(t, X1_OP_ADD, R_END, R_END, R_T0);
}

static void emit_locals(struct tiles *t)
{
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		const struct tile_operand *o = &t->op[i];

		if (o->use == TILE_TEMP || o->resident)
			sili_prog_li(t->p, tile_at((uint8_t)i), (int64_t)o->at);
	}
	sili_prog_li(t->p, R_IN, 0);
	sili_prog_li(t->p, R_OUT, (int64_t)t->out_at);
	sili_prog_li(t->p, R_IDX, 0);
}

/* Rows from slot `slot` on that make a tile, in rd; i1 is the row. */
static void emit_tile_rows(struct tiles *t, uint8_t rd, uint8_t i1, uint8_t slot)
{
	alu(t, X1_OP_SUB, rd, R_END, slot);
	if (t->row_step > 1)
		alui(t, X1_OP_MUL, rd, rd, t->row_step);
	alui(t, X1_OP_MIN, rd, rd, t->tile_rows);
	sili_prog_li(t->p, R_T0, (int64_t)t->dim[1]);
	alu(t, X1_OP_SUB, R_T0, R_T0, i1);
	alu(t, X1_OP_MIN, rd, rd, R_T0);
}

/* Where the tile at R_SLOT is. */
static void emit_where(struct tiles *t)
{
	int64_t rows = (int64_t)row_slots(t), d1 = (int64_t)sili_div_up(t->dim[1], t->row_step);
	bool outer = t->dim[2] > 1 || t->dim[3] > 1;

	if (t->col_blocks > 1) {
		alui(t, X1_OP_REMU, R_I1, R_SLOT, rows);
		alui(t, X1_OP_DIVU, R_C0, R_SLOT, rows);
		alui(t, X1_OP_MUL, R_C0, R_C0, t->tile_cols);
		sili_prog_li(t->p, R_COLS, (int64_t)t->dim[0]);
		alu(t, X1_OP_SUB, R_COLS, R_COLS, R_C0);
		alui(t, X1_OP_MIN, R_COLS, R_COLS, t->tile_cols);
	} else {
		alui(t, X1_OP_ADD, R_I1, R_SLOT, 0);
	}
	if (outer) {
		alui(t, X1_OP_DIVU, R_I2, R_I1, d1);
		alui(t, X1_OP_REMU, R_I1, R_I1, d1);
		if (t->dim[3] > 1) {
			alui(t, X1_OP_DIVU, R_I3, R_I2, (int64_t)t->dim[2]);
			alui(t, X1_OP_REMU, R_I2, R_I2, (int64_t)t->dim[2]);
		}
	}
	if (t->row_step > 1)
		alui(t, X1_OP_MUL, R_I1, R_I1, t->row_step);
	emit_tile_rows(t, R_ROWS, R_I1, R_SLOT);
}

/* Row numbers of the tile at R_NEXT, if it is one of ours, into the other stage. */
static void emit_index(struct tiles *t)
{
	uint32_t past = sili_prog_label(t->p), last = 0;
	struct x1_desc d = {0};

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use == TILE_INDEX)
			last = i;
	sili_prog_branch(t->p, X1_OP_BGE, R_NEXT, R_END, past);
	/* Numbers go with rows alone: they are the same for what lies around. */
	alui(t, X1_OP_REMU, R_T2, R_NEXT, (int64_t)t->dim[1]);
	emit_tile_rows(t, R_LEFT, R_T2, R_NEXT);
	alui(t, X1_OP_SHL, R_T2, R_T2, 2);
	alui(t, X1_OP_SHL, R_LEFT, R_LEFT, 2);
	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_ESIZE(0));
	sili_desc_reg(&d, X1_DMA_COUNT0, R_LEFT);
	for (uint32_t i = 1; i <= last; i++) {
		if (t->op[i].use != TILE_INDEX)
			continue;
		alu(t, X1_OP_ADD, R_ADDR, (uint8_t)(R_ARG + i - 1), R_T2);
		alui(t, X1_OP_XOR, R_T1, R_IDX, (int64_t)t->index_bytes);
		alui(t, X1_OP_ADD, R_T1, R_T1, (int64_t)(t->index_at + t->op[i].at));
		sili_prog_sems(t->p, 0, 0, i == last ? X1_SEM(SEM_INDEX) : 0, 0);
		sili_prog_engine(t->p, X1_OP_LOAD, R_T1, R_ADDR, 0, &d);
	}
	sili_prog_place(t->p, past);
}

static void emit_loads(struct tiles *t)
{
	uint8_t wait = X1_SEM(SEM_FREE), table = X1_SEM(SEM_INDEX);
	uint32_t last = 0;

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		if (t->op[i].use == TILE_INDEX)
			alui(t, X1_OP_ADD, tile_at((uint8_t)i), R_IDX,
			     (int64_t)(t->index_at + t->op[i].at));
		if (!streams(t, i))
			continue;
		last = i;
		alui(t, X1_OP_ADD, tile_at((uint8_t)i), R_IN, (int64_t)t->op[i].at);
	}
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		bool gathers = t->op[i].index != 0;

		if (!streams(t, i))
			continue;
		emit_load(t, i, wait, gathers ? table : 0, i == last ? X1_SEM(SEM_FULL) : 0);
		wait = 0;
		if (gathers)
			table = 0;
	}
}

static void emit_stores(struct tiles *t)
{
	uint8_t wait = has_body(t) ? X1_SEM(SEM_READY) : X1_SEM(SEM_FULL);
	uint32_t last = 0;

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use == TILE_OUT)
			last = i;
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		if (t->op[i].use != TILE_OUT)
			continue;
		emit_store(t, i, wait,
			   i != last     ? 0
			   : has_body(t) ? X1_SEM(SEM_ROOM)
					 : X1_SEM(SEM_FREE),
			   0);
		wait = 0;
	}
}

/* On to the next stage of a ring from `base` on. */
static void emit_turn(struct tiles *t, uint8_t reg, uint64_t base, uint64_t bytes, uint32_t n)
{
	if (n == 1 || !bytes)
		return;
	alui(t, X1_OP_ADD, reg, reg, (int64_t)bytes - (int64_t)base);
	alui(t, X1_OP_REMU, reg, reg, (int64_t)(bytes * n));
	alui(t, X1_OP_ADD, reg, reg, (int64_t)base);
}

/* How many VECTOR instructions a hook emits: the last one of a tile signals. */
static uint32_t count_steps(struct tiles *t, void (*hook)(struct tiles *))
{
	struct sili_prog *real = t->p;

	t->p = sili_prog_new();
	t->steps = UINT32_MAX;
	t->step = 0;
	if (t->p)
		hook(t);
	sili_prog_free(t->p);
	t->p = real;
	return t->step;
}

static void run_hook(struct tiles *t, void (*hook)(struct tiles *), bool in_body)
{
	t->in_body = in_body;
	t->steps = count_steps(t, hook);
	t->step = 0;
	hook(t);
}

static void emit_residents(struct tiles *t)
{
	uint32_t last = 0;

	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].resident)
			last = i;
	for (uint32_t i = 1; i <= last; i++)
		if (t->op[i].resident)
			emit_load(t, i, 0, 0, i == last && t->begin ? X1_SEM(SEM_FIRST) : 0);
}

static struct sili_prog *generate(struct tiles *t)
{
	uint32_t loop, end;
	bool index = gathers(t);

	t->p = sili_prog_new();
	if (!t->p)
		return NULL;
	loop = sili_prog_label(t->p);
	end = sili_prog_label(t->p);
	emit_range(t);
	emit_locals(t);
	emit_residents(t);
	sili_emit_tokens(t->p, SEM_FREE, t->stages);
	sili_emit_tokens(t->p, SEM_ROOM, t->out_stages);
	if (t->begin) {
		if (!has_resident(t))
			sili_emit_tokens(t->p, SEM_FIRST, 1);
		run_hook(t, t->begin, false);
	}
	if (index) {
		alui(t, X1_OP_ADD, R_NEXT, R_SLOT, 0);
		emit_index(t);
		alui(t, X1_OP_XOR, R_IDX, R_IDX, (int64_t)t->index_bytes);
	}
	sili_prog_place(t->p, loop);
	sili_prog_branch(t->p, X1_OP_BGE, R_SLOT, R_END, end);
	emit_where(t);
	alui(t, X1_OP_ADD, R_NEXT, R_ROWS, t->row_step - 1);
	alui(t, X1_OP_DIVU, R_NEXT, R_NEXT, t->row_step);
	alu(t, X1_OP_ADD, R_NEXT, R_NEXT, R_SLOT);
	if (index)
		emit_index(t);
	emit_loads(t);
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++)
		if (t->op[i].use == TILE_OUT && !t->op[i].from)
			alui(t, X1_OP_ADD, tile_at((uint8_t)i), R_OUT, (int64_t)t->op[i].at);
	if (has_body(t))
		run_hook(t, t->body, true);
	emit_stores(t);
	emit_turn(t, R_IN, 0, t->in_bytes, t->stages);
	emit_turn(t, R_OUT, t->out_at, t->out_bytes, t->out_stages);
	if (index)
		alui(t, X1_OP_XOR, R_IDX, R_IDX, (int64_t)t->index_bytes);
	alui(t, X1_OP_ADD, R_SLOT, R_NEXT, 0);
	sili_prog_branch(t->p, X1_OP_JMP, 0, 0, loop);
	sili_prog_place(t->p, end);
	sili_prog_emit(t->p, (struct x1_insn){.op = X1_OP_END});
	return t->p;
}

/* ---- interface ---- */

#define KEY_OPERAND 4u /* words of one */

static uint64_t pair(uint64_t a, uint64_t b)
{
	return a << 32 | (uint32_t)b;
}

static struct sili_key key_of(const struct tiles *t)
{
	struct sili_key key = {.word = {t->family, pair(t->dim[0], t->dim[1]),
					pair(t->dim[2], t->dim[3]), t->prefetch}};
	uint64_t *w = key.word + 4;

	memcpy(w, t->param, sizeof(t->param));
	w += TILE_PARAMS;
	for (uint32_t i = 1; i <= TILE_OPERANDS; i++) {
		const struct tile_operand *o = &t->op[i];

		w[0] = pair((uint64_t)o->use << 20 | (uint64_t)o->fmt << 12 | o->index << 8 |
				    o->from << 4 | o->turned,
			    o->cols);
		w[1] = pair((uint64_t)o->stride[0], (uint64_t)o->stride[1]);
		w[2] = pair((uint64_t)o->stride[2], (uint64_t)o->stride[3]);
		w[3] = pair(o->rows, o->div << 16 | o->row_div);
		w += KEY_OPERAND;
	}
	return key;
}

X1_STATIC_ASSERT(4 + TILE_PARAMS + TILE_OPERANDS * KEY_OPERAND <= SILI_KEY_WORDS);

/* Plan, program, and the number of work-groups as the kernel's note. */
static int make(struct sili_device *dev, struct tiles *t, const struct sili_key *key,
		const struct sili_kernel **kernel)
{
	int ret = plan(&dev->info, t);
	uint32_t *grid;

	if (ret)
		return ret;
	grid = malloc(sizeof(*grid));
	if (!grid)
		return -ENOMEM;
	*grid = t->grid;
	return sili_keep(dev, key, generate(t), grid, kernel);
}

int tiles_launch(struct sili_device *dev, struct tiles *t, union x1_cmd *cmds, uint32_t max)
{
	uint64_t words[TILE_OPERANDS + TILE_EXTRA], args;
	uint32_t n = t->num_extra ? TILE_OPERANDS + t->num_extra : TILE_OPERANDS;
	const struct sili_kernel *k;
	struct sili_key key;
	int ret = settle(t);

	if (ret)
		return ret;
	if (!max)
		return -ENOSPC;
	key = key_of(t);
	k = sili_cache_find(dev, &key);
	if (!k) {
		ret = make(dev, t, &key, &k);
		if (ret)
			return ret;
	}
	for (uint32_t i = 0; i < TILE_OPERANDS; i++)
		words[i] = t->op[i + 1].dva;
	memcpy(words + TILE_OPERANDS, t->extra, sizeof(t->extra));
	ret = sili_args(dev, words, n, &args);
	if (ret)
		return ret;
	sili_cmd_launch(cmds, k, *(const uint32_t *)k->note, 1, 1, args, n);
	if (t->prefetch != SILI_PREFETCH_OFF)
		cmds->hdr.flags |= X1_LAUNCH_OVERLAP;
	return 1;
}
