// SPDX-License-Identifier: GPL-2.0
/* User queues: ring and doorbell are the process's own, see QUEUE_CREATE and WAIT_VALUE. */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "siliflow_util.h"

#define PAGE 4096u

FIXTURE(userq) {
	struct util_userq u;
	int fd;
};

FIXTURE_SETUP(userq)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_userq(&self->u, self->fd));
}

FIXTURE_TEARDOWN(userq)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/* Far more commands than the ring has entries; the read pointer follows. */
TEST_F(userq, runs)
{
	struct util_userq *u = &self->u;

	u->c.prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(&u->c, 0, 1);
	for (uint64_t i = 1; i <= 100; i++) {
		for (int n = 0; n < 7; n++)
			util_push(u, &u->c.cmds[0]);
		util_push_fence(u, util_fence_addr(0), i, X1_FENCE_IRQ);
		util_ring(u);
		ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), i, 60000));
		/* It is written back a moment after the interrupt: none tells of it. */
		while (__atomic_load_n(u->rptr, __ATOMIC_ACQUIRE) < u->wptr)
			usleep(100);
	}
	EXPECT_EQ(u->wptr, u->doorbell[X1_DB_WPTR / 4]);
}

/* CALL works in a user ring, with the same address space. */
TEST_F(userq, call)
{
	struct util_userq *u = &self->u;

	util_cmd_fill(&u->c, 0, 77, 8);
	util_push(u, &(union x1_cmd){ .call = {
			.hdr.op = X1_CMD_CALL, .addr = UTIL_CMDS, .count = 1 } });
	util_push_fence(u, util_fence_addr(0), 1, X1_FENCE_IRQ);
	util_ring(u);
	ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	EXPECT_EQ(77, u->c.data[7]);
}

/* Two queues of one VM wait for each other through memory. */
TEST_F(userq, ping_pong)
{
	struct util_userq *u = &self->u, other;
	int fd = self->fd;

	other = *u;
	ASSERT_EQ(0, util_bo(fd, 2 * PAGE, SILIFLOW_BO_SYSTEM, &other.ring_bo));
	ASSERT_EQ(0, util_bind(fd, u->c.vm, other.ring_bo, UTIL_RING + (1 << 20), 2 * PAGE, 0));
	other.ring = util_map(fd, other.ring_bo, 2 * PAGE);
	ASSERT_NE(MAP_FAILED, other.ring);
	struct drm_siliflow_queue_create q = {
		.vm = u->c.vm, .flags = SILIFLOW_QUEUE_USER, .ring_addr = UTIL_RING + (1 << 20),
		.ring_log2 = UTIL_RING_LOG2 };
	ASSERT_EQ(0, util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	EXPECT_NE(u->offset, q.doorbell_offset);
	other.queue = q.queue;
	other.wptr = 0;
	other.doorbell = util_doorbell(fd, q.doorbell_offset);
	ASSERT_NE(NULL, other.doorbell);
	for (uint64_t i = 1; i <= 20; i++) {
		util_push_fence(u, util_fence_addr(0), i, 0);
		util_push(u, &(union x1_cmd){ .sync = {
				.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(1), .value = i } });
		util_push(&other, &(union x1_cmd){ .sync = {
				.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(0), .value = i } });
		util_push_fence(&other, util_fence_addr(1), i, 0);
	}
	util_push_fence(u, util_fence_addr(2), 1, X1_FENCE_IRQ);
	util_ring(&other);
	util_ring(u);
	EXPECT_EQ(0, util_wait_value(u, util_fence_word(u, 2), 1, 60000));
	EXPECT_EQ(20, *util_fence_word(u, 1));
}

/* No fence comes out of it: a wait for a buffer does not wait for the queue. */
TEST_F(userq, bo_wait_does_not_wait)
{
	struct util_userq *u = &self->u;

	util_push(u, &(union x1_cmd){ .sync = {
			.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(1), .value = 1 } });
	util_push_fence(u, util_fence_addr(0), 1, X1_FENCE_IRQ);
	util_ring(u);
	EXPECT_EQ(0, util_bo_wait(self->fd, u->c.data_bo, -1));
	EXPECT_EQ(-ETIME, util_wait_value(u, util_fence_word(u, 0), 1, 50));
	*util_fence_word(u, 1) = 1;
	EXPECT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
}

/* Bindings may change while the queue runs. */
TEST_F(userq, bind_while_running)
{
	const uint64_t addr = 1ull << 40;
	struct util_userq *u = &self->u;
	uint32_t bo, *map;

	for (uint64_t i = 1; i <= 10; i++) {
		ASSERT_EQ(0, util_bo(self->fd, PAGE, SILIFLOW_BO_HBM, &bo));
		map = util_map(self->fd, bo, PAGE);
		ASSERT_NE(MAP_FAILED, map);
		ASSERT_EQ(0, util_bind(self->fd, u->c.vm, bo, addr, PAGE, 0));
		util_cmd_fill(&u->c, 0, i, 4);
		u->c.cmds[0].fill.dst = addr;
		util_push(u, &u->c.cmds[0]);
		util_push_fence(u, util_fence_addr(0), i, X1_FENCE_IRQ);
		util_ring(u);
		ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), i, 60000));
		EXPECT_EQ(i, map[0]);
		munmap(map, PAGE);
		ASSERT_EQ(0, util_bo_close(self->fd, bo));
	}
}

