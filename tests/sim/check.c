/* SPDX-License-Identifier: Apache-2.0 */
/* After every step: the model follows what the log says, everything it decides alone has to be there too, and
 * the rows have to be as it says. Then what must always hold (architecture.md). */
#include "tests/sim/model_priv.h"

#include "dispatcher/journal.h"
#include "engine/base/clock.h"
#include "engine/conflict.h"
#include "engine/ids.h"
#include "storage/job.h"
#include "storage/task.h"

#include <stdlib.h>
#include <string.h>

#define GRACE_MS 1000
#define GRACE_RUNNING_MS 5000
#define AGAIN_MIN_MS 60000
#define AGAIN_MAX_MS 1800000
#define LOOK_MS 250 /* timers are looked for five times a second */
#define HANDOVER_US (1 * US_PER_SECOND)

/* ---- what the database says ---- */

struct job_seen {
	int64_t id, orders;
	enum job_status status;
	bool paused;
	int making, chosen, made;
	int64_t count[TASK_STATE_COUNT];
	struct sim_job *j;
};
struct order_seen {
	struct sim_job *j;
	int64_t no, mask;
	const char *reason;
	enum event_why why;
	utc_ms at;
};
struct seen {
	uint64_t position;
	struct job_seen *jobs;
	size_t n_jobs;
	struct task_seen *tasks;
	size_t n_tasks;
	struct logged *log;
	size_t n_log;
	struct order_seen *orders;
	size_t n_orders;
};

static struct rows *query(struct world *w, const char *sql)
{
	struct rows *r = NULL;

	if (db_script_rows(w->db_watch, sql, &r) != OK)
		broken(w, "looking: %s", error_text(db_error(w->db_watch)));
	return r;
}

static void see_jobs(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = query(w, "select r.job_id, r.order_no, r.status, r.paused, r.making, r.chosen, r.made_seq,"
				  " n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled,"
				  " j.tag_values[1] from job_run r join job j on j.id = r.job_id order by r.job_id");

	s->n_jobs = (size_t)rows_count(r);
	s->jobs = ARENA_ARRAY(a, s->n_jobs + 1, struct job_seen);
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct job_seen *j = &s->jobs[i];

		*j = (struct job_seen){ .id = row_int(r, (int)i, 0),
					.orders = row_int(r, (int)i, 1),
					.status = (enum job_status)row_int(r, (int)i, 2),
					.paused = row_bool(r, (int)i, 3),
					.making = (int)row_int(r, (int)i, 4),
					.chosen = (int)row_int(r, (int)i, 5),
					.made = (int)row_int(r, (int)i, 6),
					.j = &w->jobs[row_int(r, (int)i, 14)] };
		for (int k = TASK_CONFIRM; k <= TASK_CANCELED; k++)
			j->count[k] = row_int(r, (int)i, 6 + k);
		if (j->j->id == 0)
			j->j->id = j->id; /* so its creation was committed */
		if (j->j->id != j->id)
			broken(w, "job %lld is not the one with its tag", (long long)j->id);
	}
}

static void see_tasks(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = query(w, "select t.job_id, t.seq, t.device_id, n.state, t.state, t.progress, t.retries, t.push_conn,"
				  " t.pushes, t.timeout_ms, t.retry_ms, t.verdict_ms, n.task_desc, t.src_version,"
				  " t.pending_version, a.module"
				  " from task t join task_now n on n.job_id = t.job_id and n.seq = t.seq"
				  " left join active_task a on a.job_id = t.job_id and a.seq = t.seq order by 1, 2");

	s->n_tasks = (size_t)rows_count(r);
	s->tasks = ARENA_ARRAY(a, s->n_tasks + 1, struct task_seen);
	for (int i = 0; i < (int)s->n_tasks; i++)
		s->tasks[i] = (struct task_seen){ .job_id = row_int(r, i, 0),
						  .seq = (int32_t)row_int(r, i, 1),
						  .device_id = row_int(r, i, 2),
						  .state = (enum task_state)row_int(r, i, 3),
						  .row_state = (enum task_state)row_int(r, i, 4),
						  .progress = (int)row_int(r, i, 5),
						  .retries = (int)row_int(r, i, 6),
						  .push_conn = row_int(r, i, 7),
						  .pushes = row_int(r, i, 8),
						  .timeout_ms = row_int(r, i, 9),
						  .retry_ms = row_int(r, i, 10),
						  .verdict_ms = row_int(r, i, 11),
						  .desc = row_text(r, i, 12),
						  .src = row_text(r, i, 13),
						  .pending = row_text(r, i, 14),
						  .held = row_text(r, i, 15) };
}

