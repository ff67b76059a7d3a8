/* SPDX-License-Identifier: Apache-2.0 */
/* See tick.h. The order of a tick:
 *   before the transaction: acknowledgements, jobs, records, presence, tasks, timers, candidates
 *   in it:                  lease, locks, rows, bulk orders, reports and timers, claims, everything back, position
 *   after the commit:       queues, pushes, answers; the pushes go out by themselves while the next tick runs
 * What fails before the commit has changed nothing but memory that may be late or repeated; it is tried again. */
#include "dispatcher/tick_priv.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "storage/job_end.h"
#include "storage/lease.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LEASE_MS 8000
#define LEASE_SPARE_MS 2000 /* an owner stops so long before its lease ends */
#define LEASE_RENEW_MS 1000
#define LEASE_TRY_MS 500
#define LEASE_PATIENCE_MS 1000 /* for a moment when no push is on its way */
#define LOOK_MS 200 /* jobs and timers that API calls of other processes made: at the soonest, */
#define LOOK_PART 200 /* and so seldom that it takes half a hundredth of the time, */
#define LOOK_LATEST_MS 2000 /* but not later */
#define SWEEP_MS (10 * MS_PER_MINUTE)
#define DROP_MS (60 * MS_PER_SECOND)
#define BATCH_KEEP_MS (10 * MS_PER_MINUTE)
#define DRAIN_MS 1000
#define CLAIMS_FIRST ((size_t)500) /* of a tick, until its speed is known */
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000

/* ---- the lease ---- */

static void lease_set(struct engine *g, bool leased)
{
	if (atomic_exchange(&g->leased, leased) == leased)
		return;
	metric_set(M_ENGINE_OWNER, leased);
	if (leased)
		log_event(EV_LEASE_TAKEN, LINT("shard", g->opt.shard), LINT("epoch", g->epoch));
	else
		log_event(EV_LEASE_LOST, LINT("shard", g->opt.shard), LINT("epoch", g->epoch));
	if (g->opt.lease_changed)
		g->opt.lease_changed(g->opt.ctx);
}

static bool lease_time_left(const struct engine *g)
{
	return clock_boot_ms() < atomic_load(&g->lease_until_boot_ms) - LEASE_SPARE_MS;
}

/* A renewal says that what was claimed before it has been handed over, or never will be (storage/flight.h): it comes
 * when nothing is on its way. */
static enum err lease_renew(struct engine *g)
{
	int64_t now = clock_boot_ms();
	struct lease l;
	enum err e;

	ensure(!g->going);
	/* Renewing waits for a transaction of ours whose outcome is not known yet, so it comes before recheck(). */
	g->renew_at_boot_ms = g->recheck ? 0 : now + LEASE_TRY_MS;
	e = store_lease_take(g->db, g->opt.shard, g->owner, LEASE_MS, &l);
	if (e == ERR_NOT_FOUND) {
		lease_set(g, false);
		atomic_store(&g->standby, true);
		g->since_ms = NEVER;
		mqtt_want(g->opt.mqtt, MQTT_OFF);
		return OK;
	}
	TRY(e);
	g->epoch = l.epoch;
	g->since_ms = l.since_ms;
	atomic_store(&g->standby, false);
	atomic_store(&g->lease_until_boot_ms, now + LEASE_MS);
	g->renew_at_boot_ms = now + LEASE_RENEW_MS;
	/* Read between the question and its answer; 1: all three are rounded. */
	clock_bound_offset(l.now_ms - clock_boot_ms() - 1, l.now_ms - now + 1);
	if (lease_time_left(g))
		lease_set(g, true);
	return OK;
}

static enum err lease_keep(struct engine *g)
{
	int64_t now = clock_boot_ms();

	if (atomic_load(&g->leased) && !engine_leased(g)) {
		lease_set(g, false);
		mqtt_want(g->opt.mqtt, MQTT_KEEP); /* nobody else may have it: a database outage */
	}
	publish_settle(g, false);
	if (now < g->renew_at_boot_ms + (g->going ? LEASE_PATIENCE_MS : 0))
		return OK;
	publish_settle(g, true);
	return lease_renew(g);
}

/* Once at the start, also of who does not tick yet: what others write down later can be compared then. */
static enum err pace_clock(struct engine *g)
{
	if (g->pace_offset_known)
		return OK;
	TRY(store_lease_machine(g->db, clock_boot_id(), clock_now() - clock_boot_ms(), &g->pace_offset_ms));
	g->pace_offset_known = true;
	return OK;
}

