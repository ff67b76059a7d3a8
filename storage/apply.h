/* SPDX-License-Identifier: Apache-2.0 */
/* Batch registrations (ApplyId): an order for devices with random names, or with names that were checked
 * before. The registrar makes the devices in the background, in chunks. Strings live in the unit's arena. */
#ifndef STORAGE_APPLY_H
#define STORAGE_APPLY_H

#include "storage/db.h"
#include "storage/secret.h"

struct apply {
	int64_t id, product_id;
	const char *product_key; /* store_apply_claim only */
	const char *status;	 /* CHECK_SUCCESS .. CREATE_FAILED (api §8.7); store_apply_find only */
	bool named;
	int64_t wanted;
	/* store_apply_claim only */
	int64_t made;
	size_t n_names;				     /* the next ones of a named order */
	const char *const *names, *const *nicknames; /* nicknames: "" for none */
};

enum err store_apply_add(struct db *db, int64_t account_id, int64_t product_id, int64_t wanted, utc_ms now,
			 int64_t *ret_id) MUST_USE;
/* An order of named devices that waits for store_apply_order; names differ and are well formed, nicknames may
 * be NULL. Names that the product has already fail it (CHECK_FAILED). */
enum err store_apply_check(struct db *db, int64_t account_id, int64_t product_id, const char *const *names,
			   const char *const *nicknames, size_t n, utc_ms now, int64_t *ret_id) MUST_USE;
/* From now on the registrar makes its devices. ERR_APPLY_RUNNING when it is at it, ERR_APPLY_STATE when it
 * has done so or the check failed. */
enum err store_apply_order(struct db *db, const struct apply *ap) MUST_USE;
struct apply_name {
	const char *name, *nickname; /* nickname or NULL */
	bool taken;		     /* by another device, when it was checked or made */
};
/* The names of a named order, in its order. */
enum err store_apply_names(struct db *db, int64_t id, const struct apply_name **ret, size_t *ret_n) MUST_USE;
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

/* One that lacks devices, with at most `most` names, locked until the transaction ends, passing over those
 * that another process has; ERR_NOT_FOUND (error untouched) when there is none. */
enum err store_apply_claim(struct db *db, int64_t most, struct apply *ret) MUST_USE;
/* Makes the next devices of the claimed one, at most `most`, and notes them. Names that were taken since the
 * check are noted as such. */
enum err store_apply_make(struct db *db, const struct seal_key *master, const struct apply *ap, int64_t most,
			  utc_ms now) MUST_USE;
/* CREATE_SUCCESS (CREATE_FAILED when a name was taken) for those that are complete and whose devices can log
 * in, or whose last device was made before `waited_since` (the broker gets its credentials when it is back).
 */
enum err store_apply_finish(struct db *db, utc_ms waited_since) MUST_USE;
/* Drops checks from before `before` that no devices were made of. */
enum err store_apply_forget(struct db *db, utc_ms before) MUST_USE;
/* How many are not finished. */
enum err store_apply_open(struct db *db, int64_t *ret_n) MUST_USE;

#endif
