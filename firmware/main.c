// SPDX-License-Identifier: MIT
/*
 * Boot, main loop, traps. Interrupts only wake the loop: all work is done in
 * it, so nothing needs a lock.
 */
#include "fw.h"

static uint32_t heartbeat;

void fw_tick(void)
{
	hw_write(X1_REG_FW_HEARTBEAT, ++heartbeat);
	power_tick();
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

	log_event(X1_LOG_BOOT, FW_VERSION, X1_FW_ABI, mc_read(X1_MC_BOOT_REASON));
	queue_adopt();
	hw_write(X1_REG_THROTTLE, 0);
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
