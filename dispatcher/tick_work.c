/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks that a tick has in hand: locked, read, moved, written back (docs/architecture.md, "Lock order").
 */
#include "dispatcher/tick_priv.h"

#include "engine/text.h"
#include "storage/job_end.h"

#include <stdlib.h>
#include <string.h>

void work_want(struct work *w, int64_t job_id, int32_t seq, bool must_lock)
{
	if (seq > 0)
		VEC_ADD(w->a, &w->keys, ((struct key){ .job_id = job_id, .seq = seq }));
	if (must_lock)
		VEC_ADD(w->a, &w->jobs_wanted, job_id);
	else
		VEC_ADD(w->a, &w->jobs_if_free, job_id);
}

static int by_key(const void *x, const void *y)
{
	const struct key *a = x, *b = y;

	if (a->job_id != b->job_id)
		return a->job_id < b->job_id ? -1 : 1;
	return (a->seq > b->seq) - (a->seq < b->seq);
}

static int by_id(const void *x, const void *y)
{
	const int64_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

/* Sorts and makes unique; returns the new number. */
static size_t sorted_ids(int64_t *ids, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(ids, n, sizeof *ids, by_id);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[kept - 1])
			ids[kept++] = ids[i];
	return kept;
}

const struct tick_run *work_run(const struct work *w, int64_t job_id)
{
	size_t lo = 0, hi = w->n_runs;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (w->runs[mid].job_id < job_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n_runs && w->runs[lo].job_id == job_id ? &w->runs[lo] : NULL;
}

struct work_task *work_find(struct work *w, int64_t job_id, int32_t seq)
{
	struct key want = { .job_id = job_id, .seq = seq };
	size_t lo = 0, hi = w->n_tasks;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct key have = { .job_id = w->tasks[mid].t.job_id, .seq = w->tasks[mid].t.seq };

		if (by_key(&have, &want) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n_tasks && w->tasks[lo].t.job_id == job_id && w->tasks[lo].t.seq == seq ? &w->tasks[lo]
											       : NULL;
}

/* Locks: what has to be locked, waiting; then what is free. Remembers who was busy, and waits for those the
 * third time. */
static enum err lock_jobs(struct work *w, int64_t **ret, size_t *ret_n)
{
	const int64_t *got = NULL;
	size_t n_got = 0, n;
	int64_t *all, *wanted, *maybe;
	struct live_job *j;

	for (size_t i = 0; i < w->jobs_if_free.n; i++) {
		j = jobs_find(&w->g->jobs, w->jobs_if_free.items[i]);
		if (j && j->skipped >= 2)
			VEC_ADD(w->a, &w->jobs_wanted, w->jobs_if_free.items[i]);
	}
	wanted = w->jobs_wanted.items;
	n = sorted_ids(wanted, w->jobs_wanted.n);
	maybe = w->jobs_if_free.items;
	w->jobs_if_free.n = sorted_ids(maybe, w->jobs_if_free.n);
	TRY(store_job_lock(w->g->db, wanted, n));
	TRY(store_tick_lock_free(w->g->db, maybe, w->jobs_if_free.n, &got, &n_got));
	for (size_t i = 0, k = 0; i < w->jobs_if_free.n; i++) {
		bool have = k < n_got && got[k] == maybe[i];

		k += have;
		j = jobs_find(&w->g->jobs, maybe[i]);
		if (j)
			j->skipped = have ? 0 : j->skipped + 1;
	}
	all = ARENA_ARRAY(w->a, n + n_got + 1, int64_t);
	if (n)
		memcpy(all, wanted, n * sizeof *all);
	if (n_got)
		memcpy(all + n, got, n_got * sizeof *all);
	*ret_n = sorted_ids(all, n + n_got);
	*ret = all;
	return OK;
}

/* Whoever touches a task that a bulk order has canceled writes that first; the order moved the numbers. */
static void apply_order(struct work *w, struct work_task *k)
{
	const struct tick_order *o = tick_order_over(w->orders, w->n_orders, &k->t);
	struct task_event e;
	int64_t *delta = w->counts[k->run - w->runs].delta;
	enum task_state from = k->t.state;

	if (!o)
		return;
	e = (struct task_event){ .kind = TASK_EV_CANCEL, .at = o->at_ms, .desc = o->reason, .why = o->why };
	work_step(w, k, &e);
	if (k->t.state != from) {
		delta[from]++;
		delta[k->t.state]--;
	}
}

static enum err load_tasks(struct work *w)
{
	int64_t *job_ids, *seqs;
	struct task *t = NULL;
	size_t n = 0, n_rows = 0;

	if (w->keys.n == 0)
		return OK;
	qsort(w->keys.items, w->keys.n, sizeof *w->keys.items, by_key);
	job_ids = ARENA_ARRAY(w->a, w->keys.n, int64_t);
	seqs = ARENA_ARRAY(w->a, w->keys.n, int64_t);
	for (size_t i = 0; i < w->keys.n; i++) {
		const struct key *k = &w->keys.items[i];

		if ((n > 0 && job_ids[n - 1] == k->job_id && seqs[n - 1] == k->seq) ||
		    !work_run(w, k->job_id))
			continue;
		job_ids[n] = k->job_id;
		seqs[n++] = k->seq;
	}
	TRY(store_tick_tasks(w->g->db, job_ids, seqs, n, &t, &n_rows));
	w->tasks = ARENA_ARRAY(w->a, n_rows + 1, struct work_task);
	for (size_t i = 0; i < n_rows; i++) {
		struct work_task *k = &w->tasks[w->n_tasks];

		task_set_back(&t[i], w->now);
		*k = (struct work_task){ .t = t[i],
					 .read = &t[i],
					 .job = jobs_find(&w->g->jobs, t[i].job_id),
					 .run = work_run(w, t[i].job_id) };
		if (k->job && k->run && k->t.seq <= k->run->tasks)
			w->n_tasks++; /* rows above are nobody's yet */
	}
	return OK;
}

enum err work_load(struct work *w)
{
	int64_t *jobs = NULL;
	size_t n = 0;

	TRY(lock_jobs(w, &jobs, &n));
	if (n == 0)
		return OK;
	TRY(timers_jobs(w));
	/* Later statements: what is read now was committed by whoever had the locks before. */
	TRY(store_tick_runs(w->g->db, jobs, n, &w->runs, &w->n_runs));
	TRY(store_tick_orders(w->g->db, jobs, n, &w->orders, &w->n_orders));
	w->counts = ARENA_ARRAY(w->a, w->n_runs + 1, struct tick_count);
	for (size_t i = 0; i < w->n_runs; i++) {
		struct live_job *j = jobs_find(&w->g->jobs, w->runs[i].job_id);

		w->counts[i].job_id = w->runs[i].job_id;
		if (j)
			TRY(jobs_renew(j, w->g->db, w->runs[i].settings_no));
	}
	TRY(load_tasks(w));
	for (size_t i = 0; i < w->n_tasks; i++)
		apply_order(w, &w->tasks[i]);
	return OK;
}

static void arm(struct work *w, const struct work_task *k, enum timer_kind kind, utc_ms due)
{
	struct tick_timer t = { .due_ms = due, .job_id = k->t.job_id, .seq = k->t.seq, .kind = kind };

	if (!due)
		return;
	VEC_ADD(w->a, &w->arm, t);
	if (due <= w->timers_until)
		VEC_ADD(w->a, &w->soon, t);
}

void work_step(struct work *w, struct work_task *k, const struct task_event *e)
{
	struct task_outcome o = task_step(&k->t, &k->job->set.rules, e);
	int64_t *delta = w->counts[k->run - w->runs].delta;

	if (!o.changed)
		return;
	k->changed = true;
	k->t.order_no = k->run->order_no;
	delta[o.from]--;
	delta[k->t.state]++;
	if (o.ended) {
		k->ended = true;
		VEC_ADD(w->a, &w->settle, k->t.job_id);
	}
	if (o.why != WHY_NONE)
		VEC_ADD(w->a, &w->events,
			((struct tick_event){ .at_ms = e->at,
					      .job_id = k->t.job_id,
					      .seq = k->t.seq,
					      .from = o.from,
					      .to = k->t.state,
					      .why = o.why,
					      .detail = o.detail }));
	arm(w, k, TIMER_TIMEOUT, o.arm_timeout_ms);
	arm(w, k, TIMER_RETRY, o.arm_retry_ms);
	arm(w, k, TIMER_VERDICT, o.arm_verdict_ms);
}

static enum err write_counts(struct work *w)
{
	struct tick_count *moved = ARENA_ARRAY(w->a, w->n_runs + 1, struct tick_count);
	size_t n = 0;

	for (size_t i = 0; i < w->n_runs; i++) {
		bool any = false;

		for (int s = 0; s < TASK_STATE_COUNT; s++)
			any = any || w->counts[i].delta[s] != 0;
		if (any)
			moved[n++] = w->counts[i];
	}
	return store_tick_count(w->g->db, moved, n, w->now);
}

static bool same(const char *a, const char *b)
{
	return (!a && !b) || text_same(a, b);
}

static bool same_texts(const struct task *a, const struct task *b)
{
	return same(a->pending_version, b->pending_version) && same(a->fail_desc, b->fail_desc) &&
	       same(a->src_version, b->src_version) && same(a->task_desc, b->task_desc);
}

enum err work_write(struct work *w)
{
	const struct task **changed = ARENA_ARRAY(w->a, w->n_tasks + 1, const struct task *);
	const struct task **moved = ARENA_ARRAY(w->a, w->n_tasks + 1, const struct task *);
	const struct task **ended = ARENA_ARRAY(w->a, w->n_tasks + 1, const struct task *);
	size_t n_changed = 0, n_moved = 0, n_ended = 0;
	struct db *db = w->g->db;

	for (size_t i = 0; i < w->n_tasks; i++) {
		const struct work_task *k = &w->tasks[i];

		if (k->changed && same_texts(&k->t, k->read))
			moved[n_moved++] = &k->t;
		else if (k->changed)
			changed[n_changed++] = &k->t;
		if (w->tasks[i].ended)
			ended[n_ended++] = &w->tasks[i].t;
	}
	TRY(store_tick_write_tasks(db, changed, n_changed));
	TRY(store_tick_write_numbers(db, moved, n_moved));
	TRY(store_tick_free_devices(db, ended, n_ended));
	TRY(store_tick_set_timers(db, w->arm.items, w->arm.n));
	TRY(store_tick_drop_timers(db, w->timers, w->n_timers));
	TRY(write_counts(w));
	TRY(store_tick_log(db, w->events.items, w->events.n));
	return store_job_settle(db, w->settle.items, w->settle.n, w->now);
}
