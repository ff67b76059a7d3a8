/* SPDX-License-Identifier: Apache-2.0 */
/* After every step: what the database says, followed by the model, and what must always hold. */
#include "tests/sim/model_priv.h"

#include "engine/base/clock.h"
#include "storage/report.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250 /* jobs and timers of others are looked for five times a second */
#define HANDOVER_US (1 * US_PER_SECOND)
#define MINUTE_US (60 * US_PER_SECOND)
#define QUIET_US (20 * US_PER_SECOND)
#define SOON_MS 2000

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

static bool ended(enum job_status s)
{
	return s != JOB_NONE && job_status_ended(s);
}

/* How a job ends of which these tasks are left. */
static enum job_status end_of(const struct sim_job *j, const int64_t count[TASK_STATE_COUNT])
{
	bool all_canceled = count[TASK_SUCCEEDED] + count[TASK_FAILED] == 0 && count[TASK_CANCELED] > 0;

	return j->kind == JOB_DYNAMIC || (all_canceled && !j->finished) ? JOB_CANCELED : JOB_COMPLETED;
}

static void check_status(struct world *w, const struct job_seen *s, const int64_t count[TASK_STATE_COUNT])
{
	struct sim_job *j = s->j;
	int64_t left = count[TASK_CONFIRM] + count[TASK_QUEUED] + count[TASK_NOTIFIED] + count[TASK_IN_PROGRESS];
	bool over = s->making == MAKING_DONE && left == 0 && (j->kind != JOB_DYNAMIC || s->strategy_ended);
	bool whole = j->status == JOB_PLANNED && s->status == JOB_CANCELED; /* before its start: with all its tasks */
	enum job_status end = whole ? JOB_CANCELED : end_of(j, count);

	if (s->status == JOB_PLANNED && (!j->schedule_ms || (j->status == JOB_IN_PROGRESS && !j->reopened)))
		broken(w, "job %d is PLANNED", job_index(w, j));
	if (s->status == JOB_IN_PROGRESS && j->status != JOB_IN_PROGRESS && clock_now() < j->schedule_ms)
		broken(w, "job %d starts %lld ms early", job_index(w, j), (long long)(j->schedule_ms - clock_now()));
	if (ended(j->status) && s->status != j->status && !j->reopened)
		broken(w, "job %d was %s and is %s", job_index(w, j), job_status_name(j->status), job_status_name(s->status));
	if (over && !ended(s->status) && !(s->status == JOB_PLANNED && end == JOB_COMPLETED))
		broken(w, "job %d has no unfinished task and is %s", job_index(w, j), job_status_name(s->status));
	if (ended(s->status) && s->status != j->status && (s->status != end || (!over && (!whole || left > 0))))
		broken(w, "job %d ends as %s, with %lld unfinished", job_index(w, j), job_status_name(s->status),
		       (long long)left);
	if (j->kind == JOB_VERIFY && j->status == JOB_NONE)
		j->package->status = FIRMWARE_VERIFYING;
	if (j->kind == JOB_VERIFY && ended(s->status) && !ended(j->status))
		j->package->status = count[TASK_SUCCEEDED] > 0 && count[TASK_FAILED] + count[TASK_CANCELED] == 0
					     ? FIRMWARE_VERIFIED
					     : FIRMWARE_VERIFY_FAILED;
}

static void check_job(struct world *w, const struct job_seen *s)
{
	struct sim_job *j = s->j;
	int64_t count[TASK_STATE_COUNT] = { 0 };

	if (s->made != j->made)
		broken(w, "job %d has made %d tasks, the log says %d", job_index(w, j), s->made, j->made);
	for (int i = 0; i < j->made; i++)
		count[j->tasks[i]->state]++;
	for (int k = TASK_CONFIRM; k <= TASK_CANCELED; k++)
		if (count[k] != s->count[k])
			broken(w, "job %d counts %lld %s, there are %lld", job_index(w, j), (long long)s->count[k],
			       task_state_name((enum task_state)k), (long long)count[k]);
	check_status(w, s, count);
	j->status = s->status;
	j->paused = s->paused;
	j->strategy_ended = s->strategy_ended;
	j->reopened = false;
	if (s->status != JOB_IN_PROGRESS || s->paused)
		j->silent_from_us = i64_min(j->silent_from_us, sim_now_us());
	else
		j->silent_from_us = INT64_MAX;
}

