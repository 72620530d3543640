/*
 * SiliFlow X1 AI accelerator: the PCI shell's state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_MISC_SILIFLOW_X1_H
#define HW_MISC_SILIFLOW_X1_H

#include "hw/pci/pci_device.h"
#include "qom/object.h"
#include "qemu/thread.h"
#include "qemu/queue.h"
#include "model/x1_core.h"

#define TYPE_SILIFLOW_X1 "siliflow-x1"
OBJECT_DECLARE_SIMPLE_TYPE(SiliflowX1State, SILIFLOW_X1)

/* A worker's access to system memory that only the main thread may make. */
typedef struct SiliflowX1Help {
    uint64_t addr;
    void *buf;
    uint64_t len;
    bool write;
    bool done;
    int ret;
    QTAILQ_ENTRY(SiliflowX1Help) next;
} SiliflowX1Help;

struct SiliflowX1State {
    PCIDevice parent_obj;

    MemoryRegion regs;
    MemoryRegion hbm;
    MemoryRegion aperture;      /* BAR2: a window on hbm */
    MemoryRegion aperture_hbm;

    struct x1_core_config cfg;
    struct x1_core *core;
    bool scrub_on_flr;
    bool paused;                /* by D3hot */
    bool vm_stopped;
    bool link_down;             /* pulled: nothing answers */
    VMChangeStateEntry *vmstate_entry;

    /* the core's saved state, while it is being saved or loaded */
    uint8_t *state;
    uint32_t state_len;

    /* MSI-X vectors to raise, by the main thread */
    uint64_t raise_mask;
    QEMUBH *raise_bh;

    /* help wanted by workers, see siliflow-x1-dma.c */
    QemuMutex help_lock;
    QemuCond help_done;
    QTAILQ_HEAD(, SiliflowX1Help) help;
    bool help_closed;
    QEMUBH *help_bh;
};

void siliflow_x1_fault_class_init(ObjectClass *oc);
void siliflow_x1_apply_link(SiliflowX1State *s);

void siliflow_x1_dma_init(SiliflowX1State *s);
void siliflow_x1_dma_fini(SiliflowX1State *s);
/* Fail what workers wait for: they are about to be stopped. */
void siliflow_x1_dma_cancel(SiliflowX1State *s, bool close);

/* Do now what workers wait for. */
void siliflow_x1_dma_serve(void *host);

int siliflow_x1_sys_read(void *host, uint64_t addr, void *buf, uint64_t len);
int siliflow_x1_sys_write(void *host, uint64_t addr, const void *buf,
                          uint64_t len);
int siliflow_x1_sys_map(void *host, uint64_t addr, uint64_t len, bool write,
                        struct x1_sysmap *map);
void siliflow_x1_sys_unmap(void *host, const struct x1_sysmap *map,
                           bool written);

#endif
