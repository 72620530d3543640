// SPDX-License-Identifier: GPL-2.0
/* The function is reset by root while processes use it. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define WORKERS 3
#define RESETS	4

FIXTURE(flr) {
	char reset[PATH_MAX + 16];
};

FIXTURE_SETUP(flr)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", path));
	snprintf(self->reset, sizeof(self->reset), "%s/reset", path);
}

FIXTURE_TEARDOWN(flr)
{
	EXPECT_EQ(0, util_usable());
}

TEST_F(flr, idle)
{
	struct util_ctx c;
	int fd = util_open();

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_setup(&c, fd));
	util_cmd_fill(&c, 0, 0x1111, 16);
	ASSERT_EQ(0, util_run(&c, 1));
	ASSERT_EQ(0, util_write_file(self->reset, "1"));
	/* Mappings and contents are as before, the queue goes on. */
	EXPECT_EQ(0x1111, c.data[15]);
	c.data[20] = 20;
	EXPECT_EQ(20, c.data[20]);
	util_cmd_fill(&c, 0, 0x2222, 16);
	EXPECT_EQ(0, util_run(&c, 1));
	EXPECT_EQ(0x2222, c.data[15]);
	util_teardown(&c);
	close(fd);
}

TEST_F(flr, nobody_has_it_open)
{
	ASSERT_EQ(0, util_write_file(self->reset, "1"));
}

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

/*
 * Fill, look, make a new queue where one was lost; what the CPU wrote stays.
 * Returns 0, or the line that is wrong.
 */
static int work(void)
{
	struct util_ctx c;
	uint32_t n = 0;
	int ret, fd = util_open();

	if (fd < 0 || util_setup(&c, fd))
		return 1;
	while (!stop) {
		c.data[100] = ++n;
		util_cmd_fill(&c, 0, n, 16);
		ret = util_run(&c, 1);
		if (c.data[100] != n)
			return 2;
		if (!ret && (c.data[0] != n || c.data[15] != n))
			return 3;
		if (ret && ret != -ECANCELED)
			return 4;
		if (ret && (util_queue_destroy(fd, c.queue) || util_queue(fd, c.vm, &c.queue)))
			return 5;
	}
	util_teardown(&c);
	close(fd);
	return 0;
}

TEST_F(flr, under_load)
{
	pid_t pid[WORKERS];
	int status;

	signal(SIGTERM, on_term);
	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		ASSERT_GE(pid[i], 0);
		if (!pid[i])
			_exit(work());
	}
	for (int i = 0; i < RESETS; i++) {
		usleep(300000);
		EXPECT_EQ(0, util_write_file(self->reset, "1"));
	}
	for (int i = 0; i < WORKERS; i++) {
		kill(pid[i], SIGTERM);
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_HARNESS_MAIN
