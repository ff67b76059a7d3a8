/* SPDX-License-Identifier: Apache-2.0 */
/* See call.h. */
#include "tests/sim/call.h"

#include "dispatcher/tick.h"
#include "engine/base/clock.h"
#include "engine/ids.h"
#include "tests/sim/model.h"

#include <poll.h>
#include <string.h>

#define ANSWER_MS 3000 /* rules §2 */

void request_init(struct request *q, struct world *w, const char *action)
{
	*q = (struct request){ .w = w, .action = action };
	arena_init(&q->arena);
	error_init(&q->error, &q->arena);
}

void request_free(struct request *q)
{
	arena_free(&q->arena);
}

void param(struct request *q, const char *name, const char *value)
{
	ensure(q->n < PARAMS_MAX);
	q->p[q->n++] = (struct param){ name, value };
}

void param_int(struct request *q, const char *name, int64_t value)
{
	param(q, name, arena_printf(&q->arena, "%lld", (long long)value));
}

void param_bool(struct request *q, const char *name, bool value)
{
	param(q, name, value ? "true" : "false");
}

void param_id(struct request *q, const char *name, int kind, int64_t a, int64_t b)
{
	char id[ID_LEN + 1];

	id_format((enum id_kind)kind, a, b, id);
	param(q, name, arena_strdup(&q->arena, id));
}

void wake(void *ctx)
{
	struct world *w = ctx;

	if (w->otad.up && !w->otad.dead)
		engine_wake(w->otad.engine);
	w->otad.next_turn_us = w->otad.maker_due_us = sim_now_us();
	world_busy(w);
}

static enum err run_handler(struct request *q, struct call *c)
{
	void *in = arena_alloc(&q->arena, c->action->in_size + 1), *out;
	enum err e;

	if (c->action->in)
		TRY(fields_decode(c->action->in, q->p, q->n, in, &q->error));
	out = arena_alloc(&q->arena, c->action->out_size + 1);
	TRY(db_begin(c->db));
	e = c->action->run(c, in, out);
	if (e != OK) {
		db_rollback(c->db);
		return e;
	}
	q->target = c->audit_target;
	return db_commit(c->db);
}

/* Orders are answered when no push is on its way any more, or as unfinished: the call waits, and the world goes on. */
static void await_answer(struct request *q, struct call *c)
{
	static const char *const orders[] = { "CancelOTATaskByJob", "CancelOTATaskByDevice", "UpdateOTAJob" };

	check_step(q->w);
	c->answer_by_ms = clock_boot_ms() + ANSWER_MS;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		if (c->after_commit && strcmp(q->action, orders[i]) == 0) {
			error_clear(&q->error);
			db_begin_work(c->db, &q->arena, &q->error);
			q->open = c->after_commit(c, c->after_commit_arg) != OK;
		}
}

static struct call call_of(struct request *q, const struct api_env *env)
{
	struct world *w = q->w;

	return (struct call){ .arena = &q->arena,
			      .db = w->db_call,
			      .now = clock_now(),
			      .error = &q->error,
			      .env = env,
			      .config = &w->config,
			      .limits = limits_of(&w->config),
			      .action = action_find(q->action),
			      .request_id = "00000000-0000-0000-0000-000000000000",
			      .account_id = w->account_id,
			      .instance_id = w->instance_id,
			      .key_id = "sim",
			      .role = ROLE_ADMIN };
}

static struct api_env env_of(struct world *w, void (*woken)(void *ctx))
{
	return (struct api_env){ .store = w->store, .master = &w->master, .wake_engine = woken, .wake_maker = woken,
				 .wake_credentials = woken, .wake_registrar = woken, .wake_ctx = w };
}

static void nobody(void *ctx)
{
	(void)ctx;
}

enum err call_plainly(struct request *q)
{
	struct api_env env = env_of(q->w, nobody);
	struct call c = call_of(q, &env);
	enum err e = ERR_DB_RETRY;

