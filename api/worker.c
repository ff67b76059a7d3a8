/* SPDX-License-Identifier: Apache-2.0 */
#include "api/worker.h"

#include "api/device_register.h"
#include "api/guard.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "storage/account.h"
#include "storage/audit.h"
#include "storage/gather.h"
#include "storage/nonce.h"
#include "storage/txn.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* What is left for the commit, and for what a call waits for after it. */
#define COMMIT_MS 300

struct worker {
	pthread_t thread;
	struct workers *all;
	struct arena arena;
	struct db *db;
};

struct workers {
	const struct api_env *env;
	struct auth auth;
	struct queue *requests;
	struct gather *gather;
	void (*reply)(void *ctx, struct request *rq);
	void *reply_ctx;
	size_t n;
	struct worker one[];
};

/* ---- one call, inside its transaction -------------------------------------------------------------------
 */

/* IotInstanceId absent: the account's default (rules §7). */
static enum err resolve_instance(struct call *c, const struct caller *who)
{
	const char *wanted = param_value(&who->params, "IotInstanceId");

	if (who->key.instance && (!wanted || strcmp(wanted, who->key.instance) == 0)) {
		c->instance_id = who->key.instance_id;
		return OK;
	}
	return store_instance_find(c->db, c->account_id, wanted, &c->instance_id);
}

static bool is_inner(enum err e)
{
	enum err shown = err_shown(e);

	return shown == ERR_INTERNAL || shown == ERR_UNAVAILABLE;
}

/* In builds for tests: an action that answers with a business error it does not declare is a bug. */
static void check_declared(const struct action *a, enum err e)
{
	const enum err *f = a->fails;

	if (!OTAD_TEST_HOOKS || e == OK || e == ERR_INSTANCE_NOT_FOUND || err_info(e)->http_status != 200)
		return;
	for (const struct field *row = a->in; row && row->name; row++)
		if (row->err == e || e == ERR_LIST_TOO_LONG)
			return;
	while (f && *f != OK && *f != e)
		f++;
	if (!f || *f == OK)
		log_event(EV_BUG, LSTR("action", a->name), LSTR("undeclared", err_info(e)->name));
}

static enum err decode(const struct auth *auth, struct call *c, const struct caller *who, void **ret_in)
{
	*ret_in = arena_alloc(c->arena, c->action->in_size + 1);
	if (c->action->in)
		TRY(fields_decode(c->action->in, who->params.v, who->params.n, *ret_in, c->error));
	if (c->action->is_deep && c->action->is_deep(*ret_in))
		TRY(auth_quota(auth, c, arena_printf(c->arena, "%s, deep", c->action->name),
			       c->action->deep_qps));
	return OK;
}

static enum err run_action(const struct auth *auth, struct call *c, const struct caller *who, void *out)
{
	void *in;
	enum err e = decode(auth, c, who, &in);

	if (e == OK)
		e = resolve_instance(c, who);
	if (e == OK)
		e = c->action->run(c, in, out);
	check_declared(c->action, e);
	/* What the handler returned without a word, e.g. from db_one. */
	if (e != OK && c->error->err == OK)
		return fail_param(c->error, e, NULL);
	return e;
}

static enum err audit_row(struct call *c, const char *result)
{
	struct audit row = { .at = c->now,
			     .account_id = c->account_id,
			     .key_id = c->key_id,
			     .action = c->action->name,
			     .request_id = c->request_id,
			     .target = c->audit_target,
			     .result = result };

	return store_audit_add(c->db, &row);
}

/* A changing call: nonce, change and audit row stand or fall together. A refusal, be it of a parameter or by the
 * business, leaves the nonce and an audit row that says so. */
static enum err run_write(const struct auth *auth, struct call *c, const struct caller *who, void *out)
{
	struct error refusal;
	enum err e;

	TRY(db_begin(c->db));
	TRY(store_nonce_use(c->db, who->key.id, who->credentials.nonce, c->now));
	TRY(db_savepoint(c->db));
	e = run_action(auth, c, who, out);
	if (is_inner(e) || (e != OK && is_inner(c->error->err)))
		return e;
	refusal = *c->error;
	error_clear(c->error);
	if (e != OK)
		TRY(db_rollback_to_savepoint(c->db));
	TRY(audit_row(c, e == OK ? "OK" : error_code(&refusal)));
	db_set_until(c->db, c->answer_by_ms);
	TRY(db_commit(c->db));
	*c->error = refusal;
	return e;
}

/* A call that reads needs no transaction: in one, too, each of its statements would see the database as it is then. */
static enum err run_transaction(const struct auth *auth, struct call *c, const struct caller *who, void **ret_out)
{
	int runs = 0;
	enum err e;

	do {
		void *out = arena_alloc(c->arena, c->action->out_size + 1);

		c->audit_target = NULL;
		c->refusal = NULL;
		c->after_commit = NULL;
		db_begin_anew(c->db);
		e = c->action->effect == WRITES ? run_write(auth, c, who, out) : run_action(auth, c, who, out);
		if (e != OK)
			db_rollback(c->db);
		*ret_out = out;
	} while (txn_again(e, ++runs));
	if (e == OK && c->after_commit) {
		db_begin_anew(c->db);
		e = c->after_commit(c, c->after_commit_arg);
	}
	return e;
}

/* ---- one request ----------------------------------------------------------------------------------------
 */

static enum err call_run(struct workers *all, struct request *rq, struct call *c, struct caller *who,
			 void **ret_out)
{
	TRY(request_params(rq, c->error, &who->params));
	if (clock_boot_ms() >= c->answer_by_ms)
		return fail_param(c->error, ERR_UNAVAILABLE, NULL);
	db_begin_work(c->db, c->arena, c->error);
	TRY(authenticate(&all->auth, rq, c, who));
	return run_transaction(&all->auth, c, who, ret_out);
}

