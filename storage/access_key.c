/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/access_key.h"

#include "storage/secret.h"

enum err store_access_key_find(struct db *db, const struct seal_key *master, const char *key_id,
			       struct access_key *ret)
{
	struct arena *arena = db_arena(db);
	struct sealed sealed;
	const char *plain;
	struct args a;
	struct rows *r;

	args_init(&a, db);
	arg_text(&a, key_id);
	TRY(db_one(db, S_access_key_find, &a, &r));
	sealed.data = row_bytes(r, 0, C_access_key_find_secret, &sealed.len);
	TRY(secret_open(arena, db_error(db), master, secret_aad_access_key(arena, key_id), sealed, &plain));
	*ret = (struct access_key){
		.id = row_int(r, 0, C_access_key_find_id),
		.account_id = row_int(r, 0, C_access_key_find_account_id),
		.key_id = key_id,
		.secret = plain,
		.role = row_text(r, 0, C_access_key_find_role),
		.disabled = row_bool(r, 0, C_access_key_find_disabled),
		.instance_id = row_int(r, 0, C_access_key_find_instance_id),
		.instance = row_text(r, 0, C_access_key_find_instance),
	};
	return OK;
}

enum err store_access_key_add(struct db *db, const struct seal_key *master, int64_t account_id, const char *key_id,
			      const char *secret, const char *name, const char *role, utc_ms now)
{
	struct arena *arena = db_arena(db);
	struct sealed sealed = secret_seal(arena, master, secret_aad_access_key(arena, key_id), secret);
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, key_id);
	arg_bytes(&a, sealed.data, sealed.len);
	arg_text(&a, name);
	arg_text(&a, role);
	arg_int(&a, now);
	return db_run(db, S_access_key_add, &a, NULL);
}

enum err store_access_key_disable(struct db *db, int64_t account_id, const char *key_id, bool disabled)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, key_id);
	arg_bool(&a, disabled);
	TRY(db_run(db, S_access_key_disable, &a, NULL));
	return db_touched(db) == 1 ? OK : ERR_NOT_FOUND;
}
