// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: who wants something of the device goes through it, and waits while
 * the function is being reset, is in an error state, or sleeps. BARs do not
 * answer then: registers read as ones, and what is written to HBM is lost.
 *
 * The reset of the device logic by its register needs no gate; HBM stays there.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pm_runtime.h>

#include "siliflow.h"

/*
 * sili_gate_leave() - undo sili_gate_join()
 */
void sili_gate_leave(struct sili_device *sdev, atomic_t *count)
{
	if (atomic_dec_and_test(count))
		wake_up_all(&sdev->gate_wait);
}

static bool sili_gate_try(struct sili_device *sdev)
{
	atomic_inc(&sdev->gate_users);
	smp_mb__after_atomic(); /* against sili_freeze() */
	if (!READ_ONCE(sdev->frozen))
		return true;
	sili_gate_leave(sdev, &sdev->gate_users);
	return false;
}

/**
 * sili_gate_enter() - wait until the device is there
 * @sdev: device
 * @interruptible: a signal ends waiting
 *
 * Return: 0, then sili_gate_exit() is due; -ERESTARTSYS.
 */
int sili_gate_enter(struct sili_device *sdev, bool interruptible)
{
	while (!sili_gate_try(sdev)) {
		if (!interruptible)
			wait_event(sdev->gate_wait, !READ_ONCE(sdev->frozen));
		else if (wait_event_interruptible(sdev->gate_wait, !READ_ONCE(sdev->frozen)))
			return -ERESTARTSYS;
	}
	return 0;
}

void sili_gate_exit(struct sili_device *sdev)
{
	sili_gate_leave(sdev, &sdev->gate_users);
}

/**
 * sili_gate_join() - as sili_gate_enter(), for who may be inside already
 * @sdev: device
 *
 * Reclaim does not know from where it was called, so it cannot wait: neither for
 * itself, nor for who needs memory to open the gate. While anybody is inside the
 * device is there, and stays until all have left.
 *
 * Return: for sili_gate_leave(), or NULL: the gate is closed.
 */
atomic_t *sili_gate_join(struct sili_device *sdev)
{
	if (atomic_inc_not_zero(&sdev->gate_users))
		return &sdev->gate_users;
	if (atomic_inc_not_zero(&sdev->gate_faults))
		return &sdev->gate_faults;
	return sili_gate_try(sdev) ? &sdev->gate_users : NULL;
}

/**
 * sili_fault_enter() - a page fault is about to map HBM
 * @sdev: device
 *
 * Who is inside the gate may fault, so faults wait only when all have left.
 *
 * Return: true, then sili_fault_exit() is due; false: have waited, try again.
 */
bool sili_fault_enter(struct sili_device *sdev)
{
	atomic_inc(&sdev->gate_faults);
	smp_mb__after_atomic(); /* against sili_freeze() */
	if (!READ_ONCE(sdev->unmapped))
		return true;
	sili_fault_exit(sdev);
	wait_event_killable_timeout(sdev->gate_wait, !READ_ONCE(sdev->unmapped), HZ);
	return false;
}

void sili_fault_exit(struct sili_device *sdev)
{
	sili_gate_leave(sdev, &sdev->gate_faults);
}

/*
 * sili_freeze() - close the gate and wait until nobody is inside
 *
 * Mappings of HBM in processes go; who touches one waits for sili_thaw().
 */
void sili_freeze(struct sili_device *sdev)
{
	WRITE_ONCE(sdev->frozen, true);
	smp_mb(); /* against sili_gate_try() */
	wait_event(sdev->gate_wait, !atomic_read(&sdev->gate_users));
	WRITE_ONCE(sdev->unmapped, true);
	smp_mb(); /* against sili_fault_enter() */
	wait_event(sdev->gate_wait, !atomic_read(&sdev->gate_faults));
	/* Who was inside may have waited for them. */
	sili_bind_pause(sdev, true);
	unmap_mapping_range(sdev->drm.anon_inode->i_mapping, 0, 0, 1);
}

/*
 * sili_thaw() - open the gate
 */
void sili_thaw(struct sili_device *sdev)
{
	sili_bind_pause(sdev, false);
	WRITE_ONCE(sdev->unmapped, false);
	WRITE_ONCE(sdev->frozen, false);
	wake_up_all(&sdev->gate_wait);
}

/**
 * sili_enter() - a reader of registers: through the gate, and awake
 * @sdev: device
 * @idx: for sili_exit()
 *
 * Return: 0, -ENODEV when the device has gone, -ERESTARTSYS, or why it cannot
 * be woken.
 */
int sili_enter(struct sili_device *sdev, int *idx)
{
	int ret;

	/* Waking may need the gate open. */
	ret = pm_runtime_resume_and_get(sdev->drm.dev);
	if (ret)
		return ret;
	ret = sili_gate_enter(sdev, true);
	if (!ret && drm_dev_enter(&sdev->drm, idx))
		return 0;
	if (!ret) {
		sili_gate_exit(sdev);
		ret = -ENODEV;
	}
	sili_put_power(sdev);
	return ret;
}

void sili_exit(struct sili_device *sdev, int idx)
{
	drm_dev_exit(idx);
	sili_gate_exit(sdev);
	sili_put_power(sdev);
}

void sili_put_power(struct sili_device *sdev)
{
	pm_runtime_mark_last_busy(sdev->drm.dev);
	pm_runtime_put_autosuspend(sdev->drm.dev);
}
