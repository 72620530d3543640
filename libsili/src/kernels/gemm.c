// SPDX-License-Identifier: MIT
/* GEMM: the request checked, its kernel found or made, its arguments. */
#include <stdlib.h>
#include <string.h>

#include "gemm.h"

#define MAX_GROUPS 4096u /* the table lies in the scratchpad */

/* ---- the request ---- */

static bool is_wide(enum x1_format fmt)
{
	return fmt == X1_FMT_FP32 || fmt == X1_FMT_TF32;
}

/* What MATRIX takes: the manual's REQ-NUM-010. */
bool gemm_formats_ok(const struct sili_info *info, const struct sili_gemm *g)
{
	enum x1_format a = g->a_fmt, b = g->b_fmt;

	if ((unsigned int)a >= X1_FMT_COUNT || (unsigned int)b >= X1_FMT_COUNT ||
	    !x1_format_rate(a) || !x1_format_rate(b) ||
	    !(info->formats >> a & info->formats >> b & 1) ||
	    x1_format_is_int(a) != x1_format_is_int(b))
		return false;
	if ((unsigned int)g->a_scale_mode >= X1_SCALE_COUNT ||
	    (unsigned int)g->b_scale_mode >= X1_SCALE_COUNT ||
	    !(info->scales >> g->a_scale_mode & info->scales >> g->b_scale_mode & 1) ||
	    !sili_scale_takes(g->a_scale_mode, a) || !sili_scale_takes(g->b_scale_mode, b))
		return false;
	if ((g->a_scale_mode || g->b_scale_mode) && (is_wide(a) || is_wide(b)))
		return false;
	return (unsigned int)g->sparsity < X1_SPARSE_COUNT && info->sparsities >> g->sparsity & 1 &&
	       (!g->sparsity || sili_sparse_k(g->sparsity, g->k));
}

bool gemm_out_format_ok(enum x1_format fmt)
{
	return x1_format_bits(fmt) && fmt != X1_FMT_E8M0;
}

/* Default and check a stride; 0 = dense. */
static bool stride_ok(uint64_t *stride, uint64_t row)
{
	if (!*stride)
		*stride = row;
	return *stride >= row && *stride <= INT32_MAX;
}

static bool strides_ok(struct sili_gemm *g)
{
	uint32_t k = g->sparsity ? sili_sparse_k(g->sparsity, g->k) : g->k;
	uint64_t edge = g->residual ? sili_fmt_bytes(g->residual_fmt, g->n) : 0;

	return stride_ok(&g->a_stride, sili_fmt_bytes(g->a_fmt, g->a_trans ? g->m : g->k)) &&
	       stride_ok(&g->b_stride, sili_fmt_bytes(g->b_fmt, g->b_trans ? g->n : k)) &&
	       stride_ok(&g->c_stride, sili_fmt_bytes(g->c_fmt, g->n)) &&
	       stride_ok(&g->a_scale_stride, sili_scale_row_bytes(g->a_scale_mode, g->k)) &&
	       stride_ok(&g->b_scale_stride, sili_scale_row_bytes(g->b_scale_mode, g->k)) &&
	       stride_ok(&g->b_meta_stride,
			 g->sparsity ? sili_sparse_meta_bytes(g->sparsity, g->k) : 0) &&
	       stride_ok(&g->residual_stride, edge);
}

static int check_groups(struct sili_gemm *g)
{
	if (!g->group)
		return g->batch > 1 && g->c_batch < g->c_stride * g->m ? -EINVAL : 0;
	if (g->group > SILI_GROUP_MASKED || !g->group_table || g->batch > MAX_GROUPS)
		return -EINVAL;
	if (g->group == SILI_GROUP_MASKED)
		return g->batch > 1 && g->c_batch < g->c_stride * g->m ? -EINVAL : 0;
	/* Rows of all groups follow each other, wherever a group begins. */
	if (g->a_trans || g->a_scale_mode == X1_SCALE_F32_128X128)
		return -EINVAL;
	g->a_batch = g->c_batch = g->a_scale_batch = g->row_scale_batch = g->residual_batch = 0;
	return 0;
}

void gemm_defaults(struct sili_gemm *g)
{
	if (g->scale == 0.0f)
		g->scale = 1.0f;
	if (g->out_scale == 0.0f)
		g->out_scale = 1.0f;
	g->prefetch = sili_prefetch_mode(g->prefetch);
}

