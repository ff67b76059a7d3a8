/* SPDX-License-Identifier: Apache-2.0 */
/* What the tick reads; see tick.h. */
#include "storage/tick.h"

#include "storage/job_end.h"

#include <string.h>

/* ---- jobs ---- */

enum err store_tick_live_jobs(struct db *db, const struct tick_run **ret, size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_run *out;
	int n;

	TRY(db_run(db, S_tick_live_jobs, NULL, &r));
	n = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)n + 1, struct tick_run);
	for (int i = 0; i < n; i++)
		out[i] = (struct tick_run){
			.job_id = row_int(r, i, C_tick_live_jobs_job_id),
			.status = (enum job_status)row_int(r, i, C_tick_live_jobs_status),
			.paused = row_bool(r, i, C_tick_live_jobs_paused),
			.tasks = (int32_t)row_int(r, i, C_tick_live_jobs_tasks),
			.max_per_minute = row_int(r, i, C_tick_live_jobs_max_per_minute),
			.rescan_no = (int32_t)row_int(r, i, C_tick_live_jobs_rescan_no),
			.settings_no = (int32_t)row_int(r, i, C_tick_live_jobs_settings_no),
		};
	*ret = out;
	*ret_n = (size_t)n;
	return OK;
}

static enum err read_files(struct db *db, struct tick_job *j)
{
	struct rows *r = NULL;
	struct tick_file *f;
	struct args a;
	int n;

	args_init(&a, db);
	arg_int(&a, j->firmware_id);
	TRY(db_run(db, S_tick_job_files, &a, &r));
	n = rows_count(r);
	f = ARENA_ARRAY(db_arena(db), (size_t)n + 1, struct tick_file);
	for (int i = 0; i < n; i++)
		f[i] = (struct tick_file){ .n = row_int(r, i, C_tick_job_files_n),
					   .object_key = row_text(r, i, C_tick_job_files_object_key),
					   .name = row_text(r, i, C_tick_job_files_name),
					   .size = row_int(r, i, C_tick_job_files_size),
					   .md5 = row_text(r, i, C_tick_job_files_md5),
					   .sha256 = row_text(r, i, C_tick_job_files_sha256) };
	j->files = f;
	j->n_files = (size_t)n;
	return OK;
}

enum err store_tick_job(struct db *db, int64_t job_id, struct tick_job *ret)
{
	struct rows *r = NULL;
	struct args a;
	size_t n_values;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_one(db, S_tick_job, &a, &r));
	*ret = (struct tick_job){
		.settings_no = (int32_t)row_int(r, 0, C_tick_job_settings_no),
		.rules = { .id = job_id,
			   .kind = (enum job_kind)row_int(r, 0, C_tick_job_kind),
			   .module = row_text(r, 0, C_tick_job_module),
			   .src_version = row_text(r, 0, C_tick_job_src_version),
			   .dest_version = row_text(r, 0, C_tick_job_dest_version),
			   .differential = row_int(r, 0, C_tick_job_type) == 1,
			   .need_push = row_bool(r, 0, C_tick_job_need_push),
			   .retry_interval_min = (int)row_int_or(r, 0, C_tick_job_retry_interval, -1),
			   .retry_count = (int)row_int(r, 0, C_tick_job_retry_count) },
		.product_key = row_text(r, 0, C_tick_job_product_key),
		.firmware_id = row_int(r, 0, C_tick_job_firmware_id),
		.sign_method = row_text(r, 0, C_tick_job_sign_method),
		.udi = row_text(r, 0, C_tick_job_udi),
		.download_mqtt = row_bool(r, 0, C_tick_job_download_mqtt),
	};
	ret->tag_keys = row_texts(r, 0, C_tick_job_tag_keys, &ret->n_tags);
	ret->tag_values = row_texts(r, 0, C_tick_job_tag_values, &n_values);
	ensure(n_values == ret->n_tags);
	return read_files(db, ret);
}

/* ---- devices ---- */

