// SPDX-License-Identifier: MIT
/*
 * Saved state of the core (manual: Migration). Saved while all threads rest:
 * nothing is on any thread's stack, work-groups lie in the lists of their
 * launches, commands in the queues or in the event model.
 *
 * Loading starts from a reset device and trusts nothing. Where the stream is
 * bad the device is reset again and nothing of it is left.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x1_int.h"
#include "x1_stream.h"

#define MAGIC      X1_TAG('X', '1', 'S', 'V')
#define VERSION    3u
#define TAG_REGS   X1_TAG('R', 'E', 'G', 'S')
#define TAG_QUEUE  X1_TAG('Q', 'U', 'E', 'U')
#define TAG_LAUNCH X1_TAG('L', 'A', 'U', 'N')
#define TAG_CMD    X1_TAG('C', 'M', 'D', ' ')
#define TAG_END    X1_TAG('E', 'N', 'D', '.')
#define MAX_UNITS  (X1_MAX_MCUS + 512u) /* work-groups of a launch that have begun */
#define EXTENT_MAX (1ull << 30)

/* ---- configuration: both sides must be the same machine ---- */

static void config_words(const struct x1_core_config *c, uint64_t w[12])
{
	const uint64_t v[12] = {c->mcus,        c->clock_hz,   c->hbm_bytes,    c->aperture_bytes,
				c->l2_bytes,    c->hbm_bw,     c->l2_bw,        c->pcie_bw,
				c->hbm_latency, c->l2_latency, c->pcie_latency, c->timing};

	memcpy(w, v, sizeof(v));
}

static void config_save(const struct x1_core *core, struct x1_out *o)
{
	uint64_t w[12];

	config_words(&core->cfg, w);
	x1_put_u32(o, MAGIC);
	x1_put_u32(o, VERSION);
	x1_put(o, w, sizeof(w));
}

static bool config_load(struct x1_core *core, struct x1_in *in)
{
	static const char *const names[12] = {
		"mcus differs",          "clock differs",          "hbm-size differs",
		"aperture-size differs", "l2-size differs",        "hbm-bandwidth differs",
		"l2-bandwidth differs",  "pcie-bandwidth differs", "hbm-latency differs",
		"l2-latency differs",    "pcie-latency differs",   "timing differs",
	};
	uint64_t mine[12], theirs[12];

	x1_get_tag(in, MAGIC, "not a state of an X1, or of another byte order");
	x1_get_tag(in, VERSION, "version");
	x1_get(in, theirs, sizeof(theirs));
	config_words(&core->cfg, mine);
	for (unsigned int i = 0; i < 12 && !in->bad; i++)
		if (mine[i] != theirs[i])
			x1_in_bad(in, names[i]);
	return !in->bad;
}

/* ---- registers and what stands behind them ---- */

