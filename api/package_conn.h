/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of the package server, from accept to close. Everything runs on the loop's thread. */
#ifndef API_PACKAGE_CONN_H
#define API_PACKAGE_CONN_H

#include "api/upload.h"
#include "storage/package_store.h"

struct conn;
struct event_base;
struct tls;

/* What they share. Zeroed but for the first three. */
struct package_conns {
	struct package_store *store;
	struct event_base *base;
	struct upload_pool *pool;
	struct conn *open, *dead; /* closed in the callback at hand */
	int64_t n;
	_Atomic bool stopping; /* set by any thread: what is at hand is finished, nothing else is begun */
};

/* Takes over an accepted socket; closes it at once above store_connections. tls NULL: plain. */
void package_conn_open(struct package_conns *all, int fd, struct tls *tls);
/* Once a second: deadlines of heads and idle connections, and the least speed of transfers. */
void package_conns_tick(struct package_conns *all);
/* The writers of uploads have said something. */
void package_conns_collect(struct package_conns *all);
void package_conns_close(struct package_conns *all);

#endif
