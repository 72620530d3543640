// SPDX-License-Identifier: GPL-2.0
/* What a file has used, in its fdinfo: identity, engine time, cycles. */
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

TEST_HARNESS_MAIN
