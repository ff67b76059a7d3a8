/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/gather.h"

#include "engine/base/metrics.h"
#include "storage/db_priv.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TOGETHER_MAX 64

/* A result that several units of work read; the last of them frees it. */
struct answer {
	PGresult *result;
	_Atomic int readers;
};

/* One thread's question, on its stack until it is answered. */
struct question {
	struct question *next;
	int64_t a, b;
	int64_t until_ms; /* boot clock */
	sem_t moved;
	enum standing {
		WAITING,
		ASKING,	  /* its thread asks for all that wait */
		ANSWERED, /* answer is set */
		LEFT,	  /* who asked had no answer: its thread asks for itself */
	} standing;
	struct answer *answer;
	int row; /* -1: there is none */
};

/* Those who want a row of the same statement. One of them asks whenever there are any. */
struct line {
	struct question *first, **end;
	bool asked;
	struct db *db; /* of the thread that asks; NULL: not yet wanted */
};

struct gather {
	pthread_mutex_t lock; /* guards the lines; nothing is taken under it */
	struct line lines[STMT_COUNT];
	char *conninfo, *name;
	struct db_options options;
};

struct gather *gather_new(const struct db_options *o)
{
	struct gather *g = calloc(1, sizeof *g);

	ensure(g != NULL && pthread_mutex_init(&g->lock, NULL) == 0);
	g->options = *o;
	g->options.conninfo = g->conninfo = strdup(o->conninfo);
	g->options.name = g->name = strdup(o->name);
	ensure(g->conninfo && g->name);
	for (size_t i = 0; i < ARRAY_LEN(g->lines); i++)
		g->lines[i].end = &g->lines[i].first;
	return g;
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < ARRAY_LEN(g->lines); i++)
		db_free(g->lines[i].db);
	(void)pthread_mutex_destroy(&g->lock);
	free(g->conninfo);
	free(g->name);
	free(g);
}

static void answer_release(void *arg)
{
	struct answer *w = arg;

	if (atomic_fetch_sub(&w->readers, 1) > 1)
		return;
	PQclear(w->result);
	free(w);
}

/* ---- asking ---- */

static enum err ask(struct db *db, enum stmt s, const struct question *first, size_t n, PGresult **ret)
{
	int64_t *a = ARENA_ARRAY(db_arena(db), n, int64_t), *b = ARENA_ARRAY(db_arena(db), n, int64_t);
	struct args args;

	for (size_t i = 0; i < n; i++, first = first->next) {
		a[i] = first->a;
		b[i] = first->b;
	}
	args_init(&args, db);
	arg_ints(&args, a, n);
	arg_ints(&args, b, n);
	return db_result(db, s, &args, ret);
}

/* To each question its row, by the questions' places. */
static void hand_out(PGresult *result, int no, struct question *first, size_t n)
{
	struct answer *w = calloc(1, sizeof *w);

	ensure(w != NULL);
	w->result = result;
	atomic_init(&w->readers, (int)n);
	for (struct question *q = first; q; q = q->next) {
		q->answer = w;
		q->row = -1;
	}
	for (int i = 0; i < PQntuples(result); i++) {
		struct question *q = first;

		for (long k = strtol(PQgetvalue(result, i, no), NULL, 10); k > 1; k--)
			q = q->next;
		q->row = i;
	}
}

static enum err ask_alone(struct db *db, enum stmt s, int no, struct question *q)
{
	PGresult *result = NULL;

	q->next = NULL;
	TRY(ask(db, s, q, 1, &result));
	hand_out(result, no, q, 1);
	return OK;
}

/* Under the lock: those who wait leave the line, at most so many. */
static struct question *take(struct line *l, size_t *ret_n)
{
	struct question *first = l->first, **end = &l->first;

	for (*ret_n = 0; *end && *ret_n < TOGETHER_MAX; ++*ret_n)
		end = &(*end)->next;
	l->first = *end;
	*end = NULL;
	if (!l->first)
		l->end = &l->first;
	return first;
}

/* Its thread goes on, and the question with it. */
static void move(struct question *q, enum standing to)
{
	q->standing = to;
	ensure(sem_post(&q->moved) == 0);
}

/* By the first of the line. Without an answer only it has failed; the others ask for themselves, with the time and the
 * connections that they have. */
static enum err ask_together(struct db *db, struct gather *g, enum stmt s, int no, struct question *me)
{
	struct line *l = &g->lines[s];
	struct question *first, *next, *leads;
	int64_t until = me->until_ms;
	size_t n;
	PGresult *result = NULL;
	enum err e;

	ensure(pthread_mutex_lock(&g->lock) == 0);
	first = take(l, &n);
	ensure(pthread_mutex_unlock(&g->lock) == 0);
	for (struct question *q = first; q; q = q->next)
		until = i64_min(until, q->until_ms);
	if (!l->db)
		l->db = db_new(&g->options);
	db_begin_work(l->db, db_arena(db), db_error(db));
	db_set_until(l->db, until);
	e = ask(l->db, s, first, n, &result);
	if (e == OK) {
		hand_out(result, no, first, n);
		metric_add(M_DB_GATHERED, (int64_t)n - 1);
	}
	ensure(pthread_mutex_lock(&g->lock) == 0);
	leads = l->first;
	l->asked = leads != NULL;
	ensure(pthread_mutex_unlock(&g->lock) == 0);
	for (struct question *q = first; q; q = next) {
		next = q->next;
		if (q != me)
			move(q, e == OK ? ANSWERED : LEFT);
	}
	/* Last: the others' answers are on their way, and their next questions may come along. */
	if (leads)
		move(leads, ASKING);
	return e;
}

/* Until it is this question's turn to ask, or somebody has. */
static void wait_in_line(struct gather *g, enum stmt s, struct question *q)
{
	struct line *l = &g->lines[s];
	bool leads;

	ensure(pthread_mutex_lock(&g->lock) == 0);
	*l->end = q;
	l->end = &q->next;
	leads = !l->asked;
	l->asked = true;
	ensure(pthread_mutex_unlock(&g->lock) == 0);
	if (leads) {
		q->standing = ASKING;
		return;
	}
	metric_add(M_DB_IN_LINE, 1);
	while (sem_wait(&q->moved) != 0)
		ensure(errno == EINTR);
	metric_add(M_DB_IN_LINE, -1);
}

static enum err ask_in_line(struct db *db, struct gather *g, enum stmt s, int no, struct question *q)
{
	enum err e = OK;

	ensure(sem_init(&q->moved, 0, 0) == 0);
	wait_in_line(g, s, q);
	if (q->standing == ASKING)
		e = ask_together(db, g, s, no, q);
	else if (q->standing == LEFT)
		e = ask_alone(db, s, no, q);
	(void)sem_destroy(&q->moved);
	return e;
}

enum err gather_row(struct db *db, enum stmt s, int no, int64_t a, int64_t b, struct rows **ret, int *ret_row)
{
	struct question q = { .a = a, .b = b, .until_ms = db_until(db), .standing = WAITING };
	struct gather *g = db_gather(db);

	TRY(g && !db_in_txn(db) ? ask_in_line(db, g, s, no, &q) : ask_alone(db, s, no, &q));
	*ret = rows_shared(db_arena(db), q.answer->result, q.answer, answer_release);
	*ret_row = q.row;
	return q.row < 0 ? ERR_NOT_FOUND : OK;
}
