// SPDX-License-Identifier: MIT
/*
 * The cost model of the GEMM: tiles, split of K, chunks and stages, from the
 * machine's own numbers.
 *
 * The split of K decides bits, so it is chosen for the nominal X1 and follows
 * from the request alone; everything else is chosen for the device at hand.
 */
#include "gemm.h"

#define MAX_STAGES   32u
#define MOST_CHUNKS  96u /* that are considered: more are more instructions */
#define FIRST_BYTES  128u
#define PLAYED_TILES 3u
#define LEAST_ROWS   8u
#define LONG_TILE    3000u /* cycles */
#define MAX_TN       1024u
#define MAX_CHUNK    512u /* bytes of a row */
#define RAMP_BYTES   32u  /* of a row: the first chunk as the tile's choice sees it */
#define MAX_SPLIT    32u
#define MIN_GAIN     16u /* a split has to save more than one part in */
#define L2_SHARE     16u
#define L2_START     32u /* part of L2 that is fetched ahead in any case */
/* What the sequencer issues for a tile, a chunk and a strip. */
#define UNIT_INSNS      48u
#define CHUNK_INSNS     10u
#define SCALE_INSNS     4u
#define BOX_CHUNK_INSNS 36u
#define STRIP_INSNS     16u
#define STRIP           32u

struct cost {
	const struct sili_info *info;
	const struct gemm_plan *p;
	struct gemm_parts parts;
	uint32_t last_k;       /* of the last split */
	uint64_t a_row, b_row; /* bytes of a row with scales and indices, of a split */
	uint64_t compulsory;   /* bytes from HBM */
	uint64_t halo;         /* bytes that are loaded before the first chunk */
	uint64_t insns;        /* of a tile, but for its strips */
};

