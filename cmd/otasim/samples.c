/* SPDX-License-Identifier: Apache-2.0 */
/* How things are, every few seconds, SAMPLES_MAX times at most. Called by load.c. */
#include "cmd/otasim/load.h"

#include <stdlib.h>
#include <string.h>

#define LONG_ENOUGH_MS 500 /* the kernel counts CPU in steps of 10 ms */

void samples_start(struct load *l)
{
	struct samples *s = &l->samples;

	s->every_s = (l->plan->duration_s + SAMPLES_MAX - 1) / SAMPLES_MAX;
	s->v = calloc(SAMPLES_MAX + 2, sizeof *s->v);
	ensure(s->v);
	for (size_t i = 0; i < PROCS; i++)
		s->cpu_before[i] = l->procs[i].cpu_ms;
}

static void fleet_sample(const struct load *l, struct sample *v)
{
	const struct sim *s = l->sim;
	const struct stats *now = &s->stats, *before = &l->samples.before;

	v->wanted = i64_min(curve_at_milli(&l->plan->online, v->at_ms) / 1000, (int64_t)s->n);
	v->online = (int64_t)s->n_up;
	v->downloading = s->n_downloading;
	v->logins = now->connects - before->connects;
	v->refused = now->refused - before->refused;
	v->lost = now->disconnects - before->disconnects;
	v->reports = now->reports - before->reports;
	v->bytes = now->bytes - before->bytes;
	v->successes = now->successes - before->successes;
	v->failures = now->failures - before->failures;
}

/* Percentiles of what came since the last time. */
static void meter_take(struct meter *m, int64_t *p50, int64_t *p99)
{
	*p50 = histogram_percentile(&m->now, 50000);
	*p99 = histogram_percentile(&m->now, 99000);
	histogram_clear(&m->now);
}

static void api_sample(struct load *l, struct sample *v)
{
	struct meter *m = &l->api.all;

	v->calls = m->now.n;
	v->errors = l->api.errors - l->samples.errors_before;
	v->call_p90_us = histogram_percentile(&m->now, 90000);
	v->call_max_us = m->now.n > 0 ? m->now.max_us : -1;
	meter_take(m, &v->call_p50_us, &v->call_p99_us);
	l->samples.errors_before = l->api.errors;
}

static void campaign_sample(const struct load *l, const struct campaign *c, int64_t from_ms,
			    struct campaign_sample *v, int64_t at_ms)
{
	int64_t start = l->sim->started_ms;

	v->pushes = push_times_between(&c->pushes, start + from_ms, start + at_ms);
	v->minute = push_times_between(&c->pushes, start + at_ms - PUSH_WINDOW_MS, start + at_ms);
	v->limit = c->limit;
	memcpy(v->states, c->states, sizeof v->states);
}

static void procs_sample(struct load *l, struct sample *v, int64_t passed_ms)
{
	procs_look(l);
	for (size_t i = 0; i < PROCS; i++) {
		const struct proc *p = &l->procs[i];

		v->procs[i].cpu_milli = -1;
		if (passed_ms >= LONG_ENOUGH_MS)
			v->procs[i].cpu_milli = 1000 * (p->cpu_ms - l->samples.cpu_before[i]) / passed_ms;
		v->procs[i].rss_kib = p->rss_kib;
		l->samples.cpu_before[i] = p->cpu_ms;
	}
}

void samples_take(struct load *l, int64_t since_ms)
{
	struct samples *s = &l->samples;
	int64_t before_ms = s->n > 0 ? s->v[s->n - 1].at_ms : 0;
	struct sample *v = &s->v[s->n];

	if (s->n == SAMPLES_MAX + 2 || (s->n > 0 && since_ms <= before_ms))
		return;
	*v = (struct sample){ .at_ms = since_ms };
	fleet_sample(l, v);
	api_sample(l, v);
	meter_take(&l->sim->login, &v->login_p50_us, &v->login_p99_us);
	meter_take(&l->sim->update, &v->update_p50_us, &v->update_p99_us);
	for (size_t i = 0; i < l->plan->n_campaigns; i++)
		campaign_sample(l, &l->campaigns[i], before_ms, &v->campaigns[i], since_ms);
	procs_sample(l, v, since_ms - before_ms);
	v->lag_max_us = l->lag_max_us;
	l->lag_max_us = 0;
	s->before = l->sim->stats;
	s->n++;
}
