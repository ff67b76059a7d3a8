/* SPDX-License-Identifier: Apache-2.0 */
/* Campaigns, as an operator sees and stops them. */
#include "storage/job.h"
#include "cmd/otactl/ctl.h"
#include "cmd/otactl/watch.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"
#include "engine/ids.h"
#include "storage/flight.h"
#include "storage/job_end.h"
#include "storage/report.h"
#include "storage/strategy.h"
#include "storage/txn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIST_DEFAULT 50
#define LIST_MAX 100000
#define HOLDS_MS 30000 /* longer than a frozen engine keeps its lease */

static const char *job_text(struct ctl *c, int64_t id)
{
	char text[ID_LEN + 1];

	id_format(ID_JOB, id, 0, text);
	return arena_strdup(c->arena, text);
}

/* A JobId as the API shows it, or the plain number of logs and tables. */
static enum err job_arg(struct ctl *c, int64_t *ret)
{
	if (id_parse(ID_JOB, c->args[0], ret, NULL) || parse_i64(c->args[0], 1, ((int64_t)1 << 48) - 1, ret))
		return OK;
	return fail(c->error, ERR_BAD_REQUEST, "\"%s\" is no JobId", c->args[0]);
}

static enum err job_read(struct ctl *c, int64_t id, struct report_job *ret)
{
	enum err err = store_report_job(c->db, id, ret);

	if (err == ERR_NOT_FOUND)
		return fail(c->error, ERR_NOT_FOUND, "no job %s", c->args[0]);
	return err;
}

static const char *status_text(struct ctl *c, const struct report_job *j)
{
	bool open = !job_status_ended(j->status);

	return arena_printf(c->arena, "%s%s%s", job_status_name(j->strategy_ended ? JOB_CANCELED : j->status),
			    open && j->strategy_ended ? " (its tasks go on)" : "",
			    open && j->paused ? " (paused)" : "");
}

/* ---- list, show ---- */

static enum err job_list(struct ctl *c)
{
	const char *limit_text = ctl_option(c, "limit");
	const struct report_job *list;
	struct table *t = table_headed(c, "JOBID STATUS PRODUCT VERSION TARGETS TASKS OPEN SUCCEEDED FAILED CANCELED CREATED");
	int64_t account = 0, limit = LIST_DEFAULT;
	size_t n;

	if (limit_text && !parse_i64(limit_text, 1, LIST_MAX, &limit))
		return fail(c->error, ERR_BAD_REQUEST, "--limit must be 1 to %d", LIST_MAX);
	if (ctl_option(c, "account"))
		TRY(ctl_account(c, &account));
	TRY(store_report_jobs(c->db, account, ctl_option(c, "live") != NULL, (int)limit, &list, &n));
	for (size_t i = 0; i < n; i++) {
		const struct report_job *j = &list[i];

		table_cell(t, job_text(c, j->id));
		table_cell(t, status_text(c, j));
		table_cell(t, j->product_key);
		table_cell(t, j->dest_version);
		table_cell(t, j->selection);
		table_int(t, j->made);
		table_int(t, j->count[TASK_CONFIRM] + j->count[TASK_QUEUED] + j->count[TASK_NOTIFIED] +
				     j->count[TASK_IN_PROGRESS]);
		table_int(t, j->count[TASK_SUCCEEDED]);
		table_int(t, j->count[TASK_FAILED]);
		table_int(t, j->count[TASK_CANCELED]);
		table_time(t, j->created_ms);
	}
	table_print(t);
	return OK;
}

static void line(struct table *t, const char *name, const char *value)
{
	table_cell(t, name);
	table_cell(t, value);
}

static void line_int(struct table *t, const char *name, int64_t n)
{
	table_cell(t, name);
	table_int(t, n);
}

static void line_time(struct table *t, const char *name, utc_ms when)
{
	if (!when)
		return;
	table_cell(t, name);
	table_time(t, when);
}