static void check_packages(struct world *w)
{
	struct rows *r = look_for(w, LOOK_PACKAGES, "");

	for (int i = 0; i < rows_count(r); i++)
		if (w->packages[i].id != row_int(r, i, 0) || (int64_t)w->packages[i].status != row_int(r, i, 1))
			broken(w, "package %d has status %lld, by the rules %d", i, (long long)row_int(r, i, 1),
			       (int)w->packages[i].status);
}

/* What counts and lists of devices go by. */
static void check_device_tallies(struct world *w)
{
	struct rows *r = query(w, "with there as ("
				  " select g.id as group_id, d.product_id, d.id / 2048 as block, v.state, count(*) as n"
				  " from device d left join device_session s on s.device_id = d.id"
				  " cross join lateral (select device_tally_state(d.disabled, s.online) as state) v"
				  " cross join lateral (select 0 as id union all"
				  "  select group_id from device_group_member where device_id = d.id) g"
				  " group by 1, 2, 3, 4"
				  "), told as ("
				  " select group_id, product_id, block, state, n from device_tally cross join lateral"
				  " unnest(array[n_unactive, n_offline, n_online, n_disabled - n_disabled_active, n_disabled_active])"
				  " with ordinality as u(n, state) where n <> 0"
				  ") select group_id, product_id, block, state, there.n, told.n from there"
				  " full join told using (group_id, product_id, block, state)"
				  " where there.n is distinct from told.n limit 1");

	if (rows_count(r) > 0)
		broken(w, "block %lld of group key %lld, product key %lld has %lld devices in state %lld, its tally says %lld",
		       (long long)row_int(r, 0, 2), (long long)row_int(r, 0, 0), (long long)row_int(r, 0, 1),
		       (long long)row_int_or(r, 0, 4, 0), (long long)row_int(r, 0, 3), (long long)row_int_or(r, 0, 5, 0));
}

/* What lists go by: blocks that count what is there, no written order that covers a task still, tasks found by their
 * devices. */
static void check_tallies(struct world *w)
{
	struct rows *r = query(w, "with there as ("
				  " select t.job_id, (t.seq - 1) / 2048 as block, t.state, count(*) as n from task t"
				  " join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq group by 1, 2, 3"
				  "), told as ("
				  " select job_id, block, state, n from task_tally cross join lateral unnest(array[n_confirm, n_queued,"
				  " n_notified, n_in_progress, n_succeeded, n_failed, n_canceled]) with ordinality as u(n, state)"
				  " where n <> 0"
				  ") select job_id, block, state, there.n, told.n from there full join told using (job_id, block, state)"
				  " where there.n is distinct from told.n limit 1");

	if (rows_count(r) > 0)
		broken(w, "block %lld of job key %lld has %lld tasks in state %lld, its tally says %lld", (long long)row_int(r, 0, 1),
		       (long long)row_int(r, 0, 0), (long long)row_int(r, 0, 3), (long long)row_int(r, 0, 2),
		       (long long)row_int(r, 0, 4));
	r = query(w, "select t.job_id, t.seq from job_order o join job_run r using (job_id)"
		     " join task t on t.job_id = o.job_id and t.seq <= r.made_seq"
		     " where o.done and t.order_no < o.no and (o.state_mask >> t.state) & 1 = 1 limit 1");
	if (rows_count(r) > 0)
		broken(w, "task %lld of job key %lld is covered by an order that is written", (long long)row_int(r, 0, 1),
		       (long long)row_int(r, 0, 0));
	r = query(w, "select t.job_id, t.seq from task t join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq"
		     " where not exists (select from task_of(t.job_id, t.device_id) o where o.seq = t.seq) limit 1");
	if (rows_count(r) > 0)
		broken(w, "task %lld of job key %lld is not found by its device", (long long)row_int(r, 0, 1),
		       (long long)row_int(r, 0, 0));
}

