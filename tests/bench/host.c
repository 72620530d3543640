// SPDX-License-Identifier: MIT
/* What needs no device: the host's peaks and the management core's speed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "num/x1_num.h"
#include "rv/x1_rv.h"
#include <x1/x1_fw.h>

#define ROUNDS 5

static bool no_device_read(void *arg, uint32_t addr, unsigned int size, uint32_t *val)
{
	(void)arg, (void)addr, (void)size, (void)val;
	return false;
}

static bool no_device_write(void *arg, uint32_t addr, unsigned int size, uint32_t val)
{
	(void)arg, (void)addr, (void)size, (void)val;
	return false;
}

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 0;
}

/* A loop of loads, stores, arithmetic, a multiply and branches. */
static int firmware(json_t *root)
{
	static const uint32_t program[] = {
		0x80001537, /* lui a0, 0x80001 */
		0x00052583, /* lw a1, 0(a0) */
		0x00158593, /* addi a1, a1, 1 */
		0x02b58633, /* mul a2, a1, a1 */
		0x00c54533, /* xor a0, a0, a2 */
		0x00c54533, /* xor a0, a0, a2 */
		0x00b52023, /* sw a1, 0(a0) */
		0x0075f693, /* andi a3, a1, 7 */
		0x00068463, /* beqz a3, +8 */
		0xfe1ff06f, /* j -32 */
		0xfddff06f, /* j -36 */
	};
	const uint64_t insns = 20000000;
	uint8_t *sram = calloc(1, X1_MC_SRAM_BYTES);
	const struct x1_rv_cfg cfg = {
		.sram = sram,
		.sram_base = X1_MC_SRAM_BASE,
		.sram_bytes = X1_MC_SRAM_BYTES,
		.read = no_device_read,
		.write = no_device_write,
		.time = no_time,
	};
	struct x1_rv *rv = sram ? x1_rv_new(&cfg) : NULL;

	if (!rv) {
		free(sram);
		return bench_fail("management core", -12);
	}
	memcpy(sram, program, sizeof(program));
	x1_rv_flush_decoded(rv);
	x1_rv_reset(rv, X1_MC_SRAM_BASE);
	for (int round = 0; round < ROUNDS; round++) {
		enum x1_rv_stop stop;
		double start = bench_now();
		uint64_t done = x1_rv_run(rv, insns, &stop);

		if (done < insns) {
			x1_rv_free(rv);
			free(sram);
			return bench_fail("management core stopped", -5);
		}
		bench_add(root, "fw.mips", "MIPS", "", (double)done / (bench_now() - start) * 1e-6);
	}
	x1_rv_free(rv);
	free(sram);
	return 0;
}

/* GHz, by a chain of additions that each take the one before: a cycle each. */
static double core_clock(void)
{
	uint64_t rounds = 4000000, x = 0;
	double start = bench_now();

	__asm__ volatile("1:\n"
			 ".rept 16\n"
			 "add %2, %0\n"
			 ".endr\n"
			 "dec %1\n"
			 "jnz 1b\n"
			 : "+r"(x), "+r"(rounds)
			 : "r"(rounds | 1)
			 : "cc");
	return 16 * 4000000 / (bench_now() - start) * 1e-9;
}

int bench_host(json_t *root)
{
	double cpus = (double)sysconf(_SC_NPROCESSORS_ONLN), fma, ints, ghz;
	char text[96];

	bench_describe_host(root);
	for (int round = 0; round < ROUNDS; round++) {
		ghz = core_clock();
		fma = bench_peak(X1_FMT_FP32, 200);
		ints = bench_peak(X1_FMT_INT8, 200);
		if (fma < 0 || ints < 0)
			return -1;
		bench_add(root, "host.clock", "GHz", "", ghz);
		snprintf(text, sizeof(text), "%s, path %s, %.0f threads",
			 x1_num_peak_insn(X1_FMT_FP32), x1_num_path_name(), cpus);
		bench_add(root, "host.peak_fma", "GFLOP/s", text, fma * 1e-9);
		/* Is the peak one? Whole FMA pipes of the path's width. */
		bench_add(root, "host.peak_fma_per_cycle", "FLOP", "host.clock, one thread",
			  fma / cpus / (ghz * 1e9));
		snprintf(text, sizeof(text), "%s, %.0f threads", x1_num_peak_insn(X1_FMT_INT8),
			 cpus);
		bench_add(root, "host.peak_int", "GOP/s", text, ints * 1e-9);
	}
	return firmware(root);
}
