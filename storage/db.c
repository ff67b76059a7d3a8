/* SPDX-License-Identifier: Apache-2.0 */
/* Connection, deadlines, parameters and rows; see db.h. */
#include "storage/db.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/crypto.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The server ends a statement at its deadline; when it does not answer even then, it is frozen or gone. */
#define FROZEN_MS 1000
/* A rollback has this time when there is none left: a server that works needs far less. */
#define ROLLBACK_MS 100
/* Plans made while a table was empty are wrong once it is full, and ANALYZE may come a minute late. */
#define PLANS_MS 5000
#define ARRAY_BYTES_MAX ((size_t)512 * 1024 * 1024)

struct db {
	struct db_options opt;
	char *conninfo, *name;
	PGconn *conn;
	struct arena *arena;
	struct error *error;
	int deadline_ms;
	int server_deadline_ms; /* statement_timeout as it is set; 0: not yet */
	int64_t planned_ms;	/* boot clock; pinned plans are not older */
	int64_t until_ms;	/* boot clock, INT64_MAX: no end of all statements' time */
	bool in_txn, prepared, checked;
	int64_t touched;
};

struct rows {
	PGresult *result;
	struct arena *arena;
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
	db->prepared = false;
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
	return fail(db->error, e, "%s: %s", what, message ? message : "refused");
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

static enum err prepare_all(struct db *db)
{
	for (int s = STMT_NONE + 1; s < STMT_COUNT; s++) {
		const struct stmt_def *d = &stmt_table[s];
		PGresult *r = NULL;

		if (!PQsendPrepare(db->conn, d->name, d->sql, 0, NULL))
			return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
		TRY(collect(db, d->where, &r));
		PQclear(r);
		if (db->opt.check_statements && !db->checked)
			TRY(check_declared(db, d));
	}
	db->checked = true;
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
	int64_t until = clock_boot_ms() + given_or_configured(db->opt.connect_ms);
	static const char limits[] = LIMITS;
	static const char pinned[] = LIMITS " -c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off "
				     "-c plan_cache_mode=force_generic_plan";
	const char *keys[] = { "dbname",          "application_name",      "options", "client_encoding", "keepalives_idle",
			       "tcp_user_timeout", "target_session_attrs", NULL };
	const char *values[] = { db->conninfo, db->name,
				 db->opt.pin_plans ? pinned : limits,
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
	if (db->conn && PQstatus(db->conn) == CONNECTION_OK)
		return OK;
	drop(db);
	TRY(connect_now(db));
	return OK;
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
	if (!db->opt.pin_plans || db->in_txn || clock_boot_ms() - db->planned_ms < PLANS_MS)
		return OK;
	db->planned_ms = clock_boot_ms();
	return simple(db, "plans", "discard plans");
}

/* Statements are prepared at the first use after connecting, so that migrations can run on a connection whose tables
 * do not exist yet. Preparing waits for the tables' locks, too; what is prepared by half is begun anew. */
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
	if (db->prepared)
		return OK;
	e = prepare_all(db);
	if (e != OK)
		drop(db);
	db->prepared = e == OK;
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

enum err db_begin(struct db *db, enum db_mode mode)
{
	TRY(ready(db));
	ensure(!db->in_txn);
	TRY(simple(db, "begin", mode == DB_READ_ONLY ? "begin read only" : "begin"));
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

/* ---- parameters ---- */

void args_init(struct args *a, struct db *db)
{
	a->arena = db->arena;
	a->n = 0;
}

static void add_arg(struct args *a, const char *value, size_t len, bool binary)
{
	ensure(a->n < DB_ARGS_MAX && len < INT32_MAX);
	a->array[a->n].kind = ARG_SINGLE;
	a->value[a->n] = value;
	a->length[a->n] = (int)len;
	a->binary[a->n] = binary;
	a->n++;
}

void arg_null(struct args *a)
{
	add_arg(a, NULL, 0, false);
}

void arg_int(struct args *a, int64_t v)
{
	add_arg(a, arena_printf(a->arena, "%lld", (long long)v), 0, false);
}

void arg_bool(struct args *a, bool v)
{
	add_arg(a, v ? "t" : "f", 0, false);
}

void arg_text(struct args *a, const char *v)
{
	add_arg(a, v, 0, false);
}

void arg_bytes(struct args *a, const void *v, size_t len)
{
	add_arg(a, v, len, true);
}

static void add_array(struct args *a, struct arg_array array)
{
	add_arg(a, "", 0, true);
	a->array[a->n - 1] = array;
}

void arg_ints(struct args *a, const int64_t *v, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_INTS, .ints = v, .n = n });
}

void arg_texts(struct args *a, const char *const *v, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_TEXTS, .texts = v, .n = n });
}

void arg_byteas(struct args *a, const void *const *v, const size_t *len, size_t n)
{
	add_array(a, (struct arg_array){ .kind = ARG_BYTEAS, .bytes = v, .sizes = len, .n = n });
}

