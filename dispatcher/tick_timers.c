/* SPDX-License-Identifier: Apache-2.0 */
/* Timers that are due, merged with the reports in the order of their times: a success that waited in the
 * journal beats the timeout that fell due while it waited, and not the other way round. */
#include "dispatcher/tick_priv.h"

#include "engine/base/log.h"

#include <stdlib.h>
#include <string.h>

enum err timers_read(struct work *w)
{
	const struct tick_timer *t = NULL;
	struct engine *g = w->g;
	size_t n = 0;

	if (w->reports_only || w->timers_until < g->next_timer_ms)
		return OK;
	TRY(store_tick_timers(g->db, w->timers_until, g->opt.bounds.timers, &t, &n));
	for (size_t i = 0; i < n; i++) {
		struct live_job *j;
		enum err e = jobs_get(&g->jobs, g->db, t[i].job_id, &j);

		if (e != ERR_NOT_FOUND)
			TRY(e);
		work_want(w, t[i].job_id, t[i].seq, true);
	}
	w->timers = t;
	w->n_timers = n;
	if (n < (size_t)g->opt.bounds.timers && w->timers_until == w->now)
		g->next_timer_ms = NEVER; /* until one is armed, or the next look */
	return OK;
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

void events_apply(struct work *w)
{
	size_t next = 0;
	utc_ms at = 0;

	for (size_t i = 0; i < w->reports.n; i++) {
		const struct work_report *r = &w->reports.items[i];

		at = i64_max(at, r->at); /* the clock may have been set back between two */
		for (; next < w->n_timers && w->timers[next].due_ms < at; next++)
			if (w->timers[next].seq != 0)
				task_timer(w, &w->timers[next]);
		report_apply(w, r);
	}
	for (; next < w->n_timers; next++)
		if (w->timers[next].seq != 0)
			task_timer(w, &w->timers[next]);
}

/* Pushes that did not go out, or may not have. */
void undone_apply(struct work *w)
{
	for (size_t i = 0; i < w->g->undone.n; i++) {
		const struct undone *u = &w->g->undone.items[i];
		struct work_task *k = work_find(w, u->job_id, u->seq);
		struct task_event e = { .kind = TASK_EV_UNPUSH, .at = w->now, .desc = "" };
		bool first;

		if (!k || k->t.push_conn != u->device_conn || !task_state_unfinished(k->t.state))
			continue;
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
