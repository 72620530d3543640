// SPDX-License-Identifier: MIT
/*
 * Firmware images: the boot ROM takes an image only if its hash is right, and
 * what it takes runs on the management core without leaving SRAM. REQ-FW,
 * REQ-MC.
 *
 * Input: a header byte; then a raw image, or fields of a header and a payload
 * for which the right hash is computed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rv/x1_bootrom.h"
#include "rv/x1_rv.h"
#include "rv/x1_sha256.h"

#define INSNS 20000

struct machine {
	uint8_t *sram;
	struct x1_rv *rv;
	struct fz_in in; /* what devices say */
	uint64_t time;
};

static bool dev_read(void *arg, uint32_t addr, unsigned int size, uint32_t *val)
{
	struct machine *m = arg;

	FZ_CHECK(size == 1 || size == 2 || size == 4, "size %u", size);
	FZ_CHECK(addr % size == 0, "unaligned device read");
	*val = fz_u32(&m->in);
	return !(addr & 0x1000);
}

static bool dev_write(void *arg, uint32_t addr, unsigned int size, uint32_t val)
{
	struct machine *m = arg;

	(void)val;
	FZ_CHECK(addr % size == 0, "unaligned device write");
	/* Devices interrupt when they are written to. */
	x1_rv_set_irq(m->rv, X1_RV_IRQ_EXT, addr & 4);
	x1_rv_set_irq(m->rv, X1_RV_IRQ_TIMER, addr & 8);
	return !(addr & 0x1000);
}

static uint64_t dev_time(void *arg)
{
	return ((struct machine *)arg)->time++;
}

static struct machine *machine(void)
{
	static struct machine m;
	struct x1_rv_cfg cfg = {
		.sram_base = X1_MC_SRAM_BASE,
		.sram_bytes = X1_MC_SRAM_BYTES,
		.read = dev_read,
		.write = dev_write,
		.time = dev_time,
		.arg = &m,
	};

	if (m.rv)
		return &m;
	m.sram = calloc(1, X1_MC_SRAM_BYTES); /* ASan guards both ends */
	cfg.sram = m.sram;
	m.rv = m.sram ? x1_rv_new(&cfg) : NULL;
	FZ_CHECK(m.rv, "no memory");
	return &m;
}

static size_t build(struct fz_in *in, uint8_t how, uint8_t *image, size_t max)
{
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

	if (how & 2)
		h.load_addr += (uint32_t)fz_number(in);
	if (how & 4)
		h.entry += (uint32_t)fz_number(in);
	if (how & 8)
		h.abi = fz_u8(in);
	n = (in->n < max - sizeof(h) ? in->n : max - sizeof(h)) & ~3ull;
	h.payload_bytes = how & 16 ? (uint32_t)fz_number(in) : (uint32_t)n;
	n = (in->n < n ? in->n : n);
	memcpy(image + sizeof(h), in->p, n);
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, &h, sizeof(h));
	x1_sha256_update(&sha, image + sizeof(h), n);
	x1_sha256_final(&sha, h.sha256);
	memcpy(image, &h, sizeof(h));
	return sizeof(h) + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine *m = machine();
	struct fz_in in = {data, size};
	uint8_t how = fz_u8(&in), *image;
	enum x1_fw_error err;
	enum x1_rv_stop stop;
	uint32_t entry = 0;
	uint64_t done;
	size_t n;

	if (!size)
		return -1;
	m->in = in;
	m->time = 0;
	/* The image's own size, so that ASan sees a read past its end. */
	if (how & 1) {
		n = in.n;
		image = malloc(n ? n : 1);
		FZ_CHECK(image, "no memory");
		memcpy(image, in.p, n);
	} else {
		size_t max = sizeof(struct x1_fw_header) + in.n;
		uint8_t *tmp = malloc(max);

		FZ_CHECK(tmp, "no memory");
		n = build(&in, how, tmp, max);
		image = malloc(n);
		FZ_CHECK(image, "no memory");
		memcpy(image, tmp, n);
		free(tmp);
	}
	err = x1_bootrom_load(image, n, m->sram, &entry);
	FZ_CHECK(err < X1_FW_ERR_COUNT, "error %d", (int)err);
	FZ_CHECK(err || (entry >= X1_MC_SRAM_BASE && entry - X1_MC_SRAM_BASE < X1_MC_SRAM_BYTES),
		 "entry 0x%x", entry);
	free(image);
	if (err)
		return 0;
	x1_rv_flush_decoded(m->rv);
	x1_rv_reset(m->rv, entry);
	for (unsigned int slice = 0; slice < 4; slice++) {
		done = x1_rv_run(m->rv, INSNS / 4, &stop);
		FZ_CHECK(done <= INSNS / 4, "ran %llu instructions", (unsigned long long)done);
		FZ_CHECK(x1_rv_state(m->rv)->x[0] == 0, "x0 written");
		if (stop == X1_RV_DEAD)
			break;
		if (stop == X1_RV_WFI)
			x1_rv_set_irq(m->rv, X1_RV_IRQ_TIMER, true);
	}
	return 0;
}
