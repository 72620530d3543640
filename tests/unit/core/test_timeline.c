// SPDX-License-Identifier: MIT
/* The timeline against the counters: what it says adds up to what they count. */
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define RING    (56ull << 20) /* HBM offset */
#define LOG2    16
#define INSNS   10
#define DESC(i) (INSNS * X1_INSN_BYTES + (i) * sizeof(struct x1_desc))

static uint32_t threads = 2;

static void tweak(struct x1_core_config *cfg)
{
	cfg->threads = threads;
}

/* LOADs, products of two formats in turn, a wait: busy engines, stalls, switches. */
static union x1_cmd program(struct t_host *t, uint32_t groups)
{
	const struct {
		struct x1_insn code[INSNS];
		struct x1_desc desc[3];
	} p = {
		.code =
			{
				{.op = X1_OP_ADD, .rd = 16, .rb = X1_REG_IMM, .imm = T_UHUGE},
				{.op = X1_OP_ADD, .rd = 18, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
				{.op = X1_OP_LOOPI, .rd = 10, .imm = 6},
				{.op = X1_OP_LOAD, .ra = 16, .sig = {X1_SEM(0)}, .imm = DESC(0)},
				{.op = X1_OP_MM, .rd = 18, .wait = {X1_SEM(0)}, .imm = DESC(1)},
				{.op = X1_OP_MM, .rd = 18, .imm = DESC(2)},
				{.op = X1_OP_LDM, .rd = 17, .ra = 16, .rb = 3},
				{.op = X1_OP_SYNC},
				{.op = X1_OP_NOP},
				{.op = X1_OP_END},
			},
		.desc =
			{
				{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1),
				       [X1_DMA_COUNT0] = 8192}},
				{.f = {[X1_MM_M] = 32,
				       [X1_MM_N] = 32,
				       [X1_MM_K] = 64,
				       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3),
				       [X1_MM_A_STRIDE] = 64,
				       [X1_MM_B_STRIDE] = 64,
				       [X1_MM_ACC_STRIDE] = 128}},
				{.f = {[X1_MM_M] = 32,
				       [X1_MM_N] = 32,
				       [X1_MM_K] = 64,
				       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_INT8, X1_FMT_INT8),
				       [X1_MM_A_STRIDE] = 64,
				       [X1_MM_B_STRIDE] = 64,
				       [X1_MM_ACC_STRIDE] = 128}},
			},
	};
	union x1_cmd c = t_cmd_launch(T_UPROG, INSNS, groups);

	memcpy(t->hbm + t->uprog, &p, sizeof(p));
	c.launch.program_bytes = sizeof(p);
	return c;
}

static void on(struct t_host *t, uint32_t log2, uint32_t mask)
{
	t_wr(t, X1_REG_TL_MASK, 0);
	t_wr(t, X1_REG_TL_ADDR_LO, (uint32_t)RING);
	t_wr(t, X1_REG_TL_ADDR_HI, 0);
	t_wr(t, X1_REG_TL_LOG2, log2);
	t_wr(t, X1_REG_TL_MASK, mask);
	assert_int_equal(t_rd(t, X1_REG_TL_MASK), mask);
}

struct sums {
	uint64_t n[X1_TL_KINDS];
	uint64_t busy[X1_ENGINE_COUNT], stall[X1_ENGINE_COUNT][X1_STALL_COUNT];
	uint64_t launch, wg, copy;
};

static struct sums add_up(struct t_host *t)
{
	const struct x1_tl_event *ring = (const void *)(t->hbm + RING);
	uint64_t head = t_rd64(t, X1_REG_TL_HEAD_LO);
	struct sums s = {0};

	for (uint64_t i = 0; i < head; i++) {
		const struct x1_tl_event *e = &ring[i & ((1u << LOG2) - 1)];

		assert_true(e->kind < X1_TL_KINDS);
		assert_int_equal(e->queue, 0);
		assert_true(X1_TL_START(e) <= t_rd64(t, X1_REG_CLOCK_LO));
		s.n[e->kind]++;
		if (e->kind == X1_TL_BUSY)
			s.busy[e->arg] += e->cycles;
		else if (e->kind == X1_TL_STALL)
			s.stall[e->arg & 0xff][e->arg >> 8] += e->cycles;
		else if (e->kind == X1_TL_LAUNCH)
			s.launch += e->cycles;
		else if (e->kind == X1_TL_WG)
			s.wg += e->cycles;
		else if (e->kind == X1_TL_COPY)
			s.copy += e->cycles;
	}
	return s;
}

