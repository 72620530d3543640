/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User API of siliflow.ko, the SiliFlow X1 accelerator driver.
 *
 * Rules by which this ABI grows:
 *  - Structs are only appended to; every struct is a multiple of 8 bytes and
 *    has the same layout on 32-bit and 64-bit. A shorter struct from older
 *    userspace reads as zero beyond its end.
 *  - Padding, reserved fields and unknown flags must be zero (-EINVAL), so
 *    that they can get a meaning later; zero always means the old behaviour.
 *  - Numbers are never reused. No unions.
 *  - Arrays are passed as a user pointer in __u64, a count that the field's
 *    comment bounds, and (where elements may grow) a stride.
 *  - Handles: GEM handles are the DRM core's; VM and queue handles are per
 *    file, start at 1; 0 is no handle.
 *  - Every addition raises the driver's minor version; history:
 *    1.0: query, BO, VM, bind, queue, submit.
 *    1.1: DRM_SILIFLOW_QUERY_TELEMETRY.
 *    1.2: user queues: SILIFLOW_VM_LONG_RUNNING, SILIFLOW_QUEUE_USER,
 *    DRM_SILIFLOW_WAIT_VALUE.
 *    1.3: SILIFLOW_VM_BIND_ASYNC, syncobjs of struct drm_siliflow_vm_bind.
 *    1.4: PRIME: see "buffers".
 *    1.5: DRM_SILIFLOW_BIND_MAP_USER.
 *    1.6: timeout_ms of struct drm_siliflow_queue_create, max_timeout_ms of struct
 *    drm_siliflow_query_device.
 *    1.7: DRM_SILIFLOW_QUERY_COUNTERS, DRM_SILIFLOW_TIMELINE_OPEN.
 *
 * Errors that every ioctl may return: -ENODEV after the device has gone or
 * could not be recovered, -EFAULT for a bad user pointer, -ENOMEM, -EINTR.
 */
#ifndef _UAPI_SILIFLOW_ACCEL_H_
#define _UAPI_SILIFLOW_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define SILIFLOW_DRIVER_MAJOR	1
#define SILIFLOW_DRIVER_MINOR	7

#define DRM_SILIFLOW_QUERY		0x00
#define DRM_SILIFLOW_BO_CREATE		0x01
#define DRM_SILIFLOW_BO_MMAP_OFFSET	0x02
#define DRM_SILIFLOW_BO_INFO		0x03
#define DRM_SILIFLOW_BO_WAIT		0x04
#define DRM_SILIFLOW_VM_CREATE		0x05
#define DRM_SILIFLOW_VM_DESTROY		0x06
#define DRM_SILIFLOW_VM_BIND		0x07
#define DRM_SILIFLOW_QUEUE_CREATE	0x08
#define DRM_SILIFLOW_QUEUE_DESTROY	0x09
#define DRM_SILIFLOW_QUEUE_STATE	0x0a
#define DRM_SILIFLOW_SUBMIT		0x0b
#define DRM_SILIFLOW_WAIT_VALUE		0x0c
#define DRM_SILIFLOW_TIMELINE_OPEN	0x0d

/* --- query ------------------------------------------------------------- */

/** enum drm_siliflow_query_type - what DRM_SILIFLOW_QUERY returns */
enum drm_siliflow_query_type {
	/** @DRM_SILIFLOW_QUERY_DEVICE: struct drm_siliflow_query_device */
	DRM_SILIFLOW_QUERY_DEVICE = 0,
	/** @DRM_SILIFLOW_QUERY_MEMORY: struct drm_siliflow_query_memory */
	DRM_SILIFLOW_QUERY_MEMORY = 1,
	/** @DRM_SILIFLOW_QUERY_FIRMWARE: struct drm_siliflow_query_firmware */
	DRM_SILIFLOW_QUERY_FIRMWARE = 2,
	/** @DRM_SILIFLOW_QUERY_CLOCK: struct drm_siliflow_query_clock */
	DRM_SILIFLOW_QUERY_CLOCK = 3,
	/** @DRM_SILIFLOW_QUERY_MCU_HEALTH: bitmap, one bit per MCU, 1 = healthy */
	DRM_SILIFLOW_QUERY_MCU_HEALTH = 4,
	/** @DRM_SILIFLOW_QUERY_TELEMETRY: struct drm_siliflow_query_telemetry; since 1.1 */
	DRM_SILIFLOW_QUERY_TELEMETRY = 5,
	/** @DRM_SILIFLOW_QUERY_COUNTERS: struct drm_siliflow_query_counters; since 1.7 */
	DRM_SILIFLOW_QUERY_COUNTERS = 6,
};

