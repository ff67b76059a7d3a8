/* SPDX-License-Identifier: Apache-2.0 */
/* All parts of a running otad, built in order and taken down in reverse; see docs/architecture.md, "Threads".
 * Main thread only. */
#ifndef OTAD_WORLD_H
#define OTAD_WORLD_H

#include "api/api.h"
#include "api/package_server.h"
#include "api/tls.h"
#include "dispatcher/dispatcher.h"

struct housekeeper;

struct world {
	struct seal_key master;
	char *broker_password;
	struct tls *api_tls, *store_tls; /* NULL: plain */
	struct package_store *store;
	struct package_server *package_server;
	struct dispatcher *dispatcher;
	struct registrar *registrar;
	struct api_server *api;
	struct housekeeper *housekeeper;
	struct api_env env;
};

/* Starts every part of the configured roles. On failure the world may be half built: world_stop all the same.
 */
enum err world_start(struct world *w, const struct config *c, struct error *e) MUST_USE;
/* Reads the certificates anew; one that cannot be used is logged, and the old one stays in use. The configuration
 * in force is everybody's at their next turn; the housekeeper's is now. */
void world_reload(struct world *w);
/* Where the package server's door with this number listens; 0: nowhere. */
int world_store_port(const struct world *w, size_t door);
/* <state_dir>/ready.env: the ports that were really taken, for scripts. When it cannot be written, as on a full disk,
 * that is logged. */
void world_write_ready(const struct world *w, const struct config *c, struct arena *a);
/* Finishes accepted work and stops everything, in reverse order. */
void world_stop(struct world *w);

#endif
