// SPDX-License-Identifier: MIT
/* The timeline's ring in HBM and its registers; lock held, but for the flush. */
#include <string.h>

#include "x1_int.h"

#define LO(v) ((uint32_t)(v))
#define HI(v) ((uint32_t)((uint64_t)(v) >> 32))

void x1_timeline_put(struct x1_core *core, const struct x1_tl_event *ev, uint32_t n)
{
	struct x1_timeline *tl = &core->timeline;
	uint32_t size = 1u << tl->log2;

	if (!tl->mask)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t off = tl->addr + (tl->head & (size - 1)) * sizeof(*ev);

		/* Software is behind: what does not fit is counted. */
		if (tl->head - tl->tail >= size) {
			tl->lost += n - i;
			return;
		}
		memcpy(core->hbm + off, &ev[i], sizeof(*ev));
		if (core->ops.hbm_dirty)
			core->ops.hbm_dirty(core->host, off, sizeof(*ev));
		tl->head++;
	}
}

void x1_timeline_flush(void *arg, const struct x1_tl_event *ev, uint32_t n)
{
	struct x1_core *core = arg;

	x1_lock(core);
	x1_timeline_put(core, ev, n);
	x1_unlock(core);
}

void x1_timeline_fault(struct x1_core *core, uint32_t queue, uint32_t code, uint32_t mcu)
{
	struct x1_tl_event ev = x1_tl_event(X1_TL_FAULT, queue, mcu, x1_clock(core), 0, code);

	if (core->timeline.mask & X1_TL_MASK(X1_TL_FAULT))
		x1_timeline_put(core, &ev, 1);
}

uint32_t x1_timeline_read(struct x1_core *core, uint32_t off)
{
	const struct x1_timeline *tl = &core->timeline;

	switch (off) {
	case X1_REG_TL_ADDR_LO:
		return LO(tl->addr);
	case X1_REG_TL_ADDR_HI:
		return HI(tl->addr);
	case X1_REG_TL_LOG2:
		return tl->log2;
	case X1_REG_TL_MASK:
		return tl->mask;
	case X1_REG_TL_HEAD_LO:
		return LO(tl->head);
	case X1_REG_TL_HEAD_HI:
		return HI(tl->head);
	case X1_REG_TL_TAIL_LO:
		return LO(tl->tail);
	case X1_REG_TL_TAIL_HI:
		return HI(tl->tail);
	case X1_REG_TL_LOST_LO:
		return LO(tl->lost);
	case X1_REG_TL_LOST_HI:
		return HI(tl->lost);
	default:
		return 0;
	}
}

bool x1_timeline_ok(const struct x1_core *core)
{
	const struct x1_timeline *tl = &core->timeline;
	uint64_t bytes;

	if (tl->log2 < X1_TL_MIN_LOG2 || tl->log2 > X1_TL_MAX_LOG2 || tl->addr % 64)
		return false;
	bytes = sizeof(struct x1_tl_event) << tl->log2;
	return tl->addr < core->cfg.hbm_bytes && bytes <= core->cfg.hbm_bytes - tl->addr;
}

static void set_half(uint64_t *v, bool hi, uint32_t val)
{
	*v = hi ? (*v & 0xffffffffull) | (uint64_t)val << 32 : (*v & ~0xffffffffull) | val;
}

static void set_mask(struct x1_core *core, uint32_t mask)
{
	struct x1_timeline *tl = &core->timeline;

	mask &= X1_TL_MASK_ALL;
	if (!tl->mask && mask) {
		if (!x1_timeline_ok(core))
			return;
		tl->head = tl->tail = tl->lost = 0;
	}
	tl->mask = mask;
}

void x1_timeline_write(struct x1_core *core, uint32_t off, uint32_t val)
{
	struct x1_timeline *tl = &core->timeline;

	switch (off) {
	case X1_REG_TL_ADDR_LO:
	case X1_REG_TL_ADDR_HI:
		/* The ring stays where it is while it is written. */
		if (!tl->mask)
			set_half(&tl->addr, off == X1_REG_TL_ADDR_HI, val);
		break;
	case X1_REG_TL_LOG2:
		if (!tl->mask)
			tl->log2 = val;
		break;
	case X1_REG_TL_MASK:
		set_mask(core, val);
		break;
	case X1_REG_TL_TAIL_LO:
	case X1_REG_TL_TAIL_HI:
		set_half(&tl->tail, off == X1_REG_TL_TAIL_HI, val);
		break;
	}
}
