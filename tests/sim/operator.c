/* SPDX-License-Identifier: Apache-2.0 */
/* The operators: they register devices, make packages, create jobs, cancel, pause and resume them, delete and
 * disable devices, by the handlers of the management API, each call in its transaction. */
#include "tests/sim/sim.h"

#include "api/action.h"
#include "dispatcher/tick.h"
#include "engine/base/clock.h"
#include "engine/ids.h"
#include "storage/device.h"
#include "storage/firmware.h"
#include "storage/job.h"
#include "storage/job_end.h"
#include "storage/report.h"
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX 40

/* ---- one call ---- */

struct request {
	struct world *w;
	struct arena arena;
	struct error error;
	const char *action;
	struct param p[PARAMS_MAX];
	size_t n;
	const char *target; /* of the audit row */
};

static void request_init(struct request *q, struct world *w, const char *action)
{
	*q = (struct request){ .w = w, .action = action };
	arena_init(&q->arena);
	error_init(&q->error, &q->arena);
}

static void param(struct request *q, const char *name, const char *value)
{
	ensure(q->n < PARAMS_MAX);
	q->p[q->n++] = (struct param){ name, value };
}

static void param_int(struct request *q, const char *name, int64_t value)
{
	param(q, name, arena_printf(&q->arena, "%lld", (long long)value));
}

static void param_bool(struct request *q, const char *name, bool value)
{
	param(q, name, value ? "true" : "false");
}

static void wake(void *ctx)
{
	struct world *w = ctx;

	if (w->otad.up && !w->otad.dead)
		engine_wake(w->otad.engine);
	w->otad.next_turn_us = w->otad.maker_due_us = sim_now_us();
	world_busy(w);
}

static enum err run_handler(struct request *q, struct call *c)
{
	void *in = arena_alloc(&q->arena, c->action->in_size + 1), *out;
	enum err e;

	if (c->action->in)
		TRY(fields_decode(c->action->in, q->p, q->n, in, &q->error));
	out = arena_alloc(&q->arena, c->action->out_size + 1);
	TRY(db_begin(c->db, DB_READ_WRITE));
	e = c->action->run(c, in, out);
	if (e != OK) {
		db_rollback(c->db);
		return e;
	}
	q->target = c->audit_target;
	return db_commit(c->db);
}

/* The error of the call; ERR_DB_RETRY: it has to be made again later. The arena of q is still the caller's. */
static enum err call(struct request *q)
{
	struct world *w = q->w;
	struct api_env env = { .store = w->store, .master = &w->master, .wake_engine = wake, .wake_maker = wake,
			       .wake_credentials = wake, .wake_registrar = wake, .wake_ctx = w };
	struct call c = { .arena = &q->arena,
			  .db = w->db_call,
			  .now = clock_now(),
			  .error = &q->error,
			  .env = &env,
			  .config = &w->config,
			  .limits = limits_of(&w->config),
			  .action = action_find(q->action),
			  .request_id = "00000000-0000-0000-0000-000000000000",
			  .account_id = w->account_id,
			  .instance_id = w->instance_id,
			  .key_id = "sim",
			  .role = ROLE_ADMIN };
	enum actor before = w->actor;
	enum err e;

	ensure(c.action != NULL);
	w->calls++;
	if (!w->in_turn)
		faults_plan(w, ACTOR_CALL);
	w->actor = ACTOR_CALL;
	db_begin_work(c.db, &q->arena, &q->error);
	e = run_handler(q, &c);
	w->actor = before;
	if (!w->in_turn)
		w->fault.kind = FAULT_NONE;
	trace(w, "%s: %s", q->action, e == OK ? "OK" : err_info(q->error.err)->name);
	wake(w);
	return e;
}

/* ---- jobs ---- */

static int pick_int(struct rng *r, const int *of, size_t n)
{
	return of[rng_between(r, 0, (int64_t)n - 1)];
}
#define PICK(r, ...) pick_int((r), (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

