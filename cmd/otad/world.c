/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and takes down the parts of otad; called by main.c only. */
#include "cmd/otad/world.h"

#include "cmd/otad/housekeeper.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "storage/master_key.h"
#include "storage/migrate.h"
#include "storage/role.h"
#include "storage/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define API_GRACE_MS 3000
#define DOWNLOAD_GRACE_MS 500 /* devices resume with Range */
#define DATABASE_WAIT_MS 15000
#define DATABASE_PAUSE_US 500000U
#define PASSWORD_BYTES_MAX 1024

/* Is this part ("api", "engine") among the configured roles? No part's name contains the other's. */
static bool role_has(const struct config *c, const char *part)
{
	return strstr(c->role, part) != NULL;
}

/* ---- files ---- */

/* A secret that others on this host can read is none. */
static enum err secret_file_check(const char *path, struct error *e)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	if (st.st_mode & (S_IROTH | S_IWOTH))
		return fail(e, ERR_CONFIG, "%s may be read or written by everybody; chmod 0400 it", path);
	return OK;
}

static enum err broker_password_read(struct world *w, const struct config *c, struct error *e)
{
	char text[PASSWORD_BYTES_MAX + 1] = "";
	FILE *f;
	size_t len;

	TRY(secret_file_check(c->broker_password_file, e));
	f = fopen(c->broker_password_file, "re");
	if (!f)
		return fail(e, ERR_CONFIG, "%s: %s", c->broker_password_file, strerror(errno));
	len = fread(text, 1, PASSWORD_BYTES_MAX, f);
	(void)fclose(f);
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (!*text)
		return fail(e, ERR_CONFIG, "%s is empty", c->broker_password_file);
	w->broker_password = strdup(text);
	ensure(w->broker_password != NULL);
	explicit_bzero(text, sizeof text);
	return OK;
}

static enum err dir_make(const char *path, struct error *e)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	return OK;
}

/* ---- database ---- */

/* The database may come up a little later than we do; a schema that is not ours, or secrets that our key does not open,
 * are refused at once. */
static enum err database_check_with(struct db *db, const struct seal_key *master, struct arena *a, struct error *e)
{
	int64_t until = clock_boot_ms() + DATABASE_WAIT_MS;
	const char *role;
	bool is_owner;
	enum err err;

	for (;;) {
		error_clear(e);
		arena_reset(a);
		db_begin_work(db, a, e);
		err = db_connect(db);
		if (err != ERR_DB_CONNECTION || clock_boot_ms() >= until)
			break;
		(void)usleep(DATABASE_PAUSE_US);
	}
	TRY(err);
	TRY(store_migrated(db));
	TRY(store_role(db, &role));
	TRY(store_role_is_owner(db, &is_owner));
	if (is_owner)
		log_event(EV_DB_OWNER, LSTR("role", role));
	return store_master_key_check(db, master);
}

static enum err database_check(const struct world *w, const struct config *c, struct error *e)
{
	struct db_options o = { .conninfo = c->database,
				.connect_ms = 5000,
				.name = "otad start" };
	struct db *db = db_new(&o);
	struct arena a;
	struct error own;
	enum err err;

	arena_init(&a);
	error_init(&own, &a);
	err = database_check_with(db, &w->master, &a, &own);
	if (err != OK)
		err = fail(e, err, "%s", error_text(&own));
	db_free(db);
	arena_free(&a);
	return err;
}

/* ---- wake-ups between the parts; a part that runs elsewhere polls ---- */

static void wake_engine(void *ctx)
{
	struct world *w = ctx;

	if (w->dispatcher)
		dispatcher_wake_engine(w->dispatcher);
}

static void wake_maker(void *ctx)
{
	struct world *w = ctx;

	if (w->dispatcher)
		dispatcher_wake_maker(w->dispatcher);
}

static void wake_credentials(void *ctx)
{
	struct world *w = ctx;

	if (w->dispatcher)
		dispatcher_wake_credentials(w->dispatcher);
}

static void wake_registrar(void *ctx)
{
	struct world *w = ctx;

	if (w->registrar)
		registrar_wake(w->registrar);
}

static bool ready(void *ctx, const char **why)
{
	struct world *w = ctx;

	return !w->dispatcher || dispatcher_ready(w->dispatcher, why);
}

/* ---- parts ---- */

/* How clients reach the package server: as configured, or by the address that it listens on. */
static enum err store_url_set(struct world *w, const struct config *c, struct error *e)
{
	const char *url = c->store_url, *colon = strrchr(c->store_listen, ':');
	int host_len = (int)(colon - c->store_listen);