/* Defaults filled in, limits checked. */
static int normalise(const struct sili_info *info, const struct sili_gemm *in, struct sili_gemm *g)
{
	int ret;

	if (in->size != sizeof(*in))
		return -EINVAL;
	*g = *in;
	if (!g->m || !g->n || !g->k || g->k > X1_MM_MAX_K || g->m > INT32_MAX || g->n > INT32_MAX ||
	    sili_act_op(g->act) < 0)
		return -EINVAL;
	if (!gemm_formats_ok(info, g) || !gemm_out_format_ok(g->c_fmt) ||
	    (g->residual && !gemm_out_format_ok(g->residual_fmt)))
		return -EINVAL;
	/* Rows of C and of the residual are whole bytes. */
	if ((uint64_t)g->n * x1_format_bits(g->c_fmt) % 8 ||
	    (g->residual && (uint64_t)g->n * x1_format_bits(g->residual_fmt) % 8))
		return -EINVAL;
	if ((g->a_scale_mode && !g->a_scales) || (g->b_scale_mode && !g->b_scales) ||
	    (g->sparsity && !g->b_meta) || !strides_ok(g))
		return -EINVAL;
	if (!g->batch)
		g->batch = 1;
	ret = check_groups(g);
	if (ret)
		return ret;
	gemm_defaults(g);
	return 0;
}

/* ---- kernels ---- */

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

/* All of the request that the program depends on: not the addresses. */
struct sili_key gemm_key(const struct sili_gemm *g)
{
	return (struct sili_key){
		.word =
			{
				SILI_KEY_GEMM,
				(uint64_t)g->m << 32 | g->n,
				(uint64_t)g->k << 32 | g->batch,
				(uint64_t)g->a_fmt << 24 | (uint64_t)g->b_fmt << 16 |
					(uint64_t)g->c_fmt << 8 | (uint64_t)g->residual_fmt,
				(uint64_t)g->a_trans << 8 | (uint64_t)g->b_trans << 7 |
					(uint64_t) !!g->bias << 6 | (uint64_t) !!g->row_scale << 5 |
					(uint64_t) !!g->col_scale << 4 |
					(uint64_t) !!g->residual << 3 |
					(uint64_t)(g->prefetch == SILI_PREFETCH_OFF),
				(uint64_t)g->a_scale_mode << 24 | (uint64_t)g->b_scale_mode << 16 |
					(uint64_t)g->sparsity << 8 | (uint64_t)g->group,
				(uint64_t)bits_of(g->scale) << 32 | bits_of(g->out_scale),
				(uint64_t)g->act << 32 | g->group_rows,
				g->a_stride,
				g->b_stride,
				g->c_stride,
				g->a_scale_stride,
				g->b_scale_stride,
				g->b_meta_stride,
				g->residual_stride,
				g->a_batch,
				g->b_batch,
				g->c_batch,
				g->bias_batch,
				g->a_scale_batch,
				g->b_scale_batch,
				g->b_meta_batch,
				g->row_scale_batch,
				g->col_scale_batch,
				g->residual_batch,
				g->ahead[0].bytes,
				g->ahead[1].bytes,
			},
	};
}

static struct gemm_operand operand(const struct sili_gemm *g, bool b)
{
	return b ? (struct gemm_operand){.fmt = g->b_fmt,
					 .trans = g->b_trans,
					 .scale = g->b_scale_mode,
					 .sparsity = g->sparsity,
					 .rows = g->n,
					 .stride = g->b_stride,
					 .scale_stride = g->b_scale_stride,
					 .meta_stride = g->b_meta_stride,
					 .batch = g->b_batch,
					 .scale_batch = g->b_scale_batch,
					 .meta_batch = g->b_meta_batch}
		 : (struct gemm_operand){.fmt = g->a_fmt,
					 .trans = g->a_trans,
					 .scale = g->a_scale_mode,
					 .rows = g->m,
					 .stride = g->a_stride,
					 .scale_stride = g->a_scale_stride,
					 .batch = g->a_batch,
					 .scale_batch = g->a_scale_batch};
}

/*
 * Chunks begin at multiples of this: whole scale blocks, whole bytes of
 * indices, and whole steps of MATRIX.
 */
static uint32_t k_step(const struct sili_gemm *g, uint32_t rate)
{
	uint32_t step = g->sparsity ? rate * 16 / sili_sparse_k(g->sparsity, 16) : rate;
	uint32_t least = 32;

	if (g->sparsity == X1_SPARSE_1_8)
		least = 64;
	if ((g->a_scale_mode && g->a_scale_mode <= X1_SCALE_F32_128X128) ||
	    (g->b_scale_mode && g->b_scale_mode <= X1_SCALE_F32_128X128))
		least = 128;
	return step > least ? step : least;
}

void gemm_describe(struct gemm_plan *pl, const struct sili_gemm *g)
{
	uint32_t ra = x1_format_rate(g->a_fmt), rb = x1_format_rate(g->b_fmt);

	*pl = (struct gemm_plan){
		.g = *g,
		.a = operand(g, false),
		.b = operand(g, true),
		/* With block scales the sums of integers are FP32. */
		.ints = x1_format_is_int(g->a_fmt) && !g->a_scale_mode && !g->b_scale_mode,
		.vec = g->scale != 1.0f || g->out_scale != 1.0f || g->bias || g->row_scale ||
		       g->col_scale || g->residual || g->act,
		.rate = ra < rb ? ra : rb,
	};
	pl->k_step = k_step(g, pl->rate);
}

