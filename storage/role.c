/* SPDX-License-Identifier: Apache-2.0 */
/* Works with scripts only, like migrate.c: preparing the named statements needs the tables. */
#include "storage/role.h"

#include "engine/base/buf.h"

#include <string.h>

#define ROLE ":\"role\"" /* as psql would have it */
#define SCRIPT_BYTES_MAX 65536

enum err store_role(struct db *db, const char **ret)
{
	struct rows *r = NULL;

	TRY(db_script_rows(db, "select quote_ident(current_user)", &r));
	*ret = row_text(r, 0, 0);
	return OK;
}

enum err store_role_is_owner(struct db *db, bool *ret)
{
	struct rows *r = NULL;

	TRY(db_script_rows(db, "select pg_has_role(relowner, 'member') from pg_class where oid = 'audit'::regclass",
			   &r));
	*ret = row_bool(r, 0, 0);
	return OK;
}

enum err store_role_grant(struct db *db, const char *role)
{
	struct buf *script = buf_owned(db_arena(db), SCRIPT_BYTES_MAX);
	const char *from = grants_sql, *at;

	while ((at = strstr(from, ROLE))) {
		buf_add(script, from, (size_t)(at - from));
		buf_adds(script, role);
		from = at + strlen(ROLE);
	}
	buf_adds(script, from);
	ensure(!script->overflow);
	return db_script(db, buf_str(script));
}
