/* SPDX-License-Identifier: MIT */
/*
 * libsili: the SiliFlow X1 from user space.
 *
 * One API over two back ends: a card (or QEMU's) through siliflow.ko, and the
 * whole device in this process ("sim"), which needs no VM, no root and no
 * module. Results and device cycles are the same on both.
 *
 * Conventions: functions return 0 (or a count) and -errno; handles are opaque
 * and belong to the device that made them; nothing is global. A device and its
 * objects may be used by one thread at a time, different devices by different
 * threads; sili_fence_wait() may be called from any thread.
 *
 * Layers, each usable alone:
 *   device, memory, queue, fence    (this file's first half)
 *   program builder                 sili_prog_*
 *   kernels                         sili_gemm(), sili_eltwise(), sili_mlp()
 */
#ifndef SILI_H
#define SILI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <x1/x1_cmd.h>
#include <x1/x1_formats.h>
#include <x1/x1_isa.h>
#include <x1/x1_perf.h>
#include <x1/x1_timeline.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SILI_VERSION_MAJOR 1
#define SILI_VERSION_MINOR 0

struct sili_device;
struct sili_bo;
struct sili_queue;
struct sili_fence;
struct sili_prog;
struct sili_kernel;

/* ---- device ---------------------------------------------------------- */

/* The machine's numbers, read from the device. */
struct sili_info {
	uint32_t size; /* in: sizeof(struct sili_info) */
	uint32_t mcus, mcus_healthy, queues;
	uint32_t formats, scales, sparsities; /* bits of x1_formats.h */
	uint32_t spad_bytes, acc_bytes, l2_bytes;
	uint32_t hbm_bw, l2_bw, pcie_bw;                /* bytes per cycle */
	uint32_t hbm_latency, l2_latency, pcie_latency; /* cycles */
	uint64_t hbm_bytes;
	uint64_t clock_hz;
	uint64_t serial;
	uint32_t fw_version;
	bool timing;
	char backend[8]; /* "drm" or "sim" */
	char path[64];   /* node, or the sim's options */
};

/*
 * Open a device. spec, or else the environment's SILI_DEVICE, or else the
 * first card:
 *   NULL, "", "drm"      first X1 through siliflow.ko, else -ENODEV
 *   "/dev/sili0"         this node
 *   "sim[:key=value,…]"  in this process; keys: mcus, hbm (bytes, K/M/G),
 *                        hbm_bw, l2, threads, timing (on|off), clock
 * Returns -ENODEV, -EINVAL (unknown or bad key), -ENOENT (no firmware image
 * for sim), -EACCES, -EPROTO (firmware refused). sili_strerror() of the last
 * failure of an open is in *err when err is not NULL (err_len bytes).
 */
int sili_open(struct sili_device **dev, const char *spec, char *err, size_t err_len);
void sili_close(struct sili_device *dev);
int sili_get_info(struct sili_device *dev, struct sili_info *info);

/* Health and use, now. Energies are microjoules since the device's reset. */
struct sili_status {
	uint32_t size;                    /* in: sizeof(struct sili_status) */
	int32_t temp_mc;                  /* millidegrees Celsius */
	uint32_t power_mw, core_power_mw; /* package; arrays and their memories alone */
	uint32_t util_permille;
	uint32_t mcus_healthy;
	uint32_t fw_state; /* enum x1_fw_state */
	uint32_t fw_heartbeat;
	uint64_t energy_core_uj, energy_package_uj;
	uint64_t hbm_bytes, hbm_used, system_used;
};

/* Read health and use of the device as they are now. -EINVAL (size), -ENODEV. */
int sili_get_status(struct sili_device *dev, struct sili_status *status);

/* What an MCU has done since the machine's start; for all that use the device. */
struct sili_mcu_counters {
	uint64_t work_groups; /* that have ended; they count when they end */
	uint64_t cycles;      /* occupied by them */
	uint64_t busy[8];     /* cycles, by enum x1_engine; the rest is zero */
};