enum err store_tick_devices(struct db *db, const char *const *product_keys, const char *const *names,
			    size_t n, const struct tick_device **ret, size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_device *out;
	struct args a;
	int count;

	*ret = NULL;
	*ret_n = 0;
	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_texts(&a, product_keys, n);
	arg_texts(&a, names, n);
	TRY(db_run(db, S_tick_devices, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, struct tick_device);
	for (int i = 0; i < count; i++)
		out[i] = (struct tick_device){ .product_key = row_text(r, i, C_tick_devices_product_key),
					       .name = row_text(r, i, C_tick_devices_name),
					       .device_id = row_int(r, i, C_tick_devices_device_id) };
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

enum err store_tick_active(struct db *db, const int64_t *device_ids, size_t n, const struct tick_active **ret,
			   size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_active *out;
	struct args a;
	int count;

	*ret = NULL;
	*ret_n = 0;
	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_ints(&a, device_ids, n);
	TRY(db_run(db, S_tick_active, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, struct tick_active);
	for (int i = 0; i < count; i++)
		out[i] = (struct tick_active){ .device_id = row_int(r, i, C_tick_active_device_id),
					       .module = row_text(r, i, C_tick_active_module),
					       .job_id = row_int(r, i, C_tick_active_job_id),
					       .seq = (int32_t)row_int(r, i, C_tick_active_seq),
					       .state = (enum task_state)row_int(r, i, C_tick_active_state) };
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

/* ---- feeding ---- */

enum err store_tick_walk(struct db *db, int64_t job_id, int32_t after, int32_t last, int32_t rows,
			 const struct task **ret, size_t *ret_n)
{
	struct rows *r = NULL;
	struct task *out;
	struct args a;
	int n;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, after);
	arg_int(&a, last);
	arg_int(&a, rows);
	TRY(db_run(db, S_tick_walk, &a, &r));
	n = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)n + 1, struct task);
	for (int i = 0; i < n; i++)
		out[i] = (struct task){ .job_id = job_id,
					.seq = (int32_t)row_int(r, i, C_tick_walk_seq),
					.device_id = row_int(r, i, C_tick_walk_device_id),
					.state = (enum task_state)row_int(r, i, C_tick_walk_state),
					.push_conn = row_int(r, i, C_tick_walk_push_conn),
					.push_ms = row_int(r, i, C_tick_walk_push_ms),
					.repushes = (int32_t)row_int(r, i, C_tick_walk_repushes),
					.retry_ms = row_int(r, i, C_tick_walk_retry_ms) };
	*ret = out;
	*ret_n = (size_t)n;
	return OK;
}

enum err store_tick_timers(struct db *db, utc_ms from, utc_ms until, int max, const struct tick_timer **ret, size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_timer *out;
	struct args a;
	int n;

	args_init(&a, db);
	arg_int(&a, from);
	arg_int(&a, until);
	arg_int(&a, max);
	TRY(db_run(db, S_tick_timers, &a, &r));
	n = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)n + 1, struct tick_timer);
	for (int i = 0; i < n; i++)
		out[i] = (struct tick_timer){ .due_ms = row_int(r, i, C_tick_timers_due_ms),
					      .job_id = row_int(r, i, C_tick_timers_job_id),
					      .seq = (int32_t)row_int(r, i, C_tick_timers_seq),
					      .kind = (enum timer_kind)row_int(r, i, C_tick_timers_kind) };
	*ret = out;
	*ret_n = (size_t)n;
	return OK;
}

/* ---- under the jobs' locks ---- */

