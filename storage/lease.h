/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs the engine of a shard: a row with an owner, an epoch and an end, compared by the database's clock.
 */
#ifndef STORAGE_LEASE_H
#define STORAGE_LEASE_H

#include "storage/db.h"

struct lease {
	int64_t epoch;	 /* grows with every change of owner */
	utc_ms since_ms; /* the last of them; 0: the clock was set back behind it since */
	utc_ms now_ms;	 /* the database's clock at this moment */
};
/* Takes or renews the lease for ms. ERR_NOT_FOUND (error untouched): another owner has it. */
enum err store_lease_take(struct db *db, int shard, const char *owner, int64_t ms, struct lease *ret) MUST_USE;
/* The time of pace on this machine is clock_boot_ms() + *ret_offset_ms, for all processes and as long as it is not
 * restarted; offset_ms is what it is to be if nobody has asked yet. ERR_DB_RETRY: somebody is asking just now. */
enum err store_lease_machine(struct db *db, const char *boot_id, int64_t offset_ms, int64_t *ret_offset_ms) MUST_USE;
/* Inside a transaction: locks the row against a takeover until it ends. ERR_NOT_FOUND: it is not ours any
 * more. */
enum err store_lease_check(struct db *db, int shard, const char *owner, int64_t epoch) MUST_USE;
/* Lets the next one take it at once. */
enum err store_lease_give_back(struct db *db, int shard, const char *owner) MUST_USE;

#endif
