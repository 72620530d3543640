// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables in memory that stands for HBM, read back by a walk of its own.
 * Included by siliflow_mmu.c.
 */
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include <drm/ttm/ttm_placement.h>

#include <kunit/device.h>
#include <kunit/test.h>

#include "../siliflow_vram.h"

#define SILI_T_TABLES	64
#define SILI_T_BASE	(64ull << 20)		/* vram_base: nothing is there */
#define SILI_T_SYSTEM	BIT_ULL(40)		/* bus address of system pages */
#define SILI_T_ADDR	(BIT_ULL(39) - X1_HUGE_SIZE)	/* all levels change behind it */
#define SILI_T_PAGES	(4 * X1_PT_ENTRIES)
#define SILI_T_FLAGS	(X1_PTE_READ | X1_PTE_WRITE)

struct sili_mmu_test {
	struct sili_device sdev;
	struct sili_vm vm;
	void *mem;
};

/* A buffer that only says where its pages are. */
struct sili_test_bo {
	struct sili_bo bo;
	struct sili_vram_res res;
	struct sili_seg segs[2];
	struct ttm_tt tt;
};

static int sili_mmu_test_init(struct kunit *test)
{
	struct sili_mmu_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct device *dev = kunit_device_register(test, "siliflow-mmu-test");

	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	test->priv = t;
	t->mem = vzalloc(SILI_PT_OFFSET + SILI_T_TABLES * X1_PT_BYTES);
	KUNIT_ASSERT_NOT_NULL(test, t->mem);
	t->sdev.hbm = (void __iomem *)t->mem;
	t->sdev.drm.dev = dev;
	t->sdev.vram_base = SILI_T_BASE;
	t->sdev.pt_num = SILI_T_TABLES;
	t->sdev.pt_map = kunit_kcalloc(test, BITS_TO_LONGS(SILI_T_TABLES), sizeof(long),
				       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->sdev.pt_map);
	mutex_init(&t->sdev.pt_lock);
	t->vm.sdev = &t->sdev;
	KUNIT_ASSERT_EQ(test, sili_pt_alloc(&t->sdev, &t->vm.root), 0);
	return 0;
}

static void sili_mmu_test_exit(struct kunit *test)
{
	struct sili_mmu_test *t = test->priv;

	if (t)
		vfree(t->mem);
}

/* What the device would find at an address: the leaf's page with its flags, or 0. */
static u64 sili_test_walk(struct sili_mmu_test *t, u64 addr)
{
	u64 table = t->vm.root, pte;
	int level;

	for (level = 3; level >= 0; level--) {
		const u64 *entries = t->mem + table;

		pte = entries[addr >> (12 + 9 * level) & 511];
		if (!(pte & X1_PTE_VALID))
			return 0;
		if (level == 1 && pte & X1_PTE_HUGE)
			return pte + (addr & (X1_HUGE_SIZE - 1) & ~4095ull);
		table = pte & X1_PTE_ADDR_MASK;
	}
	return pte;
}

static u32 sili_test_used(struct sili_mmu_test *t)
{
	return bitmap_weight(t->sdev.pt_map, SILI_T_TABLES);
}

/* In HBM, from these pages on: the second part begins in the middle. */
static struct sili_test_bo *sili_test_hbm(struct kunit *test, u32 pages, u32 first, u32 second)
{
	struct sili_mmu_test *t = test->priv;
	struct sili_test_bo *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->segs[0] = (struct sili_seg){ .page = 0, .hbm_page = first };
	b->segs[1] = (struct sili_seg){ .page = pages / 2, .hbm_page = second };
	b->res.base.mem_type = TTM_PL_VRAM;
	b->res.base.size = (u64)pages << PAGE_SHIFT;
	b->res.segs = b->segs;
	b->res.num_segs = 2;
	b->bo.base.base.dev = &t->sdev.drm;
	b->bo.base.base.size = b->res.base.size;
	b->bo.base.resource = &b->res.base;
	return b;
}

/* In system memory, side by side from SILI_T_SYSTEM on. */
static struct sili_test_bo *sili_test_system(struct kunit *test, u32 pages)
{
	struct sili_test_bo *b = sili_test_hbm(test, pages, 0, 0);
	u32 i;

