/* SPDX-License-Identifier: Apache-2.0 */
/* A job's rows are looked at in rounds. */
#include "dispatcher/jobs.h"

#include "harness.h"

static void a_round_is_finished_before_the_next(void)
{
	struct live_job untouched = { .run.tasks = 100 }, midway = { .run.tasks = 100, .cursor = 40 },
			done = { .run.tasks = 100, .cursor = 100 };
	struct live_job *items[] = { &untouched, &midway, &done };
	struct jobs js = { .items = items, .n = ARRAY_LEN(items) };

	jobs_rescan(&js);
	CHECK_INT(untouched.cursor, 0);
	CHECK(!untouched.again);
	CHECK_INT(midway.cursor, 40);
	CHECK(midway.again);
	CHECK_INT(done.cursor, 0);
	CHECK(!done.again);
}

TESTS("dispatcher/jobs", { "a_round_is_finished_before_the_next", a_round_is_finished_before_the_next })
