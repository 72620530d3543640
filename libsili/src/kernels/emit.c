// SPDX-License-Identifier: MIT
/* Helpers of the kernel generators. */
#include <stdlib.h>
#include <string.h>

#include "emit.h"

static struct x1_desc block_desc(const struct sili_block *b)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(b->planes ? 3 : 2) | X1_DMA_CTRL_ESIZE(0));
	sili_put(&d, X1_DMA_COUNT0, b->bytes);
	sili_put(&d, X1_DMA_COUNT0 + 1, b->rows);
	sili_put(&d, X1_DMA_MSTRIDE1, b->mem_stride);
	sili_put(&d, X1_DMA_LSTRIDE1, b->local_stride);
	if (b->planes) {
		sili_desc_set(&d, X1_DMA_COUNT0 + 2, b->planes);
		sili_put(&d, X1_DMA_MSTRIDE1 + 1, b->mem_plane);
		sili_put(&d, X1_DMA_LSTRIDE1 + 1, b->local_plane);
	}
	return d;
}

void sili_emit_load(struct sili_prog *p, uint8_t rd, uint8_t ra, const struct sili_block *b)
{
	struct x1_desc d = block_desc(b);

	sili_prog_engine(p, X1_OP_LOAD, rd, ra, 0, &d);
}

void sili_emit_prefetch(struct sili_prog *p, uint8_t ra, const struct sili_block *b)
{
	struct x1_desc d = block_desc(b);

	sili_prog_engine(p, X1_OP_PREFETCH, 0, ra, 0, &d);
}

void sili_emit_store(struct sili_prog *p, uint8_t rd, uint8_t ra, const struct sili_out *o)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL,
		      X1_DMA_CTRL_NDIM(2) | X1_DMA_CTRL_LFMT(o->lfmt) | X1_DMA_CTRL_MFMT(o->mfmt));
	sili_put(&d, X1_DMA_COUNT0, o->elems);
	sili_put(&d, X1_DMA_COUNT0 + 1, o->rows);
	sili_put(&d, X1_DMA_MSTRIDE1, o->mem_stride);
	sili_put(&d, X1_DMA_LSTRIDE1, o->local_stride);
	sili_prog_engine(p, X1_OP_STORE, rd, ra, 0, &d);
}

void sili_emit_vec(struct sili_prog *p, uint8_t rd, uint8_t ra, uint8_t rb,
		   const struct sili_vec *v)
{
	struct x1_desc d = {0};
	uint32_t bits[2];

	memcpy(&bits[0], &v->scalar1, 4);
	memcpy(&bits[1], &v->scalar2, 4);
	sili_desc_set(&d, X1_VEC_OP, v->op);
	sili_put(&d, X1_VEC_ROWS, v->rows);
	sili_put(&d, X1_VEC_COLS, v->cols);
	sili_desc_set(&d, X1_VEC_FMT,
		      v->dst_fmt | v->s0_fmt << 8 | v->s1_fmt << 16 | (uint32_t)v->s2_fmt << 24);
	sili_desc_set(&d, X1_VEC_CTRL,
		      X1_VEC_CTRL_BCAST0(v->bcast0) | X1_VEC_CTRL_BCAST1(v->bcast1) |
			      X1_VEC_CTRL_BCAST2(v->bcast2));
	sili_put(&d, X1_VEC_D_STRIDE, v->dst_stride);
	sili_put(&d, X1_VEC_S0_STRIDE, v->s0_stride);
	sili_put(&d, X1_VEC_S1_STRIDE, v->s1_stride);
	sili_put(&d, X1_VEC_S2_STRIDE, v->s2_stride);
	sili_put(&d, X1_VEC_S2_ADDR, v->s2);
	sili_put(&d, X1_VEC_IMM1, v->scalar1_reg ? sili_reg(v->scalar1_reg) : sili_imm(bits[0]));
	sili_desc_set(&d, X1_VEC_IMM2, bits[1]);
	sili_put(&d, X1_VEC_PARAM, v->param);
	sili_put(&d, X1_VEC_PARAM2, v->param2);
	sili_prog_engine(p, X1_OP_VEC, rd, ra, rb, &d);
}

int sili_act_op(enum sili_act act)
{
	switch (act) {
	case SILI_ACT_NONE:
		return X1_VEC_MOV;
	case SILI_ACT_RELU:
		return X1_VEC_RELU;
	case SILI_ACT_GELU:
		return X1_VEC_GELU;
	case SILI_ACT_SILU:
		return X1_VEC_SILU;
	case SILI_ACT_SIGMOID:
		return X1_VEC_SIGMOID;
	case SILI_ACT_TANH:
		return X1_VEC_TANH;
	}
	return -1;
}

bool sili_scale_takes(enum x1_scale_mode mode, enum x1_format fmt)
{
	switch (mode) {
	case X1_SCALE_NONE:
		return true;
	case X1_SCALE_F32_1X128:
	case X1_SCALE_F32_128X128:
		return fmt != X1_FMT_FP32 && fmt != X1_FMT_TF32;
	case X1_SCALE_MX32:
		return x1_format_bits(fmt) <= 8 && fmt != X1_FMT_INT4;
	case X1_SCALE_NV16:
		return fmt == X1_FMT_E2M1;
	default:
		return false;
	}
}

void sili_emit_tokens(struct sili_prog *p, uint8_t sem, uint32_t n)
{
	for (; n; n -= n > 1 ? 2 : 1) {
		sili_prog_sems(p, 0, 0, X1_SEM(sem), n > 1 ? X1_SEM(sem) : 0);
		sili_prog_emit(p, (struct x1_insn){.op = X1_OP_NOP});
	}
}

int sili_keep(struct sili_device *dev, const struct sili_key *key, struct sili_prog *p, void *note,
	      const struct sili_kernel **kernel)
{
	struct sili_kernel *k;
	int ret = p ? sili_prog_finish(p, dev, &k) : -ENOMEM;

	*kernel = NULL;
	sili_prog_free(p);
	if (ret) {
		free(note);
		return ret;
	}
	k->note = note;
	ret = sili_cache_add(dev, key, k);
	if (!ret)
		*kernel = k;
	return ret;
}

int sili_args(struct sili_device *dev, const uint64_t *words, uint32_t n, uint64_t *dva)
{
	struct sili_key key = {.word = {UINT64_MAX, n}};
	const struct sili_kernel *block;
	struct sili_kernel *fresh;
	uint64_t *cpu;
	int ret;

	if (n > X1_MAX_ARGS || n > SILI_KEY_WORDS - 2)
		return -EINVAL;
	memcpy(key.word + 2, words, n * sizeof(*words));
	block = sili_cache_find(dev, &key);
	if (!block) {
		ret = sili_kernel_room(dev, n * sizeof(*words), 0, &fresh);
		if (ret)
			return ret;
		cpu = sili_bo_map(fresh->bo);
		if (!cpu) {
			sili_kernel_free(fresh);
			return -ENOMEM;
		}
		memcpy(cpu, words, n * sizeof(*words));
		ret = sili_cache_add(dev, &key, fresh);
		if (ret)
			return ret;
		block = fresh;
	}
	*dva = block->bo->dva;
	return 0;
}
