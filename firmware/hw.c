// SPDX-License-Identifier: MIT
/* Register access on the management core. Unit tests bring their own. */
#include "fw.h"

static volatile uint32_t *at(uint32_t addr)
{
	return (volatile uint32_t *)(uintptr_t)addr;
}

uint32_t hw_read(uint32_t reg)
{
	return *at(X1_MC_REGS_BASE + reg);
}

void hw_write(uint32_t reg, uint32_t val)
{
	*at(X1_MC_REGS_BASE + reg) = val;
}

uint32_t mc_read(uint32_t addr)
{
	return *at(addr);
}

void mc_write(uint32_t addr, uint32_t val)
{
	*at(addr) = val;
}

/* From the end of .bss to what the stack may need. */
volatile uint32_t *hw_free_sram(uint32_t *words)
{
	extern uint32_t __free_start[], __free_end[];

	*words = (uint32_t)(__free_end - __free_start);
	return __free_start;
}

uint64_t hw_time_us(void)
{
	uint32_t hi, lo;

	do {
		hi = mc_read(X1_MC_MTIME_HI);
		lo = mc_read(X1_MC_MTIME_LO);
	} while (hi != mc_read(X1_MC_MTIME_HI));
	return (uint64_t)hi << 32 | lo;
}
