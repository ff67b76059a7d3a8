/* SPDX-License-Identifier: Apache-2.0 */
/* See props.h. */
#include "tests/sim/props.h"

#include "dispatcher/maker.h"
#include "engine/base/clock.h"
#include "engine/ids.h"
#include "tests/sim/call.h"
#include "tests/sim/model_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

NORETURN static void refuted(const char *fmt, ...) PRINTF(1, 2);
static void refuted(const char *fmt, ...)
{
	va_list ap;

	(void)printf("# ");
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
	(void)fflush(stdout);
	_exit(1);
}

/* ---- any order ---- */

enum move { MOVE_STEP, MOVE_VERSION, MOVE_PUSH, MOVE_PULL, MOVE_CANCEL, MOVE_KINDS };

/* One report of a device, as it may come any number of times. */
struct saying {
	enum move kind;
	int step;
	const char *text;
};

struct trial {
	struct rng rng;
	struct sim_job job;
	struct package package;
	struct device device;
	struct world world;
	struct job_rules rules;
	struct task real;
	struct model_task model;
	utc_ms now, timers[64];
	enum timer_kind kinds[64];
	size_t n_timers;
	int negative, third, dest, canceled; /* how often it was said while the task was unfinished */
};

static void arm(struct trial *t, utc_ms due, enum timer_kind kind)
{
	if (!due)
		return;
	ensure(t->n_timers < ARRAY_LEN(t->timers));
	t->timers[t->n_timers] = due;
	t->kinds[t->n_timers++] = kind;
}

static void real_step(struct trial *t, struct task_event e)
{
	struct task_outcome o;

	if (!e.desc)
		e.desc = "";
	o = task_step(&t->real, &t->rules, &e);
	if (o.ended != (task_state_unfinished(o.from) && !task_state_unfinished(t->real.state)))
		refuted("an end is not called one");
	arm(t, o.arm_timeout_ms, TIMER_TIMEOUT);
	arm(t, o.arm_retry_ms, TIMER_RETRY);
	arm(t, o.arm_verdict_ms, TIMER_VERDICT);
}

/* Timers that are due before a time, in their order; a stale one means nothing. */
static void real_timers(struct trial *t, utc_ms before)
{
	for (;;) {
		size_t first = t->n_timers;

		for (size_t i = 0; i < t->n_timers; i++)
			if (t->timers[i] < before && (first == t->n_timers || t->timers[i] < t->timers[first] ||
						      (t->timers[i] == t->timers[first] && t->kinds[i] < t->kinds[first])))
				first = i;
		if (first == t->n_timers)
			return;
		real_step(t, (struct task_event){ .kind = TASK_EV_TIMER, .at = t->timers[first], .timer = t->kinds[first] });
		t->timers[first] = t->timers[--t->n_timers];
		t->kinds[first] = t->kinds[t->n_timers];
	}
}

static void time_passes(struct trial *t, utc_ms to)
{
	t->now = i64_max(t->now, to);
	real_timers(t, t->now);
	while (rule_timer(&t->world, &t->model, t->now))
		;
}

static void trial_begin(struct trial *t, uint64_t seed)
{
	static const int intervals[] = { -1, -1, 0, 10 };

	*t = (struct trial){ .rng = rng_of(seed, 7), .now = 1000000 };
	t->package.dest = "2.0.0";
	t->package.differential = rng_chance(&t->rng, 200);
	t->package.src = t->package.differential ? "1.0.0" : "";
	t->job.package = &t->package;
	t->job.retry_interval_min = intervals[rng_between(&t->rng, 0, 3)];
	t->job.retry_count = t->job.retry_interval_min < 0 ? 0 : (int)rng_between(&t->rng, 1, 3);
	t->job.timeout_min = (int)rng_between(&t->rng, 0, 3);
	t->job.need_confirm = rng_chance(&t->rng, 50);
	t->world.jobs = &t->job;
	t->world.n_jobs = 1;
	t->rules = (struct job_rules){ .module = "default",
				       .src_version = t->package.src,
				       .dest_version = t->package.dest,
				       .differential = t->package.differential,
				       .need_push = true,
				       .retry_interval_min = t->job.retry_interval_min,
				       .retry_count = t->job.retry_count };
	t->model = (struct model_task){ .device = &t->device, .desc = "" };
	t->model.state = t->job.need_confirm ? TASK_CONFIRM : TASK_QUEUED;
	t->model.src = t->package.differential || rng_chance(&t->rng, 800) ? "1.0.0" : NULL;
	t->real = (struct task){ .job_id = 1, .seq = 1, .device_id = 1, .state = t->model.state, .task_desc = "",
				 .src_version = t->model.src, .timeout_min = t->job.timeout_min };
}

