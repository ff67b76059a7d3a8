/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: registered one by one, in batches or by import; found by IotId or by ProductKey and DeviceName;
 * changed; deleted. What is shown of them: storage/device_view.h. Whatever changes who may log in writes a
 * row of credential_change in the same transaction; the row disappears when the broker has acknowledged the
 * change. Strings live in the unit's arena. */
#ifndef STORAGE_DEVICE_H
#define STORAGE_DEVICE_H

#include "storage/db.h"
#include "storage/secret.h"

#define DEVICE_SECRET_LEN 32
#define DEVICE_NAME_RANDOM_LEN 20

/* Which device: enough to address it. */
struct device_ref {
	int64_t id, product_id;
	const char *product_key, *name;
};

struct device_new {
	const char *name;     /* NULL: a random one */
	const char *nickname; /* or NULL */
};
struct device_made {
	int64_t id;
	int64_t change_id; /* of credential_change */
	const char *name, *secret;
};
/* ERR_DEVICE_NAME_EXISTS; ERR_PRODUCT_NOT_FOUND when the product was deleted meanwhile. In a read-write
 * transaction. */
enum err store_device_add(struct db *db, const struct seal_key *master, int64_t product_id,
			  const char *product_key, const struct device_new *in, utc_ms now,
			  struct device_made *ret) MUST_USE;

struct device_import {
	const char *name;
	const char *secret;
	const char *version;  /* of the default module; NULL: not known */
	const char *nickname; /* or NULL */
};
/* Adds n devices (at most a few thousand) in one statement; a name that exists already is left as it is, so
 * that an import can be repeated. Names may not occur twice. apply_id 0: of no batch. *ret_added: really
 * added. */
enum err store_devices_add(struct db *db, const struct seal_key *master, int64_t product_id,
			   const char *product_key, const struct device_import *in, size_t n,
			   int64_t apply_id, utc_ms now, int64_t *ret_added) MUST_USE;

/* The key that an IotId names; 0 when it has the shape of one but is none of ours. ERR_IOT_ID. */
enum err store_device_key(struct error *e, const char *iot_id, int64_t *ret_id) MUST_USE;
/* By IotId alone, or by ProductKey and DeviceName; iot_id wins (api §8). ERR_NULL_PRODUCT_KEY,
 * ERR_NULL_DEVICE_NAME, ERR_IOT_ID, ERR_DEVICE_NOT_FOUND; a device of another account is not found. */
enum err store_device_find(struct db *db, int64_t account_id, const char *iot_id, const char *product_key,
			   const char *name, struct device_ref *ret) MUST_USE;

/* ERR_DEVICE_NOT_FOUND when it is gone already. The caller has cancelled its tasks before
 * (store_task_cancel_of_device). */
enum err store_device_delete(struct db *db, int64_t device_id, utc_ms now, int64_t *ret_change_id) MUST_USE;
/* A disabled device may not log in; its data and its tasks stay. *ret_change_id is 0 when nothing had to be
 * changed. */
enum err store_device_disable(struct db *db, int64_t device_id, bool disabled, utc_ms now,
			      int64_t *ret_change_id) MUST_USE;

struct device_nickname {
	int64_t device_id;
	const char *nickname; /* NULL: none from now on */
};
/* Of a device that is named twice the last one counts. */
enum err store_device_nicknames(struct db *db, const struct device_nickname *list, size_t n,
				utc_ms now) MUST_USE;

/* Has the broker not acknowledged this change yet? */
enum err store_credential_waits(struct db *db, int64_t change_id, bool *ret_waits) MUST_USE;

#endif
