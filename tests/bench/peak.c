// SPDX-License-Identifier: MIT
/* What the other results are related to: the host's arithmetic peaks and its memcpy. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "num/x1_num.h"

#define COPY_BYTES (16u << 20)
#define MAX_CPUS   256

/*
 * The integer products' instructions: pairs of 16-bit products summed, and
 * added to one of 12 accumulators.
 */
#define INT_ACCS 12
#define INT_LOOP(reg)                                               \
	__asm__ volatile("1:\n"                                     \
			 ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n"       \
			 "vpmaddwd %%" reg "14, %%" reg "15, %%" reg "13\n" \
			 "vpaddd %%" reg "13, %%" reg "\\r, %%" reg "\\r\n" \
			 ".endr\n"                                  \
			 "dec %0\n"                                 \
			 "jnz 1b\n"                                 \
			 : "+r"(rounds)                             \
			 :                                          \
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
			   "xmm9", "xmm10", "xmm11", "xmm13", "cc")

enum int_path { INT_NONE, INT_YMM, INT_ZMM };

static enum int_path int_path(void)
{
	const char *name = x1_num_path_name();

#if defined(__x86_64__)
	if (!strncmp(name, "avx512", 6))
		return INT_ZMM;
	if (!strncmp(name, "avx2", 4))
		return INT_YMM;
#endif
	(void)name;
	return INT_NONE;
}

const char *bench_peak_int_name(void)
{
	static const char *const names[] = {
		[INT_NONE] = "no integer instruction, FP32 FMA",
		[INT_YMM] = "vpmaddwd+vpaddd ymm",
		[INT_ZMM] = "vpmaddwd+vpaddd zmm",
	};

	return names[int_path()];
}

static double one_int(unsigned int ms)
{
	enum int_path path = int_path();
	double begin = bench_now(), ops = 0, s;

	if (path == INT_NONE)
		return x1_num_peak_fma(ms);
	do {
		const uint64_t n = 20000;
		uint64_t rounds = n;

#if defined(__x86_64__)
		if (path == INT_ZMM)
			INT_LOOP("zmm");
		else
			INT_LOOP("ymm");
#endif
		ops += (double)(n - rounds) * INT_ACCS * 2 * (path == INT_ZMM ? 32 : 16);
		s = bench_now() - begin;
	} while (s * 1000 < ms);
	return ops / s;
}

struct meter {
	pthread_t thread;
	double (*run)(unsigned int ms);
	unsigned int ms;
	double rate;
};

static void *meter_thread(void *arg)
{
	struct meter *m = arg;

	m->rate = m->run(m->ms);
	return NULL;
}

/* All processors at once, as the workers are. */
static double on_all(double (*run)(unsigned int ms), unsigned int ms)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct meter m[MAX_CPUS];
	double sum = 0;
	long started = 0;

	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	for (; started < cpus; started++) {
		m[started] = (struct meter){.run = run, .ms = ms};
		if (pthread_create(&m[started].thread, NULL, meter_thread, &m[started]))
			break;
	}
	for (long i = 0; i < started; i++) {
		pthread_join(m[i].thread, NULL);
		sum += m[i].rate;
	}
	return started == cpus ? sum : bench_fail("thread", EAGAIN);
}

double bench_peak_fma(unsigned int ms)
{
	return on_all(x1_num_peak_fma, ms);
}

double bench_peak_int(unsigned int ms)
{
	return on_all(one_int, ms);
}

double bench_memcpy(void)
{
	static uint8_t *a, *b;
	double v[5];

	if (!a) {
		a = malloc(COPY_BYTES);
		b = malloc(COPY_BYTES);
		if (!a || !b)
			return bench_fail("memcpy", ENOMEM);
		memset(a, 1, COPY_BYTES);
		memset(b, 2, COPY_BYTES);
		memcpy(a, b, COPY_BYTES);
	}
	for (unsigned int i = 0; i < 5; i++) {
		double start = bench_now();

		memcpy(a, b, COPY_BYTES);
		/* The compiler may not drop it. */
		__asm__ volatile("" : : "r"(a) : "memory");
		v[i] = COPY_BYTES / (bench_now() - start) * 1e-9;
	}
	return bench_median(v, 5);
}

int bench_memcpy_group(json_t *root)
{
	double speed = bench_memcpy();

	if (speed < 0)
		return -1;
	bench_add(root, "host.memcpy_16m", "GB/s", "", speed);
	return 0;
}
