// SPDX-License-Identifier: GPL-2.0
/* The driver is unbound, or the device removed, while a file has work in flight. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>

FIXTURE(unplug) {
	struct util_ctx c;
	char pci[32];
	int fd;
};

FIXTURE_SETUP(unplug)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", path));
	snprintf(self->pci, sizeof(self->pci), "%.31s", basename(path));
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(unplug)
{
	EXPECT_EQ(0, util_usable_again());
}

FIXTURE_VARIANT(unplug) {
	bool remove;
};

FIXTURE_VARIANT_ADD(unplug, unbind) {
	.remove = false,
};

FIXTURE_VARIANT_ADD(unplug, remove) {
	.remove = true,
};

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
	return whole ? util_write_file("/sys/bus/pci/rescan", "1") : util_write_file(UTIL_DRIVER "/bind", pci);
}

TEST_F(unplug, with_work_in_flight)
{
	struct drm_siliflow_query_memory m;
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_state s;
	uint32_t handle;

	util_cmd_wait(c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, c->syncobj));
	ASSERT_EQ(0, take_away(self->pci, variant->remove));

	EXPECT_EQ(-ENODEV, util_query(self->fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m)));
	EXPECT_EQ(-ENODEV, util_bo(self->fd, 4096, SILIFLOW_BO_HBM, &handle));
	EXPECT_EQ(-ENODEV, util_vm(self->fd, &handle));
	EXPECT_EQ(-ENODEV, util_queue(self->fd, c->vm, &handle));
	EXPECT_EQ(-ENODEV, util_queue_state(self->fd, c->queue, &s));
	EXPECT_EQ(-ENODEV, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, 0));
	EXPECT_EQ(-ENODEV, util_bo_wait(self->fd, c->data_bo, 0));
	/* A mapping stays, and leads to no device any more. */
	c->data[0] = 1;
	EXPECT_EQ(1, c->data[0]);
	munmap(c->cmds, UTIL_BYTES);
	munmap(c->data, UTIL_BYTES);
	munmap(c->prog, UTIL_BYTES);

	ASSERT_EQ(0, bring_back(self->pci, variant->remove));
	close(self->fd);
}

/* The fence of work that the device will never do ends, in a process that waits for it. */
TEST_F(unplug, fence_ends)
{
	struct drm_syncobj_handle h = {
		.handle = self->c.syncobj,
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE };
	struct pollfd p = { .events = POLLIN };

	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h));
	p.fd = h.fd;
	EXPECT_EQ(0, poll(&p, 1, 0));
	ASSERT_EQ(0, take_away(self->pci, variant->remove));
	EXPECT_EQ(1, poll(&p, 1, 10000));
	close(h.fd);
	close(self->fd);
	ASSERT_EQ(0, bring_back(self->pci, variant->remove));
}

TEST_HARNESS_MAIN
