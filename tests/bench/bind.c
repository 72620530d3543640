// SPDX-License-Identifier: MIT
/* VM_BIND through siliflow.ko: what the calling thread's processor spends on 1 GiB. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <drm/siliflow_accel.h>
#include <x1/x1_limits.h>

#include "bench.h"

#define ROUNDS     9
#define BIND_BYTES (1ull << 30)
#define BIND_ADDR  (1ull << 40)

static double cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

static int bind(int fd, uint32_t vm, uint32_t handle, uint64_t addr)
{
	struct drm_siliflow_bind_op op = {
		.op = handle ? DRM_SILIFLOW_BIND_MAP : DRM_SILIFLOW_BIND_UNMAP,
		.handle = handle,
		.addr = addr,
		.range = BIND_BYTES,
	};
	struct drm_siliflow_vm_bind args = {
		.vm = vm,
		.num_ops = 1,
		.op_stride = sizeof(op),
		.ops = (uintptr_t)&op,
	};

	return call(fd, DRM_IOCTL_SILIFLOW_VM_BIND, &args);
}

/* The middle one of some binds of a buffer at an address, milliseconds. */
static int measure(int fd, uint32_t vm, uint32_t handle, uint64_t addr, double *ms)
{
	double v[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double start = cpu_now();
		int ret = bind(fd, vm, handle, addr);

		v[i] = (cpu_now() - start) * 1e3;
		if (!ret)
			ret = bind(fd, vm, 0, addr);
		if (ret)
			return ret;
	}
	*ms = bench_median(v, ROUNDS);
	return 0;
}

int bench_bind(json_t *root)
{
	struct drm_siliflow_bo_create bo = {.size = BIND_BYTES, .flags = SILIFLOW_BO_HBM};
	struct drm_siliflow_vm_create vm = {0};
	double huge = 0, small = 0;
	int fd = open("/dev/sili0", O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return bench_fail("/dev/sili0", -errno);
	ret = call(fd, DRM_IOCTL_SILIFLOW_BO_CREATE, &bo);
	if (!ret)
		ret = call(fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &vm);
	if (!ret)
		ret = measure(fd, vm.vm, bo.handle, BIND_ADDR, &huge);
	/* A page beside it no 2 MiB page fits. */
	if (!ret)
		ret = measure(fd, vm.vm, bo.handle, BIND_ADDR + X1_PAGE_SIZE, &small);
	close(fd);
	if (ret)
		return bench_fail("bind", ret);
	bench_add(root, "bind.1g_2m_cpu", "ms", "", huge);
	bench_add(root, "bind.1g_4k_cpu", "ms", "", small);
	return 0;
}