/* A fault is the queue's alone, and whoever waits for it is told. */
TEST_F(userq, fault)
{
	struct util_userq *u = &self->u;
	struct drm_siliflow_queue_state s;

	util_push_fence(u, util_fence_addr(0), 1, 0);
	util_push(u, &(union x1_cmd){ .hdr.op = X1_CMD_COUNT });
	util_push_fence(u, util_fence_addr(0), 2, 0);
	util_ring(u);
	EXPECT_EQ(-EIO, util_wait_value(u, util_fence_word(u, 0), 2, 60000));
	EXPECT_EQ(1, *util_fence_word(u, 0));
	EXPECT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 1, 0));
	ASSERT_EQ(0, util_queue_state(self->fd, u->queue, &s));
	EXPECT_EQ(X1_FAULT_BAD_COMMAND, s.fault_code);
	EXPECT_EQ(SILIFLOW_QUEUE_FAULTED, s.state);
	/* The doorbell of a dead queue does nothing. */
	util_ring(u);
	ASSERT_EQ(0, util_queue_destroy(self->fd, u->queue));
	ASSERT_EQ(0, util_userq_create(u, 0));
	u->doorbell = util_doorbell(self->fd, u->offset);
	ASSERT_NE(NULL, u->doorbell);
	util_push_fence(u, util_fence_addr(0), 5, X1_FENCE_IRQ);
	util_ring(u);
	EXPECT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 5, 60000));
}

