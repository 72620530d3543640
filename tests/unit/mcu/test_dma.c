// SPDX-License-Identifier: MIT
/*
 * LOAD, STORE and PREFETCH against the address rule of x1_isa.h, point by
 * point: strides of both signs, dilation, bounds, pad values, index tables,
 * conversion; and what faults.
 */
#include <stdlib.h>

#include "mcu.h"
#include "oracle.h"

static struct t_mcu *mcu;
static uint32_t rng_state = 362436069;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

enum {
	TABLE = 0x70000, /* index table in scratchpad */
	BASE = 0x80000,  /* of the transfers, in the middle of the memory */
	LOCAL = 0x1000,
};

struct box {
	uint32_t ndim, log2; /* element of LOAD */
	int32_t count[5], dil[5], origin[5], bound[5], mstride[5], lstride[5];
	bool gather, store, nosat;
	enum x1_format lfmt, mfmt;
	uint32_t pad;
};

static struct x1_desc describe(const struct box *b)
{
	struct x1_desc d = {0};

	d.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(b->ndim) | (b->gather ? X1_DMA_CTRL_GATHER : 0);
	if (b->store)
		d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(b->lfmt) | X1_DMA_CTRL_MFMT(b->mfmt) |
				    (b->nosat ? X1_DMA_CTRL_NOSAT : 0);
	else
		d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_ESIZE(b->log2);
	d.f[X1_DMA_PAD] = b->pad;
	for (uint32_t i = 0; i < b->ndim; i++) {
		d.f[X1_DMA_COUNT0 + i] = (uint32_t)b->count[i];
		d.f[X1_DMA_DIL0 + i] = (uint32_t)b->dil[i];
		d.f[X1_DMA_ORIGIN0 + i] = (uint32_t)b->origin[i];
		d.f[X1_DMA_BOUND0 + i] = (uint32_t)b->bound[i];
		if (i) {
			d.f[X1_DMA_MSTRIDE1 + i - 1] = (uint32_t)b->mstride[i];
			d.f[X1_DMA_LSTRIDE1 + i - 1] = (uint32_t)b->lstride[i];
		}
	}
	return d;
}

/* Half of the fields in registers, negative ones as well. */
static void in_registers(struct x1_desc *d)
{
	uint32_t reg = 20;

	for (uint32_t i = X1_DMA_COUNT0; i < X1_DESC_FIELDS && reg < 48; i++) {
		bool is_signed = (i >= X1_DMA_DIL0 && i < X1_DMA_BOUND0) ||
				 (i >= X1_DMA_MSTRIDE1 && i < X1_DMA_LSTRIDE1);

		if (!d->f[i] || rnd() % 2)
			continue;
		t_li(mcu, reg, is_signed ? (uint64_t)(int32_t)d->f[i] : d->f[i]);
		d->regs |= 1ull << i;
		d->f[i] = reg++;
	}
}

static void run(const struct box *b)
{
	struct x1_desc d = describe(b);

	t_begin(mcu);
	if (rnd() % 2)
		in_registers(&d);
	t_engine(mcu, b->store ? X1_OP_STORE : X1_OP_LOAD, LOCAL, T_MEM + BASE,
		 b->gather ? TABLE : 0, &d);
	t_ok(mcu);
}

/* Coordinate and whether it is inside. */
static bool coordinate(const struct box *b, uint32_t dim, int32_t i, int64_t *c)
{
	int32_t idx;

	*c = b->origin[dim] + (int64_t)i * (b->dil[dim] ? b->dil[dim] : 1);
	if (dim == 1 && b->gather) {
		memcpy(&idx, t_local(mcu, TABLE) + i * 4, 4);
		*c = idx;
	}
	return !b->bound[dim] || (*c >= 0 && *c < b->bound[dim]);
}

