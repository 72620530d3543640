// SPDX-License-Identifier: MIT
/*
 * Graphs on a device: compiled once, run as often as wanted.
 *
 * Nodes run in order on one queue. Weights that HBM has no room for are copied
 * by a second one, through two windows: word COPIED counts copies, word USED
 * the nodes that are done with one, word BEGUN the runs.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "x1/x1_fault.h"

#define CHUNK 4000u /* commands of a submission */

enum sync_word {
	WORD_COPIED = 0,
	WORD_USED = 8, /* words that queues wait for are lines of their own */
	WORD_BEGUN = 16,
	WORDS = 24,
};

/* ---- compiling ---- */

static int resolve(struct sili_exec *x, const struct sili_exec_attr *attr)
{
	x->attr = attr ? *attr : (struct sili_exec_attr){.size = sizeof(*attr)};
	if (x->attr.size != sizeof(*attr) || x->attr.flags & ~SILI_EXEC_FLAGS ||
	    x->attr.prefetch > SILI_PREFETCH_GRAPH || x->attr.scaling > SILI_SCALING_BLOCKS ||
	    x->attr.reserved) {
		graph_fail(x->g, -EINVAL, NULL, "attr",
			   "size, flags, prefetch, scaling or reserved is not right");
		return -EINVAL;
	}
	x->precision = x->attr.precision ? (enum x1_format)(x->attr.precision - 1) : X1_FMT_E4M3;
	x->act_fmt = x->attr.act_fmt ? (enum x1_format)(x->attr.act_fmt - 1) : X1_FMT_BF16;
	x->attr.prefetch = sili_prefetch_mode(x->attr.prefetch);
	if (!x1_format_rate(x->precision) || x1_format_is_int(x->precision)) {
		graph_fail(x->g, -EINVAL, NULL, "attr.precision",
			   "%s is none of MATRIX's for numbers", sili_format_name(x->precision));
		return -EINVAL;
	}
	if (!x1_format_bits(x->act_fmt) || x1_format_is_int(x->act_fmt) ||
	    x->act_fmt == X1_FMT_E8M0) {
		graph_fail(x->g, -EINVAL, NULL, "attr.act_fmt", "%s holds no numbers",
			   sili_format_name(x->act_fmt));
		return -EINVAL;
	}
	return 0;
}

/* Precisions of single nodes, which only a device makes limits for. */
static int check_precisions(struct sili_exec *x)
{
	for (uint32_t i = 0; i < x->g->num_nodes; i++) {
		const struct graph_node *node = &x->g->node[i];
		uint32_t fmt = node->n.precision - 1;
		bool matrix = graph_op(node->n.op)->flags & GRAPH_EPILOGUE;

		if (node->n.precision &&
		    (x1_format_is_int(fmt) || (matrix && !x1_format_rate(fmt)))) {
			graph_fail(x->g, -ENOTSUP, node, "precision", "%s is not for this operator",
				   sili_format_name((enum x1_format)fmt));
			return -ENOTSUP;
		}
	}
	return 0;
}

static int compile(struct sili_exec *x, const struct sili_exec_attr *attr)
{
	int ret = resolve(x, attr);

	if (!ret)
		ret = sili_graph_check(x->g);
	if (!ret)
		ret = check_precisions(x);
	if (!ret)
		ret = exec_passes(x);
	if (!ret)
		ret = exec_memory(x);
	if (!ret)
		ret = exec_weights(x);
	if (!ret)
		ret = exec_lower(x);
	return ret;
}

static int make_queues(struct sili_exec *x)
{
	int ret = sili_queue_new(x->dev, NULL, &x->queue);

	if (ret || !x->info.streamed_bytes)
		return ret;
	ret = sili_queue_new(x->dev, NULL, &x->copy_queue);
	return ret ? ret : sili_bo_new(x->dev, WORDS * 8, SILI_HBM, 0, &x->sync);
}

/* All that comes from HBM for sure, once; MATRIX at full rate. */
static void floors(struct sili_exec *x)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < x->num_weights; i++)
		if (!x->weight[i].gathered)
			bytes += x->weight[i].bytes + x->weight[i].scale_bytes;
	for (uint32_t i = 0; i < x->g->num_nodes; i++) {
		const struct graph_node *node = &x->g->node[i];

		/* As many bytes of a table as come out of it. */
		if (node->n.op == SILI_OP_EMBEDDING)
			bytes += graph_elements(exec_tensor(x, node->out[0])) *
				 x1_format_bits(exec_tensor(x, node->n.in[1])->fmt) / 8;
		x->info.roofline_cycles += x->node[i].roofline;
	}
	for (uint32_t i = 0; i < x->g->num_inputs; i++)
		bytes += graph_bytes(&x->g->tensor[x->g->input[i]]);
	x->info.floor_cycles = sili_div_up(bytes, x->dev->info.hbm_bw);
}