/* Plain words that any value may have. */
static void words(struct x1_core *core, struct x1_out *o, struct x1_in *in)
{
	uint32_t *const w32[] = {
		&core->boot_epoch,    &core->hbm_epoch,       &core->latch_clock_hi,
		&core->irq_pending,   &core->irq_enable,      &core->coalesce,
		&core->fw_size,       &core->fw_state,        &core->fw_error,
		&core->fw_version,    &core->fw_abi,          &core->fw_heartbeat,
		&core->fw_log_head,   &core->fw_crash_pc,     &core->fw_crash_cause,
		&core->mbox_busy,     &core->inv_vm,          &core->inv_done,
		&core->vm_index,      &core->vm_ctrl,         &core->mcu_index,
		&core->ecc_corrected, &core->ecc_uncorrected, &core->latch_time_hi,
		&core->fw_dump_index, &core->mcu_perf_index,
	};
	uint64_t *const w64[] = {
		&core->qfence,        &core->qevent,   &core->gate,         &core->fw_addr,
		&core->inv_addr,      &core->inv_len,  &core->vm_root_reg,  &core->energy_core_pj,
		&core->energy_pkg_pj, &core->ecc_addr, &core->time_base_ns, &core->time_base_cycles,
	};

	for (size_t i = 0; i < sizeof(w32) / sizeof(w32[0]); i++)
		if (o)
			x1_put_u32(o, *w32[i]);
		else
			*w32[i] = x1_get_u32(in);
	for (size_t i = 0; i < sizeof(w64) / sizeof(w64[0]); i++)
		if (o)
			x1_put_u64(o, *w64[i]);
		else
			*w64[i] = x1_get_u64(in);
	if (o) {
		x1_put(o, core->mbox_req, sizeof(core->mbox_req));
		x1_put(o, core->mbox_rsp, sizeof(core->mbox_rsp));
		x1_put(o, &core->power, sizeof(core->power));
		x1_put(o, core->fence_log, sizeof(core->fence_log));
		x1_put_u32(o, core->fence_next);
		x1_put_u64(o, (uint64_t)core->temp_mc);
		x1_put_u32(o, core->throttle);
		x1_put(o, &core->timeline, sizeof(core->timeline));
	} else {
		x1_get(in, core->mbox_req, sizeof(core->mbox_req));
		x1_get(in, core->mbox_rsp, sizeof(core->mbox_rsp));
		x1_get(in, &core->power, sizeof(core->power));
		x1_get(in, core->fence_log, sizeof(core->fence_log));
		core->fence_next = x1_get_u32(in);
		core->temp_mc = (double)x1_get_max(in, INT32_MAX, "temperature");
		x1_get_u32(in);
		core->throttle = x1_get_max(in, X1_THROTTLE_MAX, "throttle");
		x1_get(in, &core->timeline, sizeof(core->timeline));
		if (core->timeline.mask && !x1_timeline_ok(core)) {
			core->timeline.mask = 0;
			x1_in_bad(in, "timeline");
		}
	}
}

static void tables_save(struct x1_core *core, struct x1_out *o)
{
	struct x1_injected *inj = &core->inject;
	uint32_t n = 0;

	for (uint32_t i = 0; i < X1_NUM_VMS; i++)
		n += atomic_load(&core->vm_root[i]) != 0;
	x1_put_u32(o, n);
	for (uint32_t i = 0; i < X1_NUM_VMS; i++) {
		uint64_t root = atomic_load(&core->vm_root[i]);

		if (root) {
			x1_put_u32(o, i);
			x1_put_u64(o, root & X1_PTE_ADDR_MASK);
		}
	}
	x1_put(o, core->healthy, sizeof(core->healthy));
	x1_put_u64(o, (uint64_t)atomic_load(&inj->stuck));
	x1_put_u64(o, (uint64_t)atomic_load(&inj->wrong));
	x1_put_u64(o, (uint64_t)inj->temp_mc);
	x1_put_u32(o, atomic_load(&inj->dma));
	x1_put_u32(o, atomic_load(&inj->irq));
	n = atomic_load(&inj->num_bad);
	x1_put_u32(o, n);
	for (uint32_t i = 0; i < n; i++) {
		x1_put_u64(o, inj->bad[i].page);
		x1_put_u32(o, inj->bad[i].fatal);
	}
}

static void tables_load(struct x1_core *core, struct x1_in *in)
{
	struct x1_injected *inj = &core->inject;
	uint32_t n = x1_get_max(in, X1_NUM_VMS - 1, "VMs");

	while (n-- && !in->bad) {
		uint32_t vm = x1_get_max(in, X1_NUM_VMS - 1, "VM");
		uint64_t root = x1_get_u64(in);

		if (!vm || root % X1_PT_BYTES || root >= core->cfg.hbm_bytes ||
		    core->cfg.hbm_bytes - root < X1_PT_BYTES)
			x1_in_bad(in, "root of a VM");
		else
			atomic_store(&core->vm_root[vm], root | X1_PTE_VALID);
	}
	x1_get(in, core->healthy, sizeof(core->healthy));
	core->num_healthy = 0;
	for (uint32_t m = 0; m < sizeof(core->healthy) * 8; m++) {
		if (m >= core->cfg.mcus)
			core->healthy[m / 64] &= ~(1ull << m % 64);
		core->num_healthy += core->healthy[m / 64] >> m % 64 & 1;
	}
	atomic_store(&inj->stuck, (int64_t)x1_get_u64(in));
	atomic_store(&inj->wrong, (int64_t)x1_get_u64(in));
	inj->temp_mc = (int64_t)x1_get_u64(in);
	if (inj->temp_mc > INT32_MAX)
		x1_in_bad(in, "temperature");
	atomic_store(&inj->dma, x1_get_u32(in));
	atomic_store(&inj->irq, x1_get_u32(in));
	n = x1_get_max(in, X1_MAX_BAD_PAGES, "bad pages");
	for (uint32_t i = 0; i < n; i++) {
		inj->bad[i].page = x1_get_u64(in);
		inj->bad[i].fatal = x1_get_bool(in);
	}
	atomic_store(&inj->num_bad, n);
}

