// SPDX-License-Identifier: MIT
/*
 * The GEMM's program where rows of A and C are pixels: a convolution without a
 * matrix of patches. LOAD takes a tap's pixels as a box with strides, dilation
 * and bounds, outside of which it writes zeros. Or a tile's window of the image
 * is loaded once, and MATRIX reads each tap, or with few channels each row of
 * taps, out of it by two-level strides.
 */
#include "gemm_code.h"

/* First coordinate and count of a tile; `tile` is its number. */
static void first_and_count(struct sili_prog *p, uint8_t first, uint8_t count, uint8_t tile,
			    uint32_t size, uint32_t of)
{
	alui(p, X1_OP_MUL, first, tile, size);
	sili_prog_li(p, count, of);
	sili_prog_alu(p, X1_OP_SUB, count, count, first);
	alui(p, X1_OP_MIN, count, count, size);
}

void gemm_box_unit(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct gemm_box *b = &pl->box;

	alui(p, X1_OP_REMU, R_T0, R_MT, b->x.tiles);
	first_and_count(p, R_X0, R_NX, R_T0, b->x.tile, b->x.out);
	alui(p, X1_OP_DIVU, R_T1, R_MT, b->x.tiles);
	alui(p, X1_OP_REMU, R_T0, R_T1, b->y.tiles);
	first_and_count(p, R_Y0, R_NY, R_T0, b->y.tile, b->y.out);
	alui(p, X1_OP_DIVU, R_T0, R_T1, b->y.tiles);
	first_and_count(p, R_I0, R_NI, R_T0, b->tile_images, b->images);
	alui(p, X1_OP_MUL, R_IX, R_X0, b->x.stride);
	alui(p, X1_OP_ADD, R_IX, R_IX, b->x.origin);
	alui(p, X1_OP_MUL, R_IY, R_Y0, b->y.stride);
	alui(p, X1_OP_ADD, R_IY, R_IY, b->y.origin);
	sili_prog_alu(p, X1_OP_MUL, R_ROWS, R_NX, R_NY);
	sili_prog_alu(p, X1_OP_MUL, R_ROWS, R_ROWS, R_NI);
}

/* A descriptor over (columns, x, y, image) with these strides in memory. */
static struct x1_desc box_desc(uint32_t ctrl, uint64_t x, uint64_t y, uint64_t image)
{
	struct x1_desc d = {0};

	sili_desc_set(&d, X1_DMA_CTRL, X1_DMA_CTRL_NDIM(4) | ctrl);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 1, R_NX);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 2, R_NY);
	sili_desc_reg(&d, X1_DMA_COUNT0 + 3, R_NI);
	sili_desc_set(&d, X1_DMA_MSTRIDE1, (int64_t)x);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 1, (int64_t)y);
	sili_desc_set(&d, X1_DMA_MSTRIDE1 + 2, (int64_t)image);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 3, R_I0);
	return d;
}

/* Pixels of the box follow each other in rows of `pitch`; two registers are used. */
static void dense_rows(struct sili_prog *p, struct x1_desc *d, uint64_t pitch, uint8_t t0,
		       uint8_t t1)
{
	alui(p, X1_OP_MUL, t0, R_NX, (int64_t)pitch);
	sili_prog_alu(p, X1_OP_MUL, t1, t0, R_NY);
	sili_desc_set(d, X1_DMA_LSTRIDE1, (int64_t)pitch);
	sili_desc_reg(d, X1_DMA_LSTRIDE1 + 1, t0);
	sili_desc_reg(d, X1_DMA_LSTRIDE1 + 2, t1);
}

static void image_bounds(const struct gemm_box *b, struct x1_desc *d)
{
	sili_desc_set(d, X1_DMA_BOUND0 + 1, b->x.in);
	sili_desc_set(d, X1_DMA_BOUND0 + 2, b->y.in);
}

