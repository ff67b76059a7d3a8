/* SPDX-License-Identifier: Apache-2.0 */
/* The operators: they register devices, make packages and groups, have jobs created (create.c), confirm, cancel, pause and
 * run again, change rates, delete and disable devices. */
#include "tests/sim/call.h"

#include "engine/base/clock.h"
#include "engine/ids.h"
#include "storage/device.h"
#include "storage/firmware.h"
#include "storage/flight.h"
#include "storage/job.h"
#include "storage/job_end.h"
#include "storage/report.h"
#include "tests/sim/model.h"

#include <string.h>

#define HOLDS_MS 30000 /* that otactl waits for a pause to hold */
#define OPEN_US (25 * US_PER_SECOND) /* longer than otad is ever frozen */

/* ---- orders for jobs ---- */

static struct sim_job *some_job(struct world *w)
{
	return w->n_jobs ? &w->jobs[rng_between(&w->rng_ops, 0, (int64_t)w->n_jobs - 1)] : NULL;
}

enum { SCHEDULED, OF_QUEUED, OF_NOTIFIED, OF_IN_PROGRESS, OF_UNCONFIRMED, CANCEL_OPTIONS };
enum given { UNSAID, NO, YES };

/* The states that these options name (api §10.11). */
static int states_of(const struct sim_job *j, const enum given *o)
{
	enum given unconfirmed = o[OF_UNCONFIRMED] == UNSAID ? o[OF_QUEUED] : o[OF_UNCONFIRMED];
	int mask = 0;

	if (j->status == JOB_PLANNED && o[SCHEDULED] == YES)
		return TASK_MASK_UNFINISHED;
	if (unconfirmed == YES)
		mask |= TASK_BIT(TASK_CONFIRM);
	if (o[OF_QUEUED] == YES)
		mask |= TASK_BIT(TASK_QUEUED);
	if (o[OF_NOTIFIED] == YES)
		mask |= TASK_BIT(TASK_NOTIFIED);
	if (o[OF_IN_PROGRESS] == YES)
		mask |= TASK_BIT(TASK_IN_PROGRESS);
	return mask;
}

/* How many made tasks are in these states. */
static int concerned(const struct sim_job *j, int mask)
{
	int n = 0;

	for (int i = 0; i < j->made; i++)
		n += (mask & TASK_BIT(j->tasks[i]->state)) != 0;
	return n;
}

static enum err cancel_tasks(struct world *w, const struct sim_job *j, const enum given *o)
{
	static const char *const names[] = { "CancelScheduledTask", "CancelQueuedTask", "CancelNotifiedTask",
					     "CancelInProgressTask", "CancelUnconfirmedTask" };
	struct request q;
	bool must;
	enum err e;

	request_init(&q, w, "CancelOTATaskByJob");
	param_id(&q, "JobId", ID_JOB, j->id, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (o[i] != UNSAID)
			param_bool(&q, names[i], o[i] == YES);
	check_step(w);
	w->cancelling = (struct cancelling){ .job = j, .mask = states_of(j, o) };
	must = concerned(j, w->cancelling.mask) > 0 && !job_status_ended(j->status);
	e = call(&q);
	if (e == OK && must && !w->cancelling.done)
		broken(w, "job %d: %s is answered, and nothing is canceled", (int)(j - w->jobs), q.action);
	w->cancelling.job = NULL;
	if (e == OK && !q.open)
		w->jobs[j - w->jobs].answered_us = sim_now_us();
	request_free(&q);
	return e;
}

void operator_cancel(struct world *w, const struct sim_job *j, const char *options)
{
	static const char letters[] = "sqniu";
	enum given o[CANCEL_OPTIONS] = { UNSAID };

	for (const char *at = options; *at; at++)
		if (*at != '-')
			o[strchr(letters, *at) - letters] = at > options && at[-1] == '-' ? NO : YES;
	(void)cancel_tasks(w, j, o);
}

static void cancel_job(struct world *w, const struct sim_job *j)
{
	enum given o[CANCEL_OPTIONS] = { UNSAID };

	for (size_t i = 0; i < ARRAY_LEN(o); i++)
		if (rng_chance(&w->rng_ops, i == SCHEDULED ? 200 : 500))
			o[i] = rng_chance(&w->rng_ops, 800) ? YES : NO;
	(void)cancel_tasks(w, j, o);
}

static void cancel_strategy(struct world *w, const struct sim_job *j)
{
	struct request q;

	request_init(&q, w, "CancelOTAStrategyByJob");
	param_id(&q, "JobId", ID_JOB, j->id, 0);
	(void)call(&q);
	request_free(&q);
}

static void change_rate(struct world *w, struct sim_job *j)
{
	int rate = RNG_PICK(&w->rng_ops, 0, 1, 2, 10, 60, 1000);
	struct request q;
	enum err e;

	if (j->n_rates == RATES_MAX)
		return;
	request_init(&q, w, "UpdateOTAJob");
	param_id(&q, "JobId", ID_JOB, j->id, 0);
	param(&q, "UpgradeType", j->kind == JOB_DYNAMIC ? "DYNAMIC" : "STATIC");
	param(&q, "TargetSelection", j->targets == TARGETS_GRAY	   ? "GRAY"
				     : j->targets == TARGETS_NAMED ? "SPECIFIC"
				     : j->targets == TARGETS_GROUP ? "GROUP"
								   : "ALL");
	param_int(&q, "MaximumPerMinute", rate);
	param(&q, "Tags.1.Key", "job");
	param_int(&q, "Tags.1.Value", j - w->jobs);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN &&
			ask_database(w, arena_printf(&q.arena, "select count(*) from job_run where job_id = %lld and max_per_minute = %d",
						   (long long)j->id, rate)) == 1)) {
		operator_set_rate(j, rate);
		if (q.open) /* for what is on its way, when it is not */
			j->rates[j->n_rates - 1].at_us += OPEN_US;
		w->trouble_us = sim_now_us();
		trace(w, "job %d: %d a minute", (int)(j - w->jobs), rate);
	}
	request_free(&q);
}

