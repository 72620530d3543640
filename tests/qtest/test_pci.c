// SPDX-License-Identifier: MIT
/*
 * The endpoint: identity, capabilities, BARs, access sizes, resets, MSI-X and
 * the properties' checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_qtest.h"

#define CAP_PM      0x01
#define CAP_EXPRESS 0x10
#define CAP_MSIX    0x11
#define EXT_AER     0x0001
#define EXT_SERIAL  0x0003

static int start(void **state)
{
	*state = qt_start("");
	return 0;
}

static int stop(void **state)
{
	qt_stop(*state);
	return 0;
}

/* REQ-DEV-001: identity, BARs and capabilities. */
static void identity(void **state)
{
	struct qt *qt = *state;

	assert_int_equal(qt_cfg(qt, QT_X1, 0, 2), X1_PCI_VENDOR_ID);
	assert_int_equal(qt_cfg(qt, QT_X1, 2, 2), X1_PCI_DEVICE_ID);
	assert_int_equal(qt_cfg(qt, QT_X1, 8, 1), X1_PCI_REVISION);
	assert_int_equal(qt_cfg(qt, QT_X1, 10, 2), X1_PCI_CLASS);
	assert_int_equal(qt_reg(qt, X1_REG_MAGIC), X1_MAGIC);
	assert_int_equal(qt_reg(qt, X1_REG_VERSION), X1_VERSION);
	assert_int_equal(qt_reg(qt, X1_REG_NUM_MCUS), X1_DEF_MCUS);
	assert_int_equal(qt_reg(qt, X1_REG_NUM_QUEUES), X1_NUM_QUEUES);
	assert_int_equal(qt_reg(qt, X1_REG_HBM_BYTES_LO), QT_HBM_BYTES);
	assert_int_equal(qt_reg(qt, X1_REG_APERTURE_LO), QT_HBM_BYTES);
}

static void capabilities(void **state)
{
	struct qt *qt = *state;
	unsigned int msix = qt_cap(qt, CAP_MSIX), express = qt_cap(qt, CAP_EXPRESS);

	assert_int_not_equal(qt_cap(qt, CAP_PM), 0);
	assert_int_not_equal(msix, 0);
	assert_int_not_equal(express, 0);
	assert_int_not_equal(qt_ext_cap(qt, EXT_AER), 0);
	assert_int_not_equal(qt_ext_cap(qt, EXT_SERIAL), 0);
	assert_int_equal((qt_cfg(qt, QT_X1, msix + 2, 2) & 0x7ff) + 1, X1_MSIX_VECTORS);
	assert_int_equal(qt_cfg(qt, QT_X1, msix + 4, 4) & 7, X1_PCI_BAR_MSIX);
	assert_true(qt_cfg(qt, QT_X1, express + 4, 4) & 1u << 28);                  /* FLR */
	assert_int_equal(qt_cfg(qt, QT_X1, express + 12, 4) & 0x3ff, 16u << 4 | 5); /* x16 Gen5 */
}

static void serial_number(void **state)
{
	struct qt *qt = qt_start(",serial=81985529216486895"); /* 0x0123456789abcdef */
	unsigned int cap = qt_ext_cap(qt, EXT_SERIAL);

	(void)state;
	assert_int_equal(qt_cfg(qt, QT_X1, cap + 4, 4), 0x89abcdef);
	assert_int_equal(qt_cfg(qt, QT_X1, cap + 8, 4), 0x01234567);
	assert_int_equal(qt_reg(qt, X1_REG_SERIAL_LO), 0x89abcdef);
	assert_int_equal(qt_reg(qt, X1_REG_SERIAL_HI), 0x01234567);
	qt_stop(qt);
}

/* Read-only, unlisted and management-core registers do not move. */
static void fixed_registers(void **state)
{
	static const uint32_t regs[] = {
		X1_REG_MAGIC,
		X1_REG_VERSION,
		X1_REG_NUM_MCUS,
		X1_REG_HBM_BYTES_LO,
		X1_REG_STATUS,
		X1_REG_FW_STATE,
		X1_REG_FW_VERSION,
		X1_REG_MBOX_RSP,
		X1_REG_VM_ROOT_LO,
		X1_REG_QUEUE(3) + X1_Q_RING_LO,
		X1_REG_QUEUE(63) + X1_Q_STATE,
		X1_REG_QUEUE(0) + X1_Q_USER_VM,
		0x3ffc,
		0xfffc,
	};
	struct qt *qt = *state;

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint32_t was = qt_reg(qt, regs[i]);

		qt_set(qt, regs[i], ~was);
		assert_int_equal(qt_reg(qt, regs[i]), was);
	}
	assert_int_equal(qt_reg(qt, 0x3ffc), 0);
}

