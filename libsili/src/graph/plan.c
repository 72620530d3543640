// SPDX-License-Identifier: MIT
/*
 * Memory planner: offsets for blocks that live from one step to another, so
 * that no two that live at once overlap and the highest end is low.
 *
 * Blocks are placed one after the other, each at the lowest free offset. The
 * order decides how well that goes: large ones first, then whatever reached
 * the top is placed earlier, for as long as the lower bound is not reached.
 */
#include <stdlib.h>
#include <string.h>

#include "plan.h"

#define ROUNDS     400u
#define MANY_ITEMS 2048u /* from here on a round costs too much to have more than one */

struct planner {
	struct graph_block *b;
	uint32_t n;
	uint64_t align;
	uint32_t *order;  /* in which blocks are placed */
	uint32_t *placed; /* blocks by rising offset */
	uint64_t *best;   /* offsets of the best round */
};

static bool meet(const struct graph_block *a, const struct graph_block *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* Place a block below or between those `count` that are there. */
static void place(struct planner *p, uint32_t item, uint32_t count)
{
	struct graph_block *b = &p->b[item];
	uint64_t at = 0;
	uint32_t i;

	for (i = 0; i < count; i++) {
		const struct graph_block *o = &p->b[p->placed[i]];

		if (!meet(o, b))
			continue;
		if (o->offset >= at + b->bytes)
			break;
		if (o->offset + o->bytes > at)
			at = sili_align(o->offset + o->bytes, p->align);
	}
	b->offset = at;
	for (i = count; i && p->b[p->placed[i - 1]].offset > at; i--)
		p->placed[i] = p->placed[i - 1];
	p->placed[i] = item;
}

/* The highest end, and whose it is by its place in the order. */
static uint64_t place_all(struct planner *p, uint32_t *top)
{
	uint64_t peak = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		const struct graph_block *b = &p->b[p->order[i]];

		place(p, p->order[i], i);
		if (b->offset + b->bytes > peak) {
			peak = b->offset + b->bytes;
			*top = i;
		}
	}
	return peak;
}

static int larger_first(const void *a, const void *b)
{
	const struct graph_block *x = *(const struct graph_block *const *)a;
	const struct graph_block *y = *(const struct graph_block *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x < y ? -1 : x > y;
}

static int start_order(struct planner *p)
{
	const struct graph_block **sorted = malloc(p->n * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n; i++)
		sorted[i] = &p->b[i];
	qsort(sorted, p->n, sizeof(*sorted), larger_first);
	for (uint32_t i = 0; i < p->n; i++)
		p->order[i] = (uint32_t)(sorted[i] - p->b);
	free(sorted);
	return 0;
}

static uint64_t improve(struct planner *p, uint64_t bound)
{
	uint32_t rounds = p->n < MANY_ITEMS ? ROUNDS : 1;
	uint64_t least = UINT64_MAX;

	for (uint32_t r = 0; r < rounds && least > bound; r++) {
		uint32_t top = 0, item, to;
		uint64_t peak = place_all(p, &top);

		if (peak < least) {
			least = peak;
			for (uint32_t i = 0; i < p->n; i++)
				p->best[i] = p->b[i].offset;
		}
		/* In turn halfway to the front, and all the way. */
		to = r % 2 ? 0 : top / 2;
		item = p->order[top];
		memmove(p->order + to + 1, p->order + to, (top - to) * sizeof(*p->order));
		p->order[to] = item;
	}
	for (uint32_t i = 0; i < p->n; i++)
		p->b[i].offset = p->best[i];
	return least;
}

struct edge {
	uint32_t step;
	bool end; /* ends come after the starts of their step */
	uint64_t bytes;
};

static int by_step(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return (int)x->end - (int)y->end;
}

int graph_plan_bound(const struct graph_block *b, uint32_t n, uint64_t *bound)
{
	struct edge *e = malloc((2 * (size_t)n + 1) * sizeof(*e));
	uint64_t live = 0;

	*bound = 0;
	if (!e)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		e[2 * i] = (struct edge){b[i].first, false, b[i].bytes};
		e[2 * i + 1] = (struct edge){b[i].last, true, b[i].bytes};
	}
	qsort(e, 2 * (size_t)n, sizeof(*e), by_step);
	for (uint32_t i = 0; i < 2 * n; i++) {
		live = e[i].end ? live - e[i].bytes : live + e[i].bytes;
		if (live > *bound)
			*bound = live;
	}
	free(e);
	return 0;
}

int graph_plan(struct graph_block *b, uint32_t n, uint64_t align, uint64_t *peak, uint64_t *bound)
{
	struct planner p = {.b = b, .n = n, .align = align};
	int ret = graph_plan_bound(b, n, bound);

	*peak = 0;
	if (ret || !n)
		return ret;
	p.order = malloc(n * sizeof(*p.order));
	p.placed = malloc(n * sizeof(*p.placed));
	p.best = calloc(n, sizeof(*p.best));
	ret = p.order && p.placed && p.best ? start_order(&p) : -ENOMEM;
	if (!ret)
		*peak = improve(&p, *bound);
	free(p.order);
	free(p.placed);
	free(p.best);
	return ret;
}
