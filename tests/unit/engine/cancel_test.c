/* SPDX-License-Identifier: Apache-2.0 */
/* The option table of CancelOTATaskByJob (api §6.7, §10.11). */
#include "engine/cancel.h"
#include "harness.h"

#define C TASK_BIT(TASK_CONFIRM)
#define Q TASK_BIT(TASK_QUEUED)
#define N TASK_BIT(TASK_NOTIFIED)
#define P TASK_BIT(TASK_IN_PROGRESS)

static void masks(void)
{
	static const struct {
		struct cancel_options o;
		int mask;
		bool any;
	} t[] = {
		{ { .queued = false }, 0, false },
		{ { .scheduled = true }, 0, true },
		{ { .queued = true }, C | Q, true },
		{ { .queued = true, .unconfirmed_given = true }, Q, true },
		{ { .queued = true, .unconfirmed_given = true, .unconfirmed = true }, C | Q, true },
		{ { .unconfirmed_given = true, .unconfirmed = true }, C, true },
		{ { .unconfirmed_given = true }, 0, false },
		{ { .notified = true }, N, true },
		{ { .in_progress = true }, P, true },
		{ { .queued = true, .notified = true, .in_progress = true }, C | Q | N | P, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		CHECK_INT(cancel_mask(&t[i].o), t[i].mask);
		CHECK_INT(cancel_any(&t[i].o), t[i].any);
	}
}

TESTS("engine/cancel", { "masks", masks })
