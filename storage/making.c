/* SPDX-License-Identifier: Apache-2.0 */
/* See making.h. Lock order: product, then job_run ascending, then the rest. */
#include "storage/making.h"

#include "engine/conflict.h"
#include "engine/ids.h"
#include "storage/job_end.h"
#include "storage/product.h"
#include "storage/task.h"
#include "storage/txn.h"

#include <string.h>

enum err store_making_next(struct db *db, int64_t after_job_id, struct making *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, after_job_id);
	TRY(db_one(db, S_making_next, &a, &r));
	*ret = (struct making){
		.job_id = row_int(r, 0, C_making_next_job_id),
		.product_id = row_int(r, 0, C_making_next_product_id),
		.firmware_id = row_int(r, 0, C_making_next_firmware_id),
		.making = (enum job_making)row_int(r, 0, C_making_next_making),
		.made_seq = (int32_t)row_int(r, 0, C_making_next_made_seq),
		.chosen = (int32_t)row_int(r, 0, C_making_next_chosen),
		.selection = row_text(r, 0, C_making_next_selection),
		.module = row_text(r, 0, C_making_next_module),
		.need_confirm = row_bool(r, 0, C_making_next_need_confirm),
		.multi_module = row_bool(r, 0, C_making_next_multi_module),
		.overwrite_mode = (int)row_int(r, 0, C_making_next_overwrite_mode),
		.created_ms = row_int(r, 0, C_making_next_created_ms),
	};
	return OK;
}

static enum err choose(struct db *db, const struct making *m, const struct rows *room, utc_ms now)
{
	static const struct {
		const char *selection;
		enum stmt stmt;
	} how[] = { { "ALL", S_making_choose_all },
		    { "GRAY", S_making_choose_gray },
		    { "SPECIFIC", S_making_choose_listed },
		    { "GROUP", S_making_choose_group },
		    { "DYNAMIC GROUP", S_making_choose_dynamic_group } };
	char firmware_id[ID_LEN + 1];
	struct args a;
	size_t i = 0;

	while (strcmp(how[i].selection, m->selection) != 0)
		ensure(++i < ARRAY_LEN(how));
	args_init(&a, db);
	arg_int(&a, m->job_id);
	arg_int(&a, m->product_id);
	arg_text(&a, m->module);
	arg_int(&a, m->created_ms);
	arg_int(&a, now);
	arg_int(&a, row_int(room, 0, C_making_room_first_device));
	arg_int(&a, row_int(room, 0, C_making_room_last_device));
	id_format(ID_FIRMWARE, m->firmware_id, 0, firmware_id);
	if (how[i].stmt == S_making_choose_gray)
		arg_bytes(&a, firmware_id, sizeof firmware_id); /* with its NUL */
	return db_run(db, how[i].stmt, &a, NULL);
}

static enum err choose_in_txn(struct db *db, struct making *m, utc_ms now)
{
	struct rows *room;
	struct args a;
	int64_t chosen;

	args_init(&a, db);
	arg_int(&a, m->product_id);
	TRY(db_one(db, S_making_room, &a, &room));
	TRY(choose(db, m, room, now));
	chosen = db_touched(db);
	args_init(&a, db);
	arg_int(&a, m->job_id);
	arg_int(&a, chosen);
	arg_int(&a, now);
	TRY(db_run(db, S_making_chosen, &a, NULL));
	if (db_touched(db) == 0)
		return fail(db_error(db), ERR_DB_RETRY, "the job changed while its candidates were chosen");
	m->making = MAKING_CHUNKS;
	m->chosen = (int32_t)chosen;
	return OK;
}

enum err store_making_choose(struct db *db, struct making *m, utc_ms now)
{
	TRY(db_begin(db));
	return txn_end(db, choose_in_txn(db, m, now));
}

/* What one chunk does, collected before it is written. All arrays are as long as the chunk's conflicts. */
struct chunk {
	struct db *db;
	struct making *m;
	int32_t from, to; /* tasks from + 1 .. to */
	utc_ms now;
	int32_t order_no;
	bool contested; /* tasks of other jobs are in the way */
	size_t n_lose, n_end, n_count, n_gone;
	const int64_t *gone_seq; /* tasks of ours whose devices were deleted meanwhile */
	int64_t *lose_seq; /* tasks of ours that lose */
	const char **lose_reason;
	int64_t *end_job, *end_seq, *end_device; /* tasks of others that end */
	const char **end_reason, **end_key;
	int64_t *end_from, *end_why, *end_ms; /* their state, and for the log what ended them, and when */
	int64_t *count_job, *count[3]; /* overwritten tasks by job: CONFIRM, QUEUED, NOTIFIED */
};

