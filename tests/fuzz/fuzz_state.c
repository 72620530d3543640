// SPDX-License-Identifier: MIT
/*
 * Saved states that were tampered with: they are refused with a reason, or the
 * device goes on with what they say, and a reset brings back one that works.
 * REQ-MIG-004.
 *
 * Input: a header byte, then changes to a good state. It is one of a device in
 * the midst of work of every kind: launches that run, wait and are suspended,
 * commands and replays under way in the event model, queues that are gated,
 * faulted, waiting, firmware that runs.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "fuzz.h"
#include "x1_stream.h"

#define HORIZON     60000u /* the event model stands still at this cycle */
#define MAX_CHANGES 12
#define MAX_PLACES  4096
#define GROW        256u

enum {
	Q_ENDLESS, /* holds the event model at HORIZON */
	Q_PRODUCT,
	Q_CHAIN,
	Q_COPY,
	Q_WAIT,
	Q_FAULT,
	Q_SUSPENDED,
	Q_GATED,
};

static struct {
	uint8_t *state, *copy, *hbm; /* hbm: what the work reads of it */
	size_t len;
	/* Where parts begin, by their tags. */
	size_t place[MAX_PLACES];
	unsigned int places;
} base;

/* The ring VM's data, programs, and the start of the user VM's data. */
#define HBM_KEPT (5u << 20)

static uint64_t put(struct t_host *t, uint32_t off, const struct x1_insn *code, uint32_t n,
		    const struct x1_desc *desc, uint32_t descs)
{
	memcpy(t->hbm + t->uprog + off, code, n * sizeof(*code));
	if (descs)
		memcpy(t->hbm + t->uprog + off + n * sizeof(*code), desc, descs * sizeof(*desc));
	return T_UPROG + off;
}

static void launch(struct t_host *t, uint32_t q, uint64_t prog, uint32_t insns, uint32_t descs,
		   uint32_t grid, uint32_t flags)
{
	union x1_cmd c = t_cmd_launch(prog, insns, grid);

	c.launch.program_bytes += descs * (uint32_t)sizeof(struct x1_desc);
	c.hdr.flags = (uint16_t)flags;
	t_push(t, q, &c);
}

static void push(struct t_host *t, uint32_t q, union x1_cmd c)
{
	t_push(t, q, &c);
}

/* Products of two formats in a loop of LOADs, then a STORE: busy engines, tokens, switches. */
static void product(struct t_host *t)
{
#define N       11
#define DESC(i) (N * X1_INSN_BYTES + (i) * sizeof(struct x1_desc))
	static const struct x1_insn code[N] = {
		{.op = X1_OP_ADD, .rd = 16, .rb = X1_REG_IMM, .imm = T_UHUGE},
		{.op = X1_OP_ADD, .rd = 17, .rb = X1_REG_IMM, .imm = T_UDATA + (1 << 20)},
		{.op = X1_OP_ADD, .rd = 18, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
		{.op = X1_OP_LOOPI, .rd = 200, .imm = 8},
		{.op = X1_OP_LOAD, .ra = 16, .sig = {X1_SEM(0)}, .imm = DESC(0)},
		{.op = X1_OP_MM, .rd = 18, .wait = {X1_SEM(0)}, .sig = {X1_SEM(1)}, .imm = DESC(1)},
		{.op = X1_OP_MM, .rd = 18, .wait = {X1_SEM(1)}, .imm = DESC(2)},
		{.op = X1_OP_STORE, .rd = 18, .ra = 17, .imm = DESC(3)},
		{.op = X1_OP_SYNC},
		{.op = X1_OP_LDM, .rd = 20, .ra = 16, .rb = 3},
		{.op = X1_OP_END},
	};
	const struct x1_desc desc[4] = {
		{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(2),
		       [X1_DMA_COUNT0] = 256,
		       [X1_DMA_COUNT0 + 1] = 16,
		       [X1_DMA_MSTRIDE1] = 8192,
		       [X1_DMA_LSTRIDE1] = 256}},
		{.f = {[X1_MM_M] = 64,
		       [X1_MM_N] = 32,
		       [X1_MM_K] = 64,
		       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3),
		       [X1_MM_A_STRIDE] = 64,
		       [X1_MM_B_STRIDE] = 64,
		       [X1_MM_ACC_STRIDE] = 128}},
		{.f = {[X1_MM_M] = 64,
		       [X1_MM_N] = 32,
		       [X1_MM_K] = 64,
		       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_INT8, X1_FMT_INT8),
		       [X1_MM_A_STRIDE] = 64,
		       [X1_MM_B_STRIDE] = 64,
		       [X1_MM_ACC_STRIDE] = 128}},
		{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
				       X1_DMA_CTRL_MFMT(X1_FMT_FP16),
		       [X1_DMA_COUNT0] = 2048}},
	};
	uint64_t prog = put(t, 4096, code, N, desc, 4);

	launch(t, Q_PRODUCT, prog, N, 4, 6, 0);
	launch(t, Q_PRODUCT, prog, N, 4, 1, X1_LAUNCH_OVERLAP);
	push(t, Q_PRODUCT, t_cmd_sync(X1_CMD_FENCE, T_KDATA, 1, X1_FENCE_IRQ));
