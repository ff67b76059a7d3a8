/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP listener of the package store: upload forms in, downloads out. Own loop thread on bufferevents (evhttp
 * buffers whole bodies); uploads stream to disk in bounded memory, downloads go out by sendfile, over TLS
 * piece by piece. Both doors serve the same. */
#ifndef API_PACKAGE_SERVER_H
#define API_PACKAGE_SERVER_H

#include "engine/base/config.h"
#include "storage/package_store.h"

struct package_server;

struct tls;

/* An address to listen on. */
struct package_door {
	const char *listen; /* "addr:port", port 0 picks a free one; NULL or "": none */
	struct tls *tls;    /* NULL: plain; it stays the caller's, and outlives the server */
};
#define PACKAGE_DOORS 2

/* The first door has to be there. ERR_IO: one cannot be listened on. */
enum err package_server_start(struct package_store *store, const struct package_door doors[PACKAGE_DOORS],
			      struct error *e, struct package_server **ret) MUST_USE;
/* Of the door with this number; 0: it is none. */
int package_server_port(const struct package_server *s, size_t door);
/* Stops accepting, lets transfers run up to grace_ms, joins. */
void package_server_stop(struct package_server *s, int grace_ms);

#endif