/**
 * struct drm_siliflow_query - read facts of the device
 *
 * With @size 0 the kernel only fills in the size. Errors: -EINVAL for an
 * unknown type or non-zero @pad; -EPERM for counters without CAP_PERFMON, which
 * @size 0 does not need; -ENOSPC is never returned: a smaller @size gets the
 * first bytes.
 */
struct drm_siliflow_query {
	/** @type: in: enum drm_siliflow_query_type */
	__u32 type;
	/** @size: in: bytes at @ptr; out: bytes that the answer has */
	__u32 size;
	/** @ptr: in: user pointer for the answer */
	__u64 ptr;
	/** @pad: must be zero */
	__u64 pad;
};

/** struct drm_siliflow_query_device - identity and the machine's numbers */
struct drm_siliflow_query_device {
	/** @hw_version: X1_REG_VERSION */
	__u32 hw_version;
	/** @num_mcus: MCUs, healthy or not */
	__u32 num_mcus;
	/** @num_queues: hardware queues for users */
	__u32 num_queues;
	/** @max_queues_per_file: QUEUE_CREATE returns -ENOSPC beyond it */
	__u32 max_queues_per_file;
	/** @formats: bit per enum x1_format */
	__u32 formats;
	/** @scales: bit per enum x1_scale_mode */
	__u32 scales;
	/** @sparsities: bit per enum x1_sparsity */
	__u32 sparsities;
	/** @features: X1_FEATURE_* */
	__u32 features;
	/** @spad_bytes: scratchpad of one MCU */
	__u32 spad_bytes;
	/** @acc_bytes: accumulators of one MCU */
	__u32 acc_bytes;
	/** @l2_bytes: L2 */
	__u32 l2_bytes;
	/** @hbm_bw: bytes per device cycle */
	__u32 hbm_bw;
	/** @l2_bw: bytes per device cycle */
	__u32 l2_bw;
	/** @pcie_bw: bytes per device cycle */
	__u32 pcie_bw;
	/** @hbm_latency: cycles */
	__u32 hbm_latency;
	/** @l2_latency: cycles */
	__u32 l2_latency;
	/** @pcie_latency: cycles */
	__u32 pcie_latency;
	/** @num_mcus_healthy: MCUs that take work */
	__u32 num_mcus_healthy;
	/** @clock_hz: device cycles per second */
	__u64 clock_hz;
	/** @serial: serial number */
	__u64 serial;
	/** @max_budget: largest cycle budget per LAUNCH that a queue may ask for, 0 = none */
	__u64 max_budget;
	/** @va_start: first DVA that VM_BIND accepts */
	__u64 va_start;
	/** @va_end: first DVA beyond the usable range */
	__u64 va_end;
	/** @driver_index: N of /dev/siliN */
	__u32 driver_index;
	/** @max_timeout_ms: most that a queue may ask for, also the default; since 1.6 */
	__u32 max_timeout_ms;
};

/** struct drm_siliflow_query_memory - sizes and use of the regions, bytes */
struct drm_siliflow_query_memory {
	/** @hbm_size: usable HBM */
	__u64 hbm_size;
	/** @hbm_visible: part that the CPU can map directly */
	__u64 hbm_visible;
	/** @hbm_used: allocated HBM, all files */
	__u64 hbm_used;
	/** @system_used: allocated system memory, all files */
	__u64 system_used;
};

