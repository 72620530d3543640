// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "host.h"

static int sys_range(struct t_host *t, uint64_t addr, uint64_t len)
{
	if (atomic_load(&t->dma_error))
		return -EFAULT;
	return addr >= T_SYS_BASE && len <= T_SYS && addr - T_SYS_BASE <= T_SYS - len ? 0 : -EFAULT;
}

static int sys_read(void *host, uint64_t addr, void *buf, uint64_t len)
{
	struct t_host *t = host;

	while (atomic_load(&t->block)) {
		atomic_store(&t->blocked, true);
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	if (sys_range(t, addr, len))
		return -EFAULT;
	memcpy(buf, t->sys + (addr - T_SYS_BASE), len);
	return 0;
}

static int sys_write(void *host, uint64_t addr, const void *buf, uint64_t len)
{
	struct t_host *t = host;

	if (sys_range(t, addr, len))
		return -EFAULT;
	if (len == 8 && addr % 8 == 0)
		__atomic_store_n((uint64_t *)(t->sys + (addr - T_SYS_BASE)), *(const uint64_t *)buf,
				 __ATOMIC_RELEASE);
	else
		memcpy(t->sys + (addr - T_SYS_BASE), buf, len);
	return 0;
}

static int sys_map(void *host, uint64_t addr, uint64_t len, bool write, struct x1_sysmap *map)
{
	struct t_host *t = host;

	(void)write;
	if (sys_range(t, addr, len))
		return -EFAULT;
	if (atomic_load(&t->no_map))
		return -ENOTSUP;
	atomic_fetch_add(&t->maps, 1);
	*map = (struct x1_sysmap){.ptr = t->sys + (addr - T_SYS_BASE), .len = len};
	return 0;
}

static void sys_unmap(void *host, const struct x1_sysmap *map, bool written)
{
	struct t_host *t = host;

	(void)map;
	(void)written;
	atomic_fetch_sub(&t->maps, 1);
}

static void raise_vector(void *host, unsigned int vector)
{
	struct t_host *t = host;

	assert_true(vector < X1_MSIX_VECTORS);
	atomic_fetch_add(&t->raised[vector], 1);
}

static void hbm_dirty(void *host, uint64_t off, uint64_t len)
{
	struct t_host *t = host;

	if (off > T_HBM || len > T_HBM - off)
		abort();
	atomic_fetch_add(&t->dirty_bytes, len);
}

static void enter(void *host)
{
	atomic_fetch_add(&((struct t_host *)host)->threads, 1);
}

static void leave(void *host)
{
	atomic_fetch_sub(&((struct t_host *)host)->threads, 1);
}

static const struct x1_host_ops ops = {
	.sys_read = sys_read,
	.sys_write = sys_write,
	.sys_map = sys_map,
	.sys_unmap = sys_unmap,
	.raise = raise_vector,
	.hbm_dirty = hbm_dirty,
	.thread_enter = enter,
	.thread_exit = leave,
};

uint64_t t_now_ms(void)
{
	return x1_now_ns() / X1_NS_PER_MS;
}

/* ---- registers ---- */

uint32_t t_rd(struct t_host *t, uint32_t off)
{
	return (uint32_t)x1_core_bar_read(t->core, off, 4);
}

uint64_t t_rd64(struct t_host *t, uint32_t off)
{
	return t_rd(t, off) | (uint64_t)t_rd(t, off + 4) << 32;
}

void t_wr(struct t_host *t, uint32_t off, uint32_t val)
{
	x1_core_bar_write(t->core, off, val, 4);
}

void t_mc(struct t_host *t, uint32_t off, uint32_t val)
{
	x1_lock(t->core);
	x1_reg_write(t->core, off, val, true);
	x1_unlock(t->core);
}

uint32_t t_q(struct t_host *t, uint32_t q, uint32_t reg)
{
	return t_rd(t, X1_REG_QUEUE(q) + reg);
}

void t_op(struct t_host *t, uint32_t q, uint32_t op)
{
	t_wr(t, X1_REG_QUEUE(q) + X1_Q_CTRL, op);
}

void t_mcop(struct t_host *t, uint32_t q, uint32_t op)
{
	t_mc(t, X1_REG_QUEUE(q) + X1_Q_CTRL, op);
}

/* ---- page tables ---- */

static uint64_t new_table(struct t_host *t)
{
	uint64_t off = t->table_next;

	t->table_next += X1_PT_BYTES;
	assert_true(t->table_next <= 4 << 20);
	memset(t->hbm + off, 0, X1_PT_BYTES);
	return off;
}

uint64_t *t_pte(struct t_host *t, uint32_t vm, uint64_t dva, unsigned int level)
{
	uint64_t table = t->root[vm];

	for (unsigned int l = X1_PT_LEVELS - 1;; l--) {
		uint64_t *pte = (uint64_t *)(t->hbm + table) + x1_pt_index(dva, l);

		if (l == level)
			return pte;
		if (!*pte)
			__atomic_store_n(pte, new_table(t) | X1_PTE_VALID, __ATOMIC_RELEASE);
		table = *pte & X1_PTE_ADDR_MASK;
	}
}

void t_map(struct t_host *t, uint32_t vm, uint64_t dva, uint64_t pa, uint64_t len, uint64_t flags,
	   bool huge)
{
	uint64_t step = huge ? X1_HUGE_SIZE : X1_PAGE_SIZE;

	for (uint64_t off = 0; off < len; off += step)
		__atomic_store_n(t_pte(t, vm, dva + off, huge),
				 (pa + off) | flags | X1_PTE_VALID | (huge ? X1_PTE_HUGE : 0),
				 __ATOMIC_RELEASE);
}

uint32_t t_attach(struct t_host *t, uint32_t vm, uint64_t root)
{
	t_mc(t, X1_REG_VM_INDEX, vm);
	t_mc(t, X1_REG_VM_ROOT_LO, (uint32_t)root);
	t_mc(t, X1_REG_VM_ROOT_HI, (uint32_t)(root >> 32));
	t_mc(t, X1_REG_VM_CTRL, X1_VM_CTRL_ATTACH);
	return t_rd(t, X1_REG_VM_CTRL);
}

#define GUARD (1u << 20)

/* Zeroed memory between pages that nobody may touch. */
static uint8_t *guarded(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + GUARD, bytes, PROT_READ | PROT_WRITE), 0);
	return p + GUARD;
}

