// SPDX-License-Identifier: GPL-2.0
/*
 * The n-th allocation fails, for every n that each ioctl reaches: the call
 * says -ENOMEM or does without, what it had begun is undone, and the next one
 * works. Needs a kernel with CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <x1/x1_timeline.h>

#define DEBUGFS "/sys/kernel/debug/"
#define MAX_NTH 3000
#define ADDR	0x40000000ull
#define HUGE	(2u << 20)

FIXTURE(fail_nth) {
	struct util_ctx c;
	uint32_t bo, huge;
	int fd, nth;
	/* Injections that a call reported, and that it did without. */
	unsigned int reported, survived;
};

/* Where a function of the kernel begins, or, given no name, where the next one after it does. */
static unsigned long long find_text(const char *wanted, unsigned long long after)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long long at, found = UINT64_MAX;
	char line[512], name[256], type;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %255s", &at, &type, name) != 3 ||
		    (type != 't' && type != 'T') || (wanted && strcmp(name, wanted)))
			continue;
		if (at > after && at < found)
			found = at;
	}
	if (f)
		fclose(f);
	return found == UINT64_MAX ? 0 : found;
}

/*
 * A buddy allocator whose split fails puts the block among the free ones twice
 * and stops the kernel a little later: not this driver's to survive.
 */
static int spare_buddy(void)
{
	unsigned long long from = find_text("gpu_buddy_alloc_blocks", 0);
	char text[32];
	int ret;

	if (!from)
		from = find_text("drm_buddy_alloc_blocks", 0);
	if (!from)
		return -ENOENT;
	snprintf(text, sizeof(text), "0x%llx", from);
	ret = util_write_file(DEBUGFS "failslab/reject-start", text);
	snprintf(text, sizeof(text), "0x%llx", find_text(NULL, from));
	return ret ? ret : util_write_file(DEBUGFS "failslab/reject-end", text);
}

FIXTURE_SETUP(fail_nth)
{
	static const char *const knobs[] = {
		"failslab/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-wait",
		"fail_page_alloc/ignore-gfp-highmem",
	};

	if (access(DEBUGFS "failslab", F_OK) || access("/proc/thread-self/fail-nth", F_OK))
		SKIP(return, "no fault injection in this kernel");
	for (size_t i = 0; i < ARRAY_SIZE_T(knobs); i++) {
		char path[64];

		snprintf(path, sizeof(path), DEBUGFS "%s", knobs[i]);
		ASSERT_EQ(0, util_write_file(path, "N"));
	}
	ASSERT_EQ(0, util_write_file(DEBUGFS "fail_page_alloc/min-order", "0"));
	/* Without a stack for each. */
	ASSERT_EQ(0, util_write_file(DEBUGFS "failslab/verbose", "0"));
	ASSERT_EQ(0, util_write_file(DEBUGFS "fail_page_alloc/verbose", "0"));
	ASSERT_EQ(0, spare_buddy());
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->nth, 0);
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	ASSERT_EQ(0, util_bo(self->fd, UTIL_BYTES, SILIFLOW_BO_HBM, &self->bo));
	ASSERT_EQ(0, util_bo(self->fd, HUGE, SILIFLOW_BO_SYSTEM, &self->huge));
}

FIXTURE_TEARDOWN(fail_nth)
{
	close(self->nth);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/*
 * One call with its n-th allocation failing. True where the call had less than
 * n: it was undisturbed.
 */
static bool fails(struct __test_metadata *_metadata, FIXTURE_DATA(fail_nth) *self, int n,
		  int (*call)(FIXTURE_DATA(fail_nth) *self))
{
	char text[16];
	ssize_t len;
	int ret;

	snprintf(text, sizeof(text), "%d", n);
	if (pwrite(self->nth, text, strlen(text), 0) < 0)
		return true;
	ret = call(self);
	len = pread(self->nth, text, sizeof(text) - 1, 0);
	if (pwrite(self->nth, "0", 1, 0) < 0 || len <= 0)
		return true;
	text[len] = 0;
	if (atoi(text)) {
		EXPECT_EQ(0, ret);
		return true;
	}
	if (ret)
		self->reported++;
	else
		self->survived++;
	EXPECT_TRUE(!ret || ret == -ENOMEM) {
		TH_LOG("allocation %d: %d", n, ret);
	}
	return false;
}

/* call until all of its allocations have failed once; undo, where it succeeded. */
static void all(struct __test_metadata *_metadata, FIXTURE_DATA(fail_nth) *self,
		int (*call)(FIXTURE_DATA(fail_nth) *self), void (*undo)(FIXTURE_DATA(fail_nth) *self))
{
	int n = 1;

	while (n < MAX_NTH) {
		unsigned int reported = self->reported;
		bool done = fails(_metadata, self, n, call);

		if (undo && reported == self->reported)
			undo(self);
		if (done)
			break;
		n++;
	}
	ASSERT_LT(n, MAX_NTH);
	/* Else nothing has been tested. */
	EXPECT_GT(n, 1);
	TH_LOG("%u reported, %u done without", self->reported, self->survived);
}

static uint32_t made;
static int node;

static int call_open(FIXTURE_DATA(fail_nth) *self)
{
	node = util_open();
	return node < 0 ? -errno : 0;
}

static void undo_open(FIXTURE_DATA(fail_nth) *self)
{
	close(node);
}

TEST_F(fail_nth, open)
{
	all(_metadata, self, call_open, undo_open);
}

static int call_query(FIXTURE_DATA(fail_nth) *self)
{
	struct drm_siliflow_query_telemetry t;

	return util_query(self->fd, DRM_SILIFLOW_QUERY_TELEMETRY, &t, sizeof(t));
}

/* The answer comes from the firmware, by a mailbox that needs no memory of its own. */
TEST_F(fail_nth, query)
{
	for (int n = 1; n < MAX_NTH && !fails(_metadata, self, n, call_query); n++)
		;
}

static int call_counters(FIXTURE_DATA(fail_nth) *self)
{
	struct drm_siliflow_query_counters c;

	return util_query(self->fd, DRM_SILIFLOW_QUERY_COUNTERS, &c, sizeof(c));
}

static int call_timeline(FIXTURE_DATA(fail_nth) *self)
{
	struct drm_siliflow_timeline_open o = { .kinds = X1_TL_MASK_ALL, .log2 = 12 };
	int ret = util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN, &o);

	made = o.fd;
	return ret;
}

