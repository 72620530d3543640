/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * BAR0: registers, then one doorbell page per queue.
 *
 * Registers are 32 bits and accessed by aligned 32-bit reads and writes; a
 * 64-bit value is a LO/HI pair (reading LO latches HI for CLOCK only), and an
 * aligned 64-bit access to a pair is the same as LO then HI. Other sizes read
 * as all ones and are ignored on write. Unlisted offsets read as 0.
 *
 * The management core sees the same registers at X1_MC_REGS_BASE (x1_fw.h);
 * those marked (mc) are writable by it alone, the host reads them.
 */
#ifndef X1_REGS_H
#define X1_REGS_H

#include "x1_types.h"
#include "x1_limits.h"

#define X1_REGS_BYTES		0x10000u	/* register page of BAR0 */
#define X1_DB_STRIDE_DEFAULT	0x10000u
#define X1_BAR0_BYTES		0x800000u	/* registers + 64 doorbell pages, power of two */

/* Identification and capabilities: read-only. */
#define X1_REG_MAGIC		0x0000	/* X1_MAGIC */
#define X1_REG_VERSION		0x0004	/* major << 16 | minor */
#define X1_REG_BOOT_EPOCH	0x0008	/* +1 at each reset of the device logic */
#define X1_REG_HBM_EPOCH	0x000c	/* +1 each time HBM's contents were lost */
#define X1_REG_NUM_MCUS		0x0010
#define X1_REG_NUM_QUEUES	0x0014
#define X1_REG_NUM_VMS		0x0018
#define X1_REG_FORMATS		0x001c	/* bit per enum x1_format that MATRIX takes */
#define X1_REG_SCALES		0x0020	/* bit per enum x1_scale_mode */
#define X1_REG_SPARSITIES	0x0024	/* bit per enum x1_sparsity */
#define X1_REG_FEATURES		0x0028	/* X1_FEATURE_* */
#define X1_REG_DB_OFFSET	0x002c	/* first doorbell page in BAR0 */
#define X1_REG_DB_STRIDE	0x0030
#define X1_REG_SPAD_BYTES	0x0034
#define X1_REG_ACC_BYTES	0x0038
#define X1_REG_L2_BYTES		0x003c
#define X1_REG_HBM_BYTES_LO	0x0040
#define X1_REG_HBM_BYTES_HI	0x0044
#define X1_REG_APERTURE_LO	0x0048	/* bytes of HBM visible through BAR2 */
#define X1_REG_APERTURE_HI	0x004c
#define X1_REG_CLOCK_HZ_LO	0x0050
#define X1_REG_CLOCK_HZ_HI	0x0054
#define X1_REG_HBM_BW		0x0058	/* bytes per cycle */
#define X1_REG_L2_BW		0x005c
#define X1_REG_PCIE_BW		0x0060
#define X1_REG_HBM_LATENCY	0x0064	/* cycles */
#define X1_REG_L2_LATENCY	0x0068
#define X1_REG_PCIE_LATENCY	0x006c
#define X1_REG_SERIAL_LO	0x0070
#define X1_REG_SERIAL_HI	0x0074

#define X1_MAGIC		0x31584653u	/* "SFX1" */
#define X1_VERSION		0x00010000u
#define X1_FEATURE_TIMING	(1u << 0)	/* timing=on: clocks and counters advance */

/* Clock and device state. */
#define X1_REG_CLOCK_LO		0x0080	/* modelled device cycles; latches HI */
#define X1_REG_CLOCK_HI		0x0084
#define X1_REG_STATUS		0x0088	/* X1_STATUS_* */
#define X1_REG_RESET		0x008c	/* write X1_RESET_KEY: reset of the device logic, as FLR */

#define X1_REG_CLOCK_NOW_LO	0x0090	/* Hz: X1_REG_CLOCK_HZ held down by X1_REG_THROTTLE */
#define X1_REG_CLOCK_NOW_HI	0x0094
#define X1_REG_TIME_LO		0x0098	/* device time in nanoseconds; latches HI */
#define X1_REG_TIME_HI		0x009c

#define X1_STATUS_READY		(1u << 0)	/* firmware has checked in */
#define X1_STATUS_HALTED	(1u << 1)	/* held in reset, or PM D3hot */
#define X1_RESET_KEY		0x52535421u

