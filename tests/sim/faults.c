/* SPDX-License-Identifier: Apache-2.0 */
/* Faults between any two steps. Every call of the database passes here (the linker's --wrap puts these functions
 * in front of storage/db.c), and every publish. A process that was killed goes on running in our hands until it
 * returns, but nothing that it does reaches anybody: that is what being dead means to the others. */
#include "tests/sim/sim.h"

#include "engine/base/metrics.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

/* What the linker makes of --wrap. */
enum err __real_db_begin(struct db *db);
enum err __real_db_commit(struct db *db);
enum err __real_db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret);
enum err __wrap_db_begin(struct db *db);
enum err __wrap_db_commit(struct db *db);
enum err __wrap_db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret);

static struct world *the_world;

void faults_world(struct world *w)
{
	the_world = w;
}

struct world *faults_the_world(void)
{
	return the_world;
}

static const char *const kind_names[FAULT_KINDS] = {
	[FAULT_CRASH_BEFORE] = "crash before",
	[FAULT_CRASH_AFTER] = "crash after",
	[FAULT_LOST_BEFORE] = "connection lost before",
	[FAULT_LOST_AFTER] = "connection lost after",
	[FAULT_SLOW] = "frozen before",
	[FAULT_KILL] = "killed between steps",
	[FAULT_CUT] = "cut off from the broker",
	[FAULT_BROKER_FREEZE] = "broker frozen",
	[FAULT_BROKER_RESTART] = "broker restarted",
	[FAULT_DATABASE_CRASH] = "database crashed",
	[FAULT_PRESENCE_LOST] = "presence line lost",
	[FAULT_DUPLICATE] = "message twice",
	[FAULT_CLOCK] = "clock set back by hours",
};
static const char *const place_names[PLACE_COUNT] = { "", " begin", " statement", " commit", " publish", " wait for room" };

const char *fault_name(enum fault_kind kind)
{
	return kind_names[kind];
}

const char *fault_place_name(enum fault_place place)
{
	return place_names[place];
}

void faults_count(struct world *w, enum fault_kind kind, enum fault_place place)
{
	w->tally.faults[kind][place]++;
}

static const char *const actor_names[] = { "-", "engine", "maker", "call", "watch" };

void faults_plan(struct world *w, enum actor actor)
{
	struct rng *r = &w->rng_fault;
	enum fault_kind kind = FAULT_NONE;

	if (w->calm || w->fault.place != PLACE_NONE)
		return;
	if (rng_chance(r, w->p.crash))
		kind = rng_chance(r, 500) ? FAULT_CRASH_BEFORE : FAULT_CRASH_AFTER;
	else if (rng_chance(r, w->p.lost))
		kind = rng_chance(r, 500) ? FAULT_LOST_BEFORE : FAULT_LOST_AFTER;
	else if (rng_chance(r, w->p.slow))
		kind = FAULT_SLOW;
	w->fault = (struct fault){ .kind = kind, .actor = actor, .countdown = rng_skewed(r, 40) };
}

/* The fault that strikes at this very call. */
static enum fault_kind strikes(struct world *w, enum fault_place place)
{
	enum fault_kind kind = w->fault.kind;

	if (kind == FAULT_NONE || w->actor != w->fault.actor || (w->fault.place != PLACE_NONE && w->fault.place != place) ||
	    w->fault.countdown-- > 0)
		return FAULT_NONE;
	w->fault = (struct fault){ .kind = FAULT_NONE };
	faults_count(w, kind, place);
	w->trouble_us = sim_now_us() + (kind == FAULT_SLOW ? 20 * US_PER_SECOND : 0);
	trace(w, "%s: %s%s", actor_names[w->actor], kind_names[kind], place_names[place]);
	return kind;
}

/* Ends the actor's connection at the server, and waits until it is gone with all its locks. */
static void cut_database(struct world *w)
{
	static const char *const names[] = { "", "otad engine", "otad maker", "sim calls", "" };
	struct rows *r;
	struct arena a;
	struct error e;
	enum actor actor = w->actor;

	if (w->database_down)
		return;
	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	if (db_script_rows(w->db_watch,
			   arena_printf(&a,
					"select pg_terminate_backend(pid, 10000) from pg_stat_activity "
					"where application_name = '%s' and datname = current_database()",
					names[actor]),
			   &r) != OK)
		broken(w, "cutting the connection: %s", error_text(&e));
	arena_free(&a);
	w->actor = actor;
}

