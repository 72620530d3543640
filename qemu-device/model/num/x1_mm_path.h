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
	X1_MM_BF16,
	X1_MM_I16,
	X1_MM_I8,
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
	uint32_t rows; /* of mr that anyone wants: others need not be computed */
	/* k is a multiple of it: 32 or 16 for floats, 32 or 64 for integers. */
	uint32_t block;
	const int32_t *sums; /* of a kernel that has them */
};

/* The instruction that a kernel runs on, as fast as it goes: operands in registers. */
struct x1_mm_peak {
	const char *insn;
	double ops; /* of a round, two per multiply-add */
	void (*run)(uint64_t rounds);
};

struct x1_mm_kernel {
	enum x1_mm_elem elem;
	uint32_t mr;
	void (*run)(const struct x1_mm_tile *t); /* acc += products */
	/*
	 * A's bytes are unsigned, 128 added: what that adds to the products of a
	 * panel of nr columns. NULL: they are signed.
	 */
	void (*sums)(const void *b, uint32_t k, int32_t *sums);
	struct x1_mm_peak peak;
};

struct x1_mm_path {
	const char *name;
	uint32_t nr;
	/* FP32 operands need no conversion: the host flushes subnormals when it reads them. */
	bool flushes;
	/* Is it there on this CPU? */
	bool (*usable)(void);
	/*
	 * The accumulate rule; fma in rising k; integers, wrapping; the accumulate
	 * rule where both operands have values of BF16 (run NULL: not here).
	 */
	struct x1_mm_kernel blocks, fma, ints, bf16;
	/* n elements of a row as BF16, 16 or more at a time; returns how many. NULL: no bf16. */
	size_t (*to_bf16)(enum x1_format fmt, const uint8_t *src, uint16_t *dst, size_t n);
	/* Around runs of `bf16` and `ints`, bytes of A's rows in a block. NULL: nothing to do. */
	void (*begin)(uint32_t bytes);
	void (*end)(void);
	/*
	 * acc = fma(p, sa * sb, acc) for rows of nr, a scale of A each; p is dense.
	 * `exact`: scales that FP32 does not hold; the product is rounded once too.
	 */
	void (*scale)(float *acc, size_t acc_stride, const float *p, uint32_t rows, const float *sa,
		      const float *sb);
	void (*scale_exact)(float *acc, size_t acc_stride, const float *p, uint32_t rows,
			    const double *sa, const double *sb);
	/* nr rows of k 4-byte elements (row pointers) to k rows of nr; k a multiple of 16. */
	void (*transpose)(const void *const *rows, void *dst, uint32_t k);
	/* The last operation of an instruction: NaNs of rows of nr to the canonical one. */
	void (*canonical)(float *acc, size_t acc_stride, uint32_t rows);
	const struct x1_vec_path *vec;
	const struct x1_cvt_path *cvt; /* NULL: none but the portable ones */
};

extern const struct x1_mm_path x1_mm_path_portable, x1_mm_path_avx2, x1_mm_path_avxvnni,
	x1_mm_path_avx512, x1_mm_path_avx512vnni, x1_mm_path_amx;

const struct x1_mm_path *x1_mm_path(void);

/* Flush-to-zero mode of the host for the duration of a call; 0 where there is none. */
uint32_t x1_fp_enter(void);
void x1_fp_leave(uint32_t saved);

#endif /* X1_MM_PATH_H */
