// SPDX-License-Identifier: GPL-2.0
/*
 * The timeline: what the device did, event by event, out of its ring. Who may
 * record, what is lost, and what a reset or the loss of the device leaves.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <x1/x1_timeline.h>

#define LOG2	12
#define SMALL	(1u << X1_TL_MIN_LOG2)
#define EVENT	sizeof(struct x1_tl_event)
#define COPIES	X1_TL_MASK(X1_TL_COPY)
#define LAUNCHS X1_TL_MASK(X1_TL_LAUNCH)

static int timeline(int fd, uint32_t kinds, uint32_t log2)
{
	struct drm_siliflow_timeline_open o = { .kinds = kinds, .log2 = log2 };
	int ret = util_ioctl(fd, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN, &o);

	return ret ? ret : o.fd;
}

/* A recording that does not wait. */
static int recording(int fd, uint32_t kinds, uint32_t log2)
{
	int tl = timeline(fd, kinds, log2);

	if (tl >= 0 && fcntl(tl, F_SETFL, O_NONBLOCK))
		return -errno;
	return tl;
}

/* Up to max events: how many, or a negative errno. */
static int take(int tl, struct x1_tl_event *e, size_t max)
{
	ssize_t n = read(tl, e, max * EVENT);

	return n < 0 ? -errno : n % EVENT ? -EBADMSG : (int)(n / EVENT);
}

static int poll_for(int tl, int timeout_ms)
{
	struct pollfd p = { .fd = tl, .events = POLLIN };
	int ret = poll(&p, 1, timeout_ms);

	return ret < 0 ? -errno : p.revents;
}

static int count(int tl, uint64_t *recorded, uint64_t *lost)
{
	struct drm_siliflow_timeline_status s = {};
	int ret = util_ioctl(tl, SILIFLOW_TIMELINE_STATUS, &s);

	*recorded = s.recorded;
	*lost = s.lost;
	return ret;
}

/* n FILLs with tags from `tag` on, and wait for them. */
static int fills(struct util_ctx *c, uint32_t n, uint32_t tag)
{
	for (uint32_t i = 0; i < n; i++) {
		util_cmd_fill(c, i, i, 16);
		c->cmds[i].hdr.tag = tag + i;
	}
	return util_run(c, n);
}

FIXTURE(timeline) {
	struct util_ctx c;
	struct x1_tl_event e[1 << LOG2];
	int fd;
};

