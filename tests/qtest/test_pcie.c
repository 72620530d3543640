// SPDX-License-Identifier: MIT
/*
 * A card's life in its slot: AER, surprise removal and return, hot-plug, and
 * resets and power states at any moment, with LAUNCHes and copies in flight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_card.h"

#define CAP_PM      0x01
#define CAP_EXPRESS 0x10
#define EXT_AER     0x0001

#define EXP_DEVCTL   0x08
#define EXP_DEVSTA   0x0a
#define EXP_LNKSTA   0x12
#define EXP_SLTCTL   0x18
#define EXP_SLTSTA   0x1a
#define LNKSTA_DLLLA (1u << 13)
#define SLTSTA_PDC   (1u << 3)
#define SLTSTA_PDS   (1u << 6)
#define SLTSTA_DLLSC (1u << 8)

#define AER_UNCOR    0x04
#define AER_UMASK    0x08
#define AER_COR      0x10
#define AER_CMASK    0x14
#define AER_ROOT_CMD 0x2c
#define AER_ROOT_STA 0x30
#define AER_ROOT_SRC 0x34
#define X1_BDF       0x0100u

/* Until its reset: an endless program on 64 MCUs, and a copy without end in sight. */
static struct x1_insn spin[] = {
	{.op = X1_OP_ADD, .rd = 20, .ra = 20, .rb = X1_REG_IMM, .imm = 1},
	{.op = X1_OP_JMP, .imm = 0},
	{.op = X1_OP_END},
};

static void load(struct qt *qt)
{
	struct queue q = qc_create(qt, HBM_DVA), c = qc_create(qt, HBM_DVA + 0x1000);
	union x1_cmd cmd = {.copy = {
				    .hdr = {.op = X1_CMD_COPY},
				    .src = RAM_DVA,
				    .dst = DATA_DVA,
				    .bytes = 65536,
				    .rows = 100000,
			    }};

	qc_program(qt, 0, spin, 3);
	qc_launch(qt, &q, 0, 3, 64);
	qc_submit(qt, &c, &cmd);
}

/* Nothing is left of the load, and the card works. */
static void like_new(struct qt *qt)
{
	qt_enable(qt);
	for (unsigned int i = 0; i < X1_NUM_QUEUES; i++)
		assert_int_equal(qt_reg(qt, X1_REG_QUEUE(i) + X1_Q_STATE), X1_Q_STATE_DISABLED);
	assert_int_equal(qt_reg(qt, X1_REG_FW_STATE), X1_FW_STATE_RESET);
	qc_prepare(qt);
	qc_works(qt);
}

/* ---- AER ---- */

static void aer_on(struct qt *qt)
{
	unsigned int aer = qt_ext_cap(qt, EXT_AER), port = qt_ext_cap_of(qt, QT_PORT, EXT_AER);

	assert_int_not_equal(aer, 0);
	assert_int_not_equal(port, 0);
	qt_cfg_set(qt, QT_X1, qt_cap(qt, CAP_EXPRESS) + EXP_DEVCTL, 0x0f, 2);
	qt_cfg_set(qt, QT_PORT, qt_cap_of(qt, QT_PORT, CAP_EXPRESS) + EXP_DEVCTL, 0x0f, 2);
	qt_cfg_set(qt, QT_PORT, 0x3e, 0x02, 2); /* SERR# forwarding */
	qt_cfg_set(qt, QT_X1, 0x04, 0x0106, 2);
	qt_cfg_set(qt, QT_PORT, 0x04, 0x0106, 2);
	qt_cfg_set(qt, QT_X1, aer + AER_UMASK, 0, 4);
	qt_cfg_set(qt, QT_X1, aer + AER_CMASK, 0, 4);
	qt_cfg_set(qt, QT_PORT, port + AER_ROOT_CMD, 7, 4);
}

/* The function has the bit, the root port the message and its source; then cleared. */
static void reported(struct qt *qt, bool correctable, uint32_t bit, uint32_t root)
{
	unsigned int aer = qt_ext_cap(qt, EXT_AER), port = qt_ext_cap_of(qt, QT_PORT, EXT_AER);
	unsigned int status = aer + (correctable ? AER_COR : AER_UNCOR);
	uint32_t source = qt_cfg(qt, QT_PORT, port + AER_ROOT_SRC, 4);

	assert_int_equal(qt_cfg(qt, QT_X1, status, 4), bit);
	assert_int_equal(qt_cfg(qt, QT_PORT, port + AER_ROOT_STA, 4) & 0x7f, root);
	assert_int_equal(correctable ? source & 0xffff : source >> 16, X1_BDF);
	qt_cfg_set(qt, QT_X1, status, bit, 4);
	qt_cfg_set(qt, QT_PORT, port + AER_ROOT_STA, 0x7f, 4);
	assert_int_equal(qt_cfg(qt, QT_X1, status, 4), 0);
}