static void see_log(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = query(w, arena_printf(a, "select no, job_id, seq, to_seq, from_state, to_state, why, at_ms, detail"
						  " from task_event where no > %lld order by no",
					       (long long)w->model->last_no));

	s->n_log = (size_t)rows_count(r);
	s->log = ARENA_ARRAY(a, s->n_log + 1, struct logged);
	for (int i = 0; i < (int)s->n_log; i++) {
		s->log[i] = (struct logged){ .no = row_int(r, i, 0),
					     .job_id = row_int(r, i, 1),
					     .seq = (int32_t)row_int(r, i, 2),
					     .to_seq = (int32_t)row_int(r, i, 3),
					     .from = (enum task_state)row_int(r, i, 4),
					     .to = (enum task_state)row_int(r, i, 5),
					     .why = (enum event_why)row_int(r, i, 6),
					     .at = row_int(r, i, 7),
					     .detail = row_text(r, i, 8) };
		w->model->last_no = s->log[i].no;
	}
}

static void see_orders(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = query(w, "select job_id, no, state_mask, reason, why, at_ms from job_order order by job_id, no");

	s->orders = ARENA_ARRAY(a, (size_t)rows_count(r) + 1, struct order_seen);
	for (int i = 0; i < rows_count(r); i++) {
		struct order_seen o = { .j = world_job(w, row_int(r, i, 0)),
					.no = row_int(r, i, 1),
					.mask = row_int(r, i, 2),
					.reason = arena_strdup(&w->arena, row_text(r, i, 3)),
					.why = (enum event_why)row_int(r, i, 4),
					.at = row_int(r, i, 5) };

		if (o.no > o.j->orders)
			s->orders[s->n_orders++] = o;
	}
}

static void see(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r;

	*s = (struct seen){ .position = w->model->position };
	r = query(w, "select coalesce(max(position), 0) from journal_position");
	s->position = (uint64_t)row_int(r, 0, 0);
	see_jobs(w, a, s);
	see_tasks(w, a, s);
	see_log(w, a, s);
	see_orders(w, a, s);
}

/* ---- names ---- */

static const char *state_name(enum task_state s)
{
	return s == TASK_NONE ? "-" : task_state_name(s);
}

static int job_index(const struct world *w, const struct sim_job *j)
{
	return (int)(j - w->jobs);
}

static const char *name_of(struct world *w, const struct model_task *t)
{
	return arena_printf(&w->arena, "task %d of job %d (%s)", (int)t->seq, (int)t->job, t->device->name);
}

/* ---- the log ---- */

void must_be_logged(struct world *w, struct model_task *t, enum event_why why, enum task_state from, utc_ms at)
{
	const struct logged *l = t->log;

	if (!l)
		broken(w, "%s: %s to %s by %s has to happen and is not in the log", name_of(w, t), state_name(from),
		       state_name(t->state), event_why_name(why));
	if (l->why != why || l->from != from || l->to != t->state || (at >= 0 && l->at != at))
		broken(w, "%s: %s to %s by %s at %lld has to happen; the log says %s to %s by %s at %lld", name_of(w, t),
		       state_name(from), state_name(t->state), event_why_name(why), (long long)at, state_name(l->from),
		       state_name(l->to), event_why_name(l->why), (long long)l->at);
	if (at < 0 && (l->at < w->model->last_look || l->at > clock_now()))
		broken(w, "%s: %s at %lld, which is not now", name_of(w, t), event_why_name(why), (long long)l->at);
	trace(w, "%s: %s to %s by %s", name_of(w, t), state_name(from), state_name(t->state), event_why_name(why));
	t->log = l->next;
}

static struct model_task *task_of(struct world *w, int64_t job_id, int32_t seq)
{
	struct sim_job *j = world_job(w, job_id);

	return j && seq <= j->made ? j->tasks[seq - 1] : NULL;
}

