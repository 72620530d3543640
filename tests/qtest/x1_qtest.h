/* SPDX-License-Identifier: MIT */
/*
 * A machine with one X1 behind a root port and no processor that runs: the
 * test is the guest. Speaks QEMU's qtest protocol (docs/devel/testing/qtest).
 */
#ifndef X1_QTEST_H
#define X1_QTEST_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#include "x1/x1_fw.h"
#include "x1/x1_limits.h"
#include "x1/x1_regs.h"

/* Where the test puts the BARs, and RAM that it uses. */
#define QT_BAR0      0xe0000000ull
#define QT_BAR4      0xe1000000ull
#define QT_BAR2      0x800000000ull
#define QT_RAM       0x4000000ull
#define QT_RAM_BYTES 0x8000000ull
#define QT_HBM_BYTES 0x4000000ull

struct qt {
	pid_t pid;
	int fd; /* qtest */
	int qmp;
	char buf[8192];
	size_t have;
	char qmp_buf[65536], qmp_line[65536];
	size_t qmp_have;
};

#define QT_EXTRA 8

struct qt_opt {
	const char *props;           /* more properties of the X1 (",x=y") */
	const char *iommu;           /* "intel-iommu,…" or NULL */
	bool empty;                  /* nothing in the root port's slot yet */
	bool incoming;               /* extra has -incoming: its state comes from elsewhere */
	const char *extra[QT_EXTRA]; /* more arguments of QEMU */
};

struct qt *qt_start_opt(const struct qt_opt *opt);

/*
 * Start QEMU; props are more properties of the device (",x=y") or "". The
 * device's BARs are placed and enabled, bus mastering and memory are on.
 * A QEMU that does not start fails the test.
 */
struct qt *qt_start(const char *props);
/* The same behind an Intel IOMMU, off until the test turns it on. */
struct qt *qt_start_iommu(const char *props);
void qt_stop(struct qt *qt);

/* Does QEMU refuse these properties, with text in what it says? */
bool qt_refuses(const char *props, const char *text);

uint64_t qt_read(struct qt *qt, uint64_t addr, unsigned int size);
void qt_write(struct qt *qt, uint64_t addr, uint64_t val, unsigned int size);
void qt_mem_read(struct qt *qt, uint64_t addr, void *buf, size_t len);
void qt_mem_write(struct qt *qt, uint64_t addr, const void *buf, size_t len);

static inline uint32_t qt_reg(struct qt *qt, uint32_t reg)
{
	return (uint32_t)qt_read(qt, QT_BAR0 + reg, 4);
}

static inline void qt_set(struct qt *qt, uint32_t reg, uint32_t val)
{
	qt_write(qt, QT_BAR0 + reg, val, 4);
}

/* Configuration space of the X1 (dev) or of its root port. */
enum qt_func {
	QT_PORT,
	QT_X1
};
uint32_t qt_cfg(struct qt *qt, enum qt_func func, unsigned int reg, unsigned int size);
void qt_cfg_set(struct qt *qt, enum qt_func func, unsigned int reg, uint32_t val,
		unsigned int size);
/* Where a capability is; 0 = none. */
unsigned int qt_cap_of(struct qt *qt, enum qt_func func, unsigned int id);
unsigned int qt_ext_cap_of(struct qt *qt, enum qt_func func, unsigned int id);

static inline unsigned int qt_cap(struct qt *qt, unsigned int id)
{
	return qt_cap_of(qt, QT_X1, id);
}

static inline unsigned int qt_ext_cap(struct qt *qt, unsigned int id)
{
	return qt_ext_cap_of(qt, QT_X1, id);
}

/* BARs, bridge windows, memory and bus mastering: what firmware does. */
void qt_enable(struct qt *qt);

/* A QMP command without arguments; waits for its answer, which is no error. */
void qt_qmp(struct qt *qt, const char *command);
/* Any line; returns the answer, valid until the next. */
const char *qt_qmp_ask(struct qt *qt, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Set a property of the X1 to a JSON value; false if QEMU refuses. */
bool qt_prop(struct qt *qt, const char *name, const char *value);
long long qt_prop_get(struct qt *qt, const char *name);
/* A line for the human monitor, whose answer has `says` in it. */
void qt_hmp(struct qt *qt, const char *line, const char *says);

/* Until reg & mask == val; fails the test after some seconds. */
void qt_wait_reg(struct qt *qt, uint32_t reg, uint32_t mask, uint32_t val);

/* The firmware image of the build; free() it. */
void *qt_firmware(size_t *len);
/* Put an image into HBM and start it; returns the state it ends in. */
enum x1_fw_state qt_boot(struct qt *qt, const void *image, size_t len);
/* A mailbox request and its reply. */
void qt_mbox(struct qt *qt, struct x1_mbox_msg *msg);

#endif /* X1_QTEST_H */
