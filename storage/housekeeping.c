/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/housekeeping.h"

enum err store_partitions_maintain(struct db *db, utc_ms now, int64_t event_days, int64_t *ret_changed)
{
	struct args a;
	struct rows *r = NULL;

	args_init(&a, db);
	arg_int(&a, now);
	arg_int(&a, event_days);
	TRY(db_one(db, S_partitions_maintain, &a, &r));
	if (ret_changed)
		*ret_changed = row_int(r, 0, C_partitions_maintain_changed);
	return OK;
}