static struct sim_job *job_slot(struct world *w)
{
	if (w->n_jobs == w->cap_jobs) {
		w->cap_jobs = w->cap_jobs ? 2 * w->cap_jobs : 16;
		w->jobs = realloc(w->jobs, w->cap_jobs * sizeof *w->jobs);
		ensure(w->jobs != NULL);
	}
	w->jobs[w->n_jobs] = (struct sim_job){ .retry_interval_min = -1, .need_push = true, .overwrite_mode = 1,
					       .silent_from_us = INT64_MAX };
	return &w->jobs[w->n_jobs++];
}

static void choose_targets(struct request *q, struct sim_job *j, struct rng *r)
{
	struct world *w = q->w;
	int kind = PICK(r, 0, 0, 1, 1, 2);
	int n = 0;

	if (kind == 0) {
		j->targets = TARGETS_ALL;
		param(q, "TargetSelection", "ALL");
	} else if (kind == 1) {
		j->targets = TARGETS_GRAY;
		j->gray_milli = rng_chance(r, 500) ? rng_between(r, 1, 100) * 1000 : rng_between(r, 1, 100000);
		param(q, "TargetSelection", "GRAY");
		param(q, "GrayPercent", arena_printf(&q->arena, "%lld.%03lld", (long long)(j->gray_milli / 1000),
						     (long long)(j->gray_milli % 1000)));
	} else {
		j->targets = TARGETS_NAMED;
		j->named = arena_array(&w->arena, w->n_devices, sizeof *j->named);
		param(q, "TargetSelection", "SPECIFIC");
		for (size_t i = 0; i < w->n_devices && q->n < PARAMS_MAX - 16; i++)
			if (w->devices[i].id && rng_chance(r, 400)) {
				j->named[i] = true;
				param(q, arena_printf(&q->arena, "TargetDeviceName.%d", ++n), w->devices[i].name);
			}
	}
	if (kind < 2 && !j->package->differential && rng_chance(r, 300)) {
		j->src = "1.0.0";
		param(q, "SrcVersion.1", j->src);
	}
}

static void choose_times(struct request *q, struct sim_job *j, struct rng *r)
{
	utc_ms start = clock_now();

	if (rng_chance(r, 250)) {
		start += rng_between(r, 301, 1500) * MS_PER_SECOND;
		j->schedule_ms = start;
		param_int(q, "ScheduleTime", start);
	}
	if (rng_chance(r, 300)) {
		j->finish_ms = start + rng_between(r, 3601, 6000) * MS_PER_SECOND;
		param_int(q, "ScheduleFinishTime", j->finish_ms);
	}
	if (rng_chance(r, 500)) {
		j->retry_interval_min = PICK(r, 0, 0, 10, 30);
		j->retry_count = PICK(r, 1, 2, 5);
		param_int(q, "RetryInterval", j->retry_interval_min);
		param_int(q, "RetryCount", j->retry_count);
	}
	if (rng_chance(r, 600)) {
		j->timeout_min = PICK(r, 1, 1, 2, 5, 20);
		param_int(q, "TimeoutInMinutes", j->timeout_min);
	}
}

static void choose_modes(struct request *q, struct sim_job *j, struct rng *r)
{
	int mode = PICK(r, 0, 1, 2, 2, 2, 3), rate = PICK(r, 0, 1, 2, 5, 10, 10, 60, 60, 60, 1000, 1000, 1000);

	j->overwrite_mode = mode == 2 ? 2 : 1;
	j->multi_module = mode == 3;
	if (mode == 1 || mode == 2)
		param_int(q, "OverwriteMode", j->overwrite_mode);
	if (mode == 3)
		param_bool(q, "MultiModuleMode", true);
	if (rng_chance(r, 150)) {
		j->need_push = false;
		param_bool(q, "NeedPush", false);
	}
	if (rng_chance(r, 150)) {
		j->need_confirm = true;
		param_bool(q, "NeedConfirm", true);
	}
	j->rate = rate;
	param_int(q, "MaximumPerMinute", rate);
}

