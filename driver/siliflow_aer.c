// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the PCI core tells: a function reset by root (sysfs "reset", VFIO), and
 * errors on the link. Both are a reset of the device from the driver's view.
 */
#include <linux/pm_runtime.h>

#include "siliflow.h"

/* After an error the PCI core brings the link back within this time, or never. */
#define SILI_AER_TIMEOUT	(30 * HZ)

static void sili_function_down(struct sili_device *sdev)
{
	sili_freeze(sdev);
	sili_watch_stop(sdev);
	flush_work(&sdev->reset_work);
	sili_lock_all(sdev);
	sili_down(sdev);
	sili_unlock_all(sdev);
}

static void sili_function_up(struct sili_device *sdev)
{
	int ret;

	sili_lock_all(sdev);
	ret = sili_up(sdev);
	sili_unlock_all(sdev);
	if (ret) {
		sili_lost(sdev);
	} else {
		sili_wedged(sdev, "none");
		sili_watch_start(sdev);
	}
	sili_thaw(sdev);
}

/* ---- FLR ---- */

static void sili_reset_prepare(struct pci_dev *pdev)
{
	struct sili_device *sdev = pci_get_drvdata(pdev);

	pm_runtime_get_sync(&pdev->dev);
	sdev->function_down = !drm_dev_is_unplugged(&sdev->drm);
	if (sdev->function_down)
		sili_function_down(sdev);
}

static void sili_reset_done(struct pci_dev *pdev)
{
	struct sili_device *sdev = pci_get_drvdata(pdev);

	if (sdev->function_down) {
		sdev->function_down = false;
		sili_function_up(sdev);
	}
	sili_put_power(sdev);
}

/* ---- errors ---- */

/* The PCI core says nothing where recovery fails elsewhere on the bus. */
static void sili_aer_work(struct work_struct *work)
{
	struct sili_device *sdev = container_of(work, struct sili_device, aer_work.work);

	sdev->function_down = false;
	sili_lost(sdev);
	sili_thaw(sdev);
}

/*
 * sili_aer_init() - before the driver is told of errors
 */
void sili_aer_init(struct sili_device *sdev)
{
	INIT_DELAYED_WORK(&sdev->aer_work, sili_aer_work);
}

static pci_ers_result_t sili_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct sili_device *sdev = pci_get_drvdata(pdev);

	if (drm_dev_is_unplugged(&sdev->drm))
		return PCI_ERS_RESULT_DISCONNECT;
	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;
	if (state == pci_channel_io_perm_failure) {
		cancel_delayed_work_sync(&sdev->aer_work);
		sdev->function_down = false;
		sili_lost(sdev);
		sili_thaw(sdev);
		return PCI_ERS_RESULT_DISCONNECT;
	}
	sdev->function_down = true;
	sili_function_down(sdev);
	schedule_delayed_work(&sdev->aer_work, SILI_AER_TIMEOUT);
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t sili_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_save_state(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void sili_error_resume(struct pci_dev *pdev)
{
	struct sili_device *sdev = pci_get_drvdata(pdev);

	/* Nothing was lost where the link never stopped, or too much time has gone. */
	if (!sdev->function_down || !cancel_delayed_work_sync(&sdev->aer_work))
		return;
	sdev->function_down = false;
	sili_function_up(sdev);
}

const struct pci_error_handlers sili_err_handlers = {
	.error_detected = sili_error_detected,
	.slot_reset = sili_slot_reset,
	.resume = sili_error_resume,
	.reset_prepare = sili_reset_prepare,
	.reset_done = sili_reset_done,
};
