// SPDX-License-Identifier: MIT
/*
 * Attention: the request checked, its tile chosen, its kernel found or made.
 *
 * The block of keys decides bits and is fixed; a tile's rows do not, and are
 * chosen so that tiles fill whole waves of MCUs. Heads that share their keys
 * share a tile where there are few tokens.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"

#define MAX_DIM      576u
#define MAX_V_DIM    512u
#define MAX_TOKENS   (1u << 24)
#define MAX_STAGES   4u
#define PLAN_BLOCKS  16u         /* of keys, that the tile is chosen for */
#define PART_ROWS    X1_MM_LANES /* of a tile where keys are split */
#define LEAST_BLOCKS 6u          /* of keys from which they are */
#define STEP_LATENCY (2 * (X1_MM_LATENCY + X1_VEC_LATENCY))

/* ---- the request ---- */

static bool operand_ok(const struct sili_info *info, enum x1_format fmt)
{
	return (fmt == X1_FMT_BF16 || fmt == X1_FMT_FP16 || fmt == X1_FMT_E4M3 ||
		fmt == X1_FMT_E5M2) &&
	       info->formats >> fmt & 1;
}

/* Strides of [batch][token][head][dim]; 0 = dense. */
static bool strides_ok(enum x1_format fmt, uint32_t dim, uint32_t heads, uint32_t tokens,
		       uint32_t batch, uint64_t *token, uint64_t *head, uint64_t *of_batch)
{
	uint64_t row = sili_fmt_bytes(fmt, dim);

	if (!*head)
		*head = row;
	if (!*token)
		*token = row * heads;
	if (!*of_batch)
		*of_batch = *token * tokens;
	/* What is not used makes no other kernel. */
	if (batch == 1)
		*of_batch = 0;
	return (heads == 1 || *head >= row) && (tokens == 1 || *token >= row) &&
	       *head <= INT32_MAX && *token <= INT32_MAX && *of_batch < 1ull << X1_DVA_BITS &&
	       batch <= MAX_TOKENS;
}

static int check_bias(struct sili_attention *a)
{
	uint32_t bits = x1_format_bits(a->bias_fmt);

	if (!a->bias) {
		a->bias_fmt = X1_FMT_FP32;
		a->bias_row = a->bias_head = a->bias_batch = 0;
		return 0;
	}
	if (a->bias_fmt != X1_FMT_FP32 && a->bias_fmt != X1_FMT_BF16 && a->bias_fmt != X1_FMT_FP16)
		return -EINVAL;
	if (!a->bias_row)
		a->bias_row = (uint64_t)a->kv_len * bits / 8;
	return a->bias_row < (uint64_t)a->kv_len * bits / 8 || a->bias_row > INT32_MAX ||
			       a->bias_head > INT32_MAX || a->bias_batch >= 1ull << X1_DVA_BITS
		       ? -EINVAL
		       : 0;
}

static int normalise(const struct sili_info *info, const struct sili_attention *in,
		     struct sili_attention *a)
{
	if (in->size != sizeof(*in))
		return -EINVAL;
	*a = *in;
	a->batch = a->batch ? a->batch : 1;
	a->kv_heads = a->kv_heads ? a->kv_heads : a->heads;
	a->v_dim = a->v_dim ? a->v_dim : a->dim;
	a->out_scale = a->out_scale == 0.0f ? 1.0f : a->out_scale;
	a->prefetch = sili_prefetch_mode(a->prefetch);
	if (!a->q_len || a->q_len > MAX_TOKENS || !a->kv_len || a->kv_len > MAX_TOKENS ||
	    !a->heads || a->heads > MAX_TOKENS || a->heads % a->kv_heads || !a->dim ||
	    a->dim > MAX_DIM || a->v_dim > MAX_V_DIM)
		return -EINVAL;
	if (!operand_ok(info, a->q_fmt) || !operand_ok(info, a->k_fmt) ||
	    !operand_ok(info, a->v_fmt) || !x1_format_bits(a->o_fmt) || a->o_fmt == X1_FMT_E8M0 ||
	    (uint64_t)a->v_dim * x1_format_bits(a->o_fmt) % 8)
		return -EINVAL;
	if ((a->causal && a->kv_len < a->q_len) || (a->window && !a->causal) ||
	    a->window > MAX_TOKENS)
		return -EINVAL;
	if (a->scale == 0.0f)
		a->scale = 1.0f / sqrtf((float)a->dim);
	if (!(a->scale > 0.0f) || isinf(a->scale))
		return -EINVAL;
	if (!strides_ok(a->q_fmt, a->dim, a->heads, a->q_len, a->batch, &a->q_token, &a->q_head,
			&a->q_batch) ||
	    !strides_ok(a->k_fmt, a->dim, a->kv_heads, a->kv_len, a->batch, &a->k_token, &a->k_head,
			&a->k_batch) ||
	    !strides_ok(a->v_fmt, a->v_dim, a->kv_heads, a->kv_len, a->batch, &a->v_token,
			&a->v_head, &a->v_batch) ||
	    !strides_ok(a->o_fmt, a->v_dim, a->heads, a->q_len, a->batch, &a->o_token, &a->o_head,
			&a->o_batch))
		return -EINVAL;
	return check_bias(a);
}

