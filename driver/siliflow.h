/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SiliFlow X1 accelerator driver: shared structures.
 *
 * Lock order: queue->submit_lock > hwq_lock > vm_lock > vm->lock >
 * rebind_lock > mmap_lock > dma_resv > pinned_lock, vm->user_lock > vm->table_lock >
 * mbox_lock, inval_lock, pt_lock > timeline_lock, hwq->lock.
 */
#ifndef _SILIFLOW_H_
#define _SILIFLOW_H_

#include <linux/completion.h>
#include <linux/idr.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_exec.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_print.h>
#include <drm/gpu_scheduler.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>

#include <drm/siliflow_accel.h>
#include <x1/x1_cmd.h>
#include <x1/x1_fault.h>
#include <x1/x1_fw.h>
#include <x1/x1_limits.h>
#include <x1/x1_mmu.h>
#include <x1/x1_regs.h>

#include "siliflow_compat.h"

#define SILI_NAME		"siliflow"
#define SILI_MAX_QUEUES_FILE	8
/* The firmware's last log entries, kept for when it is dead. */
#define SILI_FW_LOG_ENTRIES	64

/* First part of HBM, the driver's own: rings and fences, firmware, page tables. */
#define SILI_RING_LOG2		8
#define SILI_RING_ENTRIES	BIT(SILI_RING_LOG2)
#define SILI_RING_BYTES		(SILI_RING_ENTRIES * X1_CMD_BYTES)
#define SILI_FENCE_STRIDE	64
#define SILI_FENCE_OFFSET	(X1_NUM_QUEUES * SILI_RING_BYTES)
#define SILI_KERNEL_BYTES	X1_HUGE_SIZE
#define SILI_FW_OFFSET		SILI_KERNEL_BYTES
#define SILI_PT_OFFSET		(SILI_FW_OFFSET + X1_HUGE_SIZE)
#define SILI_PT_SHARE		64		/* 1/64 of HBM holds page tables */
#define SILI_PT_MIN_BYTES	(4u << 20)

static_assert(SILI_FENCE_OFFSET + X1_NUM_QUEUES * SILI_FENCE_STRIDE <= SILI_KERNEL_BYTES);
static_assert(X1_FW_MAX_BYTES <= X1_HUGE_SIZE);

/* Address spaces. */
#define SILI_VM_KERNEL		1
#define SILI_VM_FIRST		2
#define SILI_KERNEL_DVA		((u64)X1_HUGE_SIZE)
#define SILI_VA_START		((u64)X1_HUGE_SIZE)
#define SILI_VA_END		BIT_ULL(X1_DVA_BITS)

struct dma_buf;
struct dma_buf_attachment;
struct firmware;
struct drm_printer;
struct sili_copy;
struct sili_device;
struct sili_queue;
struct sili_timeline;
struct sili_user;

/*
 * Jobs in a ring, two entries each: those submitted straight into it, and those
 * that the scheduler brings. An entry comes back a moment after its job's fence.
 */
#define SILI_MAX_DIRECT		64
#define SILI_MAX_SCHED		62

/**
 * struct sili_hwq - hardware queue slot
 *
 * Its scheduler lives as long as the DRM device, so that fences and jobs that
 * outlast a user's queue still find it.
 */
struct sili_hwq {
	struct sili_device *sdev;
	u32 index;
	u32 vector;
	struct drm_gpu_scheduler sched;
	char name[24];
	u64 context;
	/** @wait: woken when @running falls to 0 */
	wait_queue_head_t wait;
	/** @running: jobs that the scheduler has started and not yet freed */
	atomic_t running;
	struct delayed_work watchdog;
	/** @last_progress: progress counter at the watchdog's last look */
	u64 last_progress;
	/** @preempt_context: of user queues' preempt fences */
	u64 preempt_context;
	u64 preempt_seqno;
	struct work_struct suspend_work;
	struct delayed_work resume_work;
	u32 resume_tries;
	/** @value_wait: woken at fences and at the queue's end */
	wait_queue_head_t value_wait;
	/** @lock: protects what follows; taken in interrupts */
	spinlock_t lock;
	struct list_head inflight;
	u32 num_inflight;
	/** @held: in a reset: nothing goes to the ring */
	bool held;
	u64 seqno;
	u32 wptr;
	/** @preempt: what keeps the buffers of a user queue that runs where they are */
	struct dma_fence *preempt;
	/** @queue: owner; changes under sdev->hwq_lock */
	struct sili_queue *queue;
};