static struct saying random_saying(struct trial *t)
{
	static const char *const versions[] = { "1.0.0", "2.0.0", "2.0.0", "7.7.7", "8.8.8", "app-1.0.0-20180101.1000" };
	struct saying s = { .kind = (enum move)rng_between(&t->rng, MOVE_STEP, MOVE_PULL), .text = "" };

	if (rng_chance(&t->rng, 20))
		s.kind = MOVE_CANCEL;
	if (s.kind == MOVE_STEP) {
		s.step = rng_chance(&t->rng, 250) ? (int)rng_between(&t->rng, -4, -1) : (int)rng_between(&t->rng, 0, 100);
		s.text = s.step < 0 && rng_chance(&t->rng, 500) ? "no space" : "";
	} else if (s.kind == MOVE_VERSION) {
		s.text = versions[rng_between(&t->rng, 0, ARRAY_LEN(versions) - 1)];
	}
	return s;
}

static bool may_be_pushed(const struct trial *t)
{
	return t->model.state >= TASK_QUEUED && t->model.state <= TASK_IN_PROGRESS && t->model.retry_at <= t->now;
}

static void hear(struct trial *t, const struct saying *s)
{
	struct task_event e = { .at = t->now, .step = s->step, .desc = s->text, .version = s->text, .conn = t->now };
	utc_ms reconnected = rng_chance(&t->rng, 100) ? t->now - 1000 : 0;
	bool open = unfinished(&t->model);

	e.reconnected_ms = reconnected;
	switch (s->kind) {
	case MOVE_STEP:
		e.kind = TASK_EV_PROGRESS;
		t->negative += open && s->step < 0;
		rule_step(&t->world, &t->model, s->step, s->text, t->now, reconnected);
		break;
	case MOVE_VERSION:
		e.kind = TASK_EV_VERSION;
		t->dest += open && strcmp(s->text, t->package.dest) == 0;
		t->third += open && (s->text[0] == '7' || s->text[0] == '8');
		rule_version(&t->world, &t->model, s->text, t->now);
		break;
	case MOVE_PUSH:
	case MOVE_PULL:
		e.kind = s->kind == MOVE_PUSH ? TASK_EV_PUSH : TASK_EV_PULL;
		if (!may_be_pushed(t))
			return;
		rule_push(&t->world, &t->model, t->now, t->now, s->kind == MOVE_PULL);
		break;
	case MOVE_CANCEL:
		e.kind = TASK_EV_CANCEL;
		e.why = WHY_CANCEL;
		e.desc = "canceled";
		t->canceled += open;
		if (open)
			rule_end(&t->world, &t->model, TASK_CANCELED, "canceled", WHY_CANCEL, t->now);
		break;
	case MOVE_KINDS:
		break;
	}
	real_step(t, e);
}

static bool same(const char *a, const char *b)
{
	return !a || !b ? a == b : strcmp(a, b) == 0;
}

static void agree(const struct trial *t, uint64_t seed)
{
	const struct model_task *m = &t->model;
	const struct task *r = &t->real;

	if (m->state != r->state || m->progress != r->progress || m->retries != r->retries || m->deadline != r->timeout_ms ||
	    m->retry_at != r->retry_ms || m->verdict_at != r->verdict_ms || !same(m->src, r->src_version) ||
	    !same(m->desc, r->task_desc) || !same(m->verdict_on, r->pending_version))
		refuted("sequence %llu: the rules say %s, %d %%, %d retries, \"%s\", the engine %s, %d %%, %d, \"%s\"",
			(unsigned long long)seed, task_state_name(m->state), m->progress, m->retries, m->desc,
			task_state_name(r->state), r->progress, r->retries, r->task_desc);
}

