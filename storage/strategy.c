/* SPDX-License-Identifier: Apache-2.0 */
/* See strategy.h. Lock order: product, then job_run, then the rest. */
#include "storage/strategy.h"

#include "engine/strategy.h"
#include "storage/job_end.h"
#include "storage/product.h"
#include "storage/txn.h"

#include <stdlib.h>

#define SWEEP_EVERY_MS (10 * MS_PER_MINUTE)
/* The first one finds what was reported while the job was being created; later than any tick of then. */
#define SWEEP_FIRST_MS (10 * MS_PER_SECOND)

/* ---- calls ---- */

enum err store_strategy_none(struct db *db, int64_t firmware_id)
{
	struct args a;
	enum err e;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	e = db_one(db, S_strategy_of_firmware, &a, NULL);
	if (e == ERR_NOT_FOUND)
		return OK;
	return e == OK ? fail_param(db_error(db), ERR_DYNAMIC_RUNNING, NULL) : e;
}

enum err store_strategy_modes(struct db *db, int64_t group_id, bool multi_module, int64_t overwrite_mode)
{
	struct args a;
	enum err e;

	args_init(&a, db);
	arg_int(&a, group_id);
	TRY(db_one_or(db, S_group_lock, &a, ERR_GROUP_NOT_FOUND, NULL));
	arg_bool(&a, multi_module);
	arg_int(&a, overwrite_mode);
	e = db_one(db, S_strategy_modes_differ, &a, NULL);
	if (e == ERR_NOT_FOUND)
		return OK;
	return e == OK ? fail(db_error(db), ERR_OVERWRITE_MODE,
			      "MultiModuleMode and OverwriteMode must be those of the group's other dynamic "
			      "jobs.")
		       : e;
}

enum err store_strategy_begin(struct db *db, int64_t job_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, now + SWEEP_FIRST_MS);
	return db_run(db, S_strategy_add, &a, NULL);
}

enum err store_strategy_end(struct db *db, int64_t job_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, now);
	TRY(db_run(db, S_strategy_end, &a, NULL));
	return db_touched(db) == 1 ? OK : fail_param(db_error(db), ERR_JOB_CANCELED, NULL);
}

/* ---- sweeps ---- */

static enum err sweep_in_txn(struct db *db, int64_t job_id, int64_t due_ms, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	TRY(db_run(db, S_strategy_sweep, &a, NULL));
	arg_int(&a, due_ms);
	arg_int(&a, now + SWEEP_EVERY_MS);
	return db_run(db, S_strategy_swept, &a, NULL);
}

enum err store_strategy_sweep(struct db *db, utc_ms now)
{
	int64_t job_id, due_ms;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, now);
	TRY(db_one(db, S_strategy_sweep_next, &a, &r));
	job_id = row_int(r, 0, C_strategy_sweep_next_job_id);
	due_ms = row_int(r, 0, C_strategy_sweep_next_sweep_ms);
	TRY(db_begin(db));
	return txn_end(db, sweep_in_txn(db, job_id, due_ms, now));
}

/* ---- joins ---- */

enum err store_strategy_product(struct db *db, int64_t after_product_id, int64_t *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, after_product_id);
	TRY(db_one(db, S_strategy_product_next, &a, &r));
	*ret = row_int(r, 0, C_strategy_product_next_product_id);
	return OK;
}

/* Why a device gets no task now (column `hold` of strategy_facts; 0: it may). */
enum hold { HOLD_STALE = 1, HOLD_UNFINISHED = 2 };

/* What one join has found out. */
struct join {
	struct db *db;
	struct strategy *strategies; /* of the product, newest first */
	size_t n_strategies;
	int64_t *checks; /* looked at, ascending */
	bool *keep;	 /* parallel: for later */
	size_t n_checks;
	int64_t job_id; /* gets tasks; 0: none does */
	int64_t *devices;
	const char **versions;
	size_t n_devices;
};

/* *ret_made: all of their jobs are. */
static enum err read_strategies(struct join *n, int64_t product_id, utc_ms now, bool *ret_made)
{
	struct rows *r;
	struct args a;

	args_init(&a, n->db);
	arg_int(&a, product_id);
	TRY(db_run(n->db, S_strategy_list, &a, &r));
	n->n_strategies = (size_t)rows_count(r);
	n->strategies = ARENA_ARRAY(db_arena(n->db), n->n_strategies + 1, struct strategy);
	*ret_made = true;
	for (int i = 0; i < rows_count(r); i++) {
		struct strategy *s = &n->strategies[i];

		*s = (struct strategy){ .job_id = row_int(r, i, C_strategy_list_job_id),
					.module = row_text(r, i, C_strategy_list_module),
					.dest_version = row_text(r, i, C_strategy_list_dest_version),
					.diff_version = row_text(r, i, C_strategy_list_diff_version),
					.mode = (enum dynamic_mode)row_int(r, i,
									   C_strategy_list_dynamic_mode),
					.by_group = row_bool(r, i, C_strategy_list_by_group),
					.created_ms = ms_past(row_int(r, i, C_strategy_list_created_ms), now) };
		s->versions = row_texts(r, i, C_strategy_list_src_versions, &s->n_versions);
		*ret_made = *ret_made && row_bool(r, i, C_strategy_list_made);
	}
	return OK;
}

static enum err read_checks(struct join *n, int64_t product_id, int32_t max)
{
	struct rows *r;
	struct args a;

