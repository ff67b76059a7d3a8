/* SPDX-License-Identifier: Apache-2.0 */
#include "api/gate.h"

#include "api/guard.h"
#include "api/tls.h"
#include "engine/base/clock.h"
#include "engine/base/metrics.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCES 1024
#define LOOK_MS 250
#define LINGER_MS \
	200 /* a refused sender may still be sending: read on so long, else a reset eats the answer */
#define LINGER_BODY_MS 2000
#define LINGER_BODY_BYTES ((int64_t)64 * 1024 * 1024)

enum gate_state {
	GATE_NEW,	/* accepted, its socket not looked at yet */
	GATE_WAITING,	/* no byte of a request */
	GATE_READING,	/* part of a request */
	GATE_LINGERING, /* refused; what still comes is thrown away */
	GATE_IN_FLIGHT, /* evhttp has a whole request */
	GATE_ANSWERING, /* its answer is on the way out */
	GATE_CLOSING,
};

/* Connections of one address. */
struct source {
	struct source *next;
	unsigned char addr[16];
	int64_t n;
};

struct gates {
	struct guard_limits limits;
	int64_t request_ms, idle_ms, connections_max, per_source_max;
	int64_t n;
	size_t busy;
	struct source *sources[SOURCES];
	struct gate *list;
	struct gate **by_fd;
	size_t n_fds;
	struct tls *tls; /* NULL: plain */
};

struct gate {
	struct gates *all;
	struct gate *next, **prev; /* in all->list */
	struct bufferevent *bev;   /* a reference of our own: evhttp frees it without a word */
	struct evbuffer *later;	   /* what came behind the request that evhttp has */
	struct event *timer;
	struct source *source;
	int64_t deadline_ms; /* clock_boot_ms(); 0: none */
	evutil_socket_t fd;
	enum gate_state state;
	bool used;   /* has had a request before */
	bool busy;   /* counted in all->busy */
	bool inside; /* the input is being changed by us */

	struct guard_head head; /* of the request being read; len 0: not whole yet */
	size_t seen;		/* bytes of the head that hold no line end */
	size_t pos;		/* end of what is vetted of a chunked body */
	int64_t body;		/* bytes of chunks so far */

	enum err refusal;
	bool xml;
	int64_t linger_bytes; /* of a declared body that is thrown away; -1: by time alone */
};

/* ---- addresses and counts ----------------------------------------------------------------------------- */

static void address_of(evutil_socket_t fd, unsigned char out[16])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	memset(out, 0, 16);
	if (getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
		return;
	if (ss.ss_family == AF_INET) {
		memcpy(&v4, &ss, sizeof v4);
		memcpy(out, &v4.sin_addr, 4);
	} else if (ss.ss_family == AF_INET6) {
		memcpy(&v6, &ss, sizeof v6);
		memcpy(out, &v6.sin6_addr, 16);
	}
}

static struct source **source_slot(struct gates *all, const unsigned char addr[16])
{
	uint32_t h = 2166136261U;
	struct source **s;

	for (size_t i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 16777619U;
	for (s = &all->sources[h % SOURCES]; *s; s = &(*s)->next)
		if (memcmp((*s)->addr, addr, 16) == 0)
			break;
	return s;
}

static struct source *source_take(struct gates *all, evutil_socket_t fd)
{
	unsigned char addr[16];
	struct source **s;

