// SPDX-License-Identifier: MIT
/* HBM, page tables, and the bus behind which system memory lies. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim.h"

#define PTE_RW (X1_PTE_VALID | X1_PTE_READ | X1_PTE_WRITE)

/* ---- HBM and page tables ---- */

uint64_t sim_hbm_take(struct sim *s, uint64_t bytes, uint64_t align)
{
	uint64_t off = sili_ranges_take(&s->hbm_free, bytes, align);

	if (off)
		memset(s->hbm + off, 0, bytes);
	return off;
}

int sim_vm_new(struct sim *s, uint32_t vm)
{
	uint32_t args[3] = {vm};
	struct x1_mbox_msg reply;

	s->root[vm] = sim_hbm_take(s, X1_PT_BYTES, X1_PT_BYTES);
	if (!s->root[vm])
		return -ENOMEM;
	args[1] = (uint32_t)s->root[vm];
	args[2] = (uint32_t)(s->root[vm] >> 32);
	return sim_mbox(s, X1_MBOX_VM_ATTACH, args, 3, &reply);
}

static uint64_t *table(struct sim *s, uint64_t off)
{
	return (uint64_t *)(s->hbm + off);
}

static void set_pte(uint64_t *pte, uint64_t val)
{
	__atomic_store_n(pte, val, __ATOMIC_RELEASE);
}

/* The entry of dva at `level`; missing tables are made when `make`. */
static uint64_t *walk(struct sim *s, uint32_t vm, uint64_t dva, unsigned int level, bool make)
{
	uint64_t *t = table(s, s->root[vm]);

	for (unsigned int l = X1_PT_LEVELS - 1; l > level; l--) {
		uint64_t *pte = &t[x1_pt_index(dva, l)];

		if (!(*pte & X1_PTE_VALID)) {
			uint64_t next = make ? sim_hbm_take(s, X1_PT_BYTES, X1_PT_BYTES) : 0;

			if (!next)
				return NULL;
			set_pte(pte, next | X1_PTE_VALID);
		}
		if (*pte & X1_PTE_HUGE)
			return NULL;
		t = table(s, *pte & X1_PTE_ADDR_MASK);
	}
	return &t[x1_pt_index(dva, level)];
}

/* Largest page that fits at this place. */
static unsigned int page_level(uint64_t dva, uint64_t addr, uint64_t left)
{
	return !((dva | addr) % X1_HUGE_SIZE) && left >= X1_HUGE_SIZE;
}

static uint64_t level_bytes(unsigned int level)
{
	return level ? X1_HUGE_SIZE : X1_PAGE_SIZE;
}

int sim_map(struct sim *s, uint32_t vm, uint64_t dva, uint64_t addr, uint64_t bytes, uint64_t flags)
{
	for (uint64_t done = 0; done < bytes;) {
		unsigned int level = page_level(dva + done, addr + done, bytes - done);
		uint64_t *pte = walk(s, vm, dva + done, level, true);

		/* An empty table where a 2 MiB page goes is from older 4 KiB pages. */
		if (pte && level && *pte & X1_PTE_VALID) {
			sili_ranges_give(&s->hbm_free, *pte & X1_PTE_ADDR_MASK, X1_PT_BYTES);
			*pte = 0;
		}
		if (!pte) {
			sim_unmap(s, vm, dva, done);
			return -ENOMEM;
		}
		set_pte(pte, (addr + done) | flags | (level ? X1_PTE_HUGE : 0));
		done += level_bytes(level);
	}
	return 0;
}

