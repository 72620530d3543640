/* SPDX-License-Identifier: MIT */
/* Management firmware of the X1: what its files share. */
#ifndef FW_H
#define FW_H

#include <stdbool.h>
#include <stdint.h>

#include "x1/x1_fw.h"
#include "x1/x1_limits.h"
#include "x1/x1_regs.h"

#define FW_VERSION (1u << 16 | 0u << 8 | 0u)

#define FW_TICK_US 20000 /* heartbeat, also how late throttling may be */

/* Registers of the device and of the core itself, by their names in x1_regs.h and x1_fw.h. */
uint32_t hw_read(uint32_t reg);
void hw_write(uint32_t reg, uint32_t val);
uint32_t mc_read(uint32_t addr);
void mc_write(uint32_t addr, uint32_t val);
uint64_t hw_time_us(void);
/* SRAM that nobody uses, for the self-test. */
volatile uint32_t *hw_free_sram(uint32_t *words);

/* log.c: ring of events, oldest overwritten first. */
void log_event(uint32_t event, uint32_t a, uint32_t b, uint32_t c);
/* Entry at or after `position`; false when nothing that new was written. */
bool log_read(uint32_t position, struct x1_mbox_log *out);

/* mailbox.c */
void mailbox_serve(void);

/* queue.c */
void queue_adopt(void); /* queues that an earlier firmware left enabled */
uint32_t queue_create(const struct x1_mbox_queue_create *req, uint32_t *out);
uint32_t queue_destroy(uint32_t queue);
uint32_t queue_budget(uint32_t queue, uint32_t lo, uint32_t hi);
uint32_t queue_count(void);
void queue_log_faults(void);

/* power.c: limits of temperature and power, held by the clock. */
void power_tick(void);
uint32_t power_limits(const struct x1_mbox_limits *req, struct x1_mbox_limits *out, uint32_t *bad);
void power_telemetry(struct x1_mbox_telemetry *t);

/* mcu.c */
uint32_t mcu_set_health(uint32_t mcu, bool healthy);

/* selftest.c */
void self_test(struct x1_mbox_self_test *out);

/* main.c */
void fw_tick(void);

#endif /* FW_H */
