// SPDX-License-Identifier: GPL-2.0
#include "siliflow_util.h"

#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <linux/sync_file.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NODE "/dev/sili0"
#define MAX_CARDS 8

int util_open(void)
{
	return open(NODE, O_RDWR | O_CLOEXEC);
}

int util_open_small(uint64_t *hbm_size)
{
	int best = -1;

	for (int i = 0; i < MAX_CARDS; i++) {
		struct drm_siliflow_query_memory m;
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/sili%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m)) ||
		    (best >= 0 && m.hbm_size >= *hbm_size)) {
			close(fd);
			continue;
		}
		close(best);
		best = fd;
		*hbm_size = m.hbm_size;
	}
	return best;
}

int util_open_other(void)
{
	for (int i = 1; i < MAX_CARDS; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/sili%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

int util_pci(int fd, char *pci)
{
	char path[64], real[PATH_MAX];
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	if (!realpath(path, real))
		return -errno;
	snprintf(pci, UTIL_PCI, "%.*s", UTIL_PCI - 1, basename(real));
	return 0;
}

int util_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret < 0 ? -errno : 0;
}

int util_query(int fd, uint32_t type, void *answer, uint32_t size)
{
	struct drm_siliflow_query q = {
		.type = type, .size = size, .ptr = (uintptr_t)answer };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUERY, &q);
}

int util_bo(int fd, uint64_t size, uint32_t flags, uint32_t *handle)
{
	struct drm_siliflow_bo_create c = { .size = size, .flags = flags };
	int ret = util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_CREATE, &c);

	*handle = c.handle;
	return ret;
}

int util_bo_close(int fd, uint32_t handle)
{
	struct drm_gem_close c = { .handle = handle };

	return util_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &c);
}

void *util_map(int fd, uint32_t handle, size_t size)
{
	struct drm_siliflow_bo_mmap_offset o = { .handle = handle };

	if (util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &o))
		return MAP_FAILED;
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)o.offset);
}

int util_bo_wait(int fd, uint32_t handle, int64_t timeout_ns)
{
	struct drm_siliflow_bo_wait w = { .handle = handle, .timeout_ns = timeout_ns };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_BO_WAIT, &w);
}

int util_vm(int fd, uint32_t *vm)
{
	struct drm_siliflow_vm_create c = {};
	int ret = util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &c);

	*vm = c.vm;
	return ret;
}

int util_vm_destroy(int fd, uint32_t vm)
{
	struct drm_siliflow_vm_destroy d = { .vm = vm };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_DESTROY, &d);
}

static int bind_one(int fd, uint32_t vm, struct drm_siliflow_bind_op *op)
{
	struct drm_siliflow_vm_bind b = {
		.vm = vm, .num_ops = 1, .op_stride = sizeof(*op), .ops = (uintptr_t)op };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);
}

int util_bind(int fd, uint32_t vm, uint32_t handle, uint64_t addr, uint64_t range, uint32_t flags)
{
	struct drm_siliflow_bind_op op = {
		.op = DRM_SILIFLOW_BIND_MAP, .flags = flags, .handle = handle, .addr = addr,
		.range = range };

	return bind_one(fd, vm, &op);
}

int util_unbind(int fd, uint32_t vm, uint64_t addr, uint64_t range)
{
	struct drm_siliflow_bind_op op = {
		.op = DRM_SILIFLOW_BIND_UNMAP, .addr = addr, .range = range };

	return bind_one(fd, vm, &op);
}

int util_queue(int fd, uint32_t vm, uint32_t *queue)
{
	struct drm_siliflow_queue_create c = { .vm = vm };
	int ret = util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &c);

	*queue = c.queue;
	return ret;
}

int util_queue_destroy(int fd, uint32_t queue)
{
	struct drm_siliflow_queue_destroy d = { .queue = queue };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUEUE_DESTROY, &d);
}

int util_queue_state(int fd, uint32_t queue, struct drm_siliflow_queue_state *state)
{
	*state = (struct drm_siliflow_queue_state){ .queue = queue };
	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_QUEUE_STATE, state);
}

int64_t util_deadline(int timeout_ms)
{
	struct timespec now;

	if (!timeout_ms)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec + timeout_ms * 1000000ll;
}

int util_syncobj(int fd, uint32_t *handle)
{
	struct drm_syncobj_create c = {};
	int ret = util_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &c);

	*handle = c.handle;
	return ret;
}

int util_syncobj_wait(int fd, uint32_t handle, int timeout_ms)
{
	struct drm_syncobj_wait w = {
		.handles = (uintptr_t)&handle, .count_handles = 1,
		.timeout_nsec = util_deadline(timeout_ms) };

	return util_ioctl(fd, DRM_IOCTL_SYNCOBJ_WAIT, &w);
}

int util_syncobj_error(int fd, uint32_t handle)
{
	struct drm_syncobj_handle h = {
		.handle = handle, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE };
	struct sync_file_info info = {};
	int ret;

	ret = util_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h);
	if (ret)
		return ret;
	ret = util_ioctl(h.fd, SYNC_IOC_FILE_INFO, &info);
	close(h.fd);
	if (ret)
		return ret;
	return info.status == 1 ? 0 : info.status == 0 ? -EBUSY : info.status;
}

