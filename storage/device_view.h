/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as the management API shows them: one by one, by names, in lists and in numbers; and their tags.
 * Lists are newest first, pages count from 0. Strings live in the unit's arena. `master` opens the devices'
 * secrets; NULL, and calls without it: they are not asked for. */
#ifndef STORAGE_DEVICE_VIEW_H
#define STORAGE_DEVICE_VIEW_H

#include "storage/db.h"
#include "storage/secret.h"

#define DEVICE_TAGS_MAX 100

struct device_view {
	int64_t id;
	const char *product_key, *product_name;
	int64_t node_type;
	const char *name;
	const char *nickname; /* or NULL */
	const char *secret;   /* opened; NULL: not asked for */
	const char *status;   /* ONLINE, OFFLINE, UNACTIVE, DISABLE (api §8) */
	const char *version;  /* of the default module; NULL: never reported */
	const char *ip;	      /* of the last connection, or NULL */
	utc_ms created_ms, modified_ms;
	utc_ms active_ms, online_ms; /* 0: has never connected */
	utc_ms changed_ms;	     /* last change of the status; 0: none since it was registered */
};

/* What lists of devices return. */
struct device_views {
	size_t n;
	const struct device_view *v;
};

/* ERR_DEVICE_NOT_FOUND. */
enum err store_device_view(struct db *db, const struct seal_key *master, int64_t id,
			   struct device_view *ret) MUST_USE;
/* In the order of the names, or of the keys; what the product, or the account, does not have is left out. */
enum err store_device_views_named(struct db *db, const struct seal_key *master, int64_t product_id,
				  const char *const *names, size_t n, struct device_views *ret) MUST_USE;
enum err store_device_views_of(struct db *db, int64_t account_id, const int64_t *ids, size_t n,
			       struct device_views *ret) MUST_USE;

/* Devices of a product, registered before below_id; their number: store_product_devices. */
enum err store_device_page_below(struct db *db, const struct seal_key *master, int64_t product_id,
				 int64_t below_id, int64_t count, struct device_views *ret) MUST_USE;
/* Devices of an instance, or of one product of it (0: all), that have this status (NULL: any). Wherever the page is,
 * it is found without what is before it. */
enum err store_device_page_status(struct db *db, const struct seal_key *master, int64_t account_id,
				  int64_t instance_id, int64_t product_id, const char *status, int64_t from,
				  int64_t count, struct device_views *ret, int64_t *ret_total) MUST_USE;
/* Devices of an instance that have all of these tags (a JSON object of texts). */
enum err store_device_page_tags(struct db *db, int64_t instance_id, const char *tags, int64_t from,
				int64_t count, struct device_views *ret, int64_t *ret_total) MUST_USE;

struct device_counts {
	int64_t devices, active, online;
};
/* Of the account, or of one product of it (0: all). */
enum err store_device_counts(struct db *db, int64_t account_id, int64_t product_id,
			     struct device_counts *ret) MUST_USE;

/* ---- tags: a JSON object of texts ---- */

/* "{}" when there are none. */
enum err store_device_tags(struct db *db, int64_t device_id, const char **ret) MUST_USE;
/* Adds or overwrites. ERR_DEVICE_TAGS_SAVE when the device would have more than DEVICE_TAGS_MAX, or is gone.
 */
enum err store_device_tags_save(struct db *db, int64_t device_id, const char *tags) MUST_USE;
enum err store_device_tag_remove(struct db *db, int64_t device_id, const char *key) MUST_USE;

#endif
