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
#define LEAST_ROWS   8u
#define LONG_TILE    3000u /* cycles */
#define MAX_TN       1024u
#define MAX_CHUNK    512u /* bytes of a row */
#define RAMP_BYTES   64u  /* of a row: the first chunk as the tile's choice sees it */
#define SPLIT_CYCLES 600u /* a release, its wait, a trip through L2 */
#define MAX_SPLIT    32u
#define MIN_GAIN     16u /* a split has to save more than one part in */
#define L2_SHARE     32u
#define L2_START     32u /* part of L2 that is fetched ahead in any case */
/* What the sequencer issues for a tile, a chunk and a strip. */
#define UNIT_INSNS      80u
#define CHUNK_INSNS     36u
#define BOX_CHUNK_INSNS 60u
#define STRIP_INSNS     40u
#define STRIP           32u

struct cost {
	const struct sili_info *info;
	const struct gemm_plan *p;
	uint32_t k;            /* of a split */
	uint64_t a_row, b_row; /* bytes of a row of k with scales and indices */
	uint64_t compulsory;   /* bytes from HBM */
	uint64_t halo;         /* bytes that are loaded before the first chunk */
	uint64_t insns;        /* of a tile, but for its strips */
};

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint32_t align_k(const struct gemm_plan *p, uint32_t k)
{
	return (uint32_t)sili_align(k, p->k_step);
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

/* Cycles of the whole product, from the first instruction to the last store. */
static uint64_t estimate(const struct cost *c, uint64_t tiles_m, uint64_t tm, uint64_t tn,
			 uint32_t splits)
{
	const struct gemm_plan *p = c->p;
	const struct sili_info *info = c->info;
	uint64_t units = p->g.batch * tiles_m * sili_div_up(p->g.n, tn) * splits;
	uint64_t busy = sili_min64(units, info->mcus_healthy), waves = sili_div_up(units, busy);
	uint64_t lines = tm > X1_MM_LANES ? tm : X1_MM_LANES;
	uint64_t blocks = sili_div_up(tn, X1_MM_LANES);
	uint64_t mm = blocks * lines * sili_div_up(gemm_stored(p->b.sparsity, c->k), p->rate);
	uint64_t in = tm * c->a_row + tn * c->b_row;
	uint64_t out = sili_fmt_bytes(p->g.c_fmt, tm * tn) +
		       (p->g.residual ? sili_fmt_bytes(p->g.residual_fmt, tm * tn) : 0);
	uint64_t load = in / X1_LOAD_PORT, l2 = (in + out) * busy / info->l2_bw;
	uint64_t first = in * p->ramp / c->k + c->halo, last, wave, total, hbm;
	uint64_t strip = sili_fmt_bytes(p->g.c_fmt, tm * sili_min64(p->strip, tn)) / X1_STORE_PORT;

	first = sili_min64(first, in);
	first = max64(first / X1_LOAD_PORT, first * busy / info->l2_bw);
	wave = max64(max64(mm, vector_cycles(p, tm, tn)), out / X1_STORE_PORT);
	wave = max64(wave, c->insns + sili_div_up(tn, p->strip) * STRIP_INSNS);
	/* One tile fills the accumulators: the next waits until it is stored. */
	if (tm * tn * 4 > X1_ACC_BANK_BYTES && waves > 1)
		wave += strip + X1_MM_LATENCY + info->l2_latency;
	/* MATRIX waits for the first chunk, and is at the last one when LOAD is done. */
	total = max64(first + waves * wave, waves * max64(load, l2) + mm * p->ramp / c->k);
	last = X1_MM_LATENCY + vector_cycles(p, tm, sili_min64(p->strip, tn)) + strip +
	       info->l2_latency;
	if (splits > 1)
		last += SPLIT_CYCLES + (splits - 1) * tm * tn * 4 / X1_LOAD_PORT +
			splits * tm * sili_div_up(tn, X1_VEC_LANES);
	total += c->compulsory * p->ramp / p->g.k / info->hbm_bw + busy / X1_WG_PER_CYCLE / 2;
	/* What HBM brings last still has to be multiplied. */
	hbm = c->compulsory / info->hbm_bw + mm * p->ramp / c->k;
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
	p->part_at = take(&at, (p->splits - 1) * tile * 4);
	p->table_at = take(&at, g->group ? (g->batch + 1) * 4ull : 0);
	p->box.halo_at = take(&at, p->is_box && p->box.window ? 2 * gemm_halo_bytes(p) : 0);
	return at;
}

/* An operand's share of a stage of kc. */
static void place_operand(struct gemm_operand *op, uint32_t tile, uint32_t kc, uint64_t *at)
{
	uint32_t stored = gemm_stored(op->sparsity, kc);

	op->tile = tile;
	op->pitch = sili_fmt_bytes(op->fmt, op->trans ? tile : stored);
	op->s_pitch = op->scale ? sili_scale_row_bytes(op->scale, kc) : 0;
	op->m_pitch = op->sparsity ? sili_sparse_meta_bytes(op->sparsity, kc) : 0;
	op->s_off = take(at, op->scale ? sili_scale_rows(op->scale, tile) * op->s_pitch : 0);
	op->meta_off = take(at, tile * op->m_pitch);
	op->off = take(at, (op->trans ? stored : tile) * op->pitch);
}

static bool fits(struct gemm_plan *p, uint32_t kc, uint32_t stages, uint64_t room)
{
	uint64_t at = 0;

	if (!p->is_box || !p->box.window)
		place_operand(&p->a, p->tm, kc, &at);
	place_operand(&p->b, p->tn, kc, &at);
	p->stage_bytes = at;
	p->kc = kc;
	p->stages = stages;
	/* Scales are checked as if a chunk began in the middle of a block. */
	return at * stages <= room && p->a.pitch * p->tm <= X1_DMA_MAX_BYTES &&
	       p->b.pitch * p->tn <= X1_DMA_MAX_BYTES;
}

/* Chunks of a box lie inside its runs, and inside the parts of a split. */
static bool chunk_ok(const struct gemm_plan *p, uint32_t kc)
{
	return !p->is_box || (!(p->box.run_padded % kc) && !(p->k_split % kc));
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

/* A tile of the plan in time: operands in L2, which all work-groups ask at once. */
struct timing {
	uint64_t row, halo, lines, blocks; /* bytes of k_step elements; of MATRIX */
	uint64_t busy, l2_bw, l2_latency;
	uint64_t strips, strip_vec, strip_store;
	uint64_t ahead, waves; /* cycles of HBM for what is fetched ahead */
};

static struct timing timing(const struct sili_info *info, const struct gemm_plan *p)
{
	bool window = p->is_box && p->box.window;
	uint64_t a = window ? 0 : p->tm * row_bytes(&p->a, p->k_step);
	uint64_t cols = sili_min64(p->strip, p->tn);

	return (struct timing){
		.row = a + p->tn * row_bytes(&p->b, p->k_step),
		.halo = window ? gemm_halo_bytes(p) : 0,
		.lines = p->tm > X1_MM_LANES ? p->tm : X1_MM_LANES,
		.blocks = sili_div_up(p->tn, X1_MM_LANES),
		.busy = sili_min64(p->units, info->mcus_healthy),
		.l2_bw = info->l2_bw,
		.l2_latency = info->l2_latency,
		.strips = sili_div_up(p->tn, cols),
		.strip_vec = vector_cycles(p, p->tm, cols),
		.strip_store = sili_fmt_bytes(p->g.c_fmt, p->tm * cols) / X1_STORE_PORT,
		.ahead = (gemm_ahead(p, 0) + gemm_ahead(p, 1)) / info->hbm_bw,
		.waves = sili_div_up(p->units, info->mcus_healthy),
	};
}

struct progress {
	uint64_t load, mm, issued;
	uint64_t freed[MAX_STAGES]; /* when MATRIX was done with a stage */
	uint32_t chunk;
};

static void pass_chunk(const struct timing *t, const struct gemm_plan *p, uint32_t k,
		       struct progress *at)
{
	uint64_t bytes = t->row * k / p->k_step, port = bytes / X1_LOAD_PORT;
	uint64_t shared = bytes * t->busy / t->l2_bw;
	uint32_t stage = at->chunk++ % p->stages;

	at->issued += p->is_box ? BOX_CHUNK_INSNS : CHUNK_INSNS;
	at->load = max64(max64(at->load, at->freed[stage]), at->issued) + max64(port, shared);
	at->mm = max64(at->mm, at->load + t->l2_latency) +
		 t->blocks * t->lines * sili_div_up(gemm_stored(p->b.sparsity, k), p->rate);
	at->freed[stage] = at->mm;
}

/*
 * From the first LOAD to the last STORE of a tile with the plan's chunks.
 * *ahead_early: HBM needs more than the tile's time, or LOAD is busy to the end
 * of a long tile. What is fetched behind that comes too late; before, it costs
 * L2 less than it saves.
 */
static uint64_t tile_cycles(const struct timing *t, const struct gemm_plan *p, bool *ahead_early)
{
	struct gemm_cut c = gemm_cut(p, p->k_split);
	struct progress at = {0};
	uint64_t strip, vec = 0, store = 0, before;

	at.load = max64(t->halo / X1_LOAD_PORT, t->halo * t->busy / t->l2_bw);
	if (c.first)
		pass_chunk(t, p, c.first, &at);
	if (c.second)
		pass_chunk(t, p, c.second, &at);
	for (uint32_t i = 0; i < c.whole; i++)
		pass_chunk(t, p, p->kc, &at);
	pass_chunk(t, p, c.last, &at);
	*ahead_early = (at.mm > LONG_TILE && at.load > at.mm - at.mm / 8) ||
		       t->ahead > at.mm * t->waves;
	/* The last chunk is multiplied in strips, whose ends overlap. */
	strip = t->blocks * t->lines * sili_div_up(gemm_stored(p->b.sparsity, c.last), p->rate) /
		t->strips;
	before = at.mm - strip * t->strips;
	for (uint32_t i = 0; i < t->strips; i++) {
		before += strip;
		vec = max64(vec, before + X1_MM_LATENCY) + t->strip_vec;
		store = max64(store, vec) + t->strip_store;
	}
	return store;
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
	uint32_t whole = align_k(p, p->k_split);
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
						 2 * (sili_div_up(whole, kc) + 2));
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

static bool tile_ok(const struct sili_info *info, const struct gemm_plan *p, uint64_t tm,
		    uint64_t tn, uint32_t splits)
{
	uint64_t stage = tm * row_bytes(&p->a, p->k_step) + tn * row_bytes(&p->b, p->k_step) + 512;
	uint64_t beside = 2048 + tn * 8 + tm * 4 + p->g.batch * 4ull;

	if (p->a.scale == X1_SCALE_F32_128X128 && tm % 128 && tm < p->a.rows)
		return false;
	if (p->b.scale == X1_SCALE_F32_128X128 && tn % 128 && tn < p->b.rows)
		return false;
	if (p->g.residual)
		beside += sili_fmt_bytes(p->g.residual_fmt, tm * tn);
	if (p->g.row_scale && p->g.col_scale)
		beside += tm * p->strip * 4;
	beside += (splits - 1) * tm * tn * 4;
	if (p->is_box && p->box.window)
		beside += 2 * gemm_halo_bytes(p);
	return tm * tn * 4 <= info->acc_bytes && 2 * stage + beside <= info->spad_bytes;
}

/* The best of a search so far. */
struct best {
	uint64_t cost;
	struct gemm_plan *p;
	uint32_t splits, k_split;
	uint32_t tile_images, tile_y, tile_x;
	bool window;
};

/* All widths for tiles of tm rows. */
static void try_rows(const struct cost *c, struct best *best, uint64_t tiles_m, uint64_t tm)
{
	struct gemm_plan *p = best->p;

	for (uint64_t tn = X1_MM_LANES; tn <= MAX_TN; tn += X1_MM_LANES) {
		if (tm * tn * 4 > c->info->acc_bytes)
			break;
		if (tile_ok(c->info, p, tm, tn, best->splits)) {
			uint64_t cost = estimate(c, tiles_m, tm, tn, best->splits);

			if (cost < best->cost) {
				best->cost = cost;
				best->tile_images = p->box.tile_images;
				best->tile_y = p->box.y.tile;
				best->tile_x = p->box.x.tile;
				best->window = p->box.window;
				p->tm = (uint32_t)tm;
				p->tn = (uint32_t)tn;
				p->splits = best->splits;
				p->k_split = best->k_split;
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
	if (!window_ok(best->p) || (best->splits > 1 && !b->by_row))
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
	if (most * sili_div_up(p->g.n, X1_MM_LANES) * p->g.batch < c->info->mcus_healthy)
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

static uint64_t best_tile(const struct sili_info *info, struct gemm_plan *p, uint32_t splits,
			  uint64_t limit)
{
	uint32_t k = splits > 1 ? align_k(p, (uint32_t)sili_div_up(p->g.k, splits)) : p->g.k;
	struct best best = {.cost = limit,
			    .p = p,
			    .splits = splits,
			    .k_split = k,
			    .tile_images = 1,
			    .tile_y = 1,
			    .tile_x = 1};
	struct cost c = {
		.info = info,
		.p = p,
		.k = k,
		.a_row = row_bytes(&p->a, k),
		.b_row = row_bytes(&p->b, k),
		.compulsory = compulsory(p),
		.insns = UNIT_INSNS + sili_div_up(k, usual_chunk(p)) *
					      (p->is_box ? BOX_CHUNK_INSNS : CHUNK_INSNS),
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

static uint32_t choose_split(struct gemm_plan *p)
{
	struct sili_info info = nominal();
	uint64_t tiles = p->g.batch * sili_div_up(p->g.m, X1_MM_LANES) *
			 sili_div_up(p->g.n, X1_MM_LANES);
	uint64_t whole, best;
	uint32_t splits = 1;

	if (p->g.group || (p->is_box && p->box.one_of_many) || tiles > 2 * X1_DEF_MCUS ||
	    p->g.k < 4 * p->k_step)
		return 1;
	whole = best = best_tile(&info, p, 1, UINT64_MAX);
	best -= best / MIN_GAIN;
	for (uint32_t s = 2; s <= MAX_SPLIT && s * 2 * p->k_step <= p->g.k; s++) {
		uint32_t k = align_k(p, (uint32_t)sili_div_up(p->g.k, s));
		uint64_t cost;

		/* Equal parts: the last one is not shorter than half of the others. */
		if (sili_div_up(p->g.k, k) != s || (p->g.k - (s - 1) * k) * 2 < k)
			continue;
		cost = best_tile(&info, p, s, whole);
		if (cost < best) {
			best = cost;
			splits = s;
		}
	}
	return splits;
}

int gemm_choose(const struct sili_info *info, struct gemm_plan *p)
{
	const struct sili_gemm *g = &p->g;
	uint32_t bits = x1_format_bits(p->a.fmt) < x1_format_bits(p->b.fmt)
				? x1_format_bits(p->a.fmt)
				: x1_format_bits(p->b.fmt);
	uint64_t mm, hbm, own;
	uint32_t splits;

	p->strip = STRIP;
	p->ramp = align_k(p, RAMP_BYTES * 8 / bits);
	/* L2 has room for this one's operands as well, and for a start at least. */
	own = compulsory(p);
	p->ahead_most = max64(info->l2_bytes / 2 > own ? (info->l2_bytes / 2 - own) / 2 : 0,
			      info->l2_bytes / L2_START);
	splits = choose_split(p);
	p->cycles = best_tile(info, p, splits, UINT64_MAX);
	if (p->cycles == UINT64_MAX)
		return -EINVAL;
	if (splits > 1)
		p->strip = p->tn;
	p->tiles_m = p->is_box ? p->box.tiles_images * p->box.y.tiles * p->box.x.tiles
			       : (uint32_t)sili_div_up(g->m, p->tm);
	p->tiles_n = (uint32_t)sili_div_up(g->n, p->tn);
	/* Groups of a contiguous GEMM may each end in a ragged tile. */
	p->units = g->group == SILI_GROUP_CONTIGUOUS
			   ? ((uint64_t)p->tiles_m + g->batch) * p->tiles_n
			   : (uint64_t)g->batch * p->tiles_m * p->tiles_n * p->splits;
	if (p->units > X1_MAX_GRID)
		return -E2BIG;
	/* Splits wait for lower work-groups, so each is one of its own. */
	p->grid = splits > 1 ? (uint32_t)p->units
			     : (uint32_t)sili_min64(p->units, info->mcus_healthy);
	p->slots = (uint64_t)p->tm * p->tn * 4 <= X1_ACC_BANK_BYTES ? 2 : 1;
	p->m_fast = a_bytes(p) <= operand_bytes(&p->b, g->k);
	mm = (uint64_t)g->m * g->n * gemm_stored(p->b.sparsity, g->k) / X1_MM_LANES / p->rate /
	     info->mcus_healthy;
	hbm = compulsory(p) / info->hbm_bw;
	if (!fit(info, p, mm < hbm))
		return -EINVAL;
	return 0;
}
