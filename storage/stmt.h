/* SPDX-License-Identifier: Apache-2.0 */
/* The named statements of storage/sql, embedded at build time: enum stmt (S_<name>) and the column
 * numbers (C_<name>_<column>) come from the generated header. */
#ifndef STORAGE_STMT_H
#define STORAGE_STMT_H

#include "storage/stmt_gen.h"

struct stmt_def {
	const char *name;
	const char *in;  /* declared parameter types, separated by blanks */
	const char *out; /* declared result columns, separated by blanks */
	const char *where; /* file:line */
	const char *sql;
};
extern const struct stmt_def stmt_table[STMT_COUNT];

#endif
