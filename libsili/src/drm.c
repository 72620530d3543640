// SPDX-License-Identifier: MIT
/* Cards through siliflow.ko. */
#include <fcntl.h>
#include <pci/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include <drm/siliflow_accel.h>

#include "sili_int.h"

#define MAX_NODES  64
#define SPIN_NS    50000
#define SPIN_LOOKS 64u
/* Batches of a user queue that interrupt after a wait that slept. */
#define IRQ_BATCHES 32u

struct drm_bo {
	uint32_t handle;
	struct sili_bo *bo;
	struct drm_bo *prev, *next;
};

struct drm {
	int fd;
	int timeline; /* file, -1 = no recording */
	uint32_t vm;
	uint32_t user_vm; /* the same mappings, for user queues; 0 until there is one */
	struct drm_bo *bos;
};

struct drm_queue {
	uint32_t handle;
	uint32_t timeline; /* syncobj; point = batch */
	/* Of a user queue: a wait may write to the ring beside a submit. */
	pthread_mutex_t lock;
	volatile uint32_t *doorbell;
	uint32_t wptr;
};

static struct drm *drm_of(const struct sili_device *dev)
{
	return dev->priv;
}

static struct drm_bo *bo_of(const struct sili_bo *bo)
{
	return (struct drm_bo *)(uintptr_t)bo->priv;
}

static int call(int fd, unsigned long request, void *arg)
{
	return drmIoctl(fd, request, arg) ? -errno : 0;
}

/* ---- finding a card ---- */

static bool is_siliflow(int fd)
{
	drmVersionPtr v = drmGetVersion(fd);
	bool ours = v && v->name && !strcmp(v->name, "siliflow");

	drmFreeVersion(v);
	return ours;
}

static int open_node(const char *path, char *err, size_t err_len)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return sili_fail(err, err_len, -errno, "%s: %s", path, strerror(errno));
	if (!is_siliflow(fd)) {
		close(fd);
		return sili_fail(err, err_len, -ENODEV, "%s: not a SiliFlow X1", path);
	}
	return fd;
}

/* No node: say what is missing. */
static int no_card(char *err, size_t err_len)
{
	struct pci_access *pci = pci_alloc();
	int ret;

	pci_init(pci);
	pci_scan_bus(pci);
	ret = sili_fail(err, err_len, -ENODEV, "no SiliFlow X1 in this machine");
	for (struct pci_dev *d = pci->devices; d; d = d->next) {
		pci_fill_info(d, PCI_FILL_IDENT);
		if (d->vendor_id == X1_PCI_VENDOR_ID && d->device_id == X1_PCI_DEVICE_ID)
			ret = sili_fail(err, err_len, -ENODEV,
					"SiliFlow X1 at %04x:%02x:%02x.%d has no device node: "
					"is siliflow.ko loaded? (modprobe siliflow; dmesg)",
					(unsigned int)d->domain, d->bus, d->dev, d->func);
	}
	pci_cleanup(pci);
	return ret;
}

static int open_first(char *path, size_t path_len, char *err, size_t err_len)
{
	for (unsigned int i = 0; i < MAX_NODES; i++) {
		int fd;

		snprintf(path, path_len, "/dev/sili%u", i);
		if (access(path, F_OK))
			continue;
		fd = open_node(path, err, err_len);
		/* A card that this user may not open is better named than passed over. */
		if (fd >= 0 || fd == -EACCES)
			return fd;
	}
	/* Without the udev rule there are only the accel nodes. */
	for (unsigned int i = 0; i < MAX_NODES; i++) {
		int fd;

		snprintf(path, path_len, "/dev/accel/accel%u", i);
		if (access(path, R_OK | W_OK))
			continue;
		fd = open_node(path, err, err_len);
		if (fd >= 0)
			return fd;
	}
	return no_card(err, err_len);
}

/* ---- device ---- */

static int query(int fd, uint32_t type, void *answer, uint32_t size)
{
	struct drm_siliflow_query q = {
		.type = type, .size = size, .ptr = (uint64_t)(uintptr_t)answer};

	memset(answer, 0, size);
	return call(fd, DRM_IOCTL_SILIFLOW_QUERY, &q);
}