/** struct drm_siliflow_query_firmware - the running firmware */
struct drm_siliflow_query_firmware {
	/** @version: major << 16 | minor << 8 | patch */
	__u32 version;
	/** @abi: mailbox ABI */
	__u32 abi;
	/** @state: enum x1_fw_state */
	__u32 state;
	/** @heartbeat: counts up while firmware lives */
	__u32 heartbeat;
};

/** struct drm_siliflow_query_clock - the two clocks read together */
struct drm_siliflow_query_clock {
	/** @device_cycles: modelled device clock */
	__u64 device_cycles;
	/** @monotonic_ns: CLOCK_MONOTONIC */
	__u64 monotonic_ns;
};

/** struct drm_siliflow_query_telemetry - what the energy model says */
struct drm_siliflow_query_telemetry {
	/** @temp_mc: millidegrees Celsius */
	__s32 temp_mc;
	/** @power_mw: package power */
	__u32 power_mw;
	/** @core_power_mw: arrays, scratchpads, accumulators, leakage */
	__u32 core_power_mw;
	/** @util_permille: MCUs' occupied time over the last window of device time */
	__u32 util_permille;
	/** @energy_core_uj: microjoules since the device's reset */
	__u64 energy_core_uj;
	/** @energy_package_uj: the same of the package */
	__u64 energy_package_uj;
};

/** struct drm_siliflow_mcu_counters - what an MCU has done, all users' work */
struct drm_siliflow_mcu_counters {
	/** @work_groups: that have ended; they count when they end */
	__u64 work_groups;
	/** @cycles: occupied by them */
	__u64 cycles;
	/** @busy: cycles in which each enum x1_engine was busy; the rest is zero */
	__u64 busy[8];
};

/**
 * struct drm_siliflow_query_counters - head of the counters of all MCUs
 *
 * @num_mcus elements of struct drm_siliflow_mcu_counters follow, @stride bytes
 * apart, which may be more than today. They are read one after the other while
 * the device works. They count from the machine's start, over resets.
 */
struct drm_siliflow_query_counters {
	/** @device_cycles: modelled device clock, before the first was read */
	__u64 device_cycles;
	/** @num_mcus: elements */
	__u32 num_mcus;
	/** @stride: bytes from one to the next */
	__u32 stride;
};

/* --- buffers ----------------------------------------------------------- */

/*
 * Buffers are shared as dma-bufs by DRM_IOCTL_PRIME_HANDLE_TO_FD and
 * DRM_IOCTL_PRIME_FD_TO_HANDLE, since 1.4:
 *  - Imported by another file of the same card it is the same buffer. While
 *    another device has it imported it lies in system memory, whatever its flags
 *    are: HBM is not accessed peer to peer.
 *  - Any dma-buf whose size is a multiple of 4 KiB can be imported (else -EINVAL).
 *    It is a buffer with SILIFLOW_BO_SYSTEM; mmap() of it is its owner's.
 *  - A job of a VM that maps a shared buffer is seen by others as one that writes
 *    it (poll() of the dma-buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, BO_WAIT); user
 *    queues are not seen. A job waits for others only by syncobjs.
 *  - When the owner's card goes, who has imported the buffer keeps it.
 */

/** @SILIFLOW_BO_HBM: may be placed in HBM */
#define SILIFLOW_BO_HBM		(1u << 0)
/** @SILIFLOW_BO_SYSTEM: may be placed in system memory */
#define SILIFLOW_BO_SYSTEM	(1u << 1)
/** @SILIFLOW_BO_CPU_VISIBLE: will be mapped by the CPU: prefer visible HBM */
#define SILIFLOW_BO_CPU_VISIBLE	(1u << 2)
#define SILIFLOW_BO_FLAGS	0x7u

