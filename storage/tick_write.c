/* SPDX-License-Identifier: Apache-2.0 */
/* What the tick writes back; see tick.h. Every array is one parameter; n = 0 is no statement at all. */
#include "storage/tick.h"

/* An array parameter: member `expr` of element i. */
#define INTS(args, n, expr)                                                 \
	do {                                                                \
		int64_t *v_ = ARENA_ARRAY((args)->arena, (n) + 1, int64_t); \
		for (size_t i = 0; i < (n); i++)                            \
			v_[i] = (int64_t)(expr);                            \
		arg_ints((args), v_, (n));                                  \
	} while (0)
#define TEXTS(args, n, expr)                                                         \
	do {                                                                         \
		const char **v_ = ARENA_ARRAY((args)->arena, (n) + 1, const char *); \
		for (size_t i = 0; i < (n); i++)                                     \
			v_[i] = (expr);                                              \
		arg_texts((args), v_, (n));                                          \
	} while (0)

static void numbers_of(struct args *a, const struct task *const *t, size_t n)
{
	INTS(a, n, t[i]->job_id);
	INTS(a, n, t[i]->seq);
	INTS(a, n, t[i]->state);
	INTS(a, n, t[i]->order_no);
	INTS(a, n, t[i]->progress);
	INTS(a, n, t[i]->retries);
	INTS(a, n, t[i]->pushes);
	INTS(a, n, i64_min(t[i]->repushes, INT16_MAX));
	INTS(a, n, t[i]->push_conn);
	INTS(a, n, t[i]->push_ms);
	INTS(a, n, t[i]->timeout_ms);
	INTS(a, n, t[i]->retry_ms);
	INTS(a, n, t[i]->verdict_ms);
	INTS(a, n, t[i]->fail_ms);
	INTS(a, n, t[i]->modified_ms);
}

enum err store_tick_write_tasks(struct db *db, const struct task *const *t, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	numbers_of(&a, t, n);
	TEXTS(&a, n, t[i]->pending_version);
	TEXTS(&a, n, t[i]->fail_desc);
	TEXTS(&a, n, t[i]->src_version);
	TEXTS(&a, n, t[i]->task_desc ? t[i]->task_desc : "");
	return db_run(db, S_tick_write_tasks, &a, NULL);
}

enum err store_tick_write_numbers(struct db *db, const struct task *const *t, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	numbers_of(&a, t, n);
	return db_run(db, S_tick_write_numbers, &a, NULL);
}

enum err store_tick_free_devices(struct db *db, const struct task *const *t, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, t[i]->device_id);
	INTS(&a, n, t[i]->job_id);
	INTS(&a, n, t[i]->seq);
	return db_run(db, S_tick_free_devices, &a, NULL);
}

static enum err timers(struct db *db, enum stmt s, const struct tick_timer *t, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, t[i].due_ms);
	INTS(&a, n, t[i].job_id);
	INTS(&a, n, t[i].seq);
	INTS(&a, n, t[i].kind);
	return db_run(db, s, &a, NULL);
}

enum err store_tick_set_timers(struct db *db, const struct tick_timer *t, size_t n)
{
	return timers(db, S_tick_set_timers, t, n);
}

enum err store_tick_drop_timers(struct db *db, const struct tick_timer *t, size_t n)
{
	return timers(db, S_tick_drop_timers, t, n);
}

enum err store_tick_count(struct db *db, const struct tick_count *c, size_t n, utc_ms now)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, c[i].job_id);
	for (int s = TASK_NONE + 1; s < TASK_STATE_COUNT; s++)
		INTS(&a, n, c[i].delta[s]);
	arg_int(&a, now);
	return db_run(db, S_tick_count, &a, NULL);
}

static bool to_be_told(const struct tick_event *e)
{
	return (e->to == TASK_SUCCEEDED || e->to == TASK_FAILED) && e->why != WHY_CONFLICT;
}