static bool dead(const struct world *w)
{
	return w && w->otad.dead && (w->actor == ACTOR_ENGINE || w->actor == ACTOR_MAKER);
}

static enum err unreachable(struct db *db)
{
	return fail(db_error(db), ERR_DB_CONNECTION, "the process is dead");
}

/* Before a call: false when it is not to be made at all. */
static bool before_call(struct world *w, struct db *db, enum fault_kind kind)
{
	if (kind == FAULT_CRASH_BEFORE) {
		w->otad.dead = true;
		db_rollback(db); /* the server does it when the socket closes */
		return false;
	}
	if (kind == FAULT_LOST_BEFORE)
		cut_database(w);
	if (kind == FAULT_SLOW)
		world_meanwhile(w, sim_now_us() + rng_between(&w->rng_fault, 100, 20000) * US_PER_MS);
	else
		sim_clock_set(sim_now_us() + rng_between(&w->rng_fault, 20, 400));
	return true;
}

/* After it: the error to give instead of the answer, or OK. */
static enum err after_call(struct world *w, struct db *db, enum fault_kind kind, enum err lost)
{
	if (kind == FAULT_CRASH_AFTER) {
		w->otad.dead = true;
		db_rollback(db);
		return fail(db_error(db), lost, "the process is dead");
	}
	if (kind == FAULT_LOST_AFTER) {
		cut_database(w);
		return fail(db_error(db), lost, "the answer was lost");
	}
	return OK;
}

/* Calls of the simulation itself pass. */
static bool hooked(void)
{
	return the_world && the_world->actor != ACTOR_NONE && the_world->actor != ACTOR_WATCH;
}

/* One call of the database, as make() makes it, with whatever strikes before and after it. */
struct db_call {
	struct db *db;
	enum err (*make)(const struct db_call *c);
	enum fault_place place;
	enum stmt stmt;
	const struct args *args;
	struct rows **ret;
};

static enum err pass(const struct db_call *c)
{
	struct world *w = the_world;
	enum err e, instead, lost = c->place == PLACE_COMMIT ? ERR_COMMIT_UNKNOWN : ERR_DB_CONNECTION;
	enum fault_kind kind;

	if (!hooked())
		return c->make(c);
	if (dead(w))
		return unreachable(c->db);
	kind = strikes(w, c->place);
	if (!before_call(w, c->db, kind))
		return unreachable(c->db);
	e = c->make(c);
	instead = after_call(w, c->db, kind, lost);
	return instead != OK ? instead : e;
}

static enum err make_begin(const struct db_call *c)
{
	return __real_db_begin(c->db);
}

static enum err make_commit(const struct db_call *c)
{
	if (hooked()) /* two of them: a full look */
		the_world->dirty = the_world->dirty == ACTOR_NONE ? the_world->actor : ACTOR_WATCH;
	return __real_db_commit(c->db);
}

static enum err make_run(const struct db_call *c)
{
	return __real_db_run(c->db, c->stmt, c->args, c->ret);
}

enum err __wrap_db_begin(struct db *db)
{
	return pass(&(struct db_call){ .db = db, .make = make_begin, .place = PLACE_BEGIN });
}

enum err __wrap_db_commit(struct db *db)
{
	return pass(&(struct db_call){ .db = db, .make = make_commit, .place = PLACE_COMMIT });
}

enum err __wrap_db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret)
{
	return pass(&(struct db_call){
		.db = db, .make = make_run, .place = PLACE_STATEMENT, .stmt = s, .args = a, .ret = ret });
}

/* ---- no limits of real time ---- */

PGconn *__real_PQconnectStartParams(const char *const *keys, const char *const *values, int expand);
PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values, int expand);

/* The server would end a transaction of ours when the machine is slow. */
PGconn *__wrap_PQconnectStartParams(const char *const *keys, const char *const *values, int expand)
{
	const char *changed[16];
	char options[512];
	size_t n = 0;

	for (; keys[n]; n++) {
		ensure(n + 1 < ARRAY_LEN(changed));
		changed[n] = values[n];
		if (strcmp(keys[n], "options") != 0)
			continue;
		ensure(snprintf(options, sizeof options, "%s -c idle_in_transaction_session_timeout=0", values[n]) <
		       (int)sizeof options);
		changed[n] = options;
	}
	changed[n] = NULL;
	return __real_PQconnectStartParams(keys, changed, expand);
}