FIXTURE_SETUP(timeline)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(timeline)
{
	util_teardown(&self->c);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/* A LAUNCH with its work-groups, and a FILL: the events, their tags and their times. */
TEST_F(timeline, events)
{
	uint64_t recorded, lost, last = 0;
	unsigned int kinds[X1_TL_KINDS] = {};
	int n, tl;

	tl = recording(self->fd, X1_TL_MASK_ALL, LOG2);
	ASSERT_GE(tl, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(tl, F_GETFD));
	EXPECT_EQ(-EAGAIN, take(tl, self->e, 1));
	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(&self->c, 0, 1);
	self->c.cmds[0].hdr.tag = 0x1234;
	self->c.cmds[0].launch.grid[0] = 5;
	util_cmd_fill(&self->c, 1, 1, 16);
	self->c.cmds[1].hdr.tag = 0x5678;
	ASSERT_EQ(0, util_run(&self->c, 2));
	n = take(tl, self->e, ARRAY_SIZE_T(self->e));
	ASSERT_GT(n, 0);
	for (int i = 0; i < n; i++) {
		const struct x1_tl_event *e = &self->e[i];

		ASSERT_LT(e->kind, X1_TL_KINDS);
		kinds[e->kind]++;
		EXPECT_EQ(self->e[0].queue, e->queue);
		if (e->kind == X1_TL_LAUNCH) {
			EXPECT_EQ(0x1234, e->arg);
			EXPECT_NE(0, e->cycles);
			last = X1_TL_START(e) + e->cycles;
		} else if (e->kind == X1_TL_COPY) {
			EXPECT_EQ(0x5678, e->arg);
			/* After the LAUNCH. */
			EXPECT_NE(0, last);
			EXPECT_LE(last, X1_TL_START(e));
		} else if (e->kind == X1_TL_WG) {
			EXPECT_LT(X1_TL_MCU(e), X1_DEF_MCUS);
			EXPECT_LT(e->arg, 5);
		}
	}
	EXPECT_EQ(1, kinds[X1_TL_LAUNCH]);
	EXPECT_EQ(5, kinds[X1_TL_WG]);
	EXPECT_EQ(1, kinds[X1_TL_COPY]);
	EXPECT_EQ(0, kinds[X1_TL_FAULT]);
	EXPECT_EQ(-EAGAIN, take(tl, self->e, 1));
	ASSERT_EQ(0, count(tl, &recorded, &lost));
	EXPECT_EQ(n, recorded);
	EXPECT_EQ(0, lost);
	close(tl);
}

/* Each queue's events have its number. */
TEST_F(timeline, two_queues)
{
	struct util_ctx *c = &self->c;
	uint32_t second, first = c->queue;
	int tl;

	self->c.prog[0] = (struct x1_insn){ .op = X1_OP_END };
	ASSERT_EQ(0, util_queue(self->fd, c->vm, &second));
	tl = recording(self->fd, LAUNCHS, LOG2);
	ASSERT_GE(tl, 0);
	for (unsigned int i = 0; i < 4; i++) {
		util_cmd_launch(c, 0, 1);
		c->cmds[0].hdr.tag = i;
		c->queue = i % 2 ? second : first;
		ASSERT_EQ(0, util_run(c, 1));
	}
	c->queue = first;
	ASSERT_EQ(4, take(tl, self->e, 16));
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(X1_TL_LAUNCH, self->e[i].kind);
		EXPECT_EQ(i, self->e[i].arg);
		EXPECT_EQ(self->e[i % 2].queue, self->e[i].queue);
	}
	EXPECT_NE(self->e[0].queue, self->e[1].queue);
	EXPECT_EQ(0, util_queue_destroy(self->fd, second));
	close(tl);
}

/* Who reads in time loses nothing, however often the ring begins again. */
TEST_F(timeline, wrap)
{
	uint64_t recorded, lost;
	uint32_t tag = 0;
	int tl;

	tl = recording(self->fd, COPIES, X1_TL_MIN_LOG2);
	ASSERT_GE(tl, 0);
	for (int round = 0; round < 12; round++) {
		ASSERT_EQ(0, fills(&self->c, 100, 100 * round));
		/* In two pieces, the second asks for more than there is. */
		ASSERT_EQ(30, take(tl, self->e, 30));
		ASSERT_EQ(70, take(tl, self->e + 30, SMALL));
		for (int i = 0; i < 100; i++)
			ASSERT_EQ(tag++, self->e[i].arg);
	}
	ASSERT_EQ(0, count(tl, &recorded, &lost));
	EXPECT_EQ(1200, recorded);
	EXPECT_EQ(0, lost);
	close(tl);
}

/* Who does not loses the newest, and is told how many. */
TEST_F(timeline, lost)
{
	uint64_t recorded, lost;
	int tl;

	tl = recording(self->fd, COPIES, X1_TL_MIN_LOG2);
	ASSERT_GE(tl, 0);
	ASSERT_EQ(0, fills(&self->c, SMALL + 44, 0));
	ASSERT_EQ(0, count(tl, &recorded, &lost));
	EXPECT_EQ(SMALL, recorded);
	EXPECT_EQ(44, lost);
	ASSERT_EQ(SMALL, take(tl, self->e, ARRAY_SIZE_T(self->e)));
	for (unsigned int i = 0; i < SMALL; i++)
		EXPECT_EQ(i, self->e[i].arg);
	/* Then there is room again. */
	ASSERT_EQ(0, fills(&self->c, 1, 4711));
	ASSERT_EQ(1, take(tl, self->e, 2));
	EXPECT_EQ(4711, self->e[0].arg);
	close(tl);
}

