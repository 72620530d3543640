/* SPDX-License-Identifier: MIT */
/*
 * Matrix product for x86 vectors of VL floats; the including file defines the
 * vector operations. A tile is MR rows of two vectors. By the accumulate rule
 * the sums of even and odd k stay in registers for a block and the accumulator
 * is touched once per block; by the fma rule it stays in registers, twice as
 * many rows of them. Flush-to-zero mode is on (x1_fp_enter), tininess after
 * rounding: the rule.
 */
#include "x1_mm_path.h"

#define NR            (2 * VL)
#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline const uint8_t *a_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (const uint8_t *)t->a + i * t->a_stride;
}

static inline void *acc_row(const struct x1_mm_tile *t, unsigned int i)
{
	return (uint8_t *)t->acc + i * t->acc_stride;
}

/* Operands used in place have no alignment. */
typedef float any_f32 __attribute__((aligned(1), may_alias));
typedef int32_t any_i32 __attribute__((aligned(1), may_alias));

static inline vec a_at(const uint8_t *row, uint32_t k)
{
	return V_SET1(((const any_f32 *)row)[k]);
}

/*
 * A kernel for fewer rows than the tile has, where that is all that is wanted:
 * what is left of a ragged m, products of a few rows. `rows` is a constant, so
 * that the sums stay in registers.
 */
#define FEWER_ROWS(kernel, most, t)           \
	do {                                  \
		if ((t)->rows == 1)           \
			kernel(t, 1);         \
		else if ((t)->rows <= MR / 2) \
			kernel(t, MR / 2);    \
		else if ((t)->rows <= MR)     \
			kernel(t, MR);        \
		else                          \
			kernel(t, most);      \
	} while (0)

static ALWAYS_INLINE void blocks_of(const struct x1_mm_tile *t, const unsigned int rows)
{
	const float *b = t->b;
	const uint8_t *a[MR];

	for (unsigned int i = 0; i < rows; i++)
		a[i] = a_row(t, i);
	for (uint32_t k0 = 0; k0 < t->k; k0 += t->block) {
		vec e[MR][2], o[MR][2];

#pragma GCC unroll 16
		for (unsigned int i = 0; i < rows; i++)
			e[i][0] = e[i][1] = o[i][0] = o[i][1] = V_ZERO();
		for (uint32_t k = k0; k < k0 + t->block; k += 2, b += 2 * NR) {
			vec b0 = V_LOAD(b), b1 = V_LOAD(b + VL);

#pragma GCC unroll 16
			for (unsigned int i = 0; i < rows; i++) {
				vec x = a_at(a[i], k);

				e[i][0] = V_FMA(x, b0, e[i][0]);
				e[i][1] = V_FMA(x, b1, e[i][1]);
			}
			b0 = V_LOAD(b + NR);
			b1 = V_LOAD(b + NR + VL);
#pragma GCC unroll 16
			for (unsigned int i = 0; i < rows; i++) {
				vec x = a_at(a[i], k + 1);

				o[i][0] = V_FMA(x, b0, o[i][0]);
				o[i][1] = V_FMA(x, b1, o[i][1]);
			}
		}
#pragma GCC unroll 16
		for (unsigned int i = 0; i < rows; i++) {
			float *acc = acc_row(t, i);

			V_STORE(acc, V_ADD(V_LOAD(acc), V_ADD(e[i][0], o[i][0])));
			V_STORE(acc + VL, V_ADD(V_LOAD(acc + VL), V_ADD(e[i][1], o[i][1])));
		}
	}
}

static inline void blocks(const struct x1_mm_tile *t)
{
	FEWER_ROWS(blocks_of, MR, t);
}

static ALWAYS_INLINE void fma_rule_of(const struct x1_mm_tile *t, const unsigned int rows)
{
	const float *b = t->b;
	const uint8_t *a = t->a;
	vec acc[2 * MR][2];

#pragma GCC unroll 16
	for (unsigned int i = 0; i < rows; i++) {
		acc[i][0] = V_LOAD(acc_row(t, i));
		acc[i][1] = V_LOAD((float *)acc_row(t, i) + VL);
	}
	for (uint32_t k = 0; k < t->k; k++, a += 4, b += NR) {
		vec b0 = V_LOAD(b), b1 = V_LOAD(b + VL);

#pragma GCC unroll 16
		for (unsigned int i = 0; i < rows; i++) {
			vec x = a_at(a + i * t->a_stride, 0);

			acc[i][0] = V_FMA(x, b0, acc[i][0]);
			acc[i][1] = V_FMA(x, b1, acc[i][1]);
		}
	}
#pragma GCC unroll 16
	for (unsigned int i = 0; i < rows; i++) {
		V_STORE(acc_row(t, i), acc[i][0]);
		V_STORE((float *)acc_row(t, i) + VL, acc[i][1]);
	}
}

static inline void fma_rule(const struct x1_mm_tile *t)
{
	FEWER_ROWS(fma_rule_of, 2 * MR, t);
}

/* Pairs of 16 bits, multiplied and added. */
#define INT_NAME   pairs
#define INT_ROWS   pairs_of
#define INT_GROUP  2
#define INT_OFFSET 0
#define INT_TARGET
#define INT_DOT(acc, a, b) VI_ADD(acc, VI_MADD(a, b))
#include "x1_mm_int_simd.h"

