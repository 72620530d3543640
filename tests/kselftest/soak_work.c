// SPDX-License-Identifier: GPL-2.0
/*
 * What the processes of the soak do. Memory that the device writes has a word's
 * number in each word, from a first one that changes, so what is in a wrong
 * place shows. A job may end with -ECANCELED where the card counts a reset; what
 * it was to write is not known then. Every other error is one.
 */
#include <linux/sync_file.h>
#include <stdio.h>
#include <sys/socket.h>

#include "soak.h"

#define RAMP	   0x100000000ull	/* where the numbers are copied from */
#define RAMP_WORDS (2u << 20)
#define MAX_WORDS  (1u << 20)
#define CPU_WORDS  (64u << 10)		/* what the CPU writes whole */
#define BUFS	   10
#define LOOK_WORDS 1024u
#define JUNK	   0xdeadbeefu

/* In a worker: what must be 0, or the worker ends. */
#define MUST(expr)                                                      \
	do {                                                            \
		int ret_ = (expr);                                      \
		if (ret_)                                               \
			return wrong(__func__, __LINE__, #expr, ret_);  \
	} while (0)

static int wrong(const char *where, int line, const char *what, int ret)
{
	printf("# %s:%d: %s: %s\n", where, line, what, strerror(-ret));
	fflush(stdout);
	return ret;
}

static uint32_t below(struct soak_worker *w, uint32_t n)
{
	return util_below(&w->rng, n);
}

static bool stopped(struct soak_worker *w)
{
	return __atomic_load_n(&w->all->stop, __ATOMIC_RELAXED);
}

static void count(uint32_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* ---- resets ---- */

static uint32_t resets(const struct soak_card *card)
{
	char path[128], text[32] = "";

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/siliflow/resets", card->pci);
	util_read_file(path, text, sizeof(text));
	return strtoul(text, NULL, 10);
}

/* Has the card been reset since? It is counted a moment after jobs have ended. */
static int excused(struct soak_worker *w, const struct soak_card *card, uint32_t seen)
{
	for (int i = 0; i < SOAK_PATIENCE_S * 100; i++) {
		if (resets(card) != seen) {
			count(&w->all->lost);
			return 0;
		}
		usleep(10000);
	}
	return -ECANCELED;
}

/* ---- fences ---- */

/* Somebody who outlives this process watches that the fence signals. */
static void witness(struct soak_worker *w, int fd, uint32_t sync)
{
	struct drm_syncobj_handle h = {
		.handle = sync, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec data = { .iov_base = "", .iov_len = 1 };
	struct msghdr m = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };

	if (util_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h))
		return;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &h.fd, sizeof(int));
	/* Where it has too many already one more is not needed. */
	sendmsg(w->witness, &m, MSG_DONTWAIT);
	close(h.fd);
}

/* What the fence ends with; -ETIME is the driver's word, this waits for more. */
static int ended(int fd, uint32_t sync)
{
	int ret = util_syncobj_wait(fd, sync, SOAK_PATIENCE_S * 1000);

	return ret == -ETIME ? -ETIMEDOUT : ret ? ret : util_syncobj_error(fd, sync);
}

/* ---- memory and what is in it ---- */

struct lane {
	uint32_t queue;
	uint32_t seen; /* resets of the card before its last job */
	bool broken;   /* a reset took it */
};

struct buf {
	uint64_t addr;
	uint32_t bo, words, flags;
	enum { UNKNOWN, ZERO, COUNTING } holds;
	uint32_t first; /* COUNTING: word i is first + i */
	/* The job that writes it, NULL = none. */
	struct lane *lane;
	uint32_t sync, seen; /* its fence; resets before it */
	uint32_t *map;
};

struct store {
	struct soak_worker *w;
	const struct soak_card *card;
	struct util_ctx c;
	struct lane lane[2];
	struct buf buf[BUFS];
};

static int compare(struct soak_worker *w, const struct buf *b, uint32_t at, const uint32_t *is,
		   uint32_t words)
{
	count(&w->all->looks);
	for (uint32_t i = 0; i < words; i++) {
		uint32_t right = b->holds == ZERO ? 0 : b->first + at + i;

		if (is[i] == right)
			continue;
		printf("# word %u of %u: %#x, not %#x\n", at + i, b->words, is[i], right);
		return -EBADMSG;
	}
	return 0;
}