/**
 * struct drm_siliflow_bo_create - allocate a buffer, zeroed
 *
 * HBM is preferred where both placements are given. Errors: -EINVAL for size
 * 0, no placement, unknown flags, non-zero padding; -E2BIG where the size can
 * never fit; -ENOMEM.
 */
struct drm_siliflow_bo_create {
	/** @size: in: bytes; out: rounded up to pages (2 MiB pages from 2 MiB on) */
	__u64 size;
	/** @flags: in: SILIFLOW_BO_* */
	__u32 flags;
	/** @handle: out: GEM handle */
	__u32 handle;
	/** @pad: must be zero */
	__u64 pad;
};

/** struct drm_siliflow_bo_mmap_offset - offset for mmap() on the device node; -ENOENT */
struct drm_siliflow_bo_mmap_offset {
	/** @handle: in: GEM handle */
	__u32 handle;
	/** @pad: must be zero */
	__u32 pad;
	/** @offset: out */
	__u64 offset;
};

/** struct drm_siliflow_bo_info - facts of a buffer; -ENOENT */
struct drm_siliflow_bo_info {
	/** @handle: in: GEM handle */
	__u32 handle;
	/** @flags: out: SILIFLOW_BO_* of its creation */
	__u32 flags;
	/** @size: out: bytes */
	__u64 size;
	/** @placement: out: SILIFLOW_BO_HBM or SILIFLOW_BO_SYSTEM, now */
	__u32 placement;
	/** @pad: must be zero */
	__u32 pad;
};

/**
 * struct drm_siliflow_bo_wait - wait until the device has finished with a buffer
 *
 * Errors: -ENOENT, -ETIME.
 */
struct drm_siliflow_bo_wait {
	/** @handle: in: GEM handle */
	__u32 handle;
	/** @pad: must be zero */
	__u32 pad;
	/** @timeout_ns: in: absolute CLOCK_MONOTONIC; negative = for ever, 0 = poll */
	__s64 timeout_ns;
};

/* --- address spaces ---------------------------------------------------- */

/**
 * @SILIFLOW_VM_LONG_RUNNING: for user queues, and for them alone. No fence comes
 * out of such a VM: BO_WAIT does not wait for what it runs.
 */
#define SILIFLOW_VM_LONG_RUNNING	(1u << 0)
#define SILIFLOW_VM_FLAGS		0x1u

/** struct drm_siliflow_vm_create - new address space; -ENOSPC when the device has no more */
struct drm_siliflow_vm_create {
	/** @flags: in: SILIFLOW_VM_* */
	__u32 flags;
	/** @vm: out: handle */
	__u32 vm;
};

/** struct drm_siliflow_vm_destroy - -ENOENT; -EBUSY while a queue uses it */
struct drm_siliflow_vm_destroy {
	/** @vm: in: handle */
	__u32 vm;
	/** @pad: must be zero */
	__u32 pad;
};

/** enum drm_siliflow_bind_op_type - kinds of bind operations */
enum drm_siliflow_bind_op_type {
	/** @DRM_SILIFLOW_BIND_MAP: map a BO range; replaces what was there */
	DRM_SILIFLOW_BIND_MAP = 0,
	/** @DRM_SILIFLOW_BIND_UNMAP: unmap a range; holes are allowed */
	DRM_SILIFLOW_BIND_UNMAP = 1,
	/**
	 * @DRM_SILIFLOW_BIND_MAP_USER: map memory of the calling process; replaces what
	 * was there. The pages are not pinned: where the process's memory changes, the
	 * device has what is there at the next job, after what runs has ended; where
	 * nothing is there any more the mapping faults until it is made again. Since 1.5
	 */
	DRM_SILIFLOW_BIND_MAP_USER = 2,
};

/** @SILIFLOW_BIND_READONLY: device may not write */
#define SILIFLOW_BIND_READONLY	(1u << 0)
/** @SILIFLOW_BIND_EXEC: programs may be fetched from it */
#define SILIFLOW_BIND_EXEC	(1u << 1)
#define SILIFLOW_BIND_FLAGS	0x3u

