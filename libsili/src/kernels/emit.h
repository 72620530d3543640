/* SPDX-License-Identifier: MIT */
/*
 * What the kernel generators share: descriptor fields that are a constant or a
 * register, two-dimensional transfers, arguments in device memory.
 */
#ifndef SILI_EMIT_H
#define SILI_EMIT_H

#include "../sili_int.h"

/* A descriptor field: a register's value, or a constant. */
struct sili_val {
	bool is_reg;
	int64_t v;
};

static inline struct sili_val sili_imm(int64_t v)
{
	return (struct sili_val){false, v};
}

static inline struct sili_val sili_reg(uint8_t r)
{
	return (struct sili_val){true, r};
}

static inline void sili_put(struct x1_desc *d, uint32_t field, struct sili_val v)
{
	if (v.is_reg)
		sili_desc_reg(d, field, (uint8_t)v.v);
	else
		sili_desc_set(d, field, v.v);
}

/* rows of `bytes` each, strides in bytes; LOAD and PREFETCH. Or planes of them, if not 0. */
struct sili_block {
	struct sili_val bytes, rows, mem_stride, local_stride;
	uint32_t planes;
	struct sili_val mem_plane, local_plane;
};

void sili_emit_load(struct sili_prog *p, uint8_t rd, uint8_t ra, const struct sili_block *b);
void sili_emit_prefetch(struct sili_prog *p, uint8_t ra, const struct sili_block *b);

/* rows of `elems`, converted from lfmt to mfmt. */
struct sili_out {
	struct sili_val elems, rows, mem_stride, local_stride;
	enum x1_format lfmt, mfmt;
};

void sili_emit_store(struct sili_prog *p, uint8_t rd, uint8_t ra, const struct sili_out *o);

/*
 * VECTOR over rows x cols; unused sources are zero. A third source, or what an
 * operation has besides (sums, indices, scales), lies at s2.
 */
struct sili_vec {
	enum x1_vec_op op;
	struct sili_val rows, cols;
	enum x1_format dst_fmt, s0_fmt, s1_fmt, s2_fmt;
	uint32_t bcast0, bcast1, bcast2; /* X1_VEC_BCAST_* */
	float scalar1, scalar2;
	uint8_t scalar1_reg; /* FP32 bits in a register instead; 0 = none */
	struct sili_val dst_stride, s0_stride, s1_stride, s2_stride, s2;
	struct sili_val param, param2;
};

void sili_emit_vec(struct sili_prog *p, uint8_t rd, uint8_t ra, uint8_t rb,
		   const struct sili_vec *v);

/* VECTOR op of an activation; SILI_ACT_NONE: X1_VEC_MOV. -1 = unknown. */
int sili_act_op(enum sili_act act);

/* Do elements of this format have scales of this mode in MATRIX? */
bool sili_scale_takes(enum x1_scale_mode mode, enum x1_format fmt);

/* n copies of a token: counting semaphores start at 0. */
void sili_emit_tokens(struct sili_prog *p, uint8_t sem, uint32_t n);

/* Bytes of n elements, for a constant n. */
static inline uint64_t sili_fmt_bytes(enum x1_format fmt, uint64_t n)
{
	return (n * x1_format_bits(fmt) + 7) / 8;
}

/*
 * Finish p (NULL = out of memory) and keep the kernel, with note (from malloc(),
 * or NULL), under key. Both are the kernel's then, or freed; *kernel belongs to
 * the device.
 */
int sili_keep(struct sili_device *dev, const struct sili_key *key, struct sili_prog *p, void *note,
	      const struct sili_kernel **kernel);

/*
 * DVA of a block with these argument words; equal blocks are shared and live
 * as long as the device.
 */
int sili_args(struct sili_device *dev, const uint64_t *words, uint32_t n, uint64_t *dva);

#endif /* SILI_EMIT_H */
