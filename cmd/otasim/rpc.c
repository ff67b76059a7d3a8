/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otasim/rpc.h"

#include "cmd/otasim/sim.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_S 30
#define ANSWER_BYTES_MAX (16 * 1024 * 1024)
#define FORM_BYTES_MAX (1024 * 1024)
#define NONCE_LEN 32
#define COMMON 8

/* A connection, and the call that has it. */
struct line {
	struct rpc *rpc;
	struct evhttp_connection *http; /* NULL: to be opened */
	bool busy, used;		/* used: has answered before */
	bool again;			/* the call is the second try */
	enum evhttp_request_error error;
	rpc_fn *fn;
	void *arg;
	struct buf form;
};

struct rpc {
	struct sim *sim;
	struct rpc_target target;
	const char *host_header;
	struct arena arena;
	struct evhttp_connection **dead; /* freed from the loop: they may be on the stack */
	size_t n_dead, cap_dead;
	struct event *bury;
	size_t n, n_busy;
	struct line lines[];
};

static void send_form(struct line *l);

/* ---- connections ---- */

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
	struct rpc *r = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < r->n_dead; i++)
		evhttp_connection_free(r->dead[i]);
	r->n_dead = 0;
}

static void line_close(struct line *l)
{
	static const struct timeval now = { 0 };
	struct rpc *r = l->rpc;

	if (!l->http)
		return;
	if (r->n_dead == r->cap_dead) {
		r->cap_dead = r->cap_dead ? r->cap_dead * 2 : 16;
		r->dead = realloc(r->dead, r->cap_dead * sizeof(struct evhttp_connection *));
		ensure(r->dead);
	}
	evhttp_connection_set_closecb(l->http, NULL, NULL);
	r->dead[r->n_dead++] = l->http;
	l->http = NULL;
	(void)evtimer_add(r->bury, &now);
}

static void on_close(struct evhttp_connection *http, void *arg)
{
	struct line *l = arg;

	(void)http;
	if (!l->busy)
		line_close(l);
}

static void line_open(struct line *l)
{
	struct rpc *r = l->rpc;
	const struct rpc_target *t = &r->target;

	l->http = evhttp_connection_base_bufferevent_new(
		r->sim->base, NULL, connection_new(r->sim, t->tls ? t->host : NULL), t->host, t->port);
	ensure(l->http);
	evhttp_connection_set_timeout(l->http, TIMEOUT_S);
	evhttp_connection_set_max_body_size(l->http, ANSWER_BYTES_MAX);
	evhttp_connection_set_closecb(l->http, on_close, l);
	l->used = false;
}

struct rpc *rpc_new(struct sim *s, const struct rpc_target *t, size_t connections)
{
	struct rpc *r = calloc(1, sizeof *r + connections * sizeof r->lines[0]);

	ensure(r);
	*r = (struct rpc){ .sim = s, .target = *t, .n = connections };
	arena_init(&r->arena);
	r->host_header = arena_printf(&r->arena, "%s:%u", t->host, t->port);
	r->bury = evtimer_new(s->base, on_bury, r);
	ensure(r->bury);
	for (size_t i = 0; i < connections; i++) {
		r->lines[i].rpc = r;
		buf_init(&r->lines[i].form, FORM_BYTES_MAX);
	}
	return r;
}

void rpc_free(struct rpc *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		line_close(&r->lines[i]);
		buf_free(&r->lines[i].form);
	}
	on_bury(-1, 0, r);
	event_free(r->bury);
	free(r->dead);
	arena_free(&r->arena);
	free(r);
}

bool rpc_is_free(const struct rpc *r)
{
	return r->n_busy < r->n;
}

size_t rpc_busy(const struct rpc *r)
{
	return r->n_busy;
}

/* ---- answers ---- */

static void body_read(struct evhttp_request *req, struct rpc_answer *a)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(in);
	const char *word;

	a->raw = len > 0 ? (const char *)evbuffer_pullup(in, -1) : "";
	a->raw_len = len;
	a->body = json_parse(a->arena, a->raw, len, false);
	word = json_text(json_get(a->body, "Code"));
	if (word) {
		a->code = word;
		word = json_text(json_get(a->body, "ErrorMessage"));
		a->text = word ? word : "";
	} else if (!json_is_object(a->body) || evhttp_request_get_response_code(req) != 200) {
		a->code = arena_printf(a->arena, "(HTTP %d)", evhttp_request_get_response_code(req));
	}
}

static void on_error(enum evhttp_request_error error, void *arg)
{
	struct line *l = arg;

	l->error = error;
}

