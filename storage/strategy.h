/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies of dynamic jobs: their beginning and end for the management API, and for the maker thread the
 * tasks of devices that come to match. Who may match is put down in strategy_check, in the transaction that
 * changes the device: reports by the engine's tick. Design: docs/architecture.md, "Dynamic jobs". */
#ifndef STORAGE_STRATEGY_H
#define STORAGE_STRATEGY_H

#include "storage/db.h"

/* ---- calls ---- */

/* ERR_DYNAMIC_RUNNING when the package has a strategy already. The caller holds the package's lock
 * (store_job_firmware). */
enum err store_strategy_none(struct db *db, int64_t firmware_id) MUST_USE;
/* ERR_OVERWRITE_MODE when the group has strategies with other modes (api §5.3); ERR_GROUP_NOT_FOUND when it
 * went meanwhile. Locks the group until the transaction ends. */
enum err store_strategy_modes(struct db *db, int64_t group_id, bool multi_module,
			      int64_t overwrite_mode) MUST_USE;
/* For store_job_create. */
enum err store_strategy_begin(struct db *db, int64_t job_id, utc_ms now) MUST_USE;
/* Ends the strategy of a job: it shows as CANCELED from now on and gets no tasks any more; those that it has
 * go on. The caller has locked the job and calls store_job_settle afterwards. ERR_JOB_CANCELED when it has
 * ended. */
enum err store_strategy_end(struct db *db, int64_t job_id, utc_ms now) MUST_USE;

/* ---- the maker; each call is one transaction ---- */

/* Puts down every device that one of the strategies would give its first task: what nobody put down, because
 * it matched without an event or the event came in the middle of the job's creation. ERR_NOT_FOUND (error
 * untouched): none was due. */
enum err store_strategy_sweep(struct db *db, utc_ms now) MUST_USE;
/* The next product above after_product_id with devices to be looked at. ERR_NOT_FOUND (error untouched):
 * none. */
enum err store_strategy_product(struct db *db, int64_t after_product_id, int64_t *ret) MUST_USE;
/* Looks at up to `rows` of them and gives tasks of one job to those that match it. *ret_progress: some have
 * been dealt with; *ret_made: number of tasks. */
enum err store_strategy_join(struct db *db, int64_t product_id, int32_t rows, utc_ms now, bool *ret_progress,
			     int64_t *ret_made) MUST_USE;

#endif
