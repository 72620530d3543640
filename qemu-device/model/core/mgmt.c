// SPDX-License-Identifier: MIT
/*
 * The management core's thread: boot ROM, run loop, its devices.
 *
 * A boot or halt starts a new generation; what the firmware of an older one
 * still does in its last slice has no effect.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rv/x1_bootrom.h"
#include "rv/x1_rv.h"
#include "x1_int.h"

#define SLICE 50000 /* instructions between looks at halt and pause */

struct x1_mgmt {
	struct x1_core *core;
	struct x1_rv *rv;
	uint8_t *sram;
	pthread_t thread;
	pthread_cond_t cv;
	bool started;
	_Atomic int where;
	/* under the core's lock */
	bool boot, running;
	uint64_t gen;
	uint32_t irq;
	uint64_t mtimecmp;
	uint64_t boot_ns;
	/* the thread's own */
	uint64_t run_gen;
};

static uint64_t mtime(const struct x1_mgmt *m)
{
	return (x1_now_ns() - m->boot_ns) / X1_NS_PER_US;
}

/* Only from the management thread, between or inside instructions. */
static void update_irq(struct x1_mgmt *m)
{
	x1_rv_set_irq(m->rv, X1_RV_IRQ_EXT, m->irq);
	x1_rv_set_irq(m->rv, X1_RV_IRQ_TIMER, mtime(m) >= m->mtimecmp);
}

/* ---- devices ---- */

static uint32_t own_read(struct x1_mgmt *m, uint32_t addr)
{
	switch (addr) {
	case X1_MC_MTIME_LO: return (uint32_t)mtime(m);
	case X1_MC_MTIME_HI: return (uint32_t)(mtime(m) >> 32);
	case X1_MC_MTIMECMP_LO: return (uint32_t)m->mtimecmp;
	case X1_MC_MTIMECMP_HI: return (uint32_t)(m->mtimecmp >> 32);
	case X1_MC_IRQ_PENDING: return m->irq;
	default: return 0;
	}
}

static void own_write(struct x1_mgmt *m, uint32_t addr, uint32_t val)
{
	switch (addr) {
	case X1_MC_MTIMECMP_LO:
		m->mtimecmp = (m->mtimecmp & ~0xffffffffull) | val;
		break;
	case X1_MC_MTIMECMP_HI:
		m->mtimecmp = (m->mtimecmp & 0xffffffffull) | (uint64_t)val << 32;
		break;
	case X1_MC_IRQ_PENDING:
		m->irq &= ~val;
		break;
	case X1_MC_RAISE:
		x1_irq_raise(m->core, val);
		break;
	default:
		break;
	}
	update_irq(m);
}

static bool mmio_read(void *arg, uint32_t addr, unsigned int size, uint32_t *val)
{
	struct x1_mgmt *m = arg;
	bool ok = size == 4;

	x1_lock(m->core);
	if (!ok)
		*val = 0;
	else if (addr - X1_MC_REGS_BASE < X1_REGS_BYTES)
		*val = x1_reg_read(m->core, addr - X1_MC_REGS_BASE);
	else if (addr - X1_MC_BASE < X1_MC_BYTES)
		*val = own_read(m, addr);
	else
		ok = false;
	x1_unlock(m->core);
	return ok;
}

static bool mmio_write(void *arg, uint32_t addr, unsigned int size, uint32_t val)
{
	struct x1_mgmt *m = arg;
	bool regs = addr - X1_MC_REGS_BASE < X1_REGS_BYTES;

	if (size != 4 || (!regs && addr - X1_MC_BASE >= X1_MC_BYTES))
		return false;
	x1_lock(m->core);
	if (m->run_gen == m->gen) {
		if (regs)
			x1_reg_write(m->core, addr - X1_MC_REGS_BASE, val, true);
		else
			own_write(m, addr, val);
	}
	x1_unlock(m->core);
	return true;
}

static uint64_t rv_time(void *arg)
{
	return mtime(arg);
}

/* ---- boot ---- */

static void set_state(struct x1_core *core, uint32_t state, uint32_t error)
{
	core->fw_state = state;
	core->fw_error = error;
	x1_irq_raise(core, X1_IRQ_FW);
}

/* Lock held; dropped while the image is checked. */
static void do_boot(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	uint64_t addr = core->fw_addr, gen = m->gen;
	uint32_t size = core->fw_size, entry = 0;
	enum x1_fw_error err = X1_FW_ERR_RANGE;
	void *image;

	m->boot = false;
	core->fw_state = X1_FW_STATE_CHECKING;
	x1_unlock(core);
	if (addr % X1_PAGE_SIZE == 0 && addr < core->cfg.hbm_bytes &&
	    size <= core->cfg.hbm_bytes - addr) {
		err = X1_FW_ERR_LAYOUT;
		/* A payload larger than SRAM cannot fit; do not copy gigabytes. */
		if (size <= X1_FW_MAX_BYTES + sizeof(struct x1_fw_header)) {
			image = malloc(size ? size : 1);
			if (image) {
				memcpy(image, core->hbm + addr, size);
				err = x1_bootrom_load(image, size, m->sram, &entry);
			}
			free(image);
		}
	}
	x1_lock(core);
	if (gen != m->gen)
		return;
	if (err) {
		x1_log(core, X1_LOGL_GUEST_ERROR, "firmware refused: %s", x1_fw_error_name(err));
		set_state(core, X1_FW_STATE_REFUSED, err);
		return;
	}
	x1_rv_flush_decoded(m->rv);
	x1_rv_reset(m->rv, entry);
	m->run_gen = gen;
	m->mtimecmp = UINT64_MAX;
	m->boot_ns = x1_now_ns();
	m->running = true;
	set_state(core, X1_FW_STATE_STARTED, X1_FW_OK);
}

