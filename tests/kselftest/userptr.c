// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the process, mapped in a VM: contents, and what the device has when
 * the process's memory changes under it.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <pthread.h>
#include <sys/wait.h>

#define HUGE (2ull << 20)
#define SIZE (2 * HUGE)
#define ADDR (1ull << 40)
#define GATE_WORD 100

FIXTURE(userptr) {
	struct util_ctx c;
	uint32_t *mem;
	int fd;
};

static uint32_t *pages(void *at, size_t size, int prot)
{
	return mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
}

FIXTURE_SETUP(userptr)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	self->mem = pages(NULL, SIZE, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(userptr)
{
	util_teardown(&self->c);
	close(self->fd);
	munmap(self->mem, SIZE);
	EXPECT_EQ(0, util_usable());
}

static struct drm_siliflow_bind_op user_op(void *mem, uint64_t addr, uint64_t range,
					   uint32_t flags)
{
	return (struct drm_siliflow_bind_op){
		.op = DRM_SILIFLOW_BIND_MAP_USER, .flags = flags, .bo_offset = (uintptr_t)mem,
		.addr = addr, .range = range };
}

static int bind_op(int fd, uint32_t vm, struct drm_siliflow_bind_op op)
{
	struct drm_siliflow_vm_bind b = {
		.vm = vm, .num_ops = 1, .op_stride = sizeof(op), .ops = (uintptr_t)&op };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);
}

static int bind_user(struct util_ctx *c, void *mem, uint64_t addr, uint64_t range, uint32_t flags)
{
	return bind_op(c->fd, c->vm, user_op(mem, addr, range, flags));
}

static void cmd_fill(struct util_ctx *c, unsigned int i, uint64_t addr, uint32_t value,
		     uint64_t bytes)
{
	c->cmds[i] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = bytes, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
}

static int fill(struct util_ctx *c, uint64_t addr, uint32_t value, uint64_t bytes)
{
	cmd_fill(c, 0, addr, value, bytes);
	return util_run(c, 1);
}

static int peek(struct util_ctx *c, uint64_t addr, uint32_t *value)
{
	int ret;

	util_cmd_fetch(c, 0, addr, 1);
	ret = util_run(c, 1);
	*value = c->data[0];
	return ret;
}

#define EXPECT_WORD(value, addr)                             \
	do {                                                 \
		uint32_t word_;                              \
		EXPECT_EQ(0, peek(&self->c, addr, &word_));  \
		EXPECT_EQ(value, word_);                     \
	} while (0)

/* Both directions, of pages that were there and pages that were not. */
TEST_F(userptr, contents)
{
	for (size_t i = 0; i < HUGE / 4; i += 1024)
		self->mem[i] = i;
	ASSERT_EQ(0, bind_user(&self->c, self->mem, ADDR, SIZE, 0));
	for (size_t i = 0; i < HUGE / 4; i += 32 * 1024)
		EXPECT_WORD(i, ADDR + 4 * i);
	EXPECT_WORD(0, ADDR + HUGE);
	ASSERT_EQ(0, fill(&self->c, ADDR, 0x77, SIZE));
	for (size_t i = 0; i < SIZE / 4; i += 64)
		ASSERT_EQ(0x77, self->mem[i]);
	self->mem[5] = 5;
	EXPECT_WORD(5, ADDR + 20);
}

/* Pages that others share: a memfd, and the same memory in two VMs. */
TEST_F(userptr, shared_memory)
{
	int memfd = memfd_create("userptr", MFD_CLOEXEC);
	uint32_t *one, *two;
	struct util_ctx other;

	ASSERT_EQ(0, ftruncate(memfd, 65536));
	one = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	two = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	close(memfd);
	ASSERT_EQ(0, util_setup(&other, self->fd));
	ASSERT_EQ(0, bind_user(&self->c, one, ADDR, 65536, 0));
	ASSERT_EQ(0, bind_user(&other, one, ADDR + 4096, 65536, 0));
	ASSERT_EQ(0, fill(&self->c, ADDR, 1, 65536));
	EXPECT_EQ(1, two[16383]);
	ASSERT_EQ(0, fill(&other, ADDR + 4096, 2, 4));
	EXPECT_EQ(2, two[0]);
	EXPECT_WORD(2, ADDR);
	/* Through the other mapping it goes on. */
	munmap(one, 65536);
	EXPECT_EQ(1, two[1]);
	munmap(two, 65536);
	util_teardown(&other);
}

