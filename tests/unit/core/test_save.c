// SPDX-License-Identifier: MIT
/*
 * Saved and loaded state: work of every kind goes on in another device where
 * it was, with the same memory and the same cycles in the end; a stream that
 * was tampered with is refused or harmless.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host.h"

#define QUEUES 4
#define DONE   99

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dull;
}

static void two_threads(struct x1_core_config *cfg)
{
	cfg->threads = 2;
	cfg->mcus = 16;
	cfg->l2_bytes = 1 << 20;
}

static void untimed(struct x1_core_config *cfg)
{
	two_threads(cfg);
	cfg->timing = false;
}

/* ---- the work ---- */

#define S(n) X1_SEM(n)

struct image {
	struct x1_insn insn[32];
	struct x1_desc desc[4];
};

#define DESC(i) (offsetof(struct image, desc) + (i) * sizeof(struct x1_desc))

/*
 * A GEMM's shape: two buffers, products, a vector operation that waits in its
 * engine's queue while the sequencer counts, a store.
 */
static const struct image gemm = {
	.insn =
		{
			{.op = X1_OP_MUL, .rd = 20, .ra = 1, .rb = X1_REG_IMM, .imm = 4096},
			{.op = X1_OP_ADD, .rd = 21, .ra = 20, .rb = X1_REG_IMM, .imm = T_UHUGE},
			{.op = X1_OP_ADD, .rd = 22, .ra = 20, .rb = X1_REG_IMM, .imm = T_UDATA},
			{.op = X1_OP_ADD, .rd = 23, .ra = 0, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
			{.op = X1_OP_ADD, .rd = 24, .ra = 0, .rb = X1_REG_IMM, .imm = 0x4000},
			{.op = X1_OP_NOP, .sig = {S(0), S(0)}},
			{.op = X1_OP_LOAD, .rd = 24, .ra = 21, .imm = DESC(0)},
			{.op = X1_OP_SYNC},
			{.op = X1_OP_LOOPI, .rd = 12, .imm = 21},
			{.op = X1_OP_LOAD,
			 .rd = 0,
			 .ra = 21,
			 .wait = {S(0)},
			 .sig = {S(1)},
			 .imm = DESC(0)},
			{.op = X1_OP_MM,
			 .rd = 23,
			 .ra = 0,
			 .rb = 24,
			 .wait = {S(1)},
			 .sig = {S(0), S(2)},
			 .imm = DESC(1)},
			{.op = X1_OP_VEC,
			 .rd = 23,
			 .ra = 23,
			 .wait = {S(2), S(3)},
			 .sig = {S(4)},
			 .imm = DESC(2)},
			{.op = X1_OP_ADD, .rd = 25, .ra = 0, .rb = X1_REG_IMM, .imm = 1},
			{.op = X1_OP_ADD, .rd = 30, .ra = 0, .rb = X1_REG_IMM, .imm = 700},
			{.op = X1_OP_LOOP, .ra = 30, .imm = 18},
			{.op = X1_OP_ADD, .rd = 31, .ra = 31, .rb = X1_REG_IMM, .imm = 3},
			{.op = X1_OP_XOR, .rd = 31, .ra = 31, .rb = 1},
			{.op = X1_OP_NOP},
			{.op = X1_OP_NOP, .sig = {S(3)}},
			{.op = X1_OP_NOP, .wait = {S(4)}},
			{.op = X1_OP_ADD, .rd = 21, .ra = 21, .rb = X1_REG_IMM, .imm = 2048},
			{.op = X1_OP_STORE, .rd = 23, .ra = 22, .imm = DESC(3)},
			{.op = X1_OP_SYNC},
			{.op = X1_OP_STM, .rd = 31, .ra = 22, .rb = 3, .imm = 8},
			{.op = X1_OP_END},
		},
	.desc =
		{
			{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1), [X1_DMA_COUNT0] = 2048}},
			/* The first starts from zero, not from what the MCU has left. */
			{.regs = 1ull << X1_MM_ACCUMULATE,
			 .f = {[X1_MM_M] = 32,
			       [X1_MM_N] = 32,
			       [X1_MM_K] = 64,
			       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3),
			       [X1_MM_ACCUMULATE] = 25,
			       [X1_MM_A_STRIDE] = 64,
			       [X1_MM_B_STRIDE] = 64,
			       [X1_MM_ACC_STRIDE] = 128}},
			{.f = {[X1_VEC_OP] = X1_VEC_RELU,
			       [X1_VEC_ROWS] = 32,
			       [X1_VEC_COLS] = 32,
			       [X1_VEC_D_STRIDE] = 128,
			       [X1_VEC_S0_STRIDE] = 128}},
			{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
					       X1_DMA_CTRL_MFMT(X1_FMT_FP32),
			       [X1_DMA_COUNT0] = 1024}},
		},
};

