// SPDX-License-Identifier: MIT
/* Element-wise operations, reductions, rotary embedding, rows by number. */
#include "ops.h"

/* ---- element-wise ---- */

static const char *const map_names[] = {
	[X1_VEC_MOV] = "copy",        [X1_VEC_NEG] = "neg",       [X1_VEC_ABS] = "abs",
	[X1_VEC_RELU] = "relu",       [X1_VEC_RECIP] = "recip",   [X1_VEC_SQRT] = "sqrt",
	[X1_VEC_RSQRT] = "rsqrt",     [X1_VEC_EXP] = "exp",       [X1_VEC_LOG] = "log",
	[X1_VEC_SIGMOID] = "sigmoid", [X1_VEC_TANH] = "tanh",     [X1_VEC_GELU] = "gelu",
	[X1_VEC_SILU] = "silu",       [X1_VEC_SIN] = "sin",       [X1_VEC_COS] = "cos",
	[X1_VEC_ADD] = "add",         [X1_VEC_SUB] = "sub",       [X1_VEC_MUL] = "mul",
	[X1_VEC_DIV] = "div",         [X1_VEC_MIN] = "min",       [X1_VEC_MAX] = "max",
	[X1_VEC_CMPLT] = "cmplt",     [X1_VEC_CMPLE] = "cmple",   [X1_VEC_CMPEQ] = "cmpeq",
	[X1_VEC_FMA] = "fma",         [X1_VEC_SELECT] = "select",
};

static double apply(enum x1_vec_op op, double a, double b, double c)
{
	switch (op) {
	case X1_VEC_NEG:
		return -a;
	case X1_VEC_ABS:
		return fabs(a);
	case X1_VEC_RELU:
		return a > 0 ? a : 0;
	case X1_VEC_RECIP:
		return 1 / a;
	case X1_VEC_SQRT:
		return sqrt(a);
	case X1_VEC_RSQRT:
		return 1 / sqrt(a);
	case X1_VEC_EXP:
		return exp(a);
	case X1_VEC_LOG:
		return log(a);
	case X1_VEC_SIGMOID:
		return 1 / (1 + exp(-a));
	case X1_VEC_TANH:
		return tanh(a);
	case X1_VEC_GELU:
		return a * 0.5 * erfc(-a * M_SQRT1_2);
	case X1_VEC_SILU:
		return a / (1 + exp(-a));
	case X1_VEC_SIN:
		return sin(a);
	case X1_VEC_COS:
		return cos(a);
	case X1_VEC_ADD:
		return a + b;
	case X1_VEC_SUB:
		return a - b;
	case X1_VEC_MUL:
		return a * b;
	case X1_VEC_DIV:
		return a / b;
	case X1_VEC_MIN:
		return fmin(a, b);
	case X1_VEC_MAX:
		return fmax(a, b);
	case X1_VEC_CMPLT:
		return a < b;
	case X1_VEC_CMPLE:
		return a <= b;
	case X1_VEC_CMPEQ:
		return a == b;
	case X1_VEC_FMA:
		return a * b + c;
	case X1_VEC_SELECT:
		return a != 0 ? b : c;
	default:
		return a;
	}
}

/* Which dimensions an operand repeats, as bits; -1 = it is the scalar. */
struct spread {
	int a, b, c;
};

static int emit_map(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		    enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_map m = *(const struct sili_map *)c->request;

	m.dst.dva = dva[0];
	m.a.dva = dva[1];
	m.b.dva = m.b.dva ? dva[2] : 0;
	m.c.dva = m.c.dva ? dva[c->num - 1] : 0;
	m.prefetch = prefetch;
	return sili_map(dev, &m, cmds, OPS_CMDS);
}

/* Dense but for dimensions that are repeated; elements in *n. */
static void tensor(struct sili_tensor *t, enum x1_format fmt, const uint32_t dim[4], int repeat,
		   size_t *n)
{
	*t = (struct sili_tensor){.fmt = fmt, .dva = 1};
	*n = 1;
	for (uint32_t i = 0; i < 4; i++) {
		if (repeat >> i & 1)
			continue;
		t->stride[i] = i ? (int64_t)sili_format_bytes(fmt, *n) : 1;
		*n *= dim[i];
	}
}

