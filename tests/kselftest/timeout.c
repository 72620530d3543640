// SPDX-License-Identifier: GPL-2.0
/* Hangs: a queue whose progress counter stands still is ended, and it alone. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#define TIMEOUT_MS 1000

FIXTURE(timeout) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(timeout)
{
	ASSERT_EQ(0, util_param("timeout_ms", TIMEOUT_MS));
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(timeout)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
	EXPECT_EQ(0, util_param("timeout_ms", 10000));
}

/* WAIT is no progress (REQ-DEV-033). The jobs behind end with the error, too. */
TEST_F(timeout, wait_for_ever)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_state s;
	uint32_t behind, queue;

	ASSERT_EQ(0, util_syncobj(self->fd, &behind));
	util_cmd_fill(c, 0, 5, 1);
	util_cmd_wait(c, 1, 100, 1);
	util_cmd_fill(c, 2, 6, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 2, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS + 2 * X1_CMD_BYTES, 1, 0, behind));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, behind, 60000));
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, behind));
	ASSERT_EQ(0, util_queue_state(self->fd, c->queue, &s));
	EXPECT_EQ(SILIFLOW_QUEUE_FAULTED, s.state);
	EXPECT_EQ(X1_FAULT_NONE, s.fault_code);
	EXPECT_EQ(5, c->data[0]);
	/* Released now, it changes nothing: the job is gone. */
	c->data[100] = 1;
	EXPECT_EQ(-EIO, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, 0));
	ASSERT_EQ(0, util_queue(self->fd, c->vm, &queue));
	ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS + 2 * X1_CMD_BYTES, 1, 0, behind));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, behind, 60000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, behind));
	EXPECT_EQ(6, c->data[0]);
}

/* Another queue of the same file works on while one hangs, for longer than the timeout. */
TEST_F(timeout, others_go_on)
{
	struct util_ctx *c = &self->c;
	uint32_t queue, sync, rounds = 0;

	ASSERT_EQ(0, util_queue(self->fd, c->vm, &queue));
	ASSERT_EQ(0, util_syncobj(self->fd, &sync));
	util_cmd_wait(c, 0, 100, 1);
	util_cmd_fill(c, 1, 1, 4);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	while (util_syncobj_error(self->fd, c->syncobj) == -EBUSY) {
		ASSERT_EQ(0, util_submit(self->fd, queue, UTIL_CMDS + X1_CMD_BYTES, 1, 0, sync));
		ASSERT_EQ(0, util_syncobj_wait(self->fd, sync, 60000));
		ASSERT_EQ(0, util_syncobj_error(self->fd, sync));
		rounds++;
	}
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_LT(1, rounds);
}

/* A queue that always has jobs, and moves on, is not ended however long it takes. */
TEST_F(timeout, progress_is_no_hang)
{
	struct util_ctx *c = &self->c;
	int64_t end = util_deadline(4 * TIMEOUT_MS);
	uint32_t sync[16];
	unsigned int n;

	util_cmd_fill(c, 0, 9, 1024);
	for (n = 0; n < ARRAY_SIZE_T(sync); n++) {
		ASSERT_EQ(0, util_syncobj(self->fd, &sync[n]));
		ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, sync[n]));
	}
	/* The oldest makes room for one more: there is never none. */
	for (; util_deadline(1) < end; n++) {
		uint32_t oldest = sync[n % ARRAY_SIZE_T(sync)];

		ASSERT_EQ(0, util_syncobj_wait(self->fd, oldest, 60000));
		ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, oldest));
	}
	EXPECT_EQ(0, util_run(c, 1));
}

/* A job that waits in the kernel, for a fence, has nothing on the device that could hang. */
TEST_F(timeout, waiting_for_a_fence_is_no_hang)
{
	struct util_ctx *c = &self->c;
	uint32_t other, last;

	ASSERT_EQ(0, util_queue(self->fd, c->vm, &other));
	ASSERT_EQ(0, util_syncobj(self->fd, &last));
	util_cmd_wait(c, 0, 100, 1);
	util_cmd_fill(c, 1, 3, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, other, UTIL_CMDS + X1_CMD_BYTES, 1, c->syncobj, last));
	/* The first is ended; the other has its turn then. */
	ASSERT_EQ(0, util_syncobj_wait(self->fd, last, 60000));
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, c->syncobj));
	EXPECT_EQ(0, util_syncobj_error(self->fd, last));
	EXPECT_EQ(3, c->data[0]);
}

/* A queue's own timeout, shorter than others', which wait on; root bounds it. */
TEST_F(timeout, per_queue)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_create q = { .vm = c->vm, .timeout_ms = TIMEOUT_MS / 5 };
	struct drm_siliflow_query_device d;
	uint32_t sync;

	ASSERT_EQ(0, util_param("timeout_ms", 60000));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d)));
	EXPECT_EQ(60000, d.max_timeout_ms);
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	ASSERT_EQ(0, util_syncobj(self->fd, &sync));
	util_cmd_wait(c, 0, 100, 1);
	ASSERT_EQ(0, util_submit(self->fd, c->queue, UTIL_CMDS, 1, 0, c->syncobj));
	ASSERT_EQ(0, util_submit(self->fd, q.queue, UTIL_CMDS, 1, 0, sync));
	ASSERT_EQ(0, util_syncobj_wait(self->fd, sync, 30000));
	EXPECT_EQ(-ETIME, util_syncobj_error(self->fd, sync));
	EXPECT_EQ(-EBUSY, util_syncobj_error(self->fd, c->syncobj));
	c->data[100] = 1;
	ASSERT_EQ(0, util_syncobj_wait(self->fd, c->syncobj, 30000));
	EXPECT_EQ(0, util_syncobj_error(self->fd, c->syncobj));
	q.timeout_ms = 60000;
	EXPECT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	q.timeout_ms = 60001;
	EXPECT_EQ(-EPERM, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	q.timeout_ms = ~0u;
	EXPECT_EQ(-EPERM, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
}

/* It is no error that a user queue stands still. */
TEST_F(timeout, not_for_user_queues)
{
	struct drm_siliflow_queue_create q = {
		.flags = SILIFLOW_QUEUE_USER, .ring_addr = UTIL_CMDS, .ring_log2 = 4 };
	struct drm_siliflow_wait_value w = { .value = 1 };
	struct drm_siliflow_queue_state s;
	struct util_ctx u;
	uint32_t *doorbell;

	ASSERT_EQ(0, util_setup_vm(&u, self->fd, SILIFLOW_VM_LONG_RUNNING));
	q.vm = u.vm;
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	doorbell = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			(off_t)q.doorbell_offset);
	ASSERT_NE(MAP_FAILED, doorbell);
	util_cmd_wait(&u, 0, 100, 1);
	u.cmds[1] = (union x1_cmd){ .sync = {
		.hdr.op = X1_CMD_FENCE, .hdr.flags = X1_FENCE_IRQ, .addr = UTIL_DATA, .value = 1 } };
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint32_t *)doorbell = 2;
	w.queue = q.queue;
	w.ptr = (uintptr_t)u.data;
	w.timeout_ns = util_deadline(3 * TIMEOUT_MS);
	EXPECT_EQ(-ETIME, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w));
	ASSERT_EQ(0, util_queue_state(self->fd, q.queue, &s));
	EXPECT_EQ(0, s.state);
	u.data[100] = 1;
	w.timeout_ns = -1;
	EXPECT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w));
}

TEST_HARNESS_MAIN
