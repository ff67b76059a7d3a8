/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/report.h"

static const char *text(const struct rows *r, int i, int col)
{
	const char *s = row_text(r, i, col);

	return s ? s : "";
}

/* Runs a statement and makes room for one struct per row. */
static enum err list(struct db *db, enum stmt s, const struct args *a, size_t size, struct rows **ret_rows,
		     void **ret, size_t *ret_n)
{
	TRY(db_run(db, s, a, ret_rows));
	*ret_n = (size_t)rows_count(*ret_rows);
	*ret = arena_array(db_arena(db), *ret_n, size);
	return OK;
}

enum err store_report_accounts(struct db *db, const struct report_account **ret, size_t *ret_n)
{
	struct report_account *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	TRY(list(db, S_report_accounts, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct report_account){
			.name = text(r, i, C_report_accounts_name),
			.created_ms = row_int(r, i, C_report_accounts_created_ms),
			.n_instances = row_int(r, i, C_report_accounts_n_instances),
			.n_keys = row_int(r, i, C_report_accounts_n_keys),
			.n_products = row_int(r, i, C_report_accounts_n_products),
		};
	return OK;
}

enum err store_report_instances(struct db *db, int64_t account_id, const struct report_instance **ret,
				size_t *ret_n)
{
	struct report_instance *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_int(&a, account_id);
	TRY(list(db, S_report_instances, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct report_instance){
			.instance_id = text(r, i, C_report_instances_instance_id),
			.is_default = row_bool(r, i, C_report_instances_is_default),
			.created_ms = row_int(r, i, C_report_instances_created_ms),
		};
	return OK;
}

enum err store_report_instance_add(struct db *db, int64_t account_id, const char *instance_id, utc_ms now)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, instance_id);
	arg_int(&a, now);
	TRY(db_run(db, S_report_instance_add, &a, &r));
	return rows_count(r) ? OK : ERR_DB_CONFLICT;
}

enum err store_report_keys(struct db *db, int64_t account_id, const struct report_key **ret, size_t *ret_n)
{
	struct report_key *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_int(&a, account_id);
	TRY(list(db, S_report_keys, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct report_key){
			.key_id = text(r, i, C_report_keys_key_id),
			.name = text(r, i, C_report_keys_name),
			.role = text(r, i, C_report_keys_role),
			.disabled = row_bool(r, i, C_report_keys_disabled),
			.created_ms = row_int(r, i, C_report_keys_created_ms),
		};
	return OK;
}

/* ---- jobs ---- */

static struct report_job job_of(const struct rows *r, int i)
{
	struct report_job j = {
		.id = row_int(r, i, C_report_jobs_job_id),
		.account = text(r, i, C_report_jobs_account),
		.product_key = text(r, i, C_report_jobs_product_key),
		.firmware = text(r, i, C_report_jobs_firmware),
		.dest_version = text(r, i, C_report_jobs_dest_version),
		.selection = text(r, i, C_report_jobs_selection),
		.kind = (enum job_kind)row_int(r, i, C_report_jobs_kind),
		.status = (enum job_status)row_int(r, i, C_report_jobs_status),
		.making = (enum job_making)row_int(r, i, C_report_jobs_making),
		.paused = row_bool(r, i, C_report_jobs_paused),
		.strategy_ended = row_bool(r, i, C_report_jobs_strategy_ended),
		.need_push = row_bool(r, i, C_report_jobs_need_push),
		.chosen = row_int(r, i, C_report_jobs_chosen),
		.made = row_int(r, i, C_report_jobs_made_seq),
		.max_per_minute = row_int(r, i, C_report_jobs_max_per_minute),
		.created_ms = row_int(r, i, C_report_jobs_created_ms),
		.schedule_ms = row_int(r, i, C_report_jobs_schedule_ms),
		.finish_ms = row_int(r, i, C_report_jobs_finish_ms),
		.started_ms = row_int(r, i, C_report_jobs_started_ms),
		.ended_ms = row_int(r, i, C_report_jobs_ended_ms),
	};

	for (int s = TASK_CONFIRM; s <= TASK_CANCELED; s++)
		j.count[s] = row_int(r, i, C_report_jobs_n_confirm + s - TASK_CONFIRM);
	return j;
}

enum err store_report_jobs(struct db *db, int64_t account_id, bool live_only, int limit,
			   const struct report_job **ret, size_t *ret_n)
{
	struct report_job *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_null(&a);
	arg_int_or_null(&a, account_id, 0);
	arg_bool(&a, live_only);
	arg_int(&a, limit);
	TRY(list(db, S_report_jobs, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = job_of(r, i);
	return OK;
}

enum err store_report_job(struct db *db, int64_t job_id, struct report_job *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_null(&a);
	arg_bool(&a, false);
	arg_int(&a, 1);
	TRY(db_one(db, S_report_jobs, &a, &r));
	*ret = job_of(r, 0);
	return OK;
}

enum err store_report_job_account(struct db *db, int64_t job_id, int64_t *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_one(db, S_report_job_account, &a, &r));
	*ret = row_int(r, 0, C_report_job_account_account_id);
	return OK;
}

enum err store_report_pace(struct db *db, int64_t job_id, struct report_pace *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_one(db, S_report_pace, &a, &r));
	*ret = (struct report_pace){
		.pushes = row_int(r, 0, C_report_pace_pushes),
		.worst = row_int(r, 0, C_report_pace_worst),
		.first_ms = row_int(r, 0, C_report_pace_first_ms),
		.last_ms = row_int(r, 0, C_report_pace_last_ms),
		.worst_ms = row_int(r, 0, C_report_pace_worst_ms),
		.worst_limit = row_int(r, 0, C_report_pace_worst_limit),
		.excess = row_int(r, 0, C_report_pace_excess),
	};
	return OK;
}

enum err store_job_pause(struct db *db, int64_t job_id, bool pause, utc_ms now, bool *ret_changed)
{
	struct report_job j;
	struct args a;

