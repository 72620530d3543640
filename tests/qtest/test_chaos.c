// SPDX-License-Identifier: MIT
/*
 * A guest that writes everything at random: registers, doorbells, MSI-X table,
 * HBM, the function's configuration space. QEMU must live, and the device must
 * work after a function level reset. The seeds are fixed: a failure repeats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "x1_qtest.h"

#define WRITES 4000

static uint64_t next(uint64_t *seed)
{
	/* xorshift64* */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

/* Often a value that means something. */
static uint64_t value(uint64_t *seed)
{
	uint64_t r = next(seed);

	switch (r >> 60) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << (r & 63);
	case 3:
	case 4:
	case 5:
		return r & 31;
	case 6:
		return (r & QT_HBM_BYTES / 2) + (r & 0xfff000);
	default:
		return r;
	}
}

static void one_write(struct qt *qt, uint64_t *seed)
{
	static const uint8_t sizes[] = {4, 4, 4, 4, 4, 8, 2, 1};
	uint64_t r = next(seed);
	unsigned int size = sizes[r & 7];
	uint64_t mask = ~(uint64_t)(size - 1);

	r >>= 3;
	switch (r % 16) {
	case 0:
		qt_write(qt, QT_BAR4 + (next(seed) & 0x7ff & mask), value(seed), size);
		break;
	case 1:
		/* Capabilities and what follows; BARs and command stay, so that writes arrive. */
		qt_cfg_set(qt, QT_X1, 0x40 + (unsigned int)(next(seed) % 0x200 & ~3u),
			   (uint32_t)value(seed), 4);
		break;
	case 2:
	case 3:
		qt_write(qt, QT_BAR2 + (next(seed) & (QT_HBM_BYTES - 1) & mask), value(seed), size);
		break;
	case 4:
	case 5:
		qt_write(qt,
			 QT_BAR0 + X1_REGS_BYTES +
				 next(seed) % X1_NUM_QUEUES * X1_DB_STRIDE_DEFAULT +
				 (next(seed) & 0xc),
			 value(seed), size);
		break;
	case 6:
	case 7:
		qt_write(qt,
			 QT_BAR0 + X1_REG_QUEUE(next(seed) % X1_NUM_QUEUES) + (next(seed) & 0x7c),
			 value(seed), size);
		break;
	case 8:
	case 9:
		/* A request to the firmware, with a likely operation. */
		qt_set(qt, X1_REG_MBOX_REQ, (uint32_t)(next(seed) % 13));
		for (uint32_t reg = X1_REG_MBOX_REQ + 8; reg < X1_REG_MBOX_RSP; reg += 4)
			if (next(seed) & 1)
				qt_set(qt, reg, (uint32_t)value(seed));
		qt_set(qt, X1_REG_MBOX_SEND, 1);
		break;
	default:
		qt_write(qt, QT_BAR0 + (next(seed) & 0x2ff & mask), value(seed), size);
	}
}

static void works(struct qt *qt)
{
	struct x1_mbox_msg ping = {.op = X1_MBOX_PING, .arg = {42}};
	size_t len;
	void *image = qt_firmware(&len);

	assert_int_equal(qt_boot(qt, image, len), X1_FW_STATE_READY);
	free(image);
	qt_mbox(qt, &ping);
	assert_int_equal(ping.status, X1_MBOX_OK);
	assert_int_equal(ping.arg[0], 42);
}

static void chaos(void **state)
{
	struct qt *qt = qt_start(",threads=2");

	(void)state;
	for (uint64_t round = 1; round <= 8; round++) {
		uint64_t seed = round * 0x9e3779b97f4a7c15ull;
		unsigned int express;

		works(qt);
		for (unsigned int i = 0; i < WRITES; i++)
			one_write(qt, &seed);
		/* Awake, then reset. */
		qt_cfg_set(qt, QT_X1, qt_cap(qt, 0x01) + 4, 0, 2);
		express = qt_cap(qt, 0x10);
		assert_int_not_equal(express, 0);
		qt_cfg_set(qt, QT_X1, express + 8, 1u << 15, 2);
		qt_enable(qt);
		assert_int_equal(qt_reg(qt, X1_REG_MAGIC), X1_MAGIC);
	}
	works(qt);
	qt_stop(qt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