/* Work-groups that wait for each other in turn, and park meanwhile. */
static const struct image chain = {
	.insn =
		{
			{.op = X1_OP_ADD,
			 .rd = 20,
			 .ra = 0,
			 .rb = X1_REG_IMM,
			 .imm = T_UDATA + (2 << 20)},
			{.op = X1_OP_WAITGE, .rd = 1, .ra = 20, .rb = 3},
			{.op = X1_OP_LOOPI, .rd = 0, .ra = 8, .imm = 4},
			{.op = X1_OP_ADD, .rd = 31, .ra = 31, .rb = X1_REG_IMM, .imm = 1},
			{.op = X1_OP_LDM, .rd = 22, .ra = 20, .rb = 3, .imm = 64},
			{.op = X1_OP_MUL, .rd = 22, .ra = 22, .rb = X1_REG_IMM, .imm = 31},
			{.op = X1_OP_ADD, .rd = 22, .ra = 22, .rb = 1},
			{.op = X1_OP_STM, .rd = 22, .ra = 20, .rb = 3, .imm = 64},
			{.op = X1_OP_ADD, .rd = 21, .ra = 1, .rb = X1_REG_IMM, .imm = 1},
			{.op = X1_OP_STREL, .rd = 21, .ra = 20, .rb = 3},
			{.op = X1_OP_END},
		},
};

/* A cooperative grid that meets at a barrier again and again. */
static const struct image coop = {
	.insn =
		{
			{.op = X1_OP_ADD,
			 .rd = 20,
			 .ra = 0,
			 .rb = X1_REG_IMM,
			 .imm = T_UDATA + (3 << 20)},
			{.op = X1_OP_ADD, .rd = 21, .ra = 0, .rb = X1_REG_IMM, .imm = 1},
			{.op = X1_OP_LOOPI, .rd = 12, .imm = 6},
			{.op = X1_OP_ATADD, .rd = 21, .ra = 20, .rb = 3},
			{.op = X1_OP_GRIDBAR},
			{.op = X1_OP_LDM, .rd = 22, .ra = 20, .rb = 3},
			{.op = X1_OP_END},
		},
};

static void push(struct t_host *t, uint32_t q, union x1_cmd c)
{
	t_push(t, q, &c);
}

static union x1_cmd launch(struct t_host *t, uint32_t off, const struct image *im, uint32_t grid)
{
	union x1_cmd c = t_cmd_launch(T_UPROG + off, 32, grid);

	memcpy(t->hbm + t->uprog + off, im, sizeof(*im));
	c.launch.program_bytes = sizeof(*im);
	for (uint32_t i = 0; i < 32; i++)
		if (im->insn[i].op == X1_OP_END)
			c.launch.num_insns = i + 1;
	return c;
}

static union x1_cmd perf(uint32_t op, uint64_t addr)
{
	return (union x1_cmd){.perf = {.hdr = {.op = op}, .addr = addr}};
}