/* What may have come of it, whatever the order. */
static void permitted(const struct trial *t, uint64_t seed)
{
	enum task_state s = t->real.state;

	if (t->dest > 0 && s != TASK_SUCCEEDED)
		refuted("sequence %llu: DestVersion was reported and the task is %s", (unsigned long long)seed,
			task_state_name(s));
	if (s == TASK_SUCCEEDED && t->dest == 0)
		refuted("sequence %llu: a success without DestVersion", (unsigned long long)seed);
	if (s == TASK_CANCELED && t->canceled == 0)
		refuted("sequence %llu: a cancel that nobody made", (unsigned long long)seed);
	if (s == TASK_FAILED && t->negative + t->third == 0 && !(t->job.timeout_min && same(t->real.task_desc, "timeout")))
		refuted("sequence %llu: a failure without a reason", (unsigned long long)seed);
	if (t->real.retries > t->job.retry_count || t->real.progress < 0 || t->real.progress > 100)
		refuted("sequence %llu: %d retries, %d %%", (unsigned long long)seed, t->real.retries, t->real.progress);
	if (!task_state_unfinished(s) && (t->real.timeout_ms || t->real.retry_ms || t->real.verdict_ms))
		refuted("sequence %llu: the task has ended and waits for something", (unsigned long long)seed);
}

void prop_any_order(int n)
{
	struct saying said[24];
	struct trial t;

	for (int i = 0; i < n; i++) {
		size_t have = 0;

		trial_begin(&t, (uint64_t)i);
		for (int k = (int)rng_between(&t.rng, 1, 24); k > 0; k--) {
			bool again = have > 0 && rng_chance(&t.rng, 350); /* said before, and here once more */
			enum task_state before = t.real.state;
			struct saying s = again ? said[rng_between(&t.rng, 0, (int64_t)have - 1)] : random_saying(&t);

			if (!again)
				said[have++] = s;
			time_passes(&t, t.now + (rng_chance(&t.rng, 700) ? rng_between(&t.rng, 1, 4000)
									 : rng_skewed(&t.rng, 1200000)));
			hear(&t, &s);
			agree(&t, (uint64_t)i);
			if (!task_state_unfinished(before) && t.real.state != before)
				refuted("sequence %d: %s became %s", i, task_state_name(before), task_state_name(t.real.state));
		}
		time_passes(&t, t.now + MS_PER_HOUR);
		agree(&t, (uint64_t)i);
		permitted(&t, (uint64_t)i);
	}
}

/* ---- GRAY ---- */

static struct world *quiet_world(const char *property, int devices, int jobs)
{
	struct profile p = { .devices = devices, .packages = 2, .jobs = jobs, .window = 10, .modules = 1, .flapping = 1,
			     .chaos_minutes = 1, .misbehaviour = { 1 }, .quiet = true };

	return world_new(99, &p, property, false);
}

/* The devices with the smallest hashes, and no others. */
static void by_the_rules(struct world *w, size_t package, int64_t milli, const bool *cohort)
{
	struct sim_job j = { .kind = JOB_STATIC, .package = &w->packages[package], .targets = TARGETS_GRAY, .gray_milli = milli,
			     .created_ms = clock_now() };

	model_choose(w, &j);
	for (size_t i = 0; i < j.n_expected; i++)
		if (!cohort[j.expected[i]])
			refuted("%lld thousandths of a percent leave %s out", (long long)milli, w->devices[j.expected[i]].name);
}

