// SPDX-License-Identifier: MIT
/*
 * Loading firmware: what the boot ROM refuses and why, and that a device whose
 * firmware was refused, crashed or hangs takes a good image afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rv/x1_sha256.h"
#include "x1_qtest.h"

struct image {
	uint8_t *bytes;
	size_t len;
};

static struct x1_fw_header *header(struct image *im)
{
	return (struct x1_fw_header *)im->bytes;
}

/* The hash of what the image is now, so that only the change is wrong. */
static void sign(struct image *im)
{
	struct x1_sha256 sha;
	uint8_t digest[32];

	memset(header(im)->sha256, 0, sizeof(header(im)->sha256));
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, im->bytes, im->len);
	x1_sha256_final(&sha, digest);
	memcpy(header(im)->sha256, digest, sizeof(digest));
}

static void good_image_boots(struct qt *qt)
{
	struct x1_mbox_msg ping = {.op = X1_MBOX_PING, .seq = 7, .arg = {0x600d}};
	struct image im;

	im.bytes = qt_firmware(&im.len);
	assert_int_equal(qt_boot(qt, im.bytes, im.len), X1_FW_STATE_READY);
	assert_int_equal(qt_reg(qt, X1_REG_FW_ABI), X1_FW_ABI);
	assert_int_equal(qt_reg(qt, X1_REG_FW_VERSION), header(&im)->fw_version);
	assert_true(qt_reg(qt, X1_REG_STATUS) & X1_STATUS_READY);
	qt_mbox(qt, &ping);
	assert_int_equal(ping.status, X1_MBOX_OK);
	assert_int_equal(ping.seq, 7);
	assert_int_equal(ping.arg[0], 0x600d);
	free(im.bytes);
}

static void boots(void **state)
{
	struct qt *qt = qt_start("");
	uint32_t beat;

	(void)state;
	assert_int_equal(qt_reg(qt, X1_REG_FW_STATE), X1_FW_STATE_RESET);
	good_image_boots(qt);
	beat = qt_reg(qt, X1_REG_FW_HEARTBEAT);
	for (int tries = 0; qt_reg(qt, X1_REG_FW_HEARTBEAT) == beat; tries++) {
		assert_true(tries < 10000);
		usleep(1000);
	}
	/* Halted and booted again without a reset. */
	qt_set(qt, X1_REG_FW_CTRL, X1_FW_CTRL_HALT);
	qt_wait_reg(qt, X1_REG_FW_STATE, ~0u, X1_FW_STATE_RESET);
	good_image_boots(qt);
	qt_stop(qt);
}

/* ---- refused ---- */

static void cut_header(struct image *im)
{
	im->len = sizeof(struct x1_fw_header) / 2;
}

static void cut_payload(struct image *im)
{
	im->len -= 100;
}

static void empty(struct image *im)
{
	im->len = 0;
}

static void bad_magic(struct image *im)
{
	header(im)->magic ^= 1;
	sign(im);
}

static void bad_version(struct image *im)
{
	header(im)->header_version++;
	sign(im);
}

static void bad_header_bytes(struct image *im)
{
	header(im)->header_bytes = 8;
	sign(im);
}

static void bad_abi(struct image *im)
{
	header(im)->abi = X1_FW_ABI + 1;
	sign(im);
}

static void bad_load(struct image *im)
{
	header(im)->load_addr = X1_MC_BASE;
	sign(im);
}

static void bad_size(struct image *im)
{
	header(im)->payload_bytes = 0xfffffffc;
	sign(im);
}

static void odd_entry(struct image *im)
{
	header(im)->entry += 2;
	sign(im);
}

static void entry_outside(struct image *im)
{
	header(im)->entry = header(im)->load_addr + header(im)->payload_bytes;
	sign(im);
}

static void flipped_bit(struct image *im)
{
	im->bytes[im->len - 1] ^= 0x10;
}

static void flipped_hash(struct image *im)
{
	header(im)->sha256[31] ^= 1;
}

struct refusal {
	void (*spoil)(struct image *im);
	enum x1_fw_error error;
};

static void refused(void **state)
{
	const struct refusal *r = *state;
	struct qt *qt = qt_start("");
	struct image im;

	im.bytes = qt_firmware(&im.len);
	r->spoil(&im);
	assert_int_equal(qt_boot(qt, im.bytes, im.len), X1_FW_STATE_REFUSED);
	assert_int_equal(qt_reg(qt, X1_REG_FW_ERROR), r->error);
	assert_int_equal(qt_reg(qt, X1_REG_STATUS) & X1_STATUS_READY, 0);
	free(im.bytes);
	good_image_boots(qt);
	qt_stop(qt);
}

static void bad_place(void **state)
{
	static const struct {
		uint32_t lo, hi, size;
	} places[] = {
		{0x100800, 0, 0x1000},              /* not on a page */
		{QT_HBM_BYTES, 0, 0x1000},          /* at the end */
		{QT_HBM_BYTES - 0x1000, 0, 0x2000}, /* over the end */
		{0xfffff000, 0xffffffff, 0x2000},   /* around */
		{0, 1, 0x1000},
	};
	struct qt *qt = qt_start("");

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		qt_set(qt, X1_REG_FW_ADDR_LO, places[i].lo);
		qt_set(qt, X1_REG_FW_ADDR_HI, places[i].hi);
		qt_set(qt, X1_REG_FW_SIZE, places[i].size);
		qt_set(qt, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
		qt_wait_reg(qt, X1_REG_FW_STATE, ~0u, X1_FW_STATE_REFUSED);
		assert_int_equal(qt_reg(qt, X1_REG_FW_ERROR), X1_FW_ERR_RANGE);
	}
	good_image_boots(qt);
	qt_stop(qt);
}

