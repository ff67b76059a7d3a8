/* SPDX-License-Identifier: Apache-2.0 */
/* Timers that are due, merged with the reports in the order of their times: a success that waited in the
 * journal beats the timeout that fell due while it waited, and not the other way round. */
#include "dispatcher/tick_priv.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"

#include <stdlib.h>
#include <string.h>

/* How many of the timers this tick fires, so that everything happens in the order of its time: what was read is not
 * all, or a job's finish time, which comes first in a tick, lies between the reports. The rest waits for the next. */
static size_t bound(struct work *w, const struct tick_timer *t, size_t n)
{
	if (n == (size_t)w->g->opt.bounds.timers)
		reports_cut(w, t[n - 1].due_ms + 1);
	for (size_t i = 0; i < n && w->reports.n > 0; i++)
		if (t[i].kind == TIMER_JOB_FINISH && w->reports.items[0].at < t[i].due_ms) {
			reports_cut(w, t[i].due_ms);
			return i;
		}
	return n;
}

enum err timers_read(struct work *w)
{
	const struct tick_timer *t = NULL;
	struct engine *g = w->g;
	utc_ms until = w->timers_until;
	int64_t began = clock_boot_us();
	size_t n = 0;

	if (w->reports_only || until < g->next_timer_ms)
		return OK;
	TRY(store_tick_timers(g->db, g->timers_from_ms, until, g->opt.bounds.timers, &t, &n));
	if (g->timers_from_ms == 0)
		g->timers_us = clock_boot_us() - began;
	if (n == 0)
		g->timers_from_ms = until;
	w->timers = t;
	w->n_timers = bound(w, t, n);
	for (size_t i = 0; i < w->n_timers; i++) {
		struct live_job *j;
		enum err e = jobs_get(&g->jobs, g->db, t[i].job_id, &j);

		if (e != ERR_NOT_FOUND)
			TRY(e);
		work_want(w, t[i].job_id, t[i].seq, true);
	}
	if (w->timers_until == w->now && n < (size_t)g->opt.bounds.timers)
		g->next_timer_ms = NEVER; /* until one is armed, or the next look */
	return OK;
}

void timers_committed(struct work *w)
{
	struct engine *g = w->g;

	if (w->n_timers > 0)
		g->timers_from_ms = w->timers[w->n_timers - 1].due_ms;
	for (size_t i = 0; i < w->arm.n; i++) {
		g->next_timer_ms = i64_min(g->next_timer_ms, w->arm.items[i].due_ms);
		g->timers_from_ms = i64_min(g->timers_from_ms, w->arm.items[i].due_ms);
	}
}

enum err timers_jobs(struct work *w)
{
	for (size_t i = 0; i < w->n_timers; i++) {
		const struct tick_timer *t = &w->timers[i];

		if (t->seq != 0)
			continue;
		if (t->kind == TIMER_JOB_START) {
			TRY(store_tick_start_job(w->g->db, t->job_id, w->now));
			log_event(EV_JOB_STARTED, LINT("job", t->job_id));
		} else if (t->kind == TIMER_JOB_FINISH) {
			TRY(store_tick_finish_job(w->g->db, t->job_id, w->now));
			log_event(EV_JOB_FINISHED, LINT("job", t->job_id));
		}
		VEC_ADD(w->a, &w->settle, t->job_id);
		w->g->look_at_boot_ms = 0; /* its row has changed */
	}
	return OK;
}

static void task_timer(struct work *w, const struct tick_timer *t)
{
	struct work_task *k = work_find(w, t->job_id, t->seq);
	struct task_event e = { .kind = TASK_EV_TIMER, .at = t->due_ms, .timer = t->kind, .desc = "" };

	if (!k)
		return;
	work_step(w, k, &e);
	if (t->kind == TIMER_RETRY && k->t.retry_ms != 0 && k->t.retry_ms <= w->now)
		VEC_ADD(w->a, &w->ready_after,
			((struct later_entry){ .job_id = t->job_id,
					       .entry = { .seq = t->seq, .device_id = k->t.device_id } }));
}

/* The earliest of the timers that were armed in this tick. */
static struct tick_timer *soonest(struct work *w)
{
	struct tick_timer *first = NULL;

	for (size_t i = 0; i < w->soon.n; i++)
		if (!first || w->soon.items[i].due_ms < first->due_ms)
			first = &w->soon.items[i];
	return first;
}

/* Fires what is due before a time; *next: of the timers that were read. */
static void fire_before(struct work *w, size_t *next, utc_ms at)
{
	for (;;) {
		const struct tick_timer *read = *next < w->n_timers ? &w->timers[*next] : NULL;
		struct tick_timer *soon = soonest(w), now;

		if (soon && soon->due_ms < at && !(read && read->due_ms <= soon->due_ms)) {
			now = *soon;
			*soon = w->soon.items[--w->soon.n];
		} else if (read && read->due_ms < at) {
			now = *read;
			++*next;
		} else {
			return;
		}
		if (now.seq != 0)
			task_timer(w, &now);
	}
}

void events_apply(struct work *w)
{
	size_t next = 0;
	utc_ms at = 0;

	for (size_t i = 0; i < w->reports.n; i++) {
		const struct work_report *r = &w->reports.items[i];

		at = i64_max(at, r->at); /* the clock may have been set back between two */
		fire_before(w, &next, at);
		report_apply(w, r);
	}
	fire_before(w, &next, w->timers_until + 1);
}

/* Pushes that did not go out, or may not have. */
void undone_apply(struct work *w)
{
	for (size_t i = 0; i < w->g->undone.n; i++) {
		const struct undone *u = &w->g->undone.items[i];
		struct work_task *k = work_find(w, u->job_id, u->seq);
		struct task_event e = { .kind = TASK_EV_UNPUSH, .at = w->now, .desc = "", .push_ms = u->push_ms,
					.retry_ms = u->retry_ms };
		bool first;

		if (!k || k->t.push_conn != u->device_conn || !task_state_unfinished(k->t.state))
			continue;
		if (!u->unknown && k->t.push_ms != u->claimed_ms)
			continue; /* answered since */
		if (u->unknown) {
			k->t.push_conn = 0;
			k->changed = true;
		} else {
			work_step(w, k, &e);
		}
		first = k->t.state == TASK_QUEUED;
		VEC_ADD(w->a, &w->ready_after,
			((struct later_entry){
				.job_id = u->job_id,
				.entry = { .seq = u->seq, .first = first, .device_id = k->t.device_id } }));
	}
}
