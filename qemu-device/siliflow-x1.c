/*
 * SiliFlow X1 AI accelerator: PCI shell
 *
 * The accelerator itself is the core in model/, plain C without QEMU; this
 * file is its PCIe endpoint: BARs, MSI-X, power management, AER, FLR, and the
 * core's view of the host.
 *
 * Usage: -device siliflow-x1[,property=value...]
 *
 *   mcus=N              matrix compute units (384)
 *   hbm-size=SIZE       device memory, allocated when touched (4G)
 *   aperture-size=SIZE  part of it behind BAR2, a power of two (hbm-size)
 *   clock=HZ            device clock (1526000000)
 *   hbm-bandwidth=N     bytes per device cycle (2097)
 *   l2-size=SIZE        L2 cache (64M)
 *   threads=N           worker threads, 0 = one per host CPU (0)
 *   timing=on|off       run the event model: cycles and energy (on)
 *   serial=N            serial number (0)
 *   scrub-on-flr=on|off zero HBM at function level reset (off)
 *
 * Properties of a running device that break it: see siliflow-x1-fault.c.
 *
 * A 4 GiB BAR2 behind a root port needs room: pcie-root-port,pref64-reserve=8G.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "siliflow-x1.h"
#include "trace.h"
#include "x1/x1_limits.h"
#include "x1/x1_regs.h"

#define SILIFLOW_X1_PM_OFFSET     0x40
#define SILIFLOW_X1_EXP_OFFSET    0x80
#define SILIFLOW_X1_AER_OFFSET    0x100
#define SILIFLOW_X1_SERIAL_OFFSET 0x150

#define SILIFLOW_X1_LNKSTA2_EQUALIZED 0x1e

/* ---- the core's host ---- */

static void siliflow_x1_raise_bh(void *opaque)
{
    SiliflowX1State *s = opaque;
    PCIDevice *pdev = PCI_DEVICE(s);
    uint64_t mask = qatomic_xchg(&s->raise_mask, 0);

    while (mask) {
        unsigned int vector = ctz64(mask);

        mask &= mask - 1;
        trace_siliflow_x1_irq(vector, msix_enabled(pdev));
        if (msix_enabled(pdev)) {
            msix_notify(pdev, vector);
        }
    }
}

/* An MSI write may take the big lock: the main thread makes it. */
static void siliflow_x1_raise(void *host, unsigned int vector)
{
    SiliflowX1State *s = host;

    qatomic_or(&s->raise_mask, 1ull << vector);
    qemu_bh_schedule(s->raise_bh);
}

static void siliflow_x1_hbm_dirty(void *host, uint64_t off, uint64_t len)
{
    SiliflowX1State *s = host;

    memory_region_set_dirty(&s->hbm, off, len);
}

static void siliflow_x1_defer(void *host, void (*fn)(void *arg), void *arg)
{
    aio_bh_schedule_oneshot(qemu_get_aio_context(), fn, arg);
}

static void siliflow_x1_thread_enter(void *host)
{
    rcu_register_thread();
}

static void siliflow_x1_thread_exit(void *host)
{
    rcu_unregister_thread();
}

static void siliflow_x1_log(void *host, int level, const char *msg)
{
    if (level != X1_LOGL_GUEST_ERROR) {
        trace_siliflow_x1_err_host(msg);
    } else {
        trace_siliflow_x1_err_guest(msg);
        qemu_log_mask(LOG_GUEST_ERROR, "siliflow-x1: %s\n", msg);
    }
}

static const struct x1_host_ops siliflow_x1_host_ops = {
    .sys_read = siliflow_x1_sys_read,
    .sys_write = siliflow_x1_sys_write,
    .sys_map = siliflow_x1_sys_map,
    .sys_unmap = siliflow_x1_sys_unmap,
    .raise = siliflow_x1_raise,
    .hbm_dirty = siliflow_x1_hbm_dirty,
    .defer = siliflow_x1_defer,
    .serve = siliflow_x1_dma_serve,
    .thread_enter = siliflow_x1_thread_enter,
    .thread_exit = siliflow_x1_thread_exit,
    .log = siliflow_x1_log,
};

/* ---- BAR0 ---- */

static uint64_t siliflow_x1_reg_read(void *opaque, hwaddr off, unsigned size)
{
    SiliflowX1State *s = opaque;
    uint64_t val = x1_core_bar_read(s->core, off, size);

    trace_siliflow_x1_reg_read(off, size, val);
    return val;
}

