// SPDX-License-Identifier: MIT
/*
 * Structured sparsity on the device: of each group the largest magnitudes and
 * their places, packed. TOPK chooses; a transpose to rows and back brings the
 * two places of a group into rising order; bits are packed by integer sums.
 */
#include "sili_kernels.h"
#include "tiles.h"

enum {
	SRC = 1,
	STORED,
	META,
	SIZE, /* magnitudes */
	BEST,
	PLACE,  /* in the group, then in the tile */
	PAIR,   /* first places of all groups, then second ones */
	GROUP,  /* number of each group */
	CODE,   /* index bits of a group */
	WORD,   /* of PACK groups */
	RAW,    /* their bytes */
	WEIGHT, /* 2^(bits of a group * i) */
};

enum {
	P_SPARSITY,
};

struct shape {
	uint32_t group, kept, bits; /* elements, stored ones, bits of an index */
	uint32_t groups;            /* of a row */
	uint32_t pack, bytes;       /* groups that fill whole bytes, and these */
	uint32_t words;             /* of a row */
};

static struct shape shape_of(enum x1_sparsity sparsity, uint32_t k)
{
	struct shape s = {.group = sparsity == X1_SPARSE_2_16                               ? 16
				   : sparsity == X1_SPARSE_2_8 || sparsity == X1_SPARSE_1_8 ? 8
											    : 4};
	uint32_t all;

	s.kept = sili_sparse_k(sparsity, s.group);
	s.bits = s.group == 16 ? 4 : s.group == 8 ? 3 : 2;
	s.groups = k / s.group;
	all = s.kept * s.bits;
	s.bytes = all % 3 ? 1 : 3;
	s.pack = s.bytes * 8 / all;
	s.words = (uint32_t)sili_div_up(s.groups, s.pack);
	return s;
}

static struct sili_vec ints(enum x1_vec_op op, struct sili_val rows, struct sili_val cols)
{
	return (struct sili_vec){.op = op,
				 .rows = rows,
				 .cols = cols,
				 .dst_fmt = X1_FMT_INT32,
				 .s0_fmt = X1_FMT_INT32,
				 .s1_fmt = X1_FMT_INT32,
				 .s2_fmt = X1_FMT_INT32};
}

static struct shape shape_in(const struct tiles *t)
{
	return shape_of((enum x1_sparsity)t->param[P_SPARSITY], (uint32_t)t->dim[0]);
}

static void begin(struct tiles *t)
{
	struct shape s = shape_in(t);
	struct sili_vec v = ints(X1_VEC_IOTA, sili_imm(1),
				 sili_imm((int64_t)t->tile_rows * s.groups));
	uint8_t value = TILE_R_BODY;

	tile_vec(t, tile_at(GROUP), 0, 0, &v);
	for (uint32_t i = 0; i < s.pack; i++) {
		sili_prog_li(t->p, value, 1ll << i * s.kept * s.bits);
		sili_prog_emit(t->p, (struct x1_insn){.op = X1_OP_STS,
						      .rd = value,
						      .ra = tile_at(WEIGHT),
						      .rb = 2,
						      .imm = i * 4});
	}
	/* What no group writes stays 0: rows end in the middle of a word. */
	v = ints(X1_VEC_MASK, sili_imm(1), sili_imm((int64_t)t->tile_rows * s.words * s.pack));
	v.param = sili_imm(INT32_MIN / 2);
	tile_vec(t, tile_at(CODE), tile_at(CODE), 0, &v);
}

/* The two places of each group in rising order. */
static void emit_order(struct tiles *t, uint8_t groups, uint8_t second)
{
	struct sili_vec v = ints(X1_VEC_TRANSPOSE, sili_reg(groups), sili_imm(2));
	uint8_t bytes = TILE_R_BODY + 2;

	sili_prog_alui(t->p, X1_OP_SHL, bytes, groups, 2);
	sili_prog_alu(t->p, X1_OP_ADD, second, tile_at(PAIR), bytes);
	v.s0_stride = sili_imm(8);
	v.dst_stride = sili_reg(bytes);
	tile_vec(t, tile_at(PAIR), tile_at(PLACE), 0, &v);
	/* The lower ones go to PLACE for a moment. */
	v = ints(X1_VEC_MIN, sili_imm(1), sili_reg(groups));
	tile_vec(t, tile_at(PLACE), tile_at(PAIR), second, &v);
	v.op = X1_VEC_MAX;
	tile_vec(t, second, tile_at(PAIR), second, &v);
	v.op = X1_VEC_MOV;
	tile_vec(t, tile_at(PAIR), tile_at(PLACE), 0, &v);
	v = ints(X1_VEC_TRANSPOSE, sili_imm(2), sili_reg(groups));
	v.s0_stride = sili_reg(bytes);
	v.dst_stride = sili_imm(8);
	tile_vec(t, tile_at(PLACE), tile_at(PAIR), 0, &v);
}

