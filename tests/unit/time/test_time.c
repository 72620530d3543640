// SPDX-License-Identifier: MIT
/*
 * The event model against closed forms (manual, chapter "Time"): single load,
 * pure compute, double-buffered stream, MCUs that share HBM, and the rules
 * around them. Model and form agree within 1 % (REQ-TIME-001) or exactly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "time/x1_time.h"
#include "x1/x1_limits.h"

#define HBM_BASE 0x10000000ull

static const struct x1_time_params defaults = {
	.mcus = X1_DEF_MCUS,
	.clock_hz = X1_DEF_CLOCK_HZ,
	.l2_bytes = X1_DEF_L2_BYTES,
	.hbm_bw = X1_DEF_HBM_BW,
	.l2_bw = X1_DEF_L2_BW,
	.pcie_bw = X1_DEF_PCIE_BW,
	.hbm_latency = X1_DEF_HBM_LATENCY,
	.l2_latency = X1_DEF_L2_LATENCY,
	.pcie_latency = X1_DEF_PCIE_LATENCY,
};

static void put(struct x1_trace *tr, const void *p, size_t n)
{
	tr->buf = realloc(tr->buf, tr->len + n);
	assert_non_null(tr->buf);
	memcpy(tr->buf + tr->len, p, n);
	tr->len += n;
}

static void engine(struct x1_trace *tr, struct x1_tr_engine rec, const struct x1_tr_extent *ext)
{
	rec.hdr.kind = X1_TR_ENGINE;
	rec.hdr.num_extents = ext ? 1 : 0;
	put(tr, &rec, sizeof(rec));
	if (ext)
		put(tr, ext, sizeof(*ext));
	tr->instructions++;
}

static void load(struct x1_trace *tr, uint64_t dva, uint32_t bytes, uint8_t wait, uint8_t sig)
{
	struct x1_tr_extent ext = {.dva = dva, .bytes = bytes, .count = 1};

	engine(tr,
	       (struct x1_tr_engine){.hdr.engine = X1_ENGINE_LOAD,
				     .wait = {wait},
				     .sig = {sig},
				     .cycles = bytes / X1_LOAD_PORT,
				     .local_bytes = bytes},
	       &ext);
}

static void matrix(struct x1_trace *tr, uint32_t cycles, uint16_t fmt, uint8_t wait, uint8_t sig)
{
	engine(tr,
	       (struct x1_tr_engine){.hdr.engine = X1_ENGINE_MATRIX,
				     .wait = {wait},
				     .sig = {sig},
				     .cycles = cycles,
				     .fmt = fmt,
				     .macs = 1024ull * cycles},
	       NULL);
}

static void seq(struct x1_trace *tr, uint8_t kind, uint64_t dva, uint64_t value)
{
	struct x1_tr_seq rec = {.hdr.kind = kind, .count = 1, .dva = dva, .value = value};

	put(tr, &rec, sizeof(rec));
	tr->instructions++;
}

static void end(struct x1_trace *tr)
{
	seq(tr, X1_TR_SYNC, 0, 0);
}

static struct x1_time_cmd launch(struct x1_trace *wg, uint32_t n)
{
	return (struct x1_time_cmd){.op = X1_CMD_LAUNCH, .vm = 1, .wg = wg, .num_wgs = n};
}

static struct x1_perf run_one(const struct x1_time_params *p, struct x1_trace *wg, uint32_t n)
{
	struct x1_time *t = x1_time_new(p);
	struct x1_time_cmd cmd = launch(wg, n);
	struct x1_perf perf;

	assert_non_null(t);
	assert_int_equal(x1_time_submit(t, &cmd), 0);
	assert_ptr_equal(x1_time_next(t), &cmd);
	assert_null(x1_time_next(t));
	x1_time_perf(t, cmd.queue, &perf);
	x1_time_free(t);
	return perf;
}

static void assert_within_1_percent(uint64_t got, uint64_t want)
{
	uint64_t diff = got > want ? got - want : want - got;

	if (diff * 100 > want)
		fail_msg("%llu cycles, closed form %llu", (unsigned long long)got,
			 (unsigned long long)want);
}

/* REQ-TIME-002: an empty launch and its fence take X1_LAUNCH + X1_FENCE cycles. */
static void test_empty_launch(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	struct x1_trace tr = {0};
	struct x1_time_cmd l = launch(&tr, 1);
	struct x1_time_cmd f = {.op = X1_CMD_FENCE, .vm = 1};

	(void)state;
	end(&tr);
	assert_int_equal(x1_time_submit(t, &l), 0);
	assert_int_equal(x1_time_submit(t, &f), 0);
	assert_ptr_equal(x1_time_next(t), &l);
	assert_ptr_equal(x1_time_next(t), &f);
	assert_in_range(f.end, X1_LAUNCH_CYCLES + X1_FENCE_CYCLES,
			X1_LAUNCH_CYCLES + X1_FENCE_CYCLES + 2);
	x1_time_free(t);
	free(tr.buf);
}

