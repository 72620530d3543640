// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timeline: a file to read the device's ring of events from.
 *
 * The device has one ring, so one file records at a time. Events show what all
 * users do. The ring is one block of HBM that no user can map: the device moves
 * HEAD, reading the file moves TAIL. No interrupt tells of events; who waits for
 * them looks now and then.
 *
 * A reset turns the device's timeline off. The file keeps the ring then, for what
 * has not been read yet, and is nobody's hindrance any more.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pm_runtime.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <x1/x1_timeline.h>

#include "siliflow.h"

#define SILI_EVENT_BYTES	sizeof(struct x1_tl_event)
/* Copied out of the ring at once. */
#define SILI_EVENTS_BYTES	SZ_16K
#define SILI_EVENTS_LOOK	msecs_to_jiffies(5)

/** struct sili_timeline - open file */
struct sili_timeline {
	struct sili_device *sdev;
	struct sili_bo *bo;
	/** @ring: @bo, as the CPU sees it */
	void __iomem *ring;
	u32 log2;
	/** @wait: who polls; @look_work wakes them */
	wait_queue_head_t wait;
	struct delayed_work look_work;
	/** @read_lock: one reader at a time; protects @events */
	struct mutex read_lock;
	void *events;
	/** @error: why the recording has ended, or 0; this and the rest under timeline_lock */
	int error;
	/** @hbm_epoch: when the recording began */
	u32 hbm_epoch;
	/** @head, @lost: as the device had them last; @tail: what has been read */
	u64 head;
	u64 lost;
	u64 tail;
};

/* ---- the device's part ---- */

static int sili_timeline_start(struct sili_timeline *tl, u32 kinds)
{
	struct sili_device *sdev = tl->sdev;
	u64 addr = tl->ring - sdev->hbm;

	lockdep_assert_held(&sdev->timeline_lock);
	if (sdev->timeline)
		return -EBUSY;
	sili_write(sdev, X1_REG_TL_ADDR_LO, lower_32_bits(addr));
	sili_write(sdev, X1_REG_TL_ADDR_HI, upper_32_bits(addr));
	sili_write(sdev, X1_REG_TL_LOG2, tl->log2);
	sili_write(sdev, X1_REG_TL_MASK, kinds);
	if (sili_read(sdev, X1_REG_TL_MASK) != kinds) {
		sili_write(sdev, X1_REG_TL_MASK, 0);
		return -EIO;
	}
	tl->hbm_epoch = sdev->hbm_epoch;
	sdev->timeline = tl;
	return 0;
}

static void sili_timeline_update(struct sili_timeline *tl)
{
	u64 head = sili_read_counter(tl->sdev, X1_REG_TL_HEAD_LO);

	/* All ones: the device has gone. */
	if (head - tl->tail > BIT_ULL(tl->log2))
		return;
	tl->head = head;
	tl->lost = sili_read_counter(tl->sdev, X1_REG_TL_LOST_LO);
}

/**
 * sili_timeline_end() - end the recording, if there is one; timeline_lock held
 * @sdev: device
 * @error: what its file says when the rest has been read
 *
 * On return the device does not write to the ring any more.
 */
void sili_timeline_end(struct sili_device *sdev, int error)
{
	struct sili_timeline *tl = sdev->timeline;

	lockdep_assert_held(&sdev->timeline_lock);
	if (!tl)
		return;
	sili_write(sdev, X1_REG_TL_MASK, 0);
	/* Reading sees that the write has arrived. */
	sili_timeline_update(tl);
	tl->error = error;
	sdev->timeline = NULL;
	wake_up_all(&tl->wait);
}

/* ---- reading ---- */

/* Events that can be read; 0: none yet; or why none will come. Inside drm_dev_enter(). */
static int sili_timeline_ready(struct sili_timeline *tl)
{
	struct sili_device *sdev = tl->sdev;

	lockdep_assert_held(&sdev->timeline_lock);
	/* Not there any more after a sleep. */
	if (tl->hbm_epoch != sdev->hbm_epoch)
		tl->tail = tl->head;
	if (!tl->error && tl->head == tl->tail)
		sili_timeline_update(tl);
	return tl->head == tl->tail ? tl->error : tl->head - tl->tail;
}

/* As sili_timeline_ready(), and copies up to @max events; the gate is open. */
static int sili_timeline_copy(struct sili_timeline *tl, u32 max)
{
	struct sili_device *sdev = tl->sdev;
	u32 first;
	int idx, n;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	mutex_lock(&sdev->timeline_lock);
	n = sili_timeline_ready(tl);
	if (n > 0 && max) {
		first = tl->tail & (BIT(tl->log2) - 1);
		n = min3((u32)n, max, (u32)BIT(tl->log2) - first);
		rmb(); /* HEAD before the events */
		memcpy_fromio(tl->events, tl->ring + first * SILI_EVENT_BYTES,
			      n * SILI_EVENT_BYTES);
	}
	mutex_unlock(&sdev->timeline_lock);
	drm_dev_exit(idx);
	return n;
}

