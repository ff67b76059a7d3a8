/* SPDX-License-Identifier: Apache-2.0 */
/* The world: what happens when. One thread; whoever has the earliest time goes next. */
#include "tests/sim/sim.h"

#include "engine/strategy.h"
#include "storage/account.h"
#include "storage/package_store.h"
#include "storage/product.h"
#include "tests/sim/model_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *sim_program;

#define LEAP_US (600 * US_PER_SECOND)

/* ---- trace ---- */

void trace(struct world *w, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	n = snprintf(line, sizeof line, "%lld.%06lld ", (long long)(sim_now_us() / US_PER_SECOND),
		     (long long)(sim_now_us() % US_PER_SECOND));
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
	va_end(ap);
	for (const char *s = line; *s; s++)
		w->tally.trace = (w->tally.trace ^ (unsigned char)*s) * 1099511628211u; /* FNV-1a */
	if (w->print_trace)
		(void)printf("%s\n", line);
}

void broken_by(struct world *w, const char *check, const char *fmt, ...)
{
	va_list ap;

	(void)printf("# broken after %lld steps, at %lld s, by %s: ", (long long)w->tally.steps,
		     (long long)(sim_now_us() / US_PER_SECOND), check);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n# replay: %s %s\n", sim_program, w->replay);
	(void)fflush(stdout);
	world_tell(w);
	_exit(1);
}

void world_tell(struct world *w)
{
	w->tally.jobs = (int64_t)w->n_jobs;
	w->tally.seconds = sim_now_us() / US_PER_SECOND;
	cluster_report(&w->tally);
}

/* ---- agenda ---- */

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->no < b->no;
}

static void swap(struct event *a, struct event *b)
{
	struct event t = *a;

	*a = *b;
	*b = t;
}