/* The bulk order that covers new tasks; reason NULL: there is none. */
struct chunk_order {
	const char *reason;
	int64_t why;
	utc_ms at;
};

static void range_args(struct args *a, const struct chunk *c)
{
	args_init(a, c->db);
	arg_int(a, c->m->job_id);
	arg_int(a, c->from);
	arg_int(a, c->to);
}

/* The jobs in the way. Asked only where a device is held at all: a join that finds nothing costs as much as one that
 * does, and workers that are started for it more. */
static enum err chunk_rivals(struct chunk *c, struct rows **ret)
{
	struct rows *r;
	struct args a;

	*ret = NULL;
	range_args(&a, c);
	TRY(db_one(c->db, S_making_between, &a, &r));
	if (!row_bool(r, 0, C_making_between_held))
		return OK;
	arg_bool(&a, c->m->multi_module);
	arg_text(&a, c->m->module);
	return db_run(c->db, S_making_conflict_jobs, &a, ret);
}

/* Locks the product, then this job and all jobs in the way, in one statement. */
static enum err chunk_lock(struct chunk *c, const int64_t **ret_jobs, size_t *ret_n)
{
	struct rows *r;
	int64_t *jobs;
	size_t n = 0;
	int rivals;

	TRY(store_product_lock_tasks(c->db, c->m->product_id));
	TRY(chunk_rivals(c, &r));
	rivals = r ? rows_count(r) : 0;
	c->contested = rivals > 0;
	jobs = ARENA_ARRAY(db_arena(c->db), (size_t)rivals + 1, int64_t);
	jobs[n++] = c->m->job_id;
	for (int i = 0; i < rivals; i++)
		jobs[n++] = row_int(r, i, C_making_conflict_jobs_job_id);
	*ret_jobs = jobs;
	*ret_n = n;
	return store_job_lock(c->db, jobs, n);
}

static void end_other(struct chunk *c, const struct rows *r, int i, const char *reason, int64_t why, utc_ms at)
{
	size_t n = c->n_end++;

	c->end_job[n] = row_int(r, i, C_making_conflicts_other_job);
	c->end_seq[n] = row_int(r, i, C_making_conflicts_other_seq);
	c->end_device[n] = row_int(r, i, C_making_conflicts_device_id);
	c->end_key[n] = row_text(r, i, C_making_conflicts_key);
	c->end_reason[n] = reason;
	c->end_from[n] = row_int(r, i, C_making_conflicts_row_state);
	c->end_why[n] = why;
	c->end_ms[n] = at;
}

static void count_overwritten(struct chunk *c, int64_t job, enum task_state from)
{
	size_t i = 0;

	while (i < c->n_count && c->count_job[i] != job)
		i++;
	if (i == c->n_count)
		c->count_job[c->n_count++] = job;
	c->count[from - TASK_CONFIRM][i]++;
}

/* Decides about one task of ours: rows first .. last - 1 of r are the tasks in its way. */
static void decide_one(struct chunk *c, const struct rows *r, int first, int last)
{
	struct arena *a = db_arena(c->db);
	struct conflict_task *others = ARENA_ARRAY(a, (size_t)(last - first), struct conflict_task);
	int64_t holder = 0;
	char id[ID_LEN + 1];
	size_t n = 0;

	for (int i = first; i < last; i++) {
		enum task_state s = (enum task_state)row_int(r, i, C_making_conflicts_other_state);

		if (!task_state_unfinished(s)) { /* by a bulk order, which counted it: it is written here */
			end_other(c, r, i, row_text(r, i, C_making_conflicts_other_desc),
				  row_int(r, i, C_making_conflicts_order_why), row_int(r, i, C_making_conflicts_other_ms));
			continue;
		}
		holder = row_int(r, i, C_making_conflicts_other_job);
		others[n++] = (struct conflict_task){ .state = s, .key = row_text(r, i, C_making_conflicts_key) };
	}
	switch (conflict_decide(c->m->multi_module, c->m->overwrite_mode, c->m->module, others, n)) {
	case CONFLICT_NONE:
		return;
	case CONFLICT_LOSES:
		id_format(ID_JOB, holder, 0, id);
		c->lose_seq[c->n_lose] = row_int(r, first, C_making_conflicts_seq);
		c->lose_reason[c->n_lose++] = arena_printf(a, TASK_REASON_HELD, id);
		return;
	case CONFLICT_OVERWRITE:
		break;
	}
	id_format(ID_JOB, c->m->job_id, 0, id);
	for (int i = first; i < last; i++) {
		enum task_state s = (enum task_state)row_int(r, i, C_making_conflicts_other_state);

		if (!task_state_unfinished(s))
			continue;
		end_other(c, r, i, arena_printf(a, TASK_REASON_OVERWRITTEN, id), WHY_OVERWRITTEN, c->now);
		count_overwritten(c, row_int(r, i, C_making_conflicts_other_job), s);
	}
}

