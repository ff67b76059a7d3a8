/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices are online, in memory, as the broker's plugin tells it (engine/brokerlink.h). Until the first
 * snapshot, and again when the broker's heartbeat stops, nothing is known: then nobody counts as offline, and
 * pushes wait. Told the time; no I/O. One thread: the tick's. */
#ifndef DISPATCHER_PRESENCE_H
#define DISPATCHER_PRESENCE_H

#include "engine/brokerlink.h"

struct presence_device {
	const char *pk, *dn, *ip;
	int64_t device_id; /* 0: not looked up yet (presence_resolve) */
	int64_t conn;
	utc_ms since_ms;   /* when this connection was made, or first seen */
};

struct presence;

struct presence *presence_new(void);
void presence_free(struct presence *p);

/* A device came (online) or went; `d` as it was, valid during the call. A new connection of a device that is
 * online is a `came` with the new conn, without a `went` before it. */
typedef void (*presence_fn)(void *ctx, const struct presence_device *d, bool online);
/* Applies one message of LINK_FROM_BROKER, received at `at`; the text is cut up. fn may be NULL. */
void presence_apply(struct presence *p, char *text, utc_ms at, presence_fn fn, void *ctx);

/* Is the picture complete and fresh? Nothing heard of the broker for 5 s: no longer. */
bool presence_known(const struct presence *p, utc_ms now);
/* True once for each reason to ask the broker for a snapshot (LINK_PRESENCE): start, gap, new boot, silence,
 * a snapshot that was cut off. */
bool presence_wants_snapshot(struct presence *p, utc_ms now);
/* The connection to the broker was made anew: messages may be missing. */
void presence_lost(struct presence *p);

/* NULL: not online as far as is known. Valid until the next presence_apply. */
const struct presence_device *presence_find(const struct presence *p, const char *pk, const char *dn);
const struct presence_device *presence_of(const struct presence *p, int64_t device_id);
/* The device behind a name, once it is known; ignored when the device is not online. */
void presence_resolve(struct presence *p, const char *pk, const char *dn, int64_t device_id);
size_t presence_online(const struct presence *p);
void presence_each(const struct presence *p, presence_fn fn, void *ctx);

/* Position of the credentials that the broker has, by its last `state` line: true when there was a new one since the
 * last call. */
bool presence_state(struct presence *p, int64_t *ret_position);

#endif
