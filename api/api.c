/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "api/http.h"
#include "api/worker.h"
#include "engine/base/metrics.h"

#include <stdlib.h>

struct api_server {
	struct auth auth;
	struct queue *requests;
	struct http *http;
	struct workers *workers;
};

static bool take(void *ctx, struct request *rq)
{
	struct api_server *s = ctx;
	bool taken = queue_push(s->requests, rq);

	metric_set(M_API_QUEUE, (int64_t)queue_depth(s->requests));
	return taken;
}

static void reply(void *ctx, struct request *rq)
{
	struct api_server *s = ctx;

	http_reply(s->http, rq);
}

static void server_free(struct api_server *s)
{
	http_free(s->http);
	queue_free(s->requests);
	key_cache_free(s->auth.keys);
	nonce_table_free(s->auth.nonces);
	quota_free(s->auth.quota);
	free(s);
}

enum err api_start(const struct config *c, struct tls *tls, const struct api_env *env,
		   bool (*ready)(void *ctx, const char **why), void *ready_ctx, struct error *e,
		   struct api_server **ret)
{
	struct api_server *s = calloc(1, sizeof *s);
	struct http_hooks hooks = { .take = take, .ready = ready, .take_ctx = s, .ready_ctx = ready_ctx };
	enum err err;

	ensure(s != NULL);
	s->auth = (struct auth){ .keys = key_cache_new(), .nonces = nonce_table_new(), .quota = quota_new() };
	s->requests = queue_new((size_t)c->api_queue);
	/* The first request may come before the workers are there: the queue keeps it. */
	err = http_start(c, tls, &hooks, e, &s->http);
	if (err != OK) {
		server_free(s);
		return err;
	}
	s->workers = workers_start(c, env, &s->auth, s->requests, reply, s);
	*ret = s;
	return OK;
}

int api_port(const struct api_server *s)
{
	return http_port(s->http);
}

void api_stop(struct api_server *s, int grace_ms)
{
	if (!s)
		return;
	http_stop(s->http, grace_ms);
	queue_close(s->requests);
	workers_stop(s->workers);
	server_free(s);
}
