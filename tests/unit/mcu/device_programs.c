// SPDX-License-Identifier: MIT
/*
 * Grids on the whole device: work-groups that wait for each other, barriers, and
 * random programs that must give the same memory, cycles and counters with 1, 2
 * and 8 worker threads.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "x1/x1_perf.h"

/* ---- programs ---- */

struct prog {
	struct x1_insn insn[160];
	struct x1_desc desc[48];
	uint32_t insns, descs;
};

static struct x1_insn *add(struct prog *p, struct x1_insn in)
{
	assert_true(p->insns < 160);
	p->insn[p->insns] = in;
	return &p->insn[p->insns++];
}

static struct x1_insn *alu(struct prog *p, unsigned int op, unsigned int rd, unsigned int ra,
			   uint64_t imm)
{
	return add(p, (struct x1_insn){.op = (uint8_t)op,
				       .rd = (uint8_t)rd,
				       .ra = (uint8_t)ra,
				       .rb = X1_REG_IMM,
				       .imm = imm});
}

static struct x1_insn *access(struct prog *p, unsigned int op, unsigned int rd, unsigned int ra,
			      uint64_t imm)
{
	return add(p, (struct x1_insn){.op = (uint8_t)op,
				       .rd = (uint8_t)rd,
				       .ra = (uint8_t)ra,
				       .rb = 3,
				       .imm = imm});
}

/* Registers 50, 51, 52 carry the addresses. */
static struct x1_insn *engine(struct prog *p, unsigned int op, uint64_t rd, uint64_t ra,
			      uint64_t rb, const struct x1_desc *d)
{
	assert_true(p->descs < 48);
	alu(p, X1_OP_ADD, 50, 0, rd);
	if (op == X1_OP_MM || op == X1_OP_VEC)
		alu(p, X1_OP_ADD, 51, 0, ra);
	else
		alu(p, X1_OP_ADD, 51, (unsigned int)ra, 0);
	alu(p, X1_OP_ADD, 52, 0, rb);
	p->desc[p->descs] = *d;
	return add(p, (struct x1_insn){
			      .op = (uint8_t)op, .rd = 50, .ra = 51, .rb = 52, .imm = p->descs++});
}

/* Image of a program with its END at a place of the program area; a LAUNCH of it. */
static union x1_cmd launch_of(struct t_host *t, struct prog *p, uint32_t off, uint32_t grid)
{
	uint8_t *at = t->hbm + t->uprog + off;
	uint32_t code;
	union x1_cmd c;

	add(p, (struct x1_insn){.op = X1_OP_END});
	code = p->insns * X1_INSN_BYTES;
	for (uint32_t i = 0; i < p->insns; i++)
		if (p->insn[i].op >= X1_OP_LOAD)
			p->insn[i].imm = code + p->insn[i].imm * sizeof(struct x1_desc);
	memcpy(at, p->insn, code);
	memcpy(at + code, p->desc, p->descs * sizeof(struct x1_desc));
	c = t_cmd_launch(T_UPROG + off, p->insns, grid);
	c.launch.program_bytes += p->descs * (uint32_t)sizeof(struct x1_desc);
	return c;
}

/* ---- work-groups that know each other ---- */