/** struct drm_siliflow_bind_op - one operation; address, offset, range in 4 KiB units */
struct drm_siliflow_bind_op {
	/** @op: enum drm_siliflow_bind_op_type */
	__u32 op;
	/** @flags: SILIFLOW_BIND_*; zero for UNMAP */
	__u32 flags;
	/** @handle: GEM handle; zero for UNMAP and MAP_USER */
	__u32 handle;
	/** @pad: must be zero */
	__u32 pad;
	/** @bo_offset: bytes into the BO; zero for UNMAP; address in the process for MAP_USER */
	__u64 bo_offset;
	/** @addr: DVA */
	__u64 addr;
	/** @range: bytes, not zero */
	__u64 range;
};

/** @SILIFLOW_SYNC_TIMELINE: point is a timeline point, else a binary syncobj */
#define SILIFLOW_SYNC_TIMELINE	(1u << 0)
#define SILIFLOW_SYNC_FLAGS	0x1u

/** struct drm_siliflow_sync - one syncobj to wait for or to signal */
struct drm_siliflow_sync {
	/** @handle: syncobj */
	__u32 handle;
	/** @flags: SILIFLOW_SYNC_* */
	__u32 flags;
	/** @point: timeline point; zero for a binary syncobj */
	__u64 point;
};

#define SILIFLOW_MAX_BIND_OPS	1024
#define SILIFLOW_MAX_SYNCS	256

/** @SILIFLOW_VM_BIND_ASYNC: take effect after @in_syncs, and tell by @out_syncs */
#define SILIFLOW_VM_BIND_ASYNC	(1u << 0)
#define SILIFLOW_VM_BIND_FLAGS	0x1u

/**
 * struct drm_siliflow_vm_bind - change mappings, all or nothing
 *
 * An error changes nothing, in the VM or in a syncobj. The calls for one VM take
 * effect in their order, each as a whole.
 *
 * Without flags, on return the operations have taken effect, and the device
 * uses nothing that they replaced.
 *
 * With SILIFLOW_VM_BIND_ASYNC the call returns when all is checked and taken
 * that the operations need; nothing but the loss of the device can keep them
 * from taking effect then. They do so when what @in_syncs had has signalled,
 * with an error or not, and earlier binds of the VM have taken effect. The fence
 * that goes to @out_syncs signals when the device uses nothing that they replaced:
 * with -ENODEV when the device has gone, with -ESRCH when the VM was destroyed
 * before. Jobs are not ordered against it but by syncobjs.
 *
 * Errors: -ENOENT (vm, BO, syncobj), -EINVAL (op, flags, alignment, range outside
 * [va_start, va_end) or the BO, counts, padding; a syncobj to wait for that has
 * no fence; syncobjs without SILIFLOW_VM_BIND_ASYNC), -EFAULT (MAP_USER of what the
 * process cannot read, or not write without SILIFLOW_BIND_READONLY).
 */
struct drm_siliflow_vm_bind {
	/** @vm: in: handle */
	__u32 vm;
	/** @flags: in: SILIFLOW_VM_BIND_* */
	__u32 flags;
	/** @num_ops: in: 1..SILIFLOW_MAX_BIND_OPS */
	__u32 num_ops;
	/** @op_stride: in: sizeof(struct drm_siliflow_bind_op) */
	__u32 op_stride;
	/** @ops: in: user pointer */
	__u64 ops;
	/** @pad: must be zero */
	__u64 pad;
	/** @num_in_syncs: in: <= SILIFLOW_MAX_SYNCS; since 1.3 */
	__u32 num_in_syncs;
	/** @num_out_syncs: in: <= SILIFLOW_MAX_SYNCS; since 1.3 */
	__u32 num_out_syncs;
	/** @in_syncs: in: user pointer to struct drm_siliflow_sync; since 1.3 */
	__u64 in_syncs;
	/** @out_syncs: in: user pointer to struct drm_siliflow_sync; since 1.3 */
	__u64 out_syncs;
};

