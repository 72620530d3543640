// SPDX-License-Identifier: MIT
/* Generated kernels, one per key, for the life of the device. */
#include <stdlib.h>
#include <string.h>

#include "sili_int.h"

struct sili_cached {
	struct sili_cached *next;
	struct sili_key key;
	struct sili_kernel *kernel;
};

const struct sili_kernel *sili_cache_find(struct sili_device *dev, const struct sili_key *key)
{
	for (const struct sili_cached *c = dev->cached; c; c = c->next)
		if (!memcmp(&c->key, key, sizeof(*key)))
			return c->kernel;
	return NULL;
}

int sili_cache_add(struct sili_device *dev, const struct sili_key *key, struct sili_kernel *kernel)
{
	struct sili_cached *c = malloc(sizeof(*c));

	if (!c) {
		sili_kernel_free(kernel);
		return -ENOMEM;
	}
	*c = (struct sili_cached){.next = dev->cached, .key = *key, .kernel = kernel};
	dev->cached = c;
	return 0;
}

void sili_cache_free(struct sili_device *dev)
{
	while (dev->cached) {
		struct sili_cached *c = dev->cached;

		dev->cached = c->next;
		sili_kernel_free(c->kernel);
		free(c);
	}
}

enum sili_prefetch sili_prefetch_mode(enum sili_prefetch mode)
{
	const char *env;

	if (mode != SILI_PREFETCH_ENV)
		return mode;
	env = getenv("SILI_PREFETCH");
	if (env && !strcmp(env, "off"))
		return SILI_PREFETCH_OFF;
	if (env && !strcmp(env, "graph"))
		return SILI_PREFETCH_GRAPH;
	return SILI_PREFETCH_KERNEL;
}