/* Bit addresses of a point: in memory and local; false = outside. */
static bool point(const struct box *b, const int32_t i[5], uint32_t mbits, uint32_t lbits,
		  int64_t *mem, int64_t *local)
{
	bool inside = true;
	int64_t c;

	*mem = (int64_t)BASE * 8;
	*local = (int64_t)LOCAL * 8 + (int64_t)i[0] * lbits;
	for (uint32_t k = 0; k < b->ndim; k++) {
		inside &= coordinate(b, k, i[k], &c);
		*mem += k ? c * b->mstride[k] * 8 : c * mbits;
		*local += k ? (int64_t)i[k] * b->lstride[k] * 8 : 0;
	}
	return inside;
}

static bool next(const struct box *b, int32_t i[5])
{
	for (uint32_t k = 0; k < b->ndim; k++) {
		if (++i[k] < b->count[k])
			return true;
		i[k] = 0;
	}
	return false;
}

static void random_box(struct box *b, bool store)
{
	uint32_t row;

	memset(b, 0, sizeof(*b));
	b->store = store;
	b->ndim = 1 + rnd() % (store ? 4 : 5);
	b->log2 = rnd() % 4;
	b->gather = b->ndim > 1 && rnd() % 3 == 0;
	b->pad = rnd();
	if (store) {
		b->lfmt = rnd() % X1_FMT_COUNT;
		b->mfmt = rnd() % 3 ? b->lfmt : rnd() % X1_FMT_COUNT;
		b->nosat = rnd() % 2;
	}
	for (uint32_t k = 0; k < b->ndim; k++) {
		b->count[k] = 1 + (int32_t)(rnd() % (k ? 4 : 20));
		b->dil[k] = rnd() % 2 ? 0 : (int32_t)(rnd() % 7) - 3;
		b->origin[k] = (int32_t)(rnd() % 13) - 6;
		b->bound[k] = rnd() % 2 ? 0 : 1 + (int32_t)(rnd() % 12);
	}
	if (store && (x1_format_bits(b->lfmt) < 8 || x1_format_bits(b->mfmt) < 8)) {
		b->dil[0] = (int32_t)(rnd() % 2);
		b->count[0] = 8 * (1 + (int32_t)(rnd() % 3));
		b->origin[0] = 8 * ((int32_t)(rnd() % 5) - 2);
		b->bound[0] = rnd() % 2 ? 0 : 8 * (1 + (int32_t)(rnd() % 4));
	}
	/* Local rows do not overlap; memory ones may in a LOAD alone. */
	row = (uint32_t)b->count[0] * 8;
	for (uint32_t k = 1; k < b->ndim; k++) {
		b->lstride[k] = (int32_t)(row + rnd() % 9);
		row = (uint32_t)(b->lstride[k] * b->count[k]);
		b->mstride[k] = (int32_t)(rnd() % 3000) - 1500;
	}
	/* Every point of a STORE has its own place: no coordinate spans more than 9. */
	for (uint32_t k = 1, span = 300; store && k < b->ndim; k++, span *= 10)
		b->mstride[k] = (rnd() % 2 ? 1 : -1) * (int32_t)span;
	for (int32_t i = 0; i < 4; i++) {
		/* Rows of their own for STORE. */
		int32_t idx = store ? i * 3 - 2 : (int32_t)(rnd() % 14) - 3;

		memcpy(t_local(mcu, TABLE) + i * 4, &idx, 4);
	}
}

/* REQ-ISA-030, -031, -032: every byte of the destination, touched or not. */
static void test_load(void **state)
{
	static uint8_t want[0x60000];

	(void)state;
	for (unsigned int round = 0; round < 1500; round++) {
		struct box b;
		uint32_t esize, span = 0;
		int32_t i[5] = {0};

		random_box(&b, false);
		esize = 1u << b.log2;
		for (uint32_t k = 1; k < b.ndim; k++)
			span += (uint32_t)(b.lstride[k] * (b.count[k] - 1));
		span += (uint32_t)b.count[0] * esize + 64;
		assert_true(LOCAL + span < TABLE);
		memset(t_local(mcu, LOCAL), 0xa5, span);
		memset(want, 0xa5, span);
		do {
			uint64_t pad = b.pad | (uint64_t)b.pad << 32;
			int64_t mem, local;
			bool inside = point(&b, i, esize * 8, esize * 8, &mem, &local);

			memcpy(want + local / 8 - LOCAL, inside ? mcu->mem + mem / 8 : (void *)&pad,
			       esize);
		} while (next(&b, i));
		run(&b);
		if (memcmp(want, t_local(mcu, LOCAL), span))
			fail_msg("round %u: %u dimensions of %u bytes, gather %d", round, b.ndim,
				 esize, b.gather);
	}
}

