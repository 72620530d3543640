// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's state as text: what debugfs shows and a coredump keeps. The
 * caller is inside drm_dev_enter(). Recovery calls it: nothing here waits for
 * memory, or for who may wait for a fence.
 */
#include <linux/bitmap.h>

#include <drm/drm_gpuvm.h>

#include "siliflow.h"

/* Ring entries of a queue that are worth a look. */
#define SILI_PRINT_ENTRIES	8u

void sili_print_device(struct sili_device *sdev, struct drm_printer *p)
{
	unsigned long *map = bitmap_zalloc(sdev->num_mcus, GFP_NOWAIT);

	drm_printf(p, "device: sili%u %s\n", sdev->index, dev_name(sdev->drm.dev));
	drm_printf(p, "serial: %016llx\n", sdev->serial);
	drm_printf(p, "status: %#x\n", sili_read(sdev, X1_REG_STATUS));
	drm_printf(p, "boot-epoch: %u\n", sili_read(sdev, X1_REG_BOOT_EPOCH));
	drm_printf(p, "hbm-epoch: %u\n", sili_read(sdev, X1_REG_HBM_EPOCH));
	drm_printf(p, "resets: %d\n", atomic_read(&sdev->resets));
	drm_printf(p, "clock: %llu cycles, %llu Hz\n", sili_clock(sdev, NULL), sdev->clock_hz);
	drm_printf(p, "temperature: %d mC\n", (s32)sili_read(sdev, X1_REG_TEMP_MC));
	drm_printf(p, "power: %u mW package, %u mW core\n", sili_read(sdev, X1_REG_POWER_MW),
		   sili_read(sdev, X1_REG_CORE_POWER_MW));
	drm_printf(p, "energy: %llu uJ package, %llu uJ core\n", sili_energy(sdev, true),
		   sili_energy(sdev, false));
	drm_printf(p, "utilization: %u permille\n", sili_read(sdev, X1_REG_UTIL_PERMILLE));
	drm_printf(p, "irq: pending %#x enabled %#x\n", sili_read(sdev, X1_REG_IRQ_PENDING),
		   sili_read(sdev, X1_REG_IRQ_ENABLE));
	drm_printf(p, "invalidate: last %u done %u\n", READ_ONCE(sdev->inval_seq),
		   sili_read(sdev, X1_REG_INV_DONE));
	drm_printf(p, "timeline: kinds %#x, %llu events, %llu lost\n",
		   sili_read(sdev, X1_REG_TL_MASK), sili_read_counter(sdev, X1_REG_TL_HEAD_LO),
		   sili_read_counter(sdev, X1_REG_TL_LOST_LO));
	drm_printf(p, "mcus: %u, healthy %u", sdev->num_mcus, sili_read(sdev, X1_REG_MCU_HEALTHY));
	if (map) {
		sili_mcu_health(sdev, map);
		bitmap_complement(map, map, sdev->num_mcus);
		drm_printf(p, ", quarantined %*pbl", sdev->num_mcus, map);
	}
	drm_puts(p, "\n");
	bitmap_free(map);
}

/* struct x1_fw_dump, where firmware has left one. */
static void sili_print_fw_dump(struct sili_device *sdev, struct drm_printer *p)
{
	u32 i;

	if (sili_read(sdev, X1_REG_FW_STATE) != X1_FW_STATE_CRASHED)
		return;
	mutex_lock(&sdev->index_lock);
	for (i = 0; i < sizeof(struct x1_fw_dump) / sizeof(u32); i++) {
		sili_write(sdev, X1_REG_FW_DUMP_INDEX, i);
		drm_printf(p, "%s%08x%s", i % 8 ? " " : "dump: ",
			   sili_read(sdev, X1_REG_FW_DUMP_DATA), i % 8 == 7 ? "\n" : "");
	}
	mutex_unlock(&sdev->index_lock);
}