/* The next @n events have been read: their room is the device's. */
static void sili_timeline_pass(struct sili_timeline *tl, u32 n)
{
	struct sili_device *sdev = tl->sdev;
	int idx;

	mutex_lock(&sdev->timeline_lock);
	/* After a sleep there is nothing left that could be read again. */
	tl->tail = min(tl->tail + n, tl->head);
	/* In one write where the machine can: the device compares it with HEAD. */
	if (!tl->error && drm_dev_enter(&sdev->drm, &idx)) {
		writeq(tl->tail, sdev->regs + X1_REG_TL_TAIL_LO);
		drm_dev_exit(idx);
	}
	mutex_unlock(&sdev->timeline_lock);
}

/* One piece to the user; as sili_timeline_ready(). */
static int sili_timeline_piece(struct sili_timeline *tl, char __user *to, size_t max)
{
	int n;

	n = sili_gate_enter(tl->sdev, true);
	if (n)
		return n;
	n = sili_timeline_copy(tl, min(max, SILI_EVENTS_BYTES / SILI_EVENT_BYTES));
	sili_gate_exit(tl->sdev);
	if (n <= 0)
		return n;
	if (copy_to_user(to, tl->events, n * SILI_EVENT_BYTES))
		return -EFAULT;
	sili_timeline_pass(tl, n);
	return n;
}

/* All that there is, up to @max events: their number, or as sili_timeline_ready(). */
static ssize_t sili_timeline_take(struct sili_timeline *tl, char __user *to, size_t max)
{
	size_t done = 0;
	int n;

	if (mutex_lock_interruptible(&tl->read_lock))
		return -ERESTARTSYS;
	do {
		n = sili_timeline_piece(tl, to + done * SILI_EVENT_BYTES, max - done);
		if (n > 0)
			done += n;
	} while (n > 0 && done < max && !signal_pending(current));
	mutex_unlock(&tl->read_lock);
	return done ?: n;
}

static ssize_t sili_timeline_read(struct file *file, char __user *to, size_t bytes, loff_t *pos)
{
	struct sili_timeline *tl = file->private_data;
	ssize_t n;

	if (bytes < SILI_EVENT_BYTES)
		return -EINVAL;
	for (;;) {
		n = sili_timeline_take(tl, to, bytes / SILI_EVENT_BYTES);
		if (n)
			return n < 0 ? n : n * SILI_EVENT_BYTES;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		schedule_timeout_interruptible(SILI_EVENTS_LOOK);
		if (signal_pending(current))
			return -ERESTARTSYS;
	}
}

/* ---- polling ---- */

/* As sili_timeline_ready(), without waiting for the gate: nothing is ready where it is closed. */
static int sili_timeline_look(struct sili_timeline *tl)
{
	atomic_t *gate = sili_gate_join(tl->sdev);
	int n;

	if (!gate)
		return 0;
	n = sili_timeline_copy(tl, 0);
	sili_gate_leave(tl->sdev, gate);
	return n;
}

static void sili_timeline_look_work(struct work_struct *work)
{
	struct sili_timeline *tl = container_of(work, struct sili_timeline, look_work.work);

	if (!wq_has_sleeper(&tl->wait))
		return;
	if (sili_timeline_look(tl))
		wake_up_all(&tl->wait);
	else
		queue_delayed_work(system_unbound_wq, &tl->look_work, SILI_EVENTS_LOOK);
}

static __poll_t sili_timeline_poll(struct file *file, poll_table *table)
{
	struct sili_timeline *tl = file->private_data;
	int n;

	poll_wait(file, &tl->wait, table);
	n = sili_timeline_look(tl);
	if (n > 0)
		return EPOLLIN | EPOLLRDNORM;
	if (n < 0)
		return EPOLLHUP;
	queue_delayed_work(system_unbound_wq, &tl->look_work, SILI_EVENTS_LOOK);
	return 0;
}

/* ---- the file ---- */

static long sili_timeline_status(struct sili_timeline *tl, void __user *to)
{
	struct drm_siliflow_timeline_status status;
	struct sili_device *sdev = tl->sdev;
	int idx;

	mutex_lock(&sdev->timeline_lock);
	if (!tl->error && drm_dev_enter(&sdev->drm, &idx)) {
		sili_timeline_update(tl);
		drm_dev_exit(idx);
	}
	status = (struct drm_siliflow_timeline_status){ .recorded = tl->head, .lost = tl->lost };
	mutex_unlock(&sdev->timeline_lock);
	return copy_to_user(to, &status, sizeof(status)) ? -EFAULT : 0;
}

static long sili_timeline_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != SILIFLOW_TIMELINE_STATUS)
		return -ENOTTY;
	return sili_timeline_status(file->private_data, (void __user *)arg);
}

