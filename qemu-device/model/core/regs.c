// SPDX-License-Identifier: MIT
/*
 * BAR0. One table says how each register is read and who may write it; the
 * host and the management core use the same one.
 */
#include <stddef.h>

#include "x1_int.h"

enum access {
	RO, /* nobody writes */
	RW, /* host and management core */
	MC, /* management core only */
};

struct reg {
	uint16_t off;
	uint8_t access;
	uint32_t (*read)(struct x1_core *core, uint32_t off);
	void (*write)(struct x1_core *core, uint32_t off, uint32_t val);
	uint32_t field; /* with no read: offset of a uint32_t in struct x1_core */
};

#define LO(v) ((uint32_t)(v))
#define HI(v) ((uint32_t)((uint64_t)(v) >> 32))

static void set_half(uint64_t *v, bool hi, uint32_t val)
{
	*v = hi ? (*v & 0xffffffffull) | (uint64_t)val << 32 : (*v & ~0xffffffffull) | val;
}

/* ---- identification ---- */

static uint32_t read_ident(struct x1_core *core, uint32_t off)
{
	const struct x1_core_config *c = &core->cfg;

	switch (off) {
	case X1_REG_MAGIC:
		return X1_MAGIC;
	case X1_REG_VERSION:
		return X1_VERSION;
	case X1_REG_NUM_QUEUES:
		return X1_NUM_QUEUES;
	case X1_REG_NUM_VMS:
		return X1_NUM_VMS;
	case X1_REG_FORMATS:
		/* Those of MATRIX: FP32 to INT4 are the first of the enumeration. */
		return (1u << (X1_FMT_INT4 + 1)) - 1;
	case X1_REG_SCALES:
		return (1u << X1_SCALE_COUNT) - 1;
	case X1_REG_SPARSITIES:
		return (1u << X1_SPARSE_COUNT) - 1;
	case X1_REG_FEATURES:
		return c->timing ? X1_FEATURE_TIMING : 0;
	case X1_REG_DB_OFFSET:
		return X1_REGS_BYTES;
	case X1_REG_DB_STRIDE:
		return X1_DB_STRIDE_DEFAULT;
	case X1_REG_SPAD_BYTES:
		return X1_SPAD_BYTES;
	case X1_REG_ACC_BYTES:
		return X1_ACC_BYTES;
	case X1_REG_NUM_MCUS:
		return c->mcus;
	case X1_REG_L2_BYTES:
		return c->l2_bytes;
	case X1_REG_HBM_BYTES_LO:
		return LO(c->hbm_bytes);
	case X1_REG_HBM_BYTES_HI:
		return HI(c->hbm_bytes);
	case X1_REG_APERTURE_LO:
		return LO(c->aperture_bytes);
	case X1_REG_APERTURE_HI:
		return HI(c->aperture_bytes);
	case X1_REG_CLOCK_HZ_LO:
		return LO(c->clock_hz);
	case X1_REG_CLOCK_HZ_HI:
		return HI(c->clock_hz);
	case X1_REG_HBM_BW:
		return c->hbm_bw;
	case X1_REG_L2_BW:
		return c->l2_bw;
	case X1_REG_PCIE_BW:
		return c->pcie_bw;
	case X1_REG_HBM_LATENCY:
		return c->hbm_latency;
	case X1_REG_L2_LATENCY:
		return c->l2_latency;
	case X1_REG_PCIE_LATENCY:
		return c->pcie_latency;
	case X1_REG_SERIAL_LO:
		return LO(c->serial);
	case X1_REG_SERIAL_HI:
		return HI(c->serial);
	default:
		return 0;
	}
}

/* ---- clock and state ---- */

static uint32_t read_clock(struct x1_core *core, uint32_t off)
{
	uint64_t now;

	if (off == X1_REG_CLOCK_HI)
		return core->latch_clock_hi;
	now = x1_clock(core);
	core->latch_clock_hi = HI(now);
	return LO(now);
}

static uint32_t read_clock_now(struct x1_core *core, uint32_t off)
{
	uint64_t hz = x1_clock_now_hz(core);

	return off == X1_REG_CLOCK_NOW_HI ? HI(hz) : LO(hz);
}

