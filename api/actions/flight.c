/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/flight.h"

#include "engine/base/clock.h"
#include "storage/job.h"

#include <poll.h>

#define FLIGHT_MS 1000
#define FLIGHT_POLL_MS 5

struct flight {
	const int64_t *job_ids;
	size_t n;
};

static enum err await(struct call *c, void *arg)
{
	const struct flight *f = arg;
	int64_t until = clock_boot_ms() + FLIGHT_MS;
	bool in_flight = true;

	c->env->wake_engine(c->env->wake_ctx);
	c->env->wake_maker(c->env->wake_ctx);
	db_set_deadline(c->db, FLIGHT_MS);
	while (clock_boot_ms() < until) {
		if (store_job_in_flight(c->db, f->job_ids, f->n, &in_flight) != OK) {
			error_clear(c->error); /* the order is committed: this is no error of the call */
			return OK;
		}
		if (!in_flight)
			return OK;
		(void)poll(NULL, 0, FLIGHT_POLL_MS);
	}
	return OK;
}

void flight_await(struct call *c, const int64_t *job_ids, size_t n)
{
	struct flight *f = ARENA_NEW(c->arena, struct flight);

	*f = (struct flight){ .job_ids = job_ids, .n = n };
	c->after_commit = await;
	c->after_commit_arg = f;
}
