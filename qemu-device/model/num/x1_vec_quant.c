// SPDX-License-Identifier: MIT
/* VECTOR: scales of quantised blocks, top-k (manual: Numerics, "VECTOR"). */
#include <math.h>
#include <string.h>

#include "x1_flush.h"
#include "x1_vecfn.h"
#include "x1/x1_isa.h"

/* Largest finite value of a format. */
static float format_max(enum x1_format fmt)
{
	if (x1_format_is_int(fmt))
		return fmt == X1_FMT_INT4 ? 7 : 127;
	return x1_decode(fmt, x1_encode(fmt, INFINITY, true));
}

/* Exponent of the largest power of two in a format: of the bits of its maximum. */
static int format_exponent(enum x1_format fmt)
{
	return (int)(x1_f32_bits(format_max(fmt)) >> 23) - 127;
}

/* E8M0 code for blocks whose largest magnitude is amax. */
static uint32_t mx_code(enum x1_format fmt, float amax)
{
	int e = (int)(x1_f32_bits(amax) >> 23) - format_exponent(fmt);

	if (amax != amax)
		return 0xff;
	if (amax == 0)
		return 127;
	return e < 0 ? 0 : (uint32_t)e;
}

static float nv_scale(float tensor, float amax, uint32_t *code)
{
	float s;

	*code = x1_encode(X1_FMT_E4M3, x1_fn_div(amax, x1_mul(6, tensor)), true);
	s = x1_decode(X1_FMT_E4M3, *code);
	if (s == 0) {
		*code = x1_encode(X1_FMT_E4M3, 1, true);
		s = 1;
	}
	return x1_mul(s, tensor);
}

/* NaNs of arithmetic are not canonical on every host. */
static float canonical(float f)
{
	return f != f ? x1_bits_f32(X1_CANONICAL_NAN) : f;
}

float x1_quant_scale(enum x1_scale_mode mode, enum x1_format fmt, float amax, float tensor,
		     uint32_t *code)
{
	float s;

	if (x1_f32_bits(amax) == 0x7f800000u)
		amax = x1_bits_f32(0x7f7fffffu);
	switch (mode) {
	case X1_SCALE_MX32:
		*code = mx_code(fmt, amax);
		/* 2^-(code - 127), a normal number: no code here is above 252. */
		return x1_bits_f32(*code == 0xff ? X1_CANONICAL_NAN : (254 - *code) << 23);
	case X1_SCALE_NV16:
		s = nv_scale(x1_flush(tensor), amax, code);
		break;
	default:
		s = x1_fn_div(amax, format_max(fmt));
		if (s == 0)
			s = 1;
		*code = x1_f32_bits(canonical(s));
		break;
	}
	return canonical(x1_fn_div(1, s));
}

double x1_dequant_scale(enum x1_scale_mode mode, uint32_t code, float tensor)
{
	switch (mode) {
	case X1_SCALE_MX32:
		/* Exact: 2^-127 is no FP32 number here. */
		return code == 0xff ? NAN : fn_bits_f64((uint64_t)(code - 127 + 1023) << 52);
	case X1_SCALE_NV16:
		return x1_mul(x1_decode(X1_FMT_E4M3, code), x1_flush(tensor));
	default:
		return x1_flush(x1_bits_f32(code));
	}
}

void x1_vec_scale(float *x, double s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = canonical(fn_f32((double)x[i] * s));
}

uint32_t x1_vec_amax(const float *a, size_t n)
{
	uint32_t m = 0;

	/* Magnitudes order like their bits, NaNs above infinity. */
	for (size_t i = 0; i < n; i++) {
		uint32_t u = x1_f32_bits(a[i]) & 0x7fffffffu;

		m = u > m ? u : m;
	}
	return m;
}

/* Rising with the value; NaN above all, zeros of both signs equal. */
static uint32_t rank(float f)
{
	uint32_t u = x1_f32_bits(x1_flush(f));

	if ((u & 0x7fffffffu) > 0x7f800000u)
		return UINT32_MAX;
	if (!(u << 1))
		u = 0;
	return u >> 31 ? ~u : u | 0x80000000u;
}

void x1_vec_topk(const float *a, uint32_t n, uint32_t k, uint32_t *index)
{
	uint64_t best[X1_VEC_MAX_TOPK];
	uint32_t have = 0;

	/* Falling keys; a lower index is the larger one of equals. */
	for (uint32_t i = 0; i < n; i++) {
		uint64_t key = (uint64_t)rank(a[i]) << 32 | (uint32_t)~i;
		uint32_t lo = 0, hi = have;

		if (have == k && key < best[k - 1])
			continue;
		while (lo < hi) {
			uint32_t mid = (lo + hi) / 2;

			if (best[mid] > key)
				lo = mid + 1;
			else
				hi = mid;
		}
		have += have < k;
		memmove(&best[lo + 1], &best[lo], (have - 1 - lo) * sizeof(best[0]));
		best[lo] = key;
	}
	for (uint32_t i = 0; i < k; i++)
		index[i] = ~(uint32_t)best[i];
}