/** struct sili_device - one X1 */
struct sili_device {
	struct drm_device drm;
	struct pci_dev *pdev;
	u32 index;

	void __iomem *regs;
	resource_size_t regs_phys;
	u32 db_offset;
	u32 db_stride;
	/** @hbm: BAR2, write-combining; @hbm_visible bytes of @hbm_bytes */
	void __iomem *hbm;
	resource_size_t hbm_phys;
	u64 hbm_bytes;
	u64 hbm_visible;
	u32 hbm_epoch;
	u32 num_mcus;
	u32 num_vms;
	u64 clock_hz;
	u64 serial;
	const struct firmware *fw;

	/** @index_lock: registers that are read in two steps: clock, MCU health */
	struct mutex index_lock;

	u32 num_vectors;
	/** @wait: woken by mailbox, INVALIDATE and firmware interrupts */
	wait_queue_head_t wait;
	atomic64_t qevents;
	struct work_struct event_work;
	struct work_struct reset_work;
	bool irqs_live;

	/** @fw_pull_lock: one reader of the firmware's log; taken before mbox_lock */
	struct mutex fw_pull_lock;
	/** @fw_log_lock: protects @fw_log and @fw_log_total */
	spinlock_t fw_log_lock;
	struct x1_mbox_log fw_log[SILI_FW_LOG_ENTRIES];
	u32 fw_log_total;
	/** @fw_log_next: position to read next; 0 after a boot */
	u32 fw_log_next;
	/** @resets: resets of the device logic with users, for operators */
	atomic_t resets;
	/** @energy_base: microjoules before the last reset, core and package */
	u64 energy_base[2];
	/** @frozen: the gate is closed; @gate_users: who is inside */
	bool frozen;
	atomic_t gate_users;
	/** @unmapped: no process has HBM mapped; @gate_faults: who is about to map it */
	bool unmapped;
	atomic_t gate_faults;
	wait_queue_head_t gate_wait;
	/** @function_down: stopped for a reset of the function or an error on the link */
	bool function_down;
	struct delayed_work aer_work;
	/** @boot_epoch: at runtime suspend */
	u32 boot_epoch;
	/** @tables: copy of the page tables in use while the system sleeps */
	u64 *tables;
	/** @dump: memory of the next coredump */
	void *dump;
	/** @reset_why: reason of the reset that is due or last was */
	const char *reset_why;
	/** @fw_restarts, @fw_restart_start: of late; under mbox_lock */
	u32 fw_restarts;
	unsigned long fw_restart_start;
	/** @watch_work: looks at heartbeat, log and MCUs while @watching */
	struct delayed_work watch_work;
	bool watching;
	u32 watch_beat;
	u32 watch_misses;
	u32 num_healthy;

	/** @mbox_lock: one request at a time */
	struct mutex mbox_lock;
	u16 mbox_seq;
	/** @inval_lock: one INVALIDATE at a time */
	struct mutex inval_lock;
	u32 inval_seq;

	/** @timeline_lock: protects @timeline, what records, and its registers */
	struct mutex timeline_lock;
	struct sili_timeline *timeline;

	/** @pt_lock: protects @pt_map and @pt_hint */
	struct mutex pt_lock;
	unsigned long *pt_map;
	u32 pt_num;
	u32 pt_hint;
	u64 kernel_root;

	struct ttm_device ttm;
	u64 vram_base;
	struct sili_copy *copy;
	/** @copy_epoch: changes when a reset ends the copy queue */
	u32 copy_epoch;
	/** @bind_sched, @bind_wq: asynchronous binds */
	struct drm_gpu_scheduler bind_sched;
	struct workqueue_struct *bind_wq;