/* Rows of the log to their tasks; the tasks of new ranges are made, empty. */
static void deal_out(struct world *w, struct seen *s)
{
	struct model_task *t;

	for (size_t i = 0; i < s->n_log; i++) {
		struct logged *l = &s->log[i], **end;
		struct sim_job *j = world_job(w, l->job_id);

		if (l->from == TASK_NONE) {
			if (l->seq != j->made + 1 || l->to_seq > (int)j->n_expected)
				broken(w, "job %d: tasks %d to %d are made after %d of %zu", job_index(w, j), l->seq,
				       l->to_seq, j->made, j->n_expected);
			for (; j->made < l->to_seq; j->made++) {
				t = ARENA_NEW(&w->arena, struct model_task);
				*t = (struct model_task){ .job = (size_t)job_index(w, j),
							  .seq = j->made + 1,
							  .device = &w->devices[j->expected[j->made]],
							  .device_row = w->devices[j->expected[j->made]].row };
				j->tasks[j->made] = t;
			}
			continue;
		}
		t = task_of(w, l->job_id, l->seq);
		if (!t)
			broken(w, "the log speaks of task %d of job %d, which is not made", l->seq, job_index(w, j));
		for (end = &t->log; *end; end = &(*end)->next)
			;
		*end = l;
	}
}

/* ---- making: conflicts (api §10.8) ---- */

static struct model_task *newest_of(struct world *w, const struct device *d)
{
	for (size_t i = w->model->tasks.n; i-- > 0;)
		if (w->model->tasks.items[i]->device == d)
			return w->model->tasks.items[i];
	return NULL;
}

/* Are two tasks of one device in each other's way? */
static bool in_the_way(const struct world *w, const struct model_task *a, const struct model_task *b)
{
	const struct sim_job *x = job_of(w, a), *y = job_of(w, b);

	return !x->multi_module || !y->multi_module || x->package->module == y->package->module;
}

/* May the new one replace it? */
static bool gives_way(const struct world *w, const struct model_task *old, const struct model_task *new)
{
	const struct sim_job *mine = job_of(w, new), *its = job_of(w, old);

	if (old->state == TASK_IN_PROGRESS)
		return false;
	return mine->multi_module ? its->multi_module : mine->overwrite_mode == 2;
}

static const char *with_job(struct world *w, const char *text, const struct sim_job *j)
{
	char id[ID_LEN + 1];

	id_format(ID_JOB, j->id, 0, id);
	return arena_printf(&w->arena, "%s%s", text, id);
}

static void conflicts(struct world *w, struct model_task *t, utc_ms at)
{
	const struct model_task *stays = NULL;
	struct model_task *o;

	for (o = t->older; o; o = o->older)
		if (unfinished(o) && in_the_way(w, o, t)) {
			if (!gives_way(w, o, t))
				stays = o;
		}
	if (stays) { /* which of several is named is not ruled */
		const char *named = t->log && t->log->detail ? t->log->detail : "";

		for (o = t->older; o; o = o->older)
			if (unfinished(o) && in_the_way(w, o, t)) {
				const char *text = with_job(w, "device has an unfinished upgrade task of job ", job_of(w, o));

				if (strcmp(text, named) == 0) {
					rule_end(w, t, TASK_FAILED, text, WHY_CONFLICT, at);
					return;
				}
			}
		broken(w, "%s loses to %s; its reason is \"%s\"", name_of(w, t), name_of(w, stays), named);
	}
	for (o = t->older; o; o = o->older)
		if (unfinished(o) && in_the_way(w, o, t))
			rule_end(w, o, TASK_CANCELED, with_job(w, "overwritten by job ", job_of(w, t)), WHY_OVERWRITTEN, at);
}

/* A chunk of tasks, as the log has it: they begin, and the conflicts among devices are decided. */
static void made(struct world *w, const struct logged *range)
{
	struct sim_job *j = world_job(w, range->job_id);
	enum task_state first = j->need_confirm ? TASK_CONFIRM : TASK_QUEUED;
	bool canceled = (j->mask_seen & TASK_BIT(first)) != 0;

	if (range->to != (canceled ? TASK_CANCELED : first))
		broken(w, "job %d: tasks %d to %d are made %s", job_index(w, j), range->seq, range->to_seq,
		       state_name(range->to));
	for (int32_t seq = range->seq; seq <= range->to_seq; seq++) {
		struct model_task *t = j->tasks[seq - 1];

		t->src = model_version(w, t->device, j->package->module, j->created_ms);
		t->state = range->to;
		t->desc = canceled ? range->detail : "";
		t->desc = arena_strdup(&w->arena, t->desc);
		t->older = newest_of(w, t->device);
		LIST_ADD(&w->model->tasks, t);
		trace(w, "%s: made %s", name_of(w, t), state_name(t->state));
		if (canceled)
			t->ended_us = sim_now_us();
		else if (t->device->deleted)
			rule_end(w, t, TASK_CANCELED, TASK_REASON_DELETED, WHY_DELETED, range->at);
		else
			conflicts(w, t, range->at);
	}
}