/* Queue q's last fence is word q; its time stands in word 8 + q. */
static void last(struct t_host *t, uint32_t q)
{
	push(t, q, t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + (8 + q) * 8, 0, 0));
	push(t, q, t_cmd_sync(X1_CMD_FENCE, T_KDATA + q * 8, DONE, X1_FENCE_IRQ));
}

static void begin(struct t_host *t)
{
	union x1_cmd c;

	for (uint32_t i = 0; i < 1 << 20; i++)
		t->hbm[t->uhuge + i] = (uint8_t)(i * 7 + i / 250) & 0x6f;
	for (uint32_t q = 0; q < QUEUES; q++)
		t_queue(t, q,
			&(struct t_qopt){.priority = q % 2,
					 .vector = q + 1,
					 .budget = q == 1 ? 1u << 30 : 0,
					 .rptr_addr = T_KDATA + (16 + q) * 8});
	t_wr(t, X1_REG_GATE_LO, 0xf);
	push(t, 0, perf(X1_CMD_PERF_BEGIN, 0));
	for (uint32_t i = 0; i < 3; i++) {
		push(t, 0, launch(t, 0, &gemm, 24));
		push(t, 0, t_cmd_sync(X1_CMD_FENCE, T_KDATA, i + 1, 0));
	}
	push(t, 0, perf(X1_CMD_PERF_END, T_KDATA + 4096));
	last(t, 0);
	push(t, 1, launch(t, 4096, &chain, 40));
	push(t, 1, t_cmd_fill(T_UDATA + (4 << 20), 1 << 20, 0x5aa5, 2));
	last(t, 1);
	c = launch(t, 8192, &coop, 8);
	c.hdr.flags = X1_LAUNCH_COOPERATIVE;
	push(t, 2, c);
	c = t_cmd_copy(T_UHUGE, T_UDATA + (5 << 20), 3000);
	c.copy.rows = 200;
	c.copy.src_pitch = 2048;
	c.copy.dst_pitch = 4096;
	push(t, 2, c);
	push(t, 2, t_cmd_copy(T_UDATA + (5 << 20), T_USYS + 100, 1 << 20));
	last(t, 2);
	push(t, 3, t_cmd_sync(X1_CMD_WAIT, T_KDATA, 2, 0));
	push(t, 3, launch(t, 0, &gemm, 16));
	last(t, 3);
	for (uint32_t q = 0; q < QUEUES; q++)
		t_ring(t, q);
	t_wr(t, X1_REG_GATE_LO, 0);
}

static bool done(struct t_host *t)
{
	for (uint32_t q = 0; q < QUEUES; q++)
		if (t_kword(t, q) != DONE)
			return false;
	return true;
}

static void finish(struct t_host *t)
{
	for (uint32_t q = 0; q < QUEUES; q++) {
		t_until_word(t, q, DONE);
		assert_int_equal(T_FAULT_CODE(t, q), 0);
		t_until_word(t, 16 + q, t_q(t, q, X1_Q_WPTR));
	}
}

/* ---- moving ---- */

/* Into a new device; the old one is gone. */
static struct t_host *move(struct t_host *t, void (*tweak)(struct x1_core_config *))
{
	struct t_host *n = t_new(tweak);
	char err[64] = "";
	uint8_t *buf;
	size_t len;

	x1_core_park(t->core);
	assert_int_equal(x1_core_save(t->core, &buf, &len), 0);
	memcpy(n->hbm, t->hbm, T_HBM);
	memcpy(n->sys, t->sys, T_SYS);
	if (x1_core_load(n->core, buf, len, err, sizeof(err)))
		fail_msg("%s", err);
	free(buf);
	t_free(t);
	return n;
}

