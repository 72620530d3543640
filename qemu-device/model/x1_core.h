/* SPDX-License-Identifier: MIT */
/*
 * The X1 core and its host.
 *
 * The core is everything behind the PCI shell: registers, queues, MMU, MCUs,
 * timing, energy and the management core. It is plain C11 and talks to its
 * host (QEMU's PCI device, or libsili's in-process back end) through the
 * callbacks below and nothing else.
 *
 * Threads: x1_core_reg_read/write, x1_core_db_write and the life-cycle calls
 * come from one host thread at a time (QEMU: under the big lock). Callbacks
 * marked [any] are called from core threads and take no host lock that the
 * caller of the life-cycle calls may hold.
 */
#ifndef X1_CORE_H
#define X1_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct x1_core;

/* Parameters of a device; x1_core_config_init() gives the defaults. */
struct x1_core_config {
	uint32_t mcus;
	uint64_t clock_hz;
	uint64_t hbm_bytes;      /* multiple of 2 MiB */
	uint64_t aperture_bytes; /* <= hbm_bytes, reported to software */
	uint32_t l2_bytes;
	uint32_t hbm_bw; /* bytes per cycle */
	uint32_t l2_bw;
	uint32_t pcie_bw;
	uint32_t hbm_latency; /* cycles */
	uint32_t l2_latency;
	uint32_t pcie_latency;
	uint32_t threads; /* workers; 0 = one per host CPU */
	uint64_t serial;
	bool timing;
};

/* A piece of system memory mapped for direct access. */
struct x1_sysmap {
	void *ptr;
	uint64_t len; /* may be shorter than asked for */
	void *cookie; /* the host's, for unmap */
};

struct x1_host_ops {
	/*
	 * [any] System memory by bus address. Return 0, or -EFAULT where the
	 * bus refused the access. May block; the caller counts as parked.
	 */
	int (*sys_read)(void *host, uint64_t addr, void *buf, uint64_t len);
	int (*sys_write)(void *host, uint64_t addr, const void *buf, uint64_t len);
	/*
	 * [any] Map [addr, addr + len) for direct access, or return -ENOTSUP
	 * (use read/write) or -EFAULT. Never blocks. The mapping stays valid
	 * until unmapped, or until the host calls x1_core_sys_unmap().
	 */
	int (*sys_map)(void *host, uint64_t addr, uint64_t len, bool write, struct x1_sysmap *map);
	void (*sys_unmap)(void *host, const struct x1_sysmap *map, bool written);
	/* [any] MSI-X. */
	void (*raise)(void *host, unsigned int vector);
	/* [any] The core stored to HBM: [off, off + len). May be NULL. */
	void (*hbm_dirty)(void *host, uint64_t off, uint64_t len);
	/* [any] Run fn(arg) on the host's main thread, soon. */
	void (*defer)(void *host, void (*fn)(void *arg), void *arg);
	/*
	 * Do what core threads in sys_read and sys_write wait for: called by
	 * x1_core_park(), in its thread. NULL where they wait for nobody.
	 */
	void (*serve)(void *host);
	/* [any] A core thread starts or ends (QEMU registers it with RCU). */
	void (*thread_enter)(void *host);
	void (*thread_exit)(void *host);
	/* [any] One line for the log; level as in enum x1_log_level. */
	void (*log)(void *host, int level, const char *msg);
};

enum x1_log_level {
	X1_LOGL_GUEST_ERROR = 0,
	X1_LOGL_WARN = 1,
	X1_LOGL_INFO = 2,
	X1_LOGL_TRACE = 3,
};

enum x1_reset_kind {
	X1_RESET_FLR = 0,  /* HBM survives */
	X1_RESET_COLD = 1, /* machine reset, D3cold: HBM reads as zero */
};

void x1_core_config_init(struct x1_core_config *cfg);

/*
 * Check a configuration. Returns 0, or -EINVAL with one line in err that names
 * the parameter and its limits.
 */
