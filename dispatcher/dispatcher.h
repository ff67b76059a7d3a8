/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's drivers: one thread that ticks (reports, timers, claims, one transaction each), one that makes
 * tasks, one that hands credentials to the broker, and Paho's own. Started and stopped by cmd/otad. */
#ifndef DISPATCHER_H
#define DISPATCHER_H

#include "engine/base/config.h"
#include "engine/base/crypto.h"

struct package_store;
struct dispatcher;

struct dispatcher_options {
	const struct config *config;
	const struct seal_key *master;
	const char *broker_password;
	struct package_store *store; /* signs download URLs */
};

/* Starts all threads; connects in the background, with backoff. */
enum err dispatcher_start(const struct dispatcher_options *o, struct error *e, struct dispatcher **ret) MUST_USE;
/* Drains what was claimed, hands the lease back, joins the threads. Within 8 s. */
void dispatcher_stop(struct dispatcher *d);
/* Ready: database and broker connected, presence known. `why` gets a short text when not. */
bool dispatcher_ready(struct dispatcher *d, const char **why);

/* Called by API threads of the same process after a commit; cheap, never block. */
void dispatcher_wake_engine(void *d);
void dispatcher_wake_maker(void *d);
void dispatcher_wake_credentials(void *d);

#endif