static void crashed(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	const struct x1_rv_state *s = x1_rv_state(m->rv);

	m->running = false;
	core->fw_crash_pc = s->mepc;
	core->fw_crash_cause = s->mcause;
	x1_log(core, X1_LOGL_WARN, "firmware crashed: pc 0x%x cause 0x%x", s->mepc, s->mcause);
	set_state(core, X1_FW_STATE_CRASHED, core->fw_error);
}

/* ---- thread ---- */

/* One slice; lock held, dropped meanwhile. */
static void run(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	enum x1_rv_stop stop;

	update_irq(m);
	x1_unlock(core);
	x1_rv_run(m->rv, SLICE, &stop);
	x1_lock(core);
	if (m->run_gen != m->gen || !m->running)
		return;
	if (stop == X1_RV_DEAD) {
		crashed(m);
	} else if (stop == X1_RV_WFI && !m->irq && mtime(m) < m->mtimecmp) {
		uint64_t us = m->mtimecmp, at = X1_NEVER;

		if (us < (UINT64_MAX - m->boot_ns) / X1_NS_PER_US)
			at = m->boot_ns + us * X1_NS_PER_US;
		atomic_store(&m->where, X1_WHERE_NOSPAN);
		pthread_cond_broadcast(&core->state_cv);
		x1_cv_wait(core, &m->cv, at);
	}
}

static void *mgmt_main(void *arg)
{
	struct x1_mgmt *m = arg;
	struct x1_core *core = m->core;

	if (core->ops.thread_enter)
		core->ops.thread_enter(core->host);
	x1_lock(core);
	while (!atomic_load(&core->quit)) {
		x1_unlock(core);
		x1_back(core, &m->where, X1_WHERE_NOSPAN);
		x1_lock(core);
		if (m->boot) {
			do_boot(m);
		} else if (m->running) {
			run(m);
		} else {
			atomic_store(&m->where, X1_WHERE_NOSPAN);
			pthread_cond_broadcast(&core->state_cv);
			if (!atomic_load(&core->quit))
				x1_cv_wait(core, &m->cv, X1_NEVER);
		}
	}
	atomic_store(&m->where, X1_WHERE_NOSPAN);
	x1_unlock(core);
	if (core->ops.thread_exit)
		core->ops.thread_exit(core->host);
	return NULL;
}

bool x1_mgmt_parked(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	return !m->started || atomic_load(&m->where) != X1_WHERE_RUNNING;
}

void x1_mgmt_irq(struct x1_core *core, uint32_t bits)
{
	struct x1_mgmt *m = core->mgmt;

	m->irq |= bits;
	if (m->started)
		pthread_cond_signal(&m->cv);
}

void x1_mgmt_halt(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	m->gen++;
	m->boot = m->running = false;
	m->irq = 0;
	core->fw_state = X1_FW_STATE_RESET;
	core->mbox_busy = 0;
}

void x1_mgmt_boot(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	x1_mgmt_halt(core);
	core->fw_error = X1_FW_OK;
	m->boot = true;
	if (!m->started) {
		atomic_store(&m->where, X1_WHERE_NOSPAN);
		if (pthread_create(&m->thread, NULL, mgmt_main, m)) {
			x1_log(core, X1_LOGL_WARN, "cannot start the management core's thread");
			set_state(core, X1_FW_STATE_CRASHED, X1_FW_OK);
			return;
		}
		m->started = true;
	}
	pthread_cond_signal(&m->cv);
}

int x1_mgmt_init(struct x1_core *core)
{
	struct x1_mgmt *m = calloc(1, sizeof(*m));
	struct x1_rv_cfg cfg = {
		.sram_base = X1_MC_SRAM_BASE,
		.sram_bytes = X1_MC_SRAM_BYTES,
		.read = mmio_read,
		.write = mmio_write,
		.time = rv_time,
		.arg = m,
	};

	if (!m)
		return -ENOMEM;
	m->core = core;
	m->boot_ns = x1_now_ns();
	m->mtimecmp = UINT64_MAX;
	x1_cv_init(&m->cv);
	core->mgmt = m;
	m->sram = calloc(1, X1_MC_SRAM_BYTES);
	cfg.sram = m->sram;
	m->rv = m->sram ? x1_rv_new(&cfg) : NULL;
	if (m->rv)
		return 0;
	x1_mgmt_fini(core);
	return -ENOMEM;
}

void x1_mgmt_fini(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	if (!m)
		return;
	x1_lock(core);
	pthread_cond_broadcast(&m->cv);
	x1_unlock(core);
	if (m->started)
		pthread_join(m->thread, NULL);
	x1_rv_free(m->rv);
	free(m->sram);
	pthread_cond_destroy(&m->cv);
	free(m);
	core->mgmt = NULL;
}