/* read() and poll() sleep until the device has done something. */
TEST_F(timeline, waiting)
{
	int status, tl;
	pid_t reader;

	tl = timeline(self->fd, COPIES, LOG2);
	ASSERT_GE(tl, 0);
	EXPECT_EQ(0, poll_for(tl, 20));
	self->c.data[0] = self->c.data[1] = 0;
	util_cmd_wait(&self->c, 0, 0, 1);
	util_cmd_fill(&self->c, 1, 0x99, 16);
	ASSERT_EQ(0, util_submit(self->fd, self->c.queue, UTIL_CMDS, 2, 0, self->c.syncobj));
	reader = fork();
	ASSERT_GE(reader, 0);
	if (!reader)
		_exit(take(tl, self->e, 4) != 1);
	/* It waits for an event, which waits for us. */
	usleep(50000);
	EXPECT_EQ(0, waitpid(reader, &status, WNOHANG));
	self->c.data[0] = 1;
	ASSERT_EQ(reader, waitpid(reader, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->c.syncobj, 60000));
	ASSERT_EQ(0, fills(&self->c, 1, 0));
	EXPECT_EQ(POLLIN, poll_for(tl, 30000));
	close(tl);
}

TEST_F(timeline, bad_arguments)
{
	static const struct drm_siliflow_timeline_open bad[] = {
		{ .kinds = 0, .log2 = LOG2 },
		{ .kinds = X1_TL_MASK_ALL + 1, .log2 = LOG2 },
		{ .kinds = ~0u, .log2 = LOG2 },
		{ .kinds = COPIES, .log2 = X1_TL_MIN_LOG2 - 1 },
		{ .kinds = COPIES, .log2 = X1_TL_MAX_LOG2 + 1 },
		{ .kinds = COPIES, .log2 = ~0u },
		{ .kinds = COPIES, .log2 = LOG2, .flags = 1 },
	};
	/* volatile: or the compiler warns of what is meant. */
	void *volatile wild = (void *)BAD_POINTER;
	uint64_t size, recorded, lost;
	char *last;
	int tl, small;

	for (size_t i = 0; i < ARRAY_SIZE_T(bad); i++) {
		struct drm_siliflow_timeline_open o = bad[i];

		EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN, &o));
	}
	EXPECT_EQ(-EFAULT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN,
				      (void *)BAD_POINTER));
	small = util_open_small(&size);
	ASSERT_GE(small, 0);
	if (size < EVENT << X1_TL_MAX_LOG2)
		EXPECT_EQ(-E2BIG, timeline(small, COPIES, X1_TL_MAX_LOG2));
	close(small);

	tl = recording(self->fd, COPIES, LOG2);
	ASSERT_GE(tl, 0);
	ASSERT_EQ(0, fills(&self->c, 3, 0));
	EXPECT_EQ(-1, read(tl, self->e, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(tl, self->e, EVENT - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EFAULT, take(tl, wild, 3));
	EXPECT_EQ(-1, write(tl, self->e, EVENT));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, tl, 0));
	EXPECT_EQ(-ENOTTY, util_ioctl(tl, DRM_IOCTL_SILIFLOW_QUERY, self->e));
	EXPECT_EQ(-EFAULT, util_ioctl(tl, SILIFLOW_TIMELINE_STATUS, (void *)BAD_POINTER));
	/* Nothing of that has taken an event. */
	ASSERT_EQ(0, count(tl, &recorded, &lost));
	EXPECT_EQ(3, recorded);
	EXPECT_EQ(3, take(tl, self->e, 8));
	/* Half a record is no record. */
	ASSERT_EQ(0, fills(&self->c, 3, 0));
	last = (char *)self->e;
	ASSERT_EQ(EVENT, read(tl, last, 2 * EVENT - 1));
	EXPECT_EQ(2, take(tl, self->e, 8));
	close(tl);
}

