// SPDX-License-Identifier: MIT
/* Generated kernels, one per key, for the life of the device. */
#include <stdlib.h>
#include <string.h>

#include "sili_int.h"

struct sili_cached {
	struct sili_cached *next;
	uint64_t hash;
	struct sili_key key;
	struct sili_kernel *kernel;
};

/* FNV-1a over words, folded once more for the buckets. */
static uint64_t hash_of(const struct sili_key *key)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (uint32_t i = 0; i < SILI_KEY_WORDS; i++)
		h = (h ^ key->word[i]) * 0x100000001b3ull;
	return h ^ h >> 32;
}

const struct sili_kernel *sili_cache_find(struct sili_device *dev, const struct sili_key *key)
{
	uint64_t hash = hash_of(key);

	for (const struct sili_cached *c = dev->cached[hash % SILI_CACHE_BUCKETS]; c; c = c->next)
		if (c->hash == hash && !memcmp(&c->key, key, sizeof(*key)))
			return c->kernel;
	return NULL;
}

int sili_cache_add(struct sili_device *dev, const struct sili_key *key, struct sili_kernel *kernel)
{
	uint64_t hash = hash_of(key);
	struct sili_cached **bucket = &dev->cached[hash % SILI_CACHE_BUCKETS];
	struct sili_cached *c = malloc(sizeof(*c));

	if (!c) {
		sili_kernel_free(kernel);
		return -ENOMEM;
	}
	*c = (struct sili_cached){.next = *bucket, .hash = hash, .key = *key, .kernel = kernel};
	*bucket = c;
	return 0;
}

void sili_cache_free(struct sili_device *dev)
{
	for (uint32_t i = 0; i < SILI_CACHE_BUCKETS; i++) {
		while (dev->cached[i]) {
			struct sili_cached *c = dev->cached[i];

			dev->cached[i] = c->next;
			sili_kernel_free(c->kernel);
			free(c);
		}
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
