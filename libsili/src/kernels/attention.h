/* SPDX-License-Identifier: MIT */
/* What the files of attention share: the request with its defaults, the plan. */
#ifndef SILI_ATTENTION_H
#define SILI_ATTENTION_H

#include "emit.h"
#include "sili_kernels.h"

#define ATT_BLOCK      128u /* keys of a step; decides bits */
#define ATT_MOST_PARTS 64u

enum att_arg {
	ATT_Q,
	ATT_K,
	ATT_V,
	ATT_O,
	ATT_BIAS,
	ATT_KV_LEN,
	ATT_WORK,
	ATT_PARTS,
	ATT_PART_KEYS,
	ATT_NUM,
};

struct att_plan {
	struct sili_attention a; /* defaults filled in */
	uint32_t group;          /* heads of q per head of k */
	bool latent;             /* v lies in k's rows */
	bool split;              /* keys, in ATT_PARTS parts of ATT_PART_KEYS */
	/* chosen */
	uint32_t tokens, group_tile, tiles_t, tiles_g, units;
	uint32_t rows, stages, score_buffers;
	uint64_t k_pitch, v_pitch, p_pitch, bias_pitch;
	uint64_t q_at, k_at, v_at, p_at, bias_at;             /* scratchpad */
	uint64_t max_at, next_at, factor_at, sum_at, part_at; /* a value per row */
	uint64_t step, cycles;
};

static inline uint64_t att_k_bytes(const struct att_plan *p)
{
	return p->k_pitch * ATT_BLOCK;
}

static inline uint64_t att_v_bytes(const struct att_plan *p)
{
	return p->v_pitch * ATT_BLOCK;
}

static inline uint64_t att_score_bytes(const struct att_plan *p)
{
	return p->rows * ATT_BLOCK * 4ull;
}

/* The workspace: M, then L, of each row and part; then O. */
static inline uint64_t att_rows(const struct att_plan *p)
{
	return (uint64_t)p->units * p->rows;
}

/* A row of a tile, all parts of it. */
struct sili_prog *att_generate_sum(const struct att_plan *p);
struct sili_prog *att_generate(const struct att_plan *p);

#endif /* SILI_ATTENTION_H */