/* Where the journal was left, once at the start. Nobody else ever moves its position. */
static enum err resume(struct engine *g)
{
	uint64_t position = 0;

	if (g->resumed)
		return OK;
	TRY(store_tick_position(g->db, journal_id(g->opt.journal), &position));
	journal_set_applied(g->opt.journal, position);
	g->cursor = journal_applied(g->opt.journal);
	g->resumed = true;
	return OK;
}

/* After a takeover, and once at the start: memory is made anew from the database. */
static enum err recover(struct engine *g)
{
	if (g->recovered_epoch == g->epoch)
		return OK;
	publish_settle(g, true);
	TRY(jobs_sync(&g->jobs, g->db));
	TRY(publish_recover(g));
	TRY(resume(g));
	g->undone.n = 0;
	g->acked.n = 0;
	presence_lost(g->presence);
	g->presence_was_known = false;
	jobs_rescan(&g->jobs);
	g->look_at_boot_ms = 0;
	g->next_timer_ms = g->timers_from_ms = 0;
	g->recovered_epoch = g->epoch;
	return OK;
}

/* What became of the commit whose answer was lost? */
static enum err recheck(struct engine *g)
{
	uint64_t position = 0;
	enum err e;

	if (!g->recheck)
		return OK;
	TRY(store_tick_position(g->db, journal_id(g->opt.journal), &position));
	e = g->unknown_batch ? store_tick_batch_exists(g->db, g->unknown_batch) : ERR_NOT_FOUND;
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	if (e == OK) { /* claimed, and never handed over */
		for (size_t i = 0; i < g->unknown_claims.n; i++)
			VEC_KEEP(&g->undone, g->unknown_claims.items[i]);
		VEC_KEEP(&g->acked, g->unknown_batch);
	}
	g->unknown_claims.n = 0;
	if (position > g->cursor) {
		g->cursor = position;
		journal_set_applied(g->opt.journal, position);
	}
	g->recheck = false;
	return OK;
}

/* ---- before the transaction ---- */

static enum err look(struct engine *g)
{
	int64_t now = clock_boot_ms(), began = clock_boot_us(), seconds = 0, pause;

	if (now < g->look_at_boot_ms)
		return OK;
	TRY(jobs_sync(&g->jobs, g->db));
	pause = LOOK_PART * (clock_boot_us() - began + g->timers_us) / 1000;
	g->look_at_boot_ms = now + i64_min(i64_max(pause, LOOK_MS), LOOK_LATEST_MS);
	g->next_timer_ms = g->timers_from_ms = 0; /* calls set timers too */
	if (now >= g->sweep_at_boot_ms) {
		g->sweep_at_boot_ms = now + SWEEP_MS;
		jobs_rescan(&g->jobs);
	}
	if (now >= g->drop_at_boot_ms) {
		g->drop_at_boot_ms = now + DROP_MS;
		TRY(store_tick_batches_drop(g->db, publish_time(g) - BATCH_KEEP_MS));
		TRY(store_tick_oldest_snapshot(g->db, &seconds));
		metric_set(M_OLDEST_SNAPSHOT, seconds);
	}
	return OK;
}

static enum err gather(struct work *w)
{
	struct engine *g = w->g;

	TRY(reports_read(w));
	if (w->left_over)
		return reports_resolve(w);
	online_ask(g); /* silence is judged by what has come in, not by when it is read */
	TRY(online_resolve(w));
	TRY(reports_resolve(w));
	TRY(timers_read(w));
	for (size_t i = 0; i < g->undone.n; i++)
		work_want(w, g->undone.items[i].job_id, g->undone.items[i].seq, true);
	TRY(claim_feed(w));
	claim_candidates(w);
	return OK;
}

static bool has_work(const struct work *w)
{
	const struct engine *g = w->g;

	return w->n_records > 0 || (!w->left_over && (w->n_timers > 0 || w->candidates.n > 0 || g->undone.n > 0 ||
						      g->acked.n > 0 || online_dirty(g)));
}

/* ---- in the transaction ---- */

/* The proof of pace counts what may have reached the broker. */
static enum err unsent_write(struct work *w)
{
	const struct engine *g = w->g;
	struct tick_unsent *unsent = ARENA_ARRAY(w->a, g->undone.n + 1, struct tick_unsent);
	size_t n = 0;

