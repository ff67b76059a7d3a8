/* SPDX-License-Identifier: Apache-2.0 */
/* The connections that have logged in, keyed by the broker's struct mosquitto: a failed login is never in
 * here, and the end of a connection that another one replaced touches nobody else. The broker's thread only.
 */
#ifndef PLUGIN_CONNS_H
#define PLUGIN_CONNS_H

#include "engine/base/base.h"

struct cred;
struct mosquitto;

enum conn_kind {
	CONN_DEVICE,
	CONN_OTAD,
	CONN_READER,	    /* of a service account, which may have several */
	CONN_REGISTERS,	    /* a device that asks for its secret (device §1.5): may do nothing, is nobody's presence */
	CONN_REGISTERS_ANY, /* the same, by regnwl */
};

struct conn {
	struct conn *next_client, *next_id; /* hash chains */
	struct conn *prev, *next;	    /* in one of the lists */
	const struct mosquitto *client;
	int64_t number;	   /* unique over starts of the broker */
	struct cred *cred; /* of a device or a reader that is not to be closed */
	enum conn_kind kind;
	bool closing;
	const char *id, *user, *ip;
	const char *pk, *dn; /* NULL: not a device's */
};

struct conn_list {
	struct conn *first;
};

struct conns {
	struct conn **by_client, **by_id;
	size_t buckets, n;
	struct conn_list live; /* newest first */
	struct conn_list
		closing; /* superseded or revoked: may do nothing any more, closed at the next tick */
	size_t online;	 /* devices in `live` */
};

/* What a connection is made of; texts are copied. */
struct conn_new {
	const struct mosquitto *client;
	int64_t number;
	enum conn_kind kind;
	struct cred *cred;
	const char *id, *user, *ip, *pk, *dn;
};

void conns_init(struct conns *t);
void conns_free(struct conns *t);
struct conn *conns_add(struct conns *t, const struct conn_new *n);
struct conn *conns_find(const struct conns *t, const struct mosquitto *client);
/* By clientId: the broker has at most one such connection, except inside of a takeover. */
struct conn *conns_find_id(const struct conns *t, const char *id);
/* Takes every right from it and puts it on the list of those to be closed. */
void conns_close(struct conns *t, struct conn *c);
void conns_remove(struct conns *t, struct conn *c);

#endif