	args_init(&a, n->db);
	arg_int(&a, product_id);
	arg_int(&a, max);
	TRY(db_run(n->db, S_strategy_checks, &a, &r));
	n->n_checks = (size_t)rows_count(r);
	n->checks = ARENA_ARRAY(db_arena(n->db), n->n_checks + 1, int64_t);
	n->keep = ARENA_ARRAY(db_arena(n->db), n->n_checks + 1, bool);
	for (size_t i = 0; i < n->n_checks; i++)
		n->checks[i] = row_int(r, (int)i, C_strategy_checks_id);
	return OK;
}

static const struct strategy *find_strategy(const struct join *n, int64_t job_id)
{
	size_t i = 0;

	while (n->strategies[i].job_id != job_id)
		ensure(++i < n->n_strategies);
	return &n->strategies[i];
}

/* The row of the newest strategy that matches, of the rows from .. to - 1 of one check; -1: none. */
static int newest(const struct join *n, const struct rows *r, int from, int to)
{
	for (int i = from; i < to; i++) {
		struct strategy_look look = { .reported = row_text(r, i, C_strategy_facts_reported),
					      .reported_ms = row_int(r, i, C_strategy_facts_reported_ms),
					      .version = row_text(r, i, C_strategy_facts_version),
					      .member = row_bool(r, i, C_strategy_facts_member),
					      .matches = row_int(r, i, C_strategy_facts_matches) };

		if (strategy_matches(find_strategy(n, row_int(r, i, C_strategy_facts_job_id)), &look))
			return i;
	}
	return -1;
}

static int by_id(const void *x, const void *y)
{
	const int64_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

static void keep_check(struct join *n, int64_t id)
{
	const int64_t *at = bsearch(&id, n->checks, n->n_checks, sizeof id, by_id);

	n->keep[at - n->checks] = true;
}

/* Deals with one check: takes its device, drops it, or leaves it for later. Checks come by device. */
static void look_at(struct join *n, const struct rows *r, int from, int to)
{
	int64_t device = row_int(r, from, C_strategy_facts_device_id), job;
	bool taken = n->n_devices > 0 && n->devices[n->n_devices - 1] == device;
	int i = newest(n, r, from, to);
	enum hold hold;

	if (i < 0)
		return;
	job = row_int(r, i, C_strategy_facts_job_id);
	hold = (enum hold)row_int(r, i, C_strategy_facts_hold);
	if (hold == HOLD_UNFINISHED || (taken && job == n->job_id))
		return; /* its next report is another chance */
	if (hold == HOLD_STALE || taken || (n->job_id != 0 && job != n->job_id)) {
		keep_check(n, row_int(r, from, C_strategy_facts_check_id));
		return;
	}
	n->job_id = job;
	n->devices[n->n_devices] = device;
	n->versions[n->n_devices++] = row_text(r, i, C_strategy_facts_version);
}

static enum err look(struct join *n, int64_t product_id)
{
	struct rows *r;
	struct args a;

	args_init(&a, n->db);
	arg_int(&a, product_id);
	arg_ints(&a, n->checks, n->n_checks);
	TRY(db_run(n->db, S_strategy_facts, &a, &r));
	n->devices = ARENA_ARRAY(db_arena(n->db), n->n_checks + 1, int64_t);
	n->versions = ARENA_ARRAY(db_arena(n->db), n->n_checks + 1, const char *);
	for (int from = 0, to; from < rows_count(r); from = to) {
		for (to = from + 1; to < rows_count(r); to++)
			if (row_int(r, to, C_strategy_facts_check_id) !=
			    row_int(r, from, C_strategy_facts_check_id))
				break;
		look_at(n, r, from, to);
	}
	return OK;
}

static enum err make(struct join *n, utc_ms now)
{
	struct args a;
	enum err e;

	args_init(&a, n->db);
	arg_int(&a, n->job_id);
	TRY(store_job_lock(n->db, &n->job_id, 1));
	e = db_one(n->db, S_strategy_alive, &a, NULL);
	if (e == ERR_NOT_FOUND)
		return fail(db_error(n->db), ERR_DB_RETRY, "the strategy ended meanwhile");
	TRY(e);
	arg_ints(&a, n->devices, n->n_devices);
	arg_texts(&a, n->versions, n->n_devices);
	arg_int(&a, now);
	return db_run(n->db, S_strategy_make, &a, NULL);
}

/* *ret: whether any check is gone. */
static enum err drop_checks(struct join *n, bool *ret)
{
	int64_t *done = ARENA_ARRAY(db_arena(n->db), n->n_checks + 1, int64_t);
	size_t n_done = 0;
	struct args a;

	for (size_t i = 0; i < n->n_checks; i++)
		if (!n->keep[i])
			done[n_done++] = n->checks[i];
	*ret = n_done > 0;
	args_init(&a, n->db);
	arg_ints(&a, done, n_done);
	return db_run(n->db, S_strategy_checked, &a, NULL);
}

static enum err join_in_txn(struct join *n, int64_t product_id, int32_t rows, utc_ms now, bool *ret_progress)
{
	bool made;

	TRY(store_product_lock_tasks(n->db, product_id));
	TRY(read_strategies(n, product_id, now, &made));
	if (!made)
		return OK; /* first those: then a device that several strategies match is given to the newest
			    */
	TRY(read_checks(n, product_id, rows));
	TRY(look(n, product_id));
	if (n->n_devices > 0)
		TRY(make(n, now));
	return drop_checks(n, ret_progress);
}

enum err store_strategy_join(struct db *db, int64_t product_id, int32_t rows, utc_ms now, bool *ret_progress,
			     int64_t *ret_made)
{
	struct join n = { .db = db };

	TRY(db_begin(db));
	TRY(txn_end(db, join_in_txn(&n, product_id, rows, now, ret_progress)));
	*ret_made = (int64_t)n.n_devices;
	return OK;
}