	for (size_t i = 0; i < g->undone.n; i++) {
		const struct undone *u = &g->undone.items[i];

		if (!u->unknown)
			unsent[n++] = (struct tick_unsent){ u->batch_id, u->job_id, u->seq };
	}
	return store_tick_batches_unsent(g->db, unsent, n);
}

static enum err write_all(struct work *w)
{
	struct engine *g = w->g;
	struct tick_push *pushes = ARENA_ARRAY(w->a, w->claims.n + 1, struct tick_push);

	TRY(work_write(w));
	TRY(versions_write(w));
	if (w->n_records > 0)
		TRY(store_tick_set_position(g->db, journal_id(g->opt.journal), w->next_position, w->now));
	if (w->left_over)
		return OK;
	TRY(online_write(w));
	for (size_t i = 0; i < w->claims.n; i++) {
		const struct work_task *k = w->claims.items[i].task;

		pushes[i] = (struct tick_push){ k->t.job_id, k->t.seq, k->run->max_per_minute };
	}
	TRY(store_tick_batch(g->db, w->batch_id, w->now_us / 1000 + g->pace_offset_ms, pushes, w->claims.n));
	TRY(unsent_write(w));
	return store_tick_batches_acked(g->db, g->acked.items, g->acked.n, publish_time(g));
}

/* Whoever takes the lease over waits for our transaction; whoever has it already is seen here. */
static enum err lease_check(struct engine *g)
{
	enum err e = store_lease_check(g->db, g->opt.shard, g->owner, g->epoch);

	if (e == ERR_NOT_FOUND) {
		lease_set(g, false);
		g->renew_at_boot_ms = 0;
	}
	return e;
}

static enum err transact(struct work *w)
{
	struct engine *g = w->g;

	w->start_boot_ms = clock_boot_ms();
	TRY(db_begin(g->db));
	if (!w->left_over)
		TRY(lease_check(g));
	TRY(work_load(w));
	if (!w->left_over)
		undone_apply(w);
	events_apply(w);
	claim_take(w);
	TRY(write_all(w));
	return db_commit(g->db);
}

/* ---- after it ---- */

/* The parcel before it first; between the two is a good moment for the lease, which may turn out to have been
 * another's. */
static void hand_over(struct work *w)
{
	struct engine *g = w->g;
	int64_t epoch = g->epoch;

	if (!w->parcel)
		return;
	publish_settle(g, true);
	if (clock_boot_ms() >= g->renew_at_boot_ms && lease_renew(g) != OK)
		log_limited(EV_TICK_FAILED, LSTR("why", error_text(&g->error)));
	publish_send(w, engine_leased(g) && g->epoch == epoch);
}

static void committed(struct work *w)
{
	struct engine *g = w->g;

	if (w->n_records > 0) {
		g->cursor = w->next_position;
		journal_set_applied(g->opt.journal, g->cursor);
	}
	timers_committed(w);
	g->poisoned = 0;
	if (w->left_over)
		return;
	g->undone.n = 0;
	g->acked.n = 0;
	online_committed(w);
	claim_committed(w);
	g->last_claim_us = w->now_us;
	publish_pack(w);
	hand_over(w);
	publish_replies(w);
	for (size_t i = 0; g->opt.registration && i < w->registrations.n; i++)
		g->opt.registration(g->opt.ctx, &w->registrations.items[i]);
}

/* A report that the database refuses must not hold up the others: they are replayed one by one, and the one
 * that fails alone is left out, unless the tick fails without it too. */
static void isolate(struct work *w, enum err e)
{
	struct engine *g = w->g;

	if ((e != ERR_DB && e != ERR_DB_CONFLICT) || w->n_records == 0)
		return;
	if (w->n_records > 1) {
		g->single_until = w->next_position;
		return;
	}
	if (g->single_until < w->next_position)
		g->single_until = w->next_position;
	if (w->reports_only)
		g->poisoned = g->poisoned == g->cursor + 1 ? 0 : g->cursor + 1;
}

/* The answer to the commit was lost: kept for recheck(). */
static void keep_unknown(struct work *w)
{
	struct engine *g = w->g;

	g->recheck = true;
	g->renew_at_boot_ms = 0;
	g->unknown_batch = w->batch_id;
	g->unknown_claims.n = 0;
	for (size_t i = 0; i < w->claims.n; i++)
		VEC_KEEP(&g->unknown_claims, undone_of(&w->claims.items[i], w->batch_id));
}

static void failed(struct work *w, enum err e)
{
	if (e == ERR_COMMIT_UNKNOWN)
		keep_unknown(w);
	w->g->next_timer_ms = w->g->timers_from_ms = 0;
	db_rollback(w->g->db);
	claim_return(w);
	isolate(w, e);
}

