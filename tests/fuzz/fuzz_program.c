// SPDX-License-Identifier: MIT
/*
 * MCU programs: whatever they do, the device goes on, and memory that the VM
 * may not write stays as it was. REQ-ISA, REQ-MMU.
 *
 * Input: a header byte, then a raw image, or instructions that are put
 * together so that most of them are legal.
 */
#include <stdio.h>

#include "fuzz.h"

#define MAX_INSNS 48u
#define MAX_DESCS 6u
#define ARGS      24u
#define BUDGET    20000u
#define WAIT_MS   40

/* Registers at the start: DVAs, local addresses, numbers. */
#define R_DVA   16u /* 8 of them */
#define R_LOCAL 24u /* 6 of them, the last two accumulators */

static const uint64_t locals[] = {
	0, 0x4000, 0x10000, X1_SPAD_BYTES - 4096, X1_ACC_ADDR, X1_ACC_ADDR + X1_ACC_BANK_BYTES};

static uint32_t word(struct fz_in *in)
{
	return (uint32_t)fz_number(in);
}

/* An odd byte of the input spoils a few of the fields that were sensible. */
static void spoil(struct fz_in *in, struct x1_desc *d, unsigned int fields)
{
	uint8_t n = fz_u8(in);

	if (n & 1)
		return;
	for (n = n >> 1 & 3; n; n--) {
		unsigned int i = fz_u8(in) % fields;
		uint8_t r = fz_u8(in);

		d->f[i] = word(in);
		if (r >= 0xc0) {
			d->regs |= 1ull << i;
			d->f[i] = r & 0x3f;
		}
	}
}

static void dma_desc(struct fz_in *in, struct x1_desc *d, bool store)
{
	uint8_t shape = fz_u8(in), fmt = fz_u8(in);
	uint32_t dims = 1u + shape % X1_DMA_MAX_DIMS, size = 1u << (shape >> 3 & 3), stride;

	d->f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(dims) | (shape & 0x20 ? X1_DMA_CTRL_GATHER : 0);
	if (store) {
		uint32_t local = fmt & 0xf, mem = fmt >> 4;

		local = local < X1_FMT_COUNT ? local : X1_FMT_FP32;
		mem = shape & 0x40 || mem >= X1_FMT_COUNT ? local : mem;
		d->f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(local) | X1_DMA_CTRL_MFMT(mem) |
				     (shape & 0x80 ? X1_DMA_CTRL_NOSAT : 0);
		size = 4;
	} else {
		d->f[X1_DMA_CTRL] |= X1_DMA_CTRL_ESIZE(shape >> 3 & 3);
	}
	d->f[X1_DMA_COUNT0] = 8u * (1 + fz_u8(in) % 16);
	stride = d->f[X1_DMA_COUNT0] * size;
	for (unsigned int i = 1; i < dims; i++) {
		d->f[X1_DMA_COUNT0 + i] = 1 + fz_u8(in) % 4;
		d->f[X1_DMA_MSTRIDE1 + i - 1] = stride + fz_u8(in);
		d->f[X1_DMA_LSTRIDE1 + i - 1] = stride;
		stride *= 4;
	}
	if (fmt & 1) {
		unsigned int i = fz_u8(in) % dims;

		d->f[X1_DMA_PAD] = fz_u8(in);
		d->f[X1_DMA_ORIGIN0 + i] = (uint32_t)(int8_t)fz_u8(in);
		d->f[X1_DMA_BOUND0 + i] = fz_u8(in);
		d->f[X1_DMA_DIL0 + fz_u8(in) % dims] = (uint32_t)(int8_t)fz_u8(in);
	}
	spoil(in, d, X1_DESC_FIELDS);
}

