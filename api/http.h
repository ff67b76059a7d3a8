/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP listener of the management API: evhttp behind the gate, on a loop thread of its own, which is the
 * only one that touches evhttp's objects. Answers /healthz, /readyz and /metrics itself; everything else
 * becomes a struct request. Used by api.c. */
#ifndef API_HTTP_H
#define API_HTTP_H

#include "api/request.h"
#include "engine/base/config.h"

struct http;
struct tls;

struct http_hooks {
	/* On the loop thread. true: taken, and http_reply will be called; false: there is no room, the
	 * listener answers 503. */
	bool (*take)(void *ctx, struct request *rq);
	/* Is the process ready to serve? *why: a short reason when not. */
	bool (*ready)(void *ctx, const char **why);
	void *take_ctx, *ready_ctx;
};

/* tls: of the API's listener, NULL = plain. ERR_CONFIG: an address cannot be listened on. */
enum err http_start(const struct config *c, struct tls *tls, const struct http_hooks *hooks, struct error *e,
		    struct http **ret) MUST_USE;
int http_port(const struct http *h);
/* Sends the answer; the request is not the caller's any more. Any thread; the peer may have gone meanwhile.
 */
void http_reply(struct http *h, struct request *rq);
/* Stops accepting, waits at most grace_ms for answers to be made and sent, ends the loop thread. Replies may
 * still be handed in until http_free. */
void http_stop(struct http *h, int grace_ms);
void http_free(struct http *h);

#endif