/* From the journal to the commit, and what follows from it. */
static enum err run(struct work *w)
{
	enum err e = gather(w);

	if (e == OK && !has_work(w)) {
		w->g->last_claim_us = w->now_us;
		return OK;
	}
	if (e == OK)
		e = transact(w);
	if (e != OK) {
		failed(w, e);
		return e;
	}
	committed(w);
	metric_observe_us(M_TICK_SECONDS, NULL, clock_boot_us() - w->now_us);
	return OK;
}

/* One tick; *ret_more: there is more to do at once. */
static enum err tick(struct engine *g, bool *ret_more)
{
	struct work w = { .g = g, .a = &g->arena };

	publish_acks(g, &g->arena);
	if (g->since_ms > clock_now()) /* the clock was set back; what comes is not older than the lease for that */
		g->since_ms = 0;
	TRY(look(g));
	w.reports_only = g->cursor < g->single_until;
	TRY(run(&w));
	*ret_more = w.timers_until < w.now || w.n_timers > 0 || w.reports_only;
	return OK;
}

/* What the journal still holds of the time before another process took over: it was acknowledged to devices, so it
 * is applied, under the jobs' locks like everything, and where something newer is known that wins. */
static enum err leftovers_apply(struct engine *g, bool *ret_more)
{
	struct work w = { .g = g, .a = &g->arena, .reports_only = true, .left_over = true };

	TRY(resume(g));
	TRY(recheck(g));
	TRY(run(&w));
	*ret_more = w.n_records > 0;
	return OK;
}

static void wait_for_work(struct engine *g, int64_t until_boot_ms)
{
	struct pollfd p = { .fd = g->wake_fd, .events = POLLIN };
	int64_t left = until_boot_ms - clock_boot_ms();

	if (left > 0)
		(void)poll(&p, 1, (int)left);
}

/* Whoever wakes the engine has changed something of the jobs. */
static void woken(struct engine *g)
{
	uint64_t count;

	if (read(g->wake_fd, &count, sizeof count) == (ssize_t)sizeof count)
		g->look_at_boot_ms = 0;
}

/* One turn of the loop: the lease, what is owed from before, a tick. */
static enum err turn(struct engine *g, bool *ret_more)
{
	int64_t position = 0;

	TRY(pace_clock(g));
	TRY(lease_keep(g));
	if (!engine_leased(g))
		return atomic_load(&g->standby) ? leftovers_apply(g, ret_more) : OK;
	if (g->recovered_epoch != g->epoch && mqtt_publisher_up(g->opt.mqtt)) {
		mqtt_want(g->opt.mqtt, MQTT_OFF); /* a new connection settles what an earlier life handed over */
		return OK;
	}
	TRY(recover(g));
	TRY(recheck(g));
	mqtt_want(g->opt.mqtt, MQTT_CONNECT);
	TRY(tick(g, ret_more));
	if (presence_state(g->presence, &position) && g->opt.broker_state)
		g->opt.broker_state(g->opt.ctx, position);
	return OK;
}

/* What was handed over is marked as acknowledged, so that nobody pushes it again, and what was not is undone; then the
 * next owner may come. */
static void drain(struct engine *g)
{
	struct work w = { .g = g, .a = &g->arena, .reports_only = true };
	int64_t until = clock_boot_ms() + DRAIN_MS;
	enum err e = OK;

	arena_reset(&g->arena);
	error_init(&g->error, &g->arena);
	db_begin_work(g->db, &g->arena, &g->error);
	if (!atomic_load(&g->leased))
		return;
	publish_settle(g, true);
	publish_acks(g, &g->arena);
	if (g->undone.n > 0)
		e = run(&w);
	while (publish_open(g) && mqtt_publisher_up(g->opt.mqtt) && clock_boot_ms() < until) {
		(void)poll(NULL, 0, 10);
		publish_acks(g, &g->arena);
	}
	if (e == OK)
		e = store_tick_batches_acked(g->db, g->acked.items, g->acked.n, publish_time(g));
	if (e == OK)
		e = store_lease_give_back(g->db, g->opt.shard, g->owner);
	if (e != OK)
		log_limited(EV_TICK_FAILED, LSTR("why", error_text(&g->error)));
	atomic_store(&g->leased, false);
}