static void moves_of(struct args *a, const struct tick_event *e, size_t n)
{
	INTS(a, n, e[i].at_ms);
	INTS(a, n, e[i].job_id);
	INTS(a, n, e[i].seq);
	INTS(a, n, e[i].to);
	INTS(a, n, e[i].why);
	TEXTS(a, n, e[i].detail);
}

static enum err tell(struct db *db, const struct tick_event *e, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	moves_of(&a, e, n);
	return db_run(db, S_tick_tell, &a, NULL);
}

enum err store_tick_log(struct db *db, const struct tick_event *e, size_t n)
{
	struct tick_event *told = ARENA_ARRAY(db_arena(db), n + 1, struct tick_event);
	size_t n_told = 0;
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	moves_of(&a, e, n);
	INTS(&a, n, e[i].from);
	TRY(db_run(db, S_tick_log, &a, NULL));
	for (size_t i = 0; i < n; i++)
		if (to_be_told(&e[i]))
			told[n_told++] = e[i];
	return tell(db, told, n_told);
}

enum err store_tick_versions(struct db *db, const struct tick_version *v, size_t n, utc_ms ordered_since, utc_ms now)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, v[i].device_id);
	TEXTS(&a, n, v[i].module);
	TEXTS(&a, n, v[i].version);
	INTS(&a, n, v[i].reported_ms);
	arg_int(&a, now);
	arg_text(&a, VERSION_PLACEHOLDER);
	INTS(&a, n, v[i].heard_ms);
	arg_int(&a, ordered_since);
	return db_run(db, S_tick_versions, &a, NULL);
}

enum err store_tick_sessions(struct db *db, const struct tick_session *s, size_t n)
{
	struct args a;
	const char **online;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, s[i].device_id);
	online = ARENA_ARRAY(a.arena, n, const char *);
	for (size_t i = 0; i < n; i++)
		online[i] = s[i].online ? "t" : "f";
	arg_texts(&a, online, n);
	INTS(&a, n, s[i].conn);
	TEXTS(&a, n, s[i].ip ? s[i].ip : "");
	INTS(&a, n, s[i].at_ms);
	return db_run(db, S_tick_sessions, &a, NULL);
}

enum err store_tick_session_rest(struct db *db, const int64_t *online_ids, size_t n, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_ints(&a, online_ids, n);
	arg_int(&a, now);
	return db_run(db, S_tick_session_rest, &a, NULL);
}

static enum err job_at(struct db *db, enum stmt s, int64_t job_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, now);
	return db_run(db, s, &a, NULL);
}

enum err store_tick_start_job(struct db *db, int64_t job_id, utc_ms now)
{
	return job_at(db, S_tick_start_job, job_id, now);
}

enum err store_tick_finish_job(struct db *db, int64_t job_id, utc_ms now)
{
	return job_at(db, S_tick_finish_job, job_id, now);
}

enum err store_tick_batch(struct db *db, int64_t id, utc_ms now, const struct tick_push *p, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_int(&a, id);
	arg_int(&a, now);
	INTS(&a, n, p[i].job_id);
	INTS(&a, n, p[i].seq);
	INTS(&a, n, p[i].per_minute);
	return db_run(db, S_tick_batch, &a, NULL);
}

enum err store_tick_batches_unsent(struct db *db, const struct tick_unsent *u, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	INTS(&a, n, u[i].batch_id);
	INTS(&a, n, u[i].job_id);
	INTS(&a, n, u[i].seq);
	return db_run(db, S_tick_batches_unsent, &a, NULL);
}

enum err store_tick_batches_acked(struct db *db, const int64_t *ids, size_t n, utc_ms now)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_ints(&a, ids, n);
	arg_int(&a, now);
	return db_run(db, S_tick_batches_acked, &a, NULL);
}

enum err store_tick_batches_drop(struct db *db, utc_ms acked_before)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, acked_before);
	return db_run(db, S_tick_batches_drop, &a, NULL);
}

enum err store_tick_set_position(struct db *db, const char *journal_id, uint64_t position, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_text(&a, journal_id);
	arg_int(&a, (int64_t)position);
	arg_int(&a, now);
	return db_run(db, S_tick_set_position, &a, NULL);
}
