// SPDX-License-Identifier: MIT
/*
 * Energy table.
 *
 * Raw arithmetic figures are the 45 nm ones of M. Horowitz, "Computing's
 * energy problem", ISSCC 2014 (FP32 multiply 3.7 pJ and add 0.9 pJ, FP16 1.1
 * and 0.4 pJ, INT8 0.2 and 0.03 pJ, INT32 add 0.1 pJ); formats that it does
 * not list scale with the square of the significand, plus an FP32 add shared
 * by the 32 products of a block. One calibration factor brings arithmetic to
 * the card's stated core efficiency of 42.8 TOPS/W at dense FP8 peak, with a
 * fixed share of that power taken as leakage and clock. Memory figures:
 * 3.9 pJ/bit for HBM and 5 pJ/bit for a PCIe Gen5 lane with its PHY, and
 * 0.8 pJ/bit for L2 with its network (SRAM figure of the same source, scaled
 * to the node by the same factor as published 5 nm SRAMs).
 */
#include "x1_energy.h"

#include "x1/x1_limits.h"

#define CORE_TOPS_PER_WATT 42.8 /* at dense FP8 peak */
#define LEAKAGE_SHARE      0.15 /* of core power at that peak */
#define RAW_LOCAL_BYTE_PJ  1.25 /* 10 pJ per 64-bit read of a small SRAM */
#define L2_BYTE_PJ         6.4
#define HBM_BYTE_PJ        31.2
#define PCIE_BYTE_PJ       40.0
#define IDLE_PACKAGE_MW    35000

static const double raw_mac_pj[X1_FMT_COUNT] = {
	[X1_FMT_FP32] = 4.6,  [X1_FMT_TF32] = 1.9,  [X1_FMT_BF16] = 1.3,  [X1_FMT_FP16] = 1.5,
	[X1_FMT_E4M3] = 0.43, [X1_FMT_E5M2] = 0.40, [X1_FMT_E3M2] = 0.31, [X1_FMT_E2M3] = 0.33,
	[X1_FMT_E2M1] = 0.18, [X1_FMT_INT8] = 0.30, [X1_FMT_INT4] = 0.15,
};

static uint64_t aj(double pj)
{
	return (uint64_t)(pj * 1e6 + 0.5);
}

void x1_energy_init(struct x1_energy *e, const struct x1_time_params *p)
{
	/* TOPS/W of one MAC (two operations) in picojoules: 2 / 42.8 pJ. */
	double mac_pj = 2.0 / CORE_TOPS_PER_WATT;
	double macs_per_cycle = (double)X1_MM_LANES * x1_format_rate(X1_FMT_E4M3);

	e->calibration = mac_pj * (1.0 - LEAKAGE_SHARE) / raw_mac_pj[X1_FMT_E4M3];
	for (unsigned int f = 0; f < X1_FMT_COUNT; f++)
		e->mac_aj[f] = aj(raw_mac_pj[f] * e->calibration);
	e->local_byte_aj = aj(RAW_LOCAL_BYTE_PJ * e->calibration);
	e->mcu_cycle_aj = aj(mac_pj * LEAKAGE_SHARE * macs_per_cycle);
	e->l2_byte_aj = aj(L2_BYTE_PJ);
	e->hbm_byte_aj = aj(HBM_BYTE_PJ);
	e->pcie_byte_aj = aj(PCIE_BYTE_PJ);
	e->idle_mw = (uint64_t)IDLE_PACKAGE_MW * p->mcus / X1_DEF_MCUS;
}

void x1_energy_account(const struct x1_energy *e, struct x1_perf *perf)
{
	uint64_t core = perf->mcu_cycles * e->mcu_cycle_aj;
	uint64_t local = perf->bytes_load + perf->bytes_store;
	uint64_t package;

	for (unsigned int f = 0; f < X1_FMT_COUNT; f++)
		core += perf->macs[f] * e->mac_aj[f];
	core += local * e->local_byte_aj;
	package = perf->bytes_l2 * e->l2_byte_aj +
		  (perf->bytes_hbm_read + perf->bytes_hbm_write) * e->hbm_byte_aj +
		  (perf->bytes_pcie_read + perf->bytes_pcie_write) * e->pcie_byte_aj;
	perf->energy_core_pj = core / 1000000;
	perf->energy_package_pj = (core + package) / 1000000;
}