/*
 * Interrupts. A pending bit raises its MSI-X vector when its mask bit is 1;
 * write 1 to clear. Vector 0: X1_IRQ_* events. Queue events use the vector in
 * the queue's X1_Q_VECTOR (1..X1_MSIX_VECTORS - 1; 0 = with the events).
 */
#define X1_REG_IRQ_PENDING	0x00a0
#define X1_REG_IRQ_ENABLE	0x00a4
#define X1_REG_QFENCE_LO	0x00a8	/* queue bits: a FENCE with IRQ completed; W1C */
#define X1_REG_QFENCE_HI	0x00ac
#define X1_REG_QEVENT_LO	0x00b0	/* queue bits: fault, suspend, resume or reset done; W1C */
#define X1_REG_QEVENT_HI	0x00b4
#define X1_REG_COALESCE		0x00b8	/* fence interrupts: X1_COALESCE_* */

#define X1_IRQ_MBOX		(1u << 0)	/* mailbox reply */
#define X1_IRQ_INVAL		(1u << 1)	/* an INVALIDATE completed */
#define X1_IRQ_FW		(1u << 2)	/* firmware state changed, log entry, crash */
#define X1_IRQ_QEVENT		(1u << 3)	/* X1_REG_QEVENT is not zero */
#define X1_IRQ_QFENCE		(1u << 4)	/* X1_REG_QFENCE not zero, queues with vector 0 */
#define X1_IRQ_ALL		0x1fu
#define X1_COALESCE_COUNT(v)	((v) & 0xffu)		/* fences per interrupt, 0 = 1 */
#define X1_COALESCE_USEC(v)	(((v) >> 8) & 0xffffu)	/* host microseconds at most */

/* Firmware: load an image that lies in HBM, watch it. */
#define X1_REG_FW_ADDR_LO	0x00c0	/* HBM offset of the image, 4 KiB aligned */
#define X1_REG_FW_ADDR_HI	0x00c4
#define X1_REG_FW_SIZE		0x00c8	/* bytes */
#define X1_REG_FW_CTRL		0x00cc	/* X1_FW_CTRL_*; reads UPDATE while one is under way */
#define X1_REG_FW_STATE		0x00d0	/* enum x1_fw_state (mc) */
#define X1_REG_FW_ERROR		0x00d4	/* enum x1_fw_error of the boot ROM */
#define X1_REG_FW_VERSION	0x00d8	/* major << 16 | minor << 8 | patch (mc) */
#define X1_REG_FW_ABI		0x00dc	/* (mc) */
#define X1_REG_FW_HEARTBEAT	0x00e0	/* counts up (mc) */
#define X1_REG_FW_LOG_HEAD	0x00e4	/* entries written so far (mc) */
#define X1_REG_FW_CRASH_PC	0x00e8	/* (mc) or by the hardware at a double trap */
#define X1_REG_FW_CRASH_CAUSE	0x00ec	/* as mcause, or X1_FW_CAUSE_* */
#define X1_REG_FW_DUMP_INDEX	0x00f0	/* word of struct x1_fw_dump (x1_fw.h) */
#define X1_REG_FW_DUMP_DATA	0x00f4

#define X1_FW_CTRL_BOOT		1u
#define X1_FW_CTRL_HALT		2u
#define X1_FW_CTRL_STOP		3u	/* stop firmware that hangs: CRASHED, with a dump */
#define X1_FW_CTRL_UPDATE	4u	/* boot another image; one that is no good changes nothing */

/* Mailbox: 16 words each way (struct x1_mbox_msg in x1_fw.h). */
#define X1_REG_MBOX_REQ		0x0100	/* ..0x13c */
#define X1_REG_MBOX_RSP		0x0140	/* ..0x17c (mc) */
#define X1_REG_MBOX_SEND	0x0180	/* any write: request is complete */
#define X1_REG_MBOX_STATUS	0x0184	/* X1_MBOX_* */
#define X1_MBOX_WORDS		16
#define X1_MBOX_BUSY		(1u << 0)	/* request not yet answered */