/* REQ-ISA-023: a chain of waits on one MCU and on many, none of them stuck. */
static void test_chain(void **state)
{
	const uint32_t grid = 100;

	(void)state;
	for (uint32_t mcus = 1; mcus <= 8; mcus += 7) {
		struct t_host *t = t_new(NULL);
		struct prog p = {.insns = 0};
		const uint64_t *out = (uint64_t *)(t->hbm + t->udata);
		union x1_cmd c;

		/* Each adds its number to what the one before it has written. */
		alu(&p, X1_OP_MUL, 17, 1, 64);
		alu(&p, X1_OP_ADD, 17, 17, T_UDATA);
		alu(&p, X1_OP_ADD, 18, 0, 1);
		add(&p, (struct x1_insn){.op = X1_OP_BEQ, .ra = 1, .imm = p.insns + 3});
		access(&p, X1_OP_WAITGE, 18, 17, (uint64_t)-64);
		access(&p, X1_OP_LDM, 19, 17, (uint64_t)-56);
		alu(&p, X1_OP_ADD, 19, 19, 0)->rb = 1;
		access(&p, X1_OP_STM, 19, 17, 8);
		access(&p, X1_OP_STREL, 18, 17, 0);
		c = launch_of(t, &p, 0, grid);
		t_queue(t, 0, &(struct t_qopt){.mcu_first = 3, .mcu_count = mcus});
		t_push(t, 0, &c);
		t_sync(t, 0);
		for (uint32_t i = 0; i < grid; i++)
			assert_int_equal(out[i * 8 + 1], i * (i + 1) / 2);
		t_free(t);
	}
}

/* REQ-ISA-025: nobody passes before the last one has come, three times. */
static void test_barrier(void **state)
{
	const uint32_t grid = 60;
	struct t_host *t = t_new(NULL);
	const uint64_t *out = (uint64_t *)(t->hbm + t->udata + 4096);
	struct prog p = {.insns = 0};
	union x1_cmd c;

	(void)state;
	alu(&p, X1_OP_ADD, 17, 0, T_UDATA);
	alu(&p, X1_OP_MUL, 18, 1, 32);
	alu(&p, X1_OP_ADD, 18, 18, T_UDATA + 4096);
	alu(&p, X1_OP_ADD, 19, 0, 1);
	for (unsigned int i = 0; i < 3; i++) {
		access(&p, X1_OP_ATADD, 19, 17, i * 64);
		add(&p, (struct x1_insn){.op = X1_OP_GRIDBAR});
		access(&p, X1_OP_LDM, 20, 17, i * 64);
		access(&p, X1_OP_STM, 20, 18, i * 8);
	}
	c = launch_of(t, &p, 0, grid);
	c.hdr.flags = X1_LAUNCH_COOPERATIVE;
	t_queue(t, 0, &(struct t_qopt){.mcu_count = grid});
	t_push(t, 0, &c);
	t_sync(t, 0);
	for (uint32_t i = 0; i < grid * 4; i++)
		assert_int_equal(out[i], i % 4 < 3 ? grid : 0);
	/* One more work-group than MCUs. */
	c.launch.grid[0]++;
	t_push(t, 0, &c);
	t_ring(t, 0);
	t_until_state(t, 0, X1_Q_STATE_FAULTED);
	assert_int_equal(T_FAULT_CODE(t, 0), X1_FAULT_GRID);
	t_free(t);
}

/* ---- random programs ---- */

static uint32_t rng_state;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

enum {
	LOCAL = 0x8000,    /* bytes of scratchpad that a program has loaded */
	ACC = 0x1000,      /* and of accumulators */
	OUT = LOCAL + ACC, /* what a work-group stores */
	GRID = 24,
	LAUNCHES = 6,
};

#define INPUT  T_UDATA              /* read by all */
#define FLAGS  (T_UDATA + 0x80000)  /* a 4 KiB page per launch */
#define OUTPUT (T_UDATA + 0x100000) /* OUT bytes per work-group, of one launch after the other */

static void linear(struct x1_desc *d, uint32_t bytes, bool store)
{
	*d = (struct x1_desc){0};
	d->f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1);
	if (store)
		d->f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(X1_FMT_INT8) | X1_DMA_CTRL_MFMT(X1_FMT_INT8);
	d->f[X1_DMA_COUNT0] = bytes;
}

static uint64_t place(uint32_t bytes)
{
	return rnd() % (LOCAL - bytes) & ~3u;
}

