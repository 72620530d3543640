// SPDX-License-Identifier: MIT
/* Timeline events (see x1_tracer.h). */
#include "x1_tracer.h"

#include <errno.h>
#include <stdlib.h>

void x1_tracer_put(struct x1_tracer *t, struct x1_tl_event ev)
{
	t->buf[t->len++] = ev;
	if (t->len == X1_TRACER_BATCH)
		x1_tracer_flush(t);
}

void x1_tracer_flush(struct x1_tracer *t)
{
	if (t->len && t->flush)
		t->flush(t->arg, t->buf, t->len);
	t->len = 0;
}

int x1_tracer_set_mask(struct x1_tracer *t, uint32_t mask)
{
	if (mask && !t->buf)
		t->buf = malloc(X1_TRACER_BATCH * sizeof(*t->buf));
	t->mask = t->buf ? mask : 0;
	return mask && !t->buf ? -ENOMEM : 0;
}

void x1_tracer_fini(struct x1_tracer *t)
{
	free(t->buf);
	t->buf = NULL;
	t->mask = t->len = 0;
}