static uint32_t read_time(struct x1_core *core, uint32_t off)
{
	uint64_t ns;

	if (off == X1_REG_TIME_HI)
		return core->latch_time_hi;
	ns = x1_device_time_ns(core);
	core->latch_time_hi = HI(ns);
	return LO(ns);
}

static void write_throttle(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	if (val <= X1_THROTTLE_MAX)
		x1_set_throttle(core, val);
}

static uint32_t read_status(struct x1_core *core, uint32_t off)
{
	(void)off;
	return (core->fw_state == X1_FW_STATE_READY ? X1_STATUS_READY : 0) |
	       (atomic_load(&core->pause) ? X1_STATUS_HALTED : 0);
}

/* ---- interrupts ---- */

static void write_pending(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->irq_pending &= ~val;
}

static void write_enable(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	x1_irq_enable(core, val);
}

static uint32_t read_qbits(struct x1_core *core, uint32_t off)
{
	uint64_t v = off < X1_REG_QEVENT_LO ? core->qfence : core->qevent;

	return off & 4 ? HI(v) : LO(v);
}

/* QFENCE_LO is at ...8, QEVENT_LO at ...0: the odd word of each pair has bit 2 set. */
_Static_assert(!(X1_REG_QFENCE_LO & 4) && !(X1_REG_QEVENT_LO & 4), "pair alignment");

static void write_qbits(struct x1_core *core, uint32_t off, uint32_t val)
{
	uint64_t bits = off & 4 ? (uint64_t)val << 32 : val;

	if (off < X1_REG_QEVENT_LO)
		core->qfence &= ~bits;
	else
		core->qevent &= ~bits;
}

static void write_coalesce(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->coalesce = val & 0xffffff;
}

/* ---- firmware ---- */

static uint32_t read_fw_addr(struct x1_core *core, uint32_t off)
{
	return off == X1_REG_FW_ADDR_HI ? HI(core->fw_addr) : LO(core->fw_addr);
}

static void write_fw_addr(struct x1_core *core, uint32_t off, uint32_t val)
{
	set_half(&core->fw_addr, off == X1_REG_FW_ADDR_HI, val);
}

static void write_fw_size(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->fw_size = val;
}

static void write_fw_ctrl(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	if (val == X1_FW_CTRL_BOOT)
		x1_mgmt_boot(core);
	else if (val == X1_FW_CTRL_HALT)
		x1_mgmt_halt(core);
	else if (val == X1_FW_CTRL_STOP)
		x1_mgmt_hung(core);
	else if (val == X1_FW_CTRL_UPDATE)
		x1_mgmt_update(core);
}

static uint32_t read_fw_ctrl(struct x1_core *core, uint32_t off)
{
	(void)off;
	return x1_mgmt_updating(core) ? X1_FW_CTRL_UPDATE : 0;
}

static uint32_t read_fw_dump(struct x1_core *core, uint32_t off)
{
	(void)off;
	return x1_mgmt_dump_word(core, core->fw_dump_index);
}

static void write_fw_dump(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->fw_dump_index = val;
}

static void write_fw_word(struct x1_core *core, uint32_t off, uint32_t val)
{
	switch (off) {
	case X1_REG_FW_STATE:
		x1_mgmt_state(core, val);
		break;
	case X1_REG_FW_VERSION:
		core->fw_version = val;
		break;
	case X1_REG_FW_ABI:
		core->fw_abi = val;
		break;
	case X1_REG_FW_HEARTBEAT:
		core->fw_heartbeat = val;
		break;
	case X1_REG_FW_LOG_HEAD:
		core->fw_log_head = val;
		break;
	case X1_REG_FW_CRASH_PC:
		core->fw_crash_pc = val;
		break;
	case X1_REG_FW_CRASH_CAUSE:
		core->fw_crash_cause = val;
		break;
	}
}

/* ---- mailbox ---- */

static uint32_t read_mbox(struct x1_core *core, uint32_t off)
{
	if (off < X1_REG_MBOX_RSP)
		return core->mbox_req[(off - X1_REG_MBOX_REQ) / 4];
	return core->mbox_rsp[(off - X1_REG_MBOX_RSP) / 4];
}