static void compare(struct t_host *t, struct t_host *ref)
{
	assert_memory_equal(t->hbm + t->kdata, ref->hbm + ref->kdata, 8192);
	assert_memory_equal(t->hbm + t->udata, ref->hbm + ref->udata, 8 << 20);
	assert_memory_equal(t->sys, ref->sys, T_SYS);
	for (uint32_t q = 0; q < QUEUES; q++)
		assert_int_equal(t_rd64(t, X1_REG_QUEUE(q) + X1_Q_CYCLES_LO),
				 t_rd64(ref, X1_REG_QUEUE(q) + X1_Q_CYCLES_LO));
	assert_int_equal(t_rd64(t, X1_REG_CLOCK_LO), t_rd64(ref, X1_REG_CLOCK_LO));
}

static void nap(uint64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* REQ-MIG-001, -002 */
static void moves(void (*tweak)(struct x1_core_config *))
{
	struct t_host *ref = t_new(tweak);
	uint64_t longest = 2000000;
	unsigned int hops = 0;

	begin(ref);
	finish(ref);
	/* With few moves the test would mean little. */
	for (int i = 0; i < 5 || hops < 10; i++) {
		struct t_host *t = t_new(tweak);
		int n = 0;

		begin(t);
		for (; n < 8 && !done(t); n++) {
			nap(rnd() % longest);
			t = move(t, tweak);
		}
		finish(t);
		compare(t, ref);
		t_free(t);
		hops += n;
		/* A busy host wakes us late: the work was done by then. */
		if (n < 4)
			longest = longest / 2 + 1;
	}
	t_free(ref);
}

static void test_moves(void **state)
{
	(void)state;
	moves(two_threads);
}

static void test_moves_untimed(void **state)
{
	(void)state;
	moves(untimed);
}

/* REQ-MIG-003: what stands still stays so: suspended, faulted, gated, hung, injected. */
static void test_still(void **state)
{
	struct t_host *t = t_new(two_threads);

	(void)state;
	for (uint32_t q = 0; q < 5; q++)
		t_queue(t, q, &(struct t_qopt){.vector = q});
	push(t, 0, launch(t, 4096, &chain, 40));
	push(t, 0, t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, 0));
	t_ring(t, 0);
	t_op(t, 0, X1_Q_OP_SUSPEND);
	t_until_state(t, 0, X1_Q_STATE_SUSPENDED);
	push(t, 1, t_cmd_copy(T_NONE, T_UDATA, 8));
	t_ring(t, 1);
	t_until_state(t, 1, X1_Q_STATE_FAULTED);
	t_wr(t, X1_REG_GATE_LO, 4);
	push(t, 2, t_cmd_sync(X1_CMD_FENCE, T_KDATA + 16, 3, 0));
	t_ring(t, 2);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_QUEUE_HUNG, 3), 0);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_MCU_STUCK, 5), 0);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_ECC_UNCORRECTED, T_HBM - 4096), 0);
	push(t, 4, t_cmd_sync(X1_CMD_WAIT, T_KDATA + 40, 7, 0));
	push(t, 4, t_cmd_sync(X1_CMD_FENCE, T_KDATA + 32, 5, 0));
	t_ring(t, 4);
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_MBOX);
	for (int i = 0; i < 3; i++)
		t = move(t, two_threads);
	assert_int_equal(t_q(t, 0, X1_Q_STATE), X1_Q_STATE_SUSPENDED);
	assert_int_equal(t_q(t, 1, X1_Q_STATE), X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 1), X1_FAULT_UNMAPPED);
	assert_int_equal(t_q(t, 1, X1_Q_FAULT_ADDR_LO), T_NONE);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_QUEUE_HUNG), 3);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_MCU_STUCK), 5);
	assert_int_equal(x1_core_injected(t->core, X1_INJECT_ECC_UNCORRECTED), T_HBM - 4096);
	assert_int_equal(t_rd(t, X1_REG_IRQ_ENABLE), X1_IRQ_MBOX);
	assert_int_equal(t_kword(t, 0) | t_kword(t, 2) | t_kword(t, 4), 0);
	assert_int_equal(x1_core_inject(t->core, X1_INJECT_MCU_STUCK, -1), 0);
	t_op(t, 0, X1_Q_OP_RESUME);
	t_wr(t, X1_REG_GATE_LO, 0);
	t_set_kword(t, 5, 7);
	t_until_word(t, 0, 1);
	t_until_word(t, 2, 3);
	t_until_word(t, 4, 5);
	t_free(t);
}

