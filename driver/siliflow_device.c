// SPDX-License-Identifier: GPL-2.0-only
/* Bringing the device up, and taking it away at any moment. */
#include <linux/dma-mapping.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>

#include "siliflow.h"

/* The addresses of a page-table entry. */
#define SILI_DMA_BITS	52

static int sili_map_bars(struct sili_device *sdev)
{
	struct pci_dev *pdev = sdev->pdev;
	struct device *dev = &pdev->dev;
	int ret;

	ret = pcim_request_all_regions(pdev, SILI_NAME);
	if (ret)
		return dev_err_probe(dev, ret, "BARs are in use\n");
	if (!pci_resource_start(pdev, X1_PCI_BAR_HBM))
		return dev_err_probe(dev, -ENODEV,
				     "BAR %u (HBM) has no address: is the bridge's 64-bit prefetchable window large enough?\n",
				     X1_PCI_BAR_HBM);
	if (pci_resource_len(pdev, X1_PCI_BAR_REGS) < X1_BAR0_BYTES)
		return dev_err_probe(dev, -ENODEV, "BAR %u is too small\n", X1_PCI_BAR_REGS);
	sdev->regs_phys = pci_resource_start(pdev, X1_PCI_BAR_REGS);
	sdev->regs = pcim_iomap(pdev, X1_PCI_BAR_REGS, 0);
	if (!sdev->regs)
		return dev_err_probe(dev, -ENOMEM, "cannot map the registers\n");
	return 0;
}

static int sili_map_hbm(struct sili_device *sdev)
{
	struct pci_dev *pdev = sdev->pdev;

	sdev->hbm_phys = pci_resource_start(pdev, X1_PCI_BAR_HBM);
	sdev->hbm_bytes = ALIGN_DOWN(sili_read64(sdev, X1_REG_HBM_BYTES_LO), X1_HUGE_SIZE);
	sdev->hbm_visible = min3(sdev->hbm_bytes, sili_read64(sdev, X1_REG_APERTURE_LO),
				 (u64)pci_resource_len(pdev, X1_PCI_BAR_HBM));
	sdev->hbm = devm_ioremap_wc(&pdev->dev, sdev->hbm_phys, sdev->hbm_visible);
	return sdev->hbm ? 0 : dev_err_probe(&pdev->dev, -ENOMEM, "cannot map HBM\n");
}

static int sili_identify(struct sili_device *sdev)
{
	struct device *dev = &sdev->pdev->dev;
	u32 version;

	if (sili_read(sdev, X1_REG_MAGIC) != X1_MAGIC)
		return dev_err_probe(dev, -ENODEV, "no X1 behind BAR %u (%#x)\n", X1_PCI_BAR_REGS,
				     sili_read(sdev, X1_REG_MAGIC));
	version = sili_read(sdev, X1_REG_VERSION);
	if (version >> 16 != X1_VERSION >> 16)
		return dev_err_probe(dev, -ENODEV, "X1 version %u.%u is not supported\n",
				     version >> 16, version & 0xffff);
	sdev->num_mcus = sili_read(sdev, X1_REG_NUM_MCUS);
	sdev->num_vms = sili_read(sdev, X1_REG_NUM_VMS);
	sdev->clock_hz = sili_read64(sdev, X1_REG_CLOCK_HZ_LO);
	sdev->serial = sili_read64(sdev, X1_REG_SERIAL_LO);
	sdev->num_hwqs = min(sili_read(sdev, X1_REG_NUM_QUEUES), X1_NUM_QUEUES);
	sdev->db_offset = sili_read(sdev, X1_REG_DB_OFFSET);
	sdev->db_stride = sili_read(sdev, X1_REG_DB_STRIDE);
	if (!sdev->num_mcus || sdev->num_vms <= SILI_VM_FIRST || sdev->num_hwqs < 2 ||
	    !sdev->clock_hz ||
	    /* Nothing else lies in a doorbell's page: users map it. */
	    !IS_ALIGNED(sdev->db_offset | sdev->db_stride, PAGE_SIZE) ||
	    sdev->db_offset + (u64)sdev->num_hwqs * sdev->db_stride >
	    pci_resource_len(sdev->pdev, X1_PCI_BAR_REGS))
		return dev_err_probe(dev, -ENODEV, "capability registers make no sense\n");
	/* The last one copies for the driver. */
	sdev->num_hwqs--;
	return 0;
}

static void sili_locks_init(struct sili_device *sdev)
{
	init_waitqueue_head(&sdev->wait);
	init_completion(&sdev->halted);
	mutex_init(&sdev->index_lock);
	mutex_init(&sdev->mbox_lock);
	mutex_init(&sdev->inval_lock);
	mutex_init(&sdev->timeline_lock);
	mutex_init(&sdev->pt_lock);
	mutex_init(&sdev->pinned_lock);
	INIT_LIST_HEAD(&sdev->pinned);
	mutex_init(&sdev->vm_lock);
	mutex_init(&sdev->rebind_lock);
	mutex_init(&sdev->hwq_lock);
	mutex_init(&sdev->unplug_lock);
	mutex_init(&sdev->fw_pull_lock);
	spin_lock_init(&sdev->fw_log_lock);
	INIT_LIST_HEAD(&sdev->vms);
	atomic64_set(&sdev->qevents, 0);
	sili_reset_init(sdev);
	sili_watch_init(sdev);
	sili_aer_init(sdev);
	init_waitqueue_head(&sdev->gate_wait);
}