int util_submit(int fd, uint32_t queue, uint64_t addr, uint32_t num_cmds, uint32_t in,
		uint32_t out)
{
	struct drm_siliflow_sync in_sync = { .handle = in }, out_sync = { .handle = out };
	struct drm_siliflow_job job = {
		.addr = addr,
		.num_cmds = num_cmds,
		.num_in_syncs = !!in,
		.num_out_syncs = !!out,
		.in_syncs = (uintptr_t)&in_sync,
		.out_syncs = (uintptr_t)&out_sync,
	};
	struct drm_siliflow_submit s = {
		.queue = queue, .num_jobs = 1, .job_stride = sizeof(job), .jobs = (uintptr_t)&job };

	return util_ioctl(fd, DRM_IOCTL_SILIFLOW_SUBMIT, &s);
}

static void *bound(struct util_ctx *c, uint64_t addr, uint32_t flags, uint32_t *handle)
{
	void *map;

	if (util_bo(c->fd, UTIL_BYTES, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE, handle))
		return NULL;
	if (util_bind(c->fd, c->vm, *handle, addr, UTIL_BYTES, flags))
		return NULL;
	map = util_map(c->fd, *handle, UTIL_BYTES);
	return map == MAP_FAILED ? NULL : map;
}

int util_setup_vm(struct util_ctx *c, int fd, uint32_t flags)
{
	struct drm_siliflow_vm_create vm = { .flags = flags };
	int ret;

	memset(c, 0, sizeof(*c));
	c->fd = fd;
	ret = util_ioctl(fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &vm);
	c->vm = vm.vm;
	if (!ret)
		ret = util_syncobj(fd, &c->syncobj);
	if (ret)
		return ret;
	c->cmds = bound(c, UTIL_CMDS, SILIFLOW_BIND_EXEC, &c->cmds_bo);
	c->data = bound(c, UTIL_DATA, 0, &c->data_bo);
	c->prog = bound(c, UTIL_PROG, SILIFLOW_BIND_EXEC, &c->prog_bo);
	return c->cmds && c->data && c->prog ? 0 : -ENOMEM;
}

int util_setup(struct util_ctx *c, int fd)
{
	int ret = util_setup_vm(c, fd, 0);

	return ret ? ret : util_queue(fd, c->vm, &c->queue);
}

void util_teardown(struct util_ctx *c)
{
	struct drm_syncobj_destroy d = { .handle = c->syncobj };

	munmap(c->cmds, UTIL_BYTES);
	munmap(c->data, UTIL_BYTES);
	munmap(c->prog, UTIL_BYTES);
	util_queue_destroy(c->fd, c->queue);
	util_vm_destroy(c->fd, c->vm);
	util_bo_close(c->fd, c->cmds_bo);
	util_bo_close(c->fd, c->data_bo);
	util_bo_close(c->fd, c->prog_bo);
	util_ioctl(c->fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
}

int util_run(struct util_ctx *c, uint32_t num_cmds)
{
	int ret = util_submit(c->fd, c->queue, UTIL_CMDS, num_cmds, 0, c->syncobj);

	if (!ret)
		ret = util_syncobj_wait(c->fd, c->syncobj, 60000);
	return ret ? ret : util_syncobj_error(c->fd, c->syncobj);
}

void util_cmd_fill(struct util_ctx *c, unsigned int i, uint32_t value, uint32_t words)
{
	c->cmds[i] = (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = UTIL_DATA, .bytes = words * 4ull, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
}

void util_cmd_fetch(struct util_ctx *c, unsigned int i, uint64_t src, uint32_t words)
{
	c->cmds[i] = (union x1_cmd){ .copy = {
		.hdr.op = X1_CMD_COPY, .src = src, .dst = UTIL_DATA, .bytes = words * 4ull,
		.rows = 1 } };
}

void util_cmd_wait(struct util_ctx *c, unsigned int i, uint32_t word, uint64_t value)
{
	c->cmds[i] = (union x1_cmd){ .sync = {
		.hdr.op = X1_CMD_WAIT, .addr = UTIL_DATA + word * 4ull, .value = value } };
}

void util_cmd_launch(struct util_ctx *c, unsigned int i, uint32_t num_insns)
{
	c->cmds[i] = (union x1_cmd){ .launch = {
		.hdr.op = X1_CMD_LAUNCH, .program = UTIL_PROG,
		.program_bytes = num_insns * X1_INSN_BYTES, .num_insns = num_insns,
		.grid = { 1, 1, 1 } } };
}

int util_userq_create(struct util_userq *u, uint64_t rptr)
{
	struct drm_siliflow_queue_create q = {
		.vm = u->c.vm, .flags = SILIFLOW_QUEUE_USER, .ring_addr = UTIL_RING,
		.ring_log2 = UTIL_RING_LOG2, .rptr_addr = rptr };
	int ret = util_ioctl(u->c.fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q);

	u->queue = q.queue;
	u->offset = q.doorbell_offset;
	u->wptr = 0;
	return ret;
}

volatile uint32_t *util_doorbell(int fd, uint64_t offset)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	return map == MAP_FAILED ? NULL : map;
}

int util_userq(struct util_userq *u, int fd)
{
	int ret;

	memset(u, 0, sizeof(*u));
	ret = util_setup_vm(&u->c, fd, SILIFLOW_VM_LONG_RUNNING);
	if (!ret)
		ret = util_bo(fd, UTIL_RING_BYTES, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE,
			      &u->ring_bo);
	if (!ret)
		ret = util_bind(fd, u->c.vm, u->ring_bo, UTIL_RING, UTIL_RING_BYTES, 0);
	if (ret)
		return ret;
	u->ring = util_map(fd, u->ring_bo, UTIL_RING_BYTES);
	if (u->ring == MAP_FAILED)
		return -ENOMEM;
	u->rptr = (uint64_t *)((uint8_t *)u->ring + (UTIL_RPTR - UTIL_RING));
	ret = util_userq_create(u, UTIL_RPTR);
	if (ret)
		return ret;
	u->doorbell = util_doorbell(fd, u->offset);
	return u->doorbell ? 0 : -ENOMEM;
}

void util_push(struct util_userq *u, const union x1_cmd *cmd)
{
	u->ring[u->wptr++ % (1u << UTIL_RING_LOG2)] = *cmd;
}

void util_push_fence(struct util_userq *u, uint64_t addr, uint64_t value, uint16_t flags)
{
	util_push(u, &(union x1_cmd){ .sync = {
			.hdr.op = X1_CMD_FENCE, .hdr.flags = flags, .addr = addr,
			.value = value } });
}

void util_ring(struct util_userq *u)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	u->doorbell[X1_DB_WPTR / 4] = u->wptr;
}