/* ---- arrays: PostgreSQL's binary form, in the element type that the statement declares ---- */

struct element {
	const char *type;
	uint32_t oid;
	size_t width; /* 0: as long as it is */
};

/* Of parameter i, from a declaration like "bigint text[] int[]". */
static const struct element *element_of(const char *declared, int i)
{
	static const struct element elements[] = { { "bigint[]", 20, 8 },  { "int[]", 23, 4 },  { "smallint[]", 21, 2 },
						   { "text[]", 25, 0 },	   { "bytea[]", 17, 0 }, { "bool[]", 16, 1 } };
	size_t len;

	while (i-- > 0)
		declared += strcspn(declared, " ") + 1;
	len = strcspn(declared, " ");
	for (size_t e = 0; e < ARRAY_LEN(elements); e++)
		if (strlen(elements[e].type) == len && memcmp(elements[e].type, declared, len) == 0)
			return &elements[e];
	ensure(!"an array for a parameter that is none");
	return NULL;
}

static unsigned char *put_big_endian(unsigned char *p, uint64_t v, size_t width)
{
	for (size_t i = 0; i < width; i++)
		p[i] = (unsigned char)(v >> 8 * (width - 1 - i));
	return p + width;
}

/* Element i of an array: its bytes, or NULL for null. A number stands in `scratch`. */
static const void *element_bytes(const struct arg_array *v, const struct element *e, size_t i, unsigned char scratch[8],
				 size_t *ret_len)
{
	*ret_len = e->width;
	if (v->kind == ARG_INTS) {
		(void)put_big_endian(scratch, (uint64_t)v->ints[i], e->width);
		return scratch;
	}
	if (v->kind == ARG_BYTEAS) {
		*ret_len = v->sizes[i];
		return v->bytes[i];
	}
	if (v->texts[i] && e->width == 1) {
		scratch[0] = v->texts[i][0] == 't';
		return scratch;
	}
	*ret_len = v->texts[i] ? strlen(v->texts[i]) : 0;
	return v->texts[i];
}

static bool array_fits(const struct arg_array *v, const struct element *e)
{
	int64_t limit;

	if (v->kind != ARG_INTS || e->width == 8)
		return true;
	limit = ((int64_t)1 << (8 * e->width - 1)) - 1;
	for (size_t i = 0; i < v->n; i++)
		if (v->ints[i] > limit || v->ints[i] < -limit - 1)
			return false;
	return true;
}

static enum err array_encode(struct db *db, const struct stmt_def *d, const struct arg_array *v, int i, const char **ret,
			     int *ret_len)
{
	const struct element *e = element_of(d->in, i);
	unsigned char scratch[8], *out, *p;
	size_t size = 20, len;

	if (!array_fits(v, e))
		return fail(db->error, ERR_DB, "%s: a number of parameter %d is out of range", d->name, i + 1);
	for (size_t k = 0; k < v->n; k++) {
		(void)element_bytes(v, e, k, scratch, &len);
		size += 4 + len;
	}
	ensure(size <= ARRAY_BYTES_MAX);
	out = p = arena_alloc(db->arena, size);
	p = put_big_endian(p, v->n > 0, 4); /* dimensions; then: may have nulls, type, length, first index */
	p = put_big_endian(p, 1, 4);
	p = put_big_endian(p, e->oid, 4);
	if (v->n > 0) {
		p = put_big_endian(p, v->n, 4);
		p = put_big_endian(p, 1, 4);
	}
	for (size_t k = 0; k < v->n; k++) {
		const void *bytes = element_bytes(v, e, k, scratch, &len);

		p = put_big_endian(p, bytes ? len : UINT32_MAX, 4);
		if (bytes && len)
			memcpy(p, bytes, len);
		p += bytes ? len : 0;
	}
	*ret = (const char *)out;
	*ret_len = (int)(p - out);
	return OK;
}

/* ---- results ---- */

static void result_release(void *r)
{
	PQclear(r);
}

static enum err send(struct db *db, const struct stmt_def *d, const struct args *a)
{
	const char *value[DB_ARGS_MAX];
	int length[DB_ARGS_MAX], n = a ? a->n : 0;

	for (int i = 0; i < n; i++) {
		const struct arg_array *v = &a->array[i];

		value[i] = a->value[i];
		length[i] = a->length[i];
		if (v->kind != ARG_SINGLE)
			TRY(array_encode(db, d, v, i, &value[i], &length[i]));
	}
	if (!PQsendQueryPrepared(db->conn, d->name, n, value, length, a ? a->binary : NULL, 0))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	return OK;
}

enum err db_run(struct db *db, enum stmt s, const struct args *a, struct rows **ret)
{
	const struct stmt_def *d = &stmt_table[s];
	int64_t start = clock_boot_us();
	PGresult *r = NULL;
	enum err e;

