/* SPDX-License-Identifier: MIT */
/*
 * A tiny host for the core: HBM, system memory behind callbacks, page tables,
 * queues. Configuration goes through the register table with the management
 * core's privilege, so that no firmware is needed.
 */
#ifndef X1_TEST_HOST_H
#define X1_TEST_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/x1_int.h"

#define T_HBM      (64ull << 20)
#define T_SYS_BASE 0x100000000ull
#define T_SYS      (8ull << 20)

/* DVAs and VMs that t_new() sets up. */
#define T_KVM     1u
#define T_UVM     2u
#define T_RING(q) (0x10000000ull + (q)*0x100000ull) /* ring VM */
#define T_KDATA   0x20000000ull                     /* ring VM, read-write, 1 MiB HBM */
#define T_UDATA   0x40000000ull /* user VM, read-write, 8 MiB HBM, 4 KiB pages */
#define T_UHUGE   0x80000000ull /* user VM, read-write, 8 MiB HBM, 2 MiB pages */
#define T_USYS    0xc0000000ull /* user VM, system memory, 4 MiB */
#define T_KSYS    0x30000000ull /* ring VM, system memory, last MiB of it */
#define T_UPROG   0x50000000ull /* user VM, execute, 1 MiB */
#define T_URO     0x60000000ull /* user VM, read-only, 1 MiB */
#define T_NONE    0x70000000ull /* nothing there */

struct t_host {
	struct x1_core *core;
	struct x1_core_config cfg;
	uint8_t *hbm, *sys;
	uint64_t table_next, root[8];
	uint64_t udata, uhuge, uprog, uro, kdata, ring[X1_NUM_QUEUES]; /* HBM offsets */
	uint32_t wptr[X1_NUM_QUEUES], log2[X1_NUM_QUEUES];
	_Atomic uint32_t raised[X1_MSIX_VECTORS];
	_Atomic bool no_map;    /* sys_map says -ENOTSUP */
	_Atomic bool dma_error; /* the bus refuses */
	_Atomic bool block;     /* sys_read blocks */
	_Atomic bool blocked;
	_Atomic int maps; /* mappings the core holds */
	_Atomic uint64_t dirty_bytes;
	_Atomic int threads;
};

struct t_host *t_new(void (*tweak)(struct x1_core_config *cfg));
void t_free(struct t_host *t);

uint32_t t_rd(struct t_host *t, uint32_t off);
uint64_t t_rd64(struct t_host *t, uint32_t off);
void t_wr(struct t_host *t, uint32_t off, uint32_t val);
/* With the management core's privilege. */
void t_mc(struct t_host *t, uint32_t off, uint32_t val);
uint32_t t_q(struct t_host *t, uint32_t q, uint32_t reg);
void t_op(struct t_host *t, uint32_t q, uint32_t op);
void t_mcop(struct t_host *t, uint32_t q, uint32_t op);

uint64_t *t_pte(struct t_host *t, uint32_t vm, uint64_t dva, unsigned int level);
void t_map(struct t_host *t, uint32_t vm, uint64_t dva, uint64_t pa, uint64_t len, uint64_t flags,
	   bool huge);
uint32_t t_attach(struct t_host *t, uint32_t vm, uint64_t root);

struct t_qopt {
	uint32_t log2, priority, vector, user_vm, mcu_first, mcu_count;
	uint64_t budget, rptr_addr;
};

/* Configure and enable; zero fields take defaults. */
void t_queue(struct t_host *t, uint32_t q, const struct t_qopt *opt);
void t_push(struct t_host *t, uint32_t q, const union x1_cmd *cmd);
void t_ring(struct t_host *t, uint32_t q);
/* Push a FENCE to *addr = value with flags, ring the doorbell, wait for it. */
void t_fence(struct t_host *t, uint32_t q, uint64_t addr, uint64_t value, uint32_t flags);
uint64_t t_kword(struct t_host *t, uint32_t index);
void t_set_kword(struct t_host *t, uint32_t index, uint64_t value);
/* Wait (up to a generous limit) for a condition; fails the test if it never comes. */
void t_until_word(struct t_host *t, uint32_t index, uint64_t value);
void t_until_state(struct t_host *t, uint32_t q, uint32_t state);
uint64_t t_now_ms(void);
void t_sync(struct t_host *t, uint32_t q);

union x1_cmd t_cmd_sync(uint32_t op, uint64_t addr, uint64_t value, uint32_t flags);
union x1_cmd t_cmd_copy(uint64_t src, uint64_t dst, uint64_t bytes);
union x1_cmd t_cmd_fill(uint64_t dst, uint64_t bytes, uint64_t pattern, uint32_t pattern_bytes);
union x1_cmd t_cmd_launch(uint64_t program, uint32_t insns, uint32_t grid);
union x1_cmd t_cmd_call(uint64_t addr, uint32_t count);
union x1_cmd t_cmd_plain(uint32_t op, uint32_t flags);
/* Put instructions into the program area at byte offset off; returns its DVA. */
uint64_t t_prog(struct t_host *t, uint32_t off, const struct x1_insn *insns, uint32_t n);

#define T_FAULT_CODE(t, q) X1_FAULT_INFO_CODE(t_q(t, q, X1_Q_FAULT_INFO))
#define T_WAIT_MS          60000

#endif
