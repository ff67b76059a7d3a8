/* SPDX-License-Identifier: Apache-2.0 */
/* The scenario's jobs: packages before the start, the create call at its time, then the platform is asked how
 * many tasks are in which state, one question at a time, so that asking is no load by itself and stays within
 * the quotas. Called by load.c. */
#include "cmd/otasim/load.h"
#include "engine/base/parse.h"

#include <stdlib.h>
#include <string.h>

#define ASK_MS 250     /* between two questions; a round has TASK_STATES + 1 of them for each campaign */
#define QUIET_MS 10000 /* nothing has happened for so long */

static const char *keep(struct load *l, const char *text)
{
	return text ? arena_strdup(&l->sim->arena, text) : NULL;
}

/* ---- before the start ---- */

static bool job_find(struct load *l, struct campaign *c)
{
	struct param_list p = { 0 };
	const struct json *data;
	struct arena a;

	arena_init(&a);
	param_add(&p, "JobId", c->plan->job);
	data = json_get(control_wait(l, &a, "QueryOTAJob", &p), "Data");
	c->job = c->plan->job;
	c->firmware = keep(l, json_text(json_get(data, "FirmwareId")));
	c->version = keep(l, json_text(json_get(data, "DestVersion")));
	arena_free(&a);
	return c->firmware && c->version;
}

static bool package_make(struct load *l, struct campaign *c)
{
	c->version = arena_printf(&l->sim->arena, "%lld.%zu", (long long)(l->started / MS_PER_SECOND),
				  c->number + 1);
	c->firmware = package_upload(l, l->product, c->version, c->plan->package_kib);
	return c->firmware != NULL;
}

bool campaigns_prepare(struct load *l)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		struct campaign *c = &l->campaigns[i];

		*c = (struct campaign){ .load = l,
					.plan = &l->plan->campaigns[i],
					.number = i,
					.status = "",
					.limit = -1,
					.limit_max = -1,
					.created_ms = -1,
					.told_ms = -1,
					.ended_ms = -1 };
		if (c->plan->job ? !job_find(l, c) : !package_make(l, c))
			return false;
	}
	return true;
}

/* ---- the create call ---- */

static void on_created(void *arg, const struct rpc_answer *a)
{
	struct campaign *c = arg;
	const char *job = json_text(json_get(json_get(a->body, "Data"), "JobId"));

	c->creating = false;
	if (!a->code && job) {
		c->job = keep(c->load, job);
		c->created_ms = load_now(c->load);
		(void)fprintf(stderr, "otasim: job %s created\n", job);
		return;
	}
	c->error = arena_printf(&c->load->sim->arena, "%s: %s", a->code ? a->code : "no JobId", a->text);
	c->ended = true;
	(void)fprintf(stderr, "otasim: CreateOTAStaticUpgradeJob: %s\n", c->error);
}

static bool has(const struct param_list *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, name) == 0)
			return true;
	return false;
}

static void job_create(struct campaign *c)
{
	struct param_list p = c->plan->params;
	char rate[24];

	param_add(&p, "FirmwareId", c->firmware);
	param_add(&p, "ProductKey", c->load->product);
	if (!has(&p, "TargetSelection"))
		param_add(&p, "TargetSelection", "ALL");
	(void)snprintf(rate, sizeof rate, "%lld", (long long)c->plan->per_minute);
	if (c->plan->per_minute >= 0)
		param_add(&p, "MaximumPerMinute", rate);
	c->creating = true;
	control_call(c->load, "CreateOTAStaticUpgradeJob", &p, on_created, c);
}

/* ---- how it goes ---- */

static void job_read(struct campaign *c, const struct json *data)
{
	const char *status = json_text(json_get(data, "JobStatus"));

	if (!status)
		return;
	if (strcmp(status, c->status) != 0)
		c->status = keep(c->load, status);
	if (!json_int_lenient(json_get(data, "MaximumPerMinute"), &c->limit))
		c->limit = -1;
	c->limit_max = i64_max(c->limit_max, c->limit);
}

