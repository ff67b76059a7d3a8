/* SPDX-License-Identifier: Apache-2.0 */
/* Where random seeds come past a rule now and then, this play comes past each. It says what devices, operators and
 * faults do, and when; what has to follow is the model's business. Every rule has devices of its own, which are all
 * there from 10 s on unless they come later, and have version 1.0.0. */
#include "tests/sim/every_rule.h"

#include "engine/base/clock.h"
#include "engine/ids.h"
#include "engine/strategy.h"
#include "tests/sim/call.h"
#include "tests/sim/model_priv.h"

#include <stdio.h>

#define DEVICES 56

/* ---- jobs ---- */

/* Retries 0: none. Times in seconds from the creation; 0: none. */
static const struct script {
	enum job_kind kind;
	size_t package;
	int from, to; /* devices that are named; to < 0: all, of version src if that is said */
	const char *src;
	int interval, retries, timeout, overwrite;
	bool multi, confirm, no_push, by_group;
	int schedule, finish, mode;
} scripts[] = {
	[0] = { JOB_STATIC, 0, 0, 6, .interval = 10, .retries = 1, .timeout = 5 },
	[1] = { JOB_STATIC, 1, 7, 12, .interval = 10, .retries = 2 },
	[2] = { JOB_STATIC, 0, 13, 15, .confirm = true },
	/* the job in the way, and those that meet it */
	[3] = { JOB_STATIC, 0, 16, 18 },
	[4] = { JOB_STATIC, 0, 19, 19, .confirm = true },
	[5] = { JOB_STATIC, 1, 16, 19 },
	[6] = { JOB_STATIC, 1, 16, 19, .overwrite = 2 },
	[7] = { JOB_STATIC, 0, 20, 20, .multi = true },
	[8] = { JOB_STATIC, 2, 20, 20, .multi = true },
	[9] = { JOB_STATIC, 1, 20, 20, .multi = true },
	[10] = { JOB_STATIC, 1, 20, 20 },
	[11] = { JOB_STATIC, 0, 21, 22, .timeout = 20 },
	[12] = { JOB_DYNAMIC, 1, .src = "5.0.0", .mode = DYNAMIC_REPORTS },
	[13] = { JOB_DYNAMIC, 0, .src = "5.0.0", .mode = DYNAMIC_ALL },
	[14] = { JOB_STATIC, 0, 27, 29, .schedule = 310, .finish = 3920, .timeout = 1440 },
	[15] = { JOB_STATIC, 0, 30, 30, .finish = 3700 },
	[16] = { JOB_VERIFY, 6, 31, 32 },
	[17] = { JOB_VERIFY, 6, 33, 33 },
	[18] = { JOB_STATIC, 3, 34, 35, .interval = 10, .retries = 1 },
	/* its first three tasks lose, its others go on */
	[19] = { JOB_STATIC, 1, 0, 4 },
	[20] = { JOB_STATIC, 1, 36, 39 },
	[21] = { JOB_STATIC, 1, 36, 39 },
	[22] = { JOB_STATIC, 1, 36, 36 },
	[23] = { JOB_STATIC, 0, 0, -1 },
	[24] = { JOB_STATIC, 0, 40, 42 },
	[25] = { JOB_STATIC, 0, 43, 48 },
	[26] = { JOB_STATIC, 1, 43, 48, .overwrite = 2 },
	[27] = { JOB_STATIC, 1, 40, 40, .no_push = true, .overwrite = 2 },
	[28] = { JOB_DYNAMIC, 2, .by_group = true, .mode = DYNAMIC_ALL },
	[29] = { JOB_DYNAMIC, 5, .by_group = true, .mode = DYNAMIC_ALL },
};

static struct sim_job *job_at(struct world *w, int n)
{
	return &w->jobs[n];
}

static void name_targets(struct request *q, struct sim_job *j, const struct script *s)
{
	struct world *w = q->w;

	if (s->to < 0 || s->kind == JOB_DYNAMIC) {
		j->targets = s->kind == JOB_DYNAMIC ? TARGETS_DYNAMIC : TARGETS_ALL;
		param(q, "TargetSelection", "ALL");
		return;
	}
	j->targets = TARGETS_NAMED;
	j->named = arena_array(&w->arena, w->n_devices, sizeof *j->named);
	if (s->kind == JOB_STATIC)
		param(q, "TargetSelection", "SPECIFIC");
	for (int d = s->from; d <= s->to; d++) {
		j->named[d] = true;
		param(q, arena_printf(&q->arena, "TargetDeviceName.%d", d - s->from + 1), w->devices[d].name);
	}
}

