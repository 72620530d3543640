/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of the X1: formats, the matrix product by the accumulate rule,
 * and the functions of VECTOR. Bit-exact to docs/manual/numerics.md on every
 * host path. Thread-safe; no state but the host path, chosen once.
 */
#ifndef X1_NUM_H
#define X1_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x1/x1_fault.h"
#include "x1/x1_formats.h"

#define X1_CANONICAL_NAN 0x7fc00000u

static inline uint32_t x1_f32_bits(float f)
{
	union {
		float f;
		uint32_t u;
	} v = {.f = f};

	return v.u;
}

static inline float x1_bits_f32(uint32_t u)
{
	union {
		uint32_t u;
		float f;
	} v = {.u = u};

	return v.f;
}

/* A binary32 subnormal reads as a zero of its sign. */
static inline float x1_flush(float f)
{
	uint32_t u = x1_f32_bits(f);

	return u & 0x7f800000u ? f : x1_bits_f32(u & 0x80000000u);
}

/* ---- formats ---- */

/* Value of one code of a floating format (E8M0 included), subnormals of FP32 and BF16 flushed. */
float x1_decode(enum x1_format fmt, uint32_t code);

/*
 * Nearest code, ties to even. saturate: overflow and infinities give the
 * largest finite value; else infinity or, where the format has none, NaN.
 */
uint32_t x1_encode(enum x1_format fmt, float value, bool saturate);

/*
 * n elements from element `first` of a packed stream (6-bit: four in three
 * bytes; 4-bit: low nibble first) to FP32, and back. Integer formats convert
 * to and from their value; values of INT32 beyond 2^24 round.
 */
void x1_unpack_f32(enum x1_format fmt, const void *src, size_t first, float *dst, size_t n);
void x1_pack_f32(enum x1_format fmt, bool saturate, const float *src, void *dst, size_t first,
		 size_t n);

/* Integer formats to INT32; back with saturation or by dropping high bits. */
void x1_unpack_i32(enum x1_format fmt, const void *src, size_t first, int32_t *dst, size_t n);
void x1_pack_i32(enum x1_format fmt, bool saturate, const int32_t *src, void *dst, size_t first,
		 size_t n);

/* ---- matrix product ---- */

/*
 * One operand in local memory: row r of `rows` starts at
 *   base + (r % group) * stride + (r / group) * gstride
 * and holds k elements; transposed: k rows of `rows` elements.
 */
struct x1_mm_operand {
	const uint8_t *base;
	enum x1_format fmt;
	bool trans;
	int64_t stride, gstride;
	uint32_t group; /* 0 = none */
	enum x1_scale_mode scale;
	const uint8_t *scales;
	int64_t scale_stride;
};

struct x1_mm_args {
	uint32_t m, n, k; /* logical */
	uint32_t k0;
	struct x1_mm_operand a, b;
	enum x1_sparsity sparsity; /* of B */
	const uint8_t *meta;
	int64_t meta_stride;
	bool accumulate;
	void *acc;          /* FP32 or INT32 */
	int64_t acc_stride; /* bytes */
};

/* X1_FAULT_NONE, or X1_FAULT_FORMAT or X1_FAULT_OPERAND (k0, k). */
enum x1_fault x1_mm_legal(enum x1_format a, enum x1_format b, enum x1_scale_mode sa,
			  enum x1_scale_mode sb, enum x1_sparsity sparsity);

/* k0 is a multiple of this. */
uint32_t x1_mm_k0_step(enum x1_scale_mode sa, enum x1_scale_mode sb);

/* k elements that B stores for k logical ones, and bits of index per stored one. */
uint32_t x1_sparse_stored(enum x1_sparsity s, uint32_t k);
uint32_t x1_sparse_index_bits(enum x1_sparsity s);
uint32_t x1_sparse_group(enum x1_sparsity s);

/* Bytes of scale or metadata that an operand's row needs for k elements. */
uint32_t x1_scale_row_bytes(enum x1_scale_mode s, uint32_t k);

/* Scratch memory of one caller at a time: converted operands. */
struct x1_mm_ws;
struct x1_mm_ws *x1_mm_ws_new(void);
void x1_mm_ws_free(struct x1_mm_ws *ws);

/* Legal and in range: computes the product. -1 = out of host memory. */
int x1_mm(const struct x1_mm_args *args, struct x1_mm_ws *ws);

/* The host path that computes. */
const char *x1_num_path_name(void);
/* Has this CPU what the path needs? One that it has and that computes otherwise is not taken. */
bool x1_num_cpu_has_path(const char *name);

/*
 * Operations per second (two per multiply-add) of this host core with the
 * instruction that unscaled products of `fmt` by `fmt` run on, operands in
 * registers: the yardstick of the benchmarks. Runs for about `ms` milliseconds.
 */
double x1_num_peak(enum x1_format fmt, unsigned int ms);
const char *x1_num_peak_insn(enum x1_format fmt);

/* ---- VECTOR ---- */

/*
 * n elements; dst may equal a source but not overlap it otherwise. Ops as enum
 * x1_vec_op. Sources are flushed when read, NaN results are canonical.
 */
void x1_vec_unary(unsigned int op, float *dst, const float *a, size_t n);
void x1_vec_binary(unsigned int op, float *dst, const float *a, const float *b, size_t n);
void x1_vec_ternary(unsigned int op, float *dst, const float *a, const float *b, const float *c,
		    size_t n);
/* FP32 bits of a row's reduction in the manual's order; X1_VEC_RARGMAX: the index. */
uint32_t x1_vec_reduce(unsigned int op, const float *a, size_t n);

/* INT32, wrapping, for the ops that have it; sources an op does not take may be NULL. */
bool x1_vec_has_int(unsigned int op);
void x1_vec_int(unsigned int op, int32_t *dst, const int32_t *a, const int32_t *b, const int32_t *c,
		size_t n);
int32_t x1_vec_reduce_int(unsigned int op, const int32_t *a, size_t n);

/* FP32 bits of the largest magnitude of flushed values; a NaN is above all. */
uint32_t x1_vec_amax(const float *a, size_t n);
/* A block's scale code; returns what its elements are multiplied with. */
float x1_quant_scale(enum x1_scale_mode mode, enum x1_format fmt, float amax, float tensor,
		     uint32_t *code);
/* What a scale's code multiplies elements with, exact. */
double x1_dequant_scale(enum x1_scale_mode mode, uint32_t code, float tensor);
/* x = x * s for a value s of FP32 or a power of two, one rounding. */
void x1_vec_scale(float *x, double s, size_t n);
/* Indices of the k (up to X1_VEC_MAX_TOPK, up to n) largest, in the manual's order. */
void x1_vec_topk(const float *a, uint32_t n, uint32_t k, uint32_t *index);

#endif /* X1_NUM_H */
