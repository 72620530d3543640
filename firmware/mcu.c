// SPDX-License-Identifier: MIT
/* MCUs: into quarantine, where nothing is dispatched to them, and back. */
#include "fw.h"

uint32_t mcu_set_health(uint32_t mcu, bool healthy)
{
	hw_write(X1_REG_MCU_INDEX, mcu);
	if (hw_read(X1_REG_MCU_HEALTH) == healthy)
		return X1_MBOX_OK;
	hw_write(X1_REG_MCU_HEALTH, healthy);
	if (hw_read(X1_REG_MCU_HEALTH) != healthy)
		return X1_MBOX_ERR_HW;
	log_event(X1_LOG_MCU_HEALTH, mcu, healthy, 0);
	return X1_MBOX_OK;
}
