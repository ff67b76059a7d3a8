/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "storage/db_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The server ends a statement at its deadline; when it does not answer even then, it is frozen or gone. */
#define FROZEN_MS 1000
/* A rollback has this time when there is none left: a server that works needs far less. */
#define ROLLBACK_MS 100
/* Plans made while a table was empty are wrong once it is full, and ANALYZE may come a minute late: they are renewed
 * after this time, if statements took so long meanwhile. */
#define PLANS_MS 5000
#define PLANS_USED_US 100000

struct db {
	struct db_options opt;
	char *conninfo, *name;
	PGconn *conn;
	struct arena *arena;
	struct error *error;
	int deadline_ms;
	int server_deadline_ms; /* statement_timeout as it is set; 0: not yet */
	int64_t planned_ms;	/* boot clock; since when there are pinned plans */
	int64_t used_us;	/* how long statements took since */
	int64_t until_ms;	/* boot clock, INT64_MAX: no end of all statements' time */
	bool in_txn, checked;
	bool prepared[STMT_COUNT]; /* on this connection */
	int64_t touched;
};

static int given_or_configured(int ms)
{
	return ms > 0 ? ms : (int)config_now()->database_timeout_ms;
}

struct db *db_new(const struct db_options *o)
{
	struct db *db = calloc(1, sizeof *db);

	ensure(db != NULL);
	db->opt = *o;
	db->conninfo = strdup(o->conninfo);
	db->name = strdup(o->name);
	ensure(db->conninfo && db->name);
	db->until_ms = INT64_MAX;
	return db;
}

static void drop(struct db *db)
{
	if (db->conn)
		PQfinish(db->conn);
	db->conn = NULL;
	db->in_txn = false;
	memset(db->prepared, 0, sizeof db->prepared);
	db->server_deadline_ms = 0;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	drop(db);
	free(db->conninfo);
	free(db->name);
	free(db);
}

struct arena *db_arena(struct db *db)
{
	return db->arena;
}

struct arena *db_use_arena(struct db *db, struct arena *arena)
{
	struct arena *before = db->arena;

	db->arena = arena;
	return before;
}

struct error *db_error(struct db *db)
{
	return db->error;
}

void db_set_deadline(struct db *db, int statement_ms)
{
	db->deadline_ms = statement_ms;
}

void db_set_until(struct db *db, int64_t boot_ms)
{
	db->until_ms = boot_ms;
}

bool db_in_txn(const struct db *db)
{
	return db->in_txn;
}

int64_t db_until(const struct db *db)
{
	return db->until_ms;
}

struct gather *db_gather(const struct db *db)
{
	return db->opt.gather;
}

int64_t db_touched(const struct db *db)
{
	return db->touched;
}

static const char *trimmed(struct arena *a, const char *message)
{
	size_t len = strcspn(message, "\n");

	return arena_strndup(a, message, len);
}

/* The connection is of no use any more. */
static enum err lost(struct db *db, enum err e, const char *why)
{
	const char *text = trimmed(db->arena, why);

	log_limited(EV_DB_LOST, LSTR("connection", db->name), LSTR("why", text));
	drop(db);
	return fail(db->error, e, "%s", text);
}

