/*
 * SiliFlow X1 AI accelerator: system memory from the core's threads
 *
 * Plain RAM that no IOMMU translates is mapped and accessed by the worker
 * itself, under RCU. Everything else (behind a vIOMMU, MMIO, unassigned) is
 * handed to a guarded bottom half: a VT-d fault raises an interrupt and needs
 * the big QEMU lock, which no worker may take. The worker waits for it; the
 * core counts it as parked meanwhile, so that the main thread may stop the
 * core under the lock. Reset and unplug fail what still waits, so a worker
 * always comes back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/pci/pci.h"
#include "siliflow-x1.h"
#include "trace.h"

static bool siliflow_x1_has_iommu(SiliflowX1State *s)
{
    return pci_device_iommu_address_space(PCI_DEVICE(s)) !=
           &address_space_memory;
}

static void siliflow_x1_help_bh(void *opaque)
{
    SiliflowX1State *s = opaque;
    SiliflowX1Help *h;

    qemu_mutex_lock(&s->help_lock);
    while ((h = QTAILQ_FIRST(&s->help))) {
        MemTxResult res;

        QTAILQ_REMOVE(&s->help, h, next);
        res = pci_dma_rw(PCI_DEVICE(s), h->addr, h->buf, h->len,
                         h->write ? DMA_DIRECTION_FROM_DEVICE :
                                    DMA_DIRECTION_TO_DEVICE,
                         MEMTXATTRS_UNSPECIFIED);
        if (res != MEMTX_OK) {
            trace_siliflow_x1_err_dma(h->addr, h->len, h->write);
        }
        h->ret = res == MEMTX_OK ? 0 : -EFAULT;
        h->done = true;
        qemu_cond_broadcast(&s->help_done);
    }
    qemu_mutex_unlock(&s->help_lock);
}

void siliflow_x1_dma_serve(void *host)
{
    siliflow_x1_help_bh(host);
}

static int siliflow_x1_ask(SiliflowX1State *s, uint64_t addr, void *buf,
                           uint64_t len, bool write)
{
    SiliflowX1Help h = {
        .addr = addr, .buf = buf, .len = len, .write = write, .ret = -EFAULT,
    };

    /* The core's register and life-cycle calls hold the lock already. */
    if (bql_locked()) {
        return pci_dma_rw(PCI_DEVICE(s), addr, buf, len,
                          write ? DMA_DIRECTION_FROM_DEVICE :
                                  DMA_DIRECTION_TO_DEVICE,
                          MEMTXATTRS_UNSPECIFIED) == MEMTX_OK ? 0 : -EFAULT;
    }
    trace_siliflow_x1_dma_help(addr, len, write);
    qemu_mutex_lock(&s->help_lock);
    if (!s->help_closed) {
        QTAILQ_INSERT_TAIL(&s->help, &h, next);
        qemu_bh_schedule(s->help_bh);
        while (!h.done) {
            qemu_cond_wait(&s->help_done, &s->help_lock);
        }
    }
    qemu_mutex_unlock(&s->help_lock);
    return h.ret;
}

void siliflow_x1_dma_cancel(SiliflowX1State *s, bool close)
{
    SiliflowX1Help *h;

    qemu_mutex_lock(&s->help_lock);
    s->help_closed |= close;
    while ((h = QTAILQ_FIRST(&s->help))) {
        QTAILQ_REMOVE(&s->help, h, next);
        h->done = true;
    }
    qemu_cond_broadcast(&s->help_done);
    qemu_mutex_unlock(&s->help_lock);
}

/* RAM that needs nobody's help, or NULL; the region is referenced. */
static void *siliflow_x1_ram(SiliflowX1State *s, uint64_t addr, uint64_t *len,
                             bool write, MemoryRegion **mrp)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    hwaddr xlat, plen = *len;
    MemoryRegion *mr;

    if (siliflow_x1_has_iommu(s)) {
        return NULL;
    }
    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(as, addr, &xlat, &plen, write,
                                 MEMTXATTRS_UNSPECIFIED);
    if (!memory_access_is_direct(mr, write, MEMTXATTRS_UNSPECIFIED) || !plen) {
        return NULL;
    }
    memory_region_ref(mr);
    *mrp = mr;
    *len = plen;
    return (uint8_t *)memory_region_get_ram_ptr(mr) + xlat;
}

static void siliflow_x1_ram_put(MemoryRegion *mr, void *ptr, uint64_t len,
                                bool written)
{
    if (written) {
        uint8_t *base = memory_region_get_ram_ptr(mr);

        memory_region_set_dirty(mr, (uint8_t *)ptr - base, len);
    }
    memory_region_unref(mr);
}

static int siliflow_x1_rw(SiliflowX1State *s, uint64_t addr, void *buf,
                          uint64_t len, bool write)
{
    while (len) {
        MemoryRegion *mr;
        uint64_t n = len;
        void *ptr = siliflow_x1_ram(s, addr, &n, write, &mr);

        if (!ptr) {
            return siliflow_x1_ask(s, addr, buf, len, write);
        }
        if (write) {
            memcpy(ptr, buf, n);
        } else {
            memcpy(buf, ptr, n);
        }
        siliflow_x1_ram_put(mr, ptr, n, write);
        addr += n;
        buf = (uint8_t *)buf + n;
        len -= n;
    }
    return 0;
}

int siliflow_x1_sys_read(void *host, uint64_t addr, void *buf, uint64_t len)
{
    return siliflow_x1_rw(host, addr, buf, len, false);
}

int siliflow_x1_sys_write(void *host, uint64_t addr, const void *buf,
                          uint64_t len)
{
    return siliflow_x1_rw(host, addr, (void *)buf, len, true);
}

int siliflow_x1_sys_map(void *host, uint64_t addr, uint64_t len, bool write,
                        struct x1_sysmap *map)
{
    MemoryRegion *mr;
    uint64_t n = len;
    void *ptr = siliflow_x1_ram(host, addr, &n, write, &mr);

    if (!ptr) {
        return -ENOTSUP;
    }
    map->ptr = ptr;
    map->len = n;
    map->cookie = mr;
    return 0;
}

void siliflow_x1_sys_unmap(void *host, const struct x1_sysmap *map,
                           bool written)
{
    siliflow_x1_ram_put(map->cookie, map->ptr, map->len, written);
}

void siliflow_x1_dma_init(SiliflowX1State *s)
{
    qemu_mutex_init(&s->help_lock);
    qemu_cond_init(&s->help_done);
    QTAILQ_INIT(&s->help);
    s->help_closed = false;
    s->help_bh = qemu_bh_new_guarded(siliflow_x1_help_bh, s,
                                     &DEVICE(s)->mem_reentrancy_guard);
}

void siliflow_x1_dma_fini(SiliflowX1State *s)
{
    qemu_bh_delete(s->help_bh);
    qemu_cond_destroy(&s->help_done);
    qemu_mutex_destroy(&s->help_lock);
}
