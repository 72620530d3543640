/* SPDX-License-Identifier: MIT */
/* What libsili's files share: objects, the back ends' table, small helpers. */
#ifndef SILI_INT_H
#define SILI_INT_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "sili.h"

#include "x1/x1_fault.h"
#include "x1/x1_regs.h"
#include "x1/x1_limits.h"

#define SILI_EXPORT __attribute__((visibility("default")))

#define SILI_MAX_BATCH 4096u /* commands of one sili_submit() */
#define SILI_VA_START  (1ull << 32)
#define SILI_VA_END    (1ull << 46)

/* ---- ranges (range.c): first fit over [start, end) ---- */

struct sili_range {
	uint64_t start, end;
};

struct sili_ranges {
	struct sili_range *free; /* sorted, never adjacent */
	size_t count, room;
};

int sili_ranges_init(struct sili_ranges *r, uint64_t start, uint64_t end);
void sili_ranges_fini(struct sili_ranges *r);
/* 0 = no room; align is a power of two. */
uint64_t sili_ranges_take(struct sili_ranges *r, uint64_t bytes, uint64_t align);
void sili_ranges_give(struct sili_ranges *r, uint64_t start, uint64_t bytes);
uint64_t sili_ranges_free(const struct sili_ranges *r);

/* ---- objects ---- */

struct sili_backend;
struct sili_cached; /* kernels by shape, cache.c */

#define SILI_CACHE_BUCKETS 256u

struct sili_device {
	const struct sili_backend *be;
	void *priv; /* the back end's */
	struct sili_info info;
	struct sili_ranges va;
	struct sili_cached *cached[SILI_CACHE_BUCKETS];
	_Atomic uint32_t dead_queues; /* what they left in workspaces is not used again */
	uint64_t num_bos;
	FILE *timeline; /* of SILI_TIMELINE */
};

struct sili_bo {
	struct sili_device *dev;
	size_t bytes;  /* as asked for */
	size_t mapped; /* rounded to pages */
	enum sili_mem where;
	uint32_t flags;
	uint64_t dva;
	void *cpu;     /* NULL until sili_bo_map() */
	uint64_t priv; /* the back end's: GEM handle, or HBM offset / bus address */
};

/* One batch in the queue's command arena. */
struct sili_batch {
	uint64_t seq;
	uint32_t start, slots;
};

#define SILI_ARENA_SLOTS 16384u
/* Behind the slots: the status word, and a word that is only written. */
#define SILI_ARENA_BYTES   (SILI_ARENA_SLOTS * X1_CMD_BYTES)
#define SILI_BELL_OFFSET   (SILI_ARENA_BYTES + 64)
#define SILI_MAX_IN_FLIGHT 256u
/* A user queue's ring: for each batch its CALL and perhaps a bell. */
#define SILI_RING_LOG2  10u
#define SILI_RING_SLOTS (1u << SILI_RING_LOG2)

struct sili_queue {
	struct sili_device *dev;
	void *priv;
	uint32_t id;           /* the back end's */
	struct sili_bo *arena; /* commands, then the status word */
	union x1_cmd *slots;
	struct sili_bo *ring; /* of a user queue, else NULL */
	union x1_cmd *ring_slots;
	/* Of a user queue: so many batches more interrupt; the last one that does. */
	_Atomic uint32_t irq_left;
	_Atomic uint64_t irq_seq;
	uint64_t *status; /* seq of the last batch that ended well */
	uint64_t seq;     /* last submitted */
	struct sili_batch batch[SILI_MAX_IN_FLIGHT];
	uint32_t first, in_flight, head;
	struct sili_bo *perf;  /* sili_run_perf()'s record */
	_Atomic uint32_t refs; /* the caller's, and one per fence */
	_Atomic bool freed, dead;
};

struct sili_fence {
	struct sili_queue *queue;
	uint64_t seq;
	int fd; /* -1 until asked for */
};

struct sili_kernel {
	struct sili_bo *bo;
	uint32_t bytes, num_insns;
	void *note; /* the generator's, or NULL; freed with the kernel */
};

/* A kernel, or a block of arguments, without its contents. */
int sili_kernel_room(struct sili_device *dev, size_t bytes, uint32_t flags,
		     struct sili_kernel **out);