/* --- queues ------------------------------------------------------------ */

/** @SILIFLOW_QUEUE_USER: ring and doorbell are the user's, see struct drm_siliflow_queue_create */
#define SILIFLOW_QUEUE_USER	(1u << 0)
#define SILIFLOW_QUEUE_FLAGS	0x1u

/**
 * struct drm_siliflow_queue_create - new queue on a VM
 *
 * Without flags the ring is the kernel's, and SUBMIT brings jobs to it.
 *
 * With SILIFLOW_QUEUE_USER, on a VM with SILIFLOW_VM_LONG_RUNNING, the ring lies
 * in the VM and the process writes commands to it (x1_cmd.h), then the new write
 * pointer to X1_DB_WPTR of the doorbell page, which it maps shared, 4096 bytes,
 * with mmap() at @doorbell_offset. The queue may be suspended at any time, while
 * a buffer moves; the doorbell works on meanwhile. When the queue has been
 * destroyed or lost, a mapping of its doorbell stays valid and does nothing. It
 * is no error that a user queue makes no progress.
 *
 * Errors: -ENOENT (vm), -EINVAL (flags, priority, partition, ring, timeout, a VM that
 * is not of the queue's kind), -EPERM (highest priority without CAP_SYS_NICE, budget
 * or timeout above the maximum), -ENOSPC (queues of the file or of the device).
 */
struct drm_siliflow_queue_create {
	/** @vm: in: handle */
	__u32 vm;
	/** @flags: in: SILIFLOW_QUEUE_* */
	__u32 flags;
	/** @priority: in: 0 (lowest) .. 3 */
	__u32 priority;
	/** @mcu_first: in: first MCU of the partition */
	__u32 mcu_first;
	/** @mcu_count: in: MCUs, 0 = all */
	__u32 mcu_count;
	/** @queue: out: handle */
	__u32 queue;
	/** @budget: in: device cycles per LAUNCH, 0 = the default */
	__u64 budget;
	/** @pad: must be zero */
	__u64 pad;
	/** @ring_addr: in: DVA of a user queue's ring, 64-byte aligned; else zero */
	__u64 ring_addr;
	/** @rptr_addr: in: DVA of a __u64 that follows the read pointer; 0 = none */
	__u64 rptr_addr;
	/** @doorbell_offset: out: of a user queue: offset for mmap() */
	__u64 doorbell_offset;
	/** @ring_log2: in: entries of the ring: 4 .. 16; zero without SILIFLOW_QUEUE_USER */
	__u32 ring_log2;
	/**
	 * @timeout_ms: in: without progress for this time the queue is reset, 100 at
	 * least; 0 = the default; zero with SILIFLOW_QUEUE_USER; since 1.6
	 */
	__u32 timeout_ms;
};

/**
 * struct drm_siliflow_queue_destroy - end a queue; -ENOENT
 *
 * Jobs that the device has begun end with -ECANCELED, those that still wait
 * for others with -ESRCH, once what they wait for has ended.
 */
struct drm_siliflow_queue_destroy {
	/** @queue: in: handle */
	__u32 queue;
	/** @pad: must be zero */
	__u32 pad;
};

/**
 * @SILIFLOW_QUEUE_FAULTED: queue hit a fault; only destroy is left. With fault
 * code 0 it made no progress for the driver's timeout, and was reset.
 */
#define SILIFLOW_QUEUE_FAULTED	(1u << 0)
/** @SILIFLOW_QUEUE_LOST: queue died in a device reset that it did not cause */
#define SILIFLOW_QUEUE_LOST	(1u << 1)

