/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of a statement, $1 first. Texts, bytes and arrays are not copied: they have to stay as they are until the
 * statement is run. The same args may be run several times, and grow in between. */
#ifndef STORAGE_ARGS_H
#define STORAGE_ARGS_H

#include "engine/base/base.h"

struct arena;
struct db;

#define DB_ARGS_MAX 40
struct args {
	struct arena *arena;
	int n;
	const char *value[DB_ARGS_MAX];
	int length[DB_ARGS_MAX];
	int binary[DB_ARGS_MAX];
	struct arg_array {
		enum { ARG_SINGLE, ARG_INTS, ARG_TEXTS, ARG_BYTEAS } kind;
		const int64_t *ints;
		const char *const *texts;
		const void *const *bytes;
		const size_t *sizes; /* of bytes */
		size_t n;
	} array[DB_ARGS_MAX];
};
void args_init(struct args *a, struct db *db);
void arg_int(struct args *a, int64_t v);
void arg_int_or_null(struct args *a, int64_t v, int64_t null); /* v == null: SQL null */
void arg_bool(struct args *a, bool v);
void arg_text(struct args *a, const char *v); /* NULL: SQL null */
void arg_bytes(struct args *a, const void *v, size_t len);
void arg_null(struct args *a);
/* Arrays, for unnest($1::bigint[] ..). */
void arg_ints(struct args *a, const int64_t *v, size_t n);
void arg_texts(struct args *a, const char *const *v, size_t n); /* elements may be NULL */
void arg_byteas(struct args *a, const void *const *v, const size_t *len, size_t n);

#endif
