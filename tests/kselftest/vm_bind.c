// SPDX-License-Identifier: GPL-2.0
/*
 * Asynchronous VM_BIND: what it waits for, what it signals, in which order it
 * takes effect, and what an error leaves. "The gate" is a job on a VM of its
 * own that ends when the test lets it.
 */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <pthread.h>

#define HUGE (2ull << 20)
/* A word of the gate's data; what follows is free. */
#define GATE_WORD 100

FIXTURE(vm_bind) {
	struct util_ctx c, gate;
	uint32_t other, done, timeline;
	uint32_t *map;
	int fd;
};

static void close_gate(struct util_ctx *gate)
{
	gate->data[GATE_WORD] = 0;
	util_cmd_wait(gate, 0, GATE_WORD, 1);
	util_submit(gate->fd, gate->queue, UTIL_CMDS, 1, 0, gate->syncobj);
}

static void open_gate(struct util_ctx *gate)
{
	*(volatile uint32_t *)&gate->data[GATE_WORD] = 1;
}

FIXTURE_SETUP(vm_bind)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
	ASSERT_EQ(0, util_setup(&self->gate, self->fd));
	ASSERT_EQ(0, util_syncobj(self->fd, &self->done));
	ASSERT_EQ(0, util_syncobj(self->fd, &self->timeline));
	ASSERT_EQ(0, util_bo(self->fd, UTIL_BYTES, SILIFLOW_BO_SYSTEM, &self->other));
	self->map = util_map(self->fd, self->other, UTIL_BYTES);
	ASSERT_NE(MAP_FAILED, self->map);
	close_gate(&self->gate);
}

FIXTURE_TEARDOWN(vm_bind)
{
	open_gate(&self->gate);
	munmap(self->map, UTIL_BYTES);
	util_teardown(&self->c);
	util_teardown(&self->gate);
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

static struct drm_siliflow_bind_op map_op(uint32_t handle, uint64_t offset, uint64_t addr,
					  uint64_t range)
{
	return (struct drm_siliflow_bind_op){
		.op = DRM_SILIFLOW_BIND_MAP, .handle = handle, .bo_offset = offset, .addr = addr,
		.range = range };
}

static struct drm_siliflow_bind_op unmap_op(uint64_t addr, uint64_t range)
{
	return (struct drm_siliflow_bind_op){
		.op = DRM_SILIFLOW_BIND_UNMAP, .addr = addr, .range = range };
}

static struct drm_siliflow_sync point(uint32_t handle, uint64_t at)
{
	return (struct drm_siliflow_sync){
		.handle = handle, .flags = SILIFLOW_SYNC_TIMELINE, .point = at };
}

static int bind_points(int fd, uint32_t vm, struct drm_siliflow_bind_op *ops, uint32_t num,
		       struct drm_siliflow_sync in, struct drm_siliflow_sync out)
{
	struct drm_siliflow_vm_bind b = {
		.vm = vm, .flags = SILIFLOW_VM_BIND_ASYNC, .num_ops = num,
		.op_stride = sizeof(*ops), .ops = (uintptr_t)ops, .num_in_syncs = !!in.handle,
		.num_out_syncs = !!out.handle, .in_syncs = (uintptr_t)&in,
		.out_syncs = (uintptr_t)&out };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);
}

/* in, out: binary syncobjs, 0 = none */
static int bind_async(int fd, uint32_t vm, struct drm_siliflow_bind_op *ops, uint32_t num,
		      uint32_t in, uint32_t out)
{
	return bind_points(fd, vm, ops, num, (struct drm_siliflow_sync){ .handle = in },
			   (struct drm_siliflow_sync){ .handle = out });
}

static int wait_point(int fd, uint32_t handle, uint64_t at, int timeout_ms)
{
	struct drm_syncobj_timeline_wait w = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&at, .count_handles = 1,
		.timeout_nsec = util_deadline(timeout_ms) };

	return util_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &w);
}

/* One FILL of a word at DVA. */
static int poke(struct util_ctx *c, uint64_t addr, uint32_t value)
{
	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = 4, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
	return util_run(c, 1);
}

