// SPDX-License-Identifier: MIT
/* Commands. */
#include "sili_int.h"

SILI_EXPORT void sili_cmd_copy(union x1_cmd *cmd, uint64_t dst, uint64_t src, uint64_t bytes)
{
	*cmd = (union x1_cmd){
		.copy = {.hdr.op = X1_CMD_COPY, .src = src, .dst = dst, .bytes = bytes, .rows = 1}};
}

SILI_EXPORT void sili_cmd_fill(union x1_cmd *cmd, uint64_t dst, uint64_t bytes, uint32_t pattern)
{
	/* A run of bytes when the pattern allows it, for any length. */
	bool byte = pattern == (pattern & 0xff) * 0x01010101u;

	*cmd = (union x1_cmd){.fill = {.hdr.op = X1_CMD_FILL,
				       .dst = dst,
				       .bytes = bytes,
				       .pattern = byte ? pattern & 0xff : pattern,
				       .pattern_bytes = byte ? 1 : 4,
				       .rows = 1}};
}

SILI_EXPORT void sili_cmd_perf_begin(union x1_cmd *cmd)
{
	*cmd = (union x1_cmd){.perf = {.hdr.op = X1_CMD_PERF_BEGIN}};
}

SILI_EXPORT void sili_cmd_perf_end(union x1_cmd *cmd, uint64_t dva)
{
	*cmd = (union x1_cmd){.perf = {.hdr.op = X1_CMD_PERF_END, .addr = dva}};
}

SILI_EXPORT void sili_cmd_flush(union x1_cmd *cmd, uint32_t flags)
{
	*cmd = (union x1_cmd){.plain = {.hdr = {.op = X1_CMD_FLUSH, .flags = (uint16_t)flags}}};
}

SILI_EXPORT void sili_cmd_launch(union x1_cmd *cmd, const struct sili_kernel *kernel, uint32_t x,
				 uint32_t y, uint32_t z, uint64_t args_dva, uint32_t num_args)
{
	*cmd = (union x1_cmd){.launch = {.hdr.op = X1_CMD_LAUNCH,
					 .program = kernel->bo->dva,
					 .program_bytes = kernel->bytes,
					 .num_insns = kernel->num_insns,
					 .grid = {x, y, z},
					 .num_args = num_args,
					 .args = num_args ? args_dva : 0}};
}
