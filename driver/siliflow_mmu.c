// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables: a pool of 4 KiB tables in HBM, and INVALIDATE.
 *
 * A change takes all tables that it can need first, so that writing the
 * entries cannot fail; tables and buffers that it replaces are freed when the
 * device has confirmed an INVALIDATE.
 */
#include <linux/bitmap.h>

#include <drm/drm_managed.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"

#define SILI_INVAL_TIMEOUT	msecs_to_jiffies(5000)
#define SILI_PTE_FLAGS		0x3full

/* ---- the pool ---- */

static u64 sili_pt_base(u32 index)
{
	return SILI_PT_OFFSET + (u64)index * X1_PT_BYTES;
}

static u64 __iomem *sili_pte(struct sili_device *sdev, u64 table, u32 index)
{
	return sdev->hbm + table + index * sizeof(u64);
}

static u64 sili_pte_get(struct sili_device *sdev, u64 table, u32 index)
{
	return readq(sili_pte(sdev, table, index));
}

/*
 * sili_pte_set() - write an entry of a table
 */
void sili_pte_set(struct sili_device *sdev, u64 table, u32 index, u64 val)
{
	writeq(val, sili_pte(sdev, table, index));
}

static void sili_pt_clear(struct sili_device *sdev, u64 table)
{
	u32 i;

	for (i = 0; i < X1_PT_ENTRIES; i++)
		sili_pte_set(sdev, table, i, 0);
}

/* Take a table, with whatever it had in it. */
static int sili_pt_reserve(struct sili_device *sdev, u64 *table)
{
	u32 i;

	mutex_lock(&sdev->pt_lock);
	i = find_next_zero_bit(sdev->pt_map, sdev->pt_num, sdev->pt_hint);
	if (i == sdev->pt_num)
		i = find_first_zero_bit(sdev->pt_map, sdev->pt_num);
	if (i < sdev->pt_num) {
		__set_bit(i, sdev->pt_map);
		sdev->pt_hint = i + 1;
	}
	mutex_unlock(&sdev->pt_lock);
	if (i == sdev->pt_num)
		return -ENOMEM;
	*table = sili_pt_base(i);
	return 0;
}

/*
 * sili_pt_alloc() - take an empty table
 *
 * Return: 0 or -ENOMEM.
 */
int sili_pt_alloc(struct sili_device *sdev, u64 *table)
{
	int ret = sili_pt_reserve(sdev, table);

	if (!ret)
		sili_pt_clear(sdev, *table);
	return ret;
}

static void sili_pt_free(struct sili_device *sdev, u64 table)
{
	u64 i = (table - SILI_PT_OFFSET) / X1_PT_BYTES;

	if (drm_WARN_ON(&sdev->drm, table < SILI_PT_OFFSET || i >= sdev->pt_num))
		return;
	mutex_lock(&sdev->pt_lock);
	__clear_bit(i, sdev->pt_map);
	mutex_unlock(&sdev->pt_lock);
}

/* Tables that a change of a range can need, at most; with @huge whole 2 MiB slots need none. */
static u64 sili_pt_tables(u64 addr, u64 range, bool huge)
{
	u64 last = addr + range - 1, n = 0;
	u32 i;

	/* Slots of 2 MiB, 1 GiB, 512 GiB that the range touches. */
	for (i = 0; i < X1_PT_LEVELS - 1; i++) {
		u32 shift = X1_HUGE_SHIFT + i * X1_PT_LEVEL_BITS;
		u64 slots = (last >> shift) - (addr >> shift) + 1;

		n += i || !huge ? slots : min(slots, 2);
	}
	return n;
}

/**
 * sili_pt_need() - add what mapping a range can need, at most
 * @bo: reserved buffer
 * @addr: DVA
 * @range: bytes, not zero
 * @offset: bytes into @bo
 * @spare: tables to take
 * @dead: tables that can be replaced
 */
void sili_pt_need(struct sili_bo *bo, u64 addr, u64 range, u64 offset, u64 *spare, u64 *dead)
{
	/* A buffer of that size lies in blocks of that size. */
	bool huge = sili_bo_in_hbm(bo) && bo->base.base.size >= X1_HUGE_SIZE &&
		    IS_ALIGNED(addr - offset, X1_HUGE_SIZE);

	*spare += sili_pt_tables(addr, range, huge);
	*dead += range >> X1_HUGE_SHIFT;
}

/**
 * sili_pt_prepare() - take tables for a change
 * @sdev: device
 * @up: filled in
 * @spare: tables to take
 * @dead: tables that the change can replace, at most
 *
 * Return: 0 or -ENOMEM. Undone, and ended, by sili_pt_finish().
 */