/* ---- parts of the keys: of the nominal X1, as they decide bits ---- */

struct parts {
	uint32_t num, keys;        /* 1: not split */
	uint32_t group_tile, rows; /* heads and rows of a tile */
	uint64_t all_rows;         /* of all tiles */
};

static struct parts parts_of(const struct sili_attention *a)
{
	struct parts p = {.num = 1};
	uint32_t group = a->heads / a->kv_heads, tiles;
	uint32_t blocks = (uint32_t)sili_div_up(a->kv_len, ATT_BLOCK);
	uint64_t units;

	if (a->window || (a->causal && a->q_len > 1) || a->q_len > PART_ROWS ||
	    blocks < LEAST_BLOCKS)
		return p;
	tiles = (uint32_t)sili_div_up(group, PART_ROWS / a->q_len);
	units = (uint64_t)tiles * a->kv_heads * a->batch;
	if (units > X1_DEF_MCUS / 2)
		return p;
	p.group_tile = (uint32_t)sili_div_up(group, tiles);
	p.rows = p.group_tile * a->q_len;
	p.all_rows = units * p.rows;
	p.num = (uint32_t)sili_min64(sili_min64(X1_DEF_MCUS / units, blocks), ATT_MOST_PARTS);
	p.keys = (uint32_t)sili_div_up(blocks, p.num) * ATT_BLOCK;
	p.num = (uint32_t)sili_div_up(a->kv_len, p.keys);
	return p;
}

static uint64_t work_bytes(const struct sili_attention *a, const struct parts *p)
{
	return p->num > 1 ? p->all_rows * p->num * (a->v_dim + 2) * 4ull : 0;
}

/* ---- the plan ---- */

static uint64_t take(uint64_t *at, uint64_t bytes)
{
	uint64_t here = *at;

	*at += sili_align(bytes, 64);
	return here;
}

/* The scratchpad; returns its end. */
static uint64_t place(struct att_plan *p)
{
	const struct sili_attention *a = &p->a;
	uint64_t at = 0, values = p->rows * 4ull;

	p->k_pitch = sili_fmt_bytes(a->k_fmt, a->dim);
	p->v_pitch = sili_fmt_bytes(a->v_fmt, a->v_dim);
	p->p_pitch = sili_fmt_bytes(a->v_fmt, ATT_BLOCK);
	p->bias_pitch = a->bias ? sili_fmt_bytes(a->bias_fmt, ATT_BLOCK) : 0;
	p->q_at = take(&at, p->rows * sili_fmt_bytes(a->q_fmt, a->dim));
	p->k_at = take(&at, att_k_bytes(p) * p->stages);
	p->v_at = take(&at, p->latent ? 0 : att_v_bytes(p) * p->stages);
	p->p_at = take(&at, 2 * p->p_pitch * p->rows);
	p->bias_at = take(&at, 2 * p->bias_pitch * p->rows);
	p->max_at = take(&at, values);
	p->next_at = take(&at, values);
	p->factor_at = take(&at, values);
	p->sum_at = take(&at, values);
	p->part_at = take(&at, values);
	return at;
}

