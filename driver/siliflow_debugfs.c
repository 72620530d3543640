// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: /sys/kernel/debug/accel/<PCI address>/ with device, firmware,
 * queues, vms, and "recover" to try recovery: what is written there dies.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <drm/drm_debugfs.h>

#include "siliflow.h"

typedef void (*sili_print_t)(struct sili_device *sdev, struct drm_printer *p);

static int sili_debugfs_show(struct seq_file *m, struct mutex *lock, sili_print_t print)
{
	struct drm_debugfs_entry *entry = m->private;
	struct sili_device *sdev = to_sili(entry->dev);
	struct drm_printer p = drm_seq_file_printer(m);
	int idx, ret;

	ret = sili_enter(sdev, &idx);
	if (ret)
		return ret;
	if (lock)
		ret = mutex_lock_interruptible(lock);
	if (!ret)
		print(sdev, &p);
	if (lock && !ret)
		mutex_unlock(lock);
	sili_exit(sdev, idx);
	return ret;
}

static struct sili_device *sili_debugfs_device_of(struct seq_file *m)
{
	struct drm_debugfs_entry *entry = m->private;

	return to_sili(entry->dev);
}

static int sili_debugfs_device(struct seq_file *m, void *unused)
{
	return sili_debugfs_show(m, NULL, sili_print_device);
}

static void sili_debugfs_print_firmware(struct sili_device *sdev, struct drm_printer *p)
{
	sili_fw_log_pull(sdev);
	sili_print_firmware(sdev, p);
}

static int sili_debugfs_firmware(struct seq_file *m, void *unused)
{
	return sili_debugfs_show(m, NULL, sili_debugfs_print_firmware);
}

static int sili_debugfs_queues(struct seq_file *m, void *unused)
{
	return sili_debugfs_show(m, &sili_debugfs_device_of(m)->hwq_lock, sili_print_queues);
}

static int sili_debugfs_vms(struct seq_file *m, void *unused)
{
	return sili_debugfs_show(m, &sili_debugfs_device_of(m)->vm_lock, sili_print_vms);
}

static const struct drm_debugfs_info sili_debugfs_files[] = {
	{ "device", sili_debugfs_device, 0 },
	{ "firmware", sili_debugfs_firmware, 0 },
	{ "queues", sili_debugfs_queues, 0 },
	{ "vms", sili_debugfs_vms, 0 },
};

/* "firmware": its core stops, which the watch has to see. "device": all of it. */
static ssize_t sili_recover_write(struct file *file, const char __user *ubuf, size_t size,
				  loff_t *pos)
{
	struct sili_device *sdev = file->private_data;
	char text[16] = {};
	int idx, ret;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, size))
		return -EFAULT;
	ret = sili_enter(sdev, &idx);
	if (ret)
		return ret;
	if (sysfs_streq(text, "firmware"))
		sili_write(sdev, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	else if (sysfs_streq(text, "device"))
		sili_reset_schedule(sdev, "asked by root");
	else
		ret = -EINVAL;
	sili_exit(sdev, idx);
	return ret ? ret : size;
}

static const struct file_operations sili_recover_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = sili_recover_write,
};

/*
 * sili_debugfs_init() - before drm_dev_register(); without debugfs there is none
 */
void sili_debugfs_init(struct sili_device *sdev)
{
	drm_debugfs_add_files(&sdev->drm, sili_debugfs_files, ARRAY_SIZE(sili_debugfs_files));
	debugfs_create_file("recover", 0200, sdev->drm.debugfs_root, sdev, &sili_recover_fops);
}