static void random_vec(struct prog *p, struct x1_desc *d)
{
	static const uint8_t ops[] = {
		X1_VEC_MOV,    X1_VEC_RELU, X1_VEC_EXP,   X1_VEC_GELU,   X1_VEC_ADD,
		X1_VEC_MUL,    X1_VEC_DIV,  X1_VEC_MAX,   X1_VEC_CMPLT,  X1_VEC_FMA,
		X1_VEC_SELECT, X1_VEC_RSUM, X1_VEC_RAMAX, X1_VEC_RMIN,   X1_VEC_EXPSUM,
		X1_VEC_MASK,   X1_VEC_TOPK, X1_VEC_QUANT, X1_VEC_GATHER, X1_VEC_SCATTER_ADD,
	};
	uint32_t op = ops[rnd() % sizeof(ops)], rows = 1 + rnd() % 6, cols = 8 * (1 + rnd() % 8);
	uint32_t fmt = 0;

	*d = (struct x1_desc){0};
	for (unsigned int i = 0; i < 4 && op < X1_VEC_RSUM; i++)
		fmt |= (rnd() % 2 ? X1_FMT_FP32 : rnd() % X1_FMT_COUNT) << 8 * i;
	d->f[X1_VEC_OP] = op;
	d->f[X1_VEC_ROWS] = rows;
	d->f[X1_VEC_COLS] = cols;
	d->f[X1_VEC_FMT] = fmt;
	for (unsigned int i = X1_VEC_D_STRIDE; i <= X1_VEC_S2_STRIDE; i++)
		d->f[i] = cols * 4;
	d->f[X1_VEC_S2_ADDR] = (uint32_t)place(4096);
	d->f[X1_VEC_IMM1] = d->f[X1_VEC_IMM2] = 0x3f000000;
	if (op == X1_VEC_TOPK)
		d->f[X1_VEC_PARAM] = 1 + rnd() % 8;
	else if (op == X1_VEC_QUANT)
		d->f[X1_VEC_PARAM] = X1_SCALE_MX32, d->f[X1_VEC_FMT] = X1_FMT_E4M3;
	else if (op == X1_VEC_GATHER || op == X1_VEC_SCATTER_ADD) {
		d->f[X1_VEC_PARAM] = 4;
		d->f[X1_VEC_FMT] = X1_FMT_INT32 << 16;
		d->f[X1_VEC_CTRL] = X1_VEC_CTRL_BCAST1(X1_VEC_BCAST_COL);
	}
	engine(p, X1_OP_VEC, place(4096), place(4096), place(4096), d);
}

static void random_mm(struct prog *p, struct x1_desc *d)
{
	static const uint8_t formats[] = {X1_FMT_FP32, X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3,
					  X1_FMT_E2M3, X1_FMT_E2M1, X1_FMT_INT8};
	uint32_t a = formats[rnd() % sizeof(formats)], m = 1 + rnd() % 16, n = 1 + rnd() % 16;
	bool mx = a != X1_FMT_INT8 && x1_format_bits(a) <= 8 && rnd() % 2;

	*d = (struct x1_desc){0};
	d->f[X1_MM_M] = m;
	d->f[X1_MM_N] = n;
	d->f[X1_MM_K] = 32 + 32 * (rnd() % 2);
	d->f[X1_MM_FMT] = X1_MM_FMT(a, a);
	d->f[X1_MM_SCALE] = X1_MM_SCALE(mx ? X1_SCALE_MX32 : 0, 0,
					rnd() % 3 ? 0 : rnd() % X1_SPARSE_COUNT);
	d->f[X1_MM_ACCUMULATE] = rnd() % 2;
	d->f[X1_MM_A_STRIDE] = d->f[X1_MM_B_STRIDE] = 256;
	d->f[X1_MM_ACC_STRIDE] = n * 4;
	d->f[X1_MM_SA_ADDR] = d->f[X1_MM_META_ADDR] = (uint32_t)place(4096);
	d->f[X1_MM_SA_STRIDE] = d->f[X1_MM_META_STRIDE] = 32;
	engine(p, X1_OP_MM, X1_ACC_ADDR + rnd() % (ACC - 1024) / 4 * 4, place(4096), place(4096),
	       d);
}

