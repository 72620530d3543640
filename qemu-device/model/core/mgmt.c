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
#include "x1_stream.h"

#define SLICE 50000 /* instructions between looks at halt and pause */

/* SRAM as an image fills it, and where it starts. */
struct image {
	uint8_t *sram;
	uint32_t entry;
};

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
	bool update;   /* wanted: at the next WFI */
	bool hung;     /* wanted: stop and dump */
	bool crash;    /* wanted, on purpose: stop and dump */
	bool frozen;   /* on purpose: it stands still */
	bool trial;    /* an update that has not checked in yet */
	bool fallback; /* it crashed */
	enum x1_boot_reason reason;
	struct x1_fw_dump dump;
	uint32_t bist; /* what the last test of an MCU said */
	/* the thread's own */
	uint64_t run_gen;
	struct image cur, good; /* what runs; the last one that checked in */
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
	case X1_MC_MTIME_LO:
		return (uint32_t)mtime(m);
	case X1_MC_MTIME_HI:
		return (uint32_t)(mtime(m) >> 32);
	case X1_MC_MTIMECMP_LO:
		return (uint32_t)m->mtimecmp;
	case X1_MC_MTIMECMP_HI:
		return (uint32_t)(m->mtimecmp >> 32);
	case X1_MC_IRQ_PENDING:
		return m->irq;
	case X1_MC_BIST:
		return m->bist;
	case X1_MC_BOOT_REASON:
		return m->reason;
	default:
		return 0;
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
	case X1_MC_BIST:
		m->bist = x1_bist_run(m->core, val);
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

static void image_drop(struct image *im)
{
	free(im->sram);
	im->sram = NULL;
}

/* Lock held; dropped while the image is checked. On success *im is new. */
static enum x1_fw_error load(struct x1_mgmt *m, struct image *im)
{
	struct x1_core *core = m->core;
	uint64_t addr = core->fw_addr;
	uint32_t size = core->fw_size;
	enum x1_fw_error err = X1_FW_ERR_RANGE;
	void *bytes;

	im->sram = NULL;
	x1_unlock(core);
	if (addr % X1_PAGE_SIZE == 0 && addr < core->cfg.hbm_bytes &&
	    size <= core->cfg.hbm_bytes - addr) {
		err = X1_FW_ERR_LAYOUT;
		/* A payload larger than SRAM cannot fit; do not copy gigabytes. */
		if (size <= X1_FW_MAX_BYTES + sizeof(struct x1_fw_header)) {
			bytes = malloc(size ? size : 1);
			im->sram = calloc(1, X1_MC_SRAM_BYTES);
			if (bytes && im->sram && x1_inject_hbm(core, addr, size)) {
				err = X1_FW_ERR_HASH;
			} else if (bytes && im->sram) {
				memcpy(bytes, core->hbm + addr, size);
				err = x1_bootrom_load(bytes, size, im->sram, &im->entry);
			}
			free(bytes);
		}
	}
	x1_lock(core);
	if (err)
		image_drop(im);
	return err;
}

/* Lock held: m->cur from its entry. */
static void start(struct x1_mgmt *m, enum x1_boot_reason reason, enum x1_fw_error error)
{
	memcpy(m->sram, m->cur.sram, X1_MC_SRAM_BYTES);
	x1_rv_reset(m->rv, m->cur.entry);
	m->run_gen = m->gen;
	m->mtimecmp = UINT64_MAX;
	m->boot_ns = x1_now_ns();
	m->running = true;
	m->reason = reason;
	m->trial = reason == X1_BOOT_UPDATE;
	m->fallback = false;
	/* What the one before has not seen, or not answered. */
	if (m->core->mbox_busy)
		m->irq |= X1_MC_IRQ_MBOX;
	set_state(m->core, X1_FW_STATE_STARTED, error);
}

static void refused(struct x1_mgmt *m, enum x1_fw_error err)
{
	x1_log(m->core, X1_LOGL_GUEST_ERROR, "firmware refused: %s", x1_fw_error_name(err));
}

