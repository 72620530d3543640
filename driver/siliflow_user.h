/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of a process, mapped in a VM. */
#ifndef _SILIFLOW_USER_H_
#define _SILIFLOW_USER_H_

#include <linux/types.h>

struct drm_gem_object;
struct drm_gpuvm_bo;
struct sili_bo;
struct sili_user;
struct sili_vm;

/** struct sili_user_pages - what a process had at a time */
struct sili_user_pages {
	unsigned long *pfns;
	unsigned long seq;
};

struct drm_gem_object *sili_user_create(struct sili_vm *vm, u64 addr, u64 size, bool write);
int sili_user_get_pages(struct sili_user *user, struct sili_user_pages *pages);
void sili_user_put_pages(struct sili_user_pages *pages);
int sili_user_take(struct sili_user *user, struct drm_gpuvm_bo *vm_bo,
		   const struct sili_user_pages *pages);
void sili_user_stop(struct sili_bo *bo);
void sili_user_unpopulate(struct sili_bo *bo);
int sili_user_restore(struct sili_vm *vm);

#endif /* _SILIFLOW_USER_H_ */