static uint32_t last_split(uint32_t k, struct gemm_parts parts)
{
	return k - (parts.splits - 1) * parts.k;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint32_t align_k(const struct gemm_plan *p, uint32_t k)
{
	return (uint32_t)sili_align(k, p->k_step);
}

/* K that one work-group multiplies at most. */
static uint32_t longest_part(const struct gemm_plan *p)
{
	uint32_t last = last_split(p->g.k, p->parts);

	return p->parts.splits > 1 && last > p->parts.k ? last : p->parts.k;
}

/* Bytes of one row of an operand over k, with its scales and indices. */
static uint64_t row_bytes(const struct gemm_operand *op, uint32_t k)
{
	uint64_t bytes = sili_fmt_bytes(op->fmt, gemm_stored(op->sparsity, k));

	if (op->scale == X1_SCALE_F32_128X128)
		bytes += sili_div_up(sili_scale_row_bytes(op->scale, k), 128);
	else if (op->scale)
		bytes += sili_scale_row_bytes(op->scale, k);
	if (op->sparsity)
		bytes += sili_sparse_meta_bytes(op->sparsity, k);
	return bytes;
}

static uint64_t operand_bytes(const struct gemm_operand *op, uint32_t k)
{
	uint64_t bytes = sili_fmt_bytes(op->fmt, (uint64_t)op->rows * gemm_stored(op->sparsity, k));

	if (op->scale)
		bytes += (uint64_t)sili_scale_rows(op->scale, op->rows) *
			 sili_scale_row_bytes(op->scale, k);
	if (op->sparsity)
		bytes += (uint64_t)op->rows * sili_sparse_meta_bytes(op->sparsity, k);
	return bytes;
}

/* k without the padding of runs. */
static uint64_t true_k(const struct gemm_plan *p)
{
	return p->is_box ? (uint64_t)p->g.k / p->box.run_padded * p->box.run : p->g.k;
}

/* All of A in memory; pixels are there once, however many taps read them. */
static uint64_t a_bytes(const struct gemm_plan *p)
{
	if (p->is_box)
		return (uint64_t)p->box.images * p->box.y.in * p->box.x.in * gemm_pixel_bytes(p);
	return operand_bytes(&p->a, p->g.k);
}

/* Every operand, scale and index byte once. */
static uint64_t compulsory(const struct gemm_plan *p)
{
	const struct sili_gemm *g = &p->g;
	uint64_t batches = g->batch, n = g->n;
	uint64_t a = a_bytes(p), b = operand_bytes(&p->b, (uint32_t)true_k(p));
	uint64_t rest = (g->bias ? n * 4 : 0) + (g->col_scale ? n * 4 : 0) +
			(g->row_scale ? g->m * 4ull : 0) +
			(g->residual ? g->m * sili_fmt_bytes(g->residual_fmt, n) : 0);

	return a * (p->a.batch ? batches : 1) + b * (p->b.batch ? batches : 1) +
	       rest * (g->group == SILI_GROUP_CONTIGUOUS ? 1 : batches);
}

/* Rows of A in a batch that the plan is made for. */
static uint64_t plan_rows(const struct gemm_plan *p)
{
	const struct sili_gemm *g = &p->g;

	if (!g->group)
		return g->m;
	if (g->group_rows)
		return g->group_rows;
	return g->group == SILI_GROUP_CONTIGUOUS ? sili_div_up(g->m, g->batch) : g->m;
}

uint64_t gemm_roofline(const struct sili_info *info, const struct gemm_plan *p)
{
	uint64_t rows = plan_rows(p) * p->g.batch;
	uint64_t k = gemm_stored(p->b.sparsity, (uint32_t)true_k(p));
	uint64_t mm = sili_div_up(rows * p->g.n * k,
				  (uint64_t)info->mcus_healthy * X1_MM_LANES * p->rate);

	return max64(mm, sili_div_up(compulsory(p), info->hbm_bw));
}

static uint64_t vector_cycles(const struct gemm_plan *p, uint64_t tm, uint64_t tn)
{
	const struct sili_gemm *g = &p->g;
	uint64_t steps = (g->scale != 1.0f || g->row_scale || g->col_scale) +
			 (g->row_scale && g->col_scale) + !!g->bias + !!g->residual +
			 (g->act == SILI_ACT_RELU) + (g->out_scale != 1.0f);
	/* In place: the accumulators' port is slower than the lanes. */
	uint64_t cycles = tm * sili_div_up(tn * 8, X1_ACC_PORT) * steps;

	if (g->act > SILI_ACT_RELU)
		cycles += tm * sili_div_up(tn, X1_VEC_SLOW_LANES);
	return cycles;
}

/* VECTOR adds the other parts of a fold to the first. */
static uint64_t fold_cycles(uint32_t fold, uint64_t tm, uint64_t tn)
{
	return (fold - 1) * tm * sili_div_up(tn * 12, X1_ACC_PORT);
}

/* From a part's last product until the last split has all sums there are, and adds its own. */
static uint64_t gather_cycles(const struct sili_info *info, uint32_t splits, uint64_t tm,
			      uint64_t tn)
{
	uint64_t sums = tm * tn * 4;

	return X1_MM_LATENCY + sums / X1_STORE_PORT + info->l2_latency + X1_SCALAR_MEM_CYCLES +
	       (splits - 1) * sums / X1_LOAD_PORT + info->l2_latency +
	       tm * sili_div_up(tn, X1_VEC_LANES);
}

/* Cycles of the whole product, from the first instruction to the last store. */
static uint64_t estimate(const struct cost *c, uint64_t tiles_m, uint64_t tm, uint64_t tn)
{
	const struct gemm_plan *p = c->p;
	const struct sili_info *info = c->info;
	uint32_t splits = c->parts.splits, fold = c->parts.fold, k = c->parts.k;
	uint64_t units = p->g.batch * tiles_m * sili_div_up(p->g.n, tn) * splits;
	uint64_t busy = sili_min64(units, info->mcus_healthy), waves = sili_div_up(units, busy);
	uint64_t lines = max64(tm * fold, X1_MM_LANES);
	uint64_t blocks = sili_div_up(tn * fold, X1_MM_LANES);
	uint64_t mm = blocks * lines * sili_div_up(gemm_stored(p->b.sparsity, k), p->rate);
	uint64_t in = tm * c->a_row + tn * c->b_row;
	uint64_t out = sili_fmt_bytes(p->g.c_fmt, tm * tn) +
		       (p->g.residual ? sili_fmt_bytes(p->g.residual_fmt, tm * tn) : 0);
	uint64_t load = in / X1_LOAD_PORT, own;
	/* The last wave's stores come when all has been loaded. */
	uint64_t l2 = (waves * in + (waves - 1) * out) * busy / info->l2_bw;
	uint64_t dispatch = busy / X1_WG_PER_CYCLE;
	uint64_t first = in * p->ramp / k + c->halo, last, wave, total, hbm;
	uint64_t strip = sili_fmt_bytes(p->g.c_fmt, tm * sili_min64(p->strip, tn)) / X1_STORE_PORT;

	first = sili_min64(first, in);
	first = max64(first / X1_LOAD_PORT, first * busy / info->l2_bw);
	wave = max64(max64(mm, vector_cycles(p, tm, tn)), out / X1_STORE_PORT);
	wave = max64(wave, c->insns + sili_div_up(tn, p->strip) * STRIP_INSNS);
	/* One tile fills the accumulators: the next waits until it is stored. */
	if (tm * tn * fold * fold * 4 > X1_ACC_BANK_BYTES && waves > 1)
		wave += strip + X1_MM_LATENCY + info->l2_latency;
	/* MATRIX waits for the first chunk, and is at the last one when LOAD is done. */
	total = max64(first + waves * wave, waves * load + mm * p->ramp / k);
	/* Who starts last has all before it still; L2 works from the first on. */
	total = max64(total + dispatch, l2 + mm * p->ramp / k);
	last = X1_MM_LATENCY + vector_cycles(p, tm, sili_min64(p->strip, tn)) + strip +
	       info->l2_latency + fold_cycles(fold, tm, tn);
	/* The last split multiplies more of K while it waits for the others' sums. */
	if (splits > 1) {
		own = dispatch + first + max64(mm, load) * c->last_k / k;
		own = max64(own, l2 * p->g.k / k / splits) + X1_MM_LATENCY;
		/* It can while all parts run at once. */
		if (c->last_k > k)
			own *= waves;
		total = max64(total + gather_cycles(info, splits, tm, tn), own);
	}
	total += c->compulsory * p->ramp / p->g.k / info->hbm_bw;
	/* What HBM brings last still has to be multiplied. */
	hbm = c->compulsory / info->hbm_bw + mm * p->ramp / k;
	/* L2 that is busy answers late, and costs energy. */
	return info->hbm_latency + max64(total, hbm) + last +
	       units * (in + out) / info->l2_bw / L2_SHARE;
}

/* ---- scratchpad ---- */

static uint64_t take(uint64_t *at, uint64_t bytes)
{
	uint64_t here = *at;

	*at += sili_align(bytes, 64);
	return here;
}

/* What lies behind the stages, from `at` on; returns its end. */
static uint64_t place_epilogue(struct gemm_plan *p, uint64_t at)
{
	const struct sili_gemm *g = &p->g;
	uint64_t tile = (uint64_t)p->tm * p->tn, one = p->tm > p->tn ? p->tm : p->tn;
	uint64_t both = g->row_scale && g->col_scale ? (uint64_t)p->tm * p->strip : one;

	p->bias_at = take(&at, g->bias ? p->tn * 4ull : 0);
	p->cs_at = take(&at, g->col_scale ? p->tn * 4ull : 0);
	p->rs_at = take(&at, g->row_scale ? p->tm * 4ull : 0);
	p->res_at = take(&at, g->residual ? p->tm * sili_fmt_bytes(g->residual_fmt, p->tn) : 0);
	p->tmp_at = take(&at, g->row_scale || g->col_scale ? both * 4 : 0);
	p->part_at = take(&at, (p->parts.splits - 1) * tile * 4);
	p->table_at = take(&at, g->group ? (g->batch + 1) * 4ull : 0);
	p->box.halo_at = take(&at, p->is_box && p->box.window ? 2 * gemm_halo_bytes(p) : 0);
	return at;
}

/* An operand's share of a stage of kc: `tile` rows. */
static void place_operand(struct gemm_operand *op, uint32_t tile, uint32_t kc, uint64_t *at)
{
	uint32_t stored = gemm_stored(op->sparsity, kc);

	op->pitch = sili_fmt_bytes(op->fmt, op->trans ? tile : stored);
	op->s_pitch = op->scale ? sili_scale_row_bytes(op->scale, kc) : 0;
	op->m_pitch = op->sparsity ? sili_sparse_meta_bytes(op->sparsity, kc) : 0;
	op->s_off = take(at, op->scale ? sili_scale_rows(op->scale, tile) * op->s_pitch : 0);
	op->meta_off = take(at, tile * op->m_pitch);
	op->off = take(at, (op->trans ? stored : tile) * op->pitch);
}

static bool fits(struct gemm_plan *p, uint32_t kc, uint32_t stages, uint64_t room)
{
	uint32_t rows = p->tm * p->parts.fold, cols = p->tn * p->parts.fold;
	uint64_t at = 0;

	if (!p->is_box || !p->box.window)
		place_operand(&p->a, rows, kc, &at);
	place_operand(&p->b, cols, kc, &at);
	p->stage_bytes = at;
	p->kc = kc;
	p->stages = stages;
	/* Scales are checked as if a chunk began in the middle of a block. */
	return at * stages <= room && p->a.pitch * rows <= X1_DMA_MAX_BYTES &&
	       p->b.pitch * cols <= X1_DMA_MAX_BYTES;
}

/* Chunks of a box lie inside its runs, and inside the parts of a split. */
static bool chunk_ok(const struct gemm_plan *p, uint32_t kc)
{
	return !p->is_box || (!(p->box.run_padded % kc) && !(p->parts.k % kc));
}

struct gemm_cut gemm_cut(const struct gemm_plan *p, uint32_t k)
{
	uint32_t padded = align_k(p, k), whole, rest;
	struct gemm_cut c = {.last = p->last < padded ? p->last : padded};

	padded -= c.last;
	if (!padded)
		return c;
	whole = (padded - 1) / p->kc;
	rest = padded - whole * p->kc;
	c.first = rest;
	if (p->g.prefetch != SILI_PREFETCH_OFF && rest > p->first) {
		c.first = p->first;
		c.second = rest - p->first;
	}
	c.whole = whole;
	return c;
}

uint64_t gemm_ahead(const struct gemm_plan *p, uint32_t i)
{
	return sili_min64(p->g.ahead[i].bytes, p->ahead_most);
}

static uint32_t chunk_insns(const struct gemm_plan *p)
{
	if (p->is_box)
		return BOX_CHUNK_INSNS;
	return CHUNK_INSNS + SCALE_INSNS * (!!p->a.scale + !!p->b.scale + !!p->b.sparsity);
}

/* A tile of the plan in time: operands in L2, which all work-groups ask at once. */
struct timing {
	uint64_t row, halo, lines, blocks; /* bytes of k_step elements; of MATRIX */
	uint64_t busy, l2_bw, latency;
	uint64_t strips, strip_vec, strip_store, sums; /* sums: of the parts of a fold */
	uint64_t chunk_insns;
	uint64_t ahead, waves; /* cycles of HBM for what is fetched ahead */
};

/*
 * A hit's latency. Where L2 does not hold C, tiles are written back a wave at a
 * time, and what misses waits behind them.
 */
static uint64_t load_latency(const struct sili_info *info, const struct gemm_plan *p)
{
	const struct sili_gemm *g = &p->g;
	uint64_t c = g->batch * (uint64_t)g->m * sili_fmt_bytes(g->c_fmt, g->n);
	uint64_t tiles = sili_min64(p->units, info->mcus_healthy);

	if (compulsory(p) + c <= info->l2_bytes)
		return info->l2_latency;
	return info->hbm_latency +
	       tiles * sili_fmt_bytes(g->c_fmt, (uint64_t)p->tm * p->tn) / info->hbm_bw;
}

static struct timing timing(const struct sili_info *info, const struct gemm_plan *p)
{
	bool window = p->is_box && p->box.window;
	uint64_t a = window ? 0 : p->tm * row_bytes(&p->a, p->k_step);
	uint64_t cols = sili_min64(p->strip, p->tn), fold = p->parts.fold;

	return (struct timing){
		.row = (a + p->tn * row_bytes(&p->b, p->k_step)) * fold,
		.halo = window ? gemm_halo_bytes(p) : 0,
		.lines = max64(p->tm * fold, X1_MM_LANES),
		.blocks = sili_div_up(p->tn * fold, X1_MM_LANES),
		.busy = sili_min64(p->units, info->mcus_healthy),
		.l2_bw = info->l2_bw,
		.latency = load_latency(info, p),
		.strips = sili_div_up(p->tn, cols),
		.strip_vec = vector_cycles(p, p->tm, cols),
		.strip_store = sili_fmt_bytes(p->g.c_fmt, p->tm * cols) / X1_STORE_PORT,
		.sums = fold_cycles(p->parts.fold, p->tm, p->tn),
		.chunk_insns = chunk_insns(p),
		.ahead = (gemm_ahead(p, 0) + gemm_ahead(p, 1)) / info->hbm_bw,
		.waves = sili_div_up(p->units, info->mcus_healthy),
	};
}

struct progress {
	uint64_t load, mm, vec, store, issued;
	uint64_t freed[MAX_STAGES]; /* when MATRIX was done with a stage */
	uint32_t chunk;
};

static void pass_chunk(const struct timing *t, const struct gemm_plan *p, uint32_t k,
		       struct progress *at)
{
	uint64_t bytes = t->row * k / p->k_step, port = bytes / X1_LOAD_PORT;
	uint64_t shared = bytes * t->busy / t->l2_bw;
	uint32_t stage = at->chunk++ % p->stages;

	at->issued += t->chunk_insns;
	at->load = max64(max64(at->load, at->freed[stage]), at->issued) + max64(port, shared);
	at->mm = max64(at->mm, at->load + t->latency) +
		 t->blocks * t->lines * sili_div_up(gemm_stored(p->b.sparsity, k), p->rate);
	at->freed[stage] = at->mm;
}

/* A tile in time, behind others; `slot`: when there were accumulators for it. */
static void pass_tile(const struct timing *t, const struct gemm_plan *p, uint64_t slot,
		      struct progress *at)
{
	struct gemm_cut c = gemm_cut(p, longest_part(p));
	uint64_t strip, before;

	at->load += max64(t->halo / X1_LOAD_PORT, t->halo * t->busy / t->l2_bw);
	at->mm = max64(at->mm, slot);
	if (c.first)
		pass_chunk(t, p, c.first, at);
	if (c.second)
		pass_chunk(t, p, c.second, at);
	for (uint32_t i = 0; i < c.whole; i++)
		pass_chunk(t, p, p->kc, at);
	pass_chunk(t, p, c.last, at);
	/* The last chunk is multiplied in strips, whose ends overlap. */
	strip = t->blocks * t->lines * sili_div_up(gemm_stored(p->b.sparsity, c.last), p->rate) /
		t->strips;
	before = at->mm - strip * t->strips;
	for (uint32_t i = 0; i < t->strips; i++) {
		before += strip;
		at->vec = max64(at->vec, before + X1_MM_LATENCY) + t->strip_vec + t->sums;
		at->store = max64(at->store, at->vec) + t->strip_store;
	}
}

/*
 * From the first LOAD to the last STORE of a work-group with the plan's chunks:
 * some tiles are played through, the others take as long as the last of those.
 * *ahead_early: HBM needs more than the tiles' time, or LOAD is busy to the end
 * of a long tile or of a last part of K. What is fetched behind that comes too
 * late; before, it costs L2 less than it saves.
 */
static uint64_t tile_cycles(const struct timing *t, const struct gemm_plan *p, bool *ahead_early)
{
	uint64_t n = sili_min64(t->waves, PLAYED_TILES), done[PLAYED_TILES];
	struct progress at = {0};

	for (uint64_t i = 0; i < n; i++) {
		pass_tile(t, p, i >= p->slots ? done[i - p->slots] : 0, &at);
		done[i] = at.store;
		if (!i)
			*ahead_early = (at.mm > LONG_TILE && at.load > at.mm - at.mm / 8) ||
				       t->ahead > at.mm * t->waves || p->parts.splits > 1;
	}
	return n < t->waves ? done[n - 1] + (t->waves - n) * (done[n - 1] - done[n - 2]) : at.store;
}

/* The best first and last chunk for kc and its stages. */
static uint64_t best_ends(const struct timing *t, struct gemm_plan *p, uint32_t most_first)
{
	uint64_t best = UINT64_MAX;
	uint32_t first = p->k_step, last = p->kc;

	/* Off: equal chunks, two of them at a time. */
	if (p->g.prefetch == SILI_PREFETCH_OFF) {
		p->first = p->last = p->kc;
		return tile_cycles(t, p, &p->ahead_early);
	}
	for (uint32_t f = p->k_step; f <= most_first; f *= 2)
		for (uint32_t l = p->kc; l >= p->k_step;
		     l = l > p->k_step ? align_k(p, l / 2) : 0) {
			uint64_t cycles;
			bool early;

			p->first = f;
			p->last = l;
			cycles = tile_cycles(t, p, &early);
			if (cycles < best) {
				best = cycles;
				p->ahead_early = early;
				first = f;
				last = l;
			}
			/* The last chunk of a box ends a run as others do. */
			if (p->is_box)
				break;
		}
	p->first = first;
	p->last = last;
	return best;
}

/*
 * The chunk of K and the stages, for tm, tn and splits: long chunks are few
 * instructions, but MATRIX waits for the first ones, and nothing overlaps the
 * product of the last.
 */
static bool fit(const struct sili_info *info, struct gemm_plan *p, bool memory_bound)
{
	uint64_t beside = place_epilogue(p, 0), room = info->spad_bytes - 64, best = UINT64_MAX;
	struct timing t = timing(info, p);
	struct gemm_plan chosen = *p;
	uint32_t whole = align_k(p, p->parts.k), longest = longest_part(p);
	uint32_t bits = x1_format_bits(p->a.fmt) > x1_format_bits(p->b.fmt)
				? x1_format_bits(p->a.fmt)
				: x1_format_bits(p->b.fmt);
	uint32_t most = (memory_bound ? MAX_CHUNK / 4 : MAX_CHUNK) * 8 / bits;
	uint32_t first = align_k(p, FIRST_BYTES * 8 / bits);
	uint32_t least = align_k(p, (uint32_t)sili_div_up(whole, MOST_CHUNKS));

	if (beside >= room)
		return false;
	room -= beside;
	most = align_k(p, most * (p->b.sparsity ? 4 : 1));
	if (most > whole)
		most = whole;
	for (uint32_t kc = most; kc; kc -= p->k_step) {
		uint64_t cycles;

		if (!chunk_ok(p, kc) || !fits(p, kc, 2, room))
			continue;
		/* What a tile's chunks, or the next tile's, leave of the room hides latency. */
		p->stages = (uint32_t)sili_min64(sili_min64(room / p->stage_bytes, MAX_STAGES),
						 (t.waves > 1 ? 2 : 1) *
							 (sili_div_up(longest, kc) + 2));
		if (p->g.prefetch == SILI_PREFETCH_OFF)
			p->stages = 2;
		cycles = best_ends(&t, p, first);
		if (cycles < best) {
			best = cycles;
			chosen = *p;
		}
		if (kc <= least)
			break;
	}
	if (best == UINT64_MAX)
		return false;
	*p = chosen;
	place_epilogue(p, p->stages * p->stage_bytes);
	return true;
}

/* ---- tiles ---- */

/* MATRIX counts blocks of scales from a tile's first row on. */
static bool blocks_ok(const struct gemm_operand *op, uint64_t rows)
{
	return op->scale != X1_SCALE_F32_128X128 || !(rows % 128) || !(128 % rows) ||
	       rows >= op->rows;
}

static bool tile_ok(const struct cost *c, uint64_t tm, uint64_t tn)
{
	const struct gemm_plan *p = c->p;
	const struct sili_info *info = c->info;
	uint64_t fold = c->parts.fold;
	uint64_t stage =
		(tm * row_bytes(&p->a, p->k_step) + tn * row_bytes(&p->b, p->k_step)) * fold + 512;
	uint64_t beside = 2048 + tn * 8 + tm * 4 + p->g.batch * 4ull;

	if (!blocks_ok(&p->a, tm) || !blocks_ok(&p->b, tn))
		return false;
	if (p->g.residual)
		beside += sili_fmt_bytes(p->g.residual_fmt, tm * tn);
	if (p->g.row_scale && p->g.col_scale)
		beside += tm * (fold > 1 ? tn : p->strip) * 4;
	beside += (c->parts.splits - 1) * tm * tn * 4;
	if (p->is_box && p->box.window)
		beside += 2 * gemm_halo_bytes(p);
	return tm * tn * fold * fold * 4 <= info->acc_bytes &&
	       2 * stage + beside <= info->spad_bytes;
}

/* The best of a search so far. */
struct best {
	uint64_t cost;
	struct gemm_plan *p;
	uint32_t tile_images, tile_y, tile_x;
	bool window;
};

/* Columns of tiles that fill `blocks` blocks of MATRIX; rows of C are whole bytes. */
static uint64_t tile_cols(const struct gemm_plan *p, uint32_t fold, uint64_t blocks)
{
	uint64_t cols = blocks * X1_MM_LANES / fold;
	bool narrow = x1_format_bits(p->g.c_fmt) < 8 ||
		      (p->g.residual && x1_format_bits(p->g.residual_fmt) < 8);

	return narrow ? cols & ~3ull : cols;
}

/* All widths for tiles of tm rows. */
static void try_rows(const struct cost *c, struct best *best, uint64_t tiles_m, uint64_t tm)
{
	struct gemm_plan *p = best->p;
	uint32_t fold = c->parts.fold;

	for (uint64_t blocks = 1; blocks * X1_MM_LANES <= MAX_TN; blocks++) {
		uint64_t tn = tile_cols(p, fold, blocks);

		if (!tn)
			continue;
		if (tm * tn * fold * fold * 4 > c->info->acc_bytes)
			break;
		if (tile_ok(c, tm, tn)) {
			uint64_t cost = estimate(c, tiles_m, tm, tn);

			if (cost < best->cost) {
				best->cost = cost;
				best->tile_images = p->box.tile_images;
				best->tile_y = p->box.y.tile;
				best->tile_x = p->box.x.tile;
				best->window = p->box.window;
				p->tm = (uint32_t)tm;
				p->tn = (uint32_t)tn;
			}
		}
		if (tn >= p->g.n)
			break;
	}
}

/* Can a tile's window be held, and is there a second tap for it? */
static bool window_ok(const struct gemm_plan *p)
{
	const struct gemm_box *b = &p->box;

	return b->tile_images == 1 && !b->one_of_many && b->y.taps * b->x.taps > 1 &&
	       (uint64_t)gemm_halo_width(b) * gemm_halo_height(b) <= X1_DMA_MAX_ROWS &&
	       gemm_halo_bytes(p) <= X1_DMA_MAX_BYTES;
}

static void try_box(struct cost *c, struct best *best, uint32_t images, uint32_t ty, uint32_t tx)
{
	struct gemm_box *b = &best->p->box;
	uint64_t tm = (uint64_t)images * ty * tx, a_row = c->a_row;
	uint64_t tiles = sili_div_up(b->images, images) * sili_div_up(b->y.out, ty) *
			 sili_div_up(b->x.out, tx);

	b->tile_images = images;
	b->y.tile = ty;
	b->x.tile = tx;
	b->window = false;
	if (!b->by_row)
		try_rows(c, best, tiles, tm);
	/* Parts of K would each load all of the window, and use some taps of it. */
	if (!window_ok(best->p) || (c->parts.splits > 1 && !b->by_row))
		return;
	b->window = true;
	c->halo = gemm_halo_bytes(best->p);
	c->a_row = sili_div_up(c->halo, tm);
	try_rows(c, best, tiles, tm);
	c->a_row = a_row;
	c->halo = 0;
}

/* The next smaller size that makes more tiles; 0 = there is none. */
static uint32_t next_size(uint32_t of, uint32_t size)
{
	uint32_t tiles = (uint32_t)sili_div_up(of, size) + 1;

	return tiles > of                                ? 0
	       : (uint32_t)sili_div_up(of, tiles) < size ? (uint32_t)sili_div_up(of, tiles)
							 : size - 1;
}

/* Whole images, else boxes of one. */
static void search_boxes(struct cost *c, struct best *best)
{
	struct gemm_box *b = &best->p->box;
	uint64_t most = c->info->acc_bytes / 4 / X1_MM_LANES;

	if (!b->by_row)
		for (uint32_t i = b->images; i > 1; i = next_size(b->images, i))
			if ((uint64_t)i * b->y.out * b->x.out <= most)
				try_box(c, best, i, b->y.out, b->x.out);
	for (uint32_t ty = b->y.out; ty; ty = next_size(b->y.out, ty))
		for (uint32_t tx = b->x.out; tx; tx = next_size(b->x.out, tx))
			if ((uint64_t)ty * tx <= most)
				try_box(c, best, 1, ty, tx);
	b->tile_images = best->tile_images;
	b->y.tile = best->tile_y;
	b->x.tile = best->tile_x;
	b->window = best->window;
	b->tiles_images = (uint32_t)sili_div_up(b->images, b->tile_images);
	b->y.tiles = (uint32_t)sili_div_up(b->y.out, b->y.tile);
	b->x.tiles = (uint32_t)sili_div_up(b->x.out, b->x.tile);
}

static void search_rows(const struct cost *c, struct best *best)
{
	const struct gemm_plan *p = best->p;
	uint64_t rows = plan_rows(p), last_tm = 0, most = sili_div_up(rows, X1_MM_LANES);
	/* Rows of a transposed operand begin at whole bytes; scale blocks at blocks. */
	uint32_t step = p->a.scale == X1_SCALE_F32_128X128           ? 128
			: p->a.trans && x1_format_bits(p->a.fmt) < 8 ? 8
								     : 1;

	/* Fewer rows than MATRIX takes at a time are less to load, where MCUs are idle. */
	if (c->parts.fold > 1)
		most = sili_div_up(rows, max64(X1_MM_LANES / c->parts.fold, 1));
	else if (most * sili_div_up(p->g.n, X1_MM_LANES) * p->g.batch < c->info->mcus_healthy)
		most = sili_div_up(rows, LEAST_ROWS);
	for (uint64_t parts = 1; parts <= most; parts++) {
		uint64_t tm = sili_align(sili_div_up(rows, parts), step);

		if (tm != last_tm)
			try_rows(c, best, sili_div_up(rows, tm), tm);
		last_tm = tm;
	}
}

/* A guess: fit() chooses it for the tile. */
static uint32_t usual_chunk(const struct gemm_plan *p)
{
	uint32_t chunk = align_k(p, MAX_CHUNK / 2 * 8 / x1_format_bits(p->a.fmt));

	return p->is_box && p->box.run_padded < chunk ? p->box.run_padded : chunk;
}

static uint64_t best_tile(const struct sili_info *info, struct gemm_plan *p,
			  struct gemm_parts parts, uint64_t limit)
{
	struct best best = {.cost = limit, .p = p, .tile_images = 1, .tile_y = 1, .tile_x = 1};
	struct cost c = {
		.info = info,
		.p = p,
		.parts = parts,
		.last_k = last_split(p->g.k, parts),
		.a_row = row_bytes(&p->a, parts.k) * parts.fold,
		.b_row = row_bytes(&p->b, parts.k) * parts.fold,
		.compulsory = compulsory(p),
		.insns = UNIT_INSNS + sili_div_up(parts.k, usual_chunk(p)) * chunk_insns(p),
	};

	if (p->is_box)
		search_boxes(&c, &best);
	else
		search_rows(&c, &best);
	return best.cost;
}

/* The X1 as it leaves the works, operands in L2: how they get there is another's concern. */
static struct sili_info nominal(void)
{
	return (struct sili_info){
		.mcus_healthy = X1_DEF_MCUS,
		.spad_bytes = X1_SPAD_BYTES,
		.acc_bytes = X1_ACC_BYTES,
		.hbm_bw = X1_DEF_L2_BW,
		.l2_bw = X1_DEF_L2_BW,
		.hbm_latency = X1_DEF_L2_LATENCY,
		.l2_latency = X1_DEF_L2_LATENCY,
	};
}

/* Keep these parts of K if they are the best so far. */
static void try_parts(struct gemm_plan *p, struct gemm_parts parts, uint64_t *best,
		      struct gemm_parts *chosen)
{
	struct sili_info info = nominal();
	uint64_t cost = best_tile(&info, p, parts, *best);

	if (cost < *best) {
		*best = cost;
		*chosen = parts;
	}
}

/* Parts for as many work-groups: equal ones, or so that nobody waits for a trip through L2. */
static void try_splits(struct gemm_plan *p, uint64_t *best, struct gemm_parts *chosen)
{
	struct sili_info info = nominal();
	uint32_t k = p->g.k, less;

	for (uint32_t s = 2; s <= MAX_SPLIT && s * 2 * p->k_step <= k; s++) {
		uint32_t equal = align_k(p, (uint32_t)sili_div_up(k, s));
		uint64_t more = gather_cycles(&info, s, X1_MM_LANES, X1_MM_LANES) * p->rate /
				X1_MM_LANES;

		/* The last one is not shorter than half of the others. */
		if ((uint64_t)(s - 1) * equal < k && (k - (s - 1) * equal) * 2 >= equal)
			try_parts(p, (struct gemm_parts){s, 1, equal}, best, chosen);
		if (more + (uint64_t)s * p->k_step > k)
			continue;
		less = align_k(p, (uint32_t)((k - more) / s));
		if (less < equal)
			try_parts(p, (struct gemm_parts){s, 1, less}, best, chosen);
	}
}

/* Equal parts that lie side by side in the rows and columns of MATRIX. */
static void try_folds(struct gemm_plan *p, uint64_t *best, struct gemm_parts *chosen)
{
	if (p->is_box || p->a.trans || p->b.trans || p->a.scale == X1_SCALE_F32_128X128 ||
	    p->b.scale == X1_SCALE_F32_128X128)
		return;
	for (uint32_t f = 2; f <= X1_MM_LANES; f++)
		if (!(p->g.k % (f * p->k_step)))
			try_parts(p, (struct gemm_parts){1, f, p->g.k / f}, best, chosen);
}

static struct gemm_parts choose_parts(struct gemm_plan *p)
{
	struct sili_info info = nominal();
	uint64_t tiles = p->g.batch * sili_div_up(p->g.m, X1_MM_LANES) *
			 sili_div_up(p->g.n, X1_MM_LANES);
	struct gemm_parts one = {1, 1, p->g.k}, chosen = one;
	uint64_t best;

	if (p->g.group || (p->is_box && p->box.one_of_many))
		return one;
	best = best_tile(&info, p, one, UINT64_MAX);
	best -= best / MIN_GAIN;
	if (tiles <= 2 * X1_DEF_MCUS && p->g.k >= 4 * p->k_step)
		try_splits(p, &best, &chosen);
	/* Fewer rows than MATRIX has leave room beside them. */
	if (tiles <= 2 * X1_DEF_MCUS || 2 * p->g.m <= X1_MM_LANES)
		try_folds(p, &best, &chosen);
	return chosen;
}

int gemm_choose(const struct sili_info *info, struct gemm_plan *p)
{
	const struct sili_gemm *g = &p->g;
	uint32_t bits = x1_format_bits(p->a.fmt) < x1_format_bits(p->b.fmt)
				? x1_format_bits(p->a.fmt)
				: x1_format_bits(p->b.fmt);
	uint64_t mm, hbm, own;

	p->strip = STRIP;
	p->ramp = align_k(p, RAMP_BYTES * 8 / bits);
	/* L2 has room for this one's operands as well, and for a start at least. */
	own = compulsory(p);
	p->ahead_most = max64(info->l2_bytes / 2 > own ? (info->l2_bytes / 2 - own) / 2 : 0,
			      info->l2_bytes / L2_START);
	p->parts = choose_parts(p);
	p->cycles = best_tile(info, p, p->parts, UINT64_MAX);
	if (p->cycles == UINT64_MAX)
		return -EINVAL;
	if (p->parts.splits > 1 || p->parts.fold > 1)
		p->strip = p->tn;
	p->tiles_m = p->is_box ? p->box.tiles_images * p->box.y.tiles * p->box.x.tiles
			       : (uint32_t)sili_div_up(g->m, p->tm);
	p->tiles_n = (uint32_t)sili_div_up(g->n, p->tn);
	/* Groups of a contiguous GEMM may each end in a ragged tile. */
	p->units = g->group == SILI_GROUP_CONTIGUOUS
			   ? ((uint64_t)p->tiles_m + g->batch) * p->tiles_n
			   : (uint64_t)g->batch * p->tiles_m * p->tiles_n * p->parts.splits;
	if (p->units > X1_MAX_GRID)
		return -E2BIG;
	/* Splits wait for lower work-groups, so each is one of its own. */
	p->grid = p->parts.splits > 1 ? (uint32_t)p->units
				      : (uint32_t)sili_min64(p->units, info->mcus_healthy);
	p->slots = gemm_acc_pitch(p) * p->tm * p->parts.fold <= X1_ACC_BANK_BYTES ? 2 : 1;
	p->m_fast = a_bytes(p) <= operand_bytes(&p->b, g->k);
	mm = (uint64_t)g->m * g->n * gemm_stored(p->b.sparsity, g->k) / X1_MM_LANES / p->rate /
	     info->mcus_healthy;
	hbm = compulsory(p) / info->hbm_bw;
	if (!fit(info, p, mm < hbm))
		return -EINVAL;
	return 0;
}