/* A u64 in the data buffer, 64 bytes apart from the next. */
#define FENCE_WORD(i) (512 + 8ull * (i))

uint64_t *util_fence_word(struct util_userq *u, unsigned int i)
{
	return (uint64_t *)u->c.data + FENCE_WORD(i);
}

uint64_t util_fence_addr(unsigned int i)
{
	return UTIL_DATA + FENCE_WORD(i) * 8;
}

int util_wait_value(struct util_userq *u, const uint64_t *ptr, uint64_t value, int timeout_ms)
{
	struct drm_siliflow_wait_value w = {
		.queue = u->queue, .ptr = (uintptr_t)ptr, .value = value,
		.timeout_ns = util_deadline(timeout_ms) };

	return util_ioctl(u->c.fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &w);
}

int util_export(int fd, uint32_t handle)
{
	struct drm_prime_handle p = {
		.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1 };
	int ret = util_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p);

	return ret ? ret : p.fd;
}

int util_import(int fd, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle p = { .fd = dmabuf };
	int ret = util_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p);

	*handle = p.handle;
	return ret;
}

uint64_t util_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint32_t util_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(util_random(state) >> 16) % n;
}

uint64_t util_setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int util_module_refs(void)
{
	char text[32];

	return util_read_file("/sys/module/siliflow/refcnt", text, sizeof(text)) ? -1 : atoi(text);
}

int util_param(const char *name, unsigned long long value)
{
	char path[128];
	FILE *f;
	int ret;

	snprintf(path, sizeof(path), "/sys/module/siliflow/parameters/%s", name);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	ret = fprintf(f, "%llu", value) < 0 ? -EIO : 0;
	return fclose(f) ? -errno : ret;
}

int util_usable(void)
{
	struct util_ctx c;
	int fd = util_open();
	int ret;

	if (fd < 0)
		return -errno;
	ret = util_setup(&c, fd);
	if (!ret) {
		util_cmd_fill(&c, 0, 0x5a5aa5a5, 16);
		ret = util_run(&c, 1);
		if (!ret && (c.data[0] != 0x5a5aa5a5 || c.data[15] != 0x5a5aa5a5 || c.data[16]))
			ret = -EBADMSG;
		/* Mappings would keep the file open. */
		util_teardown(&c);
	}
	close(fd);
	return ret;
}

int util_usable_again(void)
{
	int ret = util_usable();

	for (int i = 0; i < 100 && ret; i++) {
		usleep(100000);
		ret = util_usable();
	}
	return ret;
}

int util_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* Writing nothing would not reach the file. */
	if (*text && write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int util_read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t n = 0;
	ssize_t got = 0;
	int ret = 0;

	if (fd < 0)
		return -errno;
	while (n + 1 < size && (got = read(fd, text + n, size - 1 - n)) > 0)
		n += got;
	if (got < 0)
		ret = -errno;
	close(fd);
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = 0;
	return ret;
}

int util_glob(const char *pattern, char *path)
{
	glob_t g;

	if (glob(pattern, 0, NULL, &g))
		return -ENOENT;
	snprintf(path, PATH_MAX, "%s", g.gl_pathv[0]);
	globfree(&g);
	return 0;
}
