/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/flight.h"

#include "engine/base/clock.h"

#include <poll.h>

#define ALIVE_MS 1000

struct look {
	bool in_flight;
	int64_t epoch, lease_ms;
};

static enum err look(struct db *db, const int64_t *job_ids, size_t n, struct look *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_ints(&a, job_ids, n);
	TRY(db_one(db, S_job_in_flight, &a, &r));
	ret->in_flight = row_bool(r, 0, C_job_in_flight_in_flight);
	ret->epoch = row_int(r, 0, C_job_in_flight_epoch);
	ret->lease_ms = row_int(r, 0, C_job_in_flight_lease_ms);
	return OK;
}

enum err store_flight_wait(struct db *db, const int64_t *job_ids, size_t n, int64_t until_ms)
{
	int64_t began = clock_boot_ms();
	struct look now, before = { .lease_ms = 0 };

	for (;;) {
		int64_t waited = clock_boot_ms() - began;

		TRY(look(db, job_ids, n, &now));
		if (!now.in_flight)
			return OK;
		if (clock_boot_ms() >= until_ms)
			return fail(db_error(db), ERR_UNAVAILABLE,
				    "The order is in force, but a push that was on its way may still reach its device.");
		if (waited < ALIVE_MS)
			before = now;
		else if (now.epoch == before.epoch && now.lease_ms > before.lease_ms)
			return OK;
		(void)poll(NULL, 0, waited < ALIVE_MS ? 5 : 50);
	}
}
