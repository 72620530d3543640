// SPDX-License-Identifier: MIT
/*
 * A queue whose commands go from this process straight to the device: many
 * small batches, waited for in memory, and one queue of the kernel's beside it.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sili.h>

#define BATCHES 1000u
#define BYTES   4096u

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void batches(struct sili_device *dev, struct sili_bo *bo, uint32_t flags, const char *name)
{
	struct sili_queue_attr attr = {.size = sizeof(attr), .priority = 1, .flags = flags};
	struct sili_queue *queue;
	union x1_cmd cmd;
	double begin;
	int ret = sili_queue_new(dev, &attr, &queue);

	if (ret)
		errx(1, "%s: %s", name, strerror(-ret));
	begin = seconds();
	for (uint32_t i = 1; i <= BATCHES; i++) {
		/* Each writes the whole buffer; the last one's number stays. */
		sili_cmd_fill(&cmd, sili_bo_dva(bo), BYTES, i);
		ret = sili_run(queue, &cmd, 1);
		if (ret)
			errx(1, "%s: %s", name, strerror(-ret));
	}
	printf("%-18s %7.1f us from submission to the end of a batch\n", name,
	       (seconds() - begin) * 1e6 / BATCHES);
	sili_queue_free(queue);
}

int main(void)
{
	struct sili_device *dev;
	const uint32_t *words;
	struct sili_bo *bo;
	char why[256];
	int bad = 0;

	if (sili_open(&dev, NULL, why, sizeof(why)))
		errx(1, "%s", why);
	if (sili_bo_new(dev, BYTES, SILI_HBM, 0, &bo))
		errx(1, "out of memory");
	words = sili_bo_map(bo);
	if (!words)
		errx(1, "out of memory");
	batches(dev, bo, 0, "a kernel's queue");
	batches(dev, bo, SILI_QUEUE_USER, "a user queue");
	for (uint32_t i = 0; i < BYTES / 4; i++)
		bad |= words[i] != BATCHES;
	printf("%s\n", bad ? "the buffer is not what was written" : "the buffer is right");
	sili_bo_free(bo);
	sili_close(dev);
	return bad;
}