/* REQ-ISA-030..033: conversion, scatter, nothing outside. */
static void test_store(void **state)
{
	uint8_t *before = malloc(T_MEM_SIZE);

	(void)state;
	for (unsigned int round = 0; round < 1500; round++) {
		struct box b;
		uint32_t lbits, mbits;
		int32_t i[5] = {0};

		random_box(&b, true);
		lbits = x1_format_bits(b.lfmt);
		mbits = x1_format_bits(b.mfmt);
		memcpy(before, mcu->mem, T_MEM_SIZE);
		for (uint32_t k = 0; k < 0x3000; k += 4) {
			uint32_t u = rnd();

			memcpy(t_local(mcu, LOCAL) + k, &u, 4);
		}
		do {
			int64_t mem, local;
			uint32_t code;
			float v;

			if (!point(&b, i, mbits, lbits, &mem, &local))
				continue;
			/* Packed: element number from the row's start. */
			code = oracle_get(b.lfmt,
					  mcu->wg->spad + (local - i[0] * (int64_t)lbits) / 8,
					  (size_t)i[0]);
			if (b.lfmt != b.mfmt && x1_format_is_int(b.lfmt) &&
			    x1_format_is_int(b.mfmt)) {
				int32_t n = (int32_t)(code << (32 - lbits)) >> (32 - lbits);
				uint32_t packed = 0;

				x1_pack_i32(b.mfmt, !b.nosat, &n, &packed, 0, 1);
				code = packed;
			} else if (b.lfmt != b.mfmt) {
				v = flush(oracle_decode(b.lfmt, code));
				code = x1_encode(b.mfmt, canonical(v), !b.nosat);
			}
			for (uint32_t bit = 0; bit < mbits; bit++) {
				int64_t at = mem + bit;

				before[at / 8] = (uint8_t)((before[at / 8] & ~(1u << at % 8)) |
							   (code >> bit & 1) << at % 8);
			}
		} while (next(&b, i));
		run(&b);
		if (memcmp(before, mcu->mem, T_MEM_SIZE))
			fail_msg("round %u: %u dimensions, formats %d -> %d, gather %d", round,
				 b.ndim, b.lfmt, b.mfmt, b.gather);
	}
	free(before);
}

/* Long rows cross pages, system memory has no pointer, accumulators are local memory too. */
static void test_bulk(void **state)
{
	struct x1_desc d = {0};

	(void)state;
	for (uint32_t i = 0; i < 300000; i += 4) {
		uint32_t u = rnd();

		memcpy(mcu->mem + i, &u, 4);
	}
	d.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1);
	d.f[X1_DMA_COUNT0] = X1_ACC_BYTES;
	t_begin(mcu);
	t_engine(mcu, X1_OP_LOAD, X1_ACC_ADDR, T_BUS + 5, 0, &d);
	t_ok(mcu);
	assert_memory_equal(t_local(mcu, X1_ACC_ADDR), mcu->mem + 5, X1_ACC_BYTES);
	d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(X1_FMT_INT8) | X1_DMA_CTRL_MFMT(X1_FMT_INT8);
	t_begin(mcu);
	t_engine(mcu, X1_OP_STORE, X1_ACC_ADDR, T_BUS + 0x100003, 0, &d);
	t_ok(mcu);
	assert_memory_equal(mcu->mem + 0x100003, mcu->mem + 5, X1_ACC_BYTES);
	/* REQ-ISA-033: a conversion longer than what is converted at a time. */
	d.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_INT8) |
			   X1_DMA_CTRL_MFMT(X1_FMT_FP32);
	d.f[X1_DMA_COUNT0] = 3 * X1_VEC_CHUNK + 5;
	t_begin(mcu);
	t_engine(mcu, X1_OP_STORE, X1_ACC_ADDR, T_MEM + 0x100002, 0, &d);
	t_ok(mcu);
	for (uint32_t i = 0; i < d.f[X1_DMA_COUNT0]; i++) {
		float f;

		memcpy(&f, mcu->mem + 0x100002 + i * 4, 4);
		assert_true(f == (float)(int8_t)*t_local(mcu, X1_ACC_ADDR + i));
	}
}

