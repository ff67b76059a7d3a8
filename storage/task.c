/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/task.h"

#include "storage/job_end.h"

/* ---- a device goes ------------------------------------------------------------------------------------ */

enum err store_task_cancel_of_device(struct db *db, int64_t device_id, utc_ms now)
{
	struct args id, a;
	struct rows *r;
	int64_t *jobs;
	size_t n;

	args_init(&id, db);
	arg_int(&id, device_id);
	TRY(db_run(db, S_task_product_of_device, &id, NULL));
	TRY(db_run(db, S_task_jobs_of_device, &id, &r));
	n = (size_t)rows_count(r);
	if (n == 0)
		return OK;
	jobs = ARENA_ARRAY(db_arena(db), n, int64_t);
	for (size_t i = 0; i < n; i++)
		jobs[i] = row_int(r, (int)i, C_task_jobs_of_device_job_id);
	TRY(store_job_lock(db, jobs, n));
	args_init(&a, db);
	arg_int(&a, device_id);
	arg_text(&a, TASK_REASON_DELETED);
	arg_int(&a, now);
	TRY(db_run(db, S_task_cancel_of_device, &a, NULL));
	return store_job_settle(db, jobs, n, now);
}

/* ---- lists -------------------------------------------------------------------------------------------- */

/* Rows of any of the three lists: their columns are the same. */
static const struct task_row *task_rows(struct db *db, const struct rows *r)
{
	struct task_row *t = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct task_row);

	for (int i = 0; i < rows_count(r); i++) {
		const char *src = row_text(r, i, C_task_page_all_src_version);
		const char *name = row_text(r, i, C_task_page_all_device_name);

		t[i] = (struct task_row){
			.seq = (int)row_int(r, i, C_task_page_all_seq),
			.state = (enum task_state)row_int(r, i, C_task_page_all_state),
			.desc = row_text(r, i, C_task_page_all_task_desc),
			.progress = (int)row_int(r, i, C_task_page_all_progress),
			.timeout_min = (int)row_int(r, i, C_task_page_all_timeout_min),
			.src_version = src ? src : "",
			.device_id = row_int(r, i, C_task_page_all_device_id),
			.device_name = name ? name : "",
			.created_ms = row_int(r, i, C_task_page_all_created_ms),
			.modified_ms = row_int(r, i, C_task_page_all_modified_ms),
		};
	}
	return t;
}

/* Column numbers of task_counts follow the states, from CONFIRM on. */
static int64_t count_of(const struct rows *r, enum task_state state)
{
	int64_t sum = 0;

	for (int col = 0; col < TASK_STATE_COUNT - TASK_CONFIRM; col++)
		if (state == TASK_NONE || col == (int)state - TASK_CONFIRM)
			sum += row_int(r, 0, col);
	return sum;
}

enum err store_task_page(struct db *db, int64_t job_id, enum task_state state, int64_t from, int64_t count,
			 const struct task_row **ret, size_t *ret_n, int64_t *ret_total)
{
	enum stmt page;
	struct rows *r;
	struct args a;
	int64_t total;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_one(db, S_task_counts, &a, &r));
	page = state == TASK_NONE ? S_task_page_all
	       : row_bool(r, 0, C_task_counts_ordered) ? S_task_page_ordered : S_task_page_state;
	total = count_of(r, state);
	*ret_total = total;
	*ret_n = 0;
	if (from >= total)
		return OK;
	arg_int(&a, from);
	/* Never asks for more than there are: so the walk of task_page_ordered ends with the last one. */
	arg_int(&a, i64_min(count, total - from));
	if (state != TASK_NONE)
		arg_int(&a, state);
	TRY(db_run(db, page, &a, &r));
	*ret = task_rows(db, r);
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_task_of_names(struct db *db, int64_t job_id, enum task_state state, int64_t product_id,
			     const char *const *names, size_t n_names, const struct task_row **ret,
			     size_t *ret_n)
{
	const struct task_row *all;
	struct task_row *kept;
	struct rows *r;
	struct args a;
	size_t n = 0;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, product_id);
	arg_texts(&a, names, n_names);
	TRY(db_run(db, S_task_of_names, &a, &r));
	all = task_rows(db, r);
	kept = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct task_row);
	for (int i = 0; i < rows_count(r); i++)
		if (state == TASK_NONE || all[i].state == state)
			kept[n++] = all[i];
	*ret = kept;
	*ret_n = n;
	return OK;
}

enum err store_task_unfinished(struct db *db, int64_t device_id, const char *module, int state_mask,
			       const struct task_unfinished **ret, size_t *ret_n)
{
	struct task_unfinished *tasks;
	struct rows *r;
	struct args a;

	ensure((state_mask & ~TASK_MASK_UNFINISHED) == 0);
	args_init(&a, db);
	arg_int(&a, device_id);
	arg_text(&a, module);
	arg_int(&a, state_mask);
	TRY(db_run(db, S_task_unfinished, &a, &r));
	tasks = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct task_unfinished);
	for (int i = 0; i < rows_count(r); i++) {
		const char *src = row_text(r, i, C_task_unfinished_src_version);

		tasks[i] = (struct task_unfinished){
			.job_id = row_int(r, i, C_task_unfinished_job_id),
			.seq = (int)row_int(r, i, C_task_unfinished_seq),
			.state = (enum task_state)row_int(r, i, C_task_unfinished_state),
			.src_version = src ? src : "",
			.created_ms = row_int(r, i, C_task_unfinished_created_ms),
			.modified_ms = row_int(r, i, C_task_unfinished_modified_ms),
			.firmware_id = row_int(r, i, C_task_unfinished_firmware_id),
			.module = row_text(r, i, C_task_unfinished_module),
			.dest_version = row_text(r, i, C_task_unfinished_dest_version),
			.product_name = row_text(r, i, C_task_unfinished_product_name),
		};
	}
	*ret = tasks;
	*ret_n = (size_t)rows_count(r);
	return OK;
}
