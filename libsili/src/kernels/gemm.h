/* SPDX-License-Identifier: MIT */
/* What the files of the GEMM share: the request with its defaults, the plan. */
#ifndef SILI_GEMM_H
#define SILI_GEMM_H

#include "emit.h"

/* Arguments of the kernel, from X1_REG_ARG0 on. */
enum gemm_arg {
	ARG_A,
	ARG_B,
	ARG_C,
	ARG_BIAS,
	ARG_SA,
	ARG_SB,
	ARG_META,
	ARG_RS,
	ARG_CS,
	ARG_RES,
	ARG_WS,
	ARG_COUNT,
	ARG_TABLE,
	ARG_AHEAD0,
	ARG_AHEAD1,
	ARG_NUM,
};

/* An operand as MATRIX reads it, with what goes with it. */
struct gemm_operand {
	enum x1_format fmt;
	bool trans;
	enum x1_scale_mode scale;
	enum x1_sparsity sparsity;
	uint32_t rows; /* m or n */
	uint64_t stride, scale_stride, meta_stride;
	uint64_t batch, scale_batch, meta_batch;
	/* of the plan */
	uint32_t tile;                    /* rows of a tile */
	uint64_t off, s_off, meta_off;    /* in a stage */
	uint64_t pitch, s_pitch, m_pitch; /* row strides in a stage */
};

struct gemm_plan {
	struct sili_gemm g; /* defaults filled in */
	struct gemm_operand a, b;
	bool ints, vec;  /* integer sums; the epilogue needs VECTOR */
	uint32_t rate;   /* k per cycle of the pair of formats */
	uint32_t k_step; /* chunks begin at multiples of it */
	/* chosen */
	uint32_t tm, tn, kc, ramp, stages;
	uint32_t splits, k_split;
	uint32_t tiles_m, tiles_n, grid;
	uint64_t units; /* tiles of all batches and splits; groups: at most */
	uint32_t strip; /* columns of the epilogue's step */
	uint32_t slots; /* tiles that the accumulators hold */
	bool m_fast;    /* consecutive work-groups share B */
	uint64_t stage_bytes;
	uint64_t bias_at, rs_at, cs_at, res_at, tmp_at, part_at, table_at; /* scratchpad */
	uint64_t cycles;
};

/* Elements that a row of k stores. */
static inline uint32_t gemm_stored(enum x1_sparsity s, uint32_t k)
{
	return s ? sili_sparse_k(s, k) : k;
}

/* Tiles, chunks, stages for this device. -EINVAL: nothing fits. */
int gemm_choose(const struct sili_info *info, struct gemm_plan *p);
uint64_t gemm_roofline(const struct sili_info *info, const struct gemm_plan *p);
struct sili_prog *gemm_generate(const struct gemm_plan *p);

#endif /* SILI_GEMM_H */
