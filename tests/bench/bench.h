/* SPDX-License-Identifier: MIT */
/*
 * Benchmarks of the X1. Each group measures, and adds its results to one file:
 * host (this machine and what needs no device), sim (in-process device), vm
 * (through siliflow.ko, in the guest).
 */
#ifndef X1_BENCH_H
#define X1_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>
#include <sili.h>

#define BENCH_MAX_SAMPLES 64

/* Samples of one quantity. */
struct bench_samples {
	double v[BENCH_MAX_SAMPLES];
	size_t n;
};

static inline double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

void bench_sample(struct bench_samples *s, double value);
/* The middle one of n values, which it sorts. */
double bench_median(double *v, size_t n);

/* The results of a file; NULL with a message if it cannot be read. */
json_t *bench_load(const char *path);
/* 0 or -1 with a message. */
int bench_save(json_t *root, const char *path);
/*
 * Put a result in the place of an older one of the same name: its value is the
 * median of the samples. against says what a ratio relates to, "" if nothing.
 */
void bench_add(json_t *root, const char *name, const char *unit, const char *against,
	       const struct bench_samples *s);
/* The value of a result, or NAN. */
double bench_value(const json_t *root, const char *name);
void bench_describe_host(json_t *root);

/* Print an error of libsili or the system, return -1. */
int bench_fail(const char *what, int error);

int bench_host(json_t *root);
int bench_gemm(json_t *root);
int bench_sim(json_t *root);
int bench_vm(json_t *root);

/* ---- nvme.c: the yardstick of the submit path ---- */

struct bench_nvme;
/* The first NVMe name space, opened for direct reads; NULL with a message. */
struct bench_nvme *bench_nvme_open(void);
void bench_nvme_close(struct bench_nvme *nvme);
/* One 4 KiB read: 0 or -errno. */
int bench_nvme_read(struct bench_nvme *nvme);
/* Reads per second with `depth` of them in flight for some seconds; < 0 = -errno. */
double bench_nvme_rate(struct bench_nvme *nvme, unsigned int depth, double seconds);

#endif /* X1_BENCH_H */
