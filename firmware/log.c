// SPDX-License-Identifier: MIT
/* Event log. */
#include "fw.h"

#define LOG_ENTRIES 512u /* power of two */

static struct x1_mbox_log entries[LOG_ENTRIES];
static uint32_t head;

void log_event(uint32_t event, uint32_t a, uint32_t b, uint32_t c)
{
	struct x1_mbox_log *e = &entries[head % LOG_ENTRIES];
	uint64_t now = hw_time_us();

	e->position = head;
	e->time_us_lo = (uint32_t)now;
	e->time_us_hi = (uint32_t)(now >> 32);
	e->event = event;
	e->data[0] = a;
	e->data[1] = b;
	e->data[2] = c;
	head++;
	hw_write(X1_REG_FW_LOG_HEAD, head);
}

bool log_read(uint32_t position, struct x1_mbox_log *out)
{
	uint32_t oldest = head > LOG_ENTRIES ? head - LOG_ENTRIES : 0;

	if (position < oldest)
		position = oldest;
	if (position >= head)
		return false;
	*out = entries[position % LOG_ENTRIES];
	out->head = head;
	return true;
}