/* The server may close a kept connection at the moment that a call leaves; it has not been looked at then, or
 * its nonce is known, so that saying it again never does it twice. */
static bool worth_another_try(const struct line *l, struct evhttp_request *req)
{
	return l->used && !l->again &&
	       (req || l->error == EVREQ_HTTP_EOF || l->error == EVREQ_HTTP_BUFFER_ERROR);
}

static bool says_close(struct evhttp_request *req)
{
	const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), "Connection");

	return value && strcasecmp(value, "close") == 0;
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct line *l = arg;
	struct arena arena;
	struct rpc_answer a = { .text = "", .raw = "", .arena = &arena };

	arena_init(&arena);
	if (req && evhttp_request_get_response_code(req) != 0) {
		l->used = true;
		body_read(req, &a);
		if (says_close(req))
			line_close(l);
	} else {
		line_close(l);
		if (worth_another_try(l, req)) {
			l->again = true;
			send_form(l);
			arena_free(&arena);
			return;
		}
		a.code = !req && l->error == EVREQ_HTTP_TIMEOUT ? "(timeout)" : "(no connection)";
	}
	l->busy = false;
	l->rpc->n_busy--;
	l->fn(l->arg, &a);
	arena_free(&arena);
}

/* ---- calls ---- */

static int by_name(const void *a, const void *b)
{
	const struct param_text *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void pairs_add(struct buf *b, const struct param_text *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, '&');
		buf_add_percent(b, v[i].name);
		buf_addc(b, '=');
		buf_add_percent(b, v[i].value);
	}
}

void rpc_sign(struct arena *a, const struct rpc_target *t, const char *action, const struct param_list *p,
	      const char *nonce, utc_ms now, struct buf *ret_form)
{
	char when[UTC_TEXT_LEN];
	struct param_text v[COMMON + PARAMS_MAX] = {
		{ "AccessKeyId", t->key_id },  { "Action", action },
		{ "Format", "JSON" },	       { "SignatureNonce", nonce },
		{ "SignatureVersion", "1.0" }, { "SignatureMethod", "HMAC-SHA1" },
		{ "Version", "2018-01-20" },
	};
	struct buf *text = buf_owned(a, FORM_BYTES_MAX), *all = buf_owned(a, 4 * (size_t)FORM_BYTES_MAX);
	const char *key = arena_printf(a, "%s&", t->secret);
	unsigned char mac[DIGEST_MAX];

	format_utc_ms(now, when); /* its milliseconds are left out */
	v[COMMON - 1] = (struct param_text){ "Timestamp", arena_printf(a, "%.19sZ", when) };
	memcpy(v + COMMON, p->v, p->n * sizeof *v);
	qsort(v, COMMON + p->n, sizeof *v, by_name);
	pairs_add(text, v, COMMON + p->n);
	buf_adds(all, "POST&%2F&");
	buf_add_percent(all, buf_str(text));
	hmac_once(DIGEST_SHA1, key, strlen(key), all->data, all->len, mac);
	buf_adds(ret_form, buf_str(text));
	buf_adds(ret_form, "&Signature=");
	buf_add_percent(ret_form, base64_encode(a, mac, digest_len(DIGEST_SHA1)));
	ensure(!text->overflow && !all->overflow && !ret_form->overflow);
}

static void send_form(struct line *l)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, l);
	struct evkeyvalq *headers;

	ensure(req);
	if (!l->http)
		line_open(l);
	l->error = EVREQ_HTTP_EOF;
	evhttp_request_set_error_cb(req, on_error);
	headers = evhttp_request_get_output_headers(req);
	(void)evhttp_add_header(headers, "Host", l->rpc->host_header);
	(void)evhttp_add_header(headers, "Content-Type", "application/x-www-form-urlencoded");
	(void)evbuffer_add(evhttp_request_get_output_buffer(req), l->form.data, l->form.len);
	(void)evhttp_make_request(l->http, req, EVHTTP_REQ_POST, "/");
}

void rpc_call(struct rpc *r, const char *action, const struct param_list *p, rpc_fn *fn, void *arg)
{
	struct line *l = r->lines;
	char nonce[NONCE_LEN + 1];
	struct arena a;

	ensure(rpc_is_free(r));
	while (l->busy)
		l++;
	arena_init(&a);
	crypto_random_text(nonce, NONCE_LEN);
	buf_clear(&l->form);
	rpc_sign(&a, &r->target, action, p, nonce, clock_now(), &l->form);
	arena_free(&a);
	l->busy = true;
	r->n_busy++;
	l->again = false;
	l->fn = fn;
	l->arg = arg;
	send_form(l);
}
