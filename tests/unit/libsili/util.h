/* SPDX-License-Identifier: MIT */
/* What the libsili tests share. */
#ifndef SILI_TEST_UTIL_H
#define SILI_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sili.h>

/* The build's firmware image, through $SILI_FIRMWARE. */
void t_firmware(void);
struct sili_device *t_open(const char *spec);
struct sili_queue *t_queue(struct sili_device *dev);
struct sili_bo *t_bo(struct sili_device *dev, size_t bytes, enum sili_mem where);
/* Two machines whose plans differ; group fixtures of cmocka. */
#define T_MACHINES 2u
extern struct t_machine {
	const char *spec;
	struct sili_device *dev;
	struct sili_queue *queue;
} t_machines[T_MACHINES];
int t_machines_open(void **state);
int t_machines_close(void **state);
/* A buffer with n FP32 values in format fmt. */
struct sili_bo *t_upload(struct sili_device *dev, enum x1_format fmt, const float *src, size_t n);
/* Run, expect this result; prints a fault that was not expected. */
void t_run(struct sili_queue *q, const union x1_cmd *cmds, uint32_t n, int want);
uint32_t t_fault(struct sili_queue *q);
/* Small whole numbers, the same on every run. */
void t_random(float *dst, size_t n, uint32_t seed, int range);

#endif