int64_t engine_turn(struct engine *g)
{
	bool more = false;
	int64_t pause;
	enum err e;

	arena_reset(&g->arena);
	error_init(&g->error, &g->arena);
	db_begin_work(g->db, &g->arena, &g->error);
	woken(g);
	e = turn(g, &more);
	atomic_store(&g->db_up, e == OK);
	atomic_store(&g->caught_up, e == OK && atomic_load(&g->leased) && online_known(g));
	metric_set(M_JOURNAL_FILL, journal_fill(g->opt.journal));
	if (e == OK || e == ERR_NOT_FOUND) {
		g->backoff_ms = BACKOFF_MIN_MS;
		return more ? 0 : g->opt.config->tick_ms;
	}
	log_limited(EV_TICK_FAILED, LSTR("why", error_text(&g->error)));
	metric_add(M_TICK_FAILED, 1);
	pause = g->backoff_ms;
	g->backoff_ms = i64_min(2 * g->backoff_ms, BACKOFF_MAX_MS);
	return pause;
}

static void *engine_main(void *arg)
{
	struct engine *g = arg;

	while (!atomic_load(&g->stop)) {
		int64_t began = clock_boot_ms(), pause = engine_turn(g);

		if (pause > 0)
			wait_for_work(g, began + pause);
	}
	drain(g);
	return NULL;
}

/* ---- making and ending ---- */

const struct tick_bounds tick_bounds_default = { .records = 2000,
						 .timers = 2000,
						 .walk_rows = 5000,
						 .walk_until = 20000,
						 .claims = 3000,
						 .claims_spare = 16 };

struct engine *engine_new(const struct tick_options *o)
{
	struct engine *g = calloc(1, sizeof *g);
	struct db_options d = { .conninfo = o->config->database,
				.name = "otad engine",
				.plans = DB_PLANS_PINNED };

	ensure(g != NULL);
	g->opt = *o;
	g->db = db_new(&d);
	arena_init(&g->arena);
	arena_init(&g->online_arena);
	arena_init(&g->parcels[0].arena);
	arena_init(&g->parcels[1].arena);
	g->presence = presence_new();
	g->next_token = 1;
	g->backoff_ms = BACKOFF_MIN_MS;
	g->claims_room = CLAIMS_FIRST < o->bounds.claims ? CLAIMS_FIRST : o->bounds.claims;
	g->recovered_epoch = -1;
	g->since_ms = NEVER;
	g->sweep_at_boot_ms = clock_boot_ms() + SWEEP_MS;
	/* The journal's directory has one process at a time, so its id names an owner that may go on at once.
	 */
	memcpy(g->owner, journal_id(o->journal), strlen(journal_id(o->journal)) + 1);
	g->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ensure(g->wake_fd >= 0);
	return g;
}

void engine_start(struct engine *g)
{
	ensure(pthread_create(&g->thread, NULL, engine_main, g) == 0);
}

void engine_stop_ticking(struct engine *g)
{
	atomic_store(&g->stop, true);
	engine_wake(g);
	(void)pthread_join(g->thread, NULL);
}

void engine_free(struct engine *g)
{
	db_free(g->db);
	jobs_free(&g->jobs);
	later_free(&g->later);
	presence_free(g->presence);
	arena_free(&g->arena);
	arena_free(&g->online_arena);
	arena_free(&g->parcels[0].arena);
	arena_free(&g->parcels[1].arena);
	free(g->changes.items);
	free(g->acked.items);
	free(g->recovered.items);
	free(g->recovered_pushes.items);
	free(g->undone.items);
	free(g->unknown_claims.items);
	(void)close(g->wake_fd);
	free(g);
}

void engine_wake(struct engine *g)
{
	uint64_t one = 1;

	if (write(g->wake_fd, &one, sizeof one) < 0)
		ensure(errno == EAGAIN); /* it is awake already */
}

bool engine_leased(const struct engine *g)
{
	return atomic_load(&g->leased) && lease_time_left(g);
}

bool engine_ready(const struct engine *g, const char **why)
{
	*why = "";
	if (!atomic_load(&g->db_up))
		*why = "the engine has no database";
	else if (atomic_load(&g->standby))
		return true; /* another process runs the engine; this one waits for its lease */
	else if (!atomic_load(&g->leased))
		*why = "the engine has not got its lease yet";
	else if (!mqtt_publisher_up(g->opt.mqtt) || !mqtt_ingest_up(g->opt.mqtt))
		*why = "the broker is not connected";
	else if (!atomic_load(&g->caught_up))
		*why = "the broker has not said yet who is online";
	return **why == '\0';
}