/* A write pointer past the ring is a fault, not a read beyond it. */
TEST_F(userq, doorbell_past_the_ring)
{
	struct util_userq *u = &self->u;
	struct drm_siliflow_queue_state s;

	u->wptr = (1u << UTIL_RING_LOG2) + 1;
	util_ring(u);
	EXPECT_EQ(-EIO, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	ASSERT_EQ(0, util_queue_state(self->fd, u->queue, &s));
	EXPECT_EQ(X1_FAULT_BAD_RING, s.fault_code);
}

/* A ring that is not mapped. */
TEST_F(userq, ring_unmapped)
{
	struct util_userq *u = &self->u;
	struct drm_siliflow_queue_state s;

	ASSERT_EQ(0, util_unbind(self->fd, u->c.vm, UTIL_RING, 2 * PAGE));
	util_push_fence(u, util_fence_addr(0), 1, 0);
	util_ring(u);
	EXPECT_EQ(-EIO, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	ASSERT_EQ(0, util_queue_state(self->fd, u->queue, &s));
	EXPECT_EQ(X1_FAULT_UNMAPPED, s.fault_code);
	EXPECT_EQ(UTIL_RING, s.fault_addr);
}

/*
 * The fence words of kernel queues lie from this address on, in the kernel's
 * address space (REQ-DEV-031): a user's ring does not reach them.
 */
TEST_F(userq, no_kernel_fence)
{
	const uint64_t kernel = X1_HUGE_SIZE + X1_NUM_QUEUES * 256ull * X1_CMD_BYTES;
	struct drm_siliflow_queue_state s;
	struct util_userq *u = &self->u;
	struct util_ctx victim;
	int fd = util_open();

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_setup(&victim, fd));
	util_cmd_wait(&victim, 0, 0, 1);
	ASSERT_EQ(0, util_submit(fd, victim.queue, UTIL_CMDS, 1, 0, victim.syncobj));
	for (uint64_t addr = kernel; addr < kernel + X1_NUM_QUEUES * 64; addr += 64) {
		util_push_fence(u, addr, ~0ull, X1_FENCE_IRQ);
		util_ring(u);
		ASSERT_EQ(-EIO, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
		ASSERT_EQ(0, util_queue_state(self->fd, u->queue, &s));
		EXPECT_EQ(X1_FAULT_UNMAPPED, s.fault_code);
		EXPECT_EQ(addr, s.fault_addr);
		munmap((void *)u->doorbell, PAGE);
		ASSERT_EQ(0, util_queue_destroy(self->fd, u->queue));
		ASSERT_EQ(0, util_userq_create(u, 0));
		u->doorbell = util_doorbell(self->fd, u->offset);
		ASSERT_NE(NULL, u->doorbell);
	}
	/* Nor does a mapping at the same address in the user's own VM. */
	ASSERT_EQ(0, util_bind(self->fd, u->c.vm, u->c.data_bo, kernel & ~4095ull, 8192, 0));
	for (unsigned int i = 0; i < 32; i++)
		util_push_fence(u, kernel + i * 64, ~0ull, X1_FENCE_IRQ);
	util_push_fence(u, util_fence_addr(0), 1, X1_FENCE_IRQ);
	util_ring(u);
	ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	EXPECT_EQ(-EBUSY, util_syncobj_error(fd, victim.syncobj));
	victim.data[0] = 1;
	EXPECT_EQ(0, util_syncobj_wait(fd, victim.syncobj, 60000));
	EXPECT_EQ(0, util_syncobj_error(fd, victim.syncobj));
	close(fd);
}

/* A doorbell that has been revoked does not ring for the slot's next owner. */
TEST_F(userq, revoked_doorbell)
{
	struct util_userq *u = &self->u;
	volatile uint32_t *old = u->doorbell;
	uint64_t offset = u->offset;

	/* Mapped, but not touched before the end. */
	volatile uint32_t *untouched = util_doorbell(self->fd, offset);

	ASSERT_NE(NULL, untouched);
	util_push_fence(u, util_fence_addr(0), 1, X1_FENCE_IRQ);
	util_ring(u);
	ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	ASSERT_EQ(0, util_queue_destroy(self->fd, u->queue));
	EXPECT_EQ(NULL, util_doorbell(self->fd, offset));
	ASSERT_EQ(0, util_userq_create(u, UTIL_RPTR));
	ASSERT_EQ(offset, u->offset);
	old[X1_DB_WPTR / 4] = 1;
	untouched[X1_DB_WPTR / 4] = 2;
	u->doorbell = util_doorbell(self->fd, offset);
	ASSERT_NE(NULL, u->doorbell);
	EXPECT_EQ(0, u->doorbell[X1_DB_WPTR / 4]);
	util_push_fence(u, util_fence_addr(0), 2, X1_FENCE_IRQ);
	util_ring(u);
	ASSERT_EQ(0, util_wait_value(u, util_fence_word(u, 0), 2, 60000));
	EXPECT_EQ(1, u->doorbell[X1_DB_WPTR / 4]);
	EXPECT_NE(1, untouched[X1_DB_WPTR / 4]);
}

TEST_F(userq, bad_mmap)
{
	struct util_userq *u = &self->u;
	const int prot = PROT_READ | PROT_WRITE;
	int fd = util_open();

	ASSERT_GE(fd, 0);
#define BAD(size, flags, fd, offset) \
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, prot, flags, fd, (off_t)(offset)))
	BAD(PAGE, MAP_PRIVATE, self->fd, u->offset);
	BAD(2 * PAGE, MAP_SHARED, self->fd, u->offset);
	BAD(PAGE, MAP_SHARED, self->fd, 0);
	for (uint64_t i = 1; i <= X1_NUM_QUEUES + 1; i++) {
		if (i * PAGE != u->offset)
			BAD(PAGE, MAP_SHARED, self->fd, i * PAGE);
		/* Somebody else's. */
		BAD(PAGE, MAP_SHARED, fd, i * PAGE);
	}
#undef BAD
	close(fd);
}

