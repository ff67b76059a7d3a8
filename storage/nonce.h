/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces of calls that change something: good once, across all replicas and restarts (rules §7). Called by the
 * gateway's workers in the transaction that the nonce guards. */
#ifndef STORAGE_NONCE_H
#define STORAGE_NONCE_H

#include "storage/db.h"

/* How long a nonce is remembered: a request is fresh for 15 minutes either way (api §1.8). */
#define NONCE_MEMORY_MS (30 * MS_PER_MINUTE)

/* Inside a read-write transaction. ERR_NONCE_USED when this key has used it in the last 30 minutes; waits for a
 * transaction that is just using it. key_id: the row's key. */
enum err store_nonce_use(struct db *db, int64_t key_id, const char *nonce, utc_ms now) MUST_USE;

#endif
