// SPDX-License-Identifier: MIT
/*
 * Windows of an image on VECTOR. A work-group takes units in turn: a block of
 * output rows and columns and of channels. LOAD brings the unit's window of
 * the image, one unit ahead; for each row of the output VECTOR goes through
 * the taps, channels along its lanes, and STORE writes the row while VECTOR is
 * in the next.
 *
 *   FREE  a stage is free     FULL  a unit is there
 *   ROOM  a row may be made   DONE  a row is finished
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "window.h"

enum {
	SEM_FULL,
	SEM_FREE,
	SEM_ROOM,
	SEM_DONE,
};

enum {
	WIN_X,
	WIN_Y,
	WIN_W,
	WIN_BIAS,
	WIN_CS,
	WIN_RES,
	WIN_NUM,
};

enum {
	R_WG = 1,
	R_GRID = 5,
	R_ARG = X1_REG_ARG0,
	R_UNIT = R_ARG + WIN_NUM,
	R_NEXT,
	/* where a unit is, and its counts */
	R_C0,
	R_NC,
	R_X0,
	R_NX,
	R_Y0,
	R_NY,
	R_IMAGE,
	R_IX,
	R_IY,
	R_STAGE,
	/* a row of the output */
	R_ACC,
	R_OUT,     /* its address, but for column and channel */
	R_TOP,     /* first tap of the row's first pixel */
	R_TAP_ROW, /* first tap of a row of taps */
	R_SRC,
	R_WEIGHT,
	R_RES,
	R_CY,
	/* for a moment */
	R_T0,
	R_T1,
	R_BYTES,
	R_FIRST,
	R_ADDR,
	R_BIAS,
	R_FACTOR,
	R_SPARE,
	R_COUNTS,
};

X1_STATIC_ASSERT(R_COUNTS < X1_NUM_REGS);

#define TILE_CHANNELS X1_VEC_LANES
#define SPARE_BYTES   64u

struct plan {
	struct window w;
	uint32_t ty, tx, tc, taps;
	uint32_t tiles_c, tiles_x, tiles_y, units, grid;
	uint32_t pitch, halo_w, halo_h;                   /* of a stage's window */
	uint64_t w_off, bias_off, cs_off, res_off, stage; /* in a stage; its size */
	uint64_t acc_at, factor_at, counts_at, table_at, spare_at;
	bool ints;
	uint64_t cycles, roofline;
};

/* ---- plan ---- */

static uint64_t take(uint64_t *at, uint64_t bytes)
{
	uint64_t here = *at;

	*at += sili_align(bytes, 64);
	return here;
}

static uint32_t halo(const struct gemm_axis *a, uint32_t tile)
{
	return (tile - 1) * (uint32_t)a->stride + (a->taps - 1) * (uint32_t)a->dil + 1;
}

/* The scratchpad for the plan's tile; returns its end. */
static uint64_t place(struct plan *p)
{
	const struct window *w = &p->w;
	uint64_t at = 0, row = p->tx * p->tc * 4ull;

	p->pitch = (uint32_t)sili_fmt_bytes((enum x1_format)w->x_fmt, p->tc);
	p->halo_w = halo(&w->x, p->tx);
	p->halo_h = halo(&w->y, p->ty);
	take(&at, (uint64_t)p->pitch * p->halo_w * p->halo_h);
	p->w_off = take(&at, w->op == WINDOW_FMA ? sili_fmt_bytes((enum x1_format)w->w_fmt,
								  (uint64_t)p->taps * p->tc)
						 : 0);
	p->bias_off = take(&at, w->bias ? p->tc * 4ull : 0);
	p->cs_off = take(&at, w->col_scale ? p->tc * 4ull : 0);
	p->res_off = take(
		&at, w->residual ? p->ty * p->tx * sili_fmt_bytes((enum x1_format)w->res_fmt, p->tc)
				 : 0);
	p->stage = at;
	at *= 2;
	p->acc_at = take(&at, 2 * row);
	p->factor_at = take(&at, w->col_scale ? p->tc * 4ull : 0);
	p->counts_at = take(&at, w->op == WINDOW_AVG ? p->tx * 4ull : 0);
	p->table_at = take(&at, w->op == WINDOW_AVG ? w->x.out * 4ull : 0);
	p->spare_at = take(&at, SPARE_BYTES);
	return at;
}

static bool tile_ok(const struct sili_info *info, struct plan *p)
{
	return place(p) <= info->spad_bytes && (uint64_t)p->halo_w * p->halo_h <= X1_DMA_MAX_ROWS &&
	       (uint64_t)p->pitch * p->halo_w * p->halo_h <= X1_DMA_MAX_BYTES &&
	       (uint64_t)p->taps * p->tc <= X1_DMA_MAX_ROWS &&
	       (uint64_t)p->tx * p->tc <= X1_VEC_MAX_ELEMS &&
	       (uint64_t)p->ty * p->tx <= X1_DMA_MAX_ROWS;
}

