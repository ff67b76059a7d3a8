/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http.h"

#include "api/encode.h"
#include "api/gate.h"
#include "api/worker.h"
#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/base/parse.h"
#include "engine/ids.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <event2/thread.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* An address that is listened on. */
struct door {
	struct http *http;
	struct gates *gates;
	struct evhttp *ev;
	struct evhttp_bound_socket *bound;
	bool calls, pages; /* what is served here: the API; health and metrics */
};

struct http {
	struct http_hooks hooks;
	struct event_base *base;
	struct door api, pages;
	pthread_t thread;
	struct event *wake, *stop_tick;

	pthread_mutex_t lock; /* guards done; nothing is taken under it */
	struct request *done; /* answers to send, newest first */

	/* Loop thread only. */
	int64_t in_flight;
	bool stopping;
	int64_t stop_until_ms;
};

/* ---- requests -------------------------------------------------------------------------------------------
 */

static struct request *request_new(struct evhttp_request *ev)
{
	struct arena arena;
	struct request *rq;

	arena_init(&arena);
	rq = ARENA_NEW(&arena, struct request);
	request_id_new(rq->request_id);
	rq->peer = ev;
	rq->arrived_us = clock_boot_us();
	rq->arena = arena;
	return rq;
}

static void request_free(struct request *rq)
{
	struct arena arena = rq->arena; /* rq lives in it */

	arena_free(&arena);
}

static void copy_headers(struct request *rq, struct evhttp_request *ev)
{
	struct evkeyvalq *q = evhttp_request_get_input_headers(ev);
	struct header *h;
	size_t n = 0;

	for (struct evkeyval *kv = q->tqh_first; kv; kv = kv->next.tqe_next)
		n++;
	h = ARENA_ARRAY(&rq->arena, n + 1, struct header);
	for (struct evkeyval *kv = q->tqh_first; kv; kv = kv->next.tqe_next)
		h[rq->n_headers++] = (struct header){ .name = arena_strdup(&rq->arena, kv->key),
						      .value = arena_strdup(&rq->arena, kv->value) };
	rq->headers = h;
}

/* Everything a worker may want, so that it never looks at evhttp's objects. */
static void request_copy(struct request *rq, struct evhttp_request *ev)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(ev);
	const char *target = evhttp_request_get_uri(ev);
	size_t path = strcspn(target, "?");
	char *body;

	rq->method = evhttp_request_get_command(ev) == EVHTTP_REQ_POST ? "POST" : "GET";
	rq->path = arena_strndup(&rq->arena, target, path);
	rq->query = arena_strdup(&rq->arena, target[path] ? target + path + 1 : "");
	copy_headers(rq, ev);
	rq->body_len = evbuffer_get_length(in);
	body = arena_alloc(&rq->arena, rq->body_len + 1);
	(void)evbuffer_remove(in, body, rq->body_len);
	rq->body = body;
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

static void body_sent(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	request_free(arg);
}

static void answer_sent(struct evhttp_request *ev, void *gate)
{
	(void)ev;
	gate_answered(gate);
}

static void send_answer(struct door *d, struct request *rq)
{
	struct evhttp_request *ev = rq->peer;
	struct evhttp_connection *conn = evhttp_request_get_connection(ev);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
	struct evbuffer *body;
	struct gate *gate;

	if (!conn) { /* the peer has gone; evhttp left the request to us */
		evhttp_request_free(ev);
		request_free(rq);
		return;
	}
	gate = gate_of(d->gates, evhttp_connection_get_bufferevent(conn));
	body = evbuffer_new();
	ensure(body != NULL);
	(void)evhttp_add_header(headers, "Content-Type", rq->content_type);
	(void)evhttp_add_header(headers, "x-acs-request-id", rq->request_id);
	if (rq->close || d->http->stopping)
		(void)evhttp_add_header(headers, "Connection", "close");
	evhttp_request_set_on_complete_cb(ev, answer_sent, gate);
	/* No answer is empty: the request goes when the last byte of its reply has gone. */
	ensure(rq->reply->len > 0 &&
	       evbuffer_add_reference(body, rq->reply->data, rq->reply->len, body_sent, rq) == 0);
	evhttp_send_reply(ev, rq->status, NULL, body);
	gate_answering(gate);
	evbuffer_free(body);
}

static void answer_error(struct door *d, struct request *rq, enum format f, enum err err)
{
	struct error error;

	error_init(&error, &rq->arena);
	(void)fail_param(&error, err, NULL);
	request_refuse(rq, f, NULL, NULL, &error);
	metric_add_label(M_API_REFUSED, error_code(&error), 1);
	send_answer(d, rq);
}

