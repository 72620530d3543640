// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers shared as dma-bufs: with another file, a second card, udmabuf and a
 * dma-heap; contents, fences, the order in which users go, and a card that goes.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <poll.h>

#define HUGE (2ull << 20)
#define SHARED (1ull << 40)
#define GATE_WORD 100

static int to_fd(int fd, uint32_t handle, uint32_t flags, int *dmabuf)
{
	struct drm_prime_handle p = { .handle = handle, .flags = flags, .fd = -1 };
	int ret = util_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p);

	*dmabuf = p.fd;
	return ret;
}

static uint32_t placement(int fd, uint32_t handle)
{
	struct drm_siliflow_bo_info info = { .handle = handle };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_INFO, &info) ? 0 : info.placement;
}

static uint64_t system_used(int fd)
{
	struct drm_siliflow_query_memory m = {};

	util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m));
	return m.system_used;
}

static int fill(struct util_ctx *c, uint64_t addr, uint32_t value, uint64_t bytes)
{
	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = bytes, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
	return util_run(c, 1);
}

/* What the device reads at a DVA. */
static int peek(struct util_ctx *c, uint64_t addr, uint32_t *value)
{
	int ret;

	util_cmd_fetch(c, 0, addr, 1);
	ret = util_run(c, 1);
	*value = c->data[0];
	return ret;
}

#define EXPECT_WORD(value, ctx, addr)              \
	do {                                       \
		uint32_t word_;                    \
		EXPECT_EQ(0, peek(ctx, addr, &word_)); \
		EXPECT_EQ(value, word_);           \
	} while (0)

/* ---- one card ---- */