int gemm_make(struct sili_device *dev, const struct gemm_plan *plan, const struct sili_key *key,
	      const struct sili_kernel **out)
{
	struct gemm_plan *pl;
	int ret;

	*out = sili_cache_find(dev, key);
	if (*out)
		return 0;
	pl = malloc(sizeof(*pl));
	if (!pl)
		return -ENOMEM;
	*pl = *plan;
	ret = gemm_choose(&dev->info, pl);
	if (ret) {
		free(pl);
		return ret;
	}
	return sili_keep(dev, key, gemm_generate(pl), pl, out);
}

/*
 * Partial sums and counters. They belong to C: whoever writes the same C at
 * the same time gets no sensible result in any case. A queue that died may
 * have left counters behind, so nobody uses them again.
 */
static int workspace(struct sili_device *dev, const struct gemm_plan *pl, uint64_t c, uint64_t *ws,
		     uint64_t *count)
{
	uint64_t tiles = pl->units / pl->parts.splits, counters = sili_align(tiles * 8, 4096);
	uint64_t bytes = counters + pl->units * pl->tm * pl->tn * 4;
	struct sili_key key = {
		.word = {UINT64_MAX - 1, c, bytes, counters, atomic_load(&dev->dead_queues)}};
	const struct sili_kernel *block = sili_cache_find(dev, &key);
	struct sili_kernel *fresh;
	int ret;

	if (!block) {
		ret = sili_kernel_room(dev, bytes, 0, &fresh);
		if (ret)
			return ret;
		ret = sili_cache_add(dev, &key, fresh);
		if (ret)
			return ret;
		block = fresh;
	}
	*count = block->bo->dva;
	*ws = block->bo->dva + counters;
	return 0;
}

int gemm_launch(struct sili_device *dev, const struct sili_kernel *k, const struct sili_gemm *g,
		union x1_cmd *cmd)
{
	const struct gemm_plan *pl = k->note;
	uint64_t words[ARG_NUM] = {
		[ARG_A] = g->a,
		[ARG_B] = g->b,
		[ARG_C] = g->c,
		[ARG_BIAS] = g->bias,
		[ARG_SA] = g->a_scales,
		[ARG_SB] = g->b_scales,
		[ARG_META] = g->b_meta,
		[ARG_RS] = g->row_scale,
		[ARG_CS] = g->col_scale,
		[ARG_RES] = g->residual,
		[ARG_TABLE] = g->group_table,
		[ARG_AHEAD0] = g->ahead[0].dva,
		[ARG_AHEAD1] = g->ahead[1].dva,
	};
	uint64_t args;
	int ret;

	if (pl->parts.splits > 1) {
		ret = workspace(dev, pl, g->c, &words[ARG_WS], &words[ARG_COUNT]);
		if (ret)
			return ret;
	}
	ret = sili_args(dev, words, ARG_NUM, &args);
	if (ret)
		return ret;
	sili_cmd_launch(cmd, k, pl->grid, 1, 1, args, ARG_NUM);
	if (g->prefetch != SILI_PREFETCH_OFF)
		cmd->hdr.flags = X1_LAUNCH_OVERLAP;
	return 0;
}

SILI_EXPORT int sili_gemm(struct sili_device *dev, const struct sili_gemm *gemm, union x1_cmd *cmds,
			  uint32_t max, struct sili_gemm_plan *plan)
{
	const struct sili_kernel *k;
	const struct gemm_plan *pl;
	struct sili_gemm g;
	struct sili_key key;
	int ret;

	ret = normalise(&dev->info, gemm, &g);
	if (ret)
		return ret;
	if (!max)
		return -ENOSPC;
	key = gemm_key(&g);
	k = sili_cache_find(dev, &key);
	if (!k) {
		struct gemm_plan fresh;

		gemm_describe(&fresh, &g);
		ret = gemm_make(dev, &fresh, &key, &k);
		if (ret)
			return ret;
	}
	ret = gemm_launch(dev, k, &g, cmds);
	if (ret)
		return ret;
	pl = k->note;
	if (plan)
		*plan = (struct sili_gemm_plan){
			.tile_m = pl->tm,
			.tile_n = pl->tn,
			.tile_k = pl->kc,
			.stages = pl->stages,
			.prefetch_distance = pl->stages - 1,
			.work_groups = pl->grid,
			.cycles = pl->cycles + X1_LAUNCH_CYCLES,
			.roofline = gemm_roofline(&dev->info, pl),
			.split_k = pl->parts.splits * pl->parts.fold,
			.split_k_step = pl->parts.k,
		};
	return 1;
}