static void mm_desc(struct fz_in *in, struct x1_desc *d)
{
	uint8_t fmt = fz_u8(in), how = fz_u8(in), scale = fz_u8(in);
	uint32_t a = fmt & 0xf, b = how & 0x80 ? fmt >> 4 : a;
	uint32_t m = 1 + fz_u8(in) % 64, n = 1 + fz_u8(in) % 64, k = 32u << (how & 3);

	a = a <= X1_FMT_INT4 ? a : X1_FMT_E4M3;
	b = b <= X1_FMT_INT4 ? b : X1_FMT_E4M3;
	d->f[X1_MM_M] = m;
	d->f[X1_MM_N] = n;
	d->f[X1_MM_K] = how & 4 ? k - fz_u8(in) % 32 : k;
	d->f[X1_MM_FMT] = X1_MM_FMT(a, b) | (how & 8 ? X1_MM_FMT_TRANS_A : 0) |
			  (how & 16 ? X1_MM_FMT_TRANS_B : 0);
	d->f[X1_MM_ACCUMULATE] = how >> 5 & 1;
	d->f[X1_MM_A_STRIDE] = (how & 8 ? (m + 1) & ~1u : k) * x1_format_bits(a) / 8;
	d->f[X1_MM_B_STRIDE] = (how & 16 ? (n + 1) & ~1u : k) * x1_format_bits(b) / 8;
	d->f[X1_MM_ACC_STRIDE] = n * 4;
	if (how & 0x40) {
		d->f[X1_MM_SCALE] = X1_MM_SCALE((scale & 7) % X1_SCALE_COUNT,
						(scale >> 3 & 7) % X1_SCALE_COUNT,
						(fz_u8(in) & 7) % X1_SPARSE_COUNT);
		d->f[X1_MM_SA_STRIDE] = d->f[X1_MM_SB_STRIDE] = d->f[X1_MM_META_STRIDE] = 16;
		d->f[X1_MM_SA_ADDR] = 0x4000;
		d->f[X1_MM_SB_ADDR] = 0x5000;
		d->f[X1_MM_META_ADDR] = 0x6000;
	}
	spoil(in, d, X1_MM_FIELDS);
}

static void vec_desc(struct fz_in *in, struct x1_desc *d)
{
	uint8_t how = fz_u8(in);
	uint32_t fmts = fz_u32(in), cols = 1 + fz_u8(in);

	d->f[X1_VEC_OP] = fz_u8(in) % 64;
	if (d->f[X1_VEC_OP] >= X1_VEC_GATHER)
		d->f[X1_VEC_PARAM] = 1 + fz_u8(in) % 8;
	d->f[X1_VEC_ROWS] = 1 + fz_u8(in) % 16;
	d->f[X1_VEC_COLS] = cols;
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t f = fmts >> 8 * i & 0xf;

		d->f[X1_VEC_FMT] |= (how & 1   ? f % X1_FMT_COUNT
				     : how & 2 ? X1_FMT_INT32
					       : 0)
				    << 8 * i;
	}
	if (how & 4)
		d->f[X1_VEC_CTRL] = fz_u8(in) & ~X1_VEC_CTRL_RESERVED;
	for (unsigned int i = X1_VEC_D_STRIDE; i <= X1_VEC_S2_STRIDE; i++)
		d->f[i] = cols * 4;
	d->f[X1_VEC_S2_ADDR] = 0x8000;
	d->f[X1_VEC_IMM1] = d->f[X1_VEC_IMM2] = how & 8 ? fz_u32(in) : 0x3f800000;
	spoil(in, d, X1_VEC_FIELDS);
}

/* An engine's addresses from the registers that hold some. */
static void engine_regs(struct fz_in *in, struct x1_insn *x)
{
	uint8_t v = fz_u8(in);

	if (v >= 0xf0)
		return;
	switch (x->op) {
	case X1_OP_MM:
		x->rd = R_LOCAL + 4 + (v & 1);
		x->ra = R_LOCAL + (v >> 1) % 4;
		x->rb = R_LOCAL + (v >> 3) % 4;
		break;
	case X1_OP_VEC:
		x->rd = R_LOCAL + v % 6;
		x->ra = R_LOCAL + (v >> 2) % 6;
		x->rb = R_LOCAL + (v >> 4) % 6;
		break;
	default:
		x->rd = R_LOCAL + v % 6;
		x->ra = R_DVA + (v >> 3) % 8;
		x->rb = R_LOCAL;
		break;
	}
}

