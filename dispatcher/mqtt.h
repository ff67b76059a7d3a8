/* SPDX-License-Identifier: Apache-2.0 */
/* Our two clients at the broker, the only Paho user: the publisher (clean session, nothing sent while it is
 * disconnected, its own window) and ingest (kept session, everything goes into the journal before the broker
 * gets its acknowledgement). MQTT 3.1.1, QoS 1. A keeper thread connects and reconnects them. Both client ids
 * belong to the shard: whoever takes the shard over cuts a frozen owner off. */
#ifndef DISPATCHER_MQTT_H
#define DISPATCHER_MQTT_H

#include "dispatcher/journal.h"

struct mqtt;

struct mqtt_options {
	const char *uri, *user, *password;
	const char *ca; /* PEM file for ssl://; "" = the system's */
	int shard;
	int window; /* pushes that may wait for their acknowledgement */
	struct journal *journal;
	/* A client came or went; cheap; called from the keeper's or Paho's thread. */
	void (*changed)(void *ctx);
	void *ctx;
};

/* Strings are copied. Nothing connects before mqtt_want. */
struct mqtt *mqtt_start(const struct mqtt_options *o);
/* Disconnects and joins. */
void mqtt_stop(struct mqtt *m);
/* MQTT_KEEP: stay connected, but do not connect anew: the lease of the shard has run out, perhaps only for
 * want of a database. MQTT_CONNECT is good for 2 s and has to be repeated: then it means MQTT_KEEP. */
enum mqtt_wish { MQTT_OFF, MQTT_KEEP, MQTT_CONNECT };
/* Any thread. */
void mqtt_want(struct mqtt *m, enum mqtt_wish wish);

bool mqtt_publisher_up(struct mqtt *m);
bool mqtt_ingest_up(struct mqtt *m);
/* Number of publisher connections so far. A publish of an earlier connection that was not acknowledged has an
 * unknown outcome. */
int64_t mqtt_connection(struct mqtt *m);
/* When ingest last became connected, as the product's time; 0: never. */
utc_ms mqtt_ingest_since(struct mqtt *m);

struct mqtt_message {
	const char *topic;
	const void *payload;
	size_t len;
	uint64_t token; /* comes back with the acknowledgement; 0: of no interest */
};
#define MQTT_TOKEN_MAX (((uint64_t)1 << 46) - 1)

/* ---- pushes: one thread begins and ends a parcel of them; in between they go out by themselves, in order, as the
 * acknowledgements of those before them make room in the window ---- */
struct mqtt_parcel {
	const struct mqtt_message *messages; /* unchanged, with their texts, until the end */
	size_t n;
	int64_t connection;    /* mqtt_connection(); they go out on no other */
	int64_t until_boot_ms; /* clock_boot_ms; nothing is handed over from then on */
};
/* One at a time. */
void mqtt_parcel_begin(struct mqtt *m, const struct mqtt_parcel *p);
/* Is some of it still to be handed over, and can be? */
bool mqtt_parcel_going(struct mqtt *m);
/* Waits while it is -> how many were handed over, the first ones. None of the others ever will be. *ret_boot_ms: when
 * that was decided. */
size_t mqtt_parcel_end(struct mqtt *m, int64_t *ret_boot_ms);

/* ---- single messages: the tick's thread ---- */
/* Waits until the window has room, the publisher is gone or the time (clock_boot_ms) has come, and hands the message
 * over. ERR_UNAVAILABLE: nothing was sent. The error detail is not set. */
enum err mqtt_publish(struct mqtt *m, const struct mqtt_message *message, int64_t until_boot_ms) MUST_USE;

struct mqtt_ack {
	uint64_t token;
	int64_t at_us; /* clock_boot_us */
};
/* Acknowledgements since the last call, oldest first, in the arena. */
size_t mqtt_acks(struct mqtt *m, struct arena *a, struct mqtt_ack **ret);

/* ---- the credential feed, notifications: any thread ---- */
/* Sends them, in their order, and waits for the broker's acknowledgement of all. ERR_UNAVAILABLE: not
 * connected, lost, or too late; some may have arrived. Together with the window of pushes n stays below what
 * slows Paho down: at most 100. */
enum err mqtt_send_wait(struct mqtt *m, const struct mqtt_message *messages, size_t n,
			int timeout_ms) MUST_USE;

#endif
