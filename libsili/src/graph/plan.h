/* SPDX-License-Identifier: MIT */
/* The memory planner, which knows blocks and steps alone. */
#ifndef SILI_GRAPH_PLAN_H
#define SILI_GRAPH_PLAN_H

#include "../sili_int.h"

/* Bytes that live from step `first` to step `last`, both included. */
struct graph_block {
	uint64_t bytes;
	uint32_t first, last;
	uint64_t offset; /* out */
};

/* Most bytes that live at once. -ENOMEM. */
int graph_plan_bound(const struct graph_block *b, uint32_t n, uint64_t *bound);
/* Offsets, multiples of align; *peak is the highest end. -ENOMEM. */
int graph_plan(struct graph_block *b, uint32_t n, uint64_t align, uint64_t *peak, uint64_t *bound);

#endif /* SILI_GRAPH_PLAN_H */
