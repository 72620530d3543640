// SPDX-License-Identifier: MIT
/*
 * What the other results are related to: the host's arithmetic peak and its
 * memcpy; and the management core's speed, which needs no device.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "num/x1_num.h"
#include "rv/x1_rv.h"
#include <x1/x1_fw.h>

#define COPY_BYTES (16u << 20)
#define ROUNDS	   5

static void *peak_thread(void *arg)
{
	*(double *)arg = x1_num_peak_fma(300);
	return NULL;
}

/* All processors at once, as the workers are. */
static int peak(json_t *root)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t *threads = calloc((size_t)cpus, sizeof(*threads));
	double *rates = calloc((size_t)cpus, sizeof(*rates));
	struct bench_samples s = {.n = 0};
	char text[96];

	if (!threads || !rates)
		return bench_fail("peak", -12);
	for (int round = 0; round < ROUNDS; round++) {
		double sum = 0;

		for (long i = 0; i < cpus; i++)
			if (pthread_create(&threads[i], NULL, peak_thread, &rates[i]))
				return bench_fail("thread", -11);
		for (long i = 0; i < cpus; i++) {
			pthread_join(threads[i], NULL);
			sum += rates[i];
		}
		bench_sample(&s, sum * 1e-9);
	}
	snprintf(text, sizeof(text), "FP32 FMA of path %s, %ld threads", x1_num_path_name(), cpus);
	bench_add(root, "host.peak_fma", "GFLOP/s", text, &s);
	free(threads);
	free(rates);
	return 0;
}

static int copy(json_t *root)
{
	struct bench_samples s = {.n = 0};
	uint8_t *a = malloc(COPY_BYTES), *b = malloc(COPY_BYTES);

	if (!a || !b) {
		free(a);
		free(b);
		return bench_fail("memcpy", -12);
	}
	memset(a, 1, COPY_BYTES);
	memset(b, 2, COPY_BYTES);
	for (int round = 0; round < ROUNDS * 4; round++) {
		double start = bench_now();

		memcpy(a, b, COPY_BYTES);
		/* The compiler may not drop it. */
		__asm__ volatile("" : : "r"(a) : "memory");
		if (round >= ROUNDS)
			bench_sample(&s, COPY_BYTES / (bench_now() - start) * 1e-9);
	}
	bench_add(root, "host.memcpy_16m", "GB/s", "", &s);
	free(a);
	free(b);
	return 0;
}

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
		.sram = sram, .sram_base = X1_MC_SRAM_BASE, .sram_bytes = X1_MC_SRAM_BYTES,
		.read = no_device_read, .write = no_device_write, .time = no_time,
	};
	struct bench_samples s = {.n = 0};
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
		bench_sample(&s, (double)done / (bench_now() - start) * 1e-6);
	}
	bench_add(root, "fw.mips", "MIPS", "", &s);
	x1_rv_free(rv);
	free(sram);
	return 0;
}

int bench_host(json_t *root)
{
	bench_describe_host(root);
	return peak(root) || copy(root) || firmware(root) ? -1 : 0;
}
