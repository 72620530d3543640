// SPDX-License-Identifier: MIT
/* The in-process device: options, firmware boot, mailbox, interrupts. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define BOOT_TIMEOUT_NS 10000000000ll
#define MBOX_TIMEOUT_NS 10000000000ll

/* ---- registers and interrupts ---- */

uint32_t sim_read(struct sim *s, uint32_t off)
{
	return (uint32_t)x1_core_bar_read(s->core, off, 4);
}

void sim_write(struct sim *s, uint32_t off, uint32_t val)
{
	x1_core_bar_write(s->core, off, val, 4);
}

uint64_t sim_read64(struct sim *s, uint32_t off)
{
	return x1_core_bar_read(s->core, off, 8);
}

uint64_t sim_irqs(struct sim *s)
{
	return __atomic_load_n(&s->irqs, __ATOMIC_ACQUIRE);
}

int sim_irq_wait(struct sim *s, uint64_t seen, int64_t deadline)
{
	struct timespec ts = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
	int ret = 0;

	pthread_mutex_lock(&s->irq_lock);
	while (s->irqs == seen && !ret) {
		if (deadline < 0)
			pthread_cond_wait(&s->irq_cv, &s->irq_lock);
		else
			ret = pthread_cond_timedwait(&s->irq_cv, &s->irq_lock, &ts);
	}
	ret = s->irqs == seen ? -ETIME : 0;
	pthread_mutex_unlock(&s->irq_lock);
	return ret;
}

/* ---- mailbox ---- */

static int status_errno(uint32_t status)
{
	switch (status) {
	case X1_MBOX_OK:
		return 0;
	case X1_MBOX_ERR_ARG:
		return -EINVAL;
	case X1_MBOX_ERR_BUSY:
		return -ENOSPC;
	case X1_MBOX_ERR_NONE:
		return -ENOENT;
	default:
		return -EPROTO;
	}
}

int sim_mbox(struct sim *s, enum x1_mbox_op op, const uint32_t *args, uint32_t n,
	     struct x1_mbox_msg *reply)
{
	union {
		struct x1_mbox_msg msg;
		uint32_t word[X1_MBOX_WORDS];
	} m = {.msg = {.op = (uint16_t)op, .seq = ++s->mbox_seq}};
	int64_t deadline = sili_now_ns() + MBOX_TIMEOUT_NS;

	memcpy(m.msg.arg, args, n * sizeof(*args));
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		sim_write(s, X1_REG_MBOX_REQ + 4 * i, m.word[i]);
	sim_write(s, X1_REG_MBOX_SEND, 1);
	for (;;) {
		uint64_t seen = sim_irqs(s);

		if (!(sim_read(s, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY))
			break;
		if (sim_irq_wait(s, seen, deadline))
			return -ETIMEDOUT;
	}
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		m.word[i] = sim_read(s, X1_REG_MBOX_RSP + 4 * i);
	*reply = m.msg;
	if (m.msg.op != op || m.msg.seq != s->mbox_seq)
		return -EPROTO;
	return status_errno(m.msg.status);
}

/* ---- options ---- */

static bool number(const char *text, uint64_t *out)
{
	char *end;
	int shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30, end++;
	if (errno || *end || *out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

static int option(struct x1_core_config *cfg, const char *key, const char *val, char *err,
		  size_t err_len)
{
	const struct {
		const char *key;
		uint32_t *u32;
		uint64_t *u64;
	} keys[] = {
		{"mcus", &cfg->mcus, NULL},       {"hbm", NULL, &cfg->hbm_bytes},
		{"hbm_bw", &cfg->hbm_bw, NULL},   {"l2", &cfg->l2_bytes, NULL},
		{"threads", &cfg->threads, NULL}, {"clock", NULL, &cfg->clock_hz},
	};
	uint64_t n;

	if (!strcmp(key, "timing")) {
		if (strcmp(val, "on") && strcmp(val, "off"))
			return sili_fail(err, err_len, -EINVAL, "sim: timing=%s: on or off", val);
		cfg->timing = !strcmp(val, "on");
		return 0;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].key))
			continue;
		if (!number(val, &n) || (keys[i].u32 && n > UINT32_MAX))
			return sili_fail(err, err_len, -EINVAL, "sim: %s=%s: not a number in range",
					 key, val);
		if (keys[i].u32)
			*keys[i].u32 = (uint32_t)n;
		else
			*keys[i].u64 = n;
		return 0;
	}
	return sili_fail(err, err_len, -EINVAL,
			 "sim: unknown key '%s' (mcus, hbm, hbm_bw, l2, threads, timing, clock)",
			 key);
}

