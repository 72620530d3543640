// SPDX-License-Identifier: MIT
/* Conversions on the host, by the device's own rules (model/num). */
#include "num/x1_num.h"
#include "sili_int.h"

SILI_EXPORT size_t sili_format_bytes(enum x1_format fmt, size_t n)
{
	return (n * x1_format_bits(fmt) + 7) / 8;
}

SILI_EXPORT int sili_from_f32(enum x1_format fmt, const float *src, void *dst, size_t n)
{
	if (!x1_format_bits(fmt) || fmt == X1_FMT_E8M0)
		return -EINVAL;
	x1_pack_f32(fmt, true, src, dst, 0, n);
	return 0;
}

SILI_EXPORT int sili_to_f32(enum x1_format fmt, const void *src, float *dst, size_t n)
{
	if (!x1_format_bits(fmt))
		return -EINVAL;
	x1_unpack_f32(fmt, src, 0, dst, n);
	return 0;
}

SILI_EXPORT const char *sili_format_name(enum x1_format fmt)
{
	static const char *const names[X1_FMT_COUNT] = {
		"fp32", "tf32", "bf16", "fp16", "e4m3",  "e5m2", "e3m2",
		"e2m3", "e2m1", "int8", "int4", "int32", "e8m0",
	};

	return (unsigned int)fmt < X1_FMT_COUNT ? names[fmt] : "unknown";
}
