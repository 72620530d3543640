// SPDX-License-Identifier: MIT
/*
 * Register sequences on the whole device, with the privilege of the host and of
 * the management core (whose firmware is the guest's as well), the real
 * firmware, doorbells and the host's life-cycle calls. REQ-REG.
 *
 * Input: a sequence of steps, a byte each with what it needs.
 */
#include <stdio.h>

#include "fuzz.h"

#define MAX_STEPS 96

static uint32_t image_bytes;

static uint32_t offset(struct fz_in *in)
{
	uint8_t kind = fz_u8(in);

	switch (kind & 3) {
	case 0:
	case 1:
		return 4u * fz_u8(in);
	case 2:
		return X1_REG_QUEUE((kind >> 2) % FZ_QUEUES) + 4u * (fz_u8(in) % 0x20);
	default:
		return kind & 4 ? fz_u32(in) % X1_BAR0_BYTES : fz_u16(in);
	}
}

static uint64_t value(struct fz_in *in)
{
	/* Numbers, or DVAs of both VMs. */
	return fz_u8(in) & 1 ? fz_address(in) : fz_number(in);
}

/* A queue that would work, from here on. */
static void enable(struct t_host *t, struct fz_in *in)
{
	uint32_t q = fz_u8(in) % FZ_QUEUES, base = X1_REG_QUEUE(q);

	t_mc(t, base + X1_Q_RING_LO, (uint32_t)T_RING(q % 2));
	t_mc(t, base + X1_Q_RING_LOG2, 4);
	t_mc(t, base + X1_Q_RING_VM, T_KVM);
	t_mc(t, base + X1_Q_USER_VM, T_UVM);
	t_mcop(t, q, X1_Q_OP_ENABLE);
}

static void commands(struct t_host *t, struct fz_in *in)
{
	union x1_cmd *ring = (union x1_cmd *)(t->hbm + t->ring[0]);

	for (unsigned int i = 0; i < 4; i++)
		ring[fz_u8(in) % 16] = t_cmd_sync(fz_u8(in) % X1_CMD_COUNT,
						  T_KDATA + fz_u8(in) % 8 * 8, fz_u8(in),
						  fz_u8(in) & 1);
}

static void step(struct t_host *t, struct fz_in *in)
{
	static const uint8_t sizes[] = {4, 4, 4, 8, 1, 2, 3, 16};
	uint8_t what = fz_u8(in);
	uint32_t q;

	switch (what & 15) {
	case 0:
	case 1:
	case 2:
		x1_core_bar_write(t->core, offset(in), value(in), sizes[what >> 5]);
		break;
	case 3:
	case 4:
		x1_core_bar_read(t->core, offset(in), sizes[what >> 5]);
		break;
	case 5:
	case 6:
		t_mc(t, offset(in) & 0xfffc, (uint32_t)value(in));
		break;
	case 7:
		enable(t, in);
		break;
	case 8:
		q = fz_u8(in) % FZ_QUEUES;
		t_wr(t, X1_REGS_BYTES + q * X1_DB_STRIDE_DEFAULT + X1_DB_WPTR,
		     t_q(t, q, X1_Q_WPTR) + (what >> 4));
		break;
	case 9:
		commands(t, in);
		break;
	case 10:
		t_wr(t, X1_REG_FW_ADDR_LO, (uint32_t)FZ_IMAGE_AT);
		t_wr(t, X1_REG_FW_SIZE, what & 0x10 ? (uint32_t)fz_number(in) : image_bytes);
		t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
		break;
	case 11:
		for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
			t_wr(t, X1_REG_MBOX_REQ + 4 * i, i ? (uint32_t)value(in) : fz_u8(in) % 16);
		t_wr(t, X1_REG_MBOX_SEND, 1);
		break;
	case 12:
		q = fz_u8(in) % FZ_QUEUES;
		t_op(t, q, what >> 4);
		break;
	case 13:
		x1_core_reset(t->core, what & 0x80 ? X1_RESET_COLD : X1_RESET_FLR);
		if (what & 0x80)
			image_bytes = fz_load_image(t);
		break;
	case 14:
		x1_core_pause(t->core);
		if (what & 0x10)
			x1_core_bar_write(t->core, offset(in), value(in), 4);
		if (what & 0x20)
			x1_core_reset(t->core, X1_RESET_FLR);
		x1_core_resume(t->core);
		break;
	case 15:
		if (what & 0x10)
			x1_core_set_bus_master(t->core, what & 0x20);
		else
			x1_core_sys_unmap(t->core, T_SYS_BASE + fz_u32(in) % T_SYS, fz_number(in));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct t_host *t = fz_device();
	struct fz_in in = {data, size};
	uint32_t epoch;

	if (!image_bytes)
		image_bytes = fz_load_image(t);
	fz_restart(t);
	for (unsigned int i = 0; i < MAX_STEPS && in.n; i++)
		step(t, &in);
	FZ_CHECK(t_rd(t, X1_REG_MAGIC) == X1_MAGIC, "magic");
	epoch = t_rd(t, X1_REG_BOOT_EPOCH);
	/* A reset brings back a device that works. */
	t_wr(t, X1_REG_RESET, X1_RESET_KEY);
	FZ_CHECK(t_rd(t, X1_REG_BOOT_EPOCH) == epoch + 1, "epoch");
	FZ_CHECK(t_rd(t, X1_REG_IRQ_PENDING) == 0 && t_rd(t, X1_REG_FW_STATE) == X1_FW_STATE_RESET,
		 "not reset");
	fz_restart(t);
	t_queue(t, 0, NULL);
	fz_alive(t, 0);
	return 0;
}
