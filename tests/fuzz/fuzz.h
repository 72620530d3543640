/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: reading an input, and a device in this process with
 * the small host of tests/unit/core.
 */
#ifndef X1_FUZZ_H
#define X1_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "host.h"

/* An input, read from the front; past its end it reads as zero. */
struct fz_in {
	const uint8_t *p;
	size_t n;
};

static inline uint64_t fz_take(struct fz_in *in, size_t bytes)
{
	uint64_t v = 0;
	size_t n = in->n < bytes ? in->n : bytes;

	memcpy(&v, in->p, n);
	in->p += n;
	in->n -= n;
	return v;
}

static inline uint8_t fz_u8(struct fz_in *in)
{
	return (uint8_t)fz_take(in, 1);
}

static inline uint16_t fz_u16(struct fz_in *in)
{
	return (uint16_t)fz_take(in, 2);
}

static inline uint32_t fz_u32(struct fz_in *in)
{
	return (uint32_t)fz_take(in, 4);
}

static inline uint64_t fz_u64(struct fz_in *in)
{
	return fz_take(in, 8);
}

/* Below n. */
static inline uint32_t fz_below(struct fz_in *in, uint32_t n)
{
	return n <= 256 ? fz_u8(in) % n : fz_u32(in) % n;
}

/* A number of any magnitude that takes few bytes of input. */
uint64_t fz_number(struct fz_in *in);
/* An address of the user VM: in one of its areas, near an edge of one, or any. */
uint64_t fz_address(struct fz_in *in);

/* Says what is wrong and aborts, which the fuzzer reports. */
#define FZ_CHECK(cond, ...)                                                        \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                              \
			fputc('\n', stderr);                                       \
			abort();                                                   \
		}                                                                  \
	} while (0)

#define FZ_QUEUES   8             /* that have a ring */
#define FZ_IMAGE_AT (60ull << 20) /* HBM, for a firmware image */

/* The one device of a fuzzer, made at the first call, small and with few MCUs. */
struct t_host *fz_device(void);
/*
 * The device as at its start: reset, page tables and the first bytes of all
 * areas as they were, both VMs attached.
 */
void fz_restart(struct t_host *t);
/* Wait until the queue has retired everything or stopped; at most some ms. */
void fz_settle(struct t_host *t, uint32_t q, unsigned int ms);
/* Reset the queue: it has to be READY soon, whatever it did. */
void fz_stop(struct t_host *t, uint32_t q);
/* Put the real firmware's image where it goes; returns its size. */
uint32_t fz_load_image(struct t_host *t);
/* And wait until it runs. */
void fz_boot(struct t_host *t);
/* The device works: a queue executes a FENCE. */
void fz_alive(struct t_host *t, uint32_t q);

#endif /* X1_FUZZ_H */