/* One at a time, from wherever it comes; the ring's memory comes back. */
TEST_F(timeline, one_at_a_time)
{
	struct drm_siliflow_query_memory before, during, after;
	int tl, other = util_open();

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, util_query(other, DRM_SILIFLOW_QUERY_MEMORY, &before, sizeof(before)));
	tl = recording(self->fd, COPIES, 16);
	ASSERT_GE(tl, 0);
	ASSERT_EQ(0, util_query(other, DRM_SILIFLOW_QUERY_MEMORY, &during, sizeof(during)));
	EXPECT_EQ(before.hbm_used + (EVENT << 16), during.hbm_used);
	EXPECT_EQ(-EBUSY, timeline(self->fd, COPIES, LOG2));
	EXPECT_EQ(-EBUSY, timeline(other, COPIES, LOG2));
	close(tl);
	ASSERT_EQ(0, util_query(other, DRM_SILIFLOW_QUERY_MEMORY, &after, sizeof(after)));
	EXPECT_EQ(before.hbm_used, after.hbm_used);
	tl = recording(other, COPIES, LOG2);
	EXPECT_GE(tl, 0);
	close(tl);
	close(other);
}

/* It is a file of its own: it outlives that of the device, and keeps the device awake. */
TEST_F(timeline, outlives_its_file)
{
	char dir[PATH_MAX], path[PATH_MAX + 32], text[32];
	int fd = util_open(), tl;

	ASSERT_GE(fd, 0);
	tl = recording(fd, COPIES, LOG2);
	ASSERT_GE(tl, 0);
	close(fd);
	ASSERT_EQ(0, fills(&self->c, 2, 0));
	util_teardown(&self->c);
	close(self->fd);
	sleep(2);
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", dir));
	snprintf(path, sizeof(path), "%s/power/runtime_status", dir);
	ASSERT_EQ(0, util_read_file(path, text, sizeof(text)));
	EXPECT_STREQ("active", text);
	EXPECT_EQ(2, take(tl, self->e, 8));
	close(tl);
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

/* In a child: with these capabilities and no others. */
static int with_capabilities(int fd, uint64_t caps, int (*what)(int fd))
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};
	pid_t child = fork();
	int status;

	if (!child) {
		if (syscall(SYS_capset, &head, data))
			_exit(99);
		_exit(-what(fd));
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static int just_open(int fd)
{
	int tl = timeline(fd, COPIES, LOG2);

	return tl < 0 ? tl : 0;
}

static int read_counters(int fd)
{
	struct drm_siliflow_query_counters c;

	return util_query(fd, DRM_SILIFLOW_QUERY_COUNTERS, &c, sizeof(c));
}

static int size_of_counters(int fd)
{
	struct drm_siliflow_query q = { .type = DRM_SILIFLOW_QUERY_COUNTERS };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUERY, &q);
}

/* What others do is not for everybody. */
TEST_F(timeline, privilege)
{
	EXPECT_EQ(-EPERM, with_capabilities(self->fd, 0, just_open));
	EXPECT_EQ(-EPERM, with_capabilities(self->fd, 0, read_counters));
	EXPECT_EQ(0, with_capabilities(self->fd, 0, size_of_counters));
	EXPECT_EQ(0, with_capabilities(self->fd, 1ull << CAP_PERFMON, just_open));
	EXPECT_EQ(0, with_capabilities(self->fd, 1ull << CAP_PERFMON, read_counters));
}

FIXTURE(timeline_end) {
	struct util_ctx c;
	struct x1_tl_event e[64];
	char dir[PATH_MAX];
	int fd, tl;
};

/* What ends a recording: the device's reset by its register, or of its function. */
FIXTURE_VARIANT(timeline_end) {
	bool function;
};

FIXTURE_VARIANT_ADD(timeline_end, device) {
	.function = false,
};

FIXTURE_VARIANT_ADD(timeline_end, function) {
	.function = true,
};

FIXTURE_SETUP(timeline_end)
{
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	self->tl = recording(self->fd, COPIES, LOG2);
	ASSERT_GE(self->tl, 0);
}

