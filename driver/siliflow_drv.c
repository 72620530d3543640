// SPDX-License-Identifier: GPL-2.0-only
/* SiliFlow X1 accelerator: module, PCI driver, DRM driver, files. */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pm_runtime.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>

#include "siliflow.h"

static DEFINE_IDA(sili_indices);

/* ---- what may outlast its file and its device ---- */

/* Queues and binds that still exist anywhere: the module stays until they are gone. */
static atomic_t sili_live;
static DECLARE_WAIT_QUEUE_HEAD(sili_live_wait);

void sili_live_get(void)
{
	atomic_inc(&sili_live);
}

void sili_live_put(void)
{
	if (atomic_dec_and_test(&sili_live))
		wake_up_all(&sili_live_wait);
}

/* ---- files ---- */

static int sili_open(struct drm_device *drm, struct drm_file *file)
{
	struct sili_file *sfile = kzalloc(sizeof(*sfile), GFP_KERNEL);
	int ret;

	if (!sfile)
		return -ENOMEM;
	/* An open file keeps the device awake. */
	ret = pm_runtime_resume_and_get(drm->dev);
	if (ret) {
		kfree(sfile);
		return ret;
	}
	mutex_init(&sfile->lock);
	xa_init_flags(&sfile->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&sfile->queues, XA_FLAGS_ALLOC1);
	file->driver_priv = sfile;
	return 0;
}

static void sili_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct sili_file *sfile = file->driver_priv;
	struct sili_queue *queue;
	struct sili_vm *vm;
	unsigned long i;

	sili_gate_enter(to_sili(drm), false);
	xa_for_each(&sfile->queues, i, queue)
		sili_queue_close(queue);
	xa_for_each(&sfile->vms, i, vm)
		sili_vm_close(vm);
	sili_gate_exit(to_sili(drm));
	sili_put_power(to_sili(drm));
	xa_destroy(&sfile->queues);
	xa_destroy(&sfile->vms);
	mutex_destroy(&sfile->lock);
	kfree(sfile);
}

static const struct drm_ioctl_desc sili_ioctls[] = {
	DRM_IOCTL_DEF_DRV(SILIFLOW_QUERY, sili_ioctl_query, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_BO_CREATE, sili_ioctl_bo_create, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_BO_MMAP_OFFSET, sili_ioctl_bo_mmap_offset, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_BO_INFO, sili_ioctl_bo_info, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_BO_WAIT, sili_ioctl_bo_wait, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_VM_CREATE, sili_ioctl_vm_create, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_VM_DESTROY, sili_ioctl_vm_destroy, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_VM_BIND, sili_ioctl_vm_bind, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_QUEUE_CREATE, sili_ioctl_queue_create, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_QUEUE_DESTROY, sili_ioctl_queue_destroy, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_QUEUE_STATE, sili_ioctl_queue_state, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_SUBMIT, sili_ioctl_submit, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_WAIT_VALUE, sili_ioctl_wait_value, 0),
	DRM_IOCTL_DEF_DRV(SILIFLOW_TIMELINE_OPEN, sili_ioctl_timeline_open, 0),
};

/* Who waits for jobs does not need the device; the core's ioctls do not touch it. */
static bool sili_ioctl_gated(unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd);

	return nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END &&
	       nr != DRM_COMMAND_BASE + DRM_SILIFLOW_BO_WAIT &&
	       nr != DRM_COMMAND_BASE + DRM_SILIFLOW_WAIT_VALUE;
}

static long sili_ioctl_through(struct file *file, unsigned int cmd, unsigned long arg,
			       long (*ioctl)(struct file *, unsigned int, unsigned long))
{
	struct drm_file *drm_file = file->private_data;
	struct sili_device *sdev = to_sili(drm_file->minor->dev);
	long ret;

	if (!sili_ioctl_gated(cmd))
		return ioctl(file, cmd, arg);
	ret = sili_gate_enter(sdev, true);
	if (ret)
		return ret;
	ret = ioctl(file, cmd, arg);
	sili_gate_exit(sdev);
	return ret;
}

static long sili_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return sili_ioctl_through(file, cmd, arg, drm_ioctl);
}

#ifdef CONFIG_COMPAT
static long sili_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return sili_ioctl_through(file, cmd, arg, drm_compat_ioctl);
}
#endif

/* DRM_ACCEL_FOPS with ioctls of our own. */
static const struct file_operations sili_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = sili_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = sili_compat_ioctl,
#endif
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = sili_mmap,
	.fop_flags = FOP_UNSIGNED_OFFSET,
	.show_fdinfo = drm_show_fdinfo,
};

