/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/task_move.h"

#include "storage/job_end.h"

#define STEPS_MAX 4 /* of one task: the bulk order over it, and three events */

/* ---- reading ------------------------------------------------------------------------------------------ */

static size_t run_of(const struct task_moves *m, int64_t job_id)
{
	size_t i = 0;

	while (i < m->n_jobs && m->runs[i].job_id != job_id)
		i++;
	return i;
}

/* The order has moved the numbers already. */
static void apply_order(struct task_moves *m, struct task_move *k)
{
	const struct tick_order *o = tick_order_over(m->orders, m->n_orders, &k->t);
	struct task_event e;
	enum task_state from = k->t.state;
	int64_t *delta = m->counts[run_of(m, k->t.job_id)].delta;

	if (!o)
		return;
	e = (struct task_event){ .kind = TASK_EV_CANCEL, .at = o->at_ms, .desc = o->reason, .why = o->why };
	moves_step(m, k, &e);
	delta[from]++;
	delta[TASK_CANCELED]--;
}

static enum err read_jobs(struct task_moves *m)
{
	size_t n = 0;

	TRY(store_job_lock(m->db, m->jobs, m->n_jobs));
	/* Later statements: what is read now was committed by whoever had the locks before. */
	TRY(store_tick_runs(m->db, m->jobs, m->n_jobs, &m->runs, &n));
	m->n_jobs = n; /* each once */
	for (size_t i = 0; i < n; i++)
		m->jobs[i] = m->runs[i].job_id;
	m->counts = ARENA_ARRAY(db_arena(m->db), n, struct tick_count);
	for (size_t i = 0; i < n; i++)
		m->counts[i].job_id = m->jobs[i];
	return store_tick_orders(m->db, m->jobs, n, &m->orders, &m->n_orders);
}

/* Into what has been read. Whose device is gone has none. */
static enum err read_names(struct task_moves *m)
{
	int64_t *ids = ARENA_ARRAY(db_arena(m->db), m->n + 1, int64_t);
	struct rows *r = NULL;
	struct args a;

	for (size_t i = 0; i < m->n; i++)
		ids[i] = m->tasks[i].t.device_id;
	args_init(&a, m->db);
	arg_ints(&a, ids, m->n);
	TRY(db_run(m->db, S_move_devices, &a, &r));
	for (size_t i = 0; i < m->n; i++) {
		int lo = 0, hi = rows_count(r);

		while (lo < hi) {
			int mid = (lo + hi) / 2;

			if (row_int(r, mid, C_move_devices_device_id) < ids[i])
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < rows_count(r) && row_int(r, lo, C_move_devices_device_id) == ids[i])
			m->tasks[i].device_name = row_text(r, lo, C_move_devices_name);
	}
	return OK;
}

static enum err read_tasks(struct task_moves *m, const int64_t *jobs, const int64_t *seqs, size_t n)
{
	struct task *t;
	size_t count;

	TRY(store_tick_tasks(m->db, jobs, seqs, n, &t, &count));
	m->tasks = ARENA_ARRAY(db_arena(m->db), count, struct task_move);
	m->events = ARENA_ARRAY(db_arena(m->db), count * STEPS_MAX, struct tick_event);
	for (size_t i = 0; i < count; i++) {
		const struct tick_run *run = &m->runs[run_of(m, t[i].job_id)];
		bool again = m->n > 0 && m->tasks[m->n - 1].t.job_id == t[i].job_id &&
			     m->tasks[m->n - 1].t.seq == t[i].seq;

		if (again || t[i].seq > run->tasks) /* rows above are nobody's yet */
			continue;
		m->tasks[m->n] = (struct task_move){ .t = t[i], .job_status = run->status };
		apply_order(m, &m->tasks[m->n++]);
	}
	return read_names(m);
}

enum err store_moves_read(struct db *db, utc_ms now, const struct task_key *keys, size_t n, struct task_moves *ret)
{
	struct arena *a = db_arena(db);
	int64_t *jobs = ARENA_ARRAY(a, n, int64_t), *seqs = ARENA_ARRAY(a, n, int64_t);

	*ret = (struct task_moves){
		.db = db, .now = now, .jobs = ARENA_ARRAY(a, n, int64_t), .rescan = ARENA_ARRAY(a, n, int64_t), .n_jobs = n
	};
	for (size_t i = 0; i < n; i++) {
		jobs[i] = ret->jobs[i] = keys[i].job_id;
		seqs[i] = keys[i].seq;
	}
	if (n == 0)
		return OK;
	TRY(read_jobs(ret));
	return read_tasks(ret, jobs, seqs, n);
}

/* ---- moving ------------------------------------------------------------------------------------------- */

struct task_move *moves_find(const struct task_moves *m, int64_t job_id, int32_t seq)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->tasks[i].t.job_id == job_id && m->tasks[i].t.seq == seq)
			return &m->tasks[i];
	return NULL;
}

void moves_step(struct task_moves *m, struct task_move *k, const struct task_event *e)
{
	struct task_event at = *e;
	size_t run = run_of(m, k->t.job_id);
	struct task_outcome o;

	if (k->t.modified_ms <= e->at + MS_PER_MINUTE) /* else the clock was set back since */
		at.at = i64_max(e->at, k->t.modified_ms); /* the call may have waited for whoever moved it last */
	o = task_step(&k->t, NULL, &at);

	if (!o.changed)
		return;
	ensure(m->n_events < m->n * STEPS_MAX);
	k->changed = true;
	k->ended |= o.ended;
	k->t.order_no = m->runs[run].order_no;
	m->counts[run].delta[o.from]--;
	m->counts[run].delta[k->t.state]++;
	m->events[m->n_events++] = (struct tick_event){ .at_ms = at.at,
							.job_id = k->t.job_id,
							.seq = k->t.seq,
							.from = o.from,
							.to = k->t.state,
							.why = o.why,
							.detail = o.detail };
	if (k->t.state == TASK_QUEUED)
		m->rescan[m->n_rescan++] = k->t.job_id;
}

