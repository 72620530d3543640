// SPDX-License-Identifier: GPL-2.0
/* More buffers than HBM holds: contents, mappings and waiting. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <pthread.h>

#define BUF_BYTES (8ull << 20)
#define BUF_WORDS (BUF_BYTES / 4)
#define BIG 0x1000000000ull	/* where buffers are bound, one after the other */
#define FILES 3
#define MAX_BUFS 64
/* A card with more takes too long to fill. */
#define MAX_HBM (1ull << 30)

/* A file with a VM, a queue, and buffers. */
struct user {
	struct util_ctx c;
	int fd;
	unsigned int num;
	uint32_t bo[MAX_BUFS];
	uint32_t value[MAX_BUFS];
};

FIXTURE(evict) {
	struct user u[FILES];
	uint64_t hbm;
};

FIXTURE_SETUP(evict)
{
	int fd = util_open_small(&self->hbm);
	char path[64], node[64];
	ssize_t n;

	ASSERT_GE(fd, 0);
	if (self->hbm > MAX_HBM)
		SKIP(return, "no card with at most 1 GiB of HBM");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, node, sizeof(node) - 1);
	ASSERT_GT(n, 0);
	node[n] = 0;
	close(fd);
	for (int i = 0; i < FILES; i++) {
		self->u[i].num = 0;
		self->u[i].fd = open(node, O_RDWR | O_CLOEXEC);
		ASSERT_GE(self->u[i].fd, 0);
		ASSERT_EQ(0, util_setup(&self->u[i].c, self->u[i].fd));
	}
}

FIXTURE_TEARDOWN(evict)
{
	for (int i = 0; i < FILES; i++)
		close(self->u[i].fd);
}

static uint64_t addr_of(unsigned int i)
{
	return BIG + i * BUF_BYTES;
}

/* One more buffer, bound. */
static int add(struct user *u, uint32_t flags)
{
	unsigned int i = u->num;
	int ret = util_bo(u->fd, BUF_BYTES, flags, &u->bo[i]);

	if (!ret)
		ret = util_bind(u->fd, u->c.vm, u->bo[i], addr_of(i), BUF_BYTES, 0);
	u->num += !ret;
	return ret;
}

/* The device writes a buffer. */
static int fill(struct user *u, unsigned int i, uint32_t value)
{
	u->c.cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr_of(i), .bytes = BUF_BYTES, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
	u->value[i] = value;
	return util_run(&u->c, 1);
}

/* What the device reads at both ends and in the middle: 0 when right. */
static int check(struct user *u, unsigned int i)
{
	static const uint64_t at[] = { 0, BUF_BYTES / 2 - 4096, BUF_BYTES - 4096 };

	for (unsigned int k = 0; k < ARRAY_SIZE_T(at); k++) {
		int ret;

		util_cmd_fetch(&u->c, 0, addr_of(i) + at[k], 1024);
		ret = util_run(&u->c, 1);
		if (ret)
			return ret;
		for (int w = 0; w < 1024; w++)
			if (u->c.data[w] != u->value[i])
				return -EBADMSG;
	}
	return 0;
}

static uint32_t placement(struct user *u, unsigned int i)
{
	struct drm_siliflow_bo_info info = { .handle = u->bo[i] };

	return util_ioctl(u->fd, DRM_IOCTL_SILIFLOW_BO_INFO, &info) ? 0 : info.placement;
}

/* Three files with twice what HBM holds write and read in turn. */
TEST_F_TIMEOUT(evict, contents, 120)
{
	unsigned int per_file = 2 * self->hbm / BUF_BYTES / FILES + 1, evicted = 0;
	uint32_t seed = 1;

	ASSERT_LE(per_file, MAX_BUFS);
	for (unsigned int i = 0; i < per_file; i++) {
		for (int f = 0; f < FILES; f++) {
			ASSERT_EQ(0, add(&self->u[f], SILIFLOW_BO_HBM));
			ASSERT_EQ(0, fill(&self->u[f], i, f << 16 | i));
		}
	}
	for (int round = 0; round < 2; round++) {
		for (int f = 0; f < FILES; f++) {
			for (unsigned int i = 0; i < per_file; i++) {
				EXPECT_EQ(0, check(&self->u[f], i))
					TH_LOG("round %d, file %d, buffer %u", round, f, i);
				/* One of somebody else: this file's are all back. */
				evicted += placement(&self->u[(f + 1) % FILES], i) ==
					   SILIFLOW_BO_SYSTEM;
			}
			for (int k = 0; k < 3; k++) {
				seed = seed * 1664525 + 1013904223;
				ASSERT_EQ(0, fill(&self->u[f], (seed >> 16) % per_file, seed));
			}
		}
	}
	EXPECT_GT(evicted, 0);
}

