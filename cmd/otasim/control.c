/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/load.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 100
#define TRIES_MAX 300

/* A call and what it needs to be made again. */
struct control {
	struct load *load;
	const char *action;
	struct param_list params;
	rpc_fn *fn;
	void *arg;
	struct arena arena;
	struct event *again;
	int tries;
	struct control *next; /* in load->controls */
};

static void control_end(struct control *c)
{
	struct control **at = &c->load->controls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	event_free(c->again);
	arena_free(&c->arena);
	free(c);
}

static void later(struct control *c)
{
	struct timeval t = { .tv_sec = 0, .tv_usec = AGAIN_MS * 1000 };

	(void)evtimer_add(c->again, &t);
}

static void on_answer(void *arg, const struct rpc_answer *a)
{
	struct control *c = arg;

	if (a->code && strcmp(a->code, "Throttling.User") == 0 && ++c->tries < TRIES_MAX) {
		later(c);
		return;
	}
	c->fn(c->arg, a);
	control_end(c);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	if (rpc_is_free(c->load->control))
		rpc_call(c->load->control, c->action, &c->params, on_answer, c);
	else
		later(c);
}

void control_call(struct load *l, const char *action, const struct param_list *p, rpc_fn *fn, void *arg)
{
	struct control *c = calloc(1, sizeof *c);

	ensure(c);
	*c = (struct control){ .load = l, .fn = fn, .arg = arg, .next = l->controls };
	l->controls = c;
	arena_init(&c->arena);
	c->action = arena_strdup(&c->arena, action);
	for (size_t i = 0; i < p->n; i++)
		param_add(&c->params, arena_strdup(&c->arena, p->v[i].name),
			  arena_strdup(&c->arena, p->v[i].value));
	c->again = evtimer_new(l->sim->base, on_again, c);
	ensure(c->again);
	on_again(-1, 0, c);
}

void control_free(struct load *l)
{
	while (l->controls)
		control_end(l->controls);
}

void param_add(struct param_list *p, const char *name, const char *value)
{
	ensure(p->n < PARAMS_MAX);
	p->v[p->n++] = (struct param_text){ name, value };
}

/* ---- waiting ---- */

struct wait {
	const char *action;
	struct arena *arena;
	const struct json *body;
	bool done;
};

static void on_waited(void *arg, const struct rpc_answer *a)
{
	struct wait *w = arg;

	w->done = true;
	if (a->code)
		(void)fprintf(stderr, "otasim: %s: %s%s%s\n", w->action, a->code, a->text[0] ? ": " : "",
			      a->text);
	else
		w->body = json_parse(w->arena, a->raw, a->raw_len, false);
}

const struct json *control_wait(struct load *l, struct arena *a, const char *action,
				const struct param_list *p)
{
	struct wait w = { .action = action, .arena = a };

	control_call(l, action, p, on_waited, &w);
	while (!w.done && !l->sim->stopped)
		(void)event_base_loop(l->sim->base, EVLOOP_ONCE);
	return w.body;
}

static void on_slept(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

bool control_sleep(struct load *l, int64_t ms)
{
	struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	bool over = false;
	struct event *timer = evtimer_new(l->sim->base, on_slept, &over);

	ensure(timer);
	(void)evtimer_add(timer, &t);
	while (!over && !l->sim->stopped)
		(void)event_base_loop(l->sim->base, EVLOOP_ONCE);
	event_free(timer);
	return over;
}
