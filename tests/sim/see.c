/* SPDX-License-Identifier: Apache-2.0 */
/* What the database says, in one look. */
#include "tests/sim/model_priv.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"

#include <string.h>

#define TASK_COLUMNS \
	"t.job_id, t.seq, t.device_id, n.state, t.state, t.progress, t.retries, t.push_conn, t.pushes, t.timeout_ms," \
	" t.retry_ms, t.verdict_ms, n.task_desc, t.src_version, t.pending_version, a.module"
/* One by one: each is found in the indexes then, where a planner without statistics would walk through the job. */
#define TASK_JOINS \
	" cross join lateral (select * from task_now n where n.job_id = t.job_id and n.seq = t.seq offset 0) n" \
	" left join active_task a on a.job_id = t.job_id and a.seq = t.seq and a.device_id = t.device_id order by 1, 2"

/* What is asked in every look, prepared: planning would take longer than answering. */
static const struct {
	const char *name, *sql;
} looks[LOOK_COUNT] = {
	[LOOK_NEW] = { "look_new", "select coalesce((select max(position) from journal_position), 0),"
				   " (select last_value from task_event_no), (select sum(status + 10 * order_no) from job_run),"
				   " (select count(*) from timer)" },
	[LOOK_JOBS] = { "look_jobs", "select r.job_id, r.order_no, r.status, r.paused, r.making, r.chosen, r.made_seq,"
				     " n_confirm, n_queued, n_notified, n_in_progress, n_succeeded, n_failed, n_canceled,"
				     " j.tag_values[1], r.strategy_ended"
				     " from job_run r join job j on j.id = r.job_id order by r.job_id" },
	[LOOK_LOG] = { "look_log (bigint)", "select no, job_id, seq, to_seq, from_state, to_state, why, at_ms, detail"
					    " from task_event where no > $1 order by no" },
	[LOOK_ORDERS] = { "look_orders", "select job_id, no, state_mask, reason, why, at_ms from job_order order by job_id, no" },
	[LOOK_ALL_TASKS] = { "look_all_tasks", "select " TASK_COLUMNS " from task t" TASK_JOINS },
	[LOOK_TASKS] = { "look_tasks (bigint[], int[])",
			 "select " TASK_COLUMNS " from (select distinct * from unnest($1, $2) as u(job_id, seq)) u"
			 " join task t on t.job_id = u.job_id and t.seq = u.seq" TASK_JOINS },
	[LOOK_PACKAGES] = { "look_packages", "select id, status from firmware order by id" },
	[LOOK_NOTICES] = { "look_notices", "with taken as (delete from notice returning *) select kind, at_ms, job_id, seq, status,"
					   " device_id, module, detail from taken order by id" },
};

void see_prepare(struct world *w)
{
	struct arena a;
	struct error e;

	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	/* A look is at few tasks of many, which a planner without statistics does not know. */
	ensure(db_script(w->db_watch, "set enable_hashjoin = off; set enable_mergejoin = off") == OK);
	for (size_t i = 0; i < LOOK_COUNT; i++)
		if (db_script(w->db_watch, arena_printf(&a, "prepare %s as %s", looks[i].name, looks[i].sql)) != OK)
			broken(w, "%s: %s", looks[i].name, error_text(&e));
	arena_free(&a);
}

struct rows *query(struct world *w, const char *sql)
{
	struct rows *r = NULL;

	if (db_script_rows(w->db_watch, sql, &r) != OK)
		broken(w, "looking: %s", error_text(db_error(w->db_watch)));
	return r;
}

struct rows *look_for(struct world *w, enum look what, const char *args)
{
	int len = (int)strcspn(looks[what].name, " ");

	return query(w, arena_printf(db_arena(w->db_watch), "execute %.*s%s", len, looks[what].name, args));
}

static void see_jobs(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = look_for(w, LOOK_JOBS, "");

	s->n_jobs = (size_t)rows_count(r);
	s->jobs = ARENA_ARRAY(a, s->n_jobs + 1, struct job_seen);
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct job_seen *j = &s->jobs[i];

		*j = (struct job_seen){ .id = row_int(r, (int)i, 0),
					.orders = row_int(r, (int)i, 1),
					.status = (enum job_status)row_int(r, (int)i, 2),
					.paused = row_bool(r, (int)i, 3),
					.making = (int)row_int(r, (int)i, 4),
					.chosen = (int)row_int(r, (int)i, 5),
					.made = (int)row_int(r, (int)i, 6),
					.j = &w->jobs[row_int(r, (int)i, 14)],
					.strategy_ended = row_bool(r, (int)i, 15) };
		for (int k = TASK_CONFIRM; k <= TASK_CANCELED; k++)
			j->count[k] = row_int(r, (int)i, 6 + k);
		if (j->j->id == 0)
			j->j->id = j->id; /* so its creation was committed */
		if (j->j->id != j->id)
			broken(w, "job %lld is not the one with its tag", (long long)j->id);
	}
}

