// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery, in this order, each step only where the one before was not enough:
 *
 *  1. the queue that hangs or faulted is reset (siliflow_sched.c);
 *  2. firmware that died is started again; queues go on (siliflow_fw.c);
 *  3. the device logic is reset, by its register, then by FLR;
 *  4. the device is unplugged, not left half alive.
 *
 * In 3 address spaces and buffers stay. Queues without a job on the device go
 * on as if nothing had happened; those with one are lost, for what the job has
 * done is unknown. Steps 1 and 3 run on one ordered workqueue.
 */
#include <linux/kobject.h>

#include <drm/drm_accel.h>
#include <drm/drm_file.h>

#include "siliflow.h"
#include "siliflow_trace.h"

/*
 * sili_reset_halt() - reset the device logic: it does nothing any more
 */
void sili_reset_halt(struct sili_device *sdev)
{
	sili_write(sdev, X1_REG_RESET, X1_RESET_KEY);
	/* The write has arrived. */
	sili_read(sdev, X1_REG_BOOT_EPOCH);
}

/*
 * As drm_dev_wedged_event(), which needs a primary node and accel has none.
 * "none": users may go on, with new queues where theirs were lost.
 */
void sili_wedged(struct sili_device *sdev, const char *recovery)
{
	char text[48];
	char *env[2] = { text };

	if (!sdev->drm.registered)
		return;
	snprintf(text, sizeof(text), "WEDGED=%s", recovery);
	kobject_uevent_env(&sdev->drm.accel->kdev->kobj, KOBJ_CHANGE, env);
}

/* ---- down and up ---- */

void sili_lock_all(struct sili_device *sdev)
{
	mutex_lock(&sdev->hwq_lock);
	mutex_lock(&sdev->vm_lock);
	mutex_lock(&sdev->mbox_lock);
	mutex_lock(&sdev->inval_lock);
	mutex_lock(&sdev->timeline_lock);
}

void sili_unlock_all(struct sili_device *sdev)
{
	mutex_unlock(&sdev->timeline_lock);
	mutex_unlock(&sdev->inval_lock);
	mutex_unlock(&sdev->mbox_lock);
	mutex_unlock(&sdev->vm_lock);
	mutex_unlock(&sdev->hwq_lock);
}

static void sili_hwq_down(struct sili_hwq *hwq)
{
	bool busy = sili_hwq_hold(hwq, true);

	if (!hwq->queue)
		return;
	sili_queue_fold_cycles(hwq->queue);
	/* What a user queue has in its ring only its owner knows. */
	if (busy || hwq->queue->user)
		sili_queue_stop(hwq->queue, -ECANCELED, SILIFLOW_QUEUE_LOST);
}

/**
 * sili_down() - stop everything before a reset; all locks held
 * @sdev: device
 *
 * No job goes to the device until sili_up(). Jobs on it end with an error.
 */
void sili_down(struct sili_device *sdev)
{
	u32 i;

	for (i = 0; i < sdev->num_hwqs; i++)
		sili_hwq_down(&sdev->hwq[i]);
	sdev->energy_base[0] = sili_energy(sdev, false);
	sdev->energy_base[1] = sili_energy(sdev, true);
	sili_copy_lost(sdev);
	sili_timeline_end(sdev, -ECANCELED);
	sili_reset_halt(sdev);
	for (i = 0; i < sdev->num_hwqs; i++) {
		struct sili_queue *queue = sdev->hwq[i].queue;

		sili_hwq_flush(&sdev->hwq[i], queue && queue->error ? queue->error : -ECANCELED);
	}
	atomic_inc(&sdev->resets);
}

static int sili_boot(struct sili_device *sdev)
{
	int ret;
	u32 i;

	if (sili_read(sdev, X1_REG_MAGIC) != X1_MAGIC) {
		dev_err(sdev->drm.dev, "device does not answer\n");
		return -ENODEV;
	}
	if (sili_read(sdev, X1_REG_HBM_EPOCH) != sdev->hbm_epoch) {
		dev_err(sdev->drm.dev, "HBM has lost its contents\n");
		return -EIO;
	}
	sili_device_start_irqs(sdev);
	ret = sili_fw_boot(sdev);
	if (!ret)
		ret = sili_mmu_attach_all(sdev);
	for (i = 0; i < sdev->num_hwqs && !ret; i++)
		if (sdev->hwq[i].queue && !sdev->hwq[i].queue->error)
			ret = sili_queue_restore(sdev->hwq[i].queue);
	return ret;
}

