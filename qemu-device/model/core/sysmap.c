// SPDX-License-Identifier: MIT
/*
 * Mappings of system memory. A mapping that has to go first becomes invisible
 * to new translations, then waits until every worker has dropped the
 * translations it made before, then goes back to the host.
 */
#include <errno.h>
#include <stdlib.h>

#include "x1_int.h"

#define BUCKETS  8192
#define MAX_MAPS 65536

struct x1_sysmap_entry {
	uint64_t bus, len;
	bool write;
	struct x1_sysmap map;
	uint64_t gen; /* dying: of the drop */
	struct x1_sysmap_entry *next;
};

static unsigned int bucket_of(uint64_t bus)
{
	uint64_t n = bus >> X1_PAGE_SHIFT;

	return (n ^ n >> 13) % BUCKETS;
}

int x1_sysmap_init(struct x1_core *core)
{
	core->maps = calloc(BUCKETS, sizeof(*core->maps));
	return core->maps ? 0 : -ENOMEM;
}

void x1_sysmap_fini(struct x1_core *core)
{
	x1_sysmap_drop(core, 0, UINT64_MAX, 0);
	x1_sysmap_unmap_list(core, core->dying);
	x1_sysmap_unmap_list(core, core->reap);
	core->dying = core->reap = NULL;
	free(core->maps);
	core->maps = NULL;
}

int x1_sysmap_get(struct x1_core *core, uint64_t bus, uint64_t len, bool write, uint8_t **ptr)
{
	struct x1_sysmap_entry **head = &core->maps[bucket_of(bus)];
	struct x1_sysmap_entry *e;
	int err;

	if (!core->ops.sys_map)
		return -ENOTSUP;
	pthread_mutex_lock(&core->map_lock);
	for (e = *head; e; e = e->next) {
		if (e->bus == bus && e->len == len && e->write == write) {
			*ptr = e->map.ptr;
			pthread_mutex_unlock(&core->map_lock);
			return 0;
		}
	}
	err = -ENOTSUP;
	if (core->num_maps >= MAX_MAPS)
		goto out;
	e = calloc(1, sizeof(*e));
	if (!e)
		goto out;
	err = core->ops.sys_map(core->host, bus, len, write, &e->map);
	if (!err && e->map.len < len) {
		core->ops.sys_unmap(core->host, &e->map, false);
		err = -ENOTSUP;
	}
	if (err) {
		free(e);
		goto out;
	}
	e->bus = bus;
	e->len = len;
	e->write = write;
	e->next = *head;
	*head = e;
	core->num_maps++;
	*ptr = e->map.ptr;
out:
	pthread_mutex_unlock(&core->map_lock);
	return err;
}

void x1_sysmap_drop(struct x1_core *core, uint64_t bus, uint64_t len, uint64_t gen)
{
	pthread_mutex_lock(&core->map_lock);
	for (unsigned int b = 0; core->num_maps && b < BUCKETS; b++) {
		struct x1_sysmap_entry **p = &core->maps[b];

		while (*p) {
			struct x1_sysmap_entry *e = *p;
			bool apart = e->bus >= bus ? e->bus - bus >= len : bus - e->bus >= e->len;

			if (apart) {
				p = &e->next;
				continue;
			}
			*p = e->next;
			e->gen = gen;
			e->next = core->dying;
			core->dying = e;
			core->num_maps--;
		}
	}
	pthread_mutex_unlock(&core->map_lock);
}

void x1_sysmap_reap(struct x1_core *core, uint64_t gen)
{
	struct x1_sysmap_entry **p;

	pthread_mutex_lock(&core->map_lock);
	p = &core->dying;
	while (*p) {
		struct x1_sysmap_entry *e = *p;

		if (e->gen > gen) {
			p = &e->next;
			continue;
		}
		*p = e->next;
		e->next = core->reap;
		core->reap = e;
	}
	pthread_mutex_unlock(&core->map_lock);
}

void x1_sysmap_unmap_list(struct x1_core *core, struct x1_sysmap_entry *list)
{
	while (list) {
		struct x1_sysmap_entry *e = list;

		list = e->next;
		core->ops.sys_unmap(core->host, &e->map, e->write);
		free(e);
	}
}
