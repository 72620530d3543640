// SPDX-License-Identifier: GPL-2.0
/* VM_CREATE, VM_DESTROY, VM_BIND. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

FIXTURE(vm) {
	struct util_ctx c;
	int fd;
};

FIXTURE_SETUP(vm)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, util_setup(&self->c, self->fd));
}

FIXTURE_TEARDOWN(vm)
{
	close(self->fd);
	EXPECT_EQ(0, util_usable());
}

/* The device reads and writes through what is bound now. */
TEST_F(vm, rebind)
{
	struct util_ctx *c = &self->c;
	uint32_t other, *map;

	ASSERT_EQ(0, util_bo(c->fd, UTIL_BYTES, SILIFLOW_BO_SYSTEM, &other));
	map = util_map(c->fd, other, UTIL_BYTES);
	ASSERT_NE(MAP_FAILED, map);
	util_cmd_fill(c, 0, 1, 4);
	ASSERT_EQ(0, util_run(c, 1));
	ASSERT_EQ(0, util_bind(c->fd, c->vm, other, UTIL_DATA, UTIL_BYTES, 0));
	util_cmd_fill(c, 0, 2, 4);
	ASSERT_EQ(0, util_run(c, 1));
	EXPECT_EQ(1, c->data[0]);
	EXPECT_EQ(2, map[0]);
	/* Half of it back: a mapping is cut where another begins. */
	ASSERT_EQ(0, util_bind(c->fd, c->vm, c->data_bo, UTIL_DATA, 4096, 0));
	util_cmd_fill(c, 0, 3, 2048);
	ASSERT_EQ(0, util_run(c, 1));
	EXPECT_EQ(3, c->data[1023]);
	EXPECT_EQ(0, c->data[1024]);
	EXPECT_EQ(2, map[0]);
	EXPECT_EQ(3, map[1024]);
	munmap(map, UTIL_BYTES);
}

/* A large range with 2 MiB pages, a hole in the middle, then the hole filled. */
TEST_F(vm, huge_pages_with_a_hole)
{
	const uint64_t addr = 1ull << 40, size = 16 << 20, hole = addr + (5 << 20) + 4096;
	struct util_ctx *c = &self->c;
	uint32_t bo, *map;

	ASSERT_EQ(0, util_bo(c->fd, size, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_bind(c->fd, c->vm, bo, addr, size, 0));
	map = util_map(c->fd, bo, size);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, util_unbind(c->fd, c->vm, hole, 8192));
	c->cmds[0] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = addr, .bytes = hole - addr, .pattern = 5,
		.pattern_bytes = 4, .rows = 1 } };
	c->cmds[1] = c->cmds[0];
	c->cmds[1].fill.dst = hole + 8192;
	c->cmds[1].fill.bytes = addr + size - hole - 8192;
	ASSERT_EQ(0, util_run(c, 2));
	EXPECT_EQ(5, map[0]);
	EXPECT_EQ(5, map[(hole - addr) / 4 - 1]);
	EXPECT_EQ(0, map[(hole - addr) / 4]);
	EXPECT_EQ(5, map[(hole - addr) / 4 + 2048]);
	EXPECT_EQ(5, map[size / 4 - 1]);
	ASSERT_EQ(0, util_bind(c->fd, c->vm, c->data_bo, hole, 8192, 0));
	c->cmds[0].fill.dst = hole;
	c->cmds[0].fill.bytes = 8192;
	ASSERT_EQ(0, util_run(c, 1));
	EXPECT_EQ(5, c->data[0]);
	EXPECT_EQ(5, c->data[2047]);
	munmap(map, size);
}

/* What is unmapped is out of reach when the ioctl returns. */
TEST_F(vm, unmapped_is_out_of_reach)
{
	struct util_ctx *c = &self->c;
	struct drm_siliflow_queue_state s;

	util_cmd_fill(c, 0, 9, 4);
	ASSERT_EQ(0, util_run(c, 1));
	ASSERT_EQ(0, util_unbind(c->fd, c->vm, UTIL_DATA, UTIL_BYTES));
	util_cmd_fill(c, 0, 10, 4);
	EXPECT_EQ(-EIO, util_run(c, 1));
	EXPECT_EQ(9, c->data[0]);
	ASSERT_EQ(0, util_queue_state(c->fd, c->queue, &s));
	EXPECT_EQ(X1_FAULT_UNMAPPED, s.fault_code);
	EXPECT_EQ(UTIL_DATA, s.fault_addr);
}

/* A buffer lives on while it is mapped in a VM. */
TEST_F(vm, mapping_keeps_buffer)
{
	struct util_ctx *c = &self->c;

	ASSERT_EQ(0, util_bo_close(c->fd, c->data_bo));
	util_cmd_fill(c, 0, 4, 4);
	EXPECT_EQ(0, util_run(c, 1));
	EXPECT_EQ(4, c->data[3]);
}

TEST_F(vm, many)
{
	uint32_t vm[200];

	for (unsigned int i = 0; i < ARRAY_SIZE_T(vm); i++) {
		ASSERT_EQ(0, util_vm(self->fd, &vm[i]));
		ASSERT_EQ(0, util_bind(self->fd, vm[i], self->c.data_bo, 1ull << 30, 4096, 0));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE_T(vm); i += 2)
		ASSERT_EQ(0, util_vm_destroy(self->fd, vm[i]));
	EXPECT_EQ(-ENOENT, util_vm_destroy(self->fd, vm[0]));
	/* The others end with the file. */
}

