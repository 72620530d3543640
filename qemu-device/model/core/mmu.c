// SPDX-License-Identifier: MIT
/*
 * Device MMU: walks page tables in HBM and keeps a software TLB per worker.
 * Each entry is read once and judged by what was read; tables belong to the
 * guest and may change at any moment.
 */
#include <errno.h>
#include <string.h>

#include "x1_int.h"

#define DVA_LIMIT    (1ull << X1_DVA_BITS)
#define DIRTY_WINDOW (2ull << 20)
#define TRACE_MAX    (256ull << 20) /* bytes of one work-group's trace */

void x1_mem_init(struct x1_mem *mem, struct x1_worker *w)
{
	mem->core = w->core;
	mem->w = w;
	mem->dirty_lo = mem->dirty_hi = 0;
}

void x1_mem_set(struct x1_mem *mem, uint32_t vm, uint32_t unit, const _Atomic uint32_t *stop)
{
	mem->vm = vm;
	mem->unit = unit;
	mem->stop = stop;
	mem->mcu = X1_FAULT_MCU_NONE;
	mem->trace = NULL;
	mem->trace_full = false;
	mem->wrong = false;
}

static void tlb_flush(struct x1_mem *mem)
{
	memset(mem->small, 0, sizeof(mem->small));
	memset(mem->huge, 0, sizeof(mem->huge));
}

static void fault(struct x1_mem *mem, struct x1_fault_rec *rec, uint32_t code,
		  enum x1_access access, uint64_t addr)
{
	*rec = (struct x1_fault_rec){
		.code = code,
		.access = access,
		.unit = mem->unit,
		.mcu = mem->mcu,
		.addr = addr,
		.vm = mem->vm,
		.pc = UINT32_MAX,
	};
}

static uint64_t read_pte(const struct x1_core *core, uint64_t table, uint64_t dva, unsigned level)
{
	const uint64_t *t = (const uint64_t *)(core->hbm + table);

	return __atomic_load_n(&t[x1_pt_index(dva, level)], __ATOMIC_RELAXED);
}

/* Walk to the leaf of dva. 0 with *pte and *shift, else a fault code. */
static uint32_t walk(struct x1_mem *mem, uint64_t dva, uint64_t *leaf, unsigned int *shift)
{
	struct x1_core *core = mem->core;
	uint64_t root = mem->vm < X1_NUM_VMS ? atomic_load(&core->vm_root[mem->vm]) : 0;
	uint64_t table = root & X1_PTE_ADDR_MASK;

	if (!(root & X1_PTE_VALID))
		return X1_FAULT_BAD_VM;
	for (unsigned int level = X1_PT_LEVELS; level-- > 0;) {
		uint64_t pte = read_pte(core, table, dva, level);
		uint64_t addr = pte & X1_PTE_ADDR_MASK;
		bool is_leaf = !level || pte & X1_PTE_HUGE;
		uint64_t size = X1_PAGE_SIZE;

		if (x1_inject_hbm(core, table, X1_PT_BYTES))
			return X1_FAULT_ECC;
		if (!(pte & X1_PTE_VALID))
			return X1_FAULT_UNMAPPED;
		if (pte & X1_PTE_RESERVED || (pte & X1_PTE_HUGE && level != 1) ||
		    (!is_leaf && pte & X1_PTE_SYSTEM))
			return X1_FAULT_BAD_PTE;
		if (is_leaf && level) {
			size = X1_HUGE_SIZE;
			if (addr & (X1_HUGE_SIZE - 1))
				return X1_FAULT_BAD_PTE;
		}
		if (!(pte & X1_PTE_SYSTEM) &&
		    (addr >= core->cfg.hbm_bytes || core->cfg.hbm_bytes - addr < size))
			return X1_FAULT_BAD_PTE;
		if (is_leaf) {
			*leaf = pte;
			*shift = level ? X1_HUGE_SHIFT : X1_PAGE_SHIFT;
			return X1_FAULT_NONE;
		}
		table = addr;
	}
	return X1_FAULT_UNMAPPED;
}

static uint64_t key_of(uint32_t vm, uint64_t dva, unsigned int shift)
{
	return ((uint64_t)vm << 36 | dva >> shift) + 1;
}

static struct x1_tlb *slot_of(struct x1_mem *mem, uint64_t dva, unsigned int shift)
{
	uint64_t n = dva >> shift;

	n ^= n >> 10 ^ (uint64_t)mem->vm * 37;
	return shift == X1_HUGE_SHIFT ? &mem->huge[n % X1_TLB_HUGE] : &mem->small[n % X1_TLB_SMALL];
}

