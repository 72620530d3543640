// SPDX-License-Identifier: GPL-2.0
/* Attributes of the PCI device, debugfs, tracepoints, and a silent kernel log. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <stdio.h>
#include <sys/klog.h>

#define TRACING "/sys/kernel/tracing"

FIXTURE(sysfs) {
	char dir[PATH_MAX];
	char debug[PATH_MAX];
	int fd;
};

FIXTURE_SETUP(sysfs)
{
	char *slash;

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
	slash = strrchr(self->dir, '/');
	snprintf(self->debug, sizeof(self->debug), "/sys/kernel/debug/accel/%.64s", slash + 1);
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(sysfs)
{
	close(self->fd);
}

static int attribute(const char *dir, const char *name, char *text, size_t size)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return util_read_file(path, text, size);
}

TEST_F(sysfs, facts)
{
	struct drm_siliflow_query_firmware f;
	struct drm_siliflow_query_device d;
	char text[256], want[64];

	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d)));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &f, sizeof(f)));
	ASSERT_EQ(0, attribute(self->dir, "siliflow_index", text, sizeof(text)));
	EXPECT_EQ(d.driver_index, strtoul(text, NULL, 10));
	ASSERT_EQ(0, attribute(self->dir, "siliflow/mcus", text, sizeof(text)));
	EXPECT_EQ(d.num_mcus, strtoul(text, NULL, 10));
	ASSERT_EQ(0, attribute(self->dir, "siliflow/serial", text, sizeof(text)));
	EXPECT_EQ(d.serial, strtoull(text, NULL, 16));
	snprintf(want, sizeof(want), "%u.%u.%u", f.version >> 16, f.version >> 8 & 0xff,
		 f.version & 0xff);
	ASSERT_EQ(0, attribute(self->dir, "siliflow/firmware_version", text, sizeof(text)));
	EXPECT_STREQ(want, text);
}

TEST_F(sysfs, health)
{
	char text[256];

	ASSERT_EQ(0, attribute(self->dir, "siliflow/health", text, sizeof(text)));
	EXPECT_STREQ("ok", text);
	ASSERT_EQ(0, attribute(self->dir, "siliflow/mcus_quarantined", text, sizeof(text)));
	EXPECT_STREQ("", text);
	ASSERT_EQ(0, attribute(self->dir, "siliflow/utilization", text, sizeof(text)));
	EXPECT_LE(strtod(text, NULL), 100.0);
	ASSERT_EQ(0, attribute(self->dir, "siliflow/resets", text, sizeof(text)));
}

TEST_F(sysfs, link)
{
	char text[256];

	ASSERT_EQ(0, attribute(self->dir, "current_link_speed", text, sizeof(text)));
	EXPECT_STREQ("32.0 GT/s PCIe", text);
	ASSERT_EQ(0, attribute(self->dir, "current_link_width", text, sizeof(text)));
	EXPECT_STREQ("16", text);
}

/* A queue and a mapping show up where they should. */
TEST_F(sysfs, debugfs)
{
	static char text[65536];
	char want[64];
	struct util_ctx c;

	ASSERT_EQ(0, util_setup(&c, self->fd));
	util_cmd_fill(&c, 0, 7, 16);
	ASSERT_EQ(0, util_run(&c, 1));
	ASSERT_EQ(0, attribute(self->debug, "device", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "serial: "));
	ASSERT_EQ(0, attribute(self->debug, "queues", text, sizeof(text)));
	snprintf(want, sizeof(want), "pid %d (", getpid());
	EXPECT_NE(NULL, strstr(text, want));
	ASSERT_EQ(0, attribute(self->debug, "vms", text, sizeof(text)));
	snprintf(want, sizeof(want), "  %#llx..%#llx: buffer ", UTIL_DATA,
		 UTIL_DATA + UTIL_BYTES - 1);
	EXPECT_NE(NULL, strstr(text, want));
	ASSERT_EQ(0, attribute(self->debug, "firmware", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "queue created"));
	util_teardown(&c);
	ASSERT_EQ(0, attribute(self->debug, "firmware", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "queue destroyed"));
}

/* The life of a job, a bind and a fault in the trace. */
TEST_F(sysfs, tracepoints)
{
	static const char *const want[] = {
		"siliflow_bind:", "siliflow_submit:", "siliflow_run:", "siliflow_fence:",
		"siliflow_fault:",
	};
	static char text[1 << 20];
	struct util_ctx c;

	ASSERT_EQ(0, util_write_file(TRACING "/trace", ""));
	ASSERT_EQ(0, util_write_file(TRACING "/events/siliflow/enable", "1"));
	ASSERT_EQ(0, util_setup(&c, self->fd));
	util_cmd_fill(&c, 0, 7, 16);
	EXPECT_EQ(0, util_run(&c, 1));
	c.cmds[0].fill.dst = 0x700000000ull;
	EXPECT_EQ(-EIO, util_run(&c, 1));
	util_teardown(&c);
	EXPECT_EQ(0, util_write_file(TRACING "/events/siliflow/enable", "0"));
	ASSERT_EQ(0, util_read_file(TRACING "/trace", text, sizeof(text)));
	for (size_t i = 0; i < ARRAY_SIZE_T(want); i++)
		EXPECT_NE(NULL, strstr(text, want[i]));
}

/* What a user does wrong is nobody's business but the user's. */
TEST_F(sysfs, silent_log)
{
	static char before[1 << 20], after[1 << 20];
	uint32_t handle;
	struct util_ctx c;
	int n, m;

	n = klogctl(3, before, sizeof(before) - 1);
	ASSERT_GE(n, 0);
	EXPECT_EQ(-EINVAL, util_bo(self->fd, 0, SILIFLOW_BO_HBM, &handle));
	EXPECT_EQ(-ENOENT, util_queue(self->fd, 12345, &handle));
	EXPECT_EQ(-ENOENT, util_vm_destroy(self->fd, 12345));
	ASSERT_EQ(0, util_setup(&c, self->fd));
	util_cmd_fill(&c, 0, 7, 16);
	c.cmds[0].fill.dst = 0x700000000ull;
	EXPECT_EQ(-EIO, util_run(&c, 1));
	EXPECT_EQ(-EIO, util_submit(self->fd, c.queue, UTIL_CMDS, 1, 0, 0));
	util_teardown(&c);
	m = klogctl(3, after, sizeof(after) - 1);
	ASSERT_GE(m, 0);
	EXPECT_EQ(NULL, strstr(after + (m >= n ? n : 0), "siliflow"));
}

TEST_HARNESS_MAIN
