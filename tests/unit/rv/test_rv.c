// SPDX-License-Identifier: MIT
/*
 * REQ-MGMT-005, RV32IMC_Zicsr: assembled programs that check themselves, single instructions
 * against C, compressed encodings against those that they stand for, and all
 * 65,536 halfwords and many random words for what must never happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "x1_rv_int.h"

#define BASE 0x80000000u
#define SRAM (64u << 10)
#define DEV  0x10000000u

struct machine {
	struct x1_rv *rv;
	uint8_t sram[SRAM];
	bool done;
	uint32_t result;
	uint64_t clock;
};

static bool dev_read(void *arg, uint32_t addr, unsigned int size, uint32_t *val)
{
	(void)arg;
	*val = 0;
	return size == 4 && addr - DEV < 16;
}

static bool dev_write(void *arg, uint32_t addr, unsigned int size, uint32_t val)
{
	struct machine *m = arg;

	if (size != 4 || addr - DEV >= 16)
		return false;
	switch (addr - DEV) {
	case 0:
		m->done = true;
		m->result = val;
		break;
	case 4:
		x1_rv_set_irq(m->rv, X1_RV_IRQ_TIMER, val);
		break;
	case 8:
		x1_rv_set_irq(m->rv, X1_RV_IRQ_EXT, val);
		break;
	default:
		x1_rv_set_irq(m->rv, X1_RV_IRQ_SOFT, val);
		break;
	}
	return true;
}

static uint64_t dev_time(void *arg)
{
	return 7ull << 32 | ((struct machine *)arg)->clock++;
}

static void machine_init(struct machine *m)
{
	struct x1_rv_cfg cfg = {
		.sram = m->sram,
		.sram_base = BASE,
		.sram_bytes = SRAM,
		.read = dev_read,
		.write = dev_write,
		.time = dev_time,
		.arg = m,
	};

	memset(m, 0, sizeof(*m));
	m->rv = x1_rv_new(&cfg);
	assert_non_null(m->rv);
	x1_rv_reset(m->rv, BASE);
}

static size_t read_file(const char *name, uint8_t *buf, size_t cap)
{
	char path[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.bin", PROGRAMS, name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("cannot open %s", path);
	n = fread(buf, 1, cap, f);
	fclose(f);
	assert_in_range(n, 1, cap - 1);
	return n;
}

/* In slices of `slice` instructions, so that each boundary is met. */
static void run_program(const char *name, uint64_t slice)
{
	static struct machine m;
	enum x1_rv_stop stop = X1_RV_BUDGET;
	uint64_t n = 0;

	machine_init(&m);
	read_file(name, m.sram, sizeof(m.sram));
	while (!m.done && n < 1000000) {
		n += x1_rv_run(m.rv, slice, &stop);
		if (stop == X1_RV_DEAD)
			fail_msg("%s: stopped at %#x, cause %u", name, x1_rv_state(m.rv)->mepc,
				 x1_rv_state(m.rv)->mcause);
		if (stop == X1_RV_WFI)
			x1_rv_set_irq(m.rv, X1_RV_IRQ_EXT, true);
	}
	if (!m.done || m.result)
		fail_msg("%s: case %u failed%s", name, m.result & 0x3ff,
			 !m.done            ? ", no end"
			 : m.result & 0x400 ? ", unexpected trap"
					    : "");
	x1_rv_free(m.rv);
}

static void test_program(void **state)
{
	run_program(*state, 100000);
	run_program(*state, 1);
	run_program(*state, 3);
}