struct t_host *t_new(void (*tweak)(struct x1_core_config *cfg))
{
	const uint64_t rw = X1_PTE_READ | X1_PTE_WRITE;
	struct t_host *t = calloc(1, sizeof(*t));
	char err[128] = "";

	t->hbm = guarded(T_HBM);
	t->sys = guarded(T_SYS);
	x1_core_config_init(&t->cfg);
	t->cfg.hbm_bytes = t->cfg.aperture_bytes = T_HBM;
	t->cfg.threads = 3;
	if (tweak)
		tweak(&t->cfg);
	if (x1_core_new(&t->core, &t->cfg, t->hbm, &ops, t, err, sizeof(err)))
		fail_msg("x1_core_new: %s", err);
	for (unsigned int vm = 1; vm < 8; vm++)
		t->root[vm] = new_table(t);
	t->kdata = 4 << 20;
	t->uprog = 5 << 20;
	t->uro = 6 << 20;
	t->udata = 8 << 20;
	t->uhuge = 16 << 20;
	t_map(t, T_KVM, T_KDATA, t->kdata, 1 << 20, rw, false);
	t_map(t, T_KVM, T_KSYS, T_SYS_BASE + T_SYS - (1 << 20), 1 << 20, rw | X1_PTE_SYSTEM, false);
	t_map(t, T_UVM, T_UDATA, t->udata, 8 << 20, rw, false);
	t_map(t, T_UVM, T_UHUGE, t->uhuge, 8 << 20, rw, true);
	t_map(t, T_UVM, T_USYS, T_SYS_BASE, 4 << 20, rw | X1_PTE_SYSTEM, false);
	t_map(t, T_UVM, T_UPROG, t->uprog, 1 << 20, X1_PTE_READ | X1_PTE_EXEC, false);
	t_map(t, T_UVM, T_URO, t->uro, 1 << 20, X1_PTE_READ, false);
	assert_int_equal(t_attach(t, T_KVM, t->root[T_KVM]), X1_VM_CTRL_OK);
	assert_int_equal(t_attach(t, T_UVM, t->root[T_UVM]), X1_VM_CTRL_OK);
	return t;
}

void t_free(struct t_host *t)
{
	x1_core_free(t->core);
	assert_int_equal(atomic_load(&t->maps), 0);
	assert_int_equal(atomic_load(&t->threads), 0);
	munmap(t->hbm - GUARD, T_HBM + 2 * GUARD);
	munmap(t->sys - GUARD, T_SYS + 2 * GUARD);
	free(t);
}

/* ---- queues ---- */

void t_queue(struct t_host *t, uint32_t q, const struct t_qopt *opt)
{
	static const struct t_qopt none;
	uint32_t base = X1_REG_QUEUE(q);

	if (!opt)
		opt = &none;
	t->log2[q] = opt->log2 ? opt->log2 : 8;
	if (!t->ring[q]) {
		t->ring[q] = (32ull << 20) + q * (128ull << 10);
		t_map(t, T_KVM, T_RING(q), t->ring[q], 128 << 10, X1_PTE_READ, false);
	}
	t->wptr[q] = 0;
	t_mc(t, base + X1_Q_RING_LO, (uint32_t)T_RING(q));
	t_mc(t, base + X1_Q_RING_HI, 0);
	t_mc(t, base + X1_Q_RING_LOG2, t->log2[q]);
	t_mc(t, base + X1_Q_RPTR_ADDR_LO, (uint32_t)opt->rptr_addr);
	t_mc(t, base + X1_Q_RPTR_ADDR_HI, (uint32_t)(opt->rptr_addr >> 32));
	t_mc(t, base + X1_Q_RING_VM, T_KVM);
	t_mc(t, base + X1_Q_USER_VM, opt->user_vm ? opt->user_vm : T_UVM);
	t_mc(t, base + X1_Q_PRIORITY, opt->priority);
	t_mc(t, base + X1_Q_MCU_FIRST, opt->mcu_first);
	t_mc(t, base + X1_Q_MCU_COUNT, opt->mcu_count);
	t_mc(t, base + X1_Q_BUDGET_LO, (uint32_t)opt->budget);
	t_mc(t, base + X1_Q_BUDGET_HI, (uint32_t)(opt->budget >> 32));
	t_mc(t, base + X1_Q_VECTOR, opt->vector);
	t_mcop(t, q, X1_Q_OP_ENABLE);
	assert_int_equal(t_q(t, q, X1_Q_STATE), X1_Q_STATE_READY);
}

