// SPDX-License-Identifier: MIT
/* Life cycle of the core: configuration, creation, reset, pause, locking. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* adaptive mutexes */
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "x1_int.h"

#define MIN_HBM    X1_HUGE_SIZE
#define MAX_HBM    (1ull << 40)
#define AMBIENT_MC 35000.0

uint64_t x1_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void x1_lock(struct x1_core *core)
{
	pthread_mutex_lock(&core->lock);
}

void x1_unlock(struct x1_core *core)
{
	struct x1_sysmap_entry *reap = core->reap;
	uint64_t raise = core->raise_mask;

	core->reap = NULL;
	core->raise_mask = 0;
	pthread_mutex_unlock(&core->lock);
	if (reap)
		x1_sysmap_unmap_list(core, reap);
	if (!raise || !atomic_load(&core->bus_master))
		return;
	for (; raise; raise &= raise - 1)
		if (!x1_inject_take(&core->inject.irq))
			core->ops.raise(core->host, (unsigned int)__builtin_ctzll(raise));
}

void x1_log(struct x1_core *core, int level, const char *fmt, ...)
{
	char msg[192];
	va_list ap;

	if (!core->ops.log)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	core->ops.log(core->host, level, msg);
}

/* Held for less than a switch of threads takes: spin before sleeping, where there is such a kind.
 */
static void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

void x1_cv_init(pthread_cond_t *cv)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cv, &attr);
	pthread_condattr_destroy(&attr);
}

void x1_cv_wait(struct x1_core *core, pthread_cond_t *cv, uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / 1000000000ull),
		.tv_nsec = (long)(deadline % 1000000000ull),
	};

	if (core->raise_mask || core->reap) {
		/* The wait would keep them: deliver first, the caller looks again. */
		x1_unlock(core);
		x1_lock(core);
		return;
	}
	if (deadline == X1_NEVER)
		pthread_cond_wait(cv, &core->lock);
	else
		pthread_cond_timedwait(cv, &core->lock, &ts);
}

void x1_attention(struct x1_core *core)
{
	atomic_fetch_add(&core->attn, 1);
}

void x1_away(struct x1_core *core, _Atomic int *where, int state)
{
	atomic_store(where, state);
	if (state == X1_WHERE_NOSPAN || atomic_load(&core->pause)) {
		x1_lock(core);
		x1_inval_check(core);
		pthread_cond_broadcast(&core->state_cv);
		x1_unlock(core);
	}
}

static void come_back(struct x1_core *core, _Atomic int *where, int state, bool busy)
{
	for (;;) {
		/*
		 * A pauser sets `pause` and then reads `where`: either it sees
		 * us running and waits, or we see the pause.
		 */
		atomic_store(where, X1_WHERE_RUNNING);
		if (!atomic_load(&core->pause) || atomic_load(&core->quit))
			return;
		if (busy && atomic_load(&core->rest))
			return; /* on the way to x1_rest() */
		atomic_store(where, state);
		x1_lock(core);
		pthread_cond_broadcast(&core->state_cv);
		while (atomic_load(&core->pause) && !atomic_load(&core->quit) &&
		       !(busy && atomic_load(&core->rest)))
			x1_cv_wait(core, &core->park_cv, X1_NEVER);
		x1_unlock(core);
	}
}

void x1_back(struct x1_core *core, _Atomic int *where, int state)
{
	come_back(core, where, state, true);
}

void x1_rest(struct x1_core *core, _Atomic int *where)
{
	come_back(core, where, X1_WHERE_NOSPAN, false);
}

/* ---- configuration ---- */

void x1_core_config_init(struct x1_core_config *cfg)
{
	*cfg = (struct x1_core_config){
		.mcus = X1_DEF_MCUS,
		.clock_hz = X1_DEF_CLOCK_HZ,
		.hbm_bytes = X1_DEF_HBM_BYTES,
		.aperture_bytes = X1_DEF_HBM_BYTES,
		.l2_bytes = X1_DEF_L2_BYTES,
		.hbm_bw = X1_DEF_HBM_BW,
		.l2_bw = X1_DEF_L2_BW,
		.pcie_bw = X1_DEF_PCIE_BW,
		.hbm_latency = X1_DEF_HBM_LATENCY,
		.l2_latency = X1_DEF_L2_LATENCY,
		.pcie_latency = X1_DEF_PCIE_LATENCY,
		.serial = 1,
		.timing = true,
	};
}

struct limit {
	const char *name;
	uint64_t value, min, max, multiple;
};