	b->res.base.mem_type = TTM_PL_TT;
	b->tt.dma_address = kunit_kmalloc_array(test, pages, sizeof(dma_addr_t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->tt.dma_address);
	for (i = 0; i < pages; i++)
		b->tt.dma_address[i] = SILI_T_SYSTEM + ((u64)i << PAGE_SHIFT);
	b->bo.base.ttm = &b->tt;
	return b;
}

static void sili_test_map(struct kunit *test, u64 addr, u64 range, struct sili_test_bo *b,
			  u64 offset, u64 flags)
{
	struct sili_mmu_test *t = test->priv;
	u64 spare = 0, dead = 0;
	struct sili_pt_update up;

	sili_pt_need(&b->bo, addr, range, offset, &spare, &dead);
	KUNIT_ASSERT_EQ(test, sili_pt_prepare(&t->sdev, &up, spare, dead), 0);
	sili_pt_map(&t->vm, &up, addr, range, &b->bo, offset, flags);
	KUNIT_EXPECT_LE(test, up.num_dead, dead);
	sili_pt_finish(&t->sdev, &up);
}

static void sili_test_unmap(struct kunit *test, u64 addr, u64 range)
{
	struct sili_mmu_test *t = test->priv;
	struct sili_pt_update up;

	/* As VM_BIND: both ends may split a page. */
	KUNIT_ASSERT_EQ(test, sili_pt_prepare(&t->sdev, &up, 2, 0), 0);
	sili_pt_unmap(&t->vm, &up, addr, range);
	sili_pt_finish(&t->sdev, &up);
}

static u64 sili_test_hbm_pte(u64 page, u64 flags)
{
	return (SILI_T_BASE + (page << PAGE_SHIFT)) | X1_PTE_VALID | flags;
}

static void sili_mmu_test_tables(struct kunit *test)
{
	const u64 gib = 1ull << 30;

	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, 4096, false), 3);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, X1_HUGE_SIZE, false), 3);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, X1_HUGE_SIZE + 4096, false), 4);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib - 4096, 8192, false), 2 + 2 + 1);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(512 * gib - 4096, 8192, false), 2 + 2 + 2);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, gib, false), 512 + 1 + 1);
	/* Only the ends of what lies in 2 MiB pages can need one. */
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, gib, true), 2 + 1 + 1);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(gib, 4096, true), 1 + 1 + 1);
	KUNIT_EXPECT_EQ(test, sili_pt_tables(SILI_VA_END - 4096, 4096, false), 3);
}

static void sili_mmu_test_page(struct kunit *test)
{
	struct sili_mmu_test *t = test->priv;
	struct sili_test_bo *b = sili_test_hbm(test, 8, 100, 200);
	static const u64 at[] = { SILI_VA_START, SILI_T_ADDR, SILI_VA_END - X1_PAGE_SIZE };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		sili_test_map(test, at[i], X1_PAGE_SIZE, b, 3 * X1_PAGE_SIZE,
			      X1_PTE_READ | X1_PTE_EXEC);
		KUNIT_EXPECT_EQ(test, sili_test_walk(t, at[i]),
				sili_test_hbm_pte(103, X1_PTE_READ | X1_PTE_EXEC));
		KUNIT_EXPECT_EQ(test, sili_test_walk(t, at[i] - X1_PAGE_SIZE), 0);
		KUNIT_EXPECT_EQ(test, sili_test_walk(t, (at[i] + X1_PAGE_SIZE) % SILI_VA_END), 0);
	}
}

static void sili_test_range(struct kunit *test, u64 addr, u32 pages, u64 first, bool huge)
{
	struct sili_mmu_test *t = test->priv;
	u64 flags = SILI_T_FLAGS | (huge ? X1_PTE_HUGE : 0);
	u32 i;

	for (i = 0; i < pages; i++)
		KUNIT_ASSERT_EQ(test, sili_test_walk(t, addr + i * X1_PAGE_SIZE),
				sili_test_hbm_pte(first + i, flags));
}

