/* SPDX-License-Identifier: Apache-2.0 */
/* Is PostgreSQL's housekeeping keeping up? For the cron of who runs otad. */
#include "storage/vacuum.h"
#include "cmd/otactl/ctl.h"
#include "storage/tick.h"

#include <stdio.h>

#define SNAPSHOT_MAX_S 600 /* as the alarm of deploy/alerts.yml */
#define SLOT_MAX_XIDS 10000000
#define BEHIND 2 /* times the dead rows at which autovacuum comes: one run may be under way */

static void warn(int *n, const char *text)
{
	(void)printf("WARNING: %s\n", text);
	++*n;
}

static void check_server(struct ctl *c, const struct vacuum_server *s, int64_t snapshot_s, int *n)
{
	if (!s->enabled)
		warn(n, "autovacuum or track_counts is off in the server");
	if (snapshot_s > SNAPSHOT_MAX_S)
		warn(n, arena_printf(c->arena, "a transaction is open for %lld s: nothing that died since can be removed",
				     (long long)snapshot_s));
	if (s->prepared_s > SNAPSHOT_MAX_S)
		warn(n, arena_printf(c->arena, "a prepared transaction is %lld s old", (long long)s->prepared_s));
	if (s->slot_xids > SLOT_MAX_XIDS)
		warn(n, arena_printf(c->arena, "a replication slot holds back %lld transactions", (long long)s->slot_xids));
	if (s->oldest_xids > s->freeze_xids + s->freeze_xids / 2)
		warn(n, arena_printf(c->arena, "rows are not frozen in time: %lld transactions old, forced at %lld",
				     (long long)s->oldest_xids, (long long)s->freeze_xids));
}

static void check_table(struct ctl *c, const struct vacuum_table *t, int *n)
{
	if (!t->enabled)
		warn(n, arena_printf(c->arena, "autovacuum is off for %s", t->name));
	else if (t->dead > BEHIND * t->starts_at)
		warn(n, arena_printf(c->arena, "autovacuum is behind with %s: %lld dead rows, it should come at %lld",
				     t->name, (long long)t->dead, (long long)t->starts_at));
}

static enum err vacuum_check(struct ctl *c)
{
	struct table *t = table_headed(c, "TABLE ROWS DEAD AUTOVACUUM-AT LAST-VACUUM");
	const struct vacuum_table *list;
	struct vacuum_server server;
	int64_t snapshot_s;
	int warnings = 0;
	size_t n;

	TRY(store_vacuum_server(c->db, &server));
	TRY(store_tick_oldest_snapshot(c->db, &snapshot_s));
	TRY(store_vacuum_tables(c->db, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (!list[i].dead && list[i].enabled)
			continue;
		table_cell(t, list[i].name);
		table_int(t, list[i].rows);
		table_int(t, list[i].dead);
		table_int(t, list[i].starts_at);
		table_time(t, list[i].last_ms);
	}
	table_print(t);
	if (!server.sees_all)
		(void)puts("Transactions of other users are not seen: grant pg_read_all_stats to who runs this.");
	check_server(c, &server, snapshot_s, &warnings);
	for (size_t i = 0; i < n; i++)
		check_table(c, &list[i], &warnings);
	if (warnings)
		return fail(c->error, ERR_CONFIG, "PostgreSQL's housekeeping needs a look (warnings: %d)", warnings);
	(void)puts("PostgreSQL keeps up.");
	return OK;
}

/* clang-format off */
const struct command commands_vacuum[] = {
	{ "vacuum-check", NULL, WAY_DATABASE, 0, 0, "", "",
	  "Says whether PostgreSQL keeps up with dead rows; exit status 1 and warnings when it does not.", vacuum_check },
	{ .group = NULL },
};
/* clang-format on */