static enum err job_show(struct ctl *c)
{
	static const char *const kinds[] = {
		[JOB_VERIFY] = "verification", [JOB_STATIC] = "static", [JOB_DYNAMIC] = "dynamic"
	};
	struct table *t = table_new(c, 2);
	struct report_job j;
	int64_t id;

	TRY(job_arg(c, &id));
	TRY(job_read(c, id, &j));
	line(t, "JobId", job_text(c, id));
	line_int(t, "Number", id);
	line(t, "Account", j.account);
	line(t, "Status", status_text(c, &j));
	line(t, "Kind", kinds[j.kind]);
	line(t, "TargetSelection", j.selection);
	line(t, "ProductKey", j.product_key);
	line(t, "Package", j.firmware);
	line(t, "DestVersion", j.dest_version);
	line(t, "MaximumPerMinute",
	     j.need_push ? arena_printf(c->arena, "%lld", (long long)j.max_per_minute)
			 : "no pushes (NeedPush=false)");
	line_time(t, "Created", j.created_ms);
	line_time(t, "ScheduleTime", j.schedule_ms);
	line_time(t, "Started", j.started_ms);
	line_time(t, "ScheduleFinishTime", j.finish_ms);
	line_time(t, "Ended", j.ended_ms);
	line(t, "Making",
	     j.making == MAKING_DONE ? "done"
	     : j.making == MAKING_CHOOSE
		     ? "choosing devices"
		     : arena_printf(c->arena, "%lld of %lld", (long long)j.made, (long long)j.chosen));
	line_int(t, "Tasks", j.made);
	for (int s = TASK_CONFIRM; s <= TASK_CANCELED; s++)
		if (j.count[s])
			line_int(t, arena_printf(c->arena, "  %s", task_state_name((enum task_state)s)),
				 j.count[s]);
	table_print(t);
	return OK;
}

static enum err job_watch(struct ctl *c)
{
	const char *interval_text = ctl_option(c, "interval");
	int64_t id, interval_s = 1;

	if (interval_text && !parse_i64(interval_text, 1, 3600, &interval_s))
		return fail(c->error, ERR_BAD_REQUEST, "--interval must be 1 to 3600 (seconds)");
	TRY(job_arg(c, &id));
	return watch_run(c, id, interval_s * MS_PER_SECOND);
}

/* ---- pause, resume, cancel ---- */

typedef enum err (*job_change_fn)(struct ctl *c, int64_t id, bool *ret_changed);

static enum err change_in_txn(struct ctl *c, int64_t id, const char *action, job_change_fn change, bool *ret_changed)
{
	int64_t account;

	TRY(store_job_lock(c->db, &id, 1));
	TRY(store_report_job_account(c->db, id, &account));
	TRY(change(c, id, ret_changed));
	return *ret_changed ? ctl_audit(c, account, action, job_text(c, id)) : OK;
}

/* Runs one change under the job's lock, with its audit row. */
static enum err job_change(struct ctl *c, int64_t id, const char *action, job_change_fn change, bool *ret_changed)
{
	int runs = 0;
	enum err err;

	do {
		ctl_next(c);
		err = db_begin(c->db);
		if (err == OK)
			err = txn_end(c->db, change_in_txn(c, id, action, change, ret_changed));
	} while (txn_again(err, ++runs));
	if (err == ERR_NOT_FOUND)
		return fail(c->error, err, "no job %s", c->args[0]);
	TRY(err);
	return store_flight_wait(c->db, &id, 1, clock_boot_ms() + HOLDS_MS);
}

static enum err pause_change(struct ctl *c, int64_t id, bool *ret_changed)
{
	return store_job_pause(c->db, id, true, c->now, ret_changed);
}

static enum err resume_change(struct ctl *c, int64_t id, bool *ret_changed)
{
	return store_job_pause(c->db, id, false, c->now, ret_changed);
}

static enum err cancel_change(struct ctl *c, int64_t id, bool *ret_changed)
{
	int mask = TASK_BIT(TASK_CONFIRM) | TASK_BIT(TASK_QUEUED) | TASK_BIT(TASK_NOTIFIED);
	struct report_job j;
	struct job_now now;

