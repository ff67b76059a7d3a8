/* SPDX-License-Identifier: Apache-2.0 */
/* Removes what nobody needs from the package store. cmd/otad calls it every 10 minutes. */
#ifndef STORAGE_STORE_SWEEP_H
#define STORAGE_STORE_SWEEP_H

#include "storage/db.h"
#include "storage/package_store.h"

/* Deletes the objects that were uploaded more than 60 minutes ago and that no package uses (a deleted package
 * keeps its objects for as long as a link to them can live, whatever store_url_hours has been since), and the
 * half-written files of uploads that died. To be called between db_begin_work and the end of a unit of work, outside a
 * transaction. Takes many short statements; when one fails, what was not looked at stays for the next time.
 */
enum err store_sweep(struct db *db, struct package_store *s, utc_ms now, int64_t *ret_deleted) MUST_USE;

#endif