int sili_pt_prepare(struct sili_device *sdev, struct sili_pt_update *up, u64 spare, u64 dead)
{
	int ret = 0;

	*up = (struct sili_pt_update){};
	/* More than the pool has need not be tried. */
	if (spare > sdev->pt_num || dead > U32_MAX)
		return -ENOMEM;
	up->spare = kvmalloc_array(spare + dead, sizeof(*up->spare), GFP_KERNEL);
	if (!up->spare)
		return -ENOMEM;
	up->dead = up->spare + spare;
	while (up->num_spare < spare && !ret) {
		ret = sili_pt_reserve(sdev, &up->spare[up->num_spare]);
		if (!ret)
			up->num_spare++;
	}
	if (ret)
		sili_pt_finish(sdev, up);
	return ret;
}

/*
 * sili_pt_finish() - free what a change did not need or has replaced
 *
 * After INVALIDATE, where something was replaced.
 */
void sili_pt_finish(struct sili_device *sdev, struct sili_pt_update *up)
{
	while (up->num_spare)
		sili_pt_free(sdev, up->spare[--up->num_spare]);
	while (up->num_dead)
		sili_pt_free(sdev, up->dead[--up->num_dead]);
	kvfree(up->spare);
	up->spare = NULL;
}

/* ---- entries ---- */

/* A table to be filled before it is used. */
static u64 sili_pt_take(struct sili_device *sdev, struct sili_pt_update *up)
{
	/* Cannot be: sili_pt_tables() counts the most that can be needed. */
	if (drm_WARN_ON(&sdev->drm, !up->num_spare))
		return 0;
	return up->spare[--up->num_spare];
}

static u64 sili_pt_take_empty(struct sili_device *sdev, struct sili_pt_update *up)
{
	u64 table = sili_pt_take(sdev, up);

	if (table)
		sili_pt_clear(sdev, table);
	return table;
}

static u64 sili_pt_split(struct sili_device *sdev, struct sili_pt_update *up, u64 huge)
{
	u64 table = sili_pt_take(sdev, up);
	u32 i;

	if (!table)
		return 0;
	for (i = 0; i < X1_PT_ENTRIES; i++)
		sili_pte_set(sdev, table, i, (huge & ~X1_PTE_HUGE) + ((u64)i << X1_PAGE_SHIFT));
	return table;
}

/*
 * The table of @level that serves @addr, 0 if there is none. Missing ones are
 * made, 2 MiB pages above it split: with @make all, else only the latter.
 */
static u64 sili_pt_walk(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u32 level,
			bool make)
{
	struct sili_device *sdev = vm->sdev;
	u64 table = vm->root;
	u32 l;

	for (l = X1_PT_LEVELS - 1; l > level; l--) {
		u32 index = x1_pt_index(addr, l);
		u64 pte = sili_pte_get(sdev, table, index), next;

		if (!(pte & X1_PTE_VALID) && !make)
			return 0;
		if (!(pte & X1_PTE_VALID))
			next = sili_pt_take_empty(sdev, up);
		else if (pte & X1_PTE_HUGE)
			next = sili_pt_split(sdev, up, pte);
		else
			next = pte & X1_PTE_ADDR_MASK;
		if (!next)
			return 0;
		if (!(pte & X1_PTE_VALID) || pte & X1_PTE_HUGE) {
			wmb(); /* the table before the entry that leads to it */
			sili_pte_set(sdev, table, index, next | X1_PTE_VALID);
		}
		table = next;
	}
	return table;
}

/* Where page @page of a buffer lies, as an entry's address bits. */
static u64 sili_bo_page(struct sili_bo *bo, u64 page)
{
	if (sili_bo_in_hbm(bo))
		return sili_res_addr(to_sili(bo->base.base.dev), bo->base.resource, page, NULL);
	return bo->base.ttm->dma_address[page] | X1_PTE_SYSTEM;
}

static bool sili_bo_huge(struct sili_bo *bo, u64 addr, u64 offset, u64 left)
{
	u64 first, page = offset >> PAGE_SHIFT;
	u32 i;

	if (left < X1_HUGE_SIZE || addr % X1_HUGE_SIZE)
		return false;
	first = sili_bo_page(bo, page);
	if ((first & ~X1_PTE_SYSTEM) % X1_HUGE_SIZE)
		return false;
	for (i = 1; !sili_bo_in_hbm(bo) && i < X1_PT_ENTRIES; i++)
		if (sili_bo_page(bo, page + i) != first + ((u64)i << PAGE_SHIFT))
			return false;
	return true;
}