void t_push(struct t_host *t, uint32_t q, const union x1_cmd *cmd)
{
	uint32_t pos = t->wptr[q]++ & ((1u << t->log2[q]) - 1);

	memcpy(t->hbm + t->ring[q] + pos * X1_CMD_BYTES, cmd, sizeof(*cmd));
}

void t_ring(struct t_host *t, uint32_t q)
{
	t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, t->wptr[q]);
}

uint64_t t_kword(struct t_host *t, uint32_t index)
{
	return __atomic_load_n((uint64_t *)(t->hbm + t->kdata) + index, __ATOMIC_ACQUIRE);
}

void t_set_kword(struct t_host *t, uint32_t index, uint64_t value)
{
	__atomic_store_n((uint64_t *)(t->hbm + t->kdata) + index, value, __ATOMIC_RELEASE);
}

static void nap(uint64_t end, const char *what, uint64_t a, uint64_t b)
{
	if (t_now_ms() > end)
		fail_msg("%s: have %llu, want %llu", what, (unsigned long long)a,
			 (unsigned long long)b);
	nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

void t_until_word(struct t_host *t, uint32_t index, uint64_t value)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while (t_kword(t, index) < value)
		nap(end, "word", t_kword(t, index), value);
}

void t_until_state(struct t_host *t, uint32_t q, uint32_t state)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while (t_q(t, q, X1_Q_STATE) != state)
		nap(end, "state", t_q(t, q, X1_Q_STATE), state);
}

void t_fence(struct t_host *t, uint32_t q, uint64_t addr, uint64_t value, uint32_t flags)
{
	union x1_cmd cmd = t_cmd_sync(X1_CMD_FENCE, addr, value, flags);

	t_push(t, q, &cmd);
	t_ring(t, q);
	t_until_word(t, (uint32_t)((addr - T_KDATA) / 8), value);
}

/* Everything pushed so far is done; uses word 100 + q. */
void t_sync(struct t_host *t, uint32_t q)
{
	t_fence(t, q, T_KDATA + (100 + q) * 8, t_kword(t, 100 + q) + 1, 0);
}

/* ---- commands ---- */

union x1_cmd t_cmd_sync(uint32_t op, uint64_t addr, uint64_t value, uint32_t flags)
{
	return (union x1_cmd){.sync = {.hdr = {.op = op, .flags = flags, .tag = 0x5000 + op},
				       .addr = addr,
				       .value = value}};
}

union x1_cmd t_cmd_copy(uint64_t src, uint64_t dst, uint64_t bytes)
{
	return (union x1_cmd){.copy = {.hdr = {.op = X1_CMD_COPY, .tag = 7},
				       .src = src,
				       .dst = dst,
				       .bytes = bytes,
				       .rows = 1}};
}

union x1_cmd t_cmd_fill(uint64_t dst, uint64_t bytes, uint64_t pattern, uint32_t pattern_bytes)
{
	return (union x1_cmd){.fill = {.hdr = {.op = X1_CMD_FILL, .tag = 8},
				       .dst = dst,
				       .bytes = bytes,
				       .pattern = pattern,
				       .pattern_bytes = pattern_bytes,
				       .rows = 1}};
}

union x1_cmd t_cmd_launch(uint64_t program, uint32_t insns, uint32_t grid)
{
	return (union x1_cmd){.launch = {.hdr = {.op = X1_CMD_LAUNCH, .tag = 9},
					 .program = program,
					 .program_bytes = insns * X1_INSN_BYTES,
					 .num_insns = insns,
					 .grid = {grid, 1, 1}}};
}

union x1_cmd t_cmd_call(uint64_t addr, uint32_t count)
{
	return (union x1_cmd){
		.call = {.hdr = {.op = X1_CMD_CALL, .tag = 10}, .addr = addr, .count = count}};
}

union x1_cmd t_cmd_plain(uint32_t op, uint32_t flags)
{
	return (union x1_cmd){.plain = {.hdr = {.op = op, .flags = flags, .tag = 11}}};
}

uint64_t t_prog(struct t_host *t, uint32_t off, const struct x1_insn *insns, uint32_t n)
{
	memcpy(t->hbm + t->uprog + off, insns, n * sizeof(*insns));
	return T_UPROG + off;
}
