// SPDX-License-Identifier: GPL-2.0
/* Runtime PM with autosuspend; system sleep with buffers and queues in use. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <stdio.h>

#define PATTERN(i) ((uint32_t)(i) * 2654435761u)

FIXTURE(pm) {
	char dir[PATH_MAX];
};

FIXTURE_SETUP(pm)
{
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
}

FIXTURE_TEARDOWN(pm)
{
	util_write_file("/sys/power/pm_test", "none");
	EXPECT_EQ(0, util_usable());
}

static int attribute(const char *dir, const char *name, char *text, size_t size)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return util_read_file(path, text, size);
}

static bool status_becomes(const char *dir, const char *want)
{
	char text[64] = "";

	for (int i = 0; i < 200; i++) {
		if (!attribute(dir, "power/runtime_status", text, sizeof(text)) &&
		    !strcmp(text, want))
			return true;
		usleep(100000);
	}
	return false;
}

/* Nobody has it open: it sleeps. An open file wakes it and keeps it awake. */
TEST_F(pm, runtime)
{
	char text[64];
	int fd;

	ASSERT_TRUE(status_becomes(self->dir, "suspended"));
	ASSERT_EQ(0, attribute(self->dir, "power_state", text, sizeof(text)));
	EXPECT_STREQ("D3hot", text);
	fd = util_open();
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, attribute(self->dir, "power/runtime_status", text, sizeof(text)));
	EXPECT_STREQ("active", text);
	EXPECT_EQ(0, util_usable());
	sleep(2);
	ASSERT_EQ(0, attribute(self->dir, "power/runtime_status", text, sizeof(text)));
	EXPECT_STREQ("active", text);
	close(fd);
	EXPECT_TRUE(status_becomes(self->dir, "suspended"));
}

/* Reading an attribute wakes it for a moment. */
TEST_F(pm, attribute_wakes)
{
	char text[64], path[PATH_MAX];

	ASSERT_TRUE(status_becomes(self->dir, "suspended"));
	ASSERT_EQ(0, attribute(self->dir, "siliflow/health", text, sizeof(text)));
	EXPECT_STREQ("ok", text);
	ASSERT_TRUE(status_becomes(self->dir, "suspended"));
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*/hwmon/hwmon*/temp1_input", path));
	ASSERT_EQ(0, util_read_file(path, text, sizeof(text)));
	EXPECT_GT(strtol(text, NULL, 10), 0);
	EXPECT_LT(strtol(text, NULL, 10), 200000);
}

FIXTURE(sleep) {
	struct util_ctx c;
	int fd;
};

/*
 * How far the system goes: freezer stops before the devices, then they sleep.
 * What comes after is the machine's.
 */
FIXTURE_VARIANT(sleep) {
	const char *test;
};

FIXTURE_VARIANT_ADD(sleep, freezer) {
	.test = "freezer",
};

FIXTURE_VARIANT_ADD(sleep, devices) {
	.test = "devices",
};

FIXTURE_SETUP(sleep)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(sleep)
{
	util_write_file("/sys/power/pm_test", "none");
	util_teardown(&self->c);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/* Linux's 9p over virtio does not survive sleep, and where it is mounted nor does the rest. */
static bool has_9p(void)
{
	static char mounts[1 << 16];

	return !util_read_file("/proc/mounts", mounts, sizeof(mounts)) &&
	       strstr(mounts, " 9p ");
}

static int go_to_sleep(const char *test)
{
	int ret = util_write_file("/sys/power/pm_test", test);

	return ret ? ret : util_write_file("/sys/power/state", "mem");
}

TEST_F(sleep, buffers_and_queue_come_back)
{
	struct drm_siliflow_queue_state s;
	unsigned int bad = 0;
	uint32_t *data = self->c.data;

	if (access("/sys/power/pm_test", W_OK))
		SKIP(return, "no test of system sleep in this kernel");
	if (strcmp(variant->test, "freezer") && has_9p())
		SKIP(return, "9p is mounted");
	util_cmd_fill(&self->c, 0, 0x1111, 16);
	ASSERT_EQ(0, util_run(&self->c, 1));
	for (unsigned int i = 16; i < UTIL_BYTES / 4; i++)
		data[i] = PATTERN(i);
	ASSERT_EQ(0, go_to_sleep(variant->test));
	for (unsigned int i = 16; i < UTIL_BYTES / 4; i++)
		bad += data[i] != PATTERN(i);
	EXPECT_EQ(0, bad);
	EXPECT_EQ(0x1111, data[15]);
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(0, s.state);
	util_cmd_fill(&self->c, 0, 0x2222, 16);
	EXPECT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(0x2222, data[15]);
	EXPECT_EQ(PATTERN(16), data[16]);
}

TEST_HARNESS_MAIN