	/** @pinned_lock: protects @pinned: buffers that other devices use */
	struct mutex pinned_lock;
	struct list_head pinned;

	/** @vm_lock: protects @vms and attaching to the device */
	struct mutex vm_lock;
	struct list_head vms;
	struct ida vm_ids;

	/** @rebind_lock: one VM at a time gets its buffers back; protects what follows */
	struct mutex rebind_lock;
	/** @rebind_task: who evicts nothing that @rebind_vm maps */
	struct task_struct *rebind_task;
	struct drm_gpuvm *rebind_vm;

	/** @hwq_lock: protects slot ownership and the life cycle of hardware queues */
	struct mutex hwq_lock;
	u32 num_hwqs;
	struct sili_hwq *hwq;
	struct workqueue_struct *timeout_wq;
	/** @submit_wq: starts and frees jobs that had to wait */
	struct workqueue_struct *submit_wq;
	/** @preempt_wq: suspends user queues; others wait for it to free memory */
	struct workqueue_struct *preempt_wq;
	/** @unplug_lock: unplugging happens once */
	struct mutex unplug_lock;
	/** @halted: after unplugging the device does nothing any more */
	struct completion halted;
};

#define to_sili(d) container_of(d, struct sili_device, drm)

/** struct sili_file - an open device node */
struct sili_file {
	/** @lock: creation and end of VMs and queues */
	struct mutex lock;
	struct xarray vms;
	struct xarray queues;
	u32 num_queues;
	/** @cycles: device cycles of queues that have been closed */
	u64 cycles;
};

/** struct sili_bo - buffer; its reservation protects its place and its mappings */
struct sili_bo {
	struct ttm_buffer_object base;
	u32 flags;
	/** @cpu_used: the CPU has used it: belongs where the CPU can see it */
	bool cpu_used;
	/** @shared: a dma-buf: its reservation gets the fences of jobs */
	bool shared;
	/** @user: memory of a process, or NULL */
	struct sili_user *user;
	/** @pinned_link: in sdev->pinned */
	struct list_head pinned_link;
};

#define ttm_to_sili_bo(t) container_of(t, struct sili_bo, base)
#define gem_to_sili_bo(g) container_of(g, struct sili_bo, base.base)

/** struct sili_vm - address space */
struct sili_vm {
	struct drm_gpuvm base;
	struct sili_device *sdev;
	struct list_head link;
	/** @lock: changes of the mappings, @closed, @last_bind */
	struct mutex lock;
	/** @binds: asynchronous ones, in their order */
	struct drm_sched_entity binds;
	/** @last_bind: fence of the last asynchronous one, or NULL */
	struct dma_fence *last_bind;
	/** @user_lock: memory of processes and what changes its mappings; as @table_lock */
	struct mutex user_lock;
	/**
	 * @table_lock: page tables, @evicted, @revoked, and the start of jobs; fences and
	 * reclaim wait for it, so nothing allocates under it
	 */
	struct mutex table_lock;
	/**
	 * @evicted, @revoked: buffers, and memory of processes (sili_vm_bo), whose
	 * mappings have to be written again
	 */
	struct list_head evicted;
	struct list_head revoked;
	/** @shared: dma-bufs (sili_vm_bo); @shared_gen changes with the list */
	struct list_head shared;
	u32 num_shared;
	u32 shared_gen;
	u32 id;
	u64 root;
	/** @queues: that use it; changes under the file's lock */
	u32 queues;
	/** @long_running: has user queues alone */
	bool long_running;
	bool closed;
};

#define to_sili_vm(v) container_of(v, struct sili_vm, base)

/** struct sili_vm_bo - buffer in a VM */
struct sili_vm_bo {
	struct drm_gpuvm_bo base;
	/** @evict_link: in vm->evicted or vm->revoked, under vm->table_lock */
	struct list_head evict_link;
	/** @shared_link: in vm->shared, likewise */
	struct list_head shared_link;
};

