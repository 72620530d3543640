// SPDX-License-Identifier: GPL-2.0
/* What a file has used, in its fdinfo: identity, engine time, cycles, memory. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <stdio.h>

FIXTURE(fdinfo) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(fdinfo)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(fdinfo)
{
	util_teardown(&self->c);
	close(self->fd);
}

/* The value of a key of an open file, without the blank before it; false if there is none. */
static bool info(int fd, const char *key, char *value, size_t size)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f)) {
		size_t n = strlen(key);

		if (strncmp(line, key, n) || line[n] != ':')
			continue;
		found = true;
		line[strcspn(line, "\n")] = 0;
		snprintf(value, size, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
	}
	if (f)
		fclose(f);
	return found;
}

static unsigned long long number(int fd, const char *key)
{
	char value[128] = "";

	return info(fd, key, value, sizeof(value)) ? strtoull(value, NULL, 10) : ~0ull;
}

/* drm-<what>-<region> in bytes. */
static unsigned long long bytes(int fd, const char *what, const char *region)
{
	char key[64], value[128] = "", *unit;
	unsigned long long n;

	snprintf(key, sizeof(key), "drm-%s-%s", what, region);
	if (!info(fd, key, value, sizeof(value)))
		return ~0ull;
	n = strtoull(value, &unit, 10);
	return strstr(unit, "MiB") ? n << 20 : strstr(unit, "KiB") ? n << 10 : n;
}

TEST_F(fdinfo, identity)
{
	char value[128];
	unsigned int a, b, c, d;

	ASSERT_TRUE(info(self->fd, "drm-driver", value, sizeof(value)));
	EXPECT_STREQ("siliflow", value);
	ASSERT_TRUE(info(self->fd, "drm-pdev", value, sizeof(value)));
	EXPECT_EQ(4, sscanf(value, "%x:%x:%x.%x", &a, &b, &c, &d));
	EXPECT_TRUE(info(self->fd, "drm-client-id", value, sizeof(value)));
}

TEST_F(fdinfo, units)
{
	char value[128];

	ASSERT_TRUE(info(self->fd, "drm-engine-compute", value, sizeof(value)));
	EXPECT_NE(NULL, strstr(value, " ns"));
	ASSERT_TRUE(info(self->fd, "drm-maxfreq-compute", value, sizeof(value)));
	EXPECT_NE(NULL, strstr(value, " Hz"));
	EXPECT_NE(~0ull, number(self->fd, "drm-total-cycles-compute"));
}

TEST_F(fdinfo, counts_work)
{
	struct drm_siliflow_queue_state s;
	unsigned long long cycles, ns;

	EXPECT_EQ(0, number(self->fd, "drm-cycles-compute"));
	util_cmd_fill(&self->c, 0, 1, 1024);
	ASSERT_EQ(0, util_run(&self->c, 1));
	cycles = number(self->fd, "drm-cycles-compute");
	EXPECT_GT(cycles, 0);
	ASSERT_EQ(0, util_queue_state(self->fd, self->c.queue, &s));
	EXPECT_EQ(s.cycles, cycles);
	ns = number(self->fd, "drm-engine-compute");
	EXPECT_EQ((unsigned long long)((unsigned __int128)cycles * 1000000000u /
				       number(self->fd, "drm-maxfreq-compute")), ns);
}

/* Work of a queue that has gone still counts. */
TEST_F(fdinfo, keeps_closed_queues)
{
	unsigned long long before;
	uint32_t queue;

	util_cmd_fill(&self->c, 0, 1, 1024);
	ASSERT_EQ(0, util_run(&self->c, 1));
	ASSERT_EQ(0, util_queue(self->fd, self->c.vm, &queue));
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 10000));
	before = number(self->fd, "drm-cycles-compute");
	ASSERT_EQ(0, util_queue_destroy(self->fd, queue));
	EXPECT_EQ(before, number(self->fd, "drm-cycles-compute"));
	ASSERT_EQ(0, util_run(&self->c, 1));
	EXPECT_GT(number(self->fd, "drm-cycles-compute"), before);
}