/* FLR with the function's configuration kept; for a device that its register does not revive. */
static int sili_flr(struct sili_device *sdev)
{
	struct pci_dev *pdev = sdev->pdev;
	int ret;

	if (!pci_device_is_present(pdev))
		return -ENODEV;
	trace_siliflow_reset(sdev->index, "flr", "device does not start");
	pci_save_state(pdev);
	ret = pcie_reset_flr(pdev, PCI_RESET_DO_RESET);
	pci_restore_state(pdev);
	return ret;
}

/**
 * sili_up() - start the device after a reset; all locks held
 * @sdev: device
 *
 * Return: 0 or a negative errno; unplug it then.
 */
int sili_up(struct sili_device *sdev)
{
	int ret = sili_boot(sdev);
	u32 i;

	if (ret && !sili_flr(sdev))
		ret = sili_boot(sdev);
	/* Also where it failed: jobs end with an error then. */
	for (i = 0; i < sdev->num_hwqs; i++)
		sili_hwq_hold(&sdev->hwq[i], false);
	return ret;
}

/*
 * sili_restart() - down and up
 *
 * Return: 0 or a negative errno; unplug it then.
 */
int sili_restart(struct sili_device *sdev)
{
	int ret;

	sili_lock_all(sdev);
	sili_down(sdev);
	ret = sili_up(sdev);
	sili_unlock_all(sdev);
	return ret;
}

/* ---- the work ---- */

static int sili_reset(struct sili_device *sdev)
{
	int ret;

	sili_lock_all(sdev);
	sili_coredump(sdev, READ_ONCE(sdev->reset_why), NULL, true);
	sili_down(sdev);
	ret = sili_up(sdev);
	sili_unlock_all(sdev);
	return ret;
}

/*
 * sili_lost() - the device cannot be recovered: tell, and unplug it
 */
void sili_lost(struct sili_device *sdev)
{
	dev_err(sdev->drm.dev, "recovery failed, the device is lost\n");
	sili_wedged(sdev, "rebind,bus-reset");
	sili_device_unplug(sdev);
}

static void sili_reset_work(struct work_struct *work)
{
	struct sili_device *sdev = container_of(work, struct sili_device, reset_work);
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return;
	ret = sili_reset(sdev);
	if (!ret)
		sili_wedged(sdev, "none");
	drm_dev_exit(idx);
	if (ret)
		sili_lost(sdev);
}

/*
 * sili_reset_init() - before the first sili_reset_schedule()
 */
void sili_reset_init(struct sili_device *sdev)
{
	INIT_WORK(&sdev->reset_work, sili_reset_work);
}

/**
 * sili_reset_schedule() - have the device reset soon
 * @sdev: device
 * @why: for the log, a string that stays
 */
void sili_reset_schedule(struct sili_device *sdev, const char *why)
{
	trace_siliflow_reset(sdev->index, "device", why);
	WRITE_ONCE(sdev->reset_why, why);
	if (queue_work(sdev->timeout_wq, &sdev->reset_work))
		dev_warn(sdev->drm.dev, "%s: device reset\n", why);
}

/**
 * sili_reset_helps() - is it worth another try?
 * @sdev: device, outside drm_dev_enter()
 * @error: what a request of the firmware ended with
 *
 * Where the firmware did not answer, and starting it again was no help or too
 * often tried, a reset is due: wait for it. If it does not answer then, either,
 * the device is lost, and the next try ends with -ENODEV.
 *
 * Return: true when there was a reset.
 */
bool sili_reset_helps(struct sili_device *sdev, int error)
{
	if (error != -ETIMEDOUT)
		return false;
	flush_work(&sdev->reset_work);
	return true;
}
