// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints' code: /sys/kernel/tracing/events/siliflow. */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "siliflow_trace.h"
