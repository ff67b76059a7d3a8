/* SPDX-License-Identifier: Apache-2.0 */
/* What db.c, args.c and rows.c share: parameters and results as libpq has them. */
#ifndef STORAGE_DB_PRIV_H
#define STORAGE_DB_PRIV_H

#include "storage/db.h"

#include <libpq-fe.h>

/* Values and lengths of all parameters in the form that the server takes them; arrays are encoded now, into a's arena.
 * ERR_DB when a number does not fit into its element type. */
enum err args_encode(const struct args *a, const struct stmt_def *d, struct error *e, const char *value[DB_ARGS_MAX],
		     int length[DB_ARGS_MAX]) MUST_USE;

/* As db_run; the result is the caller's. */
enum err db_result(struct db *db, enum stmt s, const struct args *a, PGresult **ret) MUST_USE;
/* As it was set by db_set_until. */
int64_t db_until(const struct db *db);
struct gather *db_gather(const struct db *db);

struct rows {
	PGresult *result;
	struct arena *arena;
};
/* The result is the arena's from now on. */
struct rows *rows_new(struct arena *a, PGresult *result);
/* The result is somebody's whom release(of) tells that the arena needs it no longer. */
struct rows *rows_shared(struct arena *a, PGresult *result, void *of, void (*release)(void *of));

#endif
