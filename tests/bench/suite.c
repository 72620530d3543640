// SPDX-License-Identifier: MIT
/*
 * The GEMM suites: products of well-known networks, in device cycles against
 * the roofline
 *   T = L0 + max(m n k / (MCUs * rate), compulsory bytes / HBM bandwidth)
 * with L0 = an empty LAUNCH and its FENCE. tests/bench/shapes/ has the lists.
 *
 * A product is measured as a network runs it, in a stream: REPEAT of the same
 * shape follow each other, each with operands of its own that nobody has read
 * since L2 was dropped; T is the stream's time through its FENCE, over REPEAT.
 * Long products are measured alone. The TLB is warm; C stays in L2.
 *
 *   graph       each launch names the operands of the next (sili_gemm::ahead)
 *   kernel      launches overlap, nothing is known of the next
 *   noprefetch  the same tiles, two stages, no overlap
 *   alone       one launch after an idle device, kernel level
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <x1/x1_limits.h>

#include "bench.h"

#define REPEAT     8u
#define LONG       40000.0 /* roofline cycles from which one product is a stream */
#define L0         (X1_LAUNCH_CYCLES + X1_FENCE_CYCLES)
#define MAX_SHAPES 64

enum level {
	GRAPH,
	KERNEL,
	NOPREFETCH,
	ALONE,
	LEVELS,
};

static const char *const level_names[LEVELS] = {"graph", "kernel", "noprefetch", "alone"};

struct shape {
	uint32_t times, m, n, k;
	double body; /* roofline without L0 */
	double cycles[LEVELS];
};

struct suite {
	const char *name;
	enum x1_format a, b, c;
	enum x1_scale_mode sa, sb;
	struct shape shape[MAX_SHAPES];
	uint32_t num;
};

struct machine {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_info info;
};

/* Operands of one product. */
struct set {
	struct sili_bo *a, *b, *sa, *sb;
};

/* ---- lists ---- */

static int format_named(const char *name)
{
	for (int f = 0; f < X1_FMT_COUNT; f++)
		if (!strcmp(sili_format_name((enum x1_format)f), name))
			return f;
	return -1;
}

static int scale_named(const char *name)
{
	static const char *const names[X1_SCALE_COUNT] = {"none", "f32_1x128", "f32_128x128",
							  "mx32", "nv16"};

	for (int s = 0; s < X1_SCALE_COUNT; s++)
		if (!strcmp(names[s], name))
			return s;
	return -1;
}

static bool read_line(struct suite *s, const char *line)
{
	struct shape *sh = &s->shape[s->num];
	char x[3][16];

	if (*line == '#' || *line == '\n')
		return true;
	if (sscanf(line, "format %15s %15s %15s", x[0], x[1], x[2]) == 3) {
		int a = format_named(x[0]), b = format_named(x[1]), c = format_named(x[2]);

		s->a = (enum x1_format)a;
		s->b = (enum x1_format)b;
		s->c = (enum x1_format)c;
		return a >= 0 && b >= 0 && c >= 0;
	}
	if (sscanf(line, "scales %15s %15s", x[0], x[1]) == 2) {
		int a = scale_named(x[0]), b = scale_named(x[1]);

		s->sa = (enum x1_scale_mode)a;
		s->sb = (enum x1_scale_mode)b;
		return a >= 0 && b >= 0;
	}
	if (s->num == MAX_SHAPES ||
	    sscanf(line, "%u %u %u %u", &sh->times, &sh->m, &sh->n, &sh->k) != 4)
		return false;
	s->num++;
	return true;
}

static int read_list(struct suite *s)
{
	char path[4096], line[256];
	bool ok = true;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", SHAPES_DIR, s->name);
	f = fopen(path, "r");
	if (!f)
		return bench_fail(path, -errno);
	while (ok && fgets(line, sizeof(line), f))
		ok = read_line(s, line);
	fclose(f);
	if (!ok)
		fprintf(stderr, "x1-bench: %s: cannot read '%s'\n", path, line);
	return ok && s->num ? 0 : -1;
}

/* ---- one shape ---- */