static void siliflow_x1_reg_write(void *opaque, hwaddr off, uint64_t val,
                                  unsigned size)
{
    SiliflowX1State *s = opaque;

    trace_siliflow_x1_reg_write(off, size, val);
    x1_core_bar_write(s->core, off, val, size);
}

static const MemoryRegionOps siliflow_x1_regs_ops = {
    .read = siliflow_x1_reg_read,
    .write = siliflow_x1_reg_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

/* ---- reset and power ---- */

static void siliflow_x1_reset(SiliflowX1State *s, enum x1_reset_kind kind)
{
    trace_siliflow_x1_reset(kind == X1_RESET_COLD ? "cold" : "function");
    siliflow_x1_dma_cancel(s, false);
    x1_core_reset(s->core, kind);
    qatomic_set(&s->raise_mask, 0);
    if (s->paused) {
        s->paused = false;
        x1_core_resume(s->core);
    }
}

static void siliflow_x1_reset_hold(Object *obj, ResetType type)
{
    SiliflowX1State *s = SILIFLOW_X1(obj);
    PCIDevice *pdev = PCI_DEVICE(obj);
    /*
     * FLR and bus resets come through here as well. A machine reset takes the
     * power of the whole hierarchy with it, which shows in the root bus.
     */
    bool machine = device_is_in_reset(BUS(pci_device_root_bus(pdev))->parent);

    siliflow_x1_reset(s, machine || s->scrub_on_flr || s->link_down
                         ? X1_RESET_COLD : X1_RESET_FLR);
    x1_core_set_bus_master(s->core, false);
}

/* D3hot stops the device; HBM and configuration stay. */
static void siliflow_x1_update_power(SiliflowX1State *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint16_t pmcsr = pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL);
    bool off = (pmcsr & PCI_PM_CTRL_STATE_MASK) == 3;

    if (off == s->paused) {
        return;
    }
    trace_siliflow_x1_power(off ? "D3hot" : "D0");
    s->paused = off;
    if (off) {
        x1_core_pause(s->core);
    } else {
        x1_core_resume(s->core);
    }
}

static uint32_t siliflow_x1_read_config(PCIDevice *pdev, uint32_t addr,
                                        int len)
{
    return SILIFLOW_X1(pdev)->link_down ? ~0u >> (32 - len * 8)
                                        : pci_default_read_config(pdev, addr,
                                                                  len);
}

static void siliflow_x1_write_config(PCIDevice *pdev, uint32_t addr,
                                     uint32_t val, int len)
{
    SiliflowX1State *s = SILIFLOW_X1(pdev);

    if (s->link_down) {
        return;
    }
    pci_default_write_config(pdev, addr, val, len);
    pcie_cap_flr_write_config(pdev, addr, val, len);
    pcie_aer_write_config(pdev, addr, val, len);
    if (ranges_overlap(addr, len, PCI_COMMAND, 2)) {
        x1_core_set_bus_master(s->core, pci_get_word(pdev->config +
                                                     PCI_COMMAND) &
                                        PCI_COMMAND_MASTER);
    }
    siliflow_x1_update_power(s);
}

/* RAM is sent before device state: workers park as soon as the VM stops. */
static void siliflow_x1_vm_state(void *opaque, bool running, RunState state)
{
    SiliflowX1State *s = opaque;

    if (running == !s->vm_stopped) {
        return;
    }
    trace_siliflow_x1_vm_state(running);
    s->vm_stopped = !running;
    if (running) {
        x1_core_unpark(s->core);
    } else {
        x1_core_park(s->core);
    }
}

/* ---- realize ---- */

static bool siliflow_x1_check(SiliflowX1State *s, Error **errp)
{
    char msg[160];

    if (!s->cfg.aperture_bytes) {
        s->cfg.aperture_bytes = pow2floor(s->cfg.hbm_bytes);
    }
    if (!is_power_of_2(s->cfg.aperture_bytes)) {
        error_setg(errp, "aperture-size: must be a power of two, not %" PRIu64,
                   s->cfg.aperture_bytes);
        return false;
    }
    if (x1_core_config_check(&s->cfg, msg, sizeof(msg))) {
        error_setg(errp, "%s", msg);
        return false;
    }
    return true;
}

