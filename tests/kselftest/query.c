// SPDX-License-Identifier: GPL-2.0
/* QUERY and opening the node. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <x1/x1_perf.h>

FIXTURE(query) {
	int fd;
};

FIXTURE_SETUP(query)
{
	self->fd = util_open();
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(query)
{
	close(self->fd);
}

TEST_F(query, driver)
{
	char name[16] = "";
	struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };

	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_VERSION, &v));
	EXPECT_STREQ("siliflow", name);
	EXPECT_EQ(SILIFLOW_DRIVER_MAJOR, v.version_major);
	EXPECT_LE(SILIFLOW_DRIVER_MINOR, v.version_minor);
}

TEST_F(query, device)
{
	struct drm_siliflow_query_device d;

	memset(&d, 0xff, sizeof(d));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d)));
	EXPECT_EQ(X1_DEF_MCUS, d.num_mcus);
	EXPECT_EQ(d.num_mcus, d.num_mcus_healthy);
	EXPECT_EQ(X1_DEF_CLOCK_HZ, d.clock_hz);
	EXPECT_EQ(X1_SPAD_BYTES, d.spad_bytes);
	EXPECT_EQ(X1_ACC_BYTES, d.acc_bytes);
	EXPECT_NE(0, d.formats);
	EXPECT_LT(d.va_start, d.va_end);
	EXPECT_EQ(10000, d.max_timeout_ms);
}

TEST_F(query, memory)
{
	struct drm_siliflow_query_memory before, after;
	uint32_t bo;

	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_MEMORY, &before, sizeof(before)));
	ASSERT_EQ(0, util_bo(self->fd, 4 << 20, SILIFLOW_BO_HBM, &bo));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_MEMORY, &after, sizeof(after)));
	EXPECT_EQ(before.hbm_used + (4 << 20), after.hbm_used);
	EXPECT_EQ(before.hbm_size, after.hbm_size);
	ASSERT_EQ(0, util_bo_close(self->fd, bo));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_MEMORY, &after, sizeof(after)));
	EXPECT_EQ(before.hbm_used, after.hbm_used);
}

TEST_F(query, firmware_lives)
{
	struct drm_siliflow_query_firmware a, b;

	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &a, sizeof(a)));
	EXPECT_NE(0, a.version);
	for (int i = 0; i < 100; i++) {
		usleep(50000);
		ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_FIRMWARE, &b, sizeof(b)));
		if (b.heartbeat != a.heartbeat)
			break;
	}
	EXPECT_NE(a.heartbeat, b.heartbeat);
}

TEST_F(query, clock_and_health)
{
	struct drm_siliflow_query_clock c;
	uint64_t map[X1_DEF_MCUS / 64];

	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_CLOCK, &c, sizeof(c)));
	EXPECT_NE(0, c.monotonic_ns);
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_MCU_HEALTH, map, sizeof(map)));
	for (unsigned int i = 0; i < ARRAY_SIZE_T(map); i++)
		EXPECT_EQ(~0ull, map[i]);
}

TEST_F(query, telemetry)
{
	struct drm_siliflow_query_telemetry t;

	memset(&t, 0xff, sizeof(t));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_TELEMETRY, &t, sizeof(t)));
	EXPECT_LT(0, t.temp_mc);
	EXPECT_LT(0, t.power_mw);
	EXPECT_LE(t.core_power_mw, t.power_mw);
	EXPECT_LE(t.util_permille, 1000);
	EXPECT_LE(t.energy_core_uj, t.energy_package_uj);
}

struct counters {
	struct drm_siliflow_query_counters head;
	struct drm_siliflow_mcu_counters mcu[X1_DEF_MCUS];
};

static struct drm_siliflow_mcu_counters sum(const struct counters *c)
{
	struct drm_siliflow_mcu_counters s = {};

	for (uint32_t i = 0; i < c->head.num_mcus; i++) {
		s.work_groups += c->mcu[i].work_groups;
		s.cycles += c->mcu[i].cycles;
		for (int e = 0; e < 8; e++)
			s.busy[e] += c->mcu[i].busy[e];
	}
	return s;
}

/* A LAUNCH's work-groups count, with the MCUs that have run them. */
TEST_F(query, counters)
{
	static struct counters before, after;
	struct drm_siliflow_mcu_counters was, is;
	struct util_ctx c;

	ASSERT_EQ(0, util_setup(&c, self->fd));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_COUNTERS, &before, sizeof(before)));
	EXPECT_EQ(X1_DEF_MCUS, before.head.num_mcus);
	ASSERT_EQ(sizeof(before.mcu[0]), before.head.stride);
	c.prog[0] = (struct x1_insn){ .op = X1_OP_END };
	util_cmd_launch(&c, 0, 1);
	c.cmds[0].launch.grid[0] = 37;
	ASSERT_EQ(0, util_run(&c, 1));
	ASSERT_EQ(0, util_query(self->fd, DRM_SILIFLOW_QUERY_COUNTERS, &after, sizeof(after)));
	was = sum(&before);
	is = sum(&after);
	EXPECT_LT(before.head.device_cycles, after.head.device_cycles);
	EXPECT_EQ(was.work_groups + 37, is.work_groups);
	EXPECT_LT(was.cycles, is.cycles);
	EXPECT_LT(was.busy[X1_ENGINE_SEQ], is.busy[X1_ENGINE_SEQ]);
	EXPECT_EQ(was.busy[X1_ENGINE_MATRIX], is.busy[X1_ENGINE_MATRIX]);
	EXPECT_EQ(0, is.busy[X1_ENGINE_COUNT]);
	EXPECT_EQ(before.mcu[X1_DEF_MCUS - 1].work_groups, after.mcu[X1_DEF_MCUS - 1].work_groups);
	util_teardown(&c);
}

