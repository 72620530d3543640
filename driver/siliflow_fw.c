// SPDX-License-Identifier: GPL-2.0-only
/* Management firmware: load the image into HBM, boot it, wait for it. */
#include <linux/firmware.h>

#include "siliflow.h"

#define SILI_FW_TIMEOUT		msecs_to_jiffies(10000)

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