/* REQ-ISA-034: a PREFETCH changes no byte and bears any address. */
static void test_prefetch(void **state)
{
	static const uint64_t dva[] = {T_MEM, T_RO, 0x40000000, 1ull << 60, UINT64_MAX};
	struct x1_desc d = {0};

	(void)state;
	d.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(2);
	d.f[X1_DMA_COUNT0] = 1 << 20;
	d.f[X1_DMA_COUNT0 + 1] = 16;
	d.f[X1_DMA_MSTRIDE1] = 1 << 20;
	for (size_t i = 0; i < sizeof(dva) / sizeof(dva[0]); i++) {
		t_begin(mcu);
		t_engine(mcu, X1_OP_PREFETCH, 0, dva[i], 0, &d);
		t_ok(mcu);
		assert_int_equal(t_record(mcu, 0)->cycles, X1_PREFETCH_MAX_BYTES / 4096);
	}
	d.f[X1_DMA_COUNT0]++;
	t_begin(mcu);
	t_engine(mcu, X1_OP_PREFETCH, 0, T_MEM, 0, &d);
	t_bad(mcu, X1_FAULT_OPERAND, X1_UNIT_LOAD);
}

static void faults(unsigned int op, uint64_t local, uint64_t dva, uint64_t table,
		   const struct x1_desc *d, enum x1_fault code)
{
	t_begin(mcu);
	t_engine(mcu, op, local, dva, table, d);
	t_bad(mcu, code, op == X1_OP_STORE ? X1_UNIT_STORE : X1_UNIT_LOAD);
}