struct sili_backend {
	const char *name;
	/* Fills dev->info; arg is what follows "name:" or the node's path, may be NULL. */
	int (*open)(struct sili_device *dev, const char *arg, char *err, size_t err_len);
	void (*close)(struct sili_device *dev);
	int (*clock)(struct sili_device *dev, uint64_t *cycles);
	int (*status)(struct sili_device *dev, struct sili_status *status);
	/* Allocate bo->mapped bytes, zeroed, and map them at bo->dva. */
	int (*bo_new)(struct sili_bo *bo);
	void (*bo_free)(struct sili_bo *bo);
	void *(*bo_map)(struct sili_bo *bo);
	int (*queue_new)(struct sili_queue *queue, const struct sili_queue_attr *attr);
	void (*queue_free)(struct sili_queue *queue);
	/* Run n commands at dva as batch seq (1, 2, ...). */
	int (*submit)(struct sili_queue *queue, uint64_t dva, uint32_t n, uint64_t seq);
	/* Until batch seq has ended, well or not; absolute CLOCK_MONOTONIC ns, < 0 = for ever. */
	int (*wait)(struct sili_queue *queue, uint64_t seq, int64_t deadline);
	/* A descriptor of the caller's that polls readable once batch seq has ended. */
	int (*fence_fd)(struct sili_queue *queue, uint64_t seq);
	int (*fault)(struct sili_queue *queue, struct sili_fault *fault);
	/* Of the first n MCUs. */
	int (*counters)(struct sili_device *dev, struct sili_mcu_counters *mcus, uint32_t n);
	/* A timeline of 2^log2 events. */
	int (*timeline_start)(struct sili_device *dev, uint32_t kinds, uint32_t log2);
	int (*timeline_read)(struct sili_device *dev, struct x1_tl_event *events, uint32_t max,
			     uint64_t *lost);
	int (*timeline_stop)(struct sili_device *dev);
};

extern const struct sili_backend sili_backend_drm, sili_backend_sim;

/* ---- helpers ---- */

static inline uint64_t sili_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t sili_div_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static inline uint64_t sili_align(uint64_t v, uint64_t to)
{
	return sili_div_up(v, to) * to;
}

int64_t sili_now_ns(void);
void sili_queue_put(struct sili_queue *queue);
#define SILI_IRQ_ALWAYS UINT32_MAX
uint64_t sili_queue_done(const struct sili_queue *queue);

/* Message of a failed open; returns code. */
int sili_fail(char *err, size_t err_len, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- timeline (timeline.c): what the environment asks for ---- */

int sili_timeline_open(struct sili_device *dev, char *err, size_t err_len);
void sili_timeline_close(struct sili_device *dev);

/* ---- kernels by key (cache.c) ---- */

#define SILI_KEY_WORDS 64

/* Word 0 of a key: the family of kernels. */
enum sili_key_family {
	SILI_KEY_GEMM = 1,
	SILI_KEY_MLP = 3,
	SILI_KEY_SOFTMAX = 16,
	SILI_KEY_NORM,
	SILI_KEY_BATCH_NORM,
	SILI_KEY_MAP,
	SILI_KEY_REDUCE_ROWS,
	SILI_KEY_REDUCE_COLS,
	SILI_KEY_ROPE,
	SILI_KEY_ROWS,
	SILI_KEY_SCATTER_ADD,
	SILI_KEY_BAG,
	SILI_KEY_PERMUTE,
	SILI_KEY_PAD,
	SILI_KEY_RESIZE,
	SILI_KEY_RESIZE_TABLE,
	SILI_KEY_TOPK,
	SILI_KEY_ROUTE,
	SILI_KEY_ROUTE_MAP,
	SILI_KEY_QUANTISE,
	SILI_KEY_COMPRESS,
	SILI_KEY_CELL,
	SILI_KEY_CONV = 32,
	SILI_KEY_WINDOW,
	SILI_KEY_ATTENTION,
	SILI_KEY_ATTENTION_SUM,
};

struct sili_key {
	uint64_t word[SILI_KEY_WORDS];
};

const struct sili_kernel *sili_cache_find(struct sili_device *dev, const struct sili_key *key);
/* The cache owns the kernel from now on, also when it returns an error. */
int sili_cache_add(struct sili_device *dev, const struct sili_key *key, struct sili_kernel *kernel);
void sili_cache_free(struct sili_device *dev);

/* SILI_PREFETCH_ENV resolved by the environment. */
enum sili_prefetch sili_prefetch_mode(enum sili_prefetch mode);

#endif /* SILI_INT_H */
