// SPDX-License-Identifier: MIT
#include "ops.h"
#include "x1/x1_fault.h"

bool ops_measure;

static struct machine {
	const char *spec;
	struct sili_device *dev;
	struct sili_queue *queue;
} machines[] = {{.spec = "sim:hbm=256M,mcus=24"}, {.spec = "sim:hbm=256M,mcus=5,hbm_bw=64"}},
  whole = {.spec = "sim:hbm=1G"};

#define NUM_MACHINES (sizeof(machines) / sizeof(machines[0]))

static uint32_t seed = 1;

uint32_t ops_rand(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static void open_machine(struct machine *m)
{
	if (m->dev)
		return;
	m->dev = t_open(m->spec);
	m->queue = t_queue(m->dev);
}

struct sili_device *ops_device(void)
{
	open_machine(&machines[0]);
	return machines[0].dev;
}

static void close_machine(struct machine *m)
{
	if (!m->dev)
		return;
	sili_queue_free(m->queue);
	sili_close(m->dev);
}

/* ---- building a case ---- */

void ops_case(struct ops_case *c, const char *op, const void *request,
	      int (*emit)(struct sili_device *, const struct ops_case *, const uint64_t *,
			  enum sili_prefetch, union x1_cmd *))
{
	memset(c, 0, sizeof(*c));
	c->op = op;
	c->request = request;
	c->emit = emit;
}

void ops_what(struct ops_case *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->what, sizeof(c->what), fmt, ap);
	va_end(ap);
}

void ops_shape(struct ops_case *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->shape, sizeof(c->shape), fmt, ap);
	va_end(ap);
}

static uint32_t add(struct ops_case *c, enum x1_format fmt, size_t n, bool out)
{
	struct ops_buf *b = &c->buf[c->num];

	assert_true(c->num < OPS_BUFS);
	b->fmt = fmt;
	b->n = n;
	b->bytes = sili_format_bytes(fmt, n);
	b->host = calloc(1, b->bytes + 8);
	b->out = out;
	return c->num++;
}

uint32_t ops_values(struct ops_case *c, enum x1_format fmt, size_t n, const double *v)
{
	uint32_t i = add(c, fmt, n, false);
	struct ops_buf *b = &c->buf[i];
	float *f = malloc(n * sizeof(*f));

	for (size_t k = 0; k < n; k++)
		f[k] = (float)v[k];
	assert_int_equal(sili_from_f32(fmt, f, b->host, n), 0);
	sili_to_f32(fmt, b->host, f, n);
	b->v = malloc(n * sizeof(*b->v));
	for (size_t k = 0; k < n; k++)
		b->v[k] = f[k];
	free(f);
	return i;
}

uint32_t ops_random(struct ops_case *c, enum x1_format fmt, size_t n, double scale)
{
	double *v = malloc(n * sizeof(*v));
	uint32_t i;

	for (size_t k = 0; k < n; k++)
		v[k] = ((int)(ops_rand() % 20001) - 10000) * 1e-4 * scale;
	i = ops_values(c, fmt, n, v);
	free(v);
	return i;
}

uint32_t ops_bytes(struct ops_case *c, const void *data, size_t bytes)
{
	uint32_t i = add(c, X1_FMT_INT8, bytes, false);

	memcpy(c->buf[i].host, data, bytes);
	return i;
}

uint32_t ops_numbers(struct ops_case *c, size_t n, uint32_t limit)
{
	uint32_t i = add(c, X1_FMT_INT32, n, false);
	struct ops_buf *b = &c->buf[i];

	b->v = malloc(n * sizeof(*b->v));
	for (size_t k = 0; k < n; k++) {
		int32_t number = (int32_t)(ops_rand() % limit);

		memcpy(b->host + 4 * k, &number, 4);
		b->v[k] = number;
	}
	return i;
}

uint32_t ops_output(struct ops_case *c, enum x1_format fmt, size_t n)
{
	return add(c, fmt, n, true);
}

double ops_get(const struct ops_case *c, uint32_t buf, size_t i)
{
	const struct ops_buf *b = &c->buf[buf];
	float f;

	if (b->v)
		return b->v[i];
	x1_unpack_f32(b->fmt, b->host, i, &f, 1);
	return f;
}

/* ---- running it ---- */

