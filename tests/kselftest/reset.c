// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery: firmware that died is started again and queues go on; a reset of
 * the device ends jobs on it, and leaves everybody else's queues alone.
 * REQ-MGMT-004.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include <x1/x1_fw.h>

FIXTURE(reset) {
	struct util_ctx c;
	char dir[PATH_MAX];
	char recover[PATH_MAX];
	int fd;
	int events;
};

FIXTURE_SETUP(reset)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	char *slash;

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
	slash = strrchr(self->dir, '/');
	snprintf(self->recover, sizeof(self->recover), "/sys/kernel/debug/accel/%.64s/recover",
		 slash + 1);
	self->events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			      NETLINK_KOBJECT_UEVENT);
	ASSERT_GE(self->events, 0);
	ASSERT_EQ(0, bind(self->events, (struct sockaddr *)&nl, sizeof(nl)));
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(reset)
{
	util_teardown(&self->c);
	close(self->fd);
	close(self->events);
	EXPECT_EQ(0, util_usable());
}

static unsigned int resets(const char *dir)
{
	char path[PATH_MAX + 64], text[32];

	snprintf(path, sizeof(path), "%s/siliflow/resets", dir);
	return util_read_file(path, text, sizeof(text)) ? 0 : strtoul(text, NULL, 10);
}

/* Wait for an event that has the text in it. */
static bool event(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char message[8192];
	ssize_t n;

	while (poll(&p, 1, 30000) == 1) {
		n = recv(fd, message, sizeof(message) - 1, 0);
		if (n > 0 && memmem(message, n, text, strlen(text)))
			return true;
	}
	return false;
}

/* Reset the device and wait until it is back. */
static int reset_device(const char *recover, const char *dir, int events)
{
	unsigned int before = resets(dir);
	int ret = util_write_file(recover, "device");

	if (ret)
		return ret;
	if (!event(events, "WEDGED=none"))
		return -ETIME;
	return resets(dir) == before + 1 ? 0 : -EBADMSG;
}

TEST_F(reset, bad_words)
{
	EXPECT_EQ(-EINVAL, util_write_file(self->recover, "sun"));
	EXPECT_EQ(-EINVAL, util_write_file(self->recover, "a very long word that nobody knows"));
}

/* A queue with nothing on the device does not notice. */
TEST_F(reset, idle_queue_goes_on)
{
	struct drm_siliflow_queue_state before, after;

	util_cmd_fill(&self->c, 0, 0x1111, 16);
	ASSERT_EQ(0, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &before));
	ASSERT_EQ(0, reset_device(self->recover, self->dir, self->events));
	EXPECT_EQ(0x1111, self->c.data[15]);
	util_cmd_fill(&self->c, 0, 0x2222, 16);
	EXPECT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(0x2222, self->c.data[15]);
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &after));
	EXPECT_EQ(0, after.state);
	EXPECT_GT(after.cycles, before.cycles);
}

/* A job on the device is lost, and so is its queue; what the file has beside it is not. */
TEST_F(reset, busy_queue_is_lost)
{
	struct drm_siliflow_queue_state s;
	uint32_t queue;

	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, reset_device(self->recover, self->dir, self->events));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 10000));
	EXPECT_EQ(-ECANCELED, util_syncobj_error(self->fd, self->c.syncobj));
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(SILIFLOW_QUEUE_LOST, s.state);
	EXPECT_EQ(-ECANCELED, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, 0));
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
	util_cmd_fill(&self->c, 0, 0x3333, 16);
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 10000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, self->c.syncobj));
	EXPECT_EQ(0x3333, self->c.data[15]);
	ASSERT_EQ(0, util_queue_destroy(self->fd, queue));
}

/* Jobs that wait for another queue's are not on the device yet: they run afterwards. */
TEST_F(reset, waiting_job_runs)
{
	uint32_t queue, done;

	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
	ASSERT_EQ(0, util_syncobj(self->fd, &done));
	util_cmd_wait(&self->c, 0, 0, 1);
	util_cmd_fill(&self->c, 1, 0x4444, 16);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS + X1_CMD_BYTES, 1, self->c.syncobj,
				 done));
	ASSERT_EQ(0, reset_device(self->recover, self->dir, self->events));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, done, 10000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, done));
	EXPECT_EQ(0x4444, self->c.data[15]);
	ASSERT_EQ(0, util_queue_destroy(self->fd, queue));
}

/* The mailbox finds the firmware dead; a job on the device does not notice. */
TEST_F(reset, firmware_dies)
{
	struct drm_siliflow_query_firmware f;
	unsigned int before = resets(self->dir);
	uint32_t queue;

	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_write_file(self->recover, "firmware"));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &f, sizeof(f)));
	EXPECT_EQ(X1_FW_STATE_RESET, f.state);
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &f, sizeof(f)));
	EXPECT_EQ(X1_FW_STATE_READY, f.state);
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, self->c.syncobj));
	self->c.data[0] = 1;
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 10000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, self->c.syncobj));
	/* The new firmware knows the old one's queue. */
	EXPECT_EQ(0, util_queue_destroy(self->fd, queue));
	EXPECT_EQ(0, util_queue_destroy(self->fd, self->c.queue));
	EXPECT_EQ(0, util_queue(self->fd, self->c.vm, &self->c.queue));
	EXPECT_EQ(before, resets(self->dir));
}

/* Nobody asks for anything: the watch finds it. */
TEST_F(reset, no_heartbeat)
{
	struct drm_siliflow_query_firmware f = {};

	ASSERT_EQ(0, util_write_file(self->recover, "firmware"));
	for (int i = 0; i < 300 && f.state != X1_FW_STATE_READY; i++) {
		usleep(100000);
		ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &f, sizeof(f)));
	}
	EXPECT_EQ(X1_FW_STATE_READY, f.state);
}

/*
 * Firmware that dies again and again is not started for ever, the device is
 * reset instead; who asks it for something is served all the same. The last
 * case: firmware may not die again for a minute.
 */
TEST_F(reset, firmware_dies_often)
{
	unsigned int before = resets(self->dir);
	uint32_t queue, vm;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, util_write_file(self->recover, "firmware"));
		ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
		ASSERT_EQ(0, util_queue_destroy(self->fd, queue));
		ASSERT_EQ(0, util_write_file(self->recover, "firmware"));
		ASSERT_EQ(0, util_vm(self->fd, &vm));
		ASSERT_EQ(0, util_vm_destroy(self->fd, vm));
	}
	EXPECT_LT(before, resets(self->dir));
}

TEST_HARNESS_MAIN
