// SPDX-License-Identifier: MIT
/*
 * Queues and fences. A batch is copied into the queue's arena in HBM and gets
 * a FENCE of its own at the end, which counts batches in the arena's status
 * word: a wait for work that is done needs no system call, and a status that
 * stays behind after the batch has ended tells of a fault.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sili_int.h"

uint64_t sili_queue_done(const struct sili_queue *queue)
{
	return __atomic_load_n(queue->status, __ATOMIC_ACQUIRE);
}

void sili_queue_put(struct sili_queue *queue)
{
	if (atomic_fetch_sub(&queue->refs, 1) == 1)
		free(queue);
}

/* The first version of the attributes ended here. */
#define ATTR_MIN offsetof(struct sili_queue_attr, flags)

/* The caller's attributes, with what it does not know of as zero. */
static int attr_copy(const struct sili_device *dev, const struct sili_queue_attr *from,
		     struct sili_queue_attr *attr)
{
	*attr = (struct sili_queue_attr){.size = sizeof(*attr)};
	if (!from)
		return 0;
	if (from->size < ATTR_MIN || from->size > sizeof(*attr))
		return -EINVAL;
	memcpy(attr, from, from->size);
	if (attr->priority >= X1_NUM_PRIORITIES || attr->mcu_first >= dev->info.mcus ||
	    attr->mcu_count > dev->info.mcus - attr->mcu_first ||
	    (!attr->mcu_count && attr->mcu_first) || attr->flags & ~SILI_QUEUE_USER ||
	    attr->reserved)
		return -EINVAL;
	return 0;
}

static int take_memory(struct sili_queue *q, bool user)
{
	int ret = sili_bo_new(q->dev, SILI_ARENA_BYTES + X1_PAGE_SIZE, SILI_HBM, 0, &q->arena);

	if (ret)
		return ret;
	q->slots = sili_bo_map(q->arena);
	if (!q->slots)
		return -ENOMEM;
	q->status = (uint64_t *)((uint8_t *)q->slots + SILI_ARENA_BYTES);
	if (!user)
		return 0;
	ret = sili_bo_new(q->dev, SILI_RING_SLOTS * X1_CMD_BYTES, SILI_HBM, 0, &q->ring);
	if (ret)
		return ret;
	q->ring_slots = sili_bo_map(q->ring);
	return q->ring_slots ? 0 : -ENOMEM;
}

SILI_EXPORT int sili_queue_new(struct sili_device *dev, const struct sili_queue_attr *attr,
			       struct sili_queue **out)
{
	struct sili_queue_attr full;
	struct sili_queue *q;
	int ret;

	*out = NULL;
	ret = attr_copy(dev, attr, &full);
	if (ret)
		return ret;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->dev = dev;
	q->refs = 1;
	ret = take_memory(q, full.flags & SILI_QUEUE_USER);
	if (!ret)
		ret = dev->be->queue_new(q, &full);
	if (!ret) {
		*out = q;
		return 0;
	}
	sili_bo_free(q->ring);
	sili_bo_free(q->arena);
	free(q);
	return ret;
}

SILI_EXPORT void sili_queue_free(struct sili_queue *queue)
{
	if (!queue)
		return;
	atomic_store(&queue->freed, true);
	queue->dev->be->queue_free(queue);
	sili_bo_free(queue->perf);
	sili_bo_free(queue->ring);
	sili_bo_free(queue->arena);
	sili_queue_put(queue);
}

/* Batch seq has ended: did it end well? */
static int outcome(struct sili_queue *q, uint64_t seq)
{
	if (sili_queue_done(q) >= seq)
		return 0;
	if (!atomic_exchange(&q->dead, true))
		atomic_fetch_add(&q->dev->dead_queues, 1);
	return -EIO;
}

static int wait_seq(struct sili_queue *q, uint64_t seq, int64_t deadline)
{
	int ret;

	if (sili_queue_done(q) >= seq)
		return 0;
	ret = q->dev->be->wait(q, seq, deadline);
	return ret ? ret : outcome(q, seq);
}

static void retire(struct sili_queue *q)
{
	uint64_t done = sili_queue_done(q);

	while (q->in_flight && q->batch[q->first].seq <= done) {
		q->first = (q->first + 1) % SILI_MAX_IN_FLIGHT;
		q->in_flight--;
	}
}

/* Is [start, start + slots) free of batches in flight? */
static bool arena_free(const struct sili_queue *q, uint32_t start, uint32_t slots)
{
	const struct sili_batch *oldest = &q->batch[q->first];

	if (!q->in_flight)
		return true;
	/* Busy is [oldest, head), round the end. */
	if (oldest->start < q->head)
		return start >= q->head || start + slots <= oldest->start;
	return start >= q->head && start + slots <= oldest->start;
}

/* Room for n commands in one piece; waits for the oldest batches. */
static int arena_take(struct sili_queue *q, uint32_t slots, uint32_t *start)
{
	int ret;

	for (;;) {
		retire(q);
		*start = q->head + slots <= SILI_ARENA_SLOTS ? q->head : 0;
		if (q->in_flight < SILI_MAX_IN_FLIGHT && arena_free(q, *start, slots))
			return 0;
		ret = wait_seq(q, q->batch[q->first].seq, -1);
		if (ret)
			return ret;
	}
}