struct keys {
	struct buf *jobs, *seqs;
};

static void add_key(struct keys *k, int64_t job_id, int32_t seq)
{
	const char *comma = k->jobs->len > 0 ? "," : "";

	buf_addf(k->jobs, "%s%lld", comma, (long long)job_id);
	buf_addf(k->seqs, "%s%d", comma, seq);
}

/* Rows that may have changed: of tasks in the log, of devices whose reports were applied, and of those whose verdict
 * may have left no trace. */
static const char *touched(struct world *w, struct arena *a, const struct seen *s)
{
	struct keys k = { buf_owned(a, (size_t)1 << 24), buf_owned(a, (size_t)1 << 24) };
	struct model *m = w->model;

	for (size_t i = 0; i < s->n_log; i++)
		for (int32_t seq = s->log[i].seq; seq <= s->log[i].to_seq; seq++)
			add_key(&k, s->log[i].job_id, seq);
	for (size_t i = m->applied; i < m->received.n && m->received.items[i].next <= s->position; i++)
		if (m->received.items[i].said)
			for (struct model_task *t = m->said.items[m->received.items[i].said - 1].device->tasks; t; t = t->older)
				if (t->held)
					add_key(&k, job_of(w, t)->id, t->seq);
	for (size_t i = 0; i < m->tasks.n; i++)
		if (m->tasks.items[i]->verdict_at && m->tasks.items[i]->verdict_at <= clock_now())
			add_key(&k, job_of(w, m->tasks.items[i])->id, m->tasks.items[i]->seq);
	ensure(!k.jobs->overflow);
	return arena_printf(a, "('{%s}', '{%s}')", buf_str(k.jobs), buf_str(k.seqs));
}

static void see_tasks(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = s->whole ? look_for(w, LOOK_ALL_TASKS, "") : look_for(w, LOOK_TASKS, touched(w, a, s));

	s->n_tasks = (size_t)rows_count(r);
	s->tasks = ARENA_ARRAY(a, s->n_tasks + 1, struct task_seen);
	for (int i = 0; i < (int)s->n_tasks; i++)
		s->tasks[i] = (struct task_seen){ .job_id = row_int(r, i, 0),
						  .seq = (int32_t)row_int(r, i, 1),
						  .device_id = row_int(r, i, 2),
						  .state = (enum task_state)row_int(r, i, 3),
						  .row_state = (enum task_state)row_int(r, i, 4),
						  .progress = (int)row_int(r, i, 5),
						  .retries = (int)row_int(r, i, 6),
						  .push_conn = row_int(r, i, 7),
						  .pushes = row_int(r, i, 8),
						  .timeout_ms = row_int(r, i, 9),
						  .retry_ms = row_int(r, i, 10),
						  .verdict_ms = row_int(r, i, 11),
						  .desc = row_text(r, i, 12),
						  .src = row_text(r, i, 13),
						  .pending = row_text(r, i, 14),
						  .held = row_text(r, i, 15) };
}

static void see_log(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = look_for(w, LOOK_LOG, arena_printf(a, "(%lld)", (long long)w->model->last_no));

	s->n_log = (size_t)rows_count(r);
	s->log = ARENA_ARRAY(a, s->n_log + 1, struct logged);
	for (int i = 0; i < (int)s->n_log; i++) {
		s->log[i] = (struct logged){ .no = row_int(r, i, 0),
					     .job_id = row_int(r, i, 1),
					     .seq = (int32_t)row_int(r, i, 2),
					     .to_seq = (int32_t)row_int(r, i, 3),
					     .from = (enum task_state)row_int(r, i, 4),
					     .to = (enum task_state)row_int(r, i, 5),
					     .why = (enum event_why)row_int(r, i, 6),
					     .at = row_int(r, i, 7),
					     .detail = row_text(r, i, 8) };
		w->model->last_no = s->log[i].no;
	}
}

static void see_orders(struct world *w, struct arena *a, struct seen *s)
{
	struct rows *r = look_for(w, LOOK_ORDERS, "");

	s->orders = ARENA_ARRAY(a, (size_t)rows_count(r) + 1, struct order_seen);
	for (int i = 0; i < rows_count(r); i++) {
		struct order_seen o = { .j = world_job(w, row_int(r, i, 0)),
					.no = row_int(r, i, 1),
					.mask = row_int(r, i, 2),
					.reason = arena_strdup(&w->arena, row_text(r, i, 3)),
					.why = (enum event_why)row_int(r, i, 4),
					.at = row_int(r, i, 5) };

		if (o.no > (int64_t)o.j->n_orders)
			s->orders[s->n_orders++] = o;
	}
	s->whole = s->whole || s->n_orders > 0;
}

void see(struct world *w, struct arena *a, struct seen *s)
{
	see_jobs(w, a, s);
	see_log(w, a, s);
	see_orders(w, a, s);
	see_tasks(w, a, s);
}
