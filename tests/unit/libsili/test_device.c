// SPDX-License-Identifier: MIT
/* Opening: options, firmware images good and bad, information, memory. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "x1/x1_fault.h"
#include "x1/x1_fw.h"

static void expect_open(const char *spec, int want, const char *text)
{
	struct sili_device *dev;
	char err[256] = "";

	assert_int_equal(sili_open(&dev, spec, err, sizeof(err)), want);
	assert_null(dev);
	if (!strstr(err, text))
		fail_msg("'%s': message '%s' does not say '%s'", spec, err, text);
}

static void test_options(void **state)
{
	struct sili_info info = {.size = sizeof(info)};
	struct sili_device *dev = t_open("sim:mcus=12,hbm=256M,threads=2,timing=off");

	(void)state;
	assert_int_equal(sili_get_info(dev, &info), 0);
	assert_int_equal(info.mcus, 12);
	assert_int_equal(info.hbm_bytes, 256 << 20);
	assert_false(info.timing);
	assert_string_equal(info.backend, "sim");
	sili_close(dev);
	expect_open("sim:mcu=12", -EINVAL, "unknown key 'mcu'");
	expect_open("sim:mcus=0", -EINVAL, "mcus");
	expect_open("sim:mcus=-1", -EINVAL, "mcus");
	expect_open("sim:hbm=1X", -EINVAL, "hbm");
	expect_open("sim:timing=maybe", -EINVAL, "timing");
	expect_open("nonsense", -EINVAL, "nonsense");
	expect_open("/dev/null", -ENODEV, "/dev/null");
}

static void write_image(const char *path, const uint8_t *image, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(image, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* REQ-MGMT-002: each kind of bad image is refused with its reason. */
static void test_firmware(void **state)
{
	char path[] = "/tmp/x1-fw-XXXXXX";
	uint8_t image[65536];
	struct x1_fw_header h;
	size_t n;
	FILE *f;

	(void)state;
	t_firmware();
	f = fopen(getenv("SILI_FIRMWARE"), "rb");
	assert_non_null(f);
	n = fread(image, 1, sizeof(image), f);
	fclose(f);
	assert_true(n > sizeof(h));
	close(mkstemp(path));
	setenv("SILI_FIRMWARE", path, 1);
	write_image(path, image, n / 2);
	expect_open("sim", -EPROTO, x1_fw_error_name(X1_FW_ERR_TRUNCATED));
	write_image(path, image, 10);
	expect_open("sim", -EPROTO, x1_fw_error_name(X1_FW_ERR_TRUNCATED));
	image[n - 1] ^= 1;
	write_image(path, image, n);
	expect_open("sim", -EPROTO, x1_fw_error_name(X1_FW_ERR_HASH));
	image[n - 1] ^= 1;
	memcpy(&h, image, sizeof(h));
	h.abi++;
	memcpy(image, &h, sizeof(h));
	write_image(path, image, n);
	expect_open("sim", -EPROTO, x1_fw_error_name(X1_FW_ERR_ABI));
	image[0] ^= 1;
	write_image(path, image, n);
	expect_open("sim", -EPROTO, x1_fw_error_name(X1_FW_ERR_MAGIC));
	unlink(path);
	expect_open("sim", -ENOENT, path);
}

static void test_info_sizes(void **state)
{
	struct sili_device *dev = t_open("sim:hbm=64M");
	struct {
		struct sili_info info;
		uint32_t beyond[4];
	} big = {.info.size = sizeof(big), .beyond = {1, 1, 1, 1}};
	struct sili_info small = {.size = 12, .queues = 77};

	(void)state;
	assert_int_equal(sili_get_info(dev, &big.info), 0);
	assert_int_equal(big.beyond[3], 0);
	assert_int_equal(sili_get_info(dev, &small), 0);
	assert_int_equal(small.mcus, big.info.mcus);
	assert_int_equal(small.queues, 77);
	sili_close(dev);
}

/* A product on all MCUs of a device; what it took. */
static struct x1_perf product(struct sili_device *dev)
{
	struct sili_gemm g = {.size = sizeof(g),
			      .m = 256,
			      .n = 256,
			      .k = 256,
			      .a_fmt = X1_FMT_E4M3,
			      .b_fmt = X1_FMT_E4M3,
			      .c_fmt = X1_FMT_FP32};
	struct sili_bo *bo = t_bo(dev, 1 << 20, SILI_HBM);
	struct sili_queue *queue = t_queue(dev);
	union x1_cmd cmds[8];
	struct x1_perf perf;
	int n;