/* Gen5 x16, as the link of the card that the timing model describes. */
static void siliflow_x1_init_link(PCIDevice *pdev)
{
    uint8_t *exp = pdev->config + pdev->exp.exp_cap;

    pci_long_test_and_clear_mask(exp + PCI_EXP_LNKCAP,
                                 PCI_EXP_LNKCAP_MLW | PCI_EXP_LNKCAP_SLS);
    pci_long_test_and_set_mask(exp + PCI_EXP_LNKCAP,
                               (16 << PCI_EXP_LNK_MLW_SHIFT) |
                               PCI_EXP_LNKCAP_SLS_32_0GB);
    pci_word_test_and_clear_mask(exp + PCI_EXP_LNKSTA,
                                 PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW);
    pci_word_test_and_set_mask(exp + PCI_EXP_LNKSTA,
                               PCI_EXP_LNKCAP_SLS_32_0GB |
                               (16 << PCI_EXP_LNK_MLW_SHIFT));
    pci_long_test_and_set_mask(exp + PCI_EXP_LNKCAP2,
                               PCI_EXP_LNKCAP2_SLS_2_5GB |
                               PCI_EXP_LNKCAP2_SLS_5_0GB |
                               PCI_EXP_LNKCAP2_SLS_8_0GB |
                               PCI_EXP_LNKCAP2_SLS_16_0GB |
                               PCI_EXP_LNKCAP2_SLS_32_0GB);
    /* Trained: at the speed it was to have, equalised in all its phases. */
    pci_set_word(exp + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_32_0GT);
    pci_set_word(exp + PCI_EXP_LNKSTA2, SILIFLOW_X1_LNKSTA2_EQUALIZED);
}

static bool siliflow_x1_init_caps(PCIDevice *pdev, uint64_t serial,
                                  Error **errp)
{
    /* No BAR is I/O: the bit that would enable one stays clear. */
    pci_word_test_and_clear_mask(pdev->wmask + PCI_COMMAND, PCI_COMMAND_IO);
    if (pci_pm_init(pdev, SILIFLOW_X1_PM_OFFSET, errp) < 0) {
        return false;
    }
    pci_set_word(pdev->config + pdev->pm_cap + PCI_PM_PMC,
                 PCI_PM_CAP_VER_1_2);
    pci_set_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL,
                 PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + pdev->pm_cap + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK);
    if (pcie_endpoint_cap_init(pdev, SILIFLOW_X1_EXP_OFFSET) < 0) {
        error_setg(errp, "cannot add the PCI Express capability");
        return false;
    }
    siliflow_x1_init_link(pdev);
    pcie_cap_flr_init(pdev);
    pcie_cap_deverr_init(pdev);
    if (pcie_aer_init(pdev, PCI_ERR_VER, SILIFLOW_X1_AER_OFFSET,
                      PCI_ERR_SIZEOF, errp) < 0) {
        pcie_cap_exit(pdev);
        return false;
    }
    pcie_dev_ser_num_init(pdev, SILIFLOW_X1_SERIAL_OFFSET, serial);
    return true;
}

static void siliflow_x1_realize(PCIDevice *pdev, Error **errp)
{
    SiliflowX1State *s = SILIFLOW_X1(pdev);
    char msg[160];

    if (!pci_is_express(pdev)) {
        error_setg(errp, "siliflow-x1 needs a PCI Express bus");
        return;
    }
    if (!siliflow_x1_check(s, errp)) {
        return;
    }
    if (!memory_region_init_ram(&s->hbm, OBJECT(s), "siliflow-x1.hbm",
                                s->cfg.hbm_bytes, errp)) {
        return;
    }
    memory_region_init_io(&s->regs, OBJECT(s), &siliflow_x1_regs_ops, s,
                          "siliflow-x1.regs", X1_BAR0_BYTES);
    memory_region_init(&s->aperture, OBJECT(s), "siliflow-x1.aperture",
                       s->cfg.aperture_bytes);
    memory_region_init_alias(&s->aperture_hbm, OBJECT(s), "siliflow-x1.window",
                             &s->hbm, 0, s->cfg.aperture_bytes);
    memory_region_add_subregion(&s->aperture, 0, &s->aperture_hbm);
    pci_register_bar(pdev, X1_PCI_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->regs);
    pci_register_bar(pdev, X1_PCI_BAR_HBM,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->aperture);
    if (!siliflow_x1_init_caps(pdev, s->cfg.serial, errp)) {
        return;
    }
    /* After those with fixed places: this one takes what is free. */
    if (msix_init_exclusive_bar(pdev, X1_MSIX_VECTORS, X1_PCI_BAR_MSIX,
                                errp)) {
        pcie_aer_exit(pdev);
        pcie_cap_exit(pdev);
        return;
    }
    for (unsigned int i = 0; i < X1_MSIX_VECTORS; i++) {
        msix_vector_use(pdev, i);
    }
    siliflow_x1_dma_init(s);
    s->raise_bh = qemu_bh_new_guarded(siliflow_x1_raise_bh, s,
                                      &DEVICE(s)->mem_reentrancy_guard);
    if (x1_core_new(&s->core, &s->cfg, memory_region_get_ram_ptr(&s->hbm),
                    &siliflow_x1_host_ops, s, msg, sizeof(msg))) {
        error_setg(errp, "%s", msg);
        qemu_bh_delete(s->raise_bh);
        siliflow_x1_dma_fini(s);
        pcie_aer_exit(pdev);
        pcie_cap_exit(pdev);
        msix_uninit_exclusive_bar(pdev);
        return;
    }
    /* Starts as the machine: stopped with -S or an incoming migration. */
    s->vm_stopped = !runstate_is_running();
    if (s->vm_stopped) {
        x1_core_park(s->core);
    }
    s->vmstate_entry = qemu_add_vm_change_state_handler(siliflow_x1_vm_state,
                                                        s);
    trace_siliflow_x1_realize(s->cfg.mcus, s->cfg.hbm_bytes,
                              s->cfg.aperture_bytes);
}