/* Makes a GRAY job of a package and lets the maker do its work; *ret: who got a task, by device. */
static void gray_cohort(struct world *w, size_t package, int64_t milli, bool *ret)
{
	struct request q;
	struct rows *r;
	struct arena a;
	struct error e;
	int64_t job;

	request_init(&q, w, "CreateOTAStaticUpgradeJob");
	param_id(&q, "FirmwareId", ID_FIRMWARE, w->packages[package].id, 0);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "TargetSelection", "GRAY");
	param(&q, "GrayPercent", arena_printf(&q.arena, "%lld.%03lld", (long long)(milli / 1000), (long long)(milli % 1000)));
	param(&q, "Tag.1.Key", "job");
	param(&q, "Tag.1.Value", "0");
	w->unwatched = true;
	if (call(&q) != OK || !id_parse(ID_JOB, q.target, &job, NULL))
		refuted("a GRAY job is refused: %s", error_text(&q.error));
	request_free(&q);
	otad_turn(w);
	otad_maker_round(w, INT64_MAX);
	memset(ret, 0, w->n_devices * sizeof *ret);
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	if (db_script_rows(w->db_watch,
			   arena_printf(&a,
					"select d.name from task t join device d on d.id = t.device_id"
					" join job_run r on r.job_id = t.job_id and t.seq <= r.made_seq where t.job_id = %lld",
					(long long)job),
			   &r) != OK)
		refuted("%s", error_text(&e));
	for (int i = 0; i < rows_count(r); i++)
		ret[world_device_named(w, row_text(r, i, 0))->index] = true;
	arena_free(&a);
	by_the_rules(w, package, milli, ret);
}

/* How many devices have not got the package's version. */
static int64_t candidates(const struct world *w, size_t package)
{
	int64_t n = 0;

	for (size_t i = 0; i < w->n_devices; i++) {
		const char *v = model_version(w, &w->devices[i], 0, INT64_MAX);

		n += w->devices[i].id && !(v && strcmp(v, w->packages[package].dest) == 0);
	}
	return n;
}

static int size_of(const bool *cohort, size_t n)
{
	int size = 0;

	for (size_t i = 0; i < n; i++)
		size += cohort[i];
	return size;
}

void prop_gray(void)
{
	static const int64_t milli[] = { 1, 333, 1000, 12345, 33333, 50000, 50001, 99999, 100000, 33333, 1000 };
	struct world *w = quiet_world("--filter gray", 397, 1);
	bool *smaller = calloc(w->n_devices, 1), *cohort = calloc(w->n_devices, 1), *other = calloc(w->n_devices, 1);
	int64_t before = 0;

	ensure(smaller && cohort && other);
	for (size_t i = 0; i < ARRAY_LEN(milli); i++) {
		int want = (int)i64_max(candidates(w, 0) * milli[i] / 100000, 1);

		gray_cohort(w, 0, milli[i], cohort);
		if (size_of(cohort, w->n_devices) != want)
			refuted("%lld thousandths of a percent take %d devices, not %d", (long long)milli[i],
				size_of(cohort, w->n_devices), want);
		for (size_t d = 0; d < w->n_devices && i > 0; d++)
			if (milli[i] >= before ? smaller[d] && !cohort[d] : cohort[d] && !smaller[d])
				refuted("%s is in the smaller cohort, and not in the larger one", w->devices[d].name);
		before = milli[i];
		memcpy(smaller, cohort, w->n_devices);
	}
	gray_cohort(w, 0, 33333, cohort);
	gray_cohort(w, 1, 33333, other);
	if (memcmp(cohort, other, w->n_devices) == 0)
		refuted("two packages take the same devices");
	gray_cohort(w, 0, 33333, other);
	if (memcmp(cohort, other, w->n_devices) != 0)
		refuted("the same share of the same devices is another one the second time");
	free(smaller);
	free(cohort);
	free(other);
	world_free(w);
}

/* ---- versions ---- */

static void report_version(struct world *w, struct device *d, const char *version)
{
	int64_t id = model_said(w, (struct said){ .kind = SAID_VERSION, .device = d, .version = version });

	broker_uplink(w, arena_printf(&w->arena, "/ota/device/inform/" SIM_PRODUCT "/%s", d->name),
		      arena_printf(&w->arena, "{\"id\":\"%lld\",\"params\":{\"version\":\"%s\"}}", (long long)id, version));
}

static void job_for_version(struct world *w, const char *src)
{
	job_for_all(w, &(struct sim_job){ .package = &w->packages[0], .src = { src }, .n_src = src != NULL });
}

