// SPDX-License-Identifier: GPL-2.0-only
/* The manager of HBM, without a device. Included by siliflow_vram.c. */
#include <linux/prandom.h>

#include <kunit/test.h>

#define SILI_T_SIZE	(64ull << 20)
#define SILI_T_VISIBLE	(24ull << 20)
#define SILI_T_HUGE	(2ull << 20)
#define SILI_T_MAX	64

struct sili_vram_test {
	struct ttm_device ttm;
	struct ttm_buffer_object bo;
	struct ttm_resource_manager *man;
	struct ttm_resource *res[SILI_T_MAX];
};

static int sili_vram_test_init(struct kunit *test)
{
	struct sili_vram_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	spin_lock_init(&t->ttm.lru_lock);
	t->bo.bdev = &t->ttm;
	KUNIT_ASSERT_EQ(test, sili_vram_init(&t->ttm, SILI_T_SIZE, SILI_T_VISIBLE), 0);
	t->man = ttm_manager_type(&t->ttm, TTM_PL_VRAM);
	test->priv = t;
	return 0;
}

static void sili_test_free(struct sili_vram_test *t, u32 i)
{
	if (t->res[i])
		sili_vram_free(t->man, t->res[i]);
	t->res[i] = NULL;
}

static void sili_test_free_all(struct sili_vram_test *t)
{
	u32 i;

	for (i = 0; i < SILI_T_MAX; i++)
		sili_test_free(t, i);
}

static void sili_vram_test_exit(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;

	if (!t)
		return;
	sili_test_free_all(t);
	sili_vram_fini(&t->ttm);
}

/* As the driver asks: whole 2 MiB for what is not smaller. */
static int sili_test_alloc(struct sili_vram_test *t, u32 i, u64 size, u64 end, u32 flags)
{
	const struct ttm_place place = {
		.lpfn = end >> PAGE_SHIFT, .mem_type = TTM_PL_VRAM, .flags = flags };

	t->bo.base.size = size;
	t->bo.page_alignment = size >= SILI_T_HUGE ? SILI_T_HUGE >> PAGE_SHIFT : 1;
	return sili_vram_alloc(t->man, &t->bo, &place, &t->res[i]);
}

static u64 sili_test_page(struct sili_vram_test *t, u32 i, u32 page)
{
	return sili_vram_run(t->res[i], page, NULL);
}

static u32 sili_test_pages(struct sili_vram_test *t, u32 i)
{
	return t->res[i]->size >> PAGE_SHIFT;
}

/* No page twice, none outside, and sili_vram_run() says the same from everywhere. */
static void sili_test_check(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;
	const u32 num = SILI_T_SIZE >> PAGE_SHIFT;
	u64 visible = 0, at;
	unsigned long *taken;
	u32 i, page, run;

	taken = kunit_kcalloc(test, BITS_TO_LONGS(num), sizeof(long), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, taken);
	for (i = 0; i < SILI_T_MAX; i++) {
		for (page = 0; t->res[i] && page < sili_test_pages(t, i); page++) {
			at = sili_vram_run(t->res[i], page, &run);
			KUNIT_ASSERT_LT(test, at, num);
			KUNIT_ASSERT_FALSE(test, __test_and_set_bit(at, taken));
			KUNIT_ASSERT_GE(test, run, 1);
			KUNIT_ASSERT_LE(test, page + run, sili_test_pages(t, i));
			KUNIT_ASSERT_EQ(test, sili_test_page(t, i, page + run - 1), at + run - 1);
			if (t->res[i]->size >= SILI_T_HUGE)
				KUNIT_ASSERT_EQ(test, at % 512, page % 512);
			if (at < SILI_T_VISIBLE >> PAGE_SHIFT)
				visible += PAGE_SIZE;
		}
	}
	KUNIT_EXPECT_EQ(test, to_sili_vram(t->man)->visible_used, visible);
	kunit_kfree(test, taken);
}

static void sili_vram_test_whole(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 0, SILI_T_SIZE + SILI_T_HUGE, 0, 0), -ENOSPC);
	KUNIT_ASSERT_EQ(test, sili_test_alloc(t, 0, SILI_T_SIZE, 0, 0), 0);
	sili_test_check(test);
	KUNIT_EXPECT_EQ(test, ttm_resource_manager_usage(t->man), SILI_T_SIZE);
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 1, PAGE_SIZE, 0, 0), -ENOSPC);
	sili_test_free(t, 0);
	KUNIT_EXPECT_EQ(test, ttm_resource_manager_usage(t->man), 0);
	KUNIT_EXPECT_EQ(test, to_sili_vram(t->man)->visible_used, 0);
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 0, SILI_T_SIZE, 0, 0), 0);
}

