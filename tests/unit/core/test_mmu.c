// SPDX-License-Identifier: MIT
/* Translation: page sizes, permissions, bad entries, INVALIDATE, many VMs. */
#include <string.h>
#include <time.h>

#include "host.h"

#define PAGE 0x7f0000200000ull /* a DVA of the user VM that t_new() leaves alone */
#define RW   (X1_PTE_READ | X1_PTE_WRITE)

static void invalidate(struct t_host *t, uint32_t vm, uint64_t dva, uint64_t len, uint32_t seq)
{
	t_wr(t, X1_REG_INV_VM, vm);
	x1_core_bar_write(t->core, X1_REG_INV_ADDR_LO, (uint32_t)dva, 4);
	x1_core_bar_write(t->core, X1_REG_INV_ADDR_HI, dva >> 32, 4);
	t_wr(t, X1_REG_INV_LEN_LO, (uint32_t)len);
	t_wr(t, X1_REG_INV_LEN_HI, (uint32_t)(len >> 32));
	t_wr(t, X1_REG_INV_SEQ, seq);
}

static void until_done(struct t_host *t, uint32_t seq)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while (t_rd(t, X1_REG_INV_DONE) != seq)
		assert_true(t_now_ms() < end);
}

static void reset_queue(struct t_host *t, uint32_t q)
{
	t_op(t, q, X1_Q_OP_RESET);
	t_until_state(t, q, X1_Q_STATE_READY);
	t->wptr[q] = t_q(t, q, X1_Q_WPTR);
}

/* A COPY of 8 bytes: 0, or the fault's code; its address must be `where`. */
static uint32_t copy8(struct t_host *t, uint64_t src, uint64_t dst, uint64_t where)
{
	union x1_cmd c = t_cmd_copy(src, dst, 8);
	uint64_t seen = t_kword(t, 100), end = t_now_ms() + T_WAIT_MS;
	uint32_t code;

	t_push(t, 0, &c);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + 800, seen + 1, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	while (t_kword(t, 100) == seen && t_q(t, 0, X1_Q_STATE) != X1_Q_STATE_FAULTED)
		assert_true(t_now_ms() < end);
	code = T_FAULT_CODE(t, 0);
	if (code) {
		assert_int_equal(t_rd64(t, X1_REG_QUEUE(0) + X1_Q_FAULT_ADDR_LO), where);
		assert_int_equal(t_q(t, 0, X1_Q_FAULT_VM), T_UVM);
		assert_int_equal(X1_FAULT_INFO_UNIT(t_q(t, 0, X1_Q_FAULT_INFO)), X1_UNIT_COPY);
		reset_queue(t, 0);
	}
	return code;
}

/* Put a leaf at level 0 or 1 and make it known. */
static void leaf(struct t_host *t, uint64_t dva, unsigned int level, uint64_t pte)
{
	static uint32_t seq;

	__atomic_store_n(t_pte(t, T_UVM, dva, level), pte, __ATOMIC_RELEASE);
	invalidate(t, T_UVM, dva, X1_PAGE_SIZE, ++seq);
	until_done(t, seq);
}