/* Waits until the socket is ready for `events` or the deadline (clock_boot_ms) has passed. */
static bool wait_socket(PGconn *conn, short events, int64_t until)
{
	for (;;) {
		int64_t left = until - clock_boot_ms();
		struct pollfd p = { .fd = PQsocket(conn), .events = events };
		int n;

		if (left <= 0 || p.fd < 0)
			return false;
		n = poll(&p, 1, (int)left);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* SQLSTATE to our errors; everything that is not listed is ERR_DB. */
static enum err translate(const char *state)
{
	static const struct {
		const char *state;
		enum err err;
	} map[] = {
		{ "23505", ERR_DB_CONFLICT },   { "40001", ERR_DB_RETRY },      { "40P01", ERR_DB_RETRY },
		{ "55P03", ERR_DB_RETRY },      { "57P01", ERR_DB_CONNECTION }, { "57P02", ERR_DB_CONNECTION },
		{ "57P03", ERR_DB_CONNECTION }, { "57014", ERR_DB_TIMEOUT },    { "25006", ERR_UNAVAILABLE },
		{ "53100", ERR_UNAVAILABLE },   { "53200", ERR_UNAVAILABLE },   { "53300", ERR_DB_CONNECTION },
	};

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (strcmp(map[i].state, state) == 0)
			return map[i].err;
	return ERR_DB;
}

static enum err refused(struct db *db, const char *what, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	enum err e = translate(state ? state : "");

	if (PQstatus(db->conn) != CONNECTION_OK)
		return lost(db, ERR_DB_CONNECTION, message ? message : "connection lost");
	if (e == ERR_DB_CONFLICT)
		return e; /* the caller knows what it means */
	if (e == ERR_DB)
		log_limited(EV_DB_REFUSED, LSTR("statement", what), LSTR("sqlstate", state ? state : ""),
			    LSTR("message", message ? message : ""));
	return fail(db->error, e, "%s: %s%s", what, message ? message : "refused",
		    state && strcmp(state, "42501") == 0 ? " (otactl migrate --owner gives otad's role its rights)" : "");
}

/* Collects the answer to what was sent: the last result, or an error. Owns nothing on failure. */
static enum err collect(struct db *db, const char *what, PGresult **ret)
{
	int64_t until = i64_min(clock_boot_ms() + db->deadline_ms + FROZEN_MS, db->until_ms);
	PGresult *last = NULL, *r;
	ExecStatusType st;
	enum err e;

	for (;;) {
		int flushed = PQflush(db->conn);

		if (flushed < 0)
			return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
		if (!flushed)
			break;
		if (!wait_socket(db->conn, POLLOUT | POLLIN, until))
			return lost(db, ERR_DB_TIMEOUT, "deadline passed while sending");
		if (!PQconsumeInput(db->conn))
			return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	}
	for (;;) {
		while (PQisBusy(db->conn)) {
			if (!wait_socket(db->conn, POLLIN, until)) {
				PQclear(last);
				return lost(db, ERR_DB_TIMEOUT, "deadline of the statement passed");
			}
			if (!PQconsumeInput(db->conn)) {
				PQclear(last);
				return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
			}
		}
		r = PQgetResult(db->conn);
		if (!r)
			break;
		if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
			PQclear(r);
			continue;
		}
		PQclear(last);
		last = r;
	}
	if (!last)
		return lost(db, ERR_DB_CONNECTION, "no answer");
	st = PQresultStatus(last);
	if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_EMPTY_QUERY) {
		*ret = last;
		return OK;
	}
	e = refused(db, what, last);
	PQclear(last);
	return e;
}

static enum err simple(struct db *db, const char *what, const char *sql)
{
	PGresult *r = NULL;

	if (!PQsendQuery(db->conn, sql))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	TRY(collect(db, what, &r));
	PQclear(r);
	return OK;
}

/* Names of the parameter types as they are declared in the .sql files. */
static const char *type_name(Oid oid)
{
	static const struct {
		Oid oid;
		const char *name;
	} map[] = { { 16, "bool" },    { 17, "bytea" },     { 20, "bigint" },     { 21, "smallint" },
		    { 23, "int" },     { 25, "text" },      { 1016, "bigint[]" }, { 1009, "text[]" },
		    { 1007, "int[]" }, { 1005, "smallint[]" }, { 1001, "bytea[]" }, { 1000, "bool[]" }, { 3802, "jsonb" } };

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (map[i].oid == oid)
			return map[i].name;
	return "unknown";
}

/* The declaration of a statement against what the server says of it. */
static enum err check_declared(struct db *db, const struct stmt_def *d)
{
	struct buf in, out;
	PGresult *r = NULL;
	enum err e;

	if (!PQsendDescribePrepared(db->conn, d->name))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	TRY(collect(db, d->name, &r));
	buf_init(&in, 4096);
	buf_init(&out, 4096);
	for (int i = 0; i < PQnparams(r); i++)
		buf_addf(&in, "%s%s", i ? " " : "", type_name(PQparamtype(r, i)));
	for (int i = 0; i < PQnfields(r); i++)
		buf_addf(&out, "%s%s", i ? " " : "", PQfname(r, i));
	PQclear(r);
	e = strcmp(buf_str(&in), d->in) == 0 && strcmp(buf_str(&out), d->out) == 0 ? OK : ERR_CONFIG;
	if (e != OK)
		e = fail(db->error, e, "%s: statement %s is declared (%s) -> (%s), the database says (%s) -> (%s)",
			 d->where, d->name, d->in, d->out, buf_str(&in), buf_str(&out));
	buf_free(&in);
	buf_free(&out);
	return e;
}

/* At its first use: a connection that is made anew is at work at once, and its process at the server remembers only what it
 * is asked for. */
static enum err prepare(struct db *db, enum stmt s)
{
	const struct stmt_def *d = &stmt_table[s];
	PGresult *r = NULL;

