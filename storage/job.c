/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/job.h"

#include "engine/strategy.h"
#include "storage/gather.h"
#include "storage/strategy.h"

#include <string.h>

/* ---- what a new job needs to know --------------------------------------------------------------------- */

enum err store_job_firmware(struct db *db, int64_t account_id, int64_t firmware_id, bool alone,
			    struct job_firmware *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, account_id);
	/* Both statements have the same columns. */
	TRY(db_one_or(db, alone ? S_job_firmware_alone : S_job_firmware, &a, ERR_FIRMWARE_NOT_FOUND, &r));
	*ret = (struct job_firmware){
		.id = firmware_id,
		.product_id = row_int(r, 0, C_job_firmware_product_id),
		.differential = row_int(r, 0, C_job_firmware_type) == 1,
		.src_version = row_text(r, 0, C_job_firmware_src_version),
		.dest_version = row_text(r, 0, C_job_firmware_dest_version),
		.module = row_text(r, 0, C_job_firmware_module),
		.status = (enum firmware_status)row_int(r, 0, C_job_firmware_status),
		.files = row_int(r, 0, C_job_firmware_files),
		.size = row_int(r, 0, C_job_firmware_size),
	};
	return OK;
}

static enum err name_unknown(struct db *db, int64_t product_id, const char *const *names, size_t n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_texts(&a, names, n);
	TRY(db_run(db, S_job_unknown_name, &a, &r));
	if (rows_count(r) == 0)
		return fail_param(db_error(db), ERR_DEVICE_NOT_FOUND, NULL);
	return fail(db_error(db), ERR_DEVICE_NOT_FOUND, "The device %.64s does not exist.",
		    row_text(r, 0, C_job_unknown_name_name));
}

enum err store_job_devices(struct db *db, int64_t product_id, const char *module, const char *const *names,
			   size_t n, const struct job_device **ret)
{
	struct job_device *devices = ARENA_ARRAY(db_arena(db), n, struct job_device);
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_texts(&a, names, n);
	arg_text(&a, module);
	TRY(db_run(db, S_job_named_devices, &a, &r));
	if ((size_t)rows_count(r) != n)
		return name_unknown(db, product_id, names, n);
	for (int i = 0; i < rows_count(r); i++)
		devices[i] = (struct job_device){
			.id = row_int(r, i, C_job_named_devices_id),
			.disabled = row_bool(r, i, C_job_named_devices_disabled),
			.version = row_text(r, i, C_job_named_devices_version),
		};
	*ret = devices;
	return OK;
}

enum err store_job_candidate(struct db *db, const struct job *j, const struct job_firmware *f)
{
	bool group = strcmp(j->selection, "GROUP") == 0;
	struct args a;
	enum err e;

	args_init(&a, db);
	arg_int(&a, j->product_id);
	arg_text(&a, f->module);
	arg_text(&a, f->dest_version);
	if (!group)
		arg_texts(&a, j->src_versions, j->n_src_versions);
	arg_text(&a, f->differential ? f->src_version : NULL);
	if (group)
		arg_int(&a, j->group_id);
	arg_int(&a, j->created_ms);
	if (group)
		return db_one_or(db, S_job_group_candidate, &a, ERR_NO_DEVICE, NULL);
	e = db_one(db, S_job_candidate_near, &a, NULL);
	return e == ERR_NOT_FOUND ? db_one_or(db, S_job_candidate, &a, ERR_NO_DEVICE, NULL) : e;
}

/* ---- creating ----------------------------------------------------------------------------------------- */

static enum err job_insert(struct db *db, struct job *j)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, j->account_id);
	arg_int(&a, j->product_id);
	arg_int(&a, j->firmware_id);
	arg_int(&a, j->kind);
	arg_text(&a, j->selection);
	arg_texts(&a, j->src_versions, j->n_src_versions);
	arg_int_or_null(&a, j->gray_milli, JOB_UNSET);
	arg_text(&a, j->gray_text);
	arg_int_or_null(&a, j->group_id, JOB_UNSET);
	arg_int_or_null(&a, j->dynamic_mode, JOB_UNSET);
	arg_int_or_null(&a, j->schedule_ms, 0);
	arg_int_or_null(&a, j->finish_ms, 0);
	arg_int_or_null(&a, j->retry_interval_min, JOB_UNSET);
	arg_int_or_null(&a, j->retry_count, JOB_UNSET);
	arg_int_or_null(&a, j->timeout_min, JOB_UNSET);
	arg_int(&a, j->max_per_minute);
	arg_int(&a, j->overwrite_mode);
	arg_bool(&a, j->need_push);
	arg_bool(&a, j->need_confirm);
	arg_bool(&a, j->download_mqtt);
	arg_bool(&a, j->multi_module);
	arg_texts(&a, j->tag_keys, j->n_tags);
	arg_texts(&a, j->tag_values, j->n_tags);
	arg_int(&a, j->created_ms);
	TRY(db_one(db, S_job_insert, &a, &r));
	j->id = row_int(r, 0, C_job_insert_id);
	return OK;
}