/* Lock held, dropped meanwhile. */
static void do_boot(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	uint64_t gen = m->gen;
	struct image im;
	enum x1_fw_error err;

	m->boot = false;
	core->fw_state = X1_FW_STATE_CHECKING;
	err = load(m, &im);
	if (gen != m->gen) {
		image_drop(&im);
	} else if (err) {
		refused(m, err);
		set_state(core, X1_FW_STATE_REFUSED, err);
	} else {
		image_drop(&m->cur);
		m->cur = im;
		start(m, X1_BOOT_COLD, X1_FW_OK);
	}
}

/* The firmware waits for an interrupt, so nothing is half done. Lock held, dropped meanwhile. */
static void do_update(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	uint64_t gen = m->gen;
	struct image im;
	enum x1_fw_error err = load(m, &im);

	if (gen != m->gen) {
		image_drop(&im);
		return;
	}
	m->update = false;
	core->fw_error = err;
	if (err) {
		/* The old one goes on. */
		refused(m, err);
		x1_irq_raise(core, X1_IRQ_FW);
		return;
	}
	image_drop(&m->good);
	m->good = m->cur;
	m->cur = im;
	start(m, X1_BOOT_UPDATE, X1_FW_OK);
}

/* ---- crash ---- */

/* In the management thread, lock held. */
static void take_dump(struct x1_mgmt *m, uint32_t pc, uint32_t cause, const uint32_t x[32])
{
	struct x1_core *core = m->core;
	const struct x1_rv_state *s = x1_rv_state(m->rv);
	struct x1_fw_dump *d = &m->dump;
	uint32_t off;

	*d = (struct x1_fw_dump){
		.magic = X1_FW_DUMP_MAGIC,
		.fw_version = core->fw_version,
		.pc = pc,
		.cause = cause,
		.tval = cause == X1_FW_CAUSE_STOPPED ? 0 : s->mtval,
		.mstatus = s->mstatus,
		.uptime_ms = (uint32_t)(mtime(m) / 1000),
		.heartbeat = core->fw_heartbeat,
		.log_head = core->fw_log_head,
		.request = core->mbox_busy ? core->mbox_req[0] & 0xffff : 0,
		.stack_addr = x[2] & ~3u,
	};
	memcpy(d->x, x, sizeof(d->x));
	off = d->stack_addr - X1_MC_SRAM_BASE;
	if (off < X1_MC_SRAM_BYTES)
		d->stack_words = (uint32_t)x1_min64((X1_MC_SRAM_BYTES - off) / 4, X1_FW_DUMP_STACK);
	memcpy(d->stack, m->sram + (d->stack_words ? off : 0), d->stack_words * 4);
}

/* The core stands still from now on. Lock held. */
static void crashed(struct x1_mgmt *m, uint32_t pc, uint32_t cause)
{
	struct x1_core *core = m->core;

	m->running = false;
	core->fw_crash_pc = pc;
	core->fw_crash_cause = cause;
	x1_log(core, X1_LOGL_WARN, "firmware crashed: pc 0x%x cause 0x%x", pc, cause);
	set_state(core, X1_FW_STATE_CRASHED, core->fw_error);
}

uint32_t x1_mgmt_dump_word(struct x1_core *core, uint32_t index)
{
	const struct x1_fw_dump *d = &core->mgmt->dump;

	return index < sizeof(*d) / 4 ? ((const uint32_t *)d)[index] : 0;
}

/* From the firmware itself: in the management thread, lock held. */
void x1_mgmt_state(struct x1_core *core, uint32_t state)
{
	struct x1_mgmt *m = core->mgmt;
	const struct x1_rv_state *s = x1_rv_state(m->rv);

	core->fw_state = state;
	if (state == X1_FW_STATE_READY) {
		m->trial = false;
		image_drop(&m->good);
	} else if (state == X1_FW_STATE_CRASHED) {
		take_dump(m, s->mepc, s->mcause, s->trap_x);
		m->fallback = m->trial;
	}
	x1_irq_raise(core, X1_IRQ_FW);
}