#undef N
#undef DESC
}

/*
 * Work-groups that wait in their engines' queues and for a word that nobody
 * writes; the first has written a release of its own.
 */
static void chain(struct t_host *t)
{
	const struct x1_insn code[] = {
		{.op = X1_OP_ADD, .rd = 20, .rb = X1_REG_IMM, .imm = T_UDATA + 256},
		{.op = X1_OP_ADD, .rd = 21, .rb = X1_REG_IMM, .imm = 7},
		{.op = X1_OP_VEC,
		 .rd = 21,
		 .ra = 21,
		 .wait = {X1_SEM(3)},
		 .imm = 7 * X1_INSN_BYTES},
		{.op = X1_OP_ATADD, .rd = 21, .ra = 20, .rb = 3, .imm = 64},
		{.op = X1_OP_LOOPI, .rd = 9, .imm = 6},
		{.op = X1_OP_WAITGE, .rd = 21, .ra = 20, .rb = 3},
		{.op = X1_OP_END},
	};
	const struct x1_desc desc = {.f = {[X1_VEC_OP] = X1_VEC_RELU,
					   [X1_VEC_ROWS] = 1,
					   [X1_VEC_COLS] = 16,
					   [X1_VEC_D_STRIDE] = 64,
					   [X1_VEC_S0_STRIDE] = 64}};

	/* The operand's address has to be aligned: 7 + 1. */
	launch(t, Q_CHAIN, put(t, 8192, code, 7, &desc, 1), 7, 1, 5, 0);
}

static void endless(struct t_host *t)
{
	static const struct x1_insn code[] = {
		{.op = X1_OP_LOOPI, .rd = 255, .ra = 255, .imm = 2},
		{.op = X1_OP_NOP},
		{.op = X1_OP_JMP, .imm = 0},
	};
	uint32_t db = X1_REGS_BYTES + Q_ENDLESS * X1_DB_STRIDE_DEFAULT;

	launch(t, Q_ENDLESS, put(t, 0, code, 3, NULL, 0), 3, 0, 2, 0);
	t_wr(t, db + X1_DB_ARRIVAL_LO, HORIZON);
	t_wr(t, db + X1_DB_ARRIVAL_HI, 0);
}

static void begin(struct t_host *t)
{
	fz_boot(t);
	for (uint32_t q = 0; q <= Q_GATED; q++)
		t_queue(t, q,
			&(struct t_qopt){.priority = q % 4,
					 .log2 = 6,
					 .vector = q,
					 .mcu_count = q == Q_ENDLESS ? 1 : 0,
					 .rptr_addr = T_KDATA + 4096 + q * 8});
	t_wr(t, X1_REG_GATE_LO, 0xff);
	endless(t);
	product(t);
	chain(t);
	/* As slow as the link: it is under way at HORIZON. */
	push(t, Q_COPY, t_cmd_copy(T_USYS, T_UDATA + (2 << 20), 4 << 20));
	push(t, Q_COPY, t_cmd_fill(T_UDATA + (2 << 20), 1 << 20, 3, 1));
	push(t, Q_WAIT, t_cmd_sync(X1_CMD_WAIT, T_KDATA + 8, 1, 0));
	push(t, Q_WAIT, t_cmd_sync(X1_CMD_FENCE, T_KDATA + 16, 1, 0));
	push(t, Q_FAULT, t_cmd_copy(T_NONE, T_UDATA, 8));
	push(t, Q_SUSPENDED, t_cmd_call(T_UDATA + 512, 3));
	push(t, Q_GATED, t_cmd_sync(X1_CMD_FENCE, T_KDATA + 24, 1, 0));
	memcpy(t->hbm + t->udata + 512, &(union x1_cmd){.hdr.op = X1_CMD_NOP}, X1_CMD_BYTES);
	for (uint32_t q = 0; q <= Q_GATED; q++)
		t_ring(t, q);
	t_op(t, Q_SUSPENDED, X1_Q_OP_SUSPEND);
	t_wr(t, X1_REG_GATE_LO, 1u << Q_GATED);
}