void agenda_at(struct world *w, int64_t at_us, event_fn fn, int64_t a, int64_t b, const char *text)
{
	struct agenda *g = &w->agenda;
	size_t i = g->n++;

	if (g->n > g->cap) {
		g->cap = g->cap ? 2 * g->cap : 256;
		g->items = realloc(g->items, g->cap * sizeof *g->items);
		ensure(g->items != NULL);
	}
	g->items[i] = (struct event){ .at_us = at_us, .no = g->next_no++, .fn = fn, .a = a, .b = b, .text = text };
	for (; i > 0 && earlier(&g->items[i], &g->items[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&g->items[i], &g->items[(i - 1) / 2]);
}

void agenda_in(struct world *w, int64_t delay_us, event_fn fn, int64_t a, int64_t b, const char *text)
{
	agenda_at(w, sim_now_us() + delay_us, fn, a, b, text);
}

static int64_t agenda_next_us(const struct world *w)
{
	return w->agenda.n ? w->agenda.items[0].at_us : INT64_MAX;
}

static void agenda_do(struct world *w)
{
	struct agenda *g = &w->agenda;
	struct event e = g->items[0];

	g->items[0] = g->items[--g->n];
	for (size_t i = 0;;) {
		size_t least = i, c = 2 * i + 1;

		if (c < g->n && earlier(&g->items[c], &g->items[least]))
			least = c;
		if (c + 1 < g->n && earlier(&g->items[c + 1], &g->items[least]))
			least = c + 1;
		if (least == i)
			break;
		swap(&g->items[i], &g->items[least]);
		i = least;
	}
	e.fn(w, e.a, e.b, e.text);
}

/* ---- time goes on ---- */

/* After something has happened otad turns at its own pace for so long; else it leaps to where something is due. */
#define DENSE_US (1500 * US_PER_MS)
/* On a grid, what happens together is one turn's work. */
#define TOGETHER_US (200 * US_PER_MS)

void world_busy(struct world *w)
{
	w->busy_until_us = sim_now_us() + (w->p.grid_us ? TOGETHER_US : DENSE_US);
	if (w->p.grid_us)
		w->otad.next_turn_us = i64_max(w->otad.next_turn_us, sim_now_us() + TOGETHER_US);
}

void world_meanwhile(struct world *w, int64_t until_us)
{
	while (agenda_next_us(w) <= until_us) {
		sim_clock_set(agenda_next_us(w));
		agenda_do(w);
	}
	sim_clock_set(until_us);
}

void world_others(struct world *w, int64_t until_us)
{
	if (w->in_turn)
		world_meanwhile(w, until_us);
	else
		world_run(w, until_us, NULL);
}

/* When otad is to turn next, if nothing happens before. */
static int64_t next_turn_us(struct world *w)
{
	int64_t leap = sim_now_us() + i64_max(LEAP_US, 3 * w->p.grid_us);

	if (!w->otad.up)
		return INT64_MAX;
	if (sim_now_us() < w->busy_until_us)
		return w->otad.next_turn_us;
	return i64_max(w->otad.next_turn_us, i64_min(leap, model_next_us(w)));
}

void world_run(struct world *w, int64_t until_us, bool (*done)(struct world *w))
{
	while (sim_now_us() < until_us && !(done && done(w))) {
		int64_t turn = next_turn_us(w), next = agenda_next_us(w);

		if (w->otad.up && w->otad.maker_due_us < turn)
			turn = i64_max(w->otad.maker_due_us, sim_now_us());
		if (next > until_us && turn > until_us) {
			sim_clock_set(until_us);
			break;
		}
		w->tally.steps++;
		if (next <= turn) {
			sim_clock_set(next);
			agenda_do(w);
			continue;
		}
		sim_clock_set(turn);
		if (w->otad.maker_due_us <= sim_now_us() && w->otad.maker_due_us < w->otad.next_turn_us) {
			otad_maker_round(w, w->calm ? INT64_MAX : rng_between(&w->rng_plan, 1, 6));
		} else {
			broker_tend(w);
			otad_turn(w);
		}
	}
}

static bool joins_go_on(const struct world *w)
{
	for (size_t i = 0; i < w->n_jobs; i++)
		if (w->jobs[i].id > 0 && w->jobs[i].dynamic_mode == DYNAMIC_ALL && !w->jobs[i].strategy_ended)
			return true;
	return false;
}

void world_calm(struct world *w, int64_t most_us)
{
	while (w->database_down)
		world_run(w, sim_now_us() + US_PER_SECOND, NULL);
	if (w->behind_ms)
		world_clock_jump(w, w->behind_ms);
	w->calm = true;
	w->p.played = false;
	trace(w, "calm");
	if (!w->p.scripted && joins_go_on(w)) {
		world_run(w, sim_now_us() + 13 * 60 * US_PER_SECOND, NULL); /* there is a sweep within that */
		check_joined(w);
	}
	operator_calm(w);
	fleet_calm(w);
	world_run(w, sim_now_us() + most_us, check_all_ended);
	world_run(w, sim_now_us() + 90 * US_PER_SECOND, NULL);
}

void world_clock_jump(struct world *w, int64_t by_ms)
{
	check_step(w); /* what was done before is judged by the clock of before */
	trace(w, "the clock is set by %lld s", (long long)(by_ms / MS_PER_SECOND));
	sim_clock_jump(by_ms);
	w->model->last_look += by_ms;
	for (size_t i = 0; i < ARRAY_LEN(w->otad.turned_ms); i++)
		w->otad.turned_ms[i] = 0;
	w->trouble_us = w->jumped_us = sim_now_us();
	world_busy(w);
}

/* ---- making and ending ---- */

struct sim_job *world_job(struct world *w, int64_t job_id)
{
	for (size_t i = 0; i < w->n_jobs; i++)
		if (w->jobs[i].id == job_id)
			return &w->jobs[i];
	return NULL;
}

struct device *world_device_named(struct world *w, const char *name)
{
	int64_t i = strtoll(name + 1, NULL, 10);

	ensure(i >= 0 && i < (int64_t)w->n_devices && strcmp(w->devices[i].name, name) == 0);
	return &w->devices[i];
}

static struct db *connection(const char *conninfo, const char *name)
{
	struct db_options o = { .conninfo = conninfo, .statement_ms = 60000, .connect_ms = 60000, .name = name };

	return db_new(&o);
}

struct db *world_connection(struct world *w, const char *name)
{
	return connection(w->config.database, name);
}

void world_watch(struct world *w)
{
	db_free(w->db_watch);
	w->db_watch = connection(cluster_conninfo(&w->arena, SIM_ADMIN, w->database), "sim watch");
	see_prepare(w);
}

static enum err find_owner(struct world *w, struct arena *a, struct error *e)
{
	struct product p;

	db_begin_work(w->db_watch, a, e);
	TRY(store_account_find(w->db_watch, DEFAULT_ACCOUNT, &w->account_id));
	TRY(store_instance_find(w->db_watch, w->account_id, NULL, &w->instance_id));
	TRY(store_product_find(w->db_watch, w->account_id, SIM_PRODUCT, &p));
	w->product_id = p.id;
	return OK;
}

struct world *world_new(uint64_t seed, const struct profile *p, const char *replay, bool print_trace)
{
	static int worlds; /* of this process */
	struct world *w = calloc(1, sizeof *w);
	struct error e;

	ensure(w != NULL);
	arena_init(&w->arena);
	error_init(&e, &w->arena);
	w->seed = seed;
	w->p = *p;
	w->print_trace = print_trace;
	w->replay = replay ? replay : arena_printf(&w->arena, "--seed %llu --trace", (unsigned long long)seed);
	w->tally.trace = 14695981039346656037u;
	w->rng_plan = rng_of(seed, 1);
	w->rng_ops = rng_of(seed, 2);
	w->rng_net = rng_of(seed, 3);
	w->rng_fault = rng_of(seed, 4);
	if (p->clock) /* there are hours to be set back by */
		sim_clock_jump(MS_PER_DAY);
	w->database = arena_printf(&w->arena, "sim_%llu_%d_%d", (unsigned long long)seed, (int)getpid(), ++worlds);
	w->dir = cluster_dir(&w->arena, w->database);
	w->config = *config_now();
	w->config.database = cluster_database(&w->arena, w->database);
	w->config.push_window = p->window;
	w->master.bytes[0] = 1;
	ensure(package_store_open(arena_printf(&w->arena, "%s/store", w->dir), &w->master, &e, &w->store) == OK);
	package_store_set_url(w->store, "http://store.example", "");
	w->db_call = world_connection(w, "sim calls");
	world_watch(w);
	faults_world(w);
	ensure(find_owner(w, &w->arena, &e) == OK);
	w->model = model_new(w);
	operator_start(w);
	broker_start(w);
	otad_start(w);
	if (p->quiet)
		return w;
	fleet_start(w);
	if (!p->scripted)
		faults_start(w);
	return w;
}

void world_free(struct world *w)
{
	otad_crash(w);
	model_free(w->model);
	db_free(w->db_call);
	db_free(w->db_watch);
	package_store_close(w->store);
	cluster_drop(w->database);
	for (size_t i = 0; i < w->n_jobs; i++)
		free(w->jobs[i].pushed_us);
	free(w->broker.queue);
	free(w->agenda.items);
	arena_free(&w->arena);
	free(w);
}