TEST_F(userq, bad_create)
{
	struct util_userq *u = &self->u;
	const struct drm_siliflow_queue_create good = {
		.vm = u->c.vm, .flags = SILIFLOW_QUEUE_USER, .ring_addr = UTIL_RING,
		.ring_log2 = UTIL_RING_LOG2, .rptr_addr = UTIL_RPTR };
	static const uint64_t end = 1ull << X1_DVA_BITS;
	struct drm_siliflow_queue_create q;
	uint32_t plain;

#define BAD(field, value)                                                                  \
	do {                                                                               \
		q = good;                                                                  \
		q.field = value;                                                           \
		EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q)) \
			TH_LOG(#field " = " #value);                                       \
	} while (0)
	BAD(flags, 0);
	BAD(flags, SILIFLOW_QUEUE_FLAGS + 1);
	BAD(ring_addr, UTIL_RING + 32);
	BAD(ring_addr, 0);
	BAD(ring_addr, end - 64);
	BAD(ring_addr, ~63ull);
	BAD(rptr_addr, UTIL_RPTR + 4);
	BAD(rptr_addr, 8);
	BAD(rptr_addr, end);
	BAD(rptr_addr, ~7ull);
	BAD(ring_log2, 0);
	BAD(ring_log2, X1_RING_MIN_LOG2 - 1);
	BAD(ring_log2, X1_RING_MAX_LOG2 + 1);
	BAD(ring_log2, ~0u);
	BAD(pad, 1);
	BAD(timeout_ms, 1000);
	ASSERT_EQ(0, util_vm(self->fd, &plain));
	BAD(vm, plain);
#undef BAD
#define BAD(field, value)                                                                  \
	do {                                                                               \
		q = (struct drm_siliflow_queue_create){ .vm = plain, .field = value };     \
		EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q)) \
			TH_LOG("kernel queue with " #field);                               \
	} while (0)
	BAD(ring_addr, UTIL_RING);
	BAD(rptr_addr, UTIL_RPTR);
	BAD(ring_log2, UTIL_RING_LOG2);
	BAD(timeout_ms, 1);
	BAD(timeout_ms, 99);
#undef BAD
	/* SUBMIT is for kernel queues. */
	EXPECT_EQ(-EINVAL, util_submit(self->fd, u->queue, UTIL_CMDS, 1, 0, 0));
}

TEST_F(userq, bad_wait)
{
	struct util_userq *u = &self->u;
	const struct drm_siliflow_wait_value good = {
		.queue = u->queue, .ptr = (uintptr_t)util_fence_word(u, 0), .value = 1 };
	struct drm_siliflow_wait_value w = good;
	struct util_ctx c;

	EXPECT_EQ(-ETIME, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w));
#define BAD(error, field, val)                                                             \
	do {                                                                               \
		w = good;                                                                  \
		w.field = val;                                                             \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w)) \
			TH_LOG(#field " = " #val);                                         \
	} while (0)
	BAD(-ENOENT, queue, 0);
	BAD(-ENOENT, queue, ~0u);
	BAD(-EINVAL, pad, 1);
	BAD(-EINVAL, ptr, good.ptr + 4);
	BAD(-EFAULT, ptr, BAD_POINTER);
	BAD(-EFAULT, ptr, 0);
	ASSERT_EQ(0, util_setup(&c, self->fd));
	BAD(-EINVAL, queue, c.queue);
#undef BAD
}

/* A card with more takes too long to fill. */
#define MAX_HBM (1ull << 30)

/*
 * A kernel queue and a user queue each use more than half of HBM, in turn and
 * at once: whoever needs its buffer takes the other's place, and the user queue
 * is suspended and goes on without knowing.
 */
