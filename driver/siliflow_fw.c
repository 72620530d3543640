// SPDX-License-Identifier: GPL-2.0-only
/* Management firmware: load the image into HBM, boot it, wait for it. */
#include <linux/firmware.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "siliflow.h"
#include "siliflow_trace.h"

#define SILI_FW_TIMEOUT		msecs_to_jiffies(10000)
/* The heartbeat comes 50 times a second; the watch looks once and is patient. */
#define SILI_WATCH_PERIOD	HZ
#define SILI_WATCH_MISSES	5
/* Firmware that dies more often is not started again. */
#define SILI_FW_RESTARTS	5
#define SILI_FW_RESTART_WINDOW	(60 * HZ)

MODULE_FIRMWARE(X1_FW_PATH);

static bool sili_fw_settled(struct sili_device *sdev)
{
	u32 state = sili_read(sdev, X1_REG_FW_STATE);

	return state == X1_FW_STATE_READY || state == X1_FW_STATE_REFUSED ||
	       state == X1_FW_STATE_CRASHED;
}

/**
 * sili_fw_boot() - boot the firmware
 * @sdev: device, just reset
 *
 * Return: 0; -EINVAL where the boot ROM refuses the image or the ABI is
 * another, -EIO or -ETIMEDOUT when it does not run. One line in the log says
 * why.
 */