SILI_EXPORT int sili_exec_new(struct sili_device *dev, const struct sili_graph *graph,
			      const struct sili_exec_attr *attr, struct sili_exec **out, char *err,
			      size_t err_len)
{
	struct sili_exec *x;
	int ret;

	*out = NULL;
	if (graph->code)
		return sili_fail(err, err_len, -EINVAL, "%s", graph->error);
	x = calloc(1, sizeof(*x));
	if (!x)
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	x->dev = dev;
	x->g = graph_clone(graph);
	if (!x->g) {
		free(x);
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	}
	ret = compile(x, attr);
	if (!ret)
		ret = make_queues(x);
	if (ret) {
		sili_fail(err, err_len, ret, "%s", x->g->code ? x->g->error : strerror(-ret));
		sili_exec_free(x);
		return ret;
	}
	floors(x);
	x->info.nodes = x->g->num_nodes;
	x->info.queues = x->copy_queue ? 2 : 1;
	*out = x;
	return 0;
}

SILI_EXPORT void sili_exec_free(struct sili_exec *x)
{
	if (!x)
		return;
	if (x->queue)
		sili_queue_free(x->queue);
	if (x->copy_queue)
		sili_queue_free(x->copy_queue);
	sili_bo_free(x->weights);
	sili_bo_free(x->arena);
	sili_bo_free(x->io);
	sili_bo_free(x->host);
	sili_bo_free(x->sync);
	sili_bo_free(x->perf);
	sili_graph_free(x->g);
	free(x->t);
	free(x->node);
	free(x->weight);
	free(x->input_offset);
	free(x->output_offset);
	free(x->cmds);
	free(x);
}

/* ---- inputs and outputs ---- */

static void *io_at(struct sili_exec *x, uint64_t offset)
{
	uint8_t *base = sili_bo_map(x->io);

	return base ? base + offset : NULL;
}

SILI_EXPORT void *sili_exec_input(struct sili_exec *x, uint32_t i)
{
	return i < x->g->num_inputs ? io_at(x, x->input_offset[i]) : NULL;
}

SILI_EXPORT void *sili_exec_output(struct sili_exec *x, uint32_t i)
{
	return i < x->g->num_outputs ? io_at(x, x->output_offset[i]) : NULL;
}

SILI_EXPORT int sili_exec_set_input(struct sili_exec *x, uint32_t i, const float *src, size_t n)
{
	const struct graph_tensor *t;

	if (i >= x->g->num_inputs)
		return -EINVAL;
	t = &x->g->tensor[x->g->input[i]];
	if (n != graph_elements(t))
		return -EINVAL;
	return sili_exec_input(x, i) ? sili_from_f32(t->fmt, src, sili_exec_input(x, i), n)
				     : -ENOMEM;
}

SILI_EXPORT int sili_exec_get_output(struct sili_exec *x, uint32_t i, float *dst, size_t n)
{
	const struct graph_tensor *t;

	if (i >= x->g->num_outputs)
		return -EINVAL;
	t = &x->g->tensor[x->g->output[i].tensor];
	if (n != graph_elements(t))
		return -EINVAL;
	return sili_exec_output(x, i) ? sili_to_f32(t->fmt, sili_exec_output(x, i), dst, n)
				      : -ENOMEM;
}

/* ---- running ---- */

/* Commands of one queue, growing. */
struct stream {
	union x1_cmd *cmd;
	uint32_t n, room;
};

static bool put(struct sili_exec *x, struct stream *s, const union x1_cmd *cmds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!graph_grow(x->g, (void **)&s->cmd, s->n, &s->room, sizeof(*s->cmd)))
			return false;
		s->cmd[s->n++] = cmds[i];
	}
	return true;
}

static bool put_sync(struct sili_exec *x, struct stream *s, enum x1_cmd_op op, enum sync_word word,
		     uint64_t value)
{
	return put(x, s,
		   &(union x1_cmd){.sync = {.hdr.op = (uint16_t)op,
					    .addr = sili_bo_dva(x->sync) + word * 8,
					    .value = value}},
		   1);
}

