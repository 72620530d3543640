/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the siliflow selftests share: thin wrappers of the ioctls. All return 0
 * or a negative errno, so that a case can state what it expects.
 */
#ifndef SILIFLOW_UTIL_H
#define SILIFLOW_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <drm/siliflow_accel.h>
#include <x1/x1_cmd.h>
#include <x1/x1_fault.h>
#include <x1/x1_isa.h>
#include <x1/x1_limits.h>
#include <x1/x1_regs.h>

#define ARRAY_SIZE_T(a) (sizeof(a) / sizeof((a)[0]))

/* A pointer that faults, for -EFAULT. */
#define BAD_POINTER 8ull

/* Where util_setup() puts things. */
#define UTIL_CMDS  0x10000000ull
#define UTIL_DATA  0x20000000ull
#define UTIL_PROG  0x30000000ull
#define UTIL_BYTES 65536u

/* The driver in sysfs: its devices are links below. */
#define UTIL_DRIVER "/sys/bus/pci/drivers/siliflow"

int util_open(void);
/* The card with the least HBM, and how much that is. */
int util_open_small(uint64_t *hbm_size);
/* A card that util_open() does not give; < 0 = there is none. */
int util_open_other(void);
/* PCI address of the card that is open, as the driver's bind takes it. */
#define UTIL_PCI 32
int util_pci(int fd, char *pci);
int util_ioctl(int fd, unsigned long request, void *arg);

int util_query(int fd, uint32_t type, void *answer, uint32_t size);

int util_bo(int fd, uint64_t size, uint32_t flags, uint32_t *handle);
int util_bo_close(int fd, uint32_t handle);
void *util_map(int fd, uint32_t handle, size_t size);
int util_bo_wait(int fd, uint32_t handle, int64_t timeout_ns);

int util_vm(int fd, uint32_t *vm);
int util_vm_destroy(int fd, uint32_t vm);
int util_bind(int fd, uint32_t vm, uint32_t handle, uint64_t addr, uint64_t range, uint32_t flags);
int util_unbind(int fd, uint32_t vm, uint64_t addr, uint64_t range);

int util_queue(int fd, uint32_t vm, uint32_t *queue);
int util_queue_destroy(int fd, uint32_t queue);
int util_queue_state(int fd, uint32_t queue, struct drm_siliflow_queue_state *state);

/* timeout_ms from now, as ioctls take it; 0 = poll */
int64_t util_deadline(int timeout_ms);
int util_syncobj(int fd, uint32_t *handle);
/* 0 = signalled, -ETIME = not within timeout_ms */
int util_syncobj_wait(int fd, uint32_t handle, int timeout_ms);
/* What the fence in a syncobj ended with: 0 or a negative errno; -EBUSY = not ended. */
int util_syncobj_error(int fd, uint32_t handle);

/* Commands in a queue's VM; out = syncobj to signal or 0, in likewise. */
int util_submit(int fd, uint32_t queue, uint64_t addr, uint32_t num_cmds, uint32_t in,
		uint32_t out);

/* A VM with a queue, and buffers for commands, data and a program. */
struct util_ctx {
	int fd;
	uint32_t vm, queue, syncobj;
	uint32_t cmds_bo, data_bo, prog_bo;
	union x1_cmd *cmds;
	uint32_t *data;
	struct x1_insn *prog;
};

int util_setup(struct util_ctx *c, int fd);
/* The same without queue, on a VM with these flags. */
int util_setup_vm(struct util_ctx *c, int fd, uint32_t flags);
void util_teardown(struct util_ctx *c);
/* A second queue on the same VM does not share c->syncobj. */
int util_run(struct util_ctx *c, uint32_t num_cmds);

/* FILL of data[0..words) in c->cmds[i]. */
void util_cmd_fill(struct util_ctx *c, unsigned int i, uint32_t value, uint32_t words);
/* COPY of words at src to data[0..words) in c->cmds[i]. */
void util_cmd_fetch(struct util_ctx *c, unsigned int i, uint64_t src, uint32_t words);
/* WAIT until data[word .. word + 1] as one number is at least value. */
void util_cmd_wait(struct util_ctx *c, unsigned int i, uint32_t word, uint64_t value);
/* LAUNCH of c->prog's first n instructions on a grid of one. */
void util_cmd_launch(struct util_ctx *c, unsigned int i, uint32_t num_insns);

/* A user queue on a long-running VM, with its ring and its doorbell. */
struct util_userq {
	struct util_ctx c; /* without queue */
	uint32_t ring_bo, queue;
	union x1_cmd *ring;
	uint64_t *rptr;
	volatile uint32_t *doorbell;
	uint64_t offset; /* of the doorbell */
	uint32_t wptr;
};

#define UTIL_RING_LOG2	6
#define UTIL_RING	0x40000000ull
#define UTIL_RING_BYTES 8192u
#define UTIL_RPTR	(UTIL_RING + 4096)

int util_userq(struct util_userq *u, int fd);
/* The queue alone, on the VM and ring that are there; rptr = DVA, or 0. */
int util_userq_create(struct util_userq *u, uint64_t rptr);
/* NULL: there is none at this offset. */
volatile uint32_t *util_doorbell(int fd, uint64_t offset);
void util_push(struct util_userq *u, const union x1_cmd *cmd);
void util_push_fence(struct util_userq *u, uint64_t addr, uint64_t value, uint16_t flags);
/* What has been pushed is the device's. */
void util_ring(struct util_userq *u);
/* Words for fences, behind what jobs use of the data. */
uint64_t *util_fence_word(struct util_userq *u, unsigned int i);
uint64_t util_fence_addr(unsigned int i);
int util_wait_value(struct util_userq *u, const uint64_t *ptr, uint64_t value, int timeout_ms);

/* A buffer as a dma-buf: its file, or a negative errno; and back. */
int util_export(int fd, uint32_t handle);
int util_import(int fd, int dmabuf, uint32_t *handle);

/* Numbers at random from a seed that is not 0. */
uint64_t util_random(uint64_t *state);
uint32_t util_below(uint64_t *state, uint32_t n);

/* A number in the environment. */
uint64_t util_setting(const char *name, uint64_t otherwise);

/* Users of the module: files, queues, buffers of others' in all processes. */
int util_module_refs(void);

/* A parameter of the module; needs root. */
int util_param(const char *name, unsigned long long value);

/* Is the device still there for a new user? 0, or the first error. */
int util_usable(void);
/* The same within ten seconds, of a card that comes back: udev makes the node. */
int util_usable_again(void);

/* Small files of sysfs and the like: 0 or a negative errno. What is read ends at its last line. */
int util_write_file(const char *path, const char *text);
int util_read_file(const char *path, char *text, size_t size);
/* First path that matches; path has PATH_MAX bytes. */
int util_glob(const char *pattern, char *path);

#endif
