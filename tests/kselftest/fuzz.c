// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that nobody would write: several processes do what the ioctls offer in
 * any order, with values that are mostly right, on all cards. Meanwhile they
 * are killed, cards are reset and unbound, and memory runs short. In the end
 * nobody hangs, the first card works, and all memory has come back.
 *
 * SILI_FUZZ_SECONDS says how long (default 10), SILI_FUZZ_SEED repeats a run
 * as far as processes beside each other can.
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "kselftest.h"
#include "siliflow_util.h"

#include <x1/x1_timeline.h>

#define PROCESSES 4
#define CARDS	  4
#define SLOTS	  16
#define MAX_BO	  (6u << 20)
#define WINDOW	  0x10000000ull
#define WINDOWS	  8
#define PAGE	  4096u
#define OWN_PAGES 256u
/* A hang of the driver, not of a slow machine. */
#define PATIENCE_S 90

static uint64_t rng;

/* Of all processes: calls by number, and how many of them were right. */
static struct count {
	unsigned int calls, right;
} *count;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() >> 16) % n;
}

static bool one_in(uint32_t n)
{
	return !below(n);
}

/* Values at which checks go wrong. */
static uint64_t odd(void)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 7, 63, 64, 65, 4095, 4096, 4097, INT32_MAX, UINT32_MAX, 1ull << 32,
		1ull << 48, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 4095, UINT64_MAX };

	return one_in(3) ? rnd() : values[below(ARRAY_SIZE_T(values))];
}

/* One process's things; what has been freed may stay and be used again. */
struct state {
	int fd;
	uint32_t bo[SLOTS], bo_size[SLOTS], vm[SLOTS], queue[SLOTS], sync[SLOTS];
	struct {
		void *at;
		size_t bytes;
	} map[SLOTS];
	int prime[SLOTS];
	int timeline;
	/* What MAP_USER maps. */
	void *own;
};

/* A slot that holds something, if there are enough. */
static unsigned int pick(const uint32_t *slots)
{
	unsigned int i = below(SLOTS);

	for (int tries = 0; !slots[i] && tries < 8; tries++)
		i = below(SLOTS);
	return i;
}

static uint32_t any(const uint32_t *slots)
{
	return one_in(30) ? (uint32_t)odd() : slots[pick(slots)];
}

static void keep(uint32_t *slots, uint32_t handle)
{
	slots[below(SLOTS)] = handle;
}

static uint64_t any_addr(void)
{
	if (one_in(16))
		return odd();
	return WINDOW * (1 + below(WINDOWS)) + (one_in(2) ? 0 : below(MAX_BO / PAGE) * PAGE);
}

/* A word of the argument becomes something else. */
static void spoil(void *arg, size_t size)
{
	uint64_t value = odd();
	size_t at = below((uint32_t)(size / 4)) * 4;

	if (one_in(24))
		memcpy((char *)arg + at, &value, at + 8 <= size && one_in(2) ? 8 : 4);
}

static int call(struct state *s, unsigned long request, void *arg, size_t size)
{
	struct count *c = &count[_IOC_NR(request) - DRM_COMMAND_BASE];
	int ret;

	spoil(arg, size);
	ret = util_ioctl(s->fd, request, arg);
	__atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
	if (!ret)
		__atomic_add_fetch(&c->right, 1, __ATOMIC_RELAXED);
	return ret;
}

#define CALL(s, request, arg) call(s, request, &(arg), sizeof(arg))

static void do_query(struct state *s)
{
	static char answer[8192];
	struct drm_siliflow_query q = {
		.type = below(8), .size = below(256), .ptr = (uintptr_t)answer };

	CALL(s, DRM_IOCTL_SILIFLOW_QUERY, q);
}

static void do_bo(struct state *s)
{
	struct drm_siliflow_bo_create c = { .size = 1 + below(MAX_BO), .flags = 1 + below(7) };
	unsigned int i = below(SLOTS);
	struct drm_gem_close close = { .handle = s->bo[i] };

	if (s->bo[i])
		util_ioctl(s->fd, DRM_IOCTL_GEM_CLOSE, &close);
	s->bo[i] = 0;
	if (CALL(s, DRM_IOCTL_SILIFLOW_BO_CREATE, c))
		return;
	s->bo[i] = c.handle;
	s->bo_size[i] = (uint32_t)c.size;
}