/* A run with everything recorded; the ring's bytes to *out, which is the caller's. */
static uint64_t record(struct x1_tl_event **out)
{
	struct t_host *t = t_new(tweak);
	union x1_cmd c = {.perf = {.hdr.op = X1_CMD_PERF_BEGIN}};
	const struct x1_perf *p = (const void *)(t->hbm + t->kdata + 4096);
	struct sums s;
	uint64_t n;

	on(t, LOG2, X1_TL_MASK_ALL);
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	c = program(t, 20);
	t_push(t, 0, &c);
	c = (union x1_cmd){.perf = {.hdr.op = X1_CMD_PERF_END, .addr = T_KDATA + 4096}};
	t_push(t, 0, &c);
	c = t_cmd_copy(T_UDATA, T_UHUGE, 1 << 20);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_q(t, 0, X1_Q_FAULT_INFO), 0);
	s = add_up(t);
	assert_int_equal(t_rd(t, X1_REG_TL_LOST_LO), 0);
	assert_int_equal(s.n[X1_TL_LAUNCH], 1);
	assert_int_equal(s.launch, p->cycles);
	assert_int_equal(s.n[X1_TL_WG], 20);
	assert_int_equal(s.wg, p->mcu_cycles);
	assert_int_equal(s.n[X1_TL_SWITCH], p->format_switches);
	assert_int_equal(s.n[X1_TL_COPY], 1);
	assert_true(s.copy > (1 << 20) / X1_DEF_HBM_BW);
	assert_int_equal(s.n[X1_TL_CMD], 1);
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++) {
		if (e != X1_ENGINE_SEQ)
			assert_int_equal(s.busy[e], p->busy[e]);
		for (unsigned int w = 0; w < X1_STALL_COUNT; w++)
			if (w != X1_STALL_EMPTY)
				assert_int_equal(s.stall[e][w], p->stall[e][w]);
	}
	n = t_rd64(t, X1_REG_TL_HEAD_LO);
	*out = malloc(n * sizeof(**out));
	memcpy(*out, t->hbm + RING, n * sizeof(**out));
	t_free(t);
	return n;
}

/* REQ-TIME-020, and REQ-TIME-018: the same events with any number of threads. */
static void test_adds_up(void **state)
{
	struct x1_tl_event *a, *b;
	uint64_t n;

	(void)state;
	threads = 1;
	n = record(&a);
	assert_true(n > 1000);
	threads = 8;
	assert_int_equal(record(&b), n);
	assert_memory_equal(a, b, n * sizeof(*a));
	free(a);
	free(b);
	threads = 2;
}

/* REQ-TIME-021: a full ring takes no more, and counts; what is read makes room. */
static void test_overflow(void **state)
{
	struct t_host *t = t_new(tweak);
	const struct x1_tl_event *ring = (const void *)(t->hbm + RING);
	union x1_cmd c = program(t, 200);
	struct x1_tl_event first;
	uint64_t lost;

	(void)state;
	on(t, X1_TL_MIN_LOG2, X1_TL_MASK(X1_TL_WG));
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 200);
	first = ring[0];
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 256);
	lost = t_rd64(t, X1_REG_TL_LOST_LO);
	assert_int_equal(lost, 144);
	assert_memory_equal(&first, &ring[0], sizeof(first));
	/* Nothing behind the ring. */
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(ring[256 + i].when, 0);
	t_wr(t, X1_REG_TL_TAIL_LO, 256);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 456);
	assert_int_equal(t_rd64(t, X1_REG_TL_LOST_LO), lost);
	/* A tail that is nonsense loses events, and nothing else. */
	t_wr(t, X1_REG_TL_TAIL_HI, 0xffffffff);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 456);
	assert_int_equal(t_rd64(t, X1_REG_TL_LOST_LO), lost + 200);
	t_free(t);
}

/* REQ-TIME-022: set-up is checked, fixed while it runs, and gone after a reset. */
static void test_setup(void **state)
{
	struct t_host *t = t_new(tweak);
	static const struct {
		uint64_t addr;
		uint32_t log2;
	} bad[] = {
		{RING, X1_TL_MIN_LOG2 - 1},
		{RING, X1_TL_MAX_LOG2 + 1},
		{RING + 16, 10},
		{T_HBM, 10},
		{T_HBM - 4096, 10},
		{1ull << 60, 10},
		{RING, 0xffffffff},
	};
	union x1_cmd c = program(t, 5);
	uint64_t head;

	(void)state;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		x1_core_bar_write(t->core, X1_REG_TL_ADDR_LO, bad[i].addr, 8);
		t_wr(t, X1_REG_TL_LOG2, bad[i].log2);
		t_wr(t, X1_REG_TL_MASK, X1_TL_MASK_ALL);
		assert_int_equal(t_rd(t, X1_REG_TL_MASK), 0);
	}
	/* Off by default: nothing is written. */
	t_queue(t, 0, NULL);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 0);
	on(t, LOG2, X1_TL_MASK_ALL);
	t_wr(t, X1_REG_TL_ADDR_LO, 0);
	t_wr(t, X1_REG_TL_LOG2, 8);
	assert_int_equal(t_rd(t, X1_REG_TL_ADDR_LO), RING);
	assert_int_equal(t_rd(t, X1_REG_TL_LOG2), LOG2);
	t_push(t, 0, &c);
	t_sync(t, 0);
	head = t_rd64(t, X1_REG_TL_HEAD_LO);
	assert_true(head > 0);
	/* Off again: it stands. */
	t_wr(t, X1_REG_TL_MASK, 0);
	t_push(t, 0, &c);
	t_sync(t, 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), head);
	/* A fault, alone. */
	on(t, LOG2, X1_TL_MASK(X1_TL_FAULT));
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 0);
	c = t_cmd_copy(T_NONE, T_UDATA, 8);
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(t_rd64(t, X1_REG_TL_HEAD_LO), 1);
	assert_int_equal(((struct x1_tl_event *)(t->hbm + RING))->arg, X1_FAULT_UNMAPPED);
	assert_int_equal(((struct x1_tl_event *)(t->hbm + RING))->kind, X1_TL_FAULT);
	t_wr(t, X1_REG_RESET, X1_RESET_KEY);
	assert_int_equal(t_rd(t, X1_REG_TL_MASK), 0);
	assert_int_equal(t_rd64(t, X1_REG_TL_ADDR_LO), 0);
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adds_up),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_setup),
	};

	return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
