/* SPDX-License-Identifier: MIT */
/* Host paths of the matrix product: what each set of CPU instructions provides. */
#ifndef X1_MM_PATH_H
#define X1_MM_PATH_H

#include "x1_cvt.h"
#include "x1_num.h"
#include "x1_vec.h"

#define X1_MM_MAX_MR 32
#define X1_MM_MAX_NR 32

/*
 * Elements of converted operands. B's panels hold groups of as many k as fill
 * 4 bytes: k / group rows of nr groups.
 */
enum x1_mm_elem {
	X1_MM_F32,
	X1_MM_I16,
	X1_MM_I8,
	X1_MM_COUNT
};

static inline uint32_t x1_mm_elem_bytes(enum x1_mm_elem e)
{
	return e == X1_MM_F32 ? 4 : e == X1_MM_I8 ? 1 : 2;
}

/* mr rows by nr columns over k elements. FP32 or INT32 accumulators. */
struct x1_mm_tile {
	const void *a;
	size_t a_stride; /* bytes from row to row */
	const void *b;
	void *acc;
	size_t acc_stride; /* bytes */
	uint32_t k;
	uint32_t block; /* 32, or 16 for NVFP4; k of floats is a multiple */
};

struct x1_mm_kernel {
	enum x1_mm_elem elem;
	uint32_t mr;
	bool a_offset;                           /* A's bytes are unsigned, 128 added */
	void (*run)(const struct x1_mm_tile *t); /* acc += products */
};

struct x1_mm_path {
	const char *name;
	uint32_t nr;
	/* FP32 operands need no conversion: the host flushes subnormals when it reads them. */
	bool flushes;
	/* Is it there on this CPU? */
	bool (*usable)(void);
	/* The accumulate rule; fma in rising k; integers, wrapping. */
	struct x1_mm_kernel blocks, fma, ints;
	/* acc = fma(p, s, acc), element by element; n is a multiple of nr. */
	void (*scale)(float *acc, const float *p, const float *s, size_t n);
	/* nr products s = a * b, flushed. */
	void (*mul)(float *s, float a, const float *b);
	/* nr rows of k 4-byte elements (row pointers) to k rows of nr; k a multiple of 16. */
	void (*transpose)(const void *const *rows, void *dst, uint32_t k);
	/* The last operation of an instruction: NaNs of a row of nr to the canonical one. */
	void (*canonical)(float *acc);
	double (*peak)(unsigned int ms);
	const struct x1_vec_path *vec;
	const struct x1_cvt_path *cvt; /* NULL: none but the portable ones */
};

extern const struct x1_mm_path x1_mm_path_portable, x1_mm_path_avx2, x1_mm_path_avx512;

const struct x1_mm_path *x1_mm_path(void);

/* Flush-to-zero mode of the host for the duration of a call; 0 where there is none. */
uint32_t x1_fp_enter(void);
void x1_fp_leave(uint32_t saved);

#endif /* X1_MM_PATH_H */
