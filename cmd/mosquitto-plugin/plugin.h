/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin's files share. Everything runs on the broker's one thread, and nothing may make it wait: no
 * database, no lock, no sleep; work that grows with the fleet is done a piece per tick. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include "conns.h"
#include "creds.h"
#include "statefile.h"

#include "engine/device_auth.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

/* What is counted and told at most once a minute for each. */
enum note {
	NOTE_LOGIN_REFUSED,
	NOTE_ID_TAKEN,
	NOTE_REGISTER_PORT,
	NOTE_REGISTER_PRODUCT,
	NOTE_REGISTER_DEVICE,
	NOTE_REGISTER_SIGN,
	NOTE_REGISTER_MANY,
	NOTE_REGISTER_REFUSED,
	NOTE_REGISTER_LATE,
	NOTE_TOPIC_REFUSED,
	NOTE_RETAINED,
	NOTE_OVERSIZED,
	NOTE_STATE_FILE,
	NOTE_FEED,
	NOTE_COUNT
};

#define REGISTRATIONS_MAX 256 /* at a time */
#define REGISTER_PORTS_MAX 8

/* A device that is asking for its secret. */
struct registration {
	struct conn *conn; /* NULL: free */
	bool asked;	   /* otad has been told */
	int64_t until_boot_ms;
};

struct plugin {
	mosquitto_plugin_id_t *id;
	struct creds creds;
	struct conns conns;
	struct statefile file;
	char *service_user, *secret_file;
	char service_secret[256];
	struct {
		int64_t count, told;
		int64_t next_boot_ms;
	} notes[NOTE_COUNT];

	/* credentials: feed.c */
	int64_t position; /* what otad was told last; 0: not complete */
	bool in_set;	  /* between cred-begin and cred-end */
	bool sweeping;	  /* dropped devices are still in the table and in the file */
	size_t sweep_at;

	/* presence: presence.c */
	struct buf out; /* lines not yet published */
	int64_t boot, seq;
	int64_t next_conn;    /* number of the next connection */
	int64_t beat_boot_ms; /* when the next is due */
	bool in_snapshot;
	struct conn *cursor; /* next connection to name; NULL: the snapshot is to be ended */
	int64_t named;

	/* registration.c */
	struct registration registrations[REGISTRATIONS_MAX];
	size_t n_registrations; /* none at or above it */
	int register_ports[REGISTER_PORTS_MAX];
};

/* Counts, and logs now and then: who and what are of the last one. */
void plugin_note(struct plugin *p, enum note n, const char *who, const char *what);

/* One message of LINK_TO_BROKER. */
void feed_message(struct plugin *p, const void *payload, size_t len);
/* Bounded housekeeping: frees what was dropped, writes the file. */
void feed_tick(struct plugin *p, int64_t now_boot_ms);

void presence_init(struct plugin *p);
/* Somebody logged in; makes the connection, and closes a device's older one. */
void presence_login(struct plugin *p, const struct conn_new *n);
/* The connection is gone, or never came up. */
void presence_end(struct plugin *p, struct conn *c);
/* Every connection that was made with this credential has to go; so before it is removed. */
void presence_revoke(struct plugin *p, const struct cred *cred);
/* A connection has to go: it may do nothing any more and is closed at the next tick. */
void presence_close(struct plugin *p, struct conn *c);
/* Answers hello. */
void presence_state(struct plugin *p);
void presence_snapshot(struct plugin *p);
/* Closes what is to be closed, sends what is to be sent. */
void presence_tick(struct plugin *p, int64_t now_boot_ms);

/* "8883 443": the ports of listeners where devices may register. false: not a list of ports. */
bool registration_ports(struct plugin *p, const char *text);
/* A device wants to register by the listener at this port (0: not known): is it let in? *ret_why: if not,
 * why. */
bool registration_check(const struct plugin *p, const struct device_login *l, const char *sign, int port,
			enum note *ret_why);
/* It was let in: makes the connection, and asks otad at the next tick. */
void registration_begin(struct plugin *p, const struct conn_new *n);
/* reg-ok, reg-no; of a connection that is gone it is ignored. */
void registration_answer(struct plugin *p, const struct link_line *l);
/* The connection is gone; harmless when it was none of these. */
void registration_end(struct plugin *p, const struct conn *c);
void registration_tick(struct plugin *p, int64_t now_boot_ms);

#endif
