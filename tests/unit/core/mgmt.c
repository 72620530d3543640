// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mgmt.h"
#include "rv/x1_sha256.h"

uint8_t *t_fw_image(size_t *len)
{
	const char *build = getenv("X1_BUILD");
	uint8_t *bytes = malloc(X1_FW_MAX_BYTES);
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/firmware/x1-fw.bin", build ? build : "build");
	f = fopen(path, "rb");
	if (!f)
		fail_msg("no firmware image %s: run make firmware", path);
	*len = fread(bytes, 1, X1_FW_MAX_BYTES, f);
	fclose(f);
	assert_true(*len > sizeof(struct x1_fw_header));
	return bytes;
}

void t_fw_sign(uint8_t *image, size_t len)
{
	struct x1_fw_header *h = (struct x1_fw_header *)image;
	struct x1_sha256 sha;
	uint8_t digest[sizeof(h->sha256)];

	memset(h->sha256, 0, sizeof(h->sha256));
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, image, len);
	x1_sha256_final(&sha, digest);
	memcpy(h->sha256, digest, sizeof(digest));
}

static void nap(uint64_t end, const char *what)
{
	if (t_now_ms() > end)
		fail_msg("%s did not come", what);
	nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

void t_until_reg(struct t_host *t, uint32_t off, uint32_t mask, uint32_t value)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while ((t_rd(t, off) & mask) != value)
		nap(end, "register value");
}

uint32_t t_fw_boot(struct t_host *t, const void *image, size_t len)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;
	uint32_t state;

	memcpy(t->hbm + T_FW_OFF, image, len);
	t_wr(t, X1_REG_FW_ADDR_LO, (uint32_t)T_FW_OFF);
	t_wr(t, X1_REG_FW_ADDR_HI, 0);
	t_wr(t, X1_REG_FW_SIZE, (uint32_t)len);
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	for (;;) {
		state = t_rd(t, X1_REG_FW_STATE);
		if (state == X1_FW_STATE_READY || state == X1_FW_STATE_REFUSED ||
		    state == X1_FW_STATE_CRASHED)
			return state;
		nap(end, "firmware state");
	}
}

void t_fw_start(struct t_host *t)
{
	size_t len;
	uint8_t *image = t_fw_image(&len);

	assert_int_equal(t_fw_boot(t, image, len), X1_FW_STATE_READY);
	free(image);
}

uint32_t t_mbox(struct t_host *t, struct x1_mbox_msg *m)
{
	uint32_t words[X1_MBOX_WORDS];

	memcpy(words, m, sizeof(words));
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		t_wr(t, X1_REG_MBOX_REQ + 4 * i, words[i]);
	t_wr(t, X1_REG_MBOX_SEND, 1);
	t_until_reg(t, X1_REG_MBOX_STATUS, X1_MBOX_BUSY, 0);
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		words[i] = t_rd(t, X1_REG_MBOX_RSP + 4 * i);
	memcpy(m, words, sizeof(words));
	return m->status;
}
