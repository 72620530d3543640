/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Fixed-width types for the hardware contract, in kernel, firmware and host.
 *
 * Everything the device reads from or writes to memory is little-endian and
 * naturally aligned; the X1 and all its hosts are little-endian machines, so
 * the contract's structs use plain integers.
 */
#ifndef X1_TYPES_H
#define X1_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/build_bug.h>
#define X1_STATIC_ASSERT(cond) static_assert(cond)
#else
#include <stdint.h>
#ifdef __cplusplus
#define X1_STATIC_ASSERT(cond) static_assert(cond, #cond)
#else
#define X1_STATIC_ASSERT(cond) _Static_assert(cond, #cond)
#endif
#endif

#endif /* X1_TYPES_H */