/* ---- the broker, and the world at large ---- */

/* It is slow between looking at the time and sending, too: whoever gives orders has to wait for what it has in its hand. */
bool faults_at_broker(struct world *w)
{
	bool before = w->in_turn;
	enum fault_kind kind;
	int64_t slow_us;

	if (w->otad.dead)
		return false;
	slow_us = w->fault.slow_us;
	kind = strikes(w, PLACE_PUBLISH);
	if (kind == FAULT_SLOW) {
		w->frozen_us = sim_now_us();
		w->in_turn = true; /* all of it stands still */
		world_meanwhile(w, sim_now_us() + (slow_us ? slow_us : rng_between(&w->rng_fault, 100, 20000) * US_PER_MS));
		w->in_turn = before;
		if (w->otad.dead)
			return false;
	} else if (kind == FAULT_CRASH_BEFORE || kind == FAULT_CRASH_AFTER)
		w->otad.dead = true;
	else if (kind == FAULT_LOST_BEFORE || kind == FAULT_LOST_AFTER)
		broker_cut(w, true);
	sim_clock_set(sim_now_us() + rng_between(&w->rng_fault, 5, 60));
	return kind != FAULT_CRASH_BEFORE;
}

void faults_waiting(struct world *w)
{
	enum fault_kind kind = w->fault.kind;

	if (w->otad.dead || (kind != FAULT_SLOW && kind != FAULT_LOST_BEFORE && kind != FAULT_LOST_AFTER))
		return;
	kind = strikes(w, PLACE_WAIT);
	if (kind == FAULT_SLOW)
		world_meanwhile(w, sim_now_us() + rng_between(&w->rng_fault, 100, 20000) * US_PER_MS);
	else if (kind != FAULT_NONE)
		broker_reconnect(w);
}

static void database_back(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a;
	(void)b;
	(void)text;
	cluster_recover();
	world_watch(w);
	w->database_down = false;
	w->dirty = ACTOR_WATCH;
	w->trouble_us = sim_now_us();
	trace(w, "the database is back");
}

static void kill_otad(struct world *w)
{
	if (!w->otad.up || w->otad.dead)
		return;
	trace(w, "kill");
	faults_count(w, FAULT_KILL, PLACE_NONE);
	w->otad.dead = true;
	if (!w->in_turn)
		otad_bury(w);
}

/* Something happens to the world every now and then. */
static void strike(struct world *w, int64_t a, int64_t b, const char *text)
{
	struct rng *r = &w->rng_fault;

	(void)a;
	(void)b;
	(void)text;
	if (w->calm)
		return;
	if (rng_chance(r, w->p.cut))
		broker_cut(w, rng_chance(r, 500));
	if (rng_chance(r, w->p.freeze))
		broker_freeze(w, rng_skewed(r, 100) * US_PER_SECOND);
	if (rng_chance(r, w->p.broker_restart))
		broker_restart(w);
	if (rng_chance(r, w->p.crash))
		kill_otad(w);
	if (rng_chance(r, w->p.database_crash) && !w->database_down && w->actor == ACTOR_NONE) {
		trace(w, "the database crashes");
		cluster_crash();
		w->database_down = true;
		faults_count(w, FAULT_DATABASE_CRASH, PLACE_NONE);
		agenda_in(w, rng_skewed(r, 900) * US_PER_SECOND + US_PER_SECOND, database_back, 0, 0, NULL);
	}
	agenda_in(w, rng_between(r, 1, 60) * US_PER_SECOND, strike, 0, 0, NULL);
}

static void set_back(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a;
	(void)b;
	(void)text;
	if (w->calm)
		return;
	if (w->in_turn || w->in_call || w->database_down) { /* between steps */
		agenda_in(w, US_PER_SECOND, set_back, 0, 0, NULL);
		return;
	}
	faults_count(w, FAULT_CLOCK, PLACE_NONE);
	w->behind_ms = rng_between(&w->rng_fault, 4, 11) * MS_PER_HOUR;
	world_clock_jump(w, -w->behind_ms);
}

void faults_start(struct world *w)
{
	if (w->p.clock)
		agenda_in(w, rng_between(&w->rng_fault, 60, w->p.chaos_minutes * 60) * US_PER_SECOND, set_back, 0, 0, NULL);
	agenda_in(w, 10 * US_PER_SECOND, strike, 0, 0, NULL);
}
