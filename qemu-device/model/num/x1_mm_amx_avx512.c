// SPDX-License-Identifier: MIT
/*
 * Matrix product on AMX: one tile instruction is a block of the accumulate
 * rule. TDPBF16PS sums even and odd k from +0 by fused multiply-adds in rising
 * k, adds the two sums, then adds that to the accumulator, every step with
 * subnormals flushed; only the payload of NaNs is its own. TDPBSSD wraps.
 * What BF16 does not hold runs on AVX-512.
 */
#include "x1_mm_path.h"

#if defined(__x86_64__)
#include <string.h>

#include "x1_mm_avx512.h"
#ifdef X1_AMX_HEADER
#include X1_AMX_HEADER
#else
#include "x1_amx.h"
#endif

#define ROWS 16 /* of a tile */
#define LINE 64 /* bytes of a tile's row */

/* Tiles 0 to 3 accumulate, 4 and 5 are rows of A, 6 and 7 columns of B. */
static void begin(uint32_t bytes)
{
	struct x1_amx_config c = {.palette = 1};

	for (unsigned int t = 0; t < 8; t++) {
		c.row_bytes[t] = LINE;
		c.rows[t] = ROWS;
	}
	c.row_bytes[4] = c.row_bytes[5] = (uint16_t)bytes;
	c.rows[6] = c.rows[7] = (uint8_t)(bytes / 4);
	x1_amx_configure(&c);
}

static void end(void)
{
	x1_amx_release();
}

/* bytes: of a row of A in a block. */
#define PRODUCT(t, bytes, STEP)                                        \
	do {                                                           \
		const uint8_t *a = (t)->a, *b = (t)->b;                \
		const size_t as = (t)->a_stride, cs = (t)->acc_stride; \
		uint8_t *acc = (t)->acc, *low = acc + ROWS * cs;       \
                                                                       \
		X1_AMX_LOAD(0, acc, cs);                               \
		X1_AMX_LOAD(1, acc + LINE, cs);                        \
		X1_AMX_LOAD(2, low, cs);                               \
		X1_AMX_LOAD(3, low + LINE, cs);                        \
		for (uint32_t k = 0; k < (t)->k; k += (t)->block) {    \
			X1_AMX_LOAD(4, a, as);                         \
			X1_AMX_LOAD(6, b, NR * 4);                     \
			X1_AMX_LOAD(7, b + LINE, NR * 4);              \
			X1_AMX_LOAD(5, a + ROWS * as, as);             \
			STEP(0, 4, 6);                                 \
			STEP(1, 4, 7);                                 \
			STEP(2, 5, 6);                                 \
			STEP(3, 5, 7);                                 \
			a += (bytes);                                  \
			b += (bytes) * (size_t)NR;                     \
		}                                                      \
		X1_AMX_STORE(0, acc, cs);                              \
		X1_AMX_STORE(1, acc + LINE, cs);                       \
		X1_AMX_STORE(2, low, cs);                              \
		X1_AMX_STORE(3, low + LINE, cs);                       \
	} while (0)

X1_AMX_TARGET static void bf16(const struct x1_mm_tile *t)
{
	PRODUCT(t, t->block * 2, X1_AMX_BF16);
}

X1_AMX_TARGET static void int8(const struct x1_mm_tile *t)
{
	PRODUCT(t, t->block, X1_AMX_INT8);
}

/* Four accumulators, as the kernels have. */
#define PEAK(name, bytes, STEP)                         \
	X1_AMX_TARGET static void name(uint64_t rounds) \
	{                                               \
		begin(bytes);                           \
		while (rounds--) {                      \
			STEP(0, 4, 6);                  \
			STEP(1, 4, 7);                  \
			STEP(2, 5, 6);                  \
			STEP(3, 5, 7);                  \
		}                                       \
		end();                                  \
	}

PEAK(peak_bf16, LINE, X1_AMX_BF16)
PEAK(peak_int8, LINE, X1_AMX_INT8)

/* ---- codes to BF16: high and low bytes by table ---- */

static uint8_t table[X1_FMT_COUNT][2][128];