TEST_F_TIMEOUT(userq, evicted, 120)
{
	const uint64_t addr = 1ull << 40;
	struct util_userq u;
	struct util_ctx k;
	uint32_t mine, theirs, *map;
	uint64_t hbm, size;
	int fd = util_open_small(&hbm), other;
	char path[64], node[64] = "";

	ASSERT_GE(fd, 0);
	if (hbm > MAX_HBM)
		SKIP(return, "no card with at most 1 GiB of HBM");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ASSERT_LT(0, readlink(path, node, sizeof(node) - 1));
	other = open(node, O_RDWR | O_CLOEXEC);
	ASSERT_GE(other, 0);
	size = hbm / 8 * 5 & ~(X1_HUGE_SIZE - 1ull);
	ASSERT_EQ(0, util_userq(&u, fd));
	ASSERT_EQ(0, util_setup(&k, other));
	ASSERT_EQ(0, util_bo(fd, size, SILIFLOW_BO_HBM, &mine));
	ASSERT_EQ(0, util_bind(fd, u.c.vm, mine, addr, size, 0));
	ASSERT_EQ(0, util_bo(other, size, SILIFLOW_BO_HBM, &theirs));
	ASSERT_EQ(0, util_bind(other, k.vm, theirs, addr, size, 0));
	map = util_map(fd, mine, size);
	ASSERT_NE(MAP_FAILED, map);
	for (uint64_t i = 1; i <= 20; i++) {
		union x1_cmd fill = { .fill = {
			.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = size, .pattern = i,
			.pattern_bytes = 4, .rows = 1 } };

		/* Half of the rounds it stands in a WAIT while its buffer goes. */
		util_push(&u, &(union x1_cmd){ .sync = {
				.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(1), .value = i } });
		util_push(&u, &fill);
		util_push_fence(&u, util_fence_addr(0), i, X1_FENCE_IRQ);
		if (i % 2)
			*util_fence_word(&u, 1) = i;
		util_ring(&u);
		k.cmds[0] = fill;
		ASSERT_EQ(0, util_run(&k, 1));
		*util_fence_word(&u, 1) = i;
		ASSERT_EQ(0, util_wait_value(&u, util_fence_word(&u, 0), i, 60000));
		EXPECT_EQ(i, map[0]);
		EXPECT_EQ(i, map[size / 4 - 1]);
	}
	close(other);
	close(fd);
}

/* The device goes while the queue runs, and somebody sleeps until it has done something. */
TEST_F(userq, unbind)
{
	struct util_userq *u = &self->u;
	char path[PATH_MAX];
	pid_t child;
	int status;

	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*", path));
	util_push(u, &(union x1_cmd){ .sync = {
			.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(1), .value = 1 } });
	util_ring(u);
	child = fork();
	if (!child)
		_exit(-util_wait_value(u, util_fence_word(u, 0), 1, 60000));
	ASSERT_LT(0, child);
	EXPECT_EQ(-ETIME, util_wait_value(u, util_fence_word(u, 0), 1, 100));
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/unbind", basename(path)));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == ENODEV);
	EXPECT_EQ(-ENODEV, util_wait_value(u, util_fence_word(u, 0), 1, 0));
	/* The doorbell is a page like any other now. */
	util_ring(u);
	EXPECT_EQ(u->wptr, u->doorbell[X1_DB_WPTR / 4]);
	ASSERT_EQ(0, util_write_file(UTIL_DRIVER "/bind", basename(path)));
	EXPECT_EQ(0, util_usable_again());
}

/* The process goes while its queue runs. */
TEST_F(userq, close_with_work_in_flight)
{
	for (int i = 0; i < 10; i++) {
		struct util_userq u;
		int fd = util_open();

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, util_userq(&u, fd));
		u.c.prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
		util_cmd_launch(&u.c, 0, 1);
		util_push(&u, &u.c.cmds[0]);
		util_ring(&u);
		munmap((void *)u.doorbell, PAGE);
		munmap(u.ring, 2 * PAGE);
		munmap(u.c.cmds, UTIL_BYTES);
		munmap(u.c.data, UTIL_BYTES);
		munmap(u.c.prog, UTIL_BYTES);
		close(fd);
	}
}

TEST_HARNESS_MAIN