static void do_map(struct state *s)
{
	struct drm_siliflow_bo_mmap_offset o = { .handle = any(s->bo) };
	struct drm_siliflow_bo_info info = { .handle = o.handle };
	unsigned int i = below(SLOTS);

	if (s->map[i].at)
		munmap(s->map[i].at, s->map[i].bytes);
	s->map[i].at = NULL;
	if (CALL(s, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, o) ||
	    CALL(s, DRM_IOCTL_SILIFLOW_BO_INFO, info) || !info.size || info.size > MAX_BO * 2)
		return;
	s->map[i].bytes = info.size;
	s->map[i].at = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
			    (off_t)o.offset);
	if (s->map[i].at == MAP_FAILED)
		s->map[i].at = NULL;
}

static void some_insn(struct x1_insn *insn)
{
	*insn = (struct x1_insn){
		.op = one_in(4) ? X1_OP_END : below(72), .rd = below(64), .ra = below(64),
		.rb = below(64), .imm = one_in(2) ? below(256) : any_addr() };
}

static void some_cmd(union x1_cmd *cmd)
{
	*cmd = (union x1_cmd){ .hdr.op = below(X1_CMD_COUNT + 1) };
	switch (cmd->hdr.op) {
	case X1_CMD_LAUNCH:
		cmd->launch.program = any_addr() & ~63ull;
		cmd->launch.num_insns = 1 + below(16);
		cmd->launch.program_bytes = cmd->launch.num_insns * X1_INSN_BYTES + 256;
		for (int i = 0; i < 3; i++)
			cmd->launch.grid[i] = 1 + below(8);
		break;
	case X1_CMD_COPY:
		cmd->copy.src = any_addr();
		cmd->copy.dst = any_addr();
		cmd->copy.bytes = below(65536);
		cmd->copy.rows = 1 + below(3);
		break;
	case X1_CMD_FILL:
		cmd->fill.dst = any_addr();
		cmd->fill.bytes = below(65536) & ~7u;
		cmd->fill.pattern_bytes = 1u << below(4);
		cmd->fill.rows = 1;
		break;
	default:
		cmd->sync.addr = cmd->hdr.op == X1_CMD_FLUSH || cmd->hdr.op == X1_CMD_NOP ||
				 cmd->hdr.op == X1_CMD_BARRIER ? 0 : any_addr() & ~63ull;
	}
	spoil(cmd, sizeof(*cmd));
}

/* Into what the CPU sees of a buffer: commands, programs or anything. */
static void do_write(struct state *s)
{
	unsigned int i = below(SLOTS);
	char *at = s->map[i].at;
	size_t n = 64;

	if (!at || s->map[i].bytes < n * X1_CMD_BYTES)
		return;
	at += below((uint32_t)((s->map[i].bytes - n * X1_CMD_BYTES) / PAGE + 1)) * PAGE;
	for (size_t k = 0; k < n; k++)
		if (one_in(3))
			some_insn((struct x1_insn *)at + k);
		else
			some_cmd((union x1_cmd *)at + k);
}

static void do_vm(struct state *s)
{
	struct drm_siliflow_vm_create c = { .flags = below(2) };
	struct drm_siliflow_vm_destroy d = { .vm = any(s->vm) };

	if (one_in(4))
		CALL(s, DRM_IOCTL_SILIFLOW_VM_DESTROY, d);
	else if (!CALL(s, DRM_IOCTL_SILIFLOW_VM_CREATE, c))
		keep(s->vm, c.vm);
}

static void some_syncs(struct state *s, struct drm_siliflow_sync *sync, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		sync[i] = (struct drm_siliflow_sync){ .handle = any(s->sync) };
		if (one_in(3)) {
			sync[i].flags = SILIFLOW_SYNC_TIMELINE;
			sync[i].point = 1 + below(32);
		}
		spoil(&sync[i], sizeof(sync[i]));
	}
}