#define to_sili_vm_bo(v) container_of(v, struct sili_vm_bo, base)

/** struct sili_vm_jobs - what is reserved while jobs are queued in a VM */
struct sili_vm_jobs {
	/** @exec: the VM and its shared buffers, where it has any; else just the VM */
	struct drm_exec exec;
	bool shared;
};

/** struct sili_va - mapping */
struct sili_va {
	struct drm_gpuva base;
	/** @flags: X1_PTE_READ, X1_PTE_WRITE, X1_PTE_EXEC */
	u64 flags;
	/** @link: of a bind: prepared or dead */
	struct list_head link;
	/** @vm_bo: of a dead one: what it was a mapping of */
	struct drm_gpuvm_bo *vm_bo;
};

#define to_sili_va(v) container_of(v, struct sili_va, base)

/** struct sili_pt_update - what one bind changes in the page tables */
struct sili_pt_update {
	/** @spare: tables, taken before anything changes */
	u64 *spare;
	u32 num_spare;
	/** @dead: tables to free after INVALIDATE */
	u64 *dead;
	u32 num_dead;
};

/** struct sili_queue - user's queue on a hardware slot */
struct sili_queue {
	struct kref ref;
	struct sili_device *sdev;
	struct sili_vm *vm;
	struct sili_hwq *hwq;
	struct drm_sched_entity entity;
	/** @submit_lock: order of jobs; false @open ends submission */
	struct mutex submit_lock;
	bool open;
	/** @waiting: jobs that the scheduler has not brought to the ring yet */
	atomic_t waiting;
	/** @user: ring and doorbell are the user's */
	bool user;
	/** @doorbell_lock: protects @revoked, and the page that is mapped */
	struct mutex doorbell_lock;
	bool revoked;
	/** @dummy: what is mapped instead of a revoked doorbell */
	struct page *dummy;
	/** @error: why no job runs any more, 0 = alive; protected by hwq->lock */
	int error;
	/** @state: what QUEUE_STATE reports beside the counters; protected by hwq->lock */
	struct drm_siliflow_queue_state state;
	/** @cycles: device cycles before the slot was last started; protected by hwq->lock */
	u64 cycles;
	/** @counting: the slot's own counter goes on top of @cycles; protected by hwq->lock */
	bool counting;
	/** @args: how it was made, to make its slot again after a reset */
	struct drm_siliflow_queue_create args;
	/** @pid, @comm: who made it, for operators */
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/* siliflow_drv.c */
void sili_live_get(void);
void sili_live_put(void);

/* siliflow_device.c */
int sili_device_init(struct sili_device *sdev);
void sili_device_start_irqs(struct sili_device *sdev);
void sili_device_unplug(struct sili_device *sdev);
u64 sili_energy(struct sili_device *sdev, bool package);

static inline u32 sili_read(struct sili_device *sdev, u32 reg)
{
	return readl(sdev->regs + reg);
}

static inline void sili_write(struct sili_device *sdev, u32 reg, u32 val)
{
	writel(val, sdev->regs + reg);
}

static inline u64 sili_read64(struct sili_device *sdev, u32 reg)
{
	return lo_hi_readq(sdev->regs + reg);
}

/* A counter whose halves cannot be read at once. */
static inline u64 sili_read_counter(struct sili_device *sdev, u32 reg)
{
	u32 lo, hi, again = sili_read(sdev, reg + 4);

	do {
		hi = again;
		lo = sili_read(sdev, reg);
		again = sili_read(sdev, reg + 4);
	} while (again != hi);
	return (u64)hi << 32 | lo;
}

static inline u32 sili_q_read(struct sili_hwq *hwq, u32 reg)
{
	return sili_read(hwq->sdev, X1_REG_QUEUE(hwq->index) + reg);
}

static inline u64 sili_q_read64(struct sili_hwq *hwq, u32 reg)
{
	return sili_read64(hwq->sdev, X1_REG_QUEUE(hwq->index) + reg);
}

/* siliflow_query.c */
int sili_ioctl_query(struct drm_device *drm, void *data, struct drm_file *file);
void sili_mcu_health(struct sili_device *sdev, unsigned long *map);
u64 sili_clock(struct sili_device *sdev, u64 *monotonic_ns);

/* siliflow_timeline.c */
int sili_ioctl_timeline_open(struct drm_device *drm, void *data, struct drm_file *drm_file);
void sili_timeline_end(struct sili_device *sdev, int error);

/* siliflow_fdinfo.c */
void sili_show_fdinfo(struct drm_printer *p, struct drm_file *file);

/* siliflow_hwmon.c */
int sili_hwmon_init(struct sili_device *sdev);

/* siliflow_sysfs.c */
int sili_sysfs_init(struct sili_device *sdev);

/* siliflow_debugfs.c */
void sili_debugfs_init(struct sili_device *sdev);

/* siliflow_print.c */
void sili_print_device(struct sili_device *sdev, struct drm_printer *p);
void sili_print_firmware(struct sili_device *sdev, struct drm_printer *p);
void sili_print_queues(struct sili_device *sdev, struct drm_printer *p);
void sili_print_vms(struct sili_device *sdev, struct drm_printer *p);

/* siliflow_irq.c */
int sili_irq_init(struct sili_device *sdev);
void sili_irq_fini(struct sili_device *sdev);

/* siliflow_fw.c */
int sili_fw_load(struct sili_device *sdev);
int sili_fw_boot(struct sili_device *sdev);
bool sili_fw_alive(struct sili_device *sdev);
int sili_fw_restart(struct sili_device *sdev, const char *why);
void sili_fw_check(struct sili_device *sdev);
void sili_watch_init(struct sili_device *sdev);
void sili_watch_start(struct sili_device *sdev);
void sili_watch_stop(struct sili_device *sdev);
void sili_fw_log_pull(struct sili_device *sdev);
u32 sili_fw_log_copy(struct sili_device *sdev, struct x1_mbox_log *out);

/* siliflow_mbox.c */
int sili_mbox(struct sili_device *sdev, enum x1_mbox_op op, const u32 *args, u32 num_args,
	      u32 *reply);
int sili_mbox_locked(struct sili_device *sdev, enum x1_mbox_op op, const u32 *args, u32 num_args,
		     u32 *reply);

/* siliflow_mmu.c */
int sili_mmu_init(struct sili_device *sdev);
int sili_mmu_attach_all(struct sili_device *sdev);
int sili_mmu_vm_init(struct sili_vm *vm);
void sili_mmu_vm_detach(struct sili_vm *vm);
void sili_mmu_vm_free(struct sili_vm *vm);
void sili_pt_need(struct sili_bo *bo, u64 addr, u64 range, u64 offset, u64 *spare, u64 *dead);
int sili_pt_prepare(struct sili_device *sdev, struct sili_pt_update *up, u64 spare, u64 dead);
void sili_pt_finish(struct sili_device *sdev, struct sili_pt_update *up);
void sili_pt_map(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u64 range,
		 struct sili_bo *bo, u64 offset, u64 flags);
void sili_pt_unmap(struct sili_vm *vm, struct sili_pt_update *up, u64 addr, u64 range);
void sili_mmu_invalidate(struct sili_vm *vm, u64 addr, u64 range);
void sili_mmu_invalidate_live(struct sili_device *sdev, u32 vm, u64 addr, u64 range);
int sili_pt_alloc(struct sili_device *sdev, u64 *table);
void sili_pte_set(struct sili_device *sdev, u64 table, u32 index, u64 val);

/* siliflow_ttm.c */
int sili_ttm_init(struct sili_device *sdev);
void sili_ttm_unplug(struct sili_device *sdev);
int sili_ttm_alloc(struct sili_bo *bo, u64 size, enum ttm_bo_type type, struct sg_table *sg,
		   struct dma_resv *resv);
vm_fault_t sili_ttm_fault(struct vm_fault *vmf);
int sili_ttm_evict_hbm(struct sili_device *sdev);
int sili_ttm_validate(struct sili_bo *bo);
int sili_ttm_to_system(struct sili_bo *bo);
void sili_tt_unmap(struct ttm_tt *tt);
bool sili_bo_in_hbm(struct sili_bo *bo);
int sili_ttm_show(struct sili_bo *bo);
u64 sili_ttm_used(struct sili_device *sdev, u32 flag);
u64 sili_ttm_size(struct sili_device *sdev, u32 flag);
u64 sili_ttm_visible(struct sili_device *sdev);
u64 sili_res_addr(struct sili_device *sdev, struct ttm_resource *res, u32 page, u32 *run);
bool sili_res_visible(struct ttm_resource *res);

/* siliflow_move.c */
int sili_move(struct ttm_buffer_object *bo, bool evict, struct ttm_operation_ctx *ctx,
	      struct ttm_resource *new_mem, struct ttm_place *hop);

/* siliflow_copy.c */
int sili_copy_init(struct sili_device *sdev);
void sili_copy_lost(struct sili_device *sdev);
int sili_copy_clear(struct sili_device *sdev, struct ttm_resource *res);
int sili_copy_move(struct sili_bo *bo, struct ttm_resource *dst);

/* siliflow_bo.c */
struct sili_bo *sili_bo_create(struct sili_device *sdev, u64 size, u32 flags,
			       enum ttm_bo_type type, struct sg_table *sg, struct dma_resv *resv);
int sili_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_bo_info(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_bo_wait(struct drm_device *drm, void *data, struct drm_file *file);

/* siliflow_prime.c */
void sili_shared_link(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo);
void sili_shared_unlink(struct sili_vm *vm, struct sili_vm_bo *entry);
int sili_shared_lock(struct sili_vm *vm, struct drm_exec *exec, u32 *gen);
void sili_shared_fence(struct sili_vm *vm, struct drm_exec *exec, struct dma_fence *fence);
struct dma_buf *sili_gem_export(struct drm_gem_object *gem, int flags);
int sili_gem_pin(struct drm_gem_object *gem);
void sili_gem_unpin(struct drm_gem_object *gem);
struct sg_table *sili_gem_get_sg_table(struct drm_gem_object *gem);
void sili_prime_unplug(struct sili_device *sdev);
struct drm_gem_object *sili_gem_import(struct drm_device *drm, struct dma_buf_attachment *attach,
				       struct sg_table *sgt);
int sili_gem_mmap(struct drm_gem_object *gem, struct vm_area_struct *vma);

/* siliflow_vm.c */
int sili_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file);
struct sili_vm *sili_vm_lookup(struct sili_file *sfile, u32 handle);
void sili_vm_close(struct sili_vm *vm);
void sili_vm_unplug_all(struct sili_device *sdev);

static inline void sili_vm_put(struct sili_vm *vm)
{
	drm_gpuvm_put(&vm->base);
}

/* siliflow_bind.c */
int sili_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file);
int sili_bind_step_map(struct drm_gpuva_op *op, void *priv);
int sili_bind_step_remap(struct drm_gpuva_op *op, void *priv);
int sili_bind_step_unmap(struct drm_gpuva_op *op, void *priv);
int sili_bind_entity_init(struct sili_vm *vm);
void sili_bind_pause(struct sili_device *sdev, bool pause);
int sili_bind_init(struct sili_device *sdev);
int sili_bind_module_init(void);
void sili_bind_module_exit(void);

