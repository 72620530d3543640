// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver's own use of the device's COPY and FILL: a queue in the last slot
 * that works in the kernel's VM, where all of HBM is mapped, and a window
 * through which it reaches the system pages of one piece at a time.
 *
 * Callers wait for what they start. The queue is made when it is first needed,
 * also after a reset; whatever goes wrong, on return it does nothing any more,
 * and the caller may do the work in another way.
 */
#include <linux/sizes.h>

#include <drm/drm_managed.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_tt.h>

#include "siliflow.h"

/* In the kernel's VM; each begins a level-2 table of its own. */
#define SILI_HBM_DVA		BIT_ULL(40)
#define SILI_WINDOW_DVA		BIT_ULL(41)
#define SILI_WINDOW_BYTES	SZ_16M
#define SILI_WINDOW_PAGES	(SILI_WINDOW_BYTES >> PAGE_SHIFT)
#define SILI_WINDOW_TABLES	(SILI_WINDOW_BYTES / X1_HUGE_SIZE)
#define SILI_COPY_TIMEOUT	msecs_to_jiffies(10000)

/* The queue. It lives where it was made: in the device logic of one reset. */
struct sili_copy {
	struct sili_device *sdev;
	struct mutex lock;		/* one user at a time; protects what follows */
	u32 epoch;			/* sdev->copy_epoch when it was made, 0 = there is none */
	u32 wptr;
	u64 seqno;
	u64 window[SILI_WINDOW_TABLES];	/* tables of level 0 */
};

/* ---- tables ---- */

static int sili_copy_table(struct sili_device *sdev, u64 parent, u32 index, u64 *table)
{
	int ret = sili_pt_alloc(sdev, table);

	if (!ret)
		sili_pte_set(sdev, parent, index, *table | X1_PTE_VALID);
	return ret;
}

static int sili_copy_map_hbm(struct sili_device *sdev)
{
	u64 level2, level1 = 0, addr;
	int ret;

	ret = sili_copy_table(sdev, sdev->kernel_root, x1_pt_index(SILI_HBM_DVA, 3), &level2);
	for (addr = 0; !ret && addr + X1_HUGE_SIZE <= sdev->hbm_bytes; addr += X1_HUGE_SIZE) {
		if (!x1_pt_index(addr, 1)) {
			ret = sili_copy_table(sdev, level2, x1_pt_index(addr, 2), &level1);
			if (ret)
				break;
		}
		sili_pte_set(sdev, level1, x1_pt_index(addr, 1),
			     addr | X1_PTE_HUGE | X1_PTE_VALID | X1_PTE_READ | X1_PTE_WRITE);
	}
	return ret;
}

static int sili_copy_map_window(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	u64 level2, level1;
	u32 i;
	int ret;

	ret = sili_copy_table(sdev, sdev->kernel_root, x1_pt_index(SILI_WINDOW_DVA, 3), &level2);
	if (!ret)
		ret = sili_copy_table(sdev, level2, 0, &level1);
	for (i = 0; i < SILI_WINDOW_TABLES && !ret; i++)
		ret = sili_copy_table(sdev, level1, i, &copy->window[i]);
	return ret;
}

/* Show system pages in the window; nothing of what it showed before is in use. */
static void sili_copy_show(struct sili_copy *copy, const dma_addr_t *pages, u32 num)
{
	u32 i;

	for (i = 0; i < num; i++)
		sili_pte_set(copy->sdev, copy->window[i / X1_PT_ENTRIES], i % X1_PT_ENTRIES,
			     pages[i] | X1_PTE_SYSTEM | X1_PTE_VALID | X1_PTE_READ |
			     X1_PTE_WRITE);
	wmb(); /* before the commands that use it */
}