static enum err chunk_decide(struct chunk *c)
{
	struct arena *arena = db_arena(c->db);
	struct rows *r;
	struct args a;
	size_t n;

	if (!c->contested)
		return OK;
	range_args(&a, c);
	arg_bool(&a, c->m->multi_module);
	arg_text(&a, c->m->module);
	TRY(db_run(c->db, S_making_conflicts, &a, &r));
	n = (size_t)rows_count(r);
	c->lose_seq = ARENA_ARRAY(arena, n, int64_t);
	c->lose_reason = ARENA_ARRAY(arena, n, const char *);
	c->end_job = ARENA_ARRAY(arena, n, int64_t);
	c->end_seq = ARENA_ARRAY(arena, n, int64_t);
	c->end_device = ARENA_ARRAY(arena, n, int64_t);
	c->end_reason = ARENA_ARRAY(arena, n, const char *);
	c->end_key = ARENA_ARRAY(arena, n, const char *);
	c->end_from = ARENA_ARRAY(arena, n, int64_t);
	c->end_ms = ARENA_ARRAY(arena, n, int64_t);
	c->end_why = ARENA_ARRAY(arena, n, int64_t);
	c->count_job = ARENA_ARRAY(arena, n, int64_t);
	for (size_t i = 0; i < ARRAY_LEN(c->count); i++)
		c->count[i] = ARENA_ARRAY(arena, n, int64_t);
	for (int first = 0, last; first < rows_count(r); first = last) {
		for (last = first + 1; last < rows_count(r); last++)
			if (row_int(r, last, C_making_conflicts_seq) != row_int(r, first, C_making_conflicts_seq))
				break;
		decide_one(c, r, first, last);
	}
	return OK;
}

/* Ends the tasks of other jobs that give way. */
static enum err chunk_end_others(struct chunk *c)
{
	struct args a;

	if (c->n_end == 0)
		return OK;
	args_init(&a, c->db);
	arg_ints(&a, c->end_job, c->n_end);
	arg_ints(&a, c->end_seq, c->n_end);
	arg_texts(&a, c->end_reason, c->n_end);
	arg_ints(&a, c->end_ms, c->n_end);
	TRY(db_run(c->db, S_making_end_others, &a, NULL));
	args_init(&a, c->db);
	arg_ints(&a, c->end_device, c->n_end);
	arg_texts(&a, c->end_key, c->n_end);
	TRY(db_run(c->db, S_making_free, &a, NULL));
	if (c->n_count == 0)
		return OK;
	args_init(&a, c->db);
	arg_ints(&a, c->count_job, c->n_count);
	for (size_t i = 0; i < ARRAY_LEN(c->count); i++)
		arg_ints(&a, c->count[i], c->n_count);
	arg_int(&a, c->now);
	return db_run(c->db, S_making_count_others, &a, NULL);
}

static enum err chunk_fail_losers(struct chunk *c)
{
	struct args a;

	if (c->n_lose == 0)
		return OK;
	args_init(&a, c->db);
	arg_int(&a, c->m->job_id);
	arg_ints(&a, c->lose_seq, c->n_lose);
	arg_texts(&a, c->lose_reason, c->n_lose);
	arg_int(&a, c->now);
	return db_run(c->db, S_making_fail, &a, NULL);
}

/* A device that was deleted after it had been chosen: nobody else would ever end its task. */
static enum err chunk_gone(struct chunk *c)
{
	struct rows *r;
	struct args a;
	int64_t *seq;