static void set_options(struct request *q, struct sim_job *j, const struct script *s)
{
	if (s->src) {
		j->src[j->n_src++] = s->src;
		param(q, "SrcVersion.1", s->src);
	}
	if (s->by_group) {
		param(q, "GroupId", q->w->dynamic_group_id);
		param(q, "GroupType", "LINK_PLATFORM_DYNAMIC");
	}
	if (s->retries) {
		param_int(q, "RetryInterval", s->interval);
		param_int(q, "RetryCount", s->retries);
	}
	if (s->timeout)
		param_int(q, "TimeoutInMinutes", s->timeout);
	if (s->overwrite)
		param_int(q, "OverwriteMode", s->overwrite);
	if (s->multi)
		param_bool(q, "MultiModuleMode", true);
	if (s->confirm)
		param_bool(q, "NeedConfirm", true);
	if (s->no_push)
		param_bool(q, "NeedPush", false);
	if (s->mode)
		param_int(q, "DynamicMode", s->mode);
	if (s->schedule)
		param_int(q, "ScheduleTime", j->schedule_ms);
	if (s->finish)
		param_int(q, "ScheduleFinishTime", j->finish_ms);
}

/* Jobs are created in the order of their numbers. */
static void create(struct world *w, int n, int b, const char *text)
{
	static const char *const names[] = { [JOB_VERIFY] = "CreateOTAVerifyJob",
						 [JOB_STATIC] = "CreateOTAStaticUpgradeJob",
						 [JOB_DYNAMIC] = "CreateOTADynamicUpgradeJob" };
	const struct script *s = &scripts[n];
	struct sim_job *j = job_at(w, n);
	utc_ms now = clock_now();
	struct request q;
	enum err e;

	(void)b, (void)text;
	ensure(w->n_jobs == (size_t)n);
	w->n_jobs++;
	*j = (struct sim_job){ .kind = s->kind, .package = &w->packages[s->package], .overwrite_mode = s->overwrite ? s->overwrite : 1,
			       .multi_module = s->multi, .need_confirm = s->confirm, .need_push = !s->no_push,
			       .retry_interval_min = s->retries ? s->interval : -1, .retry_count = s->retries,
			       .timeout_min = s->timeout, .dynamic_mode = s->mode, .by_group = s->by_group, .created_ms = now,
			       .schedule_ms = s->schedule ? now + s->schedule * MS_PER_SECOND : 0,
			       .finish_ms = s->finish ? now + s->finish * MS_PER_SECOND : 0, .silent_from_us = INT64_MAX,
			       .n_rates = 1, .most = 1000 };
	j->rates[0].at_us = sim_now_us();
	j->rates[0].rate = 1000;
	request_init(&q, w, names[s->kind]);
	param_id(&q, "FirmwareId", ID_FIRMWARE, j->package->id, 0);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "Tag.1.Key", "job");
	param_int(&q, "Tag.1.Value", n);
	name_targets(&q, j, s);
	set_options(&q, j, s);
	e = call(&q);
	if (e != OK)
		broken(w, "job %d: %s", n, error_text(&q.error));
	ensure(id_parse(ID_JOB, q.target, &j->id, NULL));
	model_created(w, j, e);
	request_free(&q);
}

/* ---- what is done ---- */

static struct device *device_at(struct world *w, int n)
{
	return &w->devices[n];
}

/* The task of a device in a job. */
static struct model_task *task_at(struct world *w, int job, int device)
{
	struct model_task *t = device_at(w, device)->tasks;

	while (t && t->job != (size_t)job)
		t = t->older;
	if (!t)
		broken(w, "the play asks for a task of device %d in job %d", device, job);
	return t;
}

#define ACT(name, body)                                                     \
	static void name(struct world *w, int a, int b, const char *text)   \
	{                                                                   \
		(void)a, (void)b, (void)text;                               \
		body;                                                       \
	}
