/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be done every few minutes, whoever does it: partitions made ahead, old ones dropped. */
#ifndef STORAGE_HOUSEKEEPING_H
#define STORAGE_HOUSEKEEPING_H

#include "storage/db.h"

/* Makes the partitions of the coming month (task events) and hours (nonces), drops months of events older
 * than event_days and nonces that no request can repeat any more. Cheap; call it at start and every 10
 * minutes, from as many processes as you like. Outside a transaction. *ret_changed (may be NULL): partitions
 * made and dropped, 0 when another process was at it. */
enum err store_partitions_maintain(struct db *db, utc_ms now, int64_t event_days,
				   int64_t *ret_changed) MUST_USE;

#endif
