// SPDX-License-Identifier: MIT
/*
 * Temperature and power: the clock goes down a step at each tick above a limit,
 * and up again where both would still hold at the faster clock.
 */
#include "fw.h"

#define HYSTERESIS_MC (X1_FW_THROTTLE_MC - X1_FW_RESUME_MC)

static uint32_t power_limit, temp_limit = X1_FW_THROTTLE_MC;
static uint32_t step, count;

void power_tick(void)
{
	uint32_t temp = hw_read(X1_REG_TEMP_MC), power = hw_read(X1_REG_POWER_MW);
	uint32_t left = X1_THROTTLE_STEPS - step, was = step;

	if (temp > temp_limit || (power_limit && power > power_limit)) {
		if (step < X1_THROTTLE_MAX)
			step++;
	} else if (step && temp + HYSTERESIS_MC <= temp_limit &&
		   (!power_limit || (uint64_t)power * (left + 1) <= (uint64_t)power_limit * left)) {
		step--;
	}
	if (step == was)
		return;
	hw_write(X1_REG_THROTTLE, step);
	if (!was)
		count++;
	/* The log has when it began and ended, not each step. */
	if (!was || !step)
		log_event(X1_LOG_THERMAL, temp, step != 0, power);
}

uint32_t power_limits(const struct x1_mbox_limits *req, struct x1_mbox_limits *out, uint32_t *bad)
{
	if (req->set > 1) {
		*bad = 0;
		return X1_MBOX_ERR_ARG;
	}
	if (req->set) {
		if (req->temp_mc < X1_TEMP_LIMIT_MIN || req->temp_mc > X1_TEMP_LIMIT_MAX) {
			*bad = 2;
			return X1_MBOX_ERR_ARG;
		}
		power_limit = req->power_mw;
		temp_limit = req->temp_mc;
		log_event(X1_LOG_LIMITS, power_limit, temp_limit, 0);
	}
	out->power_mw = power_limit;
	out->temp_mc = temp_limit;
	return X1_MBOX_OK;
}

void power_telemetry(struct x1_mbox_telemetry *t)
{
	uint64_t clock = hw_read(X1_REG_CLOCK_NOW_LO) | (uint64_t)hw_read(X1_REG_CLOCK_NOW_HI)
								<< 32;

	t->temp_mc = hw_read(X1_REG_TEMP_MC);
	t->power_mw = hw_read(X1_REG_POWER_MW);
	t->core_power_mw = hw_read(X1_REG_CORE_POWER_MW);
	t->util_permille = hw_read(X1_REG_UTIL_PERMILLE);
	t->clock_mhz = (uint32_t)(clock / 1000000);
	t->throttled = step != 0;
	t->throttle = step;
	t->throttle_count = count;
	t->power_limit_mw = power_limit;
	t->temp_limit_mc = temp_limit;
}