static void sili_timeline_free(struct sili_timeline *tl)
{
	struct sili_device *sdev = tl->sdev;

	if (tl->bo)
		drm_gem_object_put(&tl->bo->base.base);
	sili_put_power(sdev);
	drm_dev_put(&sdev->drm);
	mutex_destroy(&tl->read_lock);
	kfree(tl->events);
	kfree(tl);
}

static int sili_timeline_release(struct inode *inode, struct file *file)
{
	struct sili_timeline *tl = file->private_data;
	struct sili_device *sdev = tl->sdev;
	int idx;

	sili_gate_enter(sdev, false);
	mutex_lock(&sdev->timeline_lock);
	if (sdev->timeline == tl) {
		if (drm_dev_enter(&sdev->drm, &idx)) {
			sili_timeline_end(sdev, -ECANCELED);
			drm_dev_exit(idx);
		}
		sdev->timeline = NULL;
	}
	mutex_unlock(&sdev->timeline_lock);
	sili_gate_exit(sdev);
	cancel_delayed_work_sync(&tl->look_work);
	sili_timeline_free(tl);
	return 0;
}

static const struct file_operations sili_timeline_fops = {
	.owner = THIS_MODULE,
	.read = sili_timeline_read,
	.poll = sili_timeline_poll,
	.unlocked_ioctl = sili_timeline_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = sili_timeline_release,
};

static struct sili_timeline *sili_timeline_new(struct sili_device *sdev, u32 log2)
{
	u64 bytes = max_t(u64, SILI_EVENT_BYTES << log2, PAGE_SIZE);
	struct sili_timeline *tl;
	struct sili_bo *bo;

	if (bytes > sili_ttm_visible(sdev))
		return ERR_PTR(-E2BIG);
	tl = kzalloc(sizeof(*tl), GFP_KERNEL);
	if (!tl)
		return ERR_PTR(-ENOMEM);
	tl->sdev = sdev;
	tl->log2 = log2;
	init_waitqueue_head(&tl->wait);
	INIT_DELAYED_WORK(&tl->look_work, sili_timeline_look_work);
	mutex_init(&tl->read_lock);
	/* The file of the caller keeps the device awake, for now. */
	pm_runtime_get_noresume(sdev->drm.dev);
	drm_dev_get(&sdev->drm);
	tl->events = kmalloc(SILI_EVENTS_BYTES, GFP_KERNEL);
	if (!tl->events) {
		sili_timeline_free(tl);
		return ERR_PTR(-ENOMEM);
	}
	bo = sili_bo_create(sdev, bytes, SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE,
			    ttm_bo_type_kernel, NULL, NULL);
	if (IS_ERR(bo)) {
		sili_timeline_free(tl);
		return ERR_CAST(bo);
	}
	tl->bo = bo;
	tl->ring = sdev->hbm + sili_res_addr(sdev, bo->base.resource, 0, NULL);
	return tl;
}

static struct file *sili_timeline_file(struct sili_device *sdev, u32 log2)
{
	struct sili_timeline *tl = sili_timeline_new(sdev, log2);
	struct file *file;

	if (IS_ERR(tl))
		return ERR_CAST(tl);
	file = anon_inode_getfile("[siliflow-timeline]", &sili_timeline_fops, tl, O_RDONLY);
	if (IS_ERR(file))
		sili_timeline_free(tl);
	return file;
}

static int sili_timeline_open(struct sili_device *sdev, struct file *file, u32 kinds)
{
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	mutex_lock(&sdev->timeline_lock);
	ret = sili_timeline_start(file->private_data, kinds);
	mutex_unlock(&sdev->timeline_lock);
	drm_dev_exit(idx);
	return ret;
}

int sili_ioctl_timeline_open(struct drm_device *drm, void *data, struct drm_file *drm_file)
{
	struct drm_siliflow_timeline_open *args = data;
	struct sili_device *sdev = to_sili(drm);
	struct file *file;
	int fd, ret;

	if (!args->kinds || args->kinds & ~X1_TL_MASK_ALL || args->log2 < X1_TL_MIN_LOG2 ||
	    args->log2 > X1_TL_MAX_LOG2 || args->flags)
		return -EINVAL;
	if (!perfmon_capable())
		return -EPERM;
	/* Before buffers are evicted for a ring; looked at again with the lock held. */
	if (READ_ONCE(sdev->timeline))
		return -EBUSY;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = sili_timeline_file(sdev, args->log2);
	ret = PTR_ERR_OR_ZERO(file);
	if (!ret) {
		ret = sili_timeline_open(sdev, file, args->kinds);
		if (ret)
			fput(file);
	}
	if (ret) {
		put_unused_fd(fd);
		return ret;
	}
	fd_install(fd, file);
	args->fd = fd;
	return 0;
}