/*
 * The fence of a user queue's next batch interrupts while somebody is likely to
 * sleep until then. Of other queues the back end's own fence does it.
 */
static uint16_t fence_flags(struct sili_queue *q)
{
	uint32_t left = atomic_load_explicit(&q->irq_left, memory_order_relaxed);

	if (!q->ring || !left)
		return 0;
	if (left != SILI_IRQ_ALWAYS)
		atomic_store_explicit(&q->irq_left, left - 1, memory_order_relaxed);
	atomic_store(&q->irq_seq, q->seq + 1);
	return X1_FENCE_IRQ;
}

SILI_EXPORT int sili_submit(struct sili_queue *q, const union x1_cmd *cmds, uint32_t n,
			    struct sili_fence **fence)
{
	uint64_t status = q->arena->dva + SILI_ARENA_BYTES;
	struct sili_fence *f = NULL;
	uint32_t start;
	int ret;

	if (fence)
		*fence = NULL;
	if (!n || n > SILI_MAX_BATCH)
		return -EINVAL;
	if (atomic_load(&q->dead))
		return -EIO;
	if (fence) {
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
	}
	ret = arena_take(q, n + 1, &start);
	if (ret)
		goto fail;
	memcpy(q->slots + start, cmds, (size_t)n * X1_CMD_BYTES);
	q->slots[start + n] = (union x1_cmd){.sync = {.hdr.op = X1_CMD_FENCE,
						      .hdr.flags = fence_flags(q),
						      .addr = status,
						      .value = q->seq + 1}};
	ret = q->dev->be->submit(q, q->arena->dva + (uint64_t)start * X1_CMD_BYTES, n + 1,
				 q->seq + 1);
	if (ret)
		goto fail;
	q->seq++;
	q->batch[(q->first + q->in_flight++) % SILI_MAX_IN_FLIGHT] =
		(struct sili_batch){q->seq, start, n + 1};
	q->head = start + n + 1;
	if (fence) {
		*f = (struct sili_fence){.queue = q, .seq = q->seq, .fd = -1};
		atomic_fetch_add(&q->refs, 1);
		*fence = f;
	}
	return 0;
fail:
	free(f);
	return ret;
}

SILI_EXPORT int sili_fence_wait(struct sili_fence *fence, int64_t timeout_ns)
{
	int64_t now, deadline = -1;

	if (atomic_load(&fence->queue->freed))
		return -ECANCELED;
	if (timeout_ns >= 0) {
		now = sili_now_ns();
		deadline = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
	}
	return wait_seq(fence->queue, fence->seq, deadline);
}

SILI_EXPORT int sili_fence_fd(struct sili_fence *fence)
{
	if (atomic_load(&fence->queue->freed))
		return -ECANCELED;
	if (fence->queue->ring)
		return -ENOTSUP;
	if (fence->fd < 0)
		fence->fd = fence->queue->dev->be->fence_fd(fence->queue, fence->seq);
	return fence->fd;
}

SILI_EXPORT void sili_fence_free(struct sili_fence *fence)
{
	if (!fence)
		return;
	if (fence->fd >= 0)
		close(fence->fd);
	sili_queue_put(fence->queue);
	free(fence);
}

SILI_EXPORT int sili_queue_fault(struct sili_queue *queue, struct sili_fault *fault)
{
	uint32_t size = fault->size;
	struct sili_fault full = {.size = sizeof(full)};
	int ret;

	if (size < 4)
		return -EINVAL;
	ret = queue->dev->be->fault(queue, &full);
	if (ret)
		return ret;
	memset(fault, 0, size);
	memcpy(fault, &full, size < sizeof(full) ? size : sizeof(full));
	fault->size = size;
	return 0;
}

SILI_EXPORT int sili_run(struct sili_queue *queue, const union x1_cmd *cmds, uint32_t n)
{
	int ret = sili_submit(queue, cmds, n, NULL);

	return ret ? ret : wait_seq(queue, queue->seq, -1);
}

SILI_EXPORT int sili_run_perf(struct sili_queue *queue, const union x1_cmd *cmds, uint32_t n,
			      struct x1_perf *perf)
{
	union x1_cmd *all;
	void *record;
	int ret;

	if (!n || n > SILI_MAX_BATCH - 2)
		return -EINVAL;
	if (!queue->perf) {
		ret = sili_bo_new(queue->dev, sizeof(*perf), SILI_HBM, 0, &queue->perf);
		if (ret)
			return ret;
	}
	record = sili_bo_map(queue->perf);
	all = malloc((n + 2) * sizeof(*all));
	if (!record || !all) {
		free(all);
		return -ENOMEM;
	}
	sili_cmd_perf_begin(&all[0]);
	memcpy(all + 1, cmds, n * sizeof(*all));
	sili_cmd_perf_end(&all[n + 1], queue->perf->dva);
	ret = sili_run(queue, all, n + 2);
	if (!ret)
		memcpy(perf, record, sizeof(*perf));
	free(all);
	return ret;
}