/* ---- commands in the event model ---- */

static void tcmd_save(const struct x1_tcmd *tc, struct x1_out *o)
{
	x1_put_u32(o, TAG_CMD);
	x1_put_u32(o, tc->op);
	x1_put_u32(o, tc->flags);
	x1_put_u32(o, tc->tag);
	x1_put_u32(o, tc->vm);
	x1_put_u32(o, tc->ring);
	x1_put_u32(o, tc->sync);
	x1_put_u32(o, tc->ring_idx);
	x1_put_u64(o, tc->addr);
	x1_put_u64(o, tc->value);
	x1_put_u64(o, tc->t.arrival);
	x1_put_u64(o, tc->t.after);
	x1_put_u64(o, tc->t.budget);
	x1_put_u64(o, tc->t.start);
	x1_put_u64(o, tc->t.end);
	x1_put_u32(o, tc->t.over_budget);
	x1_put_u32(o, tc->t.late);
	x1_put(o, &tc->t.read, sizeof(tc->t.read));
	x1_put(o, &tc->t.write, sizeof(tc->t.write));
	x1_put_u32(o, tc->num_many);
	for (uint32_t i = 0; i < tc->num_many; i++)
		x1_trace_save(&tc->many[i], o);
	if (!tc->num_many)
		x1_trace_save(&tc->one, o);
}

static bool extent_ok(const struct x1_tr_extent *e)
{
	return e->bytes <= EXTENT_MAX && (uint64_t)e->bytes * e->count <= X1_MAX_COPY_BYTES &&
	       e->system <= 1;
}

/* Lock held, as for all below. NULL where the stream is bad. */
static struct x1_tcmd *tcmd_load(struct x1_queue *q, struct x1_in *in)
{
	struct x1_tcmd *tc = x1_tcmd_get(q->core);
	uint32_t n;

	if (!tc) {
		x1_in_bad(in, "out of memory");
		return NULL;
	}
	x1_get_tag(in, TAG_CMD, "command");
	tc->op = x1_get_max(in, X1_CMD_COUNT - 1, "command");
	tc->flags = x1_get_u32(in);
	tc->tag = x1_get_u32(in);
	tc->vm = x1_get_u32(in);
	tc->ring = x1_get_bool(in);
	tc->sync = x1_get_bool(in);
	tc->ring_idx = x1_get_u32(in);
	tc->addr = x1_get_u64(in);
	tc->value = x1_get_u64(in);
	tc->t.arrival = x1_get_u64(in);
	tc->t.after = x1_get_u64(in);
	tc->t.budget = x1_get_u64(in);
	tc->t.start = x1_get_u64(in);
	tc->t.end = x1_get_u64(in);
	tc->t.over_budget = x1_get_bool(in);
	tc->t.late = x1_get_bool(in);
	x1_get(in, &tc->t.read, sizeof(tc->t.read));
	x1_get(in, &tc->t.write, sizeof(tc->t.write));
	if (tc->vm != q->act.ring_vm && tc->vm != q->act.user_vm)
		x1_in_bad(in, "VM of a command");
	if (!extent_ok(&tc->t.read) || !extent_ok(&tc->t.write) ||
	    (tc->t.read.count &&
	     (tc->t.read.count != tc->t.write.count || tc->t.read.bytes != tc->t.write.bytes)))
		x1_in_bad(in, "extent of a command");
	/* A trace takes 16 bytes at least. */
	n = x1_get_max(in, X1_MAX_GRID, "work-groups of a command");
	if (n == 1 || n > in->left / 16)
		x1_in_bad(in, "work-groups of a command");
	if (n && !in->bad) {
		tc->many = calloc(n, sizeof(*tc->many));
		if (tc->many)
			tc->num_many = n;
		else
			x1_in_bad(in, "out of memory");
		for (uint32_t i = 0; i < tc->num_many && !in->bad; i++)
			x1_trace_load(&tc->many[i], in);
	} else if (!in->bad) {
		x1_trace_free(&tc->one);
		x1_trace_load(&tc->one, in);
	}
	tc->gen = q->gen;
	tc->t.queue = q->id;
	tc->t.op = tc->op;
	tc->t.flags = tc->flags;
	tc->t.tag = tc->tag;
	tc->t.vm = q->act.user_vm;
	tc->t.priority = q->act.priority;
	tc->t.mcu_first = q->act.mcu_first;
	tc->t.mcu_count = q->act.mcu_count;
	tc->t.owner = q;
	if (tc->op == X1_CMD_LAUNCH) {
		tc->t.wg = tc->many ? tc->many : &tc->one;
		tc->t.num_wgs = tc->many ? tc->num_many : 1;
	}
	if (!in->bad)
		return tc;
	x1_tcmd_put(q->core, tc);
	return NULL;
}

