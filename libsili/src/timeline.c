// SPDX-License-Identifier: MIT
/*
 * The timeline: the device's ring of events, read by the application, or kept
 * in a file for the whole life of a device that was opened with SILI_TIMELINE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sili_int.h"

#define DEFAULT_EVENTS (1u << 20)
#define CHUNK          4096u

SILI_EXPORT int sili_timeline_start(struct sili_device *dev, uint32_t kinds, uint32_t events)
{
	if (!events)
		events = DEFAULT_EVENTS;
	if (!kinds || kinds & ~X1_TL_MASK_ALL || events & (events - 1) ||
	    events < 1u << X1_TL_MIN_LOG2 || events > 1u << X1_TL_MAX_LOG2)
		return -EINVAL;
	return dev->be->timeline_start(dev, kinds, (uint32_t)__builtin_ctz(events));
}

SILI_EXPORT int sili_timeline_read(struct sili_device *dev, struct x1_tl_event *events,
				   uint32_t max, uint64_t *lost)
{
	uint64_t ignored;

	if (max > INT32_MAX)
		return -EINVAL;
	return dev->be->timeline_read(dev, events, max, lost ? lost : &ignored);
}

SILI_EXPORT int sili_timeline_stop(struct sili_device *dev)
{
	return dev->be->timeline_stop(dev);
}

/* ---- the file ---- */

/* A number of the environment; false where it is none. */
static bool env_number(const char *name, uint32_t *out)
{
	const char *text = getenv(name);
	unsigned long n;
	char *end;

	if (!text || !*text)
		return true;
	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || *end || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

static const char *why_not(int error)
{
	switch (error) {
	case -EPERM:
		return "recording a card, all users' work, needs root or CAP_PERFMON";
	case -EBUSY:
		return "somebody else records this card";
	case -ENOTSUP:
		return "this driver has no timeline";
	default:
		return strerror(-error);
	}
}

int sili_timeline_open(struct sili_device *dev, char *err, size_t err_len)
{
	const char *path = getenv("SILI_TIMELINE");
	uint32_t kinds = X1_TL_MASK_ALL, events = 0;
	int ret;

	if (!path || !*path)
		return 0;
	if (!env_number("SILI_TIMELINE_KINDS", &kinds) ||
	    !env_number("SILI_TIMELINE_EVENTS", &events))
		return sili_fail(err, err_len, -EINVAL,
				 "SILI_TIMELINE_KINDS, SILI_TIMELINE_EVENTS: not a number");
	dev->timeline = fopen(path, "ae");
	if (!dev->timeline)
		return sili_fail(err, err_len, -errno, "SILI_TIMELINE=%s: %s", path,
				 strerror(errno));
	ret = sili_timeline_start(dev, kinds, events);
	if (!ret)
		return 0;
	fclose(dev->timeline);
	dev->timeline = NULL;
	return sili_fail(err, err_len, ret, "SILI_TIMELINE: %s", why_not(ret));
}

/* What the ring holds, behind a header that says how much it is. */
static void write_section(struct sili_device *dev)
{
	struct sili_timeline_header head = {
		.magic = SILI_TIMELINE_MAGIC,
		.bytes = sizeof(head),
		.mcus = dev->info.mcus,
		.clock_hz = dev->info.clock_hz,
	};
	struct x1_tl_event *events = malloc(CHUNK * sizeof(*events)), *all = NULL;
	size_t count = 0;
	int n;

	while (events && (n = sili_timeline_read(dev, events, CHUNK, &head.lost)) > 0) {
		struct x1_tl_event *more = realloc(all, (count + (size_t)n) * sizeof(*all));

		if (!more) {
			head.lost += (uint64_t)n;
			continue;
		}
		all = more;
		memcpy(all + count, events, (size_t)n * sizeof(*all));
		count += (size_t)n;
	}
	head.events = count;
	snprintf(head.device, sizeof(head.device), "%s%s%s", dev->info.backend,
		 *dev->info.path ? ":" : "", dev->info.path);
	fwrite(&head, sizeof(head), 1, dev->timeline);
	fwrite(all, sizeof(*all), count, dev->timeline);
	free(all);
	free(events);
}

void sili_timeline_close(struct sili_device *dev)
{
	if (!dev->timeline)
		return;
	write_section(dev);
	sili_timeline_stop(dev);
	fclose(dev->timeline);
	dev->timeline = NULL;
}