/* The old mapping holds until what is waited for has ended, the new one from then on. */
TEST_F(vm_bind, replaces_when_it_may)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = map_op(self->other, 0, UTIL_DATA, UTIL_BYTES);

	ASSERT_EQ(0, bind_async(c->fd, c->vm, &op, 1, self->gate.syncobj, self->done));
	EXPECT_EQ(-ETIME, util_syncobj_wait(c->fd, self->done, 50));
	ASSERT_EQ(0, poke(c, UTIL_DATA, 1));
	EXPECT_EQ(1, c->data[0]);
	EXPECT_EQ(0, self->map[0]);
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	EXPECT_EQ(0, util_syncobj_error(c->fd, self->done));
	ASSERT_EQ(0, poke(c, UTIL_DATA, 2));
	EXPECT_EQ(1, c->data[0]);
	EXPECT_EQ(2, self->map[0]);
}

/* The same the other way round, and the buffer is kept as long as it is in use. */
TEST_F(vm_bind, unmaps_when_it_may)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = unmap_op(UTIL_DATA, UTIL_BYTES);
	struct drm_siliflow_queue_state s;

	ASSERT_EQ(0, bind_async(c->fd, c->vm, &op, 1, self->gate.syncobj, self->done));
	ASSERT_EQ(0, util_bo_close(c->fd, c->data_bo));
	EXPECT_EQ(-ETIME, util_syncobj_wait(c->fd, self->done, 50));
	ASSERT_EQ(0, poke(c, UTIL_DATA, 1));
	EXPECT_EQ(1, c->data[0]);
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	EXPECT_EQ(-EIO, poke(c, UTIL_DATA, 2));
	EXPECT_EQ(1, c->data[0]);
	ASSERT_EQ(0, util_queue_state(c->fd, c->queue, &s));
	EXPECT_EQ(X1_FAULT_UNMAPPED, s.fault_code);
}

/* A job that waits for a bind finds what it made. */
TEST_F(vm_bind, job_after_bind)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = map_op(self->other, 0, 1ull << 40, UTIL_BYTES);

	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = 1ull << 40, .bytes = UTIL_BYTES, .pattern = 7,
		.pattern_bytes = 4, .rows = 1 } };
	ASSERT_EQ(0, bind_async(c->fd, c->vm, &op, 1, self->gate.syncobj, self->done));
	ASSERT_EQ(0, util_submit(c->fd, c->queue, UTIL_CMDS, 1, self->done, c->syncobj));
	EXPECT_EQ(-ETIME, util_syncobj_wait(c->fd, c->syncobj, 50));
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(c->fd, c->syncobj, 60000));
	EXPECT_EQ(0, util_syncobj_error(c->fd, c->syncobj));
	EXPECT_EQ(7, self->map[0]);
	EXPECT_EQ(7, self->map[UTIL_BYTES / 4 - 1]);
}

/* Binds that wait for each other's points, each of which a job looks at. */
TEST_F(vm_bind, timeline_chain)
{
	struct drm_siliflow_sync start = { .handle = self->gate.syncobj };
	struct util_ctx *c = &self->c;

	for (unsigned int i = 0; i < 32; i++) {
		struct drm_siliflow_bind_op op =
			map_op(i % 2 ? c->data_bo : self->other, 0, 1ull << 40, 4096);
		struct drm_siliflow_sync in = point(self->timeline, 2 * i);
		struct drm_siliflow_sync mid = point(self->timeline, 2 * i + 1);
		struct drm_siliflow_sync out = point(self->timeline, 2 * i + 2);
		struct drm_siliflow_job job = {
			.addr = UTIL_CMDS + i * X1_CMD_BYTES, .num_cmds = 1, .num_in_syncs = 1,
			.num_out_syncs = 1, .in_syncs = (uintptr_t)&mid,
			.out_syncs = (uintptr_t)&out };
		struct drm_siliflow_submit s = {
			.queue = c->queue, .num_jobs = 1, .job_stride = sizeof(job),
			.jobs = (uintptr_t)&job };

		c->cmds[i] = (union x1_cmd){ .fill = {
			.hdr.op = X1_CMD_FILL, .dst = (1ull << 40) + 4 * i, .bytes = 4,
			.pattern = i + 1, .pattern_bytes = 4, .rows = 1 } };
		ASSERT_EQ(0, bind_points(c->fd, c->vm, &op, 1, i ? in : start, mid));
		ASSERT_EQ(0, util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s));
	}
	EXPECT_EQ(-ETIME, wait_point(c->fd, self->timeline, 1, 50));
	open_gate(&self->gate);
	ASSERT_EQ(0, wait_point(c->fd, self->timeline, 64, 60000));
	for (unsigned int i = 0; i < 32; i++) {
		EXPECT_EQ(i % 2 ? 0 : i + 1, self->map[i]);
		EXPECT_EQ(i % 2 ? i + 1 : 0, c->data[i]);
	}
}

