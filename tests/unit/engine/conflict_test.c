/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/conflict.h"
#include "harness.h"

/* The table of api §10.8: mode x state and key of the one task in the way. */
static void table(void)
{
	static const struct {
		bool multi;
		int mode;
		const char *key;
		enum task_state state;
		enum conflict_verdict want;
	} rows[] = {
		{ false, 1, "", TASK_CONFIRM, CONFLICT_LOSES },
		{ false, 1, "", TASK_QUEUED, CONFLICT_LOSES },
		{ false, 1, "", TASK_NOTIFIED, CONFLICT_LOSES },
		{ false, 1, "", TASK_IN_PROGRESS, CONFLICT_LOSES },
		{ false, 1, "MCU", TASK_QUEUED, CONFLICT_LOSES },
		{ false, 2, "", TASK_CONFIRM, CONFLICT_OVERWRITE },
		{ false, 2, "", TASK_QUEUED, CONFLICT_OVERWRITE },
		{ false, 2, "", TASK_NOTIFIED, CONFLICT_OVERWRITE },
		{ false, 2, "", TASK_IN_PROGRESS, CONFLICT_LOSES },
		{ false, 2, "MCU", TASK_QUEUED, CONFLICT_OVERWRITE },
		{ false, 2, "MCU", TASK_IN_PROGRESS, CONFLICT_LOSES },
		{ true, 1, "default", TASK_QUEUED, CONFLICT_OVERWRITE },
		{ true, 1, "default", TASK_NOTIFIED, CONFLICT_OVERWRITE },
		{ true, 1, "default", TASK_IN_PROGRESS, CONFLICT_LOSES },
		{ true, 1, "", TASK_QUEUED, CONFLICT_LOSES },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct conflict_task other = { rows[i].state, rows[i].key };

		if (conflict_decide(rows[i].multi, rows[i].mode, "default", &other, 1) != rows[i].want)
			test_fail(__FILE__, __LINE__, "row %zu", i);
	}
	CHECK_INT(conflict_decide(false, 1, "default", NULL, 0), CONFLICT_NONE);
}

static void one_running_module_saves_all(void)
{
	struct conflict_task others[] = { { TASK_QUEUED, "A" }, { TASK_IN_PROGRESS, "B" } };

	CHECK_INT(conflict_decide(false, 2, "default", others, 2), CONFLICT_LOSES);
	others[1].state = TASK_NOTIFIED;
	CHECK_INT(conflict_decide(false, 2, "default", others, 2), CONFLICT_OVERWRITE);
}

static void other_modules_run_side_by_side(void)
{
	CHECK(!conflict_shares(true, "default", "MCU"));
	CHECK(conflict_shares(true, "default", "default"));
	CHECK(conflict_shares(true, "default", WHOLE_DEVICE));
	CHECK(conflict_shares(false, "default", "MCU"));
}

TESTS("engine/conflict", { "table", table }, { "one_running_module_saves_all", one_running_module_saves_all },
      { "other_modules_run_side_by_side", other_modules_run_side_by_side })