/* Other pages, none, and some again: the device has what the process has. */
TEST_F(userptr, replaced)
{
	struct util_ctx *c = &self->c;

	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, fill(c, ADDR, 1, SIZE));
	ASSERT_EQ(self->mem, pages(self->mem, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, self->mem[0]);
	EXPECT_WORD(0, ADDR);
	ASSERT_EQ(0, fill(c, ADDR + HUGE, 2, 4));
	EXPECT_EQ(2, self->mem[HUGE / 4]);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, fill(c, ADDR, 3, 4096));
	EXPECT_EQ(3, self->mem[1023]);
	EXPECT_EQ(0, self->mem[HUGE / 4]);
	EXPECT_WORD(0, ADDR + HUGE);
	/* One page alone, back and forth. */
	for (uint32_t i = 0; i < 20; i++) {
		ASSERT_EQ(0, madvise(self->mem + 1024, 4096, MADV_DONTNEED));
		ASSERT_EQ(0, fill(c, ADDR + 4096, i, 4));
		EXPECT_EQ(i, self->mem[1024]);
		EXPECT_EQ(3, self->mem[1023]);
	}
}

/* Where the process has nothing any more the device faults, until it is bound again. */
TEST_F(userptr, gone)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_state s;

	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, fill(c, ADDR, 1, SIZE));
	munmap(self->mem, 4096);
	/* What does not use it is not hurt. */
	ASSERT_EQ(0, fill(c, UTIL_DATA, 2, 4));
	EXPECT_EQ(2, c->data[0]);
	EXPECT_EQ(-EIO, fill(c, ADDR + HUGE, 3, 4));
	ASSERT_EQ(0, util_queue_state(c->fd, c->queue, &s));
	EXPECT_EQ(X1_FAULT_UNMAPPED, s.fault_code);
	EXPECT_EQ(ADDR + HUGE, s.fault_addr);
	EXPECT_EQ(1, self->mem[HUGE / 4]);
	ASSERT_EQ(self->mem, pages(self->mem, 4096, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, util_queue_destroy(c->fd, c->queue));
	ASSERT_EQ(0, util_queue(c->fd, c->vm, &c->queue));
	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, fill(c, ADDR, 4, SIZE));
	EXPECT_EQ(4, self->mem[0]);
}

/* Rights of the process are the device's, when it is bound and later. */
TEST_F(userptr, rights)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_state s;

	self->mem[0] = 9;
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(-EFAULT, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, SILIFLOW_BIND_READONLY));
	EXPECT_WORD(9, ADDR);
	EXPECT_EQ(-EIO, fill(c, ADDR, 1, 4));
	ASSERT_EQ(0, util_queue_state(c->fd, c->queue, &s));
	EXPECT_EQ(X1_FAULT_PERMISSION, s.fault_code);
	EXPECT_EQ(9, self->mem[0]);
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, util_queue_destroy(c->fd, c->queue));
	ASSERT_EQ(0, util_queue(c->fd, c->vm, &c->queue));
	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, fill(c, ADDR, 2, 4));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(-EIO, fill(c, ADDR, 3, 4));
	EXPECT_EQ(2, self->mem[0]);
}

/* After fork() each has his own, and the device goes on with the parent's. */
TEST_F(userptr, fork)
{
	int status;
	pid_t child;

	ASSERT_EQ(0, bind_user(&self->c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, fill(&self->c, ADDR, 1, SIZE));
	child = fork();
	if (!child) {
		usleep(200000);
		_exit(self->mem[0] != 1 || self->mem[SIZE / 4 - 1] != 1);
	}
	ASSERT_EQ(0, fill(&self->c, ADDR, 2, SIZE));
	EXPECT_EQ(2, self->mem[0]);
	EXPECT_EQ(2, self->mem[SIZE / 4 - 1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* A hole in the middle, and other mappings beside it, stay when all comes back. */
TEST_F(userptr, splits)
{
	struct util_ctx *c = &self->c;

	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, util_bind(c->fd, c->vm, c->data_bo, ADDR + HUGE, 8192, 0));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, fill(c, ADDR, 1, SIZE));
	EXPECT_EQ(1, self->mem[0]);
	EXPECT_EQ(1, self->mem[HUGE / 4 - 1]);
	EXPECT_EQ(0, self->mem[HUGE / 4]);
	EXPECT_EQ(0, self->mem[HUGE / 4 + 2047]);
	EXPECT_EQ(1, self->mem[HUGE / 4 + 2048]);
	EXPECT_EQ(1, c->data[0]);
	EXPECT_EQ(1, c->data[2047]);
	EXPECT_EQ(0, c->data[2048]);
	ASSERT_EQ(0, util_unbind(c->fd, c->vm, ADDR, HUGE));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, fill(c, ADDR + HUGE + 8192, 2, HUGE - 8192));
	EXPECT_EQ(2, self->mem[SIZE / 4 - 1]);
	EXPECT_EQ(0, self->mem[0]);
	EXPECT_EQ(-EIO, fill(c, ADDR, 3, 4));
}

struct unmapper {
	void *mem;
	volatile bool done;
	volatile uint32_t round;
};

static void *unmap_it(void *arg)
{
	struct unmapper *u = arg;

	munmap(u->mem, SIZE);
	u->done = true;
	return NULL;
}

/* The pages stay until what uses them has ended. */
TEST_F(userptr, waits_for_jobs)
{
	struct util_ctx *c = &self->c;
	struct unmapper u = { .mem = self->mem };
	pthread_t thread;

	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, SIZE, 0));
	util_cmd_wait(c, 0, GATE_WORD, 1);
	cmd_fill(c, 1, ADDR, 1, SIZE);
	ASSERT_EQ(0, util_submit(c->fd, c->queue, UTIL_CMDS, 2, 0, c->syncobj));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_it, &u));
	usleep(100000);
	EXPECT_FALSE(u.done);
	*(volatile uint32_t *)&c->data[GATE_WORD] = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, util_syncobj_wait(c->fd, c->syncobj, 0));
	EXPECT_EQ(0, util_syncobj_error(c->fd, c->syncobj));
	EXPECT_EQ(-EIO, fill(c, ADDR, 2, 4));
}