	ensure(s > STMT_NONE && s < STMT_COUNT);
	TRY(ready(db));
	TRY(send(db, d, a));
	e = collect(db, d->name, &r);
	metric_observe_us(M_DB_SECONDS, d->name, clock_boot_us() - start);
	TRY(e);
	(void)arena_own(db->arena, r, result_release);
	db->touched = strtoll(PQcmdTuples(r)[0] ? PQcmdTuples(r) : "0", NULL, 10);
	if (ret) {
		*ret = ARENA_NEW(db->arena, struct rows);
		(*ret)->result = r;
		(*ret)->arena = db->arena;
	}
	return OK;
}

enum err db_one(struct db *db, enum stmt s, const struct args *a, struct rows **ret)
{
	struct rows *r = NULL;

	TRY(db_run(db, s, a, &r));
	if (rows_count(r) == 0)
		return ERR_NOT_FOUND;
	ensure(rows_count(r) == 1);
	if (ret)
		*ret = r;
	return OK;
}

enum err db_script_rows(struct db *db, const char *sql, struct rows **ret)
{
	PGresult *r = NULL;

	TRY(db_connect(db));
	if (!PQsendQuery(db->conn, sql))
		return lost(db, ERR_DB_CONNECTION, PQerrorMessage(db->conn));
	TRY(collect(db, "script", &r));
	(void)arena_own(db->arena, r, result_release);
	*ret = ARENA_NEW(db->arena, struct rows);
	(*ret)->result = r;
	(*ret)->arena = db->arena;
	return OK;
}

int rows_count(const struct rows *r)
{
	return PQntuples(r->result);
}

bool row_null(const struct rows *r, int i, int col)
{
	ensure(i >= 0 && i < PQntuples(r->result) && col >= 0 && col < PQnfields(r->result));
	return PQgetisnull(r->result, i, col) != 0;
}

int64_t row_int_or(const struct rows *r, int i, int col, int64_t null)
{
	return row_null(r, i, col) ? null : strtoll(PQgetvalue(r->result, i, col), NULL, 10);
}

int64_t row_int(const struct rows *r, int i, int col)
{
	return row_int_or(r, i, col, 0);
}

bool row_bool(const struct rows *r, int i, int col)
{
	return !row_null(r, i, col) && PQgetvalue(r->result, i, col)[0] == 't';
}

const char *row_text(const struct rows *r, int i, int col)
{
	return row_null(r, i, col) ? NULL : PQgetvalue(r->result, i, col);
}

const unsigned char *row_bytes(const struct rows *r, int i, int col, size_t *ret_len)
{
	const char *text = row_text(r, i, col); /* \x and hex digits */
	unsigned char *out;

	*ret_len = 0;
	if (!text)
		return NULL;
	*ret_len = (strlen(text) - 2) / 2;
	out = arena_alloc(r->arena, *ret_len + 1);
	ensure(hex_decode(text + 2, 2 * *ret_len, out, *ret_len));
	return out;
}

/* One element of an array's text form, unquoted; *s stands behind it afterwards. */
static char *array_element(struct arena *a, const char **s)
{
	bool quoted = **s == '"';
	const char *end = *s + quoted;
	char *out, *p;

	while (*end && (quoted ? *end != '"' : *end != ',' && *end != '}'))
		end += *end == '\\' && end[1] ? 2 : 1;
	out = p = arena_alloc(a, (size_t)(end - *s) + 1);
	for (const char *q = *s + quoted; q < end; q++) {
		if (*q == '\\')
			q++;
		*p++ = *q;
	}
	*s = end + quoted;
	if (!quoted && strcmp(out, "NULL") == 0)
		out[0] = '\0';
	return out;
}

const char *const *row_texts(const struct rows *r, int i, int col, size_t *ret_n)
{
	const char *s = row_text(r, i, col);
	const char **out;
	size_t n = 0, cap = 1;

	*ret_n = 0;
	if (!s || strcmp(s, "{}") == 0)
		return NULL;
	for (const char *p = s; *p; p++)
		cap += *p == ',';
	out = ARENA_ARRAY(r->arena, cap, const char *);
	for (s++; *s && *s != '}';) {
		out[n++] = array_element(r->arena, &s);
		if (*s == ',')
			s++;
	}
	*ret_n = n;
	return out;
}

const int64_t *row_ints(const struct rows *r, int i, int col, size_t *ret_n)
{
	const char *s = row_text(r, i, col);
	int64_t *out;
	size_t n = 0, cap = 1;

	*ret_n = 0;
	if (!s || strcmp(s, "{}") == 0)
		return NULL;
	for (const char *p = s; *p; p++)
		cap += *p == ',';
	out = ARENA_ARRAY(r->arena, cap, int64_t);
	for (s++; *s && *s != '}';) {
		char *end;

		out[n++] = strtoll(s, &end, 10);
		s = *end == ',' ? end + 1 : end;
	}
	*ret_n = n;
	return out;
}