void gemm_box_halo(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct gemm_box *b = &pl->box;
	struct x1_desc d = box_desc(0, b->x.x_stride, b->y.x_stride, b->x_image);
	uint64_t pixel = gemm_pixel_bytes(pl);

	sili_desc_set(&d, X1_DMA_COUNT0, (int64_t)pixel);
	sili_desc_set(&d, X1_DMA_COUNT0 + 1, gemm_halo_width(b));
	sili_desc_set(&d, X1_DMA_COUNT0 + 2, gemm_halo_height(b));
	sili_desc_set(&d, X1_DMA_COUNT0 + 3, 1);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_IX);
	sili_desc_reg(&d, X1_DMA_ORIGIN0 + 2, R_IY);
	image_bounds(b, &d);
	sili_desc_set(&d, X1_DMA_LSTRIDE1, (int64_t)pixel);
	sili_desc_set(&d, X1_DMA_LSTRIDE1 + 1, (int64_t)(pixel * gemm_halo_width(b)));
	sili_prog_sems(p, X1_SEM(SEM_HALO), 0, 0, 0);
	sili_prog_engine(p, X1_OP_LOAD, R_HALO, R_PA, 0, &d);
}

/*
 * R_K's run and place in it: R_CC elements from its start, R_KC of them; R_B
 * the weights there, R_CY and R_CX the input pixel of y's (0, 0).
 */
static void emit_tap(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	const struct gemm_box *b = &pl->box;
	enum x1_format w = pl->b.fmt;
	uint64_t filter_row = (uint64_t)b->filter_s * b->channels;
	uint64_t first = b->y.w_first * filter_row + (uint64_t)b->x.w_first * b->channels;

	if (b->run_padded == kc)
		sili_prog_li(p, R_CC, 0);
	else
		alui(p, X1_OP_REMU, R_CC, R_K, b->run_padded);
	sili_prog_li(p, R_KC, b->run % kc ? b->run : kc);
	if (b->run % kc) {
		sili_prog_alu(p, X1_OP_SUB, R_KC, R_KC, R_CC);
		alui(p, X1_OP_MIN, R_KC, R_KC, kc);
	}
	emit_bytes(p, w, R_B, R_CC);
	sili_prog_alu(p, X1_OP_ADD, R_B, R_B, R_PB);
	alui(p, X1_OP_ADD, R_B, R_B, (int64_t)sili_fmt_bytes(w, first));
	mov(p, R_CY, R_IY);
	mov(p, R_CX, R_IX);
	if (b->y.taps * b->x.taps == 1)
		return;
	alui(p, X1_OP_DIVU, R_T1, R_K, b->run_padded);
	if (!b->by_row && b->x.taps > 1) {
		alui(p, X1_OP_REMU, R_TMP0, R_T1, b->x.taps);
		muladd(p, R_B, R_TMP0, sili_fmt_bytes(w, (uint64_t)b->x.w_step * b->channels));
		alui(p, X1_OP_MUL, R_TMP0, R_TMP0, b->x.dil);
		sili_prog_alu(p, X1_OP_ADD, R_CX, R_CX, R_TMP0);
		alui(p, X1_OP_DIVU, R_T1, R_T1, b->x.taps);
	}
	muladd(p, R_B, R_T1, sili_fmt_bytes(w, b->y.w_step * filter_row));
	alui(p, X1_OP_MUL, R_T1, R_T1, b->y.dil);
	sili_prog_alu(p, X1_OP_ADD, R_CY, R_CY, R_T1);
}

void gemm_box_chunk(struct sili_prog *p, const struct gemm_plan *pl, uint32_t kc)
{
	const struct gemm_box *b = &pl->box;

	emit_tap(p, pl, kc);
	if (!b->window) {
		struct x1_desc d = box_desc(0, b->x.x_stride, b->y.x_stride, b->x_image);

		emit_bytes(p, pl->a.fmt, R_T1, R_KC);
		emit_bytes(p, pl->a.fmt, R_CC, R_CC);
		sili_desc_reg(&d, X1_DMA_COUNT0, R_T1);
		sili_desc_reg(&d, X1_DMA_ORIGIN0, R_CC);
		sili_desc_set(&d, X1_DMA_DIL0 + 1, b->x.stride);
		sili_desc_set(&d, X1_DMA_DIL0 + 2, b->y.stride);
		sili_desc_reg(&d, X1_DMA_ORIGIN0 + 1, R_CX);
		sili_desc_reg(&d, X1_DMA_ORIGIN0 + 2, R_CY);
		image_bounds(b, &d);
		dense_rows(p, &d, pl->a.pitch, R_TMP0, R_TMP1);
		alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->a.off);
		sili_prog_sems(p, X1_SEM(SEM_FREE), 0, 0, 0);
		sili_prog_engine(p, X1_OP_LOAD, R_ADDR, R_PA, 0, &d);
	}
	alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->b.off);
	emit_bytes(p, pl->b.fmt, R_T1, R_KC);
	sili_prog_sems(p, b->window ? X1_SEM(SEM_FREE) : 0, 0, X1_SEM(SEM_FULL), 0);
	sili_emit_load(p, R_ADDR, R_B,
		       &(struct sili_block){.bytes = sili_reg(R_T1),
					    .rows = sili_reg(R_COLS),
					    .mem_stride = sili_imm((int64_t)pl->b.stride),
					    .local_stride = sili_imm((int64_t)pl->b.pitch)});
}

