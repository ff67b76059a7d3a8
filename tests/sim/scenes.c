/* SPDX-License-Identifier: Apache-2.0 */
/* See scenes.h. */
#include "tests/sim/scenes.h"

#include "engine/ids.h"
#include "storage/report.h"
#include "tests/sim/call.h"
#include "tests/sim/model_priv.h"

#include <stdio.h>

#define MINUTE_US (60 * US_PER_SECOND)

/* Devices that are silent about their pushes and stay online; nothing happens by itself. */
static struct world *silent_world(const char *scene, int devices)
{
	struct profile p = { .devices = devices, .packages = 1, .jobs = 4, .window = 100, .modules = 1, .chaos_minutes = 1,
			     .misbehaviour = { 0, 0, 0, 1 }, .quiet = true };
	struct world *w = world_new(7, &p, scene, false);

	w->calm = false;
	return w;
}

static void wait_us(struct world *w, int64_t us)
{
	world_run(w, sim_now_us() + us, NULL);
}

static void connect_all(struct world *w)
{
	for (size_t i = 0; i < w->n_devices; i++)
		broker_connect_device(w, &w->devices[i]);
	wait_us(w, 10 * US_PER_SECOND);
}

static struct sim_job *job_of_all(struct world *w, int per_minute, int timeout_min)
{
	return job_for_all(w, &(struct sim_job){ .package = &w->packages[0], .rates = { { .rate = per_minute } },
						 .timeout_min = timeout_min });
}

static void set_rate(struct world *w, struct sim_job *j, int per_minute)
{
	struct request q;

	request_init(&q, w, "UpdateOTAJob");
	param_id(&q, "JobId", ID_JOB, j->id, 0);
	param(&q, "UpgradeType", "STATIC");
	param(&q, "TargetSelection", "ALL");
	param_int(&q, "MaximumPerMinute", per_minute);
	param(&q, "Tags.1.Key", "job");
	param_int(&q, "Tags.1.Value", j - w->jobs);
	if (call(&q) != OK)
		broken(w, "changing the rate: %s", error_text(&q.error));
	j->rates[j->n_rates].at_us = sim_now_us();
	j->rates[j->n_rates++].rate = per_minute;
	request_free(&q);
}

static bool pushed(struct world *w)
{
	return w->tally.pushes > 0;
}

static bool all_handed_over(struct world *w)
{
	for (size_t i = 0; i < w->model->tasks.n; i++)
		if (w->model->tasks.items[i]->handed == 0)
			return false;
	return w->n_jobs > 0 && w->model->tasks.n == w->jobs[0].n_expected;
}

static void wait_until(struct world *w, bool (*done)(struct world *w))
{
	world_run(w, sim_now_us() + 5 * MINUTE_US, done);
	if (!done(w))
		broken(w, "it never happens");
}

static void expect(struct world *w, int64_t is, int64_t least, int64_t most, const char *what)
{
	if (is < least || is > most)
		broken(w, "%s: %lld, not %lld to %lld", what, (long long)is, (long long)least, (long long)most);
}

static void device_says(struct world *w, struct device *d, int64_t step, const char *version)
{
	struct said s = { .kind = version ? SAID_VERSION : SAID_STEP, .device = d, .version = version, .step = (int)step,
			  .text = "" };
	long long id = model_said(w, s);

	broker_uplink(w, arena_printf(&w->arena, "/ota/device/%s/" SIM_PRODUCT "/%s", version ? "inform" : "progress", d->name),
		      version ? arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{\"version\":\"%s\"}}", id, version)
			      : arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{\"step\":\"%lld\",\"desc\":\"\"}}", id,
					     (long long)step));
}

/* The first of them; as a thing that is done at a time. */
static void says(struct world *w, int64_t step, int64_t b, const char *version)
{
	(void)b;
	device_says(w, &w->devices[0], step, version);
}

/* ---- pace ---- */

/* Rate, devices, seconds. */
static void one_pace(int per_minute, int devices, int64_t seconds)
{
	struct world *w = silent_world("--filter scene_pace", devices);
	int64_t used = 0, from, least = per_minute * seconds * 98 / 6000;
	const struct sim_job *j;

	w->config.tick_ms = 200;
	connect_all(w);
	j = job_of_all(w, per_minute, 0);
	wait_until(w, pushed);
	from = j->pushed_us[0];
	wait_us(w, (seconds + 1) * US_PER_SECOND);
	for (size_t i = 0; i < j->n_pushed && j->pushed_us[i] < from + seconds * US_PER_SECOND; i++)
		used++;
	printf("# %lld pushes in %lld s at %d a minute\n", (long long)used, (long long)seconds, per_minute);
	if (used == j->made)
		broken(w, "there were not devices enough");
	expect(w, used, least, devices, "pushes"); /* never too many: check_entered */
	world_free(w);
}