/* Some changes in each round: without an end to them no job would ever have its pages. */
#define CHANGES 4

static void *churn(void *arg)
{
	struct unmapper *u = arg;
	unsigned int seen = 0;

	while (!u->done) {
		if (u->round == seen) {
			usleep(100);
			continue;
		}
		seen = u->round;
		for (int i = 0; i < CHANGES; i++) {
			madvise((char *)u->mem + HUGE, HUGE, MADV_DONTNEED);
			usleep(rand() % 3000);
		}
	}
	return NULL;
}

/* Memory that changes under work that goes on. */
TEST_F_TIMEOUT(userptr, churn, 240)
{
	struct unmapper u = { .mem = self->mem };
	pthread_t thread;

	ASSERT_EQ(0, bind_user(&self->c, self->mem, ADDR, SIZE, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &u));
	for (uint32_t i = 1; i < 50; i++) {
		u.round = i;
		ASSERT_EQ(0, fill(&self->c, ADDR, i, SIZE));
		EXPECT_EQ(i, self->mem[0]);
		EXPECT_EQ(i, self->mem[HUGE / 4 - 1]);
	}
	u.done = true;
	pthread_join(thread, NULL);
}

/* In its turn, with other operations; until then what it replaces is there. */
TEST_F(userptr, asynchronous)
{
	struct util_ctx *c = &self->c, gate;
	struct drm_siliflow_bind_op ops[2] = {
		user_op(self->mem, UTIL_DATA, 65536, 0), user_op(self->mem + HUGE / 4, ADDR, HUGE, 0) };
	struct drm_siliflow_sync in, out;
	struct drm_siliflow_vm_bind b = {
		.vm = c->vm, .flags = SILIFLOW_VM_BIND_ASYNC, .num_ops = 2,
		.op_stride = sizeof(ops[0]), .ops = (uintptr_t)ops, .num_in_syncs = 1,
		.num_out_syncs = 1, .in_syncs = (uintptr_t)&in, .out_syncs = (uintptr_t)&out };
	uint32_t done;

	/* What is replaced has been revoked before. */
	ASSERT_EQ(0, bind_user(c, self->mem, ADDR, HUGE, 0));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, util_setup(&gate, self->fd));
	ASSERT_EQ(0, util_syncobj(self->fd, &done));
	util_cmd_wait(&gate, 0, GATE_WORD, 1);
	ASSERT_EQ(0, util_submit(self->fd, gate.queue, UTIL_CMDS, 1, 0, gate.syncobj));
	in = (struct drm_siliflow_sync){ .handle = gate.syncobj };
	out = (struct drm_siliflow_sync){ .handle = done };
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b));
	ASSERT_EQ(0, fill(c, ADDR, 1, 4));
	EXPECT_EQ(1, self->mem[0]);
	ASSERT_EQ(0, fill(c, UTIL_DATA, 2, 4));
	EXPECT_EQ(2, c->data[0]);
	EXPECT_EQ(-ETIME, util_syncobj_wait(self->fd, done, 50));
	*(volatile uint32_t *)&gate.data[GATE_WORD] = 1;
	ASSERT_EQ(0, util_syncobj_wait(self->fd, done, 60000));
	ASSERT_EQ(0, fill(c, ADDR, 3, HUGE));
	ASSERT_EQ(0, fill(c, UTIL_DATA, 4, 4));
	EXPECT_EQ(4, self->mem[0]);
	EXPECT_EQ(3, self->mem[HUGE / 4]);
	EXPECT_EQ(2, c->data[0]);
	util_teardown(&gate);
}