static void create_job(struct world *w)
{
	struct rng *r = &w->rng_ops;
	struct sim_job *j = job_slot(w);
	char id[ID_LEN + 1];
	struct request q;
	enum err e;

	request_init(&q, w, "CreateOTAStaticUpgradeJob");
	j->package = &w->packages[rng_between(r, 0, (int64_t)w->n_packages - 1)];
	j->created_ms = clock_now();
	id_format(ID_FIRMWARE, j->package->id, 0, id);
	param(&q, "FirmwareId", id);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "Tag.1.Key", "job");
	param_int(&q, "Tag.1.Value", j - w->jobs);
	choose_targets(&q, j, r);
	choose_times(&q, j, r);
	choose_modes(&q, j, r);
	e = call(&q);
	trace(w, "job %d: package %d %s to %s%s, %d a minute, overwrite %d%s%s%s, schedule %lld, finish %lld, retry %d %d, timeout %d",
	      (int)(j - w->jobs), (int)(j->package - w->packages), j->package->src, j->package->dest,
	      j->package->module ? " of mcu" : "", j->rate, j->overwrite_mode, j->multi_module ? ", multi" : "",
	      j->need_push ? "" : ", no push", j->need_confirm ? ", confirm" : "",
	      (long long)(j->schedule_ms ? j->schedule_ms - clock_now() : 0) / 1000,
	      (long long)(j->finish_ms ? j->finish_ms - clock_now() : 0) / 1000, j->retry_interval_min, j->retry_count,
	      j->timeout_min);
	if (e == OK)
		ensure(id_parse(ID_JOB, q.target, &j->id, NULL));
	else if (e != ERR_COMMIT_UNKNOWN)
		w->n_jobs--;
	model_created(w, j, e);
	arena_free(&q.arena);
	check_step(w);
}

static struct sim_job *some_job(struct world *w)
{
	struct sim_job *j = w->n_jobs ? &w->jobs[rng_between(&w->rng_ops, 0, (int64_t)w->n_jobs - 1)] : NULL;

	return j && j->id ? j : NULL;
}

static void cancel_job(struct world *w, const struct sim_job *j)
{
	static const char *const options[] = { "CancelScheduledTask", "CancelQueuedTask", "CancelNotifiedTask",
					       "CancelInProgressTask", "CancelUnconfirmedTask" };
	char id[ID_LEN + 1];
	struct request q;

	request_init(&q, w, "CancelOTATaskByJob");
	id_format(ID_JOB, j->id, 0, id);
	param(&q, "JobId", id);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (rng_chance(&w->rng_ops, i == 0 ? 200 : 500))
			param_bool(&q, options[i], rng_chance(&w->rng_ops, 800));
	(void)call(&q);
	arena_free(&q.arena);
	check_step(w);
}

static enum err pause_in_txn(struct world *w, int64_t job_id, bool pause)
{
	bool changed;

	TRY(db_begin(w->db_call, DB_READ_WRITE));
	TRY(store_job_lock(w->db_call, &job_id, 1));
	TRY(store_job_pause(w->db_call, job_id, pause, clock_now(), &changed));
	return db_commit(w->db_call);
}

/* As otactl does it. */
static void pause_job(struct world *w, struct sim_job *j, bool pause)
{
	enum actor before = w->actor;
	struct request q;
	enum err e;

	request_init(&q, w, "pause");
	w->actor = ACTOR_CALL;
	db_begin_work(w->db_call, &q.arena, &q.error);
	e = pause_in_txn(w, j->id, pause);
	if (e != OK)
		db_rollback(w->db_call);
	w->actor = before;
	trace(w, "job %lld %s: %s", (long long)(j - w->jobs), pause ? "pause" : "resume", err_info(e)->name);
	wake(w);
	arena_free(&q.arena);
	check_step(w);
}

/* ---- devices ---- */

/* Rows of `what` with this key: what became of a call whose answer was lost? */
static int64_t count(struct world *w, const char *what, int64_t key)
{
	enum actor before = w->actor;
	struct rows *r;
	struct arena a;
	struct error e;
	int64_t n;

	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	if (db_script_rows(w->db_watch, arena_printf(&a, "select count(*) from %s %lld", what, (long long)key), &r) != OK)
		broken(w, "%s", error_text(&e));
	n = row_int(r, 0, 0);
	arena_free(&a);
	w->actor = before;
	return n;
}