/*
 * Loads its part of the input, computes on what it has loaded, adds to words
 * that all share, waits for the one before it now and then, stores everything.
 */
static void random_program(struct prog *p, uint32_t launch, bool coop)
{
	struct x1_desc d;
	uint32_t blocks = 3 + rnd() % 5;

	*p = (struct prog){.insns = 0};
	alu(p, X1_OP_MUL, 40, 1, 64 * (1 + rnd() % 40));
	alu(p, X1_OP_ADD, 40, 40, INPUT);
	alu(p, X1_OP_MUL, 41, 1, OUT);
	alu(p, X1_OP_ADD, 41, 41, OUTPUT + (uint64_t)launch * GRID * OUT);
	alu(p, X1_OP_MUL, 42, 1, 64);
	alu(p, X1_OP_ADD, 42, 42, FLAGS + launch * 4096ull);
	alu(p, X1_OP_ADD, 43, 0, FLAGS + launch * 4096ull + 2048);
	alu(p, X1_OP_ADD, 44, 41, LOCAL);
	if (rnd() % 2) {
		linear(&d, 65536, false);
		engine(p, X1_OP_PREFETCH, 0, 40, 0, &d);
	}
	linear(&d, LOCAL, false);
	engine(p, X1_OP_LOAD, 0, 40, 0, &d)->sig[0] = X1_SEM(0);
	linear(&d, ACC, false);
	engine(p, X1_OP_LOAD, X1_ACC_ADDR, 40, 0, &d)->sig[0] = X1_SEM(1);
	add(p, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(0), X1_SEM(1)}});
	for (uint32_t b = 0; b < blocks; b++) {
		struct x1_insn *loop = NULL;
		uint32_t first = p->insns;

		if (rnd() % 3 == 0)
			loop = add(p, (struct x1_insn){.op = X1_OP_LOOPI, .rd = 1 + rnd() % 3});
		for (uint32_t i = 1 + rnd() % 2; i; i--) {
			if (rnd() % 2)
				random_vec(p, &d);
			else
				random_mm(p, &d);
			/* In order with its successor, or not. */
			if (rnd() % 2) {
				p->insn[p->insns - 1].sig[0] = X1_SEM(2);
				add(p, (struct x1_insn){.op = X1_OP_NOP, .wait = {X1_SEM(2)}});
			}
		}
		alu(p, X1_OP_ADD, 20, 20, rnd());
		access(p, X1_OP_LDS, 21, 0, place(8));
		access(p, X1_OP_ATADD, 20, 43, 8 * (rnd() % 8));
		access(p, X1_OP_ATMAX, 1, 43, 8 * (8 + rnd() % 8));
		if (loop)
			p->insn[first].imm = p->insns;
		add(p, (struct x1_insn){.op = X1_OP_SYNC});
		if (coop && rnd() % 2)
			add(p, (struct x1_insn){.op = X1_OP_GRIDBAR});
	}
	if (rnd() % 2) {
		alu(p, X1_OP_ADD, 22, 0, 1);
		add(p, (struct x1_insn){.op = X1_OP_BEQ, .ra = 1, .imm = p->insns + 2});
		access(p, X1_OP_WAITGE, 22, 42, (uint64_t)-64);
		access(p, X1_OP_STREL, 22, 42, 0);
	}
	linear(&d, LOCAL, true);
	engine(p, X1_OP_STORE, 0, 41, 0, &d);
	linear(&d, ACC, true);
	engine(p, X1_OP_STORE, X1_ACC_ADDR, 44, 0, &d);
}

static uint32_t threads;

static void with_threads(struct x1_core_config *cfg)
{
	cfg->threads = threads;
	cfg->mcus = 16;
}

