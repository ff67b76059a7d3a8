/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail: one row per changing call, in its transaction (rules §7). Called by the gateway's workers
 * and by otactl. */
#ifndef STORAGE_AUDIT_H
#define STORAGE_AUDIT_H

#include "storage/db.h"

struct audit {
	utc_ms at;
	int64_t account_id;
	const char *key_id;     /* AccessKeyId, or "otactl:<user>" */
	const char *action;
	const char *request_id;
	const char *target;     /* what the call was about; NULL: not known */
	const char *result;     /* "OK" or the error code */
};
enum err store_audit_add(struct db *db, const struct audit *row) MUST_USE;

#endif