static uint64_t lanes(uint64_t cols, uint32_t per_cycle)
{
	return sili_div_up(cols, per_cycle);
}

/* VECTOR's cycles for a row of the tile. */
static uint64_t row_cycles(const struct plan *p)
{
	const struct window *w = &p->w;
	uint64_t steps = p->taps + (w->bias ? 1 : 0) + (w->residual ? 1 : 0) +
			 (w->scale != 1.0f || w->col_scale ? 1 : 0) + (w->act == SILI_ACT_RELU) +
			 (w->out_scale != 1.0f);
	uint64_t slow = (w->op >= WINDOW_AVG) + (w->act > SILI_ACT_RELU);

	return p->tx *
	       (steps * lanes(p->tc, X1_VEC_LANES) + slow * lanes(p->tc, X1_VEC_SLOW_LANES));
}

static uint64_t estimate(const struct sili_info *info, const struct plan *p, uint64_t units)
{
	const struct window *w = &p->w;
	uint64_t busy = sili_min64(units, info->mcus_healthy), waves = sili_div_up(units, busy);
	uint64_t in = p->stage,
		 out = p->ty * p->tx * sili_fmt_bytes((enum x1_format)w->y_fmt, p->tc);
	uint64_t load = in / X1_LOAD_PORT, unit = p->ty * row_cycles(p);
	/* A tap is an instruction and two additions, and what comes between rows. */
	uint64_t seq = p->ty * (p->taps * 3ull + 40) + 100;
	uint64_t hbm = (in * units + out) / info->hbm_bw;

	unit = unit > seq ? unit : seq;
	unit = unit > load ? unit : load;
	unit = unit > out / X1_STORE_PORT ? unit : out / X1_STORE_PORT;
	return info->hbm_latency + load + waves * unit +
	       (hbm > waves * unit ? hbm - waves * unit : 0) + out / p->ty / X1_STORE_PORT;
}

/* The next smaller size that makes more tiles; 0 = there is none. */
static uint32_t next_size(uint32_t of, uint32_t size)
{
	uint32_t tiles = (uint32_t)sili_div_up(of, size) + 1, next;

	if (tiles > of)
		return 0;
	next = (uint32_t)sili_div_up(of, tiles);
	return next < size ? next : size - 1;
}

/* The next smaller block of channels, in whole widths of VECTOR. */
static uint32_t fewer_lanes(uint32_t channels, uint32_t tc)
{
	uint32_t widths = (uint32_t)sili_div_up(tc, TILE_CHANNELS), blocks;

	blocks = (uint32_t)sili_div_up(sili_div_up(channels, TILE_CHANNELS), widths) + 1;
	return (uint32_t)sili_min64(widths - 1,
				    sili_div_up(sili_div_up(channels, TILE_CHANNELS), blocks)) *
	       TILE_CHANNELS;
}

static int choose(const struct sili_info *info, struct plan *p)
{
	const struct window *w = &p->w;
	struct plan best = {.cycles = UINT64_MAX};
	/* Blocks of channels begin at whole bytes: four of six bits, two of four. */
	uint32_t least = (uint32_t)sili_min64(w->channels, 4);

	for (uint32_t tc = w->channels; tc;) {
		p->tc = tc;
		for (p->ty = w->y.out; p->ty; p->ty = next_size(w->y.out, p->ty))
			for (p->tx = w->x.out; p->tx; p->tx = next_size(w->x.out, p->tx)) {
				uint64_t units = sili_div_up(w->channels, tc) *
						 sili_div_up(w->x.out, p->tx) *
						 sili_div_up(w->y.out, p->ty) * w->images;

				if (units > X1_MAX_GRID || !tile_ok(info, p))
					continue;
				p->cycles = estimate(info, p, units);
				p->units = (uint32_t)units;
				if (p->cycles < best.cycles)
					best = *p;
			}
		if (tc <= least)
			break;
		/* Less than VECTOR's width only where nothing else fits. */
		tc = tc > TILE_CHANNELS          ? fewer_lanes(w->channels, tc)
		     : best.cycles == UINT64_MAX ? (uint32_t)sili_align(tc / 2, least)
						 : 0;
	}
	if (best.cycles == UINT64_MAX)
		return -E2BIG;
	*p = best;
	place(p);
	p->tiles_c = (uint32_t)sili_div_up(w->channels, p->tc);
	p->tiles_x = (uint32_t)sili_div_up(w->x.out, p->tx);
	p->tiles_y = (uint32_t)sili_div_up(w->y.out, p->ty);
	p->grid = (uint32_t)sili_min64(p->units, info->mcus_healthy);
	return 0;
}