/* REQ-MGMT-004: a trap in a trap handler stops the core; what was first is what is reported. */
static void test_double_trap(void **state)
{
	static struct machine m;
	enum x1_rv_stop stop;
	const struct x1_rv_state *s;
	uint32_t insn;

	(void)state;
	machine_init(&m);
	s = x1_rv_state(m.rv);
	read_file("double", m.sram, sizeof(m.sram));
	x1_rv_run(m.rv, 1000, &stop);
	assert_int_equal(stop, X1_RV_DEAD);
	assert_false(m.done);
	assert_int_equal(s->mcause, 11);
	memcpy(&insn, m.sram + (s->mepc - BASE), 4);
	assert_int_equal(insn, 0x73);
	assert_int_equal(s->trap_x[18], 0x5157);
	assert_int_equal(s->x[18], 0);
	/* It stays so. */
	assert_int_equal(x1_rv_run(m.rv, 1000, &stop), 0);
	assert_int_equal(stop, X1_RV_DEAD);
	x1_rv_free(m.rv);
}

/* ---- single instructions ---- */

static int64_t sx(uint32_t v)
{
	return v & 0x80000000u ? (int64_t)v - 0x100000000ll : (int64_t)v;
}

/* Written from the specification's words, in 64 bits. */
static uint32_t oracle(unsigned int op, uint32_t a, uint32_t b)
{
	int64_t sa = sx(a), sb = sx(b);

	switch (op) {
	case 0:
		return (uint32_t)(sa + sb);
	case 1:
		return (uint32_t)(sa - sb);
	case 2:
		return (uint32_t)((uint64_t)a << b % 32);
	case 3:
		return sa < sb;
	case 4:
		return a < b;
	case 5:
		return (a | b) - (a & b);
	case 6:
		return (uint32_t)((uint64_t)a >> b % 32);
	case 7:
		return (uint32_t)(uint64_t)((sa - (sa < 0 ? (1ll << b % 32) - 1 : 0)) /
					    (1ll << b % 32));
	case 8:
		return (uint32_t) ~(~a & ~b);
	case 9:
		return (uint32_t) ~(~a | ~b);
	case 10:
		return (uint32_t)((uint64_t)a * b);
	case 11:
		return (uint32_t)((uint64_t)(sa * sb) >> 32);
	case 12:
		return (uint32_t)((uint64_t)(sa * (int64_t)b) >> 32);
	case 13:
		return (uint32_t)((uint64_t)a * b >> 32);
	case 14:
		return b ? (uint32_t)(sa / sb) : UINT32_MAX;
	case 15:
		return b ? a / b : UINT32_MAX;
	case 16:
		return b ? (uint32_t)(sa % sb) : a;
	default:
		return b ? a % b : a;
	}
}

static uint64_t seed = 1;

static uint32_t random32(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 32);
}

static void one(struct machine *m, uint32_t insn, unsigned int op, uint32_t a, uint32_t b)
{
	struct x1_rv_state *s = x1_rv_state(m->rv);
	enum x1_rv_stop stop;

	s->pc = BASE;
	s->x[10] = a;
	s->x[11] = b;
	s->x[12] = random32();
	assert_int_equal(x1_rv_run(m->rv, 1, &stop), 1);
	if (s->x[12] != oracle(op, a, b) || s->pc != BASE + 4)
		fail_msg("%08x: op %u of %#x, %#x is %#x, expected %#x", insn, op, a, b, s->x[12],
			 oracle(op, a, b));
}

static void test_ops(void **state)
{
	static const uint32_t corner[] = {0,          1,          2,          31,
					  32,         33,         0x7fff,     0xffff,
					  0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001,
					  0xfffffffe, 0xffffffff, 0x55555555, 0xaaaaaaaa};
	static const uint8_t imm_op[] = {0, 3, 4, 5, 8, 9}, shift_op[] = {2, 6, 7};
	static const int imm[] = {-2048, -1, 0, 1, 1365, 2047}, shift[] = {0, 1, 15, 31};
	const unsigned int corners = sizeof(corner) / sizeof(corner[0]);
	static struct machine m;
	static uint8_t ops[4096];
	size_t n = read_file("ops", ops, sizeof(ops)) / 4;

	(void)state;
	assert_int_equal(n, 18 + 36 + 12);
	machine_init(&m);
	for (size_t i = 0; i < n; i++) {
		uint32_t insn;

		memcpy(&insn, ops + 4 * i, 4);
		memcpy(m.sram, &insn, 4);
		x1_rv_flush_decoded(m.rv);
		for (unsigned int r = 0; r < corners * corners + 2000; r++) {
			uint32_t a = r < corners * corners ? corner[r / corners] : random32();
			uint32_t b = r < corners * corners ? corner[r % corners] : random32();

			if (i < 18)
				one(&m, insn, (unsigned int)i, a, b);
			else if (i < 54)
				one(&m, insn, imm_op[(i - 18) % 6], a, (uint32_t)imm[(i - 18) / 6]);
			else
				one(&m, insn, shift_op[(i - 54) % 3], a,
				    (uint32_t)shift[(i - 54) / 3]);
		}
	}
	x1_rv_free(m.rv);
}

