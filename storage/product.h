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
	const char *category_key; /* or NULL; store_product_find leaves it NULL */
	int64_t validate_type;	  /* 1, 2 */
	utc_ms created_ms;
	struct sealed secret; /* store_product_find only */
};

/* Adds p (whose id and product_key it fills in) with this ProductSecret; NULL = a new one, *ret_secret says
 * which. limit: products of an account, 0 = none. ERR_PRODUCT_COUNT, ERR_PRODUCT_NAME_EXISTS; ERR_DB_CONFLICT
 * when the given product_key is taken. In a read-write transaction. */
enum err store_product_add(struct db *db, const struct seal_key *master, struct product *p, int64_t limit,
			   const char *secret, const char **ret_secret) MUST_USE;
/* ERR_PRODUCT_NOT_FOUND also for a product of another account. */
enum err store_product_find(struct db *db, int64_t account_id, const char *product_key,
			    struct product *ret) MUST_USE;

#endif