static uint64_t roofline(const struct sili_info *info, const struct window *w)
{
	uint64_t pixels = (uint64_t)w->images * w->y.out * w->x.out;
	uint64_t vec = pixels * w->y.taps * w->x.taps * lanes(w->channels, X1_VEC_LANES) /
		       info->mcus_healthy;
	uint64_t bytes = sili_fmt_bytes((enum x1_format)w->x_fmt,
					(uint64_t)w->images * w->y.in * w->x.in * w->channels);

	bytes += w->residual ? sili_fmt_bytes((enum x1_format)w->res_fmt, pixels * w->channels) : 0;
	return vec > bytes / info->hbm_bw ? vec : bytes / info->hbm_bw;
}

/* ---- program ---- */

static void alui(struct sili_prog *p, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm)
{
	sili_prog_alui(p, op, rd, ra, imm);
}

/* First coordinate and count of tile number R_T0. */
static void first_and_count(struct sili_prog *p, uint8_t first, uint8_t count, uint32_t size,
			    uint32_t of)
{
	alui(p, X1_OP_MUL, first, R_T0, size);
	sili_prog_li(p, count, of);
	sili_prog_alu(p, X1_OP_SUB, count, count, first);
	alui(p, X1_OP_MIN, count, count, size);
}

static void emit_unit(struct sili_prog *p, const struct plan *pl, uint8_t unit)
{
	const struct window *w = &pl->w;

	alui(p, X1_OP_REMU, R_T0, unit, pl->tiles_c);
	first_and_count(p, R_C0, R_NC, pl->tc, w->channels);
	alui(p, X1_OP_DIVU, R_T1, unit, pl->tiles_c);
	alui(p, X1_OP_REMU, R_T0, R_T1, pl->tiles_x);
	first_and_count(p, R_X0, R_NX, pl->tx, w->x.out);
	alui(p, X1_OP_DIVU, R_T1, R_T1, pl->tiles_x);
	alui(p, X1_OP_REMU, R_T0, R_T1, pl->tiles_y);
	first_and_count(p, R_Y0, R_NY, pl->ty, w->y.out);
	alui(p, X1_OP_DIVU, R_IMAGE, R_T1, pl->tiles_y);
	alui(p, X1_OP_MUL, R_IX, R_X0, w->x.stride);
	alui(p, X1_OP_ADD, R_IX, R_IX, w->x.origin);
	alui(p, X1_OP_MUL, R_IY, R_Y0, w->y.stride);
	alui(p, X1_OP_ADD, R_IY, R_IY, w->y.origin);
}

/* log2 of the bytes that LOAD moves at a time, and how many of them n elements are. */
static uint32_t move_log2(enum x1_format fmt)
{
	uint32_t bits = x1_format_bits(fmt);

	return bits == 32 ? 2 : bits == 16 ? 1 : 0;
}

static void emit_moves(struct sili_prog *p, enum x1_format fmt, uint8_t rd, uint8_t ra)
{
	uint32_t bits = x1_format_bits(fmt);

	alui(p, X1_OP_MUL, rd, ra, bits < 8 ? bits : 1);
	alui(p, X1_OP_SHR, rd, rd, bits < 8 ? 3 : 0);
}

/* The least value of a format, as LOAD pads with it. */
static int64_t lowest(enum x1_format fmt)
{
	uint32_t code = 0;
	float least = -(float)INFINITY;

	if (fmt == X1_FMT_INT32)
		return INT32_MIN;
	sili_from_f32(fmt, (const float[2]){least, least}, &code, x1_format_bits(fmt) < 8 ? 2 : 1);
	/* Conversion saturates: formats with infinities have a lower one. */
	if (fmt == X1_FMT_FP32 || fmt == X1_FMT_TF32)
		return (int32_t)0xff800000;
	return fmt == X1_FMT_FP16   ? 0xfc00
	       : fmt == X1_FMT_BF16 ? 0xff80
	       : fmt == X1_FMT_E5M2 ? 0xfc
				    : (int64_t)code;
}