/*
 * Read the counters of the first max MCUs, one after the other; returns how many.
 * -EPERM (a card: root or CAP_PERFMON), -ENOMEM, -ENOTSUP (an older driver), -ENODEV.
 */
int sili_get_counters(struct sili_device *dev, struct sili_mcu_counters *mcus, uint32_t max);

/* Modelled device clock, cycles. */
int sili_clock(struct sili_device *dev, uint64_t *cycles);

/* ---- timeline --------------------------------------------------------- */

/*
 * Record what the device does, event by event (x1_timeline.h): kinds is a sum
 * of X1_TL_MASK(), events the room for those that were not read yet, a power
 * of two from 2^8 to 2^24, 0 = 2^20. Events without room are lost and counted.
 * On a card it is all users' work, whose queues have the hardware's numbers, and
 * one process has it at a time. -EINVAL, -EBUSY (started already, by anybody),
 * -EPERM (a card: root or CAP_PERFMON), -ENOMEM, -E2BIG, -ENOTSUP (an older
 * driver).
 */
int sili_timeline_start(struct sili_device *dev, uint32_t kinds, uint32_t events);
/*
 * Take up to max events, in the order of the ring; returns how many. lost, if
 * not NULL: how many were lost since the start. -EINVAL (not started). A card that
 * was reset has ended the recording: -ECANCELED, when all have been taken.
 */
int sili_timeline_read(struct sili_device *dev, struct x1_tl_event *events, uint32_t max,
		       uint64_t *lost);
int sili_timeline_stop(struct sili_device *dev);

/*
 * With SILI_TIMELINE=FILE in the environment a device records from sili_open()
 * to sili_close(), which appends this header and `events` events to the file;
 * SILI_TIMELINE_KINDS and SILI_TIMELINE_EVENTS are the arguments of the start.
 * sili-trace(1) reads it.
 */
#define SILI_TIMELINE_MAGIC 0x00454e494c543158ull /* "X1TLINE" */
struct sili_timeline_header {
	uint64_t magic;
	uint32_t bytes; /* of the header */
	uint32_t mcus;
	uint64_t clock_hz;
	uint64_t events, lost;
	char device[80]; /* as in sili_open(), terminated */
};

/* ---- memory ---------------------------------------------------------- */

enum sili_mem {
	SILI_HBM = 0,
	SILI_SYSTEM = 1, /* host memory that the device reaches by PCIe */
};

/*
 * Allocate zeroed memory and map it for the device; 2 MiB-aligned DVA.
 * SILI_BO_EXEC: programs may be fetched from it. -EINVAL (size 0, flags),
 * -ENOMEM.
 */
#define SILI_BO_EXEC (1u << 0)
int sili_bo_new(struct sili_device *dev, size_t bytes, enum sili_mem where, uint32_t flags,
		struct sili_bo **bo);
/* The caller has waited for all work that uses it. */
void sili_bo_free(struct sili_bo *bo);
size_t sili_bo_size(const struct sili_bo *bo);
uint64_t sili_bo_dva(const struct sili_bo *bo);
/* CPU pointer, valid until the bo is freed; NULL = out of memory. */
void *sili_bo_map(struct sili_bo *bo);

/* ---- queues and fences ------------------------------------------------ */

/*
 * A user queue: commands go from this process straight to the device, without
 * the kernel. Its fences have no file descriptor, and it is no error that it
 * makes no progress.
 */
#define SILI_QUEUE_USER (1u << 0)

/* priority 0 (lowest) .. 3; mcu_count 0 = all MCUs; budget 0 = the default. */
struct sili_queue_attr {
	uint32_t size; /* sizeof(struct sili_queue_attr) */
	uint32_t priority;
	uint32_t mcu_first, mcu_count;
	uint64_t budget;   /* device cycles per LAUNCH */
	uint32_t flags;    /* SILI_QUEUE_* */
	uint32_t reserved; /* 0 */
};