FIXTURE(prime) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(prime)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(prime)
{
	util_teardown(&self->c);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/* Another process of the same card has the same memory, in HBM. */
TEST_F(prime, another_file)
{
	uint32_t bo, again, theirs;
	struct util_ctx other;
	int fd, dmabuf;

	ASSERT_EQ(0, util_bo(self->fd, HUGE, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_bind(self->fd, self->c.vm, bo, SHARED, HUGE, 0));
	ASSERT_EQ(0, fill(&self->c, SHARED, 0x1234, HUGE));
	dmabuf = util_export(self->fd, bo);
	ASSERT_GE(dmabuf, 0);
	EXPECT_EQ(HUGE, lseek(dmabuf, 0, SEEK_END));
	ASSERT_EQ(0, util_import(self->fd, dmabuf, &again));
	EXPECT_EQ(bo, again);
	fd = util_open();
	ASSERT_EQ(0, util_setup(&other, fd));
	ASSERT_EQ(0, util_import(fd, dmabuf, &theirs));
	close(dmabuf);
	ASSERT_EQ(0, util_bind(fd, other.vm, theirs, SHARED, HUGE, 0));
	EXPECT_EQ(SILIFLOW_BO_HBM, placement(fd, theirs));
	EXPECT_WORD(0x1234, &other, SHARED + HUGE - 4);
	ASSERT_EQ(0, util_unbind(self->fd, self->c.vm, SHARED, HUGE));
	ASSERT_EQ(0, util_bo_close(self->fd, bo));
	ASSERT_EQ(0, fill(&other, SHARED, 0x4321, 4));
	EXPECT_WORD(0x4321, &other, SHARED);
	util_teardown(&other);
	close(fd);
}

/* A process maps the dma-buf itself, and it stays right when the buffer moves. */
TEST_F(prime, mmap_of_the_dma_buf)
{
	int dmabuf, other = util_open_other();
	uint32_t bo, handle, *map;

	ASSERT_EQ(0, util_bo(self->fd, HUGE, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE, &bo));
	ASSERT_EQ(0, util_bind(self->fd, self->c.vm, bo, SHARED, HUGE, 0));
	dmabuf = util_export(self->fd, bo);
	ASSERT_GE(dmabuf, 0);
	map = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[5] = 55;
	EXPECT_WORD(55, &self->c, SHARED + 20);
	if (other >= 0) {
		ASSERT_EQ(0, util_import(other, dmabuf, &handle));
		EXPECT_EQ(SILIFLOW_BO_SYSTEM, placement(self->fd, bo));
		map[6] = 66;
		EXPECT_WORD(55, &self->c, SHARED + 20);
		EXPECT_WORD(66, &self->c, SHARED + 24);
		close(other);
	}
	close(dmabuf);
	EXPECT_EQ(55, map[5]);
	munmap(map, HUGE);
}

static int udmabuf(size_t size, uint32_t **map)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int dev, ret = -1;

	create.memfd = memfd_create("prime", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (ftruncate(create.memfd, size) || fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	*map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, create.memfd, 0);
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev >= 0)
		ret = ioctl(dev, UDMABUF_CREATE, &create);
	close(dev);
	close(create.memfd);
	return ret;
}

/* Pages of a memfd, all of them, in both directions. */
TEST_F(prime, udmabuf)
{
	const size_t size = HUGE + 12288;
	uint32_t handle, *map;
	int dmabuf = udmabuf(size, &map);

	if (dmabuf < 0)
		SKIP(return, "no udmabuf");
	for (size_t i = 0; i < size / 4; i += 1024)
		map[i] = i;
	ASSERT_EQ(0, util_import(self->fd, dmabuf, &handle));
	close(dmabuf);
	EXPECT_EQ(SILIFLOW_BO_SYSTEM, placement(self->fd, handle));
	ASSERT_EQ(0, util_bind(self->fd, self->c.vm, handle, SHARED, size, 0));
	for (size_t i = 0; i < size / 4; i += 16 * 1024)
		EXPECT_WORD(i, &self->c, SHARED + 4 * i);
	ASSERT_EQ(0, fill(&self->c, SHARED, 0x77, size));
	for (size_t i = 0; i < size / 4; i += 64)
		ASSERT_EQ(0x77, map[i]);
	EXPECT_EQ(-EIO, fill(&self->c, SHARED + size, 1, 4));
	munmap(map, size);
}

TEST_F(prime, dma_heap)
{
	struct dma_heap_allocation_data a = { .len = HUGE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	uint32_t handle, *map, *node_map;

	if (heap < 0)
		SKIP(return, "no dma-heap");
	ASSERT_EQ(0, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &a));
	close(heap);
	map = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	map[7] = 70;
	ASSERT_EQ(0, util_import(self->fd, a.fd, &handle));
	close(a.fd);
	ASSERT_EQ(0, util_bind(self->fd, self->c.vm, handle, SHARED, HUGE, 0));
	EXPECT_WORD(70, &self->c, SHARED + 28);
	/* Through our own node, too: it is the owner's mapping. */
	node_map = util_map(self->fd, handle, HUGE);
	ASSERT_NE(MAP_FAILED, node_map);
	ASSERT_EQ(0, fill(&self->c, SHARED, 71, HUGE));
	EXPECT_EQ(71, map[HUGE / 4 - 1]);
	EXPECT_EQ(71, node_map[HUGE / 4 - 1]);
	munmap(node_map, HUGE);
	munmap(map, HUGE);
}

/* 0: an unfinished writer; 1: none */
static int idle(int dmabuf)
{
	struct pollfd p = { .fd = dmabuf, .events = POLLOUT };

	return poll(&p, 1, 0);
}

static int sync_file_status(int dmabuf)
{
	struct dma_buf_export_sync_file e = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	struct sync_file_info info = {};
	int ret = util_ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &e);

	if (ret)
		return ret;
	ret = util_ioctl(e.fd, SYNC_IOC_FILE_INFO, &info);
	close(e.fd);
	return ret ? ret : info.status;
}