	address_of(fd, addr);
	s = source_slot(all, addr);
	if (!*s) {
		*s = calloc(1, sizeof **s);
		ensure(*s != NULL);
		memcpy((*s)->addr, addr, sizeof addr);
	}
	(*s)->n++;
	return *s;
}

static void source_drop(struct gates *all, struct source *source)
{
	struct source **s = source_slot(all, source->addr);

	if (--source->n > 0)
		return;
	*s = source->next;
	free(source);
}

static void remember_fd(struct gates *all, evutil_socket_t fd, struct gate *g)
{
	if ((size_t)fd >= all->n_fds) {
		size_t n = (size_t)fd * 2 + 64;
		struct gate **more = realloc(all->by_fd, n * sizeof(struct gate *));

		ensure(more != NULL);
		memset(more + all->n_fds, 0, (n - all->n_fds) * sizeof(struct gate *));
		all->by_fd = more;
		all->n_fds = n;
	}
	all->by_fd[fd] = g;
}

/* ---- states -------------------------------------------------------------------------------------------- */

static void arm(struct gate *g)
{
	int64_t left = i64_max(g->deadline_ms - clock_boot_ms(), 0);
	int64_t ms = g->used ? left : i64_min(left, LOOK_MS);
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	(void)event_add(g->timer, &tv);
}

static void set_deadline(struct gate *g, int64_t ms)
{
	g->deadline_ms = clock_boot_ms() + ms;
	arm(g);
}

/* In the hands of a worker: it has its own deadlines. */
static void no_deadline(struct gate *g)
{
	g->deadline_ms = 0;
	(void)event_del(g->timer);
}

static void set_busy(struct gate *g, bool busy)
{
	if (g->busy == busy)
		return;
	g->busy = busy;
	if (busy)
		g->all->busy++;
	else
		g->all->busy--;
}

/* evhttp reads when there are this many bytes. */
static void set_door(struct gate *g, bool open)
{
	bufferevent_setwatermark(g->bev, EV_READ, open ? 1 : SIZE_MAX, 0);
}

/* evhttp clears the callbacks of what it frees; our reference keeps the rest. */
static bool is_freed(const struct gate *g)
{
	bufferevent_event_cb event_cb = NULL;

	bufferevent_getcb(g->bev, NULL, NULL, &event_cb, NULL);
	return event_cb == NULL;
}

static void gate_release(struct gate *g)
{
	struct gates *all = g->all;

	set_busy(g, false);
	event_free(g->timer);
	evbuffer_free(g->later);
	if (g->source)
		source_drop(all, g->source);
	if (g->fd >= 0 && (size_t)g->fd < all->n_fds && all->by_fd[g->fd] == g)
		all->by_fd[g->fd] = NULL;
	*g->prev = g->next;
	if (g->next)
		g->next->prev = g->prev;
	all->n--;
	metric_set(M_API_CONNECTIONS, all->n);
	(void)bufferevent_decref(g->bev);
	free(g);
}

/* As if the peer had gone: evhttp drops the connection. */
static void gate_close(struct gate *g)
{
	g->state = GATE_CLOSING;
	bufferevent_trigger_event(g->bev, BEV_EVENT_EOF | BEV_EVENT_READING, 0);
	gate_gone(g);
}

/* The first look at the accepted socket, which evhttp sets only after it has made the bufferevent. The whole
 * first request has to come within the deadline that starts here. */
static void gate_start(struct gate *g)
{
	struct gates *all = g->all;

	g->fd = bufferevent_getfd(g->bev);
	g->state = GATE_WAITING;
	if (g->fd < 0)
		return;
	remember_fd(all, g->fd, g);
	g->source = source_take(all, g->fd);
	set_deadline(g, all->request_ms);
	if (all->n > all->connections_max || g->source->n > all->per_source_max) {
		metric_add(M_API_CONNECTIONS_REFUSED, 1);
		g->state = GATE_CLOSING;
		set_deadline(g, 0);
	}
}

static void inject(struct gate *g, struct evbuffer *in);
static void take_later(struct gate *g);

static void on_deadline(struct gate *g)
{
	if (g->state == GATE_LINGERING) {
		inject(g, bufferevent_get_input(g->bev));
		bufferevent_trigger(g->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
		return;
	}
	if (g->state == GATE_READING || g->state == GATE_ANSWERING)
		metric_add(M_API_SLOW_CLIENTS, 1);
	gate_close(g);
}

/* Fires at the deadline, and every LOOK_MS before the first request, since nothing else tells that evhttp has
 * freed such a connection. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct gate *g = arg;

	(void)fd;
	(void)what;
	if (is_freed(g))
		gate_release(g);
	else if (g->state == GATE_NEW)
		gate_start(g);
	else if (g->state == GATE_CLOSING)
		gate_close(g);
	else if (g->state == GATE_WAITING && evbuffer_get_length(g->later) > 0)
		take_later(g);
	else if (g->deadline_ms > 0 && clock_boot_ms() >= g->deadline_ms)
		on_deadline(g);
	else
		arm(g);
}

/* ---- vetting ------------------------------------------------------------------------------------------- */

/* evhttp may read the first len bytes; the rest is kept until they are answered. */
static void let_through(struct gate *g, struct evbuffer *in, size_t len)
{
	struct evbuffer *request = evbuffer_new();

	ensure(request != NULL);
	no_deadline(g);
	g->state = GATE_IN_FLIGHT;
	set_busy(g, true);
	g->used = true;
	g->head = (struct guard_head){ .len = 0 };
	g->seen = g->pos = 0;
	g->body = 0;
	if (evbuffer_get_length(in) > len) {
		/* The end of an input buffer is frozen; its front is not. */
		(void)evbuffer_remove_buffer(in, request, len);
		(void)evbuffer_add_buffer(g->later, in);
		(void)evbuffer_prepend_buffer(in, request);
	}
	evbuffer_free(request);
	set_door(g, true);
}

/* The stand-in for a refused request. */
static void inject(struct gate *g, struct evbuffer *in)
{
	static const char stand_in[] = "GET /refused HTTP/1.1\r\nHost: otad\r\nConnection: close\r\n\r\n";

	g->inside = true;
	(void)evbuffer_drain(in, evbuffer_get_length(in));
	ensure(evbuffer_prepend(in, stand_in, sizeof stand_in - 1) == 0);
	let_through(g, in, sizeof stand_in - 1);
	g->inside = false;
}

static void linger(struct gate *g, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);

	(void)evbuffer_drain(in, len);
	if (g->linger_bytes >= 0)
		g->linger_bytes = i64_max(g->linger_bytes - (int64_t)len, 0);
	if (g->linger_bytes == 0)
		inject(g, in);
}

/* Malformed requests are small and here; of too large ones more is to come. */
static void refuse(struct gate *g, enum err e, struct evbuffer *src)
{
	size_t len = evbuffer_get_length(src);
	size_t look = len < g->all->limits.line_bytes ? len : g->all->limits.line_bytes;

	g->refusal = e;
	g->xml = guard_wants_xml((const char *)evbuffer_pullup(src, (ev_ssize_t)look), look);
	g->state = GATE_LINGERING;
	g->linger_bytes = -1;
	if (e == ERR_BODY_TOO_LARGE && !g->head.chunked && !g->head.expect_continue &&
	    g->head.content_length < LINGER_BODY_BYTES) {
		g->linger_bytes = (int64_t)g->head.len + g->head.content_length;
		set_deadline(g, LINGER_BODY_MS);
	} else if (e == ERR_BODY_TOO_LARGE || len > g->all->limits.header_bytes) {
		set_deadline(g, LINGER_MS);
	} else {
		g->linger_bytes = 0;
	}
	linger(g, src);
}

/* Reads on in a chunked body. OK and *ret_whole: all of it is here and good. */
static enum err vet_chunks(struct gate *g, struct evbuffer *src, bool *ret_whole)
{
	size_t have = evbuffer_get_length(src);