/* ---- launches ---- */

static void units_save(const struct x1_unit_run *list, bool timing, struct x1_out *o)
{
	uint32_t n = 0;

	for (const struct x1_unit_run *u = list; u; u = u->next)
		n++;
	x1_put_u32(o, n);
	for (const struct x1_unit_run *u = list; u; u = u->next) {
		x1_put_u32(o, u->mcu);
		x1_put_u32(o, u->round);
		x1_put_u64(o, u->trace_len);
		x1_wg_save(u->wg, o);
		if (!timing)
			x1_trace_save(&u->trace, o);
	}
}

static void launch_save(const struct x1_launch *l, struct x1_out *o)
{
	x1_put_u32(o, TAG_LAUNCH);
	x1_put_u64(o, l->prog->dva);
	x1_put_u32(o, l->prog->bytes);
	x1_put_u32(o, l->prog->num_insns);
	x1_put(o, l->prog->image, l->prog->bytes);
	x1_put(o, l->grid.size, sizeof(l->grid.size));
	x1_put_u64(o, l->grid.args_dva);
	x1_put_u32(o, l->grid.num_args);
	x1_put(o, l->grid.args, sizeof(l->grid.args));
	x1_put_u32(o, l->grid.cooperative);
	x1_put_u32(o, l->grid.barrier_arrived);
	x1_put_u32(o, l->grid.barrier_phase);
	x1_put_u32(o, l->tag);
	x1_put_u32(o, l->next);
	x1_put_u32(o, l->done);
	x1_put_u32(o, l->round);
	x1_put_u32(o, l->round_progress);
	x1_put_u32(o, l->stalled);
	if (l->tc)
		tcmd_save(l->tc, o);
	units_save(l->parked_list, l->tc, o);
	units_save(l->stopped_list, l->tc, o);
}

/* Storage of one work-group into *list; false where the stream is bad. */
static bool unit_load(struct x1_launch *l, struct x1_unit_run **tail, uint64_t vm_gen,
		      struct x1_in *in)
{
	struct x1_unit_run *u = calloc(1, sizeof(*u));
	struct x1_trace *trace;
	uint32_t index;

	if (u)
		u->wg = x1_wg_new();
	if (!u || !u->wg) {
		free(u);
		return x1_in_bad(in, "out of memory");
	}
	*tail = u;
	u->vm_gen = vm_gen;
	u->mcu = x1_get_max(in, l->first_mcu + l->num_mcus - 1, "MCU of a work-group");
	u->round = x1_get_u32(in);
	u->trace_len = x1_get_u64(in);
	/* Its number comes first in its state: its trace is found by it. */
	if (in->left < sizeof(index))
		return x1_in_bad(in, "truncated");
	memcpy(&index, in->p, sizeof(index));
	if (index >= l->next)
		return x1_in_bad(in, "work-group");
	u->index = index;
	trace = !l->tc ? &u->trace : l->tc->many ? &l->tc->many[index] : &l->tc->one;
	return x1_wg_load(u->wg, &l->grid, trace, in) && (l->tc || x1_trace_load(&u->trace, in));
}

static unsigned int times(const struct x1_unit_run *list, uint32_t index)
{
	unsigned int n = 0;

	for (; list; list = list->next)
		n += list->index == index;
	return n;
}

