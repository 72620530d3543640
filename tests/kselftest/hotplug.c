// SPDX-License-Identifier: GPL-2.0
/*
 * A card goes and comes back while processes do all kinds of things with it. They
 * get -ENODEV and end, another card does not notice, and nothing is left behind.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define ROUNDS	3
#define ADDR	(1ull << 40)
#define BYTES	(4u << 20)

/* Errors of work that a card does not end. */
static bool ends(int error)
{
	return error == -ENODEV || error == -ECANCELED || error == -EIO;
}

/* Each returns 0 or an error that is not of a card that goes. */
static int submits(struct util_ctx *c)
{
	int ret = 0;

	for (unsigned int i = 0; i < 32; i++)
		util_cmd_fill(c, i, i, 64);
	while (!ret)
		ret = util_run(c, 32);
	return ret;
}

static int binds(struct util_ctx *c)
{
	struct drm_siliflow_bind_op op = {
		.op = DRM_SILIFLOW_BIND_MAP, .addr = ADDR, .range = BYTES };
	struct drm_siliflow_sync in = { .handle = c->syncobj }, out = in;
	struct drm_siliflow_vm_bind b = {
		.vm = c->vm, .flags = SILIFLOW_VM_BIND_ASYNC, .num_ops = 1,
		.op_stride = sizeof(op), .ops = (uintptr_t)&op, .num_in_syncs = 1,
		.num_out_syncs = 1, .in_syncs = (uintptr_t)&in, .out_syncs = (uintptr_t)&out };
	int ret = util_bo(c->fd, BYTES, SILIFLOW_BO_HBM, &op.handle);

	if (!ret)
		ret = util_run(c, 1);
	for (unsigned int i = 1; !ret; i++) {
		ret = util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);
		if (!ret)
			ret = util_submit(c->fd, c->queue, UTIL_CMDS, 1, c->syncobj, c->syncobj);
		if (!ret && i % 64 == 0)
			ret = util_syncobj_wait(c->fd, c->syncobj, 60000);
	}
	return ret;
}

static int allocates(struct util_ctx *c)
{
	uint32_t bo;
	int ret = 0;

	while (!ret) {
		char *map;

		ret = util_bo(c->fd, 8 * BYTES, SILIFLOW_BO_HBM, &bo);
		if (ret == -ENOMEM) {
			ret = 0;
			continue;
		}
		if (!ret)
			ret = util_bind(c->fd, c->vm, bo, ADDR, 8 * BYTES, 0);
		if (ret)
			break;
		map = util_map(c->fd, bo, 8 * BYTES);
		if (map != MAP_FAILED) {
			for (unsigned int i = 0; i < 8 * BYTES; i += 1 << 20)
				map[i] = 1;
			munmap(map, 8 * BYTES);
		}
		util_bo_close(c->fd, bo);
	}
	return ret;
}

static int own_memory(struct util_ctx *c)
{
	void *mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct drm_siliflow_bind_op op = {
		.op = DRM_SILIFLOW_BIND_MAP_USER, .bo_offset = (uintptr_t)mem, .addr = ADDR,
		.range = BYTES };
	struct drm_siliflow_vm_bind b = {
		.vm = c->vm, .num_ops = 1, .op_stride = sizeof(op), .ops = (uintptr_t)&op };
	int ret = util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);

	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = ADDR, .bytes = BYTES, .pattern = 1,
		.pattern_bytes = 4, .rows = 1 } };
	while (!ret) {
		ret = util_submit(c->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj);
		madvise(mem, BYTES, MADV_DONTNEED);
	}
	return ret;
}

/* Nothing of it can be used, all of it can be closed. */
static int gone(struct util_ctx *c)
{
	struct drm_siliflow_query_memory m;
	uint32_t handle;

	if (util_query(c->fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m)) != -ENODEV ||
	    util_bo(c->fd, 4096, SILIFLOW_BO_HBM, &handle) != -ENODEV ||
	    util_vm(c->fd, &handle) != -ENODEV ||
	    util_submit(c->fd, c->queue, UTIL_CMDS, 1, 0, 0) != -ENODEV ||
	    util_bind(c->fd, c->vm, c->data_bo, ADDR, 4096, 0) != -ENODEV)
		return 1;
	c->data[0] = 1;
	close(c->fd);
	return 0;
}

