// SPDX-License-Identifier: GPL-2.0-only
/* hwmon: temperature with the limits of throttling, power, energy. */
#include <linux/err.h>
#include <linux/hwmon.h>

#include "siliflow.h"

/* Channels of power and energy. */
enum { SILI_PACKAGE, SILI_CORE };

static int sili_hwmon_throttled(struct sili_device *sdev, long *val)
{
	union {
		struct x1_mbox_telemetry t;
		u32 word[X1_MBOX_ARGS];
	} reply;
	int ret = sili_mbox(sdev, X1_MBOX_TELEMETRY, NULL, 0, reply.word);

	if (!ret)
		*val = !!reply.t.throttled;
	return ret;
}

static int sili_hwmon_temp(struct sili_device *sdev, u32 attr, long *val)
{
	switch (attr) {
	case hwmon_temp_input:
		*val = (s32)sili_read(sdev, X1_REG_TEMP_MC);
		return 0;
	case hwmon_temp_max:
		*val = X1_FW_THROTTLE_MC;
		return 0;
	case hwmon_temp_max_hyst:
		*val = X1_FW_RESUME_MC;
		return 0;
	case hwmon_temp_max_alarm:
		return sili_hwmon_throttled(sdev, val);
	default:
		return -EOPNOTSUPP;
	}
}

static int sili_hwmon_get(struct sili_device *sdev, enum hwmon_sensor_types type, u32 attr,
			  int channel, long *val)
{
	switch (type) {
	case hwmon_temp:
		return sili_hwmon_temp(sdev, attr, val);
	case hwmon_power:
		/* Microwatts of milliwatts. */
		*val = 1000l * sili_read(sdev, channel == SILI_PACKAGE ? X1_REG_POWER_MW :
					 X1_REG_CORE_POWER_MW);
		return 0;
	case hwmon_energy:
		*val = sili_energy(sdev, channel == SILI_PACKAGE);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int sili_hwmon_read(struct device *dev, enum hwmon_sensor_types type, u32 attr,
			   int channel, long *val)
{
	struct sili_device *sdev = dev_get_drvdata(dev);
	int idx, ret;

	ret = sili_enter(sdev, &idx);
	if (ret)
		return ret;
	ret = sili_hwmon_get(sdev, type, attr, channel, val);
	sili_exit(sdev, idx);
	return ret;
}

static int sili_hwmon_read_string(struct device *dev, enum hwmon_sensor_types type, u32 attr,
				  int channel, const char **str)
{
	*str = type == hwmon_temp ? "device" : channel == SILI_PACKAGE ? "package" : "core";
	return 0;
}

static umode_t sili_hwmon_visible(const void *data, enum hwmon_sensor_types type, u32 attr,
				  int channel)
{
	return 0444;
}

static const struct hwmon_ops sili_hwmon_ops = {
	.is_visible = sili_hwmon_visible,
	.read = sili_hwmon_read,
	.read_string = sili_hwmon_read_string,
};

static const struct hwmon_channel_info *const sili_hwmon_channels[] = {
	HWMON_CHANNEL_INFO(temp, HWMON_T_INPUT | HWMON_T_LABEL | HWMON_T_MAX | HWMON_T_MAX_HYST |
			   HWMON_T_MAX_ALARM),
	HWMON_CHANNEL_INFO(power, HWMON_P_INPUT | HWMON_P_LABEL, HWMON_P_INPUT | HWMON_P_LABEL),
	HWMON_CHANNEL_INFO(energy, HWMON_E_INPUT | HWMON_E_LABEL, HWMON_E_INPUT | HWMON_E_LABEL),
	NULL
};

static const struct hwmon_chip_info sili_hwmon_chip = {
	.ops = &sili_hwmon_ops,
	.info = sili_hwmon_channels,
};

/*
 * sili_hwmon_init() - register with hwmon
 *
 * Return: 0 or a negative errno. Without hwmon in the kernel there is none.
 */
int sili_hwmon_init(struct sili_device *sdev)
{
	struct device *hwmon;

	if (!IS_REACHABLE(CONFIG_HWMON))
		return 0;
	hwmon = devm_hwmon_device_register_with_info(sdev->drm.dev, SILI_NAME, sdev,
						     &sili_hwmon_chip, NULL);
	return PTR_ERR_OR_ZERO(hwmon);
}
