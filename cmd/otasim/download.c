/* SPDX-License-Identifier: Apache-2.0 */
/* A download over HTTP/1.1, in the words of the device's SDK and as strict about the answer (device §5.1):
 * the digest is computed while the bytes stream by, a break is resumed with Range. Called by update.c. */
#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 5
#define ANSWERS_MAX 50 /* for who goes on whatever he gets */
#define STALL_SECONDS 30
#define HEAD_MAX 8192

struct download {
	struct device *d;
	const struct file *file;
	struct bufferevent *bev;
	struct event *again;
	struct digest_ctx *digest;
	char *host, *path; /* host with its port, as in the Host header */
	char *name;	   /* host without it */
	bool tls;
	struct sockaddr_storage to;
	int to_len, tries, answers;
	bool head_done, halfway;
	int64_t got, left; /* bytes so far; bytes that this answer still has */
};

static void attempt(struct download *l);

/* http[s]://host[:port]/path; only numeric hosts and names that the system resolves at once. */
static bool url_read(struct download *l, const char *url)
{
	static const char plain[] = "http://", secure[] = "https://";
	const struct options *o = &l->d->sim->o;
	size_t host_len;
	char *colon, port[24];
	struct evutil_addrinfo hint = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	bool good;

	l->tls = strncmp(url, secure, sizeof secure - 1) == 0;
	if (!l->tls && strncmp(url, plain, sizeof plain - 1) != 0)
		return false;
	url += l->tls ? sizeof secure - 1 : sizeof plain - 1;
	host_len = strcspn(url, "/");
	l->host = strndup(url, host_len);
	l->path = strdup(url[host_len] ? url + host_len : "/");
	l->name = strdup(l->host ? l->host : "");
	ensure(l->host && l->path && l->name);
	(void)snprintf(port, sizeof port, "%lld",
		       (long long)(o->http_port ? o->http_port
				   : l->tls	? 443
						: 80));
	colon = strrchr(l->name, ':');
	if (colon)
		*colon = '\0';
	good = (!colon || o->any_port || !(l->d->profile->traits & HTTP_NO_PORT)) &&
	       evutil_getaddrinfo(l->name, colon ? colon + 1 : port, &hint, &found) == 0 && found;
	if (good) {
		memcpy(&l->to, found->ai_addr, found->ai_addrlen);
		l->to_len = (int)found->ai_addrlen;
	}
	if (found)
		evutil_freeaddrinfo(found);
	return good;
}

static void attempt_close(struct download *l)
{
	if (l->bev)
		bufferevent_free(l->bev);
	l->bev = NULL;
}

/* Another one from where we are, after a pause. */
static void attempt_again(struct download *l, int64_t pause_ms)
{
	struct timeval t = { .tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000 };

	(void)evtimer_add(l->again, &t);
}

/* The connection or the answer was no good. */
static void attempt_failed(struct download *l)
{
	attempt_close(l);
	if (++l->tries >= TRIES_MAX || ++l->answers >= ANSWERS_MAX)
		update_loaded(l->d, -2);
	else
		attempt_again(l, 200 * l->tries);
}

static void finish(struct download *l)
{
	unsigned char sum[DIGEST_MAX];
	struct device *d = l->d;

	digest_final(l->digest, sum);
	update_loaded(d, crypto_equal(sum, l->file->sum, digest_len(d->push->method)) ? 0 : -3);
}

static int64_t percent(const struct download *l)
{
	return 100 * l->got / l->file->size;
}

/* Progress in `steps` equal parts; the ends are reported by update.c. */
static void progress(struct download *l)
{
	struct device *d = l->d;
	int64_t steps = d->sim->o.steps;

	while (d->next_step < steps && l->got * steps >= d->next_step * l->file->size)
		update_progress(d, 100 * d->next_step++ / steps, "");
}

enum head { HEAD_MORE, HEAD_GOOD, HEAD_BAD, HEAD_FATAL };

static enum head head_read(struct download *l, char *head)
{
	static const char *const good[] = { "HTTP/1.1 206 Partial Content\r\n", "HTTP/1.1 200 OK\r\n" };
	unsigned traits = l->d->profile->traits;
	char *field = strstr(head, "\r\nContent-Length: "); /* case and blank as devices look for them */
	bool status = traits & HTTP_ANY_STATUS || strncmp(head, good[0], strlen(good[0])) == 0 ||
		      (l->got == 0 && strncmp(head, good[1], strlen(good[1])) == 0);
	int64_t length;

	if (!status)
		return traits & HTTP_FATAL ? HEAD_FATAL : HEAD_BAD;
	if (!field)
		return HEAD_BAD;
	field += strlen("\r\nContent-Length: ");
	if (!parse_i64n(field, strcspn(field, "\r"), 0, INT64_MAX, &length) ||
	    (length != l->file->size - l->got && !(traits & HTTP_ANY_STATUS)))
		return HEAD_BAD;
	l->left = i64_min(length, l->file->size - l->got);
	return HEAD_GOOD;
}