/** struct drm_siliflow_queue_state - state and fault record of a queue; -ENOENT */
struct drm_siliflow_queue_state {
	/** @queue: in: handle */
	__u32 queue;
	/** @state: out: SILIFLOW_QUEUE_* */
	__u32 state;
	/** @fault_code: out: enum x1_fault, 0 = none */
	__u32 fault_code;
	/** @fault_access: out: enum x1_access */
	__u32 fault_access;
	/** @fault_unit: out: enum x1_unit */
	__u32 fault_unit;
	/** @fault_mcu: out: MCU, 0xffff = none */
	__u32 fault_mcu;
	/** @fault_addr: out: DVA, or the offending value */
	__u64 fault_addr;
	/** @fault_pc: out: instruction index, 0xffffffff = none */
	__u32 fault_pc;
	/** @fault_tag: out: tag of the command */
	__u32 fault_tag;
	/** @fault_wg: out: work-group */
	__u32 fault_wg;
	/** @pad: must be zero */
	__u32 pad;
	/** @cycles: out: device cycles that the queue's commands took */
	__u64 cycles;
	/** @progress: out: retired commands and work-groups */
	__u64 progress;
};

/* --- submit ------------------------------------------------------------ */

/** struct drm_siliflow_job - run @num_cmds commands (x1_cmd.h) at @addr */
struct drm_siliflow_job {
	/** @addr: DVA of the commands in the queue's VM, 64-byte aligned */
	__u64 addr;
	/** @num_cmds: 1..X1_MAX_CALL */
	__u32 num_cmds;
	/** @num_in_syncs: <= SILIFLOW_MAX_SYNCS */
	__u32 num_in_syncs;
	/** @num_out_syncs: <= SILIFLOW_MAX_SYNCS */
	__u32 num_out_syncs;
	/** @pad: must be zero */
	__u32 pad;
	/** @in_syncs: user pointer to struct drm_siliflow_sync */
	__u64 in_syncs;
	/** @out_syncs: user pointer to struct drm_siliflow_sync */
	__u64 out_syncs;
};

#define SILIFLOW_MAX_JOBS	64

/**
 * struct drm_siliflow_submit - queue jobs, in order
 *
 * A syncobj to wait for must have a fence already (-EINVAL), so none that an
 * earlier job of the same call signals: jobs of a queue run in order anyway.
 * The commands are run with the VM's mappings alone; a bad one faults the
 * queue and its fences get an error. All jobs are checked before the first is
 * queued. Errors: -ENOENT (queue, syncobj), -EINVAL (also: a user queue), -EIO
 * (queue faulted), -ECANCELED (queue lost).
 */
struct drm_siliflow_submit {
	/** @queue: in: handle */
	__u32 queue;
	/** @num_jobs: in: 1..SILIFLOW_MAX_JOBS */
	__u32 num_jobs;
	/** @job_stride: in: sizeof(struct drm_siliflow_job) */
	__u32 job_stride;
	/** @flags: in: must be zero */
	__u32 flags;
	/** @jobs: in: user pointer */
	__u64 jobs;
	/** @pad: must be zero */
	__u64 pad;
};

/* --- wait -------------------------------------------------------------- */

/**
 * struct drm_siliflow_wait_value - sleep until a user queue has written a value
 *
 * Waits until the __u64 at @ptr, in the caller's memory, is @value or more. It is
 * looked at when a FENCE with X1_FENCE_IRQ of the queue has completed.
 *
 * Errors: -ENOENT (queue), -EINVAL (no user queue, @ptr not aligned, @pad),
 * -ETIME, -EIO (queue faulted or lost).
 */
struct drm_siliflow_wait_value {
	/** @queue: in: handle */
	__u32 queue;
	/** @pad: must be zero */
	__u32 pad;
	/** @ptr: in: user pointer, 8-byte aligned: where a BO is mapped, for one */
	__u64 ptr;
	/** @value: in */
	__u64 value;
	/** @timeout_ns: in: absolute CLOCK_MONOTONIC; negative = for ever, 0 = poll */
	__s64 timeout_ns;
};

/* --- timeline ---------------------------------------------------------- */