/* An end counts when the tasks were counted after it. */
static void round_over(struct campaign *c)
{
	c->told_ms = c->round_ms;
	c->ended = c->over;
	if (c->ended)
		c->ended_ms = c->over_ms;
}

static void on_told(void *arg, const struct rpc_answer *a)
{
	struct campaign *c = arg;
	int64_t total;

	c->asking = false;
	if (a->code)
		return; /* asked again */
	if (c->asked == 0) {
		job_read(c, json_get(a->body, "Data"));
		c->over = strcmp(c->status, "COMPLETED") == 0 || strcmp(c->status, "CANCELED") == 0;
		c->over_ms = load_now(c->load);
	} else if (json_int_lenient(json_get(a->body, "Total"), &total)) {
		c->states[c->asked] = total;
	}
	if (c->asked == TASK_STATES)
		round_over(c);
	c->asked = (c->asked + 1) % (TASK_STATES + 1);
}

static void ask(struct campaign *c)
{
	struct param_list p = { 0 };

	param_add(&p, "JobId", c->job);
	if (c->asked > 0) {
		param_add(&p, "TaskStatus", task_state_name((enum task_state)c->asked));
		param_add(&p, "PageSize", "1");
		param_add(&p, "CurrentPage", "1");
	}
	c->asking = true;
	if (c->asked == 0)
		c->round_ms = load_now(c->load);
	control_call(c->load, c->asked == 0 ? "QueryOTAJob" : "ListOTATaskByJob", &p, on_told, c);
}

/* The next campaign that there is something to ask about, in turn. */
static void on_ask(evutil_socket_t fd, short what, void *arg)
{
	struct load *l = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		struct campaign *c = &l->campaigns[l->ask_next++ % l->plan->n_campaigns];

		if (c->created_ms >= 0 && !c->ended && !c->asking) {
			ask(c);
			return;
		}
	}
}

void campaigns_start(struct load *l)
{
	struct timeval every = { .tv_sec = 0, .tv_usec = ASK_MS * 1000 };

	l->ask = event_new(l->sim->base, -1, EV_PERSIST, on_ask, l);
	ensure(l->ask && event_add(l->ask, &every) == 0);
}

void campaigns_tick(struct load *l, int64_t since_ms)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		struct campaign *c = &l->campaigns[i];

		if (c->ended || c->creating || c->created_ms >= 0 || since_ms < c->plan->at_s * MS_PER_SECOND)
			continue;
		if (c->job)
			c->created_ms = since_ms;
		else
			job_create(c);
	}
}

void campaigns_free(struct load *l)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++)
		push_times_free(&l->campaigns[i].pushes);
	if (l->ask)
		event_free(l->ask);
}

int64_t campaign_unfinished(const struct campaign *c)
{
	int64_t n = 0;

	for (int s = TASK_CONFIRM; s < TASK_SUCCEEDED; s++)
		n += c->states[s];
	return n;
}

bool campaigns_told(const struct load *l, int64_t from_ms)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++)
		if (!l->campaigns[i].ended && l->campaigns[i].created_ms >= 0 &&
		    l->campaigns[i].told_ms < from_ms)
			return false;
	return true;
}

bool campaigns_over(const struct load *l)
{
	const struct sim *s = l->sim;
	int64_t open = 0;

	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		const struct campaign *c = &l->campaigns[i];

		if (c->ended)
			continue;
		if (c->created_ms < 0 || c->status[0] == '\0')
			return false;
		open += campaign_unfinished(c);
	}
	if (open == 0) {
		for (size_t i = 0; i < l->plan->n_campaigns; i++)
			if (!l->campaigns[i].ended)
				return false;
		return true;
	}
	return open <= fleet_unheard(s) && s->ticked_ms - s->active_ms >= QUIET_MS;
}
