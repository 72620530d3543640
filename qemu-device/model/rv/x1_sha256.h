/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), for the boot ROM and the tool that makes its images. */
#ifndef X1_SHA256_H
#define X1_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct x1_sha256 {
	uint32_t h[8];
	uint64_t len;
	uint8_t block[64];
};

void x1_sha256_init(struct x1_sha256 *s);
void x1_sha256_update(struct x1_sha256 *s, const void *data, size_t len);
void x1_sha256_final(struct x1_sha256 *s, uint8_t digest[32]);

#endif /* X1_SHA256_H */
