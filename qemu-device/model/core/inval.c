// SPDX-License-Identifier: MIT
/*
 * INVALIDATE. Each raises the generation of translations; it is complete when
 * every worker has dropped what it translated before: at an instruction
 * boundary, or by holding nothing (idle, parked).
 */
#include "x1_int.h"

uint64_t x1_inval_acked(struct x1_core *core)
{
	uint64_t acked = atomic_load(&core->inv_gen);

	for (unsigned int i = 0; i < core->num_workers; i++) {
		struct x1_worker *w = core->workers[i];

		/* A worker that comes back from NOSPAN looks at inv_gen first. */
		if (atomic_load(&w->where) != X1_WHERE_NOSPAN)
			acked = x1_min64(acked, atomic_load(&w->seen));
	}
	return acked;
}

uint64_t x1_inval_bump(struct x1_core *core)
{
	uint64_t gen = atomic_fetch_add(&core->inv_gen, 1) + 1;

	x1_attention(core);
	return gen;
}

void x1_inval_check(struct x1_core *core)
{
	uint64_t acked;

	if (!core->inv_count && !core->dying)
		return;
	acked = x1_inval_acked(core);
	while (core->inv_count && core->inv[core->inv_head].gen <= acked) {
		core->inv_done = core->inv[core->inv_head].seq;
		core->inv_head = (core->inv_head + 1) % X1_INVAL_DEPTH;
		core->inv_count--;
		x1_irq_raise(core, X1_IRQ_INVAL);
	}
	x1_sysmap_reap(core, acked);
}

void x1_inval_submit(struct x1_core *core, uint32_t seq)
{
	struct x1_inval *inv;
	uint64_t gen;

	if (core->inv_count == X1_INVAL_DEPTH)
		return;
	gen = x1_inval_bump(core);
	inv = &core->inv[(core->inv_head + core->inv_count++) % X1_INVAL_DEPTH];
	inv->seq = seq;
	inv->gen = gen;
	/* A page that the guest takes back must not stay mapped here. */
	x1_sysmap_drop(core, 0, UINT64_MAX, gen);
	if (core->cfg.timing)
		x1_tm_post(core, (struct x1_tm_op){
					 .kind = X1_TM_INVAL,
					 .queue = core->inv_vm,
					 .a = core->inv_addr,
					 .b = core->inv_len,
				 });
	x1_inval_check(core);
}