static void delete_device(struct world *w, struct device *d)
{
	struct request q;
	enum err e;

	if (!d->id)
		return;
	request_init(&q, w, "DeleteDevice");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN && count(w, "device where id =", d->id) == 0)) {
		d->deleted = true;
		d->id = 0;
		d->gone = true;
		d->plan++;
		broker_disconnect_device(w, d);
	}
	arena_free(&q.arena);
	check_step(w);
}

/* Disables or enables it. */
static void disable_device(struct world *w, struct device *d, bool disable)
{
	struct request q;
	enum err e;

	if (!d->id || d->disabled == disable)
		return;
	request_init(&q, w, disable ? "DisableThing" : "EnableThing");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN && count(w, "device where disabled and id =", d->id) == disable)) {
		d->disabled = disable;
		if (disable)
			broker_disconnect_device(w, d);
		else
			fleet_lost(w, d);
	}
	arena_free(&q.arena);
	check_step(w);
}

/* ---- what they do when ---- */

static void resume(struct world *w, int64_t job, int64_t b, const char *text)
{
	(void)b;
	(void)text;
	if (!w->calm && !w->database_down)
		pause_job(w, &w->jobs[job], false);
}

static void enable(struct world *w, int64_t device, int64_t b, const char *text)
{
	(void)b;
	(void)text;
	if (!w->calm && !w->database_down)
		disable_device(w, &w->devices[device], false);
}

static void act_once(struct world *w)
{
	struct rng *r = &w->rng_ops;
	int64_t what = rng_between(r, 0, 99), device = rng_between(r, 0, (int64_t)w->n_devices - 1);
	struct sim_job *j = some_job(w);

	if (what < 50) {
		if (w->n_jobs < (size_t)w->p.jobs)
			create_job(w);
	} else if (what < 75) {
		if (j)
			cancel_job(w, j);
	} else if (what < 85) {
		if (j) {
			pause_job(w, j, true);
			agenda_in(w, rng_skewed(r, 1200) * US_PER_SECOND, resume, j - w->jobs, 0, NULL);
		}
	} else if (what < 87) {
		delete_device(w, &w->devices[device]);
	} else if (what < 92) {
		disable_device(w, &w->devices[device], true);
		agenda_in(w, rng_skewed(r, 1200) * US_PER_SECOND, enable, device, 0, NULL);
	}
}

static void act(struct world *w, int64_t a, int64_t b, const char *text)
{
	int64_t gap = w->p.chaos_minutes * 60 / (2 * w->p.jobs);

	(void)a;
	(void)b;
	(void)text;
	if (w->calm)
		return;
	if (!w->database_down)
		act_once(w);
	agenda_in(w, rng_between(&w->rng_ops, 1, 2 * gap) * US_PER_SECOND, act, 0, 0, NULL);
}

void operator_calm(struct world *w)
{
	for (size_t i = 0; i < w->n_devices; i++)
		if (w->devices[i].disabled) {
			struct device *d = &w->devices[i];
			struct request q;

			request_init(&q, w, "EnableThing");
			param(&q, "ProductKey", SIM_PRODUCT);
			param(&q, "DeviceName", d->name);
			if (d->id && call(&q) != OK)
				broken(w, "EnableThing of %s fails", d->name);
			d->disabled = false;
			arena_free(&q.arena);
		}
	for (size_t i = 0; i < w->n_jobs; i++) {
		struct sim_job *j = &w->jobs[i];
		char id[ID_LEN + 1];
		struct request q;

		if (!j->id || job_status_ended(j->status))
			continue;
		pause_job(w, j, false);
		request_init(&q, w, "CancelOTATaskByJob");
		id_format(ID_JOB, j->id, 0, id);
		param(&q, "JobId", id);
		param_bool(&q, "CancelUnconfirmedTask", true);
		if (call(&q) != OK)
			broken(w, "cancelling what is unconfirmed fails: %s", error_text(&q.error));
		arena_free(&q.arena);
	}
	check_step(w);
}

/* ---- the beginning ---- */