static uint32_t rate(enum x1_format a, enum x1_format b)
{
	uint32_t ra = x1_format_rate(a), rb = x1_format_rate(b);

	return ra < rb ? ra : rb;
}

/*
 * Cycles of a block of keys. With one buffer of scores MATRIX cannot be ahead:
 * softmax hides behind the output's product, rescaling behind the scores'.
 */
static uint64_t step_cycles(const struct att_plan *p)
{
	const struct sili_attention *a = &p->a;
	uint64_t rows = p->rows, lines = rows > X1_MM_LANES ? rows : X1_MM_LANES;
	uint64_t scores = ATT_BLOCK / X1_MM_LANES * sili_div_up(a->dim, rate(a->q_fmt, a->k_fmt)) *
			  lines;
	uint64_t out = sili_div_up(a->v_dim, X1_MM_LANES) *
		       sili_div_up(ATT_BLOCK, x1_format_rate(a->v_fmt)) * lines;
	uint64_t pass = ATT_BLOCK * 8 / X1_ACC_PORT; /* in place on a row of scores */
	uint64_t softmax = rows * (ATT_BLOCK / X1_VEC_LANES + ATT_BLOCK / X1_VEC_SLOW_LANES +
				   (a->bias ? pass : 0)) +
			   rows * 12 / X1_VEC_LANES;
	uint64_t rescale = sili_div_up(rows * a->v_dim * 8, X1_ACC_PORT);
	uint64_t load = (att_k_bytes(p) + (p->latent ? 0 : att_v_bytes(p)) + rows * p->bias_pitch) /
			X1_LOAD_PORT;
	uint64_t step =
		p->score_buffers == 2
			? (scores + out > softmax + rescale ? scores + out : softmax + rescale)
			: (scores > rescale ? scores : rescale) + (out > softmax ? out : softmax);

	return step + STEP_LATENCY > load ? step + STEP_LATENCY : load;
}

