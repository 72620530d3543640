// SPDX-License-Identifier: MIT
/* Counters, and the timeline's ring: memory of the driver's own, and the registers around it. */
#include <string.h>

#include "sim.h"

int sim_counters(struct sili_device *dev, struct sili_mcu_counters *mcus, uint32_t n)
{
	struct sim *s = dev->priv;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < n; i++) {
		sim_write(s, X1_REG_MCU_PERF_INDEX, i);
		mcus[i] = (struct sili_mcu_counters){
			.work_groups = sim_read64(s, X1_REG_MCU_PERF_WGS),
			.cycles = sim_read64(s, X1_REG_MCU_PERF_CYCLES),
		};
		for (uint32_t e = 0; e < X1_ENGINE_COUNT; e++)
			mcus[i].busy[e] = sim_read64(s, X1_REG_MCU_PERF_BUSY(e));
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int sim_timeline_start(struct sili_device *dev, uint32_t kinds, uint32_t log2)
{
	struct sim *s = dev->priv;
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	if (s->tl_ring) {
		ret = -EBUSY;
		goto out;
	}
	s->tl_ring = sim_hbm_take(s, sizeof(struct x1_tl_event) << log2, X1_PAGE_SIZE);
	if (!s->tl_ring) {
		ret = -ENOMEM;
		goto out;
	}
	s->tl_log2 = log2;
	sim_write(s, X1_REG_TL_ADDR_LO, (uint32_t)s->tl_ring);
	sim_write(s, X1_REG_TL_ADDR_HI, (uint32_t)(s->tl_ring >> 32));
	sim_write(s, X1_REG_TL_LOG2, log2);
	sim_write(s, X1_REG_TL_MASK, kinds);
out:
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int sim_timeline_read(struct sili_device *dev, struct x1_tl_event *events, uint32_t max,
		      uint64_t *lost)
{
	struct sim *s = dev->priv;
	const struct x1_tl_event *ring;
	uint64_t head, tail, n;

	pthread_mutex_lock(&s->lock);
	if (!s->tl_ring) {
		pthread_mutex_unlock(&s->lock);
		return -EINVAL;
	}
	ring = (const struct x1_tl_event *)(s->hbm + s->tl_ring);
	tail = sim_read64(s, X1_REG_TL_TAIL_LO);
	head = sim_read64(s, X1_REG_TL_HEAD_LO);
	n = sili_min64(head - tail, max);
	for (uint64_t i = 0; i < n; i++)
		events[i] = ring[(tail + i) & ((1u << s->tl_log2) - 1)];
	/* Both halves at once: the device compares TAIL with HEAD. */
	x1_core_bar_write(s->core, X1_REG_TL_TAIL_LO, tail + n, 8);
	*lost = sim_read64(s, X1_REG_TL_LOST_LO);
	pthread_mutex_unlock(&s->lock);
	return (int)n;
}

int sim_timeline_stop(struct sili_device *dev)
{
	struct sim *s = dev->priv;

	pthread_mutex_lock(&s->lock);
	if (s->tl_ring) {
		sim_write(s, X1_REG_TL_MASK, 0);
		sili_ranges_give(&s->hbm_free, s->tl_ring,
				 sizeof(struct x1_tl_event) << s->tl_log2);
		s->tl_ring = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}