static enum head head_take(struct download *l, struct evbuffer *in)
{
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	char head[HEAD_MAX];

	if (end.pos < 0)
		return evbuffer_get_length(in) >= HEAD_MAX ? HEAD_BAD : HEAD_MORE;
	if (end.pos + 4 >= HEAD_MAX)
		return HEAD_BAD;
	(void)evbuffer_remove(in, head, (size_t)end.pos + 4);
	head[end.pos + 2] = '\0';
	l->head_done = true;
	return head_read(l, head);
}

static void body_take(struct download *l, struct evbuffer *in)
{
	char piece[16384];

	while (l->left > 0 && evbuffer_get_length(in) > 0) {
		int n = evbuffer_remove(in, piece, (size_t)i64_min(l->left, sizeof piece));

		if (n <= 0)
			break;
		digest_update(l->digest, piece, (size_t)n);
		l->got += n;
		l->left -= n;
		l->d->sim->stats.bytes += n;
		l->tries = 0; /* it moves */
	}
	l->d->sim->active_ms = clock_boot_ms();
	progress(l);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct download *l = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	enum head head = l->head_done ? HEAD_GOOD : head_take(l, in);

	if (head == HEAD_MORE)
		return;
	if (head == HEAD_GOOD)
		body_take(l, in);
	if (!l->halfway && 2 * l->got >= l->file->size) {
		l->halfway = true;
		if (!update_halfway(l->d))
			return;
	}
	if (head == HEAD_FATAL)
		update_loaded(l->d, -2);
	else if (l->got == l->file->size)
		finish(l);
	else if (l->bev && (head == HEAD_BAD || l->left == 0))
		attempt_failed(l);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct download *l = arg;
	struct device *d = l->d;
	const struct profile *p = d->profile;
	struct evbuffer *out = bufferevent_get_output(bev);
	struct buf request;

	if ((what & BEV_EVENT_CONNECTED) == 0) {
		attempt_failed(l);
		return;
	}
	buf_init(&request, 4096);
	profile_text(&request, d, p->http, 0, l->path, l->host);
	if (p->traits & HTTP_RANGE || l->got > 0)
		buf_addf(&request, "Range: bytes=%lld-\r\n", (long long)l->got);
	profile_text(&request, d, p->http_end, 0, l->path, l->host);
	(void)evbuffer_add(out, request.data, request.len);
	buf_free(&request);
	if (p->traits & (SAYS_ZERO | SAYS_PERCENT))
		update_progress(d, p->traits & SAYS_PERCENT ? percent(l) : 0, p->load_desc);
}

static void attempt(struct download *l)
{
	struct timeval stall = { .tv_sec = STALL_SECONDS, .tv_usec = 0 };

	l->d->sim->stats.resumed += l->got > 0;
	l->head_done = false;
	l->bev = connection_new(l->d->sim, l->tls ? l->name : NULL);
	bufferevent_setcb(l->bev, on_read, NULL, on_event, l);
	(void)bufferevent_set_timeouts(l->bev, &stall, &stall);
	if (l->d->sim->download_rate)
		(void)bufferevent_set_rate_limit(l->bev, l->d->sim->download_rate);
	(void)bufferevent_enable(l->bev, EV_READ | EV_WRITE);
	(void)bufferevent_socket_connect(l->bev, (struct sockaddr *)&l->to, l->to_len);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct download *l = arg;
	int64_t cut_ms = l->d->cut_until_ms - clock_boot_ms();

	(void)fd;
	(void)what;
	if (cut_ms > 0)
		attempt_again(l, cut_ms);
	else
		attempt(l);
}

void download_cut(struct download *l, bool silent)
{
	if (!l->bev)
		return; /* between two attempts */
	if (silent) {
		(void)bufferevent_disable(l->bev, EV_READ | EV_WRITE);
		return;
	}
	attempt_close(l);
	attempt_again(l, 200);
}

void download_mend(struct download *l)
{
	if (l->bev)
		(void)bufferevent_enable(l->bev, EV_READ | EV_WRITE);
}

struct download *download_start(struct device *d)
{
	struct download *l = calloc(1, sizeof *l);
	struct timeval now = { .tv_sec = 0, .tv_usec = 0 };

	ensure(l);
	l->d = d;
	l->file = &d->push->files[d->push->at];
	l->digest = digest_new(d->push->method);
	l->again = evtimer_new(d->sim->base, on_again, l);
	ensure(l->again);
	if (!url_read(l, l->file->url)) {
		download_free(l);
		return NULL;
	}
	/* From the loop, so that a failure never comes back before this returned. */
	(void)evtimer_add(l->again, &now);
	return l;
}

void download_free(struct download *l)
{
	attempt_close(l);
	event_free(l->again);
	digest_free(l->digest);
	free(l->host);
	free(l->name);
	free(l->path);
	free(l);
}