	TRY(store_job_now(c->db, id, &now));
	if (job_status_ended(now.status))
		return fail(c->error, ERR_JOB_CANCELED, "the job has ended: %s", job_status_name(now.status));
	if (!ctl_option(c, "keep-running"))
		mask |= TASK_BIT(TASK_IN_PROGRESS);
	TRY(store_report_job(c->db, id, &j));
	TRY(store_job_order(c->db, id, mask, "canceled by the operator", c->now));
	if (j.kind == JOB_DYNAMIC && !j.strategy_ended)
		TRY(store_strategy_end(c->db, id, c->now));
	if (now.status == JOB_PLANNED)
		TRY(store_job_end_planned(c->db, id, c->now));
	*ret_changed = true;
	return store_job_settle(c->db, &id, 1, c->now);
}

static enum err job_pause(struct ctl *c)
{
	bool changed = false;
	int64_t id;

	TRY(job_arg(c, &id));
	TRY(job_change(c, id, "job pause", pause_change, &changed));
	(void)puts(changed ? "Paused: nothing is pushed for it any more." : "It was paused already.");
	return OK;
}

static enum err job_resume(struct ctl *c)
{
	bool changed = false;
	int64_t id;

	TRY(job_arg(c, &id));
	TRY(job_change(c, id, "job resume", resume_change, &changed));
	(void)puts(changed ? "Resumed." : "It was not paused.");
	return OK;
}

static enum err job_cancel(struct ctl *c)
{
	bool changed = false;
	int64_t id;

	TRY(job_arg(c, &id));
	TRY(job_change(c, id, "job cancel", cancel_change, &changed));
	(void)puts("Canceled.");
	return OK;
}

/* ---- pace ---- */

static enum err job_pace(struct ctl *c)
{
	struct table *t = table_new(c, 2);
	struct report_pace p;
	struct report_job j;
	int64_t id;

	TRY(job_arg(c, &id));
	TRY(job_read(c, id, &j));
	TRY(store_report_pace(c->db, id, &p));
	line_int(t, "MaximumPerMinute", j.max_per_minute);
	line_int(t, "Pushes", p.pushes);
	line_time(t, "First push", p.first_ms);
	line_time(t, "Last push", p.last_ms);
	line_int(t, "At most in 60 seconds", p.worst);
	line_time(t, "  ending at", p.worst_ms);
	if (p.worst > 0)
		line_int(t, "  limit then", p.worst_limit);
	table_print(t);
	if (p.excess > 0)
		(void)printf("Some 60 seconds may have had %lld more than the limit then.\n",
			     (long long)p.excess);
	return OK;
}

/* clang-format off */
const struct command commands_job[] = {
	{ "job", "list", WAY_DATABASE, 0, 0, "account limit live?", "[--account NAME] [--live] [--limit N]",
	  "Shows jobs, newest first; --live: only those that have not ended.", job_list },
	{ "job", "show", WAY_DATABASE, 1, 1, "", "JOBID", "Shows a job, with its tasks by state.", job_show },
	{ "job", "watch", WAY_DATABASE, 1, 1, "interval", "JOBID [--interval SECONDS]",
	  "Follows a job to its end: a progress bar on a terminal, plain lines elsewhere.", job_watch },
	{ "job", "pause", WAY_DATABASE, 1, 1, "", "JOBID",
	  "Stops its pushes; devices that are updating go on. Holds when the command returns.", job_pause },
	{ "job", "resume", WAY_DATABASE, 1, 1, "", "JOBID", "Lets a paused job go on.", job_resume },
	{ "job", "cancel", WAY_DATABASE, 1, 1, "keep-running?", "JOBID [--keep-running]",
	  "Cancels all unfinished tasks and ends the strategy; --keep-running: all tasks but those in progress.",
	  job_cancel },
	{ "job", "pace", WAY_DATABASE, 1, 1, "", "JOBID",
	  "Proves the pace by the log: how many pushes no 60 seconds had more than, against MaximumPerMinute.", job_pace },
	{ .group = NULL },
};
/* clang-format on */