static enum err pause_in_txn(struct world *w, int64_t job_id, bool pause)
{
	bool changed;

	TRY(db_begin(w->db_call));
	TRY(store_job_lock(w->db_call, &job_id, 1));
	TRY(store_job_pause(w->db_call, job_id, pause, clock_now(), &changed));
	return db_commit(w->db_call);
}

/* As otactl does it: by then nothing is on its way. */
static void await_pause(struct world *w, struct sim_job *j)
{
	check_step(w);
	wake(w);
	if (store_flight_wait(w->db_call, &j->id, 1, clock_boot_ms() + HOLDS_MS) == OK)
		j->answered_us = sim_now_us();
}

void operator_pause(struct world *w, struct sim_job *j, bool pause)
{
	enum actor before = w->actor;
	struct request q;
	enum err e;

	check_step(w);
	request_init(&q, w, "pause");
	w->actor = ACTOR_CALL;
	w->in_call = true;
	db_begin_work(w->db_call, &q.arena, &q.error);
	e = pause_in_txn(w, j->id, pause);
	if (e != OK)
		db_rollback(w->db_call);
	else if (pause)
		await_pause(w, j);
	w->in_call = false;
	w->actor = before;
	w->trouble_us = sim_now_us();
	trace(w, "job %d %s: %s", (int)(j - w->jobs), pause ? "pause" : "resume", err_info(e)->name);
	wake(w);
	request_free(&q);
	check_step(w);
}

/* ---- calls for single tasks ---- */

/* Up to n tasks that a call would take. */
static void intend(struct world *w, enum event_why why, size_t n, bool (*fits)(const struct world *, const struct model_task *))
{
	struct intent *in = &w->intent;

	*in = (struct intent){ .why = why };
	for (size_t i = 0; i < w->n_jobs; i++)
		for (int k = 0; k < w->jobs[i].made && in->n < n; k++)
			if (fits(w, w->jobs[i].tasks[k]) && rng_chance(&w->rng_ops, 300) &&
			    (why == WHY_CONFIRM || in->n == 0 || in->tasks[0]->job == i))
				in->tasks[in->n++] = w->jobs[i].tasks[k];
}

static bool waits(const struct world *w, const struct model_task *t)
{
	(void)w;
	return t->state == TASK_CONFIRM;
}

static bool over(const struct world *w, const struct model_task *t)
{
	return (t->state == TASK_FAILED || t->state == TASK_CANCELED) && job_of(w, t)->kind != JOB_VERIFY;
}