/*
 * sili_device_start_irqs() - let the device, just reset, raise interrupts
 */
void sili_device_start_irqs(struct sili_device *sdev)
{
	sili_write(sdev, X1_REG_IRQ_PENDING, X1_IRQ_ALL);
	sili_write(sdev, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
}

/*
 * sili_energy() - microjoules since probing, of the package or the core
 */
u64 sili_energy(struct sili_device *sdev, bool package)
{
	u64 now = sili_read_counter(sdev, package ? X1_REG_ENERGY_PKG_LO : X1_REG_ENERGY_CORE_LO);

	/* All ones: the device has gone. */
	return sdev->energy_base[package] + (now == U64_MAX ? 0 : now);
}

static int sili_start(struct sili_device *sdev)
{
	int ret;

	sili_device_start_irqs(sdev);
	ret = sili_fw_boot(sdev);
	if (ret)
		return ret;
	mutex_lock(&sdev->vm_lock);
	mutex_lock(&sdev->mbox_lock);
	ret = sili_mmu_attach_all(sdev);
	mutex_unlock(&sdev->mbox_lock);
	mutex_unlock(&sdev->vm_lock);
	if (ret)
		return dev_err_probe(sdev->drm.dev, ret, "firmware refuses the kernel's VM\n");
	ret = sili_ttm_init(sdev);
	if (ret)
		return dev_err_probe(sdev->drm.dev, ret, "cannot set up memory management\n");
	WRITE_ONCE(sdev->irqs_live, true);
	sili_watch_start(sdev);
	return 0;
}

/*
 * sili_device_init() - from an enabled PCI function to a device that takes work
 *
 * Return: 0, or a negative errno with a line in the log.
 */
int sili_device_init(struct sili_device *sdev)
{
	struct pci_dev *pdev = sdev->pdev;
	int ret;

	sili_locks_init(sdev);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(SILI_DMA_BITS));
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "no DMA\n");
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	ret = sili_map_bars(sdev);
	if (ret)
		return ret;
	ret = sili_identify(sdev);
	if (ret)
		return ret;
	/* Whatever an earlier driver left behind. */
	sili_reset_halt(sdev);
	ret = sili_map_hbm(sdev);
	if (ret)
		return ret;
	sdev->hbm_epoch = sili_read(sdev, X1_REG_HBM_EPOCH);
	ret = sili_mmu_init(sdev);
	if (ret)
		return ret;
	ret = sili_hwq_init(sdev);
	if (ret)
		return ret;
	ret = sili_copy_init(sdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "cannot set up the copy queue\n");
	ret = sili_sched_init(sdev);
	if (ret)
		return ret;
	ret = sili_bind_init(sdev);
	if (ret)
		return ret;
	ret = sili_fw_load(sdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = sili_irq_init(sdev);
	if (ret)
		return ret;
	ret = sili_start(sdev);
	if (ret) {
		sili_reset_halt(sdev);
		sili_irq_fini(sdev);
	}
	return ret;
}

/* Users may still want to know what their queues took. */
static void sili_fold_cycles(struct sili_device *sdev)
{
	u32 i;

	mutex_lock(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue)
			sili_queue_fold_cycles(sdev->hwq[i].queue);
	mutex_unlock(&sdev->hwq_lock);
}

/* No job runs and none will; waiters get an error. */
static void sili_stop_queues(struct sili_device *sdev)
{
	u32 i;

	mutex_lock(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue)
			sili_queue_stop(sdev->hwq[i].queue, -ENODEV, SILIFLOW_QUEUE_LOST);
	for (i = 0; i < sdev->num_hwqs; i++)
		sili_hwq_flush(&sdev->hwq[i], -ENODEV);
	mutex_unlock(&sdev->hwq_lock);
}

/*
 * sili_device_unplug() - the device has gone, or is to go; may be repeated
 *
 * Users keep their files; ioctls fail with -ENODEV from now on.
 */
void sili_device_unplug(struct sili_device *sdev)
{
	mutex_lock(&sdev->unplug_lock);
	if (!drm_dev_is_unplugged(&sdev->drm)) {
		sili_fold_cycles(sdev);
		mutex_lock(&sdev->timeline_lock);
		sili_timeline_end(sdev, -ENODEV);
		mutex_unlock(&sdev->timeline_lock);
		drm_dev_unplug(&sdev->drm);
		sili_reset_halt(sdev);
		/* Who waits for the device to stop using memory may go on. */
		complete_all(&sdev->halted);
		sili_stop_queues(sdev);
		sili_watch_stop(sdev);
		sili_irq_fini(sdev);
		sili_vm_unplug_all(sdev);
		sili_ttm_unplug(sdev);
		pci_clear_master(sdev->pdev);
	}
	mutex_unlock(&sdev->unplug_lock);
}