static void sili_copy_hide(struct sili_copy *copy, u32 num)
{
	u32 i;

	for (i = 0; i < num; i++)
		sili_pte_set(copy->sdev, copy->window[i / X1_PT_ENTRIES], i % X1_PT_ENTRIES, 0);
	wmb(); /* before INVALIDATE */
	sili_mmu_invalidate_live(copy->sdev, SILI_VM_KERNEL, SILI_WINDOW_DVA,
				 (u64)num << PAGE_SHIFT);
}

/* ---- queue ---- */

static u64 sili_copy_fence_offset(struct sili_device *sdev)
{
	return SILI_FENCE_OFFSET + (u64)sdev->num_hwqs * SILI_FENCE_STRIDE;
}

static int sili_copy_destroy(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	u32 slot = sdev->num_hwqs;
	int ret;

	copy->epoch = 0;
	ret = sili_mbox(sdev, X1_MBOX_QUEUE_DESTROY, &slot, 1, NULL);
	/* Not there after a reset. */
	return ret == -ENOENT ? 0 : ret;
}

/* The queue has failed: on return it touches no memory any more. */
static void sili_copy_kill(struct sili_copy *copy, const char *why)
{
	struct sili_device *sdev = copy->sdev;

	if (READ_ONCE(sdev->copy_epoch) == copy->epoch)
		dev_warn_ratelimited(sdev->drm.dev, "copy queue %s\n", why);
	if (!sili_copy_destroy(copy))
		return;
	/* Also when the device is being unplugged, which waits for the caller. */
	sili_reset_halt(sdev);
	if (!drm_dev_is_unplugged(&sdev->drm))
		sili_reset_schedule(sdev, "copy queue cannot be destroyed");
}

static int sili_copy_create(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	u64 ring = SILI_KERNEL_DVA + (u64)sdev->num_hwqs * SILI_RING_BYTES;
	u32 epoch = READ_ONCE(sdev->copy_epoch);
	union {
		struct x1_mbox_queue_create create;
		u32 word[X1_MBOX_ARGS];
	} req = { .create = {
		.ring_lo = lower_32_bits(ring),
		.ring_hi = upper_32_bits(ring),
		.ring_log2 = SILI_RING_LOG2,
		.priority = X1_NUM_PRIORITIES - 1,
		.ring_vm = SILI_VM_KERNEL,
		.user_vm = SILI_VM_KERNEL,
		/* Its fences are events: the interrupt wakes who waits. */
		.vector = 0,
		.queue = sdev->num_hwqs,
	} };
	int ret;

	if (copy->epoch == epoch)
		return 0;
	copy->wptr = 0;
	ret = sili_mbox(sdev, X1_MBOX_QUEUE_CREATE, req.word, X1_MBOX_ARGS, NULL);
	if (ret)
		return ret;
	/* A reset came in between: was it made before or after? */
	if (READ_ONCE(sdev->copy_epoch) != epoch)
		return sili_copy_destroy(copy) ?: -ECANCELED;
	copy->epoch = epoch;
	return 0;
}

static void sili_copy_emit(struct sili_copy *copy, const union x1_cmd *cmd)
{
	struct sili_device *sdev = copy->sdev;
	u64 ring = (u64)sdev->num_hwqs * SILI_RING_BYTES;

	memcpy_toio(sdev->hbm + ring + copy->wptr++ % SILI_RING_ENTRIES * X1_CMD_BYTES, cmd,
		    sizeof(*cmd));
}

/* Fence reached, or it never will be. */
static bool sili_copy_settled(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	u32 state;

	if (readq(sdev->hbm + sili_copy_fence_offset(sdev)) >= copy->seqno ||
	    READ_ONCE(sdev->copy_epoch) != copy->epoch)
		return true;
	state = sili_read(sdev, X1_REG_QUEUE(sdev->num_hwqs) + X1_Q_STATE);
	/* All ones: the device has gone. */
	return state == X1_Q_STATE_FAULTED || state == U32_MAX;
}

