// SPDX-License-Identifier: GPL-2.0
/* BO_CREATE, BO_MMAP_OFFSET, BO_INFO, BO_WAIT and mappings of buffers. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <sys/wait.h>

FIXTURE(bo) {
	int fd;
};

FIXTURE_SETUP(bo)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(bo)
{
	close(self->fd);
}

FIXTURE_VARIANT(bo) {
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(bo, hbm) {
	.flags = SILIFLOW_BO_HBM,
};

FIXTURE_VARIANT_ADD(bo, system) {
	.flags = SILIFLOW_BO_SYSTEM,
};

static int info_of(int fd, uint32_t bo, struct drm_siliflow_bo_info *info)
{
	*info = (struct drm_siliflow_bo_info){ .handle = bo };
	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_INFO, info);
}

TEST_F(bo, info_and_rounding)
{
	static const uint64_t sizes[][2] = {
		{ 1, 4096 }, { 4096, 4096 }, { 4097, 8192 }, { (2 << 20) - 1, 2 << 20 },
		{ 2 << 20, 2 << 20 }, { (2 << 20) + 1, 4 << 20 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE_T(sizes); i++) {
		struct drm_siliflow_bo_create c = { .size = sizes[i][0], .flags = variant->flags };
		struct drm_siliflow_bo_info info;

		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_CREATE, &c));
		EXPECT_EQ(sizes[i][1], c.size);
		ASSERT_EQ(0, info_of(self->fd, c.handle, &info));
		EXPECT_EQ(sizes[i][1], info.size);
		EXPECT_EQ(variant->flags, info.flags);
		EXPECT_EQ(variant->flags, info.placement);
		EXPECT_EQ(0, util_bo_close(self->fd, c.handle));
		EXPECT_EQ(-ENOENT, info_of(self->fd, c.handle, &info));
	}
}

/* Freed memory comes back zeroed. */
TEST_F(bo, zeroed)
{
	const size_t size = 4 << 20;

	for (int round = 0; round < 3; round++) {
		uint64_t *map, seen = 0;
		uint32_t bo;

		ASSERT_EQ(0, util_bo(self->fd, size, variant->flags, &bo));
		map = util_map(self->fd, bo, size);
		ASSERT_NE(MAP_FAILED, map);
		for (size_t i = 0; i < size / 8; i++)
			seen |= map[i];
		EXPECT_EQ(0, seen);
		memset(map, 0xee, size);
		munmap(map, size);
		ASSERT_EQ(0, util_bo_close(self->fd, bo));
	}
}

/* A mapping outlives the handle, and shows the same memory twice. */
TEST_F(bo, mapping_outlives_handle)
{
	uint32_t *a, *b, bo;

	ASSERT_EQ(0, util_bo(self->fd, 8192, variant->flags, &bo));
	a = util_map(self->fd, bo, 8192);
	b = util_map(self->fd, bo, 8192);
	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	ASSERT_EQ(0, util_bo_close(self->fd, bo));
	a[2000] = 77;
	EXPECT_EQ(77, b[2000]);
	munmap(a, 8192);
	EXPECT_EQ(77, b[2000]);
	munmap(b, 8192);
}

TEST_F(bo, wait_idle)
{
	uint32_t bo;

	ASSERT_EQ(0, util_bo(self->fd, 4096, variant->flags, &bo));
	EXPECT_EQ(0, util_bo_wait(self->fd, bo, 0));
	EXPECT_EQ(0, util_bo_wait(self->fd, bo, -1));
	EXPECT_EQ(-ENOENT, util_bo_wait(self->fd, bo + 1, 0));
}

TEST_F(bo, wait_busy)
{
	struct util_ctx c;

	ASSERT_EQ(0, util_setup(&c, self->fd));
	util_cmd_wait(&c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(c.fd, c.queue, UTIL_CMDS, 1, 0, c.syncobj));
	EXPECT_EQ(-ETIME, util_bo_wait(self->fd, c.data_bo, 0));
	c.data[0] = 1;
	EXPECT_EQ(0, util_bo_wait(self->fd, c.data_bo, -1));
	EXPECT_EQ(0, util_bo_wait(self->fd, c.data_bo, 0));
	util_teardown(&c);
}

