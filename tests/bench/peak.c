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

struct meter {
	pthread_t thread;
	enum x1_format fmt;
	unsigned int ms;
	double rate;
};

static void *meter_thread(void *arg)
{
	struct meter *m = arg;

	m->rate = x1_num_peak(m->fmt, m->ms);
	return NULL;
}

/* All processors at once, as the workers are. */
double bench_peak(enum x1_format fmt, unsigned int ms)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct meter m[MAX_CPUS];
	double sum = 0;
	long started = 0;

	if (cpus > MAX_CPUS)
		cpus = MAX_CPUS;
	for (; started < cpus; started++) {
		m[started] = (struct meter){.fmt = fmt, .ms = ms};
		if (pthread_create(&m[started].thread, NULL, meter_thread, &m[started]))
			break;
	}
	for (long i = 0; i < started; i++) {
		pthread_join(m[i].thread, NULL);
		sum += m[i].rate;
	}
	return started == cpus ? sum : bench_fail("thread", EAGAIN);
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