static uint32_t units_load(struct x1_launch *l, struct x1_unit_run **list, uint64_t vm_gen,
			   struct x1_in *in)
{
	uint32_t n = x1_get_max(in, MAX_UNITS, "work-groups"), i;

	for (i = 0; i < n && unit_load(l, list, vm_gen, in); i++) {
		if (times(l->parked_list, (*list)->index) + times(l->stopped_list, (*list)->index) >
		    1)
			x1_in_bad(in, "work-group");
		list = &(*list)->next;
	}
	return i;
}

static struct x1_prog *prog_load(struct x1_in *in)
{
	uint64_t dva = x1_get_u64(in);
	uint32_t bytes = x1_get_max(in, X1_MAX_PROGRAM_BYTES, "program");
	uint32_t insns = x1_get_u32(in);
	struct x1_fault_rec rec = {0};
	struct x1_prog *p;

	if (in->bad || !insns || !bytes || bytes % X1_INSN_BYTES || insns > bytes / X1_INSN_BYTES) {
		x1_in_bad(in, "program");
		return NULL;
	}
	p = calloc(1, sizeof(*p) + bytes);
	if (!p) {
		x1_in_bad(in, "out of memory");
		return NULL;
	}
	p->dva = dva;
	p->bytes = bytes;
	p->num_insns = insns;
	atomic_store(&p->refs, 1);
	if (x1_get(in, p->image, bytes))
		p->code = x1_program_decode(p->image, bytes, insns, &rec);
	if (p->code)
		return p;
	free(p);
	x1_in_bad(in, "program");
	return NULL;
}

static void launch_load(struct x1_queue *q, struct x1_in *in)
{
	struct x1_core *core = q->core;
	struct x1_launch *l;
	uint64_t total = 1;
	bool coop;

	x1_get_tag(in, TAG_LAUNCH, "launch");
	if (in->bad)
		return;
	l = x1_launch_new(core);
	if (!l) {
		x1_in_bad(in, "out of memory");
		return;
	}
	/* From here on x1_launch_drop() frees it. */
	q->launch = l;
	l->q = q;
	l->prog = prog_load(in);
	l->first_mcu = q->act.mcu_first;
	l->num_mcus = q->act.mcu_count ? q->act.mcu_count : core->cfg.mcus;
	x1_get(in, l->grid.size, sizeof(l->grid.size));
	for (unsigned int i = 0; i < 3; i++) {
		total *= l->grid.size[i];
		if (!total || total > X1_MAX_GRID) {
			x1_in_bad(in, "grid");
			total = 1;
		}
	}
	l->grid.args_dva = x1_get_u64(in);
	l->grid.num_args = x1_get_max(in, X1_MAX_ARGS, "arguments");
	x1_get(in, l->grid.args, sizeof(l->grid.args));
	coop = x1_get_bool(in);
	l->total = l->grid.total = (uint32_t)total;
	l->grid.vm = q->act.user_vm;
	l->grid.cooperative = coop;
	l->grid.trace = core->cfg.timing;
	l->grid.budget = q->act.budget;
	l->grid.clock = x1_clock;
	l->grid.clock_arg = core;
	if (in->bad || (coop && total > core->coop_free)) {
		x1_in_bad(in, "grid");
		return;
	}
	if (coop) {
		l->coop_reserved = (uint32_t)total;
		core->coop_free -= (uint32_t)total;
	}
	l->grid.prog = l->prog->code;
	l->grid.barrier_arrived = x1_get_max(in, l->total - 1, "grid barrier");
	l->grid.barrier_phase = x1_get_u32(in);
	l->tag = x1_get_u32(in);
	l->next = x1_get_max(in, l->total, "next work-group");
	l->done = x1_get_max(in, l->next, "work-groups that are done");
	l->round = x1_get_u32(in);
	l->round_progress = x1_get_bool(in);
	l->stalled = x1_get_bool(in);
	if (core->cfg.timing && !in->bad) {
		l->tc = tcmd_load(q, in);
		if (l->tc && (l->tc->num_many ? l->tc->num_many : 1) != l->total)
			x1_in_bad(in, "traces of a launch");
	}
	if (in->bad)
		return;
	l->parked = units_load(l, &l->parked_list, core->vm_gen, in);
	if (!in->bad &&
	    units_load(l, &l->stopped_list, core->vm_gen, in) + l->parked + l->done != l->next)
		x1_in_bad(in, "work-groups of a launch");
}