/* A VM that HBM cannot hold works all the same, part of it from system memory. */
TEST_F(evict, larger_than_hbm)
{
	struct user *u = &self->u[0];
	unsigned int n = self->hbm / BUF_BYTES + 4, system = 0;

	ASSERT_LE(n, MAX_BUFS);
	for (unsigned int i = 0; i < n; i++)
		ASSERT_EQ(0, add(u, i % 2 ? SILIFLOW_BO_HBM : SILIFLOW_BO_HBM | SILIFLOW_BO_SYSTEM));
	for (unsigned int i = 0; i < n; i++)
		ASSERT_EQ(0, fill(u, i, 0x1000 + i));
	for (unsigned int i = 0; i < n; i++) {
		EXPECT_EQ(0, check(u, i));
		system += placement(u, i) == SILIFLOW_BO_SYSTEM;
	}
	EXPECT_GE(system, 4);
}

/* Fill HBM with buffers of another file, until buffer 0 of u has left it. */
static int push_out(struct user *u, struct user *hog)
{
	int ret = 0;

	while (!ret && placement(u, 0) == SILIFLOW_BO_HBM)
		ret = hog->num < MAX_BUFS ? add(hog, SILIFLOW_BO_HBM) : -ENOSPC;
	return ret;
}

static void drop_all(struct user *u)
{
	while (u->num) {
		util_unbind(u->fd, u->c.vm, addr_of(--u->num), BUF_BYTES);
		util_bo_close(u->fd, u->bo[u->num]);
	}
}

/* A CPU mapping shows the buffer wherever it is, and what is written there moves with it. */
TEST_F(evict, mapping_survives)
{
	struct user *u = &self->u[0], *hog = &self->u[1];
	uint32_t *map;

	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	map = util_map(u->fd, u->bo[0], BUF_BYTES);
	ASSERT_NE(MAP_FAILED, map);
	for (int round = 1; round <= 3; round++) {
		ASSERT_EQ(0, fill(u, 0, round));
		EXPECT_EQ(SILIFLOW_BO_HBM, placement(u, 0));
		EXPECT_EQ(round, map[BUF_WORDS - 1]);
		map[5] = 0x500 + round;
		ASSERT_EQ(0, push_out(u, hog));
		EXPECT_EQ(0x500 + round, map[5]);
		EXPECT_EQ(round, map[BUF_WORDS - 1]);
		map[6] = 0x600 + round;
		drop_all(hog);
		/* Back into HBM with the next job. */
		util_cmd_fetch(&u->c, 0, addr_of(0), 16);
		ASSERT_EQ(0, util_run(&u->c, 1));
		EXPECT_EQ(SILIFLOW_BO_HBM, placement(u, 0));
		EXPECT_EQ(0x500 + round, u->c.data[5]);
		EXPECT_EQ(0x600 + round, u->c.data[6]);
		EXPECT_EQ(0x600 + round, map[6]);
	}
	munmap(map, BUF_BYTES);
}

static void *release(void *arg)
{
	usleep(300000);
	*(volatile uint32_t *)arg = 1;
	return NULL;
}

/* A buffer stays where it is while a job that may use it runs. */
TEST_F(evict, waits_for_jobs)
{
	struct user *u = &self->u[0], *hog = &self->u[1];
	pthread_t thread;

	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	ASSERT_EQ(0, fill(u, 0, 1));
	/* The job waits for data[0], then writes. */
	u->c.data[0] = u->c.data[1] = 0;
	util_cmd_wait(&u->c, 0, 0, 1);
	u->c.cmds[1] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr_of(0), .bytes = BUF_BYTES, .pattern = 2,
		.pattern_bytes = 4, .rows = 1 } };
	ASSERT_EQ(0, util_submit(u->fd, u->c.queue, UTIL_CMDS, 2, 0, u->c.syncobj));
	ASSERT_EQ(0, pthread_create(&thread, NULL, release, u->c.data));
	EXPECT_EQ(0, push_out(u, hog));
	/* It has left, so the job has ended; and ended well. */
	EXPECT_EQ(0, util_syncobj_error(u->fd, u->c.syncobj));
	pthread_join(thread, NULL);
	u->value[0] = 2;
	EXPECT_EQ(0, check(u, 0));
}

/* One buffer in two VMs: each finds it again. */
TEST_F(evict, two_address_spaces)
{
	struct user *u = &self->u[0], *hog = &self->u[1];
	struct util_ctx second;

	ASSERT_EQ(0, util_setup(&second, u->fd));
	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	ASSERT_EQ(0, util_bind(u->fd, second.vm, u->bo[0], BIG, BUF_BYTES, 0));
	ASSERT_EQ(0, fill(u, 0, 0x77));
	ASSERT_EQ(0, push_out(u, hog));
	util_cmd_fetch(&second, 0, BIG + BUF_BYTES - 64, 16);
	EXPECT_EQ(0, util_run(&second, 1));
	EXPECT_EQ(0x77, second.data[15]);
	EXPECT_EQ(0, check(u, 0));
	util_teardown(&second);
	EXPECT_EQ(0, check(u, 0));
}