static void write_mbox_req(struct x1_core *core, uint32_t off, uint32_t val)
{
	/* The request belongs to the firmware until it is answered. */
	if (!core->mbox_busy)
		core->mbox_req[(off - X1_REG_MBOX_REQ) / 4] = val;
}

static void write_mbox_rsp(struct x1_core *core, uint32_t off, uint32_t val)
{
	core->mbox_rsp[(off - X1_REG_MBOX_RSP) / 4] = val;
}

static void write_mbox_send(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	(void)val;
	if (core->mbox_busy)
		return;
	core->mbox_busy = X1_MBOX_BUSY;
	x1_mgmt_irq(core, X1_MC_IRQ_MBOX);
}

static void write_mbox_status(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	if (core->mbox_busy && !(val & X1_MBOX_BUSY)) {
		core->mbox_busy = 0;
		x1_irq_raise(core, X1_IRQ_MBOX);
	}
}

/* ---- INVALIDATE ---- */

static uint32_t read_inv(struct x1_core *core, uint32_t off)
{
	switch (off) {
	case X1_REG_INV_ADDR_LO:
		return LO(core->inv_addr);
	case X1_REG_INV_ADDR_HI:
		return HI(core->inv_addr);
	case X1_REG_INV_LEN_LO:
		return LO(core->inv_len);
	case X1_REG_INV_LEN_HI:
		return HI(core->inv_len);
	case X1_REG_INV_FREE:
		return X1_INVAL_DEPTH - core->inv_count;
	default:
		return 0;
	}
}

static void write_inv(struct x1_core *core, uint32_t off, uint32_t val)
{
	switch (off) {
	case X1_REG_INV_VM:
		core->inv_vm = val;
		break;
	case X1_REG_INV_ADDR_LO:
	case X1_REG_INV_ADDR_HI:
		set_half(&core->inv_addr, off == X1_REG_INV_ADDR_HI, val);
		break;
	case X1_REG_INV_LEN_LO:
	case X1_REG_INV_LEN_HI:
		set_half(&core->inv_len, off == X1_REG_INV_LEN_HI, val);
		break;
	case X1_REG_INV_SEQ:
		x1_inval_submit(core, val);
		break;
	}
}

/* ---- VM table ---- */

static uint32_t vm_ctrl(struct x1_core *core, uint32_t op)
{
	uint64_t root = core->vm_root_reg;
	uint32_t vm = core->vm_index;

	if (!vm || vm >= X1_NUM_VMS || (op != X1_VM_CTRL_ATTACH && op != X1_VM_CTRL_DETACH))
		return X1_VM_CTRL_EINVAL;
	if (op == X1_VM_CTRL_ATTACH && (root & (X1_PT_BYTES - 1) || root >= core->cfg.hbm_bytes ||
					core->cfg.hbm_bytes - root < X1_PT_BYTES))
		return X1_VM_CTRL_EINVAL;
	if (core->vm_users[vm])
		return X1_VM_CTRL_EBUSY;
	atomic_store(&core->vm_root[vm], op == X1_VM_CTRL_ATTACH ? root | X1_PTE_VALID : 0);
	/* The number may now mean somebody else: translations and storage go. */
	x1_inval_bump(core);
	core->vm_gen++;
	return X1_VM_CTRL_OK;
}

static uint32_t read_vm(struct x1_core *core, uint32_t off)
{
	return off == X1_REG_VM_ROOT_HI ? HI(core->vm_root_reg) : LO(core->vm_root_reg);
}

static void write_vm(struct x1_core *core, uint32_t off, uint32_t val)
{
	switch (off) {
	case X1_REG_VM_INDEX:
		core->vm_index = val;
		break;
	case X1_REG_VM_ROOT_LO:
	case X1_REG_VM_ROOT_HI:
		set_half(&core->vm_root_reg, off == X1_REG_VM_ROOT_HI, val);
		break;
	case X1_REG_VM_CTRL:
		core->vm_ctrl = vm_ctrl(core, val);
		break;
	}
}

/* ---- telemetry ---- */