/* REQ-TIME-003: a load is port time or bandwidth, then one latency. */
static void test_single_load(void **state)
{
	const uint32_t bytes = 256 << 10;
	struct x1_trace tr = {0};
	struct x1_perf p;

	(void)state;
	load(&tr, HBM_BASE, bytes, 0, 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	/* Issue and END take a cycle each. */
	assert_int_equal(p.cycles, X1_LAUNCH_CYCLES + 1 + bytes / X1_LOAD_PORT +
					   X1_DEF_HBM_LATENCY + X1_TLB_MISS_CYCLES + 1);
	assert_int_equal(p.bytes_hbm_read, bytes);
	assert_int_equal(p.l2_misses, bytes / 4096);
	assert_int_equal(p.l2_hits, 0);
	free(tr.buf);
}

/* REQ-TIME-004: products of one format follow each other without a gap. */
static void test_pure_compute(void **state)
{
	struct x1_trace tr = {0};
	struct x1_perf p;

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		matrix(&tr, 256, X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3), 0, 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	assert_int_equal(p.cycles, X1_LAUNCH_CYCLES + 1 + 100 * 256 + X1_MM_LATENCY + 1);
	assert_int_equal(p.busy[X1_ENGINE_MATRIX], 100 * 256);
	assert_int_equal(p.macs[X1_FMT_E4M3], 100 * 256 * 1024ull);
	assert_int_equal(p.format_switches, 0);
	free(tr.buf);
}

/* REQ-TIME-005: each change of format costs one drain. */
static void test_format_switch(void **state)
{
	struct x1_trace tr = {0};
	struct x1_perf p;

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		matrix(&tr, 256,
		       i & 1 ? X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3)
			     : X1_MM_FMT(X1_FMT_FP16, X1_FMT_FP16),
		       0, 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	assert_int_equal(p.format_switches, 9);
	assert_int_equal(p.cycles, X1_LAUNCH_CYCLES + 1 + 10 * 256 + 9 * X1_MM_SWITCH_CYCLES +
					   X1_MM_LATENCY + 1);
	free(tr.buf);
}

/* REQ-TIME-006: two buffers: loads hide behind compute, or compute behind loads. */
static void test_double_buffer(void **state)
{
	static const uint32_t compute[] = {2048, 512};
	const uint32_t chunks = 64, bytes = 64 << 10;

	(void)state;
	for (unsigned int c = 0; c < 2; c++) {
		struct x1_trace tr = {0};
		struct x1_perf p;
		uint64_t port = bytes / X1_LOAD_PORT, form;

		for (unsigned int i = 0; i < chunks; i++) {
			load(&tr, HBM_BASE + (uint64_t)i * bytes, bytes, i >= 2 ? X1_SEM(1) : 0,
			     X1_SEM(0));
			matrix(&tr, compute[c], X1_MM_FMT(X1_FMT_FP16, X1_FMT_FP16), X1_SEM(0),
			       X1_SEM(1));
		}
		end(&tr);
		p = run_one(&defaults, &tr, 1);
		/*
		 * A buffer's round: load, latency, compute, result. The second
		 * buffer runs the same rounds one port time later.
		 */
		if (compute[c] >= port + X1_DEF_HBM_LATENCY)
			form = X1_LAUNCH_CYCLES + port + X1_DEF_HBM_LATENCY + X1_TLB_MISS_CYCLES +
			       (uint64_t)chunks * compute[c];
		else
			form = X1_LAUNCH_CYCLES + X1_TLB_MISS_CYCLES * 2 + port +
			       (uint64_t)chunks / 2 *
				       (port + X1_DEF_HBM_LATENCY + compute[c] + X1_MM_LATENCY);
		assert_within_1_percent(p.cycles, form);
		free(tr.buf);
	}
}

/* REQ-TIME-007: MCUs that share HBM get its bandwidth, not more. */
static void test_shared_hbm(void **state)
{
	struct x1_time_params params = defaults;
	const uint32_t bytes = 256 << 10, loads = 16;
	struct x1_trace tr[2] = {{0}};
	struct x1_perf p;

	(void)state;
	params.hbm_bw = 80;
	for (unsigned int w = 0; w < 2; w++) {
		for (unsigned int i = 0; i < loads; i++)
			load(&tr[w], HBM_BASE + ((uint64_t)w * loads + i) * bytes, bytes, 0, 0);
		end(&tr[w]);
	}
	p = run_one(&params, tr, 2);
	assert_within_1_percent(p.cycles, X1_LAUNCH_CYCLES + 2ull * loads * bytes / params.hbm_bw +
						  X1_DEF_HBM_LATENCY);
	assert_true(p.stall[X1_ENGINE_LOAD][X1_STALL_HBM] > 0);
	/* With the default bandwidth the ports are the limit. */
	p = run_one(&defaults, tr, 2);
	assert_within_1_percent(p.cycles, X1_LAUNCH_CYCLES +
						  (uint64_t)loads * bytes / X1_LOAD_PORT +
						  X1_DEF_HBM_LATENCY + X1_TLB_MISS_CYCLES);
	free(tr[0].buf);
	free(tr[1].buf);
}

/* REQ-TIME-008: PREFETCH moves the HBM latency and traffic ahead of the load. */
static void test_prefetch(void **state)
{
	struct x1_trace tr = {0};
	struct x1_tr_extent ext = {.dva = HBM_BASE, .bytes = 4096, .count = 1};
	struct x1_perf p;

	(void)state;
	engine(&tr,
	       (struct x1_tr_engine){.hdr.engine = X1_ENGINE_LOAD,
				     .cycles = 1,
				     .flags = X1_TR_F_PREFETCH,
				     .local_bytes = 4096},
	       &ext);
	matrix(&tr, 4000, X1_MM_FMT(X1_FMT_FP16, X1_FMT_FP16), 0, X1_SEM(3));
	load(&tr, HBM_BASE, 4096, X1_SEM(3), 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	assert_int_equal(p.l2_hits, 1);
	assert_int_equal(p.l2_misses, 1);
	assert_int_equal(p.prefetch_bytes, 4096);
	assert_int_equal(p.cycles, X1_LAUNCH_CYCLES + 2 + 4000 + X1_MM_LATENCY +
					   4096 / X1_LOAD_PORT + X1_DEF_L2_LATENCY + 1);
	free(tr.buf);
}

/* REQ-TIME-030: a load that waits for a line in flight keeps nobody from the port. */
static void test_in_flight(void **state)
{
	struct x1_trace tr = {0};
	struct x1_tr_extent ext = {.dva = HBM_BASE, .bytes = 4096, .count = 1};
	struct x1_perf p;

	(void)state;
	engine(&tr,
	       (struct x1_tr_engine){.hdr.engine = X1_ENGINE_LOAD,
				     .cycles = 1,
				     .flags = X1_TR_F_PREFETCH,
				     .local_bytes = 4096},
	       &ext);
	load(&tr, HBM_BASE, 4096, 0, 0);
	load(&tr, HBM_BASE + 4096, 4096, 0, 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	assert_int_equal(p.l2_hits, 1);
	assert_int_equal(p.cycles,
			 X1_LAUNCH_CYCLES + 2 + 2 * (4096 / X1_LOAD_PORT) + X1_DEF_HBM_LATENCY + 1);
	free(tr.buf);
}

/* REQ-TIME-009: work-groups fill free MCUs in rising order, four a cycle. */
static void test_waves(void **state)
{
	struct x1_trace tr[8] = {{0}};
	struct x1_time_params params = defaults;
	struct x1_perf p;

	(void)state;
	params.mcus = 4;
	for (unsigned int w = 0; w < 8; w++) {
		matrix(&tr[w], 1000, 0, 0, 0);
		end(&tr[w]);
	}
	p = run_one(&params, tr, 8);
	assert_within_1_percent(p.cycles, X1_LAUNCH_CYCLES + 2 * (1000 + X1_MM_LATENCY + 2));
	assert_int_equal(p.work_groups, 8);
	for (unsigned int w = 0; w < 8; w++)
		free(tr[w].buf);
}

/* REQ-TIME-010: a LAUNCH beyond its budget ends at the budget. */
static void test_budget(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	struct x1_trace tr = {0};
	struct x1_time_cmd cmd;

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		load(&tr, HBM_BASE, 64 << 10, 0, 0);
	end(&tr);
	cmd = launch(&tr, 1);
	cmd.budget = 2000;
	assert_int_equal(x1_time_submit(t, &cmd), 0);
	assert_ptr_equal(x1_time_next(t), &cmd);
	assert_true(cmd.over_budget);
	assert_int_equal(cmd.end - cmd.start, 2000);
	assert_null(x1_time_next(t));
	x1_time_free(t);
	free(tr.buf);
}

/* REQ-TIME-011: an acquire-wait ends after the release it needs. */
static void test_release(void **state)
{
	struct x1_trace tr[2] = {{0}};
	struct x1_perf p;

	(void)state;
	matrix(&tr[0], 5000, 0, 0, X1_SEM(0));
	{
		struct x1_tr_seq rec = {.hdr.kind = X1_TR_RELEASE,
					.wait = {X1_SEM(0)},
					.count = 1,
					.dva = HBM_BASE,
					.value = 7};
		put(&tr[0], &rec, sizeof(rec));
	}
	end(&tr[0]);
	seq(&tr[1], X1_TR_WAITGE, HBM_BASE, 7);
	matrix(&tr[1], 1000, 0, 0, 0);
	end(&tr[1]);
	p = run_one(&defaults, tr, 2);
	assert_within_1_percent(p.cycles, X1_LAUNCH_CYCLES + 5000 + X1_MM_LATENCY +
						  X1_SCALAR_MEM_CYCLES + 1000 + X1_MM_LATENCY);
	free(tr[0].buf);
	free(tr[1].buf);
}

/* A wait on a value from before the launch must not stop the model. */
static void test_release_from_before(void **state)
{
	struct x1_trace tr = {0};
	struct x1_perf p;

	(void)state;
	seq(&tr, X1_TR_WAITGE, HBM_BASE, 1);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	assert_in_range(p.cycles, X1_LAUNCH_CYCLES, X1_LAUNCH_CYCLES + X1_SCALAR_MEM_CYCLES + 2);
	free(tr.buf);
}

/* REQ-TIME-012: a grid barrier holds everybody until the last one came. */
static void test_grid_barrier(void **state)
{
	struct x1_trace tr[3] = {{0}};
	struct x1_perf p;

	(void)state;
	for (unsigned int w = 0; w < 3; w++) {
		matrix(&tr[w], 1000 * (w + 1), 0, 0, 0);
		seq(&tr[w], X1_TR_SYNC, 0, 0);
		seq(&tr[w], X1_TR_GRIDBAR, 0, 0);
		matrix(&tr[w], 1000, 0, 0, 0);
		end(&tr[w]);
	}
	p = run_one(&defaults, tr, 3);
	assert_within_1_percent(p.cycles, X1_LAUNCH_CYCLES + 3000 + X1_SCALAR_MEM_CYCLES + 1000 +
						  2 * X1_MM_LATENCY);
	for (unsigned int w = 0; w < 3; w++)
		free(tr[w].buf);
}

/* REQ-TIME-013: the model does not run past work that a queue still owes it. */
static void test_expect(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	struct x1_trace a = {0}, b = {0};
	struct x1_time_cmd ca, cb;

	(void)state;
	matrix(&a, 10000, 0, 0, 0);
	end(&a);
	matrix(&b, 100, 0, 0, 0);
	end(&b);
	ca = launch(&a, 1);
	cb = launch(&b, 1);
	cb.queue = 1;
	x1_time_expect(t, 1, 0);
	assert_int_equal(x1_time_submit(t, &ca), 0);
	assert_null(x1_time_next(t));
	assert_int_equal(x1_time_submit(t, &cb), 0);
	assert_ptr_equal(x1_time_next(t), &cb);
	assert_ptr_equal(x1_time_next(t), &ca);
	assert_int_equal(cb.start, 0);
	assert_int_equal(ca.start, 0);
	x1_time_free(t);
	free(a.buf);
	free(b.buf);
}

/* REQ-TIME-014: an arrival before the clock is clamped and counted. */
static void test_late(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	struct x1_time_cmd a = {.op = X1_CMD_FENCE, .vm = 1, .arrival = 5000};
	struct x1_time_cmd b = {.op = X1_CMD_FENCE, .vm = 1, .queue = 1, .arrival = 100};
	struct x1_perf perf;

	(void)state;
	assert_int_equal(x1_time_submit(t, &a), 0);
	assert_ptr_equal(x1_time_next(t), &a);
	assert_int_equal(a.start, 5000);
	assert_int_equal(x1_time_submit(t, &b), 0);
	assert_ptr_equal(x1_time_next(t), &b);
	assert_true(b.late);
	x1_time_perf(t, b.queue, &perf);
	assert_int_equal(perf.late_arrivals, 1);
	assert_true(b.start >= 5000);
	x1_time_free(t);
}

/* REQ-TIME-015: host to HBM copies run at the link's bandwidth. */
static void test_copy(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	const uint32_t bytes = 16 << 20;
	struct x1_time_cmd c = {
		.op = X1_CMD_COPY,
		.vm = 1,
		.read = {.dva = 0x80000000, .bytes = bytes, .count = 1, .system = 1},
		.write = {.dva = HBM_BASE, .bytes = bytes, .count = 1},
	};
	struct x1_perf perf;

	(void)state;
	assert_int_equal(x1_time_submit(t, &c), 0);
	assert_ptr_equal(x1_time_next(t), &c);
	assert_within_1_percent(c.end, bytes / X1_DEF_PCIE_BW + X1_DEF_PCIE_LATENCY);
	x1_time_perf(t, c.queue, &perf);
	assert_int_equal(perf.bytes_pcie_read, bytes);
	x1_time_free(t);
}

/* Dropping a queue in mid-flight frees its MCUs and leaves the others alone. */
static void test_drop(void **state)
{
	struct x1_time *t = x1_time_new(&defaults);
	struct x1_trace tr = {0};
	struct x1_time_cmd a, b = {.op = X1_CMD_FENCE, .vm = 1, .queue = 1, .arrival = 600};

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		load(&tr, HBM_BASE, 64 << 10, 0, 0);
	end(&tr);
	a = launch(&tr, 1);
	assert_int_equal(x1_time_submit(t, &a), 0);
	assert_int_equal(x1_time_submit(t, &b), 0);
	assert_ptr_equal(x1_time_next(t), &b);
	assert_ptr_equal(x1_time_drop_queue(t, 0), &a);
	assert_null(x1_time_next(t));
	assert_int_equal(x1_time_submit(t, &a), 0);
	assert_ptr_equal(x1_time_next(t), &a);
	x1_time_free(t);
	free(tr.buf);
}

/* REQ-ENERGY-001: core efficiency at dense FP8 peak is the card's 42.8 TOPS/W. */
static void test_energy_peak(void **state)
{
	struct x1_trace tr = {0};
	struct x1_perf p;
	double tops_per_watt;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		matrix(&tr, 4096, X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3), 0, 0);
	end(&tr);
	p = run_one(&defaults, &tr, 1);
	tops_per_watt = 2.0 * (double)p.macs[X1_FMT_E4M3] / (double)p.energy_core_pj;
	assert_true(tops_per_watt > 42.7 && tops_per_watt < 42.9);
	assert_true(p.energy_package_pj >= p.energy_core_pj);
	free(tr.buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_launch),  cmocka_unit_test(test_single_load),
		cmocka_unit_test(test_pure_compute),  cmocka_unit_test(test_format_switch),
		cmocka_unit_test(test_double_buffer), cmocka_unit_test(test_shared_hbm),
		cmocka_unit_test(test_prefetch),      cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_waves),         cmocka_unit_test(test_budget),
		cmocka_unit_test(test_release),       cmocka_unit_test(test_release_from_before),
		cmocka_unit_test(test_grid_barrier),  cmocka_unit_test(test_expect),
		cmocka_unit_test(test_late),          cmocka_unit_test(test_copy),
		cmocka_unit_test(test_drop),          cmocka_unit_test(test_energy_peak),
	};

	return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
