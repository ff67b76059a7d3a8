/* SPDX-License-Identifier: Apache-2.0 */
/* Feeding the ready queues and claiming from them at the jobs' pace (docs/architecture.md, "The
 * tick"). Rows are never searched by state: a cursor walks each job once, the rest are events. */
#include "dispatcher/tick_priv.h"

#include "engine/base/crypto.h"
#include "engine/base/metrics.h"

#include <stdlib.h>
#include <string.h>

/* Slots of a time that no tick covered are not made up. */
#define SLOTS_US 1000000

static bool job_pushes(const struct live_job *j)
{
	return j->live && j->run.status == JOB_IN_PROGRESS && !j->run.paused && j->set.rules.need_push &&
	       j->run.max_per_minute > 0;
}

/* Now, later, or not on this connection. */
static void enter(struct engine *g, struct live_job *j, const struct task *t, utc_ms now)
{
	struct later_entry e = { .job_id = j->run.job_id,
				 .entry = { .seq = t->seq,
					    .first = task_first_push(t) && t->retry_ms == 0,
					    .device_id = t->device_id } };
	utc_ms since = 0;
	int64_t conn = online_conn(g, t->device_id, &since);

	if (!conn)
		return; /* its connecting is an event */
	e.due_ms = task_due_at(t, &j->set.rules, conn, since, now);
	if (e.due_ms <= now)
		ready_put(&j->ready, e.entry);
	else if (e.due_ms != NEVER)
		later_put(&g->later, e);
}

static enum err walk(struct work *w, struct live_job *j)
{
	const struct tick_bounds *max = &w->g->opt.bounds;
	const struct task *t = NULL;
	size_t n = 0;
	int32_t last = j->run.tasks, to = (int32_t)i64_min(last, (int64_t)j->cursor + max->walk_rows);

	if (j->cursor >= last && (j->again || j->ready.overflow) && ready_depth(&j->ready) < max->walk_until) {
		j->again = j->ready.overflow = false;
		j->cursor = 0;
		return OK;
	}
	if (j->cursor >= last || ready_depth(&j->ready) >= max->walk_until)
		return OK;
	if (j->cursor == 0) /* else every new walk would enter the same tasks again */
		later_forget(&w->g->later, j->run.job_id);
	TRY(store_tick_walk(w->g->db, j->run.job_id, j->cursor, last, max->walk_rows, &t, &n));
	for (size_t i = 0; i < n; i++)
		enter(w->g, j, &t[i], w->now);
	j->cursor = to;
	return OK;
}

enum err claim_feed(struct work *w)
{
	struct engine *g = w->g;
	struct later_entry e;
	int64_t depth = 0;

	if (w->reports_only || !online_known(g))
		return OK;
	while (later_take(&g->later, w->now, &e)) {
		struct live_job *j = jobs_find(&g->jobs, e.job_id);

		if (j && j->live)
			ready_put(&j->ready, e.entry);
	}
	for (size_t i = 0; i < g->jobs.n; i++) {
		if (job_pushes(g->jobs.items[i]))
			TRY(walk(w, g->jobs.items[i]));
		depth += (int64_t)ready_depth(&g->jobs.items[i]->ready);
	}
	metric_set(M_READY, depth);
	return OK;
}

/* What the pace allows now. */
static size_t slots(const struct work *w, struct live_job *j, size_t want)
{
	return (size_t)pace_slots(&j->pace, j->run.max_per_minute, w->now_us,
				  i64_max(w->g->last_claim_us, w->now_us - SLOTS_US), (int64_t)want);
}

/* Takes candidates for at most `share` claims -> how many there may be. Where the slots are fewer than what waits, a
 * few more are taken, for those that turn out not to be due. */
static size_t job_candidates(struct work *w, struct live_job *j, size_t share)
{
	size_t depth = ready_depth(&j->ready), want = depth < share ? depth : share, n = slots(w, j, want), more;
	struct ready_entry *e;

	if (n == 0)
		return 0;
	more = n < want ? (size_t)i64_min((int64_t)(n + n / 4 + w->g->opt.bounds.claims_spare), (int64_t)depth) : n;
	e = ARENA_ARRAY(w->a, more, struct ready_entry);
	more = ready_take(&j->ready, more, e);
	for (size_t i = 0; i < more; i++) {
		VEC_ADD(w->a, &w->candidates, ((struct candidate){ .job = j, .entry = e[i] }));
		work_want(w, j->run.job_id, e[i].seq, false);
	}
	return n;
}

static bool waits(const struct live_job *j)
{
	return job_pushes(j) && ready_depth(&j->ready) > 0;
}

/* Candidates, before the transaction: keys out of the queues. When there is not room for all, the jobs have equal
 * shares of it, and the next tick begins with those that got nothing. */