/* INVALIDATE: writing SEQ submits; DONE = last completed, in order. */
#define X1_REG_INV_VM		0x01a0
#define X1_REG_INV_ADDR_LO	0x01a4	/* 4 KiB aligned DVA */
#define X1_REG_INV_ADDR_HI	0x01a8
#define X1_REG_INV_LEN_LO	0x01ac	/* bytes; 0 = whole VM */
#define X1_REG_INV_LEN_HI	0x01b0
#define X1_REG_INV_SEQ		0x01b4
#define X1_REG_INV_DONE		0x01b8
#define X1_REG_INV_FREE		0x01bc	/* free slots; a write of SEQ at 0 is dropped */

/* VM table: written by the management core (mc). */
#define X1_REG_VM_INDEX		0x01c0	/* (mc) */
#define X1_REG_VM_ROOT_LO	0x01c4	/* (mc) HBM offset of the level-3 table, 4 KiB aligned */
#define X1_REG_VM_ROOT_HI	0x01c8	/* (mc) */
#define X1_REG_VM_CTRL		0x01cc	/* (mc) X1_VM_CTRL_*; result readable after */
#define X1_VM_CTRL_ATTACH	1u
#define X1_VM_CTRL_DETACH	2u
#define X1_VM_CTRL_OK		0u
#define X1_VM_CTRL_EINVAL	0x80000001u	/* index or root out of range */
#define X1_VM_CTRL_EBUSY	0x80000002u	/* a queue uses the VM */

/* Telemetry from the energy model, read by firmware and host. */
#define X1_REG_TEMP_MC		0x0200	/* millidegrees Celsius */
#define X1_REG_POWER_MW		0x0204	/* package */
#define X1_REG_CORE_POWER_MW	0x0208
#define X1_REG_UTIL_PERMILLE	0x020c
#define X1_REG_ENERGY_CORE_LO	0x0210	/* microjoules since reset */
#define X1_REG_ENERGY_CORE_HI	0x0214
#define X1_REG_ENERGY_PKG_LO	0x0218
#define X1_REG_ENERGY_PKG_HI	0x021c

/* The clock runs at (X1_THROTTLE_STEPS - v) / X1_THROTTLE_STEPS of X1_REG_CLOCK_HZ. */
#define X1_REG_THROTTLE		0x0230	/* (mc) */
#define X1_THROTTLE_STEPS	16u
#define X1_THROTTLE_MAX		15u

/* HBM errors since the last machine reset. */
#define X1_REG_ECC_CORRECTED	0x0220
#define X1_REG_ECC_UNCORRECTED	0x0224	/* accesses that hit one */
#define X1_REG_ECC_ADDR_LO	0x0228	/* HBM offset of the page of the last uncorrectable error */
#define X1_REG_ECC_ADDR_HI	0x022c

/* MCU health: index, then 1 = healthy. Quarantine is (mc). */
#define X1_REG_MCU_INDEX	0x0240
#define X1_REG_MCU_HEALTH	0x0244	/* (mc) write 0 = quarantine, 1 = return */
#define X1_REG_MCU_HEALTHY	0x0248	/* healthy MCUs */

/* Queue gate: queues whose GATE bit is 1 do not fetch; released together. */
#define X1_REG_GATE_LO		0x0260
#define X1_REG_GATE_HI		0x0264

/*
 * Timeline (x1_timeline.h): a ring of 2^LOG2 events of 16 bytes in HBM. ADDR and
 * LOG2 are fixed while MASK is not 0; the first bits set in MASK start at HEAD 0.
 */
#define X1_REG_TL_ADDR_LO	0x0280	/* HBM offset, 64-byte aligned */
#define X1_REG_TL_ADDR_HI	0x0284
#define X1_REG_TL_LOG2		0x0288	/* X1_TL_MIN_LOG2..X1_TL_MAX_LOG2 */
#define X1_REG_TL_MASK		0x028c	/* X1_TL_MASK() of what is recorded; 0 = off */
#define X1_REG_TL_HEAD_LO	0x0290	/* events written */
#define X1_REG_TL_HEAD_HI	0x0294
#define X1_REG_TL_TAIL_LO	0x0298	/* events that software has read */
#define X1_REG_TL_TAIL_HI	0x029c
#define X1_REG_TL_LOST_LO	0x02a0	/* events for which there was no room */
#define X1_REG_TL_LOST_HI	0x02a4