/* Clear the entries, then wait until no engine uses an old translation. */
void sim_unmap(struct sim *s, uint32_t vm, uint64_t dva, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes;) {
		uint64_t *pte = walk(s, vm, dva + done, 1, false);
		unsigned int level = pte && *pte & X1_PTE_HUGE;

		if (pte && !level)
			pte = walk(s, vm, dva + done, 0, false);
		if (pte)
			set_pte(pte, 0);
		done += level_bytes(level);
	}
	if (!bytes)
		return;
	while (!sim_read(s, X1_REG_INV_FREE))
		;
	sim_write(s, X1_REG_INV_VM, vm);
	sim_write(s, X1_REG_INV_ADDR_LO, (uint32_t)dva);
	sim_write(s, X1_REG_INV_ADDR_HI, (uint32_t)(dva >> 32));
	sim_write(s, X1_REG_INV_LEN_LO, (uint32_t)bytes);
	sim_write(s, X1_REG_INV_LEN_HI, (uint32_t)(bytes >> 32));
	sim_write(s, X1_REG_INV_SEQ, ++s->inval_seq);
	for (;;) {
		uint64_t seen = sim_irqs(s);

		if (sim_read(s, X1_REG_INV_DONE) == s->inval_seq)
			return;
		/* The mask bit is on, so the completion wakes us; 10 ms is for a lost one. */
		sim_irq_wait(s, seen, sili_now_ns() + 10000000);
	}
}

/* ---- the bus ---- */

static const struct sim_region *find(const struct sim *s, uint64_t bus)
{
	for (size_t i = 0; i < s->num_regions; i++)
		if (bus >= s->region[i].bus && bus - s->region[i].bus < s->region[i].bytes)
			return &s->region[i];
	return NULL;
}

static int bus_add(struct sim *s, struct sim_region region)
{
	struct sim_region *bigger;

	pthread_rwlock_wrlock(&s->bus_lock);
	bigger = realloc(s->region, (s->num_regions + 1) * sizeof(*bigger));
	if (bigger) {
		s->region = bigger;
		s->region[s->num_regions++] = region;
	}
	pthread_rwlock_unlock(&s->bus_lock);
	return bigger ? 0 : -ENOMEM;
}

static uint8_t *bus_remove(struct sim *s, uint64_t bus)
{
	uint8_t *cpu = NULL;

	pthread_rwlock_wrlock(&s->bus_lock);
	for (size_t i = 0; i < s->num_regions; i++) {
		if (s->region[i].bus != bus)
			continue;
		cpu = s->region[i].cpu;
		s->region[i] = s->region[--s->num_regions];
		break;
	}
	pthread_rwlock_unlock(&s->bus_lock);
	return cpu;
}

static int bus_move(void *host, uint64_t addr, void *buf, uint64_t len, bool write)
{
	struct sim *s = host;
	uint8_t *b = buf;
	int ret = 0;

	pthread_rwlock_rdlock(&s->bus_lock);
	while (len && !ret) {
		const struct sim_region *r = find(s, addr);
		uint64_t n = r ? sili_min64(len, r->bus + r->bytes - addr) : 0;

		if (!r)
			ret = -EFAULT;
		else if (write)
			memcpy(r->cpu + (addr - r->bus), b, n);
		else
			memcpy(b, r->cpu + (addr - r->bus), n);
		addr += n;
		b += n;
		len -= n;
	}
	pthread_rwlock_unlock(&s->bus_lock);
	return ret;
}

static int host_read(void *host, uint64_t addr, void *buf, uint64_t len)
{
	return bus_move(host, addr, buf, len, false);
}

static int host_write(void *host, uint64_t addr, const void *buf, uint64_t len)
{
	return bus_move(host, addr, (void *)buf, len, true);
}

static int host_map(void *host, uint64_t addr, uint64_t len, bool write, struct x1_sysmap *map)
{
	struct sim *s = host;
	const struct sim_region *r;
	int ret = -EFAULT;

	(void)write;
	pthread_rwlock_rdlock(&s->bus_lock);
	r = find(s, addr);
	if (r) {
		*map = (struct x1_sysmap){.ptr = r->cpu + (addr - r->bus),
					  .len = sili_min64(len, r->bus + r->bytes - addr)};
		ret = 0;
	}
	pthread_rwlock_unlock(&s->bus_lock);
	return ret;
}

