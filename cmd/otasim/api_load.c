/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the management API at the moments that the scenario's rate gives, however long others take.
 * Latency counts from the moment that a call was due, so that a server that keeps everybody waiting cannot
 * hide it. Called by load.c. */
#include "cmd/otasim/load.h"
#include "engine/base/clock.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD_US 500000 /* nobody looks further ahead for the next call */

struct call {
	struct load *load;
	size_t kind;
	int64_t due_us; /* boot time */
};

static void serve(struct load *l);

static int64_t start_us(const struct load *l)
{
	return l->sim->started_ms * 1000;
}

/* ---- answers ---- */

static void code_count(struct api_load *api, struct arena *a, const char *code)
{
	size_t i = 0;

	while (i < api->n_codes && strcmp(api->codes[i].code, code) != 0)
		i++;
	if (i == api->n_codes && i < CODES_MAX)
		api->codes[api->n_codes++] = (struct api_code){ .code = arena_strdup(a, code) };
	if (i < CODES_MAX)
		api->codes[i].n++;
}

static void on_answer(void *arg, const struct rpc_answer *a)
{
	struct call *c = arg;
	struct load *l = c->load;
	int64_t took = clock_boot_us() - c->due_us;

	meter_add(&l->api.all, took);
	meter_add(&l->api.calls[c->kind].took, took);
	if (a->code) {
		l->api.errors++;
		l->api.calls[c->kind].errors++;
		code_count(&l->api, &l->sim->arena, a->code);
	}
	free(c);
	serve(l);
}

/* ---- calls ---- */

/* Of the newest campaign that has one. */
static const struct campaign *newest(const struct load *l)
{
	for (size_t i = l->plan->n_campaigns; i > 0; i--)
		if (l->campaigns[i - 1].created_ms >= 0)
			return &l->campaigns[i - 1];
	return NULL;
}

/* A parameter's value with its word filled in; NULL: nothing to fill in yet. */
static const char *value_of(struct load *l, struct arena *a, const char *text, int64_t number)
{
	const struct sim *s = l->sim;
	const struct campaign *c = newest(l);

	if (strcmp(text, "$product") == 0)
		return l->product;
	if (strcmp(text, "$device") == 0)
		return s->devices[sim_chance(s, (size_t)number, 'd', (int64_t)s->n)].name;
	if (strcmp(text, "$job") == 0)
		return c ? c->job : NULL;
	if (strcmp(text, "$firmware") == 0)
		return c ? c->firmware : l->campaigns[0].firmware;
	if (strcmp(text, "$n") == 0)
		return arena_printf(a, "%lld", (long long)(l->started + number));
	return text;
}

static void make(struct load *l, int64_t due_us)
{
	int64_t number = l->api.number++;
	size_t kind = turns_next(&l->api.turns);
	const struct call_plan *plan = &l->plan->calls[kind];
	struct call *c = calloc(1, sizeof *c);
	struct param_list p = { 0 };
	struct arena a;
	bool known = true;

	ensure(c);
	*c = (struct call){ .load = l, .kind = kind, .due_us = due_us };
	arena_init(&a);
	for (size_t i = 0; i < plan->params.n && known; i++) {
		const char *value = value_of(l, &a, plan->params.v[i].value, number);

		known = value != NULL;
		param_add(&p, plan->params.v[i].name, value);
	}
	histogram_add(&l->api.late, clock_boot_us() - due_us);
	if (known)
		rpc_call(l->api.rpc, plan->action, &p, on_answer, c);
	else
		on_answer(c, &(struct rpc_answer){ .code = "(no job yet)", .text = "" });
	arena_free(&a);
}

/* Makes what is due and has a connection, and comes back when the next one is due. */
static void serve(struct load *l)
{
	struct api_load *api = &l->api;
	struct timeval t = { 0 };
	int64_t wait;

	if (api->serving)
		return;
	api->serving = true;
	while (!api->over) {
		wait = AHEAD_US;
		if (api->due_us >= 0 ||
		    curve_next(&api->walk, clock_boot_us() - start_us(l) + 2 * AHEAD_US, &api->due_us))
			wait = start_us(l) + api->due_us - clock_boot_us();
		if (wait > 0) {
			t = (struct timeval){ .tv_sec = wait / 1000000, .tv_usec = wait % 1000000 };
			(void)evtimer_add(api->timer, &t);
			break;
		}
		if (!rpc_is_free(api->rpc))
			break; /* an answer brings us back */
		make(l, start_us(l) + api->due_us);
		api->due_us = -1;
	}
	api->serving = false;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

void api_load_start(struct load *l)
{
	if (l->plan->n_calls == 0)
		return;
	for (size_t i = 0; i < l->plan->n_calls; i++)
		turns_add(&l->api.turns, l->plan->calls[i].share_milli);
	l->api.walk.rate = &l->plan->api_rate;
	l->api.due_us = -1;
	l->api.rpc = rpc_new(l->sim, &l->target, (size_t)l->plan->api_connections);
	l->api.timer = evtimer_new(l->sim->base, on_timer, l);
	ensure(l->api.timer);
	serve(l);
}

void api_load_end(struct load *l)
{
	int64_t until_us = clock_boot_us() - start_us(l);

	if (!l->api.rpc || l->api.over)
		return;
	serve(l); /* what is due at this very moment */
	l->api.over = true;
	while (l->api.due_us >= 0 && l->api.due_us <= until_us) {
		l->api.unsent++;
		meter_add(&l->api.all, until_us - l->api.due_us);
		if (!curve_next(&l->api.walk, until_us, &l->api.due_us))
			break;
	}
}

bool api_load_quiet(const struct load *l)
{
	return !l->api.rpc || rpc_busy(l->api.rpc) == 0;
}

void api_load_free(struct load *l)
{
	rpc_free(l->api.rpc);
	if (l->api.timer)
		event_free(l->api.timer);
}
