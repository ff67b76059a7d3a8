/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and instances: who owns what (rules §7). Called by the gateway, otactl and the migrations. */
#ifndef STORAGE_ACCOUNT_H
#define STORAGE_ACCOUNT_H

#include "storage/db.h"

#define DEFAULT_ACCOUNT "default"

/* Creates the account and its default instance unless they exist; repeatable. */
enum err store_account_ensure(struct db *db, const char *name, utc_ms now, int64_t *ret_id) MUST_USE;
/* ERR_NOT_FOUND (error untouched) for an unknown name. */
enum err store_account_find(struct db *db, const char *name, int64_t *ret_id) MUST_USE;
/* What an account may have only so many of (products, packages, modules, groups) is counted and added by one transaction
 * at a time: it holds this lock to its end. */
enum err store_account_lock(struct db *db, int64_t account_id) MUST_USE;
/* instance_id NULL: the account's default instance. ERR_INSTANCE_NOT_FOUND when it is not one of the
 * account's. */
enum err store_instance_find(struct db *db, int64_t account_id, const char *instance_id,
			     int64_t *ret_id) MUST_USE;

#endif