/* REQ-ISA-034: each bad field alone. */
static void test_bad_fields(void **state)
{
	static const struct {
		uint32_t field, value;
	} bad[] = {
		{X1_DMA_CTRL, 0},
		{X1_DMA_CTRL, 6},
		{X1_DMA_CTRL, 2 | 0x80},
		{X1_DMA_CTRL, 2 | 1u << 24},
		{X1_DMA_COUNT0, 0},
		{X1_DMA_COUNT0, 0x80000000u},
		{X1_DMA_COUNT0, X1_DMA_MAX_BYTES},
		{X1_DMA_COUNT0 + 1, 0},
		{X1_DMA_COUNT0 + 1, X1_DMA_MAX_ROWS + 1},
		{X1_DMA_DIL0, 1u << 23},
		{X1_DMA_DIL0 + 1, (uint32_t) - (1 << 23)},
		{X1_DMA_LSTRIDE1, X1_SPAD_BYTES + 1},
	};
	static const uint32_t regs[] = {X1_DMA_CTRL,     X1_DMA_COUNT0,  X1_DMA_COUNT0 + 1,
					X1_DMA_DIL0 + 1, X1_DMA_ORIGIN0, X1_DMA_BOUND0 + 1,
					X1_DMA_MSTRIDE1, X1_DMA_LSTRIDE1};
	struct x1_desc d, good = {0};

	(void)state;
	good.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(2);
	good.f[X1_DMA_COUNT0] = 64;
	good.f[X1_DMA_COUNT0 + 1] = 4;
	good.f[X1_DMA_MSTRIDE1] = good.f[X1_DMA_LSTRIDE1] = 64;
	for (unsigned int op = X1_OP_LOAD; op <= X1_OP_STORE; op++) {
		uint32_t fmt = op == X1_OP_STORE ? X1_DMA_CTRL_LFMT(X1_FMT_INT8) |
							   X1_DMA_CTRL_MFMT(X1_FMT_INT8)
						 : 0;

		good.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(2) | fmt;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			/* 1 MiB of rows fits a PREFETCH. */
			if (op == X1_OP_PREFETCH && bad[i].field == X1_DMA_COUNT0 &&
			    bad[i].value == X1_DMA_MAX_BYTES)
				continue;
			d = good;
			d.f[bad[i].field] = bad[i].value | (bad[i].field ? 0 : fmt);
			faults(op, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
		}
		/* What only a register can hold. */
		for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
			for (int sign = 0; sign < 2; sign++) {
				uint64_t v = sign ? UINT64_MAX << 62 : 1ull << 62;

				d = good;
				d.regs = 1ull << regs[i];
				d.f[regs[i]] = 30;
				t_begin(mcu);
				t_li(mcu, 30, v);
				t_engine(mcu, op, 0, T_MEM, 0, &d);
				t_bad(mcu, X1_FAULT_OPERAND,
				      op == X1_OP_STORE ? X1_UNIT_STORE : X1_UNIT_LOAD);
			}
		}
		/* Tables: one dimension, not aligned, outside. */
		d = good;
		d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_GATHER;
		faults(op, 0, T_MEM, 2, &d, X1_FAULT_OPERAND);
		faults(op, 0, T_MEM, X1_SPAD_BYTES - 12, &d, X1_FAULT_OPERAND);
		faults(op, 0, T_MEM, UINT64_MAX - 3, &d, X1_FAULT_OPERAND);
		d.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_GATHER | fmt;
		faults(op, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
		if (op == X1_OP_PREFETCH)
			continue;
		/* Local addresses and DVAs. */
		faults(op, X1_SPAD_BYTES - 255, T_MEM, 0, &good, X1_FAULT_OPERAND);
		faults(op, X1_ACC_ADDR + X1_ACC_BYTES - 255, T_MEM, 0, &good, X1_FAULT_OPERAND);
		faults(op, UINT64_MAX, T_MEM, 0, &good, X1_FAULT_OPERAND);
		faults(op, 0, 0x40000000, 0, &good, X1_FAULT_UNMAPPED);
		faults(op, 0, UINT64_MAX - 10, 0, &good, X1_FAULT_BAD_DVA);
		faults(op, 0, T_MEM + T_MEM_SIZE - 255, 0, &good, X1_FAULT_UNMAPPED);
	}
	faults(X1_OP_STORE, 0, T_RO, 0, &good, X1_FAULT_PERMISSION);
	/* LOAD and PREFETCH have no formats, STORE none that is unknown or split. */
	good.f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(2);
	d = good;
	d.f[X1_DMA_CTRL] |= X1_DMA_CTRL_NOSAT;
	faults(X1_OP_LOAD, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
	d.f[X1_DMA_CTRL] = good.f[X1_DMA_CTRL] | X1_DMA_CTRL_LFMT(X1_FMT_INT8);
	faults(X1_OP_LOAD, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
	d.f[X1_DMA_CTRL] = good.f[X1_DMA_CTRL] | X1_DMA_CTRL_LFMT(X1_FMT_COUNT);
	faults(X1_OP_STORE, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
	d.f[X1_DMA_CTRL] = good.f[X1_DMA_CTRL] | X1_DMA_CTRL_MFMT(0xff);
	faults(X1_OP_STORE, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
	good.f[X1_DMA_CTRL] |= X1_DMA_CTRL_LFMT(X1_FMT_E2M1) | X1_DMA_CTRL_MFMT(X1_FMT_E2M1);
	for (uint32_t f = 0; f < 3; f++) {
		d = good;
		d.f[f == 0 ? X1_DMA_COUNT0 : f == 1 ? X1_DMA_ORIGIN0 : X1_DMA_BOUND0] = 3;
		faults(X1_OP_STORE, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
	}
	d = good;
	d.f[X1_DMA_DIL0] = 2;
	faults(X1_OP_STORE, 0, T_MEM, 0, &d, X1_FAULT_OPERAND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),       cmocka_unit_test(test_store),
		cmocka_unit_test(test_bulk),       cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_bad_fields),
	};
	int ret;

	mcu = t_mcu_new();
	for (uint32_t i = 0; i < T_MEM_SIZE; i++)
		mcu->mem[i] = (uint8_t)rnd();
	ret = cmocka_run_group_tests_name("memory engines", tests, NULL, NULL);
	t_mcu_free(mcu);
	return ret;
}