/* A user queue is suspended while its memory changes, and goes on with what is there then. */
TEST_F_TIMEOUT(userptr, user_queue, 240)
{
	struct drm_siliflow_queue_create q = {
		.flags = SILIFLOW_QUEUE_USER, .ring_addr = UTIL_CMDS, .ring_log2 = 8 };
	struct drm_siliflow_wait_value w = {};
	struct drm_siliflow_queue_state s;
	volatile uint32_t *doorbell;
	struct util_ctx u;

	ASSERT_EQ(0, util_setup_vm(&u, self->fd, SILIFLOW_VM_LONG_RUNNING));
	ASSERT_EQ(0, bind_user(&u, self->mem, ADDR, SIZE, 0));
	q.vm = u.vm;
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	doorbell = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			(off_t)q.doorbell_offset);
	ASSERT_NE(MAP_FAILED, doorbell);
	w.queue = q.queue;
	w.ptr = (uintptr_t)u.data;
	w.timeout_ns = util_deadline(60000);
	for (uint32_t i = 1; i <= 40; i++) {
		cmd_fill(&u, 2 * (i - 1), ADDR, i, SIZE);
		u.cmds[2 * i - 1] = (union x1_cmd){ .sync = {
			.hdr.op = X1_CMD_FENCE, .hdr.flags = X1_FENCE_IRQ, .addr = UTIL_DATA,
			.value = i } };
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		*doorbell = 2 * i;
		/* Half of the time while it runs. */
		if (i % 2)
			ASSERT_EQ(0, madvise(self->mem + HUGE / 4, HUGE, MADV_DONTNEED));
		w.value = i;
		ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w));
		EXPECT_EQ(i, self->mem[0]);
		EXPECT_EQ(i, self->mem[HUGE / 4 - 1]);
		if (i % 2 == 0) {
			EXPECT_EQ(i, self->mem[SIZE / 4 - 1]);
			ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
		}
	}
	ASSERT_EQ(0, util_queue_state(self->fd, q.queue, &s));
	EXPECT_EQ(0, s.state);
	munmap((void *)doorbell, 4096);
	u.queue = q.queue;
	util_teardown(&u);
}

/* The process ends with work that uses its memory in flight. */
TEST_F(userptr, process_ends)
{
	int status;
	pid_t child = fork();

	if (!child) {
		struct util_ctx c;
		int fd = util_open();

		if (util_setup(&c, fd) || bind_user(&c, self->mem, ADDR, SIZE, 0))
			_exit(1);
		for (unsigned int i = 0; i < 32; i++)
			cmd_fill(&c, i, ADDR, i, SIZE);
		_exit(util_submit(fd, c.queue, UTIL_CMDS, 32, 0, c.syncobj) != 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, self->mem[0]);
}

TEST_F(userptr, bad_values)
{
	struct util_ctx *c = &self->c;
	const struct drm_siliflow_bind_op good = user_op(self->mem, ADDR, SIZE, 0);
	struct drm_siliflow_bind_op op;
	uint32_t *bo_map;

#define BAD(error, field, value)                                           \
	do {                                                               \
		op = good;                                                 \
		op.field = value;                                          \
		EXPECT_EQ(error, bind_op(self->fd, c->vm, op))             \
			TH_LOG(#field " = " #value);                       \
	} while (0)
	BAD(0, pad, 0);
	BAD(-EINVAL, op, DRM_SILIFLOW_BIND_MAP_USER + 1);
	BAD(-EINVAL, flags, SILIFLOW_BIND_FLAGS + 1);
	BAD(-EINVAL, handle, c->data_bo);
	BAD(-EINVAL, pad, 1);
	BAD(-EINVAL, bo_offset, good.bo_offset + 4);
	BAD(-EFAULT, bo_offset, 0);
	BAD(-EFAULT, bo_offset, 0xffff888000000000ull);
	BAD(-EFAULT, bo_offset, ~0xfffull);
	BAD(-EINVAL, addr, ADDR + 1);
	BAD(-EINVAL, addr, 0);
	BAD(-EINVAL, addr, ~0xfffull);
	BAD(-EINVAL, range, 0);
	BAD(-EINVAL, range, 100);
	BAD(-EINVAL, range, ~0xfffull);
	/* More than the process has. */
	BAD(-EFAULT, range, 1ull << 29);
	/* What has no pages of its own: a buffer of the device. */
	bo_map = util_map(self->fd, c->data_bo, UTIL_BYTES);
	ASSERT_NE(MAP_FAILED, bo_map);
	bo_map[0] = 1;
	EXPECT_EQ(-EFAULT, bind_user(c, bo_map, ADDR, UTIL_BYTES, 0));
	munmap(bo_map, UTIL_BYTES);
	/* All or nothing: what was there is. */
	ASSERT_EQ(0, fill(c, ADDR, 1, SIZE));
	EXPECT_EQ(1, self->mem[SIZE / 4 - 1]);
#undef BAD
}

TEST_HARNESS_MAIN
