/* SPDX-License-Identifier: Apache-2.0 */
/* One loop thread for all connections. A connection reads a head, then (POST) a body that goes to an upload,
 * or (GET) sends an object; it handles one request at a time, so pipelined ones wait in its input buffer.
 * Once a second every connection is looked at: deadlines of heads and idle connections, and the least speed
 * of transfers. An answer that comes before the body was read is followed by a lingering close, so that the
 * client sees it instead of a reset. The rules of the vendor's device SDKs for answers (exact spelling of the
 * status line and Content-Length, no chunks, few headers) are in docs/packages.md. */
#include "api/package_server.h"

#include "api/store_request.h"
#include "api/tls.h"
#include "api/upload.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "engine/base/parse.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#define HEAD_MAX 8192
#define HEAD_MS 10000
#define IDLE_MS 75000
#define LINGER_MS 30000	    /* at most */
#define LINGER_IDLE_MS 5000 /* without a byte */
#define STOP_LINGER_MS 500  /* the same while stopping */
#define RATE_WINDOW_MS 60000
#define RATE_WINDOW_BYTES (60 * 1024)
#define TAKE_MAX 16384
#define INPUT_MAX ((size_t)64 * 1024)
#define WRITE_MAX ((size_t)256 * 1024) /* one connection's share of a turn of the loop */
#define UNSENT_MAX (128 * 1024)	       /* in the kernel per connection; more helps nobody and costs memory */
#define FORM_ROOM 65536		       /* of a body, besides the file */
#define WRITERS 2
#define TLS_PIECE 16384		       /* of an object, read and encrypted at a time: one record */
#define TLS_AHEAD ((size_t)128 * 1024) /* of them in the output buffer */

enum conn_state { CONN_HEAD, CONN_BODY, CONN_SENDING, CONN_LINGER, CONN_DEAD };

struct conn {
	struct package_server *server;
	struct conn *prev, *next;
	struct bufferevent *bev;
	enum conn_state state;
	struct arena arena; /* of the request at hand */
	struct store_request rq;
	struct store_body body;
	struct upload *upload;
	bool begun; /* bytes of a head were read, or are overdue */
	bool close_after;
	bool object; /* an object is being sent */
	bool tls;
	int file;		    /* the object over TLS; -1: none */
	int64_t file_at, file_left; /* what of it is not in the output buffer yet */
	int64_t since_ms, last_ms;  /* the state began; the last byte came (boot clock) */
	int64_t received, queued;   /* bytes of this request's body; of its answer */
	int64_t mark_ms, mark_bytes;
};

struct door {
	struct package_server *server;
	struct evconnlistener *listener; /* NULL: none, or stopped */
	struct tls *tls;
	int port;
};

struct package_server {
	struct package_store *store;
	struct event_base *base;
	struct door doors[PACKAGE_DOORS];
	struct event *tick, *woken;
	struct upload_pool *pool;
	struct conn *conns, *dead;
	int64_t n;
	int wake_fd;
	pthread_t thread;
	_Atomic bool stopping;
	_Atomic int64_t stop_by_ms;
};

static void conn_advance(struct conn *c);

/* ---- life of a connection ---- */

static void set_state(struct conn *c, enum conn_state state)
{
	c->state = state;
	c->since_ms = c->last_ms = c->mark_ms = clock_boot_ms();
	c->mark_bytes = 0;
	c->begun = false;
}

/* Bytes of the answer that the socket has not taken. */
static int64_t unsent_bytes(const struct conn *c)
{
	return (int64_t)evbuffer_get_length(bufferevent_get_output(c->bev)) + c->file_left;
}

/* Bytes of the answer that the client's side has taken: what is left in the buffer or the socket has not
 * moved. */
static int64_t sent_bytes(const struct conn *c)
{
	int outq = 0;

	if (ioctl(bufferevent_getfd(c->bev), SIOCOUTQ, &outq) != 0)
		outq = 0;
	return c->queued - unsent_bytes(c) - outq;
}

static void count_sent(struct conn *c)
{
	if (c->object)
		metric_add(M_STORE_DOWN, i64_max(0, c->queued - unsent_bytes(c)));
	c->object = false;
}

static void request_free(struct conn *c)
{
	upload_cancel(c->upload);
	c->upload = NULL;
	if (c->file >= 0)
		(void)close(c->file);
	c->file = -1;
	c->file_left = 0;
	arena_free(&c->arena);
	c->received = c->queued = 0;
}

