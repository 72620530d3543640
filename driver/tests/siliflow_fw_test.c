// SPDX-License-Identifier: GPL-2.0-only
/*
 * Booting, with memory that stands for registers and HBM: what the boot ROM may
 * answer is there before. Restarts and the log. Included by siliflow_fw.c.
 */
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include <kunit/device.h>
#include <kunit/test.h>

struct sili_fw_test {
	struct sili_device sdev;
	struct firmware fw;
	u8 image[5000];
	void *hbm;
};

static int sili_fw_test_init(struct kunit *test)
{
	struct sili_fw_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct device *dev = kunit_device_register(test, "siliflow-fw-test");
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	test->priv = t;
	t->hbm = vzalloc(SILI_FW_OFFSET + SZ_8K);
	KUNIT_ASSERT_NOT_NULL(test, t->hbm);
	t->sdev.hbm = (void __iomem *)t->hbm;
	t->sdev.regs = (void __iomem *)kunit_kzalloc(test, X1_REGS_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (void *)t->sdev.regs);
	t->sdev.drm.dev = dev;
	init_waitqueue_head(&t->sdev.wait);
	spin_lock_init(&t->sdev.fw_log_lock);
	for (i = 0; i < sizeof(t->image); i++)
		t->image[i] = i * 7;
	t->fw = (struct firmware){ .size = sizeof(t->image), .data = t->image };
	t->sdev.fw = &t->fw;
	sili_write(&t->sdev, X1_REG_FW_ABI, X1_FW_ABI);
	return 0;
}

static void sili_fw_test_exit(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;

	if (t)
		vfree(t->hbm);
}

static int sili_fw_test_answer(struct sili_fw_test *t, u32 state)
{
	sili_write(&t->sdev, X1_REG_FW_STATE, state);
	return sili_fw_boot(&t->sdev);
}

static void sili_fw_test_boot(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;

	t->sdev.fw_log_next = 5;
	KUNIT_EXPECT_EQ(test, sili_fw_test_answer(t, X1_FW_STATE_READY), 0);
	KUNIT_EXPECT_MEMEQ(test, t->hbm + SILI_FW_OFFSET, t->image, sizeof(t->image));
	KUNIT_EXPECT_EQ(test, sili_read64(&t->sdev, X1_REG_FW_ADDR_LO), SILI_FW_OFFSET);
	KUNIT_EXPECT_EQ(test, sili_read(&t->sdev, X1_REG_FW_SIZE), sizeof(t->image));
	KUNIT_EXPECT_EQ(test, sili_read(&t->sdev, X1_REG_FW_CTRL), X1_FW_CTRL_BOOT);
	/* Its log begins anew. */
	KUNIT_EXPECT_EQ(test, t->sdev.fw_log_next, 0);
}

static void sili_fw_test_answers(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;
	u32 error;

	for (error = X1_FW_ERR_RANGE; error <= X1_FW_ERR_COUNT; error++) {
		sili_write(&t->sdev, X1_REG_FW_ERROR, error);
		KUNIT_EXPECT_EQ(test, sili_fw_test_answer(t, X1_FW_STATE_REFUSED), -EINVAL);
	}
	KUNIT_EXPECT_EQ(test, sili_fw_test_answer(t, X1_FW_STATE_CRASHED), -EIO);
	sili_write(&t->sdev, X1_REG_FW_ABI, X1_FW_ABI + 1);
	KUNIT_EXPECT_EQ(test, sili_fw_test_answer(t, X1_FW_STATE_READY), -EINVAL);
	KUNIT_EXPECT_TRUE(test, sili_fw_alive(&t->sdev));
}

/* While it checks and starts the driver waits. */
static void sili_fw_test_settled(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;
	u32 state;

	for (state = X1_FW_STATE_RESET; state <= X1_FW_STATE_CRASHED; state++) {
		sili_write(&t->sdev, X1_REG_FW_STATE, state);
		KUNIT_EXPECT_EQ(test, sili_fw_settled(&t->sdev),
				state == X1_FW_STATE_REFUSED || state == X1_FW_STATE_READY ||
				state == X1_FW_STATE_CRASHED);
		KUNIT_EXPECT_EQ(test, sili_fw_alive(&t->sdev), state == X1_FW_STATE_READY);
	}
}

static void sili_fw_test_restarts(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;
	u32 i;

	for (i = 0; i < SILI_FW_RESTARTS; i++)
		KUNIT_EXPECT_TRUE(test, sili_fw_may_restart(&t->sdev));
	KUNIT_EXPECT_FALSE(test, sili_fw_may_restart(&t->sdev));
	KUNIT_EXPECT_FALSE(test, sili_fw_may_restart(&t->sdev));
	/* Of the last minute alone. */
	t->sdev.fw_restart_start = jiffies - SILI_FW_RESTART_WINDOW - 1;
	for (i = 0; i < SILI_FW_RESTARTS; i++)
		KUNIT_EXPECT_TRUE(test, sili_fw_may_restart(&t->sdev));
	KUNIT_EXPECT_FALSE(test, sili_fw_may_restart(&t->sdev));
}

/* The last entries, oldest first, however many there were. */
static void sili_fw_test_log(struct kunit *test)
{
	struct sili_fw_test *t = test->priv;
	struct sili_device *sdev = &t->sdev;
	struct x1_mbox_log *out;
	u32 n, i;

	out = kunit_kcalloc(test, SILI_FW_LOG_ENTRIES, sizeof(*out), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, out);
	KUNIT_EXPECT_EQ(test, sili_fw_log_copy(sdev, out), 0);
	for (n = 1; n <= 2 * SILI_FW_LOG_ENTRIES + 3; n++) {
		u32 kept = min(n, SILI_FW_LOG_ENTRIES);

		sdev->fw_log[sdev->fw_log_total++ % SILI_FW_LOG_ENTRIES].position = n;
		KUNIT_ASSERT_EQ(test, sili_fw_log_copy(sdev, out), kept);
		for (i = 0; i < kept; i++)
			KUNIT_ASSERT_EQ(test, out[i].position, n - kept + 1 + i);
	}
}

static struct kunit_case sili_fw_cases[] = {
	KUNIT_CASE(sili_fw_test_boot),
	KUNIT_CASE(sili_fw_test_answers),
	KUNIT_CASE(sili_fw_test_settled),
	KUNIT_CASE(sili_fw_test_restarts),
	KUNIT_CASE(sili_fw_test_log),
	{}
};

static struct kunit_suite sili_fw_suite = {
	.name = "siliflow_fw",
	.init = sili_fw_test_init,
	.exit = sili_fw_test_exit,
	.test_cases = sili_fw_cases,
};

kunit_test_suite(sili_fw_suite);