/* ---- what the loop thread answers itself ------------------------------------------------------------------
 */

static bool answer_page(struct door *d, struct request *rq)
{
	const char *why = "";

	rq->reply = buf_owned(&rq->arena, (size_t)4 * 1024 * 1024);
	rq->content_type = "text/plain; charset=utf-8";
	rq->status = 200;
	if (strcmp(rq->path, "/healthz") == 0) {
		buf_adds(rq->reply, "ok\n");
	} else if (strcmp(rq->path, "/readyz") == 0) {
		bool ready = !d->http->stopping && d->http->hooks.ready(d->http->hooks.ready_ctx, &why);

		rq->status = ready ? 200 : 503;
		buf_addf(rq->reply, "%s\n", ready ? "ready" : d->http->stopping ? "stopping" : why);
	} else if (strcmp(rq->path, "/metrics") == 0) {
		rq->content_type = "text/plain; version=0.0.4; charset=utf-8";
		metrics_print(rq->reply);
	} else {
		return false;
	}
	send_answer(d, rq);
	return true;
}

static void on_close(struct evhttp_connection *conn, void *gate)
{
	(void)conn;
	gate_gone(gate);
}

/* The gate of the request, which is told when evhttp frees the connection. */
static struct gate *gate_of_request(struct door *d, struct evhttp_request *ev)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(ev);
	struct gate *gate = gate_of(d->gates, evhttp_connection_get_bufferevent(conn));

	evhttp_connection_set_closecb(conn, on_close, gate);
	return gate;
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct door *d = arg;
	struct http *h = d->http;
	struct request *rq;
	enum err refusal;
	bool xml;

	if (!evhttp_request_get_uri(ev)) { /* evhttp itself found it bad; the gate should have */
		struct gate *gate = gate_of_request(d, ev);

		evhttp_send_error(ev, 400, NULL);
		gate_answering(gate);
		return;
	}
	rq = request_new(ev);
	request_copy(rq, ev);
	refusal = gate_refusal(gate_of_request(d, ev), &xml);
	if (refusal != OK) {
		rq->close = true;
		answer_error(d, rq, xml ? FORMAT_XML : FORMAT_JSON, refusal);
		return;
	}
	if (d->pages && answer_page(d, rq))
		return;
	if (!d->calls) {
		answer_error(d, rq, FORMAT_JSON, ERR_ACTION_NOT_FOUND);
		return;
	}
	h->in_flight++;
	if (h->hooks.take(h->hooks.take_ctx, rq))
		return;
	h->in_flight--;
	answer_error(d, rq, request_format_guess(rq), ERR_UNAVAILABLE);
}

/* ---- between the threads ----------------------------------------------------------------------------------
 */

void http_reply(struct http *h, struct request *rq)
{
	bool first;

	ensure(pthread_mutex_lock(&h->lock) == 0);
	first = !h->done;
	rq->next = h->done;
	h->done = rq;
	ensure(pthread_mutex_unlock(&h->lock) == 0);
	if (first) /* else the loop has been told, and has not come yet */
		event_active(h->wake, 0, 0);
}

static struct request *take_done(struct http *h)
{
	struct request *list, *oldest_first = NULL;

	ensure(pthread_mutex_lock(&h->lock) == 0);
	list = h->done;
	h->done = NULL;
	ensure(pthread_mutex_unlock(&h->lock) == 0);
	while (list) {
		struct request *rq = list;

		list = rq->next;
		rq->next = oldest_first;
		oldest_first = rq;
	}
	return oldest_first;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	struct request *rq = take_done(h);

	(void)fd;
	(void)what;
	while (rq) {
		struct request *next = rq->next;

		h->in_flight--;
		send_answer(&h->api, rq);
		rq = next;
	}
}

/* Every few milliseconds while stopping. */
static void on_stop_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;
	struct timeval tick = { .tv_usec = 10000 };

	(void)fd;
	(void)what;
	if (!h->stopping) {
		h->stopping = true;
		(void)evhttp_del_accept_socket(h->api.ev, h->api.bound);
		if (h->pages.ev)
			(void)evhttp_del_accept_socket(h->pages.ev, h->pages.bound);
	}
	if ((h->in_flight == 0 && gates_busy(h->api.gates) == 0) || clock_boot_ms() >= h->stop_until_ms)
		(void)event_base_loopbreak(h->base);
	else
		(void)event_add(h->stop_tick, &tick);
}