static enum err firmware_verifying(struct db *db, const struct job *j)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, j->firmware_id);
	arg_int(&a, j->created_ms);
	return db_run(db, S_job_verifying, &a, NULL);
}

enum err store_job_create(struct db *db, struct job *j)
{
	struct args a;

	ensure(j->n_targets > 0 || strcmp(j->selection, "SPECIFIC") != 0);
	TRY(job_insert(db, j));
	args_init(&a, db);
	arg_int(&a, j->id);
	arg_int(&a, j->schedule_ms ? JOB_PLANNED : JOB_IN_PROGRESS);
	arg_int(&a, j->max_per_minute);
	arg_int(&a, j->created_ms);
	arg_int_or_null(&a, j->schedule_ms, 0);
	arg_int_or_null(&a, j->finish_ms, 0);
	if (j->n_targets > 0)
		arg_ints(&a, j->targets, j->n_targets);
	else
		arg_null(&a);
	arg_int(&a, j->dynamic_mode == DYNAMIC_REPORTS ? MAKING_DONE : MAKING_CHOOSE);
	TRY(db_run(db, S_job_start, &a, NULL));
	if (j->kind == JOB_DYNAMIC)
		TRY(store_strategy_begin(db, j->id, j->created_ms));
	return j->kind == JOB_VERIFY ? firmware_verifying(db, j) : OK;
}

enum err store_job_update(struct db *db, const struct job *j)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, j->id);
	arg_texts(&a, j->src_versions, j->n_src_versions);
	arg_int_or_null(&a, j->timeout_min, JOB_UNSET);
	arg_int(&a, j->max_per_minute);
	arg_texts(&a, j->tag_keys, j->n_tags);
	arg_texts(&a, j->tag_values, j->n_tags);
	arg_int(&a, j->modified_ms);
	return db_run(db, S_job_update, &a, NULL);
}

/* ---- showing ------------------------------------------------------------------------------------------ */

static int64_t unset_or(const struct rows *r, int i, int col)
{
	return row_int_or(r, i, col, JOB_UNSET);
}

/* A row of job_get, job_page or job_page_device: their columns are the same. */
static struct job job_settings(const struct rows *r, int i)
{
	struct job j = {
		.id = row_int(r, i, C_job_get_id),
		.account_id = row_int(r, i, C_job_get_account_id),
		.product_id = row_int(r, i, C_job_get_product_id),
		.firmware_id = row_int(r, i, C_job_get_firmware_id),
		.kind = (enum job_kind)row_int(r, i, C_job_get_kind),
		.selection = row_text(r, i, C_job_get_target_selection),
		.gray_milli = unset_or(r, i, C_job_get_gray_milli),
		.gray_text = row_text(r, i, C_job_get_gray_text),
		.group_id = JOB_UNSET,
		.dynamic_mode = unset_or(r, i, C_job_get_dynamic_mode),
		.schedule_ms = row_int(r, i, C_job_get_schedule_ms),
		.finish_ms = row_int(r, i, C_job_get_finish_ms),
		.retry_interval_min = unset_or(r, i, C_job_get_retry_interval),
		.retry_count = unset_or(r, i, C_job_get_retry_count),
		.timeout_min = unset_or(r, i, C_job_get_timeout_min),
		.max_per_minute = row_int(r, i, C_job_get_created_max),
		.overwrite_mode = row_int(r, i, C_job_get_overwrite_mode),
		.need_push = row_bool(r, i, C_job_get_need_push),
		.need_confirm = row_bool(r, i, C_job_get_need_confirm),
		.download_mqtt = row_bool(r, i, C_job_get_download_mqtt),
		.multi_module = row_bool(r, i, C_job_get_multi_module),
		.created_ms = row_int(r, i, C_job_get_created_ms),
		.modified_ms = row_int(r, i, C_job_get_modified_ms),
	};