/* A box of the image: its pixels outside of it are `pad`. */
static void emit_window(struct sili_prog *p, const struct plan *pl, uint8_t sig)
{
	const struct window *w = &pl->w;
	enum x1_format fmt = (enum x1_format)w->x_fmt;
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(4) | X1_DMA_CTRL_ESIZE(move_log2(fmt)));
	sili_desc_set(&d, X1_DMA_PAD, w->op == WINDOW_MAX ? lowest(fmt) : 0);
	emit_moves(p, fmt, R_BYTES, R_NC);
	emit_moves(p, fmt, R_FIRST, R_C0);
	sili_desc_reg(&d, X1_DMA_COUNT0, R_BYTES);
	sili_desc_set(&d, X1_DMA_COUNT0 + 1, pl->halo_w);
	sili_desc_set(&d, X1_DMA_COUNT0 + 2, pl->halo_h);
	sili_desc_set(&d, X1_DMA_COUNT0 + 3, 1);
	sili_desc_reg(&d, X1_DMA_ORIGIN0, R_FIRST);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_IX);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 2, R_IY);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 3, R_IMAGE);
	sili_desc_set(&d, X1_DMA_BOUND0 + 1, w->x.in);
	sili_desc_set(&d, X1_DMA_BOUND0 + 2, w->y.in);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)w->x.x_stride);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 1, (int64_t)w->y.x_stride);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 2, (int64_t)w->x_image);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, pl->pitch);
	sili_desc_set(&d, X1_DMA_LSTRIDE1 + 1, (int64_t)pl->pitch * pl->halo_w);
	sili_prog_sems(p, X1_SEM(SEM_FREE), 0, sig, 0);
	sili_prog_engine(p, X1_OP_LOAD, R_STAGE, R_ARG + WIN_X, 0, &d);
}

/* Weights of the block's channels, a row of them per tap. */
static void emit_weights(struct sili_prog *p, const struct plan *pl, uint8_t sig)
{
	enum x1_format fmt = (enum x1_format)pl->w.w_fmt;
	uint32_t e = x1_format_bits(fmt) / 8;
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(3) | X1_DMA_CTRL_ESIZE(move_log2(fmt)));
	sili_desc_set(&d, X1_DMA_COUNT0, 1);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_NC);
	sili_desc_set(&d, X1_DMA_COUNT0 + 2, pl->taps);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_C0);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)pl->taps * e);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 1, e);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, e);
	sili_desc_set(&d, X1_DMA_LSTRIDE1 + 1, (int64_t)pl->tc * e);
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->w_off);
	sili_prog_sems(p, 0, 0, sig, 0);
	sili_prog_engine(p, X1_OP_LOAD, R_ADDR, R_ARG + WIN_W, 0, &d);
}

static void emit_vector(struct sili_prog *p, uint64_t off, uint8_t arg, uint8_t sig)
{
	alui(p, X1_OP_SHL, R_T0, R_C0, 2);
	sili_prog_alu(p, X1_OP_ADD, R_T0, R_T0, arg);
	alui(p, X1_OP_SHL, R_BYTES, R_NC, 2);
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)off);
	sili_prog_sems(p, 0, 0, sig, 0);
	sili_emit_load(p, R_ADDR, R_T0,
		       &(struct sili_block){.bytes = sili_reg(R_BYTES), .rows = sili_imm(1)});
}

static void emit_residual(struct sili_prog *p, const struct plan *pl, uint8_t sig)
{
	const struct window *w = &pl->w;
	enum x1_format fmt = (enum x1_format)w->res_fmt;
	uint64_t pitch = sili_fmt_bytes(fmt, pl->tc);
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(4) | X1_DMA_CTRL_ESIZE(move_log2(fmt)));
	emit_moves(p, fmt, R_BYTES, R_NC);
	emit_moves(p, fmt, R_FIRST, R_C0);
	sili_desc_reg(&d, X1_DMA_COUNT0, R_BYTES);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_NX);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 2, R_NY);
	sili_desc_set(&d, X1_DMA_COUNT0 + 3, 1);
	sili_desc_reg(&d, X1_DMA_ORIGIN0, R_FIRST);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_X0);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 2, R_Y0);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 3, R_IMAGE);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)w->x.res_stride);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 1, (int64_t)w->y.res_stride);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 2, (int64_t)w->res_image);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, (int64_t)pitch);
	sili_desc_set(&d, X1_DMA_LSTRIDE1 + 1, (int64_t)pitch * pl->tx);
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->res_off);
	sili_prog_sems(p, 0, 0, sig, 0);
	sili_prog_engine(p, X1_OP_LOAD, R_ADDR, R_ARG + WIN_RES, 0, &d);
}

/* All of a unit to the stage; the last of it says that it is there. */
static void emit_loads(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;
	uint32_t left = (w->op == WINDOW_FMA) + w->bias + w->col_scale + w->residual;
	const uint8_t full = X1_SEM(SEM_FULL);

	emit_window(p, pl, left ? 0 : full);
	if (w->op == WINDOW_FMA)
		emit_weights(p, pl, --left ? 0 : full);
	if (w->bias)
		emit_vector(p, pl->bias_off, R_ARG + WIN_BIAS, --left ? 0 : full);
	if (w->col_scale)
		emit_vector(p, pl->cs_off, R_ARG + WIN_CS, --left ? 0 : full);
	if (w->residual)
		emit_residual(p, pl, full);
}

