/* SPDX-License-Identifier: Apache-2.0 */
/* Is the master key the one that this database's secrets are sealed under? Asked by whoever is about to use it, once
 * per process. */
#ifndef STORAGE_MASTER_KEY_H
#define STORAGE_MASTER_KEY_H

#include "engine/base/crypto.h"
#include "storage/db.h"

/* The first key that a new database sees is its key from then on; every other is ERR_CONFIG. Outside a transaction. */
enum err store_master_key_check(struct db *db, const struct seal_key *master) MUST_USE;

#endif