/* ---- queues ---- */

static void qcfg(struct x1_qcfg *c, struct x1_out *o, struct x1_in *in)
{
	uint64_t *const w64[] = {&c->ring, &c->rptr_addr, &c->budget};
	uint32_t *const w32[] = {&c->ring_log2, &c->ring_vm,   &c->user_vm, &c->priority,
				 &c->mcu_first, &c->mcu_count, &c->vector};

	for (size_t i = 0; i < sizeof(w64) / sizeof(w64[0]); i++)
		if (o)
			x1_put_u64(o, *w64[i]);
		else
			*w64[i] = x1_get_u64(in);
	for (size_t i = 0; i < sizeof(w32) / sizeof(w32[0]); i++)
		if (o)
			x1_put_u32(o, *w32[i]);
		else
			*w32[i] = x1_get_u32(in);
}

/* What of an enabled queue any value may have. */
static void queue_words(struct x1_queue *q, struct x1_out *o, struct x1_in *in)
{
	uint32_t *const w32[] = {&q->rptr, &q->wptr,       &q->fetched, &q->rptr_written,
				 &q->late, &q->fault_info, &q->call_tag};
	uint64_t *const w64[] = {&q->cycles,   &q->call_dva,   &q->copy_row,
				 &q->copy_off, &q->wait_key,   &q->db_arrival,
				 &q->arrival,  &q->last_fence, &q->perf_begin_end};

	for (size_t i = 0; i < sizeof(w32) / sizeof(w32[0]); i++)
		if (o)
			x1_put_u32(o, *w32[i]);
		else
			*w32[i] = x1_get_u32(in);
	for (size_t i = 0; i < sizeof(w64) / sizeof(w64[0]); i++)
		if (o)
			x1_put_u64(o, *w64[i]);
		else
			*w64[i] = x1_get_u64(in);
	if (o) {
		x1_put(o, &q->cur, sizeof(q->cur));
		x1_put(o, &q->fault, sizeof(q->fault));
		x1_put(o, &q->perf_begin, sizeof(q->perf_begin));
		x1_put(o, &q->perf, sizeof(q->perf));
	} else {
		x1_get(in, &q->cur, sizeof(q->cur));
		x1_get(in, &q->fault, sizeof(q->fault));
		x1_get(in, &q->perf_begin, sizeof(q->perf_begin));
		x1_get(in, &q->perf, sizeof(q->perf));
	}
}

static void stamps_save(const struct x1_queue *q, struct x1_out *o)
{
	uint32_t n = 0;

	if (!q->stamps)
		return;
	for (uint32_t i = 0; i < 1u << q->act.ring_log2; i++)
		n += q->stamps[i] != 0;
	x1_put_u32(o, n);
	for (uint32_t i = 0; i < 1u << q->act.ring_log2; i++) {
		if (q->stamps[i]) {
			x1_put_u32(o, i);
			x1_put_u64(o, q->stamps[i]);
		}
	}
}

static void stamps_load(struct x1_queue *q, struct x1_in *in)
{
	uint32_t last = (1u << q->act.ring_log2) - 1, n;

	if (!q->core->cfg.timing)
		return;
	q->stamps = calloc(last + 1ull, sizeof(*q->stamps));
	if (!q->stamps) {
		x1_in_bad(in, "out of memory");
		return;
	}
	n = x1_get_max(in, last + 1, "arrivals");
	while (n-- && !in->bad) {
		uint32_t at = x1_get_max(in, last, "arrival");

		q->stamps[at] = x1_get_u64(in);
	}
}