/* REQ-FAULT-070, by the monitor and by the property */
static void aer(void **state)
{
	struct qt *qt = qt_start("");

	(void)state;
	qc_prepare(qt);
	load(qt);
	aer_on(qt);
	qt_hmp(qt, "pcie_aer_inject_error x1 BAD_TLP", "OK");
	reported(qt, true, 1u << 6, 1);
	qt_hmp(qt, "pcie_aer_inject_error x1 COMP_TIME", "OK");
	reported(qt, false, 1u << 14, 1u << 2 | 1u << 5);
	qt_hmp(qt, "pcie_aer_inject_error x1 MALF_TLP", "OK");
	reported(qt, false, 1u << 18, 1u << 2 | 1u << 4 | 1u << 6);
	assert_true(qt_prop(qt, "fault-aer", "\"RCVR\""));
	reported(qt, true, 1u << 0, 1);
	assert_true(qt_prop(qt, "fault-aer", "\"UNSUP\""));
	reported(qt, false, 1u << 20, 1u << 2 | 1u << 5);
	/* Masked, it is logged and not sent. */
	qt_cfg_set(qt, QT_X1, qt_ext_cap(qt, EXT_AER) + AER_CMASK, ~0u, 4);
	qt_hmp(qt, "pcie_aer_inject_error x1 BAD_DLLP", "OK");
	assert_int_equal(
		qt_cfg(qt, QT_PORT, qt_ext_cap_of(qt, QT_PORT, EXT_AER) + AER_ROOT_STA, 4) & 0x7f,
		0);
	/* The root port's own. */
	qt_hmp(qt, "pcie_aer_inject_error rp BAD_TLP", "OK");
	qc_works(qt);
	qt_stop(qt);
}

/* ---- removal ---- */

static unsigned int slot(struct qt *qt)
{
	return qt_cap_of(qt, QT_PORT, CAP_EXPRESS);
}

/* Clear the events that are there (QEMU takes others for a race and keeps all). */
static void ack(struct qt *qt)
{
	unsigned int reg = slot(qt) + EXP_SLTSTA;

	qt_cfg_set(qt, QT_PORT, reg, qt_cfg(qt, QT_PORT, reg, 2) & 0x11f, 2);
}

/* REQ-FAULT-071 */
static void link_down(void **state)
{
	struct qt *qt = qt_start_opt(&(struct qt_opt){
		.extra = {"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"}});
	uint64_t msi = MSI_WORD + 64;
	unsigned int at = slot(qt), msix;

	(void)state;
	qc_prepare(qt);
	load(qt);
	/* The port's interrupt goes to a word of memory. */
	msix = qt_cap_of(qt, QT_PORT, 0x11);
	assert_int_not_equal(msix, 0);
	qt_cfg_set(qt, QT_PORT, 0x10, 0xe2000000, 4);
	qt_cfg_set(qt, QT_PORT, 0x14, 0, 4);
	qt_write(qt, 0xe2000000, msi, 8);
	qt_write(qt, 0xe2000008, 0x5107, 4);
	qt_write(qt, 0xe200000c, 0, 4);
	qt_cfg_set(qt, QT_PORT, msix + 2, 0x8000, 2);
	ack(qt);
	qt_cfg_set(qt, QT_PORT, at + EXP_SLTCTL, 1u << 3 | 1u << 5, 2); /* PDC, HPIE */
	ack(qt);
	qt_write(qt, msi, 0, 4);
	for (int i = 0; i < 3; i++) {
		qt_write(qt, QT_BAR2 + 0x1000, 0x1234, 8);
		assert_true(qt_prop(qt, "link-down", "true"));
		assert_int_equal(qt_cfg(qt, QT_X1, 0, 4), ~0u);
		assert_int_equal(qt_reg(qt, X1_REG_MAGIC) == X1_MAGIC, 0);
		assert_int_not_equal(qt_read(qt, QT_BAR2 + 0x1000, 8), 0x1234);
		assert_false(qt_cfg(qt, QT_PORT, at + EXP_SLTSTA, 2) & SLTSTA_PDS);
		assert_false(qt_cfg(qt, QT_PORT, at + EXP_LNKSTA, 2) & LNKSTA_DLLLA);
		assert_int_equal(qt_cfg(qt, QT_PORT, at + EXP_SLTSTA, 2) &
					 (SLTSTA_PDC | SLTSTA_DLLSC),
				 SLTSTA_PDC | SLTSTA_DLLSC);
		assert_int_equal(qt_read(qt, msi, 4), 0x5107);
		/* What a driver may still do. */
		qt_set(qt, X1_REG_RESET, X1_RESET_KEY);
		qt_cfg_set(qt, QT_X1, 4, 0x406, 2);
		qt_set(qt, X1_REGS_BYTES, 5);
		ack(qt);
		qt_write(qt, msi, 0, 4);
		assert_true(qt_prop(qt, "link-down", "false"));
		assert_int_equal(qt_read(qt, msi, 4), 0x5107);
		assert_true(qt_cfg(qt, QT_PORT, at + EXP_SLTSTA, 2) & SLTSTA_PDS);
		assert_true(qt_cfg(qt, QT_PORT, at + EXP_LNKSTA, 2) & LNKSTA_DLLLA);
		ack(qt);
		qt_write(qt, msi, 0, 4);
		qt_enable(qt);
		assert_int_equal(qt_read(qt, QT_BAR2 + 0x1000, 8), 0);
		like_new(qt);
		load(qt);
	}
	/* It may also be gone for good. */
	assert_true(qt_prop(qt, "link-down", "true"));
	qt_stop(qt);
}