/* The visible part is for who asks for it; the others begin at the other end. */
static void sili_vram_test_visible(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;
	const struct ttm_place visible = {
		.lpfn = SILI_T_VISIBLE >> PAGE_SHIFT, .mem_type = TTM_PL_VRAM };
	const struct ttm_place any = { .mem_type = TTM_PL_VRAM };

	KUNIT_ASSERT_EQ(test, sili_test_alloc(t, 0, 8 << 20, SILI_T_VISIBLE, 0), 0);
	KUNIT_ASSERT_EQ(test, sili_test_alloc(t, 1, 8 << 20, 0, TTM_PL_FLAG_TOPDOWN), 0);
	KUNIT_EXPECT_EQ(test, to_sili_vram_res(t->res[0])->visible, 8 << 20);
	KUNIT_EXPECT_EQ(test, to_sili_vram_res(t->res[1])->visible, 0);
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 2, SILI_T_VISIBLE, SILI_T_VISIBLE, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 2, SILI_T_VISIBLE + SILI_T_HUGE, SILI_T_VISIBLE,
					      0), -ENOSPC);
	/* Evicting the second makes nothing visible. */
	KUNIT_EXPECT_TRUE(test, sili_vram_intersects(t->man, t->res[0], &visible, 8 << 20));
	KUNIT_EXPECT_FALSE(test, sili_vram_intersects(t->man, t->res[1], &visible, 8 << 20));
	KUNIT_EXPECT_TRUE(test, sili_vram_intersects(t->man, t->res[1], &any, 8 << 20));
	KUNIT_EXPECT_TRUE(test, sili_vram_compatible(t->man, t->res[0], &visible, 8 << 20));
	KUNIT_EXPECT_FALSE(test, sili_vram_compatible(t->man, t->res[1], &visible, 8 << 20));
	KUNIT_EXPECT_TRUE(test, sili_vram_compatible(t->man, t->res[1], &any, 8 << 20));
	/* What is left lies on both sides. */
	KUNIT_ASSERT_EQ(test, sili_test_alloc(t, 2, SILI_T_SIZE - (16 << 20), 0, 0), 0);
	KUNIT_EXPECT_EQ(test, to_sili_vram_res(t->res[2])->visible, SILI_T_VISIBLE - (8 << 20));
	KUNIT_EXPECT_TRUE(test, sili_vram_intersects(t->man, t->res[2], &visible, 8 << 20));
	KUNIT_EXPECT_FALSE(test, sili_vram_compatible(t->man, t->res[2], &visible,
						      t->res[2]->size));
	sili_test_check(test);
}

/* Two halves of 2 MiB are no 2 MiB. */
static void sili_vram_test_fragments(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;
	u32 i;

	for (i = 0; i < 64; i++)
		KUNIT_ASSERT_EQ(test, sili_test_alloc(t, i, 1 << 20, 0, 0), 0);
	for (i = 0; i < 64; i++)
		if (sili_test_page(t, i, 0) / 256 % 2)
			sili_test_free(t, i);
	KUNIT_EXPECT_EQ(test, ttm_resource_manager_usage(t->man), SILI_T_SIZE / 2);
	for (i = 0; t->res[i]; i++)
		;
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, i, SILI_T_HUGE, 0, 0), -ENOSPC);
	KUNIT_ASSERT_EQ(test, sili_test_alloc(t, i, SILI_T_HUGE - PAGE_SIZE, 0, 0), 0);
	KUNIT_EXPECT_GT(test, to_sili_vram_res(t->res[i])->num_segs, 1);
	sili_test_check(test);
}

static void sili_vram_test_random(struct kunit *test)
{
	struct sili_vram_test *t = test->priv;
	struct rnd_state rnd;
	u32 round, full = 0;

	prandom_seed_state(&rnd, 20);
	for (round = 0; round < 500; round++) {
		u32 i = prandom_u32_state(&rnd) % SILI_T_MAX;
		u64 size = (1 + prandom_u32_state(&rnd) % 600) << PAGE_SHIFT;
		int ret;

		sili_test_free(t, i);
		if (size >= SILI_T_HUGE)
			size = ALIGN(size, SILI_T_HUGE);
		ret = sili_test_alloc(t, i, size, prandom_u32_state(&rnd) % 2 ? SILI_T_VISIBLE : 0,
				      prandom_u32_state(&rnd) % 2 ? TTM_PL_FLAG_TOPDOWN : 0);
		full += ret == -ENOSPC;
		KUNIT_ASSERT_TRUE(test, !ret || ret == -ENOSPC);
		if (round % 50 == 0)
			sili_test_check(test);
	}
	KUNIT_EXPECT_GT(test, full, 0);
	sili_test_check(test);
	sili_test_free_all(t);
	KUNIT_EXPECT_EQ(test, to_sili_vram(t->man)->visible_used, 0);
	KUNIT_EXPECT_EQ(test, sili_test_alloc(t, 0, SILI_T_SIZE, 0, 0), 0);
}

static struct kunit_case sili_vram_cases[] = {
	KUNIT_CASE(sili_vram_test_whole),
	KUNIT_CASE(sili_vram_test_visible),
	KUNIT_CASE(sili_vram_test_fragments),
	KUNIT_CASE(sili_vram_test_random),
	{}
};

static struct kunit_suite sili_vram_suite = {
	.name = "siliflow_vram",
	.init = sili_vram_test_init,
	.exit = sili_vram_test_exit,
	.test_cases = sili_vram_cases,
};

kunit_test_suite(sili_vram_suite);