/**
 * struct drm_siliflow_timeline_open - record what the device does, event by event
 *
 * Events are struct x1_tl_event (x1_timeline.h) of the work of all users, so it
 * takes CAP_PERFMON, and one has it at a time. @fd, close-on-exec, is its own:
 * recording ends when it is closed, and the file of the device may be closed
 * before. It keeps the device awake.
 *
 * read() takes events out of the ring in its order, whole ones, as many as there
 * are. Without any it waits, or returns -EAGAIN with O_NONBLOCK; -EINVAL where
 * not even one fits. poll() says EPOLLIN. An event for which the ring has no room
 * is lost, and counted: SILIFLOW_TIMELINE_STATUS.
 *
 * A reset of the device (recovery, FLR, error of the link, system sleep) ends the
 * recording: read() returns what is left, which after a sleep may be nothing, then
 * -ECANCELED, and poll() says EPOLLHUP. Another one may be opened then. When the
 * device has gone read() returns -ENODEV.
 *
 * Errors: -EINVAL (kinds, log2, flags), -EPERM (no CAP_PERFMON), -EBUSY (somebody
 * records), -E2BIG (no such ring can ever fit what the CPU sees of HBM), -EMFILE,
 * -ENFILE, -EIO (the device does not take the ring).
 */
struct drm_siliflow_timeline_open {
	/** @kinds: in: sum of X1_TL_MASK(), not zero */
	__u32 kinds;
	/** @log2: in: events of the ring: X1_TL_MIN_LOG2 .. X1_TL_MAX_LOG2 */
	__u32 log2;
	/** @flags: in: must be zero */
	__u32 flags;
	/** @fd: out: file to read from */
	__s32 fd;
};

/** struct drm_siliflow_timeline_status - how far a recording is, or was when it ended */
struct drm_siliflow_timeline_status {
	/** @recorded: out: events that went into the ring */
	__u64 recorded;
	/** @lost: out: events for which it had no room */
	__u64 lost;
};

/** @SILIFLOW_TIMELINE_STATUS: ioctl of the file that DRM_SILIFLOW_TIMELINE_OPEN returns */
#define SILIFLOW_TIMELINE_STATUS	_IOR('i', 0x40, struct drm_siliflow_timeline_status)

#define DRM_IOCTL_SILIFLOW_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_QUERY, struct drm_siliflow_query)
#define DRM_IOCTL_SILIFLOW_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_BO_CREATE, struct drm_siliflow_bo_create)
#define DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_BO_MMAP_OFFSET, \
		 struct drm_siliflow_bo_mmap_offset)
#define DRM_IOCTL_SILIFLOW_BO_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_BO_INFO, struct drm_siliflow_bo_info)
#define DRM_IOCTL_SILIFLOW_BO_WAIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_BO_WAIT, struct drm_siliflow_bo_wait)
#define DRM_IOCTL_SILIFLOW_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_VM_CREATE, struct drm_siliflow_vm_create)
#define DRM_IOCTL_SILIFLOW_VM_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_VM_DESTROY, struct drm_siliflow_vm_destroy)
#define DRM_IOCTL_SILIFLOW_VM_BIND \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_VM_BIND, struct drm_siliflow_vm_bind)
#define DRM_IOCTL_SILIFLOW_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_QUEUE_CREATE, struct drm_siliflow_queue_create)
#define DRM_IOCTL_SILIFLOW_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_QUEUE_DESTROY, struct drm_siliflow_queue_destroy)
#define DRM_IOCTL_SILIFLOW_QUEUE_STATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_QUEUE_STATE, struct drm_siliflow_queue_state)
#define DRM_IOCTL_SILIFLOW_SUBMIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_SUBMIT, struct drm_siliflow_submit)
#define DRM_IOCTL_SILIFLOW_WAIT_VALUE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_SILIFLOW_WAIT_VALUE, struct drm_siliflow_wait_value)
#define DRM_IOCTL_SILIFLOW_TIMELINE_OPEN \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_TIMELINE_OPEN, struct drm_siliflow_timeline_open)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_SILIFLOW_ACCEL_H_ */