/* attr NULL = defaults. -EINVAL, -EPERM, -ENOSPC. */
int sili_queue_new(struct sili_device *dev, const struct sili_queue_attr *attr,
		   struct sili_queue **queue);
void sili_queue_free(struct sili_queue *queue);

/*
 * Submit n commands; they run in order after earlier ones. fence may be NULL.
 * -EINVAL (n 0 or above 4096), -EIO (queue faulted), -ENODEV.
 */
int sili_submit(struct sili_queue *queue, const union x1_cmd *cmds, uint32_t n,
		struct sili_fence **fence);

/* timeout_ns < 0 = for ever. 0, -ETIME, -EIO (the queue faulted), -ENODEV. */
int sili_fence_wait(struct sili_fence *fence, int64_t timeout_ns);
/*
 * File descriptor that polls readable when the fence is done; owned by the fence.
 * -ENOTSUP for a user queue.
 */
int sili_fence_fd(struct sili_fence *fence);
void sili_fence_free(struct sili_fence *fence);

/* What a queue's last fault was; code X1_FAULT_NONE when there is none. */
struct sili_fault {
	uint32_t size; /* in */
	uint32_t code, access, unit, mcu, pc, tag, wg;
	uint64_t addr;
};
int sili_queue_fault(struct sili_queue *queue, struct sili_fault *fault);

/* ---- command helpers -------------------------------------------------- */

/* Write a COPY of bytes between device addresses; they do not overlap. */
void sili_cmd_copy(union x1_cmd *cmd, uint64_t dst, uint64_t src, uint64_t bytes);
/*
 * Write a FILL with a pattern of 32 bits. bytes is a multiple of 4, or any
 * number where all four bytes of the pattern are the same.
 */
void sili_cmd_fill(union x1_cmd *cmd, uint64_t dst, uint64_t bytes, uint32_t pattern);
/*
 * Bracket commands of a queue with counters: the end writes struct x1_perf to
 * dva, 64-byte aligned.
 */
void sili_cmd_perf_begin(union x1_cmd *cmd);
void sili_cmd_perf_end(union x1_cmd *cmd, uint64_t dva);
/* Write a FLUSH: X1_FLUSH_L2 writes L2 back and drops it, X1_FLUSH_TLB drops the TLB. */
void sili_cmd_flush(union x1_cmd *cmd, uint32_t flags);

/* Submit one batch and wait for it. */
int sili_run(struct sili_queue *queue, const union x1_cmd *cmds, uint32_t n);
/* The same, with the counters of the batch in *perf. */
int sili_run_perf(struct sili_queue *queue, const union x1_cmd *cmds, uint32_t n,
		  struct x1_perf *perf);

/* ---- program builder -------------------------------------------------- */

/*
 * Builds an MCU program instruction by instruction (x1_isa.h). Errors stick:
 * emitters return nothing, sili_prog_finish() reports the first one.
 */
struct sili_prog *sili_prog_new(void);
void sili_prog_free(struct sili_prog *prog);

/* Append an instruction; returns its index. Waits and signals: X1_SEM(n) or 0. */
uint32_t sili_prog_emit(struct sili_prog *prog, struct x1_insn insn);
/* The next instruction's waits and signals. */
void sili_prog_sems(struct sili_prog *prog, uint8_t wait0, uint8_t wait1, uint8_t sig0,
		    uint8_t sig1);
/* Scalar ALU: rd = ra op rb, rd = ra op imm, rd = imm. */
void sili_prog_alu(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb);
void sili_prog_alui(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra, int64_t imm);
void sili_prog_li(struct sili_prog *prog, uint8_t rd, int64_t imm);
/* Engine instruction with a descriptor (identical descriptors are shared). */
void sili_prog_engine(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra, uint8_t rb,
		      const struct x1_desc *desc);
