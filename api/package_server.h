/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP listener of the package store: upload forms in, downloads out. Own loop thread on bufferevents (evhttp
 * buffers whole bodies); uploads stream to disk in bounded memory, downloads go out by sendfile. */
#ifndef API_PACKAGE_SERVER_H
#define API_PACKAGE_SERVER_H

#include "engine/base/config.h"
#include "storage/package_store.h"

struct package_server;

/* listen: "addr:port", port 0 picks a free one. */
enum err package_server_start(struct package_store *store, const char *listen, struct error *e,
			      struct package_server **ret) MUST_USE;
int package_server_port(const struct package_server *s);
/* Stops accepting, lets transfers run up to grace_ms, joins. */
void package_server_stop(struct package_server *s, int grace_ms);

#endif
