/* SPDX-License-Identifier: Apache-2.0 */
/* Did what had to come true? Every verdict says what was asked, what was seen, and by whom. */
#include "cmd/otasim/result.h"

#include <string.h>

#define LAG_DOUBT_US 200000 /* p99.9 of otasim's own loop: beyond, its numbers are about itself */

static void add(struct verdicts *v, enum verdict_kind kind, const char *title, const char *fmt, ...)
	PRINTF(4, 5);
static void add(struct verdicts *v, enum verdict_kind kind, const char *title, const char *fmt, ...)
{
	va_list ap;

	ensure(v->n < VERDICTS_MAX);
	va_start(ap, fmt);
	v->v[v->n++] = (struct verdict){ kind, title, arena_vprintf(v->arena, fmt, ap) };
	va_end(ap);
}

/* Without being asked for, what is not bad is only a note. */
static enum verdict_kind judged(bool asked, bool bad)
{
	return !asked ? VERDICT_NOTE : bad ? VERDICT_BAD : VERDICT_GOOD;
}

const char *verdict_word(enum verdict_kind k)
{
	static const char *const words[] = { "good", "doubtful", "bad", "note" };

	return words[k];
}

enum verdict_kind verdicts_worst(const struct verdicts *v)
{
	enum verdict_kind worst = VERDICT_GOOD;

	for (size_t i = 0; i < v->n; i++)
		if (v->v[i].kind != VERDICT_NOTE && v->v[i].kind > worst)
			worst = v->v[i].kind;
	return worst;
}

/* Says which campaign, where there are several. */
static const char *title(struct verdicts *v, const struct campaign *c, const char *what)
{
	if (c->load->plan->n_campaigns == 1)
		return what;
	return arena_printf(v->arena, "%s (campaign %zu)", what, c->number + 1);
}

/* ---- campaigns ---- */

int64_t campaign_used_milli(const struct campaign *c)
{
	const struct push_times *p = &c->pushes;
	int64_t after_first = (int64_t)p->n - 1, span_ms = p->n > 1 ? p->at_ms[after_first] - p->at_ms[0] : 0;

	if (span_ms <= 0 || c->limit_max <= 0)
		return -1;
	return (int64_t)((double)(after_first + p->held_between) * PUSH_WINDOW_MS / (double)span_ms /
			 (double)c->limit_max * PERCENT_MILLI);
}

static void rate_verdict(struct verdicts *v, const struct campaign *c)
{
	int64_t from_ms = 0, worst = push_times_worst(&c->pushes, &from_ms);
	struct arena *a = v->arena;

	if (c->limit_max < 0)
		add(v, VERDICT_DOUBT, title(v, c, "Rate"),
		    "The platform did not say which rate was in force.");
	else if (worst > c->limit_max)
		add(v, VERDICT_BAD, title(v, c, "Rate exceeded"),
		    "%s pushes reached devices in the 60 seconds from %s on; %s a minute are allowed.",
		    say_number(a, worst), say_seconds(a, from_ms - c->load->sim->started_ms),
		    say_number(a, c->limit_max));
	else
		add(v, VERDICT_GOOD, title(v, c, "Rate kept"),
		    "At most %s pushes reached devices in any 60 seconds; %s a minute are allowed.",
		    say_number(a, worst), say_number(a, c->limit_max));
	if (c->pushes.held > 0)
		add(v, VERDICT_NOTE, title(v, c, "Pushes held back by a cut"),
		    "%s, not judged: they arrived when a silence was over, and that does not say when they "
		    "were sent. otactl job pace does.",
		    say_number(a, c->pushes.held));
}

static void used_verdict(struct verdicts *v, const struct campaign *c)
{
	int64_t used = campaign_used_milli(c), wanted = c->load->plan->expect.rate_used_milli;
	const char *percent = used < 0 ? "Nothing" : say_percent(v->arena, used, PERCENT_MILLI),
		   *expected = "";

	if (used < 0 && wanted < 0)
		return;
	if (wanted >= 0)
		expected = arena_printf(v->arena, "; expected: at least %s",
					say_percent(v->arena, wanted, PERCENT_MILLI));
	add(v, judged(wanted >= 0, used < wanted), title(v, c, "Rate used"),
	    "%s of the rate between the first push and the last%s.", percent, expected);
}