static size_t place(const struct sili_tensor *t, const uint32_t at[4])
{
	size_t byte = 0;

	for (uint32_t i = 1; i < 4; i++)
		byte += at[i] * (size_t)t->stride[i];
	return byte * 8 / x1_format_bits(t->fmt) + at[0] * (size_t)t->stride[0];
}

static void map(enum x1_vec_op op, enum x1_format src, enum x1_format dst, const uint32_t dim[4],
		struct spread s)
{
	struct sili_map m = {.size = sizeof(m),
			     .op = op,
			     .dim = {dim[0], dim[1], dim[2], dim[3]},
			     .b_scalar = -1.75f,
			     .c_scalar = 0.375f};
	size_t n = (size_t)dim[0] * dim[1] * dim[2] * dim[3], na, nb = 0, nc = 0;
	bool binary = op >= X1_VEC_ADD, ternary = op >= X1_VEC_FMA;
	double *want = malloc(n * sizeof(*want)), *tol = malloc(n * sizeof(*tol));
	struct ops_case c;
	size_t i = 0;
	uint32_t at[4];

	if (ops_measure)
		n = (size_t)dim[0] * dim[1] * dim[2] * dim[3];
	tensor(&m.dst, dst, dim, 0, &na);
	tensor(&m.a, src, dim, s.a, &na);
	ops_case(&c, map_names[op], &m, emit_map);
	ops_output(&c, dst, n);
	ops_random(&c, src, na, 4);
	if (binary && s.b >= 0) {
		tensor(&m.b, src, dim, s.b, &nb);
		ops_random(&c, src, nb, 3);
	}
	if (ternary && s.c >= 0) {
		tensor(&m.c, src, dim, s.c, &nc);
		ops_random(&c, src, nc, 2);
	}
	ops_what(&c, "%s → %s%s", sili_format_name(src), sili_format_name(dst),
		 s.a || (binary && s.b) || (ternary && s.c) ? ", broadcast" : "");
	ops_shape(&c, "%u × %u × %u × %u", dim[3], dim[2], dim[1], dim[0]);
	ops_run(&c);
	for (at[3] = 0; at[3] < dim[3]; at[3]++)
		for (at[2] = 0; at[2] < dim[2]; at[2]++)
			for (at[1] = 0; at[1] < dim[1]; at[1]++)
				for (at[0] = 0; at[0] < dim[0]; at[0]++, i++) {
					double a = ops_get(&c, 1, place(&m.a, at));
					double b = nb ? ops_get(&c, 2, place(&m.b, at))
						      : (double)m.b_scalar;
					double k = nc ? ops_get(&c, c.num - 1, place(&m.c, at))
						      : (double)m.c_scalar;

					want[i] = apply(op, a, b, k);
					tol[i] = 0.502 * 0x1p-23 * fabs(want[i]);
				}
	ops_expect(&c, 0, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* Integers wrap: the same operation on 32 bits. */
static void map_int(void)
{
	const uint32_t dim[4] = {37, 5, 1, 1};
	struct sili_map m = {
		.size = sizeof(m), .op = X1_VEC_MUL, .dim = {37, 5, 1, 1}, .b_scalar = 715827904};
	struct ops_case c;
	int32_t want[37 * 5];
	size_t n;

	tensor(&m.dst, X1_FMT_INT32, dim, 0, &n);
	tensor(&m.a, X1_FMT_INT32, dim, 0, &n);
	ops_case(&c, "mul", &m, emit_map);
	ops_output(&c, X1_FMT_INT32, n);
	ops_numbers(&c, n, 1 << 23);
	ops_what(&c, "int32, wrapping");
	ops_shape(&c, "5 × 37");
	ops_run(&c);
	for (size_t i = 0; i < n; i++)
		want[i] = (int32_t)((uint32_t)c.buf[1].v[i] * (uint32_t)m.b_scalar);
	ops_expect_bytes(&c, 0, want);
	ops_end(&c);
}

/* A tensor that is neither dense nor repeated: every third element, rows apart, turned. */
static void map_strided(enum x1_format fmt)
{
	struct sili_map m = {.size = sizeof(m),
			     .op = X1_VEC_ADD,
			     .dim = {7, 3, 50, 1},
			     .dst = {.fmt = fmt},
			     .a = {.fmt = fmt, .dva = 1},
			     .b_scalar = 1};
	uint32_t es = (uint32_t)sili_format_bytes(fmt, 1);
	double want[7 * 3 * 50];
	struct ops_case c;

	/* dst dense; a[k][j][3 i] with the last two exchanged. */
	m.dst.stride[0] = 1;
	m.dst.stride[1] = 7 * es;
	m.dst.stride[2] = 21 * es;
	m.a.stride[0] = 3;
	m.a.stride[1] = 50 * 24 * es;
	m.a.stride[2] = 24 * es;
	ops_case(&c, "add", &m, emit_map);
	ops_output(&c, fmt, 7 * 3 * 50);
	ops_random(&c, fmt, 3 * 50 * 24, 4);
	ops_what(&c, "%s, strided", sili_format_name(fmt));
	ops_shape(&c, "50 × 3 × 7");
	ops_run(&c);
	for (uint32_t k = 0; k < 50; k++)
		for (uint32_t j = 0; j < 3; j++)
			for (uint32_t i = 0; i < 7; i++)
				want[(k * 3 + j) * 7 + i] =
					ops_get(&c, 1, j * 50 * 24 + k * 24 + 3 * i) + 1;
	ops_expect(&c, 0, want, NULL);
	ops_end(&c);
}

/* ---- reductions ---- */

static const char *const reduce_names[] = {"reduce, sum", "reduce, mean", "reduce, max",
					   "reduce, min", "reduce, amax", "reduce, sum of squares"};

static int emit_reduce(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		       enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_reduce r = *(const struct sili_reduce *)c->request;

	r.src = dva[0];
	r.dst = dva[1];
	r.work = dva[2];
	r.prefetch = prefetch;
	return sili_reduce(dev, &r, cmds, OPS_CMDS);
}

static void reduce(enum sili_reduce_op op, bool columns, uint32_t rows, uint32_t cols,
		   enum x1_format src, enum x1_format dst)
{
	struct sili_reduce r = {.size = sizeof(r),
				.op = op,
				.columns = columns,
				.rows = rows,
				.cols = cols,
				.src_fmt = src,
				.dst_fmt = dst};
	uint32_t out = columns ? cols : rows, n = columns ? rows : cols;
	double *want = calloc(out, sizeof(*want)), *tol = calloc(out, sizeof(*tol));
	struct ops_case c;

	ops_case(&c, reduce_names[op], &r, emit_reduce);
	ops_random(&c, src, (size_t)rows * cols, 4);
	ops_output(&c, dst, out);
	c.work_bytes = (uint64_t)sili_reduce_work_bytes(&r);
	ops_what(&c, "%s of %s → %s", columns ? "columns" : "rows", sili_format_name(src),
		 sili_format_name(dst));
	ops_shape(&c, "%u × %u", rows, cols);
	ops_run(&c);
	for (uint32_t i = 0; i < out; i++) {
		double sum = 0, sumsq = 0, abs = 0, max = -INFINITY, min = INFINITY;

		for (uint32_t k = 0; k < n; k++) {
			double v = ops_get(&c, 0,
					   columns ? (size_t)k * cols + i : (size_t)i * cols + k);

			sum += v;
			sumsq += v * v;
			abs += fabs(v);
			max = v > max ? v : max;
			min = v < min ? v : min;
		}
		if (op == SILI_REDUCE_MEAN) {
			sum /= n;
			abs /= n;
		}
		if (columns)
			tol[i] = 0x1p-23 * (6 * ceil(log(n + 1.0) / log(64)) + 1);
		else
			tol[i] = 0x1p-24 * (fmin(n, 16384) / 64 + 16);
		switch (op) {
		case SILI_REDUCE_SUM:
		case SILI_REDUCE_MEAN:
			want[i] = sum;
			tol[i] *= abs;
			break;
		case SILI_REDUCE_SUMSQ:
			want[i] = sumsq;
			tol[i] *= sumsq;
			break;
		default:
			want[i] = op == SILI_REDUCE_MAX   ? max
				  : op == SILI_REDUCE_MIN ? min
							  : fmax(fabs(max), fabs(min));
			tol[i] = 0;
		}
	}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- rotary embedding ---- */

static int emit_rope(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		     enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_rope r = *(const struct sili_rope *)c->request;

	r.src = dva[0];
	r.dst = dva[1];
	if (r.freq) {
		r.freq = dva[2];
		r.positions = dva[3];
	} else {
		r.cos = dva[2];
		r.sin = dva[3];
	}
	r.prefetch = prefetch;
	return sili_rope(dev, &r, cmds, OPS_CMDS);
}

static void rope(uint32_t tokens, uint32_t heads, uint32_t dim, uint32_t rotate, bool interleaved,
		 bool computed, enum x1_format fmt)
{
	struct sili_rope r = {.size = sizeof(r),
			      .tokens = tokens,
			      .heads = heads,
			      .dim = dim,
			      .rotate = rotate,
			      .interleaved = interleaved,
			      .fmt = fmt,
			      .freq = computed,
			      .cos = !computed,
			      .sin = !computed};
	uint32_t half = rotate / 2;
	size_t n = (size_t)tokens * heads * dim;
	double *want = malloc(n * sizeof(*want)), *tol = calloc(n, sizeof(*tol));
	struct ops_case c;

	ops_case(&c, "rotary embedding", &r, emit_rope);
	ops_random(&c, fmt, n, 4);
	ops_output(&c, fmt, n);
	if (computed) {
		double *freq = malloc(half * sizeof(*freq));

		for (uint32_t i = 0; i < half; i++)
			freq[i] = pow(10000, -2.0 * i / rotate);
		ops_values(&c, X1_FMT_FP32, half, freq);
		ops_numbers(&c, tokens, 4096);
		free(freq);
	} else {
		ops_random(&c, X1_FMT_FP32, (size_t)tokens * half, 1);
		ops_random(&c, X1_FMT_FP32, (size_t)tokens * half, 1);
	}
	ops_what(&c, "%s, %s, %s", sili_format_name(fmt), interleaved ? "interleaved" : "halves",
		 computed ? "computed" : "tables");
	ops_shape(&c, "%u × %u × %u", tokens, heads, dim);
	ops_run(&c);
	for (uint32_t t = 0; t < tokens; t++)
		for (uint32_t h = 0; h < heads; h++) {
			size_t base = ((size_t)t * heads + h) * dim;

			for (uint32_t i = rotate; i < dim; i++)
				want[base + i] = ops_get(&c, 0, base + i);
			for (uint32_t i = 0; i < half; i++) {
				size_t i0 = base + (interleaved ? 2 * i : i);
				size_t i1 = base + (interleaved ? 2 * i + 1 : i + half);
				double x0 = ops_get(&c, 0, i0), x1 = ops_get(&c, 0, i1);
				double angle = computed ? ops_get(&c, 2, i) * ops_get(&c, 3, t) : 0;
				double co = computed ? cos(angle)
						     : ops_get(&c, 2, (size_t)t * half + i);
				double si = computed ? sin(angle)
						     : ops_get(&c, 3, (size_t)t * half + i);

				want[i0] = x0 * co - x1 * si;
				want[i1] = x0 * si + x1 * co;
				tol[i0] = tol[i1] = (0x1p-22 + 0x1p-24 * fabs(angle)) *
						    (fabs(x0) + fabs(x1));
			}
		}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- rows by number ---- */

static int emit_rows(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		     enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_rows r = *(const struct sili_rows *)c->request;
	int n = 0;

	r.src = dva[0];
	r.dst = dva[1];
	r.index = dva[2];
	r.prefetch = prefetch;
	if (c->op[0] == 'g')
		return sili_gather(dev, &r, cmds, OPS_CMDS);
	/* What is not written is known. */
	sili_cmd_fill(&cmds[n++], r.dst, c->buf[1].bytes, 0);
	if (!strcmp(c->op, "scatter"))
		return n + sili_scatter(dev, &r, cmds + n, OPS_CMDS);
	return n + sili_scatter_add(dev, &r, cmds + n, OPS_CMDS);
}

static void rows(const char *op, uint32_t n, uint32_t cols, uint32_t limit, enum x1_format src,
		 enum x1_format dst)
{
	struct sili_rows r = {.size = sizeof(r),
			      .rows = n,
			      .cols = cols,
			      .limit = limit,
			      .src_fmt = src,
			      .dst_fmt = dst};
	bool gather = op[0] == 'g', add = !strcmp(op, "scatter-add");
	size_t out = (size_t)(gather ? n : limit) * cols;
	double *want = calloc(out, sizeof(*want)), *tol = calloc(out, sizeof(*tol));
	struct ops_case c;
	uint32_t at;

	ops_case(&c, op, &r, emit_rows);
	ops_random(&c, src, (size_t)(gather ? limit : n) * cols, 4);
	ops_output(&c, dst, out);
	at = ops_numbers(&c, n, limit);
	for (uint32_t i = 0; i < n; i++) {
		/* Some out of range; a scatter has each number once. */
		int32_t number = i % 17 == 5              ? (i & 1 ? -1 : (int32_t)limit)
				 : !strcmp(op, "scatter") ? (int32_t)((i * 7ull) % limit)
							  : (int32_t)c.buf[at].v[i];

		memcpy(c.buf[at].host + 4 * i, &number, 4);
		for (uint32_t k = 0; k < cols && number >= 0 && number < (int32_t)limit; k++) {
			double v = ops_get(&c, 0,
					   (size_t)(gather ? (uint32_t)number : i) * cols + k);
			size_t to = (size_t)(gather ? i : (uint32_t)number) * cols + k;

			want[to] = add ? want[to] + v : v;
			tol[to] += add ? 0x1p-23 * fabs(want[to]) : 0;
		}
	}
	ops_what(&c, "%s → %s", sili_format_name(src), sili_format_name(dst));
	ops_shape(&c, "%u of %u × %u", n, limit, cols);
	ops_run(&c);
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(want);
	free(tol);
}

/* ---- bags ---- */

static int emit_bag(struct sili_device *dev, const struct ops_case *c, const uint64_t *dva,
		    enum sili_prefetch prefetch, union x1_cmd *cmds)
{
	struct sili_bag b = *(const struct sili_bag *)c->request;

	b.table = dva[0];
	b.dst = dva[1];
	b.index = dva[2];
	b.offsets = b.bag_size ? 0 : dva[3];
	b.weights = b.weights ? dva[c->num - 1] : 0;
	b.prefetch = prefetch;
	return sili_bag(dev, &b, cmds, OPS_CMDS);
}

/* size 0: bags of up to `most` rows, some empty. */
static void bag(enum sili_bag_op op, uint32_t bags, uint32_t cols, uint32_t limit, uint32_t size,
		uint32_t most, bool weights, enum x1_format table, enum x1_format dst)
{
	static const char *const names[] = {"embedding bag sum", "embedding bag mean",
					    "embedding bag max"};
	struct sili_bag b = {.size = sizeof(b),
			     .op = op,
			     .bags = bags,
			     .cols = cols,
			     .limit = limit,
			     .bag_size = size,
			     .weights = weights,
			     .table_fmt = table,
			     .dst_fmt = dst};
	uint32_t *offsets = calloc(bags + 1, sizeof(*offsets)), n;
	double *want = calloc((size_t)bags * cols, sizeof(*want));
	double *tol = calloc((size_t)bags * cols, sizeof(*tol));
	struct ops_case c;

	for (uint32_t i = 0; i < bags; i++)
		offsets[i + 1] = offsets[i] + (size         ? size
					       : i % 5 == 2 ? 0
							    : ops_rand() % most + 1);
	n = offsets[bags];
	ops_case(&c, names[op], &b, emit_bag);
	ops_random(&c, table, (size_t)limit * cols, 4);
	ops_output(&c, dst, (size_t)bags * cols);
	ops_numbers(&c, n, limit);
	if (!size)
		ops_bytes(&c, offsets, (bags + 1) * sizeof(*offsets));
	if (weights)
		ops_random(&c, X1_FMT_FP32, n, 1);
	ops_what(&c, "%s → %s%s", sili_format_name(table), sili_format_name(dst),
		 weights ? ", weighted" : "");
	ops_shape(&c, "%u of %u × %u, %u numbers", bags, limit, cols, n);
	ops_run(&c);
	for (uint32_t i = 0; i < bags; i++) {
		uint32_t rows = offsets[i + 1] - offsets[i];

		for (uint32_t k = 0; k < cols && rows; k++) {
			double sum = 0, abs = 0, top = -INFINITY;

			for (uint32_t j = offsets[i]; j < offsets[i + 1]; j++) {
				double v = ops_get(&c, 0, (size_t)ops_get(&c, 2, j) * cols + k);

				if (weights)
					v *= ops_get(&c, c.num - 1, j);
				sum += v;
				abs += fabs(v);
				top = v > top ? v : top;
			}
			want[(size_t)i * cols + k] = op == SILI_BAG_MAX    ? top
						     : op == SILI_BAG_MEAN ? sum / rows
									   : sum;
			tol[(size_t)i * cols + k] =
				op == SILI_BAG_MAX ? 0
						   : 0x1p-24 * (rows + 2) * abs /
							     (op == SILI_BAG_MEAN ? rows : 1);
		}
	}
	ops_expect(&c, 1, want, tol);
	ops_end(&c);
	free(offsets);
	free(want);
	free(tol);
}

static void bad_requests(void)
{
	struct sili_map m = {.size = sizeof(m), .op = X1_VEC_ADD, .dim = {8, 4, 1, 1}};
	struct sili_reduce r = {
		.size = sizeof(r), .rows = 4, .cols = 20000, .src = 4096, .dst = 8192};
	struct sili_rope p = {.size = sizeof(p), .tokens = 2, .heads = 2, .dim = 8};
	struct sili_rows g = {.size = sizeof(g),
			      .rows = 4,
			      .cols = 8,
			      .limit = 10,
			      .src = 4096,
			      .dst = 8192,
			      .index = 12288};
	struct sili_bag b = {.size = sizeof(b),
			     .bags = 2,
			     .cols = 8,
			     .limit = 4,
			     .table = 4096,
			     .dst = 8192,
			     .index = 12288,
			     .offsets = 16384};
	struct sili_device *dev = ops_device();
	union x1_cmd cmd[4];

	m.dst = m.a = (struct sili_tensor){.dva = 4096, .stride = {1, 32}};
	OPS_REFUSED(sili_map, m, size, 0, -EINVAL);
	OPS_REFUSED(sili_map, m, op, X1_VEC_TOPK, -EINVAL);
	OPS_REFUSED(sili_map, m, op, (enum x1_vec_op) - 1, -EINVAL);
	OPS_REFUSED(sili_map, m, dim[2], 0, -EINVAL);
	OPS_REFUSED(sili_map, m, a.dva, 0, -EINVAL);
	OPS_REFUSED(sili_map, m, a.stride[1], -4, -EINVAL);
	OPS_REFUSED(sili_map, m, dst.stride[1], 0, -EINVAL);
	OPS_REFUSED(sili_map, m, dim[1], UINT32_MAX, 1);
	m.dst.stride[2] = m.dst.stride[3] = 8;
	m.dim[2] = m.dim[3] = 1 << 20;
	OPS_REFUSED(sili_map, m, dim[1], UINT32_MAX, -E2BIG);
	m.dim[2] = m.dim[3] = 1;
	OPS_REFUSED(sili_map, m, a.fmt, X1_FMT_E8M0, -EINVAL);
	m.a.fmt = X1_FMT_E2M1;
	OPS_REFUSED(sili_map, m, a.stride[0], 2, -EINVAL);
	OPS_REFUSED(sili_reduce, r, size, 1, -EINVAL);
	OPS_REFUSED(sili_reduce, r, op, (enum sili_reduce_op)9, -EINVAL);
	OPS_REFUSED(sili_reduce, r, work, 0, -EINVAL);
	assert_int_equal(sili_reduce_work_bytes(&r), 64);
	r.work = 4096;
	assert_int_equal(sili_reduce(dev, &r, cmd, 1), -ENOSPC);
	OPS_REFUSED(sili_reduce, r, dst_fmt, X1_FMT_INT4, -EINVAL);
	OPS_REFUSED(sili_rope, p, cos, 4096, -EINVAL);
	p.cos = p.sin = 4096;
	OPS_REFUSED(sili_rope, p, heads, UINT32_MAX, -E2BIG);
	OPS_REFUSED(sili_rope, p, tokens, UINT32_MAX, 1);
	p.cos = p.sin = 0;
	p.freq = p.positions = 4096;
	OPS_REFUSED(sili_rope, p, rotate, 3, -EINVAL);
	OPS_REFUSED(sili_rope, p, rotate, 10, -EINVAL);
	OPS_REFUSED(sili_rope, p, cos, 4096, -EINVAL);
	OPS_REFUSED(sili_rope, p, fmt, X1_FMT_E2M1, -EINVAL);
	OPS_REFUSED(sili_bag, b, bag_size, 2, -EINVAL);
	OPS_REFUSED(sili_bag, b, offsets, 0, -EINVAL);
	OPS_REFUSED(sili_bag, b, op, (enum sili_bag_op)3, -EINVAL);
	b.op = SILI_BAG_MEAN;
	OPS_REFUSED(sili_bag, b, weights, 4096, -EINVAL);
	OPS_REFUSED(sili_gather, g, index, 0, -EINVAL);
	OPS_REFUSED(sili_gather, g, limit, 0, -EINVAL);
	OPS_REFUSED(sili_scatter, g, cols, 0, -EINVAL);
	OPS_REFUSED(sili_scatter_add, g, limit, 1u << 31, -EINVAL);
	OPS_REFUSED(sili_scatter_add, g, src_stride, 3, -EINVAL);
}

void ops_map(void **state)
{
	static const enum x1_format fmts[] = {X1_FMT_FP32, X1_FMT_BF16, X1_FMT_FP16, X1_FMT_E4M3,
					      X1_FMT_E5M2, X1_FMT_E2M3, X1_FMT_E2M1, X1_FMT_INT8};
	static const uint32_t one[4] = {1, 1, 1, 1}, row[4] = {5000, 1, 1, 1},
			      box[4] = {24, 7, 5, 3}, tall[4] = {1, 700, 1, 2},
			      wide[4] = {1040, 3, 2, 1}, few[4] = {40, 3, 1, 1};
	static const uint32_t large[4] = {1024, 4096, 1, 1};

	(void)state;
	if (ops_measure) {
		map(X1_VEC_ADD, X1_FMT_BF16, X1_FMT_BF16, large, (struct spread){0, 0, 0});
		map(X1_VEC_GELU, X1_FMT_FP16, X1_FMT_E4M3, large, (struct spread){0, 0, 0});
		map(X1_VEC_MUL, X1_FMT_BF16, X1_FMT_BF16, large, (struct spread){0, 2, 0});
		map(X1_VEC_MOV, X1_FMT_FP32, X1_FMT_BF16, large, (struct spread){0, 0, 0});
		reduce(SILI_REDUCE_SUM, false, 4096, 1024, X1_FMT_BF16, X1_FMT_FP32);
		reduce(SILI_REDUCE_SUM, true, 4096, 1024, X1_FMT_BF16, X1_FMT_FP32);
		reduce(SILI_REDUCE_AMAX, false, 1, 4 << 20, X1_FMT_BF16, X1_FMT_FP32);
		rope(4096, 32, 128, 128, false, false, X1_FMT_BF16);
		rope(4096, 1, 64, 64, true, true, X1_FMT_BF16);
		rows("gather", 8192, 1024, 30000, X1_FMT_BF16, X1_FMT_BF16);
		rows("scatter", 8192, 1024, 30000, X1_FMT_BF16, X1_FMT_BF16);
		rows("scatter-add", 8192, 1024, 2048, X1_FMT_BF16, X1_FMT_FP32);
		bag(SILI_BAG_SUM, 4096, 128, 100000, 0, 64, false, X1_FMT_BF16, X1_FMT_BF16);
		bag(SILI_BAG_SUM, 1024, 2048, 8192, 8, 0, true, X1_FMT_BF16, X1_FMT_BF16);
		bag(SILI_BAG_MAX, 4096, 128, 100000, 0, 64, false, X1_FMT_BF16, X1_FMT_BF16);
		return;
	}
	bad_requests();
	for (enum x1_vec_op op = X1_VEC_MOV; op <= X1_VEC_SELECT; op++) {
		if (!map_names[op])
			continue;
		map(op, X1_FMT_FP32, X1_FMT_FP32, box, (struct spread){0, 0, 0});
		map(op, X1_FMT_FP16, X1_FMT_BF16, wide, (struct spread){0, 2, 1});
		for (size_t f = 0; f < 8; f++)
			map(op, fmts[f], X1_FMT_FP32, few, (struct spread){0, 0, 0});
	}
	for (size_t f = 0; f < 8; f++) {
		enum x1_format to = fmts[(f + 3) % 8];

		map(X1_VEC_MOV, fmts[f], to, row, (struct spread){0, 0, 0});
		map(X1_VEC_ADD, fmts[f], to, box, (struct spread){0, 6, 0});
		map(X1_VEC_FMA, fmts[f], to, wide, (struct spread){0, -1, 14});
		map(X1_VEC_MUL, fmts[f], to, box, (struct spread){8, 2, 0});
		if (x1_format_bits(fmts[f]) >= 8) {
			map(X1_VEC_MUL, fmts[f], X1_FMT_FP32, one, (struct spread){0, 0, 0});
			map(X1_VEC_SUB, fmts[f], X1_FMT_FP16, tall, (struct spread){0, 0, 0});
			map(X1_VEC_MAX, fmts[f], X1_FMT_FP32, box, (struct spread){15, 0, 0});
			map(X1_VEC_SUB, fmts[f], X1_FMT_FP32, box, (struct spread){0, 1, 0});
			map(X1_VEC_SELECT, fmts[f], X1_FMT_FP32, box, (struct spread){1, 5, 10});
			map(X1_VEC_MOV, fmts[f], X1_FMT_FP32, box, (struct spread){3, 0, 0});
			map_strided(fmts[f]);
			for (uint32_t r = SILI_REDUCE_SUM; r <= SILI_REDUCE_SUMSQ; r++) {
				reduce((enum sili_reduce_op)r, false, 67, 130, fmts[f],
				       X1_FMT_FP32);
				reduce((enum sili_reduce_op)r, true, 67, 130, fmts[f], X1_FMT_FP32);
			}
		}
	}
	map_int();
	for (uint32_t r = SILI_REDUCE_SUM; r <= SILI_REDUCE_SUMSQ; r++) {
		reduce((enum sili_reduce_op)r, false, 3, 40000, X1_FMT_BF16, X1_FMT_BF16);
		reduce((enum sili_reduce_op)r, true, 5000, 6, X1_FMT_FP16, X1_FMT_FP16);
		reduce((enum sili_reduce_op)r, true, 1, 1, X1_FMT_FP32, X1_FMT_FP32);
		reduce((enum sili_reduce_op)r, false, 1, 1, X1_FMT_FP32, X1_FMT_FP32);
	}
	reduce(SILI_REDUCE_SUM, true, 65, 3000, X1_FMT_E2M1, X1_FMT_FP16);
	rope(9, 4, 64, 64, false, false, X1_FMT_FP32);
	rope(9, 4, 64, 64, true, false, X1_FMT_BF16);
	rope(300, 1, 64, 64, true, true, X1_FMT_BF16);
	rope(33, 3, 80, 32, false, true, X1_FMT_FP16);
	rope(33, 3, 80, 32, true, true, X1_FMT_E4M3);
	rope(1, 1, 2, 2, false, false, X1_FMT_FP32);
	rope(500, 2, 16, 8, true, false, X1_FMT_FP16);
	rows("gather", 200, 96, 50, X1_FMT_FP16, X1_FMT_FP16);
	rows("gather", 3000, 8, 1, X1_FMT_E2M1, X1_FMT_FP32);
	rows("gather", 3, 9000, 4, X1_FMT_BF16, X1_FMT_E4M3);
	rows("gather", 1, 1, 1, X1_FMT_FP32, X1_FMT_FP32);
	rows("scatter", 90, 96, 101, X1_FMT_FP16, X1_FMT_FP16);
	rows("scatter", 90, 3000, 101, X1_FMT_FP32, X1_FMT_FP16);
	rows("scatter", 1, 1, 1, X1_FMT_FP32, X1_FMT_FP32);
	rows("scatter-add", 700, 40, 90, X1_FMT_FP16, X1_FMT_FP32);
	rows("scatter-add", 300, 200, 1300, X1_FMT_FP32, X1_FMT_BF16);
	rows("scatter-add", 1, 1, 1, X1_FMT_FP32, X1_FMT_FP32);
	for (int op = SILI_BAG_SUM; op <= SILI_BAG_MAX; op++) {
		bag((enum sili_bag_op)op, 100, 24, 70, 0, 9, false, X1_FMT_FP16, X1_FMT_FP32);
		bag((enum sili_bag_op)op, 7, 1000, 70, 5, 0, false, X1_FMT_FP32, X1_FMT_FP16);
		bag((enum sili_bag_op)op, 3, 6, 9, 0, 9000, false, X1_FMT_BF16, X1_FMT_FP32);
		bag((enum sili_bag_op)op, 1, 1, 1, 1, 0, false, X1_FMT_FP32, X1_FMT_FP32);
	}
	bag(SILI_BAG_SUM, 50, 600, 70, 8, 0, true, X1_FMT_BF16, X1_FMT_BF16);
	bag(SILI_BAG_SUM, 50, 40, 70, 0, 40, true, X1_FMT_E2M1, X1_FMT_FP32);
}