/* ---- bulk orders ---- */

static void ordered(struct world *w, const struct order_seen *o)
{
	o->j->orders = o->no;
	o->j->mask_seen |= o->mask;
	for (int i = 0; i < o->j->made; i++) {
		struct model_task *t = o->j->tasks[i];

		if (!unfinished(t) || !(o->mask & TASK_BIT(t->state)))
			continue;
		t->owed = o->why;
		t->owed_from = t->state;
		t->owed_at = o->at;
		rule_end(w, t, TASK_CANCELED, o->reason, o->why, o->at);
		trace(w, "%s: canceled by order %lld", name_of(w, t), (long long)o->no);
	}
	if (o->why != WHY_FINISH_TIME)
		return;
	if (!o->j->finish_ms || o->at < o->j->finish_ms)
		broken(w, "job %d is finished at %lld", job_index(w, o->j), (long long)o->at);
	o->j->finished = true;
}

/* ---- reports ---- */

/* The task that a report is about: of its module; else, for progress, the device's only one (device §2.7). */
static struct model_task *meant(struct world *w, const struct said *s)
{
	struct model_task *only = NULL, *t;
	int n = 0;

	for (t = newest_of(w, s->device); t; t = t->older) {
		if (!t->held)
			continue;
		if (job_of(w, t)->package->module == s->module)
			return t;
		only = t;
		n++;
	}
	return n == 1 && s->kind == SAID_STEP ? only : NULL;
}

static void pull(struct world *w, struct model_task *t)
{
	const struct sim_job *j = job_of(w, t);
	bool answered = t->log && t->log->why == WHY_PULL;
	utc_ms at = answered ? t->log->at : clock_now();
	bool may = j->status == JOB_IN_PROGRESS && !j->paused && unfinished(t) && t->state != TASK_CONFIRM &&
		   t->retry_at <= at;

	if (answered && !may)
		broken(w, "%s is answered to its device's request", name_of(w, t));
	if (answered)
		rule_push(w, t, at, 0, true);
	else if (may && t->retry_at <= w->model->last_look)
		broken(w, "%s is not answered to its device's request", name_of(w, t));
}

static void applied(struct world *w, const struct received *r)
{
	const struct said *s = &w->model->said.items[r->said - 1];
	struct model_task *t = meant(w, s);

	trace(w, "%s: said %d %s%d of %s at %lld%s", s->device->name, (int)s->kind, s->version ? s->version : "", s->step,
	      sim_modules[s->module], (long long)r->at, t ? "" : ", of no task");
	if (s->kind == SAID_NONSENSE || s->device->deleted)
		return;
	if (s->kind == SAID_VERSION)
		model_reported(w, s->device, s->module, s->version, r->at);
	if (!t)
		return;
	while (rule_timer(w, t, r->at))
		;
	switch (s->kind) {
	case SAID_VERSION:
		rule_version(w, t, s->version, r->at);
		break;
	case SAID_STEP:
		rule_step(w, t, s->step, s->text, r->at, r->reconnected);
		break;
	case SAID_PULL:
		pull(w, t);
		break;
	case SAID_NONSENSE:
		break;
	}
}

/* ---- pushes ---- */