	range_args(&a, c);
	arg_int(&a, c->now);
	arg_text(&a, TASK_REASON_DELETED);
	TRY(db_run(c->db, S_making_gone, &a, &r));
	c->n_gone = (size_t)rows_count(r);
	seq = ARENA_ARRAY(db_arena(c->db), c->n_gone, int64_t);
	for (size_t i = 0; i < c->n_gone; i++)
		seq[i] = row_int(r, (int)i, C_making_gone_seq);
	c->gone_seq = seq;
	return OK;
}

/* Gives the devices to the tasks that are left. */
static enum err chunk_activate(struct chunk *c)
{
	struct args a;

	range_args(&a, c);
	arg_text(&a, c->m->multi_module ? c->m->module : WHOLE_DEVICE);
	return db_run(c->db, S_making_activate, &a, NULL);
}

static enum err chunk_log(struct chunk *c, const struct chunk_order *canceled)
{
	struct arena *arena = db_arena(c->db);
	size_t n = 0, max = c->n_lose + c->n_end + c->n_gone + 1;
	int64_t *job = ARENA_ARRAY(arena, max, int64_t), *seq = ARENA_ARRAY(arena, max, int64_t);
	int64_t *to = ARENA_ARRAY(arena, max, int64_t), *from = ARENA_ARRAY(arena, max, int64_t);
	int64_t *state = ARENA_ARRAY(arena, max, int64_t), *why = ARENA_ARRAY(arena, max, int64_t);
	int64_t *at = ARENA_ARRAY(arena, max, int64_t);
	const char **detail = ARENA_ARRAY(arena, max, const char *);
	enum task_state first = c->m->need_confirm ? TASK_CONFIRM : TASK_QUEUED;
	struct args a;

#define LOG_ROW(at_, job_, seq_, to_, from_, state_, why_, detail_) \
	(at[n] = (at_), job[n] = (job_), seq[n] = (seq_), to[n] = (to_), from[n] = (from_), state[n] = (state_), why[n] = (why_), \
	 detail[n++] = (detail_))
	LOG_ROW(c->now, c->m->job_id, c->from + 1, c->to, TASK_NONE, canceled->reason ? TASK_CANCELED : first,
		canceled->reason ? canceled->why : WHY_MADE, canceled->reason);
	for (size_t i = 0; i < c->n_lose; i++)
		LOG_ROW(c->now, c->m->job_id, c->lose_seq[i], c->lose_seq[i], first, TASK_FAILED, WHY_CONFLICT, c->lose_reason[i]);
	for (size_t i = 0; i < c->n_gone; i++)
		LOG_ROW(c->now, c->m->job_id, c->gone_seq[i], c->gone_seq[i], first, TASK_CANCELED, WHY_DELETED,
			TASK_REASON_DELETED);
	for (size_t i = 0; i < c->n_end; i++)
		LOG_ROW(c->end_ms[i], c->end_job[i], c->end_seq[i], c->end_seq[i], c->end_from[i], TASK_CANCELED, c->end_why[i],
			c->end_reason[i]);
#undef LOG_ROW
	args_init(&a, c->db);
	arg_ints(&a, at, n);
	arg_ints(&a, job, n);
	arg_ints(&a, seq, n);
	arg_ints(&a, to, n);
	arg_ints(&a, from, n);
	arg_ints(&a, state, n);
	arg_ints(&a, why, n);
	arg_texts(&a, detail, n);
	return db_run(c->db, S_making_events, &a, NULL);
}

/* A bulk order that covers new tasks came before they were made: they are made CANCELED. */
static enum err chunk_cancel(struct chunk *c, const struct chunk_order *o)
{
	struct args a;

	range_args(&a, c);
	arg_text(&a, o->reason);
	arg_int(&a, c->order_no);
	arg_int(&a, o->at);
	return db_run(c->db, S_making_cancel_chunk, &a, NULL);
}

static enum err chunk_made(struct chunk *c, bool canceled)
{
	int64_t all = c->to - c->from, gone = (int64_t)c->n_gone;
	int64_t live = canceled ? 0 : all - gone - (int64_t)c->n_lose;
	struct args a;