/* Four bytes, A's unsigned. */
#define INT_NAME           bytes
#define INT_ROWS           bytes_of
#define INT_SUMS           bytes_sums
#define INT_GROUP          4
#define INT_OFFSET         1
#define INT_TARGET         VNNI_TARGET
#define INT_DOT(acc, a, b) VI_DOT(acc, a, b)
#include "x1_mm_int_simd.h"

static void scale(float *acc, size_t acc_stride, const float *p, uint32_t rows, const float *sa,
		  const float *sb)
{
	vec s0 = V_LOAD(sb), s1 = V_LOAD(sb + VL);

	for (uint32_t r = 0; r < rows; r++, p += NR) {
		float *to = (float *)((uint8_t *)acc + r * acc_stride);
		vec x = V_SET1(sa[r]);

		V_STORE(to, V_FMA(V_LOAD(p), V_MUL(x, s0), V_LOAD(to)));
		V_STORE(to + VL, V_FMA(V_LOAD(p + VL), V_MUL(x, s1), V_LOAD(to + VL)));
	}
}

/* Products are exact in binary64; narrowing rounds and flushes as FP32 operations do. */
static void scale_exact(float *acc, size_t acc_stride, const float *p, uint32_t rows,
			const double *sa, const double *sb)
{
	for (uint32_t r = 0; r < rows; r++) {
		float *to = (float *)((uint8_t *)acc + r * acc_stride);

		for (unsigned int i = 0; i < NR; i += VL, p += VL)
			V_STORE(to + i, V_FMA(V_LOAD(p), V_MUL_F64(sa[r], sb + i), V_LOAD(to + i)));
	}
}

static void canonical(float *acc, size_t acc_stride, uint32_t rows)
{
	const float *row = acc;
	unsigned int any = 0;

	/* Rarely anything: rows are written only then. */
	for (uint32_t r = 0; r < rows;
	     r++, row = (const float *)((const uint8_t *)row + acc_stride))
		any |= V_HAS_NAN(V_LOAD(row), V_LOAD(row + VL));
	for (uint32_t r = 0; any && r < rows; r++) {
		float *to = (float *)((uint8_t *)acc + r * acc_stride);

		for (unsigned int i = 0; i < NR; i++)
			to[i] = to[i] == to[i] ? to[i] : x1_bits_f32(X1_CANONICAL_NAN);
	}
}

/*
 * Rounds of one instruction (or a pair) on PEAK_ACCS independent registers, in
 * assembly: nothing that a compiler could spill.
 */
#define PEAK_RUN(name, insn)                                                     \
	static inline void name(uint64_t rounds)                                 \
	{                                                                        \
		static const float x = 0.999f;                                   \
                                                                                 \
		__asm__ volatile("vbroadcastss %1, %%" PEAK_REG "15\n"           \
				 ".irp r," PEAK_LIST "\n"                        \
				 "vmovaps %%" PEAK_REG "15, %%" PEAK_REG "\\r\n" \
				 ".endr\n"                                       \
				 "1:\n"                                          \
				 ".irp r," PEAK_LIST "\n" insn "\n.endr\n"       \
				 "dec %0\n"                                      \
				 "jnz 1b\n"                                      \
				 : "+r"(rounds)                                  \
				 : "m"(x)                                        \
				 : PEAK_CLOBBERS, "cc");                         \
	}

PEAK_RUN(peak_fma, "vfmadd213ps %%" PEAK_REG "15, %%" PEAK_REG "15, %%" PEAK_REG "\\r")
PEAK_RUN(peak_pairs, "vpmaddwd %%" PEAK_REG "15, %%" PEAK_REG "15, %%" PEAK_REG PEAK_TMP "\n"
		     "vpaddd %%" PEAK_REG PEAK_TMP ", %%" PEAK_REG "\\r, %%" PEAK_REG "\\r")
PEAK_RUN(peak_bytes, VNNI_PREFIX "vpdpbusd %%" PEAK_REG "15, %%" PEAK_REG "15, %%" PEAK_REG "\\r")

/* One path of this vector width; integers by `int_kernel`. */
#define MM_PATH(path_name, path_usable, int_kernel, ...)                                     \
	{                                                                                    \
		.name = path_name, .nr = NR, .flushes = true, .usable = path_usable,         \
		.blocks = {.elem = X1_MM_F32, .mr = MR, .run = blocks, .peak = PEAK_FMA},    \
		.fma = {.elem = X1_MM_F32, .mr = 2 * MR, .run = fma_rule, .peak = PEAK_FMA}, \
		.ints = int_kernel, .scale = scale, .scale_exact = scale_exact,              \
		.transpose = transpose, .canonical = canonical, __VA_ARGS__                  \
	}
#define PEAK_FMA                                                     \
	{                                                            \
		PEAK_REG " vfmadd213ps", PEAK_ACCS *VL * 2, peak_fma \
	}
#define PAIRS                                                            \
	{                                                                \
		.elem = X1_MM_I16, .mr = 2 * MR, .run = pairs, .peak = { \
			PEAK_REG " vpmaddwd, vpaddd",                    \
			PEAK_ACCS * VL * 4,                              \
			peak_pairs                                       \
		}                                                        \
	}
#define BYTES                                                                               \
	{                                                                                   \
		.elem = X1_MM_I8, .mr = 2 * MR, .run = bytes, .sums = bytes_sums, .peak = { \
			PEAK_REG " vpdpbusd",                                               \
			PEAK_ACCS * VL * 8,                                                 \
			peak_bytes                                                          \
		}                                                                           \
	}
