// SPDX-License-Identifier: MIT
/* Boot ROM (manual: Management core, "Image"). */
#include "x1_bootrom.h"

#include <string.h>

#include "x1_sha256.h"

enum x1_fw_error x1_bootrom_load(const void *image, size_t len, uint8_t *sram, uint32_t *entry)
{
	struct x1_fw_header h, hashed;
	struct x1_sha256 sha;
	uint8_t digest[32];
	uint32_t off;

	if (len < sizeof(h))
		return X1_FW_ERR_TRUNCATED;
	memcpy(&h, image, sizeof(h));
	if (h.magic != X1_FW_MAGIC)
		return X1_FW_ERR_MAGIC;
	if (h.header_version != X1_FW_HEADER_VERSION || h.header_bytes != sizeof(h))
		return X1_FW_ERR_HEADER;
	if (h.abi != X1_FW_ABI)
		return X1_FW_ERR_ABI;
	off = h.load_addr - X1_MC_SRAM_BASE;
	if (!h.payload_bytes || h.payload_bytes % 4 || h.payload_bytes > X1_MC_SRAM_BYTES ||
	    off % 4 || off > X1_MC_SRAM_BYTES - h.payload_bytes || h.entry % 4 ||
	    h.entry < h.load_addr || h.entry - h.load_addr >= h.payload_bytes)
		return X1_FW_ERR_LAYOUT;
	if (len - sizeof(h) < h.payload_bytes)
		return X1_FW_ERR_TRUNCATED;
	hashed = h;
	memset(hashed.sha256, 0, sizeof(hashed.sha256));
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, &hashed, sizeof(hashed));
	x1_sha256_update(&sha, (const uint8_t *)image + sizeof(h), h.payload_bytes);
	x1_sha256_final(&sha, digest);
	if (memcmp(digest, h.sha256, sizeof(digest)) != 0)
		return X1_FW_ERR_HASH;
	memset(sram, 0, X1_MC_SRAM_BYTES);
	memcpy(sram + off, (const uint8_t *)image + sizeof(h), h.payload_bytes);
	*entry = h.entry;
	return X1_FW_OK;
}
