/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/flight.h"

#include "storage/flight.h"

#define ANSWER_MS 500 /* for the last look and the answer */

struct flight {
	const int64_t *job_ids;
	size_t n;
};

static enum err await(struct call *c, void *arg)
{
	const struct flight *f = arg;

	c->env->wake_engine(c->env->wake_ctx);
	c->env->wake_maker(c->env->wake_ctx);
	return store_flight_wait(c->db, f->job_ids, f->n, c->answer_by_ms - ANSWER_MS);
}

void flight_await(struct call *c, const int64_t *job_ids, size_t n)
{
	struct flight *f = ARENA_NEW(c->arena, struct flight);

	*f = (struct flight){ .job_ids = job_ids, .n = n };
	c->after_commit = await;
	c->after_commit_arg = f;
}