void sili_print_firmware(struct sili_device *sdev, struct drm_printer *p)
{
	u32 i, n, version = sili_read(sdev, X1_REG_FW_VERSION);
	struct x1_mbox_log *log;

	drm_printf(p, "version: %u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
	drm_printf(p, "abi: %u\n", sili_read(sdev, X1_REG_FW_ABI));
	drm_printf(p, "state: %u\n", sili_read(sdev, X1_REG_FW_STATE));
	drm_printf(p, "error: %s\n", x1_fw_error_name(sili_read(sdev, X1_REG_FW_ERROR)));
	drm_printf(p, "crash: pc %#x cause %u\n", sili_read(sdev, X1_REG_FW_CRASH_PC),
		   sili_read(sdev, X1_REG_FW_CRASH_CAUSE));
	drm_printf(p, "heartbeat: %u\n", sili_read(sdev, X1_REG_FW_HEARTBEAT));
	drm_printf(p, "log-head: %u\n", sili_read(sdev, X1_REG_FW_LOG_HEAD));
	sili_print_fw_dump(sdev, p);
	log = kcalloc(SILI_FW_LOG_ENTRIES, sizeof(*log), GFP_NOWAIT);
	if (!log)
		return;
	n = sili_fw_log_copy(sdev, log);
	for (i = 0; i < n; i++)
		drm_printf(p, "log %u: %llu us: %s: %#x %#x %#x\n", log[i].position,
			   (u64)log[i].time_us_hi << 32 | log[i].time_us_lo,
			   x1_log_event_name(log[i].event), log[i].data[0], log[i].data[1],
			   log[i].data[2]);
	kfree(log);
}

static void sili_print_fault(struct drm_printer *p, const struct drm_siliflow_queue_state *s)
{
	drm_printf(p, "  fault: %s at %#llx, access %u, unit %u, mcu %#x, pc %#x, tag %#x, wg %u\n",
		   x1_fault_name(s->fault_code), s->fault_addr, s->fault_access, s->fault_unit,
		   s->fault_mcu, s->fault_pc, s->fault_tag, s->fault_wg);
}

/* The commands around the read pointer, as they lie in the ring. */
static void sili_print_ring(struct sili_hwq *hwq, struct drm_printer *p, u32 rptr, u32 wptr)
{
	u32 i;

	for (i = wptr - min(wptr, SILI_PRINT_ENTRIES); i != wptr; i++) {
		const u64 __iomem *e = hwq->sdev->hbm + (u64)hwq->index * SILI_RING_BYTES +
				       i % SILI_RING_ENTRIES * X1_CMD_BYTES;

		drm_printf(p, "  ring %u:%s %016llx %016llx %016llx %016llx\n", i,
			   i == rptr ? " >" : "", readq(e), readq(e + 1), readq(e + 2),
			   readq(e + 3));
	}
}

static void sili_print_queue(struct sili_hwq *hwq, struct drm_printer *p)
{
	struct sili_queue *queue = hwq->queue;
	struct drm_siliflow_queue_state s;
	u32 rptr = sili_q_read(hwq, X1_Q_RPTR), wptr;
	size_t inflight;
	u64 seqno;
	int error;

	spin_lock_irq(&hwq->lock);
	s = queue->state;
	error = queue->error;
	inflight = list_count_nodes(&hwq->inflight);
	seqno = hwq->seqno;
	wptr = hwq->wptr;
	spin_unlock_irq(&hwq->lock);
	drm_printf(p, "queue %u: pid %d (%s), vm %u, vector %u\n", hwq->index, queue->pid,
		   queue->comm, queue->vm->id, hwq->vector);
	drm_printf(p, "  state: hardware %u, flags %#x, error %d\n",
		   sili_q_read(hwq, X1_Q_STATE), s.state, error);
	drm_printf(p, "  pointers: read %u, doorbell %u, driver %u\n", rptr,
		   sili_q_read(hwq, X1_Q_WPTR), wptr);
	drm_printf(p, "  jobs: in flight %zu, last %llu\n", inflight, seqno);
	drm_printf(p, "  progress: %llu, cycles %llu\n", sili_q_read64(hwq, X1_Q_PROGRESS_LO),
		   sili_queue_cycles(queue));
	if (s.fault_code)
		sili_print_fault(p, &s);
	sili_print_ring(hwq, p, rptr, wptr);
}

/* hwq_lock held. */
void sili_print_queues(struct sili_device *sdev, struct drm_printer *p)
{
	u32 i;

	lockdep_assert_held(&sdev->hwq_lock);
	for (i = 0; i < sdev->num_hwqs; i++)
		if (sdev->hwq[i].queue)
			sili_print_queue(&sdev->hwq[i], p);
}

/* vm_lock held. */
void sili_print_vms(struct sili_device *sdev, struct drm_printer *p)
{
	struct drm_gpuva *va;
	struct sili_vm *vm;

	lockdep_assert_held(&sdev->vm_lock);
	list_for_each_entry(vm, &sdev->vms, link) {
		drm_printf(p, "vm %u: root %#llx\n", vm->id, vm->root);
		if (!mutex_trylock(&vm->lock)) {
			drm_puts(p, "  busy\n");
			continue;
		}
		drm_gpuvm_for_each_va(va, &vm->base)
			if (va != &vm->base.kernel_alloc_node)
				drm_printf(p, "  %#llx..%#llx: buffer %#llx bytes, offset %#llx\n",
					   va->va.addr, va->va.addr + va->va.range - 1,
					   (u64)va->gem.obj->size, va->gem.offset);
		mutex_unlock(&vm->lock);
	}
}