enum err store_tick_lock_free(struct db *db, const int64_t *job_ids, size_t n, const int64_t **ret,
			      size_t *ret_n)
{
	struct rows *r = NULL;
	struct args a;
	int64_t *out;
	int count;

	*ret = NULL;
	*ret_n = 0;
	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	TRY(db_run(db, S_tick_lock_free, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, int64_t);
	for (int i = 0; i < count; i++)
		out[i] = row_int(r, i, C_tick_lock_free_job_id);
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

enum err store_tick_runs(struct db *db, const int64_t *job_ids, size_t n, const struct tick_run **ret,
			 size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_run *out;
	struct args a;
	int count;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	TRY(db_run(db, S_tick_runs, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, struct tick_run);
	for (int i = 0; i < count; i++)
		out[i] = (struct tick_run){ .job_id = row_int(r, i, C_tick_runs_job_id),
					    .status = (enum job_status)row_int(r, i, C_tick_runs_status),
					    .paused = row_bool(r, i, C_tick_runs_paused),
					    .tasks = (int32_t)row_int(r, i, C_tick_runs_tasks),
					    .order_no = (int32_t)row_int(r, i, C_tick_runs_order_no),
					    .max_per_minute = row_int(r, i, C_tick_runs_max_per_minute),
					    .settings_no = (int32_t)row_int(r, i, C_tick_runs_settings_no) };
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

enum err store_tick_orders(struct db *db, const int64_t *job_ids, size_t n, const struct tick_order **ret,
			   size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_order *out;
	struct args a;
	int count;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	TRY(db_run(db, S_tick_orders, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, struct tick_order);
	for (int i = 0; i < count; i++)
		out[i] = (struct tick_order){ .job_id = row_int(r, i, C_tick_orders_job_id),
					      .no = (int32_t)row_int(r, i, C_tick_orders_no),
					      .state_mask = (int)row_int(r, i, C_tick_orders_state_mask),
					      .reason = row_text(r, i, C_tick_orders_reason),
					      .why = (enum event_why)row_int(r, i, C_tick_orders_why),
					      .at_ms = row_int(r, i, C_tick_orders_at_ms) };
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

const struct tick_order *tick_order_over(const struct tick_order *orders, size_t n, const struct task *t)
{
	for (size_t i = 0; i < n; i++)
		if (orders[i].job_id == t->job_id && orders[i].no > t->order_no &&
		    (orders[i].state_mask & TASK_BIT(t->state)))
			return &orders[i];
	return NULL;
}

static struct task task_of_row(const struct rows *r, int i)
{
	return (struct task){ .job_id = row_int(r, i, C_tick_tasks_job_id),
			      .seq = (int32_t)row_int(r, i, C_tick_tasks_seq),
			      .device_id = row_int(r, i, C_tick_tasks_device_id),
			      .state = (enum task_state)row_int(r, i, C_tick_tasks_state),
			      .order_no = (int32_t)row_int(r, i, C_tick_tasks_order_no),
			      .progress = (int32_t)row_int(r, i, C_tick_tasks_progress),
			      .retries = (int32_t)row_int(r, i, C_tick_tasks_retries),
			      .pushes = (int32_t)row_int(r, i, C_tick_tasks_pushes),
			      .repushes = (int32_t)row_int(r, i, C_tick_tasks_repushes),
			      .timeout_min = (int32_t)row_int(r, i, C_tick_tasks_timeout_min),
			      .push_conn = row_int(r, i, C_tick_tasks_push_conn),
			      .push_ms = row_int(r, i, C_tick_tasks_push_ms),
			      .timeout_ms = row_int(r, i, C_tick_tasks_timeout_ms),
			      .retry_ms = row_int(r, i, C_tick_tasks_retry_ms),
			      .verdict_ms = row_int(r, i, C_tick_tasks_verdict_ms),
			      .pending_version = row_text(r, i, C_tick_tasks_pending_version),
			      .fail_ms = row_int(r, i, C_tick_tasks_fail_ms),
			      .fail_desc = row_text(r, i, C_tick_tasks_fail_desc),
			      .src_version = row_text(r, i, C_tick_tasks_src_version),
			      .task_desc = row_text(r, i, C_tick_tasks_task_desc),
			      .modified_ms = row_int(r, i, C_tick_tasks_modified_ms) };
}

enum err store_tick_tasks(struct db *db, const int64_t *job_ids, const int64_t *seqs, size_t n, struct task **ret,
			  size_t *ret_n)
{
	struct rows *r = NULL;
	struct task *out;
	struct args a;
	int count;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	arg_ints(&a, seqs, n);
	TRY(db_run(db, S_tick_tasks, &a, &r));
	count = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)count + 1, struct task);
	for (int i = 0; i < count; i++)
		out[i] = task_of_row(r, i);
	*ret = out;
	*ret_n = (size_t)count;
	return OK;
}

/* ---- pushes and the rest ---- */

enum err store_tick_batch_exists(struct db *db, int64_t id)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	return db_one(db, S_tick_batch_exists, &a, NULL);
}

enum err store_tick_batches_recent(struct db *db, utc_ms since, const struct tick_batch **ret, size_t *ret_n)
{
	struct rows *r = NULL;
	struct tick_batch *out;
	struct args a;
	size_t n_seqs;
	int n;

	args_init(&a, db);
	arg_int(&a, since);
	TRY(db_run(db, S_tick_batches_recent, &a, &r));
	n = rows_count(r);
	out = ARENA_ARRAY(db_arena(db), (size_t)n + 1, struct tick_batch);
	for (int i = 0; i < n; i++) {
		out[i] = (struct tick_batch){ .id = row_int(r, i, C_tick_batches_recent_id),
					      .acked_ms = row_int(r, i, C_tick_batches_recent_acked_ms) };
		out[i].job_ids = row_ints(r, i, C_tick_batches_recent_job_ids, &out[i].n);
		out[i].seqs = row_ints(r, i, C_tick_batches_recent_seqs, &n_seqs);
		ensure(n_seqs == out[i].n);
	}
	*ret = out;
	*ret_n = (size_t)n;
	return OK;
}

enum err store_tick_forget_pushes(struct db *db, const int64_t *batch_ids, size_t n)
{
	struct rows *r = NULL;
	int64_t *jobs;
	struct args a;
	int count;

	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_ints(&a, batch_ids, n);
	TRY(db_run(db, S_tick_batch_jobs, &a, &r));
	count = rows_count(r);
	jobs = ARENA_ARRAY(db_arena(db), (size_t)count + 1, int64_t);
	for (int i = 0; i < count; i++)
		jobs[i] = row_int(r, i, C_tick_batch_jobs_job_id);
	TRY(store_job_lock(db, jobs, (size_t)count));
	args_init(&a, db);
	arg_ints(&a, batch_ids, n);
	return db_run(db, S_tick_forget_pushes, &a, NULL);
}

enum err store_tick_position(struct db *db, const char *journal_id, uint64_t *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_text(&a, journal_id);
	TRY(db_run(db, S_tick_position, &a, &r));
	*ret = rows_count(r) ? (uint64_t)row_int(r, 0, C_tick_position_position) : 0;
	return OK;
}

enum err store_tick_oldest_snapshot(struct db *db, int64_t *ret_seconds)
{
	struct rows *r = NULL;

	TRY(db_one(db, S_tick_oldest_snapshot, NULL, &r));
	*ret_seconds = row_int(r, 0, C_tick_oldest_snapshot_seconds);
	return OK;
}
