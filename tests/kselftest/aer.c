// SPDX-License-Identifier: GPL-2.0
/* Errors on the link, injected below the PCI core (aer_inject). */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>

/* What /dev/aer_inject takes (drivers/pci/pcie/aer_inject.c). */
struct aer_error_inj {
	uint8_t bus, dev, fn;
	uint32_t uncor_status, cor_status;
	uint32_t header_log[4];
	uint32_t domain;
};

#define COR_RCVR	0x00000001u	/* receiver error */
#define UNC_COMP_TIME	0x00004000u	/* completion timeout, not fatal */
#define UNC_MALF_TLP	0x00040000u	/* malformed TLP, fatal */

FIXTURE(aer) {
	struct util_ctx c;
	struct aer_error_inj error;
	char dir[PATH_MAX];
	int fd, inject;
};

FIXTURE_SETUP(aer)
{
	unsigned int domain, bus, dev, fn;
	char path[PATH_MAX];

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
	snprintf(path, sizeof(path), "%s", self->dir);
	ASSERT_EQ(4, sscanf(basename(path), "%x:%x:%x.%x", &domain, &bus, &dev, &fn));
	self->error = (struct aer_error_inj){
		.bus = bus, .dev = dev, .fn = fn, .domain = domain };
	if (system("modprobe aer_inject"))
		SKIP(return, "no aer_inject");
	self->inject = open("/dev/aer_inject", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->inject, 0);
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(aer)
{
	util_teardown(&self->c);
	close(self->fd);
	close(self->inject);
	EXPECT_EQ(0, util_usable());
}

static int inject(int fd, const struct aer_error_inj *error)
{
	return write(fd, error, sizeof(*error)) == sizeof(*error) ? 0 : -errno;
}

static unsigned int resets(const char *dir)
{
	char path[PATH_MAX + 64], text[32];

	snprintf(path, sizeof(path), "%s/siliflow/resets", dir);
	return util_read_file(path, text, sizeof(text)) ? 0 : strtoul(text, NULL, 10);
}

/*
 * A port that reports the link's state must say that it is up, or the PCI core
 * waits for it in vain. QEMU's ports do not where hot-plug is ACPI's.
 */
static bool link_reported(const char *dir)
{
	char port[PATH_MAX], path[PATH_MAX + 16];
	uint8_t c[256] = {};
	bool ok = false;
	int fd;

	if (!realpath(dir, port))
		return false;
	snprintf(path, sizeof(path), "%s/config", dirname(port));
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, c, sizeof(c)) == sizeof(c))
		for (unsigned int at = c[0x34]; at >= 0x40 && at < 0xec && !ok; at = c[at + 1])
			/* Express: link capabilities bit 20, link status bit 13 */
			ok = c[at] == 0x10 && (!(c[at + 0x0e] & 0x10) || c[at + 0x13] & 0x20);
	close(fd);
	return ok;
}

TEST_F(aer, correctable)
{
	unsigned int before = resets(self->dir);

	self->error.cor_status = COR_RCVR;
	ASSERT_EQ(0, inject(self->inject, &self->error));
	util_cmd_fill(&self->c, 0, 0x1111, 16);
	EXPECT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(before, resets(self->dir));
}

TEST_F(aer, not_fatal)
{
	unsigned int before = resets(self->dir);

	self->error.uncor_status = UNC_COMP_TIME;
	ASSERT_EQ(0, inject(self->inject, &self->error));
	sleep(1);
	util_cmd_fill(&self->c, 0, 0x1111, 16);
	EXPECT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(before, resets(self->dir));
}

/* The link is reset: the job on the device is lost, buffers and idle queues are not. */
TEST_F(aer, fatal)
{
	unsigned int before = resets(self->dir);
	uint32_t idle;

	if (!link_reported(self->dir))
		SKIP(return, "the port does not report that its link is up");
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &idle));
	self->c.data[20] = 20;
	util_cmd_wait(&self->c, 0, 0, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	self->error.uncor_status = UNC_MALF_TLP;
	ASSERT_EQ(0, inject(self->inject, &self->error));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 30000));
	EXPECT_EQ(-ECANCELED, util_syncobj_error(self->fd, self->c.syncobj));
	/* Waits at the gate until the device is back. */
	util_cmd_fill(&self->c, 0, 0x2222, 16);
	ASSERT_EQ(0, util_submit(self->fd, idle, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 30000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, self->c.syncobj));
	EXPECT_EQ(0x2222, self->c.data[15]);
	EXPECT_EQ(20, self->c.data[20]);
	EXPECT_EQ(before + 1, resets(self->dir));
	EXPECT_EQ(0, util_queue_destroy(self->fd, idle));
}

TEST_HARNESS_MAIN
