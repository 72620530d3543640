/* SPDX-License-Identifier: MIT */
/*
 * The grid of operators: what one case is, and what all of them share. A
 * family is a function that runs its cases; each case runs on two machines and
 * with prefetch on and off, gives the same bits everywhere, and is compared
 * with values in double precision that are written from the definition.
 */
#ifndef SILI_TEST_OPS_H
#define SILI_TEST_OPS_H

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sili_kernels.h>

#include "num/x1_num.h"
#include "util.h"

#define OPS_BUFS 12
#define OPS_CMDS 16

struct ops_buf {
	enum x1_format fmt;
	size_t n, bytes;
	uint8_t *host; /* what the device gets, or gave */
	double *v;     /* an input's values */
	bool out;
};

struct ops_case {
	const char *op;
	char what[96]; /* formats, then what is special */
	char shape[64];
	struct ops_buf buf[OPS_BUFS];
	uint32_t num;
	uint64_t work_bytes;
	/* Append the commands; dva[i] is buffer i, dva[num] the workspace. */
	int (*emit)(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		    enum sili_prefetch prefetch, union x1_cmd *cmds);
	const void *request;
	double worst; /* error in parts of its bound */
};

/* True: large shapes on a whole X1, cycles are reported; else small ones. */
extern bool ops_measure;

void ops_case(struct ops_case *c, const char *op, const void *request,
	      int (*emit)(struct sili_device *, const struct ops_case *, const uint64_t *,
			  enum sili_prefetch, union x1_cmd *));
void ops_what(struct ops_case *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ops_shape(struct ops_case *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Inputs: n values about `scale` large, both signs; given ones; INT32 numbers below `limit`. */
uint32_t ops_random(struct ops_case *c, enum x1_format fmt, size_t n, double scale);
uint32_t ops_values(struct ops_case *c, enum x1_format fmt, size_t n, const double *v);
uint32_t ops_bytes(struct ops_case *c, const void *data, size_t bytes);
uint32_t ops_numbers(struct ops_case *c, size_t n, uint32_t limit);
uint32_t ops_output(struct ops_case *c, enum x1_format fmt, size_t n);
/* Run everywhere; the outputs are in their host buffers. */
void ops_run(struct ops_case *c);
/* Output i is within tol[i] (NULL: 0) and half a step of its format of want[i]. */
void ops_expect(struct ops_case *c, uint32_t buf, const double *want, const double *tol);
void ops_expect_bytes(struct ops_case *c, uint32_t buf, const void *want);
/* Count, report, free. */
void ops_end(struct ops_case *c);
double ops_get(const struct ops_case *c, uint32_t buf, size_t i);

/* A seed of its own for each case, the same on every run. */
uint32_t ops_rand(void);

struct sili_device *ops_device(void);

/* A request that is right but for one field is refused; uses dev and cmd. */
#define OPS_REFUSED(call, request, field, value, code)            \
	do {                                                      \
		__typeof__(request) bad_ = request;               \
		bad_.field = value;                               \
		assert_int_equal(call(dev, &bad_, cmd, 4), code); \
	} while (0)

/* ---- families ---- */

void ops_norm(void **state);
void ops_map(void **state);
void ops_shapes(void **state);
void ops_route(void **state);
void ops_quant(void **state);

#endif /* SILI_TEST_OPS_H */
