// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device reset: all queues are lost, address spaces and buffers stay. A
 * device that does not come back is unplugged, not left half alive.
 */
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

static int sili_reset_restart(struct sili_device *sdev)
{
	int ret;

	if (sili_read(sdev, X1_REG_HBM_EPOCH) != sdev->hbm_epoch) {
		dev_err(sdev->drm.dev, "HBM has lost its contents\n");
		return -EIO;
	}
	sili_device_start_irqs(sdev);
	ret = sili_fw_boot(sdev);
	if (!ret)
		ret = sili_mmu_attach_all(sdev);
	return ret;
}

static int sili_reset(struct sili_device *sdev)
{
	u32 i;
	int ret;

	mutex_lock(&sdev->hwq_lock);
	mutex_lock(&sdev->vm_lock);
	mutex_lock(&sdev->mbox_lock);
	mutex_lock(&sdev->inval_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue)
			sili_queue_stop(sdev->hwq[i].queue, -ECANCELED, SILIFLOW_QUEUE_LOST);
	sili_reset_halt(sdev);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue)
			sili_hwq_flush(&sdev->hwq[i], sdev->hwq[i].queue->error);
	ret = sili_reset_restart(sdev);
	mutex_unlock(&sdev->inval_lock);
	mutex_unlock(&sdev->mbox_lock);
	mutex_unlock(&sdev->vm_lock);
	mutex_unlock(&sdev->hwq_lock);
	return ret;
}

static void sili_reset_work(struct work_struct *work)
{
	struct sili_device *sdev = container_of(work, struct sili_device, reset_work);
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return;
	ret = sili_reset(sdev);
	drm_dev_exit(idx);
	if (!ret)
		return;
	dev_err(sdev->drm.dev, "reset failed, the device is lost\n");
	sili_device_unplug(sdev);
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
 * @why: for the log
 */
void sili_reset_schedule(struct sili_device *sdev, const char *why)
{
	trace_siliflow_reset(sdev->index, "device", why);
	if (queue_work(system_unbound_wq, &sdev->reset_work))
		dev_warn(sdev->drm.dev, "%s: device reset\n", why);
}
