/* SPDX-License-Identifier: MIT */
/*
 * What the files of the GEMM share: the request with its defaults, the plan.
 * A convolution is a GEMM whose rows of A and C are boxes of pixels.
 */
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
	uint64_t off, s_off, meta_off;    /* in a stage */
	uint64_t pitch, s_pitch, m_pitch; /* row strides in a stage */
};

/* Rows or columns of a convolution: input = out * stride + origin + tap * dil. */
struct gemm_axis {
	uint32_t out, in, taps;
	int32_t stride, origin, dil;
	uint32_t w_first, w_step; /* tap t is the filter's w_first + t * w_step */
	uint64_t x_stride, y_stride, res_stride;
	/* of the plan */
	uint32_t tile, tiles;
};

/*
 * Rows of A and C as pixels (image, y, x), the product's k as runs: the
 * channels of a tap, or (by_row) those of a row of taps.
 */
struct gemm_box {
	struct gemm_axis y, x;
	uint32_t images;
	uint64_t x_image, y_image, res_image;
	uint32_t channels;        /* of a tap */
	uint32_t run, run_padded; /* elements of k */
	bool by_row, one_of_many; /* a phase of a transposed one: K is not split */
	uint32_t filter_s;        /* taps in a row of the filter in memory */
	/* of the plan */
	uint32_t tile_images, tiles_images;
	bool window;      /* what a tile reads of an image is held as a whole; by_row needs it */
	uint64_t halo_at; /* two windows */
};

/*
 * K in parts, whose sums are added from left to right: those of `splits`
 * work-groups, the last of which has what the others leave; or `fold` equal ones
 * that a work-group multiplies at once, rows of A and of B for each of them.
 */
struct gemm_parts {
	uint32_t splits, fold, k;
};

struct gemm_plan {
	struct sili_gemm g; /* defaults filled in */
	struct gemm_operand a, b;
	bool is_box;
	struct gemm_box box;
	bool ints, vec;  /* integer sums; the epilogue needs VECTOR */
	uint32_t rate;   /* k per cycle of the pair of formats */
	uint32_t k_step; /* chunks begin at multiples of it */
	/* chosen */
	uint32_t tm, tn, ramp, stages;
	uint32_t kc, first, last; /* chunks of K; the first and the last ones at most */
	struct gemm_parts parts;
	uint32_t tiles_m, tiles_n, grid;
	uint64_t units;      /* tiles of all batches and splits; groups: at most */
	uint32_t strip;      /* columns of the epilogue's step */
	uint32_t slots;      /* tiles that the accumulators hold */
	bool m_fast;         /* consecutive work-groups share B */
	uint64_t ahead_most; /* bytes of each that are fetched ahead */
	bool ahead_early;    /* the next kernel's operands are fetched before the last chunk */
	uint64_t stage_bytes;
	uint64_t bias_at, rs_at, cs_at, res_at, tmp_at, part_at, table_at; /* scratchpad */
	uint64_t cycles;
};

/* Elements that a row of k stores. */
static inline uint32_t gemm_stored(enum x1_sparsity s, uint32_t k)
{
	return s ? sili_sparse_k(s, k) : k;
}

/* Bytes of a row of sums: all products of parts of K by each other. */
static inline uint64_t gemm_acc_pitch(const struct gemm_plan *p)
{
	return (uint64_t)p->tn * p->parts.fold * 4;
}

/* Bytes of a pixel, and of a pixel's window of a tile that is held as a whole. */
static inline uint64_t gemm_pixel_bytes(const struct gemm_plan *p)
{
	return sili_fmt_bytes(p->a.fmt, p->box.channels);
}

static inline uint32_t gemm_halo_width(const struct gemm_box *b)
{
	return (b->x.tile - 1) * (uint32_t)b->x.stride + (b->x.taps - 1) * (uint32_t)b->x.dil + 1;
}

static inline uint32_t gemm_halo_height(const struct gemm_box *b)
{
	return (b->y.tile - 1) * (uint32_t)b->y.stride + (b->y.taps - 1) * (uint32_t)b->y.dil + 1;
}

static inline uint64_t gemm_halo_bytes(const struct gemm_plan *p)
{
	return sili_align((uint64_t)gemm_halo_width(&p->box) * gemm_halo_height(&p->box) *
				  gemm_pixel_bytes(p),
			  64);
}

/*
 * A GEMM's request: defaults of the epilogue, operands, formats; the caller
 * has checked shapes and strides.
 */
bool gemm_formats_ok(const struct sili_info *info, const struct sili_gemm *g);
bool gemm_out_format_ok(enum x1_format fmt);
void gemm_defaults(struct sili_gemm *g);
struct sili_key gemm_key(const struct sili_gemm *g);
/* The kernel under key, or a new one of pl, which is copied. Its note is the plan. */
int gemm_make(struct sili_device *dev, const struct gemm_plan *pl, const struct sili_key *key,
	      const struct sili_kernel **out);
void gemm_describe(struct gemm_plan *pl, const struct sili_gemm *g);
int gemm_launch(struct sili_device *dev, const struct sili_kernel *k, const struct sili_gemm *g,
		union x1_cmd *cmd);

/*
 * Chunks of k: first, second (those that are not 0), `whole` of kc, last. The
 * first is short, because MATRIX waits for it; the last because nothing
 * overlaps it but the epilogue of its own strips.
 */
struct gemm_cut {
	uint32_t first, second, whole, last;
};

struct gemm_cut gemm_cut(const struct gemm_plan *p, uint32_t k);
/* Bytes of sili_gemm::ahead[i] that are fetched. */
uint64_t gemm_ahead(const struct gemm_plan *p, uint32_t i);

/* Tiles, chunks, stages for this device. -EINVAL: nothing fits. */
int gemm_choose(const struct sili_info *info, struct gemm_plan *p);
uint64_t gemm_roofline(const struct sili_info *info, const struct gemm_plan *p);
struct sili_prog *gemm_generate(const struct gemm_plan *p);

#endif /* SILI_GEMM_H */
