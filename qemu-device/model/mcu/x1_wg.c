// SPDX-License-Identifier: MIT
/* Storage of a work-group, its start, and its faults. */
#include <stdlib.h>
#include <string.h>

#include "x1_wg_int.h"

#define LINE 64u /* of the host's cache: rows of accumulators lie in whole ones */

struct x1_wg *x1_wg_new(void)
{
	struct x1_wg *wg = calloc(1, sizeof(*wg));

	if (!wg)
		return NULL;
	wg->ws = x1_mm_ws_new();
	wg->tmp = malloc(X1_WG_TMP_FLOATS * sizeof(float));
	/* calloc: pages that no program touches cost nothing. */
	wg->spad = calloc(1, X1_SPAD_BYTES);
	wg->acc_storage = calloc(1, X1_ACC_BYTES + LINE);
	if (wg->ws && wg->tmp && wg->spad && wg->acc_storage) {
		wg->acc = wg->acc_storage + (LINE - (uintptr_t)wg->acc_storage % LINE) % LINE;
		return wg;
	}
	x1_wg_free(wg);
	return NULL;
}

void x1_wg_free(struct x1_wg *wg)
{
	if (!wg)
		return;
	x1_mm_ws_free(wg->ws);
	free(wg->tmp);
	free(wg->spad);
	free(wg->acc_storage);
	free(wg);
}

void x1_wg_begin(struct x1_wg *wg, struct x1_grid *grid, uint32_t index, uint32_t mcu,
		 struct x1_trace *trace)
{
	uint32_t x = grid->size[0], y = grid->size[1];

	if (wg->last_vm != grid->vm) {
		memset(wg->spad, 0, wg->spad_used);
		wg->spad_used = 0;
		if (wg->acc_used)
			memset(wg->acc, 0, X1_ACC_BYTES);
		wg->acc_used = false;
		wg->last_vm = grid->vm;
	}
	wg->grid = grid;
	wg->prog = grid->prog;
	wg->trace = grid->trace ? trace : NULL;
	wg->index = index;
	wg->mcu = mcu;
	wg->pc = 0;
	wg->insns = 0;
	wg->num_loops = 0;
	wg->at_barrier = false;
	memset(wg->reg, 0, sizeof(wg->reg));
	memset(wg->sem, 0, sizeof(wg->sem));
	memset(&wg->fault, 0, sizeof(wg->fault));
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
		wg->queue[e].head = wg->queue[e].count = 0;
	wg->reg[1] = index;
	wg->reg[2] = index % x;
	wg->reg[3] = index / x % y;
	wg->reg[4] = index / x / y;
	wg->reg[5] = grid->total;
	wg->reg[6] = mcu;
	wg->reg[7] = grid->args_dva;
	for (unsigned int i = 0; i < 3; i++)
		wg->reg[8 + i] = grid->size[i];
	memcpy(&wg->reg[X1_REG_ARG0], grid->args, grid->num_args * sizeof(uint64_t));
}

const struct x1_fault_rec *x1_wg_fault(const struct x1_wg *wg)
{
	return &wg->fault;
}

uint8_t *x1_wg_local(struct x1_wg *wg, int64_t addr, uint64_t len, bool write)
{
	/* Unsigned: what lies below an area's start is far above its end. */
	uint64_t off = (uint64_t)addr;

	if (off <= X1_SPAD_BYTES && len <= X1_SPAD_BYTES - off) {
		uint32_t end = (uint32_t)(off + len);

		if (write && end > wg->spad_used)
			wg->spad_used = end;
		return wg->spad + off;
	}
	off -= X1_ACC_ADDR;
	if (off <= X1_ACC_BYTES && len <= X1_ACC_BYTES - off) {
		wg->acc_used |= write;
		return wg->acc + off;
	}
	return NULL;
}

bool x1_wg_raise(struct x1_wg *wg, uint32_t code, uint32_t unit, uint32_t pc, uint64_t addr)
{
	wg->fault = (struct x1_fault_rec){
		.code = code,
		.unit = unit,
		.mcu = wg->mcu,
		.addr = addr,
		.vm = wg->grid->vm,
		.pc = pc,
		.wg = wg->index,
	};
	return false;
}

bool x1_wg_mem_fault(struct x1_wg *wg, const struct x1_fault_rec *rec, uint32_t unit, uint32_t pc)
{
	x1_wg_raise(wg, rec->code ? rec->code : X1_FAULT_DMA, unit, pc, rec->addr);
	wg->fault.access = rec->access;
	return false;
}