static void pushed(struct world *w, struct model_task *t, int64_t conn)
{
	const struct sim_job *j = job_of(w, t);
	struct conn_seen *c = conn ? model_conn(w, conn) : NULL;
	utc_ms at = t->log->at, due = t->retry_at;

	if (!j->need_push || j->rate == 0 || j->status != JOB_IN_PROGRESS || j->paused || t->state == TASK_CONFIRM ||
	    !unfinished(t))
		broken(w, "%s is pushed in state %s of job %s%s", name_of(w, t), state_name(t->state),
		       job_status_name(j->status), j->paused ? ", paused" : "");
	if (conn && (!c || c->device != t->device))
		broken(w, "%s is pushed to another's connection", name_of(w, t));
	if (c && c->over_at && c->over_at <= w->model->position_before)
		broken(w, "%s is pushed to a connection that has ended", name_of(w, t));
	if (c && !t->retry_at)
		due = c->since + (t->state == TASK_IN_PROGRESS ? GRACE_RUNNING_MS : GRACE_MS);
	if (c && t->state != TASK_QUEUED && !t->retry_at) {
		if (t->pushed_conn == conn && t->doubts == w->cuts + w->crashes)
			broken(w, "%s is pushed twice to one connection", name_of(w, t));
		if (t->again > 0 && t->doubts == w->cuts + w->crashes) {
			int64_t pause = AGAIN_MIN_MS;

			for (int i = 1; i < t->again && pause < AGAIN_MAX_MS; i++)
				pause *= 2;
			due = i64_max(due, t->pushed_at + i64_min(pause, AGAIN_MAX_MS));
		}
	}
	if (at < due)
		broken(w, "%s is pushed at %lld, %lld ms early", name_of(w, t), (long long)at, (long long)(due - at));
	rule_push(w, t, at, conn, false);
}

/* What is left of a task's log: what the product did by its own choice, and timers that it fired. */
static void follow(struct world *w, struct model_task *t, const struct task_seen *row)
{
	while (t->log) {
		enum event_why why = t->log->why;

		if (t->owed) {
			must_be_logged(w, t, t->owed, t->owed_from, t->owed_at);
			t->owed = WHY_NONE;
		} else if (why == WHY_PUSH) {
			pushed(w, t, row->push_conn);
		} else if (why == WHY_DELETED && t->device->deleted) {
			rule_end(w, t, TASK_CANCELED, TASK_REASON_DELETED, WHY_DELETED, -1);
		} else if (!rule_timer(w, t, clock_now() + 1)) {
			broken(w, "%s: %s to %s by %s is not ruled", name_of(w, t), state_name(t->log->from),
			       state_name(t->log->to), event_why_name(why));
		}
	}
}

/* ---- rows ---- */

static bool same(const char *a, const char *b)
{
	return !a || !b ? a == b : strcmp(a, b) == 0;
}

static const char *difference(const struct model_task *t, const struct task_seen *row)
{
	if (row->state != t->state)
		return "state";
	if (!same(row->desc, t->desc))
		return "task_desc";
	if (t->owed)
		return row->held ? NULL : "held";
	if (row->progress != t->progress)
		return "progress";
	if (row->retries != t->retries)
		return "retries";
	if (!same(row->src, t->src))
		return "src_version";
	if (row->timeout_ms != t->deadline)
		return "timeout_ms";
	if (row->retry_ms != t->retry_at)
		return "retry_ms";
	if (row->verdict_ms != t->verdict_at || !same(row->pending, t->verdict_on))
		return "verdict_ms";
	if ((row->held != NULL) != unfinished(t))
		return "held";
	return NULL;
}

static void compare(struct world *w, struct model_task *t, const struct task_seen *row)
{
	const char *what = difference(t, row);

	while (what && rule_timer(w, t, clock_now() + 1)) /* one that leaves no trace in the log */
		what = difference(t, row);
	if (what)
		broken(w,
		       "%s differs in %s: model %s/%d/%d/%s/%s timers %lld %lld %lld, database %s/%d/%d/%s/%s timers %lld "
		       "%lld %lld",
		       name_of(w, t), what, state_name(t->state), t->progress, t->retries, t->src, t->desc,
		       (long long)t->deadline, (long long)t->retry_at, (long long)t->verdict_at, state_name(row->state),
		       row->progress, row->retries, row->src, row->desc, (long long)row->timeout_ms,
		       (long long)row->retry_ms, (long long)row->verdict_ms);
	if (t->retries > i64_max(job_of(w, t)->retry_count, 0))
		broken(w, "%s has been tried too often", name_of(w, t));
	t->held = row->held != NULL;
}

