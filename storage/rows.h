/* SPDX-License-Identifier: Apache-2.0 */
/* What a statement returned. Lives in the arena of its unit of work, and so does what is read from it. Rows and columns
 * count from 0; the columns of a statement are C_<statement>_<column> (storage/stmt.h). */
#ifndef STORAGE_ROWS_H
#define STORAGE_ROWS_H

#include "engine/base/err.h"
#include "storage/stmt.h"

struct args;
struct db;
struct rows;

/* Like db_run (db.h), and one row is wanted, never more: none is ERR_NOT_FOUND, which does not touch the unit's error. */
enum err db_one(struct db *db, enum stmt s, const struct args *a, struct rows **ret) MUST_USE;
/* The same, and none is this error, with its own text. */
enum err db_one_or(struct db *db, enum stmt s, const struct args *a, enum err none, struct rows **ret) MUST_USE;
/* A page of a list and the length of the list. `count` has one number for its result; `page` takes the same parameters, and
 * behind them how many entries to pass over and how many to show. */
enum err db_page(struct db *db, enum stmt count, enum stmt page, struct args *a, int64_t from, int64_t n,
		 struct rows **ret, int64_t *ret_total) MUST_USE;

int rows_count(const struct rows *r);
int64_t row_int(const struct rows *r, int i, int col); /* null: 0 */
int64_t row_int_or(const struct rows *r, int i, int col, int64_t null);
bool row_bool(const struct rows *r, int i, int col);	    /* null: false */
const char *row_text(const struct rows *r, int i, int col); /* null: NULL */
bool row_null(const struct rows *r, int i, int col);
const unsigned char *row_bytes(const struct rows *r, int i, int col, size_t *ret_len); /* null: NULL */
/* text[] and bigint[] columns; *ret_n is 0 for null. Texts are never NULL (a null element is ""). */
const char *const *row_texts(const struct rows *r, int i, int col, size_t *ret_n);
const int64_t *row_ints(const struct rows *r, int i, int col, size_t *ret_n);

#endif
