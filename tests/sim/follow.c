/* SPDX-License-Identifier: Apache-2.0 */
/* The model follows the log of moves, and judges it (model.h). */
#include "tests/sim/model_priv.h"

#include "engine/base/clock.h"
#include "engine/ids.h"
#include "engine/strategy.h"
#include "storage/job.h"
#include "storage/task.h"

#include <string.h>

#define GRACE_MS 1000
#define GRACE_RUNNING_MS 5000
#define JOINS_WITHIN_MS (12 * MS_PER_MINUTE) /* a sweep every 10, and a round of the maker every minute */

/* ---- names ---- */

static const char *state_name(enum task_state s)
{
	return s == TASK_NONE ? "-" : task_state_name(s);
}

int job_index(const struct world *w, const struct sim_job *j)
{
	return (int)(j - w->jobs);
}

const char *name_of(struct world *w, const struct model_task *t)
{
	return arena_printf(&w->arena, "task %d of job %d (%s)", (int)t->seq, (int)t->job, t->device->name);
}

static bool same(const char *a, const char *b)
{
	return !a || !b ? a == b : strcmp(a, b) == 0;
}

/* ---- the log ---- */

void must_be_logged(struct world *w, struct model_task *t, enum event_why why, enum task_state from, utc_ms at)
{
	const struct logged *l = t->log;

	if (!w->model)
		return; /* the rules alone: props.c */
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

static struct device *device_of_row(struct world *w, struct seen *s, int64_t job_id, int32_t seq)
{
	for (size_t i = 0; i < s->n_tasks; i++)
		if (s->tasks[i].job_id == job_id && s->tasks[i].seq == seq)
			for (size_t k = 0; k < w->n_devices; k++)
				if (w->devices[k].row == s->tasks[i].device_id)
					return &w->devices[k];
	broken(w, "task %d of a job is no known device's", seq);
}

/* Tasks of a new range: nothing yet, but for whose they are. */
static void begin(struct world *w, struct seen *s, const struct logged *l)
{
	struct sim_job *j = world_job(w, l->job_id);

	if (l->seq != j->made + 1 || (l->to_seq > (int)j->n_expected && j->targets != TARGETS_DYNAMIC))
		broken(w, "job %d: tasks %d to %d are made after %d of %zu", job_index(w, j), l->seq, l->to_seq, j->made,
		       j->n_expected);
	for (; j->made < l->to_seq; j->made++) {
		struct model_task *t = ARENA_NEW(&w->arena, struct model_task);
		size_t i = (size_t)j->made;

		ensure(i < j->cap_tasks);
		*t = (struct model_task){ .job = (size_t)job_index(w, j), .seq = j->made + 1 };
		t->device = i < j->n_expected ? &w->devices[j->expected[i]]
					      : device_of_row(w, s, l->job_id, t->seq);
		j->tasks[j->made] = t;
	}
}

/* Rows of the log to their tasks. */
static void deal_out(struct world *w, struct seen *s)
{
	struct model_task *t;

	for (size_t i = 0; i < s->n_log; i++) {
		struct logged *l = &s->log[i], **end;

		if (l->from == TASK_NONE) {
			begin(w, s, l);
			continue;
		}
		t = task_of(w, l->job_id, l->seq);
		if (!t)
			broken(w, "the log speaks of task %d of job %d, which is not made", l->seq,
			       job_index(w, world_job(w, l->job_id)));
		for (end = &t->log; *end; end = &(*end)->next)
			;
		*end = l;
	}
}

/* ---- conflicts (api §10.8) ---- */

/* Are two tasks of one device in each other's way? */
bool in_the_way(const struct world *w, const struct model_task *a, const struct model_task *b)
{
	const struct sim_job *x = job_of(w, a), *y = job_of(w, b);

	return a != b && (!x->multi_module || !y->multi_module || x->package->module == y->package->module);
}

/* May the new one replace it? Only tasks of other jobs are overwritten. */
static bool gives_way(const struct world *w, const struct model_task *old, const struct model_task *new)
{
	const struct sim_job *mine = job_of(w, new), *its = job_of(w, old);

	if (old->state == TASK_IN_PROGRESS || mine == its)
		return false;
	return mine->multi_module ? its->multi_module : mine->overwrite_mode == 2;
}

static const char *with_job(struct world *w, const char *text, const struct sim_job *j)
{
	char id[ID_LEN + 1];

	id_format(ID_JOB, j->id, 0, id);
	return arena_printf(&w->arena, "%s%s", text, id);
}

/* Which of several tasks in its way the reason names is not ruled. */
static void loses(struct world *w, struct model_task *t, utc_ms at)
{
	const char *named = t->log && t->log->detail ? t->log->detail : "";

	for (const struct model_task *o = t->device->tasks; o; o = o->older) {
		const char *text = with_job(w, "device has an unfinished upgrade task of job ", job_of(w, o));

		if (unfinished(o) && in_the_way(w, o, t) && strcmp(text, named) == 0) {
			rule_end(w, t, TASK_FAILED, text, WHY_CONFLICT, at);
			return;
		}
	}
	broken(w, "%s has to lose; its reason is \"%s\"", name_of(w, t), named);
}

static void conflicts(struct world *w, struct model_task *t, utc_ms at)
{
	struct model_task *o;

	for (o = t->device->tasks; o; o = o->older)
		if (unfinished(o) && in_the_way(w, o, t) && !gives_way(w, o, t)) {
			loses(w, t, at);
			return;
		}
	for (o = t->device->tasks; o; o = o->older)
		if (unfinished(o) && in_the_way(w, o, t))
			rule_end(w, o, TASK_CANCELED, with_job(w, "overwritten by job ", job_of(w, t)), WHY_OVERWRITTEN, at);
}

/* ---- making ---- */

static void add_task(struct world *w, struct model_task *t, enum task_state state)
{
	t->state = state;
	t->desc = "";
	t->ready_ms = clock_now();
	t->older = t->device->tasks;
	t->device->tasks = t;
	LIST_ADD(&w->model->tasks, t);
	trace(w, "%s: made %s", name_of(w, t), state_name(state));
}

/* The first bulk order over what new tasks are: they are made CANCELED. */
static const struct order_seen *order_over(const struct sim_job *j, enum task_state first)
{
	for (size_t i = 0; i < j->n_orders; i++)
		if (j->order[i].mask & TASK_BIT(first))
			return &j->order[i];
	return NULL;
}

/* Does the strategy take this device, by its version and its group now (api §10.6)? */
static bool takes(const struct world *w, const struct sim_job *j, const struct device *d)
{
	const char *v = model_version(w, d, j->package->module, INT64_MAX);

	if (j->kind != JOB_DYNAMIC || j->strategy_ended || !d->id || d->disabled || same(v, j->package->dest) ||
	    (j->package->differential && !same(v, j->package->src)))
		return false;
	for (int i = 0; i < j->n_src; i++)
		if (same(j->src[i], v))
			return true;
	return j->by_group && d->tagged;
}

static int tasks_of(const struct world *w, const struct sim_job *j, const struct device *d)
{
	int n = 0;

	for (const struct model_task *t = d->tasks; t; t = t->older)
		n += job_of(w, t) == j;
	return n;
}

/* Its newest task in the job. */
static const struct model_task *last_of(const struct world *w, const struct sim_job *j, const struct device *d)
{
	const struct model_task *t = d->tasks;

	while (t && job_of(w, t) != j)
		t = t->older;
	return t;
}

/* A device comes to match a dynamic job. */
static void joined(struct world *w, struct model_task *t, const struct logged *range)
{
	struct sim_job *j = &w->jobs[t->job];
	const struct device *d = t->device;
	int had = tasks_of(w, j, d);

	if (!takes(w, j, d))
		broken(w, "%s does not match its job", name_of(w, t));
	if (had > 0 && d->reported_ms[j->package->module] <= last_of(w, j, d)->made_ms &&
	    !model_ahead(last_of(w, j, d)->made_ms))
		broken(w, "%s: the device has had one, and has reported nothing since", name_of(w, t));
	if (had >= STRATEGY_MATCHES_MAX)
		broken(w, "%s: the device has had %d", name_of(w, t), had);
	if (j->dynamic_mode == DYNAMIC_REPORTS && d->reported_ms[j->package->module] < j->created_ms &&
	    !model_ahead(j->created_ms))
		broken(w, "%s: the device has reported nothing since the job was created", name_of(w, t));
	for (const struct model_task *o = d->tasks; o; o = o->older)
		if (unfinished(o) && in_the_way(w, o, t))
			broken(w, "%s is made, and %s is not finished", name_of(w, t), name_of(w, o));
	for (struct sim_job *newer = j + 1; newer < w->jobs + w->n_jobs; newer++)
		if (newer->id > 0 && newer->created_ms < range->at && newer->package->module == j->package->module &&
		    takes(w, newer, d) && newer->dynamic_mode == DYNAMIC_ALL && tasks_of(w, newer, d) == 0)
			broken(w, "%s is made, and job %d is newer", name_of(w, t), job_index(w, newer));
	t->src = model_version(w, d, j->package->module, INT64_MAX);
	t->made_ms = range->at;
	add_task(w, t, range->to);
}

/* Since when nothing but otad keeps a device from its first task in a dynamic job; INT64_MAX: something does. */
static utc_ms may_join_since(struct world *w, struct sim_job *j, const struct device *d)
{
	const struct model_task would = { .job = (size_t)job_index(w, j) };
	utc_ms since = i64_max(d->changed_ms, i64_max(j->chosen_ms, d->reported_ms[j->package->module]));

	if (!takes(w, j, d) || j->dynamic_mode != DYNAMIC_ALL || !j->chosen || tasks_of(w, j, d) > 0)
		return INT64_MAX;
	for (const struct model_task *t = d->tasks; t; t = t->older) {
		if (unfinished(t) && in_the_way(w, t, &would))
			return INT64_MAX;
		since = i64_max(since, t->ended_us ? sim_utc(t->ended_us) : 0);
	}
	return since;
}

void check_joined(struct world *w)
{
	for (size_t i = 0; i < w->n_jobs; i++)
		for (size_t k = 0; k < w->n_devices; k++) {
			utc_ms since = may_join_since(w, &w->jobs[i], &w->devices[k]);

			if (since < clock_now() - JOINS_WITHIN_MS)
				broken(w, "job %zu matches %s since %lld, and has not taken it", i, w->devices[k].name,
				       (long long)since);
		}
}

static void made(struct world *w, const struct logged *range)
{
	struct sim_job *j = world_job(w, range->job_id);
	enum task_state first = j->need_confirm ? TASK_CONFIRM : TASK_QUEUED;
	bool joins = range->seq > (int)j->n_expected;
	const struct order_seen *o = joins ? NULL : order_over(j, first);

	if (range->to != (o ? TASK_CANCELED : first) || range->why != (o ? o->why : WHY_MADE))
		broken(w, "job %d: tasks %d to %d are made %s by %s", job_index(w, j), range->seq, range->to_seq,
		       state_name(range->to), event_why_name(range->why));
	for (int32_t seq = range->seq; seq <= range->to_seq; seq++) {
		struct model_task *t = j->tasks[seq - 1];

		if (joins) {
			joined(w, t, range);
			continue;
		}
		t->src = j->expected_src[seq - 1];
		t->made_ms = j->created_ms;
		add_task(w, t, range->to);
		if (o) {
			t->desc = o->reason;
			t->ended_us = sim_now_us();
		} else if (t->device->deleted) {
			rule_end(w, t, TASK_CANCELED, TASK_REASON_DELETED, WHY_DELETED, range->at);
		} else {
			conflicts(w, t, range->at);
		}
	}
}

/* The candidates are written: it has to be those of the rules. */
void follow_chosen(struct world *w, const struct job_seen *s)
{
	struct sim_job *j = s->j;

	if (s->making < MAKING_CHUNKS || j->chosen)
		return;
	model_choose(w, j);
	if (j->dynamic_mode == DYNAMIC_REPORTS)
		j->n_expected = 0;
	j->chosen = true;
	j->chosen_ms = clock_now();
	j->cap_tasks = j->n_expected + (j->kind == JOB_DYNAMIC ? w->n_devices * STRATEGY_MATCHES_MAX : 0);
	j->tasks = ARENA_ARRAY(&w->arena, j->cap_tasks + 1, struct model_task *);
	if ((size_t)s->chosen < j->n_expected || ((size_t)s->chosen > j->n_expected && j->kind != JOB_DYNAMIC))
		broken(w, "job %d takes %d devices, the rules %zu", job_index(w, j), s->chosen, j->n_expected);
	trace(w, "job %d: %zu chosen", job_index(w, j), j->n_expected);
}

/* ---- bulk orders ---- */

static void ordered(struct world *w, const struct order_seen *o)
{
	struct sim_job *j = o->j;

	if (o->why == WHY_CANCEL && (w->cancelling.job != j || w->cancelling.mask != o->mask))
		broken(w, "job %d: states %llx are canceled, asked for %x", job_index(w, j), (unsigned long long)o->mask,
		       w->cancelling.job == j ? (unsigned)w->cancelling.mask : 0);
	w->cancelling.done = true;
	ensure(j->n_orders < ARRAY_LEN(j->order));
	j->order[j->n_orders++] = *o;
	for (int i = 0; i < j->made; i++) {
		struct model_task *t = j->tasks[i];

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
	if (!j->finish_ms || o->at < j->finish_ms)
		broken(w, "job %d is finished at %lld", job_index(w, j), (long long)o->at);
	j->finished = true;
}

/* ---- calls that move single tasks ---- */

static void called(struct world *w, struct model_task *t, enum event_why why)
{
	const struct sim_job *j = job_of(w, t);

	if (why == WHY_CANCEL) {
		rule_end(w, t, TASK_CANCELED, JOB_REASON_CANCELED, WHY_CANCEL, -1);
	} else if (why == WHY_CONFIRM) {
		if (j->status != JOB_IN_PROGRESS || (j->finish_ms && t->log->at >= j->finish_ms))
			broken(w, "%s is confirmed out of its time", name_of(w, t));
		rule_confirm(w, t, -1);
	} else {
		w->jobs[t->job].reopened = true;
		rule_again(w, t, model_version(w, t->device, j->package->module, INT64_MAX), t->log->at);
		conflicts(w, t, -1);
	}
}

/* Whoever touches a task that a bulk order has canceled writes that first. */
static void settle_owed(struct world *w, struct model_task *t)
{
	if (!t->owed || !t->log)
		return;
	must_be_logged(w, t, t->owed, t->owed_from, t->owed_at);
	t->owed = WHY_NONE;
}

/* The call that is under way: all of what it asks for, in its order, or nothing. */
static void follow_call(struct world *w)
{
	struct intent *in = &w->intent;
	size_t n = 0;

	for (struct model_task *t = in->of_device ? in->of_device->tasks : NULL; t; t = t->older)
		if (unfinished(t) && job_of(w, t)->package == in->of_package && (!in->of_job || job_of(w, t) == in->of_job)) {
			ensure(in->n < ARRAY_LEN(in->tasks));
			in->tasks[in->n++] = t;
		}
	for (size_t i = 0; i < in->n; i++) {
		settle_owed(w, in->tasks[i]);
		n += in->tasks[i]->log && in->tasks[i]->log->why == in->why;
	}
	if (n == 0) {
		in->n = in->of_device ? 0 : in->n;
		return;
	}
	if (n < in->n)
		broken(w, "%zu of %zu tasks are moved by %s", n, in->n, event_why_name(in->why));
	for (size_t i = 0; i < in->n; i++)
		called(w, in->tasks[i], in->why);
	in->done = true;
	in->n = 0;
	in->of_device = NULL;
}

/* ---- reports ---- */

/* The task that a report is about: of its module; else, for progress, the device's only one (device §2.7). */
static struct model_task *meant(struct world *w, const struct said *s)
{
	struct model_task *only = NULL, *t;
	int n = 0;

	for (t = s->device->tasks; t; t = t->older) {
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

/* `until`: what timers are due before it comes first. */
static void applied(struct world *w, const struct received *r, utc_ms until)
{
	const struct said *s = &w->model->said.items[r->said - 1];
	struct model_task *t = meant(w, s);

	trace(w, "%s: said %d %s%d of %s at %lld%s", s->device->name, (int)s->kind, s->version ? s->version : "", s->step,
	      sim_modules[s->module], (long long)r->at, t ? "" : ", of no task");
	if (s->kind == SAID_NONSENSE || s->device->deleted)
		return;
	if (s->kind == SAID_VERSION && model_reported(w, s->device, s->module, s->version, r->at))
		told_version(w, s->device, s->module, s->version, r->at);
	if (!t)
		return;
	while (rule_timer(w, t, until))
		;
	switch (s->kind) {
	case SAID_VERSION:
		rule_version(w, t, s->version, r->at);
		break;
	case SAID_STEP:
		rule_step(w, t, s->step, s->text, r->at, model_ahead(r->reconnected) ? 0 : r->reconnected);
		break;
	case SAID_PULL:
		pull(w, t);
		break;
	case SAID_NONSENSE:
		break;
	}
}

static void follow_reports(struct world *w, struct seen *s, size_t *order)
{
	struct model *m = w->model;
	utc_ms at = 0; /* the clock may be set back between two */

	for (; m->applied < m->received.n && m->received.items[m->applied].next <= s->position; m->applied++) {
		const struct received *r = &m->received.items[m->applied];

		at = i64_max(at, r->at);
		/* The finish time comes between reports, by their times. */
		for (; *order < s->n_orders && at >= s->orders[*order].j->finish_ms; ++*order)
			ordered(w, &s->orders[*order]);
		if (r->said)
			applied(w, r, at);
	}
}

/* ---- pushes ---- */

/* The earliest time for a push to a connection; in_doubt: the last one may not have gone out, and counts as none. */
utc_ms due_at(const struct model_task *t, const struct conn_seen *c, bool in_doubt)
{
	utc_ms now = clock_now(), due = c->since > now ? 0 : c->since; /* later than now: before the clock was set back */

	if (t->retry_at)
		return t->retry_at;
	due += t->state == TASK_IN_PROGRESS ? GRACE_RUNNING_MS : GRACE_MS;
	return t->state == TASK_QUEUED || in_doubt || t->pushed_at > now ? due : i64_max(due, rule_again_at(t));
}

static void pushed(struct world *w, struct model_task *t, int64_t conn)
{
	const struct sim_job *j = job_of(w, t);
	struct conn_seen *c = conn ? model_conn(w, conn) : NULL;
	bool in_doubt = t->doubts != model_doubts(w);
	utc_ms at = t->log->at, due;

	if (!j->need_push || j->most == 0 || j->status != JOB_IN_PROGRESS || j->paused || t->state == TASK_CONFIRM ||
	    !unfinished(t))
		broken(w, "%s is pushed in state %s of job %s%s", name_of(w, t), state_name(t->state),
		       job_status_name(j->status), j->paused ? ", paused" : "");
	if (conn && (!c || c->device != t->device))
		broken(w, "%s is pushed to another's connection", name_of(w, t));
	if (c && c->over_at && c->over_at <= w->model->position_before)
		broken(w, "%s is pushed to a connection that has ended", name_of(w, t));
	if (t->state != TASK_QUEUED && !t->retry_at && conn && t->pushed_conn == conn && !in_doubt)
		broken(w, "%s is pushed twice to one connection", name_of(w, t));
	due = c ? due_at(t, c, in_doubt) : t->retry_at;
	if (at < due)
		broken(w, "%s is pushed at %lld, %lld ms early", name_of(w, t), (long long)at, (long long)(due - at));
	rule_push(w, t, at, conn, false);
}

/* A timer that the product has fired. Whatever the device said before it was due comes first. */
static bool fired(struct world *w, struct model_task *t)
{
	const struct model *m = w->model;
	utc_ms due = t->deadline && (!t->verdict_at || t->deadline <= t->verdict_at) ? t->deadline : t->verdict_at;

	if (!rule_timer(w, t, clock_now() + 1))
		return false;
	for (size_t i = m->applied; i < m->received.n; i++) {
		const struct received *r = &m->received.items[i];

		if (r->said && m->said.items[r->said - 1].device == t->device && r->at < due)
			broken(w, "%s: its timer of %lld has fired before a report of %lld was read", name_of(w, t),
			       (long long)due, (long long)r->at);
	}
	return true;
}

/* What is left of a task's log: what the product did by its own choice, and timers that it fired. */
static void follow_rest(struct world *w, struct model_task *t, const struct task_seen *row)
{
	while (t->log) {
		enum event_why why = t->log->why;

		if (t->owed) {
			settle_owed(w, t);
		} else if (why == WHY_PUSH) {
			pushed(w, t, row->push_conn);
		} else if (why == WHY_DELETED && (t->device->deleted || t->device == w->deleting)) {
			rule_end(w, t, TASK_CANCELED, TASK_REASON_DELETED, WHY_DELETED, -1);
		} else if (!fired(w, t)) {
			broken(w, "%s: %s to %s by %s is not ruled", name_of(w, t), state_name(t->log->from),
			       state_name(t->log->to), event_why_name(why));
		}
	}
}

/* ---- rows ---- */

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

	while (what && fired(w, t)) /* one that leaves no trace in the log */
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
	t->row_conn = row->push_conn;
}

/* ---- all of it ---- */

/* The start of a job counts for the requests that are answered in the same transaction. */
static void started(const struct job_seen *s)
{
	if (s->status != JOB_IN_PROGRESS || s->j->status == JOB_IN_PROGRESS)
		return;
	s->j->running_ms = clock_now();
	if (s->j->status == JOB_PLANNED && clock_now() >= s->j->schedule_ms)
		s->j->status = JOB_IN_PROGRESS;
}

/* Within one transaction the product takes back pushes first, then comes what calls and the maker do, the start of
 * jobs, reports and timers by their times, and pushes last. */
void follow(struct world *w, struct seen *s)
{
	struct model *m = w->model;
	size_t order = 0;

	deal_out(w, s);
	for (size_t i = 0; i < m->tasks.n; i++)
		if (m->tasks.items[i]->log && m->tasks.items[i]->log->why == WHY_UNPUSHED)
			rule_unpush(w, m->tasks.items[i], -1);
	follow_call(w);
	for (; order < s->n_orders && s->orders[order].why != WHY_FINISH_TIME; order++)
		ordered(w, &s->orders[order]);
	for (size_t i = 0; i < s->n_log; i++)
		if (s->log[i].from == TASK_NONE)
			made(w, &s->log[i]);
	for (size_t i = 0; i < s->n_jobs; i++)
		started(&s->jobs[i]);
	follow_reports(w, s, &order);
	for (; order < s->n_orders; order++)
		ordered(w, &s->orders[order]);
	m->position = s->position;
	if (s->whole && s->n_tasks != m->tasks.n)
		broken(w, "there are %zu tasks, the log says %zu", s->n_tasks, m->tasks.n);
	for (size_t i = 0; i < s->n_tasks; i++) {
		struct model_task *t = task_of(w, s->tasks[i].job_id, s->tasks[i].seq);

		if (s->tasks[i].device_id != t->device->row)
			broken(w, "%s is another device's", name_of(w, t));
		follow_rest(w, t, &s->tasks[i]);
		compare(w, t, &s->tasks[i]);
	}
}