static size_t scale_bytes(enum x1_scale_mode mode, uint32_t rows, uint32_t k)
{
	return sili_scale_rows(mode, rows) * sili_scale_row_bytes(mode, k);
}

/* Anything that is no zero: time does not depend on it. */
static int fill(struct sili_bo *bo, enum x1_format fmt, float value)
{
	size_t n = sili_bo_size(bo) * 8 / (fmt == X1_FMT_FP32 ? 32 : 8);
	float v[64];
	uint8_t *p = sili_bo_map(bo);

	if (!p)
		return -ENOMEM;
	for (int i = 0; i < 64; i++)
		v[i] = value;
	for (size_t i = 0; i < n; i += 64) {
		int ret = sili_from_f32(fmt, v, p + sili_format_bytes(fmt, i),
					n - i < 64 ? n - i : 64);

		if (ret)
			return ret;
	}
	return 0;
}

static int bo_new(struct sili_device *dev, size_t bytes, enum x1_format fmt, float value,
		  struct sili_bo **bo)
{
	int ret;

	if (!bytes)
		return 0;
	ret = sili_bo_new(dev, bytes, SILI_HBM, 0, bo);
	return ret ? ret : fill(*bo, fmt, value);
}

static int make_set(struct machine *m, const struct suite *s, const struct shape *sh,
		    struct set *set)
{
	int ret = bo_new(m->dev, sili_format_bytes(s->a, (size_t)sh->m * sh->k), s->a, 1, &set->a);

	if (!ret)
		ret = bo_new(m->dev, sili_format_bytes(s->b, (size_t)sh->n * sh->k), s->b, 1,
			     &set->b);
	if (!ret)
		ret = bo_new(m->dev, scale_bytes(s->sa, sh->m, sh->k), X1_FMT_FP32, 0.5f, &set->sa);
	if (!ret)
		ret = bo_new(m->dev, scale_bytes(s->sb, sh->n, sh->k), X1_FMT_FP32, 0.5f, &set->sb);
	return ret;
}

static void free_set(struct set *set)
{
	sili_bo_free(set->a);
	sili_bo_free(set->b);
	sili_bo_free(set->sa);
	sili_bo_free(set->sb);
	*set = (struct set){0};
}

/*
 * A program that reads a line of every page: their translations are in the
 * TLB then. Little is fetched, so HBM is idle again when L2 is dropped.
 */
static int warm(struct machine *m, struct sili_bo *const *bo, uint32_t n)
{
	struct sili_prog *p = sili_prog_new();
	struct sili_kernel *k = NULL;
	union x1_cmd cmds[2];
	int ret;

	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct x1_desc d = {0};
		size_t pages = bo[i] ? (sili_bo_size(bo[i]) + X1_HUGE_SIZE - 1) / X1_HUGE_SIZE : 0;

		if (!pages)
			continue;
		sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(2));
		sili_desc_set(&d, X1_DMA_COUNT0, 1);
		sili_desc_set(&d, X1_DMA_COUNT0 + 1, (int64_t)pages);
		sili_desc_set(&d, X1_DMA_MSTRIDE1, X1_HUGE_SIZE);
		sili_prog_li(p, 16, (int64_t)sili_bo_dva(bo[i]));
		sili_prog_engine(p, X1_OP_PREFETCH, 0, 16, 0, &d);
	}
	sili_prog_emit(p, (struct x1_insn){.op = X1_OP_END});
	ret = sili_prog_finish(p, m->dev, &k);
	sili_prog_free(p);
	if (ret)
		return ret;
	sili_cmd_launch(&cmds[0], k, 1, 1, 1, 0, 0);
	sili_cmd_flush(&cmds[1], X1_FLUSH_L2);
	ret = sili_run(m->queue, cmds, 2);
	sili_kernel_free(k);
	return ret;
}

