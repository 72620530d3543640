/* SPDX-License-Identifier: GPL-2.0 */
/* Between soak.c, which starts, kills and disturbs, and soak_work.c, which works and looks. */
#ifndef SOAK_H
#define SOAK_H

#include "siliflow_util.h"

/* A hang of the driver, not of a slow machine. */
#define SOAK_PATIENCE_S 90

struct soak_card {
	char node[32];
	char pci[UTIL_PCI];
	struct drm_siliflow_query_memory before;
};

/* Of all processes. */
struct soak_shared {
	bool stop;
	uint32_t jobs;	  /* queued */
	uint32_t lost;	  /* taken along by a reset */
	uint32_t looks;	  /* pieces of memory that were compared */
	uint32_t evicted; /* of them in system memory, though of HBM */
};

struct soak_worker {
	const struct soak_card *card, *other; /* the same where there is one alone */
	struct soak_shared *all;
	int witness; /* socket that takes fences, to be watched */
	uint64_t rng;
};

struct soak_kind {
	const char *name;
	/* Until it is told to stop: 0, or a negative errno and a line that says where. */
	int (*run)(struct soak_worker *w);
};

extern const struct soak_kind soak_kinds[];
extern const unsigned int soak_num_kinds;

#endif