/* 2 MiB pages where both addresses allow, and nowhere else. */
static void sili_mmu_test_size(struct kunit *test)
{
	struct sili_test_bo *good = sili_test_hbm(test, 2 * X1_PT_ENTRIES, 512, 4096);
	struct sili_test_bo *odd = sili_test_hbm(test, X1_PT_ENTRIES, 513, 513 + 256);
	struct sili_mmu_test *t = test->priv;
	const u64 at = SILI_T_ADDR;

	sili_test_map(test, at, 2 * X1_HUGE_SIZE, good, 0, SILI_T_FLAGS);
	sili_test_range(test, at, X1_PT_ENTRIES, 512, true);
	sili_test_range(test, at + X1_HUGE_SIZE, X1_PT_ENTRIES, 4096, true);
	/* Where it lies in HBM does not allow it. */
	sili_test_map(test, at, X1_HUGE_SIZE, odd, 0, SILI_T_FLAGS);
	sili_test_range(test, at, X1_PT_ENTRIES, 513, false);
	sili_test_range(test, at + X1_HUGE_SIZE, X1_PT_ENTRIES, 4096, true);
	/* Nor the address. */
	sili_test_unmap(test, at, 2 * X1_HUGE_SIZE);
	sili_test_map(test, at + X1_PAGE_SIZE, X1_HUGE_SIZE, good, 0, SILI_T_FLAGS);
	sili_test_range(test, at + X1_PAGE_SIZE, X1_PT_ENTRIES, 512, false);
	/* Less than 2 MiB of it. */
	sili_test_unmap(test, at, 2 * X1_HUGE_SIZE);
	sili_test_map(test, at, X1_HUGE_SIZE - X1_PAGE_SIZE, good, 0, SILI_T_FLAGS);
	sili_test_range(test, at, X1_PT_ENTRIES - 1, 512, false);
	KUNIT_EXPECT_EQ(test, sili_test_walk(t, at + X1_HUGE_SIZE - X1_PAGE_SIZE), 0);
}

/* System pages: 2 MiB where they lie side by side. */
static void sili_mmu_test_system(struct kunit *test)
{
	struct sili_test_bo *b = sili_test_system(test, 2 * X1_PT_ENTRIES);
	const u64 flags = SILI_T_FLAGS | X1_PTE_VALID | X1_PTE_SYSTEM;
	struct sili_mmu_test *t = test->priv;
	u32 i;

	sili_test_map(test, SILI_T_ADDR, 2 * X1_HUGE_SIZE, b, 0, SILI_T_FLAGS);
	for (i = 0; i < 2 * X1_PT_ENTRIES; i++)
		KUNIT_ASSERT_EQ(test, sili_test_walk(t, SILI_T_ADDR + i * X1_PAGE_SIZE),
				(SILI_T_SYSTEM + i * X1_PAGE_SIZE) | flags | X1_PTE_HUGE);
	/* One page of the second half lies elsewhere. */
	b->tt.dma_address[X1_PT_ENTRIES + 77] = 1ull << 41;
	sili_test_map(test, SILI_T_ADDR, 2 * X1_HUGE_SIZE, b, 0, SILI_T_FLAGS);
	KUNIT_EXPECT_EQ(test, sili_test_walk(t, SILI_T_ADDR),
			SILI_T_SYSTEM | flags | X1_PTE_HUGE);
	for (i = X1_PT_ENTRIES; i < 2 * X1_PT_ENTRIES; i++)
		KUNIT_ASSERT_EQ(test, sili_test_walk(t, SILI_T_ADDR + i * X1_PAGE_SIZE),
				b->tt.dma_address[i] | flags);
}

/* A hole in a 2 MiB page leaves the rest as it was. */
static void sili_mmu_test_split(struct kunit *test)
{
	struct sili_test_bo *b = sili_test_hbm(test, X1_PT_ENTRIES, 1024, 1024 + 256);
	struct sili_mmu_test *t = test->priv;
	const u64 hole = SILI_T_ADDR + 100 * X1_PAGE_SIZE;

	sili_test_map(test, SILI_T_ADDR, X1_HUGE_SIZE, b, 0, SILI_T_FLAGS);
	sili_test_range(test, SILI_T_ADDR, X1_PT_ENTRIES, 1024, true);
	sili_test_unmap(test, hole, 2 * X1_PAGE_SIZE);
	sili_test_range(test, SILI_T_ADDR, 100, 1024, false);
	KUNIT_EXPECT_EQ(test, sili_test_walk(t, hole), 0);
	KUNIT_EXPECT_EQ(test, sili_test_walk(t, hole + X1_PAGE_SIZE), 0);
	sili_test_range(test, hole + 2 * X1_PAGE_SIZE, X1_PT_ENTRIES - 102, 1126, false);
	/* What is whole again is a 2 MiB page again, and the table goes. */
	sili_test_map(test, SILI_T_ADDR, X1_HUGE_SIZE, b, 0, SILI_T_FLAGS);
	sili_test_range(test, SILI_T_ADDR, X1_PT_ENTRIES, 1024, true);
	KUNIT_EXPECT_EQ(test, sili_test_used(t), X1_PT_LEVELS - 1);
}

