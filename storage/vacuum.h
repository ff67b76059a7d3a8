/* SPDX-License-Identifier: Apache-2.0 */
/* What PostgreSQL says of its housekeeping: dead rows, when autovacuum comes for them, and what keeps it from removing
 * them. Called by otactl only; texts live in the unit's arena. */
#ifndef STORAGE_VACUUM_H
#define STORAGE_VACUUM_H

#include "storage/db.h"

struct vacuum_table {
	const char *name;
	int64_t rows, dead; /* as the server estimates them */
	int64_t starts_at;  /* dead rows at which autovacuum comes */
	bool enabled;	    /* autovacuum of this table */
	utc_ms last_ms;	    /* last vacuum, by whomever; 0: never */
};
/* The one with most dead rows first. */
enum err store_vacuum_tables(struct db *db, const struct vacuum_table **ret, size_t *ret_n) MUST_USE;

struct vacuum_server {
	bool enabled;	      /* autovacuum and the counts that it goes by */
	bool sees_all;	      /* sessions of other users, too */
	int64_t prepared_s;   /* age of the oldest prepared transaction */
	int64_t slot_xids;    /* transactions that replication slots hold back */
	int64_t oldest_xids;  /* age of the oldest row, in transactions */
	int64_t freeze_xids;  /* age at which it is frozen by force */
};
enum err store_vacuum_server(struct db *db, struct vacuum_server *ret) MUST_USE;

#endif
