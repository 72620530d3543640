/* SPDX-License-Identifier: MIT */
/*
 * libsili: families of kernels beyond sili_gemm().
 *
 * All work as sili_gemm() does. A request is a struct with its own size in
 * `size`, device addresses (DVA), formats and shapes; zero is the default of
 * every field that has one. The call appends commands to cmds, which has room
 * for max, and returns how many, or -errno; nothing has been appended then.
 * Programs are generated once per shape and kept with the device; addresses
 * are arguments. A kernel that needs workspace has a field for its DVA and a
 * function that says how many bytes. Strides are bytes, 0 = dense.
 *
 * Errors of all: -EINVAL (size, shape, format, stride), -E2BIG (nothing fits
 * the MCU, or beyond a limit of the device), -ENOMEM, -ENOSPC (max).
 *
 * Unless a family says otherwise, results follow docs/manual/numerics.md to
 * the bit and depend on the request alone: not on the number of MCUs, nor on
 * the tiles that the cost model chooses.
 */
#ifndef SILI_KERNELS_H
#define SILI_KERNELS_H

#include <sili.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* SILI_KERNELS_H */