	*ret_whole = false;
	while (g->pos < have) {
		struct evbuffer_ptr at;
		char bytes[16] = { 0 };
		ev_ssize_t n;
		size_t line;
		int64_t size = 0;
		char end[2];

		if (evbuffer_ptr_set(src, &at, g->pos, EVBUFFER_PTR_SET) != 0)
			return OK;
		n = evbuffer_copyout_from(src, &at, bytes, sizeof bytes);
		TRY(guard_chunk(bytes, n > 0 ? (size_t)n : 0, &line, &size));
		if (line == 0)
			return OK;
		if (g->body + size > g->all->limits.body_bytes)
			return ERR_BODY_TOO_LARGE;
		if (have < g->pos + line + (size_t)size + 2)
			return OK;
		if (evbuffer_ptr_set(src, &at, g->pos + line + (size_t)size, EVBUFFER_PTR_SET) != 0 ||
		    evbuffer_copyout_from(src, &at, end, 2) != 2 || end[0] != '\r' || end[1] != '\n')
			return ERR_BAD_REQUEST;
		g->pos += line + (size_t)size + 2;
		g->body += size;
		*ret_whole = size == 0;
		if (size == 0)
			return OK;
	}
	return OK;
}

/* Past the bufferevent, whose writing belongs to evhttp; nothing else is on its way out now. A client that
 * does not get it sends its body after a while all the same. */
static void say_continue(struct gate *g)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (g->all->tls)
		tls_write(g->bev, text, sizeof text - 1);
	else
		(void)send(g->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Does the head that may be here now need another look? Only a line end can complete it or make it bad. */
static enum err vet_head(struct gate *g, struct evbuffer *src)
{
	const struct guard_limits *l = &g->all->limits;
	size_t most = l->line_bytes + l->header_bytes + 8, have = evbuffer_get_length(src);
	size_t len = have < most ? have : most;
	const char *data = (const char *)evbuffer_pullup(src, (ev_ssize_t)len);

	if (len < most && len > g->seen && len <= l->line_bytes &&
	    !memchr(data + g->seen, '\n', len - g->seen)) {
		g->seen = len;
		return OK;
	}
	g->seen = len;
	TRY(guard_head(data, len, l, &g->head));
	g->pos = g->head.len;
	if (g->head.len == 0 && len == most)
		return ERR_BAD_REQUEST;
	if (g->head.len > 0 && g->head.expect_continue && have == g->head.len)
		say_continue(g);
	return OK;
}

static void vet(struct gate *g, struct evbuffer *in)
{
	bool whole = false;
	enum err e = OK;
	size_t need;

	if (g->head.len == 0)
		e = vet_head(g, in);
	if (e == OK && g->head.len > 0 && g->head.chunked)
		e = vet_chunks(g, in, &whole);
	if (e != OK) {
		refuse(g, e, in);
		return;
	}
	if (g->head.len == 0 || (g->head.chunked && !whole))
		return;
	need = g->head.chunked ? g->pos : g->head.len + (size_t)g->head.content_length;
	if (evbuffer_get_length(in) >= need)
		let_through(g, in, need);
}

/* Empty lines between requests are harmless and some clients send them (RFC 9112 §2.2). */
static void skip_empty_lines(struct evbuffer *src)
{
	char two[2];

	while (evbuffer_copyout(src, two, 2) == 2 && two[0] == '\r' && two[1] == '\n')
		(void)evbuffer_drain(src, 2);
}

static void look_at(struct gate *g, struct evbuffer *in)
{
	if (g->state == GATE_NEW)
		gate_start(g);
	if (g->state == GATE_LINGERING) {
		linger(g, in);
		return;
	}
	if (g->state == GATE_WAITING) {
		if (evbuffer_get_length(g->later) > 0)
			(void)evbuffer_prepend_buffer(in, g->later);
		skip_empty_lines(in);
		if (evbuffer_get_length(in) == 0)
			return;
		g->state = GATE_READING;
		if (g->used)
			set_deadline(g, g->all->request_ms);
	}
	if (g->state == GATE_READING && evbuffer_get_length(in) > 0)
		vet(g, in);
}

/* Called inside the read, before evhttp could be. */
static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct gate *g = arg;

	if (g->inside || info->n_added == 0)
		return;
	g->inside = true;
	if (g->state == GATE_IN_FLIGHT || g->state == GATE_ANSWERING)
		(void)evbuffer_add_buffer(g->later,
					  in); /* reading is off then; evhttp must never find it there */
	else
		look_at(g, in);
	g->inside = false;
}

/* The next request, or its beginning, came with the last one, and no new byte calls on_input. */
static void take_later(struct gate *g)
{
	struct evbuffer *in = bufferevent_get_input(g->bev);

	set_deadline(g, g->all->idle_ms);
	g->inside = true;
	look_at(g, in);
	g->inside = false;
	if (g->state == GATE_IN_FLIGHT)
		bufferevent_trigger(g->bev, EV_READ, 0);
}

/* ---- for the listener ---- */

struct bufferevent *gates_accept(struct event_base *base, void *arg)
{
	struct gates *all = arg;
	struct gate *g = calloc(1, sizeof *g);