int x1_core_config_check(const struct x1_core_config *cfg, char *err, size_t err_len)
{
	const struct limit limits[] = {
		{"mcus", cfg->mcus, 1, X1_MAX_MCUS, 1},
		{"clock", cfg->clock_hz, 1000000, 100000000000ull, 1},
		{"hbm-size", cfg->hbm_bytes, MIN_HBM, MAX_HBM, X1_HUGE_SIZE},
		{"aperture-size", cfg->aperture_bytes, X1_PAGE_SIZE, cfg->hbm_bytes, X1_PAGE_SIZE},
		{"l2-size", cfg->l2_bytes, 1u << 20, 1u << 31, 1u << 16},
		{"hbm-bandwidth", cfg->hbm_bw, 1, 1u << 20, 1},
		{"l2-bandwidth", cfg->l2_bw, 1, 1u << 24, 1},
		{"pcie-bandwidth", cfg->pcie_bw, 1, 1u << 20, 1},
		{"hbm-latency", cfg->hbm_latency, 0, 1u << 20, 1},
		{"l2-latency", cfg->l2_latency, 0, 1u << 20, 1},
		{"pcie-latency", cfg->pcie_latency, 0, 1u << 20, 1},
		{"threads", cfg->threads, 0, 256, 1},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct limit *l = &limits[i];

		if (l->value >= l->min && l->value <= l->max && l->value % l->multiple == 0)
			continue;
		if (l->multiple > 1)
			snprintf(err, err_len,
				 "%s=%" PRIu64 ": must be %" PRIu64 "..%" PRIu64
				 " and a multiple of %" PRIu64,
				 l->name, l->value, l->min, l->max, l->multiple);
		else
			snprintf(err, err_len, "%s=%" PRIu64 ": must be %" PRIu64 "..%" PRIu64,
				 l->name, l->value, l->min, l->max);
		return -EINVAL;
	}
	return 0;
}

/* ---- creation ---- */

static void device_reset(struct x1_core *core)
{
	core->irq_pending = core->irq_enable = core->coalesce = 0;
	core->qfence = core->qevent = core->gate = 0;
	core->raise_mask = 0;
	core->fw_addr = 0;
	core->fw_size = 0;
	core->fw_error = X1_FW_OK;
	core->fw_state = X1_FW_STATE_RESET;
	core->fw_version = core->fw_abi = core->fw_heartbeat = core->fw_log_head = 0;
	core->fw_crash_pc = core->fw_crash_cause = core->fw_dump_index = 0;
	memset(core->mbox_req, 0, sizeof(core->mbox_req));
	memset(core->mbox_rsp, 0, sizeof(core->mbox_rsp));
	core->mbox_busy = 0;
	core->inv_vm = core->inv_done = core->inv_count = core->inv_head = 0;
	core->inv_addr = core->inv_len = 0;
	core->vm_index = core->vm_ctrl = core->mcu_index = core->mcu_perf_index = 0;
	core->vm_root_reg = 0;
	core->latch_clock_hi = core->latch_time_hi = 0;
	x1_set_throttle(core, 0);
	for (uint32_t i = 0; i < X1_NUM_VMS; i++)
		atomic_store(&core->vm_root[i], 0);
	memset(core->vm_users, 0, sizeof(core->vm_users));
	memset(core->healthy, 0, sizeof(core->healthy));
	for (uint32_t m = 0; m < core->cfg.mcus; m++)
		core->healthy[m / 64] |= 1ull << m % 64;
	core->num_healthy = core->coop_free = core->cfg.mcus;
	core->energy_core_pj = core->energy_pkg_pj = 0;
	core->timeline = (struct x1_timeline){0};
	core->active = 0;
	core->vm_gen++;
	core->fence_next = 0;
	memset(core->fence_log, 0, sizeof(core->fence_log));
}

static void core_destroy(struct x1_core *core)
{
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		x1_queue_fini(&core->queue[q]);
	x1_units_free(core);
	while (core->launch_pool) {
		struct x1_launch *l = core->launch_pool;

		core->launch_pool = l->free_next;
		free(l);
	}
	for (size_t i = 0; i < core->tm_len; i++)
		if (core->tm_ops[i].kind == X1_TM_SUBMIT)
			x1_tcmd_put(core, core->tm_ops[i].tc);
	if (core->time) {
		for (uint32_t q = 0; q < X1_NUM_QUEUES; q++) {
			struct x1_time_cmd *c = x1_time_drop_queue(core->time, q);

			while (c) {
				struct x1_time_cmd *next = c->next;

				x1_tcmd_put(core, (struct x1_tcmd *)c);
				c = next;
			}
		}
		x1_time_free(core->time);
	}
	while (core->tcmd_pool) {
		struct x1_tcmd *tc = core->tcmd_pool;

		core->tcmd_pool = tc->next;
		x1_trace_free(&tc->one);
		free(tc);
	}
	x1_bist_free(core->bist);
	free(core->tm_ops);
	if (core->maps)
		x1_sysmap_fini(core);
	free(core->workers);
	pthread_mutex_destroy(&core->lock);
	pthread_mutex_destroy(&core->map_lock);
	pthread_cond_destroy(&core->work_cv);
	pthread_cond_destroy(&core->park_cv);
	pthread_cond_destroy(&core->state_cv);
	pthread_cond_destroy(&core->timer_cv);
	free(core);
}