static void access_sizes(void **state)
{
	struct qt *qt = *state;
	uint64_t reg = QT_BAR0 + X1_REG_MAGIC;

	assert_int_equal(qt_read(qt, reg, 1), 0xff);
	assert_int_equal(qt_read(qt, reg, 2), 0xffff);
	assert_int_equal(qt_read(qt, reg, 8), X1_MAGIC | (uint64_t)X1_VERSION << 32);
	assert_int_equal(qt_read(qt, reg + 2, 4), 0xffffffff);
	qt_write(qt, QT_BAR0 + X1_REG_GATE_LO, 0xff, 1);
	qt_write(qt, QT_BAR0 + X1_REG_GATE_LO, 0xffff, 2);
	assert_int_equal(qt_reg(qt, X1_REG_GATE_LO), 0);
	qt_write(qt, QT_BAR0 + X1_REG_GATE_LO, 0x1234567890ull, 8);
	assert_int_equal(qt_reg(qt, X1_REG_GATE_LO), 0x34567890);
	assert_int_equal(qt_reg(qt, X1_REG_GATE_HI), 0x12);
}

static void aperture(void **state)
{
	struct qt *qt = *state;

	for (uint64_t off = 0; off < QT_HBM_BYTES; off += QT_HBM_BYTES / 8)
		qt_write(qt, QT_BAR2 + off, off ^ 0x5a5a, 8);
	qt_write(qt, QT_BAR2 + QT_HBM_BYTES - 1, 0x77, 1);
	for (uint64_t off = 0; off < QT_HBM_BYTES; off += QT_HBM_BYTES / 8)
		assert_int_equal(qt_read(qt, QT_BAR2 + off, 8), off ^ 0x5a5a);
	assert_int_equal(qt_read(qt, QT_BAR2 + QT_HBM_BYTES - 1, 1), 0x77);
}

/* ---- resets ---- */

static void flr(struct qt *qt)
{
	qt_cfg_set(qt, QT_X1, qt_cap(qt, CAP_EXPRESS) + 8, 1u << 15, 2);
}

static void bus_reset(struct qt *qt)
{
	qt_cfg_set(qt, QT_PORT, 0x3e, 0x40, 2);
	qt_cfg_set(qt, QT_PORT, 0x3e, 0, 2);
}

static void machine_reset(struct qt *qt)
{
	/* The reset comes some time after the answer and closes the window. */
	qt_qmp(qt, "system_reset");
	for (int tries = 0; qt_cfg(qt, QT_X1, 0, 2) == X1_PCI_VENDOR_ID; tries++) {
		assert_true(tries < 5000);
		usleep(1000);
	}
}

static void reset_register(struct qt *qt)
{
	qt_set(qt, X1_REG_RESET, X1_RESET_KEY);
}

struct reset_case {
	const char *props;
	void (*reset)(struct qt *qt);
	bool hbm_lost;
};

static void reset_keeps(void **state)
{
	const struct reset_case *c = *state;
	struct qt *qt = qt_start(c->props);
	uint32_t boots, losses;

	qt_set(qt, X1_REG_GATE_LO, 5);
	qt_write(qt, QT_BAR2 + 0x1000, 0xfeed, 8);
	boots = qt_reg(qt, X1_REG_BOOT_EPOCH);
	losses = qt_reg(qt, X1_REG_HBM_EPOCH);
	c->reset(qt);
	qt_enable(qt);
	assert_int_equal(qt_reg(qt, X1_REG_BOOT_EPOCH), boots + 1);
	assert_int_equal(qt_reg(qt, X1_REG_HBM_EPOCH), losses + c->hbm_lost);
	assert_int_equal(qt_read(qt, QT_BAR2 + 0x1000, 8), c->hbm_lost ? 0 : 0xfeed);
	assert_int_equal(qt_reg(qt, X1_REG_GATE_LO), 0);
	qt_stop(qt);
}

static void wrong_key(void **state)
{
	struct qt *qt = *state;
	uint32_t boots = qt_reg(qt, X1_REG_BOOT_EPOCH);

	qt_set(qt, X1_REG_RESET, X1_RESET_KEY + 1);
	qt_set(qt, X1_REG_RESET, 0);
	assert_int_equal(qt_reg(qt, X1_REG_BOOT_EPOCH), boots);
}