static void call_for_tasks(struct world *w, const char *action)
{
	struct intent *in = &w->intent;
	struct request q;
	enum err e;

	if (in->n == 0)
		return;
	request_init(&q, w, action);
	if (in->why == WHY_REUPGRADE)
		param_id(&q, "JobId", ID_JOB, job_of(w, in->tasks[0])->id, 0);
	for (size_t i = 0; i < in->n; i++)
		param_id(&q, arena_printf(&q.arena, "TaskId.%zu", i + 1), ID_TASK, job_of(w, in->tasks[i])->id,
			 in->tasks[i]->seq);
	e = call(&q);
	if (e == OK && !in->done)
		broken(w, "%s is answered, and nothing has happened", action);
	in->n = 0;
	request_free(&q);
}

void operator_confirm(struct world *w, struct model_task *t)
{
	w->intent = (struct intent){ .why = WHY_CONFIRM, .tasks = { t }, .n = 1 };
	call_for_tasks(w, "ConfirmOTATask");
}

void operator_run_again(struct world *w, struct model_task *t)
{
	w->intent = (struct intent){ .why = WHY_REUPGRADE, .tasks = { t }, .n = 1 };
	call_for_tasks(w, "ReupgradeOTATask");
}

static void confirm_tasks(struct world *w)
{
	intend(w, WHY_CONFIRM, 10, waits);
	call_for_tasks(w, "ConfirmOTATask");
}

static void run_again(struct world *w)
{
	intend(w, WHY_REUPGRADE, (size_t)rng_between(&w->rng_ops, 1, 4), over);
	call_for_tasks(w, "ReupgradeOTATask");
}

void operator_cancel_of_device(struct world *w, struct device *d, const struct sim_job *j)
{
	struct intent *in = &w->intent;
	int64_t began_us = sim_now_us();
	struct request q;
	enum err e;

	*in = (struct intent){ .why = WHY_CANCEL };
	if (!d->tasks || !d->id)
		return;
	in->of_device = d;
	in->of_job = j;
	in->of_package = (j ? j : job_of(w, d->tasks))->package;
	request_init(&q, w, "CancelOTATaskByDevice");
	param_id(&q, "FirmwareId", ID_FIRMWARE, in->of_package->id, 0);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName.1", d->name);
	if (j)
		param_id(&q, "JobId", ID_JOB, j->id, 0);
	e = call(&q);
	if (e == OK && !in->done)
		broken(w, "%s is answered, and nothing has happened", q.action);
	for (struct model_task *t = d->tasks; t && e == OK && !q.open; t = t->older)
		if (t->ended_us >= began_us)
			w->jobs[t->job].answered_us = sim_now_us();
	in->of_device = NULL;
	request_free(&q);
}

/* In the job of its newest task, or in all of the package. */
static void cancel_of_device(struct world *w, struct device *d)
{
	bool of_job = rng_chance(&w->rng_ops, 500);

	operator_cancel_of_device(w, d, of_job && d->tasks ? job_of(w, d->tasks) : NULL);
}

/* ---- devices ---- */

void operator_delete(struct world *w, struct device *d)
{
	struct request q;
	enum err e;

	if (!d->id)
		return;
	request_init(&q, w, "DeleteDevice");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	w->deleting = d;
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN &&
			ask_database(w, arena_printf(&q.arena, "select count(*) from device where id = %lld", (long long)d->id)) == 0)) {
		d->deleted = true;
		d->id = 0;
		d->gone = true;
		d->plan++;
		broker_disconnect_device(w, d);
	}
	w->deleting = NULL;
	request_free(&q);
	check_step(w);
}

/* Disables or enables it. */
void operator_disable(struct world *w, struct device *d, bool disable)
{
	struct request q;
	enum err e;

	if (!d->id || d->disabled == disable)
		return;
	request_init(&q, w, disable ? "DisableThing" : "EnableThing");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	e = call(&q);
	if (e == OK || (e == ERR_COMMIT_UNKNOWN &&
			ask_database(w, arena_printf(&q.arena, "select count(*) from device where disabled and id = %lld", (long long)d->id)) == disable)) {
		d->disabled = disable;
		trace(w, "%s is %s", d->name, disable ? "disabled" : "enabled");
		d->changed_ms = clock_now();
		if (disable)
			broker_disconnect_device(w, d);
		else
			fleet_lost(w, d);
	}
	request_free(&q);
}

void operator_register(struct world *w)
{
	struct device *d = NULL;
	struct request q;

	for (size_t i = 0; i < w->n_devices && !d; i++)
		if (!w->devices[i].row)
			d = &w->devices[i];
	if (!d)
		return;
	request_init(&q, w, "RegisterDevice");
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "DeviceName", d->name);
	d->created_ms = d->changed_ms = clock_now();
	(void)call(&q);
	d->row = d->id = ask_database(w, arena_printf(&q.arena, "select coalesce(max(id), 0) from device where name = '%s'", d->name));
	if (d->id)
		fleet_lost(w, d);
	request_free(&q);
}