/* "14,550 SUCCEEDED, 450 FAILED" */
static const char *states_text(struct arena *a, const struct campaign *c)
{
	struct buf *b = buf_owned(a, 1000);

	for (int s = 1; s <= TASK_STATES; s++)
		if (c->states[s] > 0)
			buf_addf(b, "%s%s %s", b->len > 0 ? ", " : "", say_number(a, c->states[s]),
				 task_state_name((enum task_state)s));
	return b->len > 0 ? buf_str(b) : "no tasks";
}

static void done_verdict(struct verdicts *v, const struct campaign *c)
{
	struct arena *a = v->arena;
	int64_t open = campaign_unfinished(c), unheard = fleet_unheard(c->load->sim);
	int64_t within = c->load->plan->expect.done_s;

	if (c->error)
		add(v, VERDICT_BAD, title(v, c, "No job"), "%s", c->error);
	else if (c->created_ms < 0)
		add(v, VERDICT_DOUBT, title(v, c, "No job"), "The run ended before its time came.");
	else if (c->ended && within >= 0 && c->ended_ms > within * MS_PER_SECOND)
		add(v, VERDICT_BAD, title(v, c, "Too slow"),
		    "The job ended %s after the start, %s was expected: %s.", say_seconds(a, c->ended_ms),
		    say_seconds(a, within * MS_PER_SECOND), states_text(a, c));
	else if (c->ended)
		add(v, VERDICT_GOOD, title(v, c, "Every task has ended"), "%s, %s after the job was created.",
		    states_text(a, c), say_seconds(a, c->ended_ms - c->created_ms));
	else if (open <= unheard && within < 0)
		add(v, VERDICT_GOOD, title(v, c, "Every task that could end has ended"),
		    "%s. What is open belongs to the %s devices that stay silent or away.", states_text(a, c),
		    say_number(a, unheard));
	else
		add(v, VERDICT_BAD, title(v, c, "Tasks are left"),
		    "%s are open at the end of the run, after %s: %s.", say_number(a, open),
		    say_seconds(a, c->load->ended_ms - c->created_ms), states_text(a, c));
}

/* Is every task this run's, and at rest? */
static bool comparable(const struct load *l)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		const struct campaign *c = &l->campaigns[i];

		if (c->plan->job || (!c->ended && campaign_unfinished(c) > fleet_unheard(l->sim)))
			return false;
	}
	return l->ending_ms >= 0;
}

/* May tasks end without their devices' doing? */
static bool timed(const struct load *l)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++)
		for (size_t k = 0; k < l->plan->campaigns[i].params.n; k++) {
			const char *name = l->plan->campaigns[i].params.v[k].name;

			if (strcmp(name, "TimeoutInMinutes") == 0 || strcmp(name, "ScheduleFinishTime") == 0)
				return true;
		}
	return false;
}

static void agreement_verdict(struct verdicts *v, const struct load *l)
{
	const struct stats *t = &l->sim->stats;
	struct arena *a = v->arena;
	int64_t succeeded = 0, failed = 0;
	bool agree;

	if (!comparable(l)) {
		add(v, VERDICT_NOTE, "Devices and platform were not compared",
		    "A job was there before the run, or tasks were not at rest at its end.");
		return;
	}
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		succeeded += l->campaigns[i].states[TASK_SUCCEEDED];
		failed += l->campaigns[i].states[TASK_FAILED];
	}
	agree = timed(l) ? succeeded <= t->successes : succeeded == t->successes && failed <= t->failures;
	add(v, judged(true, !agree),
	    agree ? "Devices and platform agree" : "Devices and platform do not agree",
	    "Devices came up with the new version %s times, the platform counts %s SUCCEEDED; they failed "
	    "%s times, the platform counts %s FAILED%s.",
	    say_number(a, t->successes), say_number(a, succeeded), say_number(a, t->failures),
	    say_number(a, failed), timed(l) ? ", those whose time was over among them" : "");
}

/* ---- devices ---- */

