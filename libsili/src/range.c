// SPDX-License-Identifier: MIT
/* First-fit ranges: device virtual addresses, HBM, the sim's bus addresses. */
#include <stdlib.h>
#include <string.h>

#include "sili_int.h"

int sili_ranges_init(struct sili_ranges *r, uint64_t start, uint64_t end)
{
	r->room = 16;
	r->free = malloc(r->room * sizeof(*r->free));
	if (!r->free)
		return -ENOMEM;
	r->free[0] = (struct sili_range){start, end};
	r->count = start < end;
	return 0;
}

void sili_ranges_fini(struct sili_ranges *r)
{
	free(r->free);
	memset(r, 0, sizeof(*r));
}

static int insert(struct sili_ranges *r, size_t at, struct sili_range range)
{
	if (r->count == r->room) {
		struct sili_range *bigger = realloc(r->free, 2 * r->room * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		r->free = bigger;
		r->room *= 2;
	}
	memmove(r->free + at + 1, r->free + at, (r->count - at) * sizeof(*r->free));
	r->free[at] = range;
	r->count++;
	return 0;
}

static void drop(struct sili_ranges *r, size_t at)
{
	r->count--;
	memmove(r->free + at, r->free + at + 1, (r->count - at) * sizeof(*r->free));
}

uint64_t sili_ranges_take(struct sili_ranges *r, uint64_t bytes, uint64_t align)
{
	for (size_t i = 0; i < r->count; i++) {
		struct sili_range *f = &r->free[i];
		uint64_t start = (f->start + align - 1) & ~(align - 1);
		struct sili_range rest = {start + bytes, f->end};

		if (start < f->start || start > f->end || f->end - start < bytes)
			continue;
		if (start > f->start && rest.start < rest.end) {
			if (insert(r, i + 1, rest))
				return 0;
			r->free[i].end = start;
		} else if (start > f->start) {
			f->end = start;
		} else if (rest.start < rest.end) {
			f->start = rest.start;
		} else {
			drop(r, i);
		}
		return start;
	}
	return 0;
}

void sili_ranges_give(struct sili_ranges *r, uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes;
	size_t i = 0;

	while (i < r->count && r->free[i].start < start)
		i++;
	if (i && r->free[i - 1].end == start) {
		r->free[i - 1].end = end;
		if (i < r->count && r->free[i].start == end) {
			r->free[i - 1].end = r->free[i].end;
			drop(r, i);
		}
	} else if (i < r->count && r->free[i].start == end) {
		r->free[i].start = start;
	} else {
		/* Without memory for the entry the range stays unused: safe, if wasteful. */
		(void)insert(r, i, (struct sili_range){start, end});
	}
}

uint64_t sili_ranges_free(const struct sili_ranges *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->count; i++)
		sum += r->free[i].end - r->free[i].start;
	return sum;
}