/* Others see what a card does with a buffer: begun before it was shared, and after. */
TEST_F(prime, fences)
{
	struct util_ctx *c = &self->c;
	struct pollfd p = { .events = POLLOUT };
	uint32_t bo;
	int dmabuf = -1;

	ASSERT_EQ(0, util_bo(self->fd, UTIL_BYTES, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_bind(self->fd, c->vm, bo, SHARED, UTIL_BYTES, 0));
	for (int i = 0; i < 2; i++) {
		c->data[GATE_WORD] = 0;
		util_cmd_wait(c, 0, GATE_WORD, 1);
		if (i)
			EXPECT_EQ(1, idle(dmabuf));
		ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
		if (!i)
			dmabuf = util_export(self->fd, bo);
		ASSERT_GE(dmabuf, 0);
		EXPECT_EQ(0, idle(dmabuf));
		EXPECT_EQ(0, sync_file_status(dmabuf));
		EXPECT_EQ(-ETIME, util_bo_wait(self->fd, bo, 0));
		*(volatile uint32_t *)&c->data[GATE_WORD] = 1;
		p.fd = dmabuf;
		EXPECT_EQ(1, poll(&p, 1, 60000));
		EXPECT_EQ(1, sync_file_status(dmabuf));
		EXPECT_EQ(0, util_bo_wait(self->fd, bo, 0));
	}
	/* Unmapped, it is no business of the VM's any more. */
	ASSERT_EQ(0, util_unbind(self->fd, c->vm, SHARED, UTIL_BYTES));
	c->data[GATE_WORD] = 0;
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	EXPECT_EQ(1, idle(dmabuf));
	*(volatile uint32_t *)&c->data[GATE_WORD] = 1;
	EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	close(dmabuf);
}

/* Exported while two queues use it: idle when both have ended. */
TEST_F(prime, fences_of_two_queues)
{
	struct util_ctx *c = &self->c;
	uint32_t bo, other;
	int dmabuf;

	ASSERT_EQ(0, util_queue(self->fd, c->vm, &other));
	ASSERT_EQ(0, util_bo(self->fd, UTIL_BYTES, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_bind(self->fd, c->vm, bo, SHARED, UTIL_BYTES, 0));
	for (int i = 0; i < 2; i++)
		util_cmd_wait(c, i, GATE_WORD + 2 * i, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, other, UTIL_CMDS + X1_CMD_BYTES, 1, 0, 0));
	dmabuf = util_export(self->fd, bo);
	ASSERT_GE(dmabuf, 0);
	*(volatile uint32_t *)&c->data[GATE_WORD] = 1;
	EXPECT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 60000));
	EXPECT_EQ(0, idle(dmabuf));
	*(volatile uint32_t *)&c->data[GATE_WORD + 2] = 1;
	EXPECT_EQ(0, util_bo_wait(self->fd, bo, util_deadline(60000)));
	EXPECT_EQ(1, idle(dmabuf));
	close(dmabuf);
	EXPECT_EQ(0, util_queue_destroy(self->fd, other));
}

TEST_F(prime, bad_values)
{
	uint32_t handle;
	int dmabuf, pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-ENOENT, to_fd(self->fd, 0, DRM_CLOEXEC, &dmabuf));
	EXPECT_EQ(-ENOENT, to_fd(self->fd, ~0u, DRM_CLOEXEC, &dmabuf));
	EXPECT_EQ(-EINVAL, to_fd(self->fd, self->c.data_bo, ~0u, &dmabuf));
	EXPECT_EQ(-EBADF, util_import(self->fd, -1, &handle));
	EXPECT_EQ(-EINVAL, util_import(self->fd, pipes[0], &handle));
	EXPECT_EQ(-EINVAL, util_import(self->fd, self->fd, &handle));
	close(pipes[0]);
	close(pipes[1]);
	/* Read-only for who maps it. */
	ASSERT_EQ(0, to_fd(self->fd, self->c.data_bo, DRM_CLOEXEC, &dmabuf));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, UTIL_BYTES, PROT_WRITE, MAP_SHARED, dmabuf, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * UTIL_BYTES, PROT_READ, MAP_SHARED, dmabuf, 0));
	close(dmabuf);
}