static void scene_pace(void)
{
	one_pace(1, 10, 240);
	one_pace(10, 40, 120);
	one_pace(60, 99, 65);
	one_pace(1000, 1500, 65);
}

/* The broker takes a push in when its job has long ended; then the job runs again. */
static void scene_gate_outlives_job(void)
{
	struct world *w = silent_world("--filter scene_gate", 1);
	struct sim_job *j;
	int64_t ended, first;

	connect_all(w);
	j = job_of_all(w, 1, 0);
	broker_tend(w); /* its heartbeat, the last one for long */
	broker_freeze(w, 14 * US_PER_SECOND);
	wait_until(w, all_handed_over);
	operator_cancel(w, j, "n");
	ended = sim_now_us();
	world_run(w, ended + 71 * US_PER_SECOND, NULL);
	otad_turn(w); /* it would forget the job */
	expect(w, (int64_t)j->n_pushed, 1, 1, "pushes before it runs again");
	first = j->pushed_us[0];
	expect(w, first - ended, 11 * US_PER_SECOND, 14 * US_PER_SECOND, "first push after the end");
	operator_run_again(w, j->tasks[0]);
	world_run(w, first + 66 * US_PER_SECOND, NULL);
	expect(w, (int64_t)j->n_pushed, 2, 2, "pushes"); /* not within the first one's minute: check_entered */
	world_free(w);
}

static bool two_pushed(struct world *w)
{
	return w->tally.pushes >= 2;
}

/* otad is killed when the minute is used up, and is there again at once. */
static void scene_gate_after_a_crash(void)
{
	struct world *w = silent_world("--filter scene_gate_after", 5);
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 2, 0);
	wait_until(w, two_pushed);
	wait_us(w, 2 * US_PER_SECOND);
	check_step(w);
	w->tally.crashes++;
	otad_crash(w);
	otad_start(w);
	wait_us(w, 2 * MINUTE_US);
	expect(w, (int64_t)j->n_pushed, 4, 5, "pushes"); /* never three in a minute: check_entered */
	world_free(w);
}

static struct report_pace pace_of(struct world *w, const struct sim_job *j)
{
	struct report_pace p;
	struct arena a;
	struct error e;

	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	if (store_report_pace(w->db_watch, j->id, &p) != OK)
		broken(w, "%s", error_text(&e));
	arena_free(&a);
	w->actor = ACTOR_NONE;
	return p;
}

/* What the log says of the limit is what the pushes were claimed by, not what the job has been set to since. */
static void scene_log_names_the_limit_of_the_claim(void)
{
	struct world *w = silent_world("--filter scene_log_names", 8);
	struct report_pace p;
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 1000, 0);
	broker_tend(w);
	broker_freeze(w, 10 * US_PER_SECOND); /* no acknowledgement yet */
	wait_until(w, all_handed_over);
	set_rate(w, j, 1);
	wait_us(w, 20 * US_PER_SECOND);
	p = pace_of(w, j);
	expect(w, p.pushes, j->made, j->made, "pushes by the log");
	expect(w, p.worst, j->made, j->made, "the fullest minute by the log");
	expect(w, p.worst_limit, 1000, 1000, "its limit");
	expect(w, p.excess, INT64_MIN, 0, "more than that");
	world_free(w);
}

/* The window is full for a while: what is claimed and taken back has not been in any minute. */
static void scene_log_counts_what_went_out(void)
{
	struct world *w = silent_world("--filter scene_log_counts", 8);
	struct report_pace p;
	struct sim_job *j;

	w->p.window = 2;
	connect_all(w);
	j = job_of_all(w, 1000, 0);
	broker_tend(w);
	broker_freeze(w, 4 * US_PER_SECOND);
	wait_us(w, 50 * US_PER_SECOND);
	expect(w, (int64_t)j->n_pushed, j->made, j->made, "pushes");
	expect(w, ask_database(w, "select count(*) from task_event where why = 16"), 1, INT64_MAX, "pushes taken back");
	p = pace_of(w, j);
	expect(w, p.pushes, j->made, j->made, "pushes by the log");
	expect(w, p.worst, j->made, j->made, "the fullest minute by the log");
	world_free(w);
}

