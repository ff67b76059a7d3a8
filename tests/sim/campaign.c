/* SPDX-License-Identifier: Apache-2.0 */
/* One long campaign: 30 days with 2,000 devices, some of which are away for days, fail, stall or come back with another
 * version; four jobs, daily retries, a dynamic job; otad is killed every day and the broker restarted every week. */
#include "tests/sim/campaign.h"

#include "engine/base/clock.h"
#include "engine/ids.h"
#include "engine/strategy.h"
#include "tests/sim/call.h"
#include "tests/sim/model.h"

#include <stdio.h>
#include <time.h>

#define HOUR_US (3600 * US_PER_SECOND)
#define DAY_US (24 * HOUR_US)
#define DAYS 30
#define DEVICES 2000
#define AWAY 500 /* of them, now and then */

static struct sim_job *job(struct world *w, enum job_kind kind, size_t package, int rate)
{
	struct sim_job *j = &w->jobs[w->n_jobs++];

	*j = (struct sim_job){ .kind = kind, .package = &w->packages[package], .overwrite_mode = 1, .need_push = true,
			       .retry_interval_min = 1440, .retry_count = 5, .timeout_min = 1440, .created_ms = clock_now(),
			       .silent_from_us = INT64_MAX, .n_rates = 1, .most = rate };
	j->rates[0].at_us = sim_now_us();
	j->rates[0].rate = rate;
	return j;
}

static void create(struct world *w, struct sim_job *j, struct request *q)
{
	enum err e;

	param_id(q, "FirmwareId", ID_FIRMWARE, j->package->id, 0);
	param(q, "ProductKey", SIM_PRODUCT);
	param(q, "Tag.1.Key", "job");
	param_int(q, "Tag.1.Value", j - w->jobs);
	param_int(q, "MaximumPerMinute", j->rates[0].rate);
	param_int(q, "RetryInterval", j->retry_interval_min);
	param_int(q, "RetryCount", j->retry_count);
	param_int(q, "TimeoutInMinutes", j->timeout_min);
	e = call(q);
	if (e != OK)
		broken(w, "%s: %s", q->action, error_text(&q->error));
	ensure(id_parse(ID_JOB, q->target, &j->id, NULL));
	model_created(w, j, e);
	request_free(q);
}

static void first_wave(struct world *w, int64_t a, int64_t b, const char *text)
{
	struct sim_job *j = job(w, JOB_STATIC, 0, 10);
	struct request q;

	(void)a, (void)b, (void)text;
	request_init(&q, w, "CreateOTAStaticUpgradeJob");
	j->targets = TARGETS_GRAY;
	j->gray_milli = 5000;
	param(&q, "TargetSelection", "GRAY");
	param(&q, "GrayPercent", "5");
	create(w, j, &q);
}

static void everybody(struct world *w, int64_t package, int64_t rate, const char *text)
{
	struct sim_job *j = job(w, JOB_STATIC, (size_t)package, (int)rate);
	struct request q;

	(void)text;
	request_init(&q, w, "CreateOTAStaticUpgradeJob");
	j->targets = TARGETS_ALL;
	j->overwrite_mode = 2;
	j->finish_ms = clock_now() + 20 * MS_PER_DAY;
	param(&q, "TargetSelection", "ALL");
	param(&q, "OverwriteMode", "2");
	param_int(&q, "ScheduleFinishTime", j->finish_ms);
	create(w, j, &q);
}

static void stragglers(struct world *w, int64_t a, int64_t b, const char *text)
{
	struct sim_job *j = job(w, JOB_DYNAMIC, 1, 60);
	struct request q;

	(void)a, (void)b, (void)text;
	request_init(&q, w, "CreateOTADynamicUpgradeJob");
	j->targets = TARGETS_DYNAMIC;
	j->dynamic_mode = DYNAMIC_REPORTS;
	j->src[j->n_src++] = "1.0.0";
	param(&q, "SrcVersion.1", "1.0.0");
	param(&q, "DynamicMode", "2");
	create(w, j, &q);
}

static void away(struct world *w, int64_t device, int64_t for_us, const char *text)
{
	struct device *d = &w->devices[device];

	(void)text;
	if (!d->conn)
		return;
	d->away_until_us = sim_now_us() + for_us;
	broker_disconnect_device(w, d);
}

static void killed(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a, (void)b, (void)text;
	if (!w->otad.up)
		return;
	w->otad.dead = true;
	otad_bury(w);
}

static void rebooted(struct world *w, int64_t a, int64_t b, const char *text)
{
	(void)a, (void)b, (void)text;
	broker_restart(w);
}

static void plan(struct world *w)
{
	agenda_at(w, 1 * HOUR_US, first_wave, 0, 0, NULL);
	agenda_at(w, 1 * DAY_US, everybody, 0, 200, NULL);
	agenda_at(w, 9 * DAY_US, everybody, 1, 100, NULL);
	agenda_at(w, 16 * DAY_US, stragglers, 0, 0, NULL);
	for (int day = 1; day < DAYS; day++)
		agenda_at(w, day * DAY_US + rng_between(&w->rng_plan, 0, DAY_US - 1), day % 7 == 3 ? rebooted : killed, 0, 0,
			  NULL);
	for (int i = 0; i < AWAY; i++)
		agenda_at(w, rng_between(&w->rng_plan, HOUR_US, 28 * DAY_US), away,
			  rng_between(&w->rng_plan, 0, DEVICES - 1), rng_between(&w->rng_plan, HOUR_US, 3 * DAY_US), NULL);
}

void campaign(uint64_t seed, bool print)
{
	/* obey, quick, stall, silent, lie, fail, third, reboot */
	struct profile p = { .devices = DEVICES, .packages = 2, .modules = 1, .jobs = 8, .window = 100,
			     .misbehaviour = { 70, 20, 2, 1, 1, 4, 1, 1 }, .grid_us = 1200 * US_PER_SECOND, .scripted = true };
	struct timespec start, end;
	struct world *w;
	double took;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	w = world_new(seed, &p, "--campaign", print);
	plan(w);
	world_run(w, DAYS * DAY_US, NULL);
	world_calm(w, 2 * DAY_US);
	check_end(w);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	took = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	printf("# %d days with %d devices in %.1f s: trace %016llx, %lld turns, %zu jobs, %lld pushes, %lld reports, %lld crashes\n",
	       DAYS, DEVICES, took, (unsigned long long)w->tally.trace, (long long)w->tally.turns, w->n_jobs,
	       (long long)w->tally.pushes, (long long)w->tally.reports, (long long)w->tally.crashes);
	world_tell(w);
	world_free(w);
}
