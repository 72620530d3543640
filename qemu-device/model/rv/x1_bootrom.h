/* SPDX-License-Identifier: MIT */
/* Boot ROM: checks a firmware image and puts it into SRAM. */
#ifndef X1_BOOTROM_H
#define X1_BOOTROM_H

#include <stddef.h>
#include <stdint.h>

#include "x1/x1_fw.h"

/*
 * image is a private copy of len bytes. On X1_FW_OK the SRAM (X1_MC_SRAM_BYTES)
 * holds the payload and zeros, and *entry is where to start; otherwise SRAM is
 * unchanged.
 */
enum x1_fw_error x1_bootrom_load(const void *image, size_t len, uint8_t *sram, uint32_t *entry);

#endif /* X1_BOOTROM_H */