ACT(come, broker_connect_device(w, device_at(w, a)))
ACT(go, broker_disconnect_device(w, device_at(w, a)))
ACT(version, fleet_say_version(w, device_at(w, a), b, text))
ACT(step, fleet_say_step(w, device_at(w, a), b, text ? text : ""))
ACT(nonsense, fleet_say_nonsense(w, device_at(w, a), text))
ACT(ask, fleet_ask(w, device_at(w, a), b))
ACT(cancel, operator_cancel(w, job_at(w, a), text))
ACT(cancel_of, operator_cancel_of_device(w, device_at(w, a), b < 0 ? NULL : job_at(w, b)))
ACT(confirm, operator_confirm(w, task_at(w, a, b)))
ACT(again, operator_run_again(w, task_at(w, a, b)))
ACT(halt, operator_pause(w, job_at(w, a), true))
ACT(resume, operator_pause(w, job_at(w, a), false))
ACT(disable, operator_disable(w, device_at(w, a), b))
ACT(erase, operator_delete(w, device_at(w, a)))
ACT(tag, group_tag(w, device_at(w, a), b))
ACT(has, (void)task_at(w, a, b)) /* by now the job has taken the device */
ACT(registers, operator_register(w))
ACT(freeze, broker_freeze(w, a * US_PER_SECOND))
ACT(cut, broker_cut(w, a))
ACT(oversleep, w->otad.next_turn_us = sim_now_us() + a * US_PER_MS) /* otad is late by so much */

static void killed(struct world *w, int a, int b, const char *text)
{
	(void)a, (void)b, (void)text;
	if (!w->otad.up)
		return;
	w->otad.dead = true;
	if (!w->in_turn)
		otad_bury(w);
}

/* More than a turn takes on. */
static void chatter(struct world *w, int a, int b, const char *text)
{
	(void)b, (void)text;
	for (int i = 0; i < 30; i++) {
		int64_t id = model_said(w, (struct said){ .kind = SAID_NONSENSE, .device = device_at(w, a) });

		broker_uplink(w, "/ota/device/progress/" SIM_PRODUCT "/d00002", arena_printf(&w->arena, "{\"id\":\"%lld\"}", (long long)id));
	}
}

/* ---- when ---- */