int sili_fw_boot(struct sili_device *sdev)
{
	const struct firmware *fw = sdev->fw;
	struct device *dev = sdev->drm.dev;
	u32 abi;

	WRITE_ONCE(sdev->fw_log_next, 0);
	memcpy_toio(sdev->hbm + SILI_FW_OFFSET, fw->data, fw->size);
	/* The image has left the write-combining buffers before the boot ROM reads it. */
	wmb();
	sili_write(sdev, X1_REG_FW_ADDR_LO, SILI_FW_OFFSET);
	sili_write(sdev, X1_REG_FW_ADDR_HI, 0);
	sili_write(sdev, X1_REG_FW_SIZE, fw->size);
	sili_write(sdev, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	wait_event_timeout(sdev->wait, sili_fw_settled(sdev), SILI_FW_TIMEOUT);
	switch (sili_read(sdev, X1_REG_FW_STATE)) {
	case X1_FW_STATE_READY:
		break;
	case X1_FW_STATE_REFUSED:
		dev_err(dev, "firmware %s refused: %s\n", X1_FW_PATH,
			x1_fw_error_name(sili_read(sdev, X1_REG_FW_ERROR)));
		return -EINVAL;
	case X1_FW_STATE_CRASHED:
		dev_err(dev, "firmware %s crashed at %#x, cause %u\n", X1_FW_PATH,
			sili_read(sdev, X1_REG_FW_CRASH_PC),
			sili_read(sdev, X1_REG_FW_CRASH_CAUSE));
		return -EIO;
	default:
		dev_err(dev, "firmware %s did not check in\n", X1_FW_PATH);
		return -ETIMEDOUT;
	}
	abi = sili_read(sdev, X1_REG_FW_ABI);
	if (abi != X1_FW_ABI) {
		dev_err(dev, "firmware %s has mailbox ABI %u, this driver needs %u\n", X1_FW_PATH,
			abi, X1_FW_ABI);
		return -EINVAL;
	}
	return 0;
}

/* ---- firmware that died ---- */

/*
 * sili_fw_alive() - has it checked in, and not crashed?
 */
bool sili_fw_alive(struct sili_device *sdev)
{
	return sili_read(sdev, X1_REG_FW_STATE) == X1_FW_STATE_READY;
}

/* Counts; false when it was too often. */
static bool sili_fw_may_restart(struct sili_device *sdev)
{
	if (!sdev->fw_restarts ||
	    time_after(jiffies, sdev->fw_restart_start + SILI_FW_RESTART_WINDOW)) {
		sdev->fw_restart_start = jiffies;
		sdev->fw_restarts = 0;
	}
	return sdev->fw_restarts++ < SILI_FW_RESTARTS;
}

/**
 * sili_fw_restart() - start the firmware again; mbox_lock held
 * @sdev: device
 * @why: for the log
 *
 * Queues and address spaces go on meanwhile; the new firmware finds them in
 * the hardware.
 *
 * Return: 0 or a negative errno; reset the device then.
 */
int sili_fw_restart(struct sili_device *sdev, const char *why)
{
	u32 ping = X1_FW_MAGIC;
	int ret;

	lockdep_assert_held(&sdev->mbox_lock);
	if (!sili_fw_may_restart(sdev))
		return -EIO;
	dev_warn(sdev->drm.dev, "%s: firmware restart\n", why);
	trace_siliflow_reset(sdev->index, "firmware", why);
	/* One that hangs leaves its registers and stack as one that crashed does. */
	if (sili_fw_alive(sdev)) {
		sili_write(sdev, X1_REG_FW_CTRL, X1_FW_CTRL_STOP);
		wait_event_timeout(sdev->wait, !sili_fw_alive(sdev), HZ);
	}
	sili_coredump(sdev, why, NULL, false);
	ret = sili_fw_boot(sdev);
	if (!ret)
		ret = sili_mbox_locked(sdev, X1_MBOX_PING, &ping, 1, NULL);
	return ret;
}

/*
 * sili_fw_recover() - see to firmware that seems dead
 *
 * Somebody else may have been faster.
 */
static void sili_fw_recover(struct sili_device *sdev, const char *why, u32 beat)
{
	int ret = 0;

	mutex_lock(&sdev->mbox_lock);
	if (!sili_fw_alive(sdev) || sili_read(sdev, X1_REG_FW_HEARTBEAT) == beat)
		ret = sili_fw_restart(sdev, why);
	mutex_unlock(&sdev->mbox_lock);
	if (ret)
		sili_reset_schedule(sdev, why);
}

/*
 * sili_fw_check() - has it crashed? To be called on X1_IRQ_FW.
 */
void sili_fw_check(struct sili_device *sdev)
{
	if (sili_read(sdev, X1_REG_FW_STATE) == X1_FW_STATE_CRASHED)
		sili_fw_recover(sdev, "firmware crashed", 0);
}

static void sili_watch_mcus(struct sili_device *sdev)
{
	u32 healthy = sili_read(sdev, X1_REG_MCU_HEALTHY);
	char *env[2] = { "HEALTH=1" };

	if (healthy == sdev->num_healthy || healthy > sdev->num_mcus)
		return;
	dev_warn(sdev->drm.dev, "%u of %u MCUs quarantined\n", sdev->num_mcus - healthy,
		 sdev->num_mcus);
	sdev->num_healthy = healthy;
	sysfs_notify(&sdev->drm.dev->kobj, SILI_NAME, "health");
	kobject_uevent_env(&sdev->drm.dev->kobj, KOBJ_CHANGE, env);
}

static void sili_watch_work(struct work_struct *work)
{
	struct sili_device *sdev = container_of(work, struct sili_device, watch_work.work);
	u32 beat;
	int idx;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return;
	beat = sili_read(sdev, X1_REG_FW_HEARTBEAT);
	if (beat != sdev->watch_beat)
		sdev->watch_misses = 0;
	else if (++sdev->watch_misses >= SILI_WATCH_MISSES)
		sili_fw_recover(sdev, "no heartbeat of the firmware", beat);
	sdev->watch_beat = beat;
	sili_coredump_prepare(sdev);
	if (sili_fw_alive(sdev)) {
		sili_fw_log_pull(sdev);
		sili_watch_mcus(sdev);
	}
	drm_dev_exit(idx);
	if (READ_ONCE(sdev->watching))
		queue_delayed_work(system_freezable_wq, &sdev->watch_work, SILI_WATCH_PERIOD);
}

/*
 * sili_watch_init() - before the first sili_watch_start()
 */
void sili_watch_init(struct sili_device *sdev)
{
	INIT_DELAYED_WORK(&sdev->watch_work, sili_watch_work);
}

/*
 * sili_watch_start() - watch heartbeat, log and MCUs
 */
void sili_watch_start(struct sili_device *sdev)
{
	sili_coredump_prepare(sdev);
	sdev->watch_misses = 0;
	sdev->num_healthy = sdev->num_mcus;
	WRITE_ONCE(sdev->watching, true);
	queue_delayed_work(system_freezable_wq, &sdev->watch_work, SILI_WATCH_PERIOD);
}

void sili_watch_stop(struct sili_device *sdev)
{
	WRITE_ONCE(sdev->watching, false);
	cancel_delayed_work_sync(&sdev->watch_work);
}

/* ---- the firmware's log ---- */

/**
 * sili_fw_log_pull() - read what the firmware has logged since the last time
 * @sdev: device, inside drm_dev_enter()
 */
void sili_fw_log_pull(struct sili_device *sdev)
{
	union {
		struct x1_mbox_log log;
		u32 word[X1_MBOX_ARGS];
	} reply;
	u32 i, next;

	mutex_lock(&sdev->fw_pull_lock);
	for (i = 0; i < SILI_FW_LOG_ENTRIES; i++) {
		next = READ_ONCE(sdev->fw_log_next);
		if (next == sili_read(sdev, X1_REG_FW_LOG_HEAD) ||
		    sili_mbox(sdev, X1_MBOX_LOG_READ, &next, 1, reply.word))
			break;
		spin_lock(&sdev->fw_log_lock);
		sdev->fw_log[sdev->fw_log_total++ % SILI_FW_LOG_ENTRIES] = reply.log;
		sdev->fw_log_next = reply.log.position + 1;
		spin_unlock(&sdev->fw_log_lock);
	}
	mutex_unlock(&sdev->fw_pull_lock);
}

/**
 * sili_fw_log_copy() - the kept part of the log, oldest entry first
 * @sdev: device
 * @out: room for SILI_FW_LOG_ENTRIES
 *
 * Return: number of entries.
 */
u32 sili_fw_log_copy(struct sili_device *sdev, struct x1_mbox_log *out)
{
	u32 i, n;

	spin_lock(&sdev->fw_log_lock);
	n = min(sdev->fw_log_total, SILI_FW_LOG_ENTRIES);
	for (i = 0; i < n; i++)
		out[i] = sdev->fw_log[(sdev->fw_log_total - n + i) % SILI_FW_LOG_ENTRIES];
	spin_unlock(&sdev->fw_log_lock);
	return n;
}

static void sili_fw_release(void *fw)
{
	release_firmware(fw);
}

/**
 * sili_fw_load() - get the firmware image, kept for resets
 * @sdev: device
 *
 * Return: 0; -ENOENT without an image, -EFBIG for one that is too large. One
 * line in the log says why.
 */
int sili_fw_load(struct sili_device *sdev)
{
	struct device *dev = sdev->drm.dev;
	int ret;

	ret = firmware_request_nowarn(&sdev->fw, X1_FW_PATH, dev);
	if (ret)
		return dev_err_probe(dev, ret, "firmware %s: cannot be loaded\n", X1_FW_PATH);
	ret = devm_add_action_or_reset(dev, sili_fw_release, (void *)sdev->fw);
	if (ret)
		return ret;
	if (sdev->fw->size > X1_FW_MAX_BYTES)
		return dev_err_probe(dev, -EFBIG, "firmware %s: %zu bytes, more than %u\n",
				     X1_FW_PATH, sdev->fw->size, X1_FW_MAX_BYTES);
	return 0;
}

#if IS_ENABLED(CONFIG_DRM_ACCEL_SILIFLOW_KUNIT_TEST)
#include "tests/siliflow_fw_test.c"
#endif