	if (db->prepared[s])
		return OK;
	if (!PQsendPrepare(db->conn, d->name, d->sql, 0, NULL))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	TRY(collect(db, d->where, &r));
	PQclear(r);
	db->prepared[s] = true;
	return OK;
}

static enum err check_all(struct db *db)
{
	for (int s = STMT_NONE + 1; s < STMT_COUNT; s++) {
		TRY(prepare(db, (enum stmt)s));
		TRY(check_declared(db, &stmt_table[s]));
	}
	return OK;
}

/* A process that is frozen in a transaction must not hold its locks longer than others wait for them; a backend whose
 * client is gone must not go on. Compiling a statement takes longer than running any of ours, and costs are no measure
 * where plans are pinned. */
#define LIMITS "-c idle_in_transaction_session_timeout=3s -c client_connection_check_interval=1s -c jit=off"

/* The server's remarks; libpq would print them into our log. */
static void unheard(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static enum err connect_now(struct db *db)
{
	int64_t until = i64_min(clock_boot_ms() + given_or_configured(db->opt.connect_ms), db->until_ms);
	static const char *const options[] = {
		[DB_PLANS_SERVER] = LIMITS,
		[DB_PLANS_PINNED] = LIMITS " -c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off "
					   "-c plan_cache_mode=force_generic_plan",
		[DB_PLANS_EACH] = LIMITS,
	};
	const char *keys[] = { "dbname",          "application_name",      "options", "client_encoding", "keepalives_idle",
			       "tcp_user_timeout", "target_session_attrs", NULL };
	const char *values[] = { db->conninfo, db->name,
				 options[db->opt.plans],
				 "UTF8", "5", "10000", "read-write", NULL };
	PostgresPollingStatusType p = PGRES_POLLING_WRITING;

	db->conn = PQconnectStartParams(keys, values, 1);
	ensure(db->conn != NULL);
	(void)PQsetNoticeProcessor(db->conn, unheard, NULL);
	if (PQstatus(db->conn) == CONNECTION_BAD)
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	while (p != PGRES_POLLING_OK) {
		if (p == PGRES_POLLING_FAILED)
			return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
		if (!wait_socket(db->conn, p == PGRES_POLLING_READING ? POLLIN : POLLOUT, until))
			return lost(db, ERR_DB_CONNECTION, "deadline passed while connecting");
		p = PQconnectPoll(db->conn);
	}
	if (PQsetnonblocking(db->conn, 1) != 0)
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	return OK;
}

enum err db_connect(struct db *db)
{
	enum err e;

	if (db->conn && PQstatus(db->conn) == CONNECTION_OK)
		return OK;
	drop(db);
	e = connect_now(db);
	/* Not as an option of the connection: target_session_attrs would refuse it. */
	if (e == OK && db->opt.read_only)
		e = simple(db, "read only", "set default_transaction_read_only = on");
	if (e != OK)
		drop(db);
	return e;
}

/* The server's own limit follows the deadline, outside transactions: inside, a rollback would undo the setting. */
static enum err server_deadline_set(struct db *db)
{
	if (db->in_txn || db->server_deadline_ms == db->deadline_ms)
		return OK;
	TRY(simple(db, "deadline", arena_printf(db->arena, "set statement_timeout = %d", db->deadline_ms)));
	db->server_deadline_ms = db->deadline_ms;
	return OK;
}

static enum err plans_renew(struct db *db)
{
	if (db->opt.plans != DB_PLANS_PINNED || db->in_txn || db->used_us < PLANS_USED_US ||
	    clock_boot_ms() - db->planned_ms < PLANS_MS)
		return OK;
	db->planned_ms = clock_boot_ms();
	db->used_us = 0;
	return simple(db, "plans", "discard plans");
}

/* Statements are looked at when one is wanted, so that migrations can run on a connection whose tables do not exist yet. */
static enum err ready(struct db *db)
{
	enum err e;

	if (db->in_txn && (!db->conn || PQstatus(db->conn) != CONNECTION_OK)) {
		drop(db);
		return fail(db->error, ERR_DB_CONNECTION, "the connection was lost inside a transaction");
	}
	if (clock_boot_ms() >= db->until_ms)
		return fail(db->error, ERR_DB_TIMEOUT, "no time is left for another statement");
	TRY(db_connect(db));
	TRY(server_deadline_set(db));
	TRY(plans_renew(db));
	if (!db->opt.check_statements || db->checked)
		return OK;
	e = check_all(db);
	if (e != OK)
		drop(db);
	db->checked = e == OK;
	return e;
}

void db_begin_work(struct db *db, struct arena *arena, struct error *error)
{
	if (db->in_txn)
		db_rollback(db);
	db->arena = arena;
	db->error = error;
	db->deadline_ms = given_or_configured(db->opt.statement_ms);
}

void db_begin_anew(struct db *db)
{
	error_clear(db->error);
	db_begin_work(db, db->arena, db->error);
}

enum err db_begin(struct db *db)
{
	TRY(ready(db));
	ensure(!db->in_txn);
	TRY(simple(db, "begin",
		   db->opt.read_only		       ? "begin read write"
		   : db->opt.plans == DB_PLANS_EACH ? "begin; set local plan_cache_mode = force_custom_plan"
						       : "begin"));
	db->in_txn = true;
	return OK;
}

enum err db_commit(struct db *db)
{
	PGresult *r = NULL;
	enum err e;
	bool rolled_back;

	ensure(db->in_txn);
	if (!db->conn || !PQsendQuery(db->conn, "commit"))
		return lost(db, ERR_COMMIT_UNKNOWN, "connection lost before the commit");
	db->in_txn = false;
	e = collect(db, "commit", &r);
	if (e == ERR_DB_TIMEOUT || e == ERR_DB_CONNECTION) {
		db->error->err = ERR_COMMIT_UNKNOWN;
		return ERR_COMMIT_UNKNOWN;
	}
	if (e != OK)
		return e;
	rolled_back = strcmp(PQcmdStatus(r), "ROLLBACK") == 0;
	PQclear(r);
	return rolled_back ? fail(db->error, ERR_DB, "the transaction had failed before its commit") : OK;
}

void db_rollback(struct db *db)
{
	struct arena scratch;
	struct error ignored;
	struct arena *arena = db->arena;
	struct error *error = db->error;
	int64_t until = db->until_ms;

	if (!db->in_txn)
		return;
	db->in_txn = false;
	if (!db->conn)
		return;
	arena_init(&scratch);
	error_init(&ignored, &scratch);
	db->arena = &scratch;
	db->error = &ignored;
	db->until_ms = i64_max(until, clock_boot_ms() + ROLLBACK_MS);
	if (simple(db, "rollback", "rollback") != OK)
		drop(db);
	db->until_ms = until;
	db->arena = arena;
	db->error = error;
	arena_free(&scratch);
}

enum err db_savepoint(struct db *db)
{
	return simple(db, "savepoint", "savepoint s");
}

enum err db_rollback_to_savepoint(struct db *db)
{
	return simple(db, "rollback to savepoint", "rollback to savepoint s");
}

/* Splits nothing: for scripts the simple protocol takes several statements at once. */
enum err db_script(struct db *db, const char *sql)
{
	TRY(db_connect(db));
	return simple(db, "script", sql);
}

/* ---- statements ---- */

static enum err send(struct db *db, const struct stmt_def *d, const struct args *a)
{
	const char *value[DB_ARGS_MAX];
	int length[DB_ARGS_MAX];

	if (a)
		TRY(args_encode(a, d, db->error, value, length));
	if (!PQsendQueryPrepared(db->conn, d->name, a ? a->n : 0, value, length, a ? a->binary : NULL, 0))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	return OK;
}

enum err db_result(struct db *db, enum stmt s, const struct args *a, PGresult **ret)
{
	const struct stmt_def *d = &stmt_table[s];
	int64_t start = clock_boot_us(), took;
	PGresult *r = NULL;
	enum err e;

	ensure(s > STMT_NONE && s < STMT_COUNT);
	TRY(ready(db));
	TRY(prepare(db, s));
	TRY(send(db, d, a));
	e = collect(db, d->name, &r);
	took = clock_boot_us() - start;
	db->used_us += took;
	metric_observe_us(M_DB_SECONDS, d->name, took);
	TRY(e);
	db->touched = strtoll(PQcmdTuples(r)[0] ? PQcmdTuples(r) : "0", NULL, 10);
	*ret = r;
	return OK;
}

enum err db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret)
{
	PGresult *r = NULL;
	struct rows *rows;

	TRY(db_result(db, s, a, &r));
	rows = rows_new(db->arena, r);
	if (ret)
		*ret = rows;
	return OK;
}

enum err db_script_rows(struct db *db, const char *sql, struct rows **ret)
{
	PGresult *r = NULL;

	TRY(db_connect(db));
	if (!PQsendQuery(db->conn, sql))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	TRY(collect(db, "script", &r));
	*ret = rows_new(db->arena, r);
	return OK;
}