/* CODE of each group, rows of a whole number of words. */
static void emit_codes(struct tiles *t, const struct shape *s, uint8_t second)
{
	struct sili_vec v = ints(s->kept == 2 ? X1_VEC_FMA : X1_VEC_MOV, sili_reg(tile_rows()),
				 sili_imm(s->groups));
	uint8_t factor = TILE_R_BODY + 3;

	v.dst_stride = sili_imm(s->words * s->pack * 4ll);
	v.s0_stride = sili_imm(s->groups * 4ll);
	if (s->kept == 2) {
		sili_prog_li(t->p, factor, 1ll << s->bits);
		v.bcast1 = X1_VEC_BCAST_SCALAR;
		v.scalar1_reg = factor;
		v.s2 = sili_reg(tile_at(PAIR));
		v.s2_stride = sili_imm(s->groups * 4ll);
	}
	tile_vec(t, tile_at(CODE), s->kept == 2 ? second : tile_at(PLACE), 0, &v);
}

/* Words of codes, their bytes, and the rows of META. */
static void emit_pack(struct tiles *t, const struct shape *s)
{
	uint8_t words = TILE_R_BODY + 4;
	struct sili_vec v = ints(X1_VEC_MUL, sili_reg(words), sili_imm(s->pack));

	sili_prog_alui(t->p, X1_OP_MUL, words, tile_rows(), s->words);
	v.s0_stride = v.dst_stride = sili_imm(s->pack * 4ll);
	v.bcast1 = X1_VEC_BCAST_ROW;
	if (s->pack > 1) {
		/* BEST has been used: CODE keeps its zeros. */
		tile_vec(t, tile_at(BEST), tile_at(CODE), tile_at(WEIGHT), &v);
		v.op = X1_VEC_RSUM;
		v.bcast1 = X1_VEC_BCAST_NONE;
		v.dst_stride = sili_imm(4);
		tile_vec(t, tile_at(WORD), tile_at(BEST), 0, &v);
	}
	v = ints(X1_VEC_MOV, sili_reg(words), sili_imm(s->bytes));
	v.dst_fmt = v.s0_fmt = X1_FMT_INT8;
	v.s0_stride = sili_imm(4);
	v.dst_stride = sili_imm(s->bytes);
	tile_vec(t, tile_at(RAW), tile_at(s->pack > 1 ? WORD : CODE), 0, &v);
	v = ints(X1_VEC_MOV, sili_reg(tile_rows()), sili_imm((int64_t)t->op[META].pitch));
	v.dst_fmt = v.s0_fmt = X1_FMT_INT8;
	v.s0_stride = sili_imm((int64_t)s->words * s->bytes);
	v.dst_stride = sili_imm((int64_t)t->op[META].pitch);
	tile_vec(t, tile_at(META), tile_at(RAW), 0, &v);
}

