/* SPDX-License-Identifier: Apache-2.0 */
/* One PostgreSQL connection, owned by one thread, with the statements of storage/sql, each prepared when it is first used.
 * Each statement has a deadline of our own (a frozen server does not break
 * TCP); when it passes, the connection is closed and the outcome is unknown.
 *
 * A unit of work: db_begin_work(db, arena, error) .. store_* calls .. commit or rollback. Results live in
 * the arena. The folder storage/ is the only one that includes libpq-fe.h or contains SQL. */
#ifndef STORAGE_DB_H
#define STORAGE_DB_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "storage/args.h"
#include "storage/rows.h"
#include "storage/stmt.h"

struct db;
struct gather;

struct db_options {
	const char *conninfo;
	int statement_ms;      /* deadline of a statement; 0: database_timeout_ms as it is in force */
	int connect_ms;        /* deadline of connecting; 0: the same */
	const char *name;      /* application_name, e.g. "otad api" */
	enum {
		DB_PLANS_SERVER, /* as the server likes */
		DB_PLANS_PINNED, /* engine connections: no hash joins or seq scans for batches (FIGURES.md §4.15) */
		DB_PLANS_EACH,	 /* in transactions for the values of each call: one may concern ten rows, the next a million */
	} plans;
	bool read_only;        /* outside a transaction, statements may only read */
	struct gather *gather; /* what the connections of a pool ask together (storage/gather.h); NULL: nothing */
	bool check_statements; /* compare every statement with its declaration; once per process is enough */
};

/* Never NULL; connects lazily at the first unit of work. Strings of o are copied. */
struct db *db_new(const struct db_options *o);
void db_free(struct db *db);
/* Connects now if need be. ERR_DB_CONNECTION; ERR_CONFIG when a statement and its declaration differ. */
enum err db_connect(struct db *db) MUST_USE;
/* From now on results go to `arena` and failures to `error`; rolls back whatever was left open. */
void db_begin_work(struct db *db, struct arena *arena, struct error *error);
/* The next unit of work, with the same arena and error; the error is cleared. */
void db_begin_anew(struct db *db);
struct arena *db_arena(struct db *db);
/* Results go to this arena from now on; returns the one before. A transaction goes on. */
struct arena *db_use_arena(struct db *db, struct arena *arena);
struct error *db_error(struct db *db);
/* Deadline for the statements to come, in this unit of work. */
void db_set_deadline(struct db *db, int statement_ms);
/* None of them goes on after this time of the boot clock either, in this unit and those that follow. */
void db_set_until(struct db *db, int64_t boot_ms);

enum err db_begin(struct db *db) MUST_USE;
/* ERR_COMMIT_UNKNOWN when the answer was lost: the transaction may or may not have happened. */
enum err db_commit(struct db *db) MUST_USE;
void db_rollback(struct db *db);
enum err db_savepoint(struct db *db) MUST_USE;
enum err db_rollback_to_savepoint(struct db *db) MUST_USE;
bool db_in_txn(const struct db *db);

/* ---- statements ---- */
/* Runs a named statement. ret may be NULL. Outside a transaction it is one of its own.
 * ERR_DB_RETRY: serialization failure, deadlock or lock timeout, the whole transaction has to be run again;
 * ERR_DB_CONFLICT: unique violation (the transaction is aborted then: use a savepoint or ON CONFLICT);
 * ERR_DB_TIMEOUT, ERR_DB_CONNECTION: connection lost; ERR_DB: anything else, logged with the server's words. */
enum err db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret) MUST_USE;
/* Rows that the last INSERT, UPDATE or DELETE touched. */
int64_t db_touched(const struct db *db);
/* Raw SQL without parameters; for migrations and maintenance only. */
enum err db_script(struct db *db, const char *sql) MUST_USE;
/* The same, and the rows of its last statement; works before the tables of the named statements exist. */
enum err db_script_rows(struct db *db, const char *sql, struct rows **ret) MUST_USE;

#endif
