/* SPDX-License-Identifier: Apache-2.0 */
/* Modules of a product (api §7) and the versions that a device reported of its modules. The module "default",
 * the whole device, exists without a row. Strings live in the unit's arena. */
#ifndef STORAGE_MODULE_H
#define STORAGE_MODULE_H

#include "storage/db.h"

struct module {
	const char *name;		 /* unique in the product, whatever the case */
	const char *alias, *description; /* never NULL when read */
	utc_ms created_ms, modified_ms;
};

/* Adds m. limit: modules of a product, 0 = none. ERR_MODULE_EXISTS, ERR_MODULE_COUNT. The caller holds
 * store_account_lock: calls that add or delete modules and packages come one by one. */
enum err store_module_add(struct db *db, int64_t product_id, const struct module *m, int64_t limit) MUST_USE;
/* Changes what is not NULL of m's alias and description. ERR_MODULE_NOT_FOUND. */
enum err store_module_update(struct db *db, int64_t product_id, const struct module *m) MUST_USE;
/* ERR_MODULE_NOT_FOUND; ERR_MODULE_IN_USE while it has packages. The account is locked, as above. */
enum err store_module_delete(struct db *db, int64_t product_id, const char *name) MUST_USE;
/* All modules of a product, newest first. */
enum err store_module_list(struct db *db, int64_t product_id, const struct module **ret, size_t *ret_n) MUST_USE;

struct module_version {
	const char *module, *version;
};
/* A page of what the device has reported, by module name, also of modules that nobody created. from counts
 * from 0. */
enum err store_module_versions(struct db *db, int64_t device_id, int64_t from, int64_t count,
			       const struct module_version **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;

#endif
