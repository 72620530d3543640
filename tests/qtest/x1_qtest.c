// SPDX-License-Identifier: MIT
/*
 * See x1_qtest.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_qtest.h"

#define ECAM           0xb0000000ull
#define PCIEXBAR       0x60 /* of the q35 host bridge */
#define ANSWER_SECONDS 60

/* ---- the process ---- */

static const char *build_dir(void)
{
	const char *dir = getenv("X1_BUILD");

	return dir ? dir : "build";
}

/* In the child: QEMU's standard error goes to err_fd, if that is not -1. */
static void exec_qemu(int qtest, int qmp, int err_fd, const struct qt_opt *opt)
{
	char qemu[4096], bios[4096], device[512], qt_dev[64], qmp_dev[64];
	const char *args[48] = {
		qemu,         "-L",
		bios,         "-M",
		"q35",        "-accel",
		"qtest",      "-m",
		"128M",       "-nodefaults",
		"-display",   "none",
		"-qtest-log", "/dev/null",
		"-chardev",   qt_dev,
		"-qtest",     "chardev:qt",
		"-chardev",   qmp_dev,
		"-mon",       "chardev=qm,mode=control",
		"-device",    "pcie-root-port,id=rp,chassis=1,addr=4,pref64-reserve=1G",
	};
	unsigned int n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (err_fd >= 0)
		dup2(err_fd, STDERR_FILENO);
	snprintf(qemu, sizeof(qemu), "%s/qemu/qemu-system-x86_64", build_dir());
	snprintf(bios, sizeof(bios), "%s/qemu/pc-bios-x1", build_dir());
	snprintf(device, sizeof(device), "siliflow-x1,id=x1,bus=rp,hbm-size=%llu%s", QT_HBM_BYTES,
		 opt->props ? opt->props : "");
	snprintf(qt_dev, sizeof(qt_dev), "socket,id=qt,fd=%d", qtest);
	snprintf(qmp_dev, sizeof(qmp_dev), "socket,id=qm,fd=%d", qmp);
	while (args[n])
		n++;
	if (opt->iommu) {
		args[n++] = "-device";
		args[n++] = opt->iommu;
	}
	if (!opt->empty) {
		args[n++] = "-device";
		args[n++] = device;
	}
	for (unsigned int i = 0; i < QT_EXTRA && opt->extra[i]; i++)
		args[n++] = opt->extra[i];
	execv(qemu, (char *const *)args);
	fprintf(stderr, "cannot run %s: %s\n", qemu, strerror(errno));
	_exit(127);
}

static struct qt *spawn(const struct qt_opt *opt, int err_fd)
{
	struct qt *qt = calloc(1, sizeof(*qt));
	struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	int a[2], b[2];

