/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/brokerlink.h"
#include "harness.h"

#include <string.h>

static void every_verb_round_trips(void)
{
	for (int v = LINK_HELLO; v <= LINK_ASK_REGNWL; v++) {
		struct link_line l = { (enum link_verb)v, 11,	    22,	   33,	 44, 55, "a1Pk",
				       "dev:1@x",	  "s3cret", "::1", "off" },
				 back;
		struct buf b;
		char *rest, *line;

		buf_init(&b, LINK_MESSAGE_MAX);
		link_add(&b, &l);
		link_add(&b, &l);
		rest = b.data;
		line = link_next(&rest);
		CHECK(link_parse(line, &back));
		CHECK_INT(back.verb, v);
		if (v == LINK_ON) {
			CHECK_INT(back.boot, 11);
			CHECK_INT(back.seq, 22);
			CHECK_INT(back.conn, 33);
			CHECK_STR(back.pk, "a1Pk");
			CHECK_STR(back.dn, "dev:1@x");
			CHECK_STR(back.ip, "::1");
		}
		if (v == LINK_REG_NO)
			CHECK_STR(back.why, "off");
		CHECK(link_next(&rest) != NULL);
		CHECK(link_next(&rest) == NULL);
		buf_free(&b);
	}
}

static void refuses_what_is_not_ours(void)
{
	static const char *const bad[] = { "",
					   "cred",
					   "cred\ta",
					   "cred\ta\tb",
					   "cred\ta\tb\tc\td",
					   "on\tx\t1\t1\ta\tb\tc",
					   "beat\t1\t2",
					   "beat\t1\t2\t-3",
					   "beat\t1\t2\t3\t",
					   "HELLO",
					   "hello\t",
					   "state\t1\t99999999999999999999\t0" };
	struct link_line l;
	char line[2 * LINK_LINE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(line, bad[i], strlen(bad[i]) + 1);
		if (link_parse(line, &l))
			test_fail(__FILE__, __LINE__, "accepted row %zu", i);
	}
	memset(line, 'a', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	CHECK(!link_parse(line, &l));
}

TESTS("engine/brokerlink", { "every_verb_round_trips", every_verb_round_trips },
      { "refuses_what_is_not_ours", refuses_what_is_not_ours })