int x1_core_new(struct x1_core **out, const struct x1_core_config *cfg, void *hbm,
		const struct x1_host_ops *ops, void *host, char *err, size_t err_len)
{
	struct x1_core *core;
	int ret = x1_core_config_check(cfg, err, err_len);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (ret)
		return ret;
	core = calloc(1, sizeof(*core));
	if (!core) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	core->cfg = *cfg;
	core->ops = *ops;
	core->host = host;
	core->hbm = hbm;
	core->want_workers = cfg->threads ? cfg->threads : cpus > 0 ? (unsigned int)cpus : 1;
	lock_init(&core->lock);
	pthread_mutex_init(&core->map_lock, NULL);
	x1_cv_init(&core->work_cv);
	x1_cv_init(&core->park_cv);
	x1_cv_init(&core->state_cv);
	x1_cv_init(&core->timer_cv);
	atomic_store(&core->bus_master, true);
	core->boot_epoch = core->hbm_epoch = 1;
	core->epoch = 1;
	core->temp_mc = AMBIENT_MC;
	core->temp_stamp = x1_now_ns();
	x1_inject_clear(core);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		x1_queue_init(core, q);
	core->workers = calloc(core->want_workers, sizeof(*core->workers));
	ret = core->workers ? x1_sysmap_init(core) : -ENOMEM;
	if (!ret) {
		const struct x1_time_params p = {
			.mcus = cfg->mcus,
			.clock_hz = cfg->clock_hz,
			.l2_bytes = cfg->l2_bytes,
			.hbm_bw = cfg->hbm_bw,
			.l2_bw = cfg->l2_bw,
			.pcie_bw = cfg->pcie_bw,
			.hbm_latency = cfg->hbm_latency,
			.l2_latency = cfg->l2_latency,
			.pcie_latency = cfg->pcie_latency,
		};

		core->time = x1_time_new(&p);
		if (core->time) {
			x1_time_tracer(core->time)->flush = x1_timeline_flush;
			x1_time_tracer(core->time)->arg = core;
			x1_time_power(core->time, &core->power);
			x1_time_interrupt(core->time, &core->rest);
		} else {
			ret = -ENOMEM;
		}
		core->idle_mw = core->power.package_mw;
	}
	if (!ret)
		ret = x1_mgmt_init(core);
	if (ret) {
		snprintf(err, err_len, "out of memory");
		core_destroy(core);
		return ret;
	}
	device_reset(core);
	*out = core;
	return 0;
}

void x1_core_free(struct x1_core *core)
{
	if (!core)
		return;
	x1_core_reset(core, X1_RESET_FLR);
	x1_workers_stop(core);
	x1_mgmt_fini(core);
	core_destroy(core);
}

/* ---- pause and reset ---- */

static bool all_parked(struct x1_core *core)
{
	for (unsigned int i = 0; i < core->num_workers; i++)
		if (atomic_load(&core->workers[i]->where) == X1_WHERE_RUNNING)
			return false;
	return x1_mgmt_parked(core);
}

static void pause_locked(struct x1_core *core)
{
	atomic_fetch_add(&core->pause, 1);
	x1_attention(core);
	while (!all_parked(core))
		/* Threads signal; the timeout covers those that only set their state. */
		x1_cv_wait(core, &core->state_cv, x1_now_ns() + X1_NS_PER_MS / 2);
}

static void resume_locked(struct x1_core *core)
{
	if (atomic_fetch_sub(&core->pause, 1) == 1)
		pthread_cond_broadcast(&core->park_cv);
}

/* The host may look at system memory now: mappings count as dirty when they go. */
static void unmap_all(struct x1_core *core)
{
	x1_sysmap_drop(core, 0, UINT64_MAX, x1_inval_bump(core));
	x1_inval_check(core);
}

void x1_core_pause(struct x1_core *core)
{
	x1_lock(core);
	pause_locked(core);
	unmap_all(core);
	x1_unlock(core);
}

static bool all_rest(const struct x1_core *core)
{
	for (unsigned int i = 0; i < core->num_workers; i++)
		if (core->workers[i]->busy)
			return false;
	return true;
}