static void sili_pt_map_huge(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u64 pte)
{
	u64 table = sili_pt_walk(vm, up, addr, 1, true), old;
	u32 index = x1_pt_index(addr, 1);

	if (!table)
		return;
	old = sili_pte_get(vm->sdev, table, index);
	if (old & X1_PTE_VALID && !(old & X1_PTE_HUGE))
		up->dead[up->num_dead++] = old & X1_PTE_ADDR_MASK;
	sili_pte_set(vm->sdev, table, index, pte | X1_PTE_HUGE);
}

/* The entries of @num pages, side by side in a table of level 0. */
static void sili_pt_fill(struct sili_device *sdev, u64 table, u32 index, u32 num,
			 struct sili_bo *bo, u32 page, u64 flags)
{
	u64 __iomem *pte = sili_pte(sdev, table, index);
	u32 i, run;

	if (!sili_bo_in_hbm(bo)) {
		const dma_addr_t *dma = bo->base.ttm->dma_address + page;

		for (i = 0; i < num; i++)
			writeq(dma[i] | X1_PTE_SYSTEM | flags, pte + i);
		return;
	}
	for (; num; num -= run, page += run) {
		u64 at = sili_res_addr(sdev, bo->base.resource, page, &run) | flags;

		run = min(run, num);
		for (i = 0; i < run; i++)
			writeq(at + ((u64)i << PAGE_SHIFT), pte++);
	}
}

/* All of a table of level 0; a new one is filled before anything leads to it. */
static void sili_pt_map_table(struct sili_vm *vm, struct sili_pt_update *up, u64 addr,
			      struct sili_bo *bo, u32 page, u64 flags)
{
	u64 parent = sili_pt_walk(vm, up, addr, 1, true), table, old;
	u32 index = x1_pt_index(addr, 1);
	bool made;

	if (!parent)
		return;
	old = sili_pte_get(vm->sdev, parent, index);
	made = !(old & X1_PTE_VALID) || old & X1_PTE_HUGE;
	table = made ? sili_pt_take(vm->sdev, up) : old & X1_PTE_ADDR_MASK;
	if (!table)
		return;
	sili_pt_fill(vm->sdev, table, 0, X1_PT_ENTRIES, bo, page, flags);
	if (!made)
		return;
	wmb(); /* the table before the entry that leads to it */
	sili_pte_set(vm->sdev, parent, index, table | X1_PTE_VALID);
}

/**
 * sili_pt_map() - write the entries of a range; cannot fail
 * @vm: address space, table_lock held
 * @up: prepared for the range
 * @addr: DVA
 * @range: bytes
 * @bo: buffer that does not move
 * @offset: bytes into @bo
 * @flags: X1_PTE_READ, X1_PTE_WRITE, X1_PTE_EXEC
 */
void sili_pt_map(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u64 range,
		 struct sili_bo *bo, u64 offset, u64 flags)
{
	u64 done, n;

	flags |= X1_PTE_VALID;
	for (done = 0; done < range; done += n) {
		u64 at = addr + done, table;
		u32 page = (offset + done) >> PAGE_SHIFT;

		n = min(range - done, X1_HUGE_SIZE - at % X1_HUGE_SIZE);
		if (sili_bo_huge(bo, at, offset + done, n)) {
			sili_pt_map_huge(vm, up, at, sili_bo_page(bo, page) | flags);
		} else if (n == X1_HUGE_SIZE) {
			sili_pt_map_table(vm, up, at, bo, page, flags);
		} else {
			table = sili_pt_walk(vm, up, at, 0, true);
			if (table)
				sili_pt_fill(vm->sdev, table, x1_pt_index(at, 0), n >> PAGE_SHIFT,
					     bo, page, flags);
		}
	}
	wmb(); /* out of the write-combining buffers before a job can use it */
}

/*
 * sili_pt_unmap() - clear the entries of a range; cannot fail
 *
 * Tables that become empty stay for later. As sili_pt_map().
 */
void sili_pt_unmap(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u64 range)
{
	u64 end = addr + range, at, next;

	for (at = addr; at < end; at = next) {
		u32 level = at % X1_HUGE_SIZE || end - at < X1_HUGE_SIZE ? 0 : 1;
		u64 table, pte;

		next = min(end, ALIGN_DOWN(at, X1_HUGE_SIZE) + X1_HUGE_SIZE);
		table = sili_pt_walk(vm, up, at, level, false);
		if (table && level) {
			pte = sili_pte_get(vm->sdev, table, x1_pt_index(at, 1));
			if (pte & X1_PTE_HUGE || !(pte & X1_PTE_VALID)) {
				sili_pte_set(vm->sdev, table, x1_pt_index(at, 1), 0);
				continue;
			}
			table = pte & X1_PTE_ADDR_MASK;
		}
		for (; table && at < next; at += X1_PAGE_SIZE)
			sili_pte_set(vm->sdev, table, x1_pt_index(at, 0), 0);
	}
	wmb(); /* before INVALIDATE */
}