	g.a = sili_bo_dva(bo);
	g.b = g.a + (64 << 10);
	g.c = g.a + (256 << 10);
	n = sili_gemm(dev, &g, cmds, 8, NULL);
	assert_true(n > 0);
	assert_int_equal(sili_run_perf(queue, cmds, (uint32_t)n, &perf), 0);
	assert_true(perf.work_groups);
	sili_queue_free(queue);
	sili_bo_free(bo);
	return perf;
}

/* What the MCUs count is what the queue counts. */
static void test_counters(void **state)
{
	struct sili_device *dev = t_open("sim:mcus=8,hbm=64M,threads=2");
	struct sili_mcu_counters mcu[16], sum = {0};
	struct x1_perf perf;

	(void)state;
	memset(mcu, 0xff, sizeof(mcu));
	assert_int_equal(sili_get_counters(dev, mcu, 16), 8);
	assert_int_equal(mcu[7].work_groups | mcu[7].cycles | mcu[7].busy[7], 0);
	assert_int_equal(mcu[8].cycles, UINT64_MAX);
	perf = product(dev);
	assert_int_equal(sili_get_counters(dev, mcu, 8), 8);
	for (int i = 0; i < 8; i++) {
		sum.work_groups += mcu[i].work_groups;
		sum.cycles += mcu[i].cycles;
		for (int e = 0; e < X1_ENGINE_COUNT; e++)
			sum.busy[e] += mcu[i].busy[e];
	}
	assert_int_equal(sum.work_groups, perf.work_groups);
	assert_int_equal(sum.cycles, perf.mcu_cycles);
	assert_memory_equal(sum.busy, perf.busy, sizeof(perf.busy));
	assert_int_equal(sili_get_counters(dev, mcu, 3), 3);
	assert_int_equal(sili_get_counters(dev, NULL, 0), 0);
	sili_close(dev);
}

static void test_timeline(void **state)
{
	static struct x1_tl_event e[1 << 12];
	struct sili_device *dev = t_open("sim:mcus=8,hbm=64M,threads=2");
	const uint32_t kinds = X1_TL_MASK(X1_TL_LAUNCH) | X1_TL_MASK(X1_TL_WG);
	struct x1_perf perf;
	uint64_t lost = 1;

	(void)state;
	assert_int_equal(sili_timeline_read(dev, e, 1, NULL), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, 0, 0), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, X1_TL_MASK_ALL + 1, 0), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, kinds, 1000), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, kinds, 128), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, kinds, 1u << 25), -EINVAL);
	assert_int_equal(sili_timeline_start(dev, kinds, 1 << 12), 0);
	assert_int_equal(sili_timeline_start(dev, kinds, 1 << 12), -EBUSY);
	assert_int_equal(sili_timeline_read(dev, e, 1, &lost), 0);
	assert_int_equal(lost, 0);
	perf = product(dev);
	assert_int_equal(sili_timeline_read(dev, e, 1, NULL), 1);
	assert_int_equal(sili_timeline_read(dev, e, 1 << 12, NULL), perf.work_groups);
	assert_int_equal(sili_timeline_read(dev, e, 1, NULL), 0);
	assert_int_equal(sili_timeline_stop(dev), 0);
	assert_int_equal(sili_timeline_read(dev, e, 1, NULL), -EINVAL);
	assert_int_equal(sili_timeline_stop(dev), 0);
	sili_close(dev);
}