/* One that waits for nothing takes its turn after one that does; the last one wins. */
TEST_F(vm_bind, in_order)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op first = map_op(self->other, 0, UTIL_DATA, UTIL_BYTES);
	struct drm_siliflow_bind_op second = map_op(c->data_bo, 0, UTIL_DATA, UTIL_BYTES);

	ASSERT_EQ(0, bind_async(c->fd, c->vm, &first, 1, self->gate.syncobj, 0));
	ASSERT_EQ(0, bind_async(c->fd, c->vm, &second, 1, 0, self->done));
	EXPECT_EQ(-ETIME, util_syncobj_wait(c->fd, self->done, 50));
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	ASSERT_EQ(0, poke(c, UTIL_DATA, 3));
	EXPECT_EQ(3, c->data[0]);
	EXPECT_EQ(0, self->map[0]);
}

static void *open_later(void *gate)
{
	usleep(50000);
	open_gate(gate);
	return NULL;
}

/* A synchronous one comes after them, too. */
TEST_F(vm_bind, synchronous_after_asynchronous)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = unmap_op(UTIL_DATA, UTIL_BYTES);
	pthread_t thread;

	ASSERT_EQ(0, bind_async(c->fd, c->vm, &op, 1, self->gate.syncobj, self->done));
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_later, &self->gate));
	EXPECT_EQ(0, util_bind(c->fd, c->vm, self->other, UTIL_DATA, UTIL_BYTES, 0));
	EXPECT_EQ(0, util_syncobj_wait(c->fd, self->done, 0));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, poke(c, UTIL_DATA, 4));
	EXPECT_EQ(4, self->map[0]);
}

/* What has ended with an error has ended. */
TEST_F(vm_bind, error_is_an_end)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = map_op(self->other, 0, UTIL_DATA, UTIL_BYTES);

	ASSERT_EQ(0, bind_async(c->fd, c->vm, &op, 1, self->gate.syncobj, self->done));
	ASSERT_EQ(0, util_queue_destroy(c->fd, self->gate.queue));
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	EXPECT_EQ(-ECANCELED, util_syncobj_error(c->fd, self->gate.syncobj));
	EXPECT_EQ(0, util_syncobj_error(c->fd, self->done));
	ASSERT_EQ(0, poke(c, UTIL_DATA, 5));
	EXPECT_EQ(5, self->map[0]);
}

/* As many operations as one call may have: the pages of a buffer back to front. */
TEST_F(vm_bind, many_operations)
{
	static struct drm_siliflow_bind_op ops[SILIFLOW_MAX_BIND_OPS];
	const uint64_t addr = 3ull << 40, size = SILIFLOW_MAX_BIND_OPS * 4096ull;
	struct util_ctx *c = &self->c;
	uint32_t bo, *map;

	ASSERT_EQ(0, util_bo(c->fd, size, SILIFLOW_BO_SYSTEM, &bo));
	map = util_map(c->fd, bo, size);
	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < SILIFLOW_MAX_BIND_OPS; i++) {
		map[i * 1024] = i;
		ops[i] = map_op(bo, size - (i + 1) * 4096ull, addr + i * 4096ull, 4096);
	}
	open_gate(&self->gate);
	ASSERT_EQ(0, bind_async(c->fd, c->vm, ops, SILIFLOW_MAX_BIND_OPS, 0, self->done));
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	for (unsigned int i = 0; i < 64; i++)
		c->cmds[i] = (union x1_cmd){ .copy = {
			.hdr.op = X1_CMD_COPY, .src = addr + i * 16 * 4096ull,
			.dst = UTIL_DATA + 4 * i, .bytes = 4, .rows = 1 } };
	ASSERT_EQ(0, util_run(c, 64));
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_EQ(SILIFLOW_MAX_BIND_OPS - 1 - 16 * i, c->data[i]);
	munmap(map, size);
}

