/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the management API: calls signed as RPC 1.0 (api §1.4), each over one of a few kept
 * connections. Written from the vendor's documents, not from the server's code. One thread, the event loop's.
 */
#ifndef OTASIM_RPC_H
#define OTASIM_RPC_H

#include "cmd/otasim/scenario.h"
#include "engine/base/json.h"

struct rpc;
struct sim;

struct rpc_target {
	const char *host;
	uint16_t port;
	bool tls;
	const char *key_id, *secret;
};

struct rpc_answer {
	const char
		*code; /* NULL: success; the answer's Code; or "(timeout)", "(no connection)", "(HTTP 502)" */
	const char *text; /* what it says of the error, for people; "" */
	const struct json *body;
	const char *raw; /* the body as it came */
	size_t raw_len;
	struct arena *arena; /* of all these, until the callback returns */
};
typedef void rpc_fn(void *arg, const struct rpc_answer *a);

/* Owned by the caller. */
struct rpc *rpc_new(struct sim *s, const struct rpc_target *t, size_t connections);
/* Calls under way end without their callbacks. */
void rpc_free(struct rpc *r);
bool rpc_is_free(const struct rpc *r);
/* Calls that are under way. */
size_t rpc_busy(const struct rpc *r);
/* One of the connections has to be free. fn comes from the event loop, once, and may call again. */
void rpc_call(struct rpc *r, const char *action, const struct param_list *p, rpc_fn *fn, void *arg);

/* The form of a signed call; nonce and time are the caller's. */
void rpc_sign(struct arena *a, const struct rpc_target *t, const char *action, const struct param_list *p,
	      const char *nonce, utc_ms now, struct buf *ret_form);

#endif
