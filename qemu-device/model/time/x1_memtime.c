// SPDX-License-Identifier: MIT
/*
 * L2 tags, TLB and bandwidth servers (see x1_memtime.h).
 *
 * Tags cover 4 KiB, the data in them is valid per 128-byte line, so that a
 * strided tile is charged for the lines that it uses and one look-up serves
 * up to 32 of them.
 */
#include "x1_memtime.h"

#include <stdlib.h>
#include <string.h>

#include "x1/x1_limits.h"

#define EXTENT_BYTES (1u << X1_L2_EXTENT_SHIFT)
#define LINE_BYTES   (1u << X1_L2_LINE_SHIFT)
#define LINES        (EXTENT_BYTES / LINE_BYTES)
#define GUESSES      (1u << 14)

struct tally {
	uint64_t l2, hbm, pcie; /* bytes */
	uint64_t ready;         /* latest fill that a hit has to wait for */
	bool tlb_miss;
};

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Murmur3's finaliser: spreads power-of-two strides over the sets. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t serve(struct x1_server *s, uint64_t t, uint64_t bytes)
{
	s->free = max64(s->free, t * s->bw) + bytes;
	return (s->free + s->bw - 1) / s->bw;
}

int x1_memtime_init(struct x1_memtime *m, const struct x1_time_params *p)
{
	memset(m, 0, sizeof(*m));
	m->l2.bw = p->l2_bw;
	m->hbm.bw = p->hbm_bw;
	m->pcie.bw = p->pcie_bw;
	m->l2_latency = p->l2_latency;
	m->hbm_latency = p->hbm_latency;
	m->pcie_latency = p->pcie_latency;
	m->sets = p->l2_bytes / EXTENT_BYTES / X1_L2_WAYS;
	if (!m->sets)
		m->sets = 1;
	m->tags = calloc((size_t)m->sets * X1_L2_WAYS, sizeof(*m->tags));
	m->tlb = calloc((size_t)X1_TLB_SETS * X1_TLB_WAYS, sizeof(*m->tlb));
	m->guess = calloc(GUESSES, sizeof(*m->guess));
	m->filled_cap = 256;
	m->filled = calloc(m->filled_cap, sizeof(struct x1_l2_tag *));
	if (m->tags && m->guess && m->tlb && m->filled)
		return 0;
	x1_memtime_fini(m);
	return -1;
}

void x1_memtime_fini(struct x1_memtime *m)
{
	free(m->tags);
	free(m->guess);
	free(m->tlb);
	free(m->filled);
	m->tags = NULL;
	m->guess = NULL;
	m->tlb = NULL;
	m->filled = NULL;
}

void x1_memtime_reset(struct x1_memtime *m)
{
	memset(m->tags, 0, (size_t)m->sets * X1_L2_WAYS * sizeof(*m->tags));
	x1_memtime_flush_tlb(m);
}

void x1_memtime_flush_tlb(struct x1_memtime *m)
{
	memset(m->tlb, 0, (size_t)X1_TLB_SETS * X1_TLB_WAYS * sizeof(*m->tlb));
}

static uint64_t tag_key(uint32_t vm, uint64_t dva, unsigned int shift)
{
	return ((uint64_t)vm << (X1_DVA_BITS - shift) | dva >> shift) + 1;
}

static bool tlb_hit(struct x1_memtime *m, uint32_t vm, uint64_t dva)
{
	uint64_t key = tag_key(vm, dva, X1_TLB_REACH_SHIFT);
	struct x1_tlb_tag *set = m->tlb + mix(key) % X1_TLB_SETS * X1_TLB_WAYS;
	struct x1_tlb_tag *victim = set;

	m->stamp++;
	for (unsigned int w = 0; w < X1_TLB_WAYS; w++) {
		if (set[w].key == key) {
			set[w].stamp = m->stamp;
			return true;
		}
		if (set[w].stamp < victim->stamp)
			victim = &set[w];
	}
	victim->key = key;
	victim->stamp = m->stamp;
	return false;
}