/* ---- INVALIDATE ---- */

/**
 * sili_mmu_invalidate_live() - as sili_mmu_invalidate()
 * @sdev: device, between drm_dev_enter() and drm_dev_exit()
 * @vm: number of the address space
 * @addr: DVA
 * @range: bytes, 0 = all of @vm
 */
void sili_mmu_invalidate_live(struct sili_device *sdev, u32 vm, u64 addr, u64 range)
{
	bool done;
	u32 seq;

	/* One at a time, so there is always a free slot. */
	mutex_lock(&sdev->inval_lock);
	seq = ++sdev->inval_seq;
	sili_write(sdev, X1_REG_INV_VM, vm);
	sili_write(sdev, X1_REG_INV_ADDR_LO, lower_32_bits(addr));
	sili_write(sdev, X1_REG_INV_ADDR_HI, upper_32_bits(addr));
	sili_write(sdev, X1_REG_INV_LEN_LO, lower_32_bits(range));
	sili_write(sdev, X1_REG_INV_LEN_HI, upper_32_bits(range));
	sili_write(sdev, X1_REG_INV_SEQ, seq);
	done = wait_event_timeout(sdev->wait, sili_read(sdev, X1_REG_INV_DONE) == seq,
				  SILI_INVAL_TIMEOUT);
	if (!done) {
		sili_reset_halt(sdev);
		sili_reset_schedule(sdev, "INVALIDATE does not complete");
	}
	mutex_unlock(&sdev->inval_lock);
}

/**
 * sili_mmu_invalidate() - wait until nothing uses an old translation
 * @vm: address space
 * @addr: DVA
 * @range: bytes, 0 = all of @vm
 *
 * A device that does not confirm is stopped and reset: on return no old
 * translation is in use, whatever happened.
 */
void sili_mmu_invalidate(struct sili_vm *vm, u64 addr, u64 range)
{
	struct sili_device *sdev = vm->sdev;
	int idx;

	if (!drm_dev_enter(&sdev->drm, &idx)) {
		wait_for_completion(&sdev->halted);
		return;
	}
	sili_mmu_invalidate_live(sdev, vm->id, addr, range);
	drm_dev_exit(idx);
}

/* ---- address spaces ---- */

static int sili_mmu_attach(struct sili_device *sdev, u32 id, u64 root)
{
	u32 args[3] = { id, lower_32_bits(root), upper_32_bits(root) };

	return sili_mbox_locked(sdev, X1_MBOX_VM_ATTACH, args, ARRAY_SIZE(args), NULL);
}

/*
 * sili_mmu_attach_all() - attach the kernel's and all user VMs after a reset
 *
 * The caller holds vm_lock and mbox_lock.
 *
 * Return: 0 or a negative errno.
 */
int sili_mmu_attach_all(struct sili_device *sdev)
{
	struct sili_vm *vm;
	int ret;

	lockdep_assert_held(&sdev->vm_lock);
	ret = sili_mmu_attach(sdev, SILI_VM_KERNEL, sdev->kernel_root);
	list_for_each_entry(vm, &sdev->vms, link)
		if (!ret)
			ret = sili_mmu_attach(sdev, vm->id, vm->root);
	return ret;
}

static int sili_mmu_vm_attach(struct sili_vm *vm)
{
	struct sili_device *sdev = vm->sdev;
	u32 args[3];
	int ret;

	ret = sili_pt_alloc(sdev, &vm->root);
	if (ret)
		return ret;
	args[0] = vm->id;
	args[1] = lower_32_bits(vm->root);
	args[2] = upper_32_bits(vm->root);
	wmb(); /* an empty table before it is attached */
	mutex_lock(&sdev->vm_lock);
	ret = sili_mbox(sdev, X1_MBOX_VM_ATTACH, args, ARRAY_SIZE(args), NULL);
	if (!ret)
		list_add_tail(&vm->link, &sdev->vms);
	mutex_unlock(&sdev->vm_lock);
	if (ret)
		sili_pt_free(sdev, vm->root);
	return ret;
}

/*
 * sili_mmu_vm_init() - number, root table and place in the device for a VM
 *
 * Return: 0, -ENOSPC, -ENOMEM, -ENODEV or what firmware says.
 */
