/*
 * SiliFlow X1 AI accelerator: faults on purpose
 *
 * QOM properties that break something in a running device:
 *
 *   qom-set path=/machine/peripheral/<id> property=fault-... value=...
 *
 * What they do is defined by the X1 reference manual ("Faults on purpose");
 * all but the PCI Express ones are the core's. They are no configuration: a
 * device is whole when it starts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci-internal.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/pci/pcie_port.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "siliflow-x1.h"
#include "trace.h"

static const struct siliflow_x1_fault {
    const char *name;
    enum x1_inject kind;
    const char *text;
} siliflow_x1_faults[] = {
    { "fault-mcu-stuck", X1_INJECT_MCU_STUCK,
      "MCU whose work-groups never end (-1: none)" },
    { "fault-mcu-wrong", X1_INJECT_MCU_WRONG,
      "MCU that stores wrong bits (-1: none)" },
    { "fault-ecc-corrected", X1_INJECT_ECC_CORRECTED,
      "HBM offset of a correctable error" },
    { "fault-ecc-uncorrected", X1_INJECT_ECC_UNCORRECTED,
      "HBM offset of an uncorrectable error (-1: mend all)" },
    { "fault-dma", X1_INJECT_DMA,
      "Number of accesses to system memory to refuse" },
    { "fault-irq-lost", X1_INJECT_IRQ_LOST,
      "Number of MSI-X messages to lose" },
    { "fault-queue-hung", X1_INJECT_QUEUE_HUNG,
      "Queue that stands still until it is reset" },
    { "fault-temperature", X1_INJECT_TEMPERATURE,
      "Temperature sensor in millidegrees Celsius (-1: the model's)" },
};

/* Set on a device that does not run yet, they would break nothing. */
static bool siliflow_x1_fault_ready(SiliflowX1State *s, const char *name,
                                    Error **errp)
{
    if (s->core) {
        return true;
    }
    error_setg(errp, "%s can only be set while the device runs", name);
    return false;
}

static void siliflow_x1_fault_get(Object *obj, Visitor *v, const char *name,
                                  void *opaque, Error **errp)
{
    const struct siliflow_x1_fault *f = opaque;
    SiliflowX1State *s = SILIFLOW_X1(obj);
    int64_t val = s->core ? x1_core_injected(s->core, f->kind) : -1;

    visit_type_int64(v, name, &val, errp);
}

static void siliflow_x1_fault_set(Object *obj, Visitor *v, const char *name,
                                  void *opaque, Error **errp)
{
    const struct siliflow_x1_fault *f = opaque;
    SiliflowX1State *s = SILIFLOW_X1(obj);
    int64_t val;

    if (!visit_type_int64(v, name, &val, errp) ||
        !siliflow_x1_fault_ready(s, name, errp)) {
        return;
    }
    if (x1_core_inject(s->core, f->kind, val)) {
        error_setg(errp, "%s=%" PRId64 ": out of range", name, val);
        return;
    }
    trace_siliflow_x1_fault(name, val);
}

static void siliflow_x1_fault_firmware(Object *obj, const char *val,
                                       Error **errp)
{
    SiliflowX1State *s = SILIFLOW_X1(obj);
    enum x1_inject kind;

    if (!strcmp(val, "crash")) {
        kind = X1_INJECT_FW_CRASH;
    } else if (!strcmp(val, "hang")) {
        kind = X1_INJECT_FW_HANG;
    } else {
        error_setg(errp, "fault-firmware=%s: must be crash or hang", val);
        return;
    }
    if (siliflow_x1_fault_ready(s, "fault-firmware", errp)) {
        trace_siliflow_x1_fault("fault-firmware", kind);
        x1_core_inject(s->core, kind, 0);
    }
}

/* The names are those of the monitor's pcie_aer_inject_error. */
static void siliflow_x1_fault_aer(Object *obj, const char *val, Error **errp)
{
    SiliflowX1State *s = SILIFLOW_X1(obj);
    PCIEAERErr err = { .source_id = pci_requester_id(PCI_DEVICE(obj)) };
    bool correctable;

    if (!siliflow_x1_fault_ready(s, "fault-aer", errp)) {
        return;
    }
    if (pcie_aer_parse_error_string(val, &err.status, &correctable)) {
        error_setg(errp, "fault-aer=%s: no such error", val);
        return;
    }
    if (correctable) {
        err.flags |= PCIE_AER_ERR_IS_CORRECTABLE;
    }
    trace_siliflow_x1_fault(val, err.status);
    if (pcie_aer_inject_error(PCI_DEVICE(s), &err) < 0) {
        error_setg(errp, "fault-aer=%s: the device cannot report it", val);
    }
}

