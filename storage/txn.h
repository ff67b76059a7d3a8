/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction as a whole: its end, and whether it is run again.
 *
 *   do {
 *           db_begin_anew(db);
 *           e = db_begin(db);
 *           if (e == OK)
 *                   e = txn_end(db, work(db));
 *   } while (txn_again(e, ++runs)); */
#ifndef STORAGE_TXN_H
#define STORAGE_TXN_H

#include "storage/db.h"

/* Commits when e is OK; otherwise rolls back and returns e. */
enum err txn_end(struct db *db, enum err e) MUST_USE;
/* Is a transaction that ended with e in its runs-th run to be run once more? When the database asks for it
 * (ERR_DB_RETRY), up to four runs; and once on a new connection, when the old one turned out to be dead before the
 * commit. Only for work that has no other effects. */
bool txn_again(enum err e, int runs);

#endif