static void test_memory(void **state)
{
	struct sili_device *dev = t_open("sim:hbm=64M");
	struct sili_bo *bo, *all[64];
	unsigned int n = 0;
	uint64_t first;

	(void)state;
	assert_int_equal(sili_bo_new(dev, 0, SILI_HBM, 0, &bo), -EINVAL);
	assert_int_equal(sili_bo_new(dev, 4096, (enum sili_mem)7, 0, &bo), -EINVAL);
	assert_int_equal(sili_bo_new(dev, 4096, SILI_HBM, 1u << 31, &bo), -EINVAL);
	assert_int_equal(sili_bo_new(dev, 128u << 20, SILI_HBM, 0, &bo), -ENOMEM);
	for (n = 0; n < 64; n++) {
		if (sili_bo_new(dev, 2 << 20, n % 4 ? SILI_HBM : SILI_SYSTEM, 0, &all[n]))
			break;
		assert_int_equal(sili_bo_dva(all[n]) % (2 << 20), 0);
		for (unsigned int i = 0; i < 2 << 20; i += 4096)
			assert_int_equal(((uint8_t *)sili_bo_map(all[n]))[i], 0);
		memset(sili_bo_map(all[n]), 0xa5, 2 << 20);
	}
	assert_in_range(n, 30, 63);
	first = sili_bo_dva(all[0]);
	while (n)
		sili_bo_free(all[--n]);
	/* All came back: the same address again, and zeroed. */
	bo = t_bo(dev, 40u << 20, SILI_HBM);
	assert_int_equal(sili_bo_dva(bo), first);
	for (unsigned int i = 0; i < 40u << 20; i += 4096)
		assert_int_equal(((uint8_t *)sili_bo_map(bo))[i], 0);
	sili_bo_free(bo);
	sili_close(dev);
}

/* What buffers take shows, and goes away again; a run costs energy. */
static void test_status(void **state)
{
	struct sili_status before = {.size = sizeof(before)}, during = before, after = before;
	struct sili_device *dev = t_open("sim:hbm=64M,mcus=8");
	struct sili_queue *q = t_queue(dev);
	struct sili_bo *hbm, *sys;
	union x1_cmd cmd;

	(void)state;
	assert_int_equal(sili_get_status(dev, &before), 0);
	hbm = t_bo(dev, 8 << 20, SILI_HBM);
	sys = t_bo(dev, 4 << 20, SILI_SYSTEM);
	sili_cmd_copy(&cmd, sili_bo_dva(hbm), sili_bo_dva(sys), 4 << 20);
	t_run(q, &cmd, 1, 0);
	assert_int_equal(sili_get_status(dev, &during), 0);
	assert_int_equal(during.hbm_bytes, 64 << 20);
	assert_in_range(during.hbm_used - before.hbm_used, 8 << 20, (8 << 20) + (64 << 10));
	assert_int_equal(during.system_used, before.system_used + (4 << 20));
	assert_int_equal(during.mcus_healthy, 8);
	assert_int_equal(during.fw_state, X1_FW_STATE_READY);
	assert_true(during.energy_package_uj > before.energy_package_uj);
	assert_true(during.temp_mc > 0);
	sili_bo_free(hbm);
	sili_bo_free(sys);
	assert_int_equal(sili_get_status(dev, &after), 0);
	assert_int_equal(after.system_used, before.system_used);
	assert_in_range(after.hbm_used, before.hbm_used, before.hbm_used + (64 << 10));
	after.size = 2;
	assert_int_equal(sili_get_status(dev, &after), -EINVAL);
	sili_queue_free(q);
	sili_close(dev);
}

static void test_two_devices(void **state)
{
	struct sili_device *a = t_open("sim:hbm=64M"), *b = t_open("sim:hbm=64M");
	struct sili_queue *qa = t_queue(a), *qb = t_queue(b);
	struct sili_bo *ba = t_bo(a, 4096, SILI_HBM), *bb = t_bo(b, 4096, SILI_HBM);
	union x1_cmd cmd;

	(void)state;
	sili_cmd_fill(&cmd, sili_bo_dva(ba), 4096, 0x11111111);
	t_run(qa, &cmd, 1, 0);
	assert_int_equal(*(uint32_t *)sili_bo_map(bb), 0);
	sili_cmd_fill(&cmd, sili_bo_dva(bb), 4096, 0x12345678);
	t_run(qb, &cmd, 1, 0);
	assert_int_equal(*(uint32_t *)sili_bo_map(ba), 0x11111111);
	assert_int_equal(*(uint32_t *)sili_bo_map(bb), 0x12345678);
	sili_bo_free(ba);
	sili_bo_free(bb);
	sili_queue_free(qa);
	sili_queue_free(qb);
	sili_close(a);
	sili_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),    cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_info_sizes), cmocka_unit_test(test_counters),
		cmocka_unit_test(test_timeline),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_status),     cmocka_unit_test(test_two_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
