/* SPDX-License-Identifier: MIT */
/* Energy: one table, two sums (core and package). */
#ifndef X1_ENERGY_H
#define X1_ENERGY_H

#include "x1_time.h"

/* Calibrated costs. Attojoules, so that sums stay exact integers. */
struct x1_energy {
	uint64_t mac_aj[X1_FMT_COUNT];
	uint64_t local_byte_aj; /* scratchpad or accumulator */
	uint64_t mcu_cycle_aj;  /* leakage and clock of an occupied MCU */
	uint64_t l2_byte_aj;
	uint64_t hbm_byte_aj;
	uint64_t pcie_byte_aj;
	uint64_t idle_mw;   /* package, nothing running */
	double calibration; /* factor on the raw table, for reports */
};

void x1_energy_init(struct x1_energy *e, const struct x1_time_params *p);

/* Fill energy_core_pj and energy_package_pj from the other counters. */
void x1_energy_account(const struct x1_energy *e, struct x1_perf *perf);

#endif /* X1_ENERGY_H */