/* device_add behind a root port, device_del by power-off of the slot, again. */
static void hot_plug(void **state)
{
	struct qt *qt = qt_start_opt(&(struct qt_opt){
		.empty = true,
		.extra = {"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"}});
	unsigned int at;

	(void)state;
	qt_enable(qt);
	at = slot(qt);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(qt_cfg(qt, QT_X1, 0, 4), ~0u);
		assert_false(qt_cfg(qt, QT_PORT, at + EXP_SLTSTA, 2) & SLTSTA_PDS);
		assert_non_null(strstr(qt_qmp_ask(qt,
						  "{\"execute\":\"device_add\",\"arguments\":{"
						  "\"driver\":\"siliflow-x1\",\"id\":\"x1\","
						  "\"bus\":\"rp\",\"hbm-size\":%llu}}",
						  QT_HBM_BYTES),
				       "return"));
		assert_true(qt_cfg(qt, QT_PORT, at + EXP_SLTSTA, 2) & SLTSTA_PDS);
		/* Power on, as the guest does. */
		qt_cfg_set(qt, QT_PORT, at + EXP_SLTCTL, 1u << 8, 2);
		qt_enable(qt);
		qc_prepare(qt);
		qc_works(qt);
		load(qt);
		assert_non_null(strstr(qt_qmp_ask(qt, "{\"execute\":\"device_del\",\"arguments\":{"
						      "\"id\":\"x1\"}}"),
				       "return"));
		/* Power and indicator off: QEMU takes it out. */
		qt_cfg_set(qt, QT_PORT, at + EXP_SLTCTL, 1u << 10 | 3u << 8, 2);
	}
	qt_stop(qt);
}

/* ---- resets and power ---- */

static void flr(struct qt *qt)
{
	qt_cfg_set(qt, QT_X1, qt_cap(qt, CAP_EXPRESS) + EXP_DEVCTL, 1u << 15, 2);
}

static void bus_reset(struct qt *qt)
{
	qt_cfg_set(qt, QT_PORT, 0x3e, 0x40, 2);
	qt_cfg_set(qt, QT_PORT, 0x3e, 0, 2);
}

static void machine_reset(struct qt *qt)
{
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
	void (*reset)(struct qt *qt);
};

/* REQ-DEV-002, with work in flight, at once and a little later. */
static void reset_under_load(void **state)
{
	const struct reset_case *c = *state;
	struct qt *qt = qt_start("");

	qc_prepare(qt);
	for (unsigned int i = 0; i < 6; i++) {
		load(qt);
		usleep(i * 700);
		c->reset(qt);
		like_new(qt);
	}
	qt_stop(qt);
}

/* REQ-DEV-004: it stands still, and goes on where it was. */
static void d3hot_under_load(void **state)
{
	struct qt *qt = qt_start("");
	unsigned int pm = qt_cap(qt, CAP_PM) + 4;
	struct x1_insn count[] = {
		{.op = X1_OP_ADD, .rd = 20, .ra = 20, .rb = X1_REG_IMM, .imm = 1},
		{.op = X1_OP_STM, .rd = 20, .ra = 0, .rb = 3, .imm = BIG_DVA},
		{.op = X1_OP_JMP, .imm = 0},
		{.op = X1_OP_END},
	};
	struct queue q;

	(void)state;
	qc_prepare(qt);
	q = qc_create(qt, HBM_DVA);
	qc_program(qt, 0, count, 4);
	qc_launch(qt, &q, 0, 4, 1);
	for (int i = 0; i < 5; i++) {
		uint64_t at, tries = 0;

		qt_cfg_set(qt, QT_X1, pm, 3, 2);
		at = qt_read(qt, QT_BAR2 + BIG_DVA, 8);
		usleep(5000);
		assert_int_equal(qt_read(qt, QT_BAR2 + BIG_DVA, 8), at);
		qt_cfg_set(qt, QT_X1, pm, 0, 2);
		while (qt_read(qt, QT_BAR2 + BIG_DVA, 8) == at) {
			assert_true(++tries < 20000);
			usleep(1000);
		}
	}
	/* A reset out of D3hot. */
	qt_cfg_set(qt, QT_X1, pm, 3, 2);
	flr(qt);
	like_new(qt);
	qt_stop(qt);
}

int main(void)
{
	static struct reset_case resets[] = {{flr}, {bus_reset}, {machine_reset}, {reset_register}};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aer),
		cmocka_unit_test(link_down),
		cmocka_unit_test(hot_plug),
		{"flr_under_load", reset_under_load, NULL, NULL, &resets[0]},
		{"bus_reset_under_load", reset_under_load, NULL, NULL, &resets[1]},
		{"machine_reset_under_load", reset_under_load, NULL, NULL, &resets[2]},
		{"reset_register_under_load", reset_under_load, NULL, NULL, &resets[3]},
		cmocka_unit_test(d3hot_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
