// SPDX-License-Identifier: GPL-2.0
/* What is left of the state before a recovery. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <stdio.h>

#define DUMPS "/sys/class/devcoredump/devcd*/data"

FIXTURE(coredump) {
	struct util_ctx c;
	char recover[PATH_MAX];
	int fd;
};

/* Writing to a dump frees it. */
static void forget(void)
{
	char path[PATH_MAX];

	while (!util_glob(DUMPS, path) && !util_write_file(path, "0"))
		usleep(10000);
}

FIXTURE_SETUP(coredump)
{
	char path[PATH_MAX];
	char *slash;

	forget();
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", path));
	slash = strrchr(path, '/');
	snprintf(self->recover, sizeof(self->recover), "/sys/kernel/debug/accel/%.64s/recover",
		 slash + 1);
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	/* The memory for a dump is made ready within a second. */
	sleep(2);
}

FIXTURE_TEARDOWN(coredump)
{
	util_teardown(&self->c);
	close(self->fd);
	forget();
	EXPECT_EQ(0, util_usable());
}

static int dump(char *text, size_t size)
{
	char path[PATH_MAX];
	int ret = -ENOENT;

	for (int i = 0; i < 200 && ret; i++) {
		ret = util_glob(DUMPS, path);
		if (ret)
			usleep(100000);
	}
	return ret ? ret : util_read_file(path, text, size);
}

TEST_F(coredump, device_reset)
{
	static const char *const want[] = {
		"siliflow coredump version 1\n", "reason: asked by root\n", "\n[device]\n",
		"energy: ", "\n[firmware]\n", "log ", "\n[queues]\n", "\n[vms]\n", "vm 2",
	};
	static char text[1 << 20];
	char line[128];

	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_write_file(self->recover, "device"));
	ASSERT_EQ(0, dump(text, sizeof(text)));
	for (size_t i = 0; i < ARRAY_SIZE_T(want); i++)
		EXPECT_NE(NULL, strstr(text, want[i]));
	snprintf(line, sizeof(line), "pid %d (", getpid());
	EXPECT_NE(NULL, strstr(text, line));
	/* The CALL that the device was in. */
	snprintf(line, sizeof(line), "%016llx", UTIL_CMDS);
	EXPECT_NE(NULL, strstr(text, line));
	EXPECT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 10000));
}

TEST_F(coredump, firmware)
{
	static char text[1 << 20];
	uint32_t queue;

	ASSERT_EQ(0, util_write_file(self->recover, "firmware"));
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
	ASSERT_EQ(0, dump(text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "reason: firmware does not answer\n"));
	/* Its log was read before it died. */
	EXPECT_NE(NULL, strstr(text, ": boot: "));
	ASSERT_EQ(0, util_queue_destroy(self->fd, queue));
}

/* A queue that hangs is named. */
TEST_F(coredump, hang)
{
	struct drm_siliflow_queue_create q = { .vm = self->c.vm, .timeout_ms = 500 };
	static char text[1 << 20];
	char line[128];

	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, q.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 60000));
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, self->c.syncobj));
	ASSERT_EQ(0, dump(text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "reason: queue makes no progress\n"));
	snprintf(line, sizeof(line), ", pid %d (", getpid());
	EXPECT_NE(NULL, strstr(strstr(text, "guilty: ") ?: "", line));
}

/* A fault is the user's own business. */
TEST_F(coredump, none_for_a_fault)
{
	char path[PATH_MAX];

	util_cmd_fill(&self->c, 0, 7, 16);
	self->c.cmds[0].fill.dst = 0x700000000ull;
	EXPECT_EQ(-EIO, util_run(&self->c, 1));
	EXPECT_EQ(-ENOENT, util_glob(DUMPS, path));
}

TEST_HARNESS_MAIN