/* Parts of an evicted buffer are unmapped, mapped elsewhere, read-only: all stays as bound. */
TEST_F(evict, bind_while_evicted)
{
	struct user *u = &self->u[0], *hog = &self->u[1];
	const uint64_t page = 4096, at = addr_of(0) + 5 * page;

	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	ASSERT_EQ(0, fill(u, 0, 0x123));
	ASSERT_EQ(0, push_out(u, hog));
	ASSERT_EQ(0, util_unbind(u->fd, u->c.vm, at, page));
	ASSERT_EQ(0, util_bind(u->fd, u->c.vm, u->bo[0], addr_of(50), page, SILIFLOW_BIND_READONLY));
	util_cmd_fetch(&u->c, 0, addr_of(50), 1024);
	ASSERT_EQ(0, util_run(&u->c, 1));
	EXPECT_EQ(0x123, u->c.data[1023]);
	EXPECT_EQ(0, check(u, 0));
	/* The hole is one. */
	util_cmd_fetch(&u->c, 0, at, 16);
	EXPECT_EQ(-EIO, util_run(&u->c, 1));
}

/* Moving back does not make a read-only mapping writable. */
TEST_F(evict, flags_stay)
{
	struct user *u = &self->u[0], *hog = &self->u[1];

	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	ASSERT_EQ(0, util_bind(u->fd, u->c.vm, u->bo[0], addr_of(0), BUF_BYTES,
			       SILIFLOW_BIND_READONLY));
	ASSERT_EQ(0, push_out(u, hog));
	EXPECT_EQ(0, check(u, 0));
	EXPECT_EQ(-EIO, fill(u, 0, 1));
}

/* Nothing of an earlier owner is left in HBM, nor in system memory. */
TEST_F(evict, leftovers)
{
	unsigned int n = self->hbm / BUF_BYTES + 2;

	ASSERT_LE(n, MAX_BUFS);
	for (int f = 0; f < 2; f++) {
		struct user *u = &self->u[f];

		for (unsigned int i = 0; i < n; i++) {
			ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
			u->value[i] = 0;
			EXPECT_EQ(0, check(u, i));
			ASSERT_EQ(0, fill(u, i, 0x5ec2e7));
		}
		drop_all(u);
	}
}

/*
 * The CPU finds what the device wrote in a buffer that need not be visible to
 * it, and the device what the CPU wrote.
 */
TEST_F(evict, invisible)
{
	struct user *u = &self->u[0];
	unsigned int n = self->hbm / BUF_BYTES;
	struct drm_siliflow_query_memory m;

	ASSERT_EQ(0, util_query(u->fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m)));
	EXPECT_GT(m.hbm_visible, 0);
	EXPECT_GE(m.hbm_size, m.hbm_visible);
	for (unsigned int i = 0; i < n; i++) {
		ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
		ASSERT_EQ(0, fill(u, i, 0x100 + i));
	}
	for (unsigned int i = 0; i < n; i++) {
		uint32_t *map = util_map(u->fd, u->bo[i], BUF_BYTES);

		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(0x100 + i, map[0]);
		EXPECT_EQ(0x100 + i, map[BUF_WORDS / 2 + 1]);
		EXPECT_EQ(0x100 + i, map[BUF_WORDS - 1]);
		map[BUF_WORDS - 1] = 0x200 + i;
		munmap(map, BUF_BYTES);
	}
	for (unsigned int i = 0; i < n; i++) {
		util_cmd_fetch(&u->c, 0, addr_of(i) + BUF_BYTES - 64, 16);
		ASSERT_EQ(0, util_run(&u->c, 1));
		EXPECT_EQ(0x100 + i, u->c.data[14]);
		EXPECT_EQ(0x200 + i, u->c.data[15]);
	}
}

/* What the CPU is to map is visible from the start, or refused. */
TEST_F(evict, cpu_visible)
{
	struct user *u = &self->u[0];
	struct drm_siliflow_query_memory m;
	uint32_t bo;

	ASSERT_EQ(0, util_query(u->fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m)));
	if (m.hbm_visible == m.hbm_size)
		SKIP(return, "all of HBM is visible");
	EXPECT_EQ(-E2BIG, util_bo(u->fd, m.hbm_visible + 4096,
				  SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE, &bo));
	ASSERT_EQ(0, util_bo(u->fd, m.hbm_visible + 4096, SILIFLOW_BO_HBM, &bo));
	EXPECT_EQ(0, util_bo_close(u->fd, bo));
}

/* A job that has used a mapping finds the next one at the same address. */
TEST_F(evict, no_stale_translation)
{
	struct user *u = &self->u[0];

	ASSERT_EQ(0, add(u, SILIFLOW_BO_HBM));
	ASSERT_EQ(0, add(u, SILIFLOW_BO_SYSTEM));
	ASSERT_EQ(0, fill(u, 0, 0xaaaa));
	ASSERT_EQ(0, fill(u, 1, 0xbbbb));
	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(0, util_bind(u->fd, u->c.vm, u->bo[round % 2], addr_of(5), BUF_BYTES,
				       0));
		util_cmd_fetch(&u->c, 0, addr_of(5) + 4096, 16);
		ASSERT_EQ(0, util_run(&u->c, 1));
		ASSERT_EQ(round % 2 ? 0xbbbb : 0xaaaa, u->c.data[0]);
	}
}

TEST_HARNESS_MAIN
