/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/presence.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

struct seen {
	int came, went;
};

static void note(void *ctx, const struct presence_device *d, bool online)
{
	struct seen *s = ctx;

	(void)d;
	s->came += online;
	s->went += !online;
}

static struct seen feed(struct presence *p, utc_ms at, const char *text)
{
	struct seen s = { 0, 0 };
	char copy[8192];

	ensure(strlen(text) < sizeof copy);
	memcpy(copy, text, strlen(text) + 1);
	presence_apply(p, copy, at, note, &s);
	return s;
}

static struct presence *known(void)
{
	struct presence *p = presence_new();

	CHECK(!presence_known(p, 1000));
	CHECK(presence_wants_snapshot(p, 1000));
	CHECK(!presence_wants_snapshot(p, 1001));
	feed(p, 2000, "snap-begin\t7\t10\nsnap\t100\tpk\ta\t1.1.1.1\nsnap\t101\tpk\tb\t1.1.1.2\nsnap-end\t7\t10\t2\n");
	CHECK(presence_known(p, 2000));
	CHECK_INT(presence_online(p), 2);
	return p;
}

static void follows_the_lines(void)
{
	struct presence *p = known();
	struct seen s = feed(p, 2100, "on\t7\t11\t102\tpk\tc\t1.1.1.3\noff\t7\t12\t100\tpk\ta\n");

	CHECK_INT(s.came, 1);
	CHECK_INT(s.went, 1);
	CHECK(!presence_find(p, "pk", "a"));
	CHECK_INT(presence_find(p, "pk", "c")->conn, 102);
	CHECK_INT(presence_find(p, "pk", "c")->since_ms, 2100);
	CHECK(presence_known(p, 2100));
	presence_free(p);
}

static void late_end_of_an_older_connection_is_nothing(void)
{
	struct presence *p = known();
	struct seen s = feed(p, 2100, "on\t7\t11\t200\tpk\ta\t9.9.9.9\noff\t7\t12\t100\tpk\ta\n");

	CHECK_INT(s.came, 1);
	CHECK_INT(s.went, 0);
	CHECK_INT(presence_find(p, "pk", "a")->conn, 200);
	CHECK_STR(presence_find(p, "pk", "a")->ip, "9.9.9.9");
	CHECK_INT(presence_online(p), 2);
	presence_free(p);
}

static void repetitions_change_nothing(void)
{
	struct presence *p = known();

	feed(p, 2100, "on\t7\t11\t102\tpk\tc\tx\noff\t7\t12\t102\tpk\tc\n");
	CHECK_INT(feed(p, 2200, "on\t7\t11\t102\tpk\tc\tx\n").came, 0);
	CHECK(!presence_find(p, "pk", "c"));
	CHECK(presence_known(p, 2200));
	feed(p, 2300, "beat\t7\t11\t2\n"); /* an old one, sent again */
	CHECK(presence_known(p, 2300));
	presence_free(p);
}

static void gaps_ask_for_a_snapshot(void)
{
	static const char *const reasons[] = { "on\t7\t13\t102\tpk\tc\tx\n", "beat\t7\t11\t3\n", "beat\t8\t0\t0\n",
					       "on\t8\t1\t300\tpk\tz\tx\n" };

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct presence *p = known();

		feed(p, 6000, reasons[i]);
		CHECK(!presence_known(p, 6000));
		CHECK(presence_wants_snapshot(p, 6000));
		presence_free(p);
	}
}

static void new_boot_drops_who_is_gone(void)
{
	struct presence *p = known();
	struct seen s;

	feed(p, 6000, "beat\t8\t0\t0\n");
	CHECK_INT(presence_online(p), 2); /* nobody is offline while nothing is known */
	s = feed(p, 6100, "snap-begin\t8\t1\nsnap\t900\tpk\tb\tx\nsnap-end\t8\t1\t1\n");
	CHECK_INT(s.went, 1);
	CHECK_INT(s.came, 1); /* b has a new connection */
	CHECK(presence_known(p, 6100));
	CHECK(!presence_find(p, "pk", "a"));
	presence_free(p);
}

static void half_a_snapshot_is_none(void)
{
	struct presence *p = known();

	feed(p, 6000, "beat\t8\t0\t0\nsnap-begin\t8\t0\nsnap-end\t8\t0\t5\n");
	CHECK(!presence_known(p, 6000));
	CHECK_INT(presence_online(p), 2);
	presence_free(p);
}

static void silence_is_ignorance(void)
{
	struct presence *p = known();

	CHECK(presence_known(p, 7000));
	CHECK(!presence_known(p, 7001));
	CHECK(presence_wants_snapshot(p, 8000));
	presence_free(p);
}

static void finds_by_id(void)
{
	struct presence *p = known();

	presence_resolve(p, "pk", "a", 5);
	CHECK_STR(presence_of(p, 5)->dn, "a");
	feed(p, 2100, "on\t7\t11\t200\tpk\ta\tx\n"); /* the id survives a takeover */
	CHECK_INT(presence_of(p, 5)->conn, 200);
	presence_resolve(p, "pk", "a", 6);
	CHECK(!presence_of(p, 5));
	feed(p, 2200, "off\t7\t12\t200\tpk\ta\n");
	CHECK(!presence_of(p, 6));
	presence_free(p);
}

static void grows(void)
{
	struct presence *p = known();
	char line[128], dn[32];

	for (int i = 1; i <= 5000; i++) {
		(void)snprintf(line, sizeof line, "on\t7\t%d\t%d\tpk\tdev%d\tx\n", 10 + i, 1000 + i, i);
		feed(p, 3000, line);
		(void)snprintf(dn, sizeof dn, "dev%d", i);
		presence_resolve(p, "pk", dn, 100 + i);
	}
	CHECK_INT(presence_online(p), 5002);
	for (int i = 1; i <= 5000; i++)
		CHECK_INT(presence_of(p, 100 + i)->conn, 1000 + i);
	presence_free(p);
}

TESTS("dispatcher/presence", { "follows_the_lines", follows_the_lines },
      { "late_end_of_an_older_connection_is_nothing", late_end_of_an_older_connection_is_nothing },
      { "repetitions_change_nothing", repetitions_change_nothing }, { "gaps_ask_for_a_snapshot", gaps_ask_for_a_snapshot },
      { "new_boot_drops_who_is_gone", new_boot_drops_who_is_gone }, { "half_a_snapshot_is_none", half_a_snapshot_is_none },
      { "silence_is_ignorance", silence_is_ignorance }, { "finds_by_id", finds_by_id }, { "grows", grows })