typedef int (*work)(struct util_ctx *c);

static pid_t start(int fd, work w, int ready)
{
	pid_t pid = fork();
	struct util_ctx c;
	int ret;

	if (pid)
		return pid;
	ret = util_setup(&c, fd);
	if (ret || write(ready, "", 1) != 1)
		_exit(10);
	ret = w(&c);
	if (!ends(ret)) {
		printf("# ended with %d\n", ret);
		fflush(stdout);
		_exit(11);
	}
	_exit(gone(&c) ? 12 : 0);
}

FIXTURE(hotplug) {
	struct util_ctx other;
	int refs;
};

FIXTURE_VARIANT(hotplug) {
	bool remove;
};

FIXTURE_VARIANT_ADD(hotplug, unbind) {
	.remove = false,
};

FIXTURE_VARIANT_ADD(hotplug, remove) {
	.remove = true,
};

/* The card at a PCI address, open; < 0 = there is none. */
static int open_at(const char *pci)
{
	for (int i = 0; i < 8; i++) {
		char path[32], at[UTIL_PCI];
		int fd;

		snprintf(path, sizeof(path), "/dev/sili%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !util_pci(fd, at) && !strcmp(at, pci))
			return fd;
		close(fd);
	}
	return -1;
}

static int take_away(const char *pci, bool whole)
{
	char path[PATH_MAX];

	if (!whole)
		return util_write_file(UTIL_DRIVER "/unbind", pci);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", pci);
	return util_write_file(path, "1");
}

static int bring_back(const char *pci, bool whole)
{
	return whole ? util_write_file("/sys/bus/pci/rescan", "1") :
		       util_write_file(UTIL_DRIVER "/bind", pci);
}

FIXTURE_SETUP(hotplug)
{
	self->refs = util_module_refs();
}

FIXTURE_TEARDOWN(hotplug)
{
	EXPECT_EQ(self->refs, util_module_refs());
	EXPECT_EQ(0, util_usable());
}

TEST_F_TIMEOUT(hotplug, under_load, 240)
{
	static const work works[] = { submits, binds, allocates, own_memory, submits, own_memory };
	struct drm_siliflow_query_memory before, after;
	int fd = util_open_other(), stay = util_open();
	char pci[UTIL_PCI], byte;
	int ready[2];

	/* One card has to stay: with one alone there is none to compare with. */
	if (fd < 0) {
		fd = stay;
		stay = -1;
	}
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_pci(fd, pci));
	ASSERT_EQ(0, util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &before, sizeof(before)));
	close(fd);
	if (stay >= 0)
		ASSERT_EQ(0, util_setup(&self->other, stay));
	ASSERT_EQ(0, pipe(ready));
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid[ARRAY_SIZE_T(works)];

		for (unsigned int i = 0; i < ARRAY_SIZE_T(works); i++) {
			fd = open_at(pci);
			ASSERT_GE(fd, 0);
			pid[i] = start(fd, works[i], ready[1]);
			close(fd);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE_T(works); i++)
			ASSERT_EQ(1, read(ready[0], &byte, 1));
		usleep(100000);
		ASSERT_EQ(0, take_away(pci, variant->remove));
		for (unsigned int i = 0; i < ARRAY_SIZE_T(works); i++) {
			int status;

			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
			EXPECT_EQ(0, status)
				TH_LOG("process %u, round %d", i, round);
		}
		if (stay >= 0) {
			util_cmd_fill(&self->other, 0, round + 1, 16);
			EXPECT_EQ(0, util_run(&self->other, 1));
			EXPECT_EQ(round + 1, self->other.data[15]);
		}
		ASSERT_EQ(0, bring_back(pci, variant->remove));
		/* udev makes the node. */
		fd = -1;
		for (int i = 0; i < 100 && fd < 0; i++) {
			usleep(100000);
			fd = open_at(pci);
		}
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &after, sizeof(after)));
		EXPECT_EQ(before.hbm_used, after.hbm_used);
		EXPECT_EQ(before.system_used, after.system_used);
		close(fd);
	}
	if (stay >= 0) {
		util_teardown(&self->other);
		close(stay);
	}
	close(ready[0]);
	close(ready[1]);
}

TEST_HARNESS_MAIN
