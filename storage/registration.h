/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic registration in the database (device §1.5, engine/device_register.h): over HTTP by the API's
 * workers, over MQTT by the credential feed. A secret is given out once; the next registration makes another
 * one. */
#ifndef STORAGE_REGISTRATION_H
#define STORAGE_REGISTRATION_H

#include "engine/device_auth.h"
#include "engine/device_register.h"
#include "storage/db.h"
#include "storage/secret.h"

/* A device's wish. */
struct registration {
	const char *product_key, *device_name;
	const struct device_login *signed_by; /* what `sign` signs; NULL: the broker has checked it */
	const char *sign;
	bool any;		/* by regnwl */
	const char *way;	/* "http", "mqtt": for log and audit */
	const char *ip;		/* "" = not known */
	const char *request_id; /* for the audit row */
};
/* Decides in a transaction of its own, and on REGISTER_DONE gives the device a new secret (in the arena of the unit of
 * work), making the device if need be, with an audit row and a row of credential_change (*ret_change_id). Anything else
 * changes nothing; REGISTER_FAILED: the database could not. */
enum register_result store_registration(struct db *db, const struct seal_key *master, const struct registration *r,
					utc_ms now, const char **ret_secret, int64_t *ret_change_id);
/* Counts and logs how a wish ended, once that is certain. */
void registration_ended(const struct registration *r, enum register_result result);

/* Lets a device that has logged in register once more (ResetThing). */
enum err store_registration_reset(struct db *db, int64_t device_id, utc_ms now) MUST_USE;
/* What the product lets its devices do. *ret_change_id is 0 when it was so already. */
enum err store_registration_mode(struct db *db, int64_t product_id, enum register_mode mode,
				 int64_t *ret_change_id) MUST_USE;

#endif
