// SPDX-License-Identifier: MIT
/* mkimage PAYLOAD IMAGE VERSION: put the boot ROM's header before a payload. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rv/x1_sha256.h"
#include "x1/x1_fw.h"

int main(int argc, char **argv)
{
	static uint8_t payload[X1_MC_SRAM_BYTES];
	struct x1_fw_header h = {
		.magic = X1_FW_MAGIC,
		.header_version = X1_FW_HEADER_VERSION,
		.header_bytes = sizeof(h),
		.abi = X1_FW_ABI,
		.load_addr = X1_MC_SRAM_BASE,
		.entry = X1_MC_SRAM_BASE,
	};
	struct x1_sha256 sha;
	size_t n;
	FILE *f;

	if (argc != 4) {
		fprintf(stderr, "usage: mkimage PAYLOAD IMAGE VERSION\n");
		return 2;
	}
	h.fw_version = (uint32_t)strtoul(argv[3], NULL, 0);
	f = fopen(argv[1], "rb");
	if (!f) {
		fprintf(stderr, "mkimage: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	n = fread(payload, 1, sizeof(payload), f);
	if (ferror(f) || fgetc(f) != EOF || !n) {
		fprintf(stderr, "mkimage: %s: empty, unreadable, or above %u bytes\n", argv[1],
			X1_MC_SRAM_BYTES);
		return 1;
	}
	fclose(f);
	h.payload_bytes = (uint32_t)((n + 3) / 4 * 4);
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, &h, sizeof(h));
	x1_sha256_update(&sha, payload, h.payload_bytes);
	x1_sha256_final(&sha, h.sha256);
	f = fopen(argv[2], "wb");
	if (!f || fwrite(&h, sizeof(h), 1, f) != 1 || fwrite(payload, h.payload_bytes, 1, f) != 1 ||
	    fclose(f)) {
		fprintf(stderr, "mkimage: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	return 0;
}