static void run_on(struct ops_case *c, struct machine *m, enum sili_prefetch prefetch, bool first,
		   bool measure)
{
	struct sili_bo *bo[OPS_BUFS + 1];
	uint64_t dva[OPS_BUFS + 1];
	union x1_cmd cmds[OPS_CMDS + 1], flush;
	struct x1_perf perf;
	struct sili_info info = {.size = sizeof(info)};
	int n;

	open_machine(m);
	for (uint32_t i = 0; i < c->num; i++) {
		struct ops_buf *b = &c->buf[i];

		bo[i] = t_bo(m->dev, b->bytes + 8, SILI_HBM);
		/* What an output holds before must not show. */
		if (b->out)
			memset(sili_bo_map(bo[i]), 0x5a, b->bytes + 8);
		else
			memcpy(sili_bo_map(bo[i]), b->host, b->bytes);
		dva[i] = sili_bo_dva(bo[i]);
	}
	bo[c->num] = t_bo(m->dev, c->work_bytes + 8, SILI_HBM);
	dva[c->num] = sili_bo_dva(bo[c->num]);
	n = c->emit(m->dev, c, dva, prefetch, cmds);
	if (n <= 0)
		fail_msg("%s %s %s: %d", c->op, c->what, c->shape, n);
	if (measure) {
		/* Operands cold in HBM, translations warm. */
		t_run(m->queue, cmds, (uint32_t)n, 0);
		sili_cmd_flush(&flush, X1_FLUSH_L2);
		t_run(m->queue, &flush, 1, 0);
		assert_int_equal(sili_run_perf(m->queue, cmds, (uint32_t)n, &perf), 0);
		sili_get_info(m->dev, &info);
		printf("@\t%s\t%s\t%s\t%d\t%llu\t%llu\t%llu\n", c->op, c->what, c->shape, prefetch,
		       (unsigned long long)perf.cycles, (unsigned long long)info.hbm_bw,
		       (unsigned long long)(perf.bytes_hbm_read + perf.bytes_hbm_write));
	} else if (sili_run(m->queue, cmds, (uint32_t)n)) {
		fail_msg("%s %s %s: %s on %s, prefetch %d", c->op, c->what, c->shape,
			 x1_fault_name(t_fault(m->queue)), m->spec, prefetch);
	}
	for (uint32_t i = 0; i < c->num; i++) {
		struct ops_buf *b = &c->buf[i];
		uint8_t *got = sili_bo_map(bo[i]);

		if (b->out && first)
			memcpy(b->host, got, b->bytes);
		else if (memcmp(b->host, got, b->bytes))
			fail_msg("%s %s %s: buffer %u differs on %s, prefetch %d", c->op, c->what,
				 c->shape, i, m->spec, prefetch);
		/* Nothing is written behind the end. */
		if (b->out)
			for (uint32_t k = 0; k < 8; k++)
				assert_int_equal(got[b->bytes + k], 0x5a);
		sili_bo_free(bo[i]);
	}
	sili_bo_free(bo[c->num]);
}

void ops_run(struct ops_case *c)
{
	if (ops_measure) {
		run_on(c, &whole, SILI_PREFETCH_KERNEL, true, true);
		run_on(c, &whole, SILI_PREFETCH_OFF, false, true);
		return;
	}
	for (size_t i = 0; i < NUM_MACHINES; i++)
		for (int pf = SILI_PREFETCH_OFF; pf <= SILI_PREFETCH_KERNEL; pf++)
			run_on(c, &machines[i], (enum sili_prefetch)pf,
			       !i && pf == SILI_PREFETCH_OFF, false);
}

/* ---- what it gave ---- */

/* Half the distance of the codes around v. */
static double half_step(enum x1_format fmt, double v)
{
	static const struct {
		int bits, min;
	} of[X1_FMT_COUNT] = {
		[X1_FMT_FP32] = {24, -126}, [X1_FMT_TF32] = {11, -126}, [X1_FMT_BF16] = {8, -126},
		[X1_FMT_FP16] = {11, -14},  [X1_FMT_E4M3] = {4, -6},    [X1_FMT_E5M2] = {3, -14},
		[X1_FMT_E3M2] = {3, -2},    [X1_FMT_E2M3] = {4, 0},     [X1_FMT_E2M1] = {2, 0},
	};
	int e;

	if (x1_format_is_int(fmt))
		return 0.5;
	frexp(v, &e);
	e = e - 1 < of[fmt].min ? of[fmt].min : e - 1;
	return ldexp(1, e - of[fmt].bits);
}

static double largest(enum x1_format fmt)
{
	switch (fmt) {
	case X1_FMT_INT4:
		return 7;
	case X1_FMT_INT8:
		return 127;
	case X1_FMT_INT32:
		return INT32_MAX;
	default:
		return x1_decode(fmt, x1_encode(fmt, INFINITY, true));
	}
}

void ops_expect(struct ops_case *c, uint32_t buf, const double *want, const double *tol)
{
	const struct ops_buf *b = &c->buf[buf];
	double max = largest(b->fmt);

	for (size_t i = 0; i < b->n; i++) {
		double got = ops_get(c, buf, i), w = want[i], bound, part;

		if (w > max)
			w = max;
		if (w < -max && !x1_format_is_int(b->fmt))
			w = -max;
		if (isnan(w) && isnan(got))
			continue;
		bound = (tol ? tol[i] : 0) + half_step(b->fmt, fabs(w) + (tol ? tol[i] : 0));
		part = fabs(got - w) / bound;
		if (!(part <= 1))
			fail_msg("%s %s %s: buffer %u[%zu] is %.9g, expected %.9g, bound %.3g",
				 c->op, c->what, c->shape, buf, i, got, want[i], bound);
		/* Of other formats the conversion is most of it. */
		if (b->fmt == X1_FMT_FP32 && part > c->worst)
			c->worst = part;
	}
}

void ops_expect_bytes(struct ops_case *c, uint32_t buf, const void *want)
{
	const struct ops_buf *b = &c->buf[buf];

	for (size_t i = 0; i < b->bytes; i++)
		if (b->host[i] != ((const uint8_t *)want)[i])
			fail_msg("%s %s %s: buffer %u, byte %zu is %02x, expected %02x", c->op,
				 c->what, c->shape, buf, i, b->host[i], ((const uint8_t *)want)[i]);
}

void ops_end(struct ops_case *c)
{
	if (!ops_measure)
		printf("#\t%s\t%s\t%s\t%.3f\n", c->op, c->what, c->shape, c->worst);
	for (uint32_t i = 0; i < c->num; i++) {
		free(c->buf[i].host);
		free(c->buf[i].v);
	}
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_MACHINES; i++)
		close_machine(&machines[i]);
	close_machine(&whole);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ops_norm),   cmocka_unit_test(ops_map),
		cmocka_unit_test(ops_shapes), cmocka_unit_test(ops_route),
		cmocka_unit_test(ops_quant),
	};

	ops_measure = argc > 1 && !strcmp(argv[1], "measure");
	return cmocka_run_group_tests(tests, NULL, teardown);
}