/* Find or allocate the tag of an extent; a dirty victim is written back. */
static struct x1_l2_tag *l2_tag(struct x1_memtime *m, uint32_t vm, uint64_t dva, struct tally *sum,
				struct x1_perf *perf)
{
	uint64_t key = tag_key(vm, dva, X1_L2_EXTENT_SHIFT);
	uint32_t *guess = &m->guess[key % GUESSES];
	struct x1_l2_tag *set = &m->tags[*guess], *victim;

	m->stamp++;
	/* Mostly where it was: the search looks at eight lines of the host's cache. */
	if (set->key == key) {
		set->stamp = m->stamp;
		return set;
	}
	set = victim = m->tags + mix(key) % m->sets * X1_L2_WAYS;
	for (unsigned int w = 0; w < X1_L2_WAYS; w++) {
		if (set[w].key == key) {
			*guess = (uint32_t)(&set[w] - m->tags);
			set[w].stamp = m->stamp;
			return &set[w];
		}
		if (set[w].stamp < victim->stamp)
			victim = &set[w];
	}
	if (victim->dirty) {
		uint64_t bytes = (uint64_t)__builtin_popcount(victim->dirty) * LINE_BYTES;

		sum->hbm += bytes;
		perf->bytes_hbm_write += bytes;
	}
	*guess = (uint32_t)(victim - m->tags);
	*victim = (struct x1_l2_tag){.key = key, .stamp = m->stamp};
	return victim;
}

static uint32_t line_mask(uint64_t dva, uint32_t bytes)
{
	uint32_t first = dva % EXTENT_BYTES / LINE_BYTES;
	uint32_t last = (dva % EXTENT_BYTES + bytes - 1) / LINE_BYTES;
	uint32_t n = last - first + 1;

	return (n == LINES ? ~0u : (1u << n) - 1) << first;
}

/* One piece inside one extent; returns the tag where it has to be filled. */
static struct x1_l2_tag *touch(struct x1_memtime *m, uint32_t vm, uint64_t dva, uint32_t bytes,
			       enum x1_mem_use use, struct tally *sum, struct x1_perf *perf)
{
	uint32_t mask = line_mask(dva, bytes);
	struct x1_l2_tag *tag = l2_tag(m, vm, dva, sum, perf);
	uint32_t missing = mask & ~tag->valid;

	tag->valid |= mask;
	if (use == X1_USE_WRITE) {
		tag->dirty |= mask;
		return NULL;
	}
	sum->ready = max64(sum->ready, tag->ready);
	if (!missing) {
		perf->l2_hits++;
		return NULL;
	}
	perf->l2_misses++;
	bytes = (uint32_t)__builtin_popcount(missing) * LINE_BYTES;
	sum->hbm += bytes;
	perf->bytes_hbm_read += bytes;
	return tag;
}

static bool room_for_fill(struct x1_memtime *m, uint32_t used)
{
	struct x1_l2_tag **bigger;

	if (used < m->filled_cap)
		return true;
	bigger = realloc(m->filled, (size_t)m->filled_cap * 2 * sizeof(struct x1_l2_tag *));
	if (!bigger)
		return false;
	m->filled = bigger;
	m->filled_cap *= 2;
	return true;
}

struct x1_mem_time x1_memtime_access(struct x1_memtime *m, uint64_t t, uint32_t vm,
				     const struct x1_tr_extent *ext, uint32_t num_ext,
				     enum x1_mem_use use, struct x1_perf *perf)
{
	struct tally sum = {0};
	struct x1_mem_time out = {.cause = X1_STALL_L2, .latency = m->l2_latency};
	uint32_t num_filled = 0;
	uint64_t last_page = UINT64_MAX, done;

