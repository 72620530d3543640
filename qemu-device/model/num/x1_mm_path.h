/* SPDX-License-Identifier: MIT */
/* Host paths of the matrix product: what each set of CPU instructions provides. */
#ifndef X1_MM_PATH_H
#define X1_MM_PATH_H

#include "x1_num.h"
#include "x1_vec.h"

#define X1_MM_MAX_MR 8
#define X1_MM_MAX_NR 32

/*
 * A tile is mr rows by nr columns. a[i] points at row i's k values, b holds k
 * rows of nr, acc is mr rows of acc_stride elements.
 */
struct x1_mm_tile {
	const float *a[X1_MM_MAX_MR];
	const float *b;
	float *acc;
	size_t acc_stride;
	uint32_t k;
	uint32_t block; /* 32, or 16 for NVFP4; k is a multiple */
};

struct x1_mm_itile {
	const int16_t *a[X1_MM_MAX_MR]; /* k even */
	const int16_t *b;               /* k / 2 rows of nr pairs */
	int32_t *acc;
	size_t acc_stride;
	uint32_t k;
};

struct x1_mm_path {
	const char *name;
	uint32_t mr, nr;
	/* Is it there on this CPU? */
	bool (*usable)(void);
	/* acc += blocks, by the accumulate rule. */
	void (*blocks)(const struct x1_mm_tile *t);
	/* acc = fma in rising k. */
	void (*fma)(const struct x1_mm_tile *t);
	/* acc += products, wrapping. */
	void (*ints)(const struct x1_mm_itile *t);
	/* acc = fma(p, s, acc), element by element. */
	void (*scale)(float *acc, const float *p, const float *s, size_t n);
	/* nr products s = a * b, flushed. */
	void (*mul)(float *s, float a, const float *b);
	/* Elements of a row to FP32; false = not this format. */
	bool (*unpack)(enum x1_format fmt, const uint8_t *src, float *dst, size_t n);
	/* nr rows of k 4-byte elements (row pointers) to k rows of nr; k a multiple of 16. */
	void (*transpose)(const void *const *rows, void *dst, uint32_t k);
	/* Integers from FP32; n is a multiple of 32. */
	void (*to_i16)(const float *src, int16_t *dst, size_t n);
	/* The last operation of an instruction: NaNs to the canonical one. */
	void (*canonical)(float *acc, size_t n);
	double (*peak)(unsigned int ms);
	const struct x1_vec_path *vec;
};

extern const struct x1_mm_path x1_mm_path_portable, x1_mm_path_avx2, x1_mm_path_avx512;

const struct x1_mm_path *x1_mm_path(void);

/* Flush-to-zero mode of the host for the duration of a call; 0 where there is none. */
uint32_t x1_fp_enter(void);
void x1_fp_leave(uint32_t saved);

#endif /* X1_MM_PATH_H */
