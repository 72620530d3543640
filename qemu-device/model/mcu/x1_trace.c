// SPDX-License-Identifier: MIT
/* Trace buffer of a work-group. */
#include <stdlib.h>
#include <string.h>

#include "x1_wg_int.h"

#define FIRST_BYTES 1024

void x1_trace_init(struct x1_trace *tr)
{
	*tr = (struct x1_trace){0};
}

void x1_trace_free(struct x1_trace *tr)
{
	free(tr->buf);
	*tr = (struct x1_trace){0};
}

void *x1_trace_put(struct x1_trace *tr, size_t bytes)
{
	void *p;

	if (tr->len + bytes > tr->cap) {
		size_t cap = tr->cap ? tr->cap * 2 : FIRST_BYTES;
		uint8_t *bigger;

		while (cap < tr->len + bytes)
			cap *= 2;
		bigger = realloc(tr->buf, cap);
		if (!bigger)
			return NULL;
		tr->buf = bigger;
		tr->cap = cap;
	}
	p = tr->buf + tr->len;
	memset(p, 0, bytes);
	tr->len += bytes;
	return p;
}