/* ---- VECTOR ---- */

static enum x1_format sum_fmt(const struct plan *pl)
{
	return pl->ints ? X1_FMT_INT32 : X1_FMT_FP32;
}

/* The tap at R_SRC (and R_WEIGHT) for a row of pixels. */
static void emit_tap(struct sili_prog *p, const struct plan *pl, bool first)
{
	const struct window *w = &pl->w;
	enum x1_format sum = sum_fmt(pl);
	bool fma = w->op == WINDOW_FMA;
	enum x1_vec_op op = fma                   ? X1_VEC_FMA
			    : first               ? X1_VEC_MOV
			    : w->op == WINDOW_MAX ? X1_VEC_MAX
						  : X1_VEC_ADD;
	enum x1_format s1 = fma ? (enum x1_format)w->w_fmt : first ? X1_FMT_FP32 : sum;
	enum x1_format s2 = fma ? sum : X1_FMT_FP32;
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_VEC_OP, op);
	sili_desc_reg(&d, X1_VEC_ROWS, R_NX);
	sili_desc_reg(&d, X1_VEC_COLS, R_NC);
	sili_desc_set(&d, X1_VEC_FMT, sum | w->x_fmt << 8 | s1 << 16 | (uint32_t)s2 << 24);
	sili_desc_set(&d, X1_VEC_D_STRIDE, pl->tc * 4);
	sili_desc_set(&d, X1_VEC_S0_STRIDE, (int64_t)pl->pitch * w->x.stride);
	if (fma) {
		sili_desc_set(&d, X1_VEC_CTRL,
			      X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_ROW) |
				      X1_VEC_CTRL_BCAST2(first ? X1_VEC_BCAST_SCALAR
							       : X1_VEC_BCAST_NONE));
		if (!first) {
			sili_desc_reg(&d, X1_VEC_S2_ADDR, R_ACC);
			sili_desc_set(&d, X1_VEC_S2_STRIDE, pl->tc * 4);
		}
	} else if (!first) {
		sili_desc_set(&d, X1_VEC_S1_STRIDE, pl->tc * 4);
	}
	if (first)
		sili_prog_sems(p, X1_SEM(SEM_ROOM), 0, 0, 0);
	sili_prog_engine(p, X1_OP_VEC, R_ACC, R_SRC, fma ? R_WEIGHT : first ? 0 : R_ACC, &d);
}

/* The other taps of a row of them. */
static void emit_row_of_taps(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;

	if (w->x.taps == 1)
		return;
	sili_prog_li(p, R_T0, w->x.taps - 1);
	sili_prog_loop(p, R_T0);
	alui(p, X1_OP_ADD, R_SRC, R_SRC, (int64_t)pl->pitch * w->x.dil);
	if (w->op == WINDOW_FMA)
		alui(p, X1_OP_ADD, R_WEIGHT, R_WEIGHT,
		     (int64_t)sili_fmt_bytes((enum x1_format)w->w_fmt, pl->tc));
	emit_tap(p, pl, false);
	sili_prog_loop_end(p);
}

static void emit_taps(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;

	alui(p, X1_OP_ADD, R_TAP_ROW, R_TOP, 0);
	alui(p, X1_OP_ADD, R_SRC, R_TOP, 0);
	alui(p, X1_OP_ADD, R_WEIGHT, R_STAGE, (int64_t)pl->w_off);
	emit_tap(p, pl, true);
	emit_row_of_taps(p, pl);
	if (w->y.taps == 1)
		return;
	sili_prog_li(p, R_T1, w->y.taps - 1);
	sili_prog_loop(p, R_T1);
	alui(p, X1_OP_ADD, R_TAP_ROW, R_TAP_ROW, (int64_t)pl->pitch * pl->halo_w * w->y.dil);
	alui(p, X1_OP_ADD, R_SRC, R_TAP_ROW, 0);
	if (w->op == WINDOW_FMA)
		alui(p, X1_OP_ADD, R_WEIGHT, R_WEIGHT,
		     (int64_t)sili_fmt_bytes((enum x1_format)w->w_fmt, pl->tc));
	emit_tap(p, pl, false);
	emit_row_of_taps(p, pl);
	sili_prog_loop_end(p);
}

