// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts. Vector 0 brings events (mailbox, INVALIDATE, firmware, queue
 * faults), the others completed fences: each serves every (n - 1)th queue.
 */
#include <linux/interrupt.h>

#include "siliflow.h"

static void sili_irq_fences(struct sili_device *sdev, u32 vector)
{
	u32 i, step = max(sdev->num_vectors - 1, 1u);

	for (i = vector ? vector - 1 : 0; i < sdev->num_hwqs; i += step)
		if (sdev->hwq[i].vector == vector)
			sili_hwq_complete(&sdev->hwq[i]);
}

static irqreturn_t sili_irq_event(int irq, void *arg)
{
	struct sili_device *sdev = arg;
	u32 pending = sili_read(sdev, X1_REG_IRQ_PENDING);
	u64 events;

	/* All ones: the device has gone. */
	if (!pending || pending == U32_MAX)
		return IRQ_NONE;
	sili_write(sdev, X1_REG_IRQ_PENDING, pending);
	if (pending & X1_IRQ_QFENCE)
		sili_irq_fences(sdev, 0);
	if (pending & X1_IRQ_QEVENT) {
		events = sili_read64(sdev, X1_REG_QEVENT_LO);
		sili_write(sdev, X1_REG_QEVENT_LO, lower_32_bits(events));
		sili_write(sdev, X1_REG_QEVENT_HI, upper_32_bits(events));
		atomic64_or(events, &sdev->qevents);
	}
	if (pending & (X1_IRQ_QEVENT | X1_IRQ_FW) && READ_ONCE(sdev->irqs_live))
		queue_work(system_highpri_wq, &sdev->event_work);
	wake_up_all(&sdev->wait);
	return IRQ_HANDLED;
}

static irqreturn_t sili_irq_fence(int irq, void *arg)
{
	struct sili_hwq *first = arg;

	sili_irq_fences(first->sdev, first->vector);
	return IRQ_HANDLED;
}

static void sili_event_work(struct work_struct *work)
{
	struct sili_device *sdev = container_of(work, struct sili_device, event_work);
	u64 events;
	int idx;
	u32 i;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return;
	events = atomic64_xchg(&sdev->qevents, 0);
	mutex_lock(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (events & BIT_ULL(i))
			sili_hwq_fault(&sdev->hwq[i]);
	mutex_unlock(&sdev->hwq_lock);
	sili_fw_check(sdev);
	drm_dev_exit(idx);
}

/* A fence vector is known by the first queue that it serves. */
static void *sili_irq_cookie(struct sili_device *sdev, u32 vector)
{
	return vector ? (void *)&sdev->hwq[vector - 1] : sdev;
}

/*
 * sili_irq_init() - get vectors and install handlers
 *
 * Return: 0 or a negative errno, with a line in the log.
 */
int sili_irq_init(struct sili_device *sdev)
{
	struct pci_dev *pdev = sdev->pdev;
	int i, n, ret;

	INIT_WORK(&sdev->event_work, sili_event_work);
	n = pci_alloc_irq_vectors(pdev, 1, min(sdev->num_hwqs + 1, X1_MSIX_VECTORS), PCI_IRQ_MSIX);
	if (n < 0)
		return dev_err_probe(&pdev->dev, n, "no MSI-X vector\n");
	sdev->num_vectors = n;
	for (i = 0; i < sdev->num_hwqs; i++)
		sdev->hwq[i].vector = n > 1 ? 1 + i % (n - 1) : 0;
	for (i = 0; i < n; i++) {
		ret = request_irq(pci_irq_vector(pdev, i), i ? sili_irq_fence : sili_irq_event, 0,
				  SILI_NAME, sili_irq_cookie(sdev, i));
		if (ret)
			break;
	}
	if (i == n)
		return 0;
	while (i--)
		free_irq(pci_irq_vector(pdev, i), sili_irq_cookie(sdev, i));
	pci_free_irq_vectors(pdev);
	return dev_err_probe(&pdev->dev, ret, "cannot install an interrupt handler\n");
}

/*
 * sili_irq_fini() - no interrupt and no event work any more
 */
void sili_irq_fini(struct sili_device *sdev)
{
	u32 i;

	WRITE_ONCE(sdev->irqs_live, false);
	for (i = 0; i < sdev->num_vectors; i++)
		free_irq(pci_irq_vector(sdev->pdev, i), sili_irq_cookie(sdev, i));
	pci_free_irq_vectors(sdev->pdev);
	cancel_work_sync(&sdev->event_work);
}
