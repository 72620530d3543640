// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power. An open file keeps the device awake; with none it goes to D3hot after
 * a second, where HBM and firmware stay as they are. Before the system sleeps,
 * buffers leave HBM, which may lose its contents; queues that are idle come
 * back as if nothing had happened, user queues are lost.
 */
#include <linux/bitmap.h>
#include <linux/pm_runtime.h>
#include <linux/vmalloc.h>

#include "siliflow.h"

#define SILI_AUTOSUSPEND_MS	1000

/*
 * sili_pm_init() - when probing has succeeded
 */
void sili_pm_init(struct sili_device *sdev)
{
	struct device *dev = sdev->drm.dev;

	/* HBM would lose its contents. */
	pci_d3cold_disable(sdev->pdev);
	pm_runtime_set_autosuspend_delay(dev, SILI_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	/* The PCI core's own for probing. */
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
}

/*
 * sili_pm_fini() - undo sili_pm_init(); the device is awake
 */
void sili_pm_fini(struct sili_device *sdev)
{
	pm_runtime_get_noresume(sdev->drm.dev);
	pm_runtime_forbid(sdev->drm.dev);
	pm_runtime_dont_use_autosuspend(sdev->drm.dev);
}

/* ---- common ---- */

static void sili_sleep(struct sili_device *sdev)
{
	sili_freeze(sdev);
	sili_watch_stop(sdev);
	flush_work(&sdev->event_work);
	flush_work(&sdev->reset_work);
}

static void sili_wake(struct sili_device *sdev, int ret)
{
	/* What the device has not been given again is not there: no half life. */
	if (ret)
		sili_lost(sdev);
	else
		sili_watch_start(sdev);
	sili_thaw(sdev);
}

/* ---- runtime ---- */

static int sili_runtime_suspend(struct device *dev)
{
	struct sili_device *sdev = dev_get_drvdata(dev);

	if (drm_dev_is_unplugged(&sdev->drm))
		return 0;
	sili_sleep(sdev);
	sdev->boot_epoch = sili_read(sdev, X1_REG_BOOT_EPOCH);
	return 0;
}

static int sili_runtime_resume(struct device *dev)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	int ret = 0;

	if (drm_dev_is_unplugged(&sdev->drm))
		return 0;
	/* Something has reset it meanwhile, or it lost power. */
	if (sili_read(sdev, X1_REG_BOOT_EPOCH) != sdev->boot_epoch)
		ret = sili_restart(sdev);
	sili_wake(sdev, ret);
	return 0;
}

/* ---- system sleep ---- */

static void __iomem *sili_table(struct sili_device *sdev, u32 index)
{
	return sdev->hbm + SILI_PT_OFFSET + (u64)index * X1_PT_BYTES;
}

static int sili_tables_save(struct sili_device *sdev)
{
	u32 i, n = 0;

	sdev->tables = vmalloc_array(bitmap_weight(sdev->pt_map, sdev->pt_num), X1_PT_BYTES);
	if (!sdev->tables)
		return -ENOMEM;
	for_each_set_bit(i, sdev->pt_map, sdev->pt_num)
		memcpy_fromio(sdev->tables + n++ * X1_PT_ENTRIES, sili_table(sdev, i),
			      X1_PT_BYTES);
	return 0;
}

/* HBM has lost its contents; no buffer is in it. */
static void sili_tables_restore(struct sili_device *sdev)
{
	u32 i, n = 0;

	for_each_set_bit(i, sdev->pt_map, sdev->pt_num)
		memcpy_toio(sili_table(sdev, i), sdev->tables + n++ * X1_PT_ENTRIES,
			    X1_PT_BYTES);
	wmb(); /* before they are attached */
	sdev->hbm_epoch = sili_read(sdev, X1_REG_HBM_EPOCH);
}

/* Suspended for a buffer to move they would come back, and bring it back with them. */
static void sili_end_user_queues(struct sili_device *sdev)
{
	u32 i;

	mutex_lock(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue && sdev->hwq[i].queue->user)
			sili_queue_stop(sdev->hwq[i].queue, -ECANCELED, SILIFLOW_QUEUE_LOST);
	mutex_unlock(&sdev->hwq_lock);
}

/* Processes are frozen. Jobs end first, for buffers do not move before. */
static int sili_suspend(struct device *dev)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	int ret;

	if (drm_dev_is_unplugged(&sdev->drm))
		return 0;
	sili_end_user_queues(sdev);
	ret = sili_ttm_evict_hbm(sdev);
	if (ret)
		return ret;
	sili_sleep(sdev);
	ret = sili_tables_save(sdev);
	if (ret) {
		sili_wake(sdev, 0);
		return ret;
	}
	sili_lock_all(sdev);
	sili_down(sdev);
	sili_unlock_all(sdev);
	return 0;
}

static int sili_resume(struct device *dev)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	int ret;

	if (drm_dev_is_unplugged(&sdev->drm))
		return 0;
	sili_lock_all(sdev);
	if (sili_read(sdev, X1_REG_HBM_EPOCH) != sdev->hbm_epoch)
		sili_tables_restore(sdev);
	vfree(sdev->tables);
	sdev->tables = NULL;
	ret = sili_up(sdev);
	sili_unlock_all(sdev);
	sili_wake(sdev, ret);
	return 0;
}

const struct dev_pm_ops sili_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(sili_suspend, sili_resume)
	RUNTIME_PM_OPS(sili_runtime_suspend, sili_runtime_resume, NULL)
};