/* The size alone, a short answer, and one longer than the kernel's. */
TEST_F(query, sizes)
{
	struct drm_siliflow_query q = { .type = DRM_SILIFLOW_QUERY_DEVICE };
	uint8_t buf[4096];

	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	EXPECT_EQ(sizeof(struct drm_siliflow_query_device), q.size);

	memset(buf, 0xa5, sizeof(buf));
	q = (struct drm_siliflow_query){ .size = 5, .ptr = (uintptr_t)buf };
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	EXPECT_EQ(sizeof(struct drm_siliflow_query_device), q.size);
	EXPECT_EQ(0xa5, buf[5]);

	q = (struct drm_siliflow_query){ .size = sizeof(buf), .ptr = (uintptr_t)buf };
	ASSERT_EQ(0, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	EXPECT_EQ(sizeof(struct drm_siliflow_query_device), q.size);
	EXPECT_EQ(0xa5, buf[sizeof(struct drm_siliflow_query_device)]);
}

TEST_F(query, bad_input)
{
	struct drm_siliflow_query q = { .type = DRM_SILIFLOW_QUERY_COUNTERS + 1 };
	uint32_t none = 0;

	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	q = (struct drm_siliflow_query){ .type = ~0u };
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	q = (struct drm_siliflow_query){ .pad = 1 };
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	for (uint32_t type = 0; type <= DRM_SILIFLOW_QUERY_COUNTERS; type++) {
		q = (struct drm_siliflow_query){ .type = type, .size = 8, .ptr = BAD_POINTER };
		EXPECT_EQ(-EFAULT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, &q));
	}
	EXPECT_EQ(-EFAULT, util_ioctl(self->fd, DRM_IOCTL_SILIFLOW_QUERY, (void *)BAD_POINTER));
	/* One beyond the driver's last ioctl. */
	EXPECT_EQ(-EINVAL, util_ioctl(self->fd,
				      DRM_IOWR(DRM_COMMAND_BASE + DRM_SILIFLOW_TIMELINE_OPEN + 1,
					       uint32_t), &none));
	EXPECT_EQ(0, util_usable());
}

TEST_HARNESS_MAIN