int sili_mmu_vm_init(struct sili_vm *vm)
{
	struct sili_device *sdev = vm->sdev;
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	ret = ida_alloc_range(&sdev->vm_ids, SILI_VM_FIRST, sdev->num_vms - 1, GFP_KERNEL);
	if (ret > 0) {
		vm->id = ret;
		ret = sili_mmu_vm_attach(vm);
		if (ret)
			ida_free(&sdev->vm_ids, vm->id);
	}
	drm_dev_exit(idx);
	return ret;
}

static void sili_pt_free_tree(struct sili_device *sdev, u64 table, u32 level)
{
	u32 i;

	for (i = 0; level && i < X1_PT_ENTRIES; i++) {
		u64 pte = sili_pte_get(sdev, table, i);

		if (pte & X1_PTE_VALID && !(pte & X1_PTE_HUGE))
			sili_pt_free_tree(sdev, pte & X1_PTE_ADDR_MASK, level - 1);
	}
	sili_pt_free(sdev, table);
}

/*
 * sili_mmu_vm_detach() - take a VM without queues from the device
 *
 * On return nothing uses its translations.
 */
void sili_mmu_vm_detach(struct sili_vm *vm)
{
	struct sili_device *sdev = vm->sdev;

	mutex_lock(&sdev->vm_lock);
	list_del_init(&vm->link);
	/* After a reset or with the device gone it is not attached. */
	sili_mbox(sdev, X1_MBOX_VM_DETACH, &vm->id, 1, NULL);
	mutex_unlock(&sdev->vm_lock);
	sili_mmu_invalidate(vm, 0, 0);
}

/*
 * sili_mmu_vm_free() - free tables and number of a detached VM without mappings
 */
void sili_mmu_vm_free(struct sili_vm *vm)
{
	struct sili_device *sdev = vm->sdev;
	int idx;

	if (drm_dev_enter(&sdev->drm, &idx)) {
		sili_pt_free_tree(sdev, vm->root, X1_PT_LEVELS - 1);
		drm_dev_exit(idx);
	}
	ida_free(&sdev->vm_ids, vm->id);
}

/* The kernel's VM: one 2 MiB page with rings and fences. */
static int sili_mmu_kernel_vm(struct sili_device *sdev)
{
	u64 table[3];
	u32 i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		ret = sili_pt_alloc(sdev, &table[i]);
		if (ret)
			return ret;
	}
	sdev->kernel_root = table[0];
	for (i = 0; i < ARRAY_SIZE(table); i++)
		sili_pte_set(sdev, table[i], x1_pt_index(SILI_KERNEL_DVA, X1_PT_LEVELS - 1 - i),
			     i + 1 < ARRAY_SIZE(table) ?
			     table[i + 1] | X1_PTE_VALID :
			     X1_PTE_HUGE | X1_PTE_VALID | X1_PTE_READ | X1_PTE_WRITE);
	wmb(); /* before it is attached */
	return 0;
}

static void sili_mmu_release(struct drm_device *drm, void *arg)
{
	struct sili_device *sdev = arg;

	ida_destroy(&sdev->vm_ids);
	bitmap_free(sdev->pt_map);
}

/*
 * sili_mmu_init() - pool of page tables, kernel VM, start of the buffers' HBM
 *
 * Return: 0 or a negative errno.
 */
int sili_mmu_init(struct sili_device *sdev)
{
	u64 bytes = max_t(u64, sdev->hbm_bytes / SILI_PT_SHARE, SILI_PT_MIN_BYTES);
	u32 i;
	int ret;

	bytes = ALIGN(bytes, X1_HUGE_SIZE);
	sdev->vram_base = SILI_PT_OFFSET + bytes;
	if (sdev->vram_base + X1_HUGE_SIZE > sdev->hbm_visible)
		return dev_err_probe(sdev->drm.dev, -ENOSPC,
				     "%llu MiB of reachable HBM are too few\n",
				     sdev->hbm_visible >> 20);
	sdev->pt_num = bytes / X1_PT_BYTES;
	sdev->pt_map = bitmap_zalloc(sdev->pt_num, GFP_KERNEL);
	if (!sdev->pt_map)
		return -ENOMEM;
	ida_init(&sdev->vm_ids);
	ret = drmm_add_action_or_reset(&sdev->drm, sili_mmu_release, sdev);
	if (ret)
		return ret;
	/* Fence words of an earlier driver would look like ours. */
	for (i = 0; i < X1_NUM_QUEUES * SILI_FENCE_STRIDE; i += sizeof(u64))
		writeq(0, sdev->hbm + SILI_FENCE_OFFSET + i);
	return sili_mmu_kernel_vm(sdev);
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_mmu_test.c"
#endif