/* Cuts through 2 MiB pages, in one call, between 4 KiB and 2 MiB mappings of another buffer. */
TEST_F(vm_bind, splits)
{
	const uint64_t addr = 5ull << 40, size = 4 * HUGE;
	struct util_ctx *c = &self->c;
	uint32_t bo, big, *map, *big_map;

	ASSERT_EQ(0, util_bo(c->fd, size, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE, &bo));
	ASSERT_EQ(0, util_bo(c->fd, HUGE, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE, &big));
	map = util_map(c->fd, bo, size);
	big_map = util_map(c->fd, big, HUGE);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, big_map);
	struct drm_siliflow_bind_op ops[] = {
		map_op(bo, 0, addr, size),
		/* 4 KiB in the first page, across the second and third, all of the fourth. */
		map_op(self->other, 4096, addr + 8192, 4096),
		unmap_op(addr + 2 * HUGE - 4096, 8192),
		map_op(big, 0, addr + 3 * HUGE, HUGE),
	};
	ASSERT_EQ(0, bind_async(c->fd, c->vm, ops, 4, self->gate.syncobj, self->done));
	/* Later, and into what the first call has cut. */
	struct drm_siliflow_bind_op more[] = {
		map_op(self->other, 8192, addr + 2 * HUGE - 4096, 8192),
		unmap_op(addr + HUGE, 4096),
	};
	ASSERT_EQ(0, bind_async(c->fd, c->vm, more, 2, 0, self->done));
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(c->fd, self->done, 60000));
	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = HUGE, .pattern = 1,
		.pattern_bytes = 4, .rows = 1 } };
	c->cmds[1] = c->cmds[0];
	c->cmds[1].fill.dst = addr + HUGE + 4096;
	c->cmds[1].fill.bytes = 3 * HUGE - 4096;
	ASSERT_EQ(0, util_run(c, 2));
	EXPECT_EQ(1, map[0]);
	EXPECT_EQ(1, map[2047]);
	EXPECT_EQ(0, map[2048]);
	EXPECT_EQ(0, map[3071]);
	EXPECT_EQ(1, map[3072]);
	EXPECT_EQ(0, map[HUGE / 4]);
	EXPECT_EQ(1, map[HUGE / 4 + 1024]);
	EXPECT_EQ(1, map[(2 * HUGE - 4096) / 4 - 1]);
	EXPECT_EQ(0, map[(2 * HUGE - 4096) / 4]);
	EXPECT_EQ(0, map[(2 * HUGE + 4096) / 4 - 1]);
	EXPECT_EQ(1, map[(2 * HUGE + 4096) / 4]);
	EXPECT_EQ(0, map[3 * HUGE / 4]);
	EXPECT_EQ(1, big_map[0]);
	EXPECT_EQ(1, big_map[HUGE / 4 - 1]);
	EXPECT_EQ(0, self->map[1023]);
	for (unsigned int i = 1024; i < 4096; i++)
		EXPECT_EQ(1, self->map[i]);
	EXPECT_EQ(0, self->map[4096]);
	EXPECT_EQ(-EIO, poke(c, addr + HUGE, 2));
	munmap(map, size);
	munmap(big_map, HUGE);
}