/* The streamed weight of a node, NULL: none. A node has one at most of each input. */
static const struct exec_weight *streamed(const struct sili_exec *x, uint32_t node, uint32_t i)
{
	const struct exec_weight *w = x->node[node].weight[i]
					      ? &x->weight[x->node[node].weight[i] - 1]
					      : NULL;

	return w && w->streamed ? w : NULL;
}

static uint32_t num_streamed(const struct sili_exec *x)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->num_weights; i++)
		n += x->weight[i].streamed;
	return n;
}

static void copy_command(const struct sili_exec *x, const struct exec_weight *w, union x1_cmd *cmd)
{
	sili_cmd_copy(cmd, w->dva, sili_bo_dva(x->host) + w->offset,
		      sili_align(w->bytes, EXEC_ALIGN) + w->scale_bytes);
	cmd->hdr.tag = w->first_node + 1;
}

/* Copy number k of this run, from 0: once the window's weight before it is used. */
static bool put_copy(struct sili_exec *x, struct stream *s, const struct exec_weight *w, uint32_t k,
		     uint64_t base)
{
	union x1_cmd copy;

	copy_command(x, w, &copy);
	return (k < 2 || put_sync(x, s, X1_CMD_WAIT, WORD_USED, base + k - 1)) &&
	       put(x, s, &copy, 1) && put_sync(x, s, X1_CMD_FENCE, WORD_COPIED, base + k + 1);
}

/* A node with its synchronisation; *k counts streamed weights. */
static bool put_node(struct sili_exec *x, struct stream *main, struct stream *copies, uint32_t node,
		     uint32_t *k, uint64_t base)
{
	uint32_t before = *k;
	bool ok = true;

	for (uint32_t i = 0; i < SILI_NODE_INPUTS && ok; i++) {
		const struct exec_weight *w = streamed(x, node, i);

		if (w)
			ok = put_copy(x, copies, w, (*k)++, base);
	}
	if (ok && *k != before)
		ok = put_sync(x, main, X1_CMD_WAIT, WORD_COPIED, base + *k);
	if (ok)
		ok = put(x, main, x->cmds + x->node[node].first_cmd, x->node[node].num_cmds);
	if (ok && *k != before)
		ok = put_sync(x, main, X1_CMD_FENCE, WORD_USED, base + *k);
	return ok;
}

static int submit(struct sili_queue *q, const struct stream *s, struct sili_fence **fence)
{
	int ret = 0;

	for (uint32_t at = 0; at < s->n && !ret; at += CHUNK) {
		uint32_t n = s->n - at < CHUNK ? s->n - at : CHUNK;

		ret = sili_submit(q, s->cmd + at, n, at + n == s->n ? fence : NULL);
	}
	return ret;
}

/* perf: where to write counters of the run, 0 = nowhere. */
static int submit_streams(struct sili_exec *x, uint64_t perf, struct sili_fence **fence)
{
	struct stream main = {0}, copies = {0};
	union x1_cmd counters[2];
	uint64_t base = x->runs * num_streamed(x);
	uint32_t k = 0;
	bool ok = true;
	int ret;

	x->runs++;
	/* Copies begin with the run, whichever of the queues is seen first. */
	if (x->copy_queue)
		ok = put_sync(x, &copies, X1_CMD_WAIT, WORD_BEGUN, x->runs) &&
		     put_sync(x, &main, X1_CMD_FENCE, WORD_BEGUN, x->runs);
	sili_cmd_perf_begin(&counters[0]);
	sili_cmd_perf_end(&counters[1], perf);
	if (perf && ok)
		ok = put(x, &main, &counters[0], 1);
	for (uint32_t i = 0; i < x->g->num_nodes && ok; i++)
		ok = put_node(x, &main, &copies, i, &k, base);
	if (perf && ok)
		ok = put(x, &main, &counters[1], 1);
	ret = ok ? 0 : -ENOMEM;
	if (!ret && x->copy_queue)
		ret = submit(x->copy_queue, &copies, NULL);
	if (!ret)
		ret = submit(x->queue, &main, fence);
	free(main.cmd);
	free(copies.cmd);
	return ret;
}

/* The copies that a node needs, without anybody to wait for: how many. */
uint32_t exec_put_copies(struct sili_exec *x, uint32_t node, union x1_cmd *cmds)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SILI_NODE_INPUTS; i++) {
		const struct exec_weight *w = streamed(x, node, i);

		if (w)
			copy_command(x, w, &cmds[n++]);
	}
	return n;
}