/* Fill a TLB entry from a leaf. Returns a fault code. */
static uint32_t fill(struct x1_mem *mem, uint64_t dva, uint64_t pte, unsigned int shift,
		     struct x1_tlb **out, unsigned int *out_shift)
{
	struct x1_core *core = mem->core;
	uint64_t addr = pte & X1_PTE_ADDR_MASK;
	struct x1_tlb *e;
	uint8_t *ptr = NULL;

	if (pte & X1_PTE_SYSTEM) {
		bool write = pte & X1_PTE_WRITE;
		int err = -ENOTSUP;

		if (!atomic_load(&core->bus_master) || x1_inject_take(&core->inject.dma))
			return X1_FAULT_DMA;
		if (shift == X1_HUGE_SHIFT) {
			err = x1_sysmap_get(core, addr, X1_HUGE_SIZE, write, &ptr);
			if (err) {
				/* The host maps less at once: by small pages. */
				addr += dva & (X1_HUGE_SIZE - 1) & ~(uint64_t)(X1_PAGE_SIZE - 1);
				shift = X1_PAGE_SHIFT;
			}
		}
		if (err)
			err = x1_sysmap_get(core, addr, X1_PAGE_SIZE, write, &ptr);
		if (err == -ENOTSUP)
			ptr = NULL;
		else if (err)
			return X1_FAULT_DMA;
	} else {
		uint32_t code;

		if (shift == X1_HUGE_SHIFT && x1_inject_near(core, addr, X1_HUGE_SIZE)) {
			/* The rest of the huge page is good: by small pages. */
			addr += dva & (X1_HUGE_SIZE - 1) & ~(uint64_t)(X1_PAGE_SIZE - 1);
			shift = X1_PAGE_SHIFT;
		}
		code = x1_inject_hbm(core, addr, 1ull << shift);
		if (code)
			return code;
		ptr = core->hbm + addr;
	}
	e = slot_of(mem, dva, shift);
	e->key = key_of(mem->vm, dva, shift);
	e->ptr = ptr;
	e->bus = pte & X1_PTE_SYSTEM ? addr : 0;
	e->flags = pte & 0x3f;
	*out = e;
	*out_shift = shift;
	return X1_FAULT_NONE;
}

static uint32_t lookup(struct x1_mem *mem, uint64_t dva, enum x1_access access, struct x1_tlb **out,
		       unsigned int *shift)
{
	static const uint32_t need[] = {
		[X1_ACCESS_READ] = X1_PTE_READ,
		[X1_ACCESS_WRITE] = X1_PTE_WRITE,
		[X1_ACCESS_EXEC] = X1_PTE_EXEC,
	};
	struct x1_tlb *e = slot_of(mem, dva, X1_HUGE_SHIFT);

	*shift = X1_HUGE_SHIFT;
	if (e->key != key_of(mem->vm, dva, X1_HUGE_SHIFT)) {
		e = slot_of(mem, dva, X1_PAGE_SHIFT);
		*shift = X1_PAGE_SHIFT;
		if (e->key != key_of(mem->vm, dva, X1_PAGE_SHIFT)) {
			uint64_t pte;
			uint32_t code = walk(mem, dva, &pte, shift);

			if (code)
				return code;
			if (!(pte & need[access]))
				return X1_FAULT_PERMISSION;
			code = fill(mem, dva, pte, *shift, &e, shift);
			if (code)
				return code;
		}
	}
	*out = e;
	return e->flags & need[access] ? X1_FAULT_NONE : X1_FAULT_PERMISSION;
}

/* First page of an access, or a fault. */
static struct x1_tlb *translate(struct x1_mem *mem, uint64_t dva, uint64_t len,
				enum x1_access access, unsigned int *shift,
				struct x1_fault_rec *rec)
{
	struct x1_tlb *e;
	uint32_t code;

	if (dva >= DVA_LIMIT || len > DVA_LIMIT - dva)
		code = X1_FAULT_BAD_DVA;
	else
		code = lookup(mem, dva, access, &e, shift);
	if (!code)
		return e;
	fault(mem, rec, code, access, dva);
	return NULL;
}

