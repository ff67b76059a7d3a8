/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking workers: each takes requests from one bounded queue and has one database connection and one arena.
 * Started by api.c. */
#ifndef API_WORKER_H
#define API_WORKER_H

#include "api/auth.h"
#include "engine/base/queue.h"

struct workers;

/* reply is called on a worker's thread for every request that was taken, with the answer filled in. */
struct workers *workers_start(const struct config *config, const struct api_env *env, const struct auth *auth,
			      struct queue *requests, void (*reply)(void *ctx, struct request *rq), void *reply_ctx);
/* After queue_close: lets them finish what is queued, joins, frees. */
void workers_stop(struct workers *w);

/* The format an answer should have, cheaply, for requests that no worker will look at. */
enum format request_format_guess(const struct request *rq);

#endif