static void do_bind(struct state *s)
{
	struct drm_siliflow_bind_op ops[6] = {};
	struct drm_siliflow_sync in[2], out[2];
	struct drm_siliflow_vm_bind b = {
		.vm = any(s->vm), .flags = below(2), .num_ops = 1 + below(one_in(2) ? 1 : 6),
		.op_stride = sizeof(ops[0]), .ops = (uintptr_t)ops,
		.in_syncs = (uintptr_t)in, .out_syncs = (uintptr_t)out };

	if (b.flags) {
		b.num_in_syncs = one_in(4) ? below(3) : 0;
		b.num_out_syncs = below(3);
		some_syncs(s, in, b.num_in_syncs);
		some_syncs(s, out, b.num_out_syncs);
	}
	for (uint32_t i = 0; i < b.num_ops; i++) {
		unsigned int bo = pick(s->bo);
		uint32_t pages = s->bo_size[bo] / PAGE;

		ops[i].op = one_in(2) ? DRM_SILIFLOW_BIND_MAP : below(3);
		ops[i].addr = any_addr();
		ops[i].range = (1 + below(MAX_BO / PAGE)) * (uint64_t)PAGE;
		if (ops[i].op != DRM_SILIFLOW_BIND_UNMAP)
			ops[i].flags = one_in(3) ? below(4) : SILIFLOW_BIND_EXEC;
		if (ops[i].op == DRM_SILIFLOW_BIND_MAP && pages) {
			ops[i].handle = s->bo[bo];
			ops[i].bo_offset = (one_in(2) ? 0 : below(pages)) * (uint64_t)PAGE;
			ops[i].range = pages * (uint64_t)PAGE - ops[i].bo_offset;
		} else if (ops[i].op == DRM_SILIFLOW_BIND_MAP_USER) {
			ops[i].bo_offset = (uintptr_t)s->own + below(OWN_PAGES) * PAGE;
			ops[i].range = (1 + below(OWN_PAGES / 2)) * (uint64_t)PAGE;
		}
		spoil(&ops[i], sizeof(ops[i]));
	}
	CALL(s, DRM_IOCTL_SILIFLOW_VM_BIND, b);
}

static void do_queue(struct state *s)
{
	struct drm_siliflow_queue_create c = {
		.vm = any(s->vm), .priority = below(4), .mcu_count = one_in(2) ? 0 : below(20),
		.budget = one_in(2) ? 0 : 1u << below(30) };
	struct drm_siliflow_queue_destroy d = { .queue = any(s->queue) };
	struct drm_siliflow_queue_state state = { .queue = any(s->queue) };

	if (one_in(3)) {
		c.flags = SILIFLOW_QUEUE_USER;
		c.ring_addr = any_addr() & ~63ull;
		c.ring_log2 = 4 + below(13);
	}
	if (one_in(3))
		CALL(s, DRM_IOCTL_SILIFLOW_QUEUE_DESTROY, d);
	if (one_in(3))
		CALL(s, DRM_IOCTL_SILIFLOW_QUEUE_STATE, state);
	else if (!CALL(s, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, c))
		keep(s->queue, c.queue);
}

static void do_submit(struct state *s)
{
	struct drm_siliflow_sync in[4][2], out[4][2];
	struct drm_siliflow_job jobs[4] = {};
	struct drm_siliflow_submit submit = {
		.queue = any(s->queue), .num_jobs = 1 + below(4), .job_stride = sizeof(jobs[0]),
		.jobs = (uintptr_t)jobs };

	for (uint32_t i = 0; i < submit.num_jobs; i++) {
		jobs[i].addr = any_addr() & ~63ull;
		jobs[i].num_cmds = 1 + below(8);
		jobs[i].num_in_syncs = one_in(4) ? below(3) : 0;
		jobs[i].num_out_syncs = one_in(2) ? below(3) : 0;
		jobs[i].in_syncs = (uintptr_t)in[i];
		jobs[i].out_syncs = (uintptr_t)out[i];
		some_syncs(s, in[i], jobs[i].num_in_syncs);
		some_syncs(s, out[i], jobs[i].num_out_syncs);
		spoil(&jobs[i], sizeof(jobs[i]));
	}
	CALL(s, DRM_IOCTL_SILIFLOW_SUBMIT, submit);
}