	ensure(c.action != NULL);
	for (int run = 0; run < 4 && e == ERR_DB_RETRY; run++) {
		error_clear(&q->error);
		db_begin_work(c.db, &q->arena, &q->error);
		e = run_handler(q, &c);
	}
	return e;
}

enum err call(struct request *q)
{
	struct world *w = q->w;
	struct api_env env = env_of(w, wake);
	struct call c = call_of(q, &env);
	enum actor before = w->actor;
	enum err e = OK;

	ensure(c.action != NULL);
	check_step(w);
	w->tally.calls++;
	if (!w->in_turn)
		faults_plan(w, ACTOR_CALL);
	w->actor = ACTOR_CALL;
	w->in_call = true;
	for (int run = 0; run < 2; run++) { /* once more on a new connection, as the workers of the API do */
		error_clear(&q->error);
		db_begin_work(c.db, &q->arena, &q->error);
		e = run_handler(q, &c);
		if (e != ERR_DB_CONNECTION || w->otad.dead)
			break;
	}
	if (!w->in_turn)
		w->fault.kind = FAULT_NONE;
	trace(w, "%s: %s", q->action, err_info(e)->name);
	wake(w);
	if (e == OK)
		await_answer(q, &c);
	w->in_call = false;
	w->actor = before;
	if (w->otad.up && w->otad.dead && !w->in_turn)
		otad_bury(w);
	check_step(w);
	return e;
}

struct sim_job *job_for_all(struct world *w, const struct sim_job *wish)
{
	struct sim_job *j = &w->jobs[w->n_jobs++];
	struct request q;
	enum err e;

	ensure(w->n_jobs <= w->cap_jobs);
	*j = *wish;
	j->kind = JOB_STATIC;
	j->targets = TARGETS_ALL;
	j->overwrite_mode = 1;
	j->need_push = true;
	if (j->retry_count == 0)
		j->retry_interval_min = -1;
	j->silent_from_us = INT64_MAX;
	j->created_ms = clock_now();
	j->n_rates = 1;
	j->rates[0].at_us = sim_now_us();
	j->most = j->rates[0].rate;
	request_init(&q, w, "CreateOTAStaticUpgradeJob");
	param_id(&q, "FirmwareId", ID_FIRMWARE, j->package->id, 0);
	param(&q, "ProductKey", SIM_PRODUCT);
	param(&q, "TargetSelection", "ALL");
	param(&q, "Tag.1.Key", "job");
	param_int(&q, "Tag.1.Value", j - w->jobs);
	if (j->n_src > 0)
		param(&q, "SrcVersion.1", j->src[0]);
	if (j->most > 0)
		param_int(&q, "MaximumPerMinute", j->most);
	if (j->timeout_min > 0)
		param_int(&q, "TimeoutInMinutes", j->timeout_min);
	if (j->retry_count > 0) {
		param_int(&q, "RetryInterval", j->retry_interval_min);
		param_int(&q, "RetryCount", j->retry_count);
	}
	e = call(&q);
	if (e != OK && e != ERR_NO_DEVICE)
		broken(w, "%s: %s", q.action, error_text(&q.error));
	ensure(e != OK || id_parse(ID_JOB, q.target, &j->id, NULL));
	model_created(w, j, e);
	request_free(&q);
	return j;
}

int64_t ask_database(struct world *w, const char *sql)
{
	enum actor before = w->actor;
	struct rows *r;
	struct arena a;
	struct error e;
	int64_t n;

	w->actor = ACTOR_WATCH;
	arena_init(&a);
	error_init(&e, &a);
	db_begin_work(w->db_watch, &a, &e);
	if (db_script_rows(w->db_watch, sql, &r) != OK)
		broken(w, "%s", error_text(&e));
	n = row_int(r, 0, 0);
	arena_free(&a);
	w->actor = before;
	return n;
}

/* ---- waiting ---- */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/* A wait for time only passes simulated time, in which others do their work. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct world *w = faults_the_world();

	if (n > 0 || !w)
		return __real_poll(fds, n, timeout_ms);
	world_others(w, sim_now_us() + timeout_ms * US_PER_MS);
	return 0;
}