/* Labels: make, place at the next instruction, branch to. */
uint32_t sili_prog_label(struct sili_prog *prog);
void sili_prog_place(struct sili_prog *prog, uint32_t label);
void sili_prog_branch(struct sili_prog *prog, enum x1_op op, uint8_t ra, uint8_t rb,
		      uint32_t label);
/* Hardware loop over the instructions up to sili_prog_loop_end(). */
void sili_prog_loop(struct sili_prog *prog, uint8_t count_reg);
void sili_prog_loop_end(struct sili_prog *prog);
/* Descriptor field i from register r, or from a constant. */
void sili_desc_reg(struct x1_desc *desc, uint32_t i, uint8_t r);
void sili_desc_set(struct x1_desc *desc, uint32_t i, int64_t value);

/* Upload: a kernel is a program in device memory. -EINVAL, -E2BIG, -ENOMEM. */
int sili_prog_finish(struct sili_prog *prog, struct sili_device *dev, struct sili_kernel **kernel);
void sili_kernel_free(struct sili_kernel *kernel);

/* LAUNCH of a kernel; args stay in the caller's bo (dva, num_args 64-bit words). */
void sili_cmd_launch(union x1_cmd *cmd, const struct sili_kernel *kernel, uint32_t x, uint32_t y,
		     uint32_t z, uint64_t args_dva, uint32_t num_args);

/* ---- kernels ----------------------------------------------------------- */

enum sili_act {
	SILI_ACT_NONE = 0,
	SILI_ACT_RELU,
	SILI_ACT_GELU,
	SILI_ACT_SILU,
	SILI_ACT_SIGMOID,
	SILI_ACT_TANH,
};

/* How far ahead data is fetched. */
enum sili_prefetch {
	SILI_PREFETCH_ENV = 0, /* SILI_PREFETCH=off|kernel|graph, kernel without it */
	SILI_PREFETCH_OFF,     /* same tiles, double-buffered LOAD, no PREFETCH, no overlap */
	SILI_PREFETCH_KERNEL,
	SILI_PREFETCH_GRAPH,
};

/* How the rows of a grouped GEMM find their group (mixture of experts). */
enum sili_group {
	SILI_GROUP_NONE = 0,
	/* A and C are m rows in all; group g has rows table[g] .. table[g + 1] - 1. */
	SILI_GROUP_CONTIGUOUS,
	/* Each group has room for m rows, of which the first table[g] are computed. */
	SILI_GROUP_MASKED,
};

/*
 * C[m][n] = out_scale * act(s * A·Bᵀ + bias + residual), converted to c_fmt.
 *
 * A is m rows of k, B is n rows of k (with x_trans: k rows of m or n), rows a
 * stride of bytes apart. Formats, scale modes and sparsities as the device has
 * them. s = row_scale[i] * col_scale[j] * scale, from left to right, each
 * product rounded; what is 0 or 1 is left out. The bits are those of
 * docs/manual/numerics.md and of split_k of the plan, which follows from the
 * shape alone: never from the number of MCUs or from tiles.
 *
 * Block scales of A lie in rows as its elements do: one row of FP32, E8M0 or
 * E4M3 per row of m, or per 128 rows, one scale per block of k. Sparse B
 * stores sili_sparse_k() elements per row and one row of packed indices in
 * b_meta for each of n (sili_sparse_compress() makes both).
 *
 * Batches and groups: operand i starts at x + i * x_batch; a batch stride of 0
 * shares the operand between all of them.
 */
struct sili_gemm {
	uint32_t size; /* sizeof(struct sili_gemm) */
	uint32_t m, n, k;
	enum x1_format a_fmt, b_fmt, c_fmt;
	bool a_trans, b_trans;
	uint64_t a, b, c;                      /* DVA */
	uint64_t bias;                         /* n FP32 values, or 0 */
	uint64_t a_stride, b_stride, c_stride; /* bytes; 0 = dense */
	enum sili_act act;
	float scale; /* 0 = 1 */
	enum sili_prefetch prefetch;

