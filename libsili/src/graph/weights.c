// SPDX-License-Identifier: MIT
/*
 * Weights on the device: one copy for each way in which nodes read them, in the
 * order of their first use, so that what is needed next lies next. What HBM has
 * no room for stays in system memory and passes through two windows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "num/x1_num.h"

#define HBM_SLACK (64ull << 20) /* for programs, arguments and others */

/* ---- which there are ---- */

/* Blocks of a weight of 128 x 128 have whole matrices of them. */
static enum x1_scale_mode matrix_mode(const struct sili_exec *x, const struct graph_node *node,
				      const struct graph_tensor *t, enum x1_format fmt)
{
	uint64_t rows = node->n.trans_b ? graph_cols(t) : t->dim[t->rank - 2];

	if (node->n.op == SILI_OP_CONV)
		return X1_SCALE_NONE;
	if (x1_format_bits(fmt) < 8)
		return X1_SCALE_MX32;
	return exec_block_mode(x, node) && (t->rank == 2 || rows % 128 == 0) ? X1_SCALE_F32_128X128
									     : X1_SCALE_NONE;
}

static struct exec_weight describe(const struct sili_exec *x, const struct graph_node *node,
				   uint32_t i)
{
	const struct graph_tensor *t = graph_in(x->g, node, i);
	struct exec_weight w = {
		.tensor = node->n.in[i],
		.fmt = t->fmt,
		.rows = graph_rows(t),
		.cols = graph_cols(t),
	};
	bool matrix = graph_op(node->n.op)->flags & GRAPH_EPILOGUE;

	if ((matrix && i == 1) || (node->n.op == SILI_OP_MOE && i >= 3)) {
		w.transpose = node->n.trans_b;
		if (node->n.op == SILI_OP_CONV) {
			w.rows = t->dim[0];
			w.cols = graph_elements(t) / t->dim[0];
		}
		if (t->fmt == X1_FMT_FP32) {
			w.fmt = node->n.precision ? (enum x1_format)(node->n.precision - 1)
						  : x->precision;
			w.mode = matrix_mode(x, node, t, w.fmt);
			w.row_scales = x1_format_bits(w.fmt) <= 8 && !w.mode;
		}
		return w;
	}
	w.gathered = node->n.op == SILI_OP_EMBEDDING && i == 1;
	if (t->fmt != X1_FMT_FP32 || node->n.op == SILI_OP_ROPE)
		return w;
	if (node->n.op == SILI_OP_ATTENTION && i < 3)
		w.fmt = exec_attention_fmt(x, node);
	else if (matrix && i == 0)
		w.fmt = exec_matrix_fmt(x, node);
	else if (t->rank > 1)
		w.fmt = x->act_fmt;
	return w;
}

static bool same(const struct exec_weight *a, const struct exec_weight *b)
{
	return a->tensor == b->tensor && a->fmt == b->fmt && a->mode == b->mode &&
	       a->row_scales == b->row_scales && a->transpose == b->transpose &&
	       a->gathered == b->gathered;
}

static int add_weight(struct sili_exec *x, uint32_t node, uint32_t i)
{
	struct exec_weight w = describe(x, &x->g->node[node], i);
	uint32_t *chain = &x->t[w.tensor].weights;

	for (uint32_t j = *chain; j; j = x->weight[j - 1].next) {
		if (same(&x->weight[j - 1], &w)) {
			x->node[node].weight[i] = j;
			x->weight[j - 1].uses++;
			return 0;
		}
	}
	if (!graph_grow(x->g, (void **)&x->weight, x->num_weights, &x->weight_room,
			sizeof(*x->weight)))
		return -ENOMEM;
	if (w.transpose) {
		uint64_t lead = w.rows /
				exec_tensor(x, w.tensor)->dim[exec_tensor(x, w.tensor)->rank - 2];
		uint64_t k = w.rows / lead;

		w.rows = lead * w.cols;
		w.cols = k;
	}
	w.first_node = node;
	w.uses = 1;
	w.next = *chain;
	w.bytes = sili_format_bytes(w.fmt, w.rows * w.cols);
	w.scale_bytes = w.row_scales ? w.rows * 4
				     : sili_scale_row_bytes(w.mode, (uint32_t)w.cols) *
					       sili_scale_rows(w.mode, (uint32_t)w.rows);
	x->weight[x->num_weights++] = w;
	*chain = x->num_weights;
	x->node[node].weight[i] = x->num_weights;
	return 0;
}