static uint8_t sem(struct fz_in *in)
{
	uint8_t v = fz_u8(in);

	return v < 0x80 ? 0 : X1_SEM(v % 4);
}

/* Bytes of a program, mostly legal; *num_insns of them code. */
static uint32_t build(struct fz_in *in, uint8_t *out, uint32_t *num_insns)
{
	static const uint8_t ops[] = {
		X1_OP_NOP,   X1_OP_END,   X1_OP_TRAP,  X1_OP_SYNC,     X1_OP_ADD,   X1_OP_SUB,
		X1_OP_MUL,   X1_OP_DIVU,  X1_OP_REMU,  X1_OP_AND,      X1_OP_OR,    X1_OP_XOR,
		X1_OP_SHL,   X1_OP_SHR,   X1_OP_SAR,   X1_OP_MIN,      X1_OP_MAX,   X1_OP_SLT,
		X1_OP_SLTU,  X1_OP_SEQ,   X1_OP_SEL,   X1_OP_JMP,      X1_OP_BEQ,   X1_OP_BNE,
		X1_OP_BLT,   X1_OP_BGE,   X1_OP_BLTU,  X1_OP_BGEU,     X1_OP_LOOP,  X1_OP_LOOPI,
		X1_OP_LDM,   X1_OP_STM,   X1_OP_LDS,   X1_OP_STS,      X1_OP_STREL, X1_OP_WAITGE,
		X1_OP_ATADD, X1_OP_ATMAX, X1_OP_ATMIN, X1_OP_ATAND,    X1_OP_ATOR,  X1_OP_GRIDBAR,
		X1_OP_RDCLK, X1_OP_LOAD,  X1_OP_LOAD,  X1_OP_PREFETCH, X1_OP_STORE, X1_OP_STORE,
		X1_OP_MM,    X1_OP_MM,    X1_OP_VEC,   X1_OP_VEC,
	};
	uint32_t n = 1 + fz_below(in, MAX_INSNS - 1), descs = 0;
	struct x1_insn insn[MAX_INSNS] = {0};
	struct x1_desc desc[MAX_DESCS] = {0};

	for (uint32_t i = 0; i < n - 1; i++) {
		struct x1_insn *x = &insn[i];

		x->op = ops[fz_below(in, sizeof(ops))];
		x->rd = fz_u8(in) % X1_NUM_REGS;
		x->ra = fz_u8(in) % X1_NUM_REGS;
		x->rb = fz_u8(in);
		if (x->op >= X1_OP_LDM && x->op <= X1_OP_ATOR)
			x->rb %= 4;
		else if (x->rb >= X1_NUM_REGS)
			x->rb = x->op >= X1_OP_ADD && x->op <= X1_OP_SEL ? X1_REG_IMM
									 : x->rb % X1_NUM_REGS;
		if (fz_u8(in) & 1) {
			x->wait[0] = sem(in);
			x->sig[0] = sem(in);
			x->sig[1] = sem(in);
		}
		if (x->op >= X1_OP_LOAD) {
			uint32_t d = fz_below(in, MAX_DESCS);

			engine_regs(in, x);
			x->imm = (uint64_t)n * sizeof(*x) + d * sizeof(desc[0]);
			if (d < descs)
				continue;
			d = descs++;
			x->imm = (uint64_t)n * sizeof(*x) + d * sizeof(desc[0]);
			if (x->op == X1_OP_MM)
				mm_desc(in, &desc[d]);
			else if (x->op == X1_OP_VEC)
				vec_desc(in, &desc[d]);
			else
				dma_desc(in, &desc[d], x->op == X1_OP_STORE);
			if (descs == MAX_DESCS)
				descs = MAX_DESCS - 1;
		} else if (x->op >= X1_OP_JMP && x->op <= X1_OP_BGEU) {
			x->imm = fz_below(in, n);
		} else if (x->op == X1_OP_LOOP || x->op == X1_OP_LOOPI) {
			x->imm = i + 2 + fz_below(in, n - i);
			if (x->imm > n)
				x->imm = n;
		} else {
			x->imm = fz_number(in);
		}
	}
	insn[n - 1].op = X1_OP_END;
	memcpy(out, insn, n * sizeof(insn[0]));
	memcpy(out + n * sizeof(insn[0]), desc, sizeof(desc));
	*num_insns = n;
	return n * (uint32_t)sizeof(insn[0]) + (uint32_t)sizeof(desc);
}