	if (!*url) {
		if (!w->package_server || strncmp(c->store_listen, "0.0.0.0:", 8) == 0 ||
		    c->store_listen[0] == '[')
			return fail(e, ERR_CONFIG,
				    "store_url has to be set: %s is not an address that devices can use",
				    c->store_listen);
		url = arena_printf(e->arena, "%s://%.*s:%d", w->store_tls ? "https" : "http", host_len,
				   c->store_listen, package_server_port(w->package_server, 0));
	}
	if (strlen(url) > STORE_URL_MAX)
		return fail(e, ERR_CONFIG, "%s is longer than %d characters: set store_url", url,
			    STORE_URL_MAX);
	package_store_set_url(w->store, url, c->store_device_url);
	return OK;
}

static enum err store_start(struct world *w, const struct config *c, struct error *e)
{
	bool device_tls = strncmp(c->store_device_url, "https:", 6) == 0;

	TRY(package_store_open(c->store_dir, &w->master, e, &w->store));
	if (role_has(c, "api")) {
		const struct package_door doors[PACKAGE_DOORS] = {
			{ c->store_listen, w->store_tls },
			{ c->store_device_listen, device_tls ? w->store_tls : NULL },
		};

		TRY(package_server_start(w->store, doors, e, &w->package_server));
	}
	return store_url_set(w, c, e);
}

/* Certificates of the listeners that speak TLS. */
static enum err tls_start(struct world *w, const struct config *c, struct error *e)
{
	if (!role_has(c, "api"))
		return OK;
	if (*c->api_tls_cert)
		TRY(tls_new(c->api_tls_cert, c->api_tls_key, e, &w->api_tls));
	if (*c->store_tls_cert)
		TRY(tls_new(c->store_tls_cert, c->store_tls_key, e, &w->store_tls));
	return OK;
}

static enum err engine_start(struct world *w, const struct config *c, struct error *e)
{
	struct dispatcher_options o = { .config = c, .master = &w->master, .store = w->store };

	TRY(broker_password_read(w, c, e));
	o.broker_password = w->broker_password;
	return dispatcher_start(&o, e, &w->dispatcher);
}

enum err world_start(struct world *w, const struct config *c, struct error *e)
{
	w->env = (struct api_env){ .master = &w->master,
				   .wake_engine = wake_engine,
				   .wake_maker = wake_maker,
				   .wake_credentials = wake_credentials,
				   .wake_registrar = wake_registrar,
				   .wake_ctx = w };
	TRY(master_key_load(c->master_key_file, &w->master, e));
	TRY(dir_make(c->state_dir, e));
	TRY(tls_start(w, c, e));
	TRY(database_check(w, c, e));
	TRY(store_start(w, c, e));
	w->env.store = w->store;
	if (role_has(c, "engine"))
		TRY(engine_start(w, c, e));
	w->housekeeper = housekeeper_start(c, w->store);
	if (role_has(c, "api")) {
		TRY(registrar_start(c, &w->env, e, &w->registrar));
		TRY(api_start(c, w->api_tls, &w->env, ready, w, e, &w->api));
	}
	return OK;
}

void world_stop(struct world *w)
{
	if (w->api)
		api_stop(w->api, API_GRACE_MS);
	if (w->registrar)
		registrar_stop(w->registrar);
	housekeeper_stop(w->housekeeper);
	if (w->dispatcher)
		dispatcher_stop(w->dispatcher);
	if (w->package_server)
		package_server_stop(w->package_server, DOWNLOAD_GRACE_MS);
	if (w->store)
		package_store_close(w->store);
	tls_free(w->api_tls);
	tls_free(w->store_tls);
	if (w->broker_password)
		explicit_bzero(w->broker_password, strlen(w->broker_password));
	free(w->broker_password);
	explicit_bzero(&w->master, sizeof w->master);
}

int world_store_port(const struct world *w, size_t door)
{
	return w->package_server ? package_server_port(w->package_server, door) : 0;
}

void world_reload(struct world *w)
{
	struct tls *all[] = { w->api_tls, w->store_tls };
	struct arena a;
	struct error e;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		error_init(&e, &a);
		if (all[i] && tls_reload(all[i], &e) != OK)
			log_event(EV_TLS_BAD, LSTR("why", error_text(&e)));
	}
	arena_free(&a);
	housekeeper_wake(w->housekeeper);
}

static bool ready_write(const struct world *w, const char *tmp)
{
	FILE *f = fopen(tmp, "we");
	bool good;

	if (!f)
		return false;
	good = fprintf(f, "api_port=%d\nstore_port=%d\nstore_device_port=%d\npid=%d\n",
		       w->api ? api_port(w->api) : 0, world_store_port(w, 0), world_store_port(w, 1),
		       (int)getpid()) > 0;
	return fclose(f) == 0 && good;
}

void world_write_ready(const struct world *w, const struct config *c, struct arena *a)
{
	const char *path = arena_printf(a, "%s/ready.env", c->state_dir), *tmp = arena_printf(a, "%s.new", path);

	if (ready_write(w, tmp) && rename(tmp, path) == 0)
		return;
	log_event(EV_READY_FILE, LSTR("file", path), LSTR("why", strerror(errno)));
	(void)unlink(tmp);
	(void)unlink(path); /* it tells of the last start */
}
