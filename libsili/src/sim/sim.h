/* SPDX-License-Identifier: MIT */
/*
 * The in-process back end: the core with a host of a few callbacks, and a
 * small user-space driver that works it as siliflow.ko does: registers,
 * firmware, mailbox, page tables, rings and interrupts, no other door.
 */
#ifndef SILI_SIM_H
#define SILI_SIM_H

#include "../sili_int.h"

#include "x1/x1_fw.h"
#include "x1/x1_mmu.h"
#include "x1/x1_regs.h"
#include "x1_core.h"

#define SIM_VM_KERNEL 1u /* rings and the driver's fences */
#define SIM_VM_USER   2u
#define SIM_RING_LOG2 SILI_RING_LOG2
#define SIM_RING_VA   (1ull << 32)
#define SIM_BUS_START (1ull << 32)
#define SIM_BUS_END   (1ull << 40)

/* System memory that the device may reach. */
struct sim_region {
	uint64_t bus, bytes;
	uint8_t *cpu;
};

struct sim_queue {
	struct sili_queue *q;
	uint32_t hw, doorbell;
	uint64_t mem; /* HBM: ring, then the fence word; of a user queue 0 */
	union x1_cmd *ring;
	uint64_t *fence; /* driver's own: batches that left the ring */
	uint32_t wptr;
	uint64_t submitted;
	struct sim_waiter *waiters;
};

struct sim_waiter {
	struct sim_waiter *next;
	uint64_t seq;
	int fd;
};

struct sim {
	struct x1_core *core;
	struct x1_core_config cfg;
	uint8_t *hbm;
	char options[64];
	/* Registers and everything below; never held while waiting. */
	pthread_mutex_t lock;
	struct sili_ranges hbm_free, bus_free;
	uint64_t root[SIM_VM_USER + 1];
	uint32_t inval_seq;
	uint16_t mbox_seq;
	struct sim_queue *queue[X1_NUM_QUEUES];
	uint64_t tl_ring; /* HBM, 0 = no timeline */
	uint32_t tl_log2;
	/* The bus. */
	pthread_rwlock_t bus_lock;
	struct sim_region *region;
	size_t num_regions;
	/* Interrupts: a count that waiters watch, and the queues that are faulted. Atomic. */
	pthread_mutex_t irq_lock;
	pthread_cond_t irq_cv;
	uint64_t irqs, faulted;
};

/* Registers; the lock is held. */
uint32_t sim_read(struct sim *s, uint32_t off);
void sim_write(struct sim *s, uint32_t off, uint32_t val);
uint64_t sim_read64(struct sim *s, uint32_t off);

/* One request to the firmware; the lock is held. -EPROTO, -ETIMEDOUT, -EINVAL, -ENOSPC. */
int sim_mbox(struct sim *s, enum x1_mbox_op op, const uint32_t *args, uint32_t n,
	     struct x1_mbox_msg *reply);

/* Wait for an interrupt after *seen was read; -ETIME. */
uint64_t sim_irqs(struct sim *s);
int sim_irq_wait(struct sim *s, uint64_t seen, int64_t deadline);

/* sim_mem.c; the lock is held. */
int sim_vm_new(struct sim *s, uint32_t vm);
uint64_t sim_hbm_take(struct sim *s, uint64_t bytes, uint64_t align);
int sim_map(struct sim *s, uint32_t vm, uint64_t dva, uint64_t addr, uint64_t bytes,
	    uint64_t flags);
void sim_unmap(struct sim *s, uint32_t vm, uint64_t dva, uint64_t bytes);
int sim_bo_new(struct sili_bo *bo);
void sim_bo_free(struct sili_bo *bo);
void *sim_bo_map(struct sili_bo *bo);
extern const struct x1_host_ops sim_host_ops;

/* sim_timeline.c */
int sim_counters(struct sili_device *dev, struct sili_mcu_counters *mcus, uint32_t n);
int sim_timeline_start(struct sili_device *dev, uint32_t kinds, uint32_t log2);
int sim_timeline_read(struct sili_device *dev, struct x1_tl_event *events, uint32_t max,
		      uint64_t *lost);
int sim_timeline_stop(struct sili_device *dev);

/* sim_queue.c */
int sim_queue_new(struct sili_queue *q, const struct sili_queue_attr *attr);
void sim_queue_free(struct sili_queue *q);
int sim_submit(struct sili_queue *q, uint64_t dva, uint32_t n, uint64_t seq);
int sim_wait(struct sili_queue *q, uint64_t seq, int64_t deadline);
int sim_fence_fd(struct sili_queue *q, uint64_t seq);
int sim_fault(struct sili_queue *q, struct sili_fault *fault);
/* An interrupt came: signal the descriptors of what has ended. The interrupt lock is held. */
void sim_queues_irq(struct sim *s, unsigned int vector);

#endif /* SILI_SIM_H */