static uint32_t read_telemetry(struct x1_core *core, uint32_t off)
{
	uint64_t core_uj = core->energy_core_pj / 1000000, pkg_uj = core->energy_pkg_pj / 1000000;

	x1_telemetry_sample(core, x1_now_ns());
	switch (off) {
	case X1_REG_TEMP_MC:
		return (uint32_t)core->temp_mc;
	case X1_REG_POWER_MW:
		return x1_power_scaled(core).package_mw;
	case X1_REG_CORE_POWER_MW:
		return x1_power_scaled(core).core_mw;
	case X1_REG_UTIL_PERMILLE:
		return core->power.util_permille;
	case X1_REG_ENERGY_CORE_LO:
		return LO(core_uj);
	case X1_REG_ENERGY_CORE_HI:
		return HI(core_uj);
	case X1_REG_ENERGY_PKG_LO:
		return LO(pkg_uj);
	case X1_REG_ENERGY_PKG_HI:
		return HI(pkg_uj);
	default:
		return 0;
	}
}

static uint32_t read_ecc_addr(struct x1_core *core, uint32_t off)
{
	return off == X1_REG_ECC_ADDR_HI ? HI(core->ecc_addr) : LO(core->ecc_addr);
}

/* ---- MCU health ---- */

static void write_mcu_index(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->mcu_index = val;
}

static uint32_t read_health(struct x1_core *core, uint32_t off)
{
	uint32_t m = core->mcu_index;

	(void)off;
	return m < core->cfg.mcus && core->healthy[m / 64] >> m % 64 & 1;
}

static void write_health(struct x1_core *core, uint32_t off, uint32_t val)
{
	uint32_t m = core->mcu_index;

	if (m >= core->cfg.mcus || val > 1 || read_health(core, off) == val)
		return;
	core->healthy[m / 64] ^= 1ull << m % 64;
	core->num_healthy += val ? 1u : -1u;
	if (core->cfg.timing)
		x1_tm_post(core, (struct x1_tm_op){.kind = X1_TM_HEALTH, .queue = m, .a = val});
}

/* ---- counters of an MCU ---- */

#define MCU_PERF_END X1_REG_MCU_PERF_BUSY(X1_ENGINE_COUNT)

static void write_mcu_perf_index(struct x1_core *core, uint32_t off, uint32_t val)
{
	(void)off;
	core->mcu_perf_index = val;
}

static uint32_t read_mcu_perf(struct x1_core *core, uint32_t off)
{
	struct x1_mcu_perf p;
	uint64_t v;

	if (core->mcu_perf_index >= core->cfg.mcus)
		return 0;
	x1_time_mcu_perf(core->time, core->mcu_perf_index, &p);
	switch (off & ~4u) {
	case X1_REG_MCU_PERF_WGS:
		v = p.work_groups;
		break;
	case X1_REG_MCU_PERF_CYCLES:
		v = p.cycles;
		break;
	default:
		v = p.busy[(off - X1_REG_MCU_PERF_BUSY(0)) / 8];
		break;
	}
	return off & 4 ? HI(v) : LO(v);
}

_Static_assert(X1_REG_MCU_PERF_WGS % 8 == 0 && MCU_PERF_END <= X1_REG_QUEUE(0), "aligned pairs");

static uint32_t read_gate(struct x1_core *core, uint32_t off)
{
	return off == X1_REG_GATE_HI ? HI(core->gate) : LO(core->gate);
}

static void write_gate(struct x1_core *core, uint32_t off, uint32_t val)
{
	uint64_t gate = core->gate;

	set_half(&gate, off == X1_REG_GATE_HI, val);
	x1_gate_write(core, gate);
}

/* ---- the table ---- */

#define FIELD(name) .field = offsetof(struct x1_core, name)