static void counting(uint32_t *at, uint32_t first, uint32_t words)
{
	for (uint32_t i = 0; i < words; i++)
		at[i] = first + i;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static union x1_cmd copy(uint64_t dst, uint64_t src, uint32_t words)
{
	return (union x1_cmd){ .copy = {
		.hdr.op = X1_CMD_COPY, .src = src, .dst = dst, .bytes = words * 4ull, .rows = 1 } };
}

static union x1_cmd fill(uint64_t dst, uint32_t value, uint32_t words)
{
	return (union x1_cmd){ .fill = {
		.hdr.op = X1_CMD_FILL, .dst = dst, .bytes = words * 4ull, .pattern = value,
		.pattern_bytes = 4, .rows = 1 } };
}

/* The numbers that others are copied from. */
static int ramp(struct util_ctx *c)
{
	uint32_t bo, *map;

	MUST(util_bo(c->fd, RAMP_WORDS * 4, SILIFLOW_BO_HBM | SILIFLOW_BO_SYSTEM, &bo));
	MUST(util_bind(c->fd, c->vm, bo, RAMP, RAMP_WORDS * 4, SILIFLOW_BIND_READONLY));
	map = util_map(c->fd, bo, RAMP_WORDS * 4);
	if (map == MAP_FAILED)
		return -ENOMEM;
	counting(map, 0, RAMP_WORDS);
	munmap(map, RAMP_WORDS * 4);
	return 0;
}

static uint32_t some_first(struct soak_worker *w, uint32_t words)
{
	return below(w, RAMP_WORDS - words + 1);
}

static int open_store(struct store *s, struct soak_worker *w, const struct soak_card *card)
{
	int fd = open(card->node, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	memset(s, 0, sizeof(*s));
	s->w = w;
	s->card = card;
	MUST(util_setup(&s->c, fd));
	s->lane[0] = (struct lane){ .queue = s->c.queue, .seen = resets(card) };
	s->lane[1].seen = s->lane[0].seen;
	MUST(util_queue(fd, s->c.vm, &s->lane[1].queue));
	MUST(ramp(&s->c));
	for (unsigned int i = 0; i < BUFS; i++) {
		s->buf[i].addr = RAMP + (i + 1) * 0x10000000ull;
		MUST(util_syncobj(fd, &s->buf[i].sync));
	}
	return 0;
}

/* A new buffer of any size and kind at the place of another, whose mapping may be there. */
static int new_buf(struct soak_worker *w, struct util_ctx *c, struct buf *b)
{
	static const uint32_t kinds[] = {
		SILIFLOW_BO_HBM, SILIFLOW_BO_HBM, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE,
		SILIFLOW_BO_HBM | SILIFLOW_BO_SYSTEM, SILIFLOW_BO_SYSTEM };
	uint32_t pages = 1 + below(w, below(w, 3) ? MAX_WORDS / 1024 : 16);

	b->words = pages * 1024;
	b->flags = kinds[below(w, ARRAY_SIZE_T(kinds))];
	MUST(util_bo(c->fd, b->words * 4, b->flags, &b->bo));
	MUST(util_bind(c->fd, c->vm, b->bo, b->addr, b->words * 4, 0));
	b->holds = ZERO;
	return 0;
}

/* Wait for the job that writes a buffer. */
static int settle(struct store *s, struct buf *b)
{
	struct lane *lane = b->lane;
	int ret;

	if (!lane)
		return 0;
	ret = ended(s->c.fd, b->sync);
	b->lane = NULL;
	if (ret != -ECANCELED)
		return ret;
	MUST(excused(s->w, s->card, b->seen));
	lane->broken = true;
	b->holds = UNKNOWN;
	return 0;
}

/* A new queue for one that a reset took. */
static int revive(struct store *s, struct lane *lane)
{
	for (unsigned int i = 0; i < BUFS; i++)
		MUST(settle(s, &s->buf[i]));
	/* It was busy when the reset began, and yet all its jobs have ended well. */
	if (!lane->broken)
		MUST(excused(s->w, s->card, lane->seen));
	MUST(util_queue_destroy(s->c.fd, lane->queue));
	MUST(util_queue(s->c.fd, s->c.vm, &lane->queue));
	lane->broken = false;
	return 0;
}

static int queue_job(struct store *s, struct lane *lane, uint32_t cmd, uint32_t num, uint32_t in,
		uint32_t out)
{
	uint64_t at = UTIL_CMDS + cmd * X1_CMD_BYTES;
	uint32_t seen;
	int ret;

	if (lane->broken)
		MUST(revive(s, lane));
	seen = resets(s->card);
	ret = util_submit(s->c.fd, lane->queue, at, num, in, out);
	if (ret == -ECANCELED) {
		MUST(revive(s, lane));
		seen = resets(s->card);
		ret = util_submit(s->c.fd, lane->queue, at, num, in, out);
	}
	if (ret)
		return ret;
	lane->seen = seen;
	count(&s->w->all->jobs);
	if (!below(s->w, 8))
		witness(s->w, s->c.fd, out);
	return 0;
}

/* Run the commands from this one on: 0, or 1 when a reset took them. */
static int run(struct store *s, uint32_t cmd, uint32_t num)
{
	struct lane *lane = &s->lane[0];
	int ret;

	MUST(queue_job(s, lane, cmd, num, 0, s->c.syncobj));
	ret = ended(s->c.fd, s->c.syncobj);
	if (ret != -ECANCELED)
		return ret;
	MUST(excused(s->w, s->card, lane->seen));
	lane->broken = true;
	return 1;
}

/* Commands of buffer i; those behind all buffers' are for looking. */
#define CMD(i)	 (2 * (i))
#define CMD_LOOK CMD(BUFS)

/* Have the device write a buffer, and do not wait. */
static int write_buf(struct store *s, unsigned int i)
{
	struct buf *b = &s->buf[i];
	uint32_t first = some_first(s->w, b->words);

	MUST(settle(s, b));
	s->c.cmds[CMD(i)] = fill(b->addr, JUNK, b->words);
	s->c.cmds[CMD(i) + 1] = copy(b->addr, RAMP + first * 4ull, b->words);
	MUST(queue_job(s, &s->lane[0], CMD(i), 2, 0, b->sync));
	b->lane = &s->lane[0];
	b->seen = b->lane->seen;
	b->holds = COUNTING;
	b->first = first;
	return 0;
}

/* Until a buffer has what the device was to write. */
static int write_whole(struct store *s, unsigned int i)
{
	do {
		MUST(write_buf(s, i));
		MUST(settle(s, &s->buf[i]));
	} while (s->buf[i].holds == UNKNOWN);
	return 0;
}

/* From one buffer to another, in a second queue that waits for the first. */
static int relay(struct store *s, unsigned int from, unsigned int to)
{
	struct buf *a = &s->buf[from], *b = &s->buf[to];
	uint32_t words = a->words < b->words ? a->words : b->words;

	if (a == b)
		return 0;
	MUST(settle(s, b));
	MUST(write_buf(s, from));
	if (a->first + b->words > RAMP_WORDS)
		return 0;
	/* What the first does not reach goes on where it ends. */
	s->c.cmds[CMD(to)] = copy(b->addr, a->addr, words);
	s->c.cmds[CMD(to) + 1] = copy(b->addr + words * 4ull, RAMP + (a->first + words) * 4ull,
				      b->words - words);
	MUST(queue_job(s, &s->lane[1], CMD(to), b->words == words ? 1 : 2, a->sync, b->sync));
	b->lane = &s->lane[1];
	b->seen = b->lane->seen;
	b->holds = COUNTING;
	b->first = a->first;
	MUST(settle(s, a));
	MUST(settle(s, b));
	if (a->holds == UNKNOWN)
		b->holds = UNKNOWN;
	return 0;
}

static void count_evicted(struct store *s, const struct buf *b)
{
	struct drm_siliflow_bo_info info = { .handle = b->bo };

	if (!(b->flags & SILIFLOW_BO_SYSTEM) &&
	    !util_ioctl(s->c.fd, DRM_IOCTL_SILIFLOW_BO_INFO, &info) &&
	    info.placement == SILIFLOW_BO_SYSTEM)
		count(&s->w->all->evicted);
}

/* What the device reads somewhere in a buffer. */
static int look_device(struct store *s, struct buf *b)
{
	uint32_t words = b->words < LOOK_WORDS ? b->words : LOOK_WORDS;
	uint32_t at = below(s->w, b->words - words + 1);
	int ret;

	MUST(settle(s, b));
	if (b->holds == UNKNOWN)
		return 0;
	count_evicted(s, b);
	memset(s->c.data, 0xa5, words * 4);
	s->c.cmds[CMD_LOOK] = copy(UTIL_DATA, b->addr + at * 4ull, words);
	ret = run(s, CMD_LOOK, 1);
	if (ret)
		return ret < 0 ? ret : 0;
	return compare(s->w, b, at, s->c.data, words);
}

static int map_buf(struct store *s, struct buf *b)
{
	if (!b->map)
		b->map = util_map(s->c.fd, b->bo, b->words * 4);
	return b->map == MAP_FAILED ? -ENOMEM : 0;
}

static int look_cpu(struct store *s, struct buf *b)
{
	uint32_t words = b->words < LOOK_WORDS ? b->words : LOOK_WORDS;
	uint32_t at = below(s->w, b->words - words + 1);

	MUST(settle(s, b));
	MUST(map_buf(s, b));
	return b->holds == UNKNOWN ? 0 : compare(s->w, b, at, b->map + at, words);
}

static int write_cpu(struct store *s, struct buf *b)
{
	if (b->words > CPU_WORDS)
		return 0;
	MUST(settle(s, b));
	MUST(map_buf(s, b));
	b->first = below(s->w, RAMP_WORDS);
	b->holds = COUNTING;
	counting(b->map, b->first, b->words);
	return 0;
}

static int replace(struct store *s, struct buf *b)
{
	MUST(settle(s, b));
	if (b->map)
		munmap(b->map, b->words * 4);
	b->map = NULL;
	if (b->bo && below(s->w, 2))
		MUST(util_unbind(s->c.fd, s->c.vm, b->addr, b->words * 4));
	if (b->bo)
		MUST(util_bo_close(s->c.fd, b->bo));
	return new_buf(s->w, &s->c, b);
}

/* ---- the kinds ---- */

/* Jobs in flight, buffers that come and go, CPU and device. */
static int jobs(struct soak_worker *w)
{
	struct store s;

	MUST(open_store(&s, w, w->card));
	for (unsigned int i = 0; i < BUFS; i++)
		MUST(replace(&s, &s.buf[i]));
	while (!stopped(w)) {
		unsigned int i = below(w, BUFS);

		switch (below(w, 8)) {
		case 0:
			MUST(replace(&s, &s.buf[i]));
			break;
		case 1:
			MUST(relay(&s, i, below(w, BUFS)));
			break;
		case 2:
			MUST(write_cpu(&s, &s.buf[i]));
			break;
		case 3:
			MUST(look_cpu(&s, &s.buf[i]));
			break;
		case 4:
		case 5:
			MUST(look_device(&s, &s.buf[i]));
			break;
		default:
			MUST(write_buf(&s, i));
		}
	}
	for (unsigned int i = 0; i < BUFS; i++) {
		MUST(look_device(&s, &s.buf[i]));
		MUST(look_cpu(&s, &s.buf[i]));
	}
	return 0;
}

#define SLOTS	8
#define SLOT(i) (0x4000000000ull + (i) * 0x10000000ull)
#define ROUND	8 /* binds and jobs that wait for each other */
#define MAX_OPS 4

/* What is bound at SLOT(i): words of a buffer from this one on; none = nothing. */
struct slot {
	struct buf *b;
	uint32_t from, words;
};

static int call_bind(struct util_ctx *c, struct drm_siliflow_bind_op *ops, uint32_t num,
		     bool async, uint32_t in, uint32_t out)
{
	struct drm_siliflow_sync in_sync = { .handle = in }, out_sync = { .handle = out };
	struct drm_siliflow_vm_bind b = {
		.vm = c->vm, .flags = async ? SILIFLOW_VM_BIND_ASYNC : 0, .num_ops = num,
		.op_stride = sizeof(*ops), .ops = (uintptr_t)ops, .num_in_syncs = !!in,
		.num_out_syncs = !!out, .in_syncs = (uintptr_t)&in_sync,
		.out_syncs = (uintptr_t)&out_sync };

	return util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &b);
}

/* Some slots change, the last of them to one that has something. Returns which. */
static unsigned int some_ops(struct store *s, struct slot *slots,
			     struct drm_siliflow_bind_op *ops, uint32_t num)
{
	unsigned int j = 0;

	for (uint32_t i = 0; i < num; i++) {
		struct buf *b = &s->buf[below(s->w, BUFS)];
		uint32_t from = below(s->w, b->words / 1024);

		j = below(s->w, SLOTS);
		ops[i] = (struct drm_siliflow_bind_op){
			.op = DRM_SILIFLOW_BIND_UNMAP, .addr = SLOT(j), .range = MAX_WORDS * 4 };
		slots[j].b = NULL;
		if (i + 1 < num && !below(s->w, 3))
			continue;
		slots[j] = (struct slot){
			.b = b, .from = from * 1024, .words = b->words - from * 1024 };
		ops[i].op = DRM_SILIFLOW_BIND_MAP;
		ops[i].handle = b->bo;
		ops[i].bo_offset = slots[j].from * 4ull;
		ops[i].range = slots[j].words * 4ull;
	}
	return j;
}

/* Bind, look at what is there, bind again, without waiting; or once, with the calls that wait. */
static int bind_round(struct store *s, struct slot *slots, uint32_t rounds)
{
	uint32_t seen = resets(s->card), chain = s->c.syncobj, n;
	struct drm_siliflow_queue_state state;
	struct lane *lane = &s->lane[0];
	bool async = rounds > 1;
	struct slot look[ROUND];
	int ret = 0;

	if (lane->broken)
		MUST(revive(s, lane));
	memset(s->c.data, 0xa5, rounds * LOOK_WORDS * 4);
	for (n = 0; n < rounds && !ret; n++) {
		struct drm_siliflow_bind_op ops[MAX_OPS];
		uint32_t num = 1 + below(s->w, MAX_OPS);
		unsigned int j = some_ops(s, slots, ops, num);

		MUST(call_bind(&s->c, ops, num, async, n ? chain : 0, async ? chain : 0));
		look[n] = slots[j];
		s->c.cmds[n] = copy(UTIL_DATA + n * LOOK_WORDS * 4ull, SLOT(j), LOOK_WORDS);
		ret = util_submit(s->c.fd, lane->queue, UTIL_CMDS + n * X1_CMD_BYTES, 1,
				  async ? chain : 0, chain);
		if (!ret)
			count(&s->w->all->jobs);
	}
	if (!ret)
		ret = ended(s->c.fd, chain);
	/* Of the jobs before the last only the queue knows. */
	if (!ret)
		ret = util_queue_state(s->c.fd, lane->queue, &state);
	if (!ret && state.state == SILIFLOW_QUEUE_LOST)
		ret = -ECANCELED;
	if (ret == -ECANCELED) {
		lane->broken = true;
		ended(s->c.fd, chain);
		return excused(s->w, s->card, seen);
	}
	for (uint32_t i = 0; i < n && !ret; i++)
		ret = compare(s->w, look[i].b, look[i].from, s->c.data + i * LOOK_WORDS, LOOK_WORDS);
	return ret;
}

/* Bindings that change between jobs. */
static int binds(struct soak_worker *w)
{
	struct slot slots[SLOTS] = {};
	struct store s;

	MUST(open_store(&s, w, w->card));
	for (unsigned int i = 0; i < BUFS; i++) {
		MUST(replace(&s, &s.buf[i]));
		MUST(write_whole(&s, i));
	}
	while (!stopped(w))
		MUST(bind_round(&s, slots, below(w, 3) ? ROUND : 1));
	for (unsigned int i = 0; i < BUFS; i++)
		MUST(look_device(&s, &s.buf[i]));
	return 0;
}

#define RING_BUFS  4
#define RING_LOOK  2048 /* words of data behind the fences */

/* The user queue has gone: a new one, if a reset took it. */
static int new_ring(struct soak_worker *w, struct util_userq *u, uint32_t *born)
{
	struct drm_siliflow_queue_state state;

	MUST(util_queue_state(u->c.fd, u->queue, &state));
	if (state.state != SILIFLOW_QUEUE_LOST)
		return -EIO;
	MUST(excused(w, w->card, *born));
	MUST(util_queue_destroy(u->c.fd, u->queue));
	munmap((void *)u->doorbell, 4096);
	*born = resets(w->card);
	MUST(util_userq_create(u, UTIL_RPTR));
	u->doorbell = util_doorbell(u->c.fd, u->offset);
	return u->doorbell ? 0 : -ENOMEM;
}

/* Write one buffer and look at another; every third time the queue stands still in between. */
static int ring_round(struct soak_worker *w, struct util_userq *u, struct buf *bufs, uint64_t n,
		      uint32_t *born)
{
	struct buf *b = &bufs[below(w, RING_BUFS)], *old = &bufs[below(w, RING_BUFS)];
	uint32_t first = some_first(w, b->words), at = below(w, b->words - LOOK_WORDS + 1);
	uint32_t old_at = below(w, old->words - LOOK_WORDS + 1);
	bool wait = !below(w, 3);
	union x1_cmd cmd;
	int ret;

	memset(u->c.data, 0xa5, LOOK_WORDS * 4);
	memset(u->c.data + RING_LOOK, 0xa5, LOOK_WORDS * 4);
	cmd = copy(UTIL_DATA + RING_LOOK * 4, old->addr + old_at * 4ull, LOOK_WORDS);
	util_push(u, &cmd);
	if (wait)
		util_push(u, &(union x1_cmd){ .sync = {
				.hdr.op = X1_CMD_WAIT, .addr = util_fence_addr(1), .value = n } });
	cmd = copy(b->addr, RAMP + first * 4ull, b->words);
	util_push(u, &cmd);
	cmd = copy(UTIL_DATA, b->addr + at * 4ull, LOOK_WORDS);
	util_push(u, &cmd);
	util_push_fence(u, util_fence_addr(0), n, X1_FENCE_IRQ);
	util_ring(u);
	if (wait)
		usleep(below(w, 20000));
	*util_fence_word(u, 1) = n;
	ret = util_wait_value(u, util_fence_word(u, 0), n, SOAK_PATIENCE_S * 1000);
	if (ret == -EIO) {
		b->holds = UNKNOWN;
		return new_ring(w, u, born);
	}
	MUST(ret);
	if (old->holds != UNKNOWN)
		MUST(compare(w, old, old_at, u->c.data + RING_LOOK, LOOK_WORDS));
	b->holds = COUNTING;
	b->first = first;
	return compare(w, b, at, u->c.data, LOOK_WORDS);
}

/* A user queue, whose buffers others push out. */
static int rings(struct soak_worker *w)
{
	int fd = open(w->card->node, O_RDWR | O_CLOEXEC);
	uint32_t born = resets(w->card);
	struct buf bufs[RING_BUFS] = {};
	struct util_userq u;
	uint64_t n = 0;

	MUST(util_userq(&u, fd));
	MUST(ramp(&u.c));
	for (unsigned int i = 0; i < RING_BUFS; i++) {
		bufs[i].addr = RAMP + (i + 1) * 0x10000000ull;
		MUST(new_buf(w, &u.c, &bufs[i]));
	}
	while (!stopped(w))
		MUST(ring_round(w, &u, bufs, ++n, &born));
	return 0;
}

/* A job that ends with this error, unless a reset is faster. */
static int offend(struct soak_worker *w, struct util_ctx *c, uint64_t addr, int error)
{
	struct drm_siliflow_queue_create q = {
		.vm = c->vm, .timeout_ms = error == -ETIME ? 100 + below(w, 200) : 0 };
	uint32_t seen = resets(w->card);
	int ret;

	MUST(util_ioctl(c->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &q));
	MUST(util_submit(c->fd, q.queue, addr, 1, 0, c->syncobj));
	count(&w->all->jobs);
	witness(w, c->fd, c->syncobj);
	ret = ended(c->fd, c->syncobj);
	MUST(util_queue_destroy(c->fd, q.queue));
	if (ret == -ECANCELED)
		return excused(w, w->card, seen);
	return ret == error ? 0 : ret ? ret : -EBADMSG;
}

/* Faults, hangs and programs without end. */
static int offends(struct soak_worker *w)
{
	int fd = open(w->card->node, O_RDWR | O_CLOEXEC);
	struct util_ctx c;

	MUST(util_setup(&c, fd));
	c.cmds[0] = copy(UTIL_DATA, 0x7000000000, 1);
	c.cmds[1] = (union x1_cmd){ .hdr.op = X1_CMD_COUNT };
	util_cmd_wait(&c, 2, 100, 1);
	util_cmd_launch(&c, 3, 1);
	c.prog[0] = (struct x1_insn){ .op = X1_OP_JMP };
	c.cmds[4] = fill(UTIL_DATA, 1, 64);
	while (!stopped(w)) {
		static const int errors[] = { -EIO, -EIO, -ETIME, -ETIME, 0 };
		uint32_t i = below(w, ARRAY_SIZE_T(errors));

		MUST(offend(w, &c, UTIL_CMDS + i * X1_CMD_BYTES, errors[i]));
		MUST(offend(w, &c, 0x7000000000, -EIO));
	}
	return 0;
}

#define OWN	  0x5000000000ull
#define OWN_WORDS (128u << 10)

/* The process's own memory, which comes and goes. */
static int lends(struct soak_worker *w)
{
	struct drm_siliflow_bind_op op = {
		.op = DRM_SILIFLOW_BIND_MAP_USER, .addr = OWN, .range = OWN_WORDS * 4 };
	struct buf own = { .addr = OWN, .words = OWN_WORDS, .holds = ZERO };
	struct store s;
	int ret;

	MUST(open_store(&s, w, w->card));
	own.flags = SILIFLOW_BO_SYSTEM;
	own.map = mmap(NULL, OWN_WORDS * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (own.map == MAP_FAILED)
		return -ENOMEM;
	op.bo_offset = (uintptr_t)own.map;
	MUST(call_bind(&s.c, &op, 1, false, 0, 0));
	while (!stopped(w)) {
		switch (below(w, 4)) {
		case 0:
			own.first = below(w, RAMP_WORDS);
			own.holds = COUNTING;
			counting(own.map, own.first, OWN_WORDS);
			break;
		case 1:
			madvise(own.map, OWN_WORDS * 4, MADV_DONTNEED);
			own.holds = ZERO;
			break;
		default:
			own.first = some_first(w, OWN_WORDS);
			s.c.cmds[0] = copy(OWN, RAMP + own.first * 4ull, OWN_WORDS);
			ret = run(&s, 0, 1);
			if (ret < 0)
				return wrong(__func__, __LINE__, "run", ret);
			own.holds = ret ? UNKNOWN : COUNTING;
		}
		MUST(look_device(&s, &own));
		MUST(look_cpu(&s, &own));
	}
	return 0;
}

/* A buffer of one card that another uses. */
static int share(struct store *mine, struct store *theirs)
{
	struct buf *a = &mine->buf[0], *b = &theirs->buf[0];
	int dmabuf;

	MUST(replace(mine, a));
	MUST(write_whole(mine, 0));
	dmabuf = util_export(mine->c.fd, a->bo);
	if (dmabuf < 0)
		return dmabuf;
	MUST(util_import(theirs->c.fd, dmabuf, &b->bo));
	close(dmabuf);
	b->words = a->words;
	b->flags = SILIFLOW_BO_SYSTEM;
	MUST(util_bind(theirs->c.fd, theirs->c.vm, b->bo, b->addr, b->words * 4, 0));
	b->holds = a->holds;
	b->first = a->first;
	MUST(look_device(theirs, b));
	MUST(write_whole(theirs, 0));
	MUST(util_unbind(theirs->c.fd, theirs->c.vm, b->addr, b->words * 4));
	MUST(util_bo_close(theirs->c.fd, b->bo));
	a->first = b->first;
	MUST(look_device(mine, a));
	return look_cpu(mine, a);
}

static int shares(struct soak_worker *w)
{
	struct store mine, theirs;

	MUST(open_store(&mine, w, w->card));
	MUST(open_store(&theirs, w, w->other));
	while (!stopped(w))
		MUST(share(&mine, &theirs));
	return 0;
}

const struct soak_kind soak_kinds[] = {
	{ "jobs", jobs }, { "binds", binds }, { "rings", rings },
	{ "offends", offends }, { "lends", lends }, { "shares", shares },
};
const unsigned int soak_num_kinds = ARRAY_SIZE_T(soak_kinds);
