// SPDX-License-Identifier: MIT
/*
 * Command streams on two queues, with page tables that change under them:
 * whatever is in them, a queue can be reset and the device goes on. REQ-CMD,
 * REQ-MMU.
 *
 * Input: a sequence of steps, a byte each with what it needs.
 */
#include <stdio.h>

#include "fuzz.h"

#define MAX_STEPS 64
#define WAIT_MS   20
#define QUEUES    2
#define CALL_DVA  (T_UDATA + 0x8000)

static const struct x1_insn programs[][4] = {
	{{.op = X1_OP_END}},
	{{.op = X1_OP_STM, .rd = 1, .ra = 7, .rb = 3}, {.op = X1_OP_END}},
	{{.op = X1_OP_JMP, .imm = 0}},
	{{.op = X1_OP_WAITGE, .rd = 5, .ra = 7, .rb = 3}, {.op = X1_OP_END}},
};

static union x1_cmd command(struct fz_in *in)
{
	union x1_cmd c = {.hdr = {.op = fz_u8(in) % (X1_CMD_COUNT + 1)}};
	uint8_t how = fz_u8(in);

	if (how & 1)
		c.hdr.flags = fz_u8(in);
	c.hdr.tag = how;
	switch (c.hdr.op) {
	case X1_CMD_LAUNCH:
		c.launch.program = how & 2 ? fz_address(in) : T_UPROG + how % 4 * 64u;
		c.launch.num_insns = 1 + (how >> 2 & 3);
		c.launch.program_bytes = how & 4 ? 64 : 16 * c.launch.num_insns;
		for (unsigned int i = 0; i < 3; i++)
			c.launch.grid[i] = (uint32_t)fz_number(in);
		c.launch.args = T_UDATA + 0x100;
		c.launch.num_args = how >> 4 & 3;
		if (how & 0x80) {
			c.launch.args = fz_address(in);
			c.launch.num_args = (uint32_t)fz_number(in);
			c.launch.grid_dva = fz_address(in);
		}
		break;
	case X1_CMD_COPY:
		c.copy.src = fz_address(in);
		c.copy.dst = fz_address(in);
		c.copy.bytes = fz_number(in);
		c.copy.rows = how & 2 ? (uint32_t)fz_number(in) : 1;
		c.copy.src_pitch = (int64_t)fz_number(in);
		c.copy.dst_pitch = (int64_t)fz_number(in);
		break;
	case X1_CMD_FILL:
		c.fill.dst = fz_address(in);
		c.fill.pattern_bytes = 1u << (how >> 4 & 3);
		c.fill.bytes = how & 2 ? fz_number(in) : fz_number(in) * 8;
		c.fill.pattern = fz_u32(in);
		c.fill.rows = how & 4 ? (uint32_t)fz_number(in) : 1;
		c.fill.pitch = (int64_t)fz_number(in);
		break;
	case X1_CMD_CALL:
		c.call.addr = how & 2 ? fz_address(in) : CALL_DVA;
		c.call.count = how & 4 ? (uint32_t)fz_number(in) : 8;
		break;
	case X1_CMD_PERF_BEGIN:
	case X1_CMD_PERF_END:
		c.perf.addr = c.hdr.op == X1_CMD_PERF_END ? fz_address(in) & ~63ull : how & 2;
		break;
	case X1_CMD_FENCE:
	case X1_CMD_WAIT:
	case X1_CMD_TIMESTAMP:
		c.sync.addr = how & 2 ? fz_address(in) : T_KDATA + (how >> 4) * 8u;
		c.sync.value = c.hdr.op == X1_CMD_TIMESTAMP && !(how & 4) ? 0 : fz_number(in);
		break;
	default:
		break;
	}
	return c;
}

/* Entries on the way to some pages of the user VM, at all levels. */
#define NUM_PTES 24
static uint64_t *pte[NUM_PTES];

static void find_ptes(struct t_host *t)
{
	static const uint64_t where[] = {T_UDATA, T_UDATA + 0x8000, T_UHUGE,
					 T_USYS,  T_UPROG,          T_URO};

	for (unsigned int i = 0; i < NUM_PTES; i++) {
		uint64_t dva = where[i / 4];
		unsigned int level = i % 4;

		/* Huge pages have no level 0. */
		pte[i] = t_pte(t, T_UVM, dva, dva == T_UHUGE && !level ? 1 : level);
	}
}