/* siliflow_evict.c */
int sili_evict_mappings(struct sili_bo *bo, struct ttm_operation_ctx *ctx);
bool sili_evict_spared(struct sili_bo *bo);
void sili_vm_bo_clear(struct sili_vm *vm, struct drm_gpuvm_bo *vm_bo);
struct drm_gpuvm_bo *sili_vm_bo_first(struct sili_vm *vm, struct list_head *list);
int sili_vm_restore(struct sili_vm *vm, struct drm_gem_object *gem);
int sili_vm_begin_jobs(struct sili_vm *vm, struct sili_vm_jobs *jobs);
void sili_vm_add_fence(struct sili_vm *vm, struct sili_vm_jobs *jobs, struct dma_fence *fence);
void sili_vm_end_jobs(struct sili_vm *vm, struct sili_vm_jobs *jobs);

/* siliflow_queue.c */
int sili_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int sili_ioctl_queue_state(struct drm_device *drm, void *data, struct drm_file *file);
struct sili_queue *sili_queue_lookup(struct sili_file *sfile, u32 handle);
void sili_queue_close(struct sili_queue *queue);
void sili_queue_put(struct sili_queue *queue);
u64 sili_queue_cycles(struct sili_queue *queue);
void sili_queue_fold_cycles(struct sili_queue *queue);
int sili_queue_restore(struct sili_queue *queue);
u64 sili_max_budget(void);

