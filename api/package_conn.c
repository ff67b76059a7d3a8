/* SPDX-License-Identifier: Apache-2.0 */
/* A connection reads a head, then (POST) a body that goes to an upload, or (GET) sends an object; it handles one
 * request at a time, so pipelined ones wait in its input buffer. An answer that comes before the body was read is
 * followed by a lingering close, so that the client sees it instead of a reset. The rules of the vendor's device SDKs
 * for answers (exact spelling of the status line and Content-Length, no chunks, few headers) are in docs/packages.md. */
#include "api/package_conn.h"

#include "api/store_request.h"
#include "api/tls.h"
#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/log.h"
#include "engine/base/metrics.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
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
/* What waits in the kernel: few connections may have much of it each, for the turns that it saves; ten thousand slow ones
 * hold 2 GiB at most. */
#define UNSENT_TOTAL ((int64_t)256 * 1024 * 1024)
#define UNSENT_MIN (128 * 1024)
#define UNSENT_MAX (1024 * 1024)
#define FORM_ROOM 65536		       /* of a body, besides the file */
#define TLS_PIECE 16384		       /* of an object, read and encrypted at a time: one record */
#define TLS_AHEAD ((size_t)128 * 1024) /* of them in the output buffer */

enum conn_state { CONN_HEAD, CONN_BODY, CONN_SENDING, CONN_LINGER, CONN_DEAD };

struct conn {
	struct package_conns *all;
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
	struct package_conns *all = c->all;

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
		all->open = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = all->dead;
	all->dead = c;
	metric_set(M_STORE_CONNECTIONS, --all->n);
}

static void conns_reap(struct package_conns *all)
{
	while (all->dead) {
		struct conn *c = all->dead;

		all->dead = c->next;
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
	bool close = c->close_after || c->all->stopping;

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
	if (package_store_check_url(c->all->store, &c->arena, c->rq.path, c->rq.query, clock_now(),
				    &key) != OK)
		reply(c, 403, "", "", false);
	else if (package_store_open_object(c->all->store, key, &fd, &size) != OK)
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
	struct package_conns *all = c->all;
	int64_t most = i64_max(config_now()->store_upload_bytes, STORE_LIST_BYTES) + FORM_ROOM;

	if (!c->rq.chunked && c->rq.content_length < 0) {
		reply_error(c, 411, "MissingContentLength", "The request needs a Content-Length.", true);
		return;
	}
	if (c->rq.content_length > most) {
		reply_error(c, 413, "EntityTooLarge", "The body is larger than this store accepts.", true);
		return;
	}
	c->upload = upload_new(all->pool, all->store, c->rq.content_type, clock_now(), c);
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
	struct package_conns *all = c->all;

	(void)bev;
	c->last_ms = clock_boot_ms();
	if (c->state == CONN_HEAD && !c->begun) {
		c->begun = true; /* from here on the head's deadline runs */
		c->since_ms = c->last_ms;
	}
	conn_advance(c);
	conns_reap(all);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;
	struct package_conns *all = c->all;

	(void)bev;
	if (c->state == CONN_SENDING && !send_pieces(c))
		send_failed(c);
	else if (c->state == CONN_SENDING && unsent_bytes(c) == 0)
		answer_sent(c);
	conns_reap(all);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct conn *c = ctx;
	struct package_conns *all = c->all;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) /* TLS is agreed on */
		return;
	/* A client that closed its writing side may still read the answer. Over TLS a broken connection is
	 * told as the end of it, too, but while writing. */
	if (what & (BEV_EVENT_ERROR | BEV_EVENT_WRITING) || c->state != CONN_SENDING)
		conn_kill(c);
	conns_reap(all);
}

/* ---- all of them ---- */

static void conn_tick(struct conn *c, int64_t now_ms)
{
	int64_t moved, age = now_ms - c->since_ms;

	switch (c->state) {
	case CONN_HEAD:
		if (c->all->stopping)
			conn_kill(c);
		else if (c->begun && age > HEAD_MS)
			conn_drop_slow(c);
		else if (age > IDLE_MS)
			conn_kill(c);
		return;
	case CONN_LINGER:
		if (age > LINGER_MS ||
		    now_ms - c->last_ms > (c->all->stopping ? STOP_LINGER_MS : LINGER_IDLE_MS))
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

void package_conn_open(struct package_conns *all, int fd, struct tls *tls)
{
	struct conn *c;
	int one = 1, unsent;

	if (all->n >= config_now()->store_connections) {
		metric_add_label(M_STORE_REFUSED, "full", 1);
		(void)evutil_closesocket(fd);
		return;
	}
	unsent = (int)i64_min(i64_max(UNSENT_TOTAL / (all->n + 1), UNSENT_MIN), UNSENT_MAX);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	c = calloc(1, sizeof *c);
	ensure(c != NULL);
	c->all = all;
	c->file = -1;
	c->tls = tls != NULL;
	c->bev = c->tls ? tls_accept(tls, all->base, fd)
			: bufferevent_socket_new(all->base, fd, BEV_OPT_CLOSE_ON_FREE);
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
	c->next = all->open;
	if (all->open)
		all->open->prev = c;
	all->open = c;
	metric_set(M_STORE_CONNECTIONS, ++all->n);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void package_conns_tick(struct package_conns *all)
{
	int64_t now_ms = clock_boot_ms();

	for (struct conn *c = all->open, *next; c; c = next) {
		next = c->next;
		conn_tick(c, now_ms);
	}
	conns_reap(all);
}

void package_conns_collect(struct package_conns *all)
{
	upload_pool_collect(all->pool, upload_written);
	conns_reap(all);
}

void package_conns_close(struct package_conns *all)
{
	while (all->open)
		conn_kill(all->open);
	conns_reap(all);
}
