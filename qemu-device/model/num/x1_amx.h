/* SPDX-License-Identifier: MIT */
/*
 * The AMX instructions that the matrix product uses. The unit tests put an
 * emulation of the same names in their place (X1_AMX_HEADER).
 */
#ifndef X1_AMX_H
#define X1_AMX_H

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X1_AMX_TARGET __attribute__((target("amx-tile,amx-bf16,amx-int8")))

/* Tile configuration, palette 1. */
struct x1_amx_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

/* gcc's intrinsics do not say what memory they read. */
#define X1_AMX_BARRIER() __asm__ volatile("" : : : "memory")

/* Tile numbers are part of the instruction. */
#define X1_AMX_LOAD(tile, p, stride)          \
	do {                                  \
		X1_AMX_BARRIER();             \
		_tile_loadd(tile, p, stride); \
	} while (0)
#define X1_AMX_STORE(tile, p, stride) _tile_stored(tile, p, stride)
#define X1_AMX_BF16(acc, a, b)        _tile_dpbf16ps(acc, a, b)
#define X1_AMX_INT8(acc, a, b)        _tile_dpbssd(acc, a, b)

X1_AMX_TARGET static inline void x1_amx_configure(const struct x1_amx_config *c)
{
	__asm__ volatile("" : : "r"(c) : "memory");
	_tile_loadconfig(c);
}

X1_AMX_TARGET static inline void x1_amx_release(void)
{
	_tile_release();
}

/* Does the CPU have it, and does Linux let this process use it? Once per process. */
static inline bool x1_amx_there(void)
{
	const unsigned int need = 1u << 22 | 1u << 24 | 1u << 25; /* BF16, TILE, INT8 */
	const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XTILEDATA */
	unsigned int a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & need) != need)
		return false;
	return !syscall(SYS_arch_prctl, request, tile_data);
}

#endif /* X1_AMX_H */