/* Evicted, half of it to be unmapped: until then all of it is within reach. */
TEST_F(vm_bind, of_an_evicted_buffer)
{
	const uint64_t addr = 1ull << 40, size = 4 * HUGE;
	struct drm_siliflow_bo_info info = {};
	struct drm_siliflow_bind_op op = unmap_op(addr, size / 2);
	struct util_ctx c, gate;
	uint32_t bo, done, fill, *map;
	uint64_t hbm;
	int fd = util_open_small(&hbm);

	ASSERT_GE(fd, 0);
	if (hbm > 256u << 20)
		SKIP(return, "needs a card with little memory");
	ASSERT_EQ(0, util_setup(&c, fd));
	ASSERT_EQ(0, util_setup(&gate, fd));
	ASSERT_EQ(0, util_syncobj(fd, &done));
	ASSERT_EQ(0, util_bo(fd, size, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_bind(fd, c.vm, bo, addr, size, 0));
	ASSERT_EQ(0, poke(&c, addr, 1));
	for (uint64_t filled = 0; filled < hbm; filled += 8 << 20)
		ASSERT_EQ(0, util_bo(fd, 8 << 20, SILIFLOW_BO_HBM, &fill));
	info.handle = bo;
	ASSERT_EQ(0, util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_INFO, &info));
	ASSERT_EQ(SILIFLOW_BO_SYSTEM, info.placement);
	close_gate(&gate);
	ASSERT_EQ(0, bind_async(fd, c.vm, &op, 1, gate.syncobj, done));
	EXPECT_EQ(-EBUSY, util_syncobj_error(fd, gate.syncobj));
	EXPECT_EQ(0, poke(&c, addr + 4, 2));
	EXPECT_EQ(-EBUSY, util_syncobj_error(fd, gate.syncobj));
	EXPECT_EQ(0, poke(&c, addr + size - 4, 3));
	open_gate(&gate);
	ASSERT_EQ(0, util_syncobj_wait(fd, done, 60000));
	EXPECT_EQ(0, poke(&c, addr + size / 2, 4));
	EXPECT_EQ(-EIO, poke(&c, addr, 5));
	map = util_map(fd, bo, size);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(1, map[0]);
	EXPECT_EQ(2, map[1]);
	EXPECT_EQ(4, map[size / 8]);
	EXPECT_EQ(3, map[size / 4 - 1]);
	munmap(map, size);
	util_teardown(&c);
	util_teardown(&gate);
	close(fd);
	open_gate(&self->gate);
}

/* User queues' VMs, too: a bind is no work of theirs. */
TEST_F(vm_bind, long_running)
{
	struct drm_siliflow_vm_create v = { .flags = SILIFLOW_VM_LONG_RUNNING };
	struct drm_siliflow_bind_op op = map_op(self->other, 0, UTIL_DATA, UTIL_BYTES);

	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &v));
	ASSERT_EQ(0, bind_async(self->fd, v.vm, &op, 1, self->gate.syncobj, self->done));
	EXPECT_EQ(-ETIME, util_syncobj_wait(self->fd, self->done, 50));
	open_gate(&self->gate);
	EXPECT_EQ(0, util_syncobj_wait(self->fd, self->done, 60000));
}

/* A VM ends with what it still waits for, and its buffers are free. */
TEST_F(vm_bind, destroy_while_waiting)
{
	struct drm_siliflow_bind_op op = map_op(self->other, 0, UTIL_DATA, UTIL_BYTES);
	uint32_t vm;

	ASSERT_EQ(0, util_vm(self->fd, &vm));
	ASSERT_EQ(0, bind_async(self->fd, vm, &op, 1, self->gate.syncobj, 0));
	ASSERT_EQ(0, bind_async(self->fd, vm, &op, 1, 0, self->done));
	ASSERT_EQ(0, util_vm_destroy(self->fd, vm));
	open_gate(&self->gate);
	ASSERT_EQ(0, util_syncobj_wait(self->fd, self->done, 60000));
	EXPECT_EQ(-ESRCH, util_syncobj_error(self->fd, self->done));
}

/* The file goes before its binds have had their turn; what they waited for ends with it. */
TEST_F(vm_bind, close_while_waiting)
{
	struct drm_siliflow_bind_op op;
	struct util_ctx c, gate;
	int fd = util_open();

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_setup(&c, fd));
	ASSERT_EQ(0, util_setup(&gate, fd));
	close_gate(&gate);
	op = unmap_op(UTIL_DATA, UTIL_BYTES);
	for (unsigned int i = 0; i < 50; i++)
		ASSERT_EQ(0, bind_async(fd, c.vm, &op, 1, gate.syncobj, 0));
	munmap(c.cmds, UTIL_BYTES);
	munmap(c.data, UTIL_BYTES);
	munmap(c.prog, UTIL_BYTES);
	munmap(gate.cmds, UTIL_BYTES);
	munmap(gate.data, UTIL_BYTES);
	munmap(gate.prog, UTIL_BYTES);
	close(fd);
	open_gate(&self->gate);
}