/* ---- what they do when ---- */

static void resume(struct world *w, int64_t job, int64_t b, const char *text)
{
	(void)b;
	(void)text;
	if (w->in_call)
		agenda_in(w, US_PER_SECOND, resume, job, 0, NULL);
	else if (!w->calm && !w->database_down)
		operator_pause(w, &w->jobs[job], false);
}

static void enable(struct world *w, int64_t device, int64_t b, const char *text)
{
	(void)b;
	(void)text;
	if (w->in_call)
		agenda_in(w, US_PER_SECOND, enable, device, 0, NULL);
	else if (!w->calm && !w->database_down)
		operator_disable(w, &w->devices[device], false);
}

static void do_pause(struct world *w, struct sim_job *j)
{
	operator_pause(w, j, true);
	agenda_in(w, rng_skewed(&w->rng_ops, 1200) * US_PER_SECOND, resume, j - w->jobs, 0, NULL);
}

static void do_disable(struct world *w, struct device *d)
{
	operator_disable(w, d, true);
	agenda_in(w, rng_skewed(&w->rng_ops, 1200) * US_PER_SECOND, enable, d->index, 0, NULL);
}

static void do_create(struct world *w)
{
	if (w->n_jobs < w->cap_jobs)
		operator_create(w, (enum job_kind)RNG_PICK(&w->rng_ops, JOB_STATIC, JOB_STATIC, JOB_STATIC, JOB_STATIC, JOB_DYNAMIC,
						  JOB_VERIFY));
}

static void act_once(struct world *w)
{
	struct rng *r = &w->rng_ops;
	int64_t what = rng_between(r, 0, 99);
	struct device *d = &w->devices[rng_between(r, 0, (int64_t)w->n_devices - 1)];
	struct sim_job *j = some_job(w);

	if (what < 42 || !j)
		do_create(w);
	else if (what < 54)
		cancel_job(w, j);
	else if (what < 60)
		do_pause(w, j);
	else if (what < 64)
		group_change(w, d, r);
	else if (what < 72)
		change_rate(w, j);
	else if (what < 80)
		confirm_tasks(w);
	else if (what < 87)
		run_again(w);
	else if (what < 90)
		cancel_of_device(w, d);
	else if (what < 92)
		group_change(w, d, r);
	else if (what < 93)
		cancel_strategy(w, j);
	else if (what < 95)
		do_disable(w, d);
	else if (what < 97)
		operator_register(w);
	else
		operator_delete(w, d);
}

static void act(struct world *w, int64_t a, int64_t b, const char *text)
{
	int64_t gap = w->p.chaos_minutes * 60 / (3 * w->p.jobs);

	(void)a;
	(void)b;
	(void)text;
	if (w->calm)
		return;
	if (!w->database_down && !w->in_call)
		act_once(w);
	agenda_in(w, rng_between(&w->rng_ops, 1, 2 * gap) * US_PER_SECOND, act, 0, 0, NULL);
}

/* No more devices for the dynamic jobs, and nothing waits for an operator any longer. */
void operator_calm(struct world *w)
{
	for (size_t i = 0; i < w->n_devices; i++)
		operator_disable(w, &w->devices[i], false);
	for (size_t i = 0; i < w->n_jobs; i++) {
		struct sim_job *j = &w->jobs[i];

		if (j->kind == JOB_DYNAMIC && !j->strategy_ended)
			cancel_strategy(w, j);
		check_step(w);
		if (job_status_ended(j->status))
			continue;
		operator_pause(w, j, false);
		if (cancel_tasks(w, j, (enum given[CANCEL_OPTIONS]){ [OF_UNCONFIRMED] = YES }) != OK)
			broken(w, "cancelling what is unconfirmed fails");
	}
	check_step(w);
}

/* ---- the beginning ---- */