/* REQ-DEV-040, REQ-DEV-041: what an entry means, and each way in which it can be wrong. */
static void test_entries(void **state)
{
	struct t_host *t = t_new(NULL);
	const uint64_t huge = PAGE + (4ull << 20), hbm = 48 << 20;
	const struct {
		unsigned int level;
		uint64_t pte;
		uint32_t read, write;
	} cases[] = {
		{0, hbm | RW | X1_PTE_VALID, 0, 0},
		{0, hbm | X1_PTE_READ | X1_PTE_VALID, 0, X1_FAULT_PERMISSION},
		{0, hbm | X1_PTE_WRITE | X1_PTE_VALID, X1_FAULT_PERMISSION, 0},
		{0, hbm | X1_PTE_EXEC | X1_PTE_VALID, X1_FAULT_PERMISSION, X1_FAULT_PERMISSION},
		{0, hbm | RW, X1_FAULT_UNMAPPED, X1_FAULT_UNMAPPED},
		{0, T_SYS_BASE | RW | X1_PTE_SYSTEM | X1_PTE_VALID, 0, 0},
		{0, (T_SYS_BASE - 0x1000) | RW | X1_PTE_SYSTEM | X1_PTE_VALID, X1_FAULT_DMA,
		 X1_FAULT_DMA},
		{0, T_HBM | RW | X1_PTE_VALID, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{0, (T_HBM - 0x1000) | RW | X1_PTE_VALID, 0, 0},
		{0, hbm | RW | X1_PTE_VALID | 1ull << 6, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{0, hbm | RW | X1_PTE_VALID | 1ull << 52, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{0, hbm | RW | X1_PTE_VALID | 1ull << 63, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{0, hbm | RW | X1_PTE_VALID | X1_PTE_HUGE, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{1, hbm | RW | X1_PTE_VALID | X1_PTE_HUGE, 0, 0},
		{1, (hbm + 0x1000) | RW | X1_PTE_VALID | X1_PTE_HUGE, X1_FAULT_BAD_PTE,
		 X1_FAULT_BAD_PTE},
		{1, T_HBM | RW | X1_PTE_VALID | X1_PTE_HUGE, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{1, T_SYS_BASE | RW | X1_PTE_SYSTEM | X1_PTE_VALID | X1_PTE_HUGE, 0, 0},
		{1, T_SYS_BASE | X1_PTE_SYSTEM | X1_PTE_VALID, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{1, T_HBM | X1_PTE_VALID, X1_FAULT_BAD_PTE, X1_FAULT_BAD_PTE},
		{1, hbm, X1_FAULT_UNMAPPED, X1_FAULT_UNMAPPED},
	};

	(void)state;
	t_queue(t, 0, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t dva = cases[i].level ? huge : PAGE;
		uint64_t pa = cases[i].pte & X1_PTE_ADDR_MASK;
		uint8_t *mem = cases[i].pte & X1_PTE_SYSTEM ? t->sys + (pa - T_SYS_BASE)
							    : t->hbm + pa;
		uint32_t code;

		leaf(t, dva, cases[i].level, cases[i].pte);
		code = copy8(t, T_UHUGE, dva + 40, dva + 40);
		if (code != cases[i].write)
			fail_msg("case %zu, write: fault %u", i, code);
		if (!code)
			memcpy(mem + 40, "X1 entry", 8);
		code = copy8(t, dva + 40, T_UDATA, dva + 40);
		if (code != cases[i].read)
			fail_msg("case %zu, read: fault %u", i, code);
		if (!code && !cases[i].write)
			assert_memory_equal(t->hbm + t->udata, "X1 entry", 8);
	}
	/* All of a huge page is there, and nothing after it. */
	leaf(t, huge, 1, hbm | RW | X1_PTE_VALID | X1_PTE_HUGE);
	memcpy(t->hbm + hbm + X1_HUGE_SIZE - 8, "the last", 8);
	assert_int_equal(copy8(t, huge + X1_HUGE_SIZE - 8, T_UDATA, 0), 0);
	assert_memory_equal(t->hbm + t->udata, "the last", 8);
	assert_int_equal(copy8(t, huge + X1_HUGE_SIZE, T_UDATA, huge + X1_HUGE_SIZE),
			 X1_FAULT_UNMAPPED);
	/* 48 bits and no more. */
	assert_int_equal(copy8(t, 1ull << 48, T_UDATA, 1ull << 48), X1_FAULT_BAD_DVA);
	assert_int_equal(copy8(t, (1ull << 48) - 4, T_UDATA, (1ull << 48) - 4), X1_FAULT_BAD_DVA);
	assert_int_equal(copy8(t, UINT64_MAX - 3, T_UDATA, UINT64_MAX - 3), X1_FAULT_BAD_DVA);
	t_free(t);
}

/* REQ-DEV-040: a program needs execute permission, and no other. */
static void test_execute(void **state)
{
	const struct x1_insn end_insn[] = {{.op = X1_OP_END}};
	struct t_host *t = t_new(NULL);
	union x1_cmd c = t_cmd_launch(T_UDATA, 1, 1);

	(void)state;
	memcpy(t->hbm + t->udata, end_insn, sizeof(end_insn));
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_PERMISSION);
	assert_int_equal(X1_FAULT_INFO_ACCESS(t_q(t, 0, X1_Q_FAULT_INFO)), X1_ACCESS_EXEC);
	reset_queue(t, 0);
	leaf(t, PAGE, 0, t->uprog | X1_PTE_EXEC | X1_PTE_VALID);
	t_prog(t, 0, end_insn, 1);
	c = t_cmd_launch(PAGE, 1, 1);
	t_push(t, 0, &c);
	t_sync(t, 0);
	t_free(t);
}

/* REQ-DEV-042: not before an access by the old translation has finished; in order. */
static void test_invalidate(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t end = t_now_ms() + T_WAIT_MS;
	union x1_cmd c = t_cmd_copy(T_USYS, T_UDATA, 1 << 20);

	(void)state;
	t_queue(t, 0, NULL);
	t_sync(t, 0);
	invalidate(t, T_UVM, 0, 0, 77);
	until_done(t, 77);
	/* A read of system memory that the host holds up. */
	atomic_store(&t->no_map, true);
	atomic_store(&t->block, true);
	t_push(t, 0, &c);
	t_ring(t, 0);
	while (!atomic_load(&t->blocked))
		assert_true(t_now_ms() < end);
	for (uint32_t i = 1; i <= 4; i++)
		invalidate(t, i, T_USYS, X1_PAGE_SIZE, 77 + i);
	assert_int_equal(t_rd(t, X1_REG_INV_FREE), X1_INVAL_DEPTH - 4);
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(t_rd(t, X1_REG_INV_DONE), 77);
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	atomic_store(&t->block, false);
	until_done(t, 81);
	assert_int_equal(t_rd(t, X1_REG_INV_FREE), X1_INVAL_DEPTH);
	assert_true(t_rd(t, X1_REG_IRQ_PENDING) & X1_IRQ_INVAL);
	t_sync(t, 0);
	t_free(t);
}

/* Without INVALIDATE a worker may use what it knew; with it, never. */
static void test_stale(void **state)
{
	struct t_host *t = t_new(NULL);
	uint64_t a = 48 << 20, b = 50 << 20;

	(void)state;
	t_queue(t, 0, NULL);
	memset(t->hbm + a, 'a', X1_PAGE_SIZE);
	memset(t->hbm + b, 'b', X1_PAGE_SIZE);
	for (unsigned int i = 0; i < 50; i++) {
		leaf(t, PAGE, 0, (i % 2 ? b : a) | RW | X1_PTE_VALID);
		assert_int_equal(copy8(t, PAGE, T_UDATA, 0), 0);
		assert_int_equal(t->hbm[t->udata], i % 2 ? 'b' : 'a');
	}
	t_free(t);
}

/* Thousands of address spaces, each with its own page at the same address. */
static void test_many_vms(void **state)
{
	struct t_host *t = t_new(NULL);
	const uint32_t first = 100, n = 4000;
	uint64_t tables = 60 << 20, data = 52 << 20;

	(void)state;
	/* One chain of tables and one leaf table per VM; the data words lie side by side. */
	for (unsigned int l = 3; l > 1; l--)
		*(uint64_t *)(t->hbm + tables + (3 - l) * X1_PT_BYTES) =
			(tables + (4 - l) * X1_PT_BYTES) | X1_PTE_VALID;
	assert_int_equal(t_rd(t, X1_REG_NUM_VMS), X1_NUM_VMS);
	for (uint32_t i = 0; i < n; i++) {
		/* Level-3 tables of different VMs may be the same: only the VM number differs. */
		assert_int_equal(t_attach(t, first + i, tables), X1_VM_CTRL_OK);
	}
	*(uint64_t *)(t->hbm + tables + 2 * X1_PT_BYTES) = (tables + 3 * X1_PT_BYTES) |
							   X1_PTE_VALID;
	for (uint32_t i = 0; i < n; i += 61) {
		uint32_t q = i % X1_NUM_QUEUES;
		uint64_t page = data + (i % 512) * X1_PAGE_SIZE;
		union x1_cmd c = t_cmd_fill(0, 8, first + i, 8);

		/* The page moves; a new number has no old translation. */
		*(uint64_t *)(t->hbm + tables + 3 * X1_PT_BYTES) = page | RW | X1_PTE_VALID;
		t_queue(t, q, &(struct t_qopt){.user_vm = first + i});
		assert_int_equal(t_attach(t, first + i, tables), X1_VM_CTRL_EBUSY);
		t_push(t, q, &c);
		t_sync(t, q);
		assert_int_equal(*(uint64_t *)(t->hbm + page), first + i);
		t_mcop(t, q, X1_Q_OP_DISABLE);
		t_until_state(t, q, X1_Q_STATE_DISABLED);
	}
	assert_int_equal(t_attach(t, X1_NUM_VMS, tables), X1_VM_CTRL_EINVAL);
	assert_int_equal(t_attach(t, 0, tables), X1_VM_CTRL_EINVAL);
	assert_int_equal(t_attach(t, 9, tables + 8), X1_VM_CTRL_EINVAL);
	assert_int_equal(t_attach(t, 9, T_HBM), X1_VM_CTRL_EINVAL);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),    cmocka_unit_test(test_execute),
		cmocka_unit_test(test_invalidate), cmocka_unit_test(test_stale),
		cmocka_unit_test(test_many_vms),
	};

	return cmocka_run_group_tests_name("mmu", tests, NULL, NULL);
}
