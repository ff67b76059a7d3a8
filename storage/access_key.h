/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys: who signs requests (rules §7). Looked up by the gateway, made by otactl. */
#ifndef STORAGE_ACCESS_KEY_H
#define STORAGE_ACCESS_KEY_H

#include "engine/base/crypto.h"
#include "storage/db.h"

struct access_key {
	int64_t id, account_id;
	const char *key_id;
	const char *secret;   /* plain */
	const char *role;     /* admin, operator, viewer */
	bool disabled;
	int64_t instance_id;  /* the account's default instance */
	const char *instance; /* its IotInstanceId */
};

/* ERR_NOT_FOUND (error untouched) for an unknown key id, ERR_CRYPTO when the master key is not the one it was
 * sealed under. Strings in the unit's arena. */
enum err store_access_key_find(struct db *db, const struct seal_key *master, const char *key_id,
			       struct access_key *ret) MUST_USE;
/* role: admin, operator or viewer. The secret is sealed here. ERR_DB_CONFLICT: the key id exists. */
enum err store_access_key_add(struct db *db, const struct seal_key *master, int64_t account_id, const char *key_id,
			      const char *secret, const char *name, const char *role, utc_ms now) MUST_USE;
/* ERR_NOT_FOUND (error untouched) when the account has no such key. */
enum err store_access_key_disable(struct db *db, int64_t account_id, const char *key_id, bool disabled) MUST_USE;

#endif