/* Retries are claimed while the broker is frozen, and taken back: they are pending as before, and pushed then. */
static void scene_retries_that_did_not_go_out(void)
{
	struct world *w = silent_world("--filter scene_retries_that", 8);
	struct sim_job *j;

	w->p.window = 2;
	connect_all(w);
	j = job_for_all(w, &(struct sim_job){ .package = &w->packages[0], .rates = { { .rate = 1000 } }, .retry_interval_min = 10,
					      .retry_count = 1 });
	wait_us(w, 20 * US_PER_SECOND);
	for (size_t i = 0; i < w->n_devices; i++)
		device_says(w, &w->devices[i], -1, NULL);
	wait_us(w, 599 * US_PER_SECOND);
	expect(w, (int64_t)j->n_pushed, j->made, j->made, "pushes before the retry");
	broker_tend(w);
	broker_freeze(w, 5 * US_PER_SECOND);
	wait_us(w, 60 * US_PER_SECOND);
	expect(w, ask_database(w, "select count(*) from task_event where why = 16"), 1, INT64_MAX, "pushes taken back");
	expect(w, (int64_t)j->n_pushed, 2 * j->made, 2 * j->made, "pushes with the retry");
	world_free(w);
}

/* ---- the clock ---- */

/* It is set back just before the first push is due, and once more after it: nobody waits until it is there again, neither
 * for that push nor for the one of the next connection, and progress counts as before, also when its task has been run
 * again just before. */
static void scene_clock_set_back(void)
{
	struct world *w = silent_world("--filter scene_clock", 1);
	struct device *d = &w->devices[0];
	struct sim_job *j;

	sim_clock_jump(3 * MS_PER_HOUR);
	connect_all(w);
	d->gone = true; /* it comes only when it is told to */
	broker_disconnect_device(w, d);
	wait_us(w, 30 * US_PER_SECOND);
	j = job_of_all(w, 1000, 0);
	wait_us(w, US_PER_SECOND);
	broker_connect_device(w, d);
	wait_us(w, 500 * US_PER_MS);
	world_clock_jump(w, -MS_PER_HOUR);
	wait_us(w, 10 * US_PER_SECOND);
	expect(w, (int64_t)j->n_pushed, 1, 1, "pushes after the clock was set back");
	says(w, 10, 0, NULL);
	wait_us(w, 70 * US_PER_SECOND);
	expect(w, j->tasks[0]->state, TASK_IN_PROGRESS, TASK_IN_PROGRESS, "state");
	world_clock_jump(w, -MS_PER_HOUR);
	broker_disconnect_device(w, d);
	wait_us(w, 5 * US_PER_SECOND);
	broker_connect_device(w, d);
	wait_us(w, 60 * US_PER_SECOND);
	expect(w, (int64_t)j->n_pushed, 2, 2, "pushes after the next connection");
	says(w, 50, 0, NULL);
	wait_us(w, 10 * US_PER_SECOND);
	expect(w, j->tasks[0]->progress, 50, 50, "progress");
	operator_cancel(w, j, "i");
	wait_us(w, US_PER_SECOND);
	operator_run_again(w, j->tasks[0]);
	wait_us(w, 10 * US_PER_SECOND);
	world_clock_jump(w, -MS_PER_HOUR / 2);
	says(w, 20, 0, NULL);
	wait_us(w, 10 * US_PER_SECOND);
	expect(w, j->tasks[0]->progress, 20, 20, "progress of the second life");
	world_free(w);
}

/* What a device said before that belongs to before the jobs that are created after it, whatever the clock says. */
static void scene_versions_of_before_the_clock_was_set_back(void)
{
	struct world *w = silent_world("--filter scene_versions", 4);
	struct sim_job *j;

	sim_clock_jump(3 * MS_PER_HOUR);
	connect_all(w);
	says(w, 0, 0, "7.7.7");
	wait_us(w, 5 * US_PER_SECOND);
	world_clock_jump(w, -MS_PER_HOUR);
	j = job_for_all(w, &(struct sim_job){ .package = &w->packages[0], .rates = { { .rate = 1000 } }, .src = { "7.7.7" }, .n_src = 1 });
	wait_us(w, 10 * US_PER_SECOND);
	expect(w, j->made, 1, 1, "tasks");
	world_free(w);
}

/* ---- time limits ---- */

/* The engine stands still over the time limit, the journal takes what comes: the success of before it counts, that of
 * after it does not. */
static void success_in_time(int64_t after_us, enum task_state end)
{
	struct world *w = silent_world("--filter scene_success", 1);
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 1000, 1);
	wait_us(w, 10 * US_PER_SECOND);
	says(w, 10, 0, NULL);
	agenda_in(w, after_us, says, 0, 0, j->package->dest);
	wait_us(w, 5 * US_PER_SECOND);
	expect(w, j->tasks[0]->state, TASK_IN_PROGRESS, TASK_IN_PROGRESS, "state");
	w->otad.next_turn_us = sim_now_us() + 2 * MINUTE_US;
	wait_us(w, 3 * MINUTE_US);
	expect(w, j->tasks[0]->state, end, end, "state"); /* which is what the database says */
	world_free(w);
}

