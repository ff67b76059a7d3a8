/* SPDX-License-Identifier: Apache-2.0 */
/* The loop thread, its doors, and its end. */
#include "api/package_server.h"

#include "api/package_conn.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/parse.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITERS 2

struct door {
	struct package_server *server;
	struct evconnlistener *listener; /* NULL: none, or stopped */
	struct tls *tls;
	int port;
};

struct package_server {
	struct package_conns conns;
	struct door doors[PACKAGE_DOORS];
	struct event *tick, *woken;
	int wake_fd;
	pthread_t thread;
	_Atomic int64_t stop_by_ms;
};

/* ---- the loop ---- */

/* A listener that could not accept tries again; one that is to stop goes. */
static void door_tick(struct door *d)
{
	if (!d->listener)
		return;
	if (!d->server->conns.stopping) {
		(void)evconnlistener_enable(d->listener);
		return;
	}
	evconnlistener_free(d->listener);
	d->listener = NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct package_server *s = ctx;

	(void)fd;
	(void)what;
	package_conns_tick(&s->conns);
	for (size_t i = 0; i < PACKAGE_DOORS; i++)
		door_tick(&s->doors[i]);
	if (s->conns.stopping && (!s->conns.open || clock_boot_ms() >= s->stop_by_ms))
		(void)event_base_loopbreak(s->conns.base);
}

static void on_woken(evutil_socket_t fd, short what, void *ctx)
{
	struct package_server *s = ctx;
	uint64_t n;

	(void)!read(fd, &n, sizeof n);
	package_conns_collect(&s->conns);
	if (s->conns.stopping)
		on_tick(fd, what, s);
}

static void wake(void *ctx)
{
	const struct package_server *s = ctx;
	uint64_t one = 1;

	(void)!write(s->wake_fd, &one, sizeof one);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx)
{
	const struct door *d = ctx;

	(void)l;
	(void)addr;
	(void)len;
	package_conn_open(&d->server->conns, fd, d->tls);
}

static void on_accept_error(struct evconnlistener *l, void *ctx)
{
	(void)ctx;
	log_limited(EV_STORE_FAILED, LSTR("why", strerrordesc_np(errno)));
	(void)evconnlistener_disable(l); /* the tick tries again */
}

static void *server_run(void *ctx)
{
	struct package_server *s = ctx;

	(void)event_base_dispatch(s->conns.base);
	package_conns_close(&s->conns);
	return NULL;
}

/* ---- start and stop ---- */

static void server_free(struct package_server *s)
{
	if (s->conns.pool)
		upload_pool_free(s->conns.pool);
	for (size_t i = 0; i < PACKAGE_DOORS; i++)
		if (s->doors[i].listener)
			evconnlistener_free(s->doors[i].listener);
	if (s->tick)
		event_free(s->tick);
	if (s->woken)
		event_free(s->woken);
	event_base_free(s->conns.base);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	free(s);
}

/* "addr:port" or "[addr]:port". Not in one go: libevent refuses port 0. */
static bool address_parse(struct arena *a, const char *text, struct sockaddr_storage *addr, int *len)
{
	const char *colon = strrchr(text, ':');
	int64_t port = 0;

	if (!colon || !parse_i64(colon + 1, 0, 65535, &port) ||
	    evutil_parse_sockaddr_port(arena_strndup(a, text, (size_t)(colon - text)),
				       (struct sockaddr *)addr, len) != 0)
		return false;
	if (addr->ss_family == AF_INET6)
		((struct sockaddr_in6 *)addr)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)addr)->sin_port = htons((uint16_t)port);
	return true;
}

static enum err door_open(struct package_server *s, struct door *d, const struct package_door *o,
			  struct error *e)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	int len = sizeof addr;
	socklen_t bound = sizeof addr;

	d->server = s;
	d->tls = o->tls;
	if (!o->listen || !*o->listen)
		return OK;
	errno = EINVAL;
	if (address_parse(e->arena, o->listen, &addr, &len))
		d->listener = evconnlistener_new_bind(s->conns.base, on_accept, d,
						      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
							      LEV_OPT_REUSEABLE,
						      1024, (struct sockaddr *)&addr, len);
	if (!d->listener ||
	    getsockname(evconnlistener_get_fd(d->listener), (struct sockaddr *)&addr, &bound) != 0)
		return fail(e, ERR_IO, "cannot serve packages on %s: %s", o->listen, strerrordesc_np(errno));
	evconnlistener_set_error_cb(d->listener, on_accept_error);
	d->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						   : ((struct sockaddr_in *)&addr)->sin_port);
	return OK;
}

enum err package_server_start(struct package_store *store, const struct package_door doors[PACKAGE_DOORS],
			      struct error *e, struct package_server **ret)
{
	struct package_server *s = calloc(1, sizeof *s);
	const struct timeval second = { .tv_sec = 1 };

	ensure(s != NULL);
	s->conns.store = store;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->conns.base = event_base_new();
	ensure(s->conns.base != NULL && s->wake_fd >= 0);
	for (size_t i = 0; i < PACKAGE_DOORS; i++) {
		enum err err = door_open(s, &s->doors[i], &doors[i], e);

		if (err != OK) {
			server_free(s);
			return err;
		}
	}
	/* Cancelled uploads may still be with the writers while their connections are replaced. */
	s->conns.pool = upload_pool_new(WRITERS, (size_t)config_now()->store_connections * 2, wake, s);
	s->tick = event_new(s->conns.base, -1, EV_PERSIST, on_tick, s);
	s->woken = event_new(s->conns.base, s->wake_fd, EV_READ | EV_PERSIST, on_woken, s);
	ensure(s->tick && s->woken && event_add(s->tick, &second) == 0 && event_add(s->woken, NULL) == 0);
	ensure(pthread_create(&s->thread, NULL, server_run, s) == 0);
	*ret = s;
	return OK;
}

int package_server_port(const struct package_server *s, size_t door)
{
	return s->doors[door].port;
}

void package_server_stop(struct package_server *s, int grace_ms)
{
	if (!s)
		return;
	s->stop_by_ms = clock_boot_ms() + grace_ms;
	s->conns.stopping = true;
	wake(s);
	(void)pthread_join(s->thread, NULL);
	server_free(s);
}