static void siliflow_x1_exit(PCIDevice *pdev)
{
    SiliflowX1State *s = SILIFLOW_X1(pdev);

    trace_siliflow_x1_exit(s->cfg.serial);
    qemu_del_vm_change_state_handler(s->vmstate_entry);
    siliflow_x1_dma_cancel(s, true);
    x1_core_free(s->core);
    s->core = NULL;
    qemu_bh_delete(s->raise_bh);
    siliflow_x1_dma_fini(s);
    pcie_aer_exit(pdev);
    pcie_cap_exit(pdev);
    msix_uninit_exclusive_bar(pdev);
    /* The name is free again at once, the memory when its last user is gone. */
    vmstate_unregister_ram(&s->hbm, DEVICE(s));
}

/* ---- migration ---- */

#define SILIFLOW_X1_STATE_MAX (1u << 30)

static int siliflow_x1_pre_save(void *opaque)
{
    SiliflowX1State *s = opaque;
    size_t len;

    if (x1_core_save(s->core, &s->state, &len)) {
        error_report("siliflow-x1: no memory to save the device's state");
        return -ENOMEM;
    }
    if (len > SILIFLOW_X1_STATE_MAX) {
        error_report("siliflow-x1: the work in flight has a state of %zu bytes,"
                     " which is too large to save", len);
        free(s->state);
        s->state = NULL;
        return -EFBIG;
    }
    s->state_len = len;
    trace_siliflow_x1_save(s->state_len);
    return 0;
}

static int siliflow_x1_post_save(void *opaque)
{
    SiliflowX1State *s = opaque;

    free(s->state);
    s->state = NULL;
    return 0;
}

static int siliflow_x1_post_load(void *opaque, int version_id)
{
    SiliflowX1State *s = opaque;
    PCIDevice *pdev = PCI_DEVICE(s);
    char err[64];
    int ret;

    ret = x1_core_load(s->core, s->state, s->state_len, err, sizeof(err));
    trace_siliflow_x1_load(s->state_len);
    g_free(s->state);
    s->state = NULL;
    if (ret) {
        trace_siliflow_x1_err_load(s->state_len, err);
        error_report("siliflow-x1: the saved state is not good: %s", err);
        return ret;
    }
    x1_core_set_bus_master(s->core, pci_get_word(pdev->config + PCI_COMMAND) &
                                    PCI_COMMAND_MASTER);
    siliflow_x1_update_power(s);
    siliflow_x1_apply_link(s);
    if (s->raise_mask) {
        qemu_bh_schedule(s->raise_bh);
    }
    return 0;
}

static bool siliflow_x1_state_fits(void *opaque, int version_id)
{
    SiliflowX1State *s = opaque;

    return s->state_len <= SILIFLOW_X1_STATE_MAX;
}