/* Of a call whose arguments are right: a driver without it says that they are wrong. */
static int older(int ret)
{
	return ret == -EINVAL ? -ENOTSUP : ret;
}

static int fill_info(struct sili_device *dev, const char *path)
{
	struct drm_siliflow_query_device d;
	struct drm_siliflow_query_memory m;
	struct drm_siliflow_query_firmware fw;
	int fd = drm_of(dev)->fd, ret;
	uint64_t start, end;

	ret = query(fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d));
	if (!ret)
		ret = query(fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m));
	if (!ret)
		ret = query(fd, DRM_SILIFLOW_QUERY_FIRMWARE, &fw, sizeof(fw));
	if (ret)
		return ret;
	dev->info = (struct sili_info){
		.mcus = d.num_mcus,
		.mcus_healthy = d.num_mcus_healthy,
		.queues = d.num_queues,
		.formats = d.formats,
		.scales = d.scales,
		.sparsities = d.sparsities,
		.spad_bytes = d.spad_bytes,
		.acc_bytes = d.acc_bytes,
		.l2_bytes = d.l2_bytes,
		.hbm_bw = d.hbm_bw,
		.l2_bw = d.l2_bw,
		.pcie_bw = d.pcie_bw,
		.hbm_latency = d.hbm_latency,
		.l2_latency = d.l2_latency,
		.pcie_latency = d.pcie_latency,
		.hbm_bytes = m.hbm_size,
		.clock_hz = d.clock_hz,
		.serial = d.serial,
		.fw_version = fw.version,
		.timing = d.features & X1_FEATURE_TIMING,
	};
	snprintf(dev->info.path, sizeof(dev->info.path), "%s", path);
	/* Both back ends hand out the same addresses where the driver lets them. */
	start = d.va_start > SILI_VA_START ? d.va_start : SILI_VA_START;
	end = sili_min64(d.va_end, SILI_VA_END);
	sili_ranges_fini(&dev->va);
	return sili_ranges_init(&dev->va, start, end);
}

/* ---- what it has done ---- */

/* Elements of the driver may be shorter than ours, or longer. */
static int drm_counters(struct sili_device *dev, struct sili_mcu_counters *mcus, uint32_t n)
{
	struct drm_siliflow_query q = {.type = DRM_SILIFLOW_QUERY_COUNTERS};
	struct drm_siliflow_query_counters *head;
	int fd = drm_of(dev)->fd;
	int ret = older(call(fd, DRM_IOCTL_SILIFLOW_QUERY, &q));

	if (ret)
		return ret;
	head = malloc(q.size);
	if (!head)
		return -ENOMEM;
	ret = query(fd, DRM_SILIFLOW_QUERY_COUNTERS, head, q.size);
	for (uint32_t i = 0; i < n && !ret; i++) {
		struct drm_siliflow_mcu_counters one = {0};

		memcpy(&one, (char *)(head + 1) + i * (size_t)head->stride,
		       sili_min64(head->stride, sizeof(one)));
		mcus[i].work_groups = one.work_groups;
		mcus[i].cycles = one.cycles;
		memcpy(mcus[i].busy, one.busy, sizeof(one.busy));
	}
	free(head);
	return ret;
}