static void scene_success_before_time_limit(void)
{
	success_in_time(59 * US_PER_SECOND, TASK_SUCCEEDED);
	success_in_time(61 * US_PER_SECOND, TASK_FAILED);
}

/* ---- the broker ---- */

/* The publisher is cut off and is back while a push waits to be handed over: it goes out on the new connection, and so
 * its outcome is known. */
static void scene_push_on_a_new_connection(void)
{
	struct world *w = silent_world("--filter scene_push", 1);
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 1000, 0);
	w->fault = (struct fault){ .kind = FAULT_LOST_BEFORE, .actor = ACTOR_ENGINE, .place = PLACE_WAIT };
	wait_us(w, 5 * MINUTE_US);
	expect(w, w->tally.faults[FAULT_LOST_BEFORE][PLACE_WAIT], 1, 1, "cuts");
	expect(w, (int64_t)j->n_pushed, 1, 1, "pushes");
	world_free(w);
}

/* ---- a lost answer ---- */

static bool made(struct world *w)
{
	return w->jobs[0].made > 0;
}

/* A push was claimed, and nobody knows: it is found, taken back and made again. Then a report is not committed: it is
 * applied once more. */
static void scene_lost_commit(void)
{
	struct world *w = silent_world("--filter scene_lost", 1);
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 1000, 0);
	wait_until(w, made); /* the next thing to commit is its push */
	w->fault = (struct fault){ .kind = FAULT_LOST_AFTER, .actor = ACTOR_ENGINE, .place = PLACE_COMMIT };
	wait_us(w, MINUTE_US);
	expect(w, w->tally.faults[FAULT_LOST_AFTER][PLACE_COMMIT], 1, 1, "lost answers");
	expect(w, ask_database(w, "select count(*) from task_event where why = 16"), 1, 1, "pushes taken back");
	expect(w, (int64_t)j->n_pushed, 1, 1, "pushes");
	w->fault = (struct fault){ .kind = FAULT_LOST_BEFORE, .actor = ACTOR_ENGINE, .place = PLACE_COMMIT };
	says(w, 10, 0, NULL);
	wait_us(w, 10 * US_PER_SECOND);
	expect(w, w->tally.faults[FAULT_LOST_BEFORE][PLACE_COMMIT], 1, 1, "lost commits");
	expect(w, j->tasks[0]->progress, 10, 10, "progress");
	world_free(w);
}

/* ---- a frozen otad ---- */

static void cancel_meanwhile(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a, (void)b, (void)text;
	if (w->frozen_us)
		operator_cancel(w, &w->jobs[0], "n");
	else
		agenda_in(w, 10 * US_PER_MS, cancel_meanwhile, 0, 0, NULL);
}

/* It is frozen with a push in its hand when its task is canceled: the push goes out when it wakes, and so nobody may have
 * been told that it does not. */
static void scene_order_while_frozen(void)
{
	struct world *w = silent_world("--filter scene_order", 1);
	struct sim_job *j;

	connect_all(w);
	j = job_of_all(w, 1000, 0);
	w->fault = (struct fault){ .kind = FAULT_SLOW, .actor = ACTOR_ENGINE, .place = PLACE_PUBLISH, .slow_us = 5 * US_PER_SECOND };
	cancel_meanwhile(w, 0, 0, NULL);
	wait_us(w, MINUTE_US);
	expect(w, w->tally.faults[FAULT_SLOW][PLACE_PUBLISH], 1, 1, "times that it was frozen");
	expect(w, j->tasks[0]->state, TASK_CANCELED, TASK_CANCELED, "state");
	expect(w, j->answered_us, 0, 0, "answer that nothing is on its way");
	expect(w, (int64_t)j->n_pushed, 1, 1, "pushes");
	world_free(w);
}

const struct scene scenes[] = {
	{ "scene_pace", scene_pace },
	{ "scene_gate_outlives_job", scene_gate_outlives_job },
	{ "scene_gate_after_a_crash", scene_gate_after_a_crash },
	{ "scene_log_names_the_limit_of_the_claim", scene_log_names_the_limit_of_the_claim },
	{ "scene_log_counts_what_went_out", scene_log_counts_what_went_out },
	{ "scene_retries_that_did_not_go_out", scene_retries_that_did_not_go_out },
	{ "scene_clock_set_back", scene_clock_set_back },
	{ "scene_versions_of_before_the_clock_was_set_back", scene_versions_of_before_the_clock_was_set_back },
	{ "scene_success_before_time_limit", scene_success_before_time_limit },
	{ "scene_push_on_a_new_connection", scene_push_on_a_new_connection },
	{ "scene_lost_commit", scene_lost_commit },
	{ "scene_order_while_frozen", scene_order_while_frozen },
};
const size_t n_scenes = ARRAY_LEN(scenes);