static void host_unmap(void *host, const struct x1_sysmap *map, bool written)
{
	(void)host;
	(void)map;
	(void)written;
}

static void host_raise(void *host, unsigned int vector)
{
	struct sim *s = host;

	pthread_mutex_lock(&s->irq_lock);
	sim_queues_irq(s, vector);
	__atomic_add_fetch(&s->irqs, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->irq_lock);
	/* Not under the lock: who wakes up takes it at once. */
	pthread_cond_broadcast(&s->irq_cv);
}

const struct x1_host_ops sim_host_ops = {
	.sys_read = host_read,
	.sys_write = host_write,
	.sys_map = host_map,
	.sys_unmap = host_unmap,
	.raise = host_raise,
};

/* ---- buffers ---- */

static struct sim *sim_of(const struct sili_bo *bo)
{
	return bo->dev->priv;
}

static void release(struct sim *s, struct sili_bo *bo)
{
	if (bo->where == SILI_HBM) {
		/* Pages go back to the host: a large buffer is not kept for nothing. */
		if (bo->mapped >= X1_HUGE_SIZE)
			madvise(s->hbm + bo->priv, bo->mapped, MADV_DONTNEED);
		sili_ranges_give(&s->hbm_free, bo->priv, bo->mapped);
		return;
	}
	x1_core_sys_unmap(s->core, bo->priv, bo->mapped);
	munmap(bus_remove(s, bo->priv), bo->mapped);
	sili_ranges_give(&s->bus_free, bo->priv, bo->mapped);
}

static int place(struct sim *s, struct sili_bo *bo)
{
	void *cpu;

	if (bo->where == SILI_HBM) {
		bo->priv = sim_hbm_take(s, bo->mapped,
					bo->mapped >= X1_HUGE_SIZE ? X1_HUGE_SIZE : X1_PAGE_SIZE);
		return bo->priv ? 0 : -ENOMEM;
	}
	bo->priv = sili_ranges_take(&s->bus_free, bo->mapped, X1_HUGE_SIZE);
	if (!bo->priv)
		return -ENOMEM;
	cpu = mmap(NULL, bo->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cpu == MAP_FAILED || bus_add(s, (struct sim_region){bo->priv, bo->mapped, cpu})) {
		if (cpu != MAP_FAILED)
			munmap(cpu, bo->mapped);
		sili_ranges_give(&s->bus_free, bo->priv, bo->mapped);
		return -ENOMEM;
	}
	return 0;
}

int sim_bo_new(struct sili_bo *bo)
{
	struct sim *s = sim_of(bo);
	uint64_t flags = PTE_RW;
	int ret;

	if (bo->where == SILI_SYSTEM)
		flags |= X1_PTE_SYSTEM;
	if (bo->flags & SILI_BO_EXEC)
		flags |= X1_PTE_EXEC;
	pthread_mutex_lock(&s->lock);
	ret = place(s, bo);
	if (!ret) {
		ret = sim_map(s, SIM_VM_USER, bo->dva, bo->priv, bo->mapped, flags);
		if (ret)
			release(s, bo);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void sim_bo_free(struct sili_bo *bo)
{
	struct sim *s = sim_of(bo);

	pthread_mutex_lock(&s->lock);
	sim_unmap(s, SIM_VM_USER, bo->dva, bo->mapped);
	release(s, bo);
	pthread_mutex_unlock(&s->lock);
}

void *sim_bo_map(struct sili_bo *bo)
{
	struct sim *s = sim_of(bo);
	const struct sim_region *r;
	void *cpu;

	if (bo->where == SILI_HBM)
		return s->hbm + bo->priv;
	pthread_rwlock_rdlock(&s->bus_lock);
	r = find(s, bo->priv);
	cpu = r ? r->cpu : NULL;
	pthread_rwlock_unlock(&s->bus_lock);
	return cpu;
}
