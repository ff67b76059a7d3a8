/* SPDX-License-Identifier: Apache-2.0 */
/* Applies the embedded migrations; see migrate.h. Works with scripts only until the tables exist, because
 * preparing the named statements needs them. */
#include "storage/migrate.h"

#include "engine/base/clock.h"
#include "engine/base/crypto.h"
#include "storage/account.h"
#include "storage/housekeeping.h"

#include <string.h>

#define MIGRATION_MS 600000
#define DEFAULT_EVENT_DAYS 400

static const char prologue[] = "begin; set local client_min_messages = warning;"
			       "select pg_advisory_xact_lock(726583, 1);"
			       "create table if not exists schema_migration (name text primary key, sha256 "
			       "text not null, applied_ms bigint not null)";

static const char *checksum(struct arena *a, const struct migration *m)
{
	unsigned char d[DIGEST_MAX];
	char *hex = arena_alloc(a, 65);

	digest_once(DIGEST_SHA256, m->sql, strlen(m->sql), d);
	hex_encode(d, 32, hex);
	return hex;
}

static const struct migration *find(const char *name)
{
	for (const struct migration *m = migrations; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

/* Does what is applied agree with this binary? *ret_n: how many are applied. */
static enum err check_applied(struct db *db, int *ret_n)
{
	struct rows *r = NULL;

	*ret_n = 0;
	TRY(db_script_rows(db, "select name, sha256 from schema_migration order by name", &r));
	for (int i = 0; i < rows_count(r); i++) {
		const char *name = row_text(r, i, 0);
		const struct migration *m = find(name);

		if (!m)
			return fail(db_error(db), ERR_CONFIG,
				    "the database has migration %s, which this program does not know: it is "
				    "older",
				    name);
		if (strcmp(checksum(db_arena(db), m), row_text(r, i, 1)) != 0)
			return fail(db_error(db), ERR_CONFIG,
				    "migration %s was changed after it had been applied", name);
	}
	*ret_n = rows_count(r);
	return OK;
}

/* Inside the transaction of the prologue. Names and checksums are ours: they need no quoting. */
static enum err apply_if_missing(struct db *db, const struct migration *m, bool *ret_applied)
{
	struct arena *a = db_arena(db);
	struct rows *r = NULL;
	int n = 0;

	*ret_applied = false;
	TRY(check_applied(db, &n));
	TRY(db_script_rows(db, arena_printf(a, "select 1 from schema_migration where name = '%s'", m->name),
			   &r));
	if (rows_count(r) > 0)
		return OK;
	TRY(db_script(db, m->sql));
	*ret_applied = true;
	return db_script(db, arena_printf(a, "insert into schema_migration values ('%s', '%s', %lld)",
					  m->name, checksum(a, m), (long long)clock_now()));
}

/* One migration in a transaction of its own. */
static enum err migrate_one(struct db *db, const struct migration *m, bool *ret_applied)
{
	enum err e = db_script(db, prologue);

	if (e == OK)
		e = apply_if_missing(db, m, ret_applied);
	if (e == OK)
		return db_script(db, "commit");
	*ret_applied = false;
	return db_script(db, "rollback") == OK || e != OK ? e : ERR_DB;
}

enum err store_migrate(struct db *db, int *ret_applied)
{
	struct rows *r = NULL;
	int64_t account_id = 0;

	*ret_applied = 0;
	db_set_deadline(db, MIGRATION_MS);
	TRY(db_script_rows(db, "select has_schema_privilege('public', 'create'), current_user", &r));
	if (!row_bool(r, 0, 0))
		return fail(db_error(db), ERR_CONFIG,
			    "the role \"%s\" may not make tables: otactl migrate --owner with the connection string of "
			    "the one that does",
			    row_text(r, 0, 1));
	for (const struct migration *m = migrations; m->name; m++) {
		bool applied = false;

		TRY(migrate_one(db, m, &applied));
		*ret_applied += applied;
	}
	TRY(store_partitions_maintain(db, clock_now(), DEFAULT_EVENT_DAYS, NULL));
	return store_account_ensure(db, DEFAULT_ACCOUNT, clock_now(), &account_id);
}

enum err store_migrated(struct db *db)
{
	struct rows *r = NULL;
	int n = 0, wanted = 0;

	for (const struct migration *m = migrations; m->name; m++)
		wanted++;
	TRY(db_script_rows(db, "select to_regclass('schema_migration')::text", &r));
	if (!row_null(r, 0, 0))
		TRY(check_applied(db, &n));
	if (n != wanted)
		return fail(db_error(db), ERR_CONFIG, "%d of %d migrations are applied: run otactl migrate",
			    n, wanted);
	return OK;
}
