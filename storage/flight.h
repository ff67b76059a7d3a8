/* SPDX-License-Identifier: Apache-2.0 */
/* Orders that stop pushes hold from the moment that they are answered (rules §4). After their commit nothing is claimed
 * under the old order, but what was claimed before may be on its way to the broker for a moment. */
#ifndef STORAGE_FLIGHT_H
#define STORAGE_FLIGHT_H

#include "storage/db.h"

/* Waits until no push of these jobs is on its way any more; outside a transaction, after the commit. A live engine
 * hands over within 0.9 s of the claim or not at all, and gives no sign of life with a push on its way, so its first one
 * after 1 s is enough; a frozen one may hand over when it wakes, so the wait goes on until it did, or another has taken
 * over (8 s). ERR_UNAVAILABLE: until_ms (boot clock) has come before; the order is in force all the same. */
enum err store_flight_wait(struct db *db, const int64_t *job_ids, size_t n, int64_t until_ms) MUST_USE;

#endif