static int options(struct sim *s, const char *text, char *err, size_t err_len)
{
	char *copy = strdup(text ? text : ""), *save = NULL, *part;
	int ret = copy ? 0 : -ENOMEM;

	for (part = ret ? NULL : strtok_r(copy, ",", &save); part && !ret;
	     part = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(part, '=');

		if (eq)
			*eq = 0;
		ret = option(&s->cfg, part, eq ? eq + 1 : "", err, err_len);
	}
	free(copy);
	s->cfg.aperture_bytes = s->cfg.hbm_bytes;
	return ret ? ret : x1_core_config_check(&s->cfg, err, err_len);
}

/* ---- firmware ---- */

/* $SILI_FIRMWARE; beside a library that was not installed; where the kernel looks. */
static int open_image(char *path, size_t path_len)
{
	const char *env = getenv("SILI_FIRMWARE");
	Dl_info where;
	int fd;

	if (env) {
		snprintf(path, path_len, "%s", env);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	if (dladdr((void *)open_image, &where) && where.dli_fname &&
	    strrchr(where.dli_fname, '/')) {
		snprintf(path, path_len, "%.*s/../firmware/x1-fw.bin",
			 (int)(strrchr(where.dli_fname, '/') - where.dli_fname), where.dli_fname);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	snprintf(path, path_len, "/lib/firmware/%s", X1_FW_PATH);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Read the image into HBM at off; returns its size. */
static int64_t read_image(struct sim *s, uint64_t off, char *err, size_t err_len)
{
	char path[4096];
	struct stat st;
	int fd = open_image(path, sizeof(path));
	int64_t ret;

	if (fd < 0)
		return sili_fail(err, err_len, -ENOENT, "sim: firmware %s: %s", path,
				 strerror(errno));
	if (fstat(fd, &st) || st.st_size > (off_t)X1_FW_MAX_BYTES) {
		ret = sili_fail(err, err_len, -EPROTO, "sim: firmware %s: larger than %u bytes",
				path, X1_FW_MAX_BYTES);
	} else {
		ret = read(fd, s->hbm + off, X1_FW_MAX_BYTES);
		if (ret < 0)
			ret = sili_fail(err, err_len, -EIO, "sim: firmware %s: %s", path,
					strerror(errno));
	}
	close(fd);
	return ret;
}

static int boot(struct sim *s, char *err, size_t err_len)
{
	int64_t deadline = sili_now_ns() + BOOT_TIMEOUT_NS, size;
	uint64_t off = sim_hbm_take(s, X1_FW_MAX_BYTES, X1_PAGE_SIZE);
	uint32_t state;

	if (!off)
		return sili_fail(err, err_len, -ENOMEM, "sim: HBM too small for the firmware");
	size = read_image(s, off, err, err_len);
	if (size < 0)
		return (int)size;
	sim_write(s, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
	sim_write(s, X1_REG_FW_ADDR_LO, (uint32_t)off);
	sim_write(s, X1_REG_FW_ADDR_HI, (uint32_t)(off >> 32));
	sim_write(s, X1_REG_FW_SIZE, (uint32_t)size);
	sim_write(s, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	for (;;) {
		uint64_t seen = sim_irqs(s);

		state = sim_read(s, X1_REG_FW_STATE);
		if (state == X1_FW_STATE_READY)
			break;
		if (state == X1_FW_STATE_REFUSED)
			return sili_fail(err, err_len, -EPROTO, "sim: firmware refused: %s",
					 x1_fw_error_name(sim_read(s, X1_REG_FW_ERROR)));
		if (state == X1_FW_STATE_CRASHED)
			return sili_fail(err, err_len, -EPROTO,
					 "sim: firmware crashed at %#x, cause %u",
					 sim_read(s, X1_REG_FW_CRASH_PC),
					 sim_read(s, X1_REG_FW_CRASH_CAUSE));
		if (sim_irq_wait(s, seen, deadline) && sili_now_ns() >= deadline)
			return sili_fail(err, err_len, -EPROTO, "sim: firmware did not check in");
	}
	sili_ranges_give(&s->hbm_free, off, X1_FW_MAX_BYTES);
	if (sim_read(s, X1_REG_FW_ABI) != X1_FW_ABI)
		return sili_fail(err, err_len, -EPROTO, "sim: firmware ABI %u, expected %u",
				 sim_read(s, X1_REG_FW_ABI), X1_FW_ABI);
	return 0;
}

/* ---- open and close ---- */

static void fill_info(struct sim *s, struct sili_info *info)
{
	*info = (struct sili_info){
		.mcus = sim_read(s, X1_REG_NUM_MCUS),
		.mcus_healthy = sim_read(s, X1_REG_MCU_HEALTHY),
		.queues = sim_read(s, X1_REG_NUM_QUEUES),
		.formats = sim_read(s, X1_REG_FORMATS),
		.scales = sim_read(s, X1_REG_SCALES),
		.sparsities = sim_read(s, X1_REG_SPARSITIES),
		.spad_bytes = sim_read(s, X1_REG_SPAD_BYTES),
		.acc_bytes = sim_read(s, X1_REG_ACC_BYTES),
		.l2_bytes = sim_read(s, X1_REG_L2_BYTES),
		.hbm_bw = sim_read(s, X1_REG_HBM_BW),
		.l2_bw = sim_read(s, X1_REG_L2_BW),
		.pcie_bw = sim_read(s, X1_REG_PCIE_BW),
		.hbm_latency = sim_read(s, X1_REG_HBM_LATENCY),
		.l2_latency = sim_read(s, X1_REG_L2_LATENCY),
		.pcie_latency = sim_read(s, X1_REG_PCIE_LATENCY),
		.hbm_bytes = sim_read64(s, X1_REG_HBM_BYTES_LO),
		.clock_hz = sim_read64(s, X1_REG_CLOCK_HZ_LO),
		.serial = sim_read64(s, X1_REG_SERIAL_LO),
		.fw_version = sim_read(s, X1_REG_FW_VERSION),
		.timing = sim_read(s, X1_REG_FEATURES) & X1_FEATURE_TIMING,
	};
	snprintf(info->path, sizeof(info->path), "%s", s->options);
}

static void sim_close(struct sili_device *dev)
{
	struct sim *s = dev->priv;

	x1_core_free(s->core);
	if (s->hbm)
		munmap(s->hbm, s->cfg.hbm_bytes);
	sili_ranges_fini(&s->hbm_free);
	sili_ranges_fini(&s->bus_free);
	free(s->region);
	pthread_cond_destroy(&s->irq_cv);
	pthread_mutex_destroy(&s->irq_lock);
	pthread_rwlock_destroy(&s->bus_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void locks_init(struct sim *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_rwlock_init(&s->bus_lock, NULL);
	pthread_mutex_init(&s->irq_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->irq_cv, &attr);
	pthread_condattr_destroy(&attr);
}

static int start(struct sim *s, const char *arg, char *err, size_t err_len)
{
	void *hbm;
	int ret;

	x1_core_config_init(&s->cfg);
	ret = options(s, arg, err, err_len);
	if (ret)
		return ret;
	hbm = mmap(NULL, s->cfg.hbm_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hbm == MAP_FAILED)
		return sili_fail(err, err_len, -ENOMEM, "sim: no address space for HBM");
	s->hbm = hbm;
	madvise(hbm, s->cfg.hbm_bytes, MADV_HUGEPAGE);
	/* Offset 0 stays free: it means "none" to the allocator. */
	if (sili_ranges_init(&s->hbm_free, X1_PAGE_SIZE, s->cfg.hbm_bytes) ||
	    sili_ranges_init(&s->bus_free, SIM_BUS_START, SIM_BUS_END))
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	ret = x1_core_new(&s->core, &s->cfg, s->hbm, &sim_host_ops, s, err, err_len);
	if (ret)
		return ret;
	x1_core_set_bus_master(s->core, true);
	ret = boot(s, err, err_len);
	if (ret)
		return ret;
	ret = sim_vm_new(s, SIM_VM_KERNEL);
	if (!ret)
		ret = sim_vm_new(s, SIM_VM_USER);
	return ret ? sili_fail(err, err_len, ret, "sim: %s", strerror(-ret)) : 0;
}

static int sim_open(struct sili_device *dev, const char *arg, char *err, size_t err_len)
{
	struct sim *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	locks_init(s);
	snprintf(s->options, sizeof(s->options), "%s", arg ? arg : "");
	dev->priv = s;
	ret = start(s, arg, err, err_len);
	if (ret)
		sim_close(dev);
	else
		fill_info(s, &dev->info);
	return ret;
}

static int sim_clock(struct sili_device *dev, uint64_t *cycles)
{
	struct sim *s = dev->priv;

	pthread_mutex_lock(&s->lock);
	*cycles = sim_read64(s, X1_REG_CLOCK_LO);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int sim_status(struct sili_device *dev, struct sili_status *st)
{
	struct sim *s = dev->priv;

	pthread_mutex_lock(&s->lock);
	*st = (struct sili_status){
		.temp_mc = (int32_t)sim_read(s, X1_REG_TEMP_MC),
		.power_mw = sim_read(s, X1_REG_POWER_MW),
		.core_power_mw = sim_read(s, X1_REG_CORE_POWER_MW),
		.util_permille = sim_read(s, X1_REG_UTIL_PERMILLE),
		.mcus_healthy = sim_read(s, X1_REG_MCU_HEALTHY),
		.fw_state = sim_read(s, X1_REG_FW_STATE),
		.fw_heartbeat = sim_read(s, X1_REG_FW_HEARTBEAT),
		.energy_core_uj = sim_read64(s, X1_REG_ENERGY_CORE_LO),
		.energy_package_uj = sim_read64(s, X1_REG_ENERGY_PKG_LO),
		.hbm_bytes = s->cfg.hbm_bytes,
		.hbm_used = s->cfg.hbm_bytes - sili_ranges_free(&s->hbm_free),
		.system_used = SIM_BUS_END - SIM_BUS_START - sili_ranges_free(&s->bus_free),
	};
	pthread_mutex_unlock(&s->lock);
	return 0;
}

const struct sili_backend sili_backend_sim = {
	.name = "sim",
	.open = sim_open,
	.close = sim_close,
	.clock = sim_clock,
	.status = sim_status,
	.bo_new = sim_bo_new,
	.bo_free = sim_bo_free,
	.bo_map = sim_bo_map,
	.queue_new = sim_queue_new,
	.queue_free = sim_queue_free,
	.submit = sim_submit,
	.wait = sim_wait,
	.fence_fd = sim_fence_fd,
	.fault = sim_fault,
	.counters = sim_counters,
	.timeline_start = sim_timeline_start,
	.timeline_read = sim_timeline_read,
	.timeline_stop = sim_timeline_stop,
};