/* At most one unfinished task per device, or per module where both jobs allow that. */
static void check_devices(struct world *w)
{
	for (size_t i = 0; i < w->model->tasks.n; i++) {
		struct model_task *t = w->model->tasks.items[i];

		for (struct model_task *o = unfinished(t) ? t->older : NULL; o; o = o->older)
			if (unfinished(o) && in_the_way(w, o, t))
				broken(w, "%s and %s are both unfinished", name_of(w, t), name_of(w, o));
	}
}

/* ---- jobs (api §10.3) ---- */

static void check_job(struct world *w, struct job_seen *s)
{
	struct sim_job *j = s->j;
	int64_t count[TASK_STATE_COUNT] = { 0 }, left;
	enum job_status was = j->status, end;
	bool whole;

	if (s->made != j->made)
		broken(w, "job %d has made %d tasks, the log says %d", job_index(w, j), s->made, j->made);
	for (int i = 0; i < j->made; i++)
		count[j->tasks[i]->state]++;
	for (int k = TASK_CONFIRM; k <= TASK_CANCELED; k++)
		if (count[k] != s->count[k])
			broken(w, "job %d counts %lld %s, there are %lld", job_index(w, j), (long long)s->count[k],
			       state_name((enum task_state)k), (long long)count[k]);
	if (job_status_ended(was == JOB_NONE ? JOB_PLANNED : was) && s->status != was)
		broken(w, "job %d was %s and is %s", job_index(w, j), job_status_name(was), job_status_name(s->status));
	if (s->status == JOB_PLANNED && !j->schedule_ms)
		broken(w, "job %d is PLANNED without a schedule", job_index(w, j));
	if (s->status != JOB_PLANNED && was == JOB_PLANNED && s->status != JOB_CANCELED && clock_now() < j->schedule_ms)
		broken(w, "job %d starts %lld ms early", job_index(w, j), (long long)(j->schedule_ms - clock_now()));
	left = count[TASK_CONFIRM] + count[TASK_QUEUED] + count[TASK_NOTIFIED] + count[TASK_IN_PROGRESS];
	whole = s->making == MAKING_DONE && left == 0;
	end = count[TASK_SUCCEEDED] + count[TASK_FAILED] == 0 && count[TASK_CANCELED] > 0 && !j->finished ? JOB_CANCELED
													 : JOB_COMPLETED;
	if (was == JOB_PLANNED && s->status == JOB_CANCELED) /* as a whole, before its start */
		end = JOB_CANCELED;
	if (job_status_ended(was == JOB_NONE ? JOB_PLANNED : was))
		end = was;
	if (whole && s->status != end && !(s->status == JOB_PLANNED && end == JOB_COMPLETED))
		broken(w, "job %d has no unfinished task and is %s", job_index(w, j), job_status_name(s->status));
	if (!whole && s->status != was && job_status_ended(s->status) && !(s->status == JOB_CANCELED && left == 0 && j->schedule_ms))
		broken(w, "job %d is %s too early", job_index(w, j), job_status_name(s->status));
	j->status = s->status;
	j->paused = s->paused;
	if (s->status != JOB_IN_PROGRESS || s->paused)
		j->silent_from_us = i64_min(j->silent_from_us, sim_now_us());
	else
		j->silent_from_us = INT64_MAX;
}

/* The candidates are written: it has to be those of the rules. */
static void check_chosen(struct world *w, struct job_seen *s)
{
	if (s->making < MAKING_CHUNKS || s->j->chosen)
		return;
	model_choose(w, s->j);
	s->j->chosen = true;
	s->j->tasks = ARENA_ARRAY(&w->arena, s->j->n_expected + 1, struct model_task *);
	if ((size_t)s->chosen != s->j->n_expected)
		broken(w, "job %d takes %d devices, the rules %zu", job_index(w, s->j), s->chosen, s->j->n_expected);
	trace(w, "job %d: %d chosen", job_index(w, s->j), s->chosen);
}

/* ---- one look ---- */

static void follow_reports(struct world *w, struct seen *s, size_t *order)
{
	struct model *m = w->model;

	for (; m->applied < m->received.n && m->received.items[m->applied].next <= s->position; m->applied++) {
		const struct received *r = &m->received.items[m->applied];

		/* The finish time comes between reports, by their times. */
		for (; *order < s->n_orders && r->at >= s->orders[*order].j->finish_ms; ++*order)
			ordered(w, &s->orders[*order]);
		if (r->said)
			applied(w, r);
	}
}