static void dense(struct sili_gemm *g, const struct suite *s, const struct shape *sh,
		  const struct set *set, const struct sili_bo *c, enum level level)
{
	*g = (struct sili_gemm){
		.size = sizeof(*g),
		.m = sh->m,
		.n = sh->n,
		.k = sh->k,
		.a_fmt = s->a,
		.b_fmt = s->b,
		.c_fmt = s->c,
		.a_scale_mode = s->sa,
		.b_scale_mode = s->sb,
		.a = sili_bo_dva(set->a),
		.b = sili_bo_dva(set->b),
		.a_scales = set->sa ? sili_bo_dva(set->sa) : 0,
		.b_scales = set->sb ? sili_bo_dva(set->sb) : 0,
		.c = sili_bo_dva(c),
		.prefetch = level == NOPREFETCH ? SILI_PREFETCH_OFF
			    : level == GRAPH    ? SILI_PREFETCH_GRAPH
						: SILI_PREFETCH_KERNEL,
	};
}

static int measure(struct machine *m, const struct suite *s, struct shape *sh)
{
	const uint32_t repeat = sh->body > LONG ? 1 : REPEAT;
	struct sili_bo *all[REPEAT * 4 + 1] = {0};
	struct set set[REPEAT] = {0};
	union x1_cmd cmds[REPEAT];
	struct x1_perf perf;
	struct sili_bo *c = NULL;
	int ret = sili_bo_new(m->dev, sili_format_bytes(s->c, (size_t)sh->m * sh->n), SILI_HBM, 0,
			      &c);

	for (uint32_t i = 0; i < repeat && !ret; i++) {
		ret = make_set(m, s, sh, &set[i]);
		memcpy(all + 4 * i, &set[i], sizeof(set[i]));
	}
	all[4 * repeat] = c;
	for (int level = 0; level < LEVELS && !ret; level++) {
		uint32_t n = level == ALONE ? 1 : repeat;

		/* Nothing to be ahead of: the same launch as at kernel level. */
		if (repeat == 1 && level != KERNEL && level != NOPREFETCH)
			continue;
		for (uint32_t i = 0; i < n && ret >= 0; i++) {
			struct sili_gemm g;

			dense(&g, s, sh, &set[i], c, (enum level)level);
			if (level == GRAPH && i + 1 < n) {
				g.ahead[0].dva = sili_bo_dva(set[i + 1].b);
				g.ahead[0].bytes = sili_bo_size(set[i + 1].b);
				g.ahead[1].dva = sili_bo_dva(set[i + 1].a);
				g.ahead[1].bytes = sili_bo_size(set[i + 1].a);
			}
			ret = sili_gemm(m->dev, &g, &cmds[i], 1, NULL);
		}
		if (ret >= 0)
			ret = warm(m, all, 4 * repeat + 1);
		if (!ret)
			ret = sili_run_perf(m->queue, cmds, n, &perf);
		sh->cycles[level] = (double)(perf.cycles + X1_FENCE_CYCLES) / n;
	}
	if (repeat == 1)
		sh->cycles[GRAPH] = sh->cycles[ALONE] = sh->cycles[KERNEL];
	for (uint32_t i = 0; i < repeat; i++)
		free_set(&set[i]);
	sili_bo_free(c);
	return ret;
}

static double body(const struct machine *m, const struct suite *s, const struct shape *sh)
{
	uint32_t ra = x1_format_rate(s->a), rb = x1_format_rate(s->b);
	double mm = (double)sh->m * sh->n * sh->k /
		    ((double)m->info.mcus_healthy * X1_MM_LANES * (ra < rb ? ra : rb));
	double bytes = (double)(sili_format_bytes(s->a, (size_t)sh->m * sh->k) +
				sili_format_bytes(s->b, (size_t)sh->n * sh->k) +
				scale_bytes(s->sa, sh->m, sh->k) +
				scale_bytes(s->sb, sh->n, sh->k));
	double hbm = bytes / m->info.hbm_bw;

	return mm > hbm ? mm : hbm;
}

/* ---- a suite ---- */

static double of_roofline(const struct shape *sh, enum level level)
{
	return (L0 + sh->body) / sh->cycles[level];
}