static void undo_timeline(FIXTURE_DATA(fail_nth) *self)
{
	close(made);
}

/* A recording that was refused holds nobody else up. */
TEST_F(fail_nth, timeline)
{
	all(_metadata, self, call_counters, NULL);
	all(_metadata, self, call_timeline, undo_timeline);
}

static int call_bo_hbm(FIXTURE_DATA(fail_nth) *self)
{
	return util_bo(self->fd, UTIL_BYTES, SILIFLOW_BO_HBM, &made);
}

static int call_bo_system(FIXTURE_DATA(fail_nth) *self)
{
	return util_bo(self->fd, HUGE, SILIFLOW_BO_SYSTEM, &made);
}

static void undo_bo(FIXTURE_DATA(fail_nth) *self)
{
	util_bo_close(self->fd, made);
}

TEST_F(fail_nth, bo_create)
{
	all(_metadata, self, call_bo_hbm, undo_bo);
	all(_metadata, self, call_bo_system, undo_bo);
}

static int call_vm(FIXTURE_DATA(fail_nth) *self)
{
	return util_vm(self->fd, &made);
}

static void undo_vm(FIXTURE_DATA(fail_nth) *self)
{
	util_vm_destroy(self->fd, made);
}

TEST_F(fail_nth, vm_create)
{
	all(_metadata, self, call_vm, undo_vm);
}

static int call_bind(FIXTURE_DATA(fail_nth) *self)
{
	return util_bind(self->fd, self->c.vm, self->bo, ADDR, UTIL_BYTES, 0);
}

static int call_bind_huge(FIXTURE_DATA(fail_nth) *self)
{
	return util_bind(self->fd, self->c.vm, self->huge, ADDR, HUGE, 0);
}

static void undo_bind(FIXTURE_DATA(fail_nth) *self)
{
	util_unbind(self->fd, self->c.vm, ADDR, HUGE);
}

TEST_F(fail_nth, bind)
{
	all(_metadata, self, call_bind, undo_bind);
	all(_metadata, self, call_bind_huge, undo_bind);
}

/* A hole in the middle: one mapping becomes two. */
static int call_split(FIXTURE_DATA(fail_nth) *self)
{
	return util_unbind(self->fd, self->c.vm, ADDR + HUGE / 2, 4096);
}

TEST_F(fail_nth, split)
{
	int n;

	for (n = 1; n < MAX_NTH; n++) {
		ASSERT_EQ(0, call_bind_huge(self));
		if (fails(_metadata, self, n, call_split))
			break;
		/* All or nothing: where it was refused, the device still reads the page. */
		if (self->reported) {
			self->reported = 0;
			util_cmd_fetch(&self->c, 0, ADDR + HUGE / 2, 16);
			ASSERT_EQ(0, util_run(&self->c, 1));
		}
	}
	ASSERT_LT(n, MAX_NTH);
	EXPECT_GT(n, 1);
}

static int call_queue(FIXTURE_DATA(fail_nth) *self)
{
	return util_queue(self->fd, self->c.vm, &made);
}

static void undo_queue(FIXTURE_DATA(fail_nth) *self)
{
	util_queue_destroy(self->fd, made);
}

TEST_F(fail_nth, queue_create)
{
	all(_metadata, self, call_queue, undo_queue);
}

static int call_submit(FIXTURE_DATA(fail_nth) *self)
{
	return util_submit(self->fd, self->c.queue, UTIL_CMDS, 1, 0, self->c.syncobj);
}

static void undo_submit(FIXTURE_DATA(fail_nth) *self)
{
	util_syncobj_wait(self->fd, self->c.syncobj, 60000);
}

TEST_F(fail_nth, submit)
{
	util_cmd_fill(&self->c, 0, 1, 16);
	all(_metadata, self, call_submit, undo_submit);
	EXPECT_EQ(0, util_run(&self->c, 1));
	EXPECT_EQ(1, self->c.data[15]);
}

/* Many jobs: of those refused nothing runs. */
static int call_jobs(FIXTURE_DATA(fail_nth) *self)
{
	struct drm_siliflow_job jobs[8];
	struct drm_siliflow_submit s = {
		.queue = self->c.queue, .num_jobs = 8, .job_stride = sizeof(jobs[0]),
		.jobs = (uintptr_t)jobs };

	for (size_t i = 0; i < 8; i++)
		jobs[i] = (struct drm_siliflow_job){ .addr = UTIL_CMDS, .num_cmds = 1 };
	return util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s);
}

TEST_F(fail_nth, jobs)
{
	int n;

	for (n = 1; n < MAX_NTH; n++) {
		unsigned int reported = self->reported;

		self->c.data[0] = 0;
		util_cmd_fill(&self->c, 0, 7, 1);
		if (fails(_metadata, self, n, call_jobs))
			break;
		ASSERT_EQ(0, util_bo_wait(self->fd, self->c.data_bo, -1));
		EXPECT_EQ(reported != self->reported ? 0 : 7, self->c.data[0]);
	}
	ASSERT_LT(n, MAX_NTH);
	EXPECT_GT(n, 1);
}

TEST_HARNESS_MAIN