/* ---- two cards ---- */

FIXTURE(cards) {
	struct util_ctx a, b;
	uint32_t bo, theirs;
	int dmabuf;
	bool there;
};

FIXTURE_SETUP(cards)
{
	int a = util_open(), b = util_open_other();

	ASSERT_GE(a, 0);
	self->there = b >= 0;
	if (!self->there)
		SKIP(return, "needs a second card");
	ASSERT_EQ(0, util_setup(&self->a, a));
	ASSERT_EQ(0, util_setup(&self->b, b));
	ASSERT_EQ(0, util_bo(a, 2 * HUGE, SILIFLOW_BO_HBM, &self->bo));
	ASSERT_EQ(0, util_bind(a, self->a.vm, self->bo, SHARED, 2 * HUGE, 0));
	ASSERT_EQ(0, fill(&self->a, SHARED, 0xa, 2 * HUGE));
	self->dmabuf = util_export(a, self->bo);
	ASSERT_GE(self->dmabuf, 0);
	ASSERT_EQ(0, util_import(b, self->dmabuf, &self->theirs));
	ASSERT_EQ(0, util_bind(b, self->b.vm, self->theirs, SHARED, 2 * HUGE, 0));
}

FIXTURE_TEARDOWN(cards)
{
	int ret = -1;

	if (!self->there)
		return;
	close(self->dmabuf);
	close(self->a.fd);
	close(self->b.fd);
	for (int i = 0; i < 100 && ret; i++) {
		ret = util_usable();
		if (ret)
			usleep(100000);
	}
	EXPECT_EQ(0, ret);
}

/* Each sees what the other writes; in HBM again once it is alone. */
TEST_F(cards, contents)
{
	EXPECT_EQ(SILIFLOW_BO_SYSTEM, placement(self->a.fd, self->bo));
	EXPECT_WORD(0xa, &self->b, SHARED);
	EXPECT_WORD(0xa, &self->b, SHARED + 2 * HUGE - 4);
	ASSERT_EQ(0, fill(&self->b, SHARED + HUGE, 0xb, HUGE));
	EXPECT_WORD(0xa, &self->a, SHARED + HUGE - 4);
	EXPECT_WORD(0xb, &self->a, SHARED + HUGE);
	EXPECT_WORD(0xb, &self->a, SHARED + 2 * HUGE - 4);
	EXPECT_EQ(SILIFLOW_BO_SYSTEM, placement(self->a.fd, self->bo));
	ASSERT_EQ(0, util_unbind(self->b.fd, self->b.vm, SHARED, 2 * HUGE));
	ASSERT_EQ(0, util_bo_close(self->b.fd, self->theirs));
	/* Its last user is let go of in a work. */
	for (int i = 0; i < 100 && placement(self->a.fd, self->bo) != SILIFLOW_BO_HBM; i++) {
		usleep(10000);
		ASSERT_EQ(0, util_bind(self->a.fd, self->a.vm, self->bo, 2 * SHARED, 4096, 0));
	}
	EXPECT_EQ(SILIFLOW_BO_HBM, placement(self->a.fd, self->bo));
	EXPECT_WORD(0xb, &self->a, SHARED + HUGE);
}

/* One waits for what the other does with it. */
TEST_F(cards, waits_for_each_other)
{
	self->b.data[GATE_WORD] = 0;
	util_cmd_wait(&self->b, 0, GATE_WORD, 1);
	ASSERT_EQ(0, util_submit(self->b.fd, self->b.queue, UTIL_CMDS, 1, 0, self->b.syncobj));
	EXPECT_EQ(-ETIME, util_bo_wait(self->a.fd, self->bo, 0));
	EXPECT_EQ(0, idle(self->dmabuf));
	*(volatile uint32_t *)&self->b.data[GATE_WORD] = 1;
	EXPECT_EQ(0, util_bo_wait(self->a.fd, self->bo, util_deadline(60000)));
}