static void devices_verdict(struct verdicts *v, const struct load *l)
{
	const struct sim *s = l->sim;
	const struct stats *t = &s->stats;
	struct arena *a = v->arena;
	int64_t p99 = histogram_percentile(&s->login.all, 99000), within = l->plan->expect.login_p99_ms;
	const char *expected =
		within < 0 ? "" : arena_printf(a, "; expected: at most %s", say_us(a, within * 1000));

	if (t->connects + t->refused == 0)
		return;
	add(v, judged(true, t->refused > 0 || (within >= 0 && p99 > within * 1000)), "Logins",
	    "%s, %s refused; 99 %% of them took at most %s%s.", say_number(a, t->connects),
	    say_number(a, t->refused), say_us(a, p99), expected);
	if (t->foreign > 0)
		add(v, VERDICT_NOTE, "Pushes that devices could not use",
		    "%s, in a form that their SDK generation does not take; they are not in the pushes above.",
		    say_number(a, t->foreign));
	if (t->downloads + t->download_failures + t->digest_errors > 0)
		add(v, judged(true, t->digest_errors + t->download_failures > 0), "Downloads",
		    "%s came whole (%s MiB), %s with a wrong digest, %s were given up without being told "
		    "to; %s attempts went on where one before had broken off.",
		    say_number(a, t->downloads), say_number(a, t->bytes / 1048576),
		    say_number(a, t->digest_errors), say_number(a, t->download_failures),
		    say_number(a, t->resumed));
}

/* ---- API and otasim ---- */

static void api_verdict(struct verdicts *v, const struct load *l)
{
	const struct api_load *api = &l->api;
	const struct expectation *e = &l->plan->expect;
	struct arena *a = v->arena;
	int64_t n = api->all.all.n, p99 = histogram_percentile(&api->all.all, 99000);
	const char *expected = "", *waiting = "";

	if (l->plan->n_calls == 0)
		return;
	if (api->unsent > 0)
		waiting = arena_printf(a, ", and %s still waited for a connection at the end",
				       say_number(a, api->unsent));
	if (e->api_p99_ms >= 0)
		expected = arena_printf(a, "; expected: at most %s", say_us(a, e->api_p99_ms * 1000));
	add(v, judged(e->api_p99_ms >= 0, p99 < 0 || p99 > e->api_p99_ms * 1000), "API latency",
	    "99 %% of %s calls were answered within %s of the moment that they were due%s; the slowest took %s%s.",
	    say_number(a, n), say_us(a, p99), expected, say_us(a, n > 0 ? api->all.all.max_us : -1), waiting);
	expected = "";
	if (e->api_errors_milli >= 0)
		expected = arena_printf(a, "; expected: at most %s",
					say_percent(a, e->api_errors_milli, PERCENT_MILLI));
	add(v, judged(e->api_errors_milli >= 0, api->errors * PERCENT_MILLI > e->api_errors_milli * n),
	    "API errors", "%s of %s calls (%s) were refused or got no answer%s.", say_number(a, api->errors),
	    say_number(a, n), say_percent(a, api->errors, n), expected);
}

static void otasim_verdict(struct verdicts *v, const struct load *l)
{
	struct arena *a = v->arena;
	int64_t p999 = histogram_percentile(&l->lag, 99900), late = histogram_percentile(&l->api.late, 99000);
	const char *calls = "";

	if (late >= 0)
		calls = arena_printf(a, " 99 %% of the API calls left at most %s after they were due.",
				     say_us(a, late));
	if (p999 > LAG_DOUBT_US)
		add(v, VERDICT_DOUBT, "otasim did not keep up",
		    "Its own loop was up to %s late (99.9 %% of the time: %s).%s The numbers are about its "
		    "machine as much as about the platform: give it one of its own, or less to do.",
		    say_us(a, l->lag.max_us), say_us(a, p999), calls);
	else
		add(v, VERDICT_GOOD, "otasim itself kept up",
		    "99.9 %% of the time its own loop was at most %s late, at worst %s.%s", say_us(a, p999),
		    say_us(a, l->lag.max_us), calls);
	if (l->sim->stopped)
		add(v, VERDICT_DOUBT, "The run was broken off", "A signal ended it %s after the start.",
		    say_seconds(a, l->ended_ms));
}

void verdicts_find(struct load *l, struct verdicts *v)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		const struct campaign *c = &l->campaigns[i];

		done_verdict(v, c);
		if (c->created_ms >= 0) {
			rate_verdict(v, c);
			used_verdict(v, c);
		}
	}
	if (l->plan->n_campaigns > 0)
		agreement_verdict(v, l);
	devices_verdict(v, l);
	api_verdict(v, l);
	otasim_verdict(v, l);
}
