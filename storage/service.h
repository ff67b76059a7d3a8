/* SPDX-License-Identifier: Apache-2.0 */
/* Service accounts, made by otactl, and the notifications that are to be published for them. Strings live in
 * the unit's arena. */
#ifndef STORAGE_SERVICE_H
#define STORAGE_SERVICE_H

#include "storage/db.h"

/* ---- accounts ---- */

/* secret_sha256: of the password, in lower-case hex. ERR_DB_CONFLICT (error untouched): the name is taken, by
 * whatever account. */
enum err store_service_add(struct db *db, int64_t account_id, const char *name, const char *secret_sha256,
			   utc_ms now) MUST_USE;
/* ERR_NOT_FOUND (error untouched) when the account has no such one. */
enum err store_service_disable(struct db *db, int64_t account_id, const char *name, bool disabled) MUST_USE;
struct service {
	const char *name;
	bool disabled;
	utc_ms created_ms;
};
enum err store_service_list(struct db *db, int64_t account_id, const struct service **ret,
			    size_t *ret_n) MUST_USE;
/* Has the broker still to be told of its last change? */
enum err store_service_waiting(struct db *db, const char *name, bool *ret) MUST_USE;

/* ---- notifications ---- */

enum notice_kind { NOTICE_TASK = 1, NOTICE_VERSION = 2, NOTICE_JOB = 3 };
struct notice {
	int64_t id;
	enum notice_kind kind;
	utc_ms at_ms;
	const char *product_key; /* NULL: there is nothing to tell any more */
	const char *module;
	/* a task that ended, a version that changed */
	int64_t device_id;
	const char *device_name; /* or NULL */
	const char *detail;	 /* why the task ended; the version */
	/* a task that ended, a job's status */
	int64_t job_id, firmware_id;
	int32_t seq;
	int status;		 /* enum task_state, enum job_status */
	const char *src_version; /* or NULL */
	const char *dest_version;
};
/* The oldest. */
enum err store_notice_page(struct db *db, int max, const struct notice **ret, size_t *ret_n) MUST_USE;
/* They have been acknowledged. */
enum err store_notice_drop(struct db *db, const int64_t *ids, size_t n) MUST_USE;

#endif
