/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded migrations: complete, in order, and none changes an earlier one's name. */
#include "storage/migrate.h"

#include "harness.h"

#include <string.h>

static void table(void)
{
	const struct migration *m = migrations;
	int number = 0;

	for (; m->name; m++) {
		int n = (m->name[0] - '0') * 1000 + (m->name[1] - '0') * 100 + (m->name[2] - '0') * 10 +
			(m->name[3] - '0');

		CHECK_INT(n, ++number); /* no gap, no number twice */
		CHECK(m->name[4] == '_');
		CHECK(strlen(m->name) > 9 && strcmp(m->name + strlen(m->name) - 4, ".sql") == 0);
		CHECK(strlen(m->sql) > 0);
		/* A transaction of its own would end the one that it is applied in. */
		CHECK(strstr(m->sql, "\ncommit;") == NULL);
	}
	CHECK(number >= 2);
	CHECK_STR(migrations[0].name, "0001_base.sql");
	CHECK(strstr(migrations[0].sql, "create table account") != NULL);
}

TESTS("storage/migrate", { "table", table })
