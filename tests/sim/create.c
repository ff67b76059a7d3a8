/* SPDX-License-Identifier: Apache-2.0 */
/* The operators' new jobs: of every kind, with settings and devices drawn from what the rules allow. */
#include "tests/sim/call.h"

#include "engine/base/clock.h"
#include "engine/ids.h"
#include "engine/strategy.h"
#include "storage/firmware.h"
#include "tests/sim/model.h"

#include <string.h>

static struct sim_job *job_slot(struct world *w, enum job_kind kind)
{
	struct sim_job *j = &w->jobs[w->n_jobs];

	ensure(w->n_jobs < w->cap_jobs);
	w->n_jobs++;
	*j = (struct sim_job){ .kind = kind, .retry_interval_min = -1, .need_push = true, .overwrite_mode = 1,
			       .silent_from_us = INT64_MAX, .created_ms = clock_now() };
	return j;
}


void operator_set_rate(struct sim_job *j, int rate)
{
	ensure(j->n_rates < RATES_MAX);
	j->rates[j->n_rates].at_us = sim_now_us();
	j->rates[j->n_rates++].rate = rate;
	j->most = (int)i64_max(j->most, rate);
}

static void name_devices(struct request *q, struct sim_job *j, struct rng *r, int of_thousand, int max)
{
	struct world *w = q->w;
	int n = 0;

	j->targets = TARGETS_NAMED;
	j->named = arena_array(&w->arena, w->n_devices, sizeof *j->named);
	for (size_t i = 0; i < w->n_devices && n < max; i++)
		if (w->devices[i].id && rng_chance(r, of_thousand)) {
			j->named[i] = true;
			param(q, arena_printf(&q->arena, "TargetDeviceName.%d", ++n), w->devices[i].name);
		}
}

static void choose_src(struct request *q, struct sim_job *j, struct rng *r)
{
	static const char *const versions[] = { "1.0.0", "2.0.0", "3.0.0", "7.7.7" };
	int first = (int)rng_between(r, 0, 2), n = (int)rng_between(r, 1, 2);

	if (j->package->differential) {
		j->src[j->n_src++] = j->package->src;
	} else {
		for (int i = 0; i < n; i++)
			if (strcmp(versions[first + i], j->package->dest) != 0)
				j->src[j->n_src++] = versions[first + i];
	}
	for (int i = 0; i < j->n_src; i++)
		param(q, arena_printf(&q->arena, "SrcVersion.%d", i + 1), j->src[i]);
}

static void choose_targets(struct request *q, struct sim_job *j, struct rng *r)
{
	j->targets = (enum targets)RNG_PICK(r, TARGETS_ALL, TARGETS_ALL, TARGETS_GRAY, TARGETS_GRAY, TARGETS_NAMED, TARGETS_GROUP);
	switch (j->targets) {
	case TARGETS_ALL:
	case TARGETS_DYNAMIC:
		param(q, "TargetSelection", "ALL");
		break;
	case TARGETS_GRAY:
		j->gray_milli = rng_chance(r, 500) ? rng_between(r, 1, 100) * 1000 : rng_between(r, 1, 100000);
		param(q, "TargetSelection", "GRAY");
		param(q, "GrayPercent", arena_printf(&q->arena, "%lld.%03lld", (long long)(j->gray_milli / 1000),
						     (long long)(j->gray_milli % 1000)));
		break;
	case TARGETS_NAMED:
		param(q, "TargetSelection", "SPECIFIC");
		name_devices(q, j, r, 400, 40);
		break;
	case TARGETS_GROUP:
		param(q, "TargetSelection", "GROUP");
		param(q, "GroupId", q->w->group_id);
		param(q, "GroupType", "LINK_PLATFORM");
		break;
	}
	if (j->targets < TARGETS_NAMED && rng_chance(r, 300))
		choose_src(q, j, r);
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
}

static void choose_tries(struct request *q, struct sim_job *j, struct rng *r)
{
	if (j->kind != JOB_VERIFY && rng_chance(r, 500)) {
		j->retry_interval_min = RNG_PICK(r, 0, 0, 10, 30);
		j->retry_count = RNG_PICK(r, 1, 2, 5);
		param_int(q, "RetryInterval", j->retry_interval_min);
		param_int(q, "RetryCount", j->retry_count);
	}
	if (rng_chance(r, 600)) {
		j->timeout_min = RNG_PICK(r, 1, 1, 2, 5, 20);
		param_int(q, "TimeoutInMinutes", j->timeout_min);
	}
}