/* Run what has been emitted, and wait for it. -ECANCELED: lost in a reset, which is over. */
static int sili_copy_flush(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	bool lost;
	long left;

	sili_copy_emit(copy, &(union x1_cmd){ .sync = {
		.hdr.op = X1_CMD_FENCE,
		.hdr.flags = X1_FENCE_IRQ,
		.addr = SILI_KERNEL_DVA + sili_copy_fence_offset(sdev),
		.value = ++copy->seqno,
	} });
	wmb(); /* ring before doorbell */
	sili_write(sdev, sdev->db_offset + sdev->num_hwqs * sdev->db_stride + X1_DB_WPTR,
		   copy->wptr);
	left = wait_event_timeout(sdev->wait, sili_copy_settled(copy), SILI_COPY_TIMEOUT);
	if (readq(sdev->hbm + sili_copy_fence_offset(sdev)) >= copy->seqno)
		return 0;
	lost = READ_ONCE(sdev->copy_epoch) != copy->epoch;
	sili_copy_kill(copy, left ? "faulted" : "makes no progress");
	return lost ? -ECANCELED : -EIO;
}

/* Room for one more command beside the fence. */
static int sili_copy_room(struct sili_copy *copy, u32 *used)
{
	if (*used < SILI_RING_ENTRIES - 2) {
		++*used;
		return 0;
	}
	*used = 1;
	return sili_copy_flush(copy);
}

static int sili_copy_begin(struct sili_copy *copy)
{
	struct sili_device *sdev = copy->sdev;
	u32 epoch;
	int ret;

	mutex_lock(&copy->lock);
	epoch = READ_ONCE(sdev->copy_epoch);
	ret = sili_copy_create(copy);
	/* Then a reset is due. */
	if (ret == -ETIMEDOUT &&
	    wait_event_timeout(sdev->wait, READ_ONCE(sdev->copy_epoch) != epoch, SILI_COPY_TIMEOUT))
		ret = -ECANCELED;
	if (ret)
		mutex_unlock(&copy->lock);
	return ret;
}

/* ---- work ---- */

static int sili_copy_try_clear(struct sili_device *sdev, struct ttm_resource *res)
{
	struct sili_copy *copy = sdev->copy;
	u32 page, run, used = 0;
	int ret;

	ret = sili_copy_begin(copy);
	if (ret)
		return ret;
	for (page = 0; !ret && page < PFN_UP(res->size); page += run) {
		u64 at = sili_res_addr(sdev, res, page, &run);

		ret = sili_copy_room(copy, &used);
		if (!ret)
			sili_copy_emit(copy, &(union x1_cmd){ .fill = {
				.hdr.op = X1_CMD_FILL,
				.dst = SILI_HBM_DVA + at,
				.bytes = (u64)run << PAGE_SHIFT,
				.pattern_bytes = 8,
				.rows = 1,
			} });
	}
	if (!ret)
		ret = sili_copy_flush(copy);
	mutex_unlock(&copy->lock);
	return ret;
}

/**
 * sili_copy_clear() - fill HBM with zeroes
 * @sdev: device, between drm_dev_enter() and drm_dev_exit()
 * @res: resource in HBM
 *
 * What a reset ends is begun again.
 *
 * Return: 0; an error, and then any part may have been cleared.
 */
int sili_copy_clear(struct sili_device *sdev, struct ttm_resource *res)
{
	int ret;

	do {
		ret = sili_copy_try_clear(sdev, res);
	} while (ret == -ECANCELED);
	return ret;
}

/* One end of a copy: HBM, or pages of a TTM buffer in system memory. */
struct sili_end {
	struct ttm_resource *res;
	const dma_addr_t *dma;	/* NULL for HBM */
};

static u64 sili_end_addr(struct sili_device *sdev, const struct sili_end *end, u32 first, u32 page,
			 u32 *run)
{
	if (end->dma)
		return SILI_WINDOW_DVA + ((u64)(page - first) << PAGE_SHIFT);
	return SILI_HBM_DVA + sili_res_addr(sdev, end->res, page, run);
}