/* The maker comes late, and the model looks after every step whom and what it has chosen. */
void prop_versions(void)
{
	static const char *const versions[] = { "1.0.0", "1.1.0", "1.2.0", "app-1.0.0-20180101.1000" };
	struct world *w = quiet_world("--filter versions", 5, 80);
	struct rng r = rng_of(99, 8);

	while (w->n_jobs < w->cap_jobs) {
		sim_clock_set(sim_now_us() + rng_between(&r, 0, 3) * US_PER_MS);
		switch (rng_between(&r, 0, 9)) {
		case 0:
			job_for_version(w, rng_chance(&r, 300) ? NULL : versions[rng_between(&r, 0, 2)]);
			break;
		case 1:
			otad_maker_round(w, rng_between(&r, 1, 4));
			break;
		case 2:
		case 3:
			broker_tend(w);
			otad_turn(w);
			break;
		default:
			report_version(w, &w->devices[rng_between(&r, 0, 4)], versions[rng_between(&r, 0, 3)]);
		}
	}
	printf("# %zu jobs, %lld reports, %lld tasks\n", w->n_jobs, (long long)w->tally.reports,
	       (long long)ask_database(w, "select count(*) from task"));
	world_free(w);
}

/* ---- overlapping jobs ---- */

#define CLIENTS 4
#define CALLS 60

struct client {
	struct world *w; /* a view of its own: only the connection and the chances differ */
	struct rng rng;
	pthread_t thread;
	int64_t jobs[CALLS];
	size_t n_jobs;
};

static void add_names(struct client *c, struct request *q, const char *name)
{
	int n = 0;

	for (size_t i = 0; i < c->w->n_devices && n < 40; i++)
		if (rng_chance(&c->rng, 300))
			param(q, arena_printf(&q->arena, "%s.%d", name, ++n), c->w->devices[i].name);
	if (n == 0)
		param(q, arena_printf(&q->arena, "%s.1", name), c->w->devices[0].name);
}

static void client_create(struct client *c, struct request *q)
{
	int mode = (int)rng_between(&c->rng, 0, 2);

	q->action = "CreateOTAStaticUpgradeJob";
	param_id(q, "FirmwareId", ID_FIRMWARE, c->w->packages[rng_between(&c->rng, 0, 1)].id, 0);
	param(q, "ProductKey", SIM_PRODUCT);
	if (rng_chance(&c->rng, 500)) {
		param(q, "TargetSelection", "SPECIFIC");
		add_names(c, q, "TargetDeviceName");
	} else {
		param(q, "TargetSelection", "ALL");
	}
	if (mode == 1)
		param(q, "MultiModuleMode", "true");
	if (mode == 2)
		param(q, "OverwriteMode", "2");
	if (rng_chance(&c->rng, 300))
		param(q, "NeedConfirm", "true");
}

static void add_tasks(struct client *c, struct request *q, int64_t job)
{
	for (int i = 1; i <= 10; i++)
		param_id(q, arena_printf(&q->arena, "TaskId.%d", i), ID_TASK, job, i + 10 * rng_between(&c->rng, 0, 2));
}

