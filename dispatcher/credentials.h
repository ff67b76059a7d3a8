/* SPDX-License-Identifier: Apache-2.0 */
/* The credential feed: one thread on its own connection that hands every change of what may log in to the
 * broker's plugin, and the full set to a broker that lags behind (engine/brokerlink.h). A change is forgotten
 * only when the broker has acknowledged it: whoever promised "can log in from now on" waits for that. It also
 * answers devices that register over MQTT: they can log in with what they get. */
#ifndef DISPATCHER_CREDENTIALS_H
#define DISPATCHER_CREDENTIALS_H

#include "engine/base/config.h"
#include "engine/base/crypto.h"

struct credentials;
struct link_line;

struct credentials_options {
	const struct config *config;
	const struct seal_key *master;
	int shard;
	/* All from the feed's thread; ctx is theirs. */
	bool (*may_run)(void *ctx); /* this process holds the shard's lease */
	/* How often the broker connection was made; 0: it is down. A new number means: ask how far it is. */
	int64_t (*connection)(void *ctx);
	/* Publishes on LINK_TO_BROKER, QoS 1, and waits for the acknowledgement. */
	enum err (*send)(void *ctx, const void *payload, size_t len, int timeout_ms);
	void *ctx;
};

struct credentials *credentials_start(const struct credentials_options *o);
/* Cheap, any thread: something was committed. */
void credentials_wake(struct credentials *c);
/* A `state` line of the broker came (presence_state). Any thread. */
void credentials_state(struct credentials *c, int64_t position);
/* A device wants to register (LINK_ASK_REGISTER, LINK_ASK_REGNWL). Any thread; cheap. More than can be
 * answered are dropped, and their devices come again. */
void credentials_register(struct credentials *c, const struct link_line *ask);
void credentials_stop(struct credentials *c);

#endif