/* ---- encodings ---- */

static void test_pairs(void **state)
{
	static uint8_t c[32768], w[65536];
	size_t n = read_file("pairs.c", c, sizeof(c)) / 2;

	(void)state;
	assert_int_equal(read_file("pairs.i", w, sizeof(w)) / 4, n);
	assert_true(n > 700);
	for (size_t i = 0; i < n; i++) {
		struct x1_rv_insn a, b;
		uint32_t ca = 0, wa;

		memcpy(&ca, c + 2 * i, 2);
		memcpy(&wa, w + 4 * i, 4);
		assert_int_not_equal(ca & 3, 3);
		/* What follows a compressed one in memory has no influence. */
		a = x1_rv_decode(ca | 0xbeef0000);
		b = x1_rv_decode(wa);
		assert_int_equal(a.len, 2);
		assert_int_equal(b.len, 4);
		a.len = 4;
		if (a.op != b.op || a.rd != b.rd || a.rs1 != b.rs1 || a.rs2 != b.rs2 ||
		    a.imm != b.imm)
			fail_msg("%04x: not %08x", ca, wa);
	}
}

/* Whatever the bits: one instruction or one trap, and never outside of SRAM. */
static void test_any_word(void **state)
{
	static struct machine m;
	struct x1_rv_state *s;
	enum x1_rv_stop stop;

	(void)state;
	machine_init(&m);
	s = x1_rv_state(m.rv);
	for (uint32_t i = 0; i < 65536 * 4; i++) {
		uint32_t word = i < 65536 ? i | random32() << 16 : random32() | 3;
		unsigned int len = (word & 3) == 3 ? 4 : 2;
		uint32_t pc = BASE + 0x100;

		memset(s, 0, sizeof(*s));
		s->mtvec = BASE + 0x2000;
		for (unsigned int r = 1; r < 32; r++)
			s->x[r] = BASE + (random32() & (SRAM - 1));
		memcpy(m.sram + 0x100, &word, 4);
		x1_rv_flush_decoded(m.rv);
		s->pc = pc;
		x1_rv_run(m.rv, 1, &stop);
		assert_int_equal(s->x[0], 0);
		assert_false(m.done);
		if (x1_rv_decode(word).op == RV_ILLEGAL) {
			assert_int_equal(s->mcause, 2);
			assert_int_equal(s->mepc, pc);
			assert_int_equal(s->pc, BASE + 0x2000);
			assert_int_equal(s->instret, 0);
		} else if (!s->mcause && s->pc == pc + len && x1_rv_decode(word).op < RV_CSRRW) {
			assert_int_equal(s->instret, 1);
		}
	}
	x1_rv_free(m.rv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"base", test_program, NULL, NULL, "base"},
		{"compressed", test_program, NULL, NULL, "compressed"},
		{"csr", test_program, NULL, NULL, "csr"},
		{"trap", test_program, NULL, NULL, "trap"},
		{"irq", test_program, NULL, NULL, "irq"},
		cmocka_unit_test(test_double_trap),
		cmocka_unit_test(test_ops),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_any_word),
	};

	return cmocka_run_group_tests_name("rv", tests, NULL, NULL);
}
