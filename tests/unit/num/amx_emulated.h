/* SPDX-License-Identifier: MIT */
/*
 * The AMX instructions of x1_amx.h in C, as Intel's manual (Software Developer's
 * Manual, volume 2: LDTILECFG, TILELOADD, TDPBF16PS, TDPBSSD) describes them, so
 * that the same kernel runs on CPUs without AMX. FP32 steps are the host's own
 * with subnormals flushed, which x1_fp_enter() has set.
 */
#ifndef AMX_EMULATED_H
#define AMX_EMULATED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define X1_AMX_TARGET

struct x1_amx_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

static _Thread_local struct {
	struct x1_amx_config config;
	union {
		uint8_t byte[16][64];
		uint16_t half[16][32];
		int8_t s8[16][64];
		uint32_t u32[16][16];
		float f32[16][16];
	} tile[8];
} amx;

/* Products see the tiles alone, of which amx_shapes() has made sure: fast instead. */
#define AMX_FAST    no_sanitize("address"), no_sanitize("undefined")
#define AMX_PRODUCT __attribute__((noinline, AMX_FAST))

/* What #GP and #UD would be. */
static inline void amx_need(bool ok)
{
	if (!ok)
		abort();
}

static inline void x1_amx_configure(const struct x1_amx_config *c)
{
	amx_need(sizeof(*c) == 64 && c->palette == 1 && !c->start_row);
	for (unsigned int t = 0; t < 16; t++)
		amx_need(t < 8 ? c->rows[t] <= 16 && c->row_bytes[t] <= 64
			       : !c->rows[t] && !c->row_bytes[t]);
	memset(&amx, 0, sizeof(amx));
	amx.config = *c;
}

static inline void x1_amx_release(void)
{
	memset(&amx, 0, sizeof(amx));
}

static inline void X1_AMX_LOAD(unsigned int t, const void *p, size_t stride)
{
	amx_need(amx.config.palette && amx.config.rows[t]);
	memset(&amx.tile[t], 0, sizeof(amx.tile[t]));
	for (unsigned int r = 0; r < amx.config.rows[t]; r++)
		memcpy(amx.tile[t].byte[r], (const uint8_t *)p + r * stride,
		       amx.config.row_bytes[t]);
}

static inline void X1_AMX_STORE(unsigned int t, void *p, size_t stride)
{
	amx_need(amx.config.palette && amx.config.rows[t]);
	for (unsigned int r = 0; r < amx.config.rows[t]; r++)
		memcpy((uint8_t *)p + r * stride, amx.tile[t].byte[r], amx.config.row_bytes[t]);
}

static inline void amx_shapes(unsigned int c, unsigned int a, unsigned int b)
{
	const struct x1_amx_config *g = &amx.config;

	amx_need(g->palette && a != b && b != c && a != c && g->row_bytes[a] % 4 == 0 &&
		 g->row_bytes[c] % 4 == 0 && g->rows[c] == g->rows[a] &&
		 g->row_bytes[a] == g->rows[b] * 4 && g->row_bytes[c] == g->row_bytes[b]);
}

static inline __attribute__((always_inline, AMX_FAST)) float amx_fp32(uint16_t bf16)
{
	uint32_t u = (uint32_t)bf16 << 16;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static AMX_PRODUCT void X1_AMX_BF16(unsigned int c, unsigned int a, unsigned int b)
{
	amx_shapes(c, a, b);
	for (unsigned int m = 0; m < amx.config.rows[c]; m++) {
		float temp[32] = {0};

		for (unsigned int k = 0; k < amx.config.row_bytes[a] / 4u; k++)
			for (unsigned int n = 0; n < amx.config.row_bytes[c] / 2u; n++)
				temp[n] =
					__builtin_fmaf(amx_fp32(amx.tile[a].half[m][2 * k + n % 2]),
						       amx_fp32(amx.tile[b].half[k][n]), temp[n]);
		for (unsigned int n = 0; n < amx.config.row_bytes[c] / 4u; n++) {
			float sum = temp[2 * n] + temp[2 * n + 1];

			amx.tile[c].f32[m][n] += sum;
		}
	}
}

static AMX_PRODUCT void X1_AMX_INT8(unsigned int c, unsigned int a, unsigned int b)
{
	amx_shapes(c, a, b);
	for (unsigned int m = 0; m < amx.config.rows[c]; m++)
		for (unsigned int k = 0; k < amx.config.row_bytes[a]; k++)
			for (unsigned int n = 0; n < amx.config.row_bytes[c] / 4u; n++)
				amx.tile[c].u32[m][n] +=
					(uint32_t)(amx.tile[a].s8[m][k] *
						   amx.tile[b].s8[k / 4][4 * n + k % 4]);
}

static inline bool x1_amx_there(void)
{
	return true;
}

#endif /* AMX_EMULATED_H */