/* A change takes all tables that it can need, or none. */
static void sili_mmu_test_pool(struct kunit *test)
{
	struct sili_mmu_test *t = test->priv;
	struct sili_pt_update up, rest;
	u64 table;

	KUNIT_EXPECT_EQ(test, sili_pt_prepare(&t->sdev, &up, SILI_T_TABLES + 1, 0), -ENOMEM);
	KUNIT_EXPECT_EQ(test, sili_pt_prepare(&t->sdev, &up, SILI_T_TABLES, 0), -ENOMEM);
	KUNIT_EXPECT_EQ(test, sili_pt_prepare(&t->sdev, &up, 1, 1ull << 32), -ENOMEM);
	KUNIT_EXPECT_EQ(test, sili_test_used(t), 1);
	KUNIT_ASSERT_EQ(test, sili_pt_prepare(&t->sdev, &up, SILI_T_TABLES - 2, 0), 0);
	KUNIT_EXPECT_EQ(test, sili_pt_prepare(&t->sdev, &rest, 2, 0), -ENOMEM);
	KUNIT_EXPECT_EQ(test, sili_pt_alloc(&t->sdev, &table), 0);
	KUNIT_EXPECT_EQ(test, sili_pt_alloc(&t->sdev, &table), -ENOMEM);
	sili_pt_finish(&t->sdev, &up);
	KUNIT_EXPECT_EQ(test, sili_test_used(t), 2);
}

/* Maps and unmaps in any order are what a plain list of pages says. */
static void sili_mmu_test_random(struct kunit *test)
{
	struct sili_test_bo *bos[] = {
		sili_test_hbm(test, SILI_T_PAGES, 512, 512 * 20),
		sili_test_hbm(test, X1_PT_ENTRIES - 2, 7777, 31),
		sili_test_hbm(test, 100, 3, 99),
		sili_test_system(test, SILI_T_PAGES),
	};
	struct sili_mmu_test *t = test->priv;
	struct rnd_state rnd;
	u64 *want, found;
	u32 round, i;

	want = kunit_kcalloc(test, SILI_T_PAGES, sizeof(*want), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, want);
	prandom_seed_state(&rnd, 20);
	for (round = 0; round < 300; round++) {
		struct sili_test_bo *b = bos[prandom_u32_state(&rnd) % ARRAY_SIZE(bos)];
		u32 pages = b->bo.base.base.size >> PAGE_SHIFT;
		u32 from = prandom_u32_state(&rnd) % pages, to = from;
		u32 num = 1 + prandom_u32_state(&rnd) % (pages - from);
		bool map = prandom_u32_state(&rnd) % 3;

		/* Half of them keep the two addresses alike, so that 2 MiB pages come about. */
		if (prandom_u32_state(&rnd) % 2)
			to = prandom_u32_state(&rnd) % (SILI_T_PAGES - num + 1);
		if (map)
			sili_test_map(test, SILI_T_ADDR + to * X1_PAGE_SIZE, num * X1_PAGE_SIZE, b,
				      from * X1_PAGE_SIZE, SILI_T_FLAGS);
		else
			sili_test_unmap(test, SILI_T_ADDR + to * X1_PAGE_SIZE, num * X1_PAGE_SIZE);
		for (i = 0; i < num; i++)
			want[to + i] = map ? sili_bo_page(&b->bo, from + i) | SILI_T_FLAGS |
					     X1_PTE_VALID : 0;
		for (i = 0; i < SILI_T_PAGES; i++) {
			found = sili_test_walk(t, SILI_T_ADDR + i * X1_PAGE_SIZE);
			KUNIT_ASSERT_EQ_MSG(test, found & ~X1_PTE_HUGE, want[i],
					    "round %u, page %u", round, i);
		}
		KUNIT_ASSERT_EQ(test, sili_test_walk(t, SILI_T_ADDR - X1_PAGE_SIZE), 0);
		KUNIT_ASSERT_EQ(test, sili_test_walk(t, SILI_T_ADDR + SILI_T_PAGES * X1_PAGE_SIZE),
				0);
	}
	sili_pt_free_tree(&t->sdev, t->vm.root, X1_PT_LEVELS - 1);
	KUNIT_EXPECT_EQ(test, sili_test_used(t), 0);
}

static struct kunit_case sili_mmu_cases[] = {
	KUNIT_CASE(sili_mmu_test_tables),
	KUNIT_CASE(sili_mmu_test_page),
	KUNIT_CASE(sili_mmu_test_size),
	KUNIT_CASE(sili_mmu_test_system),
	KUNIT_CASE(sili_mmu_test_split),
	KUNIT_CASE(sili_mmu_test_pool),
	KUNIT_CASE(sili_mmu_test_random),
	{}
};

static struct kunit_suite sili_mmu_suite = {
	.name = "siliflow_mmu",
	.init = sili_mmu_test_init,
	.exit = sili_mmu_test_exit,
	.test_cases = sili_mmu_cases,
};

kunit_test_suite(sili_mmu_suite);
