/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: one thread that holds the shard's lease and ticks: reports, timers, acknowledgements, claims,
 * one transaction each, and publishes after the commit. Made and stopped by dispatcher.c. */
#ifndef DISPATCHER_TICK_H
#define DISPATCHER_TICK_H

#include "engine/base/config.h"

struct engine;
struct journal;
struct mqtt;
struct package_store;

struct tick_options {
	const struct config *config;
	int shard;
	struct journal *journal;
	struct mqtt *mqtt;
	struct package_store *store;
	/* Called when the broker told its state (boot, position of the credentials); may be NULL. */
	void (*broker_state)(void *ctx, int64_t boot, int64_t position);
	/* Called when the lease was taken or lost; may be NULL. */
	void (*lease_changed)(void *ctx);
	void *ctx;
};

struct engine *engine_start(const struct tick_options *o);
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
