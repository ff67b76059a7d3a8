/* SPDX-License-Identifier: Apache-2.0 */
/* Device groups. Static ones (GROUP_STATIC) have members and form a tree; dynamic ones (GROUP_DYNAMIC) have a
 * condition, and whatever matches it at the moment is in them. Both through one view, for whoever asks in
 * SQL:
 *
 *   is device D in group G     exists (select from device_group_device where group_id = G and device_id = D)
 *   devices of group G         select device_id from device_group_device where group_id = G
 *   ... with names in a range  device_group_found(G, from, to): found by indexes of names and tags
 *   groups of device D         select group_id from device_group_device where device_id = D
 *   what a GROUP job means     group_id in (select device_group_family(G)): G, those above it, those below it
 *
 * Strings live in the unit's arena. */
#ifndef STORAGE_GROUP_H
#define STORAGE_GROUP_H

#include "engine/groupquery.h"
#include "storage/device_view.h"

#define GROUP_STATIC "LINK_PLATFORM"
#define GROUP_DYNAMIC "LINK_PLATFORM_DYNAMIC"
#define GROUP_ID_LEN 16
#define GROUP_DESC_MAX 100
#define GROUP_LEVELS_MAX 3
#define GROUP_CHILDREN_MAX 100
#define GROUPS_PER_DEVICE_MAX 10
#define GROUP_TAGS_MAX 100

struct group {
	int64_t id;		 /* given by the database */
	const char *group_id;	 /* given by store_group_add */
	const char *kind;	 /* GROUP_STATIC, GROUP_DYNAMIC */
	const char *name;	 /* unique per account */
	const char *description; /* never NULL */
	const char *expression;	 /* of a dynamic group, as it was given; else NULL */
	int64_t parent_id;	 /* 0: none above it */
	utc_ms created_ms;
};

/* Adds g, whose id and group_id it fills in; q: the parsed expression of a dynamic group, else NULL. limit:
 * groups of an account, 0 = none. ERR_GROUP_COUNT, ERR_GROUP_LEVEL, ERR_GROUP_NAME_EXISTS. In a read-write
 * transaction. */
enum err store_group_add(struct db *db, int64_t account_id, int64_t instance_id, struct group *g,
			 const struct group_query *q, int64_t limit) MUST_USE;
/* kind NULL: any. ERR_GROUP_NOT_FOUND, also for a group of another account or another kind. */
enum err store_group_find(struct db *db, int64_t account_id, const char *group_id, const char *kind,
			  struct group *ret) MUST_USE;
/* The group above; ret->id is 0 when there is none. */
enum err store_group_parent(struct db *db, const struct group *g, struct group *ret) MUST_USE;
enum err store_group_describe(struct db *db, int64_t id, const char *description) MUST_USE;
/* Keeps the group until the transaction ends: who makes a job of it calls this. ERR_GROUP_NOT_FOUND when it is gone. */
enum err store_group_hold(struct db *db, int64_t id) MUST_USE;
/* ERR_GROUP_HAS_SUBGROUPS; ERR_GROUP_DELETE while a job that has not ended uses it. */
enum err store_group_delete(struct db *db, int64_t account_id, int64_t id, utc_ms now) MUST_USE;

/* Devices of the group; product_id 0: of any product. */
enum err store_group_counts(struct db *db, int64_t id, int64_t product_id,
			    struct device_counts *ret) MUST_USE;
/* Newest first. name NULL: any; parent_id 0: wherever. from counts from 0. */
enum err store_group_page(struct db *db, int64_t account_id, int64_t instance_id, const char *kind,
			  const char *name, int64_t parent_id, int64_t from, int64_t count,
			  const struct group **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;
enum err store_groups_of_device(struct db *db, int64_t device_id, const struct group **ret,
				size_t *ret_n) MUST_USE;

/* ---- devices ---- */

/* What became of a list of devices. */
struct group_change {
	int64_t valid;	 /* of the account's, each counted once */
	int64_t inside;	 /* were in the group before */
	int64_t full;	 /* are in GROUPS_PER_DEVICE_MAX other groups, so were not added */
	int64_t changed; /* added or removed */
};
/* Devices by ProductKey and DeviceName; those that the account does not have are passed over. limit: devices
 * of a group, 0 = none; beyond it ERR_GROUP_BIND and nothing is changed. ERR_GROUP_NOT_FOUND when the group
 * went meanwhile. */
enum err store_group_devices_add(struct db *db, int64_t account_id, int64_t id,
				 const char *const *product_keys, const char *const *names, size_t n,
				 int64_t limit, struct group_change *ret) MUST_USE;
enum err store_group_devices_remove(struct db *db, int64_t account_id, int64_t id,
				    const char *const *product_keys, const char *const *names, size_t n,
				    struct group_change *ret) MUST_USE;

struct group_device {
	int64_t id;
	const char *product_key, *product_name;
	const char *category_key; /* or NULL */
	int64_t node_type;
	const char *name, *nickname; /* nickname or NULL */
	const char *status;
	utc_ms active_ms, online_ms; /* 0: has never connected */
};
/* What to show of a group's devices; NULL: does not matter. */
struct group_filter {
	const char *product_key, *name, *name_prefix, *status;
	int64_t below_id; /* only devices registered before this one; 0: all */
};
/* Newest first. *ret_total counts without below_id. */
enum err store_group_devices(struct db *db, int64_t id, const struct group_filter *filter, int64_t from,
			     int64_t count, const struct group_device **ret, size_t *ret_n,
			     int64_t *ret_total) MUST_USE;

/* ---- tags ---- */

struct group_tag {
	const char *key, *value;
};
/* Exactly these from now on; keys differ. */
enum err store_group_tags_set(struct db *db, int64_t id, const struct group_tag *tags, size_t n) MUST_USE;
enum err store_group_tags(struct db *db, int64_t id, const struct group_tag **ret, size_t *ret_n) MUST_USE;
/* Groups of both kinds with all of these tags, newest first; the key abc is never found (api §9). */
enum err store_groups_by_tags(struct db *db, int64_t account_id, int64_t instance_id,
			      const struct group_tag *tags, size_t n_tags, int64_t from, int64_t count,
			      const struct group **ret, size_t *ret_n, int64_t *ret_total) MUST_USE;

#endif