struct outcome {
	uint64_t time[LAUNCHES];
	struct x1_perf perf[LAUNCHES];
	uint8_t *memory; /* 8 MiB */
};

/* Each LAUNCH in a queue of its own, all released at once. */
static void run_all(uint32_t seed, struct outcome *o)
{
	struct t_host *t = t_new(with_threads);
	struct prog p;
	union x1_cmd c;

	rng_state = seed;
	for (uint32_t i = 0; i < 0x40000; i += 4) {
		/* Mostly numbers near 1. */
		uint32_t u = rnd() % 9 ? (rnd() & 0x81ffffff) | 0x3e000000 : rnd();

		memcpy(t->hbm + t->udata + i, &u, 4);
	}
	t_wr(t, X1_REG_GATE_LO, (1u << LAUNCHES) - 1);
	for (uint32_t i = 0; i < LAUNCHES; i++) {
		bool coop = i == 2;

		t_queue(t, i, &(struct t_qopt){.priority = i % X1_NUM_PRIORITIES});
		random_program(&p, i, coop);
		c = (union x1_cmd){.perf = {.hdr = {.op = X1_CMD_PERF_BEGIN}}};
		t_push(t, i, &c);
		c = launch_of(t, &p, i * 16384, coop ? 12 : GRID);
		c.hdr.flags = coop ? X1_LAUNCH_COOPERATIVE : 0;
		t_push(t, i, &c);
		c = (union x1_cmd){.perf = {.hdr = {.op = X1_CMD_PERF_END},
					    .addr = T_KDATA + 4096 + i * 1024}};
		t_push(t, i, &c);
		c = t_cmd_sync(X1_CMD_TIMESTAMP, T_KDATA + 512 + i * 8, 0, 0);
		t_push(t, i, &c);
		c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + i * 8, 1, 0);
		t_push(t, i, &c);
		t_ring(t, i);
	}
	t_wr(t, X1_REG_GATE_LO, 0);
	for (uint32_t i = 0; i < LAUNCHES; i++) {
		uint64_t end = t_now_ms() + T_WAIT_MS;

		while (!t_kword(t, i)) {
			if (t_q(t, i, X1_Q_STATE) == X1_Q_STATE_FAULTED || t_now_ms() > end)
				fail_msg("seed %u, launch %u: fault %s at %u", seed, i,
					 x1_fault_name(T_FAULT_CODE(t, i)),
					 t_q(t, i, X1_Q_FAULT_PC));
		}
		o->time[i] = t_kword(t, 64 + i);
		memcpy(&o->perf[i], t->hbm + t->kdata + 4096 + i * 1024, sizeof(o->perf[i]));
	}
	o->memory = malloc(8 << 20);
	memcpy(o->memory, t->hbm + t->udata, 8 << 20);
	t_free(t);
}

/* REQ-TIME-018, and numerics: the number of threads changes nothing. */
static void test_threads(void **state)
{
	static const uint32_t counts[] = {1, 2, 8, 2};
	struct outcome first, other;

	(void)state;
	for (uint32_t seed = 1; seed <= 6; seed++) {
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			threads = counts[i];
			run_all(seed * 7919, i ? &other : &first);
			if (!i) {
				for (uint32_t l = 0; l < LAUNCHES; l++)
					assert_true(first.perf[l].work_groups && first.time[l]);
				continue;
			}
			if (memcmp(first.memory, other.memory, 8 << 20))
				fail_msg("seed %u: other memory with %u threads", seed, threads);
			if (memcmp(first.time, other.time, sizeof(first.time)))
				fail_msg("seed %u: other cycles with %u threads", seed, threads);
			if (memcmp(first.perf, other.perf, sizeof(first.perf)))
				fail_msg("seed %u: other counters with %u threads", seed, threads);
			free(other.memory);
		}
		free(first.memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("grids", tests, NULL, NULL);
}
