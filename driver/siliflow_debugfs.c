// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: /sys/kernel/debug/accel/<PCI address>/ with device, firmware,
 * queues, vms.
 */
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>

#include "siliflow.h"

typedef void (*sili_print_t)(struct sili_device *sdev, struct drm_printer *p);

static int sili_debugfs_show(struct seq_file *m, struct mutex *lock, sili_print_t print)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drm_printer p = drm_seq_file_printer(m);
	int idx, ret = 0;

	if (!drm_dev_enter(entry->dev, &idx))
		return -ENODEV;
	if (lock)
		ret = mutex_lock_interruptible(lock);
	if (!ret)
		print(to_sili(entry->dev), &p);
	if (lock && !ret)
		mutex_unlock(lock);
	drm_dev_exit(idx);
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

/*
 * sili_debugfs_init() - before drm_dev_register(); without debugfs there is none
 */
void sili_debugfs_init(struct sili_device *sdev)
{
	drm_debugfs_add_files(&sdev->drm, sili_debugfs_files, ARRAY_SIZE(sili_debugfs_files));
}
