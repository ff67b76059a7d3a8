/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/jobs.h"

#include "engine/base/clock.h"
#include "engine/base/metrics.h"

#include <stdlib.h>
#include <string.h>

/* Reports of a job that has just ended still come, one by one. */
#define GONE_KEEP_MS 10000

static void job_free(struct live_job *j)
{
	pace_free(&j->pace);
	ready_free(&j->ready);
	arena_free(&j->arena);
	free(j);
}

void jobs_free(struct jobs *js)
{
	for (size_t i = 0; i < js->n; i++)
		job_free(js->items[i]);
	free(js->items);
	memset(js, 0, sizeof *js);
}

/* Index of the first job with an id not below this one. */
static size_t place(const struct jobs *js, int64_t job_id)
{
	size_t lo = 0, hi = js->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (js->items[mid]->run.job_id < job_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct live_job *jobs_find(const struct jobs *js, int64_t job_id)
{
	size_t i = place(js, job_id);

	return i < js->n && js->items[i]->run.job_id == job_id ? js->items[i] : NULL;
}

static void insert(struct jobs *js, struct live_job *j)
{
	size_t i = place(js, j->run.job_id);

	if (js->n == js->cap) {
		js->cap = js->cap ? 2 * js->cap : 16;
		js->items = realloc(js->items, js->cap * sizeof(struct live_job *));
		ensure(js->items != NULL);
	}
	memmove(js->items + i + 1, js->items + i, (js->n - i) * sizeof(struct live_job *));
	js->items[i] = j;
	js->n++;
}

/* Reads the settings; the old ones stay when that fails. */
static enum err load(struct live_job *j, struct db *db)
{
	struct arena fresh, *before;
	struct tick_job set;
	enum err e;

	arena_init(&fresh);
	before = db_use_arena(db, &fresh);
	e = store_tick_job(db, j->run.job_id, &set);
	(void)db_use_arena(db, before);
	if (e != OK) {
		arena_free(&fresh);
		return e;
	}
	arena_free(&j->arena);
	j->arena = fresh;
	j->set = set;
	return OK;
}

enum err jobs_renew(struct live_job *j, struct db *db, int32_t settings_no)
{
	return j->set.settings_no == settings_no ? OK : load(j, db);
}

enum err jobs_get(struct jobs *js, struct db *db, int64_t job_id, struct live_job **ret)
{
	struct live_job *j = jobs_find(js, job_id);
	enum err e;

	*ret = j;
	if (j)
		return OK;
	j = calloc(1, sizeof *j);
	ensure(j != NULL);
	arena_init(&j->arena);
	pace_init(&j->pace);
	j->run.job_id = job_id;
	j->gone_boot_ms = clock_boot_ms();
	e = load(j, db);
	if (e != OK) {
		job_free(j);
		return e;
	}
	insert(js, j);
	*ret = j;
	return OK;
}

/* Another round over its rows. One that is under way is finished first, else what asks again and again would keep the
 * far end from ever being looked at. */
static void look_again(struct live_job *j)
{
	if (j->cursor >= j->run.tasks)
		j->cursor = 0;
	else if (j->cursor > 0)
		j->again = true;
}

static void update(struct live_job *j, const struct tick_run *run)
{
	if (!j->live)
		j->cursor = 0;
	else if (run->rescan_no != j->run.rescan_no || (j->run.max_per_minute == 0 && run->max_per_minute > 0))
		look_again(j);
	j->run = *run;
	j->live = true;
}

/* A job that has ended may run again (ReupgradeOTATask), and its gate still counts then. */
static bool forgettable(struct live_job *j)
{
	return !j->live && j->gone_boot_ms < clock_boot_ms() - GONE_KEEP_MS && pace_idle(&j->pace, clock_boot_us());
}

static void forget_gone(struct jobs *js)
{
	size_t kept = 0;

	for (size_t i = 0; i < js->n; i++) {
		struct live_job *j = js->items[i];

		if (forgettable(j))
			job_free(j);
		else
			js->items[kept++] = j;
	}
	js->n = kept;
}

enum err jobs_sync(struct jobs *js, struct db *db)
{
	const struct tick_run *runs = NULL;
	struct live_job *j;
	size_t n = 0, at = 0;
	enum err e;

	TRY(store_tick_live_jobs(db, &runs, &n));
	for (size_t i = 0; i < n; i++) {
		e = jobs_get(js, db, runs[i].job_id, &j);
		if (e == ERR_NOT_FOUND)
			continue;
		TRY(e);
		update(j, &runs[i]);
	}
	for (size_t i = 0; i < js->n; i++) {
		j = js->items[i];
		while (at < n && runs[at].job_id < j->run.job_id)
			at++;
		if (j->live && (at == n || runs[at].job_id != j->run.job_id)) {
			j->live = false;
			j->gone_boot_ms = clock_boot_ms();
			ready_free(&j->ready);
		}
	}
	forget_gone(js);
	metric_set(M_LIVE_JOBS, (int64_t)n);
	return OK;
}

void jobs_rescan(struct jobs *js)
{
	for (size_t i = 0; i < js->n; i++)
		look_again(js->items[i]);
}