static void body(struct tiles *t)
{
	struct shape s = shape_in(t);
	enum x1_format fmt = t->op[SRC].fmt;
	uint32_t bytes = x1_format_bits(fmt) / 8;
	uint8_t groups = TILE_R_BODY, second = TILE_R_BODY + 1, n = TILE_R_BODY + 5,
		all = TILE_R_BODY + 6, factor = TILE_R_BODY + 3;
	struct sili_vec v = {.op = X1_VEC_TOPK,
			     .rows = sili_reg(groups),
			     .cols = sili_imm(s.group),
			     .s0_stride = sili_imm(s.group * 4ll),
			     .dst_stride = sili_imm(s.kept * 4ll),
			     .s2_stride = sili_imm(s.kept * 4ll),
			     .s2 = sili_reg(tile_at(PLACE)),
			     .param = sili_imm(s.kept)};

	sili_prog_alui(t->p, X1_OP_MUL, groups, tile_rows(), s.groups);
	sili_prog_alui(t->p, X1_OP_MUL, n, groups, s.kept);
	sili_prog_alui(t->p, X1_OP_MUL, all, groups, s.group);
	tile_step(t, &(struct tile_step){.op = X1_VEC_ABS, .dst = SIZE, .s0 = SRC});
	tile_vec(t, tile_at(BEST), tile_at(SIZE), 0, &v);
	if (s.kept == 2)
		emit_order(t, groups, second);
	emit_codes(t, &s, second);
	/* Places in the tile: group * elements of a group + place. */
	v = ints(X1_VEC_FMA, sili_reg(groups), sili_imm(s.kept));
	sili_prog_li(t->p, factor, s.group);
	v.bcast0 = X1_VEC_BCAST_COL;
	v.bcast1 = X1_VEC_BCAST_SCALAR;
	v.scalar1_reg = factor;
	v.s0_stride = sili_imm(4);
	v.s2 = sili_reg(tile_at(PLACE));
	v.s2_stride = v.dst_stride = sili_imm(s.kept * 4ll);
	tile_vec(t, tile_at(PLACE), tile_at(GROUP), 0, &v);
	v = (struct sili_vec){.op = X1_VEC_GATHER,
			      .rows = sili_reg(n),
			      .cols = sili_imm(1),
			      .dst_fmt = fmt,
			      .s0_fmt = fmt,
			      .s1_fmt = X1_FMT_INT32,
			      .bcast1 = X1_VEC_BCAST_COL,
			      .dst_stride = sili_imm(bytes),
			      .s0_stride = sili_imm(bytes),
			      .s1_stride = sili_imm(4),
			      .param = sili_reg(all)};
	tile_vec(t, tile_at(STORED), tile_at(SRC), tile_at(PLACE), &v);
	emit_pack(t, &s);
}

static int compress_of(struct sili_device *dev, struct sili_compress c, union x1_cmd *cmds,
		       uint32_t max)
{
	uint32_t stored = c.sparsity ? sili_sparse_k(c.sparsity, c.k) : 0;
	uint64_t meta = stored ? sili_sparse_meta_bytes(c.sparsity, c.k) : 0;
	struct tiles t = {.family = SILI_KEY_COMPRESS,
			  .dim = {c.k, c.rows},
			  .whole_rows = true,
			  .prefetch = c.prefetch,
			  .param = {[P_SPARSITY] = c.sparsity},
			  .begin = begin,
			  .body = body};
	struct shape s;

	if (!stored || !c.rows || !tile_format_ok(c.fmt, 1) || x1_format_is_int(c.fmt) ||
	    !tile_stride_ok(&c.src_stride, c.fmt, c.k) ||
	    !tile_stride_ok(&c.stored_stride, c.fmt, stored))
		return -EINVAL;
	if (!c.meta_stride)
		c.meta_stride = meta;
	if (c.meta_stride < meta || c.meta_stride > INT32_MAX)
		return -EINVAL;
	s = shape_of(c.sparsity, c.k);
	t.op[SRC] = tile_matrix(TILE_IN, c.fmt, c.src, c.src_stride);
	t.op[STORED] = tile_matrix(TILE_OUT, c.fmt, c.stored, c.stored_stride);
	t.op[STORED].cols = stored;
	t.op[META] = tile_matrix(TILE_OUT, X1_FMT_INT8, c.meta, c.meta_stride);
	t.op[META].cols = (uint32_t)meta;
	t.op[SIZE] = t.op[BEST] = tile_temp(X1_FMT_FP32);
	t.op[PLACE] = t.op[PAIR] = t.op[GROUP] = t.op[CODE] = t.op[WORD] = t.op[WEIGHT] =
		tile_temp(X1_FMT_INT32);
	t.op[PLACE].cols = t.op[PAIR].cols = stored;
	/* Values first, then weighted codes. */
	t.op[BEST].cols = stored > s.words * s.pack ? stored : s.words * s.pack;
	t.op[GROUP].cols = s.groups;
	t.op[CODE].cols = s.words * s.pack;
	t.op[WORD].cols = s.words;
	t.op[WEIGHT].cols = s.pack;
	t.op[WEIGHT].rows = 1;
	t.op[RAW] = tile_temp(X1_FMT_INT8);
	t.op[RAW].cols = s.words * s.bytes;
	return tiles_launch(dev, &t, cmds, max);
}

SILI_EXPORT int sili_compress(struct sili_device *dev, const struct sili_compress *op,
			      union x1_cmd *cmds, uint32_t max)
{
	return op->size == sizeof(*op) ? compress_of(dev, *op, cmds, max) : -EINVAL;
}
