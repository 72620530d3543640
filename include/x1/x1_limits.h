/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The machine's numbers: defaults and architectural limits of the X1.
 *
 * "Default" values are parameters of the device and can be read back from
 * registers (x1_regs.h); software must read them. "Max" values are limits of
 * the encoding and hold for every X1.
 */
#ifndef X1_LIMITS_H
#define X1_LIMITS_H

/* PCI identity. */
#define X1_PCI_VENDOR_ID	0x1234
#define X1_PCI_DEVICE_ID	0x5831
#define X1_PCI_CLASS		0x1200	/* processing accelerator */
#define X1_PCI_REVISION		0x01
#define X1_PCI_BAR_REGS		0
#define X1_PCI_BAR_HBM		2
#define X1_PCI_BAR_MSIX		4
#define X1_MSIX_VECTORS		64

/* Machine defaults. Bandwidths are bytes per device cycle. */
#define X1_DEF_MCUS		384
#define X1_DEF_CLOCK_HZ		1526000000ull
#define X1_DEF_HBM_BYTES	(4ull << 30)
#define X1_DEF_L2_BYTES		(64u << 20)
#define X1_DEF_HBM_BW		2097
#define X1_DEF_L2_BW		16384
#define X1_DEF_PCIE_BW		40
#define X1_DEF_HBM_LATENCY	600
#define X1_DEF_L2_LATENCY	250
#define X1_DEF_PCIE_LATENCY	1500

/* Fixed costs of the machine, in cycles. */
#define X1_LAUNCH_CYCLES	400	/* command to first instruction */
#define X1_FENCE_CYCLES		200
#define X1_WG_PER_CYCLE		4	/* work-groups dispatched per cycle */
#define X1_MM_LATENCY		64	/* MATRIX result latency */
#define X1_MM_SWITCH_CYCLES	64	/* drain at a format switch */
#define X1_VEC_LATENCY		16
#define X1_TLB_MISS_CYCLES	400	/* page walk out of HBM */
#define X1_SCALAR_MEM_CYCLES	300	/* scalar access to a DVA that hits L2 */

/* Per-MCU ports, bytes per cycle; VECTOR lanes are FP32 elements per cycle. */
#define X1_LOAD_PORT		64
#define X1_STORE_PORT		32
#define X1_ACC_PORT		256
#define X1_MM_LANES		32
#define X1_VEC_LANES		64
#define X1_VEC_SLOW_LANES	16

/* MCU storage. */
#define X1_SPAD_BYTES		(512u << 10)
#define X1_ACC_BANK_BYTES	(128u << 10)
#define X1_ACC_BANKS		2
#define X1_ACC_BYTES		(X1_ACC_BANKS * X1_ACC_BANK_BYTES)
#define X1_NUM_REGS		64
#define X1_NUM_SEMS		32
#define X1_SEM_MAX		0xffffu
#define X1_LOOP_DEPTH		8
#define X1_ENGINE_QUEUE		32	/* instructions waiting per engine */

/* Queues, rings and spaces. */
#define X1_NUM_QUEUES		64
#define X1_NUM_PRIORITIES	4	/* 0 = lowest */
#define X1_NUM_VMS		8192	/* VM 0 is reserved: no accesses */
#define X1_RING_MIN_LOG2	4	/* ring entries */
#define X1_RING_MAX_LOG2	16
#define X1_MAX_MCUS		1024
#define X1_MAX_PROGRAM_BYTES	(256u << 10)
#define X1_MAX_GRID		(1u << 24)	/* work-groups of one LAUNCH */
#define X1_MAX_ARGS		32		/* 64-bit arguments */
#define X1_MAX_CALL		65536		/* commands of one CALL */
#define X1_MAX_COPY_BYTES	(1ull << 34)
#define X1_WG_MAX_INSNS		(1u << 28)	/* watchdog: sequencer instructions per work-group */
#define X1_INVAL_DEPTH		64

/* One engine instruction does a bounded amount of work. */
#define X1_DMA_MAX_BYTES	(1u << 20)	/* LOAD, STORE */
#define X1_DMA_MAX_ROWS		65536u		/* product of counts 1..4 */
#define X1_PREFETCH_MAX_BYTES	(16u << 20)
#define X1_MM_MAX_K		(1u << 20)
#define X1_VEC_MAX_ELEMS	(1u << 18)	/* rows * cols */
#define X1_VEC_MAX_ROW		16384u		/* cols of a reduction, EXPSUM or TOPK */
#define X1_VEC_MAX_TOPK		64u

/* Device virtual addresses. */
#define X1_DVA_BITS		48
#define X1_PAGE_SHIFT		12
#define X1_PAGE_SIZE		(1u << X1_PAGE_SHIFT)
#define X1_HUGE_SHIFT		21
#define X1_HUGE_SIZE		(1u << X1_HUGE_SHIFT)

#endif /* X1_LIMITS_H */