/* module, source (NULL: a full package), destination */
static const struct {
	int module;
	const char *src, *dest;
} packages[] = {
	{ 0, NULL, "2.0.0" },	 { 0, NULL, "3.0.0" },	  { 1, NULL, "2.0.0" }, { 0, "1.0.0", "2.0.0" },
	{ 0, "2.0.0", "3.0.0" }, { 1, "1.0.0", "2.0.0" }, { 0, NULL, "4.0.0" }, { 1, NULL, "3.0.0" },
	{ 0, "1.0.0", "3.0.0" }, { 0, "3.0.0", "4.0.0" },
};

static void make_package(struct world *w, struct arena *a, struct error *e, size_t i)
{
	struct package *p = &w->packages[w->n_packages++];
	struct firmware_file file = { .object_key = "x", .name = "", .size = 1000, .md5 = "d41d8cd98f00b204e9800998ecf8427e",
				      .sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" };
	struct firmware f = { .account_id = w->account_id, .product_id = w->product_id, .description = "", .udi = "",
			      .status = FIRMWARE_NO_VERIFICATION, .created_ms = SIM_EPOCH_MS, .modified_ms = SIM_EPOCH_MS,
			      .n_files = 1, .files = &file };

	p->module = packages[i].module;
	p->differential = packages[i].src != NULL;
	p->src = p->differential ? packages[i].src : "";
	p->dest = packages[i].dest;
	f.name = arena_printf(a, "package %zu", i);
	f.module = sim_modules[p->module];
	f.differential = p->differential;
	f.src_version = p->src;
	f.dest_version = p->dest;
	if (store_firmware_create(w->db_call, &f) != OK)
		broken(w, "package: %s", error_text(e));
	p->id = f.id;
}

static enum err register_devices(struct world *w, struct arena *a)
{
	struct device_import *in = ARENA_ARRAY(a, w->n_devices, struct device_import);
	const char **names = ARENA_ARRAY(a, w->n_devices, const char *);
	const struct job_device *found;
	int64_t added;

	for (size_t i = 0; i < w->n_devices; i++) {
		struct device *d = &w->devices[i];

		*d = (struct device){ .index = (int)i, .rng = rng_of(w->seed, 100 + i) };
		d->name = names[i] = arena_printf(&w->arena, "d%05zu", i);
		for (int m = 0; m < MODULES_MAX; m++)
			d->version[m] = rng_chance(&d->rng, 800) ? "1.0.0" : "2.0.0";
		in[i] = (struct device_import){ .name = d->name, .secret = "0123456789abcdef" };
		in[i].version = rng_chance(&d->rng, 600) ? d->version[0] : NULL;
	}
	TRY(store_devices_add(w->db_call, &w->master, w->product_id, SIM_PRODUCT, in, w->n_devices, 0, SIM_EPOCH_MS,
			      &added));
	TRY(store_job_devices(w->db_call, w->product_id, "default", names, w->n_devices, &found));
	for (size_t i = 0; i < w->n_devices; i++) { /* both in the order of ids, which is that of names */
		w->devices[i].id = w->devices[i].row = found[i].id;
		if (in[i].version)
			model_imported(w, &w->devices[i], in[i].version);
	}
	return OK;
}

void operator_start(struct world *w)
{
	struct arena a;
	struct error e;

	arena_init(&a);
	error_init(&e, &a);
	w->n_devices = (size_t)w->p.devices;
	w->devices = ARENA_ARRAY(&w->arena, w->n_devices, struct device);
	w->packages = ARENA_ARRAY(&w->arena, ARRAY_LEN(packages), struct package);
	db_begin_work(w->db_call, &a, &e);
	if (db_begin(w->db_call, DB_READ_WRITE) != OK)
		broken(w, "%s", error_text(&e));
	for (size_t i = 0; i < ARRAY_LEN(packages) && w->n_packages < (size_t)w->p.packages; i++)
		if (packages[i].module < w->p.modules)
			make_package(w, &a, &e, i);
	if (register_devices(w, &a) != OK || db_commit(w->db_call) != OK)
		broken(w, "%s", error_text(&e));
	arena_free(&a);
	agenda_in(w, 5 * US_PER_SECOND, act, 0, 0, NULL);
}