	assert_non_null(qt);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	fcntl(a[0], F_SETFD, FD_CLOEXEC);
	fcntl(b[0], F_SETFD, FD_CLOEXEC);
	qt->pid = fork();
	assert_true(qt->pid >= 0);
	if (!qt->pid)
		exec_qemu(a[1], b[1], err_fd, opt);
	close(a[1]);
	close(b[1]);
	qt->fd = a[0];
	qt->qmp = b[0];
	setsockopt(qt->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(qt->qmp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return qt;
}

static int reap(struct qt *qt)
{
	int status = 0;

	close(qt->fd);
	close(qt->qmp);
	waitpid(qt->pid, &status, 0);
	free(qt);
	return status;
}

bool qt_refuses(const char *props, const char *text)
{
	char said[4096];
	ssize_t len = 0, n;
	struct qt *qt;
	int status, err[2];

	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	qt = spawn(&(struct qt_opt){.props = props}, err[1]);
	close(err[1]);
	while (len < (ssize_t)sizeof(said) - 1 &&
	       (n = read(err[0], said + len, sizeof(said) - 1 - (size_t)len)) > 0)
		len += n;
	said[len] = 0;
	close(err[0]);
	status = reap(qt);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && strstr(said, text))
		return true;
	print_message("# %s: status %#x, said: %s\n", props, status, said);
	return false;
}

void qt_stop(struct qt *qt)
{
	int status;

	/* A clean end, so that sanitizers and assertions in it are seen. */
	kill(qt->pid, SIGTERM);
	status = reap(qt);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the protocol ---- */

static const char *ask(struct qt *qt, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			fail_msg("QEMU has gone: %s", strerror(errno));
		text += n;
		len -= (size_t)n;
	}
}

/* The answer after "OK". Unasked-for lines (IRQ …) are passed over. */
static const char *answer(struct qt *qt)
{
	static char line[sizeof(qt->buf)];
	char *end;

	for (;;) {
		while (!(end = memchr(qt->buf, '\n', qt->have))) {
			ssize_t n = recv(qt->fd, qt->buf + qt->have, sizeof(qt->buf) - qt->have, 0);

			if (n <= 0)
				fail_msg("no answer from QEMU: %s",
					 n ? strerror(errno) : "it ended");
			qt->have += (size_t)n;
		}
		*end = 0;
		memcpy(line, qt->buf, (size_t)(end - qt->buf) + 1);
		qt->have -= (size_t)(end - qt->buf) + 1;
		memmove(qt->buf, end + 1, qt->have);
		if (!strncmp(line, "OK", 2))
			return line + 2;
		if (strncmp(line, "IRQ", 3))
			fail_msg("QEMU answers: %s", line);
	}
}

static const char *ask(struct qt *qt, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_in_range(len, 1, sizeof(text) - 1);
	say(qt->fd, text, (size_t)len);
	return answer(qt);
}

static char letter(unsigned int size)
{
	return size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'l' : 'q';
}

uint64_t qt_read(struct qt *qt, uint64_t addr, unsigned int size)
{
	return strtoull(ask(qt, "read%c 0x%llx\n", letter(size), (unsigned long long)addr), NULL,
			16);
}

void qt_write(struct qt *qt, uint64_t addr, uint64_t val, unsigned int size)
{
	ask(qt, "write%c 0x%llx 0x%llx\n", letter(size), (unsigned long long)addr,
	    (unsigned long long)val);
}

void qt_mem_write(struct qt *qt, uint64_t addr, const void *buf, size_t len)
{
	char *text = malloc(2 * len + 64);
	int n;

	assert_non_null(text);
	n = sprintf(text, "write 0x%llx 0x%zx 0x", (unsigned long long)addr, len);
	for (size_t i = 0; i < len; i++)
		n += sprintf(text + n, "%02x", ((const uint8_t *)buf)[i]);
	text[n++] = '\n';
	say(qt->fd, text, (size_t)n);
	free(text);
	answer(qt);
}

void qt_mem_read(struct qt *qt, uint64_t addr, void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t n = len - at < 1024 ? len - at : 1024;
		const char *hex = ask(qt, "read 0x%llx 0x%zx\n", (unsigned long long)addr + at, n) +
				  3;

		for (size_t i = 0; i < n; i++)
			assert_int_equal(sscanf(hex + 2 * i, "%2hhx", (uint8_t *)buf + at + i), 1);
		at += n;
	}
}

/* Lines of the monitor up to the one that answers; events are passed over. */
static const char *qmp_answer(struct qt *qt)
{
	for (;;) {
		char *end = memchr(qt->qmp_buf, '\n', qt->qmp_have);
		ssize_t got;

		if (end) {
			size_t len = (size_t)(end - qt->qmp_buf) + 1;
			bool answer;

			*end = 0;
			memcpy(qt->qmp_line, qt->qmp_buf, len);
			qt->qmp_have -= len;
			memmove(qt->qmp_buf, end + 1, qt->qmp_have);
			answer = strstr(qt->qmp_line, "\"return\"") ||
				 strstr(qt->qmp_line, "\"error\"");
			if (answer)
				return qt->qmp_line;
			continue;
		}
		got = recv(qt->qmp, qt->qmp_buf + qt->qmp_have, sizeof(qt->qmp_buf) - qt->qmp_have,
			   0);
		if (got <= 0)
			fail_msg("no answer from the monitor");
		qt->qmp_have += (size_t)got;
	}
}