static void encode_answer(struct request *rq, struct call *c, enum format f, enum err e, const void *out)
{
	if (e == OK) {
		rq->status = 200;
		rq->content_type = format_content_type(f);
		rq->reply = buf_owned(&rq->arena, REPLY_MAX);
		encode_success(&rq->arena, rq->reply, f, c->action, rq->request_id, out);
		if (!rq->reply->overflow)
			return;
		e = ERR_INTERNAL;
	}
	if (c->error->err == OK)
		(void)fail_param(c->error, e, NULL);
	request_refuse(rq, f, c->action, c->refusal, c->error);
}

static void count_call(const struct request *rq, const struct call *c, enum err e)
{
	const char *action = c->action ? c->action->name : "-";
	int64_t us = clock_boot_us() - rq->arrived_us;
	const char *code = "OK";

	if (e != OK) {
		code = is_inner(c->error->err) ? err_info(err_shown(c->error->err))->api_code
					       : error_code(c->error);
		/* Codes with a parameter's name in them are as many as there are parameters. */
		metric_add_label(
			M_API_ERRORS,
			strchr(err_info(c->error->err)->api_code, '%') ? err_info(c->error->err)->name : code,
			1);
	}
	metric_add_label(M_API_CALLS, action, 1);
	metric_observe_us(M_API_SECONDS, action, us);
	log_event(EV_CALL, LSTR("action", action), LINT("account", c->account_id),
		  LSTR("key", c->account_id > 0 ? c->key_id : ""), LSTR("request_id", rq->request_id),
		  LSTR("code", code), LSTR("cause", is_inner(e) ? err_info(c->error->err)->name : ""),
		  LINT("ms", us / 1000));
}

/* Boot clock. */
static int64_t answer_by(const struct request *rq)
{
	return rq->arrived_us / 1000 + config_now()->api_answer_ms;
}

/* A call's transaction and answer. */
static void call_serve(struct worker *w, struct request *rq)
{
	const struct config *config = config_now();
	struct error error;
	struct call c = { .arena = &w->arena,
			  .db = w->db,
			  .now = clock_now(),
			  .answer_by_ms = answer_by(rq),
			  .error = &error,
			  .env = w->all->env,
			  .config = config,
			  .limits = limits_of(config),
			  .request_id = rq->request_id };
	struct caller who = { .params.n = 0 };
	void *out = NULL;
	enum err e;

	error_init(&error, &w->arena);
	e = call_run(w->all, rq, &c, &who, &out);
	encode_answer(rq, &c, auth_format(rq, &who.params), e, out);
	count_call(rq, &c, e);
}

/* What devices ask for, or else a call. */
static void request_serve(struct worker *w, struct request *rq)
{
	db_set_until(w->db, answer_by(rq) - COMMIT_MS);
	if (strcmp(rq->path, DEVICE_REGISTER_PATH) == 0)
		device_register(w->all->env, w->all->auth.quota, w->db, &w->arena, rq);
	else
		call_serve(w, rq);
	metric_raise(M_ARENA_PEAK, (int64_t)w->arena.peak_bytes);
	arena_reset(&w->arena);
	w->all->reply(w->all->reply_ctx, rq);
}

static void *worker_main(void *arg)
{
	static const struct sched_param no_priority = { .sched_priority = 0 };
	struct worker *w = arg;
	struct request *rq;

	/* Where processors are short, one that is woken waits for those who work rather than interrupt them: fewer changes
	 * of thread for each call. Where one is free, it begins at once all the same. */
	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &no_priority);
	for (;;) {
		rq = queue_pop(w->all->requests, -1);
		if (!rq)
			return NULL;
		request_serve(w, rq);
	}
}

struct workers *workers_start(const struct config *config, const struct api_env *env, const struct auth *auth,
			      struct queue *requests, void (*reply)(void *ctx, struct request *rq),
			      void *reply_ctx)
{
	struct db_options o = { .conninfo = config->database, .name = "otad api", .read_only = true };
	size_t n = (size_t)config->api_workers;
	struct workers *all = calloc(1, sizeof *all + n * sizeof all->one[0]);

	ensure(all != NULL);
	all->env = env;
	all->auth = *auth;
	all->requests = requests;
	all->reply = reply;
	all->reply_ctx = reply_ctx;
	all->n = n;
	o.gather = all->gather = gather_new(&o);
	for (size_t i = 0; i < n; i++) {
		struct worker *w = &all->one[i];

		o.check_statements = i == 0;
		w->all = all;
		arena_init(&w->arena);
		w->db = db_new(&o);
		ensure(pthread_create(&w->thread, NULL, worker_main, w) == 0);
	}
	return all;
}

void workers_stop(struct workers *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++)
		ensure(pthread_join(all->one[i].thread, NULL) == 0);
	for (size_t i = 0; i < all->n; i++) {
		db_free(all->one[i].db);
		arena_free(&all->one[i].arena);
	}
	gather_free(all->gather);
	free(all);
}

enum format request_format_guess(const struct request *rq)
{
	struct params none = { .n = 0 };
	size_t some = rq->body_len < 4096 ? rq->body_len : 4096;

	if (signature_scheme(rq) == SCHEME_ACS3)
		return auth_format(rq, &none);
	if (guard_wants_xml(rq->query, strlen(rq->query)) || guard_wants_xml(rq->body, some))
		return FORMAT_XML;
	return FORMAT_JSON;
}