/* Closes it now; the struct lives until the callback at hand is over. */
static void conn_kill(struct conn *c)
{
	struct package_server *s = c->server;

	if (c->state == CONN_DEAD)
		return;
	if (c->state == CONN_SENDING)
		count_sent(c);
	request_free(c);
	bufferevent_free(c->bev);
	c->state = CONN_DEAD;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = s->dead;
	s->dead = c;
	metric_set(M_STORE_CONNECTIONS, --s->n);
}

static void conns_reap(struct package_server *s)
{
	while (s->dead) {
		struct conn *c = s->dead;

		s->dead = c->next;
		free(c);
	}
}

static void conn_drop_slow(struct conn *c)
{
	metric_add_label(M_STORE_REFUSED, "slow", 1);
	conn_kill(c);
}

/* ---- answers ---- */

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} table[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 413, "Payload Too Large" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return table[i].text;
	return "Error";
}

/* Head of an answer with a body of len bytes; more: further header lines. */
static void send_head(struct conn *c, int status, int64_t len, const char *more)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	(void)evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", status, reason(status));
	if (status != 204)
		(void)evbuffer_add_printf(out, "Content-Length: %lld\r\n", (long long)len);
	(void)evbuffer_add_printf(out, "%sConnection: %s\r\n\r\n", more,
				  c->close_after ? "close" : "keep-alive");
}

static void sending(struct conn *c)
{
	set_state(c, CONN_SENDING);
	c->queued = unsent_bytes(c);
	/* Without reading, a further request waits where it is; a dead peer is found by writing. */
	(void)bufferevent_disable(c->bev, EV_READ);
}

/* A short answer. unread: the request's body was not read to its end, so the connection cannot be used again.
 */
static void reply(struct conn *c, int status, const char *more, const char *text, bool unread)
{
	c->close_after |= unread || !c->rq.keep_alive || status == 400;
	send_head(c, status, (int64_t)strlen(text), more);
	if (c->rq.method != METHOD_HEAD)
		(void)bufferevent_write(c->bev, text, strlen(text));
	if (status >= 400) {
		char label[] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10),
				 (char)('0' + status % 10), '\0' };

		metric_add_label(M_STORE_REFUSED, label, 1);
	}
	sending(c);
}

static void reply_error(struct conn *c, int status, const char *code, const char *message, bool unread)
{
	reply(c, status, "Content-Type: application/xml\r\n",
	      arena_printf(&c->arena,
			   "<?xml version=\"1.0\" "
			   "encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>\n",
			   code, message),
	      unread);
}

