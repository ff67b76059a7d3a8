/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/job_end.h"

#include "storage/job.h"

enum err store_job_lock(struct db *db, const int64_t *job_ids, size_t n)
{
	struct args a;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	return n == 0 ? OK : db_run(db, S_job_lock, &a, NULL);
}

enum err store_job_settle(struct db *db, const int64_t *job_ids, size_t n, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	arg_int(&a, now);
	arg_text(&a, JOB_REASON_FINISH_TIME);
	return n == 0 ? OK : db_run(db, S_job_settle, &a, NULL);
}
