/* SPDX-License-Identifier: Apache-2.0 */
/* CancelOTATaskByJob: one bulk order cancels any number of tasks at once (docs/architecture.md, "Bulk
 * orders"), and the call is answered when no push of the job is on its way any more (rules §4). */
#include "api/actions/flight.h"
#include "api/actions/show.h"
#include "engine/cancel.h"
#include "storage/job.h"
#include "storage/job_end.h"

struct cancel_in {
	const char *job_id;
	struct opt_bool scheduled, queued, notified, in_progress, unconfirmed;
};

/* clang-format off */
static const struct field cancel_in[] = {
	STR (struct cancel_in, job_id,      "JobId",                 "The job.", .flags = REQUIRED),
	BOOL(struct cancel_in, scheduled,   "CancelScheduledTask",   "The whole job, if it is scheduled and has not started.", .flags = OPTIONAL),
	BOOL(struct cancel_in, queued,      "CancelQueuedTask",      "Tasks that are QUEUED.", .flags = OPTIONAL),
	BOOL(struct cancel_in, notified,    "CancelNotifiedTask",    "Tasks that are NOTIFIED.", .flags = OPTIONAL),
	BOOL(struct cancel_in, in_progress, "CancelInProgressTask",  "Tasks that are IN_PROGRESS.", .flags = OPTIONAL),
	BOOL(struct cancel_in, unconfirmed, "CancelUnconfirmedTask", "Tasks in CONFIRM. Absent: as CancelQueuedTask.", .flags = OPTIONAL),
	FIELD_END
};
static const enum err cancel_fails[] = { ERR_JOB_ID, ERR_CANCEL_OPTION, ERR_NOT_SCHEDULED, ERR_JOB_CANCELED, ERR_CANCEL, OK };
/* clang-format on */

static struct cancel_options options(const struct cancel_in *in)
{
	return (struct cancel_options){
		.scheduled = in->scheduled.v,
		.queued = in->queued.v,
		.notified = in->notified.v,
		.in_progress = in->in_progress.v,
		.unconfirmed_given = in->unconfirmed.set,
		.unconfirmed = in->unconfirmed.v,
	};
}

/* May this be cancelled? The job is locked. */
static enum err check(struct call *c, const struct cancel_options *o, const struct job *j,
		      const struct job_now *now)
{
	bool only_schedule = o->scheduled && cancel_mask(o) == 0;

	if (o->scheduled && j->schedule_ms == 0)
		return fail_param(c->error, ERR_NOT_SCHEDULED, NULL);
	if (now->status == JOB_CANCELED)
		return fail_param(c->error, ERR_JOB_CANCELED, NULL);
	if (only_schedule && now->status != JOB_PLANNED)
		return fail(c->error, ERR_CANCEL,
			    "The job has started already: cancel its tasks by their status.");
	return OK;
}

static bool concerns_any(const struct job_now *now, int mask)
{
	if (now->making != MAKING_DONE)
		return true; /* also those that are still to be made */
	for (int s = TASK_CONFIRM; s < TASK_STATE_COUNT; s++)
		if (now->count[s] > 0 && (mask & TASK_BIT(s)))
			return true;
	return false;
}

static enum err cancel(struct call *c, int64_t job_id, const struct cancel_options *o,
		       const struct job_now *now)
{
	bool whole = o->scheduled && now->status == JOB_PLANNED;
	int mask = whole ? TASK_MASK_UNFINISHED : cancel_mask(o);

	if (job_status_ended(now->status))
		return OK; /* COMPLETED: there is nothing left to cancel */
	if (concerns_any(now, mask))
		TRY(store_job_order(c->db, job_id, mask, JOB_REASON_CANCELED, c->now));
	return whole ? store_job_end_planned(c->db, job_id, c->now)
		     : store_job_settle(c->db, &job_id, 1, c->now);
}

static enum err cancel_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct cancel_in *in = in_;
	struct cancel_options o = options(in);
	int64_t *id = ARENA_NEW(c->arena, int64_t);
	struct job_view v;
	struct job_now now;

	TRY(job_find(c, in->job_id, &v));
	*id = v.job.id;
	if (!cancel_any(&o))
		return fail_param(c->error, ERR_CANCEL_OPTION, NULL);
	TRY(store_job_lock(c->db, id, 1));
	TRY(store_job_now(c->db, *id, &now));
	TRY(check(c, &o, &v.job, &now));
	TRY(cancel(c, *id, &o, &now));
	c->audit_target = in->job_id;
	flight_await(c, id, 1);
	return OK;
}

const struct action action_CancelOTATaskByJob = {
	.name = "CancelOTATaskByJob",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 5,
	.methods = "GET POST",
	.doc = "Cancels the tasks of a job by their status, or a scheduled job as a whole.",
	.in = cancel_in,
	.in_size = sizeof(struct cancel_in),
	.run = cancel_run,
	.fails = cancel_fails,
};