/* In place on the row; src: FP32 but for the first step on integers. */
static void emit_step(struct sili_prog *p, const struct plan *pl, enum x1_format *src,
		      enum x1_vec_op op, uint32_t bcast, float scalar, uint8_t rb,
		      enum x1_format s1, uint64_t s1_stride)
{
	sili_emit_vec(p, R_ACC, R_ACC, rb,
		      &(struct sili_vec){
			      .op = op,
			      .rows = sili_reg(R_NX),
			      .cols = sili_reg(R_NC),
			      .s0_fmt = *src,
			      .s1_fmt = s1,
			      .bcast1 = bcast,
			      .scalar1 = scalar,
			      .dst_stride = sili_imm(pl->tc * 4),
			      .s0_stride = sili_imm(pl->tc * 4),
			      .s1_stride = sili_imm((int64_t)s1_stride),
		      });
	*src = X1_FMT_FP32;
}

/* How many of the window's pixels are inside of the image, for R_NX of them. */
static void emit_counts(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;
	struct x1_desc d = {0};

	alui(p, X1_OP_ADD, R_CY, R_IY, w->y.taps);
	alui(p, X1_OP_MIN, R_CY, R_CY, w->y.in);
	alui(p, X1_OP_MAX, R_T0, R_IY, 0);
	sili_prog_alu(p, X1_OP_SUB, R_CY, R_CY, R_T0);
	alui(p, X1_OP_SHL, R_T0, R_X0, 2);
	alui(p, X1_OP_ADD, R_T0, R_T0, (int64_t)pl->table_at);
	sili_prog_li(p, R_COUNTS, (int64_t)pl->counts_at);
	sili_desc_set(&d, X1_VEC_OP, X1_VEC_MUL);
	sili_desc_set(&d, X1_VEC_ROWS, 1);
	sili_desc_reg(&d, X1_VEC_COLS, R_NX);
	sili_desc_set(&d, X1_VEC_FMT, X1_FMT_INT32 | X1_FMT_INT32 << 8 | X1_FMT_INT32 << 16);
	sili_desc_set(&d, X1_VEC_CTRL, X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_SCALAR));
	sili_desc_reg(&d, X1_VEC_IMM1, R_CY);
	sili_prog_engine(p, X1_OP_VEC, R_COUNTS, R_T0, 0, &d);
}

static void emit_epilogue(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;
	enum x1_format src = sum_fmt(pl);

	if (w->op == WINDOW_AVG) {
		emit_counts(p, pl);
		emit_step(p, pl, &src, X1_VEC_DIV, X1_VEC_BCAST_COL, 0, R_COUNTS, X1_FMT_INT32, 4);
	} else if (w->op == WINDOW_AVG_ALL) {
		emit_step(p, pl, &src, X1_VEC_DIV, X1_VEC_BCAST_SCALAR, (float)pl->taps, 0,
			  X1_FMT_FP32, 0);
	}
	if (w->col_scale) {
		alui(p, X1_OP_ADD, R_FACTOR, R_STAGE, (int64_t)pl->cs_off);
		if (w->scale != 1.0f)
			sili_prog_li(p, R_FACTOR, (int64_t)pl->factor_at);
		emit_step(p, pl, &src, X1_VEC_MUL, X1_VEC_BCAST_ROW, 0, R_FACTOR, X1_FMT_FP32, 0);
	} else if (w->scale != 1.0f) {
		emit_step(p, pl, &src, X1_VEC_MUL, X1_VEC_BCAST_SCALAR, w->scale, 0, X1_FMT_FP32,
			  0);
	}
	if (w->bias) {
		alui(p, X1_OP_ADD, R_BIAS, R_STAGE, (int64_t)pl->bias_off);
		emit_step(p, pl, &src, X1_VEC_ADD, X1_VEC_BCAST_ROW, 0, R_BIAS, X1_FMT_FP32, 0);
	}
	if (w->residual) {
		uint64_t pitch = sili_fmt_bytes((enum x1_format)w->res_fmt, pl->tc);

		emit_step(p, pl, &src, X1_VEC_ADD, X1_VEC_BCAST_NONE, 0, R_RES,
			  (enum x1_format)w->res_fmt, pitch);
		alui(p, X1_OP_ADD, R_RES, R_RES, (int64_t)pitch * pl->tx);
	}
	if (w->act)
		emit_step(p, pl, &src, (enum x1_vec_op)sili_act_op((enum sili_act)w->act),
			  X1_VEC_BCAST_NONE, 0, 0, X1_FMT_FP32, 0);
	if (w->out_scale != 1.0f)
		emit_step(p, pl, &src, X1_VEC_MUL, X1_VEC_BCAST_SCALAR, w->out_scale, 0,
			  X1_FMT_FP32, 0);
}

/* Does the epilogue leave INT32? */
static bool row_is_int(const struct plan *pl)
{
	const struct window *w = &pl->w;

	return pl->ints && w->op < WINDOW_AVG && !w->bias && !w->col_scale && !w->residual &&
	       !w->act && w->scale == 1.0f && w->out_scale == 1.0f;
}

