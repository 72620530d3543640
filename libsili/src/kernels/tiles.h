/* SPDX-License-Identifier: MIT */
/*
 * The skeleton of kernels that walk over rows: LOAD, VECTOR, STORE in a
 * pipeline over all work-groups.
 *
 * A family describes its operands, up to four dimensions each, and emits what
 * VECTOR does with one tile of them. The rest is here: how large tiles are and
 * how many are under way (from the device's parameters), which work-group has
 * which tiles, addresses, ragged ends, semaphores, the cached kernel.
 *
 * Dimension 0 runs along a row, 1 over rows, 2 and 3 over what lies around
 * them. A tile is a block of columns of some rows that differ in dimension 1
 * alone. Each work-group has a range of rows, and walks down a column block
 * before it takes the next one.
 */
#ifndef SILI_TILES_H
#define SILI_TILES_H

#include <string.h>

#include "emit.h"

#define TILE_DIMS     4u
#define TILE_OPERANDS 12u /* numbers 1 .. 12; 0 is none */
#define TILE_EXTRA    4u  /* arguments beside the operands */
#define TILE_PARAMS   10u
#define TILE_ROW      X1_VEC_MAX_ROW /* columns of one reduction */

/* Registers that a body may use, and the first semaphore that is its own. */
#define TILE_R_BODY   50u
#define TILE_SEM_BODY 8u
#define TILE_R_HALVES 62u /* and 63: tile_halves() uses them */

enum tile_use {
	TILE_NONE = 0,
	TILE_IN,
	TILE_OUT,
	TILE_TEMP,  /* in the scratchpad alone */
	TILE_INDEX, /* INT32 row numbers, one per row, that an input is gathered by */
};

struct tile_operand {
	enum tile_use use;
	enum x1_format fmt;
	uint64_t dva;
	/* [0] in elements, the others in bytes; 0: the same for all of that dimension. */
	int64_t stride[TILE_DIMS];
	uint32_t cols, rows;   /* so many whatever the tile has; 0 = the tile's */
	uint32_t div, row_div; /* one column, row for so many of the tile; 0 = 1 */
	/*
	 * Operand with INT32 row numbers for dimension 1, 0 = none: a TILE_INDEX for
	 * an input, a TILE_IN for an output. Rows beyond bound[1] read as 0, and are
	 * not written.
	 */
	uint8_t index;
	uint8_t from; /* TILE_OUT without VECTOR: the operand that is stored */
	/*
	 * TILE_OUT, the tile transposed: dense along dimension 1, stride[0] in bytes.
	 * Below 8 bits, row_step keeps rows in whole bytes.
	 */
	bool turned;
	/* TILE_IN with a border: elements outside of bound read as pad (the format's bits). */
	int32_t origin[TILE_DIMS];
	uint32_t bound[TILE_DIMS]; /* bound[0] 0 = none */
	uint32_t pad;
	/* chosen */
	bool resident; /* loaded once */
	uint64_t at;   /* in its ring, or in the scratchpad */
	uint64_t pitch;
};

struct tiles {
	/* asked for */
	uint32_t family;             /* SILI_KEY_* */
	uint64_t dim[TILE_DIMS];     /* 0 = 1 */
	bool whole_rows;             /* one tile has all columns */
	uint32_t col_step, row_step; /* tiles begin at multiples; 0 = 1 */
	uint32_t fixed_cols;         /* columns of every tile but the last; 0 = chosen */
	uint32_t max_rows;           /* of a tile; 0 = any */
	uint32_t tile_bytes;         /* aim at tiles so large; 0 = chosen */
	struct tile_operand op[TILE_OPERANDS + 1];
	uint64_t extra[TILE_EXTRA]; /* more arguments */
	uint32_t num_extra;
	uint64_t param[TILE_PARAMS];    /* what else makes it another program, bounds too */
	void (*begin)(struct tiles *t); /* VECTOR steps before the first tile, or NULL */
	void (*body)(struct tiles *t);  /* of a tile; NULL: LOAD and STORE alone */
	enum sili_prefetch prefetch;
	/* chosen */
	uint32_t tile_cols, tile_rows, col_blocks, stages, out_stages, grid;
	uint64_t slots; /* rows (steps of rows) of all column blocks */
	uint64_t in_bytes, out_bytes, index_bytes, out_at, index_at;
	/* while a program is made */
	struct sili_prog *p;
	uint32_t steps, step; /* VECTOR instructions of a body, and done */
	uint8_t wait, sig;    /* of the next step, beside the skeleton's own: X1_SEM() */
	bool in_body;
};