FIXTURE_TEARDOWN(timeline_end)
{
	close(self->tl);
	util_teardown(&self->c);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

static int reset(const char *dir, bool function)
{
	char path[PATH_MAX + 64];

	if (function)
		snprintf(path, sizeof(path), "%s/reset", dir);
	else
		snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%.64s/recover",
			 strrchr(dir, '/') + 1);
	return util_write_file(path, function ? "1" : "device");
}

/* The rest can be read, then the file says why there is no more. Another may record. */
TEST_F(timeline_end, reset)
{
	uint64_t recorded, lost;
	int again = -EBUSY;

	ASSERT_EQ(0, fills(&self->c, 5, 10));
	ASSERT_EQ(2, take(self->tl, self->e, 2));
	ASSERT_EQ(0, reset(self->dir, variant->function));
	/* The one is done on return, the other soon. */
	for (int i = 0; i < 300 && again == -EBUSY; i++) {
		again = recording(self->fd, COPIES, LOG2);
		if (again == -EBUSY)
			usleep(100000);
	}
	ASSERT_GE(again, 0);
	ASSERT_EQ(0, fills(&self->c, 1, 99));
	EXPECT_EQ(POLLIN, poll_for(self->tl, 0));
	ASSERT_EQ(3, take(self->tl, self->e, 64));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(12 + i, self->e[i].arg);
	EXPECT_EQ(-ECANCELED, take(self->tl, self->e, 64));
	EXPECT_EQ(POLLHUP, poll_for(self->tl, -1));
	ASSERT_EQ(0, count(self->tl, &recorded, &lost));
	EXPECT_EQ(5, recorded);
	/* The end of the one is not that of the other. */
	close(self->tl);
	self->tl = again;
	ASSERT_EQ(1, take(self->tl, self->e, 64));
	EXPECT_EQ(99, self->e[0].arg);
}

/* Who sleeps in poll() is woken. */
TEST_F(timeline_end, wakes)
{
	pid_t sleeper = fork();
	int status;

	ASSERT_GE(sleeper, 0);
	if (!sleeper)
		_exit(poll_for(self->tl, -1) != POLLHUP);
	usleep(20000);
	ASSERT_EQ(0, reset(self->dir, variant->function));
	ASSERT_EQ(sleeper, waitpid(sleeper, &status, 0));
	EXPECT_EQ(0, status);
}

FIXTURE(timeline_gone) {
	struct util_ctx c;
	struct x1_tl_event e[64];
	char dir[PATH_MAX];
	int fd, tl;
};

FIXTURE_SETUP(timeline_gone)
{
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", self->dir));
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	self->tl = timeline(self->fd, COPIES, LOG2);
	ASSERT_GE(self->tl, 0);
}

FIXTURE_TEARDOWN(timeline_gone)
{
	EXPECT_EQ(0, util_usable_again());
}

/* The driver lets the device go while a process waits for events. */
TEST_F(timeline_gone, unbind)
{
	const char *name = basename(self->dir);
	uint64_t recorded, lost;
	pid_t reader;
	int status;

	ASSERT_EQ(0, fills(&self->c, 3, 0));
	ASSERT_EQ(3, take(self->tl, self->e, 8));
	reader = fork();
	ASSERT_GE(reader, 0);
	if (!reader)
		_exit(take(self->tl, self->e, 8) != -ENODEV);
	usleep(20000);
	munmap(self->c.cmds, UTIL_BYTES);
	munmap(self->c.data, UTIL_BYTES);
	munmap(self->c.prog, UTIL_BYTES);
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/unbind", name));
	ASSERT_EQ(reader, waitpid(reader, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ENODEV, take(self->tl, self->e, 8));
	EXPECT_EQ(POLLHUP, poll_for(self->tl, -1));
	ASSERT_EQ(0, count(self->tl, &recorded, &lost));
	EXPECT_EQ(3, recorded);
	EXPECT_EQ(-ENODEV, timeline(self->fd, COPIES, LOG2));
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/bind", name));
	/* What is left of the old one is closed while there is a new one. */
	close(self->tl);
	close(self->fd);
}

TEST_HARNESS_MAIN