TEST_F(fdinfo, per_file)
{
	int other = util_open();

	ASSERT_GE(other, 0);
	util_cmd_fill(&self->c, 0, 1, 1024);
	ASSERT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(0, number(other, "drm-cycles-compute"));
	close(other);
}

#define MIB (1ull << 20)

/* Each buffer counts in the region where it lies, and no more when it has gone. */
TEST_F(fdinfo, memory)
{
	unsigned long long hbm = bytes(self->fd, "total", "hbm");
	unsigned long long system = bytes(self->fd, "total", "system");
	uint32_t a, b;

	EXPECT_EQ(3 * UTIL_BYTES, hbm + system);
	ASSERT_EQ(0, util_bo(self->fd, 4 * MIB, SILIFLOW_BO_HBM, &a));
	ASSERT_EQ(0, util_bo(self->fd, 12288, SILIFLOW_BO_SYSTEM, &b));
	EXPECT_EQ(hbm + 4 * MIB, bytes(self->fd, "total", "hbm"));
	EXPECT_EQ(hbm + 4 * MIB, bytes(self->fd, "resident", "hbm"));
	EXPECT_EQ(system + 12288, bytes(self->fd, "total", "system"));
	EXPECT_EQ(system + 12288, bytes(self->fd, "resident", "system"));
	EXPECT_EQ(0, bytes(self->fd, "shared", "hbm"));
	EXPECT_EQ(0, bytes(self->fd, "shared", "system"));
	ASSERT_EQ(0, util_bo_close(self->fd, a));
	ASSERT_EQ(0, util_bo_close(self->fd, b));
	EXPECT_EQ(hbm, bytes(self->fd, "total", "hbm"));
	EXPECT_EQ(system, bytes(self->fd, "total", "system"));
}

/* Two files have it, or a dma-buf of it is about; where another card uses it, it moves. */
TEST_F(fdinfo, memory_shared)
{
	struct drm_prime_handle p = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int other = util_open(), card = util_open_other();
	unsigned long long system;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, util_bo(self->fd, 2 * MIB, SILIFLOW_BO_HBM, &p.handle));
	EXPECT_EQ(0, bytes(self->fd, "shared", "hbm"));
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p));
	EXPECT_EQ(2 * MIB, bytes(self->fd, "shared", "hbm"));
	EXPECT_EQ(0, bytes(other, "total", "hbm"));
	ASSERT_EQ(0, util_ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p));
	EXPECT_EQ(2 * MIB, bytes(other, "total", "hbm"));
	EXPECT_EQ(2 * MIB, bytes(other, "shared", "hbm"));
	if (card >= 0) {
		system = bytes(self->fd, "resident", "system");
		ASSERT_EQ(0, util_ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p));
		EXPECT_EQ(0, bytes(self->fd, "shared", "hbm"));
		EXPECT_EQ(2 * MIB, bytes(self->fd, "shared", "system"));
		EXPECT_EQ(system + 2 * MIB, bytes(self->fd, "resident", "system"));
		EXPECT_EQ(2 * MIB, bytes(card, "shared", "system"));
		close(card);
	}
	close(p.fd);
	close(other);
}

/* What a VM maps is active while it runs something. */
TEST_F(fdinfo, memory_active)
{
	uint32_t unmapped;

	ASSERT_EQ(0, util_bo(self->fd, 2 * MIB, SILIFLOW_BO_HBM, &unmapped));
	EXPECT_EQ(0, bytes(self->fd, "active", "hbm") + bytes(self->fd, "active", "system"));
	util_cmd_wait(&self->c, 0, 100, 1);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj));
	EXPECT_EQ(3 * UTIL_BYTES,
		  bytes(self->fd, "active", "hbm") + bytes(self->fd, "active", "system"));
	self->c.data[100] = 1;
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 60000));
	EXPECT_EQ(0, bytes(self->fd, "active", "hbm") + bytes(self->fd, "active", "system"));
}

TEST_HARNESS_MAIN
