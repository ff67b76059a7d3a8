/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateOTAJob and CancelOTAStrategyByJob: what changes of a job that runs. Both take the job's lock; what
 * they order is in force when they are answered. */
#include "api/actions/flight.h"
#include "api/actions/job_in.h"
#include "api/actions/show.h"
#include "storage/job_end.h"
#include "storage/strategy.h"

struct update_in {
	struct job_in job;
	const char *job_id;
};
struct strategy_in {
	const char *job_id;
};

/* clang-format off */
static const struct field tag_fields[] = {
	STR(struct tag_in, key,   "Key",   "Key of a batch tag: 1 to 30 letters, digits and full stops.", .flags = LATE),
	STR(struct tag_in, value, "Value", "Its value: 1 to 128 characters (limits_profile current: 1,024).", .flags = LATE),
	FIELD_END
};
static const struct field update_in[] = {
	STR (struct update_in, job_id, "JobId", "The job; it is IN_PROGRESS.", .flags = REQUIRED),
	STR (struct update_in, job.upgrade_type, "UpgradeType", "The job's SelectionType: STATIC or DYNAMIC.", .flags = REQUIRED),
	STR (struct update_in, job.target_selection, "TargetSelection", "The job's own.", .flags = REQUIRED),
	INT (struct update_in, job.max_per_minute, "MaximumPerMinute",
	     "Pushes a minute from now on; to be given also when it stays the same.", .flags = REQUIRED | LATE),
	INT (struct update_in, job.timeout_min, "TimeoutInMinutes",
	     "Dynamic jobs: time limit of the tasks that are made from now on. Absent: as before.",
	     .flags = LATE, .min = 1, .max = 1440, .err = ERR_TIMEOUT),
	STRS(struct update_in, job.src_versions, "SrcVersionList",
	     "Dynamic jobs by version: the source versions from now on. Absent: as before.", .flags = LATE),
	OBJS(struct update_in, job.tags, "Tags", "Batch tags from now on. Absent: none.",
	     .flags = LATE, .of = tag_fields, .of_size = sizeof(struct tag_in)),
	FIELD_END
};
static const struct field strategy_in[] = {
	STR(struct strategy_in, job_id, "JobId", "The dynamic job.", .flags = REQUIRED),
	FIELD_END
};
static const enum err update_fails[] = {
	ERR_JOB_ID, ERR_JOB_CANCELED, ERR_SELECTION_TYPE, ERR_TARGET_SELECTION, ERR_SRC_VERSIONS_NOT_ALLOWED,
	ERR_SRC_VERSIONS_COUNT, ERR_SRC_VERSION_FORMAT, ERR_SRC_DEST_EQUAL, ERR_SRC_VERSION_ONE, ERR_JOB_SRC_VERSION,
	ERR_TIMEOUT, ERR_MAX_PER_MINUTE, ERR_FORMAT, ERR_TAG_DUPLICATED, OK
};
static const enum err strategy_fails[] = { ERR_JOB_ID, ERR_NOT_DYNAMIC, ERR_JOB_CANCELED, OK };
/* clang-format on */

/* The job as it is under its lock. */
static enum err job_locked(struct call *c, const char *job_id, struct job_view *ret)
{
	TRY(job_find(c, job_id, ret));
	TRY(store_job_lock(c->db, &ret->job.id, 1));
	c->audit_target = job_id;
	return job_find(c, job_id, ret);
}

static enum err update_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct update_in *in = in_;
	struct job *job = ARENA_NEW(c->arena, struct job);
	struct job_view old;

	TRY(job_locked(c, in->job_id, &old));
	TRY(job_check_update(c, &in->job, &old, job));
	TRY(store_job_update(c->db, job));
	flight_await(c, &job->id, 1);
	return OK;
}

static enum err strategy_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct strategy_in *in = in_;
	struct job_view v;

	TRY(job_locked(c, in->job_id, &v));
	if (v.job.kind != JOB_DYNAMIC)
		return fail_param(c->error, ERR_NOT_DYNAMIC, NULL);
	TRY(store_strategy_end(c->db, v.job.id, c->now));
	return store_job_settle(c->db, &v.job.id, 1, c->now);
}

const struct action action_UpdateOTAJob = {
	.name = "UpdateOTAJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Changes the rate and the tags of a running job, of a dynamic one also time limit and source "
	       "versions.",
	.in = update_in,
	.in_size = sizeof(struct update_in),
	.run = update_run,
	.fails = update_fails,
};

const struct action action_CancelOTAStrategyByJob = {
	.name = "CancelOTAStrategyByJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Ends the strategy of a dynamic job: no new tasks; those that it has go on.",
	.in = strategy_in,
	.in_size = sizeof(struct strategy_in),
	.run = strategy_run,
	.fails = strategy_fails,
};
