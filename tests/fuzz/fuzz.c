// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <time.h>

#include "fuzz.h"

#define CLEARED     (64u << 10) /* bytes of an area that an input starts with as zeros */
#define PATIENCE_MS 20000

uint64_t fz_number(struct fz_in *in)
{
	uint8_t kind = fz_u8(in);

	switch (kind >> 5) {
	case 0:
	case 1:
		return kind & 0x3f;
	case 2:
		return fz_u8(in);
	case 3:
		return fz_u16(in);
	case 4:
		return 1ull << (kind & 0x1f);
	case 5:
		return (1ull << (kind & 0x1f)) - 1;
	case 6:
		return 0 - (uint64_t)(kind & 0x1f);
	default:
		return kind & 1 ? fz_u64(in) : fz_u32(in);
	}
}

uint64_t fz_address(struct fz_in *in)
{
	static const struct {
		uint64_t base, len;
	} areas[] = {
		{T_UDATA, 8 << 20}, {T_UHUGE, 8 << 20}, {T_USYS, 4 << 20},  {T_UPROG, 1 << 20},
		{T_URO, 1 << 20},   {T_UDATA, 8 << 20}, {T_KDATA, 1 << 20}, {T_NONE, 1 << 20},
	};
	uint8_t kind = fz_u8(in);
	uint32_t area = kind & 7;

	switch (kind >> 3 & 7) {
	case 0:
	case 1:
	case 2:
		return areas[area].base + (uint64_t)fz_u8(in) * 64;
	case 3:
		return areas[area].base + fz_u16(in);
	case 4:
		return areas[area].base + areas[area].len - fz_u8(in);
	case 5:
		return areas[area].base + 4096 - 8 + (kind & 8);
	case 6:
		return areas[area].base + (uint64_t)fz_u16(in) * 4096;
	default:
		return fz_u64(in);
	}
}

static uint8_t *tables; /* as t_new() left them */
static uint64_t tables_len;

static void small(struct x1_core_config *cfg)
{
	cfg->threads = 2;
	cfg->mcus = 4;
	cfg->l2_bytes = 1 << 20;
}

struct t_host *fz_device(void)
{
	static struct t_host *t;

	if (t)
		return t;
	t = t_new(small);
	/* Their rings are mapped at the first use: before the tables are kept. */
	for (uint32_t q = 0; q < FZ_QUEUES; q++)
		t_queue(t, q, NULL);
	tables_len = t->table_next;
	tables = malloc(tables_len);
	FZ_CHECK(tables, "no memory");
	memcpy(tables, t->hbm, tables_len);
	return t;
}

void fz_restart(struct t_host *t)
{
	const uint64_t areas[] = {t->kdata, t->uprog, t->uro, t->udata, t->uhuge};

	x1_core_reset(t->core, X1_RESET_FLR);
	x1_core_set_bus_master(t->core, true);
	atomic_store(&t->no_map, false);
	atomic_store(&t->dma_error, false);
	memcpy(t->hbm, tables, tables_len);
	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		memset(t->hbm + areas[i], 0, CLEARED);
	memset(t->sys, 0, CLEARED);
	FZ_CHECK(t_attach(t, T_KVM, t->root[T_KVM]) == X1_VM_CTRL_OK, "ring VM");
	FZ_CHECK(t_attach(t, T_UVM, t->root[T_UVM]) == X1_VM_CTRL_OK, "user VM");
}

uint32_t fz_load_image(struct t_host *t)
{
	const char *path = getenv("X1_FUZZ_FIRMWARE");
	FILE *file = fopen(path ? path : FIRMWARE, "rb");
	uint32_t bytes;

	FZ_CHECK(file, "no firmware image %s", path ? path : FIRMWARE);
	bytes = (uint32_t)fread(t->hbm + FZ_IMAGE_AT, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
}

void fz_settle(struct t_host *t, uint32_t q, unsigned int ms)
{
	uint64_t end = t_now_ms() + ms;

	while (t_q(t, q, X1_Q_STATE) == X1_Q_STATE_READY &&
	       t_q(t, q, X1_Q_RPTR) != t_q(t, q, X1_Q_WPTR) && t_now_ms() < end)
		nap();
}

void fz_stop(struct t_host *t, uint32_t q)
{
	uint64_t end = t_now_ms() + PATIENCE_MS;

	if (t_q(t, q, X1_Q_STATE) == X1_Q_STATE_DISABLED)
		return;
	t_op(t, q, X1_Q_OP_RESET);
	while (t_q(t, q, X1_Q_STATE) != X1_Q_STATE_READY) {
		FZ_CHECK(t_now_ms() < end, "queue %u stays in state %u", q, t_q(t, q, X1_Q_STATE));
		nap();
	}
	t->wptr[q] = t_q(t, q, X1_Q_WPTR);
}

void fz_alive(struct t_host *t, uint32_t q)
{
	uint64_t end = t_now_ms() + PATIENCE_MS;
	const uint32_t word = 500;
	union x1_cmd c = t_cmd_sync(X1_CMD_FENCE, T_KDATA + word * 8, 0x600d, 0);

	t_set_kword(t, word, 0);
	t_push(t, q, &c);
	t_ring(t, q);
	while (t_kword(t, word) != 0x600d) {
		FZ_CHECK(t_now_ms() < end, "no fence from queue %u in state %u", q,
			 t_q(t, q, X1_Q_STATE));
		nap();
	}
}

void fz_boot(struct t_host *t)
{
	uint64_t end = t_now_ms() + PATIENCE_MS;

	t_wr(t, X1_REG_FW_ADDR_LO, (uint32_t)FZ_IMAGE_AT);
	t_wr(t, X1_REG_FW_ADDR_HI, 0);
	t_wr(t, X1_REG_FW_SIZE, fz_load_image(t));
	t_wr(t, X1_REG_FW_CTRL, X1_FW_CTRL_BOOT);
	while (t_rd(t, X1_REG_FW_STATE) != X1_FW_STATE_READY) {
		FZ_CHECK(t_now_ms() < end, "firmware in state %u", t_rd(t, X1_REG_FW_STATE));
		nap();
	}
}
