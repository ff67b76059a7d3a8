/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/txn.h"

#define RUNS_MAX 4

enum err txn_end(struct db *db, enum err e)
{
	if (e == OK)
		return db_commit(db);
	db_rollback(db);
	return e;
}

bool txn_again(enum err e, int runs)
{
	return (e == ERR_DB_RETRY && runs < RUNS_MAX) || (e == ERR_DB_CONNECTION && runs == 1);
}