TEST_F(vm, destroy_in_use)
{
	EXPECT_EQ(-EBUSY, util_vm_destroy(self->fd, self->c.vm));
	ASSERT_EQ(0, util_queue_destroy(self->fd, self->c.queue));
	EXPECT_EQ(0, util_vm_destroy(self->fd, self->c.vm));
	EXPECT_EQ(-ENOENT, util_bind(self->fd, self->c.vm, self->c.data_bo, UTIL_DATA, 4096, 0));
}

TEST_F(vm, bad_create_destroy)
{
	struct drm_siliflow_vm_create c = { .flags = SILIFLOW_VM_FLAGS + 1 };
	struct drm_siliflow_vm_destroy d = { .vm = self->c.vm, .pad = 1 };

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &c));
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_DESTROY, &d));
	EXPECT_EQ(-ENOENT, util_vm_destroy(self->fd, 0));
	EXPECT_EQ(-ENOENT, util_vm_destroy(self->fd, ~0u));
}

/* A bad operation anywhere in the list leaves all mappings as they were. */
TEST_F(vm, bad_op)
{
	struct util_ctx *c = &self->c;
	const struct drm_siliflow_bind_op good = {
		.op = DRM_SILIFLOW_BIND_UNMAP, .addr = UTIL_DATA, .range = UTIL_BYTES };
	const struct drm_siliflow_bind_op map = {
		.handle = c->data_bo, .addr = UTIL_DATA, .range = UTIL_BYTES };
	struct drm_siliflow_bind_op ops[3] = { good, map, good };
	struct drm_siliflow_vm_bind b = {
		.vm = c->vm, .num_ops = 3, .op_stride = sizeof(map), .ops = (uintptr_t)ops };
	static const uint64_t end = 1ull << X1_DVA_BITS;

#define BAD(error, base, field, value)                                                          \
	do {                                                                                    \
		ops[1] = base;                                                                  \
		ops[1].field = value;                                                           \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b))          \
			TH_LOG(#base "." #field " = " #value);                                  \
	} while (0)
	BAD(-EINVAL, map, op, 2);
	BAD(-EINVAL, map, op, ~0u);
	BAD(-EINVAL, map, flags, SILIFLOW_BIND_FLAGS + 1);
	BAD(-ENOENT, map, handle, 0);
	BAD(-ENOENT, map, handle, ~0u);
	BAD(-EINVAL, map, pad, 1);
	BAD(-EINVAL, map, bo_offset, 1);
	BAD(-EINVAL, map, bo_offset, 4096);
	BAD(-EINVAL, map, bo_offset, ~0xfffull);
	BAD(-EINVAL, map, addr, UTIL_DATA + 1);
	BAD(-EINVAL, map, addr, 0);
	BAD(-EINVAL, map, addr, end - 4096);
	BAD(-EINVAL, map, addr, ~0xfffull);
	BAD(-EINVAL, map, range, 0);
	BAD(-EINVAL, map, range, 100);
	BAD(-EINVAL, map, range, UTIL_BYTES + 4096);
	BAD(-EINVAL, map, range, ~0xfffull);
	BAD(-EINVAL, good, flags, 1);
	BAD(-EINVAL, good, handle, c->data_bo);
	BAD(-EINVAL, good, bo_offset, 4096);
	BAD(-EINVAL, good, range, 0);
	BAD(-EINVAL, good, range, end);
#undef BAD
	util_cmd_fill(c, 0, 6, 4);
	EXPECT_EQ(0, util_run(c, 1));
	EXPECT_EQ(6, c->data[0]);
}

TEST_F(vm, bad_bind)
{
	struct util_ctx *c = &self->c;
	struct {
		struct drm_siliflow_bind_op op;
		uint64_t more;
	} longer = { .op = { .op = DRM_SILIFLOW_BIND_UNMAP, .addr = 1 << 30, .range = 4096 } };
	const struct drm_siliflow_vm_bind good = {
		.vm = c->vm, .num_ops = 1, .op_stride = sizeof(longer),
		.ops = (uintptr_t)&longer };
	struct drm_siliflow_vm_bind b = good;

	/* A longer struct of a later kernel is fine while its new part is zero. */
	EXPECT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b));
	longer.more = 1;
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b));
	longer.more = 0;
#define BAD(error, field, value)                                                       \
	do {                                                                           \
		b = good;                                                              \
		b.field = value;                                                       \
		EXPECT_EQ(error, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b)) \
			TH_LOG(#field " = " #value);                                   \
	} while (0)
	BAD(-ENOENT, vm, 0);
	BAD(-ENOENT, vm, ~0u);
	BAD(-EINVAL, flags, SILIFLOW_VM_BIND_FLAGS + 1);
	BAD(-EINVAL, num_ops, 0);
	BAD(-EINVAL, num_ops, SILIFLOW_MAX_BIND_OPS + 1);
	BAD(-EINVAL, num_ops, ~0u);
	BAD(-EINVAL, op_stride, 0);
	BAD(-EINVAL, op_stride, sizeof(struct drm_siliflow_bind_op) - 1);
	BAD(-EINVAL, op_stride, ~0u);
	BAD(-EINVAL, pad, 1);
	BAD(-EFAULT, ops, BAD_POINTER);
#undef BAD
}

TEST_HARNESS_MAIN
