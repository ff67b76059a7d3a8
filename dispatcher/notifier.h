/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier: one thread on its own connection that publishes the notifications that others have written
 * down, oldest first, and forgets them when the broker has acknowledged. */
#ifndef DISPATCHER_NOTIFIER_H
#define DISPATCHER_NOTIFIER_H

#include "dispatcher/mqtt.h"
#include "engine/base/config.h"

struct notifier;

struct notifier_options {
	const struct config *config;
	/* All from the notifier's thread; ctx is theirs. */
	bool (*may_run)(void *ctx);	  /* this process holds the shard's lease */
	int64_t (*connection)(void *ctx); /* 0: the broker is not connected */
	enum err (*send)(void *ctx, const struct mqtt_message *messages, size_t n,
			 int timeout_ms); /* mqtt_send_wait */
	void *ctx;
};

struct notifier *notifier_start(const struct notifier_options *o);
void notifier_stop(struct notifier *n);

#endif