void *x1_mem_span(struct x1_mem *mem, uint64_t dva, uint64_t len, enum x1_access access,
		  uint64_t *run, struct x1_fault_rec *rec)
{
	unsigned int shift;
	struct x1_tlb *e = translate(mem, dva, len, access, &shift, rec);
	uint64_t size, off;
	uint8_t *ptr;

	*run = 0;
	if (!e)
		return NULL;
	size = 1ull << shift;
	off = dva & (size - 1);
	*run = x1_min64(len, size - off);
	if (!e->ptr) {
		rec->code = X1_FAULT_NONE;
		return NULL;
	}
	ptr = e->ptr + off;
	/* Neighbours that are contiguous on the host; the first that is not ends the run. */
	while (*run < len) {
		uint32_t kind = e->flags & X1_PTE_SYSTEM;

		if (lookup(mem, dva + *run, access, &e, &shift) || e->ptr != ptr + *run ||
		    (e->flags & X1_PTE_SYSTEM) != kind)
			break;
		*run = x1_min64(len, *run + (1ull << shift));
	}
	return ptr;
}

/* System memory that the host does not map: by callback, which may block. */
static int sys_access(struct x1_mem *mem, const struct x1_tlb *e, uint64_t dva, unsigned int shift,
		      void *buf, uint64_t len, enum x1_access access, struct x1_fault_rec *rec)
{
	struct x1_core *core = mem->core;
	uint64_t bus = e->bus + (dva & ((1ull << shift) - 1));
	int err;

	x1_away(core, &mem->w->where, X1_WHERE_CALLBACK);
	if (!atomic_load(&core->bus_master) || x1_inject_take(&core->inject.dma))
		err = -EFAULT;
	else if (access == X1_ACCESS_WRITE)
		err = core->ops.sys_write(core->host, bus, buf, len);
	else
		err = core->ops.sys_read(core->host, bus, buf, len);
	x1_back(core, &mem->w->where, X1_WHERE_CALLBACK);
	x1_lock(core);
	if (mem->w->epoch != core->epoch)
		err = -EFAULT; /* the device was reset meanwhile */
	x1_unlock(core);
	if (!err)
		return 0;
	fault(mem, rec, X1_FAULT_DMA, access, dva);
	return -1;
}

/* Aligned words move in one piece: others may poll them. */
static void store(uint8_t *dst, const uint8_t *src, uint64_t n)
{
	uint64_t v8;
	uint32_t v4;

	if (n == 8 && !((uintptr_t)dst & 7)) {
		memcpy(&v8, src, 8);
		__atomic_store_n((uint64_t *)dst, v8, __ATOMIC_RELEASE);
	} else if (n == 4 && !((uintptr_t)dst & 3)) {
		memcpy(&v4, src, 4);
		__atomic_store_n((uint32_t *)dst, v4, __ATOMIC_RELEASE);
	} else {
		memcpy(dst, src, n);
	}
}