/* ---- firmware that does not work ---- */

/* The image with another program in the place of its own. */
static struct image program(uint32_t insn)
{
	struct image im;

	im.bytes = qt_firmware(&im.len);
	for (size_t at = sizeof(struct x1_fw_header); at + 4 <= im.len; at += 4)
		memcpy(im.bytes + at, &insn, 4);
	sign(&im);
	return im;
}

static void crashes(void **state)
{
	struct qt *qt = qt_start("");
	struct image im = program(0); /* all zeros is no instruction */

	(void)state;
	assert_int_equal(qt_boot(qt, im.bytes, im.len), X1_FW_STATE_CRASHED);
	free(im.bytes);
	good_image_boots(qt);
	qt_stop(qt);
}

static void hangs(void **state)
{
	struct qt *qt = qt_start("");
	struct image im = program(0x0000006f); /* j . */

	(void)state;
	qt_mem_write(qt, QT_BAR2, im.bytes, im.len);
	qt_set(qt, X1_REG_FW_ADDR_LO, 0);
	qt_set(qt, X1_REG_FW_ADDR_HI, 0);
	qt_set(qt, X1_REG_FW_SIZE, (uint32_t)im.len);
	qt_set(qt, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	qt_wait_reg(qt, X1_REG_FW_STATE, ~0u, X1_FW_STATE_STARTED);
	/* Nobody answers, and the device answers all the same. */
	qt_set(qt, X1_REG_MBOX_SEND, 1);
	assert_int_equal(qt_reg(qt, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY, X1_MBOX_BUSY);
	assert_int_equal(qt_reg(qt, X1_REG_FW_HEARTBEAT), 0);
	qt_set(qt, X1_REG_RESET, X1_RESET_KEY);
	assert_int_equal(qt_reg(qt, X1_REG_FW_STATE), X1_FW_STATE_RESET);
	free(im.bytes);
	good_image_boots(qt);
	qt_stop(qt);
}

static void bad_requests(void **state)
{
	struct qt *qt = qt_start("");
	struct x1_mbox_msg msg = {.op = 0xffff, .seq = 2};

	(void)state;
	good_image_boots(qt);
	qt_mbox(qt, &msg);
	assert_int_equal(msg.status, X1_MBOX_ERR_OP);
	assert_int_equal(msg.seq, 2);
	msg = (struct x1_mbox_msg){.op = X1_MBOX_QUEUE_DESTROY, .arg = {0xffffffff}};
	qt_mbox(qt, &msg);
	assert_int_not_equal(msg.status, X1_MBOX_OK);
	msg = (struct x1_mbox_msg){.op = X1_MBOX_QUEUE_CREATE};
	memset(msg.arg, 0xff, sizeof(msg.arg));
	qt_mbox(qt, &msg);
	assert_int_not_equal(msg.status, X1_MBOX_OK);
	msg = (struct x1_mbox_msg){.op = X1_MBOX_VM_ATTACH, .arg = {X1_NUM_VMS, 0, 0}};
	qt_mbox(qt, &msg);
	assert_int_not_equal(msg.status, X1_MBOX_OK);
	qt_stop(qt);
}

int main(void)
{
	static struct refusal refusals[] = {
		{cut_header, X1_FW_ERR_TRUNCATED}, {cut_payload, X1_FW_ERR_TRUNCATED},
		{empty, X1_FW_ERR_TRUNCATED},      {bad_magic, X1_FW_ERR_MAGIC},
		{bad_version, X1_FW_ERR_HEADER},   {bad_header_bytes, X1_FW_ERR_HEADER},
		{bad_abi, X1_FW_ERR_ABI},          {bad_load, X1_FW_ERR_LAYOUT},
		{odd_entry, X1_FW_ERR_LAYOUT},     {entry_outside, X1_FW_ERR_LAYOUT},
		{bad_size, X1_FW_ERR_LAYOUT},      {flipped_bit, X1_FW_ERR_HASH},
		{flipped_hash, X1_FW_ERR_HASH},
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots),
		{"cut_header", refused, NULL, NULL, &refusals[0]},
		{"cut_payload", refused, NULL, NULL, &refusals[1]},
		{"empty", refused, NULL, NULL, &refusals[2]},
		{"bad_magic", refused, NULL, NULL, &refusals[3]},
		{"bad_version", refused, NULL, NULL, &refusals[4]},
		{"bad_header_bytes", refused, NULL, NULL, &refusals[5]},
		{"bad_abi", refused, NULL, NULL, &refusals[6]},
		{"bad_load", refused, NULL, NULL, &refusals[7]},
		{"odd_entry", refused, NULL, NULL, &refusals[8]},
		{"entry_outside", refused, NULL, NULL, &refusals[9]},
		{"bad_size", refused, NULL, NULL, &refusals[10]},
		{"flipped_bit", refused, NULL, NULL, &refusals[11]},
		{"flipped_hash", refused, NULL, NULL, &refusals[12]},
		cmocka_unit_test(bad_place),
		cmocka_unit_test(crashes),
		cmocka_unit_test(hangs),
		cmocka_unit_test(bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
