/* SPDX-License-Identifier: Apache-2.0 */
/* The live jobs in memory: their settings, the last look at their rows, their pace and
 * what waits for a slot. A job that ended stays until its gate counts nothing any more. One thread: the tick's. */
#ifndef DISPATCHER_JOBS_H
#define DISPATCHER_JOBS_H

#include "dispatcher/ready.h"
#include "engine/pace.h"
#include "storage/tick.h"

struct live_job {
	struct arena arena; /* of `set` */
	struct tick_job set;
	struct tick_run run; /* as of the last look; decisions are made on a look under the lock */
	struct pace pace;
	struct ready ready;
	int32_t cursor; /* rows up to here have been looked at */
	bool again;	/* and then from the first one once more */
	int skipped;	/* ticks in a row without its lock */
	bool live;
	int64_t gone_boot_ms; /* since when it is not live */
};

struct jobs {
	struct live_job **items; /* ascending by id */
	size_t n, cap;
};

void jobs_free(struct jobs *js);
/* NULL: not in memory. */
struct live_job *jobs_find(const struct jobs *js, int64_t job_id);
/* Finds or loads. ERR_NOT_FOUND: no such job. */
enum err jobs_get(struct jobs *js, struct db *db, int64_t job_id, struct live_job **ret) MUST_USE;
/* Reads the settings again if they are not those of that number; nothing may point into the old ones. */
enum err jobs_renew(struct live_job *j, struct db *db, int32_t settings_no) MUST_USE;
/* Brings the table in line with the live jobs of the database; new ones are loaded. */
enum err jobs_sync(struct jobs *js, struct db *db) MUST_USE;
/* Everything is to be looked at again, after the rounds that are under way: a snapshot of presence, the slow sweep. */
void jobs_rescan(struct jobs *js);

#endif
