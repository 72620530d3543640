// SPDX-License-Identifier: MIT
/* Direct 4 KiB reads from QEMU's NVMe on a null block device, by Linux AIO. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define NODE      "/dev/nvme0n1"
#define BLOCK     4096u
#define SPAN      (64u << 20)
#define MAX_DEPTH 64u

struct bench_nvme {
	int fd;
	uint32_t seed;
	uint8_t *buf;
};

struct bench_nvme *bench_nvme_open(void)
{
	struct bench_nvme *nvme = calloc(1, sizeof(*nvme));

	if (!nvme || posix_memalign((void **)&nvme->buf, BLOCK, (size_t)BLOCK * MAX_DEPTH)) {
		free(nvme);
		bench_fail(NODE, ENOMEM);
		return NULL;
	}
	nvme->fd = open(NODE, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (nvme->fd < 0) {
		bench_fail(NODE, errno);
		free(nvme->buf);
		free(nvme);
		return NULL;
	}
	return nvme;
}

void bench_nvme_close(struct bench_nvme *nvme)
{
	if (!nvme)
		return;
	close(nvme->fd);
	free(nvme->buf);
	free(nvme);
}

static off_t place(struct bench_nvme *nvme)
{
	nvme->seed = nvme->seed * 1664525 + 1013904223;
	return (off_t)(nvme->seed % (SPAN / BLOCK)) * BLOCK;
}

int bench_nvme_read(struct bench_nvme *nvme)
{
	ssize_t n = pread(nvme->fd, nvme->buf, BLOCK, place(nvme));

	return n == BLOCK ? 0 : n < 0 ? -errno : -EIO;
}

static int start(struct bench_nvme *nvme, aio_context_t ctx, struct iocb *cb, unsigned int slot)
{
	*cb = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)nvme->fd,
		.aio_buf = (uintptr_t)(nvme->buf + (size_t)slot * BLOCK),
		.aio_nbytes = BLOCK,
		.aio_offset = place(nvme),
	};
	return syscall(SYS_io_submit, ctx, 1L, &cb) == 1 ? 0 : -errno;
}

double bench_nvme_rate(struct bench_nvme *nvme, unsigned int depth, double seconds)
{
	struct io_event events[MAX_DEPTH];
	struct iocb cbs[MAX_DEPTH];
	aio_context_t ctx = 0;
	double begin, now;
	uint64_t count = 0;
	long ret = 0;

	if (depth > MAX_DEPTH || syscall(SYS_io_setup, MAX_DEPTH, &ctx))
		return -EINVAL;
	for (unsigned int i = 0; i < depth && !ret; i++)
		ret = start(nvme, ctx, &cbs[i], i);
	begin = now = bench_now();
	/* One submission for each completion, as the launches it is compared with. */
	while (!ret && now - begin < seconds) {
		long n = syscall(SYS_io_getevents, ctx, 1L, (long)depth, events, NULL);

		if (n < 0)
			ret = -errno;
		for (long i = 0; i < n && !ret; i++) {
			if (events[i].res != BLOCK)
				ret = -EIO;
			else
				ret = start(nvme, ctx, &cbs[events[i].data],
					    (unsigned int)events[i].data);
			count++;
		}
		now = bench_now();
	}
	syscall(SYS_io_destroy, ctx);
	return ret ? (double)ret : (double)count / (now - begin);
}
