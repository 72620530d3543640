// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysfs: siliflow_index, N of /dev/siliN, which the udev rule reads; in the
 * group "siliflow" what an operator looks at. The link is the PCI core's
 * current_link_speed and current_link_width.
 */
#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/sysfs.h>

#include "siliflow.h"

static ssize_t siliflow_index_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", sdev->index);
}

static DEVICE_ATTR_RO(siliflow_index);

static struct attribute *sili_index_attrs[] = {
	&dev_attr_siliflow_index.attr,
	NULL
};

static const struct attribute_group sili_index_group = {
	.attrs = sili_index_attrs,
};

/* ---- the group ---- */

static ssize_t serial_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%016llx\n", sdev->serial);
}

static DEVICE_ATTR_RO(serial);

static ssize_t mcus_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", sdev->num_mcus);
}

static DEVICE_ATTR_RO(mcus);

static ssize_t resets_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%d\n", atomic_read(&sdev->resets));
}

static DEVICE_ATTR_RO(resets);

/* "ok"; "degraded": some MCUs are quarantined; "firmware": it does not run; "lost" */
static ssize_t health_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	const char *health = "ok";
	int idx, ret;

	ret = sili_enter(sdev, &idx);
	if (ret == -ENODEV)
		return sysfs_emit(buf, "lost\n");
	if (ret)
		return ret;
	if (sili_read(sdev, X1_REG_FW_STATE) != X1_FW_STATE_READY)
		health = "firmware";
	else if (sili_read(sdev, X1_REG_MCU_HEALTHY) != sdev->num_mcus)
		health = "degraded";
	sili_exit(sdev, idx);
	return sysfs_emit(buf, "%s\n", health);
}

static DEVICE_ATTR_RO(health);

static ssize_t firmware_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	u32 version;
	int idx, ret;

	ret = sili_enter(sdev, &idx);
	if (ret)
		return ret;
	version = sili_read(sdev, X1_REG_FW_VERSION);
	sili_exit(sdev, idx);
	return sysfs_emit(buf, "%u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
}

static DEVICE_ATTR_RO(firmware_version);

/* Percent of the MCUs' time since the last sample of the device. */
static ssize_t utilization_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	u32 permille;
	int idx, ret;

	ret = sili_enter(sdev, &idx);
	if (ret)
		return ret;
	permille = sili_read(sdev, X1_REG_UTIL_PERMILLE);
	sili_exit(sdev, idx);
	return sysfs_emit(buf, "%u.%u\n", permille / 10, permille % 10);
}

static DEVICE_ATTR_RO(utilization);

/* A list of ranges; an empty line when all MCUs take work. */
static ssize_t mcus_quarantined_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	unsigned long *map;
	int idx, ret;

	map = bitmap_zalloc(sdev->num_mcus, GFP_KERNEL);
	if (!map)
		return -ENOMEM;
	ret = sili_enter(sdev, &idx);
	if (ret) {
		bitmap_free(map);
		return ret;
	}
	sili_mcu_health(sdev, map);
	sili_exit(sdev, idx);
	bitmap_complement(map, map, sdev->num_mcus);
	ret = sysfs_emit(buf, "%*pbl\n", sdev->num_mcus, map);
	bitmap_free(map);
	return ret;
}

static DEVICE_ATTR_RO(mcus_quarantined);

static struct attribute *sili_attrs[] = {
	&dev_attr_firmware_version.attr,
	&dev_attr_health.attr,
	&dev_attr_mcus.attr,
	&dev_attr_mcus_quarantined.attr,
	&dev_attr_resets.attr,
	&dev_attr_serial.attr,
	&dev_attr_utilization.attr,
	NULL
};

static const struct attribute_group sili_group = {
	.name = SILI_NAME,
	.attrs = sili_attrs,
};

/*
 * sili_sysfs_init() - attributes of the PCI device
 *
 * Return: 0 or a negative errno.
 */
int sili_sysfs_init(struct sili_device *sdev)
{
	struct device *dev = sdev->drm.dev;
	int ret = devm_device_add_group(dev, &sili_index_group);

	return ret ? ret : devm_device_add_group(dev, &sili_group);
}