/* siliflow_sched.c */
int sili_sched_init(struct sili_device *sdev);

/* siliflow_hwq.c */
int sili_hwq_init(struct sili_device *sdev);
u32 sili_max_timeout_ms(void);
int sili_timeout_check(u32 ms);
void sili_hwq_settle(struct sili_hwq *hwq);
void sili_hwq_complete(struct sili_hwq *hwq);
bool sili_hwq_hold(struct sili_hwq *hwq, bool hold);
void sili_hwq_flush(struct sili_hwq *hwq, int error);
void sili_hwq_fault(struct sili_hwq *hwq);
void sili_queue_stop(struct sili_queue *queue, int error, u32 state);

/* siliflow_userq.c */
void sili_userq_setup(struct sili_hwq *hwq);
int sili_userq_check(struct sili_vm *vm, const struct drm_siliflow_queue_create *args);
int sili_userq_init(struct sili_queue *queue, struct drm_siliflow_queue_create *args);
void sili_userq_end(struct sili_queue *queue);
void sili_userq_fini(struct sili_queue *queue);
int sili_mmap(struct file *filp, struct vm_area_struct *vma);
int sili_ioctl_wait_value(struct drm_device *drm, void *data, struct drm_file *file);

/* siliflow_submit.c */
int sili_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file);