/* Until nothing moves but what is endless. */
static void come_to_rest(struct t_host *t)
{
	uint64_t clock = UINT64_MAX;

	for (unsigned int still = 0; still < 20; still++) {
		uint64_t now = t_rd64(t, X1_REG_CLOCK_LO);

		if (now != clock)
			still = 0;
		clock = now;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* Parts begin with four letters; what else looks like one is as good a place. */
static void find_places(void)
{
	static const char tags[][5] = {"REGS", "QUEU", "LAUN", "CMD ",
				       "END.", "TIME", "TMEM", "TLAU"};

	for (size_t at = 0; at + 4 <= base.len && base.places < MAX_PLACES; at++)
		for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
			if (!memcmp(base.state + at, tags[i], 4))
				base.place[base.places++] = at;
}

static void make_base(struct t_host *t)
{
	fz_restart(t);
	begin(t);
	come_to_rest(t);
	x1_core_park(t->core);
	FZ_CHECK(!x1_core_save(t->core, &base.state, &base.len), "no memory");
	base.hbm = malloc(HBM_KEPT);
	base.copy = malloc(base.len + GROW);
	FZ_CHECK(base.hbm && base.copy, "no memory");
	memcpy(base.hbm, t->hbm + t->kdata, HBM_KEPT);
	x1_core_unpark(t->core);
	find_places();
	FZ_CHECK(base.places >= 20, "only %u parts", base.places);
}

/* One change of the `len` bytes of the copy; returns how many there are then. */
static size_t change(struct fz_in *in, size_t len)
{
	uint8_t how = fz_u8(in);
	size_t at = how & 0x80 ? fz_u32(in) % base.len
			       : base.place[fz_u8(in) % base.places] + fz_u16(in);
	uint64_t v;

	if (at + 8 > len)
		return len;
	switch (how & 7) {
	case 0:
		base.copy[at] ^= (uint8_t)(1 + fz_u8(in));
		return len;
	case 1:
		return at;
	case 2: /* bytes that are too many */
		if (len + 4 <= base.len + GROW) {
			memmove(base.copy + at + 4, base.copy + at, len - at);
			len += 4;
		}
		return len;
	case 3: /* and too few */
		memmove(base.copy + at, base.copy + at + 4, len - at - 4);
		return len - 4;
	default:
		v = fz_number(in);
		memcpy(base.copy + at, &v, how & 1 ? 4 : 8);
		return len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct t_host *t = fz_device();
	struct fz_in in = {data, size};
	uint8_t how = fz_u8(&in);
	char err[64] = "";
	size_t len;
	int ret;

	if (!base.state)
		make_base(t);
	fz_restart(t);
	memcpy(t->hbm + t->kdata, base.hbm, HBM_KEPT);
	memcpy(base.copy, base.state, base.len);
	len = base.len;
	for (unsigned int i = 0; i < MAX_CHANGES && in.n; i++)
		len = change(&in, len);
	ret = x1_core_load(t->core, base.copy, len, err, sizeof(err));
	FZ_CHECK(ret == 0 || (ret == -EINVAL && *err), "load: %d '%s'", ret, err);
	FZ_CHECK(ret == 0 || len != base.len || memcmp(base.copy, base.state, len),
		 "a good state was refused: %s", err);
	if (!ret) {
		uint8_t *again;

		/* It can be let go, and saved once more. */
		if (how & 1)
			t_wr(t, X1_REG_GATE_LO, 0);
		if (how & 2)
			t_op(t, Q_SUSPENDED, X1_Q_OP_RESUME);
		if (how & 4)
			t_op(t, Q_ENDLESS, X1_Q_OP_RESET);
		if (how & 8)
			t_set_kword(t, 1, 1);
		nanosleep(&(struct timespec){.tv_nsec = (how >> 5) * 200000l}, NULL);
		if (how & 16) {
			FZ_CHECK(!x1_core_save(t->core, &again, &len), "no memory");
			free(again);
		}
	}
	/* Faults on purpose outlive the reset that follows. */
	x1_lock(t->core);
	x1_inject_clear(t->core);
	x1_unlock(t->core);
	fz_restart(t);
	t_queue(t, 0, NULL);
	fz_alive(t, 0);
	return 0;
}