/* What the user VM must not change: read-only areas, tables, the ring VM's data. */
static void check_untouched(struct t_host *t, const uint8_t *image, uint32_t bytes)
{
	static const uint8_t zero[4096];

	FZ_CHECK(!memcmp(t->hbm + t->uro, zero, sizeof(zero)), "read-only page written");
	FZ_CHECK(!memcmp(t->hbm + t->kdata + 8192, zero, sizeof(zero)), "ring VM's data written");
	FZ_CHECK(!memcmp(t->hbm + t->uprog, image, bytes), "program written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[X1_MAX_PROGRAM_BYTES];
	static const uint64_t dvas[8] = {
		T_UDATA + 8192,  T_UHUGE, T_USYS, T_URO,
		T_UDATA + 16380, T_UPROG, T_NONE, T_UHUGE + (8 << 20) - 64};
	struct t_host *t = fz_device();
	struct fz_in in = {data, size};
	uint8_t how = fz_u8(&in), grid = fz_u8(&in);
	uint64_t args[ARGS];
	uint32_t bytes, insns;
	union x1_cmd c;

	if (size < 4)
		return -1;
	for (unsigned int i = 0; i < ARGS; i++)
		args[i] = i < 8    ? (how & 4 ? fz_address(&in) : dvas[i])
			  : i < 14 ? locals[i - 8]
				   : i * 64;
	if (how & 1) {
		insns = fz_u8(&in);
		bytes = (uint32_t)(in.n < sizeof(image) ? in.n : sizeof(image)) & ~15u;
		memcpy(image, in.p, bytes);
	} else {
		bytes = build(&in, image, &insns);
	}
	fz_restart(t);
	t_queue(t, 0, &(struct t_qopt){.budget = BUDGET});
	memcpy(t->hbm + t->uprog, image, bytes);
	memcpy(t->hbm + t->udata + 4096, args, sizeof(args));
	/* Something to multiply. */
	for (unsigned int i = 0; i < 8192; i++)
		t->hbm[t->udata + 8192 + i] = (uint8_t)(i * 37 + grid);
	c = t_cmd_launch(T_UPROG, insns, 1 + grid % 6);
	c.launch.program_bytes = bytes;
	c.launch.grid[1] = 1 + (grid >> 4) % 3;
	c.launch.num_args = ARGS;
	c.launch.args = T_UDATA + 4096;
	c.hdr.flags = how & 2 ? X1_LAUNCH_COOPERATIVE : 0;
	t_push(t, 0, &c);
	t_ring(t, 0);
	fz_settle(t, 0, WAIT_MS);
	if (t_q(t, 0, X1_Q_STATE) == X1_Q_STATE_FAULTED) {
		FZ_CHECK(T_FAULT_CODE(t, 0) != X1_FAULT_NONE, "fault without a code");
		FZ_CHECK(X1_FAULT_INFO_UNIT(t_q(t, 0, X1_Q_FAULT_INFO)) < X1_UNIT_COPY ||
				 t_q(t, 0, X1_Q_FAULT_VM) != T_KVM,
			 "an engine in the ring VM");
	}
	fz_stop(t, 0);
	check_untouched(t, image, bytes);
	fz_alive(t, 0);
	return 0;
}