static void make_tables(void)
{
	static const enum x1_format small[] = {X1_FMT_E4M3, X1_FMT_E5M2, X1_FMT_E3M2, X1_FMT_E2M3,
					       X1_FMT_E2M1};

	for (size_t f = 0; f < sizeof(small) / sizeof(small[0]); f++) {
		uint32_t codes = 1u << x1_format_bits(small[f]);

		/* Of 8-bit codes without their sign. */
		for (uint32_t c = 0; c < codes && c < 128; c++) {
			uint32_t bits = x1_f32_bits(x1_decode(small[f], c));

			table[small[f]][0][c] = (uint8_t)(bits >> 16);
			table[small[f]][1][c] = (uint8_t)(bits >> 24);
		}
	}
}

/* 64 packed codes, a byte each. */
static inline __m512i get_codes(unsigned int bits, const uint8_t *src)
{
	const __m512i sixes = _mm512_set_epi8(
		-1, -1, 47, 46, 45, 44, 43, 42, -1, -1, 41, 40, 39, 38, 37, 36, -1, -1, 35, 34, 33,
		32, 31, 30, -1, -1, 29, 28, 27, 26, 25, 24, -1, -1, 23, 22, 21, 20, 19, 18, -1, -1,
		17, 16, 15, 14, 13, 12, -1, -1, 11, 10, 9, 8, 7, 6, -1, -1, 5, 4, 3, 2, 1, 0);
	__m512i x;

	switch (bits) {
	case 4:
		x = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)src));
		return _mm512_or_si512(
			_mm512_and_si512(x, _mm512_set1_epi16(0xf)),
			_mm512_slli_epi16(_mm512_and_si512(x, _mm512_set1_epi16(0xf0)), 4));
	case 6:
		x = _mm512_maskz_loadu_epi8((1ull << 48) - 1, src);
		x = _mm512_permutexvar_epi8(sixes, x);
		x = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x2a241e18120c0600), x);
		return _mm512_and_si512(x, _mm512_set1_epi8(0x3f));
	default:
		return _mm512_loadu_si512(src);
	}
}

static size_t to_bf16(enum x1_format fmt, const uint8_t *src, uint16_t *dst, size_t n)
{
	const unsigned int bits = x1_format_bits(fmt);
	const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
	const __m512i sign = _mm512_set1_epi8((char)0x80);
	__m512i t[4];
	size_t i = 0;

	if (fmt == X1_FMT_BF16) {
		memcpy(dst, src, n * 2);
		return n;
	}
	for (unsigned int h = 0; h < 4; h++)
		t[h] = _mm512_loadu_si512(&table[fmt][h / 2][h % 2 * 64]);
	for (; i + 64 <= n; i += 64) {
		/* Interleaving works within 128 bits, so codes are put in order for it. */
		__m512i c = _mm512_permutexvar_epi64(order, get_codes(bits, src + i * bits / 8));
		__m512i lo = _mm512_permutex2var_epi8(t[0], c, t[1]);
		__m512i hi = _mm512_permutex2var_epi8(t[2], c, t[3]);

		hi = _mm512_or_si512(hi, _mm512_and_si512(c, sign));
		_mm512_storeu_si512(dst + i, _mm512_unpacklo_epi8(lo, hi));
		_mm512_storeu_si512(dst + i + 32, _mm512_unpackhi_epi8(lo, hi));
	}
	return i;
}

static bool usable(void)
{
	if (!has_avx512() || !x1_amx_there())
		return false;
	make_tables();
	return true;
}

#define INT8                                                             \
	{                                                                \
		.elem = X1_MM_I8, .mr = 2 * ROWS, .run = int8, .peak = { \
			"tdpbssd",                                       \
			4 * 16 * 16 * 64 * 2,                            \
			peak_int8                                        \
		}                                                        \
	}

const struct x1_mm_path x1_mm_path_amx =
	MM_PATH("amx", usable, INT8,
		.bf16 = {.elem = X1_MM_BF16,
			 .mr = 2 * ROWS,
			 .run = bf16,
			 .peak = {"tdpbf16ps", 4 * 16 * 16 * 32 * 2, peak_bf16}},
		.to_bf16 = to_bf16, .begin = begin, .end = end, .vec = &x1_vec_path_avx512,
		.cvt = &x1_cvt_path_avx512);
#endif