static const struct drm_driver sili_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE | SILI_DRIVER_GPUVA,
	.open = sili_open,
	.postclose = sili_postclose,
	.ioctls = sili_ioctls,
	.num_ioctls = ARRAY_SIZE(sili_ioctls),
	.fops = &sili_fops,
	.gem_prime_import_sg_table = sili_gem_import,
	.show_fdinfo = sili_show_fdinfo,
	.name = SILI_NAME,
	.desc = "SiliFlow X1 accelerator",
	.major = SILIFLOW_DRIVER_MAJOR,
	.minor = SILIFLOW_DRIVER_MINOR,
};

/* ---- N of /dev/siliN ---- */

static void sili_index_free(void *arg)
{
	struct sili_device *sdev = arg;

	ida_free(&sili_indices, sdev->index);
}

static int sili_index_init(struct sili_device *sdev)
{
	int ret = ida_alloc(&sili_indices, GFP_KERNEL);

	if (ret < 0)
		return ret;
	sdev->index = ret;
	return devm_add_action_or_reset(sdev->drm.dev, sili_index_free, sdev);
}

/* ---- PCI ---- */

static int sili_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct sili_device *sdev;
	int ret;

	sdev = devm_drm_dev_alloc(&pdev->dev, &sili_driver, struct sili_device, drm);
	if (IS_ERR(sdev))
		return PTR_ERR(sdev);
	sdev->pdev = pdev;
	pci_set_drvdata(pdev, sdev);
	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "cannot enable the device\n");
	ret = sili_index_init(sdev);
	if (ret)
		return ret;
	ret = sili_device_init(sdev);
	if (ret)
		return ret;
	sili_debugfs_init(sdev);
	ret = sili_hwmon_init(sdev);
	/* There before the uevent of the device node. */
	if (!ret)
		ret = sili_sysfs_init(sdev);
	if (!ret)
		ret = drm_dev_register(&sdev->drm, 0);
	if (ret) {
		sili_device_unplug(sdev);
		sili_coredump_fini(sdev);
		return dev_err_probe(&pdev->dev, ret, "cannot register\n");
	}
	dev_info(&pdev->dev, "X1 with %u MCUs, %llu MiB HBM, firmware %u.%u.%u, sili%u\n",
		 sdev->num_mcus, sdev->hbm_bytes >> 20, sili_read(sdev, X1_REG_FW_VERSION) >> 16,
		 sili_read(sdev, X1_REG_FW_VERSION) >> 8 & 0xff,
		 sili_read(sdev, X1_REG_FW_VERSION) & 0xff, sdev->index);
	/* For when the PCI core brings the function back after an error. */
	pci_save_state(pdev);
	sili_pm_init(sdev);
	return 0;
}

static void sili_remove(struct pci_dev *pdev)
{
	struct sili_device *sdev = pci_get_drvdata(pdev);

	sili_pm_fini(sdev);
	cancel_delayed_work_sync(&sdev->aer_work);
	sili_device_unplug(sdev);
	/* Who waits at the gate sees that the device has gone. */
	sili_thaw(sdev);
	cancel_work_sync(&sdev->reset_work);
	sili_coredump_fini(sdev);
}

static const struct pci_device_id sili_ids[] = {
	{ PCI_DEVICE(X1_PCI_VENDOR_ID, X1_PCI_DEVICE_ID) },
	{}
};
MODULE_DEVICE_TABLE(pci, sili_ids);

static struct pci_driver sili_pci_driver = {
	.name = SILI_NAME,
	.id_table = sili_ids,
	.probe = sili_probe,
	.remove = sili_remove,
	.shutdown = sili_remove,
	.err_handler = &sili_err_handlers,
	.driver.pm = pm_ptr(&sili_pm_ops),
};

static int __init sili_module_init(void)
{
	int ret = sili_bind_module_init();

	if (ret)
		return ret;
	ret = pci_register_driver(&sili_pci_driver);
	if (ret)
		sili_bind_module_exit();
	return ret;
}
module_init(sili_module_init);

static void __exit sili_module_exit(void)
{
	pci_unregister_driver(&sili_pci_driver);
	/* Jobs and binds that wait for a foreign fence. */
	wait_event(sili_live_wait, !atomic_read(&sili_live));
	sili_bind_module_exit();
}
module_exit(sili_module_exit);

MODULE_DESCRIPTION("SiliFlow X1 accelerator");
MODULE_AUTHOR("SiliFlow X1 developers");
MODULE_LICENSE("GPL");
