/* SPDX-License-Identifier: MIT */
/*
 * Benchmarks of the X1. Groups add samples to a working file; `report` makes
 * the file of results of it. Ratios are taken of two things measured in turn,
 * so that the machine's mood hits both.
 */
#ifndef X1_BENCH_H
#define X1_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <jansson.h>
#include <sili.h>

static inline double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The middle one of n values, which it sorts. */
double bench_median(double *v, size_t n);

/* The samples of a file, none if it is not there; NULL with a message if it cannot be read. */
json_t *bench_load(const char *path);
/* 0 or -1 with a message. */
int bench_save(json_t *root, const char *path);
/*
 * Add a sample to a quantity. against says what a ratio relates to, "" if
 * nothing.
 */
void bench_add(json_t *root, const char *name, const char *unit, const char *against, double value);
/* The last sample of a quantity, or NAN. */
double bench_last(const json_t *root, const char *name);
void bench_describe_host(json_t *root);
/*
 * Write the results, schema 1, and print them as a table. -1 with a message if
 * one that a line of the file `required` names is missing.
 */
int bench_report(json_t *root, const char *path, const char *required);

/* Print an error of libsili or the system, return -1. */
int bench_fail(const char *what, int error);

/* Operations per second of all processors at once with the instruction for `fmt`; < 0 = error. */
double bench_peak(enum x1_format fmt, unsigned int ms);
/* GB/s of a 16 MiB memcpy by one thread; < 0 = error. */
double bench_memcpy(void);

int bench_host(json_t *root);
int bench_memcpy_group(json_t *root);
int bench_gemm(json_t *root);
int bench_suite(json_t *root);
int bench_model(json_t *root);
int bench_attention(json_t *root);
int bench_sim(json_t *root);
int bench_vm(json_t *root);
int bench_bind(json_t *root);

/* ---- blas.c: products of host libraries ---- */

struct bench_rival;
/* The i-th that is put beside the X1's product of a format (by its name in results), or NULL. */
const struct bench_rival *bench_rival(const char *format, unsigned int i);
const char *bench_rival_name(const struct bench_rival *r);
const char *bench_rival_what(const struct bench_rival *r);
/* Of a warm product of dim x dim x dim; < 0: not installed, or not for this processor. */
double bench_rival_seconds(const struct bench_rival *r, unsigned int dim);

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
