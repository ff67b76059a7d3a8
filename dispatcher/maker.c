/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/maker.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/waker.h"
#include "storage/making.h"
#include "storage/strategy.h"

#include <stdlib.h>

#define POLL_MS 500 /* what other replicas and devices gave it to do is found so */
#define CHOOSE_DEADLINE_MS 600000
#define CHUNK_MS 100
#define CHUNK_ROWS_MIN 50 /* with fewer it is not the rows that take long */
#define JOIN_ROWS 1000 /* they cost more to look at than the rows of a chunk */

struct maker {
	struct maker_options opt;
	int32_t rows; /* of the next chunk */
	struct waker waker;
	struct db *db;
	struct arena arena;
	struct error error;
};

static void begin(struct maker *m)
{
	arena_reset(&m->arena);
	error_init(&m->error, &m->arena);
	db_begin_work(m->db, &m->arena, &m->error);
}

static bool may_run(struct maker *m)
{
	return m->opt.may_run(m->opt.ctx) && !waker_stopping(&m->waker);
}

/* What a chunk costs depends on what is in its tasks' way, and on the machine. */
static void chunk_took(struct maker *m, int64_t ms)
{
	int64_t least = i64_min(CHUNK_ROWS_MIN, m->opt.chunk_rows);

	if (ms > CHUNK_MS)
		m->rows = (int32_t)i64_max(m->rows / 2, least);
	else if (ms < CHUNK_MS / 2)
		m->rows = (int32_t)i64_min((int64_t)m->rows * 2, m->opt.chunk_rows);
}

/* Makes one job's tasks, as far as it gets. The job's facts are read anew for every step: each is a unit of
 * work. */
static enum err make_job(struct maker *m, int64_t after, int64_t *ret_job)
{
	struct making job;
	int64_t start = clock_boot_us(), began;

	for (;;) {
		begin(m);
		TRY(store_making_next(m->db, after, &job));
		if (*ret_job != 0 && job.job_id != *ret_job)
			return OK;
		*ret_job = job.job_id;
		if (!may_run(m))
			return ERR_UNAVAILABLE;
		if (job.making == MAKING_CHOOSE) {
			db_set_deadline(m->db, CHOOSE_DEADLINE_MS);
			TRY(store_making_choose(m->db, &job, clock_now()));
			continue;
		}
		began = clock_boot_ms();
		TRY(store_making_chunk(m->db, &job, m->rows, clock_now()));
		chunk_took(m, clock_boot_ms() - began);
		m->opt.made(m->opt.ctx);
		if (job.making == MAKING_DONE) {
			log_event(EV_JOB_MADE, LINT("job", job.job_id), LINT("tasks", job.chosen),
				  LINT("ms", (clock_boot_us() - start) / 1000));
			metric_add(M_TASKS_MADE, job.chosen);
			return OK;
		}
	}
}

/* True when something was done, so that more may be waiting. A job that cannot be made now is passed over. */
static bool make_jobs(struct maker *m)
{
	bool did = false;
	int64_t after = 0;

	for (;;) {
		int64_t job = 0;
		enum err e = make_job(m, after, &job);

		if (e == ERR_NOT_FOUND || e == ERR_UNAVAILABLE || job == 0)
			return did;
		did |= e == OK;
		if (e != OK && e != ERR_DB_RETRY)
			log_limited(EV_JOB_MAKING_FAILED, LINT("job", job),
				    LSTR("why", error_text(&m->error)));
		after = e == OK ? 0 : job;
	}
}

static bool write_order(struct maker *m)
{
	int64_t began;
	enum err e;

	if (!may_run(m))
		return false;
	begin(m);
	began = clock_boot_ms();
	e = store_order_write(m->db, m->rows);
	chunk_took(m, clock_boot_ms() - began);
	if (e != OK && e != ERR_NOT_FOUND && e != ERR_DB_RETRY)
		log_limited(EV_ORDER_FAILED, LSTR("why", error_text(&m->error)));
	return e == OK;
}

static bool sweep(struct maker *m)
{
	enum err e;

	if (!may_run(m))
		return false;
	begin(m);
	db_set_deadline(m->db, CHOOSE_DEADLINE_MS);
	e = store_strategy_sweep(m->db, clock_now());
	if (e != OK && e != ERR_NOT_FOUND && e != ERR_DB_RETRY)
		log_limited(EV_STRATEGY_FAILED, LSTR("why", error_text(&m->error)));
	return e == OK;
}

/* Gives tasks to devices that have come to match a dynamic job: one transaction for each product. */
static bool join_devices(struct maker *m)
{
	int32_t rows = (int32_t)i64_min(m->rows, JOIN_ROWS);
	int64_t product = 0, made;
	bool did = false, progress;
	enum err e;

	while (may_run(m)) {
		begin(m);
		made = 0;
		progress = false;
		e = store_strategy_product(m->db, product, &product);
		if (e == OK)
			e = store_strategy_join(m->db, product, rows, clock_now(), &progress, &made);
		if (e == ERR_NOT_FOUND)
			break;
		if (e != OK && e != ERR_DB_RETRY) {
			log_limited(EV_STRATEGY_FAILED, LSTR("why", error_text(&m->error)));
			break;
		}
		did |= progress;
		metric_add(M_TASKS_MADE, made);
		if (made > 0)
			m->opt.made(m->opt.ctx);
	}
	return did;
}

void maker_round(struct maker *m)
{
	bool more;

	do {
		more = may_run(m) && make_jobs(m);
		more = write_order(m) || more;
		more = sweep(m) || more;
		more = join_devices(m) || more;
	} while (more);
}

static void *maker_run(void *arg)
{
	struct maker *m = arg;

	do
		maker_round(m);
	while (waker_wait(&m->waker, POLL_MS));
	return NULL;
}

struct maker *maker_new(const struct maker_options *o)
{
	struct maker *m = calloc(1, sizeof *m);
	struct db_options d = { .conninfo = o->config->database, .connect_ms = 5000, .name = "otad maker",
				.plans = DB_PLANS_EACH };

	ensure(m != NULL);
	m->opt = *o;
	m->rows = o->chunk_rows;
	m->db = db_new(&d);
	arena_init(&m->arena);
	return m;
}

void maker_start(struct maker *m)
{
	waker_start(&m->waker, maker_run, m);
}

void maker_wake(struct maker *m)
{
	waker_wake(&m->waker);
}

void maker_stop(struct maker *m)
{
	waker_stop(&m->waker);
}

void maker_free(struct maker *m)
{
	db_free(m->db);
	arena_free(&m->arena);
	free(m);
}
