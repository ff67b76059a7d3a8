/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the management API, by its handler, in its transaction. */
#ifndef SIM_CALL_H
#define SIM_CALL_H

#include "api/action.h"
#include "tests/sim/sim.h"

#define PARAMS_MAX 64

struct request {
	struct world *w;
	struct arena arena;
	struct error error;
	const char *action;
	struct param p[PARAMS_MAX];
	size_t n;
	const char *target; /* of the audit row */
	bool open;	    /* the answer said that a push on its way may still reach its device */
};

void request_init(struct request *q, struct world *w, const char *action);
void request_free(struct request *q);
void param(struct request *q, const char *name, const char *value);
void param_int(struct request *q, const char *name, int64_t value);
void param_bool(struct request *q, const char *name, bool value);
void param_id(struct request *q, const char *name, int kind, int64_t a, int64_t b); /* kind: enum id_kind */
/* Makes the call; returns the call's error when it is answered, which may be later than its commit. Everything is
 * looked at afterwards. ERR_DB_RETRY: somebody had a lock, nothing has happened. */
enum err call(struct request *q);
/* The same without any of it: no faults, no waiting for the answer, no look. Any thread. Runs the transaction again, as
 * the workers of the API do, when the database asks for it. */
enum err call_plainly(struct request *q);
/* Creates a static job for all devices: its package, and where they are set a version to come from, a rate and a time
 * limit, as in `wish`. */
struct sim_job *job_for_all(struct world *w, const struct sim_job *wish);
/* Wakes otad's parts, as a call does. */
void wake(void *ctx);
/* A number, by a connection of the simulation's own: what became of a call whose answer was lost? */
int64_t ask_database(struct world *w, const char *sql);

#endif