/* A token when VECTOR has come this far: loops have no last instruction. */
static void emit_mark(struct sili_prog *p, uint8_t sem)
{
	sili_prog_sems(p, 0, 0, X1_SEM(sem), 0);
	sili_emit_vec(
		p, R_SPARE, R_SPARE, 0,
		&(struct sili_vec){.op = X1_VEC_MOV, .rows = sili_imm(1), .cols = sili_imm(1)});
}

static void emit_store(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL,
		      X1_DMA_CTRL_NDIM(2) |
			      X1_DMA_CTRL_LFMT(row_is_int(pl) ? X1_FMT_INT32 : X1_FMT_FP32) |
			      X1_DMA_CTRL_MFMT(w->y_fmt));
	sili_desc_reg(&d, X1_DMA_COUNT0, R_NC);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_NX);
	sili_desc_reg(&d, X1_DMA_ORIGIN0, R_C0);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_X0);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)w->x.y_stride);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, pl->tc * 4);
	sili_prog_sems(p, X1_SEM(SEM_DONE), 0, X1_SEM(SEM_ROOM), 0);
	sili_prog_engine(p, X1_OP_STORE, R_ACC, R_OUT, 0, &d);
}

static void emit_rows(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;
	uint64_t row = pl->tx * pl->tc * 4ull;

	sili_prog_sems(p, X1_SEM(SEM_FULL), 0, 0, 0);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	alui(p, X1_OP_ADD, R_TOP, R_STAGE, 0);
	alui(p, X1_OP_ADD, R_RES, R_STAGE, (int64_t)pl->res_off);
	alui(p, X1_OP_MUL, R_OUT, R_Y0, (int64_t)w->y.y_stride);
	alui(p, X1_OP_MUL, R_T0, R_IMAGE, (int64_t)w->y_image);
	sili_prog_alu(p, X1_OP_ADD, R_OUT, R_OUT, R_T0);
	sili_prog_alu(p, X1_OP_ADD, R_OUT, R_OUT, R_ARG + WIN_Y);
	if (w->col_scale && w->scale != 1.0f) {
		alui(p, X1_OP_ADD, R_T0, R_STAGE, (int64_t)pl->cs_off);
		sili_prog_li(p, R_FACTOR, (int64_t)pl->factor_at);
		sili_emit_vec(p, R_FACTOR, R_T0, 0,
			      &(struct sili_vec){.op = X1_VEC_MUL,
						 .rows = sili_imm(1),
						 .cols = sili_reg(R_NC),
						 .bcast1 = X1_VEC_BCAST_SCALAR,
						 .scalar1 = w->scale});
	}
	sili_prog_loop(p, R_NY);
	emit_taps(p, pl);
	emit_epilogue(p, pl);
	emit_mark(p, SEM_DONE);
	emit_store(p, pl);
	/* The other row's place. */
	sili_prog_li(p, R_T0, (int64_t)(2 * pl->acc_at + row));
	sili_prog_alu(p, X1_OP_SUB, R_ACC, R_T0, R_ACC);
	alui(p, X1_OP_ADD, R_TOP, R_TOP, (int64_t)pl->pitch * pl->halo_w * w->y.stride);
	alui(p, X1_OP_ADD, R_OUT, R_OUT, (int64_t)w->y.y_stride);
	alui(p, X1_OP_ADD, R_IY, R_IY, w->y.stride);
	sili_prog_loop_end(p);
	emit_mark(p, SEM_FREE);
}

/* Pixels of each column's window that are inside of the image. */
static void emit_table(struct sili_prog *p, const struct plan *pl)
{
	const struct window *w = &pl->w;

	sili_prog_li(p, R_IX, w->x.origin);
	sili_prog_li(p, R_ADDR, (int64_t)pl->table_at);
	sili_prog_li(p, R_T1, w->x.out);
	sili_prog_loop(p, R_T1);
	alui(p, X1_OP_ADD, R_T0, R_IX, w->x.taps);
	alui(p, X1_OP_MIN, R_T0, R_T0, w->x.in);
	alui(p, X1_OP_MAX, R_BYTES, R_IX, 0);
	sili_prog_alu(p, X1_OP_SUB, R_T0, R_T0, R_BYTES);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_STS, .rd = R_T0, .ra = R_ADDR, .rb = 2});
	alui(p, X1_OP_ADD, R_ADDR, R_ADDR, 4);
	alui(p, X1_OP_ADD, R_IX, R_IX, w->x.stride);
	sili_prog_loop_end(p);
}