	for (uint32_t e = 0; e < num_ext; e++) {
		for (uint32_t i = 0; i < ext[e].count; i++) {
			uint64_t dva = ext[e].dva + (uint64_t)ext[e].step * i;
			uint64_t left = ext[e].bytes;

			while (left) {
				uint32_t room = EXTENT_BYTES - dva % EXTENT_BYTES;
				uint32_t piece = left < room ? left : room;
				struct x1_l2_tag *tag = NULL;

				if (dva >> X1_TLB_REACH_SHIFT != last_page) {
					last_page = dva >> X1_TLB_REACH_SHIFT;
					if (!tlb_hit(m, vm, dva)) {
						sum.tlb_miss = true;
						perf->tlb_misses++;
					}
				}
				if (ext[e].system) {
					sum.pcie += piece;
				} else {
					sum.l2 += piece;
					tag = touch(m, vm, dva, piece, use, &sum, perf);
				}
				if (tag && room_for_fill(m, num_filled))
					m->filled[num_filled++] = tag;
				dva += piece;
				left -= piece;
			}
		}
	}

	out.bandwidth_done = t;
	if (sum.l2) {
		out.bandwidth_done = serve(&m->l2, t, sum.l2);
		perf->bytes_l2 += sum.l2;
	}
	if (sum.hbm) {
		done = serve(&m->hbm, t, sum.hbm);
		for (uint32_t i = 0; i < num_filled; i++)
			m->filled[i]->ready = done + m->hbm_latency;
		/* Write-backs of victims take bandwidth; only reads wait for HBM. */
		if (use != X1_USE_WRITE) {
			if (done >= out.bandwidth_done) {
				out.bandwidth_done = done;
				out.cause = X1_STALL_HBM;
			}
			if (num_filled)
				out.latency = m->hbm_latency;
		}
	}
	if (sum.pcie) {
		done = serve(&m->pcie, t, sum.pcie);
		if (use == X1_USE_WRITE)
			perf->bytes_pcie_write += sum.pcie;
		else
			perf->bytes_pcie_read += sum.pcie;
		if (done >= out.bandwidth_done) {
			out.bandwidth_done = done;
			out.cause = X1_STALL_PCIE;
		}
		out.latency = m->pcie_latency;
	}
	/* A line still in flight is waited for as the miss that fetches it: no port is held. */
	if (sum.ready > out.bandwidth_done + out.latency) {
		out.latency = sum.ready - out.bandwidth_done;
		out.cause = X1_STALL_HBM;
	}
	if (sum.tlb_miss) {
		out.tlb_miss = true;
		out.latency += X1_TLB_MISS_CYCLES;
	}
	return out;
}

uint64_t x1_memtime_flush(struct x1_memtime *m, uint64_t t, struct x1_perf *perf)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < (size_t)m->sets * X1_L2_WAYS; i++)
		bytes += (uint64_t)__builtin_popcount(m->tags[i].dirty) * LINE_BYTES;
	memset(m->tags, 0, (size_t)m->sets * X1_L2_WAYS * sizeof(*m->tags));
	perf->bytes_hbm_write += bytes;
	if (!bytes)
		return t;
	return serve(&m->hbm, t, bytes) + m->hbm_latency;
}

void x1_memtime_invalidate(struct x1_memtime *m, uint32_t vm, uint64_t dva, uint64_t len)
{
	unsigned int bits = X1_DVA_BITS - X1_TLB_REACH_SHIFT;
	uint64_t first = dva >> X1_TLB_REACH_SHIFT;
	uint64_t last = len ? (dva + len - 1) >> X1_TLB_REACH_SHIFT : (1ull << bits) - 1;

	if (!len)
		first = 0;
	for (size_t i = 0; i < (size_t)X1_TLB_SETS * X1_TLB_WAYS; i++) {
		uint64_t key = m->tlb[i].key - 1;

		if (m->tlb[i].key && key >> bits == vm && (key & ((1ull << bits) - 1)) >= first &&
		    (key & ((1ull << bits) - 1)) <= last)
			m->tlb[i] = (struct x1_tlb_tag){0};
	}
}