void gemm_box_operand(struct sili_prog *p, const struct gemm_plan *pl)
{
	const struct gemm_box *b = &pl->box;
	uint64_t row = gemm_halo_width(b) * gemm_pixel_bytes(pl);

	if (!b->window) {
		alui(p, X1_OP_ADD, R_ADDR, R_STAGE, (int64_t)pl->a.off);
		return;
	}
	alui(p, X1_OP_REMU, R_T0, R_K, b->run_padded);
	emit_bytes(p, pl->a.fmt, R_T0, R_T0);
	sili_prog_alu(p, X1_OP_ADD, R_ADDR, R_HALO, R_T0);
	alui(p, X1_OP_DIVU, R_T1, R_K, b->run_padded);
	if (!b->by_row && b->x.taps > 1) {
		alui(p, X1_OP_REMU, R_TMP0, R_T1, b->x.taps);
		muladd(p, R_ADDR, R_TMP0, gemm_pixel_bytes(pl) * (uint32_t)b->x.dil);
		alui(p, X1_OP_DIVU, R_T1, R_T1, b->x.taps);
	}
	muladd(p, R_ADDR, R_T1, row * (uint32_t)b->y.dil);
}

void gemm_box_rows(const struct gemm_plan *pl, struct x1_desc *d)
{
	const struct gemm_box *b = &pl->box;
	uint64_t pixel = gemm_pixel_bytes(pl);

	if (!b->window) {
		sili_desc_set(d, X1_MM_A_STRIDE, (int64_t)pl->a.pitch);
		return;
	}
	sili_desc_set(d, X1_MM_A_STRIDE, (int64_t)(pixel * (uint32_t)b->x.stride));
	sili_desc_reg(d, X1_MM_A_GROUP, R_NX);
	sili_desc_set(d, X1_MM_A_GSTRIDE,
		      (int64_t)(pixel * gemm_halo_width(b) * (uint32_t)b->y.stride));
}

/* Output coordinates of a transfer of C or of the residual. */
static void out_origin(struct x1_desc *d)
{
	sili_desc_reg(d, X1_DMA_ORIGIN0 + 1, R_X0);
	sili_desc_reg(d, X1_DMA_ORIGIN0 + 2, R_Y0);
}

void gemm_box_store(struct sili_prog *p, const struct gemm_plan *pl, enum x1_format lfmt,
		    uint8_t wait, bool last)
{
	const struct gemm_box *b = &pl->box;
	struct x1_desc d = box_desc(X1_DMA_CTRL_LFMT(lfmt) | X1_DMA_CTRL_MFMT(pl->g.c_fmt),
				    b->x.y_stride, b->y.y_stride, b->y_image);

	sili_desc_reg(&d, X1_DMA_COUNT0, R_STRIP_COLS);
	out_origin(&d);
	dense_rows(p, &d, pl->tn * 4ull, R_T0, R_T1);
	sili_prog_sems(p, wait, 0, last ? X1_SEM(SEM_SLOT) : 0,
		       last && b->window ? X1_SEM(SEM_HALO) : 0);
	sili_prog_engine(p, X1_OP_STORE, R_STRIP_ACC, R_STRIP_C, 0, &d);
}

void gemm_box_residual(struct sili_prog *p, const struct gemm_plan *pl, uint8_t wait)
{
	const struct gemm_box *b = &pl->box;
	struct x1_desc d = box_desc(0, b->x.res_stride, b->y.res_stride, b->res_image);

	sili_desc_reg(&d, X1_DMA_COUNT0, R_TMP0);
	out_origin(&d);
	dense_rows(p, &d, sili_fmt_bytes(pl->g.residual_fmt, pl->tn), R_TMP1, R_TMP2);
	sili_prog_sems(p, wait, 0, 0, 0);
	sili_prog_engine(p, X1_OP_LOAD, R_ADDR, R_T1, 0, &d);
}