static void client_request(struct client *c, struct request *q)
{
	int64_t job = c->n_jobs ? c->jobs[rng_between(&c->rng, 0, (int64_t)c->n_jobs - 1)] : 0;
	int64_t what = c->n_jobs ? rng_between(&c->rng, 0, 9) : 0;

	if (what < 5) {
		client_create(c, q);
	} else if (what < 6) {
		q->action = "CancelOTATaskByJob";
		param_id(q, "JobId", ID_JOB, job, 0);
		param(q, "CancelQueuedTask", "true");
	} else if (what < 7) {
		q->action = "CancelOTATaskByDevice";
		param_id(q, "FirmwareId", ID_FIRMWARE, c->w->packages[0].id, 0);
		param(q, "ProductKey", SIM_PRODUCT);
		add_names(c, q, "DeviceName");
	} else {
		q->action = what < 9 ? "ReupgradeOTATask" : "ConfirmOTATask";
		if (what < 9)
			param_id(q, "JobId", ID_JOB, job, 0);
		add_tasks(c, q, job);
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;

	for (int i = 0; i < CALLS; i++) {
		struct request q;
		enum err e;

		request_init(&q, c->w, "");
		client_request(c, &q);
		e = call_plainly(&q);
		if (e != OK && err_info(q.error.err)->http_status != 200 && e != ERR_BUSY)
			refuted("%s: %s", q.action, error_text(&q.error));
		if (e == OK && strncmp(q.action, "Create", 6) == 0)
			ensure(id_parse(ID_JOB, q.target, &c->jobs[c->n_jobs++], NULL));
		request_free(&q);
	}
	return NULL;
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void count_is(struct world *w, const char *what, const char *sql)
{
	int64_t n = ask_database(w, sql);

	if (n != 0)
		refuted("%lld %s", (long long)n, what);
}

static void check_overlapping(struct world *w)
{
	count_is(w, "pairs of unfinished tasks of one device",
		 "select count(*) from task_now a join task_now b on b.device_id = a.device_id and (b.job_id, b.seq) > (a.job_id, a.seq)"
		 " join job j on j.id = a.job_id join job k on k.id = b.job_id where a.state < 5 and b.state < 5"
		 " and not (j.multi_module and k.multi_module and j.firmware_id <> k.firmware_id)");
	count_is(w, "unfinished tasks that do not hold their device",
		 "select count(*) from task_now t where state < 5 and not exists (select from active_task a"
		 " where a.job_id = t.job_id and a.seq = t.seq and a.device_id = t.device_id)");
	count_is(w, "devices held by tasks that have ended",
		 "select count(*) from active_task a join task_now t on t.job_id = a.job_id and t.seq = a.seq where t.state >= 5");
	count_is(w, "jobs whose numbers are wrong",
		 "select count(*) from job_run r where (n_confirm, n_queued, n_failed, n_canceled) <> (select"
		 " count(*) filter (where state = 1), count(*) filter (where state = 2), count(*) filter (where state = 6),"
		 " count(*) filter (where state = 7) from task_now t where t.job_id = r.job_id)");
	count_is(w, "jobs that are not made", "select count(*) from job_run where making < 3");
	count_is(w, "deadlocks",
		 "select deadlocks from pg_stat_database where datname = current_database()");
}

void prop_overlapping(void)
{
	struct world *w = quiet_world("--filter overlapping", 60, 1);
	struct maker_options mo = { .config = &w->config, .chunk_rows = 7, .may_run = always, .made = nothing };
	struct client clients[CLIENTS];
	struct maker *makers[2];
	struct timespec pause = { .tv_nsec = 20000000 };

	faults_world(NULL); /* from here on everybody has a thread, and time is the machine's */
	cluster_wait_for_locks(w->database);
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		makers[i] = maker_new(&mo);
		maker_start(makers[i]);
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client){ .w = calloc(1, sizeof *w), .rng = rng_of(99, 50 + i) };
		ensure(clients[i].w != NULL);
		*clients[i].w = *w;
		clients[i].w->db_call = world_connection(w, "sim client");
		ensure(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) == 0);
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		(void)pthread_join(clients[i].thread, NULL);
		db_free(clients[i].w->db_call);
		free(clients[i].w);
	}
	for (int i = 0; i < 3000 && ask_database(w, "select (select count(*) from job_run where making < 3)"
						    " + (select count(*) from job_order where not done)") > 0;
	     i++)
		(void)nanosleep(&pause, NULL);
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		maker_stop(makers[i]);
		maker_free(makers[i]);
	}
	printf("# %lld tasks in %lld jobs, %lld lost a conflict, %lld overwritten, %lld run again\n",
	       (long long)ask_database(w, "select count(*) from task"), (long long)ask_database(w, "select count(*) from job"),
	       (long long)ask_database(w, "select count(*) from task_event where why = 2"),
	       (long long)ask_database(w, "select count(*) from task_event where why = 11"),
	       (long long)ask_database(w, "select count(*) from task_event where why = 15"));
	check_overlapping(w);
	world_free(w);
}