void x1_core_park(struct x1_core *core)
{
	x1_lock(core);
	atomic_fetch_add(&core->rest, 1);
	/* Those that were parked in the midst of something have to move as well. */
	pthread_cond_broadcast(&core->park_cv);
	pause_locked(core);
	while (!all_rest(core)) {
		if (core->ops.serve) {
			x1_unlock(core);
			core->ops.serve(core->host);
			x1_lock(core);
		}
		if (!all_rest(core))
			x1_cv_wait(core, &core->state_cv, x1_now_ns() + X1_NS_PER_MS / 2);
	}
	unmap_all(core);
	x1_unlock(core);
}

void x1_core_unpark(struct x1_core *core)
{
	x1_lock(core);
	if (atomic_load(&core->rest)) {
		atomic_fetch_sub(&core->rest, 1);
		resume_locked(core);
	}
	x1_unlock(core);
}

void x1_core_resume(struct x1_core *core)
{
	x1_lock(core);
	if (atomic_load(&core->pause))
		resume_locked(core);
	x1_unlock(core);
}

static void zero_page(uint8_t *page)
{
	const uint64_t *w = (const uint64_t *)page;

	for (unsigned int i = 0; i < X1_PAGE_SIZE / sizeof(*w); i++) {
		if (w[i]) {
			memset(page, 0, X1_PAGE_SIZE);
			return;
		}
	}
}

/*
 * Zero HBM without touching what was never touched: pages of private memory
 * that are neither present nor swapped out read as zero already.
 */
static void zero_hbm(struct x1_core *core)
{
	const uint64_t present = 1ull << 63, swapped = 1ull << 62, shared = 1ull << 61;
	uint64_t pages = core->cfg.hbm_bytes / X1_PAGE_SIZE, map[512];
	int fd = sysconf(_SC_PAGESIZE) == X1_PAGE_SIZE
			 ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
			 : -1;
	bool scan = fd < 0;

	for (uint64_t p = 0; p < pages; p += 512) {
		uint64_t n = x1_min64(512, pages - p);
		off_t at = (off_t)(((uintptr_t)core->hbm / X1_PAGE_SIZE + p) * sizeof(map[0]));

		if (!scan &&
		    pread(fd, map, n * sizeof(map[0]), at) != (ssize_t)(n * sizeof(map[0])))
			scan = true;
		for (uint64_t i = 0; i < n; i++) {
			if (!scan && map[i] & present && map[i] & shared) {
				/* Shared memory may have data that this table does not show. */
				scan = true;
				p = 0;
				n = x1_min64(512, pages);
				i = 0;
			}
			if (scan || map[i] & (present | swapped))
				zero_page(core->hbm + (p + i) * X1_PAGE_SIZE);
		}
	}
	if (fd >= 0)
		close(fd);
	if (core->ops.hbm_dirty)
		core->ops.hbm_dirty(core->host, 0, core->cfg.hbm_bytes);
}

void x1_reset_logic(struct x1_core *core)
{
	/* Threads that are still in a callback find the new epoch when they return. */
	core->epoch++;
	core->boot_epoch++;
	x1_mgmt_halt(core);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		x1_queue_hard_reset(&core->queue[q]);
	device_reset(core);
	core->tm_reset = core->tm_needed = true;
	unmap_all(core);
}

void x1_core_reset(struct x1_core *core, enum x1_reset_kind kind)
{
	x1_lock(core);
	pause_locked(core);
	x1_reset_logic(core);
	if (kind == X1_RESET_COLD) {
		core->hbm_epoch++;
		x1_inject_clear(core);
		zero_hbm(core);
	}
	resume_locked(core);
	x1_unlock(core);
}

void x1_core_set_bus_master(struct x1_core *core, bool on)
{
	x1_lock(core);
	if (atomic_exchange(&core->bus_master, on) && !on) {
		x1_sysmap_drop(core, 0, UINT64_MAX, x1_inval_bump(core));
		x1_inval_check(core);
	}
	x1_unlock(core);
}

void x1_core_sys_unmap(struct x1_core *core, uint64_t addr, uint64_t len)
{
	uint64_t gen;
	bool busy = true;

	if (!len)
		return;
	x1_lock(core);
	gen = x1_inval_bump(core);
	x1_sysmap_drop(core, addr, len, gen);
	while (busy) {
		x1_inval_check(core);
		busy = false;
		for (unsigned int i = 0; i < core->num_workers; i++) {
			struct x1_worker *w = core->workers[i];

			/* In a callback it waits for the host, perhaps for this call. */
			if (atomic_load(&w->where) == X1_WHERE_RUNNING &&
			    atomic_load(&w->seen) < gen)
				busy = true;
		}
		if (busy)
			x1_cv_wait(core, &core->state_cv, x1_now_ns() + X1_NS_PER_MS / 2);
	}
	x1_unlock(core);
}