static const struct reg table[] = {
	{.off = X1_REG_BOOT_EPOCH, .access = RO, FIELD(boot_epoch)},
	{.off = X1_REG_HBM_EPOCH, .access = RO, FIELD(hbm_epoch)},
	{.off = X1_REG_CLOCK_LO, .access = RO, .read = read_clock},
	{.off = X1_REG_CLOCK_HI, .access = RO, .read = read_clock},
	{.off = X1_REG_CLOCK_NOW_LO, .access = RO, .read = read_clock_now},
	{.off = X1_REG_CLOCK_NOW_HI, .access = RO, .read = read_clock_now},
	{.off = X1_REG_TIME_LO, .access = RO, .read = read_time},
	{.off = X1_REG_TIME_HI, .access = RO, .read = read_time},
	{.off = X1_REG_THROTTLE, .access = MC, .write = write_throttle, FIELD(throttle)},
	{.off = X1_REG_STATUS, .access = RO, .read = read_status},
	{.off = X1_REG_IRQ_PENDING, .access = RW, .write = write_pending, FIELD(irq_pending)},
	{.off = X1_REG_IRQ_ENABLE, .access = RW, .write = write_enable, FIELD(irq_enable)},
	{.off = X1_REG_QFENCE_LO, .access = RW, .read = read_qbits, .write = write_qbits},
	{.off = X1_REG_QFENCE_HI, .access = RW, .read = read_qbits, .write = write_qbits},
	{.off = X1_REG_QEVENT_LO, .access = RW, .read = read_qbits, .write = write_qbits},
	{.off = X1_REG_QEVENT_HI, .access = RW, .read = read_qbits, .write = write_qbits},
	{.off = X1_REG_COALESCE, .access = RW, .write = write_coalesce, FIELD(coalesce)},
	{.off = X1_REG_FW_ADDR_LO, .access = RW, .read = read_fw_addr, .write = write_fw_addr},
	{.off = X1_REG_FW_ADDR_HI, .access = RW, .read = read_fw_addr, .write = write_fw_addr},
	{.off = X1_REG_FW_SIZE, .access = RW, .write = write_fw_size, FIELD(fw_size)},
	{.off = X1_REG_FW_CTRL, .access = RW, .read = read_fw_ctrl, .write = write_fw_ctrl},
	{.off = X1_REG_FW_DUMP_INDEX, .access = RW, .write = write_fw_dump, FIELD(fw_dump_index)},
	{.off = X1_REG_FW_DUMP_DATA, .access = RO, .read = read_fw_dump},
	{.off = X1_REG_FW_STATE, .access = MC, .write = write_fw_word, FIELD(fw_state)},
	{.off = X1_REG_FW_ERROR, .access = RO, FIELD(fw_error)},
	{.off = X1_REG_FW_VERSION, .access = MC, .write = write_fw_word, FIELD(fw_version)},
	{.off = X1_REG_FW_ABI, .access = MC, .write = write_fw_word, FIELD(fw_abi)},
	{.off = X1_REG_FW_HEARTBEAT, .access = MC, .write = write_fw_word, FIELD(fw_heartbeat)},
	{.off = X1_REG_FW_LOG_HEAD, .access = MC, .write = write_fw_word, FIELD(fw_log_head)},
	{.off = X1_REG_FW_CRASH_PC, .access = MC, .write = write_fw_word, FIELD(fw_crash_pc)},
	{.off = X1_REG_FW_CRASH_CAUSE, .access = MC, .write = write_fw_word, FIELD(fw_crash_cause)},
	{.off = X1_REG_MBOX_SEND, .access = RW, .write = write_mbox_send},
	{.off = X1_REG_MBOX_STATUS, .access = MC, .write = write_mbox_status, FIELD(mbox_busy)},
	{.off = X1_REG_INV_VM, .access = RW, .write = write_inv, FIELD(inv_vm)},
	{.off = X1_REG_INV_ADDR_LO, .access = RW, .read = read_inv, .write = write_inv},
	{.off = X1_REG_INV_ADDR_HI, .access = RW, .read = read_inv, .write = write_inv},
	{.off = X1_REG_INV_LEN_LO, .access = RW, .read = read_inv, .write = write_inv},
	{.off = X1_REG_INV_LEN_HI, .access = RW, .read = read_inv, .write = write_inv},
	{.off = X1_REG_INV_SEQ, .access = RW, .read = read_inv, .write = write_inv},
	{.off = X1_REG_INV_DONE, .access = RO, FIELD(inv_done)},
	{.off = X1_REG_INV_FREE, .access = RO, .read = read_inv},
	{.off = X1_REG_VM_INDEX, .access = MC, .write = write_vm, FIELD(vm_index)},
	{.off = X1_REG_VM_ROOT_LO, .access = MC, .read = read_vm, .write = write_vm},
	{.off = X1_REG_VM_ROOT_HI, .access = MC, .read = read_vm, .write = write_vm},
	{.off = X1_REG_VM_CTRL, .access = MC, .write = write_vm, FIELD(vm_ctrl)},
	{.off = X1_REG_TEMP_MC, .access = RO, .read = read_telemetry},
	{.off = X1_REG_POWER_MW, .access = RO, .read = read_telemetry},
	{.off = X1_REG_CORE_POWER_MW, .access = RO, .read = read_telemetry},
	{.off = X1_REG_UTIL_PERMILLE, .access = RO, .read = read_telemetry},
	{.off = X1_REG_ENERGY_CORE_LO, .access = RO, .read = read_telemetry},
	{.off = X1_REG_ENERGY_CORE_HI, .access = RO, .read = read_telemetry},
	{.off = X1_REG_ENERGY_PKG_LO, .access = RO, .read = read_telemetry},
	{.off = X1_REG_ENERGY_PKG_HI, .access = RO, .read = read_telemetry},
	{.off = X1_REG_ECC_CORRECTED, .access = RO, FIELD(ecc_corrected)},
	{.off = X1_REG_ECC_UNCORRECTED, .access = RO, FIELD(ecc_uncorrected)},
	{.off = X1_REG_ECC_ADDR_LO, .access = RO, .read = read_ecc_addr},
	{.off = X1_REG_ECC_ADDR_HI, .access = RO, .read = read_ecc_addr},
	{.off = X1_REG_MCU_INDEX, .access = RW, .write = write_mcu_index, FIELD(mcu_index)},
	{.off = X1_REG_MCU_HEALTH, .access = MC, .read = read_health, .write = write_health},
	{.off = X1_REG_MCU_HEALTHY, .access = RO, FIELD(num_healthy)},
	{.off = X1_REG_TL_ADDR_LO,
	 .access = RW,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_ADDR_HI,
	 .access = RW,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_LOG2, .access = RW, .read = x1_timeline_read, .write = x1_timeline_write},
	{.off = X1_REG_TL_MASK, .access = RW, .read = x1_timeline_read, .write = x1_timeline_write},
	{.off = X1_REG_TL_HEAD_LO,
	 .access = RO,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_HEAD_HI,
	 .access = RO,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_TAIL_LO,
	 .access = RW,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_TAIL_HI,
	 .access = RW,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_LOST_LO,
	 .access = RO,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_TL_LOST_HI,
	 .access = RO,
	 .read = x1_timeline_read,
	 .write = x1_timeline_write},
	{.off = X1_REG_MCU_PERF_INDEX,
	 .access = RW,
	 .write = write_mcu_perf_index,
	 FIELD(mcu_perf_index)},
	{.off = X1_REG_GATE_LO, .access = RW, .read = read_gate, .write = write_gate},
	{.off = X1_REG_GATE_HI, .access = RW, .read = read_gate, .write = write_gate},
};