/* ---- surprise removal ---- */

/* The port's interrupt, as for every other hot-plug event of its slot. */
static void siliflow_x1_slot_notify(PCIDevice *port)
{
    bool was = port->exp.hpev_notified;

    pcie_cap_slot_post_load(port, 1);   /* takes the event status over */
    if (was == port->exp.hpev_notified) {
        return;
    }
    if (msix_enabled(port)) {
        msix_notify(port, pcie_cap_flags_get_vector(port));
    } else if (msi_enabled(port)) {
        msi_notify(port, pcie_cap_flags_get_vector(port));
    } else if (pci_intx(port) != -1) {
        pci_set_irq(port, port->exp.hpev_notified);
    }
}

/* Presence and link of the slot follow the card, and the guest is told. */
static void siliflow_x1_slot_event(SiliflowX1State *s)
{
    PCIBus *bus = pci_get_bus(PCI_DEVICE(s));
    PCIDevice *port = pci_bridge_get_device(bus);
    uint8_t *exp;

    if (!port || !object_dynamic_cast(OBJECT(port), TYPE_PCIE_SLOT)) {
        return;                         /* on the root bus: no slot */
    }
    exp = port->config + port->exp.exp_cap;
    if (s->link_down) {
        pci_word_test_and_clear_mask(exp + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
        pci_word_test_and_clear_mask(exp + PCI_EXP_LNKSTA,
                                     PCI_EXP_LNKSTA_DLLLA);
    } else {
        pci_word_test_and_set_mask(exp + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
        pci_word_test_and_set_mask(exp + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA);
    }
    pci_word_test_and_set_mask(exp + PCI_EXP_SLTSTA,
                               PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    siliflow_x1_slot_notify(port);
}

/* Nothing of the device answers while its link is down. */
void siliflow_x1_apply_link(SiliflowX1State *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    memory_region_transaction_begin();
    memory_region_set_enabled(&s->regs, !s->link_down);
    memory_region_set_enabled(&s->aperture, !s->link_down);
    memory_region_set_enabled(&pdev->msix_exclusive_bar, !s->link_down);
    memory_region_transaction_commit();
}

static bool siliflow_x1_get_link_down(Object *obj, Error **errp)
{
    return SILIFLOW_X1(obj)->link_down;
}

static void siliflow_x1_set_link_down(Object *obj, bool val, Error **errp)
{
    SiliflowX1State *s = SILIFLOW_X1(obj);

    if (!siliflow_x1_fault_ready(s, "link-down", errp) ||
        s->link_down == val) {
        return;
    }
    trace_siliflow_x1_fault("link-down", val);
    s->link_down = val;
    siliflow_x1_apply_link(s);
    /* A card that was pulled has lost its power. */
    pci_device_reset(PCI_DEVICE(s));
    siliflow_x1_slot_event(s);
}

void siliflow_x1_fault_class_init(ObjectClass *oc)
{
    for (size_t i = 0; i < ARRAY_SIZE(siliflow_x1_faults); i++) {
        const struct siliflow_x1_fault *f = &siliflow_x1_faults[i];

        object_class_property_add(oc, f->name, "int", siliflow_x1_fault_get,
                                  siliflow_x1_fault_set, NULL, (void *)f);
        object_class_property_set_description(oc, f->name, f->text);
    }
    object_class_property_add_str(oc, "fault-firmware", NULL,
                                  siliflow_x1_fault_firmware);
    object_class_property_set_description(oc, "fault-firmware",
                                          "Stop the firmware: crash or hang");
    object_class_property_add_str(oc, "fault-aer", NULL,
                                  siliflow_x1_fault_aer);
    object_class_property_set_description(oc, "fault-aer",
        "Report an AER error, named as for pcie_aer_inject_error");
    object_class_property_add_bool(oc, "link-down", siliflow_x1_get_link_down,
                                   siliflow_x1_set_link_down);
    object_class_property_set_description(oc, "link-down",
        "Cut the device off, as if it was pulled from its slot");
}