/* No move, no job, no timer, and only lines of the broker were applied: then nothing that is looked at can have
 * changed. */
static bool nothing_new(struct world *w, enum actor by)
{
	struct model *m = w->model;
	struct rows *r = query(w, "select coalesce((select max(position) from journal_position), 0),"
				  " (select last_value from task_event_no),"
				  " (select sum(status + 10 * order_no) from job_run),"
				  " (select count(*) from timer)");
	uint64_t position = (uint64_t)row_int(r, 0, 0);
	bool same = row_int(r, 0, 2) == m->jobs && row_int(r, 0, 3) == m->timers;

	m->jobs = row_int(r, 0, 2);
	m->timers = row_int(r, 0, 3);
	if (by != ACTOR_ENGINE || row_int(r, 0, 1) != m->last_no || m->last_no == 0 || !same)
		return false;
	for (size_t i = m->applied; i < m->received.n && m->received.items[i].next <= position; i++)
		if (m->received.items[i].said)
			return false;
	while (m->applied < m->received.n && m->received.items[m->applied].next <= position)
		m->applied++;
	m->position = m->position_before = position;
	return true;
}

static void look(struct world *w, struct arena *a, enum actor by)
{
	struct model *m = w->model;
	struct seen s;
	size_t order = 0;

	if (nothing_new(w, by))
		return;
	see(w, a, &s);
	m->position_before = m->position;
	for (size_t i = 0; i < s.n_jobs; i++)
		check_chosen(w, &s.jobs[i]);
	deal_out(w, &s);
	for (size_t i = 0; i < m->tasks.n; i++)
		if (m->tasks.items[i]->log && m->tasks.items[i]->log->why == WHY_UNPUSHED)
			rule_unpush(w, m->tasks.items[i], -1);
	for (; order < s.n_orders && s.orders[order].why != WHY_FINISH_TIME; order++)
		ordered(w, &s.orders[order]);
	for (size_t i = 0; i < s.n_log; i++)
		if (s.log[i].from == TASK_NONE)
			made(w, &s.log[i]);
	/* A tick starts jobs before it answers requests. */
	for (size_t i = 0; i < s.n_jobs; i++)
		if (s.jobs[i].j->status == JOB_PLANNED && s.jobs[i].status == JOB_IN_PROGRESS)
			s.jobs[i].j->status = clock_now() >= s.jobs[i].j->schedule_ms ? JOB_IN_PROGRESS : JOB_PLANNED;
	follow_reports(w, &s, &order);
	for (; order < s.n_orders; order++)
		ordered(w, &s.orders[order]);
	m->position = s.position;
	if (s.n_tasks != m->tasks.n)
		broken(w, "there are %zu tasks, the log says %zu", s.n_tasks, m->tasks.n);
	for (size_t i = 0; i < s.n_tasks; i++) {
		struct model_task *t = task_of(w, s.tasks[i].job_id, s.tasks[i].seq);

		if (s.tasks[i].device_id != t->device_row)
			broken(w, "%s is another device's", name_of(w, t));
		follow(w, t, &s.tasks[i]);
		compare(w, t, &s.tasks[i]);
	}
	check_devices(w);
	for (size_t i = 0; i < s.n_jobs; i++)
		check_job(w, &s.jobs[i]);
	m->last_look = clock_now();
}

void check_step(struct world *w)
{
	enum actor before = w->actor, by = w->dirty;
	struct arena a;
	struct error e;

	if (by == ACTOR_NONE || w->database_down)
		return;
	w->dirty = ACTOR_NONE;
	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	look(w, &a, by);
	arena_free(&a);
	w->actor = before;
}

/* ---- timers that are late ---- */

void check_late(struct world *w, utc_ms now)
{
	utc_ms at = now - LOOK_MS;

	for (size_t i = 0; i < w->model->tasks.n; i++) {
		const struct model_task *t = w->model->tasks.items[i];

		if (!unfinished(t))
			continue;
		if ((t->deadline && t->deadline <= at) || (t->verdict_at && t->verdict_at <= at))
			broken(w, "%s: its timer was due at %lld and has not fired", name_of(w, t),
			       (long long)(t->deadline && t->deadline <= at ? t->deadline : t->verdict_at));
	}
	for (size_t i = 0; i < w->n_jobs; i++) {
		struct sim_job *j = &w->jobs[i];

		if (j->status == JOB_PLANNED && j->schedule_ms <= at)
			broken(w, "job %d has not started in time", job_index(w, j));
		if (j->finish_ms && j->finish_ms <= at && !job_status_ended(j->status) && !j->finished)
			broken(w, "job %d has not been finished in time", job_index(w, j));
	}
}

