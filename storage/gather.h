/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that threads want one each, by two numbers, and at the same time: while one of them asks PostgreSQL, the others
 * that come wait, and the next asks for all of these in one statement. Consoles poll jobs, and of such a statement
 * starting costs ten times what another row does. Nobody waits while nobody asks, and an answer is never older than
 * the question: who comes while a statement is under way is not part of it. Such statements have a connection of their
 * own, whose process at the server stays warm. */
#ifndef STORAGE_GATHER_H
#define STORAGE_GATHER_H

#include "storage/db.h"

struct gather;

/* For the connections of a pool, to which it is given in db_options; outlives them. Any thread. Its own connections are
 * made with these options (strings are copied) when they are first wanted. */
struct gather *gather_new(const struct db_options *o);
void gather_free(struct gather *g);

/* The row of statement s that belongs to (a, b): s takes two bigint[] of equal length and returns at most one row for
 * each pair, whose column `no` is the pair's place, from 1. Inside a transaction, and on connections without a
 * gather, it is a statement of db's own. *ret_row: the row's number in *ret. ERR_NOT_FOUND, which does not touch the unit's
 * error, and otherwise as db_run. */
enum err gather_row(struct db *db, enum stmt s, int no, int64_t a, int64_t b, struct rows **ret, int *ret_row) MUST_USE;

#endif