/* The answer is in the kernel: the next request, or the close. */
static void answer_sent(struct conn *c)
{
	bool whole = c->object;
	bool close = c->close_after || c->server->stopping;

	count_sent(c);
	if (whole)
		metric_add(M_STORE_DOWNLOADS, 1);
	request_free(c);
	set_state(c, close ? CONN_LINGER : CONN_HEAD);
	if (close && c->tls)
		tls_end(c->bev);
	if (close)
		(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	(void)bufferevent_enable(c->bev, EV_READ);
	c->begun = evbuffer_get_length(bufferevent_get_input(c->bev)) > 0;
	conn_advance(c);
}

/* ---- downloads ---- */

/* Over TLS the bytes have to pass through here: the output buffer is kept filled. false: the object cannot be
 * read. */
static bool send_pieces(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct evbuffer_iovec room;

	while (c->file_left > 0 && evbuffer_get_length(out) < TLS_AHEAD) {
		ssize_t n;

		if (evbuffer_reserve_space(out, TLS_PIECE, &room, 1) != 1)
			return false;
		n = pread(c->file, room.iov_base, (size_t)i64_min(c->file_left, TLS_PIECE), c->file_at);
		if (n <= 0)
			return false;
		room.iov_len = (size_t)n;
		ensure(evbuffer_commit_space(out, &room, 1) == 0);
		c->file_at += n;
		c->file_left -= n;
	}
	return true;
}

/* Owns fd. */
static bool send_file(struct conn *c, int fd, int64_t first, int64_t len)
{
	c->object = true;
	if (!c->tls)
		return evbuffer_add_file(bufferevent_get_output(c->bev), fd, first, len) == 0;
	c->file = fd;
	c->file_at = first;
	c->file_left = len;
	return send_pieces(c);
}

static void send_failed(struct conn *c)
{
	log_limited(EV_STORE_FAILED, LSTR("why", "an object cannot be sent"));
	conn_kill(c);
}

static void send_object(struct conn *c, const char *key, int fd, int64_t size)
{
	const char *etag = arena_printf(&c->arena, "\"%.32s\"", strrchr(key, '/') + 1);
	int64_t first = 0, len = size;
	enum store_range range = store_range_parse(c->rq.range, size, &first, &len);
	const char *more = arena_printf(
		&c->arena, "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nETag: %s\r\n",
		etag);

	if (c->rq.if_range && strcmp(c->rq.if_range, etag) != 0) {
		range = RANGE_WHOLE;
		first = 0;
		len = size;
	}
	if (range == RANGE_OUTSIDE) {
		(void)close(fd);
		reply(c, 416, arena_printf(&c->arena, "Content-Range: bytes */%lld\r\n", (long long)size), "",
		      false);
		return;
	}
	c->close_after |= !c->rq.keep_alive;
	if (range == RANGE_PART)
		more = arena_printf(&c->arena, "%sContent-Range: bytes %lld-%lld/%lld\r\n", more,
				    (long long)first, (long long)(first + len - 1), (long long)size);
	send_head(c, range == RANGE_PART ? 206 : 200, len, more);
	if (c->rq.method == METHOD_HEAD || len == 0) {
		(void)close(fd);
	} else if (!send_file(c, fd, first, len)) {
		send_failed(c);
		return;
	}
	sending(c);
}

static void route_get(struct conn *c)
{
	const char *key = NULL;
	int64_t size = 0;
	int fd = -1;

	if (c->body.place != BODY_END) {
		reply(c, 400, "", "", true);
		return;
	}
	if (strcmp(c->rq.path, "/healthz") == 0) {
		reply(c, 200, "Content-Type: text/plain\r\n", "ok\n", false);
		return;
	}
	/* No body in a refusal: some device SDKs take it for the beginning of the package. */
	if (package_store_check_url(c->server->store, &c->arena, c->rq.path, c->rq.query, clock_now(),
				    &key) != OK)
		reply(c, 403, "", "", false);
	else if (package_store_open_object(c->server->store, key, &fd, &size) != OK)
		reply(c, 404, "", "", false);
	else
		send_object(c, key, fd, size);
}

/* ---- uploads ---- */

static void upload_answer(struct conn *c)
{
	struct upload_result r = upload_result(c->upload);
	bool unread = c->body.place != BODY_END;
	const char *more, *text = "";

	if (r.code) {
		reply_error(c, r.status, r.code, r.message, unread);
		return;
	}
	more = arena_printf(&c->arena, "ETag: \"%s\"\r\n", r.md5);
	if (r.status == 201) {
		text = arena_printf(&c->arena,
				    "<?xml version=\"1.0\" "
				    "encoding=\"UTF-8\"?>\n<PostResponse><Key>%s</Key><ETag>\"%s\"</ETag></"
				    "PostResponse>\n",
				    r.key, r.md5);
		more = arena_printf(&c->arena, "%sContent-Type: application/xml\r\n", more);
	}
	reply(c, r.status, more, text, unread);
}

static void route_post(struct conn *c)
{
	struct package_server *s = c->server;
	int64_t most = i64_max(config_now()->store_upload_bytes, STORE_LIST_BYTES) + FORM_ROOM;

	if (!c->rq.chunked && c->rq.content_length < 0) {
		reply_error(c, 411, "MissingContentLength", "The request needs a Content-Length.", true);
		return;
	}
	if (c->rq.content_length > most) {
		reply_error(c, 413, "EntityTooLarge", "The body is larger than this store accepts.", true);
		return;
	}
	c->upload = upload_new(s->pool, s->store, c->rq.content_type, clock_now(), c);
	if (c->rq.expect_continue && upload_state(c->upload) == UPLOAD_MORE)
		(void)bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	set_state(c, CONN_BODY);
}

/* false: nothing more to do with the input at hand. */
static bool take_body(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in), taken, content_len = 0;
	const char *data, *content = NULL;
	bool more = upload_state(c->upload) == UPLOAD_MORE;

	if (more && c->body.place == BODY_END) {
		more = upload_finish(c->upload) == UPLOAD_MORE;
	} else if (more) {
		if (len == 0)
			return false;
		len = len < TAKE_MAX ? len : TAKE_MAX;
		data = (const char *)evbuffer_pullup(in, (ev_ssize_t)len);
		taken = store_body_take(&c->body, data, len, &content, &content_len);
		c->received += (int64_t)taken;
		if (c->body.place == BODY_BAD) {
			reply_error(c, 400, "MalformedPOSTRequest",
				    "The chunks of the body are not well formed.", true);
			return false;
		}
		if (content_len > 0)
			more = upload_feed(c->upload, content, content_len) == UPLOAD_MORE;
		(void)evbuffer_drain(in, taken);
	}
	if (upload_state(c->upload) == UPLOAD_ENDED) {
		upload_answer(c);
		return false;
	}
	if (!more)
		(void)bufferevent_disable(c->bev, EV_READ); /* until the piece is written */
	return more;
}