/* Counters of one MCU since the model began: 64-bit pairs (manual: Time). */
#define X1_REG_MCU_PERF_INDEX	0x02c0
#define X1_REG_MCU_PERF_WGS	0x02c8	/* work-groups */
#define X1_REG_MCU_PERF_CYCLES	0x02d0	/* occupied */
#define X1_REG_MCU_PERF_BUSY(e)	(0x02d8 + (e) * 8)	/* enum x1_engine */

/* Per-queue blocks. */
#define X1_REG_QUEUE(q)		(0x4000u + (q) * X1_Q_STRIDE)
#define X1_Q_STRIDE		0x100u
#define X1_Q_CTRL		0x00	/* write enum x1_q_op */
#define X1_Q_STATE		0x04	/* enum x1_q_state */
#define X1_Q_RPTR		0x08	/* commands fetched and retired, modulo 2^32 */
#define X1_Q_WPTR		0x0c	/* last doorbell value */
#define X1_Q_PROGRESS_LO	0x10	/* retired commands and work-groups; WAIT adds nothing */
#define X1_Q_PROGRESS_HI	0x14
#define X1_Q_CYCLES_LO		0x18	/* device cycles that the queue's commands took */
#define X1_Q_CYCLES_HI		0x1c
#define X1_Q_FAULT_INFO		0x20	/* x1_fault.h; 0 = no fault */
#define X1_Q_FAULT_ADDR_LO	0x24	/* DVA, or the offending value */
#define X1_Q_FAULT_ADDR_HI	0x28
#define X1_Q_FAULT_VM		0x2c
#define X1_Q_FAULT_PC		0x30	/* instruction index, 0xffffffff = none */
#define X1_Q_FAULT_TAG		0x34	/* command's tag */
#define X1_Q_FAULT_WG		0x38	/* work-group */
#define X1_Q_LATE		0x3c	/* late arrivals */
/* configuration (mc); written while DISABLED, taken by X1_Q_OP_ENABLE */
#define X1_Q_RING_LO		0x40	/* DVA in the ring VM, 64-byte aligned */
#define X1_Q_RING_HI		0x44
#define X1_Q_RING_LOG2		0x48	/* entries */
#define X1_Q_RPTR_ADDR_LO	0x4c	/* DVA in the ring VM of a u64 that follows RPTR, 0 = none */
#define X1_Q_RPTR_ADDR_HI	0x50
#define X1_Q_RING_VM		0x54
#define X1_Q_USER_VM		0x58
#define X1_Q_PRIORITY		0x5c
#define X1_Q_MCU_FIRST		0x60	/* partition; COUNT 0 = all MCUs */
#define X1_Q_MCU_COUNT		0x64
#define X1_Q_BUDGET_LO		0x68	/* cycles per LAUNCH, 0 = no limit */
#define X1_Q_BUDGET_HI		0x6c
#define X1_Q_VECTOR		0x70

enum x1_q_op {
	/* host and management core */
	X1_Q_OP_SUSPEND = 1,	/* stop fetching, park work-groups; then SUSPENDED */
	X1_Q_OP_RESUME = 2,	/* from SUSPENDED */
	X1_Q_OP_RESET = 3,	/* drop all work, clear the fault, RPTR = WPTR; then READY */
	/* management core only */
	X1_Q_OP_ENABLE = 16,	/* take the configuration: DISABLED -> READY, RPTR = WPTR = 0 */
	X1_Q_OP_DISABLE = 17,	/* drop all work: any -> DISABLED */
};

enum x1_q_state {
	X1_Q_STATE_DISABLED = 0,
	X1_Q_STATE_READY = 1,		/* fetching or idle */
	X1_Q_STATE_SUSPENDING = 2,
	X1_Q_STATE_SUSPENDED = 3,
	X1_Q_STATE_RESETTING = 4,	/* also while disabling */
	X1_Q_STATE_FAULTED = 5,
};

/* Doorbell page. */
#define X1_DB_WPTR		0x00	/* write: new write pointer, commands, modulo 2^32 */
#define X1_DB_ARRIVAL_LO	0x08	/* optional arrival stamp of the next doorbell, cycles */
#define X1_DB_ARRIVAL_HI	0x0c

X1_STATIC_ASSERT(X1_REGS_BYTES + X1_NUM_QUEUES * X1_DB_STRIDE_DEFAULT <= X1_BAR0_BYTES);

#endif /* X1_REGS_H */