static void d3hot(void **state)
{
	struct qt *qt = *state;
	unsigned int pm = qt_cap(qt, CAP_PM);
	uint32_t boots = qt_reg(qt, X1_REG_BOOT_EPOCH);

	qt_write(qt, QT_BAR2 + 0x2000, 0xabcd, 4);
	qt_cfg_set(qt, QT_X1, pm + 4, 3, 2);
	assert_int_equal(qt_cfg(qt, QT_X1, pm + 4, 2) & 3, 3);
	qt_cfg_set(qt, QT_X1, pm + 4, 0, 2);
	assert_int_equal(qt_reg(qt, X1_REG_STATUS) & X1_STATUS_HALTED, 0);
	assert_int_equal(qt_reg(qt, X1_REG_BOOT_EPOCH), boots);
	assert_int_equal(qt_read(qt, QT_BAR2 + 0x2000, 4), 0xabcd);
}

/* A message goes to memory when it is not masked, and waits while it is. */
static void msix(void **state)
{
	struct qt *qt = *state;
	unsigned int cap = qt_cap(qt, CAP_MSIX);
	size_t len;
	void *image = qt_firmware(&len);
	struct x1_mbox_msg ping = {.op = X1_MBOX_PING, .seq = 1};
	uint32_t pba = qt_cfg(qt, QT_X1, cap + 8, 4) & ~7u;

	qt_write(qt, QT_BAR4, QT_RAM, 8);     /* vector 0: address */
	qt_write(qt, QT_BAR4 + 8, 0xcafe, 4); /* data */
	qt_write(qt, QT_BAR4 + 12, 1, 4);     /* masked */
	qt_cfg_set(qt, QT_X1, cap + 2, 0x8000, 2);
	qt_set(qt, X1_REG_IRQ_ENABLE, X1_IRQ_MBOX);
	assert_int_equal(qt_boot(qt, image, len), X1_FW_STATE_READY);
	free(image);
	qt_write(qt, QT_RAM, 0, 4);
	qt_mbox(qt, &ping);
	assert_int_equal(ping.status, X1_MBOX_OK);
	for (int tries = 0; !(qt_read(qt, QT_BAR4 + pba, 4) & 1); tries++) {
		assert_true(tries < 10000);
		usleep(1000);
	}
	assert_int_equal(qt_read(qt, QT_RAM, 4), 0);
	qt_write(qt, QT_BAR4 + 12, 0, 4);
	assert_int_equal(qt_read(qt, QT_RAM, 4), 0xcafe);
	assert_int_equal(qt_read(qt, QT_BAR4 + pba, 4) & 1, 0);
	assert_true(qt_reg(qt, X1_REG_IRQ_PENDING) & X1_IRQ_MBOX);
	qt_set(qt, X1_REG_IRQ_PENDING, X1_IRQ_MBOX);
	assert_false(qt_reg(qt, X1_REG_IRQ_PENDING) & X1_IRQ_MBOX);
}

static void bad_properties(void **state)
{
	(void)state;
	assert_true(qt_refuses(",mcus=0", "mcus=0"));
	assert_true(qt_refuses(",mcus=1025", "mcus=1025"));
	assert_true(qt_refuses(",clock=1", "clock=1"));
	assert_true(qt_refuses(",hbm-size=1000", "hbm-size=1000"));
	assert_true(qt_refuses(",aperture-size=3M", "aperture-size"));
	assert_true(qt_refuses(",aperture-size=128M", "aperture-size"));
	assert_true(qt_refuses(",l2-size=1", "l2-size=1"));
	assert_true(qt_refuses(",threads=1000", "threads=1000"));
	assert_true(qt_refuses(",timing=maybe", "timing"));
	assert_true(qt_refuses(",colour=red", "colour"));
}

int main(void)
{
	static struct reset_case resets[] = {
		{"", flr, false},
		{",scrub-on-flr=on", flr, true},
		{"", reset_register, false},
		{"", bus_reset, false},
		{"", machine_reset, true},
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity, start, stop),
		cmocka_unit_test_setup_teardown(capabilities, start, stop),
		cmocka_unit_test(serial_number),
		cmocka_unit_test_setup_teardown(fixed_registers, start, stop),
		cmocka_unit_test_setup_teardown(access_sizes, start, stop),
		cmocka_unit_test_setup_teardown(aperture, start, stop),
		{"flr", reset_keeps, NULL, NULL, &resets[0]},
		{"flr_scrub", reset_keeps, NULL, NULL, &resets[1]},
		{"reset_register", reset_keeps, NULL, NULL, &resets[2]},
		{"bus_reset", reset_keeps, NULL, NULL, &resets[3]},
		{"machine_reset", reset_keeps, NULL, NULL, &resets[4]},
		cmocka_unit_test_setup_teardown(wrong_key, start, stop),
		cmocka_unit_test_setup_teardown(d3hot, start, stop),
		cmocka_unit_test_setup_teardown(msix, start, stop),
		cmocka_unit_test(bad_properties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