/* Which node it was, from the fault's tag. */
int exec_explain(struct sili_exec *x, int ret)
{
	struct sili_queue *queues[] = {x->queue, x->copy_queue};

	snprintf(x->error, sizeof(x->error), "%s", strerror(-ret));
	for (uint32_t i = 0; i < 2 && ret == -EIO; i++) {
		struct sili_fault f = {.size = sizeof(f)};

		if (!queues[i] || sili_queue_fault(queues[i], &f) || !f.code)
			continue;
		snprintf(x->error, sizeof(x->error), "node '%s': %s at 0x%llx",
			 f.tag && f.tag <= x->g->num_nodes ? x->g->node[f.tag - 1].name : "?",
			 x1_fault_name(f.code), (unsigned long long)f.addr);
		break;
	}
	return ret;
}

static int start(struct sili_exec *x, uint64_t perf, struct sili_fence **fence)
{
	int ret;

	*fence = NULL;
	x->error[0] = 0;
	ret = submit_streams(x, perf, fence);
	return ret ? exec_explain(x, ret) : 0;
}

static int run(struct sili_exec *x, uint64_t perf)
{
	struct sili_fence *fence;
	int ret = start(x, perf, &fence);

	if (ret)
		return ret;
	ret = sili_fence_wait(fence, -1);
	sili_fence_free(fence);
	return ret ? exec_explain(x, ret) : 0;
}

SILI_EXPORT int sili_exec_submit(struct sili_exec *x, struct sili_fence **fence)
{
	return start(x, 0, fence);
}

SILI_EXPORT int sili_exec_run(struct sili_exec *x)
{
	return run(x, 0);
}

SILI_EXPORT int sili_exec_run_perf(struct sili_exec *x, struct x1_perf *perf)
{
	int ret = 0;

	if (!x->perf)
		ret = sili_bo_new(x->dev, sizeof(*perf), SILI_HBM, 0, &x->perf);
	if (!ret && !sili_bo_map(x->perf))
		ret = -ENOMEM;
	if (!ret)
		ret = run(x, sili_bo_dva(x->perf));
	if (!ret)
		memcpy(perf, sili_bo_map(x->perf), sizeof(*perf));
	return ret;
}

SILI_EXPORT const char *sili_exec_error(struct sili_exec *x)
{
	return x->error[0] ? x->error : NULL;
}

/* ---- what was made of it ---- */

SILI_EXPORT int sili_exec_get_info(struct sili_exec *x, struct sili_exec_info *info)
{
	uint32_t size = info->size;

	if (size < sizeof(size))
		return -EINVAL;
	memset(info, 0, size);
	memcpy(info, &x->info, size < sizeof(x->info) ? size : sizeof(x->info));
	info->size = size;
	return 0;
}

static void print_tensor(const struct sili_exec *x, uint32_t id, FILE *to)
{
	static const char *const places[] = {"?", "weight", "arena", "input", "output"};
	const struct graph_tensor *t = exec_tensor(x, id);

	fprintf(to, " %s[", sili_format_name(t->fmt));
	for (uint32_t i = 0; i < t->rank; i++)
		fprintf(to, "%s%u", i ? "," : "", t->dim[i]);
	fprintf(to, "] %s", places[x->t[id].place]);
	if (x->t[id].place != PLACE_WEIGHT)
		fprintf(to, "+%llu", (unsigned long long)x->t[id].offset);
}

SILI_EXPORT void sili_exec_print(struct sili_exec *x, FILE *to)
{
	const struct sili_exec_info *n = &x->info;

	for (uint32_t i = 0; i < x->g->num_nodes; i++) {
		const struct graph_node *node = &x->g->node[i];

		fprintf(to, "%4u %-28s %-10s", i, node->name, graph_op(node->n.op)->name);
		print_tensor(x, node->out[0], to);
		fputc('\n', to);
	}
	fprintf(to,
		"%u nodes, %u launches; folded %u, fused %u, conversions %u\n"
		"weights %.2f MiB, of them %.2f MiB streamed; inputs and outputs %.2f MiB\n"
		"between nodes: naive %.3f MiB, lower bound %.3f MiB, planned %.3f MiB "
		"(%.1f %% less than naive)\n",
		n->nodes, n->launches, n->folded, n->fused, n->converts,
		(double)n->weight_bytes / 1048576, (double)n->streamed_bytes / 1048576,
		(double)n->io_bytes / 1048576, (double)n->naive_peak / 1048576,
		(double)n->lower_bound / 1048576, (double)n->peak / 1048576,
		n->naive_peak ? 100 - 100 * (double)n->peak / (double)n->naive_peak : 0);
}