int x1_core_config_check(const struct x1_core_config *cfg, char *err, size_t err_len);

/*
 * Create a device around hbm, hbm_bytes of zeroed memory that the host keeps
 * alive and page-aligned. Returns 0 or -errno with a message in err. Threads
 * start with the first doorbell or firmware boot.
 */
int x1_core_new(struct x1_core **core, const struct x1_core_config *cfg, void *hbm,
		const struct x1_host_ops *ops, void *host, char *err, size_t err_len);

/* Stop all threads and free. No callback is called after it returns. */
void x1_core_free(struct x1_core *core);

/*
 * Reset of the device logic. Waits until every core thread has parked (a
 * bounded time), drops all work, zeroes HBM for X1_RESET_COLD.
 */
void x1_core_reset(struct x1_core *core, enum x1_reset_kind kind);

/* Park and continue all threads: PM D3hot. Nest freely, with those below as well. */
void x1_core_pause(struct x1_core *core);
void x1_core_resume(struct x1_core *core);

/*
 * The same, but threads also give back what they are in the midst of, so that
 * nothing of the device's state is theirs: VM stop, migration. Accesses to
 * system memory that have begun are finished first, see ops->serve.
 */
void x1_core_park(struct x1_core *core);
void x1_core_unpark(struct x1_core *core);

/*
 * The state of the device logic, without HBM, as bytes that the caller frees.
 * 0 or -ENOMEM. Loading replaces the present state; the configuration (but for
 * threads and serial number) must be the same. 0, or -EINVAL with a reason in
 * err: then the device is as after an FLR. Any bytes may be given to it.
 */
int x1_core_save(struct x1_core *core, uint8_t **buf, size_t *len);
int x1_core_load(struct x1_core *core, const void *buf, size_t len, char *err, size_t err_len);

/*
 * Bus mastering was switched (PCI command register): while off, every access
 * to system memory faults with X1_FAULT_DMA and no interrupt is raised.
 */
void x1_core_set_bus_master(struct x1_core *core, bool on);

/* The host's mappings of system memory changed: drop those that intersect. */
void x1_core_sys_unmap(struct x1_core *core, uint64_t addr, uint64_t len);

/*
 * Faults on purpose (manual: Device, "Faults on purpose"). What is broken stays
 * so over an FLR; X1_RESET_COLD mends it.
 */
enum x1_inject {
	X1_INJECT_MCU_STUCK,       /* MCU whose work-groups never end, -1 = none */
	X1_INJECT_MCU_WRONG,       /* MCU that stores wrong bits, -1 = none */
	X1_INJECT_ECC_CORRECTED,   /* HBM offset: the next access to its page counts an error */
	X1_INJECT_ECC_UNCORRECTED, /* HBM offset: accesses to its page fault, -1 = mend all */
	X1_INJECT_DMA,             /* so many accesses to system memory are refused */
	X1_INJECT_IRQ_LOST,        /* so many messages are lost */
	X1_INJECT_QUEUE_HUNG,      /* queue that stands still until its reset */
	X1_INJECT_FW_CRASH,        /* firmware stops with a crash record */
	X1_INJECT_FW_HANG,         /* firmware stops and says nothing */
	X1_INJECT_TEMPERATURE,     /* millidegrees Celsius at the sensor, -1 = the model's own */
	X1_INJECT_COUNT,
};

/* 0, or -EINVAL where arg is out of range (at most one MCU of a kind, a few HBM pages). */
int x1_core_inject(struct x1_core *core, enum x1_inject kind, int64_t arg);
/* What is set now: the last argument in force, the count left, or -1. */
int64_t x1_core_injected(struct x1_core *core, enum x1_inject kind);

/* BAR0. size is 4 or 8; see x1_regs.h for alignment rules. */
uint64_t x1_core_bar_read(struct x1_core *core, uint64_t off, unsigned int size);
void x1_core_bar_write(struct x1_core *core, uint64_t off, uint64_t val, unsigned int size);

#endif /* X1_CORE_H */