/* HBM is RAM and travels as such; everything else of the core is one stream. */
static const VMStateDescription siliflow_x1_vmstate = {
    .name = TYPE_SILIFLOW_X1,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = siliflow_x1_pre_save,
    .post_save = siliflow_x1_post_save,
    .post_load = siliflow_x1_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, SiliflowX1State),
        VMSTATE_MSIX(parent_obj, SiliflowX1State),
        VMSTATE_STRUCT(parent_obj.exp.aer_log, SiliflowX1State, 0,
                       vmstate_pcie_aer_log, PCIEAERLog),
        VMSTATE_BOOL(link_down, SiliflowX1State),
        VMSTATE_UINT64(raise_mask, SiliflowX1State),
        VMSTATE_UINT32(state_len, SiliflowX1State),
        VMSTATE_VALIDATE("size of the state", siliflow_x1_state_fits),
        VMSTATE_VBUFFER_ALLOC_UINT32(state, SiliflowX1State, 1, NULL,
                                     state_len),
        VMSTATE_END_OF_LIST()
    },
};

static const Property siliflow_x1_properties[] = {
    DEFINE_PROP_UINT32("mcus", SiliflowX1State, cfg.mcus, X1_DEF_MCUS),
    DEFINE_PROP_SIZE("hbm-size", SiliflowX1State, cfg.hbm_bytes,
                     X1_DEF_HBM_BYTES),
    DEFINE_PROP_SIZE("aperture-size", SiliflowX1State, cfg.aperture_bytes, 0),
    DEFINE_PROP_UINT64("clock", SiliflowX1State, cfg.clock_hz,
                       X1_DEF_CLOCK_HZ),
    DEFINE_PROP_UINT32("hbm-bandwidth", SiliflowX1State, cfg.hbm_bw,
                       X1_DEF_HBM_BW),
    DEFINE_PROP_SIZE32("l2-size", SiliflowX1State, cfg.l2_bytes,
                       X1_DEF_L2_BYTES),
    DEFINE_PROP_UINT32("threads", SiliflowX1State, cfg.threads, 0),
    DEFINE_PROP_BOOL("timing", SiliflowX1State, cfg.timing, true),
    DEFINE_PROP_UINT64("serial", SiliflowX1State, cfg.serial, 0),
    DEFINE_PROP_BOOL("scrub-on-flr", SiliflowX1State, scrub_on_flr, false),
};

static void siliflow_x1_describe(ObjectClass *oc)
{
    static const struct {
        const char *name, *text;
    } help[] = {
        { "mcus", "Matrix compute units" },
        { "hbm-size", "Device memory, a multiple of 2 MiB" },
        { "aperture-size", "Part of HBM behind BAR2, a power of two" },
        { "clock", "Device clock in Hz" },
        { "hbm-bandwidth", "HBM bytes per device cycle" },
        { "l2-size", "L2 cache size" },
        { "threads", "Worker threads, 0 = one per host CPU" },
        { "timing", "Run the event model (cycles and energy)" },
        { "serial", "Serial number of the card" },
        { "scrub-on-flr", "Zero HBM at function level reset" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(help); i++) {
        object_class_property_set_description(oc, help[i].name, help[i].text);
    }
}

static void siliflow_x1_instance_init(Object *obj)
{
    SiliflowX1State *s = SILIFLOW_X1(obj);

    x1_core_config_init(&s->cfg);
    s->cfg.aperture_bytes = 0;      /* all of HBM, unless the property says */
}

static void siliflow_x1_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    pc->realize = siliflow_x1_realize;
    pc->exit = siliflow_x1_exit;
    pc->config_read = siliflow_x1_read_config;
    pc->config_write = siliflow_x1_write_config;
    pc->vendor_id = X1_PCI_VENDOR_ID;
    pc->device_id = X1_PCI_DEVICE_ID;
    pc->revision = X1_PCI_REVISION;
    pc->class_id = X1_PCI_CLASS;
    rc->phases.hold = siliflow_x1_reset_hold;
    dc->desc = "SiliFlow X1 AI accelerator";
    dc->vmsd = &siliflow_x1_vmstate;
    device_class_set_props(dc, siliflow_x1_properties);
    siliflow_x1_describe(oc);
    siliflow_x1_fault_class_init(oc);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo siliflow_x1_info = {
    .name = TYPE_SILIFLOW_X1,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(SiliflowX1State),
    .instance_init = siliflow_x1_instance_init,
    .class_init = siliflow_x1_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { }
    },
};

static void siliflow_x1_register_types(void)
{
    type_register_static(&siliflow_x1_info);
}

type_init(siliflow_x1_register_types)
