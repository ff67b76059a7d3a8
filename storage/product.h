/* SPDX-License-Identifier: Apache-2.0 */
/* Products: made by CreateProduct or imported by otactl, found by ProductKey within their account. */
#ifndef STORAGE_PRODUCT_H
#define STORAGE_PRODUCT_H

#include "storage/db.h"
#include "storage/secret.h"

#define PRODUCT_KEY_LEN 11 /* "a1" and 9 random characters; imported ones may be longer */
#define PRODUCT_SECRET_LEN 16

/* Strings live in the unit's arena. */
struct product {
	int64_t id; /* given by the database */
	int64_t account_id, instance_id;
	const char *product_key; /* store_product_add: NULL = a new one */
	const char *name;	 /* unique per account */
	const char *description; /* never NULL */
	int64_t node_type;	 /* 0 device, 1 gateway */
	int64_t data_format;	 /* 0, 1; -1: not given */
	const char *commodity;	 /* iothub | iothub_senior */
	const char *protocol;	 /* or NULL */
	const char *net_type, *auth_type;
	bool id2;
	const char *category_key; /* or NULL */
	int64_t validate_type;	  /* 1, 2 */
	utc_ms created_ms;
	struct sealed secret; /* store_product_find only */
	int64_t devices; /* store_product_page only, which leaves out what QueryProductList does not show */
};

/* Adds p (whose id and product_key it fills in) with this ProductSecret; NULL = a new one, *ret_secret says
 * which. limit: products of an account, 0 = none. ERR_PRODUCT_COUNT, ERR_PRODUCT_NAME_EXISTS; ERR_DB_CONFLICT
 * when the given product_key is taken. In a read-write transaction. */
enum err store_product_add(struct db *db, const struct seal_key *master, struct product *p, int64_t limit,
			   const char *secret, const char **ret_secret) MUST_USE;
/* ERR_PRODUCT_NOT_FOUND also for a product of another account. */
enum err store_product_find(struct db *db, int64_t account_id, const char *product_key,
			    struct product *ret) MUST_USE;
/* The opened secret of a product that was found. */
enum err store_product_secret(struct db *db, const struct seal_key *master, const struct product *p,
			      const char **ret) MUST_USE;
/* How many devices it has. */
enum err store_product_devices(struct db *db, int64_t id, int64_t *ret_n) MUST_USE;
/* Newest first. commodity NULL: any. from counts from 0. */
enum err store_product_page(struct db *db, int64_t account_id, int64_t instance_id, const char *commodity,
			    int64_t from, int64_t count, const struct product **ret, size_t *ret_n,
			    int64_t *ret_total) MUST_USE;

/* Keeps the product until the transaction ends: whoever puts something into it calls this first.
 * ERR_PRODUCT_NOT_FOUND when it is deleted. */
enum err store_product_hold(struct db *db, int64_t id) MUST_USE;
/* While it is locked, no device of the product gets a task. Before the jobs' locks (docs/architecture.md, "Lock order"). A
 * product that is deleted can be locked too. */
enum err store_product_lock_tasks(struct db *db, int64_t id) MUST_USE;
/* description NULL: it stays. ERR_PRODUCT_NAME_EXISTS. */
enum err store_product_update(struct db *db, int64_t account_id, int64_t id, const char *name,
			      const char *description) MUST_USE;
/* ERR_PRODUCT_DELETE while it has devices, packages, or devices on their way. */
enum err store_product_delete(struct db *db, int64_t id, utc_ms now) MUST_USE;

#endif
