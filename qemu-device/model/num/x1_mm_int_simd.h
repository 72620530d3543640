/* SPDX-License-Identifier: MIT */
/*
 * The integer kernel of x1_mm_simd.h, once for each instruction: groups of
 * INT_GROUP elements of k, 4 bytes, are multiplied and added by INT_DOT.
 * Loops over rows are unrolled whole, or gcc 12 keeps the sums in memory.
 * INT_OFFSET: A's bytes are 128 too large, which the columns' own sums take back.
 */
INT_TARGET static ALWAYS_INLINE void INT_ROWS(const struct x1_mm_tile *t, const unsigned int rows)
{
	const uint8_t *a = t->a, *b = t->b;
	ivec acc[2 * MR][2];

#pragma GCC unroll 16
	for (unsigned int i = 0; i < rows; i++) {
		acc[i][0] = VI_LOAD(acc_row(t, i));
		acc[i][1] = VI_LOAD((int32_t *)acc_row(t, i) + VL);
		if (INT_OFFSET) {
			acc[i][0] = VI_SUB(acc[i][0], VI_LOAD(t->sums));
			acc[i][1] = VI_SUB(acc[i][1], VI_LOAD(t->sums + VL));
		}
	}
	for (uint32_t k = 0; k < t->k; k += INT_GROUP, a += 4, b += 4 * NR) {
		ivec b0 = VI_LOAD(b), b1 = VI_LOAD(b + 4 * VL);

#pragma GCC unroll 16
		for (unsigned int i = 0; i < rows; i++) {
			ivec x = VI_SET1(*(const any_i32 *)(a + i * t->a_stride));

			acc[i][0] = INT_DOT(acc[i][0], x, b0);
			acc[i][1] = INT_DOT(acc[i][1], x, b1);
		}
	}
#pragma GCC unroll 16
	for (unsigned int i = 0; i < rows; i++) {
		VI_STORE(acc_row(t, i), acc[i][0]);
		VI_STORE((int32_t *)acc_row(t, i) + VL, acc[i][1]);
	}
}

INT_TARGET static inline void INT_NAME(const struct x1_mm_tile *t)
{
	FEWER_ROWS(INT_ROWS, 2 * MR, t);
}

#if INT_OFFSET
INT_TARGET static inline void INT_SUMS(const void *panel, uint32_t num, int32_t *sums)
{
	const ivec by = VI_SET1(-2139062144); /* four bytes of 128 */
	ivec sum0 = VI_SET1(0), sum1 = VI_SET1(0);
	const uint8_t *b = panel;

	for (uint32_t k = 0; k < num; k += INT_GROUP, b += 4 * NR) {
		sum0 = INT_DOT(sum0, by, VI_LOAD(b));
		sum1 = INT_DOT(sum1, by, VI_LOAD(b + 4 * VL));
	}
	VI_STORE(sums, sum0);
	VI_STORE(sums + VL, sum1);
}
#undef INT_SUMS
#endif

#undef INT_NAME
#undef INT_ROWS
#undef INT_GROUP
#undef INT_OFFSET
#undef INT_TARGET
#undef INT_DOT
