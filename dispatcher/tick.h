/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: holds the shard's lease and ticks: reports, timers, acknowledgements, claims, one transaction each,
 * and publishes after the commit. dispatcher.c gives it a thread; the simulation (tests/sim) turns it by hand. */
#ifndef DISPATCHER_TICK_H
#define DISPATCHER_TICK_H

#include "engine/base/config.h"

struct engine;
struct journal;
struct link_line;
struct mqtt;
struct package_store;

/* How much one tick takes on at most; the simulation sets them so low that their edges are met. */
struct tick_bounds {
	size_t records;	     /* of the journal */
	int timers;
	int32_t walk_rows;   /* of one job, read to feed its queue */
	size_t walk_until;   /* a queue that is so full needs no more rows */
	size_t claims;	     /* fewer when the broker is slow */
	size_t claims_spare; /* candidates beyond the slots, for those that turn out not to be due */
};
extern const struct tick_bounds tick_bounds_default;

struct tick_options {
	const struct config *config;
	struct tick_bounds bounds;
	int shard;
	struct journal *journal;
	struct mqtt *mqtt;
	struct package_store *store;
	/* Called when the broker told the position of the credentials that it has; may be NULL. */
	void (*broker_state)(void *ctx, int64_t position);
	/* A device wants to register (LINK_ASK_REGISTER, LINK_ASK_REGNWL), once for each wish, after the commit of what
	 * came before it; the texts are the tick's. May be NULL. */
	void (*registration)(void *ctx, const struct link_line *ask);
	/* Called when the lease was taken or lost; may be NULL. */
	void (*lease_changed)(void *ctx);
	void *ctx;
};

struct engine *engine_new(const struct tick_options *o);
/* One turn: the lease, what is owed from before, one tick. Returns for how many ms nothing is to be done unless
 * somebody wakes the engine; 0: there is more to do at once. */
int64_t engine_turn(struct engine *g);
/* A thread of its own, which turns until engine_stop_ticking. */
void engine_start(struct engine *g);
/* Ends after the tick in hand, waits for the acknowledgements of what was handed over (at most 1 s), gives
 * the lease back, joins. The parts of the options are still used by engine_wake until engine_free. */
void engine_stop_ticking(struct engine *g);
void engine_free(struct engine *g);

/* The following: any thread, cheap. */
void engine_wake(struct engine *g);
bool engine_leased(const struct engine *g);
/* Database there, leased, presence known. `why` gets a short text when not. */
bool engine_ready(const struct engine *g, const char **why);

#endif