static void upload_written(void *owner)
{
	struct conn *c = owner;

	c->mark_ms = clock_boot_ms(); /* the disk's time is not the client's */
	c->mark_bytes = c->received;
	(void)bufferevent_enable(c->bev, EV_READ);
	conn_advance(c);
}

/* ---- requests ---- */

/* false: the head is not whole yet, or was refused. */
static bool take_head(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	size_t len = end.pos >= 0 ? (size_t)end.pos + 4 : evbuffer_get_length(in);
	int status;

	c->rq = (struct store_request){ .keep_alive = false };
	if (len > HEAD_MAX) {
		reply(c, 431, "", "", true);
		return false;
	}
	if (end.pos < 0)
		return false;
	status = store_request_parse(&c->arena, (const char *)evbuffer_pullup(in, (ev_ssize_t)len), len,
				     &c->rq);
	(void)evbuffer_drain(in, len);
	if (status) {
		reply(c, status, "", "", true);
		return false;
	}
	store_body_init(&c->body, &c->rq);
	if (c->rq.method == METHOD_POST)
		route_post(c);
	else if (c->rq.method == METHOD_OTHER)
		reply(c, 405, "Allow: GET, HEAD, POST\r\n", "", true);
	else
		route_get(c);
	return c->state == CONN_BODY;
}

static void conn_advance(struct conn *c)
{
	bool more = true;

	while (more) {
		if (c->state == CONN_HEAD)
			more = take_head(c);
		else if (c->state == CONN_BODY)
			more = take_body(c);
		else
			more = false;
	}
	if (c->state == CONN_LINGER)
		(void)evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
}

static void on_readable(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;
	struct package_server *s = c->server;

	(void)bev;
	c->last_ms = clock_boot_ms();
	if (c->state == CONN_HEAD && !c->begun) {
		c->begun = true; /* from here on the head's deadline runs */
		c->since_ms = c->last_ms;
	}
	conn_advance(c);
	conns_reap(s);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;
	struct package_server *s = c->server;

	(void)bev;
	if (c->state == CONN_SENDING && !send_pieces(c))
		send_failed(c);
	else if (c->state == CONN_SENDING && unsent_bytes(c) == 0)
		answer_sent(c);
	conns_reap(s);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct conn *c = ctx;
	struct package_server *s = c->server;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) /* TLS is agreed on */
		return;
	/* A client that closed its writing side may still read the answer. Over TLS a broken connection is
	 * told as the end of it, too, but while writing. */
	if (what & (BEV_EVENT_ERROR | BEV_EVENT_WRITING) || c->state != CONN_SENDING)
		conn_kill(c);
	conns_reap(s);
}

/* ---- the loop ---- */

static void conn_tick(struct conn *c, int64_t now_ms)
{
	int64_t moved, age = now_ms - c->since_ms;

	switch (c->state) {
	case CONN_HEAD:
		if (c->server->stopping)
			conn_kill(c);
		else if (c->begun && age > HEAD_MS)
			conn_drop_slow(c);
		else if (age > IDLE_MS)
			conn_kill(c);
		return;
	case CONN_LINGER:
		if (age > LINGER_MS ||
		    now_ms - c->last_ms > (c->server->stopping ? STOP_LINGER_MS : LINGER_IDLE_MS))
			conn_kill(c);
		return;
	case CONN_BODY:
	case CONN_SENDING:
		break;
	case CONN_DEAD:
		return;
	}
	if (now_ms - c->mark_ms < RATE_WINDOW_MS || (c->upload && upload_state(c->upload) == UPLOAD_BUSY))
		return;
	moved = c->state == CONN_BODY ? c->received : sent_bytes(c);
	if (moved - c->mark_bytes < RATE_WINDOW_BYTES) {
		conn_drop_slow(c);
		return;
	}
	c->mark_ms = now_ms;
	c->mark_bytes = moved;
}