const char *qt_qmp_ask(struct qt *qt, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	assert_true(n > 0 && n < (int)sizeof(text) - 1);
	text[n++] = '\n';
	say(qt->qmp, text, (size_t)n);
	return qmp_answer(qt);
}

void qt_qmp(struct qt *qt, const char *command)
{
	const char *said = qt_qmp_ask(qt, "{\"execute\":\"%s\"}", command);

	if (strstr(said, "\"error\""))
		fail_msg("%s: %s", command, said);
}

bool qt_prop(struct qt *qt, const char *name, const char *value)
{
	return !strstr(qt_qmp_ask(qt,
				  "{\"execute\":\"qom-set\",\"arguments\":{\"path\":"
				  "\"/machine/peripheral/x1\",\"property\":\"%s\","
				  "\"value\":%s}}",
				  name, value),
		       "\"error\"");
}

long long qt_prop_get(struct qt *qt, const char *name)
{
	const char *said = qt_qmp_ask(qt,
				      "{\"execute\":\"qom-get\",\"arguments\":{\"path\":"
				      "\"/machine/peripheral/x1\",\"property\":\"%s\"}}",
				      name);
	const char *at = strstr(said, "\"return\":");

	if (!at)
		fail_msg("%s: %s", name, said);
	return strtoll(at + strlen("\"return\":"), NULL, 10);
}

void qt_hmp(struct qt *qt, const char *line, const char *says)
{
	const char *said = qt_qmp_ask(qt,
				      "{\"execute\":\"human-monitor-command\",\"arguments\":"
				      "{\"command-line\":\"%s\"}}",
				      line);

	if (!strstr(said, says))
		fail_msg("%s: %s", line, said);
}

/* ---- PCI ---- */

static uint64_t cfg_addr(enum qt_func func, unsigned int reg)
{
	return ECAM + (func == QT_PORT ? 4u << 15 : 1u << 20) + reg;
}

uint32_t qt_cfg(struct qt *qt, enum qt_func func, unsigned int reg, unsigned int size)
{
	return (uint32_t)qt_read(qt, cfg_addr(func, reg), size);
}

void qt_cfg_set(struct qt *qt, enum qt_func func, unsigned int reg, uint32_t val, unsigned int size)
{
	qt_write(qt, cfg_addr(func, reg), val, size);
}

unsigned int qt_cap_of(struct qt *qt, enum qt_func func, unsigned int id)
{
	unsigned int at = qt_cfg(qt, func, 0x34, 1), left = 48;

	while (at && left--) {
		if (qt_cfg(qt, func, at, 1) == id)
			return at;
		at = qt_cfg(qt, func, at + 1, 1);
	}
	return 0;
}

unsigned int qt_ext_cap_of(struct qt *qt, enum qt_func func, unsigned int id)
{
	unsigned int at = 0x100, left = 64;

	while (at && left--) {
		uint32_t head = qt_cfg(qt, func, at, 4);

		if ((head & 0xffff) == id)
			return at;
		at = head >> 20;
	}
	return 0;
}