static const struct cue {
	int at_ms;
	void (*act)(struct world *w, int a, int b, const char *text);
	int a, b; /* device or job, and module, step, .. */
	const char *text;
} play[] = {
	/* Source versions of the dynamic jobs; one that was said before a job, and is read after its creation. */
	{ 12000, version, 23, 0, "5.0.0" },
	{ 14000, disable, 49, true, NULL },
	{ 19700, oversleep, 600, 0, NULL },
	{ 19900, version, 24, 0, "5.0.0" },
	{ 20000, create, 0, 0, NULL },
	{ 20000, create, 1, 0, NULL },
	{ 20000, create, 2, 0, NULL },
	{ 20000, create, 3, 0, NULL },
	{ 20000, create, 4, 0, NULL },

	{ 24000, version, 22, 1, "1.0.0" },
	/* Retries, timeouts, versions (job 0). */
	{ 30000, step, 0, 10, NULL },
	{ 30000, step, 1, 30, NULL },
	{ 30000, step, 2, 100, NULL },
	{ 30000, step, 3, 20, NULL },
	{ 32000, step, 4, 40, NULL },
	{ 31000, step, 0, -1, "no space" },
	{ 31000, version, 3, 0, "7.7.7" },
	{ 31500, version, 4, 0, "app-1.0.0-20180101.1000" },
	{ 33000, step, 0, -1, "no space" },
	{ 33000, version, 3, 0, "1.0.0" },
	{ 34000, ask, 0, 0, NULL },
	{ 40000, go, 0, 0, NULL },
	{ 41000, come, 0, 0, NULL },
	{ 45000, come, 5, 0, NULL },
	{ 47000, version, 5, 0, "7.7.7" },
	{ 50000, version, 2, 0, "2.0.0" },
	{ 50000, version, 3, 0, "7.7.7" },
	{ 60000, come, 6, 0, NULL },
	{ 60050, step, 6, -2, "no digest" },
	{ 62500, step, 6, 5, NULL },
	{ 63000, version, 6, 0, "8.8.8" },
	{ 65000, version, 6, 0, "9.9.9" },

	/* Confirmation, and the options of cancelling (job 2). */
	{ 36000, step, 13, 10, NULL },
	{ 36500, ask, 14, 0, NULL },
	{ 38000, confirm, 2, 13, NULL },
	{ 42000, cancel_of, 14, 2, NULL },
	{ 43000, step, 13, 10, NULL },
	{ 44000, again, 2, 14, NULL },
	{ 46000, cancel, 2, 0, "q" },
	{ 48000, again, 2, 15, NULL },
	{ 51000, cancel, 2, 0, "q-u" },
	{ 53000, confirm, 2, 15, NULL },
	{ 57000, cancel, 2, 0, "n" },
	{ 59000, cancel, 2, 0, "i" },

	/* Conflicts: 16 QUEUED, 17 NOTIFIED, 18 IN_PROGRESS, 19 CONFIRM. */
	{ 30000, step, 18, 10, NULL },
	{ 52000, create, 5, 0, NULL },
	{ 54000, create, 6, 0, NULL },
	{ 55000, create, 7, 0, NULL },
	{ 55000, create, 8, 0, NULL },
	{ 58000, create, 9, 0, NULL },
	{ 61000, create, 10, 0, NULL },
	{ 61000, create, 11, 0, NULL },
	{ 64000, step, 21, 10, NULL },
	{ 64000, step, 22, 10, NULL },
	{ 66000, version, 21, 1, "2.0.0" },
	{ 66500, nonsense, 21, 0, "{\"step\":\"101\",\"desc\":\"\"}" },
	{ 66500, nonsense, 22, 0, "{\"step\":\"-5\",\"desc\":\"\"}" },

	/* Dynamic jobs: the second is newer. */
	{ 67800, oversleep, 600, 0, NULL },
	{ 67900, version, 25, 0, "5.0.0" },
	{ 68000, create, 12, 0, NULL },
	{ 70000, create, 13, 0, NULL },
	{ 74000, version, 26, 0, "5.0.0" },

	/* Schedule, finish, verification, difference. */
	{ 71000, create, 14, 0, NULL },
	{ 71000, create, 15, 0, NULL },
	{ 71000, create, 16, 0, NULL },
	{ 76000, ask, 28, 0, NULL },
	{ 77000, step, 31, 100, NULL },
	{ 77000, step, 32, -3, "" },
	{ 78000, version, 31, 0, "4.0.0" },
	{ 80000, create, 17, 0, NULL },
	{ 83000, version, 33, 0, "4.0.0" },
	{ 84000, create, 18, 0, NULL },
	{ 86000, come, 34, 0, NULL },
	{ 86100, version, 34, 0, "7.7.7" },
	{ 88000, step, 35, 10, NULL },
	{ 89000, version, 35, 0, "7.7.7" },
	{ 381500, step, 29, 10, NULL },

	/* What is canceled while it is made, and what is moved after its order. */
	{ 90000, create, 19, 0, NULL },
	{ 96000, create, 20, 0, NULL },
	{ 96000, cancel, 20, 0, "q" },
	{ 100000, create, 21, 0, NULL },
	{ 104000, cancel, 21, 0, "q" },
	{ 104000, again, 21, 39, NULL },
	{ 108000, cancel_of, 39, 21, NULL },
	{ 110000, create, 22, 0, NULL },
	{ 114000, cancel_of, 36, 21, NULL },

	/* Everybody: one is disabled, one is younger, and some are deleted while it is made. */
	{ 120000, create, 23, 0, NULL },
	{ 120000, registers, 0, 0, NULL },
	{ 120060, erase, 51, 0, NULL },
	{ 120400, erase, 50, 0, NULL },

	/* Pushes to who comes and goes: 40 is NOTIFIED, 41 IN_PROGRESS. */
	{ 122500, cancel, 23, 0, "qni" },
	{ 125000, create, 24, 0, NULL },
	{ 128000, step, 41, 10, NULL },
	{ 130000, go, 40, 0, NULL },
	{ 130000, go, 41, 0, NULL },
	{ 131000, come, 40, 0, NULL },
	{ 131000, come, 41, 0, NULL },
	{ 135000, go, 40, 0, NULL },
	{ 136000, come, 40, 0, NULL },
	{ 196000, go, 40, 0, NULL },
	{ 197000, come, 40, 0, NULL },

	{ 210000, step, 1, 50, NULL },
	/* A success from before the timeout that is read late, and one from after it. */
	{ 329900, oversleep, 600, 0, NULL },
	{ 330100, version, 1, 0, "2.0.0" },
	{ 331700, oversleep, 700, 0, NULL },
	{ 331800, chatter, 2, 0, NULL },
	{ 331850, version, 4, 0, "2.0.0" },

	/* Retries are due; a late report of the try before; more of them than the broker takes, and it is frozen. */
	{ 110000, step, 7, -1, "" },
	{ 110000, step, 8, -1, "" },
	{ 110000, step, 9, -1, "" },
	{ 110000, step, 10, -1, "" },
	{ 110000, step, 11, -1, "" },
	{ 110000, step, 12, -1, "" },
	{ 600000, go, 3, 0, NULL },
	{ 629000, nonsense, 2, 0, "{}" },
	{ 630200, nonsense, 2, 0, "{}" },
	{ 630800, oversleep, 400, 0, NULL },
	{ 630850, chatter, 2, 0, NULL },
	{ 630900, step, 0, 77, NULL },
	{ 640000, step, 0, 20, NULL },
	{ 645000, step, 0, -1, "no space" },
	{ 700000, come, 3, 0, NULL },
	{ 705000, step, 3, 1, NULL },
	{ 709500, freeze, 4, 0, NULL },
	{ 710400, halt, 1, 0, NULL },
	{ 712000, version, 3, 0, "2.0.0" },
	{ 716000, ask, 7, 0, NULL },
	{ 720000, resume, 1, 0, NULL },

	/* Pushes that get lost, with otad and without. */
	{ 899900, freeze, 6, 0, NULL },
	{ 900000, create, 25, 0, NULL },
	{ 902000, cut, true, 0, NULL },
	{ 902010, killed, 0, 0, NULL },
	{ 999900, freeze, 6, 0, NULL },
	{ 1000000, create, 26, 0, NULL },
	{ 1002000, cut, true, 0, NULL },
	{ 1100000, create, 27, 0, NULL },
	{ 1105000, ask, 40, 0, NULL },

	/* Two dynamic jobs follow a group: 52 is in it from the beginning, 53 and 54 come later, 55 never does, and 54 goes. */
	{ 1200000, tag, 52, true, NULL },
	{ 1201000, version, 53, 1, "1.0.0" },
	{ 1203000, create, 28, 0, NULL },
	{ 1210000, has, 28, 52, NULL },
	{ 1211000, create, 29, 0, NULL },
	{ 1216000, tag, 53, true, NULL },
	{ 1220000, has, 29, 53, NULL },
	{ 1221000, tag, 54, true, NULL },
	{ 1225000, has, 28, 54, NULL },
	{ 1226000, version, 55, 1, "1.0.0" },
	{ 1227000, tag, 54, false, NULL },
	{ 1229000, cancel_of, 54, 28, NULL },
	{ 1231000, version, 54, 1, "1.5.0" },
	{ 1240000, tag, 54, true, NULL },
	{ 1245000, version, 54, 1, "1.6.0" },
};
#define MATCHES (STRATEGY_MATCHES_MAX + 1) /* of device 42, each of which is canceled */

