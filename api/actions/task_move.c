/* SPDX-License-Identifier: Apache-2.0 */
/* ConfirmOTATask and CancelOTATaskByDevice (api §6.3, §6.6): few tasks, moved one by one. */
#include "api/actions/task_move.h"

#include "api/actions/flight.h"
#include "api/actions/show.h"
#include "engine/base/clock.h"
#include "engine/devicelist.h"
#include "storage/job_end.h"

#include <poll.h>
#include <string.h>

#define MAKING_WAIT_MS 500 /* a worker waits: others want it too */
#define MAKING_POLL_MS 10

struct confirm_in {
	struct str_list task_ids;
};
struct cancel_in {
	const char *firmware_id, *product_key, *job_id;
	struct str_list names;
};

/* clang-format off */
static const struct field confirm_in[] = {
	STRS(struct confirm_in, task_ids, "TaskId", "1 to 10 tasks in CONFIRM.", .flags = REQUIRED, .max_items = TASK_IDS_MAX),
	FIELD_END
};
static const struct field cancel_in[] = {
	STR (struct cancel_in, firmware_id, "FirmwareId", "The package.", .flags = REQUIRED),
	STR (struct cancel_in, product_key, "ProductKey", "Its product.", .flags = REQUIRED),
	STRS(struct cancel_in, names, "DeviceName", "1 to 200 devices of the product, without repetition.",
	     .flags = REQUIRED, .max_items = 200),
	STR (struct cancel_in, job_id, "JobId", "Only tasks of this job. Absent: of all jobs of the package.", .flags = OPTIONAL),
	FIELD_END
};

static const enum err confirm_fails[] = { ERR_LIST_TOO_LONG, ERR_TASK_ID, ERR_TASK_STATUS, OK };
static const enum err cancel_fails[] = {
	ERR_LIST_TOO_LONG, ERR_FIRMWARE_NOT_FOUND, ERR_PRODUCT_NOT_FOUND, ERR_FIRMWARE_PRODUCT, ERR_FORMAT, ERR_JOB_ID, ERR_BUSY,
	ERR_DEVICE_NO_TASK, ERR_DEVICE_TASK_ENDED, OK
};
/* clang-format on */

/* ---- shared ------------------------------------------------------------------------------------------- */

enum err task_keys(struct call *c, const struct str_list *ids, const struct task_key **ret, size_t *ret_n)
{
	struct task_key *keys = ARENA_ARRAY(c->arena, ids->n, struct task_key);
	size_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		int64_t job, seq;
		size_t seen = 0;

		if (!id_parse(ID_TASK, ids->v[i], &job, &seq) || seq > INT32_MAX)
			return fail(c->error, ERR_TASK_ID, "The task %.64s does not exist.", ids->v[i]);
		while (seen < n && (keys[seen].job_id != job || keys[seen].seq != seq))
			seen++;
		if (seen == n)
			keys[n++] = (struct task_key){ .job_id = job, .seq = (int32_t)seq };
	}
	*ret = keys;
	*ret_n = n;
	return OK;
}

enum err task_refuse(struct call *c, enum err err, const struct task_key *k, const char *words)
{
	return fail(c->error, err, "The task %s %s", show_id(c->arena, ID_TASK, k->job_id, k->seq), words);
}

static enum err wake_engine(struct call *c, void *arg)
{
	(void)arg;
	c->env->wake_engine(c->env->wake_ctx);
	return OK;
}

void task_wake(struct call *c)
{
	c->after_commit = wake_engine;
}

/* ---- ConfirmOTATask ----------------------------------------------------------------------------------- */

/* Scheduled jobs: only from ScheduleTime to ScheduleFinishTime. */
static enum err check_window(struct call *c, const struct task_key *k, const struct job_view *v,
			     const struct task_move *t)
{
	if (t->t.state != TASK_CONFIRM)
		return task_refuse(c, ERR_TASK_STATUS, k, "does not wait for confirmation.");
	if (t->job_status == JOB_PLANNED)
		return task_refuse(c, ERR_TASK_STATUS, k, "cannot be confirmed before the start of its job.");
	if (v->job.finish_ms != 0 && c->now >= v->job.finish_ms)
		return task_refuse(c, ERR_TASK_STATUS, k, "cannot be confirmed after the end of its job.");
	return OK;
}

