/* SPDX-License-Identifier: Apache-2.0 */
/* Batch registrations: an order for devices with random names (ApplyId), filled in the background by the
 * registrar in chunks. Strings live in the unit's arena. */
#ifndef STORAGE_APPLY_H
#define STORAGE_APPLY_H

#include "storage/db.h"
#include "storage/secret.h"

struct apply {
	int64_t id, product_id;
	const char *product_key; /* store_apply_claim only */
	const char *status;	 /* CREATE | CREATE_SUCCESS | CREATE_FAILED; store_apply_find only */
	int64_t wanted;
	int64_t made; /* store_apply_claim only */
};

enum err store_apply_add(struct db *db, int64_t account_id, int64_t product_id, int64_t wanted, utc_ms now,
			 int64_t *ret_id) MUST_USE;
/* ERR_APPLY_NOT_FOUND, also for one of another account. */
enum err store_apply_find(struct db *db, int64_t account_id, int64_t id, struct apply *ret) MUST_USE;

struct apply_device {
	int64_t id;
	const char *name, *secret; /* the secret is opened */
};
/* Its devices in the order of their making; from counts from 0. *ret_total counts all that still exist. */
enum err store_apply_page(struct db *db, const struct seal_key *master, int64_t id, int64_t from,
			  int64_t count, const struct apply_device **ret, size_t *ret_n,
			  int64_t *ret_total) MUST_USE;

/* One that lacks devices, locked until the transaction ends, passing over those that another process has;
 * ERR_NOT_FOUND (error untouched) when there is none. */
enum err store_apply_claim(struct db *db, struct apply *ret) MUST_USE;
/* Makes the next devices of the claimed one, at most `most`, and notes them. */
enum err store_apply_make(struct db *db, const struct seal_key *master, const struct apply *ap, int64_t most,
			  utc_ms now) MUST_USE;
/* CREATE_SUCCESS for those that are complete and whose devices can log in, or whose last device was made
 * before `waited_since` (the broker gets its credentials when it is back). */
enum err store_apply_finish(struct db *db, utc_ms waited_since) MUST_USE;
/* How many are not finished. */
enum err store_apply_open(struct db *db, int64_t *ret_n) MUST_USE;

#endif