static uint64_t estimate(const struct sili_info *info, const struct att_plan *p)
{
	const struct sili_attention *a = &p->a;
	uint64_t waves = sili_div_up(p->units, info->mcus_healthy), step = step_cycles(p);
	uint64_t first = info->hbm_latency + step +
			 p->rows * sili_fmt_bytes(a->q_fmt, a->dim) / X1_LOAD_PORT;
	uint64_t last = p->rows * sili_fmt_bytes(a->o_fmt, a->v_dim) / X1_STORE_PORT;

	return waves * (PLAN_BLOCKS * step + first + last);
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

/* Buffers of scores and stages for the plan's tile. */
static bool fit(const struct sili_info *info, struct att_plan *p)
{
	p->rows = p->tokens * p->group_tile;
	p->tiles_t = (uint32_t)sili_div_up(p->a.q_len, p->tokens);
	p->tiles_g = (uint32_t)sili_div_up(p->group, p->group_tile);
	p->score_buffers = 2;
	if (p->rows * p->a.v_dim * 4ull + 2 * att_score_bytes(p) > info->acc_bytes)
		p->score_buffers = 1;
	if (p->rows * p->a.v_dim * 4ull + att_score_bytes(p) > info->acc_bytes)
		return false;
	for (p->stages = MAX_STAGES; p->stages >= 2; p->stages--)
		if (place(p) <= info->spad_bytes)
			return true;
	return false;
}

/* The tile is given where keys are split: the workspace has its rows. */
static int choose_split(const struct sili_info *info, struct att_plan *p, const struct parts *parts)
{
	p->group_tile = parts->group_tile;
	p->tokens = p->a.q_len;
	if (!fit(info, p))
		return -E2BIG;
	p->units = p->tiles_g * p->a.kv_heads * p->a.batch;
	p->step = step_cycles(p);
	p->cycles = PLAN_BLOCKS * p->step + 2ull * info->hbm_latency;
	return 0;
}

static int choose(const struct sili_info *info, struct att_plan *p)
{
	struct att_plan best = {.cycles = UINT64_MAX};
	uint32_t most = info->acc_bytes / 4 / (p->a.v_dim + ATT_BLOCK);

	for (p->group_tile = p->group; p->group_tile;
	     p->group_tile = next_size(p->group, p->group_tile)) {
		if (p->group_tile > most)
			continue;
		for (p->tokens = (uint32_t)sili_min64(p->a.q_len, most / p->group_tile); p->tokens;
		     p->tokens = next_size(p->a.q_len, p->tokens)) {
			uint64_t units;

			if (!fit(info, p))
				continue;
			units = (uint64_t)p->tiles_t * p->tiles_g * p->a.kv_heads * p->a.batch;
			if (units > X1_MAX_GRID)
				break;
			p->units = (uint32_t)units;
			p->cycles = estimate(info, p);
			if (p->cycles < best.cycles)
				best = *p;
			/* Smaller tiles only make more of the least that MATRIX does. */
			if (p->rows <= X1_MM_LANES && units > info->mcus_healthy)
				break;
		}
	}
	if (best.cycles == UINT64_MAX)
		return -E2BIG;
	*p = best;
	place(p);
	p->step = step_cycles(p);
	return 0;
}

/* Pairs of a token and a key that it sees, of one head. */
static uint64_t pairs_seen(const struct sili_attention *a)
{
	uint64_t sum = 0;

	if (!a->causal)
		return (uint64_t)a->q_len * a->kv_len;
	for (uint32_t t = 0; t < a->q_len; t++) {
		uint64_t keys = a->kv_len - a->q_len + t + 1ull;

		sum += a->window && a->window < keys ? a->window : keys;
	}
	return sum;
}

static void report(const struct sili_info *info, const struct att_plan *p,
		   const struct sili_attention *a, const struct parts *parts,
		   struct sili_attention_plan *out)
{
	uint64_t pairs = pairs_seen(a), heads = (uint64_t)a->batch * a->heads;
	double cycles = ((double)a->dim / rate(a->q_fmt, a->k_fmt) +
			 (double)a->v_dim / x1_format_rate(a->v_fmt)) *
			(double)pairs * (double)heads / X1_MM_LANES / info->mcus_healthy;
	uint64_t kv = (uint64_t)a->batch * a->kv_heads * a->kv_len;
	uint64_t bytes = heads * a->q_len * sili_fmt_bytes(a->q_fmt, a->dim) +
			 kv * (p->k_pitch + (p->latent ? 0 : p->v_pitch));
	uint64_t per_unit = sili_div_up(parts->num > 1 ? parts->keys : sili_div_up(pairs, a->q_len),
					ATT_BLOCK);
	uint64_t units = (uint64_t)p->units * parts->num;

	*out = (struct sili_attention_plan){
		.tile_tokens = p->tokens,
		.tile_heads = p->group_tile,
		.stages = p->stages,
		.score_buffers = p->score_buffers,
		.work_groups = (uint32_t)units,
		.parts = parts->num,
		.part_keys = parts->num > 1 ? parts->keys : a->kv_len,
		.cycles = X1_LAUNCH_CYCLES + p->cycles +
			  sili_div_up(units, info->mcus_healthy) * per_unit * p->step -
			  sili_div_up(p->units, info->mcus_healthy) * PLAN_BLOCKS * p->step,
		.roofline = (uint64_t)cycles > bytes / info->hbm_bw ? (uint64_t)cycles
								    : bytes / info->hbm_bw,
	};
}

/* ---- calls ---- */

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

/* All of the request that the program depends on. */
static struct sili_key key_of(const struct sili_attention *a, bool latent, bool split)
{
	return (struct sili_key){
		.word =
			{
				SILI_KEY_ATTENTION,
				(uint64_t)a->batch << 32 | a->q_len,
				(uint64_t)a->heads << 32 | a->kv_heads,
				(uint64_t)a->dim << 32 | a->v_dim,
				(uint64_t)a->q_fmt << 32 | (uint64_t)a->k_fmt << 24 |
					(uint64_t)a->v_fmt << 16 | (uint64_t)a->o_fmt << 8 |
					(uint64_t)a->bias_fmt,
				(uint64_t)a->window << 4 | (uint64_t)split << 3 |
					(uint64_t)a->causal << 2 | (uint64_t) !!a->bias << 1 |
					latent,
				(uint64_t)bits_of(a->scale) << 32 | bits_of(a->out_scale),
				a->q_token,
				a->q_head,
				a->q_batch,
				a->k_token,
				a->k_head,
				a->k_batch,
				a->v_token,
				a->v_head,
				a->v_batch,
				a->o_token,
				a->o_head,
				a->o_batch,
				a->bias_row,
				a->bias_head,
				a->bias_batch,
			},
	};
}

static int make(struct sili_device *dev, const struct sili_attention *a, bool latent,
		const struct parts *parts, const struct sili_key *key,
		const struct sili_kernel **out)
{
	struct att_plan *pl = calloc(1, sizeof(*pl));
	int ret;

	if (!pl)
		return -ENOMEM;
	pl->a = *a;
	pl->group = a->heads / a->kv_heads;
	pl->latent = latent;
	pl->split = parts->num > 1;
	ret = pl->split ? choose_split(&dev->info, pl, parts) : choose(&dev->info, pl);
	if (ret) {
		free(pl);
		return ret;
	}
	return sili_keep(dev, key, att_generate(pl), pl, out);
}

/* The kernel that adds up the parts of pl's. */
static int sum_kernel(struct sili_device *dev, const struct att_plan *pl, struct sili_key *key,
		      const struct sili_kernel **out)
{
	key->word[0] = SILI_KEY_ATTENTION_SUM;
	*out = sili_cache_find(dev, key);
	return *out ? 0 : sili_keep(dev, key, att_generate_sum(pl), NULL, out);
}

SILI_EXPORT int64_t sili_attention_work_bytes(const struct sili_attention *attention)
{
	/* What the device has is sili_attention()'s to check. */
	const struct sili_info any = {.formats = UINT32_MAX};
	struct sili_attention a;
	struct parts parts;
	int ret = normalise(&any, attention, &a);

	if (ret)
		return ret;
	parts = parts_of(&a);
	return (int64_t)work_bytes(&a, &parts);
}

SILI_EXPORT int sili_attention(struct sili_device *dev, const struct sili_attention *attention,
			       union x1_cmd *cmds, uint32_t max, struct sili_attention_plan *plan)
{
	const struct sili_kernel *k, *sum = NULL;
	const struct att_plan *pl;
	struct sili_attention a;
	struct parts parts = {.num = 1};
	struct sili_key key;
	uint64_t args;
	bool latent;
	int ret = normalise(&dev->info, attention, &a);

	if (ret)
		return ret;
	if (a.work)
		parts = parts_of(&a);
	if (parts.num > 1)
		a.causal = false; /* the only token sees all */
	if (max < (parts.num > 1 ? 2 : 1))
		return -ENOSPC;
	latent = a.v == a.k && a.v_fmt == a.k_fmt && a.v_dim <= a.dim && a.v_token == a.k_token &&
		 a.v_head == a.k_head && a.v_batch == a.k_batch;
	key = key_of(&a, latent, parts.num > 1);
	k = sili_cache_find(dev, &key);
	if (!k) {
		ret = make(dev, &a, latent, &parts, &key, &k);
		if (ret)
			return ret;
	}
	pl = k->note;
	ret = pl->split ? sum_kernel(dev, pl, &key, &sum) : 0;
	if (ret)
		return ret;
	ret = sili_args(dev,
			(uint64_t[ATT_NUM]){
				[ATT_Q] = a.q,
				[ATT_K] = a.k,
				[ATT_V] = a.v,
				[ATT_O] = a.o,
				[ATT_BIAS] = a.bias,
				[ATT_KV_LEN] = a.kv_len,
				[ATT_WORK] = a.work,
				[ATT_PARTS] = parts.num,
				[ATT_PART_KEYS] = parts.keys,
			},
			ATT_NUM, &args);
	if (ret)
		return ret;
	sili_cmd_launch(&cmds[0], k, pl->units * parts.num, 1, 1, args, ATT_NUM);
	if (sum)
		sili_cmd_launch(&cmds[1], sum, (uint32_t)att_rows(pl), 1, 1, args, ATT_NUM);
	for (int i = 0; i < (sum ? 2 : 1); i++)
		if (a.prefetch != SILI_PREFETCH_OFF)
			cmds[i].hdr.flags = X1_LAUNCH_OVERLAP;
	if (plan)
		report(&dev->info, pl, &a, &parts, plan);
	return sum ? 2 : 1;
}
