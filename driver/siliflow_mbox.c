// SPDX-License-Identifier: GPL-2.0-only
/* Mailbox to the management firmware: one request at a time. */
#include "siliflow.h"

#define SILI_MBOX_TIMEOUT	msecs_to_jiffies(5000)

union sili_mbox_words {
	struct x1_mbox_msg msg;
	u32 word[X1_MBOX_WORDS];
};

static int sili_mbox_errno(u32 status)
{
	switch (status) {
	case X1_MBOX_OK:
		return 0;
	case X1_MBOX_ERR_ARG:
		return -EINVAL;
	case X1_MBOX_ERR_BUSY:
		return -EBUSY;
	case X1_MBOX_ERR_NONE:
		return -ENOENT;
	default:
		return -EIO;
	}
}

/* Answered, or never to be. */
static bool sili_mbox_settled(struct sili_device *sdev)
{
	return !(sili_read(sdev, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY) || !sili_fw_alive(sdev);
}

/**
 * sili_mbox_locked() - ask firmware, sdev->mbox_lock held
 * @sdev: device
 * @op: request
 * @args: arguments
 * @num_args: number of @args
 * @reply: X1_MBOX_ARGS words of the answer, or NULL
 *
 * Return: 0, -EINVAL, -EBUSY, -ENOENT or -EIO as firmware says, -ETIMEDOUT
 * when it does not answer.
 */
int sili_mbox_locked(struct sili_device *sdev, enum x1_mbox_op op, const u32 *args, u32 num_args,
		     u32 *reply)
{
	union sili_mbox_words m = {};
	u32 i;

	lockdep_assert_held(&sdev->mbox_lock);
	m.msg.op = op;
	m.msg.seq = ++sdev->mbox_seq;
	memcpy(m.msg.arg, args, num_args * sizeof(*args));
	for (i = 0; i < X1_MBOX_WORDS; i++)
		sili_write(sdev, X1_REG_MBOX_REQ + 4 * i, m.word[i]);
	sili_write(sdev, X1_REG_MBOX_SEND, 1);
	wait_event_timeout(sdev->wait, sili_mbox_settled(sdev), SILI_MBOX_TIMEOUT);
	if (sili_read(sdev, X1_REG_MBOX_STATUS) & X1_MBOX_BUSY)
		return -ETIMEDOUT;
	for (i = 0; i < X1_MBOX_WORDS; i++)
		m.word[i] = sili_read(sdev, X1_REG_MBOX_RSP + 4 * i);
	if (m.msg.op != op || m.msg.seq != sdev->mbox_seq)
		return -EIO;
	if (reply)
		memcpy(reply, m.msg.arg, sizeof(m.msg.arg));
	return sili_mbox_errno(m.msg.status);
}

/* Firmware that died may have made a queue before: it can be made again when it has gone. */
static void sili_mbox_undo(struct sili_device *sdev, enum x1_mbox_op op, const u32 *args)
{
	const u32 *queue = args + offsetof(struct x1_mbox_queue_create, queue) / sizeof(*args);

	if (op == X1_MBOX_QUEUE_CREATE)
		sili_mbox_locked(sdev, X1_MBOX_QUEUE_DESTROY, queue, 1, NULL);
}

/*
 * sili_mbox() - ask firmware
 *
 * As sili_mbox_locked(); firmware that does not answer is started again and
 * asked once more, and if that does not help the device is reset. Also returns
 * -ENODEV when the device has gone.
 */
int sili_mbox(struct sili_device *sdev, enum x1_mbox_op op, const u32 *args, u32 num_args,
	      u32 *reply)
{
	int idx, ret;

	if (!drm_dev_enter(&sdev->drm, &idx))
		return -ENODEV;
	mutex_lock(&sdev->mbox_lock);
	ret = sili_mbox_locked(sdev, op, args, num_args, reply);
	if (ret == -ETIMEDOUT && !sili_fw_restart(sdev, "firmware does not answer")) {
		sili_mbox_undo(sdev, op, args);
		ret = sili_mbox_locked(sdev, op, args, num_args, reply);
	}
	mutex_unlock(&sdev->mbox_lock);
	if (ret == -ETIMEDOUT)
		sili_reset_schedule(sdev, "firmware does not answer");
	drm_dev_exit(idx);
	return ret;
}