/* siliflow_reset.c */
void sili_reset_init(struct sili_device *sdev);
void sili_reset_schedule(struct sili_device *sdev, const char *why);
bool sili_reset_helps(struct sili_device *sdev, int error);
void sili_reset_halt(struct sili_device *sdev);
void sili_lock_all(struct sili_device *sdev);
void sili_unlock_all(struct sili_device *sdev);
void sili_down(struct sili_device *sdev);
int sili_up(struct sili_device *sdev);
void sili_lost(struct sili_device *sdev);

int sili_restart(struct sili_device *sdev);
void sili_wedged(struct sili_device *sdev, const char *recovery);

/* siliflow_gate.c */
int sili_gate_enter(struct sili_device *sdev, bool interruptible);
void sili_gate_exit(struct sili_device *sdev);
atomic_t *sili_gate_join(struct sili_device *sdev);
void sili_gate_leave(struct sili_device *sdev, atomic_t *count);
bool sili_fault_enter(struct sili_device *sdev);
void sili_fault_exit(struct sili_device *sdev);
void sili_freeze(struct sili_device *sdev);
void sili_thaw(struct sili_device *sdev);
int sili_enter(struct sili_device *sdev, int *idx);
void sili_exit(struct sili_device *sdev, int idx);
void sili_put_power(struct sili_device *sdev);

/* siliflow_pm.c */
extern const struct dev_pm_ops sili_pm_ops;
void sili_pm_init(struct sili_device *sdev);
void sili_pm_fini(struct sili_device *sdev);

/* siliflow_aer.c */
extern const struct pci_error_handlers sili_err_handlers;
void sili_aer_init(struct sili_device *sdev);

/* siliflow_coredump.c */
void sili_coredump(struct sili_device *sdev, const char *why, struct sili_queue *guilty,
		   bool locked);
void sili_coredump_prepare(struct sili_device *sdev);
void sili_coredump_fini(struct sili_device *sdev);

#endif /* _SILIFLOW_H_ */