	args_init(&a, c->db);
	arg_int(&a, c->m->job_id);
	arg_int(&a, c->to);
	arg_int(&a, c->m->need_confirm ? live : 0);
	arg_int(&a, c->m->need_confirm ? 0 : live);
	arg_int(&a, canceled ? 0 : (int64_t)c->n_lose);
	arg_int(&a, canceled ? all : gone);
	arg_bool(&a, c->to >= c->m->chosen);
	arg_int(&a, c->now);
	return db_run(c->db, S_making_made, &a, NULL);
}

static enum err chunk_order(struct chunk *c, struct chunk_order *ret)
{
	struct rows *r;
	struct args a;
	enum err e;

	*ret = (struct chunk_order){ .reason = NULL };
	if (c->order_no == 0)
		return OK;
	args_init(&a, c->db);
	arg_int(&a, c->m->job_id);
	arg_int(&a, c->m->need_confirm ? TASK_CONFIRM : TASK_QUEUED);
	e = db_one(c->db, S_making_order, &a, &r);
	if (e == ERR_NOT_FOUND)
		return OK;
	TRY(e);
	ret->reason = row_text(r, 0, C_making_order_reason);
	ret->why = row_int(r, 0, C_making_order_why);
	ret->at = row_int(r, 0, C_making_order_at_ms);
	return OK;
}

static enum err chunk_in_txn(struct chunk *c)
{
	struct chunk_order canceled;
	const int64_t *jobs;
	struct rows *r;
	struct args a;
	size_t n;

	TRY(chunk_lock(c, &jobs, &n));
	args_init(&a, c->db);
	arg_int(&a, c->m->job_id);
	TRY(db_one(c->db, S_making_state, &a, &r));
	if (row_int(r, 0, C_making_state_making) != MAKING_CHUNKS || row_int(r, 0, C_making_state_made_seq) != c->from)
		return fail(db_error(c->db), ERR_DB_RETRY, "another maker was here");
	c->order_no = (int32_t)row_int(r, 0, C_making_state_order_no);
	TRY(chunk_order(c, &canceled));
	if (canceled.reason) {
		TRY(chunk_cancel(c, &canceled));
	} else {
		TRY(chunk_gone(c));
		TRY(chunk_decide(c));
		TRY(chunk_end_others(c));
		TRY(chunk_fail_losers(c));
		TRY(chunk_activate(c));
	}
	if (c->to > c->from)
		TRY(chunk_log(c, &canceled));
	TRY(chunk_made(c, canceled.reason != NULL));
	return store_job_settle(c->db, jobs, n, c->now);
}

enum err store_making_chunk(struct db *db, struct making *m, int32_t rows, utc_ms now)
{
	struct chunk c = { .db = db, .m = m, .from = m->made_seq, .now = now };

	c.to = (int32_t)i64_min((int64_t)m->made_seq + rows, m->chosen);
	TRY(db_begin(db));
	TRY(txn_end(db, chunk_in_txn(&c)));
	m->made_seq = c.to;
	if (c.to >= m->chosen)
		m->making = MAKING_DONE;
	return OK;
}

/* ---- bulk orders ---- */

static enum err order_in_txn(struct db *db, int64_t job, int32_t no, int32_t rows)
{
	int32_t from, to, made;
	struct rows *r;
	struct args a;
	bool done;

	TRY(store_job_lock(db, &job, 1));
	args_init(&a, db);
	arg_int(&a, job);
	arg_int(&a, no);
	TRY(db_one(db, S_order_state, &a, &r));
	from = (int32_t)row_int(r, 0, C_order_state_written_seq);
	made = (int32_t)row_int(r, 0, C_order_state_made_seq);
	to = (int32_t)i64_min((int64_t)from + rows, made);
	/* tasks that are made later get the order when they are made */
	done = to >= made;
	arg_int(&a, from);
	arg_int(&a, to);
	TRY(db_run(db, S_order_write, &a, NULL));
	args_init(&a, db);
	arg_int(&a, job);
	arg_int(&a, no);
	arg_int(&a, to);
	arg_bool(&a, done);
	return db_run(db, S_order_written, &a, NULL);
}

enum err store_order_write(struct db *db, int32_t rows)
{
	struct rows *r;
	enum err e;

	TRY(db_begin(db));
	e = db_one(db, S_order_next, NULL, &r);
	if (e == OK)
		e = order_in_txn(db, row_int(r, 0, C_order_next_job_id), (int32_t)row_int(r, 0, C_order_next_no), rows);
	return txn_end(db, e);
}