static enum err confirm_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct confirm_in *in = in_;
	struct task_event e = { .kind = TASK_EV_CONFIRM, .at = c->now };
	const struct task_key *keys;
	struct job_view *jobs;
	struct task_moves m;
	size_t n;

	TRY(task_keys(c, &in->task_ids, &keys, &n));
	jobs = ARENA_ARRAY(c->arena, n, struct job_view);
	for (size_t i = 0; i < n; i++) {
		enum err err = store_job_get(c->db, c->account_id, keys[i].job_id, &jobs[i]);

		if (err == ERR_NOT_FOUND)
			return task_refuse(c, ERR_TASK_ID, &keys[i], "does not exist.");
		TRY(err);
	}
	TRY(store_moves_read(c->db, c->now, keys, n, &m));
	for (size_t i = 0; i < n; i++) { /* all or none */
		struct task_move *t = moves_find(&m, keys[i].job_id, keys[i].seq);

		if (!t)
			return task_refuse(c, ERR_TASK_ID, &keys[i], "does not exist.");
		TRY(check_window(c, &keys[i], &jobs[i], t));
	}
	for (size_t i = 0; i < n; i++)
		moves_step(&m, &m.tasks[i], &e);
	c->audit_target = in->task_ids.v[0];
	task_wake(c);
	return store_moves_write(&m);
}

/* ---- CancelOTATaskByDevice ---------------------------------------------------------------------------- */

/* Tasks of a job exist from its creation for whoever asks (rules §2), though they may be on their way still. *ret_now:
 * a time when they are all there, which may be later than the call's. */
static enum err await_making(struct call *c, const struct task_scope *s, utc_ms *ret_now)
{
	int64_t until = clock_boot_ms() + MAKING_WAIT_MS;
	bool making = true;

	for (;;) {
		TRY(store_task_making(c->db, s, &making));
		*ret_now = clock_now();
		if (!making)
			return OK;
		if (clock_boot_ms() >= until)
			return fail_param(c->error, ERR_BUSY, NULL);
		c->env->wake_maker(c->env->wake_ctx);
		(void)poll(NULL, 0, MAKING_POLL_MS);
	}
}

static enum err cancel_scope(struct call *c, const struct cancel_in *in, struct task_scope *ret)
{
	const char *twice = devicelist_duplicate(c->arena, in->names.v, in->names.n);
	struct job_view v;

	*ret = (struct task_scope){ .names = in->names.v, .n_names = in->names.n };
	TRY(firmware_find_of(c, in->firmware_id, in->product_key, &ret->firmware_id, &ret->product_id));
	if (twice)
		return fail(c->error, ERR_FORMAT, "The parameter DeviceName names %.64s twice.", twice);
	if (!in->job_id)
		return OK;
	TRY(job_find(c, in->job_id, &v));
	if (v.job.firmware_id != ret->firmware_id)
		return fail(c->error, ERR_JOB_ID, "The job is not one of the package.");
	ret->job_id = v.job.id;
	return OK;
}

static enum err refuse_none(struct call *c, const struct task_scope *s)
{
	bool any;

	TRY(store_task_of_devices_any(c->db, s, &any));
	return fail_param(c->error, any ? ERR_DEVICE_TASK_ENDED : ERR_DEVICE_NO_TASK, NULL);
}

static enum err cancel_run(struct call *c, const void *in_, void *out UNUSED)
{
	const struct cancel_in *in = in_;
	struct task_event e = { .kind = TASK_EV_CANCEL, .why = WHY_CANCEL, .desc = JOB_REASON_CANCELED };
	const struct task_key *keys;
	struct task_scope scope;
	struct task_moves m;
	size_t n, canceled = 0;

	TRY(cancel_scope(c, in, &scope));
	TRY(await_making(c, &scope, &e.at));
	TRY(store_task_of_devices(c->db, &scope, &keys, &n));
	TRY(store_moves_read(c->db, e.at, keys, n, &m));
	for (size_t i = 0; i < m.n; i++) {
		if (!task_state_unfinished(m.tasks[i].t.state))
			continue;
		moves_step(&m, &m.tasks[i], &e);
		canceled++;
	}
	if (canceled == 0)
		return refuse_none(c, &scope);
	TRY(store_moves_write(&m));
	TRY(store_job_settle(c->db, m.jobs, m.n_jobs, e.at));
	c->audit_target = in->firmware_id;
	flight_await(c, m.jobs, m.n_jobs);
	return OK;
}

const struct action action_ConfirmOTATask = {
	.name = "ConfirmOTATask",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 20,
	.methods = "POST",
	.doc = "Confirms tasks of jobs with NeedConfirm: all of them or none.",
	.in = confirm_in,
	.in_size = sizeof(struct confirm_in),
	.run = confirm_run,
	.fails = confirm_fails,
};

const struct action action_CancelOTATaskByDevice = {
	.name = "CancelOTATaskByDevice",
	.effect = WRITES,
	.role = ROLE_OPERATOR,
	.qps = 10,
	.methods = "GET POST",
	.doc = "Cancels the unfinished tasks that devices have of a package; refused only when none of them has one.",
	.in = cancel_in,
	.in_size = sizeof(struct cancel_in),
	.run = cancel_run,
	.fails = cancel_fails,
};