/* ---- one look ---- */

/* No move, no job, no timer, and only lines of the broker were applied: then nothing that is looked at can have
 * changed. */
static bool nothing_new(struct world *w, enum actor by, uint64_t *ret_position)
{
	struct model *m = w->model;
	struct rows *r = look_for(w, LOOK_NEW, "");
	bool as_before = row_int(r, 0, 2) == m->jobs && row_int(r, 0, 3) == m->timers;

	*ret_position = (uint64_t)row_int(r, 0, 0);
	m->jobs = row_int(r, 0, 2);
	m->timers = row_int(r, 0, 3);
	if (by != ACTOR_ENGINE || row_int(r, 0, 1) != m->last_no || m->last_no == 0 || !as_before)
		return false;
	for (size_t i = m->applied; i < m->received.n && m->received.items[i].next <= *ret_position; i++)
		if (m->received.items[i].said)
			return false;
	while (m->applied < m->received.n && m->received.items[m->applied].next <= *ret_position)
		m->applied++;
	m->position = m->position_before = *ret_position;
	return true;
}

static void look(struct world *w, struct arena *a, enum actor by)
{
	struct model *m = w->model;
	struct seen s = { .whole = w->p.devices <= 100 || m->looks % 500 == 0 };

	if (nothing_new(w, by, &s.position))
		return;
	m->looks++;
	see(w, a, &s);
	m->position_before = m->position;
	for (size_t i = 0; i < s.n_jobs; i++)
		follow_chosen(w, &s.jobs[i]);
	follow(w, &s);
	check_devices(w);
	for (size_t i = 0; i < s.n_jobs; i++)
		check_job(w, &s.jobs[i]);
	check_packages(w);
	check_notices(w, &s);
	if (s.whole) {
		check_tallies(w);
		check_device_tallies(w);
	}
	m->last_look = clock_now();
}

void check_step(struct world *w)
{
	enum actor before = w->actor, by = w->dirty;
	struct arena a;
	struct error e;

	if (by == ACTOR_NONE || w->database_down || w->unwatched)
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

/* ---- what is late ---- */

static void check_timers(struct world *w, utc_ms at)
{
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
		if (j->finish_ms && j->finish_ms <= at && j->status != JOB_NONE && !ended(j->status) && !j->finished)
			broken(w, "job %d has not been finished in time", job_index(w, j));
	}
}

/* Could the job have pushed within the last moments, by its pace? */
static bool has_room(const struct sim_job *j)
{
	int64_t now = sim_now_us(), n = 0, rate = j->rates[j->n_rates - 1].rate;

	for (size_t i = j->n_pushed; i-- > 0 && j->pushed_us[i] > now - MINUTE_US - US_PER_SECOND;)
		n++;
	return j->need_push && j->status == JOB_IN_PROGRESS && !j->paused && n < rate &&
	       (j->n_pushed == 0 || j->pushed_us[j->n_pushed - 1] < now - 2 * MINUTE_US / rate - 2 * US_PER_SECOND);
}

/* When the turn began since which every task of the job has been walked over: what a walk has passed is found by the
 * next one. 0: more turns ago than are remembered. */
static utc_ms walked_since(const struct world *w, const struct sim_job *j)
{
	const struct otad *o = &w->otad;
	int64_t turns = 2 * (j->made / o->walk_rows + 2), known = ARRAY_LEN(o->turned_ms);

	return turns < i64_min(w->tally.turns, known) ? o->turned_ms[(w->tally.turns - turns) % known] : 0;
}

/* A push that never entered the broker, and that nobody takes back: it would never be made again on this connection. */
static bool lost(const struct model_task *t)
{
	return !t->reached && t->row_conn && t->row_conn == t->device->conn && t->claimed_us + QUIET_US < sim_now_us();
}