static uint64_t whole(const struct exec_weight *w)
{
	return sili_align(w->bytes, EXEC_ALIGN) + sili_align(w->scale_bytes, EXEC_ALIGN);
}

/* ---- where they lie ---- */

static uint64_t room_for_weights(struct sili_exec *x)
{
	struct sili_status s = {.size = sizeof(s)};
	uint64_t used, room;

	if (x->attr.weight_limit)
		return x->attr.weight_limit;
	used = sili_get_status(x->dev, &s) ? 0 : s.hbm_used;
	room = x->dev->info.hbm_bytes > used ? x->dev->info.hbm_bytes - used : 0;
	return room > HBM_SLACK ? room - HBM_SLACK : 0;
}

/*
 * Mark weights as streamed, evenly along the graph, until the rest fits beside
 * two windows for the largest of them.
 */
static void choose_streamed(struct sili_exec *x, uint64_t total, uint64_t room)
{
	uint64_t resident = total, window = 0;

	for (uint32_t step = 64; step >= 1 && resident + 2 * window > room; step /= 2) {
		for (uint32_t i = step - 1; i < x->num_weights; i += step) {
			struct exec_weight *w = &x->weight[i];

			if (resident + 2 * window <= room)
				break;
			if (w->streamed || w->uses > 1 || w->gathered)
				continue;
			w->streamed = true;
			resident -= whole(w);
			x->info.streamed_bytes += whole(w);
			if (whole(w) > window)
				window = whole(w);
		}
	}
	x->window_bytes = window;
}

static int lay_out(struct sili_exec *x)
{
	uint64_t total = 0, at = 0, host = 0, room = room_for_weights(x);
	int ret;

	for (uint32_t i = 0; i < x->num_weights; i++)
		total += whole(&x->weight[i]);
	x->info.weight_bytes = total;
	if (total > room)
		choose_streamed(x, total, room);
	/* Tables last: what is read as a whole is fetched in one go. */
	for (uint32_t i = 0; i < 2 * x->num_weights; i++) {
		struct exec_weight *w = &x->weight[i % x->num_weights];
		uint64_t *to = w->streamed ? &host : &at;

		if (w->gathered != (i >= x->num_weights))
			continue;
		w->offset = *to;
		*to += whole(w);
		if (!w->gathered)
			x->stream_end = at;
	}
	x->window_offset = at;
	if (at + 2 * x->window_bytes > room) {
		graph_fail(x->g, -ENOMEM, NULL, NULL,
			   "weights: %llu bytes with two windows of %llu, room for %llu",
			   (unsigned long long)at, (unsigned long long)x->window_bytes,
			   (unsigned long long)room);
		return -ENOMEM;
	}
	at += 2 * x->window_bytes;
	ret = at ? sili_bo_new(x->dev, at, SILI_HBM, 0, &x->weights) : 0;
	if (!ret && host)
		ret = sili_bo_new(x->dev, host, SILI_SYSTEM, 0, &x->host);
	return ret;
}

/* Addresses as nodes see them; streamed ones take the windows in turn. */
static void addresses(struct sili_exec *x)
{
	uint32_t streamed = 0;

	for (uint32_t i = 0; i < x->num_weights; i++) {
		struct exec_weight *w = &x->weight[i];

		w->dva = sili_bo_dva(x->weights) +
			 (w->streamed ? x->window_offset + streamed++ % 2 * x->window_bytes
				      : w->offset);
		w->scale_dva = w->scale_bytes ? w->dva + sili_align(w->bytes, EXEC_ALIGN) : 0;
	}
}

/* ---- upload ---- */

/* Row r of the device's matrix as FP32. */
static void row_of(const struct graph_tensor *t, const struct exec_weight *w, uint64_t r,
		   float *row)
{
	uint32_t k = (uint32_t)w->cols;
	uint64_t n, lead;

	if (!w->transpose) {
		if (t->fmt == X1_FMT_FP32)
			memcpy(row, (const float *)t->data + r * k, k * sizeof(*row));
		else
			x1_unpack_f32(t->fmt, t->data, r * k, row, k);
		return;
	}
	n = graph_cols(t);
	lead = r / n * n * k;
	for (uint32_t i = 0; i < k; i++)
		x1_unpack_f32(t->fmt, t->data, lead + i * n + r % n, row + i, 1);
}