/* Another file's offset is no way into a buffer. */
TEST_F(bo, mmap_is_per_file)
{
	struct drm_siliflow_bo_mmap_offset o = {};
	int other = util_open();
	void *map;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, util_bo(self->fd, 4096, variant->flags, &o.handle));
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &o));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, other, (off_t)o.offset);
	EXPECT_EQ(MAP_FAILED, map);
	EXPECT_EQ(EACCES, errno);
	/* Nor does a mapping reach beyond its buffer. */
	map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, self->fd, (off_t)o.offset);
	EXPECT_EQ(MAP_FAILED, map);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 1ll << 40);
	EXPECT_EQ(MAP_FAILED, map);
	close(other);
}

FIXTURE(bo_bad) {
	int fd;
	uint32_t bo;
};

FIXTURE_SETUP(bo_bad)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_bo(self->fd, 4096, SILIFLOW_BO_HBM, &self->bo));
}

FIXTURE_TEARDOWN(bo_bad)
{
	EXPECT_EQ(0, util_usable());
	close(self->fd);
}

TEST_F(bo_bad, create)
{
	static const struct {
		struct drm_siliflow_bo_create c;
		int ret;
	} cases[] = {
		{ { .size = 0, .flags = SILIFLOW_BO_HBM }, -EINVAL },
		{ { .size = 4096, .flags = 0 }, -EINVAL },
		{ { .size = 4096, .flags = SILIFLOW_BO_CPU_VISIBLE }, -EINVAL },
		{ { .size = 4096, .flags = SILIFLOW_BO_HBM | 8 }, -EINVAL },
		{ { .size = 4096, .flags = SILIFLOW_BO_HBM | 1u << 31 }, -EINVAL },
		{ { .size = 4096, .flags = SILIFLOW_BO_HBM, .pad = 1 }, -EINVAL },
		{ { .size = 1ull << 40, .flags = SILIFLOW_BO_HBM }, -E2BIG },
		{ { .size = 1ull << 63, .flags = SILIFLOW_BO_HBM }, -E2BIG },
		{ { .size = ~0ull, .flags = SILIFLOW_BO_HBM }, -E2BIG },
		{ { .size = ~0ull, .flags = SILIFLOW_BO_SYSTEM }, -E2BIG },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE_T(cases); i++) {
		struct drm_siliflow_bo_create c = cases[i].c;

		EXPECT_EQ(cases[i].ret, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_CREATE, &c))
			TH_LOG("case %u", i);
	}
	EXPECT_EQ(-EFAULT,
		  util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_CREATE, (void *)BAD_POINTER));
}

/*
 * HBM and what may be evicted from it taken: an error, and all of it back
 * afterwards. What was evicted on the way may still be in system memory.
 */
TEST_F(bo_bad, out_of_hbm)
{
	struct drm_siliflow_query_memory before, after;
	uint64_t hbm;
	int fd = util_open_small(&hbm);
	uint32_t bo[256];
	unsigned int n = 0;
	int ret = 0;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &before, sizeof(before)));
	while (n < ARRAY_SIZE_T(bo) && !ret) {
		ret = util_bo(fd, hbm / 2, SILIFLOW_BO_HBM, &bo[n]);
		n += !ret;
	}
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_GE(n, 2);
	while (n)
		ASSERT_EQ(0, util_bo_close(fd, bo[--n]));
	ASSERT_EQ(0, util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &after, sizeof(after)));
	EXPECT_EQ(before.hbm_used + before.system_used, after.hbm_used + after.system_used);
	EXPECT_GE(before.hbm_used, after.hbm_used);
	close(fd);
}

TEST_F(bo_bad, mmap_offset)
{
	struct drm_siliflow_bo_mmap_offset o = { .handle = self->bo, .pad = 1 };

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &o));
	o = (struct drm_siliflow_bo_mmap_offset){ .handle = self->bo + 1 };
	EXPECT_EQ(-ENOENT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &o));
	o.handle = 0;
	EXPECT_EQ(-ENOENT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &o));
}

TEST_F(bo_bad, info)
{
	struct drm_siliflow_bo_info i = { .handle = self->bo, .pad = 1 };

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_INFO, &i));
	EXPECT_EQ(-ENOENT, info_of(self->fd, 0, &i));
	EXPECT_EQ(-ENOENT, info_of(self->fd, ~0u, &i));
}

TEST_F(bo_bad, wait)
{
	struct drm_siliflow_bo_wait w = { .handle = self->bo, .pad = 1 };

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_BO_WAIT, &w));
	EXPECT_EQ(-ENOENT, util_bo_wait(self->fd, 0, -1));
	EXPECT_EQ(-ENOENT, util_bo_wait(self->fd, ~0u, INT64_MIN));
}

TEST_HARNESS_MAIN