/* When everything is well, a device that is due is pushed to. */
static void check_pushes(struct world *w, utc_ms at)
{
	for (size_t i = 0; i < w->model->tasks.n; i++) {
		struct model_task *t = w->model->tasks.items[i];
		const struct conn_seen *c = t->device->conn ? model_conn(w, t->device->conn) : NULL;
		utc_ms due;

		if (unfinished(t) && lost(t))
			broken(w, "the push of %s at %lld was lost, and counts as made", name_of(w, t), (long long)t->pushed_at);
		if (!unfinished(t) || t->state == TASK_CONFIRM || !has_room(job_of(w, t)) || !c ||
		    (t->row_conn == t->device->conn && !t->retry_at))
			continue;
		due = i64_max(i64_max(due_at(t, c, false), c->since), i64_max(t->ready_ms, job_of(w, t)->running_ms));
		if (due + SOON_MS <= at && due < walked_since(w, job_of(w, t)))
			broken(w, "%s is due since %lld and has not been pushed", name_of(w, t), (long long)due);
	}
}

void check_late(struct world *w, utc_ms now)
{
	if (sim_now_us() > w->jumped_us + LOOK_MS * US_PER_MS)
		check_timers(w, now - LOOK_MS);
	if (sim_now_us() > w->trouble_us + QUIET_US && mqtt_publisher_up(w->otad.mqtt))
		check_pushes(w, now);
}

/* ---- what goes out ---- */

/* A claim of one of the device's tasks in the job that has not been handed over yet. */
static struct model_task *claimed(struct world *w, const struct sim_job *j, const struct device *d)
{
	struct model_task *t = d->tasks;

	while (t && (job_of(w, t) != j || t->handed == t->claims))
		t = t->older;
	return t;
}

/* Is it too late for a push that was stopped then? An otad that is frozen with it in its hand cannot know; but whoever gave
 * the order has been told so, or has had no answer yet. */
static bool too_late(const struct world *w, const struct sim_job *j, int64_t stopped_us)
{
	int64_t from = w->frozen_us && w->frozen_us <= stopped_us + HANDOVER_US ? j->answered_us : stopped_us;

	return from >= stopped_us && sim_now_us() > from + HANDOVER_US;
}

struct model_task *check_handed(struct world *w, struct sim_job *j, struct device *d)
{
	struct model_task *t;

	check_step(w); /* the claim is committed by now */
	t = claimed(w, j, d);
	if (!t)
		broken(w, "job %d is pushed to %s without a claim", job_index(w, j), d->name);
	t->handed++;
	t->doubts = model_doubts(w); /* no cut before this one puts it in doubt */
	if (j->silent_from_us != INT64_MAX && too_late(w, j, j->silent_from_us))
		broken(w, "%s is pushed %lld ms after its job was stopped", name_of(w, t),
		       (long long)((sim_now_us() - j->silent_from_us) / US_PER_MS));
	if (t->ended_us && too_late(w, j, t->ended_us))
		broken(w, "%s is pushed %lld ms after its end", name_of(w, t),
		       (long long)((sim_now_us() - t->ended_us) / US_PER_MS));
	return t;
}

void check_answered(struct world *w, const struct sim_job *j, const struct device *d)
{
	struct model_task *t;

	check_step(w);
	for (t = d->tasks; t && (job_of(w, t) != j || t->answered == t->pulls); t = t->older)
		;
	if (!t)
		broken(w, "%s is given job %d, which it may not have", d->name, job_index(w, j));
	t->answered++;
}

/* The highest rate that a push handed over at this time may be counted by: a lower one holds 1 s after its answer. */
static int limit_at(const struct sim_job *j, int64_t at_us)
{
	int limit = 0;

	for (size_t i = 0; i < j->n_rates; i++)
		if (i + 1 == j->n_rates || j->rates[i + 1].at_us + HANDOVER_US > at_us)
			limit = (int)i64_max(limit, j->rates[i].rate);
	return limit;
}

