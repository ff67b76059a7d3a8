/* SPDX-License-Identifier: Apache-2.0 */
/* One otad: the parts that the daemon has threads for, stepped one after the other. A crash drops them and what
 * they had in memory; the journal's files and the database are what is left. */
#include "tests/sim/sim.h"

#include "dispatcher/journal.h"
#include "dispatcher/maker.h"
#include "dispatcher/tick.h"
#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "tests/sim/model.h"

#define JOURNAL_SEGMENTS 3
#define JOURNAL_BYTES ((uint64_t)4 * 1024 * 1024)
#define MAKER_POLL_US (60 * US_PER_SECOND)

static bool maker_may_run(void *ctx)
{
	struct world *w = ctx;

	return !w->otad.dead && engine_leased(w->otad.engine) && w->otad.maker_budget-- > 0;
}

static void maker_made(void *ctx)
{
	struct world *w = ctx;

	engine_wake(w->otad.engine);
	world_busy(w);
	w->otad.next_turn_us = sim_now_us();
}

void otad_start(struct world *w)
{
	struct otad *o = &w->otad;
	struct arena a;
	struct error e;
	struct maker_options m = { .config = &w->config,
				   .chunk_rows = w->p.devices > 100 ? MAKER_CHUNK_ROWS : 3,
				   .may_run = maker_may_run,
				   .made = maker_made,
				   .ctx = w };
	struct tick_options t = { .config = &w->config, .store = w->store, .bounds = tick_bounds_default };

	arena_init(&a);
	error_init(&e, &a);
	ensure(journal_open(arena_printf(&a, "%s/journal", w->dir), JOURNAL_SEGMENTS, JOURNAL_BYTES, &e,
			    &o->journal) == OK);
	arena_free(&a);
	if (w->p.devices <= 100)
		t.bounds = (struct tick_bounds){ .records = (size_t)rng_between(&w->rng_plan, 1, 20),
						 .timers = (int)rng_between(&w->rng_plan, 1, 5),
						 .walk_rows = (int32_t)rng_between(&w->rng_plan, 1, 8),
						 .walk_until = 20,
						 .claims = (size_t)rng_between(&w->rng_plan, 1, 10),
						 .claims_spare = (size_t)rng_between(&w->rng_plan, 0, 2) };
	o->mqtt = sim_mqtt_new(w);
	t.journal = o->journal;
	t.mqtt = o->mqtt;
	o->maker = maker_new(&m);
	o->engine = engine_new(&t);
	o->walk_rows = t.bounds.walk_rows;
	o->dead = false;
	o->up = true;
	o->next_turn_us = sim_now_us();
	o->maker_due_us = sim_now_us() + 100 * US_PER_MS;
	w->trouble_us = sim_now_us();
	world_busy(w);
	trace(w, "otad starts; a turn takes %zu records, %d timers, walks %d rows, claims %zu and %zu to spare",
	      t.bounds.records, t.bounds.timers, t.bounds.walk_rows, t.bounds.claims, t.bounds.claims_spare);
}

static void start_again(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a;
	(void)b;
	(void)text;
	otad_start(w);
}

void otad_crash(struct world *w)
{
	struct otad *o = &w->otad;

	if (!o->up)
		return;
	trace(w, "otad is gone");
	o->up = false;
	o->dead = true;
	maker_free(o->maker);
	engine_free(o->engine);
	sim_mqtt_free(o->mqtt);
	journal_close(o->journal);
	o->mqtt = NULL;
	w->in_turn = false;
}

void otad_bury(struct world *w)
{
	check_step(w); /* what it has committed, it did before */
	w->tally.crashes++;
	otad_crash(w);
	agenda_in(w, US_PER_MS * rng_skewed(&w->rng_fault, 60000), start_again, 0, 0, NULL);
}

/* What a step left behind: a dead process, and what the database says now. */
static void after_step(struct world *w, bool was_in_turn)
{
	w->in_turn = was_in_turn;
	if (w->fault.place == PLACE_NONE)
		w->fault = (struct fault){ .kind = FAULT_NONE };
	if (w->otad.dead)
		otad_bury(w);
	check_step(w);
}

/* A turn that met no trouble has done all that was due when it began, unless there is more than it takes on. */
static int64_t turn(struct world *w)
{
	struct otad *o = &w->otad;
	int64_t trouble = metric_get(M_TICK_FAILED), pause;
	utc_ms began = clock_now();
	bool all = model_caught_up(w);

	pause = engine_turn(o->engine);
	if (pause > 0 && !o->dead && metric_get(M_TICK_FAILED) == trouble && engine_leased(o->engine) && all)
		w->punctual_ms = began;
	return pause;
}

void otad_turn(struct world *w)
{
	struct otad *o = &w->otad;
	enum actor before = w->actor;
	int64_t pause;

	o->turned_ms[w->tally.turns++ % (int64_t)ARRAY_LEN(o->turned_ms)] = clock_now();
	w->punctual_ms = 0;
	faults_plan(w, ACTOR_ENGINE);
	w->actor = ACTOR_ENGINE;
	w->in_turn = true;
	pause = turn(w);
	w->actor = before;
	sim_clock_set(sim_now_us() + 200);
	if (pause > 0 && !w->p.quiet) /* it is woken late, mostly a little */
		pause += w->p.grid_us ? 950 : rng_skewed(&w->rng_plan, 2000);
	o->next_turn_us = sim_now_us() + pause * US_PER_MS;
	after_step(w, false);
	if (w->punctual_ms)
		check_late(w, w->punctual_ms);
}

void otad_maker_round(struct world *w, int64_t budget)
{
	struct otad *o = &w->otad;
	enum actor before = w->actor;

	faults_plan(w, ACTOR_MAKER);
	w->actor = ACTOR_MAKER;
	w->in_turn = true;
	o->maker_budget = budget;
	maker_round(o->maker);
	w->actor = before;
	/* Stopped in the middle: it goes on soon, and others come between. */
	o->maker_due_us = sim_now_us() + (o->maker_budget < 0 ? rng_between(&w->rng_plan, 1, 500) * US_PER_MS
							      : i64_max(MAKER_POLL_US, w->p.grid_us));
	after_step(w, false);
}