/* A listener that could not accept tries again; one that is to stop goes. */
static void door_tick(struct door *d)
{
	if (!d->listener)
		return;
	if (!d->server->stopping) {
		(void)evconnlistener_enable(d->listener);
		return;
	}
	evconnlistener_free(d->listener);
	d->listener = NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct package_server *s = ctx;
	int64_t now_ms = clock_boot_ms();

	(void)fd;
	(void)what;
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		conn_tick(c, now_ms);
	}
	conns_reap(s);
	for (size_t i = 0; i < PACKAGE_DOORS; i++)
		door_tick(&s->doors[i]);
	if (s->stopping) {
		if (!s->conns || now_ms >= s->stop_by_ms)
			(void)event_base_loopbreak(s->base);
	}
}

static void on_woken(evutil_socket_t fd, short what, void *ctx)
{
	struct package_server *s = ctx;
	uint64_t n;

	(void)what;
	(void)!read(fd, &n, sizeof n);
	upload_pool_collect(s->pool, upload_written);
	conns_reap(s);
	if (s->stopping)
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
	struct package_server *s = d->server;
	struct conn *c;
	int one = 1, unsent = UNSENT_MAX;

	(void)l;
	(void)addr;
	(void)len;
	if (s->n >= config_now()->store_connections) {
		metric_add_label(M_STORE_REFUSED, "full", 1);
		(void)evutil_closesocket(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	c = calloc(1, sizeof *c);
	ensure(c != NULL);
	c->server = s;
	c->file = -1;
	c->tls = d->tls != NULL;
	c->bev = c->tls ? tls_accept(d->tls, s->base, fd)
			: bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	ensure(c->bev != NULL);
	arena_init(&c->arena);
	bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MAX);
	(void)bufferevent_set_max_single_write(c->bev, WRITE_MAX);
	(void)bufferevent_set_max_single_read(c->bev, TAKE_MAX);
	if (c->tls)
		bufferevent_setwatermark(c->bev, EV_WRITE, TLS_AHEAD / 2, 0);
	else
		(void)evbuffer_set_flags(bufferevent_get_output(c->bev),
					 EVBUFFER_FLAG_DRAINS_TO_FD); /* sendfile */
	set_state(c, CONN_HEAD);
	c->begun = true; /* the first request has to come at once */
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	s->conns = c;
	metric_set(M_STORE_CONNECTIONS, ++s->n);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
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

	(void)event_base_dispatch(s->base);
	while (s->conns)
		conn_kill(s->conns);
	conns_reap(s);
	return NULL;
}

/* ---- start and stop ---- */

static void server_free(struct package_server *s)
{
	if (s->pool)
		upload_pool_free(s->pool);
	for (size_t i = 0; i < PACKAGE_DOORS; i++)
		if (s->doors[i].listener)
			evconnlistener_free(s->doors[i].listener);
	if (s->tick)
		event_free(s->tick);
	if (s->woken)
		event_free(s->woken);
	event_base_free(s->base);
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
		d->listener = evconnlistener_new_bind(s->base, on_accept, d,
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
	s->store = store;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->base = event_base_new();
	ensure(s->base != NULL && s->wake_fd >= 0);
	for (size_t i = 0; i < PACKAGE_DOORS; i++) {
		enum err err = door_open(s, &s->doors[i], &doors[i], e);

		if (err != OK) {
			server_free(s);
			return err;
		}
	}
	/* Cancelled uploads may still be with the writers while their connections are replaced. */
	s->pool = upload_pool_new(WRITERS, (size_t)config_now()->store_connections * 2, wake, s);
	s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
	s->woken = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, on_woken, s);
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
	s->stopping = true;
	wake(s);
	(void)pthread_join(s->thread, NULL);
	server_free(s);
}
