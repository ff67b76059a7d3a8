/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations: forward only, one transaction each, checksummed (SHA-256 of the text). */
#ifndef STORAGE_MIGRATE_H
#define STORAGE_MIGRATE_H

#include "storage/db.h"

struct migration {
	const char *name; /* 0001_base.sql; NULL ends the table */
	const char *sql;
};
extern const struct migration migrations[];

/* Applies what is missing, in order, under an advisory lock of the transaction; the connection's role becomes the owner
 * of the tables. ERR_CONFIG when it may make none, when an applied one was changed since (its checksum differs) or the
 * database knows one that this binary does not. *ret_applied: how many were applied now. */
enum err store_migrate(struct db *db, int *ret_applied) MUST_USE;
/* ERR_CONFIG unless the database has exactly the migrations of this binary. */
enum err store_migrated(struct db *db) MUST_USE;

#endif
