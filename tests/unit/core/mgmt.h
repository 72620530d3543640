/* SPDX-License-Identifier: MIT */
/* The management core of a test device: boot an image, talk to the firmware. */
#ifndef X1_TEST_MGMT_H
#define X1_TEST_MGMT_H

#include "host.h"

#define T_FW_OFF (40ull << 20) /* HBM offset of the image under test */

/* The built firmware image, malloc'ed; fails the test if there is none. */
uint8_t *t_fw_image(size_t *len);
/* Put the right hash into an image. */
void t_fw_sign(uint8_t *image, size_t len);
/* Copy to HBM, boot, wait until the boot ROM or the firmware has decided; FW_STATE. */
uint32_t t_fw_boot(struct t_host *t, const void *image, size_t len);
/* The built image, READY. */
void t_fw_start(struct t_host *t);
/* Send *m, overwrite it with the reply; returns its status. */
uint32_t t_mbox(struct t_host *t, struct x1_mbox_msg *m);
/* Wait until a register, masked, has a value. */
void t_until_reg(struct t_host *t, uint32_t off, uint32_t mask, uint32_t value);

#endif