/* module, source (NULL: a full package), destination, status */
static const struct {
	int module;
	const char *src, *dest;
	enum firmware_status status;
} packages[] = {
	{ 0, NULL, "2.0.0", FIRMWARE_NO_VERIFICATION },	   { 0, NULL, "3.0.0", FIRMWARE_NO_VERIFICATION },
	{ 1, NULL, "2.0.0", FIRMWARE_NO_VERIFICATION },	   { 0, "1.0.0", "2.0.0", FIRMWARE_NO_VERIFICATION },
	{ 0, "2.0.0", "3.0.0", FIRMWARE_UNVERIFIED },	   { 1, "1.0.0", "2.0.0", FIRMWARE_NO_VERIFICATION },
	{ 0, NULL, "4.0.0", FIRMWARE_UNVERIFIED },	   { 1, NULL, "3.0.0", FIRMWARE_UNVERIFIED },
	{ 0, "1.0.0", "3.0.0", FIRMWARE_NO_VERIFICATION }, { 0, "3.0.0", "4.0.0", FIRMWARE_NO_VERIFICATION },
};

static void make_package(struct world *w, struct arena *a, struct error *e, size_t i)
{
	struct package *p = &w->packages[w->n_packages++];
	struct firmware_file file = { .object_key = "x", .name = "", .size = 1000, .md5 = "d41d8cd98f00b204e9800998ecf8427e",
				      .sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" };
	struct firmware f = { .account_id = w->account_id, .product_id = w->product_id, .description = "", .udi = "",
			      .created_ms = SIM_EPOCH_MS, .modified_ms = SIM_EPOCH_MS, .n_files = 1, .files = &file };

	p->module = packages[i].module;
	p->differential = packages[i].src != NULL;
	p->src = p->differential ? packages[i].src : "";
	p->dest = packages[i].dest;
	p->status = packages[i].status;
	f.name = arena_printf(a, "package %zu", i);
	f.module = sim_modules[p->module];
	f.differential = p->differential;
	f.src_version = p->src;
	f.dest_version = p->dest;
	f.status = p->status;
	if (store_firmware_create(w->db_call, &f) != OK)
		broken(w, "package: %s", error_text(e));
	p->id = f.id;
}

/* The last few of them are registered later. */
static enum err register_devices(struct world *w, struct arena *a)
{
	size_t n = (size_t)w->p.devices;
	struct device_import *in = ARENA_ARRAY(a, n, struct device_import);
	const char **names = ARENA_ARRAY(a, n, const char *);
	const struct job_device *found;
	int64_t added;

	for (size_t i = 0; i < w->n_devices; i++) {
		struct device *d = &w->devices[i];

		*d = (struct device){ .index = (int)i, .rng = rng_of(w->seed, 100 + i), .created_ms = SIM_EPOCH_MS };
		d->name = arena_printf(&w->arena, "d%05zu", i);
		d->in_group = i < n && rng_chance(&d->rng, 500);
		for (int m = 0; m < MODULES_MAX; m++)
			d->version[m] = rng_chance(&d->rng, 800) || w->p.played ? "1.0.0" : "2.0.0";
		if (i >= n)
			continue;
		names[i] = d->name;
		in[i] = (struct device_import){ .name = d->name, .secret = "0123456789abcdef" };
		in[i].version = rng_chance(&d->rng, 600) || w->p.played ? d->version[0] : NULL;
	}
	TRY(store_devices_add(w->db_call, &w->master, w->product_id, SIM_PRODUCT, in, n, 0, SIM_EPOCH_MS, &added));
	TRY(store_job_devices(w->db_call, w->product_id, "default", names, n, &found));
	for (size_t i = 0; i < n; i++) { /* both in the order of ids, which is that of names */
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
	w->n_devices = (size_t)w->p.devices + (w->p.devices <= 100 ? 2 : 0);
	w->devices = ARENA_ARRAY(&w->arena, w->n_devices, struct device);
	w->packages = ARENA_ARRAY(&w->arena, ARRAY_LEN(packages), struct package);
	w->cap_jobs = (size_t)w->p.jobs;
	w->jobs = ARENA_ARRAY(&w->arena, w->cap_jobs, struct sim_job);
	db_begin_work(w->db_call, &a, &e);
	if (db_begin(w->db_call) != OK)
		broken(w, "%s", error_text(&e));
	for (size_t i = 0; i < ARRAY_LEN(packages) && w->n_packages < (size_t)w->p.packages; i++)
		if (packages[i].module < w->p.modules)
			make_package(w, &a, &e, i);
	if (register_devices(w, &a) != OK || db_commit(w->db_call) != OK)
		broken(w, "%s", error_text(&e));
	arena_free(&a);
	w->calm = true; /* no faults yet */
	groups_start(w);
	w->calm = w->p.quiet;
	if (!w->p.quiet && !w->p.scripted)
		agenda_in(w, 5 * US_PER_SECOND, act, 0, 0, NULL);
}