static void queue_save(struct x1_queue *q, struct x1_out *o)
{
	uint64_t now = x1_now_ns();
	uint32_t n = 0;

	x1_put_u32(o, TAG_QUEUE);
	x1_put_u32(o, q->state);
	qcfg(&q->cfg, o, NULL);
	if (q->state == X1_Q_STATE_DISABLED)
		return;
	qcfg(&q->act, o, NULL);
	queue_words(q, o, NULL);
	x1_put_u64(o, atomic_load(&q->progress));
	x1_put_u32(o, q->hung);
	x1_put_u32(o, q->front);
	x1_put_u32(o, q->cur_call);
	x1_put_u32(o, q->call_left);
	x1_put_u32(o, q->lapsed);
	x1_put_u32(o, q->fb_len - q->fb_pos);
	x1_put(o, q->fbuf + q->fb_pos, (q->fb_len - q->fb_pos) * sizeof(q->fbuf[0]));
	x1_put_u32(o, q->coal_count);
	/* Host time does not travel: what is left does. */
	x1_put_u64(o, !q->coal_deadline ? 0 : q->coal_deadline > now ? q->coal_deadline - now : 1);
	stamps_save(q, o);
	x1_put_u32(o, q->held != NULL);
	if (q->held)
		tcmd_save(q->held, o);
	x1_put_u32(o, q->launch != NULL);
	if (q->launch)
		launch_save(q->launch, o);
	if (!q->core->cfg.timing)
		return;
	for (const struct x1_time_cmd *c = x1_time_queue_head(q->core->time, q->id); c; c = c->next)
		n++;
	x1_put_u32(o, n);
	for (const struct x1_time_cmd *c = x1_time_queue_head(q->core->time, q->id); c; c = c->next)
		tcmd_save((const struct x1_tcmd *)c, o);
}

/* Commands of the queue in the event model, as a list that is the caller's. */
static void model_load(struct x1_queue *q, struct x1_time_cmd **list, struct x1_in *in)
{
	uint32_t n = x1_get_max(in, UINT32_MAX, "commands in the event model");

	while (n-- && !in->bad) {
		struct x1_tcmd *tc = tcmd_load(q, in);

		if (!tc)
			return;
		tc->t.next = NULL;
		*list = &tc->t;
		list = &tc->t.next;
		x1_tm_adopt(q, tc);
	}
}

/* COPY and FILL go on inside a row. */
static bool copy_ok(const struct x1_queue *q)
{
	if (q->front != X1_FRONT_EXEC || !q->copy_off)
		return true;
	return (q->cur.hdr.op == X1_CMD_COPY && q->copy_off < q->cur.copy.bytes) ||
	       (q->cur.hdr.op == X1_CMD_FILL && q->copy_off < q->cur.fill.bytes);
}

static bool front_ok(const struct x1_queue *q, const struct x1_time_cmd *head)
{
	bool faulted = q->state == X1_Q_STATE_FAULTED, sync = q->front == X1_FRONT_SYNC;

	/* A fault drops the launch and leaves the front end as it was. */
	if (q->launch ? faulted || q->front != X1_FRONT_LAUNCH
		      : !faulted && q->front == X1_FRONT_LAUNCH)
		return false;
	if ((q->held != NULL) != (q->front == X1_FRONT_HELD) || (sync && !head && !faulted))
		return false;
	/* The front end waits for the last command in the model, and for no other. */
	for (; head; head = head->next)
		if (((const struct x1_tcmd *)head)->sync && (head->next || !sync))
			return false;
	if (faulted)
		return true;
	/* Not more than the ring has, in order. */
	return copy_ok(q) && q->wptr - q->rptr <= 1u << q->act.ring_log2 &&
	       q->fetched - q->rptr <= q->wptr - q->rptr;
}