static uint64_t entry(struct fz_in *in, struct t_host *t)
{
	uint8_t kind = fz_u8(in);
	uint64_t flags = fz_u8(in) & 0x3f;

	switch (kind & 7) {
	case 0:
		return 0;
	case 1:
		return fz_u64(in);
	case 2: /* far outside */
		return (fz_u64(in) & X1_PTE_ADDR_MASK) | flags;
	case 3: /* a table, perhaps its own */
		return ((uint64_t)fz_u8(in) * X1_PT_BYTES) | flags;
	case 4: /* the end of HBM */
		return (T_HBM - X1_PAGE_SIZE * (uint64_t)(kind >> 3)) | flags;
	case 5: /* system memory, edges included */
		return (T_SYS_BASE + T_SYS - X1_PAGE_SIZE * (uint64_t)(kind >> 3)) | flags |
		       X1_PTE_SYSTEM;
	case 6:
		return (t->uhuge + (uint64_t)fz_u8(in) * X1_PAGE_SIZE) | flags;
	default:
		return t->udata | flags | X1_PTE_VALID;
	}
}

static void invalidate(struct t_host *t, uint32_t vm, uint64_t addr, uint64_t len)
{
	t_wr(t, X1_REG_INV_VM, vm);
	t_wr(t, X1_REG_INV_ADDR_LO, (uint32_t)addr);
	t_wr(t, X1_REG_INV_ADDR_HI, (uint32_t)(addr >> 32));
	t_wr(t, X1_REG_INV_LEN_LO, (uint32_t)len);
	t_wr(t, X1_REG_INV_LEN_HI, (uint32_t)(len >> 32));
	t_wr(t, X1_REG_INV_SEQ, t_rd(t, X1_REG_INV_DONE) + 1);
}

static void step(struct t_host *t, struct fz_in *in)
{
	uint8_t what = fz_u8(in);
	uint32_t q = what >> 7;
	union x1_cmd c;

	switch (what & 0x1f) {
	default:
		c = command(in);
		t_push(t, q, &c);
		if (what & 0x40)
			t_ring(t, q);
		break;
	case 12:
	case 13:
		c = command(in);
		memcpy(t->hbm + t->udata + 0x8000 + fz_u8(in) % 8 * sizeof(c), &c, sizeof(c));
		break;
	case 14:
		for (unsigned int i = 0; i < 8; i++)
			c.words[i] = fz_u64(in);
		t_push(t, q, &c);
		break;
	case 15:
	case 16:
	case 17:
		__atomic_store_n(pte[fz_below(in, NUM_PTES)], entry(in, t), __ATOMIC_RELEASE);
		if (what & 0x20)
			invalidate(t, T_UVM, 0, 0);
		break;
	case 18:
		invalidate(t, fz_u8(in) % 4, fz_address(in), fz_number(in));
		break;
	case 19:
		t_ring(t, q);
		break;
	case 20:
		t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR, fz_u32(in));
		break;
	case 21:
		t_op(t, q, what & 0x20 ? X1_Q_OP_SUSPEND : X1_Q_OP_RESUME);
		break;
	case 22:
		t_op(t, q, X1_Q_OP_RESET);
		break;
	case 23:
		t_wr(t, X1_REG_GATE_LO, fz_u8(in) & 3);
		break;
	case 24:
		t_set_kword(t, fz_u8(in) % 16, fz_number(in));
		break;
	case 25:
		atomic_store(&t->no_map, what & 0x20);
		x1_core_sys_unmap(t->core, T_SYS_BASE, T_SYS);
		break;
	case 26:
		atomic_store(&t->dma_error, what & 0x20);
		break;
	case 27:
		x1_core_set_bus_master(t->core, what & 0x20);
		break;
	case 28:
		t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_ARRIVAL_LO, fz_u32(in));
		t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_ARRIVAL_HI, fz_u8(in));
		break;
	case 29:
		fz_settle(t, q, 1);
		break;
	case 30:
		x1_core_pause(t->core);
		x1_core_resume(t->core);
		break;
	case 31:
		t_mc(t, X1_REG_MCU_INDEX, fz_u8(in) % 5);
		t_mc(t, X1_REG_MCU_HEALTH, what >> 5 & 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct t_host *t = fz_device();
	struct fz_in in = {data, size};

	if (!pte[0])
		find_ptes(t);
	fz_restart(t);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		memcpy(t->hbm + t->uprog + i * 64, programs[i], sizeof(programs[i]));
	for (uint32_t q = 0; q < QUEUES; q++)
		t_queue(t, q, &(struct t_qopt){.budget = 20000, .priority = q, .log2 = 6});
	for (unsigned int i = 0; i < MAX_STEPS && in.n; i++)
		step(t, &in);
	t_wr(t, X1_REG_GATE_LO, 0);
	for (uint32_t q = 0; q < QUEUES; q++) {
		t_ring(t, q);
		fz_settle(t, q, WAIT_MS);
	}
	for (uint32_t q = 0; q < QUEUES; q++)
		fz_stop(t, q);
	/* With the tables and the bus as they were, all is well. */
	fz_restart(t);
	t_queue(t, 0, NULL);
	fz_alive(t, 0);
	return 0;
}