static void on_cue(struct world *w, int64_t n, int64_t b, const char *text)
{
	const struct cue *c = &play[n];

	if (w->in_call) /* the operators have one hand */
		agenda_in(w, 10 * US_PER_MS, on_cue, n, b, text);
	else
		c->act(w, c->a, c->b, c->text);
}

static void matches_again(struct world *w, int64_t device, int64_t cancels, const char *text)
{
	struct device *d = device_at(w, (int)device);

	if (w->in_call)
		agenda_in(w, 10 * US_PER_MS, matches_again, device, cancels, text);
	else if (!cancels)
		fleet_say_version(w, d, 0, "5.0.0");
	else if (d->tasks && unfinished(d->tasks))
		operator_cancel_of_device(w, d, NULL);
}

void every_rule(uint64_t seed, bool print)
{
	static const int late[] = { 5, 6, 16, 27, 30, 34, 36, 37, 38, 39 }; /* come later, or not at all */
	struct profile p = { .devices = DEVICES, .packages = 10, .modules = 2, .jobs = ARRAY_LEN(scripts), .window = 4,
			     .misbehaviour = { 1 }, .scripted = true, .played = true };
	struct world *w = world_new(seed, &p, "--filter every_rule --trace", print);

	for (size_t i = 0, k = 0; i < DEVICES; i++)
		if (k < ARRAY_LEN(late) && (int)i == late[k])
			k++;
		else
			broker_connect_device(w, &w->devices[i]);
	for (size_t i = 0; i < ARRAY_LEN(play); i++)
		agenda_at(w, play[i].at_ms * US_PER_MS, on_cue, (int64_t)i, 0, NULL);
	for (int i = 0; i < MATCHES; i++) {
		agenda_at(w, (400 + 8 * i) * US_PER_SECOND, matches_again, 42, false, NULL);
		agenda_at(w, (404 + 8 * i) * US_PER_SECOND, matches_again, 42, true, NULL);
	}
	world_run(w, 4100 * US_PER_SECOND, NULL);
	world_calm(w, 4LL * 3600 * US_PER_SECOND);
	check_end(w);
	printf("# %zu jobs, %lld turns, %lld pushes, %lld reports\n", w->n_jobs, (long long)w->tally.turns,
	       (long long)w->tally.pushes, (long long)w->tally.reports);
	world_free(w);
}
