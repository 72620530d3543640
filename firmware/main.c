// SPDX-License-Identifier: MIT
/*
 * Boot, main loop, traps. Interrupts only wake the loop: all work is done in
 * it, so nothing needs a lock.
 */
#include "fw.h"

bool fw_throttled;

static uint32_t heartbeat;

void fw_tick(void)
{
	uint32_t temp = hw_read(X1_REG_TEMP_MC);
	bool hot = fw_throttled ? temp > X1_FW_RESUME_MC : temp > X1_FW_THROTTLE_MC;

	hw_write(X1_REG_FW_HEARTBEAT, ++heartbeat);
	if (hot != fw_throttled) {
		fw_throttled = hot;
		log_event(X1_LOG_THERMAL, temp, hot, 0);
	}
}

#ifdef __riscv
static void set_timer(void)
{
	uint64_t at = hw_time_us() + FW_TICK_US;

	/* No early interrupt in between: the high word is out of reach first. */
	mc_write(X1_MC_MTIMECMP_HI, 0xffffffffu);
	mc_write(X1_MC_MTIMECMP_LO, (uint32_t)at);
	mc_write(X1_MC_MTIMECMP_HI, (uint32_t)(at >> 32));
}

/* Interrupts are never enabled: WFI wakes all the same. What comes here is a crash. */
void fw_trap(uint32_t cause, uint32_t pc)
{
	hw_write(X1_REG_FW_CRASH_CAUSE, cause);
	hw_write(X1_REG_FW_CRASH_PC, pc);
	hw_write(X1_REG_FW_STATE, X1_FW_STATE_CRASHED);
	for (;;)
		__asm__ volatile("wfi");
}

void fw_main(void)
{
	uint64_t next;

	log_event(X1_LOG_BOOT, FW_VERSION, X1_FW_ABI, 0);
	hw_write(X1_REG_FW_VERSION, FW_VERSION);
	hw_write(X1_REG_FW_ABI, X1_FW_ABI);
	hw_write(X1_REG_FW_STATE, X1_FW_STATE_READY);
	/* mie: timer and external */
	__asm__ volatile("csrw mie, %0" : : "r"(1u << 7 | 1u << 11));
	next = hw_time_us() + FW_TICK_US;
	set_timer();
	for (;;) {
		uint32_t pending = mc_read(X1_MC_IRQ_PENDING);

		mc_write(X1_MC_IRQ_PENDING, pending);
		if (pending & X1_MC_IRQ_MBOX)
			mailbox_serve();
		if (pending & X1_MC_IRQ_FAULT)
			queue_log_faults();
		if (hw_time_us() >= next) {
			fw_tick();
			next = hw_time_us() + FW_TICK_US;
			set_timer();
		}
		if (!pending)
			__asm__ volatile("wfi");
	}
}
#endif