	ensure(g != NULL);
	g->all = all;
	g->fd = -1;
	g->bev = all->tls ? tls_accept(all->tls, base, -1)
			  : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	ensure(g->bev != NULL);
	bufferevent_incref(g->bev);
	g->later = evbuffer_new();
	g->timer = evtimer_new(base, on_timer, g);
	ensure(g->later != NULL && g->timer != NULL);
	ensure(evbuffer_add_cb(bufferevent_get_input(g->bev), on_input, g) != NULL);
	set_door(g, false);
	g->next = all->list;
	g->prev = &all->list;
	if (g->next)
		g->next->prev = &g->next;
	all->list = g;
	all->n++;
	metric_set(M_API_CONNECTIONS, all->n);
	set_deadline(g, 0);
	return g->bev;
}

struct gates *gates_new(const struct config *c, struct tls *tls)
{
	struct gates *all = calloc(1, sizeof *all);

	ensure(all != NULL);
	all->limits = (struct guard_limits){ .line_bytes = (size_t)c->api_line_bytes,
					     .header_bytes = 8192,
					     .body_bytes = c->api_body_bytes };
	all->request_ms = c->api_request_ms;
	all->idle_ms = c->api_idle_ms;
	all->connections_max = c->api_connections;
	all->per_source_max = c->api_connections_per_source;
	all->tls = tls;
	return all;
}

void gates_free(struct gates *all)
{
	if (!all)
		return;
	while (all->list)
		gate_release(all->list);
	free(all->by_fd);
	free(all);
}

size_t gates_busy(const struct gates *all)
{
	return all->busy;
}

struct gate *gate_of(struct gates *all, struct bufferevent *bev)
{
	evutil_socket_t fd = bufferevent_getfd(bev);

	ensure(fd >= 0 && (size_t)fd < all->n_fds && all->by_fd[fd] && all->by_fd[fd]->bev == bev);
	return all->by_fd[fd];
}

enum err gate_refusal(const struct gate *g, bool *ret_xml)
{
	*ret_xml = g->xml;
	return g->refusal;
}

void gate_answering(struct gate *g)
{
	g->state = GATE_ANSWERING;
	/* evhttp would like to see the end of the connection meanwhile. A peer may have ended its side behind
	 * requests that still wait here, and the deadline ends a connection that is dead. */
	(void)bufferevent_disable(g->bev, EV_READ);
	set_deadline(g, g->all->request_ms);
}

void gate_answered(struct gate *g)
{
	set_busy(g, false);
	set_door(g, false);
	g->state = GATE_WAITING;
	set_deadline(g, g->all->idle_ms);
	/* As soon as evhttp is back in its reading state, and before the socket is looked at again: there may
	 * be an end of file, and this request came before it. */
	if (evbuffer_get_length(g->later) > 0)
		event_active(g->timer, EV_TIMEOUT, 0);
}

void gate_gone(struct gate *g)
{
	struct timeval now = { .tv_sec = 0 };

	(void)event_add(g->timer, &now);
}