static const struct reg *find(uint32_t off)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].off == off)
			return &table[i];
	return NULL;
}

static bool in_queue_block(uint32_t off)
{
	return off >= X1_REG_QUEUE(0) && off < X1_REG_QUEUE(X1_NUM_QUEUES);
}

static bool in_mbox(uint32_t off, uint32_t base)
{
	return off >= base && off < base + X1_MBOX_WORDS * 4;
}

/* Lock held; off is a multiple of 4 inside the register page. */
uint32_t x1_reg_read(struct x1_core *core, uint32_t off)
{
	const struct reg *r;

	if (in_queue_block(off))
		return x1_queue_reg_read(&core->queue[(off - X1_REG_QUEUE(0)) / X1_Q_STRIDE],
					 (off - X1_REG_QUEUE(0)) % X1_Q_STRIDE);
	if (in_mbox(off, X1_REG_MBOX_REQ) || in_mbox(off, X1_REG_MBOX_RSP))
		return read_mbox(core, off);
	if (off >= X1_REG_MCU_PERF_WGS && off < MCU_PERF_END)
		return read_mcu_perf(core, off);
	r = find(off);
	if (!r)
		return read_ident(core, off);
	if (r->read)
		return r->read(core, off);
	return r->field ? *(const uint32_t *)((const char *)core + r->field) : 0;
}