	j.src_versions = row_texts(r, i, C_job_get_src_versions, &j.n_src_versions);
	j.tag_keys = row_texts(r, i, C_job_get_tag_keys, &j.n_tags);
	j.tag_values = row_texts(r, i, C_job_get_tag_values, &j.n_tags);
	return j;
}

static struct job_view job_view(const struct rows *r, int i)
{
	return (struct job_view){
		.job = job_settings(r, i),
		.status = (enum job_status)row_int(r, i, C_job_get_status),
		.started_ms = row_int(r, i, C_job_get_started_ms),
		.ended_ms = row_int(r, i, C_job_get_ended_ms),
		.max_per_minute = row_int(r, i, C_job_get_max_per_minute),
		.product_key = row_text(r, i, C_job_get_product_key),
		.product_name = row_text(r, i, C_job_get_product_name),
		.firmware_name = row_text(r, i, C_job_get_firmware_name),
		.dest_version = row_text(r, i, C_job_get_dest_version),
		.module = row_text(r, i, C_job_get_module),
		.group_id = row_text(r, i, C_job_get_group_id),
		.group_name = row_text(r, i, C_job_get_group_name),
	};
}

enum err store_job_get(struct db *db, int64_t account_id, int64_t job_id, struct job_view *ret)
{
	struct rows *r;
	int row;

	TRY(gather_row(db, S_job_get, C_job_get_no, job_id, account_id, &r, &row));
	*ret = job_view(r, row);
	return OK;
}

static const struct job_view *job_views(struct db *db, const struct rows *r)
{
	struct job_view *views = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct job_view);

	for (int i = 0; i < rows_count(r); i++)
		views[i] = job_view(r, i);
	return views;
}

enum err store_job_page(struct db *db, int64_t firmware_id, int64_t from, int64_t count,
			const struct job_view **ret, size_t *ret_n, int64_t *ret_total)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	TRY(db_page(db, S_job_count, S_job_page, &a, from, count, &r, ret_total));
	*ret = job_views(db, r);
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_job_page_of_device(struct db *db, int64_t firmware_id, int64_t device_id, int64_t from,
				  int64_t count, const struct job_view **ret, size_t *ret_n,
				  int64_t *ret_total)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, device_id);
	TRY(db_one(db, S_job_count_device, &a, &r));
	*ret_total = row_int(r, 0, C_job_count_device_n);
	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, from);
	arg_int(&a, count);
	arg_int(&a, device_id);
	TRY(db_run(db, S_job_page_device, &a, &r));
	*ret = job_views(db, r);
	*ret_n = (size_t)rows_count(r);
	return OK;
}

/* ---- cancelling --------------------------------------------------------------------------------------- */

enum err store_job_now(struct db *db, int64_t job_id, struct job_now *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_one(db, S_job_now, &a, &r));
	*ret = (struct job_now){
		.status = (enum job_status)row_int(r, 0, C_job_now_status),
		.making = (enum job_making)row_int(r, 0, C_job_now_making),
		.count[TASK_CONFIRM] = row_int(r, 0, C_job_now_n_confirm),
		.count[TASK_QUEUED] = row_int(r, 0, C_job_now_n_queued),
		.count[TASK_NOTIFIED] = row_int(r, 0, C_job_now_n_notified),
		.count[TASK_IN_PROGRESS] = row_int(r, 0, C_job_now_n_in_progress),
		.count[TASK_SUCCEEDED] = row_int(r, 0, C_job_now_n_succeeded),
		.count[TASK_FAILED] = row_int(r, 0, C_job_now_n_failed),
		.count[TASK_CANCELED] = row_int(r, 0, C_job_now_n_canceled),
	};
	return OK;
}

enum err store_job_order(struct db *db, int64_t job_id, int state_mask, const char *reason, utc_ms now)
{
	struct args a;

	ensure(state_mask != 0 && (state_mask & ~TASK_MASK_UNFINISHED) == 0);
	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, state_mask);
	arg_text(&a, reason);
	arg_int(&a, now);
	return db_run(db, S_job_order_add, &a, NULL);
}

enum err store_job_end_planned(struct db *db, int64_t job_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, now);
	return db_run(db, S_job_end_planned, &a, NULL);
}