void check_entered(struct world *w, struct sim_job *j, struct model_task *t, int64_t handed_us)
{
	int64_t now = sim_now_us(), n = 0;

	t->reached = t->reached || handed_us >= t->claimed_us;
	if (j->n_pushed == j->cap_pushed) {
		j->cap_pushed = j->cap_pushed ? 2 * j->cap_pushed : 64;
		j->pushed_us = realloc(j->pushed_us, j->cap_pushed * sizeof *j->pushed_us);
		ensure(j->pushed_us != NULL);
	}
	j->pushed_us[j->n_pushed++] = now;
	for (size_t i = j->n_pushed; i-- > 0 && j->pushed_us[i] > now - MINUTE_US;)
		n++;
	if (n > limit_at(j, handed_us))
		broken(w, "job %d: %lld pushes within 60 s, the limit is %d", job_index(w, j), (long long)n,
		       limit_at(j, handed_us));
}

/* ---- the end ---- */

bool check_all_ended(struct world *w)
{
	for (size_t i = 0; i < w->n_jobs; i++)
		if (w->jobs[i].id > 0 && !ended(w->jobs[i].status))
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

static void check_versions(struct world *w)
{
	struct rows *r = query(w, "select d.name, m.module, m.version from device_module m join device d on d.id = m.device_id");

	for (int i = 0; i < rows_count(r); i++) {
		int module = strcmp(row_text(r, i, 1), sim_modules[0]) != 0;
		const char *v = model_version(w, world_device_named(w, row_text(r, i, 0)), module, INT64_MAX);

		if (!v || strcmp(v, row_text(r, i, 2)) != 0)
			broken(w, "%s has version %s, the database says %s", row_text(r, i, 0), v, row_text(r, i, 2));
	}
}

/* The fullest 60 seconds, as the broker saw them. */
static int64_t fullest_minute(const struct sim_job *j)
{
	int64_t worst = 0;

	for (size_t i = 0, from = 0; i < j->n_pushed; i++) {
		while (j->pushed_us[i] - j->pushed_us[from] >= MINUTE_US)
			from++;
		worst = i64_max(worst, (int64_t)(i - from + 1));
	}
	return worst;
}

/* What `otactl job pace` says against what was seen. The log knows all pushes that were committed and not taken back; a
 * crash may come before one is handed over, a cut before it enters the broker. */
static void check_pace(struct world *w, struct sim_job *j)
{
	int64_t claims = 0, handed = 0, entered = (int64_t)j->n_pushed, worst = fullest_minute(j);
	struct report_pace p;

	for (int i = 0; i < j->made; i++) {
		claims += j->tasks[i]->claims;
		handed += j->tasks[i]->handed;
	}
	if (store_report_pace(w->db_watch, j->id, &p) != OK)
		broken(w, "the proof of pace: %s", error_text(db_error(w->db_watch)));
	if (p.pushes != claims || claims < handed || handed < entered || (handed > entered && model_doubts(w) == 0))
		broken(w, "job %d has %lld pushes by the log, %lld by the rules; %lld were handed over, %lld seen", job_index(w, j),
		       (long long)p.pushes, (long long)claims, (long long)handed, (long long)entered);
	if (p.worst < worst || p.worst > claims)
		broken(w, "job %d has at most %lld pushes in a minute by the log, %lld were seen", job_index(w, j),
		       (long long)p.worst, (long long)worst);
}

void check_end(struct world *w)
{
	enum actor before = w->actor;
	struct arena a;
	struct error e;

	check_step(w);
	for (size_t i = 0; i < w->model->tasks.n; i++) {
		struct model_task *t = w->model->tasks.items[i];

		if (unfinished(t) || t->owed)
			broken(w, "%s is %s at the end", name_of(w, t), t->owed ? "owed" : task_state_name(t->state));
	}
	if (!check_all_ended(w))
		broken(w, "not all jobs have ended");
	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	none(w, "devices held", "select count(*) from active_task");
	none(w, "live jobs", "select count(*) from live_job");
	none(w, "strategies", "select count(*) from strategy");
	none(w, "open orders", "select count(*) from job_order where not done");
	none(w, "batches without an outcome", "select count(*) from push_batch where acked_ms is null");
	check_versions(w);
	for (size_t i = 0; i < w->n_jobs; i++)
		if (w->jobs[i].id > 0)
			check_pace(w, &w->jobs[i]);
	arena_free(&a);
	w->actor = before;
}
