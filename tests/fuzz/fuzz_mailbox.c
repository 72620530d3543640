// SPDX-License-Identifier: MIT
/*
 * Mailbox messages: the firmware, compiled for this machine, serves them on
 * the device's registers. Each gets an answer, and what it says is so.
 * REQ-MBOX.
 *
 * Input: messages: operation, then the arguments that it takes.
 */
#include <stdio.h>

#include "../../firmware/fw.h"
#include "fuzz.h"

#define MAX_MESSAGES 32
#define QUEUES       4

static uint64_t now_us;

uint32_t hw_read(uint32_t reg)
{
	uint32_t val;

	x1_lock(fz_device()->core);
	val = x1_reg_read(fz_device()->core, reg);
	x1_unlock(fz_device()->core);
	return val;
}

void hw_write(uint32_t reg, uint32_t val)
{
	t_mc(fz_device(), reg, val);
}

uint32_t mc_read(uint32_t addr)
{
	(void)addr;
	return 0;
}

void mc_write(uint32_t addr, uint32_t val)
{
	(void)addr, (void)val;
}

volatile uint32_t *hw_free_sram(uint32_t *words)
{
	static uint32_t sram[64];

	*words = 64;
	return sram;
}

uint64_t hw_time_us(void)
{
	return now_us++;
}

static uint32_t send(struct t_host *t, const struct x1_mbox_msg *m, struct x1_mbox_msg *r)
{
	uint32_t words[X1_MBOX_WORDS];

	memcpy(words, m, sizeof(words));
	for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
		t_wr(t, X1_REG_MBOX_REQ + 4 * i, words[i]);
	t_wr(t, X1_REG_MBOX_SEND, 1);
	FZ_CHECK(t_rd(t, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY, "not busy");
	mailbox_serve();
	FZ_CHECK(!(t_rd(t, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY), "no answer");
	FZ_CHECK(t_rd(t, X1_REG_IRQ_PENDING) & X1_IRQ_MBOX, "no interrupt");
	t_wr(t, X1_REG_IRQ_PENDING, X1_IRQ_MBOX);
	for (unsigned int i = 0; i < X1_MBOX_WORDS; i++)
		words[i] = t_rd(t, X1_REG_MBOX_RSP + 4 * i);
	memcpy(r, words, sizeof(words));
	FZ_CHECK(r->op == m->op && r->seq == m->seq, "answer to another request");
	FZ_CHECK(r->status <= X1_MBOX_ERR_HW, "status %u", r->status);
	return r->status;
}

static struct x1_mbox_msg message(struct fz_in *in)
{
	struct x1_mbox_msg m = {.op = fz_u8(in) % 14, .seq = fz_u16(in)};
	struct x1_mbox_queue_create c = {0};

	if (m.op != X1_MBOX_QUEUE_CREATE) {
		unsigned int n = fz_u8(in) % 4;

		for (unsigned int i = 0; i < n; i++)
			m.arg[i] = (uint32_t)fz_number(in);
		return m;
	}
	if (fz_u8(in) & 1) {
		for (unsigned int i = 0; i < X1_MBOX_ARGS; i++)
			m.arg[i] = (uint32_t)fz_number(in);
		return m;
	}
	c.ring_lo = (uint32_t)T_RING(fz_u8(in) % 2);
	c.ring_log2 = 4 + fz_u8(in) % 14;
	c.priority = fz_u8(in) % 5;
	c.ring_vm = T_KVM + fz_u8(in) % 8;
	c.user_vm = T_UVM + fz_u8(in) % 8;
	c.mcu_first = fz_u8(in) % 6;
	c.mcu_count = fz_u8(in) % 6;
	c.vector = fz_u8(in) % (X1_MSIX_VECTORS + 1);
	c.queue = fz_u8(in) % 2 ? X1_MBOX_QUEUE_ANY : fz_u8(in) % (X1_NUM_QUEUES + 1);
	memcpy(m.arg, &c, sizeof(c));
	return m;
}

static uint32_t enabled(struct t_host *t)
{
	uint32_t n = 0;

	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++)
		n += t_q(t, q, X1_Q_STATE) != X1_Q_STATE_DISABLED;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct t_host *t = fz_device();
	struct fz_in in = {data, size};
	struct x1_mbox_msg r;

	fz_restart(t);
	t_wr(t, X1_REG_IRQ_ENABLE, X1_IRQ_ALL);
	for (unsigned int i = 0; i < MAX_MESSAGES && in.n; i++) {
		struct x1_mbox_msg m = message(&in);

		send(t, &m, &r);
		if (m.op == X1_MBOX_QUEUE_CREATE && r.status == X1_MBOX_OK)
			FZ_CHECK(r.arg[0] < X1_NUM_QUEUES &&
					 t_q(t, r.arg[0], X1_Q_STATE) == X1_Q_STATE_READY,
				 "queue %u is not there", r.arg[0]);
		FZ_CHECK(queue_count() == enabled(t), "%u queues in the book, %u enabled",
			 queue_count(), enabled(t));
		queue_log_faults();
		fw_tick();
	}
	for (uint32_t q = 0; q < X1_NUM_QUEUES; q++) {
		struct x1_mbox_msg m = {.op = X1_MBOX_QUEUE_DESTROY, .arg = {q}};
		uint32_t status = send(t, &m, &r);

		FZ_CHECK(status == X1_MBOX_OK || status == X1_MBOX_ERR_NONE, "destroy: %u", status);
	}
	FZ_CHECK(!enabled(t), "queues left");
	return 0;
}