static enum err write_counts(struct task_moves *m)
{
	struct tick_count *moved = ARENA_ARRAY(db_arena(m->db), m->n_jobs, struct tick_count);
	size_t n = 0;

	for (size_t i = 0; i < m->n_jobs; i++) {
		bool any = false;

		for (int s = 0; s < TASK_STATE_COUNT; s++)
			any = any || m->counts[i].delta[s] != 0;
		if (any)
			moved[n++] = m->counts[i];
	}
	return store_tick_count(m->db, moved, n, m->now);
}

enum err store_moves_write(struct task_moves *m)
{
	const struct task **changed = ARENA_ARRAY(db_arena(m->db), m->n, const struct task *);
	const struct task **ended = ARENA_ARRAY(db_arena(m->db), m->n, const struct task *);
	size_t n_changed = 0, n_ended = 0;
	struct args a;

	for (size_t i = 0; i < m->n; i++) {
		if (m->tasks[i].changed)
			changed[n_changed++] = &m->tasks[i].t;
		if (m->tasks[i].ended)
			ended[n_ended++] = &m->tasks[i].t;
	}
	TRY(store_tick_write_tasks(m->db, changed, n_changed));
	TRY(store_tick_free_devices(m->db, ended, n_ended));
	TRY(write_counts(m));
	TRY(store_tick_log(m->db, m->events, m->n_events));
	if (m->n_rescan == 0)
		return OK;
	args_init(&a, m->db);
	arg_ints(&a, m->rescan, m->n_rescan);
	arg_int(&a, m->now);
	return db_run(m->db, S_move_rescan, &a, NULL);
}

/* ---- devices ------------------------------------------------------------------------------------------ */

enum err store_task_rivals(struct db *db, int64_t job_id, const int64_t *seqs, size_t n, bool multi_module,
			   const char *module, const struct task_rival **ret, size_t *ret_n)
{
	struct task_rival *rivals;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_ints(&a, seqs, n);
	arg_bool(&a, multi_module);
	arg_text(&a, module);
	TRY(db_run(db, S_move_rivals, &a, &r));
	rivals = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct task_rival);
	for (int i = 0; i < rows_count(r); i++)
		rivals[i] = (struct task_rival){
			.key = { .job_id = row_int(r, i, C_move_rivals_job_id),
				 .seq = (int32_t)row_int(r, i, C_move_rivals_seq) },
			.device_id = row_int(r, i, C_move_rivals_device_id),
			.module = row_text(r, i, C_move_rivals_module),
		};
	*ret = rivals;
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_task_hold(struct db *db, int64_t job_id, const int64_t *seqs, size_t n, const char *module)
{
	struct rows *r;
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_int(&a, job_id);
	arg_ints(&a, seqs, n);
	arg_text(&a, module);
	TRY(db_run(db, S_move_hold, &a, &r));
	return (size_t)rows_count(r) == n ? OK : fail(db_error(db), ERR_DB_RETRY, "a device got a task meanwhile");
}

enum err store_task_versions(struct db *db, const int64_t *device_ids, size_t n, const char *module,
			     const char *const **ret)
{
	const char **versions = ARENA_ARRAY(db_arena(db), n, const char *);
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_ints(&a, device_ids, n);
	arg_text(&a, module);
	TRY(db_run(db, S_move_versions, &a, &r));
	ensure((size_t)rows_count(r) == n);
	for (size_t i = 0; i < n; i++)
		versions[i] = row_text(r, (int)i, C_move_versions_version);
	*ret = versions;
	return OK;
}

enum err store_job_reopen(struct db *db, int64_t job_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, job_id);
	arg_int(&a, now);
	return db_run(db, S_move_reopen, &a, NULL);
}

/* ---- scopes ------------------------------------------------------------------------------------------- */

static void scope_args(struct args *a, struct db *db, const struct task_scope *s)
{
	args_init(a, db);
	arg_int(a, s->product_id);
	arg_int(a, s->firmware_id);
	arg_int_or_null(a, s->job_id, 0);
	arg_texts(a, s->names, s->n_names);
}

enum err store_task_of_devices(struct db *db, const struct task_scope *s, const struct task_key **ret, size_t *ret_n)
{
	struct task_key *keys;
	struct rows *r;
	struct args a;

	scope_args(&a, db, s);
	TRY(db_run(db, S_move_of_devices, &a, &r));
	keys = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct task_key);
	for (int i = 0; i < rows_count(r); i++)
		keys[i] = (struct task_key){ .job_id = row_int(r, i, C_move_of_devices_job_id),
					     .seq = (int32_t)row_int(r, i, C_move_of_devices_seq) };
	*ret = keys;
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_task_of_devices_any(struct db *db, const struct task_scope *s, bool *ret)
{
	struct rows *r;
	struct args a;

	scope_args(&a, db, s);
	TRY(db_one(db, S_move_of_devices_any, &a, &r));
	*ret = row_bool(r, 0, C_move_of_devices_any_there);
	return OK;
}

enum err store_task_making(struct db *db, const struct task_scope *s, bool *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, s->firmware_id);
	arg_int_or_null(&a, s->job_id, 0);
	TRY(db_one(db, S_move_making, &a, &r));
	*ret = row_bool(r, 0, C_move_making_making);
	return OK;
}
