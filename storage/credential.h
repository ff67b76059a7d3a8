/* SPDX-License-Identifier: Apache-2.0 */
/* What the credential feed reads and writes; see sql/credential.sql. */
#ifndef STORAGE_CREDENTIAL_H
#define STORAGE_CREDENTIAL_H

#include "storage/db.h"
#include "storage/secret.h"

struct credential {
	int64_t id; /* of the change, or of the device in a page */
	const char *product_key, *device_name; /* or what engine/brokerlink.h has in their place */
	const char *secret; /* NULL: the device may not log in */
};

/* At most max outstanding changes, oldest first: those that somebody waits for, or with `bulk` any (of an
 * import). A secret that cannot be opened counts as none, and is logged. */
enum err store_credential_changes(struct db *db, const struct seal_key *master, bool bulk, int max,
				  struct credential **ret, size_t *ret_n) MUST_USE;
/* The next page of all devices that may log in, above after_id. */
enum err store_credential_page(struct db *db, const struct seal_key *master, int64_t after_id, int max,
			       struct credential **ret, size_t *ret_n) MUST_USE;
/* The next page of what the full set has besides devices: above these names, "" to begin with. */
enum err store_credential_page_other(struct db *db, const struct seal_key *master, const char *after_product_key,
				     const char *after_device_name, int max, struct credential **ret, size_t *ret_n) MUST_USE;
/* How far the brokers of a shard are; 0: nothing was ever delivered. */
enum err store_credential_position(struct db *db, int shard, int64_t *ret) MUST_USE;
/* The broker has acknowledged: forgets the changes (n may be 0) and keeps the position, in one transaction.
 */
enum err store_credential_delivered(struct db *db, int shard, const int64_t *change_ids, size_t n,
				    int64_t position) MUST_USE;

#endif