void x1_reg_write(struct x1_core *core, uint32_t off, uint32_t val, bool mc)
{
	const struct reg *r;

	if (in_queue_block(off)) {
		x1_queue_reg_write(&core->queue[(off - X1_REG_QUEUE(0)) / X1_Q_STRIDE],
				   (off - X1_REG_QUEUE(0)) % X1_Q_STRIDE, val, mc);
		return;
	}
	if (in_mbox(off, X1_REG_MBOX_REQ)) {
		write_mbox_req(core, off, val);
		return;
	}
	if (in_mbox(off, X1_REG_MBOX_RSP)) {
		if (mc)
			write_mbox_rsp(core, off, val);
		return;
	}
	r = find(off);
	if (r && r->write && (r->access == RW || (r->access == MC && mc)))
		r->write(core, off, val);
}

/* ---- BAR0 ---- */

static uint32_t doorbell_read(struct x1_core *core, uint64_t off)
{
	struct x1_queue *q = &core->queue[(off - X1_REGS_BYTES) / X1_DB_STRIDE_DEFAULT];
	uint32_t reg = (off - X1_REGS_BYTES) % X1_DB_STRIDE_DEFAULT;

	switch (reg) {
	case X1_DB_WPTR:
		return q->wptr;
	case X1_DB_ARRIVAL_LO:
		return LO(q->db_arrival);
	case X1_DB_ARRIVAL_HI:
		return HI(q->db_arrival);
	default:
		return 0;
	}
}

static void doorbell_write(struct x1_core *core, uint64_t off, uint32_t val)
{
	struct x1_queue *q = &core->queue[(off - X1_REGS_BYTES) / X1_DB_STRIDE_DEFAULT];
	uint32_t reg = (off - X1_REGS_BYTES) % X1_DB_STRIDE_DEFAULT;

	if (reg == X1_DB_WPTR)
		x1_queue_doorbell(q, val);
	else if (reg == X1_DB_ARRIVAL_LO || reg == X1_DB_ARRIVAL_HI)
		set_half(&q->db_arrival, reg == X1_DB_ARRIVAL_HI, val);
}

static bool is_doorbell(uint64_t off)
{
	return off >= X1_REGS_BYTES &&
	       off < X1_REGS_BYTES + (uint64_t)X1_NUM_QUEUES * X1_DB_STRIDE_DEFAULT;
}

static bool good_access(uint64_t off, unsigned int size)
{
	return (size == 4 || size == 8) && off % size == 0 && off < X1_BAR0_BYTES;
}

uint64_t x1_core_bar_read(struct x1_core *core, uint64_t off, unsigned int size)
{
	uint64_t val = 0;

	if (!good_access(off, size))
		return size == 1 ? 0xff : size == 2 ? 0xffff : size == 4 ? 0xffffffff : ~0ull;
	x1_lock(core);
	for (unsigned int i = 0; i < size; i += 4) {
		uint32_t word = 0;

		if (off + i < X1_REGS_BYTES)
			word = x1_reg_read(core, (uint32_t)(off + i));
		else if (is_doorbell(off + i))
			word = doorbell_read(core, off + i);
		val |= (uint64_t)word << i * 8;
	}
	x1_unlock(core);
	return val;
}

void x1_core_bar_write(struct x1_core *core, uint64_t off, uint64_t val, unsigned int size)
{
	bool reset = false;

	if (!good_access(off, size))
		return;
	x1_lock(core);
	for (unsigned int i = 0; i < size; i += 4) {
		uint32_t word = (uint32_t)(val >> i * 8);

		if (off + i == X1_REG_RESET)
			reset |= word == X1_RESET_KEY;
		else if (off + i < X1_REGS_BYTES)
			x1_reg_write(core, (uint32_t)(off + i), word, false);
		else if (is_doorbell(off + i))
			doorbell_write(core, off + i, word);
	}
	x1_unlock(core);
	if (reset)
		x1_core_reset(core, X1_RESET_FLR);
}