void claim_candidates(struct work *w)
{
	struct engine *g = w->g;
	size_t n = g->jobs.n, waiting = 0, first = 0, left = g->claims_room;

	w->room = left;
	if (w->reports_only || !online_known(g) || !mqtt_publisher_up(g->opt.mqtt))
		return;
	for (size_t i = 0; i < n; i++) {
		waiting += waits(g->jobs.items[i]);
		first += g->jobs.items[i]->run.job_id <= g->claims_after;
	}
	for (size_t i = 0; i < n && left > 0; i++) {
		struct live_job *j = g->jobs.items[(first + i) % n];

		if (!waits(j))
			continue;
		left -= job_candidates(w, j, (left + waiting - 1) / waiting);
		waiting--;
		g->claims_after = j->run.job_id;
	}
}

/* Is this candidate to be pushed to now? What is not yet due goes to the heap. */
static bool due(struct work *w, const struct candidate *c, struct work_task **ret, int64_t *ret_conn)
{
	struct work_task *k = work_find(w, c->job->run.job_id, c->entry.seq);
	struct later_entry later = { .job_id = c->job->run.job_id, .entry = c->entry };
	utc_ms since = 0;

	if (!k)
		return false;
	*ret = k;
	*ret_conn = online_conn(w->g, k->t.device_id, &since);
	if (!*ret_conn)
		return false;
	later.due_ms = task_due_at(&k->t, &c->job->set.rules, *ret_conn, since, w->now);
	if (later.due_ms <= w->now)
		return true;
	if (later.due_ms != NEVER)
		VEC_ADD(w->a, &w->ready_after, later);
	return false;
}

static void take_one(struct work *w, struct candidate *c, struct work_task *k, int64_t conn)
{
	struct task_event e = { .kind = TASK_EV_PUSH, .at = w->now, .conn = conn, .desc = "" };
	struct claim claim = { .job = c->job, .task = k, .entry = c->entry, .conn = conn, .push_ms = k->t.push_ms,
			       .retry_ms = k->t.retry_ms };

	work_step(w, k, &e);
	k->claimed = true;
	claim.push_no = k->t.pushes;
	VEC_ADD(w->a, &w->claims, claim);
}

/* The candidates of one job, items[from..to). */
static void take_job(struct work *w, size_t from, size_t to)
{
	struct live_job *j = w->candidates.items[from].job;
	const struct tick_run *run = work_run(w, j->run.job_id);
	struct work_task **task = ARENA_ARRAY(w->a, to - from, struct work_task *);
	int64_t *conn = ARENA_ARRAY(w->a, to - from, int64_t), n_due = 0, n;

	if (!run || run->status != JOB_IN_PROGRESS || run->paused)
		return; /* busy, or not to be pushed now: the keys go back */
	for (size_t i = from; i < to; i++) {
		struct candidate *c = &w->candidates.items[i];

		if (due(w, c, &task[i - from], &conn[i - from]))
			n_due++;
		else
			task[i - from] = NULL;
		c->used = !task[i - from];
	}
	n = pace_claim(&j->pace, run->max_per_minute, w->now_us,
		       i64_max(w->g->last_claim_us, w->now_us - SLOTS_US), i64_min(n_due, (int64_t)w->room));
	for (size_t i = from; i < to && n > 0; i++) {
		struct candidate *c = &w->candidates.items[i];

		if (!task[i - from])
			continue;
		c->used = true;
		if (task[i - from]->claimed)
			continue; /* it stood in the queue twice */
		take_one(w, c, task[i - from], conn[i - from]);
		w->room--;
		n--;
	}
	pace_unclaim(&j->pace, n);
}

void claim_take(struct work *w)
{
	unsigned char id[8];
	uint64_t n = 0;

	for (size_t from = 0, to; from < w->candidates.n; from = to) {
		for (to = from + 1;
		     to < w->candidates.n && w->candidates.items[to].job == w->candidates.items[from].job;)
			to++;
		take_job(w, from, to);
	}
	if (w->claims.n == 0)
		return;
	crypto_random(id, sizeof id);
	for (size_t i = 0; i < sizeof id; i++)
		n = n << 8 | id[i];
	w->batch_id = (int64_t)(n & INT64_MAX);
}

/* Gives back what was not claimed (after a commit) or everything (after a failure), order kept. */
static void put_back(struct work *w, bool everything)
{
	for (size_t i = w->candidates.n; i-- > 0;) {
		struct candidate *c = &w->candidates.items[i];

		if (everything || !c->used)
			ready_put_back(&c->job->ready, c->entry);
	}
}

void claim_return(struct work *w)
{
	for (size_t i = 0; i < w->claims.n; i++)
		pace_unclaim(&w->claims.items[i].job->pace, 1);
	put_back(w, true);
}

void claim_committed(struct work *w)
{
	put_back(w, false);
	for (size_t i = 0; i < w->ready_after.n; i++) {
		const struct later_entry *e = &w->ready_after.items[i];
		struct live_job *j = jobs_find(&w->g->jobs, e->job_id);

		if (e->due_ms > w->now)
			later_put(&w->g->later, *e);
		else if (j && j->live)
			ready_put(&j->ready, e->entry);
	}
}