	TRY(store_report_job(db, job_id, &j));
	if (job_status_ended(j.status))
		return fail(db_error(db), ERR_JOB_ID, "the job has ended: %s", job_status_name(j.status));
	*ret_changed = j.paused != pause;
	if (!*ret_changed)
		return OK;
	args_init(&a, db);
	arg_int(&a, job_id);
	arg_bool(&a, pause);
	arg_int(&a, now);
	return db_run(db, S_report_pause, &a, NULL);
}

/* ---- devices ---- */

enum err store_report_device(struct db *db, const char *product_key, const char *name,
			     struct report_device *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_text(&a, product_key);
	arg_text(&a, name);
	TRY(db_one(db, S_report_device, &a, &r));
	*ret = (struct report_device){
		.id = row_int(r, 0, C_report_device_device_id),
		.account = text(r, 0, C_report_device_account),
		.nickname = text(r, 0, C_report_device_nickname),
		.ip = text(r, 0, C_report_device_ip),
		.disabled = row_bool(r, 0, C_report_device_disabled),
		.seen = row_bool(r, 0, C_report_device_known),
		.online = row_bool(r, 0, C_report_device_online),
		.conn = row_int(r, 0, C_report_device_conn),
		.created_ms = row_int(r, 0, C_report_device_created_ms),
		.active_ms = row_int(r, 0, C_report_device_active_ms),
		.online_ms = row_int(r, 0, C_report_device_online_ms),
		.changed_ms = row_int(r, 0, C_report_device_changed_ms),
	};
	return OK;
}

enum err store_report_modules(struct db *db, int64_t device_id, const struct report_module **ret,
			      size_t *ret_n)
{
	struct report_module *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_int(&a, device_id);
	TRY(list(db, S_report_device_modules, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct report_module){
			.module = text(r, i, C_report_device_modules_module),
			.version = text(r, i, C_report_device_modules_version),
			.prev_version = text(r, i, C_report_device_modules_prev_version),
			.reported_ms = row_int(r, i, C_report_device_modules_reported_ms),
		};
	return OK;
}

static struct report_task task_of(const struct rows *r, int i)
{
	return (struct report_task){
		.module = text(r, i, C_report_device_tasks_module),
		.fail_desc = text(r, i, C_report_device_tasks_fail_desc),
		.desc = text(r, i, C_report_device_tasks_task_desc),
		.dest_version = text(r, i, C_report_device_tasks_dest_version),
		.job_id = row_int(r, i, C_report_device_tasks_job_id),
		.seq = row_int(r, i, C_report_device_tasks_seq),
		.progress = row_int(r, i, C_report_device_tasks_progress),
		.retries = row_int(r, i, C_report_device_tasks_retries),
		.pushes = row_int(r, i, C_report_device_tasks_pushes),
		.repushes = row_int(r, i, C_report_device_tasks_repushes),
		.push_conn = row_int(r, i, C_report_device_tasks_push_conn),
		.state = (enum task_state)row_int(r, i, C_report_device_tasks_state),
		.push_ms = row_int(r, i, C_report_device_tasks_push_ms),
		.timeout_ms = row_int(r, i, C_report_device_tasks_timeout_ms),
		.retry_ms = row_int(r, i, C_report_device_tasks_retry_ms),
		.verdict_ms = row_int(r, i, C_report_device_tasks_verdict_ms),
		.schedule_ms = row_int(r, i, C_report_device_tasks_schedule_ms),
		.job_status = (enum job_status)row_int(r, i, C_report_device_tasks_status),
		.paused = row_bool(r, i, C_report_device_tasks_paused),
		.need_push = row_bool(r, i, C_report_device_tasks_need_push),
		.max_per_minute = row_int(r, i, C_report_device_tasks_max_per_minute),
		.n_queued = row_int(r, i, C_report_device_tasks_n_queued),
	};
}

enum err store_report_tasks(struct db *db, int64_t device_id, const struct report_task **ret, size_t *ret_n)
{
	struct report_task *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_int(&a, device_id);
	TRY(list(db, S_report_device_tasks, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = task_of(r, i);
	return OK;
}

enum err store_report_events(struct db *db, int64_t job_id, int64_t seq, int limit,
			     const struct report_event **ret, size_t *ret_n)
{
	struct report_event *out;
	struct rows *r = NULL;
	struct args a;
	void *p;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, seq);
	arg_int(&a, limit);
	TRY(list(db, S_report_device_events, &a, sizeof *out, &r, &p, ret_n));
	*ret = out = p;
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct report_event){
			.at_ms = row_int(r, i, C_report_device_events_at_ms),
			.from = (int)row_int(r, i, C_report_device_events_from_state),
			.to = (int)row_int(r, i, C_report_device_events_to_state),
			.why = (int)row_int(r, i, C_report_device_events_why),
			.detail = text(r, i, C_report_device_events_detail),
		};
	return OK;
}
