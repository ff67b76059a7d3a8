/* SPDX-License-Identifier: Apache-2.0 */
/* The course of a run: prepare, start, go on until all is over, end. Called by main.c. */
#include "cmd/otasim/load.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_LINES 4
#define LAST_ROUND_MS 10000 /* for the last questions about each campaign, when the time is over */

/* ---- before the start ---- */

static bool refuse(const char *text)
{
	(void)fprintf(stderr, "otasim: %s\n", text);
	return false;
}

/* [http[s]://]HOST:PORT, and the key from the environment. */
static bool target_read(struct load *l)
{
	const char *at = l->sim->o.endpoint ? l->sim->o.endpoint : getenv("OTA_ENDPOINT");
	const char *protocol = getenv("OTA_PROTOCOL"), *colon;
	int64_t port;

	l->target.key_id = getenv("OTA_AK");
	l->target.secret = getenv("OTA_SK");
	if (!at || !*at)
		return refuse("where is the management API? --endpoint or OTA_ENDPOINT");
	if (!l->target.key_id || !l->target.secret)
		return refuse("the scenario needs an access key: OTA_AK and OTA_SK");
	l->target.tls = protocol && strcmp(protocol, "https") == 0;
	if (strncmp(at, "http://", 7) == 0 || strncmp(at, "https://", 8) == 0) {
		l->target.tls = at[4] == 's';
		at = strstr(at, "//") + 2;
	}
	colon = strrchr(at, ':');
	if (!colon || !parse_i64(colon + 1, 1, UINT16_MAX, &port))
		return refuse("the endpoint must be [https://]HOST:PORT");
	l->target.host = arena_strndup(&l->sim->arena, at, (size_t)(colon - at));
	l->target.port = (uint16_t)port;
	return true;
}

static bool needs_api(const struct load *l)
{
	return !l->sim->o.devices_file || l->plan->n_campaigns > 0 || l->plan->n_calls > 0;
}

static bool devices_prepare(struct load *l)
{
	if (l->sim->o.devices_file)
		return fleet_read(l->sim);
	if (l->plan->count == 0)
		return refuse("devices.count is missing, and there is no --devices");
	return fleet_register(l, l->plan->count);
}

bool load_prepare(struct sim *s, const char *text)
{
	struct load *l = calloc(1, sizeof *l);

	ensure(l);
	s->load = l;
	*l = (struct load){ .sim = s,
			    .plan = s->scenario,
			    .text = text,
			    .started = clock_now(),
			    .ending_ms = -1,
			    .ended_ms = -1 };
	if (needs_api(l)) {
		if (!target_read(l))
			return false;
		l->control = rpc_new(s, &l->target, CONTROL_LINES);
	}
	if (!devices_prepare(l))
		return false;
	l->product = s->devices[0].pk;
	return campaigns_prepare(l);
}

/* ---- the run ---- */

int64_t load_now(const struct load *l)
{
	return clock_boot_ms() - l->sim->started_ms;
}

void load_start(struct load *l)
{
	l->started = clock_now();
	procs_open(l);
	samples_start(l);
	campaigns_start(l);
	api_load_start(l);
	(void)fprintf(stderr, "otasim: %zu devices are ready, the run begins\n", l->sim->n);
}

void load_push(struct load *l, const char *version, int64_t now_ms, bool held)
{
	for (size_t i = 0; i < l->plan->n_campaigns; i++) {
		struct campaign *c = &l->campaigns[i];

		if (strcmp(c->version, version) != 0)
			continue;
		if (held)
			push_times_held(&c->pushes);
		else
			push_times_add(&c->pushes, now_ms);
		return;
	}
}

/* Is nothing left of what the scenario asks for? */
static bool over(const struct load *l, int64_t since_ms)
{
	const struct scenario *c = l->plan;
	int64_t end_s = i64_max(curve_end_s(&c->online), curve_end_s(&c->api_rate));

	for (size_t i = 0; i < c->n_cuts; i++)
		end_s = i64_max(end_s, c->cuts[i].at_s + c->cuts[i].for_s);
	if (since_ms >= c->duration_s * MS_PER_SECOND)
		return true;
	return c->n_campaigns > 0 && since_ms >= end_s * MS_PER_SECOND && campaigns_over(l);
}

bool load_tick(struct load *l, int64_t now_ms, int64_t late_ms)
{
	int64_t since_ms = now_ms - l->sim->started_ms;
	const struct samples *s = &l->samples;

	histogram_add(&l->lag, late_ms * 1000);
	l->lag_max_us = i64_max(l->lag_max_us, late_ms * 1000);
	if (l->ending_ms < 0)
		campaigns_tick(l, since_ms);
	if (since_ms >= (int64_t)(s->n + 1) * s->every_s * MS_PER_SECOND)
		samples_take(l, since_ms);
	if (l->ending_ms < 0 && over(l, since_ms)) {
		l->ending_ms = since_ms;
		api_load_end(l);
	}
	if (l->ending_ms < 0 || !api_load_quiet(l) ||
	    (!campaigns_told(l, l->ending_ms) &&
	     since_ms < l->ending_ms + LAST_ROUND_MS * (int64_t)l->plan->n_campaigns))
		return false;
	load_end(l, since_ms);
	return true;
}

void load_end(struct load *l, int64_t since_ms)
{
	if (l->ended_ms >= 0)
		return;
	api_load_end(l);
	l->ended_ms = since_ms;
	samples_take(l, since_ms);
}

void load_free(struct load *l)
{
	if (!l)
		return;
	control_free(l);
	campaigns_free(l);
	api_load_free(l);
	rpc_free(l->control);
	free(l->samples.v);
	free(l);
}
