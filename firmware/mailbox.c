// SPDX-License-Identifier: MIT
/* Mailbox: one request, one reply. A bad request gets a status, never silence. */
#include "fw.h"

/* A message and its arguments in each of their forms. */
union message {
	struct x1_mbox_msg msg;
	uint32_t word[X1_MBOX_WORDS];
};

union arguments {
	uint32_t word[X1_MBOX_ARGS];
	struct x1_mbox_queue_create create;
	struct x1_mbox_telemetry telemetry;
	struct x1_mbox_log log;
	struct x1_mbox_limits limits;
	struct x1_mbox_self_test self_test;
};

static void copy_args(uint32_t *dst, const uint32_t *src)
{
	for (uint32_t i = 0; i < X1_MBOX_ARGS; i++)
		dst[i] = src[i];
}

static uint32_t vm_control(const struct x1_mbox_msg *m, uint32_t op, uint32_t *bad)
{
	uint32_t status;

	if (!m->arg[0] || m->arg[0] >= hw_read(X1_REG_NUM_VMS)) {
		*bad = 0;
		return X1_MBOX_ERR_ARG;
	}
	hw_write(X1_REG_VM_INDEX, m->arg[0]);
	hw_write(X1_REG_VM_ROOT_LO, m->arg[1]);
	hw_write(X1_REG_VM_ROOT_HI, m->arg[2]);
	hw_write(X1_REG_VM_CTRL, op);
	status = hw_read(X1_REG_VM_CTRL);
	if (status == X1_VM_CTRL_EBUSY)
		return X1_MBOX_ERR_BUSY;
	if (status != X1_VM_CTRL_OK) {
		*bad = 1;
		return X1_MBOX_ERR_ARG;
	}
	log_event(op == X1_VM_CTRL_ATTACH ? X1_LOG_VM_ATTACHED : X1_LOG_VM_DETACHED, m->arg[0], 0,
		  0);
	return X1_MBOX_OK;
}

static uint32_t quarantine(const struct x1_mbox_msg *m, uint32_t *bad)
{
	if (m->arg[0] >= hw_read(X1_REG_NUM_MCUS)) {
		*bad = 0;
		return X1_MBOX_ERR_ARG;
	}
	if (m->arg[1] > 1) {
		*bad = 1;
		return X1_MBOX_ERR_ARG;
	}
	return mcu_set_health(m->arg[0], !m->arg[1]);
}

static void telemetry(struct x1_mbox_telemetry *t)
{
	power_telemetry(t);
	t->uptime_ms = (uint32_t)(hw_time_us() / 1000);
	t->queues = queue_count();
	t->mcus_healthy = hw_read(X1_REG_MCU_HEALTHY);
}

static uint32_t power(const struct x1_mbox_msg *m, uint32_t *bad)
{
	*bad = 0;
	if (m->arg[0] > X1_POWER_IDLE)
		return X1_MBOX_ERR_ARG;
	if (m->arg[0] == X1_POWER_IDLE && queue_count())
		return X1_MBOX_ERR_BUSY;
	log_event(X1_LOG_POWER, m->arg[0], 0, 0);
	return X1_MBOX_OK;
}

static uint32_t serve(const struct x1_mbox_msg *m, struct x1_mbox_msg *r)
{
	union arguments a = {{0}}, out = {{0}};
	uint32_t status;

	switch (m->op) {
	case X1_MBOX_PING:
		r->arg[0] = m->arg[0];
		return X1_MBOX_OK;
	case X1_MBOX_QUEUE_CREATE:
		copy_args(a.word, m->arg);
		return queue_create(&a.create, &r->arg[0]);
	case X1_MBOX_QUEUE_DESTROY:
		return queue_destroy(m->arg[0]);
	case X1_MBOX_QUEUE_BUDGET:
		return queue_budget(m->arg[0], m->arg[1], m->arg[2]);
	case X1_MBOX_VM_ATTACH:
		return vm_control(m, X1_VM_CTRL_ATTACH, &r->arg[0]);
	case X1_MBOX_VM_DETACH:
		return vm_control(m, X1_VM_CTRL_DETACH, &r->arg[0]);
	case X1_MBOX_TELEMETRY:
		telemetry(&a.telemetry);
		copy_args(r->arg, a.word);
		return X1_MBOX_OK;
	case X1_MBOX_LOG_READ:
		if (!log_read(m->arg[0], &a.log))
			return X1_MBOX_ERR_NONE;
		copy_args(r->arg, a.word);
		return X1_MBOX_OK;
	case X1_MBOX_SELF_TEST:
		self_test(&out.self_test);
		copy_args(r->arg, out.word);
		return X1_MBOX_OK;
	case X1_MBOX_LIMITS:
		copy_args(a.word, m->arg);
		status = power_limits(&a.limits, &out.limits, &out.word[0]);
		copy_args(r->arg, out.word);
		return status;
	case X1_MBOX_MCU_QUARANTINE:
		return quarantine(m, &r->arg[0]);
	case X1_MBOX_POWER:
		return power(m, &r->arg[0]);
	default:
		return X1_MBOX_ERR_OP;
	}
}

void mailbox_serve(void)
{
	union message in, out = {{0}};

	/* Read once: the host may change the words meanwhile. */
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		in.word[i] = hw_read(X1_REG_MBOX_REQ + 4 * i);
	out.msg.op = in.msg.op;
	out.msg.seq = in.msg.seq;
	out.msg.status = serve(&in.msg, &out.msg);
	if (out.msg.status != X1_MBOX_OK && out.msg.status != X1_MBOX_ERR_NONE)
		log_event(X1_LOG_BAD_REQUEST, in.msg.op, out.msg.status, 0);
	for (uint32_t i = 0; i < X1_MBOX_WORDS; i++)
		hw_write(X1_REG_MBOX_RSP + 4 * i, out.word[i]);
	/* Clears BUSY and raises X1_IRQ_MBOX. */
	hw_write(X1_REG_MBOX_STATUS, 0);
}