	/* block scales and sparsity; strides in bytes, 0 = dense */
	enum x1_scale_mode a_scale_mode, b_scale_mode;
	enum x1_sparsity sparsity;           /* of B */
	uint64_t a_scales, b_scales, b_meta; /* DVA */
	uint64_t a_scale_stride, b_scale_stride, b_meta_stride;

	/* epilogue */
	uint64_t row_scale; /* m FP32 values, or 0 */
	uint64_t col_scale; /* n FP32 values, or 0 */
	uint64_t residual;  /* m rows of n in residual_fmt, or 0 */
	uint64_t residual_stride;
	enum x1_format residual_fmt;
	float out_scale; /* 0 = 1 */

	/* batches and groups */
	uint32_t batch; /* 0 = 1; groups of a grouped GEMM */
	enum sili_group group;
	uint64_t group_table; /* DVA of batch (contiguous: batch + 1) uint32_t */
	uint32_t group_rows;  /* rows of a group to plan for, 0 = the mean or m */
	uint64_t a_batch, b_batch, c_batch, bias_batch;
	uint64_t a_scale_batch, b_scale_batch, b_meta_batch;
	uint64_t row_scale_batch, col_scale_batch, residual_batch;

	/* What the next kernel reads: fetched into L2 behind this one's operands. */
	struct {
		uint64_t dva, bytes;
	} ahead[2];
};

/* What the cost model chose, and what it expects. */
struct sili_gemm_plan {
	uint32_t tile_m, tile_n, tile_k, stages;
	uint32_t prefetch_distance; /* chunks of tile_k that LOAD may be ahead */
	uint32_t work_groups;
	uint64_t cycles;       /* expected */
	uint64_t roofline;     /* cycles of the stated roofline, without the launch */
	uint32_t split_k;      /* partial sums P0, P1, ... are added from left to right */
	uint32_t split_k_step; /* k of each but the last, which has the rest */
};

/*
 * Append the commands of a GEMM to cmds (room for max): returns how many.
 * Kernels are generated once per shape and kept with the device. plan may be
 * NULL. -EINVAL (shape, format, stride, a combination that the device does not
 * have), -E2BIG, -ENOMEM, -ENOSPC (max).
 */
int sili_gemm(struct sili_device *dev, const struct sili_gemm *gemm, union x1_cmd *cmds,
	      uint32_t max, struct sili_gemm_plan *plan);

/*
 * Element-wise on dense rows: dst = op(a[, b]) with conversion; op as enum
 * x1_vec_op (unary, binary, MOV). Row reductions (RSUM, RMAX, RSUMSQ, RAMAX):
 * dst has rows elements. b_row: b is one row for all.
 */
struct sili_eltwise {
	uint32_t size;
	enum x1_vec_op op;
	uint32_t rows, cols;
	enum x1_format dst_fmt, a_fmt, b_fmt;
	uint64_t dst, a, b;
	bool b_row;
};
int sili_eltwise(struct sili_device *dev, const struct sili_eltwise *op, union x1_cmd *cmds,
		 uint32_t max);

/*
 * A whole multi-layer perceptron in one program: activations stay in the
 * scratchpad, each layer has a format of its own, so precision switches inside
 * the program. x: batch rows of layers[0].n_in in layers[0].fmt; y: batch rows
 * of FP32. Weights n_out rows of n_in in the layer's format, bias n_out FP32.
 */
struct sili_mlp_layer {
	uint32_t n_in, n_out;
	enum x1_format fmt;
	enum sili_act act;
	uint64_t weights, bias; /* DVA */
};

struct sili_mlp {
	uint32_t size;
	uint32_t batch, num_layers;
	const struct sili_mlp_layer *layers;
	uint64_t x, y; /* DVA */
	enum sili_prefetch prefetch;
};
int sili_mlp(struct sili_device *dev, const struct sili_mlp *mlp, union x1_cmd *cmds, uint32_t max);