/* A saved state of the work's midst. */
static uint8_t *midst(size_t *len, uint8_t **hbm)
{
	struct t_host *t = t_new(two_threads);
	uint8_t *buf;

	begin(t);
	nap(700000);
	x1_core_park(t->core);
	assert_int_equal(x1_core_save(t->core, &buf, len), 0);
	*hbm = malloc(T_HBM);
	memcpy(*hbm, t->hbm, T_HBM);
	x1_core_unpark(t->core);
	finish(t);
	t_free(t);
	return buf;
}

/* REQ-MIG-004: another machine is named, anything else is refused, and the device works. */
static void test_refuses(void **state)
{
	static const struct {
		void (*tweak)(struct x1_core_config *);
		const char *says;
	} other[] = {{untimed, "timing"}, {NULL, "mcus"}};
	char err[64];
	uint8_t *hbm, *buf;
	size_t len;

	(void)state;
	buf = midst(&len, &hbm);
	for (size_t i = 0; i < 2; i++) {
		struct t_host *t = t_new(other[i].tweak);

		assert_int_equal(x1_core_load(t->core, buf, len, err, sizeof(err)), -EINVAL);
		assert_non_null(strstr(err, other[i].says));
		t_free(t);
	}
	free(buf);
	free(hbm);
}

/* REQ-MIG-004: whatever was done to the stream, the device lives. */
static void test_tampered(void **state)
{
	static const uint32_t odd[] = {0,     1,        2,          31,         32,
				       63,    64,       127,        255,        4096,
				       65535, 1u << 24, 0x7fffffff, 0x80000000, 0xffffffff};
	struct t_host *t = t_new(two_threads);
	size_t len, head = 8 + 12 * 8;
	unsigned int good = 0, bad = 0;
	uint8_t *hbm, *buf = midst(&len, &hbm), *copy = malloc(len + 64);
	char err[64];

	(void)state;
	for (unsigned int i = 0; i < 400; i++) {
		size_t n = len;
		unsigned int changes = 1 + (unsigned int)(rnd() % 3);

		memcpy(copy, buf, len);
		memset(copy + len, 0x5a, 64);
		/* Mostly where the lengths and offsets are: words, at the front more often. */
		while (changes--) {
			size_t span = rnd() & 1 ? len : len / 16;
			size_t at = head + rnd() % (span - head - 8) / 4 * 4;

			if (rnd() & 1)
				memcpy(copy + at, &odd[rnd() % (sizeof(odd) / sizeof(odd[0]))], 4);
			else
				copy[at] ^= 1u << rnd() % 8;
		}
		if (i % 8 == 0)
			n = rnd() % (len + 64);
		memcpy(t->hbm, hbm, T_HBM / 4);
		if (x1_core_load(t->core, copy, n, err, sizeof(err)))
			bad++;
		else
			good++;
		nap(rnd() % 300000);
		if (rnd() & 1)
			x1_core_reset(t->core, X1_RESET_FLR);
	}
	print_message("# %zu bytes; loaded %u, refused %u\n", len, good, bad);
	assert_true(good > 20 && bad > 20);
	/* The good one still works. */
	memcpy(t->hbm, hbm, T_HBM);
	if (x1_core_load(t->core, buf, len, err, sizeof(err)))
		fail_msg("%s", err);
	finish(t);
	t_free(t);
	free(copy);
	free(buf);
	free(hbm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),    cmocka_unit_test(test_moves_untimed),
		cmocka_unit_test(test_still),    cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_tampered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