static float row_amax(const float *row, uint32_t k)
{
	uint32_t bits = x1_vec_amax(row, k);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static void put_row(const struct exec_weight *w, float *row, uint64_t r, uint8_t *dst,
		    uint8_t *scales)
{
	uint32_t k = (uint32_t)w->cols;

	if (w->row_scales) {
		float max = x1_decode(w->fmt, x1_encode(w->fmt, INFINITY, true));
		float s = row_amax(row, k) / max;

		s = s > 0 ? s : 1;
		for (uint32_t i = 0; i < k; i++)
			row[i] /= s;
		memcpy(scales + r * 4, &s, 4);
	}
	x1_pack_f32(w->fmt, true, row, dst, r * k, k);
}

/* Rows under one row of scales at a time. */
static int put_blocks(const struct graph_tensor *t, const struct exec_weight *w, uint8_t *dst,
		      uint8_t *scales, float *rows)
{
	uint32_t high = w->mode == X1_SCALE_F32_128X128 ? 128 : 1, k = (uint32_t)w->cols;
	size_t row = sili_format_bytes(w->fmt, k);
	int ret = 0;

	for (uint64_t r = 0; r < w->rows && !ret; r += high) {
		uint32_t n = (uint32_t)sili_min64(high, w->rows - r);

		for (uint32_t i = 0; i < n; i++)
			row_of(t, w, r + i, rows + (size_t)i * k);
		ret = sili_quantise(w->mode, w->fmt, rows, n, k, dst + r * row,
				    scales + r / high * sili_scale_row_bytes(w->mode, k), NULL);
	}
	return ret;
}

static int upload_one(struct sili_exec *x, const struct exec_weight *w, float *row)
{
	const struct graph_tensor *t = exec_tensor(x, w->tensor);
	uint8_t *base = sili_bo_map(w->streamed ? x->host : x->weights);
	uint8_t *dst = base + w->offset, *scales = dst + sili_align(w->bytes, EXEC_ALIGN);

	if (!base)
		return -ENOMEM;
	if (t->fmt == w->fmt && !w->transpose && !w->row_scales) {
		memcpy(dst, t->data, w->bytes);
		return 0;
	}
	for (uint64_t r = 0; r < w->rows && !w->mode; r++) {
		row_of(t, w, r, row);
		put_row(w, row, r, dst, scales);
	}
	return w->mode ? put_blocks(t, w, dst, scales, row) : 0;
}

static int upload(struct sili_exec *x)
{
	uint64_t longest = 0;
	float *row;
	int ret = 0;

	for (uint32_t i = 0; i < x->num_weights; i++)
		if (x->weight[i].cols > longest)
			longest = x->weight[i].cols;
	row = malloc((longest + 1) * 128 * sizeof(*row));
	if (!row)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->num_weights && !ret; i++) {
		const struct exec_weight *w = &x->weight[i];

		if (w->mode && sili_format_bytes(w->fmt, w->cols) * w->rows != w->bytes)
			ret = -EINVAL;
		else
			ret = upload_one(x, w, row);
		if (ret)
			graph_fail(x->g, ret, NULL, NULL, "weight '%s': as %s in rows of %llu: %s",
				   exec_tensor(x, w->tensor)->name, sili_format_name(w->fmt),
				   (unsigned long long)w->cols, strerror(-ret));
	}
	free(row);
	return ret;
}

int exec_weights(struct sili_exec *x)
{
	struct sili_graph *g = x->g;
	int ret = 0;

	for (uint32_t i = 0; i < g->num_nodes; i++)
		for (uint32_t j = 0; j < SILI_NODE_INPUTS && !ret; j++)
			if (g->node[i].n.in[j] &&
			    g->tensor[g->node[i].n.in[j]].role == GRAPH_WEIGHT)
				ret = add_weight(x, i, j);
	if (!ret)
		ret = lay_out(x);
	if (ret || !x->num_weights)
		return ret;
	addresses(x);
	return upload(x);
}