static void summary(const struct suite *s, enum level level, double *geometric, double *weighted,
		    const struct shape *worst[2])
{
	double logs = 0, times = 0, roof = 0, spent = 0;

	worst[0] = worst[1] = &s->shape[0];
	for (uint32_t i = 0; i < s->num; i++) {
		const struct shape *sh = &s->shape[i];

		logs += sh->times * log(of_roofline(sh, level));
		times += sh->times;
		roof += sh->times * (L0 + sh->body);
		spent += sh->times * sh->cycles[level];
		if (!i || of_roofline(sh, level) < of_roofline(worst[0], level)) {
			worst[1] = worst[0];
			worst[0] = sh;
		} else if (i == 1 || of_roofline(sh, level) < of_roofline(worst[1], level)) {
			worst[1] = sh;
		}
	}
	*geometric = exp(logs / times);
	*weighted = roof / spent;
}

static void print(const struct suite *s)
{
	printf("%-14s %5s %6s %6s %6s %9s %7s", s->name, "times", "m", "n", "k", "roofline", "-L0");
	for (int l = 0; l < LEVELS; l++)
		printf(" %10s", level_names[l]);
	printf("   T-L0 of roofline-L0\n");
	for (uint32_t i = 0; i < s->num; i++) {
		const struct shape *sh = &s->shape[i];

		printf("%-14s %5u %6u %6u %6u %9.0f %7.0f", "", sh->times, sh->m, sh->n, sh->k,
		       L0 + sh->body, sh->body);
		for (int l = 0; l < LEVELS; l++)
			printf(" %10.3f", of_roofline(sh, (enum level)l));
		printf("   %.3f\n", sh->body / (sh->cycles[KERNEL] - L0));
	}
	for (int l = 0; l < LEVELS; l++) {
		const struct shape *w[2];
		double geo, weighted;

		summary(s, (enum level)l, &geo, &weighted, w);
		printf("%-14s %-10s geometric %.3f, time-weighted %.3f; worst %ux%ux%u %.3f, "
		       "%ux%ux%u %.3f\n",
		       "", level_names[l], geo, weighted, w[0]->m, w[0]->n, w[0]->k,
		       of_roofline(w[0], (enum level)l), w[1]->m, w[1]->n, w[1]->k,
		       of_roofline(w[1], (enum level)l));
	}
}

static void add(json_t *root, const struct suite *s, enum level level, const char *what)
{
	const struct shape *worst[2];
	double geo, weighted;
	char name[64];

	summary(s, level, &geo, &weighted, worst);
	snprintf(name, sizeof(name), "suite.%s.%s", s->name, what);
	bench_add(root, name, "ratio", "roofline, geometric mean", geo);
	snprintf(name, sizeof(name), "suite.%s.%s_weighted", s->name, what);
	bench_add(root, name, "ratio", "roofline, weighted by time", weighted);
}

int bench_suite(json_t *root)
{
	const char *only = getenv("BENCH_SUITE");
	static const char *const names[] = {"resnet50_b1", "resnet50_b8",  "bert_base",
					    "gpt2_decode", "gpt2_prefill", "deepseek"};
	const char *spec = getenv("BENCH_SUITE_DEVICE");
	struct machine m = {.info = {.size = sizeof(m.info)}};
	char err[160] = "";
	int ret = sili_open(&m.dev, spec ? spec : "sim", err, sizeof(err));

	if (ret) {
		fprintf(stderr, "x1-bench: suite: %s\n", err);
		return ret;
	}
	ret = sili_get_info(m.dev, &m.info);
	if (!ret)
		ret = sili_queue_new(m.dev, NULL, &m.queue);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !ret; i++) {
		struct suite s = {.name = names[i]};

		if (only && strcmp(only, names[i]))
			continue;
		ret = read_list(&s);
		for (uint32_t j = 0; j < s.num && !ret; j++) {
			s.shape[j].body = body(&m, &s, &s.shape[j]);
			ret = measure(&m, &s, &s.shape[j]);
		}
		if (ret)
			break;
		print(&s);
		add(root, &s, GRAPH, "roofline");
		add(root, &s, KERNEL, "roofline_kernel");
		add(root, &s, NOPREFETCH, "roofline_noprefetch");
		add(root, &s, ALONE, "roofline_alone");
	}
	if (m.queue)
		sili_queue_free(m.queue);
	sili_close(m.dev);
	return ret ? bench_fail("suite", ret) : 0;
}
