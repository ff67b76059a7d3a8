/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices a dynamic job matches (api §5.3, §10.6). */
#include "engine/strategy.h"
#include "harness.h"

#define CREATED 1000
#define REPORT .reported = "default", .reported_ms = 2000

static const char *const versions[] = { "1.0.0", "1.0.1" };

static struct strategy by_versions(enum dynamic_mode mode)
{
	return (struct strategy){ .job_id = 1,
				  .module = "default",
				  .dest_version = "2.0.0",
				  .mode = mode,
				  .n_versions = 2,
				  .versions = versions,
				  .created_ms = CREATED };
}

static struct strategy by_group(enum dynamic_mode mode)
{
	return (struct strategy){ .job_id = 1,
				  .module = "default",
				  .dest_version = "2.0.0",
				  .mode = mode,
				  .by_group = true,
				  .created_ms = CREATED };
}

struct row {
	struct strategy_look l;
	bool all, reports; /* DynamicMode 1, 2 */
};

static void walk(struct strategy (*make)(enum dynamic_mode mode), const struct row *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct strategy all = make(DYNAMIC_ALL), reports = make(DYNAMIC_REPORTS);

		if (strategy_matches(&all, &t[i].l) != t[i].all ||
		    strategy_matches(&reports, &t[i].l) != t[i].reports)
			test_fail(__FILE__, __LINE__, "row %zu", i);
	}
}

static void versions_of_the_list(void)
{
	static const struct row t[] = {
		{ { REPORT, .version = "1.0.0" }, true, true },
		{ { REPORT, .version = "1.0.1" }, true, true },
		{ { REPORT, .version = "1.0.2" }, false, false },
		{ { REPORT, .version = "2.0.0" }, false, false },
		{ { REPORT, .version = NULL }, false, false },
		/* whom the version is reported of */
		{ { .reported = "MCU", .reported_ms = 2000, .version = "1.0.0" }, false, false },
		/* before the creation, and at that very moment */
		{ { .reported = "default", .reported_ms = 999, .version = "1.0.0" }, true, false },
		{ { .reported = "default", .reported_ms = 1000, .version = "1.0.0" }, true, true },
		/* without a report */
		{ { .version = "1.0.0" }, true, false },
		{ { .version = "1.0.0", .matches = 1 }, false, false },
		{ { .version = "1.0.2" }, false, false },
		{ { .version = NULL }, false, false },
		/* again and again, but not for ever */
		{ { REPORT, .version = "1.0.0", .matches = 1 }, true, true },
		{ { REPORT, .version = "1.0.0", .matches = 9 }, true, true },
		{ { REPORT, .version = "1.0.0", .matches = 10 }, false, false },
		/* a group does not matter */
		{ { REPORT, .version = "1.0.2", .member = true }, false, false },
	};

	walk(by_versions, t, sizeof t / sizeof t[0]);
}

static void members_of_the_group(void)
{
	static const struct row t[] = {
		{ { REPORT, .version = "1.0.2", .member = true }, true, true },
		{ { REPORT, .version = "1.0.2" }, false, false },
		{ { REPORT, .version = "2.0.0", .member = true }, false, false },
		{ { .version = NULL, .member = true }, true, false },
		{ { .version = "1.0.0", .member = true }, true, false },
		{ { .version = "1.0.0", .member = true, .matches = 1 }, false, false },
		{ { REPORT, .version = "1.0.0", .member = true, .matches = 1 }, true, true },
		{ { REPORT, .version = "1.0.0", .member = true, .matches = 10 }, false, false },
	};

	walk(by_group, t, sizeof t / sizeof t[0]);
}

static void differential(void)
{
	struct strategy g = by_group(DYNAMIC_ALL);

	g.diff_version = "1.0.0";
	CHECK(strategy_matches(&g, &(struct strategy_look){ REPORT, .version = "1.0.0", .member = true }));
	CHECK(!strategy_matches(&g, &(struct strategy_look){ REPORT, .version = "1.0.1", .member = true }));
	CHECK(!strategy_matches(&g, &(struct strategy_look){ .version = NULL, .member = true }));
}

TESTS("engine/strategy", { "versions_of_the_list", versions_of_the_list },
      { "members_of_the_group", members_of_the_group }, { "differential", differential })
