// SPDX-License-Identifier: GPL-2.0
/* Temperature, power and energy through hwmon. */
#include "kselftest_harness.h"
#include "siliflow_util.h"

#include <limits.h>
#include <stdio.h>

#include <x1/x1_fw.h>

FIXTURE(hwmon) {
	char dir[PATH_MAX];
};

FIXTURE_SETUP(hwmon)
{
	ASSERT_EQ(0, util_glob(UTIL_DRIVER "/0000:*/hwmon/hwmon*", self->dir));
}

FIXTURE_TEARDOWN(hwmon)
{
}

static int read_text(const char *dir, const char *name, char *text, size_t size)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return util_read_file(path, text, size);
}

static long long value(const char *dir, const char *name)
{
	char text[64];

	return read_text(dir, name, text, sizeof(text)) ? LLONG_MIN : strtoll(text, NULL, 10);
}

TEST_F(hwmon, labels)
{
	static const struct { const char *file, *text; } want[] = {
		{ "name", "siliflow" }, { "temp1_label", "device" },
		{ "power1_label", "package" }, { "power2_label", "core" },
		{ "energy1_label", "package" }, { "energy2_label", "core" },
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE_T(want); i++) {
		ASSERT_EQ(0, read_text(self->dir, want[i].file, text, sizeof(text)));
		EXPECT_STREQ(want[i].text, text);
	}
}

TEST_F(hwmon, limits)
{
	EXPECT_EQ(X1_FW_THROTTLE_MC, value(self->dir, "temp1_max"));
	EXPECT_EQ(X1_FW_RESUME_MC, value(self->dir, "temp1_max_hyst"));
	EXPECT_EQ(0, value(self->dir, "temp1_max_alarm"));
	EXPECT_GT(value(self->dir, "temp1_input"), 0);
	EXPECT_LT(value(self->dir, "temp1_input"), X1_FW_THROTTLE_MC);
}

/* The package draws power when idle; work costs energy, and more outside the core than in it. */
TEST_F(hwmon, energy_of_work)
{
	long long core = value(self->dir, "energy2_input");
	long long package = value(self->dir, "energy1_input");
	struct util_ctx c;
	int fd = util_open();

	ASSERT_GE(core, 0);
	ASSERT_GE(package, core);
	EXPECT_GT(value(self->dir, "power1_input"), 0);
	EXPECT_GE(value(self->dir, "power1_input"), value(self->dir, "power2_input"));
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, util_setup(&c, fd));
	util_cmd_fill(&c, 0, 1, UTIL_BYTES / 4);
	/* A fill of 64 KiB costs some microjoules outside the core. */
	for (int i = 0; i < 64; i++)
		ASSERT_EQ(0, util_run(&c, 1));
	EXPECT_GT(value(self->dir, "energy1_input"), package);
	EXPECT_GE(value(self->dir, "energy2_input"), core);
	util_teardown(&c);
	close(fd);
}

TEST_F(hwmon, read_only)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/temp1_max", self->dir);
	EXPECT_NE(0, util_write_file(path, "1000"));
	EXPECT_EQ(X1_FW_THROTTLE_MC, value(self->dir, "temp1_max"));
}

TEST_HARNESS_MAIN
