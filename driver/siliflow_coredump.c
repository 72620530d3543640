// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device coredumps: the state before a recovery, as text, for
 * /sys/class/devcoredump. The kernel keeps one per device until it is read or
 * five minutes old; what happens meanwhile is not kept.
 */
#include <linux/devcoredump.h>
#include <linux/ktime.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include "siliflow.h"

#define SILI_DUMP_BYTES	SZ_256K

typedef void (*sili_print_t)(struct sili_device *sdev, struct drm_printer *p);

/* With a lock that the caller has, or that can be had at once. */
static void sili_dump_part(struct sili_device *sdev, struct drm_printer *p, const char *name,
			   struct mutex *lock, bool locked, sili_print_t print)
{
	drm_printf(p, "\n[%s]\n", name);
	if (!locked && !mutex_trylock(lock)) {
		drm_puts(p, "busy\n");
		return;
	}
	print(sdev, p);
	if (!locked)
		mutex_unlock(lock);
}

static void sili_dump(struct sili_device *sdev, struct drm_printer *p, const char *why,
		      struct sili_queue *guilty, bool locked)
{
	drm_printf(p, "siliflow coredump version 1\n");
	drm_printf(p, "reason: %s\n", why);
	drm_printf(p, "kernel: %s\n", init_utsname()->release);
	drm_printf(p, "time: %lld\n", ktime_get_real_seconds());
	if (guilty)
		drm_printf(p, "guilty: queue %u, pid %d (%s)\n", guilty->hwq->index, guilty->pid,
			   guilty->comm);
	drm_puts(p, "\n[device]\n");
	sili_print_device(sdev, p);
	drm_puts(p, "\n[firmware]\n");
	sili_print_firmware(sdev, p);
	sili_dump_part(sdev, p, "queues", &sdev->hwq_lock, locked, sili_print_queues);
	sili_dump_part(sdev, p, "vms", &sdev->vm_lock, locked, sili_print_vms);
}

/**
 * sili_coredump() - keep the state of the device
 * @sdev: device, inside drm_dev_enter()
 * @why: one line
 * @guilty: queue that is to blame, or NULL
 * @locked: the caller holds hwq_lock and vm_lock
 */
void sili_coredump(struct sili_device *sdev, const char *why, struct sili_queue *guilty,
		   bool locked)
{
	struct drm_print_iterator iter = { .remain = SILI_DUMP_BYTES };
	struct drm_printer p = drm_coredump_printer(&iter);

	iter.data = xchg(&sdev->dump, NULL);
	if (!iter.data)
		return;
	sili_dump(sdev, &p, why, guilty, locked);
	dev_coredumpv(sdev->drm.dev, iter.data, SILI_DUMP_BYTES - iter.remain, GFP_NOWAIT);
}

/*
 * sili_coredump_prepare() - have memory for the next dump
 *
 * Recovery itself must not wait for memory: whoever frees some may wait for
 * the very fences that recovery is to signal.
 */
void sili_coredump_prepare(struct sili_device *sdev)
{
	void *dump;

	if (!IS_ENABLED(CONFIG_DEV_COREDUMP) || READ_ONCE(sdev->dump))
		return;
	dump = vzalloc(SILI_DUMP_BYTES);
	if (dump && cmpxchg(&sdev->dump, NULL, dump))
		vfree(dump);
}

/*
 * sili_coredump_fini() - no dump any more
 */
void sili_coredump_fini(struct sili_device *sdev)
{
	vfree(xchg(&sdev->dump, NULL));
}