static void emit_other_stage(struct sili_prog *p, const struct plan *pl)
{
	sili_prog_li(p, R_T0, (int64_t)pl->stage);
	sili_prog_alu(p, X1_OP_SUB, R_STAGE, R_T0, R_STAGE);
}

static struct sili_prog *generate(const struct plan *pl)
{
	struct sili_prog *p = sili_prog_new();
	uint32_t again, last;

	if (!p)
		return NULL;
	again = sili_prog_label(p);
	last = sili_prog_label(p);
	sili_emit_tokens(p, SEM_FREE, 2);
	sili_emit_tokens(p, SEM_ROOM, 2);
	if (pl->w.op == WINDOW_AVG)
		emit_table(p, pl);
	sili_prog_li(p, R_SPARE, (int64_t)pl->spare_at);
	sili_prog_li(p, R_ACC, (int64_t)pl->acc_at);
	sili_prog_li(p, R_STAGE, 0);
	alui(p, X1_OP_ADD, R_UNIT, R_WG, 0);
	emit_unit(p, pl, R_UNIT);
	emit_loads(p, pl);
	sili_prog_place(p, again);
	sili_prog_alu(p, X1_OP_ADD, R_NEXT, R_UNIT, R_GRID);
	sili_prog_li(p, R_T0, pl->units);
	sili_prog_branch(p, X1_OP_BGEU, R_NEXT, R_T0, last);
	emit_other_stage(p, pl);
	emit_unit(p, pl, R_NEXT);
	emit_loads(p, pl);
	emit_other_stage(p, pl);
	emit_unit(p, pl, R_UNIT);
	emit_rows(p, pl);
	emit_other_stage(p, pl);
	alui(p, X1_OP_ADD, R_UNIT, R_NEXT, 0);
	sili_prog_branch(p, X1_OP_JMP, 0, 0, again);
	sili_prog_place(p, last);
	emit_unit(p, pl, R_UNIT);
	emit_rows(p, pl);
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	return p;
}

/* ---- calls ---- */

static int make(struct sili_device *dev, const struct window *w, const struct sili_key *key,
		const struct sili_kernel **out)
{
	struct plan *pl = calloc(1, sizeof(*pl));
	int ret;

	if (!pl)
		return -ENOMEM;
	pl->w = *w;
	pl->taps = w->y.taps * w->x.taps;
	pl->ints = x1_format_is_int((enum x1_format)w->x_fmt);
	ret = choose(&dev->info, pl);
	pl->roofline = roofline(&dev->info, w);
	if (ret) {
		free(pl);
		return ret;
	}
	return sili_keep(dev, key, generate(pl), pl, out);
}

int window_launch(struct sili_device *dev, const struct window *w, const struct window_addr *addr,
		  union x1_cmd *cmd, struct window_plan *plan)
{
	struct sili_key key = {.word = {SILI_KEY_WINDOW}};
	const struct sili_kernel *k;
	const struct plan *pl;
	uint64_t args;
	int ret;

	X1_STATIC_ASSERT(sizeof(*w) + 8 <= sizeof(key));
	memcpy(key.word + 1, w, sizeof(*w));
	k = sili_cache_find(dev, &key);
	if (!k) {
		ret = make(dev, w, &key, &k);
		if (ret)
			return ret;
	}
	ret = sili_args(dev,
			(uint64_t[WIN_NUM]){
				[WIN_X] = addr->x,
				[WIN_Y] = addr->y,
				[WIN_W] = addr->weights,
				[WIN_BIAS] = addr->bias,
				[WIN_CS] = addr->col_scale,
				[WIN_RES] = addr->residual,
			},
			WIN_NUM, &args);
	if (ret)
		return ret;
	pl = k->note;
	sili_cmd_launch(cmd, k, pl->grid, 1, 1, args, WIN_NUM);
	if (w->overlap)
		cmd->hdr.flags = X1_LAUNCH_OVERLAP;
	if (plan)
		*plan = (struct window_plan){pl->ty,   pl->tx,     pl->tc,
					     pl->grid, pl->cycles, pl->roofline};
	return 0;
}

bool image_strides(enum x1_format fmt, uint32_t channels, uint32_t width, uint32_t height,
		   uint64_t *pixel, uint64_t *row, uint64_t *image)
{
	uint64_t bits = (uint64_t)channels * x1_format_bits(fmt);

	if (!bits || bits % 8)
		return false;
	if (!*pixel)
		*pixel = bits / 8;
	if (!*row)
		*row = *pixel * width;
	if (!*image)
		*image = *row * height;
	return *pixel >= bits / 8 && *pixel <= INT32_MAX &&
	       *row >= *pixel * (width - 1) + bits / 8 && *row <= INT32_MAX &&
	       *image >= *row * (height - 1) && *image <= INT32_MAX;
}