static void queue_load(struct x1_queue *q, struct x1_time_cmd **model, struct x1_in *in)
{
	struct x1_core *core = q->core;
	uint32_t state, n;
	uint64_t left;

	x1_get_tag(in, TAG_QUEUE, "queue");
	state = x1_get_u32(in);
	qcfg(&q->cfg, NULL, in);
	if (in->bad || state == X1_Q_STATE_DISABLED)
		return;
	qcfg(&q->act, NULL, in);
	if ((state != X1_Q_STATE_READY && state != X1_Q_STATE_SUSPENDED &&
	     state != X1_Q_STATE_FAULTED && state != X1_Q_STATE_SUSPENDING) ||
	    !x1_queue_config_ok(core, &q->act)) {
		x1_in_bad(in, "queue");
		return;
	}
	/* From here on it is a queue that a reset takes down. */
	q->state = state;
	core->vm_users[q->act.ring_vm]++;
	core->vm_users[q->act.user_vm]++;
	queue_words(q, NULL, in);
	atomic_store(&q->progress, x1_get_u64(in));
	q->hung = x1_get_bool(in);
	q->front = x1_get_max(in, X1_FRONT_COOP, "front end");
	q->cur_call = x1_get_bool(in);
	q->call_left = x1_get_max(in, X1_MAX_CALL, "CALL");
	q->lapsed = x1_get_bool(in);
	n = x1_get_max(in, X1_FETCH_BATCH, "fetched commands");
	x1_get(in, q->fbuf, n * sizeof(q->fbuf[0]));
	q->fb_len = n;
	q->coal_count = x1_get_u32(in);
	left = x1_get_u64(in);
	if (left > 0xffff * X1_NS_PER_US)
		x1_in_bad(in, "interrupt");
	q->coal_deadline = left ? x1_now_ns() + left : 0;
	stamps_load(q, in);
	if (x1_get_bool(in))
		q->held = tcmd_load(q, in);
	if (x1_get_bool(in))
		launch_load(q, in);
	if (core->cfg.timing && !in->bad)
		model_load(q, model, in);
	if (!in->bad && ((state == X1_Q_STATE_SUSPENDING && !q->hung) || !front_ok(q, *model)))
		x1_in_bad(in, "queue");
	atomic_store(&q->stop, state != X1_Q_STATE_READY || q->hung);
	if (q->launch)
		atomic_store(&q->launch->stop, atomic_load(&q->stop));
}

/* ---- the whole ---- */

int x1_core_save(struct x1_core *core, uint8_t **buf, size_t *len)
{
	struct x1_out o = {0};

	x1_core_park(core);
	x1_lock(core);
	x1_tm_settle(core);
	config_save(core, &o);
	x1_put_u32(&o, TAG_REGS);
	words(core, &o, NULL);
	tables_save(core, &o);
	x1_mgmt_save(core, &o);
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		queue_save(&core->queue[q], &o);
	x1_time_save(core->time, &o);
	x1_put_u32(&o, TAG_END);
	x1_unlock(core);
	x1_core_unpark(core);
	if (o.failed) {
		free(o.buf);
		return -ENOMEM;
	}
	*buf = o.buf;
	*len = o.len;
	return 0;
}

static void load_all(struct x1_core *core, struct x1_in *in)
{
	struct x1_time_cmd *model[X1_NUM_QUEUES] = {NULL};

	if (!config_load(core, in))
		return;
	x1_get_tag(in, TAG_REGS, "registers");
	words(core, NULL, in);
	tables_load(core, in);
	x1_mgmt_load(core, in);
	for (uint32_t q = 0; q < X1_NUM_QUEUES && !in->bad; q++)
		queue_load(&core->queue[q], &model[q], in);
	/* Also where something was bad: the commands become the model's. */
	x1_time_load(core->time, model, in);
	x1_get_tag(in, TAG_END, "end");
	if (!in->bad && in->left)
		x1_in_bad(in, "more than a state");
}

/* Loaded: everybody looks whether there is something to do. */
static void go_on(struct x1_core *core)
{
	atomic_store(&core->clock, x1_time_now(core->time));
	core->power_stamp = core->temp_stamp = x1_now_ns();
	core->tm_needed = core->cfg.timing;
	x1_mgmt_start(core);
	for (uint32_t i = 0; i < X1_NUM_QUEUES; i++) {
		struct x1_queue *q = &core->queue[i];

		q->expected = x1_time_expects(core->time, i);
		if (q->state != X1_Q_STATE_DISABLED)
			x1_queue_kick(q);
	}
}

int x1_core_load(struct x1_core *core, const void *buf, size_t len, char *err, size_t err_len)
{
	struct x1_in in = {.p = buf, .left = len};

	x1_core_park(core);
	x1_lock(core);
	x1_reset_logic(core);
	x1_tm_settle(core);
	/* Work-groups come with storage of their own. */
	x1_units_free(core);
	load_all(core, &in);
	if (in.bad) {
		x1_reset_logic(core);
		x1_inject_clear(core);
		x1_tm_settle(core);
	} else {
		go_on(core);
	}
	x1_unlock(core);
	x1_core_unpark(core);
	if (!in.bad)
		return 0;
	snprintf(err, err_len, "%s", in.bad);
	return -EINVAL;
}