/* ---- host side helpers -------------------------------------------------- */

/* Bytes of n elements of a format; conversion to and from FP32 (RN, saturating). */
size_t sili_format_bytes(enum x1_format fmt, size_t n);
int sili_from_f32(enum x1_format fmt, const float *src, void *dst, size_t n);
int sili_to_f32(enum x1_format fmt, const void *src, float *dst, size_t n);
const char *sili_format_name(enum x1_format fmt);

/*
 * Structured sparsity. Elements that a row of k stores, bytes of its index
 * row, 0 for a k that is no multiple of the group.
 */
uint32_t sili_sparse_k(enum x1_sparsity sparsity, uint32_t k);
size_t sili_sparse_meta_bytes(enum x1_sparsity sparsity, uint32_t k);
/*
 * Keep the elements of largest magnitude of each group (of equal ones the
 * first) of n rows of k values: stored gets n rows of sili_sparse_k(), meta n
 * rows of sili_sparse_meta_bytes(). -EINVAL.
 */
int sili_sparse_compress(enum x1_sparsity sparsity, const float *src, uint32_t n, uint32_t k,
			 float *stored, void *meta);

/*
 * Block scales. Bytes of one row of scales for k elements, and rows of them
 * for `rows` rows of elements.
 */
size_t sili_scale_row_bytes(enum x1_scale_mode mode, uint32_t k);
uint32_t sili_scale_rows(enum x1_scale_mode mode, uint32_t rows);
/*
 * Quantise rows x k values: dense rows in dst, scales in rows of
 * sili_scale_row_bytes(). Scales and elements are those of QUANT
 * (REQ-NUM-029): FP32 scales are amax / largest value; E8M0 ones the power of
 * two that OCP MX prescribes; NV16 ones amax / largest value in E4M3, after a
 * division by *tensor, which is an output there (the FP32 scale of the tensor,
 * amax / 6 / 448, a factor of sili_gemm::scale) and may be NULL elsewhere. A
 * block of zeros has the scale 1. -EINVAL (mode and format do not go
 * together), -ENOMEM.
 */
int sili_quantise(enum x1_scale_mode mode, enum x1_format fmt, const float *src, uint32_t rows,
		  uint32_t k, void *dst, void *scales, float *tensor);
/* The values again: element * scale * tensor. */
int sili_dequantise(enum x1_scale_mode mode, enum x1_format fmt, const void *src,
		    const void *scales, float tensor, uint32_t rows, uint32_t k, float *dst);

/* ---- exchange with other libraries ---------------------------------------- */

struct DLManagedTensor; /* dlpack/dlpack.h's, of its unversioned interface */

/*
 * A dense tensor in a buffer, from `offset` on, as other libraries read it: by
 * the CPU, nothing is copied. Its deleter frees the description alone; the
 * buffer is freed after that. FP32, FP16, BF16, E4M3, E5M2, INT8, INT32.
 * -EINVAL (format, rank above 8, not in the buffer, misaligned), -ENOMEM.
 */
int sili_dlpack_export(struct sili_bo *bo, uint64_t offset, enum x1_format fmt, uint32_t rank,
		       const int64_t *shape, struct DLManagedTensor **out);
/*
 * A new buffer with a tensor of another library's, dense, whatever its strides
 * were. The tensor is the caller's no more: its deleter has been called, except
 * with an error. -EINVAL (type, lanes, shape), -ENOTSUP (not in the CPU's
 * memory), -ENOMEM.
 */
int sili_dlpack_import(struct sili_device *dev, struct DLManagedTensor *tensor, enum sili_mem where,
		       struct sili_bo **bo, enum x1_format *fmt);

#ifdef __cplusplus
}
#endif

#endif /* SILI_H */