/* The users go in every order; the last one still has the contents, and then nothing is left. */
TEST_F_TIMEOUT(cards, closing_order, 240)
{
	uint64_t before = system_used(self->a.fd) - 2 * HUGE;
	uint64_t theirs = system_used(self->b.fd) - 2 * HUGE;

	for (unsigned int order = 0; order < 6; order++) {
		unsigned int first = order % 3, second = (first + 1 + order / 3) % 3;
		unsigned int what[3] = { first, second, 3 - first - second };

		for (unsigned int i = 0; i < 3; i++) {
			if (what[i] == 0) {
				EXPECT_EQ(0, util_unbind(self->a.fd, self->a.vm, SHARED, 2 * HUGE));
				EXPECT_EQ(0, util_bo_close(self->a.fd, self->bo));
			} else if (what[i] == 1) {
				close(self->dmabuf);
			} else {
				EXPECT_WORD(0xa, &self->b, SHARED + HUGE);
				EXPECT_EQ(0, util_unbind(self->b.fd, self->b.vm, SHARED, 2 * HUGE));
				EXPECT_EQ(0, util_bo_close(self->b.fd, self->theirs));
			}
		}
		for (int i = 0; i < 100 && (system_used(self->a.fd) != before ||
					    system_used(self->b.fd) != theirs); i++)
			usleep(10000);
		EXPECT_EQ(before, system_used(self->a.fd));
		EXPECT_EQ(theirs, system_used(self->b.fd));
		ASSERT_EQ(0, util_bo(self->a.fd, 2 * HUGE, SILIFLOW_BO_HBM, &self->bo));
		ASSERT_EQ(0, util_bind(self->a.fd, self->a.vm, self->bo, SHARED, 2 * HUGE, 0));
		ASSERT_EQ(0, fill(&self->a, SHARED, 0xa, 2 * HUGE));
		self->dmabuf = util_export(self->a.fd, self->bo);
		ASSERT_EQ(0, util_import(self->b.fd, self->dmabuf, &self->theirs));
		ASSERT_EQ(0, util_bind(self->b.fd, self->b.vm, self->theirs, SHARED, 2 * HUGE, 0));
	}
}

/* The owner's card goes: who has imported the buffer has it, and its contents, until he goes. */
TEST_F_TIMEOUT(cards, exporter_goes, 240)
{
	char pci[UTIL_PCI];

	ASSERT_EQ(0, util_pci(self->a.fd, pci));
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/unbind", pci));
	EXPECT_WORD(0xa, &self->b, SHARED);
	ASSERT_EQ(0, fill(&self->b, SHARED, 0xb, HUGE));
	close(self->a.fd);
	EXPECT_WORD(0xb, &self->b, SHARED + HUGE - 4);
	EXPECT_WORD(0xa, &self->b, SHARED + HUGE);
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/bind", pci));
	EXPECT_WORD(0xb, &self->b, SHARED);
	self->a.fd = -1;
}

/* The importer's card goes: the owner has his buffer alone again. */
TEST_F_TIMEOUT(cards, importer_goes, 240)
{
	char pci[UTIL_PCI];

	ASSERT_EQ(0, util_pci(self->b.fd, pci));
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/unbind", pci));
	EXPECT_WORD(0xa, &self->a, SHARED);
	close(self->b.fd);
	ASSERT_EQ(0, fill(&self->a, SHARED, 0xc, 2 * HUGE));
	EXPECT_WORD(0xc, &self->a, SHARED + 2 * HUGE - 4);
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/bind", pci));
	self->b.fd = -1;
}

TEST_HARNESS_MAIN