/* A call that fails changes no mapping and no syncobj. */
TEST_F(vm_bind, failure_changes_nothing)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op ops[2] = {
		unmap_op(UTIL_DATA, UTIL_BYTES), map_op(~0u, 0, 1ull << 40, 4096) };
	struct drm_syncobj_wait w = {
		.handles = (uintptr_t)&self->done, .count_handles = 1,
		.timeout_nsec = INT64_MAX };

	open_gate(&self->gate);
	EXPECT_EQ(-ENOENT, bind_async(c->fd, c->vm, ops, 2, 0, self->done));
	ops[1] = map_op(c->data_bo, 0, 1ull << 40, UTIL_BYTES + 4096);
	EXPECT_EQ(-EINVAL, bind_async(c->fd, c->vm, ops, 2, 0, self->done));
	EXPECT_EQ(-EINVAL, util_ioctl(c->fd, DRM_IOCTL_SYNCOBJ_WAIT, &w));
	EXPECT_EQ(0, poke(c, UTIL_DATA, 6));
	EXPECT_EQ(6, c->data[0]);
}

TEST_F(vm_bind, bad_syncs)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_bind_op op = unmap_op(1ull << 40, 4096);
	const struct drm_siliflow_sync sync = { .handle = self->gate.syncobj };
	struct drm_siliflow_sync s = sync;
	const struct drm_siliflow_vm_bind in = {
		.vm = c->vm, .flags = SILIFLOW_VM_BIND_ASYNC, .num_ops = 1,
		.op_stride = sizeof(op), .ops = (uintptr_t)&op, .num_in_syncs = 1,
		.in_syncs = (uintptr_t)&s };
	const struct drm_siliflow_vm_bind out = {
		.vm = c->vm, .flags = SILIFLOW_VM_BIND_ASYNC, .num_ops = 1,
		.op_stride = sizeof(op), .ops = (uintptr_t)&op, .num_out_syncs = 1,
		.out_syncs = (uintptr_t)&s };
	struct drm_siliflow_vm_bind b;

	open_gate(&self->gate);
#define BAD(error, base, field, value)                                                    \
	do {                                                                              \
		b = base;                                                                 \
		b.field = value;                                                          \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b))    \
			TH_LOG(#base "." #field " = " #value);                            \
	} while (0)
	BAD(0, in, pad, 0);
	BAD(0, out, pad, 0);
	BAD(-EINVAL, in, flags, 0);
	BAD(-EINVAL, out, flags, 0);
	BAD(-EINVAL, in, flags, SILIFLOW_VM_BIND_FLAGS + 1);
	BAD(-EINVAL, in, flags, ~0u);
	BAD(-ENOENT, in, vm, ~0u);
	BAD(-EINVAL, in, num_in_syncs, SILIFLOW_MAX_SYNCS + 1);
	BAD(-EINVAL, in, num_in_syncs, ~0u);
	BAD(-EINVAL, out, num_out_syncs, SILIFLOW_MAX_SYNCS + 1);
	BAD(-EINVAL, out, num_out_syncs, ~0u);
	BAD(-EFAULT, in, in_syncs, BAD_POINTER);
	BAD(-EFAULT, out, out_syncs, BAD_POINTER);
#undef BAD
#define BAD_SYNC(error_in, error_out, field, value)                                       \
	do {                                                                              \
		s = sync;                                                                 \
		s.field = value;                                                          \
		b = in;                                                                   \
		EXPECT_EQ(error_in, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b)) \
			TH_LOG("in " #field " = " #value);                                \
		b = out;                                                                  \
		EXPECT_EQ(error_out, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b))\
			TH_LOG("out " #field " = " #value);                               \
	} while (0)
	BAD_SYNC(-ENOENT, -ENOENT, handle, 0);
	BAD_SYNC(-ENOENT, -ENOENT, handle, ~0u);
	BAD_SYNC(-EINVAL, -EINVAL, flags, SILIFLOW_SYNC_TIMELINE);
	BAD_SYNC(-EINVAL, -EINVAL, flags, SILIFLOW_SYNC_FLAGS + 1);
	BAD_SYNC(-EINVAL, -EINVAL, point, 1);
	/* It has no fence yet, so there is nothing to wait for. */
	BAD_SYNC(-EINVAL, 0, handle, self->timeline);
#undef BAD_SYNC
}

TEST_HARNESS_MAIN
