// SPDX-License-Identifier: MIT
/*
 * Faults on purpose: what is broken in the device, for tests of the software
 * above it. The rest of the core asks here in the few places where a fault
 * shows; where nothing is broken it costs one load.
 */
#include <errno.h>
#include <string.h>

#include "x1_int.h"

void x1_inject_clear(struct x1_core *core)
{
	struct x1_injected *in = &core->inject;

	atomic_store(&in->stuck, -1);
	atomic_store(&in->wrong, -1);
	atomic_store(&in->dma, 0);
	atomic_store(&in->irq, 0);
	atomic_store(&in->num_bad, 0);
	in->temp_mc = -1;
	core->ecc_corrected = core->ecc_uncorrected = 0;
	core->ecc_addr = 0;
}

bool x1_inject_take(_Atomic uint32_t *left)
{
	uint32_t n = atomic_load_explicit(left, memory_order_relaxed);

	while (n)
		if (atomic_compare_exchange_weak(left, &n, n - 1))
			return true;
	return false;
}

/* ---- HBM ---- */

bool x1_inject_near(struct x1_core *core, uint64_t off, uint64_t len)
{
	struct x1_injected *in = &core->inject;
	bool found = false;

	if (!atomic_load_explicit(&in->num_bad, memory_order_acquire))
		return false;
	x1_lock(core);
	for (uint32_t i = 0; i < atomic_load(&in->num_bad); i++)
		found |= in->bad[i].page - off < len;
	x1_unlock(core);
	return found;
}

uint32_t x1_inject_hbm(struct x1_core *core, uint64_t off, uint64_t len)
{
	struct x1_injected *in = &core->inject;
	uint32_t code = X1_FAULT_NONE, n;

	if (!atomic_load_explicit(&in->num_bad, memory_order_acquire))
		return code;
	x1_lock(core);
	n = atomic_load(&in->num_bad);
	for (uint32_t i = 0; i < n;) {
		struct x1_bad_page *b = &in->bad[i];

		if (b->page - off >= len) {
			i++;
		} else if (b->fatal) {
			core->ecc_uncorrected++;
			core->ecc_addr = b->page;
			code = X1_FAULT_ECC;
			break;
		} else {
			/* Corrected, and written back. */
			core->ecc_corrected++;
			*b = in->bad[--n];
			atomic_store(&in->num_bad, n);
		}
	}
	x1_unlock(core);
	return code;
}

static int bad_page(struct x1_core *core, int64_t off, bool fatal)
{
	struct x1_injected *in = &core->inject;
	uint32_t n = atomic_load(&in->num_bad);

	if (off == -1 && fatal) {
		atomic_store(&in->num_bad, 0);
		return 0;
	}
	if (off < 0 || (uint64_t)off >= core->cfg.hbm_bytes || n == X1_MAX_BAD_PAGES)
		return -EINVAL;
	in->bad[n].page = (uint64_t)off & ~(uint64_t)(X1_PAGE_SIZE - 1);
	in->bad[n].fatal = fatal;
	atomic_store(&in->num_bad, n + 1);
	/* Translations that exist do not know it. */
	x1_inval_bump(core);
	return 0;
}

/* ---- the interface ---- */

static int set_mcu(struct x1_core *core, _Atomic int64_t *which, int64_t mcu)
{
	if (mcu < -1 || mcu >= (int64_t)core->cfg.mcus)
		return -EINVAL;
	atomic_store(which, mcu);
	return 0;
}

static int set_count(_Atomic uint32_t *left, int64_t n)
{
	if (n < 0 || n > UINT32_MAX)
		return -EINVAL;
	atomic_store(left, (uint32_t)n);
	return 0;
}

static int hang_queue(struct x1_core *core, int64_t q)
{
	if (q < 0 || q >= X1_NUM_QUEUES || core->queue[q].state == X1_Q_STATE_DISABLED)
		return -EINVAL;
	core->queue[q].hung = true;
	if (core->queue[q].launch)
		atomic_store(&core->queue[q].launch->stop, 1);
	atomic_store(&core->queue[q].stop, 1);
	x1_queue_expect(&core->queue[q]);
	return 0;
}

int x1_core_inject(struct x1_core *core, enum x1_inject kind, int64_t arg)
{
	struct x1_injected *in = &core->inject;
	int err = 0;

	x1_lock(core);
	switch (kind) {
	case X1_INJECT_MCU_STUCK:
		err = set_mcu(core, &in->stuck, arg);
		break;
	case X1_INJECT_MCU_WRONG:
		err = set_mcu(core, &in->wrong, arg);
		break;
	case X1_INJECT_ECC_CORRECTED:
	case X1_INJECT_ECC_UNCORRECTED:
		err = bad_page(core, arg, kind == X1_INJECT_ECC_UNCORRECTED);
		break;
	case X1_INJECT_DMA:
		err = set_count(&in->dma, arg);
		/* Mappings were made before. */
		x1_sysmap_drop(core, 0, UINT64_MAX, x1_inval_bump(core));
		x1_inval_check(core);
		break;
	case X1_INJECT_IRQ_LOST:
		err = set_count(&in->irq, arg);
		break;
	case X1_INJECT_QUEUE_HUNG:
		err = hang_queue(core, arg);
		break;
	case X1_INJECT_FW_CRASH:
	case X1_INJECT_FW_HANG:
		x1_mgmt_break(core, kind == X1_INJECT_FW_CRASH);
		break;
	case X1_INJECT_TEMPERATURE:
		if (arg < -1 || arg > INT32_MAX)
			err = -EINVAL;
		else
			in->temp_mc = arg;
		break;
	default:
		err = -EINVAL;
		break;
	}
	x1_unlock(core);
	return err;
}

static int64_t first_bad(const struct x1_injected *in, bool fatal)
{
	for (uint32_t i = 0; i < atomic_load(&in->num_bad); i++)
		if (in->bad[i].fatal == fatal)
			return (int64_t)in->bad[i].page;
	return -1;
}

int64_t x1_core_injected(struct x1_core *core, enum x1_inject kind)
{
	struct x1_injected *in = &core->inject;
	int64_t value = -1;

	x1_lock(core);
	switch (kind) {
	case X1_INJECT_MCU_STUCK:
		value = atomic_load(&in->stuck);
		break;
	case X1_INJECT_MCU_WRONG:
		value = atomic_load(&in->wrong);
		break;
	case X1_INJECT_ECC_CORRECTED:
	case X1_INJECT_ECC_UNCORRECTED:
		value = first_bad(in, kind == X1_INJECT_ECC_UNCORRECTED);
		break;
	case X1_INJECT_DMA:
		value = atomic_load(&in->dma);
		break;
	case X1_INJECT_IRQ_LOST:
		value = atomic_load(&in->irq);
		break;
	case X1_INJECT_QUEUE_HUNG:
		for (uint32_t q = 0; q < X1_NUM_QUEUES && value < 0; q++)
			if (core->queue[q].hung)
				value = q;
		break;
	case X1_INJECT_TEMPERATURE:
		value = in->temp_mc;
		break;
	default:
		break;
	}
	x1_unlock(core);
	return value;
}
