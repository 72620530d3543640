/* SPDX-License-Identifier: MIT */
/*
 * RV32IMC_Zicsr core, machine mode only: the X1's management core.
 *
 * Memory is one SRAM and a callback window for devices; all else faults.
 * Instructions are decoded once into a cache of one entry per halfword, which
 * stores to SRAM keep coherent. One thread at a time.
 */
#ifndef X1_RV_H
#define X1_RV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* mip/mie bits and mcause codes of the three interrupts */
#define X1_RV_IRQ_SOFT  3u
#define X1_RV_IRQ_TIMER 7u
#define X1_RV_IRQ_EXT   11u

struct x1_rv_cfg {
	uint8_t *sram;
	uint32_t sram_base, sram_bytes; /* powers of two, or at least multiples of 4 */
	/* Aligned device access of 1, 2 or 4 bytes; false = access fault. */
	bool (*read)(void *arg, uint32_t addr, unsigned int size, uint32_t *val);
	bool (*write)(void *arg, uint32_t addr, unsigned int size, uint32_t val);
	uint64_t (*time)(void *arg); /* the time CSR */
	void *arg;
};

/* Architectural state: plain data, fit for saving. */
struct x1_rv_state {
	uint32_t x[32];
	uint32_t pc;
	uint32_t mstatus, mie, mip, mtvec, mscratch, mepc, mcause, mtval;
	uint64_t cycle, instret;
	uint32_t wfi;        /* stopped in WFI */
	uint32_t dead;       /* trapped with mtvec in no memory or in a trap handler: halted */
	uint32_t handling;   /* between a trap and MRET */
	uint32_t trap_x[32]; /* registers at the last exception, for a crash dump */
};

enum x1_rv_stop {
	X1_RV_BUDGET, /* max instructions done */
	X1_RV_WFI,    /* waits for an interrupt */
	X1_RV_DEAD,
};

struct x1_rv;

struct x1_rv *x1_rv_new(const struct x1_rv_cfg *cfg);
void x1_rv_free(struct x1_rv *rv);
void x1_rv_reset(struct x1_rv *rv, uint32_t pc);
/* SRAM was written from outside. */
void x1_rv_flush_decoded(struct x1_rv *rv);
void x1_rv_set_irq(struct x1_rv *rv, unsigned int irq, bool level);
/* Runs up to max instructions; returns how many, and why it stopped. */
uint64_t x1_rv_run(struct x1_rv *rv, uint64_t max, enum x1_rv_stop *stop);
struct x1_rv_state *x1_rv_state(struct x1_rv *rv);

#endif /* X1_RV_H */