static void choose_modes(struct request *q, struct sim_job *j, struct rng *r)
{
	int mode = j->kind == JOB_VERIFY ? 0 : RNG_PICK(r, 0, 1, 2, 2, 2, 3);

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
	if (rng_chance(r, 200)) {
		j->need_confirm = true;
		param_bool(q, "NeedConfirm", true);
	}
}

static void choose_rate(struct request *q, struct sim_job *j, struct rng *r)
{
	if (j->kind == JOB_VERIFY) {
		operator_set_rate(j, 1000);
		return;
	}
	operator_set_rate(j, RNG_PICK(r, 0, 1, 2, 5, 10, 10, 60, 60, 60, 1000, 1000, 1000));
	param_int(q, "MaximumPerMinute", j->rates[0].rate);
}

static void describe(struct world *w, const struct sim_job *j)
{
	trace(w,
	      "job %d: kind %d, package %d %s to %s%s, targets %d%s, %d a minute, overwrite %d%s%s%s, schedule %lld, finish "
	      "%lld, retry %d %d, timeout %d",
	      (int)(j - w->jobs), (int)j->kind, (int)(j->package - w->packages), j->package->src, j->package->dest,
	      j->package->module ? " of mcu" : "", (int)j->targets, j->by_group ? ", by group" : "", j->rates[0].rate, j->overwrite_mode,
	      j->multi_module ? ", multi" : "", j->need_push ? "" : ", no push", j->need_confirm ? ", confirm" : "",
	      (long long)(j->schedule_ms ? j->schedule_ms - clock_now() : 0) / 1000,
	      (long long)(j->finish_ms ? j->finish_ms - clock_now() : 0) / 1000, j->retry_interval_min, j->retry_count,
	      j->timeout_min);
}

/* May a package be upgraded to or verified as it stands (api §10.1)? */
static bool status_fits(enum firmware_status s, enum job_kind kind)
{
	if (kind == JOB_VERIFY)
		return s == FIRMWARE_UNVERIFIED || s == FIRMWARE_VERIFY_FAILED;
	return s == FIRMWARE_NO_VERIFICATION || s == FIRMWARE_VERIFIED;
}

void operator_create(struct world *w, enum job_kind kind)
{
	static const char *const names[] = { [JOB_VERIFY] = "CreateOTAVerifyJob",
					       [JOB_STATIC] = "CreateOTAStaticUpgradeJob",
					       [JOB_DYNAMIC] = "CreateOTADynamicUpgradeJob" };
	struct rng *r = &w->rng_ops;
	struct sim_job *j = job_slot(w, kind);
	enum firmware_status status;
	struct request q;
	enum err e;

	request_init(&q, w, names[kind]);
	j->package = &w->packages[rng_between(r, 0, (int64_t)w->n_packages - 1)];
	param_id(&q, "FirmwareId", ID_FIRMWARE, j->package->id, 0);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "Tag.1.Key", "job");
	param_int(&q, "Tag.1.Value", j - w->jobs);
	if (kind == JOB_STATIC) {
		choose_targets(&q, j, r);
		choose_times(&q, j, r);
	} else if (kind == JOB_VERIFY) {
		name_devices(&q, j, r, 300, 10);
	} else {
		j->targets = TARGETS_DYNAMIC;
		j->dynamic_mode = rng_chance(r, 500) ? DYNAMIC_ALL : DYNAMIC_REPORTS;
		j->by_group = rng_chance(r, 500);
		if (j->by_group) {
			param(&q, "GroupId", w->dynamic_group_id);
			param(&q, "GroupType", "LINK_PLATFORM_DYNAMIC");
		} else {
			choose_src(&q, j, r);
		}
		param_int(&q, "DynamicMode", j->dynamic_mode);
	}
	choose_tries(&q, j, r);
	choose_modes(&q, j, r);
	choose_rate(&q, j, r);
	status = j->package->status;
	e = call(&q);
	if (e == OK && !status_fits(status, kind))
		broken(w, "a job of kind %d is made for a package in status %d", (int)kind, (int)status);
	if (e == OK)
		ensure(id_parse(ID_JOB, q.target, &j->id, NULL));
	model_created(w, j, e);
	if (j->id > 0)
		describe(w, j);
	else
		w->n_jobs--;
	request_free(&q);
}
