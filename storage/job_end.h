/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the end of tasks: the end of their job, and with a verification the status of its
 * package. Called by whoever ends tasks (cancel calls, device deletion, the engine's tick, the maker), in the
 * transaction that ends them, so that whoever sees the task ended sees the rest too (rules §5). */
#ifndef STORAGE_JOB_END_H
#define STORAGE_JOB_END_H

#include "storage/db.h"

/* Ends those of the n jobs that are made (making 3) and have no unfinished task left, by the counters of
 * job_run: CANCELED when no task SUCCEEDED or FAILED and all were canceled, but not by the finish time; else
 * COMPLETED (api §10.3). Sets ended_ms (the finish time, if that ended it), takes the job out of live_job,
 * and gives the package of a verification its status: 1 if all tasks succeeded, else 3.
 *
 * Call it last, after the counters were moved. The caller has locked the job_run rows (FOR NO KEY UPDATE).
 * A PLANNED job ends only as CANCELED: who starts a job has to call this too. A dynamic job ends when its strategy
 * has ended, as CANCELED, at the time of that. Jobs that have ended are left alone; ids may repeat. n may be 0. */
enum err store_job_settle(struct db *db, const int64_t *job_ids, size_t n, utc_ms now) MUST_USE;

/* Locks the job_run rows, ascending, all at once (FOR NO KEY UPDATE). Order and repetitions of job_ids do not
 * matter. What the jobs are has to be read by a LATER statement. */
enum err store_job_lock(struct db *db, const int64_t *job_ids, size_t n) MUST_USE;

#endif