static void *loop_main(void *arg)
{
	struct http *h = arg;

	(void)event_base_loop(h->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* ---- start and stop
 * ----------------------------------------------------------------------------------------- */

static bool split_address(struct arena *a, const char *listen, const char **ret_host, int64_t *ret_port)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t)(colon - listen) : 0;

	if (!colon || !parse_i64(colon + 1, 0, 65535, ret_port))
		return false;
	if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']')
		*ret_host = arena_strndup(a, listen + 1, len - 2);
	else
		*ret_host = arena_strndup(a, listen, len);
	return true;
}

static enum err door_open(struct http *h, struct door *d, const struct config *c, const char *listen,
			  struct tls *tls, struct error *e)
{
	const char *host;
	int64_t port;

	d->http = h;
	if (!split_address(e->arena, listen, &host, &port))
		return fail(e, ERR_CONFIG, "%s is not an address and a port", listen);
	d->gates = gates_new(c, tls);
	d->ev = evhttp_new(h->base);
	ensure(d->ev != NULL);
	evhttp_set_allowed_methods(d->ev, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_default_content_type(d->ev, NULL);
	/* The gate counts; evhttp only must not count differently. */
	evhttp_set_max_headers_size(d->ev, c->api_line_bytes + 32 * 1024);
	evhttp_set_max_body_size(d->ev, c->api_body_bytes + 1);
	evhttp_set_bevcb(d->ev, gates_accept, d->gates);
	evhttp_set_gencb(d->ev, on_request, d);
	d->bound = evhttp_bind_socket_with_handle(d->ev, host, (ev_uint16_t)port);
	if (!d->bound)
		return fail(e, ERR_CONFIG, "cannot listen on %s", listen);
	return OK;
}

/* evhttp asks for reading and writing several times a request: the kernel hears of it once a round. */
static struct event_base *base_new(void)
{
	struct event_config *c = event_config_new();
	struct event_base *base;

	ensure(c != NULL && event_config_set_flag(c, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0);
	base = event_base_new_with_config(c);
	event_config_free(c);
	return base;
}

enum err http_start(const struct config *c, struct tls *tls, const struct http_hooks *hooks, struct error *e,
		    struct http **ret)
{
	struct http *h = calloc(1, sizeof *h);
	enum err err;

	ensure(h != NULL && evthread_use_pthreads() == 0);
	h->hooks = *hooks;
	h->base = base_new();
	ensure(h->base != NULL && pthread_mutex_init(&h->lock, NULL) == 0);
	h->wake = event_new(h->base, -1, EV_PERSIST, on_done, h);
	h->stop_tick = event_new(h->base, -1, 0, on_stop_tick, h);
	ensure(h->wake != NULL && h->stop_tick != NULL);
	h->api.calls = true;
	h->api.pages = c->metrics_listen[0] == '\0';
	h->pages.pages = true;
	err = door_open(h, &h->api, c, c->api_listen, tls, e);
	if (err == OK && !h->api.pages)
		err = door_open(h, &h->pages, c, c->metrics_listen, NULL, e);
	if (err != OK) {
		http_free(h);
		return err;
	}
	ensure(pthread_create(&h->thread, NULL, loop_main, h) == 0);
	*ret = h;
	return OK;
}

int http_port(const struct http *h)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof ss;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	ensure(getsockname(evhttp_bound_socket_get_fd(h->api.bound), (struct sockaddr *)&ss, &len) == 0);
	memcpy(&v4, &ss, sizeof v4);
	memcpy(&v6, &ss, sizeof v6);
	return ntohs(ss.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

void http_stop(struct http *h, int grace_ms)
{
	h->stop_until_ms = clock_boot_ms() + grace_ms;
	event_active(h->stop_tick, 0, 0);
	ensure(pthread_join(h->thread, NULL) == 0);
}

void http_free(struct http *h)
{
	struct request *rq;

	if (!h)
		return;
	/* Answers that came too late. Those of live connections belong to evhttp and go with it. */
	for (rq = take_done(h); rq;) {
		struct request *next = rq->next;

		if (!evhttp_request_get_connection(rq->peer))
			evhttp_request_free(rq->peer);
		request_free(rq);
		rq = next;
	}
	if (h->api.ev)
		evhttp_free(h->api.ev);
	if (h->pages.ev)
		evhttp_free(h->pages.ev);
	gates_free(h->api.gates);
	gates_free(h->pages.gates);
	/* What was freed goes for good at the end of a round of the loop. */
	(void)event_base_loop(h->base, EVLOOP_NONBLOCK);
	event_free(h->wake);
	event_free(h->stop_tick);
	event_base_free(h->base);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}