static void do_sync(struct state *s)
{
	struct drm_syncobj_create c = { .flags = below(2) };
	struct drm_syncobj_destroy d = { .handle = any(s->sync) };
	struct drm_syncobj_array a = { .handles = (uintptr_t)&d.handle, .count_handles = 1 };

	switch (below(5)) {
	case 0:
		util_ioctl(s->fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
		break;
	case 1:
		util_ioctl(s->fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &a);
		break;
	case 2:
		util_syncobj_wait(s->fd, any(s->sync), (int)below(20));
		break;
	default:
		if (!util_ioctl(s->fd, DRM_IOCTL_SYNCOBJ_CREATE, &c))
			keep(s->sync, c.handle);
	}
}

static void do_wait(struct state *s)
{
	struct drm_siliflow_bo_wait b = {
		.handle = any(s->bo), .timeout_ns = util_deadline((int)below(10)) };
	struct drm_siliflow_wait_value v = {
		.queue = any(s->queue), .ptr = (uintptr_t)s->map[below(SLOTS)].at, .value = below(4),
		.timeout_ns = util_deadline((int)below(10)) };

	/* For ever is no use here: nobody else would end it. */
	if (one_in(2))
		util_ioctl(s->fd, DRM_IOCTL_SILIFLOW_BO_WAIT, &b);
	else
		util_ioctl(s->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &v);
}

static void do_prime(struct state *s)
{
	struct drm_prime_handle h = { .handle = any(s->bo), .flags = DRM_CLOEXEC | DRM_RDWR };
	unsigned int i = below(SLOTS);

	if (one_in(2)) {
		if (util_ioctl(s->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &h))
			return;
		if (s->prime[i] > 0)
			close(s->prime[i]);
		s->prime[i] = h.fd;
	} else if (s->prime[i] > 0) {
		h.fd = s->prime[i];
		if (!util_ioctl(s->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &h))
			keep(s->bo, h.handle);
	}
}

static void do_timeline(struct state *s)
{
	static struct x1_tl_event events[512];
	struct drm_siliflow_timeline_status status;
	struct drm_siliflow_timeline_open o = {
		.kinds = 1 + below(X1_TL_MASK_ALL), .log2 = X1_TL_MIN_LOG2 + below(8) };
	struct pollfd p = { .fd = s->timeline, .events = POLLIN };

	if (s->timeline <= 0) {
		if (CALL(s, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN, o))
			return;
		s->timeline = o.fd;
		fcntl(o.fd, F_SETFL, O_NONBLOCK);
		return;
	}
	poll(&p, 1, (int)below(3));
	util_ioctl(s->timeline, SILIFLOW_TIMELINE_STATUS, &status);
	while (read(s->timeline, events, below(sizeof(events))) > 0 && !one_in(4))
		;
	if (!one_in(4))
		return;
	close(s->timeline);
	s->timeline = -1;
}

/* Numbers and sizes that are nobody's. */
static void do_anything(struct state *s)
{
	uint64_t arg[32];

	for (size_t i = 0; i < ARRAY_SIZE_T(arg); i++)
		arg[i] = odd();
	ioctl(s->fd, DRM_IOWR(DRM_COMMAND_BASE + below(20), uint32_t) |
	      below(256) << _IOC_SIZESHIFT, arg);
}

static int open_any(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/sili%u", one_in(2) ? 0 : below(CARDS));
	return open(path, O_RDWR | O_CLOEXEC);
}

/* A card that has gone takes its pages along: whoever touches them ends here. */
static void gone(int sig)
{
	_exit(0);
}

static void run(uint64_t seed)
{
	static void (*const what[])(struct state *) = {
		do_query, do_bo, do_bo, do_map, do_map, do_write, do_write, do_vm, do_bind, do_bind,
		do_bind, do_queue, do_submit, do_submit, do_submit, do_sync, do_sync, do_wait,
		do_prime, do_timeline, do_anything };
	struct state s = { .fd = -1 };

	rng = seed | 1;
	signal(SIGBUS, gone);
	s.own = mmap(NULL, OWN_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	for (;;) {
		if (s.fd < 0 || one_in(400)) {
			/* The other files of this process stay: PRIME goes between them. */
			if (s.fd >= 0 && one_in(2))
				close(s.fd);
			s.fd = open_any();
			if (s.fd < 0) {
				usleep(20000);
				continue;
			}
			memset(s.bo, 0, sizeof(s.bo));
			memset(s.vm, 0, sizeof(s.vm));
			memset(s.queue, 0, sizeof(s.queue));
			memset(s.sync, 0, sizeof(s.sync));
		}
		what[below(ARRAY_SIZE_T(what))](&s);
	}
}

/* Touch memory until little is left, then let it go. */
static void press(void)
{
	size_t chunk = 16u << 20;
	char *at;

	for (;;) {
		size_t left = (size_t)sysconf(_SC_AVPHYS_PAGES) * PAGE;

		if (left < 4 * chunk)
			_exit(0);
		at = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			_exit(0);
		memset(at, 1, chunk);
	}
}

static pid_t begin(uint64_t seed, bool pressure)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (pressure)
		press();
	run(seed);
	_exit(1);
}

/* False: it does not go within PATIENCE_S. */
static bool end(pid_t pid)
{
	kill(pid, SIGKILL);
	for (int i = 0; i < PATIENCE_S * 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

/* Reset the first card, or take the last one from its driver for a moment. */
static void disturb(void)
{
	char link[64], path[PATH_MAX], *name;
	int n = CARDS;

	if (one_in(2)) {
		if (!util_glob(UTIL_DRIVER "/0*/reset", path))
			util_write_file(path, "1");
		return;
	}
	while (--n > 0) {
		snprintf(link, sizeof(link), "/dev/sili%d", n);
		if (!access(link, F_OK))
			break;
	}
	if (n <= 0 || !realpath(link, path))
		return;
	snprintf(link, sizeof(link), "/sys/class/accel/%s/device", strrchr(path, '/') + 1);
	if (!realpath(link, path))
		return;
	name = strrchr(path, '/') + 1;
	util_write_file(UTIL_DRIVER "/unbind", name);
	usleep(20000);
	util_write_file(UTIL_DRIVER "/bind", name);
}

static int memory(struct drm_siliflow_query_memory *m)
{
	int fd = util_open();
	int ret = fd < 0 ? -errno : util_query(fd, DRM_SILIFLOW_QUERY_MEMORY, m, sizeof(*m));

	close(fd);
	return ret;
}

static bool returned(const struct drm_siliflow_query_memory *before)
{
	struct drm_siliflow_query_memory m = {};

	/* What is freed behind a fence comes a little later. */
	for (int i = 0; i < PATIENCE_S * 10; i++) {
		if (!memory(&m) && m.hbm_used <= before->hbm_used &&
		    m.system_used <= before->system_used)
			return true;
		usleep(100000);
	}
	ksft_print_msg("HBM %llu, was %llu; system %llu, was %llu\n",
		       (unsigned long long)m.hbm_used, (unsigned long long)before->hbm_used,
		       (unsigned long long)m.system_used,
		       (unsigned long long)before->system_used);
	return false;
}

static void print_counts(void)
{
	static const struct {
		unsigned int nr;
		const char *name;
	} what[] = {
		{ DRM_SILIFLOW_QUERY, "query" }, { DRM_SILIFLOW_BO_CREATE, "create" },
		{ DRM_SILIFLOW_BO_MMAP_OFFSET, "map" }, { DRM_SILIFLOW_VM_CREATE, "VM" },
		{ DRM_SILIFLOW_VM_BIND, "bind" }, { DRM_SILIFLOW_QUEUE_CREATE, "queue" },
		{ DRM_SILIFLOW_SUBMIT, "submit" },
		{ DRM_SILIFLOW_TIMELINE_OPEN, "timeline" } };

	for (size_t i = 0; i < ARRAY_SIZE_T(what); i++)
		ksft_print_msg("%s: %u calls, %u of them right\n", what[i].name,
			       count[what[i].nr].calls, count[what[i].nr].right);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(void)
{
	uint64_t seconds = setting("SILI_FUZZ_SECONDS", 10);
	uint64_t seed = setting("SILI_FUZZ_SEED", (uint64_t)util_deadline(1));
	struct drm_siliflow_query_memory before;
	unsigned int killed = 0, disturbed = 0;
	pid_t pid[PROCESSES], presser = 0;
	int64_t stop = util_deadline((int)seconds * 1000);
	bool hang = false;

	ksft_print_header();
	ksft_set_plan(3);
	ksft_print_msg("%llu s, seed %llu\n", (unsigned long long)seconds,
		       (unsigned long long)seed);
	rng = seed | 1;
	count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	if (memory(&before))
		ksft_exit_fail_msg("no card\n");
	/* Work that never ends is given up soon. */
	util_param("timeout_ms", 500);
	for (int i = 0; i < PROCESSES; i++)
		pid[i] = begin(rnd(), false);
	while (util_deadline(1) < stop && !hang) {
		unsigned int i = below(PROCESSES);

		usleep(100000 + below(200000));
		if (one_in(3)) {
			disturb();
			disturbed++;
		}
		if (presser && waitpid(presser, NULL, WNOHANG) == presser)
			presser = 0;
		if (!presser && one_in(10))
			presser = begin(0, true);
		hang = !end(pid[i]);
		killed++;
		pid[i] = hang ? 0 : begin(rnd(), false);
	}
	for (int i = 0; i < PROCESSES; i++)
		hang |= pid[i] && !end(pid[i]);
	hang |= presser && !end(presser);
	util_param("timeout_ms", 10000);
	ksft_print_msg("%u processes killed, %u disturbances\n", killed, disturbed);
	print_counts();
	ksft_test_result(!hang, "no process hangs\n");
	ksft_test_result(!util_usable(), "the card works\n");
	ksft_test_result(returned(&before), "all memory has come back\n");
	ksft_finished();
}