static void load(uint8_t *dst, const uint8_t *src, uint64_t n)
{
	uint64_t v8;
	uint32_t v4;

	if (n == 8 && !((uintptr_t)src & 7)) {
		v8 = __atomic_load_n((const uint64_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v8, 8);
	} else if (n == 4 && !((uintptr_t)src & 3)) {
		v4 = __atomic_load_n((const uint32_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v4, 4);
	} else {
		memcpy(dst, src, n);
	}
}

static int transfer(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len,
		    enum x1_access access, struct x1_fault_rec *rec)
{
	uint8_t *b = buf;

	if (dva >= DVA_LIMIT || len > DVA_LIMIT - dva) {
		fault(mem, rec, X1_FAULT_BAD_DVA, access, dva);
		return -1;
	}
	while (len) {
		unsigned int shift;
		struct x1_tlb *e = translate(mem, dva, 1, access, &shift, rec);
		uint64_t off, n;

		if (!e)
			return -1;
		off = dva & ((1ull << shift) - 1);
		n = x1_min64(len, (1ull << shift) - off);
		if (!e->ptr) {
			if (sys_access(mem, e, dva, shift, b, n, access, rec))
				return -1;
		} else if (access == X1_ACCESS_WRITE) {
			store(e->ptr + off, b, n);
			if (!(e->flags & X1_PTE_SYSTEM))
				x1_mem_dirty(mem, dva, e->ptr + off, n);
		} else {
			load(b, e->ptr + off, n);
		}
		dva += n;
		b += n;
		len -= n;
	}
	return 0;
}

int x1_mem_read(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len, struct x1_fault_rec *rec)
{
	return transfer(mem, dva, buf, len, X1_ACCESS_READ, rec);
}

int x1_mem_write(struct x1_mem *mem, uint64_t dva, const void *buf, uint64_t len,
		 struct x1_fault_rec *rec)
{
	return transfer(mem, dva, (void *)buf, len, X1_ACCESS_WRITE, rec);
}

int x1_mem_fetch(struct x1_mem *mem, uint64_t dva, void *buf, uint64_t len,
		 struct x1_fault_rec *rec)
{
	return transfer(mem, dva, buf, len, X1_ACCESS_EXEC, rec);
}

int x1_mem_word(struct x1_mem *mem, uint64_t dva, enum x1_access access, uint64_t **ptr,
		uint64_t *key, struct x1_fault_rec *rec)
{
	unsigned int shift;
	struct x1_tlb *e = translate(mem, dva, sizeof(uint64_t), access, &shift, rec);
	uint64_t off;

	if (!e)
		return -1;
	off = dva & ((1ull << shift) - 1);
	*ptr = e->ptr ? (uint64_t *)(e->ptr + off) : NULL;
	if (e->flags & X1_PTE_SYSTEM)
		*key = (e->bus + off) | 1;
	else
		*key = (uint64_t)(e->ptr + off - mem->core->hbm) | 2;
	return 0;
}

bool x1_mem_is_system(struct x1_mem *mem, uint64_t dva)
{
	struct x1_tlb *e = slot_of(mem, dva, X1_HUGE_SHIFT);
	uint64_t pte;
	unsigned int shift;

	if (e->key == key_of(mem->vm, dva, X1_HUGE_SHIFT))
		return e->flags & X1_PTE_SYSTEM;
	e = slot_of(mem, dva, X1_PAGE_SHIFT);
	if (e->key == key_of(mem->vm, dva, X1_PAGE_SHIFT))
		return e->flags & X1_PTE_SYSTEM;
	return !walk(mem, dva, &pte, &shift) && pte & X1_PTE_SYSTEM;
}

void x1_mem_flush_dirty(struct x1_mem *mem)
{
	struct x1_core *core = mem->core;

	if (mem->dirty_hi > mem->dirty_lo && core->ops.hbm_dirty)
		core->ops.hbm_dirty(core->host, mem->dirty_lo, mem->dirty_hi - mem->dirty_lo);
	mem->dirty_lo = mem->dirty_hi = 0;
}

void x1_mem_dirty(struct x1_mem *mem, uint64_t dva, const void *ptr, uint64_t len)
{
	struct x1_core *core = mem->core;
	uintptr_t off = (uintptr_t)ptr - (uintptr_t)core->hbm;
	uint64_t lo, hi;

	(void)dva;
	if (mem->wrong && len)
		*((uint8_t *)(uintptr_t)ptr) ^= 1;
	if (!len || off >= core->cfg.hbm_bytes)
		return; /* system memory: the host learns it at unmap */
	lo = x1_min64(mem->dirty_lo, off);
	hi = x1_max64(mem->dirty_hi, off + len);
	if (mem->dirty_hi && hi - lo <= DIRTY_WINDOW) {
		mem->dirty_lo = lo;
		mem->dirty_hi = hi;
		return;
	}
	x1_mem_flush_dirty(mem);
	mem->dirty_lo = off;
	mem->dirty_hi = off + len;
}

void x1_mem_ack(struct x1_mem *mem)
{
	uint64_t gen = atomic_load(&mem->core->inv_gen);

	if (atomic_load_explicit(&mem->w->seen, memory_order_relaxed) == gen)
		return;
	tlb_flush(mem);
	atomic_store(&mem->w->seen, gen);
	x1_inval_check(mem->core);
	pthread_cond_broadcast(&mem->core->state_cv);
}

bool x1_mem_quiesce(struct x1_mem *mem)
{
	struct x1_core *core = mem->core;
	uint64_t attn = atomic_load_explicit(&core->attn, memory_order_acquire);
	bool stop;

	if (attn == mem->attn_seen) {
		if (mem->trace && mem->trace->len > TRACE_MAX) {
			mem->trace_full = true;
			return true;
		}
		return mem->stop && atomic_load_explicit(mem->stop, memory_order_acquire);
	}
	mem->attn_seen = attn;
	x1_mem_flush_dirty(mem);
	if (atomic_load(&core->pause)) {
		x1_away(core, &mem->w->where, X1_WHERE_NOSPAN);
		x1_back(core, &mem->w->where, X1_WHERE_NOSPAN);
	}
	x1_lock(core);
	x1_mem_ack(mem);
	stop = mem->w->epoch != core->epoch || atomic_load(&core->rest);
	x1_unlock(core);
	return stop || (mem->stop && atomic_load(mem->stop));
}