void qt_enable(struct qt *qt)
{
	/* The host bridge's window on configuration space: through the ports. */
	ask(qt, "outl 0xcf8 0x%x\n", 0x80000000u | PCIEXBAR);
	ask(qt, "outl 0xcfc 0x%llx\n", ECAM | 1);
	qt_cfg_set(qt, QT_PORT, 0x18, 0x00010100, 4); /* buses 0, 1, 1 */
	qt_cfg_set(qt, QT_PORT, 0x20, 0xe1f0e000, 4); /* memory e000_0000..e1ff_ffff */
	qt_cfg_set(qt, QT_PORT, 0x24, 0xfff10001, 4); /* prefetchable 8_0000_0000.. */
	qt_cfg_set(qt, QT_PORT, 0x28, QT_BAR2 >> 32, 4);
	qt_cfg_set(qt, QT_PORT, 0x2c, QT_BAR2 >> 32, 4);
	qt_cfg_set(qt, QT_PORT, 0x04, 0x0006, 2);
	qt_cfg_set(qt, QT_X1, 0x10, (uint32_t)QT_BAR0, 4);
	qt_cfg_set(qt, QT_X1, 0x14, 0, 4);
	qt_cfg_set(qt, QT_X1, 0x18, (uint32_t)QT_BAR2, 4);
	qt_cfg_set(qt, QT_X1, 0x1c, QT_BAR2 >> 32, 4);
	qt_cfg_set(qt, QT_X1, 0x20, (uint32_t)QT_BAR4, 4);
	qt_cfg_set(qt, QT_X1, 0x04, 0x0006, 2); /* memory, bus master */
}

struct qt *qt_start_opt(const struct qt_opt *opt)
{
	struct qt *qt = spawn(opt, -1);

	qt_qmp(qt, "qmp_capabilities");
	if (!opt->empty && !opt->incoming)
		qt_enable(qt);
	return qt;
}

struct qt *qt_start(const char *props)
{
	return qt_start_opt(&(struct qt_opt){.props = props});
}

struct qt *qt_start_iommu(const char *props)
{
	return qt_start_opt(&(struct qt_opt){.props = props, .iommu = "intel-iommu"});
}

void qt_wait_reg(struct qt *qt, uint32_t reg, uint32_t mask, uint32_t val)
{
	time_t end = time(NULL) + ANSWER_SECONDS;
	uint32_t now;

	while (((now = qt_reg(qt, reg)) & mask) != val) {
		if (time(NULL) > end)
			fail_msg("register %#x stays %#x, wanted %#x under mask %#x", reg, now, val,
				 mask);
		usleep(1000);
	}
}

/* ---- firmware ---- */

void *qt_firmware(size_t *len)
{
	uint8_t *image = malloc(X1_FW_MAX_BYTES);
	char path[4096];
	FILE *file;

	assert_non_null(image);
	snprintf(path, sizeof(path), "%s/firmware/x1-fw.bin", build_dir());
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	*len = fread(image, 1, X1_FW_MAX_BYTES, file);
	fclose(file);
	assert_true(*len > sizeof(struct x1_fw_header));
	return image;
}

enum x1_fw_state qt_boot(struct qt *qt, const void *image, size_t len)
{
	const uint32_t off = 0x100000;
	time_t end = time(NULL) + ANSWER_SECONDS;
	uint32_t state;

	if (len)
		qt_mem_write(qt, QT_BAR2 + off, image, len);
	qt_set(qt, X1_REG_FW_ADDR_LO, off);
	qt_set(qt, X1_REG_FW_ADDR_HI, 0);
	qt_set(qt, X1_REG_FW_SIZE, (uint32_t)len);
	qt_set(qt, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	do {
		state = qt_reg(qt, X1_REG_FW_STATE);
		if (state == X1_FW_STATE_READY || state == X1_FW_STATE_REFUSED ||
		    state == X1_FW_STATE_CRASHED)
			break;
		usleep(1000);
	} while (time(NULL) < end);
	return (enum x1_fw_state)state;
}

void qt_mbox(struct qt *qt, struct x1_mbox_msg *msg)
{
	const uint32_t *words = (const uint32_t *)msg;
	uint32_t reply[X1_MBOX_WORDS];

	for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
		qt_set(qt, X1_REG_MBOX_REQ + 4 * i, words[i]);
	qt_set(qt, X1_REG_MBOX_SEND, 1);
	qt_wait_reg(qt, X1_REG_MBOX_STATUS, X1_MBOX_BUSY, 0);
	for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
		reply[i] = qt_reg(qt, X1_REG_MBOX_RSP + 4 * i);
	memcpy(msg, reply, sizeof(*msg));
}