/*
 * Append the LAUNCH of a kernel; 1, or -EINVAL (an operand that does not go
 * row by row in whole bytes), -E2BIG (a tile does not fit), -ENOMEM, -ENOSPC.
 */
int tiles_launch(struct sili_device *dev, struct tiles *t, union x1_cmd *cmds, uint32_t max);

/* ---- for bodies ---- */

/* A VECTOR instruction on operands by number; 0 as s1 or s2: the scalar. */
struct tile_step {
	enum x1_vec_op op;
	uint8_t dst, s0, s1, s2; /* s2 also: sums, indices, scales */
	float imm1, imm2;
	uint8_t imm1_reg;
	struct sili_val param, param2;
};

void tile_step(struct tiles *t, const struct tile_step *s);
/* The same with addresses, formats and strides of its own. */
void tile_vec(struct tiles *t, uint8_t rd, uint8_t ra, uint8_t rb, const struct sili_vec *v);
/*
 * Reduce rows of s0 (RSUMSQD: less s1) of any length into the column dst. Rows
 * beyond TILE_ROW in parts, whose results lie in operand parts.
 */
void tile_reduce(struct tiles *t, enum x1_vec_op op, uint8_t dst, uint8_t s0, uint8_t s1,
		 uint8_t parts);
/* The parts operand of rows of `cols`. */
struct tile_operand tile_parts(uint32_t cols);

/*
 * Rows 0 .. n - 1 of the temporary x, n in a register and at most `most`, a
 * power of two: row i takes row i + most / 2, then + most / 4, .. 1. The result
 * is row 0.
 */
void tile_halves(struct tiles *t, enum x1_vec_op op, uint8_t x, uint8_t n, uint32_t most);

/* Registers: local address of an operand's tile, an argument, rows of the tile. */
uint8_t tile_at(uint8_t operand);
uint8_t tile_extra(uint32_t i);
uint8_t tile_rows(void);
/* First row (dimension 1), first column. */
uint8_t tile_row(void);
uint8_t tile_col(void);
struct sili_val tile_cols(const struct tiles *t);

/* FP32 values among the parameters. */
static inline uint64_t tile_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

static inline float tile_float(uint64_t bits)
{
	uint32_t u = (uint32_t)bits;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

/* ---- describing operands ---- */

/* A dense or strided matrix: rows of the tile's columns, a stride of bytes apart. */
static inline struct tile_operand tile_matrix(enum tile_use use, enum x1_format fmt, uint64_t dva,
					      uint64_t stride)
{
	return (struct tile_operand){
		.use = use, .fmt = fmt, .dva = dva, .stride = {1, (int64_t)stride}};
}

/* One row for all rows. */
static inline struct tile_operand tile_vector(enum x1_format fmt, uint64_t dva)
{
	return (struct tile_operand){.use = TILE_IN, .fmt = fmt, .dva = dva, .stride = {1}};
}

/* In the scratchpad: rows of the tile's columns; one FP32 per row. */
static inline struct tile_operand tile_temp(enum x1_format fmt)
{
	return (struct tile_operand){.use = TILE_TEMP, .fmt = fmt, .stride = {1, 1}};
}

static inline struct tile_operand tile_column(void)
{
	return (struct tile_operand){.use = TILE_TEMP, .fmt = X1_FMT_FP32, .stride = {0, 1}};
}

/* An element format of the host interface whose n elements are whole bytes. */
static inline bool tile_format_ok(enum x1_format fmt, uint64_t n)
{
	return (unsigned int)fmt < X1_FMT_COUNT && fmt != X1_FMT_E8M0 &&
	       n * x1_format_bits(fmt) % 8 == 0;
}

/* Default and check a stride of bytes; 0 = dense. */
static inline bool tile_stride_ok(uint64_t *stride, enum x1_format fmt, uint64_t cols)
{
	if (!*stride)
		*stride = sili_fmt_bytes(fmt, cols);
	return *stride >= sili_fmt_bytes(fmt, cols) && *stride <= INT32_MAX;
}

#endif /* SILI_TILES_H */
