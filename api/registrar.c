/* SPDX-License-Identifier: Apache-2.0 */
/* Background worker of batch registrations: makes ordered devices in chunks, each a transaction of its own,
 * so that a killed process resumes where the last commit was; says CREATE_SUCCESS when the broker has
 * acknowledged all credentials, or has kept silent for WAIT_MS. Several processes may run one each. */
#include "api/api.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/waker.h"
#include "storage/apply.h"
#include "storage/txn.h"

#include <stdlib.h>

#define CHUNK 500
#define WAIT_MS 10000
#define BUSY_MS 50   /* between two looks while orders are open */
#define IDLE_MS 1000 /* for orders that another process took and did not finish */
#define RETRY_MS 500 /* after a failure of the database */
#define CONNECT_MS 5000
#define STATEMENT_MS 30000

struct registrar {
	struct waker waker;
	const struct api_env *env;
	struct db *db;
};

/* One chunk of one order; *ret_found says whether there was one. */
static enum err make_chunk(struct registrar *r, bool *ret_found)
{
	struct apply ap;
	enum err e;

	*ret_found = false;
	TRY(db_begin(r->db));
	e = store_apply_claim(r->db, CHUNK, &ap);
	if (e == OK)
		e = store_apply_make(r->db, r->env->master, &ap, CHUNK, clock_now());
	e = txn_end(r->db, e);
	if (e == ERR_NOT_FOUND)
		return OK;
	TRY(e);
	*ret_found = true;
	r->env->wake_credentials(r->env->wake_ctx);
	return OK;
}

/* Everything that can be done now; *ret_pause: when to look again. */
static enum err run_once(struct registrar *r, int *ret_pause)
{
	bool found = false;
	int64_t open = 0;

	*ret_pause = RETRY_MS;
	TRY(store_apply_open(r->db, &open));
	if (open == 0) {
		*ret_pause = IDLE_MS;
		return OK;
	}
	TRY(make_chunk(r, &found));
	TRY(store_apply_finish(r->db, clock_now() - WAIT_MS));
	*ret_pause = found ? 0 : BUSY_MS;
	return OK;
}

static void *run(void *arg)
{
	struct registrar *r = arg;
	struct arena arena;
	int pause;

	arena_init(&arena);
	do {
		struct error e;

		error_init(&e, &arena);
		db_begin_work(r->db, &arena, &e);
		if (run_once(r, &pause) != OK)
			log_limited(EV_REGISTRAR_FAILED, LSTR("code", error_code(&e)),
				    LSTR("message", error_text(&e)));
		db_rollback(r->db);
		arena_reset(&arena);
	} while (waker_wait(&r->waker, pause));
	arena_free(&arena);
	return NULL;
}

enum err registrar_start(const struct config *c, const struct api_env *env, struct error *e UNUSED,
			 struct registrar **ret)
{
	struct db_options o = {
		.conninfo = c->database,
		.statement_ms = STATEMENT_MS,
		.connect_ms = CONNECT_MS,
		.name = "otad registrar",
	};
	struct registrar *r = calloc(1, sizeof *r);

	ensure(r != NULL);
	r->env = env;
	r->db = db_new(&o);
	waker_start(&r->waker, run, r);
	*ret = r;
	return OK;
}

void registrar_wake(void *registrar)
{
	struct registrar *r = registrar;

	waker_wake(&r->waker);
}

void registrar_stop(struct registrar *r)
{
	if (!r)
		return;
	waker_stop(&r->waker);
	db_free(r->db);
	free(r);
}