static int drm_timeline_start(struct sili_device *dev, uint32_t kinds, uint32_t log2)
{
	struct drm_siliflow_timeline_open open = {.kinds = kinds, .log2 = log2};
	struct drm *drm = drm_of(dev);
	int ret;

	if (drm->timeline >= 0)
		return -EBUSY;
	ret = older(call(drm->fd, DRM_IOCTL_SILIFLOW_TIMELINE_OPEN, &open));
	if (ret)
		return ret;
	drm->timeline = open.fd;
	return fcntl(open.fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int drm_timeline_read(struct sili_device *dev, struct x1_tl_event *events, uint32_t max,
			     uint64_t *lost)
{
	struct drm_siliflow_timeline_status status;
	int fd = drm_of(dev)->timeline;
	ssize_t n = 0;

	if (fd < 0)
		return -EINVAL;
	if (max)
		n = read(fd, events, max * sizeof(*events));
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (ioctl(fd, SILIFLOW_TIMELINE_STATUS, &status))
		return -errno;
	*lost = status.lost;
	return n < 0 ? 0 : (int)((size_t)n / sizeof(*events));
}

static int drm_timeline_stop(struct sili_device *dev)
{
	struct drm *drm = drm_of(dev);

	if (drm->timeline >= 0)
		close(drm->timeline);
	drm->timeline = -1;
	return 0;
}

/* ---- opening and closing ---- */

static void vm_destroy(const struct drm *drm, uint32_t vm)
{
	struct drm_siliflow_vm_destroy destroy = {.vm = vm};

	if (vm)
		call(drm->fd, DRM_IOCTL_SILIFLOW_VM_DESTROY, &destroy);
}

static void drm_close(struct sili_device *dev)
{
	struct drm *drm = drm_of(dev);

	drm_timeline_stop(dev);
	vm_destroy(drm, drm->vm);
	vm_destroy(drm, drm->user_vm);
	close(drm->fd);
	free(drm);
}

static int drm_open(struct sili_device *dev, const char *arg, char *err, size_t err_len)
{
	struct drm_siliflow_vm_create vm = {0};
	char path[32];
	struct drm *drm;
	int fd, ret;

	fd = arg ? open_node(arg, err, err_len) : open_first(path, sizeof(path), err, err_len);
	if (fd < 0)
		return fd;
	drm = calloc(1, sizeof(*drm));
	if (!drm) {
		close(fd);
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	}
	drm->fd = fd;
	drm->timeline = -1;
	dev->priv = drm;
	ret = fill_info(dev, arg ? arg : path);
	if (!ret)
		ret = call(fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &vm);
	drm->vm = vm.vm;
	if (!ret)
		return 0;
	drm_close(dev);
	return sili_fail(err, err_len, ret, "%s: %s", arg ? arg : path, strerror(-ret));
}

static int drm_clock(struct sili_device *dev, uint64_t *cycles)
{
	struct drm_siliflow_query_clock clock;
	int ret = query(drm_of(dev)->fd, DRM_SILIFLOW_QUERY_CLOCK, &clock, sizeof(clock));

	*cycles = clock.device_cycles;
	return ret;
}

static int drm_status(struct sili_device *dev, struct sili_status *st)
{
	struct drm_siliflow_query_telemetry t;
	struct drm_siliflow_query_firmware fw;
	struct drm_siliflow_query_device d;
	struct drm_siliflow_query_memory m;
	int fd = drm_of(dev)->fd;
	int ret = query(fd, DRM_SILIFLOW_QUERY_DEVICE, &d, sizeof(d));

	if (!ret)
		ret = query(fd, DRM_SILIFLOW_QUERY_MEMORY, &m, sizeof(m));
	if (!ret)
		ret = query(fd, DRM_SILIFLOW_QUERY_FIRMWARE, &fw, sizeof(fw));
	if (!ret)
		ret = query(fd, DRM_SILIFLOW_QUERY_TELEMETRY, &t, sizeof(t));
	if (ret)
		return ret;
	*st = (struct sili_status){
		.temp_mc = t.temp_mc,
		.power_mw = t.power_mw,
		.core_power_mw = t.core_power_mw,
		.util_permille = t.util_permille,
		.mcus_healthy = d.num_mcus_healthy,
		.fw_state = fw.state,
		.fw_heartbeat = fw.heartbeat,
		.energy_core_uj = t.energy_core_uj,
		.energy_package_uj = t.energy_package_uj,
		.hbm_bytes = m.hbm_size,
		.hbm_used = m.hbm_used,
		.system_used = m.system_used,
	};
	return 0;
}

/* ---- buffers ---- */

static int bind(struct sili_bo *bo, uint32_t vm, uint32_t op)
{
	bool map = op == DRM_SILIFLOW_BIND_MAP;
	struct drm_siliflow_bind_op one = {
		.op = op,
		.flags = map && bo->flags & SILI_BO_EXEC ? SILIFLOW_BIND_EXEC : 0,
		.handle = map ? bo_of(bo)->handle : 0,
		.addr = bo->dva,
		.range = bo->mapped,
	};
	struct drm_siliflow_vm_bind args = {
		.vm = vm,
		.num_ops = 1,
		.op_stride = sizeof(one),
		.ops = (uint64_t)(uintptr_t)&one,
	};

	return vm ? call(drm_of(bo->dev)->fd, DRM_IOCTL_SILIFLOW_VM_BIND, &args) : 0;
}

static void bo_put(struct sili_bo *bo)
{
	struct drm_bo *b = bo_of(bo);
	struct drm_gem_close gem = {.handle = b->handle};

	call(drm_of(bo->dev)->fd, DRM_IOCTL_GEM_CLOSE, &gem);
	free(b);
}

static int drm_bo_new(struct sili_bo *bo)
{
	struct drm_siliflow_bo_create create = {
		.size = bo->mapped,
		.flags = bo->where == SILI_SYSTEM ? SILIFLOW_BO_SYSTEM
						  : SILIFLOW_BO_HBM | SILIFLOW_BO_CPU_VISIBLE,
	};
	struct drm *drm = drm_of(bo->dev);
	struct drm_bo *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return -ENOMEM;
	ret = call(drm->fd, DRM_IOCTL_SILIFLOW_BO_CREATE, &create);
	if (ret) {
		free(b);
		return ret;
	}
	*b = (struct drm_bo){.handle = create.handle, .bo = bo, .next = drm->bos};
	bo->priv = (uint64_t)(uintptr_t)b;
	ret = bind(bo, drm->vm, DRM_SILIFLOW_BIND_MAP);
	if (!ret)
		ret = bind(bo, drm->user_vm, DRM_SILIFLOW_BIND_MAP);
	if (ret) {
		bind(bo, drm->vm, DRM_SILIFLOW_BIND_UNMAP);
		bo_put(bo);
		return ret;
	}
	if (b->next)
		b->next->prev = b;
	drm->bos = b;
	return 0;
}

static void drm_bo_free(struct sili_bo *bo)
{
	struct drm *drm = drm_of(bo->dev);
	struct drm_bo *b = bo_of(bo);

	if (bo->cpu)
		munmap(bo->cpu, bo->mapped);
	if (b->next)
		b->next->prev = b->prev;
	if (b->prev)
		b->prev->next = b->next;
	else
		drm->bos = b->next;
	bind(bo, drm->vm, DRM_SILIFLOW_BIND_UNMAP);
	bind(bo, drm->user_vm, DRM_SILIFLOW_BIND_UNMAP);
	bo_put(bo);
}

static void *drm_bo_map(struct sili_bo *bo)
{
	struct drm_siliflow_bo_mmap_offset args = {.handle = bo_of(bo)->handle};
	int fd = drm_of(bo->dev)->fd;
	void *cpu;

	if (call(fd, DRM_IOCTL_SILIFLOW_BO_MMAP_OFFSET, &args))
		return NULL;
	cpu = mmap(NULL, bo->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)args.offset);
	return cpu == MAP_FAILED ? NULL : cpu;
}

/* ---- queues ---- */

/* An address space for user queues, with all that is mapped. */
static int user_vm(struct drm *drm)
{
	struct drm_siliflow_vm_create vm = {.flags = SILIFLOW_VM_LONG_RUNNING};
	int ret;

	if (drm->user_vm)
		return 0;
	ret = call(drm->fd, DRM_IOCTL_SILIFLOW_VM_CREATE, &vm);
	for (struct drm_bo *b = drm->bos; b && !ret; b = b->next)
		ret = bind(b->bo, vm.vm, DRM_SILIFLOW_BIND_MAP);
	if (ret)
		vm_destroy(drm, vm.vm);
	else
		drm->user_vm = vm.vm;
	return ret;
}

static void queue_destroy(const struct drm *drm, uint32_t handle)
{
	struct drm_siliflow_queue_destroy destroy = {.queue = handle};

	call(drm->fd, DRM_IOCTL_SILIFLOW_QUEUE_DESTROY, &destroy);
}

/* What a new queue's batches are signalled or started by. */
static int queue_door(const struct drm *drm, struct drm_queue *dq, bool user, uint64_t offset)
{
	void *map;

	if (!user)
		return drmSyncobjCreate(drm->fd, 0, &dq->timeline) ? -errno : 0;
	map = mmap(NULL, X1_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, drm->fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	dq->doorbell = map;
	return 0;
}

static int drm_queue_new(struct sili_queue *q, const struct sili_queue_attr *attr)
{
	struct drm *drm = drm_of(q->dev);
	struct drm_siliflow_queue_create create = {
		.priority = attr->priority,
		.mcu_first = attr->mcu_first,
		.mcu_count = attr->mcu_count,
		.budget = attr->budget,
	};
	struct drm_queue *dq;
	int ret = 0;

	if (q->ring)
		ret = user_vm(drm);
	if (ret)
		return ret;
	create.vm = q->ring ? drm->user_vm : drm->vm;
	if (q->ring) {
		create.flags = SILIFLOW_QUEUE_USER;
		create.ring_addr = q->ring->dva;
		create.ring_log2 = SILI_RING_LOG2;
	}
	dq = calloc(1, sizeof(*dq));
	if (!dq)
		return -ENOMEM;
	pthread_mutex_init(&dq->lock, NULL);
	ret = call(drm->fd, DRM_IOCTL_SILIFLOW_QUEUE_CREATE, &create);
	if (!ret) {
		ret = queue_door(drm, dq, q->ring, create.doorbell_offset);
		if (ret)
			queue_destroy(drm, create.queue);
	}
	if (ret) {
		free(dq);
		return ret;
	}
	dq->handle = create.queue;
	q->priv = dq;
	q->id = create.queue;
	return 0;
}

static void drm_queue_free(struct sili_queue *q)
{
	struct drm_queue *dq = q->priv;
	struct drm *drm = drm_of(q->dev);

	queue_destroy(drm, dq->handle);
	if (q->ring)
		munmap((void *)dq->doorbell, X1_PAGE_SIZE);
	else
		drmSyncobjDestroy(drm->fd, dq->timeline);
	free(dq);
}

static void ring_push(struct sili_queue *q, const union x1_cmd *cmd)
{
	struct drm_queue *dq = q->priv;

	pthread_mutex_lock(&dq->lock);
	q->ring_slots[dq->wptr++ % SILI_RING_SLOTS] = *cmd;
	/* HBM is mapped write-combining: all of it before the doorbell. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	dq->doorbell[X1_DB_WPTR / 4] = dq->wptr;
	pthread_mutex_unlock(&dq->lock);
}

static int drm_submit(struct sili_queue *q, uint64_t dva, uint32_t n, uint64_t seq)
{
	struct drm_queue *dq = q->priv;
	struct drm_siliflow_sync out = {
		.handle = dq->timeline, .flags = SILIFLOW_SYNC_TIMELINE, .point = seq};
	struct drm_siliflow_job job = {
		.addr = dva,
		.num_cmds = n,
		.num_out_syncs = 1,
		.out_syncs = (uint64_t)(uintptr_t)&out,
	};
	struct drm_siliflow_submit submit = {
		.queue = dq->handle,
		.num_jobs = 1,
		.job_stride = sizeof(job),
		.jobs = (uint64_t)(uintptr_t)&job,
	};

	if (q->ring) {
		ring_push(q, &(union x1_cmd){
				     .call = {.hdr.op = X1_CMD_CALL, .addr = dva, .count = n}});
		return 0;
	}
	return call(drm_of(q->dev)->fd, DRM_IOCTL_SILIFLOW_SUBMIT, &submit);
}

/*
 * The status word of a short batch is written well before its interrupt has
 * come through the kernel: look at it for a moment. The clock is read rarely,
 * as that may be slow in a guest.
 */
static bool drm_spin(const struct sili_queue *q, uint64_t seq, int64_t deadline)
{
	int64_t now = sili_now_ns(), until = now + SPIN_NS;

	if (deadline >= 0 && deadline < until)
		until = deadline;
	for (; now < until; now = sili_now_ns())
		for (unsigned int i = 0; i < SPIN_LOOKS; i++)
			if (sili_queue_done(q) >= seq)
				return true;
	return false;
}

/*
 * Sleep until a user queue's batch has ended. Batches do not interrupt as long
 * as waits end without sleep, so this one rings a bell behind it, and the next
 * batches interrupt.
 */
static int ring_wait(struct sili_queue *q, uint64_t seq, int64_t deadline)
{
	struct drm_queue *dq = q->priv;
	struct drm_siliflow_wait_value wait = {
		.queue = dq->handle,
		.ptr = (uint64_t)(uintptr_t)q->status,
		.value = seq,
		.timeout_ns = deadline,
	};
	int ret;

	atomic_store(&q->irq_left, IRQ_BATCHES);
	if (atomic_load(&q->irq_seq) < seq) {
		atomic_store(&q->irq_seq, seq);
		ring_push(q, &(union x1_cmd){
				     .sync = {.hdr = {.op = X1_CMD_FENCE, .flags = X1_FENCE_IRQ},
					      .addr = q->arena->dva + SILI_BELL_OFFSET}});
	}
	ret = call(drm_of(q->dev)->fd, DRM_IOCTL_SILIFLOW_WAIT_VALUE, &wait);
	/* A faulted queue has ended its batches, too. */
	return ret == -EIO ? 0 : ret;
}

static int drm_wait(struct sili_queue *q, uint64_t seq, int64_t deadline)
{
	struct drm_queue *dq = q->priv;

	if (drm_spin(q, seq, deadline))
		return 0;
	if (q->ring)
		return ring_wait(q, seq, deadline);
	/* libdrm returns -errno and restarts after signals. */
	return drmSyncobjTimelineWait(drm_of(q->dev)->fd, &dq->timeline, &seq, 1,
				      deadline < 0 ? INT64_MAX : deadline, 0, NULL);
}

static int drm_fence_fd(struct sili_queue *q, uint64_t seq)
{
	struct drm_queue *dq = q->priv;
	int fd = drm_of(q->dev)->fd, out = -1, ret = 0;
	uint32_t binary;

	if (drmSyncobjCreate(fd, 0, &binary))
		return -errno;
	if (drmSyncobjTransfer(fd, binary, 0, dq->timeline, seq, 0) ||
	    drmSyncobjExportSyncFile(fd, binary, &out))
		ret = -errno;
	drmSyncobjDestroy(fd, binary);
	return ret ? ret : out;
}

static int drm_fault(struct sili_queue *q, struct sili_fault *fault)
{
	struct drm_queue *dq = q->priv;
	struct drm_siliflow_queue_state st = {.queue = dq->handle};
	int ret = call(drm_of(q->dev)->fd, DRM_IOCTL_SILIFLOW_QUEUE_STATE, &st);

	if (ret)
		return ret;
	*fault = (struct sili_fault){
		.size = fault->size,
		.code = st.fault_code,
		.access = st.fault_access,
		.unit = st.fault_unit,
		.mcu = st.fault_mcu,
		.pc = st.fault_pc,
		.tag = st.fault_tag,
		.wg = st.fault_wg,
		.addr = st.fault_addr,
	};
	return 0;
}

const struct sili_backend sili_backend_drm = {
	.name = "drm",
	.open = drm_open,
	.close = drm_close,
	.clock = drm_clock,
	.status = drm_status,
	.bo_new = drm_bo_new,
	.bo_free = drm_bo_free,
	.bo_map = drm_bo_map,
	.queue_new = drm_queue_new,
	.queue_free = drm_queue_free,
	.submit = drm_submit,
	.wait = drm_wait,
	.fence_fd = drm_fence_fd,
	.fault = drm_fault,
	.counters = drm_counters,
	.timeline_start = drm_timeline_start,
	.timeline_read = drm_timeline_read,
	.timeline_stop = drm_timeline_stop,
};