/* Pages [first, last) through one window. */
static int sili_copy_piece(struct sili_copy *copy, const struct sili_end *src,
			   const struct sili_end *dst, u32 first, u32 last)
{
	struct sili_device *sdev = copy->sdev;
	const dma_addr_t *dma = src->dma ?: dst->dma;
	u32 page, used = 0;
	int ret = 0;

	if (dma)
		sili_copy_show(copy, dma + first, last - first);
	for (page = first; !ret && page < last;) {
		u32 n = last - page, m = n;
		u64 from = sili_end_addr(sdev, src, first, page, &n);
		u64 to = sili_end_addr(sdev, dst, first, page, &m);

		n = min3(n, m, last - page);
		ret = sili_copy_room(copy, &used);
		if (!ret)
			sili_copy_emit(copy, &(union x1_cmd){ .copy = {
				.hdr.op = X1_CMD_COPY,
				.src = from,
				.dst = to,
				.bytes = (u64)n << PAGE_SHIFT,
				.rows = 1,
			} });
		page += n;
	}
	if (!ret)
		ret = sili_copy_flush(copy);
	if (dma)
		sili_copy_hide(copy, last - first);
	return ret;
}

static int sili_copy_try_move(struct sili_bo *bo, struct ttm_resource *dst)
{
	struct sili_device *sdev = to_sili(bo->base.base.dev);
	struct sili_copy *copy = sdev->copy;
	const dma_addr_t *dma = bo->base.ttm ? bo->base.ttm->dma_address : NULL;
	struct sili_end from = { .res = bo->base.resource };
	struct sili_end to = { .res = dst };
	u32 first, pages = PFN_UP(dst->size);
	int ret;

	if (from.res->mem_type != TTM_PL_VRAM)
		from.dma = dma;
	if (dst->mem_type != TTM_PL_VRAM)
		to.dma = dma;
	ret = sili_copy_begin(copy);
	if (ret)
		return ret;
	for (first = 0; first < pages && !ret; first += SILI_WINDOW_PAGES)
		ret = sili_copy_piece(copy, &from, &to, first,
				      min(first + SILI_WINDOW_PAGES, pages));
	mutex_unlock(&copy->lock);
	return ret;
}

/**
 * sili_copy_move() - copy a buffer's contents from where it is to a new place
 * @bo: reserved buffer that nothing uses, with its system pages where one end is there
 * @dst: new place
 *
 * Between drm_dev_enter() and drm_dev_exit(). What a reset ends is begun again.
 *
 * Return: 0; an error, and then @dst is undefined.
 */
int sili_copy_move(struct sili_bo *bo, struct ttm_resource *dst)
{
	int ret;

	do {
		ret = sili_copy_try_move(bo, dst);
	} while (ret == -ECANCELED);
	return ret;
}

/*
 * sili_copy_lost() - the device is being reset; who waits for a copy is told
 */
void sili_copy_lost(struct sili_device *sdev)
{
	/* 0 means that there is no queue. */
	WRITE_ONCE(sdev->copy_epoch, sdev->copy_epoch + 1 ?: 1);
	wake_up_all(&sdev->wait);
}

/*
 * sili_copy_init() - tables; takes the last slot for the driver
 *
 * Return: 0 or a negative errno.
 */
int sili_copy_init(struct sili_device *sdev)
{
	struct sili_copy *copy;
	int ret;

	copy = drmm_kzalloc(&sdev->drm, sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	copy->sdev = sdev;
	ret = drmm_mutex_init(&sdev->drm, &copy->lock);
	if (!ret)
		ret = sili_copy_map_hbm(sdev);
	if (!ret)
		ret = sili_copy_map_window(copy);
	wmb(); /* tables before the device walks them */
	sdev->copy = copy;
	sdev->copy_epoch = 1;
	return ret;
}