/* An update that is no good: the image before it again. Lock held. */
static bool fall_back(struct x1_mgmt *m)
{
	if (!m->trial || !m->good.sram)
		return false;
	x1_log(m->core, X1_LOGL_WARN, "firmware update did not check in");
	image_drop(&m->cur);
	m->cur = m->good;
	m->good.sram = NULL;
	start(m, X1_BOOT_FALLBACK, X1_FW_ERR_START);
	return true;
}

/* ---- thread ---- */

/* The firmware has nothing to do until `at`. Lock held, dropped meanwhile. */
static void sleep_until(struct x1_mgmt *m, uint64_t us)
{
	struct x1_core *core = m->core;
	uint64_t at = X1_NEVER;

	if (us < (UINT64_MAX - m->boot_ns) / X1_NS_PER_US)
		at = m->boot_ns + us * X1_NS_PER_US;
	if (m->trial)
		at = x1_min64(at, m->boot_ns + X1_FW_CHECKIN_MS * X1_NS_PER_MS);
	atomic_store(&m->where, X1_WHERE_NOSPAN);
	pthread_cond_broadcast(&core->state_cv);
	x1_cv_wait(core, &m->cv, at);
}

/* One slice; lock held, dropped meanwhile. */
static void run(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;
	const struct x1_rv_state *s = x1_rv_state(m->rv);
	enum x1_rv_stop stop;

	if (m->frozen && !m->hung) {
		atomic_store(&m->where, X1_WHERE_NOSPAN);
		pthread_cond_broadcast(&core->state_cv);
		x1_cv_wait(core, &m->cv, X1_NEVER);
		return;
	}
	update_irq(m);
	x1_unlock(core);
	x1_rv_run(m->rv, m->frozen || m->crash ? 0 : SLICE, &stop);
	x1_lock(core);
	if (m->run_gen != m->gen || !m->running)
		return;
	if (m->trial &&
	    (stop == X1_RV_DEAD || m->fallback ||
	     x1_now_ns() - m->boot_ns > X1_FW_CHECKIN_MS * X1_NS_PER_MS) &&
	    fall_back(m))
		return;
	if (m->crash) {
		m->crash = false;
		take_dump(m, s->pc, X1_FW_CAUSE_INJECTED, s->x);
		crashed(m, s->pc, X1_FW_CAUSE_INJECTED);
	} else if (m->hung) {
		m->hung = false;
		take_dump(m, s->pc, X1_FW_CAUSE_STOPPED, s->x);
		crashed(m, s->pc, X1_FW_CAUSE_STOPPED);
	} else if (stop == X1_RV_DEAD) {
		take_dump(m, s->mepc, s->mcause, s->trap_x);
		crashed(m, s->mepc, s->mcause);
	} else if (stop == X1_RV_WFI && !m->irq) {
		if (m->update)
			do_update(m);
		else if (mtime(m) < m->mtimecmp)
			sleep_until(m, m->mtimecmp);
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
		x1_rest(core, &m->where);
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
	m->boot = m->running = m->update = m->hung = m->trial = false;
	m->crash = m->frozen = false;
	m->irq = 0;
	m->dump.magic = 0;
	core->fw_state = X1_FW_STATE_RESET;
	core->mbox_busy = 0;
}

void x1_mgmt_break(struct x1_core *core, bool crash)
{
	struct x1_mgmt *m = core->mgmt;

	if (!m->running)
		return;
	m->crash |= crash;
	m->frozen |= !crash;
	pthread_cond_signal(&m->cv);
}

void x1_mgmt_hung(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	if (!m->running)
		return;
	m->hung = true;
	pthread_cond_signal(&m->cv);
}

void x1_mgmt_update(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	if (core->fw_state != X1_FW_STATE_READY || !m->running)
		return;
	m->update = true;
	pthread_cond_signal(&m->cv);
}

bool x1_mgmt_updating(struct x1_core *core)
{
	return core->mgmt->update || core->mgmt->trial;
}

static void start_thread(struct x1_mgmt *m)
{
	struct x1_core *core = m->core;

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

void x1_mgmt_boot(struct x1_core *core)
{
	struct x1_mgmt *m = core->mgmt;

	x1_mgmt_halt(core);
	core->fw_error = X1_FW_OK;
	m->boot = true;
	start_thread(m);
}

void x1_mgmt_start(struct x1_core *core)
{
	if (core->mgmt->boot || core->mgmt->running)
		start_thread(core->mgmt);
}

/* ---- saved state ---- */

static void image_save(const struct image *im, struct x1_out *o)
{
	x1_put_u32(o, im->sram != NULL);
	if (!im->sram)
		return;
	x1_put_u32(o, im->entry);
	x1_put_sparse(o, im->sram, X1_MC_SRAM_BYTES);
}

static void image_load(struct image *im, struct x1_in *in)
{
	image_drop(im);
	if (!x1_get_bool(in))
		return;
	im->entry = x1_get_u32(in);
	im->sram = calloc(1, X1_MC_SRAM_BYTES);
	if (im->sram)
		x1_get_sparse(in, im->sram, X1_MC_SRAM_BYTES);
	else
		x1_in_bad(in, "out of memory");
}

void x1_mgmt_save(struct x1_core *core, struct x1_out *o)
{
	struct x1_mgmt *m = core->mgmt;
	const bool flags[] = {m->boot,  m->running,  m->update, m->hung,
			      m->trial, m->fallback, m->crash,  m->frozen};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		x1_put_u32(o, flags[i]);
	x1_put_u32(o, m->irq);
	x1_put_u32(o, m->reason);
	x1_put_u32(o, m->bist);
	x1_put_u64(o, m->mtimecmp);
	x1_put_u64(o, mtime(m));
	x1_put(o, &m->dump, sizeof(m->dump));
	if (!m->running)
		return;
	x1_put(o, x1_rv_state(m->rv), sizeof(struct x1_rv_state));
	x1_put_sparse(o, m->sram, X1_MC_SRAM_BYTES);
	image_save(&m->cur, o);
	image_save(&m->good, o);
}

void x1_mgmt_load(struct x1_core *core, struct x1_in *in)
{
	struct x1_mgmt *m = core->mgmt;
	bool *const flags[] = {&m->boot,  &m->running,  &m->update, &m->hung,
			       &m->trial, &m->fallback, &m->crash,  &m->frozen};
	uint64_t time;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		*flags[i] = x1_get_bool(in);
	m->irq = x1_get_u32(in);
	m->reason = x1_get_max(in, X1_BOOT_FALLBACK, "reason of the boot");
	m->bist = x1_get_u32(in);
	m->mtimecmp = x1_get_u64(in);
	time = x1_get_u64(in);
	x1_get(in, &m->dump, sizeof(m->dump));
	/* The boot was before the host's clock began, if it must. */
	m->boot_ns = x1_now_ns() - time * X1_NS_PER_US;
	if (!m->running)
		return;
	x1_get(in, x1_rv_state(m->rv), sizeof(struct x1_rv_state));
	x1_rv_state(m->rv)->x[0] = 0;
	memset(m->sram, 0, X1_MC_SRAM_BYTES);
	x1_get_sparse(in, m->sram, X1_MC_SRAM_BYTES);
	image_load(&m->cur, in);
	image_load(&m->good, in);
	if (!m->cur.sram)
		x1_in_bad(in, "firmware");
	x1_rv_flush_decoded(m->rv);
	m->run_gen = m->gen;
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
	image_drop(&m->cur);
	image_drop(&m->good);
	pthread_cond_destroy(&m->cv);
	free(m);
	core->mgmt = NULL;
}