/* ---- what goes out ---- */

void check_handed(struct world *w, struct sim_job *j, struct device *d)
{
	struct model_task *t = NULL;

	check_step(w); /* the claim is committed by now */
	for (int i = 0; i < j->made; i++)
		if (j->tasks[i]->device == d)
			t = j->tasks[i];
	if (!t || ++t->handed > t->claims)
		broken(w, "job %d is pushed to %s without a claim", job_index(w, j), d->name);
	if (sim_now_us() > i64_min(j->silent_from_us, INT64_MAX - HANDOVER_US) + HANDOVER_US)
		broken(w, "%s is pushed %lld ms after its job was stopped", name_of(w, t),
		       (long long)((sim_now_us() - j->silent_from_us) / US_PER_MS));
	if (t->ended_us && sim_now_us() > t->ended_us + HANDOVER_US)
		broken(w, "%s is pushed %lld ms after its end", name_of(w, t),
		       (long long)((sim_now_us() - t->ended_us) / US_PER_MS));
}

void check_entered(struct world *w, struct sim_job *j)
{
	int64_t now = sim_now_us(), n = 0;

	if (j->n_pushed == j->cap_pushed) {
		j->cap_pushed = j->cap_pushed ? 2 * j->cap_pushed : 64;
		j->pushed_us = realloc(j->pushed_us, j->cap_pushed * sizeof *j->pushed_us);
		ensure(j->pushed_us != NULL);
	}
	j->pushed_us[j->n_pushed++] = now;
	for (size_t i = j->n_pushed; i-- > 0 && j->pushed_us[i] > now - 60 * US_PER_SECOND;)
		n++;
	if (n > j->rate)
		broken(w, "job %d: %lld pushes within 60 s, the limit is %d", job_index(w, j), (long long)n, j->rate);
}

/* ---- the end ---- */

bool check_all_ended(struct world *w)
{
	for (size_t i = 0; i < w->n_jobs; i++)
		if (w->jobs[i].id > 0 && !job_status_ended(w->jobs[i].status == JOB_NONE ? JOB_PLANNED : w->jobs[i].status))
			return false;
	for (size_t i = 0; i < w->model->tasks.n; i++)
		if (w->model->tasks.items[i]->owed)
			return false;
	return true;
}

static void none(struct world *w, const char *what, const char *sql)
{
	struct rows *r = query(w, sql);

	if (row_int(r, 0, 0) != 0)
		broken(w, "%lld %s are left at the end", (long long)row_int(r, 0, 0), what);
}

void check_end(struct world *w)
{
	enum actor before = w->actor;
	struct arena a;
	struct error e;
	struct rows *r;

	check_step(w);
	if (!check_all_ended(w)) {
		for (size_t i = 0; i < w->model->tasks.n; i++) {
			struct model_task *t = w->model->tasks.items[i];

			if (unfinished(t) || t->owed)
				(void)broken(w, "%s is %s at the end", name_of(w, t), t->owed ? "owed" : state_name(t->state));
		}
		broken(w, "not all jobs have ended");
	}
	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	none(w, "devices held", "select count(*) from active_task");
	none(w, "live jobs", "select count(*) from live_job");
	none(w, "open orders", "select count(*) from job_order where not done");
	none(w, "batches without an outcome", "select count(*) from push_batch where acked_ms is null");
	r = query(w, "select d.name, m.module, m.version from device_module m join device d on d.id = m.device_id");
	for (int i = 0; i < rows_count(r); i++) {
		int module = strcmp(row_text(r, i, 1), sim_modules[0]) != 0;
		const char *v = model_version(w, world_device_named(w, row_text(r, i, 0)), module, INT64_MAX);

		if (!same(v, row_text(r, i, 2)))
			broken(w, "%s has version %s, the database says %s", row_text(r, i, 0), v, row_text(r, i, 2));
	}
	arena_free(&a);
	w->actor = before;
}
